// SPDX-License-Identifier: Apache-2.0
#include "worker/kafka/admin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/kafka/refusal.h"

enum {
    CALL_MS = 10000,
    MEET_MS = 200,    // between two looks for what keeps us out
    OTHERS_MS = 4000, // for the other brokers, where one keeps us out
    ASK_MS = 2000,    // of a question that the loop asks, which learns and serves the group meanwhile
    SEE_MS = 20,      // between two looks for a topic that was made
};

struct mr_kafka_admin {
    rd_kafka_t *handle;
    const mr_config *config;
    bool met; // a broker has answered
    // What kept us out, as told last by callbacks while nobody had answered.
    rd_kafka_resp_err_t trouble;
    char trouble_text[512];
};

// Of several brokers that are down one may have said more than that it is.
static void on_error(rd_kafka_t *handle, int code, const char *text, void *context)
{
    (void)handle;
    mr_kafka_admin *admin = context;
    if (mr_kafka_keeps_out(admin->trouble, admin->trouble_text) ||
        (admin->trouble != RD_KAFKA_RESP_ERR_NO_ERROR &&
         code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN))
        return;
    admin->trouble = (rd_kafka_resp_err_t)code;
    snprintf(admin->trouble_text, sizeof admin->trouble_text, "%s", text);
}

mr_status mr_kafka_admin_open(const mr_config *config, mr_kafka_admin **out, mr_error *err)
{
    rd_kafka_conf_t *conf;
    mr_kafka_admin *admin = calloc(1, sizeof *admin);
    if (admin == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    admin->config = config;
    mr_status status = mr_kafka_conf(config, MR_KAFKA_ADMIN, &conf, err);
    if (status == MR_OK) {
        rd_kafka_conf_set_error_cb(conf, on_error);
        rd_kafka_conf_set_opaque(conf, admin);
        status = mr_kafka_open(conf, MR_KAFKA_ADMIN, &admin->handle, err);
    }
    if (status != MR_OK) {
        free(admin);
        return status;
    }
    *out = admin;
    return MR_OK;
}

void mr_kafka_admin_close(mr_kafka_admin *admin)
{
    if (admin == NULL)
        return;
    rd_kafka_destroy(admin->handle);
    free(admin);
}

static bool is_final(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED ||
           code == RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED ||
           code == RD_KAFKA_RESP_ERR__AUTHENTICATION || code == RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION ||
           code == RD_KAFKA_RESP_ERR_POLICY_VIOLATION ||
           code == RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR ||
           code == RD_KAFKA_RESP_ERR_INVALID_CONFIG;
}

static mr_status failed(rd_kafka_resp_err_t code, const char *what, const char *text, mr_error *err)
{
    return mr_fail(err, is_final(code) ? MR_FATAL : MR_RETRY, "%s: %s", what,
                   text != NULL ? text : rd_kafka_err2str(code));
}

static mr_status topic_failed(const mr_kafka_admin *admin, rd_kafka_resp_err_t code,
                              const char *topic, mr_error *err)
{
    return mr_kafka_is_refusal(code) ? mr_kafka_lacks_topic(admin->config, topic, err)
                                     : failed(code, topic, NULL, err);
}

// Brokers have an id of their cluster, mock brokers only metadata. Neither comes before they have
// let us in.
static bool is_in(const mr_kafka_admin *admin)
{
    const rd_kafka_metadata_t *metadata;
    char *cluster = rd_kafka_clusterid(admin->handle, MEET_MS);
    if (cluster != NULL) {
        rd_kafka_mem_free(admin->handle, cluster);
        return true;
    }
    if (rd_kafka_metadata(admin->handle, 0, NULL, &metadata, MEET_MS) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return false;
    rd_kafka_metadata_destroy(metadata);
    return true;
}

// Waits until a broker has let us in. The client itself would try a wrong password for ever. Of
// several brokers one may be wrong alone, with a certificate that has run out, say: the others have
// a few seconds to answer then.
static mr_status meet(mr_kafka_admin *admin, mr_error *err)
{
    const mr_clock clock = mr_clock_system();
    const int64_t others_ms = admin->config->kafka_bootstrap_servers.count > 1 ? OTHERS_MS : 0;
    int64_t until = clock.now_ms(clock.context) + CALL_MS;
    bool kept_out = false;
    while (!admin->met) {
        admin->met = is_in(admin);
        rd_kafka_poll(admin->handle, 0); // calls on_error
        const int64_t now = clock.now_ms(clock.context);
        if (!kept_out && mr_kafka_keeps_out(admin->trouble, admin->trouble_text)) {
            kept_out = true;
            until = now + others_ms < until ? now + others_ms : until;
        }
        if (!admin->met && now >= until)
            return mr_kafka_kept_out(admin->config, admin->trouble, admin->trouble_text, err);
    }
    return MR_OK;
}

mr_status mr_kafka_admin_partitions(mr_kafka_admin *admin, const char *topic, uint32_t *count,
                                    mr_error *err)
{
    const rd_kafka_metadata_t *metadata;
    *count = 0;
    MR_TRY(meet(admin, err));
    rd_kafka_topic_t *handle = rd_kafka_topic_new(admin->handle, topic, NULL);
    if (handle == NULL)
        return mr_fail(err, MR_FATAL, "topic %s: %s", topic,
                       rd_kafka_err2str(rd_kafka_last_error()));
    rd_kafka_resp_err_t code = rd_kafka_metadata(admin->handle, 0, handle, &metadata, CALL_MS);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        if (metadata->topic_cnt == 1) {
            code = metadata->topics[0].err;
            *count = (uint32_t)metadata->topics[0].partition_cnt;
        }
        rd_kafka_metadata_destroy(metadata);
    }
    rd_kafka_topic_destroy(handle);
    if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
        code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC) {
        *count = 0;
        return MR_OK;
    }
    return code == RD_KAFKA_RESP_ERR_NO_ERROR ? MR_OK : topic_failed(admin, code, topic, err);
}

mr_status mr_kafka_admin_list(mr_kafka_admin *admin, int wait_ms,
                              const rd_kafka_metadata_t **topics, mr_error *err)
{
    MR_TRY(meet(admin, err));
    const rd_kafka_resp_err_t code =
        rd_kafka_metadata(admin->handle, 1, NULL, topics, wait_ms);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR ? MR_OK : failed(code, "topics", NULL, err);
}

mr_status mr_kafka_admin_counts(mr_kafka_admin *admin, uint32_t counts[static MR_CONFIG_INPUTS_MAX],
                                mr_error *err)
{
    const mr_config *config = admin->config;
    for (uint32_t i = 0; i < config->input_count; i++) {
        counts[i] = 0;
        if (mr_config_is_pattern(&config->inputs[i]))
            continue;
        MR_TRY(mr_kafka_admin_partitions(admin, config->inputs[i].topic, &counts[i], err));
        if (counts[i] == 0)
            return mr_fail(err, MR_FATAL, "topics.%s: there is no topic %s", config->inputs[i].name,
                           config->inputs[i].topic);
    }
    return MR_OK;
}

// Items may come in any number of partitions: they reach their owners by key.
static mr_status check_counts(const mr_config *config, const uint32_t *counts, uint32_t lead,
                              mr_error *err)
{
    for (uint32_t i = 0; i < config->input_count; i++) {
        const mr_config_input *input = &config->inputs[i];
        if (mr_config_is_by_user(input) && counts[i] != 0 && counts[i] != counts[lead])
            return mr_fail(err, MR_FATAL,
                           "%s has %u partitions, the lead %s has %u: users' events need one count "
                           "and one partitioner; topics.%s.repartition: true mends that",
                           input->topic, counts[i], mr_config_topic(config, lead), counts[lead],
                           input->name);
    }
    return MR_OK;
}

mr_status mr_kafka_admin_inputs(mr_kafka_admin *admin, uint32_t counts[static MR_CONFIG_READS_MAX],
                                uint32_t *lead, mr_error *err)
{
    const mr_config *config = admin->config;
    const uint32_t repartition = mr_config_repartition(config);
    MR_TRY(mr_config_lead(config, lead, err));
    MR_TRY(mr_kafka_admin_counts(admin, counts, err));
    for (uint32_t i = 0; i < config->input_count; i++)
        counts[i] = config->inputs[i].repartition ? 0 : counts[i];
    if (mr_config_repartitions(config)) {
        const char *const topic = mr_config_topic(config, repartition);
        MR_TRY(mr_kafka_admin_partitions(admin, topic, &counts[repartition], err));
        if (counts[repartition] == 0)
            return mr_fail(err, MR_FATAL,
                           "there is no topic %s: millrace check --create-topics makes ours",
                           topic);
    }
    counts[mr_config_deltas(config)] = counts[*lead];
    return check_counts(config, counts, *lead, err);
}

mr_status mr_kafka_admin_cluster(mr_kafka_admin *admin, char id[static MR_STORE_CLUSTER_MAX + 1],
                                 mr_error *err)
{
    MR_TRY(meet(admin, err));
    char *name = rd_kafka_clusterid(admin->handle, CALL_MS);
    if (name == NULL)
        return mr_fail(err, MR_RETRY, "the brokers did not say which cluster they are within %d s",
                       CALL_MS / 1000);
    snprintf(id, MR_STORE_CLUSTER_MAX + 1, "%s", name);
    rd_kafka_mem_free(admin->handle, name);
    return MR_OK;
}

mr_status mr_kafka_admin_ends(mr_kafka_admin *admin, const char *topic, uint32_t partition,
                              mr_log_ends *ends, mr_error *err)
{
    const rd_kafka_resp_err_t code = rd_kafka_query_watermark_offsets(
        admin->handle, topic, (int32_t)partition, &ends->first, &ends->end, ASK_MS);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return MR_OK;
    if (mr_kafka_is_refusal(code))
        return mr_kafka_lacks_topic(admin->config, topic, err);
    failed(code, "ends of the log", NULL, err);
    return mr_wrap(err, "%s [%u]", topic, partition);
}

// A changelog's tombstones have to outlive a worker that is away, its newest segment has to become
// compactable soon, and a reader that is in the middle of it must not lose the markers under it.
typedef struct property {
    const char *name, *value;
} property;

static const property changelog[] = {
    {"cleanup.policy", "compact"},
    {"min.compaction.lag.ms", "600000"},
    {"delete.retention.ms", "604800000"},
    {"max.compaction.lag.ms", "604800000"},
    {"segment.ms", "3600000"},
    {0},
};
static const property compacted[] = {{"cleanup.policy", "compact"}, {"segment.ms", "3600000"}, {0}};
static const property kept_for_a_week[] = {
    {"cleanup.policy", "delete"}, {"retention.ms", "604800000"}, {0}};
static const property kept_long[] = {
    {"cleanup.policy", "delete"}, {"retention.ms", "31536000000"}, {0}};

static const property *properties_of(mr_topic topic)
{
    switch (topic) {
    case MR_TOPIC_USER_ROWS:
    case MR_TOPIC_ITEM_ROWS:
        return changelog;
    case MR_TOPIC_LISTS:
    case MR_TOPIC_ITEMS:
        return compacted;
    case MR_TOPIC_EPOCHS:
        return kept_long;
    case MR_TOPIC_METRICS:
    case MR_TOPIC_DEAD_LETTERS:
    case MR_TOPIC_ITEM_DELTAS:
    case MR_TOPIC_REPARTITION:
    case MR_TOPIC_COUNT:
        break;
    }
    return kept_for_a_week;
}

const char *mr_kafka_topic_cleanup(mr_topic topic)
{
    return properties_of(topic)[0].value;
}

// Waits for the answer to an admin call; the caller destroys it.
static mr_status answer_of(rd_kafka_queue_t *queue, const char *what, rd_kafka_event_t **event,
                           mr_error *err)
{
    *event = rd_kafka_queue_poll(queue, 3 * CALL_MS);
    if (*event == NULL)
        return mr_fail(err, MR_RETRY, "%s: no answer", what);
    const rd_kafka_resp_err_t code = rd_kafka_event_error(*event);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return MR_OK;
    failed(code, what, rd_kafka_event_error_string(*event), err);
    rd_kafka_event_destroy(*event);
    *event = NULL;
    return err->status;
}

static mr_status created(const mr_kafka_admin *admin, const rd_kafka_event_t *event,
                         const char *name, mr_error *err)
{
    size_t count = 0;
    const rd_kafka_topic_result_t **results = rd_kafka_CreateTopics_result_topics(
        rd_kafka_event_CreateTopics_result((rd_kafka_event_t *)(uintptr_t)event), &count);
    for (size_t i = 0; i < count; i++) {
        const rd_kafka_resp_err_t code = rd_kafka_topic_result_error(results[i]);
        if (mr_kafka_is_refusal(code))
            return mr_kafka_lacks(admin->config, MR_RIGHT_CREATE_TOPIC, name, err);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR && code != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
            return failed(code, name, rd_kafka_topic_result_error_string(results[i]), err);
    }
    return MR_OK;
}

// The controller answers before every broker has heard of the topic.
static mr_status wait_for_topic(mr_kafka_admin *admin, const char *name, mr_error *err)
{
    const mr_clock clock = mr_clock_system();
    const int64_t until = clock.now_ms(clock.context) + CALL_MS;
    for (;;) {
        uint32_t count;
        MR_TRY(mr_kafka_admin_partitions(admin, name, &count, err));
        if (count > 0)
            return MR_OK;
        if (clock.now_ms(clock.context) > until)
            return mr_fail(err, MR_RETRY, "%s: was made, but cannot be seen within %d s", name,
                           CALL_MS / 1000);
        clock.sleep_ms(clock.context, SEE_MS);
    }
}

mr_status mr_kafka_admin_create(mr_kafka_admin *admin, mr_topic topic, uint32_t partition_count,
                                mr_error *err)
{
    char reason[160];
    const char *const name = mr_kafka_topic_name(admin->config, topic);
    rd_kafka_NewTopic_t *wanted = rd_kafka_NewTopic_new(
        name, (int)partition_count, (int)admin->config->kafka_replication, reason, sizeof reason);
    if (wanted == NULL)
        return mr_fail(err, MR_FATAL, "%s: %s", name, reason);
    for (const property *p = properties_of(topic); p->name != NULL; p++)
        rd_kafka_NewTopic_set_config(wanted, p->name, p->value);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(admin->handle);
    rd_kafka_CreateTopics(admin->handle, &wanted, 1, NULL, queue);
    rd_kafka_event_t *event;
    mr_status status = answer_of(queue, name, &event, err);
    if (status == MR_OK) {
        status = created(admin, event, name, err);
        rd_kafka_event_destroy(event);
    }
    rd_kafka_queue_destroy(queue);
    rd_kafka_NewTopic_destroy(wanted);
    return status == MR_OK ? wait_for_topic(admin, name, err) : status;
}

static rd_kafka_resp_err_t find_property(const rd_kafka_event_t *event, const char *property_name,
                                         char *value, size_t size)
{
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
    size_t resource_count = 0, entry_count = 0;
    const rd_kafka_ConfigResource_t **resources = rd_kafka_DescribeConfigs_result_resources(
        rd_kafka_event_DescribeConfigs_result((rd_kafka_event_t *)(uintptr_t)event),
        &resource_count);
    for (size_t i = 0; i < resource_count; i++) {
        code = rd_kafka_ConfigResource_error(resources[i]);
        const rd_kafka_ConfigEntry_t **entries =
            rd_kafka_ConfigResource_configs(resources[i], &entry_count);
        for (size_t j = 0; j < entry_count; j++) {
            const char *found = rd_kafka_ConfigEntry_value(entries[j]);
            if (found != NULL && strcmp(rd_kafka_ConfigEntry_name(entries[j]), property_name) == 0)
                snprintf(value, size, "%s", found);
        }
    }
    return code;
}

mr_status mr_kafka_admin_property(mr_kafka_admin *admin, const char *topic,
                                  const char *property_name, char *value, size_t size,
                                  mr_error *err)
{
    value[0] = '\0';
    rd_kafka_ConfigResource_t *resource =
        rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(admin->handle);
    rd_kafka_DescribeConfigs(admin->handle, &resource, 1, NULL, queue);
    rd_kafka_event_t *event;
    mr_status status = answer_of(queue, topic, &event, err);
    if (status == MR_OK) {
        if (mr_kafka_is_refusal(find_property(event, property_name, value, size)))
            status = mr_kafka_lacks(admin->config, MR_RIGHT_DESCRIBE_CONFIGS_TOPIC, topic, err);
        rd_kafka_event_destroy(event);
    }
    rd_kafka_queue_destroy(queue);
    rd_kafka_ConfigResource_destroy(resource);
    return status;
}
