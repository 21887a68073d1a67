// SPDX-License-Identifier: Apache-2.0
// The configuration: what is accepted, in which order, and what is refused with which words.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "worker/config.h"
#include "worker/methods.h"

static const mr_config_number numbers[] = {
    {"models.covisit.half_life_s", "s", "time after which a pair counts half", 604800, 60, 1e9},
};

// Writes `yaml` to a file of its own and loads it; the file's name is c.yaml in every message.
static mr_status load(mr_config **config, const char *yaml, const char *const *sets,
                      uint32_t set_count, char *const *environment, mr_error *err)
{
    char folder[] = "/tmp/millrace-config-XXXXXX", back[4096];
    assert_non_null(mkdtemp(folder));
    assert_non_null(getcwd(back, sizeof back));
    assert_int_equal(chdir(folder), 0);
    FILE *file = fopen("c.yaml", "we");
    assert_non_null(file);
    fputs(yaml, file);
    fclose(file);
    const mr_config_source source = {"c.yaml", sets, set_count, environment, numbers, 1};
    const mr_status status = mr_config_load(config, &source, err);
    assert_int_equal(unlink("c.yaml"), 0);
    assert_int_equal(chdir(back), 0);
    assert_int_equal(rmdir(folder), 0);
    return status;
}

static mr_config *good(const char *yaml)
{
    mr_config *config = NULL;
    mr_error err = {0};
    if (load(&config, yaml, NULL, 0, NULL, &err) != MR_OK)
        fail_msg("%s", err.text);
    return config;
}

static void refused(const char *yaml, const char *text)
{
    mr_config *config = NULL;
    mr_error err = {0};
    assert_int_equal(load(&config, yaml, NULL, 0, NULL, &err), MR_FATAL);
    assert_null(config);
    assert_string_equal(err.text, text);
}

static void refused_set(const char *set, const char *text)
{
    mr_config *config = NULL;
    mr_error err = {0};
    const mr_config_source source = {NULL, &set, 1, NULL, NULL, 0};
    assert_int_equal(mr_config_load(&config, &source, &err), MR_FATAL);
    assert_string_equal(err.text, text);
}

static void an_empty_file_gives_the_defaults(void **state)
{
    (void)state;
    mr_config *config = good("");
    assert_string_equal(config->app, "millrace");
    assert_int_equal(config->epoch_interval_ms, 20);
    assert_int_equal(config->state_gather_bytes, 16 << 20);
    assert_string_equal(config->outputs_lists, "millrace.lists");
    assert_string_equal(config->kafka_group, "millrace");
    assert_true(config->instance[0] != '\0' && config->instance[0] != '<');
    assert_int_equal(config->kafka_bootstrap_servers.count, 1);
    assert_true(config->numbers[0] == 604800.0);
    mr_config_free(config);
}

static void every_type_is_read(void **state)
{
    (void)state;
    mr_config *config = good("app: shop\n"
                             "lanes: 4\n"
                             "kafka:\n"
                             "  bootstrap_servers: [a:1, b:2]\n"
                             "  session_timeout: 1.5m\n"
                             "state:\n"
                             "  gather_bytes: 1GiB\n"
                             "  sync: none\n"
                             "metrics: {cpu_max: 0.25, probe: {every: 7}}\n"
                             "log: {debug: 'commit, kafka'}\n"
                             "models: {covisit: {half_life_s: 1e5}}\n");
    assert_string_equal(config->outputs_lists, "shop.lists");
    assert_int_equal(config->lanes, 4);
    assert_int_equal(config->kafka_bootstrap_servers.count, 2);
    assert_string_equal(config->kafka_bootstrap_servers.items[1], "b:2");
    assert_int_equal(config->kafka_session_timeout, 90000);
    assert_int_equal(config->state_gather_bytes, 1 << 30);
    assert_int_equal(config->state_sync, MR_CONFIG_SYNC_NONE);
    assert_true(config->metrics_cpu_max == 0.25);
    assert_int_equal(config->metrics_probe_every, 7);
    assert_int_equal(config->log_debug.count, 2);
    assert_string_equal(config->log_debug.items[1], "kafka");
    assert_true(config->numbers[0] == 1e5);
    mr_config_free(config);
}

static void inputs_keep_the_order_of_the_file_and_the_first_of_users_leads(void **state)
{
    (void)state;
    uint32_t lead = 0;
    mr_error err = {0};
    mr_config *config = good("topics:\n"
                             "  items: {kind: catalogue, topic: shop-items}\n"
                             "  clicks: {kind: click, mapping: {user: a.b, item: c}}\n"
                             "  carts: {kind: cart, format: bare, schema: cart.avsc, key: none}\n");
    assert_int_equal(config->input_count, 3);
    assert_string_equal(config->inputs[0].topic, "shop-items");
    assert_string_equal(config->inputs[1].topic, "clicks");
    assert_int_equal(mr_config_kind(&config->inputs[0]), MR_EVENT_CATALOGUE);
    assert_int_equal(mr_config_kind(&config->inputs[2]), MR_EVENT_CART);
    assert_int_equal(config->inputs[1].mapping.count, 2);
    assert_string_equal(config->inputs[1].mapping.rows[0].name, "user");
    assert_string_equal(config->inputs[1].mapping.rows[0].value, "a.b");
    assert_int_equal(config->inputs[2].key, MR_MESSAGE_KEY_NONE);
    assert_int_equal(mr_config_lead(config, &lead, &err), MR_OK);
    assert_string_equal(config->inputs[lead].name, "clicks");
    mr_config_free(config);

    config = good("topics: {items: {kind: catalogue}}\n");
    assert_int_equal(mr_config_lead(config, &lead, &err), MR_FATAL);
    mr_config_free(config);
}

static void inputs_that_are_repartitioned_do_not_lead(void **state)
{
    (void)state;
    uint32_t lead = 0;
    mr_error err = {0};
    mr_config *config = good("app: shop\n"
                             "topics:\n"
                             "  items: {kind: catalogue}\n"
                             "  views: {kind: click, repartition: true}\n"
                             "  clicks: {kind: click}\n");
    assert_true(config->inputs[1].repartition && !config->inputs[2].repartition);
    assert_int_equal(mr_config_lead(config, &lead, &err), MR_OK);
    assert_int_equal(lead, 2);
    assert_int_equal(mr_config_reads(config), 5);
    assert_string_equal(mr_config_topic(config, mr_config_deltas(config)), "shop.item-deltas");
    assert_string_equal(mr_config_topic(config, mr_config_repartition(config)), "shop.repartition");
    mr_config_free(config);

    // With all of them repartitioned the topic itself leads.
    config = good("topics: {views: {kind: click, repartition: true}, items: {kind: catalogue}}\n");
    assert_int_equal(mr_config_lead(config, &lead, &err), MR_OK);
    assert_int_equal(lead, mr_config_repartition(config));
    mr_config_free(config);

    config = good("topics: {clicks: {kind: click}}\n");
    assert_int_equal(mr_config_reads(config), 2);
    mr_config_free(config);

    refused("topics:\n  items: {kind: catalogue, repartition: true}\n",
            "c.yaml:2:41: topics.items.repartition: a catalogue may have any partitions: its "
            "records reach the items' owners by key");
    refused(
        "lead: views\ntopics: {clicks: {kind: click}, views: {kind: click, repartition: true}}\n",
        "c.yaml:1:7: lead: found 'views', which goes through millrace.repartition: the lead is "
        "read directly");
}

static void kinds_and_choices_are_in_the_order_of_their_enums(void **state)
{
    (void)state;
    char yaml[128];
    for (int kind = 0; kind < MR_EVENT_KIND_COUNT; kind++) {
        snprintf(yaml, sizeof yaml, "topics: {x: {kind: %s}}\n",
                 mr_event_kind_name((mr_event_kind)kind));
        mr_config *config = good(yaml);
        assert_int_equal(mr_config_kind(&config->inputs[0]), kind);
        mr_config_free(config);
    }
    mr_config *config = good("start: latest\naccept_offsets: group\non_input_gap: continue\n"
                             "late: {action: drop}\nlists: {seen: keep}\n"
                             "log: {level: debug, format: json}\nstate: {sync: full}\n"
                             "topics: {a: {kind: click, format: single-object, key: long}}\n");
    assert_int_equal(config->start, MR_START_LATEST);
    assert_int_equal(config->accept_offsets, MR_ACCEPT_GROUP);
    assert_int_equal(config->on_input_gap, MR_GAP_CONTINUE);
    assert_int_equal(config->late_action, MR_LATE_DROP);
    assert_int_equal(config->lists_seen, MR_CONFIG_SEEN_KEEP);
    assert_int_equal(config->log_level, MR_LOG_DEBUG);
    assert_int_equal(config->log_format, MR_LOG_JSON);
    assert_int_equal(config->state_sync, MR_CONFIG_SYNC_FULL);
    assert_int_equal(config->inputs[0].format, MR_FORMAT_SINGLE_OBJECT);
    assert_int_equal(config->inputs[0].key, MR_MESSAGE_KEY_LONG);
    mr_config_free(config);
}

static void the_command_line_wins_over_the_environment_over_the_file(void **state)
{
    (void)state;
    const char *const sets[] = {"lists.k=30", "kafka.properties.client.rack=c",
                                "topics.clicks.topic=from-set"};
    char k[] = "MILLRACE_LISTS_K=20", seed[] = "MILLRACE_SEED=9",
         topic[] = "MILLRACE_TOPICS_CLICKS_TOPIC=from-env",
         rack[] = "MILLRACE_KAFKA_PROPERTIES_CLIENT_RACK=b",
         odd[] = "MILLRACE_KAFKA_PRODUCER_STICKY_PARTITIONING_LINGER_MS=7", other[] = "PATH=/bin",
         data[] = "MILLRACE_DATA=/data";
    char *const environment[] = {k, seed, topic, rack, odd, other, data, NULL};
    mr_config *config = NULL;
    mr_error err = {0};
    const char *const yaml = "seed: 5\nlanes: 3\nlists: {k: 10}\ntopics: {clicks: {kind: click}}\n"
                             "kafka: {properties: {client.rack: a}}\n";
    if (load(&config, yaml, sets, 3, environment, &err) != MR_OK)
        fail_msg("%s", err.text);
    assert_int_equal(config->lists_k, 30);
    assert_int_equal(config->seed, 9);
    assert_int_equal(config->lanes, 3);
    assert_string_equal(config->inputs[0].topic, "from-set");
    assert_int_equal(config->kafka_properties.count, 1);
    assert_string_equal(config->kafka_properties.rows[0].value, "c");
    assert_string_equal(config->kafka_producer.rows[0].name, "sticky.partitioning.linger.ms");
    mr_config_free(config);
}

static void values_of_the_file_take_variables(void **state)
{
    (void)state;
    char name[] = "SHOP=blue";
    char *const environment[] = {name, NULL};
    mr_config *config = NULL;
    mr_error err = {0};
    const char *const yaml = "app: ${SHOP}-1\nstate: {path: \"/a$$b/${NONE:-x}\"}\n";
    assert_int_equal(load(&config, yaml, NULL, 0, environment, &err), MR_OK);
    assert_string_equal(config->app, "blue-1");
    assert_string_equal(config->state_path, "/a$b/x");
    mr_config_free(config);
    assert_int_equal(load(&config, "seed: 1\napp: ${NONE}\n", NULL, 0, environment, &err),
                     MR_FATAL);
    assert_string_equal(err.text, "c.yaml:2:6: app: ${NONE} is not in the environment");
}

static void a_secret_comes_from_the_file_that_a_variable_names(void **state)
{
    (void)state;
    char path[] = "/tmp/millrace-secret-XXXXXX", variable[128];
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "hush\n", 5), 5);
    close(fd);
    snprintf(variable, sizeof variable, "MILLRACE_KAFKA_PROPERTIES_SASL_PASSWORD_FILE=%s", path);
    char *const environment[] = {variable, NULL};
    mr_config *config = NULL;
    mr_error err = {0};
    assert_int_equal(load(&config, "", NULL, 0, environment, &err), MR_OK);
    assert_string_equal(config->kafka_properties.rows[0].name, "sasl.password");
    assert_string_equal(config->kafka_properties.rows[0].value, "hush");

    char *printed = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&printed, &size);
    mr_config_print(config, out);
    fclose(out);
    assert_null(strstr(printed, "hush"));
    assert_non_null(strstr(printed, "sasl.password: \"********\""));
    free(printed);
    mr_config_free(config);
    unlink(path);
    assert_int_equal(load(&config, "", NULL, 0, environment, &err), MR_FATAL);
}

static void an_unknown_key_is_refused_with_its_place_and_the_nearest(void **state)
{
    (void)state;
    refused("app: a\nepoch:\n  intervall_ms: 20ms\n",
            "c.yaml:3:3: epoch.intervall_ms: unknown key; the nearest is epoch.interval_ms");
    refused("epok:\n  interval_ms: 1\n", "c.yaml:1:1: epok: unknown key; the nearest is epoch");
    refused("topics:\n  clicks:\n    knid: click\n",
            "c.yaml:3:5: topics.clicks.knid: unknown key; the nearest is topics.clicks.kind");
    refused("models: {covisit: {half_lief_s: 1}}\n",
            "c.yaml:1:20: models.covisit.half_lief_s: unknown key; the nearest is "
            "models.covisit.half_life_s");
    refused("zzzzzzzzzzzzzz: 1\n",
            "c.yaml:1:1: zzzzzzzzzzzzzz: unknown key; millrace config --keys lists all");
    refused("topics: {c: {kind: click, mapping: {usr: a}}}\n",
            "c.yaml:1:42: topics.c.mapping.usr: mapping: there is no field 'usr'; the nearest is "
            "'user'");
    refused_set("lists.kk=1", "--set: lists.kk: unknown key; the nearest is lists.k");
}

static void a_wrong_value_is_refused_with_what_would_be_right(void **state)
{
    (void)state;
    refused("epoch:\n  interval_ms: 20 parsecs\n",
            "c.yaml:2:16: epoch.interval_ms: found '20 parsecs', want a duration such as 20ms, 5s "
            "or 1h, from 1ms to 10s");
    refused("lanes: [1, 2]\n", "c.yaml:1:1: lanes: found a list, which this key does not take");
    refused("lanes: {a: 1}\n", "c.yaml:1:1: lanes: found a mapping, want a value");
    refused("epoch: 5\n", "c.yaml:1:8: epoch: found '5', want a mapping of keys");
    refused("start: middle\n", "c.yaml:1:8: start: found 'middle', want one of earliest | latest");
    refused("app: a/b\n", "c.yaml:1:6: app: found 'a/b', want a name of letters, digits, '.', '_' "
                          "and '-', at most 200");
    refused("topics: {clicks: {topic: x}}\n",
            "c.yaml:1:10: required: topics.clicks.kind: found '', want one of click | cart | "
            "purchase | impression | rating | search | catalogue | control | mapped");
    refused("models: {covisit: {half_life_s: 59}}\n",
            "c.yaml:1:33: models.covisit.half_life_s: found '59', want a number, from 60 to "
            "1000000000");
    refused_set("seed", "--set: found 'seed', want key=value");
}

static void the_ends_of_a_range_are_inside_it(void **state)
{
    (void)state;
    mr_config_free(good("lanes: 0\nepoch: {interval_ms: 10s}\nseed: 0\n"));
    mr_config_free(good("lanes: 64\nepoch: {interval_ms: 1}\nseed: 9223372036854775807\n"));
    refused("lanes: -1\n", "c.yaml:1:8: lanes: found '-1', want a whole number, from 0 to 64");
    refused("lanes: 65\n", "c.yaml:1:8: lanes: found '65', want a whole number, from 0 to 64");
    refused("seed: 9223372036854775808\n",
            "c.yaml:1:7: seed: found '9223372036854775808', want a whole number, from 0");
    refused("lanes: 1.5\n", "c.yaml:1:8: lanes: found '1.5', want a whole number, from 0 to 64");
    refused("lanes: nan\n", "c.yaml:1:8: lanes: found 'nan', want a whole number, from 0 to 64");
}

static void impossible_combinations_are_refused(void **state)
{
    (void)state;
    refused("commit: {interval_min: 2s}\n",
            "c.yaml:1:24: commit.interval_min: found 2000 ms, want no more than "
            "commit.interval_max (1000 ms)");
    refused("kafka: {transaction_timeout: 45s}\n",
            "c.yaml:1:30: kafka.transaction_timeout: found 45000 ms, want less than "
            "kafka.session_timeout (45000 ms)");
    refused("outputs: {lists: x, metrics: x}\n",
            "c.yaml:1:30: outputs.metrics: found 'x', want a topic of its own; it is also that of "
            "outputs.lists");
    refused("topics: {a: {kind: click, topic: millrace.lists}}\n",
            "default: outputs.lists: found 'millrace.lists', want a topic of its own; it is also "
            "that of a");
    refused("topics: {a: {kind: click, topic: t}, b: {kind: cart, topic: t}}\n",
            "c.yaml:1:61: topics.b.topic: found 't', which topics.a reads already");
    refused("topics: {a: {kind: click, format: bare}}\n",
            "c.yaml:1:35: topics.a.format: bare values need topics.a.schema, the schema they were "
            "written by");
    refused("lead: b\ntopics: {a: {kind: click}}\n",
            "c.yaml:1:7: lead: found 'b', want the name of an input of users' events");
    refused("kafka: {bootstrap_servers: ''}\n", "c.yaml:1:29: kafka.bootstrap_servers: found "
                                                "nothing, want host:port of at least one broker");
}

static void properties_that_are_ours_javas_or_nobodys_are_refused(void **state)
{
    (void)state;
    refused("kafka:\n  properties:\n    enable.idempotence: false\n",
            "c.yaml:3:25: kafka.properties.enable.idempotence: is set by millrace: it is always "
            "true");
    refused("kafka: {consumer: {ssl.truststore.location: /a.jks}}\n",
            "c.yaml:1:45: kafka.consumer.ssl.truststore.location: is a property of the Java "
            "client: set ssl.ca.location to a PEM file");
    refused("kafka: {properties: {sasl.mechnism: PLAIN}}\n",
            "c.yaml:1:37: kafka.properties.sasl.mechnism: librdkafka has no such property; the "
            "nearest is sasl.mechanisms");
    mr_config_free(good("kafka: {properties: {security.protocol: SASL_SSL}}\n"));
}

static void a_registry_is_checked_without_saying_its_secrets(void **state)
{
    (void)state;
    refused("registry: {urls: 'localhost:8081'}\n",
            "c.yaml:1:19: registry.urls: found 'localhost:8081', want http://host:port or "
            "https://host:port");
    refused("registry:\n  urls: ['http://a:1', 'http://me:hush@b:1']\n",
            "c.yaml:2:3: registry.urls: an address with a user name in it, want it in "
            "registry.username and registry.password, which are not printed");
    refused("registry: {username: me}\n",
            "c.yaml:1:22: registry.username: want registry.password with it, and that not without "
            "it");
    refused("registry: {username: me, password: hush, token: hush}\n",
            "c.yaml:1:49: registry.token: want either a token, or registry.username and "
            "registry.password");
    refused("registry: {key: a.key}\n",
            "c.yaml:1:17: registry.key: want registry.certificate, which it belongs to");
    refused("outputs: {format: confluent}\n",
            "c.yaml:1:19: outputs.format: want registry.urls, where the ids of the schemas come "
            "from");
}

static void the_registrys_secrets_are_masked(void **state)
{
    (void)state;
    char *text = NULL;
    size_t size;
    mr_config *config = good("registry: {username: me, password: hush1, key: k.pem, certificate: "
                             "c.pem, key_password: hush2}\n");
    FILE *file = open_memstream(&text, &size);
    assert_non_null(file);
    mr_config_print(config, file);
    fclose(file);
    assert_null(strstr(text, "hush"));
    assert_non_null(strstr(text, "password: \"********\""));
    assert_non_null(strstr(text, "key_password: \"********\""));
    assert_non_null(strstr(text, "key: k.pem"));
    assert_non_null(strstr(text, "token: \"\""));
    free(text);
    mr_config_free(config);
    assert_true(mr_config_is_secret("registry.token"));
}

static void what_is_not_a_configuration_is_refused(void **state)
{
    (void)state;
    mr_config *config = NULL;
    mr_error err = {0};
    refused("- a\n- b\n", "c.yaml:1:1: want a mapping of keys");
    refused("a: &x 1\nlanes: *x\n", "c.yaml:1:1: a: unknown key; the nearest is app");
    refused("lanes: &x 1\nseed: *x\n", "c.yaml:2:8: seed: anchors and aliases are not read");
    assert_int_equal(load(&config, "app: [1, 2\nb: {\n", NULL, 0, NULL, &err), MR_FATAL);
    assert_memory_equal(err.text, "c.yaml:", 7);
    assert_int_equal(load(&config, "lanes: 1\nlanes: 2\n", NULL, 0, NULL, &err), MR_FATAL);
    assert_memory_equal(err.text, "c.yaml:2", 8);
    const mr_config_source absent = {.path = "/nonexistent/c.yaml"};
    assert_int_equal(mr_config_load(&config, &absent, &err), MR_FATAL);
    assert_string_equal(err.text, "/nonexistent/c.yaml: No such file or directory");
}

static void a_mistyped_variable_is_refused(void **state)
{
    (void)state;
    char wrong[] = "MILLRACE_KAFKA_BOOTSTRAP_SERVER=a:1";
    char *const environment[] = {wrong, NULL};
    mr_config *config = NULL;
    mr_error err = {0};
    assert_int_equal(load(&config, "", NULL, 0, environment, &err), MR_FATAL);
    assert_string_equal(err.text, "environment MILLRACE_KAFKA_BOOTSTRAP_SERVER: "
                                  "kafka.bootstrap.server: unknown key; the nearest is "
                                  "kafka.bootstrap_servers");
}

static char *printed(const mr_config *config)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    mr_config_print(config, out);
    fclose(out);
    return text;
}

// Leaves out the comments that say where a value came from.
static void drop_places(char *text)
{
    char *to = text;
    for (const char *line = text; *line != '\0';) {
        const char *const end = strchr(line, '\n');
        const char *comment = memmem(line, (size_t)(end - line), "  # ", 4);
        const size_t keep = (size_t)((comment != NULL ? comment : end) - line);
        memmove(to, line, keep);
        to += keep;
        *to++ = '\n';
        line = end + 1;
    }
    *to = '\0';
}

static void what_is_printed_loads_to_the_same_configuration(void **state)
{
    (void)state;
    mr_config *config = good("app: a\nstate: {path: 'x y \"$$\\'}\nepoch: {interval_ms: 9s}\n"
                             "kafka: {consumer: {fetch.wait.max.ms: 9}}\n"
                             "topics: {c: {kind: click, mapping: {user: a.b}}, d: {kind: cart}}\n");
    char *first = printed(config);
    mr_config_free(config);
    config = good(first);
    char *second = printed(config);
    assert_string_equal(config->state_path, "x y \"$\\");
    mr_config_free(config);
    assert_non_null(strstr(first, "interval_ms: 9s  # c.yaml:3:22\n"));
    drop_places(first);
    drop_places(second);
    assert_string_equal(first, second);
    free(first);
    free(second);
}

static void the_hash_tells_histories_apart_and_nothing_else(void **state)
{
    (void)state;
    mr_config *a = good("seed: 1\n"), *b = good("lanes: 2\nstate: {path: elsewhere}\n"),
              *c = good("seed: 2\n"), *d = good("models: {covisit: {half_life_s: 61}}\n");
    assert_true(mr_config_hash(a) == mr_config_hash(b));
    assert_true(mr_config_hash(a) != mr_config_hash(c));
    assert_true(mr_config_hash(a) != mr_config_hash(d));
    mr_config_free(a);
    mr_config_free(b);
    mr_config_free(c);
    mr_config_free(d);
}

static void the_example_configuration_is_good(void **state)
{
    (void)state;
    mr_config *config = NULL;
    mr_error err = {0};
    const mr_config_source source = {.path = "deploy/millrace.yaml"};
    if (mr_config_load(&config, &source, &err) != MR_OK)
        fail_msg("%s", err.text);
    mr_config_free(config);
}

static void the_page_is_what_the_table_prints(void **state)
{
    (void)state;
    char *page = NULL;
    size_t size = 0;
    mr_methods methods;
    mr_error err = {0};
    assert_int_equal(mr_methods_open(&methods, &err), MR_OK);
    FILE *out = open_memstream(&page, &size);
    mr_config_print_markdown(out, methods.numbers, methods.count);
    fclose(out);
    mr_methods_close(&methods);
    FILE *file = fopen("worker/CONFIGURATION.md", "re");
    assert_non_null(file);
    char *stored = calloc(1, size + 1);
    const size_t read = fread(stored, 1, size + 1, file);
    fclose(file);
    // After a change: millrace config --markdown > worker/CONFIGURATION.md
    assert_int_equal(read, size);
    assert_memory_equal(stored, page, size);
    free(stored);
    free(page);
}

static void no_two_keys_share_a_variable(void **state)
{
    (void)state;
    static const char *const paths[] = {
#define MR_KEY(type, field, path, ...) path,
#include "worker/config.def"
    };
    char a[160], b[160];
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        for (size_t j = 0; j < i; j++) {
            mr_config_environment_name(paths[i], a, sizeof a);
            mr_config_environment_name(paths[j], b, sizeof b);
            assert_string_not_equal(a, b);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_file_gives_the_defaults),
        cmocka_unit_test(every_type_is_read),
        cmocka_unit_test(inputs_keep_the_order_of_the_file_and_the_first_of_users_leads),
        cmocka_unit_test(inputs_that_are_repartitioned_do_not_lead),
        cmocka_unit_test(kinds_and_choices_are_in_the_order_of_their_enums),
        cmocka_unit_test(the_command_line_wins_over_the_environment_over_the_file),
        cmocka_unit_test(values_of_the_file_take_variables),
        cmocka_unit_test(a_secret_comes_from_the_file_that_a_variable_names),
        cmocka_unit_test(an_unknown_key_is_refused_with_its_place_and_the_nearest),
        cmocka_unit_test(a_wrong_value_is_refused_with_what_would_be_right),
        cmocka_unit_test(the_ends_of_a_range_are_inside_it),
        cmocka_unit_test(impossible_combinations_are_refused),
        cmocka_unit_test(properties_that_are_ours_javas_or_nobodys_are_refused),
        cmocka_unit_test(a_registry_is_checked_without_saying_its_secrets),
        cmocka_unit_test(the_registrys_secrets_are_masked),
        cmocka_unit_test(what_is_not_a_configuration_is_refused),
        cmocka_unit_test(a_mistyped_variable_is_refused),
        cmocka_unit_test(what_is_printed_loads_to_the_same_configuration),
        cmocka_unit_test(the_hash_tells_histories_apart_and_nothing_else),
        cmocka_unit_test(the_example_configuration_is_good),
        cmocka_unit_test(the_page_is_what_the_table_prints),
        cmocka_unit_test(no_two_keys_share_a_variable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
