/* A minute of work, cancelled a second after it began: it returns as soon as the batches under way
 * are done, with what was done. What is checked are counts; how long it took is printed. */
#define _POSIX_C_SOURCE 200809L
#include <time.h>

#include "check.h"

enum {
    SLOTS = 2,
    BATCH = 4,
    BATCH_MS = 10,
    BATCHES = SLOTS * 60 * 1000 / BATCH_MS,
    BEFORE = SLOTS * 1000 / BATCH_MS
};

typedef struct {
    calls_t calls;
    atomic_int begun;
} slow_t;

static toolpool_status_t run_slowly(void *state, const toolpool_batch_t *batch,
                                    toolpool_outputs_t *outputs, toolpool_error_t **error) {
    slow_t *slow = state;
    atomic_fetch_add(&slow->begun, 1);
    nanosleep(&(struct timespec){.tv_nsec = BATCH_MS * 1000000}, NULL);
    return count_run(state, batch, outputs, error);
}

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

int main(void) {
    begin();
    slow_t slow;
    memset(&slow, 0, sizeof slow);
    toolpool_callbacks_t callbacks = counting();
    callbacks.run = run_slowly;
    callbacks.batch_items = BATCH;
    toolpool_t *pool = open_pool("cpu*2");
    toolpool_tool_t *tool = tool_of("slow", callbacks, &slow);
    toolpool_items_t *items = numbered(BATCHES * BATCH);
    toolpool_job_t *job = NULL;
    toolpool_results_t *results = NULL;

    const double submitted = seconds();
    OK(toolpool_submit(pool, tool, items, NULL, &job, &err));
    while (atomic_load(&slow.begun) < BEFORE)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    const double cancelled = seconds();
    OK(toolpool_job_cancel(job, &err));
    const int begun = atomic_load(&slow.begun);
    ANSWERS(TOOLPOOL_PARTIAL, toolpool_job_results(job, &results, &err));
    const double returned = seconds();

    const int runs = atomic_load(&slow.begun);
    CHECK(runs >= BEFORE &&
          runs - begun <= SLOTS); /* a worker may have taken a batch just before */
    size_t done = 0;
    CHECK(toolpool_results_len(results) == BATCHES * BATCH);
    for (size_t i = 0; i < BATCHES * BATCH; i++) {
        if (toolpool_results_status(results, i) == TOOLPOOL_OK) {
            CHECK(output_is_number(results, i, i));
            done++;
        } else {
            CHECK(toolpool_results_status(results, i) == TOOLPOOL_ERR_CANCELLED);
        }
    }
    CHECK(done == (size_t)atomic_load(&slow.calls.items));
    toolpool_progress_t progress = TOOLPOOL_PROGRESS_INIT;
    OK(toolpool_job_progress(job, &progress, &err));
    CHECK(progress.done == done && progress.undone == progress.total - done);
    printf("%d s of work, cancelled after %.2f s: back %.0f ms later with %zu of %d items (a batch "
           "takes %d ms)\n",
           BATCHES * BATCH_MS / SLOTS / 1000, cancelled - submitted, 1e3 * (returned - cancelled),
           done, BATCHES * BATCH, BATCH_MS);
    toolpool_results_free(results);
    toolpool_job_free(job);
    toolpool_items_free(items);
    toolpool_tool_free(tool);
    toolpool_close(pool);
    return 0;
}
