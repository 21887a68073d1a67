// SPDX-License-Identifier: Apache-2.0
// What brokers may answer to each request of a commit, and what becomes of the commit: librdkafka's
// mock brokers give the error, the real producer, bus and sink run. The mock's transactions promise
// nothing; what is shown is only which outcome an error leads to.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdlib.h>
#include <string.h>

#include "worker/kafka/bus.h"
#include "worker/log.h"
#include "worker/sink.h"

enum { STEPS_MAX = 2000, RETRIES_MAX = 3, JOIN_POLLS = 300 };

enum {
    PRODUCE = 0,
    ADD_PARTITIONS = 24,
    ADD_OFFSETS = 25,
    END = 26,
    OFFSETS = 28
}; // Kafka's numbers

typedef enum outcome {
    CONFIRMED, // the client repeated the request, or the same call was made again
    ABORTED,   // aborted, the same bytes again, confirmed
    FENCED,    // the process has to end: outcome or ownership unknown
    FATAL,     // the process has to end: no start helps before something is put right
    GIVEN_UP,  // aborted as often as allowed
} outcome;

static const char *const outcome_names[] = {"confirmed", "aborted, then confirmed", "fenced",
                                            "fatal", "given up"};

typedef struct fixture {
    rd_kafka_t *host;
    rd_kafka_mock_cluster_t *cluster;
    mr_config *config;
    mr_kafka_bus kafka;
    mr_intake intake;
    mr_bus bus;
    mr_clock clock;
    mr_frozen *frozen;
} fixture;

static void demand(mr_status status, const mr_error *err)
{
    if (status != MR_OK)
        fail_msg("%s", err->text);
}

static void open_cluster(fixture *f)
{
    char text[256], bootstrap[300];
    f->host = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), text, sizeof text);
    assert_non_null(f->host);
    f->cluster = rd_kafka_mock_cluster_new(f->host, 1);
    assert_non_null(f->cluster);
    snprintf(bootstrap, sizeof bootstrap, "kafka.bootstrap_servers=%s",
             rd_kafka_mock_cluster_bootstraps(f->cluster));
    const char *const sets[] = {bootstrap, "app=mock", "instance=one", "topics.clicks.kind=click",
                                "kafka.transaction_timeout=30s"};
    const mr_config_source source = {.sets = sets, .set_count = 5};
    mr_error err = {0};
    demand(mr_config_load(&f->config, &source, &err), &err);
    rd_kafka_mock_topic_create(f->cluster, "clicks", 1, 1);
    for (int t = 0; t < MR_TOPIC_COUNT; t++)
        rd_kafka_mock_topic_create(f->cluster, mr_kafka_topic_name(f->config, (mr_topic)t), 1, 1);
}

static int setup(void **state)
{
    static const uint32_t counts[MR_CONFIG_READS_MAX] = {1, 1};
    fixture *f = calloc(1, sizeof *f);
    mr_error err = {0};
    *state = f;
    open_cluster(f);
    f->clock = mr_clock_system();
    f->kafka.config = f->config;
    f->kafka.partition_count = 1;
    f->bus = mr_kafka_bus_port(&f->kafka);
    demand(mr_kafka_consumer_open(f->config, 0, counts, &f->kafka.consumer, &err), &err);
    f->intake = mr_kafka_consumer_port(f->kafka.consumer);
    for (int i = 0; i < JOIN_POLLS && f->intake.look(f->intake.context).state == MR_GROUP_JOINING;
         i++)
        demand(f->intake.poll(f->intake.context, 100, &err), &err);
    assert_int_equal(f->intake.look(f->intake.context).state, MR_GROUP_ASSIGNED);
    demand(mr_frozen_open(1 << 20, &f->frozen, &err), &err);
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    mr_frozen_close(f->frozen);
    mr_kafka_producer_close(f->kafka.producer);
    mr_kafka_consumer_close(f->kafka.consumer);
    rd_kafka_mock_cluster_destroy(f->cluster);
    rd_kafka_destroy(f->host);
    mr_config_free(f->config);
    free(f);
    return 0;
}

static void freeze(fixture *f)
{
    static const uint32_t tasks[] = {0};
    mr_error err = {0};
    demand(mr_frozen_begin(f->frozen, 1, tasks, 1, &err), &err);
    mr_frozen_put_row(f->frozen, 0, 0, mr_bytes_text("ua"), mr_bytes_text("1"));
    mr_frozen_put_row(f->frozen, 0, 1, mr_bytes_text("ib"), mr_bytes_text("2"));
    mr_frozen_put_marker(f->frozen, 0, 0, mr_bytes_text("m0"));
    mr_frozen_put_marker(f->frozen, 0, 1, mr_bytes_text("m1"));
    mr_frozen_put_offset(f->frozen, (mr_offset){0, 0, 5});
    demand(mr_frozen_seal(f->frozen, &err), &err);
}

static void clear(fixture *f)
{
    static const int16_t requests[] = {PRODUCE, ADD_PARTITIONS, ADD_OFFSETS, END, OFFSETS};
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++)
        rd_kafka_mock_clear_request_errors(f->cluster, requests[i]);
}

// One commit by a new producer while the next `count` requests of that kind are answered by `code`.
static outcome commit(fixture *f, int16_t request, rd_kafka_resp_err_t code, int count,
                      mr_error *err)
{
    mr_sink sink;
    mr_kafka_producer_close(f->kafka.producer);
    f->kafka.producer = NULL;
    clear(f);
    demand(mr_kafka_producer_open(f->config, 1, &f->kafka.producer, err), err);
    freeze(f);
    for (int i = 0; i < count; i++)
        rd_kafka_mock_push_request_errors(f->cluster, request, 1, code);
    mr_sink_init(&sink, &f->bus, &f->clock, RETRIES_MAX);
    mr_sink_give(&sink, f->frozen, f->intake.look(f->intake.context).generation);
    for (int i = 0; i < STEPS_MAX && sink.state != MR_SINK_CONFIRMED; i++) {
        if (sink.state == MR_SINK_SETTLING)
            return FENCED;
        const mr_status status = mr_sink_step(&sink, err);
        if (status == MR_RETRY)
            f->clock.sleep_ms(f->clock.context, 5);
        else if (status != MR_OK)
            return sink.aborted == RETRIES_MAX ? GIVEN_UP : FATAL;
    }
    assert_int_equal(sink.state, MR_SINK_CONFIRMED);
    return sink.aborted == 0 ? CONFIRMED : ABORTED;
}

typedef struct answer {
    int16_t request;
    rd_kafka_resp_err_t code;
    int count; // requests that are answered so
    outcome want;
} answer;

#define CODE(name) RD_KAFKA_RESP_ERR_##name

static void check(fixture *f, const answer *answers, size_t count)
{
    int wrong = 0;
    for (size_t i = 0; i < count; i++) {
        mr_error err = {0};
        const answer *a = &answers[i];
        const outcome found = commit(f, a->request, a->code, a->count, &err);
        if (found == a->want)
            continue;
        wrong++;
        print_error("request %d answered %s x %d: found %s, want %s: %s\n", a->request,
                    rd_kafka_err2name(a->code), a->count, outcome_names[found],
                    outcome_names[a->want], err.text);
    }
    assert_int_equal(wrong, 0);
}

static void what_may_pass_is_repeated_until_it_answers(void **state)
{
    static const answer answers[] = {
        {PRODUCE, CODE(NOT_LEADER_FOR_PARTITION), 2, CONFIRMED},
        {PRODUCE, CODE(REQUEST_TIMED_OUT), 2, CONFIRMED},
        {PRODUCE, CODE(NOT_ENOUGH_REPLICAS), 2, CONFIRMED},
        {ADD_PARTITIONS, CODE(COORDINATOR_NOT_AVAILABLE), 2, CONFIRMED},
        {ADD_PARTITIONS, CODE(NOT_COORDINATOR), 2, CONFIRMED},
        {ADD_PARTITIONS, CODE(CONCURRENT_TRANSACTIONS), 5, CONFIRMED},
        {ADD_OFFSETS, CODE(COORDINATOR_LOAD_IN_PROGRESS), 2, CONFIRMED},
        {ADD_OFFSETS, CODE(CONCURRENT_TRANSACTIONS), 2, CONFIRMED},
        {OFFSETS, CODE(COORDINATOR_NOT_AVAILABLE), 2, CONFIRMED},
        {OFFSETS, CODE(NOT_COORDINATOR), 2, CONFIRMED},
        {END, CODE(COORDINATOR_NOT_AVAILABLE), 2, CONFIRMED},
        {END, CODE(NOT_COORDINATOR), 2, CONFIRMED},
    };
    check(*state, answers, sizeof answers / sizeof *answers);
}

static void what_spoils_the_transaction_is_aborted_and_sent_again(void **state)
{
    static const answer answers[] = {
        {PRODUCE, CODE(MSG_SIZE_TOO_LARGE), 1, ABORTED},
        {PRODUCE, CODE(PRODUCER_FENCED), 1, ABORTED}, // real brokers then refuse the abort: a fence
        {PRODUCE, CODE(TOPIC_AUTHORIZATION_FAILED), 1, ABORTED},
        {ADD_PARTITIONS, CODE(TOPIC_AUTHORIZATION_FAILED), 1, ABORTED},
        {OFFSETS, CODE(GROUP_AUTHORIZATION_FAILED), 1, ABORTED},
        {ADD_PARTITIONS, CODE(TOPIC_AUTHORIZATION_FAILED), 100, GIVEN_UP},
        {OFFSETS, CODE(GROUP_AUTHORIZATION_FAILED), 100, GIVEN_UP},
    };
    check(*state, answers, sizeof answers / sizeof *answers);
}

static void a_fence_ends_the_process(void **state)
{
    static const answer answers[] = {
        {ADD_PARTITIONS, CODE(INVALID_PRODUCER_EPOCH), 1, FENCED},
        {ADD_PARTITIONS, CODE(PRODUCER_FENCED), 1, FENCED},
        {ADD_OFFSETS, CODE(INVALID_PRODUCER_EPOCH), 1, FENCED},
        {OFFSETS, CODE(INVALID_PRODUCER_EPOCH), 1, FENCED},
        {OFFSETS, CODE(ILLEGAL_GENERATION), 1, FENCED},
        {OFFSETS, CODE(UNKNOWN_MEMBER_ID), 1, FENCED},
        {END, CODE(INVALID_PRODUCER_EPOCH), 1, FENCED},
        {END, CODE(PRODUCER_FENCED), 1, FENCED},
        {OFFSETS, CODE(FENCED_INSTANCE_ID), 1, FENCED}, // perhaps by ourselves: the group tells
    };
    check(*state, answers, sizeof answers / sizeof *answers);
}

static void an_error_that_no_new_producer_helps_ends_the_process(void **state)
{
    static const answer answers[] = {
        {ADD_PARTITIONS, CODE(TRANSACTIONAL_ID_AUTHORIZATION_FAILED), 1, FENCED},
        {ADD_OFFSETS, CODE(TRANSACTIONAL_ID_AUTHORIZATION_FAILED), 1, FENCED},
        {END, CODE(TRANSACTIONAL_ID_AUTHORIZATION_FAILED), 1, FENCED},
        {END, CODE(INVALID_TXN_STATE), 1, FENCED},
    };
    check(*state, answers, sizeof answers / sizeof *answers);
}

int main(void)
{
    FILE *quiet = fopen("/dev/null", "we");
    const mr_log_options options = {.out = quiet, .level = MR_LOG_DEBUG};
    mr_log_open(&options);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_may_pass_is_repeated_until_it_answers),
        cmocka_unit_test(what_spoils_the_transaction_is_aborted_and_sent_again),
        cmocka_unit_test(a_fence_ends_the_process),
        cmocka_unit_test(an_error_that_no_new_producer_helps_ends_the_process),
    };
    const int failed = cmocka_run_group_tests(tests, setup, teardown);
    fclose(quiet);
    return failed;
}
