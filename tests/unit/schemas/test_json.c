// SPDX-License-Identifier: Apache-2.0
// JSON by a plan: what is taken, what is refused, and that jansson sees the same.
#include "kit.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

static const mr_mapping_entry shop[] = {
    {.field = MR_FIELD_user, .path = "buyer.id"},
    {.field = MR_FIELD_item, .path = "sku"},
    {.field = MR_FIELD_time, .path = "at"},
    {.field = MR_FIELD_price, .path = "price"},
    {.field = MR_FIELD_position, .path = "place"},
    {.field = MR_FIELD_session, .path = "visit", .constant = "none"},
    {.field = MR_FIELD_context, .path = "about"},
};
enum { SHOP = sizeof shop / sizeof *shop };

static void plan_of(kit *k, mr_event_kind kind, const mr_mapping_entry *entries, uint32_t count)
{
    const mr_mapping mapping = {
        .kind = kind, .entries = entries, .entry_count = count, .given = 1u << MR_FIELD_user};
    mr_plan_close(k->plan);
    k->plan = NULL;
    if (mr_plan_compile_json(&mapping, &k->plan, &k->err) != MR_OK)
        fail_msg("%s", k->err.text);
    free(k->event.scratch);
    k->event.scratch = malloc(mr_plan_scratch_bytes(k->plan) + 1);
}

// Decodes a copy that ends where the text does, so that a sanitizer sees a byte too far.
static mr_status decode_bytes(kit *k, const char *text, size_t size)
{
    uint8_t *exact = malloc(size + 1);
    memcpy(exact + 1, text, size);
    const mr_status status = mr_plan_decode(k->plan, exact + 1, size, &k->event, &k->err);
    memcpy(k->message, exact + 1, size < sizeof k->message ? size : sizeof k->message);
    const ptrdiff_t moved = k->message - (exact + 1);
    mr_bytes *const texts[] = {&k->event.user, &k->event.item, &k->event.session};
    for (size_t i = 0; i < 3; i++)
        if (texts[i]->data >= exact && texts[i]->data <= exact + 1 + size)
            texts[i]->data += moved;
    free(exact);
    return status;
}

static mr_status decode(kit *k, const char *text)
{
    k->event.user = k->event.item = k->event.session = (mr_bytes){NULL, 0};
    return decode_bytes(k, text, strlen(text));
}

static void takes(kit *k, const char *text)
{
    if (decode(k, text) != MR_OK)
        fail_msg("%s: %s", text, k->err.text);
}

static void refuses(kit *k, const char *text, mr_cause cause, const char *piece)
{
    if (decode(k, text) != MR_REJECT)
        fail_msg("%s: was taken", text);
    if (k->err.cause != cause)
        fail_msg("%s: %s", text, k->err.text);
    assert_contains(k->err.text, piece);
}

static void what_is_mapped_is_picked_in_any_order_and_depth(void **state)
{
    kit *k = kit_new();
    (void)state;
    plan_of(k, MR_EVENT_CLICK, shop, SHOP);
    takes(k, " { \"noise\" : [1,{\"sku\":\"wrong\"}, []] ,\t\"at\":1700000000000,\n\"buyer\":"
             "{\"name\":{\"id\":0},\"id\":\"u1\"},\"sku\":17,\"price\":-0.5e1,\"place\":3} \r\n");
    assert_text(k->event.user, "u1");
    assert_text(k->event.item, "17");
    assert_text(k->event.session, "none");
    assert_int_equal(k->event.time_ms, 1700000000000);
    assert_true(k->event.price == -5);
    assert_int_equal(k->event.position, 3);
    assert_int_equal(k->event.context_count, 0);
    kit_free(k);
}

static void null_is_the_same_as_not_there(void **state)
{
    kit *k = kit_new();
    (void)state;
    plan_of(k, MR_EVENT_CLICK, shop, SHOP);
    takes(k, "{\"buyer\":null,\"sku\":null,\"about\":null,\"visit\":null}");
    assert_false(mr_event_has(&k->event, MR_FIELD_user));
    assert_false(mr_event_has(&k->event, MR_FIELD_item));
    assert_text(k->event.session, "none");
    kit_free(k);
}

static void escapes_become_what_they_stand_for_in_names_too(void **state)
{
    kit *k = kit_new();
    (void)state;
    plan_of(k, MR_EVENT_CLICK, shop, SHOP);
    takes(k, "{\"s\\u006bu\":\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00z\"}");
    assert_text(k->event.item, "a\"\\/\b\f\n\r\t\xc3\xa9\xf0\x9f\x98\x80z");
    kit_free(k);
}

static void numbers_are_exact(void **state)
{
    static const struct {
        const char *text;
        double value;
    } cases[] = {
        {"0", 0},
        {"-0", 0},
        {"0.1", 0.1},
        {"9007199254740993", 9007199254740992.0},
        {"123456789012345678901234567890", 123456789012345678901234567890.0},
        {"5e-324", 5e-324},
        {"1.7976931348623157e308", 1.7976931348623157e308},
        {"2.2250738585072011e-308", 2.2250738585072011e-308},
        {"1E+2", 100},
        {"19.99", 19.99},
        {"0.30000000000000004", 0.30000000000000004},
        {"\"19.99\"", 19.99},
        {"1e-7", 1e-7},
        {"4.35", 4.35},
        {"0.000001", 0.000001},
    };
    kit *k = kit_new();
    char text[96];
    (void)state;
    plan_of(k, MR_EVENT_CLICK, shop, SHOP);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(text, sizeof text, "{\"price\":%s}", cases[i].text);
        takes(k, text);
        if (k->event.price != cases[i].value)
            fail_msg("%s: %.17g", cases[i].text, k->event.price);
    }
    refuses(k, "{\"price\":1e999}", MR_CAUSE_bad_value, "'price'");
    refuses(k, "{\"price\":\"nan\"}", MR_CAUSE_bad_value, "a number");
    takes(k, "{\"place\":4.0}");
    assert_int_equal(k->event.position, 4);
    refuses(k, "{\"place\":4.5}", MR_CAUSE_bad_value, "a whole number");
    refuses(k, "{\"place\":9223372036854775808}", MR_CAUSE_bad_value, "a whole number");
    kit_free(k);
}

static void times_are_numbers_or_texts(void **state)
{
    static const struct {
        const char *text;
        mr_time_unit unit;
        int64_t millis;
    } cases[] = {
        {"1700000000", MR_TIME_SECONDS, 1700000000000},
        {"1700000000.1234", MR_TIME_SECONDS, 1700000000123},
        {"1700000000123456", MR_TIME_MICROS, 1700000000123},
        {"-1", MR_TIME_MICROS, -1},
        {"1700000000123456789", MR_TIME_NANOS, 1700000000123},
        {"\"1700000000\"", MR_TIME_SECONDS, 1700000000000},
        {"\"2023-11-14T22:13:20.5Z\"", MR_TIME_AUTO, 1700000000500},
        {"\"2023-11-15T00:13:20+02:00\"", MR_TIME_ISO, 1700000000000},
        {"1.7e12", MR_TIME_AUTO, 1700000000000},
    };
    kit *k = kit_new();
    char text[96];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const mr_mapping_entry entry = {
            .field = MR_FIELD_time, .path = "at", .unit = cases[i].unit};
        plan_of(k, MR_EVENT_CLICK, &entry, 1);
        snprintf(text, sizeof text, "{\"at\":%s}", cases[i].text);
        takes(k, text);
        assert_int_equal(k->event.time_ms, cases[i].millis);
    }
    kit_free(k);
}

static void the_better_name_wins_and_another_type_is_left_alone(void **state)
{
    kit *k = kit_new();
    (void)state;
    plan_of(k, MR_EVENT_CLICK, NULL, 0);
    takes(
        k,
        "{\"userId\":\"c\",\"user\":\"a\",\"user_id\":\"b\",\"item\":{\"id\":1},\"item_id\":\"i\","
        "\"list\":[1],\"position\":\"first\",\"timestamp\":1700000000000}");
    assert_text(k->event.user, "a");
    assert_text(k->event.item, "i");
    assert_false(mr_event_has(&k->event, MR_FIELD_list));
    assert_false(mr_event_has(&k->event, MR_FIELD_position));
    assert_int_equal(k->event.time_ms, 1700000000000);
    kit_free(k);
}

static void lines_are_objects_or_plain_ids(void **state)
{
    static const mr_mapping_entry single[] = {{.field = MR_FIELD_item, .path = "item"},
                                              {.field = MR_FIELD_price, .path = "price"}};
    kit *k = kit_new();
    (void)state;
    plan_of(k, MR_EVENT_PURCHASE, single, 2);
    takes(k, "{\"user\":\"u\",\"lines\":[{\"item\":\"a\",\"quantity\":2,\"price\":1.5,\"x\":[]},"
             "\"b\",7]}");
    assert_int_equal(k->event.line_count, 3);
    assert_true(k->event.lines[0].quantity == 2 && k->event.lines[0].price == 1.5);
    assert_true(k->event.lines[1].quantity == 1);
    takes(k, "{\"user\":\"u\",\"item\":\"a\",\"price\":3}");
    assert_int_equal(k->event.line_count, 1);
    assert_true(k->event.lines[0].price == 3);
    takes(k, "{\"user\":\"u\",\"lines\":[]}");
    assert_int_equal(k->event.line_count, 0);
    kit_free(k);
}

static void an_item_of_the_catalogue_has_categories_and_a_vector(void **state)
{
    kit *k = kit_new();
    (void)state;
    plan_of(k, MR_EVENT_CATALOGUE, NULL, 0);
    takes(k, "{\"item\":\"i\",\"categories\":[\"a\",null,3],\"vector\":[1,-2.5,1e2],\"available\":"
             "false}");
    assert_int_equal(k->event.category_count, 2);
    assert_int_equal(k->event.vector_count, 3);
    assert_true(k->event.vector[1] == -2.5f);
    assert_false(k->event.available);
    kit_free(k);
}

static void what_is_no_json_is_refused_with_its_byte(void **state)
{
    static const struct {
        const char *text, *piece;
    } cases[] = {
        {"[]", "an object"},
        {"5", "an object"},
        {"\"a\"", "an object"},
        {"{a:1}", "a name in quotes"},
        {"{\"a\":1,}", "a name in quotes"},
        {"{\"a\" 1}", "':'"},
        {"{\"a\":1 \"b\":2}", "','"},
        {"{\"a\":[1 2]}", "','"},
        {"{\"a\":[1,]}", "a value"},
        {"{\"a\":01}", "leading zero"},
        {"{\"a\":+1}", "a value"},
        {"{\"a\":.5}", "a value"},
        {"{\"a\":1.}", "a digit"},
        {"{\"a\":1e}", "a digit"},
        {"{\"a\":-}", "a digit"},
        {"{\"a\":tru}", "true"},
        {"{\"a\":nul }", "null"},
        {"{\"a\":NaN}", "a value"},
        {"{\"a\":'b'}", "a value"},
        {"{\"a\":\"\n\"}", "control"},
        {"{\"a\":\"\\x\"}", "one of"},
        {"{\"a\":\"\\u12g4\"}", "four"},
        {"{\"a\":\"\\ud800\"}", "surrogate"},
        {"{\"a\":\"\\udc00\"}", "surrogate"},
        {"{\"a\":\"\\ud800\\u0041\"}", "surrogate"},
        {"{\"a\":[}]", "a value"},
        {"{\"a\":{]}}", "a name"},
        {"{\"sku\":1,\"sku\":1}", "each name once"},
        {"{\"buyer\":{\"id\":1,\"id\":2}}", "each name once"},
        {"\xef\xbb\xbf{}", "an object"},
    };
    kit *k = kit_new();
    (void)state;
    plan_of(k, MR_EVENT_CLICK, shop, SHOP);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refuses(k, cases[i].text, MR_CAUSE_bad_json, cases[i].piece);
    refuses(k, "{} x", MR_CAUSE_trailing_bytes, "byte 3 of 4");
    refuses(k, "{\"a\":\"\xff\"}", MR_CAUSE_bad_utf8, "UTF-8");
    refuses(k, "{\"sku\":\"\xc0\x80\"}", MR_CAUSE_bad_utf8, "UTF-8");
    refuses(k, "{\"sku\":[\"a\"]}", MR_CAUSE_bad_value, "'sku'");
    refuses(k, "{\"about\":\"x\"}", MR_CAUSE_bad_value, "an object");
    refuses(k, "{\"about\":{},\"buyer\":{\"id\":{}}}", MR_CAUSE_bad_value,
            "field 'buyer.id' before");
    kit_free(k);
}

static void a_record_that_is_cut_off_is_refused_wherever_it_is(void **state)
{
    static const char text[] =
        "{\"buyer\":{\"id\":\"u\\u00e9\"},\"sku\":\"i\",\"x\":[true,null,-1.5e3,"
        "{\"y\":\"\\ud83d\\ude00\"}],\"about\":{\"a\":\"b\",\"c\":2}}";
    kit *k = kit_new();
    (void)state;
    plan_of(k, MR_EVENT_CLICK, shop, SHOP);
    takes(k, text);
    for (size_t size = 0; size < sizeof text - 1; size++) {
        assert_int_equal(decode_bytes(k, text, size), MR_REJECT);
        assert_int_equal(k->err.cause, MR_CAUSE_truncated);
    }
    kit_free(k);
}

static void nesting_stops_at_sixty_four(void **state)
{
    char text[256];
    kit *k = kit_new();
    (void)state;
    plan_of(k, MR_EVENT_CLICK, shop, SHOP);
    for (int depth = 63; depth <= 64; depth++) {
        snprintf(text, sizeof text, "{\"x\":");
        memset(text + 5, '[', (size_t)depth);
        memset(text + 5 + depth, ']', (size_t)depth);
        strcpy(text + 5 + 2 * depth, "}");
        assert_int_equal(decode(k, text), depth == 63 ? MR_OK : MR_REJECT);
    }
    assert_int_equal(k->err.cause, MR_CAUSE_too_deep);
    kit_free(k);
}

static void many_lines_are_refused_and_many_pairs_left_out(void **state)
{
    static char text[16384];
    kit *k = kit_new();
    (void)state;
    plan_of(k, MR_EVENT_PURCHASE, NULL, 0);
    for (int count = 512; count <= 513; count++) {
        size_t size = (size_t)snprintf(text, sizeof text, "{\"lines\":[");
        for (int i = 0; i < count; i++)
            size += (size_t)snprintf(text + size, sizeof text - size, "%s%d", i > 0 ? "," : "", i);
        snprintf(text + size, sizeof text - size, "]}");
        assert_int_equal(decode(k, text), count == 512 ? MR_OK : MR_REJECT);
    }
    assert_int_equal(k->err.cause, MR_CAUSE_bad_count);
    plan_of(k, MR_EVENT_CLICK, NULL, 0);
    size_t size = (size_t)snprintf(text, sizeof text, "{\"context\":{");
    for (int i = 0; i < 20; i++)
        size += (size_t)snprintf(text + size, sizeof text - size, "%s\"%d\":%d", i > 0 ? "," : "",
                                 i, i);
    snprintf(text + size, sizeof text - size, "}}");
    takes(k, text);
    assert_int_equal(k->event.context_count, MR_PAIRS_MAX);
    kit_free(k);
}

// ---- jansson as the oracle

typedef struct maker { // makes a text at random, mostly JSON
    uint64_t state;
    char text[4096];
    size_t size;
} maker;

static uint32_t draw(maker *m, uint32_t below)
{
    m->state = m->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(m->state >> 33) % below;
}

static void put(maker *m, const char *text)
{
    const size_t size = strlen(text);
    if (m->size + size < sizeof m->text) {
        memcpy(m->text + m->size, text, size + 1);
        m->size += size;
    }
}

static void put_string(maker *m)
{
    static const char *const pieces[] = {"a",
                                         "sku",
                                         "\\n",
                                         "\\u00e9",
                                         "\xc3\xa9",
                                         "\\ud83d\\ude00",
                                         "long text without an end",
                                         "\\\"",
                                         "\xe2\x82\xac",
                                         "0",
                                         " "};
    put(m, "\"");
    for (uint32_t i = draw(m, 4); i > 0; i--)
        put(m, pieces[draw(m, sizeof pieces / sizeof *pieces)]);
    put(m, "\"");
}

static void put_value(maker *m, uint32_t depth)
{
    static const char *const scalars[] = {"0",   "-1",   "12345678901", "0.5",  "-2.25e-3",
                                          "1E5", "true", "false",       "null", "1700000000000"};
    static const char *const names[] = {
        "\"sku\":",   "\"buyer\":", "\"id\":",        "\"price\":", "\"at\" : ",
        "\"about\":", "\"x\":",     "\"s\\u006bu\":", "\"place\":"};
    const uint32_t what = draw(m, depth > 4 ? 6 : 10);
    if (what < 4) {
        put(m, scalars[draw(m, sizeof scalars / sizeof *scalars)]);
    } else if (what < 6) {
        put_string(m);
    } else {
        const bool object = what < 9;
        put(m, object ? "{" : "[ ");
        const uint32_t count = draw(m, 5);
        for (uint32_t i = 0; i < count; i++) {
            put(m, i > 0 ? "," : "");
            if (object)
                put(m, names[draw(m, sizeof names / sizeof *names)]);
            put_value(m, depth + 1);
        }
        put(m, object ? "}" : " ]");
    }
}

static void damage(maker *m)
{
    static const char bytes[] = "{}[]\",:\\u0e.-x \n\xff\x80";
    for (uint32_t i = draw(m, 3); i > 0 && m->size > 0; i--)
        m->text[draw(m, (uint32_t)m->size)] = bytes[draw(m, sizeof bytes - 1)];
}

static void check_against(kit *k, const maker *m, const json_t *root, uint64_t seed)
{
    const json_t *sku = json_object_get(root, "sku"), *price = json_object_get(root, "price");
    if (json_is_string(sku) && !mr_bytes_equal(k->event.item, mr_bytes_of(json_string_value(sku),
                                                                          json_string_length(sku))))
        fail_msg("seed %" PRIu64 ": the item differs: %s", seed, m->text);
    if (json_is_number(price) && k->event.price != json_number_value(price))
        fail_msg("seed %" PRIu64 ": the price differs: %s", seed, m->text);
    if (mr_event_has(&k->event, MR_FIELD_item) != (sku != NULL && !json_is_null(sku)))
        fail_msg("seed %" PRIu64 ": an item that is not there: %s", seed, m->text);
}

// Values that do not fit and names that stand twice are refused by us alone; what jansson refuses
// is refused by us too, and what we take it takes, and sees the same in it.
static void jansson_reads_the_same(void **state)
{
    static maker m;
    kit *k = kit_new();
    uint32_t taken = 0, refused = 0;
    (void)state;
    plan_of(k, MR_EVENT_CLICK, shop, SHOP);
    for (uint64_t seed = 1; seed <= 60000; seed++) {
        m = (maker){.state = seed * 7919};
        put_value(&m, 0);
        if (seed % 2 == 0)
            damage(&m);
        json_error_t fault;
        json_t *root = json_loadb(m.text, m.size, JSON_ALLOW_NUL | JSON_DECODE_ANY, &fault);
        k->event.item = (mr_bytes){NULL, 0};
        const mr_status status =
            mr_plan_decode(k->plan, (const uint8_t *)m.text, m.size, &k->event, &k->err);
        const bool syntax = status != MR_OK && k->err.cause != MR_CAUSE_bad_value &&
                            strstr(k->err.text, "each name once") == NULL &&
                            strstr(k->err.text, "want an object") == NULL;
        if (status == MR_OK && root == NULL)
            fail_msg("seed %" PRIu64 ": taken, but %s: %s", seed, fault.text, m.text);
        if (syntax && root != NULL)
            fail_msg("seed %" PRIu64 ": %s: %s", seed, k->err.text, m.text);
        if (status == MR_OK)
            check_against(k, &m, root, seed);
        taken += status == MR_OK;
        refused += syntax;
        json_decref(root);
    }
    assert_true(taken > 3000 && refused > 3000);
    kit_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_mapped_is_picked_in_any_order_and_depth),
        cmocka_unit_test(null_is_the_same_as_not_there),
        cmocka_unit_test(escapes_become_what_they_stand_for_in_names_too),
        cmocka_unit_test(numbers_are_exact),
        cmocka_unit_test(times_are_numbers_or_texts),
        cmocka_unit_test(the_better_name_wins_and_another_type_is_left_alone),
        cmocka_unit_test(lines_are_objects_or_plain_ids),
        cmocka_unit_test(an_item_of_the_catalogue_has_categories_and_a_vector),
        cmocka_unit_test(what_is_no_json_is_refused_with_its_byte),
        cmocka_unit_test(a_record_that_is_cut_off_is_refused_wherever_it_is),
        cmocka_unit_test(nesting_stops_at_sixty_four),
        cmocka_unit_test(many_lines_are_refused_and_many_pairs_left_out),
        cmocka_unit_test(jansson_reads_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
