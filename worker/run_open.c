// SPDX-License-Identifier: Apache-2.0
// run_open: bringing a worker up. The order matters: the producer is opened before the changelogs
// are read, because that ends what an earlier process of this instance left open.
#include "worker/run.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "schemas/builtin.h"
#include "state/row.h"
#include "worker/log.h"
#include "worker/registry_config.h"
#include "worker/rewrite.h"

enum { POLL_MS = 100, JOIN_SECONDS = 120, RETRIES = 30, RETRY_MS = 1000 };

// Questions to brokers that may be starting too.
static mr_status ask_brokers(mr_worker *worker, mr_error *err)
{
    for (int i = 0;; i++) {
        mr_status status = mr_kafka_admin_inputs(worker->kafka.admin, worker->partition_counts,
                                                 &worker->lead, err);
        if (status == MR_OK && worker->mock)
            memcpy(worker->cluster, "mock", sizeof "mock"); // it has no id
        else if (status == MR_OK)
            status = mr_kafka_admin_cluster(worker->kafka.admin, worker->cluster, err);
        if (status != MR_RETRY || i == RETRIES)
            return status;
        mr_log(MR_LOG_WARNING, "kafka", "the brokers do not answer, trying again",
               mr_log_text("error", err->text));
        worker->clock.sleep_ms(worker->clock.context, RETRY_MS);
    }
}

static mr_status check_outputs(mr_worker *worker, mr_error *err)
{
    for (int topic = 0; topic < MR_TOPIC_COUNT; topic++) {
        const char *const name = mr_kafka_topic_name(worker->config, (mr_topic)topic);
        uint32_t count;
        if (!mr_kafka_topic_used(worker->config, (mr_topic)topic))
            continue;
        MR_TRY(mr_kafka_admin_partitions(worker->kafka.admin, name, &count, err));
        if (count == 0)
            return mr_fail(err, MR_FATAL,
                           "there is no topic %s: millrace check --create-topics makes ours", name);
        if (count == worker->tasks)
            continue;
        mr_fail(err, MR_FATAL, "%s has %u partitions, the lead %s has %u: outputs need as many",
                name, count, mr_config_topic(worker->config, worker->lead), worker->tasks);
        if (count < worker->tasks && worker->lead < worker->config->input_count)
            return mr_wrap(
                err,
                "has the lead grown, and its users moved, topics.%s.repartition: true mends that",
                worker->config->inputs[worker->lead].name);
        return err->status;
    }
    return MR_OK;
}

static mr_status open_brokers(mr_worker *worker, mr_error *err)
{
    MR_TRY(mr_kafka_admin_open(worker->config, &worker->kafka.admin, err));
    MR_TRY(ask_brokers(worker, err));
    worker->tasks = worker->partition_counts[worker->lead];
    if (worker->tasks > MR_MARKER_PAIRS_MAX)
        return mr_fail(err, MR_FATAL, "the lead topic has %u partitions, at most %d are possible",
                       worker->tasks, MR_MARKER_PAIRS_MAX);
    MR_TRY(check_outputs(worker, err));
    worker->kafka.config = worker->config;
    worker->kafka.partition_count = worker->tasks;
    worker->bus = mr_kafka_bus_port(&worker->kafka);
    MR_TRY(mr_kafka_producer_open(worker->config, worker->tasks, &worker->kafka.producer, err));
    MR_TRY(mr_kafka_reader_open(worker->config, &worker->kafka.reader, err));
    MR_TRY(mr_kafka_follow_open(worker->config, worker->config->outputs_item_rows,
                                &worker->kafka.follow, err));
    MR_TRY(mr_kafka_consumer_open(worker->config, worker->lead, worker->partition_counts,
                                  &worker->kafka.consumer, err));
    worker->intake = mr_kafka_consumer_port(worker->kafka.consumer);
    return MR_OK;
}

static mr_status open_state(mr_worker *worker, mr_error *err)
{
    static const mr_sync syncs[] = {[MR_CONFIG_SYNC_FULL] = MR_SYNC_FULL,
                                    [MR_CONFIG_SYNC_META] = MR_SYNC_META,
                                    [MR_CONFIG_SYNC_NONE] = MR_SYNC_NONE};
    bool dropped = false;
    const mr_store_options options = {
        .map_bytes_max = (uint64_t)worker->config->state_map_bytes_max,
        .sync = syncs[worker->config->state_sync],
    };
    MR_TRY(mr_local_open(worker->config->state_path, &options, &worker->local, &dropped, err));
    if (dropped)
        mr_log(MR_LOG_WARNING, "state",
               "the local copy was torn by a crash of the machine and is "
               "made again from the changelog");
    worker->store = mr_local_port(&worker->local);
    return MR_OK;
}

static int64_t copy_age_max_ms(mr_worker *worker)
{
    char value[32];
    mr_error err;
    const char *const topic = mr_kafka_topic_name(worker->config, MR_TOPIC_USER_ROWS);
    // The brokers' default, where they do not say.
    int64_t retention_ms = 86400000;
    if (!worker->mock &&
        mr_kafka_admin_property(worker->kafka.admin, topic, "delete.retention.ms", value,
                                sizeof value, &err) == MR_OK &&
        value[0] != '\0')
        retention_ms = strtoll(value, NULL, 10);
    return retention_ms / 2;
}

// Asks the registry for the ids that our records are framed by.
static mr_status number_outputs(mr_worker *worker, mr_error *err)
{
    const mr_config *config = worker->config;
    char subject[512];
    worker->numbered = !worker->mock && mr_config_numbers_outputs(config);
    for (int t = 0; worker->numbered && t < MR_TOPIC_COUNT; t++) {
        const mr_topic topic = (mr_topic)t;
        const char *const schema = mr_outputs_schema(topic);
        if (schema == NULL || !mr_kafka_topic_used(config, topic))
            continue;
        mr_config_output_subject(mr_kafka_topic_name(config, topic), subject, sizeof subject);
        MR_TRY(mr_registry_number(worker->registry, subject, mr_builtin_find(schema)->text,
                                  config->registry_register, &worker->schema_ids[topic], err));
        mr_log(MR_LOG_INFO, "registry", "our schema", mr_log_text("subject", subject),
               mr_log_long("id", worker->schema_ids[topic]));
    }
    return MR_OK;
}

static void wake(void *context)
{
    const mr_worker *worker = context;
    worker->intake.wake(worker->intake.context);
}

mr_status mr_worker_open(mr_worker *worker, mr_error *err)
{
    worker->clock = mr_clock_system();
    worker->chance = mr_chance_system();
    MR_TRY(open_state(worker, err));
    MR_TRY(mr_registry_of_config(worker->config, &worker->registry, err));
    MR_TRY(mr_catalog_of_config(worker->config, worker->registry, &worker->catalog, err));
    MR_TRY(open_brokers(worker, err));
    MR_TRY(number_outputs(worker, err));
    MR_TRY(mr_worker_begin(worker, true, copy_age_max_ms(worker), err));
    if (worker->registry == NULL)
        return MR_OK;
    return mr_registry_start(worker->registry, wake, worker, err);
}

mr_status mr_worker_close(mr_worker *worker, mr_error *err)
{
    mr_error ignored = {0};
    // First of all: the others wait for the tasks, and nobody for our disk.
    mr_kafka_consumer_leave(worker->kafka.consumer);
    mr_registry_stop(worker->registry); // it wakes the intake
    mr_status status = mr_worker_end(worker, err);
    mr_kafka_consumer_close(worker->kafka.consumer);
    mr_kafka_producer_close(worker->kafka.producer);
    mr_kafka_reader_close(worker->kafka.reader);
    mr_kafka_follow_close(worker->kafka.follow);
    mr_kafka_admin_close(worker->kafka.admin);
    if (worker->local.store != NULL && mr_local_close(&worker->local, &ignored) != MR_OK &&
        status == MR_OK) {
        *err = ignored;
        status = err->status;
    }
    mr_catalog_close(worker->catalog);
    mr_registry_close(worker->registry);
    return status;
}
