/*
 * toolpool: keeps every GPU of a machine busy on a batch, from any language.
 *
 * Generated from src/ffi and abi by `make header`; edit those. SPDX-License-Identifier: MIT OR Apache-2.0
 *
 *     toolpool_open("auto", &pool, &err)                        a warm worker on every device
 *     toolpool_tool_open("esm2", "facebook/esm2_t6_8M_UR50D", &tool, &err)
 *     toolpool_items_from_strings(sequences, NULL, n, &items, &err)
 *     toolpool_run(pool, tool, items, &results, &err)           longest first, equal items once, in input order
 *     toolpool_results_tensor(results, i, "mean", &tensor, &err)
 *     toolpool_close(pool)
 *
 * RULES, which hold for every function unless it says otherwise
 *
 * Status.     Calls that can fail return toolpool_status_t: 0 is OK, negative values are errors, positive ones answers that
 *             are no error (a run in which some items failed returns TOOLPOOL_PARTIAL). Test `< 0`.
 * Errors.     The last parameter, `err`, may be NULL; else `*err` must be NULL when the call is made, and receives an error
 *             that the caller frees with toolpool_error_free() if, and only if, the status is negative. (If `*err` is not
 *             NULL, the call does nothing and returns TOOLPOOL_ERR_ARGUMENT.) Nothing is kept per thread.
 * Out.        Out-parameters are written on success only.
 * Ownership.  Only functions of this header free what this header gave. Each `*_free` and toolpool_close() returns nothing,
 *             accepts NULL, and may come in any order: results outlive their pool, tools and items may be freed while a job
 *             uses them. Strings that are returned belong to what they were asked of.
 * Strings.    Configuration (kinds, sources, names, keys, values) is NUL-terminated UTF-8 and copied. Data is pointer and
 *             length, and may hold any bytes.
 * Threads.    Every function may be called from any thread, and every handle used by several at once, except that a handle
 *             must not be freed while another thread is in a call with it. (toolpool_close() may: late calls are answered.)
 * Callbacks.  Functions of the caller (tools, cost, release, log) run on worker threads or inside the call that needs them,
 *             may run on several threads at once, must not throw or longjmp out, and must not wait for the pool: such
 *             calls return TOOLPOOL_ERR_REENTRANT.
 * Structs.    Those with visible fields start with their size: initialise them by their INIT macro.
 * fork.       In a forked child, calls with handles of the parent return TOOLPOOL_ERR_FORKED.
 * Load.       Loading the library does nothing: no thread, no CUDA context, no output. Worker threads block all signals but
 *             those of faults (SIGSEGV and the like). At exit, workers have 10 s to come out of their tools.
 *             Linux x86-64, glibc 2.34 or later.
 *
 * ENVIRONMENT, read by toolpool_open(), toolpool_devices_list() and toolpool_tool_open() only
 *
 * CUDA_VISIBLE_DEVICES, CUDA_DEVICE_ORDER    which GPUs there are, and their numbers
 * TOOLPOOL_LIBTORCH, LIBTORCH                the folder of libtorch, or of Python's torch package
 * VIRTUAL_ENV, CONDA_PREFIX                  where else torch is looked for
 * TOOLPOOL_BACKEND_DIR                       the folder of libtoolpool_torch.so and toolpool-worker, if they were moved away
 * HF_HUB_CACHE, HF_HOME, XDG_CACHE_HOME      where models of the Hugging Face hub are
 */

#ifndef TOOLPOOL_H
#define TOOLPOOL_H

#include <stddef.h>
#include <stdint.h>
/** Initialises a toolpool_callbacks_t. */
#define TOOLPOOL_CALLBACKS_INIT \
  {sizeof(toolpool_callbacks_t), NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, NULL, NULL, NULL, NULL, 0, NULL, 0, 0}

/** Initialises a toolpool_device_t. */
#define TOOLPOOL_DEVICE_INIT {sizeof(toolpool_device_t), 0, 0, -1, 1, 0, 0, 0, 0, {0}, {0}, {0}}

/** Initialises a toolpool_call_t. */
#define TOOLPOOL_CALL_INIT {sizeof(toolpool_call_t), 0, 0, 0, 0, NULL, NULL, TOOLPOOL_DEVICE_INIT}

/** Initialises a toolpool_tensor_t. */
#define TOOLPOOL_TENSOR_INIT {sizeof(toolpool_tensor_t), NULL, 0, 0, 0, {0}, NULL, 0, 0}

/** Initialises a toolpool_column_t. */
#define TOOLPOOL_COLUMN_INIT {sizeof(toolpool_column_t), 0, 0, NULL, 0, NULL, 0}

/** Initialises a toolpool_progress_t. */
#define TOOLPOOL_PROGRESS_INIT {sizeof(toolpool_progress_t), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}

/** Initialises a toolpool_summary_t. */
#define TOOLPOOL_SUMMARY_INIT \
  {sizeof(toolpool_summary_t), NULL, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL}

/** Initialises a toolpool_slot_report_t. */
#define TOOLPOOL_SLOT_REPORT_INIT \
  {sizeof(toolpool_slot_report_t), NULL, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL, 0}


/**
 * Version of the tables in this header that tools from other libraries are checked against.
 */
#define TOOLPOOL_ABI 1

/**
 * The most dimensions a tensor can have.
 */
#define TOOLPOOL_MAX_NDIM 8

/**
 * toolpool_device_t::kind: a share of the CPU's cores.
 */
#define TOOLPOOL_DEVICE_CPU 0

/**
 * toolpool_device_t::kind: an NVIDIA GPU.
 */
#define TOOLPOOL_DEVICE_CUDA 1

/**
 * toolpool_call_t::kind: load the tool onto `device`. Nothing else comes for this state before it is answered, and nothing
 * at all if the answer is an error.
 */
#define TOOLPOOL_CALL_LOAD 1

/**
 * toolpool_call_t::kind: write the outputs of every item of `batch` to `outputs`.
 */
#define TOOLPOOL_CALL_RUN 2

/**
 * toolpool_call_t::kind: let go of what was loaded. Nobody waits for it, so it needs no answer; it is the last of its
 * state, and does not come where the device was lost.
 */
#define TOOLPOOL_CALL_UNLOAD 3

/**
 * Version of this header: major. Versions below 1.0 may break the ABI with each minor version, which the SONAME tells.
 */
#define TOOLPOOL_VERSION_MAJOR 0

/**
 * Version of this header: minor.
 */
#define TOOLPOOL_VERSION_MINOR 1

/**
 * Version of this header: patch.
 */
#define TOOLPOOL_VERSION_PATCH 0

/**
 * A log line that tells of something lost: a slot, a worker.
 */
#define TOOLPOOL_LOG_ERROR 1

/**
 * A log line that tells of something that went on otherwise than asked: a batch that was split.
 */
#define TOOLPOOL_LOG_WARNING 2

/**
 * A log line that tells what happens: a tool loaded.
 */
#define TOOLPOOL_LOG_INFO 3

/**
 * The items handed to a tool in one call. Opaque; valid until that call's run (or collect) returns.
 */
typedef struct toolpool_batch_t toolpool_batch_t;

/**
 * A list of devices. Immutable; any thread may read it.
 */
typedef struct toolpool_devices_t toolpool_devices_t;

/**
 * An error that the caller owns: status, message, index of the item. Opaque; free with toolpool_error_free().
 */
typedef struct toolpool_error_t toolpool_error_t;

/**
 * The items of a batch: byte strings (sequences, files) or tensors, of one or more named fields each. Any thread may read them at
 * once; jobs keep what was set when they were submitted.
 */
typedef struct toolpool_items_t toolpool_items_t;

/**
 * A submitted run. Any thread may wait for it and take results from it.
 */
typedef struct toolpool_job_t toolpool_job_t;

/**
 * Options of a job. Any thread may use them; a job keeps what was set when it was submitted.
 */
typedef struct toolpool_options_t toolpool_options_t;

/**
 * Where a tool puts the outputs of a batch. Opaque; valid until that call's run (or collect) returns.
 */
typedef struct toolpool_outputs_t toolpool_outputs_t;

/**
 * The calls to a tool of toolpool_tool_from_queue(). Any thread may take and answer them.
 */
typedef struct toolpool_queue_t toolpool_queue_t;

/**
 * How a job went, or how far it is: figures of the job and of each slot, and its loads and batches with their times. A
 * snapshot: it does not change, any thread may read it, and it outlives job and pool.
 */
typedef struct toolpool_report_t toolpool_report_t;

/**
 * What became of the items of a job. Immutable; any thread may read it. It outlives job and pool, and owns everything that
 * its views show.
 */
typedef struct toolpool_results_t toolpool_results_t;

/**
 * A pool: slots, their warm workers, the scheduler. Any number of threads may use it at once.
 */
typedef struct toolpool_t toolpool_t;

/**
 * A tool with its options. Any thread may use it; jobs keep the options that were set when they were submitted.
 */
typedef struct toolpool_tool_t toolpool_tool_t;

/**
 * Result of a call: 0 is success, negative values are errors, positive ones are answers that are no error
 * (::TOOLPOOL_PARTIAL, ::TOOLPOOL_PENDING, ::TOOLPOOL_DONE). Programs test `< 0`. Numbers are never reused.
 */
typedef int32_t toolpool_status_t;

/**
 * Receives a log line: NUL-terminated UTF-8 without a newline, valid during the call. Called on any thread, several
 * at a time; must not call toolpool, and must not throw.
 */
typedef void (*toolpool_log_t)(void *user, int32_t level, const char *message);

/**
 * A device: what a listing describes, and what a tool's `load` is told to work on. A plain value.
 */
typedef struct toolpool_device_t {
  /**
   * sizeof(toolpool_device_t), set by TOOLPOOL_DEVICE_INIT.
   */
  size_t size;
  /**
   * ::TOOLPOOL_DEVICE_CPU or ::TOOLPOOL_DEVICE_CUDA.
   */
  int32_t kind;
  /**
   * Number of the device among those of its kind that this process sees: N of `cuda:N`; 0 for the CPU.
   */
  int32_t index;
  /**
   * Number of the pool's slot, from 0; -1 in a listing.
   */
  int32_t slot;
  /**
   * CPU threads that the worker of this slot may use for computing; at least 1.
   */
  int32_t threads;
  /**
   * Memory of the device in bytes (of the machine, for the CPU); 0 if unknown.
   */
  uint64_t memory_total;
  /**
   * Memory not in use when the device was listed, in bytes; 0 if unknown.
   */
  uint64_t memory_free;
  /**
   * CUDA compute capability, as in 9.0; 0 for the CPU.
   */
  int32_t capability_major;
  /**
   * Minor part of the compute capability.
   */
  int32_t capability_minor;
  /**
   * Name of the product, NUL-terminated UTF-8.
   */
  char name[96];
  /**
   * UUID as NVML gives it ("GPU-…"), NUL-terminated; empty for the CPU.
   */
  char uuid[48];
  /**
   * Version of the driver, NUL-terminated; empty for the CPU.
   */
  char driver[32];
} toolpool_device_t;

/**
 * One option, for toolpool_open_with() and a tool's entry: NUL-terminated UTF-8, valid during the call.
 */
typedef struct toolpool_option_t {
  /**
   * The option's name.
   */
  const char *key;
  /**
   * Its value as the user wrote it.
   */
  const char *value;
} toolpool_option_t;

/**
 * Element types of tensors. Values are those of the wire and never change.
 */
typedef int32_t toolpool_dtype_t;

/**
 * A read-only view of a tensor. A plain value.
 *
 * As an output of an item it lies inside the results it came from: dense, row-major, valid until they are freed;
 * duplicate items share one row. As an input (toolpool_items_from_tensors()) it lies in memory of the caller.
 */
typedef struct toolpool_tensor_t {
  /**
   * sizeof(toolpool_tensor_t), set by TOOLPOOL_TENSOR_INIT.
   */
  size_t size;
  /**
   * Address of the element at index 0 of every dimension; of an output, aligned to its type and owned by the results.
   */
  const void *data;
  /**
   * Length in bytes: of an output its elements, of an input what may be read from `data` on.
   */
  size_t bytes;
  /**
   * Type of the elements.
   */
  toolpool_dtype_t dtype;
  /**
   * Number of dimensions; 0 for a scalar.
   */
  int32_t ndim;
  /**
   * The sizes, outermost first; `ndim` of them.
   */
  int64_t shape[TOOLPOOL_MAX_NDIM];
  /**
   * NULL: dense and row-major, as outputs are. Else `ndim` steps from one element of a dimension to the next, in
   * elements. With negative steps, elements before `data` are read, which must be readable as well; `bytes` counts only
   * those from `data` on.
   */
  const int64_t *strides;
  /**
   * Where it is: ::TOOLPOOL_DEVICE_CPU.
   */
  int32_t device;
  /**
   * 0.
   */
  int32_t reserved;
} toolpool_tensor_t;

/**
 * A tool made of C functions.
 *
 * Start from TOOLPOOL_CALLBACKS_INIT, which fills in the size; only `run` (or `start` with `collect`) is
 * required. None of these may throw a C++ exception or `longjmp` out; `toolpool.hpp` catches for C++.
 */
typedef struct toolpool_callbacks_t {
  /**
   * sizeof(toolpool_callbacks_t), set by TOOLPOOL_CALLBACKS_INIT.
   */
  size_t size;
  /**
   * Called once on each worker's own thread before its first batch: loads the tool onto `device`, which is
   * valid during the call, and may leave a pointer in `*state`, handed to `run` and `unload` (NULL is fine).
   * A failure is a negative status, with a message in `err` by toolpool_error_set(). NULL: nothing to load.
   */
  toolpool_status_t (*load)(void *user,
                            const struct toolpool_device_t *device,
                            void **state,
                            struct toolpool_error_t **err);
  /**
   * Computes the outputs of every item of `batch`; called on the worker's thread, one call at a time for
   * one `state`. Items that cannot be done are reported by toolpool_outputs_fail(). A negative status
   * concerns the batch as a whole: it is split until the guilty item stands alone
   * (::TOOLPOOL_ERR_OUT_OF_MEMORY: halved; ::TOOLPOOL_ERR_DEVICE_LOST: the slot is given up).
   */
  toolpool_status_t (*run)(void *state,
                           const struct toolpool_batch_t *batch,
                           struct toolpool_outputs_t *outputs,
                           struct toolpool_error_t **err);
  /**
   * Estimated work in an item, in any unit, from its first field; larger costs run first. Called on the
   * submitting thread, once for each distinct item. NaN and negative costs are refused. NULL: the length.
   */
  double (*cost)(void *user, const void *data, size_t len);
  /**
   * Takes back what `load` left in `*state`, on the same thread; not called for a slot whose device was lost. NULL:
   * nothing to do.
   */
  void (*unload)(void *state);
  /**
   * Called once, on any thread, when the handle is freed and after the last `unload`. Of toolpool's functions it
   * may call those that free handles only. NULL: nothing to do.
   */
  void (*destroy)(void *user);
  /**
   * How much of `batch_budget` an item takes (say, tokens), from its first field. NULL: the length.
   */
  uint64_t (*extent)(void *user, const void *data, size_t len);
  /**
   * The most that the extents of one batch add up to; an item above it runs alone. 0: 1 MiB.
   */
  uint64_t batch_budget;
  /**
   * The most items in one batch. 0: 4,096.
   */
  uint64_t batch_items;
  /**
   * For engines that compute asynchronously, in place of `run`: begins a batch and leaves a pointer in
   * `*pending`; `batch` and `outputs` stay valid until its `collect` returns. Two are in flight on a worker.
   */
  toolpool_status_t (*start)(void *state,
                             const struct toolpool_batch_t *batch,
                             struct toolpool_outputs_t *outputs,
                             void **pending,
                             struct toolpool_error_t **err);
  /**
   * Waits for a batch begun by `start`, oldest first, and frees `pending`, whatever it returns. It is also called
   * for what was in flight when the device was lost, and must then let go without waiting for the device.
   */
  toolpool_status_t (*collect)(void *state, void *pending, struct toolpool_error_t **err);
  /**
   * What a loaded state depends on, NUL-terminated UTF-8, copied: tools of one kind and equal identity
   * (source and load options) share states, and a batch reaches the user pointer of its own job through
   * toolpool_batch_user(). NULL: this handle's states are its own.
   */
  const char *identity;
  /**
   * Bytes of the device's memory: with `state` NULL, what a load onto `device` will take, asked for on the worker's
   * thread before it; else what the load that left `state` has taken. What states of one identity share on a device
   * is told in full by each and counted once (see `memory_apart`). Tools that nobody has used for longest are unloaded where a load would
   * not fit. NULL or 0: unknown.
   */
  uint64_t (*memory)(void *user, const struct toolpool_device_t *device, void *state);
  /**
   * How far toolpool may raise `batch_budget` by itself, as long as larger batches are done faster and memory
   * allows. 0: not at all.
   */
  uint64_t batch_budget_most;
  /**
   * Cost and extent of an item from all its fields, in place of `cost` and `extent`: `fields` are `n_fields` tensors
   * in the order in which they were added (a byte string is one of ::TOOLPOOL_BYTES), valid during the call. Called on
   * the submitting thread or a worker's. NULL: `cost` and `extent` are asked.
   */
  void (*measure)(void *user, const struct toolpool_tensor_t *fields, size_t n_fields, double *cost, uint64_t *extent);
  /**
   * 1 if the tool's source is a program that `load` runs (a TorchScript module, a shared library), so that a pool
   * which trusts data alone refuses it; else 0.
   */
  uint64_t runs_code;
  /**
   * Not 0 if states of one `identity` share nothing of a device's memory, so that `memory` counts once for each; states
   * without an `identity` never do.
   */
  uint64_t memory_apart;
} toolpool_callbacks_t;

/**
 * Tells a program that something is there for it to look at. Called on any thread, with locks of toolpool held: it must
 * return at once, must not call toolpool, and must not throw. libuv's uv_async_send() is one, with its handle as `user`.
 */
typedef void (*toolpool_notify_t)(void *user);

/**
 * A call to a tool of toolpool_tool_from_queue(), as toolpool_queue_next() hands it out. A plain value.
 */
typedef struct toolpool_call_t {
  /**
   * sizeof(toolpool_call_t), set by TOOLPOOL_CALL_INIT.
   */
  size_t size;
  /**
   * ::TOOLPOOL_CALL_LOAD, ::TOOLPOOL_CALL_RUN or ::TOOLPOOL_CALL_UNLOAD.
   */
  int32_t kind;
  /**
   * 0.
   */
  int32_t reserved;
  /**
   * By which toolpool_queue_answer() knows it; never 0, and none comes twice from one queue.
   */
  uint64_t number;
  /**
   * Which loaded state it is about: that of its LOAD, of all RUNs on that state, one at a time, and of its UNLOAD.
   */
  uint64_t state;
  /**
   * Of a RUN, its items, valid until the call is answered; else NULL.
   */
  const struct toolpool_batch_t *batch;
  /**
   * Of a RUN, where its outputs go, valid until the call is answered; else NULL.
   */
  struct toolpool_outputs_t *outputs;
  /**
   * The device of the state, with its slot.
   */
  struct toolpool_device_t device;
} toolpool_call_t;

/**
 * Gives borrowed memory back: called exactly once, on any thread, when no worker can read it any more, possibly after the
 * job has ended. Must not throw, and of toolpool's functions may call those that free handles only.
 */
typedef void (*toolpool_release_t)(void *user);

/**
 * Estimates what an item costs, in any unit; called by toolpool_items_set_cost() for one item after the other.
 */
typedef double (*toolpool_cost_t)(void *user, size_t index);

/**
 * How far a job is. A plain value.
 */
typedef struct toolpool_progress_t {
  /**
   * sizeof(toolpool_progress_t), set by TOOLPOOL_PROGRESS_INIT.
   */
  size_t size;
  /**
   * Items of the job, duplicates included.
   */
  uint64_t total;
  /**
   * Items that are done, failed ones and duplicates included.
   */
  uint64_t done;
  /**
   * Items that failed, duplicates included.
   */
  uint64_t failed;
  /**
   * Distinct items: what is computed.
   */
  uint64_t unique;
  /**
   * Distinct items that are being computed now.
   */
  uint64_t running;
  /**
   * Bytes of finished outputs that have not been taken out.
   */
  uint64_t unread_bytes;
  /**
   * Sum of the finite costs of the distinct items, in the tool's unit.
   */
  double cost;
  /**
   * Of that, done.
   */
  double cost_done;
  /**
   * Seconds since the submission, until the end.
   */
  double elapsed_s;
  /**
   * Seconds until the end, at the speeds of the slots so far, if they do nothing else; negative as long as they are
   * unknown.
   */
  double remaining_s;
  /**
   * Items that will not be done any more, duplicates included: the job was cancelled, ran out of time or failed. 0 until
   * it has ended; then `done` and `undone` add up to `total`.
   */
  uint64_t undone;
} toolpool_progress_t;

/**
 * A piece of memory that holds rows of one output, one after the other.
 */
typedef struct toolpool_chunk_t {
  /**
   * Address of the first byte, a multiple of 64. Owned by the results.
   */
  const void *data;
  /**
   * Length in bytes.
   */
  size_t bytes;
} toolpool_chunk_t;

/**
 * Where the row of one item lies.
 */
typedef struct toolpool_row_t {
  /**
   * Byte offset into the chunk.
   */
  uint64_t offset;
  /**
   * Length in bytes.
   */
  uint64_t bytes;
  /**
   * Number of the chunk; UINT32_MAX if the item has no such output.
   */
  uint32_t chunk;
  /**
   * 0.
   */
  uint32_t reserved;
} toolpool_row_t;

/**
 * One output of all items, where it lies: chunks, and for each item its row in them. A plain value.
 */
typedef struct toolpool_column_t {
  /**
   * sizeof(toolpool_column_t), set by TOOLPOOL_COLUMN_INIT.
   */
  size_t size;
  /**
   * Type of the elements.
   */
  toolpool_dtype_t dtype;
  /**
   * 0.
   */
  int32_t reserved;
  /**
   * The chunks. Owned by the results.
   */
  const struct toolpool_chunk_t *chunks;
  /**
   * How many chunks there are.
   */
  size_t n_chunks;
  /**
   * A row for each item of the results, in their order. Owned by the results.
   */
  const struct toolpool_row_t *rows;
  /**
   * How many rows there are: toolpool_results_len().
   */
  size_t n_rows;
} toolpool_column_t;

/**
 * What a report says of a job as a whole. Times are in seconds from its submission on; costs are in the tool's unit, and
 * infinite costs are not in their sums. A plain value whose strings are owned by the report.
 */
typedef struct toolpool_summary_t {
  /**
   * sizeof(toolpool_summary_t), set by TOOLPOOL_SUMMARY_INIT.
   */
  size_t size;
  /**
   * What the tool is called, NUL-terminated UTF-8.
   */
  const char *tool;
  /**
   * Items of the job, duplicates included.
   */
  uint64_t total;
  /**
   * Items that are done, failed ones and duplicates included.
   */
  uint64_t done;
  /**
   * Items that failed, duplicates included.
   */
  uint64_t failed;
  /**
   * Distinct items: what is computed.
   */
  uint64_t unique;
  /**
   * Cost of the distinct items.
   */
  double cost;
  /**
   * Of that, done.
   */
  double cost_done;
  /**
   * Cost that duplicates would have added.
   */
  double cost_saved;
  /**
   * The largest cost of an item.
   */
  double longest;
  /**
   * From submission to the end, or to the report.
   */
  double elapsed_s;
  /**
   * Of that, for finding duplicates, costs and the order.
   */
  double planning_s;
  /**
   * From the first begin of a load or batch to the last end so far.
   */
  double makespan_s;
  /**
   * The time in which the slots, at the speeds that were measured, could at best have done what they did: the larger of
   * cost / sum of speeds and longest / largest speed, without loads. `makespan_s / bound_s` is 1 where no schedule could
   * have been better. 0 before the first batch has ended.
   */
  double bound_s;
  /**
   * Seconds until the end, as ::toolpool_progress_t has them.
   */
  double remaining_s;
  /**
   * `done / elapsed_s`.
   */
  double items_per_s;
  /**
   * `cost_done / elapsed_s`.
   */
  double cost_per_s;
  /**
   * Why items were not done, or the job failed: a negative status; ::TOOLPOOL_OK for neither.
   */
  toolpool_status_t stopped;
  /**
   * 0.
   */
  int32_t reserved;
  /**
   * The message that belongs to `stopped`, NUL-terminated UTF-8; "" for none.
   */
  const char *stopped_message;
} toolpool_summary_t;

/**
 * What a report says of one slot of the pool: what it did for this job. A plain value whose strings are owned by the
 * report.
 */
typedef struct toolpool_slot_report_t {
  /**
   * sizeof(toolpool_slot_report_t), set by TOOLPOOL_SLOT_REPORT_INIT.
   */
  size_t size;
  /**
   * The device as a device string names it, such as `cuda:0`, NUL-terminated.
   */
  const char *device;
  /**
   * Distinct items that it did, failed ones included.
   */
  uint64_t items;
  /**
   * Of these, failed.
   */
  uint64_t failed;
  /**
   * Batches that it did, failed ones included.
   */
  uint64_t batches;
  /**
   * Sum of the extents of its items (tokens, bytes).
   */
  uint64_t extent;
  /**
   * Cost of its items, without infinite ones.
   */
  double cost;
  /**
   * Its measured speed: the cost of the items that succeeded over the time of the batches that did; 0 if it has done
   * nothing that has a cost.
   */
  double cost_per_s;
  /**
   * Seconds with at least one batch in flight.
   */
  double busy_s;
  /**
   * Seconds spent loading the tool.
   */
  double load_s;
  /**
   * What is left of the makespan, in seconds: it waited, or worked for another job.
   */
  double idle_s;
  /**
   * Batches that came back to be split.
   */
  uint64_t splits;
  /**
   * Batches and items that came back to be tried again.
   */
  uint64_t retries;
  /**
   * Batches that ran out of memory.
   */
  uint64_t out_of_memory;
  /**
   * Why the slot is lost or stuck: a negative status; ::TOOLPOOL_OK if it is neither.
   */
  toolpool_status_t lost;
  /**
   * 0.
   */
  int32_t reserved;
  /**
   * The message that belongs to `lost`, NUL-terminated UTF-8; "" for none.
   */
  const char *lost_message;
  /**
   * The budget of a batch when its last one ended, in the unit of `extent`: what the tool says, or what was found to
   * be fast and to fit into memory; 0 before.
   */
  uint64_t batch_budget;
} toolpool_slot_report_t;

/**
 * toolpool's functions, for tools in libraries that do not link to toolpool. Each is the exported function
 * of the same name. Valid as long as the process.
 */
typedef struct toolpool_host_t {
  /**
   * sizeof(toolpool_host_t) of the host; fields beyond it are not there.
   */
  size_t size;
  /**
   * ::TOOLPOOL_ABI of the host.
   */
  uint32_t abi;
  /**
   * toolpool_batch_len()
   */
  size_t (*batch_len)(const struct toolpool_batch_t *batch);
  /**
   * toolpool_batch_bytes()
   */
  toolpool_status_t (*batch_bytes)(const struct toolpool_batch_t *batch, size_t index, const void **data, size_t *len);
  /**
   * toolpool_batch_field()
   */
  toolpool_status_t (*batch_field)(const struct toolpool_batch_t *batch,
                                   size_t index,
                                   const char *name,
                                   const void **data,
                                   size_t *len);
  /**
   * toolpool_batch_user()
   */
  void *(*batch_user)(const struct toolpool_batch_t *batch);
  /**
   * toolpool_outputs_alloc()
   */
  toolpool_status_t (*outputs_alloc)(struct toolpool_outputs_t *outputs,
                                     size_t index,
                                     const char *name,
                                     toolpool_dtype_t dtype,
                                     const int64_t *shape,
                                     size_t ndim,
                                     void **data,
                                     struct toolpool_error_t **err);
  /**
   * toolpool_outputs_fail()
   */
  toolpool_status_t (*outputs_fail)(struct toolpool_outputs_t *outputs,
                                    size_t index,
                                    toolpool_status_t status,
                                    const char *message);
  /**
   * toolpool_outputs_warn()
   */
  toolpool_status_t (*outputs_warn)(struct toolpool_outputs_t *outputs, size_t index, const char *message);
  /**
   * toolpool_error_set()
   */
  toolpool_status_t (*error_set)(struct toolpool_error_t **err, toolpool_status_t status, const char *message);
  /**
   * toolpool_outputs_count()
   */
  toolpool_status_t (*outputs_count)(struct toolpool_outputs_t *outputs, const char *name, double amount);
  /**
   * toolpool_batch_fields()
   */
  size_t (*batch_fields)(const struct toolpool_batch_t *batch);
  /**
   * toolpool_batch_field_name()
   */
  const char *(*batch_field_name)(const struct toolpool_batch_t *batch, size_t field);
  /**
   * toolpool_batch_tensor()
   */
  toolpool_status_t (*batch_tensor)(const struct toolpool_batch_t *batch,
                                    size_t index,
                                    size_t field,
                                    struct toolpool_tensor_t *tensor);
} toolpool_host_t;

/**
 * The function that a shared library exports for each of its tools; `toolpool_tool_open("library",
 * "libmine.so:mytool", …)` calls `mytool`.
 *
 * Called at open, and again with all options whenever one is set; it must be cheap (read a config, not the
 * weights). It validates `source` and every option (an unknown key or value: ::TOOLPOOL_ERR_OPTION and a
 * message that lists the known), and on success fills `*callbacks` and `*user`, which belong to the caller
 * until `destroy`. `callbacks` arrives initialised with its size.
 *
 * `source` is the text after a second ':' in the tool's source, or for a backend's kinds the source itself.
 */
typedef toolpool_status_t (*toolpool_entry_t)(const struct toolpool_host_t *host,
                                              const char *source,
                                              const struct toolpool_option_t *options,
                                              size_t n_options,
                                              struct toolpool_callbacks_t *callbacks,
                                              void **user,
                                              struct toolpool_error_t **err);

/**
 * Success.
 */
#define TOOLPOOL_OK 0

/**
 * The run ended and its results are there, but some items failed: each item has its own status and error.
 */
#define TOOLPOOL_PARTIAL 1

/**
 * The time given ran out before the awaited thing happened. Nothing was lost; ask again.
 */
#define TOOLPOOL_PENDING 2

/**
 * Every item of the job has been handed out by toolpool_job_next() or toolpool_job_results().
 */
#define TOOLPOOL_DONE 3

/**
 * A defect inside toolpool (a caught panic). The handle stays usable; please report the message.
 */
#define TOOLPOOL_ERR_INTERNAL -1

/**
 * An argument is NULL, out of range, not UTF-8, or overflows.
 */
#define TOOLPOOL_ERR_ARGUMENT -2

/**
 * A device string cannot be parsed, or names a device that is not visible.
 */
#define TOOLPOOL_ERR_DEVICE -3

/**
 * An option's key or value is not known; the message lists what is.
 */
#define TOOLPOOL_ERR_OPTION -4

/**
 * The tool's kind is unknown, or its library has no such tool.
 */
#define TOOLPOOL_ERR_TOOL -5

/**
 * The model's files are absent, damaged or not what their config says.
 */
#define TOOLPOOL_ERR_MODEL -6

/**
 * The tool's backend, or the library it stands on (libtorch), is absent or of another version.
 */
#define TOOLPOOL_ERR_BACKEND -7

/**
 * This item cannot be processed; others are not affected.
 */
#define TOOLPOOL_ERR_ITEM -8

/**
 * Out of memory. From a tool: the batch is halved and tried again.
 */
#define TOOLPOOL_ERR_OUT_OF_MEMORY -9

/**
 * The device is gone. From a tool: the slot is given up and its batch goes to the others.
 */
#define TOOLPOOL_ERR_DEVICE_LOST -10

/**
 * The tool broke its contract: no output for an item, two outputs of one name, a code that does not exist.
 */
#define TOOLPOOL_ERR_CONTRACT -11

/**
 * The job was cancelled before this item was done.
 */
#define TOOLPOOL_ERR_CANCELLED -12

/**
 * The pool is closed.
 */
#define TOOLPOOL_ERR_CLOSED -13

/**
 * The call was made from inside a tool's callback, where it would wait for itself.
 */
#define TOOLPOOL_ERR_REENTRANT -14

/**
 * The handle belongs to the parent of this forked process.
 */
#define TOOLPOOL_ERR_FORKED -15

/**
 * There is no item, output or device of that index or name.
 */
#define TOOLPOOL_ERR_NOT_FOUND -16

/**
 * The tool failed in a way it does not tell apart.
 */
#define TOOLPOOL_ERR_FAILED -17

/**
 * A time limit ran out before this item was done.
 */
#define TOOLPOOL_ERR_TIME_LIMIT -18

/**
 * From a tool: the same may succeed later. It is tried again a few times, after everything else.
 */
#define TOOLPOOL_ERR_TRANSIENT -19

/**
 * The process that the tool ran in (`isolation = process`) died over this item; the message names the signal.
 */
#define TOOLPOOL_ERR_CRASHED -20

/**
 * Uninterpreted bytes (a string, a file); one element is one byte.
 */
#define TOOLPOOL_BYTES 0

/**
 * IEEE 754 binary32.
 */
#define TOOLPOOL_FLOAT32 1

/**
 * IEEE 754 binary64.
 */
#define TOOLPOOL_FLOAT64 2

/**
 * IEEE 754 binary16.
 */
#define TOOLPOOL_FLOAT16 3

/**
 * bfloat16: the upper half of a binary32.
 */
#define TOOLPOOL_BFLOAT16 4

/**
 * Signed 8-bit integer.
 */
#define TOOLPOOL_INT8 5

/**
 * Unsigned 8-bit integer.
 */
#define TOOLPOOL_UINT8 6

/**
 * Signed 16-bit integer.
 */
#define TOOLPOOL_INT16 7

/**
 * Signed 32-bit integer.
 */
#define TOOLPOOL_INT32 8

/**
 * Signed 64-bit integer.
 */
#define TOOLPOOL_INT64 9

/**
 * One byte, 0 or 1.
 */
#define TOOLPOOL_BOOL 10

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The version of the loaded library, as "0.1.0". Static memory; any thread, any time.
 */
const char *toolpool_version(void);

/**
 * The version of the tables in the loaded library: equal to ::TOOLPOOL_ABI if this header fits it.
 */
uint32_t toolpool_abi(void);

/**
 * The name of a status, as it stands in this header: "TOOLPOOL_ERR_MODEL". "unknown status" for a number that is none.
 * Valid for ever, NUL-terminated; any thread may ask, a tool's callbacks included.
 */
const char *toolpool_status_name(toolpool_status_t status);

/**
 * The status of an error: the one that the call returned. 0 for NULL.
 */
toolpool_status_t toolpool_error_status(const struct toolpool_error_t *err);

/**
 * The message of an error: NUL-terminated UTF-8 that names the thing, the reason and the way out. "" for NULL. Valid
 * until the error is freed.
 */
const char *toolpool_error_message(const struct toolpool_error_t *err);

/**
 * The caller's index of the item that an error concerns; SIZE_MAX for none, and for NULL.
 */
size_t toolpool_error_item(const struct toolpool_error_t *err);

/**
 * Frees an error. NULL is fine.
 */
void toolpool_error_free(struct toolpool_error_t *err);

/**
 * For tools: puts an error into `*err` and returns `status`, so that a callback can end with
 * `return toolpool_error_set(err, TOOLPOOL_ERR_FAILED, "…");`. `message` is copied (bytes
 * that are not UTF-8 are replaced); an error that is there already is
 * replaced. A status that is no error counts as ::TOOLPOOL_ERR_CONTRACT.
 */
toolpool_status_t toolpool_error_set(struct toolpool_error_t **err, toolpool_status_t status, const char *message);

/**
 * Sends the log lines of all pools of the process to `callback`, those of `level` and of lower numbers. NULL: nowhere,
 * as at the start. Waits for lines that are under way: once it returns, the callback before is not called any more.
 */
toolpool_status_t toolpool_set_log(toolpool_log_t callback,
                                   void *user,
                                   int32_t level,
                                   struct toolpool_error_t **err);

/**
 * Lists the devices that a pool opened with `devices` would work on, a row for each slot; NULL lists every visible GPU
 * and then the CPU. CUDA is not touched: what is said of GPUs comes from the driver's management library.
 *
 * @param devices  as in toolpool_open(), or NULL
 * @param out      receives the list; free it with toolpool_devices_free()
 */
toolpool_status_t toolpool_devices_list(const char *devices,
                                        struct toolpool_devices_t **out,
                                        struct toolpool_error_t **err);

/**
 * How many devices are in a list; 0 for NULL.
 */
size_t toolpool_devices_len(const struct toolpool_devices_t *devices);

/**
 * Copies one device of a list into `*device`, which starts from TOOLPOOL_DEVICE_INIT.
 */
toolpool_status_t toolpool_devices_get(const struct toolpool_devices_t *devices,
                                       size_t index,
                                       struct toolpool_device_t *device,
                                       struct toolpool_error_t **err);

/**
 * Frees a list of devices. NULL is fine.
 */
void toolpool_devices_free(struct toolpool_devices_t *devices);

/**
 * Opens a pool: one warm worker thread on each slot that `devices` names.
 *
 * | devices | slots |
 * | --- | --- |
 * | NULL, `auto` | every visible GPU; where there is none, CPU workers |
 * | `all` | every visible GPU |
 * | `2` | the first 2 visible GPUs |
 * | `cuda:0,cuda:2` | these GPUs |
 * | `cuda:0*2` | two slots on one GPU |
 * | `cpu*4` | 4 CPU workers, which share the cores that this process may use evenly |
 *
 * GPUs are numbered as this process sees them: CUDA_VISIBLE_DEVICES is respected. Asking for a GPU where none is visible
 * is an error. CUDA is first touched by the workers, when a tool is loaded. Environment variables are read here and in
 * toolpool_tool_open() only.
 *
 * @param devices  NUL-terminated, or NULL
 * @param out      receives the pool; end it with toolpool_close()
 */
toolpool_status_t toolpool_open(const char *devices,
                                struct toolpool_t **out,
                                struct toolpool_error_t **err);

/**
 * Opens a pool with options. One that is given twice has its last value.
 *
 * | key | value | default | meaning |
 * | --- | --- | --- | --- |
 * | `memory_limit` | a number above 0 | what the device has | bytes that loaded tools may take on one device; those that were not used for longest make room for others |
 * | `threads` | 1 to 1024 | an even share of the cores | CPU threads of each CPU slot |
 * | `trust` | `code`, `data` | `code` | with `data`, tools made of files that are programs (TorchScript, AOTInductor) are refused when they are submitted, before their file is loaded; a library's code has run once toolpool_tool_open() returns, so nothing is refused of it |
 *
 * @param devices    as for toolpool_open()
 * @param options    `n_options` of them, read during the call; NULL if there are none
 * @param n_options  how many
 * @param out        receives the pool; end it with toolpool_close()
 */
toolpool_status_t toolpool_open_with(const char *devices,
                                     const struct toolpool_option_t *options,
                                     size_t n_options,
                                     struct toolpool_t **out,
                                     struct toolpool_error_t **err);

/**
 * Lists the slots of a pool, in the order of their numbers.
 *
 * @param out  receives the list; free it with toolpool_devices_free()
 */
toolpool_status_t toolpool_slots(const struct toolpool_t *pool,
                                 struct toolpool_devices_t **out,
                                 struct toolpool_error_t **err);

/**
 * Loads a tool onto every slot, in parallel, and returns when all have it: later runs find it warm. Fails with the first
 * slot's error; the other slots have it all the same.
 */
toolpool_status_t toolpool_warm(struct toolpool_t *pool,
                                const struct toolpool_tool_t *tool,
                                struct toolpool_error_t **err);

/**
 * Waits until no job of the pool is unfinished: ::TOOLPOOL_OK, or ::TOOLPOOL_PENDING if the time runs out before.
 *
 * @param timeout_ms  milliseconds; negative: without limit
 */
toolpool_status_t toolpool_drain(struct toolpool_t *pool, int64_t timeout_ms, struct toolpool_error_t **err);

/**
 * Closes a pool: cancels its jobs (toolpool_drain() first to finish them), waits for the batches under way, unloads the
 * tools and ends the threads. NULL is fine, and so is a second call. Jobs and results stay readable; other calls with this pool, also by other
 * threads at the same time, answer ::TOOLPOOL_ERR_CLOSED. A few bytes stay behind for that answer.
 *
 * Not waited for is a call of a tool that is past a time limit: what it uses must live until the tool's `destroy`.
 *
 * Called inside a tool's callback it does nothing but log an error, for it would wait for itself. In a forked child it
 * does nothing: the workers are the parent's.
 */
void toolpool_close(struct toolpool_t *pool);

/**
 * Opens a tool by name. Reads what describes the model (its config), not its weights: those are loaded by each worker
 * at first use, or by toolpool_warm().
 *
 * | kind | source | what it does |
 * | --- | --- | --- |
 * | `aoti` | a `.pt2` package of AOTInductor | a compiled PyTorch model, for the device that it was compiled for |
 * | `auto` | any source of the other torch kinds | looks what it is, and opens `aoti`, `esm2` or `torchscript` |
 * | `echo` | NULL | copies the first field of an item to the output `output` (bytes) |
 * | `esm2` | a transformers directory, or a hub id in the local Hugging Face cache | ESM-2 protein embeddings |
 * | `library` | `FILE:SYMBOL` or `FILE:SYMBOL:SOURCE` | the tool that ::toolpool_entry_t SYMBOL of a shared library makes |
 * | `torchscript` | a `.pt` file of `torch.jit.save` | a PyTorch model, on any device |
 *
 * The first torch tool of a process loads libtorch and the torch backend. Libraries, `.pt` and `.pt2` files are programs:
 * open only what you trust. Safetensors, which `esm2` reads, are data.
 *
 * @param kind    NUL-terminated
 * @param source  NUL-terminated, or NULL for ""
 * @param out     receives the tool; free it with toolpool_tool_free()
 */
toolpool_status_t toolpool_tool_open(const char *kind,
                                     const char *source,
                                     struct toolpool_tool_t **out,
                                     struct toolpool_error_t **err);

/**
 * Makes a tool of C functions. On success the tool owns `user` and calls `destroy` in the end; on failure it does not.
 *
 * @param name       what messages call it; NUL-terminated, copied
 * @param callbacks  copied; start from TOOLPOOL_CALLBACKS_INIT
 * @param user       handed to `load`, `cost`, `extent` and `destroy`; must be usable from any thread
 * @param out        receives the tool; free it with toolpool_tool_free()
 */
toolpool_status_t toolpool_tool_from_callbacks(const char *name,
                                               const struct toolpool_callbacks_t *callbacks,
                                               void *user,
                                               struct toolpool_tool_t **out,
                                               struct toolpool_error_t **err);

/**
 * Sets an option of a tool, checked at once: an unknown key or value is ::TOOLPOOL_ERR_OPTION, with a message that
 * lists the known ones, and leaves the tool as it was. Jobs that were submitted before keep what they had. The table of
 * all options by tool is in the documentation.
 *
 * Every tool that is opened by name has `isolation`: with `process`, each worker runs it in a child process, and a crash
 * costs the items that cause it (::TOOLPOOL_ERR_CRASHED, with the signal's name) and nothing else.
 *
 * @param key    NUL-terminated
 * @param value  NUL-terminated
 */
toolpool_status_t toolpool_tool_set(struct toolpool_tool_t *tool,
                                    const char *key,
                                    const char *value,
                                    struct toolpool_error_t **err);

/**
 * Frees a tool. NULL is fine; jobs that use it go on. What named tools have loaded stays warm in the pool, as does what a
 * tool of callbacks with an `identity` has, for the next of that identity; what one without has loaded is unloaded.
 */
void toolpool_tool_free(struct toolpool_tool_t *tool);

/**
 * Makes a tool whose calls wait in a queue until threads of the caller take and answer them: for languages whose functions
 * must not be called on threads of toolpool, and for programs with a scheduler of their own. For each call, `notify(user)` is called
 * on the worker's thread, which then waits:
 *
 * ```c
 * while (toolpool_queue_next(queue, -1, &call, &err) == TOOLPOOL_OK)
 *   toolpool_queue_answer(queue, call.number, run_or_load_or_unload(&call), NULL, &err);
 * ```
 *
 * What the answer to a call may be, and means, is as for the function of ::toolpool_callbacks_t of that name. A batch that is
 * given up at its `batch_time_limit` stays valid until it is answered; its state counts as broken, is loaded anew, and its UNLOAD
 * comes after that answer.
 * toolpool_warm() and toolpool_close() wait for answers, so do not call them on the only thread that gives any.
 *
 * @param name       what messages call the tool; NUL-terminated, copied
 * @param callbacks  how it measures items, and how large its batches are: `cost`, `extent`, `measure`, `memory`, `batch_…`,
 *                   `runs_code`, called with `user`; all else is NULL. NULL: the defaults
 * @param notify     called when a call has come, and when none will come any more; NULL: not at all
 * @param user       handed to `notify` until toolpool_queue_free(), and to the functions of `callbacks` until
 *                   toolpool_queue_next() answers ::TOOLPOOL_DONE; without that, until the tool, its jobs and the pools that ran
 *                   it are gone
 * @param tool       receives the tool; free it with toolpool_tool_free()
 * @param queue      receives the queue; free it with toolpool_queue_free()
 */
toolpool_status_t toolpool_tool_from_queue(const char *name,
                                           const struct toolpool_callbacks_t *callbacks,
                                           toolpool_notify_t notify,
                                           void *user,
                                           struct toolpool_tool_t **tool,
                                           struct toolpool_queue_t **queue,
                                           struct toolpool_error_t **err);

/**
 * Takes the oldest call that waits, or waits for one. ::TOOLPOOL_OK: `*call` is filled in; ::TOOLPOOL_PENDING: the time ran
 * out; ::TOOLPOOL_DONE: the tool was freed, what it had loaded is unloaded, and no call will come any more.
 *
 * @param timeout_ms  milliseconds; 0: does not wait; negative: without limit
 * @param call        receives the call; starts from TOOLPOOL_CALL_INIT
 */
toolpool_status_t toolpool_queue_next(struct toolpool_queue_t *queue,
                                      int64_t timeout_ms,
                                      struct toolpool_call_t *call,
                                      struct toolpool_error_t **err);

/**
 * Answers a call: what a function of ::toolpool_callbacks_t would return. From here on its batch and outputs are gone. An
 * answer that nobody waits for (a second one, one to an UNLOAD, one that comes too late) is dropped;
 * ::TOOLPOOL_ERR_NOT_FOUND if there never was such a call.
 *
 * @param number   of the call
 * @param status   ::TOOLPOOL_OK, or a negative one
 * @param message  why, if it is negative; NUL-terminated, copied; may be NULL
 */
toolpool_status_t toolpool_queue_answer(struct toolpool_queue_t *queue,
                                        uint64_t number,
                                        toolpool_status_t status,
                                        const char *message,
                                        struct toolpool_error_t **err);

/**
 * Frees a queue. NULL is fine. Nobody answers its calls from here on: those that wait, those that were taken, and all that
 * come, fail (::TOOLPOOL_ERR_FAILED), so that no worker waits for ever. The batches and outputs of calls that were taken are gone:
 * no thread may be at work on one. `notify` is not called any more once this returns.
 */
void toolpool_queue_free(struct toolpool_queue_t *queue);

/**
 * Makes items of strings, which are copied. Their one field is called `input`.
 *
 * @param strings  `n` pointers
 * @param lengths  `n` lengths in bytes, or NULL if every string is NUL-terminated
 * @param out      receives the items; free them with toolpool_items_free()
 */
toolpool_status_t toolpool_items_from_strings(const char *const *strings,
                                              const size_t *lengths,
                                              size_t n,
                                              struct toolpool_items_t **out,
                                              struct toolpool_error_t **err);

/**
 * Makes items of one piece of memory and the offsets where each begins, as in Arrow's `large_string` and `large_binary`
 * arrays, with no copy: item `i` lies from `data[offsets[i]]` to `data[offsets[i + 1]]`. Their one field is
 * called `input`.
 *
 * Data and offsets must not change until `release(user)` is called. Without `release`, they are lent: only
 * toolpool_run() takes such items, and they must stay until it returns. On failure `release` is not called.
 *
 * @param data     the bytes; may be NULL if there are none
 * @param offsets  `n + 1` offsets in bytes, which never fall
 * @param release  called once when nothing reads the memory any more, or NULL
 * @param user     handed to `release`
 * @param out      receives the items; free them with toolpool_items_free()
 */
toolpool_status_t toolpool_items_borrow(const void *data,
                                        const int64_t *offsets,
                                        size_t n,
                                        toolpool_release_t release,
                                        void *user,
                                        struct toolpool_items_t **out,
                                        struct toolpool_error_t **err);

/**
 * toolpool_items_borrow() with offsets of 32 bits, as in Arrow's `string` and `binary` arrays.
 */
toolpool_status_t toolpool_items_borrow32(const void *data,
                                          const int32_t *offsets,
                                          size_t n,
                                          toolpool_release_t release,
                                          void *user,
                                          struct toolpool_items_t **out,
                                          struct toolpool_error_t **err);

/**
 * Adds a field to items, borrowed as in toolpool_items_borrow(): one more byte string for each of them. Duplicates are
 * items whose fields are all equal; costs and extents are judged by the first field.
 *
 * @param name  NUL-terminated, copied; no other field of the items has it
 * @param n     how many items the field has: toolpool_items_len()
 */
toolpool_status_t toolpool_items_add_field(struct toolpool_items_t *items,
                                           const char *name,
                                           const void *data,
                                           const int64_t *offsets,
                                           size_t n,
                                           toolpool_release_t release,
                                           void *user,
                                           struct toolpool_error_t **err);

/**
 * Makes items of tensors of the caller, one an item, of any types and shapes. Dense, row-major ones are read where they
 * lie; others are copied now. More inputs of the same items: toolpool_items_add_tensors().
 *
 * The memory must not change until `release(user)` is called. Without `release`, it is lent: only toolpool_run() takes such
 * items, and it must stay until that returns. On failure `release` is not called.
 *
 * A tensor whose shape and strides reach beyond its `bytes`, or that is not in the host's memory, is
 * ::TOOLPOOL_ERR_ARGUMENT, an error about its item. Items count as equal if bytes, types and shapes all are.
 *
 * @param name     of the field, NUL-terminated, copied: the input of the model that it is for. NULL: its position among the
 *                 fields, `0`
 * @param tensors  `n` tensors, which need not stay; each starts from TOOLPOOL_TENSOR_INIT
 * @param release  called once when nothing reads the memory any more, or NULL
 * @param user     handed to `release`
 * @param out      receives the items; free them with toolpool_items_free()
 */
toolpool_status_t toolpool_items_from_tensors(const char *name,
                                              const struct toolpool_tensor_t *tensors,
                                              size_t n,
                                              toolpool_release_t release,
                                              void *user,
                                              struct toolpool_items_t **out,
                                              struct toolpool_error_t **err);

/**
 * Adds a field of tensors to items, one more for each, as in toolpool_items_from_tensors(). Costs and extents are judged by
 * the first field, unless the tool looks at all.
 *
 * @param name  no other field of the items has it; NULL: its position among the fields, `1`, `2` …
 * @param n     how many tensors there are: toolpool_items_len()
 */
toolpool_status_t toolpool_items_add_tensors(struct toolpool_items_t *items,
                                             const char *name,
                                             const struct toolpool_tensor_t *tensors,
                                             size_t n,
                                             toolpool_release_t release,
                                             void *user,
                                             struct toolpool_error_t **err);

/**
 * toolpool_items_set_costs() with a function in place of an array: it is called for each item, and no more once this
 * returns. It must not use these items.
 *
 * @param cost  returns the cost of item `index`
 * @param user  handed to `cost`
 */
toolpool_status_t toolpool_items_set_cost(struct toolpool_items_t *items,
                                          toolpool_cost_t cost,
                                          void *user,
                                          struct toolpool_error_t **err);

/**
 * Sets what the items cost, in place of the tool's estimate: the largest run first. Any unit; zero and infinite costs are
 * fine, negative ones and NaN are not.
 *
 * @param costs  `n` costs, copied
 * @param n      how many: toolpool_items_len()
 */
toolpool_status_t toolpool_items_set_costs(struct toolpool_items_t *items,
                                           const double *costs,
                                           size_t n,
                                           struct toolpool_error_t **err);

/**
 * How many items there are; 0 for NULL.
 */
size_t toolpool_items_len(const struct toolpool_items_t *items);

/**
 * Frees items. NULL is fine; jobs that use them go on. Borrowed memory is released when the last job lets go of it.
 */
void toolpool_items_free(struct toolpool_items_t *items);

/**
 * Makes options of a job, all at their defaults.
 *
 * @param out  receives the options; free them with toolpool_options_free()
 */
toolpool_status_t toolpool_options_new(struct toolpool_options_t **out, struct toolpool_error_t **err);

/**
 * Sets an option of a job, checked at once.
 *
 * | key | value | default | meaning |
 * | --- | --- | --- | --- |
 * | `dedup` | `true`, `false` | `true` | items of equal content are computed once; turn it off for tools that are random or have side effects |
 * | `deterministic` | `true`, `false` | `false` | batches are formed from the items alone: on one kind of device, with the same threads a slot and the same budget, results do not depend on the number of slots by a single bit |
 * | `time_limit` | seconds | none | the job ends so long after its submission; what is not done by then fails with ::TOOLPOOL_ERR_TIME_LIMIT |
 * | `batch_time_limit` | seconds | none | a batch that takes longer is given up: its items are tried once more, last and alone, and its slot waits for the tool to return (an isolated tool is killed and loaded anew) |
 * | `retries` | a number | `3` | how often an item is tried again when the tool says ::TOOLPOOL_ERR_TRANSIENT |
 * | `on_device_lost` | `continue`, `fail` | `continue` | when a device is lost, the other slots do its work, or the job ends |
 * | `pending_bytes` | a number | no limit | workers pause while finished outputs that toolpool_job_next() has not taken are larger than this, in bytes; a call that waits for the whole job lifts it |
 *
 * @param key    NUL-terminated
 * @param value  NUL-terminated
 */
toolpool_status_t toolpool_options_set(struct toolpool_options_t *options,
                                       const char *key,
                                       const char *value,
                                       struct toolpool_error_t **err);

/**
 * Frees options. NULL is fine.
 */
void toolpool_options_free(struct toolpool_options_t *options);

/**
 * Runs a tool on items and returns when all are done: toolpool_submit(), toolpool_job_wait(), toolpool_job_results().
 *
 * The results are in the order of the items. If some failed, the answer is ::TOOLPOOL_PARTIAL and each item has its own
 * status and error; a negative status means that there are no results. No items are fine: the results are empty.
 *
 * @param out  receives the results; free them with toolpool_results_free()
 */
toolpool_status_t toolpool_run(struct toolpool_t *pool,
                               const struct toolpool_tool_t *tool,
                               const struct toolpool_items_t *items,
                               struct toolpool_results_t **out,
                               struct toolpool_error_t **err);

/**
 * Begins a job and returns as soon as it is planned: equal items are found and costs asked for on the calling thread,
 * in time proportional to the items. The handles of tool, items and options may be freed at once.
 *
 * Items that were lent (borrowed without `release`) are refused: only toolpool_run() knows when it is done with them.
 *
 * @param options  or NULL for the defaults
 * @param out      receives the job; free it with toolpool_job_free()
 */
toolpool_status_t toolpool_submit(struct toolpool_t *pool,
                                  const struct toolpool_tool_t *tool,
                                  const struct toolpool_items_t *items,
                                  const struct toolpool_options_t *options,
                                  struct toolpool_job_t **out,
                                  struct toolpool_error_t **err);

/**
 * Waits until a job has ended: ::TOOLPOOL_OK, or ::TOOLPOOL_PENDING if the time runs out before. From now on its workers
 * no longer pause for `pending_bytes`.
 *
 * @param timeout_ms  milliseconds; negative: without limit
 */
toolpool_status_t toolpool_job_wait(const struct toolpool_job_t *job,
                                    int64_t timeout_ms,
                                    struct toolpool_error_t **err);

/**
 * Whether a job has ended: ::TOOLPOOL_OK or ::TOOLPOOL_PENDING, at once.
 */
toolpool_status_t toolpool_job_poll(const struct toolpool_job_t *job, struct toolpool_error_t **err);

/**
 * For programs that do not wait in toolpool: has `notify(user)` called when items have finished, and when the job has ended;
 * at once, if that is so already. What is there is then taken with toolpool_job_next() until it answers ::TOOLPOOL_PENDING or
 * ::TOOLPOOL_DONE: there is no call for each part. A call may come for nothing.
 *
 * @param notify  in place of the one before, which is not called any more once this returns; NULL: none
 * @param user    handed to `notify` until toolpool_job_free()
 */
toolpool_status_t toolpool_job_notify(struct toolpool_job_t *job,
                                      toolpool_notify_t notify,
                                      void *user,
                                      struct toolpool_error_t **err);

/**
 * Cancels a job: batches under way still finish, all other items fail with ::TOOLPOOL_ERR_CANCELLED. The job then ends, and
 * what was done can be taken. A job that has ended is left as it is.
 */
toolpool_status_t toolpool_job_cancel(struct toolpool_job_t *job,
                                      struct toolpool_error_t **err);

/**
 * Fills in how far a job is. `*progress` starts from TOOLPOOL_PROGRESS_INIT.
 */
toolpool_status_t toolpool_job_progress(const struct toolpool_job_t *job,
                                        struct toolpool_progress_t *progress,
                                        struct toolpool_error_t **err);

/**
 * Moves the items that have finished since the last call out of a job, as results of their own, in the order in which they
 * finished; toolpool_results_index() tells which items they are. Each item is handed out once. Several threads may take
 * turns.
 *
 * Waits for some if there are none. ::TOOLPOOL_OK or ::TOOLPOOL_PARTIAL: `*out` has received results;
 * ::TOOLPOOL_PENDING: the time ran out; ::TOOLPOOL_DONE: all have been handed out. If the job failed as a whole, that error
 * comes after everything else was taken.
 *
 * @param timeout_ms  milliseconds; negative: without limit
 * @param out         receives the results; free them with toolpool_results_free()
 */
toolpool_status_t toolpool_job_next(struct toolpool_job_t *job,
                                    int64_t timeout_ms,
                                    struct toolpool_results_t **out,
                                    struct toolpool_error_t **err);

/**
 * Waits until a job has ended, and takes the results of all its items, in their order: ::TOOLPOOL_OK, or ::TOOLPOOL_PARTIAL
 * if some failed. Items that toolpool_job_next() has handed out before are not among them; with none left, the answer is
 * ::TOOLPOOL_DONE. A job that failed as a whole (its tool cannot be loaded anywhere, or fails on every item alike) has no
 * results but its error.
 *
 * @param out  receives the results; free them with toolpool_results_free()
 */
toolpool_status_t toolpool_job_results(struct toolpool_job_t *job,
                                       struct toolpool_results_t **out,
                                       struct toolpool_error_t **err);

/**
 * Frees a job; one that has not ended is cancelled. NULL is fine. Results that were taken stay.
 */
void toolpool_job_free(struct toolpool_job_t *job);

/**
 * How many items these results are of; 0 for NULL.
 */
size_t toolpool_results_len(const struct toolpool_results_t *results);

/**
 * The caller's index of item `index` of these results: `index` itself, unless they came from toolpool_job_next(). SIZE_MAX if
 * there is no such item.
 */
size_t toolpool_results_index(const struct toolpool_results_t *results,
                              size_t index);

/**
 * The status of item `index`: ::TOOLPOOL_OK, or why it failed. ::TOOLPOOL_ERR_NOT_FOUND if there is no such item.
 */
toolpool_status_t toolpool_results_status(const struct toolpool_results_t *results, size_t index);

/**
 * How many of these items failed, and which. The first call takes time in proportion to the items, later ones none.
 *
 * @param positions  receives that many indices into these results, rising: an array owned by the results, NULL if none failed;
 *                   may be NULL
 */
size_t toolpool_results_failed(const struct toolpool_results_t *results,
                               const size_t **positions);

/**
 * Why item `index` failed: NUL-terminated UTF-8, "" if it did not. Owned by the results.
 */
const char *toolpool_results_error(const struct toolpool_results_t *results, size_t index);

/**
 * What the tool remarked on item `index` (a sequence that was cut, letters it did not know): NUL-terminated UTF-8, "" if
 * nothing. Owned by the results.
 */
const char *toolpool_results_warning(const struct toolpool_results_t *results,
                                     size_t index);

/**
 * The number of the slot that computed item `index` (or its twin); -1 if none did.
 */
int32_t toolpool_results_slot(const struct toolpool_results_t *results, size_t index);

/**
 * How many outputs there are; items may have different ones.
 */
size_t toolpool_results_outputs(const struct toolpool_results_t *results);

/**
 * The name of output `output`: NUL-terminated, owned by the results; NULL if there are not so many.
 */
const char *toolpool_results_output_name(const struct toolpool_results_t *results, size_t output);

/**
 * Views one output of one item, with no copy. For an item that failed, the answer is its status and error.
 *
 * @param index   below toolpool_results_len()
 * @param name    of the output; NUL-terminated
 * @param tensor  receives the view, valid until the results are freed; starts from TOOLPOOL_TENSOR_INIT
 */
toolpool_status_t toolpool_results_tensor(const struct toolpool_results_t *results,
                                          size_t index,
                                          const char *name,
                                          struct toolpool_tensor_t *tensor,
                                          struct toolpool_error_t **err);

/**
 * Views one output of all items where it lies, with no copy: chunks of memory, and for each item its row in them.
 * Duplicates share a row; items that failed or lack the output have none. The first call for a name takes time in
 * proportion to the items, later ones none.
 *
 * @param name    of the output; NUL-terminated
 * @param column  receives the view, valid until the results are freed; starts from TOOLPOOL_COLUMN_INIT
 */
toolpool_status_t toolpool_results_column(const struct toolpool_results_t *results,
                                          const char *name,
                                          struct toolpool_column_t *column,
                                          struct toolpool_error_t **err);

/**
 * Gathers one output of all items into memory of the caller, in the order of the items: the only copy. All items must
 * have succeeded, with equal shapes; the first that did not is named in the error.
 *
 * Call it with `buffer` NULL to learn the shape, `[items, …]`, the type and the bytes; then with a buffer of so many.
 *
 * @param name    of the output; NUL-terminated
 * @param buffer  receives the rows, or NULL
 * @param bytes   the size of `buffer`
 * @param tensor  receives the description, with `buffer` as data; starts from TOOLPOOL_TENSOR_INIT; may be NULL if
 *                `buffer` is not
 */
toolpool_status_t toolpool_results_stack(const struct toolpool_results_t *results,
                                         const char *name,
                                         void *buffer,
                                         size_t bytes,
                                         struct toolpool_tensor_t *tensor,
                                         struct toolpool_error_t **err);

/**
 * Frees results and everything that their views show. NULL is fine.
 */
void toolpool_results_free(struct toolpool_results_t *results);

/**
 * Takes a report of a job as it is now: while it runs, or after it has ended. It takes time in proportion to the
 * batches so far, and does not wait for any.
 *
 * @param report  receives the report; free it with toolpool_report_free()
 */
toolpool_status_t toolpool_job_report(const struct toolpool_job_t *job,
                                      struct toolpool_report_t **report,
                                      struct toolpool_error_t **err);

/**
 * Fills in the figures of the job as a whole. `*summary` starts from TOOLPOOL_SUMMARY_INIT.
 */
toolpool_status_t toolpool_report_summary(const struct toolpool_report_t *report,
                                          struct toolpool_summary_t *summary,
                                          struct toolpool_error_t **err);

/**
 * How many slots a report is of: those of the pool; 0 for NULL.
 */
size_t toolpool_report_slots(const struct toolpool_report_t *report);

/**
 * Fills in what one slot did for the job. `*out` starts from TOOLPOOL_SLOT_REPORT_INIT.
 *
 * @param slot  below toolpool_report_slots()
 */
toolpool_status_t toolpool_report_slot(const struct toolpool_report_t *report,
                                       size_t slot,
                                       struct toolpool_slot_report_t *out,
                                       struct toolpool_error_t **err);

/**
 * How many names the tool has counted by toolpool_outputs_count(); 0 for NULL.
 */
size_t toolpool_report_counts(const struct toolpool_report_t *report);

/**
 * The name of count `index`: NUL-terminated, owned by the report; NULL if there are not so many.
 */
const char *toolpool_report_count_name(const struct toolpool_report_t *report, size_t index);

/**
 * What the tool's batches have counted under a name, added up; ::TOOLPOOL_ERR_NOT_FOUND if none has.
 *
 * @param name   NUL-terminated
 * @param value  receives the sum
 */
toolpool_status_t toolpool_report_count(const struct toolpool_report_t *report,
                                        const char *name,
                                        double *value,
                                        struct toolpool_error_t **err);

/**
 * The figures as a JSON object: NUL-terminated UTF-8, owned by the report. docs/report.md lists the keys. Made at the
 * first call. "" for NULL.
 */
const char *toolpool_report_json(const struct toolpool_report_t *report);

/**
 * Loads and batches with their times in the Chrome trace-event format, which <https://ui.perfetto.dev> opens from a
 * file: NUL-terminated UTF-8, owned by the report. Made at the first call. "" for NULL.
 */
const char *toolpool_report_trace(const struct toolpool_report_t *report);

/**
 * The same as a picture: an SVG document, a row for each slot; NUL-terminated UTF-8, owned by the report. Made at the
 * first call. "" for NULL.
 */
const char *toolpool_report_timeline(const struct toolpool_report_t *report);

/**
 * Frees a report and its texts. NULL is fine.
 */
void toolpool_report_free(struct toolpool_report_t *report);

/**
 * For tools: how many items a batch has; 0 for NULL.
 */
size_t toolpool_batch_len(const struct toolpool_batch_t *batch);

/**
 * For tools: the first field of item `index` of a batch.
 *
 * @param data  receives the address, valid as long as the batch; never NULL on success
 * @param len   receives the length in bytes
 * @return      ::TOOLPOOL_OK, ::TOOLPOOL_ERR_NOT_FOUND if there is no such item, ::TOOLPOOL_ERR_ARGUMENT for NULL
 */
toolpool_status_t toolpool_batch_bytes(const struct toolpool_batch_t *batch,
                                       size_t index,
                                       const void **data,
                                       size_t *len);

/**
 * For tools: the field `name` of item `index` of a batch; otherwise as toolpool_batch_bytes().
 *
 * @param name  NUL-terminated
 */
toolpool_status_t toolpool_batch_field(const struct toolpool_batch_t *batch,
                                       size_t index,
                                       const char *name,
                                       const void **data,
                                       size_t *len);

/**
 * For tools: how many fields every item of a batch has, at least 1; 0 for NULL.
 */
size_t toolpool_batch_fields(const struct toolpool_batch_t *batch);

/**
 * For tools: the name of a field of a batch's items, valid as long as the batch; NULL if there is no such field.
 *
 * @param field  from 0, in the order in which they were added to the items
 */
const char *toolpool_batch_field_name(const struct toolpool_batch_t *batch, size_t field);

/**
 * For tools: a field of item `index` of a batch as a tensor: dense, row-major, aligned to its elements, not to be written
 * to. A byte string is one of ::TOOLPOOL_BYTES and one dimension.
 *
 * @param field   from 0, in the order in which they were added to the items
 * @param tensor  receives the view, valid as long as the batch; starts from TOOLPOOL_TENSOR_INIT
 * @return        ::TOOLPOOL_OK, ::TOOLPOOL_ERR_NOT_FOUND if there is no such item or field, ::TOOLPOOL_ERR_ARGUMENT for
 *                NULL or a wrong size
 */
toolpool_status_t toolpool_batch_tensor(const struct toolpool_batch_t *batch,
                                        size_t index,
                                        size_t field,
                                        struct toolpool_tensor_t *tensor);

/**
 * For tools: the user pointer of the tool that a batch was submitted with. It differs from the one that `load` was given
 * where tools of equal identity share what is loaded. NULL for NULL.
 */
void *toolpool_batch_user(const struct toolpool_batch_t *batch);

/**
 * For tools: memory for an output of item `index`, which becomes part of the results, so that nothing is copied after. It
 * is uninitialised, row-major, aligned to its elements, and valid until the batch ends; the tool fills all of it.
 *
 * A second output of one name for one item, and one for an item that is not in the batch, fail the batch
 * (::TOOLPOOL_ERR_CONTRACT). One thread at a time for one batch.
 *
 * @param name   of the output; NUL-terminated, copied
 * @param dtype  type of the elements; the same for all items of a name
 * @param shape  `ndim` sizes, outermost first; NULL if `ndim` is 0
 * @param ndim   up to ::TOOLPOOL_MAX_NDIM
 * @param data   receives the address; never NULL on success
 */
toolpool_status_t toolpool_outputs_alloc(struct toolpool_outputs_t *outputs,
                                         size_t index,
                                         const char *name,
                                         toolpool_dtype_t dtype,
                                         const int64_t *shape,
                                         size_t ndim,
                                         void **data,
                                         struct toolpool_error_t **err);

/**
 * For tools: says that item `index` cannot be done; the others are not affected. The first such call for an item counts.
 *
 * @param status   a negative one, in general ::TOOLPOOL_ERR_ITEM; others count as ::TOOLPOOL_ERR_CONTRACT
 * @param message  NUL-terminated, copied; may be NULL
 */
toolpool_status_t toolpool_outputs_fail(struct toolpool_outputs_t *outputs,
                                        size_t index,
                                        toolpool_status_t status,
                                        const char *message);

/**
 * For tools: adds a remark on item `index`, which the caller reads by toolpool_results_warning().
 *
 * @param message  NUL-terminated, copied
 */
toolpool_status_t toolpool_outputs_warn(struct toolpool_outputs_t *outputs, size_t index, const char *message);

/**
 * For tools: adds `amount` to what the report of the job says of `name`, such as the elements that were only padding. Counts
 * of batches that fail as a whole are dropped.
 *
 * @param name    NUL-terminated, copied
 * @param amount  any number but NaN
 */
toolpool_status_t toolpool_outputs_count(struct toolpool_outputs_t *outputs,
                                         const char *name,
                                         double amount);

/**
 * Assigns items to slots beforehand, longest first, each to the slot that would finish it first (LPT: R. L. Graham, SIAM
 * J. Appl. Math. 17, 1969). A pool needs no such plan, for its workers pull; this is for shards, for several machines, for
 * comparison.
 *
 * Items of cost 0 and of infinite cost are spread by number; NaN and negative costs, and an item that no slot can take,
 * are ::TOOLPOOL_ERR_ARGUMENT, with the item's index.
 *
 * @param costs      `n_items` costs, in any unit
 * @param weights    `n_slots` relative speeds above 0; NULL if all are equal
 * @param max_costs  `n_slots` largest costs that each slot can take; NULL for any
 * @param slot_of    receives the slot of each item
 * @param finish     receives when each slot is done, in cost / weight; or NULL
 * @param bound      receives the time below which no assignment can end; or NULL
 */
toolpool_status_t toolpool_plan(const double *costs,
                                size_t n_items,
                                const double *weights,
                                const double *max_costs,
                                size_t n_slots,
                                uint32_t *slot_of,
                                double *finish,
                                double *bound,
                                struct toolpool_error_t **err);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* TOOLPOOL_H */
