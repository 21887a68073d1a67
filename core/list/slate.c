// SPDX-License-Identifier: Apache-2.0
#include "core/list/slate.h"

static const mr_rule *rule_of(const mr_instance *instance)
{
    return (const mr_rule *)(const void *)instance->state;
}

static const mr_policy *policy_of(const mr_instance *instance)
{
    return (const mr_policy *)(const void *)instance->state;
}

static void open_all(mr_slate *slate, const mr_instance *policy, const mr_instance *rules,
                     uint32_t rule_count)
{
    memset(slate->free_bits, 0, sizeof slate->free_bits);
    for (uint32_t i = 0; i < slate->candidates->count; i++)
        slate->free_bits[i / 64] |= 1ull << (i % 64);
    slate->picked_count = 0;
    for (uint32_t r = 0; r < rule_count; r++)
        if (rule_of(&rules[r])->open != NULL)
            rule_of(&rules[r])->open(&rules[r], slate);
    if (policy_of(policy)->open != NULL)
        policy_of(policy)->open(policy, slate);
}

void mr_slate_draw(mr_slate *slate, const mr_instance *policy, const mr_instance *rules,
                   uint32_t rule_count, uint32_t k, mr_rng *rng)
{
    open_all(slate, policy, rules, rule_count);
    const size_t words = (slate->candidates->count + 63) / 64;
    while (slate->picked_count < k) {
        memcpy(slate->bits, slate->free_bits, words * sizeof slate->bits[0]);
        for (uint32_t r = 0; r < rule_count; r++)
            rule_of(&rules[r])->admit(&rules[r], slate, slate->bits);
        double q;
        const uint32_t candidate = policy_of(policy)->draw(policy, slate, rng, &q);
        if (candidate == UINT32_MAX)
            return;
        slate->free_bits[candidate / 64] &= ~(1ull << (candidate % 64));
        slate->q[slate->picked_count] = q;
        slate->picked[slate->picked_count++] = candidate;
        for (uint32_t r = 0; r < rule_count; r++)
            if (rule_of(&rules[r])->picked != NULL)
                rule_of(&rules[r])->picked(&rules[r], slate, candidate);
    }
}
