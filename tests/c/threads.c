/* Many threads at one pool, and a pool that is closed under them. */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <semaphore.h>

#include "check.h"

enum { THREADS = 4 };

static toolpool_t *pool;
static toolpool_tool_t *tool;
static toolpool_items_t *items;
static toolpool_results_t *shared;
static toolpool_job_t *job;
static pthread_barrier_t barrier;

static void in_threads(void *(*body)(void *)) {
    pthread_t threads[THREADS];
    pthread_barrier_init(&barrier, NULL, THREADS);
    for (intptr_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, body, (void *)i) == 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&barrier);
}

static void check_numbers(const toolpool_results_t *results, size_t n) {
    CHECK(toolpool_results_len(results) == n);
    for (size_t i = 0; i < n; i++)
        CHECK(output_is_number(results, i, i));
}

static void *run_and_submit(void *number) {
    for (int turn = 0; turn < 25; turn++) {
        const size_t n = 1 + 37 * (size_t)(intptr_t)number + (size_t)turn;
        toolpool_items_t *own = numbered(n);
        toolpool_results_t *results = NULL;
        toolpool_job_t *own_job = NULL;
        OK(toolpool_run(pool, tool, own, &results, &err));
        check_numbers(results, n);
        toolpool_results_free(results);
        OK(toolpool_submit(pool, tool, items, NULL, &own_job, &err));
        OK(toolpool_job_results(own_job, &results, &err));
        check_numbers(results, 500);
        toolpool_results_free(results);
        toolpool_job_free(own_job);
        toolpool_items_free(own);
    }
    return NULL;
}

static void threads_share_a_pool_a_tool_and_items(void) {
    calls_t calls = {0};
    pool = open_pool("cpu*3");
    tool = tool_of("shared", counting(), &calls);
    items = numbered(500);
    in_threads(run_and_submit);
    toolpool_items_free(items);
    toolpool_tool_free(tool);
    toolpool_close(pool);
    CHECK(calls.loads == calls.unloads && calls.destroys == 1);
}

static void *read_all(void *unused) {
    toolpool_column_t column = TOOLPOOL_COLUMN_INIT;
    (void)unused;
    pthread_barrier_wait(&barrier);
    OK(toolpool_results_column(shared, "output", &column, &err));
    CHECK(column.n_rows == 500);
    check_numbers(shared, 500);
    CHECK(strcmp(toolpool_results_output_name(shared, 0), "output") == 0);
    return NULL;
}

static void threads_read_the_same_results(void) {
    for (int turn = 0; turn < 10; turn++) {
        pool = open_pool("cpu*2");
        tool = open_echo();
        items = numbered(500);
        shared = NULL;
        OK(toolpool_run(pool, tool, items, &shared, &err));
        toolpool_close(pool);
        toolpool_items_free(items);
        toolpool_tool_free(tool);
        in_threads(read_all);
        toolpool_results_free(shared);
    }
}

static atomic_int handed_out[5000];

static void *take_turns(void *unused) {
    toolpool_status_t status;
    toolpool_results_t *results = NULL;
    (void)unused;
    pthread_barrier_wait(&barrier);
    while ((status = toolpool_job_next(job, -1, &results, &err)) == TOOLPOOL_OK) {
        for (size_t i = 0; i < toolpool_results_len(results); i++)
            atomic_fetch_add(&handed_out[toolpool_results_index(results, i)], 1);
        toolpool_results_free(results);
        results = NULL;
    }
    CHECK(status == TOOLPOOL_DONE);
    return NULL;
}

static void threads_that_take_turns_get_each_item_once(void) {
    toolpool_options_t *options = NULL;
    pool = open_pool("cpu*2");
    tool = open_echo();
    items = numbered(5000);
    OK(toolpool_options_new(&options, &err));
    OK(toolpool_options_set(options, "pending_bytes", "100", &err));
    OK(toolpool_submit(pool, tool, items, options, &job, &err));
    in_threads(take_turns);
    for (size_t i = 0; i < 5000; i++)
        CHECK(handed_out[i] == 1);
    toolpool_options_free(options);
    toolpool_job_free(job);
    toolpool_items_free(items);
    toolpool_tool_free(tool);
    toolpool_close(pool);
}

static bool done_or_closed(const toolpool_results_t *results, size_t i) {
    return toolpool_results_status(results, i) == TOOLPOOL_ERR_CLOSED
               ? error_says(results, i, "closed")
               : output_is_number(results, i, i);
}

/* Runs until the pool is closed; two of the threads close it after some runs. */
static void *run_until_closed(void *number) {
    toolpool_status_t status;
    int runs = 0;
    pthread_barrier_wait(&barrier);
    do {
        toolpool_results_t *results = NULL;
        if ((intptr_t)number < 2 && runs == 3)
            toolpool_close(pool);
        status = toolpool_run(pool, tool, items, &results, &err);
        runs++;
        if (status >= 0) {
            CHECK(toolpool_results_len(results) == 500);
            bool partial = false;
            for (size_t i = 0; i < 500; i++) {
                CHECK(done_or_closed(results, i));
                partial |= toolpool_results_status(results, i) < 0;
            }
            CHECK(status == (partial ? TOOLPOOL_PARTIAL : TOOLPOOL_OK));
            toolpool_results_free(results);
        }
    } while (status >= 0);
    REFUSED(TOOLPOOL_ERR_CLOSED, "closed", status);
    return NULL;
}

static void a_pool_may_be_closed_under_running_jobs_by_two_at_once(void) {
    for (int turn = 0; turn < 20; turn++) {
        calls_t calls = {0};
        toolpool_callbacks_t callbacks = counting();
        toolpool_job_t *late = NULL;
        toolpool_devices_t *devices = NULL;
        callbacks.batch_items = 3;
        pool = open_pool("cpu*2");
        tool = tool_of("closed", callbacks, &calls);
        items = numbered(500);
        in_threads(run_until_closed);
        REFUSED(TOOLPOOL_ERR_CLOSED, "closed",
                toolpool_submit(pool, tool, items, NULL, &late, &err));
        REFUSED(TOOLPOOL_ERR_CLOSED, "closed", toolpool_warm(pool, tool, &err));
        REFUSED(TOOLPOOL_ERR_CLOSED, "closed", toolpool_drain(pool, -1, &err));
        REFUSED(TOOLPOOL_ERR_CLOSED, "closed", toolpool_slots(pool, &devices, &err));
        toolpool_close(pool);
        CHECK(late == NULL && devices == NULL && calls.loads == calls.unloads);
        toolpool_items_free(items);
        toolpool_tool_free(tool);
        CHECK(calls.destroys == 1);
    }
}

/* One worker stands at a gate in `load`; every way of waiting for it ends when the pool is closed.
 */
static sem_t come, go;

static toolpool_status_t load_gated(void *user, const toolpool_device_t *device, void **state,
                                    toolpool_error_t **error) {
    sem_post(&come);
    while (sem_wait(&go) != 0)
        ;
    return count_load(user, device, state, error);
}

static void *wait_somehow(void *way) {
    toolpool_results_t *results = NULL;
    toolpool_status_t status;
    sem_post(&come);
    switch ((intptr_t)way) {
    case 0:
        OK(toolpool_job_wait(job, -1, &err));
        break;
    case 1:
        do
            status = toolpool_job_next(job, -1, &results, &err);
        while (status == TOOLPOOL_PENDING);
        CHECK(status == TOOLPOOL_PARTIAL && toolpool_results_len(results) == 500);
        CHECK(toolpool_results_status(results, 0) == TOOLPOOL_ERR_CLOSED);
        toolpool_results_free(results);
        break;
    case 2:
        status = toolpool_drain(pool, -1, &err);
        CHECK(status == TOOLPOOL_OK || status == TOOLPOOL_ERR_CLOSED);
        break;
    default:
        REFUSED(TOOLPOOL_ERR_CLOSED, "closed", toolpool_warm(pool, tool, &err));
    }
    toolpool_error_free(err);
    err = NULL;
    return NULL;
}

static void *close_pool(void *unused) {
    (void)unused;
    toolpool_close(pool);
    return NULL;
}

static void closing_ends_every_wait(void) {
    for (int turn = 0; turn < 20; turn++) {
        calls_t calls = {0};
        toolpool_callbacks_t callbacks = counting();
        pthread_t waiters[4], closer;
        callbacks.load = load_gated;
        sem_init(&come, 0, 0);
        sem_init(&go, 0, 0);
        pool = open_pool("cpu");
        tool = tool_of("gated", callbacks, &calls);
        items = numbered(500);
        job = NULL;
        OK(toolpool_submit(pool, tool, items, NULL, &job, &err));
        for (intptr_t way = 0; way < 4; way++)
            CHECK(pthread_create(&waiters[way], NULL, wait_somehow, (void *)way) == 0);
        for (int i = 0; i < 5; i++)
            while (sem_wait(&come) != 0)
                ;
        CHECK(pthread_create(&closer, NULL, close_pool, NULL) == 0);
        for (int i = 0; i < 4; i++)
            pthread_join(waiters[i], NULL);
        sem_post(&go);
        pthread_join(closer, NULL);
        toolpool_job_free(job);
        toolpool_items_free(items);
        toolpool_tool_free(tool);
        CHECK(calls.runs == 0 && calls.loads == 1 && calls.unloads == 1 && calls.destroys == 1);
    }
}

int main(void) {
    begin();
    threads_share_a_pool_a_tool_and_items();
    threads_read_the_same_results();
    threads_that_take_turns_get_each_item_once();
    a_pool_may_be_closed_under_running_jobs_by_two_at_once();
    closing_ends_every_wait();
    return 0;
}
