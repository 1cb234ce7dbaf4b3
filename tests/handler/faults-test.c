/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * The callbacks over a file that fails. The handler's parts are linked in, so that the disk can be
 * opened on a double; the host's completion is caught on its way.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "handler/callbacks.h"
#include "handler/scsi-codes.h"
#include "handler/scsi.h"
#include "tests/handler/fault-lun.h"
#include "tests/handler/lun-test.h"

enum { DISK_BYTES = 1024 * 1024, BYTES = 8192 };

static Lun *lun;
static Faults *faults;
static uint8_t data[BYTES];

/* ---- the host ---- */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned count;
    int status;
} completed = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0};

void *__wrap_tcmur_dev_get_private(struct tcmu_device *dev);
uint64_t __wrap_tcmu_dev_get_num_lbas(struct tcmu_device *dev);
void __wrap_tcmur_cmd_complete(struct tcmu_device *dev, void *cmd, int status);
int __wrap_pthread_setcancelstate(int state, int *old);
int __real_pthread_setcancelstate(int state, int *old);

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

void __wrap_tcmur_cmd_complete(struct tcmu_device *dev, void *cmd, int status)
{
    (void)dev, (void)cmd;
    /* The host uses the device in here. */
    pthread_mutex_lock(&lun->lock);
    g_assert_cmpuint(lun->under_way, >, 0);
    pthread_mutex_unlock(&lun->lock);
    pthread_mutex_lock(&completed.lock);
    completed.count++;
    completed.status = status;
    pthread_cond_signal(&completed.changed);
    pthread_mutex_unlock(&completed.lock);
}

static __thread int disabled, restored;

int __wrap_pthread_setcancelstate(int state, int *old)
{
    disabled += state == PTHREAD_CANCEL_DISABLE;
    restored += state == PTHREAD_CANCEL_ENABLE;
    return __real_pthread_setcancelstate(state, old);
}

/* ---- commands ---- */

typedef struct Sample {
    struct tcmulib_cmd lib;
    struct tcmur_cmd cmd;
    uint8_t cdb[16];
} Sample;

static void sample_init(Sample *sample, uint8_t opcode, uint8_t flags)
{
    disabled = restored = 0;
    *sample = (Sample){.cdb = {opcode, flags}};
    sample->lib.cdb = sample->cdb;
    sample->cmd.lib_cmd = &sample->lib;
}

/* The status in the end: of the callback, or of the completion that it promised. */
static int end_of(int status)
{
    g_assert_cmpint(disabled, ==, 1);
    g_assert_cmpint(restored, ==, 1);
    if (status != TCMU_STS_OK)
        return status;
    pthread_mutex_lock(&completed.lock);
    while (completed.count == 0)
        pthread_cond_wait(&completed.changed, &completed.lock);
    g_assert_cmpuint(completed.count, ==, 1);
    completed.count = 0;
    status = completed.status;
    pthread_mutex_unlock(&completed.lock);
    return status;
}

static int do_read_with(uint8_t opcode, uint8_t flags)
{
    struct iovec iov = {data, BYTES};
    Sample sample;

    sample_init(&sample, opcode, flags);
    return end_of(callback_read(NULL, &sample.cmd, &iov, 1, BYTES, 0));
}

static int do_read(void)
{
    return do_read_with(SCSI_READ_10, 0);
}

static int do_write(uint8_t opcode, uint8_t flags)
{
    struct iovec iov = {data, BYTES};
    Sample sample;

    sample_init(&sample, opcode, flags);
    return end_of(callback_write(NULL, &sample.cmd, &iov, 1, BYTES, 0));
}

static int do_flush(void)
{
    Sample sample;

    sample_init(&sample, 0x35, 0);
    return end_of(callback_flush(NULL, &sample.cmd));
}

static int do_unmap(uint8_t opcode)
{
    Sample sample;

    sample_init(&sample, opcode, SCSI_SAME_UNMAP);
    return end_of(callback_unmap(NULL, &sample.cmd, 0, BYTES));
}

static void expect_data(uint8_t byte)
{
    g_assert_cmpint(do_read(), ==, TCMU_STS_OK);
    for (size_t i = 0; i < BYTES; i++)
        g_assert_cmphex(data[i], ==, byte);
}

/* ---- the disk ---- */

/* With something in it. */
static void open_lun(const char *path)
{
    lun = fault_lun_open(path, faults);
    memset(data, 0x77, BYTES);
    g_assert_cmpint(do_write(SCSI_WRITE_10, 0), ==, TCMU_STS_OK);
    g_assert_cmpint(do_flush(), ==, TCMU_STS_OK);
}

static void close_lun(void)
{
    faults_clear(faults);
    lun_close(lun);
}

static const char *image;

static void test_read_and_write_errors(void)
{
    open_lun(image);
    faults_fail(faults, FILE_OP_READ, VHD_IO_DATA, 1, EIO);
    g_assert_cmpint(do_read(), ==, TCMU_STS_RD_ERR);
    expect_data(0x77);
    faults_fail(faults, FILE_OP_WRITE, VHD_IO_DATA, 1, EIO);
    g_assert_cmpint(do_write(SCSI_WRITE_10, 0), ==, TCMU_STS_WR_ERR);
    g_assert_cmpint(do_write(SCSI_WRITE_10, 0), ==, TCMU_STS_OK);
    close_lun();
}

/* After a failed barrier nothing is known of what was written: it takes no more. */
static void test_failed_barrier(void)
{
    open_lun(image);
    g_assert_cmpint(do_write(SCSI_WRITE_10, 0), ==, TCMU_STS_OK);
    faults_fail(faults, FILE_OP_BARRIER, FILE_KIND_ANY, 1, EIO);
    g_assert_cmpint(do_flush(), ==, TCMU_STS_HW_ERR);
    g_assert_true(runner_log_contains("flushing the disk failed: Input/output error; nothing more "
                                      "is written until the LUN is made anew"));
    g_assert_cmpint(do_write(SCSI_WRITE_10, 0), ==, TCMU_STS_HW_ERR);
    expect_data(0x77);
    close_lun();
}

/* Barriers of the disk during one write. */
static uint64_t barriers_of(uint8_t opcode, uint8_t flags)
{
    uint64_t before = faults_count(faults, FILE_OP_BARRIER, FILE_KIND_ANY);

    g_assert_cmpint(do_write(opcode, flags), ==, TCMU_STS_OK);
    return faults_count(faults, FILE_OP_BARRIER, FILE_KIND_ANY) - before;
}

static void test_fua_is_honoured(void)
{
    static const struct {
        uint8_t opcode, flags;
        bool durable;
    } rows[] = {
        {SCSI_WRITE_6, SCSI_FUA, false}, /* a bit of the address */
        {SCSI_WRITE_10, 0, false},          {SCSI_WRITE_10, SCSI_FUA, true},
        {SCSI_WRITE_10, 0x10, false}, /* DPO */
        {SCSI_WRITE_12, SCSI_FUA, true},    {SCSI_WRITE_16, SCSI_FUA, true},
        {SCSI_WRITE_16, 0, false},          {SCSI_COMPARE_AND_WRITE, SCSI_FUA, true},
        {SCSI_COMPARE_AND_WRITE, 0, false}, {SCSI_WRITE_VERIFY_10, 0, true},
        {SCSI_WRITE_VERIFY_16, 0, true},    {SCSI_WRITE_SAME_16, SCSI_SAME_UNMAP, false},
    };

    open_lun(image);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        if ((barriers_of(rows[i].opcode, rows[i].flags) > 0) != rows[i].durable)
            g_error("opcode %02x, byte 1 %02x", rows[i].opcode, rows[i].flags);
    }
    close_lun();
}

/* A READ with FUA is of what is on stable storage. */
static void test_read_with_fua(void)
{
    static const uint8_t opcodes[] = {SCSI_READ_10, SCSI_READ_12, SCSI_READ_16};

    open_lun(image);
    for (size_t i = 0; i < G_N_ELEMENTS(opcodes); i++) {
        uint64_t before;

        memset(data, 0x78, BYTES);
        g_assert_cmpint(do_write(SCSI_WRITE_10, 0), ==, TCMU_STS_OK);
        before = faults_count(faults, FILE_OP_BARRIER, FILE_KIND_ANY);
        memset(data, 0, BYTES);
        g_assert_cmpint(do_read_with(opcodes[i], 0x10), ==, TCMU_STS_OK);
        g_assert_cmpuint(faults_count(faults, FILE_OP_BARRIER, FILE_KIND_ANY), ==, before);
        memset(data, 0, BYTES);
        g_assert_cmpint(do_read_with(opcodes[i], SCSI_FUA), ==, TCMU_STS_OK);
        g_assert_cmpuint(faults_count(faults, FILE_OP_BARRIER, FILE_KIND_ANY), >, before);
        g_assert_cmphex(data[0], ==, 0x78);
        g_assert_cmphex(data[BYTES - 1], ==, 0x78);
    }
    g_assert_cmpint(do_read_with(SCSI_READ_6, SCSI_FUA), ==, TCMU_STS_OK); /* part of the LBA */
    faults_fail(faults, FILE_OP_BARRIER, FILE_KIND_ANY, 1, EIO);
    g_assert_cmpint(do_read_with(SCSI_READ_10, SCSI_FUA), ==, TCMU_STS_HW_ERR);
    close_lun();
}

/* A command of 16 bytes with data of its own: through handle_cmd and the read callback. */
static int do_carried(uint8_t opcode, uint8_t flags, struct iovec *iov)
{
    Sample sample;
    int status;

    sample_init(&sample, opcode, flags);
    sample.cdb[13] = BYTES / LUN_BLOCK_BYTES;
    sample.lib.iovec = iov;
    sample.lib.iov_cnt = 1;
    status = scsi_handle_cmd(NULL, &sample.cmd);
    g_assert_cmpint(status, ==, TCMU_STS_NOT_HANDLED);
    g_assert_cmphex(sample.cdb[0], ==, SCSI_READ_16);
    disabled = restored = 0;
    return end_of(callback_read(NULL, &sample.cmd, NULL, 0, 0, 0));
}

/* Commands that read or write several times: an error of each ends them. */
static void test_carried_updates_fail(void)
{
    uint8_t both[2 * BYTES];
    struct iovec one = {both, BYTES}, two = {both, sizeof both};

    open_lun(image);
    memset(both, 0x77, sizeof both);
    faults_fail(faults, FILE_OP_READ, VHD_IO_DATA, 1, EIO);
    g_assert_cmpint(do_carried(SCSI_COMPARE_AND_WRITE, 0, &two), ==, TCMU_STS_WR_ERR);
    faults_fail(faults, FILE_OP_WRITE, VHD_IO_DATA, 1, ENOSPC);
    g_assert_cmpint(do_carried(SCSI_COMPARE_AND_WRITE, 0, &two), ==, TCMU_STS_PASSTHROUGH_ERR);
    g_assert_cmpint(do_carried(SCSI_COMPARE_AND_WRITE, 0, &two), ==, TCMU_STS_OK);
    faults_fail(faults, FILE_OP_WRITE, VHD_IO_DATA, 1, EIO);
    g_assert_cmpint(do_carried(SCSI_ORWRITE, 0, &one), ==, TCMU_STS_WR_ERR);
    faults_fail(faults, FILE_OP_WRITE, VHD_IO_DATA, 1, EIO);
    g_assert_cmpint(do_carried(SCSI_WRITE_VERIFY_16, 0, &one), ==, TCMU_STS_WR_ERR);
    faults_fail(faults, FILE_OP_READ, VHD_IO_DATA, 1, EIO);
    g_assert_cmpint(do_carried(SCSI_WRITE_VERIFY_16, 0, &one), ==, TCMU_STS_RD_ERR);
    g_assert_cmpint(do_carried(SCSI_WRITE_VERIFY_16, SCSI_BYTCHK_COMPARE, &one), ==, TCMU_STS_OK);
    expect_data(0x77);
    close_lun();
}

/* FUA goes along with a command that is carried; WRITE AND VERIFY has it of its own. */
static void test_carried_fua(void)
{
    static const struct {
        uint8_t opcode, flags;
        bool durable;
    } rows[] = {
        {SCSI_COMPARE_AND_WRITE, 0, false}, {SCSI_COMPARE_AND_WRITE, SCSI_FUA, true},
        {SCSI_ORWRITE, 0x10, false},        {SCSI_ORWRITE, SCSI_FUA, true},
        {SCSI_WRITE_VERIFY_16, 0, true},
    };
    uint8_t both[2 * BYTES];

    open_lun(image);
    memset(both, 0x77, sizeof both);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct iovec iov = {both, rows[i].opcode == SCSI_COMPARE_AND_WRITE ? 2 * BYTES : BYTES};
        uint64_t before = faults_count(faults, FILE_OP_BARRIER, FILE_KIND_ANY);

        g_assert_cmpint(do_carried(rows[i].opcode, rows[i].flags, &iov), ==, TCMU_STS_OK);
        if ((faults_count(faults, FILE_OP_BARRIER, FILE_KIND_ANY) > before) != rows[i].durable)
            g_error("opcode %02x, byte 1 %02x", rows[i].opcode, rows[i].flags);
    }
    close_lun();
}

/* What the host hands to unmap where handle_cmd has not seen it. */
static void test_unmap(void)
{
    static const uint8_t opcodes[] = {SCSI_UNMAP, SCSI_WRITE_SAME_10, SCSI_WRITE_SAME_16};

    for (size_t i = 0; i < G_N_ELEMENTS(opcodes); i++) {
        open_lun(image);
        g_assert_cmpint(do_unmap(opcodes[i]), ==, TCMU_STS_OK);
        expect_data(0);
        close_lun();
    }
}

/* The host drops the error: the disk must not be believed any more. */
static void test_unmap_fails(void)
{
    const FaultRule punch = {FILE_OP_PUNCH, FILE_KIND_ANY, 1, true, EIO, 0, false, false};
    const FaultRule write = {FILE_OP_WRITE, FILE_KIND_ANY, 1, true, EIO, 0, false, false};
    Sample sample;

    open_lun(image);
    faults_add(faults, &punch);
    faults_add(faults, &write);
    do_unmap(SCSI_WRITE_SAME_16);
    faults_clear(faults);
    g_assert_true(lun_failed(lun));
    g_assert_cmpint(do_read(), ==, TCMU_STS_HW_ERR);
    g_assert_cmpint(do_write(SCSI_WRITE_10, 0), ==, TCMU_STS_HW_ERR);
    g_assert_cmpint(do_flush(), ==, TCMU_STS_HW_ERR);
    sample_init(&sample, SCSI_READ_10, 0);
    g_assert_cmpint(end_of(scsi_handle_cmd(NULL, &sample.cmd)), ==, TCMU_STS_HW_ERR);
    close_lun();
}

/* As WRITE SAME really travels: the host keeps this error, so the disk goes on. */
static void test_carried_zeros_fail(void)
{
    const FaultRule punch = {FILE_OP_PUNCH, FILE_KIND_ANY, 1, true, EIO, 0, false, false};
    uint8_t zeros[LUN_BLOCK_BYTES] = {0};
    struct iovec iov = {zeros, sizeof zeros};
    Sample sample;

    open_lun(image);
    sample_init(&sample, SCSI_WRITE_SAME_16, SCSI_SAME_UNMAP);
    sample.cdb[13] = BYTES / LUN_BLOCK_BYTES;
    sample.lib.iovec = &iov;
    sample.lib.iov_cnt = 1;
    g_assert_cmpint(scsi_handle_cmd(NULL, &sample.cmd), ==, TCMU_STS_NOT_HANDLED);
    disabled = restored = 0;
    g_assert_cmphex(sample.cdb[0], ==, SCSI_READ_16);
    g_assert_cmpuint(sample.lib.iov_cnt, ==, 0);
    faults_add(faults, &punch);
    g_assert_cmpint(end_of(callback_read(NULL, &sample.cmd, &iov, 0, 0, 0)), ==, TCMU_STS_WR_ERR);
    g_assert_false(lun_failed(lun));
    faults_clear(faults);
    expect_data(0x77);
    close_lun();
}

static void test_verify_meets_an_error(void)
{
    Sample sample;

    open_lun(image);
    sample_init(&sample, SCSI_VERIFY_10, 0);
    sample.cdb[8] = BYTES / LUN_BLOCK_BYTES;
    g_assert_cmpint(scsi_handle_cmd(NULL, &sample.cmd), ==, TCMU_STS_NOT_HANDLED);
    disabled = restored = 0;
    faults_fail(faults, FILE_OP_READ, VHD_IO_DATA, 1, EIO);
    g_assert_cmpint(end_of(callback_read(NULL, &sample.cmd, NULL, 0, 0, 0)), ==, TCMU_STS_RD_ERR);
    close_lun();
}

/* GET LBA STATUS only reads, bitmaps of a child among them: no write has failed. */
static void test_status_meets_an_error(void)
{
    const char *child = lun_test_child("child.vhd", image, DISK_BYTES);
    uint8_t reply[64];
    struct iovec iov = {reply, sizeof reply};
    Sample sample;

    open_lun(child);
    close_lun();
    lun = fault_lun_open(child, faults);
    sample_init(&sample, SCSI_SERVICE_ACTION_IN_16, SCSI_GET_LBA_STATUS);
    sample.cdb[13] = sizeof reply;
    sample.lib.iovec = &iov;
    sample.lib.iov_cnt = 1;
    g_assert_cmpint(scsi_handle_cmd(NULL, &sample.cmd), ==, TCMU_STS_NOT_HANDLED);
    disabled = restored = 0;
    faults_fail(faults, FILE_OP_READ, VHD_IO_BITMAP, 1, EIO);
    g_assert_cmpint(end_of(callback_read(NULL, &sample.cmd, NULL, 0, 0, 0)), ==, TCMU_STS_RD_ERR);
    close_lun();
}

/* A host's own cmd_state is no mark; a read of nothing without one has lost it. */
static void test_lost_mark(void)
{
    Sample sample;

    open_lun(image);
    sample_init(&sample, SCSI_READ_10, 0);
    sample.cmd.cmd_state = &sample;
    g_assert_cmpint(end_of(callback_read(NULL, &sample.cmd, NULL, 0, 0, 0)), ==, TCMU_STS_HW_ERR);
    close_lun();
}

/* Front end's status for a command without data. */
static int front_end(uint8_t opcode, uint8_t action, Sample *sample)
{
    int status;

    sample_init(sample, opcode, action);
    status = scsi_handle_cmd(NULL, &sample->cmd);
    g_assert_cmpint(restored, ==, 1);
    return status;
}

/* What needs the medium waits for nobody: it is refused. */
static void test_while_not_ready(void)
{
    static const uint8_t refused[] = {
        SCSI_TEST_UNIT_READY, SCSI_READ_10,       SCSI_WRITE_10,     SCSI_SYNCHRONIZE_CACHE_10,
        SCSI_SANITIZE,        SCSI_FORMAT_UNIT,   SCSI_PRE_FETCH_10, SCSI_START_STOP_UNIT,
        SCSI_UNMAP,           SCSI_EXTENDED_COPY,
    };
    static const uint8_t told[] = {SCSI_MODE_SENSE_6, SCSI_READ_CAPACITY_10, SCSI_LOG_SENSE};
    uint8_t sense[18] = {0};
    struct iovec iov = {sense, sizeof sense};
    Sample sample;

    open_lun(image);
    lun_set_not_ready(lun, 0x041b);
    for (size_t i = 0; i < sizeof refused; i++) {
        g_assert_cmpint(front_end(refused[i], 0, &sample), ==, TCMU_STS_PASSTHROUGH_ERR);
        g_assert_cmpmem(sample.lib.sense_buf + 2, 1, "\2", 1);
        g_assert_cmpmem(sample.lib.sense_buf + 12, 2, "\x04\x1b", 2);
    }
    for (size_t i = 0; i < sizeof told; i++)
        g_assert_cmpint(front_end(told[i], 0, &sample), !=, TCMU_STS_PASSTHROUGH_ERR);
    sample_init(&sample, SCSI_REQUEST_SENSE, 0);
    sample.cdb[4] = sizeof sense;
    sample.lib.iovec = &iov;
    sample.lib.iov_cnt = 1;
    g_assert_cmpint(scsi_handle_cmd(NULL, &sample.cmd), ==, TCMU_STS_OK);
    g_assert_cmpmem(sense, 14, "\x70\0\2\0\0\0\0\x0a\0\0\0\0\x04\x1b", 14);
    lun_set_not_ready(lun, 0);
    g_assert_cmpint(front_end(SCSI_TEST_UNIT_READY, 0, &sample), ==, TCMU_STS_NOT_HANDLED);
    close_lun();
}

/* A failure ends it, and is told; the last step is a barrier. */
static void test_sanitize_fails(void)
{
    static const struct {
        uint8_t opcode;
        int status;
    } rows[] = {{FILE_OP_WRITE, TCMU_STS_WR_ERR}, {FILE_OP_BARRIER, TCMU_STS_HW_ERR}};
    uint8_t list[5] = {1, 0, 0, 1, 'x'};
    struct iovec iov = {list, sizeof list};
    Sample sample;

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        open_lun(image);
        faults_fail(faults, rows[i].opcode, FILE_KIND_ANY, 1, EIO);
        sample_init(&sample, SCSI_SANITIZE, SCSI_SANITIZE_OVERWRITE);
        sample.cdb[8] = sizeof list;
        sample.lib.iovec = &iov;
        sample.lib.iov_cnt = 1;
        g_assert_cmpint(scsi_handle_cmd(NULL, &sample.cmd), ==, TCMU_STS_NOT_HANDLED);
        disabled = restored = 0;
        g_assert_cmpint(end_of(callback_read(NULL, &sample.cmd, NULL, 0, 0, 0)), ==,
                        rows[i].status);
        g_assert_cmphex(lun_not_ready(lun), ==, 0);
        close_lun();
    }
}

static void *close_it(void *closed)
{
    lun_close(lun);
    g_atomic_int_set((int *)closed, 1);
    return NULL;
}

static void test_close_waits(void)
{
    pthread_t thread;
    int closed = 0;

    open_lun(image);
    lun_begin(lun);
    g_assert_cmpint(pthread_create(&thread, NULL, close_it, &closed), ==, 0);
    g_usleep(100 * 1000);
    g_assert_cmpint(g_atomic_int_get(&closed), ==, 0);
    lun_end(lun);
    pthread_join(thread, NULL);
    g_assert_cmpint(closed, ==, 1);
}

static void *run_tests(void *result)
{
    *(int *)result = g_test_run();
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t thread;
    int result;

    lun_test_init(&argc, &argv);
    faults = faults_new();
    image = lun_test_image("disk.vhd", VHD_TYPE_DYNAMIC, DISK_BYTES);
    g_test_add_func("/faults/read-and-write-errors", test_read_and_write_errors);
    g_test_add_func("/faults/failed-barrier", test_failed_barrier);
    g_test_add_func("/faults/fua-is-honoured", test_fua_is_honoured);
    g_test_add_func("/faults/read-with-fua", test_read_with_fua);
    g_test_add_func("/faults/carried-updates-fail", test_carried_updates_fail);
    g_test_add_func("/faults/carried-fua", test_carried_fua);
    g_test_add_func("/faults/unmap", test_unmap);
    g_test_add_func("/faults/unmap-fails", test_unmap_fails);
    g_test_add_func("/faults/carried-zeros-fail", test_carried_zeros_fail);
    g_test_add_func("/faults/verify-meets-an-error", test_verify_meets_an_error);
    g_test_add_func("/faults/status-meets-an-error", test_status_meets_an_error);
    g_test_add_func("/faults/lost-mark", test_lost_mark);
    g_test_add_func("/faults/while-not-ready", test_while_not_ready);
    g_test_add_func("/faults/sanitize-fails", test_sanitize_fails);
    g_test_add_func("/faults/close-waits", test_close_waits);
    /* The main thread of the runner is not to be cancelled; the host's threads are. */
    pthread_create(&thread, NULL, run_tests, &result);
    pthread_join(thread, NULL);
    faults_unref(faults);
    lun_test_end();
    return result;
}
