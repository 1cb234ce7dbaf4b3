/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * XenServer's batmap: one bit a block, "every sector of this block is present". Reading never asks
 * it (bitmaps tell the truth); it is kept true for tapdisk, which does. Bits are set at clean close
 * only, and the map is cleared durably before a BAT entry goes (invariant 12). A map whose checksum
 * is bad counts as all clear.
 */
#include "vhd/image-private.h"

#include <errno.h>
#include <string.h>

#include "vhd/bitmap.h"
#include "vhd/error.h"

/* Bytes of the map that count: a bit a block, in whole sectors. */
static size_t map_bytes(const VhdImage *image)
{
    return (size_t)image->layout.batmap_bytes;
}

static uint32_t map_checksum(const VhdImage *image)
{
    return vhd_batmap_checksum(image->batmap, map_bytes(image), image->footer.current_bytes);
}

static int read_map(VhdImage *image)
{
    image->batmap = g_try_malloc0(map_bytes(image));
    int result = image->batmap ? vhd_file_read(image->file, VHD_IO_BATMAP, image->layout.batmap_off,
                                               image->batmap, map_bytes(image))
                               : -ENOMEM;
    if (result < 0)
        g_clear_pointer(&image->batmap, g_free);
    return result;
}

/* Reading does without the map; who writes has to keep it true. */
static bool cannot_read(const VhdImage *image, int result, GError **error)
{
    if (image->writable)
        vhd_error_set_errno(error, VHD_ERROR_IO, image->file->name, "read the batmap", -result);
    return !image->writable;
}

static bool touches_block(const VhdImage *image, uint64_t off, uint64_t len)
{
    bool touches = false;
    for (uint32_t block = 0; !touches && block < image->layout.blocks; block++) {
        uint64_t start = (uint64_t)vhd_image_entry(image, block) * VHD_SECTOR_BYTES;
        touches = vhd_image_entry(image, block) != VHD_BAT_UNUSED && start < off + len &&
                  off < start + vhd_layout_block_span(&image->layout);
    }
    return touches;
}

/* Blocks and the trailing footer are in use: a map that lies over one is none. */
static bool is_overrun(const VhdImage *image, const VhdLayout *with)
{
    uint64_t end = MIN(image->data_end, image->layout.file_bytes);
    return vhd_layout_hit(with, end, image->layout.file_bytes - end, false) ||
           touches_block(image, vhd_layout_batmap_header_off(with), VHD_BATMAP_BYTES) ||
           touches_block(image, with->batmap_off, with->batmap_bytes);
}

/* A map left aside is not kept true: that it cannot come back once the file has grown, or a block
 * gone from over it, its cookie goes before anything else is written. */
static bool drop_map(VhdImage *image, const VhdImageOptions *options, GError **error)
{
    static const uint8_t zeros[VHD_BATMAP_BYTES];
    uint64_t off = vhd_layout_batmap_header_off(&image->layout);
    vhd_image_warn(options, "%s: the batmap reaches over blocks or the end: left aside",
                   image->file->name);
    if (!image->writable || touches_block(image, off, sizeof zeros))
        return true;
    int result = vhd_file_write(image->file, VHD_IO_BATMAP, off, zeros, sizeof zeros);
    if (result < 0)
        vhd_error_set_errno(error, VHD_ERROR_IO, image->file->name, "take away a bad batmap",
                            -result);
    return result == 0;
}

/* The map that header describes: reserved, or taken away. */
static bool take_map(VhdImage *image, const VhdImageOptions *options, GError **error)
{
    VhdFault fault;
    VhdLayout with = image->layout;
    if (!vhd_layout_add_batmap(&with, &image->batmap_header, &fault) || is_overrun(image, &with))
        return drop_map(image, options, error);
    image->layout = with;
    image->data_end = MAX(image->data_end, vhd_layout_metadata_end(&image->layout));
    int result = read_map(image);
    if (result < 0)
        return cannot_read(image, result, error);
    if (map_checksum(image) == image->batmap_header.checksum)
        return true;
    memset(image->batmap, 0, map_bytes(image));
    vhd_image_warn(options, "%s: the batmap's checksum is wrong: taken as all clear",
                   image->file->name);
    return true;
}

bool vhd_image_load_batmap(VhdImage *image, const VhdImageOptions *options, GError **error)
{
    uint8_t raw[VHD_BATMAP_BYTES];
    VhdFault fault;
    uint64_t off = vhd_layout_batmap_header_off(&image->layout);
    if (!vhd_footer_promises_batmap(&image->footer) ||
        off + VHD_BATMAP_BYTES > image->layout.file_bytes)
        return true;
    int result = vhd_file_read(image->file, VHD_IO_BATMAP, off, raw, sizeof raw);
    if (result < 0)
        return cannot_read(image, result, error);
    return !vhd_batmap_decode(raw, off, &image->batmap_header, &fault) ||
           take_map(image, options, error);
}

/* Map first, header with its checksum behind it: torn in between, the checksum is bad and the map
 * counts as clear. */
static int store_map(VhdImage *image)
{
    uint8_t raw[VHD_BATMAP_BYTES];
    image->batmap_header.checksum = map_checksum(image);
    vhd_batmap_encode(&image->batmap_header, raw);
    int result = vhd_file_write(image->file, VHD_IO_BATMAP, image->layout.batmap_off, image->batmap,
                                map_bytes(image));
    if (result == 0)
        result = vhd_file_write(image->file, VHD_IO_BATMAP,
                                vhd_layout_batmap_header_off(&image->layout), raw, sizeof raw);
    return result;
}

int vhd_image_clear_batmap(VhdImage *image)
{
    memset(image->batmap, 0, map_bytes(image));
    int result = store_map(image);
    pthread_mutex_lock(&image->lock);
    image->batmap_cleared = result == 0;
    pthread_mutex_unlock(&image->lock);
    return result;
}

/* A block known to be full. Blocks never looked at keep the bit they had. */
static bool is_full(VhdImage *image, uint32_t index)
{
    return vhd_image_entry(image, index) != VHD_BAT_UNUSED && bitmap_get(image->full, index);
}

int vhd_image_write_batmap(VhdImage *image)
{
    bool changed = false;
    if (!image->batmap)
        return 0;
    for (uint32_t index = 0; index < image->layout.blocks; index++) {
        if (is_full(image, index) && bitmap_set(image->batmap, index, 1) > 0)
            changed = true;
    }
    if (!changed)
        return 0;
    int result = store_map(image);
    return result == 0 ? vhd_file_barrier(image->file) : result;
}
