/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* How the verbs open images: locked unless the user said -U, the pending log taken in, warnings on
 * stderr. One of them says of each image looked at without a lock who writes it meanwhile. */
#pragma once

#include "vhd/chain.h"

#define OPEN_LOCK_WAIT_MS 1000

/* The GOptionEntry of -U, for a gboolean at address. */
#define OPEN_UNLOCKED_OPTION(address)                                                              \
    {                                                                                              \
        "unlocked", 'U', 0, G_OPTION_ARG_NONE, address,                                            \
            "Look at an image that is in use, without locks", NULL                                 \
    }

/* The image at path with all its ancestors, read-only. */
VhdChain *open_chain(const char *path, bool unlocked, GError **error);

/* The image at path, for writing, with all its ancestors; alone: a chain of that one layer, whose
 * parents need not be there. A log that waits is taken in by closing (vhd_image_finish). force:
 * although it is write protected. */
VhdChain *open_for_change(const char *path, bool force, bool alone, GError **error);

/* Whether a log of unflushed writes waits for the image. Only then is it opened with one: what this
 * tool is killed at was promised to nobody. */
bool open_log_waits(const char *path, GError **error);

/* One image by its head (footers, header, locators), read-only; its BAT is not looked at. */
VhdImage *open_head(const char *path, bool unlocked, GError **error);

/* For what is looked at without a lock: if somebody writes it, a warning that names the process. */
void open_warn_of_writer(VhdFile *file);

/* As vhd_resolve_parent, for vhdctl: any folder. The caller closes the file. */
VhdFile *open_parent_file(VhdImage *child, GError **error);
