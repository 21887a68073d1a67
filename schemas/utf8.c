// SPDX-License-Identifier: Apache-2.0
#include "schemas/utf8.h"

static bool is_tail(uint8_t byte)
{
    return (byte & 0xc0) == 0x80;
}

// The size of the sequence at `at`, which begins with a byte above 0x7f; 0 if it is not
// well-formed.
static size_t sequence(const uint8_t *at, size_t left)
{
    const uint8_t lead = at[0];
    if (lead >= 0xc2 && lead <= 0xdf)
        return left >= 2 && is_tail(at[1]) ? 2 : 0;
    if (lead >= 0xe0 && lead <= 0xef) {
        const uint8_t low = lead == 0xe0 ? 0xa0 : 0x80;  // below: overlong
        const uint8_t high = lead == 0xed ? 0x9f : 0xbf; // above: surrogates
        return left >= 3 && at[1] >= low && at[1] <= high && is_tail(at[2]) ? 3 : 0;
    }
    if (lead >= 0xf0 && lead <= 0xf4) {
        const uint8_t low = lead == 0xf0 ? 0x90 : 0x80;  // below: overlong
        const uint8_t high = lead == 0xf4 ? 0x8f : 0xbf; // above: beyond U+10FFFF
        return left >= 4 && at[1] >= low && at[1] <= high && is_tail(at[2]) && is_tail(at[3]) ? 4
                                                                                              : 0;
    }
    return 0;
}

bool mr_utf8_check(const uint8_t *bytes, size_t size)
{
    size_t i = 0;
    while (i < size) {
        uint64_t word;
        if (size - i >= 8) {
            memcpy(&word, bytes + i, 8);
            if ((word & MR_ASCII_HIGH) == 0) {
                i += 8;
                continue;
            }
        }
        if (bytes[i] < 0x80) {
            i++;
            continue;
        }
        const size_t step = sequence(bytes + i, size - i);
        if (step == 0)
            return false;
        i += step;
    }
    return true;
}
