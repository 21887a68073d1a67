// SPDX-License-Identifier: Apache-2.0
// Which records are events, of which kind and how many: kinds, filters, value maps, arrays that are
// several events, and what comes from key and headers. Of Avro; JSON has the same code behind it.
#include "kit.h"

#include <stdio.h>

static const char batch[] =
    "{\"type\":\"record\",\"name\":\"Batch\",\"fields\":["
    "{\"name\":\"id\",\"type\":\"string\"},"
    "{\"name\":\"acts\",\"type\":[\"null\",{\"type\":\"array\",\"items\":{\"type\":\"record\","
    "\"name\":\"Act\","
    "\"fields\":[{\"name\":\"what\",\"type\":{\"type\":\"enum\",\"name\":\"W\",\"symbols\":["
    "\"VIEW\",\"BUY\","
    "\"PING\",\"BAD\"]}},{\"name\":\"sku\",\"type\":[\"null\",\"long\"]},{\"name\":\"at\",\"type\":"
    "\"string\"}]}}]},"
    "{\"name\":\"user\",\"type\":\"string\"},{\"name\":\"test\",\"type\":\"boolean\"}]}";

enum { TEXT_MAX = 256, ROWS_MAX = 16 };

typedef struct rows { // a mapping as a configuration writes it
    mr_mapping mapping;
    mr_mapping_entry entries[ROWS_MAX];
    char texts[ROWS_MAX][TEXT_MAX];
} rows;

static mr_status read_rows(rows *r, mr_event_kind kind, const char *const (*pairs)[2],
                           mr_error *err)
{
    *r = (rows){.mapping = {.kind = kind, .entries = r->entries}};
    for (uint32_t i = 0; pairs[i][0] != NULL; i++) {
        snprintf(r->texts[i], TEXT_MAX, "%s", pairs[i][1]);
        MR_TRY(mr_mapping_key(mr_bytes_text(pairs[i][0]), &r->entries[i], err));
        MR_TRY(mr_mapping_source(r->texts[i], &r->entries[i], err));
        r->mapping.entry_count++;
    }
    return mr_mapping_check(&r->mapping, err);
}

static void plan_rows(kit *k, rows *r, const char *schema, mr_event_kind kind,
                      const char *const (*pairs)[2])
{
    if (read_rows(r, kind, pairs, &k->err) != MR_OK)
        fail_msg("%s", k->err.text);
    kit_plan(k, schema, r->mapping);
}

typedef struct act {
    int what;
    int64_t sku; // 0: null
    const char *at;
} act;

static void put_batch(kit *k, const act *acts, uint32_t count, bool test)
{
    k->out = mr_writer_make(k->message, sizeof k->message);
    mr_put_text(&k->out, "m1");
    mr_put_long(&k->out, 1);
    for (uint32_t i = 0; i < count; i++) {
        if (i % 2 == 0) // blocks of two
            mr_put_long(&k->out, count - i < 2 ? 1 : 2);
        mr_put_long(&k->out, acts[i].what);
        mr_put_long(&k->out, acts[i].sku != 0);
        if (acts[i].sku != 0)
            mr_put_long(&k->out, acts[i].sku);
        mr_put_text(&k->out, acts[i].at);
    }
    mr_put_long(&k->out, 0);
    mr_put_text(&k->out, "u");
    mr_put_raw(&k->out, test ? "\1" : "\0", 1);
}

static const char *const each[][2] = {
    {"each", "acts"},
    {"kind", "acts.what VIEW=click BUY=purchase BAD=reject"},
    {"where", "test not true"},
    {"event_id", "id"},
    {"item", "acts.sku"},
    {"time", "acts.at iso"},
    {NULL, NULL},
};

static mr_status begin(kit *k, mr_plan_walk *walk, const mr_bytes *outside)
{
    return mr_plan_begin(k->plan, k->message, k->out.size, outside, NULL, &k->event, walk, &k->err);
}

// The next event, with a scratch of its own.
static mr_status next(kit *k, mr_plan_walk *walk, uint8_t *scratch, bool *more)
{
    if (mr_plan_item_scratch_bytes(k->plan) > 0)
        k->event.scratch = scratch;
    return mr_plan_next(walk, &k->event, more, &k->err);
}

static void the_items_of_an_array_are_events_in_their_order(void **state)
{
    static const act acts[] = {{0, 11, "2026-01-01T00:00:00Z"},
                               {2, 12, "2026-01-01T00:00:01Z"},
                               {1, 13, "2026-01-01T00:00:02.5Z"}};
    static uint8_t scratch[3][1024];
    kit *k = kit_new();
    rows r;
    mr_plan_walk walk;
    bool more;
    (void)state;
    plan_rows(k, &r, batch, MR_EVENT_KIND_COUNT, each);
    assert_true(mr_plan_item_scratch_bytes(k->plan) <= 1024);
    uint8_t *const record = k->event.scratch;
    put_batch(k, acts, 3, false);
    assert_int_equal(begin(k, &walk, NULL), MR_OK);
    assert_int_equal(next(k, &walk, scratch[0], &more), MR_OK);
    assert_true(more);
    assert_int_equal(k->event.kind, MR_EVENT_CLICK);
    assert_text(k->event.user, "u"); // which stands behind the array
    assert_text(k->event.item, "11");
    assert_text(k->event.event_id, "m1/0");
    assert_int_equal(k->event.time_ms, 1767225600000);
    assert_int_equal(next(k, &walk, scratch[1], &more), MR_OK);
    assert_true(more);
    assert_int_equal(k->event.kind, MR_EVENT_PURCHASE);
    assert_text(k->event.event_id, "m1/2"); // the index in the array, also of what was left out
    assert_int_equal(k->event.line_count, 1);
    assert_text(k->event.lines[0].item, "13");
    assert_int_equal(k->event.time_ms, 1767225602500);
    assert_int_equal(next(k, &walk, scratch[2], &more), MR_OK);
    assert_false(more);
    k->event.scratch = record;
    kit_free(k);
}

static void a_record_without_items_or_outside_of_the_filter_is_no_event(void **state)
{
    static const act acts[] = {{0, 11, "2026-01-01"}};
    static uint8_t scratch[1024];
    kit *k = kit_new();
    rows r;
    mr_plan_walk walk;
    bool more;
    (void)state;
    plan_rows(k, &r, batch, MR_EVENT_KIND_COUNT, each);
    uint8_t *const record = k->event.scratch;
    put_batch(k, acts, 0, false);
    assert_int_equal(begin(k, &walk, NULL), MR_OK);
    assert_int_equal(next(k, &walk, scratch, &more), MR_OK);
    assert_false(more);
    put_batch(k, acts, 1, true);
    k->event.scratch = record;
    assert_int_equal(begin(k, &walk, NULL), MR_OK);
    assert_int_equal(next(k, &walk, scratch, &more), MR_OK);
    assert_false(more);
    k->event.scratch = record;
    kit_free(k);
}

static void a_value_or_a_text_that_cannot_be_refuses_the_record(void **state)
{
    static const act bad[] = {{3, 11, "2026-01-01"}}, late[] = {{0, 11, "tomorrow"}};
    static uint8_t scratch[1024];
    kit *k = kit_new();
    rows r;
    mr_plan_walk walk;
    bool more;
    (void)state;
    plan_rows(k, &r, batch, MR_EVENT_KIND_COUNT, each);
    uint8_t *const record = k->event.scratch;
    put_batch(k, bad, 1, false);
    assert_int_equal(begin(k, &walk, NULL), MR_OK);
    assert_int_equal(next(k, &walk, scratch, &more), MR_REJECT);
    assert_int_equal(k->err.cause, MR_CAUSE_unmapped_value);
    assert_contains(k->err.text, "'acts.what' is 'BAD'");
    put_batch(k, late, 1, false);
    k->event.scratch = record;
    assert_int_equal(begin(k, &walk, NULL), MR_OK);
    assert_int_equal(next(k, &walk, scratch, &more), MR_REJECT);
    assert_contains(k->err.text, "acts[].at");
    k->event.scratch = record;
    kit_free(k);
}

static const char click[] =
    "{\"type\":\"record\",\"name\":\"C\",\"fields\":["
    "{\"name\":\"item\",\"type\":\"string\"},{\"name\":\"verb\",\"type\":\"string\"}]}";

static void values_stand_for_others_and_key_and_headers_fill_fields(void **state)
{
    static const char *const pairs[][2] = {
        {"user", "<key>"},
        {"event_id", "<header.ce_id>"},
        {"time", "<header.ce_time> iso"},
        {"position", "<header.place> = 9"},
        {"session", "verb like=good 'no thanks'=bad spam=skip"},
        {NULL, NULL},
    };
    const mr_bytes outside[] = {
        mr_bytes_text("k1"), mr_bytes_text("id"), mr_bytes_text("2026-01-01"), {NULL, 0}};
    static const char *const verbs[][2] = {
        {"like", "good"}, {"no thanks", "bad"}, {"other", "other"}};
    kit *k = kit_new();
    rows r;
    mr_plan_walk walk;
    bool more;
    (void)state;
    plan_rows(k, &r, click, MR_EVENT_CLICK, pairs);
    for (uint32_t i = 0; i < 4; i++) {
        k->out = mr_writer_make(k->message, sizeof k->message);
        mr_put_text(&k->out, "i");
        mr_put_text(&k->out, i < 3 ? verbs[i][0] : "spam");
        assert_int_equal(begin(k, &walk, outside), MR_OK);
        assert_int_equal(mr_plan_next(&walk, &k->event, &more, &k->err), MR_OK);
        assert_int_equal(more, i < 3);
        if (i == 3)
            break;
        assert_text(k->event.session, verbs[i][1]);
        assert_text(k->event.user, "k1");
        assert_text(k->event.event_id, "id");
        assert_int_equal(k->event.time_ms, 1767225600000);
        assert_int_equal(k->event.position, 9);
    }
    kit_free(k);
}

static void a_kind_needs_what_any_of_its_kinds_needs(void **state)
{
    static const char *const pairs[][2] = {{"kind", "verb a=click b=search"}, {NULL, NULL}};
    kit *k = kit_new();
    rows r;
    (void)state;
    assert_int_equal(read_rows(&r, MR_EVENT_KIND_COUNT, pairs, &k->err), MR_OK);
    r.mapping.given = 1u << MR_FIELD_user;
    assert_int_equal(mr_plan_compile(click, sizeof click - 1, &r.mapping, &k->plan, &k->err),
                     MR_REJECT);
    assert_contains(k->err.text, "needs 'query'");
    kit_free(k);
}

static void mappings_that_do_not_fit_themselves_are_refused(void **state)
{
    static const struct {
        mr_event_kind kind;
        const char *pairs[4][2];
        const char *piece;
    } cases[] = {
        {MR_EVENT_KIND_COUNT, {{"kind", "a b=catalogue"}}, "want click"},
        {MR_EVENT_KIND_COUNT, {{"kind", "a"}}, "VALUE=KIND"},
        {MR_EVENT_KIND_COUNT, {{"item", "a"}}, "want 'kind'"},
        {MR_EVENT_CLICK, {{"kind", "a b=click"}}, "'mapped'"},
        {MR_EVENT_CLICK, {{"where", "a b"}}, "'is' or 'not'"},
        {MR_EVENT_CLICK, {{"where", "a is"}}, "values"},
        {MR_EVENT_CLICK, {{"price", "a b=c"}}, "is no text"},
        {MR_EVENT_CLICK, {{"each", "x"}, {"user", "x.u"}}, "the user is that of the record"},
        {MR_EVENT_PURCHASE, {{"each", "x"}, {"lines", "y"}}, "no 'lines'"},
        {MR_EVENT_CLICK, {{"user", "<head>"}}, "<header.NAME>"},
        {MR_EVENT_CLICK, {{"context", "<key>"}}, "the record only"},
        {MR_EVENT_PURCHASE, {{"lines.item", "<key>"}}, "comes from the record"},
        {MR_EVENT_CLICK, {{"time", "at weeks"}}, "iso"},
    };
    mr_error err;
    rows r;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (read_rows(&r, cases[i].kind, cases[i].pairs, &err) != MR_FATAL)
            fail_msg("case %zu was taken", i);
        assert_contains(err.text, cases[i].piece);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_items_of_an_array_are_events_in_their_order),
        cmocka_unit_test(a_record_without_items_or_outside_of_the_filter_is_no_event),
        cmocka_unit_test(a_value_or_a_text_that_cannot_be_refuses_the_record),
        cmocka_unit_test(values_stand_for_others_and_key_and_headers_fill_fields),
        cmocka_unit_test(a_kind_needs_what_any_of_its_kinds_needs),
        cmocka_unit_test(mappings_that_do_not_fit_themselves_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
