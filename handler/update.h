/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* What changes blocks in another way than by writing data over them. From the read callback
 * (carry.h); callbacks' statuses. */
#pragma once

#include "handler/carry.h"

/* length blocks become zero. */
int update_start_zero(Lun *lun, const Carried *carried);

/* length blocks are written if they are what the first half of the buffers holds; no other write
 * comes in between. */
int update_start_compare(Lun *lun, const Carried *carried);

/* length blocks get the bits that are set in the buffers; no other write comes in between. */
int update_start_or(Lun *lun, const Carried *carried);
