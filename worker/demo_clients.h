// SPDX-License-Identifier: Apache-2.0
// demo_clients: the crowd's own producer and consumer, as any program on the bus would have them.
//
// Events are Avro in single-object encoding, keyed by user (a catalogue item by item), to the
// partition that Kafka's default partitioner gives. One thread.
#ifndef MR_WORKER_DEMO_CLIENTS_H
#define MR_WORKER_DEMO_CLIENTS_H

#include "worker/config.h"
#include "worker/demo_records.h"

typedef struct mr_demo_clients mr_demo_clients;

typedef struct mr_demo_visitor { // what is called for each output record of the worker
    void *context;
    void (*list)(void *context, const mr_demo_list *list);
    void (*metric)(void *context, const mr_demo_metric *metric);
    void (*bad)(void *context, const mr_error *err); // a record that cannot be read
} mr_demo_visitor;

// Inputs of the configuration are what is written, its lists and metrics what is read, each with
// partition_count partitions. Errors: MR_FATAL.
MR_CHECKED mr_status mr_demo_clients_open(const mr_config *config, uint32_t partition_count,
                                          mr_demo_clients **clients, mr_error *err);
void mr_demo_clients_close(mr_demo_clients *clients);

// Queues an event for the topic of its kind. Errors: MR_FATAL: no topic of that kind, an event that
// does not fit a record, the client's own.
MR_CHECKED mr_status mr_demo_clients_send(mr_demo_clients *clients, const mr_event *event,
                                          mr_error *err);
// Visits what has come, waiting for it up to wait_ms. Returns how many records.
uint32_t mr_demo_clients_poll(mr_demo_clients *clients, int wait_ms,
                              const mr_demo_visitor *visitor);
// Errors: MR_FATAL: not everything was acknowledged within wait_ms.
MR_CHECKED mr_status mr_demo_clients_flush(mr_demo_clients *clients, int wait_ms, mr_error *err);

// Events that were queued, and those of them that the brokers refused.
uint64_t mr_demo_clients_sent(const mr_demo_clients *clients);
uint64_t mr_demo_clients_failed(const mr_demo_clients *clients);

#endif
