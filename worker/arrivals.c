// SPDX-License-Identifier: Apache-2.0
#include "worker/arrivals.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

// Made-up events.

typedef struct made {
    mr_traffic *traffic;
    uint64_t done, total;
    mr_line line;
    char texts[MR_TRAFFIC_TEXT_BYTES];
} made;

static mr_status made_next(void *context, mr_arrival *arrival, bool *more, mr_error *err)
{
    made *m = context;
    (void)err;
    *more = m->done < m->total;
    if (!*more)
        return MR_OK;
    *arrival = (mr_arrival){.offset = (int64_t)++m->done, .event.lines = &m->line};
    mr_traffic_next(m->traffic, mr_traffic_clock(m->traffic), m->texts, &arrival->event);
    arrival->record_ms = arrival->event.time_ms;
    return MR_OK;
}

static void made_progress(void *context, uint64_t *done, uint64_t *total)
{
    const made *m = context;
    *done = m->done;
    *total = m->total;
}

static void made_close(void *context)
{
    made *m = context;
    mr_traffic_close(m->traffic);
    free(m);
}

mr_status mr_arrivals_of_traffic(const mr_traffic_options *traffic, mr_arrivals *arrivals,
                                 mr_error *err)
{
    made *m = calloc(1, sizeof *m);
    if (m == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    m->total = traffic->events;
    const mr_status status = mr_traffic_open(traffic, &m->traffic, err);
    if (status != MR_OK) {
        free(m);
        return status;
    }
    *arrivals = (mr_arrivals){m, "generated events", made_next, made_progress, made_close};
    return MR_OK;
}

// Ranges.

static bool read_offset(const char *text, int64_t *value)
{
    char *end;
    *value = strtoll(text, &end, 10);
    return end != text && *end == '\0' && *value >= 0;
}

static bool read_time(const char *text, int64_t *ms)
{
    static const char *const forms[] = {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d"};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        struct tm parts = {0};
        const char *rest = strptime(text, forms[i], &parts);
        int64_t thousandths = 0;
        if (rest == NULL)
            continue;
        if (i == 0 && *rest == '.') {
            int64_t unit = 100;
            for (rest++; *rest >= '0' && *rest <= '9'; rest++, unit /= 10)
                thousandths += (*rest - '0') * unit;
        }
        if (strcmp(rest, i == 2 ? "" : "Z") != 0)
            continue;
        *ms = (int64_t)timegm(&parts) * 1000 + thousandths;
        return true;
    }
    return false;
}

mr_status mr_range_parse(const char *text, mr_range_end *end, mr_error *err)
{
    *end = (mr_range_end){.kind = MR_RANGE_WHOLE};
    if (strcmp(text, "beginning") == 0 || strcmp(text, "end") == 0)
        return MR_OK;
    if (read_offset(text, &end->value))
        end->kind = MR_RANGE_OFFSET;
    else if (read_time(text, &end->value))
        end->kind = MR_RANGE_TIME;
    else
        return mr_fail(err, MR_FATAL,
                       "found '%s', want an offset, beginning, end, or a time in UTC such as "
                       "2026-01-31 or 2026-01-31T12:30:00Z",
                       text);
    return MR_OK;
}

const char *mr_range_time(int64_t time_ms, char text[MR_RANGE_TIME_BYTES])
{
    struct tm utc;
    const time_t seconds = (time_t)(time_ms / 1000);
    size_t size = 0;
    if (time_ms > 0 && gmtime_r(&seconds, &utc) != NULL)
        size = strftime(text, MR_RANGE_TIME_BYTES, "%Y-%m-%dT%H:%M:%S", &utc);
    if (size == 0)
        return strcpy(text, "-");
    snprintf(text + size, MR_RANGE_TIME_BYTES - size, ".%03dZ", (int)(time_ms % 1000));
    return text;
}
