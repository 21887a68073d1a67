// SPDX-License-Identifier: Apache-2.0
// push against PageRank solved by iteration on a dense matrix.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/base/push.h"
#include "core/base/rng.h"

enum { NODES = 40, DEGREE = 6, FIRST = 1000 }; // nodes are numbered from FIRST

static const float restart = 0.25f;

typedef struct graph {
    uint32_t next[NODES][DEGREE];
    float shares[NODES][DEGREE];
} graph;

static void make(graph *g)
{
    mr_rng rng = mr_rng_make(3, 0, 0, 0, MR_PURPOSE_SIM);
    for (uint32_t v = 0; v < NODES; v++) {
        float sum = 0;
        for (uint32_t i = 0; i < DEGREE; i++) {
            g->next[v][i] = (v + 1 + i * 6 + mr_rng_below(&rng, 6)) % NODES;
            sum += g->shares[v][i] = 0.1f + mr_rng_float(&rng);
        }
        for (uint32_t i = 0; i < DEGREE; i++)
            g->shares[v][i] /= sum;
    }
}

// rank = restart * seeds + (1 - restart) * (what comes from neighbours)
static void solve(const graph *g, const double seeds[NODES], double rank[NODES])
{
    double at[NODES], next[NODES];
    for (uint32_t v = 0; v < NODES; v++) {
        at[v] = seeds[v];
        rank[v] = 0;
    }
    for (uint32_t step = 0; step < 300; step++) {
        for (uint32_t v = 0; v < NODES; v++) {
            rank[v] += (double)restart * at[v];
            next[v] = 0;
        }
        for (uint32_t v = 0; v < NODES; v++)
            for (uint32_t i = 0; i < DEGREE; i++)
                next[g->next[v][i]] += (1.0 - (double)restart) * at[v] * (double)g->shares[v][i];
        for (uint32_t v = 0; v < NODES; v++)
            at[v] = next[v];
    }
}

static void push_at(const graph *g, mr_push *push, uint32_t index)
{
    uint32_t nodes[DEGREE];
    const uint32_t v = push->nodes[index] - FIRST;
    for (uint32_t i = 0; i < DEGREE; i++)
        nodes[i] = FIRST + g->next[v][i];
    mr_push_along(push, index, restart, nodes, g->shares[v], DEGREE);
}

static double sum_of(const float *values, uint32_t count)
{
    double sum = 0;
    for (uint32_t i = 0; i < count; i++)
        sum += (double)values[i];
    return sum;
}

static void pushes_come_to_the_solved_rank_from_below(void **state)
{
    (void)state;
    static graph g;
    static mr_push push;
    double seeds[NODES] = {0}, exact[NODES];
    make(&g);
    seeds[3] = 0.6;
    seeds[17] = 0.4;
    solve(&g, seeds, exact);
    mr_push_clear(&push);
    mr_push_seed(&push, FIRST + 3, 0.6f);
    mr_push_seed(&push, FIRST + 17, 0.3f);
    mr_push_seed(&push, FIRST + 17, 0.1f);
    for (uint32_t round = 0; round < 60; round++) {
        for (uint32_t i = 0, count = push.count; i < count; i++)
            push_at(&g, &push, i);
        const double left = sum_of(push.rest, push.count);
        assert_true(fabs(sum_of(push.rank, push.count) + left - 1.0) < 1e-5);
        for (uint32_t v = 0; v < NODES; v++) {
            const double known = (double)mr_push_rank(&push, restart, FIRST + v);
            assert_true(known < exact[v] + 1e-6);        // never above
            assert_true(exact[v] - known < left + 1e-6); // what waits is all that is unknown
        }
    }
    for (uint32_t v = 0; v < NODES; v++)
        assert_true(fabs((double)mr_push_rank(&push, restart, FIRST + v) - exact[v]) < 1e-6);
}

static void a_node_that_was_not_reached_has_no_rank(void **state)
{
    (void)state;
    static mr_push push;
    mr_push_clear(&push);
    mr_push_seed(&push, 5, 1.0f);
    assert_true(mr_push_rank(&push, restart, 6) == 0.0f);
    assert_true(mr_push_rank(&push, restart, 5) == restart);
    assert_int_equal(mr_push_index(&push, 5), 0);
}

static void nodes_beyond_the_room_are_left_out(void **state)
{
    (void)state;
    static mr_push push;
    mr_push_clear(&push);
    for (uint32_t v = 0; v < MR_PUSH_NODES + 100; v++)
        mr_push_seed(&push, v * 7919, 1.0f);
    assert_int_equal(push.count, MR_PUSH_NODES);
    assert_true(mr_push_rank(&push, restart, (MR_PUSH_NODES + 1) * 7919) == 0.0f);
    mr_push_seed(&push, 7919, 1.0f); // who is there gets his
    assert_true(mr_push_rank(&push, restart, 7919) == 2 * restart);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pushes_come_to_the_solved_rank_from_below),
        cmocka_unit_test(a_node_that_was_not_reached_has_no_rank),
        cmocka_unit_test(nodes_beyond_the_room_are_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
