// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "state/row.h"

static const mr_bytes key = {(const uint8_t *)"u/anna", 6};

static uint32_t seal(const char *payload, uint8_t *out)
{
    const mr_row row = {.kind = 3, .flags = 1, .version = 7, .payload = mr_bytes_text(payload)};
    return mr_row_seal(key, &row, out);
}

static void a_sealed_row_opens_to_what_was_sealed(void **state)
{
    (void)state;
    uint8_t bytes[64];
    mr_error err;
    mr_row row;
    const uint32_t size = seal("twelve bytes", bytes);
    assert_int_equal(size, MR_ROW_HEADER_BYTES + 12);
    assert_int_equal(mr_row_open(key, mr_bytes_of(bytes, size), &row, &err), MR_OK);
    assert_int_equal(row.kind, 3);
    assert_int_equal(row.flags, 1);
    assert_int_equal(row.version, 7);
    assert_true(mr_bytes_equal(row.payload, mr_bytes_text("twelve bytes")));
    assert_true(mr_row_is_sealed(key, mr_bytes_of(bytes, size)));
}

static void the_header_is_the_documented_bytes(void **state)
{
    (void)state;
    // Of FORMAT.md: these bytes stand in changelogs, so they never change under this format number.
    static const uint8_t expected[] = {0xa1, 3,    1,    7,    2,    0,    0,    0,   0x12,
                                       0x6a, 0x72, 0xd2, 0xbd, 0x3e, 0x8d, 0xf7, 'h', 'i'};
    uint8_t bytes[64];
    assert_int_equal(seal("hi", bytes), sizeof expected);
    assert_memory_equal(bytes, expected, sizeof expected);
}

static void an_empty_payload_and_the_largest_are_rows(void **state)
{
    (void)state;
    uint8_t *bytes = malloc(MR_ROW_BYTES_MAX);
    mr_error err;
    mr_row row = {0};
    assert_int_equal(mr_row_seal(key, &row, bytes), MR_ROW_HEADER_BYTES);
    assert_int_equal(mr_row_open(key, mr_bytes_of(bytes, MR_ROW_HEADER_BYTES), &row, &err), MR_OK);
    assert_int_equal(row.payload.size, 0);
    memset(bytes, 0x5a, MR_ROW_BYTES_MAX);
    row.payload = mr_bytes_of(bytes + MR_ROW_HEADER_BYTES, MR_ROW_PAYLOAD_MAX); // already in place
    assert_int_equal(mr_row_seal(key, &row, bytes), MR_ROW_BYTES_MAX);
    assert_int_equal(mr_row_open(key, mr_bytes_of(bytes, MR_ROW_BYTES_MAX), &row, &err), MR_OK);
    assert_int_equal(row.payload.size, MR_ROW_PAYLOAD_MAX);
    assert_int_equal(row.payload.data[MR_ROW_PAYLOAD_MAX - 1], 0x5a);
    free(bytes);
}

static void every_flipped_bit_of_header_payload_and_key_is_found(void **state)
{
    (void)state;
    uint8_t bytes[64], name[6];
    mr_error err;
    mr_row row;
    const uint32_t size = seal("twelve bytes", bytes);
    for (uint32_t bit = 0; bit < size * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(mr_row_open(key, mr_bytes_of(bytes, size), &row, &err), MR_FATAL);
        assert_non_null(strstr(err.text, "u/anna"));
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (uint32_t bit = 0; bit < sizeof name * 8; bit++) {
        memcpy(name, key.data, sizeof name);
        name[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_false(mr_row_is_sealed(mr_bytes_of(name, sizeof name), mr_bytes_of(bytes, size)));
    }
    assert_true(mr_row_is_sealed(key, mr_bytes_of(bytes, size)));
}

static void a_row_cut_anywhere_or_too_long_is_refused(void **state)
{
    (void)state;
    uint8_t bytes[65] = {0};
    mr_error err;
    mr_row row;
    const uint32_t size = seal("twelve bytes", bytes);
    for (uint32_t cut = 0; cut < size; cut++)
        assert_int_equal(mr_row_open(key, mr_bytes_of(bytes, cut), &row, &err), MR_FATAL);
    assert_int_equal(mr_row_open(key, mr_bytes_of(bytes, size + 1), &row, &err), MR_FATAL);
    assert_non_null(strstr(err.text, "12 bytes of payload, there are 13"));
}

static void another_format_is_named(void **state)
{
    (void)state;
    uint8_t bytes[64];
    mr_error err;
    mr_row row;
    const uint32_t size = seal("x", bytes);
    bytes[0] = 0xa2;
    assert_int_equal(mr_row_open(key, mr_bytes_of(bytes, size), &row, &err), MR_FATAL);
    assert_non_null(strstr(err.text, "format 0xa2, this release reads 0xa1"));
}

static void a_key_prints_within_its_room(void **state)
{
    (void)state;
    char text[16];
    assert_string_equal(mr_row_print_key(mr_bytes_text("twelve-bytes"), text, sizeof text),
                        "twelve-bytes");
    assert_string_equal(mr_row_print_key(mr_bytes_text("thirteen-bytes"), text, sizeof text),
                        "thirteen-byt...");
    assert_string_equal(mr_row_print_key(mr_bytes_text("a \x01\\"), text, sizeof text),
                        "a\\x20\\x01...");
    assert_string_equal(mr_row_print_key(mr_bytes_of("", 0), text, sizeof text), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sealed_row_opens_to_what_was_sealed),
        cmocka_unit_test(the_header_is_the_documented_bytes),
        cmocka_unit_test(an_empty_payload_and_the_largest_are_rows),
        cmocka_unit_test(every_flipped_bit_of_header_payload_and_key_is_found),
        cmocka_unit_test(a_row_cut_anywhere_or_too_long_is_refused),
        cmocka_unit_test(another_format_is_named),
        cmocka_unit_test(a_key_prints_within_its_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
