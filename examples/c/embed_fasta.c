/*
 * Embeds the proteins of a FASTA file: the whole of what a program does with toolpool.
 *
 *     embed_fasta [--report FOLDER] MODEL FASTA [DEVICES]
 */
#define _POSIX_C_SOURCE 200809L
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <toolpool.h>
#include <unistd.h>

static const char USAGE[] =
    "usage: embed_fasta [--report FOLDER] MODEL FASTA [DEVICES]\n"
    "\n"
    "Embeds every protein of FASTA with the ESM-2 checkpoint MODEL (a directory, or a hub id such "
    "as\n"
    "facebook/esm2_t6_8M_UR50D in the local Hugging Face cache) and prints\n"
    "the first values of the mean embedding.\n"
    "\n"
    "DEVICES: auto (every GPU, else the CPU), all, 2, cuda:0,cuda:2, cpu*4 ...; default: auto\n"
    "--report: writes report.json, trace.json (open it in https://ui.perfetto.dev) and "
    "timeline.svg\n"
    "into FOLDER\n";

/* The proteins of a FASTA file. Sequences lie one after the other, as toolpool borrows them. */
typedef struct {
    char **ids;
    char *residues;
    int64_t *offsets; /* n + 1 */
    size_t n;
} proteins_t;

static void *grown(void *memory, size_t bytes) {
    memory = realloc(memory, bytes);
    if (memory == NULL) {
        fputs("embed_fasta: out of memory\n", stderr);
        exit(1);
    }
    return memory;
}

static void add_protein(proteins_t *proteins, const char *header) {
    const size_t n = proteins->n++, len = strcspn(header, " \t\r\n");
    proteins->ids = grown(proteins->ids, (n + 1) * sizeof *proteins->ids);
    proteins->ids[n] = memcpy(grown(NULL, len + 1), header, len);
    proteins->ids[n][len] = '\0';
    proteins->offsets = grown(proteins->offsets, (n + 2) * sizeof *proteins->offsets);
    proteins->offsets[n + 1] = n == 0 ? (proteins->offsets[0] = 0) : proteins->offsets[n];
}

/* Appends what is no white space, so that wrapped lines and both kinds of line end are the same. */
static void add_residues(proteins_t *proteins, const char *line, size_t len) {
    int64_t *end = &proteins->offsets[proteins->n];
    proteins->residues = grown(proteins->residues, (size_t)*end + len);
    for (size_t i = 0; i < len; i++)
        if (!isspace((unsigned char)line[i]))
            proteins->residues[(*end)++] = line[i];
}

/* Reads a file; 0 if that failed, which it has said. */
static int read_fasta(const char *path, proteins_t *proteins) {
    FILE *file = fopen(path, "r");
    char *line = NULL;
    size_t capacity = 0, number = 0;
    ssize_t len;
    int ok = file != NULL;
    while (ok && (len = getline(&line, &capacity, file)) >= 0) {
        number++;
        if (line[0] == '>')
            add_protein(proteins, line + 1);
        else if (proteins->n > 0)
            add_residues(proteins, line, (size_t)len);
        else if (line[strspn(line, " \t\r\n")] != '\0') {
            fprintf(stderr, "%s: line %zu: residues before the first '>' line\n", path, number);
            ok = 0;
        }
    }
    if (file == NULL || ferror(file)) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        ok = 0;
    } else if (ok && proteins->n == 0) {
        fprintf(stderr, "%s: no protein in it\n", path);
        ok = 0;
    }
    if (file != NULL)
        fclose(file);
    free(line);
    return ok;
}

static void free_proteins(proteins_t *proteins) {
    for (size_t i = 0; i < proteins->n; i++)
        free(proteins->ids[i]);
    free(proteins->ids);
    free(proteins->residues);
    free(proteins->offsets);
}

/* Shows how far the job is, on a terminal, until it has ended. */
static void watch(const toolpool_job_t *job) {
    toolpool_progress_t progress = TOOLPOOL_PROGRESS_INIT;
    if (!isatty(STDERR_FILENO))
        return;
    while (toolpool_job_wait(job, 100, NULL) == TOOLPOOL_PENDING &&
           toolpool_job_progress(job, &progress, NULL) == TOOLPOOL_OK)
        fprintf(stderr, "\r%llu of %llu proteins", (unsigned long long)progress.done,
                (unsigned long long)progress.total);
    fputs("\r\033[K", stderr);
}

/* The device of a slot, as "cuda:0" or "cpu". */
static const char *device_of(const toolpool_devices_t *slots, int32_t slot, char name[16]) {
    toolpool_device_t device = TOOLPOOL_DEVICE_INIT;
    if (slot < 0 || toolpool_devices_get(slots, (size_t)slot, &device, NULL) < 0)
        return "-";
    if (device.kind == TOOLPOOL_DEVICE_CUDA)
        snprintf(name, 16, "cuda:%d", device.index);
    else
        snprintf(name, 16, "cpu");
    return name;
}

static void print_results(const proteins_t *proteins, const toolpool_results_t *results,
                          const toolpool_devices_t *slots) {
    printf("%-24s %8s  %-8s %s\n", "protein", "residues", "device", "mean embedding");
    for (size_t i = 0; i < toolpool_results_len(results); i++) {
        toolpool_tensor_t mean = TOOLPOOL_TENSOR_INIT;
        char name[16];
        printf("%-24.24s %8lld  %-8s", proteins->ids[i],
               (long long)(proteins->offsets[i + 1] - proteins->offsets[i]),
               device_of(slots, toolpool_results_slot(results, i), name));
        if (toolpool_results_tensor(results, i, "mean", &mean, NULL) == TOOLPOOL_OK) {
            for (int64_t d = 0; d < 4 && d < mean.shape[0]; d++)
                printf(" %8.4f", ((const float *)mean.data)[d]);
            printf(" ...\n");
        } else {
            printf(" failed: %s\n", toolpool_results_error(results, i));
        }
        if (*toolpool_results_warning(results, i) != '\0')
            printf("%-24s %8s  %-8s warning: %s\n", "", "", "",
                   toolpool_results_warning(results, i));
    }
}

static toolpool_status_t write_text(const char *folder, const char *name, const char *text,
                                    toolpool_error_t **err) {
    char path[4096];
    const int len = snprintf(path, sizeof path, "%s/%s", folder, name);
    if (len < 0 || (size_t)len >= sizeof path)
        return toolpool_error_set(err, TOOLPOOL_ERR_ARGUMENT, "the folder's path is too long");
    FILE *file = fopen(path, "w");
    const int written = file != NULL && fputs(text, file) >= 0;
    if ((file != NULL && fclose(file) != 0) || !written) {
        char message[sizeof path + 128];
        snprintf(message, sizeof message, "%s: %s", path, strerror(errno));
        return toolpool_error_set(err, TOOLPOOL_ERR_FAILED, message);
    }
    return TOOLPOOL_OK;
}

static toolpool_status_t write_report(const toolpool_job_t *job, const char *folder,
                                      toolpool_error_t **err) {
    toolpool_report_t *report = NULL;
    toolpool_status_t status;
    if ((status = toolpool_job_report(job, &report, err)) >= 0 &&
        (status = write_text(folder, "report.json", toolpool_report_json(report), err)) >= 0 &&
        (status = write_text(folder, "trace.json", toolpool_report_trace(report), err)) >= 0)
        status = write_text(folder, "timeline.svg", toolpool_report_timeline(report), err);
    toolpool_report_free(report);
    return status;
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* Called when toolpool reads the proteins no more. They are freed after the pool is closed, so
 * there is nothing to do. */
static void keep(void *user) { (void)user; }

/* Embeds and prints, and writes a report unless `folder` is NULL; the status of what failed, with
 * its error in `*err`. */
static toolpool_status_t embed(const char *model, const char *devices, const char *folder,
                               const proteins_t *proteins, toolpool_error_t **err) {
    toolpool_t *pool = NULL;
    toolpool_tool_t *esm2 = NULL;
    toolpool_items_t *items = NULL;
    toolpool_devices_t *slots = NULL;
    toolpool_job_t *job = NULL;
    toolpool_results_t *results = NULL;
    toolpool_progress_t progress = TOOLPOOL_PROGRESS_INIT;
    toolpool_status_t status;

    if ((status = toolpool_open(devices, &pool, err)) >= 0 &&
        (status = toolpool_tool_open("esm2", model, &esm2, err)) >= 0 &&
        (status = toolpool_warm(pool, esm2, err)) >= 0 &&
        (status = toolpool_items_borrow(proteins->residues, proteins->offsets, proteins->n, keep,
                                        NULL, &items, err)) >= 0 &&
        (status = toolpool_slots(pool, &slots, err)) >= 0) {
        const double started = now();
        if ((status = toolpool_submit(pool, esm2, items, NULL, &job, err)) >= 0) {
            watch(job);
            status = toolpool_job_results(job, &results, err);
        }
        const double seconds = now() - started;
        if (status >= 0 && (status = toolpool_job_progress(job, &progress, err)) >= 0) {
            print_results(proteins, results, slots);
            printf("%zu proteins, %lld residues, %llu unique, %llu failed: %.2f s, %.0f "
                   "residues/s\n",
                   proteins->n, (long long)proteins->offsets[proteins->n],
                   (unsigned long long)progress.unique, (unsigned long long)progress.failed,
                   seconds, (double)proteins->offsets[proteins->n] / seconds);
            if (folder != NULL)
                status = write_report(job, folder, err);
        }
    }
    toolpool_results_free(results);
    toolpool_job_free(job);
    toolpool_devices_free(slots);
    toolpool_items_free(items);
    toolpool_tool_free(esm2);
    toolpool_close(pool);
    return status;
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        fputs(USAGE, stdout);
        return 0;
    }
    const char *folder = NULL;
    if (argc > 2 && strcmp(argv[1], "--report") == 0) {
        folder = argv[2];
        argc -= 2;
        argv += 2;
    }
    if (argc < 3 || argc > 4) {
        fputs(USAGE, stderr);
        return 2;
    }
    proteins_t proteins = {0};
    toolpool_error_t *err = NULL;
    int ok = read_fasta(argv[2], &proteins);
    if (ok && embed(argv[1], argc == 4 ? argv[3] : "auto", folder, &proteins, &err) < 0) {
        fprintf(stderr, "embed_fasta: %s\n", toolpool_error_message(err));
        ok = 0;
    }
    toolpool_error_free(err);
    free_proteins(&proteins);
    return !ok;
}
