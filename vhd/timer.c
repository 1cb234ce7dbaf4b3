/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "vhd/timer.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#define IDLE_MS UINT64_C(3600000)

/* A run of the timer thread: who takes out the last timer ends and joins it, while the next add
 * starts another. */
typedef struct Clock {
    pthread_t thread;
    bool stop;
} Clock;

/* Protects all below and the private parts of all timers. A leaf; not held during a tick. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_cond_t changed; /* a timer was added, a tick ended, or a clock is to stop */
static VhdTimer *timers;
static Clock *current;

static void init_changed(void)
{
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&changed, &attr);
    pthread_condattr_destroy(&attr);
}

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* The timer that is due first, NULL if there is none. */
static VhdTimer *next_timer_locked(void)
{
    VhdTimer *next = timers;

    for (VhdTimer *timer = timers; timer; timer = timer->next)
        if (timer->due_ms < next->due_ms)
            next = timer;
    return next;
}

static void wait_until_locked(uint64_t ms)
{
    struct timespec until = {
        .tv_sec = (time_t)(ms / 1000),
        .tv_nsec = (long)(ms % 1000) * 1000000,
    };

    pthread_cond_timedwait(&changed, &lock, &until);
}

static void *clock_main(void *data)
{
    Clock *clock = data;

    pthread_mutex_lock(&lock);
    while (!clock->stop) {
        VhdTimer *timer = next_timer_locked();
        uint64_t now = now_ms();

        if (!timer || timer->due_ms > now) {
            wait_until_locked(timer ? timer->due_ms : now + IDLE_MS);
            continue;
        }
        timer->due_ms = now + timer->period_ms;
        timer->ticking = true;
        pthread_mutex_unlock(&lock);
        timer->tick(timer->data);
        pthread_mutex_lock(&lock);
        timer->ticking = false;
        pthread_cond_broadcast(&changed);
    }
    pthread_mutex_unlock(&lock);
    return NULL;
}

static int start_clock_locked(void)
{
    Clock *clock = calloc(1, sizeof *clock);
    sigset_t all, old;
    int err;

    if (!clock)
        return ENOMEM;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    err = pthread_create(&clock->thread, NULL, clock_main, clock);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (err)
        free(clock);
    else
        current = clock;
    return err;
}

int vhd_timer_add(VhdTimer *timer)
{
    int err = 0;

    pthread_once(&once, init_changed);
    pthread_mutex_lock(&lock);
    if (!current)
        err = start_clock_locked();
    if (!err) {
        timer->due_ms = now_ms() + timer->period_ms;
        timer->ticking = false;
        timer->prev = NULL;
        timer->next = timers;
        if (timers)
            timers->prev = timer;
        timers = timer;
        pthread_cond_broadcast(&changed);
    }
    pthread_mutex_unlock(&lock);
    return -err;
}

void vhd_timer_remove(VhdTimer *timer)
{
    Clock *ended = NULL;

    pthread_mutex_lock(&lock);
    while (timer->ticking)
        pthread_cond_wait(&changed, &lock);
    *(timer->prev ? &timer->prev->next : &timers) = timer->next;
    if (timer->next)
        timer->next->prev = timer->prev;
    if (!timers) {
        ended = current;
        current = NULL;
        ended->stop = true;
        pthread_cond_broadcast(&changed);
    }
    pthread_mutex_unlock(&lock);
    if (ended) {
        pthread_join(ended->thread, NULL);
        free(ended);
    }
}
