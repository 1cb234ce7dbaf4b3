/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* vhdctl write: bytes from stdin into the disk, at any offset; the rest of a sector that is written
 * in part is read through the chain first. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/open.h"
#include "cli/progress.h"
#include "cli/size.h"
#include "cli/stdin.h"
#include "vhd/disk.h"
#include "vhd/format.h"

#define CHUNK_BYTES (1u << 20)

typedef struct Writing {
    VhdDisk *disk;
    const char *name;
    uint64_t bytes; /* of the disk */
    uint64_t start; /* where the first byte goes */
    uint64_t at;    /* where the next one goes */
    uint8_t *buf;   /* CHUNK_BYTES; begins with the sector that at lies in */
} Writing;

static int fail_at(const Writing *writing, const char *doing, int err)
{
    return cli_fail("%s: cannot %s offset %" PRIu64 ": %s", writing->name, doing, writing->at,
                    g_strerror(-err));
}

/* Write len bytes that stand in buf behind skip, with the rest of the first and the last sector as
 * the disk has it. 0 or -errno. */
static int write_chunk(Writing *writing, size_t skip, size_t len)
{
    uint64_t first = writing->at - skip;
    size_t end = skip + len,
           aligned = (end + VHD_SECTOR_BYTES - 1) / VHD_SECTOR_BYTES * VHD_SECTOR_BYTES;
    size_t last = aligned - VHD_SECTOR_BYTES;
    uint8_t sector[VHD_SECTOR_BYTES];
    int err = 0;

    if (skip > 0) {
        err = vhd_disk_read(writing->disk, first, sector, sizeof(sector));
        memcpy(writing->buf, sector, skip);
    }
    if (!err && end < aligned) {
        err = vhd_disk_read(writing->disk, first + last, sector, sizeof(sector));
        memcpy(writing->buf + end, sector + (end - last), aligned - end);
    }
    return err ? err : vhd_disk_write(writing->disk, first, writing->buf, aligned, false);
}

/* The disk is full to its end: is there more to be written? */
static int at_disk_end(Writing *writing)
{
    uint8_t more;
    size_t got = 0;

    if (!stdin_read(&more, 1, &got))
        return cli_fail("cannot read standard input: %s", g_strerror(errno));
    if (got == 0)
        return CLI_DONE;
    return cli_fail("%s: the data reach beyond the end of the disk, which has %" PRIu64
                    " bytes; the first %" PRIu64 " bytes of them were written",
                    writing->name, writing->bytes, writing->at - writing->start);
}

static int copy_in(Writing *writing)
{
    while (writing->at < writing->bytes) {
        size_t skip = writing->at % VHD_SECTOR_BYTES, got = 0;
        size_t room = MIN(CHUNK_BYTES - skip, writing->bytes - writing->at);
        bool readable = stdin_read(writing->buf + skip, room, &got);
        int err = 0;

        if (got > 0)
            err = write_chunk(writing, skip, got);
        if (err)
            return fail_at(writing, "write", err);
        writing->at += got;
        if (!readable)
            return cli_fail("cannot read standard input: %s", g_strerror(errno));
        if (progress_interrupted())
            return cli_fail("%s: interrupted, %" PRIu64 " bytes were written", writing->name,
                            writing->at - writing->start);
        if (got < room)
            return CLI_DONE;
    }
    return at_disk_end(writing);
}

/* What a regular file on stdin has left is known before anything is written. */
static bool fits(const Writing *writing)
{
    struct stat st;
    off_t at;

    if (writing->start > writing->bytes) {
        cli_fail("%s: offset %" PRIu64 " lies beyond the end of the disk, which has %" PRIu64
                 " bytes",
                 writing->name, writing->start, writing->bytes);
        return false;
    }
    if (fstat(STDIN_FILENO, &st) < 0 || !S_ISREG(st.st_mode))
        return true;
    at = lseek(STDIN_FILENO, 0, SEEK_CUR);
    if (at < 0 || st.st_size <= at ||
        (uint64_t)(st.st_size - at) <= writing->bytes - writing->start)
        return true;
    cli_fail("%s: %" PRIu64 " bytes from offset %" PRIu64
             " on reach beyond the end of the disk, which has %" PRIu64
             " bytes; nothing was written",
             writing->name, (uint64_t)(st.st_size - at), writing->start, writing->bytes);
    return false;
}

static int write_disk(VhdDisk *disk, const char *name, uint64_t off)
{
    Writing writing = {.disk = disk, .name = name, .start = off, .at = off};
    VhdDiskInfo info;
    int status, err;

    vhd_disk_info(disk, &info);
    writing.bytes = info.bytes;
    if (info.read_only)
        return cli_fail("%s: can only be read", name);
    if (!fits(&writing))
        return CLI_FAILED;
    writing.buf = g_malloc(CHUNK_BYTES);
    status = copy_in(&writing);
    g_free(writing.buf);
    err = vhd_disk_flush(disk);
    return err ? cli_fail("%s: cannot write it out: %s", name, g_strerror(-err)) : status;
}

static void log_disk(void *data, int level, const char *text)
{
    (void)data;
    if (level > 0)
        cli_warn("%s", text);
}

static int run_write(const CliVerb *verb, int argc, char **argv)
{
    g_autofree char *offset = NULL;
    gboolean force = FALSE;
    const GOptionEntry entries[] = {
        {"offset", 'o', 0, G_OPTION_ARG_FILENAME, &offset, "Where to begin (default 0)", "SIZE"},
        {"force", 'f', 0, G_OPTION_ARG_NONE, &force, "Write although the file is write protected",
         NULL},
        {NULL, 0, 0, 0, NULL, NULL, NULL},
    };
    VhdDiskOptions options = {.lock_wait_ms = OPEN_LOCK_WAIT_MS, .log = log_disk};
    g_autoptr(GError) error = NULL;
    VhdDisk *disk;
    uint64_t off = 0;
    char **operands;
    int status, err;

    if (!cli_parse(verb, entries, argc, argv, &operands, &status))
        return status;
    if (offset && !size_parse(offset, "offset", &off, &error))
        return cli_usage(verb, "%s", error->message);
    options.path = operands[0];
    options.force_write = force;
    options.no_pending = !open_log_waits(operands[0], &error);
    if (error)
        return cli_fail_error(error);
    progress_catch_signals();
    disk = vhd_disk_open(&options, &error);
    if (!disk)
        return cli_fail_error(error);
    status = write_disk(disk, operands[0], off);
    err = vhd_disk_close(disk);
    if (err && status == CLI_DONE)
        return cli_fail("%s: cannot write it out: %s", operands[0], g_strerror(-err));
    return status;
}

const CliVerb cli_write = {
    .name = "write",
    .operands = "IMAGE",
    .summary = "Write standard input into the disk",
    .operands_min = 1,
    .operands_max = 1,
    .usage_status = CLI_USAGE,
    .run = run_write,
};
