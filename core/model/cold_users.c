// SPDX-License-Identifier: Apache-2.0
// cold_users: a user of few acts begins where users begin who did the same. Off unless `dim` is
// set.
//
// There are K priors in the embedding's user space: vectors mu_k, each the mean of users who stood
// near to it, with weights pi_k. After acts on i_1..i_n, of which the newest READ are read,
//     rho_k ~ pi_k prod_t p(i_t | k),   ln p(i | k) = (mu_k . v_i - ln Z_k) / temperature
// and the user's vector is
//     w = keep u + (1 - a) sum_k rho_k mu_k,   a = n / (n + kappa)
// with u what the embedding has learned of him: its steps, taken from about nothing, are added to
// where they ought to have begun. keep is 1, and for somebody without acts 0. An item's score is
// w.v, found exactly in the embedding's own index. From FULL acts on it is u.v.
//
// Z_k = mean over items of exp(mu_k . v), from one act in `every` that measures all k on one block
// of items, drawn as negatives are: so p is how much likelier an item is than in that draw, and
// what is popular is no evidence for those who like what is popular.
//
// The outer step, where a user reaches FIRST and FULL acts: rho by his items, and at the owner
//     mu_k <- mu_k + e_k (sum rho u / sum rho - mu_k),   e_k = R / (R + min(W_k, 1/step)), R = sum
//     rho
// a mean at first, later one that forgets: of a single user e_k is about step rho. pi_k ~ W_k,
// which fade by 1/memory a user. A prior that nobody stands near to (W < SEEDED) takes the place of
// the first user whose hash names it. One whose users differ more than twice as much as those of
// all, and who are more than a hundredth of them, is split in two where there is a prior without
// users; so a small group keeps its own.
//
// Merge: deltas are sums of rho u, rho and rho |u - mu|^2, added in order; one owner applies them.
// Source: "ClusterSeq: Enhancing Sequential Recommender Systems with Clustering based
// Meta-Learning". Departures: (1) first order: the outer step is towards the adapted user, no
// gradient goes through the adaptation; (2) a rate that falls from 1 to `step`: at .02 from the
// start, times rho, no prior would leave its place on these logs; (3) the embedding's rows are its
// own, so that the prior is added when a list is made, and taken away as evidence comes.
#include "core/deltas.h"
#include "core/model/negatives.h"
#include "core/model/stand_in.h"

enum { DIM_MAX = 64, PRIORS_MAX = 200, READ = 10, FIRST = 10, FULL = 50, SAMPLES = 64, DRAWS = 16 };
#define SEEDED 0.5f     // users: a prior of less is free
#define SPLIT_OVER 2.0f // times the mean of what users differ
#define SPLIT_FROM 0.01f
#define SCORE_MAX 30.0f

typedef struct config {
    double dim, priors, kappa, step, memory, every, temperature;
} config;

static const mr_param params[] = {
    {"dim", "",
     "leading numbers of the vectors that priors have, rounded up to 16: the embedding's dim; 0: "
     "off",
     offsetof(config, dim), 0, 0, DIM_MAX},
    {"priors", "", "places where a user may begin", offsetof(config, priors), 64, 1, PRIORS_MAX},
    {"kappa", "", "acts after which half of the prior is left", offsetof(config, kappa), 10, 0.01,
     1000},
    {"step", "", "least share of a prior that a user who stands there replaces",
     offsetof(config, step), 0.02, 1e-4, 1},
    {"memory", "", "users after whom a prior's weight counts 1/e of what it did",
     offsetof(config, memory), 10000, 10, 1e9},
    {"every", "", "one act in so many measures how likely items are under the priors",
     offsetof(config, every), 16, 1, 1e6},
    {"temperature", "", "of the evidence: more makes acts say less", offsetof(config, temperature),
     1, 0.01, 100},
    {0},
};

// Of the row, and of what is added to it.
typedef struct prior {
    float weight; // users, faded; of a delta the sum of rho
    float spread; // mean of |u - mu|^2; of a delta the sum of rho |u - mu|^2
    float reserved[2];
    float mean[]; // dim; of a delta the sum of rho u
} prior;

typedef struct table {      // of priors
    float splits, reserved; // how many there were
    float of[];             // priors x (4 + dim)
} table;

typedef struct measured {  // Z
    float count, reserved; // of samples
    float sums[];          // by prior: of the samples' means
} measured;

enum { FAMILY_PRIORS, FAMILY_MEASURED };

static uint32_t dim(const void *c)
{
    return mr_vec_padded((uint32_t)((const config *)c)->dim);
}

static bool on(const void *c)
{
    return dim(c) > 0;
}

static uint32_t priors_of(const void *c)
{
    return (uint32_t)((const config *)c)->priors;
}

static uint32_t table_floats(const void *c)
{
    return 2 + priors_of(c) * (4 + dim(c));
}

static uint32_t table_bytes(const void *c)
{
    return table_floats(c) * 4;
}

static uint32_t measured_bytes(const void *c)
{
    return (2 + priors_of(c) + 1) / 2 * 8;
}

static uint8_t variant(const void *c)
{
    return (uint8_t)(dim(c) / 16);
}

static const mr_family families[] = {
    [FAMILY_PRIORS] = {.name = "priors",
                       .key = MR_KEY_NAMED,
                       .delta = MR_DELTA_SUM,
                       .version = 1,
                       .variant = variant,
                       .row_bytes = table_bytes,
                       .delta_bytes = table_bytes},
    [FAMILY_MEASURED] = {.name = "measured",
                         .key = MR_KEY_NAMED,
                         .delta = MR_DELTA_SUM,
                         .version = 1,
                         .variant = variant,
                         .row_bytes = measured_bytes,
                         .delta_bytes = measured_bytes},
};

static prior *prior_at(const void *c, table *all, uint32_t k)
{
    return (prior *)(void *)(all->of + (size_t)k * (4 + dim(c)));
}

static const prior *came_at(const void *c, const table *delta, uint32_t k)
{
    return (const prior *)(const void *)(delta->of + (size_t)k * (4 + dim(c)));
}

static void *row_of(const mr_instance *self, const mr_view *view, uint32_t family)
{
    return mr_named_find(&view->named[self->family_first + family], 0);
}

static void *delta_of(const mr_instance *self, const mr_view *view, uint32_t family,
                      mr_deltas *deltas)
{
    const uint32_t at = self->family_first + family;
    return mr_deltas_at(deltas, at, mr_slots_find(&view->named[at].slots, 0));
}

// ---- what a user's acts say

typedef struct reader {
    const config *c;
    const mr_view *view;
    mr_space space;
    table *priors;
    const measured *measured;
    uint32_t n, count; // of numbers, of priors
} reader;

static reader reader_of(const mr_instance *self, const mr_view *view)
{
    return (reader){.c = self->config,
                    .view = view,
                    .space = mr_space_of(view, "embedding", dim(self->config)),
                    .priors = row_of(self, view, FAMILY_PRIORS),
                    .measured = row_of(self, view, FAMILY_MEASURED),
                    .n = dim(self->config),
                    .count = priors_of(self->config)};
}

static prior *prior_of(const reader *r, uint32_t k)
{
    return prior_at(r->c, r->priors, k);
}

// Scores of an item under a prior, cut so that no sum overflows.
static float score_under(const reader *r, uint32_t k, const float *v)
{
    const float s = r->view->vec->dot(prior_of(r, k)->mean, v, r->n);
    return s > SCORE_MAX ? SCORE_MAX : s < -SCORE_MAX ? -SCORE_MAX : s;
}

static void add_evidence(const reader *r, uint32_t slot, double *log_rho)
{
    float scratch[MR_SPACE_DIM_MAX];
    const float *v = mr_space_item(&r->space, slot, scratch);
    for (uint32_t k = 0; k < r->count; k++)
        log_rho[k] += (double)score_under(r, k, v) / r->c->temperature;
}

// ln Z_k; nothing measured: items are taken for nothing.
static double log_partition(const reader *r, uint32_t k)
{
    if (!(r->measured->count > 0.0f) || !(r->measured->sums[k] > 0.0f))
        return 0;
    return mr_log((double)(r->measured->sums[k] / r->measured->count));
}

// log_rho to rho. Returns false where there is no prior with users.
static bool normalise(const reader *r, uint32_t acts, const double *log_rho, float *rho)
{
    double exponents[PRIORS_MAX], most = -1e300, sum = 0;
    for (uint32_t k = 0; k < r->count; k++) {
        const float weight = prior_of(r, k)->weight;
        exponents[k] = weight < SEEDED ? -1e300
                                       : mr_log((double)weight) + log_rho[k] -
                                             acts * log_partition(r, k) / r->c->temperature;
        most = exponents[k] > most ? exponents[k] : most;
    }
    if (!(most > -1e299))
        return false;
    for (uint32_t k = 0; k < r->count; k++)
        sum += mr_exp(exponents[k] - most);
    for (uint32_t k = 0; k < r->count; k++)
        rho[k] = (float)(mr_exp(exponents[k] - most) / sum);
    return true;
}

// rho of a user, with one more act on the item at `slot` where that is none of MR_MAP_NONE.
static bool read_user(const reader *r, const mr_user *user, uint32_t slot, float *rho)
{
    double log_rho[PRIORS_MAX] = {0};
    uint32_t acts = 0;
    if (slot != MR_MAP_NONE) {
        add_evidence(r, slot, log_rho);
        acts++;
    }
    for (uint32_t p = 0; p < user->recent_count && acts < READ; p++) {
        const uint32_t at = mr_items_find(r->view->items, user->recent[p].item_key);
        if (at == MR_MAP_NONE)
            continue;
        add_evidence(r, at, log_rho);
        acts++;
    }
    return normalise(r, acts, log_rho, rho);
}

// ---- learning

// A prior that is free and that the user's hash names is his.
static bool seeds(const reader *r, const mr_user *user, float *rho)
{
    const uint32_t k = (uint32_t)(mr_hash64(&user->key, sizeof user->key, 0) % r->count);
    if (prior_of(r, k)->weight >= SEEDED)
        return false;
    memset(rho, 0, r->count * sizeof *rho);
    rho[k] = 1.0f;
    return true;
}

static void step(const mr_instance *self, const reader *r, const mr_signal *signal,
                 mr_deltas *deltas)
{
    const mr_user *user = mr_view_user(r->view, signal->user);
    float rho[PRIORS_MAX], apart[DIM_MAX], scratch[MR_SPACE_DIM_MAX];
    const float *u = mr_space_user(&r->space, signal->user, scratch);
    const bool seeded = seeds(r, user, rho);
    if (!seeded && !read_user(r, user, signal->item, rho))
        return;
    table *sums = delta_of(self, r->view, FAMILY_PRIORS, deltas);
    for (uint32_t k = 0; k < r->count; k++) {
        if (!(rho[k] > 1e-6f))
            continue;
        prior *sum = prior_at(r->c, sums, k);
        memcpy(apart, u, r->n * sizeof *u);
        r->view->vec->axpy(apart, -1.0f, prior_of(r, k)->mean, r->n);
        sum->weight += rho[k];
        sum->spread += seeded ? 0.0f : rho[k] * r->view->vec->dot(apart, apart, r->n);
        r->view->vec->axpy(sum->mean, rho[k], u, r->n);
    }
}

// Adds a sample of Z: the mean over a block's items, for all priors.
static void measure_items(const mr_instance *self, const reader *r, const mr_block *block,
                          mr_deltas *deltas)
{
    float scratch[MR_SPACE_DIM_MAX];
    if (block->count < 2)
        return;
    measured *sums = delta_of(self, r->view, FAMILY_MEASURED, deltas);
    const float share = 1.0f / (float)(block->count - 1);
    for (uint32_t i = 1; i < block->count; i++) {
        const float *v = mr_space_item(&r->space, block->slots[i], scratch);
        for (uint32_t k = 0; k < r->count; k++)
            sums->sums[k] += share * mr_expf(score_under(r, k, v));
    }
    sums->count += 1.0f;
}

static bool is_measured(const config *c, const mr_view *view, const mr_signal *signal)
{
    const uint64_t key = (uint64_t)signal->index << 32 | 0x636f6c64u; // "cold"
    mr_rng rng = mr_rng_make(view->seed, view->task, view->epoch, key, MR_PURPOSE_SAMPLE);
    return mr_rng_below(&rng, (uint32_t)c->every) == 0;
}

static void observe(const mr_instance *self, const mr_view *view, const mr_signal *signals,
                    uint32_t signal_count, struct mr_deltas *deltas, mr_arena *arena)
{
    const size_t mark = arena->used;
    const reader r = reader_of(self, view);
    const mr_sampler sampler = {.draws = DRAWS, .uniform = 0.5f};
    mr_block block;
    mr_block_open(&block, DRAWS, arena);
    for (uint32_t s = 0; s < signal_count; s++) {
        const mr_signal *signal = &signals[s];
        if (signal->kind != MR_SIGNAL_ACT || !(signal->weight > 0.0f))
            continue;
        const uint32_t acts = mr_view_user(view, signal->user)->events + 1;
        if (acts == FIRST || acts == FULL)
            step(self, &r, signal, deltas);
        if (!is_measured(r.c, view, signal))
            continue;
        mr_block_fill(&block, &sampler, view, signal->index);
        measure_items(self, &r, &block, deltas);
    }
    arena->used = mark;
}

// ---- at the owner

static void move(const config *c, const mr_vec *vec, prior *of, const prior *came)
{
    const uint32_t n = dim(c);
    const float most = (float)(1.0 / c->step);
    const float counts = of->weight < SEEDED ? 0.0f : of->weight < most ? of->weight : most;
    const float all = counts + came->weight;
    if (!(came->weight > 0.0f))
        return;
    vec->scale(of->mean, counts / all, n);
    vec->axpy(of->mean, 1.0f / all, came->mean, n);
    of->spread = (counts * of->spread + came->spread) / all;
    of->weight = (of->weight < SEEDED ? 0.0f : of->weight) + came->weight;
}

// Two priors in the place of the one at k, apart in a direction of no meaning; `free` has no users.
static void split(const config *c, uint64_t seed, table *all, uint32_t k, uint32_t free)
{
    const uint32_t n = dim(c);
    prior *of = prior_at(c, all, k), *twin = prior_at(c, all, free);
    mr_rng rng = mr_rng_make(seed, k, (uint64_t)all->splits, 0x73706c6974, MR_PURPOSE_CENTROID);
    const float size = 0.5f * __builtin_sqrtf(of->spread / (float)n);
    for (uint32_t i = 0; i < n; i++) {
        const float away = size * mr_rng_normal(&rng);
        twin->mean[i] = of->mean[i] - away;
        of->mean[i] += away;
    }
    of->weight *= 0.5f;
    of->spread *= 0.5f;
    twin->weight = of->weight;
    twin->spread = of->spread;
    all->splits += 1.0f;
}

// One at most, the widest: the next users say whether another has to follow.
static void split_widest(const config *c, uint64_t seed, table *all)
{
    const uint32_t count = priors_of(c);
    uint32_t widest = UINT32_MAX, free = UINT32_MAX;
    float weight = 0, spread = 0;
    for (uint32_t k = 0; k < count; k++) {
        const prior *of = prior_at(c, all, k);
        free = of->weight < SEEDED && free == UINT32_MAX ? k : free;
        weight += of->weight < SEEDED ? 0.0f : of->weight;
        spread += of->weight < SEEDED ? 0.0f : of->weight * of->spread;
    }
    for (uint32_t k = 0; k < count; k++) {
        const prior *of = prior_at(c, all, k);
        if (of->weight > SPLIT_FROM * weight && of->weight * (float)c->step >= 1.0f &&
            of->spread * weight > SPLIT_OVER * spread &&
            (widest == UINT32_MAX || of->spread > prior_at(c, all, widest)->spread))
            widest = k;
    }
    if (widest != UINT32_MAX && free != UINT32_MAX)
        split(c, seed, all, widest, free);
}

static void apply_measured(const void *c, measured *of, const measured *came)
{
    const uint32_t count = priors_of(c);
    const float share = of->count > SAMPLES ? SAMPLES / of->count : 1.0f;
    for (uint32_t k = 0; k < count; k++)
        of->sums[k] = share * of->sums[k] + came->sums[k];
    of->count = share * of->count + came->count;
}

static void apply(const mr_instance *self, const mr_view *view, uint32_t family, uint64_t key,
                  const void *delta, void *row)
{
    (void)key;
    const config *c = self->config;
    table *all = row;
    if (family == FAMILY_MEASURED) {
        apply_measured(c, row, delta);
        return;
    }
    const uint32_t count = priors_of(c);
    float users = 0;
    for (uint32_t k = 0; k < count; k++)
        users += came_at(c, delta, k)->weight;
    const float kept = (float)mr_exp(-(double)users / c->memory);
    for (uint32_t k = 0; k < count; k++) {
        prior *of = prior_at(c, all, k);
        of->weight *= kept;
        move(c, view->vec, of, came_at(c, delta, k));
    }
    split_widest(c, view->seed, all);
}

// ---- serving

// Writes w of a user to the stand-in; false: nothing is known of him.
static bool place(const reader *r, uint32_t slot, const mr_stand_ins *all, uint32_t which)
{
    const mr_user *user = mr_view_user(r->view, slot);
    const uint32_t n = r->n < all->length ? r->n : all->length;
    float *w = mr_stand_ins_vector(all, which), rho[PRIORS_MAX];
    uint32_t have;
    const float *u = mr_view_vector(r->view, "embedding", MR_KEY_USER, slot, &have);
    if (user->events > 0)
        memcpy(w, u, all->length * sizeof *w);
    if (user->events >= FULL)
        return true;
    if (!read_user(r, user, MR_MAP_NONE, rho))
        return user->events > 0;
    const float share = (float)(r->c->kappa / (user->events + r->c->kappa));
    for (uint32_t k = 0; k < r->count; k++)
        if (rho[k] > 1e-6f)
            r->view->vec->axpy(w, share * rho[k], prior_of(r, k)->mean, n);
    return true;
}

static void candidates(const mr_instance *self, const mr_view *view, const uint32_t *users,
                       uint32_t user_count, uint32_t column, const struct mr_filter *filters,
                       mr_arena *arena, mr_found *found)
{
    (void)column;
    const size_t mark = arena->used;
    const reader r = reader_of(self, view);
    const mr_stand_ins all = mr_stand_ins_make(view, "embedding", user_count, arena);
    bool *known = mr_arena_push(arena, user_count * sizeof *known);
    for (uint32_t u = 0; u < user_count; u++)
        known[u] = place(&r, users[u], &all, u);
    mr_stand_ins_find(&all, filters, arena, found);
    for (uint32_t u = 0; u < user_count; u++)
        found[u].count = known[u] ? found[u].count : 0;
    arena->used = mark;
}

static void score(const mr_instance *self, const mr_view *view, uint32_t user,
                  const uint32_t *slots, uint32_t slot_count, float *out, uint32_t stride,
                  mr_arena *arena)
{
    (void)stride;
    const size_t mark = arena->used;
    const reader r = reader_of(self, view);
    const mr_stand_ins all = mr_stand_ins_make(view, "embedding", 1, arena);
    (void)place(&r, user, &all, 0); // of nobody all scores are 0
    mr_stand_ins_score(&all, 0, slots, slot_count, out, arena);
    arena->used = mark;
}

static const mr_column columns[] = {{"cold_users", MR_SCALE_REAL}};
static const char *const needs[] = {"embedding", NULL};

const mr_model mr_model_cold_users = {
    .state = {.name = "cold_users",
              .source =
                  "ClusterSeq: Enhancing Sequential Recommender Systems with Clustering based "
                  "Meta-Learning",
              .params = params,
              .config_bytes = sizeof(config),
              .families = families,
              .family_count = 2,
              .needs = needs,
              .observe = observe,
              .apply = apply},
    .on = on,
    .columns = columns,
    .batched = true,
    .candidates = candidates,
    .score = score,
};
