/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* What is asked of a LUN: which requests, where, in which order. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

typedef struct Workload {
    bool write, random;
    uint32_t block;       /* bytes of a request */
    uint64_t start, area; /* bytes, both multiples of block; area 0: to the end */
    /* Of the blocks of the area only those whose number leaves phase by stride; 0: all. */
    uint64_t stride, phase;
    unsigned depth;       /* requests in flight */
    uint64_t requests;    /* 0: as many as fit into seconds */
    double seconds;       /* with requests 0 */
    unsigned flush_every; /* writes between two flushes; 0: no flushes */
    uint64_t seed;
} Workload;

/*
 * The blocks of a workload in the order they are asked for: each once, then from the beginning.
 * Made before the measurement, so that a random place costs a look into an array.
 */
typedef struct Order {
    uint32_t *at; /* NULL: one after the other */
    uint64_t count, next;
    uint64_t start, step; /* bytes */
} Order;

/* bytes: of the LUN. False: the area is not inside, or too many blocks for an order. */
bool order_init(Order *order, const Workload *workload, uint64_t bytes);
void order_release(Order *order);

/* Byte offset of the next request. */
static inline uint64_t order_next(Order *order)
{
    uint64_t i = order->next;

    order->next = i + 1 == order->count ? 0 : i + 1;
    return order->start + (order->at ? order->at[i] : i) * order->step;
}
