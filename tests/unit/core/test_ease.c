// SPDX-License-Identifier: Apache-2.0
// ease against the closed form of EASE where both are the same, against regression on a user's own
// items by elimination elsewhere, and its guard.
#include "tests/unit/core/asked.h"

enum { ITEMS = 8, USERS = 40, LENGTH_MAX = 8 };

static const char *const alone[] = {"ease"};
static const int64_t begin_ms = 1700000000000;

enum { SESSION_S = 2, GAP_S = 1 };
static const double beyond = 0.25;

// timed: events apart by time are less near; otherwise their order alone counts.
static void open_mill(mill *m, double near, double lambda, bool timed)
{
    static mr_setting settings[6];
    settings[0] = (mr_setting){"ease", "pairs", MR_RECENT_MAX};
    settings[1] = (mr_setting){"ease", "near", near};
    settings[2] = (mr_setting){"ease", "lambda", lambda};
    settings[3] = (mr_setting){"ease", "half_life_s", 1e9};
    settings[4] = (mr_setting){"ease", "session_s", SESSION_S};
    settings[5] = (mr_setting){"ease", "beyond", timed ? beyond : 1};
    asked_open(m, alone, 1, settings, 6);
}

// b = (g + lambda I)^-1 b for the n rows and columns that `of` names, by Gauss-Jordan elimination.
static void ridge(double g[ITEMS][ITEMS], double lambda, const uint32_t *of, uint32_t n, double *b)
{
    double m[ITEMS][ITEMS];
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t j = 0; j < n; j++)
            m[i][j] = g[of[i]][of[j]] + (i == j ? lambda : 0);
    for (uint32_t p = 0; p < n; p++)
        for (uint32_t i = 0; i < n; i++) {
            const double factor = i == p ? 0 : m[i][p] / m[p][p];
            for (uint32_t j = 0; j < n; j++)
                m[i][j] -= factor * m[p][j];
            b[i] -= factor * b[p];
        }
    for (uint32_t i = 0; i < n; i++)
        b[i] /= m[i][i];
}

// s(u, j) = sum_i x_i B_ij with B_ij = -P_ij / P_jj, P = (G + lambda I)^-1.
static double ease(double g[ITEMS][ITEMS], double lambda, uint32_t items, const double *x,
                   uint32_t j)
{
    uint32_t all[ITEMS];
    double column[ITEMS] = {0}, sum = 0;
    for (uint32_t i = 0; i < items; i++)
        all[i] = i;
    column[j] = 1;
    ridge(g, lambda, all, items, column);
    for (uint32_t i = 0; i < items; i++)
        sum += i == j ? 0 : -x[i] * column[i] / column[j];
    return sum;
}

// X = (1, 1, 0), (1, 1, 1), (0, 1, 1), (1, 0, 0) with lambda = .5: the score of the one item that
// the first and the third user lack.
static void the_worked_figures(void **state)
{
    (void)state;
    static const uint32_t x[4][3] = {{1, 1, 0}, {1, 1, 1}, {0, 1, 1}, {1, 0, 0}};
    static mill m;
    float scores[3];
    uint32_t events = 0;
    open_mill(&m, 1, 0.5, false);
    for (uint32_t user = 0; user < 4; user++)
        for (uint32_t item = 0; item < 3; item++)
            if (x[user][item])
                asked_act(&m, user, item, begin_ms + 10 * events++);
    asked_scores(&m, "ease", 0, 0, 3, scores);
    assert_true(fabs((double)scores[2] - 0.545455) < 1e-5);
    asked_scores(&m, "ease", 0, 2, 3, scores);
    assert_true(fabs((double)scores[0] - (0.631579 - 0.105263)) < 1e-5);
    mill_close(&m);
}

typedef struct log_of {
    uint32_t count[USERS], items[USERS][LENGTH_MAX]; // in order of time
    double gram[ITEMS][ITEMS];
} log_of;

// Each user acts on some of the items in an order of his own; the last `spared` users on all but
// one.
static double nearness(double near, bool timed, uint32_t places, double apart_s)
{
    return pow(near, places) * (timed ? beyond + (1 - beyond) * pow(2, -apart_s / SESSION_S) : 1);
}

// Events of a user are GAP_S apart.
static void make_log(log_of *l, double near, bool timed, uint32_t spared, uint64_t seed)
{
    memset(l, 0, sizeof *l);
    for (uint32_t user = 0; user < USERS; user++) {
        mr_rng rng = mr_rng_make(seed, 0, 0, user, MR_PURPOSE_SIM);
        const uint32_t count =
            user >= USERS - spared ? ITEMS - 1 : 2 + mr_rng_below(&rng, ITEMS - 2);
        uint32_t order[ITEMS];
        for (uint32_t i = 0; i < ITEMS; i++) {
            const uint32_t j = mr_rng_below(&rng, i + 1);
            order[i] = order[j];
            order[j] = i;
        }
        l->count[user] = count;
        memcpy(l->items[user], order, count * sizeof *order);
        for (uint32_t a = 0; a < count; a++)
            for (uint32_t b = 0; b < count; b++)
                l->gram[order[a]][order[b]] +=
                    nearness(near, timed, a > b ? a - b : b - a, GAP_S * fabs((double)a - b));
    }
}

static void learn(mill *m, const log_of *l)
{
    static made_event events[USERS * LENGTH_MAX];
    uint32_t count = 0;
    for (uint32_t user = 0; user < USERS; user++)
        for (uint32_t i = 0; i < l->count[user]; i++, count++)
            mill_act(&events[count], MR_EVENT_CLICK, user, l->items[user][i],
                     begin_ms + (user * LENGTH_MAX + i) * GAP_S * 1000);
    for (uint32_t first = 0; first < count; first += 32)
        asked_round(m, events + first, count - first < 32 ? count - first : 32);
}

static uint32_t lacked(const log_of *l, uint32_t user)
{
    uint32_t sum = ITEMS * (ITEMS - 1) / 2;
    for (uint32_t i = 0; i < l->count[user]; i++)
        sum -= l->items[user][i];
    return sum;
}

static void the_one_item_that_a_user_lacks_has_the_score_of_the_closed_form(void **state)
{
    (void)state;
    static mill m;
    static log_of l;
    make_log(&l, 1, false, 20, 3);
    open_mill(&m, 1, 5, false);
    learn(&m, &l);
    for (uint32_t restart = 0; restart < 2; restart++) {
        for (uint32_t user = USERS - 20; user < USERS; user++) {
            double x[ITEMS];
            float scores[ITEMS];
            const uint32_t j = lacked(&l, user);
            for (uint32_t i = 0; i < ITEMS; i++)
                x[i] = i != j;
            asked_act(&m, user, l.items[user][ITEMS - 2], begin_ms + 100000); // known: adds nothing
            asked_scores(&m, "ease", 0, user, ITEMS, scores);
            assert_true(fabs((double)scores[j] - ease(l.gram, 5, ITEMS, x, j)) < 1e-5);
        }
        asked_reload(&m);
    }
    mill_close(&m);
}

static void other_items_have_that_of_regression_on_what_the_user_knows(void **state)
{
    (void)state;
    static mill m;
    static log_of l;
    static const double near[] = {1, 0.8, 0.8};
    static const bool timed[] = {false, false, true};
    for (uint32_t n = 0; n < 3; n++) {
        uint32_t above = 0;
        make_log(&l, near[n], timed[n], 0, 5);
        open_mill(&m, near[n], 2, timed[n]);
        learn(&m, &l);
        for (uint32_t user = 0; user < USERS; user++) {
            const uint32_t count = l.count[user];
            const double now_s = ((USERS - 1) * LENGTH_MAX + l.count[USERS - 1] - 1) * GAP_S;
            double q[LENGTH_MAX];
            float scores[ITEMS];
            for (uint32_t i = 0; i < count; i++)
                q[i] = nearness(near[n], timed[n], count - 1 - i,
                                now_s - (user * LENGTH_MAX + i) * GAP_S);
            ridge(l.gram, 2, l.items[user], count, q);
            asked_scores(&m, "ease", 0, user, ITEMS, scores);
            for (uint32_t j = 0; j < ITEMS; j++) {
                double want = 0;
                bool known = false;
                for (uint32_t i = 0; i < count; i++) {
                    want += q[i] * l.gram[l.items[user][i]][j];
                    known |= l.items[user][i] == j;
                }
                if (known) // its own count is no neighbour of it
                    continue;
                want = want > 0 ? want : 0;
                above += want > 0.01;
                assert_true(fabs((double)scores[j] - want) < 1e-5);
            }
        }
        assert_true(above > 50);
        mill_close(&m);
    }
}

static void candidates_are_the_best_by_score(void **state)
{
    (void)state;
    static mill m;
    static log_of l;
    make_log(&l, 0.8, true, 0, 7);
    open_mill(&m, 0.8, 2, true);
    learn(&m, &l);
    uint32_t seen = 0;
    for (uint32_t user = 0; user < USERS; user++) {
        float scores[ITEMS];
        asked_scores(&m, "ease", 0, user, ITEMS, scores);
        asked_model a = asked(&m, "ease");
        const uint32_t slot = asked_user(&m, user);
        const mr_filter filter = mr_filter_make(a.view.items, NULL, 0);
        mr_found found = {.max = 5};
        a.model->candidates(a.instance, &a.view, &slot, 1, 0, &filter, &a.arena, &found);
        for (uint32_t i = 0; i < found.count; i++) {
            uint32_t better = 0;
            for (uint32_t j = 0; j < ITEMS; j++)
                better += scores[j] > found.scores[i];
            assert_true(better <= i);
        }
        seen += found.count;
    }
    assert_true(seen == 5 * USERS);
    mill_close(&m);
}

// Two items that were counted more often together than alone cannot come of one log. The older one
// has no pivot, and is left out.
static void a_table_that_is_no_gram_matrix_is_read_without_what_spoils_it(void **state)
{
    (void)state;
    static mill m;
    float scores[3];
    open_mill(&m, 1, 2, false);
    for (uint32_t user = 0; user < 9; user++)
        for (uint32_t item = 0; item < (user == 0 ? 2u : 3u); item++)
            asked_act(&m, user, item, begin_ms + 100 * user + 10 * item);
    for (uint32_t item = 0; item < 2; item++) { // the diagonals go: they stand first in a row
        stored_row *row = asked_item_row(&m, "ease.gram", item);
        assert_non_null(row);
        memset(row->value + 8, 0, 8);
    }
    asked_reload(&m);
    asked_act(&m, 0, 1, begin_ms + 1000); // known: adds nothing
    asked_scores(&m, "ease", 0, 0, 3, scores);
    assert_true(fabs((double)scores[2] - 8.0 / 2) < 1e-4);
    mill_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_worked_figures),
        cmocka_unit_test(the_one_item_that_a_user_lacks_has_the_score_of_the_closed_form),
        cmocka_unit_test(other_items_have_that_of_regression_on_what_the_user_knows),
        cmocka_unit_test(candidates_are_the_best_by_score),
        cmocka_unit_test(a_table_that_is_no_gram_matrix_is_read_without_what_spoils_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
