/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* What convert writes: a new raw file or image that reads as zeros where nothing is written. */
#pragma once

#include "cli/target.h"

typedef enum SinkFormat { SINK_RAW, SINK_FIXED, SINK_DYNAMIC } SinkFormat;

/* The text of an option's line in help. */
#define SINK_FORMAT_HELP "dynamic (default), fixed or raw"

/* One of those; NULL: dynamic. VHD_ERROR_INVALID. */
bool sink_parse_format(const char *text, SinkFormat *format, GError **error);

typedef struct Sink Sink;

/* A disk of bytes (VHD: rounded up to a sector) in target's file. block_bytes 0: the default.
 * target must outlive the sink. */
Sink *sink_open(Target *target, SinkFormat format, uint64_t bytes, uint32_t block_bytes,
                GError **error);

/* off is a multiple of 512; len too, but at the disk's end, where buf holds zeros up to the next.
 * 0 or -errno. */
int sink_write(Sink *sink, uint64_t off, const uint8_t *buf, size_t len);

/* All of it is written: make it last. 0 or -errno. */
int sink_finish(Sink *sink);

/* After target_publish. NULL is fine. */
void sink_close(Sink *sink);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Sink, sink_close)
