/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * Access to the host's tcmur_cmd, which may lie at any address (behind a CDB of 6 or 10 bytes): its
 * members are copied, never pointed at.
 *
 * For READ and WRITE the host uses lib_cmd and done only. handle_cmd leaves word for the callback
 * in the rest.
 */
#pragma once

#include <string.h>

#include "handler/tcmur-abi.h"

#define COMMAND_AT(cmd, member) ((uint8_t *)(cmd) + offsetof(struct tcmur_cmd, member))

static inline struct tcmulib_cmd *command_lib(struct tcmur_cmd *cmd)
{
    struct tcmulib_cmd *lib;

    memcpy(&lib, COMMAND_AT(cmd, lib_cmd), sizeof lib);
    return lib;
}

/* What a mark carries from handle_cmd to a callback. */
typedef struct CommandMark {
    const void *kind; /* address of something static, ours; anything else is the host's */
    size_t length;    /* how much the command is about */
    size_t iov_cnt;   /* vectors in lib_cmd->iovec */
} CommandMark;

static inline void command_set_mark(struct tcmur_cmd *cmd, const CommandMark *mark)
{
    memcpy(COMMAND_AT(cmd, cmd_state), &mark->kind, sizeof mark->kind);
    memcpy(COMMAND_AT(cmd, requested), &mark->length, sizeof mark->length);
    memcpy(COMMAND_AT(cmd, iov_cnt), &mark->iov_cnt, sizeof mark->iov_cnt);
}

static inline CommandMark command_mark(struct tcmur_cmd *cmd)
{
    CommandMark mark;

    memcpy(&mark.kind, COMMAND_AT(cmd, cmd_state), sizeof mark.kind);
    memcpy(&mark.length, COMMAND_AT(cmd, requested), sizeof mark.length);
    memcpy(&mark.iov_cnt, COMMAND_AT(cmd, iov_cnt), sizeof mark.iov_cnt);
    return mark;
}

/* Room for a CDB of up to 10 bytes in place of one of 6, which cannot grow where it stands; as
 * long-lived as the command. Not together with a mark. */
static inline uint8_t *command_cdb_room(struct tcmur_cmd *cmd)
{
    _Static_assert(offsetof(struct tcmur_cmd, iov_base_copy) - offsetof(struct tcmur_cmd, iovec) >=
                       10,
                   "room for ten bytes");
    return COMMAND_AT(cmd, iovec);
}
