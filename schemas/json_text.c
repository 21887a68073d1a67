// SPDX-License-Identifier: Apache-2.0
#include <math.h>
#include <stdlib.h>

#include "schemas/json_build.h"
#include "schemas/json_scan.h"

// ---- escapes

static int hex_of(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// Four hexadecimal digits; -1: they are none.
static int32_t unit_at(const uint8_t *p)
{
    int32_t unit = 0;
    for (uint32_t i = 0; i < 4; i++) {
        const int digit = hex_of(p[i]);
        if (digit < 0)
            return -1;
        unit = unit << 4 | digit;
    }
    return unit;
}

static bool is_high(int32_t unit)
{
    return unit >= 0xd800 && unit <= 0xdbff;
}

static bool is_low(int32_t unit)
{
    return unit >= 0xdc00 && unit <= 0xdfff;
}

const uint8_t *mr_json_escape(const uint8_t *p, const uint8_t *end, mr_json_fault *fault)
{
    if (end - p < 2)
        return mr_json_cut(fault, end);
    if (p[1] != 'u')
        return memchr("\"\\/bfnrt", p[1], 8) != NULL
                   ? p + 2
                   : mr_json_fail(fault, p, "one of \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\u");
    if (end - p < 6)
        return mr_json_cut(fault, end);
    const int32_t unit = unit_at(p + 2);
    if (unit < 0)
        return mr_json_fail(fault, p, "four hexadecimal digits behind \\u");
    if (!is_high(unit))
        return is_low(unit) ? mr_json_fail(fault, p, "a surrogate in its pair") : p + 6;
    if (end - p < 12)
        return end - p >= 8 && (p[6] != '\\' || p[7] != 'u')
                   ? mr_json_fail(fault, p, "a surrogate in its pair")
                   : mr_json_cut(fault, end);
    return p[6] == '\\' && p[7] == 'u' && is_low(unit_at(p + 8))
               ? p + 12
               : mr_json_fail(fault, p, "a surrogate in its pair");
}

static uint8_t *put_utf8(uint8_t *to, uint32_t c)
{
    if (c < 0x80) {
        *to++ = (uint8_t)c;
    } else if (c < 0x800) {
        *to++ = (uint8_t)(0xc0 | c >> 6);
        *to++ = (uint8_t)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        *to++ = (uint8_t)(0xe0 | c >> 12);
        *to++ = (uint8_t)(0x80 | (c >> 6 & 0x3f));
        *to++ = (uint8_t)(0x80 | (c & 0x3f));
    } else {
        *to++ = (uint8_t)(0xf0 | c >> 18);
        *to++ = (uint8_t)(0x80 | (c >> 12 & 0x3f));
        *to++ = (uint8_t)(0x80 | (c >> 6 & 0x3f));
        *to++ = (uint8_t)(0x80 | (c & 0x3f));
    }
    return to;
}

uint32_t mr_json_unescape(mr_bytes raw, uint8_t *to)
{
    static const char from_letters[] = "bfnrt", to_letters[] = "\b\f\n\r\t";
    const uint8_t *p = raw.data, *const end = raw.data + raw.size;
    const uint8_t *const first = to;
    while (p < end) {
        if (*p != '\\') {
            *to++ = *p++;
            continue;
        }
        if (p[1] != 'u') {
            const char *letter = memchr(from_letters, p[1], sizeof from_letters - 1);
            *to++ = letter != NULL ? (uint8_t)to_letters[letter - from_letters] : p[1];
            p += 2;
            continue;
        }
        uint32_t c = (uint32_t)unit_at(p + 2);
        p += 6;
        if (is_high((int32_t)c)) {
            c = 0x10000 + ((c - 0xd800) << 10) + ((uint32_t)unit_at(p + 2) - 0xdc00);
            p += 6;
        }
        to = put_utf8(to, c);
    }
    return (uint32_t)(to - first);
}

// ---- numbers

bool mr_json_double(mr_bytes number, double *value)
{
    static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                    1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    const uint8_t *p = number.data, *const end = p + number.size;
    uint64_t digits = 0;
    uint32_t after = 0; // digits behind the point
    bool point = false;
    const bool negative = *p == '-';
    // Up to 2^53 and 10^22 both are exact doubles, and one division rounds once. Source: Clinger,
    // "How to read floating point numbers accurately" (1990).
    for (p += negative; p < end && number.size < 18; p++) {
        if (*p == '.') {
            point = true;
        } else if (*p >= '0' && *p <= '9') {
            digits = digits * 10 + (uint64_t)(*p - '0');
            after += point;
        } else {
            break;
        }
    }
    if (p == end && digits <= UINT64_C(1) << 53) {
        *value = (double)digits / powers[after];
        *value = negative ? -*value : *value;
        return true;
    }
    // A number is followed by a byte that is none of its own, where strtod stops.
    *value = strtod((const char *)number.data, NULL);
    return isfinite(*value);
}

// ---- what nobody wants

// A name and its colon.
static const uint8_t *skip_name(const uint8_t *p, const uint8_t *end, mr_json_fault *fault)
{
    mr_json_string name;
    if (p == end)
        return mr_json_cut(fault, end);
    if (*p != '"')
        return mr_json_fail(fault, p, "a name in quotes");
    if ((p = mr_json_string_at(p + 1, end, &name, fault)) == NULL)
        return NULL;
    p = mr_json_space(p, end);
    if (p == end)
        return mr_json_cut(fault, end);
    return *p == ':' ? mr_json_space(p + 1, end) : mr_json_fail(fault, p, "':' behind a name");
}

static const uint8_t *skip_scalar(const uint8_t *p, const uint8_t *end, mr_json_fault *fault)
{
    mr_json_string string;
    mr_bytes number;
    bool whole;
    switch (*p) {
    case '"':
        return mr_json_string_at(p + 1, end, &string, fault);
    case 't':
        return mr_json_word(p, end, "true", 4, fault);
    case 'f':
        return mr_json_word(p, end, "false", 5, fault);
    case 'n':
        return mr_json_word(p, end, "null", 4, fault);
    default:
        if (*p != '-' && (*p < '0' || *p > '9'))
            return mr_json_fail(fault, p, "a value");
        return mr_json_number_at(p, end, &number, &whole, fault);
    }
}

const uint8_t *mr_json_skip(const uint8_t *p, const uint8_t *end, uint32_t depth,
                            mr_json_fault *fault)
{
    uint64_t objects = 0; // by level, the innermost lowest: whether it is an object
    uint32_t open = 0;
    for (;;) {
        if (p == end)
            return mr_json_cut(fault, end);
        bool ended = true; // the value at hand
        if (*p == '{' || *p == '[') {
            const bool object = *p == '{';
            if (depth + open == MR_JSON_DEPTH_MAX) {
                *fault = (mr_json_fault){p, "less nesting", MR_CAUSE_too_deep};
                return NULL;
            }
            p = mr_json_space(p + 1, end);
            if (p == end)
                return mr_json_cut(fault, end);
            ended = *p == (object ? '}' : ']');
            if (ended) {
                p++;
            } else {
                objects = objects << 1 | object;
                open++;
                if (object && (p = skip_name(p, end, fault)) == NULL)
                    return NULL;
            }
        } else if ((p = skip_scalar(p, end, fault)) == NULL) {
            return NULL;
        }
        while (ended && open > 0) {
            p = mr_json_space(p, end);
            if (p == end)
                return mr_json_cut(fault, end);
            const bool object = (objects & 1) != 0;
            if (*p == ',') {
                p = mr_json_space(p + 1, end);
                if (object && (p = skip_name(p, end, fault)) == NULL)
                    return NULL;
                ended = false;
            } else if (*p == (object ? '}' : ']')) {
                p++;
                objects >>= 1;
                open--;
            } else {
                return mr_json_fail(fault, p, object ? "',' or '}'" : "',' or ']'");
            }
        }
        if (ended)
            return p;
    }
}
