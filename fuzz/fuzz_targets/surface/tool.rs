//! A tool of callbacks that does to each item what the item's first letter says, and checks how it is called.

use std::collections::VecDeque;
use std::ffi::{c_char, c_void};
use std::ptr::{from_ref, null, null_mut};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering::SeqCst};
use std::thread::{self, ThreadId};

use toolpool::ffi::batch::*;
use toolpool::ffi::error::toolpool_error_set;
use toolpool::ffi::shell::toolpool_t;
use toolpool::ffi::tool::{toolpool_tool_free, toolpool_tool_t};
use toolpool_abi::*;
use toolpool_fuzz::c;

use crate::letters::{first, work};

/// The largest table that the library reads.
const TABLE: usize = 4096;

/// How a tool is made; each a digit of the program.
#[derive(Debug, Clone, Copy)]
pub struct Choices {
    pub engine: u8,
    pub load: u8,
    pub cost: u8,
    pub limits: u8,
    pub identity: u8,
    pub size: u8,
}

impl Choices {
    /// Whether the table reaches to `destroy`.
    pub fn has_destroy(&self) -> bool {
        self.table_size() > std::mem::offset_of!(toolpool_callbacks_t, destroy)
    }

    fn table_size(&self) -> usize {
        match self.size % 8 {
            0..4 => size_of::<toolpool_callbacks_t>(),
            4 => std::mem::offset_of!(toolpool_callbacks_t, cost),
            5 => TABLE,
            6 => usize::from(self.size) * 3,
            _ => TABLE + usize::from(self.size),
        }
    }
}

/// What `user` points to. It lives until the end of the program, so that late calls are caught.
pub struct Tool {
    choices: Choices,
    /// Its calls are answered by threads of the program, which may wait for pools.
    pub queued: bool,
    /// A pool that callbacks try to wait for.
    pub pool: *mut toolpool_t,
    /// Freed by `destroy`.
    chained: AtomicPtr<toolpool_tool_t>,
    made: AtomicBool,
    /// Its table reaches to `destroy`.
    has_destroy: bool,
    has_unload: bool,
    destroyed: AtomicUsize,
    loads: AtomicUsize,
    pub tries: AtomicUsize,
    unloads: AtomicUsize,
    flights: AtomicUsize,
    pub device_lost: AtomicBool,
    /// Every state that `load` left; never freed before the end either.
    states: Mutex<Vec<Box<State>>>,
}

// SAFETY: the pool's pointer may be used from any thread, as the header says.
unsafe impl Send for Tool {}
// SAFETY: as above.
unsafe impl Sync for Tool {}

struct State {
    tool: *const Tool,
    thread: ThreadId,
    unloaded: AtomicBool,
    busy: AtomicBool,
    /// Numbers of batches begun and not collected.
    pending: Mutex<VecDeque<usize>>,
    begun: AtomicUsize,
}

// SAFETY: `tool` lives until the end of the program.
unsafe impl Send for State {}

/// What `start` leaves for `collect`.
struct Flight {
    number: usize,
    batch: *const toolpool_batch_t,
    outputs: *mut toolpool_outputs_t,
    done: bool,
}

/// A table of callbacks with room behind it for sizes beyond ours.
#[repr(C)]
pub struct Table {
    callbacks: toolpool_callbacks_t,
    beyond: [u8; TABLE - size_of::<toolpool_callbacks_t>()],
}

impl Table {
    pub fn callbacks(&self) -> *const toolpool_callbacks_t {
        from_ref(self).cast()
    }
}

impl Tool {
    pub fn new(
        choices: Choices,
        pool: *mut toolpool_t,
        chained: *mut toolpool_tool_t,
    ) -> Box<Self> {
        let size = choices.table_size();
        Box::new(Self {
            choices,
            queued: false,
            pool,
            chained: AtomicPtr::new(chained),
            made: AtomicBool::new(false),
            has_destroy: choices.has_destroy(),
            has_unload: size > std::mem::offset_of!(toolpool_callbacks_t, unload)
                && ![6, 8].contains(&(choices.load % 10)),
            destroyed: AtomicUsize::new(0),
            loads: AtomicUsize::new(0),
            tries: AtomicUsize::new(0),
            unloads: AtomicUsize::new(0),
            flights: AtomicUsize::new(0),
            device_lost: AtomicBool::new(false),
            states: Mutex::default(),
        })
    }

    /// The `user` of a tool whose calls wait in a queue.
    pub fn queued(choices: Choices) -> Box<Self> {
        let mut tool = Self::new(choices, null_mut(), null_mut());
        tool.queued = true;
        tool
    }

    pub fn user(&self) -> *mut c_void {
        from_ref(self).cast_mut().cast()
    }

    /// The library has it, and will call `destroy`.
    pub fn made(&self) {
        self.made.store(true, SeqCst);
    }

    /// The tool that `destroy` was to free and has not.
    pub fn unchain(&self) -> *mut toolpool_tool_t {
        self.chained.swap(null_mut(), SeqCst)
    }

    /// The table that the choices ask for.
    pub fn table(&self) -> Box<Table> {
        let Choices {
            engine,
            load: loading,
            cost: costing,
            limits,
            identity,
            size,
        } = self.choices;
        let mut callbacks = toolpool_callbacks_t {
            size: self.choices.table_size(),
            load: (loading % 10 != 9).then_some(load),
            run: Some(run),
            cost: (costing % 8 != 0).then_some(cost),
            unload: (loading % 10 != 8).then_some(unload),
            destroy: Some(destroy),
            extent: (costing % 8 > 1).then_some(extent),
            batch_budget: [0, 1, 4, 16, u64::MAX][usize::from(limits) % 5],
            batch_items: [0, 1, 2, 3, u64::MAX][usize::from(limits / 5) % 5],
            start: None,
            collect: None,
            identity: [null(), c"one".as_ptr(), c"".as_ptr(), c"\xff".as_ptr()]
                [usize::from(identity) % 4],
            memory: (costing % 8 == 7).then_some(memory),
            batch_budget_most: [0, 1, 64, u64::MAX][usize::from(limits / 25) % 4],
            measure: (costing % 16 > 12).then_some(measure),
            runs_code: u64::from(identity % 8 == 7),
            memory_apart: u64::from(limits % 2),
        };
        match engine % 8 {
            0..3 => {}
            3..6 => {
                callbacks.run = None;
                callbacks.start = Some(start);
                callbacks.collect = Some(collect);
            }
            6 => callbacks.start = Some(start),
            _ => callbacks.run = None,
        }
        let beyond = if size % 16 == 13 { 1 } else { 0 };
        Box::new(Table {
            callbacks,
            beyond: [beyond; _],
        })
    }

    /// The functions of the table that a queue may have.
    pub fn measuring_table(&self) -> Box<Table> {
        let mut table = self.table();
        table.callbacks.unload = None;
        table.callbacks.destroy = None;
        table.callbacks.identity = null();
        table
    }

    /// How often it is to be destroyed.
    fn expected(&self) -> usize {
        usize::from(self.made.load(SeqCst) && self.has_destroy)
    }

    /// Whether nothing is said once the library has it no more.
    pub fn is_silent(&self) -> bool {
        self.expected() == 0
    }

    /// Whether no worker that was left behind inside a tool, past a time limit, has it any more.
    pub fn has_ended(&self) -> bool {
        self.destroyed.load(SeqCst) >= self.expected() && self.flights.load(SeqCst) == 0
    }

    /// After everything was freed and closed.
    pub fn check_end(&self) {
        assert_eq!(self.destroyed.load(SeqCst), self.expected());
        assert_eq!(
            self.flights.load(SeqCst),
            0,
            "a batch was begun and never collected"
        );
        assert!(self.unloads.load(SeqCst) <= self.loads.load(SeqCst));
    }

    /// Whether every load was followed by an unload; not so where a device was lost.
    pub fn kept_count(&self) -> bool {
        !self.has_unload || self.unloads.load(SeqCst) == self.loads.load(SeqCst)
    }

    pub fn lost_a_device(&self) -> bool {
        self.device_lost.load(SeqCst)
    }
}

/// # Safety
/// `user` came from [`Tool::user`].
pub unsafe fn tool<'a>(user: *mut c_void) -> &'a Tool {
    // SAFETY: tools live until the end of the program.
    let tool = unsafe { &*user.cast::<Tool>() };
    assert_eq!(tool.destroyed.load(SeqCst), 0, "called after destroy");
    tool
}

pub fn failure(
    err: *mut *mut toolpool_error_t,
    status: i32,
    message: *const c_char,
) -> toolpool_status_t {
    c!(toolpool_error_set(err, status, message))
}

unsafe extern "C" fn load(
    user: *mut c_void,
    device: *const toolpool_device_t,
    state: *mut *mut c_void,
    err: *mut *mut toolpool_error_t,
) -> toolpool_status_t {
    // SAFETY: the library hands over what the header says.
    let (tool, device) = unsafe { (tool(user), &*device) };
    assert!(
        device.size == size_of::<toolpool_device_t>() && device.threads >= 1 && device.slot >= 0
    );
    let again = tool.tries.fetch_add(1, SeqCst) > 0;
    match tool.choices.load % 10 {
        1 => return failure(err, TOOLPOOL_ERR_FAILED, c"no".as_ptr()),
        2 if !again => return failure(err, TOOLPOOL_ERR_OUT_OF_MEMORY, c"\xff\n".as_ptr()),
        3 if !again => {
            tool.device_lost.store(true, SeqCst);
            return failure(err, TOOLPOOL_ERR_DEVICE_LOST, null());
        }
        4 if !again => return failure(err, TOOLPOOL_ERR_TRANSIENT, c"later".as_ptr()),
        5 => return 7,
        _ => {}
    }
    tool.loads.fetch_add(1, SeqCst);
    if tool.choices.load % 10 == 6 {
        return TOOLPOOL_OK;
    }
    let left = Box::new(State {
        tool,
        thread: thread::current().id(),
        unloaded: AtomicBool::new(false),
        busy: AtomicBool::new(false),
        pending: Mutex::default(),
        begun: AtomicUsize::new(0),
    });
    // SAFETY: `state` is writable.
    unsafe { *state = from_ref(&*left).cast_mut().cast() };
    tool.states.lock().unwrap().push(left);
    TOOLPOOL_OK
}

/// The state that `load` left, checked to be loaded and on its own thread.
///
/// # Safety
/// `state` is NULL or came from `load`.
unsafe fn loaded<'a>(state: *mut c_void) -> Option<&'a State> {
    // SAFETY: states live until the end of the program.
    let state = unsafe { state.cast::<State>().as_ref() }?;
    assert_eq!(state.thread, thread::current().id());
    assert!(!state.unloaded.load(SeqCst), "called after unload");
    Some(state)
}

unsafe extern "C" fn unload(state: *mut c_void) {
    // SAFETY: `state` is what `load` left.
    if let Some(state) = unsafe { loaded(state) } {
        assert!(state.pending.lock().unwrap().is_empty());
        state.unloaded.store(true, SeqCst);
        // SAFETY: tools live until the end of the program.
        unsafe { tool(state.tool.cast_mut().cast()) }
            .unloads
            .fetch_add(1, SeqCst);
    }
}

unsafe extern "C" fn destroy(user: *mut c_void) {
    // SAFETY: `user` is a Tool's.
    let tool = unsafe { tool(user) };
    tool.destroyed.fetch_add(1, SeqCst);
    c!(toolpool_tool_free(tool.unchain()));
}

unsafe extern "C" fn cost(user: *mut c_void, data: *const c_void, len: usize) -> f64 {
    // SAFETY: `user` is a Tool's, and `data` has `len` bytes.
    let (tool, item) = unsafe {
        (
            tool(user),
            std::slice::from_raw_parts(data.cast::<u8>(), len),
        )
    };
    let letter = f64::from(first(item));
    match tool.choices.cost % 8 {
        3 => f64::INFINITY,
        4 => 0.0,
        5 if letter > 120.0 => f64::NAN,
        6 => letter - 100.0,
        _ => letter,
    }
}

unsafe extern "C" fn extent(user: *mut c_void, data: *const c_void, len: usize) -> u64 {
    // SAFETY: `user` is a Tool's, and `data` has `len` bytes.
    let (_, item) = unsafe {
        (
            tool(user),
            std::slice::from_raw_parts(data.cast::<u8>(), len),
        )
    };
    match first(item) % 5 {
        0 => u64::MAX,
        1 => 0,
        _ => len as u64,
    }
}

/// As `cost` and `extent` of the first field, whatever its type is.
unsafe extern "C" fn measure(
    user: *mut c_void,
    fields: *const toolpool_tensor_t,
    n_fields: usize,
    cost_of: *mut f64,
    extent_of: *mut u64,
) {
    assert!(n_fields > 0 && !fields.is_null());
    // SAFETY: there are `n_fields` fields, of as many bytes as each says.
    let fields = unsafe { std::slice::from_raw_parts(fields, n_fields) };
    for field in fields {
        assert_eq!(field.size, size_of::<toolpool_tensor_t>());
        assert!(field.strides.is_null() && field.device == TOOLPOOL_DEVICE_CPU);
    }
    let (data, len) = (fields[0].data, fields[0].bytes);
    assert!(!data.is_null());
    // SAFETY: `user` is a Tool's, and `data` has `len` bytes; both answers have their place.
    unsafe {
        *cost_of = cost(user, data, len);
        *extent_of = extent(user, data, len);
    }
}

unsafe extern "C" fn memory(
    user: *mut c_void,
    device: *const toolpool_device_t,
    state: *mut c_void,
) -> u64 {
    // SAFETY: `user` is a Tool's; the device is valid during the call, the state one that `load` left.
    let (tool, device) = unsafe {
        loaded(state);
        (tool(user), &*device)
    };
    match tool.choices.limits % 4 {
        0 => 0,
        1 => 1 << 20,
        2 => device.memory_total / 2,
        _ => u64::MAX,
    }
}

unsafe extern "C" fn run(
    state: *mut c_void,
    batch: *const toolpool_batch_t,
    outputs: *mut toolpool_outputs_t,
    err: *mut *mut toolpool_error_t,
) -> toolpool_status_t {
    // SAFETY: `state` is what `load` left.
    let state = unsafe { loaded(state) };
    assert!(
        !state.is_some_and(|state| state.busy.swap(true, SeqCst)),
        "two calls at a time"
    );
    let status = work(batch, outputs, err);
    if let Some(state) = state {
        state.busy.store(false, SeqCst);
    }
    status
}

/// Batches of an even number of items are computed at once, others when they are collected.
unsafe extern "C" fn start(
    state: *mut c_void,
    batch: *const toolpool_batch_t,
    outputs: *mut toolpool_outputs_t,
    pending: *mut *mut c_void,
    err: *mut *mut toolpool_error_t,
) -> toolpool_status_t {
    // SAFETY: `state` is what `load` left; the batch's user is the one that it was submitted with.
    let (state, tool) = unsafe { (loaded(state), tool(toolpool_batch_user(batch))) };
    let done = c!(toolpool_batch_len(batch)) % 2 == 0;
    if done {
        let status = work(batch, outputs, err);
        if status != TOOLPOOL_OK {
            return status;
        }
    }
    tool.flights.fetch_add(1, SeqCst);
    let number = state.map_or(0, |state| {
        let number = state.begun.fetch_add(1, SeqCst);
        state.pending.lock().unwrap().push_back(number);
        number
    });
    let flight = Box::new(Flight {
        number,
        batch,
        outputs,
        done,
    });
    // SAFETY: `pending` is writable.
    unsafe { *pending = Box::into_raw(flight).cast() };
    TOOLPOOL_OK
}

unsafe extern "C" fn collect(
    state: *mut c_void,
    pending: *mut c_void,
    err: *mut *mut toolpool_error_t,
) -> toolpool_status_t {
    // SAFETY: `state` is what `load` left, `pending` what `start` left, handed over once.
    let (state, flight) = unsafe { (loaded(state), Box::from_raw(pending.cast::<Flight>())) };
    if let Some(state) = state {
        assert_eq!(
            state.pending.lock().unwrap().pop_front(),
            Some(flight.number),
            "oldest first"
        );
    }
    // SAFETY: the batch is valid until this returns.
    unsafe { tool(toolpool_batch_user(flight.batch)) }
        .flights
        .fetch_sub(1, SeqCst);
    if flight.done {
        TOOLPOOL_OK
    } else {
        work(flight.batch, flight.outputs, err)
    }
}
