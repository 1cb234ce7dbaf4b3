/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* Operation codes and bits of CDBs that the front end knows (SPC-4, SBC-3). */
#pragma once

enum {
    SCSI_FORMAT_UNIT = 0x04,
    SCSI_READ_6 = 0x08,
    SCSI_WRITE_6 = 0x0a,
    SCSI_INQUIRY = 0x12,
    SCSI_MODE_SENSE_6 = 0x1a,
    SCSI_READ_CAPACITY_10 = 0x25,
    SCSI_READ_10 = 0x28,
    SCSI_WRITE_10 = 0x2a,
    SCSI_WRITE_VERIFY_10 = 0x2e,
    SCSI_VERIFY_10 = 0x2f,
    SCSI_WRITE_SAME_10 = 0x41,
    SCSI_UNMAP = 0x42,
    SCSI_SANITIZE = 0x48,
    SCSI_MODE_SENSE_10 = 0x5a,
    SCSI_EXTENDED_COPY = 0x83,
    SCSI_RECEIVE_COPY_RESULTS = 0x84,
    SCSI_READ_16 = 0x88,
    SCSI_COMPARE_AND_WRITE = 0x89,
    SCSI_WRITE_16 = 0x8a,
    SCSI_ORWRITE = 0x8b,
    SCSI_WRITE_VERIFY_16 = 0x8e,
    SCSI_VERIFY_16 = 0x8f,
    SCSI_WRITE_SAME_16 = 0x93,
    SCSI_WRITE_ATOMIC_16 = 0x9c,
    SCSI_SERVICE_ACTION_IN_16 = 0x9e,
    SCSI_MAINTENANCE_IN = 0xa3,
    SCSI_READ_12 = 0xa8,
    SCSI_WRITE_12 = 0xaa,
    SCSI_WRITE_VERIFY_12 = 0xae,
    SCSI_VERIFY_12 = 0xaf,
};

enum { SCSI_READ_CAPACITY_16 = 0x10 }; /* service action */

/* Byte 1. */
enum {
    SCSI_PROTECT = 0xe0, /* RDPROTECT, WRPROTECT, VRPROTECT */
    SCSI_FUA = 0x08,
    SCSI_BYTCHK = 0x06,         /* VERIFY */
    SCSI_BYTCHK_COMPARE = 0x02, /* with all of the data-out buffer */
    SCSI_SAME_ANCHOR = 0x10,    /* WRITE SAME */
    SCSI_SAME_UNMAP = 0x08,
    SCSI_SAME_OBSOLETE = 0x06, /* LBDATA, PBDATA */
    SCSI_SAME_NDOB = 0x01,
    SCSI_UNMAP_ANCHOR = 0x01,
    SCSI_EVPD = 0x01, /* INQUIRY */
};
