// SPDX-License-Identifier: Apache-2.0
// committer: the thread that commits, while the loop learns the next epochs.
//
// It takes one frozen commit at a time: sink, then the confirmed generation, then, when that is
// due, one write to the store. A full or failing disk is waited for up to state.wait; everything
// else that fails ends the process, and the next start recovers.
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
    void (*wake)(void *context); // called when a commit has ended, from the committing thread
    void *wake_context;
} mr_committer_options;

// Everything in options is borrowed. Errors: MR_FATAL.
MR_CHECKED mr_status mr_committer_open(const mr_committer_options *options, mr_committer **out,
                                       mr_error *err);
// Waits for the commit under way, stores what is confirmed and ends the thread. Errors: what
// failed.
mr_status mr_committer_close(mr_committer *committer, mr_error *err);

typedef struct mr_committer_view {
    bool idle;          // a commit may be given
    uint64_t confirmed; // number of the last one that Kafka has
    int64_t last_ms;    // how long it took
    mr_status failed;   // MR_OK, or why the process has to end
} mr_committer_view;

mr_committer_view mr_committer_look(mr_committer *committer, mr_error *err);

// Gives it a launched frozen. Only when it is idle.
void mr_committer_give(mr_committer *committer, mr_frozen *frozen);
// Waits until it is idle or has failed, at most wait_ms. Returns whether it is idle.
bool mr_committer_wait(mr_committer *committer, int64_t wait_ms);

#endif
