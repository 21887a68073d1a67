// SPDX-License-Identifier: Apache-2.0
#include "worker/kafka/follow.h"

#include <stdlib.h>

#include "worker/kafka/message.h"
#include "worker/kafka/refusal.h"

enum { TAKE_MAX = 256 };

struct mr_kafka_follow {
    rd_kafka_t *handle;
    rd_kafka_queue_t *queue;
    const mr_config *config;
    const char *topic;
    mr_error refused; // why it cannot be read, where a message says so
};

// Partitions are assigned by hand: the group is a name that is never joined. The client asks for
// its coordinator all the same, so it is one that we may read.
static mr_status name_group(const mr_config *config, rd_kafka_conf_t *conf, mr_error *err)
{
    char reason[200];
    if (rd_kafka_conf_set(conf, "group.id", config->kafka_group, reason, sizeof reason) ==
        RD_KAFKA_CONF_OK)
        return MR_OK;
    rd_kafka_conf_destroy(conf);
    return mr_fail(err, MR_FATAL, "librdkafka: %s", reason);
}

mr_status mr_kafka_follow_open(const mr_config *config, const char *topic, mr_kafka_follow **out,
                               mr_error *err)
{
    rd_kafka_conf_t *conf;
    mr_kafka_follow *follow = calloc(1, sizeof *follow);
    if (follow == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    follow->config = config;
    follow->topic = topic;
    mr_status status = mr_kafka_conf(config, MR_KAFKA_FOLLOWER, &conf, err);
    if (status == MR_OK)
        status = name_group(config, conf, err);
    if (status == MR_OK)
        status = mr_kafka_open(conf, MR_KAFKA_FOLLOWER, &follow->handle, err);
    if (status != MR_OK) {
        free(follow);
        return status;
    }
    rd_kafka_poll_set_consumer(follow->handle);
    follow->queue = rd_kafka_queue_get_consumer(follow->handle);
    *out = follow;
    return MR_OK;
}

void mr_kafka_follow_close(mr_kafka_follow *follow)
{
    if (follow == NULL)
        return;
    rd_kafka_queue_destroy(follow->queue);
    rd_kafka_consumer_close(follow->handle);
    rd_kafka_destroy(follow->handle);
    free(follow);
}

mr_status mr_kafka_follow_assign(mr_kafka_follow *follow, const mr_offset *offsets,
                                 uint32_t offset_count, mr_error *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)offset_count);
    for (uint32_t i = 0; i < offset_count; i++)
        rd_kafka_topic_partition_list_add(list, follow->topic, (int32_t)offsets[i].partition)
            ->offset = offsets[i].next >= 0 ? offsets[i].next : RD_KAFKA_OFFSET_BEGINNING;
    const rd_kafka_resp_err_t code = rd_kafka_assign(follow->handle, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return mr_fail(err, MR_FATAL, "%s: %s", follow->topic, rd_kafka_err2str(code));
    return MR_OK;
}

uint32_t mr_kafka_follow_take(mr_kafka_follow *follow, mr_message *messages, uint32_t max)
{
    rd_kafka_message_t *batch[TAKE_MAX];
    const ssize_t count =
        rd_kafka_consume_batch_queue(follow->queue, 0, batch, max < TAKE_MAX ? max : TAKE_MAX);
    for (ssize_t i = 0; i < count; i++) {
        messages[i] = mr_kafka_message(batch[i]);
        if (!mr_kafka_is_refusal(batch[i]->err))
            continue;
        const bool of_group = batch[i]->err == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED;
        mr_kafka_lacks(follow->config, of_group ? MR_RIGHT_READ_GROUP : MR_RIGHT_READ_TOPIC,
                       of_group ? follow->config->kafka_group : follow->topic, &follow->refused);
        messages[i].error = follow->refused.text;
    }
    return count > 0 ? (uint32_t)count : 0;
}
