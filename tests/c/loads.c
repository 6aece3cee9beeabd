/* Loading the library does nothing: no thread, no libtorch, no CUDA. A pool starts its workers and
 * still no more. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>

#include "check.h"

static int threads(void) {
    DIR *tasks = opendir("/proc/self/task");
    struct dirent *entry;
    int count = 0;
    CHECK(tasks != NULL);
    while ((entry = readdir(tasks)) != NULL)
        count += entry->d_name[0] != '.';
    closedir(tasks);
    return count;
}

static bool mapped(const char *name) {
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[4096];
    bool found = false;
    CHECK(maps != NULL);
    while (fgets(line, sizeof line, maps) != NULL)
        found |= strstr(line, name) != NULL;
    fclose(maps);
    return found;
}

static void nothing_heavy_is_mapped(void) {
    const char *heavy[] = {"libtorch", "libc10", "libcuda", "libcudart", "libtoolpool_torch"};
    for (size_t i = 0; i < sizeof heavy / sizeof *heavy; i++)
        CHECK(!mapped(heavy[i]));
}

int main(void) {
    begin();
    const int before = threads(); /* a sanitizer may have one of its own */
    CHECK(mapped("libtoolpool.so"));
    CHECK(strcmp(toolpool_version(), "0.1.0") == 0 && toolpool_abi() == TOOLPOOL_ABI);
    nothing_heavy_is_mapped();

    toolpool_tool_t *echo = open_echo();
    toolpool_items_t *items = numbered(100);
    CHECK(threads() == before);

    toolpool_t *pool = open_pool("cpu*3");
    toolpool_results_t *results = NULL;
    CHECK(threads() == before + 3);
    OK(toolpool_run(pool, echo, items, &results, &err));
    CHECK(threads() == before + 3);
    nothing_heavy_is_mapped();
    toolpool_close(pool);
    while (threads() != before)
        ; /* joined, but the kernel may list them a moment longer */
    toolpool_results_free(results);
    toolpool_items_free(items);
    toolpool_tool_free(echo);

    /* Loaded once more and let go, it stays: its threads' memory outlives a dlclose. */
    Dl_info info;
    CHECK(dladdr((void *)(intptr_t)toolpool_version, &info) != 0 && info.dli_fname != NULL);
    void *library = dlopen(info.dli_fname, RTLD_NOW);
    CHECK(library != NULL && dlclose(library) == 0);
    CHECK(strcmp(toolpool_version(), "0.1.0") == 0);
    CHECK(threads() == before);
    return 0;
}
