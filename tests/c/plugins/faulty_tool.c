/* A tool that does to its process what an item asks for; other items come back as they are, with
 * the number of the process that they were in. */
#define _POSIX_C_SOURCE 200809L
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <toolpool.h>
#include <unistd.h>

static const toolpool_host_t *host;

static toolpool_status_t give(toolpool_outputs_t *outputs, size_t index, const char *name,
                              toolpool_dtype_t dtype, const void *data, size_t bytes,
                              size_t elements, toolpool_error_t **err) {
    const int64_t shape[] = {(int64_t)elements};
    void *out;
    const toolpool_status_t status =
        host->outputs_alloc(outputs, index, name, dtype, shape, 1, &out, err);
    if (status == TOOLPOOL_OK)
        memcpy(out, data, bytes);
    return status;
}

static toolpool_status_t act(const char *item, const toolpool_outputs_t *outputs,
                             toolpool_error_t **err) {
    if (strcmp(item, "segv") == 0) {
        signal(SIGSEGV, SIG_DFL); /* no sanitizer's report */
        *(volatile int *)(uintptr_t)8 = 1;
    }
    if (strcmp(item, "abort") == 0)
        abort();
    if (strcmp(item, "exit") == 0)
        _exit(3);
    while (strcmp(item, "hang") == 0)
        pause();
    if (strcmp(item, "orphan") == 0) { /* the line to toolpool stays open in a third process */
        if (fork() == 0) {
            close(STDOUT_FILENO); /* what runs the test waits for these to close */
            close(STDERR_FILENO);
            alarm(20);
            pause();
            _exit(0);
        }
        raise(SIGKILL);
    }
    if (strcmp(item, "scribble") == 0) /* where no outputs are */
        memset((void *)(uintptr_t)outputs, 0xff, 64);
    if (strcmp(item, "lost") == 0)
        return host->error_set(err, TOOLPOOL_ERR_DEVICE_LOST, "an illegal memory access");
    if (strcmp(item, "fail") == 0)
        return host->error_set(err, TOOLPOOL_ERR_FAILED, "no convergence");
    return TOOLPOOL_OK;
}

static toolpool_status_t run(void *state, const toolpool_batch_t *batch,
                             toolpool_outputs_t *outputs, toolpool_error_t **err) {
    const int64_t process = getpid();
    (void)state;
    for (size_t i = 0; i < host->batch_len(batch); i++) {
        const void *data;
        size_t len;
        char item[32] = "";
        if (host->batch_bytes(batch, i, &data, &len) < 0)
            return host->error_set(err, TOOLPOOL_ERR_FAILED, "no such item");
        memcpy(item, data, len < sizeof item ? len : sizeof item - 1);
        toolpool_status_t status = act(item, outputs, err);
        if (status < 0)
            return status;
        if (strcmp(item, "bad") == 0) {
            host->outputs_fail(outputs, i, TOOLPOOL_ERR_ITEM, "not this one");
            continue;
        }
        if (strcmp(item, "odd") == 0)
            host->outputs_warn(outputs, i, "what an item");
        status = give(outputs, i, "output", TOOLPOOL_BYTES, data, len, len, err);
        if (status == TOOLPOOL_OK)
            status = give(outputs, i, "process", TOOLPOOL_INT64, &process, sizeof process, 1, err);
        if (status < 0)
            return status;
    }
    return TOOLPOOL_OK;
}

static toolpool_status_t load(void *user, const toolpool_device_t *device, void **state,
                              toolpool_error_t **err) {
    (void)device, (void)state, (void)err;
    if (strcmp(user, "dies at load") == 0)
        abort();
    if (strcmp(user, "fails at load") == 0)
        return host->error_set(err, TOOLPOOL_ERR_MODEL, "the weights are damaged");
    return TOOLPOOL_OK;
}

/* The source says what else is wrong with it. */
toolpool_status_t faulty(const toolpool_host_t *given, const char *source,
                         const toolpool_option_t *options, size_t n,
                         toolpool_callbacks_t *callbacks, void **user, toolpool_error_t **err) {
    (void)options;
    host = given;
    if (n > 0)
        return host->error_set(err, TOOLPOOL_ERR_OPTION, "this tool has no options");
    callbacks->load = load;
    callbacks->run = run;
    callbacks->destroy = free;
    *user = strdup(source);
    return TOOLPOOL_OK;
}
