/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * From a child's locators to its parent's file: the only code that turns bytes of an image into a
 * path to open. Candidates, in order: W2ru against the child's folder; W2ku and MacX (as written,
 * then by base name in the child's folder); the name field likewise; then by base name in the
 * folders of the parents option. The child's folder is that of the file opened, links followed;
 * "." and ".." are resolved in the text. One counts only if it is a VHD whose uuid equals the
 * child's parent uuid (16 raw bytes); the time stamp only informs.
 */
#pragma once

#include "vhd/image.h"

typedef struct VhdResolveRules {
    bool confined; /* follow a parent only into folders (the handler); else anywhere (vhdctl) */
    /* Real paths, NULL-terminated: the first child's folder, then those of parents. */
    const char *const *folders;
    const char *const *parents; /* looked into by base name too; NULL-terminated, may be NULL */
    bool raw_parent; /* an all-zero parent uuid may be answered by a raw file in parents */
} VhdResolveRules;

/* Open the parent of child (a differencing image): its file, read-only, judged by its uuid alone
 * (compared through the footer, without locks). *raw is set where the answer is a raw file. NULL:
 * VHD_ERROR_PARENT, with every path tried and why each was turned down; where confinement alone
 * turned one down, the sentence names the parents= option that would allow it. Caller closes the
 * file. */
VhdFile *vhd_resolve_parent(VhdImage *child, const VhdResolveRules *rules, bool *raw,
                            GError **error);
