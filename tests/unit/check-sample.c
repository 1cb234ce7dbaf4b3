/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "tests/unit/check-sample.h"

#include <string.h>

#include "vhd/be.h"
#include "vhd/image-create.h"
#include "vhd/image.h"

MemImage *sample_make(VhdType type)
{
    VhdCreate create = {.type = type,
                        .disk_bytes = DISK_BYTES,
                        .block_bytes = type == VHD_TYPE_FIXED ? 0 : BLOCK_BYTES,
                        .uuid = (const uint8_t *)"0123456789abcdef",
                        .parent_name = "p.vhd",
                        .parent_relative = "p.vhd",
                        .parent_absolute = "/srv/p.vhd"};
    MemImage *bytes = mem_image_new();
    VhdFile *file = mem_file_open(bytes, "a.vhd", true);

    g_assert_true(vhd_image_create(file, &create, NULL));
    vhd_file_close(file);
    return bytes;
}

MemImage *sample_make_filled(VhdType type, unsigned count)
{
    MemImage *bytes = sample_make(type);
    VhdImageOptions options = {.writable = true};
    VhdImage *image = vhd_image_open(mem_file_open(bytes, "a.vhd", true), &options, NULL);
    uint8_t data[BLOCK_BYTES];

    memset(data, 0x77, sizeof(data));
    for (unsigned i = 0; i < count; i++) {
        VhdImageWrite write;

        g_assert_cmpint(vhd_image_begin_write(image, i * BLOCK_BYTES / 512, 16, &write), ==, 0);
        g_assert_cmpint(
            vhd_file_write(vhd_image_file(image), VHD_IO_DATA, write.off, data, sizeof(data)), ==,
            0);
        g_assert_cmpint(vhd_image_end_write(image, &write, true), ==, 0);
    }
    g_assert_cmpint(vhd_image_finish(image), ==, 0);
    vhd_image_unref(image);
    return bytes;
}

uint32_t sample_entry(MemImage *bytes, uint64_t bat, unsigned block)
{
    uint8_t raw[4];

    mem_image_read(bytes, bat + block * 4, raw, sizeof(raw));
    return be32_get(raw);
}

void sample_set_entry(MemImage *bytes, uint64_t bat, unsigned block, uint32_t entry)
{
    uint8_t raw[4];

    be32_put(raw, entry);
    mem_image_write(bytes, bat + block * 4, raw, sizeof(raw));
}

/* Change len bytes at field of the record at off, and make its checksum right. */
static void poke(MemImage *bytes, uint64_t off, size_t record, size_t checksum_at, size_t field,
                 const void *value, size_t len)
{
    uint8_t raw[VHD_HEADER_BYTES];

    mem_image_read(bytes, off, raw, record);
    memcpy(raw + field, value, len);
    be32_put(raw + checksum_at, vhd_checksum(raw, record, checksum_at));
    mem_image_write(bytes, off, raw, record);
}

void sample_poke_footer(MemImage *bytes, uint64_t off, size_t field, const void *value, size_t len)
{
    poke(bytes, off, VHD_FOOTER_BYTES, VHD_FOOTER_AT_CHECKSUM, field, value, len);
}

void sample_poke_header(MemImage *bytes, size_t field, const void *value, size_t len)
{
    poke(bytes, VHD_FOOTER_BYTES, VHD_HEADER_BYTES, VHD_HEADER_AT_CHECKSUM, field, value, len);
}

uint64_t sample_end_footer(MemImage *bytes)
{
    return mem_image_bytes(bytes) - VHD_FOOTER_BYTES;
}
