/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * A chain drawn as SVG: the disk from its first sector to its last, a row a layer, the child on
 * top. Strong: what is seen of a layer; pale: zeros that it provides; grey: what a layer above
 * hides.
 */
#pragma once

#include "vhd/chain.h"

/* The picture's text, however large the disk is at most some MiB for the deepest chain. NULL with
 * *err (-errno) where the chain could not be mapped. Caller frees. */
GString *picture_of_chain(VhdChain *chain, int *err);
