// SPDX-License-Identifier: Apache-2.0
#include "worker/bench/learner.h"

#include <stdlib.h>

#include "worker/bench/measure.h"
#include "worker/memory.h"

enum { EVENTS_A_SECOND = 50000 }; // of event time

static mr_status take_tasks(mr_learner *l, mr_error *err)
{
    for (uint32_t t = 0; t < l->config.tasks; t++) {
        l->seqs[t] = 1;
        mr_engine_take(l->engine, t, l->seqs[t]);
    }
    return mr_engine_ready(l->engine, err);
}

mr_status mr_learner_open(mr_learner *l, const mr_engine_config *config, bool huge,
                          const mr_traffic_options *traffic, mr_error *err)
{
    *l = (mr_learner){.config = *config, .time_ms = 1700000000000};
    const uint32_t tasks = config->tasks, events = config->epoch_events_max * tasks;
    MR_TRY(mr_engine_bytes(config, &l->memory_bytes, err));
    l->epochs = calloc(tasks, sizeof *l->epochs);
    l->seqs = calloc(tasks, sizeof *l->seqs);
    l->arrivals = calloc(events, sizeof *l->arrivals);
    l->texts = calloc(events, sizeof *l->texts);
    l->lines = calloc(events, sizeof *l->lines);
    mr_status status = MR_OK;
    if (l->epochs == NULL || l->seqs == NULL || l->arrivals == NULL || l->texts == NULL ||
        l->lines == NULL)
        status = mr_fail(err, MR_FATAL, "out of memory");
    if (status == MR_OK)
        status = mr_traffic_open(traffic, &l->traffic, err);
    if (status == MR_OK)
        status = mr_memory_engine(&l->config, l->memory_bytes, huge, &l->memory, &l->engine, err);
    if (status == MR_OK)
        status = take_tasks(l, err);
    if (status != MR_OK)
        mr_learner_close(l);
    return status;
}

void mr_learner_close(mr_learner *l)
{
    mr_memory_free(l->memory, l->memory_bytes);
    free(l->epochs);
    free(l->seqs);
    free(l->arrivals);
    free(l->texts);
    free(l->lines);
    mr_traffic_close(l->traffic);
    *l = (mr_learner){0};
}

// An epoch of a task's own users: events of others are drawn and thrown away.
static void fill(mr_learner *l, uint32_t task)
{
    const uint32_t events = l->config.epoch_events_max;
    mr_epoch *epoch = &l->epochs[task];
    *epoch =
        (mr_epoch){.task = task, .arrivals = l->arrivals + (size_t)task * events, .count = events};
    for (uint32_t i = 0; i < events;) {
        const size_t place = (size_t)task * events + i;
        mr_arrival *to = &l->arrivals[place];
        to->event.lines = &l->lines[place];
        to->record_ms =
            l->time_ms + (int64_t)(l->events + i * l->config.tasks) * 1000 / EVENTS_A_SECOND;
        mr_traffic_next(l->traffic, to->record_ms, l->texts[place], &to->event);
        to->offset = (int64_t)(l->events + i);
        to->cause = MR_CAUSE_NONE;
        i += mr_partition_of(to->event.user, l->config.tasks) == task;
    }
}

static mr_status close_commit(mr_learner *l, mr_error *err)
{
    const mr_close_sink sink = {0};
    const double start = mr_thread_seconds();
    MR_TRY(mr_engine_close(l->engine, l->seqs, &sink, err));
    mr_engine_stored(l->engine, mr_engine_closes(l->engine));
    l->close_seconds += mr_thread_seconds() - start;
    for (uint32_t t = 0; t < l->config.tasks; t++)
        l->seqs[t]++;
    l->open_events = 0;
    return MR_OK;
}

mr_status mr_learner_learn(mr_learner *l, uint64_t events, uint64_t commit_events, mr_error *err)
{
    const uint64_t in_round = (uint64_t)l->config.epoch_events_max * l->config.tasks;
    for (const uint64_t end = l->events + events; l->events < end;) {
        for (uint32_t t = 0; t < l->config.tasks; t++)
            fill(l, t);
        const double start = mr_thread_seconds();
        MR_TRY(mr_engine_round(l->engine, l->epochs, l->config.tasks, err));
        l->round_seconds += mr_thread_seconds() - start;
        l->events += in_round;
        l->open_events += in_round;
        if (l->open_events >= commit_events)
            MR_TRY(close_commit(l, err));
    }
    return MR_OK;
}
