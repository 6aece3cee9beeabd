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

/// Whether a `run` takes a batch, or one item after the other.
template <class Run, class... State>
inline constexpr bool takes_batch = std::is_invocable_v<const Run &, State..., Batch, Outputs>;
template <class Run, class... State>
inline constexpr bool takes_item =
    std::is_invocable_v<const Run &, State..., BatchItem, ItemOutputs>;

/// The state of a tool that has none, and its `run`.
struct Nothing {};
template <class Run> struct Stateless {
    Run run;

    template <class In, class Out>
    auto operator()(Nothing &, In in, Out out) const -> std::invoke_result_t<const Run &, In, Out> {
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
        if constexpr (takes_batch<Run, State &>) {
            return guard([&] { return run(state, Batch(batch), Outputs(outputs)); },
                         BatchError{err});
        } else {
            toolpool_status_t status = TOOLPOOL_OK;
            for (std::size_t i = 0; status >= 0 && i < toolpool_batch_len(batch); ++i)
                status = run_item(state, BatchItem(batch, i), outputs, err);
            return status;
        }
    }

    /// Where an item fails, it alone has the error, unless that concerns its batch.
    toolpool_status_t run_item(State &state, BatchItem item, toolpool_outputs_t *outputs,
                               toolpool_error_t **err) const noexcept {
        return guard([&] { return run(state, item, ItemOutputs(outputs, item.index())); },
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
    /// the other, or `void(State &, Batch, Outputs)`; several workers call it at once, each with
    /// its State. Both may return a Result instead: of the State, of void.
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
    template <class Load, class Run,
              class = std::enable_if_t<std::is_invocable_v<const Load &, const Device &>>>
    [[nodiscard]] static Fallible<Tool> from(const std::string &name, Load load, Run run,
                                             Batching batching = {}) {
        using Lambdas = detail::Lambdas<Load, Run>;
        using State = typename Lambdas::State;
        static_assert(detail::takes_batch<Run, State &> || detail::takes_item<Run, State &>,
                      "run takes (State &, BatchItem, ItemOutputs) or (State &, Batch, Outputs)");
        std::unique_ptr<Lambdas> lambdas(
            new Lambdas{std::move(load), std::move(run), std::move(batching)});
        const toolpool_callbacks_t table = lambdas->table();
        auto tool = detail::make<Tool>(toolpool_tool_from_callbacks, name, &table, lambdas.get());
        if (tool)
            static_cast<void>(lambdas.release());
        return detail::deliver(std::move(tool));
    }

    /// The same without a state: `run` is `void(BatchItem, ItemOutputs)` or `void(Batch, Outputs)`.
    template <class Run,
              class = std::enable_if_t<detail::takes_batch<Run> || detail::takes_item<Run>>>
    [[nodiscard]] static Fallible<Tool> from(const std::string &name, Run run,
                                             Batching batching = {}) {
        return from(
            name, [](const Device &) { return detail::Nothing{}; },
            detail::Stateless<Run>{std::move(run)}, std::move(batching));
    }

  private:
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
