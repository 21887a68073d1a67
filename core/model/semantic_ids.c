// SPDX-License-Identifier: Apache-2.0
// semantic_ids: items that are alike share the first numbers of a code, and what is known of them.
// Off unless `dim` is set.
//
// An item is a unit vector x of dim numbers, as the catalogue describes it (described.h). Residual
// quantisation (residual.h) gives it a code of LEVELS numbers. Acts and exposures are counted,
// faded with half_life_s, for each item, each prefix of a code and all together, and a rate is
// backed off from the whole to the item:
//     p_0 = n_0 / E_0,  p_l = (n_l + kappa p_(l-1)) / (E_l + kappa),  l = 1 .. LEVELS, item
// So an item that nobody has seen has the rate of those that are most like it, and one that many
// have seen its own. Where impressions are logged, E counts them. Where they are not, each act
// stands for DRAWS items, drawn uniformly, that were passed over at that time: an item's E is then
// its age in acts. The column is the same for all users.
//
// Codebooks (codebook.h) begin when `sample` items were described, level by level: every entry is
// the first item whose hash names it, then comes k-means over the catalogue (SAMPLE_MAX items at
// most), SLICE items an epoch of task 0. From then on codes are frozen, and what is described moves
// the shadow of the codebooks; a dead entry (a count below a hundredth of the mean) begins anew at
// the next residual that is the most crowded one's. Where the shadow is better by `publish` it
// takes the frozen ones' place, and all items are encoded anew: entries move, they do not change
// places, so what is counted under a prefix stays. Codes are functions of rows, derived, never
// stored: 98 kflop an item with 256 entries of 64 numbers, all items at once at a publication.
//
// Merge: counts are integers, the same bytes in any grouping. Codebook statistics are sums of
// counts and residuals, added in order; each entry has one owner.
//
// Sources: those of residual.h; back-off by prefixes: "The Best of the Two Worlds: Harmonizing
// Semantic and Hash IDs for Sequential Recommendation". Departures: (1) no standardising of
// coordinates, (2) entries begin at items by hash instead of by k-means++: nobody holds the sample,
// (3) all codes change at a publication, none between, (4) prefixes of two and three numbers share
// `prefixes` rows by hash, (5) what has the same code is told apart by the item's own counts, not
// by a fourth number.
#include "core/deltas.h"
#include "core/model/codebook.h"
#include "core/model/decay.h"
#include "core/model/described.h"
#include "core/model/residual.h"

enum {
    NO_CODE = UINT16_MAX + 1,
    LEVELS = MR_RESIDUAL_LEVELS_MAX,
    CODES_MAX = MR_RESIDUAL_CODES_MAX,
    DIM_MAX = MR_WORD_DIM_MAX,
    SLICE = 32,
    SAMPLE_MAX = 10000,
    DRAWS = 4,
    PROBED = 64,
};

typedef struct config {
    double dim, codes, sample, kappa, half_life_s, prefixes, publish;
} config;

static const mr_param params[] = {
    {"dim", "", "numbers that an item's content is kept in, rounded up to 16; 0: off",
     offsetof(config, dim), 0, 0, DIM_MAX},
    {"codes", "", "entries of a level's codebook", offsetof(config, codes), 256, 2, CODES_MAX},
    {"sample", "", "descriptions of items before codebooks are made", offsetof(config, sample),
     1000, 1, 1e9},
    {"kappa", "", "exposures that a prefix's rate is worth", offsetof(config, kappa), 50, 0.01,
     1e6},
    {"half_life_s", "s", "time after which an act counts half", offsetof(config, half_life_s),
     7 * 86400.0, 60, 1e9},
    {"prefixes", "", "rows of prefixes of two and of three numbers each",
     offsetof(config, prefixes), 16384, 16, 65536},
    {"publish", "", "by what share the error has to fall before items get other codes",
     offsetof(config, publish), 0.1, 0, 1},
    {0},
};

typedef struct tally { // of an item or a prefix: a row, and a delta
    mr_decayed acts, showings;
} tally;

typedef struct cache {
    uint32_t published; // + 1, of what the codes were made with; 0: there are none
    uint32_t *prefixes; // by slot: keys of its LEVELS prefixes, or NO_CODE
} cache;

enum {
    FAMILY_WORD,
    FAMILY_COUNTS,
    FAMILY_ALL,
    FAMILY_PREFIX,
    FAMILY_STAGE = FAMILY_PREFIX + LEVELS,
    FAMILY_ENTRY
};

static uint32_t dim(const void *c)
{
    return mr_vec_padded((uint32_t)((const config *)c)->dim);
}

static uint32_t codes_of(const void *c)
{
    return (uint32_t)((const config *)c)->codes;
}

static bool on(const void *c)
{
    return dim(c) > 0;
}

// ---- rows

static uint32_t word_bytes(const void *c)
{
    return mr_word_bytes(dim(c));
}

static uint32_t word_used(const void *c, const void *row)
{
    return mr_word_used(dim(c), row);
}

static void combine_words(const void *c, void *into, const void *from)
{
    mr_word_combine(dim(c), into, from);
}

static void combine_counts(const void *c, void *into, const void *from)
{
    (void)c;
    mr_decayed_add(&((tally *)into)->acts, ((const tally *)from)->acts);
    mr_decayed_add(&((tally *)into)->showings, ((const tally *)from)->showings);
}

static uint32_t prefix_rows(const void *c)
{
    return (uint32_t)((const config *)c)->prefixes;
}

static void combine_progress(const void *c, void *into, const void *from)
{
    (void)c;
    mr_progress_combine(into, from);
}

static uint32_t entry_rows(const void *c)
{
    return LEVELS * codes_of(c);
}

static uint32_t entry_bytes(const void *c)
{
    return (uint32_t)sizeof(mr_entry) + 2 * dim(c) * 4;
}

static uint32_t residuals_bytes(const void *c)
{
    return (uint32_t)sizeof(mr_residuals) + dim(c) * 4;
}

static void combine_residuals(const void *c, void *into, const void *from)
{
    mr_residuals_combine(dim(c), into, from);
}

static uint8_t variant(const void *c)
{
    return (uint8_t)(dim(c) / 16);
}

#define COUNTS_OF(place)                                                                           \
    .key = place, .delta = MR_DELTA_SUM, .version = 1, .row_size = sizeof(tally),                  \
    .delta_size = sizeof(tally), .combine = combine_counts

static const mr_family families[] = {
    [FAMILY_WORD] = {.name = "item",
                     .key = MR_KEY_ITEM,
                     .delta = MR_DELTA_SUM,
                     .version = 1,
                     .variant = variant,
                     .row_bytes = word_bytes,
                     .delta_bytes = word_bytes,
                     .used = word_used,
                     .combine = combine_words},
    [FAMILY_COUNTS] = {.name = "counts", COUNTS_OF(MR_KEY_ITEM)},
    [FAMILY_ALL] = {.name = "all", COUNTS_OF(MR_KEY_NAMED)},
    [FAMILY_PREFIX] = {.name = "prefix_1", COUNTS_OF(MR_KEY_NAMED), .rows_max = codes_of},
    [FAMILY_PREFIX + 1] = {.name = "prefix_2", COUNTS_OF(MR_KEY_NAMED), .rows_max = prefix_rows},
    [FAMILY_PREFIX + 2] = {.name = "prefix_3", COUNTS_OF(MR_KEY_NAMED), .rows_max = prefix_rows},
    [FAMILY_STAGE] = {.name = "stage",
                      .key = MR_KEY_NAMED,
                      .delta = MR_DELTA_SUM,
                      .version = 1,
                      .row_size = sizeof(mr_stage),
                      .delta_size = sizeof(mr_progress),
                      .combine = combine_progress},
    [FAMILY_ENTRY] = {.name = "entry",
                      .key = MR_KEY_NAMED,
                      .delta = MR_DELTA_SUM,
                      .version = 1,
                      .variant = variant,
                      .row_bytes = entry_bytes,
                      .delta_bytes = residuals_bytes,
                      .rows_max = entry_rows,
                      .combine = combine_residuals},
};

static const mr_named *named_of(const mr_instance *self, const mr_view *view, uint32_t family)
{
    return &view->named[self->family_first + family];
}

static const mr_stage *stage_of(const mr_instance *self, const mr_view *view)
{
    return mr_named_find(named_of(self, view, FAMILY_STAGE), 0);
}

static const mr_entry *entry_at(const mr_instance *self, const mr_view *view, uint32_t place)
{
    return mr_named_find(named_of(self, view, FAMILY_ENTRY), place);
}

// Rows of one family lie side by side, here in order of their keys.
static mr_residual books_of(const mr_instance *self, const mr_view *view, bool shadow)
{
    const config *c = self->config;
    const mr_part *part = &named_of(self, view, FAMILY_ENTRY)->part;
    const mr_entry *first = entry_at(self, view, 0);
    const uint32_t last = entry_rows(c) - 1;
    MR_ASSERT((const uint8_t *)entry_at(self, view, last) ==
              (const uint8_t *)first + (size_t)last * part->stride);
    return (mr_residual){.vec = view->vec,
                         .books = first->floats + (shadow ? dim(c) : 0),
                         .counts = shadow ? &first->count : NULL,
                         .levels = LEVELS,
                         .codes = codes_of(c),
                         .n = dim(c),
                         .stride = part->stride / 4};
}

static mr_progress *progress_of(const mr_instance *self, const mr_view *view, mr_deltas *deltas)
{
    const uint32_t family = self->family_first + FAMILY_STAGE;
    return mr_deltas_at(deltas, family, mr_slots_find(&view->named[family].slots, 0));
}

static mr_residuals *residuals_of(const mr_instance *self, const mr_view *view, uint32_t place,
                                  mr_deltas *deltas)
{
    const uint32_t family = self->family_first + FAMILY_ENTRY;
    return mr_deltas_at(deltas, family, mr_slots_find(&view->named[family].slots, place));
}

static const mr_word *word_of(const mr_instance *self, const mr_view *view, uint32_t slot)
{
    return mr_items_row(view->items, self->family_first + FAMILY_WORD, slot);
}

// ---- codebooks: what is learned

static void add_residual(const mr_instance *self, const mr_view *view, uint32_t place,
                         uint32_t step, const float *r, mr_deltas *deltas)
{
    mr_residuals *to = residuals_of(self, view, place, deltas);
    if (to->reset)
        return;
    to->step = step;
    to->count += 1.0f;
    view->vec->axpy(to->sum, 1.0f, r, dim(self->config));
}

// One item of a step: what the levels above leave of it goes to its entry. In the step that seeds
// an entry is the first that its hash names.
static void teach(const mr_instance *self, const mr_view *view, uint64_t key, const float *x,
                  mr_deltas *deltas)
{
    const mr_residual made = books_of(self, view, false);
    const uint32_t step = stage_of(self, view)->step, level = step / MR_CODEBOOK_STEPS;
    const bool seeds = step % MR_CODEBOOK_STEPS == 0;
    uint16_t codes[LEVELS];
    float r[DIM_MAX];
    (void)mr_residual_encode(&made, level, x, codes, r, NULL);
    const uint32_t code = seeds ? (uint32_t)(mr_hash64(&key, sizeof key, level) % made.codes)
                                : mr_residual_nearest(&made, level, r);
    const uint32_t place = level * made.codes + code;
    if (seeds &&
        entry_at(self, view, place)->count + residuals_of(self, view, place, deltas)->count > 0.0f)
        return;
    add_residual(self, view, place, step + 1, r, deltas);
}

// Tells the entries of a level that stand before it to turn; returns whether there were any.
static bool turn_level(const mr_instance *self, const mr_view *view, uint32_t level, uint32_t turn,
                       mr_deltas *deltas)
{
    bool any = false;
    const uint32_t codes = codes_of(self->config);
    for (uint32_t place = level * codes; place < (level + 1) * codes; place++)
        if (entry_at(self, view, place)->turned < turn) {
            residuals_of(self, view, place, deltas)->turn = turn;
            any = true;
        }
    return any;
}

// The same of a publication, of one level at a time: an epoch has room for so many rows.
static void publish_level(const mr_instance *self, const mr_view *view, mr_deltas *deltas)
{
    const uint32_t codes = codes_of(self->config), published = stage_of(self, view)->published;
    bool any = false;
    for (uint32_t level = 0; level < LEVELS && !any; level++)
        for (uint32_t place = level * codes; place < (level + 1) * codes; place++)
            if (entry_at(self, view, place)->published < published) {
                residuals_of(self, view, place, deltas)->publish = published;
                any = true;
            }
}

// The first live item behind a key, as an index of the order.
static uint32_t first_behind(const mr_items *items, uint64_t key)
{
    uint32_t low = 0, high = items->order_count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (items->slots.keys[items->order[middle]] > key)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

// The next few items of a step.
static void take_slice(const mr_instance *self, const mr_view *view, mr_progress *to,
                       mr_deltas *deltas)
{
    const mr_items *items = view->items;
    const mr_stage *of = stage_of(self, view);
    const uint32_t left = SAMPLE_MAX - of->taken;
    uint32_t at = first_behind(items, of->cursor), taken = 0;
    for (; at < items->order_count && taken < SLICE && taken < left; at++, taken++) {
        float x[DIM_MAX];
        const uint32_t slot = items->order[at];
        to->cursor = items->slots.keys[slot];
        if (mr_word_read(dim(self->config), view, word_of(self, view, slot), x))
            teach(self, view, to->cursor, x, deltas);
    }
    to->taken = taken;
    to->is_last = at == items->order_count || taken == left;
}

// Once an epoch of task 0.
static void go_on(const mr_instance *self, const mr_view *view, mr_deltas *deltas)
{
    const config *c = self->config;
    const mr_stage *of = stage_of(self, view);
    if (view->task != 0 || (double)of->described < c->sample || view->items->order_count == 0)
        return;
    if (mr_stage_is_made(of)) {
        if (((const cache *)self->cache)->published != of->published + 1)
            publish_level(self, view, deltas);
        return;
    }
    mr_progress *to = progress_of(self, view, deltas);
    if (to->step > 0 || turn_level(self, view, of->step / MR_CODEBOOK_STEPS, of->step + 1, deltas))
        return;
    to->step = of->step + 1;
    to->from = to->cursor = of->cursor;
    if (of->step % MR_CODEBOOK_STEPS == MR_CODEBOOK_STEPS - 1)
        to->is_last = 1;
    else
        take_slice(self, view, to, deltas);
}

// An entry of the level that nobody comes to, where `code` is the most crowded one.
static uint32_t dead_entry(const mr_instance *self, const mr_view *view, uint32_t level,
                           uint32_t code)
{
    const uint32_t codes = codes_of(self->config), first = level * codes;
    const float crowd = entry_at(self, view, first + code)->count;
    uint32_t least = 0;
    float all = 0.0f, fewest = crowd;
    for (uint32_t k = 0; k < codes; k++) {
        const float count = entry_at(self, view, first + k)->count;
        if (count > crowd)
            return MR_RESIDUAL_NONE;
        all += count;
        least = count < fewest ? k : least;
        fewest = count < fewest ? count : fewest;
    }
    return fewest * (float)codes < 0.01f * all ? least : MR_RESIDUAL_NONE;
}

// What comes of x to each level of the shadow.
static void move_shadow(const mr_instance *self, const mr_view *view, const mr_residual *shadow,
                        const float *x, const uint16_t *codes, mr_deltas *deltas)
{
    const uint32_t n = dim(self->config);
    const uint64_t clock = stage_of(self, view)->clock;
    float r[DIM_MAX];
    memcpy(r, x, n * sizeof *r);
    for (uint32_t l = 0; l < LEVELS; l++) {
        const uint32_t first = l * shadow->codes;
        const uint32_t dead = dead_entry(self, view, l, codes[l]);
        add_residual(self, view, first + codes[l], MR_CODEBOOK_LEARNED, r, deltas);
        residuals_of(self, view, first + codes[l], deltas)->clock = clock;
        if (dead != MR_RESIDUAL_NONE) {
            mr_residuals *to = residuals_of(self, view, first + dead, deltas);
            to->clock = clock;
            to->step = MR_CODEBOOK_LEARNED;
            to->reset = 1;
            to->count = 1.0f;
            memcpy(to->sum, r, n * sizeof *r);
        }
        mr_residual_take(shadow, l, codes[l], r);
    }
}

static void describe(const mr_instance *self, const mr_view *view, const mr_described *described,
                     struct mr_deltas *deltas)
{
    const config *c = self->config;
    const uint32_t n = dim(c);
    uint64_t scratch[(sizeof(mr_word) + DIM_MAX) / 8] = {0};
    mr_word *word = (mr_word *)(void *)scratch;
    uint16_t codes[LEVELS];
    float x[DIM_MAX], r[DIM_MAX], frozen_errors[LEVELS], errors[LEVELS];
    mr_word_make(n, view, described, word);
    combine_words(c, mr_deltas_at(deltas, self->family_first + FAMILY_WORD, described->item), word);
    if (!mr_word_read(n, view, word, x))
        return;
    mr_progress *to = progress_of(self, view, deltas);
    if (!mr_stage_is_made(stage_of(self, view))) {
        to->described += 1.0f;
        return;
    }
    const mr_residual frozen = books_of(self, view, false), shadow = books_of(self, view, true);
    (void)mr_residual_encode(&frozen, LEVELS, x, codes, r, frozen_errors);
    if (!mr_residual_encode(&shadow, LEVELS, x, codes, r, errors))
        return;
    to->frozen_error += frozen_errors[LEVELS - 1];
    to->shadow_error += errors[LEVELS - 1];
    to->compared += 1.0f;
    move_shadow(self, view, &shadow, x, codes, deltas);
}

static void apply(const mr_instance *self, const mr_view *view, uint32_t family, uint64_t key,
                  const void *delta, void *row)
{
    (void)key;
    const config *c = self->config;
    if (family == FAMILY_WORD)
        combine_words(c, row, delta);
    else if (family == FAMILY_STAGE)
        mr_progress_apply(row, delta, c->publish);
    else if (family == FAMILY_ENTRY)
        mr_residuals_apply(view->vec, dim(c), row, delta);
    else
        combine_counts(c, row, delta);
}

// ---- derived: the items' codes

static uint32_t *prefixes_at(const mr_instance *self, uint32_t slot)
{
    return ((const cache *)self->cache)->prefixes + (size_t)slot * LEVELS;
}

// The row of a prefix: of one number its own, of more one that is shared by hash.
static uint32_t prefix_key(const config *c, const uint16_t *codes, uint32_t level)
{
    if (level == 0)
        return codes[0];
    return (uint32_t)(mr_hash64(codes, (level + 1) * sizeof *codes, level) % prefix_rows(c));
}

// Whether items have codes: not while codebooks are made, nor while a publication is under way.
static bool is_ready(const mr_instance *self, const mr_view *view)
{
    const mr_stage *of = stage_of(self, view);
    if (!mr_stage_is_made(of))
        return false;
    for (uint32_t place = 0; place < entry_rows(self->config); place++)
        if (entry_at(self, view, place)->published != of->published)
            return false;
    return true;
}

static void derive(const mr_instance *self, const mr_view *view, uint32_t slot)
{
    const mr_residual frozen = books_of(self, view, false);
    uint32_t *prefixes = prefixes_at(self, slot);
    uint16_t codes[LEVELS];
    float x[DIM_MAX], r[DIM_MAX];
    prefixes[0] = NO_CODE;
    if (((const cache *)self->cache)->published == 0 ||
        !mr_word_read(dim(self->config), view, word_of(self, view, slot), x))
        return;
    (void)mr_residual_encode(&frozen, LEVELS, x, codes, r, NULL);
    for (uint32_t l = 0; l < LEVELS; l++)
        prefixes[l] = prefix_key(self->config, codes, l);
}

static size_t cache_bytes(const void *c, uint32_t items_max)
{
    (void)c;
    return mr_arena_round(sizeof(cache)) + (size_t)items_max * LEVELS * sizeof(uint32_t);
}

static void rebuild(const mr_instance *self, const mr_view *view)
{
    cache *derived = self->cache;
    derived->prefixes = (uint32_t *)(void *)((uint8_t *)derived + mr_arena_round(sizeof(cache)));
    derived->published = is_ready(self, view) ? stage_of(self, view)->published + 1 : 0;
    for (uint32_t slot = 0; slot < view->items->slots.used; slot++)
        derive(self, view, slot);
}

static void changed(const mr_instance *self, const mr_view *view, uint32_t family, uint32_t slot)
{
    const mr_stage *of = stage_of(self, view);
    const uint32_t published = ((const cache *)self->cache)->published;
    if (family == FAMILY_WORD)
        derive(self, view, slot);
    else if ((family == FAMILY_STAGE || family == FAMILY_ENTRY) && mr_stage_is_made(of) &&
             published != of->published + 1 && (published > 0 || is_ready(self, view)))
        rebuild(self, view);
}

// ---- counts

static void add_counts(tally *to, bool act, mr_decay_weight now)
{
    mr_decayed_add(act ? &to->acts : &to->showings,
                   (mr_decayed){.newest = mr_decay_units_of(now, 1), .era = now.era});
}

static void count(const mr_instance *self, const mr_view *view, uint32_t slot, bool act,
                  mr_decay_weight now, mr_deltas *deltas)
{
    const uint32_t *prefixes = prefixes_at(self, slot);
    const uint32_t first = self->family_first;
    add_counts(mr_deltas_at(deltas, first + FAMILY_COUNTS, slot), act, now);
    add_counts(mr_deltas_at(deltas, first + FAMILY_ALL,
                            mr_slots_find(&named_of(self, view, FAMILY_ALL)->slots, 0)),
               act, now);
    for (uint32_t l = 0; prefixes[0] != NO_CODE && l < LEVELS; l++) {
        const mr_slots *slots = &named_of(self, view, FAMILY_PREFIX + l)->slots;
        const uint32_t at = mr_slots_find(slots, prefixes[l]);
        add_counts(mr_deltas_at(deltas, first + FAMILY_PREFIX + l, at), act, now);
    }
}

static void pass_over(const mr_instance *self, const mr_view *view, const mr_signal *signal,
                      mr_decay_weight now, mr_deltas *deltas)
{
    const uint64_t key = (uint64_t)signal->index << 32 | 0x73656d69u; // "semi"
    mr_rng rng = mr_rng_make(view->seed, view->task, view->epoch, key, MR_PURPOSE_SAMPLE);
    for (uint32_t d = 0; d < DRAWS && view->items->order_count > 0; d++) {
        const uint32_t at = mr_rng_below(&rng, view->items->order_count);
        count(self, view, view->items->order[at], false, now, deltas);
    }
}

static void observe(const mr_instance *self, const mr_view *view, const mr_signal *signals,
                    uint32_t signal_count, struct mr_deltas *deltas, mr_arena *arena)
{
    (void)arena;
    const int64_t half_life_ms = (int64_t)(((const config *)self->config)->half_life_s * 1000.0);
    go_on(self, view, deltas);
    for (uint32_t s = 0; s < signal_count; s++) {
        const mr_signal *signal = &signals[s];
        const bool act = signal->kind == MR_SIGNAL_ACT && signal->weight > 0.0f;
        if (!act && signal->kind != MR_SIGNAL_SHOWN)
            continue;
        const mr_decay_weight now = mr_decay_weight_of(signal->time_ms, half_life_ms);
        count(self, view, signal->item, act, now, deltas);
        if (act && !view->impressions)
            pass_over(self, view, signal, now, deltas);
    }
}

// ---- serving

static double back_off(const tally *of, mr_decay_time now, double parent, double kappa)
{
    return mr_backed_off(mr_decayed_at(&of->acts, now), mr_decayed_at(&of->showings, now), parent,
                         kappa);
}

typedef struct rates { // as of now: rows of a family lie side by side, in order of their keys
    const mr_instance *self;
    const mr_view *view;
    mr_decay_time now;
    double all, kappa;
    const mr_part *prefixes[LEVELS];
} rates;

static rates open_rates(const mr_instance *self, const mr_view *view)
{
    const config *c = self->config;
    const tally *all = mr_named_find(named_of(self, view, FAMILY_ALL), 0);
    rates r = {.self = self,
               .view = view,
               .now = mr_decay_time_of(view->clock_ms, (int64_t)(c->half_life_s * 1000.0)),
               .kappa = c->kappa};
    const double showings = mr_decayed_at(&all->showings, r.now);
    r.all = showings > 0 ? mr_decayed_at(&all->acts, r.now) / showings : 0;
    for (uint32_t l = 0; l < LEVELS; l++) {
        const mr_named *named = named_of(self, view, FAMILY_PREFIX + l);
        r.prefixes[l] = &named->part;
        MR_ASSERT(mr_slots_find(&named->slots, named->slots.max - 1) == named->slots.max - 1);
    }
    return r;
}

static float rate_of(const rates *r, uint32_t slot)
{
    const uint32_t *prefixes = prefixes_at(r->self, slot);
    double rate = r->all;
    for (uint32_t l = 0; prefixes[0] != NO_CODE && l < LEVELS; l++)
        rate = back_off(mr_part_row(r->prefixes[l], prefixes[l]), r->now, rate, r->kappa);
    const tally *own = mr_items_row(r->view->items, r->self->family_first + FAMILY_COUNTS, slot);
    return (float)back_off(own, r->now, rate, r->kappa);
}

// Puts a slot in its place among the best so far, if it has one.
static void insert(mr_found *found, const uint64_t *keys, uint32_t slot, float rate)
{
    uint32_t at = found->count;
    for (; at > 0 && (found->scores[at - 1] < rate ||
                      (!(found->scores[at - 1] > rate) && keys[found->slots[at - 1]] > keys[slot]));
         at--)
        if (at < found->max) {
            found->slots[at] = found->slots[at - 1];
            found->scores[at] = found->scores[at - 1];
        }
    if (at >= found->max)
        return;
    found->slots[at] = slot;
    found->scores[at] = rate;
    found->count += found->count < found->max;
}

static void candidates(const mr_instance *self, const mr_view *view, const uint32_t *users,
                       uint32_t user_count, uint32_t column, const struct mr_filter *filters,
                       mr_arena *arena, mr_found *found)
{
    (void)column, (void)users;
    const size_t mark = arena->used;
    const mr_items *items = view->items;
    const rates now = open_rates(self, view);
    float *of = mr_arena_push(arena, items->slots.used * sizeof *of);
    for (uint32_t slot = 0; slot < items->slots.used; slot++)
        of[slot] = mr_items_shown(items, slot) ? rate_of(&now, slot) : 0.0f;
    for (uint32_t u = 0; u < user_count; u++) {
        found[u].count = 0;
        for (uint32_t slot = 0; slot < items->slots.used; slot++) {
            const bool full = found[u].count == found[u].max;
            if (full && of[slot] < found[u].scores[found[u].max - 1])
                continue;
            if (mr_filter_admits(&filters[u], slot))
                insert(&found[u], items->slots.keys, slot, of[slot]);
        }
    }
    arena->used = mark;
}

static void score(const mr_instance *self, const mr_view *view, uint32_t user,
                  const uint32_t *slots, uint32_t slot_count, float *out, uint32_t stride,
                  mr_arena *arena)
{
    (void)user, (void)stride, (void)arena;
    const rates now = open_rates(self, view);
    for (uint32_t i = 0; i < slot_count; i++)
        out[i] = rate_of(&now, slots[i]);
}

// Mean error of some items by level, and bits of the first number of their codes.
static uint32_t measure(const mr_instance *self, const mr_view *view, mr_measure *out, uint32_t max)
{
    static const char *const names[LEVELS] = {"error_1", "error_2", "error_3"};
    const config *c = self->config;
    const mr_items *items = view->items;
    const mr_residual frozen = books_of(self, view, false);
    double sums[LEVELS] = {0}, used[CODES_MAX] = {0}, bits = 0, probed = 0;
    if (max < LEVELS + 1 || ((const cache *)self->cache)->published == 0)
        return 0;
    for (uint32_t i = 0; i < items->order_count; i += 1 + items->order_count / PROBED) {
        uint16_t codes[LEVELS];
        float x[DIM_MAX], r[DIM_MAX], errors[LEVELS];
        if (!mr_word_read(dim(c), view, word_of(self, view, items->order[i]), x))
            continue;
        (void)mr_residual_encode(&frozen, LEVELS, x, codes, r, errors);
        for (uint32_t l = 0; l < LEVELS; l++)
            sums[l] += (double)errors[l];
        used[codes[0]]++;
        probed++;
    }
    for (uint32_t k = 0; k < codes_of(c); k++)
        bits -= used[k] > 0 ? used[k] / probed * mr_log(used[k] / probed) / 0.69314718055994531 : 0;
    for (uint32_t l = 0; l < LEVELS; l++)
        out[l] = (mr_measure){names[l], probed > 0 ? sums[l] / probed : 0};
    out[LEVELS] = (mr_measure){"bits", bits};
    return LEVELS + 1;
}

static const mr_column columns[] = {{"semantic_ids", MR_SCALE_COUNT}};

const mr_model mr_model_semantic_ids = {
    .state = {.name = "semantic_ids",
              .source = "Recommender Systems with Generative Retrieval",
              .params = params,
              .config_bytes = sizeof(config),
              .families = families,
              .family_count = FAMILY_ENTRY + 1,
              .cache_bytes = cache_bytes,
              .rebuild = rebuild,
              .changed = changed,
              .describe = describe,
              .observe = observe,
              .apply = apply,
              .measure = measure},
    .on = on,
    .columns = columns,
    .batched = true,
    .candidates = candidates,
    .score = score,
};
