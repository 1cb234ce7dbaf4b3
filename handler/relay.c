/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "handler/relay.h"

#include <stdbool.h>
#include <stddef.h>

static __thread struct {
    Relay *first, *last;
    bool running;
} waiting;

void relay_run(Relay *relay)
{
    relay->next = NULL;
    if (waiting.first)
        waiting.last->next = relay;
    else
        waiting.first = relay;
    waiting.last = relay;
    if (waiting.running)
        return;

    waiting.running = true;
    while ((relay = waiting.first)) {
        waiting.first = relay->next;
        relay->run(relay);
    }
    waiting.running = false;
}
