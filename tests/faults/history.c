/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "tests/faults/history.h"

#include <glib.h>
#include <string.h>

#define NO_VALUE 64u

void history_init(History *history, unsigned sectors)
{
    history->sectors = sectors;
    history->live = g_new(uint64_t, sectors);
    history->durable = g_new(uint64_t, sectors);
    history_set(history, 0, sectors, 0);
}

void history_clear(History *history)
{
    g_clear_pointer(&history->live, g_free);
    g_clear_pointer(&history->durable, g_free);
}

void history_copy(History *history, const History *from)
{
    memcpy(history->live, from->live, from->sectors * sizeof(uint64_t));
    memcpy(history->durable, from->durable, from->sectors * sizeof(uint64_t));
}

void history_set(History *history, unsigned sector, unsigned count, unsigned value)
{
    for (unsigned i = sector; i < sector + count; i++)
        history->live[i] = history->durable[i] = UINT64_C(1) << value;
}

static void change(History *history, unsigned sector, uint64_t set, bool ok, bool fua)
{
    history->live[sector] = ok ? set : history->live[sector] | set;
    history->durable[sector] = ok && fua ? set : history->durable[sector] | set;
}

void history_write(History *history, unsigned sector, unsigned count, unsigned value, bool ok,
                   bool fua)
{
    for (unsigned i = sector; i < sector + count; i++)
        change(history, i, UINT64_C(1) << value, ok, fua);
}

void history_unmap(History *history, unsigned sector, unsigned count, uint64_t parents, bool ok,
                   bool fua)
{
    for (unsigned i = sector; i < sector + count; i++) {
        uint64_t kept = history->live[i] & parents, gone = history->live[i] & ~parents;

        change(history, i, kept | (gone ? 1 : 0), ok, fua);
    }
}

void history_flush(History *history)
{
    memcpy(history->durable, history->live, history->sectors * sizeof(uint64_t));
}

void history_fill(uint8_t *data, unsigned count, unsigned value)
{
    memset(data, (int)(value * 3), (size_t)count * HISTORY_SECTOR);
}

/* The value that all of a sector has, or NO_VALUE. */
static unsigned value_of(const uint8_t *data)
{
    bool alike = memcmp(data, data + 1, HISTORY_SECTOR - 1) == 0;

    return alike && data[0] % 3 == 0 && data[0] / 3 < NO_VALUE ? data[0] / 3 : NO_VALUE;
}

int history_find_wrong(const uint64_t *sets, const uint8_t *data, unsigned sector, unsigned count,
                       unsigned *found)
{
    for (unsigned i = 0; i < count; i++) {
        *found = value_of(data + (size_t)i * HISTORY_SECTOR);
        if (*found == NO_VALUE || !(sets[sector + i] >> *found & 1))
            return (int)(sector + i);
    }
    return -1;
}
