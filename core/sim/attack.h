// SPDX-License-Identifier: Apache-2.0
// attack: accounts of an attacker beside a loop's users, and what they gain.
//
// Except for the flood, every fake account acts as often as an average user has until then. A push
// attack wants its targets, unpopular items, into the lists of users; a nuke, and fraud with
// impressions, want a rival, popular items, out of them.
//
//   random       clicks on targets among others drawn evenly
//   bandwagon    among the most popular items and a third drawn evenly
//   average      among others drawn as often as users click them
//   segment      among the most popular items of one category, that of most clicks
//   covisit      pairs of a popular item and a target, each a little session of its own
//   flood        one account clicks targets only, as often as all fakes of the others together
//   drip         as bandwagon, over all the time, no account faster than a user
//   sleeper      clicks what a real user has clicked, then, in the last third, targets only
//   bandit       looks at lists of its own; clicks targets in them, ignores every other list
//   nuke         clicks unpopular items, and shows itself the rival beside them without a click
//   impressions  impressions of the rival without a click
//
// What the attacker knows is public: how often items are clicked, their categories, one user's
// clicks. Sources: Lam and Riedl, "Shilling Recommender Systems for Fun and Profit" (random,
// average, segment, bandwagon, nuke); ARLib, a public suite (sizes, targets); as events on a
// stream, and the last seven, they are ours.
#ifndef MR_CORE_SIM_ATTACK_H
#define MR_CORE_SIM_ATTACK_H

#include "core/sim/loop.h"

typedef enum mr_attack_kind {
    MR_ATTACK_RANDOM,
    MR_ATTACK_BANDWAGON,
    MR_ATTACK_AVERAGE,
    MR_ATTACK_SEGMENT,
    MR_ATTACK_COVISIT,
    MR_ATTACK_FLOOD,
    MR_ATTACK_DRIP,
    MR_ATTACK_SLEEPER,
    MR_ATTACK_BANDIT,
    MR_ATTACK_NUKE,
    MR_ATTACK_IMPRESSIONS,
    MR_ATTACK_KINDS,
} mr_attack_kind;

extern const char *const mr_attack_names[MR_ATTACK_KINDS];

enum {
    MR_ATTACK_TARGETS = 5,
    MR_ATTACK_POPULAR = 20, // items that count as popular, as unpopular, or as a segment
    MR_ATTACK_FAKES_MAX = 4096,
};

typedef struct mr_attack_config {
    mr_attack_kind kind;
    uint64_t seed;
    uint32_t fakes;    // accounts; at most those of the loop
    int64_t begin_ms;  // of the loop: not before its present
    int64_t burst_ms;  // within which sessions of fakes begin
    int64_t length_ms; // within which a slow attack is spread
} mr_attack_config;

typedef struct mr_attack {
    mr_attack_config config;
    uint32_t targets[MR_ATTACK_TARGETS]; // of a nuke and of impressions: the rival's items
    uint32_t popular[MR_ATTACK_POPULAR], unpopular[MR_ATTACK_POPULAR], segment[MR_ATTACK_POPULAR];
    uint32_t segment_count;
    uint32_t accounts; // that act: 1 in a flood
    uint32_t acts;     // of each
    uint32_t done[MR_ATTACK_FAKES_MAX];
    uint64_t events;
} mr_attack;

// Whether it wants its targets out of lists.
bool mr_attack_is_nuke(mr_attack_kind kind);

// The items that an attack of this kind is about, as the loop stands: five of the least popular
// tenth by the seed, or the five most popular.
void mr_attack_targets(const mr_loop *loop, mr_attack_kind kind, uint64_t seed,
                       uint32_t targets[static MR_ATTACK_TARGETS]);

// Plans an attack on a loop as it stands, and puts it beside it: *attack lives as long as the loop
// runs. The loop needs items for MR_ATTACK_POPULAR popular and unpopular ones.
void mr_attack_begin(mr_attack *attack, const mr_attack_config *config, mr_loop *loop);

// How exposed items are to real users, and how good their lists are, as the loop stands.
typedef struct mr_exposure {
    double share;  // of users who would be shown at least one of the items now: ER@k
    double rank;   // mean place of the items in lists, from 1; k + 1 where they are not in
    double recall; // mean mr_loop_recall
    double clicks; // mean of the clicks to expect of a list, by users' true tastes
} mr_exposure;

mr_exposure mr_attack_exposure(const mr_loop *loop, const uint32_t *items, uint32_t count);

#endif
