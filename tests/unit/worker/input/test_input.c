// SPDX-License-Identifier: Apache-2.0
// Events from files: containers of every codec that another implementation wrote, CSV in its odd
// forms, compressed and cut off.
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "worker/input/table.h"
#include "worker/input/input.h"

static char temporary[64];

static int make_temporary(void **state)
{
    (void)state;
    strcpy(temporary, "/tmp/millrace-input-XXXXXX");
    const int fd = mkstemp(temporary);
    return fd < 0 || close(fd) != 0;
}

static int drop_temporary(void **state)
{
    (void)state;
    return unlink(temporary);
}

static void write_bytes(const void *bytes, size_t size)
{
    FILE *file = fopen(temporary, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static void write_text(const char *text)
{
    write_bytes(text, strlen(text));
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

static mr_input *open_input(const char *path, const mr_mapping *mapping)
{
    mr_input *input;
    mr_error err;
    if (mr_input_open(path, mapping, &input, &err) != MR_OK)
        fail_msg("%s", err.text);
    return input;
}

static bool next(mr_input *input, mr_event *event)
{
    mr_error err;
    bool more;
    if (mr_input_next(input, event, &more, &err) != MR_OK)
        fail_msg("%s", err.text);
    return more;
}

// Opens, and reads on to the first failure, whose status and text it gives.
static mr_status first_failure(const char *path, const mr_mapping *mapping, mr_error *err)
{
    mr_input *input;
    mr_event event;
    bool more = true;
    MR_TRY(mr_input_open(path, mapping, &input, err));
    mr_status status = MR_OK;
    while (more && status == MR_OK)
        status = mr_input_next(input, &event, &more, err);
    mr_input_close(input);
    return status;
}

static void check_clicks(mr_input *input)
{
    mr_event event;
    for (int i = 0; i < 7; i++) {
        char user[16], id[16];
        assert_true(next(input, &event));
        snprintf(user, sizeof user, "u%d", i % 3);
        snprintf(id, sizeof id, "e%d", i);
        assert_int_equal(event.kind, MR_EVENT_CLICK);
        assert_text(event.user, user);
        assert_text(event.event_id, id);
        assert_int_equal(event.time_ms, 1700000000000 + 1000 * i);
        assert_int_equal(event.position, i);
        assert_int_equal(mr_event_has(&event, MR_FIELD_session), i % 2 == 0);
        assert_int_equal(event.context[0].value.size, 100);
    }
    assert_false(next(input, &event));
    assert_false(next(input, &event)); // the end stays the end
    mr_input_close(input);
}

static void containers_of_every_codec_are_read(void **state)
{
    (void)state;
    static const char *const codecs[] = {"null", "deflate", "snappy", "zstandard", "bzip2", "xz"};
    for (size_t i = 0; i < sizeof codecs / sizeof *codecs; i++) {
        char path[64];
        snprintf(path, sizeof path, "tests/data/avro/clicks-%s.avro", codecs[i]);
        check_clicks(open_input(path, NULL));
    }
}

static uint8_t *read_file(const char *path, size_t *size)
{
    uint8_t *bytes = malloc(1 << 16);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    *size = fread(bytes, 1, 1 << 16, file);
    fclose(file);
    return bytes;
}

static void a_container_may_be_compressed_as_a_whole(void **state)
{
    (void)state;
    size_t size;
    uint8_t *bytes = read_file("tests/data/avro/clicks-null.avro", &size);
    gzFile file = gzopen(temporary, "wb");
    assert_int_equal(gzwrite(file, bytes, (unsigned)size), size);
    gzclose(file);
    check_clicks(open_input(temporary, NULL));
    free(bytes);
}

static void a_foreign_container_is_read_by_mapping(void **state)
{
    (void)state;
    const mr_mapping_entry entries[] = {{.field = MR_FIELD_user, .path = "visitor"},
                                        {.field = MR_FIELD_item, .path = "product.sku"},
                                        {.field = MR_FIELD_price, .path = "product.price"},
                                        {.field = MR_FIELD_time, .path = "at"}};
    const mr_mapping mapping = {.kind = MR_EVENT_CART, .entries = entries, .entry_count = 4};
    mr_input *input = open_input("tests/data/avro/views.avro", &mapping);
    mr_event event;
    mr_error err;
    assert_true(next(input, &event));
    assert_true(next(input, &event));
    assert_int_equal(event.kind, MR_EVENT_CART);
    assert_text(event.user, "101");
    assert_text(event.item, "p1");
    assert_true(event.price == 10.5);
    assert_int_equal(event.time_ms, 1700000000000);
    mr_input_close(input);
    assert_int_equal(mr_input_open("tests/data/avro/views.avro", NULL, &input, &err), MR_FATAL);
    assert_contains(err.text, "views.avro: records of 'shop.View' need a mapping");
}

static void damaged_and_cut_containers_are_refused_with_their_place(void **state)
{
    (void)state;
    static const char *const codecs[] = {"null", "deflate", "snappy", "zstandard", "bzip2", "xz"};
    for (size_t i = 0; i < sizeof codecs / sizeof *codecs; i++) {
        char path[64];
        size_t size;
        mr_error err;
        snprintf(path, sizeof path, "tests/data/avro/clicks-%s.avro", codecs[i]);
        uint8_t *bytes = read_file(path, &size);
        // Cut anywhere but behind the header and behind a block, it is an error that names the
        // file.
        uint32_t ends = 0;
        for (size_t cut = 4; cut < size; cut += i == 0 ? 1 : 7) {
            write_bytes(bytes, cut);
            const mr_status status = first_failure(temporary, NULL, &err);
            ends += status == MR_OK;
            if (status != MR_OK) {
                assert_int_equal(status, MR_FATAL);
                assert_contains(err.text, temporary);
            }
        }
        if (i == 0)
            assert_int_equal(ends, 3); // behind the header and two of three blocks
        bytes[size - 1] ^= 1; // the marker behind the last block
        write_bytes(bytes, size);
        assert_int_equal(first_failure(temporary, NULL, &err), MR_FATAL);
        assert_contains(err.text, "the marker at its end differs");
        free(bytes);
    }
}

static void damage_anywhere_never_leads_astray(void **state)
{
    (void)state;
    static const char *const codecs[] = {"null", "deflate", "snappy", "zstandard", "bzip2", "xz"};
    for (size_t i = 0; i < sizeof codecs / sizeof *codecs; i++) {
        char path[64];
        size_t size;
        mr_error err;
        snprintf(path, sizeof path, "tests/data/avro/clicks-%s.avro", codecs[i]);
        uint8_t *bytes = read_file(path, &size);
        for (size_t at = i % 5; at < size; at += 11) {
            bytes[at] ^= 0x55;
            write_bytes(bytes, size);
            (void)!first_failure(temporary, NULL, &err); // a sanitizer watches
            bytes[at] ^= 0x55;
        }
        free(bytes);
    }
}

static void a_snappy_block_with_a_wrong_checksum_is_refused(void **state)
{
    (void)state;
    size_t size;
    mr_error err;
    uint8_t *bytes = read_file("tests/data/avro/clicks-snappy.avro", &size);
    bytes[size - 17] ^= 1; // the last byte of the last block's checksum
    write_bytes(bytes, size);
    assert_int_equal(first_failure(temporary, NULL, &err), MR_FATAL);
    assert_contains(err.text, "CRC-32");
    assert_contains(err.text, "block ");
    free(bytes);
}

static void a_bad_record_in_a_container_is_passed_over(void **state)
{
    (void)state;
    size_t size, at = 0;
    mr_error err;
    mr_event event;
    bool more;
    uint8_t *bytes = read_file("tests/data/avro/clicks-null.avro", &size);
    while (memcmp(bytes + at, "\4i1", 3) != 0)
        at++;
    bytes[at + 1] = 0xff; // the second record's item is not UTF-8
    write_bytes(bytes, size);
    mr_input *input = open_input(temporary, NULL);
    assert_true(next(input, &event));
    assert_int_equal(mr_input_next(input, &event, &more, &err), MR_REJECT);
    assert_int_equal(err.cause, MR_CAUSE_bad_utf8);
    assert_contains(err.text, "block 1 record 2");
    assert_contains(err.text, "'item'");
    for (int i = 2; i < 7; i++)
        assert_true(next(input, &event));
    assert_text(event.event_id, "e6");
    assert_false(next(input, &event));
    mr_input_close(input);
    free(bytes);
}

static void a_csv_with_our_names_needs_no_mapping(void **state)
{
    (void)state;
    write_text("timestamp_ms,user,item,type,value,session,position,propensity\n"
               "1000,u1,i1,click,,s1,2,0.25\n"
               "2000,u1,i2,rating,4.5,,,\r\n"
               "\n"
               "3000,u2,i3,impression,,,0,.125\n"
               "4000,u2,i3,purchase,,,,");
    mr_input *input = open_input(temporary, NULL);
    mr_event event;
    assert_true(next(input, &event));
    assert_int_equal(event.kind, MR_EVENT_CLICK);
    assert_text(event.user, "u1");
    assert_text(event.item, "i1");
    assert_text(event.session, "s1");
    assert_int_equal(event.time_ms, 1000);
    assert_int_equal(event.position, 2);
    assert_true(event.propensity == 0.25);
    assert_false(mr_event_has(&event, MR_FIELD_value));
    assert_true(next(input, &event));
    assert_int_equal(event.kind, MR_EVENT_RATING);
    assert_true(event.value == 4.5);
    assert_false(mr_event_has(&event, MR_FIELD_session));
    assert_true(next(input, &event));
    assert_int_equal(event.kind, MR_EVENT_IMPRESSION);
    assert_int_equal(event.line_count, 1);
    assert_text(event.lines[0].item, "i3");
    assert_true(event.lines[0].propensity == 0.125);
    assert_true(next(input, &event));
    assert_int_equal(event.kind, MR_EVENT_PURCHASE);
    assert_true(mr_event_has(&event, MR_FIELD_lines) && event.lines[0].quantity == 1);
    assert_true(isnan(event.lines[0].propensity));
    assert_false(next(input, &event));
    mr_input_close(input);
}

static void columns_can_be_mapped(void **state)
{
    (void)state;
    const mr_mapping_entry entries[] = {
        {.field = MR_FIELD_user, .path = "visitor"},
        {.field = MR_FIELD_item, .path = "sku"},
        {.field = MR_FIELD_time, .path = "when", .unit = MR_TIME_SECONDS}};
    const mr_mapping mapping = {.kind = MR_EVENT_CART, .entries = entries, .entry_count = 3};
    write_text("\xef\xbb\xbfvisitor,sku,user,when,context.device,categories,other\n"
               "v1,s1,nobody,1700000000.123,phone,a|b||c,x\n");
    mr_input *input = open_input(temporary, &mapping);
    mr_event event;
    assert_true(next(input, &event));
    assert_int_equal(event.kind, MR_EVENT_CART);
    assert_text(event.user, "v1");
    assert_text(event.item, "s1");
    assert_int_equal(event.time_ms, 1700000000123);
    assert_int_equal(event.context_count, 1);
    assert_text(event.context[0].name, "device");
    assert_text(event.context[0].value, "phone");
    assert_int_equal(event.category_count, 3);
    assert_text(event.categories[2], "c");
    mr_input_close(input);
}

static void quotes_hold_commas_quotes_and_line_breaks(void **state)
{
    (void)state;
    write_text("user,item,type,title\n"
               "\"u,1\",\"i\"\"1\"\"\",click,\"two\nlines\"\n"
               "\"\",i2,click,\"\"\n"
               "u3,i\"3,click,x\n"
               "u4,\"i4\"x,click,x\n");
    mr_input *input = open_input(temporary, NULL);
    mr_event event;
    mr_error err;
    bool more;
    assert_true(next(input, &event));
    assert_text(event.user, "u,1");
    assert_text(event.item, "i\"1\"");
    assert_text(event.title, "two\nlines");
    assert_true(next(input, &event));
    assert_false(mr_event_has(&event, MR_FIELD_user));
    assert_true(next(input, &event));
    assert_text(event.item, "i\"3");
    assert_int_equal(mr_input_next(input, &event, &more, &err), MR_REJECT);
    assert_contains(err.text, ":6: column 2"); // the row with two lines counts as two
    assert_false(next(input, &event));
    mr_input_close(input);
}

static void bad_rows_are_refused_with_their_line_and_the_next_goes_on(void **state)
{
    (void)state;
    static const struct {
        const char *row, *piece;
    } cases[] = {
        {"x,u,i,click,", ":2: column 'timestamp_ms': want a time as a whole number, have 'x'"},
        {"1.5,u,i,click,", "'1.5'"},
        {"9223372036854775808,u,i,click,", "have '9223372036854775808'"},
        {"1,u,i,view,", "column 'type': want click, cart"},
        {"1,u,i,rating,four", "column 'value': want a number, have 'four'"},
        {"1,u,i,rating,4 ", "'4 '"},
        {"1,u,i,click", "4 columns, but the first row has 5"},
        {"1,u,i,click,,", "6 columns, but the first row has 5"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[256];
        mr_event event;
        mr_error err;
        bool more;
        snprintf(text, sizeof text, "timestamp_ms,user,item,type,value\n%s\n5,u5,i5,click,\n",
                 cases[i].row);
        write_text(text);
        mr_input *input = open_input(temporary, NULL);
        assert_int_equal(mr_input_next(input, &event, &more, &err), MR_REJECT);
        assert_int_equal(err.cause, MR_CAUSE_bad_value);
        assert_contains(err.text, cases[i].piece);
        assert_contains(err.text, temporary);
        assert_true(next(input, &event));
        assert_int_equal(event.time_ms, 5);
        assert_false(next(input, &event));
        mr_input_close(input);
    }
}

static void bad_first_rows_are_refused(void **state)
{
    (void)state;
    const mr_mapping_entry entries[] = {{.field = MR_FIELD_user, .path = "visitor"}};
    const mr_mapping mapping = {.kind = MR_EVENT_CART, .entries = entries, .entry_count = 1};
    mr_input *input;
    mr_error err;
    write_text("");
    assert_int_equal(mr_input_open(temporary, NULL, &input, &err), MR_FATAL);
    assert_contains(err.text, "the file is empty");
    write_text("user,item\n");
    assert_int_equal(mr_input_open(temporary, NULL, &input, &err), MR_FATAL);
    assert_contains(err.text, "there is no column 'type'");
    write_text("1000,u1,i1,type\n");
    assert_int_equal(mr_input_open(temporary, NULL, &input, &err), MR_FATAL);
    assert_contains(err.text, "the first row has to name the columns");
    write_text("user,item,type,user\n");
    assert_int_equal(mr_input_open(temporary, NULL, &input, &err), MR_FATAL);
    assert_contains(err.text, "column 'user'");
    write_text("user,item\n");
    assert_int_equal(mr_input_open(temporary, &mapping, &input, &err), MR_FATAL);
    assert_contains(err.text, ":1: there is no column 'visitor' for 'user'");
    assert_int_equal(mr_input_open("/nowhere/at/all.csv", NULL, &input, &err), MR_FATAL);
    assert_contains(err.text, "/nowhere/at/all.csv: No such file");
}

// Rows that lie across the end of the buffer, in plain, gzip and zstd.
static void long_files_are_read_in_bounded_memory(void **state)
{
    (void)state;
    enum { ROWS = 60000, ROW_BYTES = 60 };
    char *text = malloc((size_t)ROWS * ROW_BYTES + 64);
    size_t size = (size_t)sprintf(text, "timestamp_ms,user,item,type\n");
    for (int i = 0; i < ROWS; i++)
        size += (size_t)sprintf(text + size, "%d,user-%d-%0*d,\"item,%d\",click\n", i, i % 999,
                                i % 20, 7, i);
    for (int packing = 0; packing < 3; packing++) {
        mr_event event;
        uint64_t done, total, rows = 0;
        if (packing == 0) {
            write_bytes(text, size);
        } else if (packing == 1) {
            for (int part = 0; part < 2; part++) { // two members, as `cat a.gz b.gz` gives
                gzFile file = gzopen(temporary, part == 0 ? "wb" : "ab");
                const size_t half = size / 2, count = part == 0 ? half : size - half;
                assert_int_equal(gzwrite(file, text + (part == 0 ? 0 : half), (unsigned)count),
                                 count);
                gzclose(file);
            }
        } else {
            const size_t room = ZSTD_compressBound(size);
            void *packed = malloc(room);
            write_bytes(packed, ZSTD_compress(packed, room, text, size, 3));
            free(packed);
        }
        mr_input *input = open_input(temporary, NULL);
        while (next(input, &event)) {
            char item[24];
            snprintf(item, sizeof item, "item,%llu", (unsigned long long)rows);
            assert_text(event.item, item);
            assert_int_equal(event.time_ms, rows++);
        }
        assert_int_equal(rows, ROWS);
        mr_input_progress(input, &done, &total);
        assert_true(total > 0 && done == total);
        mr_input_close(input);
    }
    free(text);
}

static void compressed_files_that_are_cut_off_are_refused(void **state)
{
    (void)state;
    static const char text[] = "timestamp_ms,user,item,type\n1,u,i,click\n";
    uint8_t packed[256];
    mr_error err;
    gzFile file = gzopen(temporary, "wb");
    gzwrite(file, text, sizeof text - 1);
    gzclose(file);
    size_t size;
    uint8_t *bytes = read_file(temporary, &size);
    write_bytes(bytes, size - 5);
    assert_int_equal(first_failure(temporary, NULL, &err), MR_FATAL);
    assert_contains(err.text, "the compressed data is cut off");
    free(bytes);
    size = ZSTD_compress(packed, sizeof packed, text, sizeof text - 1, 3);
    write_bytes(packed, size - 1);
    assert_int_equal(first_failure(temporary, NULL, &err), MR_FATAL);
    assert_contains(err.text, "the compressed data is cut off");
}

static void a_row_may_have_a_mebibyte_and_no_more(void **state)
{
    (void)state;
    const char head[] = "user,item,type\nu,\"";
    for (int over = 0; over < 2; over++) {
        // An open quote swallows everything: it must end with an error, not with the memory.
        const size_t size = sizeof head - 1 + MR_TABLE_ROW_MAX * (over == 0 ? 1u : 3u) - 20;
        char *text = malloc(size);
        mr_error err;
        memset(text, 'x', size);
        memcpy(text, head, sizeof head - 1);
        if (over == 0)
            memcpy(text + size - 8, "\",click\n", 8);
        write_bytes(text, size);
        assert_int_equal(first_failure(temporary, NULL, &err), over == 0 ? MR_OK : MR_FATAL);
        if (over == 1)
            assert_contains(err.text, ":2: a row of more than");
        free(text);
    }
}

static void a_copy_lives_on_its_own(void **state)
{
    (void)state;
    uint8_t *memory = aligned_alloc(64, 4096);
    mr_arena arena;
    mr_event event, copy;
    mr_input *input = open_input("tests/data/avro/clicks-null.avro", NULL);
    assert_true(next(input, &event));
    mr_arena_init(&arena, memory, 4096);
    const size_t bytes = mr_input_copy_bytes(&event);
    mr_input_copy(&copy, &event, &arena);
    assert_int_equal(arena.used, bytes);
    while (next(input, &event))
        ;
    mr_input_close(input);
    assert_text(copy.user, "u0");
    assert_text(copy.event_id, "e0");
    assert_text(copy.context[0].name, "device");
    assert_int_equal(copy.context[0].value.size, 100);
    free(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(containers_of_every_codec_are_read),
        cmocka_unit_test(a_container_may_be_compressed_as_a_whole),
        cmocka_unit_test(a_foreign_container_is_read_by_mapping),
        cmocka_unit_test(damaged_and_cut_containers_are_refused_with_their_place),
        cmocka_unit_test(damage_anywhere_never_leads_astray),
        cmocka_unit_test(a_snappy_block_with_a_wrong_checksum_is_refused),
        cmocka_unit_test(a_bad_record_in_a_container_is_passed_over),
        cmocka_unit_test(a_csv_with_our_names_needs_no_mapping),
        cmocka_unit_test(columns_can_be_mapped),
        cmocka_unit_test(quotes_hold_commas_quotes_and_line_breaks),
        cmocka_unit_test(bad_rows_are_refused_with_their_line_and_the_next_goes_on),
        cmocka_unit_test(bad_first_rows_are_refused),
        cmocka_unit_test(long_files_are_read_in_bounded_memory),
        cmocka_unit_test(compressed_files_that_are_cut_off_are_refused),
        cmocka_unit_test(a_row_may_have_a_mebibyte_and_no_more),
        cmocka_unit_test(a_copy_lives_on_its_own),
    };
    return cmocka_run_group_tests(tests, make_temporary, drop_temporary);
}
