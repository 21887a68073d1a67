// SPDX-License-Identifier: Apache-2.0
#include "worker/standby.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/hash.h"
#include "worker/log.h"

enum { PAUSE_MS = 500 }; // between two rounds over what is followed

mr_status mr_standby_open(const mr_config *config, uint32_t tasks, mr_standby *standby,
                          mr_error *err)
{
    *standby = (mr_standby){
        .task_count = tasks,
        .max = config->standby < tasks ? (uint32_t)config->standby : tasks,
        .instance = mr_hash64(config->instance, strlen(config->instance), 0),
        .tasks = calloc(tasks, sizeof *standby->tasks),
        .weights = calloc(tasks, sizeof *standby->weights),
    };
    if (standby->tasks != NULL && standby->weights != NULL)
        return MR_OK;
    mr_standby_close(standby);
    return mr_fail(err, MR_FATAL, "out of memory");
}

void mr_standby_close(mr_standby *standby)
{
    free(standby->tasks);
    free(standby->weights);
    *standby = (mr_standby){0};
}

// The `max` tasks of greatest weight among those that are not held (rendezvous hashing).
static void choose(mr_standby *standby, const uint32_t *held, uint32_t held_count)
{
    standby->count = standby->at = 0;
    for (uint32_t task = 0, h = 0; task < standby->task_count; task++) {
        if (h < held_count && held[h] == task) {
            h++;
            continue;
        }
        const uint64_t weight = mr_hash64(&task, sizeof task, standby->instance);
        uint32_t i = standby->count < standby->max ? standby->count++ : standby->count;
        for (; i > 0 && standby->weights[i - 1] < weight; i--) {
            if (i < standby->count) {
                standby->weights[i] = standby->weights[i - 1];
                standby->tasks[i] = standby->tasks[i - 1];
            }
        }
        if (i < standby->count) {
            standby->weights[i] = weight;
            standby->tasks[i] = task;
        }
    }
    standby->chosen = true;
    standby->bad = false;
    if (standby->count > 0)
        mr_log(MR_LOG_INFO, "standby", "follows", mr_log_long("tasks", standby->count),
               mr_log_long("first", standby->tasks[0]));
}

static void finish(mr_standby *standby, mr_taker *taker, int64_t now_ms)
{
    mr_log(MR_LOG_DEBUG, "standby", "copied", mr_log_long("task", standby->taking.task),
           mr_log_long("rows", (int64_t)standby->taking.rows_read));
    mr_taking_cancel(taker, &standby->taking);
    standby->under_way = false;
    if (++standby->at == standby->count) {
        standby->at = 0;
        standby->due_ms = now_ms + PAUSE_MS;
    }
}

mr_status mr_standby_step(mr_standby *standby, mr_taker *taker, const uint32_t *held,
                          uint32_t held_count, int64_t now_ms, bool *moved, mr_error *err)
{
    *moved = false;
    if (!standby->chosen)
        choose(standby, held, held_count);
    if (standby->count == 0 || standby->bad)
        return MR_OK;
    if (!standby->under_way) {
        if (now_ms < standby->due_ms)
            return MR_OK;
        standby->taking = (mr_taking){.task = standby->tasks[standby->at]};
        standby->under_way = true;
    }
    const mr_status status = mr_taking_step(taker, &standby->taking, err);
    if (status == MR_RETRY)
        return MR_OK;
    if (status != MR_OK && standby->taking.state == MR_TAKING_FAILED && taker->stuck_ms == 0) {
        mr_log(MR_LOG_WARNING, "standby", "a task cannot be followed",
               mr_log_long("task", standby->taking.task), mr_log_text("error", err->text));
        mr_standby_stop(standby, taker);
        standby->chosen = standby->bad = true;
        return MR_OK;
    }
    MR_TRY(status);
    // What was read is in the store; whether it adds up is asked when the task is taken.
    if (standby->taking.state == MR_TAKING_READ)
        finish(standby, taker, now_ms);
    *moved = standby->under_way || standby->due_ms <= now_ms;
    return MR_OK;
}

void mr_standby_stop(mr_standby *standby, mr_taker *taker)
{
    if (standby->under_way && standby->taking.state != MR_TAKING_FAILED)
        mr_taking_cancel(taker, &standby->taking);
    standby->under_way = standby->chosen = false;
}
