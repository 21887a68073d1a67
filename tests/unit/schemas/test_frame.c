// SPDX-License-Identifier: Apache-2.0
#include "kit.h"

#include "schemas/frame.h"

static const mr_bytes no_header = {NULL, 0};

static mr_status read_frame(mr_framing framing, const char *bytes, size_t size, mr_frame *frame,
                            mr_error *err)
{
    return mr_frame_read(framing, mr_bytes_of(bytes, size), no_header, frame, err);
}

static void a_confluent_prefix_names_an_id(void **state)
{
    (void)state;
    mr_frame frame;
    mr_error err;
    assert_int_equal(read_frame(MR_FRAMING_AUTO, "\0\0\1\2\3xyz", 8, &frame, &err), MR_OK);
    assert_int_equal(frame.names, MR_FRAME_NAMES_ID);
    assert_int_equal(frame.id, 0x010203);
    assert_text(frame.payload, "xyz");
    assert_int_equal(read_frame(MR_FRAMING_CONFLUENT, "\0\0\0\0\1", 5, &frame, &err), MR_OK);
    assert_int_equal(frame.payload.size, 0); // a record of no fields
    assert_int_equal(read_frame(MR_FRAMING_CONFLUENT, "\0\0\0\0", 4, &frame, &err), MR_REJECT);
    assert_int_equal(err.cause, MR_CAUSE_bad_framing);
}

static void a_confluent_prefix_names_a_guid(void **state)
{
    (void)state;
    mr_frame frame;
    mr_error err;
    assert_int_equal(read_frame(MR_FRAMING_AUTO, "\1ABCDEFGHIJKLMNOPx", 18, &frame, &err), MR_OK);
    assert_int_equal(frame.names, MR_FRAME_NAMES_GUID);
    assert_memory_equal(frame.guid, "ABCDEFGHIJKLMNOP", 16);
    assert_text(frame.payload, "x");
    assert_int_equal(read_frame(MR_FRAMING_AUTO, "\1ABCDEFGHIJKLMNO", 16, &frame, &err), MR_REJECT);
}

static void a_single_object_names_a_fingerprint(void **state)
{
    (void)state;
    mr_frame frame;
    mr_error err;
    assert_int_equal(read_frame(MR_FRAMING_AUTO, "\xc3\1\x08\7\6\5\4\3\2\1x", 11, &frame, &err),
                     MR_OK);
    assert_int_equal(frame.names, MR_FRAME_NAMES_FINGERPRINT);
    assert_true(frame.fingerprint == UINT64_C(0x0102030405060708));
    assert_text(frame.payload, "x");
    assert_int_equal(read_frame(MR_FRAMING_AUTO, "\xc3\1\x08\7\6\5\4\3\2", 9, &frame, &err),
                     MR_REJECT);
    assert_int_equal(read_frame(MR_FRAMING_AUTO, "\xc3\2\x08\7\6\5\4\3\2\1", 10, &frame, &err),
                     MR_REJECT);
}

static void a_topic_takes_only_the_framing_that_it_is_configured_for(void **state)
{
    (void)state;
    mr_frame frame;
    mr_error err;
    assert_int_equal(read_frame(MR_FRAMING_SINGLE_OBJECT, "\0\0\0\0\1x", 6, &frame, &err),
                     MR_REJECT);
    assert_contains(err.text, "00 00 00 00");
    assert_contains(err.text, "want c3 01");
    assert_int_equal(read_frame(MR_FRAMING_CONFLUENT, "\xc3\1\0\0\0\0\0\0\0\0", 10, &frame, &err),
                     MR_REJECT);
    assert_int_equal(read_frame(MR_FRAMING_AUTO, "\4u1", 3, &frame, &err), MR_REJECT);
}

static void a_bare_record_is_never_looked_into(void **state)
{
    (void)state;
    mr_frame frame;
    mr_error err;
    assert_int_equal(read_frame(MR_FRAMING_BARE, "\0\0\0\0\1x", 6, &frame, &err), MR_OK);
    assert_int_equal(frame.names, MR_FRAME_NAMES_NOTHING);
    assert_int_equal(frame.payload.size, 6);
}

static void a_header_goes_before_the_value(void **state)
{
    (void)state;
    mr_frame frame;
    mr_error err;
    const mr_bytes value = mr_bytes_of("\0\0\0\0\1x", 6);
    assert_int_equal(
        mr_frame_read(MR_FRAMING_AUTO, value, mr_bytes_of("\1ABCDEFGHIJKLMNOP", 17), &frame, &err),
        MR_OK);
    assert_int_equal(frame.names, MR_FRAME_NAMES_GUID);
    assert_int_equal(frame.payload.size, 6);
    assert_int_equal(
        mr_frame_read(MR_FRAMING_BARE, value, mr_bytes_of("\0\0\0\0\x11", 5), &frame, &err), MR_OK);
    assert_int_equal(frame.id, 17);
    assert_int_equal(
        mr_frame_read(MR_FRAMING_AUTO, value, mr_bytes_of("\0\0\0\0\x11z", 6), &frame, &err),
        MR_REJECT);
    assert_contains(err.text, "__value_schema_id");
}

static void a_null_value_is_a_tombstone_and_an_empty_one_is_refused(void **state)
{
    (void)state;
    mr_frame frame;
    mr_error err;
    for (uint32_t framing = MR_FRAMING_AUTO; framing <= MR_FRAMING_BARE; framing++) {
        assert_int_equal(
            mr_frame_read((mr_framing)framing, (mr_bytes){NULL, 0}, no_header, &frame, &err),
            MR_OK);
        assert_true(frame.tombstone);
        assert_int_equal(read_frame((mr_framing)framing, "", 0, &frame, &err), MR_REJECT);
        assert_int_equal(err.cause, MR_CAUSE_empty_value);
    }
}

static void prefixes_are_written_as_they_are_read(void **state)
{
    (void)state;
    uint8_t bytes[32];
    mr_frame frame;
    mr_error err;
    mr_writer out = mr_writer_make(bytes, sizeof bytes);
    mr_frame_put_confluent(&out, 0xfedcba98);
    mr_put_byte(&out, 'x');
    assert_int_equal(read_frame(MR_FRAMING_CONFLUENT, (const char *)bytes, out.size, &frame, &err),
                     MR_OK);
    assert_int_equal(frame.id, 0xfedcba98);
    out.size = 0;
    mr_frame_put_single_object(&out, UINT64_C(0x1122334455667788));
    assert_int_equal(
        read_frame(MR_FRAMING_SINGLE_OBJECT, (const char *)bytes, out.size, &frame, &err), MR_OK);
    assert_true(frame.fingerprint == UINT64_C(0x1122334455667788));
}

static void framings_have_names(void **state)
{
    (void)state;
    for (uint32_t i = MR_FRAMING_AUTO; i <= MR_FRAMING_BARE; i++) {
        mr_framing framing;
        assert_true(mr_framing_of(mr_framing_name((mr_framing)i), &framing));
        assert_int_equal(framing, i);
    }
    mr_framing framing;
    assert_false(mr_framing_of("avro", &framing));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_confluent_prefix_names_an_id),
        cmocka_unit_test(a_confluent_prefix_names_a_guid),
        cmocka_unit_test(a_single_object_names_a_fingerprint),
        cmocka_unit_test(a_topic_takes_only_the_framing_that_it_is_configured_for),
        cmocka_unit_test(a_bare_record_is_never_looked_into),
        cmocka_unit_test(a_header_goes_before_the_value),
        cmocka_unit_test(a_null_value_is_a_tombstone_and_an_empty_one_is_refused),
        cmocka_unit_test(prefixes_are_written_as_they_are_read),
        cmocka_unit_test(framings_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
