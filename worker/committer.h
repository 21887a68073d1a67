// SPDX-License-Identifier: Apache-2.0
// committer: commits, while the loop learns the next epochs.
//
// It takes one frozen commit at a time: sink, then the confirmed generation, then, when that is
// due, one write to the store. A full or failing disk is waited for up to state.wait. A commit that
// is fenced is held until the loop, which knows the group, says what becomes of it.
//
// All of it is mr_committer_step: called by a thread of its own, or, where options.threaded is
// false, by whoever turns the loop, so that a simulator can stop between any two calls of bus and
// store.
#ifndef MR_WORKER_COMMITTER_H
#define MR_WORKER_COMMITTER_H

#include "worker/generations.h"
#include "worker/sink.h"

typedef struct mr_committer mr_committer;

typedef struct mr_committer_options {
    const mr_bus *bus;
    const mr_clock *clock;
    mr_generations *generations;
    uint32_t retries_max;
    int64_t state_wait_ms;
    bool threaded;
    void (*wake)(void *context); // called when a commit has ended, from the committing thread
    void *wake_context;
} mr_committer_options;

// Everything in options is borrowed. Errors: MR_FATAL.
MR_CHECKED mr_status mr_committer_open(const mr_committer_options *options, mr_committer **out,
                                       mr_error *err);
// Waits for the commit under way, stores what is confirmed and ends the thread; a commit that is
// held is dropped. Errors: what failed.
mr_status mr_committer_close(mr_committer *committer, mr_error *err);

typedef struct mr_committer_view {
    bool idle;          // a commit may be given
    bool held;          // the commit under way waits for found, again or drop
    bool stored;        // nothing is confirmed that the store lacks
    uint64_t confirmed; // number of the last one that Kafka has
    int64_t last_ms;    // how long it took
    mr_status failed;   // MR_OK, or why the process has to end
} mr_committer_view;

mr_committer_view mr_committer_look(mr_committer *committer, mr_error *err);

// Gives it a launched frozen, to be committed in that generation of the group. Only when idle.
void mr_committer_give(mr_committer *committer, mr_frozen *frozen, uint64_t generation);
// What becomes of the commit that is held (worker/sink.h). drop: it is the caller's again.
mr_frozen *mr_committer_held(mr_committer *committer);
void mr_committer_found(mr_committer *committer);
void mr_committer_again(mr_committer *committer, uint64_t generation);
mr_frozen *mr_committer_drop(mr_committer *committer);

// Stores what is confirmed as soon as it can be, whether due or not.
void mr_committer_flush(mr_committer *committer);

// Where the commit under way stands; only where it is not threaded.
mr_sink_state mr_committer_state(const mr_committer *committer);
// One call of bus or store. *worked: something was done. Only where it is not threaded. Errors:
// none; mr_committer_look tells of failures.
void mr_committer_step(mr_committer *committer, bool *worked);

// Waits until it is idle or held or has failed, at most wait_ms. Returns whether it is idle.
bool mr_committer_wait(mr_committer *committer, int64_t wait_ms);

#endif
