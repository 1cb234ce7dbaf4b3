/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* The doubles themselves: what other tests conclude from them is worth no more than they are. */
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

/* Recording */

static char sector_at(MemImage *image, uint64_t sector)
{
    char byte;

    mem_image_read(image, sector * TRACE_SECTOR_BYTES + 7, &byte, 1);
    return byte ? byte : '.';
}

/* The first sectors of what the cut leaves, one letter each, compared with expected and its length.
 */
static void assert_rebuilt(Trace *trace, unsigned file, MemImage *base, uint64_t cut,
                           TraceChooser choose, const char *expected)
{
    TraceRandom random = {.state = 1};
    g_autoptr(MemImage) image = trace_rebuild(trace, file, base, cut, choose, &random);
    g_autoptr(GString) got = g_string_new(NULL);

    for (uint64_t i = 0; i < mem_image_bytes(image) / TRACE_SECTOR_BYTES; i++)
        g_string_append_c(got, sector_at(image, i));
    g_assert_cmpstr(got->str, ==, expected);
}

static int put(VhdFile *file, uint64_t sector, const char *letters)
{
    uint8_t buf[8 * TRACE_SECTOR_BYTES];
    size_t len = strlen(letters);

    for (size_t i = 0; i < len; i++)
        memset(buf + i * TRACE_SECTOR_BYTES, letters[i], TRACE_SECTOR_BYTES);
    return vhd_file_write(file, VHD_IO_DATA, sector * TRACE_SECTOR_BYTES, buf,
                          len * TRACE_SECTOR_BYTES);
}

static bool choose_odd(const TraceEntry *entry, uint64_t sector, void *data)
{
    (void)entry;
    (void)data;
    return sector % 2 == 1;
}

typedef struct Traced {
    MemImage *image, *base;
    Faults *faults; /* between the trace and the memory */
    Trace *trace;
    VhdFile *file;
} Traced;

static void traced_setup(Traced *traced, gconstpointer data)
{
    (void)data;
    traced->image = mem_image_new();
    traced->faults = faults_new();
    traced->trace = trace_new();
    traced->file = trace_file_new(
        fault_file_new(mem_file_open(traced->image, "mem", true), traced->faults), traced->trace);
    mem_image_resize(traced->image, 4 * TRACE_SECTOR_BYTES);
    traced->base = mem_image_clone(traced->image);
}

static void traced_teardown(Traced *traced, gconstpointer data)
{
    (void)data;
    vhd_file_close(traced->file);
    trace_unref(traced->trace);
    faults_unref(traced->faults);
    mem_image_unref(traced->base);
    mem_image_unref(traced->image);
}

static void test_trace_record(Traced *traced, gconstpointer data)
{
    static const FileOp ops[] = {FILE_OP_WRITE,  FILE_OP_PUNCH,   FILE_OP_CLAIM,
                                 FILE_OP_RESIZE, FILE_OP_BARRIER, FILE_OP_RENAME};
    VhdFile *file = traced->file;
    const TraceEntry *entry;

    (void)data;
    g_assert_cmpuint(trace_now(traced->trace), ==, 0);
    g_assert_cmpint(vhd_file_write(file, VHD_IO_BITMAP, 3, "abc", 3), ==, 0);
    g_assert_cmpint(vhd_file_punch(file, VHD_IO_DATA, 5, 6), ==, 0);
    g_assert_cmpint(vhd_file_claim(file, 7, 8), ==, 0);
    g_assert_cmpint(vhd_file_resize(file, 9), ==, 0);
    g_assert_cmpint(vhd_file_barrier(file), ==, 0);
    g_assert_cmpint(file->ops->rename(file, "x", true), ==, 0);
    g_assert_cmpuint(trace_length(traced->trace), ==, G_N_ELEMENTS(ops));
    for (size_t i = 0; i < G_N_ELEMENTS(ops); i++) {
        entry = trace_entry(traced->trace, i);
        g_assert_cmpuint(entry->begin, ==, 2 * i + 1);
        g_assert_cmpuint(entry->end, ==, 2 * i + 2);
        g_assert_true(entry->op == ops[i]);
        g_assert_cmpint(entry->result, ==, 0);
    }
    entry = trace_entry(traced->trace, 0);
    g_assert_cmpint(entry->kind, ==, VHD_IO_BITMAP);
    g_assert_true(entry->off == 3 && memcmp(entry->data, "abc", 3) == 0);
    g_assert_cmpuint(trace_entry(traced->trace, 1)->len, ==, 6);
    g_assert_cmpuint(trace_entry(traced->trace, 3)->len, ==, 9);
    trace_clear(traced->trace);
    g_assert_cmpuint(trace_length(traced->trace), ==, 0);
    g_assert_cmpuint(trace_now(traced->trace), ==, 2 * G_N_ELEMENTS(ops));
}

static void test_trace_barrier(Traced *traced, gconstpointer data)
{
    Trace *trace = traced->trace;

    (void)data;
    put(traced->file, 0, "abcd");                                         /* 1 2 */
    vhd_file_barrier(traced->file);                                       /* 3 4 */
    put(traced->file, 1, "ABC");                                          /* 5 6 */
    vhd_file_punch(traced->file, VHD_IO_DATA, 0, 2 * TRACE_SECTOR_BYTES); /* 7 8 */
    vhd_file_barrier(traced->file);                                       /* 9 10 */
    assert_rebuilt(trace, 0, traced->base, 0, trace_choose_all, "....");
    assert_rebuilt(trace, 0, traced->base, 2, trace_choose_none, "....");
    assert_rebuilt(trace, 0, traced->base, 2, choose_odd, ".b.d");
    assert_rebuilt(trace, 0, traced->base, 3, trace_choose_none, "...."); /* it has to return */
    assert_rebuilt(trace, 0, traced->base, 4, trace_choose_none, "abcd");
    assert_rebuilt(trace, 0, traced->base, 5, choose_odd, "aAcC"); /* under way */
    assert_rebuilt(trace, 0, traced->base, 5, trace_choose_returned, "abcd");
    assert_rebuilt(trace, 0, traced->base, 6, trace_choose_returned, "aABC");
    assert_rebuilt(trace, 0, traced->base, 8, choose_odd, "a.cC");
    assert_rebuilt(trace, 0, traced->base, 10, trace_choose_none, "..BC");
    g_assert_true(trace_covered(trace, trace_entry(trace, 0), 4));
    g_assert_false(trace_covered(trace, trace_entry(trace, 0), 3));
    g_assert_false(trace_covered(trace, trace_entry(trace, 2), 9));
    g_assert_true(trace_covered(trace, trace_entry(trace, 2), 10));
}

static void test_trace_length(Traced *traced, gconstpointer data)
{
    (void)data;
    put(traced->file, 4, "ef");                                            /* 1 2 */
    vhd_file_resize(traced->file, 3 * TRACE_SECTOR_BYTES);                 /* 3 4 */
    vhd_file_claim(traced->file, 0, 7 * TRACE_SECTOR_BYTES);               /* 5 6 */
    vhd_file_punch(traced->file, VHD_IO_DATA, 0, 99 * TRACE_SECTOR_BYTES); /* 7 8 */
    vhd_file_barrier(traced->file);                                        /* 9 10 */
    assert_rebuilt(traced->trace, 0, traced->base, 2, choose_odd, ".....f");
    assert_rebuilt(traced->trace, 0, traced->base, 2, trace_choose_all, "....ef");
    assert_rebuilt(traced->trace, 0, traced->base, 4, trace_choose_all, "...");
    assert_rebuilt(traced->trace, 0, traced->base, 4, choose_odd, ".....f"); /* it stayed long */
    assert_rebuilt(traced->trace, 0, traced->base, 6, trace_choose_all, ".......");
    assert_rebuilt(traced->trace, 0, traced->base, 8, trace_choose_none, "....");
    assert_rebuilt(traced->trace, 0, traced->base, 10, trace_choose_none, ".......");
}

/* A write that returned after the barrier was called is not covered; nor one by a failed barrier.
 */
static void test_trace_overlap(Traced *traced, gconstpointer data)
{
    unsigned rule = faults_add(
        traced->faults,
        &(FaultRule){.op = FILE_OP_WRITE, .kind = FILE_KIND_ANY, .hold = true, .after = true});
    Writer writer = {.file = traced->file, .text = "w"};
    const TraceEntry *entry;
    pthread_t thread;

    (void)data;
    g_assert_cmpint(pthread_create(&thread, NULL, writer_thread, &writer), ==, 0);
    g_assert_true(faults_wait_held(traced->faults, rule, 60 * 1000));
    g_assert_cmpint(vhd_file_barrier(traced->file), ==, 0);
    faults_release(traced->faults, rule);
    pthread_join(thread, NULL);
    entry = trace_entry(traced->trace, 0);
    g_assert_false(trace_covered(traced->trace, entry, trace_now(traced->trace)));
    faults_fail(traced->faults, FILE_OP_BARRIER, FILE_KIND_ANY, 1, EIO);
    g_assert_cmpint(vhd_file_barrier(traced->file), ==, -EIO);
    g_assert_false(trace_covered(traced->trace, entry, trace_now(traced->trace)));
    g_assert_cmpint(vhd_file_barrier(traced->file), ==, 0);
    g_assert_true(trace_covered(traced->trace, entry, trace_now(traced->trace)));
}

/* A failed write may have reached the disk in part, and no barrier changes that. */
static void test_trace_failed(Traced *traced, gconstpointer data)
{
    (void)data;
    faults_fail(traced->faults, FILE_OP_WRITE, FILE_KIND_ANY, 1, EIO);
    g_assert_cmpint(put(traced->file, 0, "abcd"), ==, -EIO);
    g_assert_cmpint(vhd_file_barrier(traced->file), ==, 0);
    assert_rebuilt(traced->trace, 0, traced->base, 99, trace_choose_none, "....");
    assert_rebuilt(traced->trace, 0, traced->base, 99, choose_odd, ".b.d");
    assert_rebuilt(traced->trace, 0, traced->base, 99, trace_choose_returned, "....");
}

static void test_trace_files(Traced *traced, gconstpointer data)
{
    g_autoptr(MemImage) other_image = mem_image_new();
    g_autoptr(VhdFile) other =
        trace_file_new(mem_file_open(other_image, "other", true), traced->trace);
    g_autoptr(MemImage) empty = mem_image_new();

    (void)data;
    put(traced->file, 0, "a");
    put(other, 0, "x");
    vhd_file_barrier(other);
    assert_rebuilt(traced->trace, 0, traced->base, 99, trace_choose_none, "....");
    assert_rebuilt(traced->trace, 0, traced->base, 99, trace_choose_all, "a...");
    assert_rebuilt(traced->trace, 1, empty, 99, trace_choose_none, "x");
}

/* The generator leaves some of everything, and the same for the same seed. */
static void test_trace_random(Traced *traced, gconstpointer data)
{
    unsigned all = 0, none = 0, some = 0;

    (void)data;
    put(traced->file, 0, "abcd");
    for (uint64_t seed = 1; seed <= 200; seed++) {
        TraceRandom x = {.state = seed * 0x9E3779B9}, y = {.state = seed * 0x9E3779B9};
        g_autoptr(MemImage) a =
            trace_rebuild(traced->trace, 0, traced->base, 2, trace_choose_random, &x);
        g_autoptr(MemImage) b =
            trace_rebuild(traced->trace, 0, traced->base, 2, trace_choose_random, &y);
        unsigned letters = 0;

        g_assert_true(mem_image_equal(a, b, NULL));
        for (uint64_t sector = 0; sector < 4; sector++)
            letters += sector_at(a, sector) != '.';
        all += letters == 4;
        none += letters == 0;
        some += letters > 0 && letters < 4;
    }
    g_test_message("all %u none %u some %u", all, none, some);
    g_assert_true(all > 20 && none > 20 && some > 50);
}

/* Threads on one traced, failing memory file: no event number twice, and nothing lost. */

#define THREADS      4
#define THREAD_STEPS 200

static void *busy_thread(void *data)
{
    static int next;
    uint64_t off = (uint64_t)__atomic_fetch_add(&next, 1, __ATOMIC_SEQ_CST) * 10000;
    VhdFile *file = data;
    char byte;

    for (int i = 0; i < THREAD_STEPS; i++) {
        g_assert_cmpint(vhd_file_write(file, VHD_IO_DATA, off + (uint64_t)i, "x", 1), ==, 0);
        g_assert_cmpint(vhd_file_read(file, VHD_IO_DATA, off + (uint64_t)i, &byte, 1), ==, 0);
        g_assert_cmpint(byte, ==, 'x');
        if (i % 50 == 0)
            g_assert_cmpint(vhd_file_barrier(file), ==, 0);
    }
    return NULL;
}

static void test_threads(Traced *traced, gconstpointer data)
{
    g_autoptr(MemImage) rebuilt = NULL;
    pthread_t threads[THREADS];
    uint64_t last = 0;

    (void)data;
    for (int i = 0; i < THREADS; i++)
        g_assert_cmpint(pthread_create(&threads[i], NULL, busy_thread, traced->file), ==, 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    g_assert_cmpuint(trace_length(traced->trace), ==, THREADS * (THREAD_STEPS + THREAD_STEPS / 50));
    for (size_t i = 0; i < trace_length(traced->trace); i++) {
        const TraceEntry *entry = trace_entry(traced->trace, i);

        g_assert_cmpuint(entry->begin, >, last);
        g_assert_cmpuint(entry->end, >, entry->begin);
        last = entry->begin;
    }
    g_assert_cmpuint(trace_now(traced->trace), ==, 2 * trace_length(traced->trace));
    rebuilt = trace_rebuild(traced->trace, 0, traced->base, trace_now(traced->trace),
                            trace_choose_all, NULL);
    g_assert_true(mem_image_equal(rebuilt, traced->image, NULL));
}

static void add(const char *path, void (*test)(Traced *traced, gconstpointer data))
{
    g_test_add(path, Traced, NULL, traced_setup, test, traced_teardown);
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
    add("/trace/record", test_trace_record);
    add("/trace/barrier", test_trace_barrier);
    add("/trace/length", test_trace_length);
    add("/trace/overlap", test_trace_overlap);
    add("/trace/failed", test_trace_failed);
    add("/trace/files", test_trace_files);
    add("/trace/random", test_trace_random);
    add("/trace/threads", test_threads);
    return g_test_run();
}
