// SPDX-License-Identifier: Apache-2.0
// A lost disk: a task's rows made again from its changelog alone, against reading that changelog.
//
// A topic holds one row for each of so many users, in no order of their keys, each as a worker
// writes it: sealed, of about 700 bytes, with a marker at the end of each partition. The reference
// reads it with librdkafka alone, all partitions at once, with the settings of the worker's reader,
// and looks at nothing. The worker's way reads it, checks each row, sorts it into runs, merges and
// appends it to a fresh database that is synced as the configuration says, and compares row count
// and state hash with the marker's.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "state/folder.h"
#include "worker/bench/bench.h"
#include "worker/bench/measure.h"
#include "worker/kafka/bus.h"
#include "worker/methods.h"
#include "worker/scratch.h"
#include "worker/store_port.h"
#include "worker/task.h"

#include "worker/log.h" // last: its mr_log hides the logarithm of core/base/vec.h

enum {
    RUNS = 5,
    SETS_MAX = 80,
    SET_BYTES = 256,
    KEY_BYTES = 15,
    PAYLOAD_BYTES = 684, // with its envelope 700
    VALUE_BYTES = MR_ROW_HEADER_BYTES + PAYLOAD_BYTES,
    NOISE_BYTES = 1 << 20,
    BATCH = 1000,
    CALL_MS = 30000,
    WAIT_MS = 20,
};

typedef struct restore {
    const mr_pipeline_options *options;
    char name[48], folder[96];
    mr_methods methods;
    mr_config *config;
    mr_kafka_admin *admin;
    bool topics_made;
    mr_load_result sums[64]; // by task: what its rows add up to
    uint64_t bytes;          // of keys and values
} restore;

// ---- configuration and topics

static mr_status load_config(restore *r, mr_error *err)
{
    const mr_pipeline_options *o = r->options;
    char own[3][SET_BYTES];
    const char *sets[SETS_MAX];
    uint32_t count = 0;
    snprintf(own[0], SET_BYTES, "app=%s", r->name);
    snprintf(own[1], SET_BYTES, "topics.clicks.kind=click");
    snprintf(own[2], SET_BYTES, "kafka.bootstrap_servers=%.200s",
             o->bootstrap != NULL ? o->bootstrap : "");
    for (; count < 3u - (o->bootstrap == NULL); count++)
        sets[count] = own[count];
    for (uint32_t i = 0; i < o->set_count && count < SETS_MAX; i++)
        sets[count++] = o->sets[i];
    const mr_config_source source = {
        .path = o->config_path,
        .sets = sets,
        .set_count = count,
        .environment = environ,
        .numbers = r->methods.numbers,
        .number_count = r->methods.count,
    };
    return mr_config_load(&r->config, &source, err);
}

static mr_status make_topics(restore *r, mr_error *err)
{
    MR_TRY(mr_kafka_admin_open(r->config, &r->admin, err));
    r->topics_made = true;
    for (uint32_t c = 0; c < MR_STORE_CHANGELOGS; c++)
        MR_TRY(
            mr_kafka_admin_create(r->admin, mr_topic_of_changelog(c), r->options->partitions, err));
    return MR_OK;
}

static void delete_topics(const restore *r)
{
    rd_kafka_DeleteTopic_t *topics[MR_STORE_CHANGELOGS];
    rd_kafka_conf_t *conf;
    rd_kafka_t *client;
    mr_error ignored;
    if (!r->topics_made || mr_kafka_conf(r->config, MR_KAFKA_ADMIN, &conf, &ignored) != MR_OK ||
        mr_kafka_open(conf, MR_KAFKA_ADMIN, &client, &ignored) != MR_OK)
        return;
    for (uint32_t c = 0; c < MR_STORE_CHANGELOGS; c++)
        topics[c] =
            rd_kafka_DeleteTopic_new(mr_kafka_topic_name(r->config, mr_topic_of_changelog(c)));
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_DeleteTopics(client, topics, MR_STORE_CHANGELOGS, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, CALL_MS);
    if (event != NULL)
        rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_DeleteTopic_destroy_array(topics, MR_STORE_CHANGELOGS);
    rd_kafka_destroy(client);
}

// ---- filling

typedef struct filling {
    rd_kafka_t *producer;
    rd_kafka_topic_t *topics[MR_STORE_CHANGELOGS];
    uint8_t *noise;
    uint64_t failed;
} filling;

static void on_delivery(rd_kafka_t *handle, const rd_kafka_message_t *message, void *context)
{
    (void)handle;
    ((filling *)context)->failed += message->err != RD_KAFKA_RESP_ERR_NO_ERROR;
}

static mr_status send_one(filling *f, uint32_t changelog, uint32_t task, mr_bytes key,
                          mr_bytes value, mr_error *err)
{
    for (;;) {
        if (rd_kafka_produce(f->topics[changelog], (int32_t)task, RD_KAFKA_MSG_F_COPY,
                             (void *)(uintptr_t)value.data, value.size, key.data, key.size,
                             NULL) == 0)
            return MR_OK;
        if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL)
            return mr_fail(err, MR_FATAL, "bench restore: produce: %s",
                           rd_kafka_err2str(rd_kafka_last_error()));
        rd_kafka_poll(f->producer, 10);
    }
}

// A number below 2^27 for each i below that, no two alike, and in no order.
static uint32_t shuffled(uint64_t i)
{
    const uint32_t mask = (1u << 27) - 1;
    uint32_t x = (uint32_t)i & mask;
    for (int round = 0; round < 3; round++) {
        x = x * 0x9e3779b1u & mask;
        x ^= x >> 13;
    }
    return x;
}

static mr_status send_rows(restore *r, filling *f, mr_error *err)
{
    uint8_t value[VALUE_BYTES];
    char key[KEY_BYTES + 1];
    for (uint64_t i = 0; i < r->options->rows; i++) {
        const uint32_t user = shuffled(i), task = user % r->options->partitions;
        snprintf(key, sizeof key, "uuser-%09u", user);
        const mr_bytes name = mr_bytes_of(key, KEY_BYTES);
        const mr_row row = {
            .kind = 'u',
            .version = 1,
            .payload = mr_bytes_of(f->noise + user % (NOISE_BYTES - PAYLOAD_BYTES), PAYLOAD_BYTES)};
        const mr_bytes sealed = mr_bytes_of(value, mr_row_seal(name, &row, value));
        r->sums[task].row_count++;
        mr_hash128_add(&r->sums[task].state_hash, mr_row_hash(name, sealed));
        r->bytes += KEY_BYTES + VALUE_BYTES;
        MR_TRY(send_one(f, 0, task, name, sealed, err));
        if (i % 1024 == 0)
            rd_kafka_poll(f->producer, 0);
    }
    return MR_OK;
}

static mr_status send_markers(const restore *r, filling *f, mr_error *err)
{
    uint8_t sealed[MR_MARKER_BYTES_MAX];
    const mr_clock clock = mr_clock_system();
    for (uint32_t task = 0; task < r->options->partitions; task++) {
        mr_marker_pair pair = {task, 1};
        const mr_marker marker = {
            .history = {1, 2},
            .task = task,
            .tasks = r->options->partitions,
            .seq = 1,
            .instance = mr_bytes_text("bench"),
            .commit = 1,
            .wall_ms = clock.wall_ms(clock.context),
            .release = mr_bytes_text("bench"),
            .row_count = r->sums[task].row_count,
            .state_hash = r->sums[task].state_hash,
            .pairs = &pair,
            .pair_count = 1,
        };
        uint32_t size;
        MR_TRY(mr_marker_write(&marker, sealed, &size, err));
        for (uint32_t c = 0; c < MR_STORE_CHANGELOGS; c++)
            MR_TRY(send_one(f, c, task, mr_marker_key(), mr_bytes_of(sealed, size), err));
    }
    return MR_OK;
}

static mr_status open_filling(const restore *r, filling *f, mr_error *err)
{
    rd_kafka_conf_t *conf;
    uint64_t noise = 1;
    f->noise = malloc(NOISE_BYTES);
    if (f->noise == NULL)
        return mr_fail(err, MR_FATAL, "bench restore: out of memory");
    for (size_t i = 0; i < NOISE_BYTES; i++)
        f->noise[i] = (uint8_t)mr_noise(&noise);
    MR_TRY(mr_kafka_conf(r->config, MR_KAFKA_PLAIN_PRODUCER, &conf, err));
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_conf_set_opaque(conf, f);
    MR_TRY(mr_kafka_open(conf, MR_KAFKA_PLAIN_PRODUCER, &f->producer, err));
    for (uint32_t c = 0; c < MR_STORE_CHANGELOGS; c++)
        f->topics[c] = rd_kafka_topic_new(
            f->producer, mr_kafka_topic_name(r->config, mr_topic_of_changelog(c)), NULL);
    return MR_OK;
}

static mr_status fill(restore *r, mr_error *err)
{
    filling f = {.failed = 0};
    mr_status status = open_filling(r, &f, err);
    if (status == MR_OK)
        status = send_rows(r, &f, err);
    if (status == MR_OK) // a marker is the last of its partition
        status = send_markers(r, &f, err);
    if (status == MR_OK && rd_kafka_flush(f.producer, CALL_MS) != RD_KAFKA_RESP_ERR_NO_ERROR)
        status = mr_fail(err, MR_FATAL, "bench restore: the rows were not all delivered");
    if (status == MR_OK && f.failed > 0)
        status = mr_fail(err, MR_FATAL, "bench restore: %llu rows were not delivered",
                         (unsigned long long)f.failed);
    for (uint32_t c = 0; c < MR_STORE_CHANGELOGS; c++)
        if (f.topics[c] != NULL)
            rd_kafka_topic_destroy(f.topics[c]);
    if (f.producer != NULL)
        rd_kafka_destroy(f.producer);
    free(f.noise);
    return status;
}

// ---- reading only

static mr_status consume(const restore *r, rd_kafka_queue_t *queue, mr_error *err)
{
    rd_kafka_message_t *batch[BATCH];
    uint64_t read = 0, bytes = 0;
    for (uint32_t ended = 0; ended < r->options->partitions;) {
        const ssize_t count = rd_kafka_consume_batch_queue(queue, WAIT_MS, batch, BATCH);
        for (ssize_t i = 0; i < count; i++) {
            ended += batch[i]->err == RD_KAFKA_RESP_ERR__PARTITION_EOF;
            if (batch[i]->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
                read++;
                bytes += batch[i]->len + batch[i]->key_len;
            }
            rd_kafka_message_destroy(batch[i]);
        }
    }
    if (read != r->options->rows + r->options->partitions || bytes < r->bytes)
        return mr_fail(err, MR_FATAL, "bench restore: %llu records were read of %llu rows",
                       (unsigned long long)read, (unsigned long long)r->options->rows);
    return MR_OK;
}

static mr_status read_only(const restore *r, double *seconds, mr_error *err)
{
    rd_kafka_conf_t *conf;
    rd_kafka_t *client;
    MR_TRY(mr_kafka_conf(r->config, MR_KAFKA_CHANGELOG_READER, &conf, err));
    MR_TRY(mr_kafka_open(conf, MR_KAFKA_CHANGELOG_READER, &client, err));
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_topic_t *topic =
        rd_kafka_topic_new(client, mr_kafka_topic_name(r->config, MR_TOPIC_USER_ROWS), NULL);
    const double begun = mr_seconds();
    for (uint32_t p = 0; p < r->options->partitions; p++)
        rd_kafka_consume_start_queue(topic, (int32_t)p, RD_KAFKA_OFFSET_BEGINNING, queue);
    const mr_status status = consume(r, queue, err);
    *seconds = mr_seconds() - begun;
    for (uint32_t p = 0; p < r->options->partitions; p++)
        rd_kafka_consume_stop(topic, (int32_t)p);
    rd_kafka_topic_destroy(topic);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(client);
    return status;
}

// ---- restoring

static mr_status restore_tasks(const restore *r, mr_taker *taker, double *seconds, mr_error *err)
{
    mr_taking *taking = calloc(1, sizeof *taking);
    mr_status status = mr_taker_open(taker, err);
    if (taking == NULL)
        status = mr_fail(err, MR_FATAL, "bench restore: out of memory");
    const double begun = mr_seconds();
    for (uint32_t task = 0; status == MR_OK && task < r->options->partitions; task++) {
        *taking = (mr_taking){.task = task};
        status = mr_taking_restore(taker, taking, NULL, NULL, err);
        if (status == MR_OK && taking->marker.row_count != r->sums[task].row_count)
            status = mr_fail(err, MR_FATAL, "bench restore: task %u lacks rows", task);
    }
    *seconds = mr_seconds() - begun;
    mr_taker_close(taker);
    free(taking);
    return status;
}

static mr_status restore_once(const restore *r, double *seconds, mr_error *err)
{
    static const mr_sync syncs[] = {[MR_CONFIG_SYNC_FULL] = MR_SYNC_FULL,
                                    [MR_CONFIG_SYNC_META] = MR_SYNC_META,
                                    [MR_CONFIG_SYNC_NONE] = MR_SYNC_NONE};
    const mr_store_options options = {.sync = syncs[r->config->state_sync]};
    char folder[120];
    mr_local local;
    mr_error ignored;
    snprintf(folder, sizeof folder, "%s/state", r->folder);
    MR_TRY(mr_local_open(folder, &options, &local, NULL, err));
    mr_kafka_bus kafka = {
        .config = r->config, .partition_count = r->options->partitions, .admin = r->admin};
    const mr_bus bus = mr_kafka_bus_port(&kafka);
    const mr_store_port store = mr_local_port(&local);
    const mr_clock clock = mr_clock_system();
    mr_taker *taker = calloc(1, sizeof *taker);
    mr_status status = MR_OK;
    if (taker == NULL)
        status = mr_fail(err, MR_FATAL, "bench restore: out of memory");
    if (status == MR_OK)
        status = mr_kafka_reader_open(r->config, &kafka.reader, err);
    if (status == MR_OK) {
        *taker = (mr_taker){.config = r->config,
                            .bus = &bus,
                            .store = &store,
                            .clock = &clock,
                            .tasks = r->options->partitions,
                            .cluster = "bench",
                            .copy_age_max_ms = INT64_MAX};
        status = restore_tasks(r, taker, seconds, err);
    }
    mr_kafka_reader_close(kafka.reader);
    const mr_status closed = mr_local_close(&local, status == MR_OK ? err : &ignored);
    mr_folder_remove(folder);
    free(taker);
    return status == MR_OK ? closed : status;
}

// ---- all of it

static mr_status open_restore(restore *r, mr_error *err)
{
    uint64_t noise = (uint64_t)(mr_seconds() * 1e9);
    MR_TRY(mr_scratch_make(r->folder, sizeof r->folder, err));
    snprintf(r->name, sizeof r->name, "millrace-bench-%08x", (unsigned)mr_noise(&noise));
    MR_TRY(mr_methods_open(&r->methods, err));
    MR_TRY(load_config(r, err));
    return make_topics(r, err);
}

static mr_status run(restore *r, mr_runs *runs, mr_error *err)
{
    fprintf(stderr, "restore: filling the changelog\n");
    MR_TRY(fill(r, err));
    for (int i = 0; i < RUNS; i++) {
        double ours, reference;
        MR_TRY(read_only(r, &reference, err));
        MR_TRY(restore_once(r, &ours, err));
        mr_runs_add(runs, ours, reference);
        fprintf(stderr, "restore: run %d of %d: %.2f s, reading alone %.2f s\n", i + 1, RUNS, ours,
                reference);
    }
    return MR_OK;
}

static mr_figure figure_of(const char *name, const char *unit, double amount, const mr_runs *runs)
{
    mr_runs sorted = *runs;
    const double ours = mr_median(sorted.ours, sorted.count);
    const double reference = mr_median(sorted.reference, sorted.count);
    return (mr_figure){name,
                       amount / ours,
                       unit,
                       "librdkafka reading the same topic",
                       amount / reference,
                       mr_median(sorted.ratio, sorted.count)};
}

mr_status mr_bench_restore(const mr_pipeline_options *options, mr_figure *figures, uint32_t *count,
                           mr_error *err)
{
    restore r = {.options = options};
    mr_runs runs = {.count = 0};
    const uint32_t room = *count;
    const mr_log_options quiet = {.out = stderr, .level = MR_LOG_WARNING, .service = "millrace"};
    *count = 0;
    mr_log_open(&quiet);
    mr_status status = open_restore(&r, err);
    if (status == MR_OK)
        status = run(&r, &runs, err);
    if (status == MR_OK) {
        const double rows = (double)options->rows;
        const mr_figure all[] = {
            figure_of("restore_rows", "rows/s", rows, &runs),
            figure_of("restore_bytes", "MB/s", (double)r.bytes * 1e-6, &runs),
        };
        for (uint32_t i = 0; i < sizeof all / sizeof all[0] && *count < room; i++)
            figures[(*count)++] = all[i];
    }
    delete_topics(&r);
    mr_kafka_admin_close(r.admin);
    mr_config_free(r.config);
    mr_methods_close(&r.methods);
    mr_scratch_remove(r.folder);
    return status;
}
