/* Tools made of C functions: what becomes of every way in which they can misbehave. */
#include <math.h>

#include "check.h"

static bool holds(const toolpool_batch_t *batch, const char *item) {
    for (size_t i = 0; i < toolpool_batch_len(batch); i++)
        if (item_is(batch, i, item))
            return true;
    return false;
}

/* Runs `n` numbered items through a tool; the answer must be `wanted`. */
static toolpool_results_t *run_numbered(toolpool_t *pool, toolpool_tool_t *tool, size_t n,
                                        int32_t wanted) {
    toolpool_items_t *items = numbered(n);
    toolpool_results_t *results = NULL;
    ANSWERS(wanted, toolpool_run(pool, tool, items, &results, &err));
    toolpool_items_free(items);
    return results;
}

static void all_but_13_came_back(const toolpool_results_t *results, size_t n, int32_t status,
                                 const char *part) {
    const size_t *failed = NULL;
    CHECK(toolpool_results_len(results) == n);
    CHECK(toolpool_results_failed(results, NULL) == 1);
    CHECK(toolpool_results_failed(results, &failed) == 1 && failed[0] == 13);
    for (size_t i = 0; i < n; i++)
        if (i == 13) {
            toolpool_tensor_t tensor = TOOLPOOL_TENSOR_INIT;
            CHECK(toolpool_results_status(results, i) == status && error_says(results, i, part));
            CHECK(toolpool_results_tensor(results, i, "output", &tensor, &err) == status);
            CHECK(toolpool_error_item(err) == 13 && tensor.data == NULL);
            toolpool_error_free(err);
            err = NULL;
        } else {
            CHECK(output_is_number(results, i, i));
        }
}

static toolpool_status_t run_unlucky(void *state, const toolpool_batch_t *batch,
                                     toolpool_outputs_t *outputs, toolpool_error_t **error) {
    (void)state;
    if (holds(batch, "13"))
        return toolpool_error_set(error, TOOLPOOL_ERR_FAILED, "13 is unlucky");
    return echo_batch(batch, outputs, error);
}

static toolpool_status_t run_silent(void *state, const toolpool_batch_t *batch,
                                    toolpool_outputs_t *outputs, toolpool_error_t **error) {
    (void)state;
    for (size_t i = 0; i < toolpool_batch_len(batch); i++)
        if (!item_is(batch, i, "13") && echo_item(batch, i, outputs, error) < 0)
            return TOOLPOOL_ERR_FAILED;
    return TOOLPOOL_OK;
}

static toolpool_status_t run_one_too_many(void *state, const toolpool_batch_t *batch,
                                          toolpool_outputs_t *outputs, toolpool_error_t **error) {
    void *out;
    (void)state;
    if (holds(batch, "13") &&
        toolpool_outputs_alloc(outputs, toolpool_batch_len(batch), "output", TOOLPOOL_BYTES, NULL,
                               0, &out, NULL) != TOOLPOOL_ERR_CONTRACT)
        return TOOLPOOL_ERR_FAILED;
    return echo_batch(batch, outputs, error);
}

static toolpool_status_t run_twice(void *state, const toolpool_batch_t *batch,
                                   toolpool_outputs_t *outputs, toolpool_error_t **error) {
    toolpool_status_t status = echo_batch(batch, outputs, error);
    (void)state;
    for (size_t i = 0; i < toolpool_batch_len(batch) && status == TOOLPOOL_OK; i++)
        if (item_is(batch, i, "13"))
            echo_item(batch, i, outputs, NULL);
    return status;
}

static toolpool_status_t run_warning_nobody(void *state, const toolpool_batch_t *batch,
                                            toolpool_outputs_t *outputs, toolpool_error_t **error) {
    (void)state;
    if (holds(batch, "13"))
        toolpool_outputs_warn(outputs, SIZE_MAX, "who?");
    return echo_batch(batch, outputs, error);
}

static toolpool_status_t run_odd_status(void *state, const toolpool_batch_t *batch,
                                        toolpool_outputs_t *outputs, toolpool_error_t **error) {
    (void)state;
    if (holds(batch, "13")) {
        toolpool_error_set(error, TOOLPOOL_ERR_FAILED, "never seen");
        return 77;
    }
    return echo_batch(batch, outputs, error);
}

static void the_guilty_item_fails_alone_and_the_others_return(void) {
    const struct {
        toolpool_status_t (*run)(void *, const toolpool_batch_t *, toolpool_outputs_t *,
                                 toolpool_error_t **);
        int32_t status;
        const char *part;
    } cases[] = {
        {run_unlucky, TOOLPOOL_ERR_FAILED, "cross: 13 is unlucky"},
        {run_silent, TOOLPOOL_ERR_CONTRACT, "wrote no output"},
        {run_one_too_many, TOOLPOOL_ERR_CONTRACT, "of a batch of 1"},
        {run_twice, TOOLPOOL_ERR_CONTRACT, "two outputs 'output'"},
        {run_warning_nobody, TOOLPOOL_ERR_CONTRACT, "warning"},
        {run_odd_status, TOOLPOOL_ERR_CONTRACT, "returned 77, which is no status"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        toolpool_callbacks_t callbacks = TOOLPOOL_CALLBACKS_INIT;
        callbacks.run = cases[i].run;
        toolpool_t *pool = open_pool("cpu*2");
        toolpool_tool_t *tool = tool_of("cross", callbacks, NULL);
        toolpool_results_t *results = run_numbered(pool, tool, 100, TOOLPOOL_PARTIAL);
        all_but_13_came_back(results, 100, cases[i].status, cases[i].part);
        toolpool_results_free(results);
        toolpool_tool_free(tool);
        toolpool_close(pool);
    }
}

/* Asks for impossible memory, and fails each item with what it was answered. */
static toolpool_status_t run_impossible(void *state, const toolpool_batch_t *batch,
                                        toolpool_outputs_t *outputs, toolpool_error_t **error) {
    const int64_t one[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1}, huge[] = {(int64_t)1 << 40},
                  negative[] = {2, -1}, overflow[] = {INT64_MAX, 4};
    void *out;
    (void)state, (void)error;
    for (size_t i = 0; i < toolpool_batch_len(batch); i++) {
        toolpool_error_t *why = NULL;
        toolpool_status_t status = TOOLPOOL_OK;
        const toolpool_dtype_t bytes = TOOLPOOL_BYTES, f32 = TOOLPOOL_FLOAT32;
        if (item_is(batch, i, "0"))
            status = toolpool_outputs_alloc(outputs, i, "x", 11, one, 1, &out, &why);
        else if (item_is(batch, i, "1"))
            status = toolpool_outputs_alloc(outputs, i, "x", -1, one, 1, &out, &why);
        else if (item_is(batch, i, "2"))
            status = toolpool_outputs_alloc(outputs, i, "x", bytes, one, 9, &out, &why);
        else if (item_is(batch, i, "3"))
            status = toolpool_outputs_alloc(outputs, i, "x", bytes, negative, 2, &out, &why);
        else if (item_is(batch, i, "4"))
            status = toolpool_outputs_alloc(outputs, i, "x", f32, overflow, 2, &out, &why);
        else if (item_is(batch, i, "5"))
            status = toolpool_outputs_alloc(outputs, i, "x", f32, huge, 1, &out, &why);
        else if (item_is(batch, i, "6"))
            status = toolpool_outputs_alloc(outputs, i, NULL, f32, one, 1, &out, &why);
        else if (item_is(batch, i, "7"))
            status = toolpool_outputs_alloc(outputs, i, "x", f32, NULL, 1, &out, &why);
        else if (item_is(batch, i, "8"))
            status = toolpool_outputs_alloc(outputs, i, "x", f32, one, 1, NULL, &why);
        toolpool_outputs_fail(outputs, i, status, toolpool_error_message(why));
        toolpool_error_free(why);
    }
    return TOOLPOOL_OK;
}

static void impossible_outputs_are_refused_with_a_reason(void) {
    const char *parts[] = {"11 is no element type",
                           "-1 is no element type",
                           "9 dimensions",
                           "negative dimension -1",
                           "more bytes than memory has addresses",
                           "no memory for outputs of 4398046511104 bytes",
                           "name is NULL",
                           "shape is NULL",
                           "out-parameter is NULL"};
    toolpool_callbacks_t callbacks = TOOLPOOL_CALLBACKS_INIT;
    callbacks.run = run_impossible;
    toolpool_t *pool = open_pool("cpu");
    toolpool_tool_t *tool = tool_of("impossible", callbacks, NULL);
    toolpool_results_t *results = run_numbered(pool, tool, 9, TOOLPOOL_PARTIAL);
    for (size_t i = 0; i < 9; i++) {
        const int32_t wanted = i == 5 ? TOOLPOOL_ERR_OUT_OF_MEMORY : TOOLPOOL_ERR_ARGUMENT;
        CHECK(toolpool_results_status(results, i) == wanted);
        CHECK(error_says(results, i, parts[i]));
    }
    toolpool_results_free(results);
    toolpool_tool_free(tool);
    toolpool_close(pool);
}

/* Item "1": a scalar and two remarks. "2": two failures. Others: a failure without a reason. */
static toolpool_status_t run_assorted(void *state, const toolpool_batch_t *batch,
                                      toolpool_outputs_t *outputs, toolpool_error_t **error) {
    (void)state;
    for (size_t i = 0; i < toolpool_batch_len(batch); i++) {
        void *out;
        if (item_is(batch, i, "1")) {
            toolpool_status_t status = toolpool_outputs_alloc(
                outputs, i, "scalar", TOOLPOOL_FLOAT64, NULL, 0, &out, error);
            if (status < 0)
                return status;
            *(double *)out = 2.5;
            toolpool_outputs_warn(outputs, i, "cut");
            toolpool_outputs_warn(outputs, i, "odd letters");
        } else if (item_is(batch, i, "2")) {
            toolpool_outputs_fail(outputs, i, TOOLPOOL_ERR_ITEM, "first");
            toolpool_outputs_fail(outputs, i, TOOLPOOL_ERR_FAILED, "second");
        } else {
            toolpool_outputs_fail(outputs, i, TOOLPOOL_OK, NULL);
        }
    }
    return TOOLPOOL_OK;
}

static void each_item_has_its_own_outputs_remarks_and_failures(void) {
    toolpool_callbacks_t callbacks = TOOLPOOL_CALLBACKS_INIT;
    toolpool_tensor_t tensor = TOOLPOOL_TENSOR_INIT;
    callbacks.run = run_assorted;
    toolpool_t *pool = open_pool("cpu");
    toolpool_tool_t *tool = tool_of("assorted", callbacks, NULL);
    toolpool_results_t *results = run_numbered(pool, tool, 4, TOOLPOOL_PARTIAL);
    CHECK(toolpool_results_outputs(results) == 1);
    CHECK(strcmp(toolpool_results_output_name(results, 0), "scalar") == 0);
    OK(toolpool_results_tensor(results, 1, "scalar", &tensor, &err));
    CHECK(tensor.ndim == 0 && tensor.bytes == 8 && tensor.dtype == TOOLPOOL_FLOAT64);
    CHECK((uintptr_t)tensor.data % 8 == 0 && *(const double *)tensor.data == 2.5);
    CHECK(strcmp(toolpool_results_warning(results, 1), "cut; odd letters") == 0);
    CHECK(*toolpool_results_warning(results, 2) == '\0');
    CHECK(toolpool_results_status(results, 2) == TOOLPOOL_ERR_ITEM);
    CHECK(error_says(results, 2, "first"));
    CHECK(toolpool_results_status(results, 3) == TOOLPOOL_ERR_CONTRACT);
    CHECK(error_says(results, 3, "no message"));
    toolpool_column_t column = TOOLPOOL_COLUMN_INIT;
    OK(toolpool_results_column(results, "scalar", &column, &err));
    CHECK(column.rows[0].chunk == UINT32_MAX && column.rows[1].chunk != UINT32_MAX);
    toolpool_results_free(results);
    toolpool_tool_free(tool);
    toolpool_close(pool);
}

static double cost_of(void *user, const void *data, size_t len) {
    (void)user;
    if (len == 2 && memcmp(data, "13", 2) == 0)
        return NAN;
    return len == 2 && memcmp(data, "12", 2) == 0 ? -1 : 1;
}

static void costs_that_mean_nothing_are_refused_with_their_index(void) {
    const char *nan[] = {"1", "2", "13"}, *negative[] = {"1", "12", "13"};
    calls_t calls = {0};
    toolpool_callbacks_t callbacks = counting();
    callbacks.cost = cost_of;
    toolpool_t *pool = open_pool("cpu");
    toolpool_tool_t *tool = tool_of("costly", callbacks, &calls);
    toolpool_job_t *job = NULL;
    toolpool_results_t *results = NULL;
    toolpool_items_t *items = items_of(nan, 3);
    CHECK(toolpool_run(pool, tool, items, &results, &err) == TOOLPOOL_ERR_ARGUMENT);
    CHECK(toolpool_error_item(err) == 2 && strstr(toolpool_error_message(err), "NaN") != NULL);
    toolpool_error_free(err);
    err = NULL;
    toolpool_items_free(items);
    items = items_of(negative, 3);
    CHECK(toolpool_submit(pool, tool, items, NULL, &job, &err) == TOOLPOOL_ERR_ARGUMENT);
    CHECK(toolpool_error_item(err) == 1 && job == NULL && results == NULL);
    toolpool_error_free(err);
    err = NULL;
    toolpool_items_free(items);
    toolpool_tool_free(tool);
    toolpool_close(pool);
    CHECK(calls.runs == 0 && calls.destroys == 1);
}

typedef struct {
    calls_t calls;
    size_t order[8], len, most_items;
    uint64_t most_extent;
} order_t;

/* Notes in what order items run, and how large batches are. */
static toolpool_status_t run_noting(void *state, const toolpool_batch_t *batch,
                                    toolpool_outputs_t *outputs, toolpool_error_t **error) {
    order_t *seen = state;
    uint64_t extent = 0;
    for (size_t i = 0; i < toolpool_batch_len(batch); i++) {
        const void *data;
        size_t len;
        toolpool_batch_bytes(batch, i, &data, &len);
        extent += len;
        if (seen->len < 8 && len == 1)
            seen->order[seen->len++] = (size_t)(*(const char *)data - '0');
    }
    if (toolpool_batch_len(batch) > seen->most_items)
        seen->most_items = toolpool_batch_len(batch);
    if (extent > seen->most_extent && toolpool_batch_len(batch) > 1)
        seen->most_extent = extent;
    return echo_batch(batch, outputs, error);
}

static void the_largest_cost_runs_first(void) {
    const double costs[] = {0, 3, INFINITY, 1, 0, INFINITY, 1, 1e300};
    const size_t wanted[] = {2, 5, 7, 1, 3, 6, 0, 4};
    order_t seen = {0};
    toolpool_callbacks_t callbacks = counting();
    callbacks.run = run_noting;
    callbacks.batch_items = 1;
    toolpool_t *pool = open_pool("cpu");
    toolpool_tool_t *tool = tool_of("noting", callbacks, &seen);
    toolpool_items_t *items = numbered(8);
    toolpool_results_t *results = NULL;
    OK(toolpool_items_set_costs(items, costs, 8, &err));
    OK(toolpool_run(pool, tool, items, &results, &err));
    CHECK(seen.len == 8 && memcmp(seen.order, wanted, sizeof wanted) == 0);
    toolpool_results_free(results);
    toolpool_items_free(items);
    toolpool_tool_free(tool);
    toolpool_close(pool);
}

static uint64_t extent_of(void *user, const void *data, size_t len) {
    (void)user, (void)data;
    return len;
}

static void batches_keep_to_their_limits(void) {
    for (int limit = 0; limit < 2; limit++) {
        order_t seen = {0};
        toolpool_callbacks_t callbacks = counting();
        callbacks.run = run_noting;
        callbacks.extent = extent_of;
        if (limit == 0)
            callbacks.batch_items = 7;
        else
            callbacks.batch_budget = 50; /* items have 1 to 4 digits */
        toolpool_t *pool = open_pool("cpu");
        toolpool_tool_t *tool = tool_of("noting", callbacks, &seen);
        toolpool_results_t *results = run_numbered(pool, tool, 2000, TOOLPOOL_OK);
        CHECK(seen.most_items > 1);
        CHECK(limit == 0 ? seen.most_items == 7 : seen.most_extent <= 50);
        toolpool_results_free(results);
        toolpool_tool_free(tool);
        toolpool_close(pool);
    }
}

static toolpool_status_t always_fail(void *state, const toolpool_batch_t *batch,
                                     toolpool_outputs_t *outputs, toolpool_error_t **error) {
    (void)batch, (void)outputs;
    atomic_fetch_add(&((calls_t *)state)->runs, 1);
    return toolpool_error_set(error, TOOLPOOL_ERR_FAILED, "never works");
}

static void a_tool_that_never_works_fails_the_job_soon(void) {
    calls_t calls = {0};
    toolpool_callbacks_t callbacks = counting();
    callbacks.run = always_fail;
    toolpool_t *pool = open_pool("cpu*2");
    toolpool_tool_t *tool = tool_of("hopeless", callbacks, &calls);
    toolpool_items_t *items = numbered(130000);
    toolpool_results_t *results = NULL;
    REFUSED(TOOLPOOL_ERR_FAILED, "never works", toolpool_run(pool, tool, items, &results, &err));
    CHECK(results == NULL && calls.runs < 500);
    toolpool_items_free(items);
    toolpool_tool_free(tool);
    toolpool_close(pool);
    CHECK(calls.destroys == 1 && calls.loads == calls.unloads);
}

typedef struct {
    calls_t calls;
    atomic_int oom;
} memory_t;

static uint64_t one(void *user, const void *data, size_t len) {
    (void)user, (void)data, (void)len;
    return 1;
}

static toolpool_status_t run_in_little_memory(void *state, const toolpool_batch_t *batch,
                                              toolpool_outputs_t *outputs,
                                              toolpool_error_t **error) {
    if (toolpool_batch_len(batch) > 4 || holds(batch, "13")) {
        atomic_fetch_add(&((memory_t *)state)->oom, 1);
        return TOOLPOOL_ERR_OUT_OF_MEMORY; /* with no message */
    }
    return echo_batch(batch, outputs, error);
}

static void out_of_memory_halves_the_batch_and_is_remembered(void) {
    memory_t memory = {0};
    toolpool_callbacks_t callbacks = counting();
    callbacks.run = run_in_little_memory;
    callbacks.extent = one;
    toolpool_t *pool = open_pool("cpu");
    toolpool_tool_t *tool = tool_of("small", callbacks, &memory);
    toolpool_results_t *results = run_numbered(pool, tool, 13, TOOLPOOL_OK);
    CHECK(memory.oom > 0);
    toolpool_results_free(results);
    memory.oom = 0;
    results = run_numbered(pool, tool, 13, TOOLPOOL_OK);
    CHECK(memory.oom == 0);
    toolpool_results_free(results);
    results = run_numbered(pool, tool, 50, TOOLPOOL_PARTIAL);
    all_but_13_came_back(results, 50, TOOLPOOL_ERR_OUT_OF_MEMORY, "small: it gave no message");
    toolpool_results_free(results);
    toolpool_tool_free(tool);
    toolpool_close(pool);
    CHECK(memory.calls.loads == 1 && memory.calls.unloads == 1 && memory.calls.destroys == 1);
}

static int user_of_nobody;

static toolpool_status_t load_user(void *user, const toolpool_device_t *device, void **state,
                                   toolpool_error_t **error) {
    (void)state; /* stays NULL */
    if (user != &user_of_nobody || device->size != sizeof *device || device->slot != 0 ||
        device->kind != TOOLPOOL_DEVICE_CPU || device->threads < 1 || *device->name == '\0')
        return toolpool_error_set(error, TOOLPOOL_ERR_FAILED, "load was given something else");
    return TOOLPOOL_OK;
}

static double cost_user(void *user, const void *data, size_t len) {
    (void)data, (void)len;
    return user == &user_of_nobody ? 1 : NAN;
}

static toolpool_status_t run_user(void *state, const toolpool_batch_t *batch,
                                  toolpool_outputs_t *outputs, toolpool_error_t **error) {
    if (state != NULL || toolpool_batch_user(batch) != &user_of_nobody)
        return toolpool_error_set(error, TOOLPOOL_ERR_FAILED, "run was given something else");
    return echo_batch(batch, outputs, error);
}

static void every_callback_gets_the_pointer_of_its_user(void) {
    toolpool_callbacks_t callbacks = TOOLPOOL_CALLBACKS_INIT;
    callbacks.load = load_user;
    callbacks.run = run_user;
    callbacks.cost = cost_user;
    toolpool_t *pool = open_pool("cpu");
    toolpool_tool_t *tool = tool_of("user", callbacks, &user_of_nobody);
    toolpool_results_free(run_numbered(pool, tool, 5, TOOLPOOL_OK));
    toolpool_tool_free(tool);
    toolpool_close(pool);
}

int main(void) {
    begin();
    the_guilty_item_fails_alone_and_the_others_return();
    impossible_outputs_are_refused_with_a_reason();
    each_item_has_its_own_outputs_remarks_and_failures();
    costs_that_mean_nothing_are_refused_with_their_index();
    the_largest_cost_runs_first();
    batches_keep_to_their_limits();
    a_tool_that_never_works_fails_the_job_soon();
    out_of_memory_halves_the_batch_and_is_remembered();
    every_callback_gets_the_pointer_of_its_user();
    return 0;
}
