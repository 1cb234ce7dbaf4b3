/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * Changing what an image says of itself (size, BAT, parent) with no journal, no block moved, and
 * nothing in use rewritten in place (invariant 1). Control path: no request may be running.
 *
 *   write the new set behind the file's end           old image, longer
 *   barrier
 *   zeros over the trailing footer; barrier           old image, by the copy at 0
 *   rewrite the copy at 0, which points to the set    this commits: one sector
 *   barrier
 *   the new trailing footer                           new image
 *
 * Then once more in the same way, back to where the records were before as far as they fit there:
 * some readers look for the header at 0x200 only. What of the end is used no more is cut off, with
 * a footer inside it first (invariant 5).
 */
#pragma once

#include "vhd/image.h"

/* The image as it shall be. */
typedef struct VhdRelocation {
    VhdFooter footer;    /* data_offset is found by the relocation */
    VhdHeader header;    /* so is bat_offset; so are data_offset and data_space of new locators */
    const uint32_t *bat; /* header.bat_entries entries, host order; NULL: the BAT stays as it is */
    bool cut_leaks;      /* the file ends behind the last thing that is used, whatever lies there */
    bool new_locators;   /* in place of all that are there: their bytes, NULL for an empty slot */
    const uint8_t *locator[VHD_LOCATORS]; /* of header.locators[i].data_length bytes */
} VhdRelocation;

/* Begin with that of image. */
void vhd_relocation_init(VhdRelocation *relocation, const VhdImage *image);

/* Switch a dynamic or differencing image over to wanted: flushes and empties the pending log first,
 * then two passes as above. Whatever happens, the image must be closed afterwards: it takes no more
 * writes. 0; -errno where nothing was changed, or only the second pass failed: the file holds the
 * old image or the new one, never anything else. */
int vhd_image_relocate(VhdImage *image, const VhdRelocation *wanted);

/* Whether a relocation was cut off before its second pass: the header is not at 0x200 and could be.
 */
bool vhd_image_is_displaced(VhdImage *image);
