/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* New images. The places are those that Windows 10 chooses (image-create.h). */
#include "vhd/image-create.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "vhd/be.h"
#include "vhd/error.h"
#include "vhd/image-private.h"
#include "vhd/locator.h"

#define HEADER_OFF           512u
#define DYNAMIC_BAT_OFF      0x600u
#define ABSOLUTE_LOCATOR_OFF 0x1000u
#define RELATIVE_SPACE_BYTES 65536u
#define DEFAULT_BLOCK_BYTES  (2u << 20)
#define WINDOWS_10           0x000A0000u
#define CHUNK_BYTES          (1u << 20)

/* A new image on its way into its file. */
typedef struct Plan {
    const char *name; /* for errors */
    VhdFile *file;
    const VhdCreate *create;
    VhdFooter footer;
    VhdHeader header;
    uint32_t blocks;
    uint64_t bat_bytes; /* padded to whole sectors */
    uint64_t data_end;  /* where blocks may begin */
    uint8_t *absolute, *relative;
    size_t absolute_len, relative_len;
} Plan;

static uint64_t round_up(uint64_t value, uint64_t unit)
{
    return (value + unit - 1) / unit * unit;
}

static void plan_clear(Plan *plan)
{
    g_free(plan->absolute);
    g_free(plan->relative);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Plan, plan_clear)

static bool refuse(const Plan *plan, GError **error, const char *format, ...) G_GNUC_PRINTF(3, 4);
static bool refuse(const Plan *plan, GError **error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error(error, VHD_ERROR, VHD_ERROR_INVALID, "%s: %s", plan->name, text);
    return false;
}

static void random_uuid(uint8_t uuid[static VHD_UUID_BYTES])
{
    if (getrandom(uuid, VHD_UUID_BYTES, 0) != VHD_UUID_BYTES)
        for (unsigned i = 0; i < VHD_UUID_BYTES; i++)
            uuid[i] = (uint8_t)g_random_int();
    uuid[7] = (uint8_t)((uuid[7] & 0x0F) | 0x40); /* version 4, in Windows' field order */
    uuid[8] = (uint8_t)((uuid[8] & 0x3F) | 0x80);
}

static bool geometry_is_unset(const VhdGeometry *geometry)
{
    return geometry->cylinders == 0 && geometry->heads == 0 && geometry->sectors_per_track == 0;
}

static void plan_footer(Plan *plan)
{
    const VhdCreate *create = plan->create;
    int64_t now = create->time_unix ? create->time_unix : g_get_real_time() / G_USEC_PER_SEC;
    plan->footer = (VhdFooter){
        .features = 2, /* a reserved bit that is always set */
        .version = 0x00010000,
        .data_offset = create->type == VHD_TYPE_FIXED ? VHD_NO_DATA_OFFSET : HEADER_OFF,
        .time_stamp = (uint32_t)(now - VHD_EPOCH_UNIX),
        .creator = VHD_CREATOR_WINDOWS,
        .creator_version = WINDOWS_10,
        .creator_host = VHD_HOST_WINDOWS,
        .original_bytes = create->disk_bytes,
        .current_bytes = create->disk_bytes,
        .geometry = geometry_is_unset(&create->geometry) ? vhd_geometry(create->disk_bytes)
                                                         : create->geometry,
        .type = create->type,
    };
    if (create->uuid)
        memcpy(plan->footer.uuid, create->uuid, VHD_UUID_BYTES);
    else
        random_uuid(plan->footer.uuid);
}

static bool check_sizes(Plan *plan, uint32_t block_bytes, GError **error)
{
    const VhdCreate *create = plan->create;
    uint64_t limit =
        create->type == VHD_TYPE_FIXED ? (uint64_t)VHD_FIXED_MAX_BYTES : VHD_DYNAMIC_MAX_BYTES;
    if (create->disk_bytes == 0 || create->disk_bytes % VHD_SECTOR_BYTES != 0)
        return refuse(plan, error,
                      "a size of %" G_GUINT64_FORMAT
                      " bytes cannot be: it must be a multiple of 512, and "
                      "not 0",
                      create->disk_bytes);
    if (create->disk_bytes > limit)
        return refuse(plan, error,
                      "a size of %" G_GUINT64_FORMAT
                      " bytes is more than a VHD of this type can have: %" G_GUINT64_FORMAT,
                      create->disk_bytes, limit);
    if (create->type != VHD_TYPE_FIXED &&
        (block_bytes < VHD_BLOCK_MIN_BYTES || block_bytes > VHD_BLOCK_MAX_BYTES ||
         (block_bytes & (block_bytes - 1)) != 0))
        return refuse(plan, error,
                      "a block size of %u bytes cannot be: a power of two from %u to %u is needed",
                      block_bytes, VHD_BLOCK_MIN_BYTES, VHD_BLOCK_MAX_BYTES);
    return true;
}

static uint64_t bitmap_bytes_of(uint32_t block_bytes)
{
    return round_up(block_bytes / VHD_SECTOR_BYTES, VHD_SECTOR_BYTES * 8) / 8;
}

/* Distance between blocks placed one behind the other, data on page boundaries. */
static uint64_t block_stride(uint32_t block_bytes)
{
    return round_up(bitmap_bytes_of(block_bytes), VHD_PAGE_BYTES) + block_bytes;
}

static bool can_be_filled(Plan *plan, GError **error)
{
    uint64_t last = plan->data_end + (plan->blocks - 1) * block_stride(plan->header.block_bytes) +
                    VHD_PAGE_BYTES;
    if (last / VHD_SECTOR_BYTES < VHD_BAT_UNUSED)
        return true;
    return refuse(plan, error,
                  "a disk of %" G_GUINT64_FORMAT
                  " bytes in blocks of %u could never be filled: its file would "
                  "pass 2 TiB; take a smaller size or larger blocks",
                  plan->create->disk_bytes, plan->header.block_bytes);
}

static bool plan_header(Plan *plan, uint32_t block_bytes, GError **error)
{
    uint64_t blocks = (plan->create->disk_bytes + block_bytes - 1) / block_bytes;
    if (blocks > VHD_BAT_MAX_ENTRIES)
        return refuse(plan, error,
                      "%" G_GUINT64_FORMAT
                      " blocks of %u bytes are more than the %u that are served; take "
                      "larger blocks",
                      blocks, block_bytes, VHD_BAT_MAX_ENTRIES);
    plan->blocks = (uint32_t)blocks;
    plan->bat_bytes = round_up(blocks * 4, VHD_SECTOR_BYTES);
    plan->header = (VhdHeader){
        .data_offset = VHD_NO_DATA_OFFSET,
        .bat_offset = DYNAMIC_BAT_OFF,
        .version = 0x00010000,
        .bat_entries = plan->blocks,
        .block_bytes = block_bytes,
    };
    plan->data_end = round_up(DYNAMIC_BAT_OFF + plan->bat_bytes, VHD_PAGE_BYTES);
    return true;
}

static bool encode_locators(Plan *plan, GError **error)
{
    const VhdCreate *create = plan->create;
    plan->absolute =
        vhd_locator_encode(VHD_PLATFORM_W2KU, create->parent_absolute, &plan->absolute_len);
    plan->relative =
        vhd_locator_encode(VHD_PLATFORM_W2RU, create->parent_relative, &plan->relative_len);
    if (plan->absolute && plan->relative &&
        vhd_parent_name_encode(create->parent_name, plan->header.parent_name))
        return true;
    return refuse(
        plan, error,
        "the parent's path %s cannot be noted in a VHD: its name must be UTF-8 of at most 255 "
        "UTF-16 units, without a backslash; rename it",
        create->parent_absolute);
}

/* W2ku, BAT, W2ru, each on a page of its own. */
static bool plan_parent(Plan *plan, GError **error)
{
    const VhdCreate *create = plan->create;
    if (!encode_locators(plan, error))
        return false;
    uint32_t absolute_space = (uint32_t)round_up(plan->absolute_len, VHD_PAGE_BYTES);
    plan->header.bat_offset = ABSOLUTE_LOCATOR_OFF + absolute_space;
    uint64_t relative_off = round_up(plan->header.bat_offset + plan->bat_bytes, VHD_PAGE_BYTES);
    plan->header.locators[0] = (VhdLocator){VHD_PLATFORM_W2KU, absolute_space,
                                            (uint32_t)plan->absolute_len, 0, ABSOLUTE_LOCATOR_OFF};
    plan->header.locators[1] = (VhdLocator){VHD_PLATFORM_W2RU, RELATIVE_SPACE_BYTES,
                                            (uint32_t)plan->relative_len, 0, relative_off};
    plan->data_end = relative_off + RELATIVE_SPACE_BYTES;
    memcpy(plan->header.parent_uuid, create->parent_uuid, VHD_UUID_BYTES);
    plan->header.parent_time_stamp = create->parent_time_stamp;
    return true;
}

/* ---- writing */

static int write_filled(VhdFile *file, VhdIoKind kind, uint64_t off, uint64_t len, int byte)
{
    g_autofree uint8_t *chunk = g_malloc(CHUNK_BYTES);
    memset(chunk, byte, CHUNK_BYTES);
    int result = 0;
    for (uint64_t done = 0; result == 0 && done < len; done += CHUNK_BYTES)
        result =
            vhd_file_write(file, kind, off + done, chunk, (size_t)MIN(len - done, CHUNK_BYTES));
    return result;
}

/* The first block's entry; each following one lies a stride behind. */
static uint64_t preallocated_entry(const Plan *plan, uint32_t block)
{
    uint64_t bitmap_bytes = bitmap_bytes_of(plan->header.block_bytes);
    uint64_t data = round_up(plan->data_end + bitmap_bytes, VHD_PAGE_BYTES);
    return (data - bitmap_bytes + block * block_stride(plan->header.block_bytes)) /
           VHD_SECTOR_BYTES;
}

static int write_preallocated_bat(Plan *plan)
{
    uint8_t raw[VHD_SECTOR_BYTES];
    int result = 0;
    for (uint32_t first = 0; result == 0 && first < plan->blocks; first += VHD_SECTOR_BYTES / 4) {
        memset(raw, 0xFF, sizeof raw);
        for (uint32_t i = 0; i < VHD_SECTOR_BYTES / 4 && first + i < plan->blocks; i++)
            be32_put(raw + i * 4, (uint32_t)preallocated_entry(plan, first + i));
        result = vhd_file_write(plan->file, VHD_IO_BAT,
                                plan->header.bat_offset + (uint64_t)first * 4, raw, sizeof raw);
    }
    return result;
}

/* Every block gets its place, claimed, with its whole bitmap set, as a write would leave it. */
static int preallocate_blocks(Plan *plan)
{
    uint64_t bitmap_bytes = bitmap_bytes_of(plan->header.block_bytes);
    uint64_t first = preallocated_entry(plan, 0) * VHD_SECTOR_BYTES;
    uint64_t end = preallocated_entry(plan, plan->blocks - 1) * VHD_SECTOR_BYTES + bitmap_bytes +
                   plan->header.block_bytes;
    int result = vhd_file_claim(plan->file, first, end - first);
    for (uint32_t block = 0; result == 0 && block < plan->blocks; block++)
        result =
            write_filled(plan->file, VHD_IO_BITMAP,
                         preallocated_entry(plan, block) * VHD_SECTOR_BYTES, bitmap_bytes, 0xFF);
    if (result == 0)
        result = write_preallocated_bat(plan);
    plan->data_end = end;
    return result;
}

static int write_footer(Plan *plan, uint64_t off)
{
    uint8_t raw[VHD_FOOTER_BYTES];
    vhd_footer_encode(&plan->footer, raw);
    return vhd_file_write(plan->file, VHD_IO_FOOTER, off, raw, sizeof raw);
}

static int write_header(Plan *plan)
{
    uint8_t raw[VHD_HEADER_BYTES];
    vhd_header_encode(&plan->header, raw);
    return vhd_file_write(plan->file, VHD_IO_HEADER, HEADER_OFF, raw, sizeof raw);
}

static int write_locators(Plan *plan)
{
    const VhdLocator *locators = plan->header.locators;
    int result = vhd_file_write(plan->file, VHD_IO_LOCATOR, locators[0].data_offset, plan->absolute,
                                plan->absolute_len);
    if (result == 0)
        result = vhd_file_write(plan->file, VHD_IO_LOCATOR, locators[1].data_offset, plan->relative,
                                plan->relative_len);
    return result;
}

static int write_sparse(Plan *plan)
{
    uint64_t bat_off = plan->header.bat_offset;
    uint64_t bat_end = round_up(bat_off + plan->bat_bytes, VHD_PAGE_BYTES);
    int result = write_footer(plan, 0);
    if (result == 0)
        result = write_header(plan);
    if (result == 0)
        result = write_filled(plan->file, VHD_IO_BAT, bat_off, bat_end - bat_off, 0xFF);
    if (result == 0 && plan->create->type == VHD_TYPE_DIFFERENCING)
        result = write_locators(plan);
    if (result == 0 && plan->create->preallocate)
        result = preallocate_blocks(plan);
    return result == 0 ? write_footer(plan, vhd_image_footer_off(plan->data_end)) : result;
}

static int write_fixed(Plan *plan)
{
    uint64_t bytes = plan->create->disk_bytes;
    int result = plan->create->preallocate ? vhd_file_claim(plan->file, 0, bytes)
                                           : vhd_file_resize(plan->file, bytes);
    return result == 0 ? write_footer(plan, bytes) : result;
}

/* Sizes judged, every place known; nothing written. */
static bool plan_image(Plan *plan, GError **error)
{
    const VhdCreate *create = plan->create;
    uint32_t block_bytes = create->block_bytes ? create->block_bytes : DEFAULT_BLOCK_BYTES;
    if (!check_sizes(plan, block_bytes, error))
        return false;
    plan_footer(plan);
    if (create->type == VHD_TYPE_FIXED)
        return true;
    return plan_header(plan, block_bytes, error) &&
           (create->type != VHD_TYPE_DIFFERENCING || plan_parent(plan, error)) &&
           can_be_filled(plan, error);
}

bool vhd_image_create_bytes(const char *name, const VhdCreate *create, uint32_t blocks,
                            uint64_t *bytes, GError **error)
{
    g_auto(Plan) plan = {.name = name, .create = create};
    if (!plan_image(&plan, error))
        return false;
    *bytes = create->disk_bytes + VHD_FOOTER_BYTES;
    if (create->type != VHD_TYPE_FIXED)
        *bytes = vhd_image_footer_off(plan.data_end + MIN(blocks, plan.blocks) *
                                                          block_stride(plan.header.block_bytes)) +
                 VHD_FOOTER_BYTES;
    return true;
}

bool vhd_image_create(VhdFile *file, const VhdCreate *create, GError **error)
{
    g_auto(Plan) plan = {.name = file->name, .file = file, .create = create};
    if (!plan_image(&plan, error))
        return false;
    int result = create->type == VHD_TYPE_FIXED ? write_fixed(&plan) : write_sparse(&plan);
    if (result < 0)
        vhd_error_set_errno(error, VHD_ERROR_IO, file->name, "write the new image", -result);
    return result == 0;
}
