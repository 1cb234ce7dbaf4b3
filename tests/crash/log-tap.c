/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "tests/crash/log-tap.h"

#include <glib/gstdio.h>
#include <string.h>

struct LogTap {
    char *path;
    VhdPendingStore *store; /* the same file mapped once more; NULL: not there yet */
    GArray *states;         /* LogState, by event; one an event at which it had changed */
    uint64_t tail;          /* of the last state */
    unsigned room;
};

static void clear_state(void *state)
{
    GArray *records = ((LogState *)state)->records;

    if (records)
        g_array_unref(records);
}

LogTap *log_tap_new(MemImage *image, const uint8_t uuid[16], const char *folder)
{
    LogTap *tap = g_new0(LogTap, 1);
    g_autoptr(VhdFile) file = mem_file_open(image, "tapped", false);
    VhdPendingBase base = {.file_bytes = 0};

    memcpy(base.uuid, uuid, sizeof base.uuid);
    vhd_pending_store_identify(file, &base);
    tap->path = vhd_pending_store_path(&base, folder);
    tap->states = g_array_new(FALSE, FALSE, sizeof(LogState));
    g_array_set_clear_func(tap->states, clear_state);
    return tap;
}

void log_tap_free(LogTap *tap)
{
    if (!tap)
        return;
    vhd_pending_store_close(tap->store, false);
    g_array_unref(tap->states);
    g_free(tap->path);
    g_free(tap);
}

static bool add_record(const VhdPendingRecord *record, void *data)
{
    g_array_append_val((GArray *)data, *record);
    return true;
}

/* What counts in the log, read while others may append to it or drop from it. */
static bool read_log(const VhdPending *log, LogState *state)
{
    VhdPendingBase again;
    bool valid;

    do {
        if (!vhd_pending_valid(log, &state->base))
            return false;
        g_array_set_size(state->records, 0);
        vhd_pending_each(log, add_record, state->records);
        valid = vhd_pending_valid(log, &again);
    } while (!valid || memcmp(&again, &state->base, sizeof again) != 0);
    return true;
}

static bool is_open(LogTap *tap)
{
    if (!tap->store && g_access(tap->path, F_OK) == 0)
        tap->store = vhd_pending_store_open(tap->path, false, NULL, NULL);
    return tap->store != NULL;
}

static bool has_changed(const LogTap *tap)
{
    const VhdPending *log = vhd_pending_store_log(tap->store);
    const LogState *last;
    VhdPendingBase base;

    if (tap->states->len == 0 || vhd_pending_tail(log) != tap->tail ||
        vhd_pending_room(log) != tap->room)
        return true;
    last = &g_array_index(tap->states, LogState, tap->states->len - 1);
    return !last->records || !vhd_pending_valid(log, &base) ||
           memcmp(&base, &last->base, sizeof base) != 0;
}

void log_tap_witness(uint64_t event, void *data)
{
    LogTap *tap = data;
    LogState state = {.event = event};

    if (!is_open(tap) || !has_changed(tap))
        return;
    tap->tail = vhd_pending_tail(vhd_pending_store_log(tap->store));
    tap->room = vhd_pending_room(vhd_pending_store_log(tap->store));
    state.records = g_array_new(FALSE, FALSE, sizeof(VhdPendingRecord));
    if (!read_log(vhd_pending_store_log(tap->store), &state))
        g_clear_pointer(&state.records, g_array_unref);
    g_array_append_val(tap->states, state);
}

const LogState *log_tap_at(const LogTap *tap, uint64_t event)
{
    const LogState *found = NULL;

    for (guint i = 0; i < tap->states->len; i++) {
        const LogState *state = &g_array_index(tap->states, LogState, i);

        if (state->event > event)
            break;
        found = state;
    }
    return found;
}

void log_tap_fill(LogTap *tap, const VhdPendingRecord *record, unsigned room)
{
    if (!is_open(tap))
        return;
    while (vhd_pending_room(vhd_pending_store_log(tap->store)) > room)
        vhd_pending_append(vhd_pending_store_log(tap->store), record);
}

void log_state_write(const LogState *state, const char *folder)
{
    g_autofree char *path = NULL;
    VhdPendingStore *store;

    if (!state || !state->records)
        return;
    path = vhd_pending_store_path(&state->base, folder);
    store = vhd_pending_store_open(path, true, NULL, NULL);
    if (!store)
        g_error("%s: cannot be made", path);
    vhd_pending_format(vhd_pending_store_log(store), &state->base);
    for (guint i = 0; i < state->records->len; i++)
        vhd_pending_append(vhd_pending_store_log(store),
                           &g_array_index(state->records, VhdPendingRecord, i));
    vhd_pending_store_close(store, false);
}

void log_folder_clear(const char *folder)
{
    GDir *dir = g_dir_open(folder, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(folder, name, NULL);

        g_unlink(path);
    }
    if (dir)
        g_dir_close(dir);
}
