/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * What makes an image, judges one or asks whether it could be opened, with the n-th operation of
 * each kind failing, for n = 1, 2, 3 ... until nothing fails any more: a new image has its name and
 * is whole, or neither it nor a temporary file is there; a look never takes a file that cannot be
 * read for a corrupt one, and changes nothing.
 */
#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/fault-file.h"
#include "tests/support/mem-file.h"
#include "tests/unit/chain-sample.h"
#include "vhd/check.h"
#include "vhd/disk.h"
#include "vhd/error.h"

static unsigned runs, hits;

/* Call once for each n, kind and errno until nothing is hit. */
static void sweep(FileOp op, void (*once)(const FaultRule *rule, Faults *faults, void *data),
                  void *data)
{
    static const int errors[] = {EIO, ENOSPC};
    bool has_kind = op == FILE_OP_READ || op == FILE_OP_WRITE;

    for (int kind = 0; kind < (has_kind ? (int)VHD_IO_KINDS : 1); kind++) {
        for (unsigned i = 0; i < 2 * G_N_ELEMENTS(errors); i++) {
            FaultRule rule = {.op = op,
                              .kind = has_kind ? kind : FILE_KIND_ANY,
                              .error = errors[i / 2],
                              .bytes = i % 2 * VHD_SECTOR_BYTES};
            uint64_t failed;

            do {
                g_autoptr(Faults) faults = faults_new();

                rule.nth++;
                faults_add(faults, &rule);
                once(&rule, faults, data);
                failed = faults_failed(faults);
                runs++;
                hits += failed > 0;
            } while (failed > 0);
        }
    }
}

static void expect_sentence(const GError *error, const char *path)
{
    g_assert_nonnull(error);
    g_assert_true(error->domain == VHD_ERROR);
    g_assert_true(g_str_has_prefix(error->message, path));
    g_assert_null(strchr(error->message, '\n'));
}

/* Creating */

static unsigned files_in(const char *folder)
{
    GDir *dir = g_dir_open(folder, 0, NULL);
    unsigned count = 0;

    g_assert_nonnull(dir);
    while (g_dir_read_name(dir))
        count++;
    g_dir_close(dir);
    return count;
}

static void nothing_amiss(void *data, const VhdFinding *finding)
{
    (void)data;
    if (finding->severity > VHD_SEVERITY_INFO && finding->code != VHD_FINDING_PARENT)
        g_error("%s: %s", vhd_finding_name(finding->code), finding->text);
}

static void expect_whole(const char *path)
{
    VhdCheckOptions options = {.report = nothing_amiss};
    g_autoptr(GError) error = NULL;

    g_assert_true(vhd_check_chain(path, &options, &error));
    g_assert_no_error(error);
}

static bool make(const char *path, const VhdCreate *create, Faults *faults, GError **error)
{
    VhdFile *file = vhd_file_create(path, 0644, error);

    g_assert_nonnull(file);
    g_autoptr(VhdFile) fault = fault_file_new(file, faults);
    return vhd_image_create(fault, create, error) && vhd_file_publish(fault, false, error);
}

static void create_once(const FaultRule *rule, Faults *faults, void *data)
{
    g_autofree char *folder = sample_folder_new();
    g_autofree char *path = g_build_filename(folder, "new.vhd", NULL);
    g_autoptr(GError) error = NULL;
    bool made = make(path, data, faults, &error);

    g_assert_true(made == (faults_failed(faults) == 0));
    if (made) {
        expect_whole(path);
    } else {
        expect_sentence(error, path);
        g_assert_true(rule->error != ENOSPC || error->code == VHD_ERROR_NOSPACE);
        g_assert_cmpint(access(path, F_OK), <, 0);
    }
    g_assert_cmpuint(files_in(folder), ==, made);
    sample_folder_free(g_steal_pointer(&folder));
}

static void test_create(void)
{
    static const VhdType types[] = {VHD_TYPE_FIXED, VHD_TYPE_DYNAMIC, VHD_TYPE_DIFFERENCING};

    for (unsigned i = 0; i < 2 * G_N_ELEMENTS(types); i++) {
        VhdCreate create = {.type = types[i / 2],
                            .disk_bytes = 256 * 1024,
                            .block_bytes = 65536,
                            .preallocate = i % 2,
                            .parent_name = "p.vhd",
                            .parent_relative = "p.vhd",
                            .parent_absolute = "/srv/p.vhd"};

        for (FileOp op = 0; op < FILE_OPS; op++)
            sweep(op, create_once, &create);
    }
}

/* Looking */

typedef struct Looked {
    unsigned failed, corrupt;
} Looked;

static void count_finding(void *data, const VhdFinding *finding)
{
    Looked *looked = data;

    looked->failed += finding->severity == VHD_SEVERITY_FAILED;
    looked->corrupt += finding->severity == VHD_SEVERITY_ERROR;
}

static void check_once(const FaultRule *rule, Faults *faults, void *data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VhdFile) file = fault_file_new(vhd_file_open(data, VHD_FILE_READ, &error), faults);
    Looked looked = {0};
    VhdCheckOptions options = {.report = count_finding, .data = &looked};
    VhdCheckResult result;
    bool judged = vhd_check_image(file, 0, &options, &result, &error);

    g_assert_cmpuint(looked.corrupt, ==, 0);
    if (!judged)
        expect_sentence(error, data);
    if (faults_failed(faults) == 0)
        g_assert_true(judged && looked.failed == 0);
    else if (rule->op == FILE_OP_READ)
        g_assert_true(!judged || looked.failed > 0);
}

static VhdFile *wrap(VhdFile *file, void *data)
{
    return fault_file_new(file, data);
}

static void probe_once(const FaultRule *rule, Faults *faults, void *data)
{
    g_autoptr(GError) error = NULL;
    VhdDiskOptions options = {.path = data, .wrap = wrap, .wrap_data = faults};
    bool would_open = vhd_disk_probe(&options, &error);

    if (would_open)
        g_assert_true(faults_failed(faults) == 0 || rule->op == FILE_OP_INFO);
    else
        g_assert_cmpuint(faults_failed(faults), >, 0);
    g_assert_cmpuint(faults_count(faults, FILE_OP_WRITE, FILE_KIND_ANY), ==, 0);
    if (!would_open) {
        g_autofree char *folder = g_path_get_dirname(data);

        expect_sentence(error, folder);
    }
}

static void write_some(const char *path)
{
    g_autoptr(GError) error = NULL;
    VhdDiskOptions options = {.path = path, .no_pending = true};
    VhdDisk *disk = vhd_disk_open(&options, &error);

    g_assert_no_error(error);
    g_assert_cmpint(vhd_disk_write(disk, 1024, "0123456789abcdef", 0, false), ==, 0);
    g_assert_cmpint(vhd_disk_write_zeroes(disk, 65536, 70000 / 512 * 512, true), ==, 0);
    g_assert_cmpint(vhd_disk_close(disk), ==, 0);
}

static void test_look(void)
{
    g_autofree char *folder = sample_folder_new();
    g_autofree char *path = sample_chain(folder, "look", 3);

    write_some(path);
    for (FileOp op = 0; op < FILE_OPS; op++) {
        sweep(op, check_once, path);
        sweep(op, probe_once, path);
    }
    sample_folder_free(g_steal_pointer(&folder));
}

static void test_some_were_hit(void)
{
    g_test_message("%u runs, %u of them hit", runs, hits);
    g_assert_cmpuint(hits, >, 100);
}

int main(int argc, char **argv)
{
    if (access("/dev/shm", W_OK) == 0) /* a barrier takes no time there */
        g_setenv("TMPDIR", "/dev/shm", FALSE);
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/faults/create", test_create);
    g_test_add_func("/faults/look", test_look);
    g_test_add_func("/faults/some-were-hit", test_some_were_hit);
    return g_test_run();
}
