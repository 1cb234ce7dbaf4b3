/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "vhd/op-commit.h"

#include <errno.h>

#include "vhd/error.h"
#include "vhd/op-copy.h"

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
        vhd_error_set_errno(error, err == -ENOSPC ? VHD_ERROR_NOSPACE : VHD_ERROR_IO,
                            vhd_image_name(image), "write out what was merged into it", -err);
    return done && err == 0;
}
