/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "vhd/chain-owners.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#define PAGE_SECTORS  8u
#define GRAIN_PAGES   512u
#define GRAIN_SECTORS (PAGE_SECTORS * GRAIN_PAGES) /* 2 MiB */
#define SPLIT_SLOTS   4096u                        /* 1 KiB each, once used */
#define CHANGE_COUNTS 64u

/* Who provides a page, or all pages of a grain. */
typedef uint16_t Owner;
enum {
    OWNER_UNKNOWN,
    OWNER_ZEROS, /* no layer */
    OWNER_SPLIT, /* of a grain: its pages are in a slot */
    OWNER_LAYER, /* + index of the layer */
};

/* Pages of a grain that have not all the same owner. */
typedef struct SplitGrain {
    uint64_t grain;
    Owner *pages; /* NULL: the slot is free */
} SplitGrain;

struct VhdOwners {
    /* Fixed. */
    VhdChain *chain;
    uint64_t sectors;
    uint64_t smallest_sectors; /* of the blocks of all layers, at most a grain */

    pthread_mutex_t lock; /* protects all below; a leaf */
    Owner *grains;
    SplitGrain *slots; /* of grain % SPLIT_SLOTS */
    /* Counted up by each change of a grain of that remainder: what was looked up before one is not
     * remembered after it. */
    uint32_t changes[CHANGE_COUNTS];
};

static uint64_t grain_of(uint64_t sector)
{
    return sector / GRAIN_SECTORS;
}

static unsigned page_of(uint64_t sector)
{
    return (unsigned)(sector % GRAIN_SECTORS / PAGE_SECTORS);
}

static uint64_t grain_count(const VhdOwners *owners)
{
    return (owners->sectors + GRAIN_SECTORS - 1) / GRAIN_SECTORS;
}

VhdOwners *vhd_owners_new(VhdChain *chain)
{
    VhdOwners *owners = calloc(1, sizeof *owners);

    if (!owners)
        return NULL;
    owners->chain = chain;
    owners->sectors = vhd_chain_sectors(chain);
    owners->smallest_sectors = GRAIN_SECTORS;
    for (unsigned i = 0; i < vhd_chain_depth(chain); i++) {
        const VhdLayout *layout = vhd_image_layout(vhd_chain_layer(chain, i));

        if (layout->type != VHD_TYPE_FIXED)
            owners->smallest_sectors = MIN(owners->smallest_sectors, layout->block_sectors);
    }
    pthread_mutex_init(&owners->lock, NULL);
    /* Zeros from the system, which cost nothing until they are used. */
    owners->grains = calloc(grain_count(owners) + 1, sizeof owners->grains[0]);
    owners->slots = calloc(SPLIT_SLOTS, sizeof owners->slots[0]);
    if (!owners->grains || !owners->slots) {
        vhd_owners_free(owners);
        return NULL;
    }
    return owners;
}

void vhd_owners_free(VhdOwners *owners)
{
    if (!owners)
        return;
    for (unsigned i = 0; owners->slots && i < SPLIT_SLOTS; i++)
        free(owners->slots[i].pages);
    free(owners->slots);
    free(owners->grains);
    pthread_mutex_destroy(&owners->lock);
    free(owners);
}

/* The pages of a grain that is split, or NULL where they had to make room for another's. */
static Owner *split_pages_locked(VhdOwners *owners, uint64_t grain)
{
    const SplitGrain *slot = &owners->slots[grain % SPLIT_SLOTS];

    return slot->pages && slot->grain == grain ? slot->pages : NULL;
}

static Owner owner_of_locked(VhdOwners *owners, uint64_t sector)
{
    Owner owner = owners->grains[grain_of(sector)];
    const Owner *pages;

    if (owner != OWNER_SPLIT)
        return owner;
    pages = split_pages_locked(owners, grain_of(sector));
    return pages ? pages[page_of(sector)] : OWNER_UNKNOWN;
}

/* How far the pages from that of sector on have this owner, in sectors, at most max_sectors. */
static uint64_t run_locked(VhdOwners *owners, uint64_t sector, uint64_t max_sectors, Owner owner)
{
    uint64_t at = sector, end = sector + max_sectors;

    while (at < end && owner_of_locked(owners, at) == owner) {
        uint64_t unit = owners->grains[grain_of(at)] == owner ? GRAIN_SECTORS : PAGE_SECTORS;

        at = (at / unit + 1) * unit;
    }
    return MIN(at, end) - sector;
}

bool vhd_owners_find(VhdOwners *owners, uint64_t sector, uint64_t max_sectors, VhdExtent *extent)
{
    uint64_t sectors = MIN(max_sectors, owners->sectors - sector);
    Owner owner;

    pthread_mutex_lock(&owners->lock);
    owner = owner_of_locked(owners, sector);
    if (owner != OWNER_UNKNOWN)
        sectors = run_locked(owners, sector, sectors, owner);
    pthread_mutex_unlock(&owners->lock);
    if (owner == OWNER_UNKNOWN)
        return false;
    *extent = (VhdExtent){.layer = -1, .sectors = sectors};
    if (owner == OWNER_ZEROS)
        return true;
    extent->layer = owner - OWNER_LAYER;
    return vhd_image_place(vhd_chain_layer(owners->chain, (unsigned)extent->layer), sector,
                           &extent->sectors, &extent->off);
}

/* The pages of grain, to be changed one by one; NULL: no memory. */
static Owner *split_locked(VhdOwners *owners, uint64_t grain)
{
    SplitGrain *slot = &owners->slots[grain % SPLIT_SLOTS];
    Owner before = owners->grains[grain];

    if (before == OWNER_SPLIT && slot->pages && slot->grain == grain)
        return slot->pages;
    if (!slot->pages)
        slot->pages = malloc(GRAIN_PAGES * sizeof slot->pages[0]);
    if (!slot->pages)
        return NULL;
    slot->grain = grain;
    for (unsigned i = 0; i < GRAIN_PAGES; i++)
        slot->pages[i] = before == OWNER_SPLIT ? OWNER_UNKNOWN : before;
    owners->grains[grain] = OWNER_SPLIT;
    return slot->pages;
}

static bool are_alike(const Owner *pages)
{
    for (unsigned i = 1; i < GRAIN_PAGES; i++)
        if (pages[i] != pages[0])
            return false;
    return true;
}

/* Set the owner of the pages that begin in [sector, sector+sectors), all of one grain. */
static void set_locked(VhdOwners *owners, uint64_t sector, uint64_t sectors, Owner owner)
{
    uint64_t grain = grain_of(sector), end = MIN((grain + 1) * GRAIN_SECTORS, owners->sectors);
    Owner *pages;

    if (owners->grains[grain] == owner || sectors == 0)
        return;
    if (sector % GRAIN_SECTORS == 0 && sector + sectors >= end) {
        owners->grains[grain] = owner;
        return;
    }
    pages = split_locked(owners, grain);
    if (!pages) { /* what cannot be told page by page is not known */
        owners->grains[grain] = OWNER_UNKNOWN;
        return;
    }
    for (uint64_t at = sector; at < sector + sectors; at += PAGE_SECTORS)
        pages[page_of(at)] = owner;
    if (pages[0] == owner && are_alike(pages))
        owners->grains[grain] = owner; /* the slot is free for another */
}

/* Cut a range down to the pages that it covers; the last page of the disk may be a short one. */
static void whole_pages(const VhdOwners *owners, uint64_t *sector, uint64_t *end)
{
    *sector = (*sector + PAGE_SECTORS - 1) / PAGE_SECTORS * PAGE_SECTORS;
    if (*end < owners->sectors)
        *end = *end / PAGE_SECTORS * PAGE_SECTORS;
    *end = MAX(*end, *sector);
}

/*
 * What is not known is looked up from the sector on as far as it goes in its block, for no layer is
 * to be asked, nor a bitmap to be read, that the sector itself does not need. It is remembered
 * unless something has changed meanwhile.
 */
int vhd_owners_map(VhdOwners *owners, uint64_t sector, uint64_t max_sectors, VhdExtent *extent)
{
    uint64_t unit = owners->smallest_sectors, from = sector, to;
    uint32_t *changes = &owners->changes[grain_of(sector) % CHANGE_COUNTS], before;
    int err;

    if (sector >= owners->sectors || max_sectors == 0)
        return -EINVAL;
    if (vhd_owners_find(owners, sector, max_sectors, extent))
        return 0;
    pthread_mutex_lock(&owners->lock);
    before = *changes;
    pthread_mutex_unlock(&owners->lock);
    to = MIN((sector / unit + 1) * unit, owners->sectors);
    err = vhd_chain_map(owners->chain, sector, to - sector, extent);
    if (err)
        return err;
    to = sector + extent->sectors;
    whole_pages(owners, &from, &to);
    pthread_mutex_lock(&owners->lock);
    if (*changes == before)
        set_locked(owners, from, to - from,
                   extent->layer < 0 ? OWNER_ZEROS : (Owner)(OWNER_LAYER + extent->layer));
    pthread_mutex_unlock(&owners->lock);
    extent->sectors = MIN(extent->sectors, max_sectors);
    return 0;
}

/* The page of sector is not wholly layer 0's, unless it was before. */
static void doubt_page_locked(VhdOwners *owners, uint64_t sector)
{
    if (owner_of_locked(owners, sector) != OWNER_LAYER)
        set_locked(owners, sector / PAGE_SECTORS * PAGE_SECTORS, PAGE_SECTORS, OWNER_UNKNOWN);
}

void vhd_owners_take(VhdOwners *owners, uint64_t sector, uint64_t sectors)
{
    uint64_t end = sector + sectors, from = sector, to = end, next;

    whole_pages(owners, &from, &to);
    pthread_mutex_lock(&owners->lock);
    if (from > sector)
        doubt_page_locked(owners, sector);
    if (to < end)
        doubt_page_locked(owners, to);
    for (uint64_t at = from; at < to; at = next) {
        next = MIN((grain_of(at) + 1) * GRAIN_SECTORS, to);
        set_locked(owners, at, next - at, OWNER_LAYER);
    }
    for (uint64_t grain = grain_of(sector); grain <= grain_of(end - 1); grain++)
        owners->changes[grain % CHANGE_COUNTS]++;
    pthread_mutex_unlock(&owners->lock);
}

void vhd_owners_forget(VhdOwners *owners, uint64_t sector, uint64_t sectors)
{
    pthread_mutex_lock(&owners->lock);
    for (uint64_t grain = grain_of(sector); grain <= grain_of(sector + sectors - 1); grain++) {
        owners->grains[grain] = OWNER_UNKNOWN;
        owners->changes[grain % CHANGE_COUNTS]++;
    }
    pthread_mutex_unlock(&owners->lock);
}
