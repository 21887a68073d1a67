// SPDX-License-Identifier: Apache-2.0
// config_value: the types of configuration values: from text to a member, and back.
//
// Conventions: durations are int64_t milliseconds, sizes int64_t bytes; in text a number without a
// suffix means the same. Text is borrowed and lives as long as the configuration.
#ifndef MR_WORKER_CONFIG_VALUE_H
#define MR_WORKER_CONFIG_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

typedef enum mr_key_type {
    MR_KEY_INT,    // int64_t
    MR_KEY_DOUBLE, // double, finite
    MR_KEY_BOOL,   // bool: true, false, yes, no, on, off
    MR_KEY_NAME,   // const char *: letters, digits, '.', '_', '-', at most 200 bytes; may be empty
    MR_KEY_TEXT,   // const char *: anything
    MR_KEY_DURATION, // int64_t: 20ms, 1.5s, 10m, 1h, 7d
    MR_KEY_SIZE,     // int64_t: 1000, 64KiB, 16MiB, 1GiB, 1TiB
    MR_KEY_ENUM,     // int: index of the choice
    MR_KEY_CHOICE,   // double: the same, of a method's parameter
    MR_KEY_LIST,     // mr_config_list: comma-separated, or a YAML sequence
} mr_key_type;

enum { MR_CONFIG_LIST_MAX = 32 };

typedef struct mr_config_list {
    const char *items[MR_CONFIG_LIST_MAX];
    uint32_t count;
} mr_config_list;

typedef struct mr_key {
    const char *path, *initial, *range, *help;
    mr_key_type type;
    bool history; // the value decides bytes of state or lists
    size_t offset;
} mr_key;

// Parses `text` into *value, whose C type stands above. A LIST cuts `text` in place.
// Errors: MR_FATAL: what was found, and what would be right.
MR_CHECKED mr_status mr_value_parse(const mr_key *key, char *text, void *value, mr_error *err);

// Writes a value the way that a user would, so that mr_value_parse reads it back. At most `size`
// bytes.
void mr_value_print(const mr_key *key, const void *value, char *text, size_t size);

// "a duration such as 20ms, 5s or 1h, from 1ms to 10s": what a key wants. At most `size` bytes.
void mr_value_want(const mr_key *key, char *text, size_t size);

#endif
