// SPDX-License-Identifier: Apache-2.0
// report: a replay's folder as one page that needs nothing else, and the same numbers as JSON.
#ifndef MR_WORKER_REPORT_REPORT_H
#define MR_WORKER_REPORT_REPORT_H

#include <jansson.h>
#include <stdio.h>

#include "core/base/error.h"

// Reads a folder: summary.json and windows.csv of `millrace replay --out`, sweep.json of a sweep or a
// what-if, ope.json of `millrace ope --out`: what is there, and the first two unless there is a
// sweep. *data: the summary, of each model the windows' columns, "sweep" and "ope" as they were; the
// caller's. Errors: MR_FATAL with file and
// line.
MR_CHECKED mr_status mr_report_read(const char *folder, json_t **data, mr_error *err);

// Writes the page: styles, chart library, data and script inlined. Errors: MR_FATAL: not written.
MR_CHECKED mr_status mr_report_write(const json_t *data, FILE *out, mr_error *err);

#endif
