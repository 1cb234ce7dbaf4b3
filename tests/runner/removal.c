/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * The command thread and the end of a device, in the host's order: workers are
 * cancelled and joined, the host waits until it counts no command, the command
 * thread is cancelled and calls close from its cleanup handler.
 */
#include "runner-private.h"

static void unlock(void *mutex)
{
    pthread_mutex_unlock(mutex);
}

/*
 * The next command.  Where the ring is empty this waits, and here only the
 * thread may die; once removal has begun and the ring was empty, it takes
 * nothing more.
 */
static RunnerCommand *take_command(RunnerDevice *device)
{
    RunnerCommand *command;

    pthread_mutex_lock(&device->lock);
    pthread_cleanup_push(unlock, &device->lock);
    while (!device->ring.first || device->ring_abandoned) {
        device->ring_abandoned = device->stopping;
        pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
        pthread_cond_wait(&device->change, &device->lock);
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    }
    command = runner_queue_take(&device->ring);
    pthread_cleanup_pop(1);
    return command;
}

/* close, and what must be true when it returns. */
static void close_device(RunnerDevice *device)
{
    RunnerPlace before = runner_callback_enter(NULL, "close");

    device->handler->ops->close(device);
    runner_callback_leave(&before);
    pthread_mutex_lock(&device->lock);
    device->closed = true;
    pthread_cond_broadcast(&device->change);
    if (device->tracked > 0)
        runner_fail(NULL, "close returned while the handler holds %lu commands",
                    (unsigned long)device->tracked);
    if (device->foreign_completers > 0)
        runner_fail(NULL,
                    "close returned while %u threads of the handler are inside "
                    "tcmur_cmd_complete",
                    device->foreign_completers);
    pthread_mutex_unlock(&device->lock);
}

static void command_thread_dies(void *device)
{
    runner_callback_check_death("command thread");
    close_device(device);
}

void *runner_command_thread(void *argument)
{
    RunnerDevice *device = argument;

    runner_thread_become_host();
    pthread_cleanup_push(command_thread_dies, device);
    for (;;) {
        RunnerCommand *command = take_command(device);
        int status = runner_dispatch(command);
        if (status != TCMU_STS_ASYNC_HANDLED)
            runner_reply(command, status);
    }
    pthread_cleanup_pop(0);
    return NULL;
}

/* Waits until a counter under the device's lock is zero. */
static void wait_for_zero(RunnerDevice *device, const uint64_t *counter)
{
    pthread_mutex_lock(&device->lock);
    while (*counter > 0)
        pthread_cond_wait(&device->change, &device->lock);
    pthread_mutex_unlock(&device->lock);
}

/* The kernel answers what the host never took out of the ring. */
static void abort_ring(RunnerDevice *device)
{
    RunnerCommand *command;

    do {
        pthread_mutex_lock(&device->lock);
        command = runner_queue_take(&device->ring);
        pthread_mutex_unlock(&device->lock);
        if (command)
            runner_reply(command, RUNNER_STRANDED);
    } while (command);
}

void runner_device_remove(RunnerDevice *device, enum RunnerRemoval removal)
{
    runner_device_remove_busy(device, removal, 0);
}

void runner_device_remove_busy(RunnerDevice *device, enum RunnerRemoval removal, unsigned under_way)
{
    runner_waiting(1);
    pthread_mutex_lock(&device->lock);
    while (device->outstanding < under_way)
        pthread_cond_wait(&device->change, &device->lock);
    device->stats.open_at_removal = device->outstanding;
    device->shut = true;
    device->stopping = removal == RUNNER_REMOVE_AT_ONCE;
    pthread_mutex_unlock(&device->lock);
    if (removal == RUNNER_REMOVE_DRAINED)
        wait_for_zero(device, &device->outstanding);

    pthread_mutex_lock(&device->lock);
    device->stopping = true;
    pthread_cond_broadcast(&device->change);
    pthread_mutex_unlock(&device->lock);
    runner_pool_cancel(device);
    wait_for_zero(device, &device->tracked);
    pthread_cancel(device->command_thread);
    pthread_join(device->command_thread, NULL);

    abort_ring(device);
    wait_for_zero(device, &device->outstanding);
    pthread_mutex_lock(&device->lock);
    device->removed = true;
    pthread_mutex_unlock(&device->lock);
    runner_progress();
    runner_waiting(-1);
}
