#ifndef TOOLPOOL_H
#define TOOLPOOL_H 
#include <stddef.h>
#include <stdint.h>
#define TOOLPOOL_CALLBACKS_INIT \
  {sizeof(toolpool_callbacks_t), NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, NULL, NULL, NULL, NULL, 0, NULL, 0}
#define TOOLPOOL_DEVICE_INIT {sizeof(toolpool_device_t), 0, 0, -1, 1, 0, 0, 0, 0, {0}, {0}, {0}}
#define TOOLPOOL_TENSOR_INIT {sizeof(toolpool_tensor_t), NULL, 0, 0, 0, {0}, NULL, 0, 0}
#define TOOLPOOL_COLUMN_INIT {sizeof(toolpool_column_t), 0, 0, NULL, 0, NULL, 0}
#define TOOLPOOL_PROGRESS_INIT {sizeof(toolpool_progress_t), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
#define TOOLPOOL_SUMMARY_INIT \
  {sizeof(toolpool_summary_t), NULL, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL}
#define TOOLPOOL_SLOT_REPORT_INIT \
  {sizeof(toolpool_slot_report_t), NULL, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL, 0}
#define TOOLPOOL_ABI 1
#define TOOLPOOL_MAX_NDIM 8
#define TOOLPOOL_DEVICE_CPU 0
#define TOOLPOOL_DEVICE_CUDA 1
#define TOOLPOOL_VERSION_MAJOR 0
#define TOOLPOOL_VERSION_MINOR 1
#define TOOLPOOL_VERSION_PATCH 0
#define TOOLPOOL_LOG_ERROR 1
#define TOOLPOOL_LOG_WARNING 2
#define TOOLPOOL_LOG_INFO 3
typedef struct toolpool_batch_t toolpool_batch_t;
typedef struct toolpool_devices_t toolpool_devices_t;
typedef struct toolpool_error_t toolpool_error_t;
typedef struct toolpool_items_t toolpool_items_t;
typedef struct toolpool_job_t toolpool_job_t;
typedef struct toolpool_options_t toolpool_options_t;
typedef struct toolpool_outputs_t toolpool_outputs_t;
typedef struct toolpool_report_t toolpool_report_t;
typedef struct toolpool_results_t toolpool_results_t;
typedef struct toolpool_t toolpool_t;
typedef struct toolpool_tool_t toolpool_tool_t;
typedef int32_t toolpool_status_t;
typedef void (*toolpool_log_t)(void *user, int32_t level, const char *message);
typedef struct toolpool_device_t {
  size_t size;
  int32_t kind;
  int32_t index;
  int32_t slot;
  int32_t threads;
  uint64_t memory_total;
  uint64_t memory_free;
  int32_t capability_major;
  int32_t capability_minor;
  char name[96];
  char uuid[48];
  char driver[32];
} toolpool_device_t;
typedef struct toolpool_option_t {
  const char *key;
  const char *value;
} toolpool_option_t;
typedef int32_t toolpool_dtype_t;
typedef struct toolpool_tensor_t {
  size_t size;
  const void *data;
  size_t bytes;
  toolpool_dtype_t dtype;
  int32_t ndim;
  int64_t shape[TOOLPOOL_MAX_NDIM];
  const int64_t *strides;
  int32_t device;
  int32_t reserved;
} toolpool_tensor_t;
typedef struct toolpool_callbacks_t {
  size_t size;
  toolpool_status_t (*load)(void *user,
                            const struct toolpool_device_t *device,
                            void **state,
                            struct toolpool_error_t **err);
  toolpool_status_t (*run)(void *state,
                           const struct toolpool_batch_t *batch,
                           struct toolpool_outputs_t *outputs,
                           struct toolpool_error_t **err);
  double (*cost)(void *user, const void *data, size_t len);
  void (*unload)(void *state);
  void (*destroy)(void *user);
  uint64_t (*extent)(void *user, const void *data, size_t len);
  uint64_t batch_budget;
  uint64_t batch_items;
  toolpool_status_t (*start)(void *state,
                             const struct toolpool_batch_t *batch,
                             struct toolpool_outputs_t *outputs,
                             void **pending,
                             struct toolpool_error_t **err);
  toolpool_status_t (*collect)(void *state, void *pending, struct toolpool_error_t **err);
  const char *identity;
  uint64_t (*memory)(void *user, const struct toolpool_device_t *device, void *state);
  uint64_t batch_budget_most;
  void (*measure)(void *user, const struct toolpool_tensor_t *fields, size_t n_fields, double *cost, uint64_t *extent);
  uint64_t runs_code;
} toolpool_callbacks_t;
typedef void (*toolpool_release_t)(void *user);
typedef double (*toolpool_cost_t)(void *user, size_t index);
typedef struct toolpool_progress_t {
  size_t size;
  uint64_t total;
  uint64_t done;
  uint64_t failed;
  uint64_t unique;
  uint64_t running;
  uint64_t unread_bytes;
  double cost;
  double cost_done;
  double elapsed_s;
  double remaining_s;
} toolpool_progress_t;
typedef struct toolpool_chunk_t {
  const void *data;
  size_t bytes;
} toolpool_chunk_t;
typedef struct toolpool_row_t {
  uint64_t offset;
  uint64_t bytes;
  uint32_t chunk;
  uint32_t reserved;
} toolpool_row_t;
typedef struct toolpool_column_t {
  size_t size;
  toolpool_dtype_t dtype;
  int32_t reserved;
  const struct toolpool_chunk_t *chunks;
  size_t n_chunks;
  const struct toolpool_row_t *rows;
  size_t n_rows;
} toolpool_column_t;
typedef struct toolpool_summary_t {
  size_t size;
  const char *tool;
  uint64_t total;
  uint64_t done;
  uint64_t failed;
  uint64_t unique;
  double cost;
  double cost_done;
  double cost_saved;
  double longest;
  double elapsed_s;
  double planning_s;
  double makespan_s;
  double bound_s;
  double remaining_s;
  double items_per_s;
  double cost_per_s;
  toolpool_status_t stopped;
  int32_t reserved;
  const char *stopped_message;
} toolpool_summary_t;
typedef struct toolpool_slot_report_t {
  size_t size;
  const char *device;
  uint64_t items;
  uint64_t failed;
  uint64_t batches;
  uint64_t extent;
  double cost;
  double cost_per_s;
  double busy_s;
  double load_s;
  double idle_s;
  uint64_t splits;
  uint64_t retries;
  uint64_t out_of_memory;
  toolpool_status_t lost;
  int32_t reserved;
  const char *lost_message;
  uint64_t batch_budget;
} toolpool_slot_report_t;
typedef struct toolpool_host_t {
  size_t size;
  uint32_t abi;
  size_t (*batch_len)(const struct toolpool_batch_t *batch);
  toolpool_status_t (*batch_bytes)(const struct toolpool_batch_t *batch, size_t index, const void **data, size_t *len);
  toolpool_status_t (*batch_field)(const struct toolpool_batch_t *batch,
                                   size_t index,
                                   const char *name,
                                   const void **data,
                                   size_t *len);
  void *(*batch_user)(const struct toolpool_batch_t *batch);
  toolpool_status_t (*outputs_alloc)(struct toolpool_outputs_t *outputs,
                                     size_t index,
                                     const char *name,
                                     toolpool_dtype_t dtype,
                                     const int64_t *shape,
                                     size_t ndim,
                                     void **data,
                                     struct toolpool_error_t **err);
  toolpool_status_t (*outputs_fail)(struct toolpool_outputs_t *outputs,
                                    size_t index,
                                    toolpool_status_t status,
                                    const char *message);
  toolpool_status_t (*outputs_warn)(struct toolpool_outputs_t *outputs, size_t index, const char *message);
  toolpool_status_t (*error_set)(struct toolpool_error_t **err, toolpool_status_t status, const char *message);
  toolpool_status_t (*outputs_count)(struct toolpool_outputs_t *outputs, const char *name, double amount);
  size_t (*batch_fields)(const struct toolpool_batch_t *batch);
  const char *(*batch_field_name)(const struct toolpool_batch_t *batch, size_t field);
  toolpool_status_t (*batch_tensor)(const struct toolpool_batch_t *batch,
                                    size_t index,
                                    size_t field,
                                    struct toolpool_tensor_t *tensor);
} toolpool_host_t;
typedef toolpool_status_t (*toolpool_entry_t)(const struct toolpool_host_t *host,
                                              const char *source,
                                              const struct toolpool_option_t *options,
                                              size_t n_options,
                                              struct toolpool_callbacks_t *callbacks,
                                              void **user,
                                              struct toolpool_error_t **err);
#define TOOLPOOL_OK 0
#define TOOLPOOL_PARTIAL 1
#define TOOLPOOL_PENDING 2
#define TOOLPOOL_DONE 3
#define TOOLPOOL_ERR_INTERNAL -1
#define TOOLPOOL_ERR_ARGUMENT -2
#define TOOLPOOL_ERR_DEVICE -3
#define TOOLPOOL_ERR_OPTION -4
#define TOOLPOOL_ERR_TOOL -5
#define TOOLPOOL_ERR_MODEL -6
#define TOOLPOOL_ERR_BACKEND -7
#define TOOLPOOL_ERR_ITEM -8
#define TOOLPOOL_ERR_OUT_OF_MEMORY -9
#define TOOLPOOL_ERR_DEVICE_LOST -10
#define TOOLPOOL_ERR_CONTRACT -11
#define TOOLPOOL_ERR_CANCELLED -12
#define TOOLPOOL_ERR_CLOSED -13
#define TOOLPOOL_ERR_REENTRANT -14
#define TOOLPOOL_ERR_FORKED -15
#define TOOLPOOL_ERR_NOT_FOUND -16
#define TOOLPOOL_ERR_FAILED -17
#define TOOLPOOL_ERR_TIME_LIMIT -18
#define TOOLPOOL_ERR_TRANSIENT -19
#define TOOLPOOL_ERR_CRASHED -20
#define TOOLPOOL_BYTES 0
#define TOOLPOOL_FLOAT32 1
#define TOOLPOOL_FLOAT64 2
#define TOOLPOOL_FLOAT16 3
#define TOOLPOOL_BFLOAT16 4
#define TOOLPOOL_INT8 5
#define TOOLPOOL_UINT8 6
#define TOOLPOOL_INT16 7
#define TOOLPOOL_INT32 8
#define TOOLPOOL_INT64 9
#define TOOLPOOL_BOOL 10
#ifdef __cplusplus
extern "C" {
#endif
const char *toolpool_version(void);
uint32_t toolpool_abi(void);
toolpool_status_t toolpool_error_status(const struct toolpool_error_t *err);
const char *toolpool_error_message(const struct toolpool_error_t *err);
size_t toolpool_error_item(const struct toolpool_error_t *err);
void toolpool_error_free(struct toolpool_error_t *err);
toolpool_status_t toolpool_error_set(struct toolpool_error_t **err, toolpool_status_t status, const char *message);
toolpool_status_t toolpool_set_log(toolpool_log_t callback,
                                   void *user,
                                   int32_t level,
                                   struct toolpool_error_t **err);
toolpool_status_t toolpool_devices_list(const char *devices,
                                        struct toolpool_devices_t **out,
                                        struct toolpool_error_t **err);
size_t toolpool_devices_len(const struct toolpool_devices_t *devices);
toolpool_status_t toolpool_devices_get(const struct toolpool_devices_t *devices,
                                       size_t index,
                                       struct toolpool_device_t *device,
                                       struct toolpool_error_t **err);
void toolpool_devices_free(struct toolpool_devices_t *devices);
toolpool_status_t toolpool_open(const char *devices,
                                struct toolpool_t **out,
                                struct toolpool_error_t **err);
toolpool_status_t toolpool_open_with(const char *devices,
                                     const struct toolpool_option_t *options,
                                     size_t n_options,
                                     struct toolpool_t **out,
                                     struct toolpool_error_t **err);
toolpool_status_t toolpool_slots(const struct toolpool_t *pool,
                                 struct toolpool_devices_t **out,
                                 struct toolpool_error_t **err);
toolpool_status_t toolpool_warm(struct toolpool_t *pool,
                                const struct toolpool_tool_t *tool,
                                struct toolpool_error_t **err);
toolpool_status_t toolpool_drain(struct toolpool_t *pool, int64_t timeout_ms, struct toolpool_error_t **err);
void toolpool_close(struct toolpool_t *pool);
toolpool_status_t toolpool_tool_open(const char *kind,
                                     const char *source,
                                     struct toolpool_tool_t **out,
                                     struct toolpool_error_t **err);
toolpool_status_t toolpool_tool_from_callbacks(const char *name,
                                               const struct toolpool_callbacks_t *callbacks,
                                               void *user,
                                               struct toolpool_tool_t **out,
                                               struct toolpool_error_t **err);
toolpool_status_t toolpool_tool_set(struct toolpool_tool_t *tool,
                                    const char *key,
                                    const char *value,
                                    struct toolpool_error_t **err);
void toolpool_tool_free(struct toolpool_tool_t *tool);
toolpool_status_t toolpool_items_from_strings(const char *const *strings,
                                              const size_t *lengths,
                                              size_t n,
                                              struct toolpool_items_t **out,
                                              struct toolpool_error_t **err);
toolpool_status_t toolpool_items_borrow(const void *data,
                                        const int64_t *offsets,
                                        size_t n,
                                        toolpool_release_t release,
                                        void *user,
                                        struct toolpool_items_t **out,
                                        struct toolpool_error_t **err);
toolpool_status_t toolpool_items_borrow32(const void *data,
                                          const int32_t *offsets,
                                          size_t n,
                                          toolpool_release_t release,
                                          void *user,
                                          struct toolpool_items_t **out,
                                          struct toolpool_error_t **err);
toolpool_status_t toolpool_items_add_field(struct toolpool_items_t *items,
                                           const char *name,
                                           const void *data,
                                           const int64_t *offsets,
                                           size_t n,
                                           toolpool_release_t release,
                                           void *user,
                                           struct toolpool_error_t **err);
toolpool_status_t toolpool_items_from_tensors(const char *name,
                                              const struct toolpool_tensor_t *tensors,
                                              size_t n,
                                              toolpool_release_t release,
                                              void *user,
                                              struct toolpool_items_t **out,
                                              struct toolpool_error_t **err);
toolpool_status_t toolpool_items_add_tensors(struct toolpool_items_t *items,
                                             const char *name,
                                             const struct toolpool_tensor_t *tensors,
                                             size_t n,
                                             toolpool_release_t release,
                                             void *user,
                                             struct toolpool_error_t **err);
toolpool_status_t toolpool_items_set_cost(struct toolpool_items_t *items,
                                          toolpool_cost_t cost,
                                          void *user,
                                          struct toolpool_error_t **err);
toolpool_status_t toolpool_items_set_costs(struct toolpool_items_t *items,
                                           const double *costs,
                                           size_t n,
                                           struct toolpool_error_t **err);
size_t toolpool_items_len(const struct toolpool_items_t *items);
void toolpool_items_free(struct toolpool_items_t *items);
toolpool_status_t toolpool_options_new(struct toolpool_options_t **out, struct toolpool_error_t **err);
toolpool_status_t toolpool_options_set(struct toolpool_options_t *options,
                                       const char *key,
                                       const char *value,
                                       struct toolpool_error_t **err);
void toolpool_options_free(struct toolpool_options_t *options);
toolpool_status_t toolpool_run(struct toolpool_t *pool,
                               const struct toolpool_tool_t *tool,
                               const struct toolpool_items_t *items,
                               struct toolpool_results_t **out,
                               struct toolpool_error_t **err);
toolpool_status_t toolpool_submit(struct toolpool_t *pool,
                                  const struct toolpool_tool_t *tool,
                                  const struct toolpool_items_t *items,
                                  const struct toolpool_options_t *options,
                                  struct toolpool_job_t **out,
                                  struct toolpool_error_t **err);
toolpool_status_t toolpool_job_wait(const struct toolpool_job_t *job,
                                    int64_t timeout_ms,
                                    struct toolpool_error_t **err);
toolpool_status_t toolpool_job_poll(const struct toolpool_job_t *job, struct toolpool_error_t **err);
toolpool_status_t toolpool_job_cancel(struct toolpool_job_t *job,
                                      struct toolpool_error_t **err);
toolpool_status_t toolpool_job_progress(const struct toolpool_job_t *job,
                                        struct toolpool_progress_t *progress,
                                        struct toolpool_error_t **err);
toolpool_status_t toolpool_job_next(struct toolpool_job_t *job,
                                    int64_t timeout_ms,
                                    struct toolpool_results_t **out,
                                    struct toolpool_error_t **err);
toolpool_status_t toolpool_job_results(struct toolpool_job_t *job,
                                       struct toolpool_results_t **out,
                                       struct toolpool_error_t **err);
void toolpool_job_free(struct toolpool_job_t *job);
size_t toolpool_results_len(const struct toolpool_results_t *results);
size_t toolpool_results_index(const struct toolpool_results_t *results,
                              size_t index);
toolpool_status_t toolpool_results_status(const struct toolpool_results_t *results, size_t index);
const char *toolpool_results_error(const struct toolpool_results_t *results, size_t index);
const char *toolpool_results_warning(const struct toolpool_results_t *results,
                                     size_t index);
int32_t toolpool_results_slot(const struct toolpool_results_t *results, size_t index);
size_t toolpool_results_outputs(const struct toolpool_results_t *results);
const char *toolpool_results_output_name(const struct toolpool_results_t *results, size_t output);
toolpool_status_t toolpool_results_tensor(const struct toolpool_results_t *results,
                                          size_t index,
                                          const char *name,
                                          struct toolpool_tensor_t *tensor,
                                          struct toolpool_error_t **err);
toolpool_status_t toolpool_results_column(const struct toolpool_results_t *results,
                                          const char *name,
                                          struct toolpool_column_t *column,
                                          struct toolpool_error_t **err);
toolpool_status_t toolpool_results_stack(const struct toolpool_results_t *results,
                                         const char *name,
                                         void *buffer,
                                         size_t bytes,
                                         struct toolpool_tensor_t *tensor,
                                         struct toolpool_error_t **err);
void toolpool_results_free(struct toolpool_results_t *results);
toolpool_status_t toolpool_job_report(const struct toolpool_job_t *job,
                                      struct toolpool_report_t **report,
                                      struct toolpool_error_t **err);
toolpool_status_t toolpool_report_summary(const struct toolpool_report_t *report,
                                          struct toolpool_summary_t *summary,
                                          struct toolpool_error_t **err);
size_t toolpool_report_slots(const struct toolpool_report_t *report);
toolpool_status_t toolpool_report_slot(const struct toolpool_report_t *report,
                                       size_t slot,
                                       struct toolpool_slot_report_t *out,
                                       struct toolpool_error_t **err);
size_t toolpool_report_counts(const struct toolpool_report_t *report);
const char *toolpool_report_count_name(const struct toolpool_report_t *report, size_t index);
toolpool_status_t toolpool_report_count(const struct toolpool_report_t *report,
                                        const char *name,
                                        double *value,
                                        struct toolpool_error_t **err);
const char *toolpool_report_json(const struct toolpool_report_t *report);
const char *toolpool_report_trace(const struct toolpool_report_t *report);
const char *toolpool_report_timeline(const struct toolpool_report_t *report);
void toolpool_report_free(struct toolpool_report_t *report);
size_t toolpool_batch_len(const struct toolpool_batch_t *batch);
toolpool_status_t toolpool_batch_bytes(const struct toolpool_batch_t *batch,
                                       size_t index,
                                       const void **data,
                                       size_t *len);
toolpool_status_t toolpool_batch_field(const struct toolpool_batch_t *batch,
                                       size_t index,
                                       const char *name,
                                       const void **data,
                                       size_t *len);
size_t toolpool_batch_fields(const struct toolpool_batch_t *batch);
const char *toolpool_batch_field_name(const struct toolpool_batch_t *batch, size_t field);
toolpool_status_t toolpool_batch_tensor(const struct toolpool_batch_t *batch,
                                        size_t index,
                                        size_t field,
                                        struct toolpool_tensor_t *tensor);
void *toolpool_batch_user(const struct toolpool_batch_t *batch);
toolpool_status_t toolpool_outputs_alloc(struct toolpool_outputs_t *outputs,
                                         size_t index,
                                         const char *name,
                                         toolpool_dtype_t dtype,
                                         const int64_t *shape,
                                         size_t ndim,
                                         void **data,
                                         struct toolpool_error_t **err);
toolpool_status_t toolpool_outputs_fail(struct toolpool_outputs_t *outputs,
                                        size_t index,
                                        toolpool_status_t status,
                                        const char *message);
toolpool_status_t toolpool_outputs_warn(struct toolpool_outputs_t *outputs, size_t index, const char *message);
toolpool_status_t toolpool_outputs_count(struct toolpool_outputs_t *outputs,
                                         const char *name,
                                         double amount);
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
}
#endif
#endif
