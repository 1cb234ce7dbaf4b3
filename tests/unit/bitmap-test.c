/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* Every start and every length in a small bitmap, against the same thing done bit by bit; guard
 * bytes around it, and a guard page behind it for what only reads. */
#include "vhd/bitmap.h"

#include <glib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BITS  211 /* neither whole bytes nor whole words */
#define BYTES ((BITS + 7) / 8)
#define GUARD 9
#define FILL  0xA5

typedef struct Guarded {
    uint8_t before[GUARD];
    uint8_t bits[BYTES];
    uint8_t after[GUARD];
} Guarded;

static bool naive_get(const uint8_t *bits, uint32_t at)
{
    return bits[at >> 3] >> (7 - (at & 7)) & 1;
}

static void naive_put(uint8_t *bits, uint32_t at, bool value)
{
    uint8_t mask = (uint8_t)(1 << (7 - (at & 7)));

    bits[at >> 3] = (uint8_t)(value ? bits[at >> 3] | mask : bits[at >> 3] & ~mask);
}

/* Patterns 0 and 1 are all clear and all set, the others random with ever longer runs. */
static void fill(uint8_t *bits, int pattern)
{
    bool value = pattern == 1;

    for (uint32_t at = 0; at < BYTES * 8; at++) {
        if (pattern > 1 && g_test_rand_int_range(0, 1 << (pattern - 2) * 2) == 0)
            value = g_test_rand_int_range(0, 2);
        naive_put(bits, at, value);
    }
}

#define PATTERNS 6

static void guarded_init(Guarded *g, int pattern)
{
    memset(g, FILL, sizeof(*g));
    fill(g->bits, pattern);
}

static void set_one(const Guarded *orig, uint32_t start, uint32_t count, bool value)
{
    Guarded got = *orig, want = *orig;
    uint32_t fresh = 0, changed;

    for (uint32_t at = start; at < start + count; at++) {
        fresh += !naive_get(want.bits, at);
        naive_put(want.bits, at, value);
    }
    if (value) {
        changed = bitmap_set(got.bits, start, count);
        g_assert_cmpuint(changed, ==, fresh);
    } else {
        bitmap_clear(got.bits, start, count);
    }
    g_assert_cmpmem(&got, sizeof(got), &want, sizeof(want));
}

static void test_change(void)
{
    Guarded orig;

    for (int pattern = 0; pattern < PATTERNS; pattern++) {
        guarded_init(&orig, pattern);
        for (uint32_t start = 0; start <= BITS; start++)
            for (uint32_t count = 0; start + count <= BITS; count++) {
                set_one(&orig, start, count, true);
                set_one(&orig, start, count, false);
            }
    }
}

/* What lies behind the returned address plus BYTES cannot be read. */
static uint8_t *before_guard_page(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *pages =
        mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    g_assert_true(pages != MAP_FAILED);
    g_assert_no_errno(mprotect(pages + page, page, PROT_NONE));
    return pages + page - BYTES;
}

static void check_run(const uint8_t *bits, uint32_t start, uint32_t limit)
{
    bool first = naive_get(bits, start), value = !first;
    uint32_t end = start + 1, run;

    while (end < limit && naive_get(bits, end) == first)
        end++;
    run = bitmap_run(bits, start, limit, &value);
    g_assert_cmpuint(run, ==, end - start);
    g_assert_cmpint(value, ==, first);
    g_assert_cmpint(bitmap_all_set(bits, start, limit - start), ==, first && end == limit);
}

static void test_read(void)
{
    uint8_t *bits = before_guard_page();

    for (int pattern = 0; pattern < PATTERNS; pattern++) {
        uint32_t set = 0;

        fill(bits, pattern);
        for (uint32_t start = 0; start < BITS; start++) {
            g_assert_cmpuint(bitmap_count(bits, start), ==, set);
            g_assert_true(bitmap_all_set(bits, start, 0));
            g_assert_cmpint(bitmap_get(bits, start), ==, naive_get(bits, start));
            set += naive_get(bits, start);
            for (uint32_t limit = start + 1; limit <= BYTES * 8; limit++)
                check_run(bits, start, limit);
        }
        g_assert_cmpuint(bitmap_count(bits, BITS), ==, set);
    }
}

/* The order of the bits, as Windows writes it. */
static void test_order(void)
{
    uint8_t bits[3] = {0};

    g_assert_cmpuint(bitmap_set(bits, 0, 1), ==, 1);
    g_assert_cmphex(bits[0], ==, 0x80);
    g_assert_cmpuint(bitmap_set(bits, 7, 2), ==, 2);
    g_assert_cmphex(bits[0], ==, 0x81);
    g_assert_cmphex(bits[1], ==, 0x80);
    g_assert_cmpuint(bitmap_set(bits, 0, 24), ==, 21);
    bitmap_clear(bits, 3, 9);
    g_assert_cmphex(bits[0], ==, 0xE0);
    g_assert_cmphex(bits[1], ==, 0x0F);
    g_assert_cmphex(bits[2], ==, 0xFF);
}

/* A whole block's bitmap of the largest size: all set, one bit clear at its end. */
static void test_large(void)
{
    uint32_t count = 1u << 19;
    g_autofree uint8_t *bits = g_malloc0(count / 8);
    bool value = false;

    g_assert_cmpuint(bitmap_set(bits, 0, count), ==, count);
    g_assert_cmpuint(bitmap_run(bits, 1, count, &value), ==, count - 1);
    g_assert_true(value);
    bitmap_clear(bits, count - 1, 1);
    g_assert_false(bitmap_all_set(bits, 0, count));
    g_assert_cmpuint(bitmap_run(bits, 0, count, &value), ==, count - 1);
    g_assert_cmpuint(bitmap_count(bits, count), ==, count - 1);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/bitmap/order", test_order);
    g_test_add_func("/bitmap/change", test_change);
    g_test_add_func("/bitmap/read", test_read);
    g_test_add_func("/bitmap/large", test_large);
    return g_test_run();
}
