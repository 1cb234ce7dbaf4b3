/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "handler/callbacks.h"

#include <limits.h>

#include "handler/cancel.h"
#include "handler/carry.h"
#include "handler/command.h"
#include "handler/io.h"
#include "handler/scsi-codes.h"

static void step_plain(Io *io)
{
    io_complete(io, io_status(io));
}

/* READ with FUA: what it reads is on stable storage by now. */
static void step_flushed(Io *io)
{
    if (io->result < 0) {
        io_complete(io, io_status(io));
        return;
    }
    io->request.op = VHD_OP_READ;
    io->step = step_plain;
    io_submit(io);
}

/* Submit what a callback was asked for. */
static int start(struct tcmu_device *dev, struct tcmur_cmd *cmd, const VhdRequest *request,
                 void (*step)(Io *io))
{
    Lun *lun = tcmur_dev_get_private(dev);
    Io *io;

    if (lun_failed(lun))
        return TCMU_STS_HW_ERR;
    io = io_new(lun, cmd, sizeof *io, step);
    if (!io)
        return TCMU_STS_NO_RESOURCE;
    io->request = *request;
    io_submit(io);
    return TCMU_STS_OK;
}

static bool reads_fua(const uint8_t *cdb)
{
    return (cdb[0] == SCSI_READ_10 || cdb[0] == SCSI_READ_12 || cdb[0] == SCSI_READ_16) &&
           cdb[1] & SCSI_FUA;
}

int callback_read(struct tcmu_device *dev, struct tcmur_cmd *cmd, struct iovec *iov, size_t iov_cnt,
                  size_t len, off_t off)
{
    CANCEL_OFF;
    VhdRequest request = {
        .op = VHD_OP_READ,
        .off = (uint64_t)off,
        .len = len,
        .iov = iov,
        .iovcnt = (int)iov_cnt,
    };
    void (*step)(Io * io) = step_plain;

    if (carry_is(cmd))
        return carry_start(tcmur_dev_get_private(dev), cmd, (uint64_t)off);
    if (reads_fua(command_lib(cmd)->cdb)) {
        request.op = VHD_OP_FLUSH;
        step = step_flushed;
    }
    /* handle_cmd has answered reads of nothing: this one has lost its mark. */
    if (len == 0 || iov_cnt > INT_MAX)
        return TCMU_STS_HW_ERR;
    return start(dev, cmd, &request, step);
}

/* Whether the command wants its data on stable storage before it completes. */
static bool writes_fua(const uint8_t *cdb)
{
    switch (cdb[0]) {
    case SCSI_WRITE_10:
    case SCSI_WRITE_12:
    case SCSI_WRITE_16:
    case SCSI_COMPARE_AND_WRITE:
        return cdb[1] & SCSI_FUA;
    case SCSI_WRITE_VERIFY_10:
    case SCSI_WRITE_VERIFY_16: /* verified is what the medium holds */
        return true;
    default:
        return false;
    }
}

int callback_write(struct tcmu_device *dev, struct tcmur_cmd *cmd, struct iovec *iov,
                   size_t iov_cnt, size_t len, off_t off)
{
    CANCEL_OFF;
    VhdRequest request = {
        .op = VHD_OP_WRITE,
        .fua = writes_fua(command_lib(cmd)->cdb),
        .off = (uint64_t)off,
        .len = len,
        .iov = iov,
        .iovcnt = (int)iov_cnt,
    };

    if (iov_cnt > INT_MAX)
        return TCMU_STS_HW_ERR;
    return start(dev, cmd, &request, step_plain);
}

int callback_flush(struct tcmu_device *dev, struct tcmur_cmd *cmd)
{
    CANCEL_OFF;
    VhdRequest request = {.op = VHD_OP_FLUSH};

    return start(dev, cmd, &request, step_plain);
}

/* The host drops errors of what it takes for an UNMAP: the initiator sees GOOD, and would trust
 * zeros that are not there. */
static void step_unmap(Io *io)
{
    int status = io_status(io);

    if (status != TCMU_STS_OK) {
        log_format(
            &io->lun->log, LOG_LEVEL_ERROR,
            "zeroing failed and the initiator cannot be told: no more commands are taken: %s",
            g_strerror(-io->result));
        lun_set_failed(io->lun);
    }
    io_complete(io, status);
}

/*
 * Called for WRITE SAME with the UNMAP bit, a zeroing, and for UNMAP, a hint. handle_cmd sends both
 * another way, where errors are kept (carry.h); this is what remains where it did not see them.
 */
int callback_unmap(struct tcmu_device *dev, struct tcmur_cmd *cmd, uint64_t off, uint64_t len)
{
    CANCEL_OFF;
    uint8_t opcode = command_lib(cmd)->cdb[0];
    VhdRequest request = {.op = VHD_OP_UNMAP, .off = off, .len = len};

    if (opcode == SCSI_WRITE_SAME_10 || opcode == SCSI_WRITE_SAME_16)
        request.op = VHD_OP_WRITE_ZEROES;
    return start(dev, cmd, &request, step_unmap);
}
