/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "vhd/op-rebase.h"

#include <errno.h>
#include <string.h>

#include "vhd/error.h"
#include "vhd/image-relocate.h"
#include "vhd/locator.h"
#include "vhd/op-copy.h"
#include "vhd/op-state.h"

static bool fail(VhdImage *image, const char *doing, int err, GError **error)
{
    vhd_error_set_errno(error, VHD_ERROR_IO, vhd_image_name(image), doing, -err);
    return false;
}

/* Ranges that the child does not hold itself. */
static bool copy_absent(VhdOpCopy *copy, GError **error)
{
    uint64_t sectors = vhd_chain_sectors(copy->from);
    VhdImageExtent extent;
    for (uint64_t at = 0; at < sectors; at += extent.sectors) {
        int err = vhd_image_map(copy->to, at, sectors - at, &extent);
        if (err < 0)
            return fail(copy->to, "map it", err, error);
        if (extent.presence == VHD_ABSENT &&
            !vhd_op_copy(copy, at * VHD_SECTOR_BYTES, (at + extent.sectors) * VHD_SECTOR_BYTES,
                         error))
            return false;
    }
    return true;
}

bool vhd_op_rebase_copy(VhdChain *child, VhdChain *parent, bool (*stop)(void *data, double part),
                        void *data, uint64_t *copied_bytes, GError **error)
{
    VhdImage *image = vhd_chain_layer(child, 0);
    VhdOpCopy copy = {.from = child, .seen = parent, .to = image, .stop = stop, .data = data};
    bool done = copy_absent(&copy, error);
    int err = vhd_image_flush(image);
    if (copied_bytes)
        *copied_bytes = copy.written_bytes;
    if (done && err < 0)
        return fail(image, "write out what its new parent lacks", err, error);
    return done;
}

/* The locators of link, in place of all others: those would lead to the old parent. */
static bool fill_link(VhdRelocation *wanted, const VhdParentLink *link, uint8_t *bytes[2])
{
    static const VhdPlatform platforms[] = {VHD_PLATFORM_W2KU, VHD_PLATFORM_W2RU};
    const char *const paths[] = {link->absolute, link->relative};
    memset(wanted->header.locators, 0, sizeof wanted->header.locators);
    memcpy(wanted->header.parent_uuid, link->uuid, VHD_UUID_BYTES);
    wanted->header.parent_time_stamp = link->time_stamp;
    wanted->new_locators = true;
    for (unsigned i = 0; i < G_N_ELEMENTS(platforms); i++) {
        size_t len = 0;
        bytes[i] = vhd_locator_encode(platforms[i], paths[i], &len);
        if (!bytes[i])
            return false;
        wanted->locator[i] = bytes[i];
        wanted->header.locators[i] =
            (VhdLocator){.platform = platforms[i], .data_length = (uint32_t)len};
    }
    return vhd_parent_name_encode(link->name, wanted->header.parent_name);
}

static int relocate(VhdImage *image, VhdRelocation *wanted, bool emptied)
{
    g_autofree uint32_t *bat = NULL;
    if (emptied) {
        bat = g_try_new(uint32_t, wanted->header.bat_entries);
        if (!bat)
            return -ENOMEM;
        memset(bat, 0xFF, (size_t)wanted->header.bat_entries * sizeof *bat);
        wanted->bat = bat;
    }
    return vhd_image_relocate(image, wanted);
}

bool vhd_op_relink(VhdImage *image, const VhdParentLink *link, bool emptied, GError **error)
{
    uint8_t *bytes[2] = {NULL, NULL};
    VhdRelocation wanted;
    if (!vhd_op_may_change(image, error))
        return false;
    vhd_relocation_init(&wanted, image);
    bool encoded = fill_link(&wanted, link, bytes);
    int err = encoded ? relocate(image, &wanted, emptied) : 0;
    g_free(bytes[0]);
    g_free(bytes[1]);
    if (encoded)
        return err < 0 ? fail(image, "write its new parent into it", err, error) : true;
    g_set_error(error, VHD_ERROR, VHD_ERROR_INVALID,
                "%s: the path %s cannot be noted in a VHD: it must be UTF-8 without a backslash, "
                "the name at most 255 UTF-16 units; rename it",
                vhd_image_name(image), link->absolute);
    return false;
}
