// SPDX-License-Identifier: Apache-2.0
// waiting against a plain array of who waits.
#include "core/waiting.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/rng.h"

enum { USERS = 60, MAX = 40, TASKS = 3, STEPS = 20000, ID_MAX = 13 };

typedef struct plain {
    bool waits[USERS];
    int64_t list_ms[USERS];
} plain;

static uint64_t key_of(uint32_t user)
{
    return (user + 1) * 0x9e3779b97f4a7c15ull;
}

static void check(const mr_waiting *waiting, const plain *want)
{
    uint32_t of_task[TASKS] = {0}, count = 0;
    for (uint32_t u = 0; u < USERS; u++) {
        const mr_waiter *waiter = mr_waiting_find(waiting, key_of(u));
        assert_int_equal(waiter != NULL, want->waits[u]);
        if (waiter == NULL)
            continue;
        char id[ID_MAX + 1];
        snprintf(id, sizeof id, "user-%u", u);
        assert_true(mr_bytes_equal(mr_bytes_of(waiter->id, waiter->id_size), mr_bytes_text(id)));
        assert_int_equal(waiter->key, key_of(u));
        assert_int_equal(waiter->list_ms, want->list_ms[u]);
        assert_int_equal(waiter->task, u % TASKS);
        of_task[u % TASKS]++;
        count++;
    }
    assert_int_equal(waiting->count, count);
    assert_memory_equal(waiting->of_task, of_task, sizeof of_task);
    for (uint32_t i = 0; i < count; i++)
        assert_ptr_equal(mr_waiting_find(waiting, mr_waiting_at(waiting, i)->key),
                         mr_waiting_at(waiting, i));
}

static void it_holds_who_waits_as_a_plain_array_does(void **state)
{
    (void)state;
    static plain want;
    const size_t bytes = mr_waiting_bytes(ID_MAX, MAX, TASKS);
    void *memory = aligned_alloc(64, (bytes + 63) & ~63ul);
    memset(memory, 0, bytes);
    mr_arena arena;
    mr_arena_init(&arena, memory, bytes);
    mr_waiting waiting;
    mr_waiting_init(&waiting, ID_MAX, MAX, TASKS, &arena);
    assert_true(arena.used <= bytes);
    mr_rng rng = mr_rng_make(1, 2, 3, 4, MR_PURPOSE_SIM);
    uint32_t refused = 0;
    for (int64_t step = 0; step < STEPS; step++) {
        const uint32_t user = mr_rng_below(&rng, USERS), what = mr_rng_below(&rng, 100);
        if (what == 0) {
            mr_waiting_release(&waiting, user % TASKS);
            for (uint32_t u = user % TASKS; u < USERS; u += TASKS)
                want.waits[u] = false;
        } else if (what < 35) {
            mr_waiting_remove(&waiting, key_of(user));
            want.waits[user] = false;
        } else {
            char id[ID_MAX + 1];
            snprintf(id, sizeof id, "user-%u", user);
            const bool fits = want.waits[user] || waiting.count < MAX;
            assert_int_equal(
                mr_waiting_put(&waiting, user % TASKS, key_of(user), mr_bytes_text(id), step),
                fits);
            refused += !fits;
            want.waits[user] = fits;
            want.list_ms[user] = fits ? step : want.list_ms[user];
        }
        check(&waiting, &want);
    }
    assert_true(refused > 100);
    free(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(it_holds_who_waits_as_a_plain_array_does)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
