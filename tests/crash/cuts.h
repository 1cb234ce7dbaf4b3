/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * The crash images of one life: at every barrier and at points between, power fails or the process
 * dies; the process that opens the image after a death dies or loses power in its turn.
 */
#pragma once

#include "tests/crash/judge.h"

/* What is counted and found over all lives. */
typedef struct Tally {
    uint64_t images;
    uint64_t most;    /* images: then it is enough */
    uint64_t only;    /* judge only the image of this number within its seed, 0: all */
    uint64_t in_seed; /* images of the current seed so far */
    uint64_t cuts;
    unsigned wanted; /* invariants, a bit each: the violation that is looked for; 0: any */
    bool done;       /* a wanted violation was found */
    Violation found; /* the wanted one, or the first */
    char where[200]; /* what had happened */
    uint64_t found_seed, found_image;
} Tally;

/* Build and judge images of life. tolerated: as in Case. */
void cuts_of_life(Tally *tally, const Life *life, unsigned tolerated);

/* Count one image more: whether it is to be judged. */
bool tally_next(Tally *tally);

/* A violation that is not of an image; where: printf-like. */
void tally_violation(Tally *tally, const Rig *rig, const Violation *violation, const char *where,
                     ...) G_GNUC_PRINTF(4, 5);

/* laws.c: what the record alone shows: parents are not written, nothing is written after a failed
 * barrier, and who shortens the file has written its footer inside. */
bool laws_kept(const Life *life, Violation *violation);
