/* The ABI as it is committed to: sizes and offsets of the structs with visible fields, values of
 * the codes. */
#include <stddef.h>

#include "check.h"

#define LAYOUT(type, size) _Static_assert(sizeof(type) == (size), #type)
#define FIELD(type, field, offset)                                                                 \
    _Static_assert(offsetof(type, field) == (offset), #type "." #field)
#define VALUE(name, value) _Static_assert((name) == (value), #name)

LAYOUT(toolpool_device_t, 224);
FIELD(toolpool_device_t, size, 0);
FIELD(toolpool_device_t, kind, 8);
FIELD(toolpool_device_t, index, 12);
FIELD(toolpool_device_t, slot, 16);
FIELD(toolpool_device_t, threads, 20);
FIELD(toolpool_device_t, memory_total, 24);
FIELD(toolpool_device_t, memory_free, 32);
FIELD(toolpool_device_t, capability_major, 40);
FIELD(toolpool_device_t, capability_minor, 44);
FIELD(toolpool_device_t, name, 48);
FIELD(toolpool_device_t, uuid, 144);
FIELD(toolpool_device_t, driver, 192);

LAYOUT(toolpool_callbacks_t, 136);
FIELD(toolpool_callbacks_t, size, 0);
FIELD(toolpool_callbacks_t, load, 8);
FIELD(toolpool_callbacks_t, run, 16);
FIELD(toolpool_callbacks_t, cost, 24);
FIELD(toolpool_callbacks_t, unload, 32);
FIELD(toolpool_callbacks_t, destroy, 40);
FIELD(toolpool_callbacks_t, extent, 48);
FIELD(toolpool_callbacks_t, batch_budget, 56);
FIELD(toolpool_callbacks_t, batch_items, 64);
FIELD(toolpool_callbacks_t, start, 72);
FIELD(toolpool_callbacks_t, collect, 80);
FIELD(toolpool_callbacks_t, identity, 88);
FIELD(toolpool_callbacks_t, memory, 96);
FIELD(toolpool_callbacks_t, batch_budget_most, 104);
FIELD(toolpool_callbacks_t, measure, 112);
FIELD(toolpool_callbacks_t, runs_code, 120);
FIELD(toolpool_callbacks_t, memory_apart, 128);

LAYOUT(toolpool_call_t, 272);
FIELD(toolpool_call_t, size, 0);
FIELD(toolpool_call_t, kind, 8);
FIELD(toolpool_call_t, reserved, 12);
FIELD(toolpool_call_t, number, 16);
FIELD(toolpool_call_t, state, 24);
FIELD(toolpool_call_t, batch, 32);
FIELD(toolpool_call_t, outputs, 40);
FIELD(toolpool_call_t, device, 48);

LAYOUT(toolpool_progress_t, 96);
FIELD(toolpool_progress_t, size, 0);
FIELD(toolpool_progress_t, total, 8);
FIELD(toolpool_progress_t, done, 16);
FIELD(toolpool_progress_t, failed, 24);
FIELD(toolpool_progress_t, unique, 32);
FIELD(toolpool_progress_t, running, 40);
FIELD(toolpool_progress_t, unread_bytes, 48);
FIELD(toolpool_progress_t, cost, 56);
FIELD(toolpool_progress_t, cost_done, 64);
FIELD(toolpool_progress_t, elapsed_s, 72);
FIELD(toolpool_progress_t, remaining_s, 80);
FIELD(toolpool_progress_t, undone, 88);

LAYOUT(toolpool_summary_t, 152);
FIELD(toolpool_summary_t, size, 0);
FIELD(toolpool_summary_t, tool, 8);
FIELD(toolpool_summary_t, total, 16);
FIELD(toolpool_summary_t, done, 24);
FIELD(toolpool_summary_t, failed, 32);
FIELD(toolpool_summary_t, unique, 40);
FIELD(toolpool_summary_t, cost, 48);
FIELD(toolpool_summary_t, cost_done, 56);
FIELD(toolpool_summary_t, cost_saved, 64);
FIELD(toolpool_summary_t, longest, 72);
FIELD(toolpool_summary_t, elapsed_s, 80);
FIELD(toolpool_summary_t, planning_s, 88);
FIELD(toolpool_summary_t, makespan_s, 96);
FIELD(toolpool_summary_t, bound_s, 104);
FIELD(toolpool_summary_t, remaining_s, 112);
FIELD(toolpool_summary_t, items_per_s, 120);
FIELD(toolpool_summary_t, cost_per_s, 128);
FIELD(toolpool_summary_t, stopped, 136);
FIELD(toolpool_summary_t, reserved, 140);
FIELD(toolpool_summary_t, stopped_message, 144);

LAYOUT(toolpool_slot_report_t, 136);
FIELD(toolpool_slot_report_t, size, 0);
FIELD(toolpool_slot_report_t, device, 8);
FIELD(toolpool_slot_report_t, items, 16);
FIELD(toolpool_slot_report_t, failed, 24);
FIELD(toolpool_slot_report_t, batches, 32);
FIELD(toolpool_slot_report_t, extent, 40);
FIELD(toolpool_slot_report_t, cost, 48);
FIELD(toolpool_slot_report_t, cost_per_s, 56);
FIELD(toolpool_slot_report_t, busy_s, 64);
FIELD(toolpool_slot_report_t, load_s, 72);
FIELD(toolpool_slot_report_t, idle_s, 80);
FIELD(toolpool_slot_report_t, splits, 88);
FIELD(toolpool_slot_report_t, retries, 96);
FIELD(toolpool_slot_report_t, out_of_memory, 104);
FIELD(toolpool_slot_report_t, lost, 112);
FIELD(toolpool_slot_report_t, reserved, 116);
FIELD(toolpool_slot_report_t, lost_message, 120);
FIELD(toolpool_slot_report_t, batch_budget, 128);

LAYOUT(toolpool_tensor_t, 112);
FIELD(toolpool_tensor_t, size, 0);
FIELD(toolpool_tensor_t, data, 8);
FIELD(toolpool_tensor_t, bytes, 16);
FIELD(toolpool_tensor_t, dtype, 24);
FIELD(toolpool_tensor_t, ndim, 28);
FIELD(toolpool_tensor_t, shape, 32);
FIELD(toolpool_tensor_t, strides, 96);
FIELD(toolpool_tensor_t, device, 104);
FIELD(toolpool_tensor_t, reserved, 108);

LAYOUT(toolpool_chunk_t, 16);
FIELD(toolpool_chunk_t, data, 0);
FIELD(toolpool_chunk_t, bytes, 8);

LAYOUT(toolpool_row_t, 24);
FIELD(toolpool_row_t, offset, 0);
FIELD(toolpool_row_t, bytes, 8);
FIELD(toolpool_row_t, chunk, 16);
FIELD(toolpool_row_t, reserved, 20);

LAYOUT(toolpool_column_t, 48);
FIELD(toolpool_column_t, size, 0);
FIELD(toolpool_column_t, dtype, 8);
FIELD(toolpool_column_t, reserved, 12);
FIELD(toolpool_column_t, chunks, 16);
FIELD(toolpool_column_t, n_chunks, 24);
FIELD(toolpool_column_t, rows, 32);
FIELD(toolpool_column_t, n_rows, 40);

LAYOUT(toolpool_option_t, 16);
FIELD(toolpool_option_t, key, 0);
FIELD(toolpool_option_t, value, 8);

LAYOUT(toolpool_host_t, 112);
FIELD(toolpool_host_t, size, 0);
FIELD(toolpool_host_t, abi, 8);
FIELD(toolpool_host_t, batch_len, 16);
FIELD(toolpool_host_t, batch_bytes, 24);
FIELD(toolpool_host_t, batch_field, 32);
FIELD(toolpool_host_t, batch_user, 40);
FIELD(toolpool_host_t, outputs_alloc, 48);
FIELD(toolpool_host_t, outputs_fail, 56);
FIELD(toolpool_host_t, outputs_warn, 64);
FIELD(toolpool_host_t, error_set, 72);
FIELD(toolpool_host_t, outputs_count, 80);

LAYOUT(toolpool_status_t, 4);
LAYOUT(toolpool_dtype_t, 4);
_Static_assert((toolpool_status_t)-1 < 0, "statuses are signed");

VALUE(TOOLPOOL_OK, 0);
VALUE(TOOLPOOL_PARTIAL, 1);
VALUE(TOOLPOOL_PENDING, 2);
VALUE(TOOLPOOL_DONE, 3);
VALUE(TOOLPOOL_ERR_INTERNAL, -1);
VALUE(TOOLPOOL_ERR_ARGUMENT, -2);
VALUE(TOOLPOOL_ERR_DEVICE, -3);
VALUE(TOOLPOOL_ERR_OPTION, -4);
VALUE(TOOLPOOL_ERR_TOOL, -5);
VALUE(TOOLPOOL_ERR_MODEL, -6);
VALUE(TOOLPOOL_ERR_BACKEND, -7);
VALUE(TOOLPOOL_ERR_ITEM, -8);
VALUE(TOOLPOOL_ERR_OUT_OF_MEMORY, -9);
VALUE(TOOLPOOL_ERR_DEVICE_LOST, -10);
VALUE(TOOLPOOL_ERR_CONTRACT, -11);
VALUE(TOOLPOOL_ERR_CANCELLED, -12);
VALUE(TOOLPOOL_ERR_CLOSED, -13);
VALUE(TOOLPOOL_ERR_REENTRANT, -14);
VALUE(TOOLPOOL_ERR_FORKED, -15);
VALUE(TOOLPOOL_ERR_NOT_FOUND, -16);
VALUE(TOOLPOOL_ERR_FAILED, -17);
VALUE(TOOLPOOL_ERR_TIME_LIMIT, -18);
VALUE(TOOLPOOL_ERR_TRANSIENT, -19);
VALUE(TOOLPOOL_ERR_CRASHED, -20);

VALUE(TOOLPOOL_BYTES, 0);
VALUE(TOOLPOOL_FLOAT32, 1);
VALUE(TOOLPOOL_FLOAT64, 2);
VALUE(TOOLPOOL_FLOAT16, 3);
VALUE(TOOLPOOL_BFLOAT16, 4);
VALUE(TOOLPOOL_INT8, 5);
VALUE(TOOLPOOL_UINT8, 6);
VALUE(TOOLPOOL_INT16, 7);
VALUE(TOOLPOOL_INT32, 8);
VALUE(TOOLPOOL_INT64, 9);
VALUE(TOOLPOOL_BOOL, 10);

VALUE(TOOLPOOL_CALL_LOAD, 1);
VALUE(TOOLPOOL_CALL_RUN, 2);
VALUE(TOOLPOOL_CALL_UNLOAD, 3);
VALUE(TOOLPOOL_DEVICE_CPU, 0);
VALUE(TOOLPOOL_DEVICE_CUDA, 1);
VALUE(TOOLPOOL_LOG_ERROR, 1);
VALUE(TOOLPOOL_LOG_WARNING, 2);
VALUE(TOOLPOOL_LOG_INFO, 3);
VALUE(TOOLPOOL_MAX_NDIM, 8);
VALUE(TOOLPOOL_ABI, 1);

/* The INIT macros name every field and set what the documentation says. */
int main(void) {
    const toolpool_device_t device = TOOLPOOL_DEVICE_INIT;
    const toolpool_callbacks_t callbacks = TOOLPOOL_CALLBACKS_INIT;
    const toolpool_progress_t progress = TOOLPOOL_PROGRESS_INIT;
    const toolpool_summary_t summary = TOOLPOOL_SUMMARY_INIT;
    const toolpool_slot_report_t of_slot = TOOLPOOL_SLOT_REPORT_INIT;
    const toolpool_tensor_t tensor = TOOLPOOL_TENSOR_INIT;
    const toolpool_column_t column = TOOLPOOL_COLUMN_INIT;
    CHECK(device.size == 224 && device.slot == -1 && device.threads == 1);
    CHECK(callbacks.size == 136 && callbacks.run == NULL && callbacks.identity == NULL);
    CHECK(progress.size == 96 && progress.unread_bytes == 0);
    CHECK(summary.size == 152 && summary.tool == NULL && summary.stopped_message == NULL);
    CHECK(of_slot.size == 136 && of_slot.device == NULL && of_slot.lost_message == NULL);
    CHECK(tensor.size == 112 && tensor.data == NULL && tensor.ndim == 0);
    CHECK(column.size == 48 && column.rows == NULL && column.n_rows == 0);
    return 0;
}
