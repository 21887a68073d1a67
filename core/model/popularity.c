// SPDX-License-Identifier: Apache-2.0
// popularity: how often an item was acted on, faded with six half-lives from minutes to never.
//
// On news a plain faded count beats most learners, so each half-life is a full column of the blend;
// it is also what an unknown user gets. Counts are integers (decay.h): the same bytes in any
// grouping. Source: forward decay, as decay.h; the ladder of half-lives is ours.
//
// Derived: for each half-life the best items in order (top.h), and each item's value in units of
// that order's era: the same for every user, so it is computed once for a change and not once for a
// list.
#include "core/deltas.h"
#include "core/model/told.h"
#include "core/model/top.h"

enum { LADDER = 6, AHEAD = 8 };

static const int64_t half_lives_ms[LADDER] = {
    900 * 1000ll,   3600 * 1000ll,      6 * 3600 * 1000ll,
    86400 * 1000ll, 7 * 86400 * 1000ll, MR_DECAY_NEVER,
};

static const mr_column columns[LADDER] = {
    {"popularity_15m", MR_SCALE_COUNT}, {"popularity_1h", MR_SCALE_COUNT},
    {"popularity_6h", MR_SCALE_COUNT},  {"popularity_1d", MR_SCALE_COUNT},
    {"popularity_7d", MR_SCALE_COUNT},  {"popularity", MR_SCALE_COUNT},
};

typedef struct counts {
    mr_decayed by_half_life[LADDER];
} counts;

typedef struct values { // of an item, as score gives them; half a cache line
    float by_half_life[8];
} values;

typedef struct cache {
    mr_top tops[LADDER];
    values *of_item; // by slot
} cache;

_Static_assert(LADDER <= sizeof(values) / sizeof(float), "a value for each half-life");

static void combine(const void *c, void *into, const void *from)
{
    (void)c;
    counts *sum = into;
    const counts *more = from;
    for (int h = 0; h < LADDER; h++)
        mr_decayed_add(&sum->by_half_life[h], more->by_half_life[h]);
}

static const mr_family families[] = {
    {.name = "counts",
     .key = MR_KEY_ITEM,
     .delta = MR_DELTA_SUM,
     .version = 1,
     .row_size = sizeof(counts),
     .delta_size = sizeof(counts),
     .combine = combine},
};

static void observe(const mr_instance *self, const mr_view *view, const mr_signal *signals,
                    uint32_t signal_count, struct mr_deltas *deltas, mr_arena *arena)
{
    (void)view, (void)arena;
    mr_decay_weight now[LADDER]; // at time_ms; signals of one time stand together
    int64_t time_ms = INT64_MIN;
    for (uint32_t s = 0; s < signal_count; s++) {
        const mr_signal *signal = &signals[s];
        if (signal->kind != MR_SIGNAL_ACT)
            continue;
        for (int h = 0; h < LADDER && time_ms != signal->time_ms; h++)
            now[h] = mr_decay_weight_of(signal->time_ms, half_lives_ms[h]);
        time_ms = signal->time_ms;
        counts *delta = mr_deltas_at(deltas, self->family_first, signal->item);
        for (int h = 0; h < LADDER; h++)
            mr_decayed_add(&delta->by_half_life[h],
                           (mr_decayed){.newest = mr_decay_units_of(now[h], (double)signal->weight),
                                        .era = now[h].era});
    }
}

static void apply(const mr_instance *self, const mr_view *view, uint32_t family, uint64_t key,
                  const void *delta, void *row)
{
    (void)view, (void)family, (void)key;
    combine(self->config, row, delta);
}

static const counts *counts_of(const mr_instance *self, const mr_view *view, uint32_t slot)
{
    return mr_items_row(view->items, self->family_first, slot);
}

static int64_t newest_era(const mr_instance *self, const mr_view *view, int h)
{
    int64_t era = 0;
    for (uint32_t i = 0; i < view->items->slots.used; i++) {
        if (!mr_items_live(view->items, i))
            continue; // a free slot
        const mr_decayed *count = &counts_of(self, view, i)->by_half_life[h];
        era = count->era > era ? count->era : era;
    }
    return era;
}

// Notes the value of an item and gives it its place in the order.
static void offer(const mr_instance *self, const mr_view *view, int h, uint32_t slot)
{
    cache *derived = self->cache;
    mr_top *top = &derived->tops[h];
    const double units = mr_decayed_in(&counts_of(self, view, slot)->by_half_life[h], top->era);
    derived->of_item[slot].by_half_life[h] = (float)(units / MR_DECAY_UNIT);
    mr_top_raise(top, view->items, slot, units);
}

static void rebuild_top(const mr_instance *self, const mr_view *view, int h)
{
    mr_top *top = &((cache *)self->cache)->tops[h];
    mr_top_clear(top, newest_era(self, view, h));
    for (uint32_t i = 0; i < view->items->slots.used; i++)
        if (mr_items_live(view->items, i))
            offer(self, view, h, i);
}

static void rebuild(const mr_instance *self, const mr_view *view)
{
    cache *derived = self->cache;
    derived->of_item = (values *)(void *)((uint8_t *)self->cache + mr_arena_round(sizeof(cache)));
    for (int h = 0; h < LADDER; h++)
        rebuild_top(self, view, h);
}

static void changed(const mr_instance *self, const mr_view *view, uint32_t family, uint32_t slot)
{
    (void)family;
    const counts *row = counts_of(self, view, slot);
    for (int h = 0; h < LADDER; h++)
        if (row->by_half_life[h].era > ((const cache *)self->cache)->tops[h].era)
            rebuild_top(self, view, h);
        else
            offer(self, view, h, slot);
}

static void tell(const mr_instance *self, const mr_view *view, uint32_t slot, mr_told *told)
{
    const counts *row = counts_of(self, view, slot);
    for (int h = 0; h < LADDER; h++) {
        const mr_decay_time now = mr_decay_time_of(told->time_ms, half_lives_ms[h]);
        told->counts[told->count_count].name = columns[h].name;
        told->counts[told->count_count++].value = mr_decayed_at(&row->by_half_life[h], now);
    }
}

_Static_assert((int)LADDER <= (int)MR_TOLD_COUNTS_MAX, "all of them are told");

static size_t cache_bytes(const void *c, uint32_t items_max)
{
    (void)c;
    return mr_arena_round(sizeof(cache)) + mr_arena_round(items_max * sizeof(values));
}

static uint32_t column_count(const void *c)
{
    (void)c;
    return LADDER;
}

static void candidates(const mr_instance *self, const mr_view *view, const uint32_t *users,
                       uint32_t user_count, uint32_t column, const struct mr_filter *filters,
                       mr_arena *arena, mr_found *found)
{
    (void)view, (void)users, (void)arena;
    const mr_top *top = &((const cache *)self->cache)->tops[column];
    for (uint32_t u = 0; u < user_count; u++) {
        found[u].count = 0;
        for (uint32_t i = 0; i < top->count && found[u].count < found[u].max; i++) {
            if (!mr_filter_admits(&filters[u], top->slots[i]))
                continue;
            found[u].slots[found[u].count] = top->slots[i];
            found[u].scores[found[u].count++] = (float)(top->values[i] / MR_DECAY_UNIT);
        }
    }
}

static void score(const mr_instance *self, const mr_view *view, uint32_t user,
                  const uint32_t *slots, uint32_t slot_count, float *out, uint32_t stride,
                  mr_arena *arena)
{
    (void)view, (void)user, (void)arena;
    const values *of_item = ((const cache *)self->cache)->of_item;
    for (uint32_t i = 0; i < slot_count; i++) {
        if (i + AHEAD < slot_count)
            __builtin_prefetch(&of_item[slots[i + AHEAD]]);
        for (int h = 0; h < LADDER; h++)
            out[(uint32_t)h * stride + i] = of_item[slots[i]].by_half_life[h];
    }
}

const mr_model mr_model_popularity = {
    .state = {.name = "popularity",
              .source = "Cormode et al., Forward Decay",
              .families = families,
              .family_count = 1,
              .cache_bytes = cache_bytes,
              .rebuild = rebuild,
              .changed = changed,
              .observe = observe,
              .apply = apply,
              .tell = tell},
    .columns = columns,
    .column_count = column_count,
    .candidates = candidates,
    .score = score,
};
