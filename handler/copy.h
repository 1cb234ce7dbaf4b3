/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* EXTENDED COPY within the LUN: the parameter list of the form LID1 (SPC-3), and the copying. */
#pragma once

#include "handler/carry.h"

enum {
    COPY_TARGETS = 2,                  /* descriptors, */
    COPY_SEGMENTS = 8,                 /* that one list may have, */
    COPY_LIST_BYTES = 2 * 32 + 8 * 28, /* with so many bytes together */
    COPY_TARGET_TYPE = 0xe4,           /* identification */
    COPY_SEGMENT_TYPE = 0x02,          /* from block device to block device */
};

struct tcmulib_cmd;

/* In handle_cmd: look at the parameter list of length bytes. TCMU_STS_OK: *segments of it are to be
 * copied; else the error. */
int copy_check(const Lun *lun, struct tcmulib_cmd *lib, size_t length, unsigned *segments);

/* What became of the latest copy with this list identifier that asked to keep it. False: nothing is
 * known. */
bool copy_find(Lun *lun, uint8_t list_id, CopyRecord *record);

/* From the read callback (carry.h), after copy_check; length: as there. A callback's status. */
int copy_start(Lun *lun, const Carried *carried);
