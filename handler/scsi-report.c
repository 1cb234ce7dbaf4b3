/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* REPORT SUPPORTED OPERATION CODES (SPC-4). */
#include "handler/iovecs.h"
#include "handler/scsi-codes.h"
#include "handler/scsi-opcodes.h"
#include "handler/sense.h"
#include "vhd/be.h"

enum {
    RCTD = 0x80, /* byte 2: with timeouts descriptors */
    OPTIONS = 0x07,
    OPTION_ALL = 0,
    OPTION_OPCODE = 1, /* one that has no service actions */
    OPTION_ACTION = 2, /* one that has */
    OPTION_EITHER = 3,
    TIMEOUTS_BYTES = 12,
    DESCRIPTOR_BYTES = 8,
    CDB_BYTES = 16,
    SUPPORT_NONE = 1,
    SUPPORT_STANDARD = 3,
};

/* No timeout is recommended. Returns the number of bytes. */
static size_t put_timeouts(uint8_t *at)
{
    memset(at, 0, TIMEOUTS_BYTES);
    be16_put(at, TIMEOUTS_BYTES - 2);
    return TIMEOUTS_BYTES;
}

static size_t put_descriptor(const ScsiOpcode *opcode, bool timeouts, uint8_t *at)
{
    memset(at, 0, DESCRIPTOR_BYTES);
    at[0] = opcode->opcode;
    be16_put(at + 2, opcode->action);
    at[5] = (uint8_t)((opcode->flags & SCSI_ACTION ? 0x01 : 0) | (timeouts ? 0x02 : 0));
    be16_put(at + 6, (uint16_t)scsi_cdb_length(opcode->opcode));
    return DESCRIPTOR_BYTES + (timeouts ? put_timeouts(at + DESCRIPTOR_BYTES) : 0);
}

static int report_all(ScsiCommand *command, bool timeouts, size_t alloc)
{
    enum { MOST = 128 };
    uint8_t data[4 + MOST * (DESCRIPTOR_BYTES + TIMEOUTS_BYTES)];
    const ScsiOpcode *opcode;
    size_t bytes = 4;

    for (size_t i = 0; i < MOST && (opcode = scsi_opcode_at(i)); i++) {
        if (scsi_opcode_offered(opcode, command->lun))
            bytes += put_descriptor(opcode, timeouts, data + bytes);
    }
    be32_put(data, (uint32_t)bytes - 4);
    return scsi_reply(command, data, bytes, alloc);
}

/* Which bits of the CDB are looked at. */
static void put_usage(const ScsiOpcode *opcode, uint8_t *at)
{
    at[0] = opcode->opcode;
    at[1] = opcode->second;
    if (opcode->flags & SCSI_ACTION)
        at[1] |= opcode->action;
    for (unsigned i = 2; i < CDB_BYTES; i++) {
        if (opcode->others & 1 << i)
            at[i] = 0xff;
    }
    if (opcode->opcode == SCSI_MAINTENANCE_IN)
        at[2] = RCTD | OPTIONS;
}

static int report_one(ScsiCommand *command, const ScsiOpcode *opcode, bool timeouts, size_t alloc)
{
    uint8_t data[4 + CDB_BYTES + TIMEOUTS_BYTES] = {[1] = SUPPORT_NONE};
    size_t bytes = 4, length;

    if (!opcode)
        return scsi_reply(command, data, bytes, alloc);
    length = scsi_cdb_length(opcode->opcode);
    data[1] = SUPPORT_STANDARD;
    be16_put(data + 2, (uint16_t)length);
    put_usage(opcode, data + bytes);
    bytes += length;
    if (timeouts) {
        data[1] |= 0x80;
        bytes += put_timeouts(data + bytes);
    }
    return scsi_reply(command, data, bytes, alloc);
}

/* The one asked for, or NULL. has_actions: whether the opcode has service actions. */
static const ScsiOpcode *find(const Lun *lun, uint8_t code, uint16_t action, bool *has_actions)
{
    const ScsiOpcode *opcode, *found = NULL;

    *has_actions = false;
    for (size_t i = 0; (opcode = scsi_opcode_at(i)); i++) {
        if (opcode->opcode != code || !scsi_opcode_offered(opcode, lun))
            continue;
        *has_actions |= opcode->flags & SCSI_ACTION;
        if (!(opcode->flags & SCSI_ACTION) || opcode->action == action)
            found = opcode;
    }
    return found;
}

int scsi_report_opcodes(ScsiCommand *command)
{
    const uint8_t *cdb = command->cdb;
    uint8_t option = cdb[2] & OPTIONS;
    bool timeouts = cdb[2] & RCTD, has_actions;
    size_t alloc = be32_get(cdb + 6);
    const ScsiOpcode *opcode;

    if (option == OPTION_ALL)
        return report_all(command, timeouts, alloc);
    opcode = find(command->lun, cdb[3], be16_get(cdb + 4), &has_actions);
    if (option > OPTION_EITHER || (option == OPTION_OPCODE && has_actions) ||
        (option == OPTION_ACTION && opcode && !has_actions))
        return sense_invalid_field(command->lib, 2, 2);
    if (option == OPTION_EITHER && !has_actions && be16_get(cdb + 4) != 0)
        opcode = NULL;
    return report_one(command, opcode, timeouts, alloc);
}

/* Byte 1 is what is wrong, not the opcode. */
int scsi_unknown_action(ScsiCommand *command)
{
    return sense_invalid_field(command->lib, 1, 4);
}
