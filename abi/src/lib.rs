//! The C types and tables shared by toolpool, its backends and third-party tools.
//!
//! Types only, laid out as C sees them and named as in `toolpool.h`, which is generated from here and from
//! `src/ffi`. A struct that crosses the boundary starts with its own size and grows only at its end.

#![allow(non_camel_case_types)]

use std::ffi::{c_char, c_void};

/// Result of a call: 0 is success, negative values are errors, positive ones are answers that are no error
/// (::TOOLPOOL_PARTIAL, ::TOOLPOOL_PENDING, ::TOOLPOOL_DONE). Programs test `< 0`. Numbers are never reused.
pub type toolpool_status_t = i32;

/// Success.
pub const TOOLPOOL_OK: toolpool_status_t = 0;
/// The run ended and its results are there, but some items failed: each item has its own status and error.
pub const TOOLPOOL_PARTIAL: toolpool_status_t = 1;
/// The time given ran out before the awaited thing happened. Nothing was lost; ask again.
pub const TOOLPOOL_PENDING: toolpool_status_t = 2;
/// Every item of the job has been handed out by toolpool_job_next() or toolpool_job_results().
pub const TOOLPOOL_DONE: toolpool_status_t = 3;
/// A defect inside toolpool (a caught panic). The handle stays usable; please report the message.
pub const TOOLPOOL_ERR_INTERNAL: toolpool_status_t = -1;
/// An argument is NULL, out of range, not UTF-8, or overflows.
pub const TOOLPOOL_ERR_ARGUMENT: toolpool_status_t = -2;
/// A device string cannot be parsed, or names a device that is not visible.
pub const TOOLPOOL_ERR_DEVICE: toolpool_status_t = -3;
/// An option's key or value is not known; the message lists what is.
pub const TOOLPOOL_ERR_OPTION: toolpool_status_t = -4;
/// The tool's kind is unknown, or its library has no such tool.
pub const TOOLPOOL_ERR_TOOL: toolpool_status_t = -5;
/// The model's files are absent, damaged or not what their config says.
pub const TOOLPOOL_ERR_MODEL: toolpool_status_t = -6;
/// The tool's backend, or the library it stands on (libtorch), is absent or of another version.
pub const TOOLPOOL_ERR_BACKEND: toolpool_status_t = -7;
/// This item cannot be processed; others are not affected.
pub const TOOLPOOL_ERR_ITEM: toolpool_status_t = -8;
/// Out of memory. From a tool: the batch is halved and tried again.
pub const TOOLPOOL_ERR_OUT_OF_MEMORY: toolpool_status_t = -9;
/// The device is gone. From a tool: the slot is given up and its batch goes to the others.
pub const TOOLPOOL_ERR_DEVICE_LOST: toolpool_status_t = -10;
/// The tool broke its contract: no output for an item, two outputs of one name, a code that does not exist.
pub const TOOLPOOL_ERR_CONTRACT: toolpool_status_t = -11;
/// The job was cancelled before this item was done.
pub const TOOLPOOL_ERR_CANCELLED: toolpool_status_t = -12;
/// The pool is closed.
pub const TOOLPOOL_ERR_CLOSED: toolpool_status_t = -13;
/// The call was made from inside a tool's callback, where it would wait for itself.
pub const TOOLPOOL_ERR_REENTRANT: toolpool_status_t = -14;
/// The handle belongs to the parent of this forked process.
pub const TOOLPOOL_ERR_FORKED: toolpool_status_t = -15;
/// There is no item, output or device of that index or name.
pub const TOOLPOOL_ERR_NOT_FOUND: toolpool_status_t = -16;
/// The tool failed in a way it does not tell apart.
pub const TOOLPOOL_ERR_FAILED: toolpool_status_t = -17;
/// A time limit ran out before this item was done.
pub const TOOLPOOL_ERR_TIME_LIMIT: toolpool_status_t = -18;
/// From a tool: the same may succeed later. It is tried again a few times, after everything else.
pub const TOOLPOOL_ERR_TRANSIENT: toolpool_status_t = -19;
/// The process that the tool ran in (`isolation = process`) died over this item; the message names the signal.
pub const TOOLPOOL_ERR_CRASHED: toolpool_status_t = -20;

/// Version of the tables in this header that tools from other libraries are checked against.
pub const TOOLPOOL_ABI: u32 = 1;

/// Element types of tensors. Values are those of the wire and never change.
pub type toolpool_dtype_t = i32;
/// Uninterpreted bytes (a string, a file); one element is one byte.
pub const TOOLPOOL_BYTES: toolpool_dtype_t = 0;
/// IEEE 754 binary32.
pub const TOOLPOOL_FLOAT32: toolpool_dtype_t = 1;
/// IEEE 754 binary64.
pub const TOOLPOOL_FLOAT64: toolpool_dtype_t = 2;
/// IEEE 754 binary16.
pub const TOOLPOOL_FLOAT16: toolpool_dtype_t = 3;
/// bfloat16: the upper half of a binary32.
pub const TOOLPOOL_BFLOAT16: toolpool_dtype_t = 4;
/// Signed 8-bit integer.
pub const TOOLPOOL_INT8: toolpool_dtype_t = 5;
/// Unsigned 8-bit integer.
pub const TOOLPOOL_UINT8: toolpool_dtype_t = 6;
/// Signed 16-bit integer.
pub const TOOLPOOL_INT16: toolpool_dtype_t = 7;
/// Signed 32-bit integer.
pub const TOOLPOOL_INT32: toolpool_dtype_t = 8;
/// Signed 64-bit integer.
pub const TOOLPOOL_INT64: toolpool_dtype_t = 9;
/// One byte, 0 or 1.
pub const TOOLPOOL_BOOL: toolpool_dtype_t = 10;

/// The most dimensions a tensor can have.
pub const TOOLPOOL_MAX_NDIM: usize = 8;

/// toolpool_device_t::kind: a share of the CPU's cores.
pub const TOOLPOOL_DEVICE_CPU: i32 = 0;
/// toolpool_device_t::kind: an NVIDIA GPU.
pub const TOOLPOOL_DEVICE_CUDA: i32 = 1;

/// A device: what a listing describes, and what a tool's `load` is told to work on. A plain value.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct toolpool_device_t {
    /// sizeof(toolpool_device_t), set by TOOLPOOL_DEVICE_INIT.
    pub size: usize,
    /// ::TOOLPOOL_DEVICE_CPU or ::TOOLPOOL_DEVICE_CUDA.
    pub kind: i32,
    /// Number of the device among those of its kind that this process sees: N of `cuda:N`; 0 for the CPU.
    pub index: i32,
    /// Number of the pool's slot, from 0; -1 in a listing.
    pub slot: i32,
    /// CPU threads that the worker of this slot may use for computing; at least 1.
    pub threads: i32,
    /// Memory of the device in bytes (of the machine, for the CPU); 0 if unknown.
    pub memory_total: u64,
    /// Memory not in use when the device was listed, in bytes; 0 if unknown.
    pub memory_free: u64,
    /// CUDA compute capability, as in 9.0; 0 for the CPU.
    pub capability_major: i32,
    /// Minor part of the compute capability.
    pub capability_minor: i32,
    /// Name of the product, NUL-terminated UTF-8.
    pub name: [c_char; 96],
    /// UUID as NVML gives it ("GPU-…"), NUL-terminated; empty for the CPU.
    pub uuid: [c_char; 48],
    /// Version of the driver, NUL-terminated; empty for the CPU.
    pub driver: [c_char; 32],
}

/// An error that the caller owns: status, message, index of the item. Opaque; free with toolpool_error_free().
pub enum toolpool_error_t {}
/// The items handed to a tool in one call. Opaque; valid until that call's run (or collect) returns.
pub enum toolpool_batch_t {}
/// Where a tool puts the outputs of a batch. Opaque; valid until that call's run (or collect) returns.
pub enum toolpool_outputs_t {}

/// A tool made of C functions.
///
/// Start from TOOLPOOL_CALLBACKS_INIT, which fills in the size; only `run` (or `start` with `collect`) is
/// required. None of these may throw a C++ exception or `longjmp` out; `toolpool.hpp` catches for C++.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct toolpool_callbacks_t {
    /// sizeof(toolpool_callbacks_t), set by TOOLPOOL_CALLBACKS_INIT.
    pub size: usize,
    /// Called once on each worker's own thread before its first batch: loads the tool onto `device`, which is
    /// valid during the call, and may leave a pointer in `*state`, handed to `run` and `unload` (NULL is fine).
    /// A failure is a negative status, with a message in `err` by toolpool_error_set(). NULL: nothing to load.
    pub load: Option<
        unsafe extern "C" fn(
            user: *mut c_void,
            device: *const toolpool_device_t,
            state: *mut *mut c_void,
            err: *mut *mut toolpool_error_t,
        ) -> toolpool_status_t,
    >,
    /// Computes the outputs of every item of `batch`; called on the worker's thread, one call at a time for
    /// one `state`. Items that cannot be done are reported by toolpool_outputs_fail(). A negative status
    /// concerns the batch as a whole: it is split until the guilty item stands alone
    /// (::TOOLPOOL_ERR_OUT_OF_MEMORY: halved; ::TOOLPOOL_ERR_DEVICE_LOST: the slot is given up).
    pub run: Option<
        unsafe extern "C" fn(
            state: *mut c_void,
            batch: *const toolpool_batch_t,
            outputs: *mut toolpool_outputs_t,
            err: *mut *mut toolpool_error_t,
        ) -> toolpool_status_t,
    >,
    /// Estimated work in an item, in any unit, from its first field; larger costs run first. Called on the
    /// submitting thread, once for each distinct item. NaN and negative costs are refused. NULL: the length.
    pub cost:
        Option<unsafe extern "C" fn(user: *mut c_void, data: *const c_void, len: usize) -> f64>,
    /// Takes back what `load` left in `*state`, on the same thread; not called for a slot whose device was lost. NULL:
    /// nothing to do.
    pub unload: Option<unsafe extern "C" fn(state: *mut c_void)>,
    /// Called once, on any thread, when the handle is freed and after the last `unload`. Of toolpool's functions it
    /// may call those that free handles only. NULL: nothing to do.
    pub destroy: Option<unsafe extern "C" fn(user: *mut c_void)>,
    /// How much of `batch_budget` an item takes (say, tokens), from its first field. NULL: the length.
    pub extent:
        Option<unsafe extern "C" fn(user: *mut c_void, data: *const c_void, len: usize) -> u64>,
    /// The most that the extents of one batch add up to; an item above it runs alone. 0: 1 MiB.
    pub batch_budget: u64,
    /// The most items in one batch. 0: 4,096.
    pub batch_items: u64,
    /// For engines that compute asynchronously, in place of `run`: begins a batch and leaves a pointer in
    /// `*pending`; `batch` and `outputs` stay valid until its `collect` returns. Two are in flight on a worker.
    pub start: Option<
        unsafe extern "C" fn(
            state: *mut c_void,
            batch: *const toolpool_batch_t,
            outputs: *mut toolpool_outputs_t,
            pending: *mut *mut c_void,
            err: *mut *mut toolpool_error_t,
        ) -> toolpool_status_t,
    >,
    /// Waits for a batch begun by `start`, oldest first, and frees `pending`, whatever it returns. It is also called
    /// for what was in flight when the device was lost, and must then let go without waiting for the device.
    pub collect: Option<
        unsafe extern "C" fn(
            state: *mut c_void,
            pending: *mut c_void,
            err: *mut *mut toolpool_error_t,
        ) -> toolpool_status_t,
    >,
    /// What a loaded state depends on, NUL-terminated UTF-8, copied: tools of one kind and equal identity
    /// (source and load options) share states, and a batch reaches the user pointer of its own job through
    /// toolpool_batch_user(). NULL: this handle's states are its own.
    pub identity: *const c_char,
    /// Bytes of the device's memory: with `state` NULL, what a load onto `device` will take, asked for on the worker's
    /// thread before it; else what the load that left `state` has taken. What states of one identity share on a device
    /// is told in full by each and counted once (see `memory_apart`). Tools that nobody has used for longest are unloaded where a load would
    /// not fit. NULL or 0: unknown.
    pub memory: Option<
        unsafe extern "C" fn(
            user: *mut c_void,
            device: *const toolpool_device_t,
            state: *mut c_void,
        ) -> u64,
    >,
    /// How far toolpool may raise `batch_budget` by itself, as long as larger batches are done faster and memory
    /// allows. 0: not at all.
    pub batch_budget_most: u64,
    /// Cost and extent of an item from all its fields, in place of `cost` and `extent`: `fields` are `n_fields` tensors
    /// in the order in which they were added (a byte string is one of ::TOOLPOOL_BYTES), valid during the call. Called on
    /// the submitting thread or a worker's. NULL: `cost` and `extent` are asked.
    pub measure: Option<
        unsafe extern "C" fn(
            user: *mut c_void,
            fields: *const toolpool_tensor_t,
            n_fields: usize,
            cost: *mut f64,
            extent: *mut u64,
        ),
    >,
    /// 1 if the tool's source is a program that `load` runs (a TorchScript module, a shared library), so that a pool
    /// which trusts data alone refuses it; else 0.
    pub runs_code: u64,
    /// Not 0 if states of one `identity` share nothing of a device's memory, so that `memory` counts once for each; states
    /// without an `identity` never do.
    pub memory_apart: u64,
}

/// One option, for toolpool_open_with() and a tool's entry: NUL-terminated UTF-8, valid during the call.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct toolpool_option_t {
    /// The option's name.
    pub key: *const c_char,
    /// Its value as the user wrote it.
    pub value: *const c_char,
}

/// toolpool's functions, for tools in libraries that do not link to toolpool. Each is the exported function
/// of the same name. Valid as long as the process.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct toolpool_host_t {
    /// sizeof(toolpool_host_t) of the host; fields beyond it are not there.
    pub size: usize,
    /// ::TOOLPOOL_ABI of the host.
    pub abi: u32,
    /// toolpool_batch_len()
    pub batch_len: unsafe extern "C" fn(batch: *const toolpool_batch_t) -> usize,
    /// toolpool_batch_bytes()
    pub batch_bytes: unsafe extern "C" fn(
        batch: *const toolpool_batch_t,
        index: usize,
        data: *mut *const c_void,
        len: *mut usize,
    ) -> toolpool_status_t,
    /// toolpool_batch_field()
    pub batch_field: unsafe extern "C" fn(
        batch: *const toolpool_batch_t,
        index: usize,
        name: *const c_char,
        data: *mut *const c_void,
        len: *mut usize,
    ) -> toolpool_status_t,
    /// toolpool_batch_user()
    pub batch_user: unsafe extern "C" fn(batch: *const toolpool_batch_t) -> *mut c_void,
    /// toolpool_outputs_alloc()
    pub outputs_alloc: unsafe extern "C" fn(
        outputs: *mut toolpool_outputs_t,
        index: usize,
        name: *const c_char,
        dtype: toolpool_dtype_t,
        shape: *const i64,
        ndim: usize,
        data: *mut *mut c_void,
        err: *mut *mut toolpool_error_t,
    ) -> toolpool_status_t,
    /// toolpool_outputs_fail()
    pub outputs_fail: unsafe extern "C" fn(
        outputs: *mut toolpool_outputs_t,
        index: usize,
        status: toolpool_status_t,
        message: *const c_char,
    ) -> toolpool_status_t,
    /// toolpool_outputs_warn()
    pub outputs_warn: unsafe extern "C" fn(
        outputs: *mut toolpool_outputs_t,
        index: usize,
        message: *const c_char,
    ) -> toolpool_status_t,
    /// toolpool_error_set()
    pub error_set: unsafe extern "C" fn(
        err: *mut *mut toolpool_error_t,
        status: toolpool_status_t,
        message: *const c_char,
    ) -> toolpool_status_t,
    /// toolpool_outputs_count()
    pub outputs_count: unsafe extern "C" fn(
        outputs: *mut toolpool_outputs_t,
        name: *const c_char,
        amount: f64,
    ) -> toolpool_status_t,
    /// toolpool_batch_fields()
    pub batch_fields: unsafe extern "C" fn(batch: *const toolpool_batch_t) -> usize,
    /// toolpool_batch_field_name()
    pub batch_field_name:
        unsafe extern "C" fn(batch: *const toolpool_batch_t, field: usize) -> *const c_char,
    /// toolpool_batch_tensor()
    pub batch_tensor: unsafe extern "C" fn(
        batch: *const toolpool_batch_t,
        index: usize,
        field: usize,
        tensor: *mut toolpool_tensor_t,
    ) -> toolpool_status_t,
}

/// The function that a shared library exports for each of its tools; `toolpool_tool_open("library",
/// "libmine.so:mytool", …)` calls `mytool`.
///
/// Called at open, and again with all options whenever one is set; it must be cheap (read a config, not the
/// weights). It validates `source` and every option (an unknown key or value: ::TOOLPOOL_ERR_OPTION and a
/// message that lists the known), and on success fills `*callbacks` and `*user`, which belong to the caller
/// until `destroy`. `callbacks` arrives initialised with its size.
///
/// `source` is the text after a second ':' in the tool's source, or for a backend's kinds the source itself.
pub type toolpool_entry_t = Option<
    unsafe extern "C" fn(
        host: *const toolpool_host_t,
        source: *const c_char,
        options: *const toolpool_option_t,
        n_options: usize,
        callbacks: *mut toolpool_callbacks_t,
        user: *mut *mut c_void,
        err: *mut *mut toolpool_error_t,
    ) -> toolpool_status_t,
>;

/// A read-only view of a tensor. A plain value.
///
/// As an output of an item it lies inside the results it came from: dense, row-major, valid until they are freed;
/// duplicate items share one row. As an input (toolpool_items_from_tensors()) it lies in memory of the caller.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct toolpool_tensor_t {
    /// sizeof(toolpool_tensor_t), set by TOOLPOOL_TENSOR_INIT.
    pub size: usize,
    /// Address of the element at index 0 of every dimension; of an output, aligned to its type and owned by the results.
    pub data: *const c_void,
    /// Length in bytes: of an output its elements, of an input what may be read from `data` on.
    pub bytes: usize,
    /// Type of the elements.
    pub dtype: toolpool_dtype_t,
    /// Number of dimensions; 0 for a scalar.
    pub ndim: i32,
    /// The sizes, outermost first; `ndim` of them.
    pub shape: [i64; TOOLPOOL_MAX_NDIM],
    /// NULL: dense and row-major, as outputs are. Else `ndim` steps from one element of a dimension to the next, in
    /// elements. With negative steps, elements before `data` are read, which must be readable as well; `bytes` counts only
    /// those from `data` on.
    pub strides: *const i64,
    /// Where it is: ::TOOLPOOL_DEVICE_CPU.
    pub device: i32,
    /// 0.
    pub reserved: i32,
}

/// A piece of memory that holds rows of one output, one after the other.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct toolpool_chunk_t {
    /// Address of the first byte, a multiple of 64. Owned by the results.
    pub data: *const c_void,
    /// Length in bytes.
    pub bytes: usize,
}

/// Where the row of one item lies.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct toolpool_row_t {
    /// Byte offset into the chunk.
    pub offset: u64,
    /// Length in bytes.
    pub bytes: u64,
    /// Number of the chunk; UINT32_MAX if the item has no such output.
    pub chunk: u32,
    /// 0.
    pub reserved: u32,
}

/// One output of all items, where it lies: chunks, and for each item its row in them. A plain value.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct toolpool_column_t {
    /// sizeof(toolpool_column_t), set by TOOLPOOL_COLUMN_INIT.
    pub size: usize,
    /// Type of the elements.
    pub dtype: toolpool_dtype_t,
    /// 0.
    pub reserved: i32,
    /// The chunks. Owned by the results.
    pub chunks: *const toolpool_chunk_t,
    /// How many chunks there are.
    pub n_chunks: usize,
    /// A row for each item of the results, in their order. Owned by the results.
    pub rows: *const toolpool_row_t,
    /// How many rows there are: toolpool_results_len().
    pub n_rows: usize,
}

/// How far a job is. A plain value.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct toolpool_progress_t {
    /// sizeof(toolpool_progress_t), set by TOOLPOOL_PROGRESS_INIT.
    pub size: usize,
    /// Items of the job, duplicates included.
    pub total: u64,
    /// Items that are done, failed ones and duplicates included.
    pub done: u64,
    /// Items that failed, duplicates included.
    pub failed: u64,
    /// Distinct items: what is computed.
    pub unique: u64,
    /// Distinct items that are being computed now.
    pub running: u64,
    /// Bytes of finished outputs that have not been taken out.
    pub unread_bytes: u64,
    /// Sum of the finite costs of the distinct items, in the tool's unit.
    pub cost: f64,
    /// Of that, done.
    pub cost_done: f64,
    /// Seconds since the submission, until the end.
    pub elapsed_s: f64,
    /// Seconds until the end, at the speeds of the slots so far, if they do nothing else; negative as long as they are
    /// unknown.
    pub remaining_s: f64,
    /// Items that will not be done any more, duplicates included: the job was cancelled, ran out of time or failed. 0 until
    /// it has ended; then `done` and `undone` add up to `total`.
    pub undone: u64,
}

/// A call to a tool of toolpool_tool_from_queue(), as toolpool_queue_next() hands it out. A plain value.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct toolpool_call_t {
    /// sizeof(toolpool_call_t), set by TOOLPOOL_CALL_INIT.
    pub size: usize,
    /// ::TOOLPOOL_CALL_LOAD, ::TOOLPOOL_CALL_RUN or ::TOOLPOOL_CALL_UNLOAD.
    pub kind: i32,
    /// 0.
    pub reserved: i32,
    /// By which toolpool_queue_answer() knows it; never 0, and none comes twice from one queue.
    pub number: u64,
    /// Which loaded state it is about: that of its LOAD, of all RUNs on that state, one at a time, and of its UNLOAD.
    pub state: u64,
    /// Of a RUN, its items, valid until the call is answered; else NULL.
    pub batch: *const toolpool_batch_t,
    /// Of a RUN, where its outputs go, valid until the call is answered; else NULL.
    pub outputs: *mut toolpool_outputs_t,
    /// The device of the state, with its slot.
    pub device: toolpool_device_t,
}

/// toolpool_call_t::kind: load the tool onto `device`. Nothing else comes for this state before it is answered, and nothing
/// at all if the answer is an error.
pub const TOOLPOOL_CALL_LOAD: i32 = 1;
/// toolpool_call_t::kind: write the outputs of every item of `batch` to `outputs`.
pub const TOOLPOOL_CALL_RUN: i32 = 2;
/// toolpool_call_t::kind: let go of what was loaded. Nobody waits for it, so it needs no answer; it is the last of its
/// state, and does not come where the device was lost.
pub const TOOLPOOL_CALL_UNLOAD: i32 = 3;

/// What a report says of a job as a whole. Times are in seconds from its submission on; costs are in the tool's unit, and
/// infinite costs are not in their sums. A plain value whose strings are owned by the report.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct toolpool_summary_t {
    /// sizeof(toolpool_summary_t), set by TOOLPOOL_SUMMARY_INIT.
    pub size: usize,
    /// What the tool is called, NUL-terminated UTF-8.
    pub tool: *const c_char,
    /// Items of the job, duplicates included.
    pub total: u64,
    /// Items that are done, failed ones and duplicates included.
    pub done: u64,
    /// Items that failed, duplicates included.
    pub failed: u64,
    /// Distinct items: what is computed.
    pub unique: u64,
    /// Cost of the distinct items.
    pub cost: f64,
    /// Of that, done.
    pub cost_done: f64,
    /// Cost that duplicates would have added.
    pub cost_saved: f64,
    /// The largest cost of an item.
    pub longest: f64,
    /// From submission to the end, or to the report.
    pub elapsed_s: f64,
    /// Of that, for finding duplicates, costs and the order.
    pub planning_s: f64,
    /// From the first begin of a load or batch to the last end so far.
    pub makespan_s: f64,
    /// The time in which the slots, at the speeds that were measured, could at best have done what they did: the larger of
    /// cost / sum of speeds and longest / largest speed, without loads. `makespan_s / bound_s` is 1 where no schedule could
    /// have been better. 0 before the first batch has ended.
    pub bound_s: f64,
    /// Seconds until the end, as ::toolpool_progress_t has them.
    pub remaining_s: f64,
    /// `done / elapsed_s`.
    pub items_per_s: f64,
    /// `cost_done / elapsed_s`.
    pub cost_per_s: f64,
    /// Why items were not done, or the job failed: a negative status; ::TOOLPOOL_OK for neither.
    pub stopped: toolpool_status_t,
    /// 0.
    pub reserved: i32,
    /// The message that belongs to `stopped`, NUL-terminated UTF-8; "" for none.
    pub stopped_message: *const c_char,
}

/// What a report says of one slot of the pool: what it did for this job. A plain value whose strings are owned by the
/// report.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct toolpool_slot_report_t {
    /// sizeof(toolpool_slot_report_t), set by TOOLPOOL_SLOT_REPORT_INIT.
    pub size: usize,
    /// The device as a device string names it, such as `cuda:0`, NUL-terminated.
    pub device: *const c_char,
    /// Distinct items that it did, failed ones included.
    pub items: u64,
    /// Of these, failed.
    pub failed: u64,
    /// Batches that it did, failed ones included.
    pub batches: u64,
    /// Sum of the extents of its items (tokens, bytes).
    pub extent: u64,
    /// Cost of its items, without infinite ones.
    pub cost: f64,
    /// Its measured speed: the cost of the items that succeeded over the time of the batches that did; 0 if it has done
    /// nothing that has a cost.
    pub cost_per_s: f64,
    /// Seconds with at least one batch in flight.
    pub busy_s: f64,
    /// Seconds spent loading the tool.
    pub load_s: f64,
    /// What is left of the makespan, in seconds: it waited, or worked for another job.
    pub idle_s: f64,
    /// Batches that came back to be split.
    pub splits: u64,
    /// Batches and items that came back to be tried again.
    pub retries: u64,
    /// Batches that ran out of memory.
    pub out_of_memory: u64,
    /// Why the slot is lost or stuck: a negative status; ::TOOLPOOL_OK if it is neither.
    pub lost: toolpool_status_t,
    /// 0.
    pub reserved: i32,
    /// The message that belongs to `lost`, NUL-terminated UTF-8; "" for none.
    pub lost_message: *const c_char,
    /// The budget of a batch when its last one ended, in the unit of `extent`: what the tool says, or what was found to
    /// be fast and to fit into memory; 0 before.
    pub batch_budget: u64,
}
