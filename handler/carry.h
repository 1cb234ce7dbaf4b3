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

struct iovec;
struct tcmur_cmd;

typedef enum CarryKind {
    CARRY_VERIFY,        /* read blocks and, where there is a data-out buffer, compare them */
    CARRY_VERIFY_SAME,   /* compare each block with the one in the data-out buffer */
    CARRY_WRITE_READ,    /* WRITE AND VERIFY: write, see that it can be read, */
    CARRY_WRITE_VERIFY,  /* or that it is what was written */
    CARRY_COMPARE_WRITE, /* COMPARE AND WRITE */
    CARRY_OR_WRITE,      /* ORWRITE */
    CARRY_ZERO,          /* WRITE SAME of zeros */
    CARRY_UNMAP,         /* the list in the data-out buffer, checked before */
    CARRY_STATUS,        /* GET LBA STATUS; length: what the initiator takes */
    CARRY_COPY,          /* EXTENDED COPY, the list checked before */
    CARRY_SANITIZE,      /* length: bytes of OVERWRITE's list, 0: BLOCK ERASE */
    CARRY_FORMAT,        /* FORMAT UNIT */
    CARRY_KINDS
} CarryKind;

/* A command on its way, as the functions that start one see it. */
typedef struct Carried {
    struct tcmur_cmd *cmd;
    uint64_t off;            /* bytes */
    uint64_t length;         /* as given to carry_send */
    const struct iovec *iov; /* the command's own buffers */
    size_t iov_cnt;
    bool fua; /* the bit of its CDB, where it has one */
} Carried;

/* In handle_cmd: make cmd a READ of nothing at lba. length: how much it is really about, in what
 * unit is agreed with the function that starts it. Returns TCMU_STS_NOT_HANDLED. */
int carry_send(struct tcmur_cmd *cmd, CarryKind kind, uint64_t lba, uint64_t length);

/* In the read callback: whether cmd is one of these, and start it; a callback's status. */
bool carry_is(struct tcmur_cmd *cmd);
int carry_start(Lun *lun, struct tcmur_cmd *cmd, uint64_t off);
