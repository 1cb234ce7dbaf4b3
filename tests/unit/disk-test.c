/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* Requests: which are refused, in which order they run, what becomes of errors; and probing. */
#include <errno.h>
#include <string.h>

#include "tests/unit/disk-sample.h"

/* What is refused */

static void test_refused(void)
{
    Fixture f;
    uint8_t buf[2048] = {0};
    struct iovec iov[] = {{buf, 512}, {buf, 512}};

    setup_open(&f, &(Sample){.uuid = 1});
    g_assert_cmpint(run(f.disk, VHD_OP_READ, 1, 512, iov, 1), ==, -EINVAL);
    g_assert_cmpint(run(f.disk, VHD_OP_READ, 0, 513, iov, 2), ==, -EINVAL);
    g_assert_cmpint(run(f.disk, VHD_OP_READ, SAMPLE_BYTES - 512, 1024, iov, 2), ==, -EINVAL);
    g_assert_cmpint(run(f.disk, VHD_OP_READ, UINT64_MAX - 511, 512, iov, 1), ==, -EINVAL);
    g_assert_cmpint(run(f.disk, VHD_OP_UNMAP, 512, UINT64_MAX - 511, NULL, 0), ==, -EINVAL);
    g_assert_cmpint(run(f.disk, VHD_OP_READ, 0, 512, iov, 2), ==, -EINVAL);
    g_assert_cmpint(run(f.disk, VHD_OP_WRITE, 0, 1536, iov, 2), ==, -EINVAL);
    g_assert_cmpint(run(f.disk, VHD_OP_WRITE, 0, 512, NULL, 0), ==, -EINVAL);
    g_assert_cmpint(run(f.disk, (VhdOp)77, 0, 512, iov, 1), ==, -EINVAL);
    g_assert_cmpint(run(f.disk, VHD_OP_READ, SAMPLE_BYTES, 0, NULL, 0), ==, 0);
    g_assert_cmpint(run(f.disk, VHD_OP_WRITE, 0, 0, NULL, 0), ==, 0);
    g_assert_cmpint(run(f.disk, VHD_OP_READ, SAMPLE_BYTES - 1024, 1024, iov, 2), ==, 0);
    teardown(&f);
}

static void test_read_only(void)
{
    Fixture f;
    VhdDiskOptions options;
    VhdDiskInfo info;
    uint8_t buf[512] = {0};

    setup(&f, &(Sample){.uuid = 1});
    options = options_of(&f);
    options.read_only = true;
    open_with(&f, &options, NULL);
    vhd_disk_info(f.disk, &info);
    g_assert_true(info.read_only);
    g_assert_cmpint(vhd_disk_write(f.disk, 0, buf, 512, false), ==, -EROFS);
    g_assert_cmpint(vhd_disk_unmap(f.disk, 0, 512), ==, -EROFS);
    g_assert_cmpint(vhd_disk_write_zeroes(f.disk, 0, 512, true), ==, -EROFS);
    g_assert_cmpint(vhd_disk_flush(f.disk), ==, 0);
    g_assert_cmpint(vhd_disk_read(f.disk, 0, buf, 512), ==, 0);
    teardown(&f);
}

static void test_info(void)
{
    Fixture f;
    VhdDiskOptions options;
    VhdDiskInfo info;
    g_autofree char *text = NULL, *expected = NULL;

    setup(&f, &(Sample){.uuid = 2});
    g_free(f.path);
    f.path = sample_make(f.folder, "child.vhd",
                         &(Sample){.uuid = 1, .parent = 2, .relative = "disk.vhd"});
    options = options_of(&f);
    open_with(&f, &options, NULL);
    vhd_disk_info(f.disk, &info);
    g_assert_cmpuint(info.bytes, ==, SAMPLE_BYTES);
    g_assert_cmpuint(info.depth, ==, 2);
    g_assert_true(!info.read_only && info.child && info.sparse && !info.failed);
    g_assert_cmpuint(info.uuid[0], ==, 1);
    g_assert_cmpint(info.cache, ==, VHD_CACHE_WRITEBACK);
    text = vhd_disk_describe(f.disk);
    expected = g_strdup_printf("%s <- %s/disk.vhd", f.path, f.folder);
    g_assert_cmpstr(text, ==, expected);
    teardown(&f);
}

/* Order */

static void test_overlapping_writes_in_order(void)
{
    Fixture f;
    Task first, second, apart, over;
    uint8_t a[1024], b[1024], c[512], found[1024];
    unsigned rule;

    setup_open(&f, &(Sample){.uuid = 1});
    memset(a, 'a', sizeof a);
    memset(b, 'b', sizeof b);
    memset(c, 'c', sizeof c);
    rule = faults_hold(f.faults, FILE_OP_WRITE, VHD_IO_DATA, 1);
    submit(f.disk, &first, VHD_OP_WRITE, 0, a, sizeof a);
    g_assert_true(faults_wait_held(f.faults, rule, WAIT_MS));
    submit(f.disk, &second, VHD_OP_WRITE, 512, b, sizeof b);
    submit(f.disk, &apart, VHD_OP_WRITE, 4096, c, sizeof c);
    submit(f.disk, &over, VHD_OP_READ, 512, found, 512);
    /* Neither waits for the one that is held: another write of the same block, and a read. */
    g_assert_cmpint(wait_for(&apart), ==, 0);
    g_assert_cmpint(wait_for(&over), ==, 0);
    g_assert_false(is_done(&second));
    faults_release(f.faults, rule);
    g_assert_cmpint(wait_for(&first), ==, 0);
    g_assert_cmpint(wait_for(&second), ==, 0);
    g_assert_cmpint(vhd_disk_read(f.disk, 512, found, sizeof found), ==, 0);
    g_assert_cmpmem(found, sizeof found, b, sizeof b);
    teardown(&f);
}

/* An unmap may give the block away; neither may run beside the other. */
static void test_read_and_unmap_wait(void)
{
    Fixture f;
    Task read, unmap;
    uint8_t buf[512], found[512];
    unsigned rule;

    setup_open(&f, &(Sample){.uuid = 1, .block_bytes = BLOCK});
    memset(buf, 'x', sizeof buf);
    g_assert_cmpint(vhd_disk_write(f.disk, 0, buf, sizeof buf, false), ==, 0);
    rule = faults_hold(f.faults, FILE_OP_READ, VHD_IO_DATA, 1);
    submit(f.disk, &read, VHD_OP_READ, 0, found, sizeof found);
    g_assert_true(faults_wait_held(f.faults, rule, WAIT_MS));
    submit(f.disk, &unmap, VHD_OP_UNMAP, 0, NULL, BLOCK);
    g_assert_cmpint(vhd_disk_read(f.disk, BLOCK, buf, sizeof buf), ==, 0); /* another block */
    g_assert_false(is_done(&unmap));
    faults_release(f.faults, rule);
    g_assert_cmpint(wait_for(&read), ==, 0);
    g_assert_cmpint(wait_for(&unmap), ==, 0);
    g_assert_cmpuint(found[0], ==, 'x');

    g_assert_cmpint(vhd_disk_write(f.disk, 0, found, sizeof found, false), ==, 0);
    rule = faults_hold(f.faults, FILE_OP_PUNCH, FILE_KIND_ANY, 1);
    submit(f.disk, &unmap, VHD_OP_UNMAP, 0, NULL, 512);
    g_assert_true(faults_wait_held(f.faults, rule, WAIT_MS));
    submit(f.disk, &read, VHD_OP_READ, BLOCK - 512, found, sizeof found);
    g_assert_cmpint(vhd_disk_read(f.disk, BLOCK, buf, sizeof buf), ==, 0);
    g_assert_false(is_done(&read));
    faults_release(f.faults, rule);
    g_assert_cmpint(wait_for(&unmap), ==, 0);
    g_assert_cmpint(wait_for(&read), ==, 0);
    teardown(&f);
}

/* Eight at a time, the ninth waits for a worker but nobody for a range. */
static void test_eight_at_once(void)
{
    Fixture f;
    Task tasks[VHD_DISK_THREADS + 1];
    uint8_t buf[VHD_DISK_THREADS + 1][512];
    unsigned rules[VHD_DISK_THREADS];

    setup_open(&f, &(Sample){.uuid = 1, .type = VHD_TYPE_FIXED});
    for (unsigned i = 0; i < VHD_DISK_THREADS; i++)
        rules[i] = faults_hold(f.faults, FILE_OP_READ, VHD_IO_DATA, i + 1);
    for (unsigned i = 0; i < G_N_ELEMENTS(tasks); i++)
        submit(f.disk, &tasks[i], VHD_OP_READ, 0, buf[i], 512);
    for (unsigned i = 0; i < VHD_DISK_THREADS; i++)
        g_assert_true(faults_wait_held(f.faults, rules[i], WAIT_MS));
    g_assert_cmpuint(faults_count(f.faults, FILE_OP_READ, VHD_IO_DATA), ==, VHD_DISK_THREADS);
    for (unsigned i = 0; i < VHD_DISK_THREADS; i++)
        faults_release(f.faults, rules[i]);
    for (unsigned i = 0; i < G_N_ELEMENTS(tasks); i++)
        g_assert_cmpint(wait_for(&tasks[i]), ==, 0);
    teardown(&f);
}

typedef struct Again {
    VhdRequest request;
    VhdDisk *disk;
    unsigned left;
    Task *last;
} Again;

static void submit_again(VhdRequest *request, int result)
{
    Again *again = request->data;

    g_assert_cmpint(result, ==, again->left % 2 ? -EINVAL : 0);
    if (--again->left == 0) {
        task_done(&again->last->request, 0);
        return;
    }
    again->request.len =
        again->left % 2 ? 1 : 0; /* refused, and nothing to do: both at once done */
    vhd_disk_submit(again->disk, &again->request);
}

static void test_done_submits_again(void)
{
    Fixture f;
    Task last;
    Again again;

    setup_open(&f, &(Sample){.uuid = 1});
    task_init(&last);
    last.request.data = &last;
    again = (Again){.disk = f.disk, .left = 100000, .last = &last};
    again.request = (VhdRequest){.op = VHD_OP_READ, .done = submit_again, .data = &again};
    vhd_disk_submit(f.disk, &again.request);
    g_assert_cmpint(wait_for(&last), ==, 0);
    teardown(&f);
}

static void *close_disk(void *data)
{
    Fixture *f = data;

    g_assert_cmpint(vhd_disk_close(f->disk), ==, 0);
    f->disk = NULL;
    return NULL;
}

/* Closing waits for requests that run and that wait. */
static void test_close_waits(void)
{
    Fixture f;
    Task first, second;
    uint8_t buf[512] = {1};
    pthread_t thread;
    unsigned rule;

    setup_open(&f, &(Sample){.uuid = 1});
    rule = faults_hold(f.faults, FILE_OP_WRITE, VHD_IO_DATA, 1);
    submit(f.disk, &first, VHD_OP_WRITE, 0, buf, 512);
    submit(f.disk, &second, VHD_OP_WRITE, 0, buf, 512);
    g_assert_true(faults_wait_held(f.faults, rule, WAIT_MS));
    g_assert_cmpint(pthread_create(&thread, NULL, close_disk, &f), ==, 0);
    faults_release(f.faults, rule);
    pthread_join(thread, NULL);
    g_assert_true(is_done(&first) && is_done(&second));
    g_assert_cmpint(wait_for(&first), ==, 0);
    g_assert_cmpint(wait_for(&second), ==, 0);
    teardown(&f);
}

static void test_error_codes(void)
{
    static const struct {
        int from, to;
    } cases[] = {{ENOSPC, -ENOSPC}, {EDQUOT, -ENOSPC}, {EFBIG, -ENOSPC}, {EIO, -EIO},
                 {EINVAL, -EIO},    {EROFS, -EROFS},   {ENOMEM, -EIO}};
    Fixture f;
    uint8_t buf[512] = {1};

    setup_open(&f, &(Sample){.uuid = 1});
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        faults_fail(f.faults, FILE_OP_WRITE, VHD_IO_DATA, 1, cases[i].from);
        g_assert_cmpint(vhd_disk_write(f.disk, 0, buf, 512, false), ==, cases[i].to);
    }
    /* None of them left anything behind, and the next one is served. */
    g_assert_cmpint(vhd_disk_read(f.disk, 0, buf, 512), ==, 0);
    g_assert_cmpuint(buf[0], ==, 0);
    buf[0] = 1;
    g_assert_cmpint(vhd_disk_write(f.disk, 0, buf, 512, false), ==, 0);
    faults_fail(f.faults, FILE_OP_READ, VHD_IO_DATA, 1, ENODATA);
    g_assert_cmpint(vhd_disk_read(f.disk, 0, buf, 512), ==, -EIO);
    teardown(&f);
}

/* One extent, one system call, wherever the caller's pieces lie. */
static void test_one_call_an_extent(void)
{
    static const unsigned pieces[] = {1, 3, 200, 1000};
    Fixture f;
    g_autofree uint8_t *buf = g_malloc(BLOCK), *found = g_malloc(BLOCK);

    setup_open(&f, &(Sample){.uuid = 1, .block_bytes = BLOCK});
    for (unsigned i = 0; i < BLOCK; i++)
        buf[i] = (uint8_t)(i * 7 + i / 251);
    g_assert_cmpint(vhd_disk_write(f.disk, 0, buf, BLOCK, false), ==, 0);
    for (unsigned i = 0; i < G_N_ELEMENTS(pieces); i++) {
        g_autofree struct iovec *iov = g_new(struct iovec, pieces[i]);
        uint64_t before = faults_count(f.faults, FILE_OP_READ, VHD_IO_DATA);
        size_t done = 0;

        for (unsigned k = 0; k < pieces[i]; k++) {
            iov[k].iov_base = found + done;
            iov[k].iov_len = k == pieces[i] - 1 ? BLOCK - done : k % 40;
            done += iov[k].iov_len;
        }
        memset(found, 0, BLOCK);
        g_assert_cmpint(vhd_disk_readv(f.disk, 0, iov, (int)pieces[i]), ==, 0);
        g_assert_cmpmem(found, BLOCK, buf, BLOCK);
        g_assert_cmpuint(faults_count(f.faults, FILE_OP_READ, VHD_IO_DATA), ==, before + 1);
    }
    teardown(&f);
}

/* Probing */

static void assert_probe(Fixture *f, const VhdDiskOptions *options, const char *public_sentence)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *expected = g_strdup_printf("%s %s", options->path, public_sentence);

    g_string_truncate(f->log, 0);
    g_assert_false(vhd_disk_probe(options, &error));
    g_assert_cmpstr(error->message, ==, expected);
    g_assert_true(g_str_has_prefix(f->log->str, "2 "));
    g_assert_cmpuint(strlen(f->log->str), >, strlen("2 \n"));
}

/* A file system without locks: a warning that names each file, and no more. */
static void test_no_locks(void)
{
    Fixture f;
    VhdDiskOptions options;
    uint8_t buf[512] = {1};

    setup(&f, &(Sample){.uuid = 2});
    g_free(f.path);
    f.path = sample_make(f.folder, "child.vhd",
                         &(Sample){.uuid = 1, .parent = 2, .relative = "disk.vhd"});
    options = options_of(&f);
    for (FileOp op = FILE_OP_LOCK; op <= FILE_OP_LOCK_TEST; op++)
        faults_add(f.faults,
                   &(FaultRule){.op = op, .kind = FILE_KIND_ANY, .forever = true, .error = ENOLCK});
    open_with(&f, &options, NULL);
    for (unsigned i = 0; i < 2; i++) {
        g_autofree char *line = g_strdup_printf(
            "1 %s/%s.vhd: its file system has no locks: nobody else is kept from writing it\n",
            f.folder, i ? "disk" : "child");

        g_assert_nonnull(strstr(f.log->str, line));
    }
    g_assert_cmpint(vhd_disk_write(f.disk, 0, buf, sizeof buf, true), ==, 0);
    teardown(&f);
}

/* One who may not look must not learn from a refusal what is there. */
static void test_probe(void)
{
    static const char missing[] = "is missing, unreadable or not a VHD image";
    Fixture f;
    VhdDiskOptions options;
    g_autofree char *text = NULL, *none = NULL, *orphan = NULL;

    setup_open(&f, &(Sample){.uuid = 1});
    options = options_of(&f);
    options.confined = true;
    text = sample_raw(f.folder, "text", 9000, 'x');
    none = g_build_filename(f.folder, "none", NULL);
    orphan = sample_make(f.folder, "orphan.vhd", &(Sample){.uuid = 5, .parent = 6});
    options.path = text;
    assert_probe(&f, &options, missing);
    options.path = none;
    assert_probe(&f, &options, missing);
    options.path = f.folder;
    assert_probe(&f, &options, missing);
    options.path = orphan;
    assert_probe(&f, &options,
                 "has no parent in its own folder or those of parents=; add parents=DIR, which is "
                 "in the log");
    options.path = f.path;
    assert_probe(&f, &options, "is in use, it or a parent");
    options.no_lock = true;
    g_assert_true(vhd_disk_probe(&options, NULL));
    teardown(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/disk/refused", test_refused);
    g_test_add_func("/disk/read-only", test_read_only);
    g_test_add_func("/disk/info", test_info);
    g_test_add_func("/disk/overlapping-writes-in-order", test_overlapping_writes_in_order);
    g_test_add_func("/disk/read-and-unmap-wait", test_read_and_unmap_wait);
    g_test_add_func("/disk/eight-at-once", test_eight_at_once);
    g_test_add_func("/disk/done-submits-again", test_done_submits_again);
    g_test_add_func("/disk/close-waits", test_close_waits);
    g_test_add_func("/disk/error-codes", test_error_codes);
    g_test_add_func("/disk/one-call-an-extent", test_one_call_an_extent);
    g_test_add_func("/disk/no-locks", test_no_locks);
    g_test_add_func("/disk/probe", test_probe);
    return g_test_run();
}
