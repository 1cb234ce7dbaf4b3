/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "cli/sink.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/stdout.h"
#include "vhd/error.h"
#include "vhd/file-behind.h"
#include "vhd/image-create.h"

/* What an image keeps in memory between two flushes is bounded so. */
#define DIRTY_ENTRIES_MAX 4096

/* Zeros worth leaving out of a file, telling a device of, or writing apart from data. */
#define FILE_ZERO_UNIT   4096u
#define DEVICE_ZERO_UNIT (64u << 10)
#define STDOUT_ZERO_UNIT (1u << 20)

struct Sink {
    VhdFile *file;   /* NULL: standard output */
    VhdImage *image; /* dynamic; owns file */
    bool device;     /* keeps what nobody writes, */
    uint64_t room;   /* and has so many bytes */
    VhdFileBehind behind;
};

bool sink_parse_format(const char *text, SinkFormat *format, GError **error)
{
    static const char *const names[] = {
        [SINK_RAW] = "raw", [SINK_FIXED] = "fixed", [SINK_DYNAMIC] = "dynamic"};

    *format = SINK_DYNAMIC;
    if (!text)
        return true;
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        *format = (SinkFormat)i;
        if (strcmp(text, names[i]) == 0)
            return true;
    }
    g_set_error(error, VHD_ERROR, VHD_ERROR_INVALID,
                "output format '%s' is neither raw nor fixed nor dynamic", text);
    return false;
}

static uint64_t round_up_sector(uint64_t bytes)
{
    return (bytes + VHD_SECTOR_BYTES - 1) / VHD_SECTOR_BYTES * VHD_SECTOR_BYTES;
}

static bool make_raw(VhdFile *file, uint64_t bytes, GError **error)
{
    int err = vhd_file_resize(file, bytes);

    if (err)
        vhd_error_set_errno(error, VHD_ERROR_IO, file->name, "set its length", -err);
    return err == 0;
}

/* What comes from a pipe is 0 bytes at this time; *room tells of more. */
static bool fits_device(VhdFile *file, uint64_t bytes, uint64_t *room, GError **error)
{
    VhdFileInfo info;
    int err = vhd_file_info(file, &info);

    if (err)
        vhd_error_set_errno(error, VHD_ERROR_IO, file->name, "tell its size", -err);
    else if (info.bytes < bytes)
        g_set_error(error, VHD_ERROR, VHD_ERROR_NOSPACE,
                    "%s: has %" PRIu64 " bytes, fewer than the disk's %" PRIu64
                    "; name a larger device",
                    file->name, info.bytes, bytes);
    *room = err ? 0 : info.bytes;
    return !err && info.bytes >= bytes;
}

static bool begin_raw(Sink *sink, uint64_t bytes, GError **error)
{
    if (!sink->file)
        return true;
    return sink->device ? fits_device(sink->file, bytes, &sink->room, error)
                        : make_raw(sink->file, bytes, error);
}

Sink *sink_open(Target *target, SinkFormat format, uint64_t bytes, uint32_t block_bytes,
                GError **error)
{
    g_autoptr(Sink) sink = g_new0(Sink, 1);
    VhdCreate create = {.type = format == SINK_FIXED ? VHD_TYPE_FIXED : VHD_TYPE_DYNAMIC,
                        .disk_bytes = round_up_sector(bytes),
                        .block_bytes = block_bytes};
    VhdImageOptions options = {.writable = true, .force_write = true, .warn = cli_warn_text};

    if (target) {
        sink->file = target_file(target);
        sink->device = target_on_device(target);
    }
    if (format == SINK_RAW)
        return begin_raw(sink, bytes, error) ? g_steal_pointer(&sink) : NULL;
    if (!vhd_image_create(sink->file, &create, error))
        return NULL;
    if (format == SINK_DYNAMIC) {
        sink->image = vhd_image_open(target_steal_file(target), &options, error);
        if (!sink->image)
            return NULL;
    }
    return g_steal_pointer(&sink);
}

static int write_data(Sink *sink, uint64_t off, const uint8_t *buf, uint64_t len)
{
    int err = vhd_file_write(sink->file, VHD_IO_DATA, off, buf, len);

    vhd_file_behind(&sink->behind, sink->file, off, len);
    return err;
}

static int write_blocks(Sink *sink, uint64_t off, const uint8_t *buf, uint64_t len)
{
    while (len > 0) {
        VhdImageWrite write;
        uint64_t piece;
        int ended, err = vhd_image_begin_write(sink->image, off / VHD_SECTOR_BYTES,
                                               len / VHD_SECTOR_BYTES, &write);

        if (err)
            return err;
        piece = (uint64_t)write.sectors * VHD_SECTOR_BYTES;
        err = write_data(sink, write.off, buf, piece);
        ended = vhd_image_end_write(sink->image, &write, err == 0);
        if (err || ended)
            return err ? err : ended;
        off += piece;
        buf += piece;
        len -= piece;
    }
    return 0;
}

bool sink_wants_zeros(const Sink *sink)
{
    return !sink->file || sink->device;
}

size_t sink_zero_unit(const Sink *sink)
{
    return !sink->file ? STDOUT_ZERO_UNIT : sink->device ? DEVICE_ZERO_UNIT : FILE_ZERO_UNIT;
}

int sink_zero(Sink *sink, uint64_t off, uint64_t len)
{
    if (!sink->file)
        return stdout_write_zeros(len);
    if (!sink->device)
        return 0;
    /* Punching passes over what is not there. */
    if (off > sink->room || len > sink->room - off)
        return -ENOSPC;
    return vhd_file_punch(sink->file, VHD_IO_DATA, off, len);
}

int sink_write(Sink *sink, uint64_t off, const uint8_t *buf, size_t len)
{
    VhdImageDirt dirt;
    int err;

    if (!sink->file)
        return stdout_write(buf, len);
    if (!sink->image)
        return write_data(sink, off, buf, len);
    err = write_blocks(sink, off, buf, round_up_sector(len));
    if (err)
        return err;
    vhd_image_dirt(sink->image, &dirt);
    return dirt.entries >= DIRTY_ENTRIES_MAX ? vhd_image_flush(sink->image) : 0;
}

int sink_finish(Sink *sink)
{
    return sink->image ? vhd_image_finish(sink->image) : 0;
}

void sink_close(Sink *sink)
{
    if (!sink)
        return;
    vhd_image_unref(sink->image);
    g_free(sink);
}
