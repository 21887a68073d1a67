// SPDX-License-Identifier: Apache-2.0
// bus: the bus port over librdkafka.
#ifndef MR_WORKER_KAFKA_BUS_H
#define MR_WORKER_KAFKA_BUS_H

#include "worker/fences.h"
#include "worker/kafka/admin.h"
#include "worker/kafka/consumer.h"
#include "worker/kafka/follow.h"
#include "worker/kafka/producer.h"
#include "worker/kafka/reader.h"

// Filled by whoever opened its parts. It may replace the producer; whoever filled it closes what is
// there.
typedef struct mr_kafka_bus {
    const mr_config *config;
    uint32_t partition_count; // of the outputs: the number of tasks
    mr_kafka_admin *admin;
    mr_kafka_consumer *consumer;
    mr_kafka_producer *producer;
    mr_kafka_reader *reader;
    mr_kafka_follow *follow;
    int64_t begun_ms; // when the last transaction was begun
    mr_fences fences;
} mr_kafka_bus;

mr_bus mr_kafka_bus_port(mr_kafka_bus *bus);

#endif
