// SPDX-License-Identifier: Apache-2.0
#include "worker/ope/slates.h"

typedef struct sums { // over the positions of a slate
    double whole, rewards, rips, iips, cascade;
} sums;

static sums add_up(const mr_logged_slate *slate)
{
    sums s = {.whole = 1.0};
    for (uint32_t j = 0; j < slate->count; j++) {
        const double above = s.whole;
        s.whole *= slate->weight[j];
        s.rewards += slate->reward[j];
        s.rips += s.whole * slate->reward[j];
        if (slate->marginal != NULL)
            s.iips += slate->marginal[j] * slate->reward[j];
        if (slate->q != NULL)
            s.cascade += s.whole * (slate->reward[j] - slate->q[j]) + above * slate->q_policy[j];
    }
    return s;
}

void mr_slate_add(mr_offpolicy *policy, const mr_logged_slate *slate)
{
    double terms[MR_OPE_ESTIMATORS_MAX * MR_OPE_TERMS] = {0};
    const sums s = add_up(slate);
    for (uint32_t i = 0; i < policy->count; i++) {
        double *const t = terms + MR_OPE_TERMS * i;
        switch ((int)policy->sums[i].estimator.kind) {
        case MR_OPE_SIPS:
            t[0] = s.whole * s.rewards;
            break;
        case MR_OPE_SN_SIPS:
            t[1] = s.whole * s.rewards;
            t[2] = s.whole;
            break;
        case MR_OPE_RIPS:
            t[0] = s.rips;
            break;
        case MR_OPE_IIPS:
            MR_ASSERT(slate->marginal != NULL);
            t[0] = s.iips;
            break;
        case MR_OPE_CASCADE_DR:
            MR_ASSERT(slate->q != NULL && slate->q_policy != NULL);
            t[0] = s.cascade;
            break;
        default:
            MR_ASSERT(false);
        }
    }
    mr_offpolicy_add_terms(policy, terms, NULL, slate->cluster);
}
