/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* vhdctl convert: a chain or a raw disk as one new file. What is zero is neither read nor written.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/cli.h"
#include "cli/inode.h"
#include "cli/open.h"
#include "cli/progress.h"
#include "cli/sink.h"
#include "cli/source.h"
#include "cli/stdin.h"
#include "vhd/error.h"

#define CHUNK_BYTES (1u << 20)
#define AZURE_BYTES (1u << 20)
#define PIECE_BYTES 4096u /* zeros of this size and alignment are left out */

typedef struct ConvertArgs {
    SinkFormat sink;
    SourceFormat source;
    uint32_t block_bytes;
    gboolean force, unlocked, progress, azure;
    const char *from, *to;
} ConvertArgs;

static bool is_zero(const uint8_t *bytes, size_t len)
{
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0;
}

/* Write what is not zero of len bytes at off. 0 or -errno. */
static int write_pieces(Sink *sink, uint64_t off, const uint8_t *buf, size_t len)
{
    size_t start = 0, at = 0;
    int err = 0;

    while (at < len && !err) {
        size_t piece = MIN(PIECE_BYTES - (off + at) % PIECE_BYTES, len - at);

        if (is_zero(buf + at, piece)) {
            if (at > start)
                err = sink_write(sink, off + start, buf + start, at - start);
            start = at + piece;
        }
        at += piece;
    }
    return err || at == start ? err : sink_write(sink, off + start, buf + start, at - start);
}

static bool refuse(const char *name, const char *doing, uint64_t off, int err, GError **error)
{
    g_autofree char *what = g_strdup_printf("%s offset %" PRIu64 " of the disk", doing, off);

    vhd_error_set_errno(error, err == -ENOSPC ? VHD_ERROR_NOSPACE : VHD_ERROR_IO, name, what, -err);
    return false;
}

/* buf: CHUNK_BYTES and a sector of room. */
static bool copy_run(Source *source, Sink *sink, const ConvertArgs *args, const VhdChainRun *run,
                     uint8_t *buf, GError **error)
{
    for (uint64_t done = 0; done < run->len;) {
        size_t len = MIN(CHUNK_BYTES, run->len - done);
        uint64_t off = run->start + done;
        int err = source_read(source, run, done, buf, len);

        if (err)
            return refuse(args->from, "read", off, err, error);
        memset(buf + len, 0, VHD_SECTOR_BYTES);
        err = write_pieces(sink, off, buf, len);
        if (err)
            return refuse(args->to, "write", off, err, error);
        done += len;
        progress_show((double)(off + len) / (double)source_bytes(source));
        if (progress_interrupted()) {
            g_set_error(error, VHD_ERROR, VHD_ERROR_INVALID, "%s: interrupted, nothing was made",
                        args->to);
            return false;
        }
    }
    return true;
}

static bool copy(Source *source, Sink *sink, const ConvertArgs *args, GError **error)
{
    g_autofree uint8_t *buf = g_malloc(CHUNK_BYTES + VHD_SECTOR_BYTES);
    uint64_t bytes = source_bytes(source);
    VhdChainRun run;
    int err;

    for (uint64_t at = 0; at < bytes; at += run.len) {
        err = source_run(source, at, &run);
        if (err)
            return refuse(args->from, "map", at, err, error);
        if (!vhd_chain_run_is_zero(&run) && !copy_run(source, sink, args, &run, buf, error))
            return false;
    }
    err = sink_finish(sink);
    if (err)
        vhd_error_set_errno(error, err == -ENOSPC ? VHD_ERROR_NOSPACE : VHD_ERROR_IO, args->to,
                            "write it out", -err);
    return err == 0;
}

static mode_t mode_of_source(const Source *source)
{
    VhdFileInfo info;
    VhdImage *layer = vhd_chain_layer(source_chain(source), 0);

    /* A copy shows what the source shows. Devices have modes of their own kind. */
    if (vhd_file_info(vhd_image_file(layer), &info) != 0 || (info.mode & S_IFMT) != S_IFREG)
        return TARGET_MODE_DEFAULT;
    return inode_child_mode(info.mode);
}

/* Of the disk made: Azure takes whole MiB only, the rest of the last one is zeros. */
static uint64_t disk_bytes(const ConvertArgs *args, const Source *source)
{
    uint64_t bytes = source_bytes(source);

    return args->azure ? (bytes + AZURE_BYTES - 1) / AZURE_BYTES * AZURE_BYTES : bytes;
}

/* The target comes first where the source is a pipe: that can be read once, and may be long. */
static Source *open_pipe(const ConvertArgs *args, Target **target, GError **error)
{
    *target = target_open(args->to, TARGET_MODE_DEFAULT, args->force, NULL, error);
    return *target ? source_open_stdin(args->to, args->source, error) : NULL;
}

static Source *open_file(const ConvertArgs *args, const char *path, Target **target, GError **error)
{
    g_autoptr(Source) source = source_open(path, args->source, args->unlocked, error);

    if (!source)
        return NULL;
    *target =
        target_open(args->to, mode_of_source(source), args->force, source_chain(source), error);
    return *target ? g_steal_pointer(&source) : NULL;
}

static Source *open_both(const ConvertArgs *args, Target **target, GError **error)
{
    if (strcmp(args->from, "-") != 0)
        return open_file(args, args->from, target, error);
    return stdin_is_file() ? open_file(args, "/dev/stdin", target, error)
                           : open_pipe(args, target, error);
}

static bool convert(const ConvertArgs *args, GError **error)
{
    g_autoptr(Target) target = NULL;
    g_autoptr(Source) source = open_both(args, &target, error);
    g_autoptr(Sink) sink = NULL;
    bool done;

    if (!source)
        return false;
    sink = sink_open(target, args->sink, disk_bytes(args, source), args->block_bytes, error);
    if (!sink)
        return false;
    progress_begin(args->progress);
    done = copy(source, sink, args, error) && target_publish(target, error);
    progress_end(done);
    return done;
}

static int run_convert(const CliVerb *verb, int argc, char **argv)
{
    g_autofree char *sink = NULL, *source = NULL, *block_size = NULL;
    ConvertArgs args = {.block_bytes = 0};
    const GOptionEntry entries[] = {
        {"output", 'O', 0, G_OPTION_ARG_FILENAME, &sink, SINK_FORMAT_HELP, "FORMAT"},
        {"source", 'f', 0, G_OPTION_ARG_FILENAME, &source, SOURCE_FORMAT_HELP("SRC"), "FORMAT"},
        {"block-size", 'b', 0, G_OPTION_ARG_FILENAME, &block_size,
         "Size of a block of a dynamic image (default 2M)", "SIZE"},
        {"azure", 0, 0, G_OPTION_ARG_NONE, &args.azure,
         "A fixed image that Azure takes: of whole MiB", NULL},
        {"force", 0, 0, G_OPTION_ARG_NONE, &args.force,
         "Replace an existing file that is not in use", NULL},
        {"progress", 'p', 0, G_OPTION_ARG_NONE, &args.progress, PROGRESS_HELP, NULL},
        {"unlocked", 'U', 0, G_OPTION_ARG_NONE, &args.unlocked, OPEN_UNLOCKED_HELP, NULL},
        {NULL, 0, 0, 0, NULL, NULL, NULL},
    };
    g_autoptr(GError) error = NULL;
    char **operands;
    int status;

    if (!cli_parse(verb, entries, argc, argv, &operands, &status))
        return status;
    if (!sink_parse_format(sink, &args.sink, &error) ||
        !source_parse_format(source, &args.source, &error) ||
        (block_size && !target_parse_block_size(block_size, &args.block_bytes, &error)))
        return cli_usage(verb, "%s", error->message);
    if (args.azure && sink && args.sink != SINK_FIXED)
        return cli_usage(verb, "Azure takes fixed images only");
    if (args.azure)
        args.sink = SINK_FIXED;
    if (block_size && args.sink != SINK_DYNAMIC)
        return cli_usage(verb, "only a dynamic image has blocks, --block-size cannot be kept");
    args.from = operands[0];
    args.to = operands[1];
    return convert(&args, &error) ? CLI_DONE : cli_fail_error(error);
}

const CliVerb cli_convert = {
    .name = "convert",
    .operands = "SRC DST",
    .summary = "Flatten a chain or take in a raw disk, as one new file",
    .operands_min = 2,
    .operands_max = 2,
    .usage_status = CLI_USAGE,
    .run = run_convert,
};
