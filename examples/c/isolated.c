/*
 * A tool in processes of its own: whatever kills one of them, the run goes on.
 *
 * Two workers echo a million items, each through a child process. When the first results are there,
 * this program kills one of the children as the system's OOM killer would.
 */
#define _POSIX_C_SOURCE 200809L
#include <ctype.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <toolpool.h>
#include <unistd.h>

enum { ITEMS = 1000000 };

static char texts[ITEMS][8];
static const char *strings[ITEMS];

/* If `process` is a child of this one: its number. */
static pid_t child(const char *process) {
    char path[300], line[512] = "";
    snprintf(path, sizeof path, "/proc/%s/stat", process);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return 0;
    const char *name = fgets(line, sizeof line, file) == NULL ? NULL : strstr(line, "(toolpool-");
    fclose(file);
    int parent = 0;
    if (name == NULL || sscanf(strchr(name, ')'), ") %*c %d", &parent) != 1)
        return 0;
    return parent == getpid() ? (pid_t)atol(process) : 0;
}

static pid_t any_child(void) {
    pid_t found = 0;
    DIR *processes = opendir("/proc");
    if (processes == NULL)
        return 0;
    for (const struct dirent *entry = readdir(processes); entry != NULL && found == 0;
         entry = readdir(processes))
        if (isdigit((unsigned char)*entry->d_name))
            found = child(entry->d_name);
    closedir(processes);
    return found;
}

static void log_line(void *user, int32_t level, const char *message) {
    (void)user, (void)level;
    printf("log: %s\n", message);
}

/* Waits for the first results and kills a child. */
static int kill_in_mid_run(const toolpool_job_t *job, toolpool_error_t **err) {
    toolpool_progress_t progress = TOOLPOOL_PROGRESS_INIT;
    while (progress.done == 0) {
        if (toolpool_job_progress(job, &progress, err) < 0)
            return -1;
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    }
    const pid_t victim = any_child();
    if (victim != 0 && kill(victim, SIGKILL) == 0)
        printf("killed process %ld after %llu of %llu items\n", (long)victim,
               (unsigned long long)progress.done, (unsigned long long)progress.total);
    return 0;
}

static void count(const toolpool_results_t *results) {
    size_t whole = 0, failed = 0;
    for (size_t i = 0; i < toolpool_results_len(results); i++) {
        toolpool_tensor_t tensor = TOOLPOOL_TENSOR_INIT;
        if (toolpool_results_tensor(results, i, "output", &tensor, NULL) == TOOLPOOL_OK)
            whole += tensor.bytes == strlen(texts[i]) &&
                     memcmp(tensor.data, texts[i], tensor.bytes) == 0;
        else if (failed++ == 0)
            printf("item %zu failed: %s\n", i, toolpool_results_error(results, i));
    }
    printf("%zu items came back whole, %zu failed\n", whole, failed);
}

int main(void) {
    for (int i = 0; i < ITEMS; i++) {
        snprintf(texts[i], sizeof texts[i], "%d", i);
        strings[i] = texts[i];
    }
    toolpool_error_t *err = NULL;
    toolpool_t *pool = NULL;
    toolpool_tool_t *tool = NULL;
    toolpool_items_t *items = NULL;
    toolpool_job_t *job = NULL;
    toolpool_results_t *results = NULL;

    int failed = toolpool_set_log(log_line, NULL, TOOLPOOL_LOG_INFO, &err) < 0 ||
                 toolpool_open("cpu*2", &pool, &err) < 0 ||
                 toolpool_tool_open("echo", NULL, &tool, &err) < 0 ||
                 toolpool_tool_set(tool, "isolation", "process", &err) < 0 ||
                 toolpool_items_from_strings(strings, NULL, ITEMS, &items, &err) < 0 ||
                 toolpool_submit(pool, tool, items, NULL, &job, &err) < 0 ||
                 kill_in_mid_run(job, &err) < 0 || toolpool_job_results(job, &results, &err) < 0;
    if (failed)
        fprintf(stderr, "%s\n", toolpool_error_message(err));
    else
        count(results);

    toolpool_results_free(results);
    toolpool_job_free(job);
    toolpool_items_free(items);
    toolpool_tool_free(tool);
    toolpool_close(pool);
    toolpool_error_free(err);
    return failed;
}
