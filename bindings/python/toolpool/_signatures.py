"""The C surface for ctypes. Generated from include/toolpool.h by scripts/python_signatures.py; do not edit."""

from ctypes import (
    CFUNCTYPE,
    POINTER,
    Structure,
    c_char,
    c_char_p,
    c_double,
    c_int32,
    c_int64,
    c_size_t,
    c_uint32,
    c_uint64,
    c_void_p,
)

TOOLPOOL_ABI = 1
TOOLPOOL_MAX_NDIM = 8
TOOLPOOL_DEVICE_CPU = 0
TOOLPOOL_DEVICE_CUDA = 1
TOOLPOOL_CALL_LOAD = 1
TOOLPOOL_CALL_RUN = 2
TOOLPOOL_CALL_UNLOAD = 3
TOOLPOOL_VERSION_MAJOR = 0
TOOLPOOL_VERSION_MINOR = 1
TOOLPOOL_VERSION_PATCH = 0
TOOLPOOL_LOG_ERROR = 1
TOOLPOOL_LOG_WARNING = 2
TOOLPOOL_LOG_INFO = 3
TOOLPOOL_OK = 0
TOOLPOOL_PARTIAL = 1
TOOLPOOL_PENDING = 2
TOOLPOOL_DONE = 3
TOOLPOOL_ERR_INTERNAL = -1
TOOLPOOL_ERR_ARGUMENT = -2
TOOLPOOL_ERR_DEVICE = -3
TOOLPOOL_ERR_OPTION = -4
TOOLPOOL_ERR_TOOL = -5
TOOLPOOL_ERR_MODEL = -6
TOOLPOOL_ERR_BACKEND = -7
TOOLPOOL_ERR_ITEM = -8
TOOLPOOL_ERR_OUT_OF_MEMORY = -9
TOOLPOOL_ERR_DEVICE_LOST = -10
TOOLPOOL_ERR_CONTRACT = -11
TOOLPOOL_ERR_CANCELLED = -12
TOOLPOOL_ERR_CLOSED = -13
TOOLPOOL_ERR_REENTRANT = -14
TOOLPOOL_ERR_FORKED = -15
TOOLPOOL_ERR_NOT_FOUND = -16
TOOLPOOL_ERR_FAILED = -17
TOOLPOOL_ERR_TIME_LIMIT = -18
TOOLPOOL_ERR_TRANSIENT = -19
TOOLPOOL_ERR_CRASHED = -20
TOOLPOOL_BYTES = 0
TOOLPOOL_FLOAT32 = 1
TOOLPOOL_FLOAT64 = 2
TOOLPOOL_FLOAT16 = 3
TOOLPOOL_BFLOAT16 = 4
TOOLPOOL_INT8 = 5
TOOLPOOL_UINT8 = 6
TOOLPOOL_INT16 = 7
TOOLPOOL_INT32 = 8
TOOLPOOL_INT64 = 9
TOOLPOOL_BOOL = 10

toolpool_status_t = c_int32

toolpool_log_t = CFUNCTYPE(None, c_void_p, c_int32, c_char_p)


class toolpool_device_t(Structure):
    """toolpool_device_t."""

    _fields_ = (
        ("size", c_size_t),
        ("kind", c_int32),
        ("index", c_int32),
        ("slot", c_int32),
        ("threads", c_int32),
        ("memory_total", c_uint64),
        ("memory_free", c_uint64),
        ("capability_major", c_int32),
        ("capability_minor", c_int32),
        ("name", c_char * 96),
        ("uuid", c_char * 48),
        ("driver", c_char * 32),
    )


class toolpool_option_t(Structure):
    """toolpool_option_t."""

    _fields_ = (
        ("key", c_char_p),
        ("value", c_char_p),
    )

toolpool_dtype_t = c_int32


class toolpool_tensor_t(Structure):
    """toolpool_tensor_t."""

    _fields_ = (
        ("size", c_size_t),
        ("data", c_void_p),
        ("bytes", c_size_t),
        ("dtype", c_int32),
        ("ndim", c_int32),
        ("shape", c_int64 * 8),
        ("strides", c_void_p),
        ("device", c_int32),
        ("reserved", c_int32),
    )


class toolpool_callbacks_t(Structure):
    """toolpool_callbacks_t."""

    _fields_ = (
        ("size", c_size_t),
        ("load", CFUNCTYPE(c_int32, c_void_p, POINTER(toolpool_device_t), POINTER(c_void_p), POINTER(c_void_p))),
        ("run", CFUNCTYPE(c_int32, c_void_p, c_void_p, c_void_p, POINTER(c_void_p))),
        ("cost", CFUNCTYPE(c_double, c_void_p, c_void_p, c_size_t)),
        ("unload", CFUNCTYPE(None, c_void_p)),
        ("destroy", CFUNCTYPE(None, c_void_p)),
        ("extent", CFUNCTYPE(c_uint64, c_void_p, c_void_p, c_size_t)),
        ("batch_budget", c_uint64),
        ("batch_items", c_uint64),
        ("start", CFUNCTYPE(c_int32, c_void_p, c_void_p, c_void_p, POINTER(c_void_p), POINTER(c_void_p))),
        ("collect", CFUNCTYPE(c_int32, c_void_p, c_void_p, POINTER(c_void_p))),
        ("identity", c_char_p),
        ("memory", CFUNCTYPE(c_uint64, c_void_p, POINTER(toolpool_device_t), c_void_p)),
        ("batch_budget_most", c_uint64),
        ("measure", CFUNCTYPE(None, c_void_p, POINTER(toolpool_tensor_t), c_size_t, c_void_p, c_void_p)),
        ("runs_code", c_uint64),
        ("memory_apart", c_uint64),
    )

toolpool_notify_t = CFUNCTYPE(None, c_void_p)


class toolpool_call_t(Structure):
    """toolpool_call_t."""

    _fields_ = (
        ("size", c_size_t),
        ("kind", c_int32),
        ("reserved", c_int32),
        ("number", c_uint64),
        ("state", c_uint64),
        ("batch", c_void_p),
        ("outputs", c_void_p),
        ("device", toolpool_device_t),
    )

toolpool_release_t = CFUNCTYPE(None, c_void_p)

toolpool_cost_t = CFUNCTYPE(c_double, c_void_p, c_size_t)


class toolpool_progress_t(Structure):
    """toolpool_progress_t."""

    _fields_ = (
        ("size", c_size_t),
        ("total", c_uint64),
        ("done", c_uint64),
        ("failed", c_uint64),
        ("unique", c_uint64),
        ("running", c_uint64),
        ("unread_bytes", c_uint64),
        ("cost", c_double),
        ("cost_done", c_double),
        ("elapsed_s", c_double),
        ("remaining_s", c_double),
        ("undone", c_uint64),
    )


class toolpool_chunk_t(Structure):
    """toolpool_chunk_t."""

    _fields_ = (
        ("data", c_void_p),
        ("bytes", c_size_t),
    )


class toolpool_row_t(Structure):
    """toolpool_row_t."""

    _fields_ = (
        ("offset", c_uint64),
        ("bytes", c_uint64),
        ("chunk", c_uint32),
        ("reserved", c_uint32),
    )


class toolpool_column_t(Structure):
    """toolpool_column_t."""

    _fields_ = (
        ("size", c_size_t),
        ("dtype", c_int32),
        ("reserved", c_int32),
        ("chunks", POINTER(toolpool_chunk_t)),
        ("n_chunks", c_size_t),
        ("rows", POINTER(toolpool_row_t)),
        ("n_rows", c_size_t),
    )


class toolpool_summary_t(Structure):
    """toolpool_summary_t."""

    _fields_ = (
        ("size", c_size_t),
        ("tool", c_char_p),
        ("total", c_uint64),
        ("done", c_uint64),
        ("failed", c_uint64),
        ("unique", c_uint64),
        ("cost", c_double),
        ("cost_done", c_double),
        ("cost_saved", c_double),
        ("longest", c_double),
        ("elapsed_s", c_double),
        ("planning_s", c_double),
        ("makespan_s", c_double),
        ("bound_s", c_double),
        ("remaining_s", c_double),
        ("items_per_s", c_double),
        ("cost_per_s", c_double),
        ("stopped", c_int32),
        ("reserved", c_int32),
        ("stopped_message", c_char_p),
    )


class toolpool_slot_report_t(Structure):
    """toolpool_slot_report_t."""

    _fields_ = (
        ("size", c_size_t),
        ("device", c_char_p),
        ("items", c_uint64),
        ("failed", c_uint64),
        ("batches", c_uint64),
        ("extent", c_uint64),
        ("cost", c_double),
        ("cost_per_s", c_double),
        ("busy_s", c_double),
        ("load_s", c_double),
        ("idle_s", c_double),
        ("splits", c_uint64),
        ("retries", c_uint64),
        ("out_of_memory", c_uint64),
        ("lost", c_int32),
        ("reserved", c_int32),
        ("lost_message", c_char_p),
        ("batch_budget", c_uint64),
    )


class toolpool_host_t(Structure):
    """toolpool_host_t."""

    _fields_ = (
        ("size", c_size_t),
        ("abi", c_uint32),
        ("batch_len", CFUNCTYPE(c_size_t, c_void_p)),
        ("batch_bytes", CFUNCTYPE(c_int32, c_void_p, c_size_t, POINTER(c_void_p), c_void_p)),
        ("batch_field", CFUNCTYPE(c_int32, c_void_p, c_size_t, c_char_p, POINTER(c_void_p), c_void_p)),
        ("batch_user", CFUNCTYPE(c_void_p, c_void_p)),
        ("outputs_alloc", CFUNCTYPE(c_int32, c_void_p, c_size_t, c_char_p, c_int32, c_void_p, c_size_t, POINTER(c_void_p), POINTER(c_void_p))),
        ("outputs_fail", CFUNCTYPE(c_int32, c_void_p, c_size_t, c_int32, c_char_p)),
        ("outputs_warn", CFUNCTYPE(c_int32, c_void_p, c_size_t, c_char_p)),
        ("error_set", CFUNCTYPE(c_int32, POINTER(c_void_p), c_int32, c_char_p)),
        ("outputs_count", CFUNCTYPE(c_int32, c_void_p, c_char_p, c_double)),
        ("batch_fields", CFUNCTYPE(c_size_t, c_void_p)),
        ("batch_field_name", CFUNCTYPE(c_char_p, c_void_p, c_size_t)),
        ("batch_tensor", CFUNCTYPE(c_int32, c_void_p, c_size_t, c_size_t, POINTER(toolpool_tensor_t))),
    )

toolpool_entry_t = CFUNCTYPE(c_int32, POINTER(toolpool_host_t), c_char_p, POINTER(toolpool_option_t), c_size_t, POINTER(toolpool_callbacks_t), POINTER(c_void_p), POINTER(c_void_p))

# Name: what it returns, what it takes.
FUNCTIONS = {
    "toolpool_version": (c_char_p, []),
    "toolpool_abi": (c_uint32, []),
    "toolpool_status_name": (c_char_p, [c_int32]),
    "toolpool_error_status": (c_int32, [c_void_p]),
    "toolpool_error_message": (c_char_p, [c_void_p]),
    "toolpool_error_item": (c_size_t, [c_void_p]),
    "toolpool_error_free": (None, [c_void_p]),
    "toolpool_error_set": (c_int32, [POINTER(c_void_p), c_int32, c_char_p]),
    "toolpool_set_log": (c_int32, [toolpool_log_t, c_void_p, c_int32, POINTER(c_void_p)]),
    "toolpool_devices_list": (c_int32, [c_char_p, POINTER(c_void_p), POINTER(c_void_p)]),
    "toolpool_devices_len": (c_size_t, [c_void_p]),
    "toolpool_devices_get": (c_int32, [c_void_p, c_size_t, POINTER(toolpool_device_t), POINTER(c_void_p)]),
    "toolpool_devices_free": (None, [c_void_p]),
    "toolpool_open": (c_int32, [c_char_p, POINTER(c_void_p), POINTER(c_void_p)]),
    "toolpool_open_with": (c_int32, [c_char_p, POINTER(toolpool_option_t), c_size_t, POINTER(c_void_p), POINTER(c_void_p)]),
    "toolpool_slots": (c_int32, [c_void_p, POINTER(c_void_p), POINTER(c_void_p)]),
    "toolpool_warm": (c_int32, [c_void_p, c_void_p, POINTER(c_void_p)]),
    "toolpool_drain": (c_int32, [c_void_p, c_int64, POINTER(c_void_p)]),
    "toolpool_close": (None, [c_void_p]),
    "toolpool_tool_open": (c_int32, [c_char_p, c_char_p, POINTER(c_void_p), POINTER(c_void_p)]),
    "toolpool_tool_from_callbacks": (c_int32, [c_char_p, POINTER(toolpool_callbacks_t), c_void_p, POINTER(c_void_p), POINTER(c_void_p)]),
    "toolpool_tool_set": (c_int32, [c_void_p, c_char_p, c_char_p, POINTER(c_void_p)]),
    "toolpool_tool_free": (None, [c_void_p]),
    "toolpool_tool_from_queue": (c_int32, [c_char_p, POINTER(toolpool_callbacks_t), toolpool_notify_t, c_void_p, POINTER(c_void_p), POINTER(c_void_p), POINTER(c_void_p)]),
    "toolpool_queue_next": (c_int32, [c_void_p, c_int64, POINTER(toolpool_call_t), POINTER(c_void_p)]),
    "toolpool_queue_answer": (c_int32, [c_void_p, c_uint64, c_int32, c_char_p, POINTER(c_void_p)]),
    "toolpool_queue_free": (None, [c_void_p]),
    "toolpool_items_from_strings": (c_int32, [POINTER(c_void_p), c_void_p, c_size_t, POINTER(c_void_p), POINTER(c_void_p)]),
    "toolpool_items_borrow": (c_int32, [c_void_p, c_void_p, c_size_t, toolpool_release_t, c_void_p, POINTER(c_void_p), POINTER(c_void_p)]),
    "toolpool_items_borrow32": (c_int32, [c_void_p, c_void_p, c_size_t, toolpool_release_t, c_void_p, POINTER(c_void_p), POINTER(c_void_p)]),
    "toolpool_items_add_field": (c_int32, [c_void_p, c_char_p, c_void_p, c_void_p, c_size_t, toolpool_release_t, c_void_p, POINTER(c_void_p)]),
    "toolpool_items_from_tensors": (c_int32, [c_char_p, POINTER(toolpool_tensor_t), c_size_t, toolpool_release_t, c_void_p, POINTER(c_void_p), POINTER(c_void_p)]),
    "toolpool_items_add_tensors": (c_int32, [c_void_p, c_char_p, POINTER(toolpool_tensor_t), c_size_t, toolpool_release_t, c_void_p, POINTER(c_void_p)]),
    "toolpool_items_set_cost": (c_int32, [c_void_p, toolpool_cost_t, c_void_p, POINTER(c_void_p)]),
    "toolpool_items_set_costs": (c_int32, [c_void_p, c_void_p, c_size_t, POINTER(c_void_p)]),
    "toolpool_items_len": (c_size_t, [c_void_p]),
    "toolpool_items_free": (None, [c_void_p]),
    "toolpool_options_new": (c_int32, [POINTER(c_void_p), POINTER(c_void_p)]),
    "toolpool_options_set": (c_int32, [c_void_p, c_char_p, c_char_p, POINTER(c_void_p)]),
    "toolpool_options_free": (None, [c_void_p]),
    "toolpool_run": (c_int32, [c_void_p, c_void_p, c_void_p, POINTER(c_void_p), POINTER(c_void_p)]),
    "toolpool_submit": (c_int32, [c_void_p, c_void_p, c_void_p, c_void_p, POINTER(c_void_p), POINTER(c_void_p)]),
    "toolpool_job_wait": (c_int32, [c_void_p, c_int64, POINTER(c_void_p)]),
    "toolpool_job_poll": (c_int32, [c_void_p, POINTER(c_void_p)]),
    "toolpool_job_notify": (c_int32, [c_void_p, toolpool_notify_t, c_void_p, POINTER(c_void_p)]),
    "toolpool_job_cancel": (c_int32, [c_void_p, POINTER(c_void_p)]),
    "toolpool_job_progress": (c_int32, [c_void_p, POINTER(toolpool_progress_t), POINTER(c_void_p)]),
    "toolpool_job_next": (c_int32, [c_void_p, c_int64, POINTER(c_void_p), POINTER(c_void_p)]),
    "toolpool_job_results": (c_int32, [c_void_p, POINTER(c_void_p), POINTER(c_void_p)]),
    "toolpool_job_free": (None, [c_void_p]),
    "toolpool_results_len": (c_size_t, [c_void_p]),
    "toolpool_results_index": (c_size_t, [c_void_p, c_size_t]),
    "toolpool_results_status": (c_int32, [c_void_p, c_size_t]),
    "toolpool_results_failed": (c_size_t, [c_void_p, POINTER(c_void_p)]),
    "toolpool_results_error": (c_char_p, [c_void_p, c_size_t]),
    "toolpool_results_warning": (c_char_p, [c_void_p, c_size_t]),
    "toolpool_results_slot": (c_int32, [c_void_p, c_size_t]),
    "toolpool_results_outputs": (c_size_t, [c_void_p]),
    "toolpool_results_output_name": (c_char_p, [c_void_p, c_size_t]),
    "toolpool_results_tensor": (c_int32, [c_void_p, c_size_t, c_char_p, POINTER(toolpool_tensor_t), POINTER(c_void_p)]),
    "toolpool_results_column": (c_int32, [c_void_p, c_char_p, POINTER(toolpool_column_t), POINTER(c_void_p)]),
    "toolpool_results_stack": (c_int32, [c_void_p, c_char_p, c_void_p, c_size_t, POINTER(toolpool_tensor_t), POINTER(c_void_p)]),
    "toolpool_results_free": (None, [c_void_p]),
    "toolpool_job_report": (c_int32, [c_void_p, POINTER(c_void_p), POINTER(c_void_p)]),
    "toolpool_report_summary": (c_int32, [c_void_p, POINTER(toolpool_summary_t), POINTER(c_void_p)]),
    "toolpool_report_slots": (c_size_t, [c_void_p]),
    "toolpool_report_slot": (c_int32, [c_void_p, c_size_t, POINTER(toolpool_slot_report_t), POINTER(c_void_p)]),
    "toolpool_report_counts": (c_size_t, [c_void_p]),
    "toolpool_report_count_name": (c_char_p, [c_void_p, c_size_t]),
    "toolpool_report_count": (c_int32, [c_void_p, c_char_p, c_void_p, POINTER(c_void_p)]),
    "toolpool_report_json": (c_char_p, [c_void_p]),
    "toolpool_report_trace": (c_char_p, [c_void_p]),
    "toolpool_report_timeline": (c_char_p, [c_void_p]),
    "toolpool_report_free": (None, [c_void_p]),
    "toolpool_batch_len": (c_size_t, [c_void_p]),
    "toolpool_batch_bytes": (c_int32, [c_void_p, c_size_t, POINTER(c_void_p), c_void_p]),
    "toolpool_batch_field": (c_int32, [c_void_p, c_size_t, c_char_p, POINTER(c_void_p), c_void_p]),
    "toolpool_batch_fields": (c_size_t, [c_void_p]),
    "toolpool_batch_field_name": (c_char_p, [c_void_p, c_size_t]),
    "toolpool_batch_tensor": (c_int32, [c_void_p, c_size_t, c_size_t, POINTER(toolpool_tensor_t)]),
    "toolpool_batch_user": (c_void_p, [c_void_p]),
    "toolpool_outputs_alloc": (c_int32, [c_void_p, c_size_t, c_char_p, c_int32, c_void_p, c_size_t, POINTER(c_void_p), POINTER(c_void_p)]),
    "toolpool_outputs_fail": (c_int32, [c_void_p, c_size_t, c_int32, c_char_p]),
    "toolpool_outputs_warn": (c_int32, [c_void_p, c_size_t, c_char_p]),
    "toolpool_outputs_count": (c_int32, [c_void_p, c_char_p, c_double]),
    "toolpool_plan": (c_int32, [c_void_p, c_size_t, c_void_p, c_void_p, c_size_t, c_void_p, c_void_p, c_void_p, POINTER(c_void_p)]),
}
