/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * A file after a barrier has failed: the kernel still shows what was written, in pages that it
 * counts as clean, but the disk never got some of it. What is read comes from the cache until the
 * range is dropped from it; what is written from now on reaches both.
 */
#pragma once

#include "tests/support/mem-file.h"

/* Both are the caller's; disk gets the length of cache. */
VhdFile *cached_file_new(MemImage *disk, MemImage *cache);
