/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * Commands that read and compare: COMPARE AND WRITE (one at a time a device,
 * one block) and WRITE AND VERIFY.  Each chains one callback to another from
 * inside the completion.
 */
#include <string.h>

#include "host-symbols.h"
#include "runner-private.h"

enum { CAW_MAX_BLOCKS = 1 };

/* Miscompare with the offset in the information field. */
static int miscompare(RunnerCommand *command, off_t at)
{
    tcmu_sense_set_info(command->lib_cmd->sense_buf, (uint32_t)at);
    return TCMU_STS_MISCOMPARE;
}

/* ---- COMPARE AND WRITE ---- */

/* One at a time a device; a second one holds up the command thread, as in the host. */
static void caw_enter(RunnerDevice *device)
{
    pthread_mutex_lock(&device->lock);
    while (device->caw_busy)
        pthread_cond_wait(&device->change, &device->lock);
    device->caw_busy = true;
    pthread_mutex_unlock(&device->lock);
}

static void caw_leave(RunnerCommand *command)
{
    RunnerDevice *device = command->device;

    runner_command_state_free(command);
    pthread_mutex_lock(&device->lock);
    device->caw_busy = false;
    pthread_cond_broadcast(&device->change);
    pthread_mutex_unlock(&device->lock);
}

static int work_read_own(RunnerCommand *command)
{
    return runner_work_own(command, false,
                           tcmu_cdb_to_byte(command->device, command->lib_cmd->cdb));
}

static void caw_written(RunnerDevice *device, struct tcmur_cmd *tcmur_cmd, int status)
{
    RunnerCommand *command = runner_command_of(device, tcmur_cmd);

    caw_leave(command);
    runner_finish(command, status);
}

static void caw_read(RunnerDevice *device, struct tcmur_cmd *tcmur_cmd, int status)
{
    RunnerCommand *command = runner_command_of(device, tcmur_cmd);
    struct tcmur_cmd value = runner_command_load(command);
    struct tcmulib_cmd *lib_cmd = command->lib_cmd;

    if (status == TCMU_STS_OK) {
        off_t at = tcmu_iovec_compare(value.iov_base_copy, lib_cmd->iovec, value.requested);
        if (at != -1)
            status = miscompare(command, at);
    }
    if (status == TCMU_STS_OK) {
        size_t used = tcmu_iovec_seek(lib_cmd->iovec, value.requested);
        lib_cmd->iovec += used; /* what is left: the data to write */
        lib_cmd->iov_cnt -= used;
        runner_command_set_done(command, caw_written);
        status = runner_schedule(command, runner_work_write);
        if (status == TCMU_STS_ASYNC_HANDLED)
            return;
    }
    caw_leave(command);
    runner_finish(command, status);
}

static int work_own_caw(RunnerCommand *command)
{
    RunnerDevice *device = command->device;
    struct tcmulib_cmd *lib_cmd = command->lib_cmd;
    RunnerPlace before = runner_callback_enter(command->cdb, "caw");
    int status = device->handler->ops->caw(
        device, command->tcmur_cmd, tcmu_cdb_to_byte(device, lib_cmd->cdb),
        (uint64_t)lib_cmd->cdb[13] * device->block_size, lib_cmd->iovec, lib_cmd->iov_cnt);

    runner_callback_leave(&before);
    return status;
}

int runner_caw_command(RunnerCommand *command)
{
    RunnerDevice *device = command->device;
    uint8_t blocks = command->lib_cmd->cdb[13];
    int status;

    if (blocks == 0)
        return TCMU_STS_OK;
    if (blocks > CAW_MAX_BLOCKS)
        return TCMU_STS_INVALID_CDB;
    status = runner_check_length(command, 2u * blocks);
    if (status == TCMU_STS_OK)
        status = runner_check_range(device, tcmu_cdb_get_lba(command->lib_cmd->cdb), blocks);
    if (status != TCMU_STS_OK)
        return status;
    if (device->handler->ops->caw) {
        runner_command_set_done(command, runner_done_plain);
        return runner_schedule(command, work_own_caw);
    }
    if (!runner_command_state_init(command, 0, (size_t)blocks * device->block_size))
        return TCMU_STS_NO_RESOURCE;
    runner_command_set_done(command, caw_read);
    caw_enter(device);
    status = runner_schedule(command, work_read_own);
    if (status != TCMU_STS_ASYNC_HANDLED)
        caw_leave(command);
    return status;
}

/* ---- WRITE AND VERIFY: a write, then a read that is compared with it ---- */

/* cmd_state: the vectors as they were, since callbacks may consume them. */
struct verify_state {
    size_t iov_cnt;
    struct iovec iovec[];
};

static void verify_read(RunnerDevice *device, struct tcmur_cmd *tcmur_cmd, int status)
{
    RunnerCommand *command = runner_command_of(device, tcmur_cmd);
    struct tcmur_cmd value = runner_command_load(command);
    struct verify_state *state = value.cmd_state;

    if (status == TCMU_STS_OK) {
        off_t at = tcmu_iovec_compare(value.iov_base_copy, state->iovec, value.requested);
        if (at != -1)
            status = miscompare(command, at);
    }
    runner_command_state_free(command);
    runner_finish(command, status);
}

static void verify_written(RunnerDevice *device, struct tcmur_cmd *tcmur_cmd, int status)
{
    RunnerCommand *command = runner_command_of(device, tcmur_cmd);

    if (status == TCMU_STS_OK) {
        runner_command_set_done(command, verify_read);
        status = runner_schedule(command, work_read_own);
        if (status == TCMU_STS_ASYNC_HANDLED)
            return;
    }
    runner_command_state_free(command);
    runner_finish(command, status);
}

int runner_write_verify_command(RunnerCommand *command)
{
    RunnerDevice *device = command->device;
    struct tcmulib_cmd *lib_cmd = command->lib_cmd;
    uint32_t blocks = tcmu_cdb_get_xfer_length(lib_cmd->cdb);
    size_t vectors = lib_cmd->iov_cnt * sizeof(struct iovec);
    struct verify_state *state;
    int status = runner_check_length(command, blocks);

    if (status == TCMU_STS_OK)
        status = runner_check_range(device, tcmu_cdb_get_lba(lib_cmd->cdb), blocks);
    if (status != TCMU_STS_OK)
        return status;
    if (!runner_command_state_init(command, sizeof *state + vectors,
                                   (size_t)blocks * device->block_size))
        return TCMU_STS_NO_RESOURCE;
    runner_command_set_done(command, verify_written);
    state = runner_command_load(command).cmd_state;
    state->iov_cnt = lib_cmd->iov_cnt;
    if (vectors > 0)
        memcpy(state->iovec, lib_cmd->iovec, vectors);
    status = runner_schedule(command, runner_work_write);
    if (status != TCMU_STS_ASYNC_HANDLED)
        runner_command_state_free(command);
    return status;
}
