/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * What a loss of power may leave of one image while something changes it in place: after every
 * event, with all, none and random parts of what no barrier covers. Each remainder must open, be
 * judged free of errors, and show the disk of before or that of after.
 */
#pragma once

#include "tests/support/trace-file.h"
#include "vhd/chain.h"

/* What a disk shows. Alike where every sector reads alike, absent ones told apart from zeros. */
typedef struct DiskPrint {
    uint64_t sectors;
    uint64_t data_sum;                 /* over the sectors that are not zero */
    uint64_t absent_count, absent_sum; /* of their numbers */
} DiskPrint;

/* Of the image in bytes; it must open. */
DiskPrint disk_print(MemImage *bytes);
/* Of what a chain shows. */
DiskPrint chain_print(VhdChain *chain);
bool disk_print_equal(const DiskPrint *a, const DiskPrint *b);

/* Findings of a check of at least this severity; nothing may be worse than a leak. */
unsigned count_findings(MemImage *bytes, unsigned least_severity);

typedef struct PowerCut {
    MemImage *base; /* the file when the record began */
    Trace *trace;
    unsigned seeds; /* random remainders a cut */
    DiskPrint before, after;
    unsigned saw_before, saw_after; /* filled: how many remainders showed which */
    /* In place of disk_print: what the image in bytes shows, over whatever it names as its parent.
     * May be NULL. */
    DiskPrint (*print)(MemImage *bytes, void *data);
    /* Called after every event with one remainder that was judged, a random one, to go on from
     * there. May be NULL. */
    void (*each)(MemImage *bytes, void *data);
    void *data;
} PowerCut;

void power_cut_everywhere(PowerCut *cut);
