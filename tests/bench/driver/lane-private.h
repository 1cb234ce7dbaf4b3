/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* What lane.c and pool.c share. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "lane.h"

/* A place in the ring: a command and its buffer, made once and used over and over. */
typedef struct Slot {
    /* As the host lays a command out: vectors, CDB and the handler's part behind it. */
    struct tcmulib_cmd lib;
    struct iovec iov;
    uint8_t tail[RUNNER_CDB_ROOM + sizeof(struct tcmur_cmd)];
    struct tcmur_cmd *cmd; /* in tail, maybe at an odd address */
    bool data;             /* else a flush */
    uint8_t *buffer;
    int status;
    struct Slot *next; /* in one of the lists */
} Slot;

/* The host's workers for handlers that want them. */
typedef struct Pool {
    pthread_mutex_t lock; /* the rest */
    pthread_cond_t cond;
    Slot *first, **last;
    bool ending;
    pthread_t *threads;
    int thread_count;
} Pool;

struct Lane {
    RunnerDevice *device;
    const struct tcmur_handler *ops;
    uint64_t bytes;

    /* The command thread's. */
    Workload workload;
    Order order;
    Slot *slots;
    uint8_t *buffers;
    Slot *ready; /* to be sent */
    unsigned in_flight;
    uint64_t left, until_flush; /* requests; left counts down to 0 also where time ends it */
    int64_t until_us;           /* 0: no end by time */
    LaneResult result;

    /* Any thread's. */
    _Atomic(Slot *) completed; /* a stack */
    atomic_int sleeping;       /* the futex the command thread waits on */

    Pool pool;
    pthread_t thread;
    pthread_barrier_t *gate;
};

/* The I/O callback of a command, in this thread. */
int lane_call(Lane *lane, Slot *slot);
/* Any thread: the command is over. */
void lane_completed(Lane *lane, Slot *slot, int status);

void pool_start(Lane *lane);
void pool_add(Pool *pool, Slot *slot);
void pool_stop(Pool *pool);
