/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* SANITIZE and FORMAT UNIT: everything is gone afterwards, and a sparse image stays sparse. */
#include <string.h>
#include <sys/stat.h>

#include "tests/handler/lun-test.h"
#include "vhd/be.h"

enum { MIB = 1024 * 1024, DISK_BYTES = 4 * MIB, BLOCKS = DISK_BYTES / LUN_TEST_BLOCK };
enum { OVERWRITE = 1, BLOCK_ERASE = 2 };
enum { LIST_ROOM = 4 + LUN_TEST_BLOCK + 8 };

static uint8_t data[4096];

/* SANITIZE with the length in the CDB and as many bytes of list, which may be NULL. */
static RunnerReply sanitize(RunnerDevice *device, uint8_t byte_1, const uint8_t *list,
                            uint16_t length)
{
    uint8_t cdb[16] = {0x48, byte_1}, buffer[LIST_ROOM];
    struct iovec iov = {buffer, length};

    if (list)
        memcpy(buffer, list, length);
    be16_put(cdb + 7, length);
    return runner_execute(device, cdb, &iov, list ? 1 : 0);
}

static void expect_good(RunnerReply reply)
{
    if (reply.status != RUNNER_GOOD)
        g_error("status %02x, sense %06x", reply.status, runner_reply_sense(&reply));
}

/* pointer: bytes 15 to 17 of the sense; 0: not looked at. */
static void expect_refused(RunnerReply reply, uint32_t sense, uint32_t pointer)
{
    g_assert_cmphex(reply.status, ==, RUNNER_CHECK_CONDITION);
    g_assert_cmphex(runner_reply_sense(&reply), ==, sense);
    if (pointer)
        g_assert_cmphex(be32_get(reply.sense + 14) & 0xffffff, ==, pointer);
}

static void expect_all(RunnerDevice *device, uint32_t blocks, uint8_t byte)
{
    g_autofree uint8_t *seen = g_malloc(MIB);

    for (uint32_t lba = 0; lba < blocks; lba += MIB / LUN_TEST_BLOCK) {
        RunnerReply reply = runner_read(device, lba, MIB / LUN_TEST_BLOCK, seen);

        expect_good(reply);
        for (size_t i = 0; i < MIB; i++)
            g_assert_cmphex(seen[i], ==, byte);
    }
}

static uint64_t occupied(const char *path)
{
    struct stat st;

    g_assert_cmpint(stat(path, &st), ==, 0);
    return (uint64_t)st.st_blocks * 512;
}

/* Commands that make everything zero, each on an image that has data at both ends. */
static void make_zero(RunnerDevice *device, unsigned way)
{
    static const uint8_t zeros[8] = {1, 0, 0, 4};

    switch (way) {
    case 0:
        expect_good(sanitize(device, BLOCK_ERASE, NULL, 0));
        break;
    case 1:
        expect_good(sanitize(device, OVERWRITE, zeros, sizeof zeros));
        break;
    default:
        lun_test_command(device, 0, NULL, 0, 0x04); /* FORMAT UNIT */
        break;
    }
}

/* 64 GiB: writing them would take hours, or more than there is. */
static void test_stays_sparse(void)
{
    const uint64_t bytes = UINT64_C(64) << 30;
    const uint32_t last = (uint32_t)(bytes / LUN_TEST_BLOCK) - 300;

    for (unsigned way = 0; way < 3; way++) {
        const char *path = lun_test_image("big.vhd", VHD_TYPE_DYNAMIC, bytes);
        RunnerDevice *device = lun_test_open(path, "", bytes);
        uint64_t before = occupied(path);

        lun_test_write(device, 0, 300, 5);
        lun_test_write(device, last, 300, 6);
        make_zero(device, way);
        lun_test_expect(device, 0, 300, 0);
        lun_test_expect(device, last, 300, 0);
        /* One run, not mapped. */
        lun_test_command(device, 0, data, 512, 0x9e, 0x12, [13] = 64);
        g_assert_cmpuint(be32_get(data), ==, 4 + 16);
        g_assert_cmpuint(be32_get(data + 16), ==, bytes / LUN_TEST_BLOCK);
        g_assert_cmphex(data[20], ==, 1);
        lun_test_close(device);
        g_assert_cmpuint(occupied(path), <=, before + MIB);
    }
}

/* The parent is hidden by holes, not by data, and stays what it is. */
static void test_child(void)
{
    const char *parent = lun_test_image("parent.vhd", VHD_TYPE_DYNAMIC, DISK_BYTES);
    RunnerDevice *device = lun_test_open(parent, "", DISK_BYTES);

    for (uint32_t lba = 0; lba < BLOCKS; lba += 1024)
        lun_test_write(device, lba, 1024, 3);
    lun_test_close(device);
    for (unsigned way = 0; way < 3; way++) {
        const char *child = lun_test_child("child.vhd", parent, DISK_BYTES);

        device = lun_test_open(child, "", DISK_BYTES);
        lun_test_write(device, 100, 1000, 4);
        make_zero(device, way);
        expect_all(device, BLOCKS, 0);
        lun_test_close(device);
        g_assert_cmpuint(occupied(child), <, DISK_BYTES / 4);
        device = lun_test_open(child, "", DISK_BYTES);
        expect_all(device, BLOCKS, 0);
        lun_test_close(device);
    }
    device = lun_test_open(parent, "", DISK_BYTES);
    lun_test_expect(device, 0, 1024, 3);
    lun_test_expect(device, BLOCKS - 1024, 1024, 3);
    lun_test_close(device);
}

/* More than one pass: what the last one leaves. IMMED and AUSE change nothing. */
static void test_pattern(void)
{
    static const struct {
        uint8_t byte_1, count, byte;
    } rows[] = {
        {OVERWRITE, 1, 0xaa},
        {OVERWRITE | 0x80, 31, 0xaa},
        {OVERWRITE | 0x20, 0x80 | 2, 0x55},
        {OVERWRITE, 0x80 | 3, 0xaa},
    };
    static const uint8_t three[] = {1, 0, 0, 3, 'a', 'b', 'c'};
    const char *path = lun_test_image("disk.vhd", VHD_TYPE_DYNAMIC, DISK_BYTES + MIB / 2);
    RunnerDevice *device = lun_test_open(path, "", DISK_BYTES + MIB / 2);
    uint8_t list[4 + LUN_TEST_BLOCK];

    memset(list, 0xaa, sizeof list);
    be32_put(list, LUN_TEST_BLOCK);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        list[0] = rows[i].count;
        lun_test_write(device, 7, 3, 9);
        expect_good(sanitize(device, rows[i].byte_1, list, sizeof list));
        expect_all(device, BLOCKS, rows[i].byte);
    }
    /* Cut off at the end of each block, up to the last one. */
    expect_good(sanitize(device, OVERWRITE, three, sizeof three));
    for (uint32_t lba = 0; lba < BLOCKS + 1024; lba += lba == 0 ? BLOCKS + 1023 : 1) {
        expect_good(runner_read(device, lba, 1, data));
        g_assert_cmpmem(data, 5, "abcab", 5);
        g_assert_cmpmem(data + LUN_TEST_BLOCK - 2, 2, "ab", 2);
    }
    lun_test_close(device);
}

static void test_list_is_checked(RunnerDevice *device)
{
    static const struct {
        uint8_t list[4];
        uint16_t length;
        uint32_t sense, pointer;
    } rows[] = {
        {{1, 0, 0, 4}, 4, SENSE_INVALID_CDB, 0xcf0007},
        {{1, 0, 2, 0}, 4 + 513, SENSE_INVALID_CDB, 0xcf0007},
        {{0, 0, 0, 4}, 8, SENSE_INVALID_LIST, 0x8c0000},    /* no pass */
        {{0x21, 0, 0, 4}, 8, SENSE_INVALID_LIST, 0x8e0000}, /* TEST */
        {{1, 1, 0, 4}, 8, SENSE_INVALID_LIST, 0x8f0001},
        {{1, 0, 0, 0}, 8, SENSE_INVALID_LIST, 0x8f0002},
        {{1, 0, 2, 1}, 4 + 512, SENSE_INVALID_LIST, 0x8f0002},
        {{1, 0, 0, 5}, 8, SENSE_LIST_LENGTH, 0},
    };
    uint8_t list[LIST_ROOM] = {0}, cdb[16] = {0x48, OVERWRITE, [8] = 8};
    struct iovec iov = {list, 7};

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        memcpy(list, rows[i].list, 4);
        expect_refused(sanitize(device, OVERWRITE, list, rows[i].length), rows[i].sense,
                       rows[i].pointer);
    }
    be32_put(list, 0x01000004);
    expect_refused(runner_execute(device, cdb, &iov, 1), SENSE_LIST_LENGTH, 0);
    expect_refused(sanitize(device, OVERWRITE, NULL, 0), SENSE_INVALID_CDB, 0xcf0007);
}

static void test_refuses(void)
{
    static const uint8_t zeros[8] = {1, 0, 0, 4};
    const char *path = lun_test_image("disk.vhd", VHD_TYPE_DYNAMIC, DISK_BYTES);
    RunnerDevice *device = lun_test_open(path, "", DISK_BYTES);

    lun_test_write(device, 7, 3, 9);
    test_list_is_checked(device);
    expect_refused(sanitize(device, BLOCK_ERASE, zeros, 8), SENSE_INVALID_CDB, 0xcf0007);
    expect_refused(sanitize(device, BLOCK_ERASE | 0x40, NULL, 0), SENSE_INVALID_CDB, 0xce0001);
    expect_refused(sanitize(device, OVERWRITE | 0x40, zeros, 8), SENSE_INVALID_CDB, 0xce0001);
    for (uint8_t action = 0; action < 32; action++) {
        if (action != OVERWRITE && action != BLOCK_ERASE)
            expect_refused(sanitize(device, action, NULL, 0), SENSE_INVALID_CDB, 0xcc0001);
    }
    for (uint8_t i = 2; i < 7; i++) {
        uint8_t cdb[16] = {0x48, BLOCK_ERASE};

        cdb[i] = 1;
        expect_refused(runner_execute(device, cdb, NULL, 0), SENSE_INVALID_CDB, 0xcf0000U | i);
    }
    lun_test_expect(device, 7, 3, 9);
    lun_test_close(device);
}

/* Support field of REPORT SUPPORTED OPERATION CODES. */
static uint8_t support(RunnerDevice *device, uint8_t action)
{
    lun_test_command(device, 0, data, 512, 0xa3, 0x0c, 2, 0x48, 0, action, 0, 0, 2, 0);
    return data[1];
}

/* BLOCK ERASE is for LUNs that give space back; a disk that is only read loses nothing. */
static void test_options(void)
{
    static const uint8_t zeros[8] = {1, 0, 0, 4};
    const char *path = lun_test_image("disk.vhd", VHD_TYPE_DYNAMIC, DISK_BYTES);
    RunnerDevice *device = lun_test_open(path, "", DISK_BYTES);

    lun_test_write(device, 7, 3, 9);
    g_assert_cmphex(support(device, OVERWRITE), ==, 3);
    g_assert_cmpmem(data, 14, "\0\3\0\12\x48\xa1\0\0\0\0\0\xff\xff\0", 14);
    g_assert_cmphex(support(device, BLOCK_ERASE), ==, 3);
    g_assert_cmphex(support(device, 3), ==, 1);
    lun_test_command(device, 0, data, 512, 0x12, 1, 0xb1, 0, 64);
    g_assert_cmphex(data[7], ==, 0x40); /* WABEREQ */
    lun_test_close(device);

    device = lun_test_open(path, ";ro", DISK_BYTES);
    expect_refused(sanitize(device, OVERWRITE, zeros, 8), SENSE_PROTECTED, 0);
    expect_refused(sanitize(device, BLOCK_ERASE, NULL, 0), SENSE_PROTECTED, 0);
    lun_test_expect(device, 7, 3, 9);
    lun_test_close(device);

    device = lun_test_open(path, ";discard=off", DISK_BYTES);
    g_assert_cmphex(support(device, BLOCK_ERASE), ==, 1);
    expect_refused(sanitize(device, BLOCK_ERASE, NULL, 0), SENSE_INVALID_CDB, 0xcc0001);
    lun_test_command(device, 0, data, 512, 0x12, 1, 0xb1, 0, 64);
    g_assert_cmphex(data[7], ==, 0);
    lun_test_expect(device, 7, 3, 9);
    expect_good(sanitize(device, OVERWRITE, zeros, 8));
    lun_test_expect(device, 7, 3, 0);
    lun_test_close(device);
}

/* What initiators send with FORMAT UNIT: a header, and no defects. */
static void test_format_list(void)
{
    static const struct {
        uint8_t byte_1, list[8], length;
        uint32_t sense;
    } rows[] = {
        {0x18, {0, 0x02}, 4, 0}, /* CMPLST, IMMED */
        {0x10, {0, 0xa0}, 4, 0}, /* FOV, DCRT */
        {0x38, {0, 0x02}, 8, 0}, /* a long list */
        {0x08, {0}, 0, 0},
        {0x98, {0}, 4, SENSE_INVALID_CDB},        /* FMTPINFO */
        {0x19, {0}, 4, SENSE_INVALID_CDB},        /* another form of list */
        {0x18, {0, 0x08}, 4, SENSE_INVALID_LIST}, /* IP */
        {0x18, {0, 0, 0, 8}, 4, SENSE_INVALID_LIST},
        {0x18, {1}, 4, SENSE_INVALID_LIST},
        {0x38, {0, 0, 0, 0, 0, 0, 0, 8}, 8, SENSE_INVALID_LIST},
        {0x38, {0, 0, 0, 1}, 8, SENSE_INVALID_LIST},
        {0x18, {0}, 3, SENSE_LIST_LENGTH},
        {0x38, {0}, 4, SENSE_LIST_LENGTH},
    };
    const char *path = lun_test_image("disk.vhd", VHD_TYPE_DYNAMIC, DISK_BYTES);
    RunnerDevice *device = lun_test_open(path, "", DISK_BYTES);

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        uint8_t cdb[16] = {0x04, rows[i].byte_1}, list[8];
        struct iovec iov = {list, rows[i].length};
        RunnerReply reply;

        memcpy(list, rows[i].list, sizeof list);
        lun_test_write(device, 7, 3, 9);
        reply = runner_execute(device, cdb, &iov, rows[i].length ? 1 : 0);
        if (runner_reply_sense(&reply) != rows[i].sense)
            g_error("row %zu: sense %06x", i, runner_reply_sense(&reply));
        lun_test_expect(device, 7, 3, rows[i].sense ? 9 : 0);
    }
    lun_test_close(device);
}

typedef struct Waiting {
    GMutex lock;
    GCond cond;
    bool done;
    RunnerReply reply;
} Waiting;

static void note_reply(void *arg, const RunnerReply *reply)
{
    Waiting *waiting = arg;

    g_mutex_lock(&waiting->lock);
    waiting->reply = *reply;
    waiting->done = true;
    g_cond_signal(&waiting->cond);
    g_mutex_unlock(&waiting->lock);
}

static RunnerReply await_reply(Waiting *waiting)
{
    g_mutex_lock(&waiting->lock);
    while (!waiting->done)
        g_cond_wait(&waiting->cond, &waiting->lock);
    g_mutex_unlock(&waiting->lock);
    return waiting->reply;
}

/* A WRITE SAME of a pattern is many writes: those that come after the command that wipes the disk
 * began must not survive it. */
static void test_command_in_pieces(void)
{
    enum { MANY = 64 * MIB };
    const char *path = lun_test_image("disk.vhd", VHD_TYPE_DYNAMIC, MANY);
    RunnerDevice *device = lun_test_open(path, "", MANY);

    for (unsigned way = 0; way < 3; way++) {
        Waiting same = {0};
        uint8_t cdb[16], block[LUN_TEST_BLOCK];
        struct iovec iov = {block, sizeof block};

        memset(block, 0x5a, sizeof block);
        runner_cdb_write_same16(cdb, 0, MANY / LUN_TEST_BLOCK, 0);
        g_assert_cmpint(runner_submit(device, cdb, &iov, 1, note_reply, &same), ==, 0);
        make_zero(device, way);
        expect_good(await_reply(&same));
        expect_all(device, MANY / LUN_TEST_BLOCK, 0);
    }
    lun_test_close(device);
}

int main(int argc, char **argv)
{
    int result;

    lun_test_init(&argc, &argv);
    g_test_add_func("/sanitize/stays-sparse", test_stays_sparse);
    g_test_add_func("/sanitize/child", test_child);
    g_test_add_func("/sanitize/pattern", test_pattern);
    g_test_add_func("/sanitize/refuses", test_refuses);
    g_test_add_func("/sanitize/options", test_options);
    g_test_add_func("/sanitize/format-list", test_format_list);
    g_test_add_func("/sanitize/command-in-pieces", test_command_in_pieces);
    result = g_test_run();
    lun_test_end();
    return result;
}
