/* What the tests of the C surface share: checks that say where they failed, and a tool that counts
 * what is done to it. */
#ifndef CHECK_H
#define CHECK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <toolpool.h>
#include <unistd.h>

/* The error of the call that is being checked; each thread has its own. */
static _Thread_local toolpool_error_t *err;

/* A test that hangs ends by SIGALRM; no check depends on how long anything takes. */
enum { HANG_SECONDS = 850 };

static inline void fail_at(const char *file, int line, const char *what) {
    fprintf(stderr, "%s:%d: %s\n", file, line, what);
    if (err != NULL)
        fprintf(stderr, "    %s: %s\n", toolpool_status_name(toolpool_error_status(err)),
                toolpool_error_message(err));
    _Exit(1);
}

#define CHECK(condition)                                                                           \
    ((condition) ? (void)0 : fail_at(__FILE__, __LINE__, "not so: " #condition))

/* The call answers `wanted`, which is no error. */
#define ANSWERS(wanted, call) answers_at(__FILE__, __LINE__, #call, wanted, call)
#define OK(call) ANSWERS(TOOLPOOL_OK, call)

/* The call fails with `wanted` and a message in which `part` occurs. */
#define REFUSED(wanted, part, call) refused_at(__FILE__, __LINE__, #call, wanted, part, call)

static inline void answers_at(const char *file, int line, const char *call, int32_t wanted,
                              int32_t status) {
    if (status != wanted || err != NULL) {
        fprintf(stderr, "%s answered %s, not %s\n", call, toolpool_status_name(status),
                toolpool_status_name(wanted));
        fail_at(file, line, "another answer");
    }
}

static inline void refused_at(const char *file, int line, const char *call, int32_t wanted,
                              const char *part, int32_t status) {
    if (status != wanted || err == NULL || toolpool_error_status(err) != wanted ||
        strstr(toolpool_error_message(err), part) == NULL) {
        fprintf(stderr, "%s answered %s, not %s with \"%s\"\n", call, toolpool_status_name(status),
                toolpool_status_name(wanted), part);
        fail_at(file, line, "another answer");
    }
    toolpool_error_free(err);
    err = NULL;
}

/* Begins a test's main(). */
static inline void begin(void) { alarm(HANG_SECONDS); }

static inline toolpool_t *open_pool(const char *devices) {
    toolpool_t *pool = NULL;
    OK(toolpool_open(devices, &pool, &err));
    return pool;
}

static inline toolpool_tool_t *open_tool(const char *kind, const char *source) {
    toolpool_tool_t *tool = NULL;
    OK(toolpool_tool_open(kind, source, &tool, &err));
    return tool;
}

static inline toolpool_tool_t *open_echo(void) { return open_tool("echo", NULL); }

static inline toolpool_items_t *items_of(const char *const *strings, size_t n) {
    toolpool_items_t *items = NULL;
    OK(toolpool_items_from_strings(strings, NULL, n, &items, &err));
    return items;
}

/* The items "0", "1", … `n` - 1. */
static inline toolpool_items_t *numbered(size_t n) {
    char (*text)[24] = calloc(n, sizeof *text);
    const char **strings = calloc(n, sizeof *strings);
    CHECK(n == 0 || (text != NULL && strings != NULL));
    for (size_t i = 0; i < n; i++) {
        snprintf(text[i], sizeof text[i], "%zu", i);
        strings[i] = text[i];
    }
    toolpool_items_t *items = items_of(strings, n);
    free(strings);
    free(text);
    return items;
}

/* Whether item `i` has the output `output` with these bytes. */
static inline bool output_is(const toolpool_results_t *results, size_t i, const char *text) {
    toolpool_tensor_t tensor = TOOLPOOL_TENSOR_INIT;
    OK(toolpool_results_tensor(results, i, "output", &tensor, &err));
    return tensor.dtype == TOOLPOOL_BYTES && tensor.ndim == 1 &&
           tensor.shape[0] == (int64_t)strlen(text) && tensor.bytes == strlen(text) &&
           memcmp(tensor.data, text, tensor.bytes) == 0;
}

static inline bool output_is_number(const toolpool_results_t *results, size_t i, size_t number) {
    char text[24];
    snprintf(text, sizeof text, "%zu", number);
    return output_is(results, i, text);
}

static inline bool error_says(const toolpool_results_t *results, size_t i, const char *part) {
    return strstr(toolpool_results_error(results, i), part) != NULL;
}

/* How often the functions of a tool were called: its user pointer, and its state on every slot. */
typedef struct {
    atomic_int loads, unloads, destroys, runs, items;
} calls_t;

static inline toolpool_status_t count_load(void *user, const toolpool_device_t *device,
                                           void **state, toolpool_error_t **error) {
    (void)device, (void)error;
    atomic_fetch_add(&((calls_t *)user)->loads, 1);
    *state = user;
    return TOOLPOOL_OK;
}

static inline void count_unload(void *state) { atomic_fetch_add(&((calls_t *)state)->unloads, 1); }

static inline void count_destroy(void *user) { atomic_fetch_add(&((calls_t *)user)->destroys, 1); }

/* Copies item `i` of a batch to its output `output`. */
static inline toolpool_status_t echo_item(const toolpool_batch_t *batch, size_t i,
                                          toolpool_outputs_t *outputs, toolpool_error_t **error) {
    const void *data;
    size_t len;
    toolpool_status_t status = toolpool_batch_bytes(batch, i, &data, &len);
    if (status < 0)
        return toolpool_error_set(error, status, "no such item");
    const int64_t shape[] = {(int64_t)len};
    void *out;
    status = toolpool_outputs_alloc(outputs, i, "output", TOOLPOOL_BYTES, shape, 1, &out, error);
    if (status == TOOLPOOL_OK)
        memcpy(out, data, len);
    return status;
}

static inline toolpool_status_t echo_batch(const toolpool_batch_t *batch,
                                           toolpool_outputs_t *outputs, toolpool_error_t **error) {
    toolpool_status_t status = TOOLPOOL_OK;
    for (size_t i = 0; i < toolpool_batch_len(batch) && status == TOOLPOOL_OK; i++)
        status = echo_item(batch, i, outputs, error);
    return status;
}

static inline toolpool_status_t count_run(void *state, const toolpool_batch_t *batch,
                                          toolpool_outputs_t *outputs, toolpool_error_t **error) {
    calls_t *calls = state;
    atomic_fetch_add(&calls->runs, 1);
    atomic_fetch_add(&calls->items, (int)toolpool_batch_len(batch));
    return echo_batch(batch, outputs, error);
}

/* A table that echoes and counts into a calls_t. */
static inline toolpool_callbacks_t counting(void) {
    toolpool_callbacks_t callbacks = TOOLPOOL_CALLBACKS_INIT;
    callbacks.load = count_load;
    callbacks.run = count_run;
    callbacks.unload = count_unload;
    callbacks.destroy = count_destroy;
    return callbacks;
}

static inline toolpool_tool_t *tool_of(const char *name, toolpool_callbacks_t callbacks,
                                       void *user) {
    toolpool_tool_t *tool = NULL;
    OK(toolpool_tool_from_callbacks(name, &callbacks, user, &tool, &err));
    return tool;
}

/* Whether `item` is the first field of item `i` of a batch. */
static inline bool item_is(const toolpool_batch_t *batch, size_t i, const char *item) {
    const void *data;
    size_t len;
    return toolpool_batch_bytes(batch, i, &data, &len) == TOOLPOOL_OK && len == strlen(item) &&
           memcmp(data, item, len) == 0;
}

#endif
