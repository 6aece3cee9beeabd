/*
 * An ensemble: several models at once over one pool, and their average.
 *
 *     ensemble MODEL...
 *
 * The models are those of examples/python/export_ensemble.py (member_0.pt, member_1.pt …). Each is
 * a job of its own; the workers take batches of all of them in turn, and load each model once.
 */
#include "curve.h"

enum { MEMBERS_MOST = 16, ROWS = 9, ROUNDS = 2 };

static void average(const model_t *members, int n, float *mean, float *spread) {
    for (int i = 0; i < POINTS; i++) {
        double sum = 0, squares = 0;
        for (int m = 0; m < n; m++)
            sum += (double)members[m].y[i];
        mean[i] = (float)(sum / n);
        for (int m = 0; m < n; m++)
            squares += pow((double)members[m].y[i] - sum / n, 2);
        spread[i] = (float)sqrt(squares / n);
    }
}

static void print_table(const float *x, const model_t *members, int n) {
    float mean[POINTS], spread[POINTS];
    average(members, n, mean, spread);
    printf("      x   sin(3x)   average  spread\n");
    for (int row = 0; row < ROWS; row++) {
        const int i = row * (POINTS - 1) / (ROWS - 1);
        printf("%7.2f  %8.3f  %8.3f  %6.3f\n", (double)x[i], curve_truth(x[i]), (double)mean[i],
               (double)spread[i]);
    }
    printf("\nerror   model\n");
    for (int m = 0; m < n; m++)
        printf("%.3f   %s\n", curve_error(x, members[m].y), members[m].file);
    printf("%.3f   their average\n", curve_error(x, mean));
}

/* All models at once; the second time they are warm. */
static toolpool_status_t run(toolpool_t *pool, const toolpool_items_t *items, model_t *members,
                             int n, toolpool_error_t **err) {
    toolpool_status_t status = TOOLPOOL_OK;
    for (int round = 1; round <= ROUNDS && status >= 0; round++) {
        int loads = 0;
        for (int m = 0; m < n && status >= 0; m++)
            status = model_submit(&members[m], pool, items, err);
        for (int m = 0; m < n && status >= 0; m++) {
            status = model_finish(&members[m], err);
            loads += members[m].loads;
        }
        if (status >= 0)
            printf("round %d: %d jobs of %d items, %d loads\n", round, n, POINTS, loads);
    }
    return status;
}

int main(int argc, char **argv) {
    const int n = argc - 1;
    if (n < 1 || n > MEMBERS_MOST) {
        fprintf(stderr, "usage: ensemble MODEL... (up to %d)\n", MEMBERS_MOST);
        return n < 1 ? 77 : 2; /* Without a model there is nothing to test. */
    }
    float x[POINTS];
    model_t members[MEMBERS_MOST];
    memset(members, 0, sizeof members);
    toolpool_error_t *err = NULL;
    toolpool_t *pool = NULL;
    toolpool_items_t *items = NULL;

    curve_points(x);
    toolpool_status_t status = toolpool_open("auto", &pool, &err);
    if (status >= 0)
        status = curve_items(x, &items, &err);
    for (int m = 0; m < n && status >= 0; m++)
        status = model_open(&members[m], argv[1 + m], &err);
    if (status >= 0)
        status = run(pool, items, members, n, &err);
    if (status >= 0)
        print_table(x, members, n);
    else
        fprintf(stderr, "ensemble: %s\n", toolpool_error_message(err));

    for (int m = 0; m < n; m++)
        model_free(&members[m]);
    toolpool_close(pool);
    toolpool_items_free(items);
    toolpool_error_free(err);
    return status < 0;
}
