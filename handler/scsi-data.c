/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* Commands that move or change blocks. */
#include "handler/carry.h"
#include "handler/command.h"
#include "handler/iovecs.h"
#include "handler/scsi-codes.h"
#include "handler/scsi.h"
#include "handler/unmap.h"
#include "vhd/be.h"

/* READ and WRITE of 256 blocks in six bytes: the host takes the 0 for none. As READ(10) and
 * WRITE(10) it can be said. */
static void widen(ScsiCommand *command)
{
    uint8_t *cdb = command_cdb_room(command->cmd);

    memset(cdb, 0, 10);
    cdb[0] = command->cdb[0] == SCSI_READ_6 ? SCSI_READ_10 : SCSI_WRITE_10;
    be32_put(cdb + 2, (uint32_t)command->lba);
    be16_put(cdb + 7, (uint16_t)command->blocks);
    command->lib->cdb = cdb;
}

int scsi_transfer(ScsiCommand *command)
{
    uint64_t bytes = (uint64_t)command->blocks * LUN_BLOCK_BYTES;

    if (iovecs_bytes(command->lib->iovec, command->lib->iov_cnt) != bytes)
        return TCMU_STS_INVALID_CDB;
    if (command->blocks == 0)
        return TCMU_STS_OK;
    if (command->cdb[0] < 0x20 && command->cdb[4] == 0)
        widen(command);
    return TCMU_STS_NOT_HANDLED;
}

/*
 * The host does not know VERIFY. Without BYTCHK it is checked that the blocks can be read, and no
 * data is sent; with BYTCHK 01b they are compared with what is sent. A WRITE AND VERIFY or COMPARE
 * AND WRITE in its place could write.
 */
int scsi_verify(ScsiCommand *command)
{
    struct tcmulib_cmd *lib = command->lib;
    uint8_t check = command->cdb[1] & SCSI_BYTCHK;

    if (check != 0 && check != SCSI_BYTCHK_COMPARE)
        return TCMU_STS_INVALID_CDB;
    if (check == 0)
        lib->iov_cnt = 0;
    else if (iovecs_bytes(lib->iovec, lib->iov_cnt) != (uint64_t)command->blocks * LUN_BLOCK_BYTES)
        return TCMU_STS_INVALID_CDB;
    if (command->blocks == 0)
        return TCMU_STS_OK;
    return carry_send(command->cmd, CARRY_VERIFY, command->lba, command->blocks);
}

/*
 * With UNMAP the host unmaps whatever the pattern is, and drops errors: so zeros, with or without
 * UNMAP, become a zeroing of our own, which makes holes where it can. Other patterns are the host's
 * once UNMAP is taken away; the standard allows to write instead.
 */
int scsi_write_same(ScsiCommand *command)
{
    struct tcmulib_cmd *lib = command->lib;
    uint8_t refused = SCSI_SAME_ANCHOR | SCSI_SAME_OBSOLETE | SCSI_SAME_NDOB;

    if (!command->lun->discard)
        refused |= SCSI_SAME_UNMAP;
    /* One vector: the host takes no more. No blocks: said to be not supported (WSNZ). */
    if (command->cdb[1] & refused || lib->iov_cnt != 1 ||
        lib->iovec[0].iov_len != LUN_BLOCK_BYTES || command->blocks == 0)
        return TCMU_STS_INVALID_CDB;
    if (iovecs_are_zero(lib->iovec, lib->iov_cnt))
        return carry_send(command->cmd, CARRY_ZERO, command->lba, command->blocks);
    command->cdb[1] &= (uint8_t)~SCSI_SAME_UNMAP;
    return TCMU_STS_NOT_HANDLED;
}

/* The host drops errors, and reads beyond the end of a list that is shorter than it says. */
int scsi_unmap(ScsiCommand *command)
{
    unsigned ranges;
    int status;

    if (!command->lun->discard)
        return TCMU_STS_INVALID_CMD;
    if (command->cdb[1] & SCSI_UNMAP_ANCHOR)
        return TCMU_STS_INVALID_CDB;
    status = unmap_check(command->lun, command->lib, &ranges);
    if (status != TCMU_STS_OK || ranges == 0)
        return status;
    return carry_send(command->cmd, CARRY_UNMAP, 0, be16_get(command->cdb + 7));
}
