// SPDX-License-Identifier: Apache-2.0
// verify: walks everything that a state folder holds and says what is wrong with it.
//
// Every row's envelope is opened, and for each task the rows are counted and hashed again and
// compared with what its marker says. The marker's layout is the worker's, so the caller reads it.
//
// LMDB trusts its pages: on a damaged one it may read through a wild pointer. So the walk is done
// in a child process, which notes in shared memory where it is; a signal becomes a sentence that
// names the row before the damage.
#ifndef MR_STATE_VERIFY_H
#define MR_STATE_VERIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/hash.h"
#include "state/store.h"

typedef struct mr_verify_want { // what a marker says about the rows of its task
    bool known;                 // false: it says nothing, rows are only opened
    uint64_t row_count;
    mr_hash128 state_hash;
} mr_verify_want;

// Reads a marker, in the child. Errors: MR_FATAL: it cannot be read; counted as a fault.
typedef mr_status mr_verify_marker(void *context, const mr_store_task *task, mr_verify_want *want,
                                   mr_error *err);

typedef struct mr_verify_options {
    mr_verify_marker *marker; // NULL: markers are not looked at
    void *marker_context;
    // Called in the calling process for each fault, with a line of text; NULL: none is wanted.
    void (*fault)(void *context, const char *text);
    void *fault_context;
    uint32_t faults_max; // faults reported; all are counted. 0: 100
} mr_verify_options;

typedef struct mr_verify_result {
    uint32_t tasks;
    uint64_t rows, row_bytes, faults;
} mr_verify_result;

// Verifies the folder, read-only, also while a worker writes it: all of a task is seen in one
// snapshot. MR_OK: no fault. Errors: MR_FATAL: faults were found (the text is the first one), or
// the folder cannot be opened. Forks: the caller has no other thread that holds a lock.
MR_CHECKED mr_status mr_verify_folder(const char *path, const mr_verify_options *options,
                                      mr_verify_result *result, mr_error *err);

// The same for one task of an open store, in this process, without protection against torn pages;
// for a worker that has just restored it. *found holds what the rows add up to.
MR_CHECKED mr_status mr_verify_task(mr_store_reader *reader, uint32_t task, mr_verify_want *found,
                                    mr_error *err);

#endif
