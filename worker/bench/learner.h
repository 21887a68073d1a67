// SPDX-License-Identifier: Apache-2.0
// learner: an engine over made-up events, fed round by round, for the benches.
#ifndef MR_WORKER_BENCH_LEARNER_H
#define MR_WORKER_BENCH_LEARNER_H

#include "core/engine.h"
#include "worker/traffic.h"

typedef struct mr_learner {
    mr_engine *engine;
    mr_engine_config config;
    void *memory;
    size_t memory_bytes;
    mr_epoch *epochs; // one a task
    mr_arrival *arrivals;
    char (*texts)[MR_TRAFFIC_TEXT_BYTES];
    mr_line *lines;
    mr_traffic *traffic;
    int64_t time_ms;
    uint64_t *seqs, open_events, events;
    // Seconds of this thread's CPU time.
    double round_seconds, close_seconds;
} mr_learner;

// config->tasks tasks, which users belong to as in a topic; huge: pages under its rows. config and
// traffic are borrowed as the engine borrows them. Errors: MR_FATAL.
MR_CHECKED mr_status mr_learner_open(mr_learner *learner, const mr_engine_config *config, bool huge,
                                     const mr_traffic_options *traffic, mr_error *err);
void mr_learner_close(mr_learner *learner);

// Learns so many more events, a full epoch of each task a round, closing a commit each
// `commit_events`; what the events cost to make is in neither time.
MR_CHECKED mr_status mr_learner_learn(mr_learner *learner, uint64_t events, uint64_t commit_events,
                                      mr_error *err);

#endif
