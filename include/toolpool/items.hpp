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
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <toolpool.h>
#include <toolpool/error.hpp>
#include <toolpool/tensor.hpp>

namespace toolpool {

namespace detail {

using Owner = std::shared_ptr<const void>;

inline void let_go(void *owner) noexcept { delete static_cast<Owner *>(owner); }

/// Hands `borrow` a release function and its pointer that keep `owner` alive; none if it is null.
template <class Borrow> void keep_alive(Owner owner, Borrow borrow) {
    auto kept = owner ? std::make_unique<Owner>(std::move(owner)) : nullptr;
    borrow(kept ? let_go : nullptr, kept.get());
    static_cast<void>(kept.release());
}

/// Strings one after the other, in Arrow's layout.
struct Packed {
    std::string data;
    std::vector<std::int64_t> offsets{0};

    template <class Range> explicit Packed(const Range &range) {
        std::size_t bytes = 0, count = 0;
        for (auto &&item : range) {
            bytes += std::string_view(item).size();
            ++count;
        }
        data.reserve(bytes);
        offsets.reserve(count + 1);
        for (auto &&item : range) {
            data.append(std::string_view(item));
            offsets.push_back(static_cast<std::int64_t>(data.size()));
        }
    }
    std::size_t size() const noexcept { return offsets.size() - 1; }
};

/// Ranges whose elements are strings: char pointers, std::string, std::string_view ...
template <class Range>
using IfStrings = std::enable_if_t<
    std::is_convertible_v<decltype(*std::begin(std::declval<const Range &>())), std::string_view>>;

inline toolpool_items_t *borrow(const void *data, const std::int64_t *offsets, std::size_t n,
                                Owner owner) {
    toolpool_items_t *items = nullptr;
    keep_alive(std::move(owner), [&](toolpool_release_t release, void *user) {
        items = make<toolpool_items_t>(toolpool_items_borrow, data, offsets, n, release, user);
    });
    return items;
}

inline toolpool_items_t *borrow(const void *data, const std::int32_t *offsets, std::size_t n,
                                Owner owner) {
    toolpool_items_t *items = nullptr;
    keep_alive(std::move(owner), [&](toolpool_release_t release, void *user) {
        items = make<toolpool_items_t>(toolpool_items_borrow32, data, offsets, n, release, user);
    });
    return items;
}

inline toolpool_items_t *borrow(std::shared_ptr<const Packed> packed) {
    const Packed &strings = *packed;
    return borrow(strings.data.data(), strings.offsets.data(), strings.size(), std::move(packed));
}

/// NULL stands for the position among the fields.
inline const char *field_name(const std::string &name) {
    return name.empty() ? nullptr : c_str(name);
}

inline toolpool_items_t *tensors(const std::vector<toolpool_tensor_t> &views, Owner owner,
                                 const std::string &name) {
    toolpool_items_t *items = nullptr;
    keep_alive(std::move(owner), [&](toolpool_release_t release, void *user) {
        items = make<toolpool_items_t>(toolpool_items_from_tensors, field_name(name), views.data(),
                                       views.size(), release, user);
    });
    return items;
}

/// A view of each vector as a tensor of one dimension.
template <class T>
std::vector<toolpool_tensor_t> views(const std::vector<std::vector<T>> &vectors) {
    std::vector<toolpool_tensor_t> views;
    views.reserve(vectors.size());
    for (const std::vector<T> &vector : vectors)
        views.push_back(view(vector.data(), {vector.size()}));
    return views;
}

} // namespace detail

/// The items of a batch: byte strings or tensors, of one or more named fields each. Jobs keep what
/// they need of them; strings are copied once, borrowed memory is not.
class Items : public detail::Handle<toolpool_items_t, toolpool_items_free> {
  public:
    /// Copies strings; their field is called `input`.
    Items(std::initializer_list<std::string_view> strings)
        : Handle(detail::borrow(std::make_shared<const detail::Packed>(strings))) {}

    /// The same, of any range of strings.
    template <class Range, class = detail::IfStrings<Range>>
    Items(const Range &strings)
        : Handle(detail::borrow(std::make_shared<const detail::Packed>(strings))) {}

    /// Items in memory that stays where it is, as in Arrow: item i lies from `data[offsets[i]]` to
    /// `data[offsets[i + 1]]`. A share of `owner` is kept until nothing reads data and offsets any
    /// more, and let go on any thread. Without owner only Pool::run() takes such items, and data
    /// and offsets must stay until it returns.
    ///
    /// @param offsets  `n + 1` std::int64_t or std::int32_t
    template <class Offset>
    [[nodiscard]] static Items borrow(const void *data, const Offset *offsets, std::size_t n,
                                      std::shared_ptr<const void> owner) {
        return Items(detail::borrow(data, offsets, n, std::move(owner)));
    }

    /// Takes over a std::string, std::vector ... of bytes, and the offsets into it.
    template <class Data, class Offset>
    [[nodiscard]] static Items packed(Data data, std::vector<Offset> offsets) {
        static_assert(sizeof(*std::data(data)) == 1, "offsets count bytes");
        if (offsets.empty() || offsets.back() > static_cast<std::int64_t>(std::size(data)))
            throw Error(
                TOOLPOOL_ERR_ARGUMENT,
                "the offsets of n items are n + 1, and reach to the end of the data at most");
        const auto kept = std::make_shared<const std::pair<Data, std::vector<Offset>>>(
            std::move(data), std::move(offsets));
        return borrow(std::data(kept->first), kept->second.data(), kept->second.size() - 1, kept);
    }

    /// Tensors in memory that stays where it is, one an item, of any types and shapes: view() makes
    /// them. Dense ones are read where they lie. `owner` is as in borrow().
    ///
    /// @param name  the input of the model that they are for; none: its position, `0`
    [[nodiscard]] static Items tensors(const std::vector<toolpool_tensor_t> &views,
                                       std::shared_ptr<const void> owner,
                                       const std::string &name = {}) {
        return Items(detail::tensors(views, std::move(owner), name));
    }

    /// Takes over vectors, one an item, as tensors of one dimension.
    template <class T>
    [[nodiscard]] static Items tensors(std::vector<std::vector<T>> vectors,
                                       const std::string &name = {}) {
        const auto kept = std::make_shared<const std::vector<std::vector<T>>>(std::move(vectors));
        return tensors(detail::views(*kept), kept, name);
    }

    /// Adds one more tensor to each item, as in tensors(). Throws Error unless there are size() of
    /// them.
    void add_tensors(const std::vector<toolpool_tensor_t> &views, std::shared_ptr<const void> owner,
                     const std::string &name = {}) {
        detail::keep_alive(std::move(owner), [&](toolpool_release_t release, void *user) {
            detail::call(toolpool_items_add_tensors, get(), detail::field_name(name), views.data(),
                         views.size(), release, user);
        });
    }

    /// The same of vectors, which it takes over.
    template <class T>
    void add_tensors(std::vector<std::vector<T>> vectors, const std::string &name = {}) {
        const auto kept = std::make_shared<const std::vector<std::vector<T>>>(std::move(vectors));
        add_tensors(detail::views(*kept), kept, name);
    }

    /// Adds one more string to each item, copied. Throws Error unless there are size() of them.
    template <class Range = std::initializer_list<std::string_view>,
              class = detail::IfStrings<Range>>
    void add_field(const std::string &name, const Range &strings) {
        const auto packed = std::make_shared<const detail::Packed>(strings);
        add_field(name, packed->data.data(), packed->offsets.data(), packed->size(), packed);
    }

    /// The same of memory that stays where it is, as in borrow().
    void add_field(const std::string &name, const void *data, const std::int64_t *offsets,
                   std::size_t n, std::shared_ptr<const void> owner) {
        detail::keep_alive(std::move(owner), [&](toolpool_release_t release, void *user) {
            detail::call(toolpool_items_add_field, get(), detail::c_str(name), data, offsets, n,
                         release, user);
        });
    }

    /// Sets what the items cost, in place of the tool's estimate: the largest run first.
    void set_costs(const std::vector<double> &costs) {
        detail::call(toolpool_items_set_costs, get(), costs.data(), costs.size());
    }

    [[nodiscard]] std::size_t size() const noexcept { return toolpool_items_len(get()); }

  private:
    explicit Items(toolpool_items_t *items) noexcept : Handle(items) {}
};

} // namespace toolpool

#endif // TOOLPOOL_ITEMS_HPP
