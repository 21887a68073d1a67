// SPDX-License-Identifier: Apache-2.0
// values: fields of an event from text, as files have them.
#ifndef MR_WORKER_INPUT_VALUES_H
#define MR_WORKER_INPUT_VALUES_H

#include "core/event/event.h"
#include "schemas/mapping.h"

typedef struct mr_value_use {
    mr_field field;
    mr_time_unit unit;
    const char *name; // of the column, for errors
} mr_value_use;

// Empties an event. Its lines will stand in `line`, which has room for one.
void mr_values_begin(mr_event *event, mr_event_kind kind, mr_line *line);

// Fills a field; the event borrows the text. Categories are divided by '|', the numbers of a vector
// by spaces: they go to event->vector. Not for lines and context. Errors: MR_REJECT: the column, what it wants and what it has.
MR_CHECKED mr_status mr_values_fill(const mr_value_use *use, mr_bytes value, mr_event *event,
                                    mr_error *err);

// A pair of the context; those beyond MR_PAIRS_MAX are passed over.
void mr_values_pair(mr_bytes name, mr_bytes value, mr_event *event);

// The item of a purchase or an impression becomes its only line.
void mr_values_end(mr_event *event);

// Whether a text alone can fill the field.
bool mr_values_can_fill(mr_field field);

// The members of an event that hold a text or a double; NULL: the field is of another type.
mr_bytes *mr_values_text(mr_event *event, mr_field field);
double *mr_values_double(mr_event *event, mr_field field);

// The error that a column of this name does not have what it wants.
mr_status mr_values_bad(const char *name, const char *want, mr_bytes have, mr_error *err);

#endif
