// SPDX-License-Identifier: Apache-2.0
// bytes: a borrowed run of bytes. Never owns, never ends in a NUL, may hold anything.
#ifndef MR_CORE_BASE_BYTES_H
#define MR_CORE_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct mr_bytes {
    const uint8_t *data; // NULL only where size is 0
    uint32_t size;
} mr_bytes;

static inline mr_bytes mr_bytes_of(const void *data, size_t size)
{
    return (mr_bytes){data, (uint32_t)size};
}

static inline mr_bytes mr_bytes_text(const char *text)
{
    return (mr_bytes){(const uint8_t *)text, (uint32_t)strlen(text)};
}

static inline bool mr_bytes_equal(mr_bytes a, mr_bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

// Lexicographic by unsigned byte, the shorter first: the order of LMDB's keys.
static inline int mr_bytes_compare(mr_bytes a, mr_bytes b)
{
    const uint32_t size = a.size < b.size ? a.size : b.size;
    const int order = size > 0 ? memcmp(a.data, b.data, size) : 0;
    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

#endif
