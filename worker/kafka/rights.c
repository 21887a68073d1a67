// SPDX-License-Identifier: Apache-2.0
// How each question is refused after the rights were looked at:
//   Write on a topic           a record that wants two acknowledgements, which no broker gives
//   since
//                              Kafka 0.9: INVALID_REQUIRED_ACKS
//   Read on a group, a topic   offsets of a partition that no topic has: UNKNOWN_TOPIC_OR_PARTITION
//   Write on a transactional id  a producer whose transactions last longer than any broker allows:
//                              INVALID_TRANSACTION_TIMEOUT, which leaves a running one alone
#include "worker/kafka/rights.h"

#include "worker/kafka/client.h"

enum { CALL_MS = 10000, NO_PARTITION = INT32_MAX };

typedef struct asking {
    const mr_config *config;
    mr_kafka_lack *lack;
    void *context;
    bool silent;                  // some broker did not answer
    bool may_not[MR_TOPIC_COUNT]; // write to it
} asking;

static void say(const asking *a, mr_right right, const char *what)
{
    mr_error lack = {0};
    mr_kafka_lacks(a->config, right, what, &lack);
    a->lack(a->context, what, &lack);
}

static mr_status set(rd_kafka_conf_t *conf, const char *name, const char *value, mr_error *err)
{
    char reason[160];
    if (rd_kafka_conf_set(conf, name, value, reason, sizeof reason) == RD_KAFKA_CONF_OK)
        return MR_OK;
    return mr_fail(err, MR_FATAL, "librdkafka: %s=%s: %s", name, value, reason);
}

static mr_status silence(const char *what, mr_error *err)
{
    return mr_fail(err, MR_RETRY, "no answer to what we may %s", what);
}

// Writing.

static void on_delivery(rd_kafka_t *handle, const rd_kafka_message_t *message, void *context)
{
    asking *a = context;
    (void)handle;
    if (message->err == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)
        a->may_not[(uintptr_t)message->_private] = true;
    else if (message->err != RD_KAFKA_RESP_ERR_INVALID_REQUIRED_ACKS &&
             message->err != RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC)
        a->silent = true;
}

static mr_status open_writer(asking *a, rd_kafka_t **handle, mr_error *err)
{
    rd_kafka_conf_t *conf;
    MR_TRY(mr_kafka_conf(a->config, MR_KAFKA_PLAIN_PRODUCER, &conf, err));
    mr_status status = set(conf, "enable.idempotence", "false", err);
    if (status == MR_OK)
        status = set(conf, "acks", "2", err);
    if (status == MR_OK)
        status = set(conf, "message.timeout.ms", "10000", err);
    if (status != MR_OK) {
        rd_kafka_conf_destroy(conf);
        return status;
    }
    rd_kafka_conf_set_log_cb(conf, NULL); // a refusal is the answer, not an error
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_conf_set_opaque(conf, a);
    return mr_kafka_open(conf, MR_KAFKA_PLAIN_PRODUCER, handle, err);
}

mr_status mr_kafka_rights_write(const mr_config *config, mr_kafka_lack *lack, void *context,
                                mr_error *err)
{
    asking a = {.config = config, .lack = lack, .context = context};
    rd_kafka_t *handle;
    MR_TRY(open_writer(&a, &handle, err));
    for (int t = 0; t < MR_TOPIC_COUNT; t++) {
        const char *const topic = mr_kafka_topic_name(config, (mr_topic)t);
        if (mr_kafka_topic_used(config, (mr_topic)t) &&
            rd_kafka_producev(handle, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(0),
                              RD_KAFKA_V_OPAQUE((void *)(uintptr_t)t),
                              RD_KAFKA_V_END) != RD_KAFKA_RESP_ERR_NO_ERROR)
            a.silent = true;
    }
    rd_kafka_flush(handle, 2 * CALL_MS);
    a.silent = a.silent || rd_kafka_outq_len(handle) > 0;
    rd_kafka_purge(handle, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    rd_kafka_destroy(handle);
    for (int t = 0; t < MR_TOPIC_COUNT; t++) {
        if (a.may_not[t])
            say(&a, MR_RIGHT_WRITE_TOPIC, mr_kafka_topic_name(config, (mr_topic)t));
    }
    return a.silent ? silence("write", err) : MR_OK;
}

// Reading.

static rd_kafka_topic_partition_list_t *what_is_read(const mr_config *config)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    static const mr_topic ours[] = {MR_TOPIC_USER_ROWS, MR_TOPIC_ITEM_ROWS, MR_TOPIC_ITEM_DELTAS,
                                    MR_TOPIC_REPARTITION};
    for (uint32_t i = 0; i < config->input_count; i++)
        if (!mr_config_is_pattern(&config->inputs[i]))
            rd_kafka_topic_partition_list_add(list, config->inputs[i].topic, NO_PARTITION)->offset =
                0;
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
        if (mr_kafka_topic_used(config, ours[i]))
            rd_kafka_topic_partition_list_add(list, mr_kafka_topic_name(config, ours[i]),
                                              NO_PARTITION)
                ->offset = 0;
    }
    return list;
}

static void hear_group(asking *a, const rd_kafka_group_result_t *result)
{
    const rd_kafka_topic_partition_list_t *list = rd_kafka_group_result_partitions(result);
    const rd_kafka_error_t *error = rd_kafka_group_result_error(result);
    rd_kafka_resp_err_t code =
        error != NULL ? rd_kafka_error_code(error) : RD_KAFKA_RESP_ERR_NO_ERROR;
    for (int i = 0; list != NULL && i < list->cnt; i++) {
        if (list->elems[i].err == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)
            say(a, MR_RIGHT_READ_TOPIC, list->elems[i].topic);
        else if (mr_kafka_is_refusal(list->elems[i].err))
            code = list->elems[i].err;
    }
    if (code == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED)
        say(a, MR_RIGHT_READ_GROUP, a->config->kafka_group);
    else if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        a->silent = true;
}

static void hear_read(asking *a, rd_kafka_event_t *event)
{
    size_t count = 0;
    const rd_kafka_resp_err_t code =
        event != NULL ? rd_kafka_event_error(event) : RD_KAFKA_RESP_ERR__TIMED_OUT;
    const rd_kafka_group_result_t **results = NULL;
    if (code == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED)
        say(a, MR_RIGHT_READ_GROUP, a->config->kafka_group);
    else if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        a->silent = true;
    else
        results = rd_kafka_AlterConsumerGroupOffsets_result_groups(
            rd_kafka_event_AlterConsumerGroupOffsets_result(event), &count);
    for (size_t i = 0; i < count; i++)
        hear_group(a, results[i]);
}

mr_status mr_kafka_rights_read(const mr_config *config, mr_kafka_lack *lack, void *context,
                               mr_error *err)
{
    asking a = {.config = config, .lack = lack, .context = context};
    rd_kafka_t *handle;
    rd_kafka_conf_t *conf;
    MR_TRY(mr_kafka_conf(config, MR_KAFKA_ADMIN, &conf, err));
    MR_TRY(mr_kafka_open(conf, MR_KAFKA_ADMIN, &handle, err));
    rd_kafka_queue_t *queue = rd_kafka_queue_new(handle);
    rd_kafka_topic_partition_list_t *list = what_is_read(config);
    rd_kafka_AlterConsumerGroupOffsets_t *wanted =
        rd_kafka_AlterConsumerGroupOffsets_new(config->kafka_group, list);
    rd_kafka_AlterConsumerGroupOffsets(handle, &wanted, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 2 * CALL_MS);
    hear_read(&a, event);
    if (event != NULL)
        rd_kafka_event_destroy(event);
    rd_kafka_AlterConsumerGroupOffsets_destroy(wanted);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(handle);
    return a.silent ? silence("read", err) : MR_OK;
}

// Transactions.

mr_status mr_kafka_rights_transact(const mr_config *config, mr_kafka_lack *lack, void *context,
                                   mr_error *err)
{
    const asking a = {.config = config, .lack = lack, .context = context};
    char name[512];
    rd_kafka_t *handle;
    rd_kafka_conf_t *conf;
    MR_TRY(mr_kafka_conf(config, MR_KAFKA_PRODUCER, &conf, err));
    if (set(conf, "transaction.timeout.ms", "2147483647", err) != MR_OK) {
        rd_kafka_conf_destroy(conf);
        return err->status;
    }
    rd_kafka_conf_set_log_cb(conf, NULL);
    MR_TRY(mr_kafka_open(conf, MR_KAFKA_PRODUCER, &handle, err));
    rd_kafka_error_t *error = rd_kafka_init_transactions(handle, CALL_MS);
    const rd_kafka_resp_err_t code =
        error != NULL ? rd_kafka_error_code(error) : RD_KAFKA_RESP_ERR_NO_ERROR;
    if (error != NULL)
        rd_kafka_error_destroy(error);
    rd_kafka_destroy(handle);
    if (mr_kafka_is_refusal(code)) {
        mr_kafka_member_name(config, name, sizeof name);
        say(&a, MR_RIGHT_WRITE_TRANSACTIONAL_ID, name);
    } else if (code != RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT &&
               code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return silence("call a transaction", err);
    }
    return MR_OK;
}
