/* Reports: what they count, of jobs that end well, badly or not yet; that they are snapshots; and
 * what is asked of them in vain. No check depends on time: gates hold the worker where a test
 * wants it. */
#include <math.h>
#include <semaphore.h>

#include "check.h"

static toolpool_job_t *submit(toolpool_t *pool, toolpool_tool_t *tool, toolpool_items_t *items) {
    toolpool_job_t *job = NULL;
    OK(toolpool_submit(pool, tool, items, NULL, &job, &err));
    return job;
}

static toolpool_report_t *report_of(const toolpool_job_t *job) {
    toolpool_report_t *report = NULL;
    OK(toolpool_job_report(job, &report, &err));
    return report;
}

static toolpool_summary_t summary_of(const toolpool_report_t *report) {
    toolpool_summary_t summary = TOOLPOOL_SUMMARY_INIT;
    OK(toolpool_report_summary(report, &summary, &err));
    return summary;
}

static toolpool_slot_report_t slot_of(const toolpool_report_t *report, size_t slot) {
    toolpool_slot_report_t out = TOOLPOOL_SLOT_REPORT_INIT;
    OK(toolpool_report_slot(report, slot, &out, &err));
    return out;
}

static bool near(double a, double b) { return fabs(a - b) <= 1e-9 * fmax(fabs(a), fabs(b)); }

/* Runs a job to its end; the caller frees the report, after the pool and all else. */
static toolpool_report_t *report_of_run(const char *devices, toolpool_callbacks_t callbacks,
                                        void *user, const char *const *strings, size_t n) {
    toolpool_t *pool = open_pool(devices);
    toolpool_tool_t *tool = tool_of("tested", callbacks, user);
    toolpool_items_t *items = items_of(strings, n);
    toolpool_job_t *job = submit(pool, tool, items);
    OK(toolpool_job_wait(job, -1, &err));
    toolpool_report_t *report = report_of(job);
    toolpool_job_free(job);
    toolpool_items_free(items);
    toolpool_tool_free(tool);
    toolpool_close(pool);
    return report;
}

/* Counts items and their bytes. */
static toolpool_status_t run_counting(void *state, const toolpool_batch_t *batch,
                                      toolpool_outputs_t *outputs, toolpool_error_t **error) {
    for (size_t i = 0; i < toolpool_batch_len(batch); i++) {
        const void *data;
        size_t len;
        CHECK(toolpool_batch_bytes(batch, i, &data, &len) == TOOLPOOL_OK);
        CHECK(toolpool_outputs_count(outputs, "bytes", (double)len) == TOOLPOOL_OK);
    }
    CHECK(toolpool_outputs_count(outputs, "items", (double)toolpool_batch_len(batch)) ==
          TOOLPOOL_OK);
    return count_run(state, batch, outputs, error);
}

/* Six items, four of them distinct, of the costs 4, 3, 2, 1 and again 4 and 2. */
static const char *const LETTERS[] = {"aaaa", "bbb", "cc", "d", "aaaa", "cc"};

static void a_report_adds_up(void) {
    calls_t calls = {0};
    toolpool_callbacks_t callbacks = counting();
    callbacks.run = run_counting;
    toolpool_report_t *report = report_of_run("cpu*2", callbacks, &calls, LETTERS, 6);

    const toolpool_summary_t all = summary_of(report);
    CHECK(all.size == sizeof all && strcmp(all.tool, "tested") == 0);
    CHECK(all.total == 6 && all.done == 6 && all.failed == 0 && all.unique == 4);
    CHECK(all.cost == 10 && all.cost_done == 10 && all.cost_saved == 6 && all.longest == 4);
    CHECK(all.stopped == TOOLPOOL_OK && *all.stopped_message == '\0' && all.remaining_s == 0);
    CHECK(0 <= all.planning_s && all.planning_s <= all.elapsed_s);
    CHECK(0 < all.bound_s && all.bound_s <= all.makespan_s && all.makespan_s <= all.elapsed_s);
    CHECK(near(all.items_per_s, 6 / all.elapsed_s) && near(all.cost_per_s, 10 / all.elapsed_s));

    uint64_t items = 0, batches = 0, extent = 0;
    double cost = 0, speed = 0;
    CHECK(toolpool_report_slots(report) == 2);
    for (size_t i = 0; i < 2; i++) {
        const toolpool_slot_report_t slot = slot_of(report, i);
        CHECK(slot.size == sizeof slot && strcmp(slot.device, "cpu") == 0);
        CHECK(slot.failed == 0 && slot.splits == 0 && slot.retries == 0);
        CHECK(slot.out_of_memory == 0 && slot.lost == TOOLPOOL_OK && *slot.lost_message == '\0');
        CHECK(slot.busy_s + slot.load_s <= all.makespan_s * (1 + 1e-9));
        CHECK(fabs(slot.busy_s + slot.load_s + slot.idle_s - all.makespan_s) < 1e-8);
        CHECK((slot.cost > 0) == (slot.cost_per_s > 0));
        CHECK(slot.cost == 0 || near(slot.cost_per_s, slot.cost / slot.busy_s));
        items += slot.items;
        batches += slot.batches;
        extent += slot.extent;
        cost += slot.cost;
        speed += slot.cost_per_s;
    }
    CHECK(items == 4 && (int)batches == calls.runs && extent == 10 && cost == 10);
    CHECK(all.bound_s >= 10 / speed * (1 - 1e-6) || near(all.bound_s, all.makespan_s));

    double value = 0;
    CHECK(toolpool_report_counts(report) == 2);
    CHECK(toolpool_report_count_name(report, 2) == NULL);
    OK(toolpool_report_count(report, "bytes", &value, &err));
    CHECK(value == 10);
    OK(toolpool_report_count(report, "items", &value, &err));
    CHECK(value == 4);
    for (size_t i = 0; i < 2; i++)
        OK(toolpool_report_count(report, toolpool_report_count_name(report, i), &value, &err));
    toolpool_report_free(report);
}

static bool has(const char *text, const char *part) { return strstr(text, part) != NULL; }

static void its_texts_belong_to_it(void) {
    calls_t calls = {0};
    toolpool_report_t *report = report_of_run("cpu*2", counting(), &calls, LETTERS, 6);
    const char *json = toolpool_report_json(report);
    const char *trace = toolpool_report_trace(report);
    const char *timeline = toolpool_report_timeline(report);
    CHECK(has(json, "\"tool\": \"tested\"") && has(json, "\"saved\": 2"));
    CHECK(has(trace, "\"traceEvents\"") && has(trace, "slot 1 (cpu)"));
    CHECK(has(timeline, "<svg ") && has(timeline, "tested: 6 items in "));
    CHECK(toolpool_report_json(report) == json && toolpool_report_trace(report) == trace);
    CHECK(toolpool_report_timeline(report) == timeline);
    toolpool_report_free(report);
}

/* A tool whose batches wait at a gate, and tell when they have come to it. */
typedef struct {
    calls_t calls;
    sem_t come, go;
} gate_t;

static void wait_for(sem_t *sem) {
    while (sem_wait(sem) != 0)
        ;
}

static toolpool_status_t run_gated(void *state, const toolpool_batch_t *batch,
                                   toolpool_outputs_t *outputs, toolpool_error_t **error) {
    gate_t *gate = state;
    sem_post(&gate->come);
    wait_for(&gate->go);
    return count_run(state, batch, outputs, error);
}

static void a_report_of_a_running_job_is_a_snapshot(void) {
    gate_t gate = {0};
    toolpool_callbacks_t callbacks = counting();
    callbacks.run = run_gated;
    callbacks.batch_items = 1;
    sem_init(&gate.come, 0, 0);
    sem_init(&gate.go, 0, 0);
    toolpool_t *pool = open_pool("cpu");
    toolpool_tool_t *tool = tool_of("gated", callbacks, &gate);
    toolpool_items_t *items = items_of(LETTERS, 6);
    toolpool_job_t *job = submit(pool, tool, items);

    wait_for(&gate.come);
    toolpool_report_t *none_done = report_of(job);
    sem_post(&gate.go);
    wait_for(&gate.come); /* the second batch is at the gate: the first, of "aaaa", has ended */
    toolpool_report_t *one_done = report_of(job);
    OK(toolpool_job_cancel(job, &err));
    sem_post(&gate.go);
    OK(toolpool_job_wait(job, -1, &err));
    toolpool_report_t *cancelled = report_of(job);
    toolpool_job_free(job);
    toolpool_items_free(items);
    toolpool_tool_free(tool);
    toolpool_close(pool);

    toolpool_summary_t all = summary_of(none_done);
    CHECK(all.total == 6 && all.done == 0 && all.cost == 10 && all.cost_done == 0);
    CHECK(all.bound_s == 0 && all.remaining_s < 0 && all.stopped == TOOLPOOL_OK);
    CHECK(slot_of(none_done, 0).items == 0 && slot_of(none_done, 0).batches == 0);
    CHECK(has(toolpool_report_json(none_done), "\"remaining_s\": null"));
    CHECK(has(toolpool_report_timeline(none_done), "gated: 0 of 6 items in "));

    all = summary_of(one_done);
    CHECK(all.done == 2 && all.cost_done == 4 && all.remaining_s > 0 && all.bound_s > 0);
    CHECK(slot_of(one_done, 0).items == 1 && slot_of(one_done, 0).batches == 1);

    all = summary_of(cancelled);
    CHECK(all.done == 3 && all.stopped == TOOLPOOL_ERR_CANCELLED && all.remaining_s == 0);
    CHECK(has(all.stopped_message, "cancelled"));
    CHECK(has(toolpool_report_json(cancelled), "\"status\": -12"));
    CHECK(slot_of(cancelled, 0).items == 2 && slot_of(cancelled, 0).cost == 7);
    toolpool_report_free(none_done);
    toolpool_report_free(one_done);
    toolpool_report_free(cancelled);
    sem_destroy(&gate.come);
    sem_destroy(&gate.go);
}

/* What the item "bb" does to its batch. */
typedef struct {
    calls_t calls;
    toolpool_status_t status;
} guilty_t;

static toolpool_status_t run_guilty(void *state, const toolpool_batch_t *batch,
                                    toolpool_outputs_t *outputs, toolpool_error_t **error) {
    guilty_t *guilty = state;
    for (size_t i = 0; i < toolpool_batch_len(batch); i++)
        if (item_is(batch, i, "bb"))
            return toolpool_error_set(error, guilty->status, "it is bb");
    return count_run(state, batch, outputs, error);
}

static const char *const GUILTY[] = {"ccc", "bb", "bb", "a"};

static toolpool_report_t *report_of_guilty(toolpool_status_t status) {
    guilty_t guilty = {.status = status};
    toolpool_callbacks_t callbacks = counting();
    callbacks.run = run_guilty;
    return report_of_run("cpu", callbacks, &guilty, GUILTY, 4);
}

/* Batches come to an end exactly once, so those that were split are the rest. */
static void failures_and_splits_are_counted(void) {
    const toolpool_status_t statuses[] = {TOOLPOOL_ERR_FAILED, TOOLPOOL_ERR_OUT_OF_MEMORY};
    for (int turn = 0; turn < 2; turn++) {
        toolpool_report_t *report = report_of_guilty(statuses[turn]);
        const toolpool_summary_t all = summary_of(report);
        const toolpool_slot_report_t slot = slot_of(report, 0);
        CHECK(all.done == 4 && all.failed == 2 && all.unique == 3 && all.stopped == TOOLPOOL_OK);
        CHECK(slot.items == 3 && slot.failed == 1 && slot.lost == TOOLPOOL_OK);
        if (turn == 0)
            CHECK(slot.out_of_memory == 0);
        else
            CHECK(slot.out_of_memory >= 1);
        CHECK(has(toolpool_report_trace(report), "\"failed batch\""));
        toolpool_report_free(report);
    }
}

static void a_lost_slot_says_why(void) {
    toolpool_report_t *report = report_of_guilty(TOOLPOOL_ERR_DEVICE_LOST);
    const toolpool_slot_report_t slot = slot_of(report, 0);
    CHECK(slot.lost == TOOLPOOL_ERR_DEVICE_LOST && has(slot.lost_message, "it is bb"));
    CHECK(has(toolpool_report_json(report), "it is bb"));
    CHECK(has(toolpool_report_timeline(report), ">lost<"));
    toolpool_report_free(report);
}

static void nothing_to_do_is_reported_as_nothing(void) {
    calls_t calls = {0};
    toolpool_report_t *report = report_of_run("cpu*3", counting(), &calls, NULL, 0);
    const toolpool_summary_t all = summary_of(report);
    CHECK(all.total == 0 && all.cost == 0 && all.makespan_s == 0 && all.bound_s == 0);
    CHECK(all.remaining_s == 0 && all.items_per_s == 0 && toolpool_report_slots(report) == 3);
    CHECK(slot_of(report, 2).idle_s == 0 && slot_of(report, 2).cost_per_s == 0);
    CHECK(toolpool_report_counts(report) == 0 && toolpool_report_count_name(report, 0) == NULL);
    toolpool_report_free(report);
}

static void what_a_report_does_not_have_is_not_found(void) {
    calls_t calls = {0};
    toolpool_callbacks_t callbacks = counting();
    toolpool_slot_report_t slot = TOOLPOOL_SLOT_REPORT_INIT;
    double value = 7;
    toolpool_report_t *report = report_of_run("cpu*2", callbacks, &calls, LETTERS, 6);
    REFUSED(TOOLPOOL_ERR_NOT_FOUND, "no slot 2; the report is of 2",
            toolpool_report_slot(report, 2, &slot, &err));
    REFUSED(TOOLPOOL_ERR_NOT_FOUND, "'bytes'; tested has counted nothing",
            toolpool_report_count(report, "bytes", &value, &err));
    toolpool_report_free(report);

    callbacks.run = run_counting;
    report = report_of_run("cpu", callbacks, &calls, LETTERS, 6);
    REFUSED(TOOLPOOL_ERR_NOT_FOUND, "'byte'; tested has counted bytes, items",
            toolpool_report_count(report, "byte", &value, &err));
    REFUSED(TOOLPOOL_ERR_ARGUMENT, "NULL", toolpool_report_count(report, "bytes", NULL, &err));
    CHECK(value == 7 && slot.device == NULL);
    toolpool_report_free(report);
}

int main(void) {
    begin();
    a_report_adds_up();
    its_texts_belong_to_it();
    a_report_of_a_running_job_is_a_snapshot();
    failures_and_splits_are_counted();
    a_lost_slot_says_why();
    nothing_to_do_is_reported_as_nothing();
    what_a_report_does_not_have_is_not_found();
    return 0;
}
