/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* Who the LUN is: INQUIRY and its pages. */
#include <ctype.h>
#include <stdlib.h>

#include "handler/command.h"
#include "handler/scsi-codes.h"
#include "handler/scsi.h"
#include "vhd/be.h"

#define VENDOR     "LIO-ORG " /* 8 bytes, as all of LIO's disks have it */
#define MAX_SERIAL 96         /* bytes; rtslib's are UUIDs of 36 */

#pragma GCC visibility push(default)
/* The unit serial in configfs, or NULL; malloc'ed. */
char *tcmu_cfgfs_dev_get_wwn(struct tcmu_device *dev);
#pragma GCC visibility pop

static size_t alloc_length(const ScsiCommand *command)
{
    return be16_get(command->cdb + 3);
}

/* The host's, but without its target port groups: it would have to name ours in page 83h. */
static int standard(ScsiCommand *command)
{
    uint8_t data[66] = {
        [2] = 0x05, /* SPC-3 */
        [3] = 0x02, /* response data format */
        [4] = 61,   /* additional length */
        [5] = 0x08, /* 3PC: EXTENDED COPY */
        [7] = 0x02, /* CMDQUE */
    };

    memcpy(data + 8, VENDOR "TCMU device     0002", 28);
    be16_put(data + 58, 0x0080); /* SAM-4, of no version in particular; likewise */
    be16_put(data + 60, 0x0300); /* SPC-3 */
    be16_put(data + 62, 0x04c0); /* SBC-3 */
    return scsi_reply(command, data, sizeof data, alloc_length(command));
}

/* Unit serial: printable ASCII, as pages 80h and 83h want it. Returns its length; 0: none. */
static size_t read_serial(const Lun *lun, char serial[MAX_SERIAL + 1])
{
    char *wwn = tcmu_cfgfs_dev_get_wwn(lun->dev);
    size_t length = 0;

    for (const char *p = wwn; p && *p && length < MAX_SERIAL; p++) {
        if (*p >= ' ' && *p < 0x7f)
            serial[length++] = *p;
    }
    serial[length] = '\0';
    free(wwn);
    return length;
}

static int page_serial(ScsiCommand *command)
{
    char serial[MAX_SERIAL + 1];
    size_t length = read_serial(command->lun, serial);
    uint8_t data[4 + MAX_SERIAL] = {[1] = 0x80, [3] = (uint8_t)length};

    if (length == 0)
        return TCMU_STS_HW_ERR;
    memcpy(data + 4, serial, length);
    return scsi_reply(command, data, 4 + length, alloc_length(command));
}

/* NAA 6 (registered, extended) of LIO: company 001405h, then the serial's first 25 hexadecimal
 * digits. The kernel makes it in the same way, so that the LUN keeps its name under every fabric.
 */
static void put_naa(uint8_t naa[static 16], const char *serial)
{
    static const char head[] = "6001405";
    char digits[33];
    size_t count = sizeof head - 1;

    memset(digits, '0', sizeof digits);
    memcpy(digits, head, count);
    for (; *serial && count < 32; serial++) {
        if (isxdigit((unsigned char)*serial))
            digits[count++] = *serial;
    }
    for (size_t i = 0; i < 16; i++)
        naa[i] = (uint8_t)(g_ascii_xdigit_value(digits[2 * i]) << 4 |
                           g_ascii_xdigit_value(digits[2 * i + 1]));
}

bool scsi_name(const Lun *lun, uint8_t naa[static 16])
{
    char serial[MAX_SERIAL + 1];

    if (read_serial(lun, serial) == 0)
        return false;
    put_naa(naa, serial);
    return true;
}

/* The host puts the config string, a path of the server, into this page. */
static int page_identification(ScsiCommand *command)
{
    char serial[MAX_SERIAL + 1];
    size_t length = read_serial(command->lun, serial);
    uint8_t data[4 + 4 + 16 + 4 + 8 + MAX_SERIAL] = {[1] = 0x83}, *at = data + 4;

    if (length == 0)
        return TCMU_STS_HW_ERR;
    at[0] = 0x01; /* binary */
    at[1] = 0x03; /* NAA */
    at[3] = 16;
    put_naa(at + 4, serial);
    at += 20;
    at[0] = 0x02; /* ASCII */
    at[1] = 0x01; /* T10 vendor */
    at[3] = (uint8_t)(8 + length);
    memcpy(at + 4, VENDOR, 8);
    memcpy(at + 12, serial, length);
    at += 12 + length;
    be16_put(data + 2, (uint16_t)(at - data - 4));
    return scsi_reply(command, data, (size_t)(at - data), alloc_length(command));
}

int scsi_inquiry(ScsiCommand *command)
{
    const uint8_t *cdb = command->cdb;

    if (!(cdb[1] & SCSI_EVPD))
        return cdb[2] == 0 ? standard(command) : TCMU_STS_INVALID_CDB;
    switch (cdb[2]) {
    case 0x00:
        return scsi_page_supported(command);
    case 0x80:
        return page_serial(command);
    case 0x83:
        return page_identification(command);
    case 0x86:
        return scsi_page_extended(command);
    case 0xb0:
        return scsi_page_limits(command);
    case 0xb1:
        return scsi_page_characteristics(command);
    case 0xb2:
        return scsi_page_provisioning(command);
    default:
        return TCMU_STS_INVALID_CDB; /* the host writes a line for each */
    }
}
