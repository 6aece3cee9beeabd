//! A tool made of C functions: callbacks in this process, or what a shared library's entry filled in.

use std::collections::VecDeque;
use std::ffi::{CStr, c_char, c_void};
use std::ptr::null_mut;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use toolpool_abi::{
    TOOLPOOL_DEVICE_CPU, TOOLPOOL_DEVICE_CUDA, toolpool_batch_t, toolpool_callbacks_t,
    toolpool_device_t, toolpool_error_t, toolpool_outputs_t, toolpool_status_t, toolpool_tensor_t,
};

use crate::callback::Inside;
use crate::device::{Device, Kind, Slot};
use crate::error::{Error, Result, Status};
use crate::mem::Items;
use crate::plan::batch::Cut;
use crate::tool::{DEFAULT_LIMITS, Identity, Killer, Loaded, Tool, Work};

/// The table and the pointer that its functions are given. Calls `destroy` when the last user lets go.
struct Foreign {
    name: String,
    callbacks: toolpool_callbacks_t,
    user: *mut c_void,
}

// SAFETY: the C surface requires that the functions of a tool may be called on any thread, several at a time.
unsafe impl Send for Foreign {}
// SAFETY: as above.
unsafe impl Sync for Foreign {}

impl Foreign {
    /// What the tool says that it takes of the device's memory: a load to come where `state` is NULL.
    fn memory(&self, slot: &Slot, state: *mut c_void) -> u64 {
        let Some(memory) = self.callbacks.memory else {
            return 0;
        };
        let device = describe(&slot.device, Some(slot));
        let _inside = Inside::enter();
        // SAFETY: the device is valid for the call, and `state` is NULL or what `load` left.
        unsafe { memory(self.user, &raw const device, state) }
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        if let Some(destroy) = self.callbacks.destroy {
            let _inside = Inside::enter();
            // SAFETY: by contract called once, when no other call can follow.
            unsafe { destroy(self.user) }
        }
    }
}

/// A tool made of C functions.
pub struct ForeignTool {
    foreign: Arc<Foreign>,
    identity: Identity,
}

impl ForeignTool {
    /// A tool of the functions in `callbacks`. On success it owns `user`, on an error it does not.
    ///
    /// # Safety
    /// `callbacks` must point to a table of at least the bytes that it says it has, whose functions keep to what
    /// `toolpool_callbacks_t` says, with `user` as their pointer.
    pub unsafe fn new(
        name: &str,
        callbacks: *const toolpool_callbacks_t,
        user: *mut c_void,
    ) -> Result<Self> {
        // SAFETY: as required of the caller.
        let callbacks = unsafe { read_sized(callbacks, name)? };
        match (callbacks.run, callbacks.start, callbacks.collect) {
            (None, None, None) => Err(refused(name, "neither `run` nor `start` with `collect`")),
            (_, Some(_), None) => Err(refused(name, "`start` without `collect`")),
            (_, None, Some(_)) => Err(refused(name, "`collect` without `start`")),
            // SAFETY: as required of the caller.
            _ => Ok(unsafe { Self::of(name, callbacks, user) }),
        }
    }

    /// What a tool says of its items and batches, where its calls are answered elsewhere: the table holds no function
    /// that loads or runs, and nothing whose end or sharing it would have to know of.
    ///
    /// # Safety
    /// As for [`ForeignTool::new`], but `callbacks` may be NULL, for a table of NULLs.
    pub unsafe fn measures(
        name: &str,
        callbacks: *const toolpool_callbacks_t,
        user: *mut c_void,
    ) -> Result<Self> {
        let table = if callbacks.is_null() {
            // SAFETY: all zeros is a table of NULLs.
            unsafe { std::mem::zeroed() }
        } else {
            // SAFETY: as required of the caller.
            unsafe { read_sized(callbacks, name)? }
        };
        let set = [
            ("load", table.load.is_some()),
            ("run", table.run.is_some()),
            ("unload", table.unload.is_some()),
            ("start", table.start.is_some()),
            ("collect", table.collect.is_some()),
            ("destroy", table.destroy.is_some()),
            ("identity", !table.identity.is_null()),
        ];
        match set.into_iter().find(|&(_, set)| set) {
            Some((field, _)) => Err(refused(
                name,
                &format!("`{field}` set; its calls come through a queue, so leave it NULL"),
            )),
            // SAFETY: as required of the caller.
            None => Ok(unsafe { Self::of(name, table, user) }),
        }
    }

    /// # Safety
    /// As for [`ForeignTool::new`].
    unsafe fn of(name: &str, callbacks: toolpool_callbacks_t, user: *mut c_void) -> Self {
        let identity = if callbacks.identity.is_null() {
            static NEXT: AtomicU64 = AtomicU64::new(0);
            Identity::own(&format!("{name}#{}", NEXT.fetch_add(1, Ordering::Relaxed)))
        } else {
            // SAFETY: by contract NUL-terminated.
            let identity = unsafe { CStr::from_ptr(callbacks.identity) }.to_string_lossy();
            // Two libraries may use one name and one identity; their code is not the same.
            let code = (callbacks.run, callbacks.start);
            Identity::shared(&format!("{name}:{code:?}:{identity}"))
        };
        Self {
            foreign: Arc::new(Foreign {
                name: name.to_owned(),
                callbacks,
                user,
            }),
            identity,
        }
    }

    /// The pointer that its functions are given.
    pub(super) fn user(&self) -> *mut c_void {
        self.foreign.user
    }
}

fn refused(name: &str, why: &str) -> Error {
    Error::new(
        Status::Argument,
        format_args!("the tool '{name}' has {why}"),
    )
}

/// Reads a table that may be shorter or longer than ours: what is missing is NULL, what is beyond must be zero. Every field
/// has eight bytes, so a size that is no multiple of eight would cut one.
///
/// # Safety
/// The table must have the bytes that its first field says.
unsafe fn read_sized(
    callbacks: *const toolpool_callbacks_t,
    name: &str,
) -> Result<toolpool_callbacks_t> {
    const OURS: usize = size_of::<toolpool_callbacks_t>();
    /// Through `run`: what a table must reach to be any use.
    const LEAST: usize = std::mem::offset_of!(toolpool_callbacks_t, cost);
    // SAFETY: every table starts with its size.
    let size = unsafe { *callbacks.cast::<usize>() };
    if !(LEAST..=4096).contains(&size) || !size.is_multiple_of(8) {
        return Err(Error::new(
            Status::Argument,
            format_args!(
                "the callbacks of '{name}' say that they have {size} bytes, not {OURS}; start from TOOLPOOL_CALLBACKS_INIT"
            ),
        ));
    }
    // SAFETY: the table has `size` bytes.
    let bytes = unsafe { std::slice::from_raw_parts(callbacks.cast::<u8>(), size) };
    if bytes[OURS.min(size)..].iter().any(|&byte| byte != 0) {
        return Err(Error::new(
            Status::Argument,
            format_args!(
                "the callbacks of '{name}' use functions that this toolpool does not have; update libtoolpool"
            ),
        ));
    }
    let mut table = std::mem::MaybeUninit::<toolpool_callbacks_t>::zeroed();
    // SAFETY: both have `min(size, OURS)` bytes; all zeros is a table of NULLs.
    unsafe {
        std::ptr::copy_nonoverlapping(
            bytes.as_ptr(),
            table.as_mut_ptr().cast::<u8>(),
            size.min(OURS),
        );
        Ok(table.assume_init())
    }
}

impl Tool for ForeignTool {
    fn name(&self) -> &str {
        &self.foreign.name
    }

    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn cost(&self, item: &[u8]) -> f64 {
        let Some(cost) = self.foreign.callbacks.cost else {
            return item.len() as f64;
        };
        let _inside = Inside::enter();
        // SAFETY: the pointer and length are those of the item.
        unsafe { cost(self.foreign.user, item.as_ptr().cast(), item.len()) }
    }

    fn extent(&self, item: &[u8]) -> u64 {
        let Some(extent) = self.foreign.callbacks.extent else {
            return item.len() as u64;
        };
        let _inside = Inside::enter();
        // SAFETY: the pointer and length are those of the item.
        unsafe { extent(self.foreign.user, item.as_ptr().cast(), item.len()) }
    }

    fn measure(&self, items: &Items, position: usize) -> (f64, u64) {
        let Some(measure) = self.foreign.callbacks.measure else {
            let first = items.first(position);
            return (self.cost(first), self.extent(first));
        };
        let fields: Vec<toolpool_tensor_t> = items
            .fields()
            .map(|field| field.input(position).into())
            .collect();
        let (mut cost, mut extent) = (0.0, 0);
        let _inside = Inside::enter();
        // SAFETY: the fields and the two numbers live through the call; the function keeps to its contract.
        unsafe {
            measure(
                self.foreign.user,
                fields.as_ptr(),
                fields.len(),
                &raw mut cost,
                &raw mut extent,
            );
        }
        (cost, extent)
    }

    fn runs_code(&self) -> bool {
        self.foreign.callbacks.runs_code != 0
    }

    fn limits(&self) -> Cut {
        let table = &self.foreign.callbacks;
        let or = |given: u64, default: u64| if given == 0 { default } else { given };
        let items = or(table.batch_items, DEFAULT_LIMITS.max_items as u64);
        Cut {
            budget: or(table.batch_budget, DEFAULT_LIMITS.budget),
            max_items: usize::try_from(items).unwrap_or(usize::MAX),
        }
    }

    fn most_budget(&self) -> u64 {
        self.limits()
            .budget
            .max(self.foreign.callbacks.batch_budget_most)
    }

    fn memory(&self, slot: &Slot) -> u64 {
        self.foreign.memory(slot, null_mut())
    }

    fn memory_apart(&self) -> bool {
        self.identity.owner().is_some() || self.foreign.callbacks.memory_apart != 0
    }

    fn load(&self, slot: &Slot, _: &dyn Fn(Killer)) -> Result<Box<dyn Loaded>> {
        let mut state = null_mut();
        if let Some(load) = self.foreign.callbacks.load {
            let device = describe(&slot.device, Some(slot));
            let _inside = Inside::enter();
            // SAFETY: all pointers are valid for the call; the functions keep to their contract.
            checked(&self.foreign.name, "load", |err| unsafe {
                load(self.foreign.user, &raw const device, &raw mut state, err)
            })?;
        }
        Ok(Box::new(LoadedForeign {
            foreign: Arc::clone(&self.foreign),
            slot: slot.clone(),
            state,
            pending: VecDeque::new(),
            leaked: false,
        }))
    }
}

/// What `load` left behind, with the functions that know it.
struct LoadedForeign {
    foreign: Arc<Foreign>,
    slot: Slot,
    state: *mut c_void,
    /// What `start` left for `collect`, oldest first.
    pending: VecDeque<*mut c_void>,
    /// The device is lost, and with it what `unload` would free.
    leaked: bool,
}

impl Loaded for LoadedForeign {
    fn depth(&self) -> usize {
        if self.foreign.callbacks.start.is_some() {
            2
        } else {
            1
        }
    }

    fn start(&mut self, work: &mut Work) -> Result<()> {
        let batch = (&raw const work.batch).cast::<toolpool_batch_t>();
        let outputs = (&raw mut work.outputs).cast::<toolpool_outputs_t>();
        let name = &self.foreign.name;
        let _inside = Inside::enter();
        match (self.foreign.callbacks.start, self.foreign.callbacks.run) {
            (Some(start), _) => {
                let mut pending = null_mut();
                // SAFETY: `work` is boxed and not touched before `collect`; the functions keep to their contract.
                checked(name, "start", |err| unsafe {
                    start(self.state, batch, outputs, &raw mut pending, err)
                })?;
                self.pending.push_back(pending);
                Ok(())
            }
            // SAFETY: all pointers are valid for the call; the functions keep to their contract.
            (None, Some(run)) => checked(name, "run", |err| unsafe {
                run(self.state, batch, outputs, err)
            }),
            (None, None) => Err(Error::new(
                Status::Internal,
                "a tool without run and start was admitted",
            )),
        }
    }

    fn collect(&mut self, _: &mut Work) -> Result<()> {
        let (Some(collect), Some(pending)) =
            (self.foreign.callbacks.collect, self.pending.pop_front())
        else {
            return Ok(());
        };
        let _inside = Inside::enter();
        // SAFETY: `pending` is what `start` left for the oldest batch, handed over once.
        checked(&self.foreign.name, "collect", |err| unsafe {
            collect(self.state, pending, err)
        })
    }

    fn leak(mut self: Box<Self>) {
        self.leaked = true;
    }

    fn memory(&self) -> u64 {
        // Without a state it would be the estimate for a load.
        if self.state.is_null() {
            return 0;
        }
        self.foreign.memory(&self.slot, self.state)
    }
}

impl Drop for LoadedForeign {
    fn drop(&mut self) {
        if let Some(unload) = self.foreign.callbacks.unload
            && !self.leaked
        {
            let _inside = Inside::enter();
            // SAFETY: called once with what `load` left, on the same thread, after the last batch.
            unsafe { unload(self.state) }
        }
    }
}

/// Calls a foreign function and turns its status and error into ours.
pub(super) fn checked(
    name: &str,
    function: &str,
    call: impl FnOnce(*mut *mut toolpool_error_t) -> toolpool_status_t,
) -> Result<()> {
    let mut err: *mut toolpool_error_t = null_mut();
    let code = call(&raw mut err);
    // SAFETY: errors are made by `toolpool_error_set` alone, and the callee hands this one over.
    let error = (!err.is_null()).then(|| unsafe { *Box::from_raw(err.cast::<Error>()) });
    if code == 0 {
        return Ok(());
    }
    let Some(status) = Status::from_code(code) else {
        return Err(Error::new(
            Status::Contract,
            format_args!("`{function}` of the tool '{name}' returned {code}, which is no status"),
        ));
    };
    let message = error
        .as_ref()
        .map_or("it gave no message", |error| &**error.message());
    Err(Error::new(status, format_args!("{name}: {message}")))
}

/// A device as C sees it; `slot` adds what concerns its worker.
#[must_use]
pub fn describe(device: &Device, slot: Option<&Slot>) -> toolpool_device_t {
    toolpool_device_t {
        size: size_of::<toolpool_device_t>(),
        kind: match device.kind {
            Kind::Cpu => TOOLPOOL_DEVICE_CPU,
            Kind::Cuda => TOOLPOOL_DEVICE_CUDA,
        },
        index: device.index as i32,
        slot: slot.map_or(-1, |slot| slot.number as i32),
        threads: slot.map_or(1, |slot| slot.threads as i32),
        memory_total: device.memory_total,
        memory_free: device.memory_free,
        capability_major: device.capability.0,
        capability_minor: device.capability.1,
        name: fixed(&device.name),
        uuid: fixed(&device.uuid),
        driver: fixed(&device.driver),
    }
}

/// `text` NUL-terminated in `N` bytes, cut at a character's end where it is longer.
fn fixed<const N: usize>(text: &str) -> [c_char; N] {
    let mut buffer = [0; N];
    let fits = |&end: &usize| text.is_char_boundary(end);
    let end = (0..=text.len().min(N - 1)).rev().find(fits).unwrap_or(0);
    for (to, from) in buffer.iter_mut().zip(text[..end].bytes()) {
        *to = from as c_char;
    }
    buffer
}
