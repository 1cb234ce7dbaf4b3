/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * The pending log of an image as it stood at each event of a trace, so that the death of the
 * process can be played at any of them; and logs made anew from that.
 */
#pragma once

#include "tests/support/mem-file.h"
#include "vhd/pending-store.h"

/* A log at one moment. */
typedef struct LogState {
    uint64_t event;
    VhdPendingBase base;
    GArray *records; /* VhdPendingRecord; NULL: there was no log, or none that counts */
} LogState;

typedef struct LogTap LogTap;

/* Taps the log of image, of the uuid given, in folder: it need not be there yet. */
LogTap *log_tap_new(MemImage *image, const uint8_t uuid[16], const char *folder);
void log_tap_free(LogTap *tap);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LogTap, log_tap_free)

/* A witness for trace_set_witness; data is the tap. */
void log_tap_witness(uint64_t event, void *data);

/* The log as it was just after event; NULL before the first. The tap's. */
const LogState *log_tap_at(const LogTap *tap, uint64_t event);

/* Append records that say what is so already, until no more than room fit. Nobody else may write
 * the log meanwhile. */
void log_tap_fill(LogTap *tap, const VhdPendingRecord *record, unsigned room);

/* Make the log in folder that state is of, for an image with the same inode number. */
void log_state_write(const LogState *state, const char *folder);

/* Remove all files in folder. */
void log_folder_clear(const char *folder);
