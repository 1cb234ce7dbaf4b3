/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * A chain as a disk that takes requests: the highest room of the engine, and the only one the
 * handler knows.
 *
 * Requests run in parallel on up to VHD_DISK_THREADS workers, started on demand; what needs no
 * waiting may be done in the thread that has it (vhd_disk_try). Reads are not
 * ordered against writes that run at the same time; writes, zeroings and unmaps that overlap run in
 * the order of their arrival. COMPARE_AND_WRITE and OR_WRITE count as one write each: no other
 * comes between their reading and their writing. Offsets and lengths are bytes, multiples of 512.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "vhd/ranges.h"
#include "vhd/workers.h"

#define VHD_DISK_THREADS   8
#define VHD_DISK_TRY_BYTES (64u << 10)

typedef enum VhdDiskCache { VHD_CACHE_WRITEBACK, VHD_CACHE_WRITETHROUGH } VhdDiskCache;

/* How to open a disk. Zero-initialized plus path: for writing, locked, with the pending log, any
 * parent's folder. */
typedef struct VhdDiskOptions {
    const char *path;
    bool read_only;
    bool force_write; /* although the file is write protected */
    bool no_lock;
    unsigned lock_wait_ms;
    bool no_pending;
    const char *pending_dir;    /* NULL: the default */
    bool confined;              /* see chain.h */
    const char *const *parents; /* NULL-terminated, may be NULL */
    bool raw_parent;
    unsigned max_depth; /* 0: the default */
    VhdDiskCache cache;
    /* Test seam, see chain.h. */
    struct VhdFile *(*wrap)(struct VhdFile *file, void *data);
    void *wrap_data;
    /* One line without newline; level 0 info, 1 warning, 2 error. Called from any thread, no lock
     * of the disk held. */
    void (*log)(void *data, int level, const char *text);
    void *log_data;
} VhdDiskOptions;

typedef struct VhdDisk VhdDisk;

typedef enum VhdOp {
    VHD_OP_READ,
    VHD_OP_WRITE,
    VHD_OP_FLUSH,
    VHD_OP_UNMAP,
    VHD_OP_WRITE_ZEROES,
    VHD_OP_COMPARE_AND_WRITE, /* write only if what is there equals the first half of iov */
    VHD_OP_OR_WRITE,          /* write what is there, or'ed bit by bit with iov */
    VHD_OP_STATUS             /* where something is stored */
} VhdOp;

/* What VHD_OP_STATUS finds: neighbours differ. Mapped: a layer of the chain holds the bytes; else
 * nothing in the whole chain does, and they read as zeros. */
typedef struct VhdDiskRun {
    bool mapped;
    uint64_t len; /* bytes */
} VhdDiskRun;

/* One request, owned by the caller until done is called, with its iovecs and their memory. The
 * engine may change the private part only. */
typedef struct VhdRequest VhdRequest;
struct VhdRequest {
    VhdOp op;
    bool fua;          /* of what changes the disk: durable before it completes */
    uint64_t off, len; /* bytes; FLUSH: ignored; a length of 0 does nothing */
    /* READ, WRITE, OR_WRITE: len bytes in all; COMPARE_AND_WRITE: len bytes expected and len bytes
     * to write. Elements may be cut anywhere. */
    const struct iovec *iov;
    int iovcnt;
    uint64_t same; /* COMPARE_AND_WRITE that ended with -EILSEQ: bytes equal at the beginning */
    /* STATUS: room for run_room runs, of which run_count are filled; they begin at off and may end
     * before off + len where there are more or where it would take long. */
    VhdDiskRun *runs;
    unsigned run_room, run_count;
    /* 0 or -errno: -EIO, -ENOSPC, -EROFS, -EINVAL (range, alignment, iov), -EILSEQ (not what was
     * expected, nothing written), -ENOMEM. Called exactly once, in a worker or before
     * vhd_disk_submit returns, with no lock of the disk held; it may submit again, and the request
     * is the caller's again. */
    void (*done)(VhdRequest *request, int result);
    void *data; /* the caller's */
    struct {
        struct VhdDisk *disk;
        VhdRange range;
        VhdJob job;
        bool ranged;
        int refusal;
    } priv;
};

typedef struct VhdDiskInfo {
    uint64_t bytes;     /* virtual size */
    unsigned depth;     /* layers */
    bool read_only;     /* asked for, or the image allows no more */
    bool child;         /* layer 0 is a differencing image */
    bool sparse;        /* layer 0 can give space back */
    bool failed;        /* a barrier failed: writes are refused until it is opened anew */
    uint8_t uuid[16];   /* of layer 0 */
    VhdDiskCache cache; /* in force: writethrough also where the pending log cannot be kept */
} VhdDiskInfo;

/* Open, with errors as chain.h says. Blocks. */
VhdDisk *vhd_disk_open(const VhdDiskOptions *options, GError **error);

/* For check_config: would vhd_disk_open succeed? Opens regular files only, without blocking; reads
 * footers, headers and locators only, asks for locks without taking them. Changes nothing. Where
 * options->confined, any local user may be asking: the sentence then tells nothing that success
 * would not tell ("PATH is missing, unreadable or not a VHD image"), and the whole one goes to
 * options->log as an error. */
bool vhd_disk_probe(const VhdDiskOptions *options, GError **error);

/* Wait for requests, flush, close: when it returns no done callback runs any more. Nobody may
 * submit any more; not from within a done callback. 0 or -errno of the flush; closed in any case.
 * NULL: 0. */
int vhd_disk_close(VhdDisk *disk);

void vhd_disk_info(VhdDisk *disk, VhdDiskInfo *info);

/* The paths of the layers joined by " <- ", for one log line. Caller frees. */
char *vhd_disk_describe(VhdDisk *disk);

/* Start request. Never blocks its caller for I/O, and never calls done on the caller's stack: a
 * done that submits again does not nest. */
void vhd_disk_submit(VhdDisk *disk, VhdRequest *request);

/*
 * Do request in the calling thread if that should take no waiting: a READ of what is known and in
 * the page cache, a WRITE that needs no more than its data to be put there, of at most
 * VHD_DISK_TRY_BYTES, with nothing in flight that it would have to wait for. A WRITE may still wait
 * for the file system now and then; where it does, writes are not tried for a while. True: done,
 * with success; its done is not called. False: not done, though a WRITE may have begun; submit it
 * before anything that came later. One thread makes all COMPARE_AND_WRITE and the WRITEs that it
 * tries first: another's might come between the two attempts, and be lost.
 */
bool vhd_disk_try(VhdDisk *disk, VhdRequest *request);

/* Waiting wrappers: 0 or -errno. Not from within a done callback. */
int vhd_disk_readv(VhdDisk *disk, uint64_t off, const struct iovec *iov, int iovcnt);
int vhd_disk_writev(VhdDisk *disk, uint64_t off, const struct iovec *iov, int iovcnt, bool fua);
int vhd_disk_read(VhdDisk *disk, uint64_t off, void *buf, size_t len);
int vhd_disk_write(VhdDisk *disk, uint64_t off, const void *buf, size_t len, bool fua);
int vhd_disk_flush(VhdDisk *disk);
int vhd_disk_unmap(VhdDisk *disk, uint64_t off, uint64_t len);
int vhd_disk_write_zeroes(VhdDisk *disk, uint64_t off, uint64_t len, bool fua);

/* Layer 0 to root, for vhdctl and check; borrowed, fixed while the disk is open. The handler does
 * not use it. */
struct VhdChain *vhd_disk_chain(VhdDisk *disk);
