/* Embeds proteins on every GPU, or on the CPU where there is none. */
#include <stdio.h>
#include <toolpool.h>

int main(void) {
    const char *sequences[] = {"MKTLLILAVVAAALA", "GAVLTVLLGGLLLA", "MKTLLILAVVAAALA"};
    toolpool_error_t *err = NULL;
    toolpool_t *pool = NULL;
    toolpool_tool_t *esm2 = NULL;
    toolpool_items_t *items = NULL;
    toolpool_results_t *results = NULL;

    int failed = toolpool_open("auto", &pool, &err) < 0 || /* "all", "cuda:0,cuda:2", "cpu*4" */
                 toolpool_tool_open("esm2", "facebook/esm2_t6_8M_UR50D", &esm2, &err) < 0 ||
                 toolpool_tool_set(esm2, "outputs", "mean,per_residue", &err) < 0 ||
                 toolpool_items_from_strings(sequences, NULL, 3, &items, &err) < 0 ||
                 toolpool_run(pool, esm2, items, &results, &err) < 0;
    if (failed)
        fprintf(stderr, "%s\n", toolpool_error_message(err));

    for (size_t i = 0; i < toolpool_results_len(results); i++) { /* 0 for NULL */
        toolpool_tensor_t mean = TOOLPOOL_TENSOR_INIT;           /* a view into the results */
        if (toolpool_results_tensor(results, i, "mean", &mean, NULL) == TOOLPOOL_OK)
            printf("%s %g\n", sequences[i], ((const float *)mean.data)[0]);
        else
            printf("%s failed: %s\n", sequences[i], toolpool_results_error(results, i));
    }
    toolpool_results_free(results);
    toolpool_items_free(items);
    toolpool_tool_free(esm2);
    toolpool_close(pool);
    toolpool_error_free(err);
    return failed;
}
