/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "handler/scsi.h"

#include "handler/cancel.h"
#include "handler/command.h"
#include "handler/iovecs.h"
#include "handler/scsi-codes.h"
#include "handler/scsi-opcodes.h"
#include "handler/sense.h"
#include "vhd/be.h"

/* Read LBA and number of blocks. READ(6) and WRITE(6) have 256 blocks where others have none. */
static void read_range(ScsiCommand *command)
{
    const uint8_t *cdb = command->cdb;

    switch (cdb[0] >> 5) {
    case 0:
        command->lba = be32_get(cdb) & 0x1fffff;
        command->blocks = cdb[4] ? cdb[4] : 256;
        break;
    case 4:
        command->lba = be64_get(cdb + 2);
        command->blocks = cdb[0] == SCSI_COMPARE_AND_WRITE ? cdb[13] : be32_get(cdb + 10);
        break;
    case 5:
        command->lba = be32_get(cdb + 2);
        command->blocks = be32_get(cdb + 6);
        break;
    default:
        command->lba = be32_get(cdb + 2);
        command->blocks = be16_get(cdb + 7);
        break;
    }
}

/* The host would check it, too, but write a line into its log for each. */
static int check_range(ScsiCommand *command)
{
    uint64_t blocks = command->lun->blocks;

    read_range(command);
    if (command->lba > blocks || command->blocks > blocks - command->lba)
        return TCMU_STS_RANGE;
    return TCMU_STS_OK;
}

/* What is answered without the medium, also while all of it is made anew. */
static bool only_tells(unsigned flags)
{
    return flags & SCSI_REPLY && !(flags & SCSI_MEDIUM);
}

static int check(ScsiCommand *command, unsigned flags)
{
    Lun *lun = command->lun;
    uint16_t not_ready = lun_not_ready(lun);

    if (flags & (SCSI_REPLY | SCSI_NO_DATA))
        iovecs_zero(command->lib->iovec, command->lib->iov_cnt);
    if (not_ready && !only_tells(flags))
        return sense_not_ready(command->lib, not_ready);
    if (flags & SCSI_GUARD && command->cdb[1] & SCSI_PROTECT)
        return sense_invalid_field(command->lib, 1, 7);
    if (flags & SCSI_CHANGES && lun->read_only)
        return sense_write_protected(command->lib);
    if (flags & SCSI_MEDIUM && lun_failed(lun))
        return TCMU_STS_HW_ERR;
    if (flags & SCSI_RANGE)
        return check_range(command);
    return TCMU_STS_OK;
}

int scsi_handle_cmd(struct tcmu_device *dev, struct tcmur_cmd *cmd)
{
    CANCEL_OFF;
    struct tcmulib_cmd *lib = command_lib(cmd);
    ScsiCommand command = {
        .lun = tcmur_dev_get_private(dev),
        .cmd = cmd,
        .lib = lib,
        .cdb = lib->cdb,
    };
    const ScsiOpcode *opcode = scsi_opcode_find(lib->cdb);
    int status;

    lun_keep_size(command.lun);
    if (!opcode)
        return TCMU_STS_NOT_HANDLED;
    status = check(&command, opcode->flags);
    if (status != TCMU_STS_OK)
        return status;
    return opcode->run ? opcode->run(&command) : TCMU_STS_NOT_HANDLED;
}

int scsi_reply(ScsiCommand *command, const uint8_t *data, size_t bytes, size_t alloc)
{
    iovecs_copy_in(command->lib->iovec, command->lib->iov_cnt, data, MIN(bytes, alloc));
    return TCMU_STS_OK;
}
