//! The C functions that toolpool's core calls.
//!
//! Each checks its pointers, catches panics, and reports an error as a status with a message; the work is in
//! [`crate::esm2`].

use crate::error::{Error, Result};
use crate::esm2::options::Options;
use crate::esm2::tool::{Exchange, Pending, Place, Tool, Worker};
use std::any::Any;
use std::ffi::{CStr, CString, c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use tch::Device;
use toolpool_abi::*;

/// The version of the C tables that this library was built with: ::TOOLPOOL_ABI.
#[unsafe(no_mangle)]
pub extern "C" fn toolpool_torch_abi() -> u32 {
    TOOLPOOL_ABI
}

/// The entry of the tool `esm2`, a `toolpool_entry_t`.
///
/// # Safety
/// As for every `toolpool_entry_t`: `host` is valid for the life of the process, `source` and the options are
/// NUL-terminated, `callbacks` and `user` are writable, `err` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_torch_esm2(
    host: *const toolpool_host_t,
    source: *const c_char,
    options: *const toolpool_option_t,
    n_options: usize,
    callbacks: *mut toolpool_callbacks_t,
    user: *mut *mut c_void,
    err: *mut *mut toolpool_error_t,
) -> toolpool_status_t {
    // SAFETY: the caller vouches for `host`.
    let Some(host) = (unsafe { host.as_ref() }) else {
        return TOOLPOOL_ERR_ARGUMENT;
    };
    guard(host, err, || {
        if host.abi != TOOLPOOL_ABI || host.size < size_of::<toolpool_host_t>() {
            return Err(Error::Argument(format!(
                "the torch backend was built for tables of version {TOOLPOOL_ABI}, but this toolpool has version {}; \
                 install the two from one release",
                host.abi
            )));
        }
        // SAFETY: the caller vouches for the pointers.
        let (callbacks, user) = unsafe { (callbacks.as_mut(), user.as_mut()) };
        let (Some(callbacks), Some(user)) = (callbacks, user) else {
            return Err(Error::Argument(
                "callbacks and user must not be NULL".into(),
            ));
        };
        if callbacks.size < size_of::<toolpool_callbacks_t>() {
            return Err(Error::Argument(
                "callbacks is smaller than this version's toolpool_callbacks_t".into(),
            ));
        }
        // SAFETY: the caller vouches for the strings.
        let (source, options) =
            unsafe { (text(source, "source")?, read_options(options, n_options)?) };
        let tool = Tool::open(source, options)?;
        let handle = Box::new(Handle {
            host,
            identity: c_string(tool.identity()),
            tool,
        });
        fill(callbacks, &handle);
        *user = Box::into_raw(handle).cast();
        Ok(())
    })
}

/// What `user` points to.
struct Handle {
    host: &'static toolpool_host_t,
    tool: Tool,
    identity: CString,
}

/// What `state` points to.
struct State {
    host: &'static toolpool_host_t,
    worker: Worker,
    /// The device is gone: what lives on it is leaked, since freeing it would raise the same error.
    lost: bool,
}

/// What `pending` points to.
struct Started {
    work: Pending,
    outputs: *mut toolpool_outputs_t,
    batch: *const toolpool_batch_t,
}

fn fill(callbacks: &mut toolpool_callbacks_t, handle: &Handle) {
    callbacks.load = Some(load);
    callbacks.start = Some(start);
    callbacks.collect = Some(collect);
    callbacks.cost = Some(cost);
    callbacks.extent = Some(extent);
    callbacks.unload = Some(unload);
    callbacks.destroy = Some(destroy);
    callbacks.batch_budget = handle.tool.batch_budget();
    callbacks.identity = handle.identity.as_ptr();
}

unsafe extern "C" fn load(
    user: *mut c_void,
    device: *const toolpool_device_t,
    state: *mut *mut c_void,
    err: *mut *mut toolpool_error_t,
) -> toolpool_status_t {
    // SAFETY: `user` is the Handle that the entry made, and lives until `destroy`.
    let handle = unsafe { &*user.cast::<Handle>() };
    guard(handle.host, err, || {
        // SAFETY: the core's device is valid during the call, and `state` writable.
        let (device, state) = unsafe { (&*device, &mut *state) };
        let worker = handle.tool.load(place(device)?)?;
        *state = Box::into_raw(Box::new(State {
            host: handle.host,
            worker,
            lost: false,
        }))
        .cast();
        Ok(())
    })
}

unsafe extern "C" fn start(
    state: *mut c_void,
    batch: *const toolpool_batch_t,
    outputs: *mut toolpool_outputs_t,
    pending: *mut *mut c_void,
    err: *mut *mut toolpool_error_t,
) -> toolpool_status_t {
    // SAFETY: `state` is what `load` left, used by one call at a time.
    let state = unsafe { &mut *state.cast::<State>() };
    let host = state.host;
    let status = guard(host, err, || {
        let exchange = HostExchange {
            host,
            batch,
            outputs,
        };
        // SAFETY: `batch` is valid until its collect returns; its user is a Handle of the same entry.
        let handle = unsafe { &*(host.batch_user)(batch).cast::<Handle>() };
        let work = state.worker.start(&handle.tool, &exchange)?;
        // SAFETY: `pending` is writable.
        unsafe {
            *pending = Box::into_raw(Box::new(Started {
                work,
                outputs,
                batch,
            }))
            .cast()
        };
        Ok(())
    });
    state.lost |= status == TOOLPOOL_ERR_DEVICE_LOST;
    status
}

unsafe extern "C" fn collect(
    state: *mut c_void,
    pending: *mut c_void,
    err: *mut *mut toolpool_error_t,
) -> toolpool_status_t {
    // SAFETY: `state` is what `load` left, `pending` what `start` left, each used by one call at a time.
    let (state, started) = unsafe {
        (
            &mut *state.cast::<State>(),
            Box::from_raw(pending.cast::<Started>()),
        )
    };
    let host = state.host;
    if state.lost {
        // Its event will never be reached, and nothing on the device can be freed.
        std::mem::forget(started);
        return TOOLPOOL_ERR_DEVICE_LOST;
    }
    let exchange = HostExchange {
        host,
        batch: started.batch,
        outputs: started.outputs,
    };
    let status = guard(host, err, || started.work.collect(&exchange));
    state.lost |= status == TOOLPOOL_ERR_DEVICE_LOST;
    status
}

unsafe extern "C" fn cost(user: *mut c_void, data: *const c_void, len: usize) -> f64 {
    // SAFETY: `user` is the entry's Handle, and the core vouches for the item.
    let (handle, sequence) = unsafe { (&*user.cast::<Handle>(), bytes(data, len)) };
    catch_unwind(AssertUnwindSafe(|| handle.tool.cost(sequence))).unwrap_or(len as f64)
}

unsafe extern "C" fn extent(user: *mut c_void, data: *const c_void, len: usize) -> u64 {
    // SAFETY: `user` is the entry's Handle, and the core vouches for the item.
    let (handle, sequence) = unsafe { (&*user.cast::<Handle>(), bytes(data, len)) };
    catch_unwind(AssertUnwindSafe(|| handle.tool.tokens(sequence))).unwrap_or(len as u64)
}

unsafe extern "C" fn unload(state: *mut c_void) {
    if state.is_null() {
        return;
    }
    // SAFETY: `state` is what `load` left, and this is its last use.
    let state = unsafe { Box::from_raw(state.cast::<State>()) };
    if state.lost {
        std::mem::forget(state);
        return;
    }
    // A panic while freeing cannot be reported; it must not cross into C either.
    let _ = catch_unwind(AssertUnwindSafe(|| drop(state)));
}

unsafe extern "C" fn destroy(user: *mut c_void) {
    if user.is_null() {
        return;
    }
    // SAFETY: `user` is the entry's Handle, and this is its last use.
    let handle = unsafe { Box::from_raw(user.cast::<Handle>()) };
    let _ = catch_unwind(AssertUnwindSafe(|| drop(handle)));
}

/// The core's batch and outputs.
struct HostExchange {
    host: &'static toolpool_host_t,
    batch: *const toolpool_batch_t,
    outputs: *mut toolpool_outputs_t,
}

impl Exchange for HostExchange {
    fn items(&self) -> usize {
        // SAFETY: the batch is valid until its collect returns.
        unsafe { (self.host.batch_len)(self.batch) }
    }

    fn sequence(&self, index: usize) -> Result<&[u8]> {
        let (mut data, mut len) = (ptr::null(), 0);
        // SAFETY: the batch is valid until its collect returns, and so are its items.
        unsafe {
            match (self.host.batch_bytes)(self.batch, index, &mut data, &mut len) {
                TOOLPOOL_OK => Ok(bytes(data, len)),
                status => Err(Error::Host(
                    status,
                    format!("item {index} of the batch cannot be read"),
                )),
            }
        }
    }

    fn put(&self, index: usize, name: &str, shape: &[i64], values: &[f32]) -> Result<()> {
        assert_eq!(shape.iter().product::<i64>(), values.len() as i64);
        let name = c_string(name);
        let mut data = ptr::null_mut();
        // SAFETY: the outputs are valid until their collect returns; on success `data` has room for the shape.
        unsafe {
            let status = (self.host.outputs_alloc)(
                self.outputs,
                index,
                name.as_ptr(),
                TOOLPOOL_FLOAT32,
                shape.as_ptr(),
                shape.len(),
                &mut data,
                ptr::null_mut(),
            );
            if status != TOOLPOOL_OK {
                let elements = values.len();
                return Err(Error::Host(
                    status,
                    format!("output {name:?} of {elements} numbers was refused"),
                ));
            }
            ptr::copy_nonoverlapping(values.as_ptr(), data.cast::<f32>(), values.len());
        }
        Ok(())
    }

    fn fail(&self, index: usize, message: &str) {
        let message = c_string(message);
        // SAFETY: the outputs are valid until their collect returns.
        unsafe {
            (self.host.outputs_fail)(self.outputs, index, TOOLPOOL_ERR_ITEM, message.as_ptr())
        };
    }

    fn warn(&self, index: usize, message: &str) {
        let message = c_string(message);
        // SAFETY: the outputs are valid until their collect returns.
        unsafe { (self.host.outputs_warn)(self.outputs, index, message.as_ptr()) };
    }
}

fn place(device: &toolpool_device_t) -> Result<Place> {
    let threads = device.threads.max(1) as usize;
    let capability = (device.capability_major, device.capability_minor);
    match device.kind {
        TOOLPOOL_DEVICE_CPU => Ok(Place {
            device: Device::Cpu,
            threads,
            capability,
        }),
        TOOLPOOL_DEVICE_CUDA if device.index >= 0 => Ok(Place {
            device: Device::Cuda(device.index as usize),
            threads,
            capability,
        }),
        kind => Err(Error::Device(format!(
            "the torch backend knows no device of kind {kind}, number {}",
            device.index
        ))),
    }
}

unsafe fn read_options(options: *const toolpool_option_t, n: usize) -> Result<Options> {
    if options.is_null() && n > 0 {
        return Err(Error::Argument("options is NULL".into()));
    }
    let mut pairs = Vec::with_capacity(n);
    for i in 0..n {
        // SAFETY: the caller vouches for n options and their strings.
        unsafe {
            let option = &*options.add(i);
            pairs.push((
                text(option.key, "an option's key")?,
                text(option.value, "an option's value")?,
            ));
        }
    }
    Options::parse(pairs)
}

unsafe fn text<'a>(string: *const c_char, what: &str) -> Result<&'a str> {
    if string.is_null() {
        return Err(Error::Argument(format!("{what} is NULL")));
    }
    // SAFETY: the caller vouches for a NUL-terminated string.
    let string = unsafe { CStr::from_ptr(string) };
    string
        .to_str()
        .map_err(|_| Error::Argument(format!("{what} is not UTF-8: {string:?}")))
}

unsafe fn bytes<'a>(data: *const c_void, len: usize) -> &'a [u8] {
    match data.is_null() || len == 0 {
        true => &[],
        // SAFETY: the caller vouches for `len` bytes.
        false => unsafe { std::slice::from_raw_parts(data.cast(), len) },
    }
}

/// `text` for C; NULs, which only a user's own string could bring in, become spaces.
fn c_string(text: &str) -> CString {
    CString::new(text.replace('\0', " ")).unwrap_or_default()
}

/// Runs `body`; an error or a panic becomes its status and a message in `err`.
fn guard(
    host: &toolpool_host_t,
    err: *mut *mut toolpool_error_t,
    body: impl FnOnce() -> Result<()>,
) -> toolpool_status_t {
    let (status, message) = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => return TOOLPOOL_OK,
        Ok(Err(error)) => (error.status(), error.to_string()),
        Err(panic) => (
            TOOLPOOL_ERR_INTERNAL,
            format!("the torch backend panicked: {}", panic_text(&*panic)),
        ),
    };
    let message = c_string(&message);
    // SAFETY: `err` is NULL or writable, which the host's function allows.
    unsafe { (host.error_set)(err, status, message.as_ptr()) };
    status
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("for an unknown reason")
}
