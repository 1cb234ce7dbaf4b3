/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* The load of runner-verify: submitters with several requests in flight each. */
#ifndef VERIFY_H
#define VERIFY_H

#include "runner.h"
#include "verify-model.h"

typedef struct LoadConfig {
    unsigned submitters;
    unsigned depth;    /* requests in flight a submitter */
    uint64_t requests; /* in all; then submitters stop or go on until removal */
    uint64_t seed;
    bool unmap;      /* UNMAP and WRITE SAME as well */
    bool until_shut; /* go on in bursts of depth after that, until the device refuses */
} LoadConfig;

typedef struct Load Load;

Load *load_start(RunnerDevice *device, Model *model, const LoadConfig *config);
/* Returns when this many requests have been answered. */
void load_wait(Load *load, uint64_t requests);
/* Joins the submitters.  False: a mistake was found, and printed. */
bool load_end(Load *load, uint64_t *answered);

#endif
