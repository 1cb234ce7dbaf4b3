/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * Every field of every structure takes every value of its image's list, with wrong checksums, with
 * right ones, and in both footers alike; then several at a time, chosen by a seed, in files that
 * are cut or longer, too. HOSTILE_ROUNDS in the environment: how many of the latter.
 */
#include <glib.h>
#include <stdlib.h>
#include <string.h>

#include "tests/hostile/judge.h"
#include "tests/hostile/memory.h"
#include "tests/hostile/specimen.h"
#include "tests/support/rng.h"
#include "vhd/be.h"

/* Under a sanitizer, which is many times slower, every so many values of a field; another first one
 * for each. */
#ifdef HOSTILE_UNMEASURED
#define VALUE_STEP     5u
#define ROUNDS_DEFAULT 2000u
#else
#define VALUE_STEP     1u
#define ROUNDS_DEFAULT 10000u
#endif

typedef enum Checksums { CHECKSUMS_WRONG, CHECKSUMS_RIGHT, CHECKSUMS_TWINS, CHECKSUMS } Checksums;

typedef struct Kind {
    const char *name;
    VhdType type;
    bool batmap;
} Kind;

static const Kind kinds[] = {
    {"fixed", VHD_TYPE_FIXED, false},
    {"dynamic", VHD_TYPE_DYNAMIC, false},
    {"batmap", VHD_TYPE_DYNAMIC, true},
    {"child", VHD_TYPE_DIFFERENCING, false},
};

static const Field *field_at(const Specimen *specimen, guint i)
{
    return &g_array_index(specimen->fields, Field, i);
}

static uint64_t value_at(const Specimen *specimen, const Field *field, guint i)
{
    uint64_t old = specimen_peek(field, specimen->bytes);
    const uint64_t near[] = {old + 1, old - 1, old * 2, old / 2, ~old};

    return i < specimen->values->len ? g_array_index(specimen->values, uint64_t, i)
                                     : near[i - specimen->values->len];
}

static guint values_of(const Specimen *specimen)
{
    return specimen->values->len + 5;
}

/* False where it comes to nothing new. */
static bool poke(const Specimen *specimen, uint8_t *bytes, const Field *field, uint64_t value,
                 Checksums checksums)
{
    const Field *twin = specimen_twin(specimen, field);
    uint64_t old = specimen_peek(field, bytes);

    if (checksums == CHECKSUMS_TWINS && !twin)
        return false;
    if (checksums == CHECKSUMS_RIGHT && field->record == RECORD_NONE)
        return false;
    specimen_poke(field, bytes, value);
    if (specimen_peek(field, bytes) == old)
        return false;
    if (checksums != CHECKSUMS_WRONG)
        specimen_fix(specimen, bytes, field->record);
    if (checksums == CHECKSUMS_TWINS) {
        specimen_poke(twin, bytes, value);
        specimen_fix(specimen, bytes, twin->record);
    }
    return true;
}

static void report(const Specimen *specimen, const JudgeCounts *counts)
{
    g_test_message("%s: %u images, %u refused, %u without fault; at most %zu bytes of memory, "
                   "%" G_GUINT64_FORMAT " operations",
                   specimen->name, counts->images, counts->refused, counts->clean,
                   counts->memory_most, counts->operations_most);
    g_assert_cmpuint(counts->refused, >, 0);
    g_assert_cmpuint(counts->clean, >, 0);
    g_assert_cmpuint(counts->clean, <, counts->images);
}

static void test_each(gconstpointer data)
{
    const Kind *kind = data;
    Specimen *specimen = specimen_new(kind->name, kind->type, kind->batmap);
    g_autofree uint8_t *bytes = g_malloc(specimen->len);
    JudgeCounts counts = {0};

    for (guint i = 0; i < specimen->fields->len; i++) {
        const Field *field = field_at(specimen, i);

        for (guint v = i % VALUE_STEP; v < values_of(specimen); v += VALUE_STEP) {
            uint64_t value = value_at(specimen, field, v);

            for (Checksums checksums = 0; checksums < CHECKSUMS; checksums++) {
                char about[160];

                memcpy(bytes, specimen->bytes, specimen->len);
                if (!poke(specimen, bytes, field, value, checksums))
                    continue;
                g_snprintf(about, sizeof about,
                           "%s, %s at %" G_GUINT64_FORMAT " is %" G_GINT64_MODIFIER
                           "x, checksums %d",
                           kind->name, field->name, field->off, value, (int)checksums);
                judge_image(bytes, specimen->len, about, &counts);
            }
        }
    }
    report(specimen, &counts);
    specimen_free(specimen);
}

/* Entries that overlap by a sector, lie on each other, in a ring: all of the BAT at once. */
static void shuffle_bat(const Specimen *specimen, uint8_t *bytes, Rng *rng)
{
    const VhdLayout *layout = &specimen->layout;

    for (unsigned i = 0; i < layout->blocks; i++) {
        uint8_t *entry = bytes + layout->bat_off + (uint64_t)i * 4;
        uint32_t other = (uint32_t)rng_below(rng, layout->blocks);

        if (rng_one_in(rng, 2))
            be32_put(entry, be32_get(bytes + layout->bat_off + (uint64_t)other * 4) +
                                (uint32_t)rng_range(rng, 0, 2) - 1);
        else if (rng_one_in(rng, 2))
            be32_put(entry, (uint32_t)rng_below(rng, specimen->len / VHD_SECTOR_BYTES + 2));
    }
}

static size_t mutate(const Specimen *specimen, uint8_t *bytes, Rng *rng)
{
    unsigned pokes = (unsigned)rng_range(rng, 1, 5);
    size_t len = specimen->len;

    memcpy(bytes, specimen->bytes, specimen->len);
    for (unsigned i = 0; i < pokes; i++) {
        const Field *field = field_at(specimen, (guint)rng_below(rng, specimen->fields->len));
        uint64_t value = rng_one_in(rng, 8) ? rng_next(rng)
                                            : value_at(specimen, field,
                                                       (guint)rng_below(rng, values_of(specimen)));

        poke(specimen, bytes, field, value, (Checksums)rng_below(rng, CHECKSUMS));
    }
    if (specimen->type != VHD_TYPE_FIXED && rng_one_in(rng, 6))
        shuffle_bat(specimen, bytes, rng);
    for (Record record = RECORD_COPY; record < RECORD_NONE && rng_one_in(rng, 2); record++)
        specimen_fix(specimen, bytes, record);
    if (rng_one_in(rng, 8))
        len = rng_below(rng, len + 1);
    return len;
}

static unsigned rounds(void)
{
    const char *text = g_getenv("HOSTILE_ROUNDS");

    return text ? (unsigned)atoi(text) : ROUNDS_DEFAULT;
}

static void test_several(gconstpointer data)
{
    const Kind *kind = data;
    Specimen *specimen = specimen_new(kind->name, kind->type, kind->batmap);
    g_autofree uint8_t *bytes = g_malloc(specimen->len);
    uint64_t first = (uint64_t)g_test_rand_int();
    JudgeCounts counts = {0};

    for (uint64_t seed = first; seed < first + rounds(); seed++) {
        Rng rng = {seed};
        size_t len = mutate(specimen, bytes, &rng);
        char about[80];

        g_snprintf(about, sizeof about, "%s, seed %" G_GUINT64_FORMAT, kind->name, seed);
        judge_image(bytes, len, about, &counts);
    }
    report(specimen, &counts);
    specimen_free(specimen);
}

/* What measures must not be blind. */
static void test_measure(void)
{
    size_t before = memory_bytes();
    void *volatile large = g_malloc(32u << 20);

    g_free(large);
    if (before == 0)
        g_test_skip("memory is not measured under a sanitizer");
    else
        g_assert_cmpuint(memory_peak(), >=, before + (32u << 20));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/hostile/measure", test_measure);
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        g_autofree char *each = g_strdup_printf("/hostile/each/%s", kinds[i].name);
        g_autofree char *several = g_strdup_printf("/hostile/several/%s", kinds[i].name);

        g_test_add_data_func(each, &kinds[i], test_each);
        g_test_add_data_func(several, &kinds[i], test_several);
    }
    return g_test_run();
}
