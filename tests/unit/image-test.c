/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* One image on the memory double: allocation, bitmaps, flush order, failing I/O, unmap. */
#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>

#include "tests/unit/image-fixture.h"
#include "vhd/error.h"
#include "vhd/image-create.h"

static void test_child_bits(void)
{
    Fixture f;
    setup(&f, VHD_TYPE_DIFFERENCING, 8 * MIB, 2 * MIB);
    g_assert_cmpint(write_sectors(f.image, 4095, 3, 0x11), ==, 0);
    for (int round = 0; round < 2; round++) {
        g_assert_cmpint(sector_byte(f.image, 4094), ==, -1);
        for (unsigned s = 4095; s < 4098; s++)
            g_assert_cmpint(sector_byte(f.image, s), ==, 0x11);
        g_assert_cmpint(sector_byte(f.image, 4098), ==, -1);
        g_assert_cmpint(sector_byte(f.image, 12000), ==, -1);
        g_assert_cmpint(vhd_image_finish(f.image), ==, 0);
        reopen(&f);
    }
    uint32_t count;
    g_assert_cmpint(vhd_image_count_present(f.image, 0, &count), ==, 0);
    g_assert_cmpint(count, ==, 1);
    g_assert_cmpint(vhd_image_count_present(f.image, 1, &count), ==, 0);
    g_assert_cmpint(count, ==, 2);
    g_assert_cmpint(vhd_image_count_present(f.image, 2, &count), ==, 0);
    g_assert_cmpint(count, ==, 0);
    teardown(&f);
}

/* Data of a new block begins on a page, the footer is the file's last sector, the file whole pages.
 */
static void test_placement(void)
{
    static const uint32_t blocks[] = {4096,    8192,    65536,    512 << 10,
                                      2 * MIB, 4 * MIB, 16 * MIB, 256 * MIB};
    for (unsigned i = 0; i < G_N_ELEMENTS(blocks); i++) {
        Fixture f;
        setup(&f, VHD_TYPE_DIFFERENCING, 4ull * blocks[i], blocks[i]);
        for (unsigned block = 4; block-- > 0;) {
            VhdImageWrite write;
            g_assert_cmpint(
                vhd_image_begin_write(f.image, (uint64_t)block * (blocks[i] / 512), 1, &write), ==,
                0);
            g_assert_cmpint(write.off % 4096, ==, 0);
            g_assert_cmpint(vhd_image_end_write(f.image, &write, true), ==, 0);
        }
        g_assert_cmpint(vhd_image_finish(f.image), ==, 0);
        uint8_t head[512], tail[512];
        uint64_t bytes = mem_image_bytes(f.bytes);
        g_assert_cmpint(bytes % 4096, ==, 0);
        mem_image_read(f.bytes, 0, head, 512);
        mem_image_read(f.bytes, bytes - 512, tail, 512);
        g_assert_cmpmem(head, 512, tail, 512);
        reopen(&f);
        for (unsigned block = 0; block < 4; block++)
            g_assert_cmpint(sector_byte(f.image, (uint64_t)block * (blocks[i] / 512)), ==, 0);
        teardown(&f);
    }
}

static uint64_t barriers_of_flush(VhdImage *image)
{
    VhdImageDirt before, after;
    vhd_image_dirt(image, &before);
    g_assert_cmpint(vhd_image_flush(image), ==, 0);
    vhd_image_dirt(image, &after);
    g_assert_cmpint(after.entries, ==, 0);
    g_assert_cmpint(after.data_bytes, ==, 0);
    return after.barriers - before.barriers;
}

static void test_barriers(void)
{
    Fixture f;
    setup(&f, VHD_TYPE_DIFFERENCING, 8 * MIB, 2 * MIB);
    g_assert_cmpint(write_sectors(f.image, 0, 8, 1), ==, 0);
    g_assert_cmpint(barriers_of_flush(f.image), ==, 2);
    g_assert_cmpint(write_sectors(f.image, 0, 8, 2), ==, 0);
    g_assert_cmpint(barriers_of_flush(f.image), ==, 1);
    g_assert_cmpint(write_sectors(f.image, 7, 2, 2), ==, 0);
    g_assert_cmpint(barriers_of_flush(f.image), ==, 2);
    teardown(&f);
}

/* A write to present sectors is one data write and nothing else. */
static void test_overwrite_is_one_write(void)
{
    Fixture f;
    setup(&f, VHD_TYPE_DIFFERENCING, 8 * MIB, 2 * MIB);
    g_assert_cmpint(write_sectors(f.image, 0, 8, 1), ==, 0);
    g_assert_cmpint(vhd_image_flush(f.image), ==, 0);
    uint64_t writes = faults_count(f.faults, FILE_OP_WRITE, FILE_KIND_ANY);
    g_assert_cmpint(write_sectors(f.image, 2, 3, 2), ==, 0);
    g_assert_cmpint(faults_count(f.faults, FILE_OP_WRITE, FILE_KIND_ANY) - writes, ==, 1);
    g_assert_cmpint(faults_count(f.faults, FILE_OP_READ, VHD_IO_DATA), ==, 0);
    teardown(&f);
}

/* Order of what reaches the file in one flush: bitmap of the new block, barrier, BAT and footer,
 * barrier. */
static void test_flush_order(void)
{
    Fixture f;
    setup(&f, VHD_TYPE_DIFFERENCING, 8 * MIB, 2 * MIB);
    vhd_image_unref(f.image);
    g_autoptr(GError) error = NULL;
    f.trace = trace_new();
    f.image = open_again(&f, true, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpint(write_sectors(f.image, 0, 1, 1), ==, 0);
    trace_clear(f.trace);
    g_assert_cmpint(vhd_image_flush(f.image), ==, 0);
    GString *order = g_string_new(NULL);
    static const char *const names[] = {"data",   "bitmap",  "bat",   "header",
                                        "footer", "locator", "batmap"};
    for (size_t i = 0; i < trace_length(f.trace); i++) {
        const TraceEntry *entry = trace_entry(f.trace, i);
        g_string_append_printf(order, "%s ",
                               entry->op == FILE_OP_BARRIER ? "|" : names[entry->kind]);
    }
    g_assert_cmpstr(order->str, ==, "bitmap | bat footer | ");
    g_string_free(order, TRUE);
    teardown(&f);
}

static void test_failed_data_write(void)
{
    Fixture f;
    setup(&f, VHD_TYPE_DYNAMIC, 8 * MIB, 2 * MIB);
    uint64_t before = mem_image_bytes(f.bytes);
    FaultRule torn = {.op = FILE_OP_WRITE, .kind = VHD_IO_DATA, .error = EIO, .bytes = 1024};
    faults_add(f.faults, &torn);
    g_assert_cmpint(write_sectors(f.image, 0, 8, 0xEE), ==, -EIO);
    g_assert_cmpint(sector_byte(f.image, 0), ==, 0);
    /* The same space serves the next write: the torn bytes must not show (invariant 9). */
    g_assert_cmpint(write_sectors(f.image, 100, 1, 0x22), ==, 0);
    g_assert_cmpint(sector_byte(f.image, 0), ==, 0);
    g_assert_cmpint(sector_byte(f.image, 1), ==, 0);
    g_assert_cmpint(sector_byte(f.image, 100), ==, 0x22);
    g_assert_cmpint(vhd_image_finish(f.image), ==, 0);
    g_assert_cmpint(mem_image_bytes(f.bytes), ==, before + 2 * MIB + 4096);
    teardown(&f);
}

/* A write that fails while another one is under way to the same new block, which publishes it. */
static void test_failed_beside_good(void)
{
    Fixture f;
    VhdImageWrite bad, good;
    uint8_t junk[4096];
    memset(junk, 0xEE, sizeof junk);
    setup(&f, VHD_TYPE_DYNAMIC, 8 * MIB, 2 * MIB);
    g_assert_cmpint(vhd_image_begin_write(f.image, 0, 8, &bad), ==, 0);
    g_assert_cmpint(vhd_image_begin_write(f.image, 16, 8, &good), ==, 0);
    g_assert_cmpint(vhd_file_write(vhd_image_file(f.image), VHD_IO_DATA, bad.off, junk, 4096), ==,
                    0);
    g_assert_cmpint(vhd_file_write(vhd_image_file(f.image), VHD_IO_DATA, good.off, junk, 4096), ==,
                    0);
    g_assert_cmpint(vhd_image_end_write(f.image, &bad, false), ==, 0);
    g_assert_cmpint(vhd_image_end_write(f.image, &good, true), ==, 0);
    g_assert_cmpint(sector_byte(f.image, 0), ==, 0);
    g_assert_cmpint(sector_byte(f.image, 16), ==, 0xEE);
    teardown(&f);
}

static void test_no_space(void)
{
    Fixture f;
    setup(&f, VHD_TYPE_DYNAMIC, 8 * MIB, 2 * MIB);
    g_assert_cmpint(write_sectors(f.image, 0, 8, 0x11), ==, 0);
    faults_fail(f.faults, FILE_OP_CLAIM, FILE_KIND_ANY, 1, ENOSPC);
    g_assert_cmpint(write_sectors(f.image, 4096, 8, 0x22), ==, -ENOSPC);
    g_assert_cmpint(sector_byte(f.image, 4096), ==, 0);
    g_assert_cmpint(sector_byte(f.image, 0), ==, 0x11);
    g_assert_cmpint(write_sectors(f.image, 4096, 8, 0x33), ==, 0);
    g_assert_cmpint(vhd_image_finish(f.image), ==, 0);
    reopen(&f);
    g_assert_cmpint(sector_byte(f.image, 0), ==, 0x11);
    g_assert_cmpint(sector_byte(f.image, 4096), ==, 0x33);
    teardown(&f);
}

/* A metadata write that fails stays dirty; the next flush writes it. */
static void test_failed_flush_write(void)
{
    static const VhdIoKind kinds[] = {VHD_IO_BITMAP, VHD_IO_BAT, VHD_IO_FOOTER};
    for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++) {
        Fixture f;
        setup(&f, VHD_TYPE_DIFFERENCING, 8 * MIB, 2 * MIB);
        g_assert_cmpint(write_sectors(f.image, 0, 8, 0x11), ==, 0);
        faults_fail(f.faults, FILE_OP_WRITE, (int)kinds[i], 1, ENOSPC);
        g_assert_cmpint(vhd_image_flush(f.image), ==, -ENOSPC);
        g_assert_false(vhd_image_failed(f.image));
        g_assert_cmpint(write_sectors(f.image, 9, 1, 0x12), ==, 0);
        g_assert_cmpint(vhd_image_flush(f.image), ==, 0);
        reopen(&f);
        g_assert_cmpint(sector_byte(f.image, 7), ==, 0x11);
        g_assert_cmpint(sector_byte(f.image, 8), ==, -1);
        g_assert_cmpint(sector_byte(f.image, 9), ==, 0x12);
        teardown(&f);
    }
}

static void test_failed_barrier(void)
{
    Fixture f;
    setup(&f, VHD_TYPE_DIFFERENCING, 8 * MIB, 2 * MIB);
    g_assert_cmpint(write_sectors(f.image, 0, 8, 0x11), ==, 0);
    faults_fail(f.faults, FILE_OP_BARRIER, FILE_KIND_ANY, 1, EIO);
    g_assert_cmpint(vhd_image_flush(f.image), ==, -EIO);
    g_assert_true(vhd_image_failed(f.image));
    g_assert_cmpint(sector_byte(f.image, 0), ==, 0x11);
    g_assert_cmpint(write_sectors(f.image, 0, 8, 0x12), ==, -EIO);
    g_assert_cmpint(vhd_image_write_zeroes(f.image, 0, 8), ==, -EIO);
    g_assert_cmpint(vhd_image_unmap(f.image, 0, 8), ==, -EIO);
    uint64_t writes = faults_count(f.faults, FILE_OP_WRITE, FILE_KIND_ANY);
    g_assert_cmpint(vhd_image_flush(f.image), ==, -EIO);
    g_assert_cmpint(faults_count(f.faults, FILE_OP_WRITE, FILE_KIND_ANY), ==, writes);
    teardown(&f);
}

static void test_zeroes_hide_the_parent(void)
{
    Fixture f;
    setup(&f, VHD_TYPE_DIFFERENCING, 8 * MIB, 2 * MIB);
    g_assert_cmpint(write_sectors(f.image, 10, 4, 0x11), ==, 0);
    g_assert_cmpint(vhd_image_write_zeroes(f.image, 12, 8000), ==, 0);
    reopen(&f); /* not flushed: lost */
    g_assert_cmpint(sector_byte(f.image, 10), ==, -1);
    g_assert_cmpint(write_sectors(f.image, 10, 4, 0x11), ==, 0);
    g_assert_cmpint(vhd_image_write_zeroes(f.image, 12, 8000), ==, 0);
    g_assert_cmpint(vhd_image_finish(f.image), ==, 0);
    reopen(&f);
    g_assert_cmpint(sector_byte(f.image, 9), ==, -1);
    g_assert_cmpint(sector_byte(f.image, 11), ==, 0x11);
    g_assert_cmpint(sector_byte(f.image, 12), ==, 0);
    g_assert_cmpint(sector_byte(f.image, 8011), ==, 0);
    g_assert_cmpint(sector_byte(f.image, 8012), ==, -1);
    teardown(&f);
}

static void test_unmap_child(void)
{
    Fixture f;
    setup(&f, VHD_TYPE_DIFFERENCING, 8 * MIB, 2 * MIB);
    g_assert_cmpint(write_sectors(f.image, 10, 4, 0x11), ==, 0);
    g_assert_cmpint(vhd_image_unmap(f.image, 0, 16384), ==, 0);
    for (unsigned s = 10; s < 14; s++)
        g_assert_cmpint(sector_byte(f.image, s), ==, 0);
    g_assert_cmpint(sector_byte(f.image, 9), ==, -1);
    g_assert_cmpint(sector_byte(f.image, 5000), ==, -1);
    g_assert_cmpint(vhd_image_bat_entry(f.image, 1), ==, VHD_BAT_UNUSED);
    teardown(&f);
}

/* A released block's space is used again only after the flush that made its removal durable. */
static void test_unmap_releases(void)
{
    Fixture f;
    setup(&f, VHD_TYPE_DYNAMIC, 8 * MIB, 2 * MIB);
    g_assert_cmpint(write_sectors(f.image, 0, 4096, 0x11), ==, 0);
    g_assert_cmpint(write_sectors(f.image, 4096, 4096, 0x22), ==, 0);
    g_assert_cmpint(vhd_image_flush(f.image), ==, 0);
    uint32_t first = vhd_image_bat_entry(f.image, 0);
    g_assert_cmpint(vhd_image_unmap(f.image, 0, 4096), ==, 0);
    g_assert_cmpint(vhd_image_bat_entry(f.image, 0), ==, VHD_BAT_UNUSED);
    g_assert_cmpint(write_sectors(f.image, 8192, 1, 0x33), ==, 0);
    g_assert_cmpint(vhd_image_bat_entry(f.image, 2), !=, first);
    g_assert_cmpint(vhd_image_flush(f.image), ==, 0);
    g_assert_cmpint(write_sectors(f.image, 12288, 1, 0x44), ==, 0);
    g_assert_cmpint(vhd_image_bat_entry(f.image, 3), ==, first);
    g_assert_cmpint(sector_byte(f.image, 12289), ==, 0);
    /* Freed for good, its bitmap is zeros: check must not take the room for a lost block. */
    uint32_t second = vhd_image_bat_entry(f.image, 1);
    uint8_t bitmap[512] = {0};
    g_assert_cmpint(vhd_image_unmap(f.image, 4096, 4096), ==, 0);
    g_assert_cmpint(vhd_image_finish(f.image), ==, 0);
    mem_image_read(f.bytes, second * 512ull, bitmap, sizeof bitmap);
    for (unsigned i = 0; i < sizeof bitmap; i++)
        g_assert_cmpint(bitmap[i], ==, 0);
    reopen(&f);
    g_assert_cmpint(sector_byte(f.image, 0), ==, 0);
    g_assert_cmpint(sector_byte(f.image, 4096), ==, 0);
    g_assert_cmpint(sector_byte(f.image, 8192), ==, 0x33);
    g_assert_cmpint(sector_byte(f.image, 12288), ==, 0x44);
    teardown(&f);
}

/* Releasing the last block moves the footer up and shortens the file at clean close. */
static void test_unmap_last_block(void)
{
    Fixture f;
    setup(&f, VHD_TYPE_DYNAMIC, 8 * MIB, 2 * MIB);
    uint64_t empty = mem_image_bytes(f.bytes);
    g_assert_cmpint(write_sectors(f.image, 0, 1, 0x11), ==, 0);
    g_assert_cmpint(vhd_image_flush(f.image), ==, 0);
    g_assert_cmpint(vhd_image_unmap(f.image, 0, 4096), ==, 0);
    g_assert_cmpint(vhd_image_finish(f.image), ==, 0);
    g_assert_cmpint(mem_image_bytes(f.bytes), ==, empty);
    GString *warnings = g_string_new(NULL);
    g_autoptr(GError) error = NULL;
    vhd_image_unref(f.image);
    f.image = open_again(&f, false, warnings, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(warnings->str, ==, "");
    g_string_free(warnings, TRUE);
    teardown(&f);
}

static const VhdFileOps *inner_ops;
static uint64_t dropped_end; /* the cache was dropped from 0 to here */

static int note_drop_cache(VhdFile *file, uint64_t off, uint64_t len)
{
    if (off <= dropped_end)
        dropped_end = MAX(dropped_end, off + len);
    return inner_ops->drop_cache(file, off, len);
}

static int read_what_was_dropped(VhdFile *file, VhdIoKind kind, uint64_t off,
                                 const struct iovec *iov, int iovcnt)
{
    g_assert_cmpuint(off + iov[0].iov_len, <=, dropped_end);
    return inner_ops->readv(file, kind, off, iov, iovcnt);
}

/* What a failed barrier left in the page cache may never have reached the disk. */
static void test_nothing_cached_is_believed(void)
{
    Fixture f;
    g_autoptr(GError) error = NULL;
    setup(&f, VHD_TYPE_DIFFERENCING, 64 * MIB, 2 * MIB);
    for (uint64_t sector = 0; sector < 64 * MIB / VHD_SECTOR_BYTES; sector += 4096)
        g_assert_cmpint(write_sectors(f.image, sector, 1, 0x11), ==, 0);
    g_assert_cmpint(vhd_image_finish(f.image), ==, 0);
    vhd_image_unref(f.image);
    VhdFile *file = mem_file_open(f.bytes, "a.vhd", true);
    inner_ops = file->ops;
    VhdFileOps ops = *inner_ops;
    ops.drop_cache = note_drop_cache;
    ops.readv = read_what_was_dropped;
    file->ops = &ops;
    dropped_end = 0;
    VhdImageOptions options = {.writable = true};
    f.image = vhd_image_open(file, &options, &error);
    g_assert_no_error(error);
    for (uint64_t sector = 0; sector < 64 * MIB / VHD_SECTOR_BYTES; sector += 4096)
        g_assert_cmpint(sector_byte(f.image, sector), ==, 0x11);
    teardown(&f);
}

static void test_write_protected(void)
{
    /* A real file: permission bits are what is judged. Root as well. */
    g_autoptr(GError) error = NULL;
    g_autofree char *dir = g_dir_make_tmp("vhd-image-XXXXXX", &error);
    g_autofree char *path = g_build_filename(dir, "golden.vhd", NULL);
    VhdFile *file = vhd_file_create(path, 0444, &error);
    VhdCreate create = {.type = VHD_TYPE_DYNAMIC, .disk_bytes = 8 * MIB};
    g_assert_true(vhd_image_create(file, &create, &error));
    g_assert_true(vhd_file_publish(file, false, &error));
    vhd_file_close(file);
    VhdImageOptions options = {.writable = true};
    file = vhd_file_open(path, VHD_FILE_READ, &error);
    g_assert_null(vhd_image_open(file, &options, &error));
    g_assert_error(error, VHD_ERROR, VHD_ERROR_READONLY);
    g_remove(path);
    g_rmdir(dir);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/image/child-bits", test_child_bits);
    g_test_add_func("/image/placement", test_placement);
    g_test_add_func("/image/barriers", test_barriers);
    g_test_add_func("/image/overwrite-is-one-write", test_overwrite_is_one_write);
    g_test_add_func("/image/flush-order", test_flush_order);
    g_test_add_func("/image/failed-data-write", test_failed_data_write);
    g_test_add_func("/image/failed-beside-good", test_failed_beside_good);
    g_test_add_func("/image/no-space", test_no_space);
    g_test_add_func("/image/failed-flush-write", test_failed_flush_write);
    g_test_add_func("/image/failed-barrier", test_failed_barrier);
    g_test_add_func("/image/zeroes-hide-the-parent", test_zeroes_hide_the_parent);
    g_test_add_func("/image/unmap-child", test_unmap_child);
    g_test_add_func("/image/unmap-releases", test_unmap_releases);
    g_test_add_func("/image/unmap-last-block", test_unmap_last_block);
    g_test_add_func("/image/nothing-cached-is-believed", test_nothing_cached_is_believed);
    g_test_add_func("/image/write-protected", test_write_protected);
    return g_test_run();
}
