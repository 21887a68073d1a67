// SPDX-License-Identifier: Apache-2.0
// arrivals_kafka: a range of topics as one stream. Each partition is a feed with a few hundred
// messages read ahead; the next event is the least of the feeds' heads, so a feed that has none is
// waited for until its range has ended. Nothing joins a group and nothing is committed.
#include <stdlib.h>
#include <string.h>

#include "worker/arrivals.h"
#include "worker/decoder.h"
#include "worker/kafka/message.h"
#include "worker/kafka/admin.h"
#include "worker/registry_config.h"

enum {
    FEED_MESSAGES = 512,
    WAIT_MS = 50,
    PATIENCE_MS = 60000,
    CALL_MS = 10000,
    SCRATCH_BYTES = 64 << 10
};

typedef struct feed {
    uint32_t input, rank;
    int32_t partition;
    int64_t next, end; // what is left of the range
    bool started;
    rd_kafka_topic_t *topic;
    rd_kafka_message_t *messages[FEED_MESSAGES];
    uint32_t first, count;
} feed;

typedef struct topics {
    const mr_config *config;
    mr_registry *registry; // NULL: there is none
    mr_catalog *catalog;
    mr_decoder *decoder;
    mr_kafka_admin *admin;
    rd_kafka_t *handle;
    feed *feeds;
    uint32_t feed_count;
    mr_arena arena;
    rd_kafka_message_t *current; // what the last arrival points to
    mr_arrival *arrivals;        // its events; those from arrival_next on are still to come
    uint32_t arrival_count, arrival_next;
    uint64_t done, total;
} topics;

static void stop_feed(feed *f)
{
    if (f->started)
        rd_kafka_consume_stop(f->topic, f->partition);
    f->started = false;
}

// Takes what has come for a feed. A message behind the range, or the log's end at or behind it,
// ends the feed; records of transactions that were aborted are passed over by the client.
static mr_status take(topics *t, feed *f, mr_error *err)
{
    rd_kafka_message_t *batch[FEED_MESSAGES];
    mr_status status = MR_OK;
    const ssize_t count =
        rd_kafka_consume_batch(f->topic, f->partition, WAIT_MS, batch, FEED_MESSAGES);
    f->first = 0;
    for (ssize_t i = 0; i < count; i++) {
        const bool good = batch[i]->err == RD_KAFKA_RESP_ERR_NO_ERROR;
        if (good && batch[i]->offset < f->end) {
            f->messages[f->count++] = batch[i];
            f->next = batch[i]->offset + 1;
            continue;
        }
        if (good || batch[i]->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
            if (batch[i]->offset > f->next)
                f->next = batch[i]->offset;
        } else if (status == MR_OK) {
            status = mr_fail(err, MR_FATAL, "%s [%d]: %s", t->config->inputs[f->input].topic,
                             f->partition, rd_kafka_message_errstr(batch[i]));
        }
        rd_kafka_message_destroy(batch[i]);
    }
    if (f->next >= f->end)
        stop_feed(f);
    return status;
}

static mr_status refill(topics *t, feed *f, mr_error *err)
{
    for (int waited_ms = 0; f->count == 0 && f->started; waited_ms += WAIT_MS) {
        if (waited_ms > PATIENCE_MS)
            return mr_fail(err, MR_FATAL, "%s [%d]: nothing came for %d s at offset %lld of %lld",
                           t->config->inputs[f->input].topic, f->partition, PATIENCE_MS / 1000,
                           (long long)f->next, (long long)f->end);
        MR_TRY(take(t, f, err));
        rd_kafka_poll(t->handle, 0);
    }
    return MR_OK;
}

// Feeds stand in order of topic and partition, so that of equal timestamps the first wins.
static mr_status least(topics *t, feed **out, mr_error *err)
{
    int64_t least_ms = 0;
    *out = NULL;
    for (uint32_t i = 0; i < t->feed_count; i++) {
        feed *f = &t->feeds[i];
        MR_TRY(refill(t, f, err));
        if (f->count == 0)
            continue;
        const int64_t ms = mr_kafka_message(f->messages[f->first]).time_ms;
        if (*out == NULL || ms < least_ms) {
            *out = f;
            least_ms = ms;
        }
    }
    return MR_OK;
}

static void release(topics *t)
{
    if (t->current != NULL)
        rd_kafka_message_destroy(t->current);
    t->current = NULL;
    mr_arena_reset(&t->arena);
}

// Reads messages until one is an event, or several.
static mr_status read_message(topics *t, bool *more, mr_error *err)
{
    feed *f;
    t->arrival_next = t->arrival_count = 0;
    while (t->arrival_count == 0) {
        release(t);
        MR_TRY(least(t, &f, err));
        *more = f != NULL;
        if (f == NULL)
            return MR_OK;
        t->current = f->messages[f->first++];
        f->count--;
        t->done++;
        const mr_message message = mr_kafka_message(t->current);
        const mr_status status =
            mr_decoder_read(t->decoder, f->input, &message, &t->arena, t->arrivals,
                            mr_decoder_events_max(t->decoder), &t->arrival_count, err);
        if (status != MR_OK) {
            t->arrival_count = 0;
            return status;
        }
    }
    return MR_OK;
}

static mr_status topics_next(void *context, mr_arrival *arrival, bool *more, mr_error *err)
{
    topics *t = context;
    *more = true;
    if (t->arrival_next == t->arrival_count)
        MR_TRY(read_message(t, more, err));
    if (*more)
        *arrival = t->arrivals[t->arrival_next++];
    return MR_OK;
}

static void topics_progress(void *context, uint64_t *done, uint64_t *total)
{
    const topics *t = context;
    *done = t->done;
    *total = t->total;
}

static void topics_close(void *context)
{
    topics *t = context;
    if (t->arena.base != NULL)
        release(t);
    for (uint32_t i = 0; i < t->feed_count; i++) {
        feed *f = &t->feeds[i];
        stop_feed(f);
        for (uint32_t j = 0; j < f->count; j++)
            rd_kafka_message_destroy(f->messages[f->first + j]);
        if (f->topic != NULL)
            rd_kafka_topic_destroy(f->topic);
    }
    if (t->handle != NULL)
        rd_kafka_destroy(t->handle);
    mr_kafka_admin_close(t->admin);
    mr_decoder_close(t->decoder);
    mr_catalog_close(t->catalog);
    mr_registry_close(t->registry);
    free(t->arena.base);
    free(t->arrivals);
    free(t->feeds);
    free(t);
}

// The offset of a time; the log's end where every record is older.
static mr_status offset_of_time(topics *t, const feed *f, int64_t ms, int64_t end, int64_t *offset,
                                mr_error *err)
{
    const char *const topic = t->config->inputs[f->input].topic;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_t *asked =
        rd_kafka_topic_partition_list_add(list, topic, f->partition);
    asked->offset = ms;
    rd_kafka_resp_err_t code = rd_kafka_offsets_for_times(t->handle, list, CALL_MS);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        code = asked->err;
    *offset = asked->offset >= 0 ? asked->offset : end;
    rd_kafka_topic_partition_list_destroy(list);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return mr_fail(err, MR_FATAL, "%s [%d]: offset of a time: %s", topic, f->partition,
                       rd_kafka_err2str(code));
    return MR_OK;
}

static mr_status resolve(topics *t, const feed *f, mr_range_end at, int64_t whole,
                         const mr_log_ends *log, int64_t *offset, mr_error *err)
{
    *offset = at.kind == MR_RANGE_OFFSET ? at.value : whole;
    if (at.kind == MR_RANGE_TIME)
        MR_TRY(offset_of_time(t, f, at.value, log->end, offset, err));
    if (*offset < log->first)
        *offset = log->first;
    if (*offset > log->end)
        *offset = log->end;
    return MR_OK;
}

static mr_status open_feed(topics *t, feed *f, mr_range_end from, mr_range_end to, mr_error *err)
{
    const char *const topic = t->config->inputs[f->input].topic;
    mr_log_ends log;
    MR_TRY(mr_kafka_admin_ends(t->admin, topic, (uint32_t)f->partition, &log, err));
    MR_TRY(resolve(t, f, from, log.first, &log, &f->next, err));
    MR_TRY(resolve(t, f, to, log.end, &log, &f->end, err));
    if (f->next >= f->end)
        return MR_OK;
    t->total += (uint64_t)(f->end - f->next);
    f->topic = rd_kafka_topic_new(t->handle, topic, NULL);
    if (f->topic == NULL || rd_kafka_consume_start(f->topic, f->partition, f->next) != 0)
        return mr_fail(err, MR_FATAL, "%s [%d]: %s", topic, f->partition,
                       rd_kafka_err2str(rd_kafka_last_error()));
    f->started = true;
    return MR_OK;
}

static int compare_feeds(const void *a, const void *b)
{
    const feed *x = a, *y = b;
    if (x->rank != y->rank)
        return x->rank < y->rank ? -1 : 1;
    return (x->partition > y->partition) - (x->partition < y->partition);
}

static mr_status make_feeds(topics *t, mr_error *err)
{
    // Whatever the partitions: a replay itself splits users over its tasks.
    uint32_t counts[MR_CONFIG_INPUTS_MAX], total = 0;
    MR_TRY(mr_kafka_admin_counts(t->admin, counts, err));
    for (uint32_t i = 0; i < t->config->input_count; i++)
        total += counts[i];
    t->feeds = calloc(total + 1u, sizeof *t->feeds);
    if (t->feeds == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    for (uint32_t i = 0; i < t->config->input_count; i++) {
        if (mr_config_kind(&t->config->inputs[i]) == MR_EVENT_CATALOGUE)
            continue;
        for (uint32_t p = 0; p < counts[i]; p++)
            t->feeds[t->feed_count++] =
                (feed){.input = i, .rank = mr_decoder_rank(t->decoder, i), .partition = (int32_t)p};
    }
    qsort(t->feeds, t->feed_count, sizeof *t->feeds, compare_feeds);
    return MR_OK;
}

static mr_status open_topics(topics *t, mr_range_end from, mr_range_end to, mr_error *err)
{
    rd_kafka_conf_t *conf;
    MR_TRY(mr_registry_of_config(t->config, &t->registry, err));
    MR_TRY(mr_catalog_of_config(t->config, t->registry, &t->catalog, err));
    MR_TRY(mr_decoder_open(t->config, t->catalog, &t->decoder, err));
    // Twice the room: what is left while a message is decoded is all that the decoder asks for.
    const size_t room = mr_arena_round(2 * mr_decoder_room(t->decoder) + SCRATCH_BYTES);
    void *memory = aligned_alloc(MR_ARENA_ALIGN, room);
    t->arrivals = calloc(mr_decoder_events_max(t->decoder), sizeof *t->arrivals);
    if (memory == NULL || t->arrivals == NULL) {
        free(memory);
        return mr_fail(err, MR_FATAL, "out of memory");
    }
    mr_arena_init(&t->arena, memory, room);
    MR_TRY(mr_kafka_admin_open(t->config, &t->admin, err));
    MR_TRY(mr_kafka_conf(t->config, MR_KAFKA_CHANGELOG_READER, &conf, err));
    MR_TRY(mr_kafka_open(conf, MR_KAFKA_CHANGELOG_READER, &t->handle, err));
    MR_TRY(make_feeds(t, err));
    for (uint32_t i = 0; i < t->feed_count; i++)
        MR_TRY(open_feed(t, &t->feeds[i], from, to, err));
    return MR_OK;
}

mr_status mr_arrivals_of_topics(const mr_config *config, mr_range_end from, mr_range_end to,
                                mr_arrivals *arrivals, mr_error *err)
{
    topics *t = calloc(1, sizeof *t);
    if (t == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    t->config = config;
    const mr_status status = open_topics(t, from, to, err);
    if (status != MR_OK) {
        topics_close(t);
        return status;
    }
    *arrivals = (mr_arrivals){t, "the inputs", topics_next, topics_progress, topics_close};
    return MR_OK;
}
