/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * The way of a command out of the ring: unit attention, handle_cmd, the host's
 * own answers, then the I/O callbacks.  Runs in the command thread.
 */
#include "host-symbols.h"
#include "runner-private.h"
#include "scsi.h"

static const struct tcmur_handler *ops_of(const RunnerCommand *command)
{
    return command->device->handler->ops;
}

/* The status of a pending unit attention, or NOT_HANDLED. */
static int take_attention(RunnerCommand *command)
{
    RunnerDevice *device = command->device;
    bool pending;

    if (command->cdb[0] == SCSI_INQUIRY || command->cdb[0] == SCSI_REQUEST_SENSE)
        return TCMU_STS_NOT_HANDLED;
    pthread_mutex_lock(&device->lock);
    pending = device->attention;
    device->attention = false;
    pthread_mutex_unlock(&device->lock);
    return pending ? TCMU_STS_CAPACITY_CHANGED : TCMU_STS_NOT_HANDLED;
}

static int work_handle_cmd(RunnerCommand *command)
{
    RunnerPlace before = runner_callback_enter(command->cdb, "handle_cmd");
    int status = ops_of(command)->handle_cmd(command->device, command->tcmur_cmd);

    runner_callback_leave(&before);
    return status;
}

/* The handler looks first.  The host counts the command meanwhile. */
static int offer_to_handler(RunnerCommand *command)
{
    RunnerDevice *device = command->device;
    int status;

    if (!ops_of(command)->handle_cmd)
        return TCMU_STS_NOT_HANDLED;
    runner_track(device);
    status = work_handle_cmd(command);
    if (status == TCMU_STS_ASYNC_HANDLED)
        runner_fail(command->cdb, "handle_cmd returned ASYNC_HANDLED: the host would call NULL");
    runner_untrack(device);
    if (status != TCMU_STS_NOT_HANDLED) {
        pthread_mutex_lock(&device->lock);
        device->stats.handled_inline++;
        pthread_mutex_unlock(&device->lock);
    }
    return status;
}

/*
 * nr_threads == 0: the callback runs here; OK means that it has queued the
 * command or already completed it.
 */
int runner_schedule(RunnerCommand *command, RunnerWork *work)
{
    RunnerDevice *device = command->device;
    void *tcmur_cmd = command->tcmur_cmd;
    uint8_t cdb[RUNNER_CDB_ROOM];
    int status;

    if (ops_of(command)->nr_threads > 0)
        return runner_pool_add(&device->pool, command, work) ? TCMU_STS_ASYNC_HANDLED
                                                             : RUNNER_STRANDED;
    for (size_t i = 0; i < sizeof cdb; i++)
        cdb[i] = command->cdb[i];
    runner_set_pending(command);
    status = work(command); /* the command may be gone now */
    if (status == TCMU_STS_OK || status == TCMU_STS_ASYNC_HANDLED)
        return TCMU_STS_ASYNC_HANDLED;
    runner_take_back(device, tcmur_cmd, cdb);
    return status;
}

int runner_check_range(RunnerDevice *device, uint64_t lba, uint64_t blocks)
{
    uint64_t end = device->num_lbas;
    return lba > end || blocks > end - lba ? TCMU_STS_RANGE : TCMU_STS_OK;
}

int runner_check_length(RunnerCommand *command, uint64_t blocks)
{
    size_t length = tcmu_iovec_length(command->lib_cmd->iovec, command->lib_cmd->iov_cnt);
    return length == blocks * command->device->block_size ? TCMU_STS_OK : TCMU_STS_HW_ERR;
}

void runner_done_plain(RunnerDevice *device, struct tcmur_cmd *tcmur_cmd, int status)
{
    runner_finish(runner_command_of(device, tcmur_cmd), status);
}

/* Reads or writes the command's own vectors at the LBA of its CDB. */
static int work_plain(RunnerCommand *command, bool write)
{
    struct tcmulib_cmd *lib_cmd = command->lib_cmd;
    RunnerPlace before = runner_callback_enter(command->cdb, write ? "write" : "read");
    int status = (write ? ops_of(command)->write : ops_of(command)->read)(
        command->device, command->tcmur_cmd, lib_cmd->iovec, lib_cmd->iov_cnt,
        tcmu_iovec_length(lib_cmd->iovec, lib_cmd->iov_cnt),
        (off_t)tcmu_cdb_to_byte(command->device, lib_cmd->cdb));

    runner_callback_leave(&before);
    return status;
}

int runner_work_read(RunnerCommand *command)
{
    return work_plain(command, false);
}

int runner_work_write(RunnerCommand *command)
{
    return work_plain(command, true);
}

int runner_work_own(RunnerCommand *command, bool write, uint64_t off)
{
    struct tcmur_cmd value = runner_command_load(command);
    RunnerPlace before = runner_callback_enter(command->cdb, write ? "write" : "read");
    int status = (write ? ops_of(command)->write
                        : ops_of(command)->read)(command->device, command->tcmur_cmd, value.iovec,
                                                 value.iov_cnt, value.requested, (off_t)off);

    runner_callback_leave(&before);
    return status;
}

static int work_flush(RunnerCommand *command)
{
    RunnerPlace before = runner_callback_enter(command->cdb, "flush");
    int status = ops_of(command)->flush(command->device, command->tcmur_cmd);

    runner_callback_leave(&before);
    return status;
}

/* READ and WRITE of every length. */
static int read_or_write(RunnerCommand *command, RunnerWork *work)
{
    uint8_t *cdb = command->lib_cmd->cdb;
    uint32_t blocks = tcmu_cdb_get_xfer_length(cdb);
    int status = runner_check_length(command, blocks);

    if (status == TCMU_STS_OK)
        status = runner_check_range(command->device, tcmu_cdb_get_lba(cdb), blocks);
    if (status != TCMU_STS_OK)
        return status;
    runner_command_set_done(command, runner_done_plain);
    return runner_schedule(command, work);
}

static int synchronize(RunnerCommand *command)
{
    if (!ops_of(command)->flush)
        return TCMU_STS_NOT_HANDLED;
    runner_command_set_done(command, runner_done_plain);
    return runner_schedule(command, work_flush);
}

static int data_command(RunnerCommand *command)
{
    /* Not the CDB as submitted: handle_cmd may have rewritten it. */
    switch (command->lib_cmd->cdb[0]) {
    case SCSI_READ_6:
    case SCSI_READ_10:
    case SCSI_READ_12:
    case SCSI_READ_16:
        return read_or_write(command, runner_work_read);
    case SCSI_WRITE_6:
    case SCSI_WRITE_10:
    case SCSI_WRITE_12:
    case SCSI_WRITE_16:
        return read_or_write(command, runner_work_write);
    case SCSI_SYNC_10:
    case SCSI_SYNC_16:
        return synchronize(command);
    case SCSI_UNMAP:
        return runner_unmap_command(command);
    case SCSI_WRITE_SAME_10:
    case SCSI_WRITE_SAME_16:
        return runner_write_same_command(command);
    case SCSI_COMPARE_AND_WRITE:
        return runner_caw_command(command);
    case SCSI_WRITE_VERIFY_10:
    case SCSI_WRITE_VERIFY_16:
        return runner_write_verify_command(command);
    default:
        return TCMU_STS_NOT_HANDLED;
    }
}

/* A handler with handle_cmd and no I/O callbacks gets everything there. */
static bool passthrough_only(const struct tcmur_handler *ops)
{
    return ops->handle_cmd && !ops->read && !ops->write && !ops->flush;
}

static int pass_through(RunnerCommand *command)
{
    int status;

    runner_command_set_done(command, runner_done_plain);
    if (ops_of(command)->nr_threads == 0)
        return offer_to_handler(command);
    runner_track(command->device);
    status = runner_schedule(command, work_handle_cmd);
    if (status != TCMU_STS_ASYNC_HANDLED)
        runner_untrack(command->device);
    return status;
}

int runner_dispatch(RunnerCommand *command)
{
    RunnerDevice *device = command->device;
    int status;

    if (passthrough_only(ops_of(command)))
        return pass_through(command);
    status = take_attention(command);
    if (status == TCMU_STS_NOT_HANDLED)
        status = offer_to_handler(command);
    if (status == TCMU_STS_NOT_HANDLED)
        status = runner_answer(command);
    if (status != TCMU_STS_NOT_HANDLED)
        return status;
    runner_track(device);
    status = data_command(command);
    if (status != TCMU_STS_ASYNC_HANDLED)
        runner_untrack(device);
    return status;
}
