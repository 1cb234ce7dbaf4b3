/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * Counts every call for memory in the process: the program's malloc and kin stand before those of
 * the C library, for shared objects too.  GLib's slices come from malloc only with
 * G_SLICE=always-malloc.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* False in builds with a sanitizer, which has a malloc of its own. */
bool allocations_can_count(void);
/* Since the start of the process. */
uint64_t allocations_count(void);
