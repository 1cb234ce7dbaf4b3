/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "vhd/op-commit.h"

#include <errno.h>

#include "vhd/error.h"
#include "vhd/op-copy.h"

static VhdChain *ancestors_of(VhdChain *child, unsigned layer)
{
    unsigned depth = vhd_chain_depth(child) - layer - 1;
    g_autofree VhdImage **layers = g_new(VhdImage *, depth);
    for (unsigned i = 0; i < depth; i++)
        layers[i] = vhd_image_ref(vhd_chain_layer(child, layer + 1 + i));
    return vhd_chain_new(layers, depth);
}

/* What the child holds itself is seen whatever lies below. */
static bool keep_absent(VhdOpCopy *copy, uint64_t start, GError **error)
{
    uint64_t sectors = vhd_chain_sectors(copy->from);
    VhdImageExtent extent;
    for (uint64_t at = start; at < sectors; at += extent.sectors) {
        int err = vhd_image_map(copy->to, at, sectors - at, &extent);
        if (err < 0) {
            vhd_error_set_errno(error, VHD_ERROR_IO, vhd_image_name(copy->to), "map it", -err);
            return false;
        }
        if (extent.presence == VHD_ABSENT &&
            !vhd_op_copy(copy, at * VHD_SECTOR_BYTES, (at + extent.sectors) * VHD_SECTOR_BYTES,
                         error))
            return false;
    }
    return true;
}

bool vhd_op_commit_keep(VhdChain *child, unsigned layer, bool (*stop)(void *data, double part),
                        void *data, GError **error)
{
    VhdImage *image = vhd_chain_layer(child, 0);
    uint64_t start = vhd_image_sectors(vhd_chain_layer(child, layer));
    if (layer + 1 == vhd_chain_depth(child))
        return true;
    g_autoptr(VhdChain) below = ancestors_of(child, layer);
    VhdOpCopy copy = {.from = child, .seen = below, .to = image, .stop = stop, .data = data};
    bool done = keep_absent(&copy, start, error);
    int err = vhd_image_flush(image);
    if (done && err < 0)
        vhd_error_set_errno(error, VHD_ERROR_IO, vhd_image_name(image), "write out what it shows",
                            -err);
    return done && err == 0;
}

/* What comes from the target or below is the same on both sides and not looked at. */
bool vhd_op_commit(VhdChain *child, VhdChain *target, bool (*stop)(void *data, double part),
                   void *data, uint64_t *written_bytes, GError **error)
{
    VhdImage *image = vhd_chain_layer(target, 0);
    VhdOpCopy copy = {.from = child, .seen = target, .to = image, .stop = stop, .data = data};
    uint64_t sectors = MIN(vhd_chain_sectors(child), vhd_chain_sectors(target));
    bool done = vhd_op_copy(&copy, 0, sectors * VHD_SECTOR_BYTES, error);
    int err = done ? vhd_image_finish(image) : vhd_image_flush(image);
    if (written_bytes)
        *written_bytes = copy.written_bytes;
    if (done && err < 0)
        vhd_error_set_errno(error, VHD_ERROR_IO, vhd_image_name(image),
                            "write out what was merged into it", -err);
    return done && err == 0;
}
