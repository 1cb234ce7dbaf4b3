/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* What convert writes: a new raw file or image that reads as zeros where nothing is written; a
 * block device, which has to be given its zeros; or standard output, all in order. */
#pragma once

#include "cli/target.h"

typedef enum SinkFormat { SINK_RAW, SINK_FIXED, SINK_DYNAMIC } SinkFormat;

/* The text of an option's line in help. */
#define SINK_FORMAT_HELP "dynamic (default), fixed or raw"

/* One of those; NULL: dynamic. VHD_ERROR_INVALID. */
bool sink_parse_format(const char *text, SinkFormat *format, GError **error);

typedef struct Sink Sink;

/* A disk of bytes (VHD: rounded up to a sector) in target's file; a device may be larger. target
 * NULL: standard output, SINK_RAW. block_bytes 0: the default. target must outlive the sink. */
Sink *sink_open(Target *target, SinkFormat format, uint64_t bytes, uint32_t block_bytes,
                GError **error);

/* Whether sink_zero does anything. */
bool sink_wants_zeros(const Sink *sink);

/* Zeros of this size and alignment are worth a sink_zero of their own. */
size_t sink_zero_unit(const Sink *sink);

/* [off, off+len) is zeros. Standard output: off is where the last call ended. 0 or -errno. */
int sink_zero(Sink *sink, uint64_t off, uint64_t len);

/* off is a multiple of 512; len too, but at the disk's end, where buf holds zeros up to the next.
 * Standard output: off is where the last call ended. 0 or -errno; -EINTR: interrupted. */
int sink_write(Sink *sink, uint64_t off, const uint8_t *buf, size_t len);

/* All of it is written: make it last. 0 or -errno. */
int sink_finish(Sink *sink);

/* After target_publish. NULL is fine. */
void sink_close(Sink *sink);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Sink, sink_close)
