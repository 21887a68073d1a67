// SPDX-License-Identifier: Apache-2.0
// linucb through the engine: what lists say of mean and deviation against ridge regression solved
// by elimination from the stored sums, the stored sums against the events, and the worked figures.
#include "core/base/ridge.h"
#include "tests/unit/core/asked.h"

enum { DIM = 16, USERS = 6, ITEMS = 9, SLATE = 3, HEAD = 24 }; // HEAD: bytes before a row's values

#define NOISE 0.5

static const mr_setting settings[] = {{"linucb", "dim", DIM},
                                      {"linucb", "half_life_s", 86400},
                                      {"linucb", "noise", NOISE},
                                      {"embedding", "dim", DIM}};

static void open_mill(mill *m)
{
    static const char *const off[] = {"popularity", "covisit", "diag_linucb", "multi_interest"};
    mr_engine_config config = mill_defaults();
    config.tasks = 1;
    config.explore_bp = 10000;
    config.list_interval_ms = 0;
    config.off = off;
    config.off_count = sizeof off / sizeof off[0];
    config.settings = settings;
    config.setting_count = 4;
    mill_open(m, &config);
}

static void learn(mill *m, made_event *events, uint32_t count)
{
    mr_error err;
    if (mill_round(m, events, count, &err) != MR_OK)
        fail_msg("%s", err.text);
    mill_close_commit(m);
}

// A user sees three items and clicks the one that is his by number, if it is among them. Returns
// which item was clicked, ITEMS: none.
static uint32_t look(mill *m, uint32_t round, uint32_t shown[SLATE])
{
    static mr_line lines[SLATE];
    static char ids[SLATE][8];
    made_event events[2];
    const uint32_t user = round % USERS;
    const int64_t time_ms = 1700000000000 + round * 60000ll;
    uint32_t clicked = ITEMS;
    mill_act(&events[0], MR_EVENT_IMPRESSION, user, 0, time_ms);
    for (uint32_t i = 0; i < SLATE; i++) {
        shown[i] = (round * 5 + i * 2) % ITEMS;
        snprintf(ids[i], sizeof ids[i], "i%u", shown[i]);
        lines[i] = (mr_line){.item = mr_bytes_text(ids[i])};
        clicked = shown[i] % USERS == user ? shown[i] : clicked;
    }
    events[0].arrival.event.lines = lines;
    events[0].arrival.event.line_count = SLATE;
    mill_act(&events[1], MR_EVENT_CLICK, user, clicked % ITEMS, time_ms + 1000);
    learn(m, events, clicked == ITEMS ? 1 : 2);
    return clicked;
}

static stored_row *sums_row(mill *m, const char *item)
{
    return asked_item_row(m, "linucb.sums", (uint32_t)atoi(item + 1));
}

static uint8_t *context_of(mill *m, uint32_t user)
{
    uint32_t size;
    uint8_t *context = asked_part(m, "linucb.context", user, &size);
    assert_non_null(context);
    return context;
}

// Mean and deviation at x by Gauss-Jordan elimination of (I + A) (y z) = (b x).
static void ridge(const stored_row *row, const float x[DIM], double *mean, double *deviation)
{
    double m[DIM][DIM + 2] = {0}, values[DIM + DIM * (DIM + 1) / 2] = {0};
    if (row != NULL)
        memcpy(values, row->value + 8 + HEAD, sizeof values);
    for (int i = 0, at = DIM; i < DIM; i++) {
        for (int j = 0; j <= i; j++, at++)
            m[i][j] = m[j][i] = values[at] + (i == j);
        m[i][DIM] = values[i];
        m[i][DIM + 1] = (double)x[i];
    }
    for (int p = 0; p < DIM; p++)
        for (int i = 0; i < DIM; i++) {
            const double factor = i == p ? 0 : m[i][p] / m[p][p];
            for (int j = 0; j < DIM + 2; j++)
                m[i][j] -= factor * m[p][j];
        }
    double variance = 0;
    *mean = 0;
    for (int i = 0; i < DIM; i++) {
        *mean += (double)x[i] * m[i][DIM] / m[i][i];
        variance += (double)x[i] * m[i][DIM + 1] / m[i][i];
    }
    *deviation = NOISE * sqrt(variance);
}

static void lists_say_what_ridge_regression_says(void **state)
{
    (void)state;
    static mill m;
    open_mill(&m);
    uint32_t shown[SLATE], checked = 0;
    for (uint32_t round = 0; round < 120; round++) {
        if (round % 40 == 39)
            mill_restart(&m, round);
        const uint64_t lists = m.list_count;
        look(&m, round, shown);
        if (round < 60 || m.list_count == lists) // an equal list is not published again
            continue;
        float x[DIM];
        memcpy(x, context_of(&m, round % USERS) + 8, sizeof x);
        for (uint32_t e = 0; e < m.last.entry_count; e++) {
            char item[16];
            const mr_bytes id = m.last_entries[e].item;
            snprintf(item, sizeof item, "%.*s", (int)id.size, (const char *)id.data);
            double mean, deviation;
            ridge(sums_row(&m, item), x, &mean, &deviation);
            assert_true(fabs((double)m.last_entries[e].mean - mean) < 1e-5);
            assert_true(fabs((double)m.last_entries[e].spread - deviation) < 1e-5);
            checked++;
        }
    }
    assert_true(checked > 100);
    mill_close(&m);
}

// With a half-life of a day and a minute between looks, the first number of A is the faded count of
// showings (x_0 is 1), and that of b the faded count of clicks.
static void sums_are_those_of_the_events(void **state)
{
    (void)state;
    static mill m;
    open_mill(&m);
    double showings[ITEMS] = {0}, clicks[ITEMS] = {0}, last[ITEMS] = {0};
    uint32_t shown[SLATE];
    for (uint32_t round = 0; round < 100; round++) {
        const uint32_t clicked = look(&m, round, shown);
        for (uint32_t i = 0; i < SLATE; i++) {
            const uint32_t item = shown[i];
            const double faded = exp2(-(round * 60.0 - last[item]) / 86400);
            showings[item] = showings[item] * faded + 1;
            clicks[item] *= faded;
            last[item] = round * 60.0;
        }
        if (clicked < ITEMS) {
            const double faded = exp2(-1.0 / 86400);
            showings[clicked] *= faded;
            clicks[clicked] = clicks[clicked] * faded + 1;
            last[clicked] += 1;
        }
    }
    for (uint32_t item = 0; item < ITEMS; item++) {
        char id[8];
        double b, a;
        snprintf(id, sizeof id, "i%u", item);
        const stored_row *row = sums_row(&m, id);
        assert_non_null(row);
        memcpy(&b, row->value + 8 + HEAD, 8);
        memcpy(&a, row->value + 8 + HEAD + 8 * DIM, 8);
        assert_true(fabs(a - showings[item]) < 1e-9 * showings[item]);
        assert_true(fabs(b - clicks[item]) < 1e-9 * (1 + clicks[item]));
    }
    mill_close(&m);
}

// Three observations (x, r): ((1, .5), 1), ((0, 1), 0), ((1, 1), 1); at x = (1, 0) the upper bound
// of one deviation is 1.2249473.
static void the_worked_figures(void **state)
{
    (void)state;
    static mill m;
    open_mill(&m);
    uint32_t shown[SLATE];
    for (uint32_t round = 0; round < USERS; round++)
        look(&m, round, shown);
    stored_row *row = sums_row(&m, "i0");
    assert_non_null(row);
    double values[DIM + DIM * (DIM + 1) / 2] = {2, 1.5};
    values[DIM] = 2;                // A_00
    values[DIM + 1] = 1.5;          // A_10
    values[DIM + 2] = 0.25 + 1 + 1; // A_11
    memcpy(row->value + 8 + HEAD, values, sizeof values);
    const uint32_t user = 5;
    float x[DIM] = {1};
    const uint32_t acts = 1; // the next act does not place him anew
    memcpy(context_of(&m, user), &acts, 4);
    memcpy(context_of(&m, user) + 8, x, sizeof x);
    for (uint32_t i = 0; i < m.row_count; i++)
        m.rows[i].hash = mr_row_hash(mr_bytes_of(m.rows[i].key, m.rows[i].key_size),
                                     mr_bytes_of(m.rows[i].value, m.rows[i].value_size));
    mill_restart(&m, 3);
    made_event event;
    mill_act(&event, MR_EVENT_CLICK, user, 8, 1700000900000);
    learn(&m, &event, 1);
    bool found = false;
    for (uint32_t e = 0; e < m.last.entry_count; e++) {
        if (!mr_bytes_equal(m.last_entries[e].item, mr_bytes_text("i0")))
            continue;
        found = true;
        assert_true(fabs((double)m.last_entries[e].mean - 17.0 / 30) < 1e-6);
        assert_true(fabs((double)m.last_entries[e].mean + (double)m.last_entries[e].spread / NOISE -
                         1.2249473) < 1e-6);
    }
    assert_true(found);
    mill_close(&m);
}

// ---- coefficients that all items share

enum { SHARED = 2, SPREAD = DIM + SHARED };

static void see(double *sums, const double *x, uint32_t d, const double z[SHARED], double reward)
{
    float y[SPREAD] = {0};
    for (uint32_t i = 0; i < d; i++)
        y[i] = (float)x[i];
    for (uint32_t j = 0; j < SHARED; j++)
        y[DIM + j] = (float)z[j];
    mr_ridge_try(sums, SPREAD, y);
    mr_ridge_reward(sums, SPREAD, y, reward);
}

typedef struct solved { // an arm
    float theta[DIM], inverse[DIM * DIM], across[SHARED * DIM];
    double shared[SHARED * (SHARED + 1) / 2 + SHARED];
} solved;

// Mean and variance at (x, z) as ridge.h gives them.
static void judge(const solved *arm, const double *beta, const double *inverse, const double *x,
                  uint32_t d, const double z[SHARED], double *mean, double *variance)
{
    double w[SHARED];
    *mean = *variance = 0;
    for (uint32_t j = 0; j < SHARED; j++) {
        w[j] = z[j];
        for (uint32_t i = 0; i < d; i++)
            w[j] -= (double)arm->across[j * DIM + i] * x[i];
        *mean += w[j] * beta[j];
    }
    for (uint32_t i = 0; i < d; i++) {
        *mean += (double)arm->theta[i] * x[i];
        for (uint32_t k = 0; k < d; k++)
            *variance += x[i] * (double)arm->inverse[i * DIM + k] * x[k];
    }
    for (uint32_t j = 0; j < SHARED; j++)
        for (uint32_t k = 0; k < SHARED; k++)
            *variance += w[j] * inverse[j * SHARED + k] * w[k];
}

// One arm, (z, x, r): ((1, 0), (1, 1), 1), ((0, 1), (1, 0), 0).
static void shared_coefficients_by_the_worked_figures(void **state)
{
    (void)state;
    double sums[SPREAD + SPREAD * (SPREAD + 1) / 2] = {0}, beta[SHARED], inverse[SHARED * SHARED];
    double mean, variance;
    solved arm;
    see(sums, (double[]){1, 1}, 2, (double[]){1, 0}, 1);
    see(sums, (double[]){1, 0}, 2, (double[]){0, 1}, 0);
    mr_ridge_solve_arm(sums, DIM, SHARED, 1, arm.theta, arm.inverse, arm.across, arm.shared);
    mr_ridge_solve_shared(arm.shared, SHARED, 1, beta, inverse);
    assert_true(fabs(beta[0] - .2727273) < 1e-6 && fabs(beta[1] + .0909091) < 1e-6);
    for (uint32_t i = 0; i < 2; i++) { // theta = A^-1 b - A^-1 B beta
        double theta = (double)arm.theta[i];
        for (uint32_t j = 0; j < SHARED; j++)
            theta -= (double)arm.across[j * DIM + i] * beta[j];
        assert_true(fabs(theta - (i == 0 ? .1818182 : .2727273)) < 1e-6);
    }
    judge(&arm, beta, inverse, (double[]){1, .5}, 2, (double[]){1, 1}, &mean, &variance);
    assert_true(fabs(variance - 1) < 1e-6);
}

// x = m^-1 x by Gauss and Jordan, n numbers.
static void eliminate(double *m, uint32_t n, double *x)
{
    for (uint32_t p = 0; p < n; p++)
        for (uint32_t r = 0; r < n; r++) {
            const double by = m[r * n + p] / m[p * n + p];
            if (r == p)
                continue;
            for (uint32_t c = p; c < n; c++)
                m[r * n + c] -= by * m[p * n + c];
            x[r] -= by * x[p];
        }
    for (uint32_t p = 0; p < n; p++)
        x[p] /= m[p * n + p];
}

// Every arm's own x and the z of all side by side are one vector: one ridge regression.
static void arms_with_shared_coefficients_are_one_ridge_regression(void **state)
{
    (void)state;
    enum { ARMS = 3, D = 4, N = ARMS * D + SHARED, TRIES = 40 };
    double sums[ARMS][SPREAD + SPREAD * (SPREAD + 1) / 2] = {{0}};
    double a[N * N] = {0}, b[N] = {0}, total[SHARED * (SHARED + 1) / 2 + SHARED] = {0};
    double beta[SHARED], inverse[SHARED * SHARED], copy[N * N], theta[N];
    const double lambda = .7;
    solved arms[ARMS];
    mr_rng rng = mr_rng_make(3, 0, 0, 0, MR_PURPOSE_SIM);
    for (uint32_t i = 0; i < N; i++)
        a[i * N + i] = lambda;
    for (uint32_t t = 0; t < TRIES; t++) {
        double y[N] = {0}, x[D], z[SHARED];
        const uint32_t arm = mr_rng_below(&rng, ARMS);
        const double reward = mr_rng_double(&rng);
        for (uint32_t i = 0; i < D; i++)
            y[arm * D + i] = x[i] = (double)mr_rng_float(&rng);
        for (uint32_t j = 0; j < SHARED; j++)
            y[ARMS * D + j] = z[j] = (double)mr_rng_float(&rng);
        see(sums[arm], x, D, z, reward);
        for (uint32_t i = 0; i < N; i++) {
            b[i] += reward * y[i];
            for (uint32_t j = 0; j < N; j++)
                a[i * N + j] += y[i] * y[j];
        }
    }
    for (uint32_t arm = 0; arm < ARMS; arm++) {
        solved *of = &arms[arm];
        mr_ridge_solve_arm(sums[arm], DIM, SHARED, lambda, of->theta, of->inverse, of->across,
                           of->shared);
        for (uint32_t i = 0; i < mr_ridge_shared_cells(SHARED); i++)
            total[i] += of->shared[i];
    }
    mr_ridge_solve_shared(total, SHARED, lambda, beta, inverse);
    memcpy(copy, a, sizeof a);
    memcpy(theta, b, sizeof b);
    eliminate(copy, N, theta);
    for (uint32_t arm = 0; arm < ARMS; arm++) {
        double y[N] = {0}, solution[N], mean, variance, mean_of_all = 0, variance_of_all = 0;
        const double x[D] = {.5, -.2, 1, .1}, z[SHARED] = {.3, -1};
        memcpy(&y[(size_t)arm * D], x, sizeof x);
        memcpy(&y[ARMS * D], z, sizeof z);
        memcpy(copy, a, sizeof a);
        memcpy(solution, y, sizeof y);
        eliminate(copy, N, solution);
        for (uint32_t i = 0; i < N; i++) {
            mean_of_all += theta[i] * y[i];
            variance_of_all += solution[i] * y[i];
        }
        judge(&arms[arm], beta, inverse, x, D, z, &mean, &variance);
        assert_true(fabs(mean - mean_of_all) < 1e-5);
        assert_true(fabs(variance - variance_of_all) < 1e-5);
    }
}

// Half of what is shown is clicked. An item that nobody was shown is believed to be like the others
// where coefficients are shared; with its own alone it is worth nothing.
static void a_new_item_begins_with_what_all_items_share(void **state)
{
    (void)state;
    for (int hybrid = 0; hybrid < 2; hybrid++) {
        static mill m;
        static const char *const on[] = {"embedding", "linucb"};
        const mr_setting with[] = {
            {"linucb", "dim", DIM}, {"linucb", "coefficients", hybrid}, {"embedding", "dim", DIM}};
        const int64_t start_ms = 1700000000000;
        float mean[2], deviation[2];
        asked_open(&m, on, 2, with, 3);
        for (uint32_t t = 0; t < 60; t++) {
            made_event events[2];
            mill_act(&events[0], MR_EVENT_IMPRESSION, t % USERS, t % 7, start_ms + t * 60000);
            snprintf(events[0].line_items[0], sizeof events[0].line_items[0], "i%u", t % 7);
            events[0].lines[0] = (mr_line){
                .item = mr_bytes_text(events[0].line_items[0]), .quantity = 1, .propensity = 1};
            events[0].arrival.event.lines = events[0].lines;
            events[0].arrival.event.line_count = 1;
            events[0].arrival.event.present |= 1u << MR_FIELD_lines;
            mill_act(&events[1], MR_EVENT_CLICK, t % USERS, t % 7, start_ms + t * 60000 + 1000);
            asked_round(&m, events, 1 + t % 2);
        }
        made_event fresh;
        mill_act(&fresh, MR_EVENT_CATALOGUE, 0, 8, start_ms + 61 * 60000);
        asked_round(&m, &fresh, 1);
        asked_model a = asked(&m, "linucb");
        const uint32_t slots[] = {asked_item(&m, 8), asked_item(&m, 3)};
        a.model->spread(a.instance, &a.view, asked_user(&m, 1), slots, 2, mean, deviation);
        assert_true(hybrid ? mean[0] > .2f && mean[0] < 1.2f : mean[0] == 0.0f);
        assert_true(deviation[0] > deviation[1]);
        mill_close(&m);
    }
}

// ---- drift

enum { GOOD_ROUNDS = 400, BAD_ROUNDS = 200 };

static double drifts_of(mill *m)
{
    mr_engine_metrics metrics;
    mr_engine_measure(m->engine, &metrics);
    for (uint32_t i = 0; i < metrics.measure_count; i++)
        if (strcmp(metrics.measures[i].name, "drifts") == 0)
            return metrics.measures[i].value;
    return -1;
}

static void open_watching(mill *m, double keep)
{
    static mr_setting watching[] = {{"linucb", "dim", DIM},
                                    {"linucb", "half_life_s", 1e9},
                                    {"linucb", "drift", 0.002},
                                    {"linucb", "drift_keep", 0},
                                    {"embedding", "dim", DIM}};
    static const char *const off[] = {"popularity", "covisit", "diag_linucb"};
    mr_engine_config config = mill_defaults();
    watching[3].value = keep;
    config.tasks = 1;
    config.explore_bp = 10000;
    config.list_interval_ms = 0;
    config.seen = MR_SEEN_KEEP;
    config.off = off;
    config.off_count = 3;
    config.settings = watching;
    config.setting_count = 5;
    mill_open(m, &config);
}

// A list of three that is answered, with a click on its first item or without one.
static void answer(mill *m, uint32_t round, bool clicks)
{
    static mr_line lines[SLATE];
    static char ids[SLATE][8];
    made_event events[2];
    const uint32_t user = round % USERS;
    const int64_t time_ms = 1700000000000 + round * 60000ll;
    mill_act(&events[0], MR_EVENT_IMPRESSION, user, 0, time_ms);
    for (uint32_t i = 0; i < SLATE; i++) {
        snprintf(ids[i], sizeof ids[i], "i%u", (round + i) % ITEMS);
        lines[i] = (mr_line){.item = mr_bytes_text(ids[i])};
    }
    events[0].arrival.event.lines = lines;
    events[0].arrival.event.line_count = SLATE;
    mill_act(&events[1], MR_EVENT_CLICK, user, round % ITEMS, time_ms + 1000);
    for (uint32_t i = 0; i < 2; i++) {
        events[i].arrival.event.present |= 1u << MR_FIELD_list_version;
        events[i].arrival.event.list_version = 1;
    }
    learn(m, events, clicks ? 2 : 1);
}

static double mean_in_last_list(const mill *m)
{
    double sum = 0;
    for (uint32_t e = 0; e < m->last.entry_count; e++)
        sum += (double)m->last_entries[e].mean;
    return sum / m->last.entry_count;
}

static double run_watching(mill *m, double keep, uint32_t restart_every)
{
    open_watching(m, keep);
    for (uint32_t round = 0; round < GOOD_ROUNDS + BAD_ROUNDS; round++) {
        answer(m, round, round < GOOD_ROUNDS);
        if (round == GOOD_ROUNDS - 1)
            assert_true(drifts_of(m) == 0);
        if (restart_every > 0 && round % restart_every == restart_every - 1)
            mill_restart(m, round);
    }
    return mean_in_last_list(m);
}

static void a_drift_is_noticed_once_and_what_was_learned_before_it_forgotten(void **state)
{
    (void)state;
    static mill watched, forgetful, restarted;
    const double remembered = run_watching(&watched, 1, 0);
    const double forgotten = run_watching(&forgetful, 0.02, 0);
    const double again = run_watching(&restarted, 0.02, 7);
    print_message("mean of a list after the drift: %.3f with all that was learned, %.3f without\n",
                  remembered, forgotten);
    assert_true(drifts_of(&watched) == 1 && drifts_of(&forgetful) == 1);
    assert_true(remembered > 0.15);
    assert_true(fabs(forgotten) < 0.5 * remembered);
    // A worker that begins again from its rows has the same state and the same lists.
    const mr_hash128 a = mill_hash(&forgetful), b = mill_hash(&restarted);
    assert_true(a.low == b.low && a.high == b.high && forgotten == again);
    mill_close(&watched);
    mill_close(&forgetful);
    mill_close(&restarted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_say_what_ridge_regression_says),
        cmocka_unit_test(sums_are_those_of_the_events),
        cmocka_unit_test(the_worked_figures),
        cmocka_unit_test(shared_coefficients_by_the_worked_figures),
        cmocka_unit_test(arms_with_shared_coefficients_are_one_ridge_regression),
        cmocka_unit_test(a_new_item_begins_with_what_all_items_share),
        cmocka_unit_test(a_drift_is_noticed_once_and_what_was_learned_before_it_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
