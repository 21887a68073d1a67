// SPDX-License-Identifier: Apache-2.0
// csv: the rows of a CSV file as events.
//
// RFC 4180: comma, quotes that double themselves, line breaks in quotes; the first row names the
// columns. A column fills a field if the mapping says so or if it is called like the field;
// timestamp_ms is the time, type is the kind of the event, context.NAME is a pair of the context,
// categories (in such a catalogue also category) are divided by '|', and the numbers of a vector by spaces. Other columns
// are passed over; in a catalogue that no mapping describes they are attributes: pairs too. An empty value is an absent
// field.
#ifndef MR_WORKER_INPUT_CSV_H
#define MR_WORKER_INPUT_CSV_H

#include "core/event/event.h"
#include "schemas/mapping.h"
#include "worker/input/stream.h"

typedef struct mr_csv mr_csv;

// Reads the first row. The stream is borrowed. mapping NULL: columns are called like fields, and
// there is a column `type`; paths of a mapping are names of columns, its kind that of rows without
// a type. Errors: MR_FATAL with path and line: no user, item or time can be found in any column,
// two columns fill one field, more columns or bytes than allowed.
MR_CHECKED mr_status mr_csv_open(mr_stream *stream, const mr_mapping *mapping, mr_csv **csv,
                                 mr_error *err);
void mr_csv_close(mr_csv *csv);

// The next row. Texts live until the next call; lines are the file's. A purchase or an impression
// has its item as its only line. *more false: the end. Errors: MR_REJECT with path, line and
// column: this row is bad; MR_FATAL: the file is.
MR_CHECKED mr_status mr_csv_next(mr_csv *csv, mr_event *event, bool *more, mr_error *err);

#endif
