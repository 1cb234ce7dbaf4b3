/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include <glib.h>

#include "vhd/workers.h"

static void count_job(void *data)
{
    g_atomic_int_inc((gint *)data);
}

static void test_workers_leave(void)
{
    VhdWorkers *workers = vhd_workers_new(4);
    VhdJob jobs[100];
    gint count = 0;

    g_assert_nonnull(workers);
    vhd_workers_set_idle(workers, 0);
    for (unsigned round = 0; round < 20; round++) {
        for (unsigned i = 0; i < G_N_ELEMENTS(jobs); i++) {
            jobs[i] = (VhdJob){.run = count_job, .data = &count};
            if (i > 0)
                jobs[i - 1].next = &jobs[i];
        }
        vhd_workers_push(workers, jobs);
        g_assert_cmpuint(vhd_workers_count(workers), <=, 4);
        while (g_atomic_int_get(&count) < (gint)((round + 1) * G_N_ELEMENTS(jobs)))
            g_usleep(100);
        while (vhd_workers_count(workers) > 1) /* but for the first, all leave */
            g_usleep(100);
    }
    vhd_workers_free(workers);
    g_assert_cmpint(count, ==, 2000);
}

/* A job may be pushed again as it is: it hangs on none that stood behind it in the queue. */
static void test_job_pushed_again(void)
{
    VhdWorkers *workers = vhd_workers_new(1);
    gint first = 0, second = 0;
    VhdJob a = {.run = count_job, .data = &first}, b = {.run = count_job, .data = &second};

    a.next = &b;
    vhd_workers_push(workers, &a);
    while (g_atomic_int_get(&second) < 1)
        g_usleep(100);
    vhd_workers_push(workers, &a);
    vhd_workers_free(workers);
    g_assert_cmpint(first, ==, 2);
    g_assert_cmpint(second, ==, 1);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/workers/leave", test_workers_leave);
    g_test_add_func("/workers/job-pushed-again", test_job_pushed_again);
    return g_test_run();
}
