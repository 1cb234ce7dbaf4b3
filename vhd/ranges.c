/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "vhd/ranges.h"

#include <stddef.h>

static bool overlap(uint64_t a, uint64_t a_end, uint64_t b, uint64_t b_end)
{
    return a < b_end && b < a_end;
}

/* True if both touch one block. */
static bool share_block(const VhdRanges *ranges, const VhdRange *a, const VhdRange *b)
{
    uint64_t unit = ranges->block_sectors ? ranges->block_sectors : 1;

    return overlap(a->sector / unit, (a->sector + a->sectors - 1) / unit + 1, b->sector / unit,
                   (b->sector + b->sectors - 1) / unit + 1);
}

static bool reads(const VhdRange *range)
{
    return range->kind == VHD_RANGE_READ || range->kind == VHD_RANGE_UPDATE;
}

static bool conflict(const VhdRanges *ranges, const VhdRange *a, const VhdRange *b)
{
    if (a->kind != VHD_RANGE_READ && b->kind != VHD_RANGE_READ &&
        overlap(a->sector, a->sector + a->sectors, b->sector, b->sector + b->sectors))
        return true;
    return ((reads(a) && b->kind == VHD_RANGE_UNMAP) || (reads(b) && a->kind == VHD_RANGE_UNMAP)) &&
           share_block(ranges, a, b);
}

bool vhd_ranges_add(VhdRanges *ranges, VhdRange *range)
{
    range->waits = 0;
    for (VhdRange *earlier = ranges->first; earlier; earlier = earlier->next)
        range->waits += conflict(ranges, earlier, range);
    range->prev = ranges->last;
    range->next = NULL;
    *(ranges->last ? &ranges->last->next : &ranges->first) = range;
    ranges->last = range;
    return range->waits == 0;
}

void vhd_ranges_remove(VhdRanges *ranges, VhdRange *range,
                       void (*runnable)(VhdRange *range, void *data), void *data)
{
    for (VhdRange *later = range->next; later; later = later->next)
        if (conflict(ranges, range, later) && --later->waits == 0)
            runnable(later, data);
    *(range->prev ? &range->prev->next : &ranges->first) = range->next;
    *(range->next ? &range->next->prev : &ranges->last) = range->prev;
    range->prev = range->next = NULL;
}
