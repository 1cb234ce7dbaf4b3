/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "handler/sense.h"

#include <errno.h>
#include <string.h>

#include "handler/tcmur-abi.h"
#include "vhd/be.h"

enum {
    KEY_NOT_READY = 0x02,
    KEY_ILLEGAL_REQUEST = 0x05,
    KEY_DATA_PROTECT = 0x07,
    ASC_INVALID_FIELD_IN_CDB = 0x2400,
    ASC_INVALID_FIELD_IN_LIST = 0x2600,
    ASC_WRITE_PROTECTED = 0x2700,
    ASC_SPACE_ALLOCATION_FAILED = 0x2707,
};

int sense_status(struct tcmulib_cmd *lib, int result, bool writes, bool failed)
{
    switch (-result) {
    case 0:
        return TCMU_STS_OK;
    case ENOSPC:
    case EDQUOT:
        return tcmu_sense_set_data(lib->sense_buf, KEY_DATA_PROTECT, ASC_SPACE_ALLOCATION_FAILED);
    case EROFS:
        return sense_write_protected(lib);
    case ENOMEM:
    case EAGAIN:
        return TCMU_STS_NO_RESOURCE;
    case EINVAL:
        return TCMU_STS_RANGE;
    default:
        if (!writes)
            return TCMU_STS_RD_ERR;
        return failed ? TCMU_STS_HW_ERR : TCMU_STS_WR_ERR;
    }
}

int sense_write_protected(struct tcmulib_cmd *lib)
{
    return tcmu_sense_set_data(lib->sense_buf, KEY_DATA_PROTECT, ASC_WRITE_PROTECTED);
}

int sense_set(struct tcmulib_cmd *lib, uint8_t key, uint16_t asc_ascq)
{
    return tcmu_sense_set_data(lib->sense_buf, key, asc_ascq);
}

enum { SKSV = 0x80, IN_CDB = 0x40, BPV = 0x08 };

static void point_at(struct tcmulib_cmd *lib, uint8_t where, uint8_t byte, uint8_t bit)
{
    lib->sense_buf[15] = (uint8_t)(SKSV | where | BPV | bit);
    be16_put(lib->sense_buf + 16, byte);
}

int sense_invalid_field(struct tcmulib_cmd *lib, uint8_t byte, uint8_t bit)
{
    int status = sense_set(lib, KEY_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);

    point_at(lib, IN_CDB, byte, bit);
    return status;
}

int sense_invalid_parameter(struct tcmulib_cmd *lib, uint8_t byte, uint8_t bit)
{
    int status = sense_set(lib, KEY_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_LIST);

    point_at(lib, 0, byte, bit);
    return status;
}

int sense_not_ready(struct tcmulib_cmd *lib, uint16_t asc_ascq)
{
    return sense_set(lib, KEY_NOT_READY, asc_ascq);
}

int sense_miscompare(struct tcmulib_cmd *lib, uint64_t off)
{
    /* The host clears only what it sets: the rest would be old memory of the daemon. */
    memset(lib->sense_buf, 0, sizeof lib->sense_buf);
    tcmu_sense_set_info(lib->sense_buf, off > UINT32_MAX ? UINT32_MAX : (uint32_t)off);
    return TCMU_STS_MISCOMPARE;
}
