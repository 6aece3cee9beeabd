/* What goes in comes out: order, duplicates, borrowed memory, views, and handles freed in any
 * order. */
#include "check.h"

static void results_are_in_the_order_of_the_items(void) {
    const char *strings[] = {"MKT", "", "GAVLTVLLGG", "K", "MKT"};
    toolpool_t *pool = open_pool("cpu*3");
    toolpool_tool_t *echo = open_echo();
    toolpool_items_t *items = items_of(strings, 5);
    toolpool_results_t *results = NULL;
    OK(toolpool_run(pool, echo, items, &results, &err));
    CHECK(toolpool_items_len(items) == 5 && toolpool_results_len(results) == 5);
    for (size_t i = 0; i < 5; i++) {
        CHECK(output_is(results, i, strings[i]));
        CHECK(toolpool_results_index(results, i) == i);
        CHECK(toolpool_results_status(results, i) == TOOLPOOL_OK);
        CHECK(toolpool_results_slot(results, i) >= 0 && toolpool_results_slot(results, i) < 3);
        CHECK(*toolpool_results_error(results, i) == '\0');
        CHECK(*toolpool_results_warning(results, i) == '\0');
    }
    CHECK(toolpool_results_outputs(results) == 1);
    CHECK(strcmp(toolpool_results_output_name(results, 0), "output") == 0);
    CHECK(toolpool_results_output_name(results, 1) == NULL);
    toolpool_results_free(results);
    toolpool_items_free(items);
    toolpool_tool_free(echo);
    toolpool_close(pool);
}

static void any_bytes_of_any_length_are_items(void) {
    const char *strings[] = {"a\0b", NULL, "\xff\xfe", "abc"};
    const size_t lengths[] = {3, 0, 2, 1};
    toolpool_t *pool = open_pool("cpu");
    toolpool_tool_t *echo = open_echo();
    toolpool_items_t *items = NULL;
    toolpool_results_t *results = NULL;
    OK(toolpool_items_from_strings(strings, lengths, 4, &items, &err));
    OK(toolpool_run(pool, echo, items, &results, &err));
    for (size_t i = 0; i < 4; i++) {
        toolpool_tensor_t tensor = TOOLPOOL_TENSOR_INIT;
        OK(toolpool_results_tensor(results, i, "output", &tensor, &err));
        CHECK(tensor.bytes == lengths[i] && tensor.data != NULL);
        CHECK(tensor.bytes == 0 || memcmp(tensor.data, strings[i], tensor.bytes) == 0);
    }
    toolpool_results_free(results);
    toolpool_items_free(items);
    toolpool_tool_free(echo);
    toolpool_close(pool);
}

static void no_items_are_fine(void) {
    toolpool_t *pool = open_pool("cpu");
    toolpool_tool_t *echo = open_echo();
    toolpool_items_t *items = NULL;
    toolpool_results_t *results = NULL;
    toolpool_job_t *job = NULL;
    OK(toolpool_items_from_strings(NULL, NULL, 0, &items, &err));
    OK(toolpool_run(pool, echo, items, &results, &err));
    CHECK(results != NULL && toolpool_results_len(results) == 0);
    CHECK(toolpool_results_outputs(results) == 0);
    toolpool_results_free(results);
    results = NULL;
    OK(toolpool_submit(pool, echo, items, NULL, &job, &err));
    OK(toolpool_job_poll(job, &err));
    ANSWERS(TOOLPOOL_DONE, toolpool_job_next(job, -1, &results, &err));
    CHECK(results == NULL);
    OK(toolpool_drain(pool, -1, &err));
    toolpool_job_free(job);
    toolpool_items_free(items);
    toolpool_tool_free(echo);
    toolpool_close(pool);
}

static const void *data_of(const toolpool_results_t *results, size_t i) {
    toolpool_tensor_t tensor = TOOLPOOL_TENSOR_INIT;
    OK(toolpool_results_tensor(results, i, "output", &tensor, &err));
    return tensor.data;
}

/* Runs items with `dedup` on or off, and counts what the tool was given. */
static toolpool_results_t *run_counted(toolpool_items_t *items, const char *dedup, int *given) {
    calls_t calls = {0};
    toolpool_t *pool = open_pool("cpu*2");
    toolpool_tool_t *tool = tool_of("counting", counting(), &calls);
    toolpool_options_t *options = NULL;
    toolpool_job_t *job = NULL;
    toolpool_results_t *results = NULL;
    OK(toolpool_options_new(&options, &err));
    OK(toolpool_options_set(options, "dedup", dedup, &err));
    OK(toolpool_submit(pool, tool, items, options, &job, &err));
    toolpool_options_free(options);
    OK(toolpool_job_results(job, &results, &err));
    toolpool_job_free(job);
    toolpool_tool_free(tool);
    toolpool_close(pool);
    CHECK(calls.destroys == 1 && calls.loads == calls.unloads && calls.loads > 0);
    *given = calls.items;
    return results;
}

static void duplicates_are_computed_once_and_share_a_row(void) {
    const char *strings[] = {"AAAA", "B", "AAAA", "", "AAAA", ""};
    toolpool_items_t *items = items_of(strings, 6);
    int given;
    toolpool_results_t *results = run_counted(items, "true", &given);
    CHECK(given == 3);
    for (size_t i = 0; i < 6; i++)
        CHECK(output_is(results, i, strings[i]));
    CHECK(data_of(results, 0) == data_of(results, 2) && data_of(results, 0) == data_of(results, 4));
    CHECK(toolpool_results_slot(results, 0) == toolpool_results_slot(results, 4));
    toolpool_results_free(results);

    results = run_counted(items, "false", &given);
    CHECK(given == 6);
    CHECK(data_of(results, 0) != data_of(results, 2) && data_of(results, 0) != data_of(results, 4));
    toolpool_results_free(results);
    toolpool_items_free(items);
}

/* Joins the two fields of each item. */
static toolpool_status_t join(void *state, const toolpool_batch_t *batch,
                              toolpool_outputs_t *outputs, toolpool_error_t **error) {
    atomic_fetch_add(&((calls_t *)state)->items, (int)toolpool_batch_len(batch));
    for (size_t i = 0; i < toolpool_batch_len(batch); i++) {
        const void *a, *b, *none;
        size_t len_a, len_b, len;
        if (toolpool_batch_field(batch, i, "input", &a, &len_a) < 0 ||
            toolpool_batch_field(batch, i, "chain", &b, &len_b) < 0 ||
            toolpool_batch_field(batch, i, "none", &none, &len) != TOOLPOOL_ERR_NOT_FOUND)
            return toolpool_error_set(error, TOOLPOOL_ERR_FAILED, "fields");
        const int64_t shape[] = {(int64_t)(len_a + len_b)};
        void *out;
        toolpool_status_t status =
            toolpool_outputs_alloc(outputs, i, "output", TOOLPOOL_BYTES, shape, 1, &out, error);
        if (status < 0)
            return status;
        memcpy(out, a, len_a);
        memcpy((char *)out + len_a, b, len_b);
    }
    return TOOLPOOL_OK;
}

static void count_release(void *user) { atomic_fetch_add((atomic_int *)user, 1); }

static void items_of_two_fields_are_equal_if_both_are(void) {
    const char *strings[] = {"A", "A", "A", "B"};
    const int64_t offsets[] = {0, 1, 3, 4, 5};
    calls_t calls = {0};
    atomic_int released = 0;
    toolpool_callbacks_t callbacks = counting();
    callbacks.run = join;
    toolpool_t *pool = open_pool("cpu*2");
    toolpool_tool_t *tool = tool_of("join", callbacks, &calls);
    toolpool_items_t *items = items_of(strings, 4);
    toolpool_results_t *results = NULL;
    OK(toolpool_items_add_field(items, "chain", "xyyxz", offsets, 4, count_release, &released,
                                &err));
    OK(toolpool_run(pool, tool, items, &results, &err));
    CHECK(output_is(results, 0, "Ax") && output_is(results, 1, "Ayy"));
    CHECK(output_is(results, 2, "Ax") && output_is(results, 3, "Bz"));
    CHECK(calls.items == 3 && data_of(results, 0) == data_of(results, 2));
    CHECK(released == 0);
    toolpool_tool_free(tool);
    toolpool_items_free(items);
    toolpool_close(pool);
    CHECK(released == 1);
    toolpool_results_free(results);
}

static const char BYTES[] = "MKTGAVK";

static void borrowed_memory_is_released_once_by_the_last_who_holds_it(void) {
    const int64_t wide[] = {0, 3, 3, 6, 7};
    const int32_t narrow[] = {1, 3, 7};
    atomic_int released = 0, released32 = 0;
    toolpool_t *pool = open_pool("cpu*2");
    toolpool_tool_t *echo = open_echo();
    toolpool_items_t *items = NULL, *items32 = NULL;
    toolpool_job_t *job = NULL;
    toolpool_results_t *results = NULL;

    OK(toolpool_items_borrow(BYTES, wide, 4, count_release, &released, &items, &err));
    OK(toolpool_items_borrow32(BYTES, narrow, 2, count_release, &released32, &items32, &err));
    OK(toolpool_submit(pool, echo, items, NULL, &job, &err));
    toolpool_items_free(items);
    OK(toolpool_job_results(job, &results, &err));
    CHECK(released == 0); /* a job keeps its items */
    toolpool_job_free(job);
    CHECK(output_is(results, 0, "MKT") && output_is(results, 1, ""));
    CHECK(output_is(results, 2, "GAV") && output_is(results, 3, "K"));
    toolpool_results_free(results);
    results = NULL;

    OK(toolpool_run(pool, echo, items32, &results, &err));
    CHECK(output_is(results, 0, "KT") && output_is(results, 1, "GAVK"));
    toolpool_results_free(results);
    toolpool_items_free(items32);
    toolpool_tool_free(echo);
    toolpool_close(pool);
    CHECK(released == 1 && released32 == 1);
}

static void borrowed_memory_is_released_though_a_job_fails_or_is_cancelled(void) {
    const int64_t offsets[] = {0, 3, 6};
    atomic_int released = 0;
    toolpool_t *pool = open_pool("cpu");
    toolpool_callbacks_t callbacks = counting();
    calls_t calls = {0};
    callbacks.batch_items = 1;
    toolpool_tool_t *tool = tool_of("counting", callbacks, &calls);
    for (int turn = 0; turn < 50; turn++) {
        toolpool_items_t *items = NULL;
        toolpool_job_t *job = NULL;
        OK(toolpool_items_borrow(BYTES, offsets, 2, count_release, &released, &items, &err));
        OK(toolpool_submit(pool, tool, items, NULL, &job, &err));
        if (turn % 2 == 0)
            OK(toolpool_job_cancel(job, &err));
        toolpool_items_free(items);
        toolpool_job_free(job);
    }
    toolpool_close(pool);
    toolpool_tool_free(tool);
    CHECK(released == 50);

    toolpool_items_t *items = NULL;
    const int64_t falling[] = {0, 3, 2};
    REFUSED(TOOLPOOL_ERR_ARGUMENT, "offset 2 (2) is less than 3",
            toolpool_items_borrow(BYTES, falling, 2, count_release, &released, &items, &err));
    CHECK(released == 50 && items == NULL);
}

static void lent_items_are_for_run_alone(void) {
    const int64_t offsets[] = {0, 3, 6};
    toolpool_t *pool = open_pool("cpu");
    toolpool_tool_t *echo = open_echo();
    toolpool_items_t *items = NULL;
    toolpool_job_t *job = NULL;
    toolpool_results_t *results = NULL;
    OK(toolpool_items_borrow(BYTES, offsets, 2, NULL, NULL, &items, &err));
    REFUSED(TOOLPOOL_ERR_ARGUMENT, "toolpool_run",
            toolpool_submit(pool, echo, items, NULL, &job, &err));
    CHECK(job == NULL);
    OK(toolpool_run(pool, echo, items, &results, &err));
    CHECK(output_is(results, 1, "GAV"));
    toolpool_results_free(results);
    toolpool_items_free(items);
    toolpool_tool_free(echo);
    toolpool_close(pool);
}

static void a_column_shows_the_rows_where_they_lie(void) {
    const char *strings[] = {"long", "x", "long", ""};
    toolpool_t *pool = open_pool("cpu*2");
    toolpool_tool_t *echo = open_echo();
    toolpool_items_t *items = items_of(strings, 4);
    toolpool_results_t *results = NULL;
    toolpool_column_t column = TOOLPOOL_COLUMN_INIT;
    OK(toolpool_run(pool, echo, items, &results, &err));
    OK(toolpool_results_column(results, "output", &column, &err));
    CHECK(column.dtype == TOOLPOOL_BYTES && column.n_rows == 4 && column.n_chunks > 0);
    for (size_t i = 0; i < 4; i++) {
        toolpool_row_t row = column.rows[i];
        CHECK(row.chunk < column.n_chunks && row.bytes == strlen(strings[i]));
        CHECK(row.offset + row.bytes <= column.chunks[row.chunk].bytes);
        CHECK((const char *)column.chunks[row.chunk].data + row.offset == data_of(results, i));
        CHECK((uintptr_t)column.chunks[row.chunk].data % 64 == 0);
    }
    CHECK(column.rows[0].chunk == column.rows[2].chunk);
    CHECK(column.rows[0].offset == column.rows[2].offset);
    REFUSED(TOOLPOOL_ERR_NOT_FOUND, "there is output",
            toolpool_results_column(results, "mean", &column, &err));
    toolpool_results_free(results);
    toolpool_items_free(items);
    toolpool_tool_free(echo);
    toolpool_close(pool);
}

static void equal_shapes_stack_in_order_and_others_do_not(void) {
    const char *equal[] = {"abc", "def", "abc", "ghi"}, *ragged[] = {"abc", "de"};
    toolpool_t *pool = open_pool("cpu*2");
    toolpool_tool_t *echo = open_echo();
    toolpool_items_t *items = items_of(equal, 4);
    toolpool_results_t *results = NULL;
    toolpool_tensor_t tensor = TOOLPOOL_TENSOR_INIT;
    char buffer[12] = "";
    OK(toolpool_run(pool, echo, items, &results, &err));
    OK(toolpool_results_stack(results, "output", NULL, 0, &tensor, &err));
    CHECK(tensor.data == NULL && tensor.bytes == 12 && tensor.ndim == 2);
    CHECK(tensor.shape[0] == 4 && tensor.shape[1] == 3 && tensor.dtype == TOOLPOOL_BYTES);
    REFUSED(TOOLPOOL_ERR_ARGUMENT, "12 bytes",
            toolpool_results_stack(results, "output", buffer, 11, &tensor, &err));
    OK(toolpool_results_stack(results, "output", buffer, 12, &tensor, &err));
    CHECK(tensor.data == buffer && memcmp(buffer, "abcdefabcghi", 12) == 0);
    OK(toolpool_results_stack(results, "output", buffer, 12, NULL, &err));
    REFUSED(TOOLPOOL_ERR_ARGUMENT, "NULL",
            toolpool_results_stack(results, "output", NULL, 0, NULL, &err));
    toolpool_results_free(results);
    toolpool_items_free(items);

    items = items_of(ragged, 2);
    OK(toolpool_run(pool, echo, items, &results, &err));
    CHECK(toolpool_results_stack(results, "output", NULL, 0, &tensor, &err) ==
          TOOLPOOL_ERR_ARGUMENT);
    CHECK(toolpool_error_item(err) == 1);
    toolpool_error_free(err);
    err = NULL;
    toolpool_results_free(results);
    toolpool_items_free(items);
    toolpool_tool_free(echo);
    toolpool_close(pool);
}

/* The bits of `order` say which handle goes next: 4 handles, 24 orders. */
static void handles_are_freed_in_any_order_and_results_outlive_all(void) {
    for (int order = 0; order < 24; order++) {
        atomic_int released = 0;
        calls_t calls = {0};
        const int64_t offsets[] = {0, 3, 6};
        toolpool_t *pool = open_pool("cpu*2");
        toolpool_tool_t *tool = tool_of("counting", counting(), &calls);
        toolpool_items_t *items = NULL;
        toolpool_job_t *job = NULL;
        toolpool_results_t *results = NULL;
        OK(toolpool_items_borrow(BYTES, offsets, 2, count_release, &released, &items, &err));
        OK(toolpool_submit(pool, tool, items, NULL, &job, &err));
        OK(toolpool_job_results(job, &results, &err));
        int left[4] = {0, 1, 2, 3}, code = order;
        for (int n = 4; n > 0; n--) {
            int pick = code % n, what = left[pick];
            code /= n;
            left[pick] = left[n - 1];
            if (what == 0)
                toolpool_close(pool);
            else if (what == 1)
                toolpool_tool_free(tool);
            else if (what == 2)
                toolpool_items_free(items);
            else
                toolpool_job_free(job);
        }
        CHECK(released == 1 && calls.destroys == 1);
        CHECK(calls.loads == calls.unloads && calls.loads >= 1 && calls.loads <= 2);
        CHECK(output_is(results, 0, "MKT") && output_is(results, 1, "GAV"));
        toolpool_results_free(results);
    }
}

static void many_items_come_back_each_in_its_place(void) {
    enum { MANY = 100000 };
    toolpool_t *pool = open_pool("cpu*2");
    toolpool_tool_t *echo = open_echo();
    toolpool_items_t *items = numbered(MANY);
    toolpool_results_t *results = NULL;
    OK(toolpool_run(pool, echo, items, &results, &err));
    CHECK(toolpool_results_len(results) == MANY);
    for (size_t i = 0; i < MANY; i++)
        CHECK(output_is_number(results, i, i));
    toolpool_column_t column = TOOLPOOL_COLUMN_INIT;
    OK(toolpool_results_column(results, "output", &column, &err));
    CHECK(column.n_rows == MANY);
    toolpool_results_free(results);
    toolpool_items_free(items);
    toolpool_tool_free(echo);
    toolpool_close(pool);
}

int main(void) {
    begin();
    results_are_in_the_order_of_the_items();
    any_bytes_of_any_length_are_items();
    no_items_are_fine();
    duplicates_are_computed_once_and_share_a_row();
    items_of_two_fields_are_equal_if_both_are();
    borrowed_memory_is_released_once_by_the_last_who_holds_it();
    borrowed_memory_is_released_though_a_job_fails_or_is_cancelled();
    lent_items_are_for_run_alone();
    a_column_shows_the_rows_where_they_lie();
    equal_shapes_stack_in_order_and_others_do_not();
    handles_are_freed_in_any_order_and_results_outlive_all();
    many_items_come_back_each_in_its_place();
    return 0;
}
