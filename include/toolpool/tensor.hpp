/// @file
/// Views of inputs and outputs: dense, row-major elements. Part of toolpool.hpp.
///
/// SPDX-License-Identifier: MIT OR Apache-2.0
#ifndef TOOLPOOL_TENSOR_HPP
#define TOOLPOOL_TENSOR_HPP

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>
#include <type_traits>

#include <toolpool.h>
#include <toolpool/iterator.hpp>
#include <toolpool/result.hpp>

#ifdef __cpp_lib_span
#include <span>
#endif

namespace toolpool {
inline namespace TOOLPOOL_MODE {

/// The element type of tensors of T. Specialise it for half-precision types of your own:
/// `template <> inline constexpr toolpool_dtype_t toolpool::dtype_of<Half> = TOOLPOOL_FLOAT16;`
template <class T> inline constexpr toolpool_dtype_t dtype_of = -1;
template <> inline constexpr toolpool_dtype_t dtype_of<char> = TOOLPOOL_BYTES;
template <> inline constexpr toolpool_dtype_t dtype_of<std::byte> = TOOLPOOL_BYTES;
template <> inline constexpr toolpool_dtype_t dtype_of<float> = TOOLPOOL_FLOAT32;
template <> inline constexpr toolpool_dtype_t dtype_of<double> = TOOLPOOL_FLOAT64;
template <> inline constexpr toolpool_dtype_t dtype_of<std::int8_t> = TOOLPOOL_INT8;
template <> inline constexpr toolpool_dtype_t dtype_of<std::uint8_t> = TOOLPOOL_UINT8;
template <> inline constexpr toolpool_dtype_t dtype_of<std::int16_t> = TOOLPOOL_INT16;
template <> inline constexpr toolpool_dtype_t dtype_of<std::int32_t> = TOOLPOOL_INT32;
template <> inline constexpr toolpool_dtype_t dtype_of<std::int64_t> = TOOLPOOL_INT64;
template <> inline constexpr toolpool_dtype_t dtype_of<bool> = TOOLPOOL_BOOL;

namespace detail {

inline const char *dtype_name(toolpool_dtype_t dtype) noexcept {
    constexpr const char *names[] = {"bytes", "float32", "float64", "float16", "bfloat16", "int8",
                                     "uint8", "int16",   "int32",   "int64",   "bool"};
    const auto known = static_cast<toolpool_dtype_t>(std::size(names));
    return dtype >= 0 && dtype < known ? names[dtype] : "a type that this header does not know";
}

template <class T> constexpr void require_dtype() {
    static_assert(dtype_of<T> >= 0, "no dtype is known for T; specialise toolpool::dtype_of");
}

template <class T> Result<void> check_dtype(toolpool_dtype_t found) {
    require_dtype<T>();
    if (found == dtype_of<T>)
        return {};
    return Error(TOOLPOOL_ERR_ARGUMENT, std::string("the tensor is of ") + dtype_name(found) +
                                            ", but was asked for as " + dtype_name(dtype_of<T>));
}

} // namespace detail

#ifdef __cpp_lib_span
/// A view of contiguous elements.
template <class T> using Span = std::span<T>;
#else
/// A view of contiguous elements: std::span where C++20 is.
template <class T> class Span {
  public:
    using element_type = T;
    using value_type = std::remove_cv_t<T>;
    using iterator = T *;

    constexpr Span() noexcept = default;
    constexpr Span(T *data, std::size_t size) noexcept : data_(data), size_(size) {}
    /// Of the same elements, not to be written to.
    template <class U, class = std::enable_if_t<std::is_same_v<const U, T>>>
    constexpr Span(const Span<U> &span) noexcept : Span(span.data(), span.size()) {}

    [[nodiscard]] constexpr T *data() const noexcept { return data_; }
    [[nodiscard]] constexpr std::size_t size() const noexcept { return size_; }
    [[nodiscard]] constexpr bool empty() const noexcept { return size_ == 0; }
    [[nodiscard]] constexpr T *begin() const noexcept { return data_; }
    [[nodiscard]] constexpr T *end() const noexcept { return data_ + size_; }
    [[nodiscard]] constexpr T &operator[](std::size_t index) const noexcept { return data_[index]; }
    [[nodiscard]] constexpr T &front() const noexcept { return data_[0]; }
    [[nodiscard]] constexpr T &back() const noexcept { return data_[size_ - 1]; }

  private:
    T *data_ = nullptr;
    std::size_t size_ = 0;
};
#endif

/// The sizes of a tensor, outermost first; none for a scalar. A value.
class Shape {
  public:
    /// `{rows, columns}`, of any integers.
    template <class... Sizes, class = std::enable_if_t<(std::is_integral_v<Sizes> && ...)>>
    Shape(Sizes... sizes) noexcept
        : sizes_{static_cast<std::int64_t>(sizes)...}, ndim_(sizeof...(Sizes)) {
        static_assert(sizeof...(Sizes) <= TOOLPOOL_MAX_NDIM, "too many dimensions");
    }

    /// That of a view of toolpool.h.
    explicit Shape(const toolpool_tensor_t &tensor) noexcept
        : ndim_(static_cast<std::size_t>(tensor.ndim)) {
        std::copy_n(tensor.shape, ndim_, sizes_);
    }

    /// How many dimensions there are; up to TOOLPOOL_MAX_NDIM.
    [[nodiscard]] std::size_t size() const noexcept { return ndim_; }
    [[nodiscard]] const std::int64_t *data() const noexcept { return sizes_; }
    [[nodiscard]] const std::int64_t *begin() const noexcept { return sizes_; }
    [[nodiscard]] const std::int64_t *end() const noexcept { return sizes_ + ndim_; }
    /// The size of dimension `axis`, below size(), in elements.
    [[nodiscard]] std::int64_t operator[](std::size_t axis) const noexcept { return sizes_[axis]; }

    friend bool operator==(const Shape &a, const Shape &b) noexcept {
        return std::equal(a.begin(), a.end(), b.begin(), b.end());
    }
    friend bool operator!=(const Shape &a, const Shape &b) noexcept { return !(a == b); }

  private:
    std::int64_t sizes_[TOOLPOOL_MAX_NDIM] = {};
    std::size_t ndim_;
};

/// A view of dense, row-major elements of yours, as an input for Items::tensors(). Your memory
/// stays yours.
template <class T> [[nodiscard]] toolpool_tensor_t view(const T *data, const Shape &shape) {
    detail::require_dtype<T>();
    toolpool_tensor_t tensor = TOOLPOOL_TENSOR_INIT;
    tensor.data = data;
    tensor.bytes = sizeof(T);
    for (const std::int64_t size : shape)
        tensor.bytes *= static_cast<std::size_t>(size);
    tensor.dtype = dtype_of<T>;
    tensor.ndim = static_cast<std::int32_t>(shape.size());
    std::copy(shape.begin(), shape.end(), tensor.shape);
    return tensor;
}

/// A read-only view of one output of an item, valid as long as its Results, or of one field of an
/// item that a lambda is given, valid during that call. Dense, row-major, aligned to its elements.
class Tensor {
  public:
    /// A view as toolpool.h gives it.
    explicit Tensor(const toolpool_tensor_t &tensor) noexcept : tensor_(tensor) {}

    /// The type of its elements: TOOLPOOL_FLOAT32 ...; TOOLPOOL_BYTES for text.
    [[nodiscard]] toolpool_dtype_t dtype() const noexcept { return tensor_.dtype; }
    /// Its sizes, outermost first.
    [[nodiscard]] Shape shape() const noexcept { return Shape(tensor_); }
    /// Its first element; owned by what it is a view of.
    [[nodiscard]] const void *data() const noexcept { return tensor_.data; }
    /// Length of all elements, in bytes.
    [[nodiscard]] std::size_t bytes() const noexcept { return tensor_.bytes; }

    /// Its elements, valid as long as it is. An Error if they are of another type.
    template <class T> [[nodiscard]] Fallible<Span<const T>> as() const {
        return detail::deliver(elements<T>());
    }

    /// Bytes as text, valid as long as it is. An Error if it is of anything else.
    [[nodiscard]] Fallible<std::string_view> text() const { return detail::deliver(characters()); }

  private:
    friend class BatchItem;

    template <class T> Result<Span<const T>> elements() const {
        const auto same = detail::check_dtype<T>(tensor_.dtype);
        if (!same)
            return same.error();
        return Span<const T>(static_cast<const T *>(tensor_.data), tensor_.bytes / sizeof(T));
    }

    Result<std::string_view> characters() const {
        return elements<char>().and_then([](Span<const char> bytes) {
            return Result<std::string_view>({bytes.data(), bytes.size()});
        });
    }

    toolpool_tensor_t tensor_;
};

/// One output of all items where it lies, valid as long as its Results. A range of Span<const T>.
template <class T> class Column {
  public:
    using Iterator = detail::Iterator<Column, Span<const T>>;

    /// Of no items.
    Column() = default;
    /// A view as toolpool.h gives it, of type T.
    explicit Column(const toolpool_column_t &column) noexcept : column_(column) {}

    /// How many items there are.
    [[nodiscard]] std::size_t size() const noexcept { return column_.n_rows; }
    /// The elements of each item, in the order of the results.
    [[nodiscard]] Iterator begin() const noexcept { return {*this, 0}; }
    [[nodiscard]] Iterator end() const noexcept { return {*this, size()}; }

    /// The elements of item `index`, below size(); none if it failed or lacks the output.
    [[nodiscard]] Span<const T> operator[](std::size_t index) const noexcept {
        const toolpool_row_t &row = column_.rows[index];
        if (row.chunk == UINT32_MAX)
            return {};
        const auto *chunk = static_cast<const char *>(column_.chunks[row.chunk].data);
        return {reinterpret_cast<const T *>(chunk + row.offset),
                static_cast<std::size_t>(row.bytes) / sizeof(T)};
    }

  private:
    toolpool_column_t column_ = TOOLPOOL_COLUMN_INIT;
};

} // namespace TOOLPOOL_MODE
} // namespace toolpool

#endif // TOOLPOOL_TENSOR_HPP
