/* Linked into a program with -Wl,--wrap=toolpool_run, which stays as it is: the means of what it
 * runs go to the file that TOOLPOOL_TEST_MEANS names, float32 [items, width]. */
#include <stdio.h>
#include <stdlib.h>
#include <toolpool.h>

toolpool_status_t __real_toolpool_run(toolpool_t *pool, const toolpool_tool_t *tool,
                                      const toolpool_items_t *items, toolpool_results_t **out,
                                      toolpool_error_t **err);
toolpool_status_t __wrap_toolpool_run(toolpool_t *pool, const toolpool_tool_t *tool,
                                      const toolpool_items_t *items, toolpool_results_t **out,
                                      toolpool_error_t **err);

static void write_means(const toolpool_results_t *results, FILE *file) {
    for (size_t i = 0; i < toolpool_results_len(results); i++) {
        toolpool_tensor_t mean = TOOLPOOL_TENSOR_INIT;
        if (toolpool_results_tensor(results, i, "mean", &mean, NULL) < 0 ||
            fwrite(mean.data, 1, mean.bytes, file) != mean.bytes)
            abort();
    }
}

toolpool_status_t __wrap_toolpool_run(toolpool_t *pool, const toolpool_tool_t *tool,
                                      const toolpool_items_t *items, toolpool_results_t **out,
                                      toolpool_error_t **err) {
    const toolpool_status_t status = __real_toolpool_run(pool, tool, items, out, err);
    FILE *file = fopen(getenv("TOOLPOOL_TEST_MEANS"), "wb");
    if (status != TOOLPOOL_OK || file == NULL)
        abort();
    write_means(*out, file);
    fclose(file);
    return status;
}
