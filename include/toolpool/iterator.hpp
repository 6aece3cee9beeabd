/// @file
/// How loops and algorithms go over views. Part of toolpool.hpp.
///
/// SPDX-License-Identifier: MIT OR Apache-2.0
#ifndef TOOLPOOL_ITERATOR_HPP
#define TOOLPOOL_ITERATOR_HPP

#include <cstddef>
#include <iterator>

#include <toolpool/result.hpp>

namespace toolpool {
inline namespace TOOLPOOL_MODE {
namespace detail {

/// Goes over the elements that a View gives by position. They are made, not referred to: so it is a
/// random-access iterator to C++20, and to C++17 an input iterator.
template <class View, class Element> class Iterator {
    /// Holds the element that `->` looks into.
    struct Arrow {
        Element element;
        const Element *operator->() const noexcept { return &element; }
    };

  public:
    using iterator_concept = std::random_access_iterator_tag;
    using iterator_category = std::input_iterator_tag;
    using value_type = Element;
    using difference_type = std::ptrdiff_t;
    using pointer = Arrow;
    using reference = Element;

    Iterator() = default;
    Iterator(View view, std::size_t position) noexcept : view_(view), position_(position) {}

    [[nodiscard]] Element operator*() const noexcept { return view_[position_]; }
    [[nodiscard]] Arrow operator->() const noexcept { return {**this}; }
    [[nodiscard]] Element operator[](difference_type n) const noexcept { return *(*this + n); }

    Iterator &operator+=(difference_type n) noexcept {
        position_ += static_cast<std::size_t>(n);
        return *this;
    }
    Iterator &operator-=(difference_type n) noexcept { return *this += -n; }
    Iterator &operator++() noexcept { return *this += 1; }
    Iterator &operator--() noexcept { return *this -= 1; }
    Iterator operator++(int) noexcept {
        const Iterator before = *this;
        ++*this;
        return before;
    }
    Iterator operator--(int) noexcept {
        const Iterator before = *this;
        --*this;
        return before;
    }

    friend Iterator operator+(Iterator it, difference_type n) noexcept { return it += n; }
    friend Iterator operator+(difference_type n, Iterator it) noexcept { return it += n; }
    friend Iterator operator-(Iterator it, difference_type n) noexcept { return it -= n; }
    friend difference_type operator-(const Iterator &a, const Iterator &b) noexcept {
        return static_cast<difference_type>(a.position_) -
               static_cast<difference_type>(b.position_);
    }
    friend bool operator==(const Iterator &a, const Iterator &b) noexcept {
        return a.position_ == b.position_;
    }
    friend bool operator!=(const Iterator &a, const Iterator &b) noexcept { return !(a == b); }
    friend bool operator<(const Iterator &a, const Iterator &b) noexcept {
        return a.position_ < b.position_;
    }
    friend bool operator>(const Iterator &a, const Iterator &b) noexcept { return b < a; }
    friend bool operator<=(const Iterator &a, const Iterator &b) noexcept { return !(b < a); }
    friend bool operator>=(const Iterator &a, const Iterator &b) noexcept { return !(a < b); }

  private:
    View view_{};
    std::size_t position_ = 0;
};

} // namespace detail
} // namespace TOOLPOOL_MODE
} // namespace toolpool

#endif // TOOLPOOL_ITERATOR_HPP
