/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * Mending an image, as far as that takes no guessing.
 *
 * First a plan: what check finds is mended step by step in a view of the file that lives in memory,
 * and check judges the view again, until it finds nothing more that can be mended. Then the steps
 * are done to the file, in an order that keeps the invariants of image.h: a header is replaced
 * through a copy in free space (1), a BAT entry goes after its bit in the batmap (12), a footer
 * stands inside before the file is cut behind it (5).
 *
 * Before the first step all that the steps will overwrite or cut off, and the length of the file,
 * is made durable in a second file, the undo file, with the steps themselves: whatever interrupts
 * them, the old bytes can be put back, and are, before the file is planned for again.
 *
 * Nothing is locked or opened here but the parent that is looked for, which is read only: the
 * caller holds the image as a writer from before the plan until after the last step.
 */
#pragma once

#include "vhd/check.h"

typedef struct VhdRepair VhdRepair;

/* Which of two good footers that contradict each other is right. */
typedef enum VhdRepairFooter {
    VHD_REPAIR_FOOTER_UNKNOWN, /* the image stays as it is */
    VHD_REPAIR_FOOTER_FIRST,   /* the copy at offset 0 */
    VHD_REPAIR_FOOTER_LAST,    /* the one at the end of the file */
} VhdRepairFooter;

typedef struct VhdRepairOptions {
    bool give_up; /* BAT entries that overlap or leave the file are removed */
    VhdRepairFooter footer;
    const char *parent;      /* where the parent lies, NULL: look where the image says */
    const char *pending_dir; /* NULL: the default */
    /* Asked now and then, with the part of a look at the file that is done, 0 to 1; true: give up.
     * May be NULL. */
    bool (*stop)(void *data, double part);
    void *data;
} VhdRepairOptions;

/* One line of what is mended, or of what is left. */
typedef struct VhdRepairItem {
    VhdFindingCode code;
    VhdSeverity severity; /* of what is left */
    bool gives_up;        /* mended: content goes; left: it would be mended if the caller said so */
    char *text;           /* a sentence without the file's name and without newline */
} VhdRepairItem;

/* Path of a log of writes that are not in the file yet, which is to be taken in (by opening the
 * image for writing) or removed before there can be a plan; NULL: none. dir as pending_dir. Caller
 * frees. */
char *vhd_repair_log_waiting(VhdFile *file, const char *dir);

/* Make a plan for file (borrowed, as long as the plan lives), which is only read. NULL: it could
 * not be read everywhere, is no VHD, a log waits (VHD_ERROR_PENDING), a choice of options does not
 * fit it, stop said so. */
VhdRepair *vhd_repair_plan(VhdFile *file, const VhdRepairOptions *options, GError **error);
void vhd_repair_free(VhdRepair *repair);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VhdRepair, vhd_repair_free)

/* What would be done, in this order; NULL beyond the last. */
const VhdRepairItem *vhd_repair_change(const VhdRepair *repair, unsigned index);
/* What would be left: errors, leaks, what asks first. */
const VhdRepairItem *vhd_repair_left(const VhdRepair *repair, unsigned index);

/* Do it. undo: an empty file, made by vhd_file_create; it is published before the first change
 * (VHD_ERROR_EXISTS where its name is taken: nothing has changed then). On a failure the old bytes
 * are put back where that works, *restored tells; else the undo file has them. */
bool vhd_repair_apply(VhdRepair *repair, VhdFile *undo, bool *restored, GError **error);

typedef enum VhdUndoState {
    VHD_UNDO_BEGUN = 1, /* the repair may have been cut off */
    VHD_UNDO_FINISHED,  /* the file is as the repair left it, or was changed since */
    VHD_UNDO_RESTORING, /* putting back was cut off */
} VhdUndoState;

/* How far the repair or the undoing went that undo (a published undo file) belongs to. False: it is
 * none. */
bool vhd_undo_state(VhdFile *undo, VhdUndoState *state, GError **error);

/* Put back what undo holds into file, byte for byte and durably; the caller then removes undo,
 * which is writable for noting that this has begun. Refused, with nothing changed, where the file
 * is not what the repair left behind, wherever that was cut off. */
bool vhd_undo_restore(VhdFile *file, VhdFile *undo, GError **error);
