/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * The SCSI front end: looks at every command before the host does, answers or refuses what the
 * host's emulation gets wrong and leaves the rest to it. Runs in the command thread and waits for
 * nothing; what needs the disk goes on as something that the host has a callback for (carry.h).
 */
#pragma once

#include <stdint.h>

#include "handler/lun.h"
#include "handler/tcmur-abi.h"

/* A command as the functions of the table see it. */
typedef struct ScsiCommand {
    Lun *lun;
    struct tcmur_cmd *cmd; /* at any address: command.h */
    struct tcmulib_cmd *lib;
    uint8_t *cdb;
    uint64_t lba;    /* of commands with the flag SCSI_RANGE; */
    uint32_t blocks; /* both lie within the disk */
} ScsiCommand;

/* The handler's handle_cmd. */
int scsi_handle_cmd(struct tcmu_device *dev, struct tcmur_cmd *cmd);

/* Functions of the table: TCMU_STS_*; NOT_HANDLED: the host goes on. */
int scsi_transfer(ScsiCommand *command); /* scsi-data.c */
int scsi_verify(ScsiCommand *command);
int scsi_write_same(ScsiCommand *command);
int scsi_unmap(ScsiCommand *command);
int scsi_write_verify(ScsiCommand *command);
int scsi_compare_and_write(ScsiCommand *command);
int scsi_or_write(ScsiCommand *command);
int scsi_pre_fetch(ScsiCommand *command);
int scsi_get_lba_status(ScsiCommand *command);
int scsi_format_unit(ScsiCommand *command);
int scsi_overwrite(ScsiCommand *command); /* scsi-sanitize.c */
int scsi_block_erase(ScsiCommand *command);
int scsi_inquiry(ScsiCommand *command);    /* scsi-inquiry.c */
int scsi_mode_sense(ScsiCommand *command); /* scsi-mode.c */
int scsi_read_capacity_16(ScsiCommand *command);
int scsi_request_sense(ScsiCommand *command); /* scsi-health.c */
int scsi_send_diagnostic(ScsiCommand *command);
int scsi_read_defect_data(ScsiCommand *command);
int scsi_log_sense(ScsiCommand *command);
int scsi_report_opcodes(ScsiCommand *command); /* scsi-report.c */
int scsi_extended_copy(ScsiCommand *command);  /* scsi-copy.c */
int scsi_copy_status(ScsiCommand *command);
int scsi_copy_parameters(ScsiCommand *command);
int scsi_unknown_action(ScsiCommand *command); /* of an opcode that has others */

/* Pages of INQUIRY about limits and provisioning; scsi-vpd.c. */
int scsi_page_supported(ScsiCommand *command);
int scsi_page_extended(ScsiCommand *command);
int scsi_page_limits(ScsiCommand *command);
int scsi_page_characteristics(ScsiCommand *command);
int scsi_page_provisioning(ScsiCommand *command);

/* The LUN's name: NAA 6 (registered, extended). False: it has no serial. */
bool scsi_name(const Lun *lun, uint8_t naa[static 16]);

/* Reply with as much of data as the initiator takes (alloc bytes at most). TCMU_STS_OK. */
int scsi_reply(ScsiCommand *command, const uint8_t *data, size_t bytes, size_t alloc);
