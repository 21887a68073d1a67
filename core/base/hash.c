// SPDX-License-Identifier: Apache-2.0
#include "core/base/hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { ITEM_SEED = 0x6974656d, USER_SEED = 0x75736572 }; // "item", "user"

uint64_t mr_hash64(const void *data, size_t size, uint64_t seed)
{
    return XXH3_64bits_withSeed(data, size, seed);
}

mr_hash128 mr_hash128_of(const void *data, size_t size, uint64_t seed)
{
    const XXH128_hash_t hash = XXH3_128bits_withSeed(data, size, seed);
    return (mr_hash128){hash.low64, hash.high64};
}

uint64_t mr_item_key(mr_bytes id)
{
    return mr_hash64(id.data, id.size, ITEM_SEED);
}

uint64_t mr_user_key(mr_bytes id)
{
    return mr_hash64(id.data, id.size, USER_SEED);
}

mr_hash128 mr_row_hash(mr_bytes key, mr_bytes value)
{
    return mr_hash128_of(value.data, value.size, mr_hash64(key.data, key.size, 0));
}

void mr_hash128_add(mr_hash128 *sum, mr_hash128 value)
{
    sum->low += value.low;
    sum->high += value.high + (sum->low < value.low);
}

void mr_hash128_subtract(mr_hash128 *sum, mr_hash128 value)
{
    const uint64_t borrow = sum->low < value.low;
    sum->low -= value.low;
    sum->high -= value.high + borrow;
}

uint32_t mr_murmur2(mr_bytes key)
{
    const uint32_t m = 0x5bd1e995u;
    uint32_t h = 0x9747b28cu ^ key.size;
    uint32_t i = 0;
    for (; i + 4 <= key.size; i += 4) {
        uint32_t k = (uint32_t)key.data[i] | (uint32_t)key.data[i + 1] << 8 |
                     (uint32_t)key.data[i + 2] << 16 | (uint32_t)key.data[i + 3] << 24;
        k *= m;
        k ^= k >> 24;
        k *= m;
        h *= m;
        h ^= k;
    }
    const uint32_t rest = key.size - i;
    if (rest >= 3)
        h ^= (uint32_t)key.data[i + 2] << 16;
    if (rest >= 2)
        h ^= (uint32_t)key.data[i + 1] << 8;
    if (rest >= 1) {
        h ^= key.data[i];
        h *= m;
    }
    h ^= h >> 13;
    h *= m;
    h ^= h >> 15;
    return h;
}

uint32_t mr_partition_of(mr_bytes key, uint32_t partition_count)
{
    return (mr_murmur2(key) & 0x7fffffffu) % partition_count;
}

uint64_t mr_category_key(mr_bytes name)
{
    return mr_hash64(name.data, name.size, 0) | 1u;
}
