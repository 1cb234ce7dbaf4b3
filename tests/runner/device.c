/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* Devices: making them as the host does, the list of them, reconfig. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host-symbols.h"
#include "runner-private.h"

enum { DEFAULT_BLOCK = 512, DEFAULT_MAX_SECTORS = 128, DEFAULT_LINGER_MS = 50 };
enum { HOST_MAX_UNMAP = 32 * 1024 * 1024 }; /* blocks */

static pthread_mutex_t devices_lock = PTHREAD_MUTEX_INITIALIZER; /* devices and next */
static RunnerDevice *devices;

static void devices_add(RunnerDevice *device)
{
    pthread_mutex_lock(&devices_lock);
    device->next = devices;
    devices = device;
    pthread_mutex_unlock(&devices_lock);
}

static void devices_remove(RunnerDevice *device)
{
    pthread_mutex_lock(&devices_lock);
    for (RunnerDevice **at = &devices; *at; at = &(*at)->next) {
        if (*at == device) {
            *at = device->next;
            break;
        }
    }
    pthread_mutex_unlock(&devices_lock);
}

static bool visit_is(RunnerDevice *device, void *wanted)
{
    return device == wanted;
}

bool runner_devices_visit(bool (*visit)(RunnerDevice *device, void *arg), void *arg)
{
    bool found = false;

    pthread_mutex_lock(&devices_lock);
    for (RunnerDevice *device = devices; device && !found; device = device->next)
        found = visit(device, arg);
    pthread_mutex_unlock(&devices_lock);
    return found;
}

bool runner_devices_known(RunnerDevice *device)
{
    return runner_devices_visit(visit_is, device);
}

/* Takes ";tcmur_cmd_time_out=N", the host's own option, out of the string. */
static void strip_host_options(char *cfgstring)
{
    static const char option[] = ";tcmur_cmd_time_out=";
    char *at;

    while ((at = strstr(cfgstring, option)) != NULL) {
        char *end = at + strlen(option);
        end += strcspn(end, ";");
        if (*end == ';')
            end++; /* the host's parser eats the separator, too */
        memmove(at, end, strlen(end) + 1);
    }
}

static void set_host_limits(RunnerDevice *device, const RunnerDeviceConfig *config)
{
    uint32_t max_sectors = config->max_sectors ? config->max_sectors : DEFAULT_MAX_SECTORS;

    device->block_size = config->block_size ? config->block_size : DEFAULT_BLOCK;
    device->configured_size = config->size;
    device->num_lbas = config->size / device->block_size;
    device->max_xfer_len = device->opt_unmap_gran = device->opt_xcopy_rw_len = max_sectors;
    device->max_unmap_len = HOST_MAX_UNMAP;
    device->split_unmaps = true;
    device->unmap_gran_align = 0; /* the trap: for the handler to mend */
    device->unmap_enabled = device->handler->ops->unmap != NULL;
}

static RunnerDevice *allocate(RunnerHandler *handler, const RunnerDeviceConfig *config)
{
    RunnerDevice *device = g_new0(RunnerDevice, 1);

    device->handler = handler;
    snprintf(device->cfgstring, sizeof device->cfgstring, "%s", config->cfgstring);
    strip_host_options(device->cfgstring);
#ifdef RUNNER_ALIGN_COMMANDS
    device->align_commands = true;
#else
    device->align_commands = config->align_commands;
#endif
    device->linger_ms = config->linger_ms ? config->linger_ms : DEFAULT_LINGER_MS;
    pthread_mutex_init(&device->lock, NULL);
    pthread_cond_init(&device->change, NULL);
    runner_queue_init(&device->ring);
    runner_queue_init(&device->quarantine);
    device->commands = g_hash_table_new(g_direct_hash, g_direct_equal);
    set_host_limits(device, config);
    return device;
}

/* The host asks the handler first, with the string as it was given. */
static bool check_config(const RunnerHandler *handler, const char *cfgstring, char **error)
{
    size_t prefix = strlen(handler->ops->subtype);
    char *reason = NULL;
    bool good = true;

    if (strlen(cfgstring) >= RUNNER_CFGSTRING_ROOM ||
        strncmp(cfgstring, handler->ops->subtype, prefix) != 0 || cfgstring[prefix] != '/') {
        *error = g_strdup_printf("config string is not %s/..., or too long", handler->ops->subtype);
        return false;
    }
    if (handler->ops->check_config) {
        RunnerPlace before = runner_callback_enter(NULL, "check_config");
        good = handler->ops->check_config(cfgstring, &reason);
        runner_callback_leave(&before);
    }
    if (!good)
        *error = g_strdup_printf("check_config: %s", reason ? reason : "unknown");
    free(reason);
    return good;
}

static int call_open(RunnerDevice *device)
{
    RunnerPlace before = runner_callback_enter(NULL, "open");
    int status;

    runner_waiting(1);
    status = device->handler->ops->open(device, false);
    runner_waiting(-1);
    runner_callback_leave(&before);
    return status;
}

RunnerDevice *runner_device_prepare(RunnerHandler *handler, const RunnerDeviceConfig *config,
                                    char **error)
{
    RunnerDevice *device;

    *error = NULL;
    if (!check_config(handler, config->cfgstring, error))
        return NULL;
    device = allocate(handler, config);
    devices_add(device);
    return device;
}

bool runner_device_open(RunnerDevice *device, char **error)
{
    int status = call_open(device);

    if (status == 0)
        return true;
    *error = g_strdup_printf("open returned %d", status);
    runner_pool_cancel(device);
    device->removed = true;
    runner_device_free(device);
    return false;
}

RunnerDevice *runner_device_new(RunnerHandler *handler, const RunnerDeviceConfig *config,
                                char **error)
{
    RunnerDevice *device = runner_device_prepare(handler, config, error);

    if (!device)
        return NULL;
    if (runner_pool_start(device, handler->ops->nr_threads) != 0)
        runner_fail(NULL, "no threads");
    if (!runner_device_open(device, error))
        return NULL;
    if (pthread_create(&device->command_thread, NULL, runner_command_thread, device) != 0)
        runner_fail(NULL, "no threads");
    return device;
}

void runner_device_free(RunnerDevice *device)
{
    RunnerCommand *command;

    if (!device->removed)
        runner_fail(NULL, "runner_device_free of a device that is not removed");
    devices_remove(device);
    while ((command = runner_queue_take(&device->quarantine)) != NULL)
        runner_command_free(command);
    g_hash_table_destroy(device->commands);
    runner_pool_release(&device->pool);
    pthread_cond_destroy(&device->change);
    pthread_mutex_destroy(&device->lock);
    g_free(device);
}

RunnerStats runner_device_stats(RunnerDevice *device)
{
    RunnerStats stats;

    pthread_mutex_lock(&device->lock);
    stats = device->stats;
    pthread_mutex_unlock(&device->lock);
    return stats;
}

static int reconfig(RunnerDevice *device, struct tcmulib_cfg_info *info)
{
    RunnerPlace before;
    int status;

    if (!device->handler->ops->reconfig)
        return -EOPNOTSUPP;
    before = runner_callback_enter(NULL, "reconfig");
    status = device->handler->ops->reconfig(device, info);
    runner_callback_leave(&before);
    return status;
}

int runner_device_set_size(RunnerDevice *device, uint64_t size)
{
    struct tcmulib_cfg_info info = {.type = TCMULIB_CFG_DEV_SIZE, .data.dev_size = size};
    int status;

    if (!device->handler->ops->reconfig)
        return -EOPNOTSUPP;
    if (device->num_lbas == size / device->block_size)
        return 0;
    status = reconfig(device, &info);
    return status == 0 ? tcmur_dev_update_size(device, size) : status;
}

int runner_device_set_cfgstring(RunnerDevice *device, const char *cfgstring)
{
    char *copy = g_strdup(cfgstring);
    struct tcmulib_cfg_info info = {.type = TCMULIB_CFG_DEV_CFGSTR, .data.dev_cfgstring = copy};
    int status = reconfig(device, &info);

    g_free(copy);
    return status;
}

int runner_device_set_write_cache(RunnerDevice *device, bool enabled)
{
    struct tcmulib_cfg_info info = {.type = TCMULIB_CFG_WRITE_CACHE, .data.write_cache = enabled};
    return reconfig(device, &info);
}
