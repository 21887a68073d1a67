// SPDX-License-Identifier: Apache-2.0
// repartition_thread: worker/repartition.h over Kafka, on a thread of its own, as `millrace run`
// has it where an input asks for it.
//
// Its group is <kafka.group>.repartition, its transactional id and static member name
// <app>-<instance>-repartition.
#ifndef MR_WORKER_REPARTITION_THREAD_H
#define MR_WORKER_REPARTITION_THREAD_H

#include "worker/kafka/bus.h"
#include "worker/registry/registry.h"
#include "worker/repartition.h"

typedef struct mr_repartition_thread mr_repartition_thread;

// Begins: the thread itself opens the clients. Borrows all; `worker` is the bus of the worker
// beside it, whose admin handle is used too; registry may be NULL. wake is called, from the thread, when it has failed or
// has come to an end. Errors: MR_FATAL.
MR_CHECKED mr_status mr_repartition_thread_open(const mr_config *config, mr_kafka_bus *worker,
                                                mr_registry *registry, const mr_intake *wake,
                                                mr_repartition_thread **thread, mr_error *err);
// Tells it to end the transaction that is open, and does not wait. thread may be NULL here and in
// close.
void mr_repartition_thread_stop(mr_repartition_thread *thread);
// The same, waits for it, for a few seconds if the brokers answer, and leaves the group.
void mr_repartition_thread_close(mr_repartition_thread *thread);

// How it is: MR_OK, or why it has ended. *at_end: whether everything is copied that was there when
// the brokers said so last.
MR_CHECKED mr_status mr_repartition_thread_look(mr_repartition_thread *thread, bool *at_end,
                                                mr_error *err);

#endif
