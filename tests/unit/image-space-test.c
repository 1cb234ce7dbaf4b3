/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* Where space runs short: the disk's, the cache's. */
#include <errno.h>
#include <pthread.h>

#include "tests/unit/image-fixture.h"

#define HOLD_MS 10000

static void *write_new_block(void *data)
{
    return GINT_TO_POINTER(write_sectors(data, 8 * MIB / VHD_SECTOR_BYTES, 1, 0x33));
}

/* A flush that needs no space does not fail because a write beside it finds none. */
static void test_flush_beside_reservation(void)
{
    Fixture f;
    pthread_t writer;
    void *result;
    setup(&f, VHD_TYPE_DYNAMIC, 16 * MIB, 2 * MIB);
    g_assert_cmpint(write_sectors(f.image, 0, 8, 0x11), ==, 0);
    g_assert_cmpint(vhd_image_flush(f.image), ==, 0);
    mem_image_set_limit(f.bytes, mem_image_used(f.bytes));
    unsigned rule = faults_hold(f.faults, FILE_OP_CLAIM, FILE_KIND_ANY, 1);
    g_assert_cmpint(pthread_create(&writer, NULL, write_new_block, f.image), ==, 0);
    g_assert_true(faults_wait_held(f.faults, rule, HOLD_MS));
    g_assert_cmpint(write_sectors(f.image, 0, 8, 0x22), ==, 0);
    g_assert_cmpint(vhd_image_flush(f.image), ==, 0);
    faults_release(f.faults, rule);
    pthread_join(writer, &result);
    g_assert_cmpint(GPOINTER_TO_INT(result), ==, -ENOSPC);
    g_assert_cmpint(vhd_image_finish(f.image), ==, 0);
    GString *warnings = g_string_new(NULL);
    g_autoptr(GError) error = NULL;
    vhd_image_unref(f.image);
    f.image = open_again(&f, true, warnings, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(warnings->str, ==, "");
    g_assert_cmpint(sector_byte(f.image, 0), ==, 0x22);
    g_string_free(warnings, TRUE);
    teardown(&f);
}

/* Blocks that wait for a flush stand in nobody's way: of those behind them no more are kept than
 * the cache's bound allows, so that going through them once more reads bitmaps again. */
static void test_dirty_blocks_and_cache(void)
{
    const uint32_t block_bytes = 32 * MIB, dirty = 80, blocks = 640; /* a bitmap has 8 KiB */
    const uint64_t block_sectors = block_bytes / VHD_SECTOR_BYTES;
    Fixture f;
    setup(&f, VHD_TYPE_DIFFERENCING, (uint64_t)blocks * block_bytes, block_bytes);
    for (uint32_t block = 0; block < blocks; block++)
        g_assert_cmpint(write_sectors(f.image, block * block_sectors, 1, 0x11), ==, 0);
    g_assert_cmpint(vhd_image_finish(f.image), ==, 0);
    reopen(&f);
    for (uint32_t block = 0; block < dirty; block++)
        g_assert_cmpint(write_sectors(f.image, block * block_sectors + 1, 1, 0x22), ==, 0);
    uint64_t read[2];
    for (unsigned round = 0; round < 2; round++) {
        for (uint32_t block = 0; block < blocks; block++)
            g_assert_cmpint(sector_byte(f.image, block * block_sectors), ==, 0x11);
        read[round] = faults_count(f.faults, FILE_OP_READ, VHD_IO_BITMAP);
    }
    g_assert_cmpuint(read[1], >, read[0]);
    for (uint32_t block = 0; block < dirty; block++)
        g_assert_cmpint(sector_byte(f.image, block * block_sectors + 1), ==, 0x22);
    teardown(&f);
}

/* One answer costs no more than a look at so many blocks, however large the disk is. */
static void test_unused_run_is_bounded(void)
{
    const uint64_t disk_bytes = (uint64_t)100000 * 2 * MIB;
    uint64_t sector = 0, sectors = disk_bytes / VHD_SECTOR_BYTES, runs = 0;
    Fixture f;
    setup(&f, VHD_TYPE_DIFFERENCING, disk_bytes, 2 * MIB);
    for (; sector < sectors; runs++) {
        VhdImageExtent extent;
        g_assert_cmpint(vhd_image_map(f.image, sector, sectors - sector, &extent), ==, 0);
        g_assert_cmpint(extent.presence, ==, VHD_ABSENT);
        sector += extent.sectors;
    }
    g_assert_cmpuint(sector, ==, sectors);
    g_assert_cmpuint(runs, >, 10);
    g_assert_cmpuint(runs, <, 1000);
    teardown(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/image-space/flush-beside-reservation", test_flush_beside_reservation);
    g_test_add_func("/image-space/dirty-blocks-and-cache", test_dirty_blocks_and_cache);
    g_test_add_func("/image-space/unused-run-is-bounded", test_unused_run_is_bounded);
    return g_test_run();
}
