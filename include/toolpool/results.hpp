/// @file
/// What became of the items of a job. Part of toolpool.hpp.
///
/// SPDX-License-Identifier: MIT OR Apache-2.0
#ifndef TOOLPOOL_RESULTS_HPP
#define TOOLPOOL_RESULTS_HPP

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <toolpool.h>
#include <toolpool/handle.hpp>
#include <toolpool/iterator.hpp>
#include <toolpool/tensor.hpp>

namespace toolpool {
inline namespace TOOLPOOL_MODE {

/// What became of one item. A view, valid as long as its Results; it may outlive their iterator.
class Item {
  public:
    /// The item at `position` of results of toolpool.h.
    Item(const toolpool_results_t *results, std::size_t position) noexcept
        : results_(results), position_(position) {}

    /// The caller's index of the item; SIZE_MAX if there is none at the position.
    [[nodiscard]] std::size_t index() const noexcept {
        return toolpool_results_index(results_, position_);
    }
    /// Whether it was done.
    [[nodiscard]] bool ok() const noexcept { return status() == TOOLPOOL_OK; }
    /// TOOLPOOL_OK, or one of TOOLPOOL_ERR_*.
    [[nodiscard]] toolpool_status_t status() const noexcept {
        return toolpool_results_status(results_, position_);
    }
    /// Why it failed; empty if it did not.
    [[nodiscard]] std::string_view error() const noexcept {
        return toolpool_results_error(results_, position_);
    }
    /// What the tool remarked on it; empty if nothing.
    [[nodiscard]] std::string_view warning() const noexcept {
        return toolpool_results_warning(results_, position_);
    }
    /// The number of the slot that computed it; -1 if none did.
    [[nodiscard]] std::int32_t slot() const noexcept {
        return toolpool_results_slot(results_, position_);
    }
    /// The output `name`. An Error if there is none; if the item failed, its error.
    [[nodiscard]] Fallible<Tensor> operator[](const std::string &name) const {
        toolpool_tensor_t tensor = TOOLPOOL_TENSOR_INIT;
        const auto seen = detail::done(toolpool_results_tensor, results_, position_, name, &tensor);
        return detail::deliver(detail::after(seen, Tensor(tensor)));
    }

  private:
    const toolpool_results_t *results_;
    std::size_t position_;
};

namespace detail {

/// The items of results that may move meanwhile.
struct ItemsOf {
    const toolpool_results_t *results = nullptr;
    Item operator[](std::size_t position) const noexcept { return {results, position}; }
};

} // namespace detail

/// What became of the items of a job, a range of Item. Outlives job and pool; any thread may read
/// it.
class Results : public detail::Handle<toolpool_results_t, toolpool_results_free> {
  public:
    using Iterator = detail::Iterator<detail::ItemsOf, Item>;

    /// How many items there are.
    [[nodiscard]] std::size_t size() const noexcept { return toolpool_results_len(get()); }
    /// Whether there are none.
    [[nodiscard]] bool empty() const noexcept { return size() == 0; }
    /// The items, in their order; those of Job::next() in the order in which they finished.
    [[nodiscard]] Iterator begin() const noexcept { return {{get()}, 0}; }
    [[nodiscard]] Iterator end() const noexcept { return {{get()}, size()}; }

    /// The item at `position`, below size(). Not of temporary Results, which it would outlive.
    [[nodiscard]] Item operator[](std::size_t position) const & noexcept {
        return {get(), position};
    }
    Item operator[](std::size_t) const && = delete;

    /// Whether some item failed.
    [[nodiscard]] bool partial() const noexcept { return partial_; }

    /// An Error, that of the first item that failed, if one did.
    Fallible<void> raise_if_partial() const { return detail::deliver(failure()); }

    /// The names of all outputs; items may have different ones.
    [[nodiscard]] std::vector<std::string> outputs() const {
        std::vector<std::string> names;
        for (std::size_t output = 0; output < toolpool_results_outputs(get()); ++output)
            names.emplace_back(toolpool_results_output_name(get(), output));
        return names;
    }

    /// One output of all items, with no copy. An Error if none has it, or of another type.
    template <class T> [[nodiscard]] Fallible<Column<T>> column(const std::string &name) const & {
        toolpool_column_t column = TOOLPOOL_COLUMN_INIT;
        auto seen = detail::done(toolpool_results_column, get(), name, &column);
        if (seen)
            seen = detail::check_dtype<T>(column.dtype);
        return detail::deliver(detail::after(seen, Column<T>(column)));
    }
    template <class T> Fallible<Column<T>> column(const std::string &name) const && = delete;

    /// A copy of one output of all items, row after row: [size(), ...], empty for no items. An
    /// Error, with the item, if one failed or has another shape than the first.
    template <class T> [[nodiscard]] Fallible<std::vector<T>> stack(const std::string &name) const {
        static_assert(!std::is_same_v<T, bool>, "std::vector<bool> holds bits; use column<bool>");
        std::vector<T> rows;
        const auto copied = empty() ? Result<void>() : copy(name, rows);
        return detail::deliver(detail::after(copied, std::move(rows)));
    }

  private:
    friend class Job;
    friend class Pool;
    Results(toolpool_results_t *results, bool partial) noexcept
        : Handle(results), partial_(partial) {}

    /// Calls a function that gives results.
    template <class Function, class... Arguments>
    static Result<Results> from(Function function, const Arguments &...arguments) {
        toolpool_results_t *results = nullptr;
        const auto status = detail::call(function, arguments..., &results);
        if (!status)
            return status.error();
        return Results(results, *status == TOOLPOOL_PARTIAL);
    }

    Result<void> failure() const {
        if (!partial_)
            return {};
        std::optional<Item> first;
        std::size_t failed = 0;
        for (const Item item : *this)
            if (!item.ok() && failed++ == 0)
                first = item;
        if (!first)
            return {};
        return Error(first->status(),
                     std::to_string(failed) + " of " + std::to_string(size()) +
                         " items failed; the first, item " + std::to_string(first->index()) + ": " +
                         std::string(first->error()),
                     first->index());
    }

    template <class T> Result<void> copy(const std::string &name, std::vector<T> &rows) const {
        toolpool_tensor_t tensor = TOOLPOOL_TENSOR_INIT;
        void *const nowhere = nullptr;
        auto copied =
            detail::done(toolpool_results_stack, get(), name, nowhere, std::size_t{0}, &tensor);
        if (copied)
            copied = detail::check_dtype<T>(tensor.dtype);
        if (!copied)
            return copied;
        rows.resize(tensor.bytes / sizeof(T));
        return detail::done(toolpool_results_stack, get(), name, rows.data(), tensor.bytes,
                            &tensor);
    }

    bool partial_;
};

} // namespace TOOLPOOL_MODE
} // namespace toolpool

#endif // TOOLPOOL_RESULTS_HPP
