/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* How the LUN is: sense, defects, logs, self-test. It knows of nothing but the present command. */
#include "handler/iovecs.h"
#include "handler/scsi-codes.h"
#include "handler/scsi.h"
#include "handler/sense.h"
#include "vhd/be.h"

/* Sense comes with the status it belongs to: none is left over, but for what is going on. */
int scsi_request_sense(ScsiCommand *command)
{
    uint8_t fixed[18] = {[0] = 0x70, [7] = 10}, descriptors[8] = {0x72};
    uint16_t not_ready = lun_not_ready(command->lun);

    if (not_ready) {
        fixed[2] = descriptors[1] = 0x02; /* NOT READY */
        be16_put(fixed + 12, not_ready);
        be16_put(descriptors + 2, not_ready);
    }
    if (command->cdb[1] & 0x01)
        return scsi_reply(command, descriptors, sizeof descriptors, command->cdb[4]);
    return scsi_reply(command, fixed, sizeof fixed, command->cdb[4]);
}

enum { DIAGNOSTIC_SELF_TEST = 0x04 };

/* The default self-test finds what every command finds. There are no pages to send. */
int scsi_send_diagnostic(ScsiCommand *command)
{
    if (command->cdb[1] & (uint8_t)~DIAGNOSTIC_SELF_TEST)
        return sense_invalid_field(command->lib, 1, 7);
    if (be16_get(command->cdb + 3) != 0)
        return sense_invalid_field(command->lib, 3, 7);
    return lun_failed(command->lun) ? TCMU_STS_HW_ERR : TCMU_STS_OK;
}

enum { DEFECTS_ASKED = 0x1f }; /* PLIST, GLIST, format: given back as asked for */

/* Empty lists. */
int scsi_read_defect_data(ScsiCommand *command)
{
    const uint8_t *cdb = command->cdb;
    uint8_t data[8] = {0};

    if (cdb[0] == SCSI_READ_DEFECT_DATA_10) {
        data[1] = cdb[2] & DEFECTS_ASKED;
        return scsi_reply(command, data, 4, be16_get(cdb + 7));
    }
    data[1] = cdb[1] & DEFECTS_ASKED;
    return scsi_reply(command, data, sizeof data, be32_get(cdb + 6));
}

/* Only the page that lists the pages. */
int scsi_log_sense(ScsiCommand *command)
{
    static const uint8_t supported[] = {0, 0, 0, 1, 0};
    static const uint8_t subpages[] = {0x40, 0xff, 0, 4, 0, 0, 0, 0xff};
    const uint8_t *cdb = command->cdb;
    size_t alloc = be16_get(cdb + 7);

    if (cdb[1] != 0)
        return sense_invalid_field(command->lib, 1, 0);
    if ((cdb[2] & 0x3f) != 0)
        return sense_invalid_field(command->lib, 2, 5);
    if (cdb[3] == 0xff)
        return scsi_reply(command, subpages, sizeof subpages, alloc);
    if (cdb[3] != 0)
        return sense_invalid_field(command->lib, 3, 7);
    return scsi_reply(command, supported, sizeof supported, alloc);
}
