// SPDX-License-Identifier: Apache-2.0
// What the demo reads is what the worker writes, and no byte string makes it read past its end.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "schemas/frame.h"
#include "worker/demo_records.h"

enum { FINGERPRINT = 0x1234567 };

static mr_bytes write_list(uint8_t *room, size_t size, uint32_t entry_count)
{
    static mr_list_entry entries[30];
    char items[30][16];
    for (uint32_t i = 0; i < entry_count; i++) {
        snprintf(items[i], sizeof items[i], "i%u", i);
        entries[i] = (mr_list_entry){
            .item = mr_bytes_text(items[i]),
            .score = 1.5f,
            .q = i % 2 == 0 ? 0.25f : NAN,
            .mean = i % 3 == 0 ? 0.5f : NAN,
            .spread = NAN,
            .source_bits = 5,
            .source_name = "covisit",
        };
    }
    const mr_list list = {
        .user = mr_bytes_text("u7"),
        .task = 3,
        .version = 99,
        .policy = "plackett_luce",
        .slice = "exploit",
        .arm = "blend",
        .candidate_hash = UINT64_MAX,
        .context = {{1, 0.5f}, {2, 0.25f}},
        .context_count = 2,
        .entries = entries,
        .entry_count = entry_count,
    };
    mr_writer out = mr_writer_make(room, size);
    mr_frame_put_single_object(&out, FINGERPRINT);
    mr_encode_list(&out, &list);
    assert_false(out.full);
    return mr_bytes_of(out.data, out.size);
}

static void a_list_is_read_as_it_was_written(void **state)
{
    (void)state;
    uint8_t room[4096];
    mr_demo_list list;
    mr_error err;
    const mr_bytes value = write_list(room, sizeof room, 3);
    assert_int_equal(mr_demo_list_read(value, FINGERPRINT, &list, &err), MR_OK);
    assert_true(mr_bytes_equal(list.id, mr_bytes_text("3-99")));
    assert_true(mr_bytes_equal(list.user, mr_bytes_text("u7")));
    assert_true(mr_bytes_equal(list.arm, mr_bytes_text("blend")));
    assert_int_equal(list.version, 99);
    assert_int_equal(list.count, 3);
    assert_true(mr_bytes_equal(list.entries[2].item, mr_bytes_text("i2")));
    assert_true(mr_bytes_equal(list.entries[2].source, mr_bytes_text("covisit")));
    assert_true(list.entries[0].propensity == 0.25f);
    assert_true(isnan(list.entries[1].propensity));
}

static void of_a_long_list_the_first_entries_are_kept_and_an_empty_one_has_none(void **state)
{
    (void)state;
    uint8_t room[4096];
    mr_demo_list list;
    mr_error err;
    mr_bytes value = write_list(room, sizeof room, MR_DEMO_ENTRIES_MAX + 1);
    assert_int_equal(mr_demo_list_read(value, FINGERPRINT, &list, &err), MR_OK);
    assert_int_equal(list.count, MR_DEMO_ENTRIES_MAX);
    assert_true(mr_bytes_equal(list.entries[19].item, mr_bytes_text("i19")));
    value = write_list(room, sizeof room, 0);
    assert_int_equal(mr_demo_list_read(value, FINGERPRINT, &list, &err), MR_OK);
    assert_int_equal(list.count, 0);
}

static mr_bytes write_metric(uint8_t *room, size_t size)
{
    const mr_pair labels[] = {{mr_bytes_text("protocol"), mr_bytes_text("all")},
                              {mr_bytes_text("model"), mr_bytes_text("covisit")}};
    const mr_metric metric = {.name = "blend_weight",
                              .labels = labels,
                              .label_count = 2,
                              .window_ms = 1000,
                              .value = 0.75,
                              .count = 8,
                              .task = -1,
                              .epoch = 3};
    mr_writer out = mr_writer_make(room, size);
    mr_frame_put_single_object(&out, FINGERPRINT);
    mr_encode_metric(&out, &metric);
    return mr_bytes_of(out.data, out.size);
}

static void a_metric_is_read_as_it_was_written(void **state)
{
    (void)state;
    uint8_t room[256];
    mr_demo_metric metric;
    mr_error err;
    const mr_bytes value = write_metric(room, sizeof room);
    assert_int_equal(mr_demo_metric_read(value, FINGERPRINT, &metric, &err), MR_OK);
    assert_true(mr_bytes_equal(metric.name, mr_bytes_text("blend_weight")));
    assert_true(mr_bytes_equal(metric.model, mr_bytes_text("covisit")));
    assert_true(metric.value == 0.75);
}

static void a_record_that_is_cut_anywhere_is_refused(void **state)
{
    (void)state;
    uint8_t room[4096];
    mr_demo_list list;
    mr_demo_metric metric;
    mr_error err;
    mr_bytes value = write_list(room, sizeof room, 3);
    for (uint32_t size = 1; size < value.size; size++) {
        uint8_t *exact = malloc(size); // a read past its end is seen by the sanitizer
        assert_non_null(exact);
        memcpy(exact, value.data, size);
        assert_int_equal(mr_demo_list_read(mr_bytes_of(exact, size), FINGERPRINT, &list, &err),
                         MR_REJECT);
        free(exact);
    }
    value = write_metric(room, sizeof room);
    for (uint32_t size = 1; size < value.size; size++)
        assert_int_equal(
            mr_demo_metric_read(mr_bytes_of(value.data, size), FINGERPRINT, &metric, &err),
            MR_REJECT);
}

static void other_schemas_tombstones_and_trailing_bytes_are_refused(void **state)
{
    (void)state;
    uint8_t room[4096];
    mr_demo_list list;
    mr_error err;
    const mr_bytes value = write_list(room, sizeof room, 1);
    assert_int_equal(mr_demo_list_read(value, FINGERPRINT + 1, &list, &err), MR_REJECT);
    assert_int_equal(err.cause, MR_CAUSE_unknown_schema);
    assert_int_equal(mr_demo_list_read((mr_bytes){NULL, 0}, FINGERPRINT, &list, &err), MR_REJECT);
    assert_int_equal(err.cause, MR_CAUSE_empty_value);
    room[value.size] = 0;
    assert_int_equal(mr_demo_list_read(mr_bytes_of(room, value.size + 1), FINGERPRINT, &list, &err),
                     MR_REJECT);
    assert_int_equal(err.cause, MR_CAUSE_trailing_bytes);
}

static void bytes_that_were_changed_are_read_within_their_bounds(void **state)
{
    (void)state;
    uint8_t room[4096];
    mr_demo_list list;
    mr_error err;
    const mr_bytes value = write_list(room, sizeof room, 3);
    for (uint32_t at = 10; at < value.size; at++) {
        for (uint32_t bit = 0; bit < 8; bit++) {
            uint8_t *exact = malloc(value.size);
            assert_non_null(exact);
            memcpy(exact, value.data, value.size);
            exact[at] ^= (uint8_t)(1u << bit);
            const mr_bytes changed = mr_bytes_of(exact, value.size);
            const mr_status status = mr_demo_list_read(changed, FINGERPRINT, &list, &err);
            assert_true(status == MR_OK || status == MR_REJECT);
            for (uint32_t i = 0; status == MR_OK && i < list.count; i++)
                assert_true(list.entries[i].item.data >= exact &&
                            list.entries[i].item.data + list.entries[i].item.size <=
                                exact + value.size);
            free(exact);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_is_read_as_it_was_written),
        cmocka_unit_test(of_a_long_list_the_first_entries_are_kept_and_an_empty_one_has_none),
        cmocka_unit_test(a_metric_is_read_as_it_was_written),
        cmocka_unit_test(a_record_that_is_cut_anywhere_is_refused),
        cmocka_unit_test(other_schemas_tombstones_and_trailing_bytes_are_refused),
        cmocka_unit_test(bytes_that_were_changed_are_read_within_their_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
