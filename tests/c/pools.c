/* Options of a pool: memory for loaded tools, threads, trust. */
#include "check.h"

enum { MIB = 1 << 20 };

static toolpool_t *open_with(const char *devices, const char *key, const char *value) {
    const toolpool_option_t option = {key, value};
    toolpool_t *pool = NULL;
    OK(toolpool_open_with(devices, &option, 1, &pool, &err));
    return pool;
}

static void refused_with(int32_t status, const char *part, const char *key, const char *value) {
    const toolpool_option_t options[] = {{"trust", "data"}, {key, value}};
    toolpool_t *pool = NULL;
    REFUSED(status, part, toolpool_open_with("cpu", options, 2, &pool, &err));
    CHECK(pool == NULL);
}

static void bad_options_are_refused(void) {
    refused_with(TOOLPOOL_ERR_OPTION, "memory_limit, threads, trust", "memory", "1");
    refused_with(TOOLPOOL_ERR_OPTION, "'code' or 'data'", "trust", "yes");
    refused_with(TOOLPOOL_ERR_OPTION, "bytes above 0", "memory_limit", "0");
    refused_with(TOOLPOOL_ERR_OPTION, "bytes above 0", "memory_limit", "8 GB");
    refused_with(TOOLPOOL_ERR_OPTION, "from 1 to 1024", "threads", "0");
    refused_with(TOOLPOOL_ERR_OPTION, "from 1 to 1024", "threads", "1000000000");
    refused_with(TOOLPOOL_ERR_OPTION, "from 1 to 1024", "threads", "-1");
    refused_with(TOOLPOOL_ERR_ARGUMENT, "key is NULL", NULL, "1");
    refused_with(TOOLPOOL_ERR_ARGUMENT, "value is NULL", "threads", NULL);
    refused_with(TOOLPOOL_ERR_ARGUMENT, "UTF-8", "threads", "\xff");
    toolpool_t *pool = NULL;
    REFUSED(TOOLPOOL_ERR_ARGUMENT, "options is NULL",
            toolpool_open_with("cpu", NULL, 1, &pool, &err));
    OK(toolpool_open_with("cpu", NULL, 0, &pool, &err));
    toolpool_close(pool);
}

static int32_t threads_of(const toolpool_t *pool, size_t slot) {
    toolpool_devices_t *slots = NULL;
    toolpool_device_t device = TOOLPOOL_DEVICE_INIT;
    OK(toolpool_slots(pool, &slots, &err));
    OK(toolpool_devices_get(slots, slot, &device, &err));
    toolpool_devices_free(slots);
    return device.threads;
}

static void threads_are_those_of_every_slot(void) {
    toolpool_t *pool = open_with("cpu*2", "threads", "3");
    CHECK(threads_of(pool, 0) == 3 && threads_of(pool, 1) == 3);
    toolpool_close(pool);
}

static void run_one(toolpool_t *pool, toolpool_tool_t *tool) {
    toolpool_items_t *items = numbered(1);
    toolpool_results_t *results = NULL;
    OK(toolpool_run(pool, tool, items, &results, &err));
    CHECK(output_is_number(results, 0, 0));
    toolpool_results_free(results);
    toolpool_items_free(items);
}

/* A tool that takes some MiB. */
typedef struct {
    calls_t calls;
    uint64_t takes;
} large_t;

static uint64_t memory_of(void *user, const toolpool_device_t *device, void *state) {
    const large_t *large = user;
    CHECK(device->kind == TOOLPOOL_DEVICE_CPU && (state == NULL || state == user));
    return large->takes * MIB;
}

static toolpool_tool_t *large_tool(large_t *large, uint64_t takes, const char *identity) {
    toolpool_callbacks_t callbacks = counting();
    callbacks.identity = identity;
    callbacks.memory = memory_of;
    memset(large, 0, sizeof *large);
    large->takes = takes;
    return tool_of("large", callbacks, large);
}

static void the_least_recently_used_tool_makes_room(void) {
    enum { TOOLS = 3 };
    large_t large[TOOLS];
    toolpool_tool_t *tools[TOOLS];
    toolpool_t *pool = open_with("cpu", "memory_limit", "104857600"); /* 100 MiB */
    for (int i = 0; i < TOOLS; i++)
        tools[i] = large_tool(&large[i], 40, NULL);
    run_one(pool, tools[0]);
    run_one(pool, tools[1]);
    run_one(pool, tools[0]);
    CHECK(large[0].calls.loads == 1 && large[1].calls.loads == 1); /* both are warm */
    run_one(pool, tools[2]);
    CHECK(large[1].calls.unloads == 1 && large[0].calls.unloads == 0);
    run_one(pool, tools[0]);
    CHECK(large[0].calls.loads == 1);
    run_one(pool, tools[1]);
    CHECK(large[1].calls.loads == 2 && large[2].calls.unloads == 1);
    toolpool_close(pool);
    for (int i = 0; i < TOOLS; i++) {
        CHECK(large[i].calls.loads == large[i].calls.unloads);
        toolpool_tool_free(tools[i]);
    }
}

static void slots_of_one_device_share_its_memory(void) {
    large_t first_calls, second_calls;
    toolpool_t *pool = open_with("cpu*2", "memory_limit", "104857600");
    toolpool_tool_t *first = large_tool(&first_calls, 60, "first");
    toolpool_tool_t *second = large_tool(&second_calls, 60, "second");
    OK(toolpool_warm(pool, first, &err));
    CHECK(first_calls.calls.loads == 2); /* states of one identity count once on one device */
    OK(toolpool_warm(pool, second, &err));
    CHECK(second_calls.calls.loads == 2 && first_calls.calls.unloads == 2);
    toolpool_tool_free(first);
    toolpool_tool_free(second);
    toolpool_close(pool);
}

static void states_that_share_nothing_count_each(void) {
    large_t calls;
    toolpool_t *pool = open_with("cpu*2", "memory_limit", "104857600");
    toolpool_tool_t *tool = large_tool(&calls, 60, NULL);
    REFUSED(TOOLPOOL_ERR_OUT_OF_MEMORY, "each slot needs 60.0 MiB of memory for itself",
            toolpool_warm(pool, tool, &err));
    run_one(pool, tool);
    CHECK(calls.calls.loads == 1 && calls.calls.unloads == 0);
    toolpool_tool_free(tool);
    toolpool_close(pool);
}

static void what_can_never_fit_is_refused_with_figures_before_it_is_loaded(void) {
    large_t large;
    toolpool_t *pool = open_with("cpu", "memory_limit", "104857600");
    toolpool_tool_t *tool = large_tool(&large, 3 * 1024, NULL);
    toolpool_items_t *items = numbered(4);
    toolpool_results_t *results = NULL;
    REFUSED(TOOLPOOL_ERR_OUT_OF_MEMORY, "needs 3.0 GiB of memory to load, more than the 100.0 MiB",
            toolpool_run(pool, tool, items, &results, &err));
    REFUSED(TOOLPOOL_ERR_OUT_OF_MEMORY, "memory_limit", toolpool_warm(pool, tool, &err));
    CHECK(large.calls.loads == 0);
    toolpool_items_free(items);
    toolpool_tool_free(tool);
    toolpool_close(pool);
}

static void trust_in_data_refuses_programs(void) {
    calls_t calls = {0};
    toolpool_callbacks_t callbacks = counting();
    callbacks.runs_code = 1;
    toolpool_tool_t *program = tool_of("program", callbacks, &calls);
    toolpool_tool_t *echo = open_echo();
    toolpool_items_t *items = numbered(4);
    toolpool_results_t *results = NULL;
    toolpool_job_t *job = NULL;
    toolpool_t *careful = open_with("cpu", "trust", "data");
    REFUSED(TOOLPOOL_ERR_TOOL, "trust=data", toolpool_run(careful, program, items, &results, &err));
    REFUSED(TOOLPOOL_ERR_TOOL, "trust=data",
            toolpool_submit(careful, program, items, NULL, &job, &err));
    REFUSED(TOOLPOOL_ERR_TOOL, "trust=data", toolpool_warm(careful, program, &err));
    CHECK(calls.loads == 0);
    run_one(careful, echo);
    toolpool_close(careful);
    toolpool_t *trusting = open_with("cpu", "trust", "code");
    run_one(trusting, program);
    toolpool_close(trusting);
    toolpool_items_free(items);
    toolpool_tool_free(program);
    toolpool_tool_free(echo);
}

int main(void) {
    begin();
    bad_options_are_refused();
    threads_are_those_of_every_slot();
    the_least_recently_used_tool_makes_room();
    slots_of_one_device_share_its_memory();
    states_that_share_nothing_count_each();
    what_can_never_fit_is_refused_with_figures_before_it_is_loaded();
    trust_in_data_refuses_programs();
    return 0;
}
