// SPDX-License-Identifier: Apache-2.0
// What is said of rights that are missing and of brokers that do not let us in: who lacks what, the
// command that grants it, the property to put right, and never a secret.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "worker/kafka/refusal.h"

enum { SETS_MAX = 16 };

static mr_config *configure(const char *const *sets)
{
    const char *all[SETS_MAX] = {"app=bus", "instance=one", "topics.clicks.kind=click",
                                 "topics.clicks.topic=shop.clicks"};
    uint32_t count = 4;
    mr_config *config;
    mr_error err = {0};
    for (; *sets != NULL; sets++)
        all[count++] = *sets;
    const mr_config_source source = {.sets = all, .set_count = count};
    if (mr_config_load(&config, &source, &err) != MR_OK)
        fail_msg("%s", err.text);
    return config;
}

static const char *const scram[] = {"kafka.properties.sasl.mechanism=SCRAM-SHA-512",
                                    "kafka.properties.sasl.username=mill",
                                    "kafka.properties.sasl.password=hush-hush", NULL};
static const char *const nobody[] = {NULL};

static void each_right_is_named_with_the_command_that_grants_it(void **state)
{
    (void)state;
    static const struct {
        mr_right right;
        const char *name, *text;
    } rows[] = {
        {MR_RIGHT_READ_TOPIC, "clicks",
         "user 'mill' lacks Read on topic 'clicks': kafka-acls --add --allow-principal User:mill "
         "--operation Read --topic clicks"},
        {MR_RIGHT_WRITE_TOPIC, "bus.lists",
         "user 'mill' lacks Write on topic 'bus.lists': kafka-acls --add --allow-principal "
         "User:mill --operation Write --topic bus.lists"},
        {MR_RIGHT_CREATE_TOPIC, "bus.lists",
         "user 'mill' lacks Create on topic 'bus.lists': kafka-acls --add --allow-principal "
         "User:mill --operation Create --topic bus.lists"},
        {MR_RIGHT_DESCRIBE_CONFIGS_TOPIC, "bus.lists",
         "user 'mill' lacks DescribeConfigs on topic 'bus.lists': kafka-acls --add "
         "--allow-principal User:mill --operation DescribeConfigs --topic bus.lists"},
        {MR_RIGHT_READ_GROUP, "bus",
         "user 'mill' lacks Read on group 'bus': kafka-acls --add --allow-principal User:mill "
         "--operation Read --group bus"},
        {MR_RIGHT_WRITE_TRANSACTIONAL_ID, "bus-one",
         "user 'mill' lacks Write on transactional id 'bus-one': kafka-acls --add "
         "--allow-principal User:mill --operation Write --transactional-id bus-one"},
    };
    mr_config *config = configure(scram);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        mr_error err = {0};
        assert_int_equal(mr_kafka_lacks(config, rows[i].right, rows[i].name, &err), MR_FATAL);
        assert_string_equal(err.text, rows[i].text);
    }
    mr_config_free(config);
}

static void a_topic_lacks_what_the_worker_does_with_it(void **state)
{
    (void)state;
    mr_error err = {0};
    mr_config *config = configure(scram);
    mr_kafka_lacks_topic(config, "shop.clicks", &err);
    assert_non_null(strstr(err.text, "lacks Read on topic 'shop.clicks'"));
    mr_kafka_lacks_topic(config, "bus.user-rows", &err);
    assert_non_null(strstr(err.text, "lacks Write on topic 'bus.user-rows'"));
    mr_kafka_lacks_topic(config, "elsewhere", &err);
    assert_non_null(strstr(err.text, "lacks Describe on topic 'elsewhere'"));
    mr_config_free(config);
}

static void writers_with_a_user_of_their_own_are_called_by_it(void **state)
{
    (void)state;
    static const char *const two[] = {"kafka.properties.sasl.username=mill",
                                      "kafka.producer.sasl.username=writer", NULL};
    mr_error err = {0};
    mr_config *config = configure(two);
    mr_kafka_lacks(config, MR_RIGHT_WRITE_TOPIC, "bus.lists", &err);
    assert_non_null(strstr(err.text, "user 'writer' lacks"));
    mr_kafka_lacks(config, MR_RIGHT_READ_TOPIC, "clicks", &err);
    assert_non_null(strstr(err.text, "user 'mill' lacks"));
    mr_config_free(config);
}

static void without_a_name_only_the_brokers_know_who_we_are(void **state)
{
    (void)state;
    mr_error err = {0};
    mr_config *config = configure(nobody);
    mr_kafka_lacks(config, MR_RIGHT_READ_GROUP, "bus", &err);
    assert_string_equal(err.text, "we lack Read on group 'bus': kafka-acls --add --allow-principal "
                                  "User:<ours> --operation Read --group bus");
    mr_config_free(config);
}

static void a_wrong_password_is_told_with_its_user_and_without_itself(void **state)
{
    (void)state;
    mr_error err = {0};
    mr_config *config = configure(scram);
    assert_int_equal(mr_kafka_kept_out(config, RD_KAFKA_RESP_ERR__AUTHENTICATION,
                                       "sasl_ssl://b:1/bootstrap: SASL authentication error: "
                                       "Authentication failed",
                                       &err),
                     MR_FATAL);
    assert_non_null(strstr(err.text, "do not let user 'mill' in by SCRAM-SHA-512: a wrong name or "
                                     "password"));
    assert_non_null(strstr(err.text, "sasl.password"));
    assert_null(strstr(err.text, "hush"));
    // Kafka 4 refuses the SCRAM of old clients with the same words.
    assert_int_equal(strstr(err.text, "librdkafka 2.6.1") != NULL, rd_kafka_version() < 0x020601ff);
    mr_config_free(config);
}

static void a_mechanism_that_brokers_do_not_know_is_told_with_theirs(void **state)
{
    (void)state;
    mr_error err = {0};
    mr_config *config = configure(scram);
    mr_kafka_kept_out(config, RD_KAFKA_RESP_ERR__AUTHENTICATION,
                      "sasl_ssl://b:1/bootstrap: SASL SCRAM-SHA-512 mechanism handshake failed: "
                      "Broker: Unsupported SASL mechanism: broker's supported mechanisms: "
                      "PLAIN,OAUTHBEARER (after 3ms in state AUTH_HANDSHAKE)",
                      &err);
    assert_string_equal(err.text, "the brokers do not know sasl.mechanism SCRAM-SHA-512; they have "
                                  "PLAIN,OAUTHBEARER: set kafka.properties: sasl.mechanism");
    mr_config_free(config);
}

static void a_certificate_is_told_with_the_broker_that_has_it(void **state)
{
    (void)state;
    mr_error err = {0};
    mr_config *config = configure(nobody);
    mr_kafka_kept_out(config, RD_KAFKA_RESP_ERR__SSL,
                      "sasl_ssl://kafka-1:9094/bootstrap: SSL handshake failed: "
                      "error:0A000086:SSL routines::certificate verify failed: broker certificate "
                      "could not be verified",
                      &err);
    assert_int_equal(err.status, MR_FATAL);
    assert_non_null(
        strstr(err.text, "the certificate of kafka-1:9094 is not of a CA that is trust"));
    assert_non_null(strstr(err.text, "ssl.ca.location"));
    mr_kafka_kept_out(config, RD_KAFKA_RESP_ERR__TRANSPORT,
                      "ssl://kafka-1:9094/bootstrap: Receive failed: error:0A00045C:SSL "
                      "routines::tlsv13 alert certificate required: SSL alert number 116",
                      &err);
    assert_int_equal(err.status, MR_FATAL);
    assert_non_null(strstr(err.text, "kafka-1:9094 does not take our certificate"));
    assert_true(mr_kafka_keeps_out(RD_KAFKA_RESP_ERR__TRANSPORT,
                                   "ssl://kafka-1:9094/bootstrap: Receive failed: "
                                   "error:0A000418:SSL routines::tlsv1 alert unknown ca"));
    mr_config_free(config);
}

static void brokers_that_are_down_are_worth_another_try(void **state)
{
    (void)state;
    mr_error err = {0};
    mr_config *config = configure(scram);
    const char *const text = "sasl_ssl://b:1/bootstrap: Connect failed: Connection refused";
    assert_false(mr_kafka_keeps_out(RD_KAFKA_RESP_ERR__TRANSPORT, text));
    assert_false(mr_kafka_keeps_out(RD_KAFKA_RESP_ERR__SSL, "SSL handshake failed: Disconnected"));
    assert_int_equal(mr_kafka_kept_out(config, RD_KAFKA_RESP_ERR__TRANSPORT, text, &err), MR_RETRY);
    assert_non_null(strstr(err.text, "Connection refused"));
    mr_config_free(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_right_is_named_with_the_command_that_grants_it),
        cmocka_unit_test(a_topic_lacks_what_the_worker_does_with_it),
        cmocka_unit_test(writers_with_a_user_of_their_own_are_called_by_it),
        cmocka_unit_test(without_a_name_only_the_brokers_know_who_we_are),
        cmocka_unit_test(a_wrong_password_is_told_with_its_user_and_without_itself),
        cmocka_unit_test(a_mechanism_that_brokers_do_not_know_is_told_with_theirs),
        cmocka_unit_test(a_certificate_is_told_with_the_broker_that_has_it),
        cmocka_unit_test(brokers_that_are_down_are_worth_another_try),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
