/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* What the initiator is told: from -errno to TCMU_STS_* and sense data. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct tcmulib_cmd;

/*
 * The status of a request that ended with result (0 or -errno). writes: it was to change the disk;
 * failed: the disk takes no more writes until it is opened anew.
 *
 *   -ENOSPC, -EDQUOT  07/27/07, which Linux turns into ENOSPC
 *   -EROFS            07/27/00
 *   -ENOMEM, -EAGAIN  TASK SET FULL, the initiator tries again
 *   -EINVAL           05/21/00
 *   else              04/44/00 where the disk failed, 03/0C/00 for writes, 03/11/00 for reads
 */
int sense_status(struct tcmulib_cmd *lib, int result, bool writes, bool failed);

/* 07/27/00 */
int sense_write_protected(struct tcmulib_cmd *lib);

/* Key, and ASC with ASCQ; PASSTHROUGH_ERR. */
int sense_set(struct tcmulib_cmd *lib, uint8_t key, uint16_t asc_ascq);

/* 05/24/00 that points at a bit of the CDB. */
int sense_invalid_field(struct tcmulib_cmd *lib, uint8_t byte, uint8_t bit);

/* 05/26/00 that points at a bit of the parameter list. */
int sense_invalid_parameter(struct tcmulib_cmd *lib, uint8_t byte, uint8_t bit);

/* 02 and this ASC and ASCQ. */
int sense_not_ready(struct tcmulib_cmd *lib, uint16_t asc_ascq);

/* 0E/1D/00 with the offset (bytes) of the first difference as information. */
int sense_miscompare(struct tcmulib_cmd *lib, uint64_t off);
