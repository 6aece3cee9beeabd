/// @file
/// Tools, by name and of lambdas. Part of toolpool.hpp.
///
/// SPDX-License-Identifier: MIT OR Apache-2.0
#ifndef TOOLPOOL_TOOL_HPP
#define TOOLPOOL_TOOL_HPP

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <initializer_list>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <toolpool.h>
#include <toolpool/error.hpp>
#include <toolpool/tensor.hpp>

namespace toolpool {

using Device = toolpool_device_t;

/// The items handed to a lambda in one call. A view, valid during the call.
class Batch {
  public:
    explicit Batch(const toolpool_batch_t *batch) noexcept : batch_(batch) {}

    [[nodiscard]] std::size_t size() const noexcept { return toolpool_batch_len(batch_); }

    /// The first field of item `index`.
    [[nodiscard]] std::string_view operator[](std::size_t index) const {
        return text(toolpool_batch_bytes, index);
    }

    /// The field `name` of item `index`.
    [[nodiscard]] std::string_view field(std::size_t index, const std::string &name) const {
        return text(toolpool_batch_field, index, detail::c_str(name));
    }

  private:
    template <class Function, class... Name>
    std::string_view text(Function function, std::size_t index, Name... name) const {
        const void *data = nullptr;
        std::size_t size = 0;
        if (function(batch_, index, name..., &data, &size) < 0)
            throw Error(TOOLPOOL_ERR_NOT_FOUND, (std::string("there is no field '") + ... + name) +
                                                    "' of item " + std::to_string(index) +
                                                    " in a batch of " +
                                                    std::to_string(this->size()));
        return {static_cast<const char *>(data), size};
    }

    const toolpool_batch_t *batch_;
};

/// Where a lambda puts the outputs of a batch. A view, valid during the call; for one thread.
class Outputs {
  public:
    explicit Outputs(toolpool_outputs_t *outputs) noexcept : outputs_(outputs) {}

    /// Memory of the results for an output of item `index`: uninitialised; fill all of it.
    template <class T>
    [[nodiscard]] Span<T> alloc(std::size_t index, const std::string &name, const Shape &shape) {
        static_assert(dtype_of<T> >= 0, "no dtype is known for T; specialise toolpool::dtype_of");
        void *data = nullptr;
        detail::call(toolpool_outputs_alloc, outputs_, index, detail::c_str(name), dtype_of<T>,
                     shape.data(), shape.size(), &data);
        std::size_t size = 1;
        for (const std::int64_t axis : shape)
            size *= static_cast<std::size_t>(axis);
        return {static_cast<T *>(data), size};
    }

    /// Says that item `index` cannot be done; the others are not affected.
    void fail(std::size_t index, const std::string &message,
              toolpool_status_t status = TOOLPOOL_ERR_ITEM) {
        check(toolpool_outputs_fail(outputs_, index, status, message.c_str()), index);
    }

    /// Adds a remark on item `index`, which the caller reads by Item::warning().
    void warn(std::size_t index, const std::string &message) {
        check(toolpool_outputs_warn(outputs_, index, message.c_str()), index);
    }

    /// Adds `amount` to what Report::counts() says of `name`.
    void count(const std::string &name, double amount) {
        const toolpool_status_t status =
            toolpool_outputs_count(outputs_, detail::c_str(name), amount);
        if (status < 0)
            throw Error(status, "'" + name + "' is not UTF-8, or what it counts not a number");
    }

  private:
    static void check(toolpool_status_t status, std::size_t index) {
        if (status < 0)
            throw Error(status, "there is no item " + std::to_string(index) + " in this batch");
    }

    toolpool_outputs_t *outputs_;
};

/// How the items of a lambda tool are ordered and cut into batches. `cost` and `extent` get the
/// first field of an item, and must be safe to call from several threads; what they throw comes out
/// of Pool::run() or Pool::submit().
struct Batching {
    std::function<double(std::string_view)> cost;          ///< Work, in any unit. Else: the length.
    std::function<std::uint64_t(std::string_view)> extent; ///< Share of `budget`. Else: the length.
    std::uint64_t budget = 0; ///< What the extents of a batch add up to at most. 0: 1 MiB.
    std::uint64_t items = 0;  ///< How many items a batch has at most. 0: 4,096.
};

namespace detail {

/// What `cost` or `extent` threw on this thread: they have no error to return.
inline std::exception_ptr &thrown() noexcept {
    thread_local std::exception_ptr exception;
    return exception;
}

/// Returns what `estimate` returns, or puts aside what it throws.
template <class T, class Estimate>
T estimated(const Estimate &estimate, const void *data, std::size_t size, T otherwise) noexcept {
    try {
        return estimate(std::string_view(static_cast<const char *>(data), size));
    } catch (...) {
        thrown() = std::current_exception();
        return otherwise;
    }
}

/// Makes a call that asks for costs and extents, and throws what they threw.
template <class Call> auto planned(Call call) {
    thrown() = nullptr;
    try {
        auto result = call();
        if (!thrown())
            return result;
    } catch (const Error &) {
        if (!thrown())
            throw;
    }
    std::rethrow_exception(std::exchange(thrown(), nullptr));
}

/// Runs code of a lambda for C: what it throws becomes a status and a message.
template <class Body> toolpool_status_t guard(toolpool_error_t **err, Body body) noexcept {
    try {
        body();
        return TOOLPOOL_OK;
    } catch (const Error &error) {
        return toolpool_error_set(err, error.status(), error.what());
    } catch (const std::bad_alloc &error) {
        return toolpool_error_set(err, TOOLPOOL_ERR_OUT_OF_MEMORY, error.what());
    } catch (const std::exception &error) {
        return toolpool_error_set(err, TOOLPOOL_ERR_FAILED, error.what());
    } catch (...) {
        return toolpool_error_set(err, TOOLPOOL_ERR_FAILED, "it threw what is no std::exception");
    }
}

/// The lambdas of a tool; toolpool owns it from the moment that the tool is made.
template <class Load, class Run> struct Lambdas {
    using State = std::decay_t<std::invoke_result_t<const Load &, const Device &>>;

    Load load;
    Run run;
    Batching batching;

    static const Lambdas &of(const void *user) noexcept {
        return *static_cast<const Lambdas *>(user);
    }

    toolpool_callbacks_t table() const {
        toolpool_callbacks_t table = TOOLPOOL_CALLBACKS_INIT;
        table.batch_budget = batching.budget;
        table.batch_items = batching.items;
        table.load = [](void *user, const Device *device, void **state, toolpool_error_t **err) {
            return guard(err, [&] { *state = new State(of(user).load(*device)); });
        };
        table.run = [](void *state, const toolpool_batch_t *batch, toolpool_outputs_t *outputs,
                       toolpool_error_t **err) {
            return guard(err, [&] {
                of(toolpool_batch_user(batch))
                    .run(*static_cast<State *>(state), Batch(batch), Outputs(outputs));
            });
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

/// A tool with its options. Jobs keep what was set when they were submitted.
class Tool : public detail::Handle<toolpool_tool_t, toolpool_tool_free> {
  public:
    /// Opens a tool by name; toolpool_tool_open() lists the kinds.
    explicit Tool(const std::string &kind, const std::string &source = "",
                  std::initializer_list<std::pair<std::string, std::string>> options = {})
        : Handle(detail::make<toolpool_tool_t>(toolpool_tool_open, detail::c_str(kind),
                                               detail::c_str(source))) {
        for (const auto &[key, value] : options)
            set(key, value);
    }

    void set(const std::string &key, const std::string &value) {
        detail::call(toolpool_tool_set, get(), detail::c_str(key), detail::c_str(value));
    }

    /// Makes a tool of lambdas, with a state for each worker.
    ///
    /// What they throw is the error of the batch, which is split until the guilty item stands
    /// alone; std::bad_alloc is TOOLPOOL_ERR_OUT_OF_MEMORY, an Error keeps its status. They are
    /// destroyed once, on any thread, after the last state.
    ///
    /// @param load  `State(const Device &)`, called once on each worker's own thread; the State
    /// dies
    ///              there
    /// @param run   `void(State &, Batch, Outputs)`, called by several workers at once, each with
    ///              its State
    template <class Load, class Run,
              class = std::enable_if_t<std::is_invocable_v<const Load &, const Device &>>>
    [[nodiscard]] static Tool from(const std::string &name, Load load, Run run,
                                   Batching batching = {}) {
        using Lambdas = detail::Lambdas<Load, Run>;
        std::unique_ptr<Lambdas> lambdas(
            new Lambdas{std::move(load), std::move(run), std::move(batching)});
        const toolpool_callbacks_t table = lambdas->table();
        Tool tool(detail::make<toolpool_tool_t>(toolpool_tool_from_callbacks, detail::c_str(name),
                                                &table, lambdas.get()));
        static_cast<void>(lambdas.release());
        return tool;
    }

    /// The same without a state: `run` is `void(Batch, Outputs)`.
    template <class Run, class = std::enable_if_t<std::is_invocable_v<const Run &, Batch, Outputs>>>
    [[nodiscard]] static Tool from(const std::string &name, Run run, Batching batching = {}) {
        struct Nothing {};
        return from(
            name, [](const Device &) { return Nothing{}; },
            [run = std::move(run)](Nothing &, Batch batch, Outputs outputs) {
                run(batch, outputs);
            },
            std::move(batching));
    }

  private:
    explicit Tool(toolpool_tool_t *tool) noexcept : Handle(tool) {}
};

} // namespace toolpool

#endif // TOOLPOOL_TOOL_HPP
