/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * vhdctl measure: how large the file will be that convert makes. Nothing is read but where data
 * lies, so zeros that take space in the source count as data: convert leaves them out.
 */
#include <inttypes.h>
#include <stdio.h>

#include "cli/cli.h"
#include "cli/open.h"
#include "cli/output.h"
#include "cli/sink.h"
#include "cli/size.h"
#include "cli/source.h"
#include "cli/target.h"
#include "vhd/image-create.h"

#define DEFAULT_BLOCK_BYTES (2u << 20)

typedef struct MeasureArgs {
    SinkFormat sink;
    SourceFormat source;
    uint32_t block_bytes;
    uint64_t bytes; /* of the disk */
    gboolean json, unlocked;
} MeasureArgs;

/* How many blocks hold a byte of what is not known to be zero. 0 or -errno. */
static int count_blocks(Source *source, uint32_t block_bytes, uint32_t *blocks)
{
    uint64_t bytes = source_bytes(source), next = 0; /* the first block not counted yet */
    VhdChainRun run;

    *blocks = 0;
    for (uint64_t at = 0; at < bytes; at += run.len) {
        uint64_t first, end;
        int err = source_run(source, at, &run);

        if (err)
            return err;
        if (vhd_chain_run_is_zero(&run))
            continue;
        first = MAX(run.start / block_bytes, next);
        end = (run.start + run.len - 1) / block_bytes + 1;
        *blocks += (uint32_t)(end > first ? end - first : 0);
        next = MAX(end, next);
    }
    return 0;
}

static void print_sizes(bool json, uint64_t required, uint64_t full)
{
    JsonBuilder *builder;

    if (!json) {
        printf("required size: %" PRIu64 "\nfully allocated size: %" PRIu64 "\n", required, full);
        return;
    }
    builder = json_builder_new();
    json_builder_begin_object(builder);
    output_json_number(builder, "required", required);
    output_json_number(builder, "fully-allocated", full);
    json_builder_end_object(builder);
    output_json_print(builder);
}

/* source NULL: a disk of args->bytes that holds nothing. */
static int measure(const MeasureArgs *args, Source *source, const char *name)
{
    uint64_t bytes = args->bytes, required = bytes, full = bytes;
    VhdCreate create = {.type = args->sink == SINK_FIXED ? VHD_TYPE_FIXED : VHD_TYPE_DYNAMIC,
                        .disk_bytes = bytes + (0 - bytes) % VHD_SECTOR_BYTES,
                        .block_bytes = args->block_bytes};
    g_autoptr(GError) error = NULL;
    uint32_t blocks = 0;

    if (args->sink != SINK_RAW) {
        if (!vhd_image_create_bytes(name, &create, VHD_CREATE_ALL, &full, &error))
            return cli_fail_error(error);
        if (source && args->sink == SINK_DYNAMIC) {
            int err = count_blocks(source, args->block_bytes, &blocks);

            if (err)
                return cli_fail("%s: cannot map it: %s", name, g_strerror(-err));
        }
        if (!vhd_image_create_bytes(name, &create, blocks, &required, &error))
            return cli_fail_error(error);
    }
    print_sizes(args->json, required, full);
    return cli_finish_stdout(CLI_DONE);
}

static int measure_source(MeasureArgs *args, const char *path)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Source) source = source_open(path, args->source, args->unlocked, &error);

    if (!source)
        return cli_fail_error(error);
    args->bytes = source_bytes(source);
    return measure(args, source, path);
}

static int run_measure(const CliVerb *verb, int argc, char **argv)
{
    g_autofree char *sink = NULL, *source = NULL, *block_size = NULL, *size = NULL;
    MeasureArgs args = {.block_bytes = DEFAULT_BLOCK_BYTES};
    const GOptionEntry entries[] = {
        {"output", 'O', 0, G_OPTION_ARG_FILENAME, &sink, SINK_FORMAT_HELP, "FORMAT"},
        {"source", 'f', 0, G_OPTION_ARG_FILENAME, &source, SOURCE_FORMAT_HELP("SRC"), "FORMAT"},
        {"block-size", 'b', 0, G_OPTION_ARG_FILENAME, &block_size,
         "Size of a block of a dynamic image (default 2M)", "SIZE"},
        {"size", 0, 0, G_OPTION_ARG_FILENAME, &size, "A new disk of this size, in place of SRC",
         "SIZE"},
        {"json", 0, 0, G_OPTION_ARG_NONE, &args.json, "Print JSON, as qemu-img measure does", NULL},
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
        (block_size && !target_parse_block_size(block_size, &args.block_bytes, &error)) ||
        (size && !size_parse(size, "size", &args.bytes, &error)))
        return cli_usage(verb, "%s", error->message);
    if (block_size && args.sink != SINK_DYNAMIC)
        return cli_usage(verb, "only a dynamic image has blocks, --block-size cannot be kept");
    if ((size != NULL) == (operands[0] != NULL))
        return cli_usage(verb, "either SRC or --size is needed%s", size ? ", not both" : "");
    return size ? measure(&args, NULL, "a new image") : measure_source(&args, operands[0]);
}

const CliVerb cli_measure = {
    .name = "measure",
    .operands = "[SRC]",
    .summary = "Tell how large a converted image will be",
    .operands_min = 0,
    .operands_max = 1,
    .usage_status = CLI_USAGE,
    .run = run_measure,
};
