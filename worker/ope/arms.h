// SPDX-License-Identifier: Apache-2.0
// arms: what a bandit log holds of each action: an item at a position.
//
// Counts of the log itself (rounds, rewards: the reward model) and the policy's chance of the arm.
// Arms of one position hang together, since a policy chooses among them.
#ifndef MR_WORKER_OPE_ARMS_H
#define MR_WORKER_OPE_ARMS_H

#include "core/base/map.h"
#include "core/event/event.h"

enum { MR_ARMS_MAX = 1 << 20, MR_ARM_POSITIONS_MAX = 512 };

typedef struct mr_said { // what the log's propensities p say of an arm (calibration.h)
    double shown, inverse, inverse_square; // rounds, sums of 1 / p and of its square over them
    double first_inverse, last_inverse;    // 1 / p the first and the last time that it was shown
    uint64_t first, last;                  // the position's rounds by then
} mr_said;

typedef struct mr_arm {
    uint64_t item_key;
    uint32_t position, next; // index of the position; the next arm there
    double rounds, reward;   // of the log
    double shown;            // in the log that a policy is taken from
    double chance;           // pi_e of the arm at its position
    mr_said said;
} mr_arm;

typedef struct mr_arm_position {
    int64_t label;
    uint32_t first, count; // arms; MR_MAP_NONE: no more
    uint64_t rounds;       // that the log has here
    double shown, q_policy, unsupported;
} mr_arm_position;

typedef struct mr_arms {
    mr_arm *arms;
    uint32_t count, room;
    mr_arm_position positions[MR_ARM_POSITIONS_MAX];
    uint32_t position_count;
    mr_map index;
    void *index_memory;
} mr_arms;

// Errors: MR_FATAL: out of memory.
MR_CHECKED mr_status mr_arms_open(mr_arms *arms, mr_error *err);
void mr_arms_close(mr_arms *arms);

// The arm of an item at a position, made where it is new. Errors: MR_FATAL: more arms or positions
// than there is room for.
MR_CHECKED mr_status mr_arms_at(mr_arms *arms, uint64_t item_key, int64_t position, uint32_t *arm,
                                mr_error *err);

// The arm of an item at a position; NULL: there is none.
const mr_arm *mr_arms_find(const mr_arms *arms, uint64_t item_key, int64_t position);

// A round of the log that showed the arm: counted with its reward and its propensity, above 0.
void mr_arms_show(mr_arms *arms, uint32_t arm, double reward, double propensity);

// Policies over the arms that are known so far. uniform: over those that the log shows at a
// position. frequencies: as often as the other log shows them there. most frequent: that one alone,
// of equals the one of the least key.
void mr_arms_uniform(mr_arms *arms);
void mr_arms_frequencies(mr_arms *arms);
void mr_arms_most_frequent(mr_arms *arms);

// Reward model: mean reward of the arm, drawn to a hundredth by a hundred rounds: (reward + 1) /
// (rounds + 100).
double mr_arm_value(const mr_arm *arm);
// For every position: the policy's mean of the arms' values, and its chance of arms that the log
// never shows. After a policy was chosen or counts were set.
void mr_arms_settle(mr_arms *arms);
// One more round of an arm, learned: the position's mean follows.
void mr_arms_learn(mr_arms *arms, uint32_t arm, double reward);
// Forgets the log's rounds and rewards, keeps the arms, the policy and what is unsupported.
void mr_arms_forget(mr_arms *arms);
// How many items there are at all positions together. Errors: MR_FATAL: out of memory.
MR_CHECKED mr_status mr_arms_items(const mr_arms *arms, uint32_t *items, mr_error *err);

#endif
