/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* Small images in memory, and ways to damage them, for the tests of check and repair. */
#pragma once

#include "tests/support/mem-file.h"
#include "vhd/format.h"

#define DISK_BYTES  (64u << 10)
#define BLOCK_BYTES 8192u
#define BLOCKS      (DISK_BYTES / BLOCK_BYTES)
#define BLOCK_SPAN  (BLOCK_BYTES + 512)
#define DYNAMIC_BAT 1536u /* where the block table lies */
#define CHILD_BAT   8192u

/* An empty image of DISK_BYTES, a differencing one with the parent /srv/p.vhd. */
MemImage *sample_make(VhdType type);

/* Blocks 0 to count-1 written whole, in this order. */
MemImage *sample_make_filled(VhdType type, unsigned count);

uint32_t sample_entry(MemImage *bytes, uint64_t bat, unsigned block);
void sample_set_entry(MemImage *bytes, uint64_t bat, unsigned block, uint32_t entry);

/* Change len bytes at field of the footer at off, or of the header, and make the checksum right. */
void sample_poke_footer(MemImage *bytes, uint64_t off, size_t field, const void *value, size_t len);
void sample_poke_header(MemImage *bytes, size_t field, const void *value, size_t len);

/* Where the footer at the end stands. */
uint64_t sample_end_footer(MemImage *bytes);
