/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "handler/scsi-opcodes.h"

#include "handler/scsi-codes.h"

enum {
    READS = SCSI_GUARD | SCSI_MEDIUM | SCSI_RANGE,
    WRITES = READS | SCSI_CHANGES,
};

/* Which bytes hold LBA and number of blocks, or a length. */
enum {
    RANGE_6 = 0x001c,
    RANGE_10 = 0x01bc,
    RANGE_12 = 0x03fc,
    RANGE_16 = 0x3ffc,
    COMPARE_16 = 0x23fc,
    LENGTH_10 = 0x0180, /* 7, 8 */
    LENGTH_12 = 0x03c0, /* 6 to 9 */
    LENGTH_16 = 0x3c00, /* 10 to 13 */
    BYTE_2 = 0x0004,
    BYTE_3 = 0x0008,
    BYTE_4 = 0x0010,
};

enum { DPO = 0x10, DPO_FUA = 0x18, IMMED = 0x02, SANITIZES = 0xa0 /* IMMED, AUSE */ };

/* Persistent reservations are the kernel's: an action each. */
#define PR_IN(action)                                                                              \
    {                                                                                              \
        SCSI_PERSISTENT_RESERVE_IN, action, SCSI_ACTION, NULL, 0, LENGTH_10                        \
    }
#define PR_OUT(action)                                                                             \
    {                                                                                              \
        SCSI_PERSISTENT_RESERVE_OUT, action, SCSI_ACTION, NULL, 0, BYTE_2 | 0x01e0                 \
    }

static const ScsiOpcode opcodes[] = {
    {SCSI_TEST_UNIT_READY, 0, SCSI_NO_DATA, NULL, 0, 0},
    {SCSI_REQUEST_SENSE, 0, SCSI_REPLY, scsi_request_sense, 0x01, BYTE_4},
    {SCSI_FORMAT_UNIT, 0, SCSI_CHANGES | SCSI_MEDIUM, scsi_format_unit, 0x38, 0},
    {SCSI_READ_6, 0, SCSI_MEDIUM | SCSI_RANGE, scsi_transfer, 0x1f, RANGE_6},
    {SCSI_WRITE_6, 0, SCSI_CHANGES | SCSI_MEDIUM | SCSI_RANGE, scsi_transfer, 0x1f, RANGE_6},
    {SCSI_INQUIRY, 0, SCSI_REPLY, scsi_inquiry, SCSI_EVPD, BYTE_2 | BYTE_3 | BYTE_4},
    {SCSI_MODE_SELECT_6, 0, 0, NULL, 0x11, BYTE_4},
    {SCSI_RESERVE_6, 0, 0, NULL, 0, 0},
    {SCSI_RELEASE_6, 0, 0, NULL, 0, 0},
    {SCSI_MODE_SENSE_6, 0, SCSI_REPLY, scsi_mode_sense, 0x08, BYTE_2 | BYTE_3 | BYTE_4},
    {SCSI_START_STOP_UNIT, 0, SCSI_NO_DATA, NULL, 0x01, BYTE_4},
    {SCSI_SEND_DIAGNOSTIC, 0, 0, scsi_send_diagnostic, 0x04, BYTE_3 | BYTE_4},
    {SCSI_READ_CAPACITY_10, 0, SCSI_REPLY, NULL, 0, 0},
    {SCSI_READ_10, 0, READS, scsi_transfer, DPO_FUA, RANGE_10},
    {SCSI_WRITE_10, 0, WRITES, scsi_transfer, DPO_FUA, RANGE_10},
    {SCSI_WRITE_VERIFY_10, 0, WRITES, scsi_write_verify, DPO | SCSI_BYTCHK_COMPARE, RANGE_10},
    {SCSI_VERIFY_10, 0, READS, scsi_verify, DPO | SCSI_BYTCHK, RANGE_10},
    {SCSI_PRE_FETCH_10, 0, SCSI_NO_DATA | SCSI_MEDIUM | SCSI_RANGE, scsi_pre_fetch, IMMED,
     RANGE_10},
    {SCSI_SYNCHRONIZE_CACHE_10, 0, SCSI_NO_DATA, NULL, 0, 0},
    {SCSI_READ_DEFECT_DATA_10, 0, SCSI_REPLY, scsi_read_defect_data, 0, BYTE_2 | LENGTH_10},
    {SCSI_WRITE_SAME_10, 0, WRITES, scsi_write_same, SCSI_SAME_UNMAP, RANGE_10},
    {SCSI_UNMAP, 0, SCSI_CHANGES | SCSI_MEDIUM | SCSI_THIN, scsi_unmap, 0, LENGTH_10},
    {SCSI_SANITIZE, SCSI_SANITIZE_OVERWRITE, SCSI_CHANGES | SCSI_MEDIUM | SCSI_ACTION,
     scsi_overwrite, SANITIZES, LENGTH_10},
    {SCSI_SANITIZE, SCSI_SANITIZE_BLOCK_ERASE, SCSI_CHANGES | SCSI_MEDIUM | SCSI_ACTION | SCSI_THIN,
     scsi_block_erase, SANITIZES, LENGTH_10},
    {SCSI_SANITIZE, 0, SCSI_CHANGES | SCSI_ABSENT, scsi_unknown_action, 0, 0},
    {SCSI_LOG_SENSE, 0, SCSI_REPLY, scsi_log_sense, 0, BYTE_2 | BYTE_3 | LENGTH_10},
    {SCSI_MODE_SELECT_10, 0, 0, NULL, 0x11, LENGTH_10},
    {SCSI_RESERVE_10, 0, 0, NULL, 0, 0},
    {SCSI_RELEASE_10, 0, 0, NULL, 0, 0},
    {SCSI_MODE_SENSE_10, 0, SCSI_REPLY, scsi_mode_sense, 0x08, BYTE_2 | BYTE_3 | LENGTH_10},
    PR_IN(0),
    PR_IN(1),
    PR_IN(2),
    PR_IN(3),
    PR_OUT(0),
    PR_OUT(1),
    PR_OUT(2),
    PR_OUT(3),
    PR_OUT(4),
    PR_OUT(5),
    PR_OUT(6),
    PR_OUT(7),
    {SCSI_EXTENDED_COPY, SCSI_COPY_LID1, SCSI_CHANGES | SCSI_MEDIUM | SCSI_ACTION,
     scsi_extended_copy, 0, LENGTH_16},
    {SCSI_EXTENDED_COPY, 0, SCSI_CHANGES | SCSI_ABSENT, scsi_unknown_action, 0, 0},
    {SCSI_RECEIVE_COPY_RESULTS, SCSI_COPY_STATUS, SCSI_REPLY | SCSI_ACTION, scsi_copy_status, 0,
     BYTE_2 | LENGTH_16},
    {SCSI_RECEIVE_COPY_RESULTS, SCSI_COPY_PARAMETERS, SCSI_REPLY | SCSI_ACTION,
     scsi_copy_parameters, 0, BYTE_2 | LENGTH_16},
    {SCSI_RECEIVE_COPY_RESULTS, 0, SCSI_REPLY | SCSI_ABSENT, scsi_unknown_action, 0, 0},
    {SCSI_READ_16, 0, READS, scsi_transfer, DPO_FUA, RANGE_16},
    {SCSI_COMPARE_AND_WRITE, 0, WRITES, scsi_compare_and_write, DPO_FUA, COMPARE_16},
    {SCSI_WRITE_16, 0, WRITES, scsi_transfer, DPO_FUA, RANGE_16},
    {SCSI_ORWRITE, 0, WRITES, scsi_or_write, DPO_FUA, RANGE_16},
    {SCSI_WRITE_VERIFY_16, 0, WRITES, scsi_write_verify, DPO | SCSI_BYTCHK_COMPARE, RANGE_16},
    {SCSI_VERIFY_16, 0, READS, scsi_verify, DPO | SCSI_BYTCHK, RANGE_16},
    {SCSI_PRE_FETCH_16, 0, SCSI_NO_DATA | SCSI_MEDIUM | SCSI_RANGE, scsi_pre_fetch, IMMED,
     RANGE_16},
    {SCSI_SYNCHRONIZE_CACHE_16, 0, SCSI_NO_DATA, NULL, 0, 0},
    {SCSI_WRITE_SAME_16, 0, WRITES, scsi_write_same, SCSI_SAME_UNMAP | SCSI_SAME_NDOB, RANGE_16},
    {SCSI_WRITE_ATOMIC_16, 0, SCSI_CHANGES | SCSI_ABSENT, NULL, 0, 0},
    {SCSI_SERVICE_ACTION_IN_16, SCSI_READ_CAPACITY_16, SCSI_REPLY | SCSI_ACTION,
     scsi_read_capacity_16, 0, LENGTH_16},
    {SCSI_SERVICE_ACTION_IN_16, SCSI_GET_LBA_STATUS, SCSI_REPLY | SCSI_ACTION | SCSI_MEDIUM,
     scsi_get_lba_status, 0, RANGE_16},
    {SCSI_SERVICE_ACTION_IN_16, 0, SCSI_REPLY | SCSI_ABSENT, NULL, 0, 0},
    {SCSI_REPORT_LUNS, 0, 0, NULL, 0, BYTE_2 | LENGTH_12},
    {SCSI_MAINTENANCE_IN, SCSI_REPORT_OPCODES, SCSI_REPLY | SCSI_ACTION, scsi_report_opcodes, 0,
     RANGE_12},
    {SCSI_MAINTENANCE_IN, 0, SCSI_REPLY | SCSI_ABSENT, NULL, 0, 0},
    {SCSI_READ_12, 0, READS, scsi_transfer, DPO_FUA, RANGE_12},
    {SCSI_WRITE_12, 0, WRITES, scsi_transfer, DPO_FUA, RANGE_12},
    {SCSI_WRITE_VERIFY_12, 0, WRITES, scsi_write_verify, DPO | SCSI_BYTCHK_COMPARE, RANGE_12},
    {SCSI_VERIFY_12, 0, READS, scsi_verify, DPO | SCSI_BYTCHK, RANGE_12},
    {SCSI_READ_DEFECT_DATA_12, 0, SCSI_REPLY, scsi_read_defect_data, 0x1f, LENGTH_12},
};

const ScsiOpcode *scsi_opcode_at(size_t index)
{
    return index < G_N_ELEMENTS(opcodes) ? &opcodes[index] : NULL;
}

bool scsi_opcode_offered(const ScsiOpcode *opcode, const Lun *lun)
{
    return !(opcode->flags & SCSI_ABSENT) && (!(opcode->flags & SCSI_THIN) || lun->discard);
}

const ScsiOpcode *scsi_opcode_find(const uint8_t *cdb)
{
    for (size_t i = 0; i < G_N_ELEMENTS(opcodes); i++) {
        if (opcodes[i].opcode == cdb[0] &&
            (!(opcodes[i].flags & SCSI_ACTION) || opcodes[i].action == (cdb[1] & 0x1f)))
            return &opcodes[i];
    }
    return NULL;
}

size_t scsi_cdb_length(uint8_t opcode)
{
    static const uint8_t of_group[8] = {6, 10, 10, 0, 16, 12, 0, 0};

    return of_group[opcode >> 5];
}
