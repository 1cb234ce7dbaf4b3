/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * A VhdFile that fails, stops or counts the operations of the one it wraps, by rule.
 *
 * Faults are the rules and counters, apart from the file, so that a test keeps them while the
 * engine owns and closes the file; several files may share them and are counted as one then. A rule
 * waits for the nth operation that is of its op and kind from the time it was added on, and then
 *
 *   fails it      error: the operation does not reach the inner file and returns -error
 *   tears it      error and bytes, transfers only: the first bytes are transferred, then -error
 *   holds it      hold: the calling thread stops until the test lets it go; before the inner
 * operation, or, with after, between it and the return to the caller
 *
 * Hold and error together: held first, failed when let go. Ownership: Faults are counted; every
 * wrapping file holds a reference. Closing the wrapper closes the inner file. Locking: every call
 * may come from any thread; no mutex is held while the inner file works or an operation is held.
 * submit is done inline, so a held one holds its caller.
 */
#pragma once

#include "tests/support/file-op.h"
#include "vhd/file.h"

typedef struct Faults Faults;

typedef struct FaultRule {
    FileOp op;
    int kind;       /* VhdIoKind or FILE_KIND_ANY */
    unsigned nth;   /* from 1; 0 means 1 */
    bool forever;   /* also every one after the nth; else once */
    int error;      /* errno, positive; 0: it does not fail */
    uint64_t bytes; /* transferred before it fails */
    bool hold;
    bool after; /* hold after the inner operation, not before it */
} FaultRule;

Faults *faults_new(void);
Faults *faults_ref(Faults *faults);
void faults_unref(Faults *faults);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Faults, faults_unref)

/* A file like inner, which it owns from now on. */
VhdFile *fault_file_new(VhdFile *inner, Faults *faults);

/* Add a rule, which is copied. The first rule added that fits an operation is the one applied; all
 * that fit count it. Returns its number, for the calls below. */
unsigned faults_add(Faults *faults, const FaultRule *rule);

/* Shorthand: the nth op of kind fails with error, once. */
unsigned faults_fail(Faults *faults, FileOp op, int kind, unsigned nth, int error);

/* Shorthand: the nth op of kind is held before it reaches the inner file, once. */
unsigned faults_hold(Faults *faults, FileOp op, int kind, unsigned nth);

/* No rule is in force any more; what is held goes on. Counters stay. */
void faults_clear(Faults *faults);

/* Wait until an operation is held by the rule; false after timeout_ms milliseconds. */
bool faults_wait_held(Faults *faults, unsigned rule, unsigned timeout_ms);

/* Let go what the rule holds, and let it hold nothing more. */
void faults_release(Faults *faults, unsigned rule);

/* How many operations of op and kind (FILE_KIND_ANY: of op) have begun, failed ones too. */
uint64_t faults_count(Faults *faults, FileOp op, int kind);

/* How many operations were failed by rules. */
uint64_t faults_failed(Faults *faults);
