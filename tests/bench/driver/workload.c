/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "workload.h"

#include <glib.h>

static uint64_t random_next(uint64_t *state)
{
    uint64_t x = *state += 0x9e3779b97f4a7c15u;

    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static void shuffle(uint32_t *at, uint64_t count, uint64_t seed)
{
    for (uint64_t i = 0; i < count; i++)
        at[i] = (uint32_t)i;
    for (uint64_t i = count - 1; i > 0; i--) {
        uint64_t other = random_next(&seed) % (i + 1);
        uint32_t kept = at[i];
        at[i] = at[other];
        at[other] = kept;
    }
}

bool order_init(Order *order, const Workload *workload, uint64_t bytes)
{
    uint64_t area = workload->area ? workload->area : bytes - workload->start;
    uint64_t stride = MAX(workload->stride, 1), blocks;

    if (workload->start > bytes || area > bytes - workload->start)
        return false;
    blocks = area / workload->block;
    if (workload->phase >= stride || blocks <= workload->phase)
        return false;
    *order = (Order){
        .count = (blocks - workload->phase + stride - 1) / stride,
        .start = workload->start + workload->phase * workload->block,
        .step = stride * workload->block,
    };
    if (!workload->random)
        return true;
    if (order->count > UINT32_MAX)
        return false;
    order->at = g_new(uint32_t, order->count);
    shuffle(order->at, order->count, workload->seed);
    return true;
}

void order_release(Order *order)
{
    g_free(order->at);
}
