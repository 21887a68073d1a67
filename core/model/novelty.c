// SPDX-License-Identifier: Apache-2.0
// novelty: now and then a place goes to a cluster of items that the user has touched little.
//
// A place explores with probability l: the user's own word (a control event `explore`), else
// `level`, or `cold_level` of a user of fewer than COLD acts. Where it does not, the next item by
// relevance stands there. Where it does, a cluster c is drawn of those with an item left for this
// place, then one of its items:
//     P(c) ~ (1 + e_uc)^-eta sqrt(n_c)
//     P(i | c) ~ exp((s_i - max of c)/T),   T = temperature * sd(s)
// e_uc = the user's newest acts in c, faded with half_life_s; n_c = candidates of c that may stand
// here; s = relevance with the rules' bonus. A choice may come either way, so that
//     q = (1 - l) [i = next by relevance] + l P(c) P(i | c)
// Cluster of an item: its category, the first one that the catalogue names. Items without one are
// clustered by their vectors of the embedding when the list is opened, the user's newest items
// first, then the candidates in their order: an item joins the cluster of whose first item its
// cosine is largest, or founds one where that is below theta = mean - sd of the largest cosines so
// far, between .2 and .9. Nothing is kept in rows.
// Source: Beyond Relevance: An Adaptive Exploration-Based Framework for Personalized
// Recommendations, for the idea: its abstract is all that we have. Departures: (1) clusters are
// made anew for each list from what it has to choose from, and a cluster is known by its first
// item, so that there is no table of clusters to keep, to own or to merge; (2) e_uc counts the
// MR_RECENT_MAX newest acts, which stand in the user's row already; (3) n_c counts candidates, not
// the catalogue; (4) no exponent lies below -DEEPEST, which bounds q from below.
#include "core/list/greedy.h"

enum {
    COLD = 5,     // acts
    FOUNDED = 64, // clusters by vectors at most; whoever comes later joins the closest
    DEEPEST = 40,
    CLUSTERS = MR_UNION_MAX + MR_RECENT_MAX,
    TABLE = 1 << 13,
};

_Static_assert(2 * CLUSTERS <= TABLE, "the table of categories never fills");

static const double theta_least = 0.2, theta_most = 0.9;

typedef struct config {
    double level, cold_level, eta, temperature, half_life_s;
} config;

static const mr_param params[] = {
    {"level", "", "share of the places that explore, in lists of the exploration slice",
     offsetof(config, level), 0.1, 0, 1},
    {"cold_level", "", "the same for users of fewer than 5 acts", offsetof(config, cold_level), 0.3,
     0, 1},
    {"eta", "", "how much less a cluster is drawn that the user knows; 0: no matter",
     offsetof(config, eta), 1, 0, 4},
    {"temperature", "", "of the draw in a cluster, in deviations of the candidates' relevance",
     offsetof(config, temperature), 0.3, 0.01, 100},
    {"half_life_s", "s", "time after which an act counts half in what a user knows",
     offsetof(config, half_life_s), 604800, 60, 1e9},
    {0},
};

typedef struct founder { // of a cluster by vectors
    const float *vector;
    float norm;
    uint16_t cluster;
} founder;

typedef struct kept { // of one list
    uint32_t clusters;
    double level, unit;             // l; T
    uint16_t of[MR_UNION_MAX];      // by candidate: its cluster
    uint16_t members[MR_UNION_MAX]; // candidates, cluster by cluster
    uint16_t first[CLUSTERS + 1];   // by cluster: where its members begin
    double fresh[CLUSTERS];         // by cluster: e_uc, and then (1 + e_uc)^-eta
    double weight[CLUSTERS];        // by cluster, at this place
    uint64_t category[CLUSTERS];    // by cluster; 0: it has none
    uint16_t table[TABLE];          // of categories: cluster + 1
    founder founders[FOUNDED];
    uint32_t founder_count, compared; // Welford's mean and sum of squares of the largest cosines
    double mean, squares;
    uint16_t shapeless; // cluster + 1 of items whose vector has no direction
} kept;

static size_t slate_bytes(const void *c)
{
    (void)c;
    return sizeof(kept);
}

// ---- clusters

static uint16_t new_cluster(kept *k, uint64_t category)
{
    k->fresh[k->clusters] = 0;
    k->category[k->clusters] = category;
    return (uint16_t)k->clusters++;
}

static uint16_t cluster_of_category(kept *k, uint64_t category)
{
    uint32_t i = (uint32_t)category % TABLE; // which is a hash
    while (k->table[i] != 0 && k->category[k->table[i] - 1] != category)
        i = (i + 1) % TABLE;
    if (k->table[i] == 0)
        k->table[i] = (uint16_t)(new_cluster(k, category) + 1);
    return (uint16_t)(k->table[i] - 1);
}

static double theta(const kept *k)
{
    const double deviation = k->compared > 1 ? __builtin_sqrt(k->squares / k->compared) : 0;
    const double at = k->mean - deviation;
    return at < theta_least ? theta_least : at > theta_most ? theta_most : at;
}

static void note_cosine(kept *k, double cosine)
{
    const double before = cosine - k->mean;
    k->mean += before / ++k->compared;
    k->squares += before * (cosine - k->mean);
}

static uint16_t cluster_of_vector(const mr_view *view, kept *k, uint32_t slot)
{
    uint32_t length, closest = 0;
    const float *vector = mr_view_vector(view, "embedding", MR_KEY_ITEM, slot, &length);
    const float norm = __builtin_sqrtf(view->vec->dot(vector, vector, length));
    float largest = -2;
    if (!(norm > 0)) {
        if (k->shapeless == 0)
            k->shapeless = (uint16_t)(new_cluster(k, 0) + 1);
        return (uint16_t)(k->shapeless - 1);
    }
    for (uint32_t f = 0; f < k->founder_count; f++) {
        const founder *of = &k->founders[f];
        const float cosine = view->vec->dot(vector, of->vector, length) / (norm * of->norm);
        if (cosine > largest) {
            largest = cosine;
            closest = f;
        }
    }
    const bool founds = k->founder_count == 0 || (double)largest < theta(k);
    if (k->founder_count > 0)
        note_cosine(k, (double)largest);
    if (!founds || k->founder_count == FOUNDED)
        return k->founders[closest].cluster;
    k->founders[k->founder_count] = (founder){vector, norm, new_cluster(k, 0)};
    return k->founders[k->founder_count++].cluster;
}

static uint16_t cluster_of(const mr_view *view, kept *k, uint32_t slot)
{
    const uint64_t category = mr_items_at(view->items, slot)->categories[0];
    return category != 0 ? cluster_of_category(k, category) : cluster_of_vector(view, k, slot);
}

// What the user knows, by his newest acts.
static void note_recent(const config *c, const mr_slate *slate, kept *k)
{
    const mr_view *view = slate->view;
    const mr_user *user = mr_view_user(view, slate->user);
    for (uint32_t r = 0; r < user->recent_count; r++) {
        const uint32_t slot = mr_items_find(view->items, user->recent[r].item_key);
        if (slot == MR_MAP_NONE)
            continue;
        const double age = (double)view->clock_ms / 1000.0 - (double)user->recent[r].time_s;
        k->fresh[cluster_of(view, k, slot)] += mr_exp2(-(age > 0 ? age : 0) / c->half_life_s);
    }
}

// Puts the candidates cluster by cluster, in their order.
static void gather_members(const mr_slate *slate, kept *k)
{
    const uint32_t n = slate->candidates->count;
    memset(k->first, 0, (k->clusters + 1) * sizeof k->first[0]);
    for (uint32_t i = 0; i < n; i++)
        k->first[k->of[i] + 1]++;
    for (uint32_t c = 0; c < k->clusters; c++)
        k->first[c + 1] = (uint16_t)(k->first[c + 1] + k->first[c]);
    for (uint32_t i = n; i-- > 0;) // first[c + 1] walks down to where the cluster begins
        k->members[--k->first[k->of[i] + 1]] = (uint16_t)i;
    memmove(k->first, k->first + 1, k->clusters * sizeof k->first[0]);
    k->first[k->clusters] = (uint16_t)n;
}

static double deviation_of(const float *x, uint32_t n)
{
    double sum = 0, squares = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += (double)x[i];
    for (uint32_t i = 0; i < n; i++)
        squares += ((double)x[i] - sum / n) * ((double)x[i] - sum / n);
    return squares > 0 ? __builtin_sqrt(squares / n) : 1;
}

static void open(const mr_instance *self, mr_slate *slate)
{
    const config *c = self->config;
    const mr_user *user = mr_view_user(slate->view, slate->user);
    kept *k = slate->policy_kept;
    const bool said = slate->level == slate->level; // NAN: he has not
    k->level = said ? (double)slate->level : user->events < COLD ? c->cold_level : c->level;
    k->unit = c->temperature * deviation_of(slate->relevance, slate->candidates->count);
    k->clusters = k->founder_count = k->compared = k->shapeless = 0;
    k->mean = k->squares = 0;
    memset(k->table, 0, sizeof k->table);
    mr_greedy_open(slate);
    note_recent(c, slate, k);
    for (uint32_t i = 0; i < slate->candidates->count; i++)
        k->of[i] = cluster_of(slate->view, k, slate->candidates->slots[i]);
    gather_members(slate, k);
    for (uint32_t at = 0; at < k->clusters; at++)
        k->fresh[at] = mr_exp(-c->eta * mr_log(1 + k->fresh[at]));
}

// ---- a place

// Weights of the clusters at this place; returns their sum.
static double weigh_clusters(const mr_slate *slate, kept *k)
{
    double sum = 0;
    for (uint32_t c = 0; c < k->clusters; c++) {
        uint32_t left = 0;
        for (uint32_t m = k->first[c]; m < k->first[c + 1]; m++)
            left += mr_slate_may(slate, k->members[m]);
        k->weight[c] = left > 0 ? k->fresh[c] * __builtin_sqrt((double)left) : 0;
        sum += k->weight[c];
    }
    return sum;
}

static double score_of(const mr_slate *slate, uint32_t candidate)
{
    return (double)slate->relevance[candidate] +
           (slate->adjusted ? (double)slate->bonus[candidate] : 0);
}

// Weights of a cluster's items that may stand here, into slate->weights; returns their sum.
static double weigh_items(mr_slate *slate, const kept *k, uint32_t cluster)
{
    double top = -1e300, sum = 0;
    for (uint32_t m = k->first[cluster]; m < k->first[cluster + 1]; m++) {
        const double score = score_of(slate, k->members[m]);
        top = mr_slate_may(slate, k->members[m]) && score > top ? score : top;
    }
    for (uint32_t m = k->first[cluster]; m < k->first[cluster + 1]; m++) {
        const uint32_t i = k->members[m];
        if (!mr_slate_may(slate, i))
            continue;
        const double x = (score_of(slate, i) - top) / k->unit;
        slate->weights[i] = mr_exp(x > -DEEPEST ? x : -DEEPEST);
        sum += slate->weights[i];
    }
    return sum;
}

// Where `uniform` falls among the clusters; the last one that counts takes what rounding leaves.
static uint32_t draw_cluster(const kept *k, double uniform)
{
    uint32_t found = 0;
    double reached = 0;
    for (uint32_t c = 0; c < k->clusters && reached <= uniform; c++)
        if (k->weight[c] > 0) {
            reached += k->weight[c];
            found = c;
        }
    return found;
}

static uint32_t draw_item(const mr_slate *slate, const kept *k, uint32_t cluster, double uniform)
{
    uint32_t found = 0;
    double reached = 0;
    for (uint32_t m = k->first[cluster]; m < k->first[cluster + 1] && reached <= uniform; m++)
        if (mr_slate_may(slate, k->members[m])) {
            found = k->members[m];
            reached += slate->weights[found];
        }
    return found;
}

static uint32_t draw(const mr_instance *self, mr_slate *slate, mr_rng *rng, double *q)
{
    (void)self;
    kept *k = slate->policy_kept;
    const uint32_t best = mr_greedy_best(slate);
    if (best == UINT32_MAX)
        return best;
    const bool explores = mr_rng_double(rng) < k->level;
    const double by_cluster = mr_rng_double(rng), by_item = mr_rng_double(rng);
    const double clusters = weigh_clusters(slate, k);
    const uint32_t cluster = explores ? draw_cluster(k, by_cluster * clusters) : k->of[best];
    const double items = weigh_items(slate, k, cluster);
    const uint32_t found = explores ? draw_item(slate, k, cluster, by_item * items) : best;
    const double share = k->weight[cluster] / clusters * slate->weights[found] / items;
    *q = (found == best ? 1 - k->level : 0) + k->level * share;
    *q = *q < 1 ? *q : 1;
    return found;
}

static const char *const needs[] = {"embedding", NULL};

const mr_policy mr_policy_novelty = {
    .state = {.name = "novelty",
              .source = "Beyond Relevance: An Adaptive Exploration-Based Framework for "
                        "Personalized Recommendations",
              .params = params,
              .config_bytes = sizeof(config),
              .needs = needs},
    .slate_bytes = slate_bytes,
    .open = open,
    .draw = draw,
};
