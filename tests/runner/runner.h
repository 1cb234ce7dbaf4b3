/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * A host process for tcmu-runner handlers, for tests: loads a handler's shared
 * object, supplies the symbols it imports and drives it in the order and from
 * the threads that tcmu-runner 1.5.4 does, without a kernel or root.
 *
 *   submitters --> ring --> command thread: unit attention, handle_cmd, what the
 *   host answers itself, then data commands --> callback, in the command thread
 *   (nr_threads == 0) or in one of nr_threads workers --> reply, exactly once
 *
 * What breaks the contract of tcmur-abi.h ends the process through
 * runner_fail(), with a line that names the command's CDB: a second completion,
 * one of an unknown command or after removal, a thread cancelled inside a
 * callback, cancellation left switched off, a command written to after its
 * completion, close returning while commands are open or while a thread is
 * still inside tcmur_cmd_complete, ASYNC_HANDLED where the host cannot use it,
 * an unmap alignment of 0 that the host would divide by.  What makes the host
 * wait forever is found by the watchdog.
 *
 * Answered by the host itself: TEST UNIT READY, INQUIRY (36 bytes), READ
 * CAPACITY, START STOP.  Taken apart as the host does: UNMAP, WRITE SAME 10/16,
 * COMPARE AND WRITE, WRITE AND VERIFY 10/16.  Not built: MODE SENSE and SELECT,
 * VPD pages, EXTENDED COPY, FORMAT UNIT, ALUA, recovery: INVALID OPCODE.
 *
 * An executable that links this needs its symbols exported (ENABLE_EXPORTS).
 */
#ifndef RUNNER_H
#define RUNNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "handler/tcmur-abi.h"

typedef struct RunnerHandler RunnerHandler;
typedef struct tcmu_device RunnerDevice;

/* SAM status codes as replies carry them. */
enum {
    RUNNER_GOOD = 0x00,
    RUNNER_CHECK_CONDITION = 0x02,
    RUNNER_BUSY = 0x08,
    RUNNER_TASK_SET_FULL = 0x28,
    /* The host gave the command up at removal; nothing is known of its effect. */
    RUNNER_ABORTED = 0x40,
};

typedef struct RunnerReply {
    uint8_t status;
    uint8_t sense[TCMU_SENSE_SIZE]; /* meaningful with CHECK CONDITION, else zero */
} RunnerReply;

/* Key, ASC and ASCQ of fixed-format sense as 0xKKAAQQ; 0 where there is none. */
uint32_t runner_reply_sense(const RunnerReply *reply);

/*
 * Told the outcome of a command, once.  Called by whatever thread completed it,
 * with no lock of the runner held; may submit, must not wait for other commands.
 */
typedef void RunnerDone(void *arg, const RunnerReply *reply);

/* ---- handler.c: the shared object ---- */

/* dlopen, handler_init, registration.  NULL: *error is a malloc'ed sentence. */
RunnerHandler *runner_load(const char *path, char **error);
const struct tcmur_handler *runner_handler_ops(const RunnerHandler *handler);
/* Calls destroy.  Every device must be freed. */
void runner_unload(RunnerHandler *handler);

/* ---- device.c, removal.c: one LUN ---- */

typedef struct RunnerDeviceConfig {
    const char *cfgstring; /* "subtype/..." */
    uint64_t size;         /* bytes; what configfs says, a multiple of block_size */
    uint32_t block_size;   /* bytes; 0 = 512 */
    uint32_t max_sectors;  /* hw_max_sectors, blocks; 0 = 128, the kernel's default */
    bool align_commands;   /* keep each tcmur_cmd at an aligned address (see below) */
    unsigned linger_ms;    /* see below; 0 = 50 */
} RunnerDeviceConfig;

/*
 * align_commands: the host packs a tcmur_cmd behind CDBs of 6 and 10 bytes, so
 * that it lies at odd addresses.  UBSan objects to every access; builds with it
 * (RUNNER_ALIGN_COMMANDS) always align.
 *
 * linger_ms: the host still uses the device after it has counted a command as
 * done.  A thread of the handler that completes the last command during removal
 * stays inside tcmur_cmd_complete until close has returned, at most this long,
 * so that a close which does not wait for it is always caught.
 */

/* check_config, open, threads.  NULL: *error is a malloc'ed sentence. */
RunnerDevice *runner_device_new(RunnerHandler *handler, const RunnerDeviceConfig *config,
                                char **error);

enum RunnerRemoval {
    /* As LIO does: nothing new is accepted, what was accepted is answered, then
     * the host is told to remove the device. */
    RUNNER_REMOVE_DRAINED,
    /* As after the kernel gave up on slow commands: the host removes the device
     * with commands still in its hands.  Workers are cancelled first, then the
     * host waits for the commands.  What no callback has seen is answered with
     * RUNNER_ABORTED (the real host hangs over those that waited for a worker). */
    RUNNER_REMOVE_AT_ONCE,
};

/*
 * Removes the device while submitters may go on: they get -ESHUTDOWN.  When this
 * returns every accepted command has had its reply.  The device stays as a
 * tombstone, so that late completions are recognized, until it is freed.
 */
void runner_device_remove(RunnerDevice *device, enum RunnerRemoval removal);
/* Waits until so many commands are accepted and unanswered, and begins at that
 * very moment.  Somebody must go on submitting. */
void runner_device_remove_busy(RunnerDevice *device, enum RunnerRemoval removal,
                               unsigned under_way);
/* After removal, and when no thread submits any more. */
void runner_device_free(RunnerDevice *device);

/* Main thread's reconfig callback, as the host calls it.  0 or -errno. */
int runner_device_set_size(RunnerDevice *device, uint64_t size);
int runner_device_set_cfgstring(RunnerDevice *device, const char *cfgstring);
int runner_device_set_write_cache(RunnerDevice *device, bool enabled);

typedef struct RunnerStats {
    uint64_t accepted;        /* commands that entered the ring */
    uint64_t replied;         /* replies given; equal to accepted after removal */
    uint64_t aborted;         /* of these, RUNNER_ABORTED */
    uint64_t handled_inline;  /* done in handle_cmd */
    uint64_t open_at_removal; /* accepted and unanswered when removal began */
    unsigned max_depth;       /* completions nested on one stack */
} RunnerStats;
RunnerStats runner_device_stats(RunnerDevice *device);

/* ---- ring.c: commands ---- */

/*
 * Hands a command in from any thread.  The vectors are copied, the buffers must
 * live until done is called.  0; -ESHUTDOWN: the device is being removed;
 * -ENOTSUP: an opcode of unknown CDB length, which the host drops without an
 * answer.  done is called only after 0.
 */
int runner_submit(RunnerDevice *device, const uint8_t *cdb, const struct iovec *iovec,
                  size_t iov_cnt, RunnerDone *done, void *arg);

/* Waits for the reply.  A command refused gets RUNNER_ABORTED. */
RunnerReply runner_execute(RunnerDevice *device, const uint8_t *cdb, const struct iovec *iovec,
                           size_t iov_cnt);
/* Sends TEST UNIT READY until no unit attention is pending. */
RunnerReply runner_clear_attention(RunnerDevice *device);

/* Waiting commands over one buffer.  lba and blocks in logical blocks. */
RunnerReply runner_read(RunnerDevice *device, uint64_t lba, uint32_t blocks, void *data);
RunnerReply runner_write(RunnerDevice *device, uint64_t lba, uint32_t blocks, void *data);
RunnerReply runner_sync(RunnerDevice *device);
RunnerReply runner_unmap(RunnerDevice *device, uint64_t lba, uint32_t blocks);
/* block: one block of data; unmap: the UNMAP bit. */
RunnerReply runner_write_same(RunnerDevice *device, uint64_t lba, uint32_t blocks, void *block,
                              bool unmap);

/* ---- bare.c: one LUN without the checks, for measurements ---- */

/* Told what tcmur_cmd_complete was, in its thread. */
typedef void RunnerBareDone(void *arg, struct tcmur_cmd *cmd, int status);

/*
 * check_config and open, and that is all: the caller makes the commands, calls
 * the handler's operations from one thread, as the host does, and is the pool of
 * a handler that wants one.  NULL: *error is a malloc'ed sentence.
 */
RunnerDevice *runner_bare_new(RunnerHandler *handler, const RunnerDeviceConfig *config,
                              RunnerBareDone *done, void *arg, char **error);
/* Calls close and frees.  No command may be with the handler. */
void runner_bare_free(RunnerDevice *device);

/* ---- cdb.c: CDBs, 16 bytes of room each ---- */

enum { RUNNER_CDB_ROOM = 16, RUNNER_UNMAP_LIST = 24 };
enum { RUNNER_FUA = 0x08, RUNNER_WS_UNMAP = 0x08, RUNNER_WS_NDOB = 0x01 }; /* byte 1 */

void runner_cdb_read10(uint8_t *cdb, uint32_t lba, uint16_t blocks, uint8_t flags);
void runner_cdb_read16(uint8_t *cdb, uint64_t lba, uint32_t blocks, uint8_t flags);
void runner_cdb_write10(uint8_t *cdb, uint32_t lba, uint16_t blocks, uint8_t flags);
void runner_cdb_write16(uint8_t *cdb, uint64_t lba, uint32_t blocks, uint8_t flags);
void runner_cdb_sync10(uint8_t *cdb);
void runner_cdb_sync16(uint8_t *cdb);
void runner_cdb_write_same10(uint8_t *cdb, uint32_t lba, uint16_t blocks, uint8_t flags);
void runner_cdb_write_same16(uint8_t *cdb, uint64_t lba, uint32_t blocks, uint8_t flags);
void runner_cdb_caw(uint8_t *cdb, uint64_t lba, uint8_t blocks);
void runner_cdb_write_verify16(uint8_t *cdb, uint64_t lba, uint32_t blocks);
/* list: RUNNER_UNMAP_LIST bytes of parameter data for one descriptor. */
void runner_cdb_unmap(uint8_t *cdb, uint8_t *list, uint64_t lba, uint32_t blocks);

/* Bytes of the CDB, by its opcode; 0 where unknown. */
size_t runner_cdb_length(const uint8_t *cdb);
/* "WRITE(16) 8a 00 ..." into text; returns text. */
enum { RUNNER_CDB_TEXT = 96 };
char *runner_cdb_text(const uint8_t *cdb, char text[RUNNER_CDB_TEXT]);

/* ---- fail.c, watchdog.c, log.c ---- */

/* Prints "runner: FAILED: ..." and the CDB, if there is one, and aborts. */
__attribute__((format(printf, 2, 3), noreturn)) void runner_fail(const uint8_t *cdb,
                                                                 const char *format, ...);

/*
 * From now on: seconds in which something is waited for and nothing at all is
 * submitted, completed or removed end the process, after a list of the open
 * commands and every thread's stack.
 */
void runner_watchdog_start(unsigned seconds);

/* Lines up to this syslog level go to stderr; -1 none.  Default: warnings. */
void runner_log_print_level(int level);
/* Whether a line logged since the start of the process holds this text. */
bool runner_log_contains(const char *text);

#endif
