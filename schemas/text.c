// SPDX-License-Identifier: Apache-2.0
#include "schemas/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBER_BYTES_MAX = 64 };

bool mr_text_long(mr_bytes text, int64_t *value)
{
    uint32_t i = text.size > 0 && (text.data[0] == '-' || text.data[0] == '+');
    const bool negative = text.size > 0 && text.data[0] == '-';
    int64_t sum = 0;
    if (i == text.size)
        return false;
    for (; i < text.size; i++) {
        const int64_t digit = (int64_t)text.data[i] - '0';
        if (digit < 0 || digit > 9 || __builtin_mul_overflow(sum, 10, &sum) ||
            __builtin_add_overflow(sum, negative ? -digit : digit, &sum))
            return false;
    }
    *value = sum;
    return true;
}

bool mr_text_double(mr_bytes text, double *value)
{
    char copy[NUMBER_BYTES_MAX], *end;
    int64_t whole;
    if (text.size < 16 && mr_text_long(text, &whole)) { // exact below 2^53, and most are whole
        *value = (double)whole;
        return true;
    }
    if (text.size == 0 || text.size >= sizeof copy)
        return false;
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    *value = strtod(copy, &end);
    return end == copy + text.size && copy[0] != ' ';
}

// Exactly `digits` digits from *at on.
static bool take_digits(mr_bytes text, uint32_t *at, uint32_t digits, int64_t *value)
{
    *value = 0;
    if (text.size - *at < digits)
        return false;
    for (const uint32_t end = *at + digits; *at < end; ++*at) {
        const uint8_t c = text.data[*at];
        if (c < '0' || c > '9')
            return false;
        *value = *value * 10 + (c - '0');
    }
    return true;
}

static bool take_byte(mr_bytes text, uint32_t *at, char wanted)
{
    const bool is = *at < text.size && text.data[*at] == (uint8_t)wanted;
    *at += is;
    return is;
}

// Days from 1970-01-01 to a day of the Gregorian calendar: years begin in March, so that the leap
// day is the last of its year.
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
    const int64_t y = month > 2 ? year : year - 1, m = month > 2 ? month - 3 : month + 9;
    return 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 719469;
}

static bool take_date(mr_bytes text, uint32_t *at, int64_t *days)
{
    static const uint8_t lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int64_t year, month, day;
    if (!take_digits(text, at, 4, &year) || !take_byte(text, at, '-') ||
        !take_digits(text, at, 2, &month) || !take_byte(text, at, '-') ||
        !take_digits(text, at, 2, &day) || year < 1 || month < 1 || month > 12 || day < 1)
        return false;
    const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    *days = days_of(year, month, day);
    return day <= lengths[month - 1] + (month == 2 && leap);
}

// Hours and minutes, then seconds and parts of them if they are there.
static bool take_clock(mr_bytes text, uint32_t *at, int64_t *millis)
{
    int64_t hours, minutes, seconds = 0, unit = 100;
    if (!take_digits(text, at, 2, &hours) || !take_byte(text, at, ':') ||
        !take_digits(text, at, 2, &minutes) || hours > 23 || minutes > 59)
        return false;
    *millis = (hours * 60 + minutes) * 60000;
    if (!take_byte(text, at, ':'))
        return true;
    if (!take_digits(text, at, 2, &seconds) || seconds > 60)
        return false;
    *millis += seconds * 1000;
    if (!take_byte(text, at, '.'))
        return true;
    const uint32_t first = *at;
    for (int64_t digit; *at < text.size && take_digits(text, at, 1, &digit); unit /= 10)
        *millis += digit * unit;
    // A letter behind the digits has moved nothing: take_digits stops at it.
    return *at > first;
}

// Z, +hh:mm, +hhmm, +hh or nothing, which is UTC.
static bool take_zone(mr_bytes text, uint32_t *at, int64_t *millis)
{
    int64_t hours, minutes = 0;
    *millis = 0;
    if (*at == text.size || take_byte(text, at, 'Z'))
        return true;
    const bool west = take_byte(text, at, '-');
    if (!west && !take_byte(text, at, '+'))
        return false;
    if (!take_digits(text, at, 2, &hours) || hours > 23)
        return false;
    if (*at < text.size) {
        (void)take_byte(text, at, ':');
        if (!take_digits(text, at, 2, &minutes) || minutes > 59)
            return false;
    }
    *millis = (west ? -1 : 1) * (hours * 60 + minutes) * 60000;
    return true;
}

// ISO 8601 as logs have it: a date, then behind T or a space a time of day and a zone.
// Source: RFC 3339; a missing time of day is midnight, a missing zone UTC, and parts of seconds
// below a millisecond are cut.
static bool parse_iso(mr_bytes text, int64_t *millis)
{
    uint32_t at = 0;
    int64_t days, clock = 0, zone = 0;
    if (!take_date(text, &at, &days))
        return false;
    if (at < text.size && ((!take_byte(text, &at, 'T') && !take_byte(text, &at, ' ')) ||
                           !take_clock(text, &at, &clock) || !take_zone(text, &at, &zone)))
        return false;
    *millis = days * 86400000 + clock - zone;
    return at == text.size;
}

bool mr_text_time(mr_bytes text, mr_time_unit unit, int64_t *millis)
{
    double real;
    int64_t whole;
    if (unit == MR_TIME_ISO)
        return parse_iso(text, millis);
    if (unit == MR_TIME_AUTO || unit == MR_TIME_MILLIS)
        return mr_text_long(text, millis);
    if (mr_text_long(text, &whole)) {
        const int64_t divisor = unit == MR_TIME_NANOS ? 1000000 : 1000;
        if (unit == MR_TIME_SECONDS)
            return !__builtin_mul_overflow(whole, 1000, millis);
        *millis = whole / divisor - (whole % divisor < 0);
        return true;
    }
    if (unit != MR_TIME_SECONDS || !mr_text_double(text, &real) || !(fabs(real) < 4e12))
        return false;
    *millis = (int64_t)(real * 1000 + (real < 0 ? -0.5 : 0.5));
    return true;
}
