// SPDX-License-Identifier: Apache-2.0
// ranker: one network over what all other columns say of a candidate. Off unless `hidden` is set.
//
// It proposes nothing. Of each candidate that others found it sees, standardised over the list's
// candidates and cut at 5: of each column its value (of counts the logarithm) and its place in the
// column's own list, as 1 / log2(2 + place); and the item's acts, age, price and category beside
// those of the user's newest items. The heads (core/model/heads.h) say how likely a click is, and
// after it a cart and a purchase; their worth
//     P(click) + cart P(cart) + purchase P(purchase)
// is the column `ranker`. The quantile head foresees what an act says of its strength (rating,
// seconds), ln(1 + value); its mean is the column `ranker_value`.
//
// It learns from the probes that the blend learns from: the act's item, and `negatives` of the
// other candidates as nothing that followed. Gradients are sums to one row, whose owner takes a
// step of Adam once a round. Where other columns come or go it begins anew, since its inputs are
// others.
//
// What the network gets wrong just now stands in the memory of errors: TABLES hash tables by random
// hyperplanes of x, of each bucket faded counts n and S of examples and of their errors y - p.
//     e = mean over tables of S / (n + doubt),  p' = p + trust e, between .0001 and .9999
// trust is learned with the network, between 0 and 1. So a price cut or a headline acts before any
// weight has moved. Counts are integers: the same bytes in any grouping.
// Sources: those of heads.h; Zhu et al., "ReLoop2: Building Self-Adaptive Recommendation Models via
// Responsive Error Compensation Loop" (the memory; hashing instead of nearest samples). Departure:
// negatives are drawn from the candidates, since there need not be impressions; the rates that it
// knows are those among its examples.
#include "core/deltas.h"
#include "core/list/blend.h"
#include "core/model/decay.h"
#include "core/model/heads.h"
#include "core/model/optimiser.h"

enum { TABLES = 4, BITS = 7, BUCKETS = TABLES << BITS, NEGATIVES_MAX = 32, DOUBT = 20 };
enum { OF_ITEM_ACTS, OF_AGE, OF_CATEGORY, OF_PRICE, OF_USER_ACTS, OF_PAUSE, OF_PLACES, OTHERS };
#define CLIP 5.0f

typedef struct config {
    double hidden, negatives, rate, cart, purchase, memory_half_life_s;
} config;

static const mr_param params[] = {
    {"hidden", "off | linear | experts",
     "whether the ranker is on, as a logistic regression a head, or with two experts of 16",
     offsetof(config, hidden), 0, 0, 2},
    {"negatives", "", "candidates that an act is compared with", offsetof(config, negatives), 8, 1,
     NEGATIVES_MAX},
    {"rate", "", "learning rate of Adam", offsetof(config, rate), 0.003, 0, 1},
    {"cart", "", "what a cart is worth beside its click", offsetof(config, cart), 1, 0, 1000},
    {"purchase", "", "what a purchase is worth beside its cart", offsetof(config, purchase), 1, 0,
     1000},
    {"memory_half_life_s", "s", "after which an error counts half; of the memory of errors",
     offsetof(config, memory_half_life_s), 3600, 60, 1e9},
    {0},
};

typedef struct net {  // a row
    uint64_t columns; // hash of those that it reads; 0: nothing was learned
    mr_heads heads;
    // and what Adam keeps
} net;

typedef struct lesson { // a delta of it
    uint64_t columns;
    float examples, reserved;
    mr_heads gradient;
} lesson;

typedef struct bucket { // a row, and a delta
    mr_decayed examples, errors;
} bucket;

typedef struct cache {
    float planes[TABLES * BITS][MR_HEADS_X];
} cache;

enum { FAMILY_NET, FAMILY_ERRORS };

static uint32_t experts_of(const config *c)
{
    return c->hidden >= 2 ? MR_HEADS_EXPERTS : 0;
}

static bool on(const void *c)
{
    return ((const config *)c)->hidden >= 1;
}

static uint32_t net_bytes(const void *c)
{
    (void)c;
    return (uint32_t)(sizeof(net) + 4 * mr_optimiser_floats(MR_OPTIMISER_ADAM, MR_HEADS_FLOATS));
}

static uint32_t all_buckets(const void *c)
{
    (void)c;
    return BUCKETS;
}

// As many examples are followed by a click as are acts: one in 1 + negatives.
static void init_net(const void *c, uint64_t key, uint64_t seed, void *row)
{
    net *of = row;
    mr_rng rng = mr_rng_make(seed, 0, 0, key, MR_PURPOSE_RANKER);
    for (uint32_t e = 0; e < MR_HEADS_EXPERTS; e++)
        for (uint32_t h = 0; h < MR_HEADS_HIDDEN; h++)
            for (uint32_t i = 0; i < MR_HEADS_X; i++)
                of->heads.w[e][h][i] = 0.2f * mr_rng_normal(&rng);
    of->heads.bias[0] = -(float)mr_log(((const config *)c)->negatives);
    for (uint32_t t = 1; t < MR_HEADS_TASKS; t++)
        of->heads.bias[t] = -1.5f;
    of->heads.trust = 0.2f;
}

static void combine_lessons(const void *c, void *into, const void *from)
{
    (void)c;
    lesson *to = into;
    const lesson *more = from;
    float *sum = (float *)(void *)&to->gradient;
    const float *x = (const float *)(const void *)&more->gradient;
    to->columns = more->columns;
    to->examples += more->examples;
    for (uint32_t i = 0; i < MR_HEADS_FLOATS; i++)
        sum[i] += x[i];
}

static void combine_buckets(const void *c, void *into, const void *from)
{
    (void)c;
    mr_decayed_add(&((bucket *)into)->examples, ((const bucket *)from)->examples);
    mr_decayed_add(&((bucket *)into)->errors, ((const bucket *)from)->errors);
}

static const mr_family families[] = {
    [FAMILY_NET] = {.name = "net",
                    .key = MR_KEY_NAMED,
                    .delta = MR_DELTA_SUM,
                    .version = 1,
                    .row_bytes = net_bytes,
                    .delta_size = sizeof(lesson),
                    .init = init_net,
                    .combine = combine_lessons},
    [FAMILY_ERRORS] = {.name = "errors",
                       .key = MR_KEY_NAMED,
                       .delta = MR_DELTA_SUM,
                       .version = 1,
                       .row_size = sizeof(bucket),
                       .delta_size = sizeof(bucket),
                       .rows_max = all_buckets,
                       .combine = combine_buckets},
};

// ---- what a candidate looks like

typedef struct features { // of a list's candidates
    uint32_t n;           // of one, a multiple of 16
    uint64_t columns;     // hash of those that were read
    float *x;             // candidate after candidate
} features;

static uint32_t columns_read(const mr_instance *self)
{
    const uint32_t most = (MR_HEADS_X - OTHERS) / 2;
    return self->column_first < most ? self->column_first : most;
}

static uint64_t hash_columns(const mr_instance *self, const mr_columns *columns)
{
    uint64_t keys[MR_ENGINE_COLUMNS_MAX];
    for (uint32_t c = 0; c < columns_read(self); c++)
        keys[c] = columns->of[c].key;
    return mr_hash64(keys, columns_read(self) * sizeof keys[0], 0) | 1u;
}

static float cut(float x)
{
    return x > CLIP ? CLIP : x < -CLIP ? -CLIP : x;
}

static float log_of(double x) // of 0 and more, about 1 where x is a hundred
{
    return (float)mr_log(1.0 + x) * 0.2f;
}

static void read_columns(const mr_instance *self, const mr_columns *columns,
                         const mr_union *candidates, features *to, float *column, float *discounts)
{
    for (uint32_t p = 0; p < MR_COLUMN_BEST; p++)
        discounts[p] = (float)(0.69314718055994531 / mr_log(p + 2.0));
    for (uint32_t c = 0; c < columns_read(self); c++) {
        if (columns->of[c].column->scale == MR_SCALE_COUNT)
            mr_blend_logarithms(candidates->value[c], candidates->count, column);
        else
            mr_blend_standardise(candidates->value[c], candidates->count, column);
        for (uint32_t i = 0; i < candidates->count; i++) {
            const uint8_t place = candidates->place[c][i];
            float *x = to->x + (size_t)i * to->n;
            x[2 * c] = cut(column[i]);
            x[2 * c + 1] = place == MR_PLACE_NONE ? 0.0f : discounts[place];
            x[2 * columns_read(self) + OF_PLACES] += x[2 * c + 1] / (float)columns_read(self);
        }
    }
}

typedef struct taste { // of the user's newest items
    uint64_t categories[MR_RECENT_MAX];
    uint32_t count;
    double price; // mean logarithm
    uint32_t priced;
} taste;

static taste taste_of(const mr_view *view, const mr_user *user)
{
    taste t = {.count = 0};
    for (uint32_t r = 0; r < user->recent_count; r++) {
        const uint32_t slot = mr_items_find(view->items, user->recent[r].item_key);
        if (slot == MR_MAP_NONE)
            continue;
        const mr_item *item = mr_items_at(view->items, slot);
        t.categories[t.count++] = item->categories[0];
        if (item->price > 0) {
            t.price += mr_log((double)item->price);
            t.priced++;
        }
    }
    t.price = t.priced > 0 ? t.price / t.priced : 0;
    return t;
}

static void read_item(const mr_view *view, const mr_user *user, const taste *t, uint32_t slot,
                      float *x)
{
    const mr_item *item = mr_items_at(view->items, slot);
    const double age_h = (double)(view->clock_ms - item->born_ms) / 3600000.0;
    const double pause_h =
        user->recent_count == 0
            ? 0.0
            : ((double)view->clock_ms / 1000.0 - (double)user->recent[0].time_s) / 3600.0;
    uint32_t same = 0;
    for (uint32_t r = 0; r < t->count; r++)
        same += t->categories[r] != 0 && t->categories[r] == item->categories[0];
    x[OF_ITEM_ACTS] = log_of(item->events);
    x[OF_AGE] = age_h > 0 ? log_of(age_h) : 0.0f;
    x[OF_CATEGORY] = t->count > 0 ? (float)same / (float)t->count : 0.0f;
    x[OF_PRICE] = t->priced > 0 && item->price > 0
                      ? cut((float)(mr_log((double)item->price) - t->price))
                      : 0.0f;
    x[OF_USER_ACTS] = log_of(user->events);
    x[OF_PAUSE] = pause_h > 0 ? log_of(pause_h) : 0.0f;
}

static features look(const mr_instance *self, const mr_view *view, uint32_t slot,
                     const mr_columns *columns, const mr_union *candidates, mr_arena *arena)
{
    const mr_user *user = mr_view_user(view, slot);
    const taste t = taste_of(view, user);
    features f = {.n = mr_vec_padded(2 * columns_read(self) + OTHERS),
                  .columns = hash_columns(self, columns)};
    const size_t bytes = (size_t)candidates->count * f.n * sizeof *f.x;
    float *column = mr_arena_push(arena, MR_UNION_MAX * sizeof *column);
    float discounts[MR_COLUMN_BEST];
    f.x = mr_arena_push(arena, bytes);
    memset(f.x, 0, bytes);
    read_columns(self, columns, candidates, &f, column, discounts);
    for (uint32_t i = 0; i < candidates->count; i++)
        read_item(view, user, &t, candidates->slots[i],
                  f.x + (size_t)i * f.n + 2 * columns_read(self));
    return f;
}

_Static_assert(2 * MR_ENGINE_COLUMNS_MAX + OTHERS <= MR_HEADS_X, "all columns have a place");

// ---- the memory of errors

static int64_t half_life_ms(const config *c)
{
    return (int64_t)(c->memory_half_life_s * 1000.0);
}

static const mr_named *rows_of(const mr_instance *self, const mr_view *view, uint32_t family)
{
    return &view->named[self->family_first + family];
}

static void find_buckets(const mr_instance *self, const mr_vec *vec, const float *x, uint32_t n,
                         uint32_t keys[TABLES])
{
    const cache *derived = self->cache;
    for (uint32_t t = 0; t < TABLES; t++) {
        keys[t] = t << BITS;
        for (uint32_t b = 0; b < BITS; b++)
            keys[t] |= (uint32_t)(vec->dot(derived->planes[t * BITS + b], x, n) > 0.0f) << b;
    }
}

static float error_of(const mr_instance *self, const mr_view *view, const uint32_t keys[TABLES],
                      mr_decay_time now)
{
    double sum = 0;
    for (uint32_t t = 0; t < TABLES; t++) {
        const bucket *of = mr_named_find(rows_of(self, view, FAMILY_ERRORS), keys[t]);
        sum += mr_decayed_at(&of->errors, now) / (mr_decayed_at(&of->examples, now) + DOUBT);
    }
    return (float)(sum / TABLES);
}

static void remember(const mr_instance *self, const mr_view *view, const uint32_t keys[TABLES],
                     float error, int64_t time_ms, mr_deltas *deltas)
{
    const int64_t half_life = half_life_ms(self->config);
    const int64_t era = mr_decay_era(time_ms, half_life);
    const double size = error < 0 ? (double)-error : (double)error;
    const int64_t units = mr_decay_units(time_ms, half_life, size);
    const bucket one = {{.newest = mr_decay_units(time_ms, half_life, 1.0), .era = era},
                        {.newest = error < 0 ? -units : units, .era = era}};
    for (uint32_t t = 0; t < TABLES; t++) {
        const uint32_t slot = mr_slots_find(&rows_of(self, view, FAMILY_ERRORS)->slots, keys[t]);
        combine_buckets(self->config,
                        mr_deltas_at(deltas, self->family_first + FAMILY_ERRORS, slot), &one);
    }
}

static float corrected(float p, float error, float trust)
{
    const float with = p + trust * error;
    return with < 1e-4f ? 1e-4f : with > 1.0f - 1e-4f ? 1.0f - 1e-4f : with;
}

static void rebuild(const mr_instance *self, const mr_view *view)
{
    cache *derived = self->cache;
    mr_rng rng = mr_rng_make(view->seed, 0, 0, 1, MR_PURPOSE_RANKER);
    for (uint32_t p = 0; p < TABLES * BITS; p++)
        for (uint32_t i = 0; i < MR_HEADS_X; i++)
            derived->planes[p][i] = mr_rng_normal(&rng);
}

static size_t cache_bytes(const void *c, uint32_t items_max)
{
    (void)c, (void)items_max;
    return sizeof(cache);
}

// ---- ranking

static void rank(const mr_instance *self, const mr_view *view, uint32_t user,
                 const mr_columns *columns, mr_union *candidates, mr_arena *arena)
{
    const config *c = self->config;
    const size_t mark = arena->used;
    const net *of = mr_named_find(rows_of(self, view, FAMILY_NET), 0);
    const features f = look(self, view, user, columns, candidates, arena);
    const mr_decay_time now = mr_decay_time_of(view->clock_ms, half_life_ms(c));
    float *worth = candidates->value[self->column_first];
    float *value = candidates->value[self->column_first + 1];
    const bool known = of->columns == f.columns;
    for (uint32_t i = 0; i < candidates->count; i++) {
        const float *x = f.x + (size_t)i * f.n;
        mr_heads_pass pass;
        uint32_t keys[TABLES];
        worth[i] = value[i] = 0.0f;
        if (!known) // nothing was learned of these columns
            continue;
        mr_heads_forward(&of->heads, view->vec, x, f.n, experts_of(c), &pass);
        find_buckets(self, view->vec, x, f.n, keys);
        const float p = mr_heads_reach(pass.l, 0);
        const float click = corrected(p, error_of(self, view, keys, now), of->heads.trust);
        const float cart = mr_heads_reach(pass.l, 1) / p, purchase = mr_heads_reach(pass.l, 2) / p;
        worth[i] = click * (1.0f + (float)c->cart * cart + (float)c->purchase * purchase);
        value[i] = mr_heads_mean(pass.q, MR_HEADS_QUANTILES);
    }
    arena->used = mark;
}

// ---- learning

static uint32_t level_of(mr_event_kind act)
{
    return act == MR_EVENT_PURCHASE ? 3 : act == MR_EVENT_CART ? 2 : 1;
}

typedef struct teacher {
    const mr_instance *self;
    const mr_view *view;
    const net *of;
    features f;
    mr_decay_time now;
    int64_t time_ms;
    lesson *to;
    mr_deltas *deltas;
} teacher;

// Level 0: nothing followed. value: NAN where nothing is known of it.
static void teach_one(const teacher *t, uint32_t candidate, uint32_t level, float weight,
                      float value)
{
    const config *c = t->self->config;
    const float *x = t->f.x + (size_t)candidate * t->f.n;
    float by_l[MR_HEADS_TASKS] = {0}, by_a[MR_HEADS_QUANTILES];
    const bool valued = value > -1.0f;
    mr_heads_pass pass;
    uint32_t keys[TABLES];
    mr_heads_forward(&t->of->heads, t->view->vec, x, t->f.n, experts_of(c), &pass);
    for (uint32_t task = 0; task < MR_HEADS_TASKS; task++)
        mr_heads_chain(pass.l, task, level > task, weight, by_l);
    if (valued)
        (void)mr_heads_pinball(pass.a, pass.q, MR_HEADS_QUANTILES,
                               (float)mr_log(1.0 + (double)value), by_a);
    mr_heads_back(&t->of->heads, t->view->vec, x, t->f.n, experts_of(c), &pass, by_l,
                  valued ? by_a : NULL, &t->to->gradient);
    const float p = mr_heads_reach(pass.l, 0), y = level > 0 ? 1.0f : 0.0f;
    find_buckets(t->self, t->view->vec, x, t->f.n, keys);
    const float error = error_of(t->self, t->view, keys, t->now);
    t->to->gradient.trust -= weight * (y - corrected(p, error, t->of->heads.trust)) * error;
    remember(t->self, t->view, keys, y - p, t->time_ms, t->deltas);
    t->to->examples += weight;
}

static void teach(const mr_instance *self, const mr_view *view, const mr_signal *signal,
                  const mr_columns *columns, const mr_union *candidates, uint32_t target,
                  mr_deltas *deltas, mr_arena *arena)
{
    const config *c = self->config;
    const size_t mark = arena->used;
    const mr_named *nets = rows_of(self, view, FAMILY_NET);
    teacher t = {.self = self, .view = view, .of = mr_named_find(nets, 0), .deltas = deltas};
    t.f = look(self, view, signal->user, columns, candidates, arena);
    t.now = mr_decay_time_of(view->clock_ms, half_life_ms(c));
    t.time_ms = signal->time_ms;
    t.to = mr_deltas_at(deltas, self->family_first + FAMILY_NET, mr_slots_find(&nets->slots, 0));
    t.to->columns = t.f.columns;
    if (t.of->columns != t.f.columns) { // a net of other columns, or none yet
        net *anew = mr_arena_push(arena, sizeof *anew);
        memset(anew, 0, sizeof *anew);
        init_net(c, 0, view->seed, anew);
        t.of = anew;
    }
    mr_rng rng = mr_rng_make(view->seed, view->task, view->epoch, signal->index, MR_PURPOSE_RANKER);
    teach_one(&t, target, level_of(signal->act), 1.0f, signal->value);
    for (uint32_t d = 0; d < (uint32_t)c->negatives; d++) {
        const uint32_t i = mr_rng_below(&rng, candidates->count);
        if (i != target)
            teach_one(&t, i, 0, 1.0f, __builtin_nanf(""));
    }
    arena->used = mark;
}

static void apply(const mr_instance *self, const mr_view *view, uint32_t family, uint64_t key,
                  const void *delta, void *row)
{
    const config *c = self->config;
    if (family == FAMILY_ERRORS) {
        combine_buckets(c, row, delta);
        return;
    }
    const lesson *of = delta;
    net *to = row;
    if (to->columns != of->columns) {
        memset(row, 0, net_bytes(c));
        init_net(c, key, view->seed, row);
        to->columns = of->columns;
    }
    const float *sum = (const float *)(const void *)&of->gradient;
    const mr_optimiser optimiser = {
        .kind = MR_OPTIMISER_ADAM, .rate = (float)c->rate, .norm_max = 1e6f};
    const mr_gradient gradient = {.sum = sum,
                                  .squares = view->vec->dot(sum, sum, MR_HEADS_FLOATS) /
                                             (float)MR_HEADS_FLOATS,
                                  .events = of->examples};
    mr_optimiser_step(&optimiser, view->vec, (float *)(void *)&to->heads, MR_HEADS_FLOATS,
                      &gradient);
    to->heads.trust = to->heads.trust < 0.0f   ? 0.0f
                      : to->heads.trust > 1.0f ? 1.0f
                                               : to->heads.trust;
}

static uint32_t measure(const mr_instance *self, const mr_view *view, mr_measure *out, uint32_t max)
{
    const net *of = mr_named_find(rows_of(self, view, FAMILY_NET), 0);
    if (max == 0)
        return 0;
    out[0] = (mr_measure){"trust", (double)of->heads.trust};
    return 1;
}

static uint32_t column_count(const void *c)
{
    (void)c;
    return 2;
}

static const mr_column columns_given[] = {{"ranker", MR_SCALE_COUNT},
                                          {"ranker_value", MR_SCALE_REAL}};

const mr_model mr_model_ranker = {
    .state = {.name = "ranker",
              .source = "Ma et al., Modeling Task Relationships in Multi-task Learning with "
                        "Multi-gate Mixture-of-Experts",
              .params = params,
              .config_bytes = sizeof(config),
              .families = families,
              .family_count = sizeof families / sizeof families[0],
              .cache_bytes = cache_bytes,
              .rebuild = rebuild,
              .apply = apply,
              .measure = measure},
    .on = on,
    .columns = columns_given,
    .column_count = column_count,
    .rank = rank,
    .teach = teach,
};
