/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* WRITE SAME: the handler's own, an unmap, or a chain of writes of a big buffer. */
#include <string.h>

#include "host-symbols.h"
#include "runner-private.h"

enum { WRITE_SAME_BUFFER = 1024 * 1024 }; /* bytes, before rounding */

/* cmd_state of the chain. */
struct write_same {
    uint64_t lba;
    uint64_t blocks; /* left, this piece included */
};

static int work_chain(RunnerCommand *command)
{
    struct tcmur_cmd value = runner_command_load(command);
    struct write_same *left = value.cmd_state;

    value.iovec->iov_base = value.iov_base_copy; /* the callback before consumed it */
    value.iovec->iov_len = value.requested;
    return runner_work_own(command, true, left->lba * command->device->block_size);
}

static void chain_done(RunnerDevice *device, struct tcmur_cmd *tcmur_cmd, int status)
{
    RunnerCommand *command = runner_command_of(device, tcmur_cmd);
    struct tcmur_cmd value = runner_command_load(command);
    struct write_same *left = value.cmd_state;
    uint64_t written = value.requested / device->block_size;

    left->lba += written;
    left->blocks -= written;
    if (status == TCMU_STS_OK && left->blocks > 0) {
        value.requested = MIN(left->blocks, written) * device->block_size;
        runner_command_store(command, &value);
        status = runner_schedule(command, work_chain);
        if (status == TCMU_STS_ASYNC_HANDLED)
            return;
        if (status != RUNNER_STRANDED)
            status = TCMU_STS_WR_ERR;
    }
    runner_command_state_free(command);
    runner_finish(command, status);
}

/* Writes the block over and over. */
static int chain(RunnerCommand *command, uint64_t lba, uint64_t blocks)
{
    RunnerDevice *device = command->device;
    size_t unit = (size_t)device->max_xfer_len * device->block_size;
    size_t length = MIN((WRITE_SAME_BUFFER + unit - 1) / unit * unit, blocks * device->block_size);
    struct tcmur_cmd value;
    int status;

    if (!runner_command_state_init(command, sizeof(struct write_same), length))
        return TCMU_STS_NO_RESOURCE;
    runner_command_set_done(command, chain_done);
    value = runner_command_load(command);
    for (size_t at = 0; at < length; at += device->block_size)
        memcpy((uint8_t *)value.iov_base_copy + at, command->lib_cmd->iovec->iov_base,
               device->block_size);
    *(struct write_same *)value.cmd_state = (struct write_same){.lba = lba, .blocks = blocks};
    status = runner_schedule(command, work_chain);
    if (status != TCMU_STS_ASYNC_HANDLED)
        runner_command_state_free(command); /* the host leaks it here */
    return status;
}

/* The handler's own callback for it. */
static int work_own_write_same(RunnerCommand *command)
{
    RunnerDevice *device = command->device;
    struct tcmulib_cmd *lib_cmd = command->lib_cmd;
    RunnerPlace before = runner_callback_enter(command->cdb, "writesame");
    int status = device->handler->ops->writesame(
        device, command->tcmur_cmd, tcmu_cdb_to_byte(device, lib_cmd->cdb),
        tcmu_lba_to_byte(device, tcmu_cdb_get_xfer_length(lib_cmd->cdb)), lib_cmd->iovec,
        lib_cmd->iov_cnt);

    runner_callback_leave(&before);
    return status;
}

int runner_write_same_command(RunnerCommand *command)
{
    const struct tcmur_handler *ops = command->device->handler->ops;
    struct tcmulib_cmd *lib_cmd = command->lib_cmd;
    uint64_t lba = tcmu_cdb_get_lba(lib_cmd->cdb);
    uint32_t blocks = tcmu_cdb_get_xfer_length(lib_cmd->cdb);
    int status;

    if (lib_cmd->iov_cnt != 1 || lib_cmd->iovec->iov_len != command->device->block_size)
        return TCMU_STS_INVALID_CDB;
    if (blocks == 0)
        return TCMU_STS_INVALID_CDB;
    status = runner_check_range(command->device, lba, blocks);
    if (status != TCMU_STS_OK)
        return status;
    if (ops->unmap && (lib_cmd->cdb[1] & RUNNER_WS_UNMAP)) {
        status = runner_unmap_of_write_same(command);
        if (status != TCMU_STS_NOT_HANDLED)
            return status;
    }
    if (ops->writesame) {
        runner_command_set_done(command, runner_done_plain);
        return runner_schedule(command, work_own_write_same);
    }
    return chain(command, lba, blocks);
}
