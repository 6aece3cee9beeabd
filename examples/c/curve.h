/*
 * What ensemble.c and compare.c share: points of a curve as items, and models that are asked for
 * the curve at them. The models take x, fp32 [batch, 1], and return y, fp32 [batch, 1];
 * examples/python/export_ensemble.py makes some for y = sin(3x), from noisy measurements.
 */
#ifndef CURVE_H
#define CURVE_H

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <toolpool.h>

enum { POINTS = 201 };

typedef struct {
    const char *file;
    toolpool_tool_t *tool;
    toolpool_job_t *job;
    float y[POINTS];
    int loads; /* slots that loaded the model for the job */
    double busy_s;
} model_t;

/* From -1 to 1. */
static void curve_points(float *x) {
    for (int i = 0; i < POINTS; i++)
        x[i] = 2.0f * (float)i / (POINTS - 1) - 1;
}

static double curve_truth(float x) { return sin(3 * (double)x); }

/* For jobs, items need somebody who is told when they are no longer read; the points stay anyway.
 */
static void points_stay(void *user) { (void)user; }

/* Each point is an item: a tensor of one element, read where it lies. */
static toolpool_status_t curve_items(const float *x, toolpool_items_t **items,
                                     toolpool_error_t **err) {
    toolpool_tensor_t views[POINTS];
    for (int i = 0; i < POINTS; i++) {
        views[i] = (toolpool_tensor_t)TOOLPOOL_TENSOR_INIT;
        views[i].data = &x[i];
        views[i].bytes = sizeof x[i];
        views[i].dtype = TOOLPOOL_FLOAT32;
        views[i].ndim = 1;
        views[i].shape[0] = 1;
    }
    return toolpool_items_from_tensors(NULL, views, POINTS, points_stay, NULL, items, err);
}

/* Opens a TorchScript module or an AOTInductor package. */
static toolpool_status_t model_open(model_t *model, const char *file, toolpool_error_t **err) {
    const char *end = strrchr(file, '.');
    model->file = file;
    toolpool_status_t status = toolpool_tool_open("auto", file, &model->tool, err);
    if (status == TOOLPOOL_OK && end != NULL && strcmp(end, ".pt2") == 0)
        status =
            toolpool_tool_set(model->tool, "batch_fill", "2", err); /* as torch.export compiles */
    return status;
}

static toolpool_status_t model_submit(model_t *model, toolpool_t *pool,
                                      const toolpool_items_t *items, toolpool_error_t **err) {
    return toolpool_submit(pool, model->tool, items, NULL, &model->job, err);
}

static toolpool_status_t model_note_report(model_t *model, toolpool_error_t **err) {
    toolpool_report_t *report = NULL;
    toolpool_status_t status = toolpool_job_report(model->job, &report, err);
    model->loads = 0;
    model->busy_s = 0;
    for (size_t i = 0; status == TOOLPOOL_OK && i < toolpool_report_slots(report); i++) {
        toolpool_slot_report_t slot = TOOLPOOL_SLOT_REPORT_INIT;
        status = toolpool_report_slot(report, i, &slot, err);
        model->loads += slot.load_s > 0;
        model->busy_s += slot.busy_s;
    }
    toolpool_report_free(report);
    return status;
}

/* Waits for the job of the model, and takes its results. */
static toolpool_status_t model_finish(model_t *model, toolpool_error_t **err) {
    toolpool_results_t *results = NULL;
    toolpool_status_t status = toolpool_job_results(model->job, &results, err);
    if (status >= 0)
        status = toolpool_results_stack(results, "output", model->y, sizeof model->y, NULL, err);
    if (status >= 0)
        status = model_note_report(model, err);
    toolpool_results_free(results);
    toolpool_job_free(model->job);
    model->job = NULL;
    return status;
}

static void model_free(model_t *model) {
    toolpool_job_free(model->job);
    toolpool_tool_free(model->tool);
}

/* The root of the mean squared error of a curve. */
static double curve_error(const float *x, const float *y) {
    double sum = 0;
    for (int i = 0; i < POINTS; i++)
        sum += pow((double)y[i] - curve_truth(x[i]), 2);
    return sqrt(sum / POINTS);
}

#endif
