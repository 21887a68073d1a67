// SPDX-License-Identifier: Apache-2.0
#include "worker/demo_clients.h"

#include <librdkafka/rdkafka.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/hash.h"
#include "schemas/catalog.h"
#include "worker/kafka/client.h"

enum { RECORD_BYTES_MAX = 16384, BATCH = 512, FULL_MS = 10 };

struct mr_demo_clients {
    const mr_config *config;
    uint32_t partition_count;
    mr_catalog *catalog;
    uint64_t event_schemas[MR_EVENT_KIND_COUNT], list_schema, metric_schema; // fingerprints
    // Kept open, so that where they lie is known before the first event: to ask takes up to a
    // second.
    rd_kafka_topic_t *topics[MR_EVENT_KIND_COUNT];
    rd_kafka_t *producer, *consumer;
    rd_kafka_queue_t *queue;
    uint64_t sent, failed;
    uint8_t room[RECORD_BYTES_MAX];
    rd_kafka_message_t *messages[BATCH];
};

static void drop_log(const rd_kafka_t *handle, int level, const char *facility, const char *text)
{
    (void)handle, (void)level, (void)facility, (void)text;
}

static void on_delivery(rd_kafka_t *handle, const rd_kafka_message_t *message, void *context)
{
    (void)handle;
    mr_demo_clients *clients = context;
    clients->failed += message->err != RD_KAFKA_RESP_ERR_NO_ERROR;
}

typedef struct property {
    const char *name, *value;
} property;

static mr_status open_client(mr_demo_clients *clients, rd_kafka_type_t type,
                             const property *properties, rd_kafka_t **handle, mr_error *err)
{
    char reason[200];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_res_t result =
        rd_kafka_conf_set(conf, "bootstrap.servers",
                          clients->config->kafka_bootstrap_servers.items[0], reason, sizeof reason);
    for (; result == RD_KAFKA_CONF_OK && properties->name != NULL; properties++)
        result =
            rd_kafka_conf_set(conf, properties->name, properties->value, reason, sizeof reason);
    rd_kafka_conf_set_log_cb(conf, drop_log);
    rd_kafka_conf_set_opaque(conf, clients);
    if (type == RD_KAFKA_PRODUCER)
        rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    *handle = result == RD_KAFKA_CONF_OK ? rd_kafka_new(type, conf, reason, sizeof reason) : NULL;
    if (*handle == NULL) {
        rd_kafka_conf_destroy(conf);
        return mr_fail(err, MR_FATAL, "the crowd's client: %s", reason);
    }
    return MR_OK;
}

static mr_status open_consumer(mr_demo_clients *clients, mr_error *err)
{
    static const property properties[] = {{"group.id", "crowd"}, // needed, but nothing is committed
                                          {"client.id", "crowd"},
                                          {"enable.auto.commit", "false"},
                                          {"auto.offset.reset", "earliest"},
                                          {"isolation.level", "read_committed"},
                                          {"fetch.wait.max.ms", "5"},
                                          {0}};
    static const mr_topic topics[] = {MR_TOPIC_LISTS, MR_TOPIC_METRICS};
    MR_TRY(open_client(clients, RD_KAFKA_CONSUMER, properties, &clients->consumer, err));
    rd_kafka_poll_set_consumer(clients->consumer);
    clients->queue = rd_kafka_queue_get_consumer(clients->consumer);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    for (uint32_t t = 0; t < 2; t++)
        for (uint32_t p = 0; p < clients->partition_count; p++)
            rd_kafka_topic_partition_list_add(list, mr_kafka_topic_name(clients->config, topics[t]),
                                              (int32_t)p)
                ->offset = 0;
    const rd_kafka_resp_err_t code = rd_kafka_assign(clients->consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return mr_fail(err, MR_FATAL, "the crowd's consumer: %s", rd_kafka_err2str(code));
    return MR_OK;
}

static mr_status open_schemas(mr_demo_clients *clients, mr_error *err)
{
    MR_TRY(mr_catalog_open(NULL, &clients->catalog, err));
    for (uint32_t kind = 0; kind < MR_EVENT_KIND_COUNT; kind++)
        clients->event_schemas[kind] =
            mr_catalog_find(clients->catalog, mr_event_kind_name((mr_event_kind)kind))->fingerprint;
    clients->list_schema = mr_catalog_find(clients->catalog, "list")->fingerprint;
    clients->metric_schema = mr_catalog_find(clients->catalog, "metric")->fingerprint;
    return MR_OK;
}

static mr_status open_all(mr_demo_clients *clients, mr_error *err)
{
    static const property properties[] = {{"client.id", "crowd"}, {"linger.ms", "1"}, {0}};
    MR_TRY(open_schemas(clients, err));
    MR_TRY(open_client(clients, RD_KAFKA_PRODUCER, properties, &clients->producer, err));
    for (uint32_t i = 0; i < clients->config->input_count; i++) {
        const mr_event_kind kind = mr_config_kind(&clients->config->inputs[i]);
        if (kind == MR_EVENT_KIND_COUNT) // several kinds: the crowd writes one kind a topic
            continue;
        rd_kafka_topic_t **topic = &clients->topics[kind];
        if (*topic == NULL)
            *topic = rd_kafka_topic_new(clients->producer, clients->config->inputs[i].topic, NULL);
        if (*topic == NULL)
            return mr_fail(err, MR_FATAL, "topic %s: %s", clients->config->inputs[i].topic,
                           rd_kafka_err2str(rd_kafka_last_error()));
    }
    return open_consumer(clients, err);
}

mr_status mr_demo_clients_open(const mr_config *config, uint32_t partition_count,
                               mr_demo_clients **out, mr_error *err)
{
    mr_demo_clients *clients = calloc(1, sizeof *clients);
    if (clients == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    clients->config = config;
    clients->partition_count = partition_count;
    const mr_status status = open_all(clients, err);
    if (status != MR_OK) {
        mr_demo_clients_close(clients);
        return status;
    }
    *out = clients;
    return MR_OK;
}

void mr_demo_clients_close(mr_demo_clients *clients)
{
    if (clients == NULL)
        return;
    if (clients->producer != NULL) {
        rd_kafka_purge(clients->producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        for (uint32_t kind = 0; kind < MR_EVENT_KIND_COUNT; kind++)
            if (clients->topics[kind] != NULL)
                rd_kafka_topic_destroy(clients->topics[kind]);
        rd_kafka_destroy(clients->producer);
    }
    if (clients->queue != NULL)
        rd_kafka_queue_destroy(clients->queue);
    if (clients->consumer != NULL) {
        rd_kafka_consumer_close(clients->consumer);
        rd_kafka_destroy(clients->consumer);
    }
    mr_catalog_close(clients->catalog);
    free(clients);
}

static rd_kafka_resp_err_t produce(mr_demo_clients *clients, const mr_event *event, mr_bytes key,
                                   const mr_writer *value)
{
    return rd_kafka_producev(
        clients->producer, RD_KAFKA_V_RKT(clients->topics[event->kind]),
        RD_KAFKA_V_PARTITION((int32_t)mr_partition_of(key, clients->partition_count)),
        RD_KAFKA_V_KEY((void *)(uintptr_t)key.data, key.size),
        RD_KAFKA_V_VALUE(value->data, value->size), RD_KAFKA_V_TIMESTAMP(event->time_ms),
        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
}

mr_status mr_demo_clients_send(mr_demo_clients *clients, const mr_event *event, mr_error *err)
{
    const mr_bytes key = event->kind == MR_EVENT_CATALOGUE ? event->item : event->user;
    mr_writer out = mr_writer_make(clients->room, sizeof clients->room);
    mr_frame_put_single_object(&out, clients->event_schemas[event->kind]);
    mr_encode_event(&out, event);
    if (out.full || clients->topics[event->kind] == NULL)
        return mr_fail(err, MR_FATAL, "a %s event of the crowd: %s",
                       mr_event_kind_name(event->kind),
                       out.full ? "larger than a record may be" : "no topic takes it");
    rd_kafka_resp_err_t code = produce(clients, event, key, &out);
    while (code == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
        rd_kafka_poll(clients->producer, FULL_MS);
        code = produce(clients, event, key, &out);
    }
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return mr_fail(err, MR_FATAL, "the crowd's producer: %s", rd_kafka_err2str(code));
    clients->sent++;
    return MR_OK;
}

static void visit(mr_demo_clients *clients, const rd_kafka_message_t *message,
                  const mr_demo_visitor *visitor)
{
    mr_error err;
    mr_demo_list list;
    mr_demo_metric metric;
    const mr_bytes value = mr_bytes_of(message->payload, message->len);
    const char *const topic = rd_kafka_topic_name(message->rkt);
    if (strcmp(topic, mr_kafka_topic_name(clients->config, MR_TOPIC_LISTS)) == 0) {
        if (mr_demo_list_read(value, clients->list_schema, &list, &err) == MR_OK)
            visitor->list(visitor->context, &list);
        else
            visitor->bad(visitor->context, &err);
        return;
    }
    if (mr_demo_metric_read(value, clients->metric_schema, &metric, &err) == MR_OK)
        visitor->metric(visitor->context, &metric);
    else
        visitor->bad(visitor->context, &err);
}

uint32_t mr_demo_clients_poll(mr_demo_clients *clients, int wait_ms, const mr_demo_visitor *visitor)
{
    uint32_t seen = 0;
    rd_kafka_poll(clients->producer, 0);
    const ssize_t count =
        rd_kafka_consume_batch_queue(clients->queue, wait_ms, clients->messages, BATCH);
    for (ssize_t i = 0; i < count; i++) {
        if (clients->messages[i]->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            visit(clients, clients->messages[i], visitor);
            seen++;
        }
        rd_kafka_message_destroy(clients->messages[i]);
    }
    return seen;
}

mr_status mr_demo_clients_flush(mr_demo_clients *clients, int wait_ms, mr_error *err)
{
    const rd_kafka_resp_err_t code = rd_kafka_flush(clients->producer, wait_ms);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR || clients->failed > 0)
        return mr_fail(err, MR_FATAL,
                       "the crowd's producer: %d events are not acknowledged, %llu failed",
                       rd_kafka_outq_len(clients->producer), (unsigned long long)clients->failed);
    return MR_OK;
}

uint64_t mr_demo_clients_sent(const mr_demo_clients *clients)
{
    return clients->sent;
}

uint64_t mr_demo_clients_failed(const mr_demo_clients *clients)
{
    return clients->failed;
}
