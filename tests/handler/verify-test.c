/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* VERIFY compares and never writes. */
#include <string.h>

#include "tests/handler/lun-test.h"
#include "vhd/be.h"

enum { MIB = 1024 * 1024, DISK_BYTES = 4 * MIB, SEED = 31, START = 100 };

static RunnerDevice *device;

/* VERIFY of 10, 12 or 16 bytes. */
static void verify_cdb(uint8_t cdb[16], int length, uint8_t flags, uint32_t blocks)
{
    memset(cdb, 0, 16);
    cdb[1] = flags;
    if (length == 16) {
        cdb[0] = 0x8f;
        be64_put(cdb + 2, START);
        be32_put(cdb + 10, blocks);
        return;
    }
    be32_put(cdb + 2, START);
    cdb[0] = length == 12 ? 0xaf : 0x2f;
    if (length == 12)
        be32_put(cdb + 6, blocks);
    else
        be16_put(cdb + 7, (uint16_t)blocks);
}

/* Vectors of several lengths, so that pieces and vectors end at different places. */
static RunnerReply verify(int length, uint8_t *data, uint32_t blocks)
{
    size_t bytes = (size_t)blocks * LUN_TEST_BLOCK, cut = MIN(bytes / 3, 5000);
    struct iovec iov[] = {{data, cut}, {data + cut, cut}, {data + 2 * cut, bytes - 2 * cut}};
    uint8_t cdb[16];

    verify_cdb(cdb, length, 0x02, blocks);
    return runner_execute(device, cdb, iov, 3);
}

static void check(uint32_t blocks, int length)
{
    size_t bytes = (size_t)blocks * LUN_TEST_BLOCK;
    size_t places[] = {0, 4999, 5000, bytes / 2, bytes - 1};
    g_autofree uint8_t *data = g_malloc(bytes);
    RunnerReply reply;

    lun_test_fill(data, START, blocks, SEED);
    reply = verify(length, data, blocks);
    g_assert_cmphex(reply.status, ==, RUNNER_GOOD);
    for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
        if (places[i] >= bytes)
            continue;
        data[places[i]] ^= 0x80;
        reply = verify(length, data, blocks);
        g_assert_cmphex(reply.status, ==, RUNNER_CHECK_CONDITION);
        g_assert_cmphex(runner_reply_sense(&reply), ==, SENSE_MISCOMPARE);
        g_assert_cmphex(reply.sense[0], ==, 0xf0); /* information is valid */
        g_assert_cmpuint(be32_get(reply.sense + 3), ==, places[i]);
        data[places[i]] ^= 0x80;
    }
    lun_test_expect(device, START, blocks, SEED);
}

static void test_compares(void)
{
    static const uint32_t blocks[] = {1, 24, 512, 513, 1500, 4000};

    lun_test_write(device, START, 4000, SEED);
    for (size_t i = 0; i < G_N_ELEMENTS(blocks); i++) {
        for (int length = 10; length <= 16; length += length == 10 ? 2 : 4)
            check(blocks[i], length);
    }
}

static void test_reads_without_data(void)
{
    for (int length = 10; length <= 16; length += length == 10 ? 2 : 4) {
        uint8_t cdb[16];

        verify_cdb(cdb, length, 0, 7000);
        lun_test_execute(device, cdb, NULL, 0, 0, G_STRLOC);
    }
}

static void test_refuses(void)
{
    uint8_t block[LUN_TEST_BLOCK] = {0}, cdb[16];

    verify_cdb(cdb, 10, 0x04, 1);
    lun_test_execute(device, cdb, block, sizeof block, SENSE_INVALID_CDB, G_STRLOC);
    verify_cdb(cdb, 10, 0x06, 2);
    lun_test_execute(device, cdb, NULL, 0, SENSE_INVALID_CDB, G_STRLOC);
    verify_cdb(cdb, 10, 0x02, 2);
    lun_test_execute(device, cdb, block, sizeof block, SENSE_INVALID_CDB, G_STRLOC);
    verify_cdb(cdb, 16, 0x00, 8192);
    lun_test_execute(device, cdb, NULL, 0, SENSE_RANGE, G_STRLOC);
}

/* BYTCHK 11b: one block for all of them. */
static void test_compares_with_one_block(void)
{
    uint8_t block[LUN_TEST_BLOCK], other[LUN_TEST_BLOCK] = {0}, cdb[16];
    struct iovec iov[] = {{block, 100}, {block + 100, sizeof block - 100}};
    RunnerReply reply;

    memset(block, 0x3c, sizeof block);
    runner_write_same(device, START, 600, block, false);
    verify_cdb(cdb, 16, 0x06, 600);
    reply = runner_execute(device, cdb, iov, 2);
    g_assert_cmphex(reply.status, ==, RUNNER_GOOD);
    runner_write(device, START + 599, 1, other);
    reply = runner_execute(device, cdb, iov, 2);
    g_assert_cmphex(runner_reply_sense(&reply), ==, SENSE_MISCOMPARE);
    g_assert_cmpuint(be32_get(reply.sense + 3), ==, 599 * LUN_TEST_BLOCK);
}

/* Without BYTCHK it does not matter what data comes along. */
static void test_ignores_data(void)
{
    uint8_t block[LUN_TEST_BLOCK] = {1}, cdb[16];

    verify_cdb(cdb, 10, 0, 1);
    lun_test_execute(device, cdb, block, sizeof block, 0, G_STRLOC);
}

int main(int argc, char **argv)
{
    int result;

    lun_test_init(&argc, &argv);
    device =
        lun_test_open(lun_test_image("disk.vhd", VHD_TYPE_DYNAMIC, DISK_BYTES), "", DISK_BYTES);
    g_test_add_func("/verify/compares", test_compares);
    g_test_add_func("/verify/reads-without-data", test_reads_without_data);
    g_test_add_func("/verify/compares-with-one-block", test_compares_with_one_block);
    g_test_add_func("/verify/ignores-data", test_ignores_data);
    g_test_add_func("/verify/refuses", test_refuses);
    result = g_test_run();
    lun_test_close(device);
    lun_test_end();
    return result;
}
