/* To be preloaded: kills the process at its TOOLPOOL_TEST_STEP-th call that changes something below
 * TOOLPOOL_TEST_PLACE, before that call is made. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void step(const char *path) {
    static long steps;
    const char *place = getenv("TOOLPOOL_TEST_PLACE"), *last = getenv("TOOLPOOL_TEST_STEP");
    if (!place || !last || strncmp(path, place, strlen(place))) return;
    if (++steps == atol(last)) raise(SIGKILL);
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int open64(const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    mode_t mode = va_arg(more, mode_t);
    va_end(more);
    if (flags & (O_CREAT | O_WRONLY | O_RDWR)) step(path);
    return NEXT(open64)(path, flags, mode);
}

int mkdir(const char *path, mode_t mode) {
    step(path);
    return NEXT(mkdir)(path, mode);
}

int rename(const char *from, const char *to) {
    step(to);
    return NEXT(rename)(from, to);
}

int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags) {
    step(to);
    return NEXT(linkat)(from_folder, from, to_folder, to, flags);
}

int unlink(const char *path) {
    step(path);
    return NEXT(unlink)(path);
}
