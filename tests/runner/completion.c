/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* How commands end: the reply, the host's count, and tcmur_cmd_complete. */
#include <string.h>
#include <time.h>

#include "host-symbols.h"
#include "runner-private.h"

static _Thread_local unsigned completion_depth;

void runner_track(RunnerDevice *device)
{
    pthread_mutex_lock(&device->lock);
    device->tracked++;
    pthread_mutex_unlock(&device->lock);
}

void runner_untrack(RunnerDevice *device)
{
    pthread_mutex_lock(&device->lock);
    device->tracked--;
    pthread_cond_broadcast(&device->change);
    pthread_mutex_unlock(&device->lock);
}

void runner_set_pending(RunnerCommand *command)
{
    pthread_mutex_lock(&command->device->lock);
    command->pending = true;
    pthread_mutex_unlock(&command->device->lock);
}

/* Tells the submitter and lets the command go.  The record is dead afterwards. */
static void give_reply(RunnerCommand *command, const RunnerReply *reply)
{
    RunnerDevice *device = command->device;
    RunnerDone *done = command->done;
    void *arg = command->arg;

    pthread_mutex_lock(&device->lock);
    if (command->dead)
        runner_fail(command->cdb, "command completed twice");
    runner_command_bury_locked(command);
    pthread_mutex_unlock(&device->lock);
    runner_progress();
    done(arg, reply);

    pthread_mutex_lock(&device->lock);
    device->outstanding--;
    device->stats.replied++;
    device->stats.aborted += reply->status == RUNNER_ABORTED;
    pthread_cond_broadcast(&device->change);
    pthread_mutex_unlock(&device->lock);
}

void runner_reply(RunnerCommand *command, int status)
{
    RunnerReply reply = {.status = RUNNER_ABORTED};

    if (status != RUNNER_STRANDED)
        reply.status = runner_sam_status(status, command->lib_cmd->sense_buf);
    if (reply.status == RUNNER_CHECK_CONDITION)
        memcpy(reply.sense, command->lib_cmd->sense_buf, sizeof reply.sense);
    give_reply(command, &reply);
}

/*
 * The host is not done with a device when it has counted its last command as
 * done: it goes on to wake the kernel.  Where a thread of the handler stands
 * here during removal, it stays until close has returned (which then was wrong)
 * or for a while (close waits for it, as it must).
 */
static void linger_locked(RunnerDevice *device)
{
    struct timespec until;

    if (runner_thread_is_host() || !device->stopping || device->tracked > 0)
        return;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += (long)device->linger_ms * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    while (!device->closed) {
        if (pthread_cond_timedwait(&device->change, &device->lock, &until) != 0)
            break;
    }
}

void runner_finish(RunnerCommand *command, int status)
{
    RunnerDevice *device = command->device;

    runner_reply(command, status);
    pthread_mutex_lock(&device->lock);
    device->tracked--;
    pthread_cond_broadcast(&device->change);
    linger_locked(device);
    pthread_mutex_unlock(&device->lock);
}

/* Finds the command and takes it out of the handler's hands; fails if it was not there. */
static RunnerCommand *take_pending(RunnerDevice *device, const void *tcmur_cmd)
{
    RunnerCommand *command;

    pthread_mutex_lock(&device->lock);
    command = runner_command_find_locked(device, tcmur_cmd);
    if (!command)
        runner_fail(NULL, "completion of an unknown command %p%s", tcmur_cmd,
                    device->removed ? " after removal" : "");
    if (command->dead)
        runner_fail(command->cdb, "command completed twice%s",
                    device->removed ? ", the second time after removal" : "");
    if (!command->pending)
        runner_fail(command->cdb, "command completed that no I/O callback holds");
    command->pending = false;
    device->stats.max_depth = MAX(device->stats.max_depth, completion_depth + 1);
    pthread_mutex_unlock(&device->lock);
    return command;
}

void runner_complete(RunnerDevice *device, void *tcmur_cmd, int status)
{
    RunnerCommand *command = take_pending(device, tcmur_cmd);
    RunnerContinue *done = runner_command_load(command).done;

    if (!done)
        runner_fail(command->cdb, "command completed whose done is NULL");
    completion_depth++;
    done(device, tcmur_cmd, status);
    completion_depth--;
}

void runner_take_back(RunnerDevice *device, const void *tcmur_cmd, const uint8_t *cdb)
{
    RunnerCommand *command;
    bool held;

    pthread_mutex_lock(&device->lock);
    command = runner_command_find_locked(device, tcmur_cmd);
    held = command && !command->dead && command->pending;
    if (held)
        command->pending = false;
    pthread_mutex_unlock(&device->lock);
    if (!held)
        runner_fail(cdb, "command completed by an I/O callback that returned an error as well");
}

/* Counts the handler's threads that are inside tcmur_cmd_complete. */
static void count_completer(RunnerDevice *device, int change)
{
    if (runner_thread_is_host())
        return;
    pthread_mutex_lock(&device->lock);
    device->foreign_completers += (unsigned)change;
    pthread_cond_broadcast(&device->change);
    pthread_mutex_unlock(&device->lock);
}

void tcmur_cmd_complete(struct tcmu_device *dev, void *cmd, int status)
{
    int before;

    if (runner_bare_any && dev->bare_done) {
        dev->bare_done(dev->bare_arg, cmd, status);
        return;
    }
    before = runner_host_enter();
    if (!runner_devices_known(dev))
        runner_fail(NULL, "completion for a device that is not there");
    count_completer(dev, 1);
    runner_complete(dev, cmd, status);
    count_completer(dev, -1);
    runner_host_leave(before);
}
