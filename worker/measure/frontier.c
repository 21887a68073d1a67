// SPDX-License-Identifier: Apache-2.0
// Relevant items stand in front, so that a list's nDCG is known by their number alone.
#include "worker/measure/frontier.h"

#include <math.h>
#include <string.h>

#include "core/base/error.h"
#include "worker/measure/relevance.h"

enum { NONE = UINT32_MAX };

size_t mr_frontier_bytes(uint32_t users_max, uint32_t items_max, uint32_t k)
{
    const size_t places = (size_t)users_max * k;
    return mr_arena_round(places * sizeof(mr_frontier_place)) +
           mr_arena_round(users_max * sizeof(uint32_t)) +
           mr_arena_round(items_max * sizeof(mr_frontier_item)) +
           mr_arena_round((size_t)items_max * k * sizeof(uint32_t)) +
           2 * mr_arena_round(((size_t)users_max + 1) * sizeof(uint32_t)) +
           mr_arena_round(MR_FRONTIER_POINTS * sizeof(mr_trade));
}

static void push_all(mr_frontier *f, mr_arena *arena)
{
    f->places = mr_arena_push(arena, (size_t)f->users * f->k * sizeof *f->places);
    f->front = mr_arena_push(arena, f->users * sizeof *f->front);
    f->of = mr_arena_push(arena, f->items * sizeof *f->of);
    f->stands = mr_arena_push(arena, (size_t)f->items * f->k * sizeof *f->stands);
    f->levels = mr_arena_push(arena, ((size_t)f->users + 1) * sizeof *f->levels);
    f->level_counts = mr_arena_push(arena, ((size_t)f->users + 1) * sizeof *f->level_counts);
    f->points = mr_arena_push(arena, MR_FRONTIER_POINTS * sizeof *f->points);
}

// ---- items by their counts

static void enter_level(mr_frontier *f, uint32_t item, uint32_t count)
{
    mr_frontier_item *i = &f->of[item];
    *i = (mr_frontier_item){count, f->levels[count], 0};
    if (i->next != 0)
        f->of[i->next - 1].before = item + 1;
    f->levels[count] = item + 1;
    f->level_counts[count]++;
}

static void leave_level(mr_frontier *f, uint32_t item)
{
    const mr_frontier_item *i = &f->of[item];
    if (i->before != 0)
        f->of[i->before - 1].next = i->next;
    else
        f->levels[i->count] = i->next;
    if (i->next != 0)
        f->of[i->next - 1].before = i->before;
    f->level_counts[i->count]--;
}

// The sum over pairs of |a - b|: all at a or below it are one farther, all above it one nearer.
static void count_up(mr_frontier *f, uint32_t item, double below)
{
    const uint32_t count = f->of[item].count;
    const double lower = below + f->level_counts[count] - 1.0;
    f->pairs += lower - (f->items - 1.0 - lower);
    leave_level(f, item);
    enter_level(f, item, count + 1);
    f->most = count + 1 > f->most ? count + 1 : f->most;
    while (f->level_counts[f->least] == 0)
        f->least++;
}

// Of an item that is shown most.
static void count_down(mr_frontier *f, uint32_t item)
{
    const uint32_t count = f->of[item].count;
    const double equal = f->level_counts[count] - 1.0;
    f->pairs += equal - (f->items - 1.0 - equal);
    leave_level(f, item);
    enter_level(f, item, count - 1);
    if (f->level_counts[count] == 0)
        f->most = count - 1;
}

// ---- lists

static void put(mr_frontier *f, uint32_t user, uint32_t at, uint32_t item)
{
    const uint32_t place = user * f->k + at;
    uint32_t *last = &f->stands[(size_t)item * f->k + at];
    f->places[place] = (mr_frontier_place){item, *last, 0};
    if (*last != 0)
        f->places[*last - 1].before = place + 1;
    *last = place + 1;
}

static uint32_t take(mr_frontier *f, uint32_t user, uint32_t at)
{
    const mr_frontier_place *p = &f->places[user * f->k + at];
    if (p->before != 0)
        f->places[p->before - 1].next = p->next;
    else
        f->stands[(size_t)p->item * f->k + at] = p->next;
    if (p->next != 0)
        f->places[p->next - 1].before = p->before;
    return p->item;
}

static bool is_listed(const mr_frontier *f, uint32_t user, uint32_t count, uint32_t item)
{
    const mr_frontier_place *places = f->places + (size_t)user * f->k;
    for (uint32_t at = 0; at < count; at++)
        if (places[at].item == item)
            return true;
    return false;
}

static bool is_relevant(const mr_frontier *f, uint32_t user, uint32_t item)
{
    uint32_t low = f->first[user], high = f->first[user + 1];
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (f->relevant[middle] < item)
            low = middle + 1;
        else
            high = middle;
    }
    return low < f->first[user + 1] && f->relevant[low] == item;
}

// The least shown item that is not among the first `count` of a list; *below: how many items are
// shown less than it is.
static uint32_t least_shown(const mr_frontier *f, uint32_t user, uint32_t count, double *below)
{
    *below = 0;
    for (uint32_t level = f->least; level <= f->most; level++) {
        for (uint32_t i = f->levels[level]; i != 0; i = f->of[i - 1].next)
            if (!is_listed(f, user, count, i - 1))
                return i - 1;
        *below += f->level_counts[level];
    }
    return NONE;
}

static double gain_of(uint32_t hits)
{
    double sum = 0;
    for (uint32_t rank = 1; rank <= hits; rank++)
        sum += mr_rank_discount(rank);
    return sum;
}

static double ndcg_of(const mr_frontier *f, uint32_t user)
{
    const uint32_t relevant = f->first[user + 1] - f->first[user];
    return gain_of(f->front[user]) / gain_of(relevant < f->k ? relevant : f->k);
}

// ---- the oracle

// The sum over pairs of |a - b|, from the items in order of their counts.
static double sum_of_pairs(const mr_frontier *f)
{
    double sum = 0, before = 0;
    for (uint32_t level = f->least; level <= f->most; level++) {
        const double count = f->level_counts[level];
        sum += level * count * (2 * before + count - f->items);
        before += count;
    }
    return sum;
}

// Of the user's relevant items the least shown that are not in his list yet, the lower number of
// equals.
static uint32_t least_relevant(const mr_frontier *f, uint32_t user, uint32_t count)
{
    uint32_t least = NONE;
    for (uint32_t r = f->first[user]; r < f->first[user + 1]; r++) {
        const uint32_t item = f->relevant[r];
        if ((least == NONE || f->of[item].count < f->of[least].count) &&
            !is_listed(f, user, count, item))
            least = item;
    }
    return least;
}

static void begin_at_oracle(mr_frontier *f)
{
    for (uint32_t i = f->items; i-- > 0;) // the first stands in front
        enter_level(f, i, 0);
    for (uint32_t u = 0; u < f->users; u++) {
        const uint32_t relevant = f->first[u + 1] - f->first[u];
        for (; f->front[u] < f->k && f->front[u] < relevant; f->front[u]++) {
            const uint32_t item = least_relevant(f, u, f->front[u]);
            put(f, u, f->front[u], item);
            count_up(f, item, 0);
        }
        f->relevance += ndcg_of(f, u);
    }
    for (uint32_t u = 0; u < f->users; u++)
        for (uint32_t at = f->front[u]; at < f->k; at++) {
            double below;
            const uint32_t item = least_shown(f, u, at, &below);
            put(f, u, at, item);
            count_up(f, item, below);
        }
    f->pairs = sum_of_pairs(f);
}

// ---- the walk

static mr_trade point_of(const mr_frontier *f)
{
    const double n = f->items, shown = (double)f->users * f->k, rest = fmod(shown, n);
    const double gini = f->pairs / (n * shown), best = (n - rest) * rest / (n * shown);
    return (mr_trade){f->relevance / f->users, 1 - (gini - best) / (1 - f->k / n - best)};
}

static void note(mr_frontier *f, bool last)
{
    if (!last && f->steps++ % f->stride != 0)
        return;
    if (f->point_count == MR_FRONTIER_POINTS - 1 && !last) { // one is left for the last
        f->stride *= 2;
        for (uint32_t i = 0; 2 * i < f->point_count; i++)
            f->points[i] = f->points[2 * i];
        f->point_count = (f->point_count + 1) / 2;
        if ((f->steps - 1) % f->stride != 0)
            return;
    }
    f->points[f->point_count++] = point_of(f);
}

// Another item comes into a list; relevant ones stay in front.
static void replace(mr_frontier *f, uint32_t user, uint32_t at, uint32_t item)
{
    const bool was = at < f->front[user], is = is_relevant(f, user, item);
    f->relevance -= ndcg_of(f, user);
    (void)take(f, user, at);
    if (was && !is) { // relevant ones behind it move up, the new one goes behind them
        for (; at + 1 < f->front[user]; at++)
            put(f, user, at, take(f, user, at + 1));
        f->front[user]--;
    } else if (!was && is) {
        for (; at > f->front[user]; at--)
            put(f, user, at, take(f, user, at - 1));
        f->front[user]++;
    }
    put(f, user, at, item);
    f->relevance += ndcg_of(f, user);
}

// The item leaves the first of its places, from behind, where one comes in that is shown less by
// two and more. There is one as long as the least shown is: it stands in fewer lists.
static bool step(mr_frontier *f)
{
    const uint32_t item = f->levels[f->most] - 1;
    if (f->most - f->least < 2)
        return false;
    for (uint32_t at = f->k; at-- > 0;)
        for (uint32_t p = f->stands[(size_t)item * f->k + at]; p != 0; p = f->places[p - 1].next) {
            double below;
            const uint32_t user = (p - 1) / f->k, other = least_shown(f, user, f->k, &below);
            if (other == NONE || f->of[other].count + 1 >= f->most)
                continue;
            replace(f, user, at, other);
            count_up(f, other, below);
            count_down(f, item);
            return true;
        }
    return false;
}

void mr_frontier_walk(mr_frontier *f, uint32_t users, uint32_t items, uint32_t k,
                      const uint32_t *first, const uint32_t *relevant, mr_arena *arena)
{
    *f = (mr_frontier){.users = users,
                       .items = items,
                       .k = k,
                       .first = first,
                       .relevant = relevant,
                       .stride = 1};
    MR_ASSERT(k > 0 && k <= MR_FRONTIER_PLACES_MAX);
    if (users < 2 || items <= k)
        return;
    push_all(f, arena);
    begin_at_oracle(f);
    do
        note(f, false);
    while (step(f));
    note(f, true);
    f->point_count = mr_pareto_order(f->points, f->point_count);
}
