/// @file
/// What became of the items of a job. Part of toolpool.hpp.
///
/// SPDX-License-Identifier: MIT OR Apache-2.0
#ifndef TOOLPOOL_RESULTS_HPP
#define TOOLPOOL_RESULTS_HPP

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <toolpool.h>
#include <toolpool/error.hpp>
#include <toolpool/tensor.hpp>

namespace toolpool {

/// What became of one item. A view, valid as long as its Results; it may outlive their iterator.
class Item {
  public:
    Item(const toolpool_results_t *results, std::size_t position) noexcept
        : results_(results), position_(position) {}

    /// The caller's index of the item.
    [[nodiscard]] std::size_t index() const noexcept {
        return toolpool_results_index(results_, position_);
    }
    [[nodiscard]] bool ok() const noexcept { return status() == TOOLPOOL_OK; }
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
    /// The output `name`. Throws Error if there is none, or, with its error, if the item failed.
    [[nodiscard]] Tensor operator[](const std::string &name) const {
        toolpool_tensor_t tensor = TOOLPOOL_TENSOR_INIT;
        detail::call(toolpool_results_tensor, results_, position_, detail::c_str(name), &tensor);
        return Tensor(tensor);
    }

  private:
    const toolpool_results_t *results_;
    std::size_t position_;
};

/// What became of the items of a job. Outlives job and pool.
class Results : public detail::Handle<toolpool_results_t, toolpool_results_free> {
  public:
    class Iterator {
      public:
        using iterator_category = std::input_iterator_tag;
        using value_type = Item;
        using difference_type = std::ptrdiff_t;
        using pointer = void;
        using reference = Item;

        Iterator(const toolpool_results_t *results, std::size_t position) noexcept
            : results_(results), position_(position) {}

        Item operator*() const noexcept { return {results_, position_}; }
        Iterator &operator++() noexcept {
            ++position_;
            return *this;
        }
        Iterator operator++(int) noexcept { return {results_, position_++}; }
        friend bool operator==(const Iterator &a, const Iterator &b) noexcept {
            return a.position_ == b.position_;
        }
        friend bool operator!=(const Iterator &a, const Iterator &b) noexcept { return !(a == b); }

      private:
        const toolpool_results_t *results_;
        std::size_t position_;
    };

    [[nodiscard]] std::size_t size() const noexcept { return toolpool_results_len(get()); }
    [[nodiscard]] bool empty() const noexcept { return size() == 0; }
    [[nodiscard]] Iterator begin() const noexcept { return {get(), 0}; }
    [[nodiscard]] Iterator end() const noexcept { return {get(), size()}; }

    /// The item at `position`, below size(). Not of temporary Results, which it would outlive.
    [[nodiscard]] Item operator[](std::size_t position) const & noexcept {
        return {get(), position};
    }
    Item operator[](std::size_t) const && = delete;

    /// Whether some item failed.
    [[nodiscard]] bool partial() const noexcept { return partial_; }

    /// Throws the Error of the first item that failed, if one did.
    void raise_if_partial() const {
        if (!partial_)
            return;
        std::optional<Item> first;
        std::size_t failed = 0;
        for (const Item item : *this)
            if (!item.ok() && failed++ == 0)
                first = item;
        if (first)
            throw Error(first->status(),
                        std::to_string(failed) + " of " + std::to_string(size()) +
                            " items failed; the first, item " + std::to_string(first->index()) +
                            ": " + std::string(first->error()),
                        first->index());
    }

    /// The names of all outputs; items may have different ones.
    [[nodiscard]] std::vector<std::string> outputs() const {
        std::vector<std::string> names;
        for (std::size_t output = 0; output < toolpool_results_outputs(get()); ++output)
            names.emplace_back(toolpool_results_output_name(get(), output));
        return names;
    }

    /// One output of all items, with no copy. Throws Error if none has it, or of another type.
    template <class T> [[nodiscard]] Column<T> column(const std::string &name) const & {
        toolpool_column_t column = TOOLPOOL_COLUMN_INIT;
        detail::call(toolpool_results_column, get(), detail::c_str(name), &column);
        detail::check_dtype<T>(column.dtype);
        return Column<T>(column);
    }
    template <class T> Column<T> column(const std::string &name) const && = delete;

    /// A copy of one output of all items, row after row. Throws Error, with the item, if one failed
    /// or has another shape than the first.
    template <class T> [[nodiscard]] std::vector<T> stack(const std::string &name) const {
        static_assert(!std::is_same_v<T, bool>, "std::vector<bool> holds bits; use column<bool>");
        if (empty())
            return {};
        toolpool_tensor_t tensor = TOOLPOOL_TENSOR_INIT;
        const char *output = detail::c_str(name);
        detail::call(toolpool_results_stack, get(), output, nullptr, std::size_t{0}, &tensor);
        detail::check_dtype<T>(tensor.dtype);
        std::vector<T> rows(tensor.bytes / sizeof(T));
        detail::call(toolpool_results_stack, get(), output, rows.data(), tensor.bytes, &tensor);
        return rows;
    }

  private:
    friend class Job;
    friend class Pool;
    Results(toolpool_results_t *results, bool partial) noexcept
        : Handle(results), partial_(partial) {}

    /// Calls a function that gives results.
    template <class Function, class... Arguments>
    static Results from(Function function, Arguments... arguments) {
        toolpool_results_t *results = nullptr;
        const toolpool_status_t status = detail::call(function, arguments..., &results);
        return {results, status == TOOLPOOL_PARTIAL};
    }

    bool partial_;
};

} // namespace toolpool

#endif // TOOLPOOL_RESULTS_HPP
