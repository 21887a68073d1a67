// SPDX-License-Identifier: Apache-2.0
// follow: reads partitions of one topic as they grow, committed records only, outside the group.
#ifndef MR_WORKER_KAFKA_FOLLOW_H
#define MR_WORKER_KAFKA_FOLLOW_H

#include "worker/kafka/client.h"

typedef struct mr_kafka_follow mr_kafka_follow;

// topic is borrowed. Errors: MR_FATAL.
MR_CHECKED mr_status mr_kafka_follow_open(const mr_config *config, const char *topic,
                                          mr_kafka_follow **follow, mr_error *err);
void mr_kafka_follow_close(mr_kafka_follow *follow);

// As mr_bus.follow and follow_take; a message is destroyed by its handle.
MR_CHECKED mr_status mr_kafka_follow_assign(mr_kafka_follow *follow, const mr_offset *offsets,
                                            uint32_t offset_count, mr_error *err);
uint32_t mr_kafka_follow_take(mr_kafka_follow *follow, mr_message *messages, uint32_t max);

#endif
