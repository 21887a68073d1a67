// SPDX-License-Identifier: Apache-2.0
// text: numbers and times that stand in texts. All of the text has to be one; nothing is allocated.
#ifndef MR_SCHEMAS_TEXT_H
#define MR_SCHEMAS_TEXT_H

#include "core/base/bytes.h"
#include "schemas/mapping.h"

// Decimal digits with an optional sign, within 64 bits.
bool mr_text_long(mr_bytes text, int64_t *value);

// A decimal number, rounded to the nearest double.
bool mr_text_double(mr_bytes text, double *value);

// Milliseconds since 1970 UTC from a number in a unit (MR_TIME_AUTO: milliseconds), of seconds also
// a fractional one; or from ISO 8601 as logs have it: a date, then behind T or a space a time of
// day and a zone. A missing time of day is midnight, a missing zone UTC, and parts of seconds below
// a millisecond are cut. Source: RFC 3339.
bool mr_text_time(mr_bytes text, mr_time_unit unit, int64_t *millis);

#endif
