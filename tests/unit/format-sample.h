/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * A small image in memory for the tests of the format's rooms, laid out as Windows 10 lays out a
 * child of 40 MiB: footer copy, header at 512, absolute locator at 4096, BAT at 8192, relative
 * locator at 12288 with 64 KiB of space, footer at 81408. No block is present.
 */
#pragma once

#include <glib.h>

#include "vhd/format.h"
#include "vhd/layout.h"

#define SAMPLE_BYTES      81920u
#define SAMPLE_FOOTER_OFF (SAMPLE_BYTES - VHD_FOOTER_BYTES)
#define SAMPLE_HEADER_OFF 512u
#define SAMPLE_FILE       "/srv/a.vhd"

VhdFooter sample_footer(void);
VhdHeader sample_header(void);

/* Both footers and the header of the sample; all else is zero. */
void sample_fill(uint8_t image[static SAMPLE_BYTES]);

/* Make the checksums of both footers and of the header at SAMPLE_HEADER_OFF right. */
void sample_fix_checksums(uint8_t image[static SAMPLE_BYTES]);

/* Decode and judge the image of which the first len bytes are there, as who opens it would. NULL if
 * all is well, else the whole sentence; caller frees. layout may be NULL. */
char *sample_judge(const uint8_t *image, size_t len, VhdLayout *layout);
