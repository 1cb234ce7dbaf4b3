/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * The host cancels its threads when a device is removed. One that dies inside a callback of ours
 * takes its command, and perhaps a lock, with it, and the daemon hangs: every callback begins with
 * CANCEL_OFF.
 */
#pragma once

#include <pthread.h>

static inline int cancel_off(void)
{
    int state;

    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    return state;
}

static inline void cancel_restore(const int *state)
{
    pthread_setcancelstate(*state, NULL);
}

/* Until the end of the scope. */
#define CANCEL_OFF __attribute__((cleanup(cancel_restore), unused)) int cancel_state = cancel_off()
