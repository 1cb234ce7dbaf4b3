/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * The images of a folder and the folders below it, linked by their uuids: a child is put below the
 * image that has the uuid it names; where several have it (copies), below the one that its locators
 * lead to. Parents outside of the folder are looked for as opening does it.
 */
#pragma once

#include "vhd/chain.h"

typedef struct FamilyMember FamilyMember;
struct FamilyMember {
    char *path; /* of a missing one: as its child names it */
    uint32_t type;
    uint8_t uuid[VHD_UUID_BYTES];
    uint8_t parent_uuid[VHD_UUID_BYTES]; /* differencing only */
    uint64_t device, inode;
    uint64_t disk_bytes, used_bytes;
    bool missing;  /* no file was found; a place for its children */
    bool outside;  /* not in the folder */
    bool is_copy;  /* an image before it in the list has its uuid */
    bool written;  /* somebody writes it now, or keeps readers off */
    bool in_cycle; /* it descends from itself: shown as a root, cut from its parent */
    FamilyMember *parent;
    GPtrArray *children; /* borrowed, by path */
};

typedef struct Family {
    GPtrArray *members; /* all, owned, by path; then those that were added */
    GPtrArray *roots;   /* borrowed */
} Family;

/* What is no VHD is passed over; a damaged one, or one that may not be read, is warned about. No
 * links are followed to folders. NULL: the folder itself cannot be read. */
Family *family_find(const char *folder, GError **error);
void family_free(Family *family); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Family, family_free)
