/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * vhdctl compare: do two images show the same disk? What both hold as zeros is not read, nor what
 * both take from one place of one file: two children of a golden image differ by their own blocks.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/open.h"
#include "cli/progress.h"
#include "cli/source.h"
#include "vhd/error.h"

#define CHUNK_BYTES (1u << 20)

/* Exit statuses, those of cmp and qemu-img compare. */
#define COMPARE_SAME      0
#define COMPARE_DIFFERENT 1
#define COMPARE_TROUBLE   2

/* One of the two, and where it is. Beyond its end it reads as zeros. */
typedef struct Side {
    Source *source;
    const char *name;
    uint64_t bytes;
    VhdChainRun run; /* the one that holds the place compared now */
    uint8_t *buf;    /* CHUNK_BYTES */
} Side;

typedef struct Comparison {
    Side a, b;
    uint64_t end;
    uint8_t *zeros; /* CHUNK_BYTES */
} Comparison;

static int fail_at(const Side *side, const char *doing, uint64_t off, int err)
{
    cli_fail("%s: cannot %s offset %" PRIu64 " of the disk: %s", side->name, doing, off,
             g_strerror(-err));
    return COMPARE_TROUBLE;
}

/* Make side->run the one that holds at. 0 or -errno. */
static int find_run(Side *side, uint64_t at, uint64_t end)
{
    int err = 0;

    if (side->run.len > 0 && at < side->run.start + side->run.len)
        return 0;
    if (at < side->bytes)
        err = source_run(side->source, at, &side->run);
    else
        side->run = (VhdChainRun){.start = at, .len = end - at, .layer = -1};
    return err;
}

static bool is_same_file(const Side *a, const Side *b)
{
    VhdFileInfo x, y;
    VhdImage *p = vhd_chain_layer(source_chain(a->source), (unsigned)a->run.layer);
    VhdImage *q = vhd_chain_layer(source_chain(b->source), (unsigned)b->run.layer);

    return vhd_file_info(vhd_image_file(p), &x) == 0 && vhd_file_info(vhd_image_file(q), &y) == 0 &&
           x.device == y.device && x.inode == y.inode;
}

/* Both runs hold at: need one look at the bytes? */
static bool is_known_equal(const Side *a, const Side *b, uint64_t at)
{
    bool a_zero = vhd_chain_run_is_zero(&a->run), b_zero = vhd_chain_run_is_zero(&b->run);

    if (a_zero || b_zero)
        return a_zero && b_zero;
    return a->run.off + (at - a->run.start) == b->run.off + (at - b->run.start) &&
           is_same_file(a, b);
}

/* len bytes at at, in *bytes. 0 or -errno. */
static int load(Comparison *compare, Side *side, uint64_t at, size_t len, const uint8_t **bytes)
{
    bool zero = vhd_chain_run_is_zero(&side->run);

    *bytes = zero ? compare->zeros : side->buf;
    return zero ? 0 : source_read(side->source, &side->run, at - side->run.start, side->buf, len);
}

/* Both are alike up to at; len is within both runs. */
static int compare_bytes(Comparison *compare, uint64_t at, size_t len)
{
    const uint8_t *a, *b;
    size_t i = 0;
    int err = load(compare, &compare->a, at, len, &a);

    if (err)
        return fail_at(&compare->a, "read", at, err);
    err = load(compare, &compare->b, at, len, &b);
    if (err)
        return fail_at(&compare->b, "read", at, err);
    if (memcmp(a, b, len) == 0)
        return COMPARE_SAME;
    while (a[i] == b[i])
        i++;
    progress_end(false);
    printf("Content mismatch at offset %" PRIu64 "!\n", at + i);
    return COMPARE_DIFFERENT;
}

/* Compare from at on as far as one step goes: *done bytes. */
static int step(Comparison *compare, uint64_t at, uint64_t *done)
{
    Side *a = &compare->a, *b = &compare->b;
    uint64_t end;
    int err = find_run(a, at, compare->end);

    if (err)
        return fail_at(a, "map", at, err);
    err = find_run(b, at, compare->end);
    if (err)
        return fail_at(b, "map", at, err);
    end = MIN(a->run.start + a->run.len, b->run.start + b->run.len);
    *done = MIN(end, compare->end) - at;
    if (is_known_equal(a, b, at))
        return COMPARE_SAME;
    *done = MIN(*done, CHUNK_BYTES);
    return compare_bytes(compare, at, *done);
}

static int compare_all(Comparison *compare)
{
    int status = COMPARE_SAME;
    uint64_t done;

    for (uint64_t at = 0; at < compare->end && status == COMPARE_SAME; at += done) {
        done = 0;
        status = step(compare, at, &done);
        progress_show((double)(at + done) / (double)compare->end);
        if (progress_interrupted()) {
            cli_fail("interrupted, %" PRIu64 " bytes are the same", at);
            status = COMPARE_TROUBLE;
        }
    }
    return status;
}

static int compare_sources(Comparison *compare, bool strict, bool progress)
{
    Side *a = &compare->a, *b = &compare->b;
    int status;

    a->bytes = source_bytes(a->source);
    b->bytes = source_bytes(b->source);
    if (a->bytes != b->bytes && strict) {
        printf("Image size mismatch: %" PRIu64 " and %" PRIu64 " bytes!\n", a->bytes, b->bytes);
        return COMPARE_DIFFERENT;
    }
    if (a->bytes != b->bytes)
        cli_warn("%s has %" PRIu64 " bytes and %s %" PRIu64
                 ": the rest of the larger one is compared with zeros",
                 a->name, a->bytes, b->name, b->bytes);
    compare->end = MAX(a->bytes, b->bytes);
    a->buf = g_malloc(CHUNK_BYTES);
    b->buf = g_malloc(CHUNK_BYTES);
    compare->zeros = g_malloc0(CHUNK_BYTES);
    progress_begin(progress);
    status = compare_all(compare);
    progress_end(status == COMPARE_SAME);
    g_free(a->buf);
    g_free(b->buf);
    g_free(compare->zeros);
    if (status == COMPARE_SAME)
        printf("Images are identical.\n");
    return status;
}

static int run_compare(const CliVerb *verb, int argc, char **argv)
{
    g_autofree char *format_a = NULL, *format_b = NULL;
    gboolean strict = FALSE, progress = FALSE, unlocked = FALSE;
    const GOptionEntry entries[] = {
        {"format", 'f', 0, G_OPTION_ARG_FILENAME, &format_a, SOURCE_FORMAT_HELP("A"), "FORMAT"},
        {"second-format", 'F', 0, G_OPTION_ARG_FILENAME, &format_b, SOURCE_FORMAT_HELP("B"),
         "FORMAT"},
        {"strict", 's', 0, G_OPTION_ARG_NONE, &strict, "Different sizes are a difference", NULL},
        PROGRESS_OPTION(&progress),
        OPEN_UNLOCKED_OPTION(&unlocked),
        {NULL, 0, 0, 0, NULL, NULL, NULL},
    };
    g_autoptr(Source) a = NULL;
    g_autoptr(Source) b = NULL;
    g_autoptr(GError) error = NULL;
    SourceFormat formats[2];
    char **operands;
    int status;

    if (!cli_parse(verb, entries, argc, argv, &operands, &status))
        return status;
    if (!source_parse_format(format_a, &formats[0], &error) ||
        !source_parse_format(format_b, &formats[1], &error))
        return cli_usage(verb, "%s", error->message);
    a = source_open(operands[0], formats[0], unlocked, &error);
    b = a ? source_open(operands[1], formats[1], unlocked, &error) : NULL;
    if (!b) {
        cli_fail_error(error);
        return COMPARE_TROUBLE;
    }
    status = compare_sources(&(Comparison){.a = {.source = a, .name = operands[0]},
                                           .b = {.source = b, .name = operands[1]}},
                             strict, progress);
    return cli_finish_stdout(COMPARE_SAME) == COMPARE_SAME ? status : COMPARE_TROUBLE;
}

const CliVerb cli_compare = {
    .name = "compare",
    .operands = "A B",
    .summary = "Tell whether two images show the same disk",
    .operands_min = 2,
    .operands_max = 2,
    .usage_status = COMPARE_TROUBLE,
    .run = run_compare,
};
