/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "handler/lba-status.h"

#include "handler/io.h"
#include "handler/iovecs.h"
#include "handler/tcmur-abi.h"
#include "vhd/be.h"

enum {
    HEADER_BYTES = 8,
    DESCRIPTOR_BYTES = 16,
    DESCRIPTORS_MAX = 64,
    DEALLOCATED = 1, /* provisioning status; 0: mapped */
};

typedef struct LbaStatus {
    Io io;
    const struct iovec *iov;
    size_t iov_cnt;
    size_t alloc;
    bool thin; /* else all of it is mapped */
    VhdDiskRun runs[DESCRIPTORS_MAX];
} LbaStatus;

/* Where the LUN does not tell about provisioning there is one run only. */
static void join_runs(LbaStatus *status)
{
    VhdRequest *request = &status->io.request;

    status->runs[0] = (VhdDiskRun){.mapped = true, .len = request->len};
    request->run_count = 1;
}

/* Fill descriptors; returns how many bytes. One counts up to 2^32 - 1 blocks: a longer run is cut,
 * and nothing may follow. */
static size_t put_descriptors(const LbaStatus *status, uint8_t *at)
{
    const VhdRequest *request = &status->io.request;
    uint64_t lba = request->off / LUN_BLOCK_BYTES;
    size_t bytes = 0;

    for (unsigned i = 0; i < request->run_count; i++) {
        uint64_t blocks = status->runs[i].len / LUN_BLOCK_BYTES;

        be64_put(at + bytes, lba);
        be32_put(at + bytes + 8, (uint32_t)MIN(blocks, UINT32_MAX));
        at[bytes + 12] = status->runs[i].mapped ? 0 : DEALLOCATED;
        bytes += DESCRIPTOR_BYTES;
        if (blocks > UINT32_MAX)
            break;
        lba += blocks;
    }
    return bytes;
}

static void status_step(Io *io)
{
    LbaStatus *status = (LbaStatus *)io;
    uint8_t data[HEADER_BYTES + DESCRIPTORS_MAX * DESCRIPTOR_BYTES] = {0};
    size_t bytes;

    if (io->result < 0) {
        io_complete(io, io_status(io));
        return;
    }
    if (!status->thin)
        join_runs(status);
    bytes = HEADER_BYTES + put_descriptors(status, data + HEADER_BYTES);
    be32_put(data, (uint32_t)bytes - 4);
    iovecs_copy_in(status->iov, status->iov_cnt, data, MIN(bytes, status->alloc));
    io_complete(io, TCMU_STS_OK);
}

int lba_status_start(Lun *lun, const Carried *carried)
{
    LbaStatus *status = (LbaStatus *)io_new(lun, carried->cmd, sizeof *status, status_step);
    uint64_t room;

    if (!status)
        return TCMU_STS_NO_RESOURCE;
    status->thin = lun->discard;
    status->iov = carried->iov;
    status->iov_cnt = carried->iov_cnt;
    status->alloc = (size_t)carried->length;
    room = carried->length > HEADER_BYTES ? (carried->length - HEADER_BYTES) / DESCRIPTOR_BYTES : 0;
    status->io.request.op = VHD_OP_STATUS;
    status->io.request.off = carried->off;
    status->io.request.len = lun->blocks * LUN_BLOCK_BYTES - carried->off;
    status->io.request.runs = status->runs;
    status->io.request.run_room = (unsigned)CLAMP(room, 1, DESCRIPTORS_MAX);
    io_submit(&status->io);
    return TCMU_STS_OK;
}
