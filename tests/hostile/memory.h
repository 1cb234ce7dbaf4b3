/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * How much memory this process has from malloc, GLib's included: a program that links memory.c has
 * the functions of malloc's family in the place of libc's. Under a sanitizer, which does the same,
 * nothing is measured and both are 0.
 */
#pragma once

#include <stddef.h>

size_t memory_bytes(void);
/* The most there was since the last call of memory_reset_peak. */
size_t memory_peak(void);
void memory_reset_peak(void);
