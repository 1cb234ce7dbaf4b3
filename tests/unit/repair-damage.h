/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* One damage a row, with what repair is told and what must be left of the guest's data. */
#pragma once

#include "tests/unit/check-sample.h"
#include "vhd/repair.h"

typedef struct Damage {
    const char *name;
    VhdType type;
    void (*strike)(MemImage *bytes);
    VhdFindingCode code; /* of a finding that check must make of it */
    bool asks;           /* mended only with give_up */
    VhdRepairFooter footer;
    bool opens;        /* also before it is mended */
    unsigned holds;    /* a bit for each block of BLOCK_BYTES that still has the guest's data */
    unsigned as_zeros; /* and for each that reads as zeros or absent; of the rest nothing is said */
} Damage;

extern const Damage damages[];
extern const unsigned damages_count;

/* Blocks 0 to 2 written, then struck. */
MemImage *damage_make(const Damage *damage);

/* Options that mend it. No parent is looked for. */
VhdRepairOptions damage_options(const Damage *damage);

/* The image opens for writing, check finds nothing to be mended, and the guest's data is there. */
void damage_assert_mended(const Damage *damage, MemImage *bytes);

/* Whether the image opens, for reading. */
bool damage_opens(MemImage *bytes);

#define DAMAGE_NO_PENDING "/nonexistent/pending"
