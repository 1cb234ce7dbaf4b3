/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * Commands: the runner's record of each, and the memory the handler sees.
 *
 * The handler's side is one allocation, laid out as the host does: tcmulib_cmd,
 * vectors, CDB in its exact length, tcmur_cmd right behind it.  When a command
 * ends that memory is poisoned and kept for a while: its address cannot be given
 * out again, so that a late completion is told from a new command's, and a write
 * to it is seen when it is freed at last.
 */
#include <stdlib.h>
#include <string.h>

#include "runner-private.h"

/* Bytes from the CDB to the tcmur_cmd. */
static size_t cdb_span(const RunnerDevice *device, size_t cdb_length)
{
    size_t unit = _Alignof(struct tcmur_cmd);
    return device->align_commands ? (cdb_length + unit - 1) / unit * unit : cdb_length;
}

RunnerCommand *runner_command_new(RunnerDevice *device, const uint8_t *cdb,
                                  const struct iovec *iovec, size_t iov_cnt)
{
    size_t cdb_length = runner_cdb_length(cdb), vectors = iov_cnt * sizeof *iovec;
    RunnerCommand *command = g_new0(RunnerCommand, 1);
    struct tcmur_cmd fresh = {0};
    struct tcmulib_cmd *lib_cmd;

    command->device = device;
    memcpy(command->cdb, cdb, cdb_length);
    command->block_size =
        sizeof *lib_cmd + vectors + cdb_span(device, cdb_length) + sizeof(struct tcmur_cmd);
    command->block = g_malloc(command->block_size);
    memset(command->block, 0xa5, command->block_size); /* the host does not zero it */

    command->lib_cmd = lib_cmd = command->block;
    lib_cmd->iovec = (struct iovec *)(lib_cmd + 1);
    lib_cmd->iov_cnt = iov_cnt;
    if (iov_cnt > 0)
        memcpy(lib_cmd->iovec, iovec, vectors);
    lib_cmd->cdb = (uint8_t *)(lib_cmd->iovec + iov_cnt);
    memcpy(lib_cmd->cdb, cdb, cdb_length);
    command->tcmur_cmd = lib_cmd->cdb + cdb_span(device, cdb_length);
    lib_cmd->hm_private = command->tcmur_cmd;
    fresh.lib_cmd = lib_cmd;
    runner_command_store(command, &fresh);
    return command;
}

/* A piece of an UNMAP: a tcmur_cmd of its own, with the parent's lib_cmd. */
RunnerCommand *runner_command_new_piece(RunnerCommand *parent)
{
    RunnerCommand *piece = g_new0(RunnerCommand, 1);
    struct tcmur_cmd fresh = {.lib_cmd = parent->lib_cmd};

    piece->device = parent->device;
    piece->parent = parent;
    memcpy(piece->cdb, parent->cdb, sizeof piece->cdb);
    piece->lib_cmd = parent->lib_cmd;
    piece->block_size = sizeof fresh;
    piece->block = piece->tcmur_cmd = g_malloc0(piece->block_size);
    runner_command_store(piece, &fresh);
    pthread_mutex_lock(&piece->device->lock);
    g_hash_table_insert(piece->device->commands, piece->tcmur_cmd, piece);
    pthread_mutex_unlock(&piece->device->lock);
    return piece;
}

void runner_command_bury_locked(RunnerCommand *command)
{
    RunnerDevice *device = command->device;

    command->dead = true;
    memset(command->block, RUNNER_POISON, command->block_size);
    ASAN_POISON_MEMORY_REGION(command->block, command->block_size);
    runner_queue_add(&device->quarantine, command);
    if (++device->quarantine_count > RUNNER_QUARANTINE) {
        RunnerCommand *oldest = runner_queue_take(&device->quarantine);
        device->quarantine_count--;
        g_hash_table_remove(device->commands, oldest->tcmur_cmd);
        runner_command_free(oldest);
    }
}

void runner_command_free(RunnerCommand *command)
{
    const uint8_t *bytes = command->block;

    ASAN_UNPOISON_MEMORY_REGION(command->block, command->block_size);
    for (size_t i = 0; command->dead && i < command->block_size; i++) {
        if (bytes[i] != RUNNER_POISON)
            runner_fail(command->cdb, "the handler wrote to a command after its completion");
    }
    g_free(command->block);
    g_free(command);
}

RunnerCommand *runner_command_find_locked(RunnerDevice *device, const void *tcmur_cmd)
{
    return g_hash_table_lookup(device->commands, tcmur_cmd);
}

RunnerCommand *runner_command_of(RunnerDevice *device, const void *tcmur_cmd)
{
    RunnerCommand *command;

    pthread_mutex_lock(&device->lock);
    command = runner_command_find_locked(device, tcmur_cmd);
    pthread_mutex_unlock(&device->lock);
    if (!command || command->dead)
        runner_fail(command ? command->cdb : NULL, "a dead command continued");
    return command;
}

struct tcmur_cmd runner_command_load(const RunnerCommand *command)
{
    struct tcmur_cmd value;
    memcpy(&value, command->tcmur_cmd, sizeof value);
    return value;
}

void runner_command_store(RunnerCommand *command, const struct tcmur_cmd *value)
{
    memcpy(command->tcmur_cmd, value, sizeof *value);
}

void runner_command_set_done(RunnerCommand *command, RunnerContinue *done)
{
    struct tcmur_cmd value = runner_command_load(command);
    value.done = done;
    runner_command_store(command, &value);
}

bool runner_command_state_init(RunnerCommand *command, size_t state_size, size_t length)
{
    struct tcmur_cmd value = runner_command_load(command);
    size_t unit = _Alignof(max_align_t), at = (state_size + unit - 1) / unit * unit;
    uint8_t *state = calloc(1, at + sizeof(struct iovec) + length);

    if (!state)
        return false;
    value.cmd_state = state;
    value.requested = length;
    if (length > 0) {
        struct iovec *vector = (struct iovec *)(void *)(state + at);
        vector->iov_base = value.iov_base_copy = vector + 1;
        vector->iov_len = length;
        value.iovec = vector;
        value.iov_cnt = 1;
    }
    runner_command_store(command, &value);
    return true;
}

void runner_command_state_free(RunnerCommand *command)
{
    struct tcmur_cmd value = runner_command_load(command);
    free(value.cmd_state);
    value.cmd_state = NULL;
    runner_command_store(command, &value);
}
