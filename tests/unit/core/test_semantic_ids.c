// SPDX-License-Identifier: Apache-2.0
// semantic_ids: residual quantisation against worked figures, statistics of codebooks, and through
// the engine: codebooks over a planted catalogue, and rates that are backed off by hand.
#include "core/model/codebook.h"
#include "core/model/decay.h"
#include "core/model/described.h"
#include "tests/unit/core/asked.h"

enum { DIM = 16, LEVELS = MR_RESIDUAL_LEVELS_MAX, CODES = 8, GROUPS = 6, ITEMS = 48 };

static const char *const alone[] = {"semantic_ids"};
static const int64_t begin_ms = 1700000000000;
#define HALF_LIFE_S 1e9
#define KAPPA 50.0
static mr_setting settings[] = {
    {"semantic_ids", "dim", DIM},       {"semantic_ids", "codes", CODES},
    {"semantic_ids", "sample", ITEMS},  {"semantic_ids", "half_life_s", HALF_LIFE_S},
    {"semantic_ids", "prefixes", 4096},
};

// ---- quantisation

static void the_worked_figures(void **state)
{
    (void)state;
    const mr_vec *kernels[4];
    const uint32_t count = mr_vec_all(kernels);
    float books[2][3][DIM] = {{{1, 0}, {0, 1}, {-1, 0}}, {{0, -0.25f}, {0.2f, 0.2f}, {-0.1f, 0}}};
    const float x[DIM] = {0.9f, -0.3f};
    for (uint32_t v = 0; v < count; v++) {
        const mr_residual of = {kernels[v], &books[0][0][0], NULL, 2, 3, DIM, DIM};
        uint16_t codes[2];
        float r[DIM], errors[2];
        assert_true(mr_residual_encode(&of, 2, x, codes, r, errors));
        assert_int_equal(codes[0], 0);
        assert_int_equal(codes[1], 0);
        assert_true(fabsf(r[0] + 0.1f) < 1e-6f && fabsf(r[1] + 0.05f) < 1e-6f);
        assert_true(fabsf(errors[0] - 0.1f) < 1e-6f && fabsf(errors[1] - 0.0125f) < 1e-6f);
    }
}

static void of_equal_entries_the_smallest_and_none_without_a_count(void **state)
{
    (void)state;
    float books[4][1 + DIM] = {{0, 5, 5}, {2, 2, 0}, {3, 3, 0}, {1, 0, 1}}; // counts, sums
    const float x[DIM] = {1, 0}, far[DIM] = {5, 5};
    const mr_residual of = {mr_vec_best(), &books[0][1], &books[0][0], 1, 4, DIM, 1 + DIM};
    assert_int_equal(mr_residual_nearest(&of, 0, x), 1); // 2 is (1, 0) too
    assert_int_not_equal(mr_residual_nearest(&of, 0, far), 0);
    for (int k = 0; k < 4; k++)
        books[k][0] = 0;
    uint16_t code;
    float r[DIM];
    assert_false(mr_residual_encode(&of, 1, x, &code, r, NULL));
    assert_int_equal(code, MR_RESIDUAL_NONE);
}

static void a_shadow_moves_by_averages(void **state)
{
    (void)state;
    const mr_vec *vec = mr_vec_best();
    uint64_t row[(sizeof(mr_entry) + 2 * DIM * 4) / 8] = {0};
    uint64_t delta[(sizeof(mr_residuals) + DIM * 4) / 8] = {0};
    mr_entry *of = (mr_entry *)(void *)row;
    mr_residuals *came = (mr_residuals *)(void *)delta;
    of->count = 10;
    of->floats[DIM] = 10;
    *came = (mr_residuals){.clock = 1000, .step = MR_CODEBOOK_LEARNED, .count = 1};
    came->sum[0] = 0.9f;
    came->sum[1] = -0.3f;
    mr_residuals_apply(vec, DIM, of, came); // a thousand items later: eta = .01
    assert_true(fabsf(of->count - 9.91f) < 1e-5f);
    assert_true(fabsf(of->floats[DIM] / of->count - 0.999899f) < 1e-6f);
    assert_true(fabsf(of->floats[DIM + 1] / of->count + 0.000303f) < 1e-6f);
    assert_true(of->floats[0] == 0); // what codes are made with does not move
    memset(delta, 0, sizeof delta);
    came->publish = 1;
    mr_residuals_apply(vec, DIM, of, came);
    assert_true(fabsf(of->floats[0] - 0.999899f) < 1e-6f && of->published == 1);
}

// Sums of two workers, and of one who saw all of it.
static void statistics_of_two_workers_are_those_of_one(void **state)
{
    (void)state;
    enum { WORDS = (sizeof(mr_residuals) + DIM * 4) / 8 };
    uint64_t parts[3][WORDS] = {{0}};
    mr_residuals *sums[3];
    mr_progress progress[3] = {{0}};
    mr_rng rng = mr_rng_make(1, 0, 0, 0, MR_PURPOSE_SIM);
    for (int w = 0; w < 3; w++)
        sums[w] = (mr_residuals *)(void *)parts[w];
    for (int i = 0; i < 200; i++) {
        uint64_t one[WORDS] = {0};
        mr_residuals *of = (mr_residuals *)(void *)one;
        *of = (mr_residuals){.clock = (uint64_t)i, .step = 7, .count = 1};
        for (int d = 0; d < DIM; d++)
            of->sum[d] = mr_rng_normal(&rng);
        const mr_progress p = {.described = 1, .compared = 1, .frozen_error = of->sum[0]};
        const int worker = (int)mr_rng_below(&rng, 2);
        mr_residuals_combine(DIM, sums[worker], of);
        mr_residuals_combine(DIM, sums[2], of);
        mr_progress_combine(&progress[worker], &p);
        mr_progress_combine(&progress[2], &p);
    }
    mr_residuals_combine(DIM, sums[0], sums[1]);
    mr_progress_combine(&progress[0], &progress[1]);
    assert_true(sums[0]->count == 200 && sums[2]->count == 200 && sums[0]->clock == 199);
    for (int d = 0; d < DIM; d++)
        assert_true(fabsf(sums[0]->sum[d] - sums[2]->sum[d]) < 1e-4f);
    assert_true(progress[0].described == 200 && progress[0].compared == 200);
    assert_true(fabsf(progress[0].frozen_error - progress[2].frozen_error) < 1e-4f);
}

// A slice that was sent twice counts once; one of a step that is over does not.
static void a_slice_counts_once(void **state)
{
    (void)state;
    mr_stage of = {.step = 4, .cursor = 10, .taken = 5};
    mr_progress came = {.from = 10, .cursor = 20, .step = 5, .taken = 32};
    const mr_progress again = came;
    mr_progress_combine(&came, &again);
    assert_int_equal(came.taken, 32);
    mr_progress_apply(&of, &came, 0.1);
    assert_true(of.cursor == 20 && of.taken == 37 && of.step == 4);
    mr_progress_apply(&of, &came, 0.1); // it stands behind it by now
    assert_true(of.cursor == 20 && of.taken == 37);
    mr_progress last = {.from = 20, .cursor = 30, .step = 5, .taken = 3, .is_last = 1};
    mr_progress_apply(&of, &last, 0.1);
    assert_true(of.cursor == 0 && of.taken == 0 && of.step == 5);
}

static void a_better_shadow_is_published(void **state)
{
    (void)state;
    mr_stage of = {.step = LEVELS * MR_CODEBOOK_STEPS};
    mr_progress came = {.compared = 999, .frozen_error = 100, .shadow_error = 80};
    mr_progress_apply(&of, &came, 0.1);
    assert_int_equal(of.published, 0);
    came.compared = 1;
    mr_progress_apply(&of, &came, 0.1); // 160 of 200
    assert_true(of.published == 1 && of.compared == 0);
    came = (mr_progress){.compared = 1000, .frozen_error = 100, .shadow_error = 95};
    mr_progress_apply(&of, &came, 0.1);
    assert_int_equal(of.published, 1);
}

static void the_back_off_by_hand(void **state)
{
    (void)state;
    assert_true(mr_backed_off(0, 0, 0.037, 50) == 0.037);
    assert_true(fabs(mr_backed_off(3, 50, 0.02, 50) - 0.04) < 1e-12);
}

// ---- through the engine

static void describe(mill *m, uint32_t item, const float vector[DIM], int64_t time_ms)
{
    static float kept[DIM];
    made_event event;
    mill_act(&event, MR_EVENT_CATALOGUE, 1, item, time_ms);
    memcpy(kept, vector, sizeof kept);
    event.arrival.event.vector = kept;
    event.arrival.event.vector_count = DIM;
    event.arrival.event.present |= 1u << MR_FIELD_vector;
    asked_round(m, &event, 1);
    assert_int_equal(event.arrival.cause, MR_CAUSE_NONE);
}

// Of the group's axis, and half as much of another: by the item's number.
static void vector_of(uint32_t group, uint32_t item, float v[DIM])
{
    memset(v, 0, DIM * sizeof *v);
    v[group] = 1;
    v[GROUPS + item / GROUPS % 4] = 0.5f;
    v[GROUPS + 4 + item % 5] = 0.1f;
}

static void *named_row(mill *m, const char *family, uint64_t key)
{
    uint8_t name[11] = {MR_ROW_NAMED};
    mr_put_u16_be(name + 1, asked_code(family));
    mr_put_u64_be(name + 3, key);
    stored_row *row = mill_find(m, 0, mr_bytes_of(name, sizeof name));
    return row == NULL ? NULL : row->value + 8;
}

// Users of group 0 act, until codebooks are made and a while longer.
static void open_mill(mill *m)
{
    float v[DIM];
    asked_open(m, alone, 1, settings, sizeof settings / sizeof settings[0]);
    for (uint32_t i = 0; i < ITEMS; i++) {
        vector_of(i % GROUPS, i, v);
        describe(m, i, v, begin_ms);
    }
    for (uint32_t i = 0; i < 300; i++)
        asked_act(m, 1 + i % 20, i % 5 < 3 ? i * GROUPS % ITEMS : i % ITEMS, begin_ms + i);
    const mr_stage *stage = named_row(m, "semantic_ids.stage", 0);
    assert_non_null(stage);
    assert_true(mr_stage_is_made(stage));
}

// The codes of an item from what is stored.
static bool codes_of(mill *m, uint32_t item, uint16_t codes[LEVELS], float errors[LEVELS])
{
    static float books[LEVELS * CODES][DIM];
    const asked_model a = asked(m, "semantic_ids");
    const stored_row *word = asked_item_row(m, "semantic_ids.item", item);
    float x[DIM], r[DIM];
    for (uint32_t k = 0; k < LEVELS * CODES; k++) {
        const mr_entry *of = named_row(m, "semantic_ids.entry", k);
        memset(books[k], 0, sizeof books[k]);
        if (of != NULL)
            memcpy(books[k], of->floats, sizeof books[k]);
    }
    const mr_residual of = {mr_vec_best(), books[0], NULL, LEVELS, CODES, DIM, DIM};
    return word != NULL &&
           mr_word_read(DIM, &a.view, (const mr_word *)(const void *)(word->value + 8), x) &&
           mr_residual_encode(&of, LEVELS, x, codes, r, errors);
}

typedef struct tally {
    mr_decayed acts, showings;
} tally;

static double back_off(const tally *of, mr_decay_time now, double parent)
{
    return of == NULL ? parent
                      : mr_backed_off(mr_decayed_at(&of->acts, now),
                                      mr_decayed_at(&of->showings, now), parent, KAPPA);
}

// The rate of an item from what is stored, and that of its longest prefix.
static double rate_of(mill *m, uint32_t item, double *parent)
{
    static const char *const names[] = {"semantic_ids.prefix_1", "semantic_ids.prefix_2",
                                        "semantic_ids.prefix_3"};
    const asked_model a = asked(m, "semantic_ids");
    const mr_decay_time now = mr_decay_time_of(a.view.clock_ms, (int64_t)(HALF_LIFE_S * 1000));
    const tally *all = named_row(m, "semantic_ids.all", 0);
    const stored_row *own = asked_item_row(m, "semantic_ids.counts", item);
    uint16_t codes[LEVELS];
    float errors[LEVELS];
    double rate = mr_decayed_at(&all->acts, now) / mr_decayed_at(&all->showings, now);
    assert_true(codes_of(m, item, codes, errors));
    for (uint32_t l = 0; l < LEVELS; l++) {
        const uint64_t key =
            l == 0 ? codes[0] : mr_hash64(codes, (l + 1) * sizeof *codes, l) % 4096;
        rate = back_off(named_row(m, names[l], key), now, rate);
    }
    *parent = rate;
    return back_off(own == NULL ? NULL : (const tally *)(const void *)(own->value + 8), now, rate);
}

static void errors_fall_from_level_to_level(void **state)
{
    (void)state;
    static mill m;
    double sums[LEVELS] = {0};
    open_mill(&m);
    for (uint32_t i = 0; i < ITEMS; i++) {
        uint16_t codes[LEVELS], again[LEVELS];
        float errors[LEVELS];
        assert_true(codes_of(&m, i, codes, errors) && codes_of(&m, i, again, errors));
        assert_memory_equal(codes, again, sizeof codes);
        for (uint32_t l = 0; l < LEVELS; l++)
            sums[l] += (double)errors[l] / ITEMS;
    }
    assert_true(sums[0] < 0.6 && sums[1] <= sums[0] && sums[2] <= sums[1] && sums[2] < 0.1);
    asked_model a = asked(&m, "semantic_ids");
    mr_measure measures[8];
    assert_int_equal(a.model->state.measure(a.instance, &a.view, measures, 8), LEVELS + 1);
    for (uint32_t l = 0; l < LEVELS; l++)
        assert_true(fabs(measures[l].value - sums[l]) < 1e-6);
    mill_close(&m);
}

static void rates_are_backed_off_by_prefixes(void **state)
{
    (void)state;
    static mill m;
    float scores[ITEMS + 3], v[DIM];
    double parent, cold_parent;
    open_mill(&m);
    vector_of(0, 0, v);
    describe(&m, ITEMS, v, begin_ms + 1000);
    describe(&m, ITEMS + 1, v, begin_ms + 1000);
    vector_of(3, 3, v);
    describe(&m, ITEMS + 2, v, begin_ms + 1000);
    asked_scores(&m, "semantic_ids", 0, 1, ITEMS + 3, scores);
    for (uint32_t i = 0; i < ITEMS + 3; i++) {
        const double want = rate_of(&m, i, &parent);
        assert_true(fabs((double)scores[i] - want) < 1e-5 * want);
    }
    assert_true(fabs((double)scores[ITEMS] - (rate_of(&m, ITEMS, &cold_parent), cold_parent)) <
                1e-6); // nobody has seen it
    assert_true(scores[ITEMS] == scores[ITEMS + 1]);
    assert_true(scores[ITEMS] > 1.2f * scores[ITEMS + 2]); // it is like what is liked
    mill_close(&m);
}

static void a_restart_gives_the_same_codes_and_candidates_are_in_order(void **state)
{
    (void)state;
    static mill m;
    static mr_found found;
    float after[ITEMS];
    double parent;
    open_mill(&m);
    mill_restart(&m, 3);
    asked_act(&m, 1, 0, begin_ms + 299); // brings the user to memory
    asked_scores(&m, "semantic_ids", 0, 1, ITEMS, after);
    for (uint32_t i = 0; i < ITEMS; i++) {
        const double want = rate_of(&m, i, &parent);
        assert_true(fabs((double)after[i] - want) < 1e-5 * want);
    }
    asked_model a = asked(&m, "semantic_ids");
    const uint32_t user = asked_user(&m, 1);
    const mr_filter filter = mr_filter_make(a.view.items, NULL, 0);
    found.max = 10;
    a.model->candidates(a.instance, &a.view, &user, 1, 0, &filter, &a.arena, &found);
    assert_int_equal(found.count, 10);
    for (uint32_t i = 0, above = 0; i < ITEMS; i++, above = 0) {
        for (uint32_t j = 0; j < ITEMS; j++)
            above += after[j] > after[i];
        if (above == 0)
            assert_true(found.scores[0] == after[i]);
        if (above == 9)
            assert_true(found.scores[9] == after[i]);
    }
    for (uint32_t i = 1; i < found.count; i++)
        assert_true(found.scores[i] <= found.scores[i - 1] && found.slots[i] != found.slots[i - 1]);
    mill_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_worked_figures),
        cmocka_unit_test(of_equal_entries_the_smallest_and_none_without_a_count),
        cmocka_unit_test(a_shadow_moves_by_averages),
        cmocka_unit_test(statistics_of_two_workers_are_those_of_one),
        cmocka_unit_test(a_slice_counts_once),
        cmocka_unit_test(a_better_shadow_is_published),
        cmocka_unit_test(the_back_off_by_hand),
        cmocka_unit_test(errors_fall_from_level_to_level),
        cmocka_unit_test(rates_are_backed_off_by_prefixes),
        cmocka_unit_test(a_restart_gives_the_same_codes_and_candidates_are_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
