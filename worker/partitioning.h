// SPDX-License-Identifier: Apache-2.0
// partitioning: what a look at some records says about how an input was split over partitions, and
// what to do about it.
//
// All events of a user have to lie in one partition number of all inputs that are read directly.
// That is so where they have one count of partitions and were written with one partitioner, by
// user.
#ifndef MR_WORKER_PARTITIONING_H
#define MR_WORKER_PARTITIONING_H

#include "worker/config.h"

typedef struct mr_partition_sample {     // of one input
    uint32_t partitions;                 // 0: not looked at
    uint32_t records;                    // that have a user
    uint32_t users;                      // of them
    uint32_t split;                      // users that lie in several partitions
    uint32_t fits[MR_PARTITIONER_COUNT]; // records that lie where that partitioner puts their user
} mr_partition_sample;

typedef struct mr_partition_tally mr_partition_tally;

// Room for `records_max` records. Borrows config. Errors: MR_FATAL: out of memory.
MR_CHECKED mr_status mr_partition_tally_open(const mr_config *config, uint32_t records_max,
                                             mr_partition_tally **tally, mr_error *err);
void mr_partition_tally_close(mr_partition_tally *tally);
// Begins the sample of another input.
void mr_partition_tally_begin(mr_partition_tally *tally, mr_partition_sample *sample,
                              uint32_t partitions);
// A record of that user lies in that partition. Records beyond records_max are not counted.
void mr_partition_tally_add(mr_partition_tally *tally, mr_bytes user, uint32_t partition);

typedef enum mr_partition_verdict {
    MR_PARTITION_UNKNOWN, // too few users to tell
    MR_PARTITION_FITS,    // as the key `partitioner` should say
    MR_PARTITION_ALONE,   // each user is in one partition, and no other input has to agree
    MR_PARTITION_NUMBER,  // another number of partitions than the lead has
    MR_PARTITION_DIFFERS, // another partitioner than the others, or one that is not known
    MR_PARTITION_SPLIT,   // not keyed by user
} mr_partition_verdict;

// From NUMBER on an input needs topics.<name>.repartition.
static inline bool mr_partition_needs_mending(mr_partition_verdict verdict)
{
    return verdict >= MR_PARTITION_NUMBER;
}

// Judges the inputs by their samples, in the order of the configuration. *partitioner: what the key
// `partitioner` should say. lead_count: partitions of the lead.
void mr_partition_judge(const mr_config *config, const mr_partition_sample *samples,
                        uint32_t lead_count, mr_partition_verdict *verdicts, int *partitioner);

// The partitioner that fits a sample, `preferred` before others; -1: none. A record in twenty may
// lie elsewhere: one without a key, or from before the topic grew.
int mr_partition_fitting(const mr_partition_sample *sample, int preferred);

#endif
