// SPDX-License-Identifier: Apache-2.0
#include "worker/kafka/client.h"

#include <stdio.h>
#include <string.h>

#include "worker/log.h"

void mr_kafka_member_name(const mr_config *config, char *name, size_t size)
{
    snprintf(name, size, "%s-%s", config->app, config->instance);
}

bool mr_kafka_topic_used(const mr_config *config, mr_topic topic)
{
    return topic == MR_TOPIC_REPARTITION ? mr_config_repartitions(config)
           : topic == MR_TOPIC_ITEMS     ? config->items_publish_interval > 0
                                         : true;
}

const char *mr_kafka_topic_name(const mr_config *config, mr_topic topic)
{
    switch (topic) {
    case MR_TOPIC_LISTS:
        return config->outputs_lists;
    case MR_TOPIC_METRICS:
        return config->outputs_metrics;
    case MR_TOPIC_ITEMS:
        return config->outputs_items;
    case MR_TOPIC_USER_ROWS:
        return config->outputs_user_rows;
    case MR_TOPIC_ITEM_ROWS:
        return config->outputs_item_rows;
    case MR_TOPIC_EPOCHS:
        return config->outputs_epochs;
    case MR_TOPIC_DEAD_LETTERS:
        return config->outputs_dead_letters;
    case MR_TOPIC_ITEM_DELTAS:
        return config->outputs_item_deltas;
    case MR_TOPIC_REPARTITION:
        return config->outputs_repartition;
    case MR_TOPIC_COUNT:
        break;
    }
    MR_ASSERT(!"a topic that is none");
    return NULL;
}

static mr_status set(rd_kafka_conf_t *conf, const char *name, const char *value, mr_error *err)
{
    char reason[160];
    if (rd_kafka_conf_set(conf, name, value, reason, sizeof reason) != RD_KAFKA_CONF_OK)
        return mr_fail(err, MR_FATAL, "librdkafka: %s=%s: %s", name, value, reason);
    return MR_OK;
}

static mr_status set_number(rd_kafka_conf_t *conf, const char *name, int64_t value, mr_error *err)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)value);
    return set(conf, name, text, err);
}

static mr_status set_properties(rd_kafka_conf_t *conf, const mr_config_properties *properties,
                                mr_error *err)
{
    for (uint32_t i = 0; i < properties->count; i++)
        MR_TRY(set(conf, properties->rows[i].name, properties->rows[i].value, err));
    return MR_OK;
}

static void on_log(const rd_kafka_t *handle, int level, const char *facility, const char *text)
{
    (void)handle;
    const int ours = level <= 3   ? MR_LOG_ERROR
                     : level <= 4 ? MR_LOG_WARNING
                     : level <= 6 ? MR_LOG_INFO
                                  : MR_LOG_DEBUG;
    mr_log(ours, "kafka", facility, mr_log_text("text", text));
}

// librdkafka goes on by itself after these: brokers down, a name that does not resolve.
static void on_error(rd_kafka_t *handle, int code, const char *text, void *context)
{
    (void)context;
    mr_log(MR_LOG_WARNING, "kafka", "client error", mr_log_text("client", rd_kafka_name(handle)),
           mr_log_text("code", rd_kafka_err2name((rd_kafka_resp_err_t)code)),
           mr_log_text("error", text));
}

static mr_status set_common(rd_kafka_conf_t *conf, const mr_config *config, mr_error *err)
{
    char servers[2048] = "", name[512];
    size_t used = 0;
    for (uint32_t i = 0; i < config->kafka_bootstrap_servers.count && used < sizeof servers; i++)
        used += (size_t)snprintf(servers + used, sizeof servers - used, "%s%s", i > 0 ? "," : "",
                                 config->kafka_bootstrap_servers.items[i]);
    if (used >= sizeof servers)
        return mr_fail(err, MR_FATAL, "kafka.bootstrap_servers: longer than %zu bytes",
                       sizeof servers);
    mr_kafka_member_name(config, name, sizeof name);
    MR_TRY(set(conf, "bootstrap.servers", servers, err));
    MR_TRY(set(conf, "client.id", name, err));
    MR_TRY(set(conf, "socket.nagle.disable", "true", err));
    if (mr_log_enabled(MR_LOG_DEBUG, "kafka"))
        MR_TRY(set(conf, "debug", "broker,cgrp,eos,topic", err));
    rd_kafka_conf_set_log_cb(conf, on_log);
    rd_kafka_conf_set_error_cb(conf, on_error);
    return MR_OK;
}

static mr_status set_reading(rd_kafka_conf_t *conf, const mr_config *config, mr_error *err)
{
    MR_TRY(set(conf, "isolation.level", "read_committed", err));
    MR_TRY(set(conf, "check.crcs", "true", err));
    MR_TRY(set(conf, "auto.offset.reset", "error", err));
    MR_TRY(set(conf, "enable.partition.eof", "true", err));
    MR_TRY(set(conf, "enable.auto.commit", "false", err));
    MR_TRY(set(conf, "enable.auto.offset.store", "false", err));
    MR_TRY(set(conf, "allow.auto.create.topics", "false", err));
    return set_number(conf, "queued.max.messages.kbytes", config->kafka_queue_bytes_max / 1024,
                      err);
}

static mr_status set_consumer(rd_kafka_conf_t *conf, const mr_config *config, mr_error *err)
{
    char name[512];
    mr_kafka_member_name(config, name, sizeof name);
    MR_TRY(set_reading(conf, config, err));
    MR_TRY(set(conf, "group.id", config->kafka_group, err));
    if (config->kafka_membership == MR_MEMBERSHIP_STATIC)
        MR_TRY(set(conf, "group.instance.id", name, err));
    // Eager: the cooperative assignors have faults in librdkafka before 2.10.
    MR_TRY(set(conf, "partition.assignment.strategy", "range", err));
    MR_TRY(set_number(conf, "session.timeout.ms", config->kafka_session_timeout, err));
    // The answer to a heartbeat is how a member hears that the group changes: with the client's 3 s
    // a task that is free would wait as long for its next owner.
    MR_TRY(set_number(conf, "heartbeat.interval.ms", MR_KAFKA_HEARTBEAT_MS, err));
    return set_number(conf, "max.poll.interval.ms", config->kafka_poll_interval_max, err);
}

static mr_status set_producing(rd_kafka_conf_t *conf, const mr_config *config, mr_error *err)
{
    MR_TRY(set(conf, "enable.idempotence", "true", err));
    MR_TRY(set_number(
        conf, "message.max.bytes",
        config->outputs_record_bytes_max < 1000 ? 1000 : config->outputs_record_bytes_max, err));
    MR_TRY(set(conf, "queue.buffering.max.messages", "10000000", err));
    return set_number(conf, "queue.buffering.max.kbytes", config->commit_bytes_max / 512, err);
}

static mr_status set_transactional(rd_kafka_conf_t *conf, const mr_config *config, mr_error *err)
{
    char name[512];
    mr_kafka_member_name(config, name, sizeof name);
    MR_TRY(set_producing(conf, config, err));
    MR_TRY(set(conf, "transactional.id", name, err));
    MR_TRY(set_number(conf, "transaction.timeout.ms", config->kafka_transaction_timeout, err));
    // A commit's records are all there when it begins: waiting for more only costs time. And a
    // coordinator that still writes the last transaction's markers is asked again soon: with the
    // client's 100 ms a commit of 10 rows takes 44 ms instead of 13.
    MR_TRY(set(conf, "linger.ms", "0", err));
    return set(conf, "retry.backoff.ms", "2", err);
}

static mr_status set_role(rd_kafka_conf_t *conf, const mr_config *config, mr_kafka_role role,
                          mr_error *err)
{
    switch (role) {
    case MR_KAFKA_ADMIN:
        // Ends of logs are asked with this handle, and have to count what is not committed yet. The
        // property holds for the client's offset requests too.
        return set(conf, "isolation.level", "read_uncommitted", err);
    case MR_KAFKA_CONSUMER:
        return set_consumer(conf, config, err);
    case MR_KAFKA_PRODUCER:
        return set_transactional(conf, config, err);
    case MR_KAFKA_PLAIN_PRODUCER:
        return set_producing(conf, config, err);
    case MR_KAFKA_CHANGELOG_READER:
        // Its reads end at the end of a log, which an empty fetch tells: the default lets the
        // brokers wait half a second before they say so, for each partition.
        MR_TRY(set(conf, "fetch.wait.max.ms", "5", err));
        MR_TRY(set(conf, "fetch.error.backoff.ms", "20", err));
        // Rows are small, and what bounds memory is bytes.
        MR_TRY(set(conf, "queued.min.messages", "10000000", err));
        return set_reading(conf, config, err);
    case MR_KAFKA_FOLLOWER:
        // It reads all the time: a fetch that finds nothing has to wait, or three workers ask three
        // brokers two thousand times a second.
        MR_TRY(set(conf, "fetch.wait.max.ms", "100", err));
        MR_TRY(set(conf, "fetch.error.backoff.ms", "20", err));
        return set_reading(conf, config, err);
    }
    MR_ASSERT(!"a role that is none");
    return MR_FATAL;
}

static bool is_producer(mr_kafka_role role)
{
    return role == MR_KAFKA_PRODUCER || role == MR_KAFKA_PLAIN_PRODUCER;
}

mr_status mr_kafka_conf(const mr_config *config, mr_kafka_role role, rd_kafka_conf_t **conf,
                        mr_error *err)
{
    *conf = rd_kafka_conf_new();
    mr_status status = set_properties(*conf, &config->kafka_properties, err);
    if (status == MR_OK)
        status = set_properties(
            *conf, is_producer(role) ? &config->kafka_producer : &config->kafka_consumer, err);
    if (status == MR_OK)
        status = set_common(*conf, config, err);
    if (status == MR_OK)
        status = set_role(*conf, config, role, err);
    if (status != MR_OK) {
        rd_kafka_conf_destroy(*conf);
        *conf = NULL;
    }
    return status;
}

mr_status mr_kafka_open(rd_kafka_conf_t *conf, mr_kafka_role role, rd_kafka_t **handle,
                        mr_error *err)
{
    char reason[200];
    *handle = rd_kafka_new(is_producer(role) ? RD_KAFKA_PRODUCER : RD_KAFKA_CONSUMER, conf, reason,
                           sizeof reason);
    if (*handle == NULL) {
        rd_kafka_conf_destroy(conf);
        return mr_fail(err, MR_FATAL, "librdkafka: %s", reason);
    }
    return MR_OK;
}

// The tasks belong to somebody else now, or may. FENCED_INSTANCE_ID says that our name has another
// member id in the group: that of a second process, or our own, where the client has joined again
// after a pause and this request is of before it. The next heartbeat tells them apart.
static bool is_fence(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR__FENCED || code == RD_KAFKA_RESP_ERR_PRODUCER_FENCED ||
           code == RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH ||
           code == RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION ||
           code == RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID ||
           code == RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS ||
           code == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID;
}

mr_status mr_kafka_failed(rd_kafka_error_t *error, const char *what, mr_error *err)
{
    const rd_kafka_resp_err_t code = rd_kafka_error_code(error);
    mr_status status = MR_FATAL;
    if (is_fence(code))
        status = MR_FENCED;
    else if (rd_kafka_error_is_fatal(error))
        status = MR_FENCED; // lost sequence and the like: only a new producer can tell the outcome
    else if (rd_kafka_error_txn_requires_abort(error))
        status = MR_ABORT;
    else if (rd_kafka_error_is_retriable(error) || code == RD_KAFKA_RESP_ERR__TIMED_OUT)
        status = MR_RETRY;
    mr_fail(err, status, "%s: %s (%s)", what, rd_kafka_error_string(error),
            rd_kafka_error_name(error));
    rd_kafka_error_destroy(error);
    return status;
}
