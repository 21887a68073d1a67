// SPDX-License-Identifier: Apache-2.0
#include "worker/committer.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "worker/log.h"
#include "worker/planted.h"

enum { LOOK_MS = 50, DISK_WAIT_MS = 200 };

struct mr_committer {
    mr_committer_options options;
    // Of whoever steps, but while the commit is held: then the loop's.
    mr_sink sink;
    int64_t failing_ms; // since when the store cannot be written; 0: it can
    int64_t retry_ms;   // when it is tried again

    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    mr_frozen *given; // NULL: idle
    bool begun;       // the sink has it
    bool held;
    bool flush, stop;
    uint64_t generation;
    uint64_t confirmed;
    int64_t last_ms;
    mr_error failure; // status MR_OK: none
};

static void wait_until(mr_committer *committer, int64_t wait_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += wait_ms / 1000;
    until.tv_nsec += wait_ms % 1000 * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_cond_timedwait(&committer->changed, &committer->lock, &until);
}

static void tell(mr_committer *committer)
{
    pthread_cond_broadcast(&committer->changed);
    pthread_mutex_unlock(&committer->lock);
    committer->options.wake(committer->options.wake_context);
}

static void fail(mr_committer *committer, const mr_error *err)
{
    pthread_mutex_lock(&committer->lock);
    committer->failure = *err;
    tell(committer);
}

// The loop goes on before the disk is written: the commit is Kafka's already.
static void confirm(mr_committer *committer)
{
    mr_frozen *frozen = mr_sink_take(&committer->sink);
    const uint64_t number = mr_frozen_number(frozen);
    if (!mr_planted(MR_BUG_STORE_FIRST))
        mr_generations_confirm(committer->options.generations, frozen);
    pthread_mutex_lock(&committer->lock);
    committer->given = NULL;
    committer->begun = committer->held = false;
    committer->confirmed = number;
    committer->last_ms = committer->sink.last_ms;
    tell(committer);
}

static void hold(mr_committer *committer)
{
    pthread_mutex_lock(&committer->lock);
    committer->held = true;
    tell(committer);
}

static void step_sink(mr_committer *committer)
{
    mr_error err = {0};
    const mr_status status = mr_sink_step(&committer->sink, &err);
    if (status == MR_RETRY)
        mr_sink_wait(&committer->sink, &err);
    else if (status != MR_OK)
        fail(committer, &err);
    else if (committer->sink.state == MR_SINK_CONFIRMED)
        confirm(committer);
    else if (committer->sink.state == MR_SINK_HELD)
        hold(committer);
}

// The store can be waited for: Kafka has the rows, and the next start would read them from there.
static void step_store(mr_committer *committer)
{
    mr_error err = {0};
    const mr_clock *clock = committer->options.clock;
    const int64_t now_ms = clock->now_ms(clock->context);
    const mr_status status = mr_generations_store(committer->options.generations, &err);
    if (status == MR_OK) {
        committer->failing_ms = committer->retry_ms = 0;
        pthread_mutex_lock(&committer->lock);
        committer->flush = false;
        tell(committer);
        return;
    }
    if (status != MR_RETRY) {
        fail(committer, &err);
        return;
    }
    mr_log(MR_LOG_WARNING, "state", "cannot write, waiting", mr_log_text("error", err.text));
    committer->retry_ms = now_ms + DISK_WAIT_MS;
    if (committer->failing_ms == 0)
        committer->failing_ms = now_ms;
    if (now_ms - committer->failing_ms < committer->options.state_wait_ms)
        return;
    mr_wrap(&err, "the state could not be written for %lld s",
            (long long)(committer->options.state_wait_ms / 1000));
    err.status = MR_FATAL;
    fail(committer, &err);
}

void mr_committer_step(mr_committer *committer, bool *worked)
{
    const mr_clock *clock = committer->options.clock;
    pthread_mutex_lock(&committer->lock);
    mr_frozen *frozen = committer->given;
    const uint64_t generation = committer->generation;
    const bool failed = committer->failure.status != MR_OK;
    const bool begin = frozen != NULL && !committer->begun;
    const bool sink = frozen != NULL && !committer->held;
    const bool flush = committer->flush || (committer->stop && !sink);
    committer->begun = committer->begun || begin;
    pthread_mutex_unlock(&committer->lock);
    *worked = false;
    if (failed)
        return;
    if (begin)
        mr_sink_give(&committer->sink, frozen, generation);
    if (begin && mr_planted(MR_BUG_STORE_FIRST))
        mr_generations_confirm(committer->options.generations, frozen);
    // The store is written between two commits, never in the middle of one.
    const bool between = begin || !sink;
    const bool waits = committer->retry_ms > clock->now_ms(clock->context);
    if (between && !waits && (flush || mr_generations_due(committer->options.generations))) {
        *worked = true;
        step_store(committer);
    } else if (sink) {
        *worked = true;
        step_sink(committer);
    }
}

mr_sink_state mr_committer_state(const mr_committer *committer)
{
    return committer->sink.state;
}

static void *run(void *context)
{
    mr_committer *committer = context;
    for (;;) {
        bool worked;
        mr_committer_step(committer, &worked);
        pthread_mutex_lock(&committer->lock);
        const bool busy = committer->given != NULL && !committer->held;
        const bool end =
            committer->failure.status != MR_OK || (committer->stop && !busy && !committer->flush);
        if (!worked && !end)
            wait_until(committer, LOOK_MS);
        pthread_mutex_unlock(&committer->lock);
        if (end)
            return NULL;
    }
}

mr_status mr_committer_open(const mr_committer_options *options, mr_committer **out, mr_error *err)
{
    pthread_condattr_t attributes;
    mr_committer *committer = calloc(1, sizeof *committer);
    if (committer == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    committer->options = *options;
    mr_sink_init(&committer->sink, options->bus, options->clock, options->retries_max);
    pthread_mutex_init(&committer->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&committer->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    const int code =
        options->threaded ? pthread_create(&committer->thread, NULL, run, committer) : 0;
    if (code != 0) {
        pthread_cond_destroy(&committer->changed);
        pthread_mutex_destroy(&committer->lock);
        free(committer);
        return mr_fail(err, MR_FATAL, "committing thread: %s", strerror(code));
    }
    *out = committer;
    return MR_OK;
}

mr_status mr_committer_close(mr_committer *committer, mr_error *err)
{
    if (committer == NULL)
        return MR_OK;
    pthread_mutex_lock(&committer->lock);
    committer->stop = committer->flush = true;
    pthread_cond_broadcast(&committer->changed);
    pthread_mutex_unlock(&committer->lock);
    if (committer->options.threaded)
        pthread_join(committer->thread, NULL);
    const mr_status status = committer->failure.status;
    if (status != MR_OK)
        *err = committer->failure;
    pthread_cond_destroy(&committer->changed);
    pthread_mutex_destroy(&committer->lock);
    free(committer);
    return status;
}

mr_committer_view mr_committer_look(mr_committer *committer, mr_error *err)
{
    const mr_generations_sizes sizes = mr_generations_measure(committer->options.generations);
    pthread_mutex_lock(&committer->lock);
    const mr_committer_view view = {
        .idle = committer->given == NULL,
        .held = committer->held,
        .stored = sizes.confirmed == 0 && !committer->flush,
        .confirmed = committer->confirmed,
        .last_ms = committer->last_ms,
        .failed = committer->failure.status,
    };
    if (view.failed != MR_OK)
        *err = committer->failure;
    pthread_mutex_unlock(&committer->lock);
    return view;
}

void mr_committer_give(mr_committer *committer, mr_frozen *frozen, uint64_t generation)
{
    pthread_mutex_lock(&committer->lock);
    MR_ASSERT(committer->given == NULL);
    committer->given = frozen;
    committer->generation = generation;
    pthread_cond_broadcast(&committer->changed);
    pthread_mutex_unlock(&committer->lock);
}

mr_frozen *mr_committer_held(mr_committer *committer)
{
    pthread_mutex_lock(&committer->lock);
    mr_frozen *frozen = committer->held ? committer->given : NULL;
    pthread_mutex_unlock(&committer->lock);
    return frozen;
}

void mr_committer_found(mr_committer *committer)
{
    mr_sink_found(&committer->sink);
    confirm(committer);
}

// Nobody steps the sink while its commit is held, so that the loop may touch it here.
void mr_committer_again(mr_committer *committer, uint64_t generation)
{
    mr_sink_again(&committer->sink, generation);
    pthread_mutex_lock(&committer->lock);
    committer->held = false;
    tell(committer);
}

mr_frozen *mr_committer_drop(mr_committer *committer)
{
    mr_frozen *frozen = mr_sink_drop(&committer->sink);
    pthread_mutex_lock(&committer->lock);
    committer->given = NULL;
    committer->begun = committer->held = false;
    tell(committer);
    return frozen;
}

void mr_committer_flush(mr_committer *committer)
{
    pthread_mutex_lock(&committer->lock);
    committer->flush = true;
    pthread_cond_broadcast(&committer->changed);
    pthread_mutex_unlock(&committer->lock);
}

bool mr_committer_wait(mr_committer *committer, int64_t wait_ms)
{
    const mr_clock *clock = committer->options.clock;
    const int64_t until = clock->now_ms(clock->context) + wait_ms;
    pthread_mutex_lock(&committer->lock);
    for (;;) {
        const int64_t left = until - clock->now_ms(clock->context);
        if (committer->given == NULL || committer->held || committer->failure.status != MR_OK ||
            left <= 0)
            break;
        wait_until(committer, left < LOOK_MS ? left : LOOK_MS);
    }
    const bool idle = committer->given == NULL && committer->failure.status == MR_OK;
    pthread_mutex_unlock(&committer->lock);
    return idle;
}
