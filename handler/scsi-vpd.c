/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* Pages of INQUIRY about what the LUN can do; those about who it is are in scsi-inquiry.c. */
#include "handler/scsi.h"
#include "vhd/be.h"

static size_t alloc_length(const ScsiCommand *command)
{
    return be16_get(command->cdb + 3);
}

int scsi_page_supported(ScsiCommand *command)
{
    static const uint8_t data[] = {0, 0x00, 0, 7, 0x00, 0x80, 0x83, 0x86, 0xb0, 0xb1, 0xb2};

    return scsi_reply(command, data, sizeof data, alloc_length(command));
}

/* Extended INQUIRY data. */
int scsi_page_extended(ScsiCommand *command)
{
    uint8_t data[64] = {[1] = 0x86, [3] = 60, [5] = 0x01}; /* SIMPSUP: simple tasks */

    if (tcmu_dev_get_write_cache_enabled(command->lun->dev))
        data[6] = 0x01; /* V_SUP: a volatile cache */
    return scsi_reply(command, data, sizeof data, alloc_length(command));
}

/* Block limits. */
int scsi_page_limits(ScsiCommand *command)
{
    uint8_t data[64] = {[1] = 0xb0, [3] = 60, [4] = 0x01}; /* WSNZ: no WRITE SAME of 0 blocks */

    data[5] = LUN_MAX_COMPARE_BLOCKS;
    be16_put(data + 6, LUN_GRAIN_BLOCKS); /* transfers: a page */
    be32_put(data + 8, LUN_TRANSFER_BLOCKS);
    be32_put(data + 12, LUN_TRANSFER_BLOCKS); /* the best length, too */
    if (command->lun->discard) {
        be32_put(data + 20, LUN_MAX_UNMAP_BLOCKS);
        be32_put(data + 24, LUN_UNMAP_DESCRIPTORS);
        be32_put(data + 28, LUN_GRAIN_BLOCKS);
        be32_put(data + 32, 0x80000000); /* UGAVALID: the alignment, 0 */
    }
    be64_put(data + 36, LUN_MAX_SAME_BLOCKS);
    return scsi_reply(command, data, sizeof data, alloc_length(command));
}

/* Block device characteristics: a medium that does not say whether it rotates. */
int scsi_page_characteristics(ScsiCommand *command)
{
    uint8_t data[64] = {[1] = 0xb1, [3] = 60};

    if (command->lun->discard)
        data[7] = 0x40; /* WABEREQ: what BLOCK ERASE erased can be read */
    return scsi_reply(command, data, sizeof data, alloc_length(command));
}

/* Logical block provisioning. The host's says neither that it is thin nor that there may be none.
 */
int scsi_page_provisioning(ScsiCommand *command)
{
    uint8_t data[8] = {[1] = 0xb2, [3] = 4};

    if (command->lun->discard) {
        data[5] = 0x80 | 0x40 | 0x20 | 0x04; /* LBPU, LBPWS, LBPWS10, LBPRZ */
        data[6] = 0x02;                      /* thin */
    }
    return scsi_reply(command, data, sizeof data, alloc_length(command));
}
