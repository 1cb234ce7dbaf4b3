/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include <glib.h>

#include "vhd/ranges.h"

#define MOST 64

static void collect(VhdRange *range, void *data)
{
    g_ptr_array_add(data, range);
}

/* add, and whether it may run */
static bool add(VhdRanges *ranges, VhdRange *range, VhdRangeKind kind, uint64_t sector,
                uint64_t sectors)
{
    *range = (VhdRange){.kind = kind, .sector = sector, .sectors = sectors};
    return vhd_ranges_add(ranges, range);
}

/* remove, and which one may run then (NULL: none; two are a failure) */
static VhdRange *end(VhdRanges *ranges, VhdRange *range)
{
    g_autoptr(GPtrArray) runnable = g_ptr_array_new();

    vhd_ranges_remove(ranges, range, collect, runnable);
    g_assert_cmpuint(runnable->len, <=, 1);
    return runnable->len ? g_ptr_array_index(runnable, 0) : NULL;
}

static void test_pairs(void)
{
    static const struct {
        VhdRangeKind first, second;
        uint64_t at; /* the first is at 8, 8 sectors; blocks of 16 */
        bool waits;
    } pairs[] = {
        {VHD_RANGE_READ, VHD_RANGE_READ, 8, false},
        {VHD_RANGE_READ, VHD_RANGE_WRITE, 8, false},
        {VHD_RANGE_WRITE, VHD_RANGE_READ, 8, false},
        {VHD_RANGE_WRITE, VHD_RANGE_WRITE, 8, true},
        {VHD_RANGE_WRITE, VHD_RANGE_WRITE, 15, true},
        {VHD_RANGE_WRITE, VHD_RANGE_WRITE, 1, true},
        {VHD_RANGE_WRITE, VHD_RANGE_WRITE, 16, false},
        {VHD_RANGE_WRITE, VHD_RANGE_WRITE, 0, false},
        {VHD_RANGE_WRITE, VHD_RANGE_UNMAP, 15, true},
        {VHD_RANGE_UNMAP, VHD_RANGE_WRITE, 15, true},
        {VHD_RANGE_UNMAP, VHD_RANGE_UNMAP, 16, false},
        {VHD_RANGE_READ, VHD_RANGE_UNMAP, 8, true},
        {VHD_RANGE_READ, VHD_RANGE_UNMAP, 0, true}, /* the same block, no sector in common */
        {VHD_RANGE_UNMAP, VHD_RANGE_READ, 0, true},
        {VHD_RANGE_READ, VHD_RANGE_UNMAP, 16, false},
        {VHD_RANGE_UNMAP, VHD_RANGE_READ, 16, false},
        {VHD_RANGE_UPDATE, VHD_RANGE_READ, 8, false},
        {VHD_RANGE_UPDATE, VHD_RANGE_WRITE, 15, true},
        {VHD_RANGE_WRITE, VHD_RANGE_UPDATE, 1, true},
        {VHD_RANGE_UPDATE, VHD_RANGE_WRITE, 0, false},
        {VHD_RANGE_UPDATE, VHD_RANGE_UPDATE, 15, true},
        {VHD_RANGE_UPDATE, VHD_RANGE_UPDATE, 0, false},
        {VHD_RANGE_UPDATE, VHD_RANGE_UNMAP, 0, true},
        {VHD_RANGE_UNMAP, VHD_RANGE_UPDATE, 0, true},
        {VHD_RANGE_UPDATE, VHD_RANGE_UNMAP, 16, false},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(pairs); i++) {
        VhdRanges ranges = {.block_sectors = 16};
        VhdRange first, second;

        g_assert_true(add(&ranges, &first, pairs[i].first, 8, 8));
        g_assert_cmpint(add(&ranges, &second, pairs[i].second, pairs[i].at, 8), ==,
                        !pairs[i].waits);
        g_assert_true(end(&ranges, &first) == (pairs[i].waits ? &second : NULL));
        g_assert_null(end(&ranges, &second));
        g_assert_null(ranges.first);
        g_assert_null(ranges.last);
    }
}

static void test_queue_of_three(void)
{
    VhdRanges ranges = {0};
    VhdRange a, b, c, wide;

    g_assert_true(add(&ranges, &a, VHD_RANGE_WRITE, 0, 4));
    g_assert_true(add(&ranges, &b, VHD_RANGE_WRITE, 4, 4));
    g_assert_false(add(&ranges, &wide, VHD_RANGE_WRITE, 0, 8));
    g_assert_false(add(&ranges, &c, VHD_RANGE_WRITE, 7, 1)); /* behind wide and b */
    g_assert_null(end(&ranges, &b));
    g_assert_true(end(&ranges, &a) == &wide);
    g_assert_true(end(&ranges, &wide) == &c);
    g_assert_null(end(&ranges, &c));
}

/* Random requests: two that run at the same time never conflict, those that conflict run in the
 * order of arrival, and none is forgotten. */
static bool conflict(const VhdRange *a, const VhdRange *b, uint64_t unit)
{
    bool reads = a->kind == VHD_RANGE_READ || b->kind == VHD_RANGE_READ;
    bool unmaps = a->kind == VHD_RANGE_UNMAP || b->kind == VHD_RANGE_UNMAP;
    uint64_t a_end = a->sector + a->sectors, b_end = b->sector + b->sectors;

    if (!reads)
        unit = 1;
    for (uint64_t s = a->sector; s < a_end && (!reads || unmaps); s++)
        for (uint64_t t = b->sector; t < b_end; t++)
            if (s / unit == t / unit)
                return true;
    return false;
}

static void check_running(VhdRange *all, const int *state, unsigned count, uint64_t unit)
{
    for (unsigned i = 0; i < count; i++)
        for (unsigned k = i + 1; k < count; k++)
            if (conflict(&all[i], &all[k], unit) && state[i] != 2)
                g_assert_cmpint(state[k], ==, 0);
}

static void run_random(uint64_t unit)
{
    VhdRange all[MOST];
    int state[MOST] = {0}; /* 0 waits, 1 runs, 2 has ended */
    VhdRanges ranges = {.block_sectors = unit};
    unsigned added = 0, ended = 0;

    while (ended < MOST) {
        if (added < MOST && g_test_rand_bit()) {
            state[added] =
                add(&ranges, &all[added], (VhdRangeKind)g_test_rand_int_range(0, 3),
                    (uint64_t)g_test_rand_int_range(0, 40), (uint64_t)g_test_rand_int_range(1, 12));
            added++;
        } else {
            unsigned i = (unsigned)g_test_rand_int_range(0, MOST);
            g_autoptr(GPtrArray) runnable = g_ptr_array_new();

            if (i >= added || state[i] != 1)
                continue;
            vhd_ranges_remove(&ranges, &all[i], collect, runnable);
            state[i] = 2;
            ended++;
            for (guint k = 0; k < runnable->len; k++)
                state[(VhdRange *)g_ptr_array_index(runnable, k) - all] = 1;
        }
        check_running(all, state, added, unit ? unit : 1);
    }
    g_assert_null(ranges.first);
}

static void test_random(void)
{
    for (unsigned i = 0; i < 300; i++)
        run_random(i % 3 * 8);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ranges/pairs", test_pairs);
    g_test_add_func("/ranges/queue-of-three", test_queue_of_three);
    g_test_add_func("/ranges/random", test_random);
    return g_test_run();
}
