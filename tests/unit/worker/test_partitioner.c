// SPDX-License-Identifier: Apache-2.0
// Partitioners against published values and librdkafka's own; and what a sample says of an input.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <string.h>

#include "core/base/rng.h"
#include "worker/partitioner.h"

// A hash below 2^31 - 1 is its own partition of so many.
#define MOST ((uint32_t)INT32_MAX)

static uint32_t of(int partitioner, const char *key)
{
    return mr_partition_by(partitioner, mr_bytes_text(key), MOST);
}

static void partitioners_give_the_published_values(void **state)
{
    (void)state;
    // The values that Apache Kafka's and librdkafka's own tests of murmur2 hold, sign bit cleared.
    assert_int_equal(of(MR_PARTITIONER_MURMUR2, "kafka"), 0xd067cf64u & MOST);
    assert_int_equal(of(MR_PARTITIONER_MURMUR2, "giberish123456789"), 0x8f552b0cu & MOST);
    assert_int_equal(of(MR_PARTITIONER_MURMUR2, "1234"), 0x9fc97b14u & MOST);
    assert_int_equal(of(MR_PARTITIONER_MURMUR2, "234"), 0xe7c009cau & MOST);
    assert_int_equal(of(MR_PARTITIONER_MURMUR2, "34"), 0x873930dau & MOST);
    assert_int_equal(of(MR_PARTITIONER_MURMUR2, "4"), 0x5a4b5ca1u);
    assert_int_equal(of(MR_PARTITIONER_MURMUR2, ""), 0x106e08d9u);
    assert_int_equal(of(MR_PARTITIONER_MURMUR2, "21"), (uint32_t)-973932308 & MOST);
    // Those of Go's hash/fnv as Sarama uses it, which librdkafka's tests hold.
    assert_int_equal(of(MR_PARTITIONER_FNV1A, "kafka"), 0x0d33c4e1u);
    assert_int_equal(of(MR_PARTITIONER_FNV1A, "giberish123456789"), 0x77a58295u);
    assert_int_equal(of(MR_PARTITIONER_FNV1A, "1234"), 0x023bdd03u);
    assert_int_equal(of(MR_PARTITIONER_FNV1A, "234"), 0x2dea3cd2u);
    assert_int_equal(of(MR_PARTITIONER_FNV1A, "34"), 0x740fa83eu);
    assert_int_equal(of(MR_PARTITIONER_FNV1A, "4"), 0x310ca263u);
    // The check value of CRC-32 (ISO 3309).
    assert_int_equal(of(MR_PARTITIONER_CRC32, "123456789"), 0xcbf43926u % MOST);
    assert_int_equal(of(MR_PARTITIONER_CRC32, ""), 0);
}

static int32_t librdkafka(int partitioner, const void *key, size_t size, int32_t count)
{
    switch (partitioner) {
    case MR_PARTITIONER_MURMUR2:
        return rd_kafka_msg_partitioner_murmur2(NULL, key, size, count, NULL, NULL);
    case MR_PARTITIONER_CRC32:
        return rd_kafka_msg_partitioner_consistent(NULL, key, size, count, NULL, NULL);
    default:
        return rd_kafka_msg_partitioner_fnv1a(NULL, key, size, count, NULL, NULL);
    }
}

static void partitioners_agree_with_librdkafka(void **state)
{
    (void)state;
    static const int32_t counts[] = {1, 2, 3, 4, 7, 12, 64, 1000, INT32_MAX};
    uint8_t key[80];
    for (uint32_t n = 0; n < 20000; n++) {
        mr_rng rng = mr_rng_make(1, n, 0, 0, (mr_purpose)0);
        const uint32_t size = n % sizeof key;
        for (uint32_t i = 0; i < size; i++)
            key[i] = (uint8_t)mr_rng_u32(&rng);
        for (int p = 0; p < MR_PARTITIONER_COUNT; p++) {
            const int32_t count = counts[n % (sizeof counts / sizeof *counts)];
            assert_int_equal(mr_partition_by(p, mr_bytes_of(key, size), (uint32_t)count),
                             librdkafka(p, key, size, count));
        }
    }
}

static void where_keys_are_numbers_a_user_is_hashed_as_a_number(void **state)
{
    (void)state;
    mr_config config;
    uint8_t room[8];
    static const uint8_t minus_two[] = {255, 255, 255, 255, 255, 255, 255, 254};
    memset(&config, 0, sizeof config);
    config.lead = "";
    config.input_count = 1;
    config.inputs[0].kind = MR_EVENT_CLICK;
    config.inputs[0].topic = "clicks";
    config.inputs[0].key = MR_MESSAGE_KEY_LONG;
    assert_true(mr_bytes_equal(mr_partition_key(&config, mr_bytes_text("-2"), room),
                               mr_bytes_of(minus_two, 8)));
    const char *const others[] = {"", "u2", "02", "+2", "2 ", "9223372036854775808", "-0"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_true(mr_bytes_equal(mr_partition_key(&config, mr_bytes_text(others[i]), room),
                                   mr_bytes_text(others[i])));
    assert_int_equal(mr_partition_of_user(&config, mr_bytes_text("-2"), 1000),
                     mr_partition_by(MR_PARTITIONER_MURMUR2, mr_bytes_of(minus_two, 8), 1000));
    config.inputs[0].repartition = true; // then no keys say how to write it
    assert_true(mr_bytes_equal(mr_partition_key(&config, mr_bytes_text("-2"), room),
                               mr_bytes_text("-2")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(partitioners_give_the_published_values),
        cmocka_unit_test(partitioners_agree_with_librdkafka),
        cmocka_unit_test(where_keys_are_numbers_a_user_is_hashed_as_a_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
