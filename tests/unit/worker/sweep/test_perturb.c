// SPDX-License-Identifier: Apache-2.0
// What becomes of each event, against counts over the whole log.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/hash.h"
#include "core/base/rng.h"
#include "worker/sweep/perturb.h"

enum { ACTS = 4000, USERS = 40, ITEMS = 30 };

static struct {
    char user[8], item[8];
} texts[ACTS];
static mr_event events[ACTS];

static int make_events(void **state)
{
    mr_rng rng = mr_rng_make(3, 0, 0, 0, MR_PURPOSE_SAMPLE);
    (void)state;
    for (uint32_t i = 0; i < ACTS; i++) {
        snprintf(texts[i].user, sizeof texts[i].user, "u%u", mr_rng_below(&rng, USERS));
        snprintf(texts[i].item, sizeof texts[i].item, "i%u", mr_rng_below(&rng, ITEMS));
        events[i] = (mr_event){.kind = i % 10 == 9 ? MR_EVENT_SEARCH : MR_EVENT_CLICK,
                               .present = 1u << MR_FIELD_user | 1u << MR_FIELD_item |
                                          1u << MR_FIELD_event_id,
                               .user = mr_bytes_text(texts[i].user),
                               .item = mr_bytes_text(texts[i].item),
                               .time_ms = 1700000000000 + i};
    }
    return 0;
}

static mr_perturbation drawn(const char *text, uint64_t seed, uint32_t number)
{
    mr_perturbation p;
    mr_error err = {0};
    if (mr_perturbation_parse(text, seed, number, &p, &err) != MR_OK)
        fail_msg("%s", err.text);
    for (uint32_t i = 0; i < ACTS; i++)
        mr_perturbation_see(&p, i, &events[i]);
    if (mr_perturbation_check(&p, &err) != MR_OK)
        fail_msg("%s", err.text);
    return p;
}

// How many events are not kept, and the last of them.
static uint32_t changed(const mr_perturbation *p, uint32_t *last, mr_perturbed *how,
                        mr_event *other)
{
    uint32_t count = 0;
    *last = 0;
    *how = MR_PERTURBED_KEPT;
    for (uint32_t i = 0; i < ACTS; i++) {
        const mr_perturbed what = mr_perturbation_of(p, i, &events[i], other);
        if (what == MR_PERTURBED_KEPT)
            continue;
        *last = i;
        *how = what;
        count++;
    }
    if (count > 0)
        (void)mr_perturbation_of(p, *last, &events[*last], other);
    return count;
}

static void nothing_changes_nothing_and_one_in_one_everything(void **state)
{
    (void)state;
    mr_event other;
    uint32_t last;
    mr_perturbed how;
    const mr_perturbation none = drawn("none", 1, 1), all = drawn("drop=1", 1, 1);
    assert_int_equal(changed(&none, &last, &how, &other), 0);
    assert_int_equal(changed(&all, &last, &how, &other), ACTS - ACTS / 10); // searches are no acts
    assert_int_equal(how, MR_PERTURBED_GONE);
}

static void one_act_in_n_is_dropped_and_another_seed_drops_others(void **state)
{
    (void)state;
    mr_event other;
    uint32_t both = 0, first = 0;
    const mr_perturbation a = drawn("drop=10", 1, 1), b = drawn("drop=10", 2, 1);
    for (uint32_t i = 0; i < ACTS; i++) {
        const bool gone = mr_perturbation_of(&a, i, &events[i], &other) == MR_PERTURBED_GONE;
        first += gone;
        both += gone && mr_perturbation_of(&b, i, &events[i], &other) == MR_PERTURBED_GONE;
    }
    assert_in_range(first, 270, 450); // 360, five standard deviations
    assert_in_range(both, 10, 66);    // 36
}

static void all_acts_of_one_user_go_and_no_others(void **state)
{
    (void)state;
    mr_event other;
    uint64_t of;
    const mr_perturbation named = drawn("user=u7", 1, 1), any = drawn("user", 1, 1);
    const char *who = NULL;
    uint32_t count = 0;
    for (uint32_t i = 0; i < ACTS; i++) {
        const bool act = events[i].kind == MR_EVENT_CLICK;
        const bool gone = mr_perturbation_of(&named, i, &events[i], &other) == MR_PERTURBED_GONE;
        assert_int_equal(gone, act && strcmp(texts[i].user, "u7") == 0);
        if (mr_perturbation_of(&any, i, &events[i], &other) != MR_PERTURBED_GONE)
            continue;
        who = who != NULL ? who : texts[i].user;
        assert_string_equal(texts[i].user, who);
        count++;
    }
    for (uint32_t i = 0; i < ACTS; i++)
        count -= events[i].kind == MR_EVENT_CLICK && strcmp(texts[i].user, who) == 0;
    assert_int_equal(count, 0);
    assert_true(mr_perturbation_is_of_user(&named, &of));
    assert_int_equal(of, mr_user_key(mr_bytes_text("u7")));
}

static bool is_of(uint32_t event, const char *user)
{
    return events[event].kind == MR_EVENT_CLICK && strcmp(texts[event].user, user) == 0;
}

static void one_act_goes_the_first_or_the_last_of_its_user_or_any(void **state)
{
    (void)state;
    static const char *const which[] = {"delete=random", "delete=earliest", "delete=latest"};
    for (uint32_t w = 0; w < 3; w++)
        for (uint32_t seed = 0; seed < 50; seed++) {
            mr_event other;
            uint32_t at, before = 0, after = 0;
            mr_perturbed how;
            const mr_perturbation p = drawn(which[w], seed, 1);
            assert_int_equal(changed(&p, &at, &how, &other), 1);
            assert_int_equal(how, MR_PERTURBED_GONE);
            for (uint32_t i = 0; i < at; i++)
                before += is_of(i, texts[at].user);
            for (uint32_t i = at + 1; i < ACTS; i++)
                after += is_of(i, texts[at].user);
            assert_true(w != 1 || before == 0);
            assert_true(w != 2 || after == 0);
        }
}

// Users have as many acts as chance gives them; each is as likely all the same, and each act too.
static void draws_are_even_over_users_and_over_acts(void **state)
{
    (void)state;
    enum { SEEDS = 2000, QUARTERS = 4 };
    uint32_t of_users[USERS] = {0}, of_quarters[QUARTERS] = {0};
    for (uint32_t seed = 0; seed < SEEDS; seed++) {
        const mr_perturbation earliest = drawn("delete=earliest", seed, 1);
        const mr_perturbation any = drawn("delete=random", seed, 1);
        uint32_t user;
        assert_int_equal(sscanf(texts[earliest.place].user, "u%u", &user), 1);
        of_users[user]++;
        of_quarters[any.place * QUARTERS / ACTS]++;
    }
    for (uint32_t u = 0; u < USERS; u++)
        assert_in_range(of_users[u], 15, 85); // 50, five standard deviations
    for (uint32_t q = 0; q < QUARTERS; q++)
        assert_in_range(of_quarters[q], 403, 597); // 500
}

static void another_item_stands_in_its_place_or_comes_after_it(void **state)
{
    (void)state;
    for (uint32_t seed = 0; seed < 200; seed++) {
        mr_event instead, after;
        uint32_t at;
        mr_perturbed how;
        const mr_perturbation replace = drawn("replace=random", seed, 1);
        const mr_perturbation insert = drawn("insert=random", seed, 1);
        assert_int_equal(changed(&replace, &at, &how, &instead), 1);
        assert_int_equal(how, MR_PERTURBED_INSTEAD);
        assert_true(mr_bytes_equal(instead.user, events[at].user));
        assert_int_equal(instead.time_ms, events[at].time_ms);
        assert_false(mr_bytes_equal(instead.item, events[at].item));
        assert_true(mr_event_has(&instead, MR_FIELD_event_id));
        assert_int_equal(changed(&insert, &at, &how, &after), 1);
        assert_int_equal(how, MR_PERTURBED_AFTER);
        assert_false(mr_bytes_equal(after.item, events[at].item));
        assert_false(mr_event_has(&after, MR_FIELD_event_id)); // or it would be a duplicate
    }
}

static void the_same_text_twice_draws_two_acts(void **state)
{
    (void)state;
    const mr_perturbation a = drawn("delete=random", 1, 1), b = drawn("delete=random", 1, 2);
    const mr_perturbation again = drawn("delete=random", 1, 1);
    assert_true(a.place != b.place);
    assert_int_equal(a.place, again.place);
}

static void a_log_without_what_is_changed_is_refused(void **state)
{
    (void)state;
    mr_perturbation p;
    mr_error err = {0};
    assert_int_equal(mr_perturbation_parse("delete=random", 1, 1, &p, &err), MR_OK);
    assert_int_equal(mr_perturbation_check(&p, &err), MR_FATAL);
    assert_non_null(strstr(err.text, "no act"));
    assert_int_equal(mr_perturbation_parse("replace=latest", 1, 1, &p, &err), MR_OK);
    mr_perturbation_see(&p, 0, &events[0]);
    assert_int_equal(mr_perturbation_check(&p, &err), MR_FATAL);
    assert_non_null(strstr(err.text, "one item"));
}

static void what_is_not_understood_is_named(void **state)
{
    (void)state;
    static const char *const bad[] = {"",       "drop",   "drop=0",      "drop=x",        "drop=-1",
                                      "user=",  "delete", "delete=some", "replace=",      "none=1",
                                      "dropp=2", "insert=casper"};
    for (uint32_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        mr_perturbation p;
        mr_error err = {0};
        assert_int_equal(mr_perturbation_parse(bad[i], 1, 1, &p, &err), MR_FATAL);
        assert_non_null(strstr(err.text, "want"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_changes_nothing_and_one_in_one_everything),
        cmocka_unit_test(one_act_in_n_is_dropped_and_another_seed_drops_others),
        cmocka_unit_test(all_acts_of_one_user_go_and_no_others),
        cmocka_unit_test(one_act_goes_the_first_or_the_last_of_its_user_or_any),
        cmocka_unit_test(draws_are_even_over_users_and_over_acts),
        cmocka_unit_test(another_item_stands_in_its_place_or_comes_after_it),
        cmocka_unit_test(the_same_text_twice_draws_two_acts),
        cmocka_unit_test(a_log_without_what_is_changed_is_refused),
        cmocka_unit_test(what_is_not_understood_is_named),
    };
    return cmocka_run_group_tests(tests, make_events, NULL);
}
