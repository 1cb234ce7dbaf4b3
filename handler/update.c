/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "handler/update.h"

#include <errno.h>
#include <limits.h>

#include "handler/command.h"
#include "handler/io.h"
#include "handler/sense.h"

/* Zeroed at once: other commands for the same blocks wait for no more than this. */
#define ZERO_BYTES (UINT64_C(1) << 30)

typedef struct Zero {
    Io io;
    uint64_t left; /* bytes, those under way included */
} Zero;

static void zero_submit(Zero *zero, uint64_t off)
{
    zero->io.request.off = off;
    zero->io.request.len = MIN(zero->left, ZERO_BYTES);
    io_submit(&zero->io);
}

static void zero_step(Io *io)
{
    Zero *zero = (Zero *)io;

    zero->left -= io->request.len;
    if (io->result < 0 || zero->left == 0)
        io_complete(io, io_status(io));
    else
        zero_submit(zero, io->request.off + io->request.len);
}

int update_start_zero(Lun *lun, const Carried *carried)
{
    Zero *zero = (Zero *)io_new(lun, carried->cmd, sizeof *zero, zero_step);

    if (!zero)
        return TCMU_STS_NO_RESOURCE;
    zero->io.request.op = VHD_OP_WRITE_ZEROES;
    zero->left = carried->length * LUN_BLOCK_BYTES;
    zero_submit(zero, carried->off);
    return TCMU_STS_OK;
}

static void step(Io *io)
{
    if (io->result == -EILSEQ)
        io_complete(io, sense_miscompare(command_lib(io->cmd), io->request.same));
    else
        io_complete(io, io_status(io));
}

static int start(Lun *lun, const Carried *carried, VhdOp op)
{
    Io *io;

    if (carried->iov_cnt > INT_MAX)
        return TCMU_STS_HW_ERR;
    io = io_new(lun, carried->cmd, sizeof *io, step);
    if (!io)
        return TCMU_STS_NO_RESOURCE;
    io->request.op = op;
    io->request.fua = carried->fua;
    io->request.off = carried->off;
    io->request.len = carried->length * LUN_BLOCK_BYTES;
    io->request.iov = carried->iov;
    io->request.iovcnt = (int)carried->iov_cnt;
    io_submit(io);
    return TCMU_STS_OK;
}

int update_start_compare(Lun *lun, const Carried *carried)
{
    return start(lun, carried, VHD_OP_COMPARE_AND_WRITE);
}

int update_start_or(Lun *lun, const Carried *carried)
{
    return start(lun, carried, VHD_OP_OR_WRITE);
}
