/*
 * Any engine can be pooled: a tool made of C functions.
 *
 * This engine computes the composition of proteins: which fraction of a sequence each of the 20
 * amino acids is. What it loads, once on each worker's own thread, is a table of letters.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <toolpool.h>

static const char AMINO_ACIDS[] = "ACDEFGHIKLMNPQRSTVWY";
enum { KINDS = sizeof AMINO_ACIDS - 1 };

typedef struct {
    signed char kind_of[256]; /* -1 for what is no amino acid */
} engine_t;

static int32_t load(void *user, const toolpool_device_t *device, void **state,
                    toolpool_error_t **err) {
    engine_t *engine = malloc(sizeof *engine);
    (void)user;
    if (engine == NULL)
        return toolpool_error_set(err, TOOLPOOL_ERR_OUT_OF_MEMORY, "no memory for the table");
    memset(engine->kind_of, -1, sizeof engine->kind_of);
    for (int kind = 0; kind < KINDS; kind++)
        engine->kind_of[(unsigned char)AMINO_ACIDS[kind]] = (signed char)kind;
    fprintf(stderr, "loaded on slot %d (%s)\n", device->slot, device->name);
    *state = engine;
    return TOOLPOOL_OK;
}

/* Fills `fractions`; returns how many letters are no amino acids. */
static size_t composition(const engine_t *engine, const unsigned char *letters, size_t len,
                          float fractions[KINDS]) {
    size_t unknown = 0;
    for (int kind = 0; kind < KINDS; kind++)
        fractions[kind] = 0;
    for (size_t i = 0; i < len; i++) {
        int kind = engine->kind_of[letters[i]];
        if (kind < 0)
            unknown++;
        else
            fractions[kind] += 1.0f / (float)len;
    }
    return unknown;
}

static int32_t run(void *state, const toolpool_batch_t *batch, toolpool_outputs_t *outputs,
                   toolpool_error_t **err) {
    const int64_t shape[] = {KINDS};
    for (size_t i = 0; i < toolpool_batch_len(batch); i++) {
        const void *letters;
        size_t len;
        float *fractions; /* memory of the results: no copy after */
        toolpool_batch_bytes(batch, i, &letters, &len);
        if (len == 0) { /* this item alone */
            toolpool_outputs_fail(outputs, i, TOOLPOOL_ERR_ITEM, "the sequence is empty");
            continue;
        }
        int32_t status = toolpool_outputs_alloc(outputs, i, "composition", TOOLPOOL_FLOAT32, shape,
                                                1, (void **)&fractions, err);
        if (status < 0)
            return status;
        if (composition(state, letters, len, fractions) > 0)
            toolpool_outputs_warn(outputs, i, "some letters are no amino acids");
    }
    return TOOLPOOL_OK; /* or TOOLPOOL_ERR_OUT_OF_MEMORY: the batch is halved */
}

static double cost(void *user, const void *data, size_t len) {
    (void)user, (void)data;
    return (double)len;
}

static void unload(void *state) { free(state); }

static void print(const char *sequence, const toolpool_results_t *results, size_t i) {
    toolpool_tensor_t tensor = TOOLPOOL_TENSOR_INIT;
    if (toolpool_results_tensor(results, i, "composition", &tensor, NULL) != TOOLPOOL_OK) {
        printf("\"%s\" failed: %s\n", sequence, toolpool_results_error(results, i));
        return;
    }
    printf("%s:", sequence);
    for (int kind = 0; kind < KINDS; kind++)
        if (((const float *)tensor.data)[kind] > 0)
            printf(" %c %.2f", AMINO_ACIDS[kind], ((const float *)tensor.data)[kind]);
    const char *warning = toolpool_results_warning(results, i);
    printf(*warning ? " (%s)\n" : "\n", warning);
}

int main(void) {
    const char *sequences[] = {"MKTLLILAVVAAALA", "", "GAVLTVLLGGLLLA", "MKT?*"};
    toolpool_error_t *err = NULL;
    toolpool_t *pool = NULL;
    toolpool_tool_t *tool = NULL;
    toolpool_items_t *items = NULL;
    toolpool_results_t *results = NULL;

    toolpool_callbacks_t callbacks = TOOLPOOL_CALLBACKS_INIT;
    callbacks.load = load;
    callbacks.run = run;
    callbacks.cost = cost;
    callbacks.unload = unload;

    int failed = toolpool_open("cpu*2", &pool, &err) < 0 ||
                 toolpool_tool_from_callbacks("composition", &callbacks, NULL, &tool, &err) < 0 ||
                 toolpool_items_from_strings(sequences, NULL, 4, &items, &err) < 0 ||
                 toolpool_run(pool, tool, items, &results, &err) < 0;
    if (failed)
        fprintf(stderr, "%s\n", toolpool_error_message(err));
    for (size_t i = 0; i < toolpool_results_len(results); i++)
        print(sequences[i], results, i);

    toolpool_results_free(results);
    toolpool_items_free(items);
    toolpool_tool_free(tool);
    toolpool_close(pool);
    toolpool_error_free(err);
    return failed;
}
