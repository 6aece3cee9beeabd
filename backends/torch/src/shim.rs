//! Safe faces of the C++ shim: here of `shim/cuda.cpp`, in [`model`] of `shim/model.cpp`.

pub mod model;

use crate::error::{Error, Result, Trouble};
use std::ffi::{CStr, c_char, c_int};
use std::ptr::{self, NonNull};
use tch::Tensor;
use torch_sys::C_tensor;

#[repr(C)]
struct RawStream {
    _opaque: [u8; 0],
}
#[repr(C)]
struct RawScope {
    _opaque: [u8; 0],
}
#[repr(C)]
struct RawEvent {
    _opaque: [u8; 0],
}

unsafe extern "C" {
    fn toolpool_shim_load_cuda(devices: *mut c_int, message: *mut c_char) -> c_int;
    fn toolpool_shim_trouble(device: c_int, message: *mut c_char) -> c_int;
    fn toolpool_shim_set_device(device: c_int, message: *mut c_char) -> c_int;
    fn toolpool_shim_stream_new(
        device: c_int,
        out: *mut *mut RawStream,
        message: *mut c_char,
    ) -> c_int;
    fn toolpool_shim_stream_free(stream: *mut RawStream);
    fn toolpool_shim_enter(
        stream: *const RawStream,
        out: *mut *mut RawScope,
        message: *mut c_char,
    ) -> c_int;
    fn toolpool_shim_leave(scope: *mut RawScope);
    fn toolpool_shim_event_new(
        stream: *const RawStream,
        out: *mut *mut RawEvent,
        message: *mut c_char,
    ) -> c_int;
    fn toolpool_shim_event_wait(event: *const RawEvent, message: *mut c_char) -> c_int;
    fn toolpool_shim_event_free(event: *mut RawEvent);
    fn toolpool_shim_to_host(
        tensor: *const C_tensor,
        out: *mut *mut C_tensor,
        message: *mut c_char,
    ) -> c_int;
    fn toolpool_shim_to_device(
        tensor: *const C_tensor,
        device: c_int,
        out: *mut *mut C_tensor,
        message: *mut c_char,
    ) -> c_int;
    fn toolpool_shim_attention(
        q: *const C_tensor,
        k: *const C_tensor,
        v: *const C_tensor,
        starts: *const C_tensor,
        longest: i64,
        scale: f64,
        flash: bool,
        out: *mut *mut C_tensor,
        message: *mut c_char,
    ) -> c_int;
    fn toolpool_shim_linear_gelu(
        bias: *const C_tensor,
        x: *const C_tensor,
        weight: *const C_tensor,
        out: *mut *mut C_tensor,
        message: *mut c_char,
    ) -> c_int;
}

const OK: c_int = 0;
const OUT_OF_MEMORY: c_int = 1;
/// Bytes of a message: kMessage of `shim/guard.hpp`.
const MESSAGE: usize = 8192;

/// Calls a function of the shim with room for its message: none if it returns OK, else what it returns and the message.
fn answer(function: impl FnOnce(*mut c_char) -> c_int) -> Option<(c_int, String)> {
    let mut message = [0 as c_char; MESSAGE];
    let status = function(message.as_mut_ptr());
    if status == OK {
        return None;
    }
    // SAFETY: where it returns something else the shim leaves a NUL-terminated text that fits.
    let text = unsafe { CStr::from_ptr(message.as_ptr()) };
    Some((status, text.to_string_lossy().into_owned()))
}

/// Calls a function of the shim that returns a status.
fn call(function: impl FnOnce(*mut c_char) -> c_int) -> Result<()> {
    match answer(function) {
        None => Ok(()),
        Some((OUT_OF_MEMORY, text)) => Err(Error::OutOfMemory(
            text.lines().next().unwrap_or_default().to_owned(),
        )),
        Some((_, text)) => Err(Error::from_torch(&text)),
    }
}

fn tensor(function: impl FnOnce(*mut *mut C_tensor, *mut c_char) -> c_int) -> Result<Tensor> {
    let mut out = ptr::null_mut();
    call(|message| function(&mut out, message))?;
    // SAFETY: on success the shim leaves a tensor that now belongs to us.
    Ok(unsafe { Tensor::from_ptr(out) })
}

/// Loads libtorch's CUDA part and returns the number of devices that this process sees.
pub fn load_cuda() -> Result<usize> {
    let mut devices = 0;
    // SAFETY: both pointers are writable.
    call(|message| unsafe { toolpool_shim_load_cuda(&mut devices, message) })?;
    Ok(devices as usize)
}

/// The error that CUDA answers with when it is asked how device `index` is; none where all is well or CUDA is not loaded.
/// The question queues nothing and does not wait.
pub fn trouble(index: usize) -> Option<Trouble> {
    // SAFETY: the message is writable.
    answer(|message| unsafe { toolpool_shim_trouble(index as c_int, message) })
        .map(|(code, message)| Trouble { code, message })
}

/// Makes CUDA device `index` the one that this thread works on, for good.
pub fn set_device(index: usize) -> Result<()> {
    // SAFETY: the message is writable.
    call(|message| unsafe { toolpool_shim_set_device(index as c_int, message) })
}

/// The CUDA stream that a thread works on.
pub struct Stream(NonNull<RawStream>);

/// An event on a stream, behind all work that was there when it was made.
pub struct Event(NonNull<RawEvent>);

/// While it lives, the thread works on the stream's device and stream, without autograd.
pub struct Scope(NonNull<RawScope>);

fn made<T>(pointer: *mut T) -> Result<NonNull<T>> {
    NonNull::new(pointer).ok_or_else(|| Error::Failed("the shim returned NULL".into()))
}

impl Stream {
    pub fn new(device: usize) -> Result<Self> {
        let mut out = ptr::null_mut();
        // SAFETY: both pointers are writable.
        call(|message| unsafe { toolpool_shim_stream_new(device as c_int, &mut out, message) })?;
        made(out).map(Stream)
    }

    /// Makes this the calling thread's stream until the scope is dropped, on that thread.
    pub fn enter(&self) -> Result<Scope> {
        let mut out = ptr::null_mut();
        // SAFETY: the stream lives; both other pointers are writable.
        call(|message| unsafe { toolpool_shim_enter(self.0.as_ptr(), &mut out, message) })?;
        made(out).map(Scope)
    }

    pub fn event(&self) -> Result<Event> {
        let mut out = ptr::null_mut();
        // SAFETY: the stream lives; both other pointers are writable.
        call(|message| unsafe { toolpool_shim_event_new(self.0.as_ptr(), &mut out, message) })?;
        made(out).map(Event)
    }
}

impl Event {
    /// Blocks until the work behind the event is done.
    pub fn wait(&self) -> Result<()> {
        // SAFETY: the event lives; the message is writable.
        call(|message| unsafe { toolpool_shim_event_wait(self.0.as_ptr(), message) })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // SAFETY: made by the shim, freed once.
        unsafe { toolpool_shim_stream_free(self.0.as_ptr()) }
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: made by the shim, freed once.
        unsafe { toolpool_shim_event_free(self.0.as_ptr()) }
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        // SAFETY: made by the shim, freed once.
        unsafe { toolpool_shim_leave(self.0.as_ptr()) }
    }
}

/// A pinned copy of `t`, complete once an event behind this call is reached.
pub fn to_host(t: &Tensor) -> Result<Tensor> {
    // SAFETY: the tensor lives; the other pointers are writable.
    tensor(|out, message| unsafe { toolpool_shim_to_host(t.as_ptr(), out, message) })
}

/// A copy of the host's `t` on a CUDA device, begun and not waited for.
pub fn to_device(t: &Tensor, device: usize) -> Result<Tensor> {
    // SAFETY: the tensor lives; the other pointers are writable.
    tensor(|out, message| unsafe {
        toolpool_shim_to_device(t.as_ptr(), device as c_int, out, message)
    })
}

/// Attention over packed sequences; q, k, v and the result are \[tokens, heads, width\], `starts` int32.
pub fn attention(
    qkv: [&Tensor; 3],
    starts: &Tensor,
    longest: usize,
    scale: f64,
    flash: bool,
) -> Result<Tensor> {
    let [q, k, v] = qkv.map(Tensor::as_ptr);
    // SAFETY: the tensors live; the other pointers are writable.
    tensor(|out, message| unsafe {
        toolpool_shim_attention(
            q,
            k,
            v,
            starts.as_ptr(),
            longest as i64,
            scale,
            flash,
            out,
            message,
        )
    })
}

/// gelu(x·weight + bias); on CUDA the tanh form.
pub fn linear_gelu(bias: &Tensor, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    // SAFETY: the tensors live; the other pointers are writable.
    tensor(|out, message| unsafe {
        toolpool_shim_linear_gelu(bias.as_ptr(), x.as_ptr(), weight.as_ptr(), out, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A function of the shim that returns `status` with `text`.
    fn ends_with(status: c_int, text: &CStr) -> Result<()> {
        call(|message| {
            // SAFETY: the message is writable and longer than the text.
            unsafe { ptr::copy(text.as_ptr(), message, text.count_bytes() + 1) };
            status
        })
    }

    #[test]
    fn out_of_memory_is_known_by_its_type_or_by_its_words() {
        assert!(ends_with(OK, c"").is_ok());
        let by_type = ends_with(
            OUT_OF_MEMORY,
            c"the pool of this device is exhausted\nadvice",
        );
        assert!(
            matches!(by_type, Err(Error::OutOfMemory(text)) if text == "the pool of this device is exhausted")
        );
        let by_words = ends_with(2, c"CUDA driver error: out of memory");
        assert!(matches!(by_words, Err(Error::OutOfMemory(_))));
        assert!(matches!(ends_with(2, c"bad shape"), Err(Error::Failed(_))));
    }

    #[test]
    fn no_device_is_in_trouble_before_cuda_is_loaded() {
        assert!(trouble(0).is_none());
    }
}
