/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* The doubles themselves (of trace-file: trace-test.c): what other tests conclude from them is
 * worth no more than they are. */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <pthread.h>
#include <string.h>

#include "tests/support/fault-file.h"
#include "tests/support/mem-file.h"
#include "tests/support/trace-file.h"

/* The memory file against a real one */

#define MODEL_BYTES 60000

static void assert_same(VhdFile *a, VhdFile *b)
{
    g_autofree uint8_t *x = NULL, *y = NULL;
    VhdFileInfo in_a, in_b;

    g_assert_cmpint(vhd_file_info(a, &in_a), ==, 0);
    g_assert_cmpint(vhd_file_info(b, &in_b), ==, 0);
    g_assert_cmpuint(in_a.bytes, ==, in_b.bytes);
    x = g_malloc(in_a.bytes + 1);
    y = g_malloc(in_b.bytes + 1);
    g_assert_cmpint(vhd_file_read(a, VHD_IO_DATA, 0, x, in_a.bytes), ==, 0);
    g_assert_cmpint(vhd_file_read(b, VHD_IO_DATA, 0, y, in_b.bytes), ==, 0);
    g_assert_cmpmem(x, in_a.bytes, y, in_b.bytes);
}

/* One random operation on both, with the same result. */
static void random_step(VhdFile *mem, VhdFile *real)
{
    uint64_t off = (uint64_t)g_test_rand_int_range(0, MODEL_BYTES);
    uint64_t len = (uint64_t)g_test_rand_int_range(0, 9000);
    g_autofree uint8_t *x = g_malloc(len + 1), *y = g_malloc0(len + 1);

    memset(x, g_test_rand_int_range(1, 256), len);
    switch (g_test_rand_int_range(0, 6)) {
    case 0:
    case 1:
        g_assert_cmpint(vhd_file_write(mem, VHD_IO_DATA, off, x, len), ==, 0);
        g_assert_cmpint(vhd_file_write(real, VHD_IO_DATA, off, x, len), ==, 0);
        break;
    case 2:
        g_assert_cmpint(vhd_file_punch(mem, VHD_IO_DATA, off, len), ==, 0);
        g_assert_cmpint(vhd_file_punch(real, VHD_IO_DATA, off, len), ==, 0);
        break;
    case 3:
        g_assert_cmpint(vhd_file_claim(mem, off, len), ==, 0);
        g_assert_cmpint(vhd_file_claim(real, off, len), ==, 0);
        break;
    case 4:
        g_assert_cmpint(vhd_file_resize(mem, off), ==, 0);
        g_assert_cmpint(vhd_file_resize(real, off), ==, 0);
        break;
    default:
        g_assert_cmpint(vhd_file_read(mem, VHD_IO_DATA, off, x, len), ==,
                        vhd_file_read(real, VHD_IO_DATA, off, y, len));
        break;
    }
}

static void test_mem_model(void)
{
    g_autofree char *path = NULL;
    g_autoptr(MemImage) image = mem_image_new();
    g_autoptr(VhdFile) mem = mem_file_open(image, "mem", true), real = NULL;

    g_assert_cmpint(g_close(g_file_open_tmp("vhd-doubles-XXXXXX", &path, NULL), NULL), ==, TRUE);
    real = vhd_file_open(path, VHD_FILE_WRITE, NULL);
    g_assert_nonnull(real);
    for (int i = 0; i < 1500; i++) {
        random_step(mem, real);
        if (i % 10 == 0)
            assert_same(mem, real);
    }
    g_unlink(path);
}

static void test_mem_sparse(void)
{
    const uint64_t far = (uint64_t)1 << 41;
    g_autoptr(MemImage) image = mem_image_new(), clone = NULL;
    g_autoptr(VhdFile) file = mem_file_open(image, "mem", true);
    uint64_t start, end, off;

    g_assert_cmpint(vhd_file_resize(file, 2 * far), ==, 0);
    g_assert_cmpuint(mem_image_used(image), ==, 0);
    g_assert_cmpint(vhd_file_next_data(file, 0, &start, &end), ==, 0);
    g_assert_true(start == 2 * far && end == 2 * far);
    g_assert_cmpint(vhd_file_claim(file, 8192, 4096), ==, 0); /* no data in there */
    g_assert_cmpint(vhd_file_write(file, VHD_IO_DATA, far + 4090, "0123456789", 10), ==, 0);
    g_assert_cmpint(vhd_file_next_data(file, 1, &start, &end), ==, 0);
    g_assert_true(start == far && end == far + 8192);
    g_assert_cmpint(vhd_file_next_data(file, far + 5000, &start, &end), ==, 0);
    g_assert_true(start == far + 5000 && end == far + 8192);
    g_assert_cmpuint(mem_image_used(image), ==, 3 * MEM_PAGE_BYTES);
    clone = mem_image_clone(image);
    g_assert_true(mem_image_equal(image, clone, NULL));
    g_assert_cmpint(vhd_file_punch(file, VHD_IO_DATA, far + 4090, 1), ==, 0);
    g_assert_false(mem_image_equal(image, clone, &off));
    g_assert_cmpuint(off, ==, far + 4090);
    mem_image_resize(clone, 100);
    g_assert_false(mem_image_equal(image, clone, &off));
    g_assert_cmpuint(off, ==, 100);
    g_assert_cmpint(vhd_file_punch(file, VHD_IO_DATA, 0, UINT64_MAX), ==, 0);
    g_assert_cmpuint(mem_image_used(image), ==, 0);
}

static void test_mem_limit(void)
{
    g_autoptr(MemImage) image = mem_image_new();
    g_autoptr(VhdFile) file = mem_file_open(image, "mem", true);
    g_autoptr(VhdFile) reader = mem_file_open(image, "mem", false);
    uint8_t page[MEM_PAGE_BYTES] = {1};

    mem_image_set_limit(image, 2 * MEM_PAGE_BYTES);
    g_assert_cmpint(vhd_file_claim(file, 4096, 4096), ==, 0);
    g_assert_cmpint(vhd_file_write(file, VHD_IO_DATA, 0, page, 4096), ==, 0);
    g_assert_cmpint(vhd_file_write(file, VHD_IO_DATA, 8192, page, 1), ==, -ENOSPC);
    g_assert_cmpint(vhd_file_claim(file, 8191, 2), ==, -ENOSPC);
    g_assert_cmpint(vhd_file_write(file, VHD_IO_DATA, 4096, page, 4096), ==, 0); /* was claimed */
    g_assert_cmpint(vhd_file_write(reader, VHD_IO_DATA, 0, page, 1), ==, -EBADF);
    g_assert_cmpint(vhd_file_resize(reader, 0), ==, -EBADF);
    g_assert_cmpint(vhd_file_punch(reader, VHD_IO_DATA, 0, 1), ==, -EBADF);
    g_assert_cmpint(vhd_file_claim(reader, 0, 1), ==, -EBADF);
    g_assert_cmpint(vhd_file_read(reader, VHD_IO_DATA, 0, page, 4096), ==, 0);
}

/* Failing */

static void write_kind(VhdFile *file, VhdIoKind kind, int expected)
{
    g_assert_cmpint(vhd_file_write(file, kind, 0, "x", 1), ==, expected);
}

static void test_fault_rules(void)
{
    g_autoptr(MemImage) image = mem_image_new();
    g_autoptr(Faults) faults = faults_new();
    g_autoptr(VhdFile) file = fault_file_new(mem_file_open(image, "mem", true), faults);

    g_assert_cmpstr(file->name, ==, "mem");
    g_assert_true(file->writable);
    faults_fail(faults, FILE_OP_WRITE, VHD_IO_BAT, 2, EIO);
    write_kind(file, VHD_IO_BAT, 0);
    write_kind(file, VHD_IO_DATA, 0);
    write_kind(file, VHD_IO_BAT, -EIO);
    write_kind(file, VHD_IO_BAT, 0);
    faults_add(faults, &(FaultRule){.op = FILE_OP_BARRIER,
                                    .kind = FILE_KIND_ANY,
                                    .nth = 2,
                                    .forever = true,
                                    .error = ENOSPC});
    g_assert_cmpint(vhd_file_barrier(file), ==, 0);
    g_assert_cmpint(vhd_file_barrier(file), ==, -ENOSPC);
    g_assert_cmpint(vhd_file_barrier(file), ==, -ENOSPC);
    faults_fail(faults, FILE_OP_WRITE, FILE_KIND_ANY, 1, EDQUOT); /* counted from now on */
    faults_fail(faults, FILE_OP_WRITE, FILE_KIND_ANY, 1, EIO); /* the first rule that fits counts */
    write_kind(file, VHD_IO_FOOTER, -EDQUOT);
    faults_clear(faults);
    g_assert_cmpint(vhd_file_barrier(file), ==, 0);
    g_assert_cmpuint(faults_count(faults, FILE_OP_WRITE, VHD_IO_BAT), ==, 3);
    g_assert_cmpuint(faults_count(faults, FILE_OP_WRITE, FILE_KIND_ANY), ==, 5);
    g_assert_cmpuint(faults_count(faults, FILE_OP_BARRIER, FILE_KIND_ANY), ==, 4);
    g_assert_cmpuint(faults_count(faults, FILE_OP_READ, FILE_KIND_ANY), ==, 0);
    g_assert_cmpuint(faults_failed(faults), ==, 4);
}

static void test_fault_torn(void)
{
    g_autoptr(MemImage) image = mem_image_new();
    g_autoptr(Faults) faults = faults_new();
    g_autoptr(VhdFile) file = fault_file_new(mem_file_open(image, "mem", true), faults);
    char a[] = "abc", b[] = "defg";
    struct iovec iov[] = {{a, 3}, {b, 4}};

    faults_add(faults,
               &(FaultRule){.op = FILE_OP_WRITE, .kind = VHD_IO_DATA, .error = EIO, .bytes = 5});
    g_assert_cmpint(vhd_file_writev(file, VHD_IO_DATA, 10, iov, 2), ==, -EIO);
    g_assert_cmpuint(mem_image_bytes(image), ==, 15);
    mem_image_read(image, 10, a, 3);
    mem_image_read(image, 13, b, 4);
    g_assert_cmpstr(a, ==, "abc");
    g_assert_cmpmem(b, 4, "de\0\0", 4);
}

/* Every operation reaches the inner file, and every one can be failed. */
static void test_fault_each(void)
{
    for (unsigned failing = FILE_OP_READ; failing <= FILE_OPS; failing++) {
        g_autoptr(MemImage) image = mem_image_new();
        g_autoptr(Faults) faults = faults_new();
        g_autoptr(Trace) trace = trace_new();
        g_autoptr(VhdFile) file =
            trace_file_new(fault_file_new(mem_file_open(image, "mem", true), faults), trace);
        VhdFileInfo info;
        uint64_t start, end;
        char buf[10];
        int results[FILE_OPS];

        for (unsigned op = 0; op < FILE_OPS; op++)
            faults_fail(faults, op, FILE_KIND_ANY, op == failing ? 1 : 1000, ENOMEM);
        results[FILE_OP_RESIZE] = vhd_file_resize(file, 20);
        results[FILE_OP_WRITE] = vhd_file_write(file, VHD_IO_DATA, 0, "0123456789", 10);
        results[FILE_OP_CLAIM] = vhd_file_claim(file, 0, 100);
        results[FILE_OP_READ] = vhd_file_read(file, VHD_IO_DATA, 0, buf, 10);
        results[FILE_OP_PUNCH] = vhd_file_punch(file, VHD_IO_DATA, 0, 5);
        results[FILE_OP_BARRIER] = vhd_file_barrier(file);
        results[FILE_OP_INFO] = vhd_file_info(file, &info);
        results[FILE_OP_DROP_CACHE] = vhd_file_drop_cache(file, 0, 10);
        results[FILE_OP_NEXT_DATA] = vhd_file_next_data(file, 0, &start, &end);
        results[FILE_OP_LOCK] = file->ops->lock(file, 100, F_RDLCK);
        results[FILE_OP_LOCK_TEST] = file->ops->lock_test(file, 100);
        results[FILE_OP_RENAME] = file->ops->rename(file, "x", false);
        for (unsigned op = 0; op < FILE_OPS; op++)
            g_assert_cmpint(results[op], ==, op == failing ? -ENOMEM : 0);
        g_assert_cmpuint(faults_failed(faults), ==, failing < FILE_OPS);
        g_assert_cmpuint(trace_length(trace), ==, 6);
    }
}

/* Holding */

typedef struct Writer {
    VhdFile *file;
    const char *text;
    int result;
    int done; /* atomic */
} Writer;

static void *writer_thread(void *data)
{
    Writer *writer = data;

    writer->result = vhd_file_write(writer->file, VHD_IO_DATA, 0, writer->text, 1);
    __atomic_store_n(&writer->done, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

static void test_fault_hold(void)
{
    for (int after = 0; after <= 1; after++) {
        g_autoptr(MemImage) image = mem_image_new();
        g_autoptr(Faults) faults = faults_new();
        g_autoptr(VhdFile) file = fault_file_new(mem_file_open(image, "mem", true), faults);
        Writer writer = {.file = file, .text = "x"};
        unsigned rule = faults_add(faults, &(FaultRule){.op = FILE_OP_WRITE,
                                                        .kind = VHD_IO_DATA,
                                                        .error = EIO * !after,
                                                        .hold = true,
                                                        .after = after});
        pthread_t thread;
        char byte = 0;

        g_assert_false(faults_wait_held(faults, rule, 5));
        g_assert_cmpint(pthread_create(&thread, NULL, writer_thread, &writer), ==, 0);
        g_assert_true(faults_wait_held(faults, rule, 60 * 1000));
        g_assert_cmpint(__atomic_load_n(&writer.done, __ATOMIC_SEQ_CST), ==, 0);
        g_assert_cmpuint(mem_image_bytes(image), ==, (unsigned)after); /* whether it got there */
        g_assert_cmpint(vhd_file_write(file, VHD_IO_BAT, 4, "y", 1), ==, 0); /* others go on */
        faults_release(faults, rule);
        pthread_join(thread, NULL);
        g_assert_cmpint(writer.result, ==, after ? 0 : -EIO);
        mem_image_read(image, 0, &byte, 1);
        g_assert_cmpint(byte, ==, after ? 'x' : 0);
        g_assert_cmpint(vhd_file_write(file, VHD_IO_DATA, 0, "z", 1), ==, 0); /* held once */
    }
}

static void test_fault_clear_lets_go(void)
{
    g_autoptr(MemImage) image = mem_image_new();
    g_autoptr(Faults) faults = faults_new();
    g_autoptr(VhdFile) file = fault_file_new(mem_file_open(image, "mem", true), faults);
    unsigned rule = faults_hold(faults, FILE_OP_WRITE, FILE_KIND_ANY, 1);
    Writer writer = {.file = file, .text = "x"};
    pthread_t thread;

    g_assert_cmpint(pthread_create(&thread, NULL, writer_thread, &writer), ==, 0);
    g_assert_true(faults_wait_held(faults, rule, 60 * 1000));
    faults_clear(faults);
    pthread_join(thread, NULL);
    g_assert_cmpint(writer.result, ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/mem/model", test_mem_model);
    g_test_add_func("/mem/sparse", test_mem_sparse);
    g_test_add_func("/mem/limit", test_mem_limit);
    g_test_add_func("/fault/rules", test_fault_rules);
    g_test_add_func("/fault/torn", test_fault_torn);
    g_test_add_func("/fault/each", test_fault_each);
    g_test_add_func("/fault/hold", test_fault_hold);
    g_test_add_func("/fault/clear", test_fault_clear_lets_go);
    return g_test_run();
}
