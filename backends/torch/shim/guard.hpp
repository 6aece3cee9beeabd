// How functions of the shim end: OK, or OUT_OF_MEMORY or FAILED with a message.

#ifndef TOOLPOOL_SHIM_GUARD_HPP
#define TOOLPOOL_SHIM_GUARD_HPP

#include <c10/util/Exception.h>

#include <cstring>
#include <exception>
#include <new>

namespace shim {

enum Status { OK = 0, OUT_OF_MEMORY = 1, FAILED = 2 };

// Bytes of every message buffer, the NUL at the end included.
constexpr size_t kMessage = 8192;

inline int report(Status status, const char *text, char *message) {
    std::strncpy(message, text, kMessage - 1);
    message[kMessage - 1] = '\0';
    return status;
}

// Runs `body`; an exception becomes a status and the first kMessage bytes of its text.
template <class Body> int guarded(char *message, Body body) noexcept {
    try {
        body();
        return OK;
    } catch (const c10::OutOfMemoryError &error) {
        return report(OUT_OF_MEMORY, error.what_without_backtrace(), message);
    } catch (const c10::Error &error) {
        return report(FAILED, error.what_without_backtrace(), message);
    } catch (const std::bad_alloc &error) {
        return report(OUT_OF_MEMORY, error.what(), message);
    } catch (const std::exception &error) {
        return report(FAILED, error.what(), message);
    } catch (...) {
        return report(FAILED, "an exception of unknown type", message);
    }
}

} // namespace shim

#endif
