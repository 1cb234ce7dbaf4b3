/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * The requests that a sweep repeats, one after the other, each of every kind at least once, and
 * what must hold of each: an error where a fault hit it, none where none did, and only data that
 * somebody wrote there.
 */
#pragma once

#include "tests/faults/world.h"

/* The value that the writes after a sweep's run put everywhere; no request of it has this one. */
#define VALUE_LAST 63u

typedef enum ScriptEnd {
    SCRIPT_REFUSED, /* it could not be opened */
    SCRIPT_FAILED,  /* closing failed, or the disk was broken */
    SCRIPT_CLOSED,  /* all is durable */
} ScriptEnd;

/* Open, do all requests and close, with the faults in force; history follows. */
ScriptEnd script_run(World *world, const FaultRule *rule, History *history);

/* Every sector of the disk is in the sets, read at once. */
void script_judge_disk(const World *world, VhdDisk *disk, const uint64_t *sets);

/* "write of kind 2, number 3, ...", for messages; static. */
const char *script_rule_text(const FaultRule *rule);
