// SPDX-License-Identifier: Apache-2.0
// Every list is compared, slot by slot and bit by bit, with sorting the whole catalogue by the
// kernel's scores, for each set of kernels that this CPU can run.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/hash.h"
#include "core/base/rng.h"
#include "core/list/topk.h"

typedef struct world { // a catalogue, users and what is hidden from them
    uint32_t n, d, users, k;
    float *rows, *vectors;
    uint64_t *keys, *shown;
    uint32_t *seen; // seen_max for each user, ascending
    mr_topk_list *lists;
    uint32_t *slots;
    float *scores;
} world;

enum { SEEN_MAX = 40 };

static void *get(size_t count, size_t size)
{
    void *memory = aligned_alloc(64, (count * size / 64 + 2) * 64);
    assert_non_null(memory);
    memset(memory, 0, (count * size / 64 + 2) * 64);
    return memory;
}

static world *make(uint32_t n, uint32_t d, uint32_t users, uint32_t k)
{
    world *w = get(1, sizeof *w);
    *w = (world){.n = n, .d = d, .users = users, .k = k};
    w->rows = get((size_t)n * d, sizeof(float));
    w->vectors = get((size_t)users * d, sizeof(float));
    w->keys = get(n, sizeof *w->keys);
    w->shown = get(n / 64 + 1, sizeof *w->shown);
    w->seen = get((size_t)users * SEEN_MAX, sizeof *w->seen);
    w->lists = get(users, sizeof *w->lists);
    w->slots = get((size_t)users * k, sizeof *w->slots);
    w->scores = get((size_t)users * k, sizeof *w->scores);
    memset(w->shown, 0xff, (n / 64 + 1) * sizeof *w->shown);
    for (uint32_t i = 0; i < n; i++)
        w->keys[i] = mr_hash64(&i, sizeof i, 1);
    for (uint32_t i = 0; i < users; i++)
        w->lists[i] = (mr_topk_list){.seen = w->seen + (size_t)i * SEEN_MAX,
                                     .slots = w->slots + (size_t)i * k,
                                     .scores = w->scores + (size_t)i * k};
    return w;
}

static void drop(world *w)
{
    free(w->rows);
    free(w->vectors);
    free(w->keys);
    free(w->shown);
    free(w->seen);
    free(w->lists);
    free(w->slots);
    free(w->scores);
    free(w);
}

static void scan(world *w, const mr_vec *vec)
{
    void *image = get(mr_topk_image_bytes(w->n, w->d), 1), *scratch = get(mr_topk_bytes(w->k), 1);
    const mr_topk_items items = {.rows = w->rows,
                                 .image = mr_topk_image_at(image, w->n, w->d),
                                 .keys = w->keys,
                                 .shown = w->shown,
                                 .count = w->n,
                                 .stride = w->d,
                                 .norm_max = mr_topk_norm_max(w->rows, w->n, w->d)};
    for (uint32_t i = 0; i < w->n; i++)
        mr_topk_image_put(&items.image, i, w->rows + (size_t)i * w->d, w->d);
    memset(scratch, 0xa5, mr_topk_bytes(w->k)); // nothing may be taken from what was there
    mr_topk_scan(&items, w->vectors, w->users, w->k, w->lists, vec, scratch);
    free(scratch);
    free(image);
}

typedef struct truth {
    float score;
    uint32_t slot;
    uint64_t key;
} truth;

static int compare(const void *a, const void *b)
{
    const truth *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return x->key < y->key ? -1 : 1;
}

static bool hidden(const world *w, const mr_topk_list *list, uint32_t slot)
{
    if ((w->shown[slot / 64] >> (slot % 64) & 1) == 0)
        return true;
    for (uint32_t i = 0; i < list->seen_count; i++)
        if (list->seen[i] == slot)
            return true;
    return false;
}

static void assert_lists_are_true(const world *w)
{
    const mr_vec *vec = mr_vec_best();
    truth *all = get(w->n, sizeof *all);
    for (uint32_t u = 0; u < w->users; u++) {
        const mr_topk_list *list = &w->lists[u];
        uint32_t count = 0;
        for (uint32_t i = 0; i < w->n; i++)
            if (!hidden(w, list, i))
                all[count++] = (truth){
                    vec->dot(w->vectors + (size_t)u * w->d, w->rows + (size_t)i * w->d, w->d), i,
                    w->keys[i]};
        qsort(all, count, sizeof *all, compare);
        assert_int_equal(list->count, count < w->k ? count : w->k);
        for (uint32_t i = 0; i < list->count; i++) {
            assert_int_equal(list->slots[i], all[i].slot);
            assert_memory_equal(&list->scores[i], &all[i].score, sizeof(float));
        }
    }
    free(all);
}

static void check(world *w)
{
    const mr_vec *kernels[4];
    const uint32_t count = mr_vec_all(kernels);
    for (uint32_t i = 0; i < count; i++) {
        memset(w->slots, 0xff, (size_t)w->users * w->k * sizeof *w->slots);
        scan(w, kernels[i]);
        assert_lists_are_true(w);
    }
}

static void fill_normal(float *x, size_t count, uint64_t seed)
{
    mr_rng rng = mr_rng_make(seed, 0, 0, 0, MR_PURPOSE_SIM);
    for (size_t i = 0; i < count; i++)
        x[i] = mr_rng_normal(&rng);
}

static void fill_integers(float *x, size_t count, uint64_t seed, uint32_t values)
{
    mr_rng rng = mr_rng_make(seed, 0, 0, 0, MR_PURPOSE_SIM);
    for (size_t i = 0; i < count; i++)
        x[i] = (float)mr_rng_below(&rng, values) - (float)(values / 2);
}

static void fill_seen(world *w, uint32_t each, uint64_t seed)
{
    mr_rng rng = mr_rng_make(seed, 0, 0, 0, MR_PURPOSE_SIM);
    for (uint32_t u = 0; u < w->users; u++) {
        uint32_t slot = mr_rng_below(&rng, 4), count = 0;
        uint32_t *seen = w->seen + (size_t)u * SEEN_MAX;
        for (; count < each && slot < w->n; slot += 1 + mr_rng_below(&rng, 2 * w->n / each))
            seen[count++] = slot;
        w->lists[u].seen_count = count;
    }
}

static void random_vectors_of_all_sizes(void **state)
{
    (void)state;
    static const uint32_t sizes[][4] = {
        // n, d, users, k
        {1, 16, 1, 1},       {15, 16, 3, 4},      {1023, 32, 5, 10},   {1024, 64, 64, 100},
        {1025, 64, 65, 100}, {2048, 16, 130, 7},  {5000, 64, 33, 1},   {20000, 64, 64, 100},
        {20000, 16, 4, 500}, {6000, 256, 8, 50},  {3000, 64, 2, 1024}, {1024, 16, 2, 512},
        {1024, 16, 2, 513},  {1030, 16, 2, 1024},
    };
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        world *w = make(sizes[i][0], sizes[i][1], sizes[i][2], sizes[i][3]);
        fill_normal(w->rows, (size_t)w->n * w->d, 2 * i);
        fill_normal(w->vectors, (size_t)w->users * w->d, 2 * i + 1);
        check(w);
        drop(w);
    }
}

static void ties_go_to_the_lower_key(void **state)
{
    (void)state;
    for (uint32_t values = 1; values <= 5; values++) { // 1: all rows are zero
        world *w = make(7000, 16, 9, 100);
        fill_integers(w->rows, (size_t)w->n * w->d, values, values);
        fill_integers(w->vectors, (size_t)w->users * w->d, 77, 3);
        memset(w->vectors, 0, w->d * sizeof(float)); // the first user scores all items alike
        check(w);
        drop(w);
    }
}

// Scores differ by less than sgemm's rounding: its order of items is not the kernel's.
static void near_ties_are_ordered_by_the_kernel(void **state)
{
    (void)state;
    for (uint32_t d = 16; d <= 256; d *= 4) {
        world *w = make(5000, d, 16, 100);
        float base[256];
        fill_normal(base, d, 5);
        fill_normal(w->vectors, (size_t)w->users * d, 6);
        fill_normal(w->rows, (size_t)w->n * d, 7);
        for (uint32_t i = 0; i < w->n; i++)
            for (uint32_t j = 0; j < d; j++) {
                float *x = &w->rows[(size_t)i * d + j];
                *x = base[j] + *x * (i % 3 == 0 ? 1e-7f : 3e-7f);
            }
        check(w);
        drop(w);
    }
}

static void very_small_and_very_large_numbers_are_ordered(void **state)
{
    (void)state;
    static const float scales[][2] = {
        {1e-20f, 1e-20f}, {1e-30f, 1e-12f}, {1e18f, 1e15f}, {1e-38f, 1.0f}};
    for (size_t i = 0; i < 4; i++) {
        world *w = make(3000, 64, 5, 20);
        fill_normal(w->rows, (size_t)w->n * w->d, 1);
        fill_normal(w->vectors, (size_t)w->users * w->d, 2);
        for (size_t j = 0; j < (size_t)w->n * w->d; j++)
            w->rows[j] *= scales[i][0];
        for (size_t j = 0; j < (size_t)w->users * w->d; j++)
            w->vectors[j] *= scales[i][1];
        check(w);
        drop(w);
    }
}

static void hidden_and_seen_items_are_left_out_and_leave_room_for_others(void **state)
{
    (void)state;
    static const uint32_t shown_of_8[] = {8, 7, 1, 0};
    for (size_t i = 0; i < 4; i++)
        for (uint32_t each = 1; each <= SEEN_MAX; each += 13) {
            world *w = make(3000, 32, 7, 60);
            fill_normal(w->rows, (size_t)w->n * w->d, 3);
            fill_normal(w->vectors, (size_t)w->users * w->d, 4);
            fill_seen(w, each, each);
            for (uint32_t slot = 0; slot < w->n; slot++)
                if (w->keys[slot] % 8 >= shown_of_8[i])
                    w->shown[slot / 64] &= ~(1ull << (slot % 64));
            check(w);
            drop(w);
        }
}

// The items that score highest are hidden: they must not raise the floor.
static void the_best_items_may_all_be_hidden(void **state)
{
    (void)state;
    world *w = make(4000, 16, 6, 50);
    fill_normal(w->rows, (size_t)w->n * w->d, 8);
    fill_normal(w->vectors, (size_t)w->users * w->d, 9);
    for (uint32_t u = 0; u < w->users; u++)
        w->vectors[u * w->d] = 1;
    for (uint32_t slot = 0; slot < w->n; slot++) {
        if (slot % 2 == 0) // high for every user, and not shown
            w->shown[slot / 64] &= ~(1ull << (slot % 64));
        w->rows[slot * w->d] += slot % 2 == 0 ? 100 : 0;
    }
    fill_seen(w, 30, 5);
    check(w);
    drop(w);
}

static void fewer_items_than_k_give_short_lists(void **state)
{
    (void)state;
    world *w = make(1500, 16, 3, 1000);
    fill_normal(w->rows, (size_t)w->n * w->d, 8);
    fill_normal(w->vectors, (size_t)w->users * w->d, 9);
    for (uint32_t slot = 0; slot < w->n; slot++)
        if (slot % 2 == 0)
            w->shown[slot / 64] &= ~(1ull << (slot % 64));
    check(w);
    assert_int_equal(w->lists[0].count, 750);
    drop(w);
}

static void an_empty_catalogue_gives_empty_lists(void **state)
{
    (void)state;
    world *w = make(0, 16, 3, 10);
    w->lists[1].count = 9;
    check(w);
    assert_int_equal(w->lists[1].count, 0);
    drop(w);
}

static void no_bitmap_means_that_all_are_shown(void **state)
{
    (void)state;
    world *w = make(2000, 16, 3, 10);
    fill_normal(w->rows, (size_t)w->n * w->d, 8);
    fill_normal(w->vectors, (size_t)w->users * w->d, 9);
    uint64_t *const bitmap = w->shown;
    w->shown = NULL;
    scan(w, mr_vec_best());
    w->shown = bitmap;
    assert_lists_are_true(w);
    drop(w);
}

static void slots_decide_nothing(void **state)
{
    (void)state;
    world *a = make(5000, 16, 8, 80), *b = make(5000, 16, 8, 80);
    fill_integers(a->rows, (size_t)a->n * a->d, 1, 3); // many ties
    fill_integers(a->vectors, (size_t)a->users * a->d, 2, 3);
    memcpy(b->vectors, a->vectors, (size_t)a->users * a->d * sizeof(float));
    for (uint32_t i = 0; i < a->n; i++) {
        const uint32_t to = (uint32_t)((uint64_t)i * 3203 % a->n);
        memcpy(b->rows + (size_t)to * b->d, a->rows + (size_t)i * a->d, a->d * sizeof(float));
        b->keys[to] = a->keys[i];
    }
    scan(a, mr_vec_best());
    scan(b, mr_vec_best());
    for (uint32_t u = 0; u < a->users; u++)
        for (uint32_t i = 0; i < a->k; i++) {
            assert_true(a->keys[a->lists[u].slots[i]] == b->keys[b->lists[u].slots[i]]);
            assert_memory_equal(&a->lists[u].scores[i], &b->lists[u].scores[i], sizeof(float));
        }
    drop(a);
    drop(b);
}

static void a_user_alone_has_the_list_that_he_has_in_company(void **state)
{
    (void)state;
    world *all = make(3000, 64, 70, 40), *one = make(3000, 64, 1, 40);
    fill_normal(all->rows, (size_t)all->n * all->d, 1);
    fill_normal(all->vectors, (size_t)all->users * all->d, 2);
    memcpy(one->rows, all->rows, (size_t)all->n * all->d * sizeof(float));
    scan(all, mr_vec_best());
    for (uint32_t u = 0; u < all->users; u++) {
        memcpy(one->vectors, all->vectors + (size_t)u * all->d, all->d * sizeof(float));
        scan(one, mr_vec_best());
        assert_memory_equal(one->slots, all->lists[u].slots, 40 * sizeof(uint32_t));
        assert_memory_equal(one->scores, all->lists[u].scores, 40 * sizeof(float));
    }
    drop(all);
    drop(one);
}

static void the_largest_norm_is_never_rounded_down(void **state)
{
    (void)state;
    float rows[32] = {0};
    assert_true(mr_topk_norm_max(rows, 0, 16) == 0);
    rows[16] = 3;
    rows[17] = -4;
    assert_true(mr_topk_norm_max(rows, 2, 16) >= 5);
    assert_true(mr_topk_norm_max(rows, 2, 16) < 5.00001f);
    rows[18] = 1e-3f;
    assert_true((double)mr_topk_norm_max(rows, 2, 16) >= 5.0000001);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_vectors_of_all_sizes),
        cmocka_unit_test(ties_go_to_the_lower_key),
        cmocka_unit_test(near_ties_are_ordered_by_the_kernel),
        cmocka_unit_test(very_small_and_very_large_numbers_are_ordered),
        cmocka_unit_test(hidden_and_seen_items_are_left_out_and_leave_room_for_others),
        cmocka_unit_test(the_best_items_may_all_be_hidden),
        cmocka_unit_test(fewer_items_than_k_give_short_lists),
        cmocka_unit_test(an_empty_catalogue_gives_empty_lists),
        cmocka_unit_test(no_bitmap_means_that_all_are_shown),
        cmocka_unit_test(slots_decide_nothing),
        cmocka_unit_test(a_user_alone_has_the_list_that_he_has_in_company),
        cmocka_unit_test(the_largest_norm_is_never_rounded_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
