/* A program may end at any moment without closing its pool, and signals are its own. */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/wait.h>

#include "check.h"

enum { CODE = 42 };

static sem_t come;

static toolpool_status_t run_endless(void *state, const toolpool_batch_t *batch,
                                     toolpool_outputs_t *outputs, toolpool_error_t **error) {
    sem_post(&come);
    return count_run(state, batch, outputs, error);
}

static toolpool_status_t run_stuck(void *state, const toolpool_batch_t *batch,
                                   toolpool_outputs_t *outputs, toolpool_error_t **error) {
    (void)state, (void)batch, (void)outputs, (void)error;
    sem_post(&come);
    while (pause() != 0)
        ;
    return TOOLPOOL_OK;
}

static toolpool_status_t run_exiting(void *state, const toolpool_batch_t *batch,
                                     toolpool_outputs_t *outputs, toolpool_error_t **error) {
    (void)state, (void)batch, (void)outputs, (void)error;
    exit(CODE);
}

static atomic_bool torn_down;

static void tear_down(void) { torn_down = true; }

/* What a tool stands on is gone by now: no callback may come after the program's own handlers. */
static void unload_in_time(void *state) {
    if (torn_down)
        _exit(99);
    count_unload(state);
}

/* What is left open stays in reach, so that who looks for leaks finds none. */
static calls_t calls;
static toolpool_t *pool;
static toolpool_tool_t *tool;
static toolpool_job_t *job;

/* Leaves a job of many batches running on an open pool. */
static void leave_running(toolpool_callbacks_t callbacks) {
    pool = open_pool("cpu*2");
    sem_init(&come, 0, 0);
    callbacks.batch_items = 1;
    callbacks.unload = unload_in_time;
    tool = tool_of("endless", callbacks, &calls);
    toolpool_items_t *items = numbered(100000);
    OK(toolpool_submit(pool, tool, items, NULL, &job, &err));
    toolpool_items_free(items);
}

static void run_is(toolpool_status_t (*run)(void *, const toolpool_batch_t *, toolpool_outputs_t *,
                                            toolpool_error_t **)) {
    toolpool_callbacks_t callbacks = counting();
    callbacks.run = run;
    leave_running(callbacks);
}

static void wait_for_a_batch(void) {
    while (sem_wait(&come) != 0)
        ;
}

static void exit_with_a_job_under_way(void) {
    atexit(tear_down); /* before the library's, so called after it */
    run_is(run_endless);
    wait_for_a_batch();
    exit(CODE);
}

static void exit_with_idle_workers(void) {
    atexit(tear_down);
    toolpool_callbacks_t callbacks = counting();
    callbacks.unload = unload_in_time;
    pool = open_pool("cpu*2");
    tool = tool_of("idle", callbacks, &calls);
    OK(toolpool_warm(pool, tool, &err));
    exit(CODE);
}

static void exit_at_once(void) {
    run_is(run_endless);
    exit(CODE);
}

static void quick_exit_of_another_kind(void) {
    run_is(run_endless);
    wait_for_a_batch();
    _exit(CODE);
}

static void exit_though_a_tool_never_returns(void) {
    run_is(run_stuck);
    wait_for_a_batch();
    exit(CODE);
}

static void exit_inside_a_tool(void) {
    run_is(run_exiting);
    for (;;)
        pause();
}

static void close_late(void) { toolpool_close(pool); }

static void close_in_a_handler_that_comes_late(void) {
    atexit(close_late);
    pool = open_pool("cpu*2");
    exit(CODE);
}

static void close_in_a_handler_that_comes_early(void) {
    pool = open_pool("cpu*2");
    atexit(close_late);
    exit(CODE);
}

static void in_a_child(const char *what, void (*body)(void)) {
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        alarm(HANG_SECONDS);
        body();
        _exit(1);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != CODE) {
        fprintf(stderr, "%s: status %#x\n", what, (unsigned)status);
        fail_at(__FILE__, __LINE__, "the child ended otherwise");
    }
}

static pthread_t handled_by;
static volatile sig_atomic_t handled;

static void handle(int signal) {
    (void)signal;
    handled_by = pthread_self();
    handled++;
}

static toolpool_status_t run_asking_for_signals(void *state, const toolpool_batch_t *batch,
                                                toolpool_outputs_t *outputs,
                                                toolpool_error_t **error) {
    sigset_t blocked;
    pthread_sigmask(SIG_BLOCK, NULL, &blocked);
    const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGALRM, SIGCHLD};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        if (!sigismember(&blocked, signals[i]))
            return toolpool_error_set(error, TOOLPOOL_ERR_FAILED, "a signal is not blocked");
    return count_run(state, batch, outputs, error);
}

static void signals_are_for_the_threads_of_the_program(void) {
    struct sigaction action = {.sa_handler = handle};
    sigset_t usr1, before, after;
    sigaction(SIGUSR1, &action, NULL);
    pthread_sigmask(SIG_BLOCK, NULL, &before);
    pool = open_pool("cpu*2");
    pthread_sigmask(SIG_BLOCK, NULL, &after);
    CHECK(!sigismember(&after, SIGUSR1) && !sigismember(&before, SIGUSR1)); /* left as it was */

    toolpool_callbacks_t callbacks = counting();
    callbacks.run = run_asking_for_signals;
    calls_t own = {0};
    tool = tool_of("signals", callbacks, &own);
    toolpool_items_t *items = numbered(100);
    toolpool_results_t *results = NULL;
    OK(toolpool_run(pool, tool, items, &results, &err));
    toolpool_results_free(results);
    toolpool_items_free(items);

    /* While this thread blocks it, the signal can go to nobody else. */
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &usr1, NULL);
    kill(getpid(), SIGUSR1);
    items = numbered(1000);
    OK(toolpool_run(pool, tool, items, &results, &err));
    CHECK(handled == 0);
    pthread_sigmask(SIG_UNBLOCK, &usr1, NULL);
    CHECK(handled == 1 && pthread_equal(handled_by, pthread_self()));
    toolpool_results_free(results);
    toolpool_items_free(items);
    toolpool_tool_free(tool);
    toolpool_close(pool);
}

int main(void) {
    begin();
#define IN_A_CHILD(body) in_a_child(#body, body)
    for (int turn = 0; turn < 10; turn++) {
        IN_A_CHILD(exit_with_a_job_under_way);
        IN_A_CHILD(exit_with_idle_workers);
        IN_A_CHILD(exit_at_once);
        IN_A_CHILD(quick_exit_of_another_kind);
    }
    IN_A_CHILD(exit_inside_a_tool);
    IN_A_CHILD(exit_though_a_tool_never_returns);
    IN_A_CHILD(close_in_a_handler_that_comes_late);
    IN_A_CHILD(close_in_a_handler_that_comes_early);
    signals_are_for_the_threads_of_the_program();
    return 0;
}
