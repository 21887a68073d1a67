// SPDX-License-Identifier: Apache-2.0
// taste: who acts on what, at any size: preference data with communities, popularity and engagement
// as they are wished for, drawn as a stream.
//
// A user has a mixture of attributes rho_u and an engagement e_u, an item a mixture alpha_i and a
// popularity g_i. Where there are several communities, each is short of a block of attributes of
// its own, in users and in items, and so the two match within a community better than across:
//     mu_u  ~ Dirichlet(1, `epsilon` on the block),    rho_u   ~ Dirichlet(10 mu_u)
//     mu_i  ~ Dirichlet(100, `epsilon` on the block),  alpha_i ~ Dirichlet(0.1 mu_i)
//     e_u = (z_u / items)^zeta,  z_u ~ engagement;     g_i = (y_i / users)^xi,  y_i ~ popularity
// User u acts on item i at the rate T_ui = Lambda (rho_u . alpha_i) e_u g_i.
//
// The stream: events of all users are a Poisson process of those rates, so the next event's user is
// drawn by his expected degree Lambda e_u sum_a rho_ua A_a with A_a = sum_i alpha_ia g_i, then an
// attribute by rho_ua A_a, then an item of it by alpha_ia g_i: alias tables, no pair is looked at.
// With one attribute it is users and items drawn apart.
//
// Pure: memory is handed in; each draw is a function of (seed, stream, entity) or (seed, event).
// Source: HYDRA, "Flexible Generation of Preference Data for Recommendation Analysis". Departures:
// 1. Poisson counts in the place of one Bernoulli draw a pair, so a pair may come several times and
//    T_ui may be above 1. 2. No noise on the match (their delta = 1). 3. No smallest degree (their
//    tau): a stream has as many events as are asked for. 4. One law for all users, one for all
//    items.
#ifndef MR_CORE_SIM_TASTE_H
#define MR_CORE_SIM_TASTE_H

#include "core/sim/draws.h"

enum { MR_TASTE_ATTRIBUTES_MAX = MR_DRAWS_SHARES_MAX };

typedef struct mr_taste_config {
    uint64_t seed;
    uint32_t users, items;            // 1 and more
    uint32_t attributes, communities; // 1 <= communities <= attributes <= MR_TASTE_ATTRIBUTES_MAX
    double epsilon;                   // Dirichlet shape on a community's block; 1: no communities
    mr_law engagement, popularity;
    double zeta, xi; // >= 0
} mr_taste_config;

typedef struct mr_taste {
    mr_taste_config config;
    float *rho, *alpha;           // users x attributes, items x attributes
    float *engagement;            // e_u
    float *popularity;            // g_i
    mr_alias users;               // by expected degree
    mr_alias *items;              // of each attribute, by alpha_ia g_i
    double A[MR_TASTE_ATTRIBUTES_MAX];
    double degrees; // sum over users of e_u sum_a rho_ua A_a: events expected for Lambda = 1
} mr_taste;

// 10,000 users, 20,000 items, Zipf's law with exponent 1 for both, one attribute.
mr_taste_config mr_taste_defaults(void);

// Bytes of memory for this configuration, aligned to 64.
size_t mr_taste_bytes(const mr_taste_config *config);
// Makes it in `memory`, which lives as long as it. O((users + items) attributes).
void mr_taste_init(mr_taste *taste, const mr_taste_config *config, void *memory);

uint32_t mr_taste_community_of_user(const mr_taste *taste, uint32_t user);
uint32_t mr_taste_community_of_item(const mr_taste *taste, uint32_t item);

// T_ui for this Lambda, not clipped.
double mr_taste_rate(const mr_taste *taste, double lambda, uint32_t user, uint32_t item);
// The user's expected number of events. Lambda of `events` expected ones is events / degrees.
double mr_taste_degree(const mr_taste *taste, double lambda, uint32_t user);
// The share of pairs whose rate is above .99, where a model of one Bernoulli draw a pair would
// clip; estimated from `pairs` pairs drawn evenly.
double mr_taste_clipped(const mr_taste *taste, double lambda, uint32_t pairs);

// User and item of the next event, from what rng gives.
void mr_taste_draw(const mr_taste *taste, mr_rng *rng, uint32_t *user, uint32_t *item);

// The formula alone.
static inline double mr_taste_formula(double lambda, double match, double engagement,
                                      double popularity)
{
    return lambda * match * engagement * popularity;
}

#endif
