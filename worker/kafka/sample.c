// SPDX-License-Identifier: Apache-2.0
#include "worker/kafka/sample.h"

#include <stdlib.h>

#include "worker/kafka/message.h"
#include "worker/kafka/refusal.h"

enum { PATIENCE_MS = 10000, WAIT_MS = 100 };

typedef struct sampling {
    rd_kafka_t *handle;
    rd_kafka_topic_t *topic;
    rd_kafka_queue_t *queue;
    int64_t *ends;    // by partition: where the look ends
    uint32_t started; // partitions
    uint32_t open;    // of them have not come to their end
    bool refused;     // we may not read it
} sampling;

// A topic that was just made has no leader for a moment.
static mr_status ends_of(mr_kafka_admin *admin, const char *topic, uint32_t partition,
                         mr_log_ends *ends, mr_error *err)
{
    const mr_clock clock = mr_clock_system();
    const int64_t until = clock.now_ms(clock.context) + PATIENCE_MS;
    for (;;) {
        const mr_status status = mr_kafka_admin_ends(admin, topic, partition, ends, err);
        if (status != MR_RETRY || clock.now_ms(clock.context) > until)
            return status;
        clock.sleep_ms(clock.context, WAIT_MS);
    }
}

static mr_status start(sampling *s, mr_kafka_admin *admin, const char *topic, uint32_t partition,
                       uint32_t per_partition, mr_error *err)
{
    mr_log_ends ends;
    MR_TRY(ends_of(admin, topic, partition, &ends, err));
    const int64_t first =
        ends.end - ends.first > per_partition ? ends.end - per_partition : ends.first;
    if (rd_kafka_consume_start_queue(s->topic, (int32_t)partition, first, s->queue) != 0)
        return mr_fail(err, MR_FATAL, "%s [%u]: %s", topic, partition,
                       rd_kafka_err2str(rd_kafka_last_error()));
    s->ends[partition] = ends.end;
    s->started++;
    s->open++;
    return MR_OK;
}

// Whether the message is the last of its partition.
static bool take(sampling *s, rd_kafka_message_t *message, mr_kafka_sample_visit *visit,
                 void *context)
{
    if (message->partition < 0) // an error of no partition: what it means for one comes by itself
        return false;
    const int64_t end = s->ends[message->partition];
    if (end < 0) // it has come to its end already
        return false;
    s->refused = s->refused || mr_kafka_is_refusal(message->err);
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR && message->offset < end) {
        const mr_message view = mr_kafka_message(message);
        visit(context, &view);
    }
    return message->err != RD_KAFKA_RESP_ERR_NO_ERROR || message->offset + 1 >= end;
}

static void look(sampling *s, mr_kafka_sample_visit *visit, void *context)
{
    const mr_clock clock = mr_clock_system();
    const int64_t until = clock.now_ms(clock.context) + PATIENCE_MS;
    while (s->open > 0 && clock.now_ms(clock.context) < until) {
        rd_kafka_message_t *message = rd_kafka_consume_queue(s->queue, WAIT_MS);
        if (message == NULL)
            continue;
        if (take(s, message, visit, context)) {
            s->ends[message->partition] = -1;
            s->open--;
        }
        rd_kafka_message_destroy(message);
    }
}

static mr_status sample(sampling *s, const mr_config *config, mr_kafka_admin *admin,
                        const char *topic, uint32_t partition_count, uint32_t per_partition,
                        mr_error *err)
{
    rd_kafka_conf_t *conf;
    s->ends = calloc(partition_count + 1u, sizeof *s->ends);
    if (s->ends == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    MR_TRY(mr_kafka_conf(config, MR_KAFKA_CHANGELOG_READER, &conf, err));
    MR_TRY(mr_kafka_open(conf, MR_KAFKA_CHANGELOG_READER, &s->handle, err));
    s->queue = rd_kafka_queue_new(s->handle);
    s->topic = rd_kafka_topic_new(s->handle, topic, NULL);
    if (s->topic == NULL)
        return mr_fail(err, MR_FATAL, "%s: %s", topic, rd_kafka_err2str(rd_kafka_last_error()));
    for (uint32_t p = 0; p < partition_count; p++)
        MR_TRY(start(s, admin, topic, p, per_partition, err));
    return MR_OK;
}

mr_status mr_kafka_sample(const mr_config *config, mr_kafka_admin *admin, const char *topic,
                          uint32_t partition_count, uint32_t per_partition,
                          mr_kafka_sample_visit *visit, void *context, mr_error *err)
{
    sampling s = {0};
    mr_status status = sample(&s, config, admin, topic, partition_count, per_partition, err);
    if (status == MR_OK)
        look(&s, visit, context);
    if (s.refused)
        status = mr_kafka_lacks(config, MR_RIGHT_READ_TOPIC, topic, err);
    for (uint32_t p = 0; p < s.started; p++)
        rd_kafka_consume_stop(s.topic, (int32_t)p);
    if (s.topic != NULL)
        rd_kafka_topic_destroy(s.topic);
    if (s.queue != NULL)
        rd_kafka_queue_destroy(s.queue);
    if (s.handle != NULL)
        rd_kafka_destroy(s.handle);
    free(s.ends);
    return status;
}
