//! The C functions that toolpool's core calls.
//!
//! Each checks its pointers, catches panics, and reports an error as a status with a message; the work is in the tools:
//! [`crate::esm2`] and [`crate::model`].

use crate::error::{Error, Result};
use crate::esm2;
use crate::exchange::{Exchange, View, c_string, text};
use crate::model::{self, Format};
use crate::place::Place;
use crate::shim;
use crate::tool::Tool;
use std::any::Any;
use std::ffi::{CString, c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use tch::Device;
use toolpool_abi::*;

/// The version of the C tables that this library was built with: ::TOOLPOOL_ABI.
#[unsafe(no_mangle)]
pub extern "C" fn toolpool_torch_abi() -> u32 {
    TOOLPOOL_ABI
}

/// The entry of a tool, a `toolpool_entry_t`: the C function around what opens the tool.
macro_rules! entry {
    ($(#[$doc:meta])* $name:ident, $open:expr) => {
        $(#[$doc])*
        ///
        /// # Safety
        /// As for every `toolpool_entry_t`: `host` is valid for the life of the process, `source` and the options are
        /// NUL-terminated, `callbacks` and `user` are writable, `err` is NULL or writable.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(
            host: *const toolpool_host_t,
            source: *const c_char,
            options: *const toolpool_option_t,
            n_options: usize,
            callbacks: *mut toolpool_callbacks_t,
            user: *mut *mut c_void,
            err: *mut *mut toolpool_error_t,
        ) -> toolpool_status_t {
            let asked = Asked {
                host,
                source,
                options,
                n_options,
                callbacks,
                user,
                err,
            };
            // SAFETY: as required of the caller.
            unsafe { asked.answer($open) }
        }
    };
}

entry!(
    /// The entry of the tool `esm2`.
    toolpool_torch_esm2,
    |source, options, given| given.fill(open_esm2(source, options)?)
);

entry!(
    /// The entry of the tool `torchscript`.
    toolpool_torch_torchscript,
    |source, options, given| given.fill(model::Tool::open(Format::Script, source, options)?)
);

entry!(
    /// The entry of the tool `aoti`.
    toolpool_torch_aoti,
    |source, options, given| given.fill(model::Tool::open(Format::Package, source, options)?)
);

entry!(
    /// The entry of the tool `auto`: that of the kind which the source turns out to be.
    toolpool_torch_auto,
    |source, options, given| match model::look(source)? {
        Some(format) => given.fill(model::Tool::open(format, source, options)?),
        None => given.fill(open_esm2(source, options)?),
    }
);

fn open_esm2(source: &str, options: &[Pair]) -> Result<esm2::tool::Tool> {
    esm2::tool::Tool::open(source, esm2::options::Options::parse(options)?)
}

/// What an entry was called with.
struct Asked {
    host: *const toolpool_host_t,
    source: *const c_char,
    options: *const toolpool_option_t,
    n_options: usize,
    callbacks: *mut toolpool_callbacks_t,
    user: *mut *mut c_void,
    err: *mut *mut toolpool_error_t,
}

/// An option's key and value.
pub type Pair<'a> = (&'a str, &'a str);

impl Asked {
    /// Checks everything, and has `open` open the tool and fill the table with it.
    ///
    /// # Safety
    /// As for every `toolpool_entry_t`.
    unsafe fn answer(
        self,
        open: impl FnOnce(&str, &[Pair], Given) -> Result<()>,
    ) -> toolpool_status_t {
        // SAFETY: the caller vouches for `host`.
        let Some(host) = (unsafe { self.host.as_ref() }) else {
            return TOOLPOOL_ERR_ARGUMENT;
        };
        guard(host, self.err, || {
            if host.abi != TOOLPOOL_ABI || host.size < size_of::<toolpool_host_t>() {
                return Err(Error::Argument(format!(
                    "the torch backend was built for tables of version {TOOLPOOL_ABI} and {} bytes, but this toolpool \
                     has version {} and {} bytes; install the two from one release",
                    size_of::<toolpool_host_t>(),
                    host.abi,
                    host.size
                )));
            }
            // SAFETY: the caller vouches for the pointers.
            let (callbacks, user) = unsafe { (self.callbacks.as_mut(), self.user.as_mut()) };
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
            let (source, options) = unsafe {
                (
                    text(self.source, "source")?,
                    read_options(self.options, self.n_options)?,
                )
            };
            open(
                source,
                &options,
                Given {
                    host,
                    callbacks,
                    user,
                },
            )
        })
    }
}

/// The table that an entry fills.
struct Given<'a> {
    host: &'static toolpool_host_t,
    callbacks: &'a mut toolpool_callbacks_t,
    user: &'a mut *mut c_void,
}

impl Given<'_> {
    fn fill<T: Tool>(self, tool: T) -> Result<()> {
        let handle = Box::new(Handle {
            host: self.host,
            identity: c_string(tool.identity()),
            tool,
        });
        let callbacks = self.callbacks;
        callbacks.load = Some(load::<T>);
        callbacks.start = Some(start::<T>);
        callbacks.collect = Some(collect::<T>);
        callbacks.measure = Some(measure::<T>);
        callbacks.unload = Some(unload::<T>);
        callbacks.destroy = Some(destroy::<T>);
        callbacks.memory = Some(memory::<T>);
        callbacks.batch_budget = handle.tool.batch_budget();
        callbacks.batch_budget_most = handle.tool.batch_budget_most();
        callbacks.runs_code = handle.tool.runs_code().into();
        callbacks.memory_apart = handle.tool.memory_apart().into();
        callbacks.identity = handle.identity.as_ptr();
        *self.user = Box::into_raw(handle).cast();
        Ok(())
    }
}

/// What `user` points to.
struct Handle<T> {
    host: &'static toolpool_host_t,
    tool: T,
    identity: CString,
}

/// What `state` points to.
struct State<W> {
    host: &'static toolpool_host_t,
    device: Device,
    worker: W,
    /// The device is gone: what lives on it is leaked, since freeing it would raise the same error.
    lost: bool,
}

/// What `pending` points to.
struct Started<P> {
    work: P,
    outputs: *mut toolpool_outputs_t,
    batch: *const toolpool_batch_t,
}

unsafe extern "C" fn load<T: Tool>(
    user: *mut c_void,
    device: *const toolpool_device_t,
    state: *mut *mut c_void,
    err: *mut *mut toolpool_error_t,
) -> toolpool_status_t {
    // SAFETY: `user` is the Handle that the entry made, and lives until `destroy`.
    let handle = unsafe { &*user.cast::<Handle<T>>() };
    guard(handle.host, err, || {
        // SAFETY: the core's device is valid during the call, and `state` writable.
        let (device, state) = unsafe { (&*device, &mut *state) };
        let place = place(device)?;
        let worker = on(place.device, || handle.tool.load(place))?;
        *state = Box::into_raw(Box::new(State {
            host: handle.host,
            device: place.device,
            worker,
            lost: false,
        }))
        .cast();
        Ok(())
    })
}

unsafe extern "C" fn start<T: Tool>(
    state: *mut c_void,
    batch: *const toolpool_batch_t,
    outputs: *mut toolpool_outputs_t,
    pending: *mut *mut c_void,
    err: *mut *mut toolpool_error_t,
) -> toolpool_status_t {
    // SAFETY: `state` is what `load` left, used by one call at a time.
    let state = unsafe { &mut *state.cast::<State<T::Worker>>() };
    let (host, device) = (state.host, state.device);
    let status = guard(host, err, || {
        // SAFETY: the core's words on `batch` and `outputs`.
        let exchange = unsafe { Exchange::new(host, batch, outputs) };
        // SAFETY: `batch` is valid until its collect returns; its user is a Handle of the same entry.
        let handle = unsafe { &*(host.batch_user)(batch).cast::<Handle<T>>() };
        let work = on(device, || handle.tool.start(&mut state.worker, &exchange))?;
        // SAFETY: `pending` is writable.
        unsafe {
            *pending = Box::into_raw(Box::new(Started::<T::Pending> {
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

unsafe extern "C" fn collect<T: Tool>(
    state: *mut c_void,
    pending: *mut c_void,
    err: *mut *mut toolpool_error_t,
) -> toolpool_status_t {
    // SAFETY: `state` is what `load` left, `pending` what `start` left, each used by one call at a time.
    let (state, started) = unsafe {
        (
            &mut *state.cast::<State<T::Worker>>(),
            Box::from_raw(pending.cast::<Started<T::Pending>>()),
        )
    };
    let host = state.host;
    if state.lost {
        // Its event will never be reached, and nothing on the device can be freed.
        std::mem::forget(started);
        return TOOLPOOL_ERR_DEVICE_LOST;
    }
    // SAFETY: they are those of this batch's start, and valid until this call returns.
    let exchange = unsafe { Exchange::new(host, started.batch, started.outputs) };
    let status = guard(host, err, || {
        on(state.device, || T::collect(started.work, &exchange))
    });
    state.lost |= status == TOOLPOOL_ERR_DEVICE_LOST;
    status
}

unsafe extern "C" fn memory<T: Tool>(
    user: *mut c_void,
    device: *const toolpool_device_t,
    state: *mut c_void,
) -> u64 {
    // SAFETY: `user` is the entry's Handle, the core's device is valid during the call, and `state` is NULL or what `load`
    // left, used by one call at a time.
    let (handle, device, state) = unsafe {
        (
            &*user.cast::<Handle<T>>(),
            &*device,
            state.cast::<State<T::Worker>>().as_ref(),
        )
    };
    let known = catch_unwind(AssertUnwindSafe(|| match state {
        Some(state) => T::taken(&state.worker),
        None => place(device).map_or(0, |place| handle.tool.memory(place)),
    }));
    known.unwrap_or(0)
}

unsafe extern "C" fn measure<T: Tool>(
    user: *mut c_void,
    fields: *const toolpool_tensor_t,
    n_fields: usize,
    cost: *mut f64,
    extent: *mut u64,
) {
    // SAFETY: `user` is the entry's Handle, and the core vouches for the fields and the two numbers.
    let (handle, fields, cost, extent) = unsafe {
        (
            &*user.cast::<Handle<T>>(),
            std::slice::from_raw_parts(fields, n_fields),
            &mut *cost,
            &mut *extent,
        )
    };
    let measured = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: the fields are the core's, and stay through this call.
        let views: Vec<View> = fields
            .iter()
            .map(|field| unsafe { View::of(field) })
            .collect();
        handle.tool.measure(&views)
    }));
    (*cost, *extent) = measured.unwrap_or((1.0, 1));
}

unsafe extern "C" fn unload<T: Tool>(state: *mut c_void) {
    if state.is_null() {
        return;
    }
    // SAFETY: `state` is what `load` left, and this is its last use.
    let state = unsafe { Box::from_raw(state.cast::<State<T::Worker>>()) };
    if state.lost {
        std::mem::forget(state);
        return;
    }
    // A panic while freeing cannot be reported; it must not cross into C either.
    let _ = catch_unwind(AssertUnwindSafe(|| drop(state)));
}

unsafe extern "C" fn destroy<T: Tool>(user: *mut c_void) {
    if user.is_null() {
        return;
    }
    // SAFETY: `user` is the entry's Handle, and this is its last use.
    let handle = unsafe { Box::from_raw(user.cast::<Handle<T>>()) };
    let _ = catch_unwind(AssertUnwindSafe(|| drop(handle)));
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

/// # Safety
/// `options` is NULL or has `n` elements, whose strings are NUL-terminated and stay for `'a`.
unsafe fn read_options<'a>(options: *const toolpool_option_t, n: usize) -> Result<Vec<Pair<'a>>> {
    if options.is_null() && n > 0 {
        return Err(Error::Argument("options is NULL".into()));
    }
    (0..n)
        .map(|i| {
            // SAFETY: as required of the caller.
            unsafe {
                let option = &*options.add(i);
                Ok((
                    text(option.key, "an option's key")?,
                    text(option.value, "an option's value")?,
                ))
            }
        })
        .collect()
}

/// Runs `body`; an error or a panic becomes its status and a message in `err`.
fn guard(
    host: &toolpool_host_t,
    err: *mut *mut toolpool_error_t,
    body: impl FnOnce() -> Result<()>,
) -> toolpool_status_t {
    let Err(error) = caught(body) else {
        return TOOLPOOL_OK;
    };
    let message = c_string(&error.to_string());
    // SAFETY: `err` is NULL or writable, which the host's function allows.
    unsafe { (host.error_set)(err, error.status(), message.as_ptr()) };
    error.status()
}

/// Runs `body`, work on `device`; an error or a panic becomes what it comes to there.
fn on<T>(device: Device, body: impl FnOnce() -> Result<T>) -> Result<T> {
    caught(body).map_err(|error| error.on(device, shim::trouble))
}

/// Runs `body`; a panic becomes an error.
fn caught<T>(body: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(body))
        .unwrap_or_else(|panic| Err(Error::Panicked(panic_text(&*panic).to_owned())))
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("for an unknown reason")
}
