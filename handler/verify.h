/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* VERIFY: blocks are read and, where there is data, compared with it; nothing is ever written. */
#pragma once

#include "handler/lun.h"

struct iovec;
struct tcmur_cmd;

/* From the read callback (carry.h). off, len: bytes of the disk; iov: len bytes to compare with, or
 * iov_cnt 0. A callback's status. */
int verify_start(Lun *lun, struct tcmur_cmd *cmd, uint64_t off, uint64_t len,
                 const struct iovec *iov, size_t iov_cnt);
