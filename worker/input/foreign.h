// SPDX-License-Identifier: Apache-2.0
// foreign: the events of somebody else's log, CSV or JSON lines, as a mapping file says.
//
// One pass, bounded memory: a row or a line has at most MR_TABLE_ROW_MAX bytes. Lines are looked
// through where they stand; nothing is allocated.
#ifndef MR_WORKER_INPUT_FOREIGN_H
#define MR_WORKER_INPUT_FOREIGN_H

#include "worker/input/format.h"
#include "worker/input/stream.h"

typedef struct mr_foreign mr_foreign;

// Reads the header, if there is one. The stream is borrowed, the format for the call only.
// Errors: MR_FATAL with path and line: no such column, an empty file that should have a header.
MR_CHECKED mr_status mr_foreign_open(mr_stream *stream, const mr_format *format,
                                     mr_foreign **foreign, mr_error *err);
void mr_foreign_close(mr_foreign *foreign);

// The next event. Texts live until the next call; lines are the reader's. *more false: the end.
// Errors: MR_REJECT with path, line and column, or the member of the list, what is wanted and what
// is there: this row or this event is bad, the next call goes on; MR_FATAL: the file is.
MR_CHECKED mr_status mr_foreign_next(mr_foreign *foreign, mr_event *event, bool *more,
                                     mr_error *err);

#endif
