/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* When a disk flushes, and what becomes of flushes that fail. */
#include <errno.h>

#include "tests/unit/disk-sample.h"

static void test_fua(void)
{
    Fixture f;
    uint8_t buf[512] = {1};
    uint64_t before;

    setup_open(&f, &(Sample){.uuid = 1});
    before = barriers(&f);
    g_assert_cmpint(vhd_disk_write(f.disk, 0, buf, 512, false), ==, 0);
    g_assert_cmpint(vhd_disk_unmap(f.disk, 0, 512), ==, 0);
    g_assert_cmpint(vhd_disk_write_zeroes(f.disk, 0, 512, false), ==, 0);
    g_assert_cmpuint(barriers(&f), ==, before);
    g_assert_cmpint(vhd_disk_write(f.disk, 0, buf, 512, true), ==, 0);
    g_assert_cmpuint(barriers(&f), ==, before + 2); /* with the new block's entry */
    g_assert_cmpint(vhd_disk_write_zeroes(f.disk, 0, 512, true), ==, 0);
    g_assert_cmpuint(barriers(&f), ==, before + 3);
    g_assert_cmpint(vhd_disk_flush(f.disk), ==, 0);
    g_assert_cmpuint(barriers(&f), ==, before + 4);
    teardown(&f);
}

static void test_writethrough(void)
{
    Fixture f;
    VhdDiskOptions options;
    uint8_t buf[512] = {1};
    uint64_t before;

    setup(&f, &(Sample){.uuid = 1});
    options = options_of(&f);
    options.cache = VHD_CACHE_WRITETHROUGH;
    open_with(&f, &options, NULL);
    before = barriers(&f);
    g_assert_cmpint(vhd_disk_write(f.disk, 0, buf, 512, false), ==, 0);
    g_assert_cmpuint(barriers(&f), ==, before + 2);
    g_assert_cmpint(vhd_disk_write_zeroes(f.disk, 0, 512, false), ==, 0);
    g_assert_cmpuint(barriers(&f), ==, before + 3);
    g_assert_cmpint(vhd_disk_unmap(f.disk, 0, 512), ==, 0);
    g_assert_cmpuint(barriers(&f), ==, before + 4);
    teardown(&f);
}

/* Without a place for the pending log the process' death would lose writes. */
static void test_lost_pending_log(void)
{
    Fixture f;
    VhdDiskOptions options;
    VhdDiskInfo info;

    setup(&f, &(Sample){.uuid = 1});
    options = options_of(&f);
    options.no_pending = false;
    options.pending_dir = "/proc/nowhere";
    open_with(&f, &options, NULL);
    vhd_disk_info(f.disk, &info);
    g_assert_cmpint(info.cache, ==, VHD_CACHE_WRITETHROUGH);
    g_assert_true(g_str_has_prefix(f.log->str, "1 "));
    teardown(&f);
}

static void test_bounds(void)
{
    Fixture f;
    VhdDiskOptions options;
    VhdDiskBounds bounds = VHD_DISK_BOUNDS;
    uint8_t buf[4096] = {1};
    uint64_t before;

    setup(&f, &(Sample){.uuid = 1, .type = VHD_TYPE_FIXED});
    options = options_of(&f);
    bounds.data_bytes = 8192;
    open_with(&f, &options, &bounds);
    before = barriers(&f);
    g_assert_cmpint(vhd_disk_write(f.disk, 0, buf, 4096, false), ==, 0);
    g_assert_cmpint(vhd_disk_write(f.disk, 0, buf, 4096, false), ==, 0);
    g_assert_cmpuint(barriers(&f), ==, before);
    g_assert_cmpint(vhd_disk_write(f.disk, 0, buf, 512, false), ==, 0);
    g_assert_cmpuint(barriers(&f), ==, before + 1);
    teardown(&f);

    setup(&f, &(Sample){.uuid = 1, .block_bytes = 4096});
    options = options_of(&f);
    bounds = VHD_DISK_BOUNDS;
    bounds.entries = 8;
    open_with(&f, &options, &bounds);
    before = barriers(&f);
    for (unsigned i = 0; i < 100 && barriers(&f) == before; i++)
        g_assert_cmpint(vhd_disk_write(f.disk, i * 4096, buf, 512, false), ==, 0);
    g_assert_cmpuint(barriers(&f), ==, before + 2);
    teardown(&f);
}

/* Old metadata is flushed though nobody asks. */
static void test_age(void)
{
    Fixture f;
    VhdDiskOptions options;
    VhdDiskBounds bounds = VHD_DISK_BOUNDS;
    uint8_t buf[512] = {1};
    unsigned rule;

    setup(&f, &(Sample){.uuid = 1});
    options = options_of(&f);
    bounds.age_ms = 1;
    bounds.tick_ms = 1;
    open_with(&f, &options, &bounds);
    rule = faults_hold(f.faults, FILE_OP_WRITE, VHD_IO_BAT, 1);
    g_assert_cmpint(vhd_disk_write(f.disk, 0, buf, 512, false), ==, 0);
    g_assert_true(faults_wait_held(f.faults, rule, WAIT_MS));
    faults_release(f.faults, rule);
    teardown(&f);
}

static void test_background_failure_is_told_once(void)
{
    Fixture f;
    VhdDiskOptions options;
    VhdDiskBounds bounds = VHD_DISK_BOUNDS;
    FaultRule no_space = {
        .op = FILE_OP_WRITE, .kind = VHD_IO_BAT, .forever = true, .error = ENOSPC};
    g_autofree char *expected = NULL;
    uint8_t buf[512] = {1};
    int err;

    setup(&f, &(Sample){.uuid = 1});
    options = options_of(&f);
    bounds.age_ms = 1;
    bounds.tick_ms = 1;
    open_with(&f, &options, &bounds);
    faults_add(f.faults, &no_space);
    g_assert_cmpint(vhd_disk_write(f.disk, 0, buf, 512, false), ==, 0);
    while (faults_failed(f.faults) < 5)
        g_usleep(1000);
    faults_clear(f.faults);
    err = vhd_disk_close(f.disk);
    f.disk = NULL;
    g_assert_cmpint(err, ==, 0);
    expected =
        g_strdup_printf("2 %s: cannot flush in the background: No space left on device\n", f.path);
    g_assert_cmpstr(f.log->str, ==, expected);
    teardown(&f);
}

static void test_failed_barrier(void)
{
    Fixture f;
    VhdDiskInfo info;
    uint8_t buf[512] = {1};

    setup_open(&f, &(Sample){.uuid = 1});
    g_assert_cmpint(vhd_disk_write(f.disk, 0, buf, 512, false), ==, 0);
    faults_fail(f.faults, FILE_OP_BARRIER, FILE_KIND_ANY, 1, EIO);
    g_assert_cmpint(vhd_disk_flush(f.disk), ==, -EIO);
    vhd_disk_info(f.disk, &info);
    g_assert_true(info.failed);
    g_assert_cmpint(vhd_disk_write(f.disk, 0, buf, 512, false), ==, -EIO);
    g_assert_cmpint(vhd_disk_unmap(f.disk, 0, 512), ==, -EIO);
    g_assert_cmpint(vhd_disk_write_zeroes(f.disk, 0, 512, false), ==, -EIO);
    g_assert_cmpint(vhd_disk_flush(f.disk), ==, -EIO);
    buf[0] = 0;
    g_assert_cmpint(vhd_disk_read(f.disk, 0, buf, 512), ==, 0);
    g_assert_cmpuint(buf[0], ==, 1);
    g_assert_cmpint(vhd_disk_close(f.disk), ==, -EIO);
    f.disk = NULL;
    teardown(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/disk/fua", test_fua);
    g_test_add_func("/disk/writethrough", test_writethrough);
    g_test_add_func("/disk/lost-pending-log", test_lost_pending_log);
    g_test_add_func("/disk/bounds", test_bounds);
    g_test_add_func("/disk/age", test_age);
    g_test_add_func("/disk/background-failure-is-told-once", test_background_failure_is_told_once);
    g_test_add_func("/disk/failed-barrier", test_failed_barrier);
    return g_test_run();
}
