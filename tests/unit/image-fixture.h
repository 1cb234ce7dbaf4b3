/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* One image on the memory double behind faults, for the tests of vhd/image-*.c. */
#pragma once

#include "tests/support/fault-file.h"
#include "tests/support/mem-file.h"
#include "tests/support/trace-file.h"
#include "vhd/image.h"

#define MIB (1u << 20)

typedef struct Fixture {
    MemImage *bytes;
    Faults *faults;
    Trace *trace; /* NULL, or records what the next image opened does */
    VhdImage *image;
    char *pending_dir; /* NULL: no pending log */
} Fixture;

/* A new image's bytes. block_bytes 0: the default. */
MemImage *make_image(VhdType type, uint64_t disk_bytes, uint32_t block_bytes);

/* Make one and open it for writing. */
void setup(Fixture *f, VhdType type, uint64_t disk_bytes, uint32_t block_bytes);
void teardown(Fixture *f);

/* Open the bytes; warnings (may be NULL) takes a line each. Caller unrefs. */
VhdImage *open_again(Fixture *f, bool writable, GString *warnings, GError **error);

/* Drop the image as the death of a process would, and open it for writing. */
void reopen(Fixture *f);

/* From here on with a pending log in a folder of its own. */
void use_pending(Fixture *f);

/* 0 or -errno of the first part that failed. */
int write_sectors(VhdImage *image, uint64_t sector, uint32_t sectors, uint8_t byte);

/* The byte that a sector is full of, -1 if it is absent. */
int sector_byte(VhdImage *image, uint64_t sector);

/* Flip bits of the byte at off. */
void damage(MemImage *bytes, uint64_t off);
