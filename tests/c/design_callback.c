/* The tool of C functions of the design, word for word, with the engine that it stands on: it
 * counts the letters A to D. */
#include "check.h"

static void engine_forward(void *state, const void *data, size_t len, float *out);

#include "../design/callback.c"

static int32_t load(void *user, const toolpool_device_t *device, void **state,
                    toolpool_error_t **error) {
    return count_load(user, device, state, error);
}

static void engine_forward(void *state, const void *data, size_t len, float *out) {
    atomic_fetch_add(&((calls_t *)state)->items, 1);
    memset(out, 0, 4 * sizeof *out);
    for (size_t i = 0; i < len; i++)
        out[((const char *)data)[i] - 'A'] += 1;
}

static double cost(void *user, const void *data, size_t len) {
    (void)user, (void)data;
    return (double)len;
}

static void unload(void *state) { count_unload(state); }

static void destroy(void *user) { count_destroy(user); }

int main(void) {
    begin();
    const char *strings[] = {"AABD", "", "C"};
    calls_t calls = {0};
    toolpool_t *pool = open_pool("cpu*1");
    toolpool_items_t *items = items_of(strings, 3);
    toolpool_tool_t *tool = NULL;
    toolpool_results_t *results = NULL;

    toolpool_callbacks_t callbacks = TOOLPOOL_CALLBACKS_INIT;
    callbacks.load = load;
    callbacks.run = run;
    callbacks.cost = cost;
    callbacks.unload = unload;
    callbacks.destroy = destroy;
    OK(toolpool_tool_from_callbacks("my-model", &callbacks, &calls, &tool, &err));
    ANSWERS(TOOLPOOL_PARTIAL, toolpool_run(pool, tool, items, &results, &err));

    toolpool_tensor_t embedding = TOOLPOOL_TENSOR_INIT;
    OK(toolpool_results_tensor(results, 0, "embedding", &embedding, &err));
    const float *counts = embedding.data;
    CHECK(embedding.dtype == TOOLPOOL_FLOAT32 && embedding.ndim == 1 && embedding.shape[0] == 4);
    CHECK(counts[0] == 2 && counts[1] == 1 && counts[2] == 0 && counts[3] == 1);
    CHECK(toolpool_results_status(results, 1) == TOOLPOOL_ERR_ITEM);
    CHECK(error_says(results, 1, "empty"));
    CHECK(toolpool_results_status(results, 2) == TOOLPOOL_OK && calls.items == 2);

    toolpool_results_free(results);
    toolpool_items_free(items);
    toolpool_tool_free(tool);
    toolpool_close(pool);
    CHECK(calls.loads == 1 && calls.unloads == 1 && calls.destroys == 1);
    return 0;
}
