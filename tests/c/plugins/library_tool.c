/* A tool from a shared library, as a third party ships one: it uses the host's table and links to
 * nothing. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <toolpool.h>

#define EXPORT __attribute__((visibility("default")))

/* What the test reads back, found by dlsym. */
EXPORT atomic_int library_loads, library_unloads, library_destroys, library_opens;

static const toolpool_host_t *host;

/* The user pointer of a handle: its source and options. */
typedef struct {
    char prefix[16];
    char identity[64];
} settings_t;

static toolpool_status_t load(void *user, const toolpool_device_t *device, void **state,
                              toolpool_error_t **err) {
    (void)user, (void)device, (void)state, (void)err;
    atomic_fetch_add(&library_loads, 1);
    return TOOLPOOL_OK;
}

/* Puts the prefix of the batch's own handle before each item. */
static toolpool_status_t run(void *state, const toolpool_batch_t *batch,
                             toolpool_outputs_t *outputs, toolpool_error_t **err) {
    const settings_t *settings = host->batch_user(batch);
    const size_t prefix = strlen(settings->prefix);
    (void)state;
    for (size_t i = 0; i < host->batch_len(batch); i++) {
        const void *data;
        size_t len;
        void *out;
        if (host->batch_bytes(batch, i, &data, &len) < 0)
            return host->error_set(err, TOOLPOOL_ERR_FAILED, "no such item");
        if (len == 0) {
            host->outputs_fail(outputs, i, TOOLPOOL_ERR_ITEM, "empty");
            continue;
        }
        const int64_t shape[] = {(int64_t)(prefix + len)};
        toolpool_status_t status =
            host->outputs_alloc(outputs, i, "output", TOOLPOOL_BYTES, shape, 1, &out, err);
        if (status < 0)
            return status;
        memcpy(out, settings->prefix, prefix);
        memcpy((char *)out + prefix, data, len);
    }
    return TOOLPOOL_OK;
}

static void unload(void *state) {
    (void)state;
    atomic_fetch_add(&library_unloads, 1);
}

static void destroy(void *user) {
    atomic_fetch_add(&library_destroys, 1);
    free(user);
}

/* `shared` says whether handles of one source share what is loaded. */
static toolpool_status_t open_tool(const toolpool_host_t *given, const char *source,
                                   const toolpool_option_t *options, size_t n, int shared,
                                   toolpool_callbacks_t *callbacks, void **user,
                                   toolpool_error_t **err) {
    host = given;
    if (host->size != sizeof *host || host->abi != TOOLPOOL_ABI)
        return host->error_set(err, TOOLPOOL_ERR_BACKEND, "another toolpool");
    atomic_fetch_add(&library_opens, 1);
    settings_t settings = {"", ""};
    strncpy(settings.identity, source, sizeof settings.identity - 1);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(options[i].key, "batch") == 0) {
            callbacks->batch_items = strtoull(options[i].value, NULL, 10);
        } else if (strcmp(options[i].key, "prefix") != 0) {
            return host->error_set(err, TOOLPOOL_ERR_OPTION, "known options: batch, prefix");
        } else if (strlen(options[i].value) >= sizeof settings.prefix) {
            return host->error_set(err, TOOLPOOL_ERR_OPTION, "prefix: up to 15 bytes");
        } else {
            strcpy(settings.prefix, options[i].value);
        }
    }
    settings_t *kept = malloc(sizeof *kept);
    if (kept == NULL)
        return host->error_set(err, TOOLPOOL_ERR_OUT_OF_MEMORY, "no memory");
    *kept = settings;
    callbacks->load = load;
    callbacks->run = run;
    callbacks->unload = unload;
    callbacks->destroy = destroy;
    callbacks->identity = shared ? kept->identity : NULL;
    *user = kept;
    return TOOLPOOL_OK;
}

EXPORT toolpool_status_t shared_tool(const toolpool_host_t *given, const char *source,
                                     const toolpool_option_t *options, size_t n,
                                     toolpool_callbacks_t *callbacks, void **user,
                                     toolpool_error_t **err) {
    return open_tool(given, source, options, n, 1, callbacks, user, err);
}

EXPORT toolpool_status_t own_tool(const toolpool_host_t *given, const char *source,
                                  const toolpool_option_t *options, size_t n,
                                  toolpool_callbacks_t *callbacks, void **user,
                                  toolpool_error_t **err) {
    return open_tool(given, source, options, n, 0, callbacks, user, err);
}

EXPORT toolpool_status_t empty_tool(const toolpool_host_t *given, const char *source,
                                    const toolpool_option_t *options, size_t n,
                                    toolpool_callbacks_t *callbacks, void **user,
                                    toolpool_error_t **err) {
    (void)given, (void)source, (void)options, (void)n, (void)callbacks, (void)user, (void)err;
    return TOOLPOOL_OK;
}

EXPORT toolpool_status_t failing_tool(const toolpool_host_t *given, const char *source,
                                      const toolpool_option_t *options, size_t n,
                                      toolpool_callbacks_t *callbacks, void **user,
                                      toolpool_error_t **err) {
    (void)source, (void)options, (void)n, (void)callbacks, (void)user;
    return given->error_set(err, TOOLPOOL_ERR_MODEL, "this tool never opens");
}
