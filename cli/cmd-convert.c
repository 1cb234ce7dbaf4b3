/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* vhdctl convert: a chain or a raw disk as one new file, on a block device or to standard output.
 * What is zero is not read, and in a file not written.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/inode.h"
#include "cli/open.h"
#include "cli/progress.h"
#include "cli/sink.h"
#include "cli/source.h"
#include "cli/stdin.h"
#include "vhd/chain-ahead.h"
#include "vhd/error.h"

#define CHUNK_BYTES (1u << 20)
#define AZURE_BYTES (1u << 20)
#define ZERO_BYTES  (64u << 20) /* of a device are made zero before the user is asked again */

typedef struct ConvertArgs {
    SinkFormat sink;
    SourceFormat source;
    uint32_t block_bytes;
    gboolean force, unlocked, progress, azure;
    const char *from, *to;
    bool to_stdout;
} ConvertArgs;

typedef struct Conversion {
    const ConvertArgs *args;
    Source *source; /* NULL: standard input, a pipe that is not kept */
    Target *target; /* NULL: standard output */
    Sink *sink;
    VhdChainAhead ahead;
    uint8_t *buf; /* CHUNK_BYTES, and a sector of room */
} Conversion;

static bool is_zero(const uint8_t *bytes, size_t len)
{
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0;
}

static int put(Sink *sink, bool zero, uint64_t off, const uint8_t *buf, size_t len)
{
    return zero ? sink_zero(sink, off, len) : sink_write(sink, off, buf, len);
}

/* Stretches of data and of zeros out of len bytes at off, at least 1. 0 or -errno. */
static int write_pieces(Sink *sink, uint64_t off, const uint8_t *buf, size_t len)
{
    size_t unit = sink_zero_unit(sink), start = 0, at = 0;
    bool was_zero = false;
    int err = 0;

    while (at < len && !err) {
        size_t piece = MIN(unit - (off + at) % unit, len - at);
        bool zero = is_zero(buf + at, piece);

        if (at > start && zero != was_zero) {
            err = put(sink, was_zero, off + start, buf + start, at - start);
            start = at;
        }
        was_zero = zero;
        at += piece;
    }
    return err ? err : put(sink, was_zero, off + start, buf + start, len - start);
}

static bool refuse(const char *name, const char *doing, uint64_t off, int err, GError **error)
{
    g_autofree char *what = g_strdup_printf("%s offset %" PRIu64 " of the disk", doing, off);

    vhd_error_set_errno(error, err == -ENOSPC ? VHD_ERROR_NOSPACE : VHD_ERROR_IO, name, what, -err);
    return false;
}

static bool interrupted(const ConvertArgs *args, const Target *target, GError **error)
{
    if (target)
        return target_interrupted(target, error);
    g_set_error(error, VHD_ERROR, VHD_ERROR_INVALID, "%s: interrupted", args->to);
    return false;
}

static bool copy_chunk(Conversion *conversion, const VhdChainRun *run, uint64_t done, size_t len,
                       GError **error)
{
    const ConvertArgs *args = conversion->args;
    uint64_t off = run->start + done;
    int err = source_read(conversion->source, run, done, conversion->buf, len);

    if (err)
        return refuse(args->from, "read", off, err, error);
    memset(conversion->buf + len, 0, VHD_SECTOR_BYTES);
    err = write_pieces(conversion->sink, off, conversion->buf, len);
    return err ? refuse(args->to, "write", off, err, error) : true;
}

static bool copy_zeros(Conversion *conversion, uint64_t off, uint64_t len, GError **error)
{
    int err = sink_zero(conversion->sink, off, len);

    return err ? refuse(conversion->args->to, "write", off, err, error) : true;
}

static bool copy_run(Conversion *conversion, const VhdChainRun *run, GError **error)
{
    bool zero = vhd_chain_run_is_zero(run);

    if (zero && !sink_wants_zeros(conversion->sink))
        return true;
    for (uint64_t done = 0, len; done < run->len; done += len) {
        bool good;

        len = MIN(zero ? ZERO_BYTES : CHUNK_BYTES, run->len - done);
        if (!zero)
            vhd_chain_ahead(&conversion->ahead, source_chain(conversion->source),
                            run->start + done);
        good = zero ? copy_zeros(conversion, run->start + done, len, error)
                    : copy_chunk(conversion, run, done, (size_t)len, error);
        if (!good)
            return false;
        progress_show((double)(run->start + done + len) / (double)source_bytes(conversion->source));
        if (progress_interrupted())
            return false;
    }
    return true;
}

static bool copy(Conversion *conversion, GError **error)
{
    uint64_t bytes = source_bytes(conversion->source);
    VhdChainRun run;

    for (uint64_t at = 0; at < bytes; at += run.len) {
        int err = source_run(conversion->source, at, &run);

        if (err)
            return refuse(conversion->args->from, "map", at, err, error);
        if (!copy_run(conversion, &run, error))
            return false;
    }
    return true;
}

/* From a pipe to where all of it may go at once. */
static bool stream(Conversion *conversion, GError **error)
{
    size_t got;

    for (uint64_t off = 0;; off += got) {
        int err = 0;

        if (!stdin_read(conversion->buf, CHUNK_BYTES, &got)) {
            vhd_error_set_errno(error, VHD_ERROR_IO, "standard input", "read it", errno);
            return false;
        }
        if (progress_interrupted())
            return false;
        if (got > 0)
            err = write_pieces(conversion->sink, off, conversion->buf, got);
        if (err)
            return refuse(conversion->args->to, "write", off, err, error);
        if (got < CHUNK_BYTES)
            return true;
    }
}

static bool finish(Conversion *conversion, GError **error)
{
    int err = sink_finish(conversion->sink);

    if (err)
        vhd_error_set_errno(error, err == -ENOSPC ? VHD_ERROR_NOSPACE : VHD_ERROR_IO,
                            conversion->args->to, "write it out", -err);
    return err == 0 && (!conversion->target || target_publish(conversion->target, error));
}

/* With conversion's source, sink and target open. */
static bool transfer(Conversion *conversion, GError **error)
{
    g_autofree uint8_t *buf = g_malloc(CHUNK_BYTES + VHD_SECTOR_BYTES);
    bool done;

    conversion->buf = buf;
    done = (conversion->source ? copy(conversion, error) : stream(conversion, error)) &&
           finish(conversion, error);
    if (!done && progress_interrupted()) {
        g_clear_error(error);
        interrupted(conversion->args, conversion->target, error);
    }
    if (!done && conversion->target)
        target_tell_remains(conversion->target, error);
    return done;
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

static bool open_target(Conversion *conversion, mode_t mode, GError **error)
{
    const ConvertArgs *args = conversion->args;
    VhdChain *chain = conversion->source ? source_chain(conversion->source) : NULL;

    if (args->to_stdout)
        return true;
    if (!target_is_device(args->to))
        conversion->target = target_open(args->to, mode, args->force, chain, error);
    else if (args->sink == SINK_RAW)
        conversion->target = target_open_device(args->to, args->force, chain, error);
    else
        g_set_error(error, VHD_ERROR, VHD_ERROR_INVALID,
                    "%s: is a block device, which takes a raw disk only; add -O raw", args->to);
    return conversion->target != NULL;
}

/* The target comes first where the source is a pipe: that can be read once, and may be long. */
static bool open_pipe(Conversion *conversion, GError **error)
{
    const ConvertArgs *args = conversion->args;

    if (!open_target(conversion, TARGET_MODE_DEFAULT, error))
        return false;
    if (conversion->target && !target_on_device(conversion->target)) {
        conversion->source = source_open_stdin(args->to, args->source, error);
        return conversion->source != NULL;
    }
    if (args->source == SOURCE_RAW)
        return true;
    g_set_error(
        error, VHD_ERROR, VHD_ERROR_INVALID,
        "standard input: a VHD cannot come through a pipe; if it is a raw disk, add -f raw");
    return false;
}

static bool open_file(Conversion *conversion, const char *path, GError **error)
{
    const ConvertArgs *args = conversion->args;

    conversion->source = source_open(path, args->source, args->unlocked, error);
    return conversion->source && open_target(conversion, mode_of_source(conversion->source), error);
}

static bool open_both(Conversion *conversion, GError **error)
{
    if (strcmp(conversion->args->from, "-") != 0)
        return open_file(conversion, conversion->args->from, error);
    return stdin_is_file() ? open_file(conversion, "/dev/stdin", error)
                           : open_pipe(conversion, error);
}

static void conversion_clear(Conversion *conversion)
{
    sink_close(conversion->sink);
    source_close(conversion->source);
    target_close(conversion->target);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Conversion, conversion_clear)

static bool convert(const ConvertArgs *args, GError **error)
{
    g_auto(Conversion) conversion = {.args = args};
    bool done;

    if (!open_both(&conversion, error))
        return false;
    conversion.sink = sink_open(conversion.target, args->sink,
                                conversion.source ? disk_bytes(args, conversion.source) : 0,
                                args->block_bytes, error);
    if (!conversion.sink)
        return false;
    progress_begin(args->progress);
    done = transfer(&conversion, error);
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
         "Replace an existing file, or what a block device holds, if it is not in use", NULL},
        PROGRESS_OPTION(&args.progress),
        OPEN_UNLOCKED_OPTION(&args.unlocked),
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
    args.to_stdout = strcmp(operands[1], "-") == 0;
    args.to = args.to_stdout ? "standard output" : operands[1];
    if (args.to_stdout && args.sink != SINK_RAW)
        return cli_usage(verb, "standard output takes a raw disk only: add -O raw");
    if (args.to_stdout && isatty(STDOUT_FILENO))
        return cli_usage(verb, "standard output is a terminal: name a file");
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
