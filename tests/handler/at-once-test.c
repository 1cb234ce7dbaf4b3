/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* READ and WRITE that handle_cmd does itself. The handler's parts are linked in, so that the disk
 * can be opened on a double. */
#include <errno.h>
#include <string.h>

#include "handler/scsi-codes.h"
#include "handler/scsi.h"
#include "tests/handler/fault-lun.h"
#include "tests/handler/lun-test.h"

enum { DISK_BYTES = 1024 * 1024, BYTES = 8192 };

static Lun *lun;

void *__wrap_tcmur_dev_get_private(struct tcmu_device *dev);
uint64_t __wrap_tcmu_dev_get_num_lbas(struct tcmu_device *dev);

void *__wrap_tcmur_dev_get_private(struct tcmu_device *dev)
{
    (void)dev;
    return lun;
}

uint64_t __wrap_tcmu_dev_get_num_lbas(struct tcmu_device *dev)
{
    (void)dev;
    return lun->blocks;
}

/* Of the first blocks of the disk, in two pieces. */
static int handle(uint8_t opcode, uint8_t flags, uint8_t *buffer)
{
    static const uint8_t length_at[] = {4, 8, 0, 0, 13, 9};
    uint8_t cdb[16] = {opcode, flags};
    struct iovec iov[] = {{buffer, 700}, {buffer + 700, BYTES - 700}};
    struct tcmulib_cmd lib = {.cdb = cdb, .iovec = iov, .iov_cnt = 2};
    struct tcmur_cmd cmd = {.lib_cmd = &lib};

    cdb[length_at[opcode >> 5]] = BYTES / LUN_BLOCK_BYTES;
    return scsi_handle_cmd(NULL, &cmd);
}

static void expect(uint8_t byte)
{
    uint8_t found[BYTES];

    g_assert_cmpint(vhd_disk_read(lun->disk, 0, found, BYTES), ==, 0);
    for (size_t i = 0; i < BYTES; i++)
        g_assert_cmphex(found[i], ==, byte);
}

static const uint8_t reads[] = {SCSI_READ_6, SCSI_READ_10, SCSI_READ_12, SCSI_READ_16};
static const uint8_t writes[] = {SCSI_WRITE_6, SCSI_WRITE_10, SCSI_WRITE_12, SCSI_WRITE_16};

static void test_done_or_left(void)
{
    g_autoptr(Faults) faults = faults_new();
    uint8_t buffer[BYTES];

    lun = fault_lun_open(lun_test_image("at-once.vhd", VHD_TYPE_DYNAMIC, DISK_BYTES), faults);
    memset(buffer, 0x11, BYTES);
    g_assert_cmpint(handle(SCSI_WRITE_10, 0, buffer), ==, TCMU_STS_NOT_HANDLED); /* no place yet */
    g_assert_cmpint(vhd_disk_write(lun->disk, 0, buffer, BYTES, false), ==, 0);
    for (uint8_t i = 0; i < G_N_ELEMENTS(reads); i++) {
        memset(buffer, 0x20 + i, BYTES);
        g_assert_cmpint(handle(writes[i], 0, buffer), ==, TCMU_STS_OK);
        expect(0x20 + i);
        memset(buffer, 0, BYTES);
        g_assert_cmpint(handle(reads[i], i > 0 ? 0x10 /* DPO */ : 0, buffer), ==, TCMU_STS_OK);
        g_assert_cmphex(buffer[0] & buffer[BYTES - 1], ==, 0x20 + i);
    }
    faults_fail(faults, FILE_OP_WRITE, VHD_IO_DATA, 1, EIO);
    g_assert_cmpint(handle(SCSI_WRITE_10, 0, buffer), ==, TCMU_STS_NOT_HANDLED);
    lun_close(lun);
}

/* What wants stable storage is for the threads of the disk. */
static void test_fua(void)
{
    g_autoptr(Faults) faults = faults_new();
    uint8_t buffer[BYTES];

    lun = fault_lun_open(lun_test_image("fua.vhd", VHD_TYPE_FIXED, DISK_BYTES), faults);
    for (uint8_t i = 1; i < G_N_ELEMENTS(reads); i++) { /* six bytes have no FUA */
        memset(buffer, 0x11, BYTES);
        g_assert_cmpint(handle(writes[i], 0, buffer), ==, TCMU_STS_OK);
        memset(buffer, 0x22, BYTES);
        g_assert_cmpint(handle(writes[i], SCSI_FUA, buffer), ==, TCMU_STS_NOT_HANDLED);
        g_assert_cmpint(handle(reads[i], SCSI_FUA, buffer), ==, TCMU_STS_NOT_HANDLED);
        g_assert_cmphex(buffer[0], ==, 0x22);
        expect(0x11);
    }
    lun_close(lun);
}

static void test_refused(void)
{
    g_autoptr(Faults) faults = faults_new();
    uint8_t buffer[BYTES] = {0};

    lun = fault_lun_open(lun_test_image("refused.vhd", VHD_TYPE_FIXED, DISK_BYTES), faults);
    lun_set_not_ready(lun, 0x0404);
    g_assert_cmpint(handle(SCSI_WRITE_10, 0, buffer), !=, TCMU_STS_OK);
    g_assert_cmpint(handle(SCSI_READ_10, 0, buffer), !=, TCMU_STS_OK);
    lun_set_not_ready(lun, 0);
    g_assert_cmpint(handle(SCSI_READ_10, 0, buffer), ==, TCMU_STS_OK);
    lun->read_only = true;
    g_assert_cmpint(handle(SCSI_WRITE_10, 0, buffer), !=, TCMU_STS_OK);
    lun_close(lun);
}

int main(int argc, char **argv)
{
    int status;

    lun_test_init(&argc, &argv);
    g_test_add_func("/at-once/done-or-left", test_done_or_left);
    g_test_add_func("/at-once/fua", test_fua);
    g_test_add_func("/at-once/refused", test_refused);
    status = g_test_run();
    lun_test_end();
    return status;
}
