/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "handler/carry.h"

#include "handler/command.h"
#include "handler/io.h"
#include "handler/scsi-codes.h"
#include "handler/unmap.h"
#include "handler/verify.h"
#include "vhd/be.h"

/* What a callback needs to know of the command. */
typedef int CarryStart(Lun *lun, struct tcmur_cmd *cmd, uint64_t off, uint64_t len,
                       const struct iovec *iov, size_t iov_cnt);

static void step_zero(Io *io)
{
    io_complete(io, io_status(io));
}

static int start_zero(Lun *lun, struct tcmur_cmd *cmd, uint64_t off, uint64_t len,
                      const struct iovec *iov, size_t iov_cnt)
{
    Io *io = io_new(lun, cmd, sizeof *io, step_zero);

    (void)iov, (void)iov_cnt;
    if (!io)
        return TCMU_STS_NO_RESOURCE;
    io->request.op = VHD_OP_WRITE_ZEROES;
    io->request.off = off;
    io->request.len = len;
    io_submit(io);
    return TCMU_STS_OK;
}

/* The addresses of the elements are the marks. */
static CarryStart *const starts[CARRY_KINDS] = {
    [CARRY_VERIFY] = verify_start,
    [CARRY_ZERO] = start_zero,
    [CARRY_UNMAP] = unmap_start,
};

/* The READ whose CDB is as long as that of opcode. */
static uint8_t read_of_length(uint8_t opcode)
{
    switch (opcode >> 5) {
    case 4:
        return SCSI_READ_16;
    case 5:
        return SCSI_READ_12;
    default:
        return SCSI_READ_10;
    }
}

int carry_send(struct tcmur_cmd *cmd, CarryKind kind, uint64_t lba, uint64_t blocks)
{
    struct tcmulib_cmd *lib = command_lib(cmd);
    CommandMark mark = {
        .kind = &starts[kind],
        .blocks = blocks,
        .iov_cnt = lib->iov_cnt,
    };
    uint8_t opcode = read_of_length(lib->cdb[0]);

    memset(lib->cdb, 0, opcode == SCSI_READ_16 ? 16 : opcode == SCSI_READ_12 ? 12 : 10);
    lib->cdb[0] = opcode;
    if (opcode == SCSI_READ_16)
        be64_put(lib->cdb + 2, lba);
    else
        be32_put(lib->cdb + 2, (uint32_t)lba);
    lib->iov_cnt = 0; /* the host compares the vectors with the length in the CDB */
    command_set_mark(cmd, &mark);
    return TCMU_STS_NOT_HANDLED;
}

/* NULL: not one of ours. */
static CarryStart *const *carry_kind(const CommandMark *mark)
{
    for (int i = 0; i < CARRY_KINDS; i++) {
        if (mark->kind == &starts[i])
            return &starts[i];
    }
    return NULL;
}

bool carry_is(struct tcmur_cmd *cmd)
{
    CommandMark mark = command_mark(cmd);

    return carry_kind(&mark) != NULL;
}

int carry_start(Lun *lun, struct tcmur_cmd *cmd, uint64_t off)
{
    struct tcmulib_cmd *lib = command_lib(cmd);
    CommandMark mark = command_mark(cmd);

    if (lun_failed(lun))
        return TCMU_STS_HW_ERR;
    lib->iov_cnt = mark.iov_cnt;
    return (*carry_kind(&mark))(lun, cmd, off, (uint64_t)mark.blocks * LUN_BLOCK_BYTES, lib->iovec,
                                lib->iov_cnt);
}
