/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* What the LUN tells about itself: commands it knows, limits, where blocks are stored, health. */
#include <string.h>

#include "tests/handler/lun-test.h"
#include "vhd/be.h"

enum { MIB = 1024 * 1024, DISK_BYTES = 4 * MIB, BLOCKS = DISK_BYTES / LUN_TEST_BLOCK };

static RunnerDevice *device;
static uint8_t data[8192];

/* GOOD, into data, of which the rest is zero. */
#define reply(...)                                                                                 \
    do {                                                                                           \
        memset(data, 0xa5, sizeof data);                                                           \
        lun_test_command(device, 0, data, sizeof data, __VA_ARGS__);                               \
    } while (0)

/* REPORT SUPPORTED OPERATION CODES of one command; its support field. */
static uint8_t report_one(uint8_t option, uint8_t opcode, uint8_t action)
{
    reply(0xa3, 0x0c, option, opcode, 0, action, 0, 0, 0x10, 0);
    return data[1];
}

static void test_all_opcodes(void)
{
    static uint8_t list[8192];
    size_t bytes;

    reply(0xa3, 0x0c, 0, 0, 0, 0, 0, 0, 0x20, 0);
    memcpy(list, data, sizeof list);
    bytes = be32_get(list);
    g_assert_cmpuint(bytes % 8, ==, 0);
    g_assert_cmpuint(bytes, >, 40 * 8);
    for (size_t i = 4; i < 4 + bytes; i += 8) {
        bool actions = list[i + 5] & 1;

        g_assert_cmphex(list[i + 5] & 2, ==, 0);
        g_assert_cmphex(report_one(actions ? 2 : 1, list[i], list[i + 3]), ==, 3);
        g_assert_cmpuint(be16_get(data + 2), ==, be16_get(list + i + 6));
        g_assert_cmphex(data[4], ==, list[i]);
        g_assert_cmphex(data[5] & 0x1f & -actions, ==, list[i + 3]);
        g_assert_cmphex(report_one(3, list[i], list[i + 3]), ==, 3);
        lun_test_command(device, SENSE_INVALID_CDB, data, sizeof data, 0xa3, 0x0c, actions ? 1 : 2,
                         list[i], 0, list[i + 3], 0, 0, 1, 0);
    }
    /* With timeouts: none is recommended. */
    reply(0xa3, 0x0c, 0x80, 0, 0, 0, 0, 0, 0x20, 0);
    g_assert_cmpuint(be32_get(data), ==, bytes / 8 * 20);
    for (size_t i = 4; i < 4 + be32_get(data); i += 20) {
        g_assert_cmphex(data[i + 5] & 2, ==, 2);
        g_assert_cmpmem(data + i + 8, 12, "\0\x0a\0\0\0\0\0\0\0\0\0\0", 12);
    }
}

static void test_one_opcode(void)
{
    static const uint8_t read_10[] = {0,    3,    0,    10, 0x28, 0x18, 0xff,
                                      0xff, 0xff, 0xff, 0,  0xff, 0xff, 0};
    static const uint8_t self[] = {0,    3,    0,    12,   0xa3, 0x0c, 0x87, 0xff,
                                   0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0,    0};
    uint8_t cdb[16] = {0xa3, 0x0c, 2, 0x28, [8] = 1};
    struct iovec iov = {data, sizeof data};
    RunnerReply answer;

    g_assert_cmphex(report_one(1, 0x28, 0), ==, 3);
    g_assert_cmpmem(data, sizeof read_10, read_10, sizeof read_10);
    g_assert_cmphex(report_one(2, 0xa3, 0x0c), ==, 3);
    g_assert_cmpmem(data, sizeof self, self, sizeof self);
    g_assert_cmphex(report_one(0x81, 0x28, 0), ==, 0x83);
    g_assert_cmpmem(data + 14, 3, "\0\x0a\0", 3);
    /* Not there at all; another action; none where none belongs. */
    g_assert_cmphex(report_one(1, 0x9c, 0), ==, 1);
    g_assert_cmphex(report_one(1, 0xff, 0), ==, 1);
    g_assert_cmphex(report_one(2, 0x9e, 0x1f), ==, 1);
    g_assert_cmphex(report_one(3, 0x28, 1), ==, 1);
    g_assert_cmphex(report_one(3, 0xa3, 0x0a), ==, 1);
    /* The sense points at the option. */
    answer = runner_execute(device, cdb, &iov, 1);
    g_assert_cmphex(runner_reply_sense(&answer), ==, SENSE_INVALID_CDB);
    g_assert_cmpmem(answer.sense + 15, 3, "\xca\0\2", 3);
    lun_test_command(device, SENSE_INVALID_CDB, data, sizeof data, 0xa3, 0x0c, 4, 0x28, [8] = 1);
}

static void test_pages(void)
{
    static const uint8_t pages[] = {0, 0x80, 0x83, 0x86, 0xb0, 0xb1, 0xb2};

    reply(0x12, 1, 0, 0x10, 0, 0);
    g_assert_cmpuint(data[3], ==, sizeof pages);
    g_assert_cmpmem(data + 4, sizeof pages, pages, sizeof pages);
    for (size_t i = 0; i < sizeof pages; i++) {
        reply(0x12, 1, pages[i], 0x10, 0, 0);
        g_assert_cmphex(data[1], ==, pages[i]);
    }
    reply(0x12, 1, 0x86, 0x10, 0, 0);
    g_assert_cmpmem(data, 8, "\0\x86\0\x3c\0\1\1\0", 8); /* simple tasks, a write cache */
    reply(0x12, 1, 0xb1, 0x10, 0, 0);
    g_assert_cmpmem(data, 8, "\0\xb1\0\x3c\0\0\0\x40", 8); /* WABEREQ */
    reply(0x12, 0, 0, 0x10, 0, 0);
    g_assert_cmpuint(data[4], ==, 61);
    g_assert_cmphex(be16_get(data + 62), ==, 0x04c0); /* SBC-3 */
}

static void test_limits(void)
{
    reply(0x12, 1, 0xb0, 0x10, 0, 0);
    g_assert_cmpmem(data, 8, "\0\xb0\0\x3c\1\xff\0\10", 8);
    g_assert_cmpuint(be32_get(data + 8), ==, 2048);
    g_assert_cmpuint(be32_get(data + 12), ==, 2048);
    g_assert_cmpuint(be32_get(data + 20), ==, 1U << 20);
    g_assert_cmpuint(be32_get(data + 24), ==, 4);
    g_assert_cmpuint(be32_get(data + 28), ==, 8);
    g_assert_cmphex(be32_get(data + 32), ==, 0x80000000);
    g_assert_cmpuint(be64_get(data + 36), ==, 1U << 22);
    g_assert_cmpuint(be32_get(data + 44), ==, 0); /* atomic writes */
    reply(0x9e, 0x10, [13] = 32);
    g_assert_cmpuint(data[13], ==, 3); /* physical blocks of 4 KiB */
}

/* Of GET LBA STATUS: "LBA+BLOCKS=STATUS ...". */
static char *status(RunnerDevice *of, uint32_t lba, uint8_t alloc)
{
    uint8_t cdb[16] = {0x9e, 0x12, [13] = alloc};
    GString *text = g_string_new(NULL);

    be64_put(cdb + 2, lba);
    memset(data, 0xa5, sizeof data);
    lun_test_execute(of, cdb, data, 512, 0, G_STRLOC);
    for (size_t i = 8; i < MIN(be32_get(data) + 4, alloc); i += 16)
        g_string_append_printf(text, "%s%" G_GUINT64_FORMAT "+%u=%u", i > 8 ? " " : "",
                               (guint64)be64_get(data + i), be32_get(data + i + 8), data[i + 12]);
    return g_string_free(text, FALSE);
}

#define expect_status(of, lba, alloc, text)                                                        \
    do {                                                                                           \
        g_autofree char *found = status(of, lba, alloc);                                           \
        g_assert_cmpstr(found, ==, text);                                                          \
    } while (0)

static void test_lba_status(void)
{
    const char *path = lun_test_image("parent.vhd", VHD_TYPE_DYNAMIC, DISK_BYTES);
    RunnerDevice *of = lun_test_open(path, "", DISK_BYTES);

    expect_status(of, 0, 255, "0+8192=1");
    lun_test_write(of, 128 * 3, 1, 1); /* a whole block of 64 KiB */
    expect_status(of, 0, 255, "0+384=1 384+128=0 512+7680=1");
    expect_status(of, 400, 255, "400+112=0 512+7680=1");
    expect_status(of, 0, 24, "0+384=1");
    expect_status(of, BLOCKS - 1, 24, "8191+1=1");
    lun_test_command(of, SENSE_RANGE, data, 512, 0x9e, 0x12, [8] = BLOCKS >> 8, [13] = 24);
    lun_test_command(of, SENSE_RANGE, data, 512, 0x9e, 0x12, 0xff, [13] = 24);
    /* No room: nothing but what fits. */
    memset(data, 0xa5, sizeof data);
    lun_test_command(of, 0, data, 512, 0x9e, 0x12, [13] = 3);
    g_assert_cmpmem(data, 8, "\0\0\0\0\0\0\0\0", 8);
    lun_test_close(of);
    /* A child has what it has, and what its parent has; given back is what is zero in both. */
    of = lun_test_open(lun_test_child("child.vhd", path, DISK_BYTES), "", DISK_BYTES);
    expect_status(of, 0, 255, "0+384=1 384+128=0 512+7680=1");
    lun_test_write(of, 1000, 3, 1);
    expect_status(of, 0, 255, "0+384=1 384+128=0 512+488=1 1000+3=0 1003+7189=1");
    lun_test_close(of);
    /* Where nothing is given back all of it is mapped. */
    of = lun_test_open(path, ";discard=off", DISK_BYTES);
    expect_status(of, 0, 255, "0+8192=0");
    g_assert_cmphex(report_one(1, 0x42, 0), ==, 3);
    lun_test_command(of, 0, data, 512, 0xa3, 0x0c, 1, 0x42, [8] = 1);
    g_assert_cmphex(data[1], ==, 1); /* nor is there UNMAP */
    lun_test_close(of);
}

static void test_pre_fetch(void)
{
    lun_test_command(device, 0, NULL, 0, 0x34, 2, 0, 0, 0, 8, 3, 0, 1);
    lun_test_command(device, 0, NULL, 0, 0x90, 2, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 1);
    lun_test_command(device, SENSE_RANGE, NULL, 0, 0x34, 0, 0, 0, 0x1f, 0xff, 0, 0, 2);
    lun_test_command(device, SENSE_RANGE, NULL, 0, 0x34, 0, 0xff, 0xff, 0xff, 0xff);
    lun_test_command(device, SENSE_RANGE, NULL, 0, 0x90, 0, 0xff);
}

static void test_health(void)
{
    reply(0x37, 0, 0x1d, 0, 0, 0, 0, 0, 8, 0);
    g_assert_cmpmem(data, 8, "\0\x1d\0\0\0\0\0\0", 8);
    reply(0xb7, 0x1d, [9] = 8);
    g_assert_cmpmem(data, 8, "\0\x1d\0\0\0\0\0\0", 8);
    reply(0x03, 0, 0, 0, 0xff, 0);
    g_assert_cmpmem(data, 18, "\x70\0\0\0\0\0\0\x0a\0\0\0\0\0\0\0\0\0\0", 18);
    reply(0x03, 1, 0, 0, 0xff, 0);
    g_assert_cmpmem(data, 8, "\x72\0\0\0\0\0\0\0", 8);
    reply(0x4d, 0, 0x40, 0, 0, 0, 0, 0, 64, 0);
    g_assert_cmpmem(data, 5, "\0\0\0\1\0", 5);
    reply(0x4d, 0, 0x40, 0xff, 0, 0, 0, 0, 64, 0);
    g_assert_cmpmem(data, 8, "\x40\xff\0\4\0\0\0\xff", 8);
    lun_test_command(device, SENSE_INVALID_CDB, data, 64, 0x4d, 0, 0x4d, [8] = 64);
    lun_test_command(device, SENSE_INVALID_CDB, data, 64, 0x4d, 1, 0x40, [8] = 64);
    lun_test_command(device, SENSE_INVALID_CDB, data, 64, 0x4d, 0, 0x40, 1, [8] = 64);
    lun_test_command(device, 0, NULL, 0, 0x1d, 0x04);
    lun_test_command(device, SENSE_INVALID_CDB, NULL, 0, 0x1d, 0x20);
    lun_test_command(device, SENSE_INVALID_CDB, data, 8, 0x1d, 0, 0, 0, 8);
}

int main(int argc, char **argv)
{
    int result;

    lun_test_init(&argc, &argv);
    device =
        lun_test_open(lun_test_image("disk.vhd", VHD_TYPE_DYNAMIC, DISK_BYTES), "", DISK_BYTES);
    g_test_add_func("/report/all-opcodes", test_all_opcodes);
    g_test_add_func("/report/one-opcode", test_one_opcode);
    g_test_add_func("/report/pages", test_pages);
    g_test_add_func("/report/limits", test_limits);
    g_test_add_func("/report/lba-status", test_lba_status);
    g_test_add_func("/report/pre-fetch", test_pre_fetch);
    g_test_add_func("/report/health", test_health);
    result = g_test_run();
    lun_test_close(device);
    lun_test_end();
    return result;
}
