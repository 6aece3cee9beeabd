/* Bad arguments are answered, one by one, with an error that says what to do; nothing crashes and
 * nothing is written. */
#include <math.h>

#include "check.h"

#define NULLED(call) REFUSED(TOOLPOOL_ERR_ARGUMENT, "NULL", call)

static toolpool_t *pool;
static toolpool_tool_t *echo;
static toolpool_items_t *items;
static toolpool_job_t *job;
static toolpool_results_t *results;
static toolpool_report_t *report;

static toolpool_status_t run_nothing(void *state, const toolpool_batch_t *batch,
                                     toolpool_outputs_t *outputs, toolpool_error_t **error) {
    (void)state, (void)batch, (void)outputs, (void)error;
    return TOOLPOOL_OK;
}

static toolpool_status_t start_nothing(void *state, const toolpool_batch_t *batch,
                                       toolpool_outputs_t *outputs, void **pending,
                                       toolpool_error_t **error) {
    (void)state, (void)batch, (void)outputs, (void)pending, (void)error;
    return TOOLPOOL_OK;
}

static toolpool_status_t collect_nothing(void *state, void *pending, toolpool_error_t **error) {
    (void)state, (void)pending, (void)error;
    return TOOLPOOL_OK;
}

static void release_nothing(void *user) { (void)user; }

static void null_is_refused_for_every_pointer_that_is_needed(void) {
    const int64_t offsets[] = {0, 1, 2};
    const int32_t offsets32[] = {0, 1};
    const double cost = 1;
    const char *string = "MKT", *missing = NULL;
    uint32_t slot;
    toolpool_devices_t *devices = NULL;
    toolpool_t *no_pool = NULL;
    toolpool_tool_t *no_tool = NULL;
    toolpool_items_t *no_items = NULL;
    toolpool_job_t *no_job = NULL;
    toolpool_results_t *no_results = NULL;
    toolpool_options_t *options = NULL;
    toolpool_callbacks_t callbacks = TOOLPOOL_CALLBACKS_INIT;
    toolpool_tensor_t tensor = TOOLPOOL_TENSOR_INIT;
    toolpool_column_t column = TOOLPOOL_COLUMN_INIT;
    toolpool_progress_t progress = TOOLPOOL_PROGRESS_INIT;
    toolpool_report_t *no_report = NULL;
    toolpool_summary_t summary = TOOLPOOL_SUMMARY_INIT;
    toolpool_slot_report_t of_slot = TOOLPOOL_SLOT_REPORT_INIT;
    double count;
    toolpool_device_t device = TOOLPOOL_DEVICE_INIT;
    callbacks.run = run_nothing;

    NULLED(toolpool_devices_list("cpu", NULL, &err));
    NULLED(toolpool_devices_get(NULL, 0, &device, &err));
    OK(toolpool_devices_list("cpu", &devices, &err));
    NULLED(toolpool_devices_get(devices, 0, NULL, &err));
    toolpool_devices_free(devices);
    devices = NULL;

    NULLED(toolpool_open("cpu", NULL, &err));
    NULLED(toolpool_slots(NULL, &devices, &err));
    NULLED(toolpool_slots(pool, NULL, &err));
    NULLED(toolpool_warm(NULL, echo, &err));
    NULLED(toolpool_warm(pool, NULL, &err));
    NULLED(toolpool_drain(NULL, 0, &err));

    NULLED(toolpool_tool_open(NULL, NULL, &no_tool, &err));
    NULLED(toolpool_tool_open("echo", NULL, NULL, &err));
    NULLED(toolpool_tool_from_callbacks(NULL, &callbacks, NULL, &no_tool, &err));
    NULLED(toolpool_tool_from_callbacks("x", NULL, NULL, &no_tool, &err));
    NULLED(toolpool_tool_from_callbacks("x", &callbacks, NULL, NULL, &err));
    NULLED(toolpool_tool_set(NULL, "key", "value", &err));
    NULLED(toolpool_tool_set(echo, NULL, "value", &err));
    NULLED(toolpool_tool_set(echo, "key", NULL, &err));

    NULLED(toolpool_items_from_strings(NULL, NULL, 1, &no_items, &err));
    NULLED(toolpool_items_from_strings(&missing, NULL, 1, &no_items, &err));
    NULLED(toolpool_items_from_strings(&missing, &(size_t){1}, 1, &no_items, &err));
    NULLED(toolpool_items_from_strings(&string, NULL, 1, NULL, &err));
    NULLED(toolpool_items_borrow(NULL, offsets, 1, NULL, NULL, &no_items, &err));
    NULLED(toolpool_items_borrow("a", NULL, 1, NULL, NULL, &no_items, &err));
    NULLED(toolpool_items_borrow("a", NULL, 0, NULL, NULL, &no_items, &err));
    NULLED(toolpool_items_borrow("a", offsets, 1, NULL, NULL, NULL, &err));
    NULLED(toolpool_items_borrow32("a", NULL, 1, NULL, NULL, &no_items, &err));
    NULLED(toolpool_items_borrow32("a", offsets32, 1, NULL, NULL, NULL, &err));
    NULLED(toolpool_items_add_field(NULL, "f", "ab", offsets, 2, NULL, NULL, &err));
    NULLED(toolpool_items_add_field(items, NULL, "ab", offsets, 2, NULL, NULL, &err));
    NULLED(toolpool_items_add_field(items, "f", NULL, offsets, 2, NULL, NULL, &err));
    NULLED(toolpool_items_add_field(items, "f", "ab", NULL, 2, NULL, NULL, &err));
    NULLED(toolpool_items_set_costs(NULL, &cost, 1, &err));
    NULLED(toolpool_items_set_costs(items, NULL, 1, &err));

    NULLED(toolpool_options_new(NULL, &err));
    OK(toolpool_options_new(&options, &err));
    NULLED(toolpool_options_set(NULL, "dedup", "true", &err));
    NULLED(toolpool_options_set(options, NULL, "true", &err));
    NULLED(toolpool_options_set(options, "dedup", NULL, &err));
    toolpool_options_free(options);

    NULLED(toolpool_run(NULL, echo, items, &no_results, &err));
    NULLED(toolpool_run(pool, NULL, items, &no_results, &err));
    NULLED(toolpool_run(pool, echo, NULL, &no_results, &err));
    NULLED(toolpool_run(pool, echo, items, NULL, &err));
    NULLED(toolpool_submit(NULL, echo, items, NULL, &no_job, &err));
    NULLED(toolpool_submit(pool, NULL, items, NULL, &no_job, &err));
    NULLED(toolpool_submit(pool, echo, NULL, NULL, &no_job, &err));
    NULLED(toolpool_submit(pool, echo, items, NULL, NULL, &err));

    NULLED(toolpool_job_wait(NULL, -1, &err));
    NULLED(toolpool_job_poll(NULL, &err));
    NULLED(toolpool_job_cancel(NULL, &err));
    NULLED(toolpool_job_progress(NULL, &progress, &err));
    NULLED(toolpool_job_progress(job, NULL, &err));
    NULLED(toolpool_job_next(NULL, -1, &no_results, &err));
    NULLED(toolpool_job_next(job, -1, NULL, &err));
    NULLED(toolpool_job_results(NULL, &no_results, &err));
    NULLED(toolpool_job_results(job, NULL, &err));

    NULLED(toolpool_results_tensor(NULL, 0, "output", &tensor, &err));
    NULLED(toolpool_results_tensor(results, 0, NULL, &tensor, &err));
    NULLED(toolpool_results_tensor(results, 0, "output", NULL, &err));
    NULLED(toolpool_results_column(NULL, "output", &column, &err));
    NULLED(toolpool_results_column(results, NULL, &column, &err));
    NULLED(toolpool_results_column(results, "output", NULL, &err));
    NULLED(toolpool_results_stack(NULL, "output", NULL, 0, &tensor, &err));
    NULLED(toolpool_results_stack(results, NULL, NULL, 0, &tensor, &err));

    NULLED(toolpool_job_report(NULL, &no_report, &err));
    NULLED(toolpool_job_report(job, NULL, &err));
    NULLED(toolpool_report_summary(NULL, &summary, &err));
    NULLED(toolpool_report_summary(report, NULL, &err));
    NULLED(toolpool_report_slot(NULL, 0, &of_slot, &err));
    NULLED(toolpool_report_slot(report, 0, NULL, &err));
    NULLED(toolpool_report_count(NULL, "tokens", &count, &err));
    NULLED(toolpool_report_count(report, NULL, &count, &err));

    NULLED(toolpool_plan(NULL, 1, NULL, NULL, 1, &slot, NULL, NULL, &err));
    NULLED(toolpool_plan(&cost, 1, NULL, NULL, 1, NULL, NULL, NULL, &err));

    CHECK(devices == NULL && no_pool == NULL && no_tool == NULL && no_items == NULL);
    CHECK(no_job == NULL && no_results == NULL && no_report == NULL);
}

#define NAMED(status) CHECK(strcmp(toolpool_status_name(status), #status) == 0)

static void a_status_has_the_name_that_the_header_gives_it(void) {
    NAMED(TOOLPOOL_OK);
    NAMED(TOOLPOOL_PARTIAL);
    NAMED(TOOLPOOL_PENDING);
    NAMED(TOOLPOOL_DONE);
    NAMED(TOOLPOOL_ERR_INTERNAL);
    NAMED(TOOLPOOL_ERR_ARGUMENT);
    NAMED(TOOLPOOL_ERR_DEVICE);
    NAMED(TOOLPOOL_ERR_OPTION);
    NAMED(TOOLPOOL_ERR_TOOL);
    NAMED(TOOLPOOL_ERR_MODEL);
    NAMED(TOOLPOOL_ERR_BACKEND);
    NAMED(TOOLPOOL_ERR_ITEM);
    NAMED(TOOLPOOL_ERR_OUT_OF_MEMORY);
    NAMED(TOOLPOOL_ERR_DEVICE_LOST);
    NAMED(TOOLPOOL_ERR_CONTRACT);
    NAMED(TOOLPOOL_ERR_CANCELLED);
    NAMED(TOOLPOOL_ERR_CLOSED);
    NAMED(TOOLPOOL_ERR_REENTRANT);
    NAMED(TOOLPOOL_ERR_FORKED);
    NAMED(TOOLPOOL_ERR_NOT_FOUND);
    NAMED(TOOLPOOL_ERR_FAILED);
    NAMED(TOOLPOOL_ERR_TIME_LIMIT);
    NAMED(TOOLPOOL_ERR_TRANSIENT);
    NAMED(TOOLPOOL_ERR_CRASHED);
    CHECK(strcmp(toolpool_status_name(-21), "unknown status") == 0);
    CHECK(strcmp(toolpool_status_name(INT32_MIN), "unknown status") == 0);
}

static void null_is_an_answer_where_there_is_nothing(void) {
    CHECK(toolpool_error_status(NULL) == TOOLPOOL_OK);
    CHECK(*toolpool_error_message(NULL) == '\0');
    CHECK(toolpool_error_item(NULL) == SIZE_MAX);
    CHECK(toolpool_devices_len(NULL) == 0);
    CHECK(toolpool_items_len(NULL) == 0);
    CHECK(toolpool_results_len(NULL) == 0);
    CHECK(toolpool_results_index(NULL, 0) == SIZE_MAX);
    CHECK(toolpool_results_status(NULL, 0) == TOOLPOOL_ERR_NOT_FOUND);
    CHECK(toolpool_results_failed(NULL, NULL) == 0);
    CHECK(*toolpool_results_error(NULL, 0) == '\0');
    CHECK(*toolpool_results_warning(NULL, 0) == '\0');
    CHECK(toolpool_results_slot(NULL, 0) == -1);
    CHECK(toolpool_results_outputs(NULL) == 0);
    CHECK(toolpool_results_output_name(NULL, 0) == NULL);
    CHECK(toolpool_report_slots(NULL) == 0);
    CHECK(toolpool_report_counts(NULL) == 0);
    CHECK(toolpool_report_count_name(NULL, 0) == NULL);
    CHECK(*toolpool_report_json(NULL) == '\0');
    CHECK(*toolpool_report_trace(NULL) == '\0');
    CHECK(*toolpool_report_timeline(NULL) == '\0');
    CHECK(toolpool_batch_len(NULL) == 0);
    CHECK(toolpool_batch_user(NULL) == NULL);
    CHECK(toolpool_error_set(NULL, TOOLPOOL_ERR_ITEM, "x") == TOOLPOOL_ERR_ITEM);
    toolpool_error_free(NULL);
    toolpool_devices_free(NULL);
    toolpool_close(NULL);
    toolpool_tool_free(NULL);
    toolpool_items_free(NULL);
    toolpool_options_free(NULL);
    toolpool_job_free(NULL);
    toolpool_results_free(NULL);
    toolpool_report_free(NULL);
}

static void functions_for_tools_refuse_null(void) {
    const void *data;
    size_t len;
    void *out;
    const int64_t shape[] = {1};
    CHECK(toolpool_batch_bytes(NULL, 0, &data, &len) == TOOLPOOL_ERR_ARGUMENT);
    CHECK(toolpool_batch_field(NULL, 0, "input", &data, &len) == TOOLPOOL_ERR_ARGUMENT);
    NULLED(toolpool_outputs_alloc(NULL, 0, "x", TOOLPOOL_BYTES, shape, 1, &out, &err));
    CHECK(toolpool_outputs_fail(NULL, 0, TOOLPOOL_ERR_ITEM, "x") == TOOLPOOL_ERR_ARGUMENT);
    CHECK(toolpool_outputs_warn(NULL, 0, "x") == TOOLPOOL_ERR_ARGUMENT);
}

static void err_may_be_null_but_must_not_hold_an_error(void) {
    toolpool_t *none = NULL;
    CHECK(toolpool_open("nonsense", &none, NULL) == TOOLPOOL_ERR_DEVICE);
    CHECK(toolpool_open("nonsense", &none, &err) == TOOLPOOL_ERR_DEVICE && err != NULL);
    toolpool_error_t *first = err;
    CHECK(toolpool_open("cpu", &none, &err) == TOOLPOOL_ERR_ARGUMENT);
    CHECK(err == first && none == NULL);
    toolpool_error_free(err);
    err = NULL;
}

static void errors_are_set_replaced_and_read(void) {
    CHECK(toolpool_error_set(&err, TOOLPOOL_ERR_ITEM, "first") == TOOLPOOL_ERR_ITEM);
    CHECK(toolpool_error_set(&err, TOOLPOOL_ERR_FAILED, "second") == TOOLPOOL_ERR_FAILED);
    CHECK(strcmp(toolpool_error_message(err), "second") == 0);
    CHECK(toolpool_error_item(err) == SIZE_MAX);
    CHECK(toolpool_error_set(&err, TOOLPOOL_ERR_FAILED, NULL) == TOOLPOOL_ERR_FAILED);
    CHECK(toolpool_error_set(&err, TOOLPOOL_ERR_FAILED, "\xff") == TOOLPOOL_ERR_FAILED);
    CHECK(strcmp(toolpool_error_message(err), "\xef\xbf\xbd") == 0); /* U+FFFD */
    for (int32_t status = -100; status <= 4; status++)
        if (status < TOOLPOOL_ERR_CRASHED || status >= 0) {
            CHECK(toolpool_error_set(&err, status, "odd") == TOOLPOOL_ERR_CONTRACT);
            CHECK(toolpool_error_status(err) == TOOLPOOL_ERR_CONTRACT);
        }
    toolpool_error_free(err);
    err = NULL;
}

static void impossible_lengths_are_refused_before_memory_is_touched(void) {
    const char *strings[] = {"a", "b"};
    const size_t lengths[] = {1, SIZE_MAX}, terabytes[] = {1, (size_t)1 << 50};
    const int64_t offsets[] = {0, 1, 2}, falling[] = {0, 2, 1}, negative[] = {-1, 0, 1};
    const int32_t negative32[] = {0, 1, -1};
    const double costs[] = {1, 2};
    uint32_t slots[2];
    toolpool_items_t *none = NULL;
    const size_t sizes[] = {SIZE_MAX, SIZE_MAX / 2, SIZE_MAX / 8 + 1};
    for (size_t i = 0; i < 3; i++) {
        size_t n = sizes[i];
        REFUSED(TOOLPOOL_ERR_ARGUMENT, "impossible",
                toolpool_items_from_strings(strings, NULL, n, &none, &err));
        REFUSED(TOOLPOOL_ERR_ARGUMENT, "impossible",
                toolpool_items_borrow("ab", offsets, n, NULL, NULL, &none, &err));
        REFUSED(TOOLPOOL_ERR_ARGUMENT, "impossible",
                toolpool_items_borrow32("ab", negative32, n, NULL, NULL, &none, &err));
        REFUSED(TOOLPOOL_ERR_ARGUMENT, "items",
                toolpool_items_add_field(items, "f", "ab", offsets, n, NULL, NULL, &err));
        REFUSED(TOOLPOOL_ERR_ARGUMENT, "impossible",
                toolpool_items_set_costs(items, costs, n, &err));
        REFUSED(TOOLPOOL_ERR_ARGUMENT, "impossible",
                toolpool_plan(costs, n, NULL, NULL, 1, slots, NULL, NULL, &err));
        REFUSED(TOOLPOOL_ERR_ARGUMENT, "at most",
                toolpool_plan(costs, 2, NULL, NULL, n, slots, NULL, NULL, &err));
    }
    REFUSED(TOOLPOOL_ERR_ARGUMENT, "impossible",
            toolpool_items_from_strings(strings, lengths, 2, &none, &err));
    REFUSED(TOOLPOOL_ERR_OUT_OF_MEMORY, "no memory",
            toolpool_items_from_strings(strings, terabytes, 2, &none, &err));
    REFUSED(TOOLPOOL_ERR_ARGUMENT, "less than 2",
            toolpool_items_borrow("ab", falling, 2, release_nothing, NULL, &none, &err));
    REFUSED(TOOLPOOL_ERR_ARGUMENT, "negative",
            toolpool_items_borrow("ab", negative, 2, NULL, NULL, &none, &err));
    REFUSED(TOOLPOOL_ERR_ARGUMENT, "offset 2 is negative",
            toolpool_items_borrow32("ab", negative32, 2, NULL, NULL, &none, &err));
    REFUSED(TOOLPOOL_ERR_ARGUMENT, "less than 2",
            toolpool_items_add_field(items, "f", "ab", falling, 2, NULL, NULL, &err));
    CHECK(none == NULL);
}

static void fields_and_costs_must_fit_the_items(void) {
    const int64_t offsets[] = {0, 1, 2, 3};
    const double costs[] = {1, NAN}, negative[] = {-1, 1};
    REFUSED(TOOLPOOL_ERR_ARGUMENT, "3 items, the others have 2",
            toolpool_items_add_field(items, "f", "abc", offsets, 3, NULL, NULL, &err));
    REFUSED(TOOLPOOL_ERR_ARGUMENT, "already",
            toolpool_items_add_field(items, "input", "abc", offsets, 2, NULL, NULL, &err));
    REFUSED(TOOLPOOL_ERR_ARGUMENT, "UTF-8",
            toolpool_items_add_field(items, "\xff", "abc", offsets, 2, NULL, NULL, &err));
    REFUSED(TOOLPOOL_ERR_ARGUMENT, "1 costs for 2 items",
            toolpool_items_set_costs(items, costs, 1, &err));
    REFUSED(TOOLPOOL_ERR_ARGUMENT, "item 0 is -1",
            toolpool_items_set_costs(items, negative, 2, &err));
    CHECK(toolpool_items_set_costs(items, costs, 2, &err) == TOOLPOOL_ERR_ARGUMENT);
    CHECK(toolpool_error_item(err) == 1);
    toolpool_error_free(err);
    err = NULL;
}

static void device_strings_that_mean_nothing_say_what_is_visible(void) {
    const char *odd[] = {"",      "cuda",   "gpu:0",   "cpu*0",   "cpu*",
                         "cpu,",  "cpu*-1", "cuda:-1", "cpu*1e3", "cpu*99999999999999999999",
                         "cpu:0", "\t\n",   "0",       "cpu*1025"};
    toolpool_t *none = NULL;
    toolpool_devices_t *devices = NULL;
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        REFUSED(TOOLPOOL_ERR_DEVICE, "cpu", toolpool_open(odd[i], &none, &err));
        REFUSED(TOOLPOOL_ERR_DEVICE, "cpu", toolpool_devices_list(odd[i], &devices, &err));
    }
    REFUSED(TOOLPOOL_ERR_DEVICE, "listed twice", toolpool_open("cpu,cpu", &none, &err));
    REFUSED(TOOLPOOL_ERR_DEVICE, "visible", toolpool_open("cuda:4711", &none, &err));
    REFUSED(TOOLPOOL_ERR_DEVICE, "visible", toolpool_open("4711", &none, &err));
    REFUSED(TOOLPOOL_ERR_ARGUMENT, "UTF-8", toolpool_open("cpu\xff", &none, &err));
    CHECK(none == NULL && devices == NULL);
}

static void kinds_and_options_that_are_unknown_are_answered_with_the_known(void) {
    toolpool_tool_t *none = NULL;
    toolpool_options_t *options = NULL;
    REFUSED(TOOLPOOL_ERR_TOOL, "echo, esm2, library",
            toolpool_tool_open("esm3", NULL, &none, &err));
    REFUSED(TOOLPOOL_ERR_TOOL, "no kind", toolpool_tool_open("", NULL, &none, &err));
    REFUSED(TOOLPOOL_ERR_TOOL, "no source", toolpool_tool_open("echo", "x", &none, &err));
    REFUSED(TOOLPOOL_ERR_ARGUMENT, "UTF-8", toolpool_tool_open("\xff", NULL, &none, &err));
    REFUSED(TOOLPOOL_ERR_OPTION, "no option 'speed'",
            toolpool_tool_set(echo, "speed", "high", &err));
    OK(toolpool_options_new(&options, &err));
    REFUSED(TOOLPOOL_ERR_OPTION,
            "batch_time_limit, dedup, deterministic, on_device_lost, pending_bytes, retries, "
            "time_limit",
            toolpool_options_set(options, "speed", "high", &err));
    REFUSED(TOOLPOOL_ERR_OPTION, "'true' or 'false'",
            toolpool_options_set(options, "dedup", "yes", &err));
    REFUSED(TOOLPOOL_ERR_OPTION, "a number of bytes",
            toolpool_options_set(options, "pending_bytes", "-1", &err));
    toolpool_options_free(options);
    CHECK(none == NULL);
}

static void structs_of_another_size_are_refused(void) {
    toolpool_device_t device = TOOLPOOL_DEVICE_INIT;
    toolpool_tensor_t tensor = TOOLPOOL_TENSOR_INIT;
    toolpool_column_t column = TOOLPOOL_COLUMN_INIT;
    toolpool_progress_t progress = TOOLPOOL_PROGRESS_INIT;
    toolpool_summary_t summary = TOOLPOOL_SUMMARY_INIT;
    toolpool_slot_report_t of_slot = TOOLPOOL_SLOT_REPORT_INIT;
    toolpool_callbacks_t callbacks = TOOLPOOL_CALLBACKS_INIT;
    toolpool_devices_t *devices = NULL;
    toolpool_tool_t *none = NULL;
    device.size = tensor.size = column.size = progress.size = summary.size = of_slot.size = 8;
    OK(toolpool_slots(pool, &devices, &err));
    REFUSED(TOOLPOOL_ERR_ARGUMENT, "TOOLPOOL_DEVICE_INIT",
            toolpool_devices_get(devices, 0, &device, &err));
    toolpool_devices_free(devices);
    REFUSED(TOOLPOOL_ERR_ARGUMENT, "TOOLPOOL_TENSOR_INIT",
            toolpool_results_tensor(results, 0, "output", &tensor, &err));
    REFUSED(TOOLPOOL_ERR_ARGUMENT, "TOOLPOOL_TENSOR_INIT",
            toolpool_results_stack(results, "output", NULL, 0, &tensor, &err));
    REFUSED(TOOLPOOL_ERR_ARGUMENT, "TOOLPOOL_COLUMN_INIT",
            toolpool_results_column(results, "output", &column, &err));
    REFUSED(TOOLPOOL_ERR_ARGUMENT, "TOOLPOOL_PROGRESS_INIT",
            toolpool_job_progress(job, &progress, &err));
    REFUSED(TOOLPOOL_ERR_ARGUMENT, "TOOLPOOL_SUMMARY_INIT",
            toolpool_report_summary(report, &summary, &err));
    REFUSED(TOOLPOOL_ERR_ARGUMENT, "TOOLPOOL_SLOT_REPORT_INIT",
            toolpool_report_slot(report, 0, &of_slot, &err));
    CHECK(!summary.total && of_slot.device == NULL);
    CHECK(device.threads == 1 && tensor.data == NULL && column.rows == NULL && !progress.total);

    callbacks.run = run_nothing;
    const size_t cut = offsetof(toolpool_callbacks_t, extent) + 2;
    const size_t sizes[] = {0, 8, cut, SIZE_MAX};
    for (size_t i = 0; i < 4; i++) {
        callbacks.size = sizes[i];
        REFUSED(TOOLPOOL_ERR_ARGUMENT, "TOOLPOOL_CALLBACKS_INIT",
                toolpool_tool_from_callbacks("x", &callbacks, NULL, &none, &err));
    }
    CHECK(none == NULL);
}

static void tables_of_newer_and_older_callers_are_read_by_their_size(void) {
    struct {
        toolpool_callbacks_t known;
        void (*unknown)(void);
    } newer = {TOOLPOOL_CALLBACKS_INIT, NULL};
    toolpool_callbacks_t older = TOOLPOOL_CALLBACKS_INIT;
    toolpool_tool_t *tool = NULL;
    newer.known.size = sizeof newer;
    newer.known.run = run_nothing;
    OK(toolpool_tool_from_callbacks("newer", &newer.known, NULL, &tool, &err));
    toolpool_tool_free(tool);
    tool = NULL;
    newer.unknown = (void (*)(void))null_is_an_answer_where_there_is_nothing;
    REFUSED(TOOLPOOL_ERR_ARGUMENT, "update libtoolpool",
            toolpool_tool_from_callbacks("newer", &newer.known, NULL, &tool, &err));
    older.size = offsetof(toolpool_callbacks_t, extent);
    older.run = run_nothing;
    older.identity = "beyond the size, so never read";
    OK(toolpool_tool_from_callbacks("older", &older, NULL, &tool, &err));
    toolpool_tool_free(tool);
}

static void a_tool_needs_run_or_start_with_collect(void) {
    toolpool_tool_t *none = NULL;
    toolpool_callbacks_t callbacks = TOOLPOOL_CALLBACKS_INIT;
    REFUSED(TOOLPOOL_ERR_ARGUMENT, "neither `run` nor",
            toolpool_tool_from_callbacks("x", &callbacks, NULL, &none, &err));
    callbacks.run = run_nothing;
    callbacks.start = start_nothing;
    REFUSED(TOOLPOOL_ERR_ARGUMENT, "`collect`",
            toolpool_tool_from_callbacks("x", &callbacks, NULL, &none, &err));
    callbacks.start = NULL;
    callbacks.collect = collect_nothing;
    REFUSED(TOOLPOOL_ERR_ARGUMENT, "`start`",
            toolpool_tool_from_callbacks("x", &callbacks, NULL, &none, &err));
    CHECK(none == NULL);
}

static void indices_and_names_that_do_not_exist_are_not_found(void) {
    toolpool_tensor_t tensor = TOOLPOOL_TENSOR_INIT;
    toolpool_device_t device = TOOLPOOL_DEVICE_INIT;
    toolpool_devices_t *devices = NULL;
    const size_t beyond[] = {2, SIZE_MAX};
    for (size_t i = 0; i < 2; i++) {
        REFUSED(TOOLPOOL_ERR_NOT_FOUND, "these results have 2",
                toolpool_results_tensor(results, beyond[i], "output", &tensor, &err));
        CHECK(toolpool_results_index(results, beyond[i]) == SIZE_MAX);
        CHECK(toolpool_results_status(results, beyond[i]) == TOOLPOOL_ERR_NOT_FOUND);
        CHECK(*toolpool_results_error(results, beyond[i]) == '\0');
        CHECK(*toolpool_results_warning(results, beyond[i]) == '\0');
        CHECK(toolpool_results_slot(results, beyond[i]) == -1);
        CHECK(toolpool_results_output_name(results, beyond[i]) == NULL);
    }
    REFUSED(TOOLPOOL_ERR_NOT_FOUND, "there is output",
            toolpool_results_tensor(results, 0, "mean", &tensor, &err));
    REFUSED(TOOLPOOL_ERR_ARGUMENT, "UTF-8",
            toolpool_results_tensor(results, 0, "\xff", &tensor, &err));
    OK(toolpool_slots(pool, &devices, &err));
    CHECK(toolpool_devices_len(devices) == 2);
    REFUSED(TOOLPOOL_ERR_NOT_FOUND, "the list has 2",
            toolpool_devices_get(devices, 2, &device, &err));
    OK(toolpool_devices_get(devices, 1, &device, &err));
    CHECK(device.slot == 1 && device.kind == TOOLPOOL_DEVICE_CPU && device.threads >= 1);
    toolpool_devices_free(devices);
}

static void plans_are_checked(void) {
    const double costs[] = {5, 4, 3, 3, 3}, odd[] = {1, -1, NAN}, weights[] = {1, 0};
    const double small[] = {2, 4};
    uint32_t slot_of[5];
    double finish[2], bound;
    OK(toolpool_plan(costs, 5, NULL, NULL, 2, slot_of, finish, &bound, &err));
    double sum[2] = {0, 0};
    for (size_t i = 0; i < 5; i++)
        sum[slot_of[i]] += costs[i];
    CHECK(sum[0] == finish[0] && sum[1] == finish[1] && bound <= 10);
    CHECK(finish[0] + finish[1] == 18 && fmax(finish[0], finish[1]) == 10); /* LPT's answer */
    CHECK(toolpool_plan(odd, 3, NULL, NULL, 2, slot_of, NULL, NULL, &err) == TOOLPOOL_ERR_ARGUMENT);
    CHECK(toolpool_error_item(err) == 1);
    toolpool_error_free(err);
    err = NULL;
    CHECK(toolpool_plan(costs, 5, NULL, small, 2, slot_of, NULL, NULL, &err) ==
          TOOLPOOL_ERR_ARGUMENT);
    CHECK(toolpool_error_item(err) == 0);
    toolpool_error_free(err);
    err = NULL;
    REFUSED(TOOLPOOL_ERR_ARGUMENT, "weight",
            toolpool_plan(costs, 5, weights, NULL, 2, slot_of, NULL, NULL, &err));
    REFUSED(TOOLPOOL_ERR_ARGUMENT, "slot",
            toolpool_plan(costs, 5, NULL, NULL, 0, slot_of, NULL, NULL, &err));
    OK(toolpool_plan(NULL, 0, NULL, NULL, 2, NULL, finish, &bound, &err));
    CHECK(finish[0] == 0 && finish[1] == 0 && bound == 0);
}

static void log_levels_are_checked(void) {
    REFUSED(TOOLPOOL_ERR_ARGUMENT, "no log level", toolpool_set_log(NULL, NULL, 4, &err));
    REFUSED(TOOLPOOL_ERR_ARGUMENT, "no log level", toolpool_set_log(NULL, NULL, -1, &err));
    OK(toolpool_set_log(NULL, NULL, TOOLPOOL_LOG_INFO, &err));
}

int main(void) {
    begin();
    pool = open_pool("cpu*2");
    echo = open_echo();
    items = numbered(2);
    OK(toolpool_submit(pool, echo, items, NULL, &job, &err));
    OK(toolpool_run(pool, echo, items, &results, &err));
    OK(toolpool_job_wait(job, -1, &err));
    OK(toolpool_job_report(job, &report, &err));

    null_is_refused_for_every_pointer_that_is_needed();
    a_status_has_the_name_that_the_header_gives_it();
    a_status_has_the_name_that_the_header_gives_it();
    null_is_an_answer_where_there_is_nothing();
    functions_for_tools_refuse_null();
    err_may_be_null_but_must_not_hold_an_error();
    errors_are_set_replaced_and_read();
    impossible_lengths_are_refused_before_memory_is_touched();
    fields_and_costs_must_fit_the_items();
    device_strings_that_mean_nothing_say_what_is_visible();
    kinds_and_options_that_are_unknown_are_answered_with_the_known();
    structs_of_another_size_are_refused();
    tables_of_newer_and_older_callers_are_read_by_their_size();
    a_tool_needs_run_or_start_with_collect();
    indices_and_names_that_do_not_exist_are_not_found();
    plans_are_checked();
    log_levels_are_checked();

    toolpool_report_free(report);
    toolpool_results_free(results);
    toolpool_job_free(job);
    toolpool_items_free(items);
    toolpool_tool_free(echo);
    toolpool_close(pool);
    return 0;
}
