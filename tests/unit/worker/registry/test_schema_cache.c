// SPDX-License-Identifier: Apache-2.0
// What was kept on disk comes back as it was, or not at all.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <dirent.h>
#include <unistd.h>

#include "worker/registry/cache.h"

typedef struct fixture {
    char folder[64];
    mr_cache *cache;
} fixture;

static mr_cache *open_cache(const fixture *f, const char *registry)
{
    mr_cache *cache;
    mr_error err = {0};
    if (mr_cache_open(f->folder, registry, &cache, &err) != MR_OK)
        fail_msg("%s", err.text);
    return cache;
}

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    strcpy(f->folder, "/tmp/millrace-cache-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    f->cache = open_cache(f, "http://one");
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    char line[128];
    mr_cache_close(f->cache);
    snprintf(line, sizeof line, "rm -r '%s'", f->folder);
    assert_int_equal(system(line), 0);
    free(f);
    return 0;
}

static void put(mr_cache *cache, const char *key, const char *text)
{
    mr_error err = {0};
    if (mr_cache_put(cache, key, text, strlen(text), &err) != MR_OK)
        fail_msg("%s", err.text);
}

static bool has(mr_cache *cache, const char *key, const char *want)
{
    char *text;
    size_t size;
    if (!mr_cache_get(cache, key, &text, &size))
        return false;
    assert_int_equal(size, strlen(want));
    assert_string_equal(text, want);
    free(text);
    return true;
}

// The path of a key's file: there is one registry in the folder.
static void path_of(const fixture *f, const char *key, char path[512])
{
    DIR *folder = opendir(f->folder);
    assert_non_null(folder);
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (entry->d_name[0] != '.')
            snprintf(path, 512, "%s/%s/%s", f->folder, entry->d_name, key);
    }
    closedir(folder);
}

static void what_was_put_is_there_after_a_restart(void **state)
{
    fixture *f = *state;
    assert_false(has(f->cache, "id-17", ""));
    put(f->cache, "id-17", "\"int\"");
    put(f->cache, "id-18", "");
    put(f->cache, "id-17", "\"int\""); // again
    mr_cache_close(f->cache);
    f->cache = open_cache(f, "http://one");
    assert_true(has(f->cache, "id-17", "\"int\""));
    assert_true(has(f->cache, "id-18", ""));
    assert_false(has(f->cache, "id-19", ""));
}

static void the_numbers_of_one_registry_are_not_those_of_another(void **state)
{
    fixture *f = *state;
    mr_cache *other = open_cache(f, "http://two");
    put(f->cache, "id-17", "one");
    assert_false(has(other, "id-17", ""));
    put(other, "id-17", "two");
    assert_true(has(f->cache, "id-17", "one"));
    assert_true(has(other, "id-17", "two"));
    mr_cache_close(other);
}

static void every_damaged_byte_is_found_and_the_file_forgotten(void **state)
{
    fixture *f = *state;
    char path[512], bytes[128];
    put(f->cache, "id-17", "\"int\"");
    path_of(f, "id-17", path);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    const size_t size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    assert_true(size > 5 && size < sizeof bytes);
    for (size_t i = 0; i <= 2 * size; i++) { // a flipped bit, then a cut at each place
        file = fopen(path, "wb");
        assert_non_null(file);
        if (i < size)
            bytes[i] ^= 4;
        assert_int_equal(fwrite(bytes, 1, i < size ? size : 2 * size - i, file),
                         i < size ? size : 2 * size - i);
        fclose(file);
        if (i < size)
            bytes[i] ^= 4;
        if (i == size) { // whole
            assert_true(has(f->cache, "id-17", "\"int\""));
            continue;
        }
        assert_false(has(f->cache, "id-17", ""));
        assert_int_not_equal(access(path, F_OK), 0);
    }
    put(f->cache, "id-17", "\"int\"");
    assert_true(has(f->cache, "id-17", "\"int\""));
}

static void a_file_under_another_name_is_not_believed(void **state)
{
    fixture *f = *state;
    char from[512], to[512];
    put(f->cache, "id-17", "\"int\"");
    path_of(f, "id-17", from);
    path_of(f, "id-18", to);
    assert_int_equal(rename(from, to), 0);
    assert_false(has(f->cache, "id-18", ""));
}

static void what_a_crash_left_half_written_is_removed(void **state)
{
    fixture *f = *state;
    char path[512];
    path_of(f, "new-id-17", path);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    fclose(file);
    mr_cache_close(f->cache);
    f->cache = open_cache(f, "http://one");
    assert_int_not_equal(access(path, F_OK), 0);
}

static void a_full_cache_takes_no_new_key(void **state)
{
    fixture *f = *state;
    mr_error err = {0};
    char path[512], name[32];
    for (int i = 0; i < MR_CACHE_FILES_MAX - 1; i++) { // empty files count
        snprintf(name, sizeof name, "x-%d", i);
        path_of(f, name, path);
        FILE *file = fopen(path, "wb");
        assert_non_null(file);
        fclose(file);
    }
    mr_cache_close(f->cache);
    f->cache = open_cache(f, "http://one");
    put(f->cache, "id-17", "a");
    assert_int_equal(mr_cache_put(f->cache, "id-18", "b", 1, &err), MR_REJECT);
    put(f->cache, "id-17", "a");
    assert_true(has(f->cache, "id-17", "a"));
}

static void a_text_that_is_too_long_is_not_kept(void **state)
{
    fixture *f = *state;
    mr_error err = {0};
    char *text = malloc(MR_CACHE_TEXT_MAX + 2), *back;
    size_t size;
    assert_non_null(text);
    memset(text, 'a', MR_CACHE_TEXT_MAX + 1);
    assert_int_equal(mr_cache_put(f->cache, "id-1", text, MR_CACHE_TEXT_MAX + 1, &err), MR_REJECT);
    assert_int_equal(mr_cache_put(f->cache, "id-1", text, MR_CACHE_TEXT_MAX, &err), MR_OK);
    assert_true(mr_cache_get(f->cache, "id-1", &back, &size));
    assert_int_equal(size, MR_CACHE_TEXT_MAX);
    assert_memory_equal(back, text, size);
    free(back);
    free(text);
}

static void a_folder_that_cannot_be_made_is_said(void **state)
{
    fixture *f = *state;
    mr_cache *cache;
    mr_error err = {0};
    char path[512];
    path_of(f, "a/b", path);
    assert_int_equal(mr_cache_open(path, "http://one", &cache, &err), MR_FATAL);
    assert_non_null(strstr(err.text, "/a/b: No such file or directory"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_was_put_is_there_after_a_restart),
        TEST(the_numbers_of_one_registry_are_not_those_of_another),
        TEST(every_damaged_byte_is_found_and_the_file_forgotten),
        TEST(a_file_under_another_name_is_not_believed),
        TEST(what_a_crash_left_half_written_is_removed),
        TEST(a_full_cache_takes_no_new_key),
        TEST(a_text_that_is_too_long_is_not_kept),
        TEST(a_folder_that_cannot_be_made_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
