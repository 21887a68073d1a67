// SPDX-License-Identifier: Apache-2.0
#include "worker/outputs.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/hash.h"

enum {
    EPOCHS_MAX = 4096,     // task epochs of one commit
    OFFSETS_MAX = 16384,   // their offsets
    SEQUENCES_MAX = 65536, // their links, and views
    HEADERS_MAX = 64,      // of a dead letter: ours and those that it came with
    HEADER_TEXT_MAX = 320,
    LIST_BYTES = 512, // of a list, and of each of its entries, before one was written
    ENTRY_BYTES = 64,
    OVERHEAD_BYTES = 4096, // of a record, beside value and key: headers and framing
    // Of an epoch record: of a round, an epoch, an offset beside its topic's name and a pair of
    // numbers at most; and of what does not belong to a round, with each task's mark and hash.
    ROUND_BYTES = 24,
    EPOCH_BYTES = 64,
    OFFSET_BYTES = 24,
    SEQUENCE_BYTES = 15,
    COMMIT_BYTES = 512,
    MARK_BYTES = 48,
};

typedef struct framing { // of the records of a topic
    uint64_t fingerprint;
    uint32_t id; // of a registry
    bool numbered;
} framing;

struct mr_outputs {
    const mr_config *config;
    uint64_t config_hash;
    uint32_t tasks;
    framing framings[MR_TOPIC_COUNT]; // of those that have a schema
    uint8_t *room;
    size_t room_bytes;
    uint64_t too_large;
    size_t list_bytes; // of the longest list so far, key included
    mr_task_epoch *epochs;
    uint32_t epoch_count;
    mr_next_offset *offsets;
    uint32_t offset_count;
    mr_sequence *sequences;
    uint32_t sequence_count;
    mr_round *rounds;
    uint32_t round_count;
    size_t noted_bytes; // of the epoch record, at most
    uint32_t topic_bytes_max;
};

static mr_status fingerprint_of(const mr_catalog *catalog, const char *name, uint64_t *fingerprint,
                                mr_error *err)
{
    const mr_catalog_schema *schema;
    for (uint32_t i = 0; (schema = mr_catalog_at(catalog, i)) != NULL; i++) {
        if (schema->is_ours && strcmp(schema->name, name) == 0) {
            *fingerprint = schema->fingerprint;
            return MR_OK;
        }
    }
    return mr_fail(err, MR_FATAL, "schema %s: it is not in the catalogue", name);
}

const char *mr_outputs_schema(mr_topic topic)
{
    static const char *const names[MR_TOPIC_COUNT] = {
        [MR_TOPIC_LISTS] = "list", [MR_TOPIC_ITEMS] = "item", [MR_TOPIC_METRICS] = "metric"};
    return names[topic];
}

void mr_outputs_number(mr_outputs *outputs, mr_topic topic, uint32_t id)
{
    MR_ASSERT(mr_outputs_schema(topic) != NULL);
    outputs->framings[topic].id = id;
    outputs->framings[topic].numbered = true;
}

static mr_status find_fingerprints(mr_outputs *outputs, const mr_catalog *catalog, mr_error *err)
{
    for (int topic = 0; topic < MR_TOPIC_COUNT; topic++) {
        const char *const name =
            topic == MR_TOPIC_EPOCHS ? "epoch" : mr_outputs_schema((mr_topic)topic);
        if (name != NULL)
            MR_TRY(fingerprint_of(catalog, name, &outputs->framings[topic].fingerprint, err));
    }
    return MR_OK;
}

mr_status mr_outputs_open(const mr_config *config, const mr_catalog *catalog, uint32_t tasks,
                          mr_outputs **out, mr_error *err)
{
    mr_outputs *outputs = calloc(1, sizeof *outputs);
    if (outputs == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    outputs->config = config;
    outputs->config_hash = mr_config_hash(config);
    outputs->tasks = tasks;
    outputs->list_bytes = LIST_BYTES + (size_t)config->lists_k * ENTRY_BYTES;
    outputs->room_bytes = (size_t)config->outputs_record_bytes_max;
    outputs->room = malloc(outputs->room_bytes);
    outputs->epochs = calloc(EPOCHS_MAX, sizeof *outputs->epochs);
    outputs->offsets = calloc(OFFSETS_MAX, sizeof *outputs->offsets);
    outputs->sequences = calloc(SEQUENCES_MAX, sizeof *outputs->sequences);
    outputs->rounds = calloc(EPOCHS_MAX, sizeof *outputs->rounds);
    for (uint32_t i = 0; i < mr_config_reads(config); i++) {
        const uint32_t bytes = mr_bytes_text(mr_config_topic(config, i)).size;
        if (bytes > outputs->topic_bytes_max)
            outputs->topic_bytes_max = bytes;
    }
    mr_status status = MR_OK;
    if (outputs->room == NULL || outputs->epochs == NULL || outputs->offsets == NULL ||
        outputs->sequences == NULL || outputs->rounds == NULL)
        status = mr_fail(err, MR_FATAL, "out of memory");
    if (status == MR_OK)
        status = find_fingerprints(outputs, catalog, err);
    if (status != MR_OK) {
        mr_outputs_close(outputs);
        return status;
    }
    *out = outputs;
    return MR_OK;
}

void mr_outputs_close(mr_outputs *outputs)
{
    if (outputs == NULL)
        return;
    free(outputs->room);
    free(outputs->epochs);
    free(outputs->offsets);
    free(outputs->sequences);
    free(outputs->rounds);
    free(outputs);
}

uint64_t mr_outputs_too_large(const mr_outputs *outputs)
{
    return outputs->too_large;
}

size_t mr_outputs_list_bytes(const mr_outputs *outputs)
{
    return outputs->list_bytes;
}

static mr_writer begin(mr_outputs *outputs, mr_topic topic)
{
    const framing *f = &outputs->framings[topic];
    mr_writer out = mr_writer_make(outputs->room, outputs->room_bytes - OVERHEAD_BYTES);
    if (f->numbered)
        mr_frame_put_confluent(&out, f->id);
    else
        mr_frame_put_single_object(&out, f->fingerprint);
    return out;
}

// The record, but for its value.
static void put_as(mr_outputs *outputs, mr_frozen *frozen, mr_record record, const mr_writer *out)
{
    if (out->full) {
        outputs->too_large++;
        return;
    }
    record.value = mr_bytes_of(out->data, out->size);
    mr_frozen_put_record(frozen, &record);
}

static void put(mr_outputs *outputs, mr_frozen *frozen, mr_topic topic, uint32_t partition,
                mr_bytes key, const mr_writer *out, int64_t time_ms)
{
    const mr_record record = {
        .topic = topic, .partition = partition, .key = key, .time_ms = time_ms};
    put_as(outputs, frozen, record, out);
}

void mr_outputs_list(mr_outputs *outputs, mr_frozen *frozen, const mr_list *list,
                     const mr_trace *cause)
{
    char text[MR_TRACE_TEXT_BYTES];
    mr_header header = {.name = MR_TRACE_HEADER, .value = mr_bytes_of(text, sizeof text)};
    mr_writer out = begin(outputs, MR_TOPIC_LISTS);
    mr_encode_list(&out, list);
    if (out.size + list->user.size > outputs->list_bytes)
        outputs->list_bytes = out.size + list->user.size;
    if (cause != NULL) {
        const mr_trace own = mr_trace_of_list(cause, list->user, list->version);
        mr_trace_write(&own, text);
    }
    const mr_record record = {.topic = MR_TOPIC_LISTS,
                              .partition = list->task,
                              .key = list->user,
                              .headers = &header,
                              .header_count = cause != NULL};
    put_as(outputs, frozen, record, &out);
}

void mr_outputs_forgotten(mr_frozen *frozen, uint32_t task, mr_bytes user)
{
    mr_frozen_put_record(frozen,
                         &(mr_record){.topic = MR_TOPIC_LISTS, .partition = task, .key = user});
}

void mr_outputs_item(mr_outputs *outputs, mr_frozen *frozen, const mr_told *told, uint64_t sequence)
{
    mr_count counts[MR_TOLD_COUNTS_MAX];
    if (told->gone) {
        mr_frozen_put_record(
            frozen,
            &(mr_record){.topic = MR_TOPIC_ITEMS, .partition = told->shard, .key = told->item});
        return;
    }
    for (uint32_t i = 0; i < told->count_count; i++)
        counts[i] = (mr_count){told->counts[i].name, told->counts[i].value};
    mr_writer out = begin(outputs, MR_TOPIC_ITEMS);
    mr_encode_item(&out, &(mr_item_view){.item = told->item,
                                         .time_ms = told->time_ms,
                                         .sequence = (int64_t)sequence,
                                         .vector = told->vector,
                                         .vector_count = told->vector_count,
                                         .counts = counts,
                                         .count_count = told->count_count,
                                         .available = told->available});
    put(outputs, frozen, MR_TOPIC_ITEMS, told->shard, told->item, &out, 0);
}

void mr_outputs_metric(mr_outputs *outputs, mr_frozen *frozen, const mr_metric *metric)
{
    mr_writer out = begin(outputs, MR_TOPIC_METRICS);
    const mr_bytes key = mr_bytes_text(metric->name);
    mr_encode_metric(&out, metric);
    put(outputs, frozen, MR_TOPIC_METRICS, mr_partition_of(key, outputs->tasks), key, &out, 0);
}

// Dead letters.

typedef struct letter {
    mr_header headers[HEADERS_MAX];
    uint32_t count;
    char texts[12][HEADER_TEXT_MAX];
    uint32_t text_count;
} letter;

static void add_header(letter *l, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void add_header(letter *l, const char *name, const char *format, ...)
{
    char *text = l->texts[l->text_count++];
    va_list args;
    va_start(args, format);
    vsnprintf(text, HEADER_TEXT_MAX, format, args);
    va_end(args);
    l->headers[l->count++] = (mr_header){name, mr_bytes_text(text)};
}

// whole: key, value and foreign headers are as they came.
static void add_ours(const mr_outputs *outputs, letter *l, const mr_refused *refused, bool whole)
{
    const mr_message *message = refused->message;
    const char *const topic = mr_config_topic(outputs->config, refused->input);
    add_header(l, "__connect.errors.topic", "%s", topic);
    add_header(l, "__connect.errors.partition", "%u", message->partition);
    add_header(l, "__connect.errors.offset", "%lld", (long long)message->offset);
    add_header(l, "__connect.errors.connector.name", "%s", outputs->config->app);
    add_header(l, "__connect.errors.task.id", "%u", refused->task);
    add_header(l, "__connect.errors.stage", "%s", refused->stage);
    add_header(l, "__connect.errors.class.name", "%s",
               strcmp(refused->stage, "TASK_PUT") == 0 ? "core/ingest" : "schemas");
    add_header(l, "__connect.errors.exception.class.name", "%s", mr_cause_name(refused->cause));
    add_header(l, "__connect.errors.exception.message", "%s", refused->reason);
    if (!whole)
        add_header(l, "millrace.errors.value.bytes", "%u", message->value.size);
}

// Returns their bytes.
static size_t add_theirs(letter *l, const mr_message *message)
{
    size_t bytes = 0;
    l->count = message->headers(message, l->headers, HEADERS_MAX);
    for (uint32_t i = 0; i < l->count; i++)
        bytes += l->headers[i].value.size + strlen(l->headers[i].name);
    return bytes;
}

void mr_outputs_dead_letter(mr_outputs *outputs, mr_frozen *frozen, const mr_refused *refused)
{
    letter l = {.count = 0};
    const mr_message *message = refused->message;
    // Where users have other names here, nothing is kept that could hold an id.
    const bool withheld = outputs->config->users_pseudonym_key[0] != '\0';
    const mr_bytes none = {NULL, 0};
    const mr_bytes key = withheld ? none : message->key, value = withheld ? none : message->value;
    const size_t room = outputs->room_bytes - OVERHEAD_BYTES;
    size_t fixed = withheld ? 0 : add_theirs(&l, message) + key.size;
    const bool headless = fixed > room / 2 || l.count > HEADERS_MAX - 12;
    if (headless) {
        l.count = 0; // headers as large as the record itself are not worth more than its value
        fixed = key.size;
    }
    const size_t key_size = key.size < room / 2 ? key.size : room / 2;
    fixed = fixed < room / 2 ? fixed : room / 2;
    const size_t size = value.size < room - fixed ? value.size : room - fixed;
    add_ours(outputs, &l, refused,
             !withheld && !headless && size == value.size && key_size == key.size);
    mr_frozen_put_record(frozen, &(mr_record){
                                     .topic = MR_TOPIC_DEAD_LETTERS,
                                     .partition = refused->task,
                                     .key = mr_bytes_of(key.data, key_size),
                                     .value = mr_bytes_of(value.data, size),
                                     .time_ms = message->time_ms > 0 ? message->time_ms : 0,
                                     .headers = l.headers,
                                     .header_count = l.count,
                                 });
}

// The epoch record.

bool mr_outputs_has_room(const mr_outputs *outputs, uint32_t epoch_count, uint32_t offset_count,
                         uint32_t sequence_count)
{
    const size_t more = ROUND_BYTES + (size_t)epoch_count * EPOCH_BYTES +
                        (size_t)offset_count * (OFFSET_BYTES + outputs->topic_bytes_max) +
                        (size_t)sequence_count * SEQUENCE_BYTES;
    const size_t fixed = OVERHEAD_BYTES + COMMIT_BYTES + (size_t)outputs->tasks * MARK_BYTES;
    if (outputs->round_count == 0)
        return true;
    return outputs->epoch_count + epoch_count <= EPOCHS_MAX &&
           outputs->offset_count + offset_count <= OFFSETS_MAX &&
           outputs->sequence_count + sequence_count <= SEQUENCES_MAX &&
           outputs->round_count < EPOCHS_MAX &&
           fixed + outputs->noted_bytes + more <= outputs->room_bytes;
}

static const mr_sequence *keep_sequences(mr_outputs *outputs, const mr_sequence *sequences,
                                         uint32_t count)
{
    mr_sequence *kept = outputs->sequences + outputs->sequence_count;
    MR_ASSERT(count <= SEQUENCES_MAX - outputs->sequence_count);
    if (count > 0)
        memcpy(kept, sequences, count * sizeof *kept);
    outputs->sequence_count += count;
    outputs->noted_bytes += (size_t)count * SEQUENCE_BYTES;
    return kept;
}

void mr_outputs_round(mr_outputs *outputs, const mr_sequence *views, uint32_t view_count)
{
    MR_ASSERT(outputs->round_count < EPOCHS_MAX);
    outputs->noted_bytes += ROUND_BYTES;
    outputs->rounds[outputs->round_count++] =
        (mr_round){.epochs = outputs->epochs + outputs->epoch_count,
                   .views = keep_sequences(outputs, views, view_count),
                   .view_count = view_count};
}

void mr_outputs_epoch(mr_outputs *outputs, const mr_task_epoch *epoch)
{
    MR_ASSERT(outputs->round_count > 0 && outputs->epoch_count < EPOCHS_MAX &&
              epoch->offset_count <= OFFSETS_MAX - outputs->offset_count);
    mr_task_epoch *kept = &outputs->epochs[outputs->epoch_count++];
    mr_next_offset *offsets = outputs->offsets + outputs->offset_count;
    if (epoch->offset_count > 0)
        memcpy(offsets, epoch->offsets, epoch->offset_count * sizeof *offsets);
    *kept = *epoch;
    kept->offsets = offsets;
    kept->links = keep_sequences(outputs, epoch->links, epoch->link_count);
    outputs->offset_count += epoch->offset_count;
    outputs->noted_bytes += EPOCH_BYTES;
    for (uint32_t i = 0; i < epoch->offset_count; i++)
        outputs->noted_bytes += OFFSET_BYTES + offsets[i].topic.size;
    outputs->rounds[outputs->round_count - 1].epoch_count++;
}

void mr_outputs_put_record(mr_outputs *outputs, mr_frozen *frozen, const mr_epoch_record *commit)
{
    uint8_t key[4];
    mr_writer out = begin(outputs, MR_TOPIC_EPOCHS);
    mr_epoch_record record = *commit;
    record.configuration = (mr_hash128){outputs->config_hash, 0};
    mr_encode_epoch(&out, &record);
    MR_ASSERT(record.mark_count > 0);
    const uint32_t lowest = record.marks[0].of;
    for (int i = 0; i < 4; i++)
        key[i] = (uint8_t)(lowest >> 8 * (3 - i));
    put(outputs, frozen, MR_TOPIC_EPOCHS, lowest, mr_bytes_of(key, sizeof key), &out, 0);
}

void mr_outputs_put_epochs(mr_outputs *outputs, mr_frozen *frozen, const mr_epoch_record *commit)
{
    mr_epoch_record record = *commit;
    record.rounds = outputs->rounds;
    record.round_count = outputs->round_count;
    mr_outputs_put_record(outputs, frozen, &record);
    mr_outputs_forget(outputs);
}

void mr_outputs_forget(mr_outputs *outputs)
{
    outputs->epoch_count = outputs->offset_count = outputs->round_count = 0;
    outputs->sequence_count = 0;
    outputs->noted_bytes = 0;
}
