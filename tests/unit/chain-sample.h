/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* Image files in a folder of their own, for the tests of what spans several files. Helpers end the
 * test on failure. */
#pragma once

#include <glib.h>

#include "vhd/format.h"
#include "vhd/image-create.h"

#define SAMPLE_BYTES (UINT64_C(1) << 20)

/* What to make; zero means: dynamic, SAMPLE_BYTES, blocks of 64 KiB, paths that lead nowhere. */
typedef struct Sample {
    VhdType type;
    uint64_t bytes;
    uint32_t block_bytes;
    uint8_t uuid;    /* of 16 equal bytes */
    uint8_t parent;  /* uuid of the parent; then it is a differencing image */
    bool raw_parent; /* differencing, with an all-zero parent uuid */
    uint32_t stamp;
    const char *relative, *absolute, *name; /* with '/' */
} Sample;

/* A new folder (a real path), and its end with all that is in it. */
char *sample_folder_new(void);
void sample_folder_free(char *folder);

/* FOLDER/NAME; folders in name are made. Caller frees the path. */
char *sample_make(const char *folder, const char *name, const Sample *sample);

/* A file of bytes that are all value. */
char *sample_raw(const char *folder, const char *name, size_t bytes, uint8_t value);

/* A chain of depth layers with the uuids 1, 2 and on, child first: NAME-0.vhd, NAME-1.vhd. Returns
 * the child's path. */
char *sample_chain(const char *folder, const char *name, unsigned depth);

/* Change one byte of a file; whence as for lseek. */
void sample_poke(const char *path, int64_t off, int whence, uint8_t value);

/* Lines "LEVEL text", for VhdChainOptions.log and VhdDiskOptions.log; data is a GString. */
void sample_log(void *data, int level, const char *text);
