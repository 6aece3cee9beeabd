/// @file
/// Errors, thrown or returned. Part of toolpool.hpp.
///
/// With TOOLPOOL_NO_EXCEPTIONS defined, and always where the compiler has exceptions switched off,
/// what can fail returns a Result. Else it throws. Each call is written once, with a Result;
/// detail::deliver() is where the two part.
///
/// SPDX-License-Identifier: MIT OR Apache-2.0
#ifndef TOOLPOOL_RESULT_HPP
#define TOOLPOOL_RESULT_HPP

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

#if __has_include(<version>)
#include <version>
#endif

#include <toolpool.h>

#if !defined(__cpp_exceptions) && !defined(TOOLPOOL_NO_EXCEPTIONS)
#define TOOLPOOL_NO_EXCEPTIONS
#endif

// What differs between the parts of a program has another name in each, so that they link.
#if defined(TOOLPOOL_NO_EXCEPTIONS) && defined(__cpp_lib_span)
#define TOOLPOOL_MODE returning_with_std_span
#elif defined(TOOLPOOL_NO_EXCEPTIONS)
#define TOOLPOOL_MODE returning
#elif defined(__cpp_lib_span)
#define TOOLPOOL_MODE throwing_with_std_span
#else
#define TOOLPOOL_MODE throwing
#endif

namespace toolpool {
inline namespace TOOLPOOL_MODE {

/// What failed calls throw or return; lambdas of tools may do so too, to choose the status. A
/// value.
class Error : public std::runtime_error {
  public:
    /// @param status   one of TOOLPOOL_ERR_*
    /// @param message  names the thing, the reason and the way out
    /// @param item     the caller's index of the item that it concerns
    Error(toolpool_status_t status, const std::string &message,
          std::optional<std::size_t> item = std::nullopt)
        : std::runtime_error(message), status_(status), item_(item) {}

    /// One of TOOLPOOL_ERR_*.
    [[nodiscard]] toolpool_status_t status() const noexcept { return status_; }

    /// The caller's index of the item that it concerns, if it concerns one.
    [[nodiscard]] std::optional<std::size_t> item() const noexcept { return item_; }

  private:
    toolpool_status_t status_;
    std::optional<std::size_t> item_;
};

namespace detail {

/// Ends a call for the value of a Result that has none.
[[noreturn]] inline void no_value(const Error &error) {
#ifdef __cpp_exceptions
    throw error;
#else
    std::fprintf(stderr, "toolpool: %s\n", error.what());
    std::abort();
#endif
}

} // namespace detail

/// A T, or the Error for which there is none; as std::expected of C++23.
template <class T> class [[nodiscard]] Result {
  public:
    Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
    Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

    /// Whether there is a T.
    [[nodiscard]] explicit operator bool() const noexcept { return has_value(); }
    [[nodiscard]] bool has_value() const noexcept { return state_.index() == 0; }

    /// The T. Where there is none it throws the Error; without exceptions in the compiler it writes
    /// the Error to stderr and aborts: ask first.
    [[nodiscard]] T &value() & { return held(state_); }
    [[nodiscard]] const T &value() const & { return held(state_); }
    /// The T of a temporary, moved out: a loop may run over `pool.run(tool, items).value()`.
    [[nodiscard]] T value() && { return std::move(held(state_)); }

    /// The same.
    [[nodiscard]] T &operator*() & { return value(); }
    [[nodiscard]] const T &operator*() const & { return value(); }
    [[nodiscard]] T operator*() && { return std::move(*this).value(); }
    [[nodiscard]] T *operator->() { return &value(); }
    [[nodiscard]] const T *operator->() const { return &value(); }

    /// Why there is no T. Only where there is none.
    [[nodiscard]] const Error &error() const noexcept { return *std::get_if<1>(&state_); }

    /// What `next`, which returns a Result, makes of the T; or the Error.
    template <class Next> std::invoke_result_t<Next, T> and_then(Next next) && {
        if (!*this)
            return error();
        return next(std::move(*this).value());
    }

  private:
    template <class State> static auto &held(State &state) {
        if (auto *value = std::get_if<0>(&state))
            return *value;
        detail::no_value(*std::get_if<1>(&state));
    }

    std::variant<T, Error> state_;
};

/// Nothing, or the Error of what was to be done.
template <> class [[nodiscard]] Result<void> {
  public:
    Result() = default;
    Result(Error error) : error_(std::move(error)) {}

    /// Whether it was done.
    [[nodiscard]] explicit operator bool() const noexcept { return has_value(); }
    [[nodiscard]] bool has_value() const noexcept { return !error_; }

    /// Nothing; where it was not done, as Result::value().
    void value() const {
        if (error_)
            detail::no_value(*error_);
    }

    /// Why it was not done. Only where it was not.
    [[nodiscard]] const Error &error() const noexcept { return *error_; }

  private:
    std::optional<Error> error_;
};

/// What calls return that can fail: a T, their Error thrown; with TOOLPOOL_NO_EXCEPTIONS a Result.
#ifdef TOOLPOOL_NO_EXCEPTIONS
template <class T> using Fallible = Result<T>;
#else
template <class T> using Fallible = T;
#endif

namespace detail {

/// `value`, where what it needed was done.
template <class T> Result<T> after(const Result<void> &done, T value) {
    if (!done)
        return done.error();
    return value;
}

/// Gives the caller a Result in the way that the program has chosen.
template <class T> Fallible<T> deliver(Result<T> result) {
#ifdef TOOLPOOL_NO_EXCEPTIONS
    return result;
#else
    return std::move(result).value();
#endif
}

} // namespace detail

} // namespace TOOLPOOL_MODE
} // namespace toolpool

#endif // TOOLPOOL_RESULT_HPP
