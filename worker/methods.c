// SPDX-License-Identifier: Apache-2.0
#include "worker/methods.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/model/model.h"
#include "worker/nearest.h"

enum { PATH_BYTES = 96 };

typedef void state_visitor(mr_methods *methods, const char *section, const mr_state *state);

static void visit_states(mr_methods *methods, state_visitor *visit)
{
    for (uint32_t i = 0; i < mr_model_count; i++)
        visit(methods, "models", &mr_models[i]->state);
    for (uint32_t i = 0; i < mr_policy_count; i++)
        visit(methods, "policies", &mr_policies[i]->state);
    for (uint32_t i = 0; i < mr_rule_count; i++)
        visit(methods, "rules", &mr_rules[i]->state);
}

static void count_params(mr_methods *methods, const char *section, const mr_state *state)
{
    (void)section;
    for (const mr_param *p = state->params; p != NULL && p->name != NULL; p++)
        methods->count++;
}

static void add_params(mr_methods *methods, const char *section, const mr_state *state)
{
    for (const mr_param *p = state->params; p != NULL && p->name != NULL; p++) {
        char *path = methods->paths + (size_t)methods->count * PATH_BYTES;
        snprintf(path, PATH_BYTES, "%s.%s.%s", section, state->name, p->name);
        methods->numbers[methods->count] = (mr_config_number){
            path, p->unit != NULL ? p->unit : "", p->help, p->initial, p->min, p->max};
        methods->settings[methods->count] = (mr_setting){state->name, p->name, p->initial};
        methods->count++;
    }
}

mr_status mr_methods_open(mr_methods *methods, mr_error *err)
{
    *methods = (mr_methods){0};
    visit_states(methods, count_params);
    const size_t count = methods->count;
    methods->numbers = calloc(count + 1, sizeof *methods->numbers);
    methods->settings = calloc(count + 1, sizeof *methods->settings);
    methods->paths = calloc(count + 1, PATH_BYTES);
    if (methods->numbers == NULL || methods->settings == NULL || methods->paths == NULL) {
        mr_methods_close(methods);
        return mr_fail(err, MR_FATAL, "out of memory");
    }
    methods->count = 0;
    visit_states(methods, add_params);
    return MR_OK;
}

void mr_methods_close(mr_methods *methods)
{
    free(methods->numbers);
    free(methods->settings);
    free(methods->paths);
    *methods = (mr_methods){0};
}

void mr_methods_apply(mr_methods *methods, const mr_config *config)
{
    for (uint32_t i = 0; i < methods->count; i++)
        methods->settings[i].value = config->numbers[i];
}

static mr_status check_policy(const mr_config *config, mr_error *err)
{
    mr_nearest search = mr_nearest_begin(config->models_policy);
    for (uint32_t p = 0; p < mr_policy_count; p++) {
        if (strcmp(mr_policies[p]->state.name, config->models_policy) == 0)
            return MR_OK;
        mr_nearest_offer(&search, mr_policies[p]->state.name);
    }
    return mr_fail(err, MR_FATAL, "models.policy: '%.64s' is no policy%s%s", config->models_policy,
                   search.best != NULL ? "; the nearest is " : "",
                   search.best != NULL ? search.best : "");
}

mr_status mr_methods_check(const mr_config *config, mr_error *err)
{
    for (uint32_t i = 0; i < config->models_off.count; i++) {
        bool known = false;
        mr_nearest search = mr_nearest_begin(config->models_off.items[i]);
        for (uint32_t j = 0; j < mr_model_count; j++) {
            known = known || strcmp(mr_models[j]->state.name, search.wanted) == 0;
            mr_nearest_offer(&search, mr_models[j]->state.name);
        }
        if (!known)
            return mr_fail(err, MR_FATAL, "models.off: '%.64s' is no model%s%s", search.wanted,
                           search.best != NULL ? "; the nearest is " : "",
                           search.best != NULL ? search.best : "");
    }
    return check_policy(config, err);
}

mr_status mr_methods_engine(const mr_methods *methods, const mr_config *config, uint32_t tasks,
                            mr_engine_config *engine, mr_error *err)
{
    *engine = mr_engine_defaults();
    engine->seed = (uint64_t)config->seed;
    engine->tasks = tasks;
    engine->items_max = (uint32_t)config->items_max;
    engine->item_id_bytes_max = (uint32_t)config->items_id_bytes_max;
    engine->item_expiry_ms = config->items_expiry;
    engine->item_admission = (uint32_t)config->items_admission;
    engine->item_admission_ids = (uint32_t)config->items_admission_ids;
    engine->item_told_ms = config->items_publish_interval;
    engine->vector_length = (uint32_t)config->items_vector_length;
    engine->vector_model = mr_bytes_text(config->items_vector_model);
    engine->user_id_bytes_max = (uint32_t)config->users_id_bytes_max;
    engine->epoch_events_max = (uint32_t)config->epoch_events_max;
    engine->dedup_events_max = (uint32_t)config->dedup_events_max;
    engine->dedup_window_ms = config->dedup_window;
    engine->clock_skew_max_ms = config->clock_skew_max;
    engine->late_window_ms = config->late_window;
    engine->late_drop = config->late_action == MR_LATE_DROP;
    engine->origin = mr_bytes_text(config->guard_origin);
    engine->list_k = (uint32_t)config->lists_k;
    engine->list_interval_ms = config->lists_interval_ms;
    engine->lists_per_close_max = (uint32_t)config->lists_per_commit_max;
    engine->seen = config->lists_seen == MR_CONFIG_SEEN_KEEP ? MR_SEEN_KEEP : MR_SEEN_FILTER;
    engine->explore_bp = (uint32_t)(config->lists_explore * 10000 + 0.5);
    engine->probe_every = (uint32_t)config->metrics_probe_every;
    engine->lists = true;
    engine->settings = methods->settings;
    engine->setting_count = methods->count;
    engine->extra = methods->extra;
    engine->extra_count = methods->extra_count;
    engine->policy = config->models_policy;
    engine->off = config->models_off.items;
    engine->off_count = config->models_off.count;
    return mr_engine_users_for(engine, (size_t)config->users_memory, &engine->users_max, err);
}
