// SPDX-License-Identifier: Apache-2.0
// engine_round: a round: fetch, ingest, then waves of probe and observe, then the merge.
//
// Invariants
// 1. Nothing is learned before every row that the round needs is in memory: MR_RETRY leaves no
// trace.
// 2. A task's events are learned in their order; no user stands twice in a wave.
// 3. In observe only user parts are written; items are as of the round's start.
// 4. What follows from an event is decided by rows, the epoch and the configuration alone.
#include "core/engine_state.h"
#include "core/ingest/ingest.h"

enum {
    SIGNALS_FOR_LANES = 64, // fewer are learned faster than a lane wakes up
    AHEAD = 4,              // events that are asked for before they are needed: rows lie far apart
};

// ---- fetch

// Lines count where the kind of event has them; elsewhere a mapping may have filled them for
// nothing.
static bool has_lines(const mr_event *event)
{
    return event->line_count > 0 &&
           (event->kind == MR_EVENT_PURCHASE || event->kind == MR_EVENT_IMPRESSION);
}

static uint32_t line_count(const mr_event *event)
{
    return has_lines(event) ? event->line_count : 1;
}

// Reads the stored row of a user into his record, which has the value of an absent one.
static mr_status read_user(mr_engine *engine, uint32_t task, mr_bytes id, uint32_t slot,
                           mr_error *err)
{
    const mr_fetch *fetch = &engine->config.fetch;
    uint8_t key[MR_ROW_KEY_MAX] = {MR_ROW_USER};
    mr_bytes value = {NULL, 0};
    mr_hash128 hash = {0, 0};
    memcpy(key + 1, id.data, id.size);
    if (fetch->get != NULL)
        MR_TRY(
            fetch->get(fetch->context, task, mr_bytes_of(key, id.size + 1u), &value, &hash, err));
    if (value.size == 0)
        return MR_OK;
    MR_TRY(mr_users_decode(&engine->users, slot, value, err));
    engine->users.meta[slot].hash = hash;
    return MR_OK;
}

mr_status mr_engine_bring_user(mr_engine *engine, uint32_t task, mr_bytes id, uint32_t *slot,
                               mr_error *err)
{
    mr_users *users = &engine->users;
    const uint64_t key = mr_user_key(id);
    *slot = mr_slots_find(&users->slots, key);
    if (*slot != MR_MAP_NONE)
        return MR_OK;
    const uint32_t added = mr_users_add(users, task, key, id);
    if (added == MR_MAP_NONE)
        return mr_fail(err, MR_RETRY, "users.memory is full of rows that are not stored yet");
    const mr_status status = read_user(engine, task, id, added, err);
    if (status != MR_OK) { // a record without its row must not be found
        mr_users_drop(users, added);
        return status;
    }
    memset(&engine->served[(size_t)added * MR_SERVED], 0, MR_SERVED * 8);
    *slot = added;
    return MR_OK;
}

static mr_status fetch_user(mr_engine *engine, uint32_t task, mr_bytes id, mr_error *err)
{
    mr_users *users = &engine->users;
    uint32_t slot;
    MR_TRY(mr_engine_bring_user(engine, task, id, &slot, err));
    users->meta[slot].recent = 1;
    if (users->meta[slot].round == 0) {
        users->meta[slot].round = engine->round;
        engine->pinned[engine->pinned_count++] = slot;
    }
    return MR_OK;
}

static void unpin(mr_engine *engine)
{
    for (uint32_t i = 0; i < engine->pinned_count; i++) {
        mr_user_meta *meta = &engine->users.meta[engine->pinned[i]];
        meta->round = 0;
        meta->wave = 0;
    }
    engine->pinned_count = 0;
}

static mr_status fetch(mr_engine *engine, const mr_epoch *epochs, uint32_t epoch_count,
                       mr_error *err)
{
    const mr_users *users = &engine->users;
    // Of each task no more than its share, so that whoever takes tasks has room for who waits.
    const uint32_t waiting_max = users->waiting.max / engine->config.tasks;
    uint32_t waiting = users->waiting.count; // at most, behind the round
    uint32_t items = 0;                      // that may be new
    for (uint32_t e = 0; e < epoch_count; e++) {
        uint32_t lines = 0;
        for (uint32_t a = 0; a < epochs[e].count; a++) {
            const mr_event *event = &epochs[e].arrivals[a].event;
            lines += line_count(event);
            if (event->kind != MR_EVENT_CATALOGUE && event->user.size > 0 &&
                event->user.size <= engine->users.id_bytes_max)
                MR_TRY(fetch_user(engine, epochs[e].task, event->user, err));
        }
        waiting += epochs[e].count;
        if (users->waiting.of_task[epochs[e].task] + epochs[e].count > waiting_max ||
            waiting > users->waiting.max)
            return mr_fail(err, MR_RETRY, "too many users wait for their lists");
        MR_ASSERT(epochs[e].count <= 1 ||
                  lines <= engine->config.epoch_events_max * MR_SIGNALS_PER_EVENT);
        if (lines > mr_task_room(&engine->tasks[epochs[e].task]))
            return mr_fail(err, MR_RETRY,
                           "the window of recent events is full of events that are not "
                           "stored yet");
        items += lines;
        if (engine->apart && !mr_engine_outbox_room(engine, epochs[e].task, epochs[e].count, lines))
            return mr_fail(err, MR_RETRY, "the deltas to other workers are full until a close");
        MR_TRY(mr_engine_check_received(engine, &epochs[e], &items, err));
    }
    // The lists of a close are made of rows in memory, one at a time of each task at least.
    if (users->dirty_count + engine->pinned_count + engine->config.tasks > users->slots.max)
        return mr_fail(err, MR_RETRY, "users.memory is full of rows that are not stored yet");
    if (items > mr_slots_left(&engine->items.slots))
        return mr_fail(err, MR_RETRY, "items.max is reached by items that are not stored yet");
    return MR_OK;
}

// ---- ingest

// Items of one impression share a wave: they are one look at one slate.
static void add_signal(mr_engine *engine, mr_work *work, uint32_t user, mr_signal signal)
{
    mr_user_meta *meta = &engine->users.meta[user];
    const bool same = signal.kind == MR_SIGNAL_SHOWN && work->signal_count > 0 &&
                      work->signals[work->signal_count - 1].index == signal.index;
    signal.user = user;
    signal.opens = signal.kind == MR_SIGNAL_SHOWN && !same;
    work->wave_of[work->signal_count] = same ? meta->wave - 1 : meta->wave++;
    if (work->wave_of[work->signal_count] >= work->wave_count)
        work->wave_count = work->wave_of[work->signal_count] + 1;
    work->signals[work->signal_count++] = signal;
}

// The slot of an item, made where it is new; an id that another item's key has is refused.
static mr_status item_of(mr_engine *engine, mr_bytes id, int64_t time_ms, uint32_t *slot,
                         uint64_t *key, mr_error *err)
{
    *key = mr_item_key(id);
    *slot = mr_items_find(&engine->items, *key);
    if (*slot == MR_MAP_NONE) {
        *slot = mr_engine_new_item(engine, *key, id, time_ms); // fetch made sure of a place
        return MR_OK;
    }
    mr_item *item = mr_items_at(&engine->items, *slot);
    if (engine->items.guest[*slot] != 0) {
        item->last_ms = time_ms > item->last_ms ? time_ms : item->last_ms;
        if (item->id_size == 0) { // only rows of models have come so far
            item->id_size = (uint8_t)id.size;
            memcpy(item->id, id.data, id.size);
        }
    }
    if (!mr_bytes_equal(mr_bytes_of(item->id, item->id_size), id))
        return mr_reject(err, MR_CAUSE_id_collision, "item id '%.*s' has the 64-bit key of '%.*s'",
                         (int)id.size, (const char *)id.data, (int)item->id_size,
                         (const char *)item->id);
    return MR_OK;
}

// Whether an item that an event names has rows, or is to be given them. The task's own filter says
// so, and the catalogue; not whether the item has rows already: its shard may be another worker's,
// whose commits are heard of sooner or later, and then what is learned of a partition's records
// would depend on which tasks share a worker. So a partition that meets an item for the first time
// counts anew, whatever others have learned of it. What the catalogue says of an item holds from
// the round after it was read, or after its owner's commit was heard of.
static bool is_admitted(mr_engine *engine, mr_task *task, mr_bytes id)
{
    const uint32_t least = engine->config.item_admission;
    if (least <= 1)
        return true;
    const uint64_t key = mr_item_key(id);
    const uint32_t slot = mr_items_find(&engine->items, key);
    return (slot != MR_MAP_NONE && mr_items_at(&engine->items, slot)->in_catalogue) ||
           mr_admission_count(&task->admission, key, least);
}

// Where the event came from, by its context; 0: nobody says.
static uint64_t origin_of(const mr_engine *engine, const mr_event *event)
{
    const mr_bytes name = engine->config.origin;
    for (uint32_t i = 0; name.size > 0 && i < event->context_count; i++)
        if (mr_bytes_equal(event->context[i].name, name) && event->context[i].value.size > 0)
            return mr_hash64(event->context[i].value.data, event->context[i].value.size, 0) | 1u;
    return 0;
}

// Whether a rule keeps the event from being learned.
static bool is_held(const mr_engine *engine, const mr_view *view, const mr_event *event)
{
    const bool one =
        !has_lines(event) && mr_event_has(event, MR_FIELD_item) && !mr_event_is_refund(event, 0);
    const mr_asked asked = {
        .origin = origin_of(engine, event),
        .item_key = one ? mr_item_key(event->item) : 0,
        .act = (uint8_t)event->kind,
        .now_ms = event->time_ms > view->clock_ms ? event->time_ms : view->clock_ms,
    };
    if (event->kind == MR_EVENT_CATALOGUE || event->kind == MR_EVENT_CONTROL)
        return false;
    for (uint32_t r = 0; r < engine->rule_count; r++) {
        const mr_instance *instance = &engine->instances[engine->rule_first + r];
        const mr_rule *rule = (const mr_rule *)(const void *)instance->state;
        if (rule->holds != NULL &&
            rule->holds(instance, view,
                        mr_slots_find(&engine->users.slots, mr_user_key(event->user)), &asked))
            return true;
    }
    return false;
}

static uint64_t text_hash(const mr_event *event, mr_field field, mr_bytes text)
{
    return mr_event_has(event, field) && text.size > 0 ? mr_hash64(text.data, text.size, 0) | 1u
                                                       : 0;
}

// A list is named by its id, or else by its version, which no other list of the user has.
static uint64_t list_of(const mr_event *event)
{
    const uint64_t by_id = text_hash(event, MR_FIELD_list, event->list);
    return by_id == 0 && mr_event_has(event, MR_FIELD_list_version)
               ? mr_hash64(&event->list_version, sizeof event->list_version, 0) | 1u
               : by_id;
}

// By what an event, not judged yet, is known. A purchase without an id of its own is known by its
// order and its first item, since an order may come as an event for each item.
static uint64_t identity_of(const mr_event *event)
{
    const uint64_t by_id = text_hash(event, MR_FIELD_event_id, event->event_id);
    if (by_id != 0 || event->kind != MR_EVENT_PURCHASE || mr_event_is_refund(event, 0) ||
        !mr_event_has(event, MR_FIELD_order) || event->order.size == 0)
        return by_id;
    const mr_bytes item = has_lines(event) ? event->lines[0].item : event->item;
    const bool named = has_lines(event) || mr_event_has(event, MR_FIELD_item);
    return mr_hash64(event->order.data, event->order.size, named ? mr_item_key(item) : 0) | 1u;
}

static mr_status ingest_item(mr_engine *engine, mr_work *work, const mr_arrival *arrival,
                             mr_bytes item, float weight, double propensity, int32_t position,
                             uint32_t user, uint32_t index, uint64_t event_hash, mr_error *err)
{
    const mr_event *event = &arrival->event;
    mr_task *task = &engine->tasks[work->epoch->task];
    const bool refund = mr_event_is_refund(event, position > 0 ? (uint32_t)position : 0);
    const bool later = has_lines(event) && position > 0; // an event is known by its first line
    if (!is_admitted(engine, task, item)) {
        work->pending++;
        if (event->kind != MR_EVENT_IMPRESSION && !later && event_hash != 0)
            mr_task_remember(task, event_hash, 0);
        return MR_OK;
    }
    mr_signal signal = {
        .origin = origin_of(engine, event),
        .list = list_of(event),
        .order = text_hash(event, MR_FIELD_order, event->order),
        .kind = refund                               ? MR_SIGNAL_REFUND
                : event->kind == MR_EVENT_IMPRESSION ? MR_SIGNAL_SHOWN
                                                     : MR_SIGNAL_ACT,
        .act = event->kind,
        .event_hash = event_hash,
        .time_ms = event->time_ms,
        .weight = weight,
        .value = mr_event_has(event, MR_FIELD_value) ? (float)event->value : __builtin_nanf(""),
        .propensity = (float)propensity,
        .position = position,
        .index = index,
        .answers = mr_event_has(event, MR_FIELD_list) || mr_event_has(event, MR_FIELD_list_version),
    };
    MR_TRY(item_of(engine, item, event->time_ms, &signal.item, &signal.item_key, err));
    add_signal(engine, work, user, signal);
    if (signal.kind == MR_SIGNAL_SHOWN)
        task->shown++;
    else
        mr_task_remember(task, later ? 0 : event_hash, refund ? 0 : signal.item_key);
    return MR_OK;
}

static mr_status ingest_lines(mr_engine *engine, mr_work *work, const mr_arrival *arrival,
                              uint32_t user, uint32_t index, uint64_t event_hash, mr_error *err)
{
    const mr_event *event = &arrival->event;
    const float weight = engine->config.act_weights[event->kind];
    if (event->kind == MR_EVENT_IMPRESSION)
        mr_task_remember(&engine->tasks[work->epoch->task], event_hash, 0);
    for (uint32_t i = 0; i < event->line_count; i++)
        MR_TRY(ingest_item(engine, work, arrival, event->lines[i].item, weight,
                           event->lines[i].propensity, (int32_t)i, user, index, event_hash, err));
    return MR_OK;
}

static void ingest_catalogue(mr_work *work, const mr_event *event, uint32_t slot, uint32_t index)
{
    mr_catalogue_set *set = &work->catalogue[work->catalogue_count++];
    *set = (mr_catalogue_set){
        .slot = slot,
        .arrival = index,
        .price = mr_event_has(event, MR_FIELD_price) ? (float)event->price : 0.0f,
        .time_ms = event->time_ms,
        .available =
            (!mr_event_has(event, MR_FIELD_available) || event->available) && !event->deleted,
        .in_catalogue = !event->deleted,
    };
    for (uint32_t i = 0; i < event->category_count && i < 4; i++)
        set->categories[i] = mr_category_key(event->categories[i]);
}

static void ingest_control(mr_engine *engine, mr_work *work, const mr_event *event, uint32_t user,
                           uint32_t index)
{
    const bool about = mr_event_has(event, MR_FIELD_target) && event->target.size > 0;
    add_signal(
        engine, work, user,
        (mr_signal){
            .kind = MR_SIGNAL_CONTROL,
            .act = MR_EVENT_CONTROL,
            .action = mr_action_of(event->action),
            .target = about ? mr_category_key(event->target) : 0,
            .item = MR_MAP_NONE,
            .time_ms = event->time_ms,
            .value = mr_event_has(event, MR_FIELD_value) ? (float)event->value : __builtin_nanf(""),
            .propensity = __builtin_nanf(""),
            .position = -1,
            .index = index,
        });
}

static mr_status ingest_event(mr_engine *engine, mr_work *work, const mr_arrival *arrival,
                              uint32_t index, uint64_t event_hash, mr_error *err)
{
    const mr_event *event = &arrival->event;
    mr_task *task = &engine->tasks[work->epoch->task];
    if (event->kind == MR_EVENT_CATALOGUE) {
        uint32_t slot;
        uint64_t key;
        MR_TRY(item_of(engine, event->item, event->time_ms, &slot, &key, err));
        ingest_catalogue(work, event, slot, index);
        return MR_OK;
    }
    const uint32_t user = mr_slots_find(&engine->users.slots, mr_user_key(event->user));
    MR_ASSERT(user != MR_MAP_NONE);
    if (!mr_bytes_equal(mr_users_id(&engine->users, user), event->user))
        return mr_reject(err, MR_CAUSE_id_collision, "user id '%.*s' has the 64-bit key of another",
                         (int)event->user.size, (const char *)event->user.data);
    if (has_lines(event))
        return ingest_lines(engine, work, arrival, user, index, event_hash, err);
    if (event->kind == MR_EVENT_SEARCH || event->kind == MR_EVENT_CONTROL) {
        mr_task_remember(task, event_hash, 0);
        if (event->kind == MR_EVENT_CONTROL)
            ingest_control(engine, work, event, user, index);
        return MR_OK;
    }
    return ingest_item(engine, work, arrival, event->item, engine->config.act_weights[event->kind],
                       mr_event_has(event, MR_FIELD_propensity) ? event->propensity
                                                                : __builtin_nan(""),
                       mr_event_has(event, MR_FIELD_position) ? (int32_t)event->position : -1, user,
                       index, event_hash, err);
}

static void refuse(mr_arrival *arrival, mr_task *task, const mr_error *err)
{
    arrival->cause = err->cause;
    memcpy(arrival->reason, err->text, sizeof arrival->reason);
    arrival->reason[sizeof arrival->reason - 1] = '\0';
    task->counters.refused++;
}

// By what the event is known, 0: by nothing; asks for the place where the task would know it.
static uint64_t hash_ahead(const mr_task *task, const mr_epoch *epoch, uint32_t a)
{
    if (a >= epoch->count || epoch->arrivals[a].cause != MR_CAUSE_NONE)
        return 0;
    const uint64_t hash = identity_of(&epoch->arrivals[a].event);
    if (hash != 0)
        mr_map_prefetch(&task->by_hash, hash);
    return hash;
}

static void ingest(mr_engine *engine, mr_work *work)
{
    mr_task *task = &engine->tasks[work->epoch->task];
    const mr_ingest_limits limits = {engine->config.user_id_bytes_max,
                                     engine->config.item_id_bytes_max,
                                     engine->config.clock_skew_max_ms, engine->config.vector_length,
                                     engine->config.vector_model};
    const mr_view view = mr_engine_view(engine, work->epoch->task); // as of the round's start
    uint64_t hashes[AHEAD];
    for (uint32_t a = 0; a < AHEAD; a++)
        hashes[a] = hash_ahead(task, work->epoch, a);
    work->signal_count = work->wave_count = work->catalogue_count = work->probe_count = 0;
    for (uint32_t a = 0; a < work->epoch->count; a++) {
        mr_arrival *arrival = &work->epoch->arrivals[a];
        const mr_event *event = &arrival->event;
        const uint64_t hash = hashes[a % AHEAD];
        mr_error err;
        hashes[a % AHEAD] = hash_ahead(task, work->epoch, a + AHEAD);
        arrival->learned = false;
        task->counters.read++;
        if (arrival->cause != MR_CAUSE_NONE) { // could not be decoded: counted here, once
            task->counters.refused++;
            continue;
        }
        if (mr_ingest_check(arrival, &limits, &err) != MR_OK) {
            refuse(arrival, task, &err);
            continue;
        }
        if (mr_task_knows(task, hash)) {
            task->counters.duplicate++;
            continue;
        }
        const bool late = event->time_ms < task->clock_ms - engine->config.late_window_ms;
        task->counters.late += late;
        if (late && engine->config.late_drop && event->kind != MR_EVENT_CONTROL) {
            task->counters.late_dropped++;
            continue;
        }
        if (is_held(engine, &view, event)) {
            task->counters.limited++;
            continue;
        }
        const uint32_t signals = work->signal_count;
        work->pending = 0;
        if (ingest_event(engine, work, arrival, a, hash, &err) != MR_OK) {
            work->signal_count = signals; // a refused event leaves no signal of any of its lines
            refuse(arrival, task, &err);
            continue;
        }
        // An event is learned where one of its items is admitted, and of those that are.
        arrival->learned = work->pending == 0 || work->signal_count > signals;
        task->counters.learned += arrival->learned;
        task->counters.pending += !arrival->learned;
        if (event->time_ms > task->clock_ms)
            task->clock_ms = event->time_ms;
    }
    if (work->epoch->tick_ms > task->clock_ms)
        task->clock_ms = work->epoch->tick_ms;
}

// ---- waves

static void remember(mr_user *user, const mr_signal *signal)
{
    if (signal->kind != MR_SIGNAL_ACT)
        return;
    memmove(&user->recent[1], &user->recent[0], (MR_RECENT_MAX - 1) * sizeof user->recent[0]);
    user->recent[0] = (mr_recent){
        .item_key = signal->item_key,
        .time_s = (uint32_t)(signal->time_ms / 1000),
        .act = (uint8_t)signal->act,
        .position =
            signal->position < 0 || signal->position > 254 ? 255 : (uint8_t)signal->position,
    };
    user->recent_count += user->recent_count < MR_RECENT_MAX;
    user->events++;
}

static bool is_repeat(const mr_user *user, uint64_t item_key)
{
    for (uint32_t r = 0; r < user->recent_count; r++)
        if (user->recent[r].item_key == item_key)
            return true;
    return false;
}

// What the user's row holds is gone; a later event finds somebody unknown.
static void forget(mr_engine *engine, uint32_t slot)
{
    mr_users_blank(&engine->users, slot);
    memset(&engine->served[(size_t)slot * MR_SERVED], 0, MR_SERVED * sizeof engine->served[0]);
}

static void join(mr_engine *engine, mr_work *work, mr_signal *signal)
{
    for (uint32_t i = 0; engine->joins && i < engine->instance_count; i++)
        if (engine->instances[i].state->join != NULL)
            engine->instances[i].state->join(&engine->instances[i], &work->view, signal);
}

static void learn_wave(mr_engine *engine, mr_work *work, uint32_t count)
{
    const size_t mark = work->arena.used;
    mr_asking asking;
    mr_engine_begin_asking(&asking, engine, work);
    for (uint32_t s = 0; s < count; s++) {
        mr_signal *signal = &work->wave[s];
        join(engine, work, signal);
        signal->repeat = is_repeat(mr_users_at(&engine->users, signal->user), signal->item_key);
        if (signal->kind == MR_SIGNAL_ACT)
            mr_engine_probe(&asking, signal);
    }
    mr_engine_answer(&asking);
    work->arena.used = mark;
    for (uint32_t i = 0; i < engine->instance_count; i++) {
        const uint64_t begun = mr_costs_now(work->view.costs);
        if (engine->instances[i].state->observe != NULL)
            engine->instances[i].state->observe(&engine->instances[i], &work->view, work->wave,
                                                count, &work->deltas, &work->arena);
        if (work->view.costs != NULL)
            work->view.costs->of[i].learn_ns += mr_costs_now(work->view.costs) - begun;
    }
    for (uint32_t s = 0; s < count; s++) {
        const mr_signal *signal = &work->wave[s];
        if (signal->kind == MR_SIGNAL_CONTROL && signal->action == MR_ACTION_FORGET) {
            forget(engine, signal->user);
            continue;
        }
        mr_user *user = mr_users_at(&engine->users, signal->user);
        remember(user, signal);
        user->touched_seq = engine->tasks[work->view.task].next_seq;
        engine->users.meta[signal->user].blank = 0;
    }
}

// An attribute is a name and a value: the pair is what two items have in common. What names the
// model of a vector says nothing of the item.
static uint32_t tokens_of(const mr_event *event, uint64_t tokens[MR_TOKENS_MAX])
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < event->category_count; i++)
        tokens[count++] = mr_category_key(event->categories[i]);
    for (uint32_t i = 0; i < event->context_count; i++) {
        const mr_pair *pair = &event->context[i];
        if (!mr_bytes_equal(pair->name, mr_bytes_text(MR_VECTOR_MODEL)))
            tokens[count++] = mr_hash64(pair->value.data, pair->value.size,
                                        mr_hash64(pair->name.data, pair->name.size, 0));
    }
    return count;
}

static void describe_items(mr_engine *engine, mr_work *work)
{
    uint64_t tokens[MR_TOKENS_MAX];
    for (uint32_t c = 0; c < work->catalogue_count; c++) {
        const mr_catalogue_set *set = &work->catalogue[c];
        const mr_event *event = &work->epoch->arrivals[set->arrival].event;
        if (event->deleted)
            continue;
        const mr_described described = {
            .item = set->slot,
            .time_ms = set->time_ms,
            .vector = event->vector_count > 0 ? event->vector : NULL,
            .vector_count = event->vector_count,
            .tokens = tokens,
            .token_count = tokens_of(event, tokens),
        };
        for (uint32_t i = 0; i < engine->instance_count; i++) {
            const mr_instance *instance = &engine->instances[i];
            const uint64_t begun = mr_costs_now(work->view.costs);
            if (instance->state->describe == NULL)
                continue;
            instance->state->describe(instance, &work->view, &described, &work->deltas);
            if (work->view.costs != NULL)
                work->view.costs->of[i].learn_ns += mr_costs_now(work->view.costs) - begun;
        }
    }
}

static void learn_task(void *arg, uint32_t task)
{
    mr_engine *engine = arg;
    mr_work *work = &engine->work[task];
    if (work->epoch == NULL)
        return;
    describe_items(engine, work);
    // Signals by wave, in order inside a wave: waves are few but for a user who acts in bursts.
    uint32_t left = work->signal_count;
    for (uint32_t wave = 0; left > 0; wave++) {
        uint32_t count = 0;
        for (uint32_t s = 0; s < work->signal_count; s++)
            if (work->wave_of[s] == wave)
                work->wave[count++] = work->signals[s];
        if (count > 0)
            learn_wave(engine, work, count);
        left -= count;
    }
    mr_arena_reset(&work->arena);
}

// ---- after the lanes

static void tell(const mr_engine *engine, const mr_probe_result *result)
{
    const mr_probed *probed = &engine->config.probed;
    const mr_target target = {.user_key = result->user,
                              .fresh = result->protocol == MR_PROTOCOL_NEW,
                              .user_events = result->user_events,
                              .item_events = result->item_events,
                              .column_count = engine->columns.count,
                              .hits = result->hits};
    if (probed->target != NULL)
        probed->target(probed->context, &target);
}

// Who acted waits for a list; who asked to be forgotten, for none.
static void settle_list(mr_engine *engine, uint32_t slot)
{
    mr_users *users = &engine->users;
    if (users->meta[slot].blank) {
        mr_waiting_remove(&users->waiting, mr_users_at(users, slot)->key);
    } else if (engine->config.lists) {
        const bool fits = mr_users_wait(users, slot);
        MR_ASSERT(fits); // fetch made sure of a place
    }
}

static void settle_task(mr_engine *engine, mr_work *work)
{
    for (uint32_t s = 0; s < work->signal_count; s++) {
        const mr_signal *signal = &work->signals[s];
        mr_users_touch(&engine->users, signal->user);
        settle_list(engine, signal->user);
        if (engine->config.measure_all && signal->kind == MR_SIGNAL_ACT)
            mr_history_add(&engine->history, mr_users_at(&engine->users, signal->user)->key,
                           signal->item_key);
    }
    for (uint32_t p = 0; p < work->probe_count; p++) {
        mr_probe_result *result = &work->probes[p];
        if (result->measured) {
            mr_probe_add(&engine->sums, result, engine->columns.count);
            tell(engine, result);
        }
        // The product's blend is taught where its rows are; elsewhere it is a part of the view.
        if (!result->learned || (result->product && !engine->tasks[0].taken))
            continue;
        mr_blend_learn(result->product ? &engine->blend : &engine->shadow, &engine->columns,
                       &result->lesson);
        engine->blend_moved |= result->product;
    }
    engine->sums.served.count += work->served.count;
    engine->sums.served.recall += work->served.recall;
    engine->sums.served.ndcg += work->served.ndcg;
    engine->sums.served.rr += work->served.rr;
    work->served = (mr_prequential){0};
}

static void touch_blend(mr_engine *engine)
{
    if (!engine->blend_moved)
        return;
    for (uint32_t f = 0; f < 2; f++) {
        mr_named *named = &engine->named[engine->instances[1].family_first + f];
        for (uint32_t slot = 0; slot < named->slots.used; slot++)
            mr_part_touch(&named->part, slot);
    }
    engine->blend_moved = false;
}

mr_status mr_engine_round(mr_engine *engine, mr_epoch *epochs, uint32_t epoch_count, mr_error *err)
{
    engine->round++;
    engine->apart = false;
    for (uint32_t t = 0; t < engine->config.tasks; t++) {
        MR_ASSERT(!engine->tasks[t].loading);
        engine->apart |= !engine->tasks[t].taken;
    }
    MR_ASSERT(!engine->apart || engine->config.exchange_bytes > 0);
    mr_engine_settle_view(engine);
    const mr_status fetched = fetch(engine, epochs, epoch_count, err);
    if (fetched != MR_OK) {
        unpin(engine);
        return fetched;
    }
    for (uint32_t t = 0; t < engine->config.tasks; t++)
        engine->work[t].epoch = NULL;
    for (uint32_t e = 0; e < epoch_count; e++) {
        mr_work *work = &engine->work[epochs[e].task];
        MR_ASSERT(engine->tasks[epochs[e].task].taken && work->epoch == NULL);
        work->epoch = &epochs[e];
        ingest(engine, work);
    }
    uint32_t signals = 0;
    for (uint32_t t = 0; t < engine->config.tasks; t++) {
        engine->work[t].view = mr_engine_view(engine, t);
        if (engine->work[t].epoch != NULL)
            signals += engine->work[t].signal_count +
                       engine->work[t].epoch->received_count * SIGNALS_FOR_LANES;
    }
    engine->serial = signals < SIGNALS_FOR_LANES;
    mr_engine_run(engine, learn_task, engine, engine->config.tasks);
    for (uint32_t t = 0; t < engine->config.tasks; t++)
        if (engine->work[t].epoch != NULL) {
            settle_task(engine, &engine->work[t]);
            engine->tasks[t].epoch++;
            engine->tasks[t].moved = true;
        }
    mr_engine_merge(engine);
    mr_engine_apply_catalogue(engine);
    touch_blend(engine);
    unpin(engine);
    engine->serial = false;
    return MR_OK;
}
