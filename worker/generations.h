// SPDX-License-Identifier: Apache-2.0
// generations: what of the state lies where, between the engine and the disk.
//
//     open ----------> in flight ----------> confirmed ----------> the store (LMDB)
//     being learned    frozen, on its        frozen, Kafka has     Kafka has it, and so
//     (the engine's)   way to Kafka          it, LMDB not yet      does the local copy
//
// A reader of a row takes the newest generation that has it, so rows may leave the engine's cache
// as soon as they are frozen. Confirmed commits are gathered: one write to the store takes them
// all, when the oldest is older than gather_ms or all of them are larger than gather_bytes; of a
// row that changed in several of them only the newest is written.
//
// A commit covers every task that is held, so those of launched commits only become more; before a
// task is given away all of them are stored.
//
// Threads: the loop calls begin, launch, drop, place and get; the committing thread calls confirm,
// store and due.
#ifndef MR_WORKER_GENERATIONS_H
#define MR_WORKER_GENERATIONS_H

#include "worker/frozen.h"

enum { MR_GENERATIONS_MAX = 64 }; // commits that are frozen at one time, of all generations

typedef struct mr_generations mr_generations;

typedef struct mr_generations_options {
    size_t commit_bytes_max; // of one commit
    size_t gather_bytes;
    int64_t gather_ms;
} mr_generations_options;

// store and clock are borrowed. Errors: MR_FATAL: out of memory.
// tasks: P.
MR_CHECKED mr_status mr_generations_open(const mr_generations_options *options, uint32_t tasks,
                                         const mr_store_port *store, const mr_clock *clock,
                                         mr_generations **generations, mr_error *err);
void mr_generations_close(mr_generations *generations);

// An empty frozen for the next commit. Errors: MR_RETRY: too many are not stored yet: store first.
MR_CHECKED mr_status mr_generations_begin(mr_generations *generations, mr_frozen **frozen,
                                          mr_error *err);
// Gives a frozen back that was begun and will not be used.
void mr_generations_cancel(mr_generations *generations, mr_frozen *frozen);
// open -> in flight: `find` sees its rows from now on. Sealed; numbers rise.
void mr_generations_launch(mr_generations *generations, mr_frozen *frozen);
// in flight -> confirmed. The oldest one in flight, its tasks' `next` filled.
void mr_generations_confirm(mr_generations *generations, mr_frozen *frozen);

// Where the changelogs of a task go on behind what is confirmed or restored: nobody else has
// written there as long as the task is ours. `set` when a task was restored; confirm moves it.
void mr_generations_place(mr_generations *generations, uint32_t task,
                          const int64_t next[MR_STORE_CHANGELOGS]);
// Fills `next`; returns whether a commit of ours ends there, so that its control record comes next.
bool mr_generations_placed(mr_generations *generations, uint32_t task,
                           int64_t next[MR_STORE_CHANGELOGS]);
// In flight -> nowhere: the commit is rolled back. Only what is confirmed is left.
void mr_generations_drop(mr_generations *generations, mr_frozen *frozen);

// Whether confirmed commits should be stored now.
bool mr_generations_due(mr_generations *generations);
// Confirmed -> store: all of them in one write; none is no error. Errors: the store's; nothing
// changed.
MR_CHECKED mr_status mr_generations_store(mr_generations *generations, mr_error *err);

typedef struct mr_generations_sizes {
    uint32_t in_flight, confirmed;
    size_t confirmed_bytes;
    uint64_t writes; // to the store
} mr_generations_sizes;

mr_generations_sizes mr_generations_measure(mr_generations *generations);

// Lets the store's snapshot go where there was a write since. Of the reading thread, often: a store
// keeps every page that was freed since the oldest snapshot, and grows by them.
void mr_generations_refresh(mr_generations *generations);

// Reads the newest value of a row: a frozen one or the store's. *value_bytes 0: there is none.
// `buffer` has room for MR_ROW_BYTES_MAX and takes the sealed row. Errors: the store's.
MR_CHECKED mr_status mr_generations_get(mr_generations *generations, uint32_t task, mr_bytes key,
                                        uint8_t *buffer, uint32_t *value_bytes, mr_error *err);
// The same as an engine asks for it (mr_fetch): the row's payload in the buffer, and the row's
// hash. value->data NULL: there is none. Errors: the store's, and MR_FATAL for a row that is
// damaged.
MR_CHECKED mr_status mr_generations_fetch(mr_generations *generations, uint32_t task, mr_bytes key,
                                          uint8_t *buffer, mr_bytes *value, mr_hash128 *hash,
                                          mr_error *err);

#endif
