// SPDX-License-Identifier: Apache-2.0
#include "worker/ope/lists.h"

#include <math.h>

bool mr_list_take(mr_list_rounds *list, const mr_bandit_round *round)
{
    if (list->begun == 0 || round->list != list->list) {
        list->list = round->list;
        list->count = 0;
        list->begun++;
    }
    const uint32_t wanted = round->entries < list->top ? round->entries : list->top;
    if (round->entry != list->count || list->count == wanted)
        return false; // an entry above it is missing, or it stands below those that count
    list->rounds[list->count++] = *round;
    if (list->count < wanted)
        return false;
    for (uint32_t i = 0; i < list->count; i++)
        list->reward += list->rounds[i].reward;
    list->whole++;
    return true;
}

typedef struct above { // the policy at one position, over the items that stand above it
    double chance, value;
} above;

static above count_above(const mr_arms *arms, const mr_bandit_round *rounds, uint32_t at)
{
    above sum = {0};
    for (uint32_t i = 0; i < at; i++) {
        const mr_arm *arm = mr_arms_find(arms, rounds[i].item_key, rounds[at].position);
        if (arm == NULL)
            continue;
        sum.chance += arm->chance;
        sum.value += arm->chance * mr_arm_value(arm);
    }
    return sum;
}

void mr_list_weigh(const mr_arms *arms, const mr_bandit_round *rounds, uint32_t count,
                   mr_list_weights *w)
{
    double supported = 1.0, below = 0.0;
    MR_ASSERT(count > 0 && count <= MR_LIST_TOP_MAX);
    w->whole = w->chance = 1.0;
    for (uint32_t j = 0; j < count; j++) {
        const mr_arm *arm = mr_arms_find(arms, rounds[j].item_key, rounds[j].position);
        MR_ASSERT(arm != NULL);
        const mr_arm_position *place = &arms->positions[arm->position];
        const above sum = count_above(arms, rounds, j);
        const double left = 1.0 - sum.chance;
        // A policy that shows nothing else at this position than what stands above has no such
        // list.
        const bool possible = left > 1e-12;
        const double chance = possible ? fmin(arm->chance / left, 1.0) : 0.0;
        w->arms[j] = (uint32_t)(arm - arms->arms);
        w->weight[j] = chance / rounds[j].propensity;
        w->reward[j] = rounds[j].reward;
        w->q[j] = mr_arm_value(arm);
        w->q_policy[j] = possible ? (place->q_policy - sum.value) / left : 0.0;
        w->whole *= w->weight[j];
        w->chance = fmin(w->chance, chance);
        supported *= 1.0 - fmin(place->unsupported, 1.0);
    }
    for (uint32_t j = count; j-- > 0;) {
        w->q[j] += below;
        w->q_policy[j] += below;
        below += arms->positions[arms->arms[w->arms[j]].position].q_policy;
    }
    w->unsupported = 1.0 - supported;
    w->slate = (mr_logged_slate){.count = count,
                                 .weight = w->weight,
                                 .reward = w->reward,
                                 .q = w->q,
                                 .q_policy = w->q_policy,
                                 .cluster = rounds[0].cluster};
}
