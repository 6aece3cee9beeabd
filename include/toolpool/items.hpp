/// @file
/// The items of a job. Part of toolpool.hpp.
///
/// SPDX-License-Identifier: MIT OR Apache-2.0
#ifndef TOOLPOOL_ITEMS_HPP
#define TOOLPOOL_ITEMS_HPP

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <toolpool.h>
#include <toolpool/handle.hpp>
#include <toolpool/tensor.hpp>

namespace toolpool {
inline namespace TOOLPOOL_MODE {

namespace detail {

using Owner = std::shared_ptr<const void>;

inline void let_go(void *owner) noexcept { delete static_cast<Owner *>(owner); }

/// Hands `borrow` a release function and its pointer that keep `owner` alive, if it succeeds; none
/// if there is no owner.
template <class Borrow> auto keep_alive(Owner owner, const Borrow &borrow) {
    auto kept = owner ? std::make_unique<Owner>(std::move(owner)) : nullptr;
    auto result = borrow(kept ? let_go : toolpool_release_t(nullptr), kept.get());
    if (result)
        static_cast<void>(kept.release());
    return result;
}

template <class Range>
using Category =
    typename std::iterator_traits<decltype(std::begin(std::declval<Range &>()))>::iterator_category;

/// Whether going over a range leaves it as it is, and makes none of its elements anew.
template <class Range, class = void> struct IsLasting : std::false_type {};
template <class Range>
struct IsLasting<Range, std::void_t<Category<Range>>>
    : std::is_base_of<std::forward_iterator_tag, Category<Range>> {};

/// Strings one after the other, in Arrow's layout.
struct Packed {
    std::string data;
    std::vector<std::int64_t> offsets{0};

    template <class Range> explicit Packed(Range &range) {
        if constexpr (IsLasting<Range>::value)
            reserve(range);
        for (auto &&item : range) {
            data.append(std::string_view(item));
            offsets.push_back(static_cast<std::int64_t>(data.size()));
        }
    }
    std::size_t size() const noexcept { return offsets.size() - 1; }

  private:
    template <class Range> void reserve(Range &range) {
        std::size_t bytes = 0, count = 0;
        for (auto &&item : range) {
            bytes += std::string_view(item).size();
            ++count;
        }
        data.reserve(bytes);
        offsets.reserve(count + 1);
    }
};

/// Ranges whose elements are strings: char pointers, std::string, std::string_view ...
template <class Range>
using IfStrings = std::enable_if_t<
    std::is_convertible_v<decltype(*std::begin(std::declval<Range &>())), std::string_view>>;

/// A view of each vector as a tensor of one dimension.
template <class T>
std::vector<toolpool_tensor_t> views(const std::vector<std::vector<T>> &vectors) {
    std::vector<toolpool_tensor_t> views;
    views.reserve(vectors.size());
    for (const std::vector<T> &vector : vectors)
        views.push_back(toolpool::view(vector.data(), {vector.size()}));
    return views;
}

} // namespace detail

/// The items of a batch: byte strings or tensors, of one or more named fields each. Jobs keep what
/// they need of them; strings are copied once, borrowed memory is not.
class Items : public detail::Handle<toolpool_items_t, toolpool_items_free> {
  public:
    using Handle::Handle;

    /// Copies strings; their field is called `input`.
    [[nodiscard]] static Fallible<Items> of(std::initializer_list<std::string_view> strings) {
        return detail::deliver(copied(strings));
    }

    /// The same, of any range of strings.
    template <class Range, class = detail::IfStrings<Range>>
    [[nodiscard]] static Fallible<Items> of(Range &&strings) {
        return detail::deliver(copied(strings));
    }

#ifndef TOOLPOOL_NO_EXCEPTIONS
    /// of(), so that calls take strings for items.
    Items(std::initializer_list<std::string_view> strings) : Items(of(strings)) {}
    template <class Range, class = detail::IfStrings<Range>>
    Items(Range &&strings) : Items(of(strings)) {}
#endif

    /// Items in memory that stays where it is, as in Arrow: item i lies from `data[offsets[i]]` to
    /// `data[offsets[i + 1]]`. A share of `owner` is kept until nothing reads data and offsets any
    /// more, and let go on any thread. Without owner only Pool::run() takes such items, and data
    /// and offsets must stay until it returns.
    ///
    /// @param offsets  `n + 1` std::int64_t or std::int32_t, in bytes
    template <class Offset>
    [[nodiscard]] static Fallible<Items> borrow(const void *data, const Offset *offsets,
                                                std::size_t n, std::shared_ptr<const void> owner) {
        return detail::deliver(borrowed(data, offsets, n, std::move(owner)));
    }

    /// Takes over a std::string, std::vector ... of bytes, and the offsets into it.
    template <class Data, class Offset>
    [[nodiscard]] static Fallible<Items> packed(Data data, std::vector<Offset> offsets) {
        static_assert(sizeof(*std::data(data)) == 1, "offsets count bytes");
        if (offsets.empty() || offsets.back() > static_cast<std::int64_t>(std::size(data)))
            return detail::deliver<Items>(
                Error(TOOLPOOL_ERR_ARGUMENT, "the offsets of n items are n + 1, and reach to the "
                                             "end of the data at most"));
        const auto kept = std::make_shared<const std::pair<Data, std::vector<Offset>>>(
            std::move(data), std::move(offsets));
        return borrow(std::data(kept->first), kept->second.data(), kept->second.size() - 1, kept);
    }

    /// Tensors in memory that stays where it is, one an item, of any types and shapes: view() makes
    /// them. Dense ones are read where they lie. `owner` is as in borrow().
    ///
    /// @param name  the input of the model that they are for; none: its position, `0`
    [[nodiscard]] static Fallible<Items> tensors(const std::vector<toolpool_tensor_t> &views,
                                                 std::shared_ptr<const void> owner,
                                                 const std::optional<std::string> &name = {}) {
        return detail::deliver(
            detail::keep_alive(std::move(owner), [&](toolpool_release_t release, void *user) {
                return detail::make<Items>(toolpool_items_from_tensors, name, views.data(),
                                           views.size(), release, user);
            }));
    }

    /// Takes over vectors, one an item, as tensors of one dimension.
    template <class T>
    [[nodiscard]] static Fallible<Items> tensors(std::vector<std::vector<T>> vectors,
                                                 const std::optional<std::string> &name = {}) {
        const auto kept = std::make_shared<const std::vector<std::vector<T>>>(std::move(vectors));
        return tensors(detail::views(*kept), kept, name);
    }

    /// Adds one more tensor to each item, as in tensors(). An Error unless there are size() of
    /// them.
    Fallible<void> add_tensors(const std::vector<toolpool_tensor_t> &views,
                               std::shared_ptr<const void> owner,
                               const std::optional<std::string> &name = {}) {
        return detail::deliver(
            detail::keep_alive(std::move(owner), [&](toolpool_release_t release, void *user) {
                return detail::done(toolpool_items_add_tensors, get(), name, views.data(),
                                    views.size(), release, user);
            }));
    }

    /// The same of vectors, which it takes over.
    template <class T>
    Fallible<void> add_tensors(std::vector<std::vector<T>> vectors,
                               const std::optional<std::string> &name = {}) {
        const auto kept = std::make_shared<const std::vector<std::vector<T>>>(std::move(vectors));
        return add_tensors(detail::views(*kept), kept, name);
    }

    /// Adds one more string to each item, copied. An Error unless there are size() of them.
    template <class Range = std::initializer_list<std::string_view>,
              class = detail::IfStrings<Range>>
    Fallible<void> add_field(const std::string &name, Range &&strings) {
        const auto packed = std::make_shared<const detail::Packed>(strings);
        return add_field(name, packed->data.data(), packed->offsets.data(), packed->size(), packed);
    }

    /// The same of memory that stays where it is, as in borrow().
    Fallible<void> add_field(const std::string &name, const void *data, const std::int64_t *offsets,
                             std::size_t n, std::shared_ptr<const void> owner) {
        return detail::deliver(
            detail::keep_alive(std::move(owner), [&](toolpool_release_t release, void *user) {
                return detail::done(toolpool_items_add_field, get(), name, data, offsets, n,
                                    release, user);
            }));
    }

    /// Sets what the items cost, in any unit, in place of the tool's estimate: the largest run
    /// first. An Error unless there are size() of them, none negative or NaN.
    Fallible<void> set_costs(const std::vector<double> &costs) {
        return detail::deliver(
            detail::done(toolpool_items_set_costs, get(), costs.data(), costs.size()));
    }

    /// How many items there are.
    [[nodiscard]] std::size_t size() const noexcept { return toolpool_items_len(get()); }

  private:
    template <class Range> static Result<Items> copied(Range &strings) {
        const auto packed = std::make_shared<const detail::Packed>(strings);
        return borrowed(packed->data.data(), packed->offsets.data(), packed->size(), packed);
    }

    template <class Offset>
    static Result<Items> borrowed(const void *data, const Offset *offsets, std::size_t n,
                                  detail::Owner owner) {
        constexpr bool wide = std::is_same_v<Offset, std::int64_t>;
        static_assert(wide || std::is_same_v<Offset, std::int32_t>,
                      "offsets are of std::int64_t or std::int32_t");
        return detail::keep_alive(std::move(owner), [&](toolpool_release_t release, void *user) {
            if constexpr (wide)
                return detail::make<Items>(toolpool_items_borrow, data, offsets, n, release, user);
            else
                return detail::make<Items>(toolpool_items_borrow32, data, offsets, n, release,
                                           user);
        });
    }
};

} // namespace TOOLPOOL_MODE
} // namespace toolpool

#endif // TOOLPOOL_ITEMS_HPP
