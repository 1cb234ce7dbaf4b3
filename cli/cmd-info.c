/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* vhdctl info: what an image is, with --chain what each of its layers is. */
#include <inttypes.h>
#include <stdio.h>

#include "cli/cli.h"
#include "cli/facts.h"
#include "cli/open.h"
#include "cli/output.h"

typedef struct InfoArgs {
    gboolean chain, size, json, unlocked;
} InfoArgs;

static int print_json(const Facts *facts)
{
    JsonBuilder *builder = json_builder_new();

    facts_add_json(facts, builder);
    output_json_print(builder);
    return cli_finish_stdout(CLI_DONE);
}

/* One image: its parent is looked for, but need not be there. */
static int info_image(const char *path, const InfoArgs *args)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VhdImage) image = open_head(path, args->unlocked, &error);
    g_autoptr(VhdFile) parent = NULL;
    g_autoptr(Facts) facts = NULL;

    if (!image)
        return cli_fail_error(error);
    if (args->size) {
        printf("%" PRIu64 "\n", vhd_image_footer(image)->current_bytes);
        return cli_finish_stdout(CLI_DONE);
    }
    if (vhd_image_layout(image)->type == VHD_TYPE_DIFFERENCING)
        parent = open_parent_file(image, NULL);
    facts = facts_new(image, parent ? parent->name : NULL);
    if (args->json)
        return print_json(facts);
    facts_print(facts);
    return cli_finish_stdout(CLI_DONE);
}

static int info_chain(const char *path, const InfoArgs *args)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VhdChain) chain = open_chain(path, args->unlocked, &error);
    JsonBuilder *builder = NULL;

    if (!chain)
        return cli_fail_error(error);
    if (args->json) {
        builder = json_builder_new();
        json_builder_begin_array(builder);
    }
    for (unsigned i = 0; i < vhd_chain_depth(chain); i++) {
        VhdImage *below = i + 1 < vhd_chain_depth(chain) ? vhd_chain_layer(chain, i + 1) : NULL;
        g_autoptr(Facts) facts =
            facts_new(vhd_chain_layer(chain, i), below ? vhd_image_name(below) : NULL);

        if (args->json) {
            facts_add_json(facts, builder);
        } else {
            printf("%s", i > 0 ? "\n" : "");
            facts_print(facts);
        }
    }
    if (args->json) {
        json_builder_end_array(builder);
        output_json_print(builder);
    }
    return cli_finish_stdout(CLI_DONE);
}

static int run_info(const CliVerb *verb, int argc, char **argv)
{
    InfoArgs args = {.chain = FALSE};
    const GOptionEntry entries[] = {
        {"chain", 0, 0, G_OPTION_ARG_NONE, &args.chain, "Tell about its ancestors, too", NULL},
        {"size", 0, 0, G_OPTION_ARG_NONE, &args.size, "Print the size of the disk in bytes alone",
         NULL},
        {"json", 0, 0, G_OPTION_ARG_NONE, &args.json, "Print JSON, as qemu-img info does", NULL},
        OPEN_UNLOCKED_OPTION(&args.unlocked),
        {NULL, 0, 0, 0, NULL, NULL, NULL},
    };
    char **operands;
    int status;

    if (!cli_parse(verb, entries, argc, argv, &operands, &status))
        return status;
    if (args.size && (args.chain || args.json))
        return cli_usage(verb, "--size goes with neither --chain nor --json");
    return args.chain ? info_chain(operands[0], &args) : info_image(operands[0], &args);
}

const CliVerb cli_info = {
    .name = "info",
    .operands = "IMAGE",
    .summary = "Tell what an image is",
    .operands_min = 1,
    .operands_max = 1,
    .usage_status = CLI_USAGE,
    .run = run_info,
};
