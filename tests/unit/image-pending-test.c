/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* What a killed process leaves in the pending log. */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/image-fixture.h"
#include "vhd/error.h"
#include "vhd/image-create.h"
#include "vhd/pending.h"

/* Death of the process: the image is dropped without a flush; the log gives all of it back. */
static void test_killed(void)
{
    static const VhdType types[] = {VHD_TYPE_DYNAMIC, VHD_TYPE_DIFFERENCING};
    for (unsigned i = 0; i < G_N_ELEMENTS(types); i++) {
        Fixture f;
        setup(&f, types[i], 8 * MIB, 2 * MIB);
        use_pending(&f);
        g_assert_cmpint(write_sectors(f.image, 0, 3, 0x11), ==, 0);
        g_assert_cmpint(vhd_image_flush(f.image), ==, 0);
        g_assert_cmpint(write_sectors(f.image, 5, 3, 0x22), ==, 0);
        g_assert_cmpint(write_sectors(f.image, 4100, 3, 0x33), ==, 0);
        vhd_image_unref(f.image);
        f.image = NULL;
        g_autoptr(GError) error = NULL;
        f.image = open_again(&f, false, NULL, &error); /* reading overlays the log */
        g_assert_no_error(error);
        g_assert_cmpint(sector_byte(f.image, 4101), ==, 0x33);
        reopen(&f);
        g_assert_cmpint(sector_byte(f.image, 2), ==, 0x11);
        g_assert_cmpint(sector_byte(f.image, 3), ==, types[i] == VHD_TYPE_DYNAMIC ? 0 : -1);
        g_assert_cmpint(sector_byte(f.image, 7), ==, 0x22);
        g_assert_cmpint(sector_byte(f.image, 4102), ==, 0x33);
        g_assert_cmpint(vhd_image_finish(f.image), ==, 0);
        g_assert_cmpint(g_rmdir(f.pending_dir), ==, 0); /* the log is gone */
        g_clear_pointer(&f.pending_dir, g_free);
        reopen(&f);
        g_assert_cmpint(sector_byte(f.image, 4102), ==, 0x33);
        teardown(&f);
    }
}

/* The process dies while a flush writes: at each write of stage 2 in turn. */
static void test_killed_in_flush(void)
{
    for (unsigned nth = 1; nth <= 6; nth++) {
        Fixture f;
        setup(&f, VHD_TYPE_DYNAMIC, 1024 * MIB, 2 * MIB);
        use_pending(&f);
        g_assert_cmpint(write_sectors(f.image, 0, 4096, 0x11), ==, 0);
        g_assert_cmpint(write_sectors(f.image, 4096, 4096, 0x22), ==, 0);
        g_assert_cmpint(vhd_image_flush(f.image), ==, 0);
        g_assert_cmpint(vhd_image_unmap(f.image, 0, 4096), ==, 0);
        g_assert_cmpint(write_sectors(f.image, 0, 1, 0x33), ==, 0);
        g_assert_cmpint(write_sectors(f.image, 4096 * 400, 1, 0x44), ==, 0);
        FaultRule rest = {
            .op = FILE_OP_WRITE, .kind = FILE_KIND_ANY, .nth = nth, .forever = true, .error = EIO};
        faults_add(f.faults, &rest);
        vhd_image_flush(f.image);
        faults_clear(f.faults);
        reopen(&f);
        g_assert_cmpint(sector_byte(f.image, 0), ==, 0x33);
        g_assert_cmpint(sector_byte(f.image, 1), ==, 0);
        g_assert_cmpint(sector_byte(f.image, 4097), ==, 0x22);
        g_assert_cmpint(sector_byte(f.image, 4096 * 400), ==, 0x44);
        g_assert_cmpint(vhd_image_finish(f.image), ==, 0);
        g_rmdir(f.pending_dir);
        teardown(&f);
    }
}

/* A barrier fails: the data may be lost, and the kernel counts them as written. Bits that speak of
 * them do not come back, neither after that flush nor after an opening whose sync failed. */
static void test_barrier_failed(void)
{
    for (unsigned opening = 0; opening < 2; opening++) {
        Fixture f;
        g_autoptr(GError) error = NULL;
        setup(&f, VHD_TYPE_DIFFERENCING, 8 * MIB, 2 * MIB);
        use_pending(&f);
        g_assert_cmpint(write_sectors(f.image, 0, 3, 0x11), ==, 0);
        g_assert_cmpint(vhd_image_flush(f.image), ==, 0);
        g_assert_cmpint(write_sectors(f.image, 5, 3, 0x22), ==, 0);
        g_assert_cmpint(write_sectors(f.image, 4100, 3, 0x33), ==, 0);
        faults_fail(f.faults, FILE_OP_BARRIER, FILE_KIND_ANY, 1, EIO);
        if (opening) {
            vhd_image_unref(f.image);
            f.image = open_again(&f, true, NULL, &error);
            g_assert_error(error, VHD_ERROR, VHD_ERROR_IO);
        } else {
            g_assert_cmpint(vhd_image_flush(f.image), ==, -EIO);
            g_assert_cmpint(sector_byte(f.image, 6), ==, 0x22); /* reads go on */
            g_assert_cmpint(vhd_image_finish(f.image), ==, -EIO);
        }
        reopen(&f);
        g_assert_cmpint(sector_byte(f.image, 1), ==, 0x11);
        g_assert_cmpint(sector_byte(f.image, 6), ==, -1);
        g_assert_cmpint(sector_byte(f.image, 4101), ==, -1);
        g_assert_cmpint(vhd_image_finish(f.image), ==, 0);
        g_rmdir(f.pending_dir);
        teardown(&f);
    }
}

static void clear_folder(const char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    for (const char *name; (name = g_dir_read_name(dir));) {
        g_autofree char *file = g_build_filename(path, name, NULL);
        g_remove(file);
    }
    g_rmdir(path);
}

/* A backup copied over the image: the log does not fit, and neither is lost. */
static void test_log_of_another_state(void)
{
    Fixture f;
    g_autoptr(GError) error = NULL;
    setup(&f, VHD_TYPE_DIFFERENCING, 8 * MIB, 2 * MIB);
    use_pending(&f);
    g_assert_cmpint(write_sectors(f.image, 5, 3, 0x22), ==, 0);
    g_assert_cmpint(vhd_image_flush(f.image), ==, 0);
    g_assert_cmpint(write_sectors(f.image, 4100, 3, 0x33), ==, 0);
    vhd_image_unref(f.image);
    g_autoptr(MemImage) backup = make_image(VHD_TYPE_DIFFERENCING, 8 * MIB, 2 * MIB);
    uint8_t page[4096];
    for (uint64_t off = 0; off < mem_image_bytes(backup); off += sizeof page) {
        mem_image_read(backup, off, page, sizeof page);
        mem_image_write(f.bytes, off, page, sizeof page);
    }
    f.image = open_again(&f, true, NULL, &error);
    g_assert_null(f.image);
    g_assert_error(error, VHD_ERROR, VHD_ERROR_PENDING);
    g_assert_nonnull(strstr(error->message, "does not fit this file"));
    clear_folder(f.pending_dir);
    teardown(&f);
}

/* More records than the log holds: it flushes by itself. */
static void test_log_full(void)
{
    Fixture f;
    setup(&f, VHD_TYPE_DIFFERENCING, 256 * MIB, 2 * MIB);
    use_pending(&f);
    for (unsigned i = 0; i < 40000; i++)
        g_assert_cmpint(write_sectors(f.image, i * 2, 1, (uint8_t)i), ==, 0);
    VhdImageDirt dirt;
    vhd_image_dirt(f.image, &dirt);
    g_assert_cmpint(dirt.barriers, >=, 2 * 2);
    reopen(&f);
    for (unsigned i = 0; i < 40000; i += 7)
        g_assert_cmpint(sector_byte(f.image, i * 2), ==, (uint8_t)i);
    g_assert_cmpint(vhd_image_finish(f.image), ==, 0);
    g_rmdir(f.pending_dir);
    teardown(&f);
}

static void *open_unlocked(void *data)
{
    g_autoptr(GError) error = NULL;
    VhdImage *image = open_again(data, false, NULL, &error);
    g_assert_no_error(error);
    return image;
}

/* All records say what none may: bits far beyond the end of a block. */
static void spoil_records(const char *folder)
{
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    g_autofree char *path = g_build_filename(folder, g_dir_read_name(dir), NULL);
    const VhdPendingRecord record = {VHD_PENDING_BITS, 0, 0, 1u << 30};
    int fd = g_open(path, O_RDWR | O_CLOEXEC, 0);
    g_assert_cmpint(fd, >=, 0);
    for (unsigned i = 0; i < 16; i++)
        g_assert_cmpint(pwrite(fd, &record, sizeof record, (off_t)(512 + i * sizeof record)), ==,
                        sizeof record);
    close(fd);
}

/* Read without a lock while the log is written: records may be overwritten by then, half of one
 * even. What was judged is what counts. */
static void test_log_changes_while_read(void)
{
    Fixture f;
    pthread_t reader;
    void *image;
    setup(&f, VHD_TYPE_DIFFERENCING, 8 * MIB, 2 * MIB);
    use_pending(&f);
    g_assert_cmpint(write_sectors(f.image, 0, 1, 0x11), ==, 0);
    g_assert_cmpint(vhd_image_flush(f.image), ==, 0);
    g_assert_cmpint(write_sectors(f.image, 5, 1, 0x22), ==, 0);
    g_assert_cmpint(write_sectors(f.image, 9, 1, 0x33), ==, 0);
    unsigned rule = faults_hold(f.faults, FILE_OP_READ, VHD_IO_BITMAP, 1);
    g_assert_cmpint(pthread_create(&reader, NULL, open_unlocked, &f), ==, 0);
    g_assert_true(faults_wait_held(f.faults, rule, 10000));
    spoil_records(f.pending_dir);
    faults_release(f.faults, rule);
    pthread_join(reader, &image);
    g_assert_cmpint(sector_byte(image, 5), ==, 0x22);
    g_assert_cmpint(sector_byte(image, 9), ==, 0x33);
    g_assert_cmpint(sector_byte(image, 10), ==, -1);
    vhd_image_unref(image);
    clear_folder(f.pending_dir);
    teardown(&f);
}

/* Where the image cannot be looked at, nobody knows whether a log waits: it is not opened without
 * it, neither for writing nor for reading. */
static void test_log_not_known(void)
{
    Fixture f;
    setup(&f, VHD_TYPE_DYNAMIC, 8 * MIB, 2 * MIB);
    use_pending(&f);
    g_assert_cmpint(write_sectors(f.image, 5, 1, 0x22), ==, 0);
    vhd_image_unref(f.image);
    for (int writable = 0; writable <= 1; writable++) {
        g_autoptr(GError) error = NULL;
        faults_fail(f.faults, FILE_OP_INFO, FILE_KIND_ANY, 2, EIO);
        g_assert_null(open_again(&f, writable, NULL, &error));
        g_assert_error(error, VHD_ERROR, VHD_ERROR_IO);
        g_assert_cmpstr(error->message, ==, "a.vhd: cannot look at: Input/output error");
        faults_clear(f.faults);
    }
    f.image = NULL;
    g_autoptr(GError) error = NULL;
    f.image = open_again(&f, true, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpint(sector_byte(f.image, 5), ==, 0x22);
    g_assert_cmpint(vhd_image_finish(f.image), ==, 0);
    g_assert_cmpint(g_rmdir(f.pending_dir), ==, 0);
    teardown(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/image/killed", test_killed);
    g_test_add_func("/image/killed-in-flush", test_killed_in_flush);
    g_test_add_func("/image/barrier-failed", test_barrier_failed);
    g_test_add_func("/image/log-of-another-state", test_log_of_another_state);
    g_test_add_func("/image/log-full", test_log_full);
    g_test_add_func("/image/log-not-known", test_log_not_known);
    g_test_add_func("/image/pending-changes-while-read", test_log_changes_while_read);
    return g_test_run();
}
