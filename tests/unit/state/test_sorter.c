// SPDX-License-Identifier: Apache-2.0
// The sorter against a sorted array: keys that are hard to tell apart, each put many times.
#include "core/base/rng.h"
#include "state/sorter.h"
#include "tests/unit/state/scratch.h"

enum { KEYS = 3000, KEY_BYTES_MAX = 24, MEMORY = 1 << 20 };

static char path[128];

static int setup(void **state)
{
    (void)state;
    scratch_make(path);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    scratch_remove(path);
    return 0;
}

typedef struct known { // a key and what was put last
    uint8_t key[KEY_BYTES_MAX];
    uint32_t key_bytes, value; // 0: nothing, UINT32_MAX: it is gone
} known;

typedef struct model {
    mr_store *store;
    mr_sorter *sorter;
    known keys[KEYS];
    uint32_t puts;
    mr_rng rng;
} model;

static int compare_known(const void *a, const void *b)
{
    const known *x = a, *y = b;
    return mr_bytes_compare(mr_bytes_of(x->key, x->key_bytes), mr_bytes_of(y->key, y->key_bytes));
}

// Keys of zeros and ones: one is often the beginning of another, or differs in zeros at its end.
static model *open_model(void)
{
    mr_error err = {0};
    model *m = calloc(1, sizeof *m);
    assert_non_null(m);
    m->rng = mr_rng_make(7, 0, 0, 0, MR_PURPOSE_SIM);
    m->store = open_store(path, (mr_store_options){.sync = MR_SYNC_NONE});
    assert_ok(mr_sorter_open(m->store, MEMORY, &m->sorter, &err), err);
    for (uint32_t i = 0; i < KEYS; i++) {
        known *k = &m->keys[i];
        k->key_bytes = 1 + mr_rng_below(&m->rng, KEY_BYTES_MAX);
        for (uint32_t j = 0; j < k->key_bytes; j++)
            k->key[j] = mr_rng_below(&m->rng, 4) == 0;
        if (i % 2 == 0 && k->key_bytes > 9)
            memcpy(k->key, "same-all", 8);
    }
    qsort(m->keys, KEYS, sizeof m->keys[0], compare_known);
    return m;
}

static void close_model(model *m)
{
    mr_sorter_close(m->sorter);
    close_store(m->store);
    free(m);
}

// Of equal keys of the model only the first is ever put.
static known *first_of(model *m, uint32_t number)
{
    while (number > 0 && compare_known(&m->keys[number - 1], &m->keys[number]) == 0)
        number--;
    return &m->keys[number];
}

// A value is its number, so many bytes long.
static void put_many(model *m, uint32_t count, uint32_t bytes_max)
{
    static uint8_t value[1024];
    mr_error err = {0};
    for (uint32_t i = 0; i < count; i++) {
        known *k = first_of(m, mr_rng_below(&m->rng, KEYS));
        const bool gone = mr_rng_below(&m->rng, 10) == 0;
        const uint32_t bytes = 4 + mr_rng_below(&m->rng, bytes_max - 4);
        k->value = gone ? UINT32_MAX : ++m->puts;
        memcpy(value, &k->value, sizeof k->value);
        assert_ok(mr_sorter_put(m->sorter, mr_bytes_of(k->key, k->key_bytes),
                                gone ? (mr_bytes){0} : mr_bytes_of(value, bytes), &err),
                  err);
    }
}

// The next row that the model has, from `number` on; rows that are gone may be left out.
static const known *next_known(model *m, uint32_t *number)
{
    while (*number < KEYS && (m->keys[*number].value == 0 || m->keys[*number].value == UINT32_MAX))
        ++*number;
    return *number < KEYS ? &m->keys[(*number)++] : NULL;
}

// Reads on to the end, and leaves a place on the way.
static void assert_rest(model *m, uint32_t number, uint32_t stop_at, mr_sorter_place *place,
                        uint32_t *place_number)
{
    mr_error err = {0};
    mr_bytes key, value, last = {0};
    uint8_t before[KEY_BYTES_MAX];
    for (uint32_t rows = 0; mr_sorter_row(m->sorter, &key, &value); rows++) {
        if (rows == stop_at) {
            mr_sorter_tell(m->sorter, place);
            *place_number = number;
        }
        assert_true(last.size == 0 || mr_bytes_compare(last, key) < 0);
        memcpy(before, key.data, key.size);
        last = mr_bytes_of(before, key.size);
        if (value.data != NULL) {
            const known *want = next_known(m, &number);
            uint32_t found;
            assert_non_null(want);
            assert_true(mr_bytes_equal(key, mr_bytes_of(want->key, want->key_bytes)));
            memcpy(&found, value.data, sizeof found);
            assert_int_equal(found, want->value);
        }
        assert_ok(mr_sorter_next(m->sorter, &err), err);
    }
    assert_null(next_known(m, &number));
}

static void check(model *m)
{
    mr_error err = {0};
    mr_sorter_place place, unused;
    uint32_t number = UINT32_MAX, again;
    assert_ok(mr_sorter_begin(m->sorter, &err), err);
    assert_rest(m, 0, 700, &place, &number);
    assert_true(number < KEYS);
    for (int i = 0; i < 2; i++) { // from the middle, and once more
        assert_ok(mr_sorter_seek(m->sorter, &place, &err), err);
        assert_rest(m, number, UINT32_MAX, &unused, &again);
    }
}

static void rows_in_one_segment_come_in_the_order_of_their_keys(void **state)
{
    (void)state;
    model *m = open_model();
    put_many(m, 3000, 16);
    check(m);
    close_model(m);
}

static void segments_and_runs_are_merged_and_the_newest_row_wins(void **state)
{
    (void)state;
    model *m = open_model();
    put_many(m, 12000, 200); // some segments
    check(m);
    put_many(m, 12000, 200); // and then some runs
    check(m);
    put_many(m, 1, 200);
    check(m);
    close_model(m);
}

static void more_runs_than_may_be_open_are_merged_by_tiers(void **state)
{
    (void)state;
    model *m = open_model();
    put_many(m, 60000, 1000); // twice as many segments as files
    check(m);
    put_many(m, 60000, 1000); // and again, over runs of the second tier
    check(m);
    close_model(m);
}

static void one_key_put_all_the_time_is_one_row(void **state)
{
    (void)state;
    mr_error err = {0};
    mr_bytes key, value;
    uint32_t found;
    model *m = open_model();
    for (uint32_t i = 1; i <= 100000; i++)
        assert_ok(
            mr_sorter_put(m->sorter, mr_bytes_text("user-1"), mr_bytes_of(&i, sizeof i), &err),
            err);
    assert_ok(mr_sorter_begin(m->sorter, &err), err);
    assert_true(mr_sorter_row(m->sorter, &key, &value));
    memcpy(&found, value.data, sizeof found);
    assert_int_equal(found, 100000);
    assert_ok(mr_sorter_next(m->sorter, &err), err);
    assert_false(mr_sorter_row(m->sorter, &key, &value));
    close_model(m);
}

static void nothing_is_no_row(void **state)
{
    (void)state;
    mr_error err = {0};
    mr_bytes key, value;
    model *m = open_model();
    assert_ok(mr_sorter_begin(m->sorter, &err), err);
    assert_false(mr_sorter_row(m->sorter, &key, &value));
    close_model(m);
}

static void rows_of_the_largest_size_fit_into_the_smallest_memory(void **state)
{
    (void)state;
    mr_error err = {0};
    mr_bytes key, value;
    model *m = open_model();
    uint8_t *bytes = calloc(1, MR_ROW_BYTES_MAX), name[MR_STORE_KEY_MAX];
    assert_non_null(bytes);
    memset(name, 'k', sizeof name);
    for (uint32_t i = 0; i < 40; i++) {
        name[sizeof name - 1] = (uint8_t)(40 - i);
        bytes[MR_ROW_BYTES_MAX - 1] = (uint8_t)i;
        assert_ok(mr_sorter_put(m->sorter, mr_bytes_of(name, sizeof name),
                                mr_bytes_of(bytes, MR_ROW_BYTES_MAX), &err),
                  err);
    }
    assert_ok(mr_sorter_begin(m->sorter, &err), err);
    for (uint32_t i = 0; i < 40; i++) {
        assert_true(mr_sorter_row(m->sorter, &key, &value));
        assert_int_equal(key.data[key.size - 1], i + 1);
        assert_int_equal(value.data[MR_ROW_BYTES_MAX - 1], 39 - i);
        assert_ok(mr_sorter_next(m->sorter, &err), err);
    }
    assert_false(mr_sorter_row(m->sorter, &key, &value));
    free(bytes);
    close_model(m);
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        test(rows_in_one_segment_come_in_the_order_of_their_keys),
        test(segments_and_runs_are_merged_and_the_newest_row_wins),
        test(more_runs_than_may_be_open_are_merged_by_tiers),
        test(one_key_put_all_the_time_is_one_row),
        test(nothing_is_no_row),
        test(rows_of_the_largest_size_fit_into_the_smallest_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
