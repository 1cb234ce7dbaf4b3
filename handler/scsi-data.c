/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* Commands that move or change blocks. */
#include <limits.h>

#include "handler/carry.h"
#include "handler/command.h"
#include "handler/iovecs.h"
#include "handler/scsi-codes.h"
#include "handler/scsi.h"
#include "handler/sense.h"
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

/* What needs no waiting is done here, where the host tells the kernel of a whole batch of commands
 * at once. False: it is to go through the host to a thread of the disk's. */
static bool try_at_once(ScsiCommand *command, uint64_t bytes)
{
    const uint8_t *cdb = command->cdb;
    bool writes = (cdb[0] & 0x1f) == SCSI_WRITE_6;
    VhdRequest request = {
        .op = writes ? VHD_OP_WRITE : VHD_OP_READ,
        .fua = cdb[0] >= 0x20 && cdb[1] & SCSI_FUA,
        .off = command->lba * LUN_BLOCK_BYTES,
        .len = bytes,
        .iov = command->lib->iovec,
        .iovcnt = (int)MIN(command->lib->iov_cnt, INT_MAX),
    };

    return !request.fua && vhd_disk_try(command->lun->disk, &request);
}

int scsi_transfer(ScsiCommand *command)
{
    uint64_t bytes = (uint64_t)command->blocks * LUN_BLOCK_BYTES;

    if (iovecs_bytes(command->lib->iovec, command->lib->iov_cnt) != bytes)
        return TCMU_STS_INVALID_CDB;
    if (command->blocks == 0)
        return TCMU_STS_OK;
    if (try_at_once(command, bytes))
        return TCMU_STS_OK;
    if (command->cdb[0] < 0x20 && command->cdb[4] == 0)
        widen(command);
    return TCMU_STS_NOT_HANDLED;
}

/* Whether the data-out buffers hold exactly so many blocks. */
static bool has_blocks(const ScsiCommand *command, uint64_t blocks)
{
    return iovecs_bytes(command->lib->iovec, command->lib->iov_cnt) == blocks * LUN_BLOCK_BYTES;
}

/*
 * The host does not know VERIFY. Without BYTCHK it is checked that the blocks can be read, and what
 * data is sent does not matter; with BYTCHK 01b they are compared with what is sent, with 11b each
 * with the one block sent. A WRITE AND VERIFY or COMPARE AND WRITE in its place could write.
 */
int scsi_verify(ScsiCommand *command)
{
    CarryKind kind = CARRY_VERIFY;

    switch (command->cdb[1] & SCSI_BYTCHK) {
    case 0:
        /* Should the initiator read in place of sending: nothing old. */
        iovecs_zero(command->lib->iovec, command->lib->iov_cnt);
        command->lib->iov_cnt = 0;
        break;
    case SCSI_BYTCHK_COMPARE:
        if (!has_blocks(command, command->blocks))
            return TCMU_STS_INVALID_CDB;
        break;
    case SCSI_BYTCHK_SAME:
        if (!has_blocks(command, 1))
            return TCMU_STS_INVALID_CDB;
        kind = CARRY_VERIFY_SAME;
        break;
    default:
        return sense_invalid_field(command->lib, 1, 2);
    }
    if (command->blocks == 0)
        return TCMU_STS_OK;
    return carry_send(command->cmd, kind, command->lba, command->blocks);
}

/* Of any length, which the host's is not, and quiet about a comparison nobody asked for. */
int scsi_write_verify(ScsiCommand *command)
{
    uint8_t check = command->cdb[1] & SCSI_BYTCHK;

    if (check != 0 && check != SCSI_BYTCHK_COMPARE)
        return sense_invalid_field(command->lib, 1, 2);
    if (!has_blocks(command, command->blocks))
        return TCMU_STS_INVALID_CDB;
    if (command->blocks == 0)
        return TCMU_STS_OK;
    return carry_send(command->cmd, check ? CARRY_WRITE_VERIFY : CARRY_WRITE_READ, command->lba,
                      command->blocks);
}

/* The host's is atomic against others of its kind only. */
int scsi_compare_and_write(ScsiCommand *command)
{
    if (!has_blocks(command, 2 * (uint64_t)command->blocks))
        return TCMU_STS_INVALID_CDB;
    if (command->blocks == 0)
        return TCMU_STS_OK;
    return carry_send(command->cmd, CARRY_COMPARE_WRITE, command->lba, command->blocks);
}

int scsi_or_write(ScsiCommand *command)
{
    if (!has_blocks(command, command->blocks))
        return TCMU_STS_INVALID_CDB;
    if (command->blocks == 0)
        return TCMU_STS_OK;
    return carry_send(command->cmd, CARRY_OR_WRITE, command->lba, command->blocks);
}

/* A hint. GOOD says that not all of it is in a cache of the LUN, which has none of its own. */
int scsi_pre_fetch(ScsiCommand *command)
{
    (void)command;
    return TCMU_STS_OK;
}

int scsi_get_lba_status(ScsiCommand *command)
{
    uint64_t lba = be64_get(command->cdb + 2);

    if (lba >= command->lun->blocks)
        return TCMU_STS_RANGE;
    return carry_send(command->cmd, CARRY_STATUS, lba, be32_get(command->cdb + 10));
}

/*
 * With UNMAP the host unmaps whatever the pattern is, and drops errors: so zeros, with or without
 * UNMAP, become a zeroing of our own, which makes holes where it can. Other patterns are the host's
 * once UNMAP is taken away; the standard allows to write instead. NDOB, which WRITE SAME(16) has,
 * says zeros without sending them.
 */
int scsi_write_same(ScsiCommand *command)
{
    struct tcmulib_cmd *lib = command->lib;
    uint8_t refused = SCSI_SAME_ANCHOR | SCSI_SAME_OBSOLETE;
    bool no_data = command->cdb[0] == SCSI_WRITE_SAME_16 && command->cdb[1] & SCSI_SAME_NDOB;

    if (!command->lun->discard)
        refused |= SCSI_SAME_UNMAP;
    if (command->cdb[0] == SCSI_WRITE_SAME_10)
        refused |= SCSI_SAME_NDOB;
    /* No blocks: said to be not supported (WSNZ). */
    if (command->cdb[1] & refused || !has_blocks(command, no_data ? 0 : 1) ||
        command->blocks == 0 || command->blocks > LUN_MAX_SAME_BLOCKS)
        return TCMU_STS_INVALID_CDB;
    if (iovecs_are_zero(lib->iovec, lib->iov_cnt))
        return carry_send(command->cmd, CARRY_ZERO, command->lba, command->blocks);
    if (lib->iov_cnt != 1) /* the host takes no more */
        return TCMU_STS_INVALID_CDB;
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

/*
 * FORMAT UNIT. The host would write zeros over everything; this makes everything zero, which takes
 * no space where there is no parent to hide. Of the parameter list only its header is known: no
 * protection information, no defects, no initialization pattern. IMMED is not a must.
 */
enum {
    FORMAT_PROTECTION = 0xc0,
    FORMAT_LONG = 0x20,
    FORMAT_DATA = 0x10,
    FORMAT_LIST = 0x07,    /* the form of the defects sent; CMPLST before it says: no others */
    FORMAT_PATTERN = 0x08, /* byte 1 of the list: IP */
};

static int check_format_list(const ScsiCommand *command)
{
    bool is_long = command->cdb[1] & FORMAT_LONG;
    size_t length = is_long ? 8 : 4;
    uint8_t header[8] = {0};

    if (iovecs_copy_out(command->lib->iovec, command->lib->iov_cnt, header, length) < length)
        return TCMU_STS_INVALID_PARAM_LIST_LEN;
    if (header[0] != 0 || header[1] & FORMAT_PATTERN ||
        (is_long ? be32_get(header + 4) != 0 || header[3] != 0 : be16_get(header + 2) != 0))
        return TCMU_STS_INVALID_PARAM_LIST;
    return TCMU_STS_OK;
}

int scsi_format_unit(ScsiCommand *command)
{
    uint8_t flags = command->cdb[1];
    int status = TCMU_STS_OK;

    if (flags & FORMAT_PROTECTION)
        return sense_invalid_field(command->lib, 1, 7);
    if (flags & FORMAT_LIST)
        return sense_invalid_field(command->lib, 1, 2);
    if (flags & FORMAT_DATA)
        status = check_format_list(command);
    if (status != TCMU_STS_OK)
        return status;
    return carry_send(command->cmd, CARRY_FORMAT, 0, 0);
}
