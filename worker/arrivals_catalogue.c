// SPDX-License-Identifier: Apache-2.0
// arrivals_catalogue: a file of items before the arrivals of something else, as of the time of the
// first of these. The first one is held back while the catalogue is given; it stays in its reader's
// memory until that is read on.
#include <stdlib.h>

#include "worker/arrivals.h"
#include "worker/input/input.h"

typedef struct catalogued {
    mr_input *items; // NULL: all of them were given
    mr_arrivals behind;
    mr_arrival first; // of those behind
    bool has_first, more;
    int64_t given;
} catalogued;

static void end_catalogue(catalogued *c)
{
    mr_input_close(c->items);
    c->items = NULL;
}

static mr_status next_item(catalogued *c, mr_arrival *arrival, bool *more, mr_error *err)
{
    const int64_t time_ms = c->first.event.time_ms;
    *arrival = (mr_arrival){.partition = -1, .offset = ++c->given, .record_ms = time_ms};
    MR_TRY(mr_input_next(c->items, &arrival->event, more, err));
    if (*more && arrival->event.kind != MR_EVENT_CATALOGUE)
        return mr_reject(err, MR_CAUSE_bad_value, "a catalogue has items: found a %s",
                         mr_event_kind_name(arrival->event.kind));
    arrival->event.time_ms = time_ms;
    arrival->event.present |= 1u << MR_FIELD_time;
    return MR_OK;
}

static mr_status catalogued_next(void *context, mr_arrival *arrival, bool *more, mr_error *err)
{
    catalogued *c = context;
    if (c->items != NULL && !c->has_first) {
        MR_TRY(c->behind.next(c->behind.context, &c->first, &c->more, err));
        c->has_first = true;
    }
    if (c->items != NULL && c->more) {
        MR_TRY(next_item(c, arrival, more, err));
        if (*more)
            return MR_OK;
    }
    end_catalogue(c);
    if (!c->has_first)
        return c->behind.next(c->behind.context, arrival, more, err);
    *arrival = c->first;
    *more = c->more;
    c->has_first = false;
    return MR_OK;
}

static void catalogued_progress(void *context, uint64_t *done, uint64_t *total)
{
    const catalogued *c = context;
    c->behind.progress(c->behind.context, done, total);
}

static void catalogued_close(void *context)
{
    catalogued *c = context;
    end_catalogue(c);
    c->behind.close(c->behind.context);
    free(c);
}

mr_status mr_arrivals_with_catalogue(const char *path, mr_arrivals *arrivals, mr_error *err)
{
    const mr_mapping rows_are_items = {.kind = MR_EVENT_CATALOGUE};
    catalogued *c = calloc(1, sizeof *c);
    mr_status status = c != NULL ? mr_input_open(path, &rows_are_items, &c->items, err)
                                 : mr_fail(err, MR_FATAL, "out of memory");
    if (status != MR_OK) {
        free(c);
        return status;
    }
    c->behind = *arrivals;
    *arrivals = (mr_arrivals){c, c->behind.name, catalogued_next, catalogued_progress,
                              catalogued_close};
    return MR_OK;
}
