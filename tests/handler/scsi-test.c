/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* The front end: what an initiator sees of one dynamic disk. */
#include <string.h>

#include "tests/handler/lun-test.h"
#include "vhd/be.h"

enum { MIB = 1024 * 1024, DISK_BYTES = 4 * MIB, BLOCKS = DISK_BYTES / LUN_TEST_BLOCK };

static RunnerDevice *device;
static uint8_t data[64 * 1024];

static void expect_no_old_data(const char *where)
{
    for (size_t i = 0; i < 4096; i++) {
        if (data[i] == 0xa5)
            g_error("%s: byte %zu is old data", where, i);
    }
}

#define reply(...)                                                                                 \
    do {                                                                                           \
        memset(data, 0xa5, sizeof data);                                                           \
        lun_test_command(device, 0, data, 4096, __VA_ARGS__);                                      \
        expect_no_old_data(G_STRLOC);                                                              \
    } while (0)

/* Commands without data, sent as ones that read: what the host's memory holds of others' commands
 * stays there. */
static void test_no_data_holds_no_old_data(void)
{
    reply(0x00);
    reply(0x1b, 0, 0, 0, 1, 0);
    reply(0x2f, 0, 0, 0, 0, 8, 0, 0, 1, 0);
    reply(0x34, 0, 0, 0, 0, 8, 0, 0, 1, 0);
    reply(0x35);
    reply(0x91);
}

static void test_inquiry(void)
{
    reply(0x12, 0, 0, 0x10, 0, 0);
    g_assert_cmpmem(data + 8, 28, "LIO-ORG TCMU device     0002", 28);
    g_assert_cmphex(data[5] & 0x30, ==, 0); /* no target port groups, see page 83h */
    lun_test_command(device, SENSE_INVALID_CDB, data, 4096, 0x12, 0, 0x80, 0x10, 0, 0);
    lun_test_command(device, SENSE_INVALID_CDB, data, 4096, 0x12, 1, 0xc7, 0x10, 0, 0);
}

static void test_inquiry_is_cut_at_allocation_length(void)
{
    memset(data, 0xa5, sizeof data);
    lun_test_command(device, 0, data, 4096, 0x12, 0, 0, 0, 5, 0);
    g_assert_cmphex(data[4], ==, 61);
    g_assert_cmphex(data[5], ==, 0);
}

static void test_identification_hides_path(void)
{
    size_t length;

    reply(0x12, 1, 0x80, 0x10, 0, 0);
    length = data[3];
    g_assert_cmpuint(length, >, 0);
    reply(0x12, 1, 0x83, 0x10, 0, 0);
    g_assert_cmphex(data[1], ==, 0x83);
    length = be16_get(data + 2);
    g_assert_cmphex(data[5], ==, 3); /* NAA */
    g_assert_cmpmem(data + 8, 3, "\x60\x01\x40", 3);
    g_assert_cmphex(data[11] & 0xf0, ==, 0x50);
    for (size_t i = 0; i < length; i++)
        g_assert_false(data[4 + i] == '/');
    g_assert_null(memmem(data, 4096, "vhd", 3));
}

static void test_provisioning_page(void)
{
    reply(0x12, 1, 0xb2, 0x10, 0, 0);
    g_assert_cmpmem(data, 8, "\0\xb2\0\4\0\xe4\2\0", 8);
}

static void test_mode_sense(void)
{
    reply(0x1a, 0, 0x3f, 0, 0xff, 0);
    g_assert_cmpuint(data[0], ==, 4 + 12 + 20 + 12 - 1);
    g_assert_cmphex(data[2], ==, 0x10); /* DPOFUA */
    g_assert_cmphex(data[4 + 12], ==, 0x08);
    g_assert_cmphex(data[4 + 12 + 2], ==, 0x04); /* WCE */
    reply(0x5a, 0, 0x08, 0, 0, 0, 0, 0x10, 0, 0);
    g_assert_cmpuint(be16_get(data), ==, 8 + 20 - 2);
    g_assert_cmphex(data[3], ==, 0x10);
    g_assert_cmphex(data[8 + 2], ==, 0x04);
    reply(0x1a, 0, 0x48, 0, 0xff, 0); /* changeable: nothing */
    g_assert_cmphex(data[4], ==, 0x08);
    g_assert_cmphex(data[4 + 2], ==, 0);
    lun_test_command(device, SENSE_NO_SAVING, data, 4096, 0x1a, 0, 0xc8, 0, 0xff, 0);
    lun_test_command(device, SENSE_INVALID_CDB, data, 4096, 0x1a, 0, 0x1c, 0, 0xff, 0);
}

static void test_read_capacity_16(void)
{
    reply(0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0);
    g_assert_cmpuint(be64_get(data), ==, BLOCKS - 1);
    g_assert_cmpuint(be32_get(data + 8), ==, 512);
    g_assert_cmphex(data[14], ==, 0xc0);
    reply(0x25);
    g_assert_cmpuint(be32_get(data), ==, BLOCKS - 1);
}

static void test_protection_is_refused(void)
{
    lun_test_write(device, 8, 1, 3);
    memset(data, 0xee, sizeof data);
    lun_test_command(device, SENSE_INVALID_CDB, data, 512, 0x28, 0x20, 0, 0, 0, 8, 0, 0, 1);
    lun_test_command(device, SENSE_INVALID_CDB, data, 512, 0x2a, 0x20, 0, 0, 0, 8, 0, 0, 1);
    lun_test_command(device, SENSE_INVALID_CDB, data, 512, 0xa8, 0x60, 0, 0, 0, 8, 0, 0, 0, 1);
    lun_test_command(device, SENSE_INVALID_CDB, data, 512, 0xaa, 0x40, 0, 0, 0, 8, 0, 0, 0, 1);
    lun_test_command(device, SENSE_INVALID_CDB, data, 512, 0x88, 0x20, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0,
                     0, 1);
    lun_test_command(device, SENSE_INVALID_CDB, data, 512, 0x8a, 0x80, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0,
                     0, 1);
    lun_test_command(device, SENSE_INVALID_CDB, data, 512, 0x2e, 0x20, 0, 0, 0, 8, 0, 0, 1);
    lun_test_command(device, SENSE_INVALID_CDB, data, 512, 0x2f, 0x22, 0, 0, 0, 8, 0, 0, 1);
    lun_test_command(device, SENSE_INVALID_CDB, data, 512, 0x41, 0x20, 0, 0, 0, 8, 0, 0, 1);
    lun_test_command(device, SENSE_INVALID_CDB, data, 512, 0x93, 0x20, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0,
                     0, 1);
    lun_test_expect(device, 8, 1, 3);
}

/* A 0 in READ(6) and WRITE(6) is 256 blocks, elsewhere none. */
static void test_zero_blocks(void)
{
    enum { SIX = 256 * LUN_TEST_BLOCK };
    g_autofree uint8_t *big = g_malloc(SIX), *seen = g_malloc0(SIX);

    lun_test_fill(big, 100, 256, 9);
    lun_test_command(device, 0, big, SIX, 0x0a, 0, 0, 100, 0, 0);
    lun_test_expect(device, 100, 256, 9);
    lun_test_command(device, 0, seen, SIX, 0x08, 0, 0, 100, 0, 0);
    g_assert_cmpmem(seen, SIX, big, SIX);
    lun_test_command(device, 0, NULL, 0, 0x28);
    lun_test_command(device, 0, NULL, 0, 0x2a);
    lun_test_command(device, 0, NULL, 0, 0x2f);
}

/* Quietly: the host would write a line into the log for each. */
static void test_range(void)
{
    const uint8_t high = (uint8_t)((BLOCKS - 1) >> 8), low = (uint8_t)(BLOCKS - 1);
    uint64_t before;

    lun_test_command(device, 0, data, 512, 0x28, 0, 0, 0, high, low, 0, 0, 1);
    before = runner_device_stats(device).handled_inline;
    lun_test_command(device, SENSE_RANGE, data, 1024, 0x28, 0, 0, 0, high, low, 0, 0, 2);
    lun_test_command(device, SENSE_RANGE, data, 1024, 0x2a, 0, 0, 0, high, low, 0, 0, 2);
    lun_test_command(device, SENSE_RANGE, data, 512, 0x41, 0, 0, 0, high, low, 0, 0, 2);
    lun_test_command(device, SENSE_RANGE, NULL, 0, 0x2f, 0, 0, 0, high, low, 0, 0, 2);
    lun_test_command(device, SENSE_RANGE, data, 512, 0x88, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                     0xff, 0xff, 0, 0, 0, 1);
    lun_test_command(device, SENSE_RANGE, data, 512, 0x93, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                     0xff, 0xff, 0xff, 0xff, 0xff, 0xff);
    g_assert_cmpuint(runner_device_stats(device).handled_inline, ==, before + 6);
}

static void test_length_that_does_not_fit(void)
{
    lun_test_command(device, SENSE_INVALID_CDB, data, 512, 0x28, 0, 0, 0, 0, 0, 0, 0, 2);
    lun_test_command(device, SENSE_INVALID_CDB, data, 1024, 0x2a, 0, 0, 0, 0, 0, 0, 0, 1);
    lun_test_command(device, SENSE_INVALID_CDB, data, 512, 0x2f, 0x02, 0, 0, 0, 0, 0, 0, 2);
}

static void test_fua_is_taken(void)
{
    lun_test_fill(data, 5, 1, 77);
    lun_test_command(device, 0, data, 512, 0x2a, 0x08, 0, 0, 0, 5, 0, 0, 1);
    lun_test_command(device, 0, data, 512, 0x8a, 0x18, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 1);
    lun_test_expect(device, 5, 1, 77);
}

static void test_unknown_opcode(void)
{
    lun_test_command(device, SENSE_INVALID_OPCODE, NULL, 0, 0x1f);
    lun_test_command(device, SENSE_INVALID_OPCODE, NULL, 0, 0x9c);
    lun_test_command(device, SENSE_INVALID_OPCODE, data, 512, 0x9e, 0x1f);
}

int main(int argc, char **argv)
{
    int result;

    lun_test_init(&argc, &argv);
    device =
        lun_test_open(lun_test_image("disk.vhd", VHD_TYPE_DYNAMIC, DISK_BYTES), "", DISK_BYTES);
    g_test_add_func("/scsi/no-data-holds-no-old-data", test_no_data_holds_no_old_data);
    g_test_add_func("/scsi/inquiry", test_inquiry);
    g_test_add_func("/scsi/inquiry/allocation-length", test_inquiry_is_cut_at_allocation_length);
    g_test_add_func("/scsi/inquiry/hides-path", test_identification_hides_path);
    g_test_add_func("/scsi/inquiry/provisioning", test_provisioning_page);
    g_test_add_func("/scsi/mode-sense", test_mode_sense);
    g_test_add_func("/scsi/read-capacity-16", test_read_capacity_16);
    g_test_add_func("/scsi/protection-is-refused", test_protection_is_refused);
    g_test_add_func("/scsi/zero-blocks", test_zero_blocks);
    g_test_add_func("/scsi/range", test_range);
    g_test_add_func("/scsi/length", test_length_that_does_not_fit);
    g_test_add_func("/scsi/fua", test_fua_is_taken);
    g_test_add_func("/scsi/unknown-opcode", test_unknown_opcode);
    result = g_test_run();
    lun_test_close(device);
    lun_test_end();
    return result;
}
