// SPDX-License-Identifier: Apache-2.0
#include "core/sim/taste.h"

// What a draw is for, below those of core/sim/world.c; never renumbered.
typedef enum stream { STREAM_TASTE_USERS = 32, STREAM_TASTE_ITEMS, STREAM_TASTE_PAIRS } stream;

static mr_rng draws(const mr_taste_config *config, stream of, uint64_t entity)
{
    return mr_rng_make(config->seed, 0, 0, entity, (mr_purpose)(MR_PURPOSE_SIM + of));
}

mr_taste_config mr_taste_defaults(void)
{
    return (mr_taste_config){
        .seed = 1,
        .users = 10000,
        .items = 20000,
        .attributes = 1,
        .communities = 1,
        .epsilon = 0.02,
        .engagement = {MR_LAW_ZIPF, 1, 0},
        .popularity = {MR_LAW_ZIPF, 1, 0},
        .zeta = 1,
        .xi = 1,
    };
}

static size_t larger(const mr_taste_config *config)
{
    return config->users > config->items ? config->users : config->items;
}

size_t mr_taste_bytes(const mr_taste_config *config)
{
    const size_t m = config->users, n = config->items, f = config->attributes;
    return mr_arena_round(m * f * sizeof(float)) + mr_arena_round(n * f * sizeof(float)) +
           mr_arena_round(m * sizeof(float)) + mr_arena_round(n * sizeof(float)) +
           mr_alias_bytes(config->users) + mr_arena_round(f * sizeof(mr_alias)) +
           f * mr_alias_bytes(config->items) + mr_arena_round(larger(config) * sizeof(double)) +
           mr_arena_round(larger(config) * sizeof(uint32_t));
}

// A community of even probability, and a mixture around it.
static void make_mixture(const mr_taste_config *config, mr_rng *rng, uint32_t community,
                         double shape, double scale, float *mixture)
{
    const uint32_t f = config->attributes;
    double shapes[MR_TASTE_ATTRIBUTES_MAX] = {0};
    for (uint32_t a = 0; a < f; a++)
        shapes[a] = config->communities > 1 && a % config->communities == community
                        ? config->epsilon
                        : shape;
    mr_draw_dirichlet(rng, shapes, f, mixture);
    for (uint32_t a = 0; a < f; a++) { // a shape has to be above 0
        shapes[a] = scale * (double)mixture[a];
        shapes[a] = shapes[a] > 1e-12 ? shapes[a] : 1e-12;
    }
    mr_draw_dirichlet(rng, shapes, f, mixture);
}

static uint32_t community(const mr_taste_config *config, stream of, uint32_t entity)
{
    mr_rng rng = draws(config, of, entity);
    return mr_rng_below(&rng, config->communities);
}

static void make_users(mr_taste *taste)
{
    const mr_taste_config *c = &taste->config;
    for (uint32_t u = 0; u < c->users; u++) {
        mr_rng rng = draws(c, STREAM_TASTE_USERS, u);
        const uint32_t of = mr_rng_below(&rng, c->communities); // as community() draws it
        const double z = mr_law_draw(&c->engagement, &rng, u, c->items);
        taste->engagement[u] = (float)mr_draw_power(z / c->items, c->zeta);
        make_mixture(c, &rng, of, 1, 10, taste->rho + (size_t)u * c->attributes);
    }
}

static void make_items(mr_taste *taste)
{
    const mr_taste_config *c = &taste->config;
    for (uint32_t i = 0; i < c->items; i++) {
        mr_rng rng = draws(c, STREAM_TASTE_ITEMS, i);
        const uint32_t of = mr_rng_below(&rng, c->communities);
        const double y = mr_law_draw(&c->popularity, &rng, i, c->users);
        taste->popularity[i] = (float)mr_draw_power(y / c->users, c->xi);
        make_mixture(c, &rng, of, 100, 0.1, taste->alpha + (size_t)i * c->attributes);
    }
}

static void make_tables(mr_taste *taste, mr_arena *arena)
{
    const mr_taste_config *c = &taste->config;
    double *weights = mr_arena_push(arena, larger(c) * sizeof *weights);
    uint32_t *scratch = mr_arena_push(arena, larger(c) * sizeof *scratch);
    for (uint32_t a = 0; a < c->attributes; a++) {
        taste->A[a] = 0;
        for (uint32_t i = 0; i < c->items; i++) {
            weights[i] = (double)taste->alpha[(size_t)i * c->attributes + a] *
                         (double)taste->popularity[i];
            taste->A[a] += weights[i];
        }
        mr_alias_init(&taste->items[a], c->items, weights, scratch, arena);
    }
    taste->degrees = 0;
    for (uint32_t u = 0; u < c->users; u++) {
        weights[u] = mr_taste_degree(taste, 1, u);
        taste->degrees += weights[u];
    }
    mr_alias_init(&taste->users, c->users, weights, scratch, arena);
}

void mr_taste_init(mr_taste *taste, const mr_taste_config *config, void *memory)
{
    MR_ASSERT(config->users >= 1 && config->items >= 1);
    MR_ASSERT(config->attributes >= 1 && config->attributes <= MR_TASTE_ATTRIBUTES_MAX);
    MR_ASSERT(config->communities >= 1 && config->communities <= config->attributes);
    const size_t m = config->users, n = config->items, f = config->attributes;
    mr_arena arena;
    mr_arena_init(&arena, memory, mr_taste_bytes(config));
    taste->config = *config;
    taste->rho = mr_arena_push(&arena, m * f * sizeof(float));
    taste->alpha = mr_arena_push(&arena, n * f * sizeof(float));
    taste->engagement = mr_arena_push(&arena, m * sizeof(float));
    taste->popularity = mr_arena_push(&arena, n * sizeof(float));
    taste->items = mr_arena_push(&arena, f * sizeof *taste->items);
    make_users(taste);
    make_items(taste);
    make_tables(taste, &arena);
}

// ---- looking

uint32_t mr_taste_community_of_user(const mr_taste *taste, uint32_t user)
{
    return community(&taste->config, STREAM_TASTE_USERS, user);
}

uint32_t mr_taste_community_of_item(const mr_taste *taste, uint32_t item)
{
    return community(&taste->config, STREAM_TASTE_ITEMS, item);
}

double mr_taste_rate(const mr_taste *taste, double lambda, uint32_t user, uint32_t item)
{
    const uint32_t f = taste->config.attributes;
    const float *rho = taste->rho + (size_t)user * f, *alpha = taste->alpha + (size_t)item * f;
    double match = 0;
    for (uint32_t a = 0; a < f; a++)
        match += (double)rho[a] * (double)alpha[a];
    return mr_taste_formula(lambda, match, (double)taste->engagement[user],
                            (double)taste->popularity[item]);
}

double mr_taste_degree(const mr_taste *taste, double lambda, uint32_t user)
{
    const uint32_t f = taste->config.attributes;
    const float *rho = taste->rho + (size_t)user * f;
    double sum = 0;
    for (uint32_t a = 0; a < f; a++)
        sum += (double)rho[a] * taste->A[a];
    return lambda * (double)taste->engagement[user] * sum;
}

double mr_taste_clipped(const mr_taste *taste, double lambda, uint32_t pairs)
{
    mr_rng rng = draws(&taste->config, STREAM_TASTE_PAIRS, 0);
    uint32_t above = 0;
    for (uint32_t p = 0; p < pairs; p++) {
        const uint32_t user = mr_rng_below(&rng, taste->config.users);
        above += mr_taste_rate(taste, lambda, user, mr_rng_below(&rng, taste->config.items)) > 0.99;
    }
    return pairs > 0 ? (double)above / pairs : 0;
}

void mr_taste_draw(const mr_taste *taste, mr_rng *rng, uint32_t *user, uint32_t *item)
{
    const uint32_t f = taste->config.attributes;
    *user = mr_alias_draw(&taste->users, rng);
    const float *rho = taste->rho + (size_t)*user * f;
    uint32_t a = 0;
    if (f > 1) {
        double sum = 0, reached = 0;
        for (uint32_t b = 0; b < f; b++)
            sum += (double)rho[b] * taste->A[b];
        const double wanted = sum * mr_rng_double(rng);
        while (a + 1 < f && (reached += (double)rho[a] * taste->A[a]) <= wanted)
            a++;
    }
    *item = mr_alias_draw(&taste->items[a], rng);
}
