// SPDX-License-Identifier: Apache-2.0
// rerun: a history, run again from its epoch log, and held to what it left.
//
// Every commit that the log names is learned again: by an engine for each that the history had, on
// the same epochs of the same inputs, with the same tasks and with the view of foreign items moved at
// the same places. Whatever a worker did that was rolled back stands in no log and is not run. After
// each commit the state hash of every task, each list and each record of deltas have to be those that
// stand in the topics; the first difference ends the run and is named.
//
// Commits are run one after the other, in any order that the numbers of tasks and of views allow;
// among those that could be next, the one that was written first. A run up to a point in time comes
// to the state of the last commit that each task had written by then, but for those that need one
// that was written later, by a worker whose clock is behind.
#ifndef MR_WORKER_RERUN_H
#define MR_WORKER_RERUN_H

#include "schemas/catalog.h"
#include "worker/methods.h"
#include "worker/archive.h"

// A branch that goes on with another configuration from some commit on. It is given the same epochs
// at the same places; its lists, rows and deltas are its own and are compared with nothing.
typedef struct mr_rerun_fork {
    const mr_config *config;
    const mr_methods *methods;
    int64_t from_ms; // from the first commit that is run and was written later; 0: the beginning
} mr_rerun_fork;

typedef struct mr_rerun_watch { // who judges what is run; zeros: nobody
    void *context;
    void (*event)(void *context, const mr_event *event); // was learned
    void (*list)(void *context, const mr_list *list);    // is published
    mr_probed probed; // every act is ranked then, in all models and both protocols
} mr_rerun_watch;

typedef struct mr_rerun_options {
    const mr_config *config;
    const mr_methods *methods;
    mr_catalog *catalog;
    uint32_t tasks; // P
    const mr_archive *archive;
    const mr_store_port *store; // with nothing in it
    bool base; // or with every task of a backup, to begin with: what it has is not run
    const mr_clock *clock;
    int64_t until_ms;         // commits that were written later are not run; 0: all
    const mr_rerun_fork *fork; // NULL: as it was
    bool paired;               // a commit waits until all deltas that it takes in were made again
    mr_rerun_watch watch;
    bool progress; // shown on stderr
} mr_rerun_options;

typedef struct mr_rerun_result {
    uint64_t history[2];
    uint64_t commits, rounds, epochs, events, engines;
    uint64_t hashes, lists, deltas; // that were compared
    uint64_t lists_gone;            // that the topic has no more: a later one of the user is there
    uint64_t deltas_unread;         // that no task had taken in when the log ended
    int64_t last_ms;                // when the newest commit that was run had been written
    uint64_t waiting;               // tasks whose next commit saw one that was written later
    mr_hash128 state_hash;          // the sum over all tasks
} mr_rerun_result;

// Runs the newest history of the log. Errors: MR_REJECT: a difference; the text names task, commit,
// epoch and what differs. MR_FATAL: the log cannot be run: it begins after the history, is of
// another configuration or release, its inputs are gone; those of the ports.
MR_CHECKED mr_status mr_rerun_run(const mr_rerun_options *options, mr_rerun_result *result,
                                  mr_error *err);

// The same commit by commit, for who runs two branches: one chooses what is next, both run it.
typedef struct mr_rerun mr_rerun;
// A failed open needs no close. result is filled as commits are run.
MR_CHECKED mr_status mr_rerun_open(const mr_rerun_options *options, mr_rerun_result *result,
                                   mr_rerun **rerun, mr_error *err);
// The partition of the log whose commit is next; UINT32_MAX: all were run.
MR_CHECKED mr_status mr_rerun_next(mr_rerun *rerun, uint32_t *partition, mr_error *err);
MR_CHECKED mr_status mr_rerun_commit(mr_rerun *rerun, uint32_t partition, mr_error *err);
int64_t mr_rerun_time(const mr_rerun *rerun, uint32_t partition); // when that was written
// The clock's time up to which commits are run, whatever comes while it runs.
int64_t mr_rerun_until(const mr_rerun *rerun);
// Records of the log that were looked at, and all that there are.
void mr_rerun_progress(const mr_rerun *rerun, uint64_t *done, uint64_t *total);
void mr_rerun_conclude(mr_rerun *rerun); // what the result sums up
void mr_rerun_close(mr_rerun *rerun);    // NULL: nothing

#endif
