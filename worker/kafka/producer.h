// SPDX-License-Identifier: Apache-2.0
// producer: the one transactional producer of a process.
//
// One thread at a time. Records are not copied: their bytes are the caller's until flush
// has answered. A time-out is never an answer: MR_RETRY asks for the same call again.
#ifndef MR_WORKER_KAFKA_PRODUCER_H
#define MR_WORKER_KAFKA_PRODUCER_H

#include "worker/kafka/client.h"

typedef struct mr_kafka_producer mr_kafka_producer;

// Opens the producer and settles what an earlier process of the same instance left open: its
// transaction is over when this returns. Errors: MR_FATAL, MR_FENCED, MR_RETRY (no answer within 30
// s).
MR_CHECKED mr_status mr_kafka_producer_open(const mr_config *config, uint32_t partition_count,
                                            mr_kafka_producer **producer, mr_error *err);
void mr_kafka_producer_close(mr_kafka_producer *producer);
// Whether the brokers have given its name to a newer producer, or ended its transaction because it
// was open for too long: the client has one name for both. NULL: no.
bool mr_kafka_producer_fenced(const mr_kafka_producer *producer);

MR_CHECKED mr_status mr_kafka_producer_begin(mr_kafka_producer *producer, mr_error *err);
MR_CHECKED mr_status mr_kafka_producer_send(mr_kafka_producer *producer, const mr_record *record,
                                            mr_error *err);
MR_CHECKED mr_status mr_kafka_producer_flush(mr_kafka_producer *producer, mr_error *err);
// Offset after the last record of a partition that was acknowledged since begin; -1: none.
int64_t mr_kafka_producer_produced(const mr_kafka_producer *producer, mr_topic topic,
                                   uint32_t partition);
MR_CHECKED mr_status mr_kafka_producer_offsets(mr_kafka_producer *producer,
                                               const rd_kafka_topic_partition_list_t *offsets,
                                               const rd_kafka_consumer_group_metadata_t *member,
                                               mr_error *err);
MR_CHECKED mr_status mr_kafka_producer_commit(mr_kafka_producer *producer, mr_error *err);

#endif
