/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * Who keeps whom off an image: the same table on the real file system and on the memory double,
 * then against qemu-img and qemu-io, in both directions.
 */
#include "vhd/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/fault-file.h"
#include "tests/support/mem-file.h"
#include "vhd/error.h"

typedef struct Fixture {
    char *folder, *path;
    MemImage *image; /* NULL: the real file at path */
} Fixture;

static void setup(Fixture *fix, gconstpointer data)
{
    fix->folder = g_dir_make_tmp("vhd-lock-XXXXXX", NULL);
    g_assert_nonnull(fix->folder);
    fix->path = g_build_filename(fix->folder, "image.vhd", NULL);
    g_assert_true(g_file_set_contents(fix->path, "", 0, NULL));
    fix->image = data ? mem_image_new() : NULL;
}

static void teardown(Fixture *fix, gconstpointer data)
{
    (void)data;
    mem_image_unref(fix->image);
    g_unlink(fix->path);
    g_rmdir(fix->folder);
    g_free(fix->path);
    g_free(fix->folder);
}

static VhdFile *open_image(Fixture *fix, bool writable)
{
    VhdFile *file = fix->image ? mem_file_open(fix->image, fix->path, writable)
                               : vhd_file_open(fix->path, writable ? VHD_FILE_WRITE : 0, NULL);

    g_assert_nonnull(file);
    return file;
}

/* Whether second gets in while first is in; the answer is the same for probing and taking. */
static bool gets_in(Fixture *fix, VhdLockMode first, VhdLockMode second)
{
    g_autoptr(VhdFile) a = open_image(fix, first == VHD_LOCK_WRITE);
    g_autoptr(VhdFile) b = open_image(fix, second == VHD_LOCK_WRITE);
    g_autoptr(GError) error = NULL, probe_error = NULL;
    bool unlocked = true, probed, taken;

    g_assert_true(vhd_lock_take(a, first, 0, &unlocked, NULL));
    g_assert_false(unlocked);
    probed = vhd_lock_probe(b, second, &probe_error);
    taken = vhd_lock_take(b, second, 0, NULL, &error);
    g_assert_true(probed == taken);
    if (!taken) {
        g_assert_error(error, VHD_ERROR, VHD_ERROR_BUSY);
        g_assert_error(probe_error, VHD_ERROR, VHD_ERROR_BUSY);
        g_assert_true(g_str_has_prefix(error->message, fix->path));
        g_assert_nonnull(strstr(error->message, fix->image ? "another process" : "same process"));
        g_assert_nonnull(
            strstr(error->message, first == VHD_LOCK_WRITE ? "writes it" : "reads it"));
        /* Who was refused keeps nobody off. */
        vhd_lock_drop(a);
        g_assert_true(vhd_lock_probe(a, VHD_LOCK_WRITE, NULL));
    }
    return taken;
}

static void test_table(Fixture *fix, gconstpointer data)
{
    (void)data;
    g_assert_true(gets_in(fix, VHD_LOCK_NONE, VHD_LOCK_NONE));
    g_assert_true(gets_in(fix, VHD_LOCK_NONE, VHD_LOCK_READ));
    g_assert_true(gets_in(fix, VHD_LOCK_NONE, VHD_LOCK_WRITE));
    g_assert_true(gets_in(fix, VHD_LOCK_READ, VHD_LOCK_NONE));
    g_assert_true(gets_in(fix, VHD_LOCK_READ, VHD_LOCK_READ));
    g_assert_false(gets_in(fix, VHD_LOCK_READ, VHD_LOCK_WRITE));
    g_assert_true(gets_in(fix, VHD_LOCK_WRITE, VHD_LOCK_NONE));
    g_assert_false(gets_in(fix, VHD_LOCK_WRITE, VHD_LOCK_READ));
    g_assert_false(gets_in(fix, VHD_LOCK_WRITE, VHD_LOCK_WRITE));
}

/* A lock ends with drop, and with close; a mode taken takes the place of the one held. */
static void test_end(Fixture *fix, gconstpointer data)
{
    g_autoptr(VhdFile) a = open_image(fix, true);
    VhdFile *b = open_image(fix, true);

    (void)data;
    g_assert_true(vhd_lock_take(b, VHD_LOCK_WRITE, 0, NULL, NULL));
    g_assert_true(vhd_lock_take(b, VHD_LOCK_WRITE, 0, NULL, NULL)); /* not in its own way */
    g_assert_false(vhd_lock_probe(a, VHD_LOCK_READ, NULL));
    g_assert_true(vhd_lock_take(b, VHD_LOCK_READ, 0, NULL, NULL));
    g_assert_true(vhd_lock_probe(a, VHD_LOCK_READ, NULL));
    g_assert_false(vhd_lock_probe(a, VHD_LOCK_WRITE, NULL));
    vhd_lock_drop(b);
    g_assert_true(vhd_lock_probe(a, VHD_LOCK_WRITE, NULL));
    g_assert_true(vhd_lock_take(b, VHD_LOCK_WRITE, 0, NULL, NULL));
    vhd_file_close(b);
    g_assert_true(vhd_lock_take(a, VHD_LOCK_WRITE, 0, NULL, NULL));
}

static void *drop_later(void *file)
{
    usleep(150 * 1000);
    vhd_lock_drop(file);
    return NULL;
}

static void test_wait(Fixture *fix, gconstpointer data)
{
    g_autoptr(VhdFile) a = open_image(fix, true), b = open_image(fix, false);
    gint64 start = g_get_monotonic_time();
    pthread_t thread;

    (void)data;
    g_assert_true(vhd_lock_take(a, VHD_LOCK_WRITE, 0, NULL, NULL));
    g_assert_false(vhd_lock_take(b, VHD_LOCK_READ, 60, NULL, NULL));
    g_assert_cmpint(g_get_monotonic_time() - start, >=, 59 * 1000);
    g_assert_cmpint(pthread_create(&thread, NULL, drop_later, a), ==, 0);
    g_assert_true(vhd_lock_take(b, VHD_LOCK_READ, 20 * 1000, NULL, NULL));
    pthread_join(thread, NULL);
}

/* Only the bytes asked about keep off: 201 of another reader must not. */
static void test_bytes(Fixture *fix, gconstpointer data)
{
    static const struct {
        uint64_t byte;
        bool read, write;
    } rows[] = {{100, true, true},  {101, false, false}, {102, true, true},  {103, false, false},
                {104, true, true},  {200, false, false}, {201, true, false}, {202, true, true},
                {203, true, false}, {204, true, true}};
    g_autoptr(VhdFile) a = open_image(fix, true), b = open_image(fix, true);

    (void)data;
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_assert_cmpint(a->ops->lock(a, rows[i].byte, F_RDLCK), ==, 0);
        g_assert_true(vhd_lock_probe(b, VHD_LOCK_READ, NULL) == rows[i].read);
        g_assert_true(vhd_lock_probe(b, VHD_LOCK_WRITE, NULL) == rows[i].write);
        g_assert_cmpint(a->ops->lock(a, rows[i].byte, F_UNLCK), ==, 0);
    }
    for (uint64_t byte = 0; byte < 256; byte++) {
        bool held = byte == 100 || byte == 101 || byte == 103 || byte == 201 || byte == 203;

        g_assert_true(vhd_lock_take(b, VHD_LOCK_WRITE, 0, NULL, NULL));
        g_assert_cmpint(a->ops->lock_test(a, byte), ==, held ? -EAGAIN : 0);
        g_assert_true(vhd_lock_take(b, VHD_LOCK_READ, 0, NULL, NULL));
        held = byte == 100 || byte == 201 || byte == 203;
        g_assert_cmpint(a->ops->lock_test(a, byte), ==, held ? -EAGAIN : 0);
    }
}

/* Without locks in the file system it goes on, and says so. */
static void test_unsupported(Fixture *fix, gconstpointer data)
{
    static const int errors[] = {ENOLCK, EOPNOTSUPP, EINVAL};

    (void)data;
    for (size_t i = 0; i < G_N_ELEMENTS(errors); i++) {
        g_autoptr(Faults) faults = faults_new();
        g_autoptr(VhdFile) file = fault_file_new(open_image(fix, true), faults);
        bool unlocked = false;

        faults_add(faults, &(FaultRule){.op = FILE_OP_LOCK_TEST,
                                        .kind = FILE_KIND_ANY,
                                        .forever = true,
                                        .error = errors[i]});
        g_assert_true(vhd_lock_take(file, VHD_LOCK_WRITE, 0, &unlocked, NULL));
        g_assert_true(unlocked);
        g_assert_true(vhd_lock_probe(file, VHD_LOCK_WRITE, NULL));
        faults_clear(faults);
        g_assert_true(vhd_lock_take(file, VHD_LOCK_WRITE, 0, &unlocked, NULL));
        g_assert_false(unlocked);
    }
}

/* Any call may fail; nothing stays held then. */
static void test_failure(Fixture *fix, gconstpointer data)
{
    g_autoptr(VhdFile) other = open_image(fix, true);

    (void)data;
    for (unsigned op = FILE_OP_LOCK; op <= FILE_OP_LOCK_TEST; op++) {
        for (unsigned nth = 1; nth <= 5; nth++) {
            g_autoptr(Faults) faults = faults_new();
            g_autoptr(VhdFile) file = fault_file_new(open_image(fix, true), faults);
            g_autoptr(GError) error = NULL;

            faults_fail(faults, op, FILE_KIND_ANY, nth, EIO);
            g_assert_false(vhd_lock_take(file, VHD_LOCK_WRITE, 1000, NULL, &error));
            g_assert_error(error, VHD_ERROR, VHD_ERROR_IO);
            g_assert_true(vhd_lock_probe(other, VHD_LOCK_WRITE, NULL));
        }
    }
}

static void *take_write(void *file)
{
    g_autoptr(GError) error = NULL;

    g_assert_false(vhd_lock_take(file, VHD_LOCK_WRITE, 0, NULL, &error));
    g_assert_error(error, VHD_ERROR, VHD_ERROR_BUSY);
    return NULL;
}

/* Both have found the image free before either takes it: it is asked about again afterwards. */
static void test_race(Fixture *fix, gconstpointer data)
{
    g_autoptr(Faults) faults = faults_new();
    g_autoptr(VhdFile) a = fault_file_new(open_image(fix, true), faults), b = open_image(fix, true);
    unsigned rule = faults_hold(faults, FILE_OP_LOCK, FILE_KIND_ANY, 1);
    pthread_t thread;

    (void)data;
    g_assert_cmpint(pthread_create(&thread, NULL, take_write, a), ==, 0);
    g_assert_true(faults_wait_held(faults, rule, 60 * 1000));
    g_assert_true(vhd_lock_take(b, VHD_LOCK_WRITE, 0, NULL, NULL));
    faults_release(faults, rule);
    pthread_join(thread, NULL);
    g_assert_true(vhd_lock_probe(b, VHD_LOCK_WRITE, NULL));
}

#define THREADS 4

typedef struct Contest {
    Fixture *fix;
    gint inside; /* atomic */
} Contest;

static void *contest_thread(void *data)
{
    Contest *contest = data;

    for (int i = 0; i < 10; i++) {
        VhdFile *file = open_image(contest->fix, true);

        g_assert_true(vhd_lock_take(file, VHD_LOCK_WRITE, 60 * 1000, NULL, NULL));
        g_assert_cmpint(__atomic_add_fetch(&contest->inside, 1, __ATOMIC_SEQ_CST), ==, 1);
        usleep(500);
        __atomic_sub_fetch(&contest->inside, 1, __ATOMIC_SEQ_CST);
        vhd_file_close(file);
    }
    return NULL;
}

/* Never two writers at once, and everybody's turn comes. */
static void test_contest(Fixture *fix, gconstpointer data)
{
    Contest contest = {.fix = fix};
    pthread_t threads[THREADS];

    (void)data;
    for (int i = 0; i < THREADS; i++)
        g_assert_cmpint(pthread_create(&threads[i], NULL, contest_thread, &contest), ==, 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

/* Run a program to its end; its exit status. */
static int run(const char *const *argv, char **err)
{
    char *args[8] = {0};
    int status;

    for (size_t i = 0; argv[i]; i++)
        args[i] = (char *)(uintptr_t)argv[i];
    g_assert_true(g_spawn_sync(NULL, args, NULL,
                               G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL |
                                   (err ? 0 : G_SPAWN_STDERR_TO_DEV_NULL),
                               NULL, NULL, NULL, err, &status, NULL));
    return status;
}

static bool have_qemu(void)
{
    g_autofree char *img = g_find_program_in_path("qemu-img");
    g_autofree char *io = g_find_program_in_path("qemu-io");

    if (!img || !io)
        g_test_skip("qemu-img and qemu-io are not here (Debian: qemu-utils)");
    return img && io;
}

static void make_image(Fixture *fix)
{
    g_assert_cmpint(
        run((const char *const[]){"qemu-img", "create", "-q", "-f", "vpc", fix->path, "16M", NULL},
            NULL),
        ==, 0);
}

static bool qemu_reads(Fixture *fix, char **err)
{
    return run((const char *const[]){"qemu-img", "info", fix->path, NULL}, err) == 0;
}

static bool qemu_writes(Fixture *fix)
{
    return run((const char *const[]){"qemu-io", "-f", "vpc", "-c", "write 0 512", fix->path, NULL},
               NULL) == 0;
}

static void test_keeps_qemu_off(Fixture *fix, gconstpointer data)
{
    g_autofree char *err = NULL;
    VhdFile *file;

    (void)data;
    if (!have_qemu())
        return;
    make_image(fix);
    file = open_image(fix, true);
    g_assert_true(vhd_lock_take(file, VHD_LOCK_WRITE, 0, NULL, NULL));
    g_assert_false(qemu_reads(fix, &err));
    g_assert_nonnull(strstr(err, "lock"));
    g_assert_false(qemu_writes(fix));
    g_assert_true(vhd_lock_take(file, VHD_LOCK_READ, 0, NULL, NULL));
    g_assert_true(qemu_reads(fix, NULL));
    g_assert_false(qemu_writes(fix));
    vhd_file_close(file);
    g_assert_true(qemu_reads(fix, NULL));
    g_assert_true(qemu_writes(fix));
}

/* The sentence names qemu-io and what it does. The search for it is given up on a busy machine, so
 * it is asked for more than once. */
static void assert_names_qemu(VhdFile *file, GPid pid, const char *does)
{
    g_autofree char *says = g_strdup_printf("(pid %d qemu-io) that %s it", (int)pid, does);
    bool found = false;

    for (int i = 0; i < 100 && !found; i++) {
        g_autoptr(GError) error = NULL;

        g_assert_false(vhd_lock_take(file, VHD_LOCK_WRITE, 0, NULL, &error));
        g_assert_error(error, VHD_ERROR, VHD_ERROR_BUSY);
        found = strstr(error->message, says) != NULL;
    }
    g_assert_true(found);
}

/* A qemu-io that has the image open until its input is closed. */
static void test_kept_off_by_qemu(Fixture *fix, gconstpointer data)
{
    const char *const writer[] = {"qemu-io", "-f", "vpc", fix->path, NULL};
    const char *const reader[] = {"qemu-io", "-r", "-f", "vpc", fix->path, NULL};

    (void)data;
    if (!have_qemu())
        return;
    make_image(fix);
    for (int writes = 0; writes <= 1; writes++) {
        g_autoptr(VhdFile) file = open_image(fix, true);
        int input, output;
        char prompt;
        GPid pid;

        g_assert_true(g_spawn_async_with_pipes(NULL, (char **)(uintptr_t)(writes ? writer : reader),
                                               NULL,
                                               G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD,
                                               NULL, NULL, &pid, &input, &output, NULL, NULL));
        g_assert_cmpint(read(output, &prompt, 1), ==, 1); /* it has opened the image */
        g_assert_true(vhd_lock_probe(file, VHD_LOCK_READ, NULL) == !writes);
        assert_names_qemu(file, pid, writes ? "writes" : "reads");
        close(input);
        g_assert_true(vhd_lock_take(file, VHD_LOCK_WRITE, 20 * 1000, NULL, NULL));
        close(output);
        waitpid(pid, NULL, 0);
    }
}

static void add(const char *path, bool memory, void (*test)(Fixture *fix, gconstpointer data))
{
    g_test_add(path, Fixture, GINT_TO_POINTER(memory), setup, test, teardown);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add("/lock/table", false, test_table);
    add("/lock/table-memory", true, test_table);
    add("/lock/end", false, test_end);
    add("/lock/end-memory", true, test_end);
    add("/lock/wait", false, test_wait);
    add("/lock/bytes", false, test_bytes);
    add("/lock/bytes-memory", true, test_bytes);
    add("/lock/unsupported", false, test_unsupported);
    add("/lock/failure", false, test_failure);
    add("/lock/race", false, test_race);
    add("/lock/contest", false, test_contest);
    add("/lock/qemu/kept-off", false, test_keeps_qemu_off);
    add("/lock/qemu/keeps-off", false, test_kept_off_by_qemu);
    return g_test_run();
}
