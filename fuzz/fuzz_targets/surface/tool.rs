//! A tool of callbacks that does to each item what the item's first letter says, and checks how it is called.

use std::collections::VecDeque;
use std::ffi::{c_char, c_void};
use std::ptr::{from_ref, null, null_mut};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering::SeqCst};
use std::thread::{self, ThreadId};
use std::time::Duration;

use toolpool::ffi::batch::*;
use toolpool::ffi::error::toolpool_error_set;
use toolpool::ffi::items::{toolpool_items_free, toolpool_items_from_strings};
use toolpool::ffi::job::{toolpool_job_free, toolpool_job_wait, toolpool_submit};
use toolpool::ffi::pool::{toolpool_close, toolpool_drain, toolpool_warm};
use toolpool::ffi::shell::toolpool_t;
use toolpool::ffi::tool::{toolpool_tool_free, toolpool_tool_open, toolpool_tool_t};
use toolpool_abi::*;
use toolpool_fuzz::{ErrArg, c, check, make};

/// The largest table that the library reads.
const TABLE: usize = 4096;

/// Items of these first letters always fail, whatever else happens; every other item is copied to `output`.
pub fn always_fails(item: &[u8]) -> bool {
    matches!(
        first(item),
        b'f' | b'F' | b'b' | b'm' | b'l' | b'n' | b'2' | b'i' | b'd' | b's' | b'q' | b'Q'
    )
}

/// Items of these first letters may fail alone.
pub fn may_fail(item: &[u8]) -> bool {
    always_fails(item) || matches!(first(item), b'L' | b'T' | b'D' | b'u')
}

fn first(item: &[u8]) -> u8 {
    item.first().copied().unwrap_or(b'_')
}

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
    /// A pool that callbacks try to wait for.
    pool: *mut toolpool_t,
    /// Freed by `destroy`.
    chained: AtomicPtr<toolpool_tool_t>,
    made: AtomicBool,
    /// Its table reaches to `destroy`.
    has_destroy: bool,
    has_unload: bool,
    destroyed: AtomicUsize,
    loads: AtomicUsize,
    tries: AtomicUsize,
    unloads: AtomicUsize,
    flights: AtomicUsize,
    device_lost: AtomicBool,
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

    /// How often it is to be destroyed.
    fn expected(&self) -> usize {
        usize::from(self.made.load(SeqCst) && self.has_destroy)
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
unsafe fn tool<'a>(user: *mut c_void) -> &'a Tool {
    // SAFETY: tools live until the end of the program.
    let tool = unsafe { &*user.cast::<Tool>() };
    assert_eq!(tool.destroyed.load(SeqCst), 0, "called after destroy");
    tool
}

fn failure(
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

/// Does to each item what its first letter says.
fn work(
    batch: *const toolpool_batch_t,
    outputs: *mut toolpool_outputs_t,
    err: *mut *mut toolpool_error_t,
) -> toolpool_status_t {
    // SAFETY: the batch's user is the Tool that it was submitted with.
    let tool = unsafe { tool(toolpool_batch_user(batch)) };
    let len = c!(toolpool_batch_len(batch));
    assert!(len > 0);
    for index in 0..len {
        let item = field(batch, index, Some(c"input".as_ptr())).unwrap();
        assert_eq!(field(batch, index, None), Some(item));
        let status = work_on(tool, index, item, len, outputs, err);
        if status != TOOLPOOL_OK {
            return status;
        }
    }
    assert_eq!(field(batch, len, None), None);
    TOOLPOOL_OK
}

fn field<'a>(
    batch: *const toolpool_batch_t,
    index: usize,
    name: Option<*const c_char>,
) -> Option<&'a [u8]> {
    let (mut data, mut len) = (null(), 0);
    let status = match name {
        Some(name) => c!(toolpool_batch_field(
            batch,
            index,
            name,
            &raw mut data,
            &raw mut len
        )),
        None => c!(toolpool_batch_bytes(
            batch,
            index,
            &raw mut data,
            &raw mut len
        )),
    };
    assert_eq!(
        status,
        if data.is_null() {
            TOOLPOOL_ERR_NOT_FOUND
        } else {
            TOOLPOOL_OK
        }
    );
    // SAFETY: on success there are `len` bytes, valid as long as the batch.
    (!data.is_null()).then(|| unsafe { std::slice::from_raw_parts(data.cast(), len) })
}

fn work_on(
    tool: &Tool,
    index: usize,
    item: &[u8],
    len: usize,
    outputs: *mut toolpool_outputs_t,
    err: *mut *mut toolpool_error_t,
) -> toolpool_status_t {
    let once = || tool.tries.fetch_add(1, SeqCst).is_multiple_of(2);
    match first(item) {
        b'b' => return failure(err, TOOLPOOL_ERR_FAILED, c"bad batch".as_ptr()),
        b'm' => return failure(err, TOOLPOOL_ERR_OUT_OF_MEMORY, c"memory".as_ptr()),
        b'M' if len > 1 => return failure(err, TOOLPOOL_ERR_OUT_OF_MEMORY, null()),
        b'l' => return lose(tool, err),
        b'L' if once() => return lose(tool, err),
        b'T' if once() => return failure(err, TOOLPOOL_ERR_TRANSIENT, c"later".as_ptr()),
        b'q' => return 7,
        b'Q' => return failure(err, -99, c"\xff".as_ptr()),
        b'f' => {
            return c!(toolpool_outputs_fail(
                outputs,
                index,
                TOOLPOOL_ERR_ITEM,
                c"refused".as_ptr()
            ));
        }
        b'F' => return c!(toolpool_outputs_fail(outputs, index, 12345, null())),
        b'n' => return TOOLPOOL_OK,
        b'2' => assert!(put(outputs, index, item)),
        b'i' => assert_eq!(alloc(outputs, len, c"output", TOOLPOOL_BYTES, &[1]), None),
        b'd' => return refused(alloc(outputs, index, c"output", 99, &[1])),
        b's' => {
            return refused(alloc(
                outputs,
                index,
                c"output",
                TOOLPOOL_FLOAT64,
                &[1 << 40, 1 << 40],
            ));
        }
        b'8' => assert_eq!(
            alloc(outputs, index, c"nine", TOOLPOOL_BYTES, &[1; 9]),
            None
        ),
        b'g' => assert_eq!(alloc(outputs, index, c"minus", TOOLPOOL_BYTES, &[-1]), None),
        b'z' => assert!(alloc(outputs, index, c"zero", TOOLPOOL_INT64, &[4, 0, 4]).is_some()),
        b'v' => fill(
            alloc(outputs, index, c"vector", TOOLPOOL_FLOAT32, &[2, 3]),
            24,
        ),
        b'V' => fill(alloc(outputs, index, c"scalar", TOOLPOOL_FLOAT64, &[]), 8),
        b'D' => {
            let row = alloc(outputs, index, c"output", TOOLPOOL_INT32, &[1]);
            if row.is_none() {
                return c!(toolpool_outputs_fail(
                    outputs,
                    index,
                    TOOLPOOL_ERR_ITEM,
                    c"mixed".as_ptr()
                ));
            }
            fill(row, 4);
            return TOOLPOOL_OK;
        }
        b'w' => assert_eq!(
            c!(toolpool_outputs_warn(outputs, index, c"a\n\xff".as_ptr())),
            TOOLPOOL_OK
        ),
        b'W' => assert_eq!(
            c!(toolpool_outputs_warn(outputs, index, null())),
            TOOLPOOL_ERR_ARGUMENT
        ),
        b'h' => thread::sleep(Duration::from_millis(2)),
        b'e' => drop(failure(
            err,
            TOOLPOOL_ERR_FAILED,
            c"said, and not meant".as_ptr(),
        )),
        b'c' => drop(c!(toolpool_outputs_count(outputs, c"seen".as_ptr(), 1.0))),
        b'C' => drop(c!(toolpool_outputs_count(outputs, null(), f64::NAN))),
        b'r' => wait_inside(tool),
        b'R' => submit_inside(tool),
        _ => {}
    }
    let written = put(outputs, index, item);
    if !written {
        return c!(toolpool_outputs_fail(
            outputs,
            index,
            TOOLPOOL_ERR_ITEM,
            c"mixed".as_ptr()
        ));
    }
    if first(item) == b'u' {
        return c!(toolpool_outputs_fail(
            outputs,
            index,
            TOOLPOOL_ERR_ITEM,
            c"after all".as_ptr()
        ));
    }
    TOOLPOOL_OK
}

fn lose(tool: &Tool, err: *mut *mut toolpool_error_t) -> toolpool_status_t {
    tool.device_lost.store(true, SeqCst);
    failure(err, TOOLPOOL_ERR_DEVICE_LOST, c"gone".as_ptr())
}

fn refused(row: Option<*mut u8>) -> toolpool_status_t {
    assert_eq!(row, None);
    TOOLPOOL_OK
}

fn alloc(
    outputs: *mut toolpool_outputs_t,
    index: usize,
    name: &std::ffi::CStr,
    dtype: i32,
    shape: &[i64],
) -> Option<*mut u8> {
    let (_, row) = make(
        ErrArg::from(index as u8 % 7),
        false,
        |out: *mut *mut c_void, err| {
            c!(toolpool_outputs_alloc(
                outputs,
                index,
                name.as_ptr(),
                dtype,
                shape.as_ptr(),
                shape.len(),
                out,
                err
            ))
        },
    );
    row.map(|row| row.cast())
}

fn fill(row: Option<*mut u8>, bytes: usize) {
    if let Some(row) = row {
        // SAFETY: the row has so many bytes.
        unsafe { row.write_bytes(0x3f, bytes) };
    }
}

/// Copies an item to `output`; false if items before it gave that name another type.
fn put(outputs: *mut toolpool_outputs_t, index: usize, item: &[u8]) -> bool {
    let row = alloc(
        outputs,
        index,
        c"output",
        TOOLPOOL_BYTES,
        &[item.len() as i64],
    );
    if let Some(row) = row {
        // SAFETY: the row has room for the item.
        unsafe { std::ptr::copy_nonoverlapping(item.as_ptr(), row, item.len()) };
    }
    row.is_some()
}

/// Calls that would wait for this very batch are refused.
fn wait_inside(tool: &Tool) {
    let refused = |status| assert_eq!(status, TOOLPOOL_ERR_REENTRANT);
    refused(check(ErrArg::Empty, |err| {
        c!(toolpool_drain(tool.pool, -1, err))
    }));
    refused(check(ErrArg::Empty, |err| {
        c!(toolpool_warm(tool.pool, null(), err))
    }));
    refused(check(ErrArg::Empty, |err| {
        c!(toolpool_job_wait(null(), -1, err))
    }));
    c!(toolpool_close(tool.pool));
}

/// A job may be begun inside a callback, and let go.
fn submit_inside(tool: &Tool) {
    let (_, echo) = make(ErrArg::Empty, false, |out, err| {
        c!(toolpool_tool_open(c"echo".as_ptr(), null(), out, err))
    });
    let strings = [c"inside".as_ptr()];
    let (_, items) = make(ErrArg::Empty, false, |out, err| {
        c!(toolpool_items_from_strings(
            strings.as_ptr(),
            null(),
            1,
            out,
            err
        ))
    });
    let (echo, items) = (echo.unwrap(), items.unwrap());
    let (_, job) = make(ErrArg::Empty, false, |out, err| {
        c!(toolpool_submit(tool.pool, echo, items, null(), out, err))
    });
    c!(toolpool_tool_free(echo));
    c!(toolpool_items_free(items));
    c!(toolpool_job_free(job.unwrap_or(null_mut())));
}
