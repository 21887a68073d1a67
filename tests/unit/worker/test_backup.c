// SPDX-License-Identifier: Apache-2.0
// Backups of the state that a replay leaves: taken, refused, put in place.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <sys/stat.h>

#include "state/folder.h"
#include "tests/unit/worker/capture.h"
#include "worker/backup.h"
#include "worker/command.h"
#include "worker/marker.h"
#include "worker/rewrite.h"

static char base[128];

static const char events[] = "timestamp_ms,user,item,type\n"
                             "1700000000000,anna,apple,click\n"
                             "1700000001000,anna,pear,click\n"
                             "1700000002000,ben,apple,click\n";

static void shell(const char *line)
{
    char text[512];
    snprintf(text, sizeof text, "cd '%s' && %s", base, line);
    assert_int_equal(system(text), 0);
}

static void run_well(int (*command)(int argc, char **argv), const char *line)
{
    const captured *seen = capture(command, line);
    if (seen->status != MR_EXIT_GOOD)
        fail_msg("%s: status %d\n%s", line, seen->status, seen->err);
}

// Each test has a state of its own in BASE/out/state.
static int setup(void **state)
{
    char line[512];
    const char *tmp = getenv("TMPDIR");
    (void)state;
    snprintf(base, sizeof base, "%.100s/backup-XXXXXX", tmp != NULL ? tmp : "/tmp");
    if (mkdtemp(base) == NULL)
        return -1;
    snprintf(line, sizeof line, "%s/events.csv", base);
    FILE *file = fopen(line, "w");
    if (file == NULL)
        return -1;
    fputs(events, file);
    fclose(file);
    snprintf(line, sizeof line,
             "replay --no-metrics --set replay.tasks=2 --set items.max=1000 --out %s/out "
             "%s/events.csv",
             base, base);
    return capture(mr_command_replay, line)->status;
}

static int teardown(void **state)
{
    (void)state;
    char line[256];
    snprintf(line, sizeof line, "rm -r '%s'", base);
    return system(line);
}

static const captured *backup_of(const char *app, const char *out)
{
    char line[512];
    snprintf(line, sizeof line, "backup --set state.path=%s/out/state --set app=%s --out %s/%s",
             base, app, base, out);
    return capture(mr_command_backup, line);
}

static const captured *restore_of(const char *app, const char *from, const char *to,
                                  const char *more)
{
    char line[512];
    snprintf(line, sizeof line,
             "restore --offline --set state.path=%s/%s --set app=%s --from %s/%s%s", base, to, app,
             base, from, more);
    return capture(mr_command_restore, line);
}

static mr_backup_about look(const char *folder)
{
    mr_backup_about about;
    mr_error err = {0};
    char path[256];
    snprintf(path, sizeof path, "%s/%s", base, folder);
    if (mr_backup_look(path, &about, &err) != MR_OK)
        fail_msg("%s", err.text);
    return about;
}

static bool is_there(const char *name)
{
    char path[256];
    struct stat about;
    snprintf(path, sizeof path, "%s/%s", base, name);
    return stat(path, &about) == 0;
}

static void refused(const captured *seen, const char *text)
{
    assert_int_equal(seen->status, MR_EXIT_FAILED);
    if (strstr(seen->err, text) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", seen->err, text);
}

static void a_backup_is_a_clean_state_folder_with_the_same_hash(void **state)
{
    (void)state;
    char path[256];
    mr_place_note note;
    const captured *seen = backup_of("shop", "copy");
    assert_int_equal(seen->status, MR_EXIT_GOOD);
    assert_non_null(strstr(seen->out, "app         shop"));
    const mr_backup_about was = look("out/state"), is = look("copy");
    assert_string_equal(is.app, "shop");
    assert_int_equal(is.tasks_here, 2);
    assert_true(is.rows > 0 && is.rows == was.rows && is.seq == was.seq);
    assert_memory_equal(&is.state_hash, &was.state_hash, sizeof is.state_hash);
    assert_memory_equal(&is.identity, &was.identity, sizeof is.identity);
    snprintf(path, sizeof path, "%s/copy", base);
    mr_place_read_note(path, &note);
    assert_true(note.present && note.clean);
    assert_false(is_there("copy.partial"));
    snprintf(path, sizeof path, "inspect %s/copy verify", base);
    run_well(mr_command_inspect, path);
}

static void a_backup_is_put_into_an_empty_place(void **state)
{
    (void)state;
    assert_int_equal(backup_of("shop", "copy")->status, MR_EXIT_GOOD);
    const captured *seen = restore_of("shop", "copy", "new/place", "");
    assert_int_equal(seen->status, MR_EXIT_GOOD);
    const mr_backup_about was = look("copy"), is = look("new/place");
    assert_memory_equal(&is.state_hash, &was.state_hash, sizeof is.state_hash);
    assert_true(is_there("copy/data.mdb")); // and stays
    shell("test \"$(ls new/place | tr '\\n' ' ')\" = 'data.mdb lock.mdb owner '");
}

static void a_folder_copied_by_hand_is_as_good_as_a_backup(void **state)
{
    (void)state;
    shell("mkdir hand && cp out/state/data.mdb hand/");
    assert_int_equal(restore_of("shop", "hand", "place", "")->status, MR_EXIT_GOOD);
    assert_int_equal(look("place").tasks_here, 2);
}

static void a_state_is_replaced_by_force_only(void **state)
{
    (void)state;
    assert_int_equal(backup_of("shop", "copy")->status, MR_EXIT_GOOD);
    refused(restore_of("shop", "copy", "out/state", ""),
            "holds a state of this history already, up to commit ");
    shell("mkdir junk && echo no > junk/data.mdb");
    refused(restore_of("shop", "copy", "junk", ""), "holds something already; --force replaces it");
    assert_int_equal(restore_of("shop", "copy", "junk", " --force")->status, MR_EXIT_GOOD);
    assert_int_equal(look("junk").tasks_here, 2);
}

static void a_state_in_use_is_not_replaced(void **state)
{
    (void)state;
    char path[256];
    mr_error err = {0};
    mr_store *store;
    assert_int_equal(backup_of("shop", "copy")->status, MR_EXIT_GOOD);
    snprintf(path, sizeof path, "%s/out/state", base);
    assert_int_equal(mr_store_open(path, &(mr_store_options){0}, &store, NULL, &err), MR_OK);
    refused(restore_of("shop", "copy", "out/state", " --force"), "is in use");
    assert_int_equal(backup_of("shop", "beside")->status, MR_EXIT_GOOD); // but copied it can be
    assert_int_equal(mr_store_close(store, &err), MR_OK);
}

static void the_backup_of_another_application_or_cluster_is_refused(void **state)
{
    (void)state;
    char from[256], to[256], note[1024];
    mr_error err = {0};
    mr_backup_about about;
    mr_store *store;
    const mr_store_identity identity = {
        .history = {look("out/state").identity.history[0], look("out/state").identity.history[1]},
        .cluster = "theirs"};
    assert_int_equal(backup_of("shop", "copy")->status, MR_EXIT_GOOD);
    refused(restore_of("news", "copy", "place", ""),
            "is of the application 'shop', the configuration is of 'news'");
    assert_false(is_there("place"));

    snprintf(from, sizeof from, "%s/copy", base);
    snprintf(to, sizeof to, "%s/place", base);
    assert_int_equal(mr_store_open(from, &(mr_store_options){0}, &store, NULL, &err), MR_OK);
    assert_int_equal(mr_store_identify(store, &identity, &err), MR_OK);
    assert_int_equal(mr_store_close(store, &err), MR_OK);
    mr_backup_options options = {
        .from = from, .to = to, .app = "shop", .cluster = "ours", .limit_ms = 60000};
    assert_int_equal(mr_backup_restore(&options, &about, &err), MR_FATAL);
    snprintf(note, sizeof note, "%s", err.text);
    assert_non_null(strstr(note, "is of the cluster theirs, the brokers are of ours"));
    assert_false(is_there("place"));
    options.cluster = "theirs";
    assert_int_equal(mr_backup_restore(&options, &about, &err), MR_OK);
    options.cluster = "ours";
    options.force = true;
    assert_int_equal(mr_backup_restore(&options, &about, &err), MR_OK);
}

// Flips a bit inside every copy of a row of the user.
static void damage(const char *file)
{
    char path[256];
    uint32_t places = 0;
    snprintf(path, sizeof path, "%s/%s", base, file);
    FILE *data = fopen(path, "r+");
    assert_non_null(data);
    fseek(data, 0, SEEK_END);
    const size_t size = (size_t)ftell(data);
    char *bytes = malloc(size);
    assert_non_null(bytes);
    rewind(data);
    assert_int_equal(fread(bytes, 1, size, data), size);
    for (size_t at = 0; at + 64 < size; at++)
        if (memcmp(bytes + at, "uanna\xa1u", 7) == 0) {
            bytes[at + 5 + 40] ^= 1;
            places++;
        }
    rewind(data);
    assert_int_equal(fwrite(bytes, 1, size, data), size);
    fclose(data);
    free(bytes);
    assert_true(places > 0);
}

static void a_damaged_row_is_found_before_a_backup_or_a_state_is_there(void **state)
{
    (void)state;
    assert_int_equal(backup_of("shop", "copy")->status, MR_EXIT_GOOD);
    damage("copy/data.mdb");
    refused(restore_of("shop", "copy", "place", ""), "uanna");
    shell("test -z \"$(ls place)\"");
    const mr_backup_about was = look("out/state");
    refused(restore_of("shop", "copy", "out/state", " --force"), "checksum");
    const mr_backup_about is = look("out/state");
    assert_memory_equal(&is.state_hash, &was.state_hash, sizeof is.state_hash);
    damage("out/state/data.mdb");
    refused(backup_of("shop", "second"), "uanna");
    shell("test -z \"$(ls | grep second)\"");
}

static void what_cannot_be_a_base_is_no_backup(void **state)
{
    (void)state;
    char path[256];
    mr_error err = {0};
    mr_store *store;
    snprintf(path, sizeof path, "%s/out/state", base);
    // A rewrite of the changelogs that was begun and not ended.
    mr_store_part part = {.task = 0, .offsets = {MR_REWRITE_PENDING, MR_REWRITE_PENDING}};
    const mr_store_batch batch = {&part, 1};
    assert_int_equal(mr_store_open(path, &(mr_store_options){0}, &store, NULL, &err), MR_OK);
    assert_int_equal(mr_store_write(store, &batch, &err), MR_OK);
    refused(backup_of("shop", "one"), "the changelogs were being written from this state");
    // Of another history than its markers, as while tasks are taken.
    const mr_store_identity other = {.history = {1, 2}};
    part.offsets[0] = part.offsets[1] = 7;
    assert_int_equal(mr_store_write(store, &batch, &err), MR_OK);
    assert_int_equal(mr_store_identify(store, &other, &err), MR_OK);
    refused(backup_of("shop", "two"), "is just being restored");
    for (uint32_t task = 0; task < 2; task++)
        assert_int_equal(mr_store_task_drop(store, task, &err), MR_OK);
    refused(backup_of("shop", "three"), "no commit is in it yet");
    assert_int_equal(mr_store_close(store, &err), MR_OK);
    shell("rm -r out/state && mkdir out/state");
    refused(backup_of("shop", "four"), "there is no state in it");
    shell("test \"$(ls | tr '\\n' ' ')\" = 'events.csv out '");
}

static void what_is_given_wrongly_is_said(void **state)
{
    (void)state;
    shell("mkdir full && touch full/file && mkdir empty");
    refused(backup_of("shop", "full"), "is there and not empty");
    assert_int_equal(backup_of("shop", "empty/")->status, MR_EXIT_GOOD);
    assert_true(is_there("empty/data.mdb"));
    refused(restore_of("shop", "full", "place", ""), "there is no backup in it");
    assert_int_equal(capture(mr_command_backup, "backup")->status, MR_EXIT_USAGE);
    assert_int_equal(capture(mr_command_restore, "restore")->status, MR_EXIT_USAGE);
    assert_int_equal(capture(mr_command_backup, "backup --out x --time-limit 0")->status,
                     MR_EXIT_USAGE);
    assert_int_equal(capture(mr_command_backup, "backup --out x --time-limit soon")->status,
                     MR_EXIT_USAGE);
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        test(a_backup_is_a_clean_state_folder_with_the_same_hash),
        test(a_backup_is_put_into_an_empty_place),
        test(a_folder_copied_by_hand_is_as_good_as_a_backup),
        test(a_state_is_replaced_by_force_only),
        test(a_state_in_use_is_not_replaced),
        test(the_backup_of_another_application_or_cluster_is_refused),
        test(a_damaged_row_is_found_before_a_backup_or_a_state_is_there),
        test(what_cannot_be_a_base_is_no_backup),
        test(what_is_given_wrongly_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
