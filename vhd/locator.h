/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * Parent paths as parent locators and the header's name field hold them. Pure but for memory: bytes
 * in, UTF-8 out and the other way, through iconv. Which of the paths names a file to open is
 * resolve's business alone.
 *
 * W2ru, W2ku: UTF-16 little endian; the name field: UTF-16 BIG endian, NUL padded (measured on
 * Windows' images). Wi2r, Wi2k: 8 bit, taken as UTF-8 where valid, else as Windows-1252. MacX: a
 * file URL in UTF-8.
 */
#pragma once

#include <glib.h>

#include "vhd/format.h"

/* Most bytes of a locator's string that are looked at; vhd_layout_init refuses longer ones. */
#define VHD_LOCATOR_MAX_BYTES 65536u

/* The path that len bytes of a locator with this platform code hold: UTF-8, separators '/', a drive
 * letter "C:" and a leading "./" kept, terminating NULs dropped. NULL if the bytes are no such text
 * (a lone surrogate, half a unit, a NUL inside, an empty string, a code that holds no path, a URL
 * that is not a local file). Caller frees. */
char *vhd_locator_decode(uint32_t platform, const uint8_t *bytes, size_t len);

/* The same for the header's name field, which ends at its first NUL. */
char *vhd_parent_name_decode(const uint8_t raw[static VHD_PARENT_NAME_BYTES]);

/* The bytes for a path (UTF-8, '/' between names): W2ru: a relative one, written ".\a\b" or "..\a";
 * W2ku: an absolute one ("/a" or "C:/a"), with backslashes; MacX: an absolute one,
 * "file://localhost/a" percent-encoded. No NUL is added. NULL if path is empty, not UTF-8, contains
 * a backslash, is absolute where it must not be or the other way round, if the result is longer
 * than VHD_LOCATOR_MAX_BYTES, and for other codes. Caller frees; *len in bytes. */
uint8_t *vhd_locator_encode(uint32_t platform, const char *path, size_t *len);

/* The name field for a file name or path, '/' written as a backslash. False if it is empty, not
 * UTF-8, contains a backslash or takes more than 255 UTF-16 units; the field then is unchanged. */
bool vhd_parent_name_encode(const char *name, uint8_t raw[static VHD_PARENT_NAME_BYTES]);

/* path, if relative as seen from base, an absolute folder; "." and ".." are resolved in the text
 * alone, as Windows does: a/../b is b even if a is a link or missing, ".." at the root stays there.
 * A drive letter in front of path is dropped ("C:/a" is "/a"). The result begins with one '/' and
 * ends in none, but for the root. Caller frees. */
char *vhd_path_join(const char *base, const char *path);

/* Path of target as seen from the folder from_dir, both absolute and without . and ..: "x/y",
 * "../x", "./C:" for what could be taken for a drive, or "." where they are the same. vhd_path_join
 * leads back. Caller frees. */
char *vhd_path_relative(const char *from_dir, const char *target);
