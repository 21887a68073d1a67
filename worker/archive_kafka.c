// SPDX-License-Identifier: Apache-2.0
// archive_kafka: the archive over brokers. Each partition that is read is a feed of its own, without
// a group: what one read leaves waits for the next.
#include <stdlib.h>
#include <string.h>

#include "worker/archive.h"
#include "worker/kafka/admin.h"
#include "worker/kafka/message.h"

enum {
    FEED_MESSAGES = 512,
    WAIT_MS = 20,
    PATIENCE_MS = 60000,
};
#define QUEUE_KIB "1024" // of a feed: there are many of them

typedef struct feed {
    rd_kafka_topic_t *topic; // NULL: nothing is read
    const char *name;
    int32_t partition;
    int64_t position; // of the next record
    int64_t ended;    // where the log was read to its end last; -1: it was not
    rd_kafka_message_t *messages[FEED_MESSAGES];
    uint32_t first, count;
} feed;

struct mr_archive_kafka {
    const mr_config *config;
    mr_kafka_admin *admin;
    rd_kafka_t *handle;
    feed **feeds[MR_ARCHIVE_STREAMS]; // by partition
    uint32_t counts[MR_ARCHIVE_STREAMS];
    rd_kafka_message_t **lent;
    uint32_t lent_count, lent_room;
};

static const char *name_of(const mr_archive_kafka *archive, uint32_t stream)
{
    if (stream == MR_ARCHIVE_EPOCHS)
        return mr_kafka_topic_name(archive->config, MR_TOPIC_EPOCHS);
    if (stream == MR_ARCHIVE_LISTS)
        return mr_kafka_topic_name(archive->config, MR_TOPIC_LISTS);
    if (stream == MR_ARCHIVE_DEAD_LETTERS)
        return mr_kafka_topic_name(archive->config, MR_TOPIC_DEAD_LETTERS);
    return mr_config_topic(archive->config, stream - MR_ARCHIVE_INPUTS);
}

// ---- feeds

static void stop(feed *f)
{
    for (uint32_t i = 0; i < f->count; i++)
        rd_kafka_message_destroy(f->messages[f->first + i]);
    f->first = f->count = 0;
    f->ended = -1;
    if (f->topic == NULL)
        return;
    rd_kafka_consume_stop(f->topic, f->partition);
    rd_kafka_topic_destroy(f->topic);
    f->topic = NULL;
}

static mr_status start(const mr_archive_kafka *archive, feed *f, int64_t first, mr_error *err)
{
    if (f->topic != NULL && f->position == first)
        return MR_OK;
    stop(f);
    f->position = first;
    f->topic = rd_kafka_topic_new(archive->handle, f->name, NULL);
    if (f->topic == NULL || rd_kafka_consume_start(f->topic, f->partition, first) != 0)
        return mr_fail(err, MR_FATAL, "%s [%d]: %s", f->name, f->partition,
                       rd_kafka_err2str(rd_kafka_last_error()));
    return MR_OK;
}

static mr_status feed_of(mr_archive_kafka *archive, uint32_t stream, uint32_t partition, feed **out,
                         mr_error *err)
{
    if (partition >= archive->counts[stream]) {
        const uint32_t count = partition + 1;
        feed **grown = realloc(archive->feeds[stream], count * sizeof *grown);
        if (grown == NULL)
            return mr_fail(err, MR_FATAL, "out of memory");
        for (uint32_t p = archive->counts[stream]; p < count; p++)
            grown[p] = NULL;
        archive->feeds[stream] = grown;
        archive->counts[stream] = count;
    }
    if (archive->feeds[stream][partition] == NULL) {
        feed *made = calloc(1, sizeof *made);
        if (made == NULL)
            return mr_fail(err, MR_FATAL, "out of memory");
        *made = (feed){
            .name = name_of(archive, stream), .partition = (int32_t)partition, .ended = -1};
        archive->feeds[stream][partition] = made;
    }
    *out = archive->feeds[stream][partition];
    return MR_OK;
}

// Takes what has come: records of transactions that were aborted are passed over by the client.
static mr_status fill(const mr_archive_kafka *archive, feed *f, mr_error *err)
{
    rd_kafka_message_t *batch[FEED_MESSAGES];
    mr_status status = MR_OK;
    const ssize_t count =
        rd_kafka_consume_batch(f->topic, f->partition, WAIT_MS, batch, FEED_MESSAGES);
    f->first = 0;
    for (ssize_t i = 0; i < count; i++) {
        if (batch[i]->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            f->messages[f->count++] = batch[i];
            f->ended = -1;
            continue;
        }
        if (batch[i]->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
            f->ended = batch[i]->offset;
        else if (status == MR_OK)
            status = mr_fail(err, MR_FATAL, "%s [%d], from offset %lld: %s", f->name, f->partition,
                             (long long)f->position, rd_kafka_message_errstr(batch[i]));
        rd_kafka_message_destroy(batch[i]);
    }
    rd_kafka_poll(archive->handle, 0);
    return status;
}

static mr_status lend(mr_archive_kafka *archive, feed *f, mr_error *err)
{
    if (archive->lent_count == archive->lent_room) {
        const uint32_t room = archive->lent_room == 0 ? 256 : archive->lent_room * 2;
        rd_kafka_message_t **grown = realloc(archive->lent, room * sizeof *grown);
        if (grown == NULL)
            return mr_fail(err, MR_FATAL, "out of memory");
        archive->lent = grown;
        archive->lent_room = room;
    }
    archive->lent[archive->lent_count++] = f->messages[f->first++];
    f->count--;
    return MR_OK;
}

// ---- the port

static mr_status ends(void *context, uint32_t stream, uint32_t partition, mr_log_ends *out,
                      mr_error *err)
{
    mr_archive_kafka *archive = context;
    const mr_status status =
        mr_kafka_admin_ends(archive->admin, name_of(archive, stream), partition, out, err);
    return status == MR_OK ? MR_OK : (err->status = MR_FATAL);
}

// Visits what the feed has below `end`. *left: the visitor has left a record.
static mr_status hand_over(mr_archive_kafka *archive, feed *f, int64_t end,
                           mr_archive_visit *visit, void *visit_context, bool *left, mr_error *err)
{
    while (f->count > 0 && f->position < end) {
        const mr_message message = mr_kafka_message(f->messages[f->first]);
        if (message.offset >= end) {
            f->position = end;
            break;
        }
        const mr_status status = visit(visit_context, &message, err);
        *left = status == MR_RETRY;
        if (*left)
            return MR_OK;
        MR_TRY(lend(archive, f, err));
        MR_TRY(status);
        f->position = message.offset + 1;
    }
    return MR_OK;
}

static mr_status read(void *context, uint32_t stream, uint32_t partition, int64_t first,
                      int64_t end, mr_archive_visit *visit, void *visit_context, int64_t *next,
                      mr_error *err)
{
    mr_archive_kafka *archive = context;
    feed *f = NULL;
    bool left = false;
    MR_TRY(feed_of(archive, stream, partition, &f, err));
    MR_TRY(start(archive, f, first, err));
    for (int waited_ms = 0; f->position < end && !left;) {
        if (f->count == 0)
            MR_TRY(fill(archive, f, err));
        if (f->count == 0 && f->ended >= 0) { // control records stand before the end, or nothing
            if (f->ended > f->position)
                f->position = f->ended < end ? f->ended : end;
            break;
        }
        waited_ms = f->count == 0 ? waited_ms + WAIT_MS : 0;
        if (waited_ms > PATIENCE_MS)
            return mr_fail(err, MR_FATAL, "%s [%d]: nothing came for %d s at offset %lld of %lld",
                           f->name, f->partition, PATIENCE_MS / 1000, (long long)f->position,
                           (long long)end);
        MR_TRY(hand_over(archive, f, end, visit, visit_context, &left, err));
    }
    *next = f->position;
    return MR_OK;
}

static void release(void *context)
{
    mr_archive_kafka *archive = context;
    for (uint32_t i = 0; i < archive->lent_count; i++)
        rd_kafka_message_destroy(archive->lent[i]);
    archive->lent_count = 0;
}

mr_archive mr_archive_kafka_port(mr_archive_kafka *archive)
{
    return (mr_archive){archive, ends, read, release};
}

// ---- opening and closing

static mr_status open_archive(mr_archive_kafka *archive, uint32_t *tasks, mr_error *err)
{
    uint32_t counts[MR_CONFIG_READS_MAX], lead;
    rd_kafka_conf_t *conf;
    char text[256];
    MR_TRY(mr_kafka_admin_open(archive->config, &archive->admin, err));
    MR_TRY(mr_kafka_admin_inputs(archive->admin, counts, &lead, err));
    *tasks = counts[lead];
    MR_TRY(mr_kafka_conf(archive->config, MR_KAFKA_CHANGELOG_READER, &conf, err));
    if (rd_kafka_conf_set(conf, "queued.max.messages.kbytes", QUEUE_KIB, text, sizeof text) !=
        RD_KAFKA_CONF_OK) {
        rd_kafka_conf_destroy(conf);
        return mr_fail(err, MR_FATAL, "%s", text);
    }
    return mr_kafka_open(conf, MR_KAFKA_CHANGELOG_READER, &archive->handle, err);
}

mr_status mr_archive_kafka_open(const mr_config *config, uint32_t *tasks, mr_archive_kafka **out,
                                mr_error *err)
{
    mr_archive_kafka *archive = calloc(1, sizeof *archive);
    if (archive == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    archive->config = config;
    const mr_status status = open_archive(archive, tasks, err);
    if (status != MR_OK) {
        mr_archive_kafka_close(archive);
        return status;
    }
    *out = archive;
    return MR_OK;
}

void mr_archive_kafka_close(mr_archive_kafka *archive)
{
    if (archive == NULL)
        return;
    release(archive);
    for (uint32_t s = 0; s < MR_ARCHIVE_STREAMS; s++) {
        for (uint32_t p = 0; p < archive->counts[s]; p++) {
            if (archive->feeds[s][p] != NULL)
                stop(archive->feeds[s][p]);
            free(archive->feeds[s][p]);
        }
        free(archive->feeds[s]);
    }
    free(archive->lent);
    if (archive->handle != NULL)
        rd_kafka_destroy(archive->handle);
    mr_kafka_admin_close(archive->admin);
    free(archive);
}
