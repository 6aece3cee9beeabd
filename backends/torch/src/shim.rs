//! Safe faces of the C++ shim: here of `shim/cuda.cpp`, in [`model`] of `shim/model.cpp`.

pub mod model;

use crate::error::{Error, Result};
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

/// Calls a function of the shim with room for its message.
fn call(function: impl FnOnce(*mut c_char) -> c_int) -> Result<()> {
    let mut message = [0 as c_char; MESSAGE];
    let status = function(message.as_mut_ptr());
    if status == OK {
        return Ok(());
    }
    // SAFETY: on failure the shim leaves a NUL-terminated text that fits.
    let text = unsafe { CStr::from_ptr(message.as_ptr()) }.to_string_lossy();
    match status {
        OUT_OF_MEMORY => Err(Error::OutOfMemory(
            text.lines().next().unwrap_or_default().to_owned(),
        )),
        _ => Err(Error::from_torch(&text)),
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

/// A CUDA stream of its own.
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
