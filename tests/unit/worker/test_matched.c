// SPDX-License-Identifier: Apache-2.0
// Topics that are named by a pattern: which ones become inputs, and which never do.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "worker/matched.h"
#include "worker/methods.h"
#include "worker/origin.h"

typedef struct fixture {
    mr_methods methods;
    mr_config *config, *matched;
    uint32_t left_out;
} fixture;

static mr_status load(fixture *f, const char *const *sets, uint32_t count, mr_error *err)
{
    if (mr_methods_open(&f->methods, err) != MR_OK)
        fail_msg("%s", err->text);
    const mr_config_source source = {.sets = sets,
                                     .set_count = count,
                                     .numbers = f->methods.numbers,
                                     .number_count = f->methods.count};
    return mr_config_load(&f->config, &source, err);
}

#define LOAD(f, ...)                                                                               \
    do {                                                                                           \
        const char *const sets_[] = {__VA_ARGS__};                                                 \
        mr_error err_ = {0};                                                                       \
        if (load(f, sets_, sizeof sets_ / sizeof *sets_, &err_) != MR_OK)                          \
            fail_msg("%s", err_.text);                                                             \
    } while (0)

static void unload(fixture *f)
{
    mr_matched_free(f->matched);
    mr_config_free(f->config);
    mr_methods_close(&f->methods);
    *f = (fixture){0};
}

static void match(fixture *f, const mr_topic_size *topics, uint32_t count)
{
    mr_error err = {0};
    mr_matched_free(f->matched);
    f->matched = NULL;
    if (mr_matched_make(f->config, topics, count, false, &f->matched, &f->left_out, &err) != MR_OK)
        fail_msg("%s", err.text);
}

// The names of the topics that are inputs and stand in no file, one behind the other.
static const char *found(const fixture *f, char text[static 512])
{
    text[0] = '\0';
    for (uint32_t i = f->config->input_count; i < f->matched->input_count; i++) {
        assert_true(f->matched->inputs[i].matched);
        snprintf(text + strlen(text), 512 - strlen(text), "%s%s", text[0] != '\0' ? " " : "",
                 f->matched->inputs[i].topic);
    }
    return text;
}

static void each_topic_that_matches_becomes_an_input_with_all_that_the_pattern_says(void **state)
{
    (void)state;
    fixture f = {0};
    char text[512];
    LOAD(&f, "app=test", "topics.clicks.kind=click", "topics.clicks.topic=^clicks\\.",
         "topics.clicks.repartition=true", "topics.clicks.mapping.item=sku");
    match(&f,
          (const mr_topic_size[]){
              {"clicks.eu", 3}, {"goods", 2}, {"clicks.us", 5}, {"my.clicks.eu", 2}, {"clicks", 1}},
          5);
    assert_string_equal(found(&f, text), "clicks.eu clicks.us");
    const mr_config_input *eu = &f.matched->inputs[1];
    assert_string_equal(eu->name, "clicks");
    assert_true(eu->repartition && eu->kind == MR_EVENT_CLICK && eu->mapping.count == 1);
    assert_int_equal(f.left_out, 0);
    // What a history is known by does not change with every topic that comes.
    assert_true(mr_config_hash(f.matched) == mr_config_hash(f.config));
    unload(&f);
}

static void outputs_brokers_own_topics_and_those_of_other_inputs_never_match(void **state)
{
    (void)state;
    fixture f = {0};
    char text[512];
    LOAD(&f, "app=test", "topics.all.kind=click", "topics.all.topic=^.",
         "topics.all.repartition=true", "topics.some.kind=cart", "topics.some.topic=^a", "topics.some.repartition=true",
         "topics.carts.kind=cart", "topics.carts.repartition=true");
    match(&f,
          (const mr_topic_size[]){{"__consumer_offsets", 50},
                                  {"test.lists", 2},
                                  {"test.metrics", 2},
                                  {"test.items", 2},
                                  {"test.user-rows", 2},
                                  {"test.item-rows", 2},
                                  {"test.epochs", 2},
                                  {"test.dead-letters", 2},
                                  {"test.item-deltas", 2},
                                  {"test.repartition", 2},
                                  {"carts", 2},
                                  {"a", 2},
                                  {"b", 2}},
          13);
    assert_string_equal(found(&f, text), "a b"); // of two patterns the first one has a topic
    assert_string_equal(f.matched->inputs[3].name, "all");
    unload(&f);
}

static void users_events_that_are_read_directly_need_the_partitions_of_the_lead(void **state)
{
    (void)state;
    fixture f = {0};
    char text[512];
    uint32_t lead;
    mr_error err;
    LOAD(&f, "app=test", "topics.more.kind=click", "topics.more.topic=^clicks[0-9]+$$",
         "topics.clicks.kind=click", "topics.goods.kind=catalogue", "topics.goods.topic=^goods");
    const mr_topic_size topics[] = {{"clicks", 4},  {"clicks1", 4}, {"clicks22", 3},
                                    {"clicks3", 8}, {"clicksx", 4}, {"goods", 7}};
    match(&f, topics, 6);
    assert_string_equal(found(&f, text), "clicks1 goods"); // items come in any number of partitions
    assert_int_equal(f.left_out, 2);
    assert_int_equal(mr_config_lead(f.matched, &lead, &err), MR_OK);
    assert_int_equal(lead, 1); // one topic, whatever the pattern before it matches
    unload(&f);
}

static void a_topic_more_is_named(void **state)
{
    (void)state;
    fixture f = {0};
    mr_config *before;
    LOAD(&f, "app=test", "topics.clicks.kind=click", "topics.clicks.topic=^c",
         "topics.clicks.repartition=true");
    match(&f, (const mr_topic_size[]){{"c1", 1}, {"c2", 1}}, 2);
    before = f.matched;
    f.matched = NULL;
    assert_null(mr_matched_more(before, before));
    match(&f, (const mr_topic_size[]){{"c2", 1}, {"c3", 1}, {"c1", 1}}, 3);
    assert_string_equal(mr_matched_more(before, f.matched), "c3");
    match(&f, (const mr_topic_size[]){{"c2", 9}}, 1);
    assert_null(mr_matched_more(before, f.matched)); // one less is no reason to begin again
    mr_matched_free(before);
    unload(&f);
}

static void more_topics_than_inputs_can_be_are_refused(void **state)
{
    (void)state;
    fixture f = {0};
    char names[MR_CONFIG_INPUTS_MAX][16];
    mr_topic_size topics[MR_CONFIG_INPUTS_MAX];
    mr_error err = {0};
    LOAD(&f, "app=test", "topics.clicks.kind=click", "topics.clicks.topic=^c",
         "topics.clicks.repartition=true");
    for (uint32_t i = 0; i < MR_CONFIG_INPUTS_MAX; i++) {
        snprintf(names[i], sizeof names[i], "c%u", i);
        topics[i] = (mr_topic_size){names[i], 1};
    }
    match(&f, topics, MR_CONFIG_INPUTS_MAX - 1);
    assert_int_equal(f.matched->input_count, MR_CONFIG_INPUTS_MAX);
    mr_matched_free(f.matched);
    f.matched = NULL;
    assert_int_equal(mr_matched_make(f.config, topics, MR_CONFIG_INPUTS_MAX, false, &f.matched,
                                     &f.left_out, &err),
                     MR_FATAL);
    assert_non_null(strstr(err.text, "topics.clicks.topic: '^c' matches too many topics"));
    unload(&f);
}

static void a_configuration_says_what_is_wrong_with_its_pattern(void **state)
{
    (void)state;
    static const struct {
        const char *sets[4];
        const char *text;
    } rows[] = {
        {{"topics.clicks.kind=click", "topics.clicks.topic=^clicks(", "app=a"},
         "topics.clicks.topic: found '^clicks(', which is no regular expression: "},
        {{"topics.clicks.kind=click", "topics.clicks.topic=clicks.*", "app=a"},
         "topics.clicks.topic: found 'clicks.*', want a topic's name"},
        {{"topics.clicks.kind=click", "topics.clicks.topic=^c", "lead=clicks"},
         "lead: found 'clicks', whose topics are named by a pattern"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        fixture f = {0};
        mr_error err = {0};
        assert_int_equal(load(&f, rows[i].sets, 3, &err), MR_FATAL);
        if (strstr(err.text, rows[i].text) == NULL)
            fail_msg("%s", err.text);
        f.config = NULL;
        mr_methods_close(&f.methods);
    }
    fixture f = {0};
    uint32_t lead;
    mr_error err = {0};
    LOAD(&f, "app=a", "topics.clicks.kind=click", "topics.clicks.topic=^c");
    assert_int_equal(mr_config_lead(f.config, &lead, &err), MR_FATAL);
    assert_non_null(strstr(err.text, "set topics.clicks.repartition: true"));
    unload(&f);
}

// ---- copies of a topic that is not known yet

static uint32_t origin_header(const mr_message *message, mr_header *headers, uint32_t max)
{
    (void)max;
    headers[0] = (mr_header){MR_ORIGIN_HEADER, mr_bytes_text(message->handle)};
    return 1;
}

static mr_rerouted restore(const mr_config *config, char *origin)
{
    mr_rerouted rerouted;
    mr_message message = {.handle = origin, .headers = origin_header};
    mr_origin_restore(config, &message, &rerouted);
    return rerouted;
}

static void a_copy_of_a_topic_that_matches_is_strange_until_its_topic_is_an_input(void **state)
{
    (void)state;
    fixture f = {0};
    char known[] = "c1 0 5 0", strange[] = "c9 0 5 0", foreign[] = "d1 0 5 0";
    LOAD(&f, "app=test", "topics.clicks.kind=click", "topics.clicks.topic=^c",
         "topics.clicks.repartition=true");
    match(&f, (const mr_topic_size[]){{"c1", 1}}, 1);
    assert_int_equal(restore(f.matched, known).input, 1);
    assert_int_equal(restore(f.matched, known).cause, MR_CAUSE_NONE);
    assert_true(restore(f.matched, strange).strange);
    assert_int_equal(restore(f.matched, strange).cause, MR_CAUSE_no_origin);
    assert_false(restore(f.matched, foreign).strange);
    assert_false(restore(f.matched, known).strange);
    unload(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_topic_that_matches_becomes_an_input_with_all_that_the_pattern_says),
        cmocka_unit_test(outputs_brokers_own_topics_and_those_of_other_inputs_never_match),
        cmocka_unit_test(users_events_that_are_read_directly_need_the_partitions_of_the_lead),
        cmocka_unit_test(a_topic_more_is_named),
        cmocka_unit_test(more_topics_than_inputs_can_be_are_refused),
        cmocka_unit_test(a_configuration_says_what_is_wrong_with_its_pattern),
        cmocka_unit_test(a_copy_of_a_topic_that_matches_is_strange_until_its_topic_is_an_input),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
