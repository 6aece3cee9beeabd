/* Loading and losing: what happens to a tool on each slot, when it is loaded, unloaded, and when
 * its device goes. */
#include <semaphore.h>

#include "check.h"

static toolpool_results_t *run_numbered(toolpool_t *pool, toolpool_tool_t *tool, size_t n,
                                        int32_t wanted) {
    toolpool_items_t *items = numbered(n);
    toolpool_results_t *results = NULL;
    ANSWERS(wanted, toolpool_run(pool, tool, items, &results, &err));
    toolpool_items_free(items);
    return results;
}

static void a_tool_is_loaded_once_on_each_slot(void) {
    calls_t calls = {0};
    toolpool_t *pool = open_pool("cpu*3");
    toolpool_tool_t *tool = tool_of("warm", counting(), &calls);
    OK(toolpool_warm(pool, tool, &err));
    CHECK(calls.loads == 3);
    OK(toolpool_warm(pool, tool, &err));
    for (int turn = 0; turn < 20; turn++)
        toolpool_results_free(run_numbered(pool, tool, 50, TOOLPOOL_OK));
    CHECK(calls.loads == 3 && calls.unloads == 0 && calls.items == 1000);
    toolpool_close(pool);
    CHECK(calls.unloads == 3 && calls.destroys == 0);
    toolpool_tool_free(tool);
    CHECK(calls.destroys == 1);
}

static sem_t destroyed;

static void post_destroyed(void *user) {
    count_destroy(user);
    sem_post(&destroyed);
}

/* With the pool still open and its workers idle, nothing but the free itself can make them unload.
 */
static void a_freed_tool_is_unloaded_from_idle_workers(void) {
    toolpool_callbacks_t callbacks = counting();
    callbacks.destroy = post_destroyed;
    toolpool_t *pool = open_pool("cpu*3");
    sem_init(&destroyed, 0, 0);
    for (int turn = 0; turn < 300; turn++) {
        calls_t calls = {0};
        toolpool_tool_t *tool = tool_of("brief", callbacks, &calls);
        if (turn % 3 == 0) {
            OK(toolpool_warm(pool, tool, &err));
        } else if (turn % 3 == 1) {
            toolpool_results_free(run_numbered(pool, tool, 100, TOOLPOOL_OK));
        } else { /* the job goes on without its handles */
            toolpool_items_t *items = numbered(100);
            toolpool_job_t *job = NULL;
            OK(toolpool_submit(pool, tool, items, NULL, &job, &err));
            OK(toolpool_job_wait(job, -1, &err));
            toolpool_items_free(items);
            toolpool_job_free(job);
        }
        toolpool_tool_free(tool);
        while (sem_wait(&destroyed) != 0)
            ;
        CHECK(calls.destroys == 1 && calls.loads == calls.unloads && calls.loads > 0);
    }
    sem_destroy(&destroyed);
    toolpool_close(pool);
}

typedef struct {
    calls_t calls;
    int unfit; /* the slot that cannot load, or -1 for all */
} unfit_t;

static toolpool_status_t load_unfit(void *user, const toolpool_device_t *device, void **state,
                                    toolpool_error_t **error) {
    const unfit_t *unfit = user;
    if (unfit->unfit == -1 || device->slot == unfit->unfit)
        return toolpool_error_set(error, TOOLPOOL_ERR_MODEL, "the weights do not fit");
    return count_load(user, device, state, error);
}

static void a_slot_that_cannot_load_leaves_its_work_to_the_others(void) {
    unfit_t unfit = {.unfit = 0};
    toolpool_callbacks_t callbacks = counting();
    callbacks.load = load_unfit;
    toolpool_t *pool = open_pool("cpu*2");
    toolpool_tool_t *tool = tool_of("unfit", callbacks, &unfit);
    REFUSED(TOOLPOOL_ERR_MODEL, "the weights do not fit", toolpool_warm(pool, tool, &err));
    CHECK(unfit.calls.loads == 1);
    for (size_t n = 1; n <= 100; n += 9) {
        toolpool_results_t *results = run_numbered(pool, tool, n, TOOLPOOL_OK);
        for (size_t i = 0; i < n; i++)
            CHECK(output_is_number(results, i, i) && toolpool_results_slot(results, i) == 1);
        toolpool_results_free(results);
    }
    toolpool_tool_free(tool);
    toolpool_close(pool);
    CHECK(unfit.calls.unloads == 1 && unfit.calls.destroys == 1);
}

static void a_tool_that_loads_nowhere_fails_the_job(void) {
    unfit_t unfit = {.unfit = -1};
    toolpool_callbacks_t callbacks = counting();
    callbacks.load = load_unfit;
    toolpool_t *pool = open_pool("cpu*3");
    toolpool_tool_t *tool = tool_of("unfit", callbacks, &unfit), *echo = open_echo();
    toolpool_results_t *results = NULL;
    for (size_t n = 1; n <= 100; n += 33) {
        toolpool_items_t *items = numbered(n);
        REFUSED(TOOLPOOL_ERR_MODEL, "unfit: the weights do not fit",
                toolpool_run(pool, tool, items, &results, &err));
        toolpool_items_free(items);
    }
    CHECK(results == NULL && unfit.calls.runs == 0);
    toolpool_results_free(
        run_numbered(pool, echo, 10, TOOLPOOL_OK)); /* the pool is as good as before */
    toolpool_tool_free(echo);
    toolpool_tool_free(tool);
    toolpool_close(pool);
    CHECK(unfit.calls.unloads == 0 && unfit.calls.destroys == 1);
}

typedef struct {
    int slot;
} at_t;

/* Slot 0 loses its device in its first batch; until then, slot 1 waits in `load`. */
static at_t places[8];
static sem_t slot_0_is_lost;

static toolpool_status_t load_place(void *user, const toolpool_device_t *device, void **state,
                                    toolpool_error_t **error) {
    (void)user, (void)error;
    if (device->slot == 1)
        while (sem_wait(&slot_0_is_lost) != 0)
            ;
    places[device->slot].slot = device->slot;
    *state = &places[device->slot];
    return TOOLPOOL_OK;
}

static toolpool_status_t run_losing_slot_0(void *state, const toolpool_batch_t *batch,
                                           toolpool_outputs_t *outputs, toolpool_error_t **error) {
    if (((at_t *)state)->slot == 0) {
        sem_post(&slot_0_is_lost);
        return toolpool_error_set(error, TOOLPOOL_ERR_DEVICE_LOST, "fell off the bus");
    }
    return echo_batch(batch, outputs, error);
}

static atomic_int lost_lines;

static void count_lost_lines(void *user, int32_t level, const char *line) {
    (void)user;
    if (level == TOOLPOOL_LOG_ERROR && strstr(line, "is lost") != NULL)
        atomic_fetch_add(&lost_lines, 1);
}

static void the_work_of_a_lost_device_is_done_by_the_others(void) {
    toolpool_callbacks_t callbacks = TOOLPOOL_CALLBACKS_INIT;
    callbacks.load = load_place;
    callbacks.run = run_losing_slot_0;
    sem_init(&slot_0_is_lost, 0, 0);
    lost_lines = 0;
    OK(toolpool_set_log(count_lost_lines, NULL, TOOLPOOL_LOG_ERROR, &err));
    toolpool_t *pool = open_pool("cpu*2");
    toolpool_tool_t *tool = tool_of("lossy", callbacks, NULL), *echo = open_echo();
    toolpool_results_t *results = run_numbered(pool, tool, 100, TOOLPOOL_OK);
    for (size_t i = 0; i < 100; i++)
        CHECK(output_is_number(results, i, i) && toolpool_results_slot(results, i) == 1);
    toolpool_results_free(results);
    results = run_numbered(pool, echo, 10, TOOLPOOL_OK); /* what is left of the pool works on */
    for (size_t i = 0; i < 10; i++)
        CHECK(toolpool_results_slot(results, i) == 1);
    toolpool_results_free(results);
    while (toolpool_warm(pool, echo, NULL) == TOOLPOOL_ERR_DEVICE_LOST)
        ; /* until the loss has been noted */
    OK(toolpool_warm(pool, echo, &err));
    toolpool_tool_free(echo);
    toolpool_tool_free(tool);
    toolpool_close(pool);
    OK(toolpool_set_log(NULL, NULL, TOOLPOOL_LOG_ERROR, &err));
    CHECK(lost_lines == 1);
    sem_destroy(&slot_0_is_lost);
}

static toolpool_status_t run_losing_all(void *state, const toolpool_batch_t *batch,
                                        toolpool_outputs_t *outputs, toolpool_error_t **error) {
    (void)state, (void)batch, (void)outputs;
    return toolpool_error_set(error, TOOLPOOL_ERR_DEVICE_LOST, "fell off the bus");
}

static void without_any_device_left_jobs_fail_and_new_ones_are_refused(void) {
    for (size_t n = 1; n <= 100; n += 99) {
        toolpool_callbacks_t callbacks = TOOLPOOL_CALLBACKS_INIT;
        callbacks.run = run_losing_all;
        toolpool_t *pool = open_pool(n == 1 ? "cpu" : "cpu*2");
        toolpool_tool_t *tool = tool_of("fatal", callbacks, NULL), *echo = open_echo();
        toolpool_items_t *items = numbered(n);
        toolpool_results_t *results = NULL;
        toolpool_job_t *job = NULL;
        REFUSED(TOOLPOOL_ERR_DEVICE_LOST, "fell off the bus",
                toolpool_run(pool, tool, items, &results, &err));
        REFUSED(TOOLPOOL_ERR_DEVICE_LOST, "open a new one",
                toolpool_submit(pool, echo, items, NULL, &job, &err));
        REFUSED(TOOLPOOL_ERR_DEVICE_LOST, "open a new one", toolpool_warm(pool, echo, &err));
        OK(toolpool_drain(pool, -1, &err));
        CHECK(results == NULL && job == NULL);
        toolpool_items_free(items);
        toolpool_tool_free(echo);
        toolpool_tool_free(tool);
        toolpool_close(pool);
    }
}

static toolpool_status_t run_deadly_13(void *state, const toolpool_batch_t *batch,
                                       toolpool_outputs_t *outputs, toolpool_error_t **error) {
    (void)state;
    for (size_t i = 0; i < toolpool_batch_len(batch); i++)
        if (item_is(batch, i, "13"))
            return toolpool_error_set(error, TOOLPOOL_ERR_DEVICE_LOST, "13 kills");
    return echo_batch(batch, outputs, error);
}

static void no_item_takes_more_than_two_devices(void) {
    toolpool_callbacks_t callbacks = TOOLPOOL_CALLBACKS_INIT;
    callbacks.run = run_deadly_13;
    toolpool_t *pool = open_pool("cpu*3");
    toolpool_tool_t *tool = tool_of("deadly", callbacks, NULL);
    toolpool_results_t *results = run_numbered(pool, tool, 40, TOOLPOOL_PARTIAL);
    for (size_t i = 0; i < 40; i++)
        if (i == 13)
            CHECK(toolpool_results_status(results, i) == TOOLPOOL_ERR_DEVICE_LOST &&
                  error_says(results, i, "two devices were lost"));
        else
            CHECK(output_is_number(results, i, i));
    toolpool_results_free(results);
    toolpool_tool_free(tool);
    toolpool_close(pool);
}

/* An asynchronous engine: what was begun and not collected, oldest first. */
typedef struct {
    calls_t calls;
    int begun, collected, most;
    int fail_start, fail_collect; /* the turn that fails, or -1 */
    toolpool_status_t failure;
} engine_t;

typedef struct {
    int turn;
    const toolpool_batch_t *batch;
    toolpool_outputs_t *outputs;
} pending_t;

static toolpool_status_t begin_batch(void *state, const toolpool_batch_t *batch,
                                     toolpool_outputs_t *outputs, void **pending,
                                     toolpool_error_t **error) {
    engine_t *engine = state;
    if (engine->fail_start-- == 0)
        return toolpool_error_set(error, engine->failure, "cannot begin");
    pending_t *begun = malloc(sizeof *begun);
    CHECK(begun != NULL);
    *begun = (pending_t){engine->begun++, batch, outputs};
    if (engine->begun - engine->collected > engine->most)
        engine->most = engine->begun - engine->collected;
    *pending = begun;
    return TOOLPOOL_OK;
}

static toolpool_status_t collect_batch(void *state, void *pending, toolpool_error_t **error) {
    engine_t *engine = state;
    pending_t *begun = pending;
    toolpool_status_t status = echo_batch(begun->batch, begun->outputs, error);
    if (begun->turn != engine->collected++)
        status = toolpool_error_set(error, TOOLPOOL_ERR_CONTRACT, "not the oldest");
    if (engine->fail_collect-- == 0)
        status = toolpool_error_set(error, engine->failure, "cannot collect");
    free(begun);
    return status;
}

static toolpool_callbacks_t asynchronous(uint64_t most_items) {
    toolpool_callbacks_t callbacks = counting();
    callbacks.run = NULL;
    callbacks.start = begin_batch;
    callbacks.collect = collect_batch;
    callbacks.batch_items = most_items;
    return callbacks;
}

static void run_asynchronous(engine_t *engine, uint64_t most_items) {
    toolpool_callbacks_t callbacks = asynchronous(most_items);
    toolpool_t *pool = open_pool("cpu");
    toolpool_tool_t *tool = tool_of("asynchronous", callbacks, engine);
    toolpool_results_t *results = run_numbered(pool, tool, 100, TOOLPOOL_OK);
    for (size_t i = 0; i < 100; i++)
        CHECK(output_is_number(results, i, i));
    toolpool_results_free(results);
    toolpool_tool_free(tool);
    toolpool_close(pool);
    CHECK(engine->begun == engine->collected && engine->most == 2);
}

static void two_batches_of_an_asynchronous_tool_are_in_flight(void) {
    engine_t well = {.fail_start = -1, .fail_collect = -1};
    run_asynchronous(&well, 10);
    CHECK(well.calls.loads == 1);
    for (int turn = 0; turn < 4; turn++) { /* a batch that fails once is split, and works */
        engine_t start = {
            .fail_start = turn, .fail_collect = -1, .failure = TOOLPOOL_ERR_OUT_OF_MEMORY};
        run_asynchronous(&start, 10);
        engine_t collect = {
            .fail_start = -1, .fail_collect = turn, .failure = TOOLPOOL_ERR_OUT_OF_MEMORY};
        run_asynchronous(&collect, 10);
        CHECK(start.calls.loads == 1 && collect.calls.loads == 1);
    }
}

/* A defect costs the loaded state, and with it what else was in flight: that is done again, and
 * nobody is to blame. */
static void what_flies_beside_a_defect_is_done_again(void) {
    for (int turn = 0; turn < 4; turn++) {
        engine_t engine = {
            .fail_start = -1, .fail_collect = turn, .failure = TOOLPOOL_ERR_INTERNAL};
        toolpool_callbacks_t callbacks = asynchronous(1);
        toolpool_t *pool = open_pool("cpu");
        toolpool_tool_t *tool = tool_of("defective", callbacks, &engine);
        toolpool_results_t *results = run_numbered(pool, tool, 20, TOOLPOOL_PARTIAL);
        for (size_t i = 0; i < 20; i++)
            if (i == 10 + (size_t)turn) /* two digits go before one */
                CHECK(toolpool_results_status(results, i) == TOOLPOOL_ERR_INTERNAL);
            else
                CHECK(output_is_number(results, i, i));
        toolpool_results_free(results);
        toolpool_tool_free(tool);
        toolpool_close(pool);
        CHECK(engine.begun == engine.collected); /* `pending` is freed, whatever happened */
        CHECK(engine.calls.loads == 2 && engine.calls.unloads == 2 && engine.calls.destroys == 1);
    }
}

static void count_release(void *user) { atomic_fetch_add((atomic_int *)user, 1); }

static void what_flies_on_a_lost_device_is_let_go(void) {
    for (int at = 0; at < 2; at++) {
        engine_t engine = {.fail_start = at == 0 ? 1 : -1,
                           .fail_collect = at == 0 ? -1 : 0,
                           .failure = TOOLPOOL_ERR_DEVICE_LOST};
        atomic_int released = 0;
        const int64_t offsets[] = {0, 1, 2, 3, 4, 5, 6, 7, 8};
        toolpool_callbacks_t callbacks = asynchronous(1);
        toolpool_t *pool = open_pool("cpu");
        toolpool_tool_t *tool = tool_of("lossy", callbacks, &engine);
        toolpool_items_t *items = NULL;
        toolpool_results_t *results = NULL;
        OK(toolpool_items_borrow("abcdefgh", offsets, 8, count_release, &released, &items, &err));
        REFUSED(TOOLPOOL_ERR_DEVICE_LOST, "cannot",
                toolpool_run(pool, tool, items, &results, &err));
        toolpool_items_free(items);
        toolpool_tool_free(tool);
        toolpool_close(pool);
        CHECK(engine.begun == engine.collected && released == 1);
        CHECK(engine.calls.unloads == 0 &&
              engine.calls.destroys == 1); /* its memory went with it */
    }
}

int main(void) {
    begin();
    a_tool_is_loaded_once_on_each_slot();
    a_freed_tool_is_unloaded_from_idle_workers();
    a_slot_that_cannot_load_leaves_its_work_to_the_others();
    a_tool_that_loads_nowhere_fails_the_job();
    the_work_of_a_lost_device_is_done_by_the_others();
    without_any_device_left_jobs_fail_and_new_ones_are_refused();
    no_item_takes_more_than_two_devices();
    two_batches_of_an_asynchronous_tool_are_in_flight();
    what_flies_beside_a_defect_is_done_again();
    what_flies_on_a_lost_device_is_let_go();
    return 0;
}
