/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* How the verbs open images: locked unless the user said -U, the pending log taken in, warnings on
 * stderr. */
#pragma once

#include "vhd/chain.h"

#define OPEN_LOCK_WAIT_MS 1000

/* The text of -U's line in help. */
#define OPEN_UNLOCKED_HELP "Look at an image that is in use, without locks"

/* The image at path with all its ancestors, read-only. */
VhdChain *open_chain(const char *path, bool unlocked, GError **error);

/* One image by its head (footers, header, locators), read-only; its BAT is not looked at. */
VhdImage *open_head(const char *path, bool unlocked, GError **error);

/* As vhd_resolve_parent, for vhdctl: any folder. The caller closes the file. */
VhdFile *open_parent_file(VhdImage *child, GError **error);
