/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * Where everything of one image lies. vhd_layout_init is the only place that accepts or rejects
 * sizes, offsets and counts of an image: all later code relies on what it let through. Pure.
 */
#pragma once

#include "vhd/format.h"

typedef enum VhdRegionKind {
    VHD_REGION_FOOTER_COPY,
    VHD_REGION_HEADER,
    VHD_REGION_BAT,
    VHD_REGION_BATMAP_HEADER,
    VHD_REGION_BATMAP,
    VHD_REGION_LOCATOR, /* the bytes of a locator's string */
    /* What its data space claims beyond them, as far as no other region or the end of the file is
       in the way: allocation keeps out, blocks found there are let be. */
    VHD_REGION_LOCATOR_SPACE,
} VhdRegionKind;

/* A reserved range of the file, in bytes. Blocks and footers never overlap one, locator space
 * aside. */
typedef struct VhdRegion {
    VhdRegionKind kind;
    uint64_t off, len;
} VhdRegion;

#define VHD_REGIONS_MAX (5 + 2 * VHD_LOCATORS)

typedef struct VhdLayout {
    VhdType type;
    uint64_t file_bytes;   /* at the time of init */
    uint64_t disk_sectors; /* virtual size */
    /* All below: dynamic and differencing only, else 0. */
    uint64_t header_off; /* bytes */
    uint64_t bat_off;    /* bytes */
    uint64_t bat_bytes;  /* padded to whole sectors */
    uint32_t blocks; /* blocks of the disk: ceil(size / block size); entries beyond are padding */
    uint32_t block_sectors;  /* data sectors of a block, a power of two */
    uint8_t block_shift;     /* log2 of block_sectors */
    uint32_t bitmap_sectors; /* sectors of a block's bitmap, in front of its data */
    uint64_t batmap_off;     /* bytes; 0 = none */
    uint64_t batmap_bytes;
    unsigned regions;
    VhdRegion region[VHD_REGIONS_MAX]; /* by offset; none overlaps another, none is empty */
} VhdLayout;

/* Judge what a footer says by itself against a file of file_bytes (at most INT64_MAX): type, size,
 * length of a fixed image, place of the header. After true, the header of a dynamic or differencing
 * image can be read at footer->data_offset. footer_off: where the footer was found, in bytes;
 * unless it is the copy at 0, metadata and the disk of a fixed image must end before it. */
bool vhd_layout_footer_ok(const VhdFooter *footer, uint64_t footer_off, uint64_t file_bytes,
                          VhdFault *fault);

/* Judge footer and header (NULL for a fixed image only) against each other and against a file of
 * file_bytes; judges all that vhd_layout_footer_ok does, too. Informative fields are not looked at,
 * locators of code 0 or in an image that is not differencing neither. False: *fault says what,
 * *layout is undefined. */
bool vhd_layout_init(VhdLayout *layout, const VhdFooter *footer, uint64_t footer_off,
                     const VhdHeader *header, uint64_t file_bytes, VhdFault *fault);

/* Where a batmap header would lie, in bytes: directly behind the BAT. */
uint64_t vhd_layout_batmap_header_off(const VhdLayout *layout);

/* Reserve the batmap that *batmap describes, and its header. False: out of the file, of a size that
 * does not fit the blocks or any image served here, or over another region; *layout is then
 * unchanged and the image is served without a batmap. */
bool vhd_layout_add_batmap(VhdLayout *layout, const VhdBatmapHeader *batmap, VhdFault *fault);

/* The region of lowest offset that [off, off+len) touches, NULL if none (always if len is 0).
 * Locator space is looked at only if with_space. */
const VhdRegion *vhd_layout_hit(const VhdLayout *layout, uint64_t off, uint64_t len,
                                bool with_space);

/* End in bytes of the last reserved region, rounded up to a sector: the first place where blocks
 * may go in an image that has none. 0 for a fixed image. */
uint64_t vhd_layout_metadata_end(const VhdLayout *layout);

/* Bytes of a block in the file, bitmap included. */
static inline uint64_t vhd_layout_block_span(const VhdLayout *layout)
{
    return ((uint64_t)layout->bitmap_sectors + layout->block_sectors) * VHD_SECTOR_BYTES;
}

/* Sectors of the disk that lie in block (the last may be partial; 0 beyond the disk). */
uint32_t vhd_layout_block_used_sectors(const VhdLayout *layout, uint32_t block);

/* Judge one BAT entry that is not VHD_BAT_UNUSED: inside the file (fault BLOCK_BEYOND_FILE), off
 * the metadata (fault BLOCK_IN_METADATA; locator space is let be). file_bytes: the end of the place
 * for blocks, that is the file's length now, less its trailing footer where there is one. Of a
 * partial last block only the bitmap and the used sectors must be there: some writers cut the file
 * behind them. fault->off: that of the entry. */
bool vhd_layout_entry_ok(const VhdLayout *layout, uint32_t block, uint32_t entry,
                         uint64_t file_bytes, VhdFault *fault);
