/* A forked child has no workers: handles of the parent answer so, and nothing hangs or touches the
 * parent. */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/wait.h>

#include "check.h"

static sem_t come, go;

static void wait_for(sem_t *sem) {
    while (sem_wait(sem) != 0)
        ;
}

static toolpool_status_t run_gated(void *state, const toolpool_batch_t *batch,
                                   toolpool_outputs_t *outputs, toolpool_error_t **error) {
    sem_post(&come);
    wait_for(&go);
    return count_run(state, batch, outputs, error);
}

static void run_echo(const char *devices) {
    toolpool_t *pool = open_pool(devices);
    toolpool_tool_t *echo = open_echo();
    toolpool_items_t *items = numbered(100);
    toolpool_results_t *results = NULL;
    OK(toolpool_run(pool, echo, items, &results, &err));
    CHECK(output_is_number(results, 99, 99));
    toolpool_results_free(results);
    toolpool_items_free(items);
    toolpool_tool_free(echo);
    toolpool_close(pool);
}

static bool forked;

/* The last of the handlers. The stacks of the parent's workers are lost in a child, and with them
 * what they held: it ends before anybody looks for leaks. */
static void end_child(void) {
    if (forked)
        raise(SIGKILL);
}

static bool over;

static void *open_and_free(void *no) {
    (void)no;
    while (!__atomic_load_n(&over, __ATOMIC_RELAXED)) {
        calls_t calls = {0};
        toolpool_tool_free(tool_of("passing", counting(), &calls));
    }
    return NULL;
}

/* Whatever other threads do at the moment of a fork, the child comes to its end. */
static void children_can_exit(void) {
    enum { THREADS = 2, CHILDREN = 300 };
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, open_and_free, NULL) == 0);
    for (int i = 0; i < CHILDREN; i++) {
        const pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            forked = true;
            alarm(HANG_SECONDS);
            exit(0);
        }
        int status;
        CHECK(waitpid(child, &status, 0) == child);
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    }
    __atomic_store_n(&over, true, __ATOMIC_RELAXED);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

int main(void) {
    begin();
    atexit(end_child);
    calls_t calls = {0};
    toolpool_callbacks_t callbacks = counting();
    toolpool_t *pool = open_pool("cpu*2");
    toolpool_tool_t *echo = open_echo();
    toolpool_items_t *items = numbered(20);
    toolpool_results_t *before = NULL, *results = NULL;
    toolpool_job_t *job = NULL;
    toolpool_report_t *report = NULL;
    sem_init(&come, 0, 0);
    sem_init(&go, 0, 0);
    callbacks.run = run_gated;
    callbacks.batch_items = 1;
    toolpool_tool_t *tool = tool_of("gated", callbacks, &calls);
    OK(toolpool_run(pool, echo, items, &before, &err));
    OK(toolpool_submit(pool, tool, items, NULL, &job, &err));
    wait_for(&come);
    wait_for(&come); /* both workers are in a batch */
    OK(toolpool_job_report(job, &report, &err));

    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        forked = true;
        alarm(HANG_SECONDS);
        const char *part = "forked";
        toolpool_job_t *none = NULL;
        toolpool_devices_t *devices = NULL;
        toolpool_report_t *no_report = NULL;
        toolpool_progress_t progress = TOOLPOOL_PROGRESS_INIT;
        REFUSED(TOOLPOOL_ERR_FORKED, part, toolpool_run(pool, echo, items, &results, &err));
        REFUSED(TOOLPOOL_ERR_FORKED, part, toolpool_submit(pool, echo, items, NULL, &none, &err));
        REFUSED(TOOLPOOL_ERR_FORKED, part, toolpool_warm(pool, echo, &err));
        REFUSED(TOOLPOOL_ERR_FORKED, part, toolpool_drain(pool, -1, &err));
        REFUSED(TOOLPOOL_ERR_FORKED, part, toolpool_slots(pool, &devices, &err));
        REFUSED(TOOLPOOL_ERR_FORKED, part, toolpool_job_wait(job, -1, &err));
        REFUSED(TOOLPOOL_ERR_FORKED, part, toolpool_job_poll(job, &err));
        REFUSED(TOOLPOOL_ERR_FORKED, part, toolpool_job_cancel(job, &err));
        REFUSED(TOOLPOOL_ERR_FORKED, part, toolpool_job_progress(job, &progress, &err));
        REFUSED(TOOLPOOL_ERR_FORKED, part, toolpool_job_next(job, -1, &results, &err));
        REFUSED(TOOLPOOL_ERR_FORKED, part, toolpool_job_results(job, &results, &err));
        REFUSED(TOOLPOOL_ERR_FORKED, part, toolpool_job_report(job, &no_report, &err));
        CHECK(none == NULL && devices == NULL && results == NULL && no_report == NULL);
        for (size_t i = 0; i < 20; i++) /* plain memory stays readable */
            CHECK(output_is_number(before, i, i));
        CHECK(toolpool_report_slots(report) == 2 && *toolpool_report_json(report) == '{');
        run_echo("cpu*2"); /* the child may have a pool of its own */
        toolpool_report_free(report);
        toolpool_results_free(before);
        toolpool_job_free(job);
        toolpool_items_free(items);
        toolpool_tool_free(tool);
        toolpool_tool_free(echo);
        toolpool_close(pool);
        CHECK(calls.unloads == 0);
        exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);

    for (int i = 0; i < 20; i++)
        sem_post(&go);
    OK(toolpool_job_results(job, &results, &err));
    for (size_t i = 0; i < 20; i++)
        CHECK(output_is_number(results, i, i) && output_is_number(before, i, i));
    toolpool_report_free(report);
    toolpool_results_free(before);
    toolpool_results_free(results);
    toolpool_job_free(job);
    toolpool_items_free(items);
    toolpool_tool_free(tool);
    toolpool_tool_free(echo);
    toolpool_close(pool);
    CHECK(calls.loads == calls.unloads && calls.destroys == 1);
    const char *preloaded = getenv("LD_PRELOAD");
    if (preloaded == NULL || strstr(preloaded, "vgpreload") == NULL)
        children_can_exit(); /* valgrind runs one thread at a time, and is not fair */
    return 0;
}
