/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * One LUN: the host's device and the disk behind it. It is opened and closed in the host's main
 * thread or at the end of the command thread; everything between runs in the command thread and in
 * the disk's workers.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "handler/cfgstring.h"
#include "handler/log.h"
#include "handler/relay.h"
#include "vhd/disk.h"

#define LUN_BLOCK_BYTES        512U
#define LUN_PHYSICAL_EXPONENT  3 /* blocks are best written 2^3 at once: in pages of 4 KiB */
#define LUN_MAX_UNMAP_BLOCKS   (1U << 20) /* a descriptor; more fails initiators' tests */
#define LUN_UNMAP_DESCRIPTORS  4U         /* what the host tells initiators */
#define LUN_MAX_SAME_BLOCKS    (1U << 22) /* WRITE SAME: 2 GiB of a pattern take seconds */
#define LUN_MAX_COMPARE_BLOCKS 255U       /* COMPARE AND WRITE: what its CDB has room for */

/*
 * 1 MiB a transfer: initiators take it as the best size. The host's 128 sectors make eight commands
 * of what costs one; above 4 MiB a command may come in more than 1024 vectors, the most that one
 * system call takes; and the host's own pieces (WRITE SAME) are of 1 MiB.
 */
#define LUN_TRANSFER_BLOCKS 2048U

#define LUN_GRAIN_BLOCKS 8U /* of giving back: file systems do it in pages of 4 KiB */

struct tcmu_device;

#define LUN_COPY_RECORDS 16U

/* What became of an EXTENDED COPY whose initiator may ask. */
typedef struct CopyRecord {
    bool used, failed;
    uint8_t list_id;
    uint16_t segments; /* done, */
    uint32_t bytes;    /* so many in all */
} CopyRecord;

typedef struct Lun {
    /* Fixed once open. */
    struct tcmu_device *dev;
    CfgString *config;
    VhdDisk *disk;
    uint64_t blocks;
    bool read_only; /* by option, or because the image allows no more */
    bool discard;   /* UNMAP is offered */
    uint8_t uuid[16];

    Log log;
    bool failed;        /* atomic: a zeroing that the initiator believes in did not happen */
    uint16_t not_ready; /* atomic: ASC and ASCQ of what is under way (02/04/xx); 0: nothing */

    pthread_mutex_t lock; /* protects what is below; innermost, never held while calling out */
    pthread_cond_t idle;  /* under_way is 0 */
    unsigned under_way;   /* commands between lun_begin and lun_end */
    Relay *alone;         /* run when under_way is 1; NULL: none */
    CopyRecord copies[LUN_COPY_RECORDS]; /* the next one goes over the oldest */
    unsigned next_copy;
} Lun;

/* Open what the device's config string says and tell the host the limits. NULL: the reason is in
 * the log. */
Lun *lun_open(struct tcmu_device *dev);

/* Wait until no thread of ours uses the device, flush, close, free. */
void lun_close(Lun *lun);

/* Around each command: begin before it is submitted, end as the last thing, after the call that
 * completes it has returned: the host uses the device in there after it has counted the command as
 * done, and waits for none of our threads but through lun_close. */
void lun_begin(Lun *lun);
void lun_end(Lun *lun);

/* Run relay as soon as the caller's command is the only one under way, which may be at once. One
 * at a time. */
void lun_when_alone(Lun *lun, Relay *relay);

void lun_set_failed(Lun *lun);
bool lun_failed(Lun *lun); /* everything is refused */

/* While the whole disk is made anew (FORMAT UNIT, SANITIZE), everything that needs the medium is
 * refused with this ASC and ASCQ; 0: the disk is ready. */
void lun_set_not_ready(Lun *lun, uint16_t asc_ascq);
uint16_t lun_not_ready(Lun *lun);

/* Whether the disk itself takes no more writes. */
bool lun_disk_failed(Lun *lun);

/* The host takes over a size that its administrator wrote, also one that is not obeyed: put it
 * right. Command thread, before a command is looked at. */
void lun_keep_size(Lun *lun);
