// SPDX-License-Identifier: Apache-2.0
// sequence through the engine: where it begins, that a step of one act goes down its loss, and that
// it learns an order that no average of items has.
#include "core/model/recurrent.h"
#include "tests/unit/core/asked.h"

enum { DIM = 16, ITEMS = 8, MAP = DIM * (DIM + 1) };

static const char *const with_space[] = {"embedding", "sequence"};
static const int64_t begin_ms = 1700000000000;

static void open_mill(mill *m, mr_cell_kind cell, double rate)
{
    static mr_setting settings[12];
    const mr_setting all[] = {
        {"embedding", "dim", DIM},     {"embedding", "rate_item", 0}, // vectors stay as planted
        {"embedding", "rate_user", 0}, {"sequence", "dim", DIM},      {"sequence", "cell", cell},
        {"sequence", "every", 1},      {"sequence", "rate", rate},    {"sequence", "uniform", 1},
    };
    memcpy(settings, all, sizeof all);
    asked_open(m, with_space, 2, settings, sizeof all / sizeof all[0]);
    for (uint32_t item = 0; item < ITEMS; item++)
        asked_act(m, 100 + item, item, begin_ms - 1000000);
    for (uint32_t item = 0; item < ITEMS; item++) { // an axis each
        float v[DIM] = {0};
        v[item] = 1;
        memcpy(asked_item_row(m, "embedding.item", item)->value + 8, v, sizeof v);
    }
    asked_reload(m);
}

static float *map_of(mill *m, uint64_t key)
{
    uint8_t name[11] = {MR_ROW_NAMED};
    mr_put_u16_be(name + 1, asked_code("sequence.maps"));
    mr_put_u64_be(name + 3, key);
    stored_row *row = mill_find(m, 0, mr_bytes_of(name, sizeof name));
    assert_non_null(row);
    return (float *)(void *)(row->value + 8);
}

// Before anything was learned: of items i_1 (newest), i_2, ... axis i_p has a share of .3 .7^(p-1),
// as far as sigma is straight; a GRU's through tanh.
static void it_begins_as_a_running_mean(void **state)
{
    (void)state;
    for (int cell = 0; cell < MR_CELL_KINDS; cell++) {
        static mill m;
        float scores[ITEMS];
        open_mill(&m, (mr_cell_kind)cell, 0);
        for (uint32_t i = 0; i < 4; i++)
            asked_act(&m, 1, i, begin_ms + i * 1000);
        asked_scores(&m, "sequence", 0, 1, ITEMS, scores);
        for (uint32_t p = 0; p < 4; p++) {
            const double share = 0.3 * pow(0.7, p);
            const double want = cell == MR_CELL_GRU ? share * tanh(1) : share;
            assert_true(fabs((double)scores[3 - p] - want) < 1e-5);
        }
        for (uint32_t i = 4; i < ITEMS; i++)
            assert_true(fabs((double)scores[i]) < 1e-6);
        mill_close(&m);
    }
}

// The next act's item gains on the others by what was learned of it.
static void a_step_raises_what_was_acted_on(void **state)
{
    (void)state;
    for (int cell = 0; cell < MR_CELL_KINDS; cell++) {
        static mill m;
        float before[ITEMS], after[ITEMS];
        open_mill(&m, (mr_cell_kind)cell, 0.001);
        asked_act(&m, 1, 0, begin_ms);
        asked_act(&m, 2, 0, begin_ms);
        asked_scores(&m, "sequence", 0, 2, ITEMS, before);
        asked_act(&m, 1, 5, begin_ms + 1000);
        asked_scores(&m, "sequence", 0, 2, ITEMS, after); // of whoever stands where he stood
        assert_true(after[5] > before[5]);
        for (uint32_t i = 1; i < ITEMS; i++)
            assert_true(i == 5 || after[i] < before[i] + 1e-7f);
        mill_close(&m);
    }
}

// Who comes from item 0 or 1 goes on to 2, and then back to where he came from two steps ago plus
// two: the item before the last one decides, and the last one is the same for all.
static void it_learns_what_an_average_cannot_tell(void **state)
{
    (void)state;
    for (int cell = 0; cell < MR_CELL_KINDS; cell++) {
        static mill m;
        uint32_t right = 0, asked_of = 0;
        open_mill(&m, (mr_cell_kind)cell, 0.01);
        for (uint32_t round = 0; round < 240; round++) {
            const uint32_t from = round / 2 % 2, user = 1000 + round;
            asked_act(&m, user, from, begin_ms + round * 10000);
            asked_act(&m, user, 2, begin_ms + round * 10000 + 1000);
            if (round >= 200) {
                float scores[ITEMS];
                asked_scores(&m, "sequence", 0, user, ITEMS, scores);
                uint32_t best = 3; // of those that are new to him
                for (uint32_t i = 4; i < ITEMS; i++)
                    best = scores[i] > scores[best] ? i : best;
                right += best == 3 + from;
                asked_of++;
            }
            asked_act(&m, user, 3 + from, begin_ms + round * 10000 + 2000);
        }
        assert_true(right >= asked_of * 9 / 10);
        mill_close(&m);
    }
}

// All act on 0 and then on 1; what comes after depends on how long they took.
static void it_learns_what_a_pause_tells(void **state)
{
    (void)state;
    for (int cell = 0; cell < MR_CELL_KINDS; cell++) {
        static mill m;
        uint32_t right = 0, asked_of = 0;
        open_mill(&m, (mr_cell_kind)cell, 0.01);
        for (uint32_t round = 0; round < 240; round++) {
            const uint32_t slow = round / 2 % 2, user = 1000 + round;
            const int64_t time_ms = begin_ms + round * 10000000ll;
            asked_act(&m, user, 0, time_ms);
            asked_act(&m, user, 1, time_ms + (slow ? 1000000 : 1000));
            if (round >= 200) {
                float scores[ITEMS];
                asked_scores(&m, "sequence", 0, user, ITEMS, scores);
                right += (scores[4] > scores[3]) == slow;
                asked_of++;
            }
            asked_act(&m, user, 3 + slow, time_ms + (slow ? 1000000 : 1000) + 1000);
        }
        assert_true(right >= asked_of * 9 / 10);
        mill_close(&m);
    }
}

// The head of a session is learned by acts inside one, the other by acts after a pause.
static void each_head_learns_of_its_own_horizon(void **state)
{
    (void)state;
    static mill m;
    enum { HEADS = MR_MAP_WR }; // behind a minGRU's maps
    float before[2][MAP];
    open_mill(&m, MR_CELL_MINGRU, 0.01);
    asked_act(&m, 1, 0, begin_ms);
    asked_act(&m, 1, 3, begin_ms + 1000);
    asked_act(&m, 1, 4, begin_ms + 2000 + 86400000);
    for (uint32_t head = 0; head < 2; head++)
        memcpy(before[head], map_of(&m, HEADS + head), sizeof before[head]);
    asked_act(&m, 1, 5, begin_ms + 3000 + 86400000);
    assert_memory_not_equal(before[0], map_of(&m, HEADS), 4 * MAP);
    assert_memory_equal(before[1], map_of(&m, HEADS + 1), 4 * MAP);
    memcpy(before[0], map_of(&m, HEADS), sizeof before[0]);
    asked_act(&m, 1, 6, begin_ms + 4000 + 2 * 86400000ll);
    assert_memory_not_equal(before[1], map_of(&m, HEADS + 1), 4 * MAP);
    mill_close(&m);
}

static void who_has_no_events_has_no_candidates(void **state)
{
    (void)state;
    static mill m;
    open_mill(&m, MR_CELL_MINGRU, 0.01);
    made_event event;
    mill_act(&event, MR_EVENT_SEARCH, 7, 0, begin_ms);
    asked_round(&m, &event, 1);
    asked_act(&m, 1, 0, begin_ms);
    asked_model a = asked(&m, "sequence");
    const uint32_t users[] = {asked_user(&m, 7), asked_user(&m, 1)};
    const mr_filter filter = mr_filter_make(a.view.items, NULL, 0), filters[] = {filter, filter};
    mr_found found[2] = {{.max = 5}, {.max = 5}};
    a.model->candidates(a.instance, &a.view, users, 2, 0, filters, &a.arena, found);
    assert_int_equal(found[0].count, 0);
    assert_int_equal(found[1].count, 5);
    float scores[ITEMS];
    asked_scores(&m, "sequence", 0, 7, ITEMS, scores);
    for (uint32_t i = 0; i < ITEMS; i++)
        assert_true(scores[i] == 0);
    asked_scores(&m, "sequence", 0, 1, ITEMS, scores);
    assert_true(found[1].slots[0] == asked_item(&m, 0) && found[1].scores[0] == scores[0]);
    mill_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_begins_as_a_running_mean),
        cmocka_unit_test(a_step_raises_what_was_acted_on),
        cmocka_unit_test(it_learns_what_an_average_cannot_tell),
        cmocka_unit_test(it_learns_what_a_pause_tells),
        cmocka_unit_test(each_head_learns_of_its_own_horizon),
        cmocka_unit_test(who_has_no_events_has_no_candidates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
