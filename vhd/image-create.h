/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * New images, laid out as Windows 10 does it (measured; docs/format.md): footer copy, header at
 * 0x200, BAT, footer in the last sector of the file, whose length is a multiple of 4096; a
 * differencing image has W2ku at 0x1000, BAT at 0x2000, W2ru behind it.
 */
#pragma once

#include "vhd/file.h"
#include "vhd/format.h"

typedef struct VhdCreate {
    VhdType type;
    uint64_t disk_bytes;  /* multiple of 512 */
    uint32_t block_bytes; /* 0: 2 MiB; dynamic, differencing */
    bool preallocate;     /* claim all space now */
    const uint8_t *uuid;  /* 16 bytes; NULL: a new random one */
    int64_t time_unix;    /* for the time stamp; 0: now */
    /* Differencing only: */
    uint8_t parent_uuid[VHD_UUID_BYTES];
    uint32_t parent_time_stamp;  /* seconds since 2000 */
    VhdGeometry geometry;        /* the parent's; all zero: computed */
    const char *parent_name;     /* the file's name, for the name field */
    const char *parent_relative; /* W2ru, from the child's folder, with '/' */
    const char *parent_absolute; /* W2ku, with '/' */
} VhdCreate;

/* Write the structures of a new image into file, empty so far; the caller publishes it. Refused
 * (VHD_ERROR_INVALID): a size that is no multiple of 512, 0, or that could never be filled; a bad
 * block size; a parent name that the name field cannot hold. */
bool vhd_image_create(VhdFile *file, const VhdCreate *create, GError **error);

/* How long the file of such an image is once so many of its blocks hold data (VHD_CREATE_ALL: all;
 * a fixed image has none). No differencing image. name: for the error, the same ones as above. */
#define VHD_CREATE_ALL UINT32_MAX
bool vhd_image_create_bytes(const char *name, const VhdCreate *create, uint32_t blocks,
                            uint64_t *bytes, GError **error);
