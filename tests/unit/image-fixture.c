/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "tests/unit/image-fixture.h"

#include <string.h>

#include "vhd/image-create.h"

static void note_warning(void *data, const char *text)
{
    g_string_append_printf(data, "%s\n", text);
}

MemImage *make_image(VhdType type, uint64_t disk_bytes, uint32_t block_bytes)
{
    g_autoptr(GError) error = NULL;
    MemImage *bytes = mem_image_new();
    VhdFile *file = mem_file_open(bytes, "a.vhd", true);
    VhdCreate create = {.type = type,
                        .disk_bytes = disk_bytes,
                        .block_bytes = block_bytes,
                        .uuid = (const uint8_t *)"0123456789abcdef",
                        .parent_name = "p.vhd",
                        .parent_relative = "p.vhd",
                        .parent_absolute = "/srv/p.vhd"};
    g_assert_true(vhd_image_create(file, &create, &error));
    g_assert_no_error(error);
    vhd_file_close(file);
    return bytes;
}

VhdImage *open_again(Fixture *f, bool writable, GString *warnings, GError **error)
{
    VhdImageOptions options = {.writable = writable,
                               .pending = f->pending_dir != NULL,
                               .pending_dir = f->pending_dir,
                               .warn = warnings ? note_warning : NULL,
                               .warn_data = warnings};
    VhdFile *file = mem_file_open(f->bytes, "a.vhd", writable);
    if (f->trace)
        file = trace_file_new(file, f->trace);
    return vhd_image_open(fault_file_new(file, f->faults), &options, error);
}

void setup(Fixture *f, VhdType type, uint64_t disk_bytes, uint32_t block_bytes)
{
    g_autoptr(GError) error = NULL;
    *f = (Fixture){.bytes = make_image(type, disk_bytes, block_bytes), .faults = faults_new()};
    f->image = open_again(f, true, NULL, &error);
    g_assert_no_error(error);
}

void teardown(Fixture *f)
{
    vhd_image_unref(f->image);
    faults_unref(f->faults);
    trace_unref(f->trace);
    mem_image_unref(f->bytes);
    g_free(f->pending_dir);
}

int write_sectors(VhdImage *image, uint64_t sector, uint32_t sectors, uint8_t byte)
{
    g_autofree uint8_t *data = g_malloc((size_t)sectors * 512);
    memset(data, byte, (size_t)sectors * 512);
    while (sectors > 0) {
        VhdImageWrite write;
        int result = vhd_image_begin_write(image, sector, sectors, &write);
        if (result < 0)
            return result;
        result = vhd_file_write(vhd_image_file(image), VHD_IO_DATA, write.off, data,
                                (size_t)write.sectors * 512);
        int end = vhd_image_end_write(image, &write, result == 0);
        if (result < 0 || end < 0)
            return result < 0 ? result : end;
        sector += write.sectors;
        sectors -= write.sectors;
    }
    return 0;
}

int sector_byte(VhdImage *image, uint64_t sector)
{
    VhdImageExtent extent;
    uint8_t raw[512];
    g_assert_cmpint(vhd_image_map(image, sector, 1, &extent), ==, 0);
    if (extent.presence == VHD_ABSENT)
        return -1;
    if (extent.presence == VHD_ZERO)
        return 0;
    g_assert_cmpint(vhd_file_read(vhd_image_file(image), VHD_IO_DATA, extent.off, raw, 512), ==, 0);
    for (unsigned i = 1; i < 512; i++)
        g_assert_cmpint(raw[i], ==, raw[0]);
    return raw[0];
}

void reopen(Fixture *f)
{
    g_autoptr(GError) error = NULL;
    vhd_image_unref(f->image);
    f->image = open_again(f, true, NULL, &error);
    g_assert_no_error(error);
}

void use_pending(Fixture *f)
{
    g_autoptr(GError) error = NULL;
    f->pending_dir = g_dir_make_tmp("vhd-pending-XXXXXX", &error);
    g_assert_no_error(error);
    reopen(f);
}

void damage(MemImage *bytes, uint64_t off)
{
    uint8_t byte;
    mem_image_read(bytes, off, &byte, 1);
    byte ^= 0x55;
    mem_image_write(bytes, off, &byte, 1);
}
