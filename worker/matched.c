// SPDX-License-Identifier: Apache-2.0
#include "worker/matched.h"

#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/log.h"

enum { TOPIC_BYTES_MAX = 249 }; // of Kafka

static mr_status compile(const char *pattern, regex_t *regex, mr_error *err)
{
    char reason[120];
    const int code = regcomp(regex, pattern, REG_EXTENDED | REG_NOSUB);
    if (code == 0)
        return MR_OK;
    regerror(code, NULL, reason, sizeof reason);
    return mr_fail(err, MR_FATAL, "found '%.100s', which is no regular expression: %s", pattern,
                   reason);
}

mr_status mr_matched_check(const char *topic, mr_error *err)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    regex_t regex;
    if (topic[0] != '^' && topic[0] != '\0' && strspn(topic, allowed) == strlen(topic) &&
        strlen(topic) <= TOPIC_BYTES_MAX)
        return MR_OK;
    if (topic[0] != '^')
        return mr_fail(err, MR_FATAL,
                       "found '%.100s', want a topic's name of letters, digits, '.', '_' and '-', "
                       "or a pattern that begins with '^'",
                       topic);
    MR_TRY(compile(topic, &regex, err));
    regfree(&regex);
    return MR_OK;
}

uint32_t mr_matched_of(const mr_config *config, mr_bytes topic)
{
    char name[TOPIC_BYTES_MAX + 1];
    if (topic.size > TOPIC_BYTES_MAX)
        return UINT32_MAX;
    snprintf(name, sizeof name, "%.*s", (int)topic.size, (const char *)topic.data);
    for (uint32_t i = 0; i < config->input_count; i++) {
        regex_t regex;
        mr_error err;
        if (!mr_config_is_pattern(&config->inputs[i]) ||
            compile(config->inputs[i].topic, &regex, &err) != MR_OK)
            continue;
        const bool matches = regexec(&regex, name, 0, NULL, 0) == 0;
        regfree(&regex);
        if (matches)
            return i;
    }
    return UINT32_MAX;
}

// ---- making

typedef struct making {
    const mr_config *from;
    mr_config *to;
    char *names; // room behind `to`
    uint32_t lead_count, left_out;
    bool tell;
} making;

// Whether a topic is an input already, or nobody's events.
static bool is_taken(const mr_config *config, const char *topic)
{
    const char *const ours[] = {config->outputs_lists,       config->outputs_metrics,
                                config->outputs_items,       config->outputs_user_rows,
                                config->outputs_item_rows,   config->outputs_epochs,
                                config->outputs_item_deltas, config->outputs_dead_letters,
                                config->outputs_repartition};
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
        if (strcmp(ours[i], topic) == 0)
            return true;
    }
    for (uint32_t i = 0; i < config->input_count; i++) {
        if (strcmp(config->inputs[i].topic, topic) == 0)
            return true;
    }
    return strncmp(topic, "__", 2) == 0;
}

// Whether the tasks can read a topic of this input as it is.
static bool fits(making *m, const mr_config_input *input, const mr_topic_size *topic)
{
    if (input->repartition || !mr_config_is_by_user(input) || topic->partitions == m->lead_count)
        return true;
    m->left_out++;
    if (m->tell)
        mr_log(MR_LOG_WARNING, "topics",
               "not read: users' events need the partitions of the lead, or repartition: true",
               mr_log_text("topic", topic->name), mr_log_text("input", input->name),
               mr_log_long("partitions", topic->partitions),
               mr_log_long("wanted", m->lead_count));
    return false;
}

static mr_status add(making *m, uint32_t pattern, const mr_topic_size *topic, mr_error *err)
{
    mr_config *to = m->to;
    if (to->input_count == MR_CONFIG_INPUTS_MAX)
        return mr_fail(err, MR_FATAL, "topics.%s.topic: '%.80s' matches too many topics: there can "
                       "be %d inputs", to->inputs[pattern].name, to->inputs[pattern].topic,
                       MR_CONFIG_INPUTS_MAX);
    const size_t size = strlen(topic->name) + 1;
    memcpy(m->names, topic->name, size);
    mr_config_input *input = &to->inputs[to->input_count++];
    *input = to->inputs[pattern];
    input->topic = m->names;
    input->matched = true;
    m->names += size;
    return MR_OK;
}

static mr_status add_all(making *m, uint32_t pattern, const mr_topic_size *topics,
                         uint32_t topic_count, mr_error *err)
{
    regex_t regex;
    mr_status status = MR_OK;
    MR_TRY(compile(m->to->inputs[pattern].topic, &regex, err));
    for (uint32_t t = 0; t < topic_count && status == MR_OK; t++) {
        if (!is_taken(m->to, topics[t].name) && regexec(&regex, topics[t].name, 0, NULL, 0) == 0 &&
            fits(m, &m->to->inputs[pattern], &topics[t]))
            status = add(m, pattern, &topics[t], err);
    }
    regfree(&regex);
    return status;
}

static mr_status add_inputs(making *m, const mr_topic_size *topics, uint32_t topic_count,
                            mr_error *err)
{
    uint32_t lead;
    MR_TRY(mr_config_lead(m->from, &lead, err));
    for (uint32_t t = 0; t < topic_count; t++) {
        if (strcmp(topics[t].name, mr_config_topic(m->from, lead)) == 0)
            m->lead_count = topics[t].partitions;
    }
    for (uint32_t i = 0; i < m->from->input_count; i++) {
        if (mr_config_is_pattern(&m->from->inputs[i]))
            MR_TRY(add_all(m, i, topics, topic_count, err));
    }
    return MR_OK;
}

mr_status mr_matched_make(const mr_config *config, const mr_topic_size *topics,
                          uint32_t topic_count, bool tell, mr_config **matched, uint32_t *left_out,
                          mr_error *err)
{
    size_t bytes = sizeof(mr_config);
    for (uint32_t t = 0; t < topic_count; t++)
        bytes += strlen(topics[t].name) + 1;
    mr_config *to = malloc(bytes);
    if (to == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    *to = *config;
    making m = {.from = config, .to = to, .names = (char *)(to + 1), .tell = tell};
    const mr_status status = add_inputs(&m, topics, topic_count, err);
    *left_out = m.left_out;
    if (status != MR_OK) {
        free(to);
        return status;
    }
    *matched = to;
    return MR_OK;
}

void mr_matched_free(mr_config *matched)
{
    free(matched);
}

const char *mr_matched_more(const mr_config *older, const mr_config *newer)
{
    for (uint32_t i = 0; i < newer->input_count; i++) {
        bool found = false;
        for (uint32_t j = 0; j < older->input_count && !found; j++)
            found = strcmp(older->inputs[j].topic, newer->inputs[i].topic) == 0;
        if (!found)
            return newer->inputs[i].topic;
    }
    return NULL;
}
