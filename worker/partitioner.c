// SPDX-License-Identifier: Apache-2.0
// Sources: murmur2: Apache Kafka, Utils.murmur2. crc32: librdkafka's `consistent`, the CRC of zlib.
// fnv1a: Sarama's hash partitioner: the hash is taken as a signed number, and its absolute value
// counts.
#include "worker/partitioner.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "core/base/hash.h"

enum { NUMBER_TEXT_MAX = 20 }; // "-9223372036854775808"

static uint32_t fnv1a(mr_bytes key)
{
    uint32_t hash = 0x811c9dc5u;
    for (uint32_t i = 0; i < key.size; i++)
        hash = (hash ^ key.data[i]) * 0x01000193u;
    return hash > INT32_MAX ? 0u - hash : hash;
}

uint32_t mr_partition_by(int partitioner, mr_bytes key, uint32_t count)
{
    switch (partitioner) {
    case MR_PARTITIONER_CRC32:
        return (uint32_t)crc32(0, key.data, key.size) % count;
    case MR_PARTITIONER_FNV1A:
        return fnv1a(key) % count;
    default:
        return mr_partition_of(key, count);
    }
}

const char *mr_partitioner_name(int partitioner)
{
    static const char *const names[MR_PARTITIONER_COUNT] = {
        [MR_PARTITIONER_MURMUR2] = "murmur2",
        [MR_PARTITIONER_CRC32] = "crc32",
        [MR_PARTITIONER_FNV1A] = "fnv1a",
    };
    MR_ASSERT(partitioner >= 0 && partitioner < MR_PARTITIONER_COUNT);
    return names[partitioner];
}

// Whether an id is a number that is written the one way that the decoder writes it.
static bool read_number(mr_bytes id, int64_t *number)
{
    char text[NUMBER_TEXT_MAX + 1], again[NUMBER_TEXT_MAX + 2];
    if (id.size == 0 || id.size > NUMBER_TEXT_MAX)
        return false;
    memcpy(text, id.data, id.size);
    text[id.size] = '\0';
    errno = 0;
    *number = strtoll(text, NULL, 10);
    snprintf(again, sizeof again, "%lld", (long long)*number);
    return errno == 0 && strlen(text) == id.size && strcmp(text, again) == 0;
}

mr_bytes mr_partition_key(const mr_config *config, mr_bytes user, uint8_t room[static 8])
{
    uint32_t lead = 0;
    int64_t number;
    mr_error err;
    if (mr_config_lead(config, &lead, &err) != MR_OK || lead >= config->input_count ||
        config->inputs[lead].key != MR_MESSAGE_KEY_LONG || !read_number(user, &number))
        return user;
    for (int i = 0; i < 8; i++)
        room[i] = (uint8_t)((uint64_t)number >> 8 * (7 - i));
    return mr_bytes_of(room, 8);
}

uint32_t mr_partition_of_user(const mr_config *config, mr_bytes user, uint32_t count)
{
    uint8_t room[8];
    return mr_partition_by(config->partitioner, mr_partition_key(config, user, room), count);
}
