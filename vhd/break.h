/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * Rules that the crash test breaks, one at a time, to show that it would notice (tests/crash). In
 * every other build VHD_BROKEN is false and leaves nothing behind.
 */
#pragma once

#ifdef VHD_BREAK

typedef enum VhdBreak {
    VHD_BREAK_NOTHING,
    VHD_BREAK_DATA_BARRIER,   /* none between data and the metadata that name them */
    VHD_BREAK_LAST_BARRIER,   /* none behind the metadata */
    VHD_BREAK_PLAIN_BARRIER,  /* none where no metadata are dirty */
    VHD_BREAK_NEW_BITMAP,     /* of a new block: written with the BAT, not before it */
    VHD_BREAK_LATE_COPY,      /* stage 2 writes bits set since stage 1 began */
    VHD_BREAK_FLUSH_JOIN,     /* a flush is satisfied by one that began before it came */
    VHD_BREAK_STAYS_NEW,      /* a block whose BAT entry was handed to a write */
    VHD_BREAK_FOOTER_CLAIM,   /* no space claimed for the footer behind a new block */
    VHD_BREAK_LIMBO,          /* space is free before the removal of its entry is durable */
    VHD_BREAK_SLOT_TWICE,     /* is given to two blocks */
    VHD_BREAK_STALE_SPACE,    /* is not zeroed for its next use */
    VHD_BREAK_BATMAP_CLEAR,   /* not cleared before a BAT entry goes */
    VHD_BREAK_BATMAP_EARLY,   /* set before the last flush */
    VHD_BREAK_CUT_EARLY,      /* shortened before the footer is written inside */
    VHD_BREAK_LOG_BITS,       /* bits are not in the pending log */
    VHD_BREAK_LOG_BLOCK,      /* new entries are not in the pending log */
    VHD_BREAK_LOG_DROP_EARLY, /* emptied before what it says is durable */
    VHD_BREAK_REPLAY_FORGETS, /* the log is emptied before what was replayed is durable */
    VHD_BREAK_POISON,         /* a failed barrier is forgotten */
    VHD_BREAK_OPEN_SYNC,      /* opening believes what is cached */
    VHD_BREAK_COPY_RESTORE,   /* a bad footer at 0 stays */
    VHD_BREAK_LENGTH,         /* a file without its footer is taken for as long as one with it */
    VHD_BREAK_PUBLISH,        /* a new file gets its name before it is synced */
    VHD_BREAK_PARENT_SYNC,    /* parents are not synced */
    VHD_BREAKS
} VhdBreak;

extern VhdBreak vhd_break;

#define VHD_BROKEN(rule) (vhd_break == VHD_BREAK_##rule)

#else

#define VHD_BROKEN(rule) 0

#endif
