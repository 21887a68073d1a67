// SPDX-License-Identifier: Apache-2.0
// engine_probe: what the columns and the blend would have said of an act, before it is learned.
//
// A probe measures, or teaches the blend, or both: mr_probe_result says which. The probes of a wave
// are gathered, since columns answer for many users at once at a lower price. What came of them
// stands in the work's probes until the round settles the task.
#include "core/engine_state.h"

enum {
    PROBE_DENSE = 256, // first acts of a task, each of which is a probe
    PROBE_EVENTS = 64, // a longer epoch has as many probes as one of so many events
};

void mr_engine_begin_asking(mr_asking *a, mr_engine *engine, mr_work *work)
{
    *a = (mr_asking){.engine = engine, .work = work};
    a->asks = mr_arena_push(&work->arena, MR_PROBE_BATCH * sizeof *a->asks);
    a->keys = mr_arena_push(&work->arena, MR_HISTORY_SEEN_MAX * sizeof *a->keys);
    a->mark = work->arena.used;
}

void mr_engine_answer(mr_asking *a)
{
    if (a->count > 0)
        mr_probe_targets(&a->engine->columns, &a->work->view, a->asks, a->count, &a->work->arena);
    a->work->arena.used = a->mark;
    a->count = 0;
}

static mr_filter filter_of(mr_asking *a, uint32_t key_count)
{
    const mr_items *items = &a->engine->items;
    uint32_t *slots = mr_arena_push(&a->work->arena, key_count * sizeof *slots), found = 0;
    for (uint32_t i = 0; i < key_count; i++) {
        const uint32_t slot = mr_items_find(items, a->keys[i]);
        if (slot != MR_MAP_NONE)
            slots[found++] = slot;
    }
    return mr_filter_make(items, slots, mr_slots_sort(slots, found));
}

static float probe_weight(const mr_signal *signal)
{
    if (signal->propensity > 0 && signal->propensity < 1)
        return signal->propensity < 0.1f ? 10.0f : 1.0f / signal->propensity;
    return signal->answers ? 0.2f : 1.0f; // the blend itself made an answer to its list likely
}

typedef struct probe_kind { // as in mr_probe_result
    mr_protocol protocol;
    bool product, measured, learned;
} probe_kind;

static void ask(mr_asking *a, const mr_signal *signal, mr_filter filter, probe_kind kind)
{
    mr_engine *engine = a->engine;
    mr_work *work = a->work;
    const mr_user *user = mr_users_at(&engine->users, signal->user);
    const uint64_t key = user->key;
    MR_ASSERT(work->probe_count < work->probe_max);
    mr_probe_result *result = &work->probes[work->probe_count++];
    result->user = key;
    result->user_events = user->events;
    result->item_events = mr_items_at(&engine->items, signal->item)->events;
    result->protocol = kind.protocol;
    result->product = kind.product;
    result->measured = kind.measured;
    result->learned = kind.learned;
    a->asks[a->count++] = (mr_probe_ask){
        .user = signal->user,
        .target = signal->item,
        .known = result->item_events > 0 ||
                 (engine->described && mr_items_at(&engine->items, signal->item)->in_catalogue),
        .filter = filter,
        .blend = kind.product ? &engine->blend : &engine->shadow,
        .weight = probe_weight(signal),
        .rng = mr_rng_make(engine->config.seed, work->view.task, work->view.epoch,
                           key + signal->index, MR_PURPOSE_BLEND),
        .signal = signal,
        .deltas = kind.product && kind.learned ? &work->deltas : NULL,
        .result = result,
    };
    if (a->count == MR_PROBE_BATCH)
        mr_engine_answer(a);
}

static void probe_served(mr_engine *engine, mr_work *work, const mr_signal *signal)
{
    const uint64_t *served = &engine->served[(size_t)signal->user * MR_SERVED];
    if (served[0] == 0)
        return;
    uint32_t place = 0;
    while (place < MR_SERVED && served[place] != signal->item_key)
        place++;
    const mr_hit_value hit =
        place < MR_SERVED ? mr_hit_value_of(place, 1) : (mr_hit_value){0, 0, 0};
    work->served.count += 1;
    work->served.recall += (double)hit.recall;
    work->served.ndcg += (double)hit.ndcg;
    work->served.rr += (double)hit.rr;
}

// The blend learns from one act in so many: from all of a task's first ones, then from ever fewer.
// Where lists are answered it is not dense at first: what a young blend was rewarded for it would
// soon show alone. Epochs are long where events come fast or a backlog is worked off. There are
// probes enough by the second then, and their time is wanted: they go on getting fewer.
static uint64_t probe_every(const mr_engine *engine, const mr_work *work)
{
    const uint64_t every = engine->config.probe_every, count = work->epoch->count;
    const uint64_t least = work->view.impressions ? every : 1;
    const uint64_t most = count > PROBE_EVENTS ? every * count / PROBE_EVENTS : every;
    const uint64_t now = engine->tasks[work->epoch->task].past_end / PROBE_DENSE;
    return now < least ? least : now < most ? now : most;
}

void mr_engine_probe(mr_asking *a, const mr_signal *signal)
{
    mr_engine *engine = a->engine;
    const mr_engine_config *config = &engine->config;
    const mr_user *user = mr_users_at(&engine->users, signal->user);
    const uint64_t identity[3] = {user->key, signal->item_key, (uint64_t)signal->time_ms};
    const bool learn = mr_hash64(identity, sizeof identity, 1) % probe_every(engine, a->work) == 0;
    const bool filters = config->seen == MR_SEEN_FILTER;
    probe_served(engine, a->work, signal);
    if (!learn && !config->measure_all)
        return;
    if (config->measure_all || !filters)
        ask(a, signal, mr_filter_make(&engine->items, NULL, 0),
            (probe_kind){MR_PROTOCOL_ALL, !filters, true, learn});
    if (filters && learn && !signal->repeat) { // what the product would have served from
        for (uint32_t r = 0; r < user->recent_count; r++)
            a->keys[r] = user->recent[r].item_key;
        ask(a, signal, filter_of(a, user->recent_count),
            (probe_kind){MR_PROTOCOL_NEW, true, !config->measure_all, true});
    }
    if (config->measure_all && !signal->repeat &&
        !mr_history_has(&engine->history, user->key, signal->item_key)) {
        const uint32_t count =
            mr_history_items(&engine->history, user->key, a->keys, MR_HISTORY_SEEN_MAX);
        ask(a, signal, filter_of(a, count),
            (probe_kind){MR_PROTOCOL_NEW, filters, true, learn && !filters});
    }
}
