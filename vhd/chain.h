/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * A child and all its ancestors, opened: layer 0 is the one named, the last one the root. Only
 * layer 0 may be writable. A chain does not change once open; its layers are counted.
 * Sectors (512 bytes) are of the virtual disk; every call may run in any thread.
 */
#pragma once

#include "vhd/image.h"

#define VHD_CHAIN_MAX_DEPTH     256u
#define VHD_CHAIN_MAX_BAT_BYTES (UINT64_C(1) << 30)

typedef enum VhdLogLevel { VHD_LOG_INFO, VHD_LOG_WARNING, VHD_LOG_ERROR } VhdLogLevel;

/* How to open a chain. Zero-initialized: read-only, unlocked, any parent's folder, no pending log.
 */
typedef struct VhdChainOptions {
    bool writable;
    bool force_write; /* although the file is write protected */
    bool lock;        /* layer 0 for reading or writing, ancestors for reading */
    unsigned lock_wait_ms;
    bool pending;               /* of layer 0; an ancestor's is overlaid in memory */
    const char *pending_dir;    /* NULL: the default */
    bool confined;              /* parents only in layer 0's folder, in parents, and below them */
    const char *const *parents; /* parents= folders, NULL-terminated, may be NULL */
    bool raw_parent;
    unsigned max_depth;      /* layers; 0 = VHD_CHAIN_MAX_DEPTH */
    bool allow_block_device; /* layer 0 may be one */
    /* Test seam: every file opened goes through it (a double is put around it or in its place, it
     * owns file then). NULL: as is. */
    VhdFile *(*wrap)(VhdFile *file, void *data);
    void *wrap_data;
    /* One sentence without newline. May be NULL. */
    void (*log)(void *data, VhdLogLevel level, const char *text);
    void *log_data;
} VhdChainOptions;

typedef struct VhdChain VhdChain;

/* A run of the disk that one layer provides. */
typedef struct VhdExtent {
    int layer;        /* -1: zeros */
    uint64_t sectors; /* at least 1 */
    uint64_t off;     /* bytes in that layer's file */
} VhdExtent;

/* Bytes of a file: none where start is not below end. */
typedef struct VhdDataRange {
    uint64_t start, end;
} VhdDataRange;

/* Open path and its ancestors. Refused: cycles (device and inode, VHD_ERROR_PARENT), too many
 * layers (VHD_ERROR_DEPTH), too large BATs (VHD_ERROR_UNSUPPORTED), a layer that somebody writes
 * (VHD_ERROR_BUSY), parents as resolve.h says, images as image.h says. Of a chain opened for
 * writing the parents are synced once (invariant 6). Blocks. */
VhdChain *vhd_chain_open(const char *path, const VhdChainOptions *options, GError **error);

/* Would vhd_chain_open succeed? Reads footers, headers and locators only, asks for locks without
 * taking them, opens all files read-only and changes nothing. True, or the error that tells why
 * not; of what lies in the BATs it knows nothing. */
bool vhd_chain_probe(const char *path, const VhdChainOptions *options, GError **error);

/* A chain of images already opened, child first, at least one; takes the caller's references. For
 * tests and vhdctl. */
VhdChain *vhd_chain_new(VhdImage *const *layers, unsigned depth);

/* Lets go of the layers (vhd_image_unref: no flush). NULL: nothing. */
void vhd_chain_free(VhdChain *chain);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VhdChain, vhd_chain_free)

unsigned vhd_chain_depth(const VhdChain *chain);
VhdImage *vhd_chain_layer(const VhdChain *chain, unsigned index); /* borrowed */
uint64_t vhd_chain_sectors(const VhdChain *chain);

/* For chain-run.c: what it found last to be no hole in that layer's file. Not protected. */
VhdDataRange *vhd_chain_data_range(VhdChain *chain, unsigned index);

/* The next extent at sector, at most max_sectors (at least 1): of the first layer from the top that
 * has it; zeros beyond a shorter parent and where the root has nothing. 0, -EINVAL (sector beyond
 * the disk), or -errno where a bitmap could not be read. */
int vhd_chain_map(VhdChain *chain, uint64_t sector, uint64_t max_sectors, VhdExtent *extent);
