// SPDX-License-Identifier: Apache-2.0
// Lanes: real threads change no byte of what the engine gives, with any model on.
#include "tests/unit/core/mill.h"
#include "worker/lanes.h"

static void any_number_of_lanes_gives_the_same_bytes(void **state)
{
    (void)state;
    static mill one, many;
    mr_error err;
    enum { COMMITS = 4 };
    mr_engine_config config = mill_all_models();
    mill_open(&one, &config);
    for (uint32_t c = 0; c < COMMITS; c++) {
        mill_traffic(&one, c * 5, 5, 7);
        mill_close_commit(&one);
    }
    for (uint32_t lanes = 1; lanes <= 4; lanes *= 2) {
        mr_lane_pool *pool;
        assert_int_equal(mr_lane_pool_open(lanes, &pool, &err), MR_OK);
        config.lanes = mr_lane_pool_port(pool);
        mill_open(&many, &config);
        for (uint32_t c = 0; c < COMMITS; c++) {
            mill_traffic(&many, c * 5, 5, 7);
            mill_close_commit(&many);
        }
        const mr_hash128 a = mill_hash(&one), b = mill_hash(&many);
        assert_memory_equal(&a, &b, sizeof a);
        assert_memory_equal(&one.lists, &many.lists, sizeof one.lists);
        mill_close(&many);
        mr_lane_pool_close(pool);
    }
    mill_close(&one);
}

static void count_calls(void *arg, uint32_t index)
{
    ((uint32_t *)arg)[index]++; // each index is one lane's alone
}

static void each_index_is_run_once(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    static uint32_t calls[COUNT];
    mr_lane_pool *pool;
    mr_error err;
    assert_int_equal(mr_lane_pool_open(3, &pool, &err), MR_OK);
    const mr_lanes lanes = mr_lane_pool_port(pool);
    for (uint32_t round = 1; round <= 50; round++) {
        lanes.run(lanes.context, count_calls, calls, COUNT);
        for (uint32_t i = 0; i < COUNT; i++)
            assert_int_equal(calls[i], round);
    }
    lanes.run(lanes.context, count_calls, calls, 0);
    mr_lane_pool_close(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_index_is_run_once),
        cmocka_unit_test(any_number_of_lanes_gives_the_same_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
