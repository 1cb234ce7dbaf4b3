/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * What the tests of the handler share: images in a folder of their own, and the handler, in the
 * host process of tests/runner, serving them.
 */
#pragma once

#include <glib.h>

#include "tests/runner/runner.h"
#include "vhd/format.h"

enum { LUN_TEST_BLOCK = 512 };

/* Sense as 0xKKAAQQ. */
enum {
    SENSE_WRITE_ERROR = 0x030c00,
    SENSE_HARDWARE = 0x044400,
    SENSE_INVALID_OPCODE = 0x052000,
    SENSE_RANGE = 0x052100,
    SENSE_INVALID_CDB = 0x052400,
    SENSE_INVALID_LIST = 0x052600,
    SENSE_LIST_LENGTH = 0x051a00,
    SENSE_NO_SAVING = 0x053900,
    SENSE_PROTECTED = 0x072700,
    SENSE_NO_SPACE = 0x072707,
    SENSE_MISCOMPARE = 0x0e1d00,
};

/* g_test_init, the handler of $VHD_HANDLER, a folder. */
void lun_test_init(int *argc, char ***argv);
/* All of it away; devices are closed. */
void lun_test_end(void);

RunnerHandler *lun_test_handler(void);
const char *lun_test_folder(void);

/* The path of a file in the folder; freed at the end. */
const char *lun_test_path(const char *name);

/* A new image of so many bytes; blocks of 64 KiB. Returns its path. */
const char *lun_test_image(const char *name, VhdType type, uint64_t bytes);
/* A new differencing image on an image made before. */
const char *lun_test_child(const char *name, const char *parent, uint64_t bytes);

/* Serve path with options (";ro" or ""); bytes is what the host is told. */
RunnerDevice *lun_test_open(const char *path, const char *options, uint64_t bytes);
void lun_test_close(RunnerDevice *device);

/* Execute a CDB with one buffer and compare the sense; 0 is GOOD. */
#define lun_test_command(device, sense, data, bytes, ...)                                          \
    lun_test_execute(device, (const uint8_t[16]){__VA_ARGS__}, data, bytes, sense, G_STRLOC)
void lun_test_execute(RunnerDevice *device, const uint8_t *cdb, void *data, size_t bytes,
                      uint32_t sense, const char *where);

/* Write bytes that tell their sector and seed; expect them, or zeros where seed is 0. */
void lun_test_write(RunnerDevice *device, uint64_t lba, uint32_t blocks, uint8_t seed);
#define lun_test_expect(device, lba, blocks, seed)                                                 \
    lun_test_expect_at(device, lba, blocks, seed, G_STRLOC)
void lun_test_expect_at(RunnerDevice *device, uint64_t lba, uint32_t blocks, uint8_t seed,
                        const char *where);
void lun_test_fill(uint8_t *data, uint64_t lba, uint32_t blocks, uint8_t seed);
