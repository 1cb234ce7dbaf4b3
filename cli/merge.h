/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * A chain opened to be merged: layer 0 and one of its ancestors for writing, the others for
 * reading, each file once, each locked for what is done to it.
 */
#pragma once

#include "vhd/chain.h"

typedef struct Merge {
    VhdChain *child;  /* from layer 0 down */
    VhdChain *target; /* from the ancestor down; shares its layers */
    unsigned layer;   /* the ancestor's number in child, at least 1 */
} Merge;

/* into NULL: the parent. An ancestor's protection is lifted while it is opened; that of layer 0
 * only if force. */
bool merge_open(Merge *merge, const char *path, const char *into, bool force, GError **error);
void merge_close(Merge *merge);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Merge, merge_close)

VhdImage *merge_child(const Merge *merge);
VhdImage *merge_target(const Merge *merge);
