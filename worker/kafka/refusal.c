// SPDX-License-Identifier: Apache-2.0
#include "worker/kafka/refusal.h"

#include <stdio.h>
#include <string.h>

#include "worker/kafka/client.h"

// Kafka 4 compares the nonce of a SCRAM client whole; librdkafka sends its own part twice up to
// here.
enum { SCRAM_RELEASE = 0x020601ff };

bool mr_kafka_is_refusal(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED ||
           code == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED ||
           code == RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED ||
           code == RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED;
}

static const struct {
    const char *operation, *resource, *option;
} rights[MR_RIGHT_COUNT] = {
    [MR_RIGHT_READ_TOPIC] = {"Read", "topic", "topic"},
    [MR_RIGHT_WRITE_TOPIC] = {"Write", "topic", "topic"},
    [MR_RIGHT_CREATE_TOPIC] = {"Create", "topic", "topic"},
    [MR_RIGHT_DESCRIBE_TOPIC] = {"Describe", "topic", "topic"},
    [MR_RIGHT_DESCRIBE_CONFIGS_TOPIC] = {"DescribeConfigs", "topic", "topic"},
    [MR_RIGHT_READ_GROUP] = {"Read", "group", "group"},
    [MR_RIGHT_WRITE_TRANSACTIONAL_ID] = {"Write", "transactional id", "transactional-id"},
};

static const char *find(const mr_config_properties *properties, const char *name)
{
    for (uint32_t i = 0; i < properties->count; i++) {
        if (strcmp(properties->rows[i].name, name) == 0)
            return properties->rows[i].value;
    }
    return NULL;
}

// The value of a property of all clients, or of one that has its own; NULL: it is not set.
static const char *property(const mr_config *config, bool producer, const char *name)
{
    const char *own = find(producer ? &config->kafka_producer : &config->kafka_consumer, name);
    return own != NULL ? own : find(&config->kafka_properties, name);
}

// Without a name of ours it is in a certificate or a token, where only the brokers look.
static const char *user_of(const mr_config *config, bool producer)
{
    return property(config, producer, "sasl.username");
}

static const char *mechanism_of(const mr_config *config)
{
    const char *mechanism = property(config, false, "sasl.mechanism");
    if (mechanism == NULL)
        mechanism = property(config, false, "sasl.mechanisms");
    return mechanism != NULL ? mechanism : "GSSAPI"; // librdkafka's default
}

mr_status mr_kafka_lacks(const mr_config *config, mr_right right, const char *name, mr_error *err)
{
    const char *const operation = rights[right].operation;
    const char *const user =
        user_of(config, right == MR_RIGHT_WRITE_TOPIC || right == MR_RIGHT_WRITE_TRANSACTIONAL_ID);
    if (user == NULL)
        return mr_fail(err, MR_FATAL,
                       "we lack %s on %s '%s': kafka-acls --add --allow-principal User:<ours> "
                       "--operation %s --%s %s",
                       operation, rights[right].resource, name, operation, rights[right].option,
                       name);
    return mr_fail(err, MR_FATAL,
                   "user '%s' lacks %s on %s '%s': kafka-acls --add --allow-principal User:%s "
                   "--operation %s --%s %s",
                   user, operation, rights[right].resource, name, user, operation,
                   rights[right].option, name);
}

mr_status mr_kafka_lacks_topic(const mr_config *config, const char *topic, mr_error *err)
{
    for (uint32_t i = 0; i < config->input_count; i++) {
        if (strcmp(config->inputs[i].topic, topic) == 0)
            return mr_kafka_lacks(config, MR_RIGHT_READ_TOPIC, topic, err);
    }
    for (int t = 0; t < MR_TOPIC_COUNT; t++) {
        if (strcmp(mr_kafka_topic_name(config, (mr_topic)t), topic) == 0)
            return mr_kafka_lacks(config, MR_RIGHT_WRITE_TOPIC, topic, err);
    }
    return mr_kafka_lacks(config, MR_RIGHT_DESCRIBE_TOPIC, topic, err);
}

// Entry.

// A handshake may be cut short by a broker that restarts; what is said of certificates is final.
// What the other side thinks of ours comes behind the handshake, as an alert that fails a receive.
static bool is_certificate(rd_kafka_resp_err_t code, const char *text)
{
    if (code != RD_KAFKA_RESP_ERR__SSL && code != RD_KAFKA_RESP_ERR__TRANSPORT)
        return false;
    return strstr(text, "SSL routines") != NULL &&
           (strstr(text, "certificate") != NULL || strstr(text, "alert unknown ca") != NULL);
}

// librdkafka calls a handshake that was cut short, and a token that could not be fetched, a failed
// authentication too: the brokers have not said what they think of us then.
static bool is_cut_short(const char *text)
{
    return strstr(text, "(n/a)") != NULL || strstr(text, "Failed to acquire") != NULL;
}

bool mr_kafka_keeps_out(rd_kafka_resp_err_t code, const char *text)
{
    return (code == RD_KAFKA_RESP_ERR__AUTHENTICATION && !is_cut_short(text)) ||
           code == RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED || is_certificate(code, text);
}

static mr_status wrong_user(const mr_config *config, const char *text, mr_error *err)
{
    char why[96] = "";
    const char *const mechanism = mechanism_of(config), *const user = user_of(config, false);
    const char *const known = strstr(text, "supported mechanisms: ");
    if (known != NULL)
        return mr_fail(err, MR_FATAL,
                       "the brokers do not know sasl.mechanism %s; they have %.*s: set "
                       "kafka.properties: sasl.mechanism",
                       mechanism, (int)strcspn(strchr(known, ':') + 2, " ("),
                       strchr(known, ':') + 2);
    if (user == NULL)
        return mr_fail(err, MR_FATAL, "the brokers do not let us in by %s: %s", mechanism, text);
    if (strncmp(mechanism, "SCRAM", 5) == 0 && rd_kafka_version() < SCRAM_RELEASE)
        snprintf(why, sizeof why, "; Kafka 4 takes %s from librdkafka 2.6.1 on, and this is %s",
                 mechanism, rd_kafka_version_str());
    return mr_fail(err, MR_FATAL,
                   "the brokers do not let user '%s' in by %s: a wrong name or password "
                   "(kafka.properties: sasl.username, sasl.password)%s",
                   user, mechanism, why);
}

static mr_status wrong_certificate(const char *text, mr_error *err)
{
    char place[96] = "a broker";
    // "ssl://host:port/bootstrap: SSL handshake failed: ..."
    (void)sscanf(text, "%*[a-z_]://%95[^/]", place);
    if (strstr(text, "alert") != NULL)
        return mr_fail(err, MR_FATAL,
                       "%s does not take our certificate, or got none: set "
                       "kafka.properties: ssl.certificate.location and ssl.key.location",
                       place);
    return mr_fail(
        err, MR_FATAL,
        "the certificate of %s is not of a CA that is trusted, or not for this name: set "
        "kafka.properties: ssl.ca.location to its CA's certificate (PEM)",
        place);
}

mr_status mr_kafka_kept_out(const mr_config *config, rd_kafka_resp_err_t code, const char *text,
                            mr_error *err)
{
    if (!mr_kafka_keeps_out(code, text))
        return mr_fail(err, MR_RETRY, "no broker lets us in: %s",
                       text[0] != '\0' ? text : rd_kafka_err2str(code));
    return is_certificate(code, text) ? wrong_certificate(text, err)
                                      : wrong_user(config, text, err);
}
