// SPDX-License-Identifier: Apache-2.0
#include "small.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/hash.h"
#include "worker/measure/diversity.h"
#include "worker/measure/similarity.h"

enum { USERS = 40, ITEMS = 60, D = MR_DIVERSITY_D };

static mr_diversity of;
static void *memory;

static int open_diversity(void **state)
{
    mr_arena arena;
    const size_t bytes = mr_diversity_bytes(USERS, ITEMS);
    (void)state;
    memory = aligned_alloc(MR_ARENA_ALIGN, bytes);
    if (memory == NULL)
        return -1;
    memset(memory, 0, bytes);
    mr_arena_init(&arena, memory, bytes);
    mr_diversity_init(&of, USERS, ITEMS, &arena);
    return 0;
}

static int close_diversity(void **state)
{
    (void)state;
    free(memory);
    return 0;
}

static const bool no_head[ITEMS];

static void list(uint32_t user, const uint32_t *items, uint32_t count)
{
    mr_diversity_list(&of, user, items, count, no_head, 0, ITEMS);
}

// v1 (1, 0), v2 (.6, .8), v3 (0, 1), v4 (.8, .6), v5 (0, 1); the list 3, 5, 4 of one who had 1, 2.
static void the_small_example_has_its_similarity_and_unexpectedness(void **state)
{
    (void)state;
    static const float vectors[][2] = {{1, 0}, {.6f, .8f}, {0, 1}, {.8f, .6f}, {0, 1}};
    const uint32_t items[] = {2, 4, 3};
    for (uint32_t i = 0; i < 5; i++)
        mr_diversity_vector(&of, i, vectors[i], 2, ITEMS);
    mr_diversity_act(&of, 0, 7, 0, true);
    mr_diversity_act(&of, 0, 7, 1, true);
    mr_diversity_act(&of, 0, 7, 1, false); // once is enough
    list(0, items, 3);
    near(mr_diversity_judge(&of).similarity, .7333333, 1e-6);
    near(mr_diversity_judge(&of).unexpectedness, .44, 1e-6);
}

// Histories and vectors by definition, and means over random lists of one.
static void random_lists_equal_the_means_over_all_pairs(void **state)
{
    (void)state;
    static float vectors[ITEMS][D], rows[ITEMS][D], before[ITEMS][D];
    static bool had[USERS][ITEMS];
    mr_rng rng = draws_of(8);
    double similarity = 0, unexpectedness = 0;
    uint32_t similar = 0, unexpected = 0;
    memset(had, 0, sizeof had);
    memset(vectors, 0, sizeof vectors);
    for (uint32_t step = 0; step < 4000; step++) {
        const uint32_t user = mr_rng_below(&rng, USERS);
        if (step % 4 != 0) { // below HISTORY items, so that nothing is forgotten
            const uint32_t item = mr_rng_below(&rng, MR_DIVERSITY_HISTORY);
            const uint64_t key = 1000 + user, signs = mr_hash64(&key, sizeof key, 0);
            for (uint32_t j = 0; j < D && !had[user][item]; j++)
                vectors[item][j] += (signs >> j & 1) != 0 ? 1.0f : -1.0f;
            mr_diversity_act(&of, user, key, item, !had[user][item]);
            had[user][item] = true;
            continue;
        }
        uint64_t shuffled[ITEMS];
        uint32_t items[ITEMS], m = 0;
        const uint32_t count = mr_rng_below(&rng, 20);
        shuffle(shuffled, ITEMS, &rng);
        for (uint32_t i = 0; i < count; i++) {
            items[i] = (uint32_t)shuffled[i];
            memcpy(rows[i], vectors[items[i]], sizeof *rows);
        }
        for (uint32_t i = 0; i < ITEMS; i++)
            if (had[user][i])
                memcpy(before[m++], vectors[i], sizeof *before);
        list(user, items, count);
        if (count > 1) {
            similarity += mr_intra_list_similarity(rows[0], count, D);
            similar++;
        }
        if (count > 0 && m > 0) {
            unexpectedness += mr_unexpectedness(rows[0], count, before[0], m, D);
            unexpected++;
        }
    }
    near(mr_diversity_judge(&of).similarity, similarity / similar, 1e-9);
    near(mr_diversity_judge(&of).unexpectedness, unexpectedness / unexpected, 1e-9);
}

static void items_of_the_same_users_are_alike_and_of_others_are_not(void **state)
{
    (void)state;
    const uint32_t same[] = {0, 1}, other[] = {0, 2};
    for (uint64_t key = 0; key < 1000; key++) {
        mr_diversity_act(&of, 0, key, 0, true);
        mr_diversity_act(&of, 0, key, 1, true);
        mr_diversity_act(&of, 0, 5000 + key, 2, true);
    }
    list(1, same, 2);
    near(mr_diversity_judge(&of).similarity, 1, 1e-6);
    mr_diversity_reset(&of);
    list(1, other, 2);
    near(mr_diversity_judge(&of).similarity, 0, 4 / 8.0); // four standard errors
}

static void only_the_last_items_of_a_history_are_remembered(void **state)
{
    (void)state;
    const float one[] = {1, 0}, two[] = {0, 1};
    const uint32_t item = ITEMS - 1;
    for (uint32_t i = 0; i < ITEMS; i++)
        mr_diversity_vector(&of, i, i < ITEMS - MR_DIVERSITY_HISTORY ? one : two, 2, ITEMS);
    for (uint32_t i = 0; i < ITEMS - 1; i++)
        mr_diversity_act(&of, 0, 0, i, true);
    list(0, &item, 1); // one of those with the other vector is still there
    near(mr_diversity_judge(&of).unexpectedness, 1.0 / MR_DIVERSITY_HISTORY, 1e-12);
    mr_diversity_act(&of, 0, 0, ITEMS - 1, true);
    mr_diversity_reset(&of);
    list(0, &item, 1);
    near(mr_diversity_judge(&of).unexpectedness, 0, 1e-12);
}

static void the_first_vector_of_a_catalogue_forgets_what_users_said(void **state)
{
    (void)state;
    const uint32_t items[] = {0, 1};
    const float vector[] = {1, 2};
    float longer[2 * D];
    mr_diversity_act(&of, 0, 1, 0, true);
    mr_diversity_act(&of, 0, 1, 1, true);
    list(1, items, 2);
    mr_diversity_vector(&of, 0, vector, 2, ITEMS);
    assert_true(isnan(mr_diversity_judge(&of).similarity));
    mr_diversity_act(&of, 1, 2, 1, true); // item 1 has no vector: nothing in common
    list(2, items, 2);
    near(mr_diversity_judge(&of).similarity, 0, 1e-12);
    for (uint32_t i = 0; i < 2 * D; i++)
        longer[i] = (float)i;
    mr_diversity_vector(&of, 0, longer, 2 * D, ITEMS); // projected, both alike
    mr_diversity_vector(&of, 1, longer, 2 * D, ITEMS);
    mr_diversity_reset(&of);
    list(2, items, 2);
    near(mr_diversity_judge(&of).similarity, 1, 1e-6);
}

static void what_is_shown_of_head_and_tail_is_held_against_what_could_be(void **state)
{
    (void)state;
    const bool head[SMALL_ITEMS] = {true, true, true};
    static const uint32_t had[SMALL_USERS][3] = {{0, 1, 1}, {0, 2, 2}, {0, 1, 3}};
    for (uint32_t u = 0; u < SMALL_USERS; u++) {
        uint32_t items[SMALL_K];
        for (uint32_t i = 0; i < 3; i++)
            mr_diversity_act(&of, u, u, had[u][i], i < 2 || had[u][i] != had[u][i - 1]);
        for (uint32_t i = 0; i < SMALL_K; i++)
            items[i] = (uint32_t)small_lists[u][i] - 1;
        mr_diversity_list(&of, u, items, SMALL_K, head, 3, SMALL_ITEMS);
    }
    near(mr_diversity_judge(&of).poprsp, .125 / .875, 1e-12); // 3 of 3 and 6 of 8
}

static void without_lists_there_is_no_number(void **state)
{
    (void)state;
    const uint32_t item = 1;
    assert_true(isnan(mr_diversity_judge(&of).similarity));
    assert_true(isnan(mr_diversity_judge(&of).unexpectedness));
    assert_true(isnan(mr_diversity_judge(&of).poprsp));
    list(0, &item, 0);
    list(0, &item, 1); // no pair, no history
    assert_true(isnan(mr_diversity_judge(&of).similarity));
    assert_true(isnan(mr_diversity_judge(&of).unexpectedness));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, open_diversity, close_diversity)
    const struct CMUnitTest tests[] = {
        TEST(the_small_example_has_its_similarity_and_unexpectedness),
        TEST(random_lists_equal_the_means_over_all_pairs),
        TEST(items_of_the_same_users_are_alike_and_of_others_are_not),
        TEST(only_the_last_items_of_a_history_are_remembered),
        TEST(the_first_vector_of_a_catalogue_forgets_what_users_said),
        TEST(what_is_shown_of_head_and_tail_is_held_against_what_could_be),
        TEST(without_lists_there_is_no_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
