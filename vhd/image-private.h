/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* The inside of an image, for the image-*.c files alone. Rules of order: see the invariants in
 * image.h. */
#pragma once

#include <pthread.h>

#include "vhd/image.h"
#include "vhd/pending-store.h"

#define VHD_PAGE_BYTES         4096u /* data of the blocks that we place begins on such a boundary */
#define VHD_BITMAP_CACHE_BYTES (4u << 20) /* of bitmaps that could be read again */

typedef enum VhdBlockState {
    VHD_BLOCK_BUSY, /* its bitmap is being read or its space claimed; wait on image->changed */
    VHD_BLOCK_READY,
} VhdBlockState;

/* A block whose bitmap is in memory. Blocks wholly present or wholly absent need none. */
typedef struct VhdBlock {
    uint32_t index;
    uint32_t entry; /* sector in the file of its bitmap */
    VhdBlockState state;
    bool is_new;      /* its BAT entry has not been handed to a write (invariant 2) */
    bool published;   /* its BAT entry is in image->bat_inverse */
    bool is_dirty;    /* listed in image->dirty_blocks */
    bool flushing;    /* a flush under way holds a copy of it: not to be forgotten before its end */
    unsigned writers; /* begin_write without end_write */
    GList lru;        /* in image->lru; data = this */
    uint8_t *bits;    /* bitmap_sectors * 512 bytes */
    uint8_t *dirty;   /* a bit a bitmap sector: set in memory only */
} VhdBlock;

/* Flushes are numbered in the order in which they begin. */
typedef struct VhdFlushState {
    uint64_t started, finished;
    bool running;
    int result; /* of the last that finished */
} VhdFlushState;

struct VhdImage {
    gint refs; /* atomic */

    /* Fixed once open. */
    VhdFile *file;
    VhdLayout layout;
    VhdFooter footer;
    VhdHeader header;
    bool raw, writable, headers_only, pending_lost;
    bool locked;
    VhdBatmapHeader batmap_header;

    /* `lock` protects all below. It is a leaf: no other lock is taken and no I/O done under it. */
    pthread_mutex_t lock;
    pthread_cond_t changed; /* a block left BUSY, or a flush ended */
    bool failed;            /* invariant 7 */
    uint32_t *bat_inverse;  /* what is published, host order, ~: see vhd_image_entry */
    uint64_t bat_checksum;  /* of the BAT, see pending.h */
    uint8_t *full;          /* a bit a block: every used sector is present */
    GHashTable *blocks;     /* index -> VhdBlock */
    GQueue lru;             /* of blocks, oldest first */
    uint64_t cached_bytes;
    uint8_t *batmap;     /* as on disk, NULL if none or not to be believed */
    bool batmap_cleared; /* all zeros on disk since a block was released (invariant 12) */

    uint64_t data_end;   /* where the next block may begin, bytes */
    uint64_t footer_end; /* the footer goes behind it: the end of the last block whose space is
                            claimed, at most data_end */
    uint64_t stale_end;  /* below it, space beyond data_end may hold bytes of a failed write */
    bool overgrown;      /* the file is longer than footer_end asks for */
    GArray *free_slots;  /* uint32_t: BAT entries whose space may be used again */
    GArray *limbo_slots; /* released, their removal not yet durable (invariant 11) */

    GPtrArray *dirty_blocks; /* with dirty bits, or new and published */
    GHashTable *dirty_bat;   /* BAT sectors to be written, as GUINT */
    bool footer_dirty;
    unsigned dirty_entries;
    uint64_t dirty_bytes;
    uint64_t oldest_us;
    uint64_t barriers;
    VhdFlushState flush;

    VhdPendingStore *pending; /* NULL: not kept */
    VhdPendingBase pending_base;
};

/* ---- image.c */
void vhd_image_warn(const VhdImageOptions *options, const char *format, ...) G_GNUC_PRINTF(2, 3);
void vhd_image_note_dirty_locked(VhdImage *image, unsigned entries);

/* ---- image-bat.c */
/* Read and judge the BAT: every entry inside the file, off the metadata, off each other. */
bool vhd_image_load_bat(VhdImage *image, GError **error);
/* Publish entry (or VHD_BAT_UNUSED) for block: memory, checksum, dirty BAT sector. */
void vhd_image_set_entry_locked(VhdImage *image, uint32_t block, uint32_t entry);
/* The 512 bytes of a BAT sector as memory has it. */
void vhd_image_encode_bat_sector_locked(VhdImage *image, uint32_t sector,
                                        uint8_t raw[static VHD_SECTOR_BYTES]);

/* ---- image-blocks.c */
VhdBlock *vhd_block_lookup_locked(VhdImage *image, uint32_t index);
/* It has been used just now: the last one to be forgotten. */
void vhd_block_touch_locked(VhdImage *image, VhdBlock *block);
/* A new block with clear bits, BUSY, in the table. */
VhdBlock *vhd_block_add_locked(VhdImage *image, uint32_t index, uint32_t entry);
/* Out of every list, freed. */
void vhd_block_drop_locked(VhdImage *image, VhdBlock *block);
void vhd_block_ready_locked(VhdImage *image, VhdBlock *block);
/* The block with its bitmap in memory, read if need be (the lock is let go meanwhile). *block is
 * NULL where none is needed: not allocated, or full. Never BUSY. 0 or -errno. */
int vhd_block_get_locked(VhdImage *image, uint32_t index, VhdBlock **block);
/* Set bits; full and dirty follow. */
void vhd_block_set_bits_locked(VhdImage *image, VhdBlock *block, uint32_t first, uint32_t count);
/* Note that a flush has to write the block. */
void vhd_block_mark_dirty_locked(VhdImage *image, VhdBlock *block);
/* Forget it if all it says can be read again or is known from image->full. */
void vhd_block_settle_locked(VhdImage *image, VhdBlock *block);
void vhd_block_free(VhdBlock *block);

static inline uint32_t vhd_image_block_of(const VhdImage *image, uint64_t sector)
{
    return (uint32_t)(sector >> image->layout.block_shift);
}

/* The BAT entry of a block, as published. In memory an unused one is 0, and memory that is zero
 * from the beginning takes no space until it is written: so a BAT costs what its used entries cost,
 * however large the disk is. */
static inline uint32_t vhd_image_entry(const VhdImage *image, uint32_t block)
{
    return ~__atomic_load_n(&image->bat_inverse[block], __ATOMIC_RELAXED);
}

static inline uint64_t vhd_image_data_off(const VhdImage *image, uint32_t entry,
                                          uint32_t sector_in_block)
{
    return ((uint64_t)entry + image->layout.bitmap_sectors + sector_in_block) * VHD_SECTOR_BYTES;
}

static inline uint64_t vhd_image_bitmap_bytes(const VhdImage *image)
{
    return (uint64_t)image->layout.bitmap_sectors * VHD_SECTOR_BYTES;
}

/* ---- image-alloc.c */
/* Space of entry is free again, contents unknown. */
void vhd_image_give_back_slot_locked(VhdImage *image, uint32_t entry);

/* ---- image-pending.c */
/* Find, check and replay (writable) or overlay the log; make one where writable. */
bool vhd_image_attach_pending(VhdImage *image, const VhdImageOptions *options, GError **error);
/* Make sure that so many records fit; where they do not, flush (the lock is let go meanwhile). 0 or
 * -errno. */
int vhd_image_log_room_locked(VhdImage *image, unsigned records);
/* Whether so many fit as it is. */
bool vhd_image_log_has_room_locked(VhdImage *image, unsigned records);
/* The log that waits for the image of this uuid, not attached yet, is emptied. */
void vhd_image_give_up_log(VhdImage *image, const VhdImageOptions *options,
                           const uint8_t uuid[static VHD_UUID_BYTES]);
/* A barrier failed: data that the records speak of may be lost, and with a record replayed its
 * sectors would show neither the old nor the new. What was not flushed is old or new without them.
 */
void vhd_image_forget_log_locked(VhdImage *image);
/* Append one of those. What it says must be in memory before the lock is let go: a flush drops the
 * record then. */
void vhd_image_log_locked(VhdImage *image, const VhdPendingRecord *record);

/* ---- image-batmap.c */
/* Once the BAT is there: a map that lies over blocks is left aside, and taken away where writable.
 */
bool vhd_image_load_batmap(VhdImage *image, const VhdImageOptions *options, GError **error);
/* Write an all-clear map: before a BAT entry goes. */
int vhd_image_clear_batmap(VhdImage *image);
/* At clean close: the bits of full blocks. */
int vhd_image_write_batmap(VhdImage *image);
