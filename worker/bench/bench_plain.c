// SPDX-License-Identifier: Apache-2.0
// The reference of the pipeline bench: what somebody would write who only had to move the bytes.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "worker/bench/measure.h"
#include "worker/bench/pipeline.h"

enum {
    BATCH = 4096,
    PARTITIONS_MAX = 64,
    NOISE_BYTES = 1 << 20,
    CALL_MS = 30000,
    POLL_MS = 100,
    TAKE_MS = 5, // a batch waits until it is full, or so long
    EMPTY_MAX = CALL_MS / TAKE_MS,
    JOIN_POLLS = 600,
};

mr_spent mr_pipeline_now(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (mr_spent){mr_seconds(),
                      (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                          (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1e-6};
}

// ---- what the worker wrote

static mr_status add_sent(mr_sent_all *sent, const mr_sent *record, mr_error *err)
{
    if (sent->count == sent->room) {
        sent->room = sent->room > 0 ? sent->room * 2 : 1 << 16;
        mr_sent *more = realloc(sent->records, sent->room * sizeof *more);
        if (more == NULL)
            return mr_fail(err, MR_FATAL, "bench pipeline: out of memory");
        sent->records = more;
    }
    sent->records[sent->count++] = *record;
    sent->bytes += record->key_bytes + record->value_bytes;
    sent->lists += record->topic == MR_TOPIC_LISTS;
    return MR_OK;
}

static mr_topic topic_of(const mr_config *config, const char *name)
{
    mr_topic topic = MR_TOPIC_LISTS;
    while (topic < MR_TOPIC_COUNT && strcmp(mr_kafka_topic_name(config, topic), name) != 0)
        topic = (mr_topic)(topic + 1);
    return topic;
}

static mr_status read_to_ends(rd_kafka_t *reader, const mr_config *config, uint32_t partitions,
                              mr_sent_all *sent, mr_error *err)
{
    mr_status status = MR_OK;
    for (uint32_t ended = 0; status == MR_OK && ended < MR_TOPIC_COUNT * partitions;) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(reader, CALL_MS);
        if (message == NULL)
            return mr_fail(err, MR_FATAL, "bench pipeline: the outputs cannot be read back");
        if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
            ended++;
        } else if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
            status = mr_fail(err, MR_FATAL, "bench pipeline: %s", rd_kafka_message_errstr(message));
        } else {
            const mr_sent record = {
                .topic = (uint8_t)topic_of(config, rd_kafka_topic_name(message->rkt)),
                .partition = (uint8_t)message->partition,
                .key_bytes = (uint16_t)message->key_len,
                .value_bytes = (uint32_t)message->len,
            };
            status = add_sent(sent, &record, err);
        }
        rd_kafka_message_destroy(message);
    }
    return status;
}

static mr_status open_reader(const mr_config *config, rd_kafka_t **reader, mr_error *err)
{
    rd_kafka_conf_t *conf;
    char reason[160];
    MR_TRY(mr_kafka_conf(config, MR_KAFKA_CHANGELOG_READER, &conf, err));
    if (rd_kafka_conf_set(conf, "group.id", config->kafka_group, reason, sizeof reason) !=
        RD_KAFKA_CONF_OK) {
        rd_kafka_conf_destroy(conf);
        return mr_fail(err, MR_FATAL, "librdkafka: %s", reason);
    }
    MR_TRY(mr_kafka_open(conf, MR_KAFKA_CHANGELOG_READER, reader, err));
    rd_kafka_poll_set_consumer(*reader);
    return MR_OK;
}

mr_status mr_pipeline_read_sent(const mr_config *config, uint32_t partitions, mr_sent_all *sent,
                                mr_error *err)
{
    rd_kafka_t *reader;
    MR_TRY(open_reader(config, &reader, err));
    rd_kafka_topic_partition_list_t *all = rd_kafka_topic_partition_list_new(MR_TOPIC_COUNT);
    for (int topic = 0; topic < MR_TOPIC_COUNT; topic++)
        for (uint32_t p = 0; p < partitions; p++)
            rd_kafka_topic_partition_list_add(all, mr_kafka_topic_name(config, (mr_topic)topic),
                                              (int32_t)p)
                ->offset = RD_KAFKA_OFFSET_BEGINNING;
    rd_kafka_assign(reader, all);
    rd_kafka_topic_partition_list_destroy(all);
    const mr_status status = read_to_ends(reader, config, partitions, sent, err);
    rd_kafka_consumer_close(reader);
    rd_kafka_destroy(reader);
    return status;
}

// ---- the plain program

typedef struct plain {
    rd_kafka_t *consumer, *producer;
    rd_kafka_queue_t *queue;
    rd_kafka_topic_t *topics[MR_TOPIC_COUNT];
    rd_kafka_topic_partition_list_t *offsets; // next to read, by partition
    rd_kafka_consumer_group_metadata_t *member;
    uint8_t *noise;
    uint64_t failed;
} plain;

static void on_delivery(rd_kafka_t *handle, const rd_kafka_message_t *message, void *context)
{
    (void)handle;
    ((plain *)context)->failed += message->err != RD_KAFKA_RESP_ERR_NO_ERROR;
}

static mr_status said(rd_kafka_error_t *error, const char *call, mr_error *err)
{
    if (error == NULL)
        return MR_OK;
    mr_fail(err, MR_FATAL, "bench pipeline: %s: %s", call, rd_kafka_error_string(error));
    rd_kafka_error_destroy(error);
    return MR_FATAL;
}

// Joins the group for its metadata; the input is read from its start, whatever the group has.
static mr_status join(plain *p, const mr_config *config, uint32_t partitions, mr_error *err)
{
    rd_kafka_conf_t *conf;
    const char *const topic = config->inputs[0].topic;
    MR_TRY(mr_kafka_conf(config, MR_KAFKA_CONSUMER, &conf, err));
    MR_TRY(mr_kafka_open(conf, MR_KAFKA_CONSUMER, &p->consumer, err));
    rd_kafka_poll_set_consumer(p->consumer);
    rd_kafka_topic_partition_list_t *input = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(input, topic, RD_KAFKA_PARTITION_UA);
    rd_kafka_subscribe(p->consumer, input);
    rd_kafka_topic_partition_list_destroy(input);
    for (int i = 0; i < JOIN_POLLS; i++) {
        rd_kafka_topic_partition_list_t *assigned;
        rd_kafka_message_t *message = rd_kafka_consumer_poll(p->consumer, POLL_MS);
        if (message != NULL) // no offsets: said, and overruled below
            rd_kafka_message_destroy(message);
        rd_kafka_assignment(p->consumer, &assigned);
        const int count = assigned->cnt;
        rd_kafka_topic_partition_list_destroy(assigned);
        if (count == (int)partitions)
            break;
        if (i + 1 == JOIN_POLLS)
            return mr_fail(err, MR_FATAL, "bench pipeline: the group gave no assignment");
    }
    p->member = rd_kafka_consumer_group_metadata(p->consumer);
    p->offsets = rd_kafka_topic_partition_list_new((int)partitions);
    for (uint32_t i = 0; i < partitions; i++)
        rd_kafka_topic_partition_list_add(p->offsets, topic, (int32_t)i)->offset = 0;
    return MR_OK;
}

static mr_status open_plain(plain *p, const mr_config *config, uint32_t partitions, mr_error *err)
{
    rd_kafka_conf_t *conf;
    uint64_t noise = 1;
    p->noise = malloc(NOISE_BYTES);
    if (p->noise == NULL)
        return mr_fail(err, MR_FATAL, "bench pipeline: out of memory");
    for (size_t i = 0; i < NOISE_BYTES; i++)
        p->noise[i] = (uint8_t)mr_noise(&noise);
    MR_TRY(join(p, config, partitions, err));
    MR_TRY(mr_kafka_conf(config, MR_KAFKA_PRODUCER, &conf, err));
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_conf_set_opaque(conf, p);
    MR_TRY(mr_kafka_open(conf, MR_KAFKA_PRODUCER, &p->producer, err));
    for (int t = 0; t < MR_TOPIC_COUNT; t++)
        p->topics[t] =
            rd_kafka_topic_new(p->producer, mr_kafka_topic_name(config, (mr_topic)t), NULL);
    return said(rd_kafka_init_transactions(p->producer, CALL_MS), "init_transactions", err);
}

static void close_plain(plain *p)
{
    for (int t = 0; t < MR_TOPIC_COUNT; t++)
        if (p->topics[t] != NULL)
            rd_kafka_topic_destroy(p->topics[t]);
    if (p->producer != NULL)
        rd_kafka_destroy(p->producer);
    if (p->queue != NULL)
        rd_kafka_queue_destroy(p->queue);
    if (p->member != NULL)
        rd_kafka_consumer_group_metadata_destroy(p->member);
    if (p->offsets != NULL)
        rd_kafka_topic_partition_list_destroy(p->offsets);
    if (p->consumer != NULL) {
        rd_kafka_consumer_close(p->consumer);
        rd_kafka_destroy(p->consumer);
    }
    free(p->noise);
}

// Reads until `wanted` records were read in all.
static mr_status consume(plain *p, uint64_t wanted, uint64_t *read, mr_error *err)
{
    rd_kafka_message_t *batch[BATCH];
    for (uint32_t empty = 0; *read < wanted;) {
        const ssize_t count = rd_kafka_consume_batch_queue(p->queue, TAKE_MS, batch, BATCH);
        if (count < 0 || (count == 0 && ++empty == EMPTY_MAX))
            return mr_fail(err, MR_FATAL, "bench pipeline: the input cannot be read");
        for (ssize_t i = 0; i < count; i++) {
            if (batch[i]->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
                p->offsets->elems[batch[i]->partition].offset = batch[i]->offset + 1;
                ++*read;
            }
            rd_kafka_message_destroy(batch[i]);
        }
    }
    return MR_OK;
}

static mr_status produce(plain *p, const mr_sent *record, uint64_t number, mr_error *err)
{
    const uint8_t *const bytes = p->noise + number * 61 % (NOISE_BYTES / 2);
    const void *const value = bytes + record->key_bytes;
    for (;;) {
        if (rd_kafka_produce(p->topics[record->topic], record->partition, 0,
                             (void *)(uintptr_t)value, record->value_bytes, bytes,
                             record->key_bytes, NULL) == 0)
            return MR_OK;
        if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL)
            return mr_fail(err, MR_FATAL, "bench pipeline: produce: %s",
                           rd_kafka_err2str(rd_kafka_last_error()));
        rd_kafka_poll(p->producer, 1);
    }
}

static mr_status transact(plain *p, const mr_sent_all *sent, uint64_t number, uint64_t transactions,
                          mr_error *err)
{
    MR_TRY(said(rd_kafka_begin_transaction(p->producer), "begin_transaction", err));
    for (uint64_t i = number; i < sent->count; i += transactions) // every kind in each of them
        MR_TRY(produce(p, &sent->records[i], i, err));
    MR_TRY(said(rd_kafka_send_offsets_to_transaction(p->producer, p->offsets, p->member, CALL_MS),
                "send_offsets", err));
    MR_TRY(said(rd_kafka_commit_transaction(p->producer, CALL_MS), "commit_transaction", err));
    return p->failed == 0 ? MR_OK
                          : mr_fail(err, MR_FATAL, "bench pipeline: records were not delivered");
}

static mr_status run_plain(plain *p, uint64_t events, const mr_sent_all *sent,
                           uint64_t transactions, mr_spent *spent, mr_error *err)
{
    uint64_t read = 0;
    const mr_spent begun = mr_pipeline_now();
    rd_kafka_assign(p->consumer, p->offsets);
    p->queue = rd_kafka_queue_get_consumer(p->consumer);
    for (uint64_t t = 0; t < transactions; t++) {
        MR_TRY(consume(p, events * (t + 1) / transactions, &read, err));
        MR_TRY(transact(p, sent, t, transactions, err));
    }
    const mr_spent ended = mr_pipeline_now();
    *spent = (mr_spent){ended.seconds - begun.seconds, ended.cpu_seconds - begun.cpu_seconds};
    return MR_OK;
}

mr_status mr_pipeline_plain(const mr_config *config, uint32_t partitions, uint64_t events,
                            const mr_sent_all *sent, uint64_t transactions, mr_spent *spent,
                            mr_error *err)
{
    plain p = {.failed = 0};
    MR_ASSERT(partitions <= PARTITIONS_MAX);
    mr_status status = open_plain(&p, config, partitions, err);
    if (status == MR_OK)
        status = run_plain(&p, events, sent, transactions, spent, err);
    close_plain(&p);
    return status;
}
