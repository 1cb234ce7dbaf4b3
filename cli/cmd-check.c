/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* vhdctl check: is an image, or a chain, what the format says it must be? Exit status as
 * qemu-img's: 0 clean, 1 could not check, 2 corrupt, 3 leaks only. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/open.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "handler/cfgstring.h"
#include "vhd/check.h"
#include "vhd/disk.h"

#define CHECK_CORRUPT 2
#define CHECK_LEAKS   3

/* A layer being checked. Findings are printed as they come; as JSON they wait for the totals, which
 * qemu-img prints first. */
typedef struct CheckRun {
    JsonBuilder *builder; /* NULL: text */
    GPtrArray *findings;  /* of JsonNode, of this layer */
    char *name;           /* of this layer's file */
    bool chain, unlocked;
    unsigned failed, errors, leaks; /* of all layers */
    unsigned mended, asked;         /* of this layer: what vhdctl repair does, and does if asked */
} CheckRun;

static void begin_layer(void *data, unsigned layer, VhdFile *file)
{
    CheckRun *run = data;

    g_free(run->name);
    run->name = g_strdup(file->name);
    if (run->unlocked)
        open_warn_of_writer(file);
    if (run->chain && !run->builder) {
        g_autofree char *shown = output_visible(file->name);

        printf("%slayer %u: %s\n", layer > 0 ? "\n" : "", layer, shown);
    }
}

static JsonNode *finding_node(const VhdFinding *finding)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();

    json_builder_begin_object(builder);
    output_json_string(builder, "code", vhd_finding_name(finding->code));
    output_json_string(builder, "severity", vhd_severity_name(finding->severity));
    if (finding->off != VHD_FINDING_NOWHERE)
        output_json_number(builder, "offset", finding->off);
    if (finding->bytes > 0)
        output_json_number(builder, "bytes", finding->bytes);
    output_json_bool(builder, "repairable", finding->repairable);
    output_json_bool(builder, "asks", finding->asks);
    output_json_string(builder, "text", finding->text);
    json_builder_end_object(builder);
    return json_builder_get_root(builder);
}

static void take_finding(void *data, const VhdFinding *finding)
{
    CheckRun *run = data;

    run->mended += finding->repairable;
    run->asked += finding->asks;
    if (run->builder) {
        g_ptr_array_add(run->findings, finding_node(finding));
    } else {
        g_autofree char *name = g_strdup_printf("%s (%s)", vhd_severity_name(finding->severity),
                                                vhd_finding_name(finding->code));

        output_line(0, name, "%s", finding->text);
    }
}

static void print_totals(const VhdCheckResult *result)
{
    unsigned errors = result->count[VHD_SEVERITY_ERROR], leaks = result->count[VHD_SEVERITY_LEAK];

    if (errors > 0)
        printf("%u errors were found on the image.\n", errors);
    if (leaks > 0)
        printf("%" PRIu64 " bytes of the file belong to nothing.\n", result->leaked_bytes);
    if (result->count[VHD_SEVERITY_FAILED] > 0)
        printf("%u places could not be read.\n", result->count[VHD_SEVERITY_FAILED]);
    else if (errors == 0 && leaks == 0)
        printf("No errors were found on the image.\n");
    if (result->blocks > 0)
        printf("%" PRIu64 "/%" PRIu64 " = %.2f%% allocated\n", result->blocks_in_use,
               result->blocks, 100.0 * (double)result->blocks_in_use / (double)result->blocks);
    printf("Image end offset: %" PRIu64 "\n", result->end_off);
}

static void name_repair(const CheckRun *run)
{
    if (run->mended > 0)
        printf("Some of this vhdctl repair can mend; --dry-run shows what it would do.\n");
    if (run->asked > 0)
        printf("Some of this takes a decision: see vhdctl repair --yes and --footer.\n");
}

static void add_json(CheckRun *run, const VhdCheckResult *result)
{
    JsonBuilder *builder = run->builder;

    json_builder_begin_object(builder);
    output_json_number(builder, "image-end-offset", result->end_off);
    output_json_number(builder, "total-clusters", result->blocks);
    output_json_number(builder, "check-errors", result->count[VHD_SEVERITY_FAILED]);
    if (result->count[VHD_SEVERITY_ERROR] > 0)
        output_json_number(builder, "corruptions", result->count[VHD_SEVERITY_ERROR]);
    if (result->count[VHD_SEVERITY_LEAK] > 0)
        output_json_number(builder, "leaks", result->count[VHD_SEVERITY_LEAK]);
    output_json_number(builder, "allocated-clusters", result->blocks_in_use);
    output_json_string(builder, "filename", run->name);
    output_json_string(builder, "format", "vpc");
    json_builder_set_member_name(builder, "findings");
    json_builder_begin_array(builder);
    for (guint i = 0; i < run->findings->len; i++)
        json_builder_add_value(builder, g_ptr_array_index(run->findings, i));
    json_builder_end_array(builder);
    json_builder_end_object(builder);
    g_ptr_array_set_size(run->findings, 0);
}

static void end_layer(void *data, unsigned layer, const VhdCheckResult *result)
{
    CheckRun *run = data;

    (void)layer;
    progress_end(false);
    run->failed += result->count[VHD_SEVERITY_FAILED];
    run->errors += result->count[VHD_SEVERITY_ERROR];
    run->leaks += result->count[VHD_SEVERITY_LEAK];
    if (run->builder)
        add_json(run, result);
    else
        print_totals(result);
    if (!run->builder)
        name_repair(run);
    run->mended = run->asked = 0;
}

static int status_of(const CheckRun *run)
{
    return run->failed   ? CLI_FAILED
           : run->errors ? CHECK_CORRUPT
           : run->leaks  ? CHECK_LEAKS
                         : CLI_DONE;
}

/* What the handler would say, where it follows other rules than vhdctl. */
static int probe_handler(const CfgString *config, int status)
{
    g_autoptr(GError) error = NULL;
    VhdDiskOptions options;

    cfgstring_disk_options(config, &options);
    options.no_lock = true; /* the LUN may well be there */
    if (vhd_disk_probe(&options, &error))
        return status;
    cli_fail("the handler would refuse: %s", error->message);
    return status == CLI_DONE ? CHECK_CORRUPT : status;
}

static int check(const char *path, bool json, VhdCheckOptions *options)
{
    CheckRun run = {.chain = options->ancestors, .unlocked = !options->lock};
    g_autoptr(GError) error = NULL;
    bool done;

    options->report = take_finding;
    options->layer_begin = begin_layer;
    options->layer_end = end_layer;
    options->stop = progress_stop;
    options->data = &run;
    run.findings = g_ptr_array_new();
    run.builder = json ? json_builder_new() : NULL;
    if (run.builder && run.chain)
        json_builder_begin_array(run.builder);
    done = vhd_check_chain(path, options, &error);
    progress_end(false);
    if (run.builder && run.chain)
        json_builder_end_array(run.builder);
    if (run.builder && done)
        output_json_print(run.builder);
    else if (run.builder)
        g_object_unref(run.builder);
    g_ptr_array_set_free_func(run.findings, (GDestroyNotify)json_node_unref);
    g_ptr_array_unref(run.findings);
    g_free(run.name);
    return cli_finish_stdout(done ? status_of(&run) : cli_fail_error(error));
}

static int check_config(const CfgString *config, bool json, VhdCheckOptions *options)
{
    int status;

    options->ancestors = true;
    options->confined = true;
    options->parents = (const char *const *)config->parents->pdata;
    options->raw_parent = config->raw_parent;
    options->max_depth = config->max_depth;
    options->lock = options->lock && config->lock;
    status = check(config->path, json, options);
    return status == CLI_FAILED ? status : probe_handler(config, status);
}

static int run_check(const CliVerb *verb, int argc, char **argv)
{
    gboolean chain = FALSE, json = FALSE, unlocked = FALSE, progress = FALSE;
    g_autofree char *string = NULL;
    const GOptionEntry entries[] = {
        {"chain", 0, 0, G_OPTION_ARG_NONE, &chain, "Check its ancestors, too", NULL},
        {"config", 0, 0, G_OPTION_ARG_FILENAME, &string,
         "Instead of IMAGE: what a LUN's config string names, by the handler's rules", "STRING"},
        {"json", 0, 0, G_OPTION_ARG_NONE, &json, "Print JSON, as qemu-img check does", NULL},
        PROGRESS_OPTION(&progress),
        OPEN_UNLOCKED_OPTION(&unlocked),
        {NULL, 0, 0, 0, NULL, NULL, NULL},
    };
    VhdCheckOptions options = {.lock_wait_ms = OPEN_LOCK_WAIT_MS};
    g_autoptr(CfgString) config = NULL;
    g_autoptr(GError) error = NULL;
    char **operands;
    int status;

    if (!cli_parse(verb, entries, argc, argv, &operands, &status))
        return status;
    if (!string == !operands[0])
        return string ? cli_usage(verb, "the config string names the image, '%s' is one too many",
                                  operands[0])
                      : cli_usage(verb, "IMAGE is missing");
    config = string ? cfgstring_parse(string, &error) : NULL;
    if (string && !config)
        return cli_fail_error(error);
    options.ancestors = chain;
    options.lock = !unlocked;
    progress_begin(progress);
    return config ? check_config(config, json, &options) : check(operands[0], json, &options);
}

const CliVerb cli_check = {
    .name = "check",
    .operands = "IMAGE",
    .summary = "Look for damage",
    .operands_min = 0,
    .operands_max = 1,
    .usage_status = CLI_FAILED,
    .run = run_check,
};
