// SPDX-License-Identifier: Apache-2.0
// cold_users: posteriors of planted priors against closed forms and an oracle, the outer step and
// the split by hand, and priors that are found among users of four kinds.
#include "tests/unit/core/asked.h"

enum { DIM = 16, KINDS = 4, ITEMS = 16, PRIORS = 8, STRIDE = 4 + DIM, FIRST = 10 };
enum { WEIGHT = 0, SPREAD = 1, MEAN = 4 }; // floats of a prior

static const char *const with_space[] = {"embedding", "cold_users"};
static const int64_t begin_ms = 1700000000000;

static mr_setting settings[] = {
    {"embedding", "dim", DIM},        {"embedding", "rate_item", 0},
    {"embedding", "rate_user", 0},    {"embedding", "init", 1e-6},
    {"cold_users", "dim", DIM},       {"cold_users", "priors", KINDS},
    {"cold_users", "every", 1000000}, {"cold_users", "step", 0.02},
};

static void open_mill(mill *m, double rate, double priors, double step, double every)
{
    settings[1].value = settings[2].value = rate;
    settings[3].value = rate > 0 ? 0.1 : 1e-6;
    settings[5].value = priors;
    settings[6].value = every;
    settings[7].value = step;
    asked_open(m, with_space, 2, settings, sizeof settings / sizeof settings[0]);
}

// A row of the method; NULL: none is stored.
static float *row_of(mill *m, const char *family)
{
    uint8_t name[11] = {MR_ROW_NAMED};
    mr_put_u16_be(name + 1, asked_code(family));
    stored_row *row = mill_find(m, 0, mr_bytes_of(name, sizeof name));
    return row == NULL ? NULL : (float *)(void *)(row->value + 8);
}

static float *prior_of(mill *m, uint32_t k)
{
    return row_of(m, "cold_users.priors") + 2 + (size_t)k * STRIDE;
}

// Acts enough that rows are stored: of user 900 on all items, more than the outer step asks for.
static void fill_rows(mill *m)
{
    for (uint32_t i = 0; i < ITEMS; i++)
        asked_act(m, 900, i, begin_ms - 100000 + i);
}

// Item i is `size` along axis i mod KINDS, prior k `size` along axis k, weights 10, 20, ...
static void plant(mill *m, float size)
{
    for (uint32_t i = 0; i < ITEMS; i++) {
        float v[DIM] = {0};
        v[i % KINDS] = size;
        memcpy(asked_item_row(m, "embedding.item", i)->value + 8, v, sizeof v);
    }
    for (uint32_t k = 0; k < KINDS; k++) {
        float *of = prior_of(m, k);
        memset(of, 0, STRIDE * sizeof *of);
        of[WEIGHT] = 10 * (float)(k + 1);
        of[MEAN + k] = size;
    }
    if (row_of(m, "cold_users.measured") != NULL)
        for (uint32_t k = 0; k < 2 + KINDS; k++)
            row_of(m, "cold_users.measured")[k] = 0;
    asked_reload(m);
}

// rho by the scores: kappa / (n + kappa) sum_k rho_k mu_k.v, where axes are apart.
static void read_rho(mill *m, uint32_t user, uint32_t acts, double size, double rho[KINDS])
{
    float scores[ITEMS];
    asked_scores(m, "cold_users", 0, user, ITEMS, scores);
    for (uint32_t k = 0; k < KINDS; k++)
        rho[k] = (double)scores[k] * (acts + 10.0) / 10.0 / (size * size);
}

// rho_k ~ pi_k exp(size^2) to the number of clicks of kind k.
static void planted_users_are_told_apart_after_three_clicks(void **state)
{
    (void)state;
    static mill m;
    const double size = 1.5;
    open_mill(&m, 0, KINDS, 0.02, 1e6);
    fill_rows(&m);
    plant(&m, (float)size);
    for (uint32_t kind = 0; kind < KINDS; kind++)
        for (uint32_t n = 1; n <= 3; n++) {
            double rho[KINDS], sum = 0;
            asked_act(&m, 1 + kind, kind + KINDS * (n - 1), begin_ms + n * 1000);
            read_rho(&m, 1 + kind, n, size, rho);
            for (uint32_t k = 0; k < KINDS; k++)
                sum += (k + 1) * exp(k == kind ? size * size * n : 0);
            for (uint32_t k = 0; k < KINDS; k++) {
                const double want = (k + 1) * exp(k == kind ? size * size * n : 0) / sum;
                assert_true(fabs(rho[k] - want) < 1e-4);
            }
            if (n == 3)
                assert_true(rho[kind] > 0.9);
        }
    mill_close(&m);
}

// A prior under which all items are likely says less by each.
static void what_is_likely_under_all_items_is_taken_off(void **state)
{
    (void)state;
    static mill m;
    const double size = 1, sums[KINDS] = {2, 4, 8, 2};
    double rho[KINDS], want[KINDS], sum = 0;
    open_mill(&m, 0, KINDS, 0.02, 1);
    fill_rows(&m);
    plant(&m, (float)size);
    float *measured = row_of(&m, "cold_users.measured");
    assert_non_null(measured);
    settings[6].value = 1e6;
    measured[0] = 2;
    for (uint32_t k = 0; k < KINDS; k++)
        measured[2 + k] = (float)sums[k];
    asked_reload(&m);
    asked_act(&m, 1, 0, begin_ms);
    measured = row_of(&m, "cold_users.measured"); // the act was measured too
    for (uint32_t k = 0; k < KINDS; k++) {
        want[k] = (k + 1) * exp(k == 0 ? 1 : 0) / (double)(measured[2 + k] / measured[0]);
        sum += want[k];
    }
    read_rho(&m, 1, 1, size, rho);
    for (uint32_t k = 0; k < KINDS; k++)
        assert_true(fabs(rho[k] - want[k] / sum) < 1e-4);
    mill_close(&m);
}

// With the planted items a draw has exp(mu.v) = e in one of four, else 1.
static void what_is_measured_is_the_mean_over_items(void **state)
{
    (void)state;
    static mill m;
    open_mill(&m, 0, KINDS, 0.02, 1);
    fill_rows(&m);
    plant(&m, 1);
    for (uint32_t n = 0; n < 300; n++)
        asked_act(&m, 1 + n % 50, n * 5 % ITEMS, begin_ms + n * 1000);
    const float *measured = row_of(&m, "cold_users.measured");
    assert_true(measured[0] > 50 && measured[0] < 70); // what was measured long ago is forgotten
    for (uint32_t k = 0; k < KINDS; k++)
        assert_true(fabs((double)(measured[2 + k] / measured[0]) - (3 + exp(1)) / 4) < 0.15);
    mill_close(&m);
}

// ---- the outer step

static void acts_of(mill *m, uint32_t user, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        asked_act(m, user, i % ITEMS, begin_ms + user * 1000 + i);
}

static void vector_of(mill *m, uint32_t user, float u[DIM])
{
    uint32_t size;
    const uint8_t *part = asked_part(m, "embedding.user", user, &size);
    assert_non_null(part);
    memcpy(u, part, DIM * sizeof *u);
}

// One prior, step .5: users who reach ten acts are a mean of two, then each is a third.
static void a_prior_is_a_mean_that_forgets(void **state)
{
    (void)state;
    static mill m;
    double mean[DIM] = {0}, spread = 0, weight = 0;
    open_mill(&m, 0.1, 1, 0.5, 1e6);
    for (uint32_t user = 1; user <= 4; user++) {
        float u[DIM];
        double apart = 0;
        acts_of(&m, user, FIRST - 1);
        assert_true(user > 1 || row_of(&m, "cold_users.priors") == NULL ||
                    prior_of(&m, 0)[WEIGHT] == 0);
        asked_act(&m, user, ITEMS - 1, begin_ms + user * 1000 + 500);
        vector_of(&m, user, u);
        const double counts = fmin(weight, 2);
        for (int d = 0; d < DIM; d++)
            apart += ((double)u[d] - mean[d]) * ((double)u[d] - mean[d]);
        spread = user == 1 ? 0 : (counts * spread + apart) / (counts + 1);
        for (int d = 0; d < DIM; d++)
            mean[d] = (counts * mean[d] + (double)u[d]) / (counts + 1);
        weight = weight * exp(-1.0 / 10000) + 1;
        assert_true(fabs((double)prior_of(&m, 0)[WEIGHT] - weight) < 1e-5);
        assert_true(fabs((double)prior_of(&m, 0)[SPREAD] - spread) < 1e-4);
        for (int d = 0; d < DIM; d++)
            assert_true(fabs((double)prior_of(&m, 0)[MEAN + d] - mean[d]) < 1e-4);
    }
    mill_close(&m);
}

static void a_wide_prior_is_split_into_a_free_one(void **state)
{
    (void)state;
    static mill m;
    open_mill(&m, 0, KINDS, 0.02, 1e6);
    fill_rows(&m);
    plant(&m, 1);
    const float spreads[KINDS] = {8, 1, 1, 0};
    for (uint32_t k = 0; k < KINDS; k++) {
        prior_of(&m, k)[WEIGHT] = k == 3 ? 0 : 100;
        prior_of(&m, k)[SPREAD] = spreads[k];
    }
    asked_reload(&m);
    uint32_t user = 1; // one whose hash does not name the free prior
    for (char id[16]; user < 100; user++) {
        snprintf(id, sizeof id, "u%u", user);
        const uint64_t key = mr_user_key(mr_bytes_text(id));
        if (mr_hash64(&key, sizeof key, 0) % KINDS != 3)
            break;
    }
    acts_of(&m, user, FIRST);
    const float *wide = prior_of(&m, 0), *twin = prior_of(&m, 3);
    double between = 0, away = 0;
    assert_true(fabsf(wide[WEIGHT] - 50) < 1 && wide[WEIGHT] == twin[WEIGHT]);
    for (int d = 0; d < DIM; d++) {
        const double middle = (double)(wide[MEAN + d] + twin[MEAN + d]) / 2;
        between += pow((double)(wide[MEAN + d] - twin[MEAN + d]), 2);
        away += pow(middle - (d == 0), 2);
    }
    assert_true(between > 2 && between < 24 && away < 0.01); // 8 is what is expected
    assert_true(prior_of(&m, 1)[WEIGHT] > 99 && prior_of(&m, 2)[WEIGHT] > 99);
    mill_close(&m);
}

// ---- all of it

// Posterior of a user's kind by an oracle from the stored rows: each prior is of the kind whose
// items its mean is nearest to.
static double posterior_of_kind(mill *m, uint32_t kind, uint32_t clicks)
{
    const float *measured = row_of(m, "cold_users.measured");
    double sums[KINDS] = {0}, all = 0;
    for (uint32_t k = 0; k < PRIORS; k++) {
        const float *of = prior_of(m, k);
        double near[KINDS] = {0}, score = 0;
        if (of[WEIGHT] < 0.5f)
            continue;
        for (uint32_t i = 0; i < ITEMS; i++) {
            const float *v =
                (const float *)(const void *)(asked_item_row(m, "embedding.item", i)->value + 8);
            double dot = 0;
            for (int d = 0; d < DIM; d++)
                dot += (double)of[MEAN + d] * (double)v[d];
            near[i % KINDS] += dot;
            score += i % KINDS == kind && i / KINDS < clicks ? dot : 0;
        }
        uint32_t best = 0;
        for (uint32_t g = 1; g < KINDS; g++)
            best = near[g] > near[best] ? g : best;
        sums[best] +=
            (double)of[WEIGHT] * exp(score - clicks * log((double)(measured[2 + k] / measured[0])));
    }
    for (uint32_t g = 0; g < KINDS; g++)
        all += sums[g];
    return sums[kind] / all;
}

static void users_of_four_kinds_are_found_and_told_apart(void **state)
{
    (void)state;
    enum { USERS = 150 };
    static mill m;
    open_mill(&m, 0.15, PRIORS, 0.02, 1);
    mr_rng rng = mr_rng_make(2, 0, 0, 0, MR_PURPOSE_SIM);
    for (uint32_t user = 1; user <= USERS; user++)
        for (uint32_t n = 0; n < 14; n++)
            asked_act(&m, user, user % KINDS + KINDS * mr_rng_below(&rng, ITEMS / KINDS),
                      begin_ms + user * 1000 + n);
    for (uint32_t kind = 0; kind < KINDS; kind++) {
        float scores[ITEMS];
        for (uint32_t n = 0; n < 3; n++)
            asked_act(&m, 200 + kind, kind + KINDS * n, begin_ms + 900000 + n);
        assert_true(posterior_of_kind(&m, kind, 3) > 0.9);
        asked_scores(&m, "cold_users", 0, 200 + kind, ITEMS, scores);
        for (uint32_t i = 0; i < ITEMS; i++)
            assert_true(i % KINDS == kind || scores[i] < scores[kind + KINDS * 3]);
    }
    mill_close(&m);
}

static void from_fifty_acts_on_scores_are_the_embeddings(void **state)
{
    (void)state;
    static mill m;
    float own[ITEMS], plain[ITEMS];
    open_mill(&m, 0.1, KINDS, 0.02, 4);
    acts_of(&m, 2, 30);
    acts_of(&m, 1, 49);
    asked_scores(&m, "cold_users", 0, 1, ITEMS, own);
    asked_scores(&m, "embedding", 0, 1, ITEMS, plain);
    assert_memory_not_equal(own, plain, sizeof own);
    asked_act(&m, 1, 1, begin_ms + 5000);
    asked_scores(&m, "cold_users", 0, 1, ITEMS, own);
    asked_scores(&m, "embedding", 0, 1, ITEMS, plain);
    assert_memory_equal(own, plain, sizeof own);
    mill_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(planted_users_are_told_apart_after_three_clicks),
        cmocka_unit_test(what_is_likely_under_all_items_is_taken_off),
        cmocka_unit_test(what_is_measured_is_the_mean_over_items),
        cmocka_unit_test(a_prior_is_a_mean_that_forgets),
        cmocka_unit_test(a_wide_prior_is_split_into_a_free_one),
        cmocka_unit_test(users_of_four_kinds_are_found_and_told_apart),
        cmocka_unit_test(from_fifty_acts_on_scores_are_the_embeddings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
