// SPDX-License-Identifier: Apache-2.0
// sender: puts events on the topics of a configuration's inputs, as our own Avro records: what a
// shop's producer does, for trying things out and for tests.
//
// Records go to the partition that the configured partitioner chooses for the key (murmur2, as
// Kafka's Java clients, unless told), so that inputs stay co-partitioned. Idempotent, without
// transactions. One thread.
#ifndef MR_WORKER_SENDER_H
#define MR_WORKER_SENDER_H

#include "core/event/event.h"
#include "worker/config.h"

typedef struct mr_sender mr_sender;

// Opens the producer. topic_of, by kind, names the topic of events of that kind; NULL: the topic of
// the configuration's first input of that kind, if there is one. Borrows both. Errors: MR_FATAL: a
// topic that does not exist, a format or mapping that records of ours do not fit; MR_RETRY: brokers
// that do not answer.
MR_CHECKED mr_status mr_sender_open(const mr_config *config,
                                    const char *const topic_of[MR_EVENT_KIND_COUNT],
                                    mr_sender **sender, mr_error *err);
// Drops what is not delivered yet: flush first.
void mr_sender_close(mr_sender *sender);

// Queues an event, copied; record_ms is the record's timestamp, 0: now. Waits while the queue is
// full. Errors: MR_REJECT: this event cannot be sent: no topic for its kind, or too large.
MR_CHECKED mr_status mr_sender_send(mr_sender *sender, const mr_event *event, int64_t record_ms,
                                    mr_error *err);
// Serves delivery reports for wait_ms: 0 looks only.
void mr_sender_serve(mr_sender *sender, int wait_ms);
// Waits until everything has been delivered or has failed. Errors: MR_RETRY: not within wait_ms.
MR_CHECKED mr_status mr_sender_flush(mr_sender *sender, int wait_ms, mr_error *err);

typedef struct mr_sender_count {
    const char *topic; // NULL beyond the last one
    uint32_t partitions;
    uint64_t queued, delivered, failed, bytes; // bytes: of keys and values that were queued
} mr_sender_count;

// The n-th topic and what became of its records so far.
mr_sender_count mr_sender_count_of(const mr_sender *sender, uint32_t n);
// Why the first record that failed did; "" where none has.
const char *mr_sender_failure(const mr_sender *sender);

#endif
