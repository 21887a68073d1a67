// SPDX-License-Identifier: Apache-2.0
// The reader of changelogs, against librdkafka's mock brokers.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "worker/kafka/reader.h"
#include "worker/log.h"

enum { ROWS = 4000, ROW_BYTES = 1000, PATIENCE_MS = 20000 }; // the mock keeps 5 MB of a partition

typedef struct brokers {
    rd_kafka_t *handle;
    rd_kafka_mock_cluster_t *cluster;
    mr_config *config;
    mr_kafka_reader *reader;
} brokers;

static mr_config *load_config(const brokers *b)
{
    char servers[256];
    const char *sets[] = {servers, "app=read", "topics.clicks.kind=click",
                          "kafka.queue_bytes_max=1MiB"};
    const mr_config_source source = {.sets = sets, .set_count = 4};
    mr_config *config = NULL;
    mr_error err = {0};
    snprintf(servers, sizeof servers, "kafka.bootstrap_servers=%s",
             rd_kafka_mock_cluster_bootstraps(b->cluster));
    if (mr_config_load(&config, &source, &err) != MR_OK)
        fail_msg("%s", err.text);
    return config;
}

// Rows "0", "1", ... in partition 0 of the topic, each filled up to ROW_BYTES.
static void fill(const brokers *b, const char *name)
{
    static char value[ROW_BYTES];
    mr_error err = {0};
    rd_kafka_conf_t *conf;
    rd_kafka_t *producer;
    assert_int_equal(mr_kafka_conf(b->config, MR_KAFKA_PLAIN_PRODUCER, &conf, &err), MR_OK);
    assert_int_equal(mr_kafka_open(conf, MR_KAFKA_PLAIN_PRODUCER, &producer, &err), MR_OK);
    rd_kafka_topic_t *topic = rd_kafka_topic_new(producer, name, NULL);
    for (int i = 0; i < ROWS; i++) {
        snprintf(value, sizeof value, "%d", i);
        assert_int_equal(
            rd_kafka_produce(topic, 0, RD_KAFKA_MSG_F_COPY, value, sizeof value, "key", 3, NULL),
            0);
    }
    assert_int_equal(rd_kafka_flush(producer, PATIENCE_MS), 0);
    rd_kafka_topic_destroy(topic);
    rd_kafka_destroy(producer);
}

static int setup(void **state)
{
    static brokers b;
    char reason[200];
    mr_error err = {0};
    const mr_log_options quiet = {.out = stderr, .level = MR_LOG_ERROR, .service = "millrace"};
    mr_log_open(&quiet);
    rd_kafka_conf_t *conf = rd_kafka_conf_new(); // the brokers' own handle: it needs none itself
    rd_kafka_conf_set(conf, "log_level", "3", reason, sizeof reason);
    b.handle = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof reason);
    b.cluster = b.handle != NULL ? rd_kafka_mock_cluster_new(b.handle, 1) : NULL;
    if (b.cluster == NULL || rd_kafka_mock_topic_create(b.cluster, "rows", 2, 1) != 0)
        return -1;
    b.config = load_config(&b);
    fill(&b, "rows");
    *state = &b;
    return mr_kafka_reader_open(b.config, &b.reader, &err) == MR_OK ? 0 : -1;
}

static int teardown(void **state)
{
    brokers *b = *state;
    mr_kafka_reader_close(b->reader);
    mr_config_free(b->config);
    rd_kafka_mock_cluster_destroy(b->cluster);
    rd_kafka_destroy(b->handle);
    return 0;
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

typedef struct seen {
    int64_t rows, first;
    int64_t pause_at; // a visit that takes so long that the client's queue fills up meanwhile
} seen;

static mr_status see(void *context, int64_t offset, mr_bytes key, mr_bytes value, mr_error *err)
{
    seen *s = context;
    const struct timespec pause = {.tv_nsec = 100000000};
    (void)err;
    assert_int_equal(offset, s->first + s->rows);
    assert_int_equal(atoi((const char *)value.data), offset);
    assert_true(mr_bytes_equal(key, mr_bytes_text("key")));
    if (s->rows++ == s->pause_at)
        nanosleep(&pause, NULL);
    return MR_OK;
}

static void read_all(brokers *b, int64_t first, int64_t end, seen *s)
{
    mr_error err = {0};
    mr_status status = MR_RETRY;
    s->first = first;
    const int64_t until = now_ms() + PATIENCE_MS;
    for (int64_t next = first; status == MR_RETRY && now_ms() < until;)
        status = mr_kafka_reader_read(b->reader, "rows", 0, next, end, see, s, &next, &err);
    if (status != MR_OK)
        fail_msg("%s", err.text);
    assert_int_equal(s->rows, end - first);
}

static void every_row_between_two_offsets_is_visited_once(void **state)
{
    brokers *b = *state;
    seen all = {.pause_at = -1}, middle = {.pause_at = -1}, again = {.pause_at = -1};
    read_all(b, 0, ROWS, &all);
    read_all(b, 1000, 1010, &middle);
    read_all(b, 1010, 3000, &again);
}

static void nothing_is_read_where_there_is_nothing_to_read(void **state)
{
    brokers *b = *state;
    seen s = {.pause_at = -1};
    int64_t next = 0;
    mr_error err = {0};
    assert_int_equal(mr_kafka_reader_read(b->reader, "rows", 0, 7, 7, see, &s, &next, &err), MR_OK);
    assert_int_equal(next, 7);
    assert_int_equal(mr_kafka_reader_read(b->reader, "rows", 1, 0, 5, see, &s, &next, &err),
                     MR_RETRY); // an empty partition: what is below 5 has to come yet
    assert_int_equal(s.rows, 0);
}

// The client sleeps for a second whenever its queue was full; here it is after each million bytes.
static void a_queue_that_was_full_does_not_end_the_fetching(void **state)
{
    brokers *b = *state;
    seen s = {.pause_at = 0};
    const int64_t begun = now_ms();
    read_all(b, 0, ROWS, &s);
    assert_in_range(now_ms() - begun, 0, 900);
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        test(every_row_between_two_offsets_is_visited_once),
        test(nothing_is_read_where_there_is_nothing_to_read),
        test(a_queue_that_was_full_does_not_end_the_fetching),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
