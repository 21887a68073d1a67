// SPDX-License-Identifier: Apache-2.0
#include "worker/kafka/properties.h"

#include <librdkafka/rdkafka.h>
#include <string.h>

#include "worker/nearest.h"

// Properties that belong to the worker: `instead` says which key of ours sets them, or why none
// does.
static const struct {
    const char *name, *instead;
} owned[] = {
    {"bootstrap.servers", "set kafka.bootstrap_servers"},
    {"metadata.broker.list", "set kafka.bootstrap_servers"},
    {"group.id", "set kafka.group"},
    {"group.instance.id", "set instance"},
    {"transactional.id", "set app and instance"},
    {"client.id", "set app and instance"},
    {"session.timeout.ms", "set kafka.session_timeout"},
    {"heartbeat.interval.ms", "it is always 200"},
    {"max.poll.interval.ms", "set kafka.poll_interval_max"},
    {"transaction.timeout.ms", "set kafka.transaction_timeout"},
    {"queued.max.messages.kbytes", "set kafka.queue_bytes_max"},
    {"queued.min.messages", "set kafka.queue_bytes_max"},
    {"auto.offset.reset", "set start"},
    {"enable.auto.commit", "offsets are committed in the transaction"},
    {"enable.auto.offset.store", "offsets are committed in the transaction"},
    {"auto.commit.enable", "offsets are committed in the transaction"},
    {"auto.commit.interval.ms", "offsets are committed in the transaction"},
    {"isolation.level", "it is always read_committed"},
    {"enable.idempotence", "it is always true"},
    {"acks", "it is always all"},
    {"request.required.acks", "it is always all"},
    {"check.crcs", "it is always true"},
    {"allow.auto.create.topics", "topics are made by millrace check --create-topics"},
    {"partition.assignment.strategy", "it is always range"},
    {"partitioner", "records are produced to explicit partitions"},
    {"enable.partition.eof", "the worker sets it for each of its readers"},
    {"socket.nagle.disable", "it is always true"},
    {"debug", "set log.debug: kafka"},
    {"log_level", "set log.level"},
};

// What users paste from a Java client's file, and what librdkafka calls it.
static const struct {
    const char *name, *instead;
} java[] = {
    {"sasl.jaas.config", "set sasl.username and sasl.password"},
    {"sasl.login.callback.handler.class", "set sasl.oauthbearer.method"},
    {"sasl.oauthbearer.client.credentials.client.id", "set sasl.oauthbearer.client.id"},
    {"ssl.truststore.location", "set ssl.ca.location to a PEM file"},
    {"ssl.truststore.certificates", "set ssl.ca.pem"},
    {"ssl.truststore.password", "leave it out: ssl.ca.location is a PEM file without password"},
    {"ssl.truststore.type", "leave it out: ssl.ca.location is a PEM file"},
    {"ssl.keystore.type", "leave it out: ssl.keystore.location is a PKCS#12 file"},
    {"ssl.keystore.certificate.chain", "set ssl.certificate.pem"},
    {"ssl.keystore.key", "set ssl.key.pem"},
    {"ssl.enabled.protocols", "leave it out: OpenSSL decides"},
    {"ssl.protocol", "leave it out: OpenSSL decides"},
    {"max.poll.records", "set epoch.events_max"},
    {"buffer.memory", "set queue.buffering.max.kbytes"},
    {"fetch.max.wait.ms", "set fetch.wait.max.ms"},
    {"max.request.size", "set message.max.bytes"},
    {"max.block.ms", "leave it out: the worker waits"},
    {"default.api.timeout.ms", "set socket.timeout.ms"},
    {"key.deserializer", "leave it out: topics.<name>.key says the format"},
    {"value.deserializer", "leave it out: topics.<name>.format says the format"},
    {"key.serializer", "leave it out"},
    {"value.serializer", "leave it out"},
};

static mr_status check_table(const char *name, mr_error *err)
{
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++) {
        if (strcmp(name, owned[i].name) == 0)
            return mr_fail(err, MR_FATAL, "is set by millrace: %s", owned[i].instead);
    }
    for (size_t i = 0; i < sizeof java / sizeof *java; i++) {
        if (strcmp(name, java[i].name) == 0)
            return mr_fail(err, MR_FATAL, "is a property of the Java client: %s", java[i].instead);
    }
    return MR_OK;
}

static mr_status unknown(rd_kafka_conf_t *conf, const char *name, mr_error *err)
{
    mr_nearest search = mr_nearest_begin(name);
    size_t count = 0;
    const char **dump = rd_kafka_conf_dump(conf, &count); // name, value, name, value, ...
    for (size_t i = 0; i + 1 < count; i += 2)
        mr_nearest_offer(&search, dump[i]);
    const mr_status status =
        search.best != NULL
            ? mr_fail(err, MR_FATAL, "librdkafka has no such property; the nearest is %s",
                      search.best)
            : mr_fail(err, MR_FATAL, "librdkafka %s has no such property", rd_kafka_version_str());
    rd_kafka_conf_dump_free(dump, count);
    return status;
}

mr_status mr_kafka_property_check(const char *name, const char *value, mr_error *err)
{
    char reason[192];
    MR_TRY(check_table(name, err));
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    mr_status status = MR_OK;
    switch (rd_kafka_conf_set(conf, name, value, reason, sizeof reason)) {
    case RD_KAFKA_CONF_OK:
        break;
    case RD_KAFKA_CONF_UNKNOWN:
        status = unknown(conf, name, err);
        break;
    case RD_KAFKA_CONF_INVALID:
        status = mr_fail(err, MR_FATAL, "%s", reason);
        break;
    }
    rd_kafka_conf_destroy(conf);
    return status;
}
