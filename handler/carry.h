/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * Commands that the host does not know or gets wrong, and that need the disk. handle_cmd may not
 * wait for it and cannot finish later; but the host does what the CDB says after it, and nothing
 * forbids to rewrite the CDB. So such a command travels as a READ of no blocks: the host's checks
 * pass, our read callback finds the mark that says what it really is, and the host completes it
 * with the status that we give. A READ of nothing does no harm should the mark ever be lost, and
 * the read callback takes one without a mark for an error.
 */
#pragma once

#include "handler/lun.h"

struct tcmur_cmd;

typedef enum CarryKind {
    CARRY_VERIFY, /* read blocks and, where there is a data-out buffer, compare them with it */
    CARRY_ZERO,   /* WRITE SAME of zeros */
    CARRY_UNMAP,  /* the list in the data-out buffer, checked before */
    CARRY_KINDS
} CarryKind;

/* In handle_cmd: make cmd a READ of nothing at lba. Its CDB has 10, 12 or 16 bytes. blocks: how
 * much it is really about. Returns TCMU_STS_NOT_HANDLED. */
int carry_send(struct tcmur_cmd *cmd, CarryKind kind, uint64_t lba, uint64_t blocks);

/* In the read callback: whether cmd is one of these, and start it; a callback's status. */
bool carry_is(struct tcmur_cmd *cmd);
int carry_start(Lun *lun, struct tcmur_cmd *cmd, uint64_t off);
