/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* An image on its way to become a parent: how its child names it, and whether it can be one. */
#pragma once

#include "vhd/chain.h"
#include "vhd/op-rebase.h"

/* The parent's paths, as the child will name it. */
typedef struct ParentNames {
    char *absolute;   /* links resolved */
    char *relative;   /* from the child's folder */
    const char *name; /* in absolute */
} ParentNames;

/* Names of parent for a child at path child, judged: can the child's fields hold them, for Windows
 * too? */
bool parent_find_names(ParentNames *names, const char *parent, const char *child, GError **error);
void parent_names_clear(ParentNames *names);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ParentNames, parent_names_clear)

/* The parent with all below it, held against writers; what waits in its log is taken in. */
VhdChain *parent_open(const char *path, GError **error);

/* May it have a child? */
bool parent_judge(VhdChain *chain, GError **error);

/* What its child notes of parent, found under names, which stay the caller's. */
bool parent_link(VhdParentLink *link, VhdImage *parent, const ParentNames *names, GError **error);

/* When it was changed last, in seconds since 2000; 0 (nothing noted) outside what the field holds.
 */
uint32_t parent_time_stamp(const VhdFileInfo *info);
