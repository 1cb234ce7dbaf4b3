/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* Commands that the host answers itself, where handle_cmd has not. */
#include <string.h>

#include "host-symbols.h"
#include "runner-private.h"
#include "scsi.h"

/* Copies a reply into the data-in buffer, cut to what fits. */
static int answer(RunnerCommand *command, uint8_t *reply, size_t length)
{
    struct tcmulib_cmd *lib_cmd = command->lib_cmd;
    tcmu_memcpy_into_iovec(lib_cmd->iovec, lib_cmd->iov_cnt, reply, length);
    return TCMU_STS_OK;
}

static int inquiry(RunnerCommand *command)
{
    uint8_t reply[36] = {[2] = 5, [3] = 2, [4] = 31, [7] = 2};

    if (command->lib_cmd->cdb[1] & 1)
        return TCMU_STS_INVALID_CDB; /* no VPD pages here */
    memcpy(reply + 8, "LIO-ORG TCMU device     0002", 28);
    return answer(command, reply, sizeof reply);
}

static int capacity10(RunnerCommand *command)
{
    RunnerDevice *device = command->device;
    uint64_t last = device->num_lbas - 1;
    uint8_t reply[8];

    runner_put_be(reply, 4, MIN(last, UINT32_MAX));
    runner_put_be(reply + 4, 4, device->block_size);
    return answer(command, reply, sizeof reply);
}

static int capacity16(RunnerCommand *command)
{
    RunnerDevice *device = command->device;
    uint8_t reply[32] = {[14] = 0xc0}; /* LBPME, LBPRZ: whatever the handler does */

    if ((command->lib_cmd->cdb[1] & 0x1f) != SCSI_SA_READ_CAPACITY_16)
        return TCMU_STS_NOT_HANDLED;
    runner_put_be(reply, 8, device->num_lbas - 1);
    runner_put_be(reply + 8, 4, device->block_size);
    return answer(command, reply, sizeof reply);
}

int runner_answer(RunnerCommand *command)
{
    const uint8_t *cdb = command->lib_cmd->cdb;

    switch (cdb[0]) {
    case SCSI_TEST_UNIT_READY:
        return TCMU_STS_OK;
    case SCSI_INQUIRY:
        return inquiry(command);
    case SCSI_READ_CAPACITY_10:
        return capacity10(command);
    case SCSI_SERVICE_ACTION_IN_16:
        return capacity16(command);
    case SCSI_START_STOP:
        return cdb[4] & 1 ? TCMU_STS_OK : TCMU_STS_INVALID_CDB;
    default:
        return TCMU_STS_NOT_HANDLED;
    }
}
