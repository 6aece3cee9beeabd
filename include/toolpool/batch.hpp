/// @file
/// What a tool of lambdas is given, and where it puts what it makes. Part of toolpool.hpp.
///
/// SPDX-License-Identifier: MIT OR Apache-2.0
#ifndef TOOLPOOL_BATCH_HPP
#define TOOLPOOL_BATCH_HPP

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <toolpool.h>
#include <toolpool/handle.hpp>
#include <toolpool/iterator.hpp>
#include <toolpool/tensor.hpp>

namespace toolpool {
inline namespace TOOLPOOL_MODE {

/// One item that a lambda is given: its fields. A view, valid during the call.
class BatchItem {
  public:
    /// The item `index` of a batch of toolpool.h.
    BatchItem(const toolpool_batch_t *batch, std::size_t index) noexcept
        : batch_(batch), index_(index) {}

    /// Its number in the batch, below Batch::size(): its outputs are `outputs[item.index()]`.
    [[nodiscard]] std::size_t index() const noexcept { return index_; }

    /// The field `name`, as a tensor; a string is one of bytes. An Error if there is none.
    [[nodiscard]] Fallible<Tensor> operator[](std::string_view name) const {
        return detail::deliver(field(number_of(name), name));
    }

    /// The same of a number, from 0, in the order in which the fields were added to the items.
    [[nodiscard]] Fallible<Tensor> operator[](std::size_t number) const {
        return detail::deliver(field(number, std::to_string(number)));
    }

    /// The first field, a string, valid during the call. An Error if it is a tensor of anything
    /// else.
    [[nodiscard]] Fallible<std::string_view> text() const {
        return detail::deliver(
            field(0, "0").and_then([](const Tensor &tensor) { return tensor.characters(); }));
    }

  private:
    /// SIZE_MAX, which no field has, if there is none.
    std::size_t number_of(std::string_view name) const noexcept {
        for (std::size_t number = 0; number < toolpool_batch_fields(batch_); ++number)
            if (name == toolpool_batch_field_name(batch_, number))
                return number;
        return SIZE_MAX;
    }

    Result<Tensor> field(std::size_t number, std::string_view asked) const {
        toolpool_tensor_t tensor = TOOLPOOL_TENSOR_INIT;
        if (toolpool_batch_tensor(batch_, index_, number, &tensor) < 0)
            return missing(asked);
        return Tensor(tensor);
    }

    Error missing(std::string_view asked) const {
        std::string known;
        for (std::size_t number = 0; number < toolpool_batch_fields(batch_); ++number)
            known += (known.empty() ? "" : ", ") +
                     std::string(toolpool_batch_field_name(batch_, number));
        return {TOOLPOOL_ERR_NOT_FOUND, "there is no field '" + std::string(asked) + "' of item " +
                                            std::to_string(index_) + " in a batch of " +
                                            std::to_string(toolpool_batch_len(batch_)) +
                                            "; the fields are " + known};
    }

    const toolpool_batch_t *batch_;
    std::size_t index_;
};

/// The items that a lambda is given in one call, a range of BatchItem. A view, valid during the
/// call.
class Batch {
  public:
    using Iterator = detail::Iterator<Batch, BatchItem>;

    /// Of no items.
    Batch() = default;
    /// That of toolpool.h.
    explicit Batch(const toolpool_batch_t *batch) noexcept : batch_(batch) {}

    /// How many items there are.
    [[nodiscard]] std::size_t size() const noexcept { return toolpool_batch_len(batch_); }
    /// The items, in their order.
    [[nodiscard]] Iterator begin() const noexcept { return {*this, 0}; }
    [[nodiscard]] Iterator end() const noexcept { return {*this, size()}; }

    /// The item `index`, below size().
    [[nodiscard]] BatchItem operator[](std::size_t index) const noexcept { return {batch_, index}; }

  private:
    const toolpool_batch_t *batch_ = nullptr;
};

/// Where a lambda puts the outputs of one item. A view, valid during the call; for one thread.
class ItemOutputs {
  public:
    /// Those of item `index`, of outputs of toolpool.h.
    ItemOutputs(toolpool_outputs_t *outputs, std::size_t index) noexcept
        : outputs_(outputs), index_(index) {}

    /// Memory of the results for the output `name`, row-major: uninitialised; fill all of it.
    /// Nothing is copied after.
    ///
    /// @tparam T     the type of its elements, one for all items; char or std::byte for strings
    /// @param shape  sizes, outermost first; `{}` for a scalar
    template <class T>
    [[nodiscard]] Fallible<Span<T>> alloc(const std::string &name, const Shape &shape) const {
        detail::require_dtype<T>();
        void *data = nullptr;
        const auto allocated = detail::done(toolpool_outputs_alloc, outputs_, index_, name,
                                            dtype_of<T>, shape.data(), shape.size(), &data);
        std::size_t size = 1;
        for (const std::int64_t axis : shape)
            size *= static_cast<std::size_t>(axis);
        return detail::deliver(
            detail::after(allocated, Span<T>(static_cast<T *>(data), allocated ? size : 0)));
    }

    /// Says that the item cannot be done; the others are not affected.
    Fallible<void> fail(const std::string &message,
                        toolpool_status_t status = TOOLPOOL_ERR_ITEM) const {
        return detail::deliver(
            told(toolpool_outputs_fail(outputs_, index_, status, message.c_str())));
    }

    /// Adds a remark, which the caller reads by Item::warning().
    Fallible<void> warn(const std::string &message) const {
        return detail::deliver(told(toolpool_outputs_warn(outputs_, index_, message.c_str())));
    }

  private:
    Result<void> told(toolpool_status_t status) const {
        if (status < 0)
            return Error(status, "there is no item " + std::to_string(index_) + " in this batch");
        return {};
    }

    toolpool_outputs_t *outputs_;
    std::size_t index_;
};

/// Where a lambda puts the outputs of a batch. A view, valid during the call; for one thread.
class Outputs {
  public:
    /// Those of toolpool.h.
    explicit Outputs(toolpool_outputs_t *outputs) noexcept : outputs_(outputs) {}

    /// Those of the item `index`, below Batch::size().
    [[nodiscard]] ItemOutputs operator[](std::size_t index) const noexcept {
        return {outputs_, index};
    }

    /// Adds `amount`, any number but NaN, to what Report::counts() says of `name`.
    Fallible<void> count(const std::string &name, double amount) const {
        return detail::deliver(counted(name, amount));
    }

  private:
    Result<void> counted(const std::string &name, double amount) const {
        if (detail::cut_short(name))
            return detail::nul_error(name);
        const auto status = toolpool_outputs_count(outputs_, name.c_str(), amount);
        if (status < 0)
            return Error(status, "'" + name + "' is not UTF-8, or what it counts not a number");
        return {};
    }

    toolpool_outputs_t *outputs_;
};

} // namespace TOOLPOOL_MODE
} // namespace toolpool

#endif // TOOLPOOL_BATCH_HPP
