// SPDX-License-Identifier: Apache-2.0
// Inspecting the state that a replay leaves: the layouts that inspect_rows.c knows are those that
// the engine writes.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <stdlib.h>

#include "state/store.h"
#include "tests/unit/worker/capture.h"
#include "worker/command.h"

static char folder[128];

static const char events[] = "timestamp_ms,user,item,type\n"
                             "1700000000000,anna,apple,click\n"
                             "1700000001000,anna,pear,click\n"
                             "1700000002000,ben,apple,click\n"
                             "1700000003000,ben,pear,purchase\n"
                             "1700000004000,anna,plum,cart\n"
                             "1700000005000,cleo,apple,click\n";

static int make_state(void **state)
{
    (void)state;
    char path[256], line[512];
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%.100s/inspect-XXXXXX", base != NULL ? base : "/tmp");
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/events.csv", folder);
    FILE *file = fopen(path, "w");
    if (file == NULL)
        return -1;
    fputs(events, file);
    fclose(file);
    snprintf(line, sizeof line,
             "replay --no-metrics --set replay.tasks=2 --set items.max=1000 --set "
             "metrics.probe.every=1 --out %s/out %s",
             folder, path);
    return capture(mr_command_replay, line)->status;
}

static int remove_state(void **state)
{
    (void)state;
    char line[256];
    snprintf(line, sizeof line, "rm -r '%s'", folder);
    return system(line);
}

static const captured *inspect(const char *what)
{
    char line[512];
    snprintf(line, sizeof line, "inspect %s/out %s", folder, what);
    return capture(mr_command_inspect, line);
}

static json_t *inspect_json(const char *what)
{
    char words[256];
    snprintf(words, sizeof words, "%s --json", what);
    const captured *seen = inspect(words);
    assert_int_equal(seen->status, MR_EXIT_GOOD);
    json_t *object = json_loads(seen->out, 0, NULL);
    assert_non_null(object);
    return object;
}

static long long number(const json_t *object, const char *name)
{
    assert_true(json_is_integer(json_object_get(object, name)));
    return json_integer_value(json_object_get(object, name));
}

static const char *text(const json_t *object, const char *name)
{
    assert_true(json_is_string(json_object_get(object, name)));
    return json_string_value(json_object_get(object, name));
}

static void the_summary_has_the_counters_and_the_state_hash_of_the_replay(void **state)
{
    (void)state;
    char path[256];
    snprintf(path, sizeof path, "%s/out/summary.json", folder);
    json_t *replayed = json_load_file(path, 0, NULL), *seen = inspect_json("summary");
    assert_non_null(replayed);
    assert_int_equal(number(seen, "read"), 6);
    assert_int_equal(number(seen, "learned"), 6);
    assert_int_equal(number(seen, "tasks"), 2);
    assert_int_equal(json_array_size(json_object_get(seen, "by_task")), 2);
    assert_string_equal(text(seen, "state_hash"), text(replayed, "state_hash"));
    assert_true(json_is_false(json_object_get(seen, "in_use")));
    json_t *hash = inspect_json("hash");
    assert_string_equal(text(hash, "state_hash"), text(replayed, "state_hash"));
    json_decref(hash);
    json_decref(seen);
    json_decref(replayed);
}

static void a_user_has_recent_items_by_name_the_newest_first(void **state)
{
    (void)state;
    json_t *seen = inspect_json("user anna");
    const json_t *recent = json_object_get(seen, "recent");
    assert_int_equal(number(seen, "events"), 3);
    assert_int_equal(json_array_size(recent), 3);
    assert_string_equal(text(json_array_get(recent, 0), "item"), "plum");
    assert_string_equal(text(json_array_get(recent, 0), "act"), "cart");
    assert_string_equal(text(json_array_get(recent, 0), "time"), "2023-11-14T22:13:24.000Z");
    assert_string_equal(text(json_array_get(recent, 2), "item"), "apple");
    const json_t *part = json_array_get(json_object_get(seen, "parts"), 0);
    assert_string_equal(text(part, "part"), "embedding.user");
    assert_int_equal(number(part, "floats"), 64);
    assert_true(json_real_value(json_object_get(part, "steps")) == 3);
    json_decref(seen);
}

static void items_stand_by_events_and_as_many_as_asked(void **state)
{
    (void)state;
    json_t *seen = inspect_json("items --top 2");
    const json_t *rows = json_object_get(seen, "most_popular");
    assert_int_equal(number(seen, "items"), 3);
    assert_int_equal(number(seen, "events"), 6);
    assert_int_equal(json_array_size(rows), 2);
    assert_string_equal(text(json_array_get(rows, 0), "item"), "apple");
    assert_int_equal(number(json_array_get(rows, 0), "events"), 3);
    assert_string_equal(text(json_array_get(rows, 1), "item"), "pear");
    json_decref(seen);
}

static void users_are_counted(void **state)
{
    (void)state;
    json_t *seen = inspect_json("users --top 0");
    assert_int_equal(number(seen, "users"), 3);
    assert_int_equal(number(seen, "events"), 6);
    assert_int_equal(json_array_size(json_object_get(seen, "most_active")), 0);
    json_decref(seen);
}

static void an_item_has_its_neighbours_by_name_and_its_weight(void **state)
{
    (void)state;
    json_t *seen = inspect_json("item apple");
    const json_t *parts = json_object_get(seen, "parts");
    bool neighbours = false, counts = false;
    for (size_t i = 0; i < json_array_size(parts); i++) {
        const json_t *part = json_array_get(parts, i);
        if (strcmp(text(part, "part"), "covisit.neighbours") == 0) {
            const json_t *first = json_array_get(json_object_get(part, "most"), 0);
            neighbours = true;
            assert_string_equal(json_string_value(first), "pear");
        }
        if (strcmp(text(part, "part"), "popularity.counts") == 0) {
            counts = true; // three clicks of weight 1
            assert_true(json_real_value(json_object_get(part, "weight")) == 3);
        }
    }
    assert_true(neighbours && counts);
    assert_int_equal(number(seen, "events"), 3);
    json_decref(seen);
}

static void a_row_is_found_by_every_kind_of_key(void **state)
{
    (void)state;
    const struct {
        const char *key, *name;
    } keys[] = {
        {"row t", "\"task\""},
        {"row u:ben", "\"user ben\""},
        {"row x:7562656e", "\"user ben\""},
        {"row r:0", "\"recent events, chunk 0\""},
        {"row i:items.item:pear", "\"items.item of "},
        {"row n:blend.gate:0", "\"blend.gate of 0000000000000000\""},
    };
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        char words[64];
        snprintf(words, sizeof words, "%s --json", keys[i].key);
        const captured *seen = inspect(words);
        if (seen->status != MR_EXIT_GOOD || strstr(seen->out, keys[i].name) == NULL)
            fail_msg("%s: status %d\n%s%s", keys[i].key, seen->status, seen->out, seen->err);
    }
}

static void what_is_not_there_fails_and_what_cannot_be_is_named(void **state)
{
    (void)state;
    const char *const absent[] = {"user nobody", "item nothing", "row u:nobody",   "row q:1",
                                  "row x:7",     "row i:pear",   "row i:a.b:pear", "row x:7x"};
    for (size_t i = 0; i < sizeof absent / sizeof absent[0]; i++) {
        const captured *seen = inspect(absent[i]);
        assert_int_equal(seen->status, MR_EXIT_FAILED);
        assert_string_equal(seen->out, "");
        assert_non_null(strstr(seen->err, "millrace inspect: "));
    }
    assert_int_equal(inspect("user")->status, MR_EXIT_USAGE);
    assert_int_equal(inspect("hash now")->status, MR_EXIT_USAGE);
    assert_int_equal(inspect("users --top many")->status, MR_EXIT_USAGE);
    const captured *seen = inspect("usrs");
    assert_int_equal(seen->status, MR_EXIT_USAGE);
    assert_non_null(strstr(seen->err, "the nearest is users"));
    seen = capture(mr_command_inspect, "inspect /nonexistent/folder");
    assert_int_equal(seen->status, MR_EXIT_FAILED);
    assert_non_null(strstr(seen->err, "there is no state in it"));
}

static void a_folder_is_read_while_another_process_has_it(void **state)
{
    (void)state;
    char path[256];
    mr_error err = {0};
    mr_store *store;
    const mr_store_options options = {.sync = MR_SYNC_NONE};
    snprintf(path, sizeof path, "%s/out/state", folder);
    assert_int_equal(mr_store_open(path, &options, &store, NULL, &err), MR_OK);
    json_t *seen = inspect_json("summary");
    assert_true(json_is_true(json_object_get(seen, "in_use")));
    assert_int_equal(number(seen, "learned"), 6);
    json_decref(seen);
    assert_int_equal(inspect("verify")->status, MR_EXIT_GOOD);
    assert_int_equal(mr_store_close(store, &err), MR_OK);
}

static void a_flipped_bit_fails_verify_and_names_the_row(void **state)
{
    (void)state;
    char path[256];
    json_t *good = inspect_json("verify");
    assert_true(json_is_true(json_object_get(good, "good")));
    json_decref(good);
    snprintf(path, sizeof path, "%s/out/state/data.mdb", folder);
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    const size_t size = (size_t)ftell(file);
    char *bytes = malloc(size);
    assert_non_null(bytes);
    rewind(file);
    assert_int_equal(fread(bytes, 1, size, file), size);
    // In every copy of the row, the freed pages' too: the key, the envelope's first bytes, then
    // inside.
    for (size_t at = 0; at + 64 < size; at++)
        if (memcmp(bytes + at, "ucleo\xa1u", 7) == 0)
            bytes[at + 5 + 40] ^= 1;
    rewind(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    fclose(file);
    free(bytes);
    const captured *seen = inspect("verify");
    assert_int_equal(seen->status, MR_EXIT_FAILED);
    assert_non_null(strstr(seen->out, "good       no"));
    assert_non_null(strstr(seen->out, "millrace recover --from-log"));
    assert_non_null(strstr(seen->err, "ucleo"));
    assert_null(strstr(seen->err, "inspect verify")); // which is what has just been done
    assert_int_equal(inspect("users")->status, MR_EXIT_FAILED);
    assert_int_equal(inspect("user anna")->status, MR_EXIT_GOOD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_summary_has_the_counters_and_the_state_hash_of_the_replay),
        cmocka_unit_test(a_user_has_recent_items_by_name_the_newest_first),
        cmocka_unit_test(items_stand_by_events_and_as_many_as_asked),
        cmocka_unit_test(users_are_counted),
        cmocka_unit_test(an_item_has_its_neighbours_by_name_and_its_weight),
        cmocka_unit_test(a_row_is_found_by_every_kind_of_key),
        cmocka_unit_test(what_is_not_there_fails_and_what_cannot_be_is_named),
        cmocka_unit_test(a_folder_is_read_while_another_process_has_it),
        cmocka_unit_test(a_flipped_bit_fails_verify_and_names_the_row),
    };
    return cmocka_run_group_tests(tests, make_state, remove_state);
}
