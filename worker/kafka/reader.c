// SPDX-License-Identifier: Apache-2.0
// Reading as fast as the brokers give, through a client that stops to ask.
//
// librdkafka fetches ahead until its queue has kafka.queue_bytes_max, then the thread of that
// broker sleeps for a second, whatever is taken meanwhile; a restore empties the queue in a tenth
// of that. Any request to the broker wakes the thread, and it looks at the queue again: so where
// the queue was full and is now half empty, the reader asks for the ends of the log.
#include "worker/kafka/reader.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "worker/kafka/refusal.h"

enum {
    BATCH = 1000, // messages of a batch, which waits until it is full, or for so long:
    WAIT_MS = 5,
    SLICE_MS = 100, // of one call
    ASK_MS = 1000,  // for an answer that nobody wants
};

struct mr_kafka_reader {
    rd_kafka_t *handle;
    const mr_config *config;
    rd_kafka_topic_t *topic; // that is being read; NULL: none
    int32_t partition;
    int64_t position;         // where the next slice goes on
    rd_kafka_queue_t *queue;  // of that partition
    size_t queue_bytes_max;   // where fetching stops
    size_t longest;           // the queue has been, since the broker was asked last
    uint64_t messages, bytes; // taken of this partition
    rd_kafka_message_t *batch[BATCH];
};

mr_status mr_kafka_reader_open(const mr_config *config, mr_kafka_reader **out, mr_error *err)
{
    rd_kafka_conf_t *conf;
    mr_kafka_reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    reader->config = config;
    reader->queue_bytes_max = (size_t)config->kafka_queue_bytes_max;
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

static void stop(mr_kafka_reader *reader)
{
    if (reader->topic == NULL)
        return;
    rd_kafka_consume_stop(reader->topic, reader->partition);
    rd_kafka_topic_destroy(reader->topic);
    rd_kafka_queue_destroy(reader->queue); // with what it still holds
    reader->topic = NULL;
}

void mr_kafka_reader_close(mr_kafka_reader *reader)
{
    if (reader == NULL)
        return;
    stop(reader);
    rd_kafka_destroy(reader->handle);
    free(reader);
}

// One message: a record, the end of the partition, or an error. *next moves behind it.
static mr_status take(const mr_kafka_reader *reader, const rd_kafka_message_t *message,
                      mr_bus_visit *visit, void *visit_context, int64_t end, int64_t *next,
                      mr_error *err)
{
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        // The offset up to which every transaction is decided, control records included.
        if (message->offset > *next)
            *next = message->offset;
        return MR_OK;
    }
    if (mr_kafka_is_refusal(message->err))
        return mr_kafka_lacks(reader->config, MR_RIGHT_READ_TOPIC,
                              rd_kafka_topic_name(reader->topic), err);
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

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

// Wakes the fetching where it may sleep over a queue that was full, `taken` messages ago.
static void keep_fetching(mr_kafka_reader *reader, size_t taken)
{
    int64_t low, high;
    const size_t length = rd_kafka_queue_length(reader->queue);
    if (length + taken > reader->longest)
        reader->longest = length + taken;
    // Its length in bytes is not told; a full one may be a fetch short of its limit.
    const uint64_t each = reader->bytes / (reader->messages + 1);
    if (length > reader->longest / 2 || reader->longest * each < reader->queue_bytes_max / 4 * 3)
        return;
    reader->longest = length;
    (void)rd_kafka_query_watermark_offsets(reader->handle, rd_kafka_topic_name(reader->topic),
                                           reader->partition, &low, &high, ASK_MS);
}

static mr_status read_slice(mr_kafka_reader *reader, int64_t end, mr_bus_visit *visit,
                            void *visit_context, int64_t *next, mr_error *err)
{
    const int64_t until = now_ms() + SLICE_MS;
    while (*next < end && now_ms() < until) {
        const ssize_t count =
            rd_kafka_consume_batch_queue(reader->queue, WAIT_MS, reader->batch, BATCH);
        mr_status status = MR_OK;
        for (ssize_t i = 0; i < count; i++) {
            reader->messages++;
            reader->bytes += reader->batch[i]->len + reader->batch[i]->key_len;
            if (status == MR_OK)
                status = take(reader, reader->batch[i], visit, visit_context, end, next, err);
            rd_kafka_message_destroy(reader->batch[i]);
        }
        if (status != MR_OK) {
            stop(reader); // what came behind was given back: the next slice reads it again
            return status;
        }
        rd_kafka_poll(reader->handle, 0);
        if (count <= 0)
            break;
        keep_fetching(reader, (size_t)count);
    }
    if (*next >= end)
        return MR_OK;
    return mr_fail(err, MR_RETRY, "at offset %lld of %lld", (long long)*next, (long long)end);
}

static mr_status start(mr_kafka_reader *reader, const char *topic, uint32_t partition,
                       int64_t first, mr_error *err)
{
    if (reader->topic != NULL && strcmp(rd_kafka_topic_name(reader->topic), topic) == 0 &&
        reader->partition == (int32_t)partition && reader->position == first)
        return MR_OK;
    stop(reader);
    reader->partition = (int32_t)partition;
    reader->messages = reader->bytes = 0;
    reader->longest = 0;
    reader->queue = rd_kafka_queue_new(reader->handle);
    reader->topic = rd_kafka_topic_new(reader->handle, topic, NULL);
    if (reader->topic != NULL &&
        rd_kafka_consume_start_queue(reader->topic, (int32_t)partition, first, reader->queue) == 0)
        return MR_OK;
    const rd_kafka_resp_err_t code = rd_kafka_last_error();
    if (reader->topic != NULL)
        rd_kafka_topic_destroy(reader->topic);
    rd_kafka_queue_destroy(reader->queue);
    reader->topic = NULL;
    return mr_fail(err, MR_FATAL, "%s [%u]: %s", topic, partition, rd_kafka_err2str(code));
}

mr_status mr_kafka_reader_read(mr_kafka_reader *reader, const char *topic, uint32_t partition,
                               int64_t first, int64_t end, mr_bus_visit *visit, void *visit_context,
                               int64_t *next, mr_error *err)
{
    *next = first;
    if (first >= end)
        return MR_OK;
    MR_TRY(start(reader, topic, partition, first, err));
    const mr_status status = read_slice(reader, end, visit, visit_context, next, err);
    reader->position = *next;
    if (status != MR_RETRY)
        stop(reader);
    if (status != MR_OK)
        return mr_wrap(err, "%s [%u]", topic, partition);
    return MR_OK;
}
