/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * A few threads that run jobs from one unbounded queue, in the order they were pushed. The first
 * thread lives as long as the pool, so that no push can be left without one; the others are started
 * when jobs wait and leave when idle for a while. All signals are blocked in them.
 */
#pragma once

#include <stdbool.h>

/* One piece of work, owned by the caller until run is called (not until it returns). */
typedef struct VhdJob {
    void (*run)(void *data);
    void *data;
    struct VhdJob *next; /* private while queued */
} VhdJob;

typedef struct VhdWorkers VhdWorkers;

/* At most max threads. NULL with errno set: no memory, or no thread could be started. */
VhdWorkers *vhd_workers_new(unsigned max);

/* Queue first and all that hang on its next. Never waits for a job; any thread, jobs included.
 * NULL: nothing. */
void vhd_workers_push(VhdWorkers *workers, VhdJob *first);

/* Run what is queued, end all threads, free. Nobody may push from outside any more; not from within
 * a job. */
void vhd_workers_free(VhdWorkers *workers);

/* Idle seconds after which a thread leaves, for tests; 0: at once. */
void vhd_workers_set_idle(VhdWorkers *workers, unsigned seconds);

/* Threads alive now, for tests. */
unsigned vhd_workers_count(VhdWorkers *workers);
