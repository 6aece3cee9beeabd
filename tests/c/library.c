/* Tools from shared libraries: how they are named, their options, and what handles share. */
#define _POSIX_C_SOURCE 200809L
#include <dlfcn.h>
#include <sched.h>

#include "check.h"

static char source[4096];

/* "FILE:SYMBOL", of the library that is built beside this test. */
static const char *named(const char *symbol) {
    const char *folder = getenv("TOOLPOOL_TEST_PLUGINS");
    CHECK(folder != NULL);
    snprintf(source, sizeof source, "%s/library_tool.so:%s", folder, symbol);
    return source;
}

static atomic_int *counter(const char *name) {
    char path[4096];
    snprintf(path, sizeof path, "%s/library_tool.so", getenv("TOOLPOOL_TEST_PLUGINS"));
    void *library = dlopen(path, RTLD_NOW);
    CHECK(library != NULL);
    atomic_int *found = dlsym(library, name);
    CHECK(found != NULL);
    dlclose(library);
    return found;
}

static toolpool_results_t *run_on(toolpool_t *pool, toolpool_tool_t *tool, const char *item) {
    toolpool_items_t *items = items_of(&item, 1);
    toolpool_results_t *results = NULL;
    OK(toolpool_run(pool, tool, items, &results, &err));
    toolpool_items_free(items);
    return results;
}

static void what_is_not_there_is_named(void) {
    toolpool_tool_t *none = NULL;
    const char *odd[] = {"", "file.so", ":", "file.so:", ":symbol", "::"};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
        REFUSED(TOOLPOOL_ERR_TOOL, "libmine.so:mytool",
                toolpool_tool_open("library", odd[i], &none, &err));
    REFUSED(TOOLPOOL_ERR_TOOL, "/nowhere/libmine.so",
            toolpool_tool_open("library", "/nowhere/libmine.so:tool", &none, &err));
    REFUSED(TOOLPOOL_ERR_TOOL, "does not export 'nothing'",
            toolpool_tool_open("library", named("nothing"), &none, &err));
    REFUSED(TOOLPOOL_ERR_TOOL, "cannot load",
            toolpool_tool_open("library", "/proc/self/maps:tool", &none, &err));
    REFUSED(TOOLPOOL_ERR_MODEL, "this tool never opens",
            toolpool_tool_open("library", named("failing_tool"), &none, &err));
    REFUSED(TOOLPOOL_ERR_ARGUMENT, "neither `run` nor",
            toolpool_tool_open("library", named("empty_tool"), &none, &err));
    CHECK(none == NULL);
}

static void options_are_checked_by_the_entry(void) {
    toolpool_t *pool = open_pool("cpu");
    toolpool_tool_t *tool = open_tool("library", named("shared_tool:options"));
    toolpool_results_t *results;
    REFUSED(TOOLPOOL_ERR_OPTION, "known options: batch, prefix",
            toolpool_tool_set(tool, "speed", "high", &err));
    OK(toolpool_tool_set(tool, "prefix", "a-", &err));
    REFUSED(TOOLPOOL_ERR_OPTION, "up to 15 bytes",
            toolpool_tool_set(tool, "prefix", "longer than fifteen", &err));
    results = run_on(pool, tool, "x"); /* as it was before */
    CHECK(output_is(results, 0, "a-x"));
    toolpool_results_free(results);
    OK(toolpool_tool_set(tool, "batch", "1", &err));
    OK(toolpool_tool_set(tool, "prefix", "b-", &err)); /* set again: the last counts */
    results = run_on(pool, tool, "x");
    CHECK(output_is(results, 0, "b-x"));
    toolpool_results_free(results);
    toolpool_tool_free(tool);
    toolpool_close(pool);
}

static void handles_of_one_identity_share_what_is_loaded_not_their_options(void) {
    atomic_int *loads = counter("library_loads"), *unloads = counter("library_unloads");
    const int before = *loads, unloaded = *unloads;
    toolpool_t *pool = open_pool("cpu*2");
    toolpool_tool_t *a = open_tool("library", named("shared_tool:model")),
                    *b = open_tool("library", named("shared_tool:model")),
                    *other = open_tool("library", named("shared_tool:another"));
    toolpool_job_t *jobs[2] = {NULL, NULL};
    toolpool_results_t *results = NULL;
    OK(toolpool_tool_set(a, "prefix", "a-", &err));
    OK(toolpool_tool_set(b, "prefix", "b-", &err));
    OK(toolpool_warm(pool, a, &err));
    CHECK(*loads == before + 2);
    toolpool_items_t *items = numbered(1000);
    OK(toolpool_submit(pool, a, items, NULL, &jobs[0], &err));
    OK(toolpool_submit(pool, b, items, NULL, &jobs[1], &err));
    OK(toolpool_tool_set(a, "prefix", "too late", &err));
    toolpool_tool_free(a);
    toolpool_tool_free(b);
    for (int job = 0; job < 2; job++) {
        OK(toolpool_job_results(jobs[job], &results, &err));
        for (size_t i = 0; i < 1000; i++) {
            char text[24];
            snprintf(text, sizeof text, "%c-%zu", "ab"[job], i);
            CHECK(output_is(results, i, text));
        }
        toolpool_results_free(results);
        toolpool_job_free(jobs[job]);
    }
    CHECK(*loads == before + 2 && *unloads == unloaded); /* warm for whoever comes next */
    OK(toolpool_warm(pool, other, &err));
    CHECK(*loads == before + 4);
    toolpool_tool_free(other);
    toolpool_items_free(items);
    toolpool_close(pool);
    CHECK(*unloads == unloaded + 4);
}

static void the_limits_of_a_handle_are_its_own(void) {
    toolpool_t *pool = open_pool("cpu");
    toolpool_tool_t *tool = open_tool("library", named("shared_tool:limits"));
    toolpool_items_t *items = numbered(100);
    toolpool_job_t *job = NULL;
    toolpool_results_t *results = NULL;
    toolpool_results_free(run_on(pool, tool, "warm"));
    OK(toolpool_tool_set(tool, "batch", "1", &err));
    OK(toolpool_submit(pool, tool, items, NULL, &job, &err));
    toolpool_status_t status;
    while ((status = toolpool_job_next(job, -1, &results, &err)) == TOOLPOOL_OK) {
        toolpool_column_t column = TOOLPOOL_COLUMN_INIT;
        OK(toolpool_results_column(results, "output", &column, &err));
        CHECK(column.n_chunks == toolpool_results_len(results)); /* a chunk for each batch */
        toolpool_results_free(results);
        results = NULL;
    }
    CHECK(status == TOOLPOOL_DONE);
    toolpool_job_free(job);
    toolpool_items_free(items);
    toolpool_tool_free(tool);
    toolpool_close(pool);
}

static void a_changed_option_unloads_what_only_the_old_tool_could_use(void) {
    atomic_int *loads = counter("library_loads"), *unloads = counter("library_unloads");
    const int before = *loads, unloaded = *unloads;
    toolpool_t *pool = open_pool("cpu*2");
    for (int turn = 1; turn <= 100; turn++) { /* now and then, the workers sleep already */
        toolpool_tool_t *tool = open_tool("library", named("own_tool"));
        OK(toolpool_warm(pool, tool, &err));
        OK(toolpool_tool_set(tool, "prefix", "b-", &err));
        while (*unloads - unloaded != *loads - before) /* by workers that have nothing else to do */
            sched_yield();
        CHECK(*loads == before + 2 * turn);
        toolpool_tool_free(tool);
    }
    toolpool_tool_t *tool = open_tool("library", named("own_tool"));
    OK(toolpool_tool_set(tool, "prefix", "b-", &err));
    toolpool_results_t *results = run_on(pool, tool, "x");
    CHECK(output_is(results, 0, "b-x"));
    toolpool_results_free(results);
    toolpool_tool_free(tool);
    toolpool_close(pool);
    CHECK(*loads == *unloads);
}

int main(void) {
    begin();
    what_is_not_there_is_named();
    options_are_checked_by_the_entry();
    handles_of_one_identity_share_what_is_loaded_not_their_options();
    the_limits_of_a_handle_are_its_own();
    a_changed_option_unloads_what_only_the_old_tool_could_use();
    /* Every opened tool, also those that a changed option replaced, is destroyed. */
    CHECK(*counter("library_destroys") > 0 && *counter("library_loads") > 0);
    CHECK(*counter("library_opens") == *counter("library_destroys") + 2); /* two refused options */
    return 0;
}
