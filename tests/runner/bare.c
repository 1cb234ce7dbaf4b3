/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * A device whose commands are the caller's business.  The checks of the other
 * devices cost more than what is measured here: locks, a table of commands,
 * memory that is poisoned and kept.
 */
#include "runner-private.h"

atomic_bool runner_bare_any;

RunnerDevice *runner_bare_new(RunnerHandler *handler, const RunnerDeviceConfig *config,
                              RunnerBareDone *done, void *arg, char **error)
{
    RunnerDevice *device = runner_device_prepare(handler, config, error);

    if (!device)
        return NULL;
    runner_bare_any = true;
    runner_pool_start(device, 0);
    device->bare_done = done;
    device->bare_arg = arg;
    if (!runner_device_open(device, error))
        return NULL;
    return device;
}

void runner_bare_free(RunnerDevice *device)
{
    RunnerPlace before = runner_callback_enter(NULL, "close");

    runner_waiting(1);
    device->handler->ops->close(device);
    runner_waiting(-1);
    runner_callback_leave(&before);
    device->removed = true;
    runner_device_free(device);
}
