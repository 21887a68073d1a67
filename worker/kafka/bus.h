// SPDX-License-Identifier: Apache-2.0
// bus: the bus port over librdkafka.
#ifndef MR_WORKER_KAFKA_BUS_H
#define MR_WORKER_KAFKA_BUS_H

#include "worker/kafka/admin.h"
#include "worker/kafka/consumer.h"
#include "worker/kafka/producer.h"
#include "worker/kafka/reader.h"

typedef struct mr_kafka_bus { // filled by whoever opened its parts; borrows them
    const mr_config *config;
    mr_kafka_admin *admin;
    mr_kafka_consumer *consumer;
    mr_kafka_producer *producer;
    mr_kafka_reader *reader;
} mr_kafka_bus;

mr_bus mr_kafka_bus_port(mr_kafka_bus *bus);

#endif
