/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* What the files of check share: one image being judged. Single-threaded. */
#pragma once

#include "vhd/check.h"
#include "vhd/layout.h"

/* A BAT entry in use: where its block begins, in sectors of the file, and which block it is. */
typedef struct CheckBlock {
    uint32_t entry, block;
} CheckBlock;

typedef struct Check {
    VhdFile *file;
    unsigned layer;
    const VhdCheckOptions *options;
    VhdCheckResult *result;
    unsigned reported[VHD_FINDING_CODES]; /* one by one, and in all */
    unsigned found[VHD_FINDING_CODES];
    bool stopped;
    uint64_t file_bytes;
    bool places_unknown; /* a bad locator was left out, or a log waits: what is free cannot be told
                          */
    uint64_t room_end;   /* where blocks must end: the trailing footer, or the end of the file */
    VhdFooter footer;
    VhdHeader header;      /* undefined in a fixed image */
    VhdFault header_fault; /* of a header whose checksum alone is wrong: told once the rest of the
                              image has been compared with it; code NONE: it is good */
    VhdLayout layout;
    CheckBlock *used; /* good entries, by place once sorted; owned */
    size_t used_count;
    uint8_t *full;                 /* a bit a block: every sector is marked; owned */
    uint8_t *batmap;               /* the batmap's bits, NULL if there is none; owned */
    uint64_t data_start, data_end; /* the last data range that the file told; empty at first */
    uint64_t data_asked;           /* nothing but a hole from here to data_start */
    uint8_t *buffer;               /* CHECK_BUFFER_BYTES; owned */
} Check;

#define CHECK_BUFFER_BYTES (256u << 10)

/* Report, or count once there were VHD_CHECK_REPORTS_MAX of the code. */
void check_report(Check *check, VhdFinding finding, const char *format, ...) G_GNUC_PRINTF(3, 4);
void check_fault(Check *check, VhdFindingCode code, VhdSeverity severity, const VhdFault *fault,
                 bool repairable);
/* A finding READ: err is a positive or negative errno. */
void check_read_failed(Check *check, uint64_t off, const char *what, int err);

/* Entries that name a wrong place were found: what is free cannot be told for sure. */
bool check_bat_is_bad(const Check *check);

/* True if the caller should go on. */
bool check_go_on(Check *check, double part);

/* The first byte at or after off, below end, that may be other than zero because the file holds
 * data there; end if there is none. */
uint64_t check_next_data(Check *check, uint64_t off, uint64_t end);

/* Footers and header: fills file_bytes to layout, and the result's trailing_off. False with *error:
 * no VHD. *judged: the layout is good enough for its blocks to be looked at. */
bool check_records(Check *check, bool *judged, GError **error);

/* What check_records put off: a header that its checksum alone speaks against. */
void check_header_checksum(Check *check, bool judged);

/* BAT, bitmaps, batmap, leaks. The layout is judged, and not that of a fixed image. */
bool check_blocks(Check *check, GError **error);
