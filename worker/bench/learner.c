// SPDX-License-Identifier: Apache-2.0
#include "worker/bench/learner.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "worker/bench/measure.h"

enum { EVENTS_A_SECOND = 50000 }; // of event time

mr_status mr_learner_open(mr_learner *l, const mr_engine_config *config,
                          const mr_traffic_options *traffic, mr_error *err)
{
    *l = (mr_learner){.config = *config, .time_ms = 1700000000000, .seq = 1};
    const uint32_t events = config->epoch_events_max;
    MR_TRY(mr_engine_bytes(config, &l->memory_bytes, err));
    l->memory = mmap(NULL, l->memory_bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    l->arrivals = calloc(events, sizeof *l->arrivals);
    l->texts = calloc(events, sizeof *l->texts);
    l->lines = calloc(events, sizeof *l->lines);
    if (l->memory == MAP_FAILED || l->arrivals == NULL || l->texts == NULL || l->lines == NULL) {
        l->memory = l->memory == MAP_FAILED ? NULL : l->memory;
        mr_learner_close(l);
        return mr_fail(err, MR_FATAL, "out of memory");
    }
    mr_status status = mr_traffic_open(traffic, &l->traffic, err);
    if (status == MR_OK)
        status = mr_engine_init(&l->engine, &l->config, l->memory, l->memory_bytes, err);
    if (status == MR_OK) {
        mr_engine_take(l->engine, 0, l->seq);
        status = mr_engine_ready(l->engine, err);
    }
    if (status != MR_OK)
        mr_learner_close(l);
    return status;
}

void mr_learner_close(mr_learner *l)
{
    if (l->memory != NULL)
        munmap(l->memory, l->memory_bytes);
    free(l->arrivals);
    free(l->texts);
    free(l->lines);
    mr_traffic_close(l->traffic);
    *l = (mr_learner){0};
}

static void fill(mr_learner *l, mr_epoch *epoch)
{
    *epoch = (mr_epoch){.arrivals = l->arrivals, .count = l->config.epoch_events_max};
    for (uint32_t i = 0; i < epoch->count; i++) {
        mr_arrival *to = &l->arrivals[i];
        to->event.lines = &l->lines[i];
        to->record_ms = l->time_ms + (int64_t)(l->events + i) * 1000 / EVENTS_A_SECOND;
        mr_traffic_next(l->traffic, to->record_ms, l->texts[i], &to->event);
        to->offset = (int64_t)(l->events + i);
        to->cause = MR_CAUSE_NONE;
    }
}

static mr_status close_commit(mr_learner *l, mr_error *err)
{
    const mr_close_sink sink = {0};
    const double start = mr_thread_seconds();
    MR_TRY(mr_engine_close(l->engine, &l->seq, &sink, err));
    mr_engine_stored(l->engine, mr_engine_closes(l->engine));
    l->close_seconds += mr_thread_seconds() - start;
    l->seq++;
    l->open_events = 0;
    return MR_OK;
}

mr_status mr_learner_learn(mr_learner *l, uint64_t events, uint64_t commit_events, mr_error *err)
{
    for (const uint64_t end = l->events + events; l->events < end;) {
        mr_epoch epoch;
        fill(l, &epoch);
        const double start = mr_thread_seconds();
        MR_TRY(mr_engine_round(l->engine, &epoch, 1, err));
        l->round_seconds += mr_thread_seconds() - start;
        l->events += epoch.count;
        l->open_events += epoch.count;
        if (l->open_events >= commit_events)
            MR_TRY(close_commit(l, err));
    }
    return MR_OK;
}
