// SPDX-License-Identifier: Apache-2.0
// content: the closed form of its map against elimination, a planted one and worked figures; and
// through the engine: an item has its place before anybody acts on it.
#include "core/base/ridge.h"
#include "tests/unit/core/asked.h"

enum { DIM = 16, ITEMS = 12, WIDE = 256 };

static const char *const alone[] = {"content"};
static const int64_t begin_ms = 1700000000000;
static const mr_setting learning[] = {{"content", "dim", DIM}, {"content", "every", 1}};
static const mr_setting cosines[] = {{"content", "dim", DIM}, {"content", "every", 0}};
static const mr_setting wide_cosines[] = {{"content", "dim", 64}, {"content", "every", 0}};

// ---- the map

static double draw(mr_rng *rng)
{
    return (double)mr_rng_normal(rng);
}

// y = A^-1 y of a symmetric matrix, by Gauss-Jordan elimination.
static void eliminate(const double a[DIM][DIM], double y[DIM])
{
    double m[DIM][DIM];
    memcpy(m, a, sizeof m);
    for (int p = 0; p < DIM; p++)
        for (int i = 0; i < DIM; i++) {
            const double factor = i == p ? 0 : m[i][p] / m[p][p];
            for (int j = 0; j < DIM; j++)
                m[i][j] -= factor * m[p][j];
            y[i] -= factor * y[p];
        }
    for (int i = 0; i < DIM; i++)
        y[i] /= m[i][i];
}

// Pairs (p, y = W p + noise) and what they add up to.
typedef struct pairs {
    float sums[DIM * (DIM + 1) + DIM * DIM];
    double w[DIM][DIM], p[DIM][DIM], y[DIM][DIM], c[DIM][DIM];
    uint32_t count;
} pairs;

static void make_pairs(pairs *of, uint32_t count, double noise)
{
    mr_rng rng = mr_rng_make(3, 0, 0, 0, MR_PURPOSE_SIM);
    memset(of, 0, sizeof *of);
    of->count = count;
    for (int i = 0; i < DIM; i++)
        for (int j = 0; j < DIM; j++)
            of->w[i][j] = draw(&rng) / 4;
    for (uint32_t n = 0; n < count; n++) {
        float p[DIM], y[DIM];
        for (int i = 0; i < DIM; i++)
            p[i] = mr_rng_normal(&rng);
        for (int i = 0; i < DIM; i++) {
            double sum = noise * draw(&rng);
            for (int j = 0; j < DIM; j++)
                sum += of->w[i][j] * (double)p[j];
            y[i] = (float)sum;
        }
        mr_ridge_link_add(of->sums, DIM, p, y, 1);
        for (int i = 0; i < DIM; i++)
            for (int j = 0; j < DIM; j++) {
                of->p[i][j] += (double)p[i] * (double)p[j];
                of->y[i][j] += (double)y[i] * (double)y[j];
                of->c[i][j] += (double)y[i] * (double)p[j];
            }
    }
}

static void the_map_is_what_elimination_gives(void **state)
{
    (void)state;
    static pairs of;
    float map[DIM * DIM], x[DIM];
    const double prior = 7;
    make_pairs(&of, 200, 0.5);
    mr_ridge_link_solve(of.sums, DIM, of.count, prior, map);
    for (int i = 0; i < DIM; i++) {
        of.p[i][i] += prior;
        of.y[i][i] += prior;
        of.c[i][i] += prior;
    }
    mr_rng rng = mr_rng_make(5, 0, 0, 0, MR_PURPOSE_SIM);
    for (int trial = 0; trial < 20; trial++) {
        double a[DIM], b[DIM] = {0};
        for (int i = 0; i < DIM; i++) {
            x[i] = mr_rng_normal(&rng);
            a[i] = (double)x[i];
        }
        eliminate(of.p, a);
        for (int i = 0; i < DIM; i++)
            for (int j = 0; j < DIM; j++)
                b[i] += of.c[i][j] * a[j];
        eliminate(of.y, b);
        for (int i = 0; i < DIM; i++) {
            double got = 0;
            for (int j = 0; j < DIM; j++)
                got += (double)map[i * DIM + j] * (double)x[j];
            const double want = b[i] * (of.count + prior);
            assert_true(fabs(got - want) < 1e-3 * (1 + fabs(want)));
        }
    }
}

// (Y / n) map is C P^-1: least squares of y on p, which is W.
static void a_planted_map_is_recovered(void **state)
{
    (void)state;
    static pairs of;
    float map[DIM * DIM];
    make_pairs(&of, 20000, 0.01);
    mr_ridge_link_solve(of.sums, DIM, of.count, 1e-3, map);
    for (int i = 0; i < DIM; i++)
        for (int j = 0; j < DIM; j++) {
            double w = 0;
            for (int k = 0; k < DIM; k++)
                w += of.y[i][k] / of.count * (double)map[k * DIM + j];
            assert_true(fabs(w - of.w[i][j]) < 1e-3);
        }
}

// 30 pairs of e_0 and e_1 with a prior of 10: by hand (Y + 10)^-1 (C + 10) (P + 10)^-1 40 is 30/40
// where it was seen, 1 on the axes that stood for something else, 4 on the others.
static void the_worked_figures(void **state)
{
    (void)state;
    float sums[DIM * (DIM + 1) + DIM * DIM] = {0}, map[DIM * DIM];
    const float p[DIM] = {1}, y[DIM] = {0, 1};
    for (int n = 0; n < 30; n++)
        mr_ridge_link_add(sums, DIM, p, y, 1);
    mr_ridge_link_solve(sums, DIM, 30, 10, map);
    for (int i = 0; i < DIM; i++)
        for (int j = 0; j < DIM; j++) {
            const float want = i == 1 && j == 0 ? 0.75f : i != j ? 0.0f : i < 2 ? 1.0f : 4.0f;
            assert_true(fabsf(map[i * DIM + j] - want) < 1e-6f);
        }
}

// ---- the engine

static void describe(mill *m, uint32_t item, const float *vector, uint32_t count, int64_t time_ms)
{
    static float kept[WIDE];
    made_event event;
    mill_act(&event, MR_EVENT_CATALOGUE, 1, item, time_ms);
    if (count > 0) {
        memcpy(kept, vector, count * sizeof *kept);
        event.arrival.event.vector = kept;
        event.arrival.event.vector_count = count;
        event.arrival.event.present |= 1u << MR_FIELD_vector;
    }
    asked_round(m, &event, 1);
    assert_int_equal(event.arrival.cause, MR_CAUSE_NONE);
}

// With one category, or none, and one attribute, or none.
static void describe_by(mill *m, uint32_t item, const char *category, const char *colour)
{
    made_event event;
    mill_act(&event, MR_EVENT_CATALOGUE, 1, item, begin_ms);
    mr_event *of = &event.arrival.event;
    if (category != NULL)
        of->categories[of->category_count++] = mr_bytes_text(category);
    if (colour != NULL)
        of->context[of->context_count++] =
            (mr_pair){mr_bytes_text("colour"), mr_bytes_text(colour)};
    asked_round(m, &event, 1);
}

static void an_item_has_its_place_before_anybody_acts_on_it(void **state)
{
    (void)state;
    static mill m;
    float scores[3];
    asked_open(&m, alone, 1, learning, 2);
    describe(&m, 0, (float[]){2, 0, 0}, 3, begin_ms);
    describe(&m, 1, (float[]){0.6f, 0.8f, 0}, 3, begin_ms);
    describe(&m, 2, (float[]){0, -5, 0}, 3, begin_ms);
    asked_act(&m, 1, 0, begin_ms + 1000);
    asked_scores(&m, "content", 0, 1, 3, scores);
    assert_true(fabsf(scores[0] - 1) < 1e-6f); // 8 bits a number
    assert_true(fabsf(scores[1] - 0.6f) < 4e-3f);
    assert_true(fabsf(scores[2]) < 1e-6f);
    asked_model a = asked(&m, "content");
    const uint32_t user = asked_user(&m, 1), seen[] = {asked_item(&m, 0)};
    const mr_filter filter = mr_filter_make(a.view.items, seen, 1);
    mr_found found = {.max = 2};
    a.model->candidates(a.instance, &a.view, &user, 1, 0, &filter, &a.arena, &found);
    assert_int_equal(found.count, 2);
    assert_int_equal(found.slots[0], asked_item(&m, 1));
    assert_true(found.scores[0] == scores[1]);
    mill_close(&m);
}

static void a_user_is_the_mean_of_his_newest_items(void **state)
{
    (void)state;
    static mill m;
    float scores[2];
    asked_open(&m, alone, 1, cosines, 2);
    describe(&m, 0, (float[]){1, 0}, 2, begin_ms);
    describe(&m, 1, (float[]){0, 1}, 2, begin_ms);
    asked_act(&m, 1, 0, begin_ms + 1000);
    asked_act(&m, 1, 1, begin_ms + 2000); // p = (.9, 1), at length 1
    asked_scores(&m, "content", 0, 1, 2, scores);
    const float length = sqrtf(1.81f);
    assert_true(fabsf(scores[0] - 0.9f / length) < 1e-6f);
    assert_true(fabsf(scores[1] - 1.0f / length) < 1e-6f);
    mill_close(&m);
}

// The cosine of two vectors of 256 numbers is that of their 64 within four times 1/sqrt(64); in the
// mean over pairs much nearer.
static void a_long_vector_keeps_its_angles_nearly(void **state)
{
    (void)state;
    static mill m;
    static float vectors[ITEMS][WIDE];
    float scores[ITEMS];
    double off = 0;
    mr_rng rng = mr_rng_make(2, 0, 0, 0, MR_PURPOSE_SIM);
    asked_open(&m, alone, 1, wide_cosines, 2);
    for (uint32_t i = 0; i < ITEMS; i++) { // shares of the first one
        for (uint32_t k = 0; k < WIDE; k++)
            vectors[i][k] = mr_rng_normal(&rng) + (i > 0 ? vectors[0][k] * (float)(i % 4) : 0);
        describe(&m, i, vectors[i], WIDE, begin_ms);
    }
    asked_act(&m, 1, 0, begin_ms + 1000);
    asked_scores(&m, "content", 0, 1, ITEMS, scores);
    for (uint32_t i = 0; i < ITEMS; i++) {
        double dot = 0, a = 0, b = 0;
        for (uint32_t k = 0; k < WIDE; k++) {
            dot += (double)vectors[0][k] * (double)vectors[i][k];
            a += (double)vectors[0][k] * (double)vectors[0][k];
            b += (double)vectors[i][k] * (double)vectors[i][k];
        }
        assert_true(fabs((double)scores[i] - dot / sqrt(a * b)) < 0.5);
        off += (double)scores[i] - dot / sqrt(a * b);
    }
    assert_true(fabs(off / ITEMS) < 0.1);
    mill_close(&m);
}

static void categories_and_attributes_stand_in_for_a_vector(void **state)
{
    (void)state;
    static mill m;
    float scores[5];
    asked_open(&m, alone, 1, wide_cosines, 2);
    describe_by(&m, 0, "shoes", "red");
    describe_by(&m, 1, "shoes", "red");
    describe_by(&m, 2, "shoes", "blue");
    describe_by(&m, 3, "books", "green");
    describe_by(&m, 4, NULL, NULL);
    asked_act(&m, 1, 0, begin_ms + 1000);
    asked_scores(&m, "content", 0, 1, 5, scores);
    assert_true(fabsf(scores[1] - 1) < 1e-5f);
    assert_true(fabsf(scores[2] - 0.5f) < 0.25f); // one of two in common
    assert_true(fabsf(scores[3]) < 0.3f);
    assert_true(scores[4] == 0);
    mill_close(&m);
}

static void the_latest_word_of_the_catalogue_counts(void **state)
{
    (void)state;
    static mill m;
    float scores[2];
    asked_open(&m, alone, 1, cosines, 2);
    describe(&m, 0, (float[]){1, 0}, 2, begin_ms);
    describe(&m, 1, (float[]){0, 1}, 2, begin_ms + 2000);
    asked_act(&m, 1, 0, begin_ms + 3000);
    describe(&m, 1, (float[]){1, 0}, 2, begin_ms + 1000); // late: it says what was
    asked_scores(&m, "content", 0, 1, 2, scores);
    assert_true(scores[1] == 0);
    describe(&m, 1, (float[]){1, 0}, 2, begin_ms + 4000);
    asked_scores(&m, "content", 0, 1, 2, scores);
    assert_true(fabsf(scores[1] - 1) < 1e-6f);
    describe(&m, 1, NULL, 0, begin_ms + 5000); // nothing any more
    asked_scores(&m, "content", 0, 1, 2, scores);
    assert_true(scores[1] == 0);
    mill_close(&m);
}

static void vectors_of_another_model_are_not_there(void **state)
{
    (void)state;
    static mill m;
    float scores[3];
    asked_open(&m, alone, 1, cosines, 2);
    describe(&m, 0, (float[]){1, 0}, 2, begin_ms);
    describe(&m, 1, (float[]){1, 0}, 2, begin_ms);
    describe_by(&m, 2, "shoes", NULL); // by no model
    asked_act(&m, 1, 0, begin_ms + 1000);
    m.config.vector_model = mr_bytes_text("e5 v2");
    mill_restart(&m, 1);
    made_event event;
    mill_act(&event, MR_EVENT_CATALOGUE, 1, 1, begin_ms + 2000);
    float vector[] = {1, 0};
    event.arrival.event.vector = vector;
    event.arrival.event.vector_count = 2;
    event.arrival.event.context[0] =
        (mr_pair){mr_bytes_text("vector_model"), mr_bytes_text("e5 v2")};
    event.arrival.event.context_count = 1;
    event.arrival.event.present |= 1u << MR_FIELD_vector;
    asked_round(&m, &event, 1);
    assert_int_equal(event.arrival.cause, MR_CAUSE_NONE);
    asked_act(&m, 2, 1, begin_ms + 3000);
    asked_scores(&m, "content", 0, 2, 3, scores);
    assert_true(fabsf(scores[1] - 1) < 1e-6f);
    m.config.vector_model = mr_bytes_text("e5 v3");
    mill_restart(&m, 2);
    asked_act(&m, 2, 2, begin_ms + 4000);
    asked_scores(&m, "content", 0, 2, 3, scores);
    assert_true(scores[1] == 0);
    assert_true(fabsf(scores[2] - 1) < 1e-5f); // it is all that is known of him
    mill_close(&m);
}

// Whoever acts on a kind of item goes on to the next one of three, which no cosine tells.
static void it_learns_what_a_cosine_cannot_tell(void **state)
{
    (void)state;
    static mill m;
    float scores[ITEMS];
    asked_open(&m, alone, 1, learning, 2);
    for (uint32_t i = 0; i < ITEMS; i++) { // kinds 0, 1, 2, a little apart
        float v[4] = {0};
        v[i % 3] = 1;
        v[3] = 0.02f * (float)i;
        describe(&m, i, v, 4, begin_ms);
    }
    for (uint32_t user = 1; user <= 120; user++) {
        const uint32_t kind = user % 3;
        asked_act(&m, user, kind + 3 * (user / 3 % 2), begin_ms + user * 4000);
        asked_act(&m, user, (kind + 1) % 3 + 6, begin_ms + user * 4000 + 1000);
    }
    asked_act(&m, 200, 0, begin_ms + 700000);
    asked_scores(&m, "content", 0, 200, ITEMS, scores);
    assert_true(scores[10] > 2 * scores[9] && scores[10] > 2 * scores[11]); // nobody's items
    mill_restart(&m, 7);
    float after[ITEMS];
    asked_act(&m, 201, 0, begin_ms + 710000);
    asked_scores(&m, "content", 0, 201, ITEMS, after);
    assert_memory_equal(scores, after, sizeof scores);
    mill_close(&m);
}

static void a_column_does_not_depend_on_company(void **state)
{
    (void)state;
    static mill m;
    float scores[ITEMS];
    asked_open(&m, alone, 1, learning, 2);
    for (uint32_t i = 0; i < ITEMS; i++)
        describe(&m, i, (float[]){(float)i, 1, (float)(i % 3)}, 3, begin_ms);
    for (uint32_t i = 0; i < 100; i++)
        asked_act(&m, i % 9, (i * i + i) % ITEMS, begin_ms + i * 1000);
    asked_scores(&m, "content", 0, 1, ITEMS, scores);
    asked_model a = asked(&m, "content");
    for (uint32_t i = 0; i < ITEMS; i++) {
        float one;
        const uint32_t slot = asked_item(&m, i);
        a.model->score(a.instance, &a.view, asked_user(&m, 1), &slot, 1, &one, 1, &a.arena);
        assert_true(isfinite(one) && one == scores[i]);
    }
    mill_close(&m);
}

static void who_acted_on_nothing_that_is_described_has_no_candidates(void **state)
{
    (void)state;
    static mill m;
    float scores[2];
    asked_open(&m, alone, 1, learning, 2);
    describe(&m, 0, (float[]){1, 0}, 2, begin_ms);
    asked_act(&m, 1, 1, begin_ms + 1000);
    asked_model a = asked(&m, "content");
    const uint32_t user = asked_user(&m, 1);
    const mr_filter filter = mr_filter_make(a.view.items, NULL, 0);
    mr_found found = {.max = 5};
    a.model->candidates(a.instance, &a.view, &user, 1, 0, &filter, &a.arena, &found);
    assert_int_equal(found.count, 0);
    asked_scores(&m, "content", 0, 1, 2, scores);
    assert_true(scores[0] == 0 && scores[1] == 0);
    mill_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_map_is_what_elimination_gives),
        cmocka_unit_test(a_planted_map_is_recovered),
        cmocka_unit_test(the_worked_figures),
        cmocka_unit_test(an_item_has_its_place_before_anybody_acts_on_it),
        cmocka_unit_test(a_user_is_the_mean_of_his_newest_items),
        cmocka_unit_test(a_long_vector_keeps_its_angles_nearly),
        cmocka_unit_test(categories_and_attributes_stand_in_for_a_vector),
        cmocka_unit_test(the_latest_word_of_the_catalogue_counts),
        cmocka_unit_test(vectors_of_another_model_are_not_there),
        cmocka_unit_test(it_learns_what_a_cosine_cannot_tell),
        cmocka_unit_test(a_column_does_not_depend_on_company),
        cmocka_unit_test(who_acted_on_nothing_that_is_described_has_no_candidates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
