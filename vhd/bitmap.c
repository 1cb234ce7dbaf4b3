/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "vhd/bitmap.h"

#include <string.h>

/* The bits of byte number `byte` that lie in [start, end), which touches that byte. */
static uint8_t mask_in_byte(uint32_t byte, uint32_t start, uint32_t end)
{
    unsigned mask = 0xFF;

    if (byte == start / 8)
        mask &= 0xFFu >> start % 8;
    if (byte == end / 8)
        mask &= ~(0xFFu >> end % 8);
    return (uint8_t)mask;
}

static unsigned count_in_byte(unsigned byte)
{
    return (unsigned)__builtin_popcount(byte);
}

uint32_t bitmap_set(uint8_t *bits, uint32_t start, uint32_t count)
{
    uint32_t end = start + count, fresh = 0;

    for (uint32_t at = start; at < end; at = (at | 7) + 1) {
        uint8_t mask = mask_in_byte(at / 8, start, end);

        fresh += count_in_byte(mask & (unsigned)~bits[at / 8]);
        bits[at / 8] |= mask;
    }
    return fresh;
}

void bitmap_clear(uint8_t *bits, uint32_t start, uint32_t count)
{
    uint32_t end = start + count;

    for (uint32_t at = start; at < end; at = (at | 7) + 1)
        bits[at / 8] &= (uint8_t)~mask_in_byte(at / 8, start, end);
}

/* From bit at, a multiple of 8, skip whole words, then whole bytes, of bits that equal value. */
static uint32_t skip_whole(const uint8_t *bits, uint32_t at, uint32_t limit, bool value)
{
    uint64_t all = value ? UINT64_MAX : 0, word;

    while (limit - at >= 64) {
        memcpy(&word, bits + at / 8, sizeof(word));
        if (word != all)
            break;
        at += 64;
    }
    while (limit - at >= 8 && bits[at / 8] == (uint8_t)all)
        at += 8;
    return at;
}

uint32_t bitmap_run(const uint8_t *bits, uint32_t start, uint32_t limit, bool *value)
{
    bool first = bitmap_get(bits, start);
    uint32_t at = start + 1;

    *value = first;
    while (at < limit && at % 8 != 0 && bitmap_get(bits, at) == first)
        at++;
    if (at % 8 == 0 && at < limit) {
        at = skip_whole(bits, at, limit, first);
        while (at < limit && bitmap_get(bits, at) == first)
            at++;
    }
    return at - start;
}

bool bitmap_all_set(const uint8_t *bits, uint32_t start, uint32_t count)
{
    bool value;

    return count == 0 || (bitmap_run(bits, start, start + count, &value) == count && value);
}

uint32_t bitmap_count(const uint8_t *bits, uint32_t count)
{
    uint32_t set = 0, at = 0;
    uint64_t word;

    for (; count - at >= 64; at += 64) {
        memcpy(&word, bits + at / 8, sizeof(word));
        set += (uint32_t)__builtin_popcountll(word);
    }
    for (; at < count; at = (at | 7) + 1)
        set += count_in_byte(bits[at / 8] & (unsigned)mask_in_byte(at / 8, 0, count));
    return set;
}
