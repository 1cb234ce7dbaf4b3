/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * A random chain whose files are in memory, and the real disk opened over it. The files on the file
 * system hold the chain as it was made: by them parents are found; from then on each is exchanged
 * for its double. Layer 0 is traced, between two sets of faults.
 */
#pragma once

#include "tests/support/fault-file.h"
#include "tests/support/model-chain.h"
#include "tests/support/trace-file.h"
#include "vhd/disk-private.h"

#define RIG_DEPTH 4u

typedef struct Rig {
    uint64_t seed;
    Rng rng;
    ModelChain *chain;
    char *pending_dir;                /* of the disk */
    char *judge_dir;                  /* of the images judged */
    MemImage *layers[RIG_DEPTH];      /* child first */
    VhdImage *parents[RIG_DEPTH - 1]; /* opened once, for judging */
    uint8_t uuid[16];                 /* of layer 0 */
    uint32_t last_id;                 /* of requests */
} Rig;

/* How a disk is opened over a rig. */
typedef struct RigDisk {
    Rig *rig;
    Trace *trace;  /* of layer 0, whose number is 0; the parents' follow */
    Faults *outer; /* before what is recorded: a process that dies, an operation that fails */
    Faults *inner; /* behind it: the disk itself fails */
    VhdFile *top;  /* NULL, or what stands for layer 0; taken */
    unsigned layers_opened;
} RigDisk;

/* folder has the files, pending_dir and judge_dir are empty folders. */
Rig *rig_new(uint64_t seed, const char *folder, const char *pending_dir, const char *judge_dir);
void rig_free(Rig *rig);

/* A chain's file is wanted; for VhdDiskOptions, data is a RigDisk. */
VhdFile *rig_wrap(VhdFile *file, void *data);

/* The child's whole content as chain shows it; sectors * 512 bytes. 0 or -errno. */
int rig_read(VhdChain *chain, uint8_t *content);

/* A chain of image and the parents opened for judging. Takes image. */
VhdChain *rig_chain(const Rig *rig, VhdImage *image);
