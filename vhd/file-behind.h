/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* What is written in order goes to the device meanwhile, not all at the barrier. */
#pragma once

#include "vhd/file.h"

#define VHD_FILE_BEHIND_BYTES (8u << 20)
#define VHD_FILE_BEHIND_GAP   (64u << 10) /* of what is in order, such as a bitmap between blocks */

typedef struct VhdFileBehind {
    uint64_t start, end; /* written, and not sent on; {0} at first */
} VhdFileBehind;

/* [off, off+len) of file has been written. */
static inline void vhd_file_behind(VhdFileBehind *behind, VhdFile *file, uint64_t off, uint64_t len)
{
    if (off < behind->end || off - behind->end > VHD_FILE_BEHIND_GAP)
        behind->start = off;
    behind->end = off + len;
    if (behind->end - behind->start < VHD_FILE_BEHIND_BYTES)
        return;
    vhd_file_hint(file, VHD_FILE_WRITE_OUT, behind->start, behind->end - behind->start);
    behind->start = behind->end;
}
