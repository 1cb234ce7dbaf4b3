/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * What a disk should hold, one version number a sector of 512 bytes.  Content is
 * made from sector and version, so that data of another sector or an older write
 * is told apart.  Version 0 is zeros, and what a new disk holds.
 *
 * Each sector belongs to one owner, who alone reads and writes it while the load
 * runs: so the model needs no lock.
 */
#ifndef VERIFY_MODEL_H
#define VERIFY_MODEL_H

#include <stdbool.h>
#include <stdint.h>

enum { SECTOR = 512 };
enum { MODEL_SAME = INT32_MIN }; /* bit of a version whose content is the same in every sector */

typedef struct Model {
    uint64_t sectors;
    uint32_t *version; /* a sector's content */
    uint32_t *other;   /* what it may be instead, after a write of unknown end; else = version */
    _Atomic uint32_t next_version;
} Model;

Model *model_new(uint64_t sectors);
void model_free(Model *model);

/* A version that no sector has had. */
uint32_t model_fresh_version(Model *model);
/* The 512 bytes of a sector in a version. */
void model_fill(uint8_t *data, uint64_t sector, uint32_t version);

/* The sectors now hold this version / may hold this or what they held. */
void model_set(Model *model, uint64_t sector, uint64_t count, uint32_t version);
void model_set_maybe(Model *model, uint64_t sector, uint64_t count, uint32_t version);
/*
 * Compares data read with what may be there, and settles which it is.  False:
 * text says which sector differs and what its content looks like.
 */
bool model_check(Model *model, uint64_t sector, uint64_t count, const uint8_t *data,
                 char text[static 256]);

/* The model in a file, so that another run goes on where this one ended.  0 or -1
 * (errno); load: 1 where there is no such file. */
int model_save(const Model *model, const char *path);
int model_load(Model *model, const char *path);

#endif
