/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "tests/support/model-chain.h"

#include <glib.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <stdlib.h>

#include "vhd/be.h"
#include "vhd/format.h"

#define SECTOR 512u

/* Something that takes a range of the file. */
typedef enum PieceKind { PIECE_HEADER, PIECE_BAT, PIECE_LOCATOR, PIECE_BLOCK } PieceKind;

typedef struct Piece {
    PieceKind kind;
    uint32_t index; /* locator slot or block */
    uint64_t len;   /* bytes */
    uint64_t off;
} Piece;

typedef struct Layer {
    Rng *rng;
    const ModelLimits *limits;
    VhdType type;
    uint64_t sectors;
    uint32_t block_sectors, bitmap_sectors, blocks;
    bool batmap;
    uint8_t *present; /* a byte a sector: its bit is set */
    uint8_t *alloc;   /* a byte a block */
    uint8_t *view;    /* what the chain shows from here down */
    VhdFooter footer;
    VhdHeader header;
    GByteArray *locators[VHD_LOCATORS];
    Piece *pieces;
    unsigned count;
    bool short_footer;
    uint8_t *file;
    uint64_t bytes;
} Layer;

static uint64_t round_up(uint64_t value, uint64_t unit)
{
    return (value + unit - 1) / unit * unit;
}

/* What it is */

/* Mostly small: a round then is short, and many are run. */
static uint64_t random_size(Rng *rng, uint64_t below, uint64_t disk_max)
{
    uint64_t most[] = {64, MIN(4096, disk_max), MIN(4096, disk_max), disk_max};

    if (!below)
        return rng_range(rng, 1, most[rng_below(rng, G_N_ELEMENTS(most))]);
    if (rng_one_in(rng, 2))
        return below;
    if (rng_one_in(rng, 8))
        return rng_range(rng, 1, disk_max);
    return below / 2 + 1 + rng_below(rng, below);
}

static void choose_shape(Layer *layer, const Layer *below)
{
    Rng *rng = layer->rng;

    layer->type = below                ? VHD_TYPE_DIFFERENCING
                  : rng_one_in(rng, 3) ? VHD_TYPE_FIXED
                                       : VHD_TYPE_DYNAMIC;
    layer->sectors = random_size(rng, below ? below->sectors : 0, layer->limits->sectors);
    layer->sectors = MIN(layer->sectors, layer->limits->sectors);
    if (layer->type == VHD_TYPE_FIXED)
        return;
    layer->block_sectors = 8u << rng_below(rng, g_bit_storage(layer->limits->block_sectors / 8));
    layer->bitmap_sectors = (layer->block_sectors / 8 + SECTOR - 1) / SECTOR;
    layer->blocks = (uint32_t)((layer->sectors + layer->block_sectors - 1) / layer->block_sectors);
    layer->batmap = rng_one_in(rng, 4);
}

static uint32_t used_sectors(const Layer *layer, uint32_t block)
{
    uint64_t left = layer->sectors - (uint64_t)block * layer->block_sectors;

    return (uint32_t)MIN(left, layer->block_sectors);
}

/* Runs of set bits in one block, or all of them. */
static void choose_bits(Layer *layer, uint32_t block)
{
    uint8_t *bits = layer->present + (uint64_t)block * layer->block_sectors;
    uint32_t used = used_sectors(layer, block);
    unsigned runs = (unsigned)rng_below(layer->rng, 8);

    if (rng_one_in(layer->rng, 3)) {
        memset(bits, 1, used);
        return;
    }
    while (runs-- > 0) {
        uint32_t first = (uint32_t)rng_below(layer->rng, used);
        uint32_t most = rng_one_in(layer->rng, 2) ? 9 : used;

        memset(bits + first, 1, rng_range(layer->rng, 1, MIN(most, used - first)));
    }
}

static void choose_blocks(Layer *layer)
{
    uint64_t most = layer->limits->layer_bytes / SECTOR / layer->block_sectors + 1;
    unsigned percent = (unsigned)rng_below(layer->rng, 101);

    layer->present = g_malloc0((uint64_t)layer->blocks * layer->block_sectors);
    layer->alloc = g_malloc0(layer->blocks);
    for (uint32_t block = 0; block < layer->blocks && most > 0; block++) {
        if (rng_below(layer->rng, 100) >= percent)
            continue;
        layer->alloc[block] = 1;
        choose_bits(layer, block);
        most--;
    }
}

/* Records */

static void choose_footer(Layer *layer)
{
    VhdFooter *footer = &layer->footer;
    Rng *rng = layer->rng;

    footer->features = rng_one_in(rng, 4) ? (uint32_t)rng_next(rng) : 2;
    footer->version = 0x00010000;
    footer->data_offset = VHD_NO_DATA_OFFSET;
    footer->time_stamp = (uint32_t)rng_next(rng);
    footer->creator = layer->batmap ? VHD_CREATOR_TAPDISK : VHD_CREATOR_WINDOWS;
    footer->creator_version = layer->batmap ? 0x00010003 : 0x000A0000;
    footer->creator_host = VHD_HOST_WINDOWS;
    footer->current_bytes = layer->sectors * SECTOR;
    footer->original_bytes = rng_one_in(rng, 2) ? footer->current_bytes : rng_next(rng);
    footer->geometry = vhd_geometry(footer->current_bytes);
    footer->type = layer->type;
    rng_fill(rng, footer->uuid, sizeof footer->uuid);
    if (rng_one_in(rng, 3))
        rng_fill(rng, footer->reserved, sizeof footer->reserved);
}

/* UTF-16 of plain ASCII. */
static GByteArray *utf16(const char *text, bool big)
{
    GByteArray *bytes = g_byte_array_new();

    for (; *text; text++) {
        uint8_t unit[2] = {big ? 0 : (uint8_t)*text, big ? (uint8_t)*text : 0};

        g_byte_array_append(bytes, unit, 2);
    }
    return bytes;
}

static void add_locator(Layer *layer, uint32_t platform, GByteArray *text)
{
    unsigned slot = (unsigned)rng_below(layer->rng, VHD_LOCATORS);
    VhdLocator *locator;

    while (layer->locators[slot])
        slot = (slot + 1) % VHD_LOCATORS;
    locator = &layer->header.locators[slot];
    layer->locators[slot] = text;
    locator->platform = platform;
    locator->data_length = text->len;
    locator->data_space = (uint32_t)round_up(text->len, SECTOR);
    if (rng_one_in(layer->rng, 3))
        locator->data_space /= SECTOR; /* in sectors, as the specification has it */
    else if (rng_one_in(layer->rng, 3))
        locator->data_space += SECTOR * (uint32_t)rng_below(layer->rng, 8);
}

static void set_name(Layer *layer, const char *name)
{
    GByteArray *bytes = utf16(name, true);

    memcpy(layer->header.parent_name, bytes->data, bytes->len);
    g_byte_array_unref(bytes);
}

/* At least one way to the parent, among some that lead nowhere. */
static void choose_locators(Layer *layer, const char *parent)
{
    g_autofree char *relative = g_strconcat(".\\", parent, NULL);
    g_autofree char *absolute = g_strconcat("C:\\Disks\\Golden\\", parent, NULL);
    unsigned way = (unsigned)rng_below(layer->rng, 3);

    if (way == 0 || rng_one_in(layer->rng, 2))
        add_locator(layer, VHD_PLATFORM_W2RU, utf16(relative, false));
    if (way == 1 || rng_one_in(layer->rng, 2))
        add_locator(layer, VHD_PLATFORM_W2KU, utf16(absolute, false));
    if (way == 2 || rng_one_in(layer->rng, 2))
        set_name(layer, rng_one_in(layer->rng, 2) ? absolute : parent);
    if (rng_one_in(layer->rng, 3))
        add_locator(layer, VHD_PLATFORM_W2RU, utf16("..\\nowhere\\none.vhd", false));
    if (rng_one_in(layer->rng, 3))
        add_locator(layer, VHD_PLATFORM_MAC, utf16("an alias", true));
    if (rng_one_in(layer->rng, 5))
        add_locator(layer, (uint32_t)rng_next(layer->rng) | 1, utf16("what is this", true));
}

static void choose_header(Layer *layer, const Layer *below, const char *parent)
{
    VhdHeader *header = &layer->header;

    header->data_offset = VHD_NO_DATA_OFFSET;
    header->version = 0x00010000;
    header->bat_entries = layer->blocks;
    header->block_bytes = layer->block_sectors * SECTOR;
    if (rng_one_in(layer->rng, 3)) {
        rng_fill(layer->rng, header->reserved2, sizeof header->reserved2);
        header->reserved1 = (uint32_t)rng_next(layer->rng);
    }
    if (!below)
        return;
    memcpy(header->parent_uuid, below->footer.uuid, sizeof header->parent_uuid);
    header->parent_time_stamp = rng_one_in(layer->rng, 2) ? 0 : UINT32_MAX;
    choose_locators(layer, parent);
}

/* Placement */

static uint64_t batmap_bytes(const Layer *layer)
{
    return round_up((layer->blocks + 7) / 8, SECTOR);
}

static uint64_t bat_bytes(const Layer *layer)
{
    return round_up((uint64_t)layer->blocks * 4, SECTOR);
}

static void add_piece(Layer *layer, PieceKind kind, uint32_t index, uint64_t len)
{
    layer->pieces = g_renew(Piece, layer->pieces, layer->count + 1);
    layer->pieces[layer->count++] = (Piece){kind, index, len, 0};
}

static void swap_pieces(Layer *layer, unsigned a, unsigned b)
{
    Piece piece = layer->pieces[a];

    layer->pieces[a] = layer->pieces[b];
    layer->pieces[b] = piece;
}

static void shuffle_pieces(Layer *layer, unsigned from)
{
    for (unsigned i = layer->count; i > from + 1; i--)
        swap_pieces(layer, i - 1, from + (unsigned)rng_below(layer->rng, i - from));
}

static void collect_pieces(Layer *layer)
{
    uint64_t span = (uint64_t)layer->bitmap_sectors + layer->block_sectors;

    add_piece(layer, PIECE_HEADER, 0, VHD_HEADER_BYTES);
    add_piece(layer, PIECE_BAT, 0,
              bat_bytes(layer) + (layer->batmap ? VHD_BATMAP_BYTES + batmap_bytes(layer) : 0));
    for (unsigned i = 0; i < VHD_LOCATORS; i++)
        if (layer->locators[i])
            add_piece(layer, PIECE_LOCATOR, i, round_up(layer->locators[i]->len, SECTOR));
    for (uint32_t block = 0; block < layer->blocks; block++)
        if (layer->alloc[block])
            add_piece(layer, PIECE_BLOCK, block, span * SECTOR);
}

/* Some writers cut the file behind the used sectors of a partial last block that lies last. */
static void cut_last_piece(Layer *layer)
{
    Piece *piece = &layer->pieces[layer->count - 1];

    if (piece->kind == PIECE_BLOCK && rng_one_in(layer->rng, 2))
        piece->len = ((uint64_t)layer->bitmap_sectors + used_sectors(layer, piece->index)) * SECTOR;
}

static void place_pieces(Layer *layer)
{
    Rng *rng = layer->rng;
    uint64_t off = SECTOR, most_gap = rng_one_in(rng, 3) ? 0 : rng_range(rng, 1, 40);
    bool usual = !rng_one_in(rng, 4); /* the header at 0x200, and most often metadata first */

    collect_pieces(layer);
    shuffle_pieces(layer, usual ? 1 : 0);
    cut_last_piece(layer);
    for (unsigned i = 0; i < layer->count; i++) {
        if (!(usual && i == 0))
            off += rng_below(rng, most_gap + 1) * SECTOR;
        layer->pieces[i].off = off;
        off += layer->pieces[i].len;
    }
    if (rng_one_in(rng, 3)) /* as Windows 10 does: the footer in the last sector of a page */
        off = round_up(off + SECTOR, 4096) - SECTOR;
    layer->short_footer = rng_one_in(rng, 6);
    layer->bytes = off + (layer->short_footer ? SECTOR - 1 : SECTOR);
}

/* Writing it down */

static void put_locators(Layer *layer)
{
    for (unsigned i = 0; i < layer->count; i++) {
        const Piece *piece = &layer->pieces[i];

        if (piece->kind != PIECE_LOCATOR)
            continue;
        layer->header.locators[piece->index].data_offset = piece->off;
        memcpy(layer->file + piece->off, layer->locators[piece->index]->data,
               layer->locators[piece->index]->len);
    }
}

static void put_block(Layer *layer, const Piece *piece, uint8_t *bat)
{
    uint8_t *bitmap = layer->file + piece->off;
    uint8_t *data = bitmap + (uint64_t)layer->bitmap_sectors * SECTOR;
    uint64_t first = (uint64_t)piece->index * layer->block_sectors;

    be32_put(bat + (uint64_t)piece->index * 4, (uint32_t)(piece->off / SECTOR));
    memset(bitmap, 0, (uint64_t)layer->bitmap_sectors * SECTOR);
    for (uint32_t i = 0; i < used_sectors(layer, piece->index); i++) {
        uint8_t *sector = data + (uint64_t)i * SECTOR, *view = layer->view + (first + i) * SECTOR;
        bool set = layer->present[first + i];

        if (set)
            bitmap[i / 8] |= (uint8_t)(0x80 >> i % 8);
        if (rng_one_in(layer->rng, 4))
            memset(sector, 0, SECTOR);
        else
            rng_fill(layer->rng, sector, SECTOR);
        /* In a dynamic image the bits say nothing to a reader. */
        if (set || layer->type == VHD_TYPE_DYNAMIC)
            memcpy(view, sector, SECTOR);
    }
}

static bool is_full(const Layer *layer, uint32_t block)
{
    uint64_t first = (uint64_t)block * layer->block_sectors;

    for (uint32_t i = 0; i < used_sectors(layer, block); i++)
        if (!layer->present[first + i])
            return false;
    return layer->alloc[block];
}

static void put_batmap(Layer *layer, uint64_t off)
{
    uint8_t *map = layer->file + off + VHD_BATMAP_BYTES;
    VhdBatmapHeader header = {
        .map_offset = off + VHD_BATMAP_BYTES,
        .map_sectors = (uint32_t)(batmap_bytes(layer) / SECTOR),
        .version = 0x00010002,
    };

    memset(map, 0, batmap_bytes(layer));
    for (uint32_t block = 0; block < layer->blocks; block++)
        if (is_full(layer, block) && !rng_one_in(layer->rng, 5))
            map[block / 8] |= (uint8_t)(0x80 >> block % 8);
    header.checksum = vhd_checksum(map, batmap_bytes(layer), batmap_bytes(layer));
    if (rng_one_in(layer->rng, 6))
        header.checksum ^= 1;
    vhd_batmap_encode(&header, layer->file + off);
}

static void put_sparse(Layer *layer)
{
    uint8_t *bat = NULL;

    for (unsigned i = 0; i < layer->count; i++) {
        if (layer->pieces[i].kind == PIECE_HEADER)
            layer->footer.data_offset = layer->pieces[i].off;
        if (layer->pieces[i].kind != PIECE_BAT)
            continue;
        layer->header.bat_offset = layer->pieces[i].off;
        bat = layer->file + layer->pieces[i].off;
        memset(bat, 0xFF, bat_bytes(layer));
        if (rng_one_in(layer->rng, 3)) /* padding */
            memset(bat + (uint64_t)layer->blocks * 4, 0,
                   bat_bytes(layer) - (uint64_t)layer->blocks * 4);
        if (layer->batmap)
            put_batmap(layer, layer->pieces[i].off + bat_bytes(layer));
    }
    put_locators(layer);
    for (unsigned i = 0; i < layer->count; i++)
        if (layer->pieces[i].kind == PIECE_BLOCK)
            put_block(layer, &layer->pieces[i], bat);
    vhd_header_encode(&layer->header, layer->file + layer->footer.data_offset);
}

/* The copy at 0 and the trailing one; sometimes one of them is damaged. */
static void put_footers(Layer *layer)
{
    size_t len = layer->short_footer ? SECTOR - 1 : SECTOR;
    uint8_t *trailing = layer->file + layer->bytes - len;
    uint8_t raw[VHD_FOOTER_BYTES];

    if (layer->short_footer)
        layer->footer.reserved[sizeof layer->footer.reserved - 1] = 0;
    vhd_footer_encode(&layer->footer, raw);
    memcpy(trailing, raw, len);
    if (layer->type == VHD_TYPE_FIXED)
        return;
    memcpy(layer->file, raw, SECTOR);
    if (rng_one_in(layer->rng, 8)) {
        uint8_t *victim = rng_one_in(layer->rng, 2) ? layer->file : trailing;

        victim[rng_below(layer->rng, len)] ^= 0x10;
    }
}

static void put_fixed(Layer *layer)
{
    layer->short_footer = rng_one_in(layer->rng, 6);
    layer->bytes = layer->sectors * SECTOR + (layer->short_footer ? SECTOR - 1 : SECTOR);
    layer->file = g_malloc0(layer->bytes);
    rng_fill(layer->rng, layer->file, layer->sectors * SECTOR);
    if (rng_one_in(layer->rng, 2))
        memset(layer->file, 0, layer->sectors * SECTOR / 2);
    memcpy(layer->view, layer->file, layer->sectors * SECTOR);
}

/* What is in the gaps is nobody's. */
static uint8_t *new_file(Layer *layer)
{
    uint8_t *file = g_malloc(layer->bytes);

    if (rng_one_in(layer->rng, 2))
        memset(file, rng_one_in(layer->rng, 2) ? 0xFF : 0, layer->bytes);
    else
        rng_fill(layer->rng, file, layer->bytes);
    return file;
}

static Layer *build_layer(const char *path, const Layer *below, const char *parent, Rng *rng,
                          const ModelLimits *limits)
{
    Layer *layer = g_new0(Layer, 1);
    g_autoptr(GError) error = NULL;

    layer->rng = rng;
    layer->limits = limits;
    choose_shape(layer, below);
    layer->view = g_malloc0(layer->sectors * SECTOR);
    if (below)
        memcpy(layer->view, below->view, MIN(layer->sectors, below->sectors) * SECTOR);
    choose_footer(layer);
    if (layer->type == VHD_TYPE_FIXED) {
        put_fixed(layer);
    } else {
        choose_blocks(layer);
        choose_header(layer, below, parent);
        place_pieces(layer);
        layer->file = new_file(layer);
        put_sparse(layer);
    }
    put_footers(layer);
    if (!g_file_set_contents_full(path, (const char *)layer->file, (gssize)layer->bytes,
                                  G_FILE_SET_CONTENTS_NONE, 0600, &error)) {
        fprintf(stderr, "model-chain: %s\n", error->message);
        exit(2);
    }
    return layer;
}

static void free_layer(Layer *layer)
{
    if (!layer)
        return;
    for (unsigned i = 0; i < VHD_LOCATORS; i++)
        if (layer->locators[i])
            g_byte_array_unref(layer->locators[i]);
    g_free(layer->present);
    g_free(layer->alloc);
    g_free(layer->view);
    g_free(layer->pieces);
    g_free(layer->file);
    g_free(layer);
}

ModelChain *model_chain_build(const char *folder, Rng *rng, const ModelLimits *limits)
{
    ModelChain *chain = g_new0(ModelChain, 1);
    Layer *below = NULL;
    bool deep = rng_one_in(rng, 50) && limits->deep;

    chain->depth = (unsigned)(deep ? rng_range(rng, 9, 40) : rng_range(rng, 1, limits->depth));
    chain->paths = g_new0(char *, chain->depth + 1);
    for (unsigned i = chain->depth; i-- > 0;) {
        g_autofree char *name = g_strdup_printf("layer-%u.vhd", i);
        g_autofree char *parent = g_strdup_printf("layer-%u.vhd", i + 1);
        Layer *layer;

        chain->paths[i] = g_build_filename(folder, name, NULL);
        layer = build_layer(chain->paths[i], below, parent, rng, limits);
        free_layer(below);
        below = layer;
    }
    chain->sectors = below->sectors;
    chain->block_sectors = below->block_sectors;
    chain->child = below->type == VHD_TYPE_DIFFERENCING;
    chain->content = g_steal_pointer(&below->view);
    chain->present = below->present ? g_steal_pointer(&below->present) : g_malloc0(below->sectors);
    free_layer(below);
    return chain;
}

void model_chain_free(ModelChain *chain)
{
    for (unsigned i = 0; i < chain->depth; i++)
        g_unlink(chain->paths[i]);
    g_strfreev(chain->paths);
    g_free(chain->content);
    g_free(chain->present);
    g_free(chain);
}
