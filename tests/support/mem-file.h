/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * A VhdFile in memory.
 *
 * A MemImage is what a file system would keep: a length in bytes and those pages of 4 KiB that were
 * written or claimed; the rest reads as zeros and costs nothing, so lengths of terabytes are fine.
 * Any number of VhdFiles may be open on one MemImage at a time; their locks (lock, lock_test) are
 * in conflict as those of open file descriptions are, whichever thread they belong to.
 *
 * Ownership: a MemImage is counted; every open VhdFile holds a reference. Locking: every call below
 * and every operation of the VhdFiles takes the image's mutex for its whole length and may come
 * from any thread; transfers that overlap are never torn.
 */
#pragma once

#include "vhd/file.h"

#define MEM_PAGE_BYTES 4096

typedef struct MemImage MemImage;

/* An empty image, length 0. */
MemImage *mem_image_new(void);
MemImage *mem_image_ref(MemImage *image);
void mem_image_unref(MemImage *image);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MemImage, mem_image_unref)

/* A copy of bytes, limit and inode number, without locks. */
MemImage *mem_image_clone(MemImage *image);

/* What vhd_file_info tells as the inode number; at first it is unlike that of any other image. */
void mem_image_set_inode(MemImage *image, uint64_t inode);

/* A file on image, which may be shared. writable false: all that changes the image fails with
 * EBADF. rename succeeds and does nothing. */
VhdFile *mem_file_open(MemImage *image, const char *name, bool writable);

/* Past any double, for building and judging images in tests. Reading beyond the end gives zeros,
 * writing there makes the image longer. */
void mem_image_read(MemImage *image, uint64_t off, void *buf, size_t len);
void mem_image_write(MemImage *image, uint64_t off, const void *buf, size_t len);
void mem_image_zero(MemImage *image, uint64_t off, uint64_t len); /* clipped at the end */
void mem_image_resize(MemImage *image, uint64_t bytes);
uint64_t mem_image_bytes(MemImage *image);

/* Bytes of the pages that are kept. */
uint64_t mem_image_used(MemImage *image);

/* At most so many bytes of pages are kept from now on; what needs more fails with ENOSPC (the
 * functions above do not). 0: no limit, as at the start. */
void mem_image_set_limit(MemImage *image, uint64_t bytes);

/* Whether both have the same length and bytes; if not and off is not NULL, *off is where they first
 * differ. */
bool mem_image_equal(MemImage *a, MemImage *b, uint64_t *off);
