/* Items of tensors: what a tool sees of them, what is refused, when memory is let go, what they
 * cost. */
#include "check.h"

enum { NAMES_MOST = 64 };

static const float VALUES[6] = {0, 1, 2, 3, 4, 5};

static toolpool_tensor_t floats(const float *data, int64_t rows, int64_t columns) {
    toolpool_tensor_t tensor = TOOLPOOL_TENSOR_INIT;
    tensor.data = data;
    tensor.bytes = (size_t)(rows * columns) * sizeof *data;
    tensor.dtype = TOOLPOOL_FLOAT32;
    tensor.ndim = 2;
    tensor.shape[0] = rows;
    tensor.shape[1] = columns;
    return tensor;
}

/* What the tool `look` saw; its user pointer. */
typedef struct {
    atomic_int items, releases;
    char names[NAMES_MOST];
} seen_t;

/* Each field becomes an output of its name; `address` is where the first lies. */
static toolpool_status_t look(void *state, const toolpool_batch_t *batch,
                              toolpool_outputs_t *outputs, toolpool_error_t **error) {
    seen_t *seen = state;
    for (size_t i = 0; i < toolpool_batch_len(batch); i++) {
        const size_t fields = toolpool_batch_fields(batch);
        seen->names[0] = '\0';
        for (size_t f = 0; f < fields; f++) {
            const char *name = toolpool_batch_field_name(batch, f);
            toolpool_tensor_t in = TOOLPOOL_TENSOR_INIT;
            toolpool_status_t status = toolpool_batch_tensor(batch, i, f, &in);
            if (status < 0)
                return toolpool_error_set(error, status, "no such field");
            void *out;
            status = toolpool_outputs_alloc(outputs, i, name, in.dtype, in.shape, (size_t)in.ndim,
                                            &out, error);
            if (status < 0)
                return status;
            memcpy(out, in.data, in.bytes);
            strncat(strncat(seen->names, name, 8), " ", 2);
            if (f == 0) {
                int64_t *address;
                status = toolpool_outputs_alloc(outputs, i, "address", TOOLPOOL_INT64, NULL, 0,
                                                (void **)&address, error);
                if (status < 0)
                    return status;
                *address = (int64_t)(intptr_t)in.data;
            }
        }
        toolpool_tensor_t none = TOOLPOOL_TENSOR_INIT;
        CHECK(toolpool_batch_tensor(batch, i, fields, &none) == TOOLPOOL_ERR_NOT_FOUND);
        CHECK(toolpool_batch_field_name(batch, fields) == NULL);
        atomic_fetch_add(&seen->items, 1);
    }
    return TOOLPOOL_OK;
}

static toolpool_status_t load(void *user, const toolpool_device_t *device, void **state,
                              toolpool_error_t **error) {
    (void)device, (void)error;
    *state = user;
    return TOOLPOOL_OK;
}

/* The cost is the elements of all fields. */
static void measure(void *user, const toolpool_tensor_t *fields, size_t n, double *cost,
                    uint64_t *extent) {
    (void)user;
    *cost = 0;
    *extent = 1;
    for (size_t f = 0; f < n; f++) {
        double elements = 1;
        for (int32_t axis = 0; axis < fields[f].ndim; axis++)
            elements *= (double)fields[f].shape[axis];
        *cost += elements;
    }
}

static void release(void *user) { atomic_fetch_add(&((seen_t *)user)->releases, 1); }

static toolpool_tool_t *open_look(seen_t *seen) {
    toolpool_callbacks_t callbacks = TOOLPOOL_CALLBACKS_INIT;
    callbacks.load = load;
    callbacks.run = look;
    callbacks.measure = measure;
    toolpool_tool_t *tool = NULL;
    OK(toolpool_tool_from_callbacks("look", &callbacks, seen, &tool, &err));
    return tool;
}

static toolpool_items_t *tensors(const char *name, const toolpool_tensor_t *views, size_t n) {
    toolpool_items_t *items = NULL;
    OK(toolpool_items_from_tensors(name, views, n, NULL, NULL, &items, &err));
    return items;
}

static toolpool_results_t *run(seen_t *seen, const toolpool_items_t *items) {
    toolpool_t *pool = open_pool("cpu*1");
    toolpool_tool_t *tool = open_look(seen);
    toolpool_results_t *results = NULL;
    OK(toolpool_run(pool, tool, items, &results, &err));
    toolpool_tool_free(tool);
    toolpool_close(pool);
    return results;
}

static toolpool_tensor_t output(const toolpool_results_t *results, size_t i, const char *name) {
    toolpool_tensor_t tensor = TOOLPOOL_TENSOR_INIT;
    OK(toolpool_results_tensor(results, i, name, &tensor, &err));
    return tensor;
}

static void a_tool_sees_every_field_with_its_shape_and_values(void) {
    seen_t seen = {0};
    const int64_t columns_first[] = {1, 3};
    const int32_t scale = 7;
    toolpool_tensor_t views[] = {floats(VALUES, 2, 3), floats(VALUES, 3, 2)};
    views[1].strides = columns_first;
    toolpool_tensor_t scales[2];
    for (int i = 0; i < 2; i++) {
        scales[i] = (toolpool_tensor_t)TOOLPOOL_TENSOR_INIT;
        scales[i].data = &scale;
        scales[i].bytes = sizeof scale;
        scales[i].dtype = TOOLPOOL_INT32;
    }
    toolpool_items_t *items = tensors("x", views, 2);
    OK(toolpool_items_add_tensors(items, NULL, scales, 2, NULL, NULL, &err));
    REFUSED(TOOLPOOL_ERR_ARGUMENT, "already",
            toolpool_items_add_tensors(items, "x", scales, 2, NULL, NULL, &err));
    REFUSED(TOOLPOOL_ERR_ARGUMENT, "1 items",
            toolpool_items_add_tensors(items, "y", scales, 1, NULL, NULL, &err));

    toolpool_results_t *results = run(&seen, items);
    CHECK(strcmp(seen.names, "x 1 ") == 0);
    const float transposed[] = {0, 3, 1, 4, 2, 5};
    const toolpool_tensor_t dense = output(results, 0, "x"), strided = output(results, 1, "x");
    CHECK(dense.shape[0] == 2 && dense.shape[1] == 3 && dense.strides == NULL);
    CHECK(memcmp(dense.data, VALUES, sizeof VALUES) == 0);
    CHECK(strided.shape[0] == 3 && memcmp(strided.data, transposed, sizeof transposed) == 0);
    const toolpool_tensor_t scalar = output(results, 0, "1");
    CHECK(scalar.ndim == 0 && *(const int32_t *)scalar.data == 7);
    /* The dense one was read where it lies. */
    CHECK(*(const int64_t *)output(results, 0, "address").data == (int64_t)(intptr_t)VALUES);
    CHECK(*(const int64_t *)output(results, 1, "address").data != (int64_t)(intptr_t)VALUES);
    toolpool_results_free(results);
    toolpool_items_free(items);
}

static void tensors_are_equal_only_with_their_shapes(void) {
    seen_t seen = {0};
    const toolpool_tensor_t views[] = {floats(VALUES, 2, 3), floats(VALUES, 3, 2),
                                       floats(VALUES, 2, 3)};
    toolpool_items_t *items = tensors(NULL, views, 3);
    toolpool_results_free(run(&seen, items));
    CHECK(atomic_load(&seen.items) == 2);
    toolpool_items_free(items);
}

static void a_tensor_that_its_memory_does_not_hold_is_refused_by_item(void) {
    seen_t seen = {0};
    const int64_t far_apart[] = {INT64_MAX, 1}, below[] = {-3, 1};
    toolpool_tensor_t wrong[6];
    for (int i = 0; i < 6; i++)
        wrong[i] = floats(VALUES, 2, 3);
    wrong[0].shape[0] = (int64_t)1 << 40;
    wrong[1].strides = far_apart;
    wrong[2].data = NULL;
    wrong[3].ndim = TOOLPOOL_MAX_NDIM + 1;
    wrong[4].shape[1] = -1;
    wrong[5].dtype = 99;
    for (int i = 0; i < 6; i++) {
        const toolpool_tensor_t views[] = {floats(VALUES, 2, 3), wrong[i]};
        toolpool_items_t *items = NULL;
        const toolpool_status_t status =
            toolpool_items_from_tensors(NULL, views, 2, release, &seen, &items, &err);
        CHECK(status == TOOLPOOL_ERR_ARGUMENT && items == NULL && toolpool_error_item(err) == 1);
        toolpool_error_free(err);
        err = NULL;
    }
    toolpool_tensor_t elsewhere = floats(VALUES, 2, 3);
    elsewhere.device = TOOLPOOL_DEVICE_CUDA;
    toolpool_items_t *items = NULL;
    REFUSED(TOOLPOOL_ERR_ARGUMENT, "copy it",
            toolpool_items_from_tensors(NULL, &elsewhere, 1, release, &seen, &items, &err));
    CHECK(atomic_load(&seen.releases) == 0);

    /* Backwards is fine, if the memory goes so far. */
    toolpool_tensor_t backwards = floats(VALUES + 3, 2, 3);
    backwards.strides = below;
    backwards.bytes = 3 * sizeof *VALUES;
    items = tensors(NULL, &backwards, 1);
    toolpool_results_t *results = run(&seen, items);
    const float reversed[] = {3, 4, 5, 0, 1, 2};
    CHECK(memcmp(output(results, 0, "0").data, reversed, sizeof reversed) == 0);
    toolpool_results_free(results);
    toolpool_items_free(items);
}

static void memory_is_released_once_when_the_last_job_lets_go(void) {
    seen_t seen = {0};
    const toolpool_tensor_t view = floats(VALUES, 2, 3);
    toolpool_t *pool = open_pool("cpu*1");
    toolpool_tool_t *tool = open_look(&seen);
    toolpool_items_t *items = NULL;
    toolpool_job_t *job = NULL;
    OK(toolpool_items_from_tensors(NULL, &view, 1, release, &seen, &items, &err));
    OK(toolpool_submit(pool, tool, items, NULL, &job, &err));
    toolpool_items_free(items);
    OK(toolpool_job_wait(job, -1, &err));
    toolpool_job_free(job);
    items = tensors(NULL, &view, 1);
    REFUSED(TOOLPOOL_ERR_ARGUMENT, "release", toolpool_submit(pool, tool, items, NULL, &job, &err));
    toolpool_items_free(items);
    toolpool_tool_free(tool);
    toolpool_close(pool);
    CHECK(atomic_load(&seen.releases) == 1);
}

static double index_squared(void *user, size_t index) {
    atomic_fetch_add(&((seen_t *)user)->items, 1);
    return (double)(index * index);
}

static double negative(void *user, size_t index) {
    (void)user, (void)index;
    return -1;
}

static double cost_of(toolpool_t *pool, const toolpool_tool_t *tool,
                      const toolpool_items_t *items) {
    toolpool_job_t *job = NULL;
    toolpool_report_t *report = NULL;
    toolpool_summary_t summary = TOOLPOOL_SUMMARY_INIT;
    OK(toolpool_submit(pool, tool, items, NULL, &job, &err));
    OK(toolpool_job_wait(job, -1, &err));
    OK(toolpool_job_report(job, &report, &err));
    OK(toolpool_report_summary(report, &summary, &err));
    toolpool_report_free(report);
    toolpool_job_free(job);
    return summary.cost;
}

static void costs_come_from_all_fields_or_from_a_function(void) {
    seen_t seen = {0};
    const toolpool_tensor_t views[] = {floats(VALUES, 2, 3), floats(VALUES, 1, 2),
                                       floats(VALUES, 1, 5)};
    toolpool_t *pool = open_pool("cpu*1");
    toolpool_tool_t *tool = open_look(&seen);
    toolpool_items_t *items = NULL;
    OK(toolpool_items_from_tensors(NULL, views, 3, release, &seen, &items, &err));
    OK(toolpool_items_add_tensors(items, NULL, views, 3, release, &seen, &err));
    CHECK(cost_of(pool, tool, items) == 2 * (6 + 2 + 5));
    REFUSED(TOOLPOOL_ERR_ARGUMENT, "-1", toolpool_items_set_cost(items, negative, NULL, &err));
    atomic_store(&seen.items, 0);
    OK(toolpool_items_set_cost(items, index_squared, &seen, &err));
    CHECK(atomic_load(&seen.items) == 3);
    CHECK(cost_of(pool, tool, items) == 0 + 1 + 4);
    toolpool_items_free(items);
    toolpool_tool_free(tool);
    toolpool_close(pool);
    CHECK(atomic_load(&seen.releases) == 2);
}

int main(void) {
    begin();
    a_tool_sees_every_field_with_its_shape_and_values();
    tensors_are_equal_only_with_their_shapes();
    a_tensor_that_its_memory_does_not_hold_is_refused_by_item();
    memory_is_released_once_when_the_last_job_lets_go();
    costs_come_from_all_fields_or_from_a_function();
    return 0;
}
