/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "vhd/chain-ahead.h"

#define SMALL_BYTES (64u << 10) /* what the kernel finds by itself, or in no time */

/* The next piece of at most most bytes at off; *len: its length. */
static int ask_piece(VhdChain *chain, uint64_t off, uint64_t most, uint64_t *len)
{
    VhdExtent extent;
    VhdChainRun run;
    int err = vhd_chain_map(chain, off / VHD_SECTOR_BYTES, most / VHD_SECTOR_BYTES, &extent);

    if (err)
        return err;
    *len = extent.sectors * VHD_SECTOR_BYTES;
    if (extent.layer < 0 || *len < SMALL_BYTES)
        return 0;
    err = vhd_chain_run(chain, off, off + *len, &run); /* less its holes */
    if (err)
        return err;
    *len = run.len;
    vhd_chain_run_ahead(chain, &run);
    return 0;
}

void vhd_chain_ahead(VhdChainAhead *ahead, VhdChain *chain, uint64_t off)
{
    uint64_t bytes = vhd_chain_sectors(chain) * VHD_SECTOR_BYTES, len;
    uint64_t limit = MIN(bytes, off + VHD_CHAIN_AHEAD_BYTES);

    for (ahead->end = MAX(ahead->end, off); ahead->end < limit; ahead->end += len)
        if (ask_piece(chain, ahead->end, MIN(bytes - ahead->end, VHD_CHAIN_AHEAD_BYTES), &len))
            len = limit - ahead->end; /* who reads it is told; not to be asked again and again */
}

void vhd_chain_run_ahead(VhdChain *chain, const VhdChainRun *run)
{
    if (!vhd_chain_run_is_zero(run) && run->len >= SMALL_BYTES)
        vhd_file_hint(vhd_image_file(vhd_chain_layer(chain, (unsigned)run->layer)),
                      VHD_FILE_READ_SOON, run->off, MIN(run->len, VHD_CHAIN_AHEAD_BYTES));
}
