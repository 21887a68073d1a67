// SPDX-License-Identifier: Apache-2.0
// lists: puts the rounds of a list together again, and weighs the list against a policy.
//
// The policy draws from the top: at each position in proportion to its chances there, among the
// items that do not stand above. A list is judged by its first positions alone, which is right
// where what a user does there does not depend on what stands below (users who read from the top).
// The reward model is a table: what an item earns at its position, and for the positions below what
// the policy earns there on average.
#ifndef MR_WORKER_OPE_LISTS_H
#define MR_WORKER_OPE_LISTS_H

#include "worker/ope/arms.h"
#include "worker/ope/rounds.h"
#include "worker/ope/slates.h"

enum { MR_LIST_TOP_MAX = 64 };

typedef struct mr_list_rounds { // of one list, as they come
    uint32_t top;               // positions that count, 1 .. MR_LIST_TOP_MAX; set by the caller
    mr_bandit_round rounds[MR_LIST_TOP_MAX];
    uint32_t count;
    uint64_t list;         // number of the list that they are of
    uint64_t begun, whole; // lists; those that are not whole lack an entry's propensity
    double reward;         // of the whole ones
} mr_list_rounds;

// Takes the next round of a log. Returns whether rounds[0 .. count) are now a list's first `top`
// positions, or all that it has.
bool mr_list_take(mr_list_rounds *list, const mr_bandit_round *round);

typedef struct mr_list_weights {
    double weight[MR_LIST_TOP_MAX], reward[MR_LIST_TOP_MAX];
    double q[MR_LIST_TOP_MAX], q_policy[MR_LIST_TOP_MAX];
    uint32_t arms[MR_LIST_TOP_MAX];
    mr_logged_slate slate; // points to the above
    double whole;          // product of the weights
    double chance;         // the policy's least, of an item given those above
    double unsupported;    // the policy's chance of a list that holds what the log never shows
} mr_list_weights;

// Weighs the first `count` rounds of a list, 1 .. MR_LIST_TOP_MAX, all of whose arms are known
// (asserted), by the chances and values that the arms have now.
void mr_list_weigh(const mr_arms *arms, const mr_bandit_round *rounds, uint32_t count,
                   mr_list_weights *weights);

#endif
