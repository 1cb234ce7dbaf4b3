/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * Random requests on random chains against a flat array. Exit status: 0 no difference, 1 one was
 * found, 2 trouble.
 *
 * One round after the other until the time is over; round n has the seed SEED + n, so what it says
 * on a failure repeats that round alone (exactly with one thread, roughly with eight).
 */
#include <errno.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/model/round.h"

typedef struct Settings {
    int seconds;
    int rounds;
    gint64 seed;
    int threads;
    gboolean overlap;
    int plant;
    gboolean self_test;
} Settings;

/* In memory where there is such a place: the disk's own speed is no matter here. */
static char *make_folder(void)
{
    const char *base = g_getenv("TMPDIR");
    g_autofree char *template = NULL;

    if (!base)
        base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : g_get_tmp_dir();
    template = g_build_filename(base, "model-test-XXXXXX", NULL);
    if (!g_mkdtemp(template)) {
        fprintf(stderr, "model-test: %s: %s\n", template, g_strerror(errno));
        exit(2);
    }
    return g_steal_pointer(&template);
}

/* Two levels are all there are. */
static void remove_folder(const char *folder)
{
    GDir *dir = g_dir_open(folder, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(folder, name, NULL);

        if (g_file_test(path, G_FILE_TEST_IS_DIR))
            remove_folder(path);
        else
            g_unlink(path);
    }
    if (dir)
        g_dir_close(dir);
    g_rmdir(folder);
}

/* Rounds until the time is over, in a process of their own, so that one that fails leaves its
 * folder to us. */
static int run_rounds(const Settings *settings, Mode mode, const char *folder)
{
    gint64 end = g_get_monotonic_time() + (gint64)settings->seconds * G_USEC_PER_SEC;
    uint64_t requests = 0, seed = (uint64_t)settings->seed;
    int rounds = 0;

    do {
        requests += round_run(mode, (Plant)settings->plant, seed++, folder);
        rounds++;
    } while (settings->rounds ? rounds < settings->rounds : g_get_monotonic_time() < end);
    printf("model-test: seed %" G_GINT64_FORMAT ", %d rounds, %" G_GUINT64_FORMAT
           " requests, no difference\n",
           settings->seed, rounds, requests);
    fflush(stdout);
    return 0;
}

static int run_in_child(const Settings *settings, Mode mode)
{
    g_autofree char *folder = make_folder();
    pid_t child;
    int status = 0;

    fflush(NULL);
    child = fork();
    if (child == 0)
        exit(run_rounds(settings, mode, folder));
    if (child < 0 || TEMP_FAILURE_RETRY(waitpid(child, &status, 0)) != child)
        status = -1;
    remove_folder(folder);
    if (status != -1 && WIFEXITED(status))
        return WEXITSTATUS(status);
    fprintf(stderr, "model-test: seed %" G_GINT64_FORMAT ": the rounds ended with status %#x\n",
            settings->seed, status);
    return 2;
}

/* Every planted mistake must be found, or the test proves nothing. */
static int run_self_test(const Settings *settings)
{
    static const struct {
        Mode mode;
        Plant plant;
        const char *name;
    } cases[] = {
        {MODE_SINGLE, PLANT_ORACLE, "a wrong byte, one thread"},
        {MODE_OWNED, PLANT_ORACLE, "a wrong byte, eight threads"},
        {MODE_OVERLAP, PLANT_ORACLE, "a wrong byte, eight threads that overlap"},
        {MODE_OVERLAP, PLANT_ORDER, "writes in the wrong order"},
        {MODE_SINGLE, PLANT_PARENT, "a parent written to"},
        {MODE_SINGLE, PLANT_FOOTER, "a damaged footer"},
    };
    int failures = 0;

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        Settings planted = *settings;

        planted.plant = cases[i].plant;
        planted.rounds = 50;
        if (run_in_child(&planted, cases[i].mode) == 1) {
            printf("model-test: found: %s\n", cases[i].name);
        } else {
            printf("model-test: NOT found: %s\n", cases[i].name);
            failures++;
        }
    }
    return failures ? 1 : 0;
}

int main(int argc, char **argv)
{
    Settings settings = {.seconds = 20, .threads = 1, .seed = -1};
    GOptionEntry entries[] = {
        {"seconds", 0, 0, G_OPTION_ARG_INT, &settings.seconds, "How long", "N"},
        {"rounds", 0, 0, G_OPTION_ARG_INT, &settings.rounds, "So many rounds instead", "N"},
        {"seed", 0, 0, G_OPTION_ARG_INT64, &settings.seed, "Of the first round", "N"},
        {"threads", 0, 0, G_OPTION_ARG_INT, &settings.threads, "1 or 8", "N"},
        {"overlap", 0, 0, G_OPTION_ARG_NONE, &settings.overlap, "Threads write anywhere", NULL},
        {"self-test", 0, 0, G_OPTION_ARG_NONE, &settings.self_test, "Test the test", NULL},
        {NULL, 0, 0, G_OPTION_ARG_NONE, NULL, NULL, NULL},
    };
    GOptionContext *context = g_option_context_new(NULL);
    g_autoptr(GError) error = NULL;
    const char *longer = g_getenv("MODEL_SECONDS");

    if (longer)
        settings.seconds = atoi(longer);
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error)) {
        fprintf(stderr, "model-test: %s\n", error->message);
        return 2;
    }
    g_option_context_free(context);
    if (settings.seed < 0)
        settings.seed = g_get_real_time() % 1000000000;
    printf("model-test: seed %" G_GINT64_FORMAT "\n", settings.seed);
    if (settings.self_test)
        return run_self_test(&settings);
    return run_in_child(&settings, settings.threads == 1 ? MODE_SINGLE
                                   : settings.overlap    ? MODE_OVERLAP
                                                         : MODE_OWNED);
}
