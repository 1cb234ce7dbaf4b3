/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* VERIFY: blocks are read and, where there is data, compared with it; WRITE AND VERIFY: likewise,
 * after they were written. From the read callback (carry.h); length: blocks; callbacks' statuses.
 */
#pragma once

#include "handler/carry.h"

/* Nothing is ever written. */
int verify_start(Lun *lun, const Carried *carried);
int verify_start_same(Lun *lun, const Carried *carried); /* all with the one block in the buffers */

/* Write through to stable storage, then read back: comparing or not. */
int verify_start_written(Lun *lun, const Carried *carried);
int verify_start_compared(Lun *lun, const Carried *carried);
