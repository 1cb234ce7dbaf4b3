/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* The host's workers, for handlers with nr_threads above 0. */
#include <glib.h>

#include "lane-private.h"

static Slot *take(Pool *pool)
{
    Slot *slot;

    pthread_mutex_lock(&pool->lock);
    while (!pool->first && !pool->ending)
        pthread_cond_wait(&pool->cond, &pool->lock);
    slot = pool->first;
    if (slot) {
        pool->first = slot->next;
        if (!pool->first)
            pool->last = &pool->first;
    }
    pthread_mutex_unlock(&pool->lock);
    return slot;
}

static void *work(void *argument)
{
    Lane *lane = argument;
    Slot *slot;

    while ((slot = take(&lane->pool)) != NULL)
        lane_completed(lane, slot, lane_call(lane, slot));
    return NULL;
}

void pool_start(Lane *lane)
{
    Pool *pool = &lane->pool;

    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->cond, NULL);
    pool->last = &pool->first;
    pool->threads = g_new0(pthread_t, (gsize)MAX(lane->ops->nr_threads, 1));
    for (; pool->thread_count < lane->ops->nr_threads; pool->thread_count++) {
        if (pthread_create(&pool->threads[pool->thread_count], NULL, work, lane) != 0)
            runner_fail(NULL, "no threads");
    }
}

void pool_add(Pool *pool, Slot *slot)
{
    slot->next = NULL;
    pthread_mutex_lock(&pool->lock);
    *pool->last = slot;
    pool->last = &slot->next;
    pthread_cond_signal(&pool->cond);
    pthread_mutex_unlock(&pool->lock);
}

void pool_stop(Pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->ending = true;
    pthread_cond_broadcast(&pool->cond);
    pthread_mutex_unlock(&pool->lock);
    for (int i = 0; i < pool->thread_count; i++)
        pthread_join(pool->threads[i], NULL);
    g_free(pool->threads);
    pthread_mutex_destroy(&pool->lock);
    pthread_cond_destroy(&pool->cond);
}
