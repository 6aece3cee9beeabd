/// @file
/// What all calls and handles have in common. Part of toolpool.hpp.
///
/// SPDX-License-Identifier: MIT OR Apache-2.0
#ifndef TOOLPOOL_HANDLE_HPP
#define TOOLPOOL_HANDLE_HPP

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include <toolpool.h>
#include <toolpool/result.hpp>

namespace toolpool {
inline namespace TOOLPOOL_MODE {
namespace detail {

/// An argument as C takes it: strings are configuration, and end with a NUL.
template <class T> const T &plain(const T &argument) { return argument; }
inline const char *plain(const std::string &text) { return text.c_str(); }
inline const char *plain(const std::optional<std::string> &text) {
    return text ? text->c_str() : nullptr;
}

/// The text of an argument, if C would not see all of it.
template <class T> const std::string *cut_short(const T &) { return nullptr; }
inline const std::string *cut_short(const std::string &text) {
    return text.find('\0') == std::string::npos ? nullptr : &text;
}
inline const std::string *cut_short(const std::optional<std::string> &text) {
    return text ? cut_short(*text) : nullptr;
}

inline Error nul_error(const std::string &text) {
    return {TOOLPOOL_ERR_ARGUMENT,
            "after '" + std::string(text.c_str()) + "' comes a NUL character"};
}

/// Takes over an error of toolpool.h.
inline Error taken(toolpool_status_t status, toolpool_error_t *err) {
    const std::unique_ptr<toolpool_error_t, decltype(&toolpool_error_free)> owned(
        err, toolpool_error_free);
    const std::size_t item = toolpool_error_item(err);
    return {status, toolpool_error_message(err),
            item == SIZE_MAX ? std::nullopt : std::optional(item)};
}

/// Calls a function of toolpool.h whose last parameter is the error.
template <class Function, class... Arguments>
Result<toolpool_status_t> call(Function function, const Arguments &...arguments) {
    const std::string *bad = nullptr;
    static_cast<void>(((bad = detail::cut_short(arguments)) || ...));
    if (bad != nullptr)
        return detail::nul_error(*bad);
    toolpool_error_t *err = nullptr;
    const toolpool_status_t status = function(detail::plain(arguments)..., &err);
    if (status < 0)
        return detail::taken(status, err);
    return status;
}

/// The same, of one that tells no more than whether it was done.
template <class Function, class... Arguments>
Result<void> done(Function function, const Arguments &...arguments) {
    const auto status = detail::call(function, arguments...);
    return status ? Result<void>() : status.error();
}

/// The same, of one that gives a handle through the parameter before the error.
template <class Owner, class Function, class... Arguments>
Result<Owner> make(Function function, const Arguments &...arguments) {
    typename Owner::Raw *raw = nullptr;
    const auto status = detail::call(function, arguments..., &raw);
    if (!status)
        return status.error();
    return Owner(raw);
}

/// Sole owner of a handle of toolpool.h.
template <class T, void (*free)(T *)> class Handle {
  public:
    /// What toolpool.h calls it.
    using Raw = T;

    /// Takes over a handle of toolpool.h.
    explicit Handle(T *handle) noexcept : handle_(handle) {}
    /// 0 is no handle, but what was meant as something else: a number of devices, a name.
    explicit Handle(int) = delete;
    explicit Handle(std::nullptr_t) = delete;

    /// The handle, for calls of toolpool.h. It stays owned here; null after a move.
    [[nodiscard]] T *get() const noexcept { return handle_.get(); }

  private:
    struct Free {
        void operator()(T *handle) const noexcept { free(handle); }
    };
    std::unique_ptr<T, Free> handle_;
};

} // namespace detail
} // namespace TOOLPOOL_MODE
} // namespace toolpool

#endif // TOOLPOOL_HANDLE_HPP
