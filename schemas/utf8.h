// SPDX-License-Identifier: Apache-2.0
// utf8: is a run of bytes UTF-8? Eight bytes at a time while it is ASCII, which ids nearly always
// are.
#ifndef MR_SCHEMAS_UTF8_H
#define MR_SCHEMAS_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define MR_ASCII_HIGH UINT64_C(0x8080808080808080)

// The full check: no overlong forms, no surrogates, nothing above U+10FFFF.
// Source: The Unicode Standard, table 3-7 (well-formed UTF-8 byte sequences).
bool mr_utf8_check(const uint8_t *bytes, size_t size);

// The same; inline for short ASCII. `readable` >= size bytes may be read, which saves a loop for
// the common id of up to eight bytes in the middle of a message.
static inline bool mr_utf8_valid(const uint8_t *bytes, size_t size, size_t readable)
{
    uint64_t word, high = 0;
    if (readable < 8)
        return mr_utf8_check(bytes, size);
    if (size <= 8) {
        memcpy(&word, bytes, 8);
        // Little-endian: the string is in the low `size` bytes. Shifting twice allows for size 0.
        if ((word << 4 * (8 - size) << 4 * (8 - size) & MR_ASCII_HIGH) == 0)
            return true;
        return mr_utf8_check(bytes, size);
    }
    for (size_t i = 0; i + 8 < size; i += 8) {
        memcpy(&word, bytes + i, 8);
        high |= word;
    }
    memcpy(&word, bytes + size - 8, 8); // overlaps what was looked at, never leaves the string
    high |= word;
    return (high & MR_ASCII_HIGH) == 0 || mr_utf8_check(bytes, size);
}

#endif
