// SPDX-License-Identifier: Apache-2.0
// Attacks beside the users of a loop: they are about the items they say, keep their times and
// numbers, and what they gain is measured.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/sim/attack.h"

enum { USERS = 200, ITEMS = 150, FAKES = 40, MINUTE = 60000, HOUR = 60 * MINUTE };

typedef struct running {
    mr_loop loop;
    void *memory, *copy;
    size_t bytes;
    mr_loop then;
} running;

static void go(running *r, int64_t until_ms)
{
    mr_error err = {0};
    if (mr_loop_run(&r->loop, until_ms, &err) != MR_OK)
        fail_msg("%s", err.text);
}

// A loop of two days, and a copy of it.
static int begin(void **state)
{
    static running r;
    mr_error err = {0};
    mr_loop_config config = {.world = mr_world_days(),
                             .engine = mr_engine_defaults(),
                             .policy = MR_LOOP_LEARNED,
                             .k = 10,
                             .tick_ms = 10000,
                             .fakes = FAKES};
    config.world.users = USERS;
    config.world.items = ITEMS;
    config.engine.tasks = 2;
    config.engine.items_max = ITEMS;
    config.engine.users_max = 512;
    config.engine.dedup_events_max = 1 << 14;
    config.engine.list_k = 10;
    config.engine.probe_every = 8;
    if (mr_loop_bytes(&config, &r.bytes, &err) != MR_OK)
        return -1;
    r.memory = aligned_alloc(64, r.bytes);
    r.copy = malloc(r.bytes);
    if (r.memory == NULL || r.copy == NULL)
        return -1;
    memset(r.memory, 0, r.bytes);
    if (mr_loop_init(&r.loop, &config, r.memory, &err) != MR_OK)
        return -1;
    go(&r, 48 * HOUR);
    memcpy(r.copy, r.memory, r.bytes);
    r.then = r.loop;
    *state = &r;
    return 0;
}

static int end(void **state)
{
    running *r = *state;
    free(r->memory);
    free(r->copy);
    return 0;
}

static void go_back(running *r)
{
    memcpy(r->memory, r->copy, r->bytes);
    r->loop = r->then;
}

static mr_attack_config config_of(mr_attack_kind kind)
{
    return (mr_attack_config){.kind = kind,
                              .seed = 3,
                              .fakes = FAKES,
                              .begin_ms = 48 * HOUR,
                              .burst_ms = HOUR,
                              .length_ms = 6 * HOUR};
}

static uint64_t learned(const mr_loop *loop)
{
    return mr_engine_task(loop->engine, 0).counters.learned +
           mr_engine_task(loop->engine, 1).counters.learned;
}

static void targets_of_a_push_are_unpopular_and_the_rivals_are_not(void **state)
{
    running *r = *state;
    uint32_t push[MR_ATTACK_TARGETS], rival[MR_ATTACK_TARGETS];
    go_back(r);
    mr_attack_targets(&r->loop, MR_ATTACK_BANDWAGON, 3, push);
    mr_attack_targets(&r->loop, MR_ATTACK_NUKE, 3, rival);
    for (uint32_t t = 0; t < MR_ATTACK_TARGETS; t++) {
        uint32_t fewer = 0, more = 0;
        for (uint32_t i = 0; i < ITEMS; i++) {
            fewer += r->loop.clicks[i] < r->loop.clicks[push[t]];
            more += r->loop.clicks[i] > r->loop.clicks[rival[t]];
        }
        assert_true(fewer < ITEMS / 10 && more < MR_ATTACK_TARGETS);
        for (uint32_t u = 0; u < t; u++)
            assert_true(push[t] != push[u] && rival[t] != rival[u]);
    }
}

static void every_attack_ends_with_all_its_events_learned(void **state)
{
    running *r = *state;
    for (int kind = 0; kind < MR_ATTACK_KINDS; kind++) {
        static mr_attack attack;
        const mr_attack_config config = config_of((mr_attack_kind)kind);
        go_back(r);
        mr_attack_begin(&attack, &config, &r->loop);
        const uint32_t events = attack.acts * attack.accounts;
        assert_true(r->loop.beside.due_ms(&attack) >= config.begin_ms);
        go(r, 54 * HOUR);
        assert_true(r->loop.beside.due_ms(&attack) == MR_WORLD_NEVER);
        assert_int_equal(attack.accounts, kind == MR_ATTACK_FLOOD ? 1 : FAKES);
        if (kind == MR_ATTACK_BANDIT) // impressions, and clicks where a target stands in them
            assert_true(attack.events >= events);
        else
            assert_int_equal(attack.events, events);
        assert_int_equal(learned(&r->loop), r->loop.sums.events);
    }
}

static void a_slow_attack_takes_the_whole_time_and_a_burst_does_not(void **state)
{
    running *r = *state;
    for (int slow = 0; slow < 2; slow++) {
        static mr_attack attack;
        const mr_attack_config config =
            config_of(slow != 0 ? MR_ATTACK_DRIP : MR_ATTACK_BANDWAGON);
        go_back(r);
        mr_attack_begin(&attack, &config, &r->loop);
        go(r, 51 * HOUR);
        const uint32_t events = attack.acts * attack.accounts;
        if (slow != 0)
            assert_true(attack.events > events / 4 && attack.events < events * 3 / 4);
        else
            assert_int_equal(attack.events, events);
    }
}

static void a_sleeper_clicks_no_target_before_the_last_third(void **state)
{
    running *r = *state;
    static mr_attack attack;
    const mr_attack_config config = config_of(MR_ATTACK_SLEEPER);
    uint32_t clicks[2][MR_ATTACK_TARGETS];
    for (int attacked = 0; attacked < 2; attacked++) {
        go_back(r);
        mr_attack_begin(&attack, &config, &r->loop);
        if (attacked == 0)
            r->loop.beside = (mr_loop_beside){0};
        go(r, 51 * HOUR);
        for (uint32_t t = 0; t < MR_ATTACK_TARGETS; t++)
            clicks[attacked][t] = r->loop.clicks[attack.targets[t]];
    }
    for (uint32_t t = 0; t < MR_ATTACK_TARGETS; t++)
        assert_in_range(clicks[1][t], 0, clicks[0][t] + 12); // users' own, by other lists
    go(r, 54 * HOUR);
    uint32_t late = 0;
    for (uint32_t t = 0; t < MR_ATTACK_TARGETS; t++)
        late += r->loop.clicks[attack.targets[t]] - clicks[1][t];
    assert_true(late >= FAKES * (attack.acts / 3));
}

static mr_exposure exposure_after(running *r, mr_attack_kind kind, bool attacked)
{
    static mr_attack attack;
    const mr_attack_config config = config_of(kind);
    go_back(r);
    mr_attack_begin(&attack, &config, &r->loop);
    if (!attacked)
        r->loop.beside = (mr_loop_beside){0};
    go(r, 54 * HOUR);
    return mr_attack_exposure(&r->loop, attack.targets, MR_ATTACK_TARGETS);
}

static void a_fifth_of_fake_accounts_gains_exposure(void **state)
{
    running *r = *state;
    static const mr_attack_kind kinds[] = {MR_ATTACK_BANDWAGON, MR_ATTACK_AVERAGE,
                                           MR_ATTACK_SEGMENT, MR_ATTACK_COVISIT};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const mr_exposure clean = exposure_after(r, kinds[i], false);
        const mr_exposure attacked = exposure_after(r, kinds[i], true);
        assert_true(attacked.share > clean.share && attacked.rank < clean.rank);
        assert_true(clean.rank <= 11 && attacked.rank >= 1);
        assert_true(attacked.recall > 0 && attacked.recall <= 1);
        assert_true(attacked.clicks > 0 && attacked.clicks < 10);
    }
}

static void exposure_counts_users_and_places(void **state)
{
    running *r = *state;
    go_back(r);
    for (uint32_t u = 0; u < USERS; u++) { // half of them have it third, the others not at all
        mr_loop_person *p = &r->loop.people[u];
        p->list_count = 3;
        p->list[0] = 10;
        p->list[1] = 11;
        p->list[2] = u % 2 == 0 ? 7 : 12;
    }
    const uint32_t items[1] = {7};
    const mr_exposure e = mr_attack_exposure(&r->loop, items, 1);
    assert_true(e.share > 0.4999 && e.share < 0.5001);
    assert_true(e.rank > 6.9999 && e.rank < 7.0001); // (3 + 11) / 2
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(targets_of_a_push_are_unpopular_and_the_rivals_are_not),
        cmocka_unit_test(every_attack_ends_with_all_its_events_learned),
        cmocka_unit_test(a_slow_attack_takes_the_whole_time_and_a_burst_does_not),
        cmocka_unit_test(a_sleeper_clicks_no_target_before_the_last_third),
        cmocka_unit_test(a_fifth_of_fake_accounts_gains_exposure),
        cmocka_unit_test(exposure_counts_users_and_places),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
