/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* What every change of an image in place asks first. */
#pragma once

#include "vhd/image.h"

/* Refused: an image that can only be read; one of a machine in saved state, which expects to find
 * it as it left it. */
bool vhd_op_may_change(VhdImage *image, GError **error);
