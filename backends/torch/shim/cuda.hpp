// A CUDA device as libtorch's headers without CUDA reach it.

#ifndef TOOLPOOL_SHIM_CUDA_HPP
#define TOOLPOOL_SHIM_CUDA_HPP

#include <c10/core/impl/VirtualGuardImpl.h>
#include <c10/util/Exception.h>

#include <optional>

namespace shim {

inline c10::impl::VirtualGuardImpl cuda() {
    return c10::impl::VirtualGuardImpl(c10::DeviceType::CUDA);
}

// The error that CUDA answers with when it is asked how `device` is; none where all is well, or
// where there is nobody to ask. A stream is asked whether its work is done: that queues nothing,
// does not wait, and has the error of a context that can no longer be used, but none that another
// call has left.
inline std::optional<c10::AcceleratorError> trouble(c10::Device device) noexcept {
    if (!c10::impl::hasDeviceGuardImpl(c10::DeviceType::CUDA))
        return std::nullopt;
    try {
        cuda().queryStream(cuda().getStream(device));
    } catch (const c10::AcceleratorError &error) {
        return error;
    } catch (...) { // Not CUDA's word: libtorch knows no such device.
    }
    return std::nullopt;
}

} // namespace shim

#endif
