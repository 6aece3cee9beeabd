/* Embeds two proteins, in this process and in child processes: `consumer PREFIX MODEL` prints the
 * embeddings of both, and fails unless they are equal and everything of toolpool in this process
 * lies in PREFIX. */
#include <stdio.h>
#include <string.h>
#include <toolpool.h>

enum { PROTEINS = 2, WIDTH = 40 };

static const char *const proteins[PROTEINS] = {"MKTLLILAVVAAALA", "GAVLTVLLGGLLLA"};

static int embed(toolpool_t *pool, const char *model, const char *isolation, float *means,
                 toolpool_error_t **err) {
    toolpool_tool_t *esm2 = NULL;
    toolpool_items_t *items = NULL;
    toolpool_results_t *results = NULL;
    int status = toolpool_tool_open("esm2", model, &esm2, err);
    if (status == TOOLPOOL_OK)
        status = toolpool_tool_set(esm2, "isolation", isolation, err);
    if (status == TOOLPOOL_OK)
        status = toolpool_items_from_strings(proteins, NULL, PROTEINS, &items, err);
    if (status == TOOLPOOL_OK)
        status = toolpool_run(pool, esm2, items, &results, err);
    if (status == TOOLPOOL_OK)
        status = toolpool_results_stack(results, "mean", means, sizeof(float) * PROTEINS * WIDTH,
                                        NULL, err);
    else if (status > TOOLPOOL_OK)
        fprintf(stderr, "%s: %s\n", proteins[0], toolpool_results_error(results, 0));
    toolpool_results_free(results);
    toolpool_items_free(items);
    toolpool_tool_free(esm2);
    return status;
}

/* Whether every libtoolpool*.so of this process lies in `prefix`. */
static int mapped_from(const char *prefix) {
    char line[4096];
    int files = 0, strangers = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
        const char *path = strchr(line, '/');
        if (path == NULL || strstr(path, "libtoolpool") == NULL)
            continue;
        files++;
        if (strncmp(path, prefix, strlen(prefix)) != 0) {
            strangers++;
            fprintf(stderr, "not in %s: %s", prefix, path);
        }
    }
    if (maps != NULL)
        fclose(maps);
    return files > 0 && strangers == 0;
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: consumer PREFIX MODEL\n");
        return 2;
    }
    float here[PROTEINS * WIDTH], isolated[PROTEINS * WIDTH];
    toolpool_t *pool = NULL;
    toolpool_error_t *err = NULL;
    int done = toolpool_open("cpu*2", &pool, &err) == TOOLPOOL_OK &&
               embed(pool, argv[2], "none", here, &err) == TOOLPOOL_OK &&
               embed(pool, argv[2], "process", isolated, &err) == TOOLPOOL_OK;
    if (!done)
        fprintf(stderr, "%s\n", toolpool_error_message(err));
    toolpool_close(pool);
    toolpool_error_free(err);
    if (!done || memcmp(here, isolated, sizeof here) != 0 || !mapped_from(argv[1]))
        return 1;
    for (int value = 0; value < PROTEINS * WIDTH; value++)
        printf("%.9g\n", here[value]);
    return 0;
}
