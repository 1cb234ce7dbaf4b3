/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "verify-model.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <glib.h>

static const char model_magic[16] = "runner model 1\n";

Model *model_new(uint64_t sectors)
{
    Model *model = g_new0(Model, 1);

    model->sectors = sectors;
    model->version = g_new0(uint32_t, sectors);
    model->other = g_new0(uint32_t, sectors);
    model->next_version = 1;
    return model;
}

void model_free(Model *model)
{
    g_free(model->version);
    g_free(model->other);
    g_free(model);
}

uint32_t model_fresh_version(Model *model)
{
    return model->next_version++ & ~(uint32_t)MODEL_SAME;
}

/* One step of the splitmix64 generator. */
static uint64_t mix(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

void model_fill(uint8_t *data, uint64_t sector, uint32_t version)
{
    uint64_t state, word;

    if (version == 0) {
        memset(data, 0, SECTOR);
        return;
    }
    if (version & (uint32_t)MODEL_SAME)
        sector = UINT32_MAX;
    /* The first words name the content, for messages; the rest depends on them. */
    memcpy(data, &sector, sizeof sector);
    word = version;
    memcpy(data + 8, &word, sizeof word);
    state = sector << 32 ^ version;
    for (size_t at = 16; at < SECTOR; at += sizeof word) {
        word = mix(&state);
        memcpy(data + at, &word, sizeof word);
    }
}

void model_set(Model *model, uint64_t sector, uint64_t count, uint32_t version)
{
    for (uint64_t s = sector; s < sector + count; s++)
        model->version[s] = model->other[s] = version;
}

void model_set_maybe(Model *model, uint64_t sector, uint64_t count, uint32_t version)
{
    for (uint64_t s = sector; s < sector + count; s++)
        model->other[s] = version;
}

static bool is_version(const uint8_t *data, uint64_t sector, uint32_t version)
{
    uint8_t expected[SECTOR];

    model_fill(expected, sector, version);
    return memcmp(expected, data, SECTOR) == 0;
}

static void describe(const Model *model, uint64_t sector, const uint8_t *data, char *text)
{
    uint64_t words[2];
    uint8_t zeros[SECTOR] = {0};

    memcpy(words, data, sizeof words);
    if (memcmp(data, zeros, SECTOR) == 0)
        snprintf(text, 256, "sector %lu: expected version %u, found zeros", sector,
                 model->version[sector]);
    else if (is_version(data, words[0], (uint32_t)words[1]))
        snprintf(text, 256, "sector %lu: expected version %u, found sector %lu version %lu", sector,
                 model->version[sector], words[0], words[1]);
    else
        snprintf(text, 256, "sector %lu: expected version %u, found %016lx %016lx...", sector,
                 model->version[sector], words[0], words[1]);
}

bool model_check(Model *model, uint64_t sector, uint64_t count, const uint8_t *data,
                 char text[static 256])
{
    for (uint64_t s = sector; s < sector + count; s++, data += SECTOR) {
        if (is_version(data, s, model->version[s])) {
            model->other[s] = model->version[s];
        } else if (is_version(data, s, model->other[s])) {
            model->version[s] = model->other[s];
        } else {
            describe(model, s, data, text);
            return false;
        }
    }
    return true;
}

int model_save(const Model *model, const char *path)
{
    uint32_t next = model->next_version;
    FILE *file = fopen(path, "wb");
    bool good;

    if (!file)
        return -1;
    good = fwrite(model_magic, sizeof model_magic, 1, file) == 1 &&
           fwrite(&model->sectors, sizeof model->sectors, 1, file) == 1 &&
           fwrite(&next, sizeof next, 1, file) == 1 &&
           fwrite(model->version, sizeof *model->version, model->sectors, file) == model->sectors &&
           fwrite(model->other, sizeof *model->other, model->sectors, file) == model->sectors;
    return fclose(file) == 0 && good ? 0 : -1;
}

int model_load(Model *model, const char *path)
{
    char magic[sizeof model_magic];
    FILE *file = fopen(path, "rb");
    uint64_t sectors;
    uint32_t next;
    bool good;

    if (!file)
        return errno == ENOENT ? 1 : -1;
    errno = EINVAL;
    good = fread(magic, sizeof magic, 1, file) == 1 &&
           memcmp(magic, model_magic, sizeof magic) == 0 &&
           fread(&sectors, sizeof sectors, 1, file) == 1 && sectors == model->sectors &&
           fread(&next, sizeof next, 1, file) == 1 &&
           fread(model->version, sizeof *model->version, sectors, file) == sectors &&
           fread(model->other, sizeof *model->other, sectors, file) == sectors;
    fclose(file);
    if (!good)
        return -1;
    model->next_version = next;
    return 0;
}
