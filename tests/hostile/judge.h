/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * What must hold of an image whatever its bytes are: it is judged, opened, mapped, read and written
 * in a bounded number of file operations and with no more memory than its size justifies; what is
 * refused is refused in one sentence that names it; what is served lies inside the file and off its
 * metadata; what check finds nothing wrong with opens, and is as good after it was written to.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct JudgeCounts {
    unsigned images, refused, read_only, clean;
    size_t memory_most;       /* beyond what was held before, bytes */
    uint64_t operations_most; /* on the file, for one image */
} JudgeCounts;

/* len bytes as an image. On failure what is said has about, a text, in it. */
void judge_image(const uint8_t *bytes, size_t len, const char *about, JudgeCounts *counts);
