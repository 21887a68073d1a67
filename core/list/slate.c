// SPDX-License-Identifier: Apache-2.0
#include "core/list/greedy.h"

static const mr_rule *rule_of(const mr_instance *instance)
{
    return (const mr_rule *)(const void *)instance->state;
}

static const mr_policy *policy_of(const mr_instance *instance)
{
    return (const mr_policy *)(const void *)instance->state;
}

void mr_slate_open(mr_slate *slate)
{
    MR_ASSERT(slate->rule_count <= MR_SLATE_RULES_MAX);
    memset(slate->free_bits, 0, sizeof slate->free_bits);
    for (uint32_t i = 0; i < slate->candidates->count; i++)
        slate->free_bits[i / 64] |= 1ull << (i % 64);
    slate->picked_count = 0;
    slate->adjusted = false;
    slate->level = __builtin_nanf("");
    memset(slate->kept, 0, sizeof slate->kept);
    for (uint32_t r = 0; r < slate->rule_count; r++)
        if (rule_of(&slate->rules[r])->open != NULL)
            rule_of(&slate->rules[r])->open(&slate->rules[r], slate);
    slate->explore =
        mr_view_user(slate->view, slate->user)->key % 10000 < (uint64_t)slate->explore_bp;
}

static void admit(mr_slate *slate)
{
    const size_t words = (slate->candidates->count + 63) / 64;
    memcpy(slate->bits, slate->free_bits, words * sizeof slate->bits[0]);
    for (uint32_t r = 0; r < slate->rule_count; r++)
        if (rule_of(&slate->rules[r])->admit != NULL)
            rule_of(&slate->rules[r])->admit(&slate->rules[r], slate, slate->bits);
}

static void open_policy(mr_slate *slate, const mr_instance *instance)
{
    const mr_policy *policy = policy_of(instance);
    if (policy->slate_bytes != NULL)
        slate->policy_kept = mr_arena_push(slate->arena, policy->slate_bytes(instance->config));
    if (policy->open != NULL)
        policy->open(instance, slate);
}

static void fill(mr_slate *slate, const mr_instance *policy, uint32_t k, mr_rng *rng)
{
    while (slate->picked_count < k) {
        double q = 1.0;
        admit(slate);
        const uint32_t candidate = slate->explore ? policy_of(policy)->draw(policy, slate, rng, &q)
                                                  : mr_greedy_best(slate);
        if (candidate == UINT32_MAX)
            return;
        slate->free_bits[candidate / 64] &= ~(1ull << (candidate % 64));
        slate->q[slate->picked_count] = q;
        slate->picked[slate->picked_count++] = candidate;
        for (uint32_t r = 0; r < slate->rule_count; r++)
            if (rule_of(&slate->rules[r])->picked != NULL)
                rule_of(&slate->rules[r])->picked(&slate->rules[r], slate, candidate);
    }
}

void mr_slate_draw(mr_slate *slate, const mr_instance *policy, uint32_t k, mr_rng *rng)
{
    if (slate->candidates->count > 0) {
        if (!slate->explore)
            mr_greedy_open(slate);
        else
            open_policy(slate, policy);
        fill(slate, policy, k, rng);
    }
    if (policy_of(policy)->drawn != NULL && policy->user_offset != 0)
        policy_of(policy)->drawn(policy, slate);
}

void *mr_slate_keep(mr_slate *slate, const mr_instance *rule, size_t bytes)
{
    void *room = mr_arena_push(slate->arena, bytes);
    slate->kept[rule - slate->rules] = room;
    return room;
}

uint32_t mr_slate_may_count(const mr_slate *slate)
{
    uint32_t count = 0;
    for (uint32_t w = 0; w < (slate->candidates->count + 63) / 64; w++)
        count += (uint32_t)__builtin_popcountll(slate->bits[w]);
    return count;
}

uint32_t mr_slate_may_nth(const mr_slate *slate, uint32_t n)
{
    uint32_t i = 0;
    for (; !mr_slate_may(slate, i) || n > 0; i++)
        n -= mr_slate_may(slate, i);
    return i;
}

static double plain_value(const mr_slate *slate, uint32_t candidate)
{
    return (double)(slate->mean != NULL ? slate->mean[candidate] : slate->relevance[candidate]);
}

double mr_slate_value(const mr_slate *slate, uint32_t candidate, double scale)
{
    const double value = plain_value(slate, candidate);
    return slate->adjusted ? value + scale * (double)slate->bonus[candidate] / slate->scale : value;
}

double mr_slate_value_scale(const mr_slate *slate)
{
    const uint32_t n = slate->candidates->count;
    double sum = 0, squares = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += plain_value(slate, i);
    for (uint32_t i = 0; i < n; i++)
        squares += (plain_value(slate, i) - sum / n) * (plain_value(slate, i) - sum / n);
    return squares > 0 ? __builtin_sqrt(squares / n) : 0;
}

float *mr_slate_adjust(mr_slate *slate)
{
    const uint32_t n = slate->candidates->count;
    double sum = 0, squares = 0;
    if (slate->adjusted)
        return slate->bonus;
    slate->adjusted = true;
    memset(slate->bonus, 0, n * sizeof slate->bonus[0]);
    for (uint32_t i = 0; i < n; i++)
        sum += (double)slate->relevance[i];
    const double mean = n > 0 ? sum / n : 0;
    for (uint32_t i = 0; i < n; i++)
        squares += ((double)slate->relevance[i] - mean) * ((double)slate->relevance[i] - mean);
    slate->scale = squares > 0 ? __builtin_sqrt(squares / n) : 1;
    return slate->bonus;
}

void mr_likeness_of(const mr_slate *slate, mr_likeness *likeness)
{
    for (uint32_t i = 0; i < slate->candidates->count; i++) {
        const float *vector = mr_view_vector(slate->view, "embedding", MR_KEY_ITEM,
                                             slate->candidates->slots[i], &likeness->length);
        likeness->vector[i] = vector;
        likeness->norm[i] =
            __builtin_sqrtf(slate->view->vec->dot(vector, vector, likeness->length));
    }
}

float mr_likeness_cosine(const mr_likeness *likeness, const mr_slate *slate, uint32_t a, uint32_t b)
{
    const float *norm = likeness->norm;
    if (!(norm[a] > 0 && norm[b] > 0))
        return 0;
    return slate->view->vec->dot(likeness->vector[a], likeness->vector[b], likeness->length) /
           (norm[a] * norm[b]);
}
