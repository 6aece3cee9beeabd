/* A tool whose calls are answered by threads of the program: through a queue, with every kind of
 * answer, none at all, and one that comes too late. And a job that says when to look. */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <semaphore.h>

#include "check.h"

static toolpool_call_t next_call(toolpool_queue_t *queue) {
    toolpool_call_t call = TOOLPOOL_CALL_INIT;
    OK(toolpool_queue_next(queue, -1, &call, &err));
    return call;
}

static void answer(toolpool_queue_t *queue, const toolpool_call_t *call, toolpool_status_t status,
                   const char *message) {
    OK(toolpool_queue_answer(queue, call->number, status, message, &err));
}

static void ring(void *semaphore) { sem_post(semaphore); }

typedef struct {
    toolpool_tool_t *tool;
    toolpool_queue_t *queue;
    sem_t bell;
} queued_t;

static void open_queued(queued_t *queued, size_t batch_items) {
    toolpool_callbacks_t callbacks = TOOLPOOL_CALLBACKS_INIT;
    callbacks.batch_items = batch_items;
    CHECK(sem_init(&queued->bell, 0, 0) == 0);
    OK(toolpool_tool_from_queue("queued", &callbacks, ring, &queued->bell, &queued->tool,
                                &queued->queue, &err));
}

static toolpool_job_t *submit(toolpool_t *pool, const toolpool_tool_t *tool, size_t n,
                              const char *key, const char *value) {
    toolpool_items_t *items = numbered(n);
    toolpool_options_t *options = NULL;
    toolpool_job_t *job = NULL;
    OK(toolpool_options_new(&options, &err));
    if (key != NULL)
        OK(toolpool_options_set(options, key, value, &err));
    OK(toolpool_submit(pool, tool, items, options, &job, &err));
    toolpool_options_free(options);
    toolpool_items_free(items);
    return job;
}

static toolpool_results_t *results_of(toolpool_job_t *job, toolpool_status_t wanted) {
    toolpool_results_t *results = NULL;
    ANSWERS(wanted, toolpool_job_results(job, &results, &err));
    return results;
}

/* What was opened goes, and the queue tells of it: the state that was loaded, then the end. */
static void close_queued(queued_t *queued, toolpool_t *pool, int unloads) {
    toolpool_tool_free(queued->tool);
    toolpool_close(pool);
    toolpool_call_t call = TOOLPOOL_CALL_INIT;
    for (; unloads > 0; unloads--) {
        OK(toolpool_queue_next(queued->queue, 0, &call, &err));
        CHECK(call.kind == TOOLPOOL_CALL_UNLOAD && call.batch == NULL);
    }
    ANSWERS(TOOLPOOL_DONE, toolpool_queue_next(queued->queue, -1, &call, &err));
    toolpool_queue_free(queued->queue);
}

static void one_thread_answers_every_call(void) {
    toolpool_t *pool = open_pool("cpu*1");
    queued_t queued;
    open_queued(&queued, 4);
    toolpool_call_t call = TOOLPOOL_CALL_INIT;
    ANSWERS(TOOLPOOL_PENDING, toolpool_queue_next(queued.queue, 0, &call, &err));
    ANSWERS(TOOLPOOL_PENDING, toolpool_queue_next(queued.queue, 1, &call, &err));
    toolpool_job_t *job = submit(pool, queued.tool, 10, NULL, NULL);

    sem_wait(&queued.bell); /* not before it is rung */
    OK(toolpool_queue_next(queued.queue, 0, &call, &err));
    CHECK(call.kind == TOOLPOOL_CALL_LOAD && call.state == 1 && call.batch == NULL);
    CHECK(call.device.kind == TOOLPOOL_DEVICE_CPU && call.device.slot == 0);
    answer(queued.queue, &call, TOOLPOOL_OK, NULL);
    size_t items = 0;
    while (items < 10) {
        call = next_call(queued.queue);
        CHECK(call.kind == TOOLPOOL_CALL_RUN && call.state == 1);
        CHECK(toolpool_batch_len(call.batch) <= 4);
        CHECK(toolpool_batch_user(call.batch) == &queued.bell);
        items += toolpool_batch_len(call.batch);
        OK(echo_batch(call.batch, call.outputs, &err));
        answer(queued.queue, &call, TOOLPOOL_OK, NULL);
    }
    toolpool_results_t *results = results_of(job, TOOLPOOL_OK);
    for (size_t i = 0; i < 10; i++)
        CHECK(output_is_number(results, i, i));
    answer(queued.queue, &call, TOOLPOOL_OK, NULL); /* a second answer is dropped */
    REFUSED(TOOLPOOL_ERR_NOT_FOUND, "no call 99",
            toolpool_queue_answer(queued.queue, 99, TOOLPOOL_OK, NULL, &err));
    toolpool_results_free(results);
    toolpool_job_free(job);
    close_queued(&queued, pool, 1);
}

static void errors_are_those_of_any_tool(void) {
    toolpool_t *pool = open_pool("cpu*1");
    queued_t queued;
    open_queued(&queued, 1);
    toolpool_job_t *job = submit(pool, queued.tool, 3, NULL, NULL);
    toolpool_call_t call = next_call(queued.queue);
    answer(queued.queue, &call, TOOLPOOL_OK, NULL);
    for (int i = 0; i < 3; i++) {
        call = next_call(queued.queue);
        if (item_is(call.batch, 0, "1")) {
            answer(queued.queue, &call, TOOLPOOL_ERR_ITEM, "no ones");
        } else if (item_is(call.batch, 0, "2")) {
            answer(queued.queue, &call, 12345, NULL);
        } else {
            OK(echo_batch(call.batch, call.outputs, &err));
            answer(queued.queue, &call, TOOLPOOL_OK, NULL);
        }
    }
    toolpool_results_t *results = results_of(job, TOOLPOOL_PARTIAL);
    CHECK(output_is_number(results, 0, 0));
    CHECK(toolpool_results_status(results, 1) == TOOLPOOL_ERR_ITEM);
    CHECK(error_says(results, 1, "queued: no ones"));
    CHECK(toolpool_results_status(results, 2) == TOOLPOOL_ERR_CONTRACT);
    CHECK(error_says(results, 2, "12345"));
    toolpool_results_free(results);
    toolpool_job_free(job);
    close_queued(&queued, pool, 1);
}

static void a_load_that_is_refused_fails_the_job(void) {
    toolpool_t *pool = open_pool("cpu*1");
    queued_t queued;
    open_queued(&queued, 0);
    toolpool_job_t *job = submit(pool, queued.tool, 3, NULL, NULL);
    toolpool_call_t call = next_call(queued.queue);
    answer(queued.queue, &call, TOOLPOOL_ERR_MODEL, "no weights");
    toolpool_results_t *results = NULL;
    REFUSED(TOOLPOOL_ERR_MODEL, "queued: no weights", toolpool_job_results(job, &results, &err));
    toolpool_job_free(job);
    close_queued(&queued, pool, 0);
}

/* The queue goes while one call is taken and the items wait: nothing hangs, and nothing is lost
 * silently. */
static void a_queue_that_is_freed_ends_what_waits(void) {
    toolpool_t *pool = open_pool("cpu*2");
    queued_t queued;
    open_queued(&queued, 1);
    toolpool_job_t *job = submit(pool, queued.tool, 6, NULL, NULL);
    toolpool_call_t call;
    do {
        call = next_call(queued.queue);
        if (call.kind == TOOLPOOL_CALL_LOAD)
            answer(queued.queue, &call, TOOLPOOL_OK, NULL);
    } while (call.kind != TOOLPOOL_CALL_RUN);
    toolpool_queue_free(queued.queue);
    toolpool_results_t *results = results_of(job, TOOLPOOL_PARTIAL);
    for (size_t i = 0; i < 6; i++) {
        CHECK(toolpool_results_status(results, i) == TOOLPOOL_ERR_FAILED);
        CHECK(error_says(results, i, "queued: nobody answers"));
    }
    toolpool_results_free(results);
    toolpool_job_free(job);
    toolpool_tool_free(queued.tool);
    toolpool_close(pool);
}

/* Past its time limit a batch is given up, its state is replaced, and the item tried once more. An
 * answer that is late still finds its memory. */
static void an_answer_may_come_too_late(void) {
    toolpool_t *pool = open_pool("cpu*1");
    queued_t queued;
    open_queued(&queued, 1);
    toolpool_job_t *job = submit(pool, queued.tool, 1, "batch_time_limit", "0.2");
    toolpool_call_t late = TOOLPOOL_CALL_INIT;
    int runs = 0, loads = 0;
    while (toolpool_job_poll(job, &err) == TOOLPOOL_PENDING) {
        toolpool_call_t call = TOOLPOOL_CALL_INIT;
        if (toolpool_queue_next(queued.queue, 10, &call, &err) != TOOLPOOL_OK)
            continue;
        if (call.kind == TOOLPOOL_CALL_LOAD) {
            loads++;
            answer(queued.queue, &call, TOOLPOOL_OK, NULL);
        } else if (call.kind == TOOLPOOL_CALL_RUN) {
            runs++;
            late = call;
        }
    }
    CHECK(loads == 2 && runs <= 2); /* none, if they were given up before they could be taken */
    toolpool_results_t *results = NULL;
    (void)toolpool_job_results(job, &results, NULL);
    CHECK(results == NULL || toolpool_results_status(results, 0) == TOOLPOOL_ERR_TIME_LIMIT);
    if (runs > 0) {
        CHECK(item_is(late.batch, 0, "0"));
        OK(echo_batch(late.batch, late.outputs, &err));
        answer(queued.queue, &late, TOOLPOOL_OK, NULL);
    }
    toolpool_results_free(results);
    toolpool_job_free(job);
    toolpool_tool_free(queued.tool);
    toolpool_close(pool);
    toolpool_queue_free(queued.queue);
}

/* A program that never waits in toolpool: it sleeps until something rings, and then looks. */
static void a_job_says_when_to_look(void) {
    toolpool_t *pool = open_pool("cpu*2");
    toolpool_tool_t *echo = open_echo();
    sem_t bell;
    CHECK(sem_init(&bell, 0, 0) == 0);
    toolpool_job_t *job = submit(pool, echo, 1000, NULL, NULL);
    OK(toolpool_job_notify(job, ring, &bell, &err));
    size_t items = 0;
    toolpool_status_t status = TOOLPOOL_PENDING;
    while (status != TOOLPOOL_DONE) {
        if (status == TOOLPOOL_PENDING)
            sem_wait(&bell);
        toolpool_results_t *results = NULL;
        status = toolpool_job_next(job, 0, &results, &err);
        CHECK(status >= 0);
        items += toolpool_results_len(results);
        toolpool_results_free(results);
    }
    CHECK(items == 1000);
    OK(toolpool_job_notify(job, ring, &bell, &err)); /* it has ended, so at once */
    sem_wait(&bell);
    OK(toolpool_job_notify(job, NULL, NULL, &err));
    toolpool_job_free(job);
    toolpool_tool_free(echo);
    toolpool_close(pool);
}

static void what_is_refused(void) {
    toolpool_tool_t *tool = NULL;
    toolpool_queue_t *queue = NULL;
    toolpool_callbacks_t callbacks = counting();
    REFUSED(TOOLPOOL_ERR_ARGUMENT, "`load` set",
            toolpool_tool_from_queue("queued", &callbacks, NULL, NULL, &tool, &queue, &err));
    REFUSED(TOOLPOOL_ERR_ARGUMENT, "the tool's name",
            toolpool_tool_from_queue(NULL, NULL, NULL, NULL, &tool, &queue, &err));
    REFUSED(TOOLPOOL_ERR_ARGUMENT, "out-parameter",
            toolpool_tool_from_queue("queued", NULL, NULL, NULL, &tool, NULL, &err));
    toolpool_call_t call = TOOLPOOL_CALL_INIT;
    REFUSED(TOOLPOOL_ERR_ARGUMENT, "the queue", toolpool_queue_next(NULL, 0, &call, &err));
    OK(toolpool_tool_from_queue("queued", NULL, NULL, NULL, &tool, &queue, &err));
    call.size = 8;
    REFUSED(TOOLPOOL_ERR_ARGUMENT, "TOOLPOOL_CALL_INIT",
            toolpool_queue_next(queue, 0, &call, &err));
    REFUSED(TOOLPOOL_ERR_NOT_FOUND, "no call 0",
            toolpool_queue_answer(queue, 0, TOOLPOOL_OK, NULL, &err));
    toolpool_queue_free(queue);
    toolpool_queue_free(NULL);
    toolpool_tool_free(tool);
}

int main(void) {
    begin();
    one_thread_answers_every_call();
    errors_are_those_of_any_tool();
    a_load_that_is_refused_fails_the_job();
    a_queue_that_is_freed_ends_what_waits();
    an_answer_may_come_too_late();
    a_job_says_when_to_look();
    what_is_refused();
    return 0;
}
