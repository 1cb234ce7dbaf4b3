/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* The one table of what the LUN knows: how each command is checked, who does it, and what REPORT
 * SUPPORTED OPERATION CODES says of it. */
#pragma once

#include <stdint.h>

#include "handler/scsi.h"

/* What is done before the function of an opcode is called, in this order. */
enum {
    SCSI_REPLY = 1 << 0,   /* data-in other than blocks: zeroed, it holds old data */
    SCSI_GUARD = 1 << 1,   /* protection bits: refused, there is no protection information */
    SCSI_CHANGES = 1 << 2, /* refused by a write-protected disk */
    SCSI_MEDIUM = 1 << 3,  /* refused by a failed disk */
    SCSI_RANGE = 1 << 4,   /* has LBA and number of blocks: checked */
    SCSI_ACTION = 1 << 5,  /* byte 1 holds a service action */
    SCSI_THIN = 1 << 6,    /* there only where the LUN gives space back */
    SCSI_ABSENT = 1 << 7,  /* not said to be supported */
    SCSI_NO_DATA = 1 << 8, /* has none: buffers sent all the same are zeroed, as with SCSI_REPLY */
};

typedef struct ScsiOpcode {
    uint8_t opcode;
    uint8_t action;                   /* with SCSI_ACTION */
    uint16_t flags;                   /* SCSI_REPLY and on */
    int (*run)(ScsiCommand *command); /* NULL: the host's or the kernel's */
    uint8_t second;  /* bits of byte 1 that are looked at, a service action aside */
    uint16_t others; /* bytes that are looked at: bit 2 for byte 2, and on */
} ScsiOpcode;

/* By index, sorted by opcode and action; NULL at the end. */
const ScsiOpcode *scsi_opcode_at(size_t index);

/* Whether the LUN supports it. */
bool scsi_opcode_offered(const ScsiOpcode *opcode, const Lun *lun);

/* Of a CDB; NULL: nothing is known about it. */
const ScsiOpcode *scsi_opcode_find(const uint8_t *cdb);

/* Bytes of a CDB. */
size_t scsi_cdb_length(uint8_t opcode);
