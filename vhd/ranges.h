/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * Which of a disk's requests in flight have to wait for which: requests that conflict run in the
 * order of their arrival, all others at the same time. Nobody blocks here: a range that has to wait
 * is made runnable by the removal of the last one it waits for.
 *
 *   write, zeroing, unmap   conflict with each other where they overlap
 *   read                    conflicts with an unmap in the same block of layer 0 only, both ways:
 * an unmap may give a block back, and its space may then get other data
 *   update                  reads, then writes what it has read: both
 *
 * Units: sectors. Locking: the caller's, all calls.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

typedef enum VhdRangeKind {
    VHD_RANGE_READ,
    VHD_RANGE_WRITE,
    VHD_RANGE_UNMAP,
    VHD_RANGE_UPDATE
} VhdRangeKind;

/* One request's range, embedded in it. The caller fills the first part before vhd_ranges_add. */
typedef struct VhdRange {
    VhdRangeKind kind; /* zeroings are writes */
    uint64_t sector, sectors;
    void *owner; /* the caller's */
    /* Private: */
    struct VhdRange *prev, *next; /* in order of arrival */
    unsigned waits;               /* earlier ones in flight that it conflicts with */
} VhdRange;

/* All ranges in flight. Zero-initialized but for block_sectors: none. */
typedef struct VhdRanges {
    uint64_t block_sectors; /* of layer 0; 0 or 1: it has no blocks */
    VhdRange *first, *last;
} VhdRanges;

/* Take range in as the latest to arrive. True: it may run now. Never fails. */
bool vhd_ranges_add(VhdRanges *ranges, VhdRange *range);

/* Take out a range that was runnable and has ended. runnable is called for every one that may run
 * now, in order of arrival; it must not change ranges. */
void vhd_ranges_remove(VhdRanges *ranges, VhdRange *range,
                       void (*runnable)(VhdRange *range, void *data), void *data);
