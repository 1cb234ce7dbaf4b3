/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "tests/crash/cuts.h"
#include "vhd/format.h"

static bool is_change(const TraceEntry *entry)
{
    return entry->op == FILE_OP_WRITE || entry->op == FILE_OP_PUNCH ||
           entry->op == FILE_OP_RESIZE || entry->op == FILE_OP_CLAIM;
}

/* A file made shorter ends with a footer that is on the disk already. */
static bool shortening_kept(const Life *life, const TraceEntry *entry, Violation *violation)
{
    g_autoptr(MemImage) whole =
        trace_rebuild(life->opened.trace, 0, life->base, entry->begin - 1, trace_choose_all, NULL);
    g_autoptr(MemImage) certain =
        trace_rebuild(life->opened.trace, 0, life->base, entry->begin - 1, trace_choose_none, NULL);
    uint8_t raw[VHD_FOOTER_BYTES];
    VhdFooter footer;
    VhdFault fault;
    uint64_t off = entry->len - VHD_FOOTER_BYTES;

    if (entry->len >= mem_image_bytes(whole))
        return true;
    mem_image_read(certain, off, raw, sizeof raw);
    return vhd_footer_decode(raw, off, &footer, &fault) ||
           violate(violation, 5,
                   "the file is cut to %" G_GUINT64_FORMAT
                   " bytes before its footer there is on the disk",
                   entry->len);
}

bool laws_kept(const Life *life, Violation *violation)
{
    Trace *trace = life->opened.trace;
    uint64_t failed = UINT64_MAX; /* end of a failed barrier */

    for (size_t i = 0; i < trace_length(trace); i++) {
        const TraceEntry *entry = trace_entry(trace, i);

        if (entry->file != 0) {
            if (is_change(entry))
                return violate(violation, 6, "parent %u is written to", entry->file);
            continue;
        }
        if (is_change(entry) && entry->begin > failed && life->plan.threads == 1)
            return violate(violation, 7,
                           "the file is changed at %" G_GUINT64_FORMAT " after a barrier failed",
                           entry->off);
        if (entry->op == FILE_OP_BARRIER && entry->result < 0)
            failed = MIN(failed, entry->end);
        if (entry->op == FILE_OP_RESIZE && !shortening_kept(life, entry, violation))
            return false;
    }
    return true;
}
