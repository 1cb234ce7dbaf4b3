/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "tests/model/reader.h"

#include <glib.h>
#include <stdlib.h>
#include <string.h>

typedef struct Image {
    uint8_t *file;
    gsize bytes;
    const uint8_t *footer; /* the one believed */
    uint8_t short_footer[512];
    uint32_t type;
    uint64_t sectors;
    const uint8_t *header, *bat;
    uint32_t blocks, block_sectors, bitmap_sectors;
} Image;

static uint64_t number(const uint8_t *at, unsigned bytes)
{
    uint64_t value = 0;

    while (bytes-- > 0)
        value = value << 8 | *at++;
    return value;
}

static bool sum_ok(const uint8_t *at, unsigned len, unsigned field)
{
    uint32_t sum = 0;

    for (unsigned i = 0; i < len; i++)
        sum += i >= field && i < field + 4 ? 0 : at[i];
    return number(at + field, 4) == (uint32_t)~sum;
}

static bool footer_ok(const uint8_t *at)
{
    return memcmp(at, "conectix", 8) == 0 && sum_ok(at, 512, 64);
}

static const uint8_t *trailing_footer(Image *image)
{
    if (image->bytes % 512 == 511) {
        memcpy(image->short_footer, image->file + image->bytes - 511, 511);
        return image->short_footer;
    }
    return image->file + image->bytes - 512;
}

static bool open_sparse(Image *image, const char **why)
{
    uint64_t header_off = number(image->footer + 16, 8);

    *why = "header does not fit";
    if (header_off > image->bytes || image->bytes - header_off < 1024)
        return false;
    image->header = image->file + header_off;
    *why = "header is damaged";
    if (memcmp(image->header, "cxsparse", 8) != 0 || !sum_ok(image->header, 1024, 36))
        return false;
    image->blocks = (uint32_t)number(image->header + 28, 4);
    image->block_sectors = (uint32_t)number(image->header + 32, 4) / 512;
    image->bitmap_sectors = (image->block_sectors / 8 + 511) / 512;
    uint64_t bat_off = number(image->header + 16, 8);
    *why = "BAT does not fit";
    if (bat_off > image->bytes || (image->bytes - bat_off) / 4 < image->blocks)
        return false;
    image->bat = image->file + bat_off;
    return true;
}

static bool open_image(Image *image, const char *path, const char **why)
{
    *why = "cannot be read";
    memset(image, 0, sizeof *image);
    if (!g_file_get_contents(path, (gchar **)&image->file, &image->bytes, NULL))
        return false;
    *why = "no good footer";
    if (image->bytes < 512)
        return false;
    image->footer = trailing_footer(image);
    if (!footer_ok(image->footer) || number(image->footer + 60, 4) != 2)
        if (footer_ok(image->file))
            image->footer = image->file;
    if (!footer_ok(image->footer))
        return false;
    image->type = (uint32_t)number(image->footer + 60, 4);
    image->sectors = number(image->footer + 48, 8) / 512;
    return image->type == 2 || open_sparse(image, why);
}

/* The data of a sector; NULL with *below: look at the parent, NULL without: zeros. */
static const uint8_t *find_sector(const Image *image, uint64_t sector, bool *below)
{
    *below = false;
    if (sector >= image->sectors)
        return NULL;
    if (image->type == 2)
        return image->file + sector * 512;
    uint32_t entry = (uint32_t)number(image->bat + sector / image->block_sectors * 4, 4);
    uint32_t within = (uint32_t)(sector % image->block_sectors);
    const uint8_t *bitmap = image->file + (uint64_t)entry * 512;
    *below = image->type == 4;
    if (entry == 0xFFFFFFFF)
        return NULL;
    if (image->type == 4 && !(bitmap[within / 8] & 0x80 >> within % 8))
        return NULL;
    *below = false;
    return bitmap + ((uint64_t)image->bitmap_sectors + within) * 512;
}

static bool read_sector(Image *images, unsigned depth, uint64_t sector, uint8_t *out)
{
    for (unsigned i = 0; i < depth; i++) {
        bool below;
        const uint8_t *data = find_sector(&images[i], sector, &below);

        if (data && (data < images[i].file || data + 512 > images[i].file + images[i].bytes))
            return false;
        if (data)
            memcpy(out, data, 512);
        if (data || !below)
            return true;
    }
    return true;
}

bool reader_read(char *const *paths, unsigned depth, uint64_t sectors, uint8_t *out,
                 const char **why)
{
    Image *images = g_new0(Image, depth);
    bool ok = true;

    for (unsigned i = 0; i < depth && ok; i++)
        ok = open_image(&images[i], paths[i], why);
    memset(out, 0, sectors * 512);
    for (uint64_t sector = 0; sector < sectors && ok; sector++) {
        *why = "a sector lies beyond the end of its file";
        ok = read_sector(images, depth, sector, out + sector * 512);
    }
    for (unsigned i = 0; i < depth; i++)
        g_free(images[i].file);
    g_free(images);
    return ok;
}

/* Checking one image */

static uint32_t used_sectors(const Image *image, uint32_t block)
{
    uint64_t start = (uint64_t)block * image->block_sectors;
    uint64_t left = image->sectors - start;

    return left < image->block_sectors ? (uint32_t)left : image->block_sectors;
}

static bool block_is_full(const Image *image, uint32_t block)
{
    uint32_t entry = (uint32_t)number(image->bat + (uint64_t)block * 4, 4);
    const uint8_t *bitmap = image->file + (uint64_t)entry * 512;

    if (entry == 0xFFFFFFFF)
        return false;
    for (uint32_t i = 0; i < used_sectors(image, block); i++)
        if (!(bitmap[i / 8] & 0x80 >> i % 8))
            return false;
    return true;
}

/* Xen's batmap, behind the BAT, if the creator promises one and it has a good checksum. */
static bool check_batmap(const Image *image)
{
    const uint8_t *header = image->bat + ((uint64_t)image->blocks * 4 + 511) / 512 * 512;
    uint32_t sum = 0;

    if (memcmp(image->footer + 28, "tap", 4) != 0 || memcmp(header, "tdbatmap", 8) != 0)
        return true;
    const uint8_t *map = image->file + number(header + 8, 8);
    uint64_t map_bytes = number(header + 16, 4) * 512;
    for (uint64_t i = 0; i < map_bytes; i++)
        sum += map[i];
    if (number(header + 24, 4) != (uint32_t)~sum)
        return true;
    for (uint32_t block = 0; block < image->blocks; block++)
        if ((map[block / 8] & 0x80 >> block % 8) && !block_is_full(image, block))
            return false;
    return true;
}

typedef struct Span {
    uint64_t start, end;
} Span;

static int compare_spans(const void *a, const void *b)
{
    const Span *x = a, *y = b;

    return x->start < y->start ? -1 : x->start > y->start;
}

/* The range of a block, of which a partial last one may lack the end where the file was cut behind
 * it. */
static Span block_span(const Image *image, uint32_t block, uint64_t footer_off)
{
    uint64_t start = number(image->bat + (uint64_t)block * 4, 4) * 512;
    uint64_t used = start + (image->bitmap_sectors + (uint64_t)used_sectors(image, block)) * 512;
    uint64_t end = start + ((uint64_t)image->bitmap_sectors + image->block_sectors) * 512;

    return (Span){start, MAX(used, MIN(end, footer_off))};
}

static bool check_overlap(const Image *image)
{
    Span *spans = g_new(Span, image->blocks + 4);
    uint64_t header = (uint64_t)(image->header - image->file);
    uint64_t bat = (uint64_t)(image->bat - image->file);
    uint64_t footer = image->bytes - (image->bytes % 512 ? 511 : 512);
    uint32_t count = 0;
    bool ok = true;

    spans[count++] = (Span){0, 512};
    spans[count++] = (Span){header, header + 1024};
    spans[count++] = (Span){bat, bat + (uint64_t)image->blocks * 4};
    spans[count++] = (Span){footer, image->bytes};
    for (uint32_t block = 0; block < image->blocks; block++)
        if (number(image->bat + (uint64_t)block * 4, 4) != 0xFFFFFFFF)
            spans[count++] = block_span(image, block, footer);
    qsort(spans, count, sizeof *spans, compare_spans);
    for (uint32_t i = 1; i < count && ok; i++)
        ok = spans[i - 1].end <= spans[i].start;
    g_free(spans);
    return ok;
}

bool reader_check(const char *path, const char **why)
{
    Image image;
    bool ok = open_image(&image, path, why);

    if (ok && image.type != 2) {
        const uint8_t *trailing = trailing_footer(&image);

        *why = "the footers are not both good and alike";
        ok = footer_ok(image.file) && footer_ok(trailing) &&
             memcmp(image.file, trailing, image.bytes % 512 ? 511 : 512) == 0;
        if (ok && !check_overlap(&image)) {
            *why = "blocks or metadata overlap";
            ok = false;
        }
        if (ok && !check_batmap(&image)) {
            *why = "the batmap claims sectors that are not there";
            ok = false;
        }
    }
    g_free(image.file);
    return ok;
}
