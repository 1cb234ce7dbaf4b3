/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* The handler's shared object: loading, and the registration it asks for. */
#include <dlfcn.h>

#include "host-symbols.h"
#include "runner-private.h"

/* What handler_init registered, while runner_load waits for it. */
static struct tcmur_handler *registered;

int tcmur_register_handler(struct tcmur_handler *handler)
{
    if (registered || (handler->init && handler->init() != 0))
        return -1;
    registered = handler;
    return 0;
}

RunnerHandler *runner_load(const char *path, char **error)
{
    RunnerHandler *handler;
    int (*init)(void);
    void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL);

    *error = NULL;
    if (!object) {
        *error = g_strdup(dlerror());
        return NULL;
    }
    registered = NULL;
    *(void **)&init = dlsym(object, "handler_init");
    if (!init || init() != 0 || !registered) {
        *error = g_strdup_printf("%s: %s", path, init ? "handler_init failed" : "no handler_init");
        dlclose(object);
        return NULL;
    }
    handler = g_new0(RunnerHandler, 1);
    handler->object = object;
    handler->ops = registered;
    handler->path = g_strdup(path);
    return handler;
}

const struct tcmur_handler *runner_handler_ops(const RunnerHandler *handler)
{
    return handler->ops;
}

void runner_unload(RunnerHandler *handler)
{
    if (handler->ops->destroy)
        handler->ops->destroy();
    dlclose(handler->object);
    g_free(handler->path);
    g_free(handler);
}
