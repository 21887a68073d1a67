// SPDX-License-Identifier: Apache-2.0
// consumer: the intake port over librdkafka: the member of the group, and the inputs of its tasks.
//
// Tasks are the partitions of the lead input that the group gives to this process. The partitions
// of the other inputs follow by explicit assignment: user inputs by the same number, item inputs
// (partition c) by task c mod P. Each partition has a queue of its own; not reading a queue is the
// only back-pressure. Nothing is ever sought, paused or resumed: librdkafka before 2.1 loses
// records then. What is read is changed by assigning the whole list again, at our own offsets.
//
// Without a lead there are no tasks: the group shares out the partitions of all inputs, each by
// itself, and what it gives is what is read. Members that see other partition counts, or other
// inputs, than their neighbours then still never read a partition twice.
//
// A revocation waits for let_go: until then the group's generation is the old one, and a last
// commit of it is taken. The group's queue has to be polled at least each second. All calls are the
// loop's thread's, but for mr_kafka_consumer_member and wake.
#ifndef MR_WORKER_KAFKA_CONSUMER_H
#define MR_WORKER_KAFKA_CONSUMER_H

#include "worker/kafka/client.h"

enum { MR_LEAD_NONE = MR_CONFIG_READS_MAX };

typedef struct mr_kafka_consumer mr_kafka_consumer;

// Joins the group. partition_counts: of each input, by its number (mr_config_topic); 0: it is not
// read. lead: number of the lead, or MR_LEAD_NONE. Borrows config. Errors: MR_FATAL; `poll` gives
// it too where the lead has more partitions by then.
MR_CHECKED mr_status mr_kafka_consumer_open(const mr_config *config, uint32_t lead,
                                            const uint32_t *partition_counts,
                                            mr_kafka_consumer **consumer, mr_error *err);
// Leaves the group; a static member keeps its tasks until the session times out. Nothing is read any
// more, but what was taken is still to be given back, and the member can be asked for.
void mr_kafka_consumer_leave(mr_kafka_consumer *consumer);
// Leaves, where that is still to be done, and frees all.
void mr_kafka_consumer_close(mr_kafka_consumer *consumer);

// The port; of the consumer's life.
mr_intake mr_kafka_consumer_port(mr_kafka_consumer *consumer);

// A copy of what the group knew this member by when that generation was assigned; NULL: it is not
// the present one. The caller destroys it. From any thread.
rd_kafka_consumer_group_metadata_t *mr_kafka_consumer_member(mr_kafka_consumer *consumer,
                                                             uint64_t generation);

// Offsets that the group has committed. MR_RETRY: no answer.
MR_CHECKED mr_status mr_kafka_consumer_committed(mr_kafka_consumer *consumer, mr_offset *offsets,
                                                 uint32_t offset_count, mr_error *err);

#endif
