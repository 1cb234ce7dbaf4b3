/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * A file that a verb makes: under a temporary name until it is complete, then given its own. With
 * force it may take the place of another file, but not of one that somebody uses, nor of a layer of
 * the chain that it is made from. Or a block device, which is written where it is.
 */
#pragma once

#include "vhd/chain.h"

typedef struct Target Target;

#define TARGET_MODE_DEFAULT ((mode_t)0666) /* less the umask */

/* source: a chain that must not be replaced, may be NULL. */
Target *target_open(const char *path, mode_t mode, bool force, VhdChain *source, GError **error);

/* Whether path leads to a block device. */
bool target_is_device(const char *path);

/* A block device that nobody uses. It keeps what it holds where nothing is written. */
Target *target_open_device(const char *path, bool force, VhdChain *source, GError **error);

bool target_on_device(const Target *target);

/* The new file, for writing; the target's unless target_steal_file was called. */
VhdFile *target_file(Target *target);

/* As target_file, and somebody else closes it, before target_publish or after. */
VhdFile *target_steal_file(Target *target);

/* Sync, name, sync the folder. With a stolen file it must still be open. */
bool target_publish(Target *target, GError **error);

/* The sentence of work that was interrupted. Returns false. */
bool target_interrupted(const Target *target, GError **error);

/* Something was written, but not all: where that remains, add it to error's sentence. */
void target_tell_remains(const Target *target, GError **error);

/* Without target_publish the new file is removed. NULL is fine. */
void target_close(Target *target);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Target, target_close)

/* A block size in 32 bits; the engine judges the rest. */
bool target_parse_block_size(const char *text, uint32_t *bytes, GError **error);
