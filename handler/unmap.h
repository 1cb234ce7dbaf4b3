/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* UNMAP: a list of ranges that the initiator does not need any more. */
#pragma once

#include "handler/carry.h"

struct tcmulib_cmd;

/* In handle_cmd: look at the parameter list. TCMU_STS_OK: *ranges of it are to be unmapped (0: done
 * already); else the error. */
int unmap_check(const Lun *lun, struct tcmulib_cmd *lib, unsigned *ranges);

/* From the read callback (carry.h), after unmap_check; length: bytes of the parameter list. A
 * callback's status. */
int unmap_start(Lun *lun, const Carried *carried);
