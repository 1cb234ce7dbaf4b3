/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * SANITIZE. OVERWRITE and BLOCK ERASE are there; CRYPTOGRAPHIC ERASE is not, since nothing is
 * encrypted, nor EXIT FAILURE MODE, since a failure ends with its status. IMMED and AUSE change
 * nothing: the command ends when all is done.
 */
#include "handler/carry.h"
#include "handler/sanitize.h"
#include "handler/scsi-codes.h"
#include "handler/scsi.h"
#include "handler/sense.h"
#include "vhd/be.h"

enum { SANITIZE_RESERVED = 0x40 }; /* byte 1 */

/* Who mistypes here loses everything: no bit that is not known passes. */
static int check_reserved(ScsiCommand *command)
{
    if (command->cdb[1] & SANITIZE_RESERVED)
        return sense_invalid_field(command->lib, 1, 6);
    for (uint8_t i = 2; i < 7; i++) {
        if (command->cdb[i] != 0)
            return sense_invalid_field(command->lib, i, 7);
    }
    return TCMU_STS_OK;
}

int scsi_overwrite(ScsiCommand *command)
{
    size_t length = be16_get(command->cdb + 7);
    int status = check_reserved(command);

    if (status == TCMU_STS_OK)
        status = sanitize_check(command->lib, length);
    if (status != TCMU_STS_OK)
        return status;
    return carry_send(command->cmd, CARRY_SANITIZE, 0, length);
}

int scsi_block_erase(ScsiCommand *command)
{
    int status = check_reserved(command);

    if (status != TCMU_STS_OK)
        return status;
    if (be16_get(command->cdb + 7) != 0)
        return sense_invalid_field(command->lib, 7, 7);
    if (!command->lun->discard)
        return sense_invalid_field(command->lib, 1, 4);
    return carry_send(command->cmd, CARRY_SANITIZE, 0, 0);
}
