// SPDX-License-Identifier: Apache-2.0
#include "worker/sender.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/builtin.h"
#include "schemas/catalog.h"
#include "schemas/encode.h"
#include "schemas/wire.h"
#include "worker/kafka/admin.h"
#include "worker/mapped.h"
#include "worker/partitioner.h"
#include "worker/registry_config.h"

enum { RECORD_BYTES_MAX = 1 << 20, FULL_WAIT_MS = 10 };

typedef struct target { // one topic, of one kind of events
    const char *topic;  // NULL: events of this kind have none
    int key_format;     // MR_MESSAGE_KEY_...
    uint8_t prefix[MR_FRAME_BYTES_MAX];
    uint32_t prefix_bytes;
    uint32_t partitions;
    rd_kafka_topic_t *handle;
    uint64_t queued, delivered, failed, bytes;
    mr_sender *sender;
} target;

struct mr_sender {
    rd_kafka_t *handle;
    target targets[MR_EVENT_KIND_COUNT];
    int partitioner;
    uint8_t *record;
    char failure[256];
};

// ---- how records of a kind are written

static const mr_config_input *input_of(const mr_config *config, mr_event_kind kind)
{
    for (uint32_t i = 0; i < config->input_count; i++)
        if (mr_config_kind(&config->inputs[i]) == kind)
            return &config->inputs[i];
    return NULL;
}

typedef struct writing { // how records are written: what plan_target needs
    const mr_config *config;
    const mr_catalog *catalog;
    mr_registry *registry; // NULL: there is none
} writing;

// The registry's number of our schema: asked of it, or the name of the file in schemas.directory
// that has it.
static mr_status find_schema_id(const writing *w, const char *topic, uint64_t fingerprint,
                                const char *kind, uint32_t *id, mr_error *err)
{
    const mr_catalog *catalog = w->catalog;
    char subject[512];
    mr_config_output_subject(topic, subject, sizeof subject);
    if (w->registry != NULL)
        return mr_registry_number(w->registry, subject, mr_builtin_find(kind)->text,
                                  w->config->registry_register, id, err);
    for (uint32_t i = 0; mr_catalog_at(catalog, i) != NULL; i++) {
        const mr_catalog_schema *schema = mr_catalog_at(catalog, i);
        char *end;
        const unsigned long number = strtoul(schema->name, &end, 10);
        if (schema->is_ours || schema->fingerprint != fingerprint || end == schema->name ||
            *end != '\0' || number > UINT32_MAX)
            continue;
        *id = (uint32_t)number;
        return MR_OK;
    }
    return mr_fail(
        err, MR_FATAL,
        "confluent framing needs the registry's number of our schema: set registry.urls, "
        "or put 'millrace schema %s' into schemas.directory as NUMBER.avsc",
        kind);
}

static mr_status make_prefix(target *t, const writing *w, mr_event_kind kind, int format,
                             mr_error *err)
{
    const char *const name = mr_event_kind_name(kind);
    const uint64_t fingerprint = mr_catalog_find(w->catalog, name)->fingerprint;
    mr_writer out = mr_writer_make(t->prefix, sizeof t->prefix);
    uint32_t id = 0;
    if (format == MR_FORMAT_CONFLUENT) {
        MR_TRY(find_schema_id(w, t->topic, fingerprint, name, &id, err));
        mr_frame_put_confluent(&out, id);
    } else if (format != MR_FORMAT_BARE) {
        mr_frame_put_single_object(&out, fingerprint);
    }
    t->prefix_bytes = (uint32_t)out.size;
    return MR_OK;
}

// Records that the worker could not read would be dead letters, one and all.
static mr_status check_mapping(const mr_config_input *input, mr_error *err)
{
    mr_plan *plan = NULL;
    mr_mapped *mapped = malloc(sizeof *mapped);
    if (mapped == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    mr_status status = mr_mapped_read(input, mapped, err);
    if (status == MR_OK) {
        const mr_builtin *ours = mr_builtin_of_event(mr_config_kind(input));
        mapped->mapping.given = input->key == MR_MESSAGE_KEY_NONE ? 0 : 1u << MR_FIELD_user;
        status = mr_plan_compile(ours->text, ours->size, &mapped->mapping, &plan, err);
        mr_plan_close(plan);
        if (status != MR_OK)
            mr_wrap(err, "topics.%s: its mapping does not fit records of ours", input->name);
    }
    free(mapped);
    return status == MR_OK ? MR_OK : MR_FATAL;
}

static mr_status plan_target(target *t, const writing *w, mr_event_kind kind, const char *topic,
                             mr_error *err)
{
    const mr_config_input *input = input_of(w->config, kind);
    t->topic = topic != NULL ? topic : input != NULL ? input->topic : NULL;
    if (t->topic == NULL)
        return MR_OK;
    t->key_format = input != NULL ? input->key : MR_MESSAGE_KEY_UTF8;
    if (topic == NULL && input->format == MR_FORMAT_JSON)
        return mr_fail(err, MR_FATAL, "topics.%s: its records are JSON, and those of ours Avro",
                       input->name);
    if (topic == NULL)
        MR_TRY(check_mapping(input, err));
    return make_prefix(t, w, kind, input != NULL ? input->format : MR_FORMAT_AUTO, err);
}

// ---- opening

static void on_delivery(rd_kafka_t *handle, const rd_kafka_message_t *message, void *context)
{
    (void)handle, (void)context;
    target *t = message->_private;
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        t->delivered++;
        return;
    }
    if (t->sender->failure[0] == '\0')
        snprintf(t->sender->failure, sizeof t->sender->failure, "%.100s [%d]: %.120s", t->topic,
                 message->partition, rd_kafka_message_errstr(message));
    t->failed++;
}

static mr_status open_producer(mr_sender *sender, const mr_config *config, mr_error *err)
{
    rd_kafka_conf_t *conf;
    char reason[200];
    MR_TRY(mr_kafka_conf(config, MR_KAFKA_PLAIN_PRODUCER, &conf, err));
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    // Large batches: many small records are what this sends.
    if (rd_kafka_conf_set(conf, "linger.ms", "5", reason, sizeof reason) != RD_KAFKA_CONF_OK ||
        rd_kafka_conf_set(conf, "queue.buffering.max.messages", "200000", reason, sizeof reason) !=
            RD_KAFKA_CONF_OK) {
        rd_kafka_conf_destroy(conf);
        return mr_fail(err, MR_FATAL, "librdkafka: %s", reason);
    }
    return mr_kafka_open(conf, MR_KAFKA_PLAIN_PRODUCER, &sender->handle, err);
}

static mr_status open_topics(mr_sender *sender, const mr_config *config, mr_error *err)
{
    mr_kafka_admin *admin;
    MR_TRY(mr_kafka_admin_open(config, &admin, err));
    mr_status status = MR_OK;
    for (int k = 0; status == MR_OK && k < MR_EVENT_KIND_COUNT; k++) {
        target *t = &sender->targets[k];
        t->sender = sender;
        if (t->topic == NULL)
            continue;
        status = mr_kafka_admin_partitions(admin, t->topic, &t->partitions, err);
        if (status == MR_OK && t->partitions == 0)
            status = mr_fail(err, MR_FATAL,
                             "topic %s: there is none; inputs are made by their owner", t->topic);
        if (status == MR_OK)
            t->handle = rd_kafka_topic_new(sender->handle, t->topic, NULL);
        if (status == MR_OK && t->handle == NULL)
            status = mr_fail(err, MR_FATAL, "topic %s: %s", t->topic,
                             rd_kafka_err2str(rd_kafka_last_error()));
    }
    mr_kafka_admin_close(admin);
    return status;
}

static mr_status plan_targets(mr_sender *sender, const mr_config *config,
                              const char *const topic_of[MR_EVENT_KIND_COUNT], mr_error *err)
{
    mr_catalog *catalog = NULL;
    mr_registry *registry = NULL;
    mr_status status = mr_registry_of_config(config, &registry, err);
    if (status == MR_OK)
        status = mr_catalog_of_config(config, registry, &catalog, err);
    const writing w = {config, catalog, registry};
    for (int k = 0; status == MR_OK && k < MR_EVENT_KIND_COUNT; k++)
        status = plan_target(&sender->targets[k], &w, (mr_event_kind)k, topic_of[k], err);
    mr_catalog_close(catalog);
    mr_registry_close(registry);
    return status;
}

mr_status mr_sender_open(const mr_config *config, const char *const topic_of[MR_EVENT_KIND_COUNT],
                         mr_sender **out, mr_error *err)
{
    mr_sender *sender = calloc(1, sizeof *sender);
    mr_status status = MR_OK;
    if (sender == NULL || (sender->record = malloc(RECORD_BYTES_MAX)) == NULL)
        status = mr_fail(err, MR_FATAL, "out of memory");
    else
        sender->partitioner = config->partitioner;
    if (status == MR_OK)
        status = plan_targets(sender, config, topic_of, err);
    if (status == MR_OK)
        status = open_producer(sender, config, err);
    if (status == MR_OK)
        status = open_topics(sender, config, err);
    if (status != MR_OK) {
        mr_sender_close(sender);
        sender = NULL;
    }
    *out = sender;
    return status;
}

void mr_sender_close(mr_sender *sender)
{
    if (sender == NULL)
        return;
    for (int k = 0; k < MR_EVENT_KIND_COUNT; k++)
        if (sender->targets[k].handle != NULL)
            rd_kafka_topic_destroy(sender->targets[k].handle);
    if (sender->handle != NULL) {
        rd_kafka_purge(sender->handle, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        rd_kafka_destroy(sender->handle);
    }
    free(sender->record);
    free(sender);
}

// ---- sending

// The message's key: the id of the user, or of the item of a catalogue event.
static mr_status make_key(const target *t, const mr_event *event, uint8_t room[8], mr_bytes *key,
                          mr_error *err)
{
    char text[24], *end;
    const mr_bytes id = event->kind == MR_EVENT_CATALOGUE ? event->item : event->user;
    *key = id;
    if (t->key_format != MR_MESSAGE_KEY_LONG)
        return MR_OK;
    snprintf(text, sizeof text, "%.*s", (int)(id.size < 23 ? id.size : 23), (const char *)id.data);
    errno = 0;
    uint64_t number = (uint64_t)strtoll(text, &end, 10);
    if (end == text || *end != '\0' || id.size > 23 || errno != 0)
        return mr_fail(err, MR_REJECT, "topic %s has keys that are numbers; '%s' is none", t->topic,
                       text);
    for (int i = 7; i >= 0; i--, number >>= 8)
        room[i] = (uint8_t)number;
    *key = mr_bytes_of(room, 8);
    return MR_OK;
}

mr_status mr_sender_send(mr_sender *sender, const mr_event *event, int64_t record_ms, mr_error *err)
{
    target *t = &sender->targets[event->kind];
    uint8_t room[8];
    mr_bytes key;
    if (t->topic == NULL)
        return mr_fail(err, MR_REJECT,
                       "events of kind '%s' have no topic: the configuration has no "
                       "input of that kind",
                       mr_event_kind_name(event->kind));
    MR_TRY(make_key(t, event, room, &key, err));
    mr_writer out = mr_writer_make(sender->record, RECORD_BYTES_MAX);
    mr_put_raw(&out, t->prefix, t->prefix_bytes);
    mr_encode_event(&out, event);
    if (out.full)
        return mr_fail(err, MR_REJECT, "an event of more than %d bytes", RECORD_BYTES_MAX);
    const bool keyed = t->key_format != MR_MESSAGE_KEY_NONE;
    const int32_t partition = (int32_t)mr_partition_by(sender->partitioner, key, t->partitions);
    for (;;) {
        const rd_kafka_resp_err_t code = rd_kafka_producev(
            sender->handle, RD_KAFKA_V_RKT(t->handle), RD_KAFKA_V_PARTITION(partition),
            RD_KAFKA_V_KEY(keyed ? key.data : NULL, keyed ? key.size : 0),
            RD_KAFKA_V_VALUE(out.data, out.size), RD_KAFKA_V_TIMESTAMP(record_ms),
            RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_OPAQUE(t), RD_KAFKA_V_END);
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
            break;
        if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL)
            return mr_fail(err, MR_REJECT, "topic %s: %s", t->topic, rd_kafka_err2str(code));
        rd_kafka_poll(sender->handle, FULL_WAIT_MS);
    }
    t->queued++;
    t->bytes += out.size + (keyed ? key.size : 0);
    return MR_OK;
}

void mr_sender_serve(mr_sender *sender, int wait_ms)
{
    rd_kafka_poll(sender->handle, wait_ms);
}

mr_status mr_sender_flush(mr_sender *sender, int wait_ms, mr_error *err)
{
    if (rd_kafka_flush(sender->handle, wait_ms) == RD_KAFKA_RESP_ERR_NO_ERROR)
        return MR_OK;
    return mr_fail(err, MR_RETRY, "%d records were not delivered within %d ms",
                   rd_kafka_outq_len(sender->handle), wait_ms);
}

mr_sender_count mr_sender_count_of(const mr_sender *sender, uint32_t n)
{
    for (int k = 0; k < MR_EVENT_KIND_COUNT; k++) {
        const target *t = &sender->targets[k];
        if (t->topic == NULL || n-- > 0)
            continue;
        return (mr_sender_count){t->topic,     t->partitions, t->queued,
                                 t->delivered, t->failed,     t->bytes};
    }
    return (mr_sender_count){NULL, 0, 0, 0, 0, 0};
}

const char *mr_sender_failure(const mr_sender *sender)
{
    return sender->failure;
}
