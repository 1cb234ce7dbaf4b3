/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* A disk over one image with faults at its seam, and requests that tell when they are done. Helpers
 * end the test on failure. */
#pragma once

#include <pthread.h>

#include "tests/support/fault-file.h"
#include "tests/unit/chain-sample.h"
#include "vhd/disk-private.h"

#define WAIT_MS 60000 /* for what must happen; never waited for in full */
#define BLOCK   65536u

typedef struct Fixture {
    char *folder, *path;
    Faults *faults;
    GString *log;
    VhdDisk *disk;
} Fixture;

/* The image, not yet opened. */
void setup(Fixture *f, const Sample *sample);
/* No pending log, the fixture's faults and log. */
VhdDiskOptions options_of(Fixture *f);
/* bounds NULL: the usual ones. */
void open_with(Fixture *f, const VhdDiskOptions *options, const VhdDiskBounds *bounds);
/* setup and open_with. */
void setup_open(Fixture *f, const Sample *sample);
/* Closes the disk if it is open, which must succeed. */
void teardown(Fixture *f);

/* How many barriers there were. */
uint64_t barriers(Fixture *f);

/* A request that tells when it is done. */
typedef struct Task {
    VhdRequest request;
    pthread_mutex_t lock; /* protects result and done */
    pthread_cond_t wake;
    int result;
    bool done;
    struct iovec iov;
} Task;

void task_init(Task *task);
/* done of a task's request, its data is the task. */
void task_done(VhdRequest *request, int result);
bool is_done(Task *task);
/* The result, once; the task is not used afterwards. */
int wait_for(Task *task);

void submit(VhdDisk *disk, Task *task, VhdOp op, uint64_t off, void *buf, size_t len);
/* Submit a request as it is and wait. */
int run(VhdDisk *disk, VhdOp op, uint64_t off, uint64_t len, const struct iovec *iov, int iovcnt);
