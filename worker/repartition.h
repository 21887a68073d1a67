// SPDX-License-Identifier: Apache-2.0
// repartition: records of inputs whose partitions are not those of the users go through one topic
// that has them by user.
//
// All events of a user have to reach one task. An input that is not keyed by user, that has
// another partition count than the lead, or that was written with another partitioner breaks that.
// The records of all such inputs are copied to the repartition topic, exactly once, each to the
// partition in which the inputs that are read directly have its user; the worker reads that topic
// as one more input of users' events. worker/origin.h has the form of the copies.
//
// A member of a group of its own, with a transactional producer of its own; it shares nothing with
// the worker beside it. Written over the ports, as the worker is: the intake gives the partitions
// of the inputs that go through the topic, each by itself, whatever its number; of the bus only the
// calls of a transaction, `committed` and `input_ends` are used. One thread. repartition.c has the
// invariants.
#ifndef MR_WORKER_REPARTITION_H
#define MR_WORKER_REPARTITION_H

#include "worker/decoder.h"
#include "worker/ports.h"

typedef struct mr_repartition_options { // all borrowed
    const mr_config *config;
    mr_decoder *decoder;
    const mr_intake *intake;
    const mr_bus *bus;
    const mr_bus *direct; // `committed` of whoever read these inputs directly before; NULL: nobody
    const mr_clock *clock;
    const uint32_t *source_counts; // partitions, by number of the input; 0: it does not go through
    uint32_t partition_count;      // of the repartition topic
} mr_repartition_options;

typedef struct mr_repartition mr_repartition;

// Errors: MR_FATAL: out of memory.
MR_CHECKED mr_status mr_repartition_open(const mr_repartition_options *options,
                                         mr_repartition **stage, mr_error *err);
// Gives back what was taken. A transaction that is open stays open: the next producer of the same
// name aborts it.
void mr_repartition_close(mr_repartition *stage);

// One step: at most one call of the transaction, after the group was served. *moved: there may be
// more to do at once. Errors: MR_FATAL: no retry helps; also where a number of transactions in a
// row failed.
MR_CHECKED mr_status mr_repartition_step(mr_repartition *stage, bool *moved, mr_error *err);
// How long nothing needs to be done, at most `most`.
int mr_repartition_patience(const mr_repartition *stage, int most);

// Whether no transaction is open.
bool mr_repartition_is_quiet(const mr_repartition *stage);
// Whether everything was copied and committed up to the ends that the logs had when the intake last
// said so.
bool mr_repartition_at_end(const mr_repartition *stage);

typedef struct mr_repartition_counters {
    uint64_t records, transactions; // committed
    uint64_t refused;               // of the records: no user could be found, or too large
    uint64_t recoveries;            // transactions that were given up and begun again
    uint64_t below;                 // records below the next offset: dropped
    uint64_t gone;                  // records that the log lost before they were read
    int64_t last_ms;                // time of the last transaction
} mr_repartition_counters;
const mr_repartition_counters *mr_repartition_count(const mr_repartition *stage);
// Records that are there and not copied, as far as the ends of the logs are known; -1: not yet.
int64_t mr_repartition_lag(const mr_repartition *stage);

#endif
