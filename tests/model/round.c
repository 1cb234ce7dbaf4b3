/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "tests/model/round.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/model/reader.h"
#include "vhd/disk-private.h"

static const char *const mode_options[MODES] = {
    [MODE_SINGLE] = "--threads 1",
    [MODE_OWNED] = "--threads 8",
    [MODE_OVERLAP] = "--threads 8 --overlap",
};

void round_fail(const Round *round, const Op *op, const char *format, ...)
{
    g_autofree char *what = NULL, *where = op ? op_describe(op) : g_strdup("between requests");
    va_list args;

    va_start(args, format);
    what = g_strdup_vprintf(format, args);
    va_end(args);
    fprintf(stderr,
            "model-test: %s (%s)\n"
            "model-test: chain of %u, %" G_GUINT64_FORMAT " sectors, blocks of %u\n"
            "model-test: seed %" G_GUINT64_FORMAT
            "; again: model-test %s --rounds 1 --seed %" G_GUINT64_FORMAT "\n",
            what, where, round->chain->depth, round->chain->sectors, round->chain->block_sectors,
            round->seed, mode_options[round->mode], round->seed);
    fflush(stderr);
    _exit(1);
}

static uint64_t word_at(const uint8_t *bytes)
{
    uint64_t word;

    memcpy(&word, bytes, sizeof word);
    return word;
}

/* Tell the first word of a sector that differs. */
static _Noreturn void fail_sector(const Round *round, const Op *op, uint64_t sector,
                                  const uint8_t *found, const uint8_t *expected)
{
    unsigned word = 0;

    while (word_at(found + word * 8) == word_at(expected + word * 8))
        word++;
    round_fail(round, op,
               "sector %" G_GUINT64_FORMAT ", word %u is %016" G_GINT64_MODIFIER
               "x, expected %016" G_GINT64_MODIFIER "x",
               sector, word, word_at(found + word * 8), word_at(expected + word * 8));
}

void round_compare(const Round *round, const Op *op, uint64_t sector, uint64_t sectors,
                   const uint8_t *found, const uint8_t *expected)
{
    for (uint64_t i = 0; i < sectors; i++, found += SECTOR_BYTES, expected += SECTOR_BYTES)
        if (memcmp(found, expected, SECTOR_BYTES) != 0)
            fail_sector(round, op, sector + i, found, expected);
}

void round_compare_disk(const Round *round)
{
    uint64_t sectors = round->chain->sectors, step = 2048;
    g_autofree uint8_t *found = g_malloc(step * SECTOR_BYTES);

    for (uint64_t sector = 0; sector < sectors; sector += step) {
        uint64_t count = MIN(step, sectors - sector);
        int err = vhd_disk_read(round->disk, sector * SECTOR_BYTES, found, count * SECTOR_BYTES);

        if (err)
            round_fail(round, NULL, "reading sector %" G_GUINT64_FORMAT ": %s", sector,
                       g_strerror(-err));
        round_compare(round, NULL, sector, count, found,
                      round->chain->content + sector * SECTOR_BYTES);
    }
}

void round_choose_range(const Round *round, Rng *rng, uint64_t *sector, uint64_t *sectors)
{
    uint64_t size = round->chain->sectors, unit = MAX(round->chain->block_sectors, 1), most;

    *sector = rng_below(rng, size);
    if (rng_one_in(rng, 4)) /* at the beginning of a block */
        *sector -= *sector % unit;
    most = rng_one_in(rng, 60) ? size : rng_one_in(rng, 5) ? 2 * unit : rng_one_in(rng, 2) ? 64 : 8;
    *sectors = rng_range(rng, 1, MIN(most, size - *sector));
    if (rng_one_in(rng, 8)) /* whole blocks */
        *sectors = MIN((*sectors + unit - 1) / unit * unit, size - *sector);
}

/* Sessions */

static void log_line(void *data, int level, const char *text)
{
    const Round *round = data;

    if (level == VHD_LOG_ERROR)
        round_fail(round, NULL, "the log says: %s", text);
}

static void open_disk(Round *round, bool read_only)
{
    g_autofree char *pending = g_build_filename(round->folder, "pending", NULL);
    VhdDiskOptions options = {
        .path = round->chain->paths[0],
        .read_only = read_only,
        .no_pending = rng_one_in(&round->rng, 5),
        .pending_dir = pending,
        .cache = rng_one_in(&round->rng, 10) ? VHD_CACHE_WRITETHROUGH : VHD_CACHE_WRITEBACK,
        .confined = rng_one_in(&round->rng, 2),
        .log = log_line,
        .log_data = round,
    };
    VhdDiskBounds bounds = VHD_DISK_BOUNDS;
    g_autoptr(GError) error = NULL;

    if (rng_one_in(&round->rng, 2))
        bounds = (VhdDiskBounds){
            .data_bytes = rng_range(&round->rng, 1, 4u << 20),
            .entries = (unsigned)rng_range(&round->rng, 1, 64),
            .age_ms = (unsigned)rng_range(&round->rng, 1, 20),
            .tick_ms = (unsigned)rng_range(&round->rng, 1, 10),
        };
    round->disk = vhd_disk_open_bounded(&options, &bounds, &error);
    if (!round->disk)
        round_fail(round, NULL, "open: %s", error->message);
}

static char *sum_of(const char *path)
{
    g_autofree char *bytes = NULL;
    gsize len;

    if (!g_file_get_contents(path, &bytes, &len, NULL))
        return g_strdup("unreadable");
    return g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *)bytes, len);
}

static void check_parents(const Round *round)
{
    for (unsigned i = 1; i < round->chain->depth; i++) {
        g_autofree char *sum = sum_of(round->chain->paths[i]);

        if (strcmp(sum, round->sums[i]) != 0)
            round_fail(round, NULL, "%s, a parent, was changed", round->chain->paths[i]);
    }
}

static void flip_byte(const char *path, int64_t off, int whence)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    uint8_t byte;

    if (fd < 0 || lseek(fd, off, whence) < 0 || read(fd, &byte, 1) != 1)
        exit(2);
    byte ^= 1;
    if (lseek(fd, -1, SEEK_CUR) < 0 || write(fd, &byte, 1) != 1 || close(fd) != 0)
        exit(2);
}

static void plant_in_files(const Round *round)
{
    if (round->plant == PLANT_PARENT && round->chain->depth > 1)
        flip_byte(round->chain->paths[round->chain->depth - 1], -100, SEEK_END);
    if (round->plant == PLANT_FOOTER)
        flip_byte(round->chain->paths[0], -100, SEEK_END);
}

/* The files at rest, without the engine. */
static void check_files(const Round *round)
{
    ModelChain *chain = round->chain;
    g_autofree uint8_t *found = g_malloc(chain->sectors * SECTOR_BYTES);
    const char *why = NULL;

    check_parents(round);
    if (!reader_read(chain->paths, chain->depth, chain->sectors, found, &why))
        round_fail(round, NULL, "the second reader: %s", why);
    round_compare(round, NULL, 0, chain->sectors, found, chain->content);
}

static void close_disk(Round *round)
{
    int err = vhd_disk_close(round->disk);

    round->disk = NULL;
    if (err)
        round_fail(round, NULL, "close: %s", g_strerror(-err));
}

static void run_session(Round *round)
{
    const char *why = NULL;

    open_disk(round, false);
    round_compare_disk(round);
    mode_run(round);
    if (round->plant == PLANT_ORACLE)
        round->chain->content[rng_below(&round->rng, round->chain->sectors * SECTOR_BYTES)] ^= 1;
    round_compare_disk(round);
    if (rng_one_in(&round->rng, 3)) {
        /* A flush leaves nothing to be done at close. */
        if (vhd_disk_flush(round->disk) != 0)
            round_fail(round, NULL, "flush failed");
        check_files(round);
    }
    close_disk(round);
    plant_in_files(round);
    check_files(round);
    if (!reader_check(round->chain->paths[0], &why))
        round_fail(round, NULL, "%s: %s", round->chain->paths[0], why);
}

uint64_t round_run(Mode mode, Plant plant, uint64_t seed, const char *folder)
{
    Round round = {.mode = mode, .plant = plant, .seed = seed, .folder = folder, .rng = {seed}};
    unsigned sessions = (unsigned)rng_range(&round.rng, 1, 3);

    round.chain = model_chain_build(folder, &round.rng, &MODEL_LIMITS);
    round.sums = g_new0(char *, round.chain->depth + 1);
    for (unsigned i = 0; i < round.chain->depth; i++)
        round.sums[i] = sum_of(round.chain->paths[i]);
    while (sessions-- > 0)
        run_session(&round);
    open_disk(&round, true);
    round_compare_disk(&round);
    close_disk(&round);
    g_strfreev(round.sums);
    model_chain_free(round.chain);
    return round.requests;
}
