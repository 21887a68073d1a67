// SPDX-License-Identifier: Apache-2.0
// consumer: the member of the group, and the inputs of its tasks.
//
// Tasks are the partitions of the lead input that the group gives to this process. The partitions
// of the other inputs follow by explicit assignment: user inputs by the same number, item inputs
// (partition c) by task c mod P. Each partition has a queue of its own; not reading a queue is the
// only back-pressure. Nothing is ever sought, paused or resumed: librdkafka before 2.1 loses
// records then.
//
//   open -> poll until assigned -> (restore the tasks) -> assign -> take, wait, poll ... -> close
//
// The group's queue has to be polled at least each second. All calls are the loop's thread's, but
// for `member`, which the committing thread reads.
#ifndef MR_WORKER_KAFKA_CONSUMER_H
#define MR_WORKER_KAFKA_CONSUMER_H

#include "worker/kafka/client.h"

typedef struct mr_kafka_consumer mr_kafka_consumer;

typedef enum mr_group_state {
    MR_GROUP_JOINING,  // no assignment yet
    MR_GROUP_ASSIGNED, // the tasks are ours
    MR_GROUP_REVOKED,  // the group takes tasks away: nothing may be committed any more
    MR_GROUP_LOST,     // somebody else may have them already
} mr_group_state;

// Joins the group. partition_counts: of each input of the configuration, in its order; lead: index
// of the lead input. Borrows config. Errors: MR_FATAL.
MR_CHECKED mr_status mr_kafka_consumer_open(const mr_config *config, uint32_t lead,
                                            const uint32_t *partition_counts,
                                            mr_kafka_consumer **consumer, mr_error *err);
// Leaves without telling the group (a static member keeps its tasks until the session times out).
void mr_kafka_consumer_close(mr_kafka_consumer *consumer);

// Serves the group for up to wait_ms. Errors: MR_FATAL: an input cannot be read; err names it.
MR_CHECKED mr_status mr_kafka_consumer_poll(mr_kafka_consumer *consumer, int wait_ms,
                                            mr_error *err);

mr_group_state mr_kafka_consumer_state(const mr_kafka_consumer *consumer);
// The tasks, ascending.
const uint32_t *mr_kafka_consumer_tasks(const mr_kafka_consumer *consumer, uint32_t *count);
// What the group knew this member by when the tasks were assigned: never anything newer. NULL: not
// assigned. Borrowed until close.
const rd_kafka_consumer_group_metadata_t *mr_kafka_consumer_member(
    const mr_kafka_consumer *consumer);

// The input partitions of the tasks, in order of (input, partition): `next` is left at -1.
const mr_offset *mr_kafka_consumer_partitions(const mr_kafka_consumer *consumer, uint32_t *count);
// The task that reads a partition of an input.
uint32_t mr_kafka_consumer_task_of(const mr_kafka_consumer *consumer, uint32_t input,
                                   uint32_t partition);

// Begins to read every partition at its `next`; offsets as mr_kafka_consumer_partitions gave them.
MR_CHECKED mr_status mr_kafka_consumer_assign(mr_kafka_consumer *consumer, const mr_offset *offsets,
                                              uint32_t offset_count, mr_error *err);

// Takes up to `max` messages of the index-th partition; the caller destroys them. A message's err
// may be RD_KAFKA_RESP_ERR__PARTITION_EOF. Returns how many.
uint32_t mr_kafka_consumer_take(mr_kafka_consumer *consumer, uint32_t index,
                                rd_kafka_message_t **messages, uint32_t max);
// Waits until some queue may have something, or until extra_fd (-1: none) can be read, at most
// wait_ms.
void mr_kafka_consumer_wait(mr_kafka_consumer *consumer, int extra_fd, int wait_ms);
// Wakes a thread that waits: from another thread.
void mr_kafka_consumer_wake(mr_kafka_consumer *consumer);

// Offsets that the group has committed. MR_RETRY: no answer.
MR_CHECKED mr_status mr_kafka_consumer_committed(mr_kafka_consumer *consumer, mr_offset *offsets,
                                                 uint32_t offset_count, mr_error *err);

// How many records lie between these offsets and the ends of the logs, as far as the client knows
// them; -1: it knows none yet. Offsets in the order of mr_kafka_consumer_partitions. No question to
// brokers.
int64_t mr_kafka_consumer_lag(mr_kafka_consumer *consumer, const mr_offset *offsets,
                              uint32_t offset_count);

#endif
