// SPDX-License-Identifier: Apache-2.0
#include "worker/demo_worker.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "worker/run.h"

enum {
    TURN_MS = 500,
    // For what the inputs still hold: at least as long as a fetch takes that says so.
    REST_MS_MIN = 500,
    REST_MS_MAX = 5000,
    FINISH_MS = 8000,
};

struct mr_demo_worker {
    pthread_t thread;
    int stop_fd; // wakes the loop
    atomic_bool stop;
    atomic_int phase;
    mr_worker worker;
    // Of the thread until it was joined.
    mr_task_counters totals;
    mr_status status;
    mr_error err;
};

static mr_status turn(mr_demo_worker *w)
{
    while (!atomic_load(&w->stop))
        MR_TRY(mr_worker_turn(&w->worker, w->stop_fd, TURN_MS, &w->err));
    const mr_clock *clock = &w->worker.clock;
    const int64_t begun = clock->now_ms(clock->context);
    for (int64_t ms = 0;
         ms < REST_MS_MIN || (ms < REST_MS_MAX && !mr_worker_at_end(&w->worker));
         ms = clock->now_ms(clock->context) - begun)
        MR_TRY(mr_worker_turn(&w->worker, -1, REST_MS_MIN / 4, &w->err));
    return mr_worker_finish(&w->worker, FINISH_MS, &w->err);
}

static void *run(void *arg)
{
    mr_demo_worker *w = arg;
    mr_error close_err = {0};
    w->status = mr_worker_open(&w->worker, &w->err);
    if (w->status == MR_OK)
        w->status = mr_worker_until_ready(&w->worker, &w->err);
    if (w->status == MR_OK) {
        atomic_store(&w->phase, MR_DEMO_TURNING);
        w->status = turn(w);
        w->totals = mr_worker_totals(&w->worker);
    }
    const mr_status closed = mr_worker_close(&w->worker, &close_err);
    if (w->status == MR_OK && closed != MR_OK) {
        w->status = closed;
        w->err = close_err;
    }
    atomic_store(&w->phase, MR_DEMO_ENDED);
    return NULL;
}

mr_status mr_demo_worker_start(const mr_config *config, const mr_methods *methods,
                               mr_demo_worker **out, mr_error *err)
{
    mr_demo_worker *w = calloc(1, sizeof *w);
    if (w == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    w->worker.config = config;
    w->worker.methods = methods;
    w->worker.mock = true;
    atomic_init(&w->stop, false);
    atomic_init(&w->phase, MR_DEMO_STARTING);
    w->stop_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    int code = w->stop_fd < 0 ? errno : pthread_create(&w->thread, NULL, run, w);
    if (code != 0) {
        if (w->stop_fd >= 0)
            close(w->stop_fd);
        free(w);
        return mr_fail(err, MR_FATAL, "the worker's thread: %s", strerror(code));
    }
    *out = w;
    return MR_OK;
}

mr_demo_phase mr_demo_worker_phase(mr_demo_worker *w)
{
    return (mr_demo_phase)atomic_load(&w->phase);
}

mr_status mr_demo_worker_stop(mr_demo_worker *w, mr_task_counters *totals, mr_error *err)
{
    const uint64_t one = 1;
    atomic_store(&w->stop, true);
    if (write(w->stop_fd, &one, sizeof one) < 0)
        MR_ASSERT(errno == EAGAIN); // the counter is full: the loop is awake
    pthread_join(w->thread, NULL);
    close(w->stop_fd);
    const mr_status status = w->status;
    if (status != MR_OK)
        *err = w->err;
    *totals = w->totals;
    free(w);
    return status;
}
