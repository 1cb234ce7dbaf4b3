/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* Text and JSON on stdout. */
#pragma once

#include <json-glib/json-glib.h>
#include <stdbool.h>
#include <stdint.h>

/* text with control characters as \xNN and what is not UTF-8 replaced, so that it can be shown.
 * Caller frees. */
char *output_visible(const char *text);

/* "NAME: value" behind indent levels of four spaces. */
void output_line(int indent, const char *name, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* Members of the object that builder is in. Strings of any bytes become UTF-8. */
void output_json_string(JsonBuilder *builder, const char *name, const char *value);
void output_json_number(JsonBuilder *builder, const char *name, uint64_t value);
void output_json_bool(JsonBuilder *builder, const char *name, bool value);

/* What builder holds, indented as qemu-img does. Frees the builder. */
void output_json_print(JsonBuilder *builder);

/* len bytes as hexadecimal digits. Caller frees. */
char *output_hex(const uint8_t *bytes, size_t len);

/* A four-character code such as "win " as text; eight hexadecimal digits if it cannot be printed.
 * A NUL at its end is dropped. Caller frees. */
char *output_code(uint32_t code);
