// SPDX-License-Identifier: Apache-2.0
#include "core/base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name, *text;
} causes[MR_CAUSE_COUNT] = {
    [MR_CAUSE_NONE] = {"none", "no error"},
#define MR_CAUSE(name, text) [MR_CAUSE_##name] = {#name, text},
#include "core/base/causes.def"
#undef MR_CAUSE
};

mr_status mr_fail(mr_error *err, mr_status status, const char *format, ...)
{
    va_list args;
    err->status = status;
    err->cause = MR_CAUSE_NONE;
    va_start(args, format);
    vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    return status;
}

mr_status mr_reject(mr_error *err, mr_cause cause, const char *format, ...)
{
    va_list args;
    err->status = MR_REJECT;
    err->cause = cause;
    va_start(args, format);
    vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    return MR_REJECT;
}

mr_status mr_wrap(mr_error *err, const char *format, ...)
{
    char place[sizeof err->text];
    va_list args;
    va_start(args, format);
    const int written = vsnprintf(place, sizeof place, format, args);
    va_end(args);
    size_t size = written < 0 ? 0 : (size_t)written;
    if (size > sizeof place / 2)
        size = sizeof place / 2; // keep at least half of the text for the cause
    const size_t room = sizeof err->text - size - 3;
    size_t rest = strlen(err->text);
    if (rest > room)
        rest = room;
    memmove(err->text + size + 2, err->text, rest);
    memcpy(err->text, place, size);
    memcpy(err->text + size, ": ", 2);
    err->text[size + 2 + rest] = '\0';
    return err->status;
}

const char *mr_cause_name(mr_cause cause)
{
    return causes[cause].name;
}

mr_cause mr_cause_of(const char *name)
{
    for (uint32_t cause = MR_CAUSE_NONE + 1; cause < sizeof causes / sizeof causes[0]; cause++)
        if (strcmp(causes[cause].name, name) == 0)
            return (mr_cause)cause;
    return MR_CAUSE_NONE;
}

const char *mr_cause_text(mr_cause cause)
{
    return causes[cause].text;
}

void mr_assert_failed(const char *expression, const char *file, int line)
{
    fprintf(stderr, "millrace: internal error, please report: %s:%d: %s\n", file, line, expression);
    abort();
}
