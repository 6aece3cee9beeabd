/*
 * A against B: two models on the same items at once, and where they differ.
 *
 *     compare A B
 *
 * The models are two of examples/python/export_ensemble.py, such as member_0.pt and member_1.pt.
 */
#include "curve.h"

static void print_table(const float *x, const model_t *a, const model_t *b) {
    int farthest = 0, a_closer = 0;
    double sum = 0;
    for (int i = 0; i < POINTS; i++) {
        const double difference = fabs((double)a->y[i] - (double)b->y[i]);
        sum += difference;
        if (difference > fabs((double)a->y[farthest] - (double)b->y[farthest]))
            farthest = i;
        a_closer +=
            fabs((double)a->y[i] - curve_truth(x[i])) < fabs((double)b->y[i] - curve_truth(x[i]));
    }
    const model_t *const both[] = {a, b};
    printf("    error  closer  busy ms  loads  model\n");
    for (int m = 0; m < 2; m++)
        printf("%c  %.4f  %5.0f%%  %7.2f  %5d  %s\n", "AB"[m], curve_error(x, both[m]->y),
               100.0 * (m == 0 ? a_closer : POINTS - a_closer) / POINTS, 1e3 * both[m]->busy_s,
               both[m]->loads, both[m]->file);
    printf("\nthey differ by %.2g on average, and most at x = %.2f: %.4f and %.4f\n", sum / POINTS,
           (double)x[farthest], (double)a->y[farthest], (double)b->y[farthest]);
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fputs("usage: compare A B\n", stderr);
        return argc < 2 ? 77 : 2; /* Without a model there is nothing to test. */
    }
    float x[POINTS];
    model_t a, b;
    memset(&a, 0, sizeof a);
    memset(&b, 0, sizeof b);
    toolpool_error_t *err = NULL;
    toolpool_t *pool = NULL;
    toolpool_items_t *items = NULL;

    curve_points(x);
    const int failed = toolpool_open("auto", &pool, &err) < 0 || curve_items(x, &items, &err) < 0 ||
                       model_open(&a, argv[1], &err) < 0 || model_open(&b, argv[2], &err) < 0 ||
                       model_submit(&a, pool, items, &err) < 0 ||
                       model_submit(&b, pool, items, &err) < 0 || model_finish(&a, &err) < 0 ||
                       model_finish(&b, &err) < 0;
    if (failed)
        fprintf(stderr, "compare: %s\n", toolpool_error_message(err));
    else
        print_table(x, &a, &b);

    model_free(&a);
    model_free(&b);
    toolpool_close(pool);
    toolpool_items_free(items);
    toolpool_error_free(err);
    return failed;
}
