// SPDX-License-Identifier: Apache-2.0
// neighbours against a table that is searched from end to end.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/rng.h"
#include "core/model/neighbours.h"

typedef struct plain { // the same cells, without an index
    uint32_t count;
    mr_neighbour cells[MR_NEIGHBOURS_MAX];
} plain;

static void add(plain *table, uint64_t key, int64_t units)
{
    uint32_t at = 0, least = 0;
    while (at < table->count && table->cells[at].key != key)
        at++;
    if (at < table->count) {
        table->cells[at].count += units;
        return;
    }
    for (uint32_t i = 1; i < table->count; i++)
        if (table->cells[i].count < table->cells[least].count ||
            (table->cells[i].count == table->cells[least].count &&
             table->cells[i].key > table->cells[least].key))
            least = i;
    at = table->count < MR_NEIGHBOURS_MAX ? table->count++ : least;
    table->cells[at] = (mr_neighbour){key, units};
}

static void assert_same(const mr_neighbours *row, const plain *table)
{
    assert_int_equal(row->count, table->count);
    assert_memory_equal(row->cells, table->cells, table->count * sizeof table->cells[0]);
}

// Keys of few tags, so that many cells share one; counts of every size, many of them equal.
static uint64_t draw_key(mr_rng *rng)
{
    return (uint64_t)mr_rng_below(rng, 3) << 56 | mr_rng_below(rng, 60);
}

static int64_t draw_units(mr_rng *rng)
{
    const int64_t small = 1 + (int64_t)mr_rng_below(rng, 3);
    return small << (mr_rng_below(rng, 4) == 0 ? mr_rng_below(rng, 45) : 0);
}

static void the_index_finds_what_a_search_finds(void **state)
{
    (void)state;
    mr_neighbours row = {0};
    plain table = {0};
    mr_rng rng = mr_rng_make(1, 0, 0, 0, MR_PURPOSE_SIM);
    uint32_t displaced = 0;
    for (uint32_t i = 0; i < 200000; i++) {
        const uint64_t key = draw_key(&rng);
        const int64_t units = draw_units(&rng);
        const mr_neighbour first = table.cells[0];
        mr_neighbours_add(&row, key, units);
        add(&table, key, units);
        displaced += table.cells[0].key != first.key;
        assert_same(&row, &table);
        if (i % 1000 == 999) { // an era later all counts are 2^16 times smaller, and many are 0
            mr_neighbours_shift(&row, row.era + 1);
            for (uint32_t c = 0; c < table.count; c++)
                table.cells[c].count >>= 16;
            assert_same(&row, &table);
        }
    }
    assert_true(displaced > 20); // it was full, and cells went
}

static void a_row_that_came_without_its_index_goes_on_alike(void **state)
{
    (void)state;
    mr_neighbours row = {0};
    mr_rng rng = mr_rng_make(2, 0, 0, 0, MR_PURPOSE_SIM);
    for (uint32_t i = 0; i < 20000; i++) {
        mr_neighbours stored = {0};
        memcpy(&stored, &row, mr_neighbours_used(NULL, &row));
        const uint64_t key = draw_key(&rng);
        const int64_t units = draw_units(&rng);
        mr_neighbours_add(&row, key, units);
        mr_neighbours_add(&stored, key, units);
        assert_memory_equal(&row, &stored, sizeof row);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_index_finds_what_a_search_finds),
        cmocka_unit_test(a_row_that_came_without_its_index_goes_on_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
