/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "vhd/chain-run.h"

/* The file system looks through all that lies between to find the next hole, so it is not asked
 * again inside what it has said is data: a large image would take quadratic time. What was a hole
 * is asked again, since it may have been written. */
static int find_data(VhdChain *chain, const VhdChainRun *run, VhdDataRange *data)
{
    VhdDataRange *known = vhd_chain_data_range(chain, (unsigned)run->layer);
    VhdFile *file = vhd_image_file(vhd_chain_layer(chain, (unsigned)run->layer));
    int err = 0;

    if (run->off < known->start || run->off >= known->end)
        err = vhd_file_next_data(file, run->off, &known->start, &known->end);
    *data = *known;
    if (err)
        *known = (VhdDataRange){0, 0};
    return err;
}

/* Cut a run of data down to what is alike in the file: a hole or data. */
static void split_at_hole(VhdChain *chain, VhdChainRun *run)
{
    uint64_t end = run->off + run->len, at;
    VhdDataRange data;

    if (find_data(chain, run, &data) != 0)
        return;
    if (data.start >= data.end) /* none to the end of the file */
        data.start = end;
    at = MIN(data.start, end) / VHD_SECTOR_BYTES * VHD_SECTOR_BYTES;
    run->hole = at > run->off;
    if (!run->hole)
        at = (data.end + VHD_SECTOR_BYTES - 1) / VHD_SECTOR_BYTES * VHD_SECTOR_BYTES;
    if (at < end)
        run->len = at - run->off;
}

static int next_piece(VhdChain *chain, uint64_t start, uint64_t end, VhdChainRun *run)
{
    VhdExtent extent;
    int err =
        vhd_chain_map(chain, start / VHD_SECTOR_BYTES, (end - start) / VHD_SECTOR_BYTES, &extent);

    if (err)
        return err;
    *run = (VhdChainRun){.start = start,
                         .len = extent.sectors * VHD_SECTOR_BYTES,
                         .layer = extent.layer,
                         .off = extent.layer < 0 ? 0 : extent.off};
    if (run->layer >= 0)
        split_at_hole(chain, run);
    return 0;
}

static bool continues(const VhdChainRun *run, const VhdChainRun *next)
{
    return run->layer == next->layer && run->hole == next->hole &&
           (run->layer < 0 || run->off + run->len == next->off);
}

int vhd_chain_run(VhdChain *chain, uint64_t start, uint64_t end, VhdChainRun *run)
{
    int err = next_piece(chain, start, end, run);

    while (!err && run->start + run->len < end) {
        VhdChainRun next;

        err = next_piece(chain, run->start + run->len, end, &next);
        if (err || !continues(run, &next))
            break;
        run->len += next.len;
    }
    return err;
}
