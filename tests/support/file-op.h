/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* What can be done to a VhdFile, as the doubles count, fail and record it. */
#pragma once

typedef enum FileOp {
    FILE_OP_READ,
    FILE_OP_WRITE,
    FILE_OP_BARRIER,
    FILE_OP_INFO,
    FILE_OP_RESIZE,
    FILE_OP_PUNCH,
    FILE_OP_CLAIM,
    FILE_OP_DROP_CACHE,
    FILE_OP_NEXT_DATA,
    FILE_OP_LOCK,
    FILE_OP_LOCK_TEST,
    FILE_OP_RENAME,
    FILE_OPS
} FileOp;

/* In place of a VhdIoKind: any kind. Reads, writes and punches have a kind, no other operation. */
#define FILE_KIND_ANY (-1)
