// SPDX-License-Identifier: Apache-2.0
// The models one by one, seen through the rows that they write: closed forms and directions of
// steps.
#include <math.h>

#include "core/model/decay.h"
#include "core/model/loss.h"
#include "core/model/optimiser.h"
#include "core/rows.h"
#include "tests/unit/core/mill.h"

enum { DIM = 16 };

enum { MODELS = 5 };
static const char *const all_models[MODELS] = {"popularity", "covisit", "diag_linucb", "embedding",
                                               "multi_interest"};

// An engine of one task with one model on (diag_linucb brings embedding along).
static void open_only(mill *m, const char *model, const mr_setting *settings, uint32_t count)
{
    static const char *off[MODELS];
    mr_engine_config config = mill_defaults();
    config.tasks = 1;
    config.lists = false;
    config.off = off;
    for (uint32_t i = 0; i < MODELS; i++)
        if (strcmp(all_models[i], model) != 0 &&
            !(strcmp(model, "diag_linucb") == 0 && strcmp(all_models[i], "embedding") == 0))
            off[config.off_count++] = all_models[i];
    config.settings = settings;
    config.setting_count = count;
    mill_open(m, &config);
}

static void act(mill *m, uint32_t user, uint32_t item, int64_t time_ms)
{
    made_event event;
    mr_error err;
    mill_act(&event, MR_EVENT_CLICK, user, item, time_ms);
    if (mill_round(m, &event, 1, &err) != MR_OK)
        fail_msg("%s", err.text);
    mill_close_commit(m);
}

static uint16_t code_of(const char *name)
{
    return (uint16_t)(mr_hash64(name, strlen(name), 0) | 1u);
}

// The stored row of a family and an item, without its header; size of it in *bytes.
static const uint8_t *item_row(mill *m, const char *family, uint32_t item, uint32_t *bytes)
{
    char id[16];
    uint8_t key[11] = {MR_ROW_ITEM};
    snprintf(id, sizeof id, "i%u", item);
    mr_put_u16_be(key + 1, code_of(family));
    mr_put_u64_be(key + 3, mr_item_key(mr_bytes_text(id)));
    const stored_row *row = mill_find(m, 0, mr_bytes_of(key, sizeof key));
    assert_non_null(row);
    *bytes = row->value_size - 8;
    return row->value + 8;
}

static void item_vector(mill *m, uint32_t item, float v[DIM])
{
    uint32_t bytes;
    memcpy(v, item_row(m, "embedding.item", item, &bytes), DIM * sizeof *v);
}

static void user_vector(mill *m, uint32_t user, float u[DIM])
{
    char id[16];
    uint8_t key[32] = {MR_ROW_USER};
    snprintf(id, sizeof id, "u%u", user);
    memcpy(key + 1, id, strlen(id));
    const stored_row *row = mill_find(m, 0, mr_bytes_of(key, strlen(id) + 1));
    assert_non_null(row);
    for (uint32_t at = 4; at < row->value_size;) { // the directory of parts
        uint16_t code;
        uint32_t size;
        memcpy(&code, row->value + at, 2);
        memcpy(&size, row->value + at + 4, 4);
        if (code == code_of("embedding.user"))
            memcpy(u, row->value + at + 8, DIM * sizeof *u);
        at += 8 + size;
    }
}

static double cosine(const float *a, const float *b)
{
    double ab = 0, aa = 0, bb = 0;
    for (int i = 0; i < DIM; i++) {
        ab += (double)a[i] * (double)b[i];
        aa += (double)a[i] * (double)a[i];
        bb += (double)b[i] * (double)b[i];
    }
    return ab / sqrt(aa * bb);
}

static void minus(const float *a, const float *b, float *difference)
{
    for (int i = 0; i < DIM; i++)
        difference[i] = a[i] - b[i];
}

// With two items the gradients of both losses have closed directions: of the user's row along
// v_0 - v_1, of the positive's along u, of the negative's against u.
static void a_step_goes_down_the_gradient_of_its_loss(void **state)
{
    (void)state;
    for (int loss = MR_LOSS_BPR; loss <= MR_LOSS_SOFTMAX; loss++) {
        static mill m;
        const mr_setting settings[] = {{"embedding", "dim", DIM},
                                       {"embedding", "loss", loss},
                                       {"embedding", "uniform", 1},
                                       {"embedding", "negatives", 16}};
        open_only(&m, "embedding", settings, 4);
        act(&m, 1, 0, 1700000000000);
        act(&m, 2, 1, 1700000001000);
        act(&m, 3, 1, 1700000002000); // so that the rows below have been written
        act(&m, 4, 0, 1700000003000);
        float u[DIM], v0[DIM], v1[DIM], u_after[DIM], v0_after[DIM], v1_after[DIM], want[DIM],
            have[DIM];
        // User 5 gets item 1 among his recent ones: acting on item 0 then has no negative left, so
        // nothing moves at all.
        act(&m, 5, 1, 1700000004000);
        user_vector(&m, 5, u);
        item_vector(&m, 0, v0);
        act(&m, 5, 0, 1700000006000);
        user_vector(&m, 5, u_after);
        item_vector(&m, 0, v0_after);
        assert_memory_equal(u, u_after, sizeof u);
        assert_memory_equal(v0, v0_after, sizeof v0);
        // User 2 knows item 1 only; item 1 again has item 0 as its one negative.
        user_vector(&m, 2, u);
        item_vector(&m, 0, v0);
        item_vector(&m, 1, v1);
        act(&m, 2, 1, 1700000007000);
        user_vector(&m, 2, u_after);
        item_vector(&m, 0, v0_after);
        item_vector(&m, 1, v1_after);
        minus(u_after, u, have);
        minus(v1, v0, want);
        assert_true(cosine(have, want) > 0.9999);
        minus(v1_after, v1, have);
        assert_true(cosine(have, u) > 0.9999);
        minus(v0_after, v0, have);
        assert_true(cosine(have, u) < -0.9999);
        mill_close(&m);
    }
}

// How much higher users score what they act on than what others do, after 300 acts.
static double separation(mr_loss loss, mr_optimiser_kind optimiser)
{
    static mill m;
    const mr_setting settings[] = {{"embedding", "dim", DIM},
                                   {"embedding", "loss", loss},
                                   {"embedding", "optimiser", optimiser}};
    open_only(&m, "embedding", settings, 3);
    for (uint32_t round = 0; round < 300; round++)
        act(&m, round % 2, 10 * (round % 2) + round % 5, 1700000000000 + round * 100000);
    float u[DIM], mine[DIM], other[DIM];
    double gap = 0;
    for (uint32_t item = 0; item < 5; item++) {
        user_vector(&m, item % 2, u);
        item_vector(&m, 10 * (item % 2) + item, mine);
        item_vector(&m, 10 * ((item + 1) % 2) + item, other);
        for (int i = 0; i < DIM; i++)
            gap += (double)u[i] * (double)(mine[i] - other[i]);
    }
    mill_close(&m);
    return gap / 5;
}

static void training_separates_what_is_acted_on_from_what_is_not(void **state)
{
    (void)state;
    for (int loss = 0; loss < MR_LOSSES; loss++)
        for (int optimiser = 0; optimiser < MR_OPTIMISERS; optimiser++) {
            const double gap = separation((mr_loss)loss, (mr_optimiser_kind)optimiser);
            if (!(gap > (loss == MR_LOSS_BPR && optimiser == 0 ? .5 : .05)))
                fail_msg("loss %d, optimiser %d: %g", loss, optimiser, gap);
        }
}

static void rows_of_the_metric_space_stay_in_the_unit_ball(void **state)
{
    (void)state;
    static mill m;
    const mr_setting settings[] = {{"embedding", "dim", DIM},
                                   {"embedding", "loss", MR_LOSS_METRIC},
                                   {"embedding", "rate_user", 3},
                                   {"embedding", "rate_item", 3}};
    open_only(&m, "embedding", settings, 4);
    float u[DIM], v[DIM], longest = 0;
    for (uint32_t round = 0; round < 60; round++) {
        act(&m, round % 4, 10 * (round % 2) + round % 5, 1700000000000 + round * 100000);
        user_vector(&m, round % 4, u);
        item_vector(&m, 10 * (round % 2) + round % 5, v);
        assert_true(u[DIM - 1] == 1.0f && v[DIM - 1] == 0.0f);
        float of_user = 0, of_item = 0;
        for (int i = 0; i < DIM - 1; i++) {
            of_user += u[i] * u[i];
            of_item += v[i] * v[i];
        }
        assert_true(of_user <= 1.0001f && of_item <= 1.0001f);
        longest = of_item > longest ? of_item : longest;
    }
    assert_true(longest > 0.9f); // so that the bound was met
    mill_close(&m);
}

typedef struct neighbours { // the row of covisit, as state/FORMAT.md has it
    int64_t total, era;
    uint32_t count, reserved;
    struct {
        uint64_t key;
        int64_t count;
    } cells[64];
} neighbours;

static int64_t pair_count(mill *m, uint32_t item, uint32_t other)
{
    uint32_t bytes;
    neighbours row = {0};
    char id[16];
    const uint8_t *value = item_row(m, "covisit.neighbours", item, &bytes);
    memcpy(&row, value, bytes < sizeof row ? bytes : sizeof row);
    snprintf(id, sizeof id, "i%u", other);
    for (uint32_t i = 0; i < row.count; i++)
        if (row.cells[i].key == mr_item_key(mr_bytes_text(id)))
            return row.cells[i].count;
    return 0;
}

static void pairs_count_by_distance_session_and_direction(void **state)
{
    (void)state;
    static mill m;
    const mr_setting settings[] = {{"covisit", "half_life_s", 1e9}};
    open_only(&m, "covisit", settings, 1);
    const int64_t t = 1700000000000;
    act(&m, 1, 0, t);
    act(&m, 1, 1, t + 1000);
    act(&m, 1, 2, t + 2000);
    act(&m, 1, 3, t + 2000 + 3600 * 1000); // another session: a fifth
    const double unit = (double)mr_decay_units(t, 1000000000000, 1.0);
    assert_true(fabs((double)pair_count(&m, 0, 1) / unit - 1.0) < 1e-3);
    assert_true(fabs((double)pair_count(&m, 1, 0) / unit - 0.5) < 1e-3); // back
    assert_true(fabs((double)pair_count(&m, 0, 2) / unit - 0.5) < 1e-3); // one in between
    assert_true(fabs((double)pair_count(&m, 2, 3) / unit - 0.2) < 1e-3);
    assert_true(fabs((double)pair_count(&m, 0, 3) / unit - 0.2 / 3) < 1e-3);
    act(&m, 1, 3, t + 4000 + 3600 * 1000); // a repeat adds nothing
    assert_true(fabs((double)pair_count(&m, 2, 3) / unit - 0.2) < 1e-3);
    mill_close(&m);
}

static void a_full_table_keeps_its_heavy_neighbours(void **state)
{
    (void)state;
    static mill m;
    const mr_setting settings[] = {{"covisit", "half_life_s", 1e9}};
    open_only(&m, "covisit", settings, 1);
    int64_t t = 1700000000000;
    uint32_t user = 0;
    for (uint32_t round = 0; round < 8; round++)
        for (uint32_t other = 1; other <= 100; other++) {
            for (uint32_t times = 0; times < (other <= 10 ? 3u : 1u); times++) {
                act(&m, user, 0, t);
                act(&m, user++, other, t + 1000);
                t += 2000;
            }
        }
    for (uint32_t heavy = 1; heavy <= 10; heavy++) // 24 times each, the others 8 times
        assert_true(pair_count(&m, 0, heavy) > 0);
    mill_close(&m);
}

static void counts_of_every_half_life_are_written(void **state)
{
    (void)state;
    static mill m;
    open_only(&m, "popularity", NULL, 0);
    const int64_t t = 1700000000000;
    act(&m, 1, 0, t);
    act(&m, 2, 0, t + 900 * 1000); // one half-life of the fastest
    uint32_t bytes;
    mr_decayed counts[6];
    memcpy(counts, item_row(&m, "popularity.counts", 0, &bytes), sizeof counts);
    assert_int_equal(bytes, sizeof counts);
    const double fast = mr_decayed_at(&counts[0], mr_decay_time_of(t + 900 * 1000, 900 * 1000));
    assert_true(fabs(fast - 1.5) < 1e-3);
    assert_int_equal(counts[5].newest, 2 * 65536);
    mill_close(&m);
}

static void a_user_stands_in_clusters_whose_weights_add_up_to_one(void **state)
{
    (void)state;
    static mill m;
    const mr_setting settings[] = {{"embedding", "dim", DIM}, {"diag_linucb", "clusters", 8}};
    mr_engine_config config = mill_defaults();
    config.tasks = 1;
    config.settings = settings;
    config.setting_count = 2;
    mill_open(&m, &config);
    for (uint32_t c = 0; c < 6; c++) {
        mill_traffic(&m, c * 5, 5, 3);
        mill_close_commit(&m);
    }
    assert_true(m.last.context_count >= 1 && m.last.context_count <= 4);
    float sum = 0;
    for (uint32_t i = 0; i < m.last.context_count; i++) {
        assert_true(m.last.context[i].cluster < 8 && m.last.context[i].weight > 0);
        sum += m.last.context[i].weight;
    }
    assert_true(fabsf(sum - 1.0f) < 1e-5f);
    mill_close(&m);
}

// With one cluster its weight is 1, and n showings, s of them clicked, give (s + 5 x .02)/(n + 5);
// of what was never shown the prior is known, as well as five showings tell.
static void a_reward_is_as_sure_as_its_showings_make_it(void **state)
{
    (void)state;
    enum { SHOWN = 12, CLICKED = 4 };
    static mill m;
    const mr_setting settings[] = {{"embedding", "dim", DIM},
                                   {"diag_linucb", "clusters", 1},
                                   {"diag_linucb", "half_life_s", 1e9}};
    mr_engine_config config = mill_defaults();
    config.tasks = 1;
    config.explore_bp = 10000;
    config.list_interval_ms = 0;
    config.settings = settings;
    config.setting_count = 3;
    mill_open(&m, &config);
    const int64_t t = 1700000000000;
    mr_error err;
    made_event event;
    mr_line line = {.item = mr_bytes_text("i7")};
    act(&m, 0, 8, t); // places the user; without impressions so far it is a try of its own
    for (uint32_t i = 0; i < SHOWN; i++) {
        mill_act(&event, MR_EVENT_IMPRESSION, 0, 0, t + 1000 * i + 1000);
        event.arrival.event.lines = &line;
        event.arrival.event.line_count = 1;
        assert_int_equal(mill_round(&m, &event, 1, &err), MR_OK);
        if (i < CLICKED)
            act(&m, i + 1, 7, t + 1000 * i + 1001);
    }
    act(&m, 20, 9, t + 100000);
    uint32_t seen = 0;
    for (uint32_t e = 0; e < m.last.entry_count; e++) {
        const bool shown = mr_bytes_equal(m.last_entries[e].item, mr_bytes_text("i7"));
        const double p = shown ? (CLICKED + 0.1) / (SHOWN + 5) : (double)m.last_entries[e].mean;
        const bool first = mr_bytes_equal(m.last_entries[e].item, mr_bytes_text("i8"));
        const double tried = shown ? SHOWN : first;
        const double deviation = sqrt(p * (1 - p) / (5 + tried));
        seen += shown;
        assert_true(fabs((double)m.last_entries[e].mean - p) < 1e-5);
        assert_true(fabs((double)m.last_entries[e].spread - deviation) < 1e-5);
    }
    assert_int_equal(seen, 1);
    mill_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reward_is_as_sure_as_its_showings_make_it),
        cmocka_unit_test(a_step_goes_down_the_gradient_of_its_loss),
        cmocka_unit_test(training_separates_what_is_acted_on_from_what_is_not),
        cmocka_unit_test(rows_of_the_metric_space_stay_in_the_unit_ball),
        cmocka_unit_test(pairs_count_by_distance_session_and_direction),
        cmocka_unit_test(a_full_table_keeps_its_heavy_neighbours),
        cmocka_unit_test(counts_of_every_half_life_are_written),
        cmocka_unit_test(a_user_stands_in_clusters_whose_weights_add_up_to_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
