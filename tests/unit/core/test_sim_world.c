// SPDX-License-Identifier: Apache-2.0
// The simulated users do what their formulas say: rates are compared with the truth that the world
// keeps, at three standard errors.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/vec.h"
#include "core/sim/world.h"

enum { K = 10, USERS = 400, ITEMS = 150 };

static mr_world make(const mr_world_config *config)
{
    mr_world world;
    void *memory = aligned_alloc(64, mr_world_bytes(config));
    assert_non_null(memory);
    memset(memory, 0xa5, mr_world_bytes(config)); // nothing may be taken from what was there
    mr_world_init(&world, config, memory);
    return world;
}

static void drop(mr_world *world)
{
    free(world->items); // the first of the block
}

// Users without moods, who buy what they click, at once.
static mr_world_config small(void)
{
    mr_world_config config = mr_world_defaults();
    config.users = USERS;
    config.items = ITEMS;
    config.bored = config.return_ms = config.later = config.other = 0;
    return config;
}

static uint32_t clicks_in(const mr_world_act *acts, uint32_t count)
{
    uint32_t clicks = 0;
    for (uint32_t i = 0; i < count; i++)
        clicks += acts[i].kind == MR_EVENT_CLICK;
    return clicks;
}

// |sum| of n differences whose squares sum to `squares` is below three standard errors.
static void assert_is_noise(double sum, double squares)
{
    assert_true(squares > 0);
    assert_true(sum * sum < 9 * squares);
}

static void random_items_shown_alone_get_the_mean_click_probability(void **state)
{
    (void)state;
    mr_world_config config = small();
    config.fatigue = 0;
    config.late_share = 0;
    mr_world world = make(&config);
    mr_world_act acts[MR_WORLD_ACTS_MAX];
    double clicks = 0, expected = 0, variance = 0;
    for (uint32_t u = 0; u < config.users; u++) {
        double mean = 0;
        for (uint32_t i = 0; i < config.items; i++)
            mean += mr_sigmoid(mr_world_utility(&world, u, i)) / config.items;
        for (uint32_t visit = 0; visit < 100; visit++) {
            uint32_t item;
            // What he liked before is shown again: the draw is even over all items.
            memset(world.users[u].liked, 0xff, sizeof world.users[u].liked);
            assert_int_equal(mr_world_random(&world, u, config.items, &item, 1), 1);
            clicks += clicks_in(acts, mr_world_visit(&world, u, &item, 1, acts));
            expected += mean;
            variance += mean * (1 - mean);
        }
    }
    assert_true(clicks > 100);
    assert_is_noise(clicks - expected, variance);
    drop(&world);
}

static void each_place_of_random_lists_gets_the_clicks_that_are_expected(void **state)
{
    (void)state;
    const mr_world_config config = small();
    mr_world world = make(&config);
    mr_world_act acts[MR_WORLD_ACTS_MAX];
    double sums[K + 1] = {0}, squares[K + 1] = {0};
    for (uint32_t visit = 0; visit < 100; visit++)
        for (uint32_t u = 0; u < config.users; u++) {
            uint32_t slate[K];
            double p[K], left[K + 1];
            assert_int_equal(mr_world_random(&world, u, config.items, slate, K), K);
            left[K] = -mr_world_expect(&world, u, slate, K, p);
            for (uint32_t i = 0; i < K; i++)
                left[i] = -p[i];
            const uint32_t count = mr_world_visit(&world, u, slate, K, acts);
            for (uint32_t a = 0; a < count; a++)
                left[acts[a].place] += acts[a].kind == MR_EVENT_CLICK;
            left[K] += clicks_in(acts, count);
            for (uint32_t i = 0; i <= K; i++) {
                sums[i] += left[i];
                squares[i] += left[i] * left[i];
            }
        }
    for (uint32_t i = 0; i <= K; i++)
        assert_is_noise(sums[i], squares[i]);
    drop(&world);
}

static void the_second_place_is_seen_if_the_first_did_not_end_the_visit(void **state)
{
    (void)state;
    const mr_world_config config = small();
    mr_world world = make(&config);
    const uint32_t slate[2] = {3, 4};
    double p[2];
    const double a = mr_sigmoid(mr_world_utility(&world, 0, 3));
    const double b = mr_sigmoid(mr_world_utility(&world, 0, 4));
    const double sum = mr_world_expect(&world, 0, slate, 2, p);
    assert_true(p[0] == a);
    assert_true(p[1] > 0.999999 * 0.85 * (1 - 0.35 * a) * b);
    assert_true(p[1] < 1.000001 * 0.85 * (1 - 0.35 * a) * b);
    assert_true(sum == p[0] + p[1]);
    drop(&world);
}

// ---- policies

typedef uint32_t policy(const mr_world *world, const uint32_t *clicks, uint32_t user,
                        uint32_t *slate);

static uint32_t show_oracle(const mr_world *world, const uint32_t *clicks, uint32_t user,
                            uint32_t *slate)
{
    (void)clicks;
    return mr_world_oracle(world, user, world->config.items, slate, K);
}

static uint32_t show_random(const mr_world *world, const uint32_t *clicks, uint32_t user,
                            uint32_t *slate)
{
    (void)clicks;
    return mr_world_random(world, user, world->config.items, slate, K);
}

static uint32_t show_popular(const mr_world *world, const uint32_t *clicks, uint32_t user,
                             uint32_t *slate)
{
    uint32_t count = 0;
    bool taken[ITEMS] = {false};
    assert_true(world->config.items <= ITEMS);
    while (count < K) {
        uint32_t best = MR_WORLD_NONE;
        for (uint32_t i = 0; i < world->config.items; i++)
            if (!taken[i] && (best == MR_WORLD_NONE || clicks[i] > clicks[best]))
                best = i;
        taken[best] = true;
        if (!mr_world_liked(world, user, best))
            slate[count++] = best;
    }
    return count;
}

// Clicks of each user, and on each item, in `visits` visits.
static void run(const mr_world_config *config, policy *show, uint32_t visits, double *by_user,
                uint32_t *clicks)
{
    mr_world world = make(config);
    mr_world_act acts[MR_WORLD_ACTS_MAX];
    memset(by_user, 0, config->users * sizeof *by_user);
    for (uint32_t visit = 0; visit < visits; visit++)
        for (uint32_t u = 0; u < config->users; u++) {
            uint32_t slate[K];
            const uint32_t count = show(&world, clicks, u, slate);
            const uint32_t act_count = mr_world_visit(&world, u, slate, count, acts);
            by_user[u] += clicks_in(acts, act_count);
            for (uint32_t a = 0; a < act_count; a++)
                clicks[acts[a].item] += acts[a].kind == MR_EVENT_CLICK;
        }
    drop(&world);
}

static void assert_more(const double *more, const double *less, uint32_t users)
{
    double sum = 0, squares = 0;
    for (uint32_t u = 0; u < users; u++) {
        sum += more[u] - less[u];
        squares += (more[u] - less[u]) * (more[u] - less[u]);
    }
    assert_true(sum > 0 && sum * sum > 9 * squares); // paired by user
}

// What is popular is learned where every item has the same chance: alone, popularity would go on
// with whatever was clicked first. And users come a few times only: the more of the popular items
// they have clicked, the more of those that are left are not for them.
static void an_oracle_beats_popularity_and_popularity_beats_chance(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        mr_world_config config = small();
        double oracle[USERS], popular[USERS], random[USERS];
        uint32_t clicks[ITEMS] = {0}, ignored[ITEMS] = {0};
        config.seed = seed;
        run(&config, show_random, 30, random, clicks);
        run(&config, show_random, 4, random, ignored);
        run(&config, show_popular, 4, popular, clicks);
        run(&config, show_oracle, 4, oracle, ignored);
        assert_more(oracle, popular, config.users);
        assert_more(popular, random, config.users);
    }
}

// ---- bytes

static void visit_all(mr_world *world, bool backwards)
{
    mr_world_act acts[MR_WORLD_ACTS_MAX];
    for (uint32_t visit = 0; visit < 20; visit++)
        for (uint32_t n = 0; n < world->config.users; n++) {
            const uint32_t u = backwards ? world->config.users - 1 - n : n;
            uint32_t slate[K];
            const uint32_t count = mr_world_random(world, u, world->config.items, slate, K);
            mr_world_visit(world, u, slate, count, acts);
        }
}

static bool same(const mr_world *a, const mr_world *b)
{
    bool equal = true;
    for (uint32_t u = 0; u < a->config.users; u++) {
        equal = equal && memcmp(a->users[u].rho, b->users[u].rho, sizeof a->users[u].rho) == 0 &&
                memcmp(a->users[u].liked, b->users[u].liked, sizeof a->users[u].liked) == 0 &&
                a->users[u].liked_count == b->users[u].liked_count &&
                mr_world_gap_ms(a, u) == mr_world_gap_ms(b, u);
    }
    for (uint32_t i = 0; i < a->config.items; i++)
        equal = equal && memcmp(&a->items[i], &b->items[i], sizeof a->items[i]) == 0;
    return equal;
}

static void equal_seeds_give_equal_worlds_in_any_order_of_users(void **state)
{
    (void)state;
    mr_world_config config = small();
    mr_world a = make(&config), b = make(&config);
    visit_all(&a, false);
    visit_all(&b, true);
    assert_true(same(&a, &b));
    config.seed++;
    mr_world c = make(&config);
    visit_all(&c, false);
    assert_false(same(&a, &c));
    drop(&a);
    drop(&b);
    drop(&c);
}

// ---- what is made

static void mixtures_add_up_and_the_category_is_the_strongest_theme(void **state)
{
    (void)state;
    mr_world_config config = small();
    mr_world world = make(&config);
    for (uint32_t i = 0; i < config.items; i++) {
        const mr_world_item *item = &world.items[i];
        double sum = 0;
        for (uint32_t t = 0; t < config.themes; t++) {
            sum += (double)item->alpha[t];
            assert_true(item->alpha[t] <= item->alpha[item->category]);
        }
        assert_true(sum > 0.9999 && sum < 1.0001);
        assert_in_range(item->cents, 400, 12000);
    }
    for (uint32_t u = 0; u < config.users; u++) {
        double sum = 0;
        for (uint32_t t = 0; t < config.themes; t++)
            sum += (double)world.users[u].rho[t];
        assert_true(sum > 0.9999 && sum < 1.0001);
        assert_true(world.users[u].community < config.communities);
    }
    drop(&world);
}

static void members_of_a_community_are_more_alike_than_others(void **state)
{
    (void)state;
    mr_world_config config = small();
    mr_world world = make(&config);
    double sums[2] = {0}, counts[2] = {0};
    for (uint32_t a = 0; a < config.users; a++)
        for (uint32_t b = 0; b < a; b++) {
            const mr_world_user *x = &world.users[a], *y = &world.users[b];
            const uint32_t alike = x->community == y->community;
            for (uint32_t t = 0; t < config.themes; t++)
                sums[alike] += (double)x->rho[t] * (double)y->rho[t];
            counts[alike]++;
        }
    assert_true(sums[1] / counts[1] > 1.5 * sums[0] / counts[0]);
    drop(&world);
}

static void items_are_numbered_in_order_of_their_birth(void **state)
{
    (void)state;
    mr_world_config config = small(); // 150 items, 15 of them late
    mr_world world = make(&config);
    assert_int_equal(mr_world_live(&world, 0), 135);
    for (uint32_t i = 135; i < 150; i++) {
        const int64_t born = world.items[i].born_ms;
        assert_true(born > world.items[i - 1].born_ms && born < config.late_ms);
        assert_int_equal(mr_world_live(&world, born - 1), i);
        assert_int_equal(mr_world_live(&world, born), i + 1);
    }
    drop(&world);
}

static void the_smallest_world_has_a_user_an_item_and_a_theme(void **state)
{
    (void)state;
    mr_world_config config = mr_world_defaults();
    config.users = config.items = config.themes = config.communities = 1;
    mr_world world = make(&config);
    uint32_t slate[K];
    assert_int_equal(mr_world_random(&world, 0, 1, slate, K), 1);
    assert_int_equal(mr_world_oracle(&world, 0, 1, slate, K), 1);
    assert_int_equal(mr_world_oracle(&world, 0, 0, slate, K), 0);
    assert_int_equal(mr_world_random(&world, 0, 0, slate, K), 0);
    assert_true(mr_world_gap_ms(&world, 0) >= 1);
    drop(&world);
}

// ---- a user's memory

static void an_item_shown_in_vain_tires_and_recovers_after_three_lists(void **state)
{
    (void)state;
    mr_world_config config = small();
    config.base = -100; // nobody clicks
    mr_world world = make(&config);
    mr_world_act acts[MR_WORLD_ACTS_MAX];
    const uint32_t item = 7, other = 8;
    const double fresh = mr_world_utility(&world, 0, item);
    for (uint32_t n = 1; n <= 5; n++) {
        assert_int_equal(mr_world_visit(&world, 0, &item, 1, acts), 0);
        const double lost = fresh - mr_world_utility(&world, 0, item);
        const double wanted = config.fatigue * (1 - 1.0 / (1 << (n < 3 ? n : 3)));
        assert_true(lost > wanted - 1e-9 && lost < wanted + 1e-9);
    }
    for (uint32_t n = 0; n < MR_WORLD_LISTS; n++)
        mr_world_visit(&world, 0, &other, 1, acts);
    assert_true(mr_world_utility(&world, 0, item) == fresh);
    drop(&world);
}

static void a_clicked_item_does_not_tire_and_is_remembered_until_24_others_came(void **state)
{
    (void)state;
    mr_world_config config = small();
    config.base = 100; // everybody clicks
    mr_world world = make(&config);
    mr_world_act acts[MR_WORLD_ACTS_MAX];
    const double fresh = mr_world_utility(&world, 0, 0);
    for (uint32_t item = 0; item < MR_WORLD_LIKED; item++) {
        assert_int_equal(mr_world_visit(&world, 0, &item, 1, acts), 3);
        assert_int_equal(acts[0].kind, MR_EVENT_CLICK);
        assert_int_equal(acts[1].kind, MR_EVENT_CART);
        assert_int_equal(acts[2].kind, MR_EVENT_PURCHASE);
        assert_int_equal(acts[2].quantity, acts[1].quantity);
    }
    assert_true(mr_world_utility(&world, 0, 0) == fresh - config.sated);
    assert_true(mr_world_liked(&world, 0, 0));
    const uint32_t next = MR_WORLD_LIKED;
    mr_world_visit(&world, 0, &next, 1, acts);
    assert_false(mr_world_liked(&world, 0, 0));
    assert_true(mr_world_utility(&world, 0, 0) == fresh);
    assert_true(mr_world_liked(&world, 0, 1));
    assert_true(mr_world_liked(&world, 0, next));
    drop(&world);
}

static void lists_hold_different_items_that_exist_and_are_not_liked_yet(void **state)
{
    (void)state;
    mr_world_config config = small();
    config.base = 2; // many clicks
    mr_world world = make(&config);
    mr_world_act acts[MR_WORLD_ACTS_MAX];
    for (uint32_t visit = 0; visit < 40; visit++) {
        uint32_t slates[2][K];
        assert_int_equal(mr_world_random(&world, 5, 60, slates[0], K), K);
        assert_int_equal(mr_world_oracle(&world, 5, 60, slates[1], K), K);
        for (uint32_t s = 0; s < 2; s++)
            for (uint32_t i = 0; i < K; i++) {
                assert_true(slates[s][i] < 60);
                assert_false(mr_world_liked(&world, 5, slates[s][i]));
                for (uint32_t j = 0; j < i; j++)
                    assert_int_not_equal(slates[s][i], slates[s][j]);
            }
        for (uint32_t i = 1; i < K; i++)
            assert_true(mr_world_utility(&world, 5, slates[1][i - 1]) >=
                        mr_world_utility(&world, 5, slates[1][i]));
        mr_world_visit(&world, 5, slates[visit % 2], K, acts);
    }
    drop(&world);
}

static void users_find_items_of_their_own_taste_by_themselves(void **state)
{
    (void)state;
    mr_world_config config = small();
    mr_world world = make(&config);
    const uint32_t live = 120;
    double finds = 0, visits = 0, alike = 0, even = 0;
    for (uint32_t n = 0; n < 50; n++)
        for (uint32_t u = 0; u < config.users; u++) {
            mr_world_act acts[MR_WORLD_ACTS_MAX];
            const uint32_t item = mr_world_browse(&world, u, live);
            visits++;
            mr_world_visit(&world, u, NULL, 0, acts);
            if (item == MR_WORLD_NONE)
                continue;
            assert_true(item < live);
            finds++;
            for (uint32_t t = 0; t < config.themes; t++) {
                alike += (double)(world.users[u].rho[t] * world.items[item].alpha[t]);
                even +=
                    (double)(world.users[u].rho[t] * world.items[(uint32_t)finds % live].alpha[t]);
            }
        }
    assert_is_noise(finds - visits * config.browse, visits * config.browse * (1 - config.browse));
    assert_true(alike > 2 * even);
    config.browse = 0;
    world.config = config;
    assert_int_equal(mr_world_browse(&world, 0, live), MR_WORLD_NONE);
    assert_int_equal(mr_world_browse(&world, 0, 0), MR_WORLD_NONE);
    drop(&world);
}

// ---- moods

static void assert_near(double found, double wanted, double within)
{
    if (!(found > wanted - within && found < wanted + within))
        fail_msg("%.9g is not within %g of %.9g", found, within, wanted);
}

static void moods_have_their_known_values(void **state)
{
    (void)state;
    assert_near(mr_world_satisfied(0.4, 1), 0.52, 1e-12);
    assert_near(mr_world_satisfied(0.4, 0), 0.32, 1e-12);
    assert_near(mr_world_leaving(0.4, 0.3), 0.0724265, 5e-8);
    assert_near(mr_world_boredom(0.5, 10 * 60e3, 30 * 60e3, 0.25), 0.6082657, 5e-8);
}

// Relative match .6 with a = 2, base -1, shown once in vain at half of 1.5: x = -.55.
static void clicks_fade_by_place_as_in_the_worked_example(void **state)
{
    (void)state;
    mr_world_config config = small();
    config.users = 1;
    config.items = 3;
    config.themes = 2;
    config.late_share = config.quality = config.stop = 0;
    config.match = 2;
    config.base = -1;
    config.fatigue = 1.5;
    mr_world world = make(&config);
    mr_world_user *user = &world.users[0];
    const uint32_t slate[3] = {0, 1, 2};
    double p[3];
    for (uint32_t i = 0; i < 3; i++) {
        world.items[i].alpha[0] = 0.6f;
        world.items[i].alpha[1] = 0.4f;
    }
    user->rho[0] = user->match_max = 1;
    user->rho[1] = 0;
    user->shown[0] = (mr_world_shown){.items = {0, 1, 2}, .count = 3};
    assert_near(mr_world_utility(&world, 0, 1), -0.55, 1e-6);
    mr_world_expect(&world, 0, slate, 3, p);
    assert_near(p[0], 0.3658644, 1e-7);
    assert_near(p[1], 0.3109847, 1e-7);
    assert_near(p[2], 0.2643370, 1e-7);
    drop(&world);
}

static void twins_are_worth_the_same_to_everybody(void **state)
{
    (void)state;
    mr_world_config config = small();
    config.late_share = 0.2;
    config.twins = true;
    mr_world world = make(&config);
    const uint32_t first = (uint32_t)(config.items - (uint32_t)(config.items * config.late_share));
    float quality = 1e9f;
    for (uint32_t i = 0; i < first; i++)
        assert_true(world.items[i].twin == MR_WORLD_NONE);
    for (uint32_t i = first; i < config.items; i++) {
        const mr_world_item *item = &world.items[i], *twin = &world.items[item->twin];
        assert_true(item->twin < first && item->born_ms > 0 && twin->born_ms == 0);
        assert_true(item->quality <= quality); // the best first
        quality = item->quality;
        for (uint32_t u = 0; u < 20; u++)
            assert_true(mr_world_utility(&world, u, i) == mr_world_utility(&world, u, item->twin));
        for (uint32_t other = first; other < i; other++)
            assert_true(world.items[other].twin != item->twin);
    }
    drop(&world);
}

// A user who is shown the same list again and again, and clicks nothing.
static void bored_users_leave_come_back_later_and_at_last_for_good(void **state)
{
    (void)state;
    mr_world_config config = small();
    config.base = -100;
    config.bored = 0.5;
    config.return_ms = 10000;
    mr_world world = make(&config);
    mr_world_act acts[MR_WORLD_ACTS_MAX];
    const uint32_t slate[2] = {0, 1};
    double away = 0, stays = 0, away_count = 0, stay_count = 0;
    uint32_t gone = 0;
    for (uint32_t u = 0; u < USERS; u++) {
        int64_t at = 0;
        for (uint32_t n = 0; n < 300 && !world.users[u].gone; n++) {
            mr_world_come(&world, u, at);
            assert_int_equal(mr_world_visit(&world, u, slate, 2, acts), 0);
            const int64_t gap = mr_world_gap_ms(&world, u);
            assert_true(gap >= 1);
            assert_int_equal(gap == MR_WORLD_NEVER, world.users[u].gone);
            if (world.users[u].gone)
                break;
            // Satisfaction is near 0 after a few lists: a mean of 10 s times e^.75, by his pace.
            const double by_pace = (double)gap * (double)world.users[u].pace;
            if (world.users[u].left && n >= 10) {
                away += by_pace;
                away_count++;
            } else if (!world.users[u].left) {
                stays += by_pace;
                stay_count++;
            }
            at += gap;
        }
        gone += world.users[u].gone;
        assert_true(world.users[u].satisfaction < 0.5f);
        assert_true(!world.users[u].gone || world.users[u].sessions >= 3);
    }
    assert_true(gone > USERS * 9 / 10);
    assert_near(away / away_count, 10000 * mr_exp(0.75), 4 * 21170 / __builtin_sqrt(away_count));
    assert_near(stays / stay_count, 4000, 4 * 4000 / __builtin_sqrt(stay_count));
    drop(&world);
}

static void boredom_costs_clicks_of_its_category_and_fades(void **state)
{
    (void)state;
    mr_world_config config = small();
    config.base = -100;
    config.bored = 0.5;
    config.fatigue = 0;
    mr_world world = make(&config);
    mr_world_act acts[MR_WORLD_ACTS_MAX];
    const uint32_t item = 3;
    uint32_t other = 0;
    while (world.items[other].category == world.items[item].category)
        other++;
    const double fresh = mr_world_utility(&world, 0, item);
    const double elsewhere = mr_world_utility(&world, 0, other);
    mr_world_visit(&world, 0, &item, 1, acts);
    assert_near(mr_world_utility(&world, 0, item), fresh - 0.5, 1e-6);
    mr_world_come(&world, 0, (int64_t)config.bored_ms);
    assert_near(mr_world_utility(&world, 0, item), fresh - 0.5 * mr_exp(-1), 1e-6);
    assert_true(mr_world_utility(&world, 0, other) == elsewhere);
    drop(&world);
}

static void a_taste_moves_with_its_community_and_stays_a_mixture(void **state)
{
    (void)state;
    mr_world_config config = small();
    config.communities = 3;
    config.drift_ms = 1000;
    config.drift = 0.5;
    mr_world world = make(&config);
    float before[USERS][MR_WORLD_THEMES_MAX];
    for (uint32_t u = 0; u < USERS; u++)
        memcpy(before[u], world.users[u].rho, sizeof before[u]);
    for (uint32_t u = 0; u < USERS; u++)
        mr_world_come(&world, u, 1000);
    int moved[3] = {-1, -1, -1};
    for (uint32_t u = 0; u < USERS; u++) {
        const mr_world_user *user = &world.users[u];
        const int other = memcmp(before[u], user->rho, config.themes * sizeof(float)) != 0;
        assert_true(moved[user->community] < 0 || moved[user->community] == other);
        moved[user->community] = other;
    }
    assert_int_equal(moved[0] + moved[1] + moved[2], 1);
    for (uint32_t u = 0; u < USERS; u++) {
        double sum = 0, best = 0;
        mr_world_come(&world, u, 60000);
        for (uint32_t t = 0; t < config.themes; t++)
            sum += (double)world.users[u].rho[t];
        assert_near(sum, 1, 1e-4);
        for (uint32_t i = 0; i < config.items; i++) {
            double match = 0;
            for (uint32_t t = 0; t < config.themes; t++)
                match += (double)world.users[u].rho[t] * (double)world.items[i].alpha[t];
            best = match > best ? match : best;
        }
        assert_near((double)world.users[u].match_max, best, 1e-6);
    }
    drop(&world);
}

static void purchases_come_late_and_for_another_item_at_their_shares(void **state)
{
    (void)state;
    mr_world_config config = small();
    config.base = 100; // everybody buys
    config.later = 0.4;
    config.other = 0.25;
    mr_world world = make(&config);
    mr_world_act acts[MR_WORLD_ACTS_MAX];
    double count = 0, late = 0, delay = 0, other = 0;
    for (uint32_t n = 0; n < 20; n++)
        for (uint32_t u = 0; u < USERS; u++) {
            const uint32_t item = n;
            assert_int_equal(mr_world_visit(&world, u, &item, 1, acts), 3);
            assert_int_equal(acts[0].delay_ms + acts[1].delay_ms, 0);
            const mr_world_act *buy = &acts[2];
            count++;
            late += buy->delay_ms > 0;
            delay += (double)buy->delay_ms;
            other += buy->item != item;
            assert_int_equal(world.items[buy->item].category | 1u,
                             world.items[item].category | 1u);
            assert_int_equal(buy->place, 0);
        }
    assert_near(late / count, 0.4, 4 * __builtin_sqrt(0.24 / count));
    assert_near(delay / late, config.later_ms, 4 * config.later_ms / __builtin_sqrt(late));
    assert_near(other / count, 0.25, 4 * __builtin_sqrt(0.1875 / count));
    drop(&world);
}

// The oracle's list, with at most `most` items of a category.
static uint32_t oracle_with_at_most(const mr_world *world, uint32_t user, uint32_t most,
                                    uint32_t *slate)
{
    uint32_t best[MR_WORLD_SLATE_MAX], taken[MR_WORLD_THEMES_MAX] = {0}, count = 0;
    const uint32_t found =
        mr_world_oracle(world, user, world->config.items, best, MR_WORLD_SLATE_MAX);
    for (uint32_t i = 0; i < found && count < K / 2; i++)
        if (taken[world->items[best[i]].category]++ < most)
            slate[count++] = best[i];
    return count;
}

// Clicks of each user within so long a time, when he is shown lists of five.
static void clicks_within(const mr_world_config *config, uint32_t most, int64_t until_ms,
                          double *by_user)
{
    mr_world world = make(config);
    mr_world_act acts[MR_WORLD_ACTS_MAX];
    for (uint32_t u = 0; u < config->users; u++) {
        int64_t at = mr_world_gap_ms(&world, u);
        for (by_user[u] = 0; at < until_ms; at += mr_world_gap_ms(&world, u)) {
            uint32_t slate[MR_WORLD_SLATE_MAX];
            mr_world_come(&world, u, at);
            const uint32_t count = oracle_with_at_most(&world, u, most, slate);
            by_user[u] += clicks_in(acts, mr_world_visit(&world, u, slate, count, acts));
        }
    }
    drop(&world);
}

static void variety_pays_where_users_get_bored_and_only_there(void **state)
{
    (void)state;
    double greedy[USERS], varied[USERS];
    mr_world_config config = small();
    config.gap_ms = 20e3;
    config.bored_ms = 1800e3;
    clicks_within(&config, K, 3600000, greedy); // nobody is bored or leaves
    clicks_within(&config, 2, 3600000, varied);
    assert_more(greedy, varied, USERS);
    config.bored = 1;
    config.return_ms = 24 * 3600e3;
    clicks_within(&config, K, 3 * 86400000ll, greedy);
    clicks_within(&config, 2, 3 * 86400000ll, varied);
    assert_more(varied, greedy, USERS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(twins_are_worth_the_same_to_everybody),
        cmocka_unit_test(random_items_shown_alone_get_the_mean_click_probability),
        cmocka_unit_test(each_place_of_random_lists_gets_the_clicks_that_are_expected),
        cmocka_unit_test(the_second_place_is_seen_if_the_first_did_not_end_the_visit),
        cmocka_unit_test(an_oracle_beats_popularity_and_popularity_beats_chance),
        cmocka_unit_test(equal_seeds_give_equal_worlds_in_any_order_of_users),
        cmocka_unit_test(mixtures_add_up_and_the_category_is_the_strongest_theme),
        cmocka_unit_test(members_of_a_community_are_more_alike_than_others),
        cmocka_unit_test(items_are_numbered_in_order_of_their_birth),
        cmocka_unit_test(the_smallest_world_has_a_user_an_item_and_a_theme),
        cmocka_unit_test(an_item_shown_in_vain_tires_and_recovers_after_three_lists),
        cmocka_unit_test(a_clicked_item_does_not_tire_and_is_remembered_until_24_others_came),
        cmocka_unit_test(users_find_items_of_their_own_taste_by_themselves),
        cmocka_unit_test(moods_have_their_known_values),
        cmocka_unit_test(clicks_fade_by_place_as_in_the_worked_example),
        cmocka_unit_test(bored_users_leave_come_back_later_and_at_last_for_good),
        cmocka_unit_test(boredom_costs_clicks_of_its_category_and_fades),
        cmocka_unit_test(a_taste_moves_with_its_community_and_stays_a_mixture),
        cmocka_unit_test(purchases_come_late_and_for_another_item_at_their_shares),
        cmocka_unit_test(variety_pays_where_users_get_bored_and_only_there),
        cmocka_unit_test(lists_hold_different_items_that_exist_and_are_not_liked_yet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
