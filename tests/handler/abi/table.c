/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * Prints a table of the plug-in ABI: one line a structure, field and enumerator.
 * Built twice, once with UPSTREAM_HEADERS against tcmu-runner's own headers and
 * once against ours; abi-compare.sh compares what the two print.
 *
 * abi-names.h is made by abi-compare.sh out of tcmu-runner's headers and holds
 *   #define ABI_FIELDS(F, S) S(struct-tag) F(struct-tag, field) ...
 *   #define ABI_CONSTANTS(C) C(enumerator) ...
 */
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>

#ifdef UPSTREAM_HEADERS
#include "libtcmu.h"
#include "tcmu-runner.h"
#else
#include "tcmur-abi.h"
#endif

#include "abi-names.h"

#define PRINT_STRUCT(tag)                                                                          \
    printf("struct %s size %zu align %zu\n", #tag, sizeof(struct tag), _Alignof(struct tag));
#define PRINT_FIELD(tag, field)                                                                    \
    printf("field %s.%s offset %zu size %zu\n", #tag, #field, offsetof(struct tag, field),         \
           sizeof(((struct tag *)NULL)->field));
#define PRINT_CONSTANT(name) printf("constant %s %d\n", #name, (int)name);

int main(void)
{
    ABI_FIELDS(PRINT_FIELD, PRINT_STRUCT)
    ABI_CONSTANTS(PRINT_CONSTANT)
    return 0;
}
