// SPDX-License-Identifier: Apache-2.0
// config_check: what no single key can know.
#include "worker/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/hash.h"
#include "worker/config_internal.h"
#include "worker/kafka/properties.h"
#include "worker/mapped.h"
#include "worker/matched.h"
#include "worker/registry/http.h"

void mr_config_host(char *host, size_t size)
{
    char name[128];
    if (gethostname(name, sizeof name) != 0)
        snprintf(name, sizeof name, "localhost");
    name[sizeof name - 1] = '\0';
    snprintf(host, size, "%s", name);
    for (char *c = host; *c != '\0'; c++) {
        const bool good = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                          (*c >= '0' && *c <= '9') || *c == '-' || *c == '.';
        *c = good ? *c : '-';
    }
}

const char *mr_config_topic(const mr_config *config, uint32_t input)
{
    if (input == mr_config_deltas(config))
        return config->outputs_item_deltas;
    return input == mr_config_repartition(config) ? config->outputs_repartition
                                                  : config->inputs[input].topic;
}

bool mr_config_repartitions(const mr_config *config)
{
    for (uint32_t i = 0; i < config->input_count; i++) {
        if (config->inputs[i].repartition)
            return true;
    }
    return false;
}

bool mr_config_has_patterns(const mr_config *config)
{
    for (uint32_t i = 0; i < config->input_count; i++) {
        if (mr_config_is_pattern(&config->inputs[i]))
            return true;
    }
    return false;
}

mr_event_kind mr_config_kind(const mr_config_input *input)
{
    return (mr_event_kind)input->kind; // the choices of topics.<name>.kind are in that order
}

static const mr_config_input *input_named(const mr_config *config, const char *name)
{
    for (uint32_t i = 0; i < config->input_count; i++) {
        if (strcmp(config->inputs[i].name, name) == 0)
            return &config->inputs[i];
    }
    return NULL;
}

bool mr_config_is_by_user(const mr_config_input *input)
{
    return mr_config_kind(input) != MR_EVENT_CATALOGUE;
}

mr_status mr_config_lead(const mr_config *config, uint32_t *lead, mr_error *err)
{
    const mr_config_input *named =
        config->lead[0] != '\0' ? input_named(config, config->lead) : NULL;
    if (named != NULL) {
        *lead = (uint32_t)(named - config->inputs);
        return MR_OK;
    }
    for (*lead = 0; *lead < config->input_count; ++*lead) {
        const mr_config_input *input = &config->inputs[*lead];
        if (mr_config_is_by_user(input) && !input->repartition && !mr_config_is_pattern(input) &&
            !input->matched)
            return MR_OK;
    }
    *lead = mr_config_repartition(config);
    for (uint32_t i = 0; i < config->input_count && !mr_config_repartitions(config); i++) {
        if (mr_config_is_pattern(&config->inputs[i]) && mr_config_is_by_user(&config->inputs[i]))
            return mr_fail(err, MR_FATAL,
                           "topics.%s.topic: topics of a pattern cannot be the lead, whose "
                           "partitions are the tasks: set topics.%s.repartition: true, or name an "
                           "input of users' events with one topic beside it",
                           config->inputs[i].name, config->inputs[i].name);
    }
    if (!mr_config_repartitions(config))
        return mr_fail(err, MR_FATAL,
                       "topics: no input of users' events; name one, as in topics.clicks.kind: "
                       "click");
    return MR_OK;
}

const mr_key *mr_config_key(const mr_config *config, const char *path)
{
    const mr_config_slot *slot = mr_config_slot_at(config, path);
    return slot != NULL ? slot->key : NULL;
}

// "place: path: text", the place being where the key got its value.
static mr_status fail_at(const mr_config *config, const char *path, mr_error *err)
{
    const mr_config_slot *slot = mr_config_slot_at(config, path);
    mr_wrap(err, "%s", path);
    return mr_wrap(err, "%s", slot != NULL && slot->place != NULL ? slot->place : "default");
}

static mr_status check_order(const mr_config *config, const char *low, int64_t low_ms,
                             const char *high, int64_t high_ms, bool equal_is_good, mr_error *err)
{
    if (low_ms < high_ms || (equal_is_good && low_ms == high_ms))
        return MR_OK;
    mr_fail(err, MR_FATAL, "found %lld ms, want %s than %s (%lld ms)", (long long)low_ms,
            equal_is_good ? "no more" : "less", high, (long long)high_ms);
    return fail_at(config, low, err);
}

static mr_status check_relations(const mr_config *config, mr_error *err)
{
    MR_TRY(check_order(config, "commit.interval_min", config->commit_interval_min,
                       "commit.interval_max", config->commit_interval_max, true, err));
    MR_TRY(check_order(config, "kafka.transaction_timeout", config->kafka_transaction_timeout,
                       "kafka.session_timeout", config->kafka_session_timeout, false, err));
    MR_TRY(check_order(config, "kafka.session_timeout", config->kafka_session_timeout,
                       "kafka.poll_interval_max", config->kafka_poll_interval_max, true, err));
    if (config->kafka_bootstrap_servers.count == 0) {
        mr_fail(err, MR_FATAL, "found nothing, want host:port of at least one broker");
        return fail_at(config, "kafka.bootstrap_servers", err);
    }
    if (config->epoch_bytes_max > config->commit_bytes_max) {
        mr_fail(err, MR_FATAL, "found %lld bytes, want no more than commit.bytes_max (%lld)",
                (long long)config->epoch_bytes_max, (long long)config->commit_bytes_max);
        return fail_at(config, "epoch.bytes_max", err);
    }
    if (config->lead[0] != '\0') {
        const mr_config_input *lead = input_named(config, config->lead);
        if (lead == NULL || !mr_config_is_by_user(lead)) {
            mr_fail(err, MR_FATAL, "found '%.64s', want the name of an input of users' events",
                    config->lead);
            return fail_at(config, "lead", err);
        }
        if (mr_config_is_pattern(lead)) {
            mr_fail(err, MR_FATAL,
                    "found '%.64s', whose topics are named by a pattern: the lead is one topic",
                    config->lead);
            return fail_at(config, "lead", err);
        }
        if (lead->repartition) {
            mr_fail(err, MR_FATAL,
                    "found '%.64s', which goes through %s: the lead is read directly", config->lead,
                    config->outputs_repartition);
            return fail_at(config, "lead", err);
        }
    }
    return MR_OK;
}

static mr_status check_mapping(const mr_config_input *input, mr_error *err)
{
    mr_mapped *mapped = malloc(sizeof *mapped);
    if (mapped == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    const mr_status status = mr_mapped_read(input, mapped, err);
    free(mapped);
    return status;
}

static mr_status check_input(const mr_config *config, uint32_t index, mr_error *err)
{
    const mr_config_input *input = &config->inputs[index];
    char path[MR_CONFIG_PATH_MAX];
    snprintf(path, sizeof path, "topics.%s.schema", input->name);
    if (input->format == MR_FORMAT_BARE && input->schema[0] == '\0') {
        snprintf(path, sizeof path, "topics.%s.format", input->name);
        mr_fail(err, MR_FATAL, "bare values need topics.%s.schema, the schema they were written by",
                input->name);
        return fail_at(config, path, err);
    }
    if (input->format != MR_FORMAT_BARE && input->schema[0] != '\0') {
        mr_fail(err, MR_FATAL,
                "is only read with topics.%s.format: bare; otherwise each value "
                "says its schema",
                input->name);
        return fail_at(config, path, err);
    }
    if (mr_matched_check(input->topic, err) != MR_OK) {
        snprintf(path, sizeof path, "topics.%s.topic", input->name);
        return fail_at(config, path, err);
    }
    if (input->repartition && !mr_config_is_by_user(input)) {
        snprintf(path, sizeof path, "topics.%s.repartition", input->name);
        mr_fail(err, MR_FATAL,
                "a catalogue may have any partitions: its records reach the items' owners by key");
        return fail_at(config, path, err);
    }
    if (input->repartition && config->users_pseudonym_key[0] != '\0') {
        snprintf(path, sizeof path, "topics.%s.repartition", input->name);
        mr_fail(err, MR_FATAL,
                "the records would stand in %s with the ids that users.pseudonym.key_file keeps "
                "out of our topics",
                config->outputs_repartition);
        return fail_at(config, path, err);
    }
    for (uint32_t i = 0; i < index; i++) {
        if (strcmp(config->inputs[i].topic, input->topic) == 0) {
            snprintf(path, sizeof path, "topics.%s.topic", input->name);
            mr_fail(err, MR_FATAL, "found '%.80s', which topics.%s reads already", input->topic,
                    config->inputs[i].name);
            return fail_at(config, path, err);
        }
    }
    return check_mapping(input, err);
}

// Two outputs in one topic, or an output in an input, would feed the worker with its own records.
static mr_status check_outputs(const mr_config *config, mr_error *err)
{
    static const char prefix[] = "outputs.";
    for (uint32_t i = 0; i < config->slot_count; i++) {
        const mr_config_slot *slot = &config->slots[i];
        if (strncmp(slot->path, prefix, sizeof prefix - 1) != 0 || slot->key->type != MR_KEY_NAME)
            continue;
        const char *const topic = *(const char *const *)slot->value;
        const char *other = NULL;
        for (uint32_t j = 0; j < i; j++) {
            if (strncmp(config->slots[j].path, prefix, sizeof prefix - 1) == 0 &&
                config->slots[j].key->type == MR_KEY_NAME &&
                strcmp(*(const char *const *)config->slots[j].value, topic) == 0)
                other = config->slots[j].path;
        }
        for (uint32_t j = 0; j < config->input_count; j++) {
            if (strcmp(config->inputs[j].topic, topic) == 0)
                other = config->inputs[j].name;
        }
        if (other != NULL || topic[0] == '\0') {
            mr_fail(err, MR_FATAL, "found '%.80s', want a topic of its own%s%s", topic,
                    other != NULL ? "; it is also that of " : "", other != NULL ? other : "");
            return fail_at(config, slot->path, err);
        }
    }
    return MR_OK;
}

static mr_status check_registry(const mr_config *config, mr_error *err)
{
    for (uint32_t i = 0; i < config->registry_urls.count; i++) {
        if (mr_http_check_url(config->registry_urls.items[i], err) != MR_OK)
            return fail_at(config, "registry.urls", err);
    }
    if (config->registry_token[0] != '\0' && config->registry_username[0] != '\0') {
        mr_fail(err, MR_FATAL, "want either a token, or registry.username and registry.password");
        return fail_at(config, "registry.token", err);
    }
    if ((config->registry_username[0] == '\0') != (config->registry_password[0] == '\0')) {
        mr_fail(err, MR_FATAL, "want registry.password with it, and that not without it");
        return fail_at(config, "registry.username", err);
    }
    if (config->registry_key[0] != '\0' && config->registry_certificate[0] == '\0') {
        mr_fail(err, MR_FATAL, "want registry.certificate, which it belongs to");
        return fail_at(config, "registry.key", err);
    }
    if (config->registry_urls.count == 0 && config->outputs_format == MR_OUTPUT_CONFLUENT) {
        mr_fail(err, MR_FATAL, "want registry.urls, where the ids of the schemas come from");
        return fail_at(config, "outputs.format", err);
    }
    return MR_OK;
}

static mr_status check_properties(const mr_config_properties *properties, const char *section,
                                  mr_error *err)
{
    for (uint32_t i = 0; i < properties->count; i++) {
        const mr_config_property *row = &properties->rows[i];
        if (mr_kafka_property_check(row->name, row->value, err) != MR_OK) {
            mr_wrap(err, "%s.%s", section, row->name);
            return mr_wrap(err, "%s", row->place);
        }
    }
    return MR_OK;
}

mr_status mr_config_check(const mr_config *config, mr_error *err)
{
    MR_TRY(check_relations(config, err));
    for (uint32_t i = 0; i < config->input_count; i++)
        MR_TRY(check_input(config, i, err));
    MR_TRY(check_outputs(config, err));
    MR_TRY(check_registry(config, err));
    MR_TRY(check_properties(&config->kafka_properties, "kafka.properties", err));
    MR_TRY(check_properties(&config->kafka_consumer, "kafka.consumer", err));
    return check_properties(&config->kafka_producer, "kafka.producer", err);
}

bool mr_config_is_secret(const char *property)
{
    static const char *const marks[] = {"password", "secret", "key.pem", "token",
                                        "oauthbearer.config"};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        if (strstr(property, marks[i]) != NULL && strstr(property, "url") == NULL)
            return true;
    }
    return false;
}

// A sum over lines, so that the order of inputs in the file does not matter.
uint64_t mr_config_hash(const mr_config *config)
{
    char line[MR_CONFIG_PATH_MAX + 1100], value[1024];
    uint64_t sum = 0;
    for (uint32_t i = 0; i < config->slot_count; i++) {
        const mr_config_slot *slot = &config->slots[i];
        if (!slot->key->history)
            continue;
        mr_value_print(slot->key, slot->value, value, sizeof value);
        const int size = snprintf(line, sizeof line, "%s=%s", slot->path, value);
        sum += mr_hash64(line, (size_t)size, 0);
    }
    for (uint32_t i = 0; i < config->input_count; i++) {
        const mr_config_input *input = &config->inputs[i];
        for (uint32_t j = 0; j < input->mapping.count && !input->matched; j++) {
            const int size =
                snprintf(line, sizeof line, "topics.%s.mapping.%s=%.1000s", input->name,
                         input->mapping.rows[j].name, input->mapping.rows[j].value);
            sum += mr_hash64(line, (size_t)size, 0);
        }
    }
    return sum;
}
