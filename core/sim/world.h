// SPDX-License-Identifier: Apache-2.0
// world: a catalogue, and users with hidden tastes who look at lists, click and buy. For the demo
// and for tests; nothing of it is visible to what learns but the events.
//
// An item has a hidden mixture of themes (alpha_i, sums to 1), of which the strongest is its
// category, a quality q_i, a price, and a time from which it exists. A user belongs to a community
// and has tastes of his own around those of the community (rho_u, sums to 1). With
//     x_ui = match * (rho_u . alpha_i) / (max_j rho_u . alpha_j) + q_i + base - fatigue * f_ui
//            - sated * [he has clicked i lately],
// f_ui the share of his last LISTS lists that showed item i without a click on it, he reads a list
// from the top: goes on to the next place with probability `examine`, clicks with sigma(x), and
// stops after a click with probability `stop`. A clicked item goes to the cart with sigma(x - 1.5),
// what is in the cart is bought with sigma(x - 1).
//
// Pure: memory is handed in, and each draw is a function of (seed, stream, entity, step), so equal
// calls give equal bytes in whatever order users come. Items are numbered in order of their birth.
// Sources: HYDRA, "Flexible Generation of Preference Data for Recommendation Analysis"
// (communities, tastes and items by Dirichlet draws); RecoWorld and RecAgent (users in the loop who
// tire), in a lean form that is ours: nobody leaves or gives instructions, and purchases follow at
// once.
#ifndef MR_CORE_SIM_WORLD_H
#define MR_CORE_SIM_WORLD_H

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

typedef struct mr_world_config {
    uint64_t seed;
    uint32_t users, items;        // items that appear later are counted
    uint32_t themes, communities; // at most ..._MAX
    double late_share;            // of the items, born at even distances up to late_ms
    int64_t late_ms;
    double match, base, quality; // quality: standard deviation of q_i
    double fatigue, sated, examine, stop;
    double browse; // share of the visits that begin with a find of his own
    double gap_ms; // mean time between two visits of an average user
} mr_world_config;

mr_world_config mr_world_defaults(void);

typedef struct mr_world_item {
    float alpha[MR_WORLD_THEMES_MAX];
    float quality;
    uint32_t category;
    uint32_t cents; // price
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
    uint32_t visits;
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

// How many items exist at that time (of the run, from 0): those with index below it.
uint32_t mr_world_live(const mr_world *world, int64_t run_ms);
// Time to the user's next visit, as it follows from his pace and the number of his visits. >= 1.
int64_t mr_world_gap_ms(const mr_world *world, uint32_t user);

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
    uint32_t place;    // in the list, from 0
    uint32_t quantity; // of a cart or a purchase
} mr_world_act;

// The user looks at a list of count <= MR_WORLD_SLATE_MAX different items. Returns how many acts
// there are, at most MR_WORLD_ACTS_MAX, in their order: a click, then its cart, then its purchase.
uint32_t mr_world_visit(mr_world *world, uint32_t user, const uint32_t *slate, uint32_t count,
                        mr_world_act acts[static MR_WORLD_ACTS_MAX]);

#endif
