// SPDX-License-Identifier: Apache-2.0
// The worker without exactly once: a bus that sends lists, metrics and the like without
// transactions, and neither changelog nor markers nor offsets. What it says of commits is a lie;
// nothing could recover from it.
#include <stdlib.h>

#include "worker/bench/pipeline.h"

enum { CALL_MS = 60000 };

struct mr_bare {
    mr_bus inner; // for whatever only asks
    rd_kafka_t *producer;
    rd_kafka_topic_t *topics[MR_TOPIC_COUNT];
};

static mr_status nothing(void *context, mr_error *err)
{
    (void)context, (void)err;
    return MR_OK;
}

static mr_status no_offsets(void *context, uint64_t generation, const mr_offset *offsets,
                            uint32_t offset_count, mr_error *err)
{
    (void)context, (void)generation, (void)offsets, (void)offset_count, (void)err;
    return MR_OK;
}

static mr_status produce(void *context, const mr_record *record, mr_error *err)
{
    mr_bare *bare = context;
    union { // librdkafka takes pointers that are not const, but copies nothing and only reads
        const uint8_t *read_only;
        void *value;
    } bytes = {record->value.data};
    if (record->topic == MR_TOPIC_USER_ROWS || record->topic == MR_TOPIC_ITEM_ROWS)
        return MR_OK;
    if (rd_kafka_produce(bare->topics[record->topic], (int32_t)record->partition, 0, bytes.value,
                         record->value.size, record->key.data, record->key.size, NULL) == 0)
        return MR_OK;
    if (rd_kafka_last_error() == RD_KAFKA_RESP_ERR__QUEUE_FULL)
        return mr_fail(err, MR_RETRY, "the queue is full");
    return mr_fail(err, MR_FATAL, "%s", rd_kafka_err2str(rd_kafka_last_error()));
}

static mr_status flush(void *context, mr_error *err)
{
    const mr_bare *bare = context;
    if (rd_kafka_flush(bare->producer, CALL_MS) == RD_KAFKA_RESP_ERR_NO_ERROR)
        return MR_OK;
    return mr_fail(err, MR_RETRY, "flush timed out");
}

static int64_t produced(void *context, mr_topic topic, uint32_t partition)
{
    (void)context, (void)topic, (void)partition;
    return 0;
}

static mr_status follow(void *context, const mr_offset *offsets, uint32_t offset_count,
                        mr_error *err)
{
    const mr_bare *bare = context;
    return bare->inner.follow(bare->inner.context, offsets, offset_count, err);
}

static uint32_t follow_take(void *context, mr_message *messages, uint32_t max)
{
    const mr_bare *bare = context;
    return bare->inner.follow_take(bare->inner.context, messages, max);
}

mr_status mr_bare_open(const mr_config *config, mr_bus *bus, mr_bare **out, mr_error *err)
{
    rd_kafka_conf_t *conf;
    mr_bare *bare = calloc(1, sizeof *bare);
    if (bare == NULL)
        return mr_fail(err, MR_FATAL, "bench pipeline: out of memory");
    bare->inner = *bus;
    mr_status status = mr_kafka_conf(config, MR_KAFKA_PLAIN_PRODUCER, &conf, err);
    if (status == MR_OK)
        status = mr_kafka_open(conf, MR_KAFKA_PLAIN_PRODUCER, &bare->producer, err);
    for (int t = 0; status == MR_OK && t < MR_TOPIC_COUNT; t++)
        bare->topics[t] =
            rd_kafka_topic_new(bare->producer, mr_kafka_topic_name(config, (mr_topic)t), NULL);
    if (status != MR_OK) {
        mr_bare_close(bare);
        return status;
    }
    bus->context = bare;
    bus->begin = bus->commit = bus->renew = nothing;
    bus->produce = produce;
    bus->flush = flush;
    bus->produced = produced;
    bus->send_offsets = no_offsets;
    bus->follow = follow;
    bus->follow_take = follow_take;
    *out = bare;
    return MR_OK;
}

void mr_bare_close(mr_bare *bare)
{
    if (bare == NULL)
        return;
    for (int t = 0; t < MR_TOPIC_COUNT; t++) {
        if (bare->topics[t] != NULL)
            rd_kafka_topic_destroy(bare->topics[t]);
    }
    if (bare->producer != NULL)
        rd_kafka_destroy(bare->producer);
    free(bare);
}
