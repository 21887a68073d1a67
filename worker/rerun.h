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
    bool other_configuration; // the history may have had another one: what differs is expected to
    bool progress;            // shown on stderr
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

#endif
