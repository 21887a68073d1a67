// SPDX-License-Identifier: Apache-2.0
// json_scan: the tokens of JSON in bounded bytes. Inline: this is the inner loop of its decoding.
//
// Each function takes a cursor and gives the one behind the token; NULL: the bytes are no such
// token, and *fault says where and why. Nothing at or behind `end` is read. Source: RFC 8259.
#ifndef MR_SCHEMAS_JSON_SCAN_H
#define MR_SCHEMAS_JSON_SCAN_H

#include <string.h>

#include "core/base/bytes.h"
#include "core/base/error.h"
#include "schemas/utf8.h"

typedef struct mr_json_fault {
    const uint8_t *at;
    const char *want; // what would be right
    mr_cause cause;
} mr_json_fault;

typedef struct mr_json_string {
    mr_bytes raw; // between the quotes
    bool escaped;
} mr_json_string;

static inline const uint8_t *mr_json_fail(mr_json_fault *fault, const uint8_t *at, const char *want)
{
    *fault = (mr_json_fault){at, want, MR_CAUSE_bad_json};
    return NULL;
}

static inline const uint8_t *mr_json_cut(mr_json_fault *fault, const uint8_t *end)
{
    *fault = (mr_json_fault){end, "more", MR_CAUSE_truncated};
    return NULL;
}

static inline const uint8_t *mr_json_space(const uint8_t *p, const uint8_t *end)
{
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
        p++;
    return p;
}

// Behind an escape, whose backslash stands at p; a pair of surrogates is one.
const uint8_t *mr_json_escape(const uint8_t *p, const uint8_t *end, mr_json_fault *fault);

#define MR_EACH_BYTE(value) (UINT64_C(0x0101010101010101) * (value))

// Bits at the bytes of a word that end a run of plain characters: a quote, a backslash, a control
// character. The lowest bit is exact; others may be wrong.
static inline uint64_t mr_json_stops(uint64_t word)
{
    const uint64_t quote = word ^ MR_EACH_BYTE('"'), slash = word ^ MR_EACH_BYTE('\\');
    return (((quote - MR_EACH_BYTE(1)) & ~quote) | ((slash - MR_EACH_BYTE(1)) & ~slash) |
            ((word - MR_EACH_BYTE(0x20)) & ~word)) &
           MR_ASCII_HIGH;
}

// Behind the plain characters from p on; *high gathers whether any was beyond ASCII.
static inline const uint8_t *mr_json_plain(const uint8_t *p, const uint8_t *end, uint64_t *high)
{
    while (end - p >= 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        const uint64_t stops = mr_json_stops(word);
        *high |= word; // of bytes behind the string too: then it is looked at for nothing
        if (stops != 0)
            return p + ((unsigned)__builtin_ctzll(stops) >> 3);
        p += 8;
    }
    for (; p < end && *p != '"' && *p != '\\' && *p >= 0x20; p++)
        *high |= *p;
    return p;
}

// A string; p is behind its first quote.
static inline const uint8_t *mr_json_string_at(const uint8_t *p, const uint8_t *end,
                                               mr_json_string *string, mr_json_fault *fault)
{
    const uint8_t *const first = p;
    uint64_t high = 0;
    string->escaped = false;
    for (;;) {
        p = mr_json_plain(p, end, &high);
        if (p == end)
            return mr_json_cut(fault, end);
        if (*p == '"')
            break;
        if (*p != '\\')
            return mr_json_fail(fault, p, "no control character in a string");
        string->escaped = true;
        p = mr_json_escape(p, end, fault);
        if (p == NULL)
            return NULL;
    }
    string->raw = mr_bytes_of(first, (size_t)(p - first));
    if ((high & MR_ASCII_HIGH) != 0 && !mr_utf8_check(first, string->raw.size)) {
        *fault = (mr_json_fault){first, "UTF-8", MR_CAUSE_bad_utf8};
        return NULL;
    }
    return p + 1;
}

static inline const uint8_t *mr_json_digits(const uint8_t *p, const uint8_t *end,
                                            mr_json_fault *fault)
{
    if (p < end && (*p < '0' || *p > '9'))
        return mr_json_fail(fault, p, "a digit");
    while (p < end && *p >= '0' && *p <= '9')
        p++;
    return p < end ? p : mr_json_cut(fault, end); // nothing that we read ends in a number
}

// A number; *whole: it has neither point nor exponent.
static inline const uint8_t *mr_json_number_at(const uint8_t *p, const uint8_t *end,
                                               mr_bytes *number, bool *whole, mr_json_fault *fault)
{
    const uint8_t *const first = p;
    p += *p == '-';
    const bool zero = p < end && *p == '0';
    const uint8_t *const integer = p;
    if ((p = mr_json_digits(p, end, fault)) == NULL)
        return NULL;
    if (zero && p - integer > 1)
        return mr_json_fail(fault, integer, "a number without a leading zero");
    *whole = true;
    if (*p == '.') {
        *whole = false;
        if ((p = mr_json_digits(p + 1, end, fault)) == NULL)
            return NULL;
    }
    if (*p == 'e' || *p == 'E') {
        *whole = false;
        p++;
        p += p < end && (*p == '+' || *p == '-');
        if ((p = mr_json_digits(p, end, fault)) == NULL)
            return NULL;
    }
    *number = mr_bytes_of(first, (size_t)(p - first));
    return p;
}

static inline const uint8_t *mr_json_word(const uint8_t *p, const uint8_t *end, const char *word,
                                          uint32_t size, mr_json_fault *fault)
{
    if ((size_t)(end - p) < size)
        return mr_json_cut(fault, end);
    return memcmp(p, word, size) == 0 ? p + size
                                      : mr_json_fail(fault, p, "true, false, null or a value");
}

// One value, whatever it is, depth levels of others around it.
const uint8_t *mr_json_skip(const uint8_t *p, const uint8_t *end, uint32_t depth,
                            mr_json_fault *fault);

// Writes the text of a string; returns its size, which is at most that of the raw one.
uint32_t mr_json_unescape(mr_bytes raw, uint8_t *to);

// The double nearest to a number. False: it is beyond them.
bool mr_json_double(mr_bytes number, double *value);

#endif
