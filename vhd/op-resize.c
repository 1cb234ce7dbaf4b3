/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "vhd/op-resize.h"

#include <errno.h>
#include <string.h>

#include "vhd/chain-run.h"
#include "vhd/error.h"
#include "vhd/image-create.h"
#include "vhd/image-relocate.h"
#include "vhd/op-state.h"

#define CHUNK_BYTES   (1u << 20)
#define RUN_BYTES_MAX (64u << 20) /* between two looks at stop */

static bool fail(VhdImage *image, int err, GError **error)
{
    vhd_error_set_errno(error, VHD_ERROR_IO, vhd_image_name(image), "change its size", -err);
    return false;
}

/* ---- what would be lost */

static size_t first_not_zero(const uint8_t *bytes, size_t len)
{
    size_t at = 0;
    if (len == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0))
        return len;
    while (bytes[at] == 0)
        at++;
    return at;
}

/* One run, chunk by chunk. *at goes to the first byte that is not zero, else to the run's end. */
static int scan_run(VhdChain *chain, const VhdChainRun *run, uint8_t *buf, uint64_t *at)
{
    VhdFile *file = vhd_image_file(vhd_chain_layer(chain, (unsigned)run->layer));
    size_t zeros, len;
    do {
        len = (size_t)MIN(run->start + run->len - *at, CHUNK_BYTES);
        int result = vhd_file_read(file, VHD_IO_DATA, run->off + (*at - run->start), buf, len);
        if (result < 0)
            return result;
        zeros = first_not_zero(buf, len);
        *at += zeros;
    } while (zeros == len && *at < run->start + run->len);
    return 0;
}

int vhd_op_resize_loses(VhdChain *chain, uint64_t bytes, uint64_t *off,
                        bool (*stop)(void *data, double part), void *data)
{
    uint64_t end = vhd_chain_sectors(chain) * VHD_SECTOR_BYTES, run_end;
    g_autofree uint8_t *buf = g_malloc(CHUNK_BYTES);
    VhdChainRun run;
    int result = 0;
    for (*off = MIN(bytes, end); *off < end; *off = run_end) {
        if (stop && stop(data, (double)(*off - bytes) / (double)(end - bytes)))
            return -ECANCELED;
        result = vhd_chain_run(chain, *off, MIN(end, *off + RUN_BYTES_MAX), &run);
        if (result < 0)
            return result;
        run_end = run.start + run.len;
        if (vhd_chain_run_is_zero(&run))
            continue;
        result = scan_run(chain, &run, buf, off);
        if (result < 0 || *off < run_end)
            return result;
    }
    return 0;
}

/* ---- fixed */

/* A footer, durable. */
static int write_footer(VhdImage *image, uint64_t off, uint64_t disk_bytes)
{
    VhdFooter footer = *vhd_image_footer(image);
    uint8_t raw[VHD_FOOTER_BYTES];
    footer.current_bytes = disk_bytes;
    if (disk_bytes != vhd_image_footer(image)->current_bytes)
        footer.geometry = vhd_geometry(disk_bytes);
    vhd_footer_encode(&footer, raw);
    int result = vhd_file_write(vhd_image_file(image), VHD_IO_FOOTER, off, raw, sizeof raw);
    return result == 0 ? vhd_file_barrier(vhd_image_file(image)) : result;
}

/* Where the footer is while the size changes: not over another part of itself, and never in front
 * of where it is. */
static uint64_t footer_meanwhile(uint64_t footer_off, uint64_t bytes)
{
    uint64_t next = (footer_off + VHD_FOOTER_BYTES + VHD_SECTOR_BYTES - 1) / VHD_SECTOR_BYTES *
                    VHD_SECTOR_BYTES;
    if (bytes <= footer_off)
        return footer_off;
    return MAX(bytes, next);
}

/* The last sector is a good footer at all times, of the old size up to the one write that makes it
 * the new one; a gap in front of it is allowed. */
static int resize_fixed(VhdImage *image, uint64_t footer_off, uint64_t bytes)
{
    VhdFile *file = vhd_image_file(image);
    uint64_t old = vhd_image_footer(image)->current_bytes;
    uint64_t off = footer_meanwhile(footer_off, bytes);
    int result = 0;
    if (off > footer_off)
        result = write_footer(image, off, old);
    if (result == 0 && off > old) /* the old footer too: from now on the guest's */
        result = vhd_file_punch(file, VHD_IO_DATA, old, off - old);
    if (result == 0)
        result = vhd_file_barrier(file);
    if (result == 0)
        result = write_footer(image, off, bytes);
    if (result < 0 || off < bytes + VHD_FOOTER_BYTES)
        return result;
    result = write_footer(image, bytes, bytes);
    if (result == 0)
        result = vhd_file_resize(file, bytes + VHD_FOOTER_BYTES);
    return result == 0 ? vhd_file_barrier(file) : result;
}

/* While the footer is not right behind the disk, one at 0 would be believed: the guest may keep an
 * image there. */
static bool begins_like_image(VhdFile *file)
{
    uint8_t raw[VHD_FOOTER_BYTES];
    VhdFooter footer;
    VhdFault fault;
    return vhd_file_read(file, VHD_IO_FOOTER, 0, raw, sizeof raw) == 0 &&
           vhd_footer_decode(raw, 0, &footer, &fault);
}

static bool change_fixed(VhdImage *image, uint64_t bytes, GError **error)
{
    VhdFile *file = vhd_image_file(image);
    VhdFileInfo info;
    int err = vhd_file_info(file, &info);
    if (err < 0)
        return fail(image, err, error);
    if (begins_like_image(file)) {
        g_set_error(error, VHD_ERROR, VHD_ERROR_UNSUPPORTED,
                    "%s: the first sector of its disk is a VHD's footer, so a change of size that "
                    "is cut off could not be told from another image; use vhdctl convert",
                    file->name);
        return false;
    }
    bool is_short = info.bytes % VHD_SECTOR_BYTES == VHD_FOOTER_BYTES - 1;
    err = resize_fixed(image, info.bytes - VHD_FOOTER_BYTES + (is_short ? 1 : 0), bytes);
    return err < 0 ? fail(image, err, error) : true;
}

/* ---- dynamic and differencing */

/* What the last block holds behind the disk's end was nobody's; now it is to read as zeros. */
static int clear_behind_end(VhdImage *image)
{
    const VhdLayout *layout = vhd_image_layout(image);
    uint32_t last = layout->blocks - 1, used = vhd_layout_block_used_sectors(layout, last);
    uint32_t entry = vhd_image_bat_entry(image, last);
    if (entry == VHD_BAT_UNUSED || used == layout->block_sectors)
        return 0;
    uint64_t data = ((uint64_t)entry + layout->bitmap_sectors + used) * VHD_SECTOR_BYTES;
    return vhd_file_punch(vhd_image_file(image), VHD_IO_DATA, data,
                          (uint64_t)(layout->block_sectors - used) * VHD_SECTOR_BYTES);
}

static int relocate(VhdImage *image, uint64_t bytes)
{
    const VhdLayout *layout = vhd_image_layout(image);
    uint64_t block_bytes = (uint64_t)layout->block_sectors * VHD_SECTOR_BYTES;
    uint32_t blocks = (uint32_t)((bytes + block_bytes - 1) / block_bytes);
    g_autofree uint32_t *bat = g_try_new(uint32_t, blocks);
    VhdRelocation wanted;
    if (!bat)
        return -ENOMEM;
    vhd_relocation_init(&wanted, image);
    if (bytes != wanted.footer.current_bytes)
        wanted.footer.geometry = vhd_geometry(bytes);
    wanted.footer.current_bytes = bytes;
    wanted.header.bat_entries = blocks;
    wanted.bat = bat;
    for (uint32_t i = 0; i < blocks; i++)
        bat[i] = i < layout->blocks ? vhd_image_bat_entry(image, i) : VHD_BAT_UNUSED;
    return vhd_image_relocate(image, &wanted);
}

static bool change_blocks(VhdImage *image, uint64_t bytes, GError **error)
{
    uint64_t old = vhd_image_footer(image)->current_bytes;
    int err = vhd_image_finish(image);
    if (err == 0 && bytes > old)
        err = clear_behind_end(image);
    if (err == 0 && (bytes != old || vhd_image_is_displaced(image)))
        err = relocate(image, bytes);
    return err < 0 ? fail(image, err, error) : true;
}

/* ---- the whole */

bool vhd_op_may_resize(VhdImage *image, uint64_t bytes, GError **error)
{
    const VhdHeader *header = vhd_image_header(image);
    VhdCreate create = {.type = header ? VHD_TYPE_DYNAMIC : VHD_TYPE_FIXED,
                        .disk_bytes = bytes,
                        .block_bytes = header ? header->block_bytes : 0};
    uint64_t full;
    if (!vhd_op_may_change(image, error))
        return false;
    return vhd_image_create_bytes(vhd_image_name(image), &create, VHD_CREATE_ALL, &full, error);
}

bool vhd_op_resize(VhdImage *image, uint64_t bytes, GError **error)
{
    if (!vhd_op_may_resize(image, bytes, error))
        return false;
    return vhd_image_layout(image)->type == VHD_TYPE_FIXED ? change_fixed(image, bytes, error)
                                                           : change_blocks(image, bytes, error);
}
