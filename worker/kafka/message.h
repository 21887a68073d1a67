// SPDX-License-Identifier: Apache-2.0
// message: a record of librdkafka's as the worker's logic sees one.
#ifndef MR_WORKER_KAFKA_MESSAGE_H
#define MR_WORKER_KAFKA_MESSAGE_H

#include <librdkafka/rdkafka.h>

#include "worker/ports.h"

// A view of a message, which stays the caller's and has to outlive it: handle points to it.
mr_message mr_kafka_message(rd_kafka_message_t *message);

#endif
