/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * The config string of a LUN: "vhd/" and the absolute path of an image, then options, each behind
 * a semicolon. Pure: text in, a structure or one sentence out; no file is looked at. Used by the
 * handler and by vhdctl, so nothing of the plug-in interface may be named here.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "vhd/disk.h"

#define CFGSTRING_MAX_BYTES 255 /* what the kernel keeps, "vhd/" included */
#define CFGSTRING_MAX_DEPTH 256 /* layers */

typedef struct CfgString {
    char *path; /* absolute */
    bool read_only;
    bool force_write;
    GPtrArray *parents; /* of char *, absolute folders, NULL at the end */
    VhdDiskCache cache;
    bool discard;
    bool raw_parent;
    unsigned max_depth; /* 1 to CFGSTRING_MAX_DEPTH */
    bool lock;
} CfgString;

/* VHD_ERROR_INVALID: a sentence that names the mistake and what to write instead. */
CfgString *cfgstring_parse(const char *text, GError **error);
void cfgstring_free(CfgString *config); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CfgString, cfgstring_free)

/* How the handler opens that disk: confined to the folders named. Borrows from config. The log
 * members are left zero. */
void cfgstring_disk_options(const CfgString *config, VhdDiskOptions *options);

/* The options as text, defaults of cache and discard included: "cache=writeback,discard=on,ro".
 * Caller frees. */
char *cfgstring_options_text(const CfgString *config);

/* Whether both say the same, whatever the order of their options. */
bool cfgstring_equal(const CfgString *a, const CfgString *b);
