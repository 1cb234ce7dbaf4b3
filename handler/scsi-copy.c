/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* EXTENDED COPY and what is said about it. */
#include "handler/carry.h"
#include "handler/copy.h"
#include "handler/iovecs.h"
#include "handler/scsi.h"
#include "handler/sense.h"
#include "vhd/be.h"

/* The host's takes one way of numbering its lists only, which few use. */
int scsi_extended_copy(ScsiCommand *command)
{
    size_t length = be32_get(command->cdb + 10);
    unsigned segments;
    int status;

    if (length == 0)
        return TCMU_STS_OK;
    status = copy_check(command->lun, command->lib, length, &segments);
    if (status != TCMU_STS_OK || segments == 0)
        return status;
    return carry_send(command->cmd, CARRY_COPY, 0, length);
}

enum { COPY_DONE = 1, COPY_DONE_WITH_ERRORS = 2 };

/* RECEIVE COPY RESULTS, copy status: of the last few lists. */
int scsi_copy_status(ScsiCommand *command)
{
    uint8_t data[12] = {0};
    CopyRecord record;

    if (!copy_find(command->lun, command->cdb[2], &record))
        return sense_invalid_field(command->lib, 2, 7);
    be32_put(data, sizeof data - 4);
    data[4] = record.failed ? COPY_DONE_WITH_ERRORS : COPY_DONE;
    be16_put(data + 5, record.segments);
    be32_put(data + 8, record.bytes);
    return scsi_reply(command, data, sizeof data, be32_get(command->cdb + 10));
}

/* RECEIVE COPY RESULTS, operating parameters (SNLID: the list identifier may be left out). */
int scsi_copy_parameters(ScsiCommand *command)
{
    uint8_t data[46] = {0};

    be32_put(data, sizeof data - 4);
    data[4] = 0x01; /* SNLID */
    be16_put(data + 8, COPY_TARGETS);
    be16_put(data + 10, COPY_SEGMENTS);
    be32_put(data + 12, COPY_LIST_BYTES);
    be32_put(data + 16, UINT16_MAX * LUN_BLOCK_BYTES); /* bytes a segment */
    be16_put(data + 34, 1);                            /* copies at once: as many as there are */
    data[36] = 1;                                      /* commands; those wait */
    data[37] = 9;                                      /* segments in units of 2^9 bytes */
    data[43] = 2;                                      /* descriptor types */
    data[44] = COPY_SEGMENT_TYPE;
    data[45] = COPY_TARGET_TYPE;
    return scsi_reply(command, data, sizeof data, be32_get(command->cdb + 10));
}
