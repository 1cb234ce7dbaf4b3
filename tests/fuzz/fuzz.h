/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* What the fuzz targets share: the entry, a check that says which law was broken, and a reader that
 * takes the input apart and never runs out (zeros follow). */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_CHECK(law)                                                                            \
    do {                                                                                           \
        if (!(law)) {                                                                              \
            fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #law);                      \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

typedef struct FuzzInput {
    const uint8_t *at;
    size_t left;
} FuzzInput;

static inline void fuzz_take(FuzzInput *input, void *to, size_t len)
{
    size_t have = len < input->left ? len : input->left;

    memset(to, 0, len);
    if (have > 0)
        memcpy(to, input->at, have);
    input->at += have;
    input->left -= have;
}

static inline uint8_t fuzz_take_byte(FuzzInput *input)
{
    uint8_t byte;

    fuzz_take(input, &byte, 1);
    return byte;
}
