// SPDX-License-Identifier: Apache-2.0
// The whole worker on a real broker, against a plain program that only moves the same bytes.
//
// Made-up clicks of 10,000 users on 20,000 items (Zipf) lie in a topic; 50,000 of them are a second
// of event time. The worker consumes, decodes, learns with the default models, makes lists of 50
// items, at most one a second for a user, writes its changelog and commits, until all of it is
// confirmed. Then everything that it wrote is read back for its sizes, and the plain program
// (bench_plain.c) consumes the same input and produces as many records of the same sizes in as many
// transactions. At last the same worker runs without transactions and changelog (bench_bare.c):
// what exactly once costs. Topics are made for the run and deleted after it.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "worker/bench/bench.h"
#include "worker/bench/measure.h"
#include "worker/bench/pipeline.h"
#include "worker/kafka/admin.h"
#include "worker/run.h"
#include "worker/scratch.h"
#include "worker/sender.h"
#include "worker/traffic.h"

#include "worker/log.h" // last: its mr_log hides the logarithm of core/base/vec.h

enum {
    EVENTS_A_SECOND = 50000, // of event time
    OWN_SETS = 8,
    SETS_MAX = 80,
    SET_BYTES = 256,
    TURN_MS = 100,
    FINISH_MS = 60000,
    FLUSH_MS = 60000,
    ADMIN_MS = 30000,
};

typedef struct pipeline {
    const mr_pipeline_options *options;
    char name[48], folder[64], input[64];
    mr_methods methods;
    mr_config *config, *plain_config, *bare_config;
    rd_kafka_t *admin; // makes and deletes topics
    uint64_t commits, learned;
    mr_sent_all sent;
    mr_spent worker, plain, bare;
} pipeline;

// ---- configurations

static mr_status load(pipeline *p, const char *app, mr_config **config, mr_error *err)
{
    const mr_pipeline_options *o = p->options;
    char own[OWN_SETS][SET_BYTES];
    const char *sets[SETS_MAX];
    uint32_t count = 0;
    snprintf(own[0], SET_BYTES, "app=%s", app);
    snprintf(own[1], SET_BYTES, "instance=bench");
    snprintf(own[2], SET_BYTES, "topics.clicks.topic=%s", p->input);
    snprintf(own[3], SET_BYTES, "topics.clicks.kind=click");
    snprintf(own[4], SET_BYTES, "state.path=%s/%.40s", p->folder, app);
    snprintf(own[5], SET_BYTES, "items.max=25000");
    snprintf(own[6], SET_BYTES, "lists.k=50");
    snprintf(own[7], SET_BYTES, "kafka.bootstrap_servers=%.200s",
             o->bootstrap != NULL ? o->bootstrap : "");
    for (; count < OWN_SETS - (o->bootstrap == NULL); count++)
        sets[count] = own[count];
    for (uint32_t i = 0; i < o->set_count && count < SETS_MAX; i++)
        sets[count++] = o->sets[i];
    const mr_config_source source = {
        .path = o->config_path,
        .sets = sets,
        .set_count = count,
        .environment = environ,
        .numbers = p->methods.numbers,
        .number_count = p->methods.count,
    };
    MR_TRY(mr_config_load(config, &source, err));
    if ((*config)->input_count != 1)
        return mr_fail(err, MR_FATAL,
                       "bench pipeline: the configuration may not name inputs: it brings its own");
    return MR_OK;
}

// ---- topics

static mr_status make_input(pipeline *p, mr_error *err)
{
    char reason[160];
    rd_kafka_NewTopic_t *topic =
        rd_kafka_NewTopic_new(p->input, (int)p->options->partitions, -1, reason, sizeof reason);
    if (topic == NULL)
        return mr_fail(err, MR_FATAL, "bench pipeline: %s", reason);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(p->admin);
    rd_kafka_CreateTopics(p->admin, &topic, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, ADMIN_MS);
    const rd_kafka_resp_err_t code =
        event != NULL ? rd_kafka_event_error(event) : RD_KAFKA_RESP_ERR__TIMED_OUT;
    if (event != NULL)
        rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_NewTopic_destroy(topic);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR
               ? MR_OK
               : mr_fail(err, MR_FATAL, "bench pipeline: making %s: %s", p->input,
                         rd_kafka_err2str(code));
}

static mr_status make_outputs(const pipeline *p, const mr_config *config, mr_error *err)
{
    mr_kafka_admin *admin;
    mr_status status = mr_kafka_admin_open(config, &admin, err);
    for (int topic = 0; status == MR_OK && topic < MR_TOPIC_COUNT; topic++)
        status = mr_kafka_admin_create(admin, (mr_topic)topic, p->options->partitions, err);
    mr_kafka_admin_close(admin);
    return status;
}

static void delete_topics(pipeline *p)
{
    rd_kafka_DeleteTopic_t *topics[1 + 3 * MR_TOPIC_COUNT];
    size_t count = 0;
    topics[count++] = rd_kafka_DeleteTopic_new(p->input);
    for (int t = 0; t < MR_TOPIC_COUNT; t++) {
        topics[count++] = rd_kafka_DeleteTopic_new(mr_kafka_topic_name(p->config, (mr_topic)t));
        topics[count++] =
            rd_kafka_DeleteTopic_new(mr_kafka_topic_name(p->plain_config, (mr_topic)t));
        topics[count++] =
            rd_kafka_DeleteTopic_new(mr_kafka_topic_name(p->bare_config, (mr_topic)t));
    }
    rd_kafka_queue_t *queue = rd_kafka_queue_new(p->admin);
    rd_kafka_DeleteTopics(p->admin, topics, count, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, ADMIN_MS);
    if (event != NULL)
        rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_DeleteTopic_destroy_array(topics, count);
}

static mr_status open_topics(pipeline *p, mr_error *err)
{
    rd_kafka_conf_t *conf;
    MR_TRY(mr_kafka_conf(p->config, MR_KAFKA_ADMIN, &conf, err));
    MR_TRY(mr_kafka_open(conf, MR_KAFKA_ADMIN, &p->admin, err));
    MR_TRY(make_input(p, err));
    MR_TRY(make_outputs(p, p->config, err));
    MR_TRY(make_outputs(p, p->plain_config, err));
    return make_outputs(p, p->bare_config, err);
}

// ---- the input

static mr_status fill_input(pipeline *p, mr_error *err)
{
    const char *const nowhere[MR_EVENT_KIND_COUNT] = {NULL};
    const uint64_t events = p->options->events;
    const mr_clock clock = mr_clock_system();
    mr_traffic_options made = mr_traffic_defaults();
    char texts[MR_TRAFFIC_TEXT_BYTES];
    mr_traffic *traffic;
    mr_sender *sender;
    made.carts = made.purchases = 0;
    MR_TRY(mr_traffic_open(&made, &traffic, err));
    mr_status status = mr_sender_open(p->config, nowhere, &sender, err);
    const int64_t span_ms = (int64_t)(events * 1000 / EVENTS_A_SECOND);
    const int64_t first_ms = clock.wall_ms(clock.context) - span_ms;
    for (uint64_t i = 0; status == MR_OK && i < events; i++) {
        mr_event event = {.kind = MR_EVENT_CLICK};
        mr_traffic_next(traffic, first_ms + (int64_t)(i * 1000 / EVENTS_A_SECOND), texts, &event);
        status = mr_sender_send(sender, &event, 0, err);
        if (i % 256 == 0)
            mr_sender_serve(sender, 0);
    }
    if (status == MR_OK)
        status = mr_sender_flush(sender, FLUSH_MS, err);
    if (status == MR_OK && mr_sender_failure(sender)[0] != '\0')
        status = mr_fail(err, MR_FATAL, "bench pipeline: %s", mr_sender_failure(sender));
    mr_sender_close(sender);
    mr_traffic_close(traffic);
    return status;
}

// ---- the worker

static mr_status turn_to_the_end(mr_worker *worker, uint64_t events, mr_error *err)
{
    while (mr_source_count(worker->source)->records < events || !mr_source_at_end(worker->source))
        MR_TRY(mr_worker_turn(worker, -1, TURN_MS, err));
    return mr_worker_finish(worker, FINISH_MS, err);
}

// bare: without transactions and changelog.
static mr_status run_worker(pipeline *p, const mr_config *config, bool bare, mr_spent *spent,
                            mr_error *err)
{
    mr_error ignored;
    mr_bare *without = NULL;
    mr_worker *worker = calloc(1, sizeof *worker);
    if (worker == NULL)
        return mr_fail(err, MR_FATAL, "bench pipeline: out of memory");
    worker->config = config;
    worker->methods = &p->methods;
    mr_status status = mr_worker_open(worker, err);
    if (status == MR_OK)
        status = mr_worker_until_ready(worker, err);
    if (status == MR_OK && bare)
        status = mr_bare_open(config, &worker->bus, &without, err);
    if (status == MR_OK) {
        const mr_spent begun = mr_pipeline_now();
        status = turn_to_the_end(worker, p->options->events, err);
        const mr_spent ended = mr_pipeline_now();
        *spent = (mr_spent){ended.seconds - begun.seconds, ended.cpu_seconds - begun.cpu_seconds};
        p->commits = worker->commit_number;
        p->learned = mr_worker_totals(worker).learned;
    }
    const mr_status closed = mr_worker_close(worker, status == MR_OK ? err : &ignored);
    mr_bare_close(without);
    free(worker);
    if (status == MR_OK && closed == MR_OK && p->learned != p->options->events)
        return mr_fail(err, MR_FATAL, "bench pipeline: %llu of %llu events were learned",
                       (unsigned long long)p->learned, (unsigned long long)p->options->events);
    return status != MR_OK ? status : closed;
}

// ---- all of it

static void tell(const char *what)
{
    fprintf(stderr, "pipeline: %s\n", what);
}

static mr_status run(pipeline *p, mr_error *err)
{
    char text[160];
    MR_TRY(open_topics(p, err));
    tell("filling the input");
    MR_TRY(fill_input(p, err));
    tell("the worker");
    MR_TRY(run_worker(p, p->config, false, &p->worker, err));
    MR_TRY(mr_pipeline_read_sent(p->config, p->options->partitions, &p->sent, err));
    snprintf(text, sizeof text,
             "the plain program: %llu records, %.1f MB, of them %llu lists, in %llu transactions",
             (unsigned long long)p->sent.count, (double)p->sent.bytes * 1e-6,
             (unsigned long long)p->sent.lists, (unsigned long long)p->commits);
    tell(text);
    MR_TRY(mr_pipeline_plain(p->plain_config, p->options->partitions, p->options->events, &p->sent,
                             p->commits, &p->plain, err));
    tell("the worker without transactions and changelog");
    return run_worker(p, p->bare_config, true, &p->bare, err);
}

static mr_status open_pipeline(pipeline *p, mr_error *err)
{
    char plain_app[64], bare_app[64];
    uint64_t noise = (uint64_t)(mr_seconds() * 1e9);
    MR_TRY(mr_scratch_make(p->folder, sizeof p->folder, err));
    snprintf(p->name, sizeof p->name, "millrace-bench-%08x", (unsigned)mr_noise(&noise));
    snprintf(p->input, sizeof p->input, "%s.clicks", p->name);
    snprintf(plain_app, sizeof plain_app, "%s-plain", p->name);
    MR_TRY(mr_methods_open(&p->methods, err));
    MR_TRY(load(p, p->name, &p->config, err));
    mr_methods_apply(&p->methods, p->config);
    snprintf(bare_app, sizeof bare_app, "%s-bare", p->name);
    MR_TRY(load(p, plain_app, &p->plain_config, err));
    return load(p, bare_app, &p->bare_config, err);
}

static void close_pipeline(pipeline *p)
{
    if (p->admin != NULL) {
        delete_topics(p);
        rd_kafka_destroy(p->admin);
    }
    mr_scratch_remove(p->folder);
    mr_config_free(p->config);
    mr_config_free(p->plain_config);
    mr_config_free(p->bare_config);
    mr_methods_close(&p->methods);
    free(p->sent.records);
}

mr_status mr_bench_pipeline(const mr_pipeline_options *options, mr_figure *figures, uint32_t *count,
                            mr_error *err)
{
    pipeline p = {.options = options};
    const uint32_t room = *count;
    const mr_log_options quiet = {.out = stderr, .level = MR_LOG_WARNING, .service = "millrace"};
    *count = 0;
    mr_log_open(&quiet);
    mr_status status = open_pipeline(&p, err);
    if (status == MR_OK)
        status = run(&p, err);
    const double events = (double)options->events;
    const mr_figure all[] = {
        {"pipeline", events / p.worker.seconds, "events/s", "plain librdkafka, same bytes",
         events / p.plain.seconds, p.plain.seconds / p.worker.seconds},
        {"pipeline_per_core", events / p.worker.cpu_seconds, "events/s",
         "plain librdkafka, same bytes", events / p.plain.cpu_seconds,
         p.plain.cpu_seconds / p.worker.cpu_seconds},
        {"exactly_once", events / p.worker.seconds, "events/s",
         "without transactions and changelog", events / p.bare.seconds,
         p.bare.seconds / p.worker.seconds},
    };
    for (uint32_t i = 0; status == MR_OK && i < sizeof all / sizeof all[0] && *count < room; i++)
        figures[(*count)++] = all[i];
    close_pipeline(&p);
    return status;
}
