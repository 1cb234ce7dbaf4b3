/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "handler/scsi.h"

#include "handler/cancel.h"
#include "handler/command.h"
#include "handler/iovecs.h"
#include "handler/scsi-codes.h"
#include "handler/sense.h"
#include "vhd/be.h"

/* What is done before the function of an opcode is called, in this order. */
enum {
    SCSI_REPLY = 1 << 0,   /* data-in other than blocks: zeroed, it holds old data */
    SCSI_GUARD = 1 << 1,   /* protection bits: refused, there is no protection information */
    SCSI_CHANGES = 1 << 2, /* refused by a write-protected disk */
    SCSI_MEDIUM = 1 << 3,  /* refused by a failed disk */
    SCSI_RANGE = 1 << 4,   /* has LBA and number of blocks: checked */
    SCSI_ACTION = 1 << 5,  /* byte 1 holds a service action */
};

enum {
    READS = SCSI_GUARD | SCSI_MEDIUM | SCSI_RANGE,
    WRITES = READS | SCSI_CHANGES,
};

typedef struct ScsiOpcode {
    uint8_t opcode;
    uint8_t action; /* with SCSI_ACTION */
    uint8_t flags;
    int (*run)(ScsiCommand *command); /* NULL: the host's */
} ScsiOpcode;

static const ScsiOpcode opcodes[] = {
    {SCSI_FORMAT_UNIT, 0, SCSI_CHANGES | SCSI_MEDIUM, NULL},
    {SCSI_READ_6, 0, SCSI_MEDIUM | SCSI_RANGE, scsi_transfer},
    {SCSI_WRITE_6, 0, SCSI_CHANGES | SCSI_MEDIUM | SCSI_RANGE, scsi_transfer},
    {SCSI_INQUIRY, 0, SCSI_REPLY, scsi_inquiry},
    {SCSI_MODE_SENSE_6, 0, SCSI_REPLY, scsi_mode_sense},
    {SCSI_READ_CAPACITY_10, 0, SCSI_REPLY, NULL},
    {SCSI_READ_10, 0, READS, scsi_transfer},
    {SCSI_WRITE_10, 0, WRITES, scsi_transfer},
    {SCSI_WRITE_VERIFY_10, 0, WRITES, scsi_transfer},
    {SCSI_VERIFY_10, 0, READS, scsi_verify},
    {SCSI_WRITE_SAME_10, 0, WRITES, scsi_write_same},
    {SCSI_UNMAP, 0, SCSI_CHANGES | SCSI_MEDIUM, scsi_unmap},
    {SCSI_SANITIZE, 0, SCSI_CHANGES, NULL},
    {SCSI_MODE_SENSE_10, 0, SCSI_REPLY, scsi_mode_sense},
    {SCSI_EXTENDED_COPY, 0, SCSI_CHANGES | SCSI_MEDIUM, NULL},
    {SCSI_RECEIVE_COPY_RESULTS, 0, SCSI_REPLY, NULL},
    {SCSI_READ_16, 0, READS, scsi_transfer},
    {SCSI_COMPARE_AND_WRITE, 0, WRITES, NULL},
    {SCSI_WRITE_16, 0, WRITES, scsi_transfer},
    {SCSI_ORWRITE, 0, SCSI_CHANGES, NULL},
    {SCSI_WRITE_VERIFY_16, 0, WRITES, scsi_transfer},
    {SCSI_VERIFY_16, 0, READS, scsi_verify},
    {SCSI_WRITE_SAME_16, 0, WRITES, scsi_write_same},
    {SCSI_WRITE_ATOMIC_16, 0, SCSI_CHANGES, NULL},
    {SCSI_SERVICE_ACTION_IN_16, SCSI_READ_CAPACITY_16, SCSI_REPLY | SCSI_ACTION,
     scsi_read_capacity_16},
    {SCSI_SERVICE_ACTION_IN_16, 0, SCSI_REPLY, NULL},
    {SCSI_MAINTENANCE_IN, 0, SCSI_REPLY, NULL},
    {SCSI_READ_12, 0, READS, scsi_transfer},
    {SCSI_WRITE_12, 0, WRITES, scsi_transfer},
    {SCSI_WRITE_VERIFY_12, 0, SCSI_CHANGES, NULL},
    {SCSI_VERIFY_12, 0, READS, scsi_verify},
};

/* NULL: nothing is known about it. */
static const ScsiOpcode *find_opcode(const uint8_t *cdb)
{
    for (size_t i = 0; i < G_N_ELEMENTS(opcodes); i++) {
        if (opcodes[i].opcode == cdb[0] &&
            (!(opcodes[i].flags & SCSI_ACTION) || opcodes[i].action == (cdb[1] & 0x1f)))
            return &opcodes[i];
    }
    return NULL;
}

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

static int check(ScsiCommand *command, unsigned flags)
{
    Lun *lun = command->lun;

    if (flags & SCSI_REPLY)
        iovecs_zero(command->lib->iovec, command->lib->iov_cnt);
    if (flags & SCSI_GUARD && command->cdb[1] & SCSI_PROTECT)
        return TCMU_STS_INVALID_CDB;
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
    const ScsiOpcode *opcode = find_opcode(lib->cdb);
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
