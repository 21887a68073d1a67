// SPDX-License-Identifier: Apache-2.0
// engine_lists: the lists of a close: who is due, candidates, blend, rules, policy, record.
#include "core/engine_state.h"

// ---- who is due

// A close behind no epoch is made for its lists alone: users who wait fill the memory, and no event
// that would move the clock can be learned before they leave it. Nobody's interval counts then.
static bool is_for_lists(const mr_engine *engine)
{
    for (uint32_t t = 0; t < engine->config.tasks; t++)
        if (engine->tasks[t].taken && engine->tasks[t].moved)
            return false;
    return true;
}

static bool is_due(const mr_engine *engine, const mr_waiter *waiter)
{
    const int64_t clock = engine->tasks[waiter->task].clock_ms;
    return waiter->list_ms == 0 || clock - waiter->list_ms >= engine->config.list_interval_ms;
}

// Finds the users of each task who are due, in order of key, and so many of them as one close may
// make lists for.
static void choose(mr_engine *engine)
{
    const mr_waiting *waiting = &engine->users.waiting;
    const bool all = is_for_lists(engine);
    mr_sorted *next = engine->due;
    for (uint32_t t = 0; t < engine->config.tasks; t++) {
        mr_work *work = &engine->work[t];
        work->due_count = work->due_next = work->place = 0;
        work->due = next;
        next += waiting->of_task[t];
    }
    for (uint32_t i = 0; i < waiting->count; i++) {
        const mr_waiter *waiter = mr_waiting_at(waiting, i);
        mr_work *work = &engine->work[waiter->task];
        if (all || is_due(engine, waiter))
            work->due[work->due_count++] = (mr_sorted){waiter->key, 0, 0};
    }
    for (uint32_t t = 0; t < engine->config.tasks; t++) {
        mr_work *work = &engine->work[t];
        mr_sort(work->due, work->due_count);
        if (work->due_count > engine->config.lists_per_close_max)
            work->due_count = engine->config.lists_per_close_max;
    }
}

// ---- their rows

// Brings the users of a task's next lists into memory, as many as there is room for; they stay
// until their lists are handed out.
static mr_status bring(mr_engine *engine, mr_work *work, mr_error *err)
{
    mr_users *users = &engine->users;
    for (work->list_count = 0;
         work->list_count < MR_LIST_BATCH && work->due_next + work->list_count < work->due_count;
         work->list_count++) {
        mr_sorted *due = &work->due[work->due_next + work->list_count];
        const mr_waiter *waiter = mr_waiting_find(&users->waiting, due->key);
        if (!mr_users_has_room(users, due->key))
            return MR_OK;
        MR_TRY(mr_engine_bring_user(engine, waiter->task, mr_bytes_of(waiter->id, waiter->id_size),
                                    &due->value, err));
        users->meta[due->value].round = engine->round + 1;
    }
    return MR_OK;
}

// The row changed by its list alone goes out at once, so that it may leave before the next ones
// come.
static void let_go(mr_engine *engine, uint32_t slot, const mr_close_sink *sink)
{
    mr_user_meta *meta = &engine->users.meta[slot];
    mr_waiting_remove(&engine->users.waiting, mr_users_at(&engine->users, slot)->key);
    meta->round = 0;
    if (!meta->dirty)
        mr_engine_put_user(engine, slot, sink);
}

// ---- one list

static void filter_of(const mr_engine *engine, const mr_user *user, uint32_t *slots,
                      mr_filter *filter)
{
    uint32_t count = 0;
    for (uint32_t r = 0; engine->config.seen == MR_SEEN_FILTER && r < user->recent_count; r++) {
        const uint32_t slot = mr_items_find(&engine->items, user->recent[r].item_key);
        if (slot != MR_MAP_NONE)
            slots[count++] = slot;
    }
    count = mr_slots_sort(slots, count);
    *filter = mr_filter_make(&engine->items, slots, count);
}

static void fill_entry(const mr_engine *engine, const mr_slate *slate, uint32_t place,
                       mr_list_entry *entry)
{
    const uint32_t i = slate->picked[place];
    const mr_union *candidates = slate->candidates;
    const mr_item *item = mr_items_at(&engine->items, candidates->slots[i]);
    const bool estimated = slate->explore && slate->mean != NULL;
    *entry = (mr_list_entry){
        .item = mr_bytes_of(item->id, item->id_size),
        .item_key = item->key,
        .score = slate->relevance[i],
        .q = (float)slate->q[place],
        .mean = estimated ? slate->mean[i] : __builtin_nanf(""),
        .spread = estimated ? slate->deviation[i] : __builtin_nanf(""),
    };
    uint8_t best = MR_PLACE_NONE;
    for (uint32_t c = 0; c < candidates->column_count; c++) {
        if (candidates->place[c][i] == MR_PLACE_NONE)
            continue;
        entry->source_bits |= 1u << c;
        if (candidates->place[c][i] < best) {
            best = candidates->place[c][i];
            entry->source = (uint8_t)c;
        }
    }
    entry->source_name = engine->columns.of[entry->source].column->name;
}

static uint64_t hash_candidates(const mr_engine *engine, const mr_union *candidates)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < candidates->count; i++) {
        const uint64_t key = engine->items.slots.keys[candidates->slots[i]];
        sum += mr_hash64(&key, sizeof key, 0);
    }
    return sum;
}

static void note_context(const mr_engine *engine, const mr_work *work, uint32_t slot, mr_list *list)
{
    for (uint32_t m = 0; m < engine->model_count; m++) {
        const mr_instance *instance = &engine->instances[engine->model_first + m];
        const mr_model *model = (const mr_model *)(const void *)instance->state;
        uint32_t clusters[MR_CONTEXT_MAX];
        float weights[MR_CONTEXT_MAX];
        if (model->context == NULL)
            continue;
        list->context_count =
            model->context(instance, &work->view, slot, clusters, weights, MR_CONTEXT_MAX);
        for (uint32_t i = 0; i < list->context_count; i++)
            list->context[i] = (mr_list_context){clusters[i], weights[i]};
    }
}

static void estimate(const mr_engine *engine, const mr_work *work, uint32_t slot,
                     const mr_union *candidates, mr_arena *arena, mr_slate *slate)
{
    for (uint32_t m = 0; m < engine->model_count; m++) {
        const mr_instance *instance = &engine->instances[engine->model_first + m];
        const mr_model *model = (const mr_model *)(const void *)instance->state;
        if (model->spread == NULL)
            continue;
        float *mean = mr_arena_push(arena, MR_UNION_MAX * sizeof *mean);
        float *deviation = mr_arena_push(arena, MR_UNION_MAX * sizeof *deviation);
        model->spread(instance, &work->view, slot, candidates->slots, candidates->count, mean,
                      deviation);
        slate->mean = mean;
        slate->deviation = deviation;
    }
}

// Orders what the gate publishes for the segment: the blend's relevance or one column's value.
static const float *relevance_of(const mr_engine *engine, const mr_union *candidates,
                                 uint32_t segment, uint32_t arm, mr_arena *arena)
{
    if (arm < engine->columns.count)
        return candidates->value[arm];
    float *x = mr_arena_push(arena, MR_FEATURES_MAX * MR_UNION_MAX * sizeof *x);
    float *relevance = mr_arena_push(arena, MR_UNION_MAX * sizeof *relevance);
    mr_blend_features(&engine->blend, &engine->columns, candidates, engine->items.order_count, x);
    mr_blend_relevance(&engine->blend, segment, x, candidates->count, relevance);
    return relevance;
}

static void make_list(mr_engine *engine, mr_work *work, uint32_t slot, const mr_filter *filter,
                      mr_found *founds, uint32_t stride, mr_list *list, mr_list_entry *entries)
{
    mr_arena *arena = &work->arena;
    const size_t mark = arena->used;
    const mr_user *user = mr_users_at(&engine->users, slot);
    mr_union *candidates = mr_arena_push(arena, sizeof *candidates);
    mr_slate *slate = mr_arena_push(arena, sizeof *slate);
    mr_columns_find(&engine->columns, &work->view, slot, filter, arena, founds, stride);
    mr_union_make(&engine->columns, &work->view, slot, founds, stride, arena, candidates);
    const uint32_t segment = mr_blend_segment(user);
    const uint32_t arm = mr_blend_arm(&engine->blend, &engine->columns, segment);
    slate->view = &work->view; // the rest is scratch: no need to clear 50 KiB a list
    slate->user = slot;
    slate->candidates = candidates;
    slate->mean = slate->deviation = NULL;
    slate->relevance = relevance_of(engine, candidates, segment, arm, arena);
    slate->rules = &engine->instances[engine->rule_first];
    slate->rule_count = engine->rule_count;
    slate->explore_bp = engine->config.explore_bp;
    slate->arena = arena;
    mr_slate_open(slate);
    if (slate->explore)
        estimate(engine, work, slot, candidates, arena, slate);
    mr_rng rng = mr_rng_make(engine->config.seed, work->view.task, work->view.epoch, user->key,
                             MR_PURPOSE_POLICY);
    mr_slate_draw(slate, &engine->instances[engine->policy], engine->config.list_k, &rng);
    *list = (mr_list){
        .user = mr_users_id(&engine->users, slot),
        .task = work->view.task,
        .epoch = work->view.epoch,
        .time_ms = engine->tasks[work->view.task].clock_ms,
        .seed = engine->config.seed,
        .policy = engine->instances[engine->policy].state->name,
        .parameters = (uint32_t)engine->blend.gate->probes,
        .slice = slate->explore ? "explore" : "exploit",
        .explore_level = (float)slate->explore_bp / 10000.0f,
        .arm = arm < engine->columns.count ? engine->columns.of[arm].column->name : "blend",
        .segment = segment,
        .candidate_count = candidates->count,
        .candidate_hash = hash_candidates(engine, candidates),
        .entries = entries,
        .entry_count = slate->picked_count,
    };
    note_context(engine, work, slot, list);
    for (uint32_t place = 0; place < slate->picked_count; place++)
        fill_entry(engine, slate, place, &entries[place]);
    list->kth_score = list->entry_count > 0 ? entries[list->entry_count - 1].score : 0.0f;
    arena->used = mark;
}

// ---- a batch of one task's lists

static uint64_t hash_entries(const mr_list *list)
{
    uint64_t keys[MR_LIST_MAX];
    for (uint32_t i = 0; i < list->entry_count; i++)
        keys[i] = list->entries[i].item_key;
    return mr_hash64(keys, list->entry_count * sizeof keys[0], list->entry_count + 1u);
}

static void make_batch(void *arg, uint32_t task)
{
    mr_engine *engine = arg;
    mr_work *work = &engine->work[task];
    uint32_t users[MR_LIST_BATCH], slots[MR_LIST_BATCH][MR_RECENT_MAX];
    mr_filter filters[MR_LIST_BATCH];
    const uint32_t count = work->list_count;
    if (count == 0)
        return;
    for (uint32_t u = 0; u < count; u++) {
        users[u] = work->due[work->due_next + u].value;
        filter_of(engine, mr_users_at(&engine->users, users[u]), slots[u], &filters[u]);
    }
    mr_found *founds = mr_arena_push(&work->arena, engine->columns.count * count * sizeof *founds);
    mr_columns_find_batched(&engine->columns, &work->view, users, count, filters, &work->arena,
                            founds);
    for (uint32_t u = 0; u < count; u++)
        make_list(engine, work, users[u], &filters[u], founds + u, count, &work->lists[u],
                  work->entries + (size_t)u * engine->config.list_k);
    mr_arena_reset(&work->arena);
}

// Hands out a list that is not the one its user has. An empty one takes away what he has muted
// since the last; who has none yet is told nothing.
static void publish(mr_engine *engine, mr_work *work, uint32_t slot, uint64_t seq, mr_list *list,
                    const mr_close_sink *sink)
{
    mr_user *user = mr_users_at(&engine->users, slot);
    const uint64_t hash = hash_entries(list);
    user->listed_seq = seq;
    user->list_ms = list->time_ms;
    engine->lists_made++;
    if (hash == user->list_hash || (list->entry_count == 0 && user->list_hash == 0)) {
        if (sink->unchanged != NULL)
            sink->unchanged(sink->context, list->user);
        return;
    }
    user->list_hash = hash;
    list->version = (int64_t)(seq << 20 | work->place++);
    uint64_t *served = &engine->served[(size_t)slot * MR_SERVED];
    for (uint32_t i = 0; i < MR_SERVED; i++)
        served[i] = i < list->entry_count ? list->entries[i].item_key : 0;
    for (uint32_t i = 0; i < list->entry_count; i++)
        engine->exposed[mr_items_find(&engine->items, list->entries[i].item_key)]++;
    engine->lists_published++;
    if (sink->list != NULL)
        sink->list(sink->context, list);
}

// A batch of each task. *more: some are left.
static mr_status make_batches(mr_engine *engine, const uint64_t *seqs, const mr_close_sink *sink,
                              bool *more, mr_error *err)
{
    uint32_t made = 0;
    for (uint32_t t = 0; t < engine->config.tasks; t++) {
        MR_TRY(bring(engine, &engine->work[t], err));
        made += engine->work[t].list_count;
    }
    mr_engine_run(engine, make_batch, engine, engine->config.tasks);
    *more = false;
    for (uint32_t t = 0; t < engine->config.tasks; t++) {
        mr_work *work = &engine->work[t];
        for (uint32_t u = 0; u < work->list_count; u++) {
            const uint32_t slot = work->due[work->due_next + u].value;
            publish(engine, work, slot, seqs[t], &work->lists[u], sink);
            let_go(engine, slot, sink);
        }
        work->due_next += work->list_count;
        *more |= work->due_next < work->due_count;
    }
    MR_ASSERT(made > 0 || !*more); // a round leaves a record for each task
    return MR_OK;
}

mr_status mr_engine_make_lists(mr_engine *engine, const uint64_t *seqs, const mr_close_sink *sink,
                               mr_error *err)
{
    choose(engine);
    for (uint32_t t = 0; t < engine->config.tasks; t++)
        engine->work[t].view = mr_engine_view(engine, t);
    engine->users.closing = engine->closes + 1;
    mr_status status = MR_OK;
    for (bool more = true; more && status == MR_OK;)
        status = make_batches(engine, seqs, sink, &more, err);
    engine->users.closing = 0;
    if (status != MR_RETRY)
        return status;
    mr_wrap(err, "a row cannot be read whose user's list is due");
    return err->status = MR_FATAL; // some lists and rows are handed out already
}
