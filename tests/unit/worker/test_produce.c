// SPDX-License-Identifier: Apache-2.0
// Producing, against librdkafka's mock brokers: what is sent is read back with another client and
// decoded with the plan that the worker would use.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdlib.h>

#include "core/base/hash.h"
#include "schemas/catalog.h"
#include "tests/unit/worker/capture.h"
#include "worker/command.h"
#include "worker/produce.h"

enum { PARTITIONS = 4, READ_MS = 20000 };

typedef struct brokers {
    rd_kafka_t *handle;
    rd_kafka_mock_cluster_t *cluster;
    char folder[64], events[128];
} brokers;

static const char csv[] = "timestamp_ms,user,item,type\n"
                          "1700000000000,anna,apple,click\n"
                          "1700000001000,ben,apple,click\n"
                          "1700000002000,cleo,pear,purchase\n"
                          "not a number,cleo,pear,click\n"
                          "1700000003000,dora,plum,cart\n"
                          "1700000004000,anna,plum,click\n";

static int open_brokers(void **state)
{
    static brokers b;
    char reason[200];
    rd_kafka_conf_t *conf = rd_kafka_conf_new(); // the brokers' own handle: it needs none itself
    rd_kafka_conf_set(conf, "log_level", "3", reason, sizeof reason);
    b.handle = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof reason);
    b.cluster = b.handle != NULL ? rd_kafka_mock_cluster_new(b.handle, 1) : NULL;
    snprintf(b.folder, sizeof b.folder, "/tmp/produce-XXXXXX");
    if (b.cluster == NULL || mkdtemp(b.folder) == NULL ||
        rd_kafka_mock_topic_create(b.cluster, "clicks", PARTITIONS, 1) != 0 ||
        rd_kafka_mock_topic_create(b.cluster, "buys", PARTITIONS, 1) != 0)
        return -1;
    snprintf(b.events, sizeof b.events, "%s/events.csv", b.folder);
    FILE *file = fopen(b.events, "w");
    if (file == NULL)
        return -1;
    fputs(csv, file);
    fclose(file);
    *state = &b;
    return 0;
}

static int close_brokers(void **state)
{
    brokers *b = *state;
    rd_kafka_mock_cluster_destroy(b->cluster);
    rd_kafka_destroy(b->handle);
    remove(b->events);
    return rmdir(b->folder);
}

static mr_config *open_config(const brokers *b)
{
    char servers[256];
    const char *sets[] = {servers, "topics.clicks.kind=click", "topics.buys.kind=purchase"};
    const mr_config_source source = {.sets = sets, .set_count = 3};
    mr_config *config = NULL;
    mr_error err = {0};
    snprintf(servers, sizeof servers, "kafka.bootstrap_servers=%s",
             rd_kafka_mock_cluster_bootstraps(b->cluster));
    if (mr_config_load(&config, &source, &err) != MR_OK)
        fail_msg("%s", err.text);
    return config;
}

static mr_produce_result run(const mr_produce_options *options)
{
    mr_produce_result result;
    mr_error err = {0};
    if (mr_produce_run(options, &result, &err) != MR_OK)
        fail_msg("%s", err.text);
    return result;
}

static json_int_t delivered(const mr_produce_result *result, const char *topic)
{
    return json_integer_value(json_object_get(result->topics, topic));
}

// ---- reading back

typedef struct reader {
    rd_kafka_t *handle;
    mr_catalog *catalog;
    uint32_t clicks, purchases; // handles of the mappings
} reader;

static reader open_reader(const brokers *b)
{
    static const mr_mapping click = {.kind = MR_EVENT_CLICK},
                            purchase = {.kind = MR_EVENT_PURCHASE};
    char reason[200];
    reader r;
    mr_error err = {0};
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", rd_kafka_mock_cluster_bootstraps(b->cluster),
                      reason, sizeof reason);
    rd_kafka_conf_set(conf, "group.id", "reader", reason, sizeof reason);
    r.handle = rd_kafka_new(RD_KAFKA_CONSUMER, conf, reason, sizeof reason);
    assert_non_null(r.handle);
    rd_kafka_topic_partition_list_t *all = rd_kafka_topic_partition_list_new(2 * PARTITIONS);
    for (int p = 0; p < PARTITIONS; p++) {
        rd_kafka_topic_partition_list_add(all, "clicks", p)->offset = 0;
        rd_kafka_topic_partition_list_add(all, "buys", p)->offset = 0;
    }
    rd_kafka_assign(r.handle, all);
    rd_kafka_topic_partition_list_destroy(all);
    assert_int_equal(mr_catalog_open(NULL, &r.catalog, &err), MR_OK);
    assert_int_equal(mr_catalog_map(r.catalog, &click, &r.clicks, &err), MR_OK);
    assert_int_equal(mr_catalog_map(r.catalog, &purchase, &r.purchases, &err), MR_OK);
    return r;
}

static void close_reader(reader *r)
{
    rd_kafka_consumer_close(r->handle);
    rd_kafka_destroy(r->handle);
    mr_catalog_close(r->catalog);
}

// Takes one record, checks its key and partition, and decodes it.
static rd_kafka_message_t *read_one(reader *r, mr_event *event)
{
    rd_kafka_message_t *message = rd_kafka_consumer_poll(r->handle, READ_MS);
    mr_error err = {0};
    mr_frame frame;
    const mr_plan *plan;
    assert_non_null(message);
    assert_int_equal(message->err, RD_KAFKA_RESP_ERR_NO_ERROR);
    const bool click = strcmp(rd_kafka_topic_name(message->rkt), "clicks") == 0;
    const mr_bytes value = mr_bytes_of(message->payload, message->len);
    assert_int_equal(mr_frame_read(MR_FRAMING_AUTO, value, (mr_bytes){NULL, 0}, &frame, &err),
                     MR_OK);
    if (mr_catalog_plan(r->catalog, &frame, NULL, click ? r->clicks : r->purchases, &plan, &err) !=
            MR_OK ||
        mr_plan_decode(plan, frame.payload.data, frame.payload.size, event, &err) != MR_OK)
        fail_msg("%s", err.text);
    const mr_bytes key = mr_bytes_of(message->key, message->key_len);
    assert_true(mr_bytes_equal(key, event->user));
    assert_int_equal(message->partition, mr_partition_of(key, PARTITIONS));
    return message;
}

static void a_file_is_sent_to_the_partitions_of_its_users(void **state)
{
    const brokers *b = *state;
    mr_config *config = open_config(b);
    const mr_produce_options options = {.config = config,
                                        .inputs = {b->events},
                                        .input_count = 1,
                                        .topic_of = {[MR_EVENT_CART] = "clicks"}};
    const mr_produce_result result = run(&options);
    assert_int_equal(result.events, 5);
    assert_int_equal(result.unreadable, 1);
    assert_int_equal(result.refused + result.failed, 0);
    assert_int_equal(delivered(&result, "clicks"), 4); // three clicks and the cart
    assert_int_equal(delivered(&result, "buys"), 1);
    json_decref(result.topics);

    reader r = open_reader(b);
    uint32_t anna = 0, pears = 0;
    for (int i = 0; i < 5; i++) {
        mr_line lines[MR_LINES_MAX];
        mr_event event = {.lines = lines};
        rd_kafka_message_t *message = read_one(&r, &event);
        assert_true(event.time_ms >= 1700000000000 && event.time_ms <= 1700000004000);
        anna += mr_bytes_equal(event.user, mr_bytes_text("anna"));
        if (event.kind == MR_EVENT_PURCHASE) {
            assert_int_equal(event.line_count, 1);
            pears += mr_bytes_equal(event.lines[0].item, mr_bytes_text("pear"));
        }
        rd_kafka_message_destroy(message);
    }
    assert_int_equal(anna, 2);
    assert_int_equal(pears, 1);
    close_reader(&r);
    mr_config_free(config);
}

static void an_event_without_a_topic_is_refused_and_the_rest_goes_on(void **state)
{
    const brokers *b = *state;
    mr_config *config = open_config(b);
    const mr_produce_options options = {.config = config, .inputs = {b->events}, .input_count = 1};
    const mr_produce_result result = run(&options);
    assert_int_equal(result.refused, 1); // the cart
    assert_int_equal(result.events, 4);
    json_decref(result.topics);
    mr_config_free(config);
}

static void made_up_events_keep_the_rate(void **state)
{
    const brokers *b = *state;
    mr_config *config = open_config(b);
    mr_traffic_options traffic = mr_traffic_defaults();
    traffic.carts = 0;
    traffic.events = 300;
    const mr_produce_options options = {.config = config, .traffic = &traffic, .rate = 500};
    const mr_produce_result result = run(&options);
    assert_int_equal(result.events, 300);
    assert_true(result.seconds >= 299.0 / 500 - 0.002); // the last one is due then, never sooner
    json_decref(result.topics);
    mr_config_free(config);
}

static void a_loop_begins_again_until_the_limit(void **state)
{
    const brokers *b = *state;
    mr_config *config = open_config(b);
    const mr_produce_options options = {.config = config,
                                        .inputs = {b->events},
                                        .input_count = 1,
                                        .topic_of = {[MR_EVENT_CART] = "clicks"},
                                        .loop = true,
                                        .limit = 12};
    const mr_produce_result result = run(&options);
    assert_int_equal(result.events, 12);
    assert_int_equal(result.unreadable, 2); // the third time ends before it
    json_decref(result.topics);
    mr_config_free(config);
}

static void a_stop_sends_no_more(void **state)
{
    const brokers *b = *state;
    const volatile sig_atomic_t stop = 1;
    mr_config *config = open_config(b);
    mr_traffic_options traffic = mr_traffic_defaults();
    const mr_produce_options options = {.config = config, .traffic = &traffic, .stop = &stop};
    const mr_produce_result result = run(&options);
    assert_int_equal(result.events, 0);
    json_decref(result.topics);
    mr_config_free(config);
}

static void a_mapping_that_our_records_do_not_fit_is_refused_at_once(void **state)
{
    const brokers *b = *state;
    char servers[256];
    const char *sets[] = {servers, "topics.clicks.kind=click",
                          "topics.clicks.mapping.item=payload.sku"};
    const mr_config_source source = {.sets = sets, .set_count = 3};
    mr_config *config = NULL;
    mr_error err = {0};
    mr_produce_result result;
    snprintf(servers, sizeof servers, "kafka.bootstrap_servers=%s",
             rd_kafka_mock_cluster_bootstraps(b->cluster));
    assert_int_equal(mr_config_load(&config, &source, &err), MR_OK);
    const mr_produce_options options = {.config = config, .inputs = {b->events}, .input_count = 1};
    assert_int_equal(mr_produce_run(&options, &result, &err), MR_FATAL);
    assert_non_null(strstr(err.text, "topics.clicks"));
    assert_non_null(strstr(err.text, "payload"));
    json_decref(result.topics);
    mr_config_free(config);
}

static void wrong_use_is_told_before_anything_is_sent(void **state)
{
    (void)state;
    const struct {
        const char *line, *says;
    } wrong[] = {
        {"produce", "want either files"},
        {"produce a.csv --generate events=1", "want either files"},
        {"produce a.csv --rate fast", "--rate"},
        {"produce a.csv --limit 0", "--limit"},
        {"produce a.csv --topic-of buys", "--topic-of"},
        {"produce a.csv --topic-of sale=buys", "--topic-of"},
        {"produce --input - --loop", "--loop"},
        {"produce --generate event=1", "the nearest is events"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        const captured *seen = capture(mr_command_produce, wrong[i].line);
        if (seen->status != MR_EXIT_USAGE || strstr(seen->err, wrong[i].says) == NULL)
            fail_msg("%s: status %d, %s", wrong[i].line, seen->status, seen->err);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_sent_to_the_partitions_of_its_users),
        cmocka_unit_test(an_event_without_a_topic_is_refused_and_the_rest_goes_on),
        cmocka_unit_test(made_up_events_keep_the_rate),
        cmocka_unit_test(a_loop_begins_again_until_the_limit),
        cmocka_unit_test(a_stop_sends_no_more),
        cmocka_unit_test(a_mapping_that_our_records_do_not_fit_is_refused_at_once),
        cmocka_unit_test(wrong_use_is_told_before_anything_is_sent),
    };
    return cmocka_run_group_tests(tests, open_brokers, close_brokers);
}
