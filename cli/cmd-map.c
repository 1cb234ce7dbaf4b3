/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* vhdctl map: which layer holds which range. */
#include <inttypes.h>
#include <stdio.h>

#include "cli/cli.h"
#include "cli/open.h"
#include "cli/output.h"
#include "cli/picture.h"
#include "cli/target.h"
#include "vhd/chain-run.h"

static void print_layers(VhdChain *chain)
{
    for (unsigned i = 0; i < vhd_chain_depth(chain); i++) {
        g_autofree char *shown = output_visible(vhd_image_name(vhd_chain_layer(chain, i)));

        printf("layer %u: %s\n", i, shown);
    }
    printf("\n%18s %18s  %5s  %18s\n", "start", "length", "layer", "offset in its file");
}

static void print_text(const VhdChainRun *run)
{
    printf("%18" PRIu64 " %18" PRIu64, run->start, run->len);
    if (run->layer < 0)
        printf("  %5s  %18s\n", "-", "zero");
    else if (run->hole)
        printf("  %5d  %18s\n", run->layer, "zero");
    else
        printf("  %5d  %18" PRIu64 "\n", run->layer, run->off);
}

/* A line a run, as qemu-img writes them, so that the map of a large disk is never held whole. */
static void print_json(const VhdChainRun *run, unsigned depth, bool first)
{
    bool present = run->layer >= 0, zero = vhd_chain_run_is_zero(run);

    printf("%s{ \"start\": %" PRIu64 ", \"length\": %" PRIu64
           ", \"depth\": %u, \"present\": %s, \"zero\": %s, \"data\": %s",
           first ? "[" : ",\n", run->start, run->len, present ? (unsigned)run->layer : depth - 1,
           present ? "true" : "false", zero ? "true" : "false", zero ? "false" : "true");
    if (present)
        printf(", \"offset\": %" PRIu64, run->off);
    printf("}");
}

static int map_chain(VhdChain *chain, bool json)
{
    uint64_t end = vhd_chain_sectors(chain) * VHD_SECTOR_BYTES;
    VhdChainRun run;

    if (!json)
        print_layers(chain);
    for (uint64_t at = 0; at < end && !ferror(stdout); at += run.len) {
        int err = vhd_chain_run(chain, at, end, &run);

        if (err)
            return cli_fail("%s: cannot map offset %" PRIu64 ": %s",
                            vhd_image_name(vhd_chain_layer(chain, 0)), at, g_strerror(-err));
        if (json)
            print_json(&run, vhd_chain_depth(chain), at == 0);
        else
            print_text(&run);
    }
    if (json)
        printf("]\n");
    return cli_finish_stdout(CLI_DONE);
}

static int draw_chain(VhdChain *chain, const char *path, bool force)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Target) target = NULL;
    g_autoptr(GString) text = NULL;
    int err;

    target = target_open(path, TARGET_MODE_DEFAULT, force, chain, &error);
    if (!target)
        return cli_fail_error(error);
    text = picture_of_chain(chain, &err);
    if (!text)
        return cli_fail("%s: cannot map it: %s", vhd_image_name(vhd_chain_layer(chain, 0)),
                        g_strerror(-err));
    err = vhd_file_write(target_file(target), VHD_IO_DATA, 0, text->str, text->len);
    if (err)
        return cli_fail("%s: cannot write it: %s", path, g_strerror(-err));
    return target_publish(target, &error) ? CLI_DONE : cli_fail_error(error);
}

static int run_map(const CliVerb *verb, int argc, char **argv)
{
    g_autofree char *svg = NULL;
    gboolean json = FALSE, unlocked = FALSE, force = FALSE;
    const GOptionEntry entries[] = {
        {"json", 0, 0, G_OPTION_ARG_NONE, &json, "Print JSON, as qemu-img map does", NULL},
        {"svg", 0, 0, G_OPTION_ARG_FILENAME, &svg, "Draw it into this new file, a row a layer",
         "FILE"},
        {"force", 0, 0, G_OPTION_ARG_NONE, &force, "Replace an existing FILE", NULL},
        OPEN_UNLOCKED_OPTION(&unlocked),
        {NULL, 0, 0, 0, NULL, NULL, NULL},
    };
    g_autoptr(VhdChain) chain = NULL;
    g_autoptr(GError) error = NULL;
    char **operands;
    int status;

    if (!cli_parse(verb, entries, argc, argv, &operands, &status))
        return status;
    if (json && svg)
        return cli_usage(verb, "--json and --svg do not go together");
    chain = open_chain(operands[0], unlocked, &error);
    if (!chain)
        return cli_fail_error(error);
    return svg ? draw_chain(chain, svg, force) : map_chain(chain, json);
}

const CliVerb cli_map = {
    .name = "map",
    .operands = "IMAGE",
    .summary = "Show which layer holds which range",
    .operands_min = 1,
    .operands_max = 1,
    .usage_status = CLI_USAGE,
    .run = run_map,
};
