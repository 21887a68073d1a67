// SPDX-License-Identifier: Apache-2.0
// client: librdkafka handles, configured the only way that the commit protocol allows.
#ifndef MR_WORKER_KAFKA_CLIENT_H
#define MR_WORKER_KAFKA_CLIENT_H

#include <librdkafka/rdkafka.h>

#include "worker/config.h"
#include "worker/ports.h"

enum { MR_KAFKA_HEARTBEAT_MS = 200 };

typedef enum mr_kafka_role {
    MR_KAFKA_ADMIN,            // metadata, topics, ends of logs: sees uncommitted records
    MR_KAFKA_CONSUMER,         // member of the group
    MR_KAFKA_PRODUCER,         // transactional
    MR_KAFKA_PLAIN_PRODUCER,   // of tools: idempotent, without transactions
    MR_KAFKA_CHANGELOG_READER, // no group; sees committed records, and where a log ends
    MR_KAFKA_FOLLOWER,         // no group; sees committed records as they come
} mr_kafka_role;

// A configuration for that role: what the protocol fixes, over the user's properties, over defaults
// that bound memory. Errors: MR_FATAL where librdkafka refuses one.
MR_CHECKED mr_status mr_kafka_conf(const mr_config *config, mr_kafka_role role,
                                   rd_kafka_conf_t **conf, mr_error *err);

// Makes a handle of it, which takes `conf` in any case.
MR_CHECKED mr_status mr_kafka_open(rd_kafka_conf_t *conf, mr_kafka_role role, rd_kafka_t **handle,
                                   mr_error *err);

// "app-instance": transactional.id, group.instance.id and client.id. At most `size` bytes.
void mr_kafka_member_name(const mr_config *config, char *name, size_t size);

// The name of a topic of ours.
const char *mr_kafka_topic_name(const mr_config *config, mr_topic topic);
// Whether the configuration has the worker write to it at all.
bool mr_kafka_topic_used(const mr_config *config, mr_topic topic);

// What an error of a call means to the commit protocol (exactly-once.md, table of section 4);
// `what` is the call. Takes `error`.
mr_status mr_kafka_failed(rd_kafka_error_t *error, const char *what, mr_error *err);

#endif
