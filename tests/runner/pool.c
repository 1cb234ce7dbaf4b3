/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * Workers of a device (nr_threads > 0).  They are cancelled at removal before
 * anybody waits for their commands: a worker inside a callback that allows it
 * dies there.
 */
#include <stdlib.h>

#include "runner-private.h"

static void unlock(void *mutex)
{
    pthread_mutex_unlock(mutex);
}

/* Waits for work; the one place where an idle worker may die. */
static RunnerWorkItem *take_item(RunnerPool *pool)
{
    RunnerWorkItem *item;

    pthread_mutex_lock(&pool->lock);
    pthread_cleanup_push(unlock, &pool->lock);
    while (!pool->first) {
        pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
        pthread_cond_wait(&pool->cond, &pool->lock);
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    }
    item = pool->first;
    pool->first = item->next;
    if (!pool->first)
        pool->last = &pool->first;
    pthread_cleanup_pop(1);
    return item;
}

/* Runs a callback and completes the command with what it returned. */
static void run_item(RunnerDevice *device, RunnerWorkItem *item)
{
    RunnerCommand *command = item->command;
    void *tcmur_cmd = command->tcmur_cmd;
    uint8_t cdb[RUNNER_CDB_ROOM];
    int status;

    for (size_t i = 0; i < sizeof cdb; i++)
        cdb[i] = command->cdb[i];
    runner_set_pending(command);
    status = item->work(command);
    if (status == TCMU_STS_ASYNC_HANDLED)
        runner_fail(cdb, "a callback of a handler with nr_threads > 0 returned ASYNC_HANDLED");
    runner_complete(device, tcmur_cmd, status);
}

static void worker_dies(void *item)
{
    runner_callback_check_death("worker thread");
    free(*(RunnerWorkItem **)item);
}

static void *worker(void *argument)
{
    RunnerDevice *device = argument;
    RunnerWorkItem *item = NULL;

    runner_thread_become_host();
    pthread_cleanup_push(worker_dies, &item);
    for (;;) {
        item = take_item(&device->pool);
        run_item(device, item);
        free(item);
        item = NULL;
        /* The host writes to the kernel's file here: a cancellation point. */
        pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
        pthread_testcancel();
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    }
    pthread_cleanup_pop(0);
    return NULL;
}

int runner_pool_start(RunnerDevice *device, int threads)
{
    RunnerPool *pool = &device->pool;

    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->cond, NULL);
    pool->last = &pool->first;
    pool->threads = g_new0(pthread_t, (gsize)MAX(threads, 1));
    for (; pool->thread_count < threads; pool->thread_count++) {
        int error = pthread_create(&pool->threads[pool->thread_count], NULL, worker, device);
        if (error)
            return -error;
    }
    return 0;
}

bool runner_pool_add(RunnerPool *pool, RunnerCommand *command, RunnerWork *work)
{
    RunnerWorkItem *item = malloc(sizeof *item);
    bool alive;

    if (!item)
        abort();
    *item = (RunnerWorkItem){.command = command, .work = work};
    pthread_mutex_lock(&pool->lock);
    alive = !pool->dead;
    if (alive) {
        *pool->last = item;
        pool->last = &item->next;
        pthread_cond_signal(&pool->cond);
    }
    pthread_mutex_unlock(&pool->lock);
    if (!alive)
        free(item);
    return alive;
}

void runner_pool_cancel(RunnerDevice *device)
{
    RunnerPool *pool = &device->pool;
    RunnerWorkItem *item;

    for (int i = 0; i < pool->thread_count; i++) {
        pthread_cancel(pool->threads[i]);
        pthread_join(pool->threads[i], NULL);
    }

    pthread_mutex_lock(&pool->lock);
    pool->dead = pool->thread_count > 0;
    item = pool->first;
    pool->first = NULL;
    pthread_mutex_unlock(&pool->lock);
    while (item) {
        RunnerWorkItem *next = item->next;
        runner_command_load(item->command).done(device, item->command->tcmur_cmd, RUNNER_STRANDED);
        free(item);
        item = next;
    }
}

void runner_pool_release(RunnerPool *pool)
{
    pthread_mutex_destroy(&pool->lock);
    pthread_cond_destroy(&pool->cond);
    g_free(pool->threads);
}
