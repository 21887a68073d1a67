// SPDX-License-Identifier: Apache-2.0
// pipeline: what the two phases of the pipeline bench share: the topics that one writes and the
// other copies, and a clock.
#ifndef MR_WORKER_BENCH_PIPELINE_H
#define MR_WORKER_BENCH_PIPELINE_H

#include "worker/config.h"
#include "worker/kafka/client.h"

typedef struct mr_sent { // one record that the worker wrote
    uint8_t topic;       // mr_topic
    uint8_t partition;
    uint16_t key_bytes;
    uint32_t value_bytes;
} mr_sent;

typedef struct mr_sent_all {
    mr_sent *records; // grows; the caller frees it
    uint64_t count, room, bytes, lists;
} mr_sent_all;

// Reads every committed record of our topics. Errors: MR_FATAL.
MR_CHECKED mr_status mr_pipeline_read_sent(const mr_config *config, uint32_t partitions,
                                           mr_sent_all *sent, mr_error *err);

// A bus without transactions and changelog in the place of a worker's, once nothing asks the bus
// questions any more: at most follow, follow_take and give_back reach the one that was there. Close
// it after the worker.
typedef struct mr_bare mr_bare;
MR_CHECKED mr_status mr_bare_open(const mr_config *config, mr_bus *bus, mr_bare **bare,
                                  mr_error *err);
void mr_bare_close(mr_bare *bare);

typedef struct mr_spent {
    double seconds, cpu_seconds; // of the whole process
} mr_spent;

mr_spent mr_pipeline_now(void);

// The plain program: reads `events` records of the input of `config` from its start and writes the
// records of `sent` (sizes, topics and partitions; the bytes are noise) in `transactions`
// transactions with the input's offsets, by librdkafka with the worker's settings, in one thread.
MR_CHECKED mr_status mr_pipeline_plain(const mr_config *config, uint32_t partitions,
                                       uint64_t events, const mr_sent_all *sent,
                                       uint64_t transactions, mr_spent *spent, mr_error *err);

#endif
