/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * The border between host and handler: where each thread is, and who may be
 * cancelled there.  Cancellation is off in the runner's own code and on in a
 * callback, as the handler left it where host code was called from a callback.
 */
#include <string.h>

#include "runner-private.h"

static _Thread_local RunnerPlace here = {.cancel_state = PTHREAD_CANCEL_ENABLE};
static _Thread_local bool thread_is_host;
static _Thread_local char *stack_low; /* of a host thread, for forget_dead_frames */

/* Notes where this thread's stack ends. */
static void find_stack(void)
{
    pthread_attr_t attributes;
    void *low;
    size_t size;

    if (pthread_getattr_np(pthread_self(), &attributes) != 0)
        return;
    if (pthread_attr_getstack(&attributes, &low, &size) == 0)
        stack_low = low;
    pthread_attr_destroy(&attributes);
}

void runner_thread_become_host(void)
{
    find_stack();
    thread_is_host = true;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
}

bool runner_thread_is_host(void)
{
    return thread_is_host;
}

RunnerPlace runner_callback_enter(const uint8_t *cdb, const char *name)
{
    RunnerPlace before = here;

    here.name = name;
    memset(here.cdb, 0, sizeof here.cdb);
    if (cdb)
        memcpy(here.cdb, cdb, runner_cdb_length(cdb));
    pthread_setcancelstate(here.cancel_state, NULL);
    return before;
}

void runner_callback_leave(const RunnerPlace *before)
{
    int state;

    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    if (state != before->cancel_state)
        runner_fail(here.cdb, "%s returned with cancellation %s", here.name,
                    state == PTHREAD_CANCEL_DISABLE ? "left off: the host could not end its thread"
                                                    : "switched on, which was off before");
    here = *before;
}

int runner_host_enter(void)
{
    int before = here.cancel_state;

    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &here.cancel_state);
    return before;
}

void runner_host_leave(int before)
{
    int state = here.cancel_state;

    here.cancel_state = before;
    pthread_setcancelstate(state, NULL);
}

/*
 * A cancelled thread leaves its frames without returning from them, and
 * AddressSanitizer's marks of their variables stay behind: wipes those below the
 * caller, which a cleanup handler would stumble over.
 */
__attribute__((no_sanitize_address)) static void forget_dead_frames(void)
{
    char *frame = __builtin_frame_address(0);

    if (stack_low && frame > stack_low)
        ASAN_UNPOISON_MEMORY_REGION(stack_low, (size_t)(frame - stack_low));
}

void runner_callback_check_death(const char *thread_kind)
{
    forget_dead_frames();
    if (here.name)
        runner_fail(here.cdb, "the %s was cancelled inside the handler's %s", thread_kind,
                    here.name);
}
