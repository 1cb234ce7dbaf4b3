/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* A LUN from open to close. */
#include <errno.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/handler/lun-test.h"
#include "vhd/be.h"

enum { MIB = 1024 * 1024, DISK_BYTES = 4 * MIB, BLOCKS = DISK_BYTES / LUN_TEST_BLOCK };

static const char *image;

static void test_nothing_behind_unmap(void)
{
    const struct tcmur_handler *ops = runner_handler_ops(lun_test_handler());
    const uint8_t *rest = (const uint8_t *)ops + offsetof(struct tcmur_handler, writesame);

    for (size_t i = 0; i < sizeof *ops - offsetof(struct tcmur_handler, writesame); i++)
        g_assert_cmphex(rest[i], ==, 0);
    g_assert_cmpint(ops->nr_threads, ==, 0);
    g_assert_cmpstr(ops->subtype, ==, "vhd");
}

static void test_limits(void)
{
    RunnerDevice *device = lun_test_open(image, "", DISK_BYTES);

    g_assert_true(tcmu_dev_get_write_cache_enabled(device));
    g_assert_true(tcmu_dev_get_unmap_enabled(device));
    g_assert_cmpuint(tcmu_dev_get_unmap_gran_align(device), ==, 1);
    g_assert_cmpuint(tcmu_dev_get_opt_unmap_gran(device), ==, 8);
    g_assert_cmpuint(tcmu_dev_get_max_unmap_len(device), ==, 1 << 20);
    g_assert_cmpuint(tcmu_dev_get_max_xfer_len(device), ==, 2048);
    g_assert_cmpuint(tcmu_dev_get_opt_xcopy_rw_len(device), ==, 2048);
    lun_test_close(device);
    device = lun_test_open(image, ";cache=writethrough;discard=off", DISK_BYTES);
    g_assert_false(tcmu_dev_get_write_cache_enabled(device));
    g_assert_false(tcmu_dev_get_unmap_enabled(device));
    g_assert_cmpuint(tcmu_dev_get_unmap_gran_align(device), ==, 1);
    lun_test_close(device);
}

static void test_open_says_what_it_serves(void)
{
    lun_test_close(lun_test_open(image, ";max-depth=9", DISK_BYTES));
    g_assert_true(runner_log_contains("tcmu-vhd "));
    g_assert_true(runner_log_contains("cache=writeback,discard=on,max-depth=9"));
}

/* Whatever size= said, and whatever is written into dev_size later. */
static void test_size_is_the_images(void)
{
    RunnerDevice *device = lun_test_open(image, "", 64 * MIB);
    uint8_t data[LUN_TEST_BLOCK] = {0};

    g_assert_true(
        runner_log_contains("size set to the image's 4194304 bytes; 67108864 were given"));
    g_assert_cmpuint(tcmu_dev_get_num_lbas(device), ==, BLOCKS);
    g_assert_cmpint(runner_device_set_size(device, DISK_BYTES), ==, 0);
    g_assert_cmpint(runner_device_set_size(device, DISK_BYTES + 512), ==, -EINVAL);
    g_assert_cmpint(runner_device_set_size(device, DISK_BYTES - MIB), ==, 0);
    runner_clear_attention(device);
    lun_test_command(device, 0, data, 8, 0x25);
    g_assert_cmpuint(be32_get(data), ==, BLOCKS - 1);
    lun_test_command(device, 0, data, 512, 0x28, 0, 0, 0, 0x1f, 0xff, 0, 0, 1);
    lun_test_close(device);
}

static void test_reconfig(void)
{
    RunnerDevice *device = lun_test_open(image, ";cache=writeback;max-depth=7", DISK_BYTES);
    g_autofree char *same = g_strdup_printf("vhd/%s;max-depth=7", image);
    g_autofree char *other = g_strdup_printf("vhd/%s;ro", image);
    g_autofree char *wrong = g_strdup_printf("vhd/%s;wrong", image);

    g_assert_cmpint(runner_device_set_cfgstring(device, same), ==, 0);
    g_assert_cmpint(runner_device_set_cfgstring(device, other), ==, -ENOTSUP);
    g_assert_cmpint(runner_device_set_cfgstring(device, wrong), ==, -ENOTSUP);
    g_assert_cmpint(runner_device_set_write_cache(device, true), ==, 0);
    g_assert_cmpint(runner_device_set_write_cache(device, false), ==, 0);
    g_assert_true(tcmu_dev_get_write_cache_enabled(device));
    lun_test_close(device);
}

static void expect_refused(const char *text, uint32_t block_size, const char *log)
{
    RunnerDeviceConfig config = {.cfgstring = text, .size = DISK_BYTES, .block_size = block_size};
    char *error = NULL;

    g_assert_null(runner_device_new(lun_test_handler(), &config, &error));
    g_assert_nonnull(error);
    g_assert_true(runner_log_contains(log));
    free(error);
}

static void test_block_size(void)
{
    g_autofree char *text = g_strdup_printf("vhd/%s", image);

    expect_refused(text, 4096,
                   "block size 4096 is not possible, VHD sectors have 512 bytes: make the "
                   "backstore without hw_block_size");
}

static void test_read_only(void)
{
    RunnerDevice *device = lun_test_open(image, ";ro", DISK_BYTES);
    uint8_t data[2 * LUN_TEST_BLOCK] = {0}, zeros[2 * LUN_TEST_BLOCK] = {0};

    lun_test_command(device, 0, data, 32, 0x1a, 0, 0x3f, 0, 32);
    g_assert_cmphex(data[2], ==, 0x90); /* WP, DPOFUA */
    memset(data, 0xff, sizeof data);
    lun_test_command(device, SENSE_PROTECTED, data, 512, 0x0a, 0, 0, 0, 1);
    lun_test_command(device, SENSE_PROTECTED, data, 512, 0x2a, 0, 0, 0, 0, 0, 0, 0, 1);
    lun_test_command(device, SENSE_PROTECTED, data, 512, 0xaa, 0, 0, 0, 0, 0, 0, 0, 0, 1);
    lun_test_command(device, SENSE_PROTECTED, data, 512, 0x8a, [13] = 1);
    lun_test_command(device, SENSE_PROTECTED, data, 512, 0x2e, 0, 0, 0, 0, 0, 0, 0, 1);
    lun_test_command(device, SENSE_PROTECTED, data, 512, 0x41, 0, 0, 0, 0, 0, 0, 0, 1);
    lun_test_command(device, SENSE_PROTECTED, data, 512, 0x93, 8, [13] = 1);
    lun_test_command(device, SENSE_PROTECTED, data, 1024, 0x89, [13] = 1);
    lun_test_command(device, SENSE_PROTECTED, data, 24, 0x42, [8] = 24);
    lun_test_command(device, SENSE_PROTECTED, NULL, 0, 0x04);
    lun_test_command(device, SENSE_PROTECTED, NULL, 0, 0x48, 1);
    lun_test_command(device, 0, data, 1024, 0x28, 0, 0, 0, 0, 0, 0, 0, 2);
    g_assert_cmpmem(data, sizeof data, zeros, sizeof zeros);
    lun_test_command(device, 0, NULL, 0, 0x35);
    lun_test_close(device);
}

/* COMPARE AND WRITE and WRITE AND VERIFY: the host takes them apart and calls us back from inside
 * our completions. */
static void test_compound_commands(void)
{
    RunnerDevice *device = lun_test_open(image, "", DISK_BYTES);
    uint8_t data[2 * LUN_TEST_BLOCK], cdb[16];

    lun_test_write(device, 50, 2, 5);
    lun_test_fill(data, 50, 1, 5);
    lun_test_fill(data + LUN_TEST_BLOCK, 50, 1, 6);
    runner_cdb_caw(cdb, 50, 1);
    lun_test_execute(device, cdb, data, sizeof data, 0, G_STRLOC);
    lun_test_expect(device, 50, 1, 6);
    lun_test_execute(device, cdb, data, sizeof data, SENSE_MISCOMPARE, G_STRLOC);
    lun_test_expect(device, 50, 1, 6);
    runner_cdb_write_verify16(cdb, 60, 2);
    lun_test_fill(data, 60, 2, 7);
    lun_test_execute(device, cdb, data, sizeof data, 0, G_STRLOC);
    lun_test_expect(device, 60, 2, 7);
    lun_test_close(device);
}

static void count_reply(void *arg, const RunnerReply *reply)
{
    g_assert_true(reply->status == RUNNER_GOOD || reply->status == RUNNER_ABORTED);
    g_atomic_int_inc((int *)arg);
}

/* Removal with commands in our hands; the runner lingers in the last completion, and aborts if
 * close returns meanwhile. */
static void removal_under_load(enum RunnerRemoval how)
{
    enum { COMMANDS = 200, COMMAND_BLOCKS = 64 };
    const size_t bytes = (size_t)COMMAND_BLOCKS * LUN_TEST_BLOCK;
    g_autofree uint8_t *data = g_malloc0(COMMANDS * bytes);
    RunnerDevice *device = lun_test_open(image, "", DISK_BYTES);
    int replies = 0;

    for (uint32_t i = 0; i < COMMANDS; i++) {
        struct iovec iov = {data + i * bytes, bytes};
        uint8_t cdb[16];

        if (i % 3 == 0)
            runner_cdb_sync10(cdb);
        else if (i % 3 == 1)
            runner_cdb_write10(cdb, i * 32, COMMAND_BLOCKS, RUNNER_FUA);
        else
            runner_cdb_read10(cdb, i * 32, COMMAND_BLOCKS, 0);
        g_assert_cmpint(runner_submit(device, cdb, &iov, i % 3 ? 1 : 0, count_reply, &replies), ==,
                        0);
    }
    runner_device_remove(device, how);
    g_assert_cmpint(g_atomic_int_get(&replies), ==, COMMANDS);
    runner_device_free(device);
}

static void test_removal_drained(void)
{
    removal_under_load(RUNNER_REMOVE_DRAINED);
}

static void test_removal_at_once(void)
{
    for (int i = 0; i < 10; i++)
        removal_under_load(RUNNER_REMOVE_AT_ONCE);
}

int main(int argc, char **argv)
{
    int result;

    lun_test_init(&argc, &argv);
    image = lun_test_image("disk.vhd", VHD_TYPE_DYNAMIC, DISK_BYTES);
    g_test_add_func("/life/nothing-behind-unmap", test_nothing_behind_unmap);
    g_test_add_func("/life/limits", test_limits);
    g_test_add_func("/life/open-says-what-it-serves", test_open_says_what_it_serves);
    g_test_add_func("/life/size-is-the-images", test_size_is_the_images);
    g_test_add_func("/life/reconfig", test_reconfig);
    g_test_add_func("/life/block-size", test_block_size);
    g_test_add_func("/life/read-only", test_read_only);
    g_test_add_func("/life/compound-commands", test_compound_commands);
    g_test_add_func("/life/removal-drained", test_removal_drained);
    g_test_add_func("/life/removal-at-once", test_removal_at_once);
    result = g_test_run();
    lun_test_end();
    return result;
}
