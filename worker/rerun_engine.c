// SPDX-License-Identifier: Apache-2.0
// rerun_engine: the engines of a re-run. Each does what one of the history did, from its beginning:
// an item that no owner has spoken of lives as long as the engine that saw it, so that an engine
// made later from the same rows could miss pairs with it.
#include "worker/rerun_inner.h"

#include <stdlib.h>
#include <string.h>

#include "worker/memory.h"
#include "worker/store_port.h"

static mr_status make_engine(mr_rerun *r, mr_rerun_engine *e, mr_error *err)
{
    return mr_memory_engine(&r->engine_config, r->engine_bytes,
                            r->config->memory_pages == MR_PAGES_HUGE, &e->memory, &e->engine, err);
}

static mr_status new_engine(mr_rerun *r, uint64_t name, mr_rerun_engine *e, mr_error *err)
{
    e->name = name;
    e->seqs = calloc(r->tasks, sizeof *e->seqs);
    e->shown = calloc(r->tasks, sizeof *e->shown);
    if (e->seqs == NULL || e->shown == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    return make_engine(r, e, err);
}

mr_status mr_rerun_find_engine(mr_rerun *r, uint64_t name, mr_rerun_engine **engine, mr_error *err)
{
    for (uint32_t i = 0; i < r->engine_count; i++) {
        *engine = r->engines[i];
        if ((*engine)->name == name)
            return MR_OK;
    }
    if (r->engine_count == r->engine_room) {
        const uint32_t room = r->engine_room == 0 ? 16 : r->engine_room * 2;
        mr_rerun_engine **grown = realloc(r->engines, room * sizeof *grown);
        if (grown == NULL)
            return mr_fail(err, MR_FATAL, "out of memory");
        r->engines = grown;
        r->engine_room = room;
    }
    *engine = calloc(1, sizeof **engine);
    if (*engine == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    r->engines[r->engine_count++] = *engine;
    r->result->engines++;
    return new_engine(r, name, *engine, err);
}

static bool is_over(const mr_rerun *r, const mr_rerun_engine *e)
{
    for (uint32_t t = 0; t < r->tasks; t++)
        if (r->tasks_of[t].engine == e->name)
            return false;
    return true;
}

void mr_rerun_close_engines(mr_rerun *r, bool all)
{
    uint32_t left = 0;
    for (uint32_t i = 0; i < r->engine_count; i++) {
        mr_rerun_engine *e = r->engines[i];
        if (!all && !is_over(r, e)) {
            r->engines[left++] = e;
            continue;
        }
        if (e->memory != NULL)
            mr_memory_free(e->memory, r->engine_bytes);
        free(e->seqs);
        free(e->shown);
        free(e);
    }
    r->engine_count = left;
}

// ---- tasks come and go

static const mr_task_epoch *placed(const mr_round *places, uint32_t task)
{
    for (uint32_t i = 0; places != NULL && i < places->epoch_count; i++)
        if (places->epochs[i].task == task)
            return &places->epochs[i];
    return NULL;
}

bool mr_rerun_places(const mr_rerun *r, const mr_round *round, const mr_rerun_engine *engine)
{
    if (round->epoch_count == 0)
        return false;
    const mr_task_epoch *first = &round->epochs[0];
    return first->task < r->tasks &&
           (!mr_engine_has(engine->engine, first->task) ||
            first->epoch == (int64_t)mr_engine_task(engine->engine, first->task).epoch);
}

static mr_status take_task(mr_rerun *r, uint32_t task, const mr_task_epoch *place, mr_error *err)
{
    const mr_rerun_task *t = &r->tasks_of[task];
    if (!t->known && place->epoch != 0)
        return mr_fail(err, MR_FATAL,
                       "task %u: the epoch log begins after its epoch %lld: what it had learned "
                       "before cannot be run again",
                       task, (long long)place->epoch);
    mr_engine_take(r->engine->engine, task, mr_rerun_seq(r, task));
    if (t->known)
        MR_TRY(mr_store_port_load(r->options->store, task, r->engine->engine, err));
    return mr_rerun_place(r, place, err);
}

mr_status mr_rerun_take_base(mr_rerun *r, mr_error *err)
{
    if (r->record->mark_count != r->tasks)
        return MR_OK; // what is missing will be said
    for (uint32_t t = 0; t < r->tasks; t++)
        if (mr_engine_has(r->engine->engine, t) || r->tasks_of[t].seq != r->tasks_of[t].base)
            return MR_OK;
    for (uint32_t t = 0; t < r->tasks; t++) {
        mr_engine_take(r->engine->engine, t, mr_rerun_seq(r, t));
        MR_TRY(mr_store_port_load(r->options->store, t, r->engine->engine, err));
        r->engine->seqs[t] = r->tasks_of[t].seq;
    }
    return mr_engine_ready(r->engine->engine, err);
}

static bool in_record(const mr_rerun *r, uint32_t task)
{
    for (uint32_t i = 0; i < r->record->mark_count; i++)
        if (r->record->marks[i].of == task)
            return true;
    return false;
}

mr_status mr_rerun_change_tasks(mr_rerun *r, const mr_round *places, mr_error *err)
{
    mr_rerun_engine *e = r->engine;
    bool taken = false;
    for (uint32_t t = 0; t < r->tasks; t++) {
        if (!mr_engine_has(e->engine, t) || (in_record(r, t) && placed(places, t) == NULL))
            continue;
        mr_engine_release(e->engine, t);
        e->shown[t] = e->seqs[t];
        e->seqs[t] = 0;
    }
    for (uint32_t i = 0; i < r->record->mark_count; i++) {
        const uint32_t task = r->record->marks[i].of;
        const mr_task_epoch *place = placed(places, task);
        if (!mr_engine_has(e->engine, task)) {
            if (place == NULL)
                return mr_fail(err, MR_FATAL,
                               "task %u, commit %llu: the epoch log begins after its worker took "
                               "the task",
                               task, (unsigned long long)mr_rerun_seq(r, task));
            MR_TRY(take_task(r, task, place, err));
            taken = true;
        }
        e->seqs[task] = mr_rerun_seq(r, task);
    }
    return taken ? mr_engine_ready(e->engine, err) : MR_OK;
}

mr_status mr_rerun_renew_engine(mr_rerun *r, mr_rerun_engine *e, mr_error *err)
{
    bool taken = false;
    MR_TRY(make_engine(r, e, err));
    for (uint32_t t = 0; t < r->tasks; t++) {
        if (e->seqs[t] == 0) // not held
            continue;
        mr_engine_take(e->engine, t, e->seqs[t] + 1);
        MR_TRY(mr_store_port_load(r->options->store, t, e->engine, err));
        taken = true;
    }
    if (taken)
        MR_TRY(mr_engine_ready(e->engine, err));
    for (uint32_t t = 0; t < r->tasks; t++)
        if (e->seqs[t] == 0 && e->shown[t] > 0)
            MR_TRY(mr_view_log_show(r->views, t, 0, e->shown[t], e->engine, err));
    return MR_OK;
}

mr_status mr_rerun_show(mr_rerun *r, const mr_sequence *views, uint32_t count, mr_error *err)
{
    mr_rerun_engine *e = r->engine;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t shard = views[i].of;
        if (mr_engine_has(e->engine, shard))
            return mr_fail(err, MR_FATAL, "a view of shard %u, whose task the worker holds", shard);
        if ((uint64_t)views[i].sequence < r->tasks_of[shard].base)
            return mr_fail(err, MR_FATAL,
                           "task %u, commit %lld: its worker saw the items of shard %u as of "
                           "commit %lld, and the base has them as of %llu: begin with an earlier "
                           "backup, or without one",
                           r->record->marks[0].of, (long long)r->record->marks[0].sequence, shard,
                           (long long)views[i].sequence,
                           (unsigned long long)r->tasks_of[shard].base);
        MR_TRY(mr_view_log_show(r->views, shard, e->shown[shard], (uint64_t)views[i].sequence,
                                e->engine, err));
        e->shown[shard] = (uint64_t)views[i].sequence;
    }
    return MR_OK;
}

// ---- the close

static void close_row(void *context, uint32_t task, mr_row_place place, mr_bytes key,
                      mr_bytes value, mr_hash128 *hash)
{
    mr_rerun *r = context;
    const bool item = place == MR_ROW_OF_ITEM;
    *hash = mr_frozen_put_row(r->frozen, task, item, key, value);
    if (item && r->tasks > 1)
        mr_view_log_add(r->views, task, r->engine->seqs[task], key, value);
}

static void close_list(void *context, const mr_list *list)
{
    mr_rerun *r = context;
    mr_outputs_list(r->outputs, r->frozen, list, NULL);
    if (r->options->watch.list != NULL)
        r->options->watch.list(r->options->watch.context, list);
}

static void close_delta(void *context, uint32_t sender, uint32_t receiver, mr_bytes record)
{
    mr_rerun *r = context;
    const mr_delta delta = {
        .sender = sender,
        .receiver = receiver,
        .history = {r->record->history.low, r->record->history.high},
        .link = mr_links_send(r->links, sender, receiver),
        .seq = r->engine->seqs[sender],
        .record = record,
    };
    if (r->options->fork != NULL) {
        if (r->sunk == MR_OK)
            r->sunk = mr_rerun_own_made(r, &delta, &r->sunk_error);
        return;
    }
    const uint32_t size = mr_delta_write(&delta, r->delta);
    if (r->sunk == MR_OK)
        r->sunk = mr_rerun_delta_made(r, &delta, mr_bytes_of(r->delta, size), &r->sunk_error);
}

mr_status mr_rerun_close_commit(mr_rerun *r, mr_error *err)
{
    const mr_close_sink sink = {
        .context = r, .row = close_row, .list = close_list, .delta = close_delta};
    uint32_t count = 0;
    for (uint32_t i = 0; i < r->record->mark_count; i++)
        r->task_numbers[count++] = r->record->marks[i].of;
    r->sunk = MR_OK;
    MR_TRY(mr_generations_begin(r->generations, &r->frozen, err));
    MR_TRY(mr_frozen_begin(r->frozen, r->result->commits + 1, r->task_numbers, count, err));
    MR_TRY(mr_engine_close(r->engine->engine, r->engine->seqs, &sink, err));
    if (r->sunk != MR_OK) {
        *err = r->sunk_error;
        return r->sunk;
    }
    return mr_frozen_seal(r->frozen, err);
}
