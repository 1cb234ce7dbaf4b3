/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * Is an image what the format says it must be? Findings go to a callback, one at a time; the same
 * ones serve vhdctl, the tests and the crash test's oracle.
 *
 * Nothing is changed and nothing is believed: the records are read through the file seam and judged
 * by format and layout, also where vhd_image_open would refuse the image at the first fault. Memory
 * is bounded by the BAT (at most 16 Mi entries of 8 bytes, and two bits each), time by the bytes
 * that the file really holds.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "vhd/file.h"
#include "vhd/layout.h"

typedef enum VhdSeverity {
    VHD_SEVERITY_INFO,    /* worth knowing; every reader copes */
    VHD_SEVERITY_WARNING, /* served all the same, but somebody should look */
    VHD_SEVERITY_LEAK,    /* space that nothing uses */
    VHD_SEVERITY_ERROR,   /* the image is corrupt */
    VHD_SEVERITY_FAILED,  /* the file could not be read there: nothing can be said */
    VHD_SEVERITIES
} VhdSeverity;

typedef enum VhdFindingCode {
    VHD_FINDING_FOOTER_COPY,     /* the footer copy at 0 is bad */
    VHD_FINDING_FOOTER_END,      /* the footer at the end is there, but bad */
    VHD_FINDING_FOOTER_LOST,     /* no footer at the end */
    VHD_FINDING_FOOTER_SHORT,    /* of 511 bytes */
    VHD_FINDING_FOOTERS_DIFFER,  /* two good ones disagree about what the disk is */
    VHD_FINDING_FOOTERS_UNEQUAL, /* two good ones differ in fields that only inform */
    VHD_FINDING_FOOTER_FIELD,    /* type, size, place of the header */
    VHD_FINDING_HEADER,          /* the dynamic header, the place of the BAT */
    VHD_FINDING_LOCATOR,         /* a parent locator points where it must not */
    VHD_FINDING_BATMAP,          /* the batmap is bad and left aside */
    VHD_FINDING_BATMAP_LIES,     /* it calls a block full that is not */
    VHD_FINDING_BAT_ENTRY,       /* a block in metadata or beyond the file */
    VHD_FINDING_BAT_OVERLAP,     /* two blocks at one place */
    VHD_FINDING_BITMAP_TAIL,     /* bits of sectors beyond the disk's end */
    VHD_FINDING_ABSENT_NOT_ZERO, /* sectors under clear bits hold something */
    VHD_FINDING_LEAK,            /* data that no BAT entry names */
    VHD_FINDING_FREE,            /* room that no BAT entry names; it takes no space */
    VHD_FINDING_TRAILING,        /* bytes behind the footer */
    VHD_FINDING_GEOMETRY,        /* cylinders, heads, sectors are not those of the size */
    VHD_FINDING_PENDING,         /* a log of unflushed writes waits for the image */
    VHD_FINDING_PARENT,          /* the parent was not found, or not a right one */
    VHD_FINDING_PARENT_NEWER,    /* the parent was modified after the child was made */
    VHD_FINDING_PARENT_SIZE,     /* parent and child differ in size */
    VHD_FINDING_CHAIN,           /* a cycle, too many layers, too large BATs */
    VHD_FINDING_READ,            /* an I/O error */
    VHD_FINDING_CODES
} VhdFindingCode;

#define VHD_FINDING_NOWHERE UINT64_MAX

typedef struct VhdFinding {
    VhdFindingCode code;
    VhdSeverity severity;
    unsigned layer;   /* 0: the image named */
    uint64_t off;     /* where in that layer's file, in bytes; VHD_FINDING_NOWHERE */
    uint64_t bytes;   /* LEAK, FREE, TRAILING: how many; else 0 */
    uint64_t end;     /* LEAK: where the place that nothing uses ends; else 0 */
    uint32_t block;   /* BAT_ENTRY, BAT_OVERLAP, BATMAP_LIES: which; else 0 */
    uint32_t other;   /* BAT_OVERLAP: the block whose place it begins in */
    bool repairable;  /* repair.h mends it without guessing */
    bool asks;        /* repair.h mends it, too, but asks first: something is given up or chosen */
    const char *text; /* a sentence without the file's name and without newline */
} VhdFinding;

typedef struct VhdCheckResult {
    unsigned count[VHD_SEVERITIES]; /* of findings, those that were not reported included */
    uint64_t leaked_bytes;
    uint64_t end_off;       /* end of the last thing in the file that is used, footer aside */
    uint64_t blocks;        /* of the disk; 0 in a fixed image */
    uint64_t blocks_in_use; /* BAT entries in use */
    uint64_t disk_bytes;    /* virtual size; 0 where it could not be told */
    /* What the judgement rests on, for repair. */
    bool judged;      /* all below that is not said to be more is filled only where this is true */
    VhdFooter footer; /* the one that counts; filled where one was found */
    VhdHeader header; /* not of a fixed image */
    VhdLayout layout;
    uint64_t trailing_off;    /* the footer at the end, or NOWHERE if there is no good one */
    uint64_t first_block_off; /* lowest place of a good BAT entry, or NOWHERE */
    uint64_t data_end;        /* where a trailing footer may stand: behind metadata and every block,
                                 a partial last one counted whole; behind the disk of a fixed image */
} VhdCheckResult;

/* Rules and callbacks. Zero-initialized but for report: look at one image, any parent's folder. */
typedef struct VhdCheckOptions {
    void (*report)(void *data, const VhdFinding *finding); /* text is valid during the call only */
    /* The next layer's file was opened; later findings are about it. May be NULL. */
    void (*layer_begin)(void *data, unsigned layer, VhdFile *file);
    void (*layer_end)(void *data, unsigned layer, const VhdCheckResult *result);
    /* Asked now and then, with the part of this layer that is done, 0 to 1; true: give up. */
    bool (*stop)(void *data, double part);
    void *data;
    bool every;              /* report each finding, however many there are of its code */
    const char *pending_dir; /* NULL: the default */
    /* vhd_check_chain only: */
    bool ancestors; /* else layer 0 alone */
    bool lock;      /* each layer as a reader */
    unsigned lock_wait_ms;
    bool confined; /* the handler's rules, see resolve.h */
    const char *const *parents;
    bool raw_parent;
    unsigned max_depth; /* 0: the default */
} VhdCheckOptions;

/* Of each code at most so many findings are reported one by one, then their number; all with every.
 */
#define VHD_CHECK_REPORTS_MAX 20

/* Judge the image in file as layer. True: judged, *result is filled. False: it is no VHD at all, or
 * memory ran out, or stop said so. An I/O error on the way is a finding. */
bool vhd_check_image(VhdFile *file, unsigned layer, const VhdCheckOptions *options,
                     VhdCheckResult *result, GError **error);

/* Open path, and with options->ancestors its parents as far as they are found, and judge each. A
 * parent that is not found is a finding. False: layer 0 could not be judged, or a layer is busy. */
bool vhd_check_chain(const char *path, const VhdCheckOptions *options, GError **error);

/* A name such as "bat-overlap", and "error", "warning", "leak", "info", "failed". */
const char *vhd_finding_name(VhdFindingCode code);
const char *vhd_severity_name(VhdSeverity severity);
