// SPDX-License-Identifier: Apache-2.0
// The records of the metrics topic that one window makes.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "worker/methods.h"
#include "worker/metrics.h"

typedef struct fixture {
    mr_methods methods;
    mr_config *config;
    mr_catalog *catalog;
    mr_outputs *outputs;
    mr_frozen *frozen;
    mr_engine *engine;
    void *memory;
    size_t memory_bytes;
    mr_histogram latency;
    mr_source_counters source;
    mr_metrics_window window;
} fixture;

static void good(mr_status status, const mr_error *err)
{
    if (status != MR_OK)
        fail_msg("%s", err->text);
}

static void open_engine(fixture *f, mr_error *err)
{
    mr_engine_config config;
    good(mr_methods_engine(&f->methods, f->config, 1, &config, err), err);
    good(mr_engine_bytes(&config, &f->memory_bytes, err), err);
    f->memory = mmap(NULL, f->memory_bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_true(f->memory != MAP_FAILED);
    good(mr_engine_init(&f->engine, &config, f->memory, f->memory_bytes, err), err);
    mr_engine_take(f->engine, 0, 1);
    good(mr_engine_ready(f->engine, err), err);
}

// A window of two seconds in which 10 records and 4 commits came.
static int setup(void **state)
{
    static const char *const sets[] = {"app=test", "topics.clicks.kind=click", "items.max=1000",
                                       "users.memory=16MiB"};
    static const uint32_t tasks[] = {0};
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
    good(mr_catalog_open(NULL, &f->catalog, &err), &err);
    good(mr_outputs_open(f->config, f->catalog, 1, &f->outputs, &err), &err);
    good(mr_frozen_open(1 << 20, &f->frozen, &err), &err);
    good(mr_frozen_begin(f->frozen, 1, tasks, 1, &err), &err);
    open_engine(f, &err);
    f->window = (mr_metrics_window){.begun_ms = 1000,
                                    .now_ms = 3000,
                                    .records = 10,
                                    .commits = 4,
                                    .lag_records = -1,
                                    .latency = &f->latency,
                                    .source = &f->source};
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    munmap(f->memory, f->memory_bytes);
    mr_frozen_close(f->frozen);
    mr_outputs_close(f->outputs);
    mr_catalog_close(f->catalog);
    mr_config_free(f->config);
    mr_methods_close(&f->methods);
    free(f);
    return 0;
}

static const mr_record *find(const fixture *f, const char *name)
{
    uint32_t count;
    const mr_record *records = mr_frozen_records(f->frozen, &count);
    for (uint32_t i = 0; i < count; i++)
        if (mr_bytes_equal(records[i].key, mr_bytes_text(name)))
            return &records[i];
    return NULL;
}

static bool holds(const mr_record *record, const void *bytes, size_t size)
{
    return memmem(record->value.data, record->value.size, bytes, size) != NULL;
}

static void what_a_model_tells_of_itself_is_a_record_with_its_name(void **state)
{
    const fixture *f = *state;
    const double one = 1.0; // no impressions yet: it counts activity alone
    mr_metrics_put(f->outputs, f->frozen, f->engine, &f->window);
    const mr_record *record = find(f, "activity_mode");
    assert_non_null(record);
    assert_int_equal(record->topic, MR_TOPIC_METRICS);
    assert_true(holds(record, "diag_linucb", strlen("diag_linucb")));
    assert_true(holds(record, &one, sizeof one));
}

static void rates_are_those_of_the_window(void **state)
{
    const fixture *f = *state;
    const double records = 5.0, commits = 2.0;
    mr_metrics_put(f->outputs, f->frozen, f->engine, &f->window);
    assert_true(holds(find(f, "records_per_second"), &records, sizeof records));
    assert_true(holds(find(f, "commits_per_second"), &commits, sizeof commits));
}

static void what_is_not_known_is_left_out(void **state)
{
    const fixture *f = *state;
    mr_metrics_put(f->outputs, f->frozen, f->engine, &f->window);
    assert_null(find(f, "lag_records"));
    assert_null(find(f, "latency_p50_seconds"));
    assert_null(find(f, "coverage")); // of no items
    assert_null(find(f, "dead_letters"));
}

static void a_registry_is_measured_where_there_is_one(void **state)
{
    fixture *f = *state;
    const double two = 2.0, seven = 7.0;
    mr_metrics_put(f->outputs, f->frozen, f->engine, &f->window);
    assert_null(find(f, "partitions_waiting_for_schema"));
    const mr_registry_counters registry = {.wanted = 1, .failures = 7};
    f->window.registry = &registry;
    f->source.waiting = 2;
    mr_metrics_put(f->outputs, f->frozen, f->engine, &f->window);
    assert_true(holds(find(f, "partitions_waiting_for_schema"), &two, sizeof two));
    assert_true(holds(find(f, "registry_failures"), &seven, sizeof seven));
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        test(what_a_model_tells_of_itself_is_a_record_with_its_name),
        test(rates_are_those_of_the_window),
        test(what_is_not_known_is_left_out),
        test(a_registry_is_measured_where_there_is_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
