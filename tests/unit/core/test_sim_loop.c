// SPDX-License-Identifier: Apache-2.0
// Users and engine in a closed loop: what is learned lies between popularity and the oracle, and
// the same seed gives the same bytes.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/sim/loop.h"

enum { USERS = 300, ITEMS = 300, MINUTE = 60000, HOUR = 60 * MINUTE };

typedef struct running {
    mr_loop loop;
    void *memory;
    size_t bytes;
} running;

static mr_loop_config small(mr_loop_policy policy)
{
    mr_loop_config config = {.world = mr_world_days(),
                             .engine = mr_engine_defaults(),
                             .policy = policy,
                             .k = 10,
                             .tick_ms = 10000,
                             .oracle_every = 4};
    config.world.users = USERS;
    config.world.items = ITEMS;
    config.engine.tasks = 2;
    config.engine.items_max = ITEMS;
    config.engine.users_max = 1024;
    config.engine.dedup_events_max = 1 << 14;
    config.engine.list_k = 10;
    config.engine.probe_every = 8;
    return config;
}

static void begin(running *r, const mr_loop_config *config)
{
    mr_error err = {0};
    if (mr_loop_bytes(config, &r->bytes, &err) != MR_OK)
        fail_msg("%s", err.text);
    r->memory = aligned_alloc(64, r->bytes);
    assert_non_null(r->memory);
    memset(r->memory, 0, r->bytes);
    if (mr_loop_init(&r->loop, config, r->memory, &err) != MR_OK)
        fail_msg("%s", err.text);
}

static void go(running *r, int64_t until_ms)
{
    mr_error err = {0};
    if (mr_loop_run(&r->loop, until_ms, &err) != MR_OK)
        fail_msg("%s", err.text);
}

static void end(running *r)
{
    free(r->memory);
}

// Clicks a list of each user, and in all; paired by user at three standard errors.
static double rate_of(const mr_loop_person *p)
{
    return p->lists > 0 ? (double)p->clicks / (double)p->lists : 0;
}

static void assert_more(const running *more, const running *less)
{
    double sum = 0, squares = 0;
    for (uint32_t u = 0; u < USERS; u++) {
        const mr_loop_person *a = &more->loop.people[u], *b = &less->loop.people[u];
        if (a->lists == 0 || b->lists == 0)
            continue;
        const double left = rate_of(a) - rate_of(b);
        sum += left;
        squares += left * left;
    }
    assert_true(sum > 0 && sum * sum > 9 * squares);
}

static void learning_lies_between_popularity_and_the_oracle(void **state)
{
    (void)state;
    static const mr_loop_policy order[] = {MR_LOOP_RANDOM, MR_LOOP_POPULARITY, MR_LOOP_LEARNED,
                                           MR_LOOP_ORACLE};
    running runs[4];
    for (int i = 0; i < 4; i++) {
        const mr_loop_config config = small(order[i]);
        begin(&runs[i], &config);
        go(&runs[i], 48 * HOUR);
    }
    for (int i = 0; i < 4; i++) {
        const mr_loop_sums *s = &runs[i].loop.sums;
        print_message("%-12s %7.0f lists, %.4f clicks a list, expected %.4f of the oracle's %.4f\n",
                      mr_loop_policy_names[order[i]], (double)s->lists,
                      (double)s->clicks / (double)s->lists, s->expected / (double)s->against,
                      s->oracle / (double)s->against);
    }
    for (int i = 1; i < 4; i++)
        assert_more(&runs[i], &runs[i - 1]);
    for (int i = 0; i < 4; i++) {
        const mr_loop_sums *s = &runs[i].loop.sums;
        assert_true(s->against > 100 && s->expected <= s->oracle * 1.000001);
        end(&runs[i]);
    }
}

static void every_click_has_a_list_and_every_purchase_a_cart(void **state)
{
    (void)state;
    const mr_loop_config config = small(MR_LOOP_LEARNED);
    running r;
    begin(&r, &config);
    go(&r, 12 * HOUR);
    const mr_loop_sums *s = &r.loop.sums;
    uint64_t lists = 0, shown = 0, clicks = 0, by_item = 0;
    for (uint32_t u = 0; u < USERS; u++) {
        const mr_loop_person *p = &r.loop.people[u];
        assert_true(p->clicks <= p->shown && p->shown <= p->lists * 10);
        assert_int_equal(p->lists, r.loop.world.users[u].visits);
        lists += p->lists;
        shown += p->shown;
        clicks += p->clicks;
    }
    for (uint32_t i = 0; i < ITEMS; i++)
        by_item += r.loop.clicks[i];
    assert_true(s->lists == lists && s->shown == shown && s->clicks == clicks);
    assert_int_equal(by_item, s->clicks + s->finds);
    assert_true(s->purchases <= s->carts && s->carts <= s->clicks && s->purchases > 0);
    assert_true(s->late > 0 && s->other > 0 && s->published > 0);
    // The engine was told of everything but what is still to come, and refused nothing.
    uint64_t late = 0, learned = 0;
    for (uint32_t u = 0; u < USERS; u++)
        late += r.loop.people[u].late_count;
    for (uint32_t t = 0; t < config.engine.tasks; t++)
        learned += mr_engine_task(r.loop.engine, t).counters.learned;
    assert_int_equal(learned, ITEMS + lists + clicks + s->finds + s->carts + s->purchases - late);
    end(&r);
}

// Where lists are drawn evenly, an item and its twin are shown equally often from its birth on.
static void by_chance_an_item_is_shown_as_often_as_its_twin(void **state)
{
    (void)state;
    mr_loop_config config = small(MR_LOOP_RANDOM);
    running r;
    config.world.late_share = 0.2;
    config.world.late_ms = 12 * HOUR;
    config.world.twins = true;
    begin(&r, &config);
    go(&r, 48 * HOUR);
    double shown = 0, of_twins = 0;
    for (uint32_t i = 0; i < ITEMS; i++) {
        const uint32_t twin = r.loop.world.items[i].twin;
        if (twin == MR_WORLD_NONE)
            continue;
        shown += r.loop.shown[i];
        of_twins += r.loop.shown[twin] - r.loop.twins[i].at_birth;
    }
    assert_true(shown > 1000);
    // Both counts are nearly Poisson.
    assert_true((shown - of_twins) * (shown - of_twins) < 16 * (shown + of_twins));
    end(&r);
}

static bool same(const running *a, const running *b)
{
    const mr_hash128 x = mr_loop_state_hash(&a->loop), y = mr_loop_state_hash(&b->loop);
    return x.low == y.low && x.high == y.high &&
           memcmp(&a->loop.sums, &b->loop.sums, sizeof a->loop.sums) == 0 &&
           memcmp(a->loop.world.users, b->loop.world.users,
                  USERS * sizeof *a->loop.world.users) == 0;
}

static void the_same_seed_gives_the_same_state_and_another_one_another(void **state)
{
    (void)state;
    mr_loop_config config = small(MR_LOOP_LEARNED);
    running a, b, c;
    begin(&a, &config);
    begin(&b, &config);
    go(&a, 6 * HOUR);
    for (int64_t at = HOUR; at <= 6 * HOUR; at += HOUR) // in pieces
        go(&b, at);
    assert_true(same(&a, &b));
    config.world.seed++;
    begin(&c, &config);
    go(&c, 6 * HOUR);
    assert_false(same(&a, &c));
    end(&a);
    end(&b);
    end(&c);
}

static void a_copy_put_back_goes_on_from_there(void **state)
{
    (void)state;
    const mr_loop_config config = small(MR_LOOP_LEARNED);
    running r, straight;
    begin(&r, &config);
    begin(&straight, &config);
    go(&straight, 6 * HOUR);
    go(&r, 3 * HOUR);
    void *copy = malloc(r.bytes);
    assert_non_null(copy);
    memcpy(copy, r.memory, r.bytes);
    const mr_loop then = r.loop;
    go(&r, 9 * HOUR);
    assert_false(same(&r, &straight));
    memcpy(r.memory, copy, r.bytes);
    r.loop = then;
    go(&r, 6 * HOUR);
    assert_true(same(&r, &straight));
    free(copy);
    end(&r);
    end(&straight);
}

// Of places that items get before anybody has clicked them: how many are before the community that
// they are most for, over a few worlds.
static double at_home(bool described, double *chance)
{
    static const mr_setting settings[] = {{"content", "dim", 16}};
    double early = 0, home = 0;
    *chance = 0;
    for (uint32_t seed = 1; seed <= 6; seed++) {
        mr_loop_config config = small(MR_LOOP_LEARNED);
        config.world.seed = seed;
        config.world.late_share = 0.4;
        config.world.late_ms = 48 * HOUR;
        config.content = true;
        config.noise = 0.5;
        config.engine.settings = settings;
        config.engine.setting_count = described ? 1 : 0;
        running r;
        begin(&r, &config);
        go(&r, 48 * HOUR);
        early += (double)r.loop.sums.early;
        home += (double)r.loop.sums.early_home;
        *chance += r.loop.sums.early_chance;
        end(&r);
    }
    *chance /= early;
    return home / early;
}

static void content_brings_a_new_item_home_before_its_first_click(void **state)
{
    (void)state;
    double chance[2];
    const double without = at_home(false, &chance[0]), with = at_home(true, &chance[1]);
    print_message("before its own community: %.3f without content (by chance %.3f), %.3f with "
                  "(%.3f)\n",
                  without, chance[0], with, chance[1]);
    assert_true(with > 1.2 * without && with > 3 * chance[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_chance_an_item_is_shown_as_often_as_its_twin),
        cmocka_unit_test(learning_lies_between_popularity_and_the_oracle),
        cmocka_unit_test(every_click_has_a_list_and_every_purchase_a_cart),
        cmocka_unit_test(the_same_seed_gives_the_same_state_and_another_one_another),
        cmocka_unit_test(content_brings_a_new_item_home_before_its_first_click),
        cmocka_unit_test(a_copy_put_back_goes_on_from_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
