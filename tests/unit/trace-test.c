/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* The recording double: what it records, and the images it makes of that. */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "tests/support/fault-file.h"
#include "tests/support/mem-file.h"
#include "tests/support/trace-file.h"

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

/* A write that returned after the barrier was called is not covered; nor one that a failed barrier
 * was to cover, by no later one either. */
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
    g_assert_cmpint(put(traced->file, 1, "x"), ==, 0);
    g_assert_cmpint(vhd_file_barrier(traced->file), ==, 0);
    g_assert_false(trace_covered(traced->trace, entry, trace_now(traced->trace)));
    assert_rebuilt(traced->trace, 0, traced->base, 99, trace_choose_none, ".x..");
}

static void note_event(uint64_t event, void *data)
{
    g_array_append_val((GArray *)data, event);
}

/* A tick takes a number that no operation has, and no witness is told of it. */
static void test_trace_tick(Traced *traced, gconstpointer data)
{
    g_autoptr(GArray) events = g_array_new(FALSE, FALSE, sizeof(uint64_t));

    (void)data;
    trace_set_witness(traced->trace, note_event, events);
    g_assert_cmpint(put(traced->file, 0, "a"), ==, 0); /* 1 2 */
    g_assert_cmpuint(trace_tick(traced->trace), ==, 3);
    g_assert_cmpint(vhd_file_barrier(traced->file), ==, 0); /* 4 5 */
    trace_set_witness(traced->trace, NULL, NULL);
    g_assert_cmpint(put(traced->file, 0, "b"), ==, 0);
    g_assert_cmpuint(events->len, ==, 4);
    for (unsigned i = 0; i < 4; i++)
        g_assert_cmpuint(g_array_index(events, uint64_t, i), ==, i + 1 + (i > 1));
}

/* Many images of one cut: each as trace_rebuild makes it. */
static void test_trace_cut(Traced *traced, gconstpointer data)
{
    g_autoptr(TraceCut) cut = NULL;

    (void)data;
    g_assert_cmpint(put(traced->file, 0, "ab"), ==, 0);
    g_assert_cmpint(vhd_file_barrier(traced->file), ==, 0);
    g_assert_cmpint(put(traced->file, 1, "cd"), ==, 0);
    g_assert_cmpint(vhd_file_resize(traced->file, 6 * TRACE_SECTOR_BYTES), ==, 0);
    cut = trace_cut_new(traced->trace, 0, traced->base, trace_now(traced->trace));
    g_assert_cmpuint(trace_cut_doubts(cut), ==, 3);
    for (unsigned i = 0; i < 2; i++) {
        TraceChooser choose = i ? trace_choose_all : trace_choose_none;
        g_autoptr(MemImage) made = trace_cut_image(cut, choose, NULL);
        g_autoptr(MemImage) wanted =
            trace_rebuild(traced->trace, 0, traced->base, trace_now(traced->trace), choose, NULL);

        g_assert_true(mem_image_equal(made, wanted, NULL));
        g_assert_cmpuint(mem_image_bytes(made), ==, (i ? 6 : 4) * TRACE_SECTOR_BYTES);
    }
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
    add("/trace/record", test_trace_record);
    add("/trace/barrier", test_trace_barrier);
    add("/trace/length", test_trace_length);
    add("/trace/overlap", test_trace_overlap);
    add("/trace/tick", test_trace_tick);
    add("/trace/cut", test_trace_cut);
    add("/trace/failed", test_trace_failed);
    add("/trace/files", test_trace_files);
    add("/trace/random", test_trace_random);
    add("/trace/threads", test_threads);
    return g_test_run();
}
