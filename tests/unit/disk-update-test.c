/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* Requests that read before they write, and those that ask where something is stored. */
#include <errno.h>
#include <string.h>

#include "tests/unit/disk-sample.h"

enum { LARGE = 384 * 1024 }; /* more than is read at once */

/* As run, and how far a comparison came. */
static int update(VhdDisk *disk, VhdOp op, uint64_t off, uint64_t len, const struct iovec *iov,
                  int iovcnt, uint64_t *same)
{
    Task task;
    int result;

    task_init(&task);
    task.request = (VhdRequest){
        .op = op,
        .off = off,
        .len = len,
        .iov = iov,
        .iovcnt = iovcnt,
        .done = task_done,
        .data = &task,
    };
    vhd_disk_submit(disk, &task.request);
    result = wait_for(&task);
    if (same)
        *same = task.request.same;
    return result;
}

static void expect(VhdDisk *disk, uint64_t off, size_t len, uint8_t byte)
{
    g_autofree uint8_t *found = g_malloc0(len), *expected = g_malloc(len);

    memset(expected, byte, len);
    g_assert_cmpint(vhd_disk_read(disk, off, found, len), ==, 0);
    g_assert_cmpmem(found, len, expected, len);
}

static void fill(VhdDisk *disk, uint64_t off, size_t len, uint8_t byte)
{
    g_autofree uint8_t *data = g_malloc(len);

    memset(data, byte, len);
    g_assert_cmpint(vhd_disk_write(disk, off, data, len, false), ==, 0);
}

/* Expected and new data in vectors that end anywhere, also across the two. */
static void test_compare_and_write(void)
{
    static const size_t places[] = {0, 511, 512, 300000, LARGE - 1};
    g_autofree uint8_t *data = g_malloc(2 * LARGE);
    struct iovec iov[] = {{data, 700}, {data + 700, LARGE}, {data + 700 + LARGE, LARGE - 700}};
    Fixture f;
    uint64_t same;

    setup_open(&f, &(Sample){.uuid = 1});
    memset(data, 'a', LARGE);
    memset(data + LARGE, 'b', LARGE);
    fill(f.disk, 512, LARGE, 'a');
    for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
        data[places[i]] = 'x';
        g_assert_cmpint(update(f.disk, VHD_OP_COMPARE_AND_WRITE, 512, LARGE, iov, 3, &same), ==,
                        -EILSEQ);
        g_assert_cmpuint(same, ==, places[i]);
        data[places[i]] = 'a';
    }
    expect(f.disk, 512, LARGE, 'a');
    g_assert_cmpint(update(f.disk, VHD_OP_COMPARE_AND_WRITE, 512, LARGE, iov, 3, &same), ==, 0);
    expect(f.disk, 512, LARGE, 'b');
    expect(f.disk, 0, 512, 0);
    expect(f.disk, 512 + LARGE, 512, 0);
    teardown(&f);
}

static void test_or_write(void)
{
    g_autofree uint8_t *data = g_malloc(LARGE);
    struct iovec iov[] = {{data, 700}, {data + 700, LARGE - 700}};
    Fixture f;

    setup_open(&f, &(Sample){.uuid = 1});
    fill(f.disk, 512, LARGE, 0x0f);
    memset(data, 0x31, LARGE);
    g_assert_cmpint(update(f.disk, VHD_OP_OR_WRITE, 512, LARGE, iov, 2, NULL), ==, 0);
    expect(f.disk, 512, LARGE, 0x3f);
    expect(f.disk, 512 + LARGE, 512, 0);
    teardown(&f);
}

static void test_refused(void)
{
    Fixture f;
    VhdDiskOptions options;
    uint8_t buf[1024] = {0};
    struct iovec iov[] = {{buf, 512}, {buf, 512}};

    setup(&f, &(Sample){.uuid = 1});
    options = options_of(&f);
    open_with(&f, &options, NULL);
    g_assert_cmpint(run(f.disk, VHD_OP_COMPARE_AND_WRITE, 0, 512, iov, 1), ==, -EINVAL);
    g_assert_cmpint(run(f.disk, VHD_OP_COMPARE_AND_WRITE, 0, 1024, iov, 2), ==, -EINVAL);
    g_assert_cmpint(run(f.disk, VHD_OP_OR_WRITE, 0, 512, iov, 2), ==, -EINVAL);
    g_assert_cmpint(run(f.disk, VHD_OP_STATUS, 0, 512, NULL, 0), ==, -EINVAL);
    g_assert_cmpint(run(f.disk, VHD_OP_COMPARE_AND_WRITE, 0, 512, iov, 2), ==, 0);
    g_assert_cmpint(vhd_disk_close(f.disk), ==, 0);
    options.read_only = true;
    open_with(&f, &options, NULL);
    g_assert_cmpint(run(f.disk, VHD_OP_COMPARE_AND_WRITE, 0, 512, iov, 2), ==, -EROFS);
    g_assert_cmpint(run(f.disk, VHD_OP_OR_WRITE, 0, 512, iov, 1), ==, -EROFS);
    teardown(&f);
}

/* A write of the same range that comes between reading and writing has to wait. */
static void test_held_against_writes(void)
{
    Fixture f;
    Task swap, write;
    uint8_t data[1024], other[512];
    unsigned rule;

    setup_open(&f, &(Sample){.uuid = 1});
    fill(f.disk, 0, 512, 'a');
    memset(data, 'a', 512);
    memset(data + 512, 'b', 512);
    memset(other, 'c', sizeof other);
    rule = faults_hold(f.faults, FILE_OP_READ, VHD_IO_DATA, 1);
    task_init(&swap);
    swap.iov = (struct iovec){data, sizeof data};
    swap.request = (VhdRequest){
        .op = VHD_OP_COMPARE_AND_WRITE,
        .len = 512,
        .iov = &swap.iov,
        .iovcnt = 1,
        .done = task_done,
        .data = &swap,
    };
    vhd_disk_submit(f.disk, &swap.request);
    g_assert_true(faults_wait_held(f.faults, rule, WAIT_MS));
    submit(f.disk, &write, VHD_OP_WRITE, 0, other, sizeof other);
    g_usleep(50 * 1000);
    g_assert_false(is_done(&write));
    faults_release(f.faults, rule);
    g_assert_cmpint(wait_for(&swap), ==, 0);
    g_assert_cmpint(wait_for(&write), ==, 0);
    expect(f.disk, 0, 512, 'c');
    teardown(&f);
}

static void test_fua_flushes(void)
{
    Fixture f;
    Task task;
    uint8_t bits[512] = {1};
    uint64_t before;

    setup_open(&f, &(Sample){.uuid = 1});
    fill(f.disk, 0, 512, 2);
    before = barriers(&f);
    submit(f.disk, &task, VHD_OP_OR_WRITE, 0, bits, sizeof bits);
    g_assert_cmpint(wait_for(&task), ==, 0);
    g_assert_cmpuint(barriers(&f), ==, before);
    task_init(&task);
    task.iov = (struct iovec){bits, sizeof bits};
    task.request = (VhdRequest){
        .op = VHD_OP_OR_WRITE,
        .fua = true,
        .len = 512,
        .iov = &task.iov,
        .iovcnt = 1,
        .done = task_done,
        .data = &task,
    };
    vhd_disk_submit(f.disk, &task.request);
    g_assert_cmpint(wait_for(&task), ==, 0);
    g_assert_cmpuint(barriers(&f), >, before);
    teardown(&f);
}

/* Runs of the status of [off, end), as "MAPPED:LENGTH ..." in sectors. */
static char *status(VhdDisk *disk, uint64_t off, unsigned room)
{
    VhdDiskRun runs[8];
    GString *text = g_string_new(NULL);
    Task task;

    task_init(&task);
    task.request = (VhdRequest){
        .op = VHD_OP_STATUS,
        .off = off,
        .len = SAMPLE_BYTES - off,
        .runs = runs,
        .run_room = room,
        .done = task_done,
        .data = &task,
    };
    vhd_disk_submit(disk, &task.request);
    g_assert_cmpint(wait_for(&task), ==, 0);
    for (unsigned i = 0; i < task.request.run_count; i++)
        g_string_append_printf(text, "%s%d:%" G_GUINT64_FORMAT, i ? " " : "", runs[i].mapped,
                               runs[i].len / 512);
    return g_string_free(text, FALSE);
}

#define expect_status(disk, off, room, text)                                                       \
    do {                                                                                           \
        g_autofree char *found = status(disk, off, room);                                          \
        g_assert_cmpstr(found, ==, text);                                                          \
    } while (0)

static void test_status(void)
{
    Fixture f;
    VhdDiskOptions options;

    setup_open(&f, &(Sample){.uuid = 2, .block_bytes = BLOCK});
    expect_status(f.disk, 0, 8, "0:2048");
    fill(f.disk, 3 * BLOCK, 512, 'a');
    fill(f.disk, 4 * BLOCK, 512, 'a');
    expect_status(f.disk, 0, 8, "0:384 1:256 0:1408");
    expect_status(f.disk, 0, 2, "0:384 1:256");
    expect_status(f.disk, 4 * BLOCK + 512, 8, "1:127 0:1408");
    g_assert_cmpint(vhd_disk_close(f.disk), ==, 0);

    /* A child: what it lacks is where the parent has it, or nowhere. */
    g_free(f.path);
    f.path = sample_make(
        f.folder, "child.vhd",
        &(Sample){.uuid = 1, .parent = 2, .relative = "disk.vhd", .block_bytes = BLOCK});
    options = options_of(&f);
    open_with(&f, &options, NULL);
    expect_status(f.disk, 0, 8, "0:384 1:256 0:1408");
    fill(f.disk, 512, 1024, 'b');
    expect_status(f.disk, 0, 8, "0:1 1:2 0:381 1:256 0:1408");
    expect_status(f.disk, 0, 1, "0:1");
    teardown(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/disk-update/compare-and-write", test_compare_and_write);
    g_test_add_func("/disk-update/or-write", test_or_write);
    g_test_add_func("/disk-update/refused", test_refused);
    g_test_add_func("/disk-update/held-against-writes", test_held_against_writes);
    g_test_add_func("/disk-update/fua-flushes", test_fua_flushes);
    g_test_add_func("/disk-update/status", test_status);
    return g_test_run();
}
