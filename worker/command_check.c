// SPDX-License-Identifier: Apache-2.0
// millrace check: whether a configuration would run, before it does.
#include <stdio.h>
#include <string.h>

#include "schemas/catalog.h"
#include "worker/checking.h"
#include "worker/command.h"
#include "worker/kafka/rights.h"
#include "worker/kafka/topics.h"

static const mr_option rows[] = {
    {"connect", NULL, "asks the brokers too: inputs, partition counts, our topics; and the schema registry"},
    {"create-topics", NULL, "makes the topics of ours that are missing; implies --connect"},
    {0},
};

void mr_check_good(const char *what, const char *detail)
{
    printf("ok      %s%s%s\n", what, detail[0] != '\0' ? ": " : "", detail);
}

void mr_check_fault(mr_checking *checking, const char *what, const char *detail)
{
    printf("WRONG   %s: %s\n", what, detail);
    checking->faults++;
}

static void check_schemas(mr_checking *c)
{
    mr_catalog *catalog;
    mr_error err = {0};
    const char *const directory = c->config->schemas_directory;
    if (mr_catalog_open(directory[0] != '\0' ? directory : NULL, &catalog, &err) != MR_OK) {
        mr_check_fault(c, "schemas", err.text);
        return;
    }
    for (uint32_t i = 0; i < c->config->input_count; i++) {
        const mr_config_input *input = &c->config->inputs[i];
        if (input->schema[0] != '\0' && mr_catalog_find(catalog, input->schema) == NULL)
            mr_check_fault(c, input->name, "topics.<name>.schema names no schema that is known");
    }
    mr_catalog_close(catalog);
    mr_check_good("schemas", directory);
}

static void check_output(mr_checking *c, mr_topic topic, uint32_t tasks)
{
    mr_error err = {0};
    uint32_t count;
    char detail[320], policy[64];
    const char *const name = mr_kafka_topic_name(c->config, topic);
    if (mr_kafka_admin_partitions(c->admin, name, &count, &err) != MR_OK) {
        mr_check_fault(c, name, err.text);
        return;
    }
    if (count == 0 && c->create) {
        if (mr_kafka_admin_create(c->admin, topic, tasks, &err) != MR_OK) {
            mr_check_fault(c, name, err.text);
            return;
        }
        snprintf(detail, sizeof detail, "made, %u partitions, %s", tasks,
                 mr_kafka_topic_cleanup(topic));
        mr_check_good(name, detail);
        return;
    }
    if (count != tasks) {
        snprintf(detail, sizeof detail, "%s%u partitions, want %u, as many as the lead",
                 count == 0 ? "is missing: " : "has ", count, tasks);
        mr_check_fault(c, name, count == 0 ? "is missing; --create-topics makes it" : detail);
        return;
    }
    if (mr_kafka_admin_property(c->admin, name, "cleanup.policy", policy, sizeof policy, &err) !=
        MR_OK) {
        snprintf(detail, sizeof detail, "%u partitions; its cleanup.policy is not seen: %s", count,
                 err.text);
        mr_check_good(name, detail);
        return;
    }
    if (policy[0] != '\0' && strcmp(policy, mr_kafka_topic_cleanup(topic)) != 0) {
        snprintf(detail, sizeof detail, "cleanup.policy is %s, want %s", policy,
                 mr_kafka_topic_cleanup(topic));
        mr_check_fault(c, name, detail);
        return;
    }
    snprintf(detail, sizeof detail, "%u partitions, %s", count, mr_kafka_topic_cleanup(topic));
    mr_check_good(name, detail);
}

static void say_lack(void *context, const char *what, const mr_error *lack)
{
    mr_check_fault(context, what, lack->text);
}

// What the run would find out when it reads, commits or writes for the first time.
static void check_rights(mr_checking *c)
{
    mr_error err = {0};
    const uint32_t faults = c->faults;
    if (mr_kafka_rights_read(c->config, say_lack, c, &err) != MR_OK ||
        mr_kafka_rights_transact(c->config, say_lack, c, &err) != MR_OK ||
        mr_kafka_rights_write(c->config, say_lack, c, &err) != MR_OK)
        mr_check_fault(c, "rights", err.text);
    if (c->faults == faults)
        mr_check_good("rights", "all that a run needs, those of its repartition stage left out");
}

static void check_brokers(mr_checking *c)
{
    mr_error err = {0};
    uint32_t tasks = 0;
    char cluster[MR_STORE_CLUSTER_MAX + 1];
    if (mr_kafka_admin_open(c->config, &c->admin, &err) != MR_OK) {
        mr_check_fault(c, "brokers", err.text);
        return;
    }
    const bool reached = mr_kafka_admin_cluster(c->admin, cluster, &err) == MR_OK;
    if (!reached) {
        mr_check_fault(c, "brokers", err.text);
    } else {
        mr_check_good("brokers", cluster);
        mr_check_inputs(c, &tasks);
    }
    for (int topic = 0; tasks > 0 && topic < MR_TOPIC_COUNT; topic++) {
        if (mr_kafka_topic_used(c->config, (mr_topic)topic))
            check_output(c, (mr_topic)topic, tasks);
    }
    if (reached)
        check_rights(c);
    mr_kafka_admin_close(c->admin);
}

static void check_world(mr_checking *c)
{
    const mr_config *given = c->config;
    mr_config *matched;
    mr_error err = {0};
    uint32_t left_out;
    char detail[160];
    if (mr_kafka_match(given, 0, &matched, &left_out, &err) != MR_OK) {
        mr_check_fault(c, "topics", err.text);
        return;
    }
    if (left_out > 0) {
        snprintf(detail, sizeof detail,
                 "%u topics match a pattern and have another number of partitions than the lead: "
                 "repartition: true would read them",
                 left_out);
        mr_check_fault(c, "topics", detail);
    }
    c->config = matched != NULL ? matched : given;
    mr_check_registry(c);
    check_brokers(c);
    c->config = given;
    mr_matched_free(matched);
}

int mr_command_check(int argc, char **argv)
{
    mr_options options = {
        .command = "check",
        .summary = "Checks a configuration and says what is wrong. Changes nothing, unless told to "
                   "make our topics;\nthe topics of the inputs are never made.",
        .rows = rows,
        .configured = true,
    };
    mr_config *config;
    uint32_t lead;
    mr_error err = {0};
    int exit_status;
    if (!mr_options_parse(&options, argc, argv, &exit_status))
        return exit_status;
    if (!mr_options_load(&options, &config))
        return MR_EXIT_USAGE;
    mr_checking c = {.config = config, .create = mr_options_get(&options, "create-topics") != NULL};
    mr_check_good("configuration", options.config_path != NULL ? options.config_path : "defaults");
    if (mr_config_lead(config, &lead, &err) != MR_OK)
        mr_check_fault(&c, "inputs", err.text);
    check_schemas(&c);
    if (c.create || mr_options_get(&options, "connect") != NULL)
        check_world(&c);
    mr_options_unload(&options, config);
    return c.faults == 0 ? MR_EXIT_GOOD : MR_EXIT_FAILED;
}
