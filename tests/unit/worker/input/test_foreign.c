// SPDX-License-Identifier: Apache-2.0
// Foreign logs by mapping file: a small one of each public format, every form of a mapping, and what
// is said of rows and mappings that are wrong.
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "schemas/builtin.h"
#include "worker/input/input.h"
#include "worker/input/sorted.h"
#include "worker/input/values.h"

static char temporary[64];

static int make_temporary(void **state)
{
    (void)state;
    strcpy(temporary, "/tmp/millrace-foreign-XXXXXX");
    const int fd = mkstemp(temporary);
    return fd < 0 || close(fd) != 0;
}

static int drop_temporary(void **state)
{
    (void)state;
    return unlink(temporary);
}

static void write_text(const char *text)
{
    FILE *file = fopen(temporary, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
}

static void assert_text(mr_bytes have, const char *want)
{
    if (!mr_bytes_equal(have, mr_bytes_text(want)))
        fail_msg("want '%s', have '%.*s'", want, (int)have.size, (const char *)have.data);
}

static void assert_contains(const char *text, const char *piece)
{
    if (strstr(text, piece) == NULL)
        fail_msg("'%s' does not stand in: %s", piece, text);
}

static mr_input *open_format(const mr_format *format)
{
    mr_input *input;
    mr_error err;
    if (mr_input_open_as(temporary, NULL, format, &input, &err) != MR_OK)
        fail_msg("%s", err.text);
    return input;
}

// A log of one of our formats.
static mr_input *open_ours(const char *name, const char *log)
{
    mr_format *format;
    mr_error err;
    if (mr_format_open(name, &format, &err) != MR_OK)
        fail_msg("%s", err.text);
    write_text(log);
    mr_input *input = open_format(format);
    free(format);
    return input;
}

static mr_format read_format(const char *yaml)
{
    mr_format format;
    mr_error err;
    if (mr_format_read(yaml, strlen(yaml), "made.yaml", &format, &err) != MR_OK)
        fail_msg("%s", err.text);
    return format;
}

static bool next(mr_input *input, mr_event *event)
{
    mr_error err;
    bool more;
    if (mr_input_next(input, event, &more, &err) != MR_OK)
        fail_msg("%s", err.text);
    return more;
}

static void expect(mr_input *input, mr_event *event, mr_event_kind kind, int64_t time_ms,
                   const char *user, const char *item)
{
    assert_true(next(input, event));
    assert_string_equal(mr_event_kind_name(event->kind), mr_event_kind_name(kind));
    assert_int_equal(event->time_ms, time_ms);
    assert_text(event->user, user);
    assert_text(event->item, item);
}

static void expect_end(mr_input *input)
{
    mr_event event;
    assert_false(next(input, &event));
    assert_false(next(input, &event)); // the end stays the end
    mr_input_close(input);
}

// ---- the public formats

static void movielens_ratings_are_read_in_the_order_of_time(void **state)
{
    (void)state;
    mr_event event;
    mr_input *input = open_ours("movielens_100k", "7\t50\t5\t881250949\n8\t51\t3\t881250940\n");
    expect(input, &event, MR_EVENT_RATING, 881250940000, "8", "51");
    assert_true(event.value == 3);
    expect(input, &event, MR_EVENT_RATING, 881250949000, "7", "50");
    assert_true(event.value == 5);
    expect_end(input);
    input = open_ours("movielens", "userId,movieId,rating,timestamp\n1,31,2.5,1260759144\n"
                                   "1,1029,3.0,1260759144\n2,10,4.0,835355493\n");
    expect(input, &event, MR_EVENT_RATING, 835355493000, "2", "10");
    expect(input, &event, MR_EVENT_RATING, 1260759144000, "1", "31");
    expect(input, &event, MR_EVENT_RATING, 1260759144000, "1", "1029"); // as the file has them
    assert_true(event.value == 3);
    expect_end(input);
}

static void retailrocket_events_are_views_carts_and_purchases(void **state)
{
    (void)state;
    mr_event event;
    mr_input *input = open_ours("retailrocket", "timestamp,visitorid,event,itemid,transactionid\n"
                                                "1433221332117,257,view,355,\n"
                                                "1433221999827,257,transaction,355,4000\n"
                                                "1433221500000,257,addtocart,355,\n");
    expect(input, &event, MR_EVENT_CLICK, 1433221332117, "257", "355");
    expect(input, &event, MR_EVENT_CART, 1433221500000, "257", "355");
    expect(input, &event, MR_EVENT_PURCHASE, 1433221999827, "257", "355");
    assert_int_equal(event.line_count, 1);
    assert_text(event.lines[0].item, "355");
    expect_end(input);
}

static void yoochoose_sessions_are_clicks_and_buys(void **state)
{
    (void)state;
    mr_event event;
    mr_input *input = open_ours("yoochoose_clicks", "1,2014-04-07T10:51:09.277Z,214,0\n"
                                                    "1,2014-04-07T10:54:09.868Z,215,S\n");
    expect(input, &event, MR_EVENT_CLICK, 1396867869277, "1", "214");
    assert_text(event.session, "1");
    assert_text(event.context[0].name, "category");
    assert_text(event.context[0].value, "0");
    expect(input, &event, MR_EVENT_CLICK, 1396868049868, "1", "215");
    expect_end(input);
    input = open_ours("yoochoose_buys", "420,2014-04-06T18:44:58.314Z,216,12462,2\n");
    expect(input, &event, MR_EVENT_PURCHASE, 1396809898314, "420", "216");
    assert_true(event.lines[0].price == 12462 && event.lines[0].quantity == 2);
    expect_end(input);
}

static void otto_lines_are_lists_of_events(void **state)
{
    (void)state;
    mr_event event;
    mr_input *input =
        open_ours("otto", "{\"session\": 12, \"events\": ["
                          "{\"aid\": 5, \"ts\": 1661724000278, \"type\": \"clicks\"}, "
                          "{\"aid\": 5, \"ts\": 1661724000400, \"type\": \"carts\"}]}\n"
                          "{\"session\": 13, \"events\": []}\n"
                          "{\"session\": 14, \"events\": ["
                          "{\"aid\": 6, \"ts\": 1661724000300, \"type\": \"orders\"}]}\n");
    expect(input, &event, MR_EVENT_CLICK, 1661724000278, "12", "5");
    assert_text(event.session, "12");
    expect(input, &event, MR_EVENT_PURCHASE, 1661724000300, "14", "6");
    assert_text(event.lines[0].item, "6");
    expect(input, &event, MR_EVENT_CART, 1661724000400, "12", "5");
    expect_end(input);
}

static void open_bandit_rows_are_impressions_and_clicks(void **state)
{
    (void)state;
    mr_event event;
    mr_input *input =
        open_ours("open_bandit",
                  ",timestamp,item_id,position,click,propensity_score,user_feature_0,"
                  "user_feature_1,user_feature_2,user_feature_3,user-item_affinity_0\n"
                  "0,2019-11-24 00:00:10.004659+00:00,14,3,0,0.0294,a,b,c,d,0.0\n"
                  "1,2019-11-24 00:00:11.5+00:00,27,1,1,0.25,a,b,,d,0.0\n");
    expect(input, &event, MR_EVENT_IMPRESSION, 1574553610004, "a-b-c-d", "14");
    assert_int_equal(event.position, 3);
    assert_text(event.session, "0");
    assert_true(event.lines[0].propensity == 0.0294);
    expect(input, &event, MR_EVENT_IMPRESSION, 1574553611500, "a-b--d", "27");
    expect(input, &event, MR_EVENT_CLICK, 1574553611500, "a-b--d", "27");
    assert_text(event.session, "1");
    assert_true(event.propensity == 0.25);
    expect_end(input);
}

static void portals_and_shops_are_read_too(void **state)
{
    (void)state;
    mr_event event;
    mr_input *input = open_ours(
        "globo", "user_id,session_id,session_start,session_size,click_article_id,click_timestamp,"
                 "click_environment,click_deviceGroup,click_os,click_country,click_region,"
                 "click_referrer_type\n"
                 "0,1506825423271737,1506825423000,2,157541,1506826828020,4,3,20,1,20,2\n");
    expect(input, &event, MR_EVENT_CLICK, 1506826828020, "0", "157541");
    assert_text(event.session, "1506825423271737");
    assert_int_equal(event.context_count, 2);
    expect_end(input);
    input = open_ours("taobao", "1,11,500,pv,1511544070\n1,12,500,fav,1511544060\n"
                                "1,13,501,buy,1511544050\n1,14,501,cart,1511544080\n");
    expect(input, &event, MR_EVENT_PURCHASE, 1511544050000, "1", "13");
    expect(input, &event, MR_EVENT_CLICK, 1511544070000, "1", "11");
    expect(input, &event, MR_EVENT_CART, 1511544080000, "1", "14");
    expect_end(input);
    input = open_ours("sessions", "session_id,item_id,timestamp,event_type\n"
                                  "s1,i1,2026-01-31T12:30:00+01:00,view\n"
                                  "s1,i1,2026-01-31 12:31,order\n");
    expect(input, &event, MR_EVENT_CLICK, 1769859000000, "s1", "i1");
    expect(input, &event, MR_EVENT_PURCHASE, 1769862660000, "s1", "i1");
    expect_end(input);
}

static void every_mapping_of_ours_can_be_read(void **state)
{
    (void)state;
    uint32_t count = 0;
    for (; mr_builtin_mapping_at(count) != NULL; count++) {
        mr_format *format;
        mr_error err;
        if (mr_format_open(mr_builtin_mapping_at(count)->name, &format, &err) != MR_OK)
            fail_msg("%s", err.text);
        free(format);
    }
    assert_int_equal(count, 10);
}

// ---- what a mapping can say

static void a_mapping_has_constants_defaults_and_paths(void **state)
{
    (void)state;
    const mr_format format = read_format("layout: jsonl\n"
                                         "fields:\n"
                                         "  user: buyer.id\n"
                                         "  item: what\n"
                                         "  time: at us\n"
                                         "  value: = 4.5\n"
                                         "  context.shop: shop.name\n"
                                         "type:\n"
                                         "  column: kind\n"
                                         "  values: {gone: ''}\n"
                                         "  else: rating\n");
    mr_event event;
    write_text("{\"buyer\": {\"id\": \"b1\"}, \"what\": 2.5, \"at\": 1700000000123456, \"kind\": 1}\n"
               "\n"
               "{\"kind\": \"gone\"}\n"
               "{\"buyer\": {\"id\": true}, \"what\": \"x\", \"at\": 1000, \"shop\": "
               "{\"name\": \"s\"}, \"kind\": null}\n");
    mr_input *input = open_format(&format);
    expect(input, &event, MR_EVENT_RATING, 1700000000123, "b1", "2.5");
    assert_true(event.value == 4.5);
    assert_int_equal(event.context_count, 0);
    expect(input, &event, MR_EVENT_RATING, 1, "true", "x");
    assert_text(event.context[0].name, "shop");
    assert_text(event.context[0].value, "s");
    expect_end(input);
}

static void values_may_be_divided_by_any_byte_and_quoted(void **state)
{
    (void)state;
    const mr_format format = read_format("delimiter: ;\n"
                                         "header: no\n"
                                         "fields: {user: 3, item: 1, time: 2}\n"
                                         "type: cart\n");
    mr_event event;
    write_text("\"a;b\";12;u\n\"c\nd\";13;u;more\n");
    mr_input *input = open_format(&format);
    expect(input, &event, MR_EVENT_CART, 12, "u", "a;b");
    expect(input, &event, MR_EVENT_CART, 13, "u", "c\nd");
    expect_end(input);
}

static bool iso(const char *text, int64_t *millis)
{
    mr_event event = {0};
    mr_error err;
    const mr_value_use use = {.field = MR_FIELD_time, .unit = MR_TIME_ISO, .name = "t"};
    const mr_status status = mr_values_fill(&use, mr_bytes_text(text), &event, &err);
    *millis = event.time_ms;
    return status == MR_OK;
}

static void iso_times_have_parts_and_zones(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t millis;
    } good[] = {
        {"1970-01-01", 0},
        {"1970-01-01T00:00Z", 0},
        {"1969-12-31 23:59:59.999", -1},
        {"2000-02-29T12:00:00Z", 951825600000},
        {"2024-03-01", 1709251200000},
        {"2024-02-29", 1709164800000},
        {"2038-01-19T03:14:08+00:00", 2147483648000},
        {"2026-01-31T12:30:00.123456789-0530", 1769882400123},
        {"2026-01-31T12:30:00+01", 1769859000000},
    };
    static const char *const bad[] = {
        "",           "2026",         "2026-1-31",        "2026-02-29",           "2026-13-01",
        "2026-01-00", "2026-01-31T",  "2026-01-31T24:00", "2026-01-31T12:30:00.", "2026-01-31X12:30",
        "1700000000", "2026-01-31T12:30:00Zx", "2026-01-31T12:30+1",
        "2026-01-31T12:30:00.1x",
    };
    int64_t millis;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        if (!iso(good[i].text, &millis) || millis != good[i].millis)
            fail_msg("%s: %lld", good[i].text, (long long)millis);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (iso(bad[i], &millis))
            fail_msg("'%s' was taken", bad[i]);
    }
}

static void equal_times_keep_the_files_order_and_whole_events(void **state)
{
    (void)state;
    mr_sorted *sorted = mr_sorted_open();
    mr_event event, back;
    mr_error err;
    mr_line line;
    char user[16];
    enum { EVENTS = 70000 }; // more than there is room for at first
    for (int i = 0; i < EVENTS; i++) {
        mr_values_begin(&event, MR_EVENT_PURCHASE, &line);
        snprintf(user, sizeof user, "u%d", i);
        event.user = mr_bytes_text(user);
        event.item = mr_bytes_text("i");
        event.time_ms = i % 7;
        event.price = i;
        event.position = -i;
        event.categories[0] = mr_bytes_text("c");
        event.category_count = 1;
        event.present = 1u << MR_FIELD_user | 1u << MR_FIELD_item | 1u << MR_FIELD_time |
                        1u << MR_FIELD_price | 1u << MR_FIELD_position |
                        1u << MR_FIELD_categories;
        mr_values_pair(mr_bytes_text("n"), event.user, &event);
        mr_values_end(&event);
        assert_int_equal(mr_sorted_add(sorted, &event, &err), MR_OK);
    }
    mr_sorted_sort(sorted);
    for (int time = 0; time < 7; time++) {
        for (int i = time; i < EVENTS; i += 7) {
            assert_true(mr_sorted_take(sorted, &back));
            snprintf(user, sizeof user, "u%d", i);
            assert_text(back.user, user);
            assert_text(back.context[0].value, user);
            assert_text(back.categories[0], "c");
            assert_int_equal(back.time_ms, time);
            assert_int_equal(back.position, -i);
            assert_int_equal(back.kind, MR_EVENT_PURCHASE);
            assert_true(back.lines[0].price == i && back.lines[0].quantity == 1);
        }
    }
    assert_false(mr_sorted_take(sorted, &back));
    mr_sorted_close(sorted);
}

// ---- what is wrong

static void bad_rows_are_refused_with_their_place_and_the_next_goes_on(void **state)
{
    (void)state;
    static const struct {
        const char *format, *log, *piece;
    } cases[] = {
        {"yoochoose_buys", "1,2014-04-07,2\n",
         ":1: 3 columns, want at least 5"},
        {"yoochoose_clicks", "1,yesterday,2,0\n",
         ":1: column '2': want a time such as 2026-01-31T12:30:00.5Z, have 'yesterday'"},
        {"movielens", "userId,movieId,rating,timestamp\n1,2,good,3\n",
         ":2: column 'rating': want a number, have 'good'"},
        {"movielens", "userId,movieId,rating,timestamp\n1,2,3\n",
         ":2: 3 columns, but the first row has 4"},
        {"retailrocket", "timestamp,visitorid,event,itemid\n1,2,look,3\n",
         ":2: column 'event': want view, addtocart, transaction, have 'look'"},
        {"otto", "{\"session\": 1, \"events\": [{\"aid\": 1, \"ts\": \"x\", \"type\": \"carts\"}]}\n",
         ":1: events[0]: column 'ts': want a time as a whole number, have 'x'"},
        {"otto", "{\"session\": 1, \"events\": [5]}\n", ":1: events[0]: 'events': want objects"},
        {"otto", "{\"session\": 1, \"events\": {}}\n", ":1: 'events': want a list of events"},
        {"otto", "{\"session\": [1], \"events\": [{\"aid\": 1, \"ts\": 1, \"type\": \"carts\"}]}\n",
         ":1: events[0]: 'session': want a text or a number, found a list"},
        {"movielens", "userId,movieId,rating,timestamp\n1,2,3,\n", ":2: the time is empty"},
        {"otto", "[1]\n", ":1: want a JSON object"},
        {"otto", "{\"session\"\n", ":1: byte 10 of 10: want more"},
        {"otto", "{\"session\": 01}\n", ":1: byte 12 of 15: want a number without a leading zero"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mr_event event;
        mr_error err;
        bool more;
        char log[512];
        const bool json = strcmp(cases[i].format, "otto") == 0;
        const char *const good =
            json ? "{\"session\": 9, \"events\": [{\"aid\": 1, \"ts\": 1, \"type\": \"carts\"}]}"
            : strncmp(cases[i].format, "yoo", 3) == 0 ? "9,1970-01-01,3,4,5"
            : cases[i].format[0] == 'm'               ? "9,2,3,4"
                                                      : "1,9,view,3";
        snprintf(log, sizeof log, "%s%s\n", cases[i].log, good);
        mr_input *input = open_ours(cases[i].format, log);
        assert_int_equal(mr_input_next(input, &event, &more, &err), MR_REJECT);
        const bool no_json = strstr(cases[i].piece, "byte") != NULL;
        assert_true(no_json == (err.cause != MR_CAUSE_bad_value));
        assert_contains(err.text, cases[i].piece);
        assert_contains(err.text, temporary);
        assert_true(next(input, &event));
        assert_text(event.user, "9");
        expect_end(input);
    }
}

static void a_refused_member_leaves_the_rest_of_its_list(void **state)
{
    (void)state;
    mr_event event;
    mr_error err;
    bool more;
    mr_input *input = open_ours("otto", "{\"session\": 1, \"events\": ["
                                        "{\"aid\": 1, \"ts\": 1, \"type\": \"smiles\"}, "
                                        "{\"aid\": 2, \"ts\": 2, \"type\": \"clicks\"}]}\n");
    assert_int_equal(mr_input_next(input, &event, &more, &err), MR_REJECT);
    assert_contains(err.text, "events[0]: column 'type': want clicks, carts, orders");
    expect(input, &event, MR_EVENT_CLICK, 2, "1", "2");
    expect_end(input);
}

static void files_without_the_columns_are_refused(void **state)
{
    (void)state;
    mr_format *format;
    mr_input *input;
    mr_error err;
    assert_int_equal(mr_format_open("movielens", &format, &err), MR_OK);
    write_text("userId,movieId,rating\n");
    assert_int_equal(mr_input_open_as(temporary, NULL, format, &input, &err), MR_FATAL);
    assert_contains(err.text, ":1: there is no column 'timestamp' for 'time' in the first row");
    write_text("");
    assert_int_equal(mr_input_open_as(temporary, NULL, format, &input, &err), MR_FATAL);
    assert_contains(err.text, "the file is empty");
    free(format);
}

static void wrong_mappings_are_refused_with_line_and_column(void **state)
{
    (void)state;
    static const char rest[] = "fields: {user: u, item: i, time: t}\ntype: click\n";
    static const struct {
        const char *yaml;
        bool whole;
        const char *piece;
    } cases[] = {
        {"delimeter: tab\n", false,
         "made.yaml:1:1: there is no key 'delimeter'; the nearest is delimiter"},
        {"\nlayout: xml\n", false, "made.yaml:2:9: layout: want jsonl or csv, found 'xml'"},
        {"header: maybe\n", false, "made.yaml:1:9: header: want yes or no, found 'maybe'"},
        {"delimiter: '::'\n", false, "made.yaml:1:13: delimiter: want one byte"},
        {"delimiter: [a]\n", false, "delimiter: want a text"},
        {"header: no\n", false,
         "made.yaml:2:16: user: want the number of a column, from 1 to 256 (header: no), found "
         "'u'"},
        {"events: e\n", false, "made.yaml: events: is of layout: jsonl"},
        {"type: click\n", true, "made.yaml: fields: want time, and user or item"},
        {"fields: {user: u, time: t}\n", true, "made.yaml: type: want what the rows are"},
        {"fields: {user: u, time: t, user_id: v}\ntype: click\n", true,
         "made.yaml:1:28: mapping: there is no field 'user_id'; the nearest is 'user'"},
        {"fields: {user: u, time: t, lines: v}\ntype: click\n", true,
         "'lines' cannot come from a column"},
        {"fields: {user: u, time: t}\ntype: view\n", true, "made.yaml:2:7: type: want up to four of"},
        {"fields: {user: u, time: t}\ntype: {column: c, values: {a: view}}\n", true,
         "made.yaml:2:31: a: want up to four of"},
        {"fields: {user: u, time: t}\ntype: {column: c}\n", true, "type: want column and values"},
        {"fields: {user: u, time: t}\ntype: {colum: c}\n", true,
         "made.yaml:2:8: type: want column, values or else, found 'colum'"},
        {"fields: {user: [], time: t}\ntype: click\n", true, "user: want columns"},
        {"fields: 5\n", true, "fields: want a mapping of keys"},
        {"- 5\n", true, "want a mapping of keys"},
        {"", true, "want a mapping of keys"},
        {"a: [\n", true, "made.yaml:"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char yaml[256];
        mr_format format;
        mr_error err;
        snprintf(yaml, sizeof yaml, "%s%s", cases[i].yaml, cases[i].whole ? "" : rest);
        if (mr_format_read(yaml, strlen(yaml), "made.yaml", &format, &err) != MR_FATAL)
            fail_msg("taken: %s", yaml);
        assert_contains(err.text, cases[i].piece);
    }
}

static void a_mapping_is_found_by_name_or_by_path(void **state)
{
    (void)state;
    mr_format *format;
    mr_error err;
    char path[80];
    assert_int_equal(mr_format_open("oto", &format, &err), MR_FATAL);
    assert_contains(err.text, "no mapping 'oto': want FILE.yaml, or one of globo, movielens");
    assert_contains(err.text, "yoochoose_clicks");
    assert_int_equal(mr_format_open("/nowhere.yaml", &format, &err), MR_FATAL);
    assert_contains(err.text, "/nowhere.yaml: No such file");
    write_text("fields: {user: u, item: i, time: t}\ntype: click\n");
    snprintf(path, sizeof path, "%s", temporary);
    assert_int_equal(mr_format_open(path, &format, &err), MR_OK);
    assert_int_equal(format->source_count, 3);
    free(format);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(movielens_ratings_are_read_in_the_order_of_time),
        cmocka_unit_test(retailrocket_events_are_views_carts_and_purchases),
        cmocka_unit_test(yoochoose_sessions_are_clicks_and_buys),
        cmocka_unit_test(otto_lines_are_lists_of_events),
        cmocka_unit_test(open_bandit_rows_are_impressions_and_clicks),
        cmocka_unit_test(portals_and_shops_are_read_too),
        cmocka_unit_test(every_mapping_of_ours_can_be_read),
        cmocka_unit_test(a_mapping_has_constants_defaults_and_paths),
        cmocka_unit_test(values_may_be_divided_by_any_byte_and_quoted),
        cmocka_unit_test(iso_times_have_parts_and_zones),
        cmocka_unit_test(equal_times_keep_the_files_order_and_whole_events),
        cmocka_unit_test(bad_rows_are_refused_with_their_place_and_the_next_goes_on),
        cmocka_unit_test(a_refused_member_leaves_the_rest_of_its_list),
        cmocka_unit_test(files_without_the_columns_are_refused),
        cmocka_unit_test(wrong_mappings_are_refused_with_line_and_column),
        cmocka_unit_test(a_mapping_is_found_by_name_or_by_path),
    };
    return cmocka_run_group_tests(tests, make_temporary, drop_temporary);
}
