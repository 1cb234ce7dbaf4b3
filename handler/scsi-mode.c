/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* What the LUN is like: MODE SENSE and READ CAPACITY(16). */
#include "handler/command.h"
#include "handler/scsi-codes.h"
#include "handler/scsi.h"
#include "vhd/be.h"

enum {
    MODE_WP = 0x80,     /* device-specific parameter: write-protected, */
    MODE_DPOFUA = 0x10, /* DPO and FUA bits may be set */
    PAGE_ALL = 0x3f,
    SUBPAGE_ALL = 0xff,
    CONTROL_CHANGEABLE = 1, /* page control */
    CONTROL_SAVED = 3,
};

typedef struct ModePage {
    uint8_t code, length; /* length: all of its bytes */
    void (*fill)(const Lun *lun, uint8_t *page);
} ModePage;

static void fill_cache(const Lun *lun, uint8_t *page)
{
    page[2] = tcmu_dev_get_write_cache_enabled(lun->dev) ? 0x04 : 0; /* WCE */
}

static void fill_control(const Lun *lun, uint8_t *page)
{
    (void)lun;
    page[2] = 0x02;           /* GLTSD: log parameters are not saved */
    page[5] = 0x40;           /* TAS: aborted commands say so */
    page[8] = page[9] = 0xff; /* BUSY has no time limit */
}

/* The same bytes as the host's, whose MODE SELECT accepts nothing else. */
static const ModePage pages[] = {
    {0x01, 12, NULL}, /* read-write error recovery */
    {0x08, 20, fill_cache},
    {0x0a, 12, fill_control},
};

/* Append the pages asked for to data; returns how many bytes. */
static size_t put_pages(const ScsiCommand *command, uint8_t *data)
{
    uint8_t code = command->cdb[2] & 0x3f, control = command->cdb[2] >> 6;
    size_t bytes = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(pages); i++) {
        if (code != PAGE_ALL && code != pages[i].code)
            continue;
        data[bytes] = pages[i].code;
        data[bytes + 1] = (uint8_t)(pages[i].length - 2);
        /* Nothing is changeable. */
        if (pages[i].fill && control != CONTROL_CHANGEABLE)
            pages[i].fill(command->lun, data + bytes);
        bytes += pages[i].length;
    }
    return bytes;
}

int scsi_mode_sense(ScsiCommand *command)
{
    const uint8_t *cdb = command->cdb;
    bool ten = cdb[0] == SCSI_MODE_SENSE_10;
    size_t header = ten ? 8 : 4, bytes;
    uint8_t data[8 + 12 + 20 + 12] = {0};

    if (cdb[2] >> 6 == CONTROL_SAVED)
        return TCMU_STS_NOTSUPP_SAVE_PARAMS;
    if (cdb[3] != 0 && cdb[3] != SUBPAGE_ALL)
        return TCMU_STS_INVALID_CDB;
    bytes = put_pages(command, data + header);
    if (bytes == 0)
        return TCMU_STS_INVALID_CDB;
    bytes += header;
    if (ten)
        be16_put(data, (uint16_t)(bytes - 2));
    else
        data[0] = (uint8_t)(bytes - 1);
    data[ten ? 3 : 2] = MODE_DPOFUA | (command->lun->read_only ? MODE_WP : 0);
    return scsi_reply(command, data, bytes, ten ? be16_get(cdb + 7) : cdb[4]);
}

/* The host's always claims logical block provisioning. */
int scsi_read_capacity_16(ScsiCommand *command)
{
    uint8_t data[32] = {0};

    be64_put(data, command->lun->blocks - 1);
    be32_put(data + 8, LUN_BLOCK_BYTES);
    data[13] = LUN_PHYSICAL_EXPONENT;
    if (command->lun->discard)
        data[14] = 0x80 | 0x40; /* LBPME, LBPRZ */
    return scsi_reply(command, data, sizeof data, be32_get(command->cdb + 10));
}
