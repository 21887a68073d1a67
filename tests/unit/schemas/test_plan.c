// SPDX-License-Identifier: Apache-2.0
// The decode plan, one sentence at a time. Generated schemas stand in test_plan_oracle.
#include "kit.h"

#include <math.h>
#include <stdio.h>

#define RECORD(fields) "{\"type\":\"record\",\"name\":\"R\",\"fields\":[" fields "]}"
#define FIELD(name, type) "{\"name\":\"" name "\",\"type\":" type "}"
#define STRING(name) FIELD(name, "\"string\"")
#define USER_ITEM STRING("user") "," STRING("item")

static const mr_mapping click = {.kind = MR_EVENT_CLICK};

// Compiles, and decodes what `k` holds.
static mr_status once(kit *k, const char *schema, mr_mapping mapping)
{
    kit_plan(k, schema, mapping);
    return kit_decode(k);
}

static void put_user_item(kit *k)
{
    mr_put_text(&k->out, "u1");
    mr_put_text(&k->out, "i1");
}

static void fields_are_found_by_name_and_by_alias_in_any_order(void **state)
{
    (void)state;
    kit *k = kit_new();
    mr_put_text(&k->out, "i1");
    mr_put_long(&k->out, 1700000000123);
    mr_put_text(&k->out, "u1");
    assert_int_equal(
        once(k, RECORD(STRING("itemId") "," FIELD("ts", "\"long\"") "," STRING("user")), click),
        MR_OK);
    assert_text(k->event.user, "u1");
    assert_text(k->event.item, "i1");
    assert_int_equal(k->event.time_ms, 1700000000123);
    assert_true(k->event.user.data > k->message && k->event.user.data < k->message + k->out.size);
    assert_int_equal(k->event.present,
                     1u << MR_FIELD_user | 1u << MR_FIELD_item | 1u << MR_FIELD_time);
    kit_free(k);
}

static void an_alias_of_the_writer_counts(void **state)
{
    (void)state;
    kit *k = kit_new();
    put_user_item(k);
    assert_int_equal(
        once(k,
             RECORD(
                 "{\"name\":\"kunde\",\"aliases\":[\"user\"],\"type\":\"string\"}," STRING("item")),
             click),
        MR_OK);
    assert_text(k->event.user, "u1");
    kit_free(k);
}

static void a_path_leads_through_records_and_unions(void **state)
{
    (void)state;
    static const char schema[] =
        RECORD(FIELD("before", "{\"type\":\"fixed\",\"name\":\"F\",\"size\":5}") "," FIELD(
            "order", "[\"null\"," RECORD(FIELD(
                         "buyer", "[\"int\",{\"type\":\"record\",\"name\":"
                                  "\"B\",\"fields\":[" FIELD("x", "\"double\"") "," STRING(
                                      "id") "]},\"null\"]")) ",\"string\"]") "," STRING("item"));
    const mr_mapping_entry entries[] = {{.field = MR_FIELD_user, .path = "order.buyer.id"}};
    const mr_mapping mapping = {.kind = MR_EVENT_CLICK, .entries = entries, .entry_count = 1};
    char text[sizeof schema];
    memcpy(text, schema, sizeof text);
    strstr(strstr(text, "\"R\"") + 1, "\"R\"")[1] = 'S'; // the inner record has a name of its own
    kit *k = kit_new();
    mr_put_raw(&k->out, "12345", 5);
    mr_put_long(&k->out, 1); // order is there
    mr_put_long(&k->out, 1); // buyer is a record
    mr_put_double(&k->out, 1.5);
    mr_put_text(&k->out, "u1");
    mr_put_text(&k->out, "i1");
    assert_int_equal(once(k, text, mapping), MR_OK);
    assert_text(k->event.user, "u1");
    assert_text(k->event.item, "i1");

    k->out.size = 5;
    mr_put_long(&k->out, 1);
    mr_put_long(&k->out, 2); // buyer is null
    mr_put_text(&k->out, "i1");
    assert_int_equal(once(k, text, mapping), MR_OK);
    assert_false(mr_event_has(&k->event, MR_FIELD_user));

    k->out.size = 5;
    mr_put_long(&k->out, 2); // order is a string: nothing to be found in it
    mr_put_text(&k->out, "lost");
    mr_put_text(&k->out, "i1");
    assert_int_equal(once(k, text, mapping), MR_OK);
    assert_false(mr_event_has(&k->event, MR_FIELD_user));
    assert_text(k->event.item, "i1");
    kit_free(k);
}

static void what_is_not_mapped_is_passed_over(void **state)
{
    (void)state;
    static const char schema[] = RECORD(FIELD(
        "a",
        "{\"type\":\"array\",\"items\":[\"null\","
        "\"long\",{\"type\":\"map\",\"values\":"
        "\"double\"}]}") "," FIELD("b",
                                   "{\"type\":"
                                   "\"map\","
                                   "\"values\":{"
                                   "\"type\":"
                                   "\"array\","
                                   "\"items\":"
                                   "\"string\"}}") "," FIELD("c",
                                                             "{\"type\":\"enum\","
                                                             "\"name\":\"E\",\"symbols\":"
                                                             "[\"X\"]}") "," FIELD("d",
                                                                                   "[\"bo"
                                                                                   "olean"
                                                                                   "\","
                                                                                   "\"flo"
                                                                                   "at\""
                                                                                   "]") "," USER_ITEM
                                                                                        "," FIELD(
                                                                                            "e",
                                                                                            "\"by"
                                                                                            "tes"
                                                                                            "\""));
    kit *k = kit_new();
    mr_put_long(&k->out, 2); // a: two items
    mr_put_long(&k->out, 1);
    mr_put_long(&k->out, -77);
    mr_put_long(&k->out, 2); // a map
    mr_put_long(&k->out, 1);
    mr_put_text(&k->out, "key");
    mr_put_double(&k->out, 2.5);
    mr_put_long(&k->out, 0);
    mr_put_long(&k->out,
                -3); // three more in a block that tells its size: the bytes are not looked at
    mr_put_long(&k->out, 4);
    mr_put_raw(&k->out, "\xff\xff\xff\xff", 4);
    mr_put_long(&k->out, 0);
    mr_put_long(&k->out, 1); // b
    mr_put_text(&k->out, "key");
    mr_put_long(&k->out, 2);
    mr_put_text(&k->out, "one");
    mr_put_text(&k->out, "\xff"); // not UTF-8, but nobody reads it
    mr_put_long(&k->out, 0);
    mr_put_long(&k->out, 0);
    mr_put_long(&k->out, 0); // c
    mr_put_long(&k->out, 1); // d
    mr_put_float(&k->out, 1);
    put_user_item(k);
    mr_put_text(&k->out, "tail");
    assert_int_equal(once(k, schema, click), MR_OK);
    assert_text(k->event.user, "u1");
    assert_text(k->event.item, "i1");
    kit_free(k);
}

static void numbers_and_uuids_become_texts_where_texts_are_wanted(void **state)
{
    (void)state;
    kit *k = kit_new();
    mr_put_long(&k->out, INT64_MIN);
    mr_put_long(&k->out, 40);
    mr_put_raw(&k->out, "\x01\x23\x45\x67\x89\xab\xcd\xef\x01\x23\x45\x67\x89\xab\xcd\xef", 16);
    assert_int_equal(
        once(k,
             RECORD(FIELD("user", "\"long\"") "," FIELD("item", "\"int\"") "," FIELD(
                 "session",
                 "{\"type\":\"fixed\",\"name\":\"U\",\"size\":16,\"logicalType\":\"uuid\"}")),
             click),
        MR_OK);
    assert_text(k->event.user, "-9223372036854775808");
    assert_text(k->event.item, "40");
    assert_text(k->event.session, "01234567-89ab-cdef-0123-456789abcdef");
    kit_free(k);
}

static void an_enum_becomes_its_symbol(void **state)
{
    (void)state;
    const mr_mapping_entry entries[] = {{.field = MR_FIELD_action, .path = "kind"}};
    const mr_mapping mapping = {.kind = MR_EVENT_CONTROL, .entries = entries, .entry_count = 1};
    static const char schema[] = RECORD(STRING("user") "," FIELD(
        "kind", "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"more\",\"less\"]}"));
    kit *k = kit_new();
    mr_put_text(&k->out, "u1");
    mr_put_long(&k->out, 1);
    assert_int_equal(once(k, schema, mapping), MR_OK);
    assert_text(k->event.action, "less");
    k->out.size = 3;
    mr_put_long(&k->out, 2);
    assert_int_equal(once(k, schema, mapping), MR_REJECT);
    assert_int_equal(k->err.cause, MR_CAUSE_bad_branch);
    assert_contains(k->err.text, "'kind'");
    kit_free(k);
}

static void check_time(const char *type, mr_time_unit unit, int64_t value, int64_t want)
{
    char schema[512];
    const mr_mapping_entry entries[] = {{.field = MR_FIELD_time, .path = "ts", .unit = unit}};
    const mr_mapping mapping = {.kind = MR_EVENT_CLICK, .entries = entries, .entry_count = 1};
    kit *k = kit_new();
    snprintf(schema, sizeof schema, RECORD(USER_ITEM ",{\"name\":\"ts\",\"type\":%s}"), type);
    put_user_item(k);
    mr_put_long(&k->out, value);
    assert_int_equal(once(k, schema, mapping), MR_OK);
    assert_int_equal(k->event.time_ms, want);
    kit_free(k);
}

static void every_kind_of_time_becomes_milliseconds(void **state)
{
    (void)state;
#define LOGICAL(type, name) "{\"type\":\"" type "\",\"logicalType\":\"" name "\"}"
    check_time("\"long\"", MR_TIME_AUTO, 1234, 1234);
    check_time("\"int\"", MR_TIME_AUTO, 1234, 1234);
    check_time("\"long\"", MR_TIME_SECONDS, 1234, 1234000);
    check_time(LOGICAL("long", "timestamp-millis"), MR_TIME_AUTO, -5, -5);
    check_time(LOGICAL("long", "timestamp-micros"), MR_TIME_AUTO, 1999, 1);
    check_time(LOGICAL("long", "timestamp-micros"), MR_TIME_AUTO, -1, -1);
    check_time(LOGICAL("long", "timestamp-nanos"), MR_TIME_AUTO, 5999999, 5);
    check_time(LOGICAL("long", "local-timestamp-micros"), MR_TIME_AUTO, 2000, 2);
    check_time(LOGICAL("int", "date"), MR_TIME_AUTO, 2, 172800000);
    check_time(LOGICAL("long", "timestamp-millis"), MR_TIME_SECONDS, 2,
               2000); // the mapping knows better
}

static void a_time_in_floating_seconds_is_rounded_to_the_nearest_millisecond(void **state)
{
    (void)state;
    const mr_mapping_entry entries[] = {
        {.field = MR_FIELD_time, .path = "ts", .unit = MR_TIME_SECONDS}};
    const mr_mapping mapping = {.kind = MR_EVENT_CLICK, .entries = entries, .entry_count = 1};
    static const char schema[] = RECORD(USER_ITEM "," FIELD("ts", "\"double\""));
    kit *k = kit_new();
    put_user_item(k);
    mr_put_double(&k->out, 1700000000.123);
    assert_int_equal(once(k, schema, mapping), MR_OK);
    assert_int_equal(k->event.time_ms, 1700000000123);
    k->out.size -= 8;
    mr_put_double(&k->out, (double)NAN);
    assert_int_equal(once(k, schema, mapping), MR_REJECT);
    assert_int_equal(k->err.cause, MR_CAUSE_bad_value);
    kit_free(k);
}

static void a_time_that_overflows_is_refused(void **state)
{
    (void)state;
    const mr_mapping_entry entries[] = {
        {.field = MR_FIELD_time, .path = "ts", .unit = MR_TIME_SECONDS}};
    const mr_mapping mapping = {.kind = MR_EVENT_CLICK, .entries = entries, .entry_count = 1};
    kit *k = kit_new();
    put_user_item(k);
    mr_put_long(&k->out, INT64_MAX / 1000 + 1);
    assert_int_equal(once(k, RECORD(USER_ITEM "," FIELD("ts", "\"long\"")), mapping), MR_REJECT);
    assert_int_equal(k->err.cause, MR_CAUSE_bad_value);
    kit_free(k);
}

static double price_of(const char *type, const void *bytes, size_t size, bool is_fixed)
{
    char schema[512];
    kit *k = kit_new();
    const mr_mapping mapping = {.kind = MR_EVENT_CART};
    snprintf(schema, sizeof schema, RECORD(USER_ITEM ",{\"name\":\"price\",\"type\":%s}"), type);
    put_user_item(k);
    if (!is_fixed)
        mr_put_long(&k->out, (int64_t)size);
    mr_put_raw(&k->out, bytes, size);
    const double price = once(k, schema, mapping) == MR_OK ? k->event.price : (double)NAN;
    kit_free(k);
    return price;
}

static void decimals_become_numbers(void **state)
{
    (void)state;
    static const char decimal[] =
        "{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":20,\"scale\":2}";
    static const char fixed[] = "{\"type\":\"fixed\",\"name\":\"D\",\"size\":12,\"logicalType\":"
                                "\"decimal\",\"precision\":20,\"scale\":2}";
    assert_true(price_of(decimal, "\x07\xcf", 2, false) == 19.99);
    assert_true(price_of(decimal, "\xff", 1, false) == -0.01);
    assert_true(price_of(decimal, "\x80\0\0\0\0\0\0\0", 8, false) == -92233720368547758.08);
    assert_true(price_of(decimal, "\1\0\0\0\0\0\0\0\0", 9, false) == 184467440737095516.16);
    assert_true(price_of(fixed, "\0\0\0\0\0\0\0\0\0\0\x07\xcf", 12, true) == 19.99);
    assert_true(price_of(fixed, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12, true) ==
                -0.01);
    assert_true(isnan(price_of(decimal, "", 0, false)));
}

static void every_number_becomes_a_double(void **state)
{
    (void)state;
    const float f = 1.5f;
    const double d = 2.25;
    assert_true(price_of("\"float\"", &f, 4, true) == 1.5);
    assert_true(price_of("\"double\"", &d, 8, true) == 2.25);
    assert_true(price_of("\"int\"", "\x0d", 1, true) == -7);
    assert_true(price_of("\"long\"", "\x0e", 1, true) == 7);
    assert_true(price_of("[\"string\",\"null\",\"float\"]", "\4\0\0\xc0\x3f", 5, true) == 1.5);
}

static void put_line(kit *k, const char *item, double quantity, const char *cents)
{
    mr_put_text(&k->out, item);
    mr_put_double(&k->out, quantity);
    mr_put_long(&k->out, cents != NULL);
    if (cents != NULL)
        mr_put_text(&k->out, cents);
}

static const char purchase_schema[] = RECORD(STRING("user") "," FIELD(
    "lines",
    "{\"type\":\"array\",\"items\":{\"type\":\"record\",\"name\":\"L\",\"fields\":"
    "[" STRING("item") "," FIELD("quantity", "\"double\"") "," FIELD(
        "price", "[\"null\",{\"type\":\"bytes\",\"logicalType\":"
                 "\"decimal\",\"precision\":9,\"scale\":2}]") "]}}") "," FIELD("after",
                                                                               "\"long\""));

static void lines_are_read_from_all_blocks(void **state)
{
    (void)state;
    kit *k = kit_new();
    mr_put_text(&k->out, "u1");
    mr_put_long(&k->out, 2);
    put_line(k, "a", 3, "\x07\xcf");
    put_line(k, "b", 1, NULL);
    mr_put_long(&k->out, -1);
    mr_put_long(&k->out, 11);
    put_line(k, "c", 2, NULL);
    mr_put_long(&k->out, 0);
    mr_put_long(&k->out, 5);
    assert_int_equal(once(k, purchase_schema, (mr_mapping){.kind = MR_EVENT_PURCHASE}), MR_OK);
    assert_int_equal(k->event.line_count, 3);
    assert_text(k->lines[0].item, "a");
    assert_true(k->lines[0].quantity == 3 && k->lines[0].price == 19.99);
    assert_true(isnan(k->lines[0].propensity));
    assert_text(k->lines[1].item, "b");
    assert_true(k->lines[1].price == 0);
    assert_text(k->lines[2].item, "c");
    assert_true(k->lines[2].quantity == 2);
    kit_free(k);
}

static mr_status decode_lines(kit *k, uint32_t first, uint32_t second)
{
    mr_put_text(&k->out, "u1");
    mr_put_long(&k->out, first);
    for (uint32_t i = 0; i < first; i++)
        mr_put_text(&k->out, "i");
    if (second > 0)
        mr_put_long(&k->out, second);
    for (uint32_t i = 0; i < second; i++)
        mr_put_text(&k->out, "i");
    mr_put_long(&k->out, 0);
    return once(
        k, RECORD(STRING("user") "," FIELD("slate", "{\"type\":\"array\",\"items\":\"string\"}")),
        (mr_mapping){.kind = MR_EVENT_IMPRESSION});
}

static void as_many_lines_as_allowed_fit_and_not_one_more(void **state)
{
    (void)state;
    kit *k = kit_new();
    assert_int_equal(decode_lines(k, MR_LINES_MAX - 1, 1), MR_OK);
    assert_int_equal(k->event.line_count, MR_LINES_MAX);
    assert_text(k->lines[MR_LINES_MAX - 1].item, "i");
    k->out.size = 0;
    assert_int_equal(decode_lines(k, MR_LINES_MAX, 1), MR_REJECT);
    assert_int_equal(k->err.cause, MR_CAUSE_bad_count);
    kit_free(k);
}

static void parts_of_lines_can_be_mapped(void **state)
{
    (void)state;
    static const char schema[] = RECORD(STRING("user") "," FIELD(
        "basket", "[\"null\",{\"type\":\"array\",\"items\":[\"null\",{\"type\":\"record\",\"name\":"
                  "\"L\",\"fields\":[" FIELD(
                      "product", "{\"type\":\"record\",\"name\":\"P\",\"fields\":[" FIELD(
                                     "sku", "\"long\"") "]}") "," FIELD("n", "\"int\"") "]}]}]"));
    const mr_mapping_entry entries[] = {
        {.field = MR_FIELD_lines, .path = "basket"},
        {.field = MR_FIELD_lines, .part = MR_PART_ITEM, .path = "product.sku"},
        {.field = MR_FIELD_lines, .part = MR_PART_QUANTITY, .path = "n"},
        {.field = MR_FIELD_lines, .part = MR_PART_PRICE, .constant = "2.5"},
    };
    const mr_mapping mapping = {.kind = MR_EVENT_PURCHASE, .entries = entries, .entry_count = 4};
    kit *k = kit_new();
    mr_put_text(&k->out, "u1");
    mr_put_long(&k->out, 1);
    mr_put_long(&k->out, 2);
    mr_put_long(&k->out, 1);
    mr_put_long(&k->out, 77);
    mr_put_long(&k->out, 3);
    mr_put_long(&k->out, 0); // a line that is null stays, without an item
    mr_put_long(&k->out, 0);
    assert_int_equal(once(k, schema, mapping), MR_OK);
    assert_int_equal(k->event.line_count, 2);
    assert_text(k->lines[0].item, "77");
    assert_true(k->lines[0].quantity == 3 && k->lines[0].price == 2.5);
    assert_int_equal(k->lines[1].item.size, 0);
    kit_free(k);
}

static void a_purchase_without_lines_is_its_own_line(void **state)
{
    (void)state;
    const mr_mapping_entry entries[] = {{.field = MR_FIELD_item, .path = "sku"},
                                        {.field = MR_FIELD_quantity, .path = "n"}};
    const mr_mapping mapping = {.kind = MR_EVENT_PURCHASE, .entries = entries, .entry_count = 2};
    kit *k = kit_new();
    put_user_item(k);
    mr_put_long(&k->out, 4);
    assert_int_equal(
        once(k, RECORD(STRING("user") "," STRING("sku") "," FIELD("n", "\"int\"")), mapping),
        MR_OK);
    assert_true(mr_event_has(&k->event, MR_FIELD_lines));
    assert_int_equal(k->event.line_count, 1);
    assert_text(k->lines[0].item, "i1");
    assert_true(k->lines[0].quantity == 4 && k->lines[0].price == 0);
    kit_free(k);
}

static void context_keeps_sixteen_pairs_and_passes_over_the_rest(void **state)
{
    (void)state;
    kit *k = kit_new();
    put_user_item(k);
    mr_put_long(&k->out, MR_PAIRS_MAX + 1);
    for (uint32_t i = 0; i <= MR_PAIRS_MAX; i++) {
        mr_put_text(&k->out, "name");
        mr_put_text(&k->out, i == 0 ? "first" : "value");
    }
    mr_put_long(&k->out, 0);
    mr_put_text(&k->out, "s1");
    assert_int_equal(
        once(k,
             RECORD(USER_ITEM "," FIELD("context", "{\"type\":\"map\",\"values\":"
                                                   "\"string\"}") "," STRING("session")),
             click),
        MR_OK);
    assert_int_equal(k->event.context_count, MR_PAIRS_MAX);
    assert_text(k->event.context[0].name, "name");
    assert_text(k->event.context[0].value, "first");
    assert_text(k->event.session, "s1");
    kit_free(k);
}

static void context_takes_other_values_and_leaves_nulls_out(void **state)
{
    (void)state;
    kit *k = kit_new();
    put_user_item(k);
    mr_put_long(&k->out, 3);
    mr_put_text(&k->out, "a");
    mr_put_long(&k->out, 1);
    mr_put_long(&k->out, 12);
    mr_put_text(&k->out, "b");
    mr_put_long(&k->out, 0);
    mr_put_text(&k->out, "c");
    mr_put_long(&k->out, 2);
    mr_put_bool(&k->out, true);
    mr_put_long(&k->out, 0);
    assert_int_equal(
        once(k,
             RECORD(USER_ITEM "," FIELD(
                 "context", "{\"type\":\"map\",\"values\":[\"null\",\"int\",\"boolean\"]}")),
             click),
        MR_OK);
    assert_int_equal(k->event.context_count, 2);
    assert_text(k->event.context[0].name, "a");
    assert_text(k->event.context[0].value, "12");
    assert_text(k->event.context[1].name, "c");
    assert_text(k->event.context[1].value, "true");
    kit_free(k);
}

static void a_record_can_be_the_context(void **state)
{
    (void)state;
    const mr_mapping_entry entries[] = {{.field = MR_FIELD_context, .path = "device"}};
    const mr_mapping mapping = {.kind = MR_EVENT_CLICK, .entries = entries, .entry_count = 1};
    kit *k = kit_new();
    put_user_item(k);
    mr_put_text(&k->out, "linux");
    mr_put_double(&k->out, 1);
    mr_put_long(&k->out, 0);
    mr_put_long(&k->out, 8);
    assert_int_equal(
        once(k,
             RECORD(USER_ITEM "," FIELD(
                 "device",
                 "{\"type\":\"record\",\"name\":\"D\","
                 "\"fields\":[" STRING("os") "," FIELD("dpi", "\"double\"") "," FIELD(
                     "model", "[\"null\",\"string\"]") "," FIELD("cores", "\"int\"") "]}")),
             mapping),
        MR_OK);
    assert_int_equal(k->event.context_count, 2);
    assert_text(k->event.context[0].name, "os");
    assert_text(k->event.context[0].value, "linux");
    assert_text(k->event.context[1].name, "cores");
    assert_text(k->event.context[1].value, "8");
    kit_free(k);
}

static const char catalogue_schema[] = RECORD(
    STRING("item") "," FIELD("categories", "{\"type\":\"array\",\"items\":\"string\"}") "," FIELD(
        "vector", "[\"null\",{\"type\":\"array\",\"items\":\"double\"}]") "," FIELD("available",
                                                                                    "\"int\""));

static void a_catalogue_item_has_categories_and_a_vector(void **state)
{
    (void)state;
    kit *k = kit_new();
    mr_put_text(&k->out, "i1");
    mr_put_long(&k->out, MR_CATEGORIES_MAX + 1);
    for (uint32_t i = 0; i <= MR_CATEGORIES_MAX; i++)
        mr_put_text(&k->out, i == MR_CATEGORIES_MAX - 1 ? "last" : "other");
    mr_put_long(&k->out, 0);
    mr_put_long(&k->out, 1);
    mr_put_long(&k->out, MR_VECTOR_MAX - 1);
    for (uint32_t i = 0; i < MR_VECTOR_MAX - 1; i++)
        mr_put_double(&k->out, i);
    mr_put_long(&k->out, 1);
    mr_put_double(&k->out, -1);
    mr_put_long(&k->out, 0);
    mr_put_long(&k->out, 3); // three in stock
    assert_int_equal(once(k, catalogue_schema, (mr_mapping){.kind = MR_EVENT_CATALOGUE}), MR_OK);
    assert_int_equal(k->event.category_count, MR_CATEGORIES_MAX);
    assert_text(k->event.categories[MR_CATEGORIES_MAX - 1], "last");
    assert_int_equal(k->event.vector_count, MR_VECTOR_MAX);
    assert_true(k->vector[5] == 5.0f && k->vector[MR_VECTOR_MAX - 1] == -1.0f);
    assert_true(mr_event_has(&k->event, MR_FIELD_available) && k->event.available);
    kit_free(k);
}

static void a_vector_with_one_float_too_many_is_refused(void **state)
{
    (void)state;
    kit *k = kit_new();
    mr_put_text(&k->out, "i1");
    mr_put_long(&k->out, 0);
    mr_put_long(&k->out, 1);
    mr_put_long(&k->out, MR_VECTOR_MAX + 1);
    for (uint32_t i = 0; i < MR_VECTOR_MAX + 1; i++)
        mr_put_double(&k->out, 0);
    mr_put_long(&k->out, 0);
    mr_put_long(&k->out, 0);
    assert_int_equal(once(k, catalogue_schema, (mr_mapping){.kind = MR_EVENT_CATALOGUE}),
                     MR_REJECT);
    assert_int_equal(k->err.cause, MR_CAUSE_bad_count);
    assert_contains(k->err.text, "'vector'");
    kit_free(k);
}

static void one_value_can_fill_several_fields(void **state)
{
    (void)state;
    const mr_mapping_entry entries[] = {{.field = MR_FIELD_session, .path = "user"},
                                        {.field = MR_FIELD_list, .path = "user"},
                                        {.field = MR_FIELD_query, .path = "kunde"}};
    const mr_mapping mapping = {.kind = MR_EVENT_CLICK, .entries = entries, .entry_count = 3};
    kit *k = kit_new();
    put_user_item(k);
    assert_int_equal(
        once(k,
             RECORD(
                 "{\"name\":\"user\",\"aliases\":[\"kunde\"],\"type\":\"string\"}," STRING("item")),
             mapping),
        MR_OK);
    assert_text(k->event.user, "u1");
    assert_text(k->event.session, "u1");
    assert_text(k->event.list, "u1");
    assert_text(k->event.query, "u1");
    assert_text(k->event.item, "i1");
    kit_free(k);
}

static void constants_and_defaults_fill_what_the_record_lacks(void **state)
{
    (void)state;
    const mr_mapping_entry entries[] = {
        {.field = MR_FIELD_session, .path = "sid", .constant = "none"},
        {.field = MR_FIELD_value, .constant = "0.5"},
        {.field = MR_FIELD_position, .constant = "-3"},
        {.field = MR_FIELD_available, .constant = "true"},
        {.field = MR_FIELD_list}, // the writer's "list" is something else
    };
    const mr_mapping mapping = {.kind = MR_EVENT_CLICK, .entries = entries, .entry_count = 5};
    kit *k = kit_new();
    put_user_item(k);
    mr_put_text(&k->out, "wishlist");
    assert_int_equal(once(k, RECORD(USER_ITEM "," STRING("list")), mapping), MR_OK);
    assert_text(k->event.session, "none");
    assert_true(k->event.value == 0.5 && k->event.position == -3 && k->event.available);
    assert_false(mr_event_has(&k->event, MR_FIELD_list));
    assert_true(mr_event_has(&k->event, MR_FIELD_position));
    kit_free(k);
}

static void the_plan_says_where_a_field_comes_from(void **state)
{
    (void)state;
    const mr_mapping_entry entries[] = {{.field = MR_FIELD_value, .constant = "1"}};
    const mr_mapping mapping = {.kind = MR_EVENT_CLICK, .entries = entries, .entry_count = 1};
    kit *k = kit_new();
    kit_plan(k, RECORD(STRING("user_id") "," STRING("item")), mapping);
    assert_string_equal(mr_plan_source(k->plan, MR_FIELD_user), "user_id");
    assert_string_equal(mr_plan_source(k->plan, MR_FIELD_value), "= 1");
    assert_null(mr_plan_source(k->plan, MR_FIELD_session));
    kit_free(k);
}

static mr_status compile(kit *k, const char *schema, mr_mapping mapping)
{
    mr_plan *plan = NULL;
    const mr_status status = mr_plan_compile(schema, strlen(schema), &mapping, &plan, &k->err);
    mr_plan_close(plan);
    return status;
}

static void a_field_that_the_event_needs_has_to_be_found(void **state)
{
    (void)state;
    const mr_mapping_entry entries[] = {{.field = MR_FIELD_item, .path = "order.sku"}};
    mr_mapping mapping = {.kind = MR_EVENT_CLICK};
    kit *k = kit_new();
    assert_int_equal(compile(k, RECORD(STRING("item") "," STRING("who")), mapping), MR_REJECT);
    assert_int_equal(k->err.cause, MR_CAUSE_unsuitable_schema);
    assert_contains(k->err.text, "click needs 'user'");
    assert_contains(k->err.text, "item, who");
    mapping.given = 1u << MR_FIELD_user; // the key of the message has it
    assert_int_equal(compile(k, RECORD(STRING("item") "," STRING("who")), mapping), MR_OK);
    mapping.entries = entries;
    mapping.entry_count = 1;
    assert_int_equal(compile(k, RECORD(STRING("item") "," STRING("who")), mapping), MR_REJECT);
    assert_contains(k->err.text, "'order.sku'");
    kit_free(k);
}

static void a_mapped_field_that_an_older_schema_lacks_is_absent(void **state)
{
    (void)state;
    const mr_mapping_entry entries[] = {{.field = MR_FIELD_session, .path = "visit.id"}};
    const mr_mapping mapping = {.kind = MR_EVENT_CLICK, .entries = entries, .entry_count = 1};
    kit *k = kit_new();
    put_user_item(k);
    assert_int_equal(once(k, RECORD(USER_ITEM), mapping), MR_OK);
    assert_false(mr_event_has(&k->event, MR_FIELD_session));
    kit_free(k);
}

static void a_mapped_field_of_another_type_is_refused(void **state)
{
    (void)state;
    const mr_mapping_entry entries[] = {{.field = MR_FIELD_position, .path = "pos"}};
    const mr_mapping mapping = {.kind = MR_EVENT_CLICK, .entries = entries, .entry_count = 1};
    kit *k = kit_new();
    assert_int_equal(compile(k, RECORD(USER_ITEM "," STRING("pos")), mapping), MR_REJECT);
    assert_contains(k->err.text,
                    "'position' from 'pos': want int or long, the writer's schema has string");
    // A name that is only there by chance is left alone.
    assert_int_equal(compile(k, RECORD(USER_ITEM "," STRING("position")), click), MR_OK);
    kit_free(k);
}

static void bad_mappings_are_refused(void **state)
{
    (void)state;
    const mr_mapping_entry twice[] = {{.field = MR_FIELD_user, .path = "a"},
                                      {.field = MR_FIELD_user, .path = "b"}};
    const mr_mapping_entry number[] = {{.field = MR_FIELD_value, .constant = "much"}};
    const mr_mapping_entry lines[] = {{.field = MR_FIELD_lines, .path = "user"}};
    const mr_mapping_entry list[] = {{.field = MR_FIELD_context, .constant = "x"}};
    kit *k = kit_new();
    assert_int_equal(compile(k, RECORD(USER_ITEM), (mr_mapping){MR_EVENT_CLICK, twice, 2, 0}),
                     MR_FATAL);
    assert_contains(k->err.text, "'user' is mapped twice");
    assert_int_equal(compile(k, RECORD(USER_ITEM), (mr_mapping){MR_EVENT_CLICK, number, 1, 0}),
                     MR_FATAL);
    assert_contains(k->err.text, "'much'");
    assert_int_equal(compile(k, RECORD(USER_ITEM), (mr_mapping){MR_EVENT_CLICK, lines, 1, 0}),
                     MR_FATAL);
    assert_int_equal(compile(k, RECORD(USER_ITEM), (mr_mapping){MR_EVENT_CLICK, list, 1, 0}),
                     MR_FATAL);
    kit_free(k);
}

static void keys_of_a_mapping_are_read_and_the_nearest_is_named(void **state)
{
    (void)state;
    mr_mapping_entry entry;
    mr_error err;
    assert_int_equal(mr_mapping_key(mr_bytes_text("lines.price"), &entry, &err), MR_OK);
    assert_int_equal(entry.field, MR_FIELD_lines);
    assert_int_equal(entry.part, MR_PART_PRICE);
    assert_int_equal(mr_mapping_key(mr_bytes_text("user"), &entry, &err), MR_OK);
    assert_int_equal(entry.part, MR_PART_WHOLE);
    assert_int_equal(mr_mapping_key(mr_bytes_text("sesion"), &entry, &err), MR_FATAL);
    assert_contains(err.text, "the nearest is 'session'");
    assert_int_equal(mr_mapping_key(mr_bytes_text("user.id"), &entry, &err), MR_FATAL);
    assert_int_equal(mr_mapping_key(mr_bytes_text(""), &entry, &err), MR_FATAL);
}

static void check_source(mr_field field, const char *text, const char *path, mr_time_unit unit,
                         const char *constant)
{
    char copy[64];
    mr_error err;
    mr_mapping_entry entry = {.field = field};
    strcpy(copy, text);
    if (mr_mapping_source(copy, &entry, &err) != MR_OK)
        fail_msg("%s", err.text);
    assert_int_equal(entry.path == NULL, path == NULL);
    assert_int_equal(entry.constant == NULL, constant == NULL);
    if (path != NULL)
        assert_string_equal(entry.path, path);
    if (constant != NULL)
        assert_string_equal(entry.constant, constant);
    assert_int_equal(entry.unit, unit);
}

static void sources_of_a_mapping_are_read(void **state)
{
    (void)state;
    char bad[] = "path s", twice[] = "at s ms";
    mr_error err;
    mr_mapping_entry user = {.field = MR_FIELD_user}, time = {.field = MR_FIELD_time};
    check_source(MR_FIELD_user, "payload.user_id", "payload.user_id", MR_TIME_AUTO, NULL);
    check_source(MR_FIELD_user, "  padded  ", "padded", MR_TIME_AUTO, NULL);
    check_source(MR_FIELD_lines, ".", "", MR_TIME_AUTO, NULL);
    check_source(MR_FIELD_time, "at s", "at", MR_TIME_SECONDS, NULL);
    check_source(MR_FIELD_time, "at ns = 0", "at", MR_TIME_NANOS, "0");
    check_source(MR_FIELD_session, "visit = no visit", "visit", MR_TIME_AUTO, "no visit");
    check_source(MR_FIELD_action, "= more", NULL, MR_TIME_AUTO, "more");
    check_source(MR_FIELD_list, "", NULL, MR_TIME_AUTO, NULL);
    assert_int_equal(mr_mapping_source(bad, &user, &err), MR_FATAL);
    assert_contains(err.text, "'s' behind the path of 'user'");
    assert_int_equal(mr_mapping_source(twice, &time, &err), MR_FATAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_are_found_by_name_and_by_alias_in_any_order),
        cmocka_unit_test(an_alias_of_the_writer_counts),
        cmocka_unit_test(a_path_leads_through_records_and_unions),
        cmocka_unit_test(what_is_not_mapped_is_passed_over),
        cmocka_unit_test(numbers_and_uuids_become_texts_where_texts_are_wanted),
        cmocka_unit_test(an_enum_becomes_its_symbol),
        cmocka_unit_test(every_kind_of_time_becomes_milliseconds),
        cmocka_unit_test(a_time_in_floating_seconds_is_rounded_to_the_nearest_millisecond),
        cmocka_unit_test(a_time_that_overflows_is_refused),
        cmocka_unit_test(decimals_become_numbers),
        cmocka_unit_test(every_number_becomes_a_double),
        cmocka_unit_test(lines_are_read_from_all_blocks),
        cmocka_unit_test(as_many_lines_as_allowed_fit_and_not_one_more),
        cmocka_unit_test(parts_of_lines_can_be_mapped),
        cmocka_unit_test(a_purchase_without_lines_is_its_own_line),
        cmocka_unit_test(context_keeps_sixteen_pairs_and_passes_over_the_rest),
        cmocka_unit_test(context_takes_other_values_and_leaves_nulls_out),
        cmocka_unit_test(a_record_can_be_the_context),
        cmocka_unit_test(a_catalogue_item_has_categories_and_a_vector),
        cmocka_unit_test(a_vector_with_one_float_too_many_is_refused),
        cmocka_unit_test(one_value_can_fill_several_fields),
        cmocka_unit_test(constants_and_defaults_fill_what_the_record_lacks),
        cmocka_unit_test(the_plan_says_where_a_field_comes_from),
        cmocka_unit_test(a_field_that_the_event_needs_has_to_be_found),
        cmocka_unit_test(a_mapped_field_that_an_older_schema_lacks_is_absent),
        cmocka_unit_test(a_mapped_field_of_another_type_is_refused),
        cmocka_unit_test(bad_mappings_are_refused),
        cmocka_unit_test(keys_of_a_mapping_are_read_and_the_nearest_is_named),
        cmocka_unit_test(sources_of_a_mapping_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
