// SPDX-License-Identifier: Apache-2.0
// refusal: what brokers refuse us, told to whoever can grant it.
//
// A right that is missing stays missing until an operator gives it, and so does an entry: nothing
// here is worth another try by the process itself.
#ifndef MR_WORKER_KAFKA_REFUSAL_H
#define MR_WORKER_KAFKA_REFUSAL_H

#include <librdkafka/rdkafka.h>

#include "worker/config.h"

typedef enum mr_right { // an operation on a kind of resource, as Kafka's ACLs call them
    MR_RIGHT_READ_TOPIC,
    MR_RIGHT_WRITE_TOPIC,
    MR_RIGHT_CREATE_TOPIC,
    MR_RIGHT_DESCRIBE_TOPIC,
    MR_RIGHT_DESCRIBE_CONFIGS_TOPIC,
    MR_RIGHT_READ_GROUP,
    MR_RIGHT_WRITE_TRANSACTIONAL_ID,
    MR_RIGHT_COUNT,
} mr_right;

// Whether the brokers say that we may not do what we asked for.
bool mr_kafka_is_refusal(rd_kafka_resp_err_t code);

// Fills err with who lacks which right on what, and the command that grants it; `name` is the
// resource's. Returns MR_FATAL.
mr_status mr_kafka_lacks(const mr_config *config, mr_right right, const char *name, mr_error *err);
// The same of the right that a worker needs to know a topic at all: to read an input, to write what
// is ours, to describe any other.
mr_status mr_kafka_lacks_topic(const mr_config *config, const char *topic, mr_error *err);

// Whether what an error callback was told keeps us out until somebody puts it right: a name, a
// password, a certificate. Brokers that are down or far away are not of that kind.
bool mr_kafka_keeps_out(rd_kafka_resp_err_t code, const char *text);
// Fills err with what has to be put right, where mr_kafka_keeps_out, and MR_FATAL; otherwise with
// the text, and MR_RETRY. Returns err->status. Never holds a secret.
mr_status mr_kafka_kept_out(const mr_config *config, rd_kafka_resp_err_t code, const char *text,
                            mr_error *err);

#endif
