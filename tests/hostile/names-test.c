/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * What a child says of its parent, made up of pieces that lead out, round, nowhere, or are no text:
 * "..", links, devices, NULs, lone surrogates, control characters, 64 KiB of it. A confined search
 * never opens a file outside, although one with the right uuid lies there; its sentence is one
 * line. HOSTILE_ROUNDS: how many children.
 */
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/hostile/memory.h"
#include "tests/support/mem-file.h"
#include "tests/support/rng.h"
#include "tests/unit/chain-sample.h"
#include "vhd/be.h"
#include "vhd/error.h"
#include "vhd/image.h"
#include "vhd/locator.h"
#include "vhd/resolve.h"

#define HEADER_OFF  512u
#define BLOBS_OFF   (1u << 20) /* one locator's bytes each 128 KiB */
#define BLOB_STRIDE (1u << 17)
#define BLOB_MOST   (VHD_LOCATOR_MAX_BYTES + 64)
#define MEMORY_MOST (8u << 20)

typedef struct World {
    char *root, *own, *golden;
    GPtrArray *pieces; /* texts of a path */
    ino_t secret;
} World;

static void add_file(World *world, const char *name, uint8_t uuid)
{
    g_free(sample_make(world->root, name, &(Sample){.uuid = uuid}));
}

static void add_pieces(World *world)
{
    static const char *const texts[] = {
        "..",           "..",         "..",         ".",      "own",      "secret",    "secret",
        "parent.vhd",   "parent.vhd", "parent.vhd", "sub",    "good.vhd", "good.vhd",  "link",
        "linkfile.vhd", "dir.vhd",    "fifo.vhd",   "golden", "C:",       "",          "?",
        "\xC3\xA9",     "\x01",       "a\nb",       "%2e%2e", "%00",      "child.vhd",
    };

    world->pieces = g_ptr_array_new_with_free_func(g_free);
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
        g_ptr_array_add(world->pieces, g_strdup(texts[i]));
    g_ptr_array_add(world->pieces, g_strdup(world->root));
    g_ptr_array_add(world->pieces, g_build_filename(world->root, "secret", NULL));
    g_ptr_array_add(world->pieces, g_strdup("/proc/self/root"));
    g_ptr_array_add(world->pieces, g_strdup("/dev/zero"));
    g_ptr_array_add(world->pieces, g_strnfill(300, 'n'));
}

/* The parent inside, own/good.vhd, and the one outside have the same uuid. */
static void world_init(World *world)
{
    g_autofree char *secret = NULL, *link = NULL, *linkfile = NULL, *dir = NULL, *fifo = NULL;
    struct stat st;

    world->root = sample_folder_new();
    world->own = g_build_filename(world->root, "own", NULL);
    world->golden = g_build_filename(world->root, "golden", NULL);
    add_file(world, "own/sub/good.vhd", 2);
    add_file(world, "own/good.vhd", 2);
    add_file(world, "own/other.vhd", 3);
    add_file(world, "secret/parent.vhd", 2);
    add_file(world, "golden/base.vhd", 2);
    secret = g_build_filename(world->root, "secret/parent.vhd", NULL);
    link = g_build_filename(world->own, "link", NULL);
    linkfile = g_build_filename(world->own, "linkfile.vhd", NULL);
    dir = g_build_filename(world->own, "dir.vhd", NULL);
    fifo = g_build_filename(world->own, "fifo.vhd", NULL);
    g_assert_cmpint(symlink("../secret", link), ==, 0);
    g_assert_cmpint(symlink(secret, linkfile), ==, 0);
    g_assert_cmpint(g_mkdir(dir, 0700), ==, 0);
    g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
    g_assert_cmpint(stat(secret, &st), ==, 0);
    world->secret = st.st_ino;
    add_pieces(world);
}

static void world_clear(World *world)
{
    g_ptr_array_unref(world->pieces);
    g_free(world->golden);
    g_free(world->own);
    sample_folder_free(world->root);
}

/* A path of some pieces, in UTF-8. */
static char *make_path(const World *world, Rng *rng, char separator)
{
    GString *path = g_string_new(rng_one_in(rng, 4) ? "file://localhost" : "");
    unsigned count = (unsigned)rng_range(rng, 1, rng_one_in(rng, 50) ? 4000 : 6);

    if (rng_one_in(rng, 4))
        g_string_append(path, world->root);
    for (unsigned i = 0; i < count && path->len < BLOB_MOST; i++) {
        if (i > 0 || rng_one_in(rng, 3))
            g_string_append_c(path, separator);
        g_string_append(path, g_ptr_array_index(world->pieces, rng_below(rng, world->pieces->len)));
    }
    return g_string_free(path, FALSE);
}

/* The bytes of a locator or of the name field: UTF-16 of either end or UTF-8, now and then spoilt.
 */
static size_t make_blob(const World *world, Rng *rng, const char *charset, uint8_t *blob,
                        size_t most)
{
    static const uint8_t spoils[][2] = {{0, 0}, {0x00, 0xD8}, {0xD8, 0x00}, {0x00, 0xDC}, {10, 0}};
    g_autofree char *path = make_path(world, rng, charset ? '\\' : '/');
    g_autofree char *text = charset ? NULL : g_strdup(path);
    gsize len = strlen(path);

    if (charset)
        text = g_convert(path, -1, charset, "UTF-8", NULL, &len, NULL);
    g_assert_nonnull(text);
    len = MIN(len, most);
    memcpy(blob, text, len);
    if (len > 4 && rng_one_in(rng, 6))
        memcpy(blob + rng_below(rng, len / 2 - 1) * 2, spoils[rng_below(rng, G_N_ELEMENTS(spoils))],
               2);
    return rng_one_in(rng, 20) ? len / 2 : len;
}

/* A child with up to eight locators and a name. */
static void make_child(const World *world, Rng *rng, MemImage *memory)
{
    static const uint32_t codes[] = {VHD_PLATFORM_W2RU, VHD_PLATFORM_W2KU, VHD_PLATFORM_MACX,
                                     VHD_PLATFORM_W2RU, VHD_PLATFORM_WI2R, VHD_PLATFORM_WI2K};
    g_autofree uint8_t *blob = g_malloc(BLOB_MOST);
    uint8_t raw[VHD_HEADER_BYTES], name[VHD_PARENT_NAME_BYTES] = {0};
    uint8_t *locator = raw + VHD_HEADER_AT_LOCATORS;

    mem_image_read(memory, HEADER_OFF, raw, sizeof raw);
    make_blob(world, rng, "UTF-16BE", name, sizeof name);
    memcpy(raw + 64, name, sizeof name);
    memset(locator, 0, (size_t)VHD_LOCATORS * VHD_LOCATOR_BYTES);
    for (unsigned i = 0; i < VHD_LOCATORS; i++, locator += VHD_LOCATOR_BYTES) {
        uint32_t code = codes[rng_below(rng, G_N_ELEMENTS(codes))];
        bool wide = code == VHD_PLATFORM_W2RU || code == VHD_PLATFORM_W2KU;
        uint64_t off = BLOBS_OFF + (uint64_t)i * BLOB_STRIDE;
        size_t len = make_blob(world, rng, wide ? "UTF-16LE" : NULL, blob, VHD_LOCATOR_MAX_BYTES);

        if (rng_one_in(rng, 3))
            continue;
        mem_image_write(memory, off, blob, len);
        be32_put(locator, code);
        be32_put(locator + 4, BLOB_STRIDE);
        be32_put(locator + VHD_LOCATOR_AT_LENGTH, (uint32_t)len);
        be64_put(locator + VHD_LOCATOR_AT_OFFSET, off);
    }
    be32_put(raw + 36, vhd_checksum(raw, sizeof raw, 36));
    mem_image_write(memory, HEADER_OFF, raw, sizeof raw);
}

/* A sound child, in memory, and long enough for its locators. */
static MemImage *make_first(const World *world)
{
    g_autofree char *path = sample_make(world->root, "own/child.vhd",
                                        &(Sample){.uuid = 1, .parent = 2, .block_bytes = 4096});
    g_autofree char *bytes = NULL;
    MemImage *memory = mem_image_new();
    uint8_t footer[VHD_FOOTER_BYTES];
    gsize len;

    g_assert_true(g_file_get_contents(path, &bytes, &len, NULL));
    mem_image_write(memory, 0, bytes, len);
    memcpy(footer, bytes, sizeof footer);
    mem_image_write(memory, BLOBS_OFF + VHD_LOCATORS * BLOB_STRIDE, footer, sizeof footer);
    return memory;
}

typedef struct Counts {
    unsigned found, outside, refused;
} Counts;

static void judge_found(const World *world, VhdFile *file, bool golden)
{
    bool inside = g_str_has_prefix(file->folder, world->own) ||
                  (golden && g_str_has_prefix(file->folder, world->golden));
    VhdFileInfo info;

    g_assert_cmpint(vhd_file_info(file, &info), ==, 0);
    if (!inside || info.inode == world->secret)
        g_error("%s lies in %s and was opened", file->name, file->folder);
}

static void judge_sentence(const char *text)
{
    for (const char *p = text; *p; p++)
        g_assert_false(g_ascii_iscntrl(*p));
}

static void search(const World *world, VhdImage *child, bool confined, bool golden, Counts *counts)
{
    const char *folders[] = {world->own, golden ? world->golden : NULL, NULL};
    const char *parents[] = {golden ? world->golden : NULL, NULL};
    VhdResolveRules rules = {.confined = confined, .folders = folders, .parents = parents};
    g_autoptr(GError) error = NULL;
    bool raw;
    g_autoptr(VhdFile) file = vhd_resolve_parent(child, &rules, &raw, &error);

    if (!file) {
        g_assert_error(error, VHD_ERROR, VHD_ERROR_PARENT);
        judge_sentence(error->message);
        counts->outside += strstr(error->message, "lies outside the folders") != NULL;
        counts->refused++;
        return;
    }
    if (confined)
        judge_found(world, file, golden);
    counts->found++;
}

static void test_names(void)
{
    const char *text = g_getenv("HOSTILE_ROUNDS");
    uint64_t first = (uint64_t)g_test_rand_int(), rounds = text ? (uint64_t)atoi(text) : 3000;
    Counts confined = {0}, free_ones = {0};
    World world;

    world_init(&world);
    g_autoptr(MemImage) sound = make_first(&world);
    g_autofree char *name = g_build_filename(world.own, "child.vhd", NULL);
    for (uint64_t seed = first; seed < first + rounds; seed++) {
        g_autoptr(MemImage) memory = mem_image_clone(sound);
        VhdImageOptions options = {0};
        Rng rng = {seed};
        size_t before;

        g_test_message("seed %" G_GUINT64_FORMAT, seed);
        make_child(&world, &rng, memory);
        before = memory_bytes();
        memory_reset_peak();
        g_autoptr(VhdImage) child =
            vhd_image_open(mem_file_open(memory, name, false), &options, NULL);
        g_assert_nonnull(child);
        search(&world, child, true, rng_one_in(&rng, 2), &confined);
        search(&world, child, false, rng_one_in(&rng, 2), &free_ones);
        g_assert_cmpuint(memory_peak(), <=, before + MEMORY_MOST);
    }
    g_test_message("confined: %u found, %u refused, %u of them for lying outside; else %u and %u",
                   confined.found, confined.refused, confined.outside, free_ones.found,
                   free_ones.refused);
    g_assert_cmpuint(confined.found, >, rounds / 200);
    g_assert_cmpuint(confined.outside, >, rounds / 200);
    g_assert_cmpuint(free_ones.found, >, confined.found);
    world_clear(&world);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/hostile/names", test_names);
    return g_test_run();
}
