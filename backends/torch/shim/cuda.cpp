// What a CUDA worker needs of libtorch and tch does not have: streams, events, pinned copies,
// attention over packed sequences, GELU in the epilogue of a matrix product. Only headers without
// CUDA are used; libtorch_cuda is loaded by load_cuda().

#include <ATen/Context.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/_addmm_activation.h>
#include <ATen/ops/_efficient_attention_forward.h>
#include <ATen/ops/_flash_attention_forward.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/Event.h>
#include <c10/core/InferenceMode.h>
#include <dlfcn.h>

#include "cuda.hpp"
#include "guard.hpp"

#include <memory>
#include <optional>
#include <string>

using shim::cuda;
using shim::guarded;

namespace {

c10::Device numbered(int device) {
    return c10::Device(c10::DeviceType::CUDA, static_cast<c10::DeviceIndex>(device));
}

} // namespace

extern "C" {

// A stream of one device.
struct toolpool_shim_stream {
    c10::Stream stream;
};

// While it lives, its thread works on a stream's device and stream, without autograd.
struct toolpool_shim_scope {
    explicit toolpool_shim_scope(c10::Stream stream)
        : device(stream.device()), before(cuda().exchangeStream(stream)) {}
    ~toolpool_shim_scope() {
        try {
            cuda().exchangeStream(before);
        } catch (...) { // A lost device; the thread has no more work on it.
        }
    }
    c10::InferenceMode inference;
    c10::DeviceGuard device;
    c10::Stream before;
};

// Loads libtorch_cuda.so from beside libtorch_cpu.so, so that libtorch's first look for CUDA finds
// it.
int toolpool_shim_load_cuda(int *devices, char *message) {
    return guarded(message, [&] {
        Dl_info info{};
        dladdr(reinterpret_cast<const void *>(&at::globalContext), &info);
        std::string path = info.dli_fname ? info.dli_fname : "";
        path = path.substr(0, path.rfind('/') + 1) + "libtorch_cuda.so";
        TORCH_CHECK(dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL),
                    "libtorch's CUDA part cannot be loaded: ", dlerror());
        TORCH_CHECK(at::hasCUDA(), "libtorch sees no CUDA device");
        *devices = cuda().deviceCount();
    });
}

// The cudaError_t that CUDA answers with when it is asked how `device` is, and its text; 0 for
// none.
int toolpool_shim_trouble(int device, char *message) {
    const auto error = shim::trouble(numbered(device));
    if (!error)
        return 0;
    return shim::report(error->get_error_code(), error->what_without_backtrace(), message);
}

// Makes `device` this thread's own. libtorch goes back to a thread's device wherever it has worked
// on another, and would make a context on device 0 by that.
int toolpool_shim_set_device(int device, char *message) {
    return guarded(message, [&] { cuda().setDevice(numbered(device)); });
}

// This thread's stream of its device: one, since libtorch keeps the memory that it has freed by
// streams. What loads have queued, on the default stream, is done when this returns.
int toolpool_shim_stream_new(int device, toolpool_shim_stream **out, char *message) {
    return guarded(message, [&] {
        static thread_local std::optional<c10::Stream> own;
        const c10::Device on = numbered(device);
        cuda().synchronizeStream(cuda().getDefaultStream(on));
        if (!own || own->device() != on)
            own = cuda().getStreamFromGlobalPool(on);
        *out = new toolpool_shim_stream{*own};
    });
}

void toolpool_shim_stream_free(toolpool_shim_stream *stream) { delete stream; }

int toolpool_shim_enter(const toolpool_shim_stream *stream, toolpool_shim_scope **out,
                        char *message) {
    return guarded(message, [&] { *out = new toolpool_shim_scope(stream->stream); });
}

void toolpool_shim_leave(toolpool_shim_scope *scope) { delete scope; }

// An event behind all work so far on `stream`.
int toolpool_shim_event_new(const toolpool_shim_stream *stream, c10::Event **out, char *message) {
    return guarded(message, [&] {
        auto event = std::make_unique<c10::Event>(c10::DeviceType::CUDA);
        event->record(stream->stream);
        *out = event.release();
    });
}

// Blocks until the work behind the event is done.
int toolpool_shim_event_wait(const c10::Event *event, char *message) {
    return guarded(message, [&] { event->synchronize(); });
}

void toolpool_shim_event_free(c10::Event *event) { delete event; }

// A pinned copy of `tensor`, complete once an event behind this call is reached.
int toolpool_shim_to_host(const at::Tensor *tensor, at::Tensor **out, char *message) {
    return guarded(message, [&] {
        at::Tensor host = shim::pinned(tensor->sizes(), tensor->scalar_type());
        host.copy_(*tensor, /*non_blocking=*/true);
        *out = new at::Tensor(host);
    });
}

// A copy of the host's `tensor` on CUDA device `device`, by way of pinned memory, without waiting.
int toolpool_shim_to_device(const at::Tensor *tensor, int device, at::Tensor **out, char *message) {
    return guarded(message, [&] {
        at::Tensor host = *tensor;
        if (!host.is_pinned()) {
            host = shim::pinned(tensor->sizes(), tensor->scalar_type());
            host.copy_(*tensor);
        }
        *out =
            new at::Tensor(host.to(host.options().device(numbered(device)), /*non_blocking=*/true));
    });
}

// Attention over packed sequences: q, k, v [tokens, heads, width] (any stride between rows),
// `starts` int32 [sequences + 1] on their device; the result is [tokens, heads, width]. `flash`
// takes fp16 and bf16 from capability 8.0 (Dao 2023, FlashAttention-2); without it,
// memory-efficient attention takes fp32 and older devices.
int toolpool_shim_attention(const at::Tensor *q, const at::Tensor *k, const at::Tensor *v,
                            const at::Tensor *starts, int64_t longest, double scale, bool flash,
                            at::Tensor **out, char *message) {
    return guarded(message, [&] {
        if (flash) {
            auto result = at::_flash_attention_forward(
                *q, *k, *v, *starts, *starts, longest, longest, 0.0,
                /*is_causal=*/false, /*return_debug_mask=*/false, std::optional<double>(scale));
            *out = new at::Tensor(std::get<0>(result));
            return;
        }
        auto result = at::_efficient_attention_forward(
            q->unsqueeze(0), k->unsqueeze(0), v->unsqueeze(0), std::nullopt, *starts, *starts,
            longest, longest, 0.0, /*custom_mask_type=*/0,
            /*compute_log_sumexp=*/false, std::optional<double>(scale));
        *out = new at::Tensor(std::get<0>(result).squeeze(0));
    });
}

// gelu(x·weight + bias) in one kernel where cuBLASLt has it; on CUDA its GELU is the tanh form.
int toolpool_shim_linear_gelu(const at::Tensor *bias, const at::Tensor *x, const at::Tensor *weight,
                              at::Tensor **out, char *message) {
    return guarded(message, [&] {
        *out = new at::Tensor(at::_addmm_activation(*bias, *x, *weight, 1, 1, /*use_gelu=*/true));
    });
}

} // extern "C"
