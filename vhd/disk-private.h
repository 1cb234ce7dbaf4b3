/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* The inside of a disk, for disk.c, disk-io.c and their tests. */
#pragma once

#include "vhd/chain-owners.h"
#include "vhd/chain.h"
#include "vhd/disk.h"

/* Beyond these dirt is flushed, so that a SYNCHRONIZE CACHE ends well within the 30 s that the
 * kernel gives it. */
typedef struct VhdDiskBounds {
    uint64_t data_bytes; /* written since the last barrier: the write that passes it flushes */
    unsigned entries;    /* of metadata in memory only: likewise */
    unsigned age_ms;     /* of the oldest such entry: flushed in the background */
    unsigned tick_ms;    /* how often the age is looked at */
} VhdDiskBounds;

#define VHD_DISK_BOUNDS                                                                            \
    ((VhdDiskBounds){.data_bytes = 256u << 20, .entries = 4096, .age_ms = 5000, .tick_ms = 1000})

/* Open with other bounds than VHD_DISK_BOUNDS. */
VhdDisk *vhd_disk_open_bounded(const VhdDiskOptions *options, const VhdDiskBounds *bounds,
                               GError **error);

/* ---- disk-io.c: a request over a chain, in the calling thread. Ranges, alignment and iovecs have
 * been checked. All return 0 or -errno as VhdRequest.done says. */

typedef struct VhdDiskLayers {
    VhdChain *chain;
    VhdOwners
        *owners; /* of its pages; NULL: layer 0 is no differencing image, or a test wants none */
} VhdDiskLayers;

/* Do what request says, without what fua asks for; fills its same and runs. */
int vhd_disk_io(const VhdDiskLayers *layers, VhdRequest *request);

/* Do a READ or a WRITE without waiting for a device, for metadata or for a flush: 0, or -EAGAIN
 * where that cannot be, for whatever reason; a part may have been transferred then. */
int vhd_disk_io_now(const VhdDiskLayers *layers, const VhdRequest *request);

/* Flush layer 0, if it is writable. */
int vhd_disk_io_flush(VhdChain *chain);
