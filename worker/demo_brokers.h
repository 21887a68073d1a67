// SPDX-License-Identifier: Apache-2.0
// demo_brokers: librdkafka's mock cluster in this process.
//
// It answers produce, fetch, groups and transaction calls, and promises nothing: transactions are
// not atomic, offsets sent with them are not stored, of each partition the last 5 MB are kept, and
// everything is gone when it is closed. Topics cannot be made through it as through real brokers;
// that is the only thing that the demo does otherwise than `millrace run`.
#ifndef MR_WORKER_DEMO_BROKERS_H
#define MR_WORKER_DEMO_BROKERS_H

#include "worker/config.h"

typedef struct mr_demo_brokers mr_demo_brokers;

// Errors: MR_FATAL.
MR_CHECKED mr_status mr_demo_brokers_open(mr_demo_brokers **brokers, mr_error *err);
// After every client of theirs is closed.
void mr_demo_brokers_close(mr_demo_brokers *brokers);

// For kafka.bootstrap_servers: "127.0.0.1:41413".
const char *mr_demo_brokers_address(const mr_demo_brokers *brokers);

// Makes all inputs and outputs of the configuration. Errors: MR_FATAL.
MR_CHECKED mr_status mr_demo_brokers_topics(mr_demo_brokers *brokers, const mr_config *config,
                                            uint32_t partition_count, mr_error *err);

#endif
