/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * One VHD file: where each sector lies, allocation of blocks, sector bitmaps, flush. Of the chain
 * above it an image knows nothing: what is absent here is the caller's to look for below.
 *
 * Units: sector = 512 bytes of the virtual disk; off, len = bytes of the file; block = index in the
 * BAT. Threads: every call may run in any thread at the same time as any other, but for open, close
 * and the last unref. The caller (disk) keeps writes, zeroings and unmaps that overlap apart, and
 * reads apart from vhd_image_unmap. Data-path calls return 0 or -errno.
 *
 * THE TWELVE INVARIANTS. What is on disk is never wrong, whatever instant the power fails or the
 * process dies at, if a 512-byte sector is written whole or not at all.
 *
 *  1. The footer copy at 0 and the header it points to are valid at all times. A header, BAT or
 * locator set in use is never rewritten in place, single BAT entries aside.
 *  2. A BAT entry is on disk only after the block it names, its whole bitmap included. A block is
 * old from the moment its entry is handed to a write, whether or not that flush succeeds.
 *  3. A bitmap bit is on disk only after its sector.
 *  4. Header, BAT, batmap, locators, blocks and footers never overlap: each is a reserved range
 * before the first allocation, a footer being written included.
 *  5. Opening never shortens a file. A lost trailing footer is restored at the first flush; new
 * blocks go beyond what is there; blocks that no BAT entry names are leaks for check.
 *  6. Parents are opened read-only, synced once, and writers kept away from them.
 *  7. After a failed barrier nothing more is written to that image: writes fail, reads go on, until
 * it is opened anew; what waits in its pending log is given up, for the data may be lost. Opening
 * for writing starts with a sync and with dropping cached metadata. A failed write is no failed
 * barrier: it stays dirty and the next flush tries again.
 *  8. After power loss a flushed write is there; an unflushed one is, sector by sector, old or new,
 * never anything else.
 *  9. In a dynamic image a sector never written reads as zeros, after power loss too, also where a
 * new block covers the old footer or space that a failed allocation left behind.
 * 10. Death of the process loses no acknowledged write: what is published but not flushed is in the
 * pending log (pending.h) before the write completes; every open for writing replays it, reading
 * overlays it in memory.
 * 11. Space is reused only after the barrier that made the removal of its BAT entry durable, and
 * after every request that has it mapped has ended; it is zeroed before its next use.
 * 12. A batmap's bits are set only at clean close, and cleared durably before their BAT entry goes;
 * a bad checksum counts as all clear.
 */
#pragma once

#include "vhd/file.h"
#include "vhd/layout.h"
#include "vhd/lock.h"

typedef struct VhdImage VhdImage;

/* How to open. Zero-initialized: read-only, no lock, no pending log, silent. */
typedef struct VhdImageOptions {
    bool writable;
    bool force_write; /* write although the file has no write permission (a protected golden image)
                       */
    VhdLockMode lock; /* taken before the first byte is believed */
    unsigned lock_wait_ms; /* how long a busy image is tried for */
    bool headers_only;     /* judge footers, header and layout, read no BAT: map and write fail with
                              -EINVAL */
    bool pending;          /* keep (writable) or overlay (read-only) the pending log */
    const char *pending_dir; /* NULL: /run/tcmu-vhd */
    /* A sentence without newline about something that serves all the same. May be NULL. */
    void (*warn)(void *data, const char *text);
    void *warn_data;
} VhdImageOptions;

typedef enum VhdPresence {
    VHD_ABSENT, /* differencing: look below */
    VHD_ZERO,   /* dynamic: reads as zeros, nothing below */
    VHD_DATA,   /* in this file, at off */
} VhdPresence;

typedef struct VhdImageExtent {
    VhdPresence presence;
    uint64_t sectors; /* length of the run, at least 1 */
    uint64_t off;     /* bytes in the file, where presence is VHD_DATA */
} VhdImageExtent;

/* A write that has been given its place and is not yet published. */
typedef struct VhdImageWrite {
    uint64_t sector;  /* first sector of the disk */
    uint32_t sectors; /* how many: the range asked for, cut at the end of its block */
    uint64_t off;     /* where the data goes, bytes in the file */
    bool publish;     /* metadata changes when it ends */
} VhdImageWrite;

/* What a flush would have to write. */
typedef struct VhdImageDirt {
    unsigned entries;    /* bitmap sectors and BAT entries that are in memory only */
    uint64_t data_bytes; /* written since the last barrier began */
    uint64_t oldest_us;  /* g_get_monotonic_time() of the oldest entry, 0 if none */
    uint64_t barriers;   /* issued since open */
} VhdImageDirt;

/* Open the image in file; file is owned by the image from here on, also on failure. GError
 * sentences name the file. */
VhdImage *vhd_image_open(VhdFile *file, const VhdImageOptions *options, GError **error);

/* A raw file as a read-only layer (XenServer's raw parent): a fixed image without a footer. Owns
 * file. */
VhdImage *vhd_image_open_raw(VhdFile *file, const VhdImageOptions *options, GError **error);

VhdImage *vhd_image_ref(VhdImage *image);
/* The last one closes, without flushing: call vhd_image_finish first where writes must last. */
void vhd_image_unref(VhdImage *image);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VhdImage, vhd_image_unref)

/* Flush, note full blocks in a batmap, empty and remove the pending log. No request may be running.
 * 0 or -errno; on failure the pending log stays. */
int vhd_image_finish(VhdImage *image);

const char *vhd_image_name(const VhdImage *image);
VhdFile *vhd_image_file(const VhdImage *image);
const VhdLayout *vhd_image_layout(const VhdImage *image);
const VhdFooter *vhd_image_footer(const VhdImage *image);
const VhdHeader *vhd_image_header(const VhdImage *image); /* NULL: fixed */
bool vhd_image_writable(const VhdImage *image); /* opened for writing, and the image allowed it */
bool vhd_image_is_raw(const VhdImage *image);
bool vhd_image_failed(VhdImage *image); /* a barrier failed: no more writes (invariant 7) */
uint64_t vhd_image_sectors(const VhdImage *image);
bool vhd_image_pending_lost(
    const VhdImage *image); /* opened with pending, but the log cannot be kept */

/* The bytes of parent locator index (0..7). NULL with *len = 0 if the slot is empty; error on I/O
 * errors. Caller frees. */
uint8_t *vhd_image_read_locator(VhdImage *image, unsigned index, size_t *len, GError **error);

/* A run of sectors alike at sector, at most max_sectors; the next one may be alike, too. sector <
 * size. May read a bitmap. */
int vhd_image_map(VhdImage *image, uint64_t sector, uint64_t max_sectors, VhdImageExtent *extent);

/* Where sectors that are known to be in this file begin in it (bytes); *sectors is cut where they
 * do not go on from there. Looks at no bitmap and takes no lock. False: their block is not in the
 * file. */
bool vhd_image_place(VhdImage *image, uint64_t sector, uint64_t *sectors, uint64_t *off);

/* Reserve a place for a write of up to max_sectors at sector. -ENOSPC, -EROFS, -EIO (failed image).
 */
int vhd_image_begin_write(VhdImage *image, uint64_t sector, uint64_t max_sectors,
                          VhdImageWrite *write);

/* The same without waiting, for all of [sector, sector+sectors): -EAGAIN where they lie in more
 * than one block, where their block has no place yet or its bitmap is not in memory, and where
 * end_write might have to flush. */
int vhd_image_begin_write_now(VhdImage *image, uint64_t sector, uint64_t sectors,
                              VhdImageWrite *write);

/* After the caller has written the data (ok) or failed to: publish in memory and in the pending
 * log. Must follow every begin_write that succeeded. When it returns 0 a killed process keeps the
 * write. */
int vhd_image_end_write(VhdImage *image, const VhdImageWrite *write, bool ok);

/* Make [sector, sector+sectors) read as zeros, whatever lies below: present and zero in a
 * differencing image. */
int vhd_image_write_zeroes(VhdImage *image, uint64_t sector, uint64_t sectors);

/* A hint: give back the space under present sectors, absent ones stay as they are; a whole block of
 * a dynamic image is given back to the file. A range gives back space only where it can; that is no
 * error. */
int vhd_image_unmap(VhdImage *image, uint64_t sector, uint64_t sectors);

/* Everything that ended before this call is on stable storage when it returns 0: two barriers, one
 * where no metadata is dirty. Calls that come while one runs share the next. */
int vhd_image_flush(VhdImage *image);

void vhd_image_dirt(VhdImage *image, VhdImageDirt *dirt);

/* For check, map and info: the BAT entry of a block (VHD_BAT_UNUSED or first sector of its bitmap).
 * block < layout's. */
uint32_t vhd_image_bat_entry(VhdImage *image, uint32_t block);
/* How many sectors of block are marked in its bitmap; -errno. */
int vhd_image_count_present(VhdImage *image, uint32_t block, uint32_t *count);

/* Where the trailing footer goes in a file whose blocks end at data_end, in bytes: into the last
 * sector of a page, as Windows 10 has it. Pure. */
uint64_t vhd_image_footer_off(uint64_t data_end);
