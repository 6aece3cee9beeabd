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

// Copies `text` to `message`; of one that is too long the beginning and the end, for TorchScript's
// interpreter says what is wrong after its whole traceback. Returns `status`.
inline int report(int status, const char *text, char *message) {
    const size_t length = std::strlen(text);
    if (length < kMessage) {
        std::memcpy(message, text, length + 1);
        return status;
    }
    constexpr size_t begin = kMessage / 2, end = kMessage - begin; // With the NUL.
    std::memcpy(message, text, begin);
    message[begin - 1] = '\n';
    std::memcpy(message + begin, text + length + 1 - end, end);
    return status;
}

// Runs `body`; an exception becomes a status and its text.
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
