// SPDX-License-Identifier: Apache-2.0
#include "core/sim/loop.h"

#include <stdio.h>
#include <string.h>

#include "core/base/arena.h"
#include "core/base/rng.h"

enum { STREAM_CONTENT = 45 }; // beside those of worlds and attacks

const char *const mr_loop_policy_names[MR_LOOP_POLICIES] = {
    "random", "recency", "popularity", "learned", "oracle",
};

static uint32_t person_count(const mr_loop_config *config)
{
    return config->world.users + config->fakes;
}

// ---- events

// A place in the epoch of a task, which is learned first where it is full.
static mr_status learn(mr_loop *loop, mr_error *err);

static mr_status add(mr_loop *loop, uint32_t task, const mr_event *event, mr_error *err)
{
    mr_epoch *epoch = &loop->epochs[task];
    if (epoch->count == loop->config.engine.epoch_events_max)
        MR_TRY(learn(loop, err));
    mr_line *lines = loop->lines + ((size_t)task * loop->config.engine.epoch_events_max +
                                    epoch->count) *
                                       MR_WORLD_SLATE_MAX;
    mr_arrival *to = &epoch->arrivals[epoch->count++];
    *to = (mr_arrival){.event = *event,
                       .record_ms = event->time_ms,
                       .offset = (int64_t)++loop->sums.events};
    if (event->line_count > 0) {
        memcpy(lines, event->lines, event->line_count * sizeof *lines);
        to->event.lines = lines;
    }
    return MR_OK;
}

static mr_event event_of(const mr_loop *loop, uint32_t person, mr_event_kind kind, bool answers,
                         int64_t run_ms)
{
    const mr_loop_person *p = &loop->people[person];
    mr_event event = {.kind = kind,
                      .present = 1u << MR_FIELD_user | 1u << MR_FIELD_time,
                      .user = mr_bytes_text(p->id),
                      .time_ms = MR_LOOP_BEGIN_MS + run_ms,
                      .context = {{mr_bytes_text("ip"), mr_bytes_text(p->id)}},
                      .context_count = 1};
    if (person >= loop->config.world.users) // a farm stands behind one address
        event.context[0].value = mr_bytes_text("farm");
    if (answers) {
        event.present |= 1u << MR_FIELD_list_version;
        event.list_version = p->list_version;
    }
    return event;
}

static void count_shown(mr_loop *loop, uint32_t item)
{
    const uint32_t twin = loop->world.items[item].twin;
    loop->shown[item]++;
    if (twin == MR_WORLD_NONE)
        return;
    if (loop->shown[item] == MR_LOOP_HALF)
        loop->twins[item].at_half = loop->shown[twin];
    if (loop->shown[item] == MR_LOOP_FULL)
        loop->twins[item].at_full = loop->shown[twin];
}

mr_status mr_loop_send(mr_loop *loop, uint32_t person, mr_event_kind kind, const uint32_t *items,
                       uint32_t count, bool answers, int64_t run_ms, mr_error *err)
{
    mr_line lines[MR_WORLD_SLATE_MAX];
    mr_event event = event_of(loop, person, kind, answers, run_ms);
    MR_ASSERT(count >= 1 && count <= MR_WORLD_SLATE_MAX);
    if (kind == MR_EVENT_CLICK)
        loop->clicks[items[0]]++;
    for (uint32_t i = 0; kind == MR_EVENT_IMPRESSION && i < count; i++)
        count_shown(loop, items[i]);
    if (loop->engine == NULL)
        return MR_OK;
    if (kind == MR_EVENT_IMPRESSION || kind == MR_EVENT_PURCHASE) {
        for (uint32_t i = 0; i < count; i++)
            lines[i] = (mr_line){.item = mr_bytes_text(loop->item_ids[items[i]]),
                                 .quantity = 1,
                                 .propensity = __builtin_nan("")};
        event.present |= 1u << MR_FIELD_lines;
        event.lines = lines;
        event.line_count = count;
    } else {
        event.present |= 1u << MR_FIELD_item;
        event.item = mr_bytes_text(loop->item_ids[items[0]]);
    }
    return add(loop, mr_partition_of(event.user, loop->config.engine.tasks), &event, err);
}

static void describe(mr_loop *loop, uint32_t item, mr_event *event)
{
    const uint32_t themes = loop->config.world.themes;
    const float *alpha = loop->world.items[item].alpha;
    float *vector = loop->vectors + (size_t)item * MR_WORLD_THEMES_MAX;
    mr_rng rng = mr_rng_make(loop->config.world.seed, 0, 0, item,
                             (mr_purpose)(MR_PURPOSE_SIM + STREAM_CONTENT));
    float squares = 0;
    for (uint32_t t = 0; t < themes; t++)
        squares += alpha[t] * alpha[t];
    const float each = (float)loop->config.noise * __builtin_sqrtf(squares / (float)themes);
    for (uint32_t t = 0; t < themes; t++)
        vector[t] = alpha[t] + each * mr_rng_normal(&rng);
    event->present |= 1u << MR_FIELD_vector;
    event->vector = vector;
    event->vector_count = themes;
}

static mr_status send_item(mr_loop *loop, uint32_t item, int64_t run_ms, mr_error *err)
{
    char category[12];
    if (loop->engine == NULL)
        return MR_OK;
    snprintf(category, sizeof category, "c%u", loop->world.items[item].category);
    mr_event event = {.kind = MR_EVENT_CATALOGUE,
                      .present = 1u << MR_FIELD_item | 1u << MR_FIELD_time |
                                 1u << MR_FIELD_categories | 1u << MR_FIELD_available,
                      .item = mr_bytes_text(loop->item_ids[item]),
                      .time_ms = MR_LOOP_BEGIN_MS + run_ms,
                      .available = true,
                      .category_count = 1};
    // Categories are few: their names stand in the table of item ids, behind the items.
    const uint32_t place = loop->config.world.items + loop->world.items[item].category;
    memcpy(loop->item_ids[place], category, sizeof category);
    event.categories[0] = mr_bytes_text(loop->item_ids[place]);
    if (loop->config.content)
        describe(loop, item, &event);
    return add(loop, mr_partition_of(event.item, loop->config.engine.tasks), &event, err);
}

// ---- the engine

static uint32_t number_of(mr_bytes id, uint32_t count)
{
    uint32_t number = 0;
    for (uint32_t i = 1; i < id.size; i++)
        number = 10 * number + (uint32_t)(id.data[i] - '0');
    MR_ASSERT(id.size > 1 && number < count);
    return number;
}

static void take_row(void *context, uint32_t task, mr_row_place place, mr_bytes key, mr_bytes value,
                     mr_hash128 *hash)
{
    (void)context;
    (void)task;
    (void)place;
    *hash = value.size > 0 ? mr_row_hash(key, value) : (mr_hash128){0, 0};
}

static void take_list(void *context, const mr_list *list)
{
    mr_loop *loop = context;
    const mr_loop_config *config = &loop->config;
    mr_loop_person *p = &loop->people[number_of(list->user, person_count(config))];
    p->list_count = list->entry_count < config->k ? list->entry_count : config->k;
    p->list_version = list->version;
    for (uint32_t i = 0; i < p->list_count; i++)
        p->list[i] = number_of(list->entries[i].item, config->world.items);
    loop->sums.published++;
}

static mr_status close_commit(mr_loop *loop, mr_error *err)
{
    const mr_close_sink sink = {.context = loop, .row = take_row, .list = take_list};
    MR_TRY(mr_engine_close(loop->engine, loop->seqs, &sink, err));
    mr_engine_stored(loop->engine, mr_engine_closes(loop->engine));
    for (uint32_t t = 0; t < loop->config.engine.tasks; t++)
        loop->seqs[t]++;
    loop->sums.closes++;
    return MR_OK;
}

static mr_status learn(mr_loop *loop, mr_error *err)
{
    uint32_t count = 0;
    for (uint32_t t = 0; t < loop->config.engine.tasks; t++)
        if (loop->epochs[t].count > 0) {
            mr_epoch_sort(loop->epochs[t].arrivals, loop->sorting, loop->epochs[t].count);
            loop->round[count++] = loop->epochs[t];
        }
    if (count == 0)
        return MR_OK;
    mr_status status = mr_engine_round(loop->engine, loop->round, count, err);
    for (bool helps = true; status == MR_RETRY && helps;) {
        MR_TRY(close_commit(loop, err));
        helps = mr_engine_waiting(loop->engine) > 0;
        status = mr_engine_round(loop->engine, loop->round, count, err);
    }
    for (uint32_t t = 0; t < loop->config.engine.tasks; t++)
        loop->epochs[t].count = 0;
    loop->sums.rounds++;
    return status;
}

// ---- lists

static uint32_t popular(const mr_loop *loop, uint32_t user, uint32_t *slate)
{
    const uint32_t k = loop->config.k;
    double rates[MR_WORLD_SLATE_MAX];
    uint32_t found = 0;
    for (uint32_t item = 0; item < loop->live; item++) {
        const double rate = (loop->clicks[item] + 1.0) / (loop->shown[item] + 20.0);
        if ((found == k && rate <= rates[k - 1]) || mr_world_liked(&loop->world, user, item))
            continue;
        uint32_t at = found < k ? found++ : found - 1;
        for (; at > 0 && rates[at - 1] < rate; at--) {
            slate[at] = slate[at - 1];
            rates[at] = rates[at - 1];
        }
        slate[at] = item;
        rates[at] = rate;
    }
    return found;
}

static uint32_t recent(const mr_loop *loop, uint32_t user, uint32_t *slate)
{
    uint32_t found = 0;
    for (uint32_t item = loop->live; item-- > 0 && found < loop->config.k;)
        if (!mr_world_liked(&loop->world, user, item))
            slate[found++] = item;
    return found;
}

static bool from_engine(const mr_loop *loop, uint32_t user)
{
    return loop->config.policy == MR_LOOP_LEARNED && loop->people[user].list_count > 0;
}

uint32_t mr_loop_slate(const mr_loop *loop, uint32_t user, uint32_t *slate)
{
    const mr_loop_person *p = &loop->people[user];
    const uint32_t k = loop->config.k;
    switch (loop->config.policy) {
    case MR_LOOP_RANDOM:
        return mr_world_random(&loop->world, user, loop->live, slate, k);
    case MR_LOOP_RECENCY:
        return recent(loop, user, slate);
    case MR_LOOP_ORACLE:
        return mr_world_oracle(&loop->world, user, loop->live, slate, k);
    case MR_LOOP_POPULARITY:
    case MR_LOOP_LEARNED:
    case MR_LOOP_POLICIES:
        break;
    }
    if (!from_engine(loop, user))
        return popular(loop, user, slate);
    memcpy(slate, p->list, p->list_count * sizeof *slate);
    return p->list_count;
}

double mr_loop_recall(const mr_loop *loop, uint32_t user)
{
    uint32_t slate[MR_WORLD_SLATE_MAX], best[MR_WORLD_SLATE_MAX], both = 0;
    const uint32_t count = mr_loop_slate(loop, user, slate);
    const uint32_t wanted =
        mr_world_oracle(&loop->world, user, loop->live, best, loop->config.k);
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t j = 0; j < wanted; j++)
            both += slate[i] == best[j];
    return wanted > 0 ? (double)both / wanted : 0;
}

mr_hash128 mr_loop_state_hash(const mr_loop *loop)
{
    mr_hash128 sum = {0, 0};
    for (uint32_t t = 0; loop->engine != NULL && t < loop->config.engine.tasks; t++)
        mr_hash128_add(&sum, mr_engine_task(loop->engine, t).state_hash);
    return sum;
}

// ---- users

static void hold_against_oracle(mr_loop *loop, uint32_t user, const uint32_t *slate, uint32_t count)
{
    uint32_t best[MR_WORLD_SLATE_MAX];
    const uint32_t every = loop->config.oracle_every;
    if (every == 0 || loop->sums.lists % every != 0)
        return;
    const uint32_t wanted = mr_world_oracle(&loop->world, user, loop->live, best, loop->config.k);
    loop->sums.against++;
    loop->sums.expected += mr_world_expect(&loop->world, user, slate, count, NULL);
    loop->sums.oracle += mr_world_expect(&loop->world, user, best, wanted, NULL);
}

static void count_early(mr_loop *loop, uint32_t user, const uint32_t *slate, uint32_t count)
{
    mr_loop_sums *sums = &loop->sums;
    const uint32_t community = loop->world.users[user].community;
    loop->looks[community]++;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t home = loop->homes[slate[i]];
        if (loop->world.items[slate[i]].born_ms == 0 || loop->clicks[slate[i]] > 0)
            continue;
        sums->early++;
        sums->early_home += home == community;
        sums->early_chance += (double)loop->looks[home] / (double)sums->lists;
    }
}

static void count_act(mr_loop *loop, uint32_t user, const uint32_t *slate, const mr_world_act *act)
{
    mr_loop_sums *sums = &loop->sums;
    sums->clicks += act->kind == MR_EVENT_CLICK;
    loop->people[user].clicks += act->kind == MR_EVENT_CLICK;
    sums->carts += act->kind == MR_EVENT_CART;
    if (act->kind != MR_EVENT_PURCHASE)
        return;
    sums->purchases++;
    sums->late += act->delay_ms > 0;
    sums->other += act->item != slate[act->place];
}

static mr_status look(mr_loop *loop, uint32_t user, int64_t at_ms, mr_error *err)
{
    mr_world_act acts[MR_WORLD_ACTS_MAX];
    uint32_t slate[MR_WORLD_SLATE_MAX];
    mr_loop_person *p = &loop->people[user];
    const uint32_t count = mr_loop_slate(loop, user, slate);
    const bool answers = from_engine(loop, user);
    if (count == 0)
        return MR_OK;
    hold_against_oracle(loop, user, slate, count);
    loop->sums.lists++;
    loop->sums.shown += count;
    count_early(loop, user, slate, count);
    p->lists++;
    p->shown += count;
    MR_TRY(mr_loop_send(loop, user, MR_EVENT_IMPRESSION, slate, count, answers, at_ms, err));
    const uint32_t act_count = mr_world_visit(&loop->world, user, slate, count, acts);
    for (uint32_t i = 0; i < act_count; i++) {
        count_act(loop, user, slate, &acts[i]);
        if (acts[i].delay_ms > 0 && p->late_count < MR_LOOP_LATE_MAX)
            p->late[p->late_count++] = (mr_loop_late){at_ms + acts[i].delay_ms, acts[i]};
        else // a millisecond on, so that no act is taken for another's copy
            MR_TRY(mr_loop_send(loop, user, acts[i].kind, &acts[i].item, 1, answers,
                                at_ms + 1 + i, err));
    }
    return MR_OK;
}

static mr_status come(mr_loop *loop, uint32_t user, int64_t at_ms, mr_error *err)
{
    mr_world_come(&loop->world, user, at_ms);
    const uint32_t found = mr_world_browse(&loop->world, user, loop->live);
    if (found != MR_WORLD_NONE) {
        loop->sums.finds++;
        MR_TRY(mr_loop_send(loop, user, MR_EVENT_CLICK, &found, 1, false, at_ms, err));
    }
    return look(loop, user, at_ms, err);
}

static mr_status buy_late(mr_loop *loop, uint32_t user, int64_t until_ms, mr_error *err)
{
    mr_loop_person *p = &loop->people[user];
    for (uint32_t i = 0; i < p->late_count;) {
        const mr_loop_late late = p->late[i];
        if (late.due_ms >= until_ms) {
            i++;
            continue;
        }
        p->late[i] = p->late[--p->late_count];
        MR_TRY(mr_loop_send(loop, user, MR_EVENT_PURCHASE, &late.act.item, 1, false, late.due_ms,
                            err));
    }
    return MR_OK;
}

// ---- time

static int64_t earliest(const mr_loop *loop)
{
    int64_t at = MR_WORLD_NEVER;
    for (uint32_t u = 0; u < loop->config.world.users; u++) {
        const mr_loop_person *p = &loop->people[u];
        at = p->next_ms < at ? p->next_ms : at;
        for (uint32_t i = 0; i < p->late_count; i++)
            at = p->late[i].due_ms < at ? p->late[i].due_ms : at;
    }
    if (loop->beside.act != NULL) {
        const int64_t due = loop->beside.due_ms(loop->beside.context);
        at = due < at ? due : at;
    }
    return at > loop->now_ms ? at : loop->now_ms;
}

static mr_status tick(mr_loop *loop, int64_t end_ms, mr_error *err)
{
    for (const uint32_t live = mr_world_live(&loop->world, end_ms - 1); loop->live < live;
         loop->live++) {
        const uint32_t twin = loop->world.items[loop->live].twin;
        if (twin != MR_WORLD_NONE)
            loop->twins[loop->live].at_birth = loop->shown[twin];
        MR_TRY(send_item(loop, loop->live, end_ms - 1, err));
    }
    for (uint32_t user = 0; user < loop->config.world.users; user++) {
        mr_loop_person *p = &loop->people[user];
        MR_TRY(buy_late(loop, user, end_ms, err));
        if (p->next_ms >= end_ms)
            continue;
        MR_TRY(come(loop, user, p->next_ms, err));
        p->next_ms += mr_world_gap_ms(&loop->world, user);
        p->next_ms = p->next_ms < end_ms ? end_ms : p->next_ms; // once a tick
    }
    if (loop->beside.act != NULL)
        MR_TRY(loop->beside.act(loop->beside.context, loop, end_ms, err));
    loop->now_ms = end_ms;
    if (loop->engine == NULL)
        return MR_OK;
    MR_TRY(learn(loop, err));
    return close_commit(loop, err);
}

mr_status mr_loop_run(mr_loop *loop, int64_t until_ms, mr_error *err)
{
    const int64_t every = loop->config.tick_ms;
    for (;;) {
        const int64_t at = earliest(loop);
        if (at >= until_ms)
            return MR_OK;
        MR_TRY(tick(loop, at - at % every + every, err));
    }
}

// ---- memory

static size_t own_bytes(const mr_loop_config *config)
{
    const size_t tasks = config->engine.tasks, events = config->engine.epoch_events_max;
    const size_t items = config->world.items;
    return mr_arena_round(person_count(config) * sizeof(mr_loop_person)) +
           mr_arena_round((items + MR_WORLD_THEMES_MAX) * 12) +
           3 * mr_arena_round(items * sizeof(uint32_t)) +
           mr_arena_round(items * sizeof(mr_loop_twin)) +
           mr_arena_round(items * MR_WORLD_THEMES_MAX * sizeof(float)) +
           2 * mr_arena_round(tasks * sizeof(mr_epoch)) +
           mr_arena_round(tasks * events * sizeof(mr_arrival)) +
           mr_arena_round(events * sizeof(mr_arrival)) +
           mr_arena_round(tasks * events * MR_WORLD_SLATE_MAX * sizeof(mr_line)) +
           mr_arena_round(tasks * sizeof(uint64_t)) +
           mr_arena_round(mr_world_bytes(&config->world));
}

mr_status mr_loop_bytes(const mr_loop_config *config, size_t *bytes, mr_error *err)
{
    size_t engine = 0;
    if (config->policy == MR_LOOP_LEARNED)
        MR_TRY(mr_engine_bytes(&config->engine, &engine, err));
    *bytes = own_bytes(config) + mr_arena_round(engine);
    return MR_OK;
}

static void push_all(mr_loop *loop, mr_arena *arena)
{
    const mr_loop_config *config = &loop->config;
    const size_t tasks = config->engine.tasks, events = config->engine.epoch_events_max;
    loop->people = mr_arena_push(arena, person_count(config) * sizeof *loop->people);
    loop->item_ids = mr_arena_push(arena, (config->world.items + MR_WORLD_THEMES_MAX) * 12);
    loop->clicks = mr_arena_push(arena, config->world.items * sizeof *loop->clicks);
    loop->shown = mr_arena_push(arena, config->world.items * sizeof *loop->shown);
    loop->twins = mr_arena_push(arena, config->world.items * sizeof *loop->twins);
    loop->homes = mr_arena_push(arena, config->world.items * sizeof *loop->homes);
    loop->vectors = mr_arena_push(arena, config->world.items * MR_WORLD_THEMES_MAX *
                                             sizeof *loop->vectors);
    loop->epochs = mr_arena_push(arena, tasks * sizeof *loop->epochs);
    loop->round = mr_arena_push(arena, tasks * sizeof *loop->round);
    mr_arrival *arrivals = mr_arena_push(arena, tasks * events * sizeof *arrivals);
    loop->sorting = mr_arena_push(arena, events * sizeof *loop->sorting);
    loop->lines =
        mr_arena_push(arena, tasks * events * MR_WORLD_SLATE_MAX * sizeof *loop->lines);
    loop->seqs = mr_arena_push(arena, tasks * sizeof *loop->seqs);
    for (uint32_t t = 0; t < tasks; t++)
        loop->epochs[t] = (mr_epoch){.task = t, .arrivals = arrivals + t * events};
    mr_world_init(&loop->world, &config->world,
                  mr_arena_push(arena, mr_world_bytes(&config->world)));
    mr_world_homes(&loop->world, loop->homes);
}

static mr_status start_engine(mr_loop *loop, mr_arena *arena, mr_error *err)
{
    size_t bytes;
    loop->config.engine.fetch = (mr_fetch){0}; // everybody stays in memory
    MR_TRY(mr_engine_bytes(&loop->config.engine, &bytes, err));
    MR_TRY(mr_engine_init(&loop->engine, &loop->config.engine, mr_arena_push(arena, bytes), bytes,
                          err));
    for (uint32_t t = 0; t < loop->config.engine.tasks; t++) {
        loop->seqs[t] = 1;
        mr_engine_take(loop->engine, t, 1);
    }
    return mr_engine_ready(loop->engine, err);
}

mr_status mr_loop_init(mr_loop *loop, const mr_loop_config *config, void *memory, mr_error *err)
{
    size_t bytes;
    mr_arena arena;
    MR_ASSERT(config->k >= 1 && config->k <= MR_WORLD_SLATE_MAX && config->tick_ms >= 1);
    MR_TRY(mr_loop_bytes(config, &bytes, err));
    mr_arena_init(&arena, memory, bytes);
    *loop = (mr_loop){.config = *config};
    push_all(loop, &arena);
    for (uint32_t p = 0; p < person_count(config); p++) {
        snprintf(loop->people[p].id, sizeof loop->people[p].id, "u%u", p);
        loop->people[p].next_ms =
            p < config->world.users ? mr_world_gap_ms(&loop->world, p) : MR_WORLD_NEVER;
    }
    for (uint32_t i = 0; i < config->world.items; i++)
        snprintf(loop->item_ids[i], sizeof loop->item_ids[i], "i%u", i);
    return config->policy == MR_LOOP_LEARNED ? start_engine(loop, &arena, err) : MR_OK;
}
