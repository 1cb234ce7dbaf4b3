/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * Power cuts and deaths of the process, simulated. Exit status: 0 no image was broken (with
 * --break: one was, by the invariant that it should be), 1 otherwise, 2 trouble.
 *
 * Seed after seed until enough images are built: a random chain, a few lives of a process that
 * serves it (life.h), and the images that crashes could have left (cuts.h), each judged (judge.h).
 */
#include <glib.h>
#include <glib/gstdio.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/crash/cuts.h"
#include "tests/crash/mutants.h"
#include "tests/crash/pick.h"
#include "tests/crash/verbs.h"

typedef struct Folders {
    char *files, *pending, *judge;
} Folders;

static char *make_folder(void)
{
    const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : g_get_tmp_dir();
    char *path = g_build_filename(base, "crash-test-XXXXXX", NULL);

    if (!g_mkdtemp(path)) {
        perror(path);
        exit(2);
    }
    return path;
}

static void remove_folder(char *path)
{
    log_folder_clear(path);
    g_rmdir(path);
    g_free(path);
}

/* What the next life finds must be what the last one left. */
static bool next_is_fine(const Life *last, const Life *next, Violation *violation)
{
    bool closed = last->plan.end == LIFE_CLOSED;
    LedgerCut cut = ledger_cut(last->ledger, last->ended_at,
                               last->plan.end == LIFE_KILLED ? LEDGER_ACKED : LEDGER_FLUSHED);

    for (uint64_t i = 0; i < last->sectors; i++) {
        const uint8_t *found = next->content + i * SECTOR_BYTES;
        g_autofree char *text = NULL;

        if (ledger_judge(&cut, i, found) == LEDGER_FINE)
            continue;
        text = ledger_describe(found);
        return violate(violation,
                       closed                          ? 8
                       : last->plan.end == LIFE_KILLED ? 10
                                                       : 7,
                       "sector %" G_GUINT64_FORMAT " holds %s", i, text);
    }
    return true;
}

/* A barrier has failed: what reached the disk is a matter of chance, and the kernel still shows
 * all of it. Judge some such disks; the last one is what the next life finds. */
static void settle_failed_barrier(Tally *tally, Life *life, unsigned tolerated)
{
    Rig *rig = life->rig;
    uint64_t now = trace_now(life->opened.trace);
    g_autoptr(TraceCut) cut = trace_cut_new(life->opened.trace, 0, life->base, now);
    MemImage *disk = NULL;

    for (unsigned i = 0; i < 6; i++) {
        Pick pick = {.way = i % 2 ? PICK_SECTORS : PICK_OPERATIONS, .bits = rng_next(&rig->rng)};
        g_autoptr(MemImage) cache = mem_image_clone(rig->layers[0]);
        Case judged = {.rig = rig,
                       .trace_cut = cut,
                       .cache = cache,
                       .log = log_tap_at(life->tap, now),
                       .tolerated = tolerated,
                       .blamed = 7,
                       .seed = rng_next(&rig->rng)};
        Violation violation;

        mem_image_unref(disk);
        disk = trace_cut_image(cut, pick_choose, &pick);
        mem_image_resize(disk, mem_image_bytes(cache));
        judged.image = mem_image_clone(disk);
        judged.cut = ledger_cut(life->ledger, now, LEDGER_FLUSHED);
        if (tally_next(tally) && !judge(&judged, &violation))
            tally_violation(tally, rig, &violation,
                            "a barrier fails, and the image is opened anew");
        mem_image_unref(judged.image);
    }
    mem_image_unref(rig->layers[0]);
    rig->layers[0] = disk;
}

static void run_lives(Tally *tally, Rig *rig)
{
    unsigned lives = (unsigned)rng_range(&rig->rng, 1, 3);
    Life *last = NULL;

    for (unsigned i = 0; i < lives && !tally->done; i++) {
        LifePlan plan = life_plan(&rig->rng);
        char text[300];
        unsigned tolerated = judge_errors(rig->layers[0], rig->pending_dir, text);
        g_autoptr(GError) error = NULL;
        Violation violation;
        Life *life = life_open(rig, &plan, NULL, &error);

        if (!life) {
            violate(&violation, 1, "%s", error->message);
            tally_violation(tally, rig, &violation, "life %u does not begin", i);
            break;
        }
        if (last && !next_is_fine(last, life, &violation))
            tally_violation(tally, rig, &violation, "life %u begins", i);
        life_run(life);
        if (life->mishap && !violate(&violation, 8, "%s", life->mishap))
            tally_violation(tally, rig, &violation, "life %u runs", i);
        cuts_of_life(tally, life, tolerated);
        if (plan.end == LIFE_BARRIER_FAILED)
            settle_failed_barrier(tally, life, tolerated);
        life_free(last);
        last = life;
    }
    life_free(last);
}

static void run_seed(Tally *tally, uint64_t seed, const Folders *folders)
{
    Rig *rig = rig_new(seed, folders->files, folders->pending, folders->judge);

    tally->in_seed = 0;
    verbs_of_rig(tally, rig);
    run_lives(tally, rig);
    log_folder_clear(folders->pending);
    rig_free(rig);
}

static void report(const Tally *tally, const char *program)
{
    if (tally->found.invariant == 0)
        return;
    printf("crash-test: VIOLATION of invariant %u: %s\n  when %s\n", tally->found.invariant,
           tally->found.text, tally->where);
    printf("  again: %s --seed %" G_GUINT64_FORMAT " --image %" G_GUINT64_FORMAT "\n", program,
           tally->found_seed, tally->found_image);
}

/* Seeds from the first until there are enough images or something is found. Returns how many. */
static uint64_t run_seeds(Tally *tally, uint64_t first, bool one, const Folders *folders)
{
    uint64_t seed = first;

    do
        run_seed(tally, seed++, folders);
    while (!one && !tally->done && tally->images < tally->most);
    return seed - first;
}

static double cpu_seconds(void)
{
    return (double)clock() / CLOCKS_PER_SEC;
}

typedef struct Settings {
    gint64 seed, images, image;
    char *rule;
    gboolean mutants;
} Settings;

static int run(const Settings *settings, const Folders *folders, const char *program)
{
    Tally tally = {.most = settings->image ? G_MAXUINT64 : (uint64_t)settings->images,
                   .only = (uint64_t)settings->image};
    uint64_t seeds;

    if (settings->rule && !mutants_choose(settings->rule)) {
        fprintf(stderr, "crash-test: there is no rule '%s' to break\n", settings->rule);
        return 2;
    }
    seeds = run_seeds(&tally, (uint64_t)settings->seed, settings->image != 0, folders);
    report(&tally, program);
    printf("crash-test: seeds %" G_GINT64_FORMAT " and %" G_GUINT64_FORMAT
           " more, %" G_GUINT64_FORMAT " cuts, %" G_GUINT64_FORMAT " crash images, %s; %.0f a "
           "second\n",
           settings->seed, seeds - 1, tally.cuts, tally.images,
           tally.found.invariant ? "BROKEN" : "none broken",
           (double)tally.images / MAX(cpu_seconds(), 0.001));
    return tally.found.invariant ? 1 : 0;
}

/* Each rule in turn, until what should be found is. */
static int run_mutants(const Settings *settings, const Folders *folders)
{
    unsigned failed = 0;

    for (unsigned i = 0; i < mutants_count(); i++) {
        Tally tally = {.most = (uint64_t)settings->images, .wanted = mutants_at(i)->wanted};

        mutants_choose(mutants_at(i)->name);
        run_seeds(&tally, (uint64_t)settings->seed, false, folders);
        failed += !tally.done;
        printf("%-16s %s", mutants_at(i)->name, tally.done ? "" : "NOT FOUND; ");
        if (tally.found.invariant)
            printf("invariant %u, image %" G_GUINT64_FORMAT ": %s; %s", tally.found.invariant,
                   tally.images, tally.found.text, tally.where);
        printf("\n");
        fflush(stdout);
    }
    return failed ? 1 : 0;
}

int main(int argc, char **argv)
{
    Settings settings = {.seed = 1, .images = 100000};
    const GOptionEntry entries[] = {
        {"seed", 0, 0, G_OPTION_ARG_INT64, &settings.seed, "The first", "N"},
        {"images", 0, 0, G_OPTION_ARG_INT64, &settings.images, "So many at least", "N"},
        {"image", 0, 0, G_OPTION_ARG_INT64, &settings.image, "This one of the seed only", "N"},
        {"break", 0, 0, G_OPTION_ARG_STRING, &settings.rule, "Break a rule", "RULE"},
        {"mutants", 0, 0, G_OPTION_ARG_NONE, &settings.mutants, "Break each rule", NULL},
        {NULL, 0, 0, G_OPTION_ARG_NONE, NULL, NULL, NULL},
    };
    GOptionContext *context = g_option_context_new(NULL);
    g_autoptr(GError) error = NULL;
    Folders folders;
    int status;

    mallopt(M_MMAP_THRESHOLD, 64 << 20); /* what is freed is used again, not given back */
    mallopt(M_TRIM_THRESHOLD, 256 << 20);
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error)) {
        fprintf(stderr, "crash-test: %s\n", error->message);
        return 2;
    }
    g_option_context_free(context);
    if (!settings.mutants && g_getenv("CRASH_IMAGES"))
        settings.images = g_ascii_strtoll(g_getenv("CRASH_IMAGES"), NULL, 10);
    if (!settings.mutants && g_getenv("CRASH_SEED"))
        settings.seed += g_ascii_strtoll(g_getenv("CRASH_SEED"), NULL, 10) * 10;
    folders = (Folders){make_folder(), make_folder(), make_folder()};
    status =
        settings.mutants ? run_mutants(&settings, &folders) : run(&settings, &folders, argv[0]);
    remove_folder(folders.files);
    remove_folder(folders.pending);
    remove_folder(folders.judge);
    g_free(settings.rule);
    return status;
}
