/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * One image that a crash left, opened as the handler would open it, and whether it keeps the
 * invariants of vhd/image.h.
 */
#pragma once

#include "tests/crash/life.h"

typedef struct Violation {
    unsigned invariant; /* 1 to 12; 0: none */
    char text[400];
} Violation;

/* What is judged. */
typedef struct Case {
    Rig *rig;
    LedgerCut cut;       /* what its sectors may hold */
    MemImage *image;     /* the caller's; changed */
    MemImage *cache;     /* what the kernel still shows of it; NULL: the same. Changed */
    TraceCut *trace_cut; /* that it was made of; NULL: all of it is certain */
    const LogState *log; /* the pending log that is left; NULL: power took it */
    unsigned tolerated;  /* finding codes, a bit each, of errors that were there before */
    unsigned blamed;     /* the invariant that a wrong sector is against; 0: find out */
    uint64_t seed;       /* of what is tried on it */
} Case;

/* True: nothing is wrong. Else *violation tells. */
bool judge(const Case *judged, Violation *violation);

/* Which kinds of errors check finds in image, a bit each. */
unsigned judge_errors(MemImage *image, const char *pending_dir, char text[static 300]);

/* False, with *violation filled. */
bool violate(Violation *violation, unsigned invariant, const char *format, ...) G_GNUC_PRINTF(3, 4);
