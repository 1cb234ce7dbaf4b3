/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* Requests that are done in the thread that makes them, or left to the disk's. */
#include <errno.h>
#include <string.h>

#include "tests/unit/disk-sample.h"

static bool try_iov(VhdDisk *disk, VhdOp op, bool fua, uint64_t off, uint64_t len,
                    const struct iovec *iov, int iovcnt)
{
    VhdRequest request = {
        .op = op, .fua = fua, .off = off, .len = len, .iov = iov, .iovcnt = iovcnt};

    return vhd_disk_try(disk, &request);
}

static bool try_op(VhdDisk *disk, VhdOp op, uint64_t off, void *buf, size_t len)
{
    struct iovec iov = {buf, len};

    return try_iov(disk, op, false, off, len, &iov, 1);
}

static bool try_write(VhdDisk *disk, uint64_t off, const void *buf, size_t len)
{
    return try_op(disk, VHD_OP_WRITE, off, (void *)(uintptr_t)buf, len);
}

static void expect(VhdDisk *disk, uint64_t off, size_t len, uint8_t byte)
{
    g_autofree uint8_t *found = g_malloc0(len), *expected = g_malloc(len);

    memset(expected, byte, len);
    g_assert_cmpint(vhd_disk_read(disk, off, found, len), ==, 0);
    g_assert_cmpmem(found, len, expected, len);
}

/* Of one layer everything is known, and zeros take no reading. */
static void test_read(void)
{
    uint8_t data[8192], found[8192] = {0};
    struct iovec pieces[] = {{found + 4000, 4192}, {found, 4000}};
    Fixture f;

    memset(data, 7, sizeof data);
    setup_open(&f, &(Sample){.uuid = 1});
    g_assert_cmpint(vhd_disk_write(f.disk, 4096, data, sizeof data, false), ==, 0);
    g_assert_true(try_op(f.disk, VHD_OP_READ, 4096, found, sizeof found));
    g_assert_cmpmem(found, sizeof found, data, sizeof data);
    memset(found, 0, sizeof found);
    g_assert_true(try_iov(f.disk, VHD_OP_READ, false, 4096, sizeof found, pieces, 2));
    memmove(data, found + 4000, 4192);
    g_assert_cmpuint(data[0] & data[4191] & found[0] & found[3999], ==, 7);
    memset(found, 1, sizeof found);
    faults_fail(f.faults, FILE_OP_READ, VHD_IO_DATA, 1, EIO);
    g_assert_true(try_op(f.disk, VHD_OP_READ, BLOCK, found, 1024)); /* a block that is not there */
    g_assert_cmpuint(found[0] | found[1023], ==, 0);
    faults_clear(f.faults);
    g_assert_true(try_op(f.disk, VHD_OP_READ, BLOCK - 512, found, 1024));
    teardown(&f);
}

/* A place that is there is all that a write wants. */
static void test_write(void)
{
    uint8_t ones[4096], twos[4096];
    Fixture f;

    memset(ones, 1, sizeof ones);
    memset(twos, 2, sizeof twos);
    setup_open(&f, &(Sample){.uuid = 1});
    g_assert_false(try_write(f.disk, 0, ones, sizeof ones));
    expect(f.disk, 0, sizeof ones, 0);
    g_assert_cmpint(vhd_disk_write(f.disk, 0, ones, sizeof ones, false), ==, 0);
    g_assert_true(try_write(f.disk, 512, twos, sizeof twos));
    expect(f.disk, 0, 512, 1);
    expect(f.disk, 512, sizeof twos, 2);
    /* Two blocks, one of which has no place. */
    g_assert_false(try_write(f.disk, BLOCK - 512, twos, 1024));
    expect(f.disk, BLOCK, 512, 0);
    g_assert_cmpint(vhd_disk_close(f.disk), ==, 0);
    VhdDiskOptions options = options_of(&f);
    open_with(&f, &options, NULL);
    expect(f.disk, 512, sizeof twos, 2);
    teardown(&f);
}

/* In a child the sectors appear, and those beside them stay the parent's. */
static void test_write_child(void)
{
    uint8_t data[4096], found[4096];
    Fixture f;

    setup_open(&f, &(Sample){.uuid = 2});
    memset(data, 5, sizeof data);
    for (unsigned i = 0; i < BLOCK / sizeof data; i++)
        g_assert_cmpint(vhd_disk_write(f.disk, i * sizeof data, data, sizeof data, false), ==, 0);
    g_assert_cmpint(vhd_disk_close(f.disk), ==, 0);
    g_autofree char *name = g_path_get_basename(f.path), *relative = g_strconcat("./", name, NULL);
    g_autofree char *child =
        sample_make(f.folder, "child.vhd", &(Sample){.uuid = 1, .parent = 2, .relative = relative});
    VhdDiskOptions options = options_of(&f);
    options.path = child;
    open_with(&f, &options, NULL);
    VhdDisk *disk = f.disk;
    memset(data, 6, sizeof data);
    g_assert_false(try_op(disk, VHD_OP_READ, 4096, found, 4096)); /* whose it is nobody knows yet */
    expect(disk, 0, BLOCK, 5);
    g_assert_true(try_op(disk, VHD_OP_READ, 4096, found, 4096));
    g_assert_cmpuint(found[0] & found[4095], ==, 5);
    g_assert_false(try_write(disk, 0, data, 512)); /* no block yet */
    g_assert_cmpint(vhd_disk_write(disk, 0, data, 512, false), ==, 0);
    for (unsigned at = 8192; at < 8192 + 4096 + 1024; at += 1024)
        g_assert_true(try_write(disk, at, data, 512));
    expect(disk, 0, 512, 6);
    expect(disk, 512, 8192 - 512, 5);
    for (unsigned at = 8192; at < 8192 + 4096 + 1024; at += 1024) {
        expect(disk, at, 512, 6);
        expect(disk, at + 512, 512, 5);
    }
    g_assert_true(try_write(disk, 16384, data, 4096));
    g_assert_true(try_op(disk, VHD_OP_READ, 16384, found, 4096));
    g_assert_cmpmem(found, sizeof found, data, sizeof data);
    g_assert_true(try_op(disk, VHD_OP_READ, 20480, found, 4096));
    g_assert_cmpuint(found[0], ==, 5);
    g_assert_cmpint(vhd_disk_write_zeroes(disk, 20480, 4096, false), ==, 0);
    expect(disk, 20480, 4096, 0);
    expect(disk, 24576, 4096, 5);
    teardown(&f);
}

static void test_not_for_us(void)
{
    static uint8_t buf[VHD_DISK_TRY_BYTES + 512];
    struct iovec iov = {buf, 512};
    Fixture f;

    setup_open(&f, &(Sample){.uuid = 1, .type = VHD_TYPE_FIXED});
    expect(f.disk, 0, SAMPLE_BYTES, 0);
    g_assert_true(try_write(f.disk, 0, buf, 512));
    g_assert_false(try_iov(f.disk, VHD_OP_WRITE, true, 0, 512, &iov, 1));
    g_assert_false(try_op(f.disk, VHD_OP_READ, 0, buf, sizeof buf));
    g_assert_true(try_op(f.disk, VHD_OP_READ, 0, buf, VHD_DISK_TRY_BYTES));
    g_assert_false(try_op(f.disk, VHD_OP_READ, 1, buf, 512));
    g_assert_false(try_op(f.disk, VHD_OP_READ, SAMPLE_BYTES, buf, 512));
    g_assert_false(try_op(f.disk, VHD_OP_READ, 0, buf, 0));
    g_assert_false(try_iov(f.disk, VHD_OP_READ, false, 0, 1024, &iov, 1));
    g_assert_false(try_iov(f.disk, VHD_OP_WRITE_ZEROES, false, 0, 512, NULL, 0));
    g_assert_false(try_iov(f.disk, VHD_OP_UNMAP, false, 0, 512, NULL, 0));
    g_assert_false(try_iov(f.disk, VHD_OP_FLUSH, false, 0, 0, NULL, 0));
    g_assert_false(try_iov(f.disk, VHD_OP_OR_WRITE, false, 0, 512, &iov, 1));
    teardown(&f);
}

static void test_never_writes(void)
{
    uint8_t buf[512] = {1};
    Fixture f;

    setup(&f, &(Sample){.uuid = 1, .type = VHD_TYPE_FIXED});
    VhdDiskOptions options = options_of(&f);
    options.cache = VHD_CACHE_WRITETHROUGH;
    open_with(&f, &options, NULL);
    g_assert_false(try_write(f.disk, 0, buf, 512));
    g_assert_cmpint(vhd_disk_close(f.disk), ==, 0);
    options = options_of(&f);
    options.read_only = true;
    open_with(&f, &options, NULL);
    g_assert_false(try_write(f.disk, 0, buf, 512));
    teardown(&f);
}

/* What is under way keeps its order. */
static void test_behind_others(void)
{
    uint8_t first[512] = {0}, second[512] = {2}, found[512];
    Fixture f;
    Task slow;
    unsigned rule;

    setup_open(&f, &(Sample){.uuid = 1});
    g_assert_cmpint(vhd_disk_write(f.disk, 0, first, 512, false), ==, 0);
    expect(f.disk, 512, 512, 0);
    rule = faults_hold(f.faults, FILE_OP_WRITE, VHD_IO_DATA, 1);
    submit(f.disk, &slow, VHD_OP_WRITE, 0, first, 512);
    g_assert_true(faults_wait_held(f.faults, rule, WAIT_MS));
    g_assert_false(try_write(f.disk, 0, second, 512));
    g_assert_true(try_write(f.disk, 512, second, 512));
    g_assert_true(try_op(f.disk, VHD_OP_READ, 512, found, 512));
    faults_release(f.faults, rule);
    g_assert_cmpint(wait_for(&slow), ==, 0);
    expect(f.disk, 0, 512, 0);
    rule = faults_hold(f.faults, FILE_OP_PUNCH, VHD_IO_DATA, 1);
    submit(f.disk, &slow, VHD_OP_UNMAP, 1024, NULL, 512);
    g_assert_true(faults_wait_held(f.faults, rule, WAIT_MS));
    g_assert_false(try_op(f.disk, VHD_OP_READ, 512, found, 512)); /* the block may go */
    g_assert_false(try_write(f.disk, 512, second, 512)); /* it would wait in the file system */
    faults_release(f.faults, rule);
    g_assert_cmpint(wait_for(&slow), ==, 0);
    g_assert_true(try_write(f.disk, 512, second, 512));
    teardown(&f);
}

/* It is nobody's failure yet: whoever waits does it again, and says what is wrong. */
static void test_failure(void)
{
    uint8_t data[512] = {0};
    Fixture f;

    setup_open(&f, &(Sample){.uuid = 1});
    g_assert_cmpint(vhd_disk_write(f.disk, 0, data, 512, false), ==, 0);
    expect(f.disk, 0, 512, 0);
    faults_fail(f.faults, FILE_OP_WRITE, VHD_IO_DATA, 1, EIO);
    g_assert_false(try_write(f.disk, 512, data, 512));
    expect(f.disk, 512, 512, 0);
    g_assert_true(try_write(f.disk, 512, data, 512));
    faults_fail(f.faults, FILE_OP_READ, VHD_IO_DATA, 1, EIO);
    g_assert_false(try_op(f.disk, VHD_OP_READ, 0, data, 512));
    faults_fail(f.faults, FILE_OP_BARRIER, FILE_KIND_ANY, 1, EIO);
    g_assert_cmpint(vhd_disk_flush(f.disk), ==, -EIO);
    g_assert_false(try_write(f.disk, 512, data, 512));
    g_assert_true(try_op(f.disk, VHD_OP_READ, 0, data, 512));
    vhd_disk_close(f.disk);
    f.disk = NULL;
    teardown(&f);
}

/* Whoever passes the bound of dirty data waits for the flush, which is nothing to be done here. */
static void test_bounds(void)
{
    VhdDiskBounds bounds = VHD_DISK_BOUNDS;
    uint8_t data[4096] = {1};
    Fixture f;

    bounds.data_bytes = 3 * sizeof data;
    setup(&f, &(Sample){.uuid = 1, .type = VHD_TYPE_FIXED});
    VhdDiskOptions options = options_of(&f);
    open_with(&f, &options, &bounds);
    for (unsigned i = 0; i < 4; i++)
        g_assert_true(try_write(f.disk, i * sizeof data, data, sizeof data));
    g_assert_false(try_write(f.disk, 0, data, sizeof data));
    g_assert_cmpint(vhd_disk_flush(f.disk), ==, 0);
    g_assert_true(try_write(f.disk, 0, data, sizeof data));
    teardown(&f);
}

/* What would have to wait is soon left to others, and tried again later. */
static void test_misses(const void *kind)
{
    VhdOp op = (VhdOp)GPOINTER_TO_INT(kind), other = op == VHD_OP_READ ? VHD_OP_WRITE : VHD_OP_READ;
    FileOp file_op = op == VHD_OP_READ ? FILE_OP_READ : FILE_OP_WRITE;
    uint8_t data[512] = {0};
    unsigned tried = 0, passed = 0;
    Fixture f;

    setup_open(&f, &(Sample){.uuid = 1});
    g_assert_cmpint(vhd_disk_write(f.disk, 0, data, 512, false), ==, 0);
    for (unsigned i = 0; i < 200; i++) {
        uint64_t before = faults_count(f.faults, file_op, VHD_IO_DATA);

        faults_fail(f.faults, file_op, VHD_IO_DATA, 1, EAGAIN);
        g_assert_false(try_op(f.disk, op, 0, data, 512));
        if (faults_count(f.faults, file_op, VHD_IO_DATA) > before)
            tried++;
        else
            passed++;
        faults_clear(f.faults);
        g_assert_true(try_op(f.disk, other, 0, data, 512)); /* to which it makes no difference */
    }
    g_assert_cmpuint(tried, >=, 8);
    g_assert_cmpuint(passed, >=, 180);
    for (tried = 0; !try_op(f.disk, op, 0, data, 512); tried++)
        g_assert_cmpuint(tried, <, 40);
    g_assert_true(try_op(f.disk, op, 0, data, 512));
    teardown(&f);
}

/* Threads that write each a part of a block that was not there: what is written is read. */

typedef struct Part {
    pthread_t thread;
    VhdDisk *disk;
    pthread_barrier_t *together;
    unsigned index;
} Part;

enum { PARTS = 4, PART_BLOCKS = SAMPLE_BYTES / BLOCK };

static void transfer(VhdDisk *disk, VhdOp op, uint64_t off, uint8_t *data)
{
    if (try_op(disk, op, off, data, 512))
        return;
    g_assert_cmpint(op == VHD_OP_READ ? vhd_disk_read(disk, off, data, 512)
                                      : vhd_disk_write(disk, off, data, 512, false),
                    ==, 0);
}

static void *write_parts(void *arg)
{
    Part *part = arg;
    uint8_t data[512];

    for (unsigned i = 0; i < PART_BLOCKS; i++) {
        uint64_t off = i * (uint64_t)BLOCK + part->index * UINT64_C(8192);

        transfer(part->disk, VHD_OP_READ, off, data);
        pthread_barrier_wait(part->together);
        memset(data, 7, sizeof data);
        transfer(part->disk, VHD_OP_WRITE, off, data);
        memset(data, 9, sizeof data);
        transfer(part->disk, VHD_OP_READ, off, data);
        g_assert_cmpuint(data[0] & data[511], ==, 7);
    }
    return NULL;
}

static void test_new_block_in_parts(void)
{
    pthread_barrier_t together;
    Part parts[PARTS];

    pthread_barrier_init(&together, NULL, PARTS);
    for (unsigned round = 0; round < 20; round++) {
        Fixture f;

        setup_open(&f, &(Sample){.uuid = 1});
        for (unsigned i = 0; i < PARTS; i++) {
            parts[i] = (Part){.disk = f.disk, .together = &together, .index = i};
            g_assert_cmpint(pthread_create(&parts[i].thread, NULL, write_parts, &parts[i]), ==, 0);
        }
        for (unsigned i = 0; i < PARTS; i++)
            pthread_join(parts[i].thread, NULL);
        teardown(&f);
    }
    pthread_barrier_destroy(&together);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/disk-try/read", test_read);
    g_test_add_func("/disk-try/write", test_write);
    g_test_add_func("/disk-try/write-child", test_write_child);
    g_test_add_func("/disk-try/not-for-us", test_not_for_us);
    g_test_add_func("/disk-try/never-writes", test_never_writes);
    g_test_add_func("/disk-try/behind-others", test_behind_others);
    g_test_add_func("/disk-try/failure", test_failure);
    g_test_add_func("/disk-try/bounds", test_bounds);
    g_test_add_data_func("/disk-try/misses/reads", GINT_TO_POINTER(VHD_OP_READ), test_misses);
    g_test_add_data_func("/disk-try/misses/writes", GINT_TO_POINTER(VHD_OP_WRITE), test_misses);
    g_test_add_func("/disk-try/new-block-in-parts", test_new_block_in_parts);
    return g_test_run();
}
