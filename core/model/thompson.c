// SPDX-License-Identifier: Apache-2.0
// thompson: at each place every candidate's value is drawn anew, and the largest stands there.
//
// X_i ~ N(mean_i, (scale deviation_i)^2), independent, for what is left, S_r. The probability of
// the choice is an integral, since a drawn value has no probability of its own:
//     q_r = P(X_a > all others) = int f_a(x) prod_{j in S_r, j != a} F_j(x) dx
// by the trapezoidal rule on one grid for all places, which converges faster than any power of its
// step for such integrands. sum_j log F_j is kept on the grid and loses a term when its candidate
// is picked, so that a place costs one pass over the grid. Departures: (1) a fresh draw for each
// place instead of a merge of whole slates, since the merge has no cheap probability (the laws
// nearly agree); (2) only the ENTER candidates of the largest mean + 3 deviations can be drawn, of
// equal ones by lot, until none of them is left: a policy that wants others has no support here;
// (3) no deviation is less than a
// FLOOR-th of the largest, which bounds the grid. Source: Thompson sampling; Dynamic Slate
// Recommendation with Gated Recurrent Units and Thompson Sampling, for a draw at each place.
#include "core/base/normal.h"
#include "core/list/slate.h"

enum {
    ENTER = 200,
    FLOOR = 32,
    REACH = 7, // deviations around a mean that are integrated over
    SPARE = 2, // of the widest deviation: how far the grid goes below what the first place needs
    STEPS = 3, // of the grid in the least deviation
    GRID_MAX = (2 * REACH + SPARE) * STEPS * FLOOR + 2,
    NOWHERE = 37, // deviations below a mean: log F is about -LOG_NOTHING and e to it nothing
    LOG_NOTHING = 690,
    SURELY = 9, // above it: F is 1
    WORDS = MR_UNION_MAX / 64 + 1,
};

typedef struct config {
    double scale;
} config;

static const mr_param params[] = {
    {"scale", "", "factor of the deviations that values are drawn with", offsetof(config, scale), 1,
     1e-3, 1000},
    {0},
};

typedef struct kept {
    double mean[MR_UNION_MAX], deviation[MR_UNION_MAX]; // by candidate
    uint64_t entered[WORDS];
    uint64_t summed[WORDS]; // candidates whose log F is in `sum`
    double sum[GRID_MAX];
    double low, step;
    uint32_t points;
    double value_scale; // of the means, for the rules' bonus
} kept;

static size_t slate_bytes(const void *c)
{
    (void)c;
    return sizeof(kept);
}

static bool in(const uint64_t *set, uint32_t i)
{
    return (set[i / 64] >> (i % 64) & 1) != 0;
}

_Static_assert(MR_UNION_MAX <= 1 << 16, "a candidate fits into half of what is shuffled");

// A candidate behind 16 bits that are others for each user and epoch.
static uint32_t shuffled(const mr_slate *slate, uint32_t i)
{
    const uint64_t of[] = {mr_view_user(slate->view, slate->user)->key, slate->view->epoch, i};
    return (uint32_t)mr_hash64(of, sizeof of, slate->view->seed) << 16 | i;
}

// The ENTER candidates with the largest mean + 3 deviations; of equal ones some by lot.
static void enter(const mr_slate *slate, kept *k, uint64_t *order)
{
    const uint32_t n = slate->candidates->count, most = n < ENTER ? n : ENTER;
    memset(k->entered, 0, sizeof k->entered);
    for (uint32_t i = 0; i < n; i++)
        order[i] = (uint64_t)mr_sort_descending((float)(k->mean[i] + 3 * k->deviation[i])) << 32 |
                   shuffled(slate, i);
    mr_sort_first(order, n, most);
    for (uint32_t e = 0; e < most; e++)
        k->entered[(uint16_t)order[e] / 64] |= 1ull << ((uint16_t)order[e] % 64);
}

static void open(const mr_instance *self, mr_slate *slate)
{
    const config *c = self->config;
    const uint32_t n = slate->candidates->count;
    kept *k = slate->policy_kept;
    double widest = 0;
    for (uint32_t i = 0; i < n; i++) {
        k->deviation[i] = c->scale * (double)slate->deviation[i];
        widest = k->deviation[i] > widest ? k->deviation[i] : widest;
    }
    const double least = widest > 0 ? widest / FLOOR : 1e-9;
    for (uint32_t i = 0; i < n; i++) {
        k->mean[i] = (double)slate->mean[i];
        k->deviation[i] = k->deviation[i] > least ? k->deviation[i] : least;
    }
    k->value_scale = mr_slate_value_scale(slate);
    k->points = 0; // no grid yet
    enter(slate, k, slate->order);
}

// Those of whom the place is drawn: who entered and may stand here; where rules leave none of them,
// all who may.
static void choose_set(const mr_slate *slate, const kept *k, uint64_t *set)
{
    uint64_t any = 0;
    for (uint32_t w = 0; w < WORDS; w++) {
        set[w] = w <= (slate->candidates->count - 1) / 64 ? slate->bits[w] & k->entered[w] : 0;
        any |= set[w];
    }
    for (uint32_t w = 0; any == 0 && w <= (slate->candidates->count - 1) / 64; w++)
        set[w] = slate->bits[w];
}

// The first point of the grid from which candidate i's standardised value is at least z.
static uint32_t point_of(const kept *k, uint32_t i, double z)
{
    const double at = (k->mean[i] + z * k->deviation[i] - k->low) / k->step;
    return at <= 0 ? 0 : at < k->points ? (uint32_t)at : k->points;
}

// Only what a double can tell from 0 and from minus infinity is computed.
static void add_to_sum(kept *k, uint32_t i, double sign)
{
    const uint32_t first = point_of(k, i, -NOWHERE), last = point_of(k, i, SURELY);
    for (uint32_t p = 0; p < first; p++)
        k->sum[p] -= sign * LOG_NOTHING;
    for (uint32_t p = first; p < last; p++)
        k->sum[p] +=
            sign * mr_normal_log_cdf((k->low + p * k->step - k->mean[i]) / k->deviation[i]);
    k->summed[i / 64] ^= 1ull << (i % 64);
}

// The grid lies where the largest value may lie: below, even the best would miss its mean by REACH
// deviations. What is spare below serves the next places.
static void lay_grid(const mr_slate *slate, kept *k, const uint64_t *set)
{
    double low = -1e300, high = -1e300, least = 1e300, widest = 0;
    for (uint32_t i = 0; i < slate->candidates->count; i++) {
        if (!in(set, i))
            continue;
        widest = k->deviation[i] > widest ? k->deviation[i] : widest;
        const double below = k->mean[i] - REACH * k->deviation[i];
        const double above = k->mean[i] + REACH * k->deviation[i];
        low = below > low ? below : low;
        high = above > high ? above : high;
        least = k->deviation[i] < least ? k->deviation[i] : least;
    }
    low -= SPARE * widest;
    const double points = (high - low) / least * STEPS + 1;
    k->points = points < GRID_MAX ? (uint32_t)points + 1 : GRID_MAX;
    k->low = low;
    k->step = (high - low) / (k->points - 1);
    memset(k->sum, 0, sizeof k->sum);
    memset(k->summed, 0, sizeof k->summed);
}

// Brings the sum to the set, and lays a new grid where the values changed or the old one ends above
// what the best of the set may reach down to.
static void bring_sum(const mr_slate *slate, kept *k, const uint64_t *set)
{
    double low = -1e300;
    for (uint32_t i = 0; i < slate->candidates->count; i++) {
        if (slate->adjusted)
            k->mean[i] = mr_slate_value(slate, i, k->value_scale);
        const double below = k->mean[i] - REACH * k->deviation[i];
        low = in(set, i) && below > low ? below : low;
    }
    if (k->points == 0 || slate->adjusted || low < k->low)
        lay_grid(slate, k, set);
    for (uint32_t i = 0; i < slate->candidates->count; i++)
        if (in(set, i) != in(k->summed, i))
            add_to_sum(k, i, in(set, i) ? 1.0 : -1.0);
}

static double probability_of(const kept *k, uint32_t a)
{
    const uint32_t first = point_of(k, a, -NOWHERE), last = point_of(k, a, NOWHERE);
    double sum = 0;
    for (uint32_t p = first; p < last; p++) {
        const double z = (k->low + p * k->step - k->mean[a]) / k->deviation[a];
        const double log_f = mr_normal_log_density(z) + k->sum[p] - mr_normal_log_cdf(z);
        sum += (p == 0 || p + 1 == k->points ? 0.5 : 1.0) * mr_exp(log_f);
    }
    const double q = sum * k->step / k->deviation[a];
    return q < 1.0 ? q : 1.0;
}

static uint32_t draw(const mr_instance *self, mr_slate *slate, mr_rng *rng, double *q)
{
    (void)self;
    kept *k = slate->policy_kept;
    uint64_t set[WORDS];
    uint32_t found = UINT32_MAX;
    double most = 0;
    if (mr_slate_may_count(slate) == 0)
        return UINT32_MAX;
    choose_set(slate, k, set);
    bring_sum(slate, k, set);
    for (uint32_t i = 0; i < slate->candidates->count; i++) {
        if (!in(set, i))
            continue;
        const double x = k->mean[i] + k->deviation[i] * mr_normal_draw(rng);
        if (found == UINT32_MAX || x > most) {
            found = i;
            most = x;
        }
    }
    *q = probability_of(k, found);
    return found;
}

const mr_policy mr_policy_thompson = {
    .state = {.name = "thompson",
              .source = "Dynamic Slate Recommendation with Gated Recurrent Units and Thompson "
                        "Sampling",
              .params = params,
              .config_bytes = sizeof(config)},
    .needs_spread = true,
    .slate_bytes = slate_bytes,
    .open = open,
    .draw = draw,
};
