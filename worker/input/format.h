// SPDX-License-Identifier: Apache-2.0
// format: how the rows of somebody else's log are events, from one small YAML file.
//
//     layout: csv              csv, or jsonl: a JSON object in each line
//     delimiter: ','           one byte, or tab
//     header: yes              no: columns are called by their number, from 1
//     order: time              any: rows are sorted by time in memory (worker/input/sorted.h)
//     events: events           jsonl: the list in a line whose members are the events
//     fields:
//       user: visitor          a column, or a path such as buyer.id; what the event itself does not
//                              have is looked for in its line
//       session: [day, host]   several, joined with '-'
//       time: ts s             s, ms (the default), us, ns or iso: ISO 8601
//       quantity: = 1          the same for each event
//       context.device: os     a pair of the context
//     type: click              the same for each event, or what a column says:
//     type:
//       column: event
//       values:
//         view: click
//         sold: click purchase a row becomes several events
//         gift: ''             none
//       else: click            for other values; without it they are refused
//
// What is not there is an error with line and column, and so is an unknown key.
#ifndef MR_WORKER_INPUT_FORMAT_H
#define MR_WORKER_INPUT_FORMAT_H

#include "core/event/event.h"
#include "schemas/mapping.h"

enum {
    MR_FORMAT_SOURCES_MAX = 48,
    MR_FORMAT_NAMES_MAX = 8, // that are joined
    MR_FORMAT_TYPES_MAX = 64,
    MR_FORMAT_KINDS_MAX = 4, // of one row
    MR_FORMAT_TEXT_MAX = 64, // bytes of a name or a value
};

typedef enum mr_layout { MR_LAYOUT_CSV, MR_LAYOUT_JSONL } mr_layout;

typedef struct mr_format_source { // what fills a field
    mr_field field;
    mr_time_unit unit;
    char pair[MR_FORMAT_TEXT_MAX];                       // of MR_FIELD_context: its name
    char names[MR_FORMAT_NAMES_MAX][MR_FORMAT_TEXT_MAX]; // columns or paths
    uint32_t name_count;                                 // 0: a constant
    char constant[MR_FORMAT_TEXT_MAX];
} mr_format_source;

typedef struct mr_format_type {
    char value[MR_FORMAT_TEXT_MAX];
    mr_event_kind kinds[MR_FORMAT_KINDS_MAX];
    uint32_t kind_count;
} mr_format_type;

typedef struct mr_format {
    char name[MR_FORMAT_TEXT_MAX]; // of the file, for errors
    mr_layout layout;
    uint8_t delimiter;
    bool header, sort;
    char events[MR_FORMAT_TEXT_MAX]; // "": a line is an event
    mr_format_source sources[MR_FORMAT_SOURCES_MAX];
    uint32_t source_count;
    bool typed; // the column `type_name` says the type
    char type_name[MR_FORMAT_TEXT_MAX];
    mr_format_type types[MR_FORMAT_TYPES_MAX];
    uint32_t type_count;
    bool has_otherwise;
    mr_format_type otherwise; // for any other value, or for every row
} mr_format;

// Reads the text of a mapping file; `name` stands in errors. Errors: MR_FATAL with line and column.
MR_CHECKED mr_status mr_format_read(const char *text, size_t size, const char *name,
                                    mr_format *format, mr_error *err);

// Reads a mapping file: one of ours by its name ("otto"), any other by a path with a '/' or an end
// of .yaml. *format is the caller's, to be freed. Errors: MR_FATAL; of an unknown name, those that
// there are.
MR_CHECKED mr_status mr_format_open(const char *name, mr_format **format, mr_error *err);

#endif
