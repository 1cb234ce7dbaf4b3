/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* UNMAP: a list of ranges that the initiator does not need any more. */
#pragma once

#include "handler/lun.h"

struct iovec;
struct tcmulib_cmd;
struct tcmur_cmd;

/* In handle_cmd: look at the parameter list. TCMU_STS_OK: *ranges of it are to be unmapped (0: done
 * already); else the error. */
int unmap_check(const Lun *lun, struct tcmulib_cmd *lib, unsigned *ranges);

/* From the read callback (carry.h), after unmap_check. A callback's status. */
int unmap_start(Lun *lun, struct tcmur_cmd *cmd, uint64_t off, uint64_t len,
                const struct iovec *iov, size_t iov_cnt);
