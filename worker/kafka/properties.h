// SPDX-License-Identifier: Apache-2.0
// properties: which librdkafka properties a configuration may pass through.
#ifndef MR_WORKER_KAFKA_PROPERTIES_H
#define MR_WORKER_KAFKA_PROPERTIES_H

#include "core/base/error.h"

// Checks one property of kafka.properties, kafka.consumer or kafka.producer.
// Errors: MR_FATAL: one that the worker sets itself (the exactly-once protocol rests on it), a name
// of the Java client (with librdkafka's name for it), an unknown name (with the nearest known one),
// or a value that librdkafka refuses.
MR_CHECKED mr_status mr_kafka_property_check(const char *name, const char *value, mr_error *err);

#endif
