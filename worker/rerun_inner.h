// SPDX-License-Identifier: Apache-2.0
// rerun_inner: what the parts of a re-run share.
//
//   rerun.c          which commit is next, and the steps of one
//   rerun_base.c     a backup to begin with
//   rerun_engine.c   the engines: which tasks they hold, their view, their close
//   rerun_round.c    a round: its epochs, from the inputs
//   rerun_fork.c     another configuration from some commit on, and its own deltas
//   rerun_check.c    what a commit has to have left: hashes, lists, deltas
#ifndef MR_WORKER_RERUN_INNER_H
#define MR_WORKER_RERUN_INNER_H

#include "core/base/arena.h"
#include "schemas/decode.h"
#include "worker/decoder.h"
#include "worker/generations.h"
#include "worker/lanes.h"
#include "worker/links.h"
#include "worker/outputs.h"
#include "worker/rerun.h"
#include "worker/view_log.h"

typedef struct mr_rerun_task {
    bool known;      // it has committed
    uint64_t seq;    // its last commit
    uint64_t born;   // its first one that is run
    uint64_t base;   // up to which the base has it; 0: there is none
    uint64_t engine; // by whom
    mr_hash128 hash; // of its rows
    int64_t lists_next, lists_end;
} mr_rerun_task;

typedef struct mr_rerun_engine { // one of the history's
    uint64_t name;
    mr_engine *engine;
    void *memory;
    uint64_t *seqs;  // by task that it holds: of the commit that is run, or was last
    uint64_t *shown; // by shard that it does not hold: the commit that its view is as of; 0: none
} mr_rerun_engine;

typedef struct mr_rerun_slot { // memory of one epoch of a round
    mr_arena arena;
    mr_arrival *arrivals, *scratch;
    mr_bytes *received;
    uint32_t received_max;
    uint32_t count, lines, received_count; // of what was read
    size_t received_bytes;
} mr_rerun_slot;

typedef struct mr_rerun_own mr_rerun_own; // a record of deltas that a fork made

// The records of deltas of one pair that were made and not read yet, or read and not made yet.
typedef struct mr_rerun_pair {
    // Of a fork alone: those that it made and has not taken in, the oldest first; the commit of the
    // last one that was made, and of the last one of the topic that was read, and its place there.
    mr_rerun_own *own, *own_last;
    uint64_t made_seq, read_seq;
    uint32_t made_place, read_place;
    uint64_t made, read; // last links
    uint64_t *hashes;    // of the links above the lesser of both
    uint32_t first, count, room;
} mr_rerun_pair;

typedef struct mr_rerun_head { // the next record of a partition of the epoch log
    bool there;
    int64_t next, end, offset, time_ms;
    uint8_t *bytes;
    size_t room;
    uint32_t size;
    mr_epoch_room arrays;
    mr_epoch_record record;
} mr_rerun_head;

struct mr_rerun {
    const mr_rerun_options *options;
    const mr_config *config;
    const mr_archive *archive;
    mr_rerun_result *result;
    uint32_t tasks;
    uint64_t config_hash, epoch_schema;
    int64_t until_ms; // by the clock of who wrote: as asked for, or when the run was begun
    bool cut;         // a commit was written later

    mr_fetch fetch;
    mr_engine_config engine_config;
    size_t engine_bytes;
    mr_lane_pool *lanes;
    mr_rerun_engine **engines;
    uint32_t engine_count, engine_room;
    mr_generations *generations;
    mr_outputs *outputs;
    mr_decoder *decoder;
    mr_links *links;
    mr_view_log *views;
    size_t fold_bytes; // of the view log: when it is folded next
    uint8_t *row;      // one sealed row
    uint8_t *delta;    // one record of deltas

    mr_rerun_task *tasks_of;
    uint32_t *task_numbers; // room for all
    mr_sequence *taken_links;
    int64_t *next[MR_ARCHIVE_STREAMS]; // of the inputs, by partition; -1: not known
    uint32_t next_count[MR_ARCHIVE_STREAMS];
    mr_rerun_slot *slots;
    mr_epoch *epochs;
    mr_rerun_pair *pairs; // [sender][receiver]
    mr_rerun_head *heads; // by partition

    // The commit that is run.
    const mr_epoch_record *record;
    mr_rerun_engine *engine;
    mr_frozen *frozen;
    mr_status sunk; // what a callback of the close found
    mr_error sunk_error;

    bool forked;
    mr_rerun_own *spent; // taken in by the round that is run
};

// "task 3, commit 1700000000123, epoch 17": of a task in the commit that is run; epoch 0: none.
mr_status mr_rerun_differs(mr_rerun *r, mr_error *err, uint32_t task, int64_t epoch,
                           const char *format, ...) __attribute__((format(printf, 5, 6)));
uint64_t mr_rerun_seq(const mr_rerun *r, uint32_t task); // of the commit that is run

// ---- rerun_engine.c

// The engine that has that name, a new one where there is none.
MR_CHECKED mr_status mr_rerun_find_engine(mr_rerun *r, uint64_t name, mr_rerun_engine **engine,
                                          mr_error *err);
// Closes those that no task belongs to any more; all: every one.
void mr_rerun_close_engines(mr_rerun *r, bool all);
// Whether the first round only says where inputs of taken tasks go on.
bool mr_rerun_places(const mr_rerun *r, const mr_round *round, const mr_rerun_engine *engine);
// An engine that was at work when the base was made: it takes all tasks.
MR_CHECKED mr_status mr_rerun_take_base(mr_rerun *r, mr_error *err);
// Releases and takes tasks so that the engine holds those of the record.
MR_CHECKED mr_status mr_rerun_change_tasks(mr_rerun *r, const mr_round *places, mr_error *err);
MR_CHECKED mr_status mr_rerun_show(mr_rerun *r, const mr_sequence *views, uint32_t count,
                                   mr_error *err);
// Closes the commit into r->frozen, which is sealed and stored.
MR_CHECKED mr_status mr_rerun_close_commit(mr_rerun *r, mr_error *err);

// The engine anew, from rows and views, with the configuration that holds now.
MR_CHECKED mr_status mr_rerun_renew_engine(mr_rerun *r, mr_rerun_engine *engine, mr_error *err);

// ---- rerun_fork.c

// The engine's configuration, of the fork where it has begun.
MR_CHECKED mr_status mr_rerun_configure(mr_rerun *r, mr_error *err);
// Before a commit: the fork begins where it is to.
MR_CHECKED mr_status mr_rerun_fork_at(mr_rerun *r, int64_t time_ms, mr_error *err);
// A record of deltas was made by the fork; one that stands in the topic is to be taken in: which are
// its own up to that one is told by `take`, which borrows them until the round is over. MR_RETRY of
// it: the epoch is full, and the rest stays for the next.
MR_CHECKED mr_status mr_rerun_own_made(mr_rerun *r, const mr_delta *delta, mr_error *err);
MR_CHECKED mr_status mr_rerun_own_read(mr_rerun *r, const mr_delta *delta,
                                       mr_status (*take)(void *context, mr_bytes record,
                                                         mr_error *err),
                                       void *context, mr_error *err);
void mr_rerun_own_over(mr_rerun *r); // the round is over
void mr_rerun_own_close(mr_rerun *r);

// ---- rerun_base.c

// The tasks are as the store has them. Errors: MR_FATAL: it lacks one, or is of another history.
MR_CHECKED mr_status mr_rerun_load_base(mr_rerun *r, mr_error *err);

// ---- rerun_round.c

MR_CHECKED mr_status mr_rerun_round(mr_rerun *r, const mr_round *round, mr_error *err);
// Where an input goes on. Errors: MR_FATAL: a topic that is no input.
MR_CHECKED mr_status mr_rerun_place(mr_rerun *r, const mr_task_epoch *epoch, mr_error *err);

// ---- rerun_check.c

// A record of deltas was made, or read: both have to have the same bytes.
MR_CHECKED mr_status mr_rerun_delta_made(mr_rerun *r, const mr_delta *delta, mr_bytes value,
                                         mr_error *err);
MR_CHECKED mr_status mr_rerun_delta_read(mr_rerun *r, const mr_delta *delta, mr_bytes value,
                                         int64_t epoch, mr_error *err);
// Deltas that were on their way when the base was made are not compared.
MR_CHECKED mr_status mr_rerun_pair_base(mr_rerun *r, mr_error *err);
MR_CHECKED mr_status mr_rerun_check(mr_rerun *r, mr_error *err); // after the close

#endif
