/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * Bits as VHD stores them: bit i is byte i/8, mask 0x80 >> (i%8), most significant first
 * (measured on Windows' differencing disks; the specification does not say). All positions and
 * counts are in bits; a bitmap is a plain byte array owned by the caller, who also locks it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool bitmap_get(const uint8_t *bits, uint32_t index)
{
    return bits[index / 8] & (0x80 >> index % 8);
}

/* Set bits [start, start+count). Returns how many of them were clear before. */
uint32_t bitmap_set(uint8_t *bits, uint32_t start, uint32_t count);

/* Clear bits [start, start+count). */
void bitmap_clear(uint8_t *bits, uint32_t start, uint32_t count);

/* Length of the run of equal bits that begins at start, at most limit - start; its value goes to
 * *value. start < limit. Never reads a byte beyond the one that holds bit limit-1. */
uint32_t bitmap_run(const uint8_t *bits, uint32_t start, uint32_t limit, bool *value);

/* True if all bits [start, start+count) are set. */
bool bitmap_all_set(const uint8_t *bits, uint32_t start, uint32_t count);

/* How many of the bits [0, count) are set. */
uint32_t bitmap_count(const uint8_t *bits, uint32_t count);
