// SPDX-License-Identifier: Apache-2.0
// engine: how it is put together: methods, families, memory; and small services.
#include "core/engine_state.h"

// ---- defaults

mr_engine_config mr_engine_defaults(void)
{
    return (mr_engine_config){
        .vec = mr_vec_best(),
        .seed = 1,
        .tasks = 1,
        .items_max = 100000,
        .item_id_bytes_max = 64,
        .item_admission_ids = 65536,
        .users_max = 100000,
        .user_id_bytes_max = 64,
        .epoch_events_max = 256,
        .dedup_events_max = 1 << 20,
        .dedup_window_ms = 86400000,
        .clock_skew_max_ms = 300000,
        .late_window_ms = 3600000,
        .list_k = 50,
        .list_interval_ms = 1000,
        .lists_per_close_max = 4096,
        .seen = MR_SEEN_FILTER,
        .explore_bp = 200,
        .probe_every = 64,
        .lists = true,
        .act_weights = {[MR_EVENT_CLICK] = 1,
                        [MR_EVENT_CART] = 2,
                        [MR_EVENT_PURCHASE] = 3,
                        [MR_EVENT_RATING] = 1},
    };
}

// ---- which methods, with which parameters

static bool is_off(const mr_engine_config *config, const char *name)
{
    for (uint32_t i = 0; i < config->off_count; i++)
        if (strcmp(config->off[i], name) == 0)
            return true;
    return false;
}

static mr_status set_params(const mr_state *state, const mr_engine_config *config, void *values,
                            mr_error *err)
{
    for (const mr_param *p = state->params; p != NULL && p->name != NULL; p++)
        memcpy((uint8_t *)values + p->offset, &p->initial, sizeof(double));
    for (uint32_t i = 0; i < config->setting_count; i++) {
        const mr_setting *setting = &config->settings[i];
        if (strcmp(setting->method, state->name) != 0)
            continue;
        const mr_param *p = state->params;
        while (p != NULL && p->name != NULL && strcmp(p->name, setting->name) != 0)
            p++;
        if (p == NULL || p->name == NULL)
            return mr_fail(err, MR_FATAL, "'%s' has no parameter '%s'", state->name, setting->name);
        if (!(setting->value >= p->min && setting->value <= p->max))
            return mr_fail(err, MR_FATAL, "%s.%s is %g: want %g to %g", state->name, p->name,
                           setting->value, p->min, p->max);
        memcpy((uint8_t *)values + p->offset, &setting->value, sizeof(double));
    }
    return MR_OK;
}

static mr_status check_needs(const mr_engine *engine, const mr_state *state, mr_error *err)
{
    for (uint32_t i = 0; state->needs != NULL && state->needs[i] != NULL; i++) {
        uint32_t other = 0;
        while (other < engine->instance_count &&
               strcmp(engine->instances[other].state->name, state->needs[i]) != 0)
            other++;
        if (other == engine->instance_count)
            return mr_fail(err, MR_FATAL,
                           "'%s' needs '%s', which is switched off or stands below it", state->name,
                           state->needs[i]);
    }
    return MR_OK;
}

// on: says by its parameters whether the method does anything; NULL: it does.
static mr_status add_instance(mr_engine *engine, const mr_state *state,
                              bool (*on)(const void *config), mr_error *err)
{
    MR_ASSERT(engine->instance_count < MR_INSTANCES_MAX);
    mr_instance *instance = &engine->instances[engine->instance_count];
    *instance = (mr_instance){.state = state, .family_first = engine->family_count};
    instance->config = mr_arena_push(&engine->memory, state->config_bytes);
    MR_TRY(set_params(state, &engine->config, instance->config, err));
    if (on != NULL && !on(instance->config))
        return MR_OK;
    MR_TRY(check_needs(engine, state, err));
    engine->instance_count++;
    engine->described |= state->describe != NULL;
    engine->joins |= state->join != NULL;
    for (uint32_t f = 0; f < state->family_count; f++) {
        char name[128];
        MR_ASSERT(engine->family_count < MR_FAMILIES_MAX);
        const int length =
            __builtin_snprintf(name, sizeof name, "%s.%s", state->name, state->families[f].name);
        mr_family_entry *entry = &engine->families[engine->family_count++];
        *entry = (mr_family_entry){
            .family = &state->families[f], .instance = instance, .index_in_method = f};
        entry->code = (uint16_t)(mr_hash64(name, (size_t)length, 0) | 1u); // 0 is the engine's part
        entry->delta_bytes = mr_family_delta_bytes(entry->family, instance->config);
        for (uint32_t other = 0; other + 1 < engine->family_count; other++)
            MR_ASSERT(engine->families[other].code != entry->code);
    }
    return MR_OK;
}

static void add_columns(mr_engine *engine, mr_instance *instance)
{
    const mr_model *model = (const mr_model *)(const void *)instance->state;
    instance->column_first = engine->columns.count;
    instance->column_count =
        model->column_count != NULL ? model->column_count(instance->config) : 1;
    for (uint32_t c = 0; c < instance->column_count; c++) {
        MR_ASSERT(engine->columns.count < MR_ENGINE_COLUMNS_MAX);
        const uint32_t at = engine->columns.count++;
        engine->columns.of[at].instance = instance;
        engine->columns.of[at].model = model;
        engine->columns.of[at].index = c;
        engine->columns.of[at].column = &model->columns[c];
        engine->columns.of[at].key =
            mr_hash64(model->columns[c].name, strlen(model->columns[c].name), 0);
    }
}

static mr_status check_settings(const mr_engine *engine, mr_error *err)
{
    const mr_engine_config *config = &engine->config;
    for (uint32_t i = 0; i < config->setting_count; i++) {
        bool known = is_off(config, config->settings[i].method);
        for (uint32_t m = 0; m < mr_model_count; m++) // these also where they are not on
            known |= strcmp(mr_models[m]->state.name, config->settings[i].method) == 0;
        for (uint32_t j = 2; j < engine->instance_count; j++)
            known |= strcmp(engine->instances[j].state->name, config->settings[i].method) == 0;
        for (uint32_t r = 0; r < mr_rule_count; r++)
            known |= strcmp(mr_rules[r]->state.name, config->settings[i].method) == 0;
        for (uint32_t p = 0; p < mr_policy_count; p++)
            known |= strcmp(mr_policies[p]->state.name, config->settings[i].method) == 0;
        if (!known)
            return mr_fail(err, MR_FATAL, "there is no model, policy or rule '%s'",
                           config->settings[i].method);
    }
    return MR_OK;
}

static mr_status add_model(mr_engine *engine, const mr_model *model, mr_error *err)
{
    if (is_off(&engine->config, model->state.name))
        return MR_OK;
    const uint32_t before = engine->instance_count;
    MR_TRY(add_instance(engine, &model->state, model->on, err));
    if (engine->instance_count > before)
        add_columns(engine, &engine->instances[before]);
    return MR_OK;
}

static const mr_model *model_at(const mr_engine *engine, uint32_t m)
{
    return (const mr_model *)(const void *)engine->instances[engine->model_first + m].state;
}

static mr_status add_policy(mr_engine *engine, mr_error *err)
{
    const char *wanted = engine->config.policy;
    bool spread = false;
    uint32_t p = 0;
    for (uint32_t m = 0; m < engine->model_count; m++)
        spread |= model_at(engine, m)->spread != NULL;
    while (wanted != NULL && p < mr_policy_count && strcmp(mr_policies[p]->state.name, wanted) != 0)
        p++;
    if (p == mr_policy_count)
        return mr_fail(err, MR_FATAL, "there is no policy '%s'", wanted);
    if (mr_policies[p]->needs_spread && !spread)
        return mr_fail(err, MR_FATAL,
                       "policy '%s' needs a model that says how sure it is: diag_linucb, linucb or "
                       "slate_choice",
                       mr_policies[p]->state.name);
    return add_instance(engine, &mr_policies[p]->state, NULL, err);
}

static mr_status add_methods(mr_engine *engine, mr_error *err)
{
    MR_TRY(add_instance(engine, &mr_engine_items, NULL, err));
    ((mr_items_config *)engine->instances[0].config)->id_bytes_max =
        engine->config.item_id_bytes_max;
    MR_TRY(add_instance(engine, &mr_engine_blend, NULL, err));
    engine->model_first = engine->instance_count;
    for (uint32_t m = 0; m < mr_model_count; m++)
        MR_TRY(add_model(engine, mr_models[m], err));
    for (uint32_t m = 0; m < engine->config.extra_count; m++)
        MR_TRY(add_model(engine, engine->config.extra[m], err));
    engine->model_count = engine->instance_count - engine->model_first;
    if (engine->columns.count == 0)
        return mr_fail(err, MR_FATAL, "every model is switched off: at least one is needed");
    ((mr_blend_config *)engine->instances[1].config)->columns = engine->columns.count;
    engine->policy = engine->instance_count;
    MR_TRY(add_policy(engine, err));
    engine->rule_first = engine->instance_count;
    for (uint32_t r = 0; r < mr_rule_count; r++)
        MR_TRY(add_instance(engine, &mr_rules[r]->state, mr_rules[r]->on, err));
    engine->rule_count = engine->instance_count - engine->rule_first;
    return check_settings(engine, err);
}

static void place_user_parts(mr_engine *engine)
{
    uint32_t offset = sizeof(mr_user);
    for (uint32_t f = 0; f < engine->family_count; f++) {
        const mr_family_entry *entry = &engine->families[f];
        if (entry->family->key != MR_KEY_USER)
            continue;
        mr_instance *instance = &engine->instances[entry->instance - engine->instances];
        const uint32_t bytes = mr_family_row_bytes(entry->family, instance->config);
        engine->user_parts[engine->user_part_count++] =
            (mr_user_part_entry){.family = entry->family,
                                 .instance = instance,
                                 .code = entry->code,
                                 .offset = offset,
                                 .bytes = bytes};
        instance->user_offset = offset;
        offset += bytes;
    }
}

// ---- memory

static uint32_t item_slots(const mr_engine_config *config)
{
    return config->items_max + config->items_max / 8 +
           config->tasks * (config->epoch_events_max * MR_SIGNALS_PER_EVENT + MR_LINES_MAX);
}

// An epoch always has room for one event, whatever its lines.
static uint32_t signals_max(const mr_engine_config *config)
{
    return config->epoch_events_max * MR_SIGNALS_PER_EVENT + MR_LINES_MAX;
}

uint32_t mr_engine_family_rows(const mr_engine *engine, uint32_t family)
{
    const mr_family_entry *entry = &engine->families[family];
    if (entry->family->key == MR_KEY_NAMED)
        return mr_family_rows_max(entry->family, entry->instance->config);
    return entry->family->key == MR_KEY_ITEM ? item_slots(&engine->config) : 0;
}

uint32_t mr_engine_cells_per_signal(const mr_engine *engine)
{
    uint32_t cells = 0;
    for (uint32_t i = 0; i < engine->instance_count; i++) {
        const mr_instance *instance = &engine->instances[i];
        if (instance->state->cells != NULL)
            cells += instance->state->cells(instance->config);
    }
    return cells;
}

// How many rows of each family, and cells, an epoch changes at most.
static uint32_t deltas_max(const mr_engine *engine, uint32_t rows_max[MR_FAMILIES_MAX])
{
    const uint32_t signals = signals_max(&engine->config);
    for (uint32_t f = 0; f < engine->family_count; f++) {
        const uint32_t most = mr_engine_delta_rows(&engine->families[f], signals,
                                                   engine->config.epoch_events_max);
        const uint32_t all = mr_engine_family_rows(engine, f);
        rows_max[f] = most < all ? most : all;
    }
    return signals * mr_engine_cells_per_signal(engine);
}

// Recent events that wait for a close. A small engine closes before its users have acted that
// often.
static uint32_t open_events_max(const mr_engine_config *config)
{
    const uint64_t acts = 64ull * config->users_max;
    return (acts < 65536 ? (uint32_t)acts : 65536) + 2 * signals_max(config);
}

// A model that looks for many users at once goes over the catalogue with scratch for all of them;
// the others take little.
static size_t scratch_bytes(const mr_engine *engine)
{
    for (uint32_t m = 0; m < engine->model_count; m++) {
        const mr_instance *instance = &engine->instances[engine->model_first + m];
        if (((const mr_model *)(const void *)instance->state)->batched)
            return (8u << 20) + MR_LIST_BATCH * 1024ull * 64 + 4ull * engine->config.items_max;
    }
    return (1u << 20) + 64ull * engine->config.items_max +
           (engine->config.measure_all ? 2u << 20 : 0);
}

// What rules and policy keep of one list.
static size_t kept_bytes(const mr_engine *engine)
{
    const mr_instance *chosen = &engine->instances[engine->policy];
    const mr_policy *policy = (const mr_policy *)(const void *)chosen->state;
    size_t bytes =
        policy->slate_bytes != NULL ? mr_arena_round(policy->slate_bytes(chosen->config)) : 0;
    for (uint32_t r = 0; r < engine->rule_count; r++) {
        const mr_instance *instance = &engine->instances[engine->rule_first + r];
        const mr_rule *rule = (const mr_rule *)(const void *)instance->state;
        if (rule->slate_bytes != NULL)
            bytes += mr_arena_round(rule->slate_bytes(instance->config));
    }
    return bytes;
}

static size_t list_arena_bytes(const mr_engine *engine)
{
    return kept_bytes(engine) + sizeof(mr_found) * engine->columns.count * MR_LIST_BATCH +
           sizeof(mr_union) + sizeof(mr_slate) +
           (MR_FEATURES_MAX + 8) * MR_UNION_MAX * sizeof(float) + scratch_bytes(engine);
}

static size_t work_bytes(const mr_engine *engine)
{
    const mr_engine_config *c = &engine->config;
    const size_t signals = signals_max(c);
    uint32_t rows_max[MR_FAMILIES_MAX];
    const uint32_t cells_max = deltas_max(engine, rows_max);
    return mr_arena_round(list_arena_bytes(engine)) +
           mr_deltas_bytes(engine->families, engine->family_count, rows_max, cells_max) +
           2 * mr_arena_round(signals * sizeof(mr_signal)) + mr_arena_round(signals * 4) +
           mr_arena_round(c->epoch_events_max * sizeof(mr_catalogue_set)) +
           mr_arena_round(signals * 3 * sizeof(mr_probe_result)) +
           mr_arena_round(MR_LIST_BATCH * sizeof(mr_list)) +
           mr_arena_round((size_t)MR_LIST_BATCH * c->list_k * sizeof(mr_list_entry)) + 4096;
}

static uint32_t sorted_max(const mr_engine *engine)
{
    uint32_t most = engine->config.users_max;
    for (uint32_t f = 0; f < engine->family_count; f++)
        if (mr_engine_family_rows(engine, f) > most)
            most = mr_engine_family_rows(engine, f);
    return most;
}

// Rows of one family that a shard of the merge has at most.
static size_t heads_each(const mr_engine *engine)
{
    uint32_t most = 0;
    for (uint32_t f = 0; f < engine->family_count; f++)
        if (mr_engine_family_rows(engine, f) > most)
            most = mr_engine_family_rows(engine, f);
    return most / MR_SHARDS + 1;
}

static uint32_t history_max(const mr_engine_config *config)
{
    return config->measure_all ? 1u << 24 : 64;
}

static size_t rows_bytes(const mr_engine *engine)
{
    const mr_engine_config *config = &engine->config;
    const uint32_t slots = item_slots(config);
    size_t bytes = mr_slots_bytes(slots) + mr_arena_round(slots / 8 + 8) +
                   3 * mr_arena_round(slots * 4ull) + mr_arena_round(slots);
    if (config->item_told_ms > 0)
        bytes += mr_arena_round(slots / 8 + 8) + mr_arena_round(slots * 8ull);
    for (uint32_t f = 0; f < engine->family_count; f++) {
        const mr_family_entry *entry = &engine->families[f];
        const void *c = entry->instance->config;
        if (entry->family->key == MR_KEY_ITEM)
            bytes += mr_part_bytes(entry->family, c, slots);
        else if (entry->family->key == MR_KEY_NAMED)
            bytes += mr_slots_bytes(mr_family_rows_max(entry->family, c)) +
                     mr_part_bytes(entry->family, c, mr_family_rows_max(entry->family, c));
    }
    for (uint32_t i = 0; i < engine->instance_count; i++)
        if (engine->instances[i].state->cache_bytes != NULL)
            bytes += mr_arena_round(
                engine->instances[i].state->cache_bytes(engine->instances[i].config, slots));
    return bytes;
}

static size_t exchange_bytes(const mr_engine *engine)
{
    uint32_t rows_max[MR_FAMILIES_MAX];
    const uint32_t cells_max = deltas_max(engine, rows_max);
    return engine->config.exchange_bytes == 0
               ? 0
               : mr_engine_exchange_bytes(engine, rows_max, cells_max);
}

static size_t total_bytes(const mr_engine *engine)
{
    const mr_engine_config *c = &engine->config;
    const uint32_t stride =
        mr_users_stride(engine->user_parts, engine->user_part_count, c->user_id_bytes_max);
    return rows_bytes(engine) +
           mr_users_bytes(stride, c->user_id_bytes_max, c->users_max, c->tasks) +
           exchange_bytes(engine) + mr_arena_round(c->users_max * sizeof(mr_sorted)) +
           mr_arena_round((size_t)c->users_max * MR_SERVED * 8) +
           c->tasks *
               (work_bytes(engine) +
                mr_task_bytes(c->dedup_events_max, open_events_max(c), mr_engine_admission_ids(c)) +
                mr_arena_round(sizeof(mr_task)) + mr_arena_round(sizeof(mr_work))) +
           MR_SHARDS * mr_arena_round(MR_CELLS_AT_ONCE * sizeof(mr_cell)) +
           mr_arena_round(MR_SHARDS * heads_each(engine) * sizeof(mr_delta_place)) +
           mr_arena_round(sorted_max(engine) * sizeof(mr_sorted)) + (1u << 17) +
           mr_history_bytes(history_max(c)) +
           mr_arena_round((size_t)c->tasks * signals_max(c) * 4) +
           2 * mr_arena_round(sizeof(mr_engine)) + 4096 * MR_INSTANCES_MAX;
}

static mr_status check_config(const mr_engine_config *c, mr_error *err)
{
    if (c->tasks == 0 || c->items_max == 0 || c->users_max == 0 || c->epoch_events_max < 1 ||
        c->list_k == 0 || c->list_k > MR_LIST_MAX || c->probe_every == 0 ||
        c->user_id_bytes_max < 8 || c->user_id_bytes_max > 200 || c->item_id_bytes_max < 8 ||
        c->item_id_bytes_max > 255 || c->dedup_events_max == 0 ||
        !mr_admission_fits(c->item_admission, mr_engine_admission_ids(c)))
        return mr_fail(
            err, MR_FATAL,
            "engine configuration: tasks %u, items.max %u, users %u, "
            "epoch.events_max %u, lists.k %u, probe every %u, ids %u and %u bytes, "
            "dedup.events_max %u, items.admission %u, its ids %u: one is outside its range",
            c->tasks, c->items_max, c->users_max, c->epoch_events_max, c->list_k, c->probe_every,
            c->user_id_bytes_max, c->item_id_bytes_max, c->dedup_events_max, c->item_admission,
            c->item_admission_ids);
    if (c->exchange_bytes > 0 &&
        (c->exchange_bytes < MR_EXCHANGE_BYTES_MIN || c->exchange_bytes > MR_EXCHANGE_BYTES_MAX))
        return mr_fail(err, MR_FATAL,
                       "engine configuration: %u bytes for the exchange between workers: want %d "
                       "to %d",
                       c->exchange_bytes, MR_EXCHANGE_BYTES_MIN, MR_EXCHANGE_BYTES_MAX);
    return MR_OK;
}

// A throw-away engine that knows its methods: enough to say how much memory a real one takes.
static mr_status plan_engine(const mr_engine_config *config, mr_engine *plan, uint8_t *scratch,
                             size_t scratch_bytes, mr_error *err)
{
    memset(plan, 0, sizeof *plan);
    MR_TRY(check_config(config, err));
    plan->config = *config;
    mr_arena_init(&plan->memory, scratch, scratch_bytes);
    MR_TRY(add_methods(plan, err));
    place_user_parts(plan);
    return MR_OK;
}

mr_status mr_engine_bytes(const mr_engine_config *config, size_t *bytes, mr_error *err)
{
    mr_engine plan;
    uint8_t scratch[8192] __attribute__((aligned(64)));
    MR_TRY(plan_engine(config, &plan, scratch, sizeof scratch, err));
    *bytes = total_bytes(&plan);
    return MR_OK;
}

mr_status mr_engine_users_for(const mr_engine_config *config, size_t user_bytes, uint32_t *users,
                              mr_error *err)
{
    mr_engine plan;
    uint8_t scratch[8192] __attribute__((aligned(64)));
    MR_TRY(plan_engine(config, &plan, scratch, sizeof scratch, err));
    const uint32_t stride =
        mr_users_stride(plan.user_parts, plan.user_part_count, config->user_id_bytes_max);
    const size_t one =
        mr_users_bytes(stride, config->user_id_bytes_max, 1u << 20, config->tasks) >> 20;
    const size_t count = user_bytes / one;
    *users = count > UINT32_MAX / 4 ? UINT32_MAX / 4 : (uint32_t)count;
    if (*users < 2 * config->epoch_events_max * config->tasks)
        return mr_fail(err, MR_FATAL,
                       "users.memory of %zu bytes holds %u users of %zu bytes: want at "
                       "least %u",
                       user_bytes, *users, one, 2 * config->epoch_events_max * config->tasks);
    return MR_OK;
}

static void init_rows(mr_engine *engine)
{
    mr_arena *memory = &engine->memory;
    const uint32_t slots = item_slots(&engine->config);
    mr_slots_init(&engine->items.slots, slots, memory);
    engine->items.parts = engine->parts;
    engine->items.base = 0;
    engine->items.shown = mr_arena_push(memory, slots / 8 + 8);
    engine->items.order = mr_arena_push(memory, slots * 4ull);
    engine->exposed = mr_arena_push(memory, slots * 4ull);
    engine->items.fresh = mr_arena_push(memory, slots * 4ull);
    engine->items.guest = mr_arena_push(memory, slots);
    if (engine->config.item_told_ms > 0) {
        engine->untold = mr_arena_push(memory, slots / 8 + 8);
        engine->told_ms = mr_arena_push(memory, slots * 8ull);
    }
    for (uint32_t f = 0; f < engine->family_count; f++) {
        mr_family_entry *entry = &engine->families[f];
        const void *c = entry->instance->config;
        if (entry->family->key == MR_KEY_ITEM)
            mr_part_init(&engine->parts[f], entry->family, c, entry->code, slots, memory);
        if (entry->family->key != MR_KEY_NAMED)
            continue;
        entry->named = &engine->named[f];
        const uint32_t max = mr_family_rows_max(entry->family, c);
        mr_slots_init(&entry->named->slots, max, memory);
        mr_part_init(&entry->named->part, entry->family, c, entry->code, max, memory);
    }
}

static void *add_named(mr_engine *engine, uint32_t family, uint64_t key)
{
    mr_named *named = &engine->named[family];
    const uint32_t slot = mr_slots_add(&named->slots, key);
    MR_ASSERT(slot != MR_MAP_NONE);
    mr_part_reset_row(&named->part, slot, key, engine->config.seed);
    return mr_part_row(&named->part, slot);
}

// Named rows stand in memory from the start, with init's value until they are written.
static void add_named_rows(mr_engine *engine)
{
    const uint32_t columns = engine->instances[1].family_first, gate = columns + 1;
    for (uint32_t c = 0; c < engine->columns.count; c++)
        engine->blend.columns[c] = add_named(engine, columns, engine->columns.of[c].key);
    engine->blend.gate = add_named(engine, gate, 0);
    engine->blend.column_count = engine->columns.count;
    for (uint32_t f = gate + 1; f < engine->family_count; f++)
        if (engine->families[f].family->key == MR_KEY_NAMED)
            for (uint32_t k = 0; k < engine->named[f].slots.max; k++)
                add_named(engine, f, k);
    engine->shadow =
        (mr_blend){.gate = &engine->shadow_gate, .column_count = engine->columns.count};
    for (uint32_t c = 0; c < engine->columns.count; c++) {
        engine->shadow.columns[c] = &engine->shadow_columns[c];
        mr_blend_column_init(&engine->shadow_columns[c], engine->columns.count);
    }
}

static void init_work(mr_engine *engine, mr_work *work)
{
    mr_arena *memory = &engine->memory;
    const mr_engine_config *c = &engine->config;
    const size_t signals = signals_max(c);
    mr_arena_init(&work->arena, mr_arena_push(memory, list_arena_bytes(engine)),
                  list_arena_bytes(engine));
    uint32_t rows_max[MR_FAMILIES_MAX];
    const uint32_t cells_max = deltas_max(engine, rows_max);
    mr_deltas_init(&work->deltas, engine->families, engine->family_count, rows_max, cells_max,
                   memory);
    work->signals = mr_arena_push(memory, signals * sizeof(mr_signal));
    work->wave = mr_arena_push(memory, signals * sizeof(mr_signal));
    work->wave_of = mr_arena_push(memory, signals * 4);
    work->catalogue = mr_arena_push(memory, c->epoch_events_max * sizeof(mr_catalogue_set));
    work->probe_max = (uint32_t)(signals * 3); // both protocols, and what the product serves
    work->probes = mr_arena_push(memory, work->probe_max * sizeof(mr_probe_result));
    work->costs.watch = &engine->config.watch;
    work->lists = mr_arena_push(memory, MR_LIST_BATCH * sizeof(mr_list));
    work->entries =
        mr_arena_push(memory, (size_t)MR_LIST_BATCH * c->list_k * sizeof(mr_list_entry));
}

mr_status mr_engine_init(mr_engine **out, const mr_engine_config *config, void *memory,
                         size_t bytes, mr_error *err)
{
    mr_arena arena;
    MR_TRY(check_config(config, err));
    mr_arena_init(&arena, memory, bytes);
    mr_engine *engine = mr_arena_push(&arena, sizeof *engine);
    engine->config = *config;
    const mr_bytes model = config->vector_model;
    if (model.size > 0)
        engine->vector_model = (uint32_t)mr_hash64(model.data, model.size, 0) | 1u;
    engine->memory = arena;
    MR_TRY(add_methods(engine, err));
    place_user_parts(engine);
    init_rows(engine);
    add_named_rows(engine);
    mr_users_init(&engine->users, engine->user_parts, engine->user_part_count,
                  config->user_id_bytes_max, config->users_max, config->tasks, config->seed,
                  &engine->memory);
    engine->rows_end = engine->memory.used;
    engine->tasks = mr_arena_push(&engine->memory, config->tasks * sizeof(mr_task));
    engine->work = mr_arena_push(&engine->memory, config->tasks * sizeof(mr_work));
    for (uint32_t t = 0; t < config->tasks; t++) {
        mr_task_init(&engine->tasks[t], config->dedup_events_max, config->dedup_window_ms,
                     open_events_max(config), mr_engine_admission_ids(config), &engine->memory);
        init_work(engine, &engine->work[t]);
    }
    if (config->exchange_bytes > 0) {
        uint32_t rows_max[MR_FAMILIES_MAX];
        const uint32_t cells_max = deltas_max(engine, rows_max);
        mr_engine_exchange_init(engine, rows_max, cells_max);
    }
    engine->heads_each = (uint32_t)heads_each(engine);
    engine->heads = mr_arena_push( // zeroed memory: none
        &engine->memory, MR_SHARDS * heads_each(engine) * sizeof(mr_delta_place));
    for (int s = 0; s < MR_SHARDS; s++)
        mr_arena_init(&engine->shards[s],
                      mr_arena_push(&engine->memory, MR_CELLS_AT_ONCE * sizeof(mr_cell)),
                      MR_CELLS_AT_ONCE * sizeof(mr_cell));
    engine->sorted = mr_arena_push(&engine->memory, sorted_max(engine) * sizeof(mr_sorted));
    engine->due = mr_arena_push(&engine->memory, config->users_max * sizeof(mr_sorted));
    engine->row = mr_arena_push(&engine->memory, 1u << 16);
    engine->pinned =
        mr_arena_push(&engine->memory, (size_t)config->tasks * signals_max(config) * 4);
    engine->served = mr_arena_push(&engine->memory, (size_t)config->users_max * MR_SERVED * 8);
    mr_history_init(&engine->history, history_max(config), &engine->memory);
    for (uint32_t i = 0; i < engine->instance_count; i++)
        if (engine->instances[i].state->cache_bytes != NULL)
            engine->instances[i].cache = mr_arena_push(
                &engine->memory, engine->instances[i].state->cache_bytes(
                                     engine->instances[i].config, item_slots(config)));
    *out = engine;
    mr_engine_rebuild(engine);
    return MR_OK;
}

// ---- views and small services

size_t mr_engine_rows_end(const mr_engine *engine)
{
    return engine->rows_end;
}

int64_t mr_engine_clock(const mr_engine *engine)
{
    int64_t clock = 0;
    for (uint32_t t = 0; t < engine->config.tasks; t++)
        if (engine->tasks[t].taken && engine->tasks[t].clock_ms > clock)
            clock = engine->tasks[t].clock_ms;
    return clock;
}

mr_view mr_engine_view(const mr_engine *engine, uint32_t task)
{
    const mr_task *t = &engine->tasks[task];
    mr_view view = {
        .vec = engine->config.vec,
        .items = &engine->items,
        .named = engine->named,
        .users = engine->users.records,
        .user_stride = engine->users.stride,
        .instances = engine->instances,
        .instance_count = engine->instance_count,
        .memos = engine->work[task].memos,
        .costs = engine->config.watch.now_ns != NULL ? &engine->work[task].costs : NULL,
        .seed = engine->config.seed,
        .task = task,
        .epoch = t->epoch,
        .clock_ms = mr_engine_clock(engine),
        .acts = engine->acts,
        .vector_model = engine->vector_model,
        .recent = {t->past, t->past_end, mr_task_past_count(t), t->past_max},
    };
    for (uint32_t other = 0; other < engine->config.tasks; other++)
        view.impressions |= engine->tasks[other].taken && engine->tasks[other].shown > 0;
    return view;
}

void mr_engine_run(const mr_engine *engine, void (*job)(void *arg, uint32_t index), void *arg,
                   uint32_t count)
{
    if (engine->config.lanes.run != NULL && count > 1 && !engine->serial) {
        engine->config.lanes.run(engine->config.lanes.context, job, arg, count);
        return;
    }
    for (uint32_t i = 0; i < count; i++)
        job(arg, i);
}

void mr_engine_set_shown(mr_engine *engine, uint32_t slot)
{
    const uint64_t bit = 1ull << (slot % 64);
    if (mr_items_at(&engine->items, slot)->available && engine->items.guest[slot] == 0)
        engine->items.shown[slot / 64] |= bit;
    else
        engine->items.shown[slot / 64] &= ~bit;
}

uint32_t mr_engine_add_item(mr_engine *engine, uint64_t key, mr_bytes id, int64_t time_ms)
{
    const uint32_t slot = mr_slots_add(&engine->items.slots, key);
    if (slot == MR_MAP_NONE)
        return slot;
    for (uint32_t f = 0; f < engine->family_count; f++)
        if (engine->families[f].family->key == MR_KEY_ITEM)
            mr_part_reset_row(&engine->parts[f], slot, key, engine->config.seed);
    mr_item *item = mr_items_at(&engine->items, slot);
    item->born_ms = item->last_ms = time_ms;
    item->id_size = (uint8_t)id.size;
    if (id.size > 0)
        memcpy(item->id, id.data, id.size);
    engine->exposed[slot] = 0;
    if (mr_engine_owns(engine, key)) {
        engine->items.guest[slot] = 0;
        engine->items.fresh[engine->items.fresh_count++] = slot;
    } else {
        engine->items.guest[slot] = MR_GUEST;
        engine->guest_count++;
    }
    mr_engine_set_shown(engine, slot);
    return slot;
}

uint32_t mr_engine_new_item(mr_engine *engine, uint64_t key, mr_bytes id, int64_t time_ms)
{
    const uint32_t slot = mr_engine_add_item(engine, key, id, time_ms);
    MR_ASSERT(slot != MR_MAP_NONE);
    if (engine->items.guest[slot] == 0)
        mr_part_touch(&engine->parts[engine->items.base], slot);
    mr_engine_item_changed(engine, slot);
    return slot;
}

void mr_engine_item_changed(mr_engine *engine, uint32_t slot)
{
    const mr_view view = mr_engine_view(engine, 0);
    for (uint32_t i = 0; i < engine->instance_count; i++) {
        const mr_instance *instance = &engine->instances[i];
        for (uint32_t f = 0; instance->state->changed != NULL && f < instance->state->family_count;
             f++)
            if (instance->state->families[f].key == MR_KEY_ITEM)
                instance->state->changed(instance, &view, f, slot);
    }
}

void mr_engine_order_items(mr_engine *engine)
{
    mr_items *items = &engine->items;
    uint32_t count = 0;
    engine->acts = 0;
    for (uint32_t slot = 0; slot < items->slots.used; slot++)
        if (mr_items_live(items, slot) && items->guest[slot] == 0) {
            engine->sorted[count++] = (mr_sorted){items->slots.keys[slot], slot, 0};
            engine->acts += mr_items_at(items, slot)->events;
        }
    mr_sort(engine->sorted, count);
    for (uint32_t i = 0; i < count; i++)
        items->order[i] = engine->sorted[i].value;
    items->order_count = count;
    items->fresh_count = 0;
}

// Whether the item stands in the order already.
static bool is_ordered(const mr_items *items, uint32_t slot)
{
    uint32_t low = 0, high = items->order_count;
    while (low < high) {
        const uint32_t middle = (low + high) / 2;
        if (items->slots.keys[items->order[middle]] < items->slots.keys[slot])
            low = middle + 1;
        else
            high = middle;
    }
    return low < items->order_count && items->order[low] == slot;
}

// The slots that are to stand in the order and do not yet, sorted by key, each once.
static uint32_t sort_new(mr_engine *engine, const uint32_t *slots, uint32_t count)
{
    const mr_items *items = &engine->items;
    uint32_t added = 0, distinct = 0;
    for (uint32_t i = 0; i < count; i++)
        if (mr_items_live(items, slots[i]) && items->guest[slots[i]] == 0 &&
            !is_ordered(items, slots[i]))
            engine->sorted[added++] = (mr_sorted){items->slots.keys[slots[i]], slots[i], 0};
    mr_sort(engine->sorted, added);
    for (uint32_t i = 0; i < added; i++)
        if (i == 0 || engine->sorted[i].value != engine->sorted[i - 1].value)
            engine->sorted[distinct++] = engine->sorted[i];
    return distinct;
}

void mr_engine_admit(mr_engine *engine, const uint32_t *slots, uint32_t count)
{
    mr_items *items = &engine->items;
    const uint32_t added = sort_new(engine, slots, count);
    uint32_t old = items->order_count, left = added, to = old + added;
    items->order_count = to;
    while (left > 0) { // from the back: the old ones move up once
        const mr_sorted *next = &engine->sorted[left - 1];
        if (old > 0 && items->slots.keys[items->order[old - 1]] > next->key) {
            old--;
            items->order[--to] = items->order[old];
        } else {
            items->order[--to] = next->value;
            left--;
        }
    }
}

void mr_engine_rebuild(mr_engine *engine)
{
    const mr_view view = mr_engine_view(engine, 0);
    for (uint32_t i = 0; i < engine->instance_count; i++)
        if (engine->instances[i].state->rebuild != NULL)
            engine->instances[i].state->rebuild(&engine->instances[i], &view);
}
