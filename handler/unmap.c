/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "handler/unmap.h"

#include "handler/command.h"
#include "handler/io.h"
#include "handler/iovecs.h"
#include "vhd/be.h"

enum { HEADER_BYTES = 8, RANGE_BYTES = 16 };

typedef struct Range {
    uint64_t lba;
    uint32_t blocks;
} Range;

/* Up to LUN_UNMAP_DESCRIPTORS ranges of a parameter list of length bytes; *count: how many, one too
 * many where there are more. A last one that is cut off does not count (SBC-3, UNMAP). */
static int parse_list(const struct iovec *iov, size_t iov_cnt, size_t length, Range *ranges,
                      unsigned *count)
{
    uint8_t list[HEADER_BYTES + LUN_UNMAP_DESCRIPTORS * RANGE_BYTES];
    size_t bytes;

    *count = 0;
    if (length < HEADER_BYTES || iovecs_bytes(iov, iov_cnt) < length)
        return TCMU_STS_INVALID_PARAM_LIST_LEN;
    iovecs_copy_out(iov, iov_cnt, list, MIN(length, sizeof list));
    bytes = MIN(be16_get(list + 2), length - HEADER_BYTES);
    if (bytes / RANGE_BYTES > LUN_UNMAP_DESCRIPTORS)
        return TCMU_STS_INVALID_PARAM_LIST;
    *count = (unsigned)(bytes / RANGE_BYTES);
    for (unsigned i = 0; i < *count; i++) {
        const uint8_t *at = list + HEADER_BYTES + (size_t)i * RANGE_BYTES;
        ranges[i] = (Range){.lba = be64_get(at), .blocks = be32_get(at + 8)};
    }
    return TCMU_STS_OK;
}

int unmap_check(const Lun *lun, struct tcmulib_cmd *lib, unsigned *ranges)
{
    Range list[LUN_UNMAP_DESCRIPTORS];
    size_t length = be16_get(lib->cdb + 7);
    int status;

    *ranges = 0;
    if (length == 0)
        return TCMU_STS_OK;
    status = parse_list(lib->iovec, lib->iov_cnt, length, list, ranges);
    for (unsigned i = 0; status == TCMU_STS_OK && i < *ranges; i++) {
        if (list[i].blocks > LUN_MAX_UNMAP_BLOCKS)
            status = TCMU_STS_INVALID_PARAM_LIST;
        else if (list[i].lba > lun->blocks || list[i].blocks > lun->blocks - list[i].lba)
            status = TCMU_STS_RANGE;
    }
    return status;
}

typedef struct Unmap {
    Io io;
    Range ranges[LUN_UNMAP_DESCRIPTORS];
    unsigned next, count;
} Unmap;

static void unmap_submit(Unmap *unmap)
{
    const Range *range = &unmap->ranges[unmap->next++];

    unmap->io.request.off = range->lba * LUN_BLOCK_BYTES;
    unmap->io.request.len = (uint64_t)range->blocks * LUN_BLOCK_BYTES;
    io_submit(&unmap->io);
}

static void unmap_step(Io *io)
{
    Unmap *unmap = (Unmap *)io;

    if (io->result < 0 || unmap->next == unmap->count)
        io_complete(io, io_status(io));
    else
        unmap_submit(unmap);
}

int unmap_start(Lun *lun, const Carried *carried)
{
    Unmap *unmap = (Unmap *)io_new(lun, carried->cmd, sizeof *unmap, unmap_step);
    int status;

    if (!unmap)
        return TCMU_STS_NO_RESOURCE;
    unmap->io.request.op = VHD_OP_UNMAP;
    status = parse_list(carried->iov, carried->iov_cnt, (size_t)carried->length, unmap->ranges,
                        &unmap->count);
    if (status != TCMU_STS_OK || unmap->count == 0)
        return io_abandon(&unmap->io, status != TCMU_STS_OK ? status : TCMU_STS_HW_ERR);
    unmap_submit(unmap);
    return TCMU_STS_OK;
}
