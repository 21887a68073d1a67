// SPDX-License-Identifier: Apache-2.0
// config: one YAML file, the environment and --set, checked against one table.
//
// Every key is a row of config.def; methods bring rows of their own (mr_config_number). Order:
// defaults, then the file, then the environment (MILLRACE_ and the path in capitals, '.' as '_'),
// then --set.
// ${NAME} and ${NAME:-default} in a value of the file stand for the environment, $$ for a dollar
// sign. Whatever is not in the table is refused with its place and the nearest key.
#ifndef MR_WORKER_CONFIG_H
#define MR_WORKER_CONFIG_H

#include <stdio.h>

#include "core/base/error.h"
#include "core/event/event.h"
#include "worker/config_value.h"

// The choices of the ENUM keys, in the order of their rows.
enum { MR_START_EARLIEST, MR_START_LATEST };
enum { MR_ACCEPT_NEITHER, MR_ACCEPT_STATE, MR_ACCEPT_GROUP };
enum { MR_GAP_STOP, MR_GAP_CONTINUE };
enum { MR_MEMBERSHIP_STATIC, MR_MEMBERSHIP_DYNAMIC };
enum { MR_FORMAT_AUTO, MR_FORMAT_CONFLUENT, MR_FORMAT_SINGLE_OBJECT, MR_FORMAT_BARE, MR_FORMAT_JSON };
enum { MR_PARTITIONER_MURMUR2, MR_PARTITIONER_CRC32, MR_PARTITIONER_FNV1A, MR_PARTITIONER_COUNT };
enum { MR_MESSAGE_KEY_UTF8, MR_MESSAGE_KEY_BYTES, MR_MESSAGE_KEY_LONG, MR_MESSAGE_KEY_NONE };
enum { MR_CONFIG_SYNC_FULL, MR_CONFIG_SYNC_META, MR_CONFIG_SYNC_NONE };
enum { MR_OUTPUT_AUTO, MR_OUTPUT_CONFLUENT, MR_OUTPUT_SINGLE_OBJECT };
enum { MR_CONFIG_SEEN_FILTER, MR_CONFIG_SEEN_KEEP };
enum { MR_LATE_LEARN, MR_LATE_DROP };
enum { MR_SKEW_REFUSE, MR_SKEW_CLAMP };
enum { MR_PAGES_HUGE, MR_PAGES_SMALL };
enum { MR_LOG_ERROR, MR_LOG_WARNING, MR_LOG_INFO, MR_LOG_DEBUG };
enum { MR_LOG_TEXT, MR_LOG_JSON };

enum {
    MR_CONFIG_INPUTS_MAX = 64,
    MR_CONFIG_READS_MAX = MR_CONFIG_INPUTS_MAX + 2, // with those of the worker's own
    MR_CONFIG_PROPERTIES_MAX = 64,                  // of one free mapping
    MR_CONFIG_PATH_MAX = 128,
};

typedef struct mr_config_property { // a row of a mapping with free keys
    const char *name, *value;
    const char *place; // "millrace.yaml:12:5", "--set", "MILLRACE_...": for messages
} mr_config_property;

typedef struct mr_config_properties {
    mr_config_property rows[MR_CONFIG_PROPERTIES_MAX];
    uint32_t count;
} mr_config_properties;

#define MR_CONFIG_INT int64_t
#define MR_CONFIG_DOUBLE double
#define MR_CONFIG_BOOL bool
#define MR_CONFIG_NAME const char *
#define MR_CONFIG_TEXT const char *
#define MR_CONFIG_DURATION int64_t
#define MR_CONFIG_SIZE int64_t
#define MR_CONFIG_ENUM int
#define MR_CONFIG_LIST mr_config_list

typedef struct mr_config_input {
    const char *name, *place;
#define MR_INPUT_KEY(type, field, ...) MR_CONFIG_##type field;
#include "worker/config.def"
    mr_config_properties
        mapping;  // field of the event (core/event/fields.def) -> path in the record
    bool matched; // not in the file: of a topic that the pattern of the input of that name matches
} mr_config_input;

// A number that a method of the engine is set by: "models.covisit.half_life_s".
typedef struct mr_config_number {
    const char *path, *unit, *help; // as of an mr_param; borrowed until mr_config_free
    double initial, min, max;
} mr_config_number;

typedef struct mr_config {
#define MR_KEY(type, field, ...) MR_CONFIG_##type field;
#include "worker/config.def"
    mr_config_input inputs[MR_CONFIG_INPUTS_MAX]; // in the order of the file
    uint32_t input_count;
    mr_config_properties kafka_properties, kafka_consumer, kafka_producer;
    double *numbers; // in the order of mr_config_source.numbers

    struct mr_config_slot *slots; // one a value: its key and where it came from
    uint32_t slot_count;
    struct mr_config_number_key *number_keys;
    char *texts; // all strings, one block
    size_t texts_used;
} mr_config;

typedef struct mr_config_source {
    const char *path;        // NULL: no file
    const char *const *sets; // "a.b=c"
    uint32_t set_count;
    char *const *environment; // NULL-terminated NAME=value; NULL: none
    const mr_config_number *numbers;
    uint32_t number_count;
} mr_config_source;

// Loads and checks a configuration. *config is the caller's, to be freed by mr_config_free; after a
// failure there is nothing to free.
// Errors: MR_FATAL: "file:line:column: key: what was found, what would be right".
MR_CHECKED mr_status mr_config_load(mr_config **config, const mr_config_source *source,
                                    mr_error *err);
void mr_config_free(mr_config *config);

// Beside the inputs of the configuration a worker reads two of its own: the deltas of other
// workers, and, where an input goes through it, the repartition topic. Their numbers follow those
// of the inputs. Topic of an input by its number; how many numbers there are.
const char *mr_config_topic(const mr_config *config, uint32_t input);
static inline uint32_t mr_config_deltas(const mr_config *config)
{
    return config->input_count;
}
static inline uint32_t mr_config_repartition(const mr_config *config)
{
    return config->input_count + 1;
}
bool mr_config_repartitions(const mr_config *config);
static inline uint32_t mr_config_reads(const mr_config *config)
{
    return config->input_count + 1 + mr_config_repartitions(config);
}

// Number of the input that the group subscribes to, whose partitions are the tasks: `lead`, or the
// first input of users' events that is read directly and names one topic; the repartition topic, if
// there is none. Errors: MR_FATAL where there is no input of users' events.
MR_CHECKED mr_status mr_config_lead(const mr_config *config, uint32_t *lead, mr_error *err);

// Whether an input brings users' events: everything but a catalogue.
bool mr_config_is_by_user(const mr_config_input *input);

// Whether the topics of an input are named by a pattern (worker/matched.h).
static inline bool mr_config_is_pattern(const mr_config_input *input)
{
    return input->topic[0] == '^';
}
bool mr_config_has_patterns(const mr_config *config);

// The kind of event that an input brings.
mr_event_kind mr_config_kind(const mr_config_input *input);

// The row of a key, borrowed from the configuration; NULL: there is none of that path.
const mr_key *mr_config_key(const mr_config *config, const char *path);

// The name under which a key is looked for in the environment. At most `size` bytes.
void mr_config_environment_name(const char *path, char *name, size_t size);

// Whether a key, or a librdkafka property, of that name holds a secret, to be masked when printed.
bool mr_config_is_secret(const char *property);

// XXH3 of all keys that decide bytes of state or lists (scope HISTORY), the methods' included.
uint64_t mr_config_hash(const mr_config *config);

// What --help prints: each key with type, default and one sentence.
void mr_config_print_help(FILE *out, const mr_config_number *numbers, uint32_t number_count);
// The page worker/CONFIGURATION.md.
void mr_config_print_markdown(FILE *out, const mr_config_number *numbers, uint32_t number_count);
// The effective configuration as YAML that can be loaded again, secrets masked, a value's place as
// a comment unless it is the default.
void mr_config_print(const mr_config *config, FILE *out);

#endif
