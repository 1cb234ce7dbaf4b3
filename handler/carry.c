/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "handler/carry.h"

#include "handler/command.h"
#include "handler/copy.h"
#include "handler/lba-status.h"
#include "handler/sanitize.h"
#include "handler/scsi-codes.h"
#include "handler/unmap.h"
#include "handler/update.h"
#include "handler/verify.h"
#include "vhd/be.h"

/* A callback's status. */
typedef int CarryStart(Lun *lun, const Carried *carried);

/* The addresses of the elements are the marks. */
static CarryStart *const starts[CARRY_KINDS] = {
    [CARRY_VERIFY] = verify_start,
    [CARRY_VERIFY_SAME] = verify_start_same,
    [CARRY_WRITE_READ] = verify_start_written,
    [CARRY_WRITE_VERIFY] = verify_start_compared,
    [CARRY_COMPARE_WRITE] = update_start_compare,
    [CARRY_OR_WRITE] = update_start_or,
    [CARRY_ZERO] = update_start_zero,
    [CARRY_UNMAP] = unmap_start,
    [CARRY_STATUS] = lba_status_start,
    [CARRY_COPY] = copy_start,
    [CARRY_SANITIZE] = sanitize_start,
    [CARRY_FORMAT] = sanitize_start_format,
};

/* The READ whose CDB is as long as that of opcode. */
static uint8_t read_of_length(uint8_t opcode)
{
    switch (opcode >> 5) {
    case 0:
        return SCSI_READ_6;
    case 4:
        return SCSI_READ_16;
    case 5:
        return SCSI_READ_12;
    default:
        return SCSI_READ_10;
    }
}

/* A READ of no blocks. The host takes 0 blocks of a READ(6) for none, too. Where there is room, FUA
 * stays: the host does not look at it. */
static void rewrite(uint8_t *cdb, uint64_t lba)
{
    uint8_t opcode = read_of_length(cdb[0]), fua = cdb[1] & SCSI_FUA;

    switch (opcode) {
    case SCSI_READ_6:
        memset(cdb, 0, 6);
        break;
    case SCSI_READ_16:
        memset(cdb, 0, 16);
        cdb[1] = fua;
        be64_put(cdb + 2, lba);
        break;
    default:
        memset(cdb, 0, opcode == SCSI_READ_12 ? 12 : 10);
        cdb[1] = fua;
        be32_put(cdb + 2, (uint32_t)lba);
        break;
    }
    cdb[0] = opcode;
}

int carry_send(struct tcmur_cmd *cmd, CarryKind kind, uint64_t lba, uint64_t length)
{
    struct tcmulib_cmd *lib = command_lib(cmd);
    CommandMark mark = {
        .kind = &starts[kind],
        .length = length,
        .iov_cnt = lib->iov_cnt,
    };

    rewrite(lib->cdb, lba);
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
    Carried carried = {
        .cmd = cmd,
        .off = off,
        .length = mark.length,
        .iov = lib->iovec,
        .iov_cnt = mark.iov_cnt,
        .fua = lib->cdb[1] & SCSI_FUA,
    };

    if (lun_failed(lun))
        return TCMU_STS_HW_ERR;
    lib->iov_cnt = mark.iov_cnt;
    return (*carry_kind(&mark))(lun, &carried);
}
