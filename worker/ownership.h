// SPDX-License-Identifier: Apache-2.0
// ownership: which tasks this worker holds, and what it does when the group changes its mind.
//
// The group assigns tasks; the worker takes those that it does not hold (worker/task.h), keeps what
// it holds over a rebalance, gives back what goes elsewhere, and rolls back where memory can be
// ahead of what Kafka has. ownership.c has the phases and their invariants.
//
// Of the loop's thread, as the worker that it is a part of.
#ifndef MR_WORKER_OWNERSHIP_H
#define MR_WORKER_OWNERSHIP_H

#include "worker/committer.h"
#include "worker/ports.h"
#include "worker/standby.h"
#include "worker/task.h"

typedef enum mr_phase {
    MR_PHASE_JOINING,      // the group has assigned nothing: nothing is read, learned or committed
    MR_PHASE_CHECKING,     // assigned; has anybody written to what we hold, and what became of the
                           // commit that was under way?
    MR_PHASE_WORKING,      // what is held is learned; what is wanted is taken meanwhile
    MR_PHASE_RELEASING,    // the group asks for tasks back: a last commit, then we let go
    MR_PHASE_ROLLING_BACK, // memory may be ahead of Kafka: what is not confirmed is dropped
    MR_PHASE_COUNT,
} mr_phase;

typedef struct mr_ownership {
    mr_phase phase;
    uint64_t generation; // of the assignment that is worked on
    uint32_t *held;      // tasks whose rows are in the engine, ascending
    uint32_t held_count;
    uint32_t *wanted; // tasks that are assigned and not held, ascending
    uint32_t wanted_count;
    mr_taker *taker;
    mr_taking *takings;   // of the wanted, in their order
    uint32_t taken;       // of them that are PLACED: the first so many
    mr_standby standby;   // copies of tasks of others, while nothing is wanted
    bool rewritten;       // what the local copy asked for is in the changelogs
    bool born;            // a task was fresh: its first marker has to be committed
    uint64_t history[2];  // once taker->known
    bool made_up;         // we made its id, and no commit of ours has brought it to Kafka yet
    uint64_t made_up_at;  // number of our last commit then
    int64_t history_next; // where it is looked for
    uint64_t adopted;     // generation whose assignment is what we hold and want; 0: none

    // CHECKING
    uint32_t check_task, check_changelog; // that is being read
    int64_t check_next, check_end;        // -1: its end was not asked yet
    bool check_ours;                      // our last commit ends at check_next
    bool foreign;                         // somebody else has committed
    uint32_t found;                       // changelogs that have the commit under way
    bool decided;
    int64_t release_until_ms; // RELEASING
} mr_ownership;

struct mr_worker;

// Room for all tasks; config, ports and tasks of the worker are set. Errors: MR_FATAL: out of
// memory; the store's.
MR_CHECKED mr_status mr_ownership_open(struct mr_worker *worker, int64_t copy_age_max_ms,
                                       mr_error *err);
void mr_ownership_close(struct mr_worker *worker);

// One step of the present phase; a bounded time. *moved: there may be more to do at once. Errors:
// MR_FATAL and those of the ports.
MR_CHECKED mr_status mr_ownership_step(struct mr_worker *worker, const mr_committer_view *commits,
                                       bool *moved, mr_error *err);

// Whether a commit may be closed now, and everything assigned is held.
bool mr_ownership_works(const struct mr_worker *worker);
bool mr_ownership_complete(const struct mr_worker *worker);
// Whether the open commit has to be closed as soon as it can, because tasks wait to be added.
bool mr_ownership_wants_commit(const struct mr_worker *worker);

const char *mr_phase_name(mr_phase phase);

#endif
