/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* What convert, compare and measure read: an image with its ancestors, or a raw file or block
 * device. */
#pragma once

#include "vhd/chain-run.h"

typedef enum SourceFormat { SOURCE_DETECT, SOURCE_RAW, SOURCE_VPC } SourceFormat;

/* The text of an option's line in help, for the image called so. */
#define SOURCE_FORMAT_HELP(operand)                                                                \
    "What " operand " is, raw or vpc (default: vpc where there is a VHD's footer)"

/* "raw" or "vpc"; NULL: SOURCE_DETECT. VHD_ERROR_INVALID. */
bool source_parse_format(const char *text, SourceFormat *format, GError **error);

typedef struct Source Source;

/* SOURCE_DETECT: an image if there is a VHD's footer, good or bad, at its end or its beginning. */
Source *source_open(const char *path, SourceFormat format, bool unlocked, GError **error);

/* Standard input, a pipe: a raw disk, kept beside the path near as long as the source is open. What
 * looks like a VHD there is refused unless format is SOURCE_RAW: a VHD is not read in one go. */
Source *source_open_stdin(const char *near, SourceFormat format, GError **error);
void source_close(Source *source); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Source, source_close)

uint64_t source_bytes(const Source *source);  /* of a raw file: no multiple of 512, perhaps */
VhdChain *source_chain(const Source *source); /* a raw file is a chain of one layer */

/* The run at start (a multiple of 512, below the size). 0 or -errno. */
int source_run(Source *source, uint64_t start, VhdChainRun *run);

/* len bytes of a run that is not zero, from skip on. 0 or -errno. */
int source_read(Source *source, const VhdChainRun *run, uint64_t skip, void *buf, size_t len);
