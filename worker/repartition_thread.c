// SPDX-License-Identifier: Apache-2.0
#include "worker/repartition_thread.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/log.h"
#include "worker/registry_config.h"

enum { TURN_MS = 200, CLOSE_MS = 5000, NAME_BYTES = 300 };

struct mr_repartition_thread {
    mr_config config; // the worker's, under names of its own; borrows its texts
    char group[NAME_BYTES], instance[NAME_BYTES];
    uint32_t partition_counts[MR_CONFIG_READS_MAX]; // of the inputs that go through the topic
    mr_registry *registry; // the worker's; NULL: there is none
    mr_catalog *catalog;
    mr_decoder *decoder;
    mr_kafka_bus kafka;
    mr_bus bus, direct;
    mr_intake intake;
    mr_kafka_bus *worker;
    const mr_intake *wake;
    mr_clock clock;
    mr_repartition *stage;

    pthread_t thread;
    atomic_bool stop, at_end;
    pthread_mutex_t lock;
    mr_error failure; // status MR_OK: none; under the lock

    int64_t told_ms; // when a line was logged last
    mr_repartition_counters told;
};

static void name_all(mr_repartition_thread *thread, const mr_config *config)
{
    thread->config = *config;
    snprintf(thread->group, sizeof thread->group, "%s.repartition", config->kafka_group);
    snprintf(thread->instance, sizeof thread->instance, "%s-repartition", config->instance);
    thread->config.kafka_group = thread->group;
    thread->config.instance = thread->instance;
}

static mr_status count_partitions(mr_repartition_thread *thread, mr_kafka_admin *admin,
                                  uint32_t *outputs, mr_error *err)
{
    const mr_config *config = &thread->config;
    uint32_t *counts = thread->partition_counts;
    MR_TRY(mr_kafka_admin_counts(admin, counts, err));
    for (uint32_t i = 0; i < config->input_count; i++)
        counts[i] = config->inputs[i].repartition ? counts[i] : 0;
    return mr_kafka_admin_partitions(admin, config->outputs_repartition, outputs, err);
}

static mr_status open_clients(mr_repartition_thread *thread, mr_error *err)
{
    mr_kafka_bus *kafka = &thread->kafka;
    kafka->config = &thread->config;
    kafka->admin = thread->worker->admin;
    MR_TRY(count_partitions(thread, kafka->admin, &kafka->partition_count, err));
    // Before the group is asked where it stood: this ends what an earlier process left open.
    MR_TRY(mr_kafka_producer_open(&thread->config, kafka->partition_count, &kafka->producer, err));
    MR_TRY(mr_kafka_consumer_open(&thread->config, MR_LEAD_NONE, thread->partition_counts,
                                  &kafka->consumer, err));
    thread->bus = mr_kafka_bus_port(kafka);
    thread->direct = mr_kafka_bus_port(thread->worker);
    thread->intake = mr_kafka_consumer_port(kafka->consumer);
    return MR_OK;
}

static mr_status open_stage(mr_repartition_thread *thread, mr_error *err)
{
    MR_TRY(mr_catalog_of_config(&thread->config, thread->registry, &thread->catalog, err));
    MR_TRY(mr_decoder_open(&thread->config, thread->catalog, &thread->decoder, err));
    const mr_repartition_options options = {
        .config = &thread->config,
        .decoder = thread->decoder,
        .intake = &thread->intake,
        .bus = &thread->bus,
        .direct = &thread->direct,
        .clock = &thread->clock,
        .source_counts = thread->partition_counts,
        .partition_count = thread->kafka.partition_count,
    };
    return mr_repartition_open(&options, &thread->stage, err);
}

static void tell(mr_repartition_thread *thread, int64_t now_ms)
{
    const mr_repartition_counters *now = mr_repartition_count(thread->stage);
    const mr_repartition_counters *before = &thread->told;
    if (now_ms - thread->told_ms < thread->config.metrics_interval)
        return;
    thread->told_ms = now_ms;
    const int64_t lag = mr_repartition_lag(thread->stage);
    if (now->transactions == before->transactions && now->recoveries == before->recoveries &&
        lag <= 0)
        return;
    mr_log(MR_LOG_INFO, "repartition", "window",
           mr_log_long("records", (int64_t)(now->records - before->records)),
           mr_log_long("transactions", (int64_t)(now->transactions - before->transactions)),
           mr_log_long("refused", (int64_t)(now->refused - before->refused)),
           mr_log_long("recoveries", (int64_t)(now->recoveries - before->recoveries)),
           mr_log_long("last_ms", now->last_ms), mr_log_long("lag", lag));
    thread->told = *now;
}

// One turn of the loop. *done: the thread is told to end, and has nothing open.
static mr_status turn(mr_repartition_thread *thread, int64_t *stopping_ms, bool *done,
                      mr_error *err)
{
    bool moved = false;
    const int64_t now_ms = thread->clock.now_ms(thread->clock.context);
    if (atomic_load(&thread->stop)) {
        *stopping_ms = *stopping_ms == 0 ? now_ms : *stopping_ms;
        *done = mr_repartition_is_quiet(thread->stage) || now_ms - *stopping_ms > CLOSE_MS;
        if (*done)
            return MR_OK;
    }
    MR_TRY(mr_repartition_step(thread->stage, &moved, err));
    tell(thread, now_ms);
    const bool at_end = mr_repartition_at_end(thread->stage);
    if (at_end != atomic_exchange(&thread->at_end, at_end) && at_end)
        thread->wake->wake(thread->wake->context);
    if (!moved)
        thread->intake.wait(thread->intake.context, -1,
                            mr_repartition_patience(thread->stage, TURN_MS));
    return MR_OK;
}

// Brokers that do not answer are waited for, as long as nobody says stop.
static mr_status open_all(mr_repartition_thread *thread, mr_error *err)
{
    for (;;) {
        const mr_status status = open_clients(thread, err);
        if (status == MR_OK)
            return open_stage(thread, err);
        if (status != MR_RETRY || atomic_load(&thread->stop))
            return status;
        mr_log(MR_LOG_WARNING, "repartition", "the brokers do not answer, trying again",
               mr_log_text("error", err->text));
    }
}

static void *run(void *context)
{
    mr_repartition_thread *thread = context;
    mr_error err = {0};
    int64_t stopping_ms = 0;
    mr_status status = open_all(thread, &err);
    for (bool done = false; status == MR_OK && !done;)
        status = turn(thread, &stopping_ms, &done, &err);
    if (status == MR_OK)
        return NULL;
    mr_wrap(&err, "repartition");
    pthread_mutex_lock(&thread->lock);
    thread->failure = err;
    thread->failure.status = status;
    pthread_mutex_unlock(&thread->lock);
    thread->wake->wake(thread->wake->context);
    return NULL;
}

mr_status mr_repartition_thread_open(const mr_config *config, mr_kafka_bus *worker,
                                     mr_registry *registry, const mr_intake *wake,
                                     mr_repartition_thread **out, mr_error *err)
{
    mr_repartition_thread *thread = calloc(1, sizeof *thread);
    if (thread == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    name_all(thread, config);
    thread->worker = worker;
    thread->registry = registry;
    thread->wake = wake;
    thread->clock = mr_clock_system();
    pthread_mutex_init(&thread->lock, NULL);
    const int code = pthread_create(&thread->thread, NULL, run, thread);
    if (code != 0) {
        pthread_mutex_destroy(&thread->lock);
        free(thread);
        return mr_fail(err, MR_FATAL, "repartition: thread: %s", strerror(code));
    }
    *out = thread;
    return MR_OK;
}

void mr_repartition_thread_stop(mr_repartition_thread *thread)
{
    if (thread != NULL)
        atomic_store(&thread->stop, true); // seen within TURN_MS
}

void mr_repartition_thread_close(mr_repartition_thread *thread)
{
    if (thread == NULL)
        return;
    mr_repartition_thread_stop(thread);
    pthread_join(thread->thread, NULL);
    mr_repartition_close(thread->stage);
    mr_kafka_consumer_close(thread->kafka.consumer);
    mr_kafka_producer_close(thread->kafka.producer);
    mr_decoder_close(thread->decoder);
    mr_catalog_close(thread->catalog);
    pthread_mutex_destroy(&thread->lock);
    free(thread);
}

mr_status mr_repartition_thread_look(mr_repartition_thread *thread, bool *at_end, mr_error *err)
{
    pthread_mutex_lock(&thread->lock);
    const mr_error failure = thread->failure;
    pthread_mutex_unlock(&thread->lock);
    *at_end = atomic_load(&thread->at_end);
    if (failure.status == MR_OK)
        return MR_OK;
    *err = failure;
    return failure.status;
}
