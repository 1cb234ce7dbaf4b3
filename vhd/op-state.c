/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "vhd/op-state.h"

#include "vhd/error.h"

bool vhd_op_may_change(VhdImage *image, GError **error)
{
    if (!vhd_image_writable(image)) {
        g_set_error(error, VHD_ERROR, VHD_ERROR_READONLY, "%s: can only be read",
                    vhd_image_name(image));
        return false;
    }
    if (!vhd_image_footer(image)->saved_state)
        return true;
    g_set_error(error, VHD_ERROR, VHD_ERROR_UNSUPPORTED,
                "%s: belongs to a machine in saved state, which expects it as it is; start that "
                "machine and shut it down first",
                vhd_image_name(image));
    return false;
}
