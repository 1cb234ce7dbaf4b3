/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * One thread a process that looks at every open disk from time to time. It exists only while
 * something is registered; all signals are blocked in it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Something looked at every period_ms, embedded in its owner. */
typedef struct VhdTimer {
    /* Called in the timer thread with no lock held; must not wait for I/O, other timers wait
     * meanwhile. */
    void (*tick)(void *data);
    void *data;
    unsigned period_ms; /* at least 1; fixed while registered */
    /* Private: */
    struct VhdTimer *prev, *next;
    uint64_t due_ms;
    bool ticking;
} VhdTimer;

/* Register. 0, or -errno where no thread could be started. Any thread. */
int vhd_timer_add(VhdTimer *timer);

/* When it returns, tick does not run and is not called any more. Not from within a tick. */
void vhd_timer_remove(VhdTimer *timer);
