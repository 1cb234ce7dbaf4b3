/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* WRITE SAME and UNMAP, above all on a child whose parent is not zero. */
#include <glib/gstdio.h>
#include <string.h>

#include "tests/handler/lun-test.h"
#include "vhd/be.h"

enum { MIB = 1024 * 1024, DISK_BYTES = 4 * MIB, BLOCKS = DISK_BYTES / LUN_TEST_BLOCK };
enum { PARENT = 11, CHILD = 23 }; /* seeds */

static const char *parent_path, *child_path;
static RunnerDevice *child;

/* A child that has sectors 1000 to 1099 of its own, over a parent that is full. */
static void setup(void)
{
    RunnerDevice *parent;

    parent_path = lun_test_image("parent.vhd", VHD_TYPE_DYNAMIC, DISK_BYTES);
    parent = lun_test_open(parent_path, "", DISK_BYTES);
    for (uint32_t lba = 0; lba < BLOCKS; lba += 1024)
        lun_test_write(parent, lba, 1024, PARENT);
    lun_test_close(parent);
    child_path = lun_test_child("child.vhd", parent_path, DISK_BYTES);
    child = lun_test_open(child_path, "", DISK_BYTES);
    lun_test_write(child, 1000, 100, CHILD);
}

static void write_same_16(uint8_t flags, uint32_t lba, uint32_t blocks, uint8_t byte,
                          uint32_t sense)
{
    uint8_t pattern[LUN_TEST_BLOCK], cdb[16];

    memset(pattern, byte, sizeof pattern);
    runner_cdb_write_same16(cdb, lba, blocks, flags);
    lun_test_execute(child, cdb, pattern, sizeof pattern, sense, G_STRLOC);
}

/* The parent's data must not shine through, whatever the range is aligned to. */
static void test_write_same_hides_parent(void)
{
    static const uint32_t ranges[][2] = {
        {5, 9},    {128, 128}, {1020, 3},    {1090, 300},
        {2047, 2}, {3000, 1},  {4096, 2048}, {BLOCKS - 1, 1},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(ranges); i++) {
        write_same_16(i % 2 ? RUNNER_WS_UNMAP : 0, ranges[i][0], ranges[i][1], 0, 0);
        lun_test_expect(child, ranges[i][0], ranges[i][1], 0);
    }
    lun_test_expect(child, 0, 5, PARENT);
    lun_test_expect(child, 14, 114, PARENT);
    lun_test_expect(child, 256, 744, PARENT);
    lun_test_expect(child, 1000, 20, CHILD);
    lun_test_expect(child, 1023, 67, CHILD);
    lun_test_expect(child, 1390, 657, PARENT);
}

/* WRITE SAME(10) too, and with UNMAP. */
static void test_write_same_10(void)
{
    uint8_t zeros[LUN_TEST_BLOCK] = {0}, cdb[16];

    runner_cdb_write_same10(cdb, 500, 7, RUNNER_WS_UNMAP);
    lun_test_execute(child, cdb, zeros, sizeof zeros, 0, G_STRLOC);
    lun_test_expect(child, 500, 7, 0);
    lun_test_expect(child, 507, 10, PARENT);
}

static void expect_bytes(uint32_t lba, uint32_t blocks, uint8_t byte)
{
    g_autofree uint8_t *seen = g_malloc0((gsize)blocks * LUN_TEST_BLOCK);
    RunnerReply reply = runner_read(child, lba, blocks, seen);

    g_assert_cmphex(reply.status, ==, RUNNER_GOOD);
    for (size_t i = 0; i < (size_t)blocks * LUN_TEST_BLOCK; i++)
        g_assert_cmphex(seen[i], ==, byte);
}

/* The host would unmap here, and the pattern be lost. 7000 blocks are several of its pieces. */
static void test_write_same_keeps_pattern(void)
{
    write_same_16(RUNNER_WS_UNMAP, 600, 8, 0x5a, 0);
    expect_bytes(600, 8, 0x5a);
    write_same_16(RUNNER_WS_UNMAP, 1101, 6000, 0x5b, 0);
    expect_bytes(1101, 6000, 0x5b);
    write_same_16(0, 616, 1, 0x5c, 0);
    expect_bytes(616, 1, 0x5c);
    lun_test_expect(child, 608, 8, PARENT);
}

static void test_write_same_refuses(void)
{
    write_same_16(0x10 | RUNNER_WS_UNMAP, 700, 8, 0, SENSE_INVALID_CDB); /* ANCHOR */
    write_same_16(RUNNER_WS_NDOB, 700, 8, 0, SENSE_INVALID_CDB);         /* and yet data */
    write_same_16(0x02, 700, 8, 0, SENSE_INVALID_CDB);                   /* LBDATA */
    write_same_16(0, 700, 0, 0, SENSE_INVALID_CDB);                      /* WSNZ */
    lun_test_command(child, SENSE_INVALID_CDB, NULL, 0, 0x41, 0x01, [4] = 2, [5] = 0xbc, [8] = 8);
    lun_test_expect(child, 700, 8, PARENT);
}

/* NDOB: zeros that are not sent. */
static void test_write_same_without_data(void)
{
    lun_test_command(child, 0, NULL, 0, 0x93, 0x09, [8] = 2, [9] = 0xd0, [13] = 8);
    lun_test_expect(child, 720, 8, 0);
    lun_test_command(child, 0, NULL, 0, 0x93, 0x01, [8] = 2, [9] = 0xd8, [13] = 2);
    lun_test_expect(child, 728, 2, 0);
    lun_test_expect(child, 730, 8, PARENT);
}

/* A list of one range; length: of the list, in the CDB and in the buffer. */
static void unmap(RunnerDevice *device, uint64_t lba, uint32_t blocks, uint8_t length,
                  uint32_t sense)
{
    uint8_t list[RUNNER_UNMAP_LIST], cdb[16];

    runner_cdb_unmap(cdb, list, lba, blocks);
    be16_put(cdb + 7, length);
    lun_test_execute(device, cdb, list, length, sense, G_STRLOC);
}

/* Present sectors become zero, absent ones stay the parent's. */
static void test_unmap_is_a_hint(void)
{
    lun_test_write(child, 7200, 100, CHILD);
    unmap(child, 7250, 100, RUNNER_UNMAP_LIST, 0);
    lun_test_expect(child, 7200, 50, CHILD);
    lun_test_expect(child, 7250, 50, 0);
    lun_test_expect(child, 7300, 50, PARENT);
}

static void test_unmap_list(void)
{
    uint8_t list[8 + 5 * 16] = {0}, cdb[16] = {0x42};

    lun_test_write(child, 7400, 40, CHILD);
    be16_put(list, sizeof list - 2);
    for (uint8_t i = 0; i < 5; i++) {
        be64_put(list + 8 + 16 * i, 7400U + 10U * i);
        be32_put(list + 16 + 16 * i, 5);
    }
    /* Four ranges, one of them empty, are the most. */
    be32_put(list + 16 + 16, 0);
    be16_put(list + 2, 4 * 16);
    be16_put(cdb + 7, 8 + 4 * 16);
    lun_test_execute(child, cdb, list, 8 + 4 * 16, 0, G_STRLOC);
    for (uint8_t i = 0; i < 4; i++)
        lun_test_expect(child, 7400U + 10U * i, 5, i == 1 ? CHILD : 0);
    lun_test_expect(child, 7435, 5, CHILD);
    be16_put(list + 2, 5 * 16);
    be16_put(cdb + 7, sizeof list);
    lun_test_execute(child, cdb, list, sizeof list, SENSE_INVALID_LIST, G_STRLOC);
}

static void test_unmap_refuses(void)
{
    unmap(child, 0, 8, 0, 0); /* no list: nothing to do */
    lun_test_write(child, 7500, 8, CHILD);
    unmap(child, 7500, 8, 23, 0); /* a range cut off does not count; the host would read beyond */
    lun_test_expect(child, 7500, 8, CHILD);
    unmap(child, 0, 8, 7, SENSE_LIST_LENGTH);
    unmap(child, BLOCKS, 1, RUNNER_UNMAP_LIST, SENSE_RANGE);
    unmap(child, UINT64_MAX, 2, RUNNER_UNMAP_LIST, SENSE_RANGE);
    unmap(child, 0, (1 << 20) + 1, RUNNER_UNMAP_LIST, SENSE_INVALID_LIST);
    lun_test_command(child, SENSE_INVALID_CDB, NULL, 0, 0x42, 1); /* ANCHOR */
    lun_test_expect(child, 0, 5, PARENT);
}

/* What a zeroing does is in the image, and the parent has not changed. */
static void test_after_reopening(void)
{
    RunnerDevice *parent;

    lun_test_close(child);
    child = lun_test_open(child_path, "", DISK_BYTES);
    lun_test_expect(child, 5, 9, 0);
    lun_test_expect(child, 500, 7, 0);
    expect_bytes(600, 8, 0x5a);
    lun_test_expect(child, 7250, 50, 0);
    lun_test_close(child);
    parent = lun_test_open(parent_path, ";ro", DISK_BYTES);
    for (uint32_t lba = 0; lba < BLOCKS; lba += 1024)
        lun_test_expect(parent, lba, 1024, PARENT);
    lun_test_close(parent);
}

static void test_discard_off(void)
{
    RunnerDevice *device = lun_test_open(child_path, ";discard=off", DISK_BYTES);
    uint8_t data[32] = {0}, cdb[16];

    unmap(device, 0, 8, RUNNER_UNMAP_LIST, SENSE_INVALID_OPCODE);
    lun_test_command(device, 0, data, sizeof data, 0x9e, 0x10, [13] = 32);
    g_assert_cmphex(data[14], ==, 0);
    lun_test_command(device, 0, data, sizeof data, 0x12, 1, 0xb2, 0, 32);
    g_assert_cmphex(data[5], ==, 0);
    memset(data, 0, sizeof data);
    {
        uint8_t zeros[LUN_TEST_BLOCK] = {0};

        runner_cdb_write_same16(cdb, 40, 4, RUNNER_WS_UNMAP);
        lun_test_execute(device, cdb, zeros, sizeof zeros, SENSE_INVALID_CDB, G_STRLOC);
        lun_test_expect(device, 40, 4, PARENT);
        runner_cdb_write_same16(cdb, 40, 4, 0);
        lun_test_execute(device, cdb, zeros, sizeof zeros, 0, G_STRLOC);
        lun_test_expect(device, 40, 4, 0);
    }
    lun_test_close(device);
}

/* Zeros where nothing is take no space, with UNMAP or without. */
static void test_zeros_take_no_space(void)
{
    const char *path = lun_test_image("empty.vhd", VHD_TYPE_DYNAMIC, DISK_BYTES);
    RunnerDevice *device = lun_test_open(path, "", DISK_BYTES);
    uint8_t zeros[LUN_TEST_BLOCK] = {0}, cdb[16];
    GStatBuf before, after;

    lun_test_write(device, 0, 1, CHILD);
    lun_test_command(device, 0, NULL, 0, 0x35);
    g_assert_cmpint(g_stat(path, &before), ==, 0);
    runner_cdb_write_same16(cdb, 200, BLOCKS - 200, 0);
    lun_test_execute(device, cdb, zeros, sizeof zeros, 0, G_STRLOC);
    runner_cdb_write_same16(cdb, 100, BLOCKS - 100, RUNNER_WS_UNMAP);
    lun_test_execute(device, cdb, zeros, sizeof zeros, 0, G_STRLOC);
    lun_test_command(device, 0, NULL, 0, 0x35);
    g_assert_cmpint(g_stat(path, &after), ==, 0);
    g_assert_cmpint(after.st_size, ==, before.st_size);
    g_assert_cmpint(after.st_blocks, <=, before.st_blocks);
    lun_test_close(device);
}

static void test_fixed_image(void)
{
    const char *path = lun_test_image("fixed.vhd", VHD_TYPE_FIXED, DISK_BYTES);
    RunnerDevice *device = lun_test_open(path, "", DISK_BYTES);
    GStatBuf before, after;

    lun_test_write(device, 0, 1024, CHILD);
    lun_test_command(device, 0, NULL, 0, 0x35);
    g_assert_cmpint(g_stat(path, &before), ==, 0);
    unmap(device, 5, 1000, RUNNER_UNMAP_LIST, 0);
    lun_test_command(device, 0, NULL, 0, 0x35);
    g_assert_cmpint(g_stat(path, &after), ==, 0);
    lun_test_expect(device, 0, 5, CHILD);
    lun_test_expect(device, 5, 1000, 0);
    lun_test_expect(device, 1005, 19, CHILD);
    g_assert_cmpint(after.st_size, ==, before.st_size);
    g_assert_cmpint(after.st_blocks, <, before.st_blocks);
    lun_test_close(device);
}

int main(int argc, char **argv)
{
    int result;

    lun_test_init(&argc, &argv);
    setup();
    g_test_add_func("/zero/write-same-hides-parent", test_write_same_hides_parent);
    g_test_add_func("/zero/write-same-10", test_write_same_10);
    g_test_add_func("/zero/write-same-keeps-pattern", test_write_same_keeps_pattern);
    g_test_add_func("/zero/write-same-refuses", test_write_same_refuses);
    g_test_add_func("/zero/write-same-without-data", test_write_same_without_data);
    g_test_add_func("/zero/unmap-is-a-hint", test_unmap_is_a_hint);
    g_test_add_func("/zero/unmap-list", test_unmap_list);
    g_test_add_func("/zero/unmap-refuses", test_unmap_refuses);
    g_test_add_func("/zero/after-reopening", test_after_reopening);
    g_test_add_func("/zero/discard-off", test_discard_off);
    g_test_add_func("/zero/takes-no-space", test_zeros_take_no_space);
    g_test_add_func("/zero/fixed-image", test_fixed_image);
    result = g_test_run();
    lun_test_end();
    return result;
}
