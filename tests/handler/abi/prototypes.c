/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * Compiled, never run: tcmu-runner's headers and ours in one unit, so that the
 * compiler refuses a function that both declare with different types, and so
 * that the types of the callbacks can be compared.
 *
 * abi-ours.h is our header as abi-compare.sh cuts it: structures and enumerators
 * that tcmu-runner's headers define as well are taken out, and the handler
 * structure is called our_tcmur_handler.
 */
#include <pthread.h>
#include <stddef.h>

#include "libtcmu.h"
#include "tcmu-runner.h"

#include "tcmur_cmd_handler.h"
#include "tcmur_device.h"

#define tcmur_register_handler our_register_handler
#include "abi-ours.h"
#undef tcmur_register_handler

#include "abi-names.h"

#define SAME_CALLBACK(field)                                                                       \
    _Static_assert(                                                                                \
        __builtin_types_compatible_p(__typeof__(((struct tcmur_handler *)NULL)->field),            \
                                     __typeof__(((struct our_tcmur_handler *)NULL)->field)),       \
        "type of tcmur_handler." #field);
ABI_HANDLER_FIELDS(SAME_CALLBACK)

_Static_assert(__builtin_types_compatible_p(__typeof__(&tcmur_register_handler),
                                            int (*)(struct tcmur_handler *)),
               "type of tcmur_register_handler");
