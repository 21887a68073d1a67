// SPDX-License-Identifier: Apache-2.0
// log: one line an event, as text or as JSON with ECS names, to one sink.
//
// The sink is the only global state of the program. A line has a level, a component, a message (a
// fixed text: what differs stands in fields) and key=value fields. The same message of a component
// is written at most MR_LOG_BURST times in MR_LOG_WINDOW_MS; the next line that gets through says
// how many were dropped. Ids, keys and values of records are logged at debug level only; secrets
// never. Any thread may log; lines are never mixed.
#ifndef MR_WORKER_LOG_H
#define MR_WORKER_LOG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "worker/config.h"

enum {
    MR_LOG_BURST = 10,
    MR_LOG_WINDOW_MS = 10000,
    MR_LOG_LINE_MAX = 2048, // longer lines are cut
};

typedef struct mr_log_options {
    FILE *out;           // borrowed
    int format, level;   // MR_LOG_TEXT ..., MR_LOG_INFO ...
    const char *service; // "service.name" of JSON lines, borrowed
    const mr_config_list
        *debug;              // components that are open whatever the level; borrowed, may be NULL
    int64_t (*now_ms)(void); // UTC; NULL: the system's clock
} mr_log_options;

// Until this is called lines go to stderr as text, from level info on.
void mr_log_open(const mr_log_options *options);

// Whether a line of that level would be written: to save the work of making its fields.
bool mr_log_enabled(int level, const char *component);

typedef enum mr_log_type {
    MR_LOG_FIELD_NONE,
    MR_LOG_FIELD_TEXT,
    MR_LOG_FIELD_LONG,
    MR_LOG_FIELD_DOUBLE,
} mr_log_type;

typedef struct mr_log_field {
    const char *name; // "error" becomes error.message, all others millrace.<name> in JSON
    mr_log_type type;
    const char *text;
    int64_t number;
    double real;
} mr_log_field;

static inline mr_log_field mr_log_text(const char *name, const char *text)
{
    return (mr_log_field){name, MR_LOG_FIELD_TEXT, text, 0, 0};
}

static inline mr_log_field mr_log_long(const char *name, int64_t number)
{
    return (mr_log_field){name, MR_LOG_FIELD_LONG, NULL, number, 0};
}

static inline mr_log_field mr_log_double(const char *name, double real)
{
    return (mr_log_field){name, MR_LOG_FIELD_DOUBLE, NULL, 0, real};
}

// Writes a line. fields[0] is not read (the macro below puts an empty one there).
void mr_log_write(int level, const char *component, const char *message, const mr_log_field *fields,
                  uint32_t field_count);

// mr_log(MR_LOG_INFO, "commit", "committed", mr_log_long("seq", 5), mr_log_text("topic", name));
#define mr_log(level, component, message, ...)                                                     \
    mr_log_write(                                                                                  \
        (level), (component), (message), (const mr_log_field[]){{0}, ##__VA_ARGS__},               \
        (uint32_t)(sizeof((const mr_log_field[]){{0}, ##__VA_ARGS__}) / sizeof(mr_log_field)))

#endif
