// SPDX-License-Identifier: Apache-2.0
#include "worker/kafka/reader.h"

#include <stdlib.h>

enum { BATCH = 1000, WAIT_MS = 20 }; // a batch waits until it is full, or for so long

struct mr_kafka_reader {
    rd_kafka_t *handle;
    const mr_config *config;
    mr_status (*idle)(void *context, mr_error *err);
    void *idle_context;
    rd_kafka_message_t *batch[BATCH];
};

mr_status mr_kafka_reader_open(const mr_config *config,
                               mr_status (*idle)(void *context, mr_error *err), void *idle_context,
                               mr_kafka_reader **out, mr_error *err)
{
    rd_kafka_conf_t *conf;
    mr_kafka_reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    reader->config = config;
    reader->idle = idle;
    reader->idle_context = idle_context;
    mr_status status = mr_kafka_conf(config, MR_KAFKA_CHANGELOG_READER, &conf, err);
    if (status == MR_OK)
        status = mr_kafka_open(conf, MR_KAFKA_CHANGELOG_READER, &reader->handle, err);
    if (status != MR_OK) {
        free(reader);
        return status;
    }
    *out = reader;
    return MR_OK;
}

void mr_kafka_reader_close(mr_kafka_reader *reader)
{
    if (reader == NULL)
        return;
    rd_kafka_destroy(reader->handle);
    free(reader);
}

// One message: a record, the end of the partition, or an error. *next moves behind it.
static mr_status take(const rd_kafka_message_t *message, mr_bus_visit *visit, void *visit_context,
                      int64_t end, int64_t *next, mr_error *err)
{
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        // The offset up to which every transaction is decided, control records included.
        if (message->offset > *next)
            *next = message->offset;
        return MR_OK;
    }
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR)
        return mr_fail(err, MR_FATAL, "%s", rd_kafka_message_errstr(message));
    if (message->offset >= end) // written after the end was asked for: not ours to apply
        return MR_OK;
    const mr_bytes key = mr_bytes_of(message->key, message->key_len);
    const mr_bytes value = mr_bytes_of(message->payload, message->len);
    MR_TRY(visit(visit_context, message->offset, key, value, err));
    *next = message->offset + 1;
    return MR_OK;
}

static mr_status read_until(mr_kafka_reader *reader, rd_kafka_topic_t *topic, int32_t partition,
                            int64_t end, mr_bus_visit *visit, void *visit_context, int64_t *next,
                            mr_error *err)
{
    const int64_t patience_ms = reader->config->kafka_transaction_timeout + 60000;
    int64_t idle_ms = 0;
    while (*next < end) {
        const ssize_t count =
            rd_kafka_consume_batch(topic, partition, WAIT_MS, reader->batch, BATCH);
        mr_status status = MR_OK;
        for (ssize_t i = 0; i < count; i++) {
            if (status == MR_OK)
                status = take(reader->batch[i], visit, visit_context, end, next, err);
            rd_kafka_message_destroy(reader->batch[i]);
        }
        MR_TRY(status);
        idle_ms = count > 0 ? 0 : idle_ms + WAIT_MS;
        if (idle_ms > patience_ms)
            return mr_fail(err, MR_RETRY, "nothing came for %lld s at offset %lld of %lld",
                           (long long)(patience_ms / 1000), (long long)*next, (long long)end);
        if (reader->idle != NULL)
            MR_TRY(reader->idle(reader->idle_context, err));
        rd_kafka_poll(reader->handle, 0);
    }
    return MR_OK;
}

mr_status mr_kafka_reader_read(mr_kafka_reader *reader, const char *topic, uint32_t partition,
                               int64_t first, int64_t end, mr_bus_visit *visit, void *visit_context,
                               int64_t *next, mr_error *err)
{
    *next = first;
    if (first >= end)
        return MR_OK;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(reader->handle, topic, NULL);
    if (handle == NULL || rd_kafka_consume_start(handle, (int32_t)partition, first) != 0) {
        const rd_kafka_resp_err_t code = rd_kafka_last_error();
        if (handle != NULL)
            rd_kafka_topic_destroy(handle);
        return mr_fail(err, MR_FATAL, "%s [%u]: %s", topic, partition, rd_kafka_err2str(code));
    }
    const mr_status status =
        read_until(reader, handle, (int32_t)partition, end, visit, visit_context, next, err);
    rd_kafka_consume_stop(handle, (int32_t)partition);
    rd_kafka_topic_destroy(handle);
    if (status != MR_OK)
        mr_wrap(err, "%s [%u]", topic, partition);
    return status;
}
