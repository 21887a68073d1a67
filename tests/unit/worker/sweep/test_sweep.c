// SPDX-License-Identifier: Apache-2.0
#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "worker/sweep/sweep.h"

enum { BRANCHES = 5, LINES = 1200 };

typedef struct fixture {
    char path[32];
    mr_methods methods[BRANCHES];
    mr_config *configs[BRANCHES];
    mr_sweep_configuration configurations[BRANCHES];
    mr_perturbation perturbations[BRANCHES];
    mr_replay_options replay;
    mr_sweep_options options;
} fixture;

static void load(fixture *f, const char *set)
{
    const uint32_t at = f->options.count++;
    const char *const sets[] = {"items.max=2000",      "users.memory=2MiB", "dedup.events_max=5000",
                                "replay.tasks=2",      "lists.k=10",        "memory.pages=small",
                                "replay.commit_events=100", set};
    mr_error err = {0};
    assert_int_equal(mr_methods_open(&f->methods[at], &err), MR_OK);
    const mr_config_source source = {.sets = sets,
                                     .set_count = set != NULL ? 8 : 7,
                                     .numbers = f->methods[at].numbers,
                                     .number_count = f->methods[at].count};
    if (mr_config_load(&f->configs[at], &source, &err) != MR_OK)
        fail_msg("%s", err.text);
    mr_methods_apply(&f->methods[at], f->configs[at]);
    snprintf(f->configurations[at].name, MR_SWEEP_NAME_MAX, "%s",
             set != NULL ? set : "as configured");
    f->configurations[at].config = f->configs[at];
    f->configurations[at].methods = &f->methods[at];
}

// The beginning of the log: what is shown here needs no more.
static void cut_log(char *path)
{
    char line[256];
    FILE *from = fopen("tests/data/golden/log.csv", "r"), *to = fdopen(mkstemp(path), "w");
    assert_true(from != NULL && to != NULL);
    for (uint32_t i = 0; i < LINES && fgets(line, sizeof line, from) != NULL; i++)
        fputs(line, to);
    fclose(from);
    fclose(to);
}

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    snprintf(f->path, sizeof f->path, "/tmp/test_sweep_XXXXXX");
    cut_log(f->path);
    f->replay = (mr_replay_options){.inputs = {f->path},
                                    .input_count = 1,
                                    .measure = true,
                                    .judge = true,
                                    .warmup = .1,
                                    .window_ms = 3600000};
    f->options = (mr_sweep_options){.replay = &f->replay,
                                    .configurations = f->configurations,
                                    .lanes = 1,
                                    .seed = 1,
                                    .metric = {MR_SCORE_NEW, 1}};
    load(f, NULL);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    unlink(f->path);
    for (uint32_t i = 0; i < f->options.count; i++) {
        mr_config_free(f->configs[i]);
        mr_methods_close(&f->methods[i]);
    }
    free(f);
    return 0;
}

// A branch of the first configuration that learns a changed log.
static void perturb(fixture *f, const char *text)
{
    const uint32_t at = f->options.count;
    mr_error err = {0};
    load(f, NULL);
    if (mr_perturbation_parse(text, 1, at, &f->perturbations[at], &err) != MR_OK)
        fail_msg("%s", err.text);
    snprintf(f->configurations[at].name, MR_SWEEP_NAME_MAX, "%s", text);
    f->configurations[at].perturbation = &f->perturbations[at];
}

static void run(const fixture *f, mr_sweep_result *result)
{
    mr_error err = {0};
    if (mr_sweep_run(&f->options, result, &err) != MR_OK)
        fail_msg("%s", err.text);
}

static const mr_sweep_row *row_of(const mr_sweep_result *result, uint32_t index)
{
    for (uint32_t i = 0; i < result->count; i++)
        if (result->rows[i].index == index)
            return &result->rows[i];
    fail_msg("no row of configuration %u", index);
    return NULL;
}

static void a_what_if_without_a_change_gives_an_empty_difference(void **state)
{
    fixture *f = *state;
    mr_sweep_result result;
    f->replay.warmup = 0;
    load(f, "lists.k=10");
    run(f, &result);
    const mr_sweep_row *from = row_of(&result, 0), *to = row_of(&result, 1);
    assert_true(to->lists.compared > 100);
    assert_int_equal(to->lists.differ + to->lists.only_from + to->lists.only_to, 0);
    assert_true(fabs(to->lists.rbo - (double)to->lists.compared) < 1e-6);
    assert_memory_equal(&from->state_hash, &to->state_hash, sizeof from->state_hash);
    assert_memory_equal(&from->lists_hash, &to->lists_hash, sizeof from->lists_hash);
    assert_true(from->score.count[MR_SCORE_NEW] > 20 && from->score.count[MR_SCORE_SERVED] > 100);
    for (uint32_t s = 0; s < MR_SCORE_SOURCES; s++)
        for (uint32_t t = 0; t < MR_SCORE_TERMS; t++) {
            const mr_estimate *e = &to->difference.of[s][t];
            assert_true(e->value == 0 && e->interval.low == 0 && e->interval.high == 0);
            assert_true(from->score.of[s][t].value > 0);
        }
}

static void a_change_of_lists_shows_in_the_lists_and_in_what_was_served(void **state)
{
    fixture *f = *state;
    mr_sweep_result result;
    load(f, "lists.explore=1");
    run(f, &result);
    const mr_sweep_row *from = row_of(&result, 0), *to = row_of(&result, 1);
    assert_true(to->lists.differ > to->lists.compared / 4);
    assert_true(to->lists.rbo < .9 * (double)to->lists.compared);
    assert_true(memcmp(&from->lists_hash, &to->lists_hash, sizeof from->lists_hash) != 0);
    assert_true(to->difference.of[MR_SCORE_SERVED][0].interval.high < 0);
    assert_true(fabs(to->score.of[MR_SCORE_SERVED][0].value -
                     from->score.of[MR_SCORE_SERVED][0].value -
                     to->difference.of[MR_SCORE_SERVED][0].value) < 1e-12);
}

static void a_configuration_alone_gives_the_same_as_inside_a_sweep(void **state)
{
    fixture *f = *state;
    static const char *const names[] = {"all", "new"};
    mr_sweep_result result;
    mr_replay_result *alone;
    mr_error err = {0};
    f->replay.warmup = 0;
    load(f, "models.covisit.shrink=50");
    load(f, "models.off=diag_linucb");
    run(f, &result);
    for (uint32_t i = 0; i < 3; i++) {
        mr_replay_options options = f->replay;
        options.config = f->configs[i];
        options.methods = &f->methods[i];
        if (mr_replay_run(&options, &alone, &err) != MR_OK)
            fail_msg("%s", err.text);
        const mr_sweep_row *row = row_of(&result, i);
        assert_memory_equal(&alone->state_hash, &row->state_hash, sizeof row->state_hash);
        assert_memory_equal(&alone->lists_hash, &row->lists_hash, sizeof row->lists_hash);
        for (uint32_t s = 0; s < 2; s++) {
            const mr_prequential *sum = s == 0 ? &alone->scored.all[alone->last.column_count]
                                               : &alone->scored.fresh[alone->last.column_count];
            assert_true(sum->count > 100 && sum->count == row->score.count[s]);
            assert_true(sum->ndcg / sum->count == row->score.of[s][1].value);
            if (fabs(sum->recall / sum->count - row->score.of[s][0].value) > 1e-12)
                fail_msg("%s: another recall", names[s]);
        }
        mr_replay_result_free(alone);
    }
}

// The table without what the machine decides.
static char *table_of(const mr_sweep_result *result)
{
    json_t *json = mr_sweep_json(result);
    json_object_del(json, "cost");
    char *text = json_dumps(json, JSON_INDENT(1) | JSON_REAL_PRECISION(17));
    json_decref(json);
    return text;
}

static void any_number_of_lanes_gives_the_same_table(void **state)
{
    static const char *const sets[] = {"models.covisit.shrink=500", "models.off=diag_linucb",
                                       "models.embedding.dim=16", "lists.explore=1"};
    fixture *f = *state;
    mr_sweep_result result;
    char *first = NULL;
    for (uint32_t i = 0; i < 4; i++)
        load(f, sets[i]);
    f->options.rungs = mr_sweep_rungs(f->options.count);
    assert_int_equal(f->options.rungs, 1);
    for (uint32_t lanes = 1; lanes <= 3; lanes += 2) {
        f->options.lanes = lanes;
        run(f, &result);
        char *table = table_of(&result);
        if (first == NULL)
            first = table;
        else
            assert_string_equal(table, first);
        if (table != first)
            free(table);
    }
    free(first);
}

static void a_log_that_is_not_changed_gives_a_sensitivity_of_one_and_none_at_all_zero(void **state)
{
    fixture *f = *state;
    mr_sweep_result result;
    perturb(f, "none");
    perturb(f, "drop=1");
    run(f, &result);
    const mr_sweep_row *from = row_of(&result, 0), *none = row_of(&result, 1),
                       *all = row_of(&result, 2);
    assert_false(from->perturbed);
    assert_true(none->perturbed && none->changed == 0 && none->sensitivity.users > 10);
    assert_memory_equal(&from->state_hash, &none->state_hash, sizeof from->state_hash);
    for (uint32_t i = 0; i < 2; i++) {
        const mr_estimate *one = i == 0 ? &none->sensitivity.rbo : &none->sensitivity.jaccard;
        const mr_estimate *nil = i == 0 ? &all->sensitivity.rbo : &all->sensitivity.jaccard;
        assert_true(fabs(one->value - 1) < 1e-12 && fabs(one->interval.low - 1) < 1e-12);
        assert_true(nil->value == 0 && nil->interval.low == 0 && nil->interval.high == 0);
    }
    assert_int_equal(all->changed, LINES - 1); // but the header
    assert_int_equal(all->sensitivity.users, none->sensitivity.users);
}

// Of the log's lines: how many items the user and others acted on, and his share of what the items
// count that he acted on, with the weights of acts that are configured.
static double share_in_log(const fixture *f, const char *user, uint64_t *items)
{
    double his[1000] = {0}, all[1000] = {0}, of_his = 0, of_all = 0;
    char line[256], name[32], type[16];
    unsigned item;
    FILE *file = fopen(f->path, "r");
    while (fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "%*d,%31[^,],item-%u,%15[^,]", name, &item, type) != 3)
            continue;
        const double weight = strcmp(type, "cart") == 0       ? 2
                              : strcmp(type, "purchase") == 0 ? 3
                                                              : 1;
        all[item] += weight;
        his[item] += strcmp(name, user) == 0 ? weight : 0;
    }
    fclose(file);
    *items = 0;
    for (uint32_t i = 0; i < 1000; i++) {
        *items += his[i] > 0 && all[i] > his[i];
        of_his += his[i];
        of_all += his[i] > 0 ? all[i] : 0;
    }
    return of_his / of_all;
}

static void what_items_keep_of_one_user_is_his_share_of_them(void **state)
{
    fixture *f = *state;
    mr_sweep_result result;
    uint64_t items;
    perturb(f, "user=user-3");
    perturb(f, "user=nobody");
    perturb(f, "drop=2");
    run(f, &result);
    const double share = share_in_log(f, "user-3", &items);
    const mr_residue *r = &row_of(&result, 1)->residue;
    assert_true(row_of(&result, 1)->without_user && items > 5);
    assert_int_equal(r->items, items);
    assert_true(fabs(r->share - share) < 1e-4); // counts are in units of 2^-16
    assert_true(r->moved > 0 && r->moved_others > 0 && r->auc > 0 && r->auc < 1);
    const mr_residue *none = &row_of(&result, 2)->residue;
    assert_true(row_of(&result, 2)->without_user && none->items == 0 && isnan(none->share));
    assert_true(none->moved_others == 0 && isnan(none->moved) && isnan(none->auc));
    assert_false(row_of(&result, 3)->without_user);
}

// Writes the log as a perturbation would have it, event by event.
static void rewrite(const char *from_path, const char *to_path, const mr_perturbation *p)
{
    mr_arrivals_files files;
    mr_arrivals arrivals;
    mr_arrival arrival;
    mr_error err = {0};
    char line[256];
    uint64_t place = 0;
    FILE *from = fopen(from_path, "r"), *to = fopen(to_path, "w");
    assert_true(from != NULL && to != NULL);
    assert_non_null(fgets(line, sizeof line, from));
    fputs(line, to);
    assert_int_equal(mr_arrivals_of_files(&from_path, 1, NULL, NULL, &files, &arrivals, &err),
                     MR_OK);
    for (bool more = true;; place++) {
        mr_event other;
        assert_int_equal(arrivals.next(arrivals.context, &arrival, &more, &err), MR_OK);
        if (!more)
            break;
        assert_non_null(fgets(line, sizeof line, from));
        const mr_perturbed what = mr_perturbation_of(p, place, &arrival.event, &other);
        if (what == MR_PERTURBED_KEPT || what == MR_PERTURBED_AFTER)
            fputs(line, to);
        if (what == MR_PERTURBED_INSTEAD || what == MR_PERTURBED_AFTER)
            fprintf(to, "%lld,%.*s,%.*s,%s,%.*g,,,\n", (long long)other.time_ms,
                    (int)other.user.size, (const char *)other.user.data, (int)other.item.size,
                    (const char *)other.item.data, mr_event_kind_name(other.kind),
                    mr_event_has(&other, MR_FIELD_value) ? 17 : 0,
                    mr_event_has(&other, MR_FIELD_value) ? other.value : 0);
    }
    arrivals.close(arrivals.context);
    fclose(from);
    fclose(to);
}

static void see_all(const char *path, mr_perturbation *p)
{
    mr_arrivals_files files;
    mr_arrivals arrivals;
    mr_arrival arrival;
    mr_error err = {0};
    assert_int_equal(mr_arrivals_of_files(&path, 1, NULL, NULL, &files, &arrivals, &err), MR_OK);
    for (uint64_t place = 0;; place++) {
        bool more;
        assert_int_equal(arrivals.next(arrivals.context, &arrival, &more, &err), MR_OK);
        if (!more)
            break;
        mr_perturbation_see(p, place, &arrival.event);
    }
    arrivals.close(arrivals.context);
}

static void a_changed_log_is_learned_as_if_it_had_been_written_so(void **state)
{
    static const char *const texts[] = {"drop=7", "user=user-3", "replace=random",
                                        "insert=latest"};
    fixture *f = *state;
    mr_sweep_result result;
    mr_error err = {0};
    f->replay.warmup = 0;
    for (uint32_t i = 0; i < 4; i++)
        perturb(f, texts[i]);
    run(f, &result);
    for (uint32_t i = 0; i < 4; i++) {
        char path[] = "/tmp/test_sweep_XXXXXX";
        close(mkstemp(path));
        mr_perturbation p = f->perturbations[i + 1];
        see_all(f->path, &p);
        rewrite(f->path, path, &p);
        mr_replay_result *alone;
        mr_replay_options options = f->replay;
        options.inputs[0] = path;
        options.config = f->configs[0];
        options.methods = &f->methods[0];
        if (mr_replay_run(&options, &alone, &err) != MR_OK)
            fail_msg("%s", err.text);
        unlink(path);
        const mr_sweep_row *row = row_of(&result, i + 1);
        if (memcmp(&alone->state_hash, &row->state_hash, sizeof row->state_hash) != 0 ||
            memcmp(&alone->lists_hash, &row->lists_hash, sizeof row->lists_hash) != 0)
            fail_msg("%s: other bytes", texts[i]);
        assert_true(row->changed >= 1 && (i < 2 || row->changed == 1));
        assert_true(row->sensitivity.rbo.value > 0 && row->sensitivity.rbo.value < 1);
        mr_replay_result_free(alone);
    }
}

static void any_number_of_lanes_gives_the_same_sensitivity(void **state)
{
    static const char *const texts[] = {"drop=50", "user", "delete=random", "delete=random"};
    fixture *f = *state;
    mr_sweep_result result;
    char *first = NULL;
    for (uint32_t i = 0; i < 4; i++)
        perturb(f, texts[i]);
    for (uint32_t lanes = 1; lanes <= 3; lanes += 2) {
        f->options.lanes = lanes;
        run(f, &result);
        char *table = table_of(&result);
        if (first != NULL)
            assert_string_equal(table, first);
        else
            assert_non_null(strstr(table, "rls_rbo"));
        if (first == NULL)
            first = table;
        else
            free(table);
    }
    free(first);
    assert_true(f->perturbations[3].seed != f->perturbations[4].seed);
}

static void the_worse_half_is_dropped_at_each_rung_and_the_first_never(void **state)
{
    fixture *f = *state;
    mr_sweep_result result;
    uint32_t ended = 0, dropped = 0;
    for (uint32_t i = 1; i < BRANCHES; i++) // the more is explored, the less is found
        load(f, i == 3 ? "lists.explore=0.01" : "lists.explore=1");
    f->options.metric = (mr_score_name){MR_SCORE_SERVED, 0};
    f->options.rungs = 2;
    run(f, &result);
    assert_int_equal(result.count, BRANCHES);
    for (uint32_t i = 0; i < result.count; i++) {
        const mr_sweep_row *row = &result.rows[i];
        ended += row->dropped_at <= 0;
        dropped += row->dropped_at > 0;
        if (row->dropped_at > 0)
            assert_true(row->index != 0 && row->index != 3);
        if (i > 0 && row->dropped_at <= 0)
            assert_true(result.rows[i - 1].dropped_at <= 0);
    }
    assert_int_equal(ended, 2); // the first, and one of four
    assert_int_equal(dropped, 3);
}

static void engines_that_fit_exactly_are_let_in_and_one_byte_less_is_refused_with_figures(
    void **state)
{
    fixture *f = *state;
    mr_error err = {0};
    size_t all, largest;
    char text[128];
    load(f, "users.memory=3MiB");
    load(f, "items.max=1000");
    assert_int_equal(mr_sweep_bytes(&f->options, &all, &largest, &err), MR_OK);
    assert_true(largest < all && all < 3 * largest);
    assert_int_equal(mr_sweep_fits(&f->options, all, "there are", &err), MR_OK);
    assert_int_equal(mr_sweep_fits(&f->options, all - 1, "there are", &err), MR_FATAL);
    snprintf(text, sizeof text, "3 engines of at most %zu MiB may take %zu MiB", largest >> 20,
             all >> 20);
    assert_non_null(strstr(err.text, text));
    assert_int_equal(mr_sweep_fits(&f->options, largest, "there are", &err), MR_FATAL);
    snprintf(text, sizeof text, "there are %zu MiB, where 1 fit", largest >> 20);
    assert_non_null(strstr(err.text, text));
}

static void a_file_that_is_not_there_is_named(void **state)
{
    fixture *f = *state;
    mr_sweep_result result;
    mr_error err = {0};
    f->replay.inputs[0] = "tests/data/golden/no such file";
    assert_int_equal(mr_sweep_run(&f->options, &result, &err), MR_FATAL);
    assert_non_null(strstr(err.text, "no such file"));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_items_keep_of_one_user_is_his_share_of_them),
        TEST(a_what_if_without_a_change_gives_an_empty_difference),
        TEST(a_change_of_lists_shows_in_the_lists_and_in_what_was_served),
        TEST(a_configuration_alone_gives_the_same_as_inside_a_sweep),
        TEST(any_number_of_lanes_gives_the_same_table),
        TEST(a_log_that_is_not_changed_gives_a_sensitivity_of_one_and_none_at_all_zero),
        TEST(a_changed_log_is_learned_as_if_it_had_been_written_so),
        TEST(any_number_of_lanes_gives_the_same_sensitivity),
        TEST(the_worse_half_is_dropped_at_each_rung_and_the_first_never),
        TEST(engines_that_fit_exactly_are_let_in_and_one_byte_less_is_refused_with_figures),
        TEST(a_file_that_is_not_there_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
