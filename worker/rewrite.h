// SPDX-License-Identifier: Apache-2.0
// rewrite: the changelogs, written from the local copy.
//
// Recovery goes from Kafka to the disk; this is the other way, for the two cases in which the disk
// knows more: a state that a replay left, which no changelog has ever seen, and one whose brokers
// lost what they had confirmed (millrace recover --from-local). Every local row goes to the
// changelogs as it is, keys that only the changelogs have go as tombstones, in transactions of
// bounded size; the last one brings the markers of all tasks, under a new sequence number, and so
// makes the rows before it valid. Then the start goes on as after a restart.
//
// Nothing is learned or computed again. rewrite.c says what a crash leaves.
#ifndef MR_WORKER_REWRITE_H
#define MR_WORKER_REWRITE_H

#include "worker/outputs.h"
#include "worker/task.h"

// The instance that markers of a replay name: only they are adopted without being told to.
#define MR_REPLAY_INSTANCE "replay"

// The changelog offsets of a copy whose rewrite was begun and not ended: past any end.
#define MR_REWRITE_PENDING INT64_MAX

typedef enum mr_rewrite_why {
    MR_REWRITE_ASKED_BY_COPY, // where a replay left it, or a rewrite was begun and not ended
    MR_REWRITE_FROM_LOCAL,    // the operator has said that the local copy is the truth
    MR_REWRITE_TORN,          // rows without a marker lie in the changelogs: the next marker would
                              // make them valid
} mr_rewrite_why;

typedef struct mr_rewrite_options {
    mr_taker *taker; // open; its `accept_offsets` is set back at the end
    mr_rewrite_why why;
    const uint32_t *owned; // all tasks, ascending
    uint32_t owned_count;
    const mr_offset *inputs; // every input partition, `next` not known
    uint32_t input_count;
    // The task that reads a partition of an input; and a call between two transactions.
    uint32_t (*task_of)(void *context, uint32_t input, uint32_t partition);
    mr_status (*idle)(void *context, mr_error *err);
    void *context;
    uint64_t generation;     // of the group
    size_t commit_bytes_max; // of one transaction
    mr_outputs *outputs;     // the epoch log says that the rows were written; NULL: nothing does
} mr_rewrite_options;

typedef struct mr_rewrite_result {
    bool done; // false: there was nothing to rewrite
    uint64_t rows, tombstones, commits;
} mr_rewrite_result;

// Rewrites the changelogs where the local copy asks for it, or the operator. Errors: MR_FATAL: the
// copy is not what its markers say, of another number of tasks, incomplete, or the changelogs hold
// another history; those of bus and store.
MR_CHECKED mr_status mr_rewrite_run(const mr_rewrite_options *options, mr_rewrite_result *result,
                                    mr_error *err);

#endif
