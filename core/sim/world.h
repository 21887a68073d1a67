// SPDX-License-Identifier: Apache-2.0
// world: a catalogue, and users with hidden tastes who look at lists, click and buy. For the demo
// and for tests; nothing of it is visible to what learns but the events.
//
// An item has a hidden mixture of themes (alpha_i, sums to 1), of which the strongest is its
// category, a quality q_i, a price, and a time from which it exists. A user belongs to a community
// and has tastes of his own around those of the community (rho_u, sums to 1). With
//     x_ui = match * (rho_u . alpha_i) / (max_j rho_u . alpha_j) + q_i + base - fatigue * f_ui
//            - sated * [he has clicked i lately] - bored * b_g(i),
// f_ui = 1 - 2^-n where n of his last LISTS lists showed item i without a click on it, he reads a
// list from the top: goes on to the next place with probability `examine`, clicks with sigma(x),
// and stops after a click with probability `stop`. A clicked item goes to the cart with
// sigma(x - 1.5), what is in the cart is bought with sigma(x - 1): a share `later` after a while,
// and a share `other` buys another item of the same category or its sister instead.
//
// A list leaves a mood behind. Satisfaction s moves by a fifth towards sigma(x) of the best clicked
// item, or towards 0; boredom b_g with a category grows by its share of the list and fades by
// exp(-t / bored_ms). After each list he ends his session with sigma(-2.2 - 2 s + 1.5 max_g b_g),
// and comes back after a time of mean return_ms exp(1.5 (.5 - s)); whom three sessions running have
// left with s < .1 never does. Every drift_ms the taste of one community moves: rho becomes
// (1 - drift) rho + drift times a new mixture, for all of its members.
//
// Pure: memory is handed in, and each draw is a function of (seed, stream, entity, step), so equal
// calls give equal bytes in whatever order users come. Items are numbered in order of their birth.
// Sources: HYDRA, "Flexible Generation of Preference Data for Recommendation Analysis"
// (communities, tastes and items by Dirichlet draws); RecoWorld and RecAgent (users in the loop
// with a mood, who tire and leave), in a lean form without any language model that is ours.
#ifndef MR_CORE_SIM_WORLD_H
#define MR_CORE_SIM_WORLD_H

#include <stdbool.h>

#include "core/event/event.h"

enum {
    MR_WORLD_THEMES_MAX = 16,
    MR_WORLD_COMMUNITIES_MAX = 64,
    MR_WORLD_SLATE_MAX = 20,
    MR_WORLD_LISTS = 3,                         // shown lists that tire
    MR_WORLD_LIKED = 24,                        // newest clicked items that are remembered
    MR_WORLD_ACTS_MAX = 3 * MR_WORLD_SLATE_MAX, // of one look at a list
    MR_WORLD_NONE = UINT32_MAX,
};

#define MR_WORLD_NEVER (INT64_MAX / 4)

typedef struct mr_world_config {
    uint64_t seed;
    uint32_t users, items;        // items that appear later are counted
    uint32_t themes, communities; // at most ..._MAX
    double late_share;            // of the items, born at even distances up to late_ms
    int64_t late_ms;
    bool twins; // the first of those is as the best of the others, the second as the next best, ...
    double match, base, quality; // quality: standard deviation of q_i
    double fatigue, sated, examine, stop;
    double browse; // share of the visits that begin with a find of his own
    double gap_ms; // mean time between two lists of an average user in one session
    double bored, bored_ms;
    double return_ms;       // 0: nobody leaves
    double later, later_ms; // share of the purchases that are late, and by how much in the mean
    double other;
    int64_t drift_ms; // 0: tastes stay
    double drift;
} mr_world_config;

// Of the demo: a minute of it stands for a day or so.
mr_world_config mr_world_defaults(void);
// In the time of real users: a list every 20 s in a session, back after a day.
mr_world_config mr_world_days(void);

typedef struct mr_world_item {
    float alpha[MR_WORLD_THEMES_MAX];
    float quality;
    uint32_t category;
    uint32_t cents; // price
    uint32_t twin; // which item it is as good as, for the same users; MR_WORLD_NONE: none
    int64_t born_ms;
} mr_world_item;

typedef struct mr_world_shown {
    uint32_t items[MR_WORLD_SLATE_MAX];
    uint32_t count;
    uint32_t clicked; // bit by place
} mr_world_shown;

typedef struct mr_world_user {
    float rho[MR_WORLD_THEMES_MAX];
    float match_max; // largest rho . alpha over all items
    float pace;      // visits in relation to the average user
    uint32_t community;
    uint32_t visits; // lists that he has looked at
    int64_t now_ms;  // when he came last
    uint32_t drifts; // of all communities until then
    uint32_t sessions; // that ended
    uint32_t low;      // the last ones of them, running, that left him with little satisfaction
    bool left, gone;   // his session ended with the last list; he never comes back
    float satisfaction;
    float bored[MR_WORLD_THEMES_MAX]; // at now_ms
    uint32_t liked[MR_WORLD_LIKED];       // a ring; MR_WORLD_NONE where empty
    uint32_t liked_count;                 // ever
    mr_world_shown shown[MR_WORLD_LISTS]; // a ring by visit
} mr_world_user;

typedef struct mr_world {
    mr_world_config config;
    mr_world_item *items;
    mr_world_user *users;
} mr_world;

// Bytes of memory for this configuration, aligned to 64.
size_t mr_world_bytes(const mr_world_config *config);
// Makes the world in `memory`, which lives as long as it. O(users * items * themes).
void mr_world_init(mr_world *world, const mr_world_config *config, void *memory);

// The community that an item is most for, by its members' mean taste: homes[item].
void mr_world_homes(const mr_world *world, uint32_t *homes);

// How many items exist at that time (of the run, from 0): those with index below it.
uint32_t mr_world_live(const mr_world *world, int64_t run_ms);
// Time to the user's next visit, as it follows from his pace, the number of his visits, and whether
// he has left. >= 1; MR_WORLD_NEVER: he is gone.
int64_t mr_world_gap_ms(const mr_world *world, uint32_t user);
// The user is there at that time, before he looks at a list: boredom has faded, tastes have moved.
// Times do not go back. O(themes), where his taste has moved O(items * themes).
void mr_world_come(mr_world *world, uint32_t user, int64_t run_ms);

// The formulas of a mood, alone: s after a list with `best` = sigma(x) of the best click, 0 for
// none; b_g after `ms` and a list with that share of the category; the chance to leave.
double mr_world_satisfied(double s, double best);
double mr_world_boredom(double b, double ms, double bored_ms, double share);
double mr_world_leaving(double s, double b_max);

// Whether the item is among the newest MR_WORLD_LIKED that the user has clicked.
bool mr_world_liked(const mr_world *world, uint32_t user, uint32_t item);

// The truth. x of the formula above as the user feels now; the probability of a click on each place
// of a list (p may be NULL) and their sum, exactly.
double mr_world_utility(const mr_world *world, uint32_t user, uint32_t item);
double mr_world_expect(const mr_world *world, uint32_t user, const uint32_t *slate, uint32_t count,
                       double *p);
// The list that an oracle shows: the count items of highest utility below `live` that the user has
// not liked yet, best first, equal ones by index. Returns how many there are.
uint32_t mr_world_oracle(const mr_world *world, uint32_t user, uint32_t live, uint32_t *slate,
                         uint32_t count);
// `count` different items below `live` that the user has not liked yet, drawn evenly; keyed by the
// user's number of visits. Returns how many there are.
uint32_t mr_world_random(const mr_world *world, uint32_t user, uint32_t live, uint32_t *slate,
                         uint32_t count);

// What the user finds by himself on this visit, by searching or browsing: a theme by his taste,
// then an item of it; MR_WORLD_NONE on most visits. He clicks it, whatever list he is shown.
uint32_t mr_world_browse(const mr_world *world, uint32_t user, uint32_t live);

typedef struct mr_world_act {
    mr_event_kind kind; // click, cart or purchase
    uint32_t item;
    uint32_t place;    // in the list, from 0: of a purchase of another item, that of the clicked
    uint32_t quantity; // of a cart or a purchase
    int64_t delay_ms;  // of a purchase: from now
} mr_world_act;

// The user looks at a list of count <= MR_WORLD_SLATE_MAX different items. Returns how many acts
// there are, at most MR_WORLD_ACTS_MAX, in their order: a click, then its cart, then its purchase.
uint32_t mr_world_visit(mr_world *world, uint32_t user, const uint32_t *slate, uint32_t count,
                        mr_world_act acts[static MR_WORLD_ACTS_MAX]);

#endif
