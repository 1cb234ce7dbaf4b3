/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "cli/sink.h"

#include <string.h>

#include "cli/cli.h"
#include "vhd/error.h"
#include "vhd/image-create.h"

/* What an image keeps in memory between two flushes is bounded so. */
#define DIRTY_ENTRIES_MAX 4096

struct Sink {
    VhdFile *file;
    VhdImage *image; /* dynamic; owns file */
    uint64_t bytes;
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

Sink *sink_open(Target *target, SinkFormat format, uint64_t bytes, uint32_t block_bytes,
                GError **error)
{
    g_autoptr(Sink) sink = g_new0(Sink, 1);
    VhdCreate create = {.type = format == SINK_FIXED ? VHD_TYPE_FIXED : VHD_TYPE_DYNAMIC,
                        .disk_bytes = round_up_sector(bytes),
                        .block_bytes = block_bytes};
    VhdImageOptions options = {.writable = true, .force_write = true, .warn = cli_warn_text};

    sink->file = target_file(target);
    sink->bytes = bytes;
    if (format == SINK_RAW)
        return make_raw(sink->file, bytes, error) ? g_steal_pointer(&sink) : NULL;
    if (!vhd_image_create(sink->file, &create, error))
        return NULL;
    if (format == SINK_DYNAMIC) {
        sink->image = vhd_image_open(target_steal_file(target), &options, error);
        if (!sink->image)
            return NULL;
    }
    return g_steal_pointer(&sink);
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
        err = vhd_file_write(sink->file, VHD_IO_DATA, write.off, buf, piece);
        ended = vhd_image_end_write(sink->image, &write, err == 0);
        if (err || ended)
            return err ? err : ended;
        off += piece;
        buf += piece;
        len -= piece;
    }
    return 0;
}

int sink_write(Sink *sink, uint64_t off, const uint8_t *buf, size_t len)
{
    VhdImageDirt dirt;
    int err;

    if (!sink->image)
        return vhd_file_write(sink->file, VHD_IO_DATA, off, buf, len);
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
