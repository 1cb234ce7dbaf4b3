/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * XenServer's batmap: one bit a block, "every sector of this block is present". Reading never asks
 * it (bitmaps tell the truth); it is kept true for tapdisk, which does. Bits are set at clean close
 * only, and the map is cleared durably before a BAT entry goes (invariant 12). A map whose checksum
 * is bad counts as all clear.
 */
#include "vhd/image-private.h"

#include <string.h>

#include "vhd/bitmap.h"

/* Bytes of the map that count: a bit a block, in whole sectors. */
static size_t map_bytes(const VhdImage *image)
{
    return (size_t)image->layout.batmap_bytes;
}

/* Tapdisk sums this much of it (measured); round 512 of a bit for each 2 MiB. */
static uint32_t map_checksum(const VhdImage *image)
{
    uint64_t summed = (image->footer.current_bytes >> 24) + VHD_SECTOR_BYTES - 1;
    summed = MAX(summed / VHD_SECTOR_BYTES, 1) * VHD_SECTOR_BYTES;
    return vhd_checksum(image->batmap, (size_t)MIN(summed, map_bytes(image)), SIZE_MAX);
}

static bool read_map(VhdImage *image)
{
    image->batmap = g_try_malloc0(map_bytes(image));
    return image->batmap && vhd_file_read(image->file, VHD_IO_BATMAP, image->layout.batmap_off,
                                          image->batmap, map_bytes(image)) == 0;
}

void vhd_image_load_batmap(VhdImage *image, const VhdImageOptions *options)
{
    uint8_t raw[VHD_BATMAP_BYTES];
    VhdFault fault;
    uint64_t off = vhd_layout_batmap_header_off(&image->layout);
    if (!vhd_footer_promises_batmap(&image->footer) ||
        vhd_file_read(image->file, VHD_IO_BATMAP, off, raw, sizeof raw) < 0 ||
        !vhd_batmap_decode(raw, off, &image->batmap_header, &fault) ||
        !vhd_layout_add_batmap(&image->layout, &image->batmap_header, &fault))
        return;
    if (!read_map(image)) {
        g_clear_pointer(&image->batmap, g_free);
        return;
    }
    if (map_checksum(image) == image->batmap_header.checksum)
        return;
    memset(image->batmap, 0, map_bytes(image));
    vhd_image_warn(options, "%s: the batmap's checksum is wrong: taken as all clear",
                   image->file->name);
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
    return image->bat[index] != VHD_BAT_UNUSED && bitmap_get(image->full, index);
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
