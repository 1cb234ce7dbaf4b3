/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * One LUN under load, driven as tcmu-runner drives it: one command thread takes all commands that
 * are in the ring in one go, offers each to handle_cmd, checks range and length of what is left and
 * calls read, write or flush, there or in the pool of a handler that wants one; then it waits.
 *
 * What is left out is the kernel: a completion is at once the next command.  So a command that
 * completes inside the command thread costs no system call; the real host pays one write for all of
 * one go.  One that completes in another thread costs a wake-up only where the command thread had
 * nothing left to do; the real host pays a write for each, or for a few that come together.  The
 * comparison is kinder to worker threads than the kernel is.
 */
#pragma once

#include "runner.h"
#include "workload.h"

typedef struct Lane Lane;

typedef struct LaneResult {
    uint64_t requests, flushes, bytes; /* requests: of data */
    uint64_t inline_requests;          /* of these, done in handle_cmd */
    double seconds;
    int failed_status; /* the first TCMU_STS_* other than OK; OK: all went well */
    uint8_t failed_cdb[RUNNER_CDB_ROOM];
} LaneResult;

/* Opens the LUN; size: bytes, for a handler that does not find it out.  NULL: *error is a malloc'ed
 * sentence. */
Lane *lane_open(RunnerHandler *handler, const char *cfgstring, uint64_t size, char **error);
uint64_t lane_bytes(const Lane *lane);

/* Starts the command thread, which waits at the gate.  False: the workload does not fit. */
bool lane_start(Lane *lane, const Workload *workload, pthread_barrier_t *gate);
/* Waits until all of the workload is answered. */
LaneResult lane_finish(Lane *lane);

/* No workload may run. */
void lane_close(Lane *lane);
