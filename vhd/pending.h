/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * What is published but not yet flushed, kept where a killed process cannot lose it (invariant 10
 * in image.h): a ring of records in a byte region. The region is a small file on tmpfs mapped into
 * memory (pending-store.h); tests hand it plain memory. Power loss takes it away, as it should:
 * what it holds was never flushed.
 *
 * A record is complete before the tail that admits it moves, so a kill at any instruction leaves a
 * whole log. The base (file length, BAT checksum) and the head move together, by switching between
 * two copies of them.
 *
 * Locking: the caller's (the image's lock); a region has one writer.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VHD_PENDING_BYTES (256u << 10) /* of a region; full means flush */

typedef enum VhdPendingKind {
    VHD_PENDING_BLOCK =
        1, /* block got BAT entry value; before: VHD_BAT_UNUSED or the entry that was released */
    VHD_PENDING_RELEASE, /* block's BAT entry (value) was removed */
    VHD_PENDING_BITS,    /* block: count bits from first were set */
} VhdPendingKind;

typedef struct VhdPendingRecord {
    VhdPendingKind kind;
    uint32_t block;
    uint32_t value; /* BLOCK, RELEASE: BAT entry; BITS: first sector in the block */
    uint32_t count; /* BITS: sectors */
} VhdPendingRecord;

/* Which image a log belongs to, and what it looked like at its last flush. */
typedef struct VhdPendingBase {
    uint8_t uuid[16];
    uint8_t boot_id[16];
    uint64_t device, inode;
    uint64_t file_bytes;   /* at the last flush; the file may only have grown since */
    uint64_t bat_checksum; /* sum over used entries of vhd_pending_mix(block, entry), as of the last
                              flush */
} VhdPendingBase;

typedef struct VhdPending {
    uint8_t *region;
    size_t bytes;
} VhdPending;

/* One entry's share of the BAT checksum; unused entries count nothing. Order does not matter, so
 * shares are added and subtracted as entries change. */
uint64_t vhd_pending_mix(uint32_t block, uint32_t entry);

/* Make region (zeroed or not, at least 4096 bytes) an empty log of base. */
void vhd_pending_format(VhdPending *pending, const VhdPendingBase *base);

/* True if region holds a whole log of this version; *base (may be NULL) is filled. */
bool vhd_pending_valid(const VhdPending *pending, VhdPendingBase *base);

/* True if region was never formatted, or its formatting was cut off: nothing in it counts. */
bool vhd_pending_blank(const VhdPending *pending);

/* True if there are no records. */
bool vhd_pending_empty(const VhdPending *pending);

/* How many records fit now. Where too few: flush, then vhd_pending_drop. */
unsigned vhd_pending_room(const VhdPending *pending);

/* Append; there must be room. When it returns the record outlives the process. */
void vhd_pending_append(VhdPending *pending, const VhdPendingRecord *record);

/* Position behind the last record, to be given to vhd_pending_drop once a flush has made all before
 * it durable. */
uint64_t vhd_pending_tail(const VhdPending *pending);

/* Records before tail are durable in the image, which is now as *base says. */
void vhd_pending_drop(VhdPending *pending, uint64_t tail, const VhdPendingBase *base);

/* Call each for every record, oldest first; stops where it returns false and returns false then. */
bool vhd_pending_each(const VhdPending *pending,
                      bool (*each)(const VhdPendingRecord *record, void *data), void *data);
