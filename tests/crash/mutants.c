/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "tests/crash/mutants.h"

#include <string.h>

#include "vhd/break.h"

#ifdef VHD_BREAK

#define INVARIANT(n) (1u << (n))

VhdBreak vhd_break;

static const Mutant mutants[] = {
    {"data-barrier", VHD_BREAK_DATA_BARRIER, INVARIANT(2) | INVARIANT(3)},
    {"last-barrier", VHD_BREAK_LAST_BARRIER, INVARIANT(8)},
    {"plain-barrier", VHD_BREAK_PLAIN_BARRIER, INVARIANT(8)},
    {"new-bitmap", VHD_BREAK_NEW_BITMAP, INVARIANT(2)},
    {"late-copy", VHD_BREAK_LATE_COPY, INVARIANT(2) | INVARIANT(3)},
    {"flush-join", VHD_BREAK_FLUSH_JOIN, INVARIANT(8)},
    {"stays-new", VHD_BREAK_STAYS_NEW, INVARIANT(2) | INVARIANT(3)},
    {"footer-claim", VHD_BREAK_FOOTER_CLAIM, INVARIANT(2)},
    {"limbo", VHD_BREAK_LIMBO, INVARIANT(11)},
    {"slot-twice", VHD_BREAK_SLOT_TWICE, INVARIANT(4)},
    {"stale-space", VHD_BREAK_STALE_SPACE, INVARIANT(9) | INVARIANT(11)},
    {"batmap-clear", VHD_BREAK_BATMAP_CLEAR, INVARIANT(12)},
    {"batmap-early", VHD_BREAK_BATMAP_EARLY, INVARIANT(12)},
    {"cut-early", VHD_BREAK_CUT_EARLY, INVARIANT(5)},
    {"log-bits", VHD_BREAK_LOG_BITS, INVARIANT(10)},
    {"log-block", VHD_BREAK_LOG_BLOCK, INVARIANT(10)},
    {"log-drop-early", VHD_BREAK_LOG_DROP_EARLY, INVARIANT(10)},
    {"replay-forgets", VHD_BREAK_REPLAY_FORGETS, INVARIANT(10)},
    {"poison", VHD_BREAK_POISON, INVARIANT(7)},
    {"open-sync", VHD_BREAK_OPEN_SYNC, INVARIANT(7)},
    {"copy-restore", VHD_BREAK_COPY_RESTORE, INVARIANT(1)},
    {"length", VHD_BREAK_LENGTH, INVARIANT(5) | INVARIANT(9)},
    {"publish", VHD_BREAK_PUBLISH, INVARIANT(1)},
    {"parent-sync", VHD_BREAK_PARENT_SYNC, INVARIANT(6)},
};

unsigned mutants_count(void)
{
    return sizeof mutants / sizeof mutants[0];
}

const Mutant *mutants_at(unsigned i)
{
    return &mutants[i];
}

bool mutants_choose(const char *name)
{
    for (unsigned i = 0; i < mutants_count(); i++)
        if (strcmp(mutants[i].name, name) == 0) {
            vhd_break = (VhdBreak)mutants[i].rule;
            return true;
        }
    return false;
}

#else

unsigned mutants_count(void)
{
    return 0;
}

const Mutant *mutants_at(unsigned i)
{
    (void)i;
    return NULL;
}

bool mutants_choose(const char *name)
{
    (void)name;
    return false;
}

#endif
