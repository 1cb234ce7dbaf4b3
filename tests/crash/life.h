/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * One life of a process that serves a rig's disk: open, random requests from one thread or four,
 * and an end: closed, killed, or with a barrier that failed. What it did is in its trace, its
 * ledger and the log's tap.
 */
#pragma once

#include "tests/crash/ledger.h"
#include "tests/crash/log-tap.h"
#include "tests/crash/rig.h"

typedef enum LifeEnd { LIFE_CLOSED, LIFE_KILLED, LIFE_BARRIER_FAILED } LifeEnd;

typedef struct LifePlan {
    unsigned threads;  /* 1: repeats exactly */
    unsigned requests; /* of each thread */
    LifeEnd end;
    bool faults;  /* single operations fail now and then */
    bool discard; /* the whole disk before it is closed */
    bool writethrough;
    bool fill_log;     /* so that it becomes full; one thread */
    bool hold_flushes; /* others write while one is in its barrier; one thread */
    VhdDiskBounds bounds;
} LifePlan;

typedef struct Life {
    Rig *rig;
    LifePlan plan;
    RigDisk opened;
    MemImage *base; /* layer 0 when the record began */
    Ledger *ledger;
    LogTap *tap;
    VhdDisk *disk;
    uint8_t *content; /* of the disk when it had been opened */
    uint64_t sectors;
    uint32_t block_sectors; /* 0: fixed */
    bool child;
    uint64_t opened_at; /* tick: the disk was open */
    uint64_t ended_at;  /* tick: it was closed, or nothing more could happen */
    gint stopped;       /* atomic: requests fail from now on */
    char *mishap;       /* NULL: none; atomic */
} Life;

/* Open the disk. top: what stands for layer 0, taken, or NULL. False: *error says why not; the life
 * is then good for life_free alone. */
Life *life_open(Rig *rig, const LifePlan *plan, VhdFile *top, GError **error);

/* Run the requests and come to the end. */
void life_run(Life *life);

/* Something failed that had no reason to, while the process lived; the first is kept. Any thread.
 */
void life_mishap(Life *life, const char *format, ...) G_GNUC_PRINTF(2, 3);

void life_free(Life *life);

/* What the life of this number shall be. */
LifePlan life_plan(Rng *rng);
