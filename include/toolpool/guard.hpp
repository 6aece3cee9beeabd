/// @file
/// Where the exceptions of the caller's functions end: none may reach C. Part of toolpool.hpp.
///
/// SPDX-License-Identifier: MIT OR Apache-2.0
#ifndef TOOLPOOL_GUARD_HPP
#define TOOLPOOL_GUARD_HPP

#include <cstddef>
#include <exception>
#include <new>
#include <string_view>
#include <type_traits>
#include <utility>

#include <toolpool.h>
#include <toolpool/result.hpp>

namespace toolpool {
inline namespace TOOLPOOL_MODE {
namespace detail {

/// Tells toolpool of the error of a load or a batch.
struct BatchError {
    toolpool_error_t **err;
    toolpool_status_t operator()(toolpool_status_t status, const char *message) const noexcept {
        return toolpool_error_set(err, status, message);
    }
};

/// Runs `body`, which returns nothing or a Result<void>; `tell` gets the Error, and its answer is
/// the answer.
template <class Body, class Tell> toolpool_status_t carry_out(const Body &body, const Tell &tell) {
    if constexpr (std::is_void_v<std::invoke_result_t<const Body &>>) {
        body();
    } else {
        const Result<void> done = body();
        if (!done)
            return tell(done.error().status(), done.error().what());
    }
    return TOOLPOOL_OK;
}

#ifdef __cpp_exceptions

/// The same; what `body` throws is told as well.
template <class Body, class Tell>
toolpool_status_t guard(const Body &body, const Tell &tell) noexcept {
    try {
        return carry_out(body, tell);
    } catch (const Error &error) {
        return tell(error.status(), error.what());
    } catch (const std::bad_alloc &error) {
        return tell(TOOLPOOL_ERR_OUT_OF_MEMORY, error.what());
    } catch (const std::exception &error) {
        return tell(TOOLPOOL_ERR_FAILED, error.what());
    } catch (...) {
        return tell(TOOLPOOL_ERR_FAILED, "it threw what is no std::exception");
    }
}

/// What a cost or an extent threw on this thread: they have no error to return.
inline std::exception_ptr &thrown() noexcept {
    thread_local std::exception_ptr exception;
    return exception;
}

/// Returns what `estimate` returns, or puts aside what it throws.
template <class T, class Estimate>
T estimated(const Estimate &estimate, const void *data, std::size_t size, T otherwise) noexcept {
    try {
        return estimate(std::string_view(static_cast<const char *>(data), size));
    } catch (...) {
        thrown() = std::current_exception();
        return otherwise;
    }
}

/// Makes a call that asks for costs and extents. What they threw comes out of it, as it was or, if
/// errors are returned, as an Error.
template <class Call> auto planned(const Call &call) -> decltype(call()) {
    thrown() = nullptr;
    auto result = call();
    if (const auto exception = std::exchange(thrown(), nullptr)) {
        const auto rethrow = [&] { std::rethrow_exception(exception); };
#ifdef TOOLPOOL_NO_EXCEPTIONS
        guard(rethrow, [&](toolpool_status_t status, const char *message) {
            result = Error(status, message);
            return status;
        });
#else
        rethrow();
#endif
    }
    return result;
}

#else

template <class Body, class Tell>
toolpool_status_t guard(const Body &body, const Tell &tell) noexcept {
    return carry_out(body, tell);
}

template <class T, class Estimate>
T estimated(const Estimate &estimate, const void *data, std::size_t size, T) noexcept {
    return estimate(std::string_view(static_cast<const char *>(data), size));
}

template <class Call> auto planned(const Call &call) -> decltype(call()) { return call(); }

#endif

} // namespace detail
} // namespace TOOLPOOL_MODE
} // namespace toolpool

#endif // TOOLPOOL_GUARD_HPP
