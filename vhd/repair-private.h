/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* The inside of a repair, for the repair-*.c files alone. Single-threaded. */
#pragma once

#include "vhd/repair.h"

#define REPAIR_PAGE_BYTES  4096u
#define REPAIR_CHUNK_BYTES (256u << 10)

static inline uint64_t repair_round_up(uint64_t value, uint64_t unit)
{
    return (value + unit - 1) / unit * unit;
}

/* ---- repair-view.c: the file as it will be */

typedef enum RepairStepType {
    REPAIR_WRITE = 1, /* whole sectors */
    REPAIR_ZERO,      /* whole sectors read as zeros and take no space */
    REPAIR_CUT,       /* the file ends at off; len 0 */
} RepairStepType;

typedef struct RepairStep {
    RepairStepType type;
    VhdIoKind kind;
    bool barrier; /* all steps before it are durable first */
    uint64_t off, len;
    uint8_t *data; /* WRITE: len bytes; owned */
} RepairStep;

typedef struct RepairView {
    VhdFile *base;
    uint64_t base_bytes, bytes; /* lengths of the file as it is, and as it will be */
    GArray *steps;              /* RepairStep */
    GHashTable *sectors;        /* written: number -> 512 bytes, in the steps */
    GArray *zeros;              /* ViewRange, sorted, apart */
} RepairView;

/* NULL with *err = -errno: the file cannot be looked at. */
RepairView *repair_view_new(VhdFile *base, int *err);
void repair_view_free(RepairView *view);

/* A read-only file that is as the view, which outlives it. */
VhdFile *repair_view_open(RepairView *view);

/* Read; zeros beyond the end. 0 or -errno. */
int repair_view_read(RepairView *view, VhdIoKind kind, uint64_t off, void *buf, size_t len);

/* Add a step. A write is widened to whole sectors with what the view has there; 0 or -errno. */
int repair_write(RepairView *view, VhdIoKind kind, uint64_t off, const void *bytes, size_t len,
                 bool barrier);
void repair_zero(RepairView *view, uint64_t off, uint64_t len);
void repair_cut(RepairView *view, uint64_t bytes);
/* As read from an undo file; takes step->data. */
void repair_view_add(RepairView *view, const RepairStep *step);

/* ---- the plan */

struct VhdRepair {
    VhdFile *file;
    VhdRepairOptions options;
    RepairView *view;
    GArray *findings;     /* VhdFinding, text owned: of the last look at the view */
    VhdCheckResult facts; /* likewise */
    GPtrArray *changes, *left;
    bool blocked; /* footers or header cannot be mended: what they lead to is not to be believed */
};

/* What kind of finding is there? NULL: none. With mended: one that is mended without asking. */
const VhdFinding *repair_find(const VhdRepair *repair, VhdFindingCode code, bool mended);

/* Note a change for the list. */
void repair_note(VhdRepair *repair, VhdFindingCode code, bool gives_up, const char *format, ...)
    G_GNUC_PRINTF(4, 5);

/* Each of these plans the steps against one kind of damage, which the kinds above it do not hide: 1
 * if there was something to plan, 0 if not, -errno. */
int repair_footers(VhdRepair *repair);  /* repair-records.c */
int repair_geometry(VhdRepair *repair); /* what the disk says of itself, too */
int repair_header(VhdRepair *repair);
int repair_batmap(VhdRepair *repair); /* repair-blocks.c */
int repair_bat(VhdRepair *repair);
int repair_end(VhdRepair *repair); /* the footer at the end and what stands behind it */
int repair_leaks(VhdRepair *repair);

int repair_write_footer(VhdRepair *repair, const VhdFooter *footer, uint64_t off, bool barrier);

/* A string that a locator of a new header is to name: where it is put is noted there. */
typedef struct RepairString {
    unsigned slot;
    uint8_t *bytes;
    size_t len;
} RepairString;

/* Plan the replacing of the header (invariant 1). 0 or -errno. */
int repair_replace_header(VhdRepair *repair, VhdHeader *header, const RepairString *strings,
                          unsigned count);

/* repair-parent.c: locators that lead to where the parent is. False: the parent named by the
 * options is none; a parent that is not found is noted in repair->left. */
bool repair_parent(VhdRepair *repair, GError **error);
