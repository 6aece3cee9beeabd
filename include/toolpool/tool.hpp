/// @file
/// Tools, by name and of lambdas. Part of toolpool.hpp.
///
/// SPDX-License-Identifier: MIT OR Apache-2.0
#ifndef TOOLPOOL_TOOL_HPP
#define TOOLPOOL_TOOL_HPP

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <toolpool.h>
#include <toolpool/batch.hpp>
#include <toolpool/guard.hpp>
#include <toolpool/handle.hpp>
#include <toolpool/options.hpp>

namespace toolpool {
inline namespace TOOLPOOL_MODE {

/// What a `load` is told to work on: toolpool_device_t says what each field is. A value.
using Device = toolpool_device_t;

/// How the items of a lambda tool are ordered and cut into batches. `cost` and `extent` get the
/// bytes of an item's first field, and must be safe to call from several threads; what they throw
/// comes out of Pool::run() or Pool::submit().
struct Batching {
    std::function<double(std::string_view)> cost;          ///< Work, in any unit. Else: the length.
    std::function<std::uint64_t(std::string_view)> extent; ///< Share of `budget`. Else: the length.
    std::uint64_t budget = 0; ///< What the extents of a batch add up to at most. 0: 1 MiB.
    std::uint64_t items = 0;  ///< How many items a batch has at most. 0: 4,096.
};

namespace detail {

template <class T> struct Unwrapped {
    using Type = T;
    static constexpr bool wrapped = false;
};
template <class T> struct Unwrapped<Result<T>> {
    using Type = T;
    static constexpr bool wrapped = true;
};

/// What a `load` returns: a State, or a Result of one.
template <class Load>
using Loaded = Unwrapped<std::decay_t<std::invoke_result_t<const Load &, const Device &>>>;

/// How a `run` is called for one item, and for a batch.
template <class Run, class... State>
using ItemCall = std::is_invocable<Run, State &..., BatchItem &, ItemOutputs &>;
template <class Run, class... State>
using BatchCall = std::is_invocable<Run, State &..., Batch &, Outputs &>;

/// Whether a `run` takes one item after the other. A generic one is asked for no more than that: it
/// may not compile with a batch.
template <class Run, class... State>
inline constexpr bool takes_item = ItemCall<Run, State...>::value;
template <class Run, class... State>
inline constexpr bool takes_any =
    std::disjunction_v<ItemCall<Run, State...>, BatchCall<Run, State...>>;

/// What a `run` returns that takes either.
template <class Run, class... State>
using Returned =
    typename std::conditional_t<takes_item<Run, State...>,
                                std::invoke_result<Run, State &..., BatchItem &, ItemOutputs &>,
                                std::invoke_result<Run, State &..., Batch &, Outputs &>>::type;

/// Whether a `run` can be one; where it cannot, the compiler says why.
template <class Run, class... State> constexpr bool check_run() {
    constexpr bool fits = takes_any<const Run &, State...>;
    constexpr bool changes = !fits && takes_any<Run &, State...>;
    static_assert(!changes, "several workers call a tool's run at once, so it cannot be mutable: "
                            "what it changes belongs into the State that a load makes");
    static_assert(fits || changes || sizeof...(State) != 0,
                  "a tool's run takes (BatchItem, ItemOutputs) or (Batch, Outputs)");
    static_assert(fits || changes || sizeof...(State) == 0,
                  "after a load, a tool's run takes (State &, BatchItem, ItemOutputs) or "
                  "(State &, Batch, Outputs), where State is what the load returns");
    if constexpr (fits) {
        using Return = Returned<const Run &, State...>;
        static_assert(std::is_void_v<Return> || std::is_convertible_v<Return, Result<void>>,
                      "a tool's run returns nothing, or a Result<void>: outputs are what it puts "
                      "into the memory of ItemOutputs::alloc()");
    }
    return fits;
}

/// The same of a `load`.
template <class Load> constexpr bool check_load() {
    constexpr bool fits = std::is_invocable_v<const Load &, const Device &>;
    constexpr bool changes = !fits && std::is_invocable_v<Load &, const Device &>;
    static_assert(!changes, "several workers call a tool's load at once, so it cannot be mutable");
    static_assert(fits || changes, "a tool's load takes (const Device &)");
    if constexpr (fits) {
        constexpr bool state = !std::is_void_v<typename Loaded<Load>::Type>;
        static_assert(state, "a tool's load returns the State that its run is given");
        return state;
    }
    return false;
}

/// The same of both.
template <class Load, class Run> constexpr bool check_lambdas() {
    if constexpr (check_load<Load>())
        return check_run<Run, typename Loaded<Load>::Type>();
    return false;
}

/// The state of a tool that has none, and its `run`.
struct Nothing {};
template <class Run> struct Stateless {
    Run run;

    template <class In, class Out>
    auto operator()(Nothing &, In &in, Out &out) const
        -> std::invoke_result_t<const Run &, In &, Out &> {
        return run(in, out);
    }
};

/// The lambdas of a tool; toolpool owns it from the moment that the tool is made.
template <class Load, class Run> struct Lambdas {
    using State = typename Loaded<Load>::Type;

    Load load;
    Run run;
    Batching batching;

    static const Lambdas &of(const void *user) noexcept {
        return *static_cast<const Lambdas *>(user);
    }

    /// Leaves a new State in `*state`.
    Result<void> load_onto(const Device &device, void **state) const {
        if constexpr (Loaded<Load>::wrapped) {
            auto loaded = load(device);
            if (!loaded)
                return loaded.error();
            *state = new State(*std::move(loaded));
        } else {
            *state = new State(load(device));
        }
        return {};
    }

    toolpool_status_t run_batch(State &state, const toolpool_batch_t *batch,
                                toolpool_outputs_t *outputs,
                                toolpool_error_t **err) const noexcept {
        if constexpr (takes_item<const Run &, State>) {
            toolpool_status_t status = TOOLPOOL_OK;
            for (std::size_t i = 0; status >= 0 && i < toolpool_batch_len(batch); ++i)
                status = run_item(state, BatchItem(batch, i), outputs, err);
            return status;
        } else {
            Batch items(batch);
            Outputs places(outputs);
            return guard([&] { return run(state, items, places); }, BatchError{err});
        }
    }

    /// Where an item fails, it alone has the error, unless that concerns its batch.
    toolpool_status_t run_item(State &state, BatchItem item, toolpool_outputs_t *outputs,
                               toolpool_error_t **err) const noexcept {
        ItemOutputs places(outputs, item.index());
        return guard([&] { return run(state, item, places); },
                     [&](toolpool_status_t status, const char *message) noexcept {
                         const bool batch = status == TOOLPOOL_ERR_OUT_OF_MEMORY ||
                                            status == TOOLPOOL_ERR_DEVICE_LOST;
                         return batch
                                    ? toolpool_error_set(err, status, message)
                                    : toolpool_outputs_fail(outputs, item.index(), status, message);
                     });
    }

    toolpool_callbacks_t table() const {
        toolpool_callbacks_t table = TOOLPOOL_CALLBACKS_INIT;
        table.batch_budget = batching.budget;
        table.batch_items = batching.items;
        table.load = [](void *user, const Device *device, void **state, toolpool_error_t **err) {
            return guard([&] { return of(user).load_onto(*device, state); }, BatchError{err});
        };
        table.run = [](void *state, const toolpool_batch_t *batch, toolpool_outputs_t *outputs,
                       toolpool_error_t **err) {
            return of(toolpool_batch_user(batch))
                .run_batch(*static_cast<State *>(state), batch, outputs, err);
        };
        table.unload = [](void *state) { delete static_cast<State *>(state); };
        table.destroy = [](void *user) { delete static_cast<Lambdas *>(user); };
        if (batching.cost)
            table.cost = [](void *user, const void *data, std::size_t size) {
                return estimated(of(user).batching.cost, data, size, std::nan(""));
            };
        if (batching.extent)
            table.extent = [](void *user, const void *data, std::size_t size) {
                return estimated(of(user).batching.extent, data, size, std::uint64_t{0});
            };
        return table;
    }
};

} // namespace detail

/// A tool with its options. Jobs keep what was set when they were submitted; any thread may use it.
class Tool : public detail::Handle<toolpool_tool_t, toolpool_tool_free> {
  public:
    using Handle::Handle;

    /// Opens a tool by name; toolpool_tool_open() lists the kinds, docs/options.md their options.
    [[nodiscard]] static Fallible<Tool>
    open(const std::string &kind, const std::string &source = "", const ToolOptions &options = {}) {
        return detail::deliver(opened(kind, source, options));
    }

#ifndef TOOLPOOL_NO_EXCEPTIONS
    /// The same.
    explicit Tool(const std::string &kind, const std::string &source = "",
                  const ToolOptions &options = {})
        : Tool(open(kind, source, options)) {}
#endif

    /// Sets an option, checked at once. An Error leaves the tool as it was.
    Fallible<void> set(const std::string &key, const OptionValue &value) {
        return detail::deliver(detail::done(toolpool_tool_set, get(), key, value.text()));
    }

    /// Makes a tool of lambdas, with a state for each worker.
    ///
    /// `load` is `State(const Device &)`: called once on each worker's own thread, where the State
    /// dies as well. `run` is `void(State &, BatchItem, ItemOutputs)`, called for one item after
    /// the other, as `(auto &, auto, auto)` is too, or `void(State &, Batch, Outputs)`. Both may
    /// return a Result instead: of the State, of void. Several workers call them at once, each with
    /// its State, so neither is mutable.
    ///
    /// What the `run` of an item throws or returns as an Error is that item's error. That of a
    /// batch splits the batch, until the guilty item stands alone, and so do
    /// TOOLPOOL_ERR_OUT_OF_MEMORY and TOOLPOOL_ERR_DEVICE_LOST of an item, which concern its
    /// batch. An Error keeps its status, std::bad_alloc is TOOLPOOL_ERR_OUT_OF_MEMORY, all else
    /// TOOLPOOL_ERR_FAILED.
    ///
    /// The lambdas are destroyed once, on any thread, after the last State.
    ///
    /// @param name  what messages call it
    template <class Load, class Run>
    [[nodiscard]] static Fallible<Tool> from(const std::string &name, Load load, Run run,
                                             Batching batching = {}) {
        if constexpr (detail::check_lambdas<Load, Run>())
            return detail::deliver(made(
                name, std::unique_ptr<detail::Lambdas<Load, Run>>(new detail::Lambdas<Load, Run>{
                          std::move(load), std::move(run), std::move(batching)})));
    }

    /// The same without a state: `run` is `void(BatchItem, ItemOutputs)` or `void(Batch, Outputs)`.
    template <class Run>
    [[nodiscard]] static Fallible<Tool> from(const std::string &name, Run run,
                                             Batching batching = {}) {
        if constexpr (detail::check_run<Run>())
            return from(
                name, [](const Device &) { return detail::Nothing{}; },
                detail::Stateless<Run>{std::move(run)}, std::move(batching));
    }

  private:
    template <class Lambdas>
    static Result<Tool> made(const std::string &name, std::unique_ptr<Lambdas> lambdas) {
        const toolpool_callbacks_t table = lambdas->table();
        auto tool = detail::make<Tool>(toolpool_tool_from_callbacks, name, &table, lambdas.get());
        if (tool)
            static_cast<void>(lambdas.release());
        return tool;
    }

    static Result<Tool> opened(const std::string &kind, const std::string &source,
                               const ToolOptions &options) {
        auto tool = detail::make<Tool>(toolpool_tool_open, kind, source);
        for (const auto &[key, value] : options) {
            if (!tool)
                break;
            const auto set = detail::done(toolpool_tool_set, tool->get(), key, value);
            if (!set)
                return set.error();
        }
        return tool;
    }
};

} // namespace TOOLPOOL_MODE
} // namespace toolpool

#endif // TOOLPOOL_TOOL_HPP
