/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * The image's file system is full: the initiator is told so (07/27/07), for WRITE SAME and its
 * zeros too, and the LUN goes on when there is space again. The file system is a small tmpfs in a
 * mount namespace of this process; skipped where that is not allowed.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "tests/handler/lun-test.h"

enum { DISK_BYTES = 16 * 1024 * 1024, SKIP = 77 };

static char *filler;

static bool mount_small(void)
{
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return false;
    return mount("small", lun_test_folder(), "tmpfs", 0, "size=2m") == 0;
}

/* Take all the space that there is. */
static void fill_up(void)
{
    static const char bytes[4096];
    int fd;

    filler = g_build_filename(lun_test_folder(), "filler", NULL);
    fd = open(filler, O_WRONLY | O_CREAT, 0600);
    g_assert_cmpint(fd, >=, 0);
    while (write(fd, bytes, sizeof bytes) > 0)
        continue;
    g_assert_cmpint(errno, ==, ENOSPC);
    close(fd);
}

static void test_is_told_and_recovers(void)
{
    const char *parent = lun_test_image("parent.vhd", VHD_TYPE_DYNAMIC, DISK_BYTES);
    const char *child = lun_test_child("child.vhd", parent, DISK_BYTES);
    RunnerDevice *device = lun_test_open(parent, "", DISK_BYTES);
    uint8_t data[LUN_TEST_BLOCK] = {0}, cdb[16];

    lun_test_write(device, 2000, 8, 4);
    lun_test_close(device);
    device = lun_test_open(child, "", DISK_BYTES);
    lun_test_write(device, 0, 8, 3);
    fill_up();
    memset(data, 0xee, sizeof data);
    lun_test_command(device, SENSE_NO_SPACE, data, 512, 0x2a, 0, 0, 0, 0x10, 0, 0, 0, 1);
    runner_cdb_write_same16(cdb, 4096, 9, 0);
    lun_test_execute(device, cdb, data, sizeof data, SENSE_NO_SPACE, G_STRLOC);
    g_assert_true(runner_log_contains("writing 512 bytes at offset 2097152 of the disk failed: No "
                                      "space left on device"));
    /* The host would drop this one's error, and the parent's data stay. */
    memset(data, 0, sizeof data);
    runner_cdb_write_same16(cdb, 2001, 3, RUNNER_WS_UNMAP);
    lun_test_execute(device, cdb, data, sizeof data, SENSE_NO_SPACE, G_STRLOC);
    lun_test_expect(device, 0, 8, 3);
    lun_test_expect(device, 2000, 8, 4);
    lun_test_expect(device, 4096, 9, 0);

    g_assert_cmpint(unlink(filler), ==, 0);
    lun_test_execute(device, cdb, data, sizeof data, 0, G_STRLOC);
    lun_test_expect(device, 2000, 1, 4);
    lun_test_expect(device, 2001, 3, 0);
    lun_test_write(device, 4096, 9, 5);
    lun_test_command(device, 0, NULL, 0, 0x35);
    lun_test_close(device);
}

int main(int argc, char **argv)
{
    int result = SKIP;

    lun_test_init(&argc, &argv);
    if (mount_small()) {
        g_test_add_func("/no-space/is-told-and-recovers", test_is_told_and_recovers);
        result = g_test_run();
        g_free(filler);
        umount2(lun_test_folder(), MNT_DETACH);
    }
    lun_test_end();
    return result;
}
