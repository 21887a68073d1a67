// SPDX-License-Identifier: Apache-2.0
#include "worker/committer.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "worker/log.h"

enum { LOOK_MS = 50, DISK_WAIT_MS = 200 };

struct mr_committer {
    mr_committer_options options;
    mr_sink sink; // the thread's own
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    mr_frozen *given; // NULL: idle
    bool stop;
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

// The store can be waited for: Kafka has the rows, and the next start would read them from there.
static mr_status store(mr_committer *committer, mr_error *err)
{
    const mr_clock *clock = committer->options.clock;
    const int64_t begun = clock->now_ms(clock->context);
    for (;;) {
        const mr_status status = mr_generations_store(committer->options.generations, err);
        if (status != MR_RETRY)
            return status;
        mr_log(MR_LOG_WARNING, "state", "cannot write, waiting", mr_log_text("error", err->text));
        if (clock->now_ms(clock->context) - begun >= committer->options.state_wait_ms) {
            mr_wrap(err, "the state could not be written for %lld s",
                    (long long)(committer->options.state_wait_ms / 1000));
            return err->status = MR_FATAL;
        }
        clock->sleep_ms(clock->context, DISK_WAIT_MS);
    }
}

static mr_status commit(mr_committer *committer, mr_frozen *frozen, mr_error *err)
{
    MR_TRY(mr_sink_commit(&committer->sink, frozen, err));
    mr_generations_confirm(committer->options.generations, frozen);
    return MR_OK;
}

static void *run(void *context)
{
    mr_committer *committer = context;
    pthread_mutex_lock(&committer->lock);
    while (committer->failure.status == MR_OK) {
        mr_error err = {0};
        mr_status status = MR_OK;
        mr_frozen *frozen = committer->given;
        const bool stop = committer->stop && frozen == NULL;
        const uint64_t number = frozen != NULL ? mr_frozen_number(frozen) : 0;
        pthread_mutex_unlock(&committer->lock);
        if (frozen != NULL)
            status = commit(committer, frozen, &err);
        if (status == MR_OK && frozen != NULL) {
            // The loop goes on before the disk is written: the commit is Kafka's already.
            pthread_mutex_lock(&committer->lock);
            committer->given = NULL;
            committer->confirmed = number;
            committer->last_ms = committer->sink.last_ms;
            pthread_cond_broadcast(&committer->changed);
            pthread_mutex_unlock(&committer->lock);
            committer->options.wake(committer->options.wake_context);
        }
        if (status == MR_OK && (stop || mr_generations_due(committer->options.generations)))
            status = store(committer, &err);
        pthread_mutex_lock(&committer->lock);
        if (status != MR_OK) {
            committer->failure = err;
            pthread_cond_broadcast(&committer->changed);
            committer->options.wake(committer->options.wake_context);
        } else if (stop) {
            break;
        } else if (committer->given == NULL && !committer->stop) {
            wait_until(committer, LOOK_MS);
        }
    }
    pthread_mutex_unlock(&committer->lock);
    return NULL;
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
    const int code = pthread_create(&committer->thread, NULL, run, committer);
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
    committer->stop = true;
    pthread_cond_broadcast(&committer->changed);
    pthread_mutex_unlock(&committer->lock);
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
    pthread_mutex_lock(&committer->lock);
    const mr_committer_view view = {
        .idle = committer->given == NULL,
        .confirmed = committer->confirmed,
        .last_ms = committer->last_ms,
        .failed = committer->failure.status,
    };
    if (view.failed != MR_OK)
        *err = committer->failure;
    pthread_mutex_unlock(&committer->lock);
    return view;
}

void mr_committer_give(mr_committer *committer, mr_frozen *frozen)
{
    pthread_mutex_lock(&committer->lock);
    MR_ASSERT(committer->given == NULL);
    committer->given = frozen;
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
        if (committer->given == NULL || committer->failure.status != MR_OK || left <= 0)
            break;
        wait_until(committer, left < LOOK_MS ? left : LOOK_MS);
    }
    const bool idle = committer->given == NULL && committer->failure.status == MR_OK;
    pthread_mutex_unlock(&committer->lock);
    return idle;
}
