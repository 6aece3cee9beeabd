/// @file
/// Errors, and what all calls and handles have in common. Part of toolpool.hpp.
///
/// SPDX-License-Identifier: MIT OR Apache-2.0
#ifndef TOOLPOOL_ERROR_HPP
#define TOOLPOOL_ERROR_HPP

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>

#include <toolpool.h>

namespace toolpool {

/// What failed calls throw; lambdas of tools may throw it too, to choose the status.
class Error : public std::runtime_error {
  public:
    /// @param status  one of TOOLPOOL_ERR_*
    Error(toolpool_status_t status, const std::string &message,
          std::optional<std::size_t> item = std::nullopt)
        : std::runtime_error(message), status_(status), item_(item) {}

    [[nodiscard]] toolpool_status_t status() const noexcept { return status_; }

    /// The caller's index of the item that it concerns, if it concerns one.
    [[nodiscard]] std::optional<std::size_t> item() const noexcept { return item_; }

  private:
    toolpool_status_t status_;
    std::optional<std::size_t> item_;
};

namespace detail {

/// Calls a function of toolpool.h whose last parameter is the error, and throws that error.
template <class Function, class... Arguments>
toolpool_status_t call(Function function, Arguments... arguments) {
    toolpool_error_t *err = nullptr;
    const toolpool_status_t status = function(arguments..., &err);
    if (status >= 0)
        return status;
    const std::unique_ptr<toolpool_error_t, decltype(&toolpool_error_free)> owned(
        err, toolpool_error_free);
    const std::size_t item = toolpool_error_item(err);
    throw Error(status, toolpool_error_message(err),
                item == SIZE_MAX ? std::nullopt : std::optional(item));
}

/// The same for functions that give a T through the parameter before the error.
template <class T, class Function, class... Arguments>
T *make(Function function, Arguments... arguments) {
    T *out = nullptr;
    call(function, arguments..., &out);
    return out;
}

/// A configuration string for C, which would not see what follows a NUL.
inline const char *c_str(const std::string &text) {
    if (text.find('\0') != std::string::npos)
        throw Error(TOOLPOOL_ERR_ARGUMENT,
                    "after '" + std::string(text.c_str()) + "' comes a NUL character");
    return text.c_str();
}

/// Sole owner of a handle of toolpool.h.
template <class T, void (*free)(T *)> class Handle {
  public:
    /// The handle, for calls of toolpool.h. It stays owned here; null after a move.
    [[nodiscard]] T *get() const noexcept { return handle_.get(); }

  protected:
    explicit Handle(T *handle) noexcept : handle_(handle) {}

  private:
    struct Free {
        void operator()(T *handle) const noexcept { free(handle); }
    };
    std::unique_ptr<T, Free> handle_;
};

} // namespace detail

} // namespace toolpool

#endif // TOOLPOOL_ERROR_HPP
