/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* What the files of the runner share.  Tests include runner.h. */
#ifndef RUNNER_PRIVATE_H
#define RUNNER_PRIVATE_H

#include <glib.h>
#include <pthread.h>
#include <stdatomic.h>

#include "runner.h"

#if defined(__SANITIZE_ADDRESS__)
#define RUNNER_WITH_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define RUNNER_WITH_ASAN 1
#endif
#endif
#ifdef RUNNER_WITH_ASAN
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size)   ((void)0)
#define ASAN_UNPOISON_MEMORY_REGION(address, size) ((void)0)
#endif

enum { RUNNER_CFGSTRING_ROOM = 256 };
enum { RUNNER_QUARANTINE = 1024 }; /* dead commands kept a device */
enum { RUNNER_POISON = 0x5a };

/*
 * A command of a submitter, or a piece of an UNMAP.  The record is the runner's;
 * block is what the host would have allocated and all the handler sees.
 */
typedef struct RunnerCommand {
    RunnerDevice *device;
    uint8_t cdb[RUNNER_CDB_ROOM]; /* as submitted, for messages and replies */
    bool dead;                    /* device->lock: replied; block is poisoned */
    bool pending;                /* device->lock: an I/O callback has it and has not completed it */
    struct tcmulib_cmd *lib_cmd; /* in block; a piece: the parent's */
    void *tcmur_cmd;             /* in block, a struct tcmur_cmd at maybe an odd address */
    void *block;
    size_t block_size;
    struct RunnerCommand *parent; /* of a piece; else NULL */
    RunnerDone *done;
    void *arg;
    struct RunnerCommand *next; /* ring, pool or quarantine */
} RunnerCommand;

typedef struct RunnerQueue {
    RunnerCommand *first, **last;
} RunnerQueue;

/* Runs a command's callback; TCMU_STS_*.  The command may be gone on return. */
typedef int RunnerWork(RunnerCommand *command);

typedef struct RunnerWorkItem {
    RunnerCommand *command;
    RunnerWork *work;
    struct RunnerWorkItem *next;
} RunnerWorkItem;

typedef struct RunnerPool {
    pthread_mutex_t lock; /* everything here; nothing else is taken under it */
    pthread_cond_t cond;
    RunnerWorkItem *first, **last;
    pthread_t *threads;
    int thread_count;
    bool dead; /* the workers are cancelled: nothing is taken any more */
} RunnerPool;

/*
 * The device.  Handlers know the tag only.  Limits are written in open and read
 * in the command thread later; size and attention are under lock.
 */
struct tcmu_device {
    RunnerHandler *handler;
    RunnerDevice *next; /* list of all devices, device.c */
    char cfgstring[RUNNER_CFGSTRING_ROOM];
    _Atomic(void *) handler_private;
    void *host_private; /* tcmu_dev_set_private: the real host's own */
    uint32_t block_size, max_xfer_len, opt_xcopy_rw_len;
    uint32_t max_unmap_len, opt_unmap_gran, unmap_gran_align;
    bool split_unmaps;
    atomic_bool write_cache, solid_state, unmap_enabled;
    _Atomic uint64_t num_lbas;
    uint64_t configured_size; /* bytes, what configfs says; lock */
    bool align_commands;
    unsigned linger_ms;
    RunnerBareDone *bare_done; /* of a bare device, which uses nothing from here on; else NULL */
    void *bare_arg;

    /* Order: lock, pool.lock.  Neither is held across a callback. */
    pthread_mutex_t lock;  /* what follows, up to stats */
    pthread_cond_t change; /* any change of what follows */
    RunnerQueue ring;
    GHashTable *commands; /* tcmur_cmd -> RunnerCommand, live and quarantined */
    RunnerQueue quarantine;
    unsigned quarantine_count;
    uint64_t outstanding;        /* accepted, no reply yet */
    uint64_t tracked;            /* handed to the handler, the host counts them */
    unsigned foreign_completers; /* the handler's threads inside tcmur_cmd_complete */
    bool attention;              /* "capacity changed" is pending */
    bool caw_busy;               /* a COMPARE AND WRITE is under way */
    bool shut;                   /* nothing more is accepted */
    bool stopping;               /* the host has been told to remove the device */
    bool ring_abandoned;         /* the command thread takes nothing any more */
    bool closed;                 /* close has returned */
    bool removed;
    RunnerStats stats;

    RunnerPool pool;
    pthread_t command_thread;
};

struct RunnerHandler {
    void *object;
    struct tcmur_handler *ops;
    char *path;
};

/* device.c: check_config, and a device that is not open */
RunnerDevice *runner_device_prepare(RunnerHandler *handler, const RunnerDeviceConfig *config,
                                    char **error);
/* Calls open.  False: the device is freed. */
bool runner_device_open(RunnerDevice *device, char **error);

/* device.c: every device from new to free, tombstones included */
bool runner_devices_known(RunnerDevice *device);
/* Calls visit under the list's lock until it returns true; whether it did. */
bool runner_devices_visit(bool (*visit)(RunnerDevice *device, void *arg), void *arg);

/* Besides TCMU_STS_*: no worker is left to run the command; replied as aborted. */
enum { RUNNER_STRANDED = 1000 };

/* What tcmur_cmd.done is. */
typedef void RunnerContinue(RunnerDevice *device, struct tcmur_cmd *tcmur_cmd, int status);

/* command.c: the record and the memory the handler sees */
RunnerCommand *runner_command_new(RunnerDevice *device, const uint8_t *cdb,
                                  const struct iovec *iovec, size_t iov_cnt);
RunnerCommand *runner_command_new_piece(RunnerCommand *parent);
/* Dead: memory poisoned, record in quarantine.  Caller holds device->lock. */
void runner_command_bury_locked(RunnerCommand *command);
/* Checks that nobody wrote to it since it died, and frees it. */
void runner_command_free(RunnerCommand *command);
RunnerCommand *runner_command_find_locked(RunnerDevice *device, const void *tcmur_cmd);
/* The record of a tcmur_cmd that must be live. */
RunnerCommand *runner_command_of(RunnerDevice *device, const void *tcmur_cmd);
struct tcmur_cmd runner_command_load(const RunnerCommand *command);
void runner_command_store(RunnerCommand *command, const struct tcmur_cmd *value);
void runner_command_set_done(RunnerCommand *command, RunnerContinue *done);
/* Zeroed state, and a buffer of length bytes as the command's own single vector. */
bool runner_command_state_init(RunnerCommand *command, size_t state_size, size_t length);
void runner_command_state_free(RunnerCommand *command);

/* bare.c: whether there has been a bare device, so that no other is looked into too early */
extern atomic_bool runner_bare_any;

/* completion.c: how commands end */
void runner_track(RunnerDevice *device);
void runner_untrack(RunnerDevice *device);
/* Gives the reply, once; a TCMU_STS_* or RUNNER_STRANDED.  Not for pieces. */
void runner_reply(RunnerCommand *command, int status);
/* Reply, then drop the count: how every tracked command ends. */
void runner_finish(RunnerCommand *command, int status);
/* What tcmur_cmd_complete and a worker do with a callback's outcome. */
void runner_complete(RunnerDevice *device, void *tcmur_cmd, int status);
/* A callback is about to get the command. */
void runner_set_pending(RunnerCommand *command);
/* An I/O callback in the command thread refused the command it got. */
void runner_take_back(RunnerDevice *device, const void *tcmur_cmd, const uint8_t *cdb);

/* callback.c: the border to the handler */
typedef struct RunnerPlace {
    const char *name; /* of the callback the thread is in; NULL: none */
    uint8_t cdb[RUNNER_CDB_ROOM];
    int cancel_state; /* of handler code in this thread */
} RunnerPlace;

/* The runner's own code runs with cancellation off, callbacks with it on. */
void runner_thread_become_host(void);
bool runner_thread_is_host(void);
/* Around a callback; cdb may be NULL.  leave checks that cancellation is as it was. */
RunnerPlace runner_callback_enter(const uint8_t *cdb, const char *name);
void runner_callback_leave(const RunnerPlace *before);
/* Around a host function that the handler calls. */
int runner_host_enter(void);
void runner_host_leave(int before);
/* To begin a cleanup handler with: fails if the dying thread is inside a callback. */
void runner_callback_check_death(const char *thread_kind);

/* dispatch.c */
/* A command out of the ring; ASYNC_HANDLED or the status to reply with. */
int runner_dispatch(RunnerCommand *command);
/* Runs work here or on the pool.  ASYNC_HANDLED or an error. */
int runner_schedule(RunnerCommand *command, RunnerWork *work);
int runner_check_range(RunnerDevice *device, uint64_t lba, uint64_t blocks);
int runner_check_length(RunnerCommand *command, uint64_t blocks);
int runner_work_read(RunnerCommand *command);
int runner_work_write(RunnerCommand *command);
/* Reads and writes through the command's own buffer at off, bytes. */
int runner_work_own(RunnerCommand *command, bool write, uint64_t off);
void runner_done_plain(RunnerDevice *device, struct tcmur_cmd *tcmur_cmd, int status);

/* inquiry.c: what the host answers itself; NOT_HANDLED for the rest */
int runner_answer(RunnerCommand *command);

/* unmap.c, writesame.c, compare.c: compound commands */
int runner_unmap_command(RunnerCommand *command);
int runner_unmap_of_write_same(RunnerCommand *command);
int runner_write_same_command(RunnerCommand *command);
int runner_caw_command(RunnerCommand *command);
int runner_write_verify_command(RunnerCommand *command);

/* pool.c */
int runner_pool_start(RunnerDevice *device, int threads);
/* False: the workers are gone. */
bool runner_pool_add(RunnerPool *pool, RunnerCommand *command, RunnerWork *work);
/* Cancels and joins the workers; commands left over are aborted. */
void runner_pool_cancel(RunnerDevice *device);
void runner_pool_release(RunnerPool *pool);

/* ring.c */
void runner_queue_init(RunnerQueue *queue);
void runner_queue_add(RunnerQueue *queue, RunnerCommand *command);
RunnerCommand *runner_queue_take(RunnerQueue *queue);

/* removal.c, device.c */
void *runner_command_thread(void *device);

/* sense.c */
uint8_t runner_sam_status(int status, uint8_t *sense);

/* watchdog.c */
void runner_progress(void);
/* Marks that this thread waits for the handler (open, close, removal). */
void runner_waiting(int change);

/* cdb.c */
uint64_t runner_get_be(const uint8_t *bytes, size_t count);
void runner_put_be(uint8_t *bytes, size_t count, uint64_t value);

#endif
