// SPDX-License-Identifier: Apache-2.0
// Markers: what is written is read back; whatever else is refused, and never read beyond its end.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "core/base/rng.h"
#include "state/row.h"
#include "worker/marker.h"

static mr_marker_pair pairs[MR_MARKER_PAIRS_MAX];
static mr_marker_offset offsets[MR_MARKER_OFFSETS_MAX];
static mr_marker_link links[MR_MARKER_LINKS_MAX];

static mr_marker example(uint32_t pair_count, uint32_t offset_count)
{
    for (uint32_t i = 0; i < pair_count; i++)
        pairs[i] = (mr_marker_pair){i, 1700000000000u + i};
    for (uint32_t i = 0; i < offset_count; i++)
        offsets[i] = (mr_marker_offset){mr_bytes_text("clicks"), i, (int64_t)i << 40};
    links[0] = (mr_marker_link){3, 17, 18};
    return (mr_marker){
        .history = {0x0123456789abcdef, 0xfedcba9876543210},
        .task = 3,
        .tasks = 8,
        .seq = 1700000000123,
        .instance = mr_bytes_text("worker-0"),
        .commit = 42,
        .clock_ms = -5,
        .wall_ms = INT64_MAX,
        .config_hash = 7,
        .release = mr_bytes_text("0.1.0"),
        .here_count = 11,
        .here_xor = {1, 2},
        .row_count = 1000,
        .state_hash = {3, 4},
        .pairs = pairs,
        .pair_count = pair_count,
        .offsets = offsets,
        .offset_count = offset_count,
        .links = links,
        .link_count = 1,
    };
}

typedef struct room {
    mr_marker_pair pairs[MR_MARKER_PAIRS_MAX];
    mr_marker_offset offsets[MR_MARKER_OFFSETS_MAX];
    mr_marker_link links[MR_MARKER_LINKS_MAX];
} room;

static room read_room;

static mr_status read_marker(mr_bytes bytes, mr_marker *marker, mr_error *err)
{
    *marker = (mr_marker){
        .pairs = read_room.pairs, .offsets = read_room.offsets, .links = read_room.links};
    return mr_marker_read(bytes, marker, err);
}

static void a_marker_is_read_back_as_it_was_written(void **state)
{
    (void)state;
    uint8_t bytes[MR_MARKER_BYTES_MAX];
    uint32_t size;
    mr_error err = {0};
    const mr_marker written = example(8, 3);
    mr_marker read;
    assert_int_equal(mr_marker_write(&written, bytes, &size, &err), MR_OK);
    assert_int_equal(read_marker(mr_bytes_of(bytes, size), &read, &err), MR_OK);
    assert_memory_equal(read.history, written.history, sizeof read.history);
    assert_int_equal(read.task, 3);
    assert_int_equal(read.tasks, 8);
    assert_true(read.seq == written.seq && read.commit == 42 && read.config_hash == 7);
    assert_true(read.clock_ms == -5 && read.wall_ms == INT64_MAX);
    assert_true(mr_bytes_equal(read.instance, written.instance));
    assert_true(mr_bytes_equal(read.release, written.release));
    assert_int_equal(read.here_count, 11);
    assert_memory_equal(&read.here_xor, &written.here_xor, sizeof read.here_xor);
    assert_memory_equal(&read.state_hash, &written.state_hash, sizeof read.state_hash);
    assert_int_equal(read.row_count, 1000);
    assert_int_equal(read.pair_count, 8);
    assert_true(read.pairs[7].task == 7 && read.pairs[7].seq == pairs[7].seq);
    assert_int_equal(read.offset_count, 3);
    assert_true(read.offsets[2].next == (int64_t)2 << 40);
    assert_true(mr_bytes_equal(read.offsets[2].topic, mr_bytes_text("clicks")));
    assert_int_equal(read.link_count, 1);
    assert_true(read.links[0].received == 17 && read.links[0].sent == 18);
}

static void what_does_not_fit_is_refused_with_its_counts(void **state)
{
    (void)state;
    uint8_t bytes[MR_MARKER_BYTES_MAX];
    uint32_t size;
    mr_error err = {0};
    mr_marker marker = example(MR_MARKER_PAIRS_MAX, MR_MARKER_OFFSETS_MAX);
    assert_int_equal(mr_marker_write(&marker, bytes, &size, &err), MR_OK);
    char name[MR_MARKER_NAME_MAX + 2];
    memset(name, 'x', sizeof name);
    name[MR_MARKER_NAME_MAX] = '\0';
    marker = example(1, 1);
    marker.instance = mr_bytes_text(name);
    assert_int_equal(mr_marker_write(&marker, bytes, &size, &err), MR_OK);
    name[MR_MARKER_NAME_MAX] = 'x';
    name[MR_MARKER_NAME_MAX + 1] = '\0';
    marker.instance = mr_bytes_text(name);
    assert_int_equal(mr_marker_write(&marker, bytes, &size, &err), MR_FATAL);
    marker = example(MR_MARKER_PAIRS_MAX, MR_MARKER_OFFSETS_MAX);
    for (uint32_t i = 0; i < marker.offset_count; i++)
        offsets[i].topic = mr_bytes_of(name, MR_MARKER_NAME_MAX);
    assert_int_equal(mr_marker_write(&marker, bytes, &size, &err), MR_FATAL);
    assert_non_null(strstr(err.text, "1024 tasks, 512 input partitions"));
}

static void every_cut_and_every_flipped_byte_is_refused(void **state)
{
    (void)state;
    uint8_t bytes[MR_MARKER_BYTES_MAX];
    uint32_t size;
    mr_error err = {0};
    const mr_marker written = example(2, 2);
    mr_marker read;
    assert_int_equal(mr_marker_write(&written, bytes, &size, &err), MR_OK);
    for (uint32_t cut = 0; cut < size; cut++) {
        uint8_t *exact = malloc(cut + 1); // so that a sanitizer sees a read beyond the end
        memcpy(exact, bytes, cut);
        assert_int_equal(read_marker(mr_bytes_of(exact, cut), &read, &err), MR_FATAL);
        free(exact);
    }
    for (uint32_t i = 0; i < size; i++) {
        bytes[i] ^= 0x10;
        assert_int_equal(read_marker(mr_bytes_of(bytes, size), &read, &err), MR_FATAL);
        bytes[i] ^= 0x10;
    }
}

// Behind the checksum the payload may still be anything: sealed by another release, or by a
// mistake.
static void a_sealed_payload_of_any_bytes_is_read_or_refused(void **state)
{
    (void)state;
    uint8_t bytes[MR_MARKER_BYTES_MAX], sealed[MR_MARKER_BYTES_MAX];
    uint32_t size, refused = 0;
    mr_error err = {0};
    const mr_marker written = example(2, 2);
    mr_marker read;
    mr_rng rng = mr_rng_make(1, 0, 0, 0, MR_PURPOSE_SIM);
    assert_int_equal(mr_marker_write(&written, bytes, &size, &err), MR_OK);
    for (int i = 0; i < 20000; i++) {
        uint8_t *payload = malloc(size);
        const uint32_t cut =
            MR_ROW_HEADER_BYTES + mr_rng_below(&rng, size - MR_ROW_HEADER_BYTES + 1);
        memcpy(payload, bytes, size);
        for (int flips = 0; flips < 3; flips++)
            payload[MR_ROW_HEADER_BYTES + mr_rng_below(&rng, size - MR_ROW_HEADER_BYTES)] =
                (uint8_t)mr_rng_u32(&rng);
        const mr_row row = {
            .kind = MR_MARKER_KIND,
            .version = MR_MARKER_VERSION,
            .payload = mr_bytes_of(payload + MR_ROW_HEADER_BYTES, cut - MR_ROW_HEADER_BYTES)};
        const uint32_t sealed_size = mr_row_seal(mr_marker_key(), &row, sealed);
        refused += read_marker(mr_bytes_of(sealed, sealed_size), &read, &err) == MR_FATAL;
        free(payload);
    }
    assert_true(refused > 19000);
}

static void another_version_is_refused(void **state)
{
    (void)state;
    uint8_t sealed[64];
    mr_marker read;
    mr_error err = {0};
    const mr_row row = {.kind = MR_MARKER_KIND, .version = MR_MARKER_VERSION + 1};
    const uint32_t size = mr_row_seal(mr_marker_key(), &row, sealed);
    assert_int_equal(read_marker(mr_bytes_of(sealed, size), &read, &err), MR_FATAL);
    assert_non_null(strstr(err.text, "another release"));
}

static void markers_of_both_changelogs_are_joined_and_split(void **state)
{
    (void)state;
    static uint8_t joined[MR_STORE_MARKER_MAX], large[MR_MARKER_BYTES_MAX];
    mr_bytes split[MR_STORE_CHANGELOGS];
    mr_error err = {0};
    const mr_bytes two[] = {mr_bytes_text("left"), mr_bytes_text("right")};
    uint32_t size = mr_marker_join(two, joined);
    assert_int_equal(mr_marker_split(mr_bytes_of(joined, size), split, &err), MR_OK);
    assert_true(mr_bytes_equal(split[0], two[0]) && mr_bytes_equal(split[1], two[1]));
    assert_int_equal(mr_marker_split(mr_bytes_of(joined, size - 1), split, &err), MR_FATAL);
    assert_int_equal(mr_marker_split(mr_bytes_of(joined, size + 1), split, &err), MR_FATAL);
    const mr_bytes one[] = {{NULL, 0}, mr_bytes_text("right")};
    size = mr_marker_join(one, joined);
    assert_int_equal(mr_marker_split(mr_bytes_of(joined, size), split, &err), MR_OK);
    assert_int_equal(split[0].size, 0);
    const mr_bytes full[] = {mr_bytes_of(large, sizeof large), mr_bytes_of(large, sizeof large)};
    size = mr_marker_join(full, joined);
    assert_true(size <= MR_STORE_MARKER_MAX);
}

static void no_row_has_the_key_of_a_marker(void **state)
{
    (void)state;
    assert_true(mr_marker_is(mr_marker_key()));
    assert_false(mr_marker_is(mr_bytes_text("u")));
    assert_false(mr_marker_is(mr_bytes_of("\0\0", 2)));
    assert_false(mr_marker_is(mr_bytes_of("", 0)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_marker_is_read_back_as_it_was_written),
        cmocka_unit_test(what_does_not_fit_is_refused_with_its_counts),
        cmocka_unit_test(every_cut_and_every_flipped_byte_is_refused),
        cmocka_unit_test(a_sealed_payload_of_any_bytes_is_read_or_refused),
        cmocka_unit_test(another_version_is_refused),
        cmocka_unit_test(markers_of_both_changelogs_are_joined_and_split),
        cmocka_unit_test(no_row_has_the_key_of_a_marker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
