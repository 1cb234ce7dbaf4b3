/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "handler/copy.h"

#include "handler/command.h"
#include "handler/io.h"
#include "handler/iovecs.h"
#include "handler/scsi.h"
#include "handler/sense.h"
#include "vhd/be.h"

#define PIECE_BYTES (1024 * 1024) /* copied at once */

enum { HEADER_BYTES = 16, TARGET_BYTES = 32, SEGMENT_BYTES = 28 };

/* Key, ASC and ASCQ. */
enum {
    KEY_ILLEGAL_REQUEST = 0x05,
    KEY_COPY_ABORTED = 0x0a,
    ASC_NONE = 0x0000,
    ASC_UNREACHABLE_TARGET = 0x0804,
    ASC_TARGET_NOT_REACHABLE = 0x0d02,
    ASC_TOO_MANY_TARGETS = 0x2606,
    ASC_TARGET_TYPE = 0x2607,
    ASC_TOO_MANY_SEGMENTS = 0x2608,
    ASC_SEGMENT_TYPE = 0x2609,
    ASC_INLINE_DATA = 0x260b,
};

typedef struct Segment {
    uint64_t from, to; /* LBA */
    uint32_t blocks;
} Segment;

/* A parameter list, as far as it may go. */
typedef struct CopyList {
    uint8_t bytes[HEADER_BYTES + COPY_LIST_BYTES];
    size_t targets_bytes, segments_bytes;
    unsigned targets, segments;
    Segment segment[COPY_SEGMENTS];
} CopyList;

static int refuse(struct tcmulib_cmd *lib, uint16_t asc_ascq)
{
    return sense_set(lib, KEY_ILLEGAL_REQUEST, asc_ascq);
}

static int abort_copy(struct tcmulib_cmd *lib, uint16_t asc_ascq)
{
    return sense_set(lib, KEY_COPY_ABORTED, asc_ascq);
}

/* The header: how much of what follows. */
static int parse_header(struct tcmulib_cmd *lib, const struct iovec *iov, size_t iov_cnt,
                        size_t length, CopyList *list)
{
    size_t descriptors;

    if (length < HEADER_BYTES || iovecs_bytes(iov, iov_cnt) < length)
        return TCMU_STS_INVALID_PARAM_LIST_LEN;
    iovecs_copy_out(iov, iov_cnt, list->bytes, MIN(length, sizeof list->bytes));
    list->targets_bytes = be16_get(list->bytes + 2);
    list->segments_bytes = be32_get(list->bytes + 8);
    descriptors = list->targets_bytes + list->segments_bytes;
    if (descriptors > COPY_LIST_BYTES || descriptors > length - HEADER_BYTES)
        return TCMU_STS_INVALID_PARAM_LIST_LEN;
    if (be32_get(list->bytes + 12) != 0)
        return refuse(lib, ASC_INLINE_DATA);
    if (list->targets_bytes % TARGET_BYTES)
        return TCMU_STS_INVALID_PARAM_LIST;
    list->targets = (unsigned)(list->targets_bytes / TARGET_BYTES);
    return list->targets > COPY_TARGETS ? refuse(lib, ASC_TOO_MANY_TARGETS) : TCMU_STS_OK;
}

/* One that does not name this LUN: what lies elsewhere cannot be reached from here. */
static int check_target(const Lun *lun, struct tcmulib_cmd *lib, const uint8_t *at)
{
    uint8_t name[16];

    if (at[0] != COPY_TARGET_TYPE)
        return refuse(lib, ASC_TARGET_TYPE);
    if (at[1] & 0xc0) /* LU ID type */
        return TCMU_STS_INVALID_PARAM_LIST;
    if (at[1] & 0x20) /* NUL: no device */
        return abort_copy(lib, ASC_TARGET_NOT_REACHABLE);
    if (at[1] & 0x1f) /* not a disk */
        return TCMU_STS_INVALID_PARAM_LIST;
    if (!scsi_name(lun, name) || (at[4] & 0x0f) != 0x01 || (at[5] & 0x3f) != 0x03 ||
        at[7] != sizeof name || memcmp(at + 8, name, sizeof name) != 0)
        return abort_copy(lib, ASC_TARGET_NOT_REACHABLE);
    if ((be32_get(at + 28) & 0xffffff) != LUN_BLOCK_BYTES)
        return TCMU_STS_INVALID_PARAM_LIST;
    return TCMU_STS_OK;
}

static bool in_range(const Lun *lun, uint64_t lba, uint32_t blocks)
{
    return lba <= lun->blocks && blocks <= lun->blocks - lba;
}

static int parse_segment(const Lun *lun, struct tcmulib_cmd *lib, CopyList *list, const uint8_t *at)
{
    Segment segment = {be64_get(at + 12), be64_get(at + 20), be16_get(at + 10)};

    if (be16_get(at + 4) >= list->targets || be16_get(at + 6) >= list->targets)
        return abort_copy(lib, ASC_UNREACHABLE_TARGET);
    if (!in_range(lun, segment.from, segment.blocks) || !in_range(lun, segment.to, segment.blocks))
        return abort_copy(lib, ASC_NONE);
    if (segment.blocks > 0)
        list->segment[list->segments++] = segment;
    return TCMU_STS_OK;
}

static int parse_segments(const Lun *lun, struct tcmulib_cmd *lib, CopyList *list)
{
    const uint8_t *at = list->bytes + HEADER_BYTES + list->targets_bytes;
    const uint8_t *end = at + list->segments_bytes;

    if (list->segments_bytes > COPY_SEGMENTS * SEGMENT_BYTES)
        return refuse(lib, ASC_TOO_MANY_SEGMENTS);
    for (; at < end; at += SEGMENT_BYTES) {
        int status;

        if (at[0] != COPY_SEGMENT_TYPE)
            return refuse(lib, ASC_SEGMENT_TYPE);
        if (end - at < SEGMENT_BYTES || be16_get(at + 2) != SEGMENT_BYTES - 4)
            return TCMU_STS_INVALID_PARAM_LIST;
        status = parse_segment(lun, lib, list, at);
        if (status != TCMU_STS_OK)
            return status;
    }
    return TCMU_STS_OK;
}

static int parse(const Lun *lun, struct tcmulib_cmd *lib, const struct iovec *iov, size_t iov_cnt,
                 size_t length, CopyList *list)
{
    int status = parse_header(lib, iov, iov_cnt, length, list);

    for (unsigned i = 0; status == TCMU_STS_OK && i < list->targets; i++)
        status = check_target(lun, lib, list->bytes + HEADER_BYTES + (size_t)i * TARGET_BYTES);
    return status == TCMU_STS_OK ? parse_segments(lun, lib, list) : status;
}

int copy_check(const Lun *lun, struct tcmulib_cmd *lib, size_t length, unsigned *segments)
{
    CopyList list = {0};
    int status = parse(lun, lib, lib->iovec, lib->iov_cnt, length, &list);

    *segments = list.segments;
    return status;
}

static void note(Lun *lun, const CopyRecord *record)
{
    CopyRecord *place = NULL;

    pthread_mutex_lock(&lun->lock);
    for (unsigned i = 0; i < LUN_COPY_RECORDS; i++) {
        if (lun->copies[i].used && lun->copies[i].list_id == record->list_id)
            place = &lun->copies[i];
    }
    if (!place)
        place = &lun->copies[lun->next_copy++ % LUN_COPY_RECORDS];
    *place = *record;
    pthread_mutex_unlock(&lun->lock);
}

bool copy_find(Lun *lun, uint8_t list_id, CopyRecord *record)
{
    bool found = false;

    pthread_mutex_lock(&lun->lock);
    for (unsigned i = 0; i < LUN_COPY_RECORDS; i++) {
        if (lun->copies[i].used && lun->copies[i].list_id == list_id) {
            *record = lun->copies[i];
            found = true;
        }
    }
    pthread_mutex_unlock(&lun->lock);
    return found;
}

typedef struct Copy {
    Io io;
    CopyList list;
    unsigned segment; /* under way */
    uint32_t done;    /* blocks of it */
    uint64_t bytes;   /* of all */
    struct iovec piece;
    uint8_t *buffer;
} Copy;

static void copy_release(Io *io)
{
    g_free(((Copy *)io)->buffer);
}

/* End the command; where the list says so (list id usage 00b), its result is kept. */
static void finish(Copy *copy)
{
    int status = io_status(&copy->io);
    CopyRecord record = {
        .used = true,
        .failed = status != TCMU_STS_OK,
        .list_id = copy->list.bytes[0],
        .segments = (uint16_t)copy->segment,
        .bytes = (uint32_t)copy->bytes,
    };

    if ((copy->list.bytes[1] & 0x18) == 0)
        note(copy->io.lun, &record);
    io_complete(&copy->io, status);
}

static void written_step(Io *io);

/* What was read goes to its place. Zeros stay holes. */
static void read_step(Io *io)
{
    Copy *copy = (Copy *)io;
    VhdRequest *request = &io->request;

    if (io->result < 0) {
        finish(copy);
        return;
    }
    request->op = iovecs_are_zero(&copy->piece, 1) ? VHD_OP_WRITE_ZEROES : VHD_OP_WRITE;
    request->off = (copy->list.segment[copy->segment].to + copy->done) * LUN_BLOCK_BYTES;
    io->step = written_step;
    io_submit(io);
}

static void copy_submit(Copy *copy)
{
    const Segment *segment = &copy->list.segment[copy->segment];
    uint64_t left = (uint64_t)(segment->blocks - copy->done) * LUN_BLOCK_BYTES;
    VhdRequest *request = &copy->io.request;

    copy->piece.iov_len = (size_t)MIN(left, PIECE_BYTES);
    request->op = VHD_OP_READ;
    request->off = (segment->from + copy->done) * LUN_BLOCK_BYTES;
    request->len = copy->piece.iov_len;
    request->iov = &copy->piece;
    request->iovcnt = 1;
    copy->io.step = read_step;
    io_submit(&copy->io);
}

static void written_step(Io *io)
{
    Copy *copy = (Copy *)io;

    if (io->result < 0) {
        finish(copy);
        return;
    }
    copy->bytes += io->request.len;
    copy->done += (uint32_t)(io->request.len / LUN_BLOCK_BYTES);
    if (copy->done == copy->list.segment[copy->segment].blocks) {
        copy->segment++;
        copy->done = 0;
    }
    if (copy->segment == copy->list.segments)
        finish(copy);
    else
        copy_submit(copy);
}

int copy_start(Lun *lun, const Carried *carried)
{
    Copy *copy = (Copy *)io_new(lun, carried->cmd, sizeof *copy, read_step);
    int status;

    if (!copy)
        return TCMU_STS_NO_RESOURCE;
    copy->io.release = copy_release;
    copy->buffer = g_try_malloc(PIECE_BYTES);
    if (!copy->buffer)
        return io_abandon(&copy->io, TCMU_STS_NO_RESOURCE);
    copy->piece.iov_base = copy->buffer;
    status = parse(lun, command_lib(carried->cmd), carried->iov, carried->iov_cnt,
                   (size_t)carried->length, &copy->list);
    if (status != TCMU_STS_OK || copy->list.segments == 0)
        return io_abandon(&copy->io, status != TCMU_STS_OK ? status : TCMU_STS_HW_ERR);
    copy_submit(copy);
    return TCMU_STS_OK;
}
