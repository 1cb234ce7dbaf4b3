/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* The rules of vhd/break.h by name, with the invariant that breaking each must be seen to violate.
 * In a build that cannot break them there are none. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

typedef struct Mutant {
    const char *name;
    unsigned rule;   /* VhdBreak */
    unsigned wanted; /* invariants, a bit each: one of them is violated */
} Mutant;

unsigned mutants_count(void);
const Mutant *mutants_at(unsigned i);
/* Break the rule of that name from now on. False: there is none. */
bool mutants_choose(const char *name);
