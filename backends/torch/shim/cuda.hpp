// A CUDA device as libtorch's headers without CUDA reach it.

#ifndef TOOLPOOL_SHIM_CUDA_HPP
#define TOOLPOOL_SHIM_CUDA_HPP

#include <ATen/core/CachingHostAllocator.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <c10/util/Exception.h>

#include <memory>
#include <optional>
#include <utility>

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

constexpr int kOutOfMemory = 2;           // cudaErrorMemoryAllocation
constexpr int kEventsOfOthersMost = 4096; // More than batches under way have copies.

// A tensor in pinned memory of the host, not initialised. libtorch keeps one list of events for all
// pinned memory of the process, and looks at it whenever some is allocated: an event of another
// device that was lost is thrown here, once each. Where the host has no memory left to pin, it is
// ordinary memory, to which copies wait.
inline at::Tensor pinned_if_can_be(c10::IntArrayRef sizes, at::ScalarType type,
                                   c10::Device device) {
    const auto options = at::TensorOptions(type);
    bool emptied = false;
    for (int left = kEventsOfOthersMost;; --left) {
        try {
            return at::empty(sizes, options.pinned_memory(true));
        } catch (const c10::AcceleratorError &error) {
            if (error.get_error_code() == kOutOfMemory) {
                if (std::exchange(emptied, true))
                    return at::empty(sizes, options);
                try {
                    at::getHostAllocator(at::kCUDA)->empty_cache();
                } catch (const c10::AcceleratorError &) { // Another device's event, as above.
                }
            } else if (left == 0 || trouble(device)) {
                throw;
            }
        }
    }
}

// A tensor in memory of the host that is pinned, if any can be, for copies to and from this
// thread's device; not initialised. To free such memory, libtorch records an event on each stream
// that used it, and on a lost device that throws in a destructor, which would end the process:
// there it is never freed.
inline at::Tensor pinned(c10::IntArrayRef sizes, at::ScalarType type) {
    const c10::Device device = cuda().getDevice();
    auto memory = std::make_unique<at::Tensor>(pinned_if_can_be(sizes, type, device));
    void *data = memory->mutable_data_ptr();
    const auto release = [owned = memory.release(), device](void *) {
        if (!trouble(device))
            delete owned;
    };
    return at::from_blob(data, sizes, release, at::TensorOptions(type));
}

} // namespace shim

#endif
