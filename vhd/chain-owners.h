/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * Which layer of a chain provides each page of the disk, remembered: a request that finds its pages
 * here asks no layer but that one, however many there are above it. Pages are of 4 KiB; one whose
 * sectors come from several layers is not remembered.
 *
 * Of chains only whose layer 0 is a differencing image: there a sector comes to layer 0 by requests
 * for that very sector, and stays; each of them says so here before it is answered, and the caller
 * keeps those of one sector apart. (In a dynamic image the first write to a block brings all its
 * sectors, those too that others write meanwhile.)
 *
 * Sectors (512 bytes) are of the virtual disk. Memory: two bytes per 2 MiB of disk, and at most
 * 4 MiB for parts whose pages come from different layers; all of it only where the disk is used.
 * Every call may run in any thread; the lock is a leaf.
 */
#pragma once

#include "vhd/chain.h"

typedef struct VhdOwners VhdOwners;

/* Of chain, which must live as long, and whose layer 0 is a differencing image. NULL: no memory. */
VhdOwners *vhd_owners_new(VhdChain *chain);
void vhd_owners_free(VhdOwners *owners); /* NULL: nothing */

/* The next extent at sector, at most max_sectors (at least 1), if it is remembered. Never waits for
 * I/O. sector < size of the disk. */
bool vhd_owners_find(VhdOwners *owners, uint64_t sector, uint64_t max_sectors, VhdExtent *extent);

/* As vhd_chain_map, remembering what it finds. */
int vhd_owners_map(VhdOwners *owners, uint64_t sector, uint64_t max_sectors, VhdExtent *extent);

/* Layer 0 has all of these sectors now, at least 1. Those beside them are as they were. */
void vhd_owners_take(VhdOwners *owners, uint64_t sector, uint64_t sectors);

/* Layer 0 may have some of these sectors now, at least 1. */
void vhd_owners_forget(VhdOwners *owners, uint64_t sector, uint64_t sectors);
