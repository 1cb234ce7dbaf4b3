/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * A chain in files of its own behind faults, and what it shows at first: a state that is made again
 * for each run of a sweep. Helpers end the test on failure.
 */
#pragma once

#include "tests/faults/history.h"
#include "tests/support/fault-file.h"
#include "vhd/disk-private.h"

#define BLOCK_SECTORS 32u
#define DISK_SECTORS  (12 * BLOCK_SECTORS)

/* Values of the first contents; requests write larger ones. */
enum { VALUE_ROOT = 1, VALUE_MIDDLE, VALUE_TOP, VALUE_LOG, VALUES_TAKEN };

typedef enum Kind {
    KIND_FIXED,
    KIND_DYNAMIC,
    KIND_BATMAP,     /* dynamic, with XenServer's map of full blocks */
    KIND_CHILD,      /* on a dynamic image */
    KIND_GRANDCHILD, /* two below */
} Kind;

typedef enum Flaw {
    FLAW_NONE,
    FLAW_COPY,     /* the footer at 0 is damaged */
    FLAW_TRAILING, /* the one at the end */
    FLAW_LOG,      /* a process died: a log of unflushed writes waits */
} Flaw;

typedef struct Case {
    const char *name;
    Kind kind;
    Flaw flaw;
    bool pending; /* a log of unflushed writes is kept */
    bool read_only;
    VhdDiskCache cache;
} Case;

typedef struct World {
    const Case *with;
    char *folder, *path, *pending_dir;
    uint8_t *bytes; /* of the child's file at first */
    size_t len;
    char *parents_sum;
    History first;
    Faults *faults; /* of all files opened; new for each run */
} World;

void world_init(World *world, const Case *with);
void world_clear(World *world);

/* The first state again, and new faults. */
void world_restore(World *world);

/* Open the chain behind the faults, with no flush in the background. */
VhdDisk *world_open(World *world, bool read_only, GError **error);

/* No finding of check says that a layer is corrupt or cannot be read, or with clean that anything
 * is amiss; leaks may be. */
void world_check(World *world, bool clean);

/* The parents' files are as they were. */
void world_check_parents(World *world);

/* File descriptors that this process has open. */
unsigned world_descriptors(void);
