/* Calls from inside a callback that would wait for themselves are answered, not waited for. */
#include "check.h"

static toolpool_t *pool;
static toolpool_tool_t *echo;
static toolpool_items_t *items;
static toolpool_job_t *ended;
static atomic_int refused, closes;

/* Every call that waits, from inside a callback. */
static void wait_inside(void) {
    toolpool_results_t *results = NULL;
    toolpool_progress_t progress = TOOLPOOL_PROGRESS_INIT;
    const char *part = "inside a tool's callback";
    REFUSED(TOOLPOOL_ERR_REENTRANT, part, toolpool_run(pool, echo, items, &results, &err));
    REFUSED(TOOLPOOL_ERR_REENTRANT, part, toolpool_warm(pool, echo, &err));
    REFUSED(TOOLPOOL_ERR_REENTRANT, part, toolpool_drain(pool, 0, &err));
    REFUSED(TOOLPOOL_ERR_REENTRANT, part, toolpool_job_wait(ended, -1, &err));
    REFUSED(TOOLPOOL_ERR_REENTRANT, part, toolpool_job_next(ended, -1, &results, &err));
    REFUSED(TOOLPOOL_ERR_REENTRANT, part, toolpool_job_results(ended, &results, &err));
    CHECK(results == NULL);
    OK(toolpool_job_poll(ended, &err)); /* what does not wait is fine */
    OK(toolpool_job_progress(ended, &progress, &err));
    toolpool_close(pool);
    atomic_fetch_add(&refused, 1);
}

static toolpool_status_t load(void *user, const toolpool_device_t *device, void **state,
                              toolpool_error_t **error) {
    wait_inside();
    return count_load(user, device, state, error);
}

static toolpool_status_t run(void *state, const toolpool_batch_t *batch,
                             toolpool_outputs_t *outputs, toolpool_error_t **error) {
    wait_inside();
    return count_run(state, batch, outputs, error);
}

static double cost(void *user, const void *data, size_t len) {
    (void)user, (void)data;
    wait_inside();
    return (double)len;
}

static uint64_t extent(void *user, const void *data, size_t len) {
    (void)user, (void)data;
    wait_inside();
    return len;
}

static void unload(void *state) {
    wait_inside();
    count_unload(state);
}

static void destroy(void *user) {
    wait_inside();
    count_destroy(user);
}

static void count_closes(void *user, int32_t level, const char *line) {
    (void)user;
    if (level == TOOLPOOL_LOG_ERROR && strstr(line, "toolpool_close") != NULL)
        atomic_fetch_add(&closes, 1);
}

/* Submits a job from inside a batch, which waits for nothing. */
static toolpool_status_t run_submitting(void *state, const toolpool_batch_t *batch,
                                        toolpool_outputs_t *outputs, toolpool_error_t **error) {
    toolpool_job_t *job = NULL;
    OK(toolpool_submit(pool, echo, items, NULL, &job, &err));
    toolpool_job_free(job);
    return count_run(state, batch, outputs, error);
}

int main(void) {
    begin();
    calls_t calls = {0};
    toolpool_callbacks_t callbacks = TOOLPOOL_CALLBACKS_INIT;
    callbacks.load = load;
    callbacks.run = run;
    callbacks.cost = cost;
    callbacks.unload = unload;
    callbacks.destroy = destroy;
    callbacks.extent = extent;
    callbacks.batch_items = 1;
    toolpool_results_t *results = NULL;
    pool = open_pool("cpu*2");
    echo = open_echo();
    items = numbered(10);
    OK(toolpool_submit(pool, echo, items, NULL, &ended, &err));
    OK(toolpool_job_wait(ended, -1, &err));
    OK(toolpool_set_log(count_closes, NULL, TOOLPOOL_LOG_ERROR, &err));

    toolpool_tool_t *tool = tool_of("reentrant", callbacks, &calls);
    OK(toolpool_run(pool, tool, items, &results, &err));
    CHECK(output_is_number(results, 9, 9));
    toolpool_results_free(results);
    CHECK(calls.runs == 10);
    CHECK(refused == calls.loads + calls.runs + 20); /* a cost and an extent for each item */

    toolpool_callbacks_t submitting = counting();
    submitting.run = run_submitting;
    calls_t others = {0};
    toolpool_tool_t *submitter = tool_of("submitter", submitting, &others);
    OK(toolpool_run(pool, submitter, items, &results, &err));
    toolpool_results_free(results);
    toolpool_tool_free(submitter);

    toolpool_close(pool);
    toolpool_tool_free(tool);
    CHECK(calls.unloads == calls.loads && calls.destroys == 1 && others.destroys == 1);
    CHECK(refused == 2 * calls.loads + calls.runs + 21 && closes == refused);
    OK(toolpool_set_log(NULL, NULL, TOOLPOOL_LOG_ERROR, &err));
    toolpool_job_free(ended);
    toolpool_items_free(items);
    toolpool_tool_free(echo);
    return 0;
}
