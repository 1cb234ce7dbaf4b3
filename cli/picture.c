/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "cli/picture.h"

#include <string.h>

#include "cli/output.h"
#include "cli/size.h"
#include "vhd/chain-run.h"

#define COLUMNS    1000 /* of the disk; what is narrower is seen as a share of its column */
#define LEFT       20
#define TOP        50
#define ROW_HEIGHT 56
#define BAR_HEIGHT 28
#define STEPS      8 /* shades of a share */

typedef enum Shade { SHADE_HIDDEN, SHADE_ZERO, SHADE_DATA, SHADES } Shade;

/* Bytes of each kind in each column of a row. */
typedef struct Row {
    double bytes[SHADES][COLUMNS];
} Row;

typedef struct Picture {
    VhdChain *chain;
    uint64_t bytes; /* of the disk */
    Row *rows;      /* one a layer */
    GString *text;
} Picture;

static const char *const shade_class[SHADES] = {
    [SHADE_HIDDEN] = "hidden", [SHADE_ZERO] = "zero", [SHADE_DATA] = "data"};

/* Where column begins, in bytes of the disk. */
static double column_start(const Picture *picture, unsigned column)
{
    return (double)picture->bytes * column / COLUMNS;
}

/* Spread [start, start+len) over the columns that it touches. */
static void add(Picture *picture, unsigned layer, Shade shade, uint64_t start, uint64_t len)
{
    double from = (double)start, to = (double)(start + len);
    unsigned column = (unsigned)(from * COLUMNS / (double)picture->bytes);

    for (; column < COLUMNS && column_start(picture, column) < to; column++) {
        double left = MAX(from, column_start(picture, column));
        double right = MIN(to, column_start(picture, column + 1));

        if (right > left)
            picture->rows[layer].bytes[shade][column] += right - left;
    }
}

/* What one sees: who provides each sector. */
static int add_seen(Picture *picture)
{
    VhdChainRun run;

    for (uint64_t at = 0; at < picture->bytes; at += run.len) {
        int err = vhd_chain_run(picture->chain, at, picture->bytes, &run);

        if (err)
            return err;
        if (run.layer >= 0)
            add(picture, (unsigned)run.layer, run.hole ? SHADE_ZERO : SHADE_DATA, at, run.len);
    }
    return 0;
}

/* All that a layer holds: drawn below what is seen of it, so it shows where it is hidden. */
static int add_held(Picture *picture, unsigned layer)
{
    VhdImage *image = vhd_chain_layer(picture->chain, layer);
    uint64_t end = MIN(vhd_image_sectors(image), picture->bytes / VHD_SECTOR_BYTES);
    VhdImageExtent run;

    for (uint64_t at = 0; at < end; at += run.sectors) {
        int err = vhd_image_map(image, at, end - at, &run);

        if (err)
            return err;
        if (run.presence == VHD_DATA)
            add(picture, layer, SHADE_HIDDEN, at * VHD_SECTOR_BYTES,
                run.sectors * VHD_SECTOR_BYTES);
    }
    return 0;
}

static int add_all(Picture *picture)
{
    int err = add_seen(picture);

    for (unsigned i = 0; i < vhd_chain_depth(picture->chain) && !err; i++)
        err = add_held(picture, i);
    return err;
}

/* The share of a column, in STEPS; what is there at all is seen. */
static unsigned step_of(const Picture *picture, const Row *row, Shade shade, unsigned column)
{
    double bytes = row->bytes[shade][column];
    double share = bytes / (column_start(picture, column + 1) - column_start(picture, column));

    return bytes > 0 ? MAX(1, (unsigned)(share * STEPS + 0.5)) : 0;
}

/* Columns alike are one rectangle. */
static void draw_shade(Picture *picture, unsigned layer, Shade shade, int y)
{
    const Row *row = &picture->rows[layer];

    for (unsigned column = 0, run; column < COLUMNS; column += run) {
        unsigned step = step_of(picture, row, shade, column);

        for (run = 1; column + run < COLUMNS; run++)
            if (step_of(picture, row, shade, column + run) != step)
                break;
        if (step > 0)
            g_string_append_printf(picture->text,
                                   "<rect class=\"%s\" x=\"%u\" y=\"%d\" width=\"%u\" "
                                   "height=\"%d\" opacity=\"%u%%\"/>\n",
                                   shade_class[shade], LEFT + column, y, run, BAR_HEIGHT,
                                   100 * MIN(step, STEPS) / STEPS);
    }
}

static double sum(const double *bytes)
{
    double total = 0;

    for (unsigned i = 0; i < COLUMNS; i++)
        total += bytes[i];
    return total;
}

static void draw_label(Picture *picture, unsigned layer, int y)
{
    const Row *row = &picture->rows[layer];
    double seen = sum(row->bytes[SHADE_DATA]) + sum(row->bytes[SHADE_ZERO]);
    g_autofree char *held = size_format((uint64_t)(sum(row->bytes[SHADE_HIDDEN]) + 0.5));
    g_autofree char *shows = size_format((uint64_t)(seen + 0.5));
    g_autofree char *name = output_visible(vhd_image_name(vhd_chain_layer(picture->chain, layer)));
    g_autofree char *line =
        g_markup_printf_escaped("<text x=\"%d\" y=\"%d\">layer %u: %s: holds %s, %s of it seen"
                                "</text>\n",
                                LEFT, y, layer, name, held, shows);

    g_string_append(picture->text, line);
}

static void draw_row(Picture *picture, unsigned layer)
{
    int y = TOP + (int)layer * ROW_HEIGHT;

    draw_label(picture, layer, y);
    g_string_append_printf(picture->text,
                           "<rect class=\"frame\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/>\n",
                           LEFT, y + 6, COLUMNS, BAR_HEIGHT);
    for (Shade shade = 0; shade < SHADES; shade++)
        draw_shade(picture, layer, shade, y + 6);
}

static void draw(Picture *picture)
{
    unsigned depth = vhd_chain_depth(picture->chain);
    g_autofree char *size = size_format(picture->bytes);

    g_string_append_printf(
        picture->text,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%u\">\n"
        "<style>text { font: 13px sans-serif } .frame { fill: #fff; stroke: #888 }\n"
        ".hidden { fill: #bbb } .zero { fill: #9ecae1 } .data { fill: #08519c }</style>\n"
        "<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n"
        "<text x=\"%d\" y=\"20\">A disk of %s, from its first sector to its last. Dark: seen from "
        "this layer; light: zeros of this layer; grey: hidden by a layer above.</text>\n",
        COLUMNS + 2 * LEFT, TOP + depth * ROW_HEIGHT, LEFT, size);
    for (unsigned i = 0; i < depth; i++)
        draw_row(picture, i);
    g_string_append(picture->text, "</svg>\n");
}

GString *picture_of_chain(VhdChain *chain, int *err)
{
    Picture picture = {.chain = chain, .bytes = vhd_chain_sectors(chain) * VHD_SECTOR_BYTES};

    picture.rows = g_new0(Row, vhd_chain_depth(chain));
    *err = add_all(&picture);
    if (!*err) {
        picture.text = g_string_new(NULL);
        draw(&picture);
    }
    g_free(picture.rows);
    return picture.text;
}
