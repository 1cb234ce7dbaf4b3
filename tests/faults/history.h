/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * What each sector of a disk may show after requests of which some failed. A sector is full of one
 * value, 0 (zeros) to 63; what it may show is a set of values, a bit each.
 *
 * live is what a read may find while the disk is open: after a write that succeeded the one value,
 * after one that failed the new one as well. durable is what may be found once it has been opened
 * anew: what the last flush that succeeded left, or anything written since.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define HISTORY_SECTOR 512u

typedef struct History {
    unsigned sectors;
    uint64_t *live, *durable; /* a set a sector */
} History;

/* All sectors are zeros, durably. history_clear frees what it holds. */
void history_init(History *history, unsigned sectors);
void history_clear(History *history);
/* A copy of from, which is as large. */
void history_copy(History *history, const History *from);

/* [sector, sector + count) is value, durably. */
void history_set(History *history, unsigned sector, unsigned count, unsigned value);

/* A write of value ended, well or not; with fua it is durable if it ended well. */
void history_write(History *history, unsigned sector, unsigned count, unsigned value, bool ok,
                   bool fua);

/* An unmap ended, well or not: zeros where it was the disk's own, what it was where it shows one of
 * the values of parents (a set). */
void history_unmap(History *history, unsigned sector, unsigned count, uint64_t parents, bool ok,
                   bool fua);

/* A flush of all of it ended well. */
void history_flush(History *history);

/* Fill count sectors of data with value. */
void history_fill(uint8_t *data, unsigned count, unsigned value);

/* The first of count sectors in data, found at sector, that is not in the sets; -1 if all are.
 * *found is the value there, 64 for none. */
int history_find_wrong(const uint64_t *sets, const uint8_t *data, unsigned sector, unsigned count,
                       unsigned *found);
