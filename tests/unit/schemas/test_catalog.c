// SPDX-License-Identifier: Apache-2.0
#include "kit.h"

#include <stdio.h>
#include <unistd.h>

#include "schemas/builtin.h"
#include "schemas/catalog.h"

static const mr_mapping click = {.kind = MR_EVENT_CLICK};
static const char foreign[] =
    "{\"type\":\"record\",\"name\":\"Foreign\",\"fields\":[{\"name\":\"user\",\"type\":\"string\"},"
    "{\"name\":\"item\",\"type\":\"string\"}]}";

// A new directory in the place for temporary files; removed by drop_directory.
static void make_directory(char *path)
{
    strcpy(path, "/tmp/millrace-catalog-XXXXXX");
    assert_non_null(mkdtemp(path));
}

static void write_file(const char *directory, const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void drop_directory(const char *directory, const char *const *names)
{
    char path[512];
    for (; *names != NULL; names++) {
        snprintf(path, sizeof path, "%s/%s", directory, *names);
        unlink(path);
    }
    assert_int_equal(rmdir(directory), 0);
}

static mr_catalog *open_catalog(const char *directory)
{
    mr_catalog *catalog;
    mr_error err;
    if (mr_catalog_open(directory, &catalog, &err) != MR_OK)
        fail_msg("%s", err.text);
    return catalog;
}

static void our_own_schemas_are_known_by_fingerprint_and_name(void **state)
{
    (void)state;
    mr_catalog *catalog = open_catalog(NULL);
    const mr_catalog_schema *own = mr_catalog_find(catalog, "click");
    const mr_plan *plan;
    mr_error err;
    uint32_t handle;
    assert_non_null(own);
    assert_true(own->is_ours);
    assert_int_equal(mr_catalog_map(catalog, &click, &handle, &err), MR_OK);
    mr_frame frame = {.names = MR_FRAME_NAMES_FINGERPRINT, .fingerprint = own->fingerprint};
    assert_int_equal(mr_catalog_plan(catalog, &frame, NULL, handle, &plan, &err), MR_OK);
    frame.names = MR_FRAME_NAMES_NOTHING;
    const mr_plan *same;
    assert_int_equal(mr_catalog_plan(catalog, &frame, "click", handle, &same, &err), MR_OK);
    assert_ptr_equal(plan, same);
    assert_string_equal(mr_plan_source(plan, MR_FIELD_user), "user");
    mr_catalog_close(catalog);
}

static void each_event_kind_has_a_schema_and_all_of_them_are_listed(void **state)
{
    (void)state;
    mr_catalog *catalog = open_catalog(NULL);
    uint32_t count = 0;
    for (; mr_catalog_at(catalog, count) != NULL; count++)
        assert_string_equal(mr_catalog_at(catalog, count)->name, mr_builtin_at(count)->name);
    assert_int_equal(count, 13);
    for (uint32_t kind = 0; kind < MR_EVENT_KIND_COUNT; kind++)
        assert_non_null(mr_builtin_of_event((mr_event_kind)kind));
    assert_null(mr_catalog_find(catalog, "nothing"));
    mr_catalog_close(catalog);
}

static void files_are_known_by_id_guid_fingerprint_and_name(void **state)
{
    (void)state;
    char directory[64];
    mr_error err;
    uint32_t handle;
    const mr_plan *plan;
    static const char guid_file[] = "41424344-4546-4748-494A-4b4c4d4e4f50.avsc";
    make_directory(directory);
    write_file(directory, "17.avsc", foreign);
    write_file(directory, guid_file, "\"int\"");
    write_file(directory, "click.avsc", foreign);
    write_file(directory, "README", "not a schema");
    mr_catalog *catalog = open_catalog(directory);
    assert_int_equal(mr_catalog_map(catalog, &click, &handle, &err), MR_OK);

    mr_frame frame = {.names = MR_FRAME_NAMES_ID, .id = 17};
    assert_int_equal(mr_catalog_plan(catalog, &frame, NULL, handle, &plan, &err), MR_OK);
    frame.id = 18;
    assert_int_equal(mr_catalog_plan(catalog, &frame, NULL, handle, &plan, &err), MR_REJECT);
    assert_int_equal(err.cause, MR_CAUSE_unknown_schema);
    assert_contains(err.text, "schema id 18");

    frame.names = MR_FRAME_NAMES_GUID;
    memcpy(frame.guid, "ABCDEFGHIJKLMNOP", 16);
    for (int i = 0; i < 2; i++) { // known, but it cannot be a click; the second answer is kept
        assert_int_equal(mr_catalog_plan(catalog, &frame, NULL, handle, &plan, &err), MR_REJECT);
        assert_int_equal(err.cause, MR_CAUSE_unsuitable_schema);
        assert_contains(err.text, "schema '41424344-");
    }
    frame.guid[15] = 'X';
    assert_int_equal(mr_catalog_plan(catalog, &frame, NULL, handle, &plan, &err), MR_REJECT);
    assert_int_equal(err.cause, MR_CAUSE_unknown_schema);

    frame = (mr_frame){.names = MR_FRAME_NAMES_FINGERPRINT,
                       .fingerprint = mr_catalog_find(catalog, "17")->fingerprint};
    assert_int_equal(mr_catalog_plan(catalog, &frame, NULL, handle, &plan, &err), MR_OK);
    frame.fingerprint++;
    assert_int_equal(mr_catalog_plan(catalog, &frame, NULL, handle, &plan, &err), MR_REJECT);
    assert_int_equal(err.cause, MR_CAUSE_unknown_schema);

    assert_false(mr_catalog_find(catalog, "click")->is_ours);
    frame.names = MR_FRAME_NAMES_NOTHING;
    assert_int_equal(mr_catalog_plan(catalog, &frame, "click", handle, &plan, &err), MR_OK);
    assert_int_equal(mr_catalog_plan(catalog, &frame, NULL, handle, &plan, &err), MR_REJECT);
    assert_int_equal(err.cause, MR_CAUSE_unknown_schema);
    mr_catalog_close(catalog);
    drop_directory(directory,
                   (const char *const[]){"17.avsc", guid_file, "click.avsc", "README", NULL});
}

static void a_file_that_is_no_schema_stops_the_start_and_is_named(void **state)
{
    (void)state;
    char directory[64];
    mr_catalog *catalog;
    mr_error err;
    make_directory(directory);
    write_file(directory, "a.avsc",
               "{\"type\":\"record\",\"name\":\"R\",\"fields\":[\n{\"name\":\"x\","
               "\"type\":\"lnog\"}]}");
    assert_int_equal(mr_catalog_open(directory, &catalog, &err), MR_FATAL);
    assert_contains(err.text, "a.avsc");
    assert_contains(err.text, "at 'R.x': unknown type 'lnog'");
    drop_directory(directory, (const char *const[]){"a.avsc", NULL});
    assert_int_equal(mr_catalog_open(directory, &catalog, &err), MR_FATAL);
    assert_contains(err.text, "No such file");
}

static void equal_mappings_share_a_handle(void **state)
{
    (void)state;
    mr_catalog *catalog = open_catalog(NULL);
    const mr_mapping same = {.kind = MR_EVENT_CLICK}, other = {.kind = MR_EVENT_CART};
    uint32_t a, b, c;
    mr_error err;
    assert_int_equal(mr_catalog_map(catalog, &click, &a, &err), MR_OK);
    assert_int_equal(mr_catalog_map(catalog, &other, &b, &err), MR_OK);
    assert_int_equal(mr_catalog_map(catalog, &same, &c, &err), MR_OK);
    assert_int_equal(a, c);
    assert_int_not_equal(a, b);
    mr_catalog_close(catalog);
}

// ---- what a finder knows

typedef struct knowing {
    mr_status says;
    uint32_t asked;
    const char *text;
} knowing;

static mr_status find(void *context, const mr_frame *frame, char **text, size_t *text_bytes,
                      mr_error *err)
{
    knowing *k = context;
    assert_true(frame->names == MR_FRAME_NAMES_ID || frame->names == MR_FRAME_NAMES_GUID);
    k->asked++;
    if (k->says != MR_OK)
        return k->says == MR_REJECT ? mr_reject(err, MR_CAUSE_unknown_schema, "none")
                                    : mr_fail(err, k->says, "later");
    *text = strdup(k->text);
    *text_bytes = strlen(k->text);
    return MR_OK;
}

static void what_no_file_has_is_asked_of_the_finder_until_it_is_known(void **state)
{
    (void)state;
    mr_catalog *catalog = open_catalog(NULL);
    knowing k = {.says = MR_RETRY, .text = foreign};
    const mr_schema_finder finder = {&k, find};
    const mr_frame by_id = {.names = MR_FRAME_NAMES_ID, .id = 17},
                   by_guid = {.names = MR_FRAME_NAMES_GUID, .guid = {1, 2, 3}};
    const mr_plan *plan, *same;
    mr_error err;
    uint32_t handle;
    assert_int_equal(mr_catalog_map(catalog, &click, &handle, &err), MR_OK);
    assert_int_equal(mr_catalog_plan(catalog, &by_id, NULL, handle, &plan, &err), MR_REJECT);
    mr_catalog_ask(catalog, &finder);
    assert_int_equal(mr_catalog_plan(catalog, &by_id, NULL, handle, &plan, &err), MR_RETRY);
    k.says = MR_REJECT;
    assert_int_equal(mr_catalog_plan(catalog, &by_id, NULL, handle, &plan, &err), MR_REJECT);
    k.says = MR_OK;
    assert_int_equal(mr_catalog_plan(catalog, &by_id, NULL, handle, &plan, &err), MR_OK);
    assert_int_equal(mr_catalog_plan(catalog, &by_id, NULL, handle, &same, &err), MR_OK);
    assert_ptr_equal(plan, same);
    assert_int_equal(k.asked, 3);
    assert_int_equal(mr_catalog_plan(catalog, &by_guid, NULL, handle, &plan, &err), MR_OK);
    assert_int_equal(k.asked, 4);
    mr_catalog_close(catalog);
}

static void what_was_found_is_not_known_by_its_fingerprint(void **state)
{
    (void)state;
    mr_catalog *catalog = open_catalog(NULL);
    const mr_catalog_schema *own = mr_catalog_find(catalog, "click");
    knowing k = {.text = foreign};
    const mr_schema_finder finder = {&k, find};
    mr_frame frame = {.names = MR_FRAME_NAMES_ID, .id = 17};
    const mr_plan *plan, *before, *after;
    mr_error err;
    uint32_t handle, last = 0;
    assert_int_equal(mr_catalog_map(catalog, &click, &handle, &err), MR_OK);
    mr_catalog_ask(catalog, &finder);
    assert_int_equal(mr_catalog_plan(catalog, &frame, NULL, handle, &plan, &err), MR_OK);
    while (mr_catalog_at(catalog, last + 1) != NULL)
        last++;
    assert_string_equal(mr_catalog_at(catalog, last)->text, foreign);
    frame = (mr_frame){.names = MR_FRAME_NAMES_FINGERPRINT,
                       .fingerprint = mr_catalog_at(catalog, last)->fingerprint};
    assert_int_equal(mr_catalog_plan(catalog, &frame, NULL, handle, &plan, &err), MR_REJECT);
    // One of ours, by id, does not take the place of ours.
    frame = (mr_frame){.names = MR_FRAME_NAMES_FINGERPRINT, .fingerprint = own->fingerprint};
    assert_int_equal(mr_catalog_plan(catalog, &frame, NULL, handle, &before, &err), MR_OK);
    k.text = own->text;
    const mr_frame again = {.names = MR_FRAME_NAMES_ID, .id = 18};
    assert_int_equal(mr_catalog_plan(catalog, &again, NULL, handle, &plan, &err), MR_OK);
    assert_int_equal(mr_catalog_plan(catalog, &frame, NULL, handle, &after, &err), MR_OK);
    assert_ptr_equal(before, after);
    assert_ptr_not_equal(plan, after);
    mr_catalog_close(catalog);
}

static void what_was_found_and_is_no_schema_is_refused_and_not_asked_for_again(void **state)
{
    (void)state;
    mr_catalog *catalog = open_catalog(NULL);
    knowing k = {.text = "{\"type\":\"recrd\"}"};
    const mr_schema_finder finder = {&k, find};
    const mr_frame frame = {.names = MR_FRAME_NAMES_ID, .id = 17};
    const mr_plan *plan;
    mr_error err;
    uint32_t handle;
    assert_int_equal(mr_catalog_map(catalog, &click, &handle, &err), MR_OK);
    mr_catalog_ask(catalog, &finder);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(mr_catalog_plan(catalog, &frame, NULL, handle, &plan, &err), MR_REJECT);
        assert_int_equal(err.cause, MR_CAUSE_unsuitable_schema);
    }
    assert_int_equal(k.asked, 1);
    mr_catalog_close(catalog);
}

static void a_full_catalog_refuses_what_it_cannot_take(void **state)
{
    (void)state;
    mr_catalog *catalog = open_catalog(NULL);
    knowing k = {.text = foreign};
    const mr_schema_finder finder = {&k, find};
    mr_frame frame = {.names = MR_FRAME_NAMES_ID};
    const mr_plan *plan;
    mr_error err;
    uint32_t handle, ours = 0;
    while (mr_catalog_at(catalog, ours) != NULL)
        ours++;
    assert_int_equal(mr_catalog_map(catalog, &click, &handle, &err), MR_OK);
    mr_catalog_ask(catalog, &finder);
    for (; frame.id < MR_CATALOG_SCHEMAS_MAX - ours; frame.id++)
        assert_int_equal(mr_catalog_plan(catalog, &frame, NULL, handle, &plan, &err), MR_OK);
    assert_int_equal(mr_catalog_plan(catalog, &frame, NULL, handle, &plan, &err), MR_REJECT);
    assert_int_equal(err.cause, MR_CAUSE_unknown_schema);
    frame.id = 0;
    assert_int_equal(mr_catalog_plan(catalog, &frame, NULL, handle, &plan, &err), MR_OK);
    mr_catalog_close(catalog);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(our_own_schemas_are_known_by_fingerprint_and_name),
        cmocka_unit_test(each_event_kind_has_a_schema_and_all_of_them_are_listed),
        cmocka_unit_test(files_are_known_by_id_guid_fingerprint_and_name),
        cmocka_unit_test(a_file_that_is_no_schema_stops_the_start_and_is_named),
        cmocka_unit_test(equal_mappings_share_a_handle),
        cmocka_unit_test(what_no_file_has_is_asked_of_the_finder_until_it_is_known),
        cmocka_unit_test(what_was_found_is_not_known_by_its_fingerprint),
        cmocka_unit_test(what_was_found_and_is_no_schema_is_refused_and_not_asked_for_again),
        cmocka_unit_test(a_full_catalog_refuses_what_it_cannot_take),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
