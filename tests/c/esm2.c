/* ESM-2 through the C surface, with a tiny model of random weights: bad input, damaged checkpoints,
 * absent or foreign libtorch, and results that depend on nothing but the item. */
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "check.h"

static const char *model;

/* A file of any content, or of none. */
static void write_file(const char *path, const void *data, size_t len) {
    FILE *file = fopen(path, "wb");
    CHECK(file != NULL);
    CHECK(len == 0 || fwrite(data, 1, len, file) == len);
    CHECK(fclose(file) == 0);
}

static char *read_file(const char *path, size_t *len) {
    FILE *file = fopen(path, "rb");
    CHECK(file != NULL && fseek(file, 0, SEEK_END) == 0);
    const long end = ftell(file);
    CHECK(end >= 0);
    char *data = malloc((size_t)end + 1);
    rewind(file);
    CHECK(data != NULL && fread(data, 1, (size_t)end, file) == (size_t)end);
    fclose(file);
    data[end] = '\0';
    *len = (size_t)end;
    return data;
}

/* "FOLDER/NAME", in memory that the next call but seven reuses. */
static const char *in(const char *folder, const char *name) {
    static char paths[8][1024];
    static int next;
    char *path = paths[next++ % 8];
    CHECK(snprintf(path, sizeof paths[0], "%s/%s", folder, name) < (int)sizeof paths[0]);
    return path;
}

static const char *new_folder(void) {
    static char folder[1024];
    const char *parent = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/toolpool-XXXXXX", parent != NULL ? parent : "/tmp");
    CHECK(mkdtemp(folder) != NULL);
    return folder;
}

/* A process has one libtorch at most: each of these looks for its own in a child, before this
 * process has one. */
static void open_with_libtorch(const char *where, const char *part) {
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        toolpool_tool_t *none = NULL;
        setenv("TOOLPOOL_LIBTORCH", where, 1);
        REFUSED(TOOLPOOL_ERR_BACKEND, part, toolpool_tool_open("esm2", model, &none, &err));
        REFUSED(TOOLPOOL_ERR_BACKEND, "TOOLPOOL_LIBTORCH",
                toolpool_tool_open("esm2", model, &none, &err)); /* it looks again */
        toolpool_tool_free(open_echo());
        _exit(none != NULL);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void a_libtorch_that_is_absent_or_of_another_version_is_named(void) {
    const char *folder = new_folder(), *lib = in(folder, "lib");
    const char *fake = in(lib, "libtorch_cpu.so"), *version = in(folder, "build-version");
    open_with_libtorch("/nowhere/libtorch", "/nowhere/libtorch");
    open_with_libtorch(folder, folder);
    CHECK(mkdir(lib, 0700) == 0);
    write_file(fake, "no library", 10);
    open_with_libtorch(folder, folder);
    write_file(version, "1.13.1+cpu\n", 11);
    open_with_libtorch(folder, "its version is 1.13.1");
    write_file(version, "2.11.0+cpu\n", 11);
    open_with_libtorch(folder, "libtorch_cpu.so");
    CHECK(remove(fake) == 0 && remove(version) == 0 && remove(lib) == 0 && remove(folder) == 0);
}

/* Opens and loads a checkpoint, which must fail at one or the other. */
static void broken(toolpool_t *pool, const char *folder, const char *part) {
    toolpool_tool_t *tool = NULL;
    toolpool_status_t status = toolpool_tool_open("esm2", folder, &tool, &err);
    if (status >= 0)
        status = toolpool_warm(pool, tool, &err);
    toolpool_tool_free(tool);
    REFUSED(TOOLPOOL_ERR_MODEL, part, status);
}

/* `text` with the first `old` in it replaced by `new` of the same length. */
static void swap(char *text, size_t len, const char *old, const char *new) {
    CHECK(strlen(old) == strlen(new));
    for (size_t i = 0; i + strlen(old) <= len; i++)
        if (memcmp(text + i, old, strlen(old)) == 0) {
            memcpy(text + i, new, strlen(new));
            return;
        }
    CHECK(!"the text occurs");
}

static void a_damaged_checkpoint_is_named(void) {
    toolpool_t *pool = open_pool("cpu*2");
    const char *folder = new_folder();
    const char *config = in(folder, "config.json"), *weights = in(folder, "model.safetensors");
    size_t config_len, len;
    char *good_config = read_file(in(model, "config.json"), &config_len);
    char *good = read_file(in(model, "model.safetensors"), &len);

    broken(pool, "/nowhere/at/all", "/nowhere/at/all");
    broken(pool, folder, "config.json");
    write_file(config, good_config, config_len);
    broken(pool, folder, "model.safetensors");
    const size_t cuts[] = {0, 7, 8, 100, len / 2, len - 1};
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        write_file(weights, good, cuts[i]);
        broken(pool, folder, weights);
    }
    char *bad = malloc(len);
    CHECK(bad != NULL);
    memcpy(bad, good, len);
    memcpy(bad, "\0\0\0\0\0\0\0\x80", 8); /* a header of 2^63 bytes */
    write_file(weights, bad, len);
    broken(pool, folder, weights);
    memcpy(bad, good, len);
    swap(bad, len, "layer.1.attention.self.query.weight", "layer.1.attention.self.query.wait!!");
    write_file(weights, bad, len);
    broken(pool, folder, "query.weight");

    write_file(weights, good, len);
    char *bad_config = malloc(config_len + 1);
    CHECK(bad_config != NULL);
    memcpy(bad_config, good_config, config_len + 1);
    swap(bad_config, config_len, "\"hidden_size\": 4", "\"hidden_size\": 8");
    write_file(config, bad_config, config_len);
    broken(pool, folder, "80");
    write_file(config, "{", 1);
    broken(pool, folder, config);

    write_file(config, good_config, config_len); /* and whole again, it works in the same process */
    toolpool_tool_t *tool = open_tool("esm2", folder);
    OK(toolpool_warm(pool, tool, &err));
    toolpool_tool_free(tool);
    toolpool_close(pool);
    free(bad_config), free(bad), free(good), free(good_config);
    CHECK(remove(config) == 0 && remove(weights) == 0 && remove(folder) == 0);
}

static void options_that_are_unknown_are_answered_with_the_known(void) {
    toolpool_tool_t *tool = open_tool("esm2", model);
    REFUSED(TOOLPOOL_ERR_OPTION, "outputs, layers, dtype", toolpool_tool_set(tool, "a", "b", &err));
    REFUSED(TOOLPOOL_ERR_OPTION, "per_residue", toolpool_tool_set(tool, "outputs", "mean,x", &err));
    REFUSED(TOOLPOOL_ERR_OPTION, "outputs", toolpool_tool_set(tool, "outputs", "", &err));
    REFUSED(TOOLPOOL_ERR_OPTION, "layer 4", toolpool_tool_set(tool, "layers", "4", &err));
    REFUSED(TOOLPOOL_ERR_OPTION, "layers", toolpool_tool_set(tool, "layers", "one", &err));
    REFUSED(TOOLPOOL_ERR_OPTION, "truncate", toolpool_tool_set(tool, "on_long", "cut", &err));
    REFUSED(TOOLPOOL_ERR_OPTION, "max_length", toolpool_tool_set(tool, "max_length", "0", &err));
    REFUSED(TOOLPOOL_ERR_OPTION, "dtype", toolpool_tool_set(tool, "dtype", "int4", &err));
    OK(toolpool_tool_set(tool, "layers", "0,-1", &err));
    toolpool_tool_free(tool);
}

static toolpool_results_t *run(toolpool_t *pool, toolpool_tool_t *tool, const char *const *strings,
                               size_t n, int32_t wanted) {
    toolpool_items_t *items = items_of(strings, n);
    toolpool_results_t *results = NULL;
    ANSWERS(wanted, toolpool_run(pool, tool, items, &results, &err));
    toolpool_items_free(items);
    return results;
}

static toolpool_tensor_t output(const toolpool_results_t *results, size_t i, const char *name) {
    toolpool_tensor_t tensor = TOOLPOOL_TENSOR_INIT;
    OK(toolpool_results_tensor(results, i, name, &tensor, &err));
    CHECK(tensor.dtype == TOOLPOOL_FLOAT32);
    for (size_t value = 0; value < tensor.bytes / sizeof(float); value++)
        CHECK(isfinite(((const float *)tensor.data)[value]));
    return tensor;
}

/* Equal to 1e-5 of the largest value (of 1, where all are smaller). */
static bool alike(toolpool_tensor_t a, toolpool_tensor_t b) {
    const float *x = a.data, *y = b.data;
    double largest = 1, difference = 0;
    if (a.ndim != b.ndim || a.bytes != b.bytes)
        return false;
    for (size_t i = 0; i < a.bytes / sizeof(float); i++) {
        largest = fmax(largest, fabs(x[i]));
        difference = fmax(difference, fabs((double)x[i] - y[i]));
    }
    return difference <= 1e-5 * largest;
}

static void odd_sequences_fail_alone_or_are_remarked_on(void) {
    const char *strings[] = {"MKTLLILAVV", "", "MK?TL1", "mktllilavv", "MKXBUZO-."};
    toolpool_t *pool = open_pool("cpu*2");
    toolpool_tool_t *tool = open_tool("esm2", model);
    OK(toolpool_tool_set(tool, "outputs", "mean,per_residue", &err));
    toolpool_results_t *results = run(pool, tool, strings, 5, TOOLPOOL_PARTIAL);
    CHECK(toolpool_results_status(results, 1) == TOOLPOOL_ERR_ITEM);
    CHECK(error_says(results, 1, "empty"));
    CHECK(*toolpool_results_warning(results, 0) == '\0');
    CHECK(strstr(toolpool_results_warning(results, 2), "'?' at 3") != NULL);
    CHECK(strstr(toolpool_results_warning(results, 2), "'1' at 6") != NULL);
    CHECK(output(results, 2, "per_residue").shape[0] == 6); /* one unknown for each letter */
    CHECK(*toolpool_results_warning(results, 4) == '\0');   /* these are in the alphabet */
    CHECK(output(results, 0, "mean").ndim == 1 && output(results, 0, "per_residue").ndim == 2);
    output(results, 3, "mean");
    toolpool_results_free(results);
    toolpool_tool_free(tool);
    toolpool_close(pool);
}

static void a_long_sequence_is_what_on_long_makes_of_it(void) {
    enum { LONG = 5000, WHOLE = 1100 }; /* valgrind would spend ten minutes on the whole of it */
    char *sequence = malloc(LONG + 1);
    CHECK(sequence != NULL);
    for (size_t i = 0; i < LONG; i++)
        sequence[i] = "ACDEFGHIKLMNPQRSTVWY"[i * i % 20];
    sequence[LONG] = '\0';
    const char *strings[] = {sequence, "MKT"};
    toolpool_t *pool = open_pool("cpu");
    toolpool_tool_t *tool = open_tool("esm2", model);
    OK(toolpool_tool_set(tool, "outputs", "per_residue", &err));
    toolpool_results_t *results = run(pool, tool, strings, 2, TOOLPOOL_PARTIAL);
    CHECK(toolpool_results_status(results, 0) == TOOLPOOL_ERR_ITEM);
    CHECK(error_says(results, 0, "5000 residues, more than max_length (1022)"));
    CHECK(toolpool_results_status(results, 1) == TOOLPOOL_OK);
    toolpool_results_free(results);

    OK(toolpool_tool_set(tool, "on_long", "truncate", &err));
    results = run(pool, tool, strings, 2, TOOLPOOL_OK);
    CHECK(output(results, 0, "per_residue").shape[0] == 1022);
    CHECK(strstr(toolpool_results_warning(results, 0), "first 1022 of 5000") != NULL);
    toolpool_results_free(results);

    sequence[WHOLE] = '\0';
    OK(toolpool_tool_set(tool, "on_long", "whole", &err));
    results = run(pool, tool, strings, 2, TOOLPOOL_OK);
    CHECK(output(results, 0, "per_residue").shape[0] == WHOLE);
    CHECK(strstr(toolpool_results_warning(results, 0), "used whole") != NULL);
    toolpool_results_free(results);
    toolpool_tool_free(tool);
    toolpool_close(pool);
    free(sequence);
}

enum { SEQUENCES = 24 };

/* Of unlike lengths, from 3 to 72 residues. */
static const char *const *sequences(void) {
    static char text[SEQUENCES][80];
    static const char *strings[SEQUENCES];
    for (size_t i = 0; i < SEQUENCES; i++) {
        for (size_t j = 0; j < 3 + 3 * i; j++)
            text[i][j] = "ACDEFGHIKLMNPQRSTVWY"[(i * 7 + j * j * 3 + j) % 20];
        strings[i] = text[i];
    }
    return strings;
}

/* Each alone on one worker, and all together on several, in small batches and in one. */
static void a_result_depends_on_the_item_alone(void) {
    enum { N = SEQUENCES };
    const char *const *strings = sequences();
    toolpool_t *one = open_pool("cpu"), *three = open_pool("cpu*3");
    toolpool_tool_t *tool = open_tool("esm2", model);
    OK(toolpool_tool_set(tool, "outputs", "mean,bos,per_residue,logits,contacts", &err));
    OK(toolpool_tool_set(tool, "dtype", "fp32", &err));
    toolpool_results_t *alone[N], *together[3];
    for (size_t i = 0; i < N; i++)
        alone[i] = run(one, tool, &strings[i], 1, TOOLPOOL_OK);
    together[0] = run(one, tool, strings, N, TOOLPOOL_OK);
    together[1] = run(three, tool, strings, N, TOOLPOOL_OK);
    OK(toolpool_tool_set(tool, "tokens_per_batch", "100", &err));
    together[2] = run(three, tool, strings, N, TOOLPOOL_OK);
    CHECK(toolpool_results_outputs(together[0]) == 5);
    for (size_t i = 0; i < N; i++) {
        for (size_t way = 0; way < 3; way++)
            for (size_t o = 0; o < 5; o++) {
                const char *name = toolpool_results_output_name(together[0], o);
                CHECK(alike(output(alone[i], 0, name), output(together[way], i, name)));
            }
        toolpool_results_free(alone[i]);
    }
    CHECK(!alike(output(together[0], 0, "mean"), output(together[0], 1, "mean")));
    for (size_t way = 0; way < 3; way++)
        toolpool_results_free(together[way]);
    toolpool_tool_free(tool);
    toolpool_close(one);
    toolpool_close(three);
}

/* Bit for bit, on any number of workers of as many threads. */
static void a_deterministic_job_gives_the_same_bits_on_any_number_of_slots(void) {
    const toolpool_option_t one_thread = {"threads", "1"};
    const char *const devices[] = {"cpu", "cpu*2", "cpu*3"};
    toolpool_tool_t *tool = open_tool("esm2", model);
    toolpool_items_t *items = items_of(sequences(), SEQUENCES);
    toolpool_options_t *options = NULL;
    OK(toolpool_tool_set(tool, "outputs", "mean,per_residue", &err));
    OK(toolpool_options_new(&options, &err));
    OK(toolpool_options_set(options, "deterministic", "true", &err));
    toolpool_results_t *results[3] = {NULL};
    for (size_t way = 0; way < 3; way++) {
        toolpool_t *pool = NULL;
        toolpool_job_t *job = NULL;
        OK(toolpool_open_with(devices[way], &one_thread, 1, &pool, &err));
        OK(toolpool_submit(pool, tool, items, options, &job, &err));
        OK(toolpool_job_results(job, &results[way], &err));
        toolpool_job_free(job);
        toolpool_close(pool);
    }
    for (size_t i = 0; i < SEQUENCES; i++) {
        for (size_t way = 1; way < 3; way++) {
            for (size_t o = 0; o < 2; o++) {
                const char *name = o == 0 ? "mean" : "per_residue";
                const toolpool_tensor_t a = output(results[0], i, name);
                const toolpool_tensor_t b = output(results[way], i, name);
                CHECK(a.bytes == b.bytes && memcmp(a.data, b.data, a.bytes) == 0);
            }
        }
    }
    for (size_t way = 0; way < 3; way++)
        toolpool_results_free(results[way]);
    toolpool_options_free(options);
    toolpool_items_free(items);
    toolpool_tool_free(tool);
}

static void weights_that_do_not_fit_are_refused_with_figures(void) {
    const toolpool_option_t little = {"memory_limit", "1000"};
    toolpool_t *pool = NULL;
    toolpool_tool_t *tool = open_tool("esm2", model);
    OK(toolpool_open_with("cpu", &little, 1, &pool, &err));
    REFUSED(TOOLPOOL_ERR_OUT_OF_MEMORY, "memory_limit", toolpool_warm(pool, tool, &err));
    toolpool_tool_free(tool);
    toolpool_close(pool);
}

/* What is found depends on the machine; that something is, and that results stay, does not. */
static void a_budget_that_is_found_changes_no_result(void) {
    toolpool_t *pool = open_pool("cpu*2");
    toolpool_tool_t *fixed = open_tool("esm2", model), *found = open_tool("esm2", model);
    OK(toolpool_tool_set(found, "tokens_per_batch", "auto", &err));
    REFUSED(TOOLPOOL_ERR_OPTION, "auto", toolpool_tool_set(found, "tokens_per_batch", "-1", &err));
    toolpool_results_t *a = run(pool, fixed, sequences(), SEQUENCES, TOOLPOOL_OK);
    toolpool_results_t *b = run(pool, found, sequences(), SEQUENCES, TOOLPOOL_OK);
    for (size_t i = 0; i < SEQUENCES; i++)
        CHECK(alike(output(a, i, "mean"), output(b, i, "mean")));
    toolpool_results_free(a);
    toolpool_results_free(b);
    toolpool_tool_free(fixed);
    toolpool_tool_free(found);
    toolpool_close(pool);
}

int main(void) {
    begin();
    model = getenv("TOOLPOOL_TEST_TINY_MODEL");
    if (model == NULL || *model == '\0') {
        fputs("skipped: TOOLPOOL_TEST_TINY_MODEL names no model\n", stderr);
        return 77;
    }
    a_libtorch_that_is_absent_or_of_another_version_is_named();
    a_damaged_checkpoint_is_named();
    options_that_are_unknown_are_answered_with_the_known();
    odd_sequences_fail_alone_or_are_remarked_on();
    a_long_sequence_is_what_on_long_makes_of_it();
    a_result_depends_on_the_item_alone();
    a_deterministic_job_gives_the_same_bits_on_any_number_of_slots();
    weights_that_do_not_fit_are_refused_with_figures();
    a_budget_that_is_found_changes_no_result();
    return 0;
}
