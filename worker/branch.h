// SPDX-License-Identifier: Apache-2.0
// branch: one configuration that learns from a stream of arrivals: an engine, the epochs that are
// being filled, commits into a state folder of its own, and what is counted and measured.
//
// A replay has one, a sweep several that are given the same arrivals. What a branch does depends on
// its configuration and on the arrivals in their order, not on its lanes nor on other branches.
// Branches may be used from different threads, each by one at a time.
#ifndef MR_WORKER_BRANCH_H
#define MR_WORKER_BRANCH_H

#include "core/engine.h"
#include "worker/replay_result.h"

typedef struct mr_branch mr_branch;

typedef struct mr_branch_hooks {
    uint32_t lanes;         // 0: as the configuration says
    uint64_t resample_seed; // of the intervals: one for branches that are compared
    mr_watch watch;         // of the engine; zeros: the machine's
    mr_probed probed;
    void *context;
    void (*list)(void *context, const mr_list *list); // a list is published; NULL: nobody asks
} mr_branch_hooks;

// Bytes of the engine of a configuration: all but a few per cent of what a branch can take.
// Errors: those of mr_engine_bytes.
MR_CHECKED mr_status mr_branch_bytes(const mr_replay_options *options, size_t *bytes,
                                     mr_error *err);

// Borrows options for the branch's life. Errors: MR_FATAL: memory, a folder that cannot be made. A
// failed open needs no close.
MR_CHECKED mr_status mr_branch_open(const mr_replay_options *options, const mr_branch_hooks *hooks,
                                    mr_branch **branch, mr_error *err);
void mr_branch_close(mr_branch *branch); // NULL: nothing

// The next arrival, which is copied. Errors: MR_FATAL.
MR_CHECKED mr_status mr_branch_add(mr_branch *branch, const mr_arrival *arrival, mr_error *err);
// In its place stood a record that could not be read.
void mr_branch_refuse(mr_branch *branch, mr_cause cause);
// Learns what is left, commits, concludes the result and writes its files. Without any event there
// is nothing to conclude: mr_branch_began is false.
MR_CHECKED mr_status mr_branch_end(mr_branch *branch, mr_error *err);
bool mr_branch_began(const mr_branch *branch);

// Its engine, to be asked and no more.
const mr_engine *mr_branch_engine(const mr_branch *branch);
// What it counts, at any time; the branch's, unless it is taken: then the caller's.
mr_replay_result *mr_branch_result(mr_branch *branch);
mr_replay_result *mr_branch_take_result(mr_branch *branch);

#endif
