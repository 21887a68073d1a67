// SPDX-License-Identifier: Apache-2.0
// arrivals: where a replay's events come from: files, a range of the configuration's topics, or
// nowhere: they are made up as they are read.
#ifndef MR_WORKER_ARRIVALS_H
#define MR_WORKER_ARRIVALS_H

#include "core/event/epoch.h"
#include "schemas/mapping.h"
#include "worker/config.h"
#include "worker/input/format.h"
#include "worker/traffic.h"

typedef struct mr_arrivals { // opened by one of the functions below
    void *context;
    const char *name; // for messages and the progress bar
    // The next event and its place, in the order of learning; what it points to lives until the
    // next call. *more false: the end. Errors: MR_REJECT: this record is bad, the next call goes
    // on; MR_FATAL: no more can be read.
    mr_status (*next)(void *context, mr_arrival *arrival, bool *more, mr_error *err);
    // How much was read and how much there is, in one unit; 0: not known.
    void (*progress)(void *context, uint64_t *done, uint64_t *total);
    void (*close)(void *context);
} mr_arrivals;

enum { MR_ARRIVALS_FILES_MAX = 16 };

typedef struct mr_arrivals_file { // what a file has given so far
    const char *path;
    uint64_t events;
    uint64_t older; // than an event before them in the same file; not those that have no time
    uint64_t first_older; // number of the first of these among the file's events, from 1; 0: none
} mr_arrivals_file;

typedef struct mr_arrivals_files { // count 0: no files are read
    mr_arrivals_file of[MR_ARRIVALS_FILES_MAX];
    uint32_t count;
} mr_arrivals_files;

// Of files ('-': standard input), merged by event time; equal times in the order of the files. A
// file's own order is kept whatever its times: an event that is older than one before it comes
// where it stands, and is counted. Each file is open all the while and read as it is needed, none
// is held in memory (but with `order: any`, input.h). An event's offset is its number over all
// files. mapping and format may be NULL (worker/input/input.h). *files: the caller's, filled as
// the arrivals are read; borrows paths. Errors: MR_FATAL: a file cannot be opened, standard
// input stands there twice.
MR_CHECKED mr_status mr_arrivals_of_files(const char *const *paths, uint32_t count,
                                          const mr_mapping *mapping, const mr_format *format,
                                          mr_arrivals_files *files, mr_arrivals *arrivals,
                                          mr_error *err);

// Puts the items of a file before the arrivals, as of the time of the first of them: a catalogue that
// was known from the start. CSV: a row is an item, its columns are item, categories (or category;
// divided by '|'), title, price, available and vector (numbers divided by spaces); every other
// column is an attribute. Errors: MR_FATAL: it cannot be opened; the arrivals are as they were.
MR_CHECKED mr_status mr_arrivals_with_catalogue(const char *path, mr_arrivals *arrivals,
                                                mr_error *err);

// Of traffic->events made-up events; an event's offset is its number. Nothing is kept of them.
// Errors: MR_FATAL: out of memory.
MR_CHECKED mr_status mr_arrivals_of_traffic(const mr_traffic_options *traffic,
                                            mr_arrivals *arrivals, mr_error *err);

typedef struct mr_range_end {
    enum { MR_RANGE_WHOLE, MR_RANGE_OFFSET, MR_RANGE_TIME } kind; // whole: the log's own end
    int64_t value; // offset of every partition, or milliseconds UTC
} mr_range_end;

// "beginning", "end", an offset, or a time as 2026-01-31, 2026-01-31T12:30Z,
// 2026-01-31T12:30:05.250Z. Errors: MR_FATAL: none of these.
MR_CHECKED mr_status mr_range_parse(const char *text, mr_range_end *end, mr_error *err);

// A time as mr_range_parse reads it, with milliseconds; "-" for what is no time.
enum { MR_RANGE_TIME_BYTES = 32 };
const char *mr_range_time(int64_t time_ms, char text[MR_RANGE_TIME_BYTES]);

// Of all inputs of users' events of the configuration: [from, to) of every partition, committed
// records only, merged by record timestamp, topic name, partition, offset. A time is the first
// record with that timestamp or a later one, as the brokers' index says. Borrows config. Errors:
// MR_FATAL, MR_RETRY: brokers that do not answer.
MR_CHECKED mr_status mr_arrivals_of_topics(const mr_config *config, mr_range_end from,
                                           mr_range_end to, mr_arrivals *arrivals, mr_error *err);

#endif
