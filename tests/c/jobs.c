/* Jobs: waiting, progress, results as they finish, pausing, cancelling, many at once. No check
 * depends on time: gates hold the worker where a test wants it. */
#include <sched.h>
#include <semaphore.h>

#include "check.h"

/* A tool whose batches wait at a gate, and tell when they have come to it. */
typedef struct {
    calls_t calls;
    sem_t come, go;
} gate_t;

static void wait_for(sem_t *sem) {
    while (sem_wait(sem) != 0)
        ;
}

static void pass(gate_t *gate, int batches) {
    for (int i = 0; i < batches; i++)
        sem_post(&gate->go);
}

static toolpool_status_t run_gated(void *state, const toolpool_batch_t *batch,
                                   toolpool_outputs_t *outputs, toolpool_error_t **error) {
    gate_t *gate = state;
    sem_post(&gate->come);
    wait_for(&gate->go);
    return count_run(state, batch, outputs, error);
}

static toolpool_tool_t *gated(gate_t *gate) {
    toolpool_callbacks_t callbacks = counting();
    callbacks.run = run_gated;
    callbacks.batch_items = 1;
    memset(gate, 0, sizeof *gate);
    sem_init(&gate->come, 0, 0);
    sem_init(&gate->go, 0, 0);
    return tool_of("gated", callbacks, gate);
}

static toolpool_job_t *submit(toolpool_t *pool, toolpool_tool_t *tool, toolpool_items_t *items,
                              const char *key, const char *value) {
    toolpool_options_t *options = NULL;
    toolpool_job_t *job = NULL;
    if (key != NULL) {
        OK(toolpool_options_new(&options, &err));
        OK(toolpool_options_set(options, key, value, &err));
    }
    OK(toolpool_submit(pool, tool, items, options, &job, &err));
    toolpool_options_free(options);
    return job;
}

static toolpool_progress_t progress_of(const toolpool_job_t *job) {
    toolpool_progress_t progress = TOOLPOOL_PROGRESS_INIT;
    OK(toolpool_job_progress(job, &progress, &err));
    return progress;
}

static void a_job_can_be_watched_and_waited_for(void) {
    const char *strings[] = {"333", "22", "22", "1"};
    gate_t gate;
    toolpool_t *pool = open_pool("cpu");
    toolpool_tool_t *tool = gated(&gate);
    toolpool_items_t *items = items_of(strings, 4);
    toolpool_job_t *job = submit(pool, tool, items, NULL, NULL);
    toolpool_results_t *results = NULL;

    wait_for(&gate.come);
    ANSWERS(TOOLPOOL_PENDING, toolpool_job_poll(job, &err));
    ANSWERS(TOOLPOOL_PENDING, toolpool_job_wait(job, 1, &err));
    ANSWERS(TOOLPOOL_PENDING, toolpool_job_next(job, 0, &results, &err));
    ANSWERS(TOOLPOOL_PENDING, toolpool_job_next(job, 1, &results, &err));
    ANSWERS(TOOLPOOL_PENDING, toolpool_drain(pool, 0, &err));
    ANSWERS(TOOLPOOL_PENDING, toolpool_drain(pool, 1, &err));
    toolpool_progress_t progress = progress_of(job);
    CHECK(progress.total == 4 && progress.unique == 3 && progress.done == 0);
    CHECK(progress.running == 1 && progress.failed == 0 && progress.unread_bytes == 0);

    pass(&gate, 2);
    wait_for(&gate.come);
    wait_for(
        &gate.come); /* the third batch is at the gate: two have ended, with "22" and its twin */
    progress = progress_of(job);
    CHECK(progress.done == 3 && progress.running == 1 && progress.unread_bytes == 5);

    pass(&gate, 1);
    OK(toolpool_job_wait(job, -1, &err));
    OK(toolpool_job_poll(job, &err));
    OK(toolpool_drain(pool, -1, &err));
    progress = progress_of(job);
    CHECK(progress.done == 4 && progress.running == 0 && progress.unread_bytes == 6);
    OK(toolpool_job_results(job, &results, &err));
    for (size_t i = 0; i < 4; i++)
        CHECK(output_is(results, i, strings[i]));
    CHECK(progress_of(job).unread_bytes == 0);
    toolpool_results_free(results);
    results = NULL;
    ANSWERS(TOOLPOOL_DONE, toolpool_job_results(job, &results, &err));
    ANSWERS(TOOLPOOL_DONE, toolpool_job_next(job, -1, &results, &err));
    CHECK(results == NULL);
    toolpool_job_free(job);
    toolpool_items_free(items);
    toolpool_tool_free(tool);
    toolpool_close(pool);
}

static void next_gives_every_item_once_in_the_order_of_finishing(void) {
    enum { MANY = 5000 };
    toolpool_t *pool = open_pool("cpu*2");
    toolpool_tool_t *echo = open_echo();
    toolpool_items_t *items = numbered(MANY);
    toolpool_job_t *job = submit(pool, echo, items, NULL, NULL);
    char *seen = calloc(MANY, 1);
    size_t total = 0;
    toolpool_status_t status;
    toolpool_results_t *results = NULL;
    CHECK(seen != NULL);
    while ((status = toolpool_job_next(job, -1, &results, &err)) == TOOLPOOL_OK) {
        for (size_t i = 0; i < toolpool_results_len(results); i++) {
            const size_t index = toolpool_results_index(results, i);
            CHECK(index < MANY && !seen[index] && output_is_number(results, i, index));
            seen[index] = 1;
        }
        CHECK(toolpool_results_len(results) > 0);
        total += toolpool_results_len(results);
        toolpool_results_free(results);
        results = NULL;
    }
    CHECK(status == TOOLPOOL_DONE && err == NULL && results == NULL && total == MANY);
    free(seen);
    toolpool_job_free(job);
    toolpool_items_free(items);
    toolpool_tool_free(echo);
    toolpool_close(pool);
}

static void next_hands_duplicates_out_together_and_results_has_the_rest_in_order(void) {
    const char *strings[] = {"1", "333", "22", "333", "1"};
    gate_t gate;
    toolpool_t *pool = open_pool("cpu");
    toolpool_tool_t *tool = gated(&gate);
    toolpool_items_t *items = items_of(strings, 5);
    toolpool_job_t *job = submit(pool, tool, items, NULL, NULL);
    toolpool_results_t *results = NULL;
    pass(&gate, 1);
    OK(toolpool_job_next(job, -1, &results, &err));
    CHECK(toolpool_results_len(results) == 2);
    CHECK(toolpool_results_index(results, 0) == 1 && toolpool_results_index(results, 1) == 3);
    CHECK(output_is(results, 0, "333") && output_is(results, 1, "333"));
    toolpool_results_free(results);
    pass(&gate, 2);
    OK(toolpool_job_results(job, &results, &err));
    CHECK(toolpool_results_len(results) == 3);
    const size_t wanted[] = {0, 2, 4};
    for (size_t i = 0; i < 3; i++)
        CHECK(toolpool_results_index(results, i) == wanted[i] &&
              output_is(results, i, strings[wanted[i]]));
    toolpool_results_free(results);
    results = NULL;
    ANSWERS(TOOLPOOL_DONE, toolpool_job_next(job, -1, &results, &err));
    toolpool_job_free(job);
    toolpool_items_free(items);
    toolpool_tool_free(tool);
    toolpool_close(pool);
}

/* A second tool shows that the worker has come back from the job and found it paused: it takes
 * other work. */
static void run_another(toolpool_t *pool, toolpool_tool_t *echo) {
    toolpool_items_t *items = numbered(1);
    toolpool_results_t *results = NULL;
    OK(toolpool_run(pool, echo, items, &results, &err));
    toolpool_results_free(results);
    toolpool_items_free(items);
}

static void a_worker_pauses_while_too_much_is_unread(void) {
    const char *strings[] = {"66666666", "77777777", "88888888", "99999999"};
    gate_t gate;
    toolpool_t *pool = open_pool("cpu");
    toolpool_tool_t *tool = gated(&gate), *echo = open_echo();
    toolpool_items_t *items = items_of(strings, 4);
    pass(&gate, 4); /* open all along: nothing but the limit can stop the worker */
    toolpool_job_t *job = submit(pool, tool, items, "pending_bytes", "10");
    toolpool_results_t *results = NULL;

    wait_for(&gate.come);
    wait_for(&gate.come);
    for (int turn = 0; turn < 10; turn++)
        run_another(pool, echo);
    CHECK(gate.calls.runs == 2 && progress_of(job).unread_bytes == 16);

    OK(toolpool_job_next(job, 0, &results, &err));
    CHECK(toolpool_results_len(results) == 2);
    toolpool_results_free(results);
    wait_for(&gate.come);
    wait_for(&gate.come); /* it has resumed */
    OK(toolpool_job_results(job, &results, &err));
    CHECK(toolpool_results_len(results) == 2);
    toolpool_results_free(results);
    toolpool_job_free(job);

    /* Who waits for the whole job takes nothing out meanwhile, so the limit is lifted. */
    for (int way = 0; way < 3; way++) {
        pass(&gate, 4);
        job = submit(pool, tool, items, "pending_bytes", "0");
        if (way == 0)
            OK(toolpool_job_wait(job, -1, &err));
        else if (way == 1)
            OK(toolpool_drain(pool, -1, &err));
        OK(toolpool_job_results(job, &results, &err));
        CHECK(toolpool_results_len(results) == 4);
        toolpool_results_free(results);
        toolpool_job_free(job);
    }
    toolpool_items_free(items);
    toolpool_tool_free(echo);
    toolpool_tool_free(tool);
    toolpool_close(pool);
}

static void a_paused_job_can_be_cancelled_freed_and_closed(void) {
    for (int way = 0; way < 3; way++) {
        const char *strings[] = {"66666666", "77777777", "88888888"};
        gate_t gate;
        toolpool_t *pool = open_pool("cpu");
        toolpool_tool_t *tool = gated(&gate), *echo = open_echo();
        toolpool_items_t *items = items_of(strings, 3);
        toolpool_results_t *results = NULL;
        pass(&gate, 3);
        toolpool_job_t *job = submit(pool, tool, items, "pending_bytes", "1");
        wait_for(&gate.come);
        run_another(pool, echo);
        if (way == 0)
            OK(toolpool_job_cancel(job, &err));
        else if (way == 1)
            toolpool_close(pool);
        if (way < 2) {
            ANSWERS(TOOLPOOL_PARTIAL, toolpool_job_results(job, &results, &err));
            CHECK(toolpool_results_len(results) == 3 && gate.calls.runs == 1);
            CHECK(output_is(results, 0, "66666666"));
            for (size_t i = 1; i < 3; i++)
                CHECK(toolpool_results_status(results, i) ==
                      (way == 0 ? TOOLPOOL_ERR_CANCELLED : TOOLPOOL_ERR_CLOSED));
            toolpool_results_free(results);
        }
        toolpool_job_free(job);
        toolpool_items_free(items);
        toolpool_tool_free(echo);
        toolpool_tool_free(tool);
        if (way != 1)
            toolpool_close(pool);
        CHECK(gate.calls.destroys == 1 && gate.calls.unloads == gate.calls.loads);
    }
}

static void a_cancelled_job_keeps_what_is_done_and_says_what_is_not(void) {
    gate_t gate;
    toolpool_t *pool = open_pool("cpu");
    toolpool_tool_t *tool = gated(&gate);
    toolpool_items_t *items = numbered(10);
    toolpool_job_t *job = submit(pool, tool, items, NULL, NULL);
    toolpool_results_t *results = NULL;
    const size_t none = 0, *failed = &none;
    pass(&gate, 1);
    wait_for(&gate.come);
    wait_for(&gate.come);
    OK(toolpool_job_cancel(job, &err));
    OK(toolpool_job_cancel(job, &err));
    ANSWERS(TOOLPOOL_PENDING, toolpool_job_poll(job, &err)); /* the second batch is under way */
    pass(&gate, 1);
    OK(toolpool_job_wait(job, -1, &err));
    OK(toolpool_job_next(job, 0, &results, &err)); /* first what was done */
    CHECK(toolpool_results_len(results) == 2 && output_is_number(results, 1, 1));
    CHECK(toolpool_results_failed(results, &failed) == 0 && failed == NULL);
    toolpool_results_free(results);
    ANSWERS(TOOLPOOL_PARTIAL, toolpool_job_next(job, 0, &results, &err));
    CHECK(toolpool_results_len(results) == 8 && toolpool_results_failed(results, &failed) == 8);
    for (size_t i = 0; i < 8; i++) {
        CHECK(toolpool_results_status(results, i) == TOOLPOOL_ERR_CANCELLED && failed[i] == i);
        CHECK(toolpool_results_index(results, i) == i + 2 && error_says(results, i, "cancelled"));
        CHECK(toolpool_results_slot(results, i) == -1);
    }
    toolpool_results_free(results);
    results = NULL;
    ANSWERS(TOOLPOOL_DONE, toolpool_job_next(job, -1, &results, &err));
    CHECK(gate.calls.runs == 2);
    toolpool_job_free(job);
    toolpool_items_free(items);
    toolpool_tool_free(tool);
    toolpool_close(pool);
}

static void a_job_that_has_ended_cannot_be_cancelled(void) {
    toolpool_t *pool = open_pool("cpu");
    toolpool_tool_t *echo = open_echo();
    toolpool_items_t *items = numbered(10);
    toolpool_job_t *job = submit(pool, echo, items, NULL, NULL);
    toolpool_results_t *results = NULL;
    OK(toolpool_job_wait(job, -1, &err));
    OK(toolpool_job_cancel(job, &err));
    OK(toolpool_job_results(job, &results, &err));
    CHECK(output_is_number(results, 9, 9));
    toolpool_results_free(results);
    toolpool_job_free(job);
    toolpool_items_free(items);
    toolpool_tool_free(echo);
    toolpool_close(pool);
}

static toolpool_status_t run_failing(void *state, const toolpool_batch_t *batch,
                                     toolpool_outputs_t *outputs, toolpool_error_t **error) {
    (void)state, (void)batch, (void)outputs;
    return toolpool_error_set(error, TOOLPOOL_ERR_FAILED, "never works");
}

static void a_failed_job_gives_its_items_and_then_its_error(void) {
    toolpool_callbacks_t callbacks = TOOLPOOL_CALLBACKS_INIT;
    callbacks.run = run_failing;
    toolpool_t *pool = open_pool("cpu*2");
    toolpool_tool_t *tool = tool_of("failing", callbacks, NULL);
    toolpool_items_t *items = numbered(3000);
    toolpool_job_t *job = submit(pool, tool, items, NULL, NULL);
    toolpool_results_t *results = NULL;
    toolpool_status_t status;
    size_t given = 0;
    while ((status = toolpool_job_next(job, -1, &results, &err)) == TOOLPOOL_PARTIAL) {
        given += toolpool_results_len(results);
        toolpool_results_free(results);
        results = NULL;
    }
    REFUSED(TOOLPOOL_ERR_FAILED, "never works", status);
    CHECK(given >= 1 && given < 3000);
    REFUSED(TOOLPOOL_ERR_FAILED, "never works", toolpool_job_next(job, -1, &results, &err));
    REFUSED(TOOLPOOL_ERR_FAILED, "never works", toolpool_job_results(job, &results, &err));
    OK(toolpool_job_poll(job, &err));
    CHECK(results == NULL);
    toolpool_job_free(job);
    toolpool_items_free(items);
    toolpool_tool_free(tool);
    toolpool_close(pool);
}

static void jobs_of_several_tools_run_at_once_and_none_starves(void) {
    enum { JOBS = 8, MANY = 100000 };
    gate_t gates[2];
    toolpool_t *pool = open_pool("cpu");
    toolpool_tool_t *tools[2] = {gated(&gates[0]), gated(&gates[1])}, *echo = open_echo();
    toolpool_items_t *items = numbered(4), *many = numbered(MANY);
    toolpool_job_t *jobs[2], *echoes[JOBS];
    toolpool_results_t *results = NULL;
    jobs[0] = submit(pool, tools[0], many, NULL, NULL);
    wait_for(&gates[0].come);
    jobs[1] = submit(pool, tools[1], items, NULL, NULL);
    /* One worker, two jobs: the second comes to its turn while the first has plenty left. */
    pass(&gates[0], 1);
    while (sem_trywait(&gates[1].come) != 0) {
        if (sem_trywait(&gates[0].come) == 0)
            pass(&gates[0], 1);
        sched_yield();
    }
    CHECK(progress_of(jobs[0]).done < MANY && progress_of(jobs[1]).done == 0);
    pass(&gates[1], 4);
    for (int i = 0; i < JOBS; i++)
        echoes[i] = submit(pool, echo, items, NULL, NULL);
    pass(&gates[0], MANY);
    for (int i = 0; i < JOBS; i++) {
        OK(toolpool_job_results(echoes[i], &results, &err));
        CHECK(toolpool_results_len(results) == 4 && output_is_number(results, 3, 3));
        toolpool_results_free(results);
        toolpool_job_free(echoes[i]);
    }
    for (int i = 0; i < 2; i++) {
        OK(toolpool_job_results(jobs[i], &results, &err));
        CHECK(output_is_number(results, 2, 2));
        toolpool_results_free(results);
        toolpool_job_free(jobs[i]);
        toolpool_tool_free(tools[i]);
    }
    toolpool_items_free(many);
    toolpool_items_free(items);
    toolpool_tool_free(echo);
    toolpool_close(pool);
}

static void a_job_freed_while_it_runs_ends_by_itself(void) {
    gate_t gate;
    toolpool_t *pool = open_pool("cpu");
    toolpool_tool_t *tool = gated(&gate);
    toolpool_items_t *items = numbered(100);
    toolpool_job_t *job = submit(pool, tool, items, NULL, NULL);
    wait_for(&gate.come);
    toolpool_job_free(job);
    toolpool_items_free(items);
    toolpool_tool_free(tool);
    ANSWERS(TOOLPOOL_PENDING, toolpool_drain(pool, 0, &err));
    pass(&gate, 1);
    OK(toolpool_drain(pool, -1, &err));
    CHECK(gate.calls.runs == 1);
    toolpool_close(pool);
    CHECK(gate.calls.unloads == 1 && gate.calls.destroys == 1);
}

int main(void) {
    begin();
    a_job_can_be_watched_and_waited_for();
    next_gives_every_item_once_in_the_order_of_finishing();
    next_hands_duplicates_out_together_and_results_has_the_rest_in_order();
    a_worker_pauses_while_too_much_is_unread();
    a_paused_job_can_be_cancelled_freed_and_closed();
    a_cancelled_job_keeps_what_is_done_and_says_what_is_not();
    a_job_that_has_ended_cannot_be_cancelled();
    a_failed_job_gives_its_items_and_then_its_error();
    jobs_of_several_tools_run_at_once_and_none_starves();
    a_job_freed_while_it_runs_ends_by_itself();
    return 0;
}
