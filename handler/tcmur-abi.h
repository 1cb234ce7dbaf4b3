/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * The binary interface between tcmu-runner and a handler it loads, in our own
 * declaration: no distribution ships usable headers.  It fits releases 1.5.4 to
 * 1.6.2 and what came after; tests/handler/abi compares it, field by field,
 * with the sources of the installed release.
 *
 * Releases 1.5.0 to 1.5.3 have a shorter handler structure.  A handler that
 * leaves every member behind `unmap` zero works with those as well.
 *
 * Words used below:
 *   main thread      the daemon's event loop: netlink, D-Bus, signals
 *   command thread   one a device; takes commands out of the ring
 *   worker           one of nr_threads threads a device; runs I/O callbacks
 *   off, len         bytes;  lba, blocks: logical blocks of the device
 *
 * Cancellation.  At removal the host cancels the workers of the device, then
 * waits until no command is under way, then cancels the command thread.  A
 * thread that dies inside a callback takes its command with it and the daemon
 * waits forever.  So every callback has to hold PTHREAD_CANCEL_DISABLE while it
 * runs, and to restore the former state before it returns (a thread that can no
 * longer be cancelled blocks removal just as well).
 *
 * Included alone, this header needs nothing before it.
 */
#ifndef TCMUR_ABI_H
#define TCMUR_ABI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

struct tcmu_device;
struct tcmur_cmd;

/*
 * What a callback returns and what tcmur_cmd_complete is given.  Each value
 * becomes a SAM status and, with CHECK CONDITION, sense data (key/ASC/ASCQ in
 * hexadecimal).  A value that is not listed becomes CHECK CONDITION without
 * sense, and a line in the log.
 */
enum tcmu_status {
    TCMU_STS_ASYNC_HANDLED = -2, /* never from a worker; see handle_cmd */
    TCMU_STS_NOT_HANDLED = -1,   /* from handle_cmd: the host goes on; else 05/20/00 */
    TCMU_STS_OK = 0,
    TCMU_STS_NO_RESOURCE = 1,             /* TASK SET FULL: the initiator tries again */
    TCMU_STS_PASSTHROUGH_ERR = 2,         /* the handler has filled sense_buf */
    TCMU_STS_BUSY = 3,                    /* BUSY */
    TCMU_STS_WR_ERR = 4,                  /* 03/0C/00 */
    TCMU_STS_RD_ERR = 5,                  /* 03/11/00 */
    TCMU_STS_MISCOMPARE = 6,              /* 0E/1D/00, an information field set before is kept */
    TCMU_STS_INVALID_CMD = 7,             /* 05/20/00 */
    TCMU_STS_INVALID_CDB = 8,             /* 05/24/00 */
    TCMU_STS_INVALID_PARAM_LIST = 9,      /* 05/26/00 */
    TCMU_STS_INVALID_PARAM_LIST_LEN = 10, /* 05/1A/00 */
    TCMU_STS_TIMEOUT = 11,                /* BUSY */
    TCMU_STS_FENCED = 12,                 /* 02/04/0B */
    TCMU_STS_HW_ERR = 13,                 /* 04/44/00 */
    TCMU_STS_RANGE = 14,                  /* 05/21/00 */
    TCMU_STS_FRMT_IN_PROGRESS = 15,       /* 02/04/04 */
    TCMU_STS_CAPACITY_CHANGED = 16,       /* 06/2A/09 */
    TCMU_STS_NOTSUPP_SAVE_PARAMS = 17,    /* 05/39/00 */
    TCMU_STS_WR_ERR_INCOMPAT_FRMT = 18,   /* 05/30/05 */
    TCMU_STS_TRANSITION = 19,             /* 02/04/0A */
    TCMU_STS_IMPL_TRANSITION_ERR = 20,    /* 06/2A/07 */
    TCMU_STS_EXPL_TRANSITION_ERR = 21,    /* 04/67/0A */
    TCMU_STS_NO_LOCK_HOLDERS = 22,        /* internal to ALUA */
    TCMU_STS_NOTSUPP_SEG_DESC_TYPE = 23,  /* this and below: EXTENDED COPY */
    TCMU_STS_NOTSUPP_TGT_DESC_TYPE = 24,
    TCMU_STS_CP_TGT_DEV_NOTCONN = 25,
    TCMU_STS_INVALID_CP_TGT_DEV_TYPE = 26,
    TCMU_STS_TOO_MANY_SEG_DESC = 27,
    TCMU_STS_TOO_MANY_TGT_DESC = 28,
};

#define TCMU_SENSE_SIZE 96 /* bytes of tcmulib_cmd.sense_buf */

/*
 * A command as it came out of the ring.  One allocation holds this, the
 * vectors, the CDB (its exact length) and the tcmur_cmd; it is freed inside the
 * completion.  The memory is private to the command: a handler may rewrite CDB
 * and vectors before it returns NOT_HANDLED.  The buffers that the vectors name
 * are shared with the kernel and hold old data where nothing was written.
 * sense_buf is not zeroed.
 */
struct tcmulib_cmd {
    uint16_t cmd_id;
    uint8_t *cdb;
    struct iovec *iovec;
    size_t iov_cnt;
    uint8_t sense_buf[TCMU_SENSE_SIZE];
    void *hm_private; /* the tcmur_cmd; the host's */
};

struct tcmur_list_node {
    struct tcmur_list_node *next, *prev;
};

/*
 * The host's side of a command, which callbacks get.  It may lie at any
 * address, odd ones included (behind a CDB of 6 or 10 bytes): no atomics or
 * locks in it.
 *
 * For READ, WRITE and SYNCHRONIZE CACHE only lib_cmd and done are set and the
 * rest is zero: cmd_state and requested may carry a mark from handle_cmd to the
 * I/O callback.  For commands that the host takes apart (WRITE SAME, UNMAP,
 * COMPARE AND WRITE, WRITE AND VERIFY, EXTENDED COPY, FORMAT UNIT) they are the
 * host's.  Each piece of an UNMAP has a tcmur_cmd of its own; all have the
 * lib_cmd of the whole command.
 */
struct tcmur_cmd {
    struct tcmulib_cmd *lib_cmd;
    struct iovec *iovec; /* compound commands: the host's own buffer */
    size_t iov_cnt;
    void *iov_base_copy;
    void *cmd_state;
    size_t requested; /* bytes */
    struct tcmur_list_node cmds_list_entry;
    struct timespec start_time;
    bool timed_out;
    /* Set before an I/O callback is called; NULL while handle_cmd runs. */
    void (*done)(struct tcmu_device *dev, struct tcmur_cmd *cmd, int status);
};

enum tcmulib_cfg_type {
    TCMULIB_CFG_DEV_CFGSTR = 0,
    TCMULIB_CFG_DEV_SIZE = 1,
    TCMULIB_CFG_WRITE_CACHE = 2,
};

/* A change that an administrator wrote into configfs; one member of data holds. */
struct tcmulib_cfg_info {
    enum tcmulib_cfg_type type;
    union {
        uint64_t dev_size; /* bytes */
        char *dev_cfgstring;
        bool write_cache;
    } data;
};

/*
 * A handler.  The host keeps the pointer that tcmur_register_handler was given
 * until the process ends.  Members left zero are absent.
 */
struct tcmur_handler {
    const char *name;     /* for people */
    const char *subtype;  /* the text before the first '/' of the config string */
    const char *cfg_desc; /* syntax of the config string, shown by targetcli */
    void *opaque;         /* the handler's own */

    /*
     * Main thread, before open and whenever a local user asks over D-Bus: must
     * not block.  Gets the whole string, "subtype/...", with host options.
     * False: *reason is a malloc'ed sentence that the host frees, or NULL.
     */
    bool (*check_config)(const char *cfgstring, char **reason);

    /*
     * Main thread, while commands run.  0 or -errno, which goes back to the
     * writer.  A size equal to the present one never arrives.  After a size
     * that was accepted the host sets the number of blocks itself.
     */
    int (*reconfig)(struct tcmu_device *dev, struct tcmulib_cfg_info *cfg);

    /*
     * Main thread.  0, or anything else for failure: then close is not called
     * and the handler has to free what it took.  Limits are set from here.
     */
    int (*open)(struct tcmu_device *dev, bool reopen);

    /*
     * In the cancellation cleanup of the command thread, or in the main thread.
     * No callback of the device runs or begins.  The host goes on to free the
     * device: close may return only when no thread of the handler is inside
     * tcmur_cmd_complete for it, since that still touches the device after the
     * host has counted the command as done.
     */
    void (*close)(struct tcmu_device *dev);

    /*
     * Above 0: I/O callbacks run in that many workers and complete the command
     * with what they return.  0: they run in the command thread (pieces of
     * compound commands: in the thread that completed the piece before); OK
     * means queued, and tcmur_cmd_complete must be called exactly once, which
     * may happen before the callback returns; any other value ends the command
     * at once.
     */
    int nr_threads;

    /*
     * Command thread, for every command, before the host looks at it.  OK or an
     * error: the command is done.  NOT_HANDLED: the host goes on with whatever
     * the CDB says now.  ASYNC_HANDLED cannot be used beside I/O callbacks: done
     * is NULL here, and the host would call it.
     */
    int (*handle_cmd)(struct tcmu_device *dev, struct tcmur_cmd *cmd);

    /* I/O callbacks.  The host has checked range and length. */
    int (*read)(struct tcmu_device *dev, struct tcmur_cmd *cmd, struct iovec *iovec, size_t iov_cnt,
                size_t len, off_t off);
    int (*write)(struct tcmu_device *dev, struct tcmur_cmd *cmd, struct iovec *iovec,
                 size_t iov_cnt, size_t len, off_t off);
    int (*flush)(struct tcmu_device *dev, struct tcmur_cmd *cmd);

    /*
     * UNMAP, whole descriptors or pieces (see tcmu_dev_set_opt_unmap_gran), and
     * WRITE SAME with the UNMAP bit.  Errors that arrive through
     * tcmur_cmd_complete are lost: the initiator sees GOOD.  A handler that has
     * this must set an alignment of at least 1, or the host divides by zero.
     */
    int (*unmap)(struct tcmu_device *dev, struct tcmur_cmd *cmd, uint64_t off, uint64_t len);

    /* 1.5.4 and later only.  iovec: one block.  NOT_HANDLED is INVALID OPCODE here. */
    int (*writesame)(struct tcmu_device *dev, struct tcmur_cmd *cmd, uint64_t off, uint64_t len,
                     struct iovec *iovec, size_t iov_cnt);
    /* 1.5.4 and later only.  iovec: the data to compare, then the data to write. */
    int (*caw)(struct tcmu_device *dev, struct tcmur_cmd *cmd, uint64_t off, uint64_t len,
               struct iovec *iovec, size_t iov_cnt);

    /* Fail-over between hosts (ALUA); of no use to local files. */
    int (*report_event)(struct tcmu_device *dev);
    int (*lock)(struct tcmu_device *dev, uint16_t tag);
    int (*unlock)(struct tcmu_device *dev);
    int (*get_lock_tag)(struct tcmu_device *dev, uint16_t *tag);
    int (*get_lock_state)(struct tcmu_device *dev);

    bool _is_dbus_handler; /* the host's: leave false */

    bool (*update_logdir)(void);
    int (*init)(void);     /* from tcmur_register_handler; 0 or registration fails */
    void (*destroy)(void); /* at a clean exit of the daemon */
};

#if defined(__LP64__)
#define TCMUR_ABI_AT(type, field, offset)                                                          \
    _Static_assert(offsetof(struct type, field) == (offset), "ABI: " #type "." #field)
#define TCMUR_ABI_SIZE(type, size)                                                                 \
    _Static_assert(sizeof(struct type) == (size), "ABI: size of " #type)

TCMUR_ABI_AT(tcmulib_cmd, cmd_id, 0);
TCMUR_ABI_AT(tcmulib_cmd, cdb, 8);
TCMUR_ABI_AT(tcmulib_cmd, iovec, 16);
TCMUR_ABI_AT(tcmulib_cmd, iov_cnt, 24);
TCMUR_ABI_AT(tcmulib_cmd, sense_buf, 32);
TCMUR_ABI_AT(tcmulib_cmd, hm_private, 128);
TCMUR_ABI_SIZE(tcmulib_cmd, 136);

TCMUR_ABI_AT(tcmur_cmd, lib_cmd, 0);
TCMUR_ABI_AT(tcmur_cmd, iovec, 8);
TCMUR_ABI_AT(tcmur_cmd, iov_cnt, 16);
TCMUR_ABI_AT(tcmur_cmd, iov_base_copy, 24);
TCMUR_ABI_AT(tcmur_cmd, cmd_state, 32);
TCMUR_ABI_AT(tcmur_cmd, requested, 40);
TCMUR_ABI_AT(tcmur_cmd, cmds_list_entry, 48);
TCMUR_ABI_AT(tcmur_cmd, start_time, 64);
TCMUR_ABI_AT(tcmur_cmd, timed_out, 80);
TCMUR_ABI_AT(tcmur_cmd, done, 88);
TCMUR_ABI_SIZE(tcmur_cmd, 96);

TCMUR_ABI_AT(tcmulib_cfg_info, type, 0);
TCMUR_ABI_AT(tcmulib_cfg_info, data, 8);
TCMUR_ABI_SIZE(tcmulib_cfg_info, 16);

TCMUR_ABI_AT(tcmur_handler, name, 0);
TCMUR_ABI_AT(tcmur_handler, subtype, 8);
TCMUR_ABI_AT(tcmur_handler, cfg_desc, 16);
TCMUR_ABI_AT(tcmur_handler, opaque, 24);
TCMUR_ABI_AT(tcmur_handler, check_config, 32);
TCMUR_ABI_AT(tcmur_handler, reconfig, 40);
TCMUR_ABI_AT(tcmur_handler, open, 48);
TCMUR_ABI_AT(tcmur_handler, close, 56);
TCMUR_ABI_AT(tcmur_handler, nr_threads, 64);
TCMUR_ABI_AT(tcmur_handler, handle_cmd, 72);
TCMUR_ABI_AT(tcmur_handler, read, 80);
TCMUR_ABI_AT(tcmur_handler, write, 88);
TCMUR_ABI_AT(tcmur_handler, flush, 96);
TCMUR_ABI_AT(tcmur_handler, unmap, 104);
TCMUR_ABI_AT(tcmur_handler, writesame, 112);
TCMUR_ABI_AT(tcmur_handler, caw, 120);
TCMUR_ABI_AT(tcmur_handler, report_event, 128);
TCMUR_ABI_AT(tcmur_handler, lock, 136);
TCMUR_ABI_AT(tcmur_handler, unlock, 144);
TCMUR_ABI_AT(tcmur_handler, get_lock_tag, 152);
TCMUR_ABI_AT(tcmur_handler, get_lock_state, 160);
TCMUR_ABI_AT(tcmur_handler, _is_dbus_handler, 168);
TCMUR_ABI_AT(tcmur_handler, update_logdir, 176);
TCMUR_ABI_AT(tcmur_handler, init, 184);
TCMUR_ABI_AT(tcmur_handler, destroy, 192);
TCMUR_ABI_SIZE(tcmur_handler, 200);
#undef TCMUR_ABI_AT
#undef TCMUR_ABI_SIZE
#endif

/* What follows crosses the border of a shared object, whatever -fvisibility says. */
#pragma GCC visibility push(default)

/*
 * The one symbol that a handler exports.  The host calls it once, in the main
 * thread, after dlopen(RTLD_NOW | RTLD_LOCAL) of any file whose name begins with
 * "handler_".  Nonzero: the object is not used.
 */
int handler_init(void);

/* Exported by the tcmu-runner executable. */

/* Takes the handler in (and calls its init).  0, or -1; only in handler_init. */
int tcmur_register_handler(struct tcmur_handler *handler);

/* The handler's own pointer of a device.  Not to be confused with
 * tcmu_dev_get_private, which is the host's. */
void tcmur_dev_set_private(struct tcmu_device *dev, void *private_data);
void *tcmur_dev_get_private(struct tcmu_device *dev);

/*
 * Ends a command of which a callback said OK = queued (nr_threads == 0).  Any
 * thread, exactly once a command, no lock held: for compound commands the next
 * callback is called from inside, and the initiator may be told before this
 * returns.  cmd is the tcmur_cmd that the callback got, gone when this returns.
 */
void tcmur_cmd_complete(struct tcmu_device *dev, void *cmd, int status);

/*
 * New size in bytes, not 0: number of blocks, the kernel's and targetcli's idea
 * of it, and a unit attention "capacity changed" for the next command.  Works in
 * open.  0 or -errno.
 */
int tcmur_dev_update_size(struct tcmu_device *dev, uint64_t new_size);

/* Exported by libtcmu.so.2, which the executable has loaded. */

/* The config string, "subtype/...", host options taken out; the device's memory. */
char *tcmu_dev_get_cfgstring(struct tcmu_device *dev);

/* Bytes a block; a power of two, fixed at creation. */
uint32_t tcmu_dev_get_block_size(struct tcmu_device *dev);
uint64_t tcmu_dev_get_num_lbas(struct tcmu_device *dev);
void tcmu_dev_set_num_lbas(struct tcmu_device *dev, uint64_t num_lbas);
uint64_t tcmu_lba_to_byte(struct tcmu_device *dev, uint64_t lba);
uint64_t tcmu_byte_to_lba(struct tcmu_device *dev, uint64_t byte);

/* Limits shown in VPD page B0h, all in blocks.  To be set in open. */
void tcmu_dev_set_max_xfer_len(struct tcmu_device *dev, uint32_t blocks);
uint32_t tcmu_dev_get_max_xfer_len(struct tcmu_device *dev);
void tcmu_dev_set_opt_xcopy_rw_len(struct tcmu_device *dev, uint32_t blocks);
uint32_t tcmu_dev_get_opt_xcopy_rw_len(struct tcmu_device *dev);
void tcmu_dev_set_max_unmap_len(struct tcmu_device *dev, uint32_t blocks);
uint32_t tcmu_dev_get_max_unmap_len(struct tcmu_device *dev);
/* split: the host cuts an UNMAP into pieces of this granularity (a power of two
 * then); else the handler gets whole descriptors. */
void tcmu_dev_set_opt_unmap_gran(struct tcmu_device *dev, uint32_t blocks, bool split);
uint32_t tcmu_dev_get_opt_unmap_gran(struct tcmu_device *dev);
void tcmu_dev_set_unmap_gran_align(struct tcmu_device *dev, uint32_t blocks); /* 1 or more */
uint32_t tcmu_dev_get_unmap_gran_align(struct tcmu_device *dev);

/* Whether the caching mode page says WCE.  False unless set: initiators never
 * flush then. */
void tcmu_dev_set_write_cache_enabled(struct tcmu_device *dev, bool enabled);
bool tcmu_dev_get_write_cache_enabled(struct tcmu_device *dev);
void tcmu_dev_set_solid_state_media(struct tcmu_device *dev, bool solid_state);
bool tcmu_dev_get_solid_state_media(struct tcmu_device *dev);
/* True before open where the handler has unmap. */
void tcmu_dev_set_unmap_enabled(struct tcmu_device *dev, bool enabled);
bool tcmu_dev_get_unmap_enabled(struct tcmu_device *dev);

/*
 * CDB fields.  length: bytes, or -EINVAL for opcodes without a known length.
 * lba and xfer_length (blocks) end the process for those, and for opcode 7Fh.
 */
int tcmu_cdb_get_length(uint8_t *cdb);
uint64_t tcmu_cdb_get_lba(uint8_t *cdb);
uint32_t tcmu_cdb_get_xfer_length(uint8_t *cdb);

/* Vectors.  The copying functions consume the vectors they are given. */
size_t tcmu_iovec_length(struct iovec *iovec, size_t iov_cnt);
void tcmu_iovec_zero(struct iovec *iovec, size_t iov_cnt);
bool tcmu_iovec_zeroed(struct iovec *iovec, size_t iov_cnt);
size_t tcmu_memcpy_into_iovec(struct iovec *iovec, size_t iov_cnt, void *src, size_t len);
size_t tcmu_memcpy_from_iovec(void *dest, size_t len, struct iovec *iovec, size_t iov_cnt);

/* Fixed-format sense data; clears the buffer first.  Returns PASSTHROUGH_ERR. */
int tcmu_sense_set_data(uint8_t *sense_buf, uint8_t key, uint16_t asc_ascq);
/* Information field.  Clears the rest, so call it before a status with sense. */
void tcmu_sense_set_info(uint8_t *sense_buf, uint32_t info);

/*
 * Log lines of at most 255 bytes, written before the call returns, which makes
 * them cancellation points.  dev may be NULL; the line needs its own newline.
 * Levels are those of syslog(3), and 8 for every command; info is the default.
 */
#define TCMUR_ABI_PRINTF __attribute__((format(printf, 4, 5)))
void tcmu_crit_message(struct tcmu_device *dev, const char *function, int line, const char *format,
                       ...) TCMUR_ABI_PRINTF;
void tcmu_err_message(struct tcmu_device *dev, const char *function, int line, const char *format,
                      ...) TCMUR_ABI_PRINTF;
void tcmu_warn_message(struct tcmu_device *dev, const char *function, int line, const char *format,
                       ...) TCMUR_ABI_PRINTF;
void tcmu_info_message(struct tcmu_device *dev, const char *function, int line, const char *format,
                       ...) TCMUR_ABI_PRINTF;
void tcmu_dbg_message(struct tcmu_device *dev, const char *function, int line, const char *format,
                      ...) TCMUR_ABI_PRINTF;
unsigned int tcmu_get_log_level(void);
#undef TCMUR_ABI_PRINTF

#pragma GCC visibility pop

#endif
