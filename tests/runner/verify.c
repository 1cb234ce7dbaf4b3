/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * runner-verify: random requests through a handler, checked against a model;
 * optionally removal under load; then the device is opened anew and all of it is
 * read and compared.  Exit status 0 good, 1 a mistake was found, 2 usage or the
 * device cannot be opened; a broken contract or a hang aborts.
 */
#include "verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <glib.h>

enum { SCAN_SECTORS = 2048 };

static char *opt_handler, *opt_config, *opt_model, *opt_removal;
static gint64 opt_size, opt_requests = 10000, opt_seed = 1;
static int opt_submitters = 4, opt_depth = 4, opt_watchdog = 120;
static gboolean opt_unmap, opt_under_load, opt_align, opt_verbose, opt_skip_first;

static const GOptionEntry options[] = {
    {"handler", 0, 0, G_OPTION_ARG_FILENAME, &opt_handler, "the handler's shared object", "PATH"},
    {"config", 0, 0, G_OPTION_ARG_STRING, &opt_config, "config string, subtype/...", "STRING"},
    {"size", 0, 0, G_OPTION_ARG_INT64, &opt_size, "size of the device", "BYTES"},
    {"requests", 0, 0, G_OPTION_ARG_INT64, &opt_requests, "random requests (10000)", "N"},
    {"submitters", 0, 0, G_OPTION_ARG_INT, &opt_submitters, "threads that submit (4)", "N"},
    {"depth", 0, 0, G_OPTION_ARG_INT, &opt_depth, "requests in flight a thread (4)", "N"},
    {"seed", 0, 0, G_OPTION_ARG_INT64, &opt_seed, "where random numbers begin (1)", "N"},
    {"unmap", 0, 0, G_OPTION_ARG_NONE, &opt_unmap, "UNMAP and WRITE SAME, too", NULL},
    {"remove-under-load", 0, 0, G_OPTION_ARG_NONE, &opt_under_load,
     "remove the device while the threads go on", NULL},
    {"removal", 0, 0, G_OPTION_ARG_STRING, &opt_removal,
     "drained: as the kernel does; at-once: with commands in the handler's hands", "HOW"},
    {"model", 0, 0, G_OPTION_ARG_FILENAME, &opt_model,
     "what the device holds: read first if it is there, written at the end", "FILE"},
    {"skip-first-scan", 0, 0, G_OPTION_ARG_NONE, &opt_skip_first,
     "do not read the whole device before the load", NULL},
    {"align-commands", 0, 0, G_OPTION_ARG_NONE, &opt_align, "no structures at odd addresses", NULL},
    {"watchdog", 0, 0, G_OPTION_ARG_INT, &opt_watchdog,
     "seconds without any progress that are a hang (120)", "N"},
    {"verbose", 'v', 0, G_OPTION_ARG_NONE, &opt_verbose, "print the handler's log", NULL},
    {0}};

static void parse(int *argc, char ***argv)
{
    GOptionContext *context = g_option_context_new(NULL);
    GError *error = NULL;
    bool good;

    g_option_context_add_main_entries(context, options, NULL);
    good = g_option_context_parse(context, argc, argv, &error);
    g_option_context_free(context);
    if (!good) {
        fprintf(stderr, "runner-verify: %s\n", error->message);
        exit(2);
    }
    if (!opt_removal)
        opt_removal = g_strdup("drained");
    if (!opt_handler || !opt_config || opt_size < SECTOR || opt_size % SECTOR ||
        opt_submitters < 1 || opt_depth < 1 || opt_requests < 0 ||
        (strcmp(opt_removal, "drained") != 0 && strcmp(opt_removal, "at-once") != 0)) {
        fprintf(stderr, "runner-verify: see --help\n");
        exit(2);
    }
}

static RunnerDevice *open_device(RunnerHandler *handler)
{
    RunnerDeviceConfig config = {
        .cfgstring = opt_config, .size = (uint64_t)opt_size, .align_commands = opt_align};
    char *error;
    RunnerDevice *device = runner_device_new(handler, &config, &error);

    if (!device) {
        fprintf(stderr, "runner-verify: %s: %s\n", opt_config, error);
        exit(2);
    }
    runner_clear_attention(device); /* the handler may have set the size */
    return device;
}

/* Removes the device, with so many commands under way, and checks that every command had its reply.
 * The device is freed later: submitters may still ask it. */
static bool remove_device(RunnerDevice *device, unsigned under_way)
{
    bool at_once = strcmp(opt_removal, "at-once") == 0;
    RunnerStats stats;

    runner_device_remove_busy(device, at_once ? RUNNER_REMOVE_AT_ONCE : RUNNER_REMOVE_DRAINED,
                              under_way);
    stats = runner_device_stats(device);
    printf("removed (%s) with %lu under way: %lu commands accepted, %lu replies, %lu of them "
           "aborted, %lu handled "
           "inline, depth %u\n",
           opt_removal, stats.open_at_removal, stats.accepted, stats.replied, stats.aborted,
           stats.handled_inline, stats.max_depth);
    return stats.accepted == stats.replied && (at_once || stats.aborted == 0);
}

/* Reads the whole device and compares. */
static bool scan(RunnerDevice *device, Model *model)
{
    uint8_t *data = g_malloc(SCAN_SECTORS * SECTOR);
    bool good = true;

    for (uint64_t sector = 0; sector < model->sectors && good; sector += SCAN_SECTORS) {
        uint32_t count = (uint32_t)MIN(SCAN_SECTORS, model->sectors - sector);
        char text[256];
        RunnerReply reply = runner_read(device, sector, count, data);
        if (reply.status != RUNNER_GOOD)
            snprintf(text, sizeof text, "sector %lu: status %02x sense %06x", sector, reply.status,
                     runner_reply_sense(&reply));
        good = reply.status == RUNNER_GOOD && model_check(model, sector, count, data, text);
        if (!good)
            fprintf(stderr, "runner-verify: whole device: %s\n", text);
    }
    g_free(data);
    return good;
}

/* The load, and the removal in its midst or after it. */
static bool run_load(RunnerHandler *handler, Model *model)
{
    LoadConfig config = {.submitters = (unsigned)opt_submitters,
                         .depth = (unsigned)opt_depth,
                         .requests = (uint64_t)opt_requests,
                         .seed = (uint64_t)opt_seed,
                         .unmap = opt_unmap,
                         .until_shut = opt_under_load};
    RunnerDevice *device = open_device(handler);
    uint64_t answered;
    bool good = opt_skip_first || scan(device, model);
    Load *load;

    if (!good || opt_requests == 0) {
        good = remove_device(device, 0) && good;
        runner_device_free(device);
        return good;
    }
    load = load_start(device, model, &config);
    if (opt_under_load) {
        load_wait(load, config.requests);
        good = remove_device(device, config.depth);
    }
    good = load_end(load, &answered) && good;
    printf("%lu requests answered\n", answered);
    if (!opt_under_load) {
        RunnerReply reply = runner_sync(device);
        good = reply.status == RUNNER_GOOD && good;
        good = remove_device(device, 0) && good;
    }
    runner_device_free(device);
    return good;
}

/* Opens the device anew and reads it. */
static bool reopen_and_scan(RunnerHandler *handler, Model *model)
{
    RunnerDevice *device = open_device(handler);
    bool good = scan(device, model);

    good = remove_device(device, 0) && good;
    runner_device_free(device);
    if (good)
        printf("whole device as expected\n");
    return good;
}

int main(int argc, char **argv)
{
    const struct rlimit no_core = {0, 0};
    RunnerHandler *handler;
    Model *model;
    char *error;
    bool good;

    parse(&argc, &argv);
    setrlimit(RLIMIT_CORE, &no_core);
    setvbuf(stdout, NULL, _IOLBF, 0);
    runner_log_print_level(opt_verbose ? 7 : 4);
    runner_watchdog_start((unsigned)opt_watchdog);
    handler = runner_load(opt_handler, &error);
    if (!handler) {
        fprintf(stderr, "runner-verify: %s\n", error);
        return 2;
    }
    model = model_new((uint64_t)opt_size / SECTOR);
    if (opt_model && model_load(model, opt_model) < 0) {
        perror(opt_model);
        return 2;
    }
    good = run_load(handler, model);
    good = good && reopen_and_scan(handler, model);
    if (good && opt_model && model_save(model, opt_model) != 0) {
        perror(opt_model);
        good = false;
    }
    model_free(model);
    runner_unload(handler);
    return good ? 0 : 1;
}
