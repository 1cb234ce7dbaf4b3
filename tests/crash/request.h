/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* Random requests of one thread, noted in the life's ledger. */
#pragma once

#include "tests/crash/life.h"

typedef struct Worker {
    Life *life;
    Rng rng;
    unsigned index, count; /* of threads */
    uint32_t last_id;      /* of its requests */
    bool held;             /* a flush of ours is in its barrier: wait for none */
} Worker;

/* Submit one request and wait for it. With several threads each has sectors of its own: whole
 * blocks, and parts of blocks that it shares. */
void request_run(Worker *worker);

/* Unmap the whole disk; no other thread may be at work. */
void request_discard_all(Worker *worker);
