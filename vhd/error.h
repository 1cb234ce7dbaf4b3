/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * What the control path says when it refuses: GErrors of one domain, each one sentence that names
 * the file, what is wrong and what to do. The data path has -errno instead; who returns an error
 * does not report it too.
 */
#pragma once

#include <glib.h>

#include "vhd/format.h"

#define VHD_ERROR vhd_error_quark()

typedef enum VhdErrorCode {
    VHD_ERROR_CORRUPT,     /* a VHD whose bytes contradict each other or the file */
    VHD_ERROR_NOT_VHD,     /* no VHD at all */
    VHD_ERROR_IO,          /* a system call failed */
    VHD_ERROR_BUSY,        /* locked by somebody else */
    VHD_ERROR_PARENT,      /* no parent found, or each one found was turned down */
    VHD_ERROR_READONLY,    /* protected, or may only be read */
    VHD_ERROR_UNSUPPORTED, /* a VHD, but not one that is served here */
    VHD_ERROR_EXISTS,      /* the file to make is there already */
    VHD_ERROR_INVALID,     /* an argument is wrong */
    VHD_ERROR_DEPTH,       /* the chain has too many layers */
    VHD_ERROR_PENDING,     /* a log of unflushed writes waits and does not fit the image */
    VHD_ERROR_NOSPACE,     /* no room in the file system or in the format */
} VhdErrorCode;

GQuark vhd_error_quark(void);

/* The sentence for a fault, without the file: what is wrong, at which offset, the values that
 * disagree, what to do. Caller frees. */
char *vhd_fault_text(const VhdFault *fault);

/* The GError code that a fault leads to. */
VhdErrorCode vhd_fault_error_code(const VhdFault *fault);

/* "FILE: " and the sentence for *fault, with the error code that belongs to it. */
void vhd_error_set_fault(GError **error, const char *file, const VhdFault *fault);

/* "FILE: cannot DOING: " and the system's text for err (a positive errno). code: a VhdErrorCode;
 * VHD_ERROR_IO for want of space is VHD_ERROR_NOSPACE. */
void vhd_error_set_errno(GError **error, VhdErrorCode code, const char *file, const char *doing,
                         int err);
