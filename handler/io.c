/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "handler/io.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>

#include "handler/command.h"
#include "handler/sense.h"

Io *io_new(Lun *lun, struct tcmur_cmd *cmd, size_t size, void (*step)(Io *io))
{
    Io *io = g_try_malloc0(size);

    if (!io)
        return NULL;
    io->lun = lun;
    io->cmd = cmd;
    io->step = step;
    lun_begin(lun);
    return io;
}

static void io_free(Io *io)
{
    if (io->release)
        io->release(io);
    g_free(io);
}

static void io_relayed(Relay *relay)
{
    Io *io = (Io *)(void *)((char *)relay - offsetof(Io, relay));

    io->step(io);
}

static void io_done(VhdRequest *request, int result)
{
    Io *io = (Io *)(void *)((char *)request - offsetof(Io, request));

    io->result = result;
    io->relay.run = io_relayed;
    relay_run(&io->relay);
}

void io_submit(Io *io)
{
    io->request.done = io_done;
    vhd_disk_submit(io->lun->disk, &io->request);
}

/* What is the disk's fault and not the initiator's: who looks for the reason of an I/O error that
 * a machine far away has seen finds it here. */
static void log_failure(Io *io, bool failed)
{
    static const char *const names[] = {
        [VHD_OP_READ] = "reading",         [VHD_OP_WRITE] = "writing",
        [VHD_OP_FLUSH] = "flushing",       [VHD_OP_UNMAP] = "unmapping",
        [VHD_OP_WRITE_ZEROES] = "zeroing", [VHD_OP_COMPARE_AND_WRITE] = "comparing and writing",
        [VHD_OP_OR_WRITE] = "or-writing",  [VHD_OP_STATUS] = "looking up",
    };

    g_autofree char *where = NULL;

    if (io->result == 0 || io->result == -EINVAL || io->result == -EROFS)
        return;
    if (io->request.op != VHD_OP_FLUSH)
        where = g_strdup_printf("%" PRIu64 " bytes at offset %" PRIu64 " of ", io->request.len,
                                io->request.off);
    log_format(&io->lun->log, LOG_LEVEL_ERROR, "%s %sthe disk failed: %s%s", names[io->request.op],
               where ? where : "", g_strerror(-io->result),
               failed ? "; nothing more is written until the LUN is made anew" : "");
}

int io_status(Io *io)
{
    bool writes = io->request.op != VHD_OP_READ && io->request.op != VHD_OP_STATUS;
    bool failed = io->result < 0 && writes && lun_disk_failed(io->lun);

    log_failure(io, failed);
    return sense_status(command_lib(io->cmd), io->result, writes, failed);
}

void io_complete(Io *io, int status)
{
    Lun *lun = io->lun;
    struct tcmur_cmd *cmd = io->cmd;

    io_free(io);
    tcmur_cmd_complete(lun->dev, cmd, status);
    lun_end(lun);
}

int io_abandon(Io *io, int status)
{
    Lun *lun = io->lun;

    io_free(io);
    lun_end(lun);
    return status;
}
