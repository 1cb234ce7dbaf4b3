/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * From the host's callbacks to the disk and back. A command becomes an Io, which is submitted
 * one or more times; each time its step is run when the disk is done with it, in a worker, and
 * either submits again or ends the command by io_complete. No lock is held in a step.
 */
#pragma once

#include "handler/lun.h"
#include "handler/relay.h"

struct tcmur_cmd;

typedef struct Io Io;
struct Io {
    VhdRequest request; /* first; what to do next */
    Relay relay;
    Lun *lun;
    struct tcmur_cmd *cmd; /* the host's, until io_complete */
    int result;            /* of the last submission: 0 or -errno */
    void (*step)(Io *io);
    void (*release)(Io *io); /* frees what a bigger structure around it owns; may be NULL */
};

/* A zeroed structure of size bytes that begins with an Io; counted in lun. NULL: no memory. */
Io *io_new(Lun *lun, struct tcmur_cmd *cmd, size_t size, void (*step)(Io *io));

/* Hand io->request to the disk. Whether or not step has run when this returns, io may be gone. */
void io_submit(Io *io);

/* The status for io->result; a failure that is the disk's is logged. */
int io_status(Io *io);

/* End the command with a TCMU_STS_* and free io. Only from a step. */
void io_complete(Io *io, int status);

/* Free io without ending the command, whose callback is about to return status; returns it. */
int io_abandon(Io *io, int status);
