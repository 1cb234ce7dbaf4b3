/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * Sound little images, the list of all their fields, and values that may stand in one: the edges of
 * what its bytes can hold, and every place of the image, in bytes and in sectors.
 */
#pragma once

#include <glib.h>
#include <stdint.h>

#include "vhd/layout.h"

typedef enum Record {
    RECORD_COPY,     /* footer at 0 */
    RECORD_TRAILING, /* footer at the end */
    RECORD_HEADER,
    RECORD_BATMAP_HEADER,
    RECORD_BATMAP,
    RECORD_NONE, /* BAT, bitmaps, locators: no checksum */
} Record;

typedef struct Field {
    const char *name;
    Record record;
    uint64_t off; /* in the file */
    unsigned width;
} Field;

typedef struct Specimen {
    const char *name;
    VhdType type;
    bool batmap;
    uint8_t *bytes;
    size_t len;
    VhdLayout layout;
    GArray *fields; /* Field */
    GArray *values; /* uint64_t */
} Specimen;

/* parent_uuid and name: of a differencing image; NULL otherwise. Ends the test on failure. */
Specimen *specimen_new(const char *name, VhdType type, bool batmap);
void specimen_free(Specimen *specimen);

/* Put value, as wide as field is, into bytes, a copy of the specimen's. */
void specimen_poke(const Field *field, uint8_t *bytes, uint64_t value);
/* What stands there. */
uint64_t specimen_peek(const Field *field, const uint8_t *bytes);

/* Make the checksum of record right, also where the record itself is elsewhere by now. */
void specimen_fix(const Specimen *specimen, uint8_t *bytes, Record record);

/* The field of the other footer that is field's counterpart; NULL if it is in none. */
const Field *specimen_twin(const Specimen *specimen, const Field *field);
