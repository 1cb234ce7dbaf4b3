/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* Where a file may lie. */
#pragma once

#include <stdbool.h>

/* Whether folder is one of allowed, or below one (real paths, NULL-terminated; NULL: anywhere). */
bool vhd_folder_allowed(const char *folder, const char *const *allowed);
