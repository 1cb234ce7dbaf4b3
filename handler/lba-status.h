/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* GET LBA STATUS: which blocks are stored somewhere in the chain. */
#pragma once

#include "handler/carry.h"

/* From the read callback (carry.h); length: bytes of the reply that the initiator takes; the reply
 * buffers are zeroed. A callback's status. */
int lba_status_start(Lun *lun, const Carried *carried);
