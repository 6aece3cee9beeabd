/* Tools in processes of their own: what kills one costs its item, and nothing stays behind. */
#define _POSIX_C_SOURCE 200809L
#include <ctype.h>
#include <dirent.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

#include "check.h"

static const char *plugin(const char *file_and_symbol) {
    static char source[4096];
    const char *folder = getenv("TOOLPOOL_TEST_PLUGINS");
    CHECK(folder != NULL);
    snprintf(source, sizeof source, "%s/%s", folder, file_and_symbol);
    return source;
}

static toolpool_tool_t *isolated(const char *kind, const char *source) {
    toolpool_tool_t *tool = open_tool(kind, source);
    OK(toolpool_tool_set(tool, "isolation", "process", &err));
    return tool;
}

static toolpool_tool_t *faulty(void) {
    return isolated("library", plugin("faulty_tool.so:faulty"));
}

/* Entries of a folder of /proc that are numbers: descriptors, or processes. */
static size_t numbers_in(const char *folder, bool (*counts)(const char *)) {
    DIR *listing = opendir(folder);
    CHECK(listing != NULL);
    size_t n = 0;
    for (const struct dirent *entry = readdir(listing); entry != NULL; entry = readdir(listing))
        n += isdigit((unsigned char)*entry->d_name) && (counts == NULL || counts(entry->d_name));
    closedir(listing);
    return n;
}

/* The state of a process, as in ps, and its parent; false if there is no such toolpool-worker. */
static bool look_at(const char *process, char *state, int *parent) {
    char path[300], line[512] = "";
    snprintf(path, sizeof path, "/proc/%s/stat", process);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return false;
    const char *name_end = fgets(line, sizeof line, file) == NULL ? NULL : strrchr(line, ')');
    fclose(file);
    return strstr(line, "toolpool-worker") != NULL && name_end != NULL &&
           sscanf(name_end, ") %c %d", state, parent) == 2;
}

/* One that we have seen so last. */
static char last_child[300];

static bool is_our_child(const char *process) {
    char state;
    int parent = 0;
    const bool ours = look_at(process, &state, &parent) && parent == getpid();
    if (ours)
        snprintf(last_child, sizeof last_child, "%s", process);
    return ours;
}

static size_t children(void) { return numbers_in("/proc", is_our_child); }

static int64_t process_of(const toolpool_results_t *results, size_t i) {
    toolpool_tensor_t tensor = TOOLPOOL_TENSOR_INIT;
    OK(toolpool_results_tensor(results, i, "process", &tensor, &err));
    return *(const int64_t *)tensor.data;
}

enum { ITEMS = 40, GUILTY = 17 };

/* Runs 40 items of which one is `fault`; all others must come back. */
static toolpool_results_t *run_with(const char *devices, const char *fault) {
    char text[ITEMS][24];
    const char *strings[ITEMS];
    for (int i = 0; i < ITEMS; i++) {
        snprintf(text[i], sizeof text[i], "%d", i);
        strings[i] = i == GUILTY ? fault : text[i];
    }
    toolpool_t *pool = open_pool(devices);
    toolpool_tool_t *tool = faulty();
    toolpool_items_t *items = items_of(strings, ITEMS);
    toolpool_results_t *results = NULL;
    ANSWERS(TOOLPOOL_PARTIAL, toolpool_run(pool, tool, items, &results, &err));
    toolpool_items_free(items);
    toolpool_tool_free(tool);
    toolpool_close(pool);
    CHECK(children() == 0);
    for (size_t i = 0; i < ITEMS; i++)
        CHECK(i == GUILTY || output_is(results, i, strings[i]));
    return results;
}

static void what_kills_the_process_costs_its_item(void) {
    const struct {
        const char *item, *reason;
    } faults[] = {{"segv", "was killed by SIGSEGV (signal 11)"},
                  {"abort", "was killed by SIGABRT (signal 6)"},
                  {"exit", "ended by itself, with exit status 3"},
                  {"orphan", "was killed by SIGKILL (signal 9)"},
                  {"scribble", "the process of faulty "},
                  {"lost", "an illegal memory access; the process was ended"}};
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        for (int slots = 1; slots <= 2; slots++) {
            toolpool_results_t *results = run_with(slots == 1 ? "cpu*1" : "cpu*2", faults[i].item);
            CHECK(toolpool_results_status(results, GUILTY) == TOOLPOOL_ERR_CRASHED);
            if (!error_says(results, GUILTY, faults[i].reason))
                fail_at(__FILE__, __LINE__, toolpool_results_error(results, GUILTY));
            toolpool_results_free(results);
        }
    }
}

static void what_a_tool_says_arrives_as_it_is(void) {
    toolpool_results_t *results = run_with("cpu", "fail");
    CHECK(toolpool_results_status(results, GUILTY) == TOOLPOOL_ERR_FAILED);
    CHECK(strcmp(toolpool_results_error(results, GUILTY), "faulty: no convergence") == 0);
    toolpool_results_free(results);
    results = run_with("cpu", "bad");
    CHECK(toolpool_results_status(results, GUILTY) == TOOLPOOL_ERR_ITEM);
    CHECK(strcmp(toolpool_results_error(results, GUILTY), "not this one") == 0);
    toolpool_results_free(results);

    toolpool_t *pool = open_pool("cpu");
    toolpool_tool_t *tool = faulty();
    const char *odd = "odd";
    toolpool_items_t *items = items_of(&odd, 1);
    OK(toolpool_run(pool, tool, items, &results, &err));
    CHECK(strcmp(toolpool_results_warning(results, 0), "what an item") == 0);
    CHECK(process_of(results, 0) != getpid());
    toolpool_results_free(results);
    toolpool_items_free(items);
    toolpool_tool_free(tool);
    toolpool_close(pool);
}

static void a_tool_that_cannot_be_loaded_says_why(void) {
    toolpool_t *pool = open_pool("cpu");
    toolpool_tool_t *tool = isolated("library", plugin("faulty_tool.so:faulty:fails at load"));
    REFUSED(TOOLPOOL_ERR_MODEL, "the weights are damaged", toolpool_warm(pool, tool, &err));
    toolpool_tool_free(tool);
    tool = isolated("library", plugin("faulty_tool.so:faulty:dies at load"));
    REFUSED(TOOLPOOL_ERR_CRASHED, "SIGABRT", toolpool_warm(pool, tool, &err));
    CHECK(children() == 0);
    toolpool_tool_free(tool);
    toolpool_close(pool);
}

static void tools_of_one_identity_share_a_process_and_keep_their_options(void) {
    toolpool_t *pool = open_pool("cpu");
    toolpool_items_t *items = numbered(3);
    toolpool_results_t *results = NULL;
    char prefix[8], wanted[16];
    for (int i = 0; i < 40; i++) {
        toolpool_tool_t *tool = isolated("library", plugin("library_tool.so:shared_tool:one"));
        snprintf(prefix, sizeof prefix, "%d-", i % 20);
        OK(toolpool_tool_set(tool, "prefix", prefix, &err));
        OK(toolpool_run(pool, tool, items, &results, &err));
        snprintf(wanted, sizeof wanted, "%s2", prefix);
        CHECK(output_is(results, 2, wanted));
        toolpool_results_free(results);
        toolpool_tool_free(tool);
        CHECK(children() == 1);
    }
    toolpool_items_free(items);
    toolpool_close(pool);
}

static void isolation_is_chosen_and_left_by_option(void) {
    toolpool_t *pool = open_pool("cpu");
    toolpool_tool_t *tool = faulty();
    toolpool_items_t *items = numbered(1);
    toolpool_results_t *results = NULL;
    REFUSED(TOOLPOOL_ERR_OPTION, "'process' or 'none'",
            toolpool_tool_set(tool, "isolation", "thread", &err));
    REFUSED(TOOLPOOL_ERR_OPTION, "no options", toolpool_tool_set(tool, "speed", "high", &err));
    OK(toolpool_run(pool, tool, items, &results, &err));
    CHECK(process_of(results, 0) != getpid());
    toolpool_results_free(results);
    OK(toolpool_tool_set(tool, "isolation", "none", &err));
    OK(toolpool_run(pool, tool, items, &results, &err));
    CHECK(process_of(results, 0) == getpid());
    toolpool_results_free(results);
    toolpool_items_free(items);
    toolpool_tool_free(tool);

    calls_t calls = {0};
    tool = tool_of("mine", counting(), &calls);
    REFUSED(TOOLPOOL_ERR_OPTION, "no other process has",
            toolpool_tool_set(tool, "isolation", "process", &err));
    toolpool_tool_free(tool);
    toolpool_close(pool);
}

static toolpool_job_t *submit(toolpool_t *pool, toolpool_tool_t *tool, const char *item,
                              const char *option, const char *value) {
    toolpool_options_t *options = NULL;
    toolpool_items_t *items = items_of(&item, 1);
    toolpool_job_t *job = NULL;
    OK(toolpool_options_new(&options, &err));
    OK(toolpool_options_set(options, option, value, &err));
    OK(toolpool_submit(pool, tool, items, options, &job, &err));
    toolpool_items_free(items);
    toolpool_options_free(options);
    return job;
}

static void a_tool_that_hangs_is_killed_when_its_time_is_over(void) {
    toolpool_t *pool = open_pool("cpu");
    toolpool_tool_t *tool = faulty();
    toolpool_job_t *job = submit(pool, tool, "hang", "batch_time_limit", "0.5");
    toolpool_results_t *results = NULL;
    ANSWERS(TOOLPOOL_PARTIAL, toolpool_job_results(job, &results, &err));
    CHECK(toolpool_results_status(results, 0) == TOOLPOOL_ERR_TIME_LIMIT);
    toolpool_results_free(results);
    toolpool_job_free(job);

    toolpool_items_t *items = numbered(5);
    OK(toolpool_run(pool, tool, items, &results, &err));
    CHECK(output_is(results, 4, "4") && process_of(results, 4) != getpid());
    toolpool_results_free(results);
    toolpool_items_free(items);
    toolpool_tool_free(tool);
    toolpool_close(pool);
    CHECK(children() == 0);
}

/* Inside a tool a child sees no end of the line; it must end with its parent all the same. */
static void no_child_outlives_a_program_that_is_killed(void) {
    int line[2];
    CHECK(pipe(line) == 0);
    const pid_t program = fork();
    CHECK(program >= 0);
    if (program == 0) {
        toolpool_t *pool = open_pool("cpu");
        toolpool_tool_t *tool = faulty();
        toolpool_job_t *job = submit(pool, tool, "hang", "dedup", "true");
        while (children() == 0)
            sched_yield();
        CHECK(write(line[1], last_child, sizeof last_child) == sizeof last_child);
        CHECK(job != NULL);
        raise(SIGKILL);
    }
    CHECK(read(line[0], last_child, sizeof last_child) == sizeof last_child);
    CHECK(waitpid(program, NULL, 0) == program);
    close(line[0]);
    close(line[1]);
    char state = 0;
    int parent;
    while (look_at(last_child, &state, &parent) && state != 'Z')
        sched_yield();
}

static void nothing_stays_open(void) {
    toolpool_results_free(run_with("cpu", "segv"));
    const size_t before = numbers_in("/proc/self/fd", NULL);
    for (int i = 0; i < 3; i++)
        toolpool_results_free(run_with("cpu*2", "segv"));
    CHECK(numbers_in("/proc/self/fd", NULL) == before);
}

/* Batches of few tokens, so that several are formed and two are in the process at a time. */
static toolpool_results_t *embed(toolpool_t *pool, toolpool_tool_t *tool,
                                 const toolpool_items_t *items) {
    toolpool_options_t *options = NULL;
    toolpool_job_t *job = NULL;
    toolpool_results_t *results = NULL;
    OK(toolpool_options_new(&options, &err));
    OK(toolpool_options_set(options, "deterministic", "true", &err));
    OK(toolpool_submit(pool, tool, items, options, &job, &err));
    OK(toolpool_job_results(job, &results, &err));
    toolpool_options_free(options);
    toolpool_job_free(job);
    return results;
}

/* Outputs of ESM-2 in a process of its own: bit for bit those of this process. */
static void esm2_gives_the_same_bits(void) {
    enum { SEQUENCES = 30 };
    const char *model = getenv("TOOLPOOL_TEST_TINY_MODEL");
    if (model == NULL || *model == '\0') {
        fputs("left out: TOOLPOOL_TEST_TINY_MODEL names no model\n", stderr);
        return;
    }
    const char *launcher = getenv("TOOLPOOL_TEST_LAUNCHER");
    if (launcher != NULL && *launcher != '\0') {
        fputs("left out: the child runs on the processor itself, which rounds otherwise\n", stderr);
        return;
    }
    const char *letters = "MKTAYIAKQRQISFVKSHFSRQLEERLGL*";
    const char *sequences[SEQUENCES];
    for (int i = 0; i < SEQUENCES; i++)
        sequences[i] = letters + i;
    toolpool_t *pool = open_pool("cpu*1");
    toolpool_tool_t *tool = open_tool("esm2", model);
    toolpool_items_t *items = items_of(sequences, SEQUENCES);
    OK(toolpool_tool_set(tool, "outputs", "mean,per_residue,contacts", &err));
    OK(toolpool_tool_set(tool, "tokens_per_batch", "64", &err));
    toolpool_results_t *here = embed(pool, tool, items);
    OK(toolpool_tool_set(tool, "isolation", "process", &err));
    toolpool_results_t *there = embed(pool, tool, items);
    CHECK(children() == 1);
    const char *names[] = {"mean", "per_residue", "contacts"};
    for (size_t i = 0; i < 3 * SEQUENCES; i++) {
        toolpool_tensor_t a = TOOLPOOL_TENSOR_INIT, b = TOOLPOOL_TENSOR_INIT;
        OK(toolpool_results_tensor(here, i / 3, names[i % 3], &a, &err));
        OK(toolpool_results_tensor(there, i / 3, names[i % 3], &b, &err));
        CHECK(a.bytes == b.bytes && a.bytes > 0 && memcmp(a.data, b.data, a.bytes) == 0);
    }
    CHECK(strstr(toolpool_results_warning(there, 3), "*") != NULL);
    toolpool_results_free(here);
    toolpool_results_free(there);
    toolpool_items_free(items);
    toolpool_tool_free(tool);
    toolpool_close(pool);
}

int main(void) {
    begin();
    no_child_outlives_a_program_that_is_killed(); /* forks: before any pool */
    a_tool_that_hangs_is_killed_when_its_time_is_over();
    what_kills_the_process_costs_its_item();
    what_a_tool_says_arrives_as_it_is();
    a_tool_that_cannot_be_loaded_says_why();
    tools_of_one_identity_share_a_process_and_keep_their_options();
    isolation_is_chosen_and_left_by_option();
    nothing_stays_open();
    esm2_gives_the_same_bits();
    return 0;
}
