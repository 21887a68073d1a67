// SPDX-License-Identifier: Apache-2.0
// registry: the tables of methods, from their .def files.
#include "core/model/model.h"

#define MR_MODEL(name) extern const mr_model mr_model_##name;
#include "core/model/models.def"
#undef MR_MODEL
#define MR_POLICY(name) extern const mr_policy mr_policy_##name;
#include "core/model/policies.def"
#undef MR_POLICY
#define MR_RULE(name) extern const mr_rule mr_rule_##name;
#include "core/model/rules.def"
#undef MR_RULE

const mr_model *const mr_models[] = {
#define MR_MODEL(name) &mr_model_##name,
#include "core/model/models.def"
#undef MR_MODEL
};
const mr_policy *const mr_policies[] = {
#define MR_POLICY(name) &mr_policy_##name,
#include "core/model/policies.def"
#undef MR_POLICY
};
const mr_rule *const mr_rules[] = {
#define MR_RULE(name) &mr_rule_##name,
#include "core/model/rules.def"
#undef MR_RULE
};

const uint32_t mr_model_count = sizeof mr_models / sizeof mr_models[0];
const uint32_t mr_policy_count = sizeof mr_policies / sizeof mr_policies[0];
const uint32_t mr_rule_count = sizeof mr_rules / sizeof mr_rules[0];

const mr_instance *mr_view_instance(const mr_view *view, const char *name)
{
    uint32_t i = 0;
    while (i < view->instance_count && strcmp(view->instances[i].state->name, name) != 0)
        i++;
    MR_ASSERT(i < view->instance_count);
    return &view->instances[i];
}

const float *mr_view_vector(const mr_view *view, const char *name, mr_key_kind whose, uint32_t slot,
                            uint32_t *count)
{
    const mr_instance *instance = mr_view_instance(view, name);
    const mr_model *model = (const mr_model *)(const void *)instance->state;
    MR_ASSERT(model->vector != NULL);
    return model->vector(instance, view, whose, slot, count);
}

uint32_t mr_view_neighbours(const mr_view *view, const char *name, uint32_t slot, uint32_t *slots,
                            float *shares, uint32_t max)
{
    const mr_instance *instance = mr_view_instance(view, name);
    const mr_model *model = (const mr_model *)(const void *)instance->state;
    MR_ASSERT(model->neighbours != NULL);
    return model->neighbours(instance, view, slot, slots, shares, max);
}

uint32_t mr_view_table(const mr_view *view, const char *name, uint32_t slot, float *total,
                       mr_table_entry *pairs, uint32_t max)
{
    const mr_instance *instance = mr_view_instance(view, name);
    const mr_model *model = (const mr_model *)(const void *)instance->state;
    MR_ASSERT(model->table != NULL);
    return model->table(instance, view, slot, total, pairs, max);
}
