// SPDX-License-Identifier: Apache-2.0
// bus_tool: what the integration tests do to a broker: make topics, send events, read what came
// out.
//
//   bus_tool BROKERS make TOPIC PARTITIONS           makes a topic
//   bus_tool BROKERS delete TOPIC                    deletes a topic, and waits until it is gone
//   bus_tool BROKERS clicks TOPIC COUNT USERS ITEMS RATE [BAD [again|once [FIRST]]]
//                                                    sends clicks, keyed by user, RATE a second (0:
//                                                    as fast as it goes), every BAD-th of them cut
//                                                    short; SIGTERM ends it early. again: where
//                                                    brokers fail, a record may stand twice. FIRST:
//                                                    the number of the first one, for more of them
//   bus_tool BROKERS lists TOPIC                     reads committed lists: their number, and
//   whether a
//                                                    user's version ever falls
//   bus_tool BROKERS epochs TOPIC                    reads committed epoch records: whether each
//   commit
//                                                    number of a task stands there once, without a
//                                                    gap
//   bus_tool BROKERS markers TOPIC                   reads committed markers of a changelog:
//   whether
//                                                    each commit number of a task stands there
//                                                    once, without a gap
//   bus_tool BROKERS count TOPIC                     counts committed records
//   bus_tool BROKERS trace TOPIC                     prints what the committed records of a
//                                                    changelog, of the lists or of the epochs say:
//                                                    changelog: m TASK SEQ INSTANCE COMMIT MS
//                                                    OFFSET lists:     l PARTITION USER VERSION MS
//                                                    epochs:    e TASK SEQ, a line a task
//                                                    and at last "records" and their number
//
// Prints one line of name=value pairs; exit 1 where a promise is broken.
#include <librdkafka/rdkafka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/hash.h"
#include "core/base/rng.h"
#include "schemas/catalog.h"
#include "schemas/encode.h"
#include "schemas/wire.h"
#include "worker/marker.h"

enum { CALL_MS = 20000, USERS_MAX = 1 << 20, TASKS_MAX = 1024 };

static void stop(const char *what, const char *why)
{
    fprintf(stderr, "bus_tool: %s: %s\n", what, why);
    exit(1);
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char reason[200];
    if (rd_kafka_conf_set(conf, name, value, reason, sizeof reason) != RD_KAFKA_CONF_OK)
        stop(name, reason);
}

static rd_kafka_t *open_client_as(const char *brokers, rd_kafka_type_t type, bool again,
                                  const char *linger_ms)
{
    char reason[200];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", brokers);
    set(conf, "log_level", "3");
    if (type == RD_KAFKA_CONSUMER) {
        set(conf, "isolation.level", "read_committed");
        set(conf, "enable.partition.eof", "true");
    } else {
        set(conf, "enable.idempotence", again ? "false" : "true");
        set(conf, "acks", "all");
        set(conf, "linger.ms", linger_ms);
        set(conf, "queue.buffering.max.messages", "1000000");
    }
    rd_kafka_t *client = rd_kafka_new(type, conf, reason, sizeof reason);
    if (client == NULL)
        stop("client", reason);
    return client;
}

static rd_kafka_t *open_client(const char *brokers, rd_kafka_type_t type)
{
    return open_client_as(brokers, type, false, "5");
}

static int partition_count(rd_kafka_t *client, rd_kafka_topic_t *topic)
{
    const rd_kafka_metadata_t *metadata;
    const rd_kafka_resp_err_t code = rd_kafka_metadata(client, 0, topic, &metadata, CALL_MS);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        stop("metadata", rd_kafka_err2str(code));
    const int count = metadata->topics[0].partition_cnt;
    rd_kafka_metadata_destroy(metadata);
    if (count == 0)
        stop("metadata", "there is no such topic");
    return count;
}

static int make(const char *brokers, const char *name, int partitions)
{
    char reason[200];
    size_t count;
    rd_kafka_t *client = open_client(brokers, RD_KAFKA_PRODUCER);
    rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(name, partitions, -1, reason, sizeof reason);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_CreateTopics(client, &topic, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, CALL_MS);
    if (event == NULL || rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR)
        stop(name, event == NULL ? "no answer" : rd_kafka_event_error_string(event));
    const rd_kafka_topic_result_t **results =
        rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
    const rd_kafka_resp_err_t code = rd_kafka_topic_result_error(results[0]);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR && code != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
        stop(name, rd_kafka_topic_result_error_string(results[0]));
    rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_NewTopic_destroy(topic);
    rd_kafka_destroy(client);
    return 0;
}

static int delete_topic(const char *brokers, const char *name)
{
    const struct timespec nap = {.tv_nsec = 100000000};
    rd_kafka_t *client = open_client(brokers, RD_KAFKA_PRODUCER);
    rd_kafka_DeleteTopic_t *topic = rd_kafka_DeleteTopic_new(name);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_DeleteTopics(client, &topic, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, CALL_MS);
    if (event == NULL || rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR)
        stop(name, event == NULL ? "no answer" : rd_kafka_event_error_string(event));
    rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_DeleteTopic_destroy(topic);
    bool there = true;
    for (int tries = 0; there && tries < 200; tries++) {
        const rd_kafka_metadata_t *metadata;
        nanosleep(&nap, NULL);
        if (rd_kafka_metadata(client, 1, NULL, &metadata, CALL_MS) != RD_KAFKA_RESP_ERR_NO_ERROR)
            continue;
        there = false;
        for (int i = 0; i < metadata->topic_cnt; i++)
            there = there || strcmp(metadata->topics[i].topic, name) == 0;
        rd_kafka_metadata_destroy(metadata);
    }
    if (there)
        stop(name, "is still there");
    rd_kafka_destroy(client);
    return 0;
}

static int64_t now_ms(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static uint64_t click_fingerprint(void)
{
    mr_catalog *catalog;
    mr_error err;
    if (mr_catalog_open(NULL, &catalog, &err) != MR_OK)
        stop("schemas", err.text);
    const uint64_t fingerprint = mr_catalog_find(catalog, "click")->fingerprint;
    mr_catalog_close(catalog);
    return fingerprint;
}

// A population with tastes: user u likes the items of his group best.
static size_t click(uint64_t n, uint32_t users, uint32_t items, uint64_t fingerprint,
                    uint8_t *bytes, size_t room, char *user)
{
    char item[24], id[40];
    mr_rng rng = mr_rng_make(1, 0, n, 0, MR_PURPOSE_SIM);
    const uint32_t who = mr_rng_below(&rng, users);
    const uint32_t group = who % 10, own = mr_rng_below(&rng, 10) < 7;
    const uint32_t what =
        own ? group * (items / 10) + mr_rng_below(&rng, items / 10) : mr_rng_below(&rng, items);
    snprintf(user, 24, "user-%u", who);
    snprintf(item, sizeof item, "item-%u", what);
    snprintf(id, sizeof id, "event-%llu", (unsigned long long)n);
    const mr_event event = {
        .kind = MR_EVENT_CLICK,
        .present = 1u << MR_FIELD_user | 1u << MR_FIELD_item | 1u << MR_FIELD_time |
                   1u << MR_FIELD_event_id,
        .user = mr_bytes_text(user),
        .item = mr_bytes_text(item),
        .event_id = mr_bytes_text(id),
        .time_ms = now_ms(CLOCK_REALTIME),
    };
    mr_writer out = mr_writer_make(bytes, room);
    mr_frame_put_single_object(&out, fingerprint);
    mr_encode_event(&out, &event);
    return out.size;
}

// A handler can reach nothing but a global.
static volatile sig_atomic_t stopped;

static void on_signal(int number)
{
    (void)number;
    stopped = 1;
}

static int send_clicks(const char *brokers, const char *name, uint64_t count, uint32_t users,
                       uint32_t items, uint64_t rate, uint64_t bad, bool again, uint64_t first)
{
    const uint64_t fingerprint = click_fingerprint();
    // A request for each partition and batch: small ones cost brokers more than all else.
    rd_kafka_t *client = open_client_as(brokers, RD_KAFKA_PRODUCER, again, rate > 0 ? "100" : "5");
    rd_kafka_topic_t *topic = rd_kafka_topic_new(client, name, NULL);
    const uint32_t partitions = (uint32_t)partition_count(client, topic);
    const int64_t begun = now_ms(CLOCK_MONOTONIC);
    uint64_t cut = 0;
    signal(SIGTERM, on_signal);
    for (uint64_t n = 0; n < count; n++) {
        if (stopped)
            count = n + 1;
        uint8_t bytes[512];
        char user[24];
        size_t size = click(first + n, users, items, fingerprint, bytes, sizeof bytes, user);
        if (bad > 0 && n % bad == bad - 1) {
            size -= 3;
            cut++;
        }
        const int32_t partition = (int32_t)mr_partition_of(mr_bytes_text(user), partitions);
        while (rd_kafka_produce(topic, partition, RD_KAFKA_MSG_F_COPY, bytes, size, user,
                                strlen(user), NULL) != 0) {
            if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL)
                stop(name, rd_kafka_err2str(rd_kafka_last_error()));
            rd_kafka_poll(client, 10);
        }
        const int64_t due = rate > 0 ? begun + (int64_t)(n * 1000 / rate) : 0;
        const int64_t early = due - now_ms(CLOCK_MONOTONIC);
        rd_kafka_poll(client, rate > 0 && early > 0 ? (int)early : 0);
    }
    if (rd_kafka_flush(client, 60000) != RD_KAFKA_RESP_ERR_NO_ERROR)
        stop(name, "flush timed out");
    printf("sent=%llu bad=%llu ms=%lld\n", (unsigned long long)count, (unsigned long long)cut,
           (long long)(now_ms(CLOCK_MONOTONIC) - begun));
    rd_kafka_topic_destroy(topic);
    rd_kafka_destroy(client);
    return 0;
}

typedef void visit(void *context, const rd_kafka_message_t *message);

static uint64_t read_all(const char *brokers, const char *name, visit *see, void *context)
{
    rd_kafka_t *client = open_client(brokers, RD_KAFKA_CONSUMER);
    rd_kafka_topic_t *topic = rd_kafka_topic_new(client, name, NULL);
    const int partitions = partition_count(client, topic);
    uint64_t count = 0;
    for (int32_t p = 0; p < partitions; p++) {
        if (rd_kafka_consume_start(topic, p, RD_KAFKA_OFFSET_BEGINNING) != 0)
            stop(name, rd_kafka_err2str(rd_kafka_last_error()));
        for (bool end = false; !end;) {
            rd_kafka_message_t *message = rd_kafka_consume(topic, p, 500);
            if (message == NULL)
                continue;
            end = message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF;
            if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
                count++;
                see(context, message);
            } else if (!end) {
                stop(name, rd_kafka_message_errstr(message));
            }
            rd_kafka_message_destroy(message);
        }
        rd_kafka_consume_stop(topic, p);
    }
    rd_kafka_topic_destroy(topic);
    rd_kafka_destroy(client);
    return count;
}

static void see_nothing(void *context, const rd_kafka_message_t *message)
{
    (void)context;
    (void)message;
}

typedef struct versions {
    struct {
        uint64_t user;
        int64_t version;
    } * table;
    uint64_t users, falls, broken;
} versions;

static void see_list(void *context, const rd_kafka_message_t *message)
{
    versions *v = context;
    mr_wire in = {message->payload, (const uint8_t *)message->payload + message->len};
    mr_bytes id, user;
    int64_t version;
    if (mr_wire_skip(&in, 10) != MR_CAUSE_NONE || mr_wire_bytes(&in, &id) != MR_CAUSE_NONE ||
        mr_wire_bytes(&in, &user) != MR_CAUSE_NONE ||
        mr_wire_long(&in, &version) != MR_CAUSE_NONE) {
        v->broken++;
        return;
    }
    const uint64_t name = mr_user_key(user) | 1;
    uint32_t place = (uint32_t)name & (USERS_MAX - 1);
    while (v->table[place].user != 0 && v->table[place].user != name)
        place = (place + 1) & (USERS_MAX - 1);
    v->users += v->table[place].user == 0;
    v->falls += v->table[place].user == name && version <= v->table[place].version;
    v->table[place].user = name;
    v->table[place].version = version;
}

static int check_lists(const char *brokers, const char *name)
{
    versions v = {.table = calloc(USERS_MAX, sizeof *v.table)};
    const uint64_t count = read_all(brokers, name, see_list, &v);
    printf("lists=%llu users=%llu falls=%llu broken=%llu\n", (unsigned long long)count,
           (unsigned long long)v.users, (unsigned long long)v.falls, (unsigned long long)v.broken);
    free(v.table);
    return v.falls > 0 || v.broken > 0;
}

typedef struct commits {
    int64_t last[TASKS_MAX];
    uint64_t commits, repeats, gaps, broken;
} commits;

static void skip_array(mr_wire *in, void (*skip)(mr_wire *in), mr_cause *cause)
{
    uint64_t count;
    int64_t bytes;
    while ((*cause = mr_wire_block(in, 1, &count, &bytes)) == MR_CAUSE_NONE && count > 0) {
        for (uint64_t i = 0; i < count; i++)
            skip(in);
    }
}

static void skip_sequence(mr_wire *in)
{
    int64_t number;
    (void)mr_wire_long(in, &number);
    (void)mr_wire_long(in, &number);
}

static void skip_offset(mr_wire *in)
{
    mr_bytes topic;
    (void)mr_wire_bytes(in, &topic);
    skip_sequence(in);
}

static void skip_epoch(mr_wire *in)
{
    mr_cause cause;
    skip_sequence(in);
    skip_sequence(in);
    skip_array(in, skip_offset, &cause);
    skip_array(in, skip_sequence, &cause);
}

static void skip_round(mr_wire *in)
{
    mr_cause cause;
    skip_array(in, skip_epoch, &cause);
    skip_array(in, skip_sequence, &cause);
}

static void count_seq(commits *c, int64_t task, int64_t seq)
{
    c->repeats += c->last[task] != 0 && seq <= c->last[task];
    c->gaps += c->last[task] != 0 && seq > c->last[task] + 1;
    c->last[task] = seq;
}

// Goes over an epoch record up to its pairs of task and sequence number.
static bool find_pairs(const rd_kafka_message_t *message, mr_wire *in, uint64_t *count)
{
    int64_t time, bytes;
    mr_cause cause;
    *in = (mr_wire){message->payload, (const uint8_t *)message->payload + message->len};
    (void)mr_wire_skip(in, 10);
    (void)mr_wire_long(in, &time);
    (void)mr_wire_skip(in, 16);
    skip_array(in, skip_round, &cause);
    return cause == MR_CAUSE_NONE && mr_wire_block(in, 2, count, &bytes) == MR_CAUSE_NONE;
}

static void see_epochs(void *context, const rd_kafka_message_t *message)
{
    commits *c = context;
    mr_wire in;
    int64_t task, seq;
    uint64_t count;
    if (!find_pairs(message, &in, &count)) {
        c->broken++;
        return;
    }
    for (uint64_t i = 0; i < count; i++) {
        if (mr_wire_long(&in, &task) != MR_CAUSE_NONE || mr_wire_long(&in, &seq) != MR_CAUSE_NONE ||
            task < 0 || task >= TASKS_MAX) {
            c->broken++;
            return;
        }
        count_seq(c, task, seq);
    }
    c->commits++;
}

static void see_marker(void *context, const rd_kafka_message_t *message)
{
    commits *c = context;
    mr_error err;
    static mr_marker_pair pairs[MR_MARKER_PAIRS_MAX];
    static mr_marker_offset offsets[MR_MARKER_OFFSETS_MAX];
    static mr_marker_link links[MR_MARKER_LINKS_MAX];
    mr_marker marker = {.pairs = pairs, .offsets = offsets, .links = links};
    if (!mr_marker_is(mr_bytes_of(message->key, message->key_len)))
        return;
    if (mr_marker_read(mr_bytes_of(message->payload, message->len), &marker, &err) != MR_OK ||
        marker.task != (uint32_t)message->partition) {
        c->broken++;
        return;
    }
    count_seq(c, marker.task, (int64_t)marker.seq);
    c->commits++;
}

static int check_commits(const char *brokers, const char *name, visit *see)
{
    commits c = {0};
    read_all(brokers, name, see, &c);
    printf("commits=%llu repeats=%llu gaps=%llu broken=%llu\n", (unsigned long long)c.commits,
           (unsigned long long)c.repeats, (unsigned long long)c.gaps, (unsigned long long)c.broken);
    return c.commits == 0 || c.repeats > 0 || c.gaps > 0 || c.broken > 0;
}

// What a record says, as a line for whoever checks more than this tool does.

static void trace_marker(const rd_kafka_message_t *message)
{
    static mr_marker_pair pairs[MR_MARKER_PAIRS_MAX];
    static mr_marker_offset offsets[MR_MARKER_OFFSETS_MAX];
    static mr_marker_link links[MR_MARKER_LINKS_MAX];
    mr_marker marker = {.pairs = pairs, .offsets = offsets, .links = links};
    mr_error err;
    if (!mr_marker_is(mr_bytes_of(message->key, message->key_len)))
        return;
    if (mr_marker_read(mr_bytes_of(message->payload, message->len), &marker, &err) != MR_OK)
        stop("a marker", err.text);
    printf("m %u %llu %.*s %llu %lld %lld\n", marker.task, (unsigned long long)marker.seq,
           (int)marker.instance.size, (const char *)marker.instance.data,
           (unsigned long long)marker.commit, (long long)rd_kafka_message_timestamp(message, NULL),
           (long long)message->offset);
}

static void trace_list(const rd_kafka_message_t *message)
{
    mr_wire in = {message->payload, (const uint8_t *)message->payload + message->len};
    mr_bytes id, user;
    int64_t version;
    if (mr_wire_skip(&in, 10) != MR_CAUSE_NONE || mr_wire_bytes(&in, &id) != MR_CAUSE_NONE ||
        mr_wire_bytes(&in, &user) != MR_CAUSE_NONE || mr_wire_long(&in, &version) != MR_CAUSE_NONE)
        stop("a list", "cannot be read");
    printf("l %d %.*s %lld %lld\n", message->partition, (int)user.size, (const char *)user.data,
           (long long)version, (long long)rd_kafka_message_timestamp(message, NULL));
}

static void trace_epochs(const rd_kafka_message_t *message)
{
    mr_wire in;
    int64_t task, seq;
    uint64_t count;
    if (!find_pairs(message, &in, &count))
        stop("an epoch record", "cannot be read");
    for (uint64_t i = 0; i < count; i++) {
        if (mr_wire_long(&in, &task) != MR_CAUSE_NONE || mr_wire_long(&in, &seq) != MR_CAUSE_NONE)
            stop("an epoch record", "cannot be read");
        printf("e %lld %lld\n", (long long)task, (long long)seq);
    }
}

static void trace_record(void *context, const rd_kafka_message_t *message)
{
    const char *const topic = context;
    const char *const dot = strrchr(topic, '.');
    const char *const name = dot != NULL ? dot + 1 : topic;
    if (strcmp(name, "lists") == 0)
        trace_list(message);
    else if (strcmp(name, "epochs") == 0)
        trace_epochs(message);
    else
        trace_marker(message);
}

static int trace(const char *brokers, char *name)
{
    const uint64_t count = read_all(brokers, name, trace_record, name);
    printf("records %llu\n", (unsigned long long)count);
    return 0;
}

int main(int argc, char **argv)
{
    const char *const command = argc > 3 ? argv[2] : "";
    if (strcmp(command, "make") == 0 && argc == 5)
        return make(argv[1], argv[3], atoi(argv[4]));
    if (strcmp(command, "delete") == 0 && argc == 4)
        return delete_topic(argv[1], argv[3]);
    if (strcmp(command, "clicks") == 0 && argc >= 8)
        return send_clicks(argv[1], argv[3], strtoull(argv[4], NULL, 10), (uint32_t)atoi(argv[5]),
                           (uint32_t)atoi(argv[6]), strtoull(argv[7], NULL, 10),
                           argc > 8 ? strtoull(argv[8], NULL, 10) : 0,
                           argc > 9 && strcmp(argv[9], "again") == 0,
                           argc > 10 ? strtoull(argv[10], NULL, 10) : 0);
    if (strcmp(command, "lists") == 0 && argc == 4)
        return check_lists(argv[1], argv[3]);
    if (strcmp(command, "epochs") == 0 && argc == 4)
        return check_commits(argv[1], argv[3], see_epochs);
    if (strcmp(command, "markers") == 0 && argc == 4)
        return check_commits(argv[1], argv[3], see_marker);
    if (strcmp(command, "trace") == 0 && argc == 4)
        return trace(argv[1], argv[3]);
    if (strcmp(command, "count") == 0 && argc == 4) {
        printf("records=%llu\n", (unsigned long long)read_all(argv[1], argv[3], see_nothing, NULL));
        return 0;
    }
    fprintf(stderr, "bus_tool: see the head of its source for how it is used\n");
    return 2;
}
