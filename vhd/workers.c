/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "vhd/workers.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#define IDLE_SECONDS 10

typedef enum SlotState { SLOT_FREE, SLOT_RUNNING, SLOT_LEFT } SlotState;

/* A thread's place. One that has left is joined by whoever uses its slot next, or by
 * vhd_workers_free. */
typedef struct Slot {
    VhdWorkers *workers;
    pthread_t thread;
    SlotState state;
} Slot;

struct VhdWorkers {
    /* One lock, for all below. Held while a thread is started or one that has left is joined (which
     * by then needs no lock any more), never while a job runs. */
    pthread_mutex_t lock;
    pthread_cond_t wake; /* a job was queued, or stop was set */
    VhdJob *first, *last;
    unsigned queued;
    unsigned idle;    /* threads that wait on wake */
    unsigned running; /* threads that have not left */
    unsigned idle_seconds;
    bool stop;
    unsigned max;
    Slot slots[];
};

static VhdJob *take_job_locked(VhdWorkers *workers)
{
    VhdJob *job = workers->first;

    workers->first = job->next;
    if (!workers->first)
        workers->last = NULL;
    job->next = NULL; /* it may be pushed again as it is */
    workers->queued--;
    return job;
}

/* Wait for a job. NULL: the thread is to end. */
static VhdJob *next_job_locked(VhdWorkers *workers, bool first_thread)
{
    struct timespec until;
    int err = 0;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += workers->idle_seconds;
    while (!workers->first) {
        if (workers->stop || (err == ETIMEDOUT && !first_thread))
            return NULL;
        workers->idle++;
        err = first_thread ? pthread_cond_wait(&workers->wake, &workers->lock)
                           : pthread_cond_timedwait(&workers->wake, &workers->lock, &until);
        workers->idle--;
    }
    return take_job_locked(workers);
}

static void *worker_main(void *data)
{
    Slot *slot = data;
    VhdWorkers *workers = slot->workers;
    VhdJob *job;

    pthread_mutex_lock(&workers->lock);
    while ((job = next_job_locked(workers, slot == workers->slots))) {
        void (*run)(void *) = job->run;
        void *job_data = job->data;

        pthread_mutex_unlock(&workers->lock);
        run(job_data);
        pthread_mutex_lock(&workers->lock);
    }
    slot->state = SLOT_LEFT;
    workers->running--;
    pthread_mutex_unlock(&workers->lock);
    return NULL;
}

static int start_thread_locked(VhdWorkers *workers)
{
    Slot *slot = workers->slots;
    sigset_t all, old;
    int err;

    while (slot->state == SLOT_RUNNING)
        slot++;
    if (slot->state == SLOT_LEFT)
        pthread_join(slot->thread, NULL);
    slot->state = SLOT_FREE;
    slot->workers = workers;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    err = pthread_create(&slot->thread, NULL, worker_main, slot);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (err)
        return err;
    slot->state = SLOT_RUNNING;
    workers->running++;
    return 0;
}

static void free_memory(VhdWorkers *workers)
{
    pthread_cond_destroy(&workers->wake);
    pthread_mutex_destroy(&workers->lock);
    free(workers);
}

VhdWorkers *vhd_workers_new(unsigned max)
{
    VhdWorkers *workers = calloc(1, sizeof *workers + max * sizeof workers->slots[0]);
    pthread_condattr_t attr;
    int err;

    if (!workers)
        return NULL;
    workers->max = max;
    workers->idle_seconds = IDLE_SECONDS;
    pthread_mutex_init(&workers->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&workers->wake, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_lock(&workers->lock);
    err = start_thread_locked(workers);
    pthread_mutex_unlock(&workers->lock);
    if (err) {
        free_memory(workers);
        errno = err;
        return NULL;
    }
    return workers;
}

void vhd_workers_push(VhdWorkers *workers, VhdJob *first)
{
    pthread_mutex_lock(&workers->lock);
    for (VhdJob *job = first, *next; job; job = next) {
        next = job->next;
        job->next = NULL;
        *(workers->last ? &workers->last->next : &workers->first) = job;
        workers->last = job;
        workers->queued++;
        /* A thread that could not be started is no loss: the first one is always there. */
        if (workers->queued > workers->idle && workers->running < workers->max && !workers->stop)
            start_thread_locked(workers);
        pthread_cond_signal(&workers->wake);
    }
    pthread_mutex_unlock(&workers->lock);
}

void vhd_workers_free(VhdWorkers *workers)
{
    pthread_mutex_lock(&workers->lock);
    workers->stop = true;
    pthread_cond_broadcast(&workers->wake);
    pthread_mutex_unlock(&workers->lock);
    /* No thread is started any more; a job that a job pushes now is run by the thread that pushed
     * it, at the latest. */
    for (unsigned i = 0; i < workers->max; i++) {
        bool started;

        pthread_mutex_lock(&workers->lock);
        started = workers->slots[i].state != SLOT_FREE;
        pthread_mutex_unlock(&workers->lock);
        if (started)
            pthread_join(workers->slots[i].thread, NULL);
    }
    free_memory(workers);
}

void vhd_workers_set_idle(VhdWorkers *workers, unsigned seconds)
{
    pthread_mutex_lock(&workers->lock);
    workers->idle_seconds = seconds;
    pthread_mutex_unlock(&workers->lock);
}

unsigned vhd_workers_count(VhdWorkers *workers)
{
    unsigned running;

    pthread_mutex_lock(&workers->lock);
    running = workers->running;
    pthread_mutex_unlock(&workers->lock);
    return running;
}
