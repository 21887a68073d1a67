// SPDX-License-Identifier: Apache-2.0
// The walk, against one that looks at everything anew in each step.
#include "small.h"

#include <stdlib.h>
#include <string.h>

#include "worker/measure/fairness.h"
#include "worker/measure/frontier.h"
#include "worker/measure/relevance.h"

enum { USERS_MAX = 40, ITEMS_MAX = 30, K_MAX = 5, RELEVANT_MAX = 8, POINTS_MAX = 4096 };

typedef struct slow {
    uint32_t users, items, k;
    const uint32_t *first, *relevant;
    uint32_t lists[USERS_MAX][K_MAX], placed[USERS_MAX][K_MAX], listed[USERS_MAX];
    uint32_t counts[ITEMS_MAX], counted[ITEMS_MAX], stamp;
    mr_trade points[POINTS_MAX];
    uint32_t point_count;
} slow;

static bool has(const slow *s, uint32_t user, uint32_t item)
{
    for (uint32_t at = 0; at < s->listed[user]; at++)
        if (s->lists[user][at] == item)
            return true;
    return false;
}

static bool wants(const slow *s, uint32_t user, uint32_t item)
{
    for (uint32_t r = s->first[user]; r < s->first[user + 1]; r++)
        if (s->relevant[r] == item)
            return true;
    return false;
}

static void note(slow *s)
{
    double relevance = 0, counts[ITEMS_MAX];
    mr_sorted scratch[ITEMS_MAX];
    for (uint32_t u = 0; u < s->users; u++) {
        double dcg = 0, best = 0;
        const uint32_t wanted = s->first[u + 1] - s->first[u];
        for (uint32_t at = 0; at < s->k; at++) {
            dcg += wants(s, u, s->lists[u][at]) ? 1 / log2(at + 2) : 0;
            best += at < wanted ? 1 / log2(at + 2) : 0;
        }
        relevance += dcg / best;
    }
    for (uint32_t i = 0; i < s->items; i++)
        counts[i] = s->counts[i];
    assert_true(s->point_count < POINTS_MAX);
    const mr_fairness fairness = mr_fairness_of(counts, s->items, s->users, scratch);
    s->points[s->point_count++] =
        (mr_trade){relevance / s->users, 1 - fairness.corrected.gini};
}

static void change(slow *s, uint32_t item, int by)
{
    s->counts[item] = (uint32_t)((int)s->counts[item] + by);
    s->counted[item] = ++s->stamp;
}

static uint32_t least_shown(const slow *s, uint32_t user)
{
    uint32_t least = UINT32_MAX;
    for (uint32_t i = 0; i < s->items; i++)
        if (!has(s, user, i) &&
            (least == UINT32_MAX || s->counts[i] < s->counts[least] ||
             (s->counts[i] == s->counts[least] && s->counted[i] > s->counted[least])))
            least = i;
    return least;
}

static void begin(slow *s)
{
    for (uint32_t i = s->items; i-- > 0;)
        s->counted[i] = ++s->stamp;
    for (uint32_t u = 0; u < s->users; u++)
        while (s->listed[u] < s->k && s->listed[u] < s->first[u + 1] - s->first[u]) {
            uint32_t least = UINT32_MAX;
            for (uint32_t r = s->first[u]; r < s->first[u + 1]; r++)
                if (!has(s, u, s->relevant[r]) &&
                    (least == UINT32_MAX || s->counts[s->relevant[r]] < s->counts[least]))
                    least = s->relevant[r];
            s->placed[u][s->listed[u]] = ++s->stamp;
            s->lists[u][s->listed[u]++] = least;
            change(s, least, 1);
        }
    for (uint32_t u = 0; u < s->users; u++)
        while (s->listed[u] < s->k) {
            const uint32_t item = least_shown(s, u);
            s->placed[u][s->listed[u]] = ++s->stamp;
            s->lists[u][s->listed[u]++] = item;
            change(s, item, 1);
        }
}

static void set(slow *s, uint32_t user, uint32_t at, uint32_t item)
{
    s->lists[user][at] = item;
    s->placed[user][at] = ++s->stamp;
}

static void replace(slow *s, uint32_t user, uint32_t at, uint32_t item)
{
    uint32_t *list = s->lists[user];
    if (wants(s, user, list[at]) && !wants(s, user, item)) {
        for (; at + 1 < s->k && wants(s, user, list[at + 1]); at++)
            set(s, user, at, list[at + 1]);
    } else if (!wants(s, user, list[at]) && wants(s, user, item)) {
        for (; at > 0 && !wants(s, user, list[at - 1]); at--)
            set(s, user, at, list[at - 1]);
    }
    set(s, user, at, item);
}

static bool step(slow *s)
{
    uint32_t most = 0, user = UINT32_MAX, place = 0, other = UINT32_MAX;
    for (uint32_t i = 1; i < s->items; i++)
        if (s->counts[i] > s->counts[most] ||
            (s->counts[i] == s->counts[most] && s->counted[i] > s->counted[most]))
            most = i;
    for (uint32_t u = 0; u < s->users; u++)
        for (uint32_t at = 0; at < s->k; at++)
            if (s->lists[u][at] == most && s->counts[least_shown(s, u)] + 1 < s->counts[most] &&
                (user == UINT32_MAX || at > place ||
                 (at == place && s->placed[u][at] > s->placed[user][place]))) {
                user = u;
                place = at;
                other = least_shown(s, u);
            }
    if (user == UINT32_MAX)
        return false;
    replace(s, user, place, other);
    change(s, other, 1);
    change(s, most, -1);
    return true;
}

typedef struct problem {
    uint32_t users, items, k, first[USERS_MAX + 1], relevant[USERS_MAX * RELEVANT_MAX];
} problem;

static problem draw_problem(mr_rng *rng)
{
    problem p = {.users = 2 + mr_rng_below(rng, USERS_MAX - 1), .k = 1 + mr_rng_below(rng, K_MAX)};
    p.items = p.k + 1 + mr_rng_below(rng, ITEMS_MAX - p.k);
    for (uint32_t u = 0; u < p.users; u++) {
        uint32_t count = 0;
        for (uint32_t i = 0; i < p.items && count < RELEVANT_MAX; i++) // low numbers are popular
            if (mr_rng_below(rng, 2 + i / 2) == 0)
                p.relevant[p.first[u] + count++] = i;
        if (count == 0)
            p.relevant[p.first[u] + count++] = p.items - 1;
        p.first[u + 1] = p.first[u] + count;
    }
    return p;
}

static mr_frontier walk(const problem *p, void **memory)
{
    mr_arena arena;
    mr_frontier frontier;
    const size_t bytes = mr_frontier_bytes(p->users, p->items, p->k);
    *memory = aligned_alloc(MR_ARENA_ALIGN, bytes);
    assert_non_null(*memory);
    memset(*memory, 0, bytes);
    mr_arena_init(&arena, *memory, bytes);
    mr_frontier_walk(&frontier, p->users, p->items, p->k, p->first, p->relevant, &arena);
    return frontier;
}

static void random_walks_go_where_one_goes_that_looks_at_everything(void **state)
{
    (void)state;
    static slow s;
    mr_rng rng = draws_of(6);
    uint32_t steps = 0;
    for (uint32_t round = 0; round < 300; round++) {
        void *memory;
        const problem p = draw_problem(&rng);
        mr_frontier frontier = walk(&p, &memory);
        s = (slow){.users = p.users,
                   .items = p.items,
                   .k = p.k,
                   .first = p.first,
                   .relevant = p.relevant};
        begin(&s);
        do
            note(&s);
        while (step(&s));
        note(&s);
        steps += s.point_count - 2;
        const uint32_t count = mr_pareto_order(s.points, s.point_count);
        assert_int_equal(frontier.point_count, count);
        for (uint32_t i = 0; i < count; i++) {
            near(frontier.points[i].relevance, s.points[i].relevance, 1e-9);
            near(frontier.points[i].fairness, s.points[i].fairness, 1e-9);
        }
        free(memory);
    }
    assert_true(steps > 1500);
}

static void two_users_who_want_the_same_can_be_served_or_the_items(void **state)
{
    (void)state;
    void *memory;
    const problem p = {.users = 2, .items = 2, .k = 1, .first = {0, 1, 2}, .relevant = {0, 0}};
    const mr_frontier frontier = walk(&p, &memory);
    assert_int_equal(frontier.point_count, 2);
    near(frontier.points[0].relevance, 1, 0);
    near(frontier.points[0].fairness, 0, 1e-12);
    near(frontier.points[1].relevance, .5, 1e-12);
    near(frontier.points[1].fairness, 1, 1e-12);
    free(memory);
}

static void it_leads_from_the_oracle_to_items_that_are_shown_alike(void **state)
{
    (void)state;
    mr_rng rng = draws_of(2);
    for (uint32_t round = 0; round < 100; round++) {
        void *memory;
        const problem p = draw_problem(&rng);
        const mr_frontier frontier = walk(&p, &memory);
        near(frontier.points[0].relevance, 1, 1e-12);
        for (uint32_t i = 1; i < frontier.point_count; i++)
            assert_true(frontier.points[i].relevance < frontier.points[i - 1].relevance &&
                        frontier.points[i].fairness <= 1 + 1e-12);
        near(frontier.points[frontier.point_count - 1].fairness, 1, 1e-9);
        free(memory);
    }
}

static void long_walks_are_thinned_and_keep_their_ends(void **state)
{
    (void)state;
    enum { USERS = 6000, ITEMS = 50, K = 2 };
    static uint32_t first[USERS + 1], relevant[USERS];
    mr_arena arena;
    mr_frontier frontier;
    const size_t bytes = mr_frontier_bytes(USERS, ITEMS, K);
    void *memory = aligned_alloc(MR_ARENA_ALIGN, bytes);
    assert_non_null(memory);
    memset(memory, 0, bytes);
    for (uint32_t u = 0; u < USERS; u++)
        first[u + 1] = u + 1; // all want item 0
    mr_arena_init(&arena, memory, bytes);
    mr_frontier_walk(&frontier, USERS, ITEMS, K, first, relevant, &arena);
    assert_true(frontier.steps > 4 * MR_FRONTIER_POINTS);
    assert_in_range(frontier.point_count, MR_FRONTIER_POINTS / 4, MR_FRONTIER_POINTS);
    near(frontier.points[0].relevance, 1, 1e-9);
    // Item 0 is in 240 of 12,000 places at the end.
    near(frontier.points[frontier.point_count - 1].relevance, 240.0 / USERS, 1e-9);
    near(frontier.points[frontier.point_count - 1].fairness, 1, 1e-9);
    free(memory);
}

static void there_is_no_frontier_without_a_choice(void **state)
{
    (void)state;
    void *memory;
    const problem all = {.users = 2, .items = 2, .k = 2, .first = {0, 1, 2}, .relevant = {0, 0}};
    assert_int_equal(walk(&all, &memory).point_count, 0);
    free(memory);
    const problem one = {.users = 1, .items = 2, .k = 1, .first = {0, 1}, .relevant = {0}};
    assert_int_equal(walk(&one, &memory).point_count, 0);
    free(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_walks_go_where_one_goes_that_looks_at_everything),
        cmocka_unit_test(two_users_who_want_the_same_can_be_served_or_the_items),
        cmocka_unit_test(it_leads_from_the_oracle_to_items_that_are_shown_alike),
        cmocka_unit_test(long_walks_are_thinned_and_keep_their_ends),
        cmocka_unit_test(there_is_no_frontier_without_a_choice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
