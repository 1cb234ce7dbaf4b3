/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* Commands that change blocks in other ways than WRITE: COMPARE AND WRITE, ORWRITE, WRITE AND
 * VERIFY, FORMAT UNIT, EXTENDED COPY. */
#include <glib/gstdio.h>
#include <string.h>

#include "tests/handler/lun-test.h"
#include "vhd/be.h"

enum { MIB = 1024 * 1024, DISK_BYTES = 4 * MIB, BLOCKS = DISK_BYTES / LUN_TEST_BLOCK };
enum { HEADER = 16, TARGET = 32, SEGMENT = 28 }; /* EXTENDED COPY, bytes */

static RunnerDevice *device;

/* A CDB of 10, 12 or 16 bytes with LBA and number of blocks. */
static void range_cdb(uint8_t cdb[16], uint8_t opcode, uint8_t flags, uint32_t lba, uint32_t blocks)
{
    memset(cdb, 0, 16);
    cdb[0] = opcode;
    cdb[1] = flags;
    if (opcode >> 5 == 4) {
        be64_put(cdb + 2, lba);
        be32_put(cdb + 10, blocks);
        return;
    }
    be32_put(cdb + 2, lba);
    if (opcode >> 5 == 5)
        be32_put(cdb + 6, blocks);
    else
        be16_put(cdb + 7, (uint16_t)blocks);
}

static RunnerReply compare_and_write(uint32_t lba, uint8_t blocks, uint8_t *data)
{
    size_t bytes = 2 * (size_t)blocks * LUN_TEST_BLOCK;
    struct iovec iov[] = {{data, 700}, {data + 700, bytes - 700}};
    uint8_t cdb[16];

    runner_cdb_caw(cdb, lba, blocks);
    return runner_execute(device, cdb, iov, 2);
}

static void test_compare_and_write(void)
{
    enum { MOST = 255 };
    static const size_t places[] = {0, 511, 512, 70000, MOST * LUN_TEST_BLOCK - 1};
    g_autofree uint8_t *data = g_malloc((gsize)2 * MOST * LUN_TEST_BLOCK);
    RunnerReply reply;

    lun_test_write(device, 100, MOST, 5);
    lun_test_fill(data, 100, MOST, 5);
    lun_test_fill(data + MOST * LUN_TEST_BLOCK, 100, MOST, 6);
    for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
        data[places[i]] ^= 0x40;
        reply = compare_and_write(100, MOST, data);
        g_assert_cmphex(runner_reply_sense(&reply), ==, SENSE_MISCOMPARE);
        g_assert_cmphex(reply.sense[0], ==, 0xf0); /* information is valid */
        g_assert_cmpuint(be32_get(reply.sense + 3), ==, places[i]);
        data[places[i]] ^= 0x40;
    }
    lun_test_expect(device, 100, MOST, 5);
    reply = compare_and_write(100, MOST, data);
    g_assert_cmphex(reply.status, ==, RUNNER_GOOD);
    lun_test_expect(device, 100, MOST, 6);
}

static void test_compare_and_write_refuses(void)
{
    uint8_t data[4 * LUN_TEST_BLOCK] = {0}, cdb[16];

    lun_test_write(device, 400, 4, 7);
    runner_cdb_caw(cdb, 400, 1);
    lun_test_execute(device, cdb, data, sizeof data, SENSE_INVALID_CDB, G_STRLOC);
    runner_cdb_caw(cdb, 400, 3);
    lun_test_execute(device, cdb, data, sizeof data, SENSE_INVALID_CDB, G_STRLOC);
    runner_cdb_caw(cdb, BLOCKS - 1, 2);
    lun_test_execute(device, cdb, data, sizeof data, SENSE_RANGE, G_STRLOC);
    runner_cdb_caw(cdb, 400, 2);
    cdb[1] = 0x20; /* WRPROTECT */
    lun_test_execute(device, cdb, data, sizeof data, SENSE_INVALID_CDB, G_STRLOC);
    runner_cdb_caw(cdb, 400, 0);
    lun_test_execute(device, cdb, NULL, 0, 0, G_STRLOC);
    lun_test_expect(device, 400, 4, 7);
}

/* Each of several threads counts up a number on the disk: no step may be lost, whatever the others
 * write beside it. */
enum { THREADS = 4, STEPS = 50, COUNTER_LBA = 500 };

static void *count_up(void *arg)
{
    uint8_t data[2 * LUN_TEST_BLOCK], beside[LUN_TEST_BLOCK] = {0};

    (void)arg;
    for (unsigned done = 0; done < STEPS;) {
        RunnerReply reply = runner_read(device, COUNTER_LBA, 1, data);

        g_assert_cmphex(reply.status, ==, RUNNER_GOOD);
        memcpy(data + LUN_TEST_BLOCK, data, LUN_TEST_BLOCK);
        be32_put(data + LUN_TEST_BLOCK, be32_get(data) + 1);
        reply = compare_and_write(COUNTER_LBA, 1, data);
        done += reply.status == RUNNER_GOOD;
        runner_write(device, COUNTER_LBA + 1, 1, beside);
    }
    return NULL;
}

static void test_compare_and_write_is_atomic(void)
{
    pthread_t threads[THREADS];
    uint8_t data[LUN_TEST_BLOCK] = {0};

    runner_write(device, COUNTER_LBA, 1, data);
    for (int i = 0; i < THREADS; i++)
        g_assert_cmpint(pthread_create(&threads[i], NULL, count_up, NULL), ==, 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    runner_read(device, COUNTER_LBA, 1, data);
    g_assert_cmpuint(be32_get(data), ==, THREADS * STEPS);
}

static void test_or_write(void)
{
    uint8_t data[8 * LUN_TEST_BLOCK], seen[sizeof data], cdb[16];

    memset(data, 0x0f, sizeof data);
    runner_write(device, 600, 8, data);
    memset(data, 0x31, sizeof data);
    range_cdb(cdb, 0x8b, 0x18, 600, 8); /* DPO, FUA */
    lun_test_execute(device, cdb, data, sizeof data, 0, G_STRLOC);
    runner_read(device, 600, 8, seen);
    for (size_t i = 0; i < sizeof seen; i++)
        g_assert_cmphex(seen[i], ==, 0x3f);
    range_cdb(cdb, 0x8b, 0x20, 600, 8);
    lun_test_execute(device, cdb, data, sizeof data, SENSE_INVALID_CDB, G_STRLOC);
    range_cdb(cdb, 0x8b, 0, 600, 7);
    lun_test_execute(device, cdb, data, sizeof data, SENSE_INVALID_CDB, G_STRLOC);
    range_cdb(cdb, 0x8b, 0, BLOCKS - 7, 8);
    lun_test_execute(device, cdb, data, sizeof data, SENSE_RANGE, G_STRLOC);
}

static void test_write_and_verify(void)
{
    static const uint8_t opcodes[] = {0x2e, 0xae, 0x8e};
    g_autofree uint8_t *data = g_malloc(600 * LUN_TEST_BLOCK);
    uint8_t cdb[16];

    for (uint8_t i = 0; i < G_N_ELEMENTS(opcodes); i++) {
        for (uint8_t flags = 0; flags <= 2; flags += 2) {
            uint8_t seed = (uint8_t)(40 + 2 * i + flags / 2);

            lun_test_fill(data, 1000, 600, seed);
            range_cdb(cdb, opcodes[i], flags | 0x10, 1000, 600);
            lun_test_execute(device, cdb, data, 600 * LUN_TEST_BLOCK, 0, G_STRLOC);
            lun_test_expect(device, 1000, 600, seed);
        }
        range_cdb(cdb, opcodes[i], 0x04, 1000, 1);
        lun_test_execute(device, cdb, data, LUN_TEST_BLOCK, SENSE_INVALID_CDB, G_STRLOC);
        range_cdb(cdb, opcodes[i], 0, 1000, 2);
        lun_test_execute(device, cdb, data, LUN_TEST_BLOCK, SENSE_INVALID_CDB, G_STRLOC);
        range_cdb(cdb, opcodes[i], 0, BLOCKS, 1);
        lun_test_execute(device, cdb, data, LUN_TEST_BLOCK, SENSE_RANGE, G_STRLOC);
    }
    lun_test_expect(device, 1000, 600, 45);
}

/* ---- EXTENDED COPY ---- */

typedef struct CopyList {
    uint8_t bytes[HEADER + 3 * TARGET + 9 * SEGMENT];
    size_t length;
    unsigned targets, segments;
} CopyList;

static uint8_t *add_target(CopyList *list)
{
    uint8_t page[64] = {0}, *at = list->bytes + HEADER + (size_t)list->targets * TARGET;

    lun_test_command(device, 0, page, sizeof page, 0x12, 1, 0x83, 0, sizeof page);
    at[0] = 0xe4;
    memcpy(at + 4, page + 4, 20); /* the first designator is the NAA name */
    be32_put(at + 28, LUN_TEST_BLOCK);
    list->targets++;
    be16_put(list->bytes + 2, (uint16_t)(list->targets * TARGET));
    list->length = HEADER + (size_t)list->targets * TARGET;
    return at;
}

/* After all targets. */
static uint8_t *add_segment(CopyList *list, uint64_t from, uint64_t to, uint16_t blocks)
{
    uint8_t *at = list->bytes + list->length;

    at[0] = 0x02;
    be16_put(at + 2, SEGMENT - 4);
    be16_put(at + 10, blocks);
    be64_put(at + 12, from);
    be64_put(at + 20, to);
    list->segments++;
    list->length += SEGMENT;
    be32_put(list->bytes + 8, list->segments * SEGMENT);
    return at;
}

#define copy(list, length, sense) copy_at(list, length, sense, G_STRLOC)

static void copy_at(CopyList *list, size_t length, uint32_t sense, const char *where)
{
    uint8_t cdb[16] = {0x83};

    be32_put(cdb + 10, (uint32_t)length);
    lun_test_execute(device, cdb, list->bytes, length, sense, where);
}

static void test_copy(void)
{
    CopyList list = {.bytes = {1, 0x10}}; /* list id 1, results not kept */
    uint8_t zeros[LUN_TEST_BLOCK] = {0};

    lun_test_write(device, 0, 3000, 9);
    lun_test_write(device, 4000, 3000, 10);
    runner_write(device, 2999, 1, zeros);
    add_target(&list);
    add_target(&list);
    be16_put(add_segment(&list, 0, 4000, 2500) + 6, 1); /* from the first to the second */
    add_segment(&list, 2999, 6500, 1);
    add_segment(&list, 0, 0, 0);
    copy(&list, list.length, 0);
    for (uint32_t i = 0; i < 2500; i += 100) {
        uint8_t from[100 * LUN_TEST_BLOCK], to[sizeof from];

        runner_read(device, i, 100, from);
        runner_read(device, 4000 + i, 100, to);
        g_assert_cmpmem(from, sizeof from, to, sizeof to);
    }
    lun_test_expect(device, 6501, 499, 10);
    lun_test_expect(device, 6500, 1, 0);
    lun_test_expect(device, 0, 2999, 9);
    lun_test_command(device, 0, NULL, 0, 0x83);
}

static void test_copy_refuses(void)
{
    static const struct {
        size_t target, segment; /* byte of one of them, */
        uint8_t value;          /* set to this */
        uint32_t sense;
    } rows[] = {
        {0, 99, 0xe0, 0x052607}, {1, 99, 0xc0, 0x052600},  {1, 99, 0x20, 0x0a0d02},
        {1, 99, 0x01, 0x052600}, {5, 99, 0x01, 0x0a0d02},  {8, 99, 0x50, 0x0a0d02},
        {30, 99, 4, 0x052600},   {99, 0, 0x03, 0x052609},  {99, 3, 0x14, 0x052600},
        {99, 5, 1, 0x0a0804},    {99, 7, 1, 0x0a0804},     {99, 12, 0xff, 0x0a0000},
        {99, 20, 1, 0x0a0000},   {99, 24, 0x01, 0x0a0000},
    };
    CopyList list;
    size_t full = HEADER + TARGET + SEGMENT;

    lun_test_write(device, 100, 10, 30);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        uint8_t *target, *segment;

        list = (CopyList){.length = 0};
        target = add_target(&list);
        segment = add_segment(&list, 0, 100, 10);
        if (rows[i].target < TARGET)
            target[rows[i].target] = rows[i].value;
        else
            segment[rows[i].segment] = rows[i].value;
        copy(&list, full, rows[i].sense);
    }
    list = (CopyList){.length = 0};
    add_target(&list);
    add_segment(&list, 0, 100, 10);
    copy(&list, HEADER - 1, SENSE_LIST_LENGTH);
    copy(&list, HEADER + TARGET - 1, SENSE_LIST_LENGTH);
    copy(&list, full - 1, SENSE_LIST_LENGTH);
    be32_put(list.bytes + 8, UINT32_MAX);
    copy(&list, full, SENSE_LIST_LENGTH);
    be32_put(list.bytes + 8, SEGMENT);
    list.bytes[15] = 1;
    copy(&list, full, 0x05260b); /* inline data */
    lun_test_expect(device, 100, 10, 30);
}

static void test_copy_counts(void)
{
    uint8_t limits[46] = {0};
    CopyList list = {.length = 0};

    lun_test_command(device, 0, limits, sizeof limits, 0x84, 0x03, [13] = sizeof limits);
    g_assert_cmpuint(be32_get(limits), ==, 42);
    g_assert_cmpuint(be16_get(limits + 8), ==, 2);
    g_assert_cmpuint(be16_get(limits + 10), ==, 8);
    g_assert_cmpuint(be32_get(limits + 12), ==, 2 * TARGET + 8 * SEGMENT);
    g_assert_cmpmem(limits + 43, 3, "\2\2\xe4", 3);
    lun_test_command(device, SENSE_INVALID_CDB, limits, sizeof limits, 0x84, 0x01, [13] = 46);
    for (int i = 0; i < 3; i++)
        add_target(&list);
    add_segment(&list, 0, 100, 10);
    copy(&list, list.length, 0x052606);
    list = (CopyList){.length = 0};
    add_target(&list);
    for (int i = 0; i < 9; i++)
        add_segment(&list, 0, 100, 10);
    copy(&list, list.length, 0x052608);
    lun_test_command(device, SENSE_INVALID_CDB, NULL, 0, 0x83, 0x01);
}

/* Of a list that wants its result kept, not of others. */
static void test_copy_status(void)
{
    CopyList list = {.bytes = {77, 0x10}}; /* discard */
    uint8_t result[12] = {0};

    add_target(&list);
    add_segment(&list, 0, 100, 10);
    add_segment(&list, 0, 200, 3);
    copy(&list, list.length, 0);
    lun_test_command(device, SENSE_INVALID_CDB, result, 12, 0x84, 0, 77, [13] = 12);
    list.bytes[1] = 0;
    copy(&list, list.length, 0);
    lun_test_command(device, 0, result, 12, 0x84, 0, 77, [13] = 12);
    g_assert_cmpmem(result, 12, "\0\0\0\x08\1\0\2\0\0\0\x1a\0", 12);
    lun_test_command(device, SENSE_INVALID_CDB, result, 12, 0x84, 0, 78, [13] = 12);
    /* The last sixteen are kept. */
    for (uint8_t id = 100; id < 116; id++) {
        list.bytes[0] = id;
        copy(&list, list.length, 0);
        copy(&list, list.length, 0);
    }
    lun_test_command(device, 0, result, 12, 0x84, 0, 100, [13] = 12);
    lun_test_command(device, SENSE_INVALID_CDB, result, 12, 0x84, 0, 77, [13] = 12);
}

/* ---- FORMAT UNIT ---- */

static void test_format_refuses(void)
{
    uint8_t list[8] = {0};

    lun_test_write(device, 200, 10, 31);
    lun_test_command(device, SENSE_INVALID_CDB, NULL, 0, 0x04, 0x80);
    lun_test_command(device, SENSE_INVALID_CDB, NULL, 0, 0x04, 0x01);
    lun_test_command(device, SENSE_LIST_LENGTH, list, 3, 0x04, 0x10);
    lun_test_command(device, SENSE_LIST_LENGTH, list, 7, 0x04, 0x30);
    list[1] = 0x08; /* a pattern */
    lun_test_command(device, SENSE_INVALID_LIST, list, 4, 0x04, 0x10);
    list[1] = 0;
    list[3] = 8; /* defects */
    lun_test_command(device, SENSE_INVALID_LIST, list, 4, 0x04, 0x10);
    lun_test_expect(device, 200, 10, 31);
}

static void test_format(void)
{
    const char *path = lun_test_image("format.vhd", VHD_TYPE_DYNAMIC, DISK_BYTES);
    RunnerDevice *other = lun_test_open(path, "", DISK_BYTES);
    uint8_t list[4] = {[1] = 0x02}; /* IMMED */
    GStatBuf before, after;

    lun_test_write(other, 0, 1, 1);
    lun_test_write(other, BLOCKS - 1, 1, 1);
    lun_test_command(other, 0, NULL, 0, 0x35);
    g_assert_cmpint(g_stat(path, &before), ==, 0);
    lun_test_command(other, 0, NULL, 0, 0x04);
    lun_test_expect(other, 0, BLOCKS, 0);
    lun_test_write(other, 0, 1, 1);
    lun_test_command(other, 0, list, sizeof list, 0x04, 0x10);
    lun_test_expect(other, 0, BLOCKS, 0);
    lun_test_command(other, 0, NULL, 0, 0x35);
    g_assert_cmpint(g_stat(path, &after), ==, 0);
    g_assert_cmpint(after.st_size, <=, before.st_size);
    lun_test_close(other);
    other = lun_test_open(path, ";ro", DISK_BYTES);
    lun_test_command(other, SENSE_PROTECTED, NULL, 0, 0x04);
    lun_test_command(other, SENSE_PROTECTED, NULL, 0, 0x83);
    lun_test_command(other, SENSE_PROTECTED, NULL, 0, 0x8b);
    lun_test_command(other, SENSE_PROTECTED, NULL, 0, 0x89);
    lun_test_command(other, SENSE_PROTECTED, NULL, 0, 0xae);
    lun_test_close(other);
}

int main(int argc, char **argv)
{
    int result;

    lun_test_init(&argc, &argv);
    device =
        lun_test_open(lun_test_image("disk.vhd", VHD_TYPE_DYNAMIC, DISK_BYTES), "", DISK_BYTES);
    g_test_add_func("/update/compare-and-write", test_compare_and_write);
    g_test_add_func("/update/compare-and-write/refuses", test_compare_and_write_refuses);
    g_test_add_func("/update/compare-and-write/atomic", test_compare_and_write_is_atomic);
    g_test_add_func("/update/or-write", test_or_write);
    g_test_add_func("/update/write-and-verify", test_write_and_verify);
    g_test_add_func("/update/copy", test_copy);
    g_test_add_func("/update/copy/refuses", test_copy_refuses);
    g_test_add_func("/update/copy/counts", test_copy_counts);
    g_test_add_func("/update/copy/status", test_copy_status);
    g_test_add_func("/update/format/refuses", test_format_refuses);
    g_test_add_func("/update/format", test_format);
    result = g_test_run();
    lun_test_close(device);
    lun_test_end();
    return result;
}
