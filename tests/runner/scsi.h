/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* Operation codes (SPC, SBC) that the runner knows. */
#ifndef RUNNER_SCSI_H
#define RUNNER_SCSI_H

enum {
    SCSI_TEST_UNIT_READY = 0x00,
    SCSI_REQUEST_SENSE = 0x03,
    SCSI_READ_6 = 0x08,
    SCSI_WRITE_6 = 0x0a,
    SCSI_INQUIRY = 0x12,
    SCSI_START_STOP = 0x1b,
    SCSI_READ_CAPACITY_10 = 0x25,
    SCSI_READ_10 = 0x28,
    SCSI_WRITE_10 = 0x2a,
    SCSI_WRITE_VERIFY_10 = 0x2e,
    SCSI_SYNC_10 = 0x35,
    SCSI_WRITE_SAME_10 = 0x41,
    SCSI_UNMAP = 0x42,
    SCSI_READ_16 = 0x88,
    SCSI_COMPARE_AND_WRITE = 0x89,
    SCSI_WRITE_16 = 0x8a,
    SCSI_WRITE_VERIFY_16 = 0x8e,
    SCSI_SYNC_16 = 0x91,
    SCSI_WRITE_SAME_16 = 0x93,
    SCSI_SERVICE_ACTION_IN_16 = 0x9e,
    SCSI_READ_12 = 0xa8,
    SCSI_WRITE_12 = 0xaa,
};

enum { SCSI_SA_READ_CAPACITY_16 = 0x10 };

#endif
