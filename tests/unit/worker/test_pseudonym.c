// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "worker/pseudonym.h"

static char path[64];

static const char *key_of(const void *bytes, size_t size)
{
    snprintf(path, sizeof path, "/tmp/millrace-key-XXXXXX");
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, size), size);
    close(fd);
    return path;
}

// The tag of RFC 4231, test case 2: key "Jefe", too short for us; case 1 has one of 20 bytes.
static void the_name_is_the_tag_of_the_rfc(void **state)
{
    // HMAC-SHA-256(20 x 0b, "Hi There") = b0344c61d8db38535ca8afceaf0bf12b 881dc200...
    static const uint8_t tag[16] = {0xb0, 0x34, 0x4c, 0x61, 0xd8, 0xdb, 0x38, 0x53,
                                    0x5c, 0xa8, 0xaf, 0xce, 0xaf, 0x0b, 0xf1, 0x2b};
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint8_t key[20];
    char name[MR_PSEUDONYM_BYTES];
    mr_pseudonym *p;
    mr_error err;
    (void)state;
    memset(key, 0x0b, sizeof key);
    assert_int_equal(mr_pseudonym_open(key_of(key, sizeof key), &p, &err), MR_OK);
    mr_pseudonym_of(p, mr_bytes_text("Hi There"), name);
    for (uint32_t i = 0; i < MR_PSEUDONYM_BYTES; i++) { // bit by bit
        uint32_t value = 0;
        for (uint32_t b = 6 * i; b < 6 * i + 6; b++)
            value = value << 1 | (b < 128 ? (uint32_t)tag[b / 8] >> (7 - b % 8) & 1u : 0);
        assert_int_equal(name[i], letters[value]);
    }
    mr_pseudonym_close(p);
    unlink(path);
}

static void the_same_id_has_the_same_name_under_the_same_key_alone(void **state)
{
    char a[MR_PSEUDONYM_BYTES], b[MR_PSEUDONYM_BYTES], c[MR_PSEUDONYM_BYTES];
    mr_pseudonym *p, *q;
    mr_error err;
    (void)state;
    assert_int_equal(mr_pseudonym_open(key_of("0123456789abcdef\n", 17), &p, &err), MR_OK);
    unlink(path);
    assert_int_equal(mr_pseudonym_open(key_of("0123456789abcdeg", 16), &q, &err), MR_OK);
    unlink(path);
    mr_pseudonym_of(p, mr_bytes_text("anna"), a);
    mr_pseudonym_of(p, mr_bytes_text("bert"), b);
    assert_memory_not_equal(a, b, sizeof a);
    mr_pseudonym_of(p, mr_bytes_text("anna"), b);
    assert_memory_equal(a, b, sizeof a);
    mr_pseudonym_of(q, mr_bytes_text("anna"), c);
    assert_memory_not_equal(a, c, sizeof a);
    mr_pseudonym_close(p);
    mr_pseudonym_close(q);
}

static void keys_that_are_none_are_refused_without_a_word_of_them(void **state)
{
    static char long_key[MR_PSEUDONYM_KEY_MAX + 2];
    mr_pseudonym *p;
    mr_error err;
    (void)state;
    assert_int_equal(mr_pseudonym_open("/nonexistent/key", &p, &err), MR_FATAL);
    assert_non_null(strstr(err.text, "/nonexistent/key: "));
    assert_int_equal(mr_pseudonym_open(key_of("hunter2\n", 8), &p, &err), MR_FATAL);
    assert_non_null(strstr(err.text, "a key of 7 bytes, want 16 or more"));
    assert_null(strstr(err.text, "hunter2"));
    unlink(path);
    assert_int_equal(mr_pseudonym_open(key_of(long_key, sizeof long_key), &p, &err), MR_FATAL);
    assert_non_null(strstr(err.text, "more than 4096 bytes"));
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_name_is_the_tag_of_the_rfc),
        cmocka_unit_test(the_same_id_has_the_same_name_under_the_same_key_alone),
        cmocka_unit_test(keys_that_are_none_are_refused_without_a_word_of_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
