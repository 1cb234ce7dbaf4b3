/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* Which of the sectors in doubt at a cut reached the disk. */
#pragma once

#include "tests/support/rng.h"
#include "tests/support/trace-file.h"

typedef enum PickWay {
    PICK_MASK,       /* the n-th doubt by the n-th bit */
    PICK_SECTORS,    /* each by itself */
    PICK_OPERATIONS, /* each operation whole or not at all */
    PICK_KINDS,      /* each kind of write whole or not at all */
    PICK_ONE,        /* one operation only */
    PICK_ALL_BUT_ONE,
    PICK_UP_TO,    /* this operation and those before it */
    PICK_RETURNED, /* what returned, and of the rest each sector by itself: a death */
    PICK_WAYS
} PickWay;

typedef struct Pick {
    PickWay way;
    uint64_t bits;      /* of PICK_MASK; else what chance is made of */
    unsigned at;        /* of PICK_MASK: 0 at first */
    uint64_t operation; /* of the three that name one: its begin */
} Pick;

/* A TraceChooser; data is a Pick. */
bool pick_choose(const TraceEntry *entry, uint64_t sector, void *data);

/* Caller frees. */
char *pick_describe(const Pick *pick);
