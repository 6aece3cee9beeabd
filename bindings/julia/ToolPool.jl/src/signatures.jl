# The C surface. Generated from include/toolpool.h by scripts/julia_signatures.py; do not edit.

# Where the functions are; `load_library` fills it in, in the order of NAMES.
const ADDRESSES = Ptr{Cvoid}[]

const TOOLPOOL_ABI = 1
const TOOLPOOL_MAX_NDIM = 8
const TOOLPOOL_DEVICE_CPU = 0
const TOOLPOOL_DEVICE_CUDA = 1
const TOOLPOOL_CALL_LOAD = 1
const TOOLPOOL_CALL_RUN = 2
const TOOLPOOL_CALL_UNLOAD = 3
const TOOLPOOL_VERSION_MAJOR = 0
const TOOLPOOL_VERSION_MINOR = 1
const TOOLPOOL_VERSION_PATCH = 0
const TOOLPOOL_LOG_ERROR = 1
const TOOLPOOL_LOG_WARNING = 2
const TOOLPOOL_LOG_INFO = 3
const TOOLPOOL_OK = 0
const TOOLPOOL_PARTIAL = 1
const TOOLPOOL_PENDING = 2
const TOOLPOOL_DONE = 3
const TOOLPOOL_ERR_INTERNAL = -1
const TOOLPOOL_ERR_ARGUMENT = -2
const TOOLPOOL_ERR_DEVICE = -3
const TOOLPOOL_ERR_OPTION = -4
const TOOLPOOL_ERR_TOOL = -5
const TOOLPOOL_ERR_MODEL = -6
const TOOLPOOL_ERR_BACKEND = -7
const TOOLPOOL_ERR_ITEM = -8
const TOOLPOOL_ERR_OUT_OF_MEMORY = -9
const TOOLPOOL_ERR_DEVICE_LOST = -10
const TOOLPOOL_ERR_CONTRACT = -11
const TOOLPOOL_ERR_CANCELLED = -12
const TOOLPOOL_ERR_CLOSED = -13
const TOOLPOOL_ERR_REENTRANT = -14
const TOOLPOOL_ERR_FORKED = -15
const TOOLPOOL_ERR_NOT_FOUND = -16
const TOOLPOOL_ERR_FAILED = -17
const TOOLPOOL_ERR_TIME_LIMIT = -18
const TOOLPOOL_ERR_TRANSIENT = -19
const TOOLPOOL_ERR_CRASHED = -20
const TOOLPOOL_BYTES = 0
const TOOLPOOL_FLOAT32 = 1
const TOOLPOOL_FLOAT64 = 2
const TOOLPOOL_FLOAT16 = 3
const TOOLPOOL_BFLOAT16 = 4
const TOOLPOOL_INT8 = 5
const TOOLPOOL_UINT8 = 6
const TOOLPOOL_INT16 = 7
const TOOLPOOL_INT32 = 8
const TOOLPOOL_INT64 = 9
const TOOLPOOL_BOOL = 10

struct toolpool_device_t
    size::Csize_t
    kind::Int32
    index::Int32
    slot::Int32
    threads::Int32
    memory_total::UInt64
    memory_free::UInt64
    capability_major::Int32
    capability_minor::Int32
    name::NTuple{96, UInt8}
    uuid::NTuple{48, UInt8}
    driver::NTuple{32, UInt8}
end

struct toolpool_option_t
    key::Cstring
    value::Cstring
end

struct toolpool_tensor_t
    size::Csize_t
    data::Ptr{Cvoid}
    bytes::Csize_t
    dtype::Int32
    ndim::Int32
    shape::NTuple{8, Int64}
    strides::Ptr{Int64}
    device::Int32
    reserved::Int32
end

struct toolpool_callbacks_t
    size::Csize_t
    load::Ptr{Cvoid}
    run::Ptr{Cvoid}
    cost::Ptr{Cvoid}
    unload::Ptr{Cvoid}
    destroy::Ptr{Cvoid}
    extent::Ptr{Cvoid}
    batch_budget::UInt64
    batch_items::UInt64
    start::Ptr{Cvoid}
    collect::Ptr{Cvoid}
    identity::Cstring
    memory::Ptr{Cvoid}
    batch_budget_most::UInt64
    measure::Ptr{Cvoid}
    runs_code::UInt64
    memory_apart::UInt64
end

struct toolpool_call_t
    size::Csize_t
    kind::Int32
    reserved::Int32
    number::UInt64
    state::UInt64
    batch::Ptr{Cvoid}
    outputs::Ptr{Cvoid}
    device::toolpool_device_t
end

struct toolpool_progress_t
    size::Csize_t
    total::UInt64
    done::UInt64
    failed::UInt64
    unique::UInt64
    running::UInt64
    unread_bytes::UInt64
    cost::Float64
    cost_done::Float64
    elapsed_s::Float64
    remaining_s::Float64
    undone::UInt64
end

struct toolpool_chunk_t
    data::Ptr{Cvoid}
    bytes::Csize_t
end

struct toolpool_row_t
    offset::UInt64
    bytes::UInt64
    chunk::UInt32
    reserved::UInt32
end

struct toolpool_column_t
    size::Csize_t
    dtype::Int32
    reserved::Int32
    chunks::Ptr{toolpool_chunk_t}
    n_chunks::Csize_t
    rows::Ptr{toolpool_row_t}
    n_rows::Csize_t
end

struct toolpool_summary_t
    size::Csize_t
    tool::Cstring
    total::UInt64
    done::UInt64
    failed::UInt64
    unique::UInt64
    cost::Float64
    cost_done::Float64
    cost_saved::Float64
    longest::Float64
    elapsed_s::Float64
    planning_s::Float64
    makespan_s::Float64
    bound_s::Float64
    remaining_s::Float64
    items_per_s::Float64
    cost_per_s::Float64
    stopped::Int32
    reserved::Int32
    stopped_message::Cstring
end

struct toolpool_slot_report_t
    size::Csize_t
    device::Cstring
    items::UInt64
    failed::UInt64
    batches::UInt64
    extent::UInt64
    cost::Float64
    cost_per_s::Float64
    busy_s::Float64
    load_s::Float64
    idle_s::Float64
    splits::UInt64
    retries::UInt64
    out_of_memory::UInt64
    lost::Int32
    reserved::Int32
    lost_message::Cstring
    batch_budget::UInt64
end

struct toolpool_host_t
    size::Csize_t
    abi::UInt32
    batch_len::Ptr{Cvoid}
    batch_bytes::Ptr{Cvoid}
    batch_field::Ptr{Cvoid}
    batch_user::Ptr{Cvoid}
    outputs_alloc::Ptr{Cvoid}
    outputs_fail::Ptr{Cvoid}
    outputs_warn::Ptr{Cvoid}
    error_set::Ptr{Cvoid}
    outputs_count::Ptr{Cvoid}
    batch_fields::Ptr{Cvoid}
    batch_field_name::Ptr{Cvoid}
    batch_tensor::Ptr{Cvoid}
end

toolpool_version() =
    ccall(ADDRESSES[1], Cstring, ())

toolpool_abi() =
    ccall(ADDRESSES[2], UInt32, ())

toolpool_status_name(status) =
    ccall(ADDRESSES[3], Cstring, (Int32,), status)

toolpool_error_status(err) =
    ccall(ADDRESSES[4], Int32, (Ptr{Cvoid},), err)

toolpool_error_message(err) =
    ccall(ADDRESSES[5], Cstring, (Ptr{Cvoid},), err)

toolpool_error_item(err) =
    ccall(ADDRESSES[6], Csize_t, (Ptr{Cvoid},), err)

toolpool_error_free(err) =
    ccall(ADDRESSES[7], Cvoid, (Ptr{Cvoid},), err)

toolpool_error_set(err, status, message) =
    ccall(ADDRESSES[8], Int32, (Ptr{Ptr{Cvoid}}, Int32, Cstring,), err, status, message)

toolpool_set_log(callback, user, level, err) =
    ccall(ADDRESSES[9], Int32, (Ptr{Cvoid}, Ptr{Cvoid}, Int32, Ptr{Ptr{Cvoid}},), callback, user, level, err)

toolpool_devices_list(devices, out, err) =
    ccall(ADDRESSES[10], Int32, (Cstring, Ptr{Ptr{Cvoid}}, Ptr{Ptr{Cvoid}},), devices, out, err)

toolpool_devices_len(devices) =
    ccall(ADDRESSES[11], Csize_t, (Ptr{Cvoid},), devices)

toolpool_devices_get(devices, index, device, err) =
    ccall(ADDRESSES[12], Int32, (Ptr{Cvoid}, Csize_t, Ptr{toolpool_device_t}, Ptr{Ptr{Cvoid}},), devices, index, device, err)

toolpool_devices_free(devices) =
    ccall(ADDRESSES[13], Cvoid, (Ptr{Cvoid},), devices)

toolpool_open(devices, out, err) =
    ccall(ADDRESSES[14], Int32, (Cstring, Ptr{Ptr{Cvoid}}, Ptr{Ptr{Cvoid}},), devices, out, err)

toolpool_open_with(devices, options, n_options, out, err) =
    ccall(ADDRESSES[15], Int32, (Cstring, Ptr{toolpool_option_t}, Csize_t, Ptr{Ptr{Cvoid}}, Ptr{Ptr{Cvoid}},), devices, options, n_options, out, err)

toolpool_slots(pool, out, err) =
    ccall(ADDRESSES[16], Int32, (Ptr{Cvoid}, Ptr{Ptr{Cvoid}}, Ptr{Ptr{Cvoid}},), pool, out, err)

toolpool_warm(pool, tool, err) =
    ccall(ADDRESSES[17], Int32, (Ptr{Cvoid}, Ptr{Cvoid}, Ptr{Ptr{Cvoid}},), pool, tool, err)

toolpool_drain(pool, timeout_ms, err) =
    ccall(ADDRESSES[18], Int32, (Ptr{Cvoid}, Int64, Ptr{Ptr{Cvoid}},), pool, timeout_ms, err)

toolpool_close(pool) =
    ccall(ADDRESSES[19], Cvoid, (Ptr{Cvoid},), pool)

toolpool_tool_open(kind, source, out, err) =
    ccall(ADDRESSES[20], Int32, (Cstring, Cstring, Ptr{Ptr{Cvoid}}, Ptr{Ptr{Cvoid}},), kind, source, out, err)

toolpool_tool_from_callbacks(name, callbacks, user, out, err) =
    ccall(ADDRESSES[21], Int32, (Cstring, Ptr{toolpool_callbacks_t}, Ptr{Cvoid}, Ptr{Ptr{Cvoid}}, Ptr{Ptr{Cvoid}},), name, callbacks, user, out, err)

toolpool_tool_set(tool, key, value, err) =
    ccall(ADDRESSES[22], Int32, (Ptr{Cvoid}, Cstring, Cstring, Ptr{Ptr{Cvoid}},), tool, key, value, err)

toolpool_tool_free(tool) =
    ccall(ADDRESSES[23], Cvoid, (Ptr{Cvoid},), tool)

toolpool_tool_from_queue(name, callbacks, notify, user, tool, queue, err) =
    ccall(ADDRESSES[24], Int32, (Cstring, Ptr{toolpool_callbacks_t}, Ptr{Cvoid}, Ptr{Cvoid}, Ptr{Ptr{Cvoid}}, Ptr{Ptr{Cvoid}}, Ptr{Ptr{Cvoid}},), name, callbacks, notify, user, tool, queue, err)

toolpool_queue_next(queue, timeout_ms, call, err) =
    ccall(ADDRESSES[25], Int32, (Ptr{Cvoid}, Int64, Ptr{toolpool_call_t}, Ptr{Ptr{Cvoid}},), queue, timeout_ms, call, err)

toolpool_queue_answer(queue, number, status, message, err) =
    ccall(ADDRESSES[26], Int32, (Ptr{Cvoid}, UInt64, Int32, Cstring, Ptr{Ptr{Cvoid}},), queue, number, status, message, err)

toolpool_queue_free(queue) =
    ccall(ADDRESSES[27], Cvoid, (Ptr{Cvoid},), queue)

toolpool_items_from_strings(strings, lengths, n, out, err) =
    ccall(ADDRESSES[28], Int32, (Ptr{Ptr{Cvoid}}, Ptr{Csize_t}, Csize_t, Ptr{Ptr{Cvoid}}, Ptr{Ptr{Cvoid}},), strings, lengths, n, out, err)

toolpool_items_borrow(data, offsets, n, release, user, out, err) =
    ccall(ADDRESSES[29], Int32, (Ptr{Cvoid}, Ptr{Int64}, Csize_t, Ptr{Cvoid}, Ptr{Cvoid}, Ptr{Ptr{Cvoid}}, Ptr{Ptr{Cvoid}},), data, offsets, n, release, user, out, err)

toolpool_items_borrow32(data, offsets, n, release, user, out, err) =
    ccall(ADDRESSES[30], Int32, (Ptr{Cvoid}, Ptr{Int32}, Csize_t, Ptr{Cvoid}, Ptr{Cvoid}, Ptr{Ptr{Cvoid}}, Ptr{Ptr{Cvoid}},), data, offsets, n, release, user, out, err)

toolpool_items_add_field(items, name, data, offsets, n, release, user, err) =
    ccall(ADDRESSES[31], Int32, (Ptr{Cvoid}, Cstring, Ptr{Cvoid}, Ptr{Int64}, Csize_t, Ptr{Cvoid}, Ptr{Cvoid}, Ptr{Ptr{Cvoid}},), items, name, data, offsets, n, release, user, err)

toolpool_items_from_tensors(name, tensors, n, release, user, out, err) =
    ccall(ADDRESSES[32], Int32, (Cstring, Ptr{toolpool_tensor_t}, Csize_t, Ptr{Cvoid}, Ptr{Cvoid}, Ptr{Ptr{Cvoid}}, Ptr{Ptr{Cvoid}},), name, tensors, n, release, user, out, err)

toolpool_items_add_tensors(items, name, tensors, n, release, user, err) =
    ccall(ADDRESSES[33], Int32, (Ptr{Cvoid}, Cstring, Ptr{toolpool_tensor_t}, Csize_t, Ptr{Cvoid}, Ptr{Cvoid}, Ptr{Ptr{Cvoid}},), items, name, tensors, n, release, user, err)

toolpool_items_set_cost(items, cost, user, err) =
    ccall(ADDRESSES[34], Int32, (Ptr{Cvoid}, Ptr{Cvoid}, Ptr{Cvoid}, Ptr{Ptr{Cvoid}},), items, cost, user, err)

toolpool_items_set_costs(items, costs, n, err) =
    ccall(ADDRESSES[35], Int32, (Ptr{Cvoid}, Ptr{Float64}, Csize_t, Ptr{Ptr{Cvoid}},), items, costs, n, err)

toolpool_items_len(items) =
    ccall(ADDRESSES[36], Csize_t, (Ptr{Cvoid},), items)

toolpool_items_free(items) =
    ccall(ADDRESSES[37], Cvoid, (Ptr{Cvoid},), items)

toolpool_options_new(out, err) =
    ccall(ADDRESSES[38], Int32, (Ptr{Ptr{Cvoid}}, Ptr{Ptr{Cvoid}},), out, err)

toolpool_options_set(options, key, value, err) =
    ccall(ADDRESSES[39], Int32, (Ptr{Cvoid}, Cstring, Cstring, Ptr{Ptr{Cvoid}},), options, key, value, err)

toolpool_options_free(options) =
    ccall(ADDRESSES[40], Cvoid, (Ptr{Cvoid},), options)

toolpool_run(pool, tool, items, out, err) =
    ccall(ADDRESSES[41], Int32, (Ptr{Cvoid}, Ptr{Cvoid}, Ptr{Cvoid}, Ptr{Ptr{Cvoid}}, Ptr{Ptr{Cvoid}},), pool, tool, items, out, err)

toolpool_submit(pool, tool, items, options, out, err) =
    ccall(ADDRESSES[42], Int32, (Ptr{Cvoid}, Ptr{Cvoid}, Ptr{Cvoid}, Ptr{Cvoid}, Ptr{Ptr{Cvoid}}, Ptr{Ptr{Cvoid}},), pool, tool, items, options, out, err)

toolpool_job_wait(job, timeout_ms, err) =
    ccall(ADDRESSES[43], Int32, (Ptr{Cvoid}, Int64, Ptr{Ptr{Cvoid}},), job, timeout_ms, err)

toolpool_job_poll(job, err) =
    ccall(ADDRESSES[44], Int32, (Ptr{Cvoid}, Ptr{Ptr{Cvoid}},), job, err)

toolpool_job_notify(job, notify, user, err) =
    ccall(ADDRESSES[45], Int32, (Ptr{Cvoid}, Ptr{Cvoid}, Ptr{Cvoid}, Ptr{Ptr{Cvoid}},), job, notify, user, err)

toolpool_job_cancel(job, err) =
    ccall(ADDRESSES[46], Int32, (Ptr{Cvoid}, Ptr{Ptr{Cvoid}},), job, err)

toolpool_job_progress(job, progress, err) =
    ccall(ADDRESSES[47], Int32, (Ptr{Cvoid}, Ptr{toolpool_progress_t}, Ptr{Ptr{Cvoid}},), job, progress, err)

toolpool_job_next(job, timeout_ms, out, err) =
    ccall(ADDRESSES[48], Int32, (Ptr{Cvoid}, Int64, Ptr{Ptr{Cvoid}}, Ptr{Ptr{Cvoid}},), job, timeout_ms, out, err)

toolpool_job_results(job, out, err) =
    ccall(ADDRESSES[49], Int32, (Ptr{Cvoid}, Ptr{Ptr{Cvoid}}, Ptr{Ptr{Cvoid}},), job, out, err)

toolpool_job_free(job) =
    ccall(ADDRESSES[50], Cvoid, (Ptr{Cvoid},), job)

toolpool_results_len(results) =
    ccall(ADDRESSES[51], Csize_t, (Ptr{Cvoid},), results)

toolpool_results_index(results, index) =
    ccall(ADDRESSES[52], Csize_t, (Ptr{Cvoid}, Csize_t,), results, index)

toolpool_results_status(results, index) =
    ccall(ADDRESSES[53], Int32, (Ptr{Cvoid}, Csize_t,), results, index)

toolpool_results_failed(results, positions) =
    ccall(ADDRESSES[54], Csize_t, (Ptr{Cvoid}, Ptr{Ptr{Cvoid}},), results, positions)

toolpool_results_error(results, index) =
    ccall(ADDRESSES[55], Cstring, (Ptr{Cvoid}, Csize_t,), results, index)

toolpool_results_warning(results, index) =
    ccall(ADDRESSES[56], Cstring, (Ptr{Cvoid}, Csize_t,), results, index)

toolpool_results_slot(results, index) =
    ccall(ADDRESSES[57], Int32, (Ptr{Cvoid}, Csize_t,), results, index)

toolpool_results_outputs(results) =
    ccall(ADDRESSES[58], Csize_t, (Ptr{Cvoid},), results)

toolpool_results_output_name(results, output) =
    ccall(ADDRESSES[59], Cstring, (Ptr{Cvoid}, Csize_t,), results, output)

toolpool_results_tensor(results, index, name, tensor, err) =
    ccall(ADDRESSES[60], Int32, (Ptr{Cvoid}, Csize_t, Cstring, Ptr{toolpool_tensor_t}, Ptr{Ptr{Cvoid}},), results, index, name, tensor, err)

toolpool_results_column(results, name, column, err) =
    ccall(ADDRESSES[61], Int32, (Ptr{Cvoid}, Cstring, Ptr{toolpool_column_t}, Ptr{Ptr{Cvoid}},), results, name, column, err)

toolpool_results_stack(results, name, buffer, bytes, tensor, err) =
    ccall(ADDRESSES[62], Int32, (Ptr{Cvoid}, Cstring, Ptr{Cvoid}, Csize_t, Ptr{toolpool_tensor_t}, Ptr{Ptr{Cvoid}},), results, name, buffer, bytes, tensor, err)

toolpool_results_free(results) =
    ccall(ADDRESSES[63], Cvoid, (Ptr{Cvoid},), results)

toolpool_job_report(job, report, err) =
    ccall(ADDRESSES[64], Int32, (Ptr{Cvoid}, Ptr{Ptr{Cvoid}}, Ptr{Ptr{Cvoid}},), job, report, err)

toolpool_report_summary(report, summary, err) =
    ccall(ADDRESSES[65], Int32, (Ptr{Cvoid}, Ptr{toolpool_summary_t}, Ptr{Ptr{Cvoid}},), report, summary, err)

toolpool_report_slots(report) =
    ccall(ADDRESSES[66], Csize_t, (Ptr{Cvoid},), report)

toolpool_report_slot(report, slot, out, err) =
    ccall(ADDRESSES[67], Int32, (Ptr{Cvoid}, Csize_t, Ptr{toolpool_slot_report_t}, Ptr{Ptr{Cvoid}},), report, slot, out, err)

toolpool_report_counts(report) =
    ccall(ADDRESSES[68], Csize_t, (Ptr{Cvoid},), report)

toolpool_report_count_name(report, index) =
    ccall(ADDRESSES[69], Cstring, (Ptr{Cvoid}, Csize_t,), report, index)

toolpool_report_count(report, name, value, err) =
    ccall(ADDRESSES[70], Int32, (Ptr{Cvoid}, Cstring, Ptr{Float64}, Ptr{Ptr{Cvoid}},), report, name, value, err)

toolpool_report_json(report) =
    ccall(ADDRESSES[71], Cstring, (Ptr{Cvoid},), report)

toolpool_report_trace(report) =
    ccall(ADDRESSES[72], Cstring, (Ptr{Cvoid},), report)

toolpool_report_timeline(report) =
    ccall(ADDRESSES[73], Cstring, (Ptr{Cvoid},), report)

toolpool_report_free(report) =
    ccall(ADDRESSES[74], Cvoid, (Ptr{Cvoid},), report)

toolpool_batch_len(batch) =
    ccall(ADDRESSES[75], Csize_t, (Ptr{Cvoid},), batch)

toolpool_batch_bytes(batch, index, data, len) =
    ccall(ADDRESSES[76], Int32, (Ptr{Cvoid}, Csize_t, Ptr{Ptr{Cvoid}}, Ptr{Csize_t},), batch, index, data, len)

toolpool_batch_field(batch, index, name, data, len) =
    ccall(ADDRESSES[77], Int32, (Ptr{Cvoid}, Csize_t, Cstring, Ptr{Ptr{Cvoid}}, Ptr{Csize_t},), batch, index, name, data, len)

toolpool_batch_fields(batch) =
    ccall(ADDRESSES[78], Csize_t, (Ptr{Cvoid},), batch)

toolpool_batch_field_name(batch, field) =
    ccall(ADDRESSES[79], Cstring, (Ptr{Cvoid}, Csize_t,), batch, field)

toolpool_batch_tensor(batch, index, field, tensor) =
    ccall(ADDRESSES[80], Int32, (Ptr{Cvoid}, Csize_t, Csize_t, Ptr{toolpool_tensor_t},), batch, index, field, tensor)

toolpool_batch_user(batch) =
    ccall(ADDRESSES[81], Ptr{Cvoid}, (Ptr{Cvoid},), batch)

toolpool_outputs_alloc(outputs, index, name, dtype, shape, ndim, data, err) =
    ccall(ADDRESSES[82], Int32, (Ptr{Cvoid}, Csize_t, Cstring, Int32, Ptr{Int64}, Csize_t, Ptr{Ptr{Cvoid}}, Ptr{Ptr{Cvoid}},), outputs, index, name, dtype, shape, ndim, data, err)

toolpool_outputs_fail(outputs, index, status, message) =
    ccall(ADDRESSES[83], Int32, (Ptr{Cvoid}, Csize_t, Int32, Cstring,), outputs, index, status, message)

toolpool_outputs_warn(outputs, index, message) =
    ccall(ADDRESSES[84], Int32, (Ptr{Cvoid}, Csize_t, Cstring,), outputs, index, message)

toolpool_outputs_count(outputs, name, amount) =
    ccall(ADDRESSES[85], Int32, (Ptr{Cvoid}, Cstring, Float64,), outputs, name, amount)

toolpool_plan(costs, n_items, weights, max_costs, n_slots, slot_of, finish, bound, err) =
    ccall(ADDRESSES[86], Int32, (Ptr{Float64}, Csize_t, Ptr{Float64}, Ptr{Float64}, Csize_t, Ptr{UInt32}, Ptr{Float64}, Ptr{Float64}, Ptr{Ptr{Cvoid}},), costs, n_items, weights, max_costs, n_slots, slot_of, finish, bound, err)

const NAMES = [
    :toolpool_version,
    :toolpool_abi,
    :toolpool_status_name,
    :toolpool_error_status,
    :toolpool_error_message,
    :toolpool_error_item,
    :toolpool_error_free,
    :toolpool_error_set,
    :toolpool_set_log,
    :toolpool_devices_list,
    :toolpool_devices_len,
    :toolpool_devices_get,
    :toolpool_devices_free,
    :toolpool_open,
    :toolpool_open_with,
    :toolpool_slots,
    :toolpool_warm,
    :toolpool_drain,
    :toolpool_close,
    :toolpool_tool_open,
    :toolpool_tool_from_callbacks,
    :toolpool_tool_set,
    :toolpool_tool_free,
    :toolpool_tool_from_queue,
    :toolpool_queue_next,
    :toolpool_queue_answer,
    :toolpool_queue_free,
    :toolpool_items_from_strings,
    :toolpool_items_borrow,
    :toolpool_items_borrow32,
    :toolpool_items_add_field,
    :toolpool_items_from_tensors,
    :toolpool_items_add_tensors,
    :toolpool_items_set_cost,
    :toolpool_items_set_costs,
    :toolpool_items_len,
    :toolpool_items_free,
    :toolpool_options_new,
    :toolpool_options_set,
    :toolpool_options_free,
    :toolpool_run,
    :toolpool_submit,
    :toolpool_job_wait,
    :toolpool_job_poll,
    :toolpool_job_notify,
    :toolpool_job_cancel,
    :toolpool_job_progress,
    :toolpool_job_next,
    :toolpool_job_results,
    :toolpool_job_free,
    :toolpool_results_len,
    :toolpool_results_index,
    :toolpool_results_status,
    :toolpool_results_failed,
    :toolpool_results_error,
    :toolpool_results_warning,
    :toolpool_results_slot,
    :toolpool_results_outputs,
    :toolpool_results_output_name,
    :toolpool_results_tensor,
    :toolpool_results_column,
    :toolpool_results_stack,
    :toolpool_results_free,
    :toolpool_job_report,
    :toolpool_report_summary,
    :toolpool_report_slots,
    :toolpool_report_slot,
    :toolpool_report_counts,
    :toolpool_report_count_name,
    :toolpool_report_count,
    :toolpool_report_json,
    :toolpool_report_trace,
    :toolpool_report_timeline,
    :toolpool_report_free,
    :toolpool_batch_len,
    :toolpool_batch_bytes,
    :toolpool_batch_field,
    :toolpool_batch_fields,
    :toolpool_batch_field_name,
    :toolpool_batch_tensor,
    :toolpool_batch_user,
    :toolpool_outputs_alloc,
    :toolpool_outputs_fail,
    :toolpool_outputs_warn,
    :toolpool_outputs_count,
    :toolpool_plan,
]
