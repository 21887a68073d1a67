// SPDX-License-Identifier: Apache-2.0
#include "worker/kafka/producer.h"

#include <stdlib.h>

#include "worker/kafka/rights.h"
#include "worker/log.h"

enum { CALL_MS = 10000, INIT_MS = 30000 };

struct mr_kafka_producer {
    rd_kafka_t *handle;
    const mr_config *config;
    rd_kafka_topic_t *topics[MR_TOPIC_COUNT];
    uint32_t partition_count;
    int64_t *produced; // [topic][partition]: offset after the last acknowledged record
    uint64_t failed;   // delivery reports with an error since begin
    rd_kafka_resp_err_t first_failure;
};

static bool is_purge(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR__PURGE_QUEUE || code == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT;
}

// Without a delivery report callback commit_transaction polls in steps of 10 ms; with one it is
// woken.
static void on_delivery(rd_kafka_t *handle, const rd_kafka_message_t *message, void *context)
{
    (void)handle;
    mr_kafka_producer *producer = context;
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        // A record that fails takes others along, which are purged: the cause is worth more.
        if (producer->failed++ == 0 || is_purge(producer->first_failure))
            producer->first_failure = message->err;
        return;
    }
    const uintptr_t topic = (uintptr_t)message->_private;
    int64_t *next =
        &producer->produced[topic * producer->partition_count + (uint32_t)message->partition];
    if (message->offset >= *next)
        *next = message->offset + 1;
}

static void forget(mr_kafka_producer *producer)
{
    producer->failed = 0;
    for (size_t i = 0; i < (size_t)MR_TOPIC_COUNT * producer->partition_count; i++)
        producer->produced[i] = -1;
}

static void note_lack(void *context, const char *what, const mr_error *lack)
{
    mr_error *first = context;
    (void)what;
    if (first->status == MR_OK)
        *first = *lack;
}

// The brokers refused a topic, and librdkafka does not say which: they are asked. False: none, by
// now.
static bool find_lack(const mr_kafka_producer *producer, mr_error *lack)
{
    mr_error ignored;
    *lack = (mr_error){.status = MR_OK};
    if (mr_kafka_rights_write(producer->config, note_lack, lack, &ignored) != MR_OK)
        mr_log(MR_LOG_WARNING, "kafka", "no answer to what we may write",
               mr_log_text("error", ignored.text));
    return lack->status != MR_OK;
}

// Which right is behind the refusal of a call that is told to read `topic`, or none (NULL).
static bool name_lack(const mr_kafka_producer *producer, rd_kafka_resp_err_t code,
                      const char *topic, mr_error *lack)
{
    char name[512];
    const mr_config *config = producer->config;
    if (!mr_kafka_is_refusal(code))
        return false;
    mr_kafka_member_name(config, name, sizeof name);
    if (code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED && topic == NULL)
        return find_lack(producer, lack);
    if (code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)
        mr_kafka_lacks(config, MR_RIGHT_READ_TOPIC, topic, lack);
    else if (code == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED)
        mr_kafka_lacks(config, MR_RIGHT_READ_GROUP, config->kafka_group, lack);
    else
        mr_kafka_lacks(config, MR_RIGHT_WRITE_TRANSACTIONAL_ID, name, lack);
    return true;
}

// As mr_kafka_failed, but that a right that is missing is named. What becomes of the transaction is
// the same: a right may be given back while it is sent again.
static mr_status failed(const mr_kafka_producer *producer, rd_kafka_error_t *error,
                        const char *what, const char *topic, mr_error *err)
{
    mr_error lack;
    const rd_kafka_resp_err_t code = rd_kafka_error_code(error);
    const mr_status status = mr_kafka_failed(error, what, err);
    return name_lack(producer, code, topic, &lack) ? mr_fail(err, status, "%s", lack.text) : status;
}

static mr_status open_topics(const mr_config *config, mr_kafka_producer *producer, mr_error *err)
{
    for (int topic = 0; topic < MR_TOPIC_COUNT; topic++) {
        const char *const name = mr_kafka_topic_name(config, (mr_topic)topic);
        if (!mr_kafka_topic_used(config, (mr_topic)topic))
            continue;
        producer->topics[topic] = rd_kafka_topic_new(producer->handle, name, NULL);
        if (producer->topics[topic] == NULL)
            return mr_fail(err, MR_FATAL, "topic %s: %s", name,
                           rd_kafka_err2str(rd_kafka_last_error()));
    }
    return MR_OK;
}

mr_status mr_kafka_producer_open(const mr_config *config, uint32_t partition_count,
                                 mr_kafka_producer **out, mr_error *err)
{
    rd_kafka_conf_t *conf;
    mr_kafka_producer *producer = calloc(1, sizeof *producer);
    int64_t *produced = calloc((size_t)MR_TOPIC_COUNT * partition_count, sizeof *produced);
    if (producer == NULL || produced == NULL) {
        free(producer);
        free(produced);
        return mr_fail(err, MR_FATAL, "out of memory");
    }
    producer->config = config;
    producer->partition_count = partition_count;
    producer->produced = produced;
    forget(producer);
    mr_status status = mr_kafka_conf(config, MR_KAFKA_PRODUCER, &conf, err);
    if (status == MR_OK) {
        rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
        rd_kafka_conf_set_opaque(conf, producer);
        status = mr_kafka_open(conf, MR_KAFKA_PRODUCER, &producer->handle, err);
    }
    if (status == MR_OK)
        status = open_topics(config, producer, err);
    if (status == MR_OK) {
        rd_kafka_error_t *error = rd_kafka_init_transactions(producer->handle, INIT_MS);
        if (error != NULL)
            status = failed(producer, error, "init_transactions", NULL, err);
    }
    if (status != MR_OK) {
        mr_kafka_producer_close(producer);
        return status;
    }
    *out = producer;
    return MR_OK;
}

void mr_kafka_producer_close(mr_kafka_producer *producer)
{
    if (producer == NULL)
        return;
    for (int topic = 0; topic < MR_TOPIC_COUNT; topic++) {
        if (producer->topics[topic] != NULL)
            rd_kafka_topic_destroy(producer->topics[topic]);
    }
    if (producer->handle != NULL) {
        // What is still queued belongs to no transaction that will be committed.
        rd_kafka_purge(producer->handle, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        rd_kafka_flush(producer->handle, 100);
        rd_kafka_destroy(producer->handle);
    }
    free(producer->produced);
    free(producer);
}

bool mr_kafka_producer_fenced(const mr_kafka_producer *producer)
{
    char reason[200];
    return producer != NULL && rd_kafka_fatal_error(producer->handle, reason, sizeof reason) ==
                                   RD_KAFKA_RESP_ERR__FENCED;
}

mr_status mr_kafka_producer_begin(mr_kafka_producer *producer, mr_error *err)
{
    forget(producer);
    rd_kafka_error_t *error = rd_kafka_begin_transaction(producer->handle);
    return error == NULL ? MR_OK : failed(producer, error, "begin_transaction", NULL, err);
}

static rd_kafka_headers_t *make_headers(const mr_record *record)
{
    if (record->header_count == 0)
        return NULL;
    rd_kafka_headers_t *headers = rd_kafka_headers_new(record->header_count);
    for (uint32_t i = 0; i < record->header_count; i++) {
        const mr_header *header = &record->headers[i];
        rd_kafka_header_add(headers, header->name, -1, header->value.data,
                            (ssize_t)header->value.size);
    }
    return headers;
}

static mr_status send_failed(const mr_record *record, rd_kafka_resp_err_t code, mr_error *err)
{
    // A full queue empties itself; a transaction that was aborted meanwhile says so by _STATE or by
    // a fatal error, and the next call of the transaction has the cause.
    const mr_status status = code == RD_KAFKA_RESP_ERR__QUEUE_FULL ? MR_RETRY
                             : code == RD_KAFKA_RESP_ERR__STATE    ? MR_ABORT
                             : code == RD_KAFKA_RESP_ERR__FATAL    ? MR_FENCED
                                                                   : MR_FATAL;
    return mr_fail(err, status, "produce to partition %u: %s (%u bytes)", record->partition,
                   rd_kafka_err2str(code), record->value.size);
}

mr_status mr_kafka_producer_send(mr_kafka_producer *producer, const mr_record *record,
                                 mr_error *err)
{
    rd_kafka_headers_t *headers = make_headers(record);
    // librdkafka takes pointers that are not const, but without MSG_F_FREE it only reads the value.
    union {
        const uint8_t *read_only;
        void *value;
    } bytes = {record->value.data};
    const rd_kafka_resp_err_t code =
        rd_kafka_producev(producer->handle, RD_KAFKA_V_RKT(producer->topics[record->topic]),
                          RD_KAFKA_V_PARTITION((int32_t)record->partition),
                          RD_KAFKA_V_KEY(record->key.data, record->key.size),
                          RD_KAFKA_V_VALUE(bytes.value, record->value.size),
                          RD_KAFKA_V_TIMESTAMP(record->time_ms), RD_KAFKA_V_HEADERS(headers),
                          RD_KAFKA_V_OPAQUE((void *)(uintptr_t)record->topic), RD_KAFKA_V_END);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return MR_OK;
    if (headers != NULL)
        rd_kafka_headers_destroy(headers);
    return send_failed(record, code, err);
}

// Why the client has purged what it was to send: it says so of a second begin, which it refuses in
// a transaction whatever became of it.
static rd_kafka_resp_err_t cause_of_purge(const mr_kafka_producer *producer)
{
    rd_kafka_error_t *error = rd_kafka_begin_transaction(producer->handle);
    const rd_kafka_resp_err_t code =
        error != NULL ? rd_kafka_error_code(error) : RD_KAFKA_RESP_ERR_NO_ERROR;
    if (error != NULL)
        rd_kafka_error_destroy(error);
    return code;
}

static mr_status not_taken(const mr_kafka_producer *producer, mr_error *err)
{
    mr_error lack;
    rd_kafka_resp_err_t code = producer->first_failure;
    if (is_purge(code))
        code = cause_of_purge(producer);
    if (name_lack(producer, code, NULL, &lack))
        return mr_fail(err, MR_ABORT, "%s", lack.text);
    return mr_fail(err, MR_ABORT, "%llu records were not taken, the first: %s",
                   (unsigned long long)producer->failed, rd_kafka_err2str(code));
}

mr_status mr_kafka_producer_flush(mr_kafka_producer *producer, mr_error *err)
{
    char reason[256];
    const rd_kafka_resp_err_t code = rd_kafka_flush(producer->handle, CALL_MS);
    if (rd_kafka_fatal_error(producer->handle, reason, sizeof reason) != 0)
        return mr_fail(err, MR_FENCED, "flush: %s", reason);
    if (producer->failed > 0)
        return not_taken(producer, err);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return mr_fail(err, MR_RETRY, "flush: %s", rd_kafka_err2str(code));
    return MR_OK;
}

int64_t mr_kafka_producer_produced(const mr_kafka_producer *producer, mr_topic topic,
                                   uint32_t partition)
{
    MR_ASSERT(partition < producer->partition_count);
    return producer->produced[(size_t)topic * producer->partition_count + partition];
}

mr_status mr_kafka_producer_offsets(mr_kafka_producer *producer,
                                    const rd_kafka_topic_partition_list_t *offsets,
                                    const rd_kafka_consumer_group_metadata_t *member, mr_error *err)
{
    rd_kafka_error_t *error =
        rd_kafka_send_offsets_to_transaction(producer->handle, offsets, member, CALL_MS);
    const char *const topic = offsets->cnt > 0 ? offsets->elems[0].topic : NULL;
    return error == NULL ? MR_OK
                         : failed(producer, error, "send_offsets_to_transaction", topic, err);
}

mr_status mr_kafka_producer_commit(mr_kafka_producer *producer, mr_error *err)
{
    rd_kafka_error_t *error = rd_kafka_commit_transaction(producer->handle, CALL_MS);
    return error == NULL ? MR_OK : failed(producer, error, "commit_transaction", NULL, err);
}
