// SPDX-License-Identifier: Apache-2.0
// What we write, avro-c reads with our .avsc, and our own plan decodes to the event that it was.
#include "kit.h"

#include <avro.h>
#include <math.h>
#include <stdio.h>

#include "schemas/builtin.h"
#include "schemas/encode.h"

typedef struct reading { // a record as avro-c read it
    avro_schema_t schema;
    avro_value_iface_t *iface;
    avro_value_t value;
} reading;

static void read_back(reading *r, const char *name, const mr_writer *out)
{
    const mr_builtin *own = mr_builtin_find(name);
    assert_non_null(own);
    assert_false(out->full);
    assert_int_equal(avro_schema_from_json_length(own->text, own->size, &r->schema), 0);
    r->iface = avro_generic_class_from_schema(r->schema);
    assert_int_equal(avro_generic_value_new(r->iface, &r->value), 0);
    avro_reader_t reader = avro_reader_memory((const char *)out->data, (int64_t)out->size);
    if (avro_value_read(reader, &r->value) != 0)
        fail_msg("%s: %s", name, avro_strerror());
    char byte;
    assert_int_not_equal(avro_read(reader, &byte, 1), 0); // nothing is left
    avro_reader_free(reader);
}

static void drop(reading *r)
{
    avro_value_decref(&r->value);
    avro_value_iface_decref(r->iface);
    avro_schema_decref(r->schema);
}

// The whole record as JSON, which is the easiest to compare and to read.
static void assert_json(const char *name, const mr_writer *out, const char *want)
{
    reading r;
    char *json;
    read_back(&r, name, out);
    assert_int_equal(avro_value_to_json(&r.value, 1, &json), 0);
    assert_string_equal(json, want);
    free(json);
    drop(&r);
}

static void a_list_is_read_back_by_avro_c(void **state)
{
    (void)state;
    uint8_t bytes[1024];
    mr_writer out = mr_writer_make(bytes, sizeof bytes);
    mr_list_entry entries[] = {
        {.item = mr_bytes_text("i1"),
         .score = 1.5f,
         .q = 0.25f,
         .mean = 0.5f,
         .spread = 0.125f,
         .source_bits = 5,
         .source_name = "covisit"},
        {.item = mr_bytes_text("i2"),
         .score = -2,
         .q = NAN,
         .mean = NAN,
         .spread = NAN,
         .source_bits = 1u << 31,
         .source_name = "popularity"},
    };
    mr_list list = {
        .user = mr_bytes_text("u1"),
        .task = 3,
        .version = INT64_C(1) << 52,
        .epoch = 9,
        .time_ms = 1700000000123,
        .seed = UINT64_MAX,
        .policy = "boltzmann",
        .parameters = 77,
        .slice = "explore",
        .explore_level = 0.5f,
        .arm = "blend",
        .segment = 2,
        .candidate_count = 100,
        .candidate_hash = UINT64_C(1) << 63,
        .kth_score = NAN,
        .context = {{4, 0.75f}, {5, 0.25f}},
        .context_count = 2,
        .entries = entries,
        .entry_count = 2,
    };
    mr_encode_list(&out, &list);
    assert_json(
        "list", &out,
        "{\"id\": \"3-4503599627370496\", \"user\": \"u1\", \"version\": 4503599627370496, "
        "\"time\": 1700000000123, \"task\": 3, \"epoch\": 9, \"seed\": -1, \"policy\": "
        "\"boltzmann\", "
        "\"parameters\": 77, \"slice\": \"explore\", \"explore\": 0.5, \"arm\": {\"string\": "
        "\"blend\"}, "
        "\"segment\": 2, \"candidate_count\": 100, \"candidate_hash\": -9223372036854775808, "
        "\"kth_score\": null, \"context\": [{\"cluster\": 4, \"weight\": 0.75}, {\"cluster\": 5, "
        "\"weight\": 0.25}], \"slate_propensity\": null, \"traceparent\": null, \"entries\": ["
        "{\"item\": \"i1\", \"score\": 1.5, \"source\": \"covisit\", \"sources\": 5, "
        "\"propensity\": "
        "{\"float\": 0.25}, \"mean\": {\"float\": 0.5}, \"spread\": {\"float\": 0.125}, "
        "\"reason\": null}, "
        "{\"item\": \"i2\", \"score\": -2.0, \"source\": \"popularity\", \"sources\": 2147483648, "
        "\"propensity\": null, \"mean\": null, \"spread\": null, \"reason\": null}]}");
    out.size = 0;
    list.entry_count = list.context_count = 0;
    mr_encode_list(&out, &list);
    reading r;
    read_back(&r, "list", &out);
    drop(&r);
}

static void metrics_items_and_users_are_read_back_by_avro_c(void **state)
{
    (void)state;
    uint8_t bytes[1024];
    mr_writer out = mr_writer_make(bytes, sizeof bytes);
    const mr_pair labels[] = {{mr_bytes_text("model"), mr_bytes_text("blend")}};
    const mr_count counts[] = {{"15m", 2.5}, {"1w", 40}};
    const float vector[] = {1, -0.5f};
    mr_encode_metric(&out, &(mr_metric){"recall_at_20", labels, 1, 1000, 60000, 0.5, 200, 3, -1});
    assert_json("metric", &out,
                "{\"name\": \"recall_at_20\", \"labels\": {\"model\": \"blend\"}, \"time\": 1000, "
                "\"window_ms\": {\"long\": 60000}, \"value\": 0.5, \"count\": {\"long\": 200}, "
                "\"task\": {\"int\": 3}, \"epoch\": null}");
    out.size = 0;
    mr_encode_item(
        &out, &(mr_item_view){mr_bytes_text("i1"), 1000, 7, vector, 2, 0.25f, counts, 2, true});
    assert_json("item", &out,
                "{\"item\": \"i1\", \"time\": 1000, \"sequence\": 7, \"vector\": [1.0, -0.5], "
                "\"bias\": 0.25, "
                "\"counts\": {\"15m\": 2.5, \"1w\": 40.0}, \"available\": true}");
    out.size = 0;
    mr_encode_user(&out, &(mr_user_view){mr_bytes_text("u1"), 1000, 7, vector, 0, 12});
    assert_json(
        "user", &out,
        "{\"user\": \"u1\", \"time\": 1000, \"sequence\": 7, \"vector\": [], \"events\": 12}");
}

static void an_epoch_record_is_read_back_by_avro_c(void **state)
{
    (void)state;
    uint8_t bytes[1024];
    mr_writer out = mr_writer_make(bytes, sizeof bytes);
    const mr_next_offset offsets[] = {{mr_bytes_text("clicks"), 3, 1000},
                                      {mr_bytes_text("purchases"), 3, 20}};
    const mr_sequence links[] = {{1, 55}}, views[] = {{2, 66}}, marks[] = {{3, 77}, {4, 88}};
    const mr_task_epoch epochs[] = {{3, 9, 5000, 0, offsets, links, 2, 1},
                                    {4, 1, 6000, 6000, NULL, NULL, 0, 0}};
    const mr_round rounds[] = {{epochs, views, 2, 1}, {NULL, NULL, 0, 0}};
    const mr_state_hash hashes[] = {{3, {0x4242424242424242, 0x4343434343434343}}};
    const mr_epoch_record record = {
        6000,   {0x4141414141414141, 0x4141414141414141}, rounds, marks, hashes, 2, 2, 1, marks, 1,
        {0x4444444444444444, 0x4545454545454545}, mr_bytes_text("w0"), 17, 5};
    mr_encode_epoch(&out, &record);
    assert_json(
        "epoch", &out,
        "{\"time\": 6000, \"configuration\": \"AAAAAAAAAAAAAAAA\", \"rounds\": [{\"epochs\": ["
        "{\"task\": 3, \"epoch\": 9, \"clock\": 5000, \"tick\": 0, \"offsets\": [{\"topic\": "
        "\"clicks\", "
        "\"partition\": 3, \"offset\": 1000}, {\"topic\": \"purchases\", \"partition\": 3, "
        "\"offset\": 20}], "
        "\"links\": [{\"task\": 1, \"sequence\": 55}]}, {\"task\": 4, \"epoch\": 1, \"clock\": "
        "6000, "
        "\"tick\": 6000, \"offsets\": [], \"links\": []}], \"views\": [{\"shard\": 2, "
        "\"sequence\": 66}]}, "
        "{\"epochs\": [], \"views\": []}], \"marks\": [{\"task\": 3, \"sequence\": 77}, {\"task\": "
        "4, "
        "\"sequence\": 88}], \"state_hashes\": [{\"task\": 3, \"hash\": \"BBBBBBBBCCCCCCCC\"}], "
        "\"views\": [{\"shard\": 3, \"sequence\": 77}], \"history\": \"DDDDDDDDEEEEEEEE\", "
        "\"instance\": \"w0\", \"engine\": 17, \"commit\": 5}");
}

// An event with everything that any kind can have.
static mr_event everything(mr_event_kind kind, mr_line *lines, float *vector)
{
    mr_event event = {
        .kind = kind,
        .present = (1u << MR_FIELD_COUNT) - 1,
        .user = mr_bytes_text("u1"),
        .item = mr_bytes_text("i1"),
        .event_id = mr_bytes_text("e1"),
        .session = mr_bytes_text("s1"),
        .list = mr_bytes_text("l1"),
        .order = mr_bytes_text("o1"),
        .query = mr_bytes_text("gr\xc3\xb6\xc3\x9f"
                               "e"),
        .action = mr_bytes_text("mute"),
        .target = mr_bytes_text("c1"),
        .title = mr_bytes_text("t1"),
        .time_ms = 1700000000123,
        .list_version = 9,
        .value = 4.5,
        .price = 19.99,
        .quantity = 2,
        .propensity = 0.25,
        .position = 3,
        .available = false,
        .lines = lines,
        .line_count = 2,
        .context = {{mr_bytes_text("device"), mr_bytes_text("phone")}},
        .context_count = 1,
        .categories = {mr_bytes_text("c1"), mr_bytes_text("c2")},
        .category_count = 2,
        .vector = vector,
        .vector_count = 2,
    };
    lines[0] = (mr_line){mr_bytes_text("i1"), 3, -0.0001, 0.5};
    lines[1] = (mr_line){mr_bytes_text("i2"), 1, 0, (double)NAN};
    vector[0] = 1;
    vector[1] = -0.5f;
    return event;
}

static void check_lines(const mr_event *a, const mr_event *b)
{
    assert_int_equal(a->line_count, b->line_count);
    for (uint32_t i = 0; i < a->line_count; i++) {
        assert_true(mr_bytes_equal(a->lines[i].item, b->lines[i].item));
        if (a->kind == MR_EVENT_PURCHASE) {
            assert_true(a->lines[i].quantity == b->lines[i].quantity);
            assert_true(a->lines[i].price == b->lines[i].price);
        } else {
            assert_true(a->lines[i].propensity == b->lines[i].propensity ||
                        (isnan(a->lines[i].propensity) && isnan(b->lines[i].propensity)));
        }
    }
}

#define SAME_TEXT(name)                                                                            \
    if (mr_event_has(b, MR_FIELD_##name))                                                          \
    assert_true(mr_bytes_equal(a->name, b->name))
#define SAME_NUMBER(field, name)                                                                   \
    if (mr_event_has(b, MR_FIELD_##field))                                                         \
    assert_true(a->name == b->name)

static void check_same(const mr_event *a, const mr_event *b)
{
    SAME_TEXT(user);
    SAME_TEXT(item);
    SAME_TEXT(event_id);
    SAME_TEXT(session);
    SAME_TEXT(list);
    SAME_TEXT(order);
    SAME_TEXT(query);
    SAME_TEXT(action);
    SAME_TEXT(target);
    SAME_TEXT(title);
    SAME_NUMBER(time, time_ms);
    SAME_NUMBER(list_version, list_version);
    SAME_NUMBER(value, value);
    SAME_NUMBER(price, price);
    SAME_NUMBER(quantity, quantity);
    SAME_NUMBER(propensity, propensity);
    SAME_NUMBER(position, position);
    SAME_NUMBER(available, available);
    SAME_NUMBER(context, context_count);
    SAME_NUMBER(categories, category_count);
    SAME_NUMBER(vector, vector_count);
    if (mr_event_has(b, MR_FIELD_lines))
        check_lines(a, b);
    if (mr_event_has(b, MR_FIELD_vector))
        assert_memory_equal(a->vector, b->vector, b->vector_count * sizeof *b->vector);
    if (mr_event_has(b, MR_FIELD_context))
        assert_text(b->context[0].value, "phone");
    if (mr_event_has(b, MR_FIELD_categories))
        assert_text(b->categories[1], "c2");
}

static void every_event_is_read_back_by_avro_c_and_by_the_plan(void **state)
{
    (void)state;
    static const uint32_t fields[MR_EVENT_KIND_COUNT] = {11, 12, 9, 8, 7, 6, 8, 7};
    for (uint32_t kind = 0; kind < MR_EVENT_KIND_COUNT; kind++) {
        mr_line lines[2];
        float vector[2];
        reading r;
        kit *k = kit_new();
        const mr_event event = everything((mr_event_kind)kind, lines, vector);
        const mr_builtin *own = mr_builtin_of_event(event.kind);
        mr_encode_event(&k->out, &event);
        read_back(&r, own->name, &k->out);
        drop(&r);
        kit_plan(k, own->text, (mr_mapping){.kind = event.kind});
        assert_int_equal(kit_decode(k), MR_OK);
        assert_int_equal(k->event.kind, kind);
        // All fields of the schema are there: none was left out or written as null.
        assert_int_equal(__builtin_popcount(k->event.present), fields[kind]);
        check_same(&event, &k->event);
        kit_free(k);
    }
}

static void an_event_without_anything_takes_the_defaults(void **state)
{
    (void)state;
    for (uint32_t kind = 0; kind < MR_EVENT_KIND_COUNT; kind++) {
        const mr_event event = {.kind = (mr_event_kind)kind};
        reading r;
        kit *k = kit_new();
        mr_encode_event(&k->out, &event);
        read_back(&r, mr_event_kind_name(event.kind), &k->out);
        drop(&r);
        kit_plan(k, mr_builtin_of_event(event.kind)->text, (mr_mapping){.kind = event.kind});
        assert_int_equal(kit_decode(k), MR_OK);
        assert_false(mr_event_has(&k->event, MR_FIELD_session));
        assert_false(mr_event_has(&k->event, MR_FIELD_price));
        kit_free(k);
    }
}

static void prices_keep_four_digits_and_take_few_bytes(void **state)
{
    (void)state;
    static const struct {
        double price, want;
        uint32_t bytes;
    } cases[] = {
        {0.0127, 0.0127, 1},
        {0.0128, 0.0128, 2},
        {-0.0128, -0.0128, 1},
        {-0.0129, -0.0129, 2},
        {0, 0, 1},
        {-0.0001, -0.0001, 1},
        {19.99, 19.99, 3},
        {1.00005, 1.0001, 2},
        {99999999999999.0, 99999999999999.0, 8},
        {1e14, 0, 0},
        {-1e300, 0, 0},
    };
    mr_line lines[2];
    float vector[2];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kit *k = kit_new();
        mr_event event = everything(MR_EVENT_CART, lines, vector);
        event.present &= ~(1u << MR_FIELD_price);
        mr_encode_event(&k->out, &event);
        const size_t without = k->out.size;
        event.present |= 1u << MR_FIELD_price;
        event.price = cases[i].price;
        k->out.size = 0;
        mr_encode_event(&k->out, &event);
        assert_int_equal(k->out.size - without, cases[i].bytes > 0 ? cases[i].bytes + 1 : 0);
        kit_plan(k, mr_builtin_find("cart")->text, (mr_mapping){.kind = MR_EVENT_CART});
        assert_int_equal(kit_decode(k), MR_OK);
        assert_int_equal(mr_event_has(&k->event, MR_FIELD_price), cases[i].bytes > 0);
        if (cases[i].bytes > 0)
            assert_true(k->event.price == cases[i].want);
        kit_free(k);
    }
}

static void a_record_that_does_not_fit_says_so(void **state)
{
    (void)state;
    mr_line lines[2];
    float vector[2];
    const mr_event event = everything(MR_EVENT_CLICK, lines, vector);
    uint8_t bytes[512];
    mr_writer out = mr_writer_make(bytes, sizeof bytes);
    mr_encode_event(&out, &event);
    const size_t size = out.size;
    for (size_t room = 0; room <= size; room++) {
        uint8_t *exact = malloc(room + 1);
        out = mr_writer_make(exact, room);
        mr_encode_event(&out, &event);
        assert_int_equal(out.full, room < size);
        free(exact);
    }
}

static void numbers_of_all_sizes_are_written_as_they_are_read(void **state)
{
    (void)state;
    for (uint32_t bit = 0; bit < 64; bit++) {
        for (int64_t near = -1; near <= 1; near++) {
            for (int sign = -1; sign <= 1; sign += 2) {
                uint8_t bytes[10];
                const int64_t value =
                    (int64_t)(((UINT64_C(1) << bit) + (uint64_t)near) * (uint64_t)(int64_t)sign);
                mr_writer out = mr_writer_make(bytes, sizeof bytes);
                mr_put_long(&out, value);
                avro_reader_t reader = avro_reader_memory((const char *)bytes, (int64_t)out.size);
                avro_schema_t schema = avro_schema_long();
                avro_value_iface_t *iface = avro_generic_class_from_schema(schema);
                avro_value_t read;
                int64_t back;
                avro_generic_value_new(iface, &read);
                assert_int_equal(avro_value_read(reader, &read), 0);
                avro_value_get_long(&read, &back);
                assert_true(back == value);
                avro_value_decref(&read);
                avro_value_iface_decref(iface);
                avro_schema_decref(schema);
                avro_reader_free(reader);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_is_read_back_by_avro_c),
        cmocka_unit_test(metrics_items_and_users_are_read_back_by_avro_c),
        cmocka_unit_test(an_epoch_record_is_read_back_by_avro_c),
        cmocka_unit_test(every_event_is_read_back_by_avro_c_and_by_the_plan),
        cmocka_unit_test(an_event_without_anything_takes_the_defaults),
        cmocka_unit_test(prices_keep_four_digits_and_take_few_bytes),
        cmocka_unit_test(a_record_that_does_not_fit_says_so),
        cmocka_unit_test(numbers_of_all_sizes_are_written_as_they_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
