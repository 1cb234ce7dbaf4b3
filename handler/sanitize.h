/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * SANITIZE and FORMAT UNIT: every block of the disk gets other content, and all of it is on stable
 * storage when the command ends; until then, others that need the medium are refused
 * (lun_not_ready). Statuses are TCMU_STS_*.
 */
#pragma once

#include "handler/carry.h"

struct tcmulib_cmd;

/* In handle_cmd: whether the parameter list of an OVERWRITE (length bytes, as the CDB says) can be
 * obeyed. */
int sanitize_check(struct tcmulib_cmd *lib, size_t length);

/*
 * From the read callback (carry.h). length: bytes of the list; 0: none, zeros. Zeros take no space
 * where there is no parent to hide, and give back what was taken; any other pattern fills the
 * image, as the initiator demands.
 */
int sanitize_start(Lun *lun, const Carried *carried);

/* All of it becomes zero in the same way. */
int sanitize_start_format(Lun *lun, const Carried *carried);
