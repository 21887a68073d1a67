// SPDX-License-Identifier: Apache-2.0
#include "worker/produce.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/input/input.h"
#include "worker/log.h"
#include "worker/mapped.h"
#include "worker/ports.h"
#include "worker/progress.h"
#include "worker/sender.h"

enum {
    FLUSH_MS = 1000, // between two looks whether to stop
    FLUSH_TRIES = 60,
    LOOK_EVERY = 64, // events between two looks at clock and queue
    PAUSE_MS_MAX = 100,
};

typedef struct producing {
    const mr_produce_options *options;
    mr_produce_result *result;
    mr_sender *sender;
    mr_clock clock;
    mr_progress progress;
    int64_t begun_ms;
    uint64_t taken; // events that were offered, sent or not
} producing;

static int64_t now_ms(const producing *p)
{
    return p->clock.now_ms(p->clock.context);
}

static bool stopped(const producing *p)
{
    const mr_produce_options *o = p->options;
    return (o->stop != NULL && *o->stop) || (o->limit > 0 && p->taken >= o->limit);
}

// Holds the rate: the n-th event is due n / rate seconds after the first.
static void wait_for_turn(producing *p)
{
    const double rate = p->options->rate;
    while (rate > 0 && !(p->options->stop != NULL && *p->options->stop)) {
        const int64_t due = p->begun_ms + (int64_t)((double)p->taken / rate * 1000.0);
        const int64_t left = due - now_ms(p);
        if (left <= 0)
            return;
        mr_sender_serve(p->sender, (int)(left < PAUSE_MS_MAX ? left : PAUSE_MS_MAX));
    }
}

static void send(producing *p, mr_event *event)
{
    mr_error err = {0};
    wait_for_turn(p);
    if (p->options->now)
        event->time_ms = p->clock.wall_ms(p->clock.context);
    p->taken++;
    if (mr_sender_send(p->sender, event, 0, &err) == MR_OK) {
        p->result->events++;
        return;
    }
    p->result->refused++;
    mr_log(MR_LOG_WARNING, "produce", "not sent", mr_log_text("error", err.text));
}

static void look(producing *p, uint64_t done)
{
    if (p->options->rate <= 0 && p->taken % LOOK_EVERY != 0)
        return;
    mr_sender_serve(p->sender, 0);
    mr_progress_update(&p->progress, done, NULL, now_ms(p));
}

// ---- files

static mr_status send_file(producing *p, const char *path, const mr_mapping *mapping, mr_error *err)
{
    mr_input *input;
    mr_event event;
    mr_status status = MR_OK;
    uint64_t done, total;
    MR_TRY(mr_input_open_as(path, mapping, p->options->format, &input, err));
    mr_input_progress(input, &done, &total);
    mr_progress_begin(&p->progress, p->options->progress ? stderr : NULL,
                      mr_progress_is_terminal(stderr), path, total, now_ms(p));
    for (bool more = true; status == MR_OK && !stopped(p);) {
        status = mr_input_next(input, &event, &more, err);
        if (status == MR_OK && !more)
            break;
        if (status == MR_REJECT) {
            p->result->unreadable++;
            mr_log(MR_LOG_WARNING, "produce", "unreadable", mr_log_text("error", err->text));
            status = MR_OK;
            continue;
        }
        if (status != MR_OK)
            break;
        send(p, &event);
        mr_input_progress(input, &done, &total);
        look(p, done);
    }
    mr_progress_end(&p->progress, done, NULL, now_ms(p));
    mr_input_close(input);
    return status;
}

static mr_status send_files(producing *p, mr_error *err)
{
    const mr_produce_options *o = p->options;
    mr_mapped *mapped = NULL;
    mr_status status = MR_OK;
    if (o->mapped_as != NULL) {
        mapped = malloc(sizeof *mapped);
        status = mapped == NULL ? mr_fail(err, MR_FATAL, "out of memory")
                                : mr_mapped_named(o->config, o->mapped_as, mapped, err);
    }
    uint64_t before;
    do {
        before = p->taken;
        for (uint32_t i = 0; status == MR_OK && i < o->input_count && !stopped(p); i++)
            status = send_file(p, o->inputs[i], mapped != NULL ? &mapped->mapping : NULL, err);
    } while (status == MR_OK && o->loop && !stopped(p) && p->taken > before);
    free(mapped);
    return status;
}

// ---- made-up events

static mr_status send_traffic(producing *p, mr_error *err)
{
    char texts[MR_TRAFFIC_TEXT_BYTES];
    mr_line line;
    mr_traffic *traffic;
    const uint64_t events = p->options->traffic->events;
    MR_TRY(mr_traffic_open(p->options->traffic, &traffic, err));
    mr_progress_begin(&p->progress, p->options->progress ? stderr : NULL,
                      mr_progress_is_terminal(stderr), "produce", events, now_ms(p));
    for (uint64_t i = 0; i < events && !stopped(p); i++) {
        mr_event event = {.lines = &line};
        wait_for_turn(p); // before the event gets its time
        mr_traffic_next(traffic, p->clock.wall_ms(p->clock.context), texts, &event);
        send(p, &event);
        look(p, i + 1);
    }
    mr_progress_end(&p->progress, p->taken, NULL, now_ms(p));
    mr_traffic_close(traffic);
    return MR_OK;
}

// ---- the whole

static mr_status flush(producing *p, mr_error *err)
{
    mr_status status = mr_sender_flush(p->sender, FLUSH_MS, err);
    for (int i = 1; status == MR_RETRY && i < FLUSH_TRIES; i++)
        status = mr_sender_flush(p->sender, FLUSH_MS, err);
    return status;
}

static void count(producing *p)
{
    mr_sender_count sent;
    for (uint32_t n = 0; (sent = mr_sender_count_of(p->sender, n)).topic != NULL; n++) {
        if (sent.queued == 0)
            continue;
        json_t *const of =
            json_object_get(p->result->topics, sent.topic); // of another kind, there too
        const json_int_t delivered = json_integer_value(of) + (json_int_t)sent.delivered;
        json_object_set_new(p->result->topics, sent.topic, json_integer(delivered));
        p->result->failed += sent.queued - sent.delivered;
    }
    if (mr_sender_failure(p->sender)[0] != '\0')
        mr_log(MR_LOG_ERROR, "produce", "delivery failed",
               mr_log_text("error", mr_sender_failure(p->sender)));
}

mr_status mr_produce_run(const mr_produce_options *options, mr_produce_result *result,
                         mr_error *err)
{
    producing p = {.options = options, .result = result, .clock = mr_clock_system()};
    *result = (mr_produce_result){.topics = json_object()};
    MR_TRY(mr_sender_open(options->config, options->topic_of, &p.sender, err));
    p.begun_ms = now_ms(&p);
    mr_status status = options->traffic != NULL ? send_traffic(&p, err) : send_files(&p, err);
    if (status == MR_OK)
        status = flush(&p, err);
    result->seconds = (double)(now_ms(&p) - p.begun_ms) / 1000.0;
    count(&p);
    mr_sender_close(p.sender);
    return status;
}
