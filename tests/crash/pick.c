/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "tests/crash/pick.h"

/* The same for the same question, so that two choosers can agree. */
static uint64_t chance(const Pick *pick, uint64_t a, uint64_t b)
{
    Rng rng = {pick->bits ^ a * UINT64_C(0x9E3779B97F4A7C15) ^ b * UINT64_C(0xD6E8FEB86659FD93)};

    return rng_next(&rng);
}

bool pick_choose(const TraceEntry *entry, uint64_t sector, void *data)
{
    Pick *pick = data;

    switch (pick->way) {
    case PICK_MASK:
        return pick->bits >> pick->at++ & 1;
    case PICK_OPERATIONS:
        return chance(pick, entry->begin, 0) & 1;
    case PICK_KINDS:
        return chance(pick, (uint64_t)(entry->kind + 1), 1) & 1;
    case PICK_ONE:
        return entry->begin == pick->operation;
    case PICK_ALL_BUT_ONE:
        return entry->begin != pick->operation;
    case PICK_UP_TO:
        return entry->begin <= pick->operation;
    case PICK_RETURNED:
        return entry->end ? entry->result == 0 || chance(pick, entry->begin, sector) & 1
                          : chance(pick, entry->begin, sector) & 1;
    default:
        return chance(pick, entry->begin, sector) & 1;
    }
}

char *pick_describe(const Pick *pick)
{
    static const char *const names[PICK_WAYS] = {
        "subset",         "random sectors",    "random operations", "random kinds",
        "only operation", "all but operation", "operations up to",  "what had returned"};

    return g_strdup_printf("%s %" G_GUINT64_FORMAT, names[pick->way],
                           pick->way >= PICK_ONE && pick->way <= PICK_UP_TO ? pick->operation
                                                                            : pick->bits);
}
