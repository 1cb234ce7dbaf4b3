/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* Sense data: what handlers call, and what each TCMU_STS_* becomes. */
#include <string.h>

#include "host-symbols.h"
#include "runner-private.h"

/* Fixed format, current error; leaves other fields as they are. */
static void put_sense(uint8_t *sense, uint8_t key, uint16_t asc_ascq)
{
    sense[0] |= 0x70;
    sense[2] = key;
    sense[7] = 10;
    runner_put_be(sense + 12, 2, asc_ascq);
}

int tcmu_sense_set_data(uint8_t *sense_buf, uint8_t key, uint16_t asc_ascq)
{
    memset(sense_buf, 0, TCMU_SENSE_SIZE);
    put_sense(sense_buf, key, asc_ascq);
    return TCMU_STS_PASSTHROUGH_ERR;
}

void tcmu_sense_set_info(uint8_t *sense_buf, uint32_t info)
{
    memset(sense_buf, 0, 18);
    sense_buf[0] = 0x80;
    runner_put_be(sense_buf + 3, 4, info);
}

void tcmu_sense_set_key_specific_info(uint8_t *sense_buf, uint16_t info)
{
    memset(sense_buf, 0, 18);
    sense_buf[15] = 0x80;
    runner_put_be(sense_buf + 16, 2, info);
}

/* Key, ASC, ASCQ by status, as 0xKKAAQQ; 0 where the host knows none. */
static uint32_t sense_of_status(int status)
{
    static const struct {
        int status;
        uint32_t sense;
    } table[] = {
        {TCMU_STS_NOT_HANDLED, 0x052000},
        {TCMU_STS_INVALID_CMD, 0x052000},
        {TCMU_STS_WR_ERR, 0x030c00},
        {TCMU_STS_RD_ERR, 0x031100},
        {TCMU_STS_INVALID_CDB, 0x052400},
        {TCMU_STS_INVALID_PARAM_LIST, 0x052600},
        {TCMU_STS_INVALID_PARAM_LIST_LEN, 0x051a00},
        {TCMU_STS_FENCED, 0x02040b},
        {TCMU_STS_HW_ERR, 0x044400},
        {TCMU_STS_RANGE, 0x052100},
        {TCMU_STS_CAPACITY_CHANGED, 0x062a09},
        {TCMU_STS_NOTSUPP_SAVE_PARAMS, 0x053900},
        {TCMU_STS_WR_ERR_INCOMPAT_FRMT, 0x053005},
        {TCMU_STS_TRANSITION, 0x02040a},
        {TCMU_STS_IMPL_TRANSITION_ERR, 0x062a07},
        {TCMU_STS_EXPL_TRANSITION_ERR, 0x04670a},
        {TCMU_STS_NOTSUPP_SEG_DESC_TYPE, 0x052609},
        {TCMU_STS_NOTSUPP_TGT_DESC_TYPE, 0x052607},
        {TCMU_STS_TOO_MANY_SEG_DESC, 0x052608},
        {TCMU_STS_TOO_MANY_TGT_DESC, 0x052606},
        {TCMU_STS_CP_TGT_DEV_NOTCONN, 0x0a0d02},
        {TCMU_STS_INVALID_CP_TGT_DEV_TYPE, 0x0a0d03},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        if (table[i].status == status)
            return table[i].sense;
    }
    return 0;
}

/* SAM status of a TCMU_STS_*; fills the command's sense buffer where the host does. */
uint8_t runner_sam_status(int status, uint8_t *sense)
{
    uint32_t known = sense_of_status(status);

    switch (status) {
    case TCMU_STS_OK:
        return RUNNER_GOOD;
    case TCMU_STS_NO_RESOURCE:
        return RUNNER_TASK_SET_FULL;
    case TCMU_STS_TIMEOUT:
    case TCMU_STS_BUSY:
        return RUNNER_BUSY;
    case TCMU_STS_MISCOMPARE: /* these two keep what is in the buffer */
        put_sense(sense, 0x0e, 0x1d00);
        break;
    case TCMU_STS_FRMT_IN_PROGRESS:
        put_sense(sense, 0x02, 0x0404);
        break;
    case TCMU_STS_PASSTHROUGH_ERR:
        break;
    default:
        if (known)
            tcmu_sense_set_data(sense, (uint8_t)(known >> 16), known & 0xffff);
        else
            tcmu_err_message(NULL, __func__, __LINE__, "Invalid tcmu status code %d\n", status);
    }
    return RUNNER_CHECK_CONDITION;
}

uint32_t runner_reply_sense(const RunnerReply *reply)
{
    if (reply->status != RUNNER_CHECK_CONDITION)
        return 0;
    return (uint32_t)(reply->sense[2] & 0x0f) << 16 | (uint32_t)reply->sense[12] << 8 |
           reply->sense[13];
}
