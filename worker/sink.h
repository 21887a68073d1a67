// SPDX-License-Identifier: Apache-2.0
// sink: one commit, step by step: frozen bytes to Kafka, exactly once.
//
// The sink is a state machine over the bus and clock ports: each step makes one call of the bus and
// moves to the next state, so that a simulator can stop it anywhere. mr_sink_commit runs the steps.
//
// An outcome that leaves result or ownership unknown (MR_FENCED) makes a new producer, which
// decides what was open, and then holds the commit: whoever knows the group and the changelogs says
// whether it is there, has to be sent again, or is dropped. One that no retry helps (MR_FATAL) ends
// the process. sink.c has the diagram and the invariants.
#ifndef MR_WORKER_SINK_H
#define MR_WORKER_SINK_H

#include "worker/frozen.h"

typedef enum mr_sink_state {
    MR_SINK_IDLE,      // nothing is under way
    MR_SINK_BEGINNING, // a frozen was given; no transaction is open
    MR_SINK_SENDING,   // a transaction is open; records are queued
    MR_SINK_FLUSHING,  // all are queued; not all are acknowledged
    MR_SINK_OFFSETS,   // all are acknowledged
    MR_SINK_ENDING,    // the offsets are in the transaction
    MR_SINK_ABORTING,  // the transaction failed and has to be aborted
    MR_SINK_RENEWING,  // confirmed; the producer is replaced before the next transaction
    MR_SINK_SETTLING,  // fenced: a new producer is made, so that the transaction is decided
    MR_SINK_HELD,      // decided, but which way is not known here
    MR_SINK_CONFIRMED, // Kafka has the commit
    MR_SINK_FAILED,    // the process has to end
    MR_SINK_STATE_COUNT,
} mr_sink_state;

typedef struct mr_sink {
    const mr_bus *bus;
    const mr_clock *clock;
    uint32_t retries_max; // aborted attempts of one commit
    mr_sink_state state;
    mr_frozen *frozen;   // of the commit under way
    uint64_t generation; // of the group, in which it is committed
    uint32_t next_record, next_row, next_marker;
    uint32_t aborted;
    int64_t begun_ms;
    bool slow; // the attempt took so long that its requests may still be on their way
    // Counters since the sink was made.
    uint64_t commits, attempts, retried_calls;
    int64_t last_ms; // time of the last commit
} mr_sink;

void mr_sink_init(mr_sink *sink, const mr_bus *bus, const mr_clock *clock, uint32_t retries_max);

// Gives the sink a sealed frozen, to be committed in that generation of the group; IDLE ->
// BEGINNING.
void mr_sink_give(mr_sink *sink, mr_frozen *frozen, uint64_t generation);
// One call of the bus, in any state but IDLE, HELD, CONFIRMED and FAILED. Errors: MR_RETRY: the
// same step again, after a short wait; MR_FATAL: the state is FAILED.
MR_CHECKED mr_status mr_sink_step(mr_sink *sink, mr_error *err);
// After MR_RETRY: waits a little, and serves the client where its queue is full.
void mr_sink_wait(mr_sink *sink, mr_error *err);
// CONFIRMED -> IDLE; the frozen is the caller's again, its tasks' `next` filled.
mr_frozen *mr_sink_take(mr_sink *sink);

// What became of a commit that is HELD: Kafka has it (the caller fills its tasks' `next`); Kafka
// has nothing of it and its tasks are ours in that generation, so that the same bytes go again;
// or its tasks are not ours any more.
void mr_sink_found(mr_sink *sink);                      // HELD -> CONFIRMED
void mr_sink_again(mr_sink *sink, uint64_t generation); // HELD -> BEGINNING
mr_frozen *mr_sink_drop(mr_sink *sink);                 // HELD -> IDLE

// All steps: from a given frozen to CONFIRMED. Waits between retries. Errors: MR_FENCED: it is held
// and dropped; MR_FATAL.
MR_CHECKED mr_status mr_sink_commit(mr_sink *sink, mr_frozen *frozen, uint64_t generation,
                                    mr_error *err);

const char *mr_sink_state_name(mr_sink_state state);

#endif
