/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * Steps one after the other on one stack. When the host is told that a piece of a compound command
 * is done, it starts the next from inside that call; were that one done at once, too, the stack
 * would grow with every piece. A step that comes up while another one runs in the same thread waits
 * until that one has returned.
 */
#pragma once

typedef struct Relay Relay;
struct Relay {
    void (*run)(Relay *relay); /* may free what holds it */
    Relay *next;               /* private */
};

/* Run relay now or, inside another one of this thread, as soon as that has returned. */
void relay_run(Relay *relay);
