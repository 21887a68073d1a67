// SPDX-License-Identifier: Apache-2.0
// replay_read: the arrivals of a replay's inputs in order, with a progress bar. Inside of replay*.c
// and worker/sweep.
#ifndef MR_WORKER_REPLAY_READ_H
#define MR_WORKER_REPLAY_READ_H

#include "worker/progress.h"
#include "worker/replay.h"

typedef struct mr_replay_reading {
    const mr_replay_options *options;
    void *context;
    // Called for each arrival; what it points to lives until it returns. A record that could not be
    // read comes as a cause without an event.
    mr_status (*take)(void *context, const mr_arrival *arrival, mr_error *err);
    const char *note; // stands behind the progress bar; NULL: nothing
    // Filled while reading:
    mr_progress progress;
    mr_arrivals_files files;
    struct mr_pseudonym *pseudonym; // of files: topics are read by the decoder, which has its own
    uint64_t done, total; // of all inputs, brought up now and then; 0: not known
} mr_replay_reading;

// Errors: MR_FATAL with path and line; those of take.
MR_CHECKED mr_status mr_replay_read(mr_replay_reading *reading, mr_error *err);
// What is read, for messages.
const char *mr_replay_source(const mr_replay_options *options);

#endif
