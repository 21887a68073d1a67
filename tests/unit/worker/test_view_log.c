// SPDX-License-Identifier: Apache-2.0
// Rows of other shards by commit: an engine is shown those between two commits, also after folding.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/rows.h"
#include "worker/memory.h"
#include "worker/methods.h"
#include "worker/view_log.h"

enum { TASKS = 2, OTHERS = 1, ITEMS = 6 };

typedef struct fixture {
    mr_methods methods;
    mr_config *config;
    mr_engine_config engine_config;
    size_t engine_bytes;
    mr_view_log *log;
} fixture;

typedef struct one { // an engine
    mr_engine *engine;
    void *memory;
} one;

static void good(mr_status status, const mr_error *err)
{
    if (status != MR_OK)
        fail_msg("%s", err->text);
}

static one begin(const fixture *f, uint32_t task)
{
    mr_error err = {0};
    one e = {NULL, mr_memory_map(f->engine_bytes)};
    assert_non_null(e.memory);
    good(mr_engine_init(&e.engine, &f->engine_config, e.memory, f->engine_bytes, &err), &err);
    mr_engine_take(e.engine, task, 1);
    good(mr_engine_ready(e.engine, &err), &err);
    return e;
}

static void end(const fixture *f, one e)
{
    mr_memory_free(e.memory, f->engine_bytes);
}

static uint64_t items_of(one e)
{
    const uint64_t seqs[TASKS] = {1, 1};
    mr_engine_metrics metrics;
    mr_error err = {0};
    good(mr_engine_close(e.engine, seqs, &(mr_close_sink){0}, &err), &err);
    mr_engine_measure(e.engine, &metrics);
    return metrics.items;
}

typedef struct noting {
    fixture *f;
    uint64_t seq;
} noting;

static void note(void *context, uint32_t task, mr_row_place place, mr_bytes key, mr_bytes value,
                 mr_hash128 *hash)
{
    const noting *n = context;
    if (place == MR_ROW_OF_ITEM)
        mr_view_log_add(n->f->log, task, n->seq, key, value);
    *hash = mr_row_hash(key, value);
}

static void no_delta(void *context, uint32_t sender, uint32_t receiver, mr_bytes record)
{
    (void)context, (void)sender, (void)receiver, (void)record;
}

// The owner of the other shard learns of one item more in each of ITEMS commits.
static void learn(fixture *f)
{
    one owner = begin(f, OTHERS);
    uint32_t made = 0;
    for (uint64_t seq = 1; made < ITEMS; seq++) {
        char item[16];
        uint64_t seqs[TASKS] = {seq, seq};
        mr_error err = {0};
        noting n = {f, made + 1};
        const mr_close_sink sink = {.context = &n, .row = note, .delta = no_delta};
        snprintf(item, sizeof item, "item%u", (uint32_t)seq);
        if (mr_item_key(mr_bytes_text(item)) % TASKS != OTHERS)
            continue;
        mr_arrival arrival = {
            .event = {.kind = MR_EVENT_CLICK,
                      .present = 1u << MR_FIELD_user | 1u << MR_FIELD_item | 1u << MR_FIELD_time,
                      .user = mr_bytes_text("u"),
                      .item = mr_bytes_text(item),
                      .time_ms = 1700000000000},
            .record_ms = 1700000000000};
        mr_epoch epoch = {.task = OTHERS, .arrivals = &arrival, .count = 1};
        seqs[OTHERS] = made + 1;
        good(mr_engine_round(owner.engine, &epoch, 1, &err), &err);
        good(mr_engine_close(owner.engine, seqs, &sink, &err), &err);
        made++;
    }
    end(f, owner);
}

static int setup(void **state)
{
    static const char *const sets[] = {"app=test", "topics.clicks.kind=click", "items.max=1000",
                                       "users.memory=16MiB"};
    mr_error err = {0};
    fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    good(mr_methods_open(&f->methods, &err), &err);
    const mr_config_source source = {.sets = sets,
                                     .set_count = sizeof sets / sizeof sets[0],
                                     .numbers = f->methods.numbers,
                                     .number_count = f->methods.count};
    good(mr_config_load(&f->config, &source, &err), &err);
    mr_methods_apply(&f->methods, f->config);
    good(mr_methods_engine(&f->methods, f->config, TASKS, &f->engine_config, &err), &err);
    f->engine_config.exchange_bytes = 64 << 10;
    good(mr_engine_bytes(&f->engine_config, &f->engine_bytes, &err), &err);
    good(mr_view_log_open(TASKS, &f->log, &err), &err);
    learn(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    mr_view_log_close(f->log);
    mr_config_free(f->config);
    mr_methods_close(&f->methods);
    free(f);
    return 0;
}

static void an_engine_is_shown_what_lies_between_two_commits(void **state)
{
    fixture *f = *state;
    mr_error err = {0};
    one e = begin(f, 0);
    good(mr_view_log_show(f->log, OTHERS, 0, 2, e.engine, &err), &err);
    assert_int_equal(items_of(e), 2);
    end(f, e);
    e = begin(f, 0);
    good(mr_view_log_show(f->log, OTHERS, 0, 2, e.engine, &err), &err);
    good(mr_view_log_show(f->log, OTHERS, 2, 5, e.engine, &err), &err);
    assert_int_equal(items_of(e), 5);
    end(f, e);
}

static void folding_keeps_the_newest_row_of_each_key(void **state)
{
    fixture *f = *state;
    mr_error err = {0};
    const size_t before = mr_view_log_bytes(f->log);
    mr_view_log_fold(f->log, OTHERS, 4);
    assert_true(mr_view_log_bytes(f->log) < before); // named rows changed in every commit
    one e = begin(f, 0);
    good(mr_view_log_show(f->log, OTHERS, 0, 4, e.engine, &err), &err);
    good(mr_view_log_show(f->log, OTHERS, 4, ITEMS, e.engine, &err), &err);
    assert_int_equal(items_of(e), ITEMS);
    end(f, e);
}

static void a_row_that_is_gone_is_folded_with_those_before_it(void **state)
{
    fixture *f = *state;
    mr_error err = {0};
    const uint8_t key[11] = {'i', 0, 1, 0, 0, 0, 0, 0, 0, 0, 9};
    const mr_bytes name = mr_bytes_of(key, sizeof key);
    mr_view_log_fold(f->log, OTHERS, ITEMS);
    const size_t before = mr_view_log_bytes(f->log);
    mr_view_log_add(f->log, OTHERS, ITEMS + 1, name, mr_bytes_text("a value"));
    mr_view_log_add(f->log, OTHERS, ITEMS + 2, name, (mr_bytes){NULL, 0});
    assert_true(mr_view_log_bytes(f->log) > before);
    mr_view_log_fold(f->log, OTHERS, ITEMS + 2);
    assert_int_equal(mr_view_log_bytes(f->log), before);
    one e = begin(f, 0);
    good(mr_view_log_show(f->log, OTHERS, 0, ITEMS + 2, e.engine, &err), &err);
    assert_int_equal(items_of(e), ITEMS);
    end(f, e);
}

static void a_view_that_was_folded_away_is_refused(void **state)
{
    fixture *f = *state;
    mr_error err = {0};
    mr_view_log_fold(f->log, OTHERS, 4);
    one e = begin(f, 0);
    assert_int_equal(mr_view_log_show(f->log, OTHERS, 0, 3, e.engine, &err), MR_FATAL);
    assert_non_null(strstr(err.text, "folded"));
    end(f, e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_engine_is_shown_what_lies_between_two_commits, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(folding_keeps_the_newest_row_of_each_key, setup, teardown),
        cmocka_unit_test_setup_teardown(a_row_that_is_gone_is_folded_with_those_before_it, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_view_that_was_folded_away_is_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
