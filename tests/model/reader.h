/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * A second reader of VHD chains, written from the format's description alone and sharing no code
 * with the engine: what both read alike is not likely to be a mistake of one. Whole files in
 * memory, one sector at a time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Read the first sectors of the disk whose layers are paths[0..depth), child first. False: *why
 * tells (static text). */
bool reader_read(char *const *paths, unsigned depth, uint64_t sectors, uint8_t *out,
                 const char **why);

/* What must hold of one image at rest: good footers, alike where there are two; regions and blocks
 * that do not overlap; a batmap that claims no sector that is not there. */
bool reader_check(const char *path, const char **why);
