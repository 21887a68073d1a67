// SPDX-License-Identifier: Apache-2.0
// admin: what the brokers know: topics, partitions, ends of logs; and the making of our topics.
#ifndef MR_WORKER_KAFKA_ADMIN_H
#define MR_WORKER_KAFKA_ADMIN_H

#include "worker/kafka/client.h"

typedef struct mr_kafka_admin mr_kafka_admin;

// Errors: MR_FATAL. Brokers that are down, or do not let us in, are found by the first question: it
// ends with MR_FATAL soon where name, password or certificates are wrong, and with MR_RETRY where no
// broker answers within 10 s. A right that is missing is MR_FATAL of any question, and named.
MR_CHECKED mr_status mr_kafka_admin_open(const mr_config *config, mr_kafka_admin **admin,
                                         mr_error *err);
void mr_kafka_admin_close(mr_kafka_admin *admin);

// How many partitions a topic has; 0: there is no such topic. Errors: MR_RETRY: no answer within 10
// s; MR_FATAL: not permitted.
MR_CHECKED mr_status mr_kafka_admin_partitions(mr_kafka_admin *admin, const char *topic,
                                               uint32_t *count, mr_error *err);
// All topics that we may see, to be given to rd_kafka_metadata_destroy. Errors: MR_RETRY: no answer
// within wait_ms; MR_FATAL.
MR_CHECKED mr_status mr_kafka_admin_list(mr_kafka_admin *admin, int wait_ms,
                                         const rd_kafka_metadata_t **topics, mr_error *err);
// The partition counts of the inputs of the configuration, 0 of patterns. Errors: MR_RETRY; MR_FATAL
// where one is missing.
MR_CHECKED mr_status mr_kafka_admin_counts(mr_kafka_admin *admin,
                                           uint32_t counts[static MR_CONFIG_INPUTS_MAX],
                                           mr_error *err);
// The partition counts of all that tasks read, by number (mr_config_topic), 0 for inputs that go
// through the repartition topic; and the number of the lead. Errors: MR_RETRY; MR_FATAL where one
// is missing, or one of users' events has another count than the lead.
MR_CHECKED mr_status mr_kafka_admin_inputs(mr_kafka_admin *admin,
                                           uint32_t counts[static MR_CONFIG_READS_MAX],
                                           uint32_t *lead, mr_error *err);
// Errors: MR_RETRY.
MR_CHECKED mr_status mr_kafka_admin_cluster(mr_kafka_admin *admin,
                                            char id[static MR_STORE_CLUSTER_MAX + 1],
                                            mr_error *err);
// First and next offset of a partition, uncommitted records counted. Errors: MR_RETRY; MR_FATAL.
MR_CHECKED mr_status mr_kafka_admin_ends(mr_kafka_admin *admin, const char *topic,
                                         uint32_t partition, mr_log_ends *ends, mr_error *err);

// What a topic of ours has to be.
const char *mr_kafka_topic_cleanup(mr_topic topic); // "compact" or "delete"

// Makes a topic of ours with the policy that its use needs, and waits until it is there. Errors:
// MR_RETRY; MR_FATAL.
MR_CHECKED mr_status mr_kafka_admin_create(mr_kafka_admin *admin, mr_topic topic,
                                           uint32_t partition_count, mr_error *err);
// The value of a topic's property; empty where the brokers do not say. Errors: MR_RETRY; MR_FATAL:
// also that we may not ask.
MR_CHECKED mr_status mr_kafka_admin_property(mr_kafka_admin *admin, const char *topic,
                                             const char *property, char *value, size_t size,
                                             mr_error *err);

#endif
