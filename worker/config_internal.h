// SPDX-License-Identifier: Apache-2.0
// What the files of config share among themselves; nobody else includes it.
#ifndef MR_WORKER_CONFIG_INTERNAL_H
#define MR_WORKER_CONFIG_INTERNAL_H

#include "worker/config.h"

enum { MR_SCOPE_PROCESS = 0, MR_SCOPE_HISTORY = 1 };

typedef struct mr_config_slot {
    char path[MR_CONFIG_PATH_MAX];
    const mr_key *key;
    void *value;
    const char *text;  // NULL: the default holds
    const char *place; // of the text
} mr_config_slot;

typedef struct mr_config_number_key { // the row of a method's number, in the table's own form
    mr_key key;
    char initial[32], range[72];
} mr_config_number_key;

// The two tables of config.def.
const mr_key *mr_config_keys(uint32_t *count);
const mr_key *mr_config_input_keys(uint32_t *count);
void mr_config_number_key_make(const mr_config_number *number, mr_config_number_key *row);

// Look-ups by path; NULL: none. *rest is the path below a free mapping.
mr_config_slot *mr_config_slot_at(const mr_config *config, const char *path);
mr_config_properties *mr_config_properties_at(mr_config *config, const char *path,
                                              const char **rest);
bool mr_config_is_section(const mr_config *config, const char *path);

// Makes sure that the input of a path "topics.<name>..." exists.
mr_status mr_config_input_of_path(mr_config *config, const char *path, const char *place,
                                  mr_error *err);
// Sets the text of a key; path, text and place are copied.
mr_status mr_config_assign(mr_config *config, const char *path, const char *text, const char *place,
                           mr_error *err);
mr_status mr_config_unknown_key(const mr_config *config, const char *place, const char *path,
                                mr_error *err);

// The sources.
mr_status mr_config_read_file(mr_config *config, const mr_config_source *source, mr_error *err);
mr_status mr_config_read_environment(mr_config *config, char *const *environment, mr_error *err);
mr_status mr_config_read_sets(mr_config *config, const mr_config_source *source, mr_error *err);

// What no single key can know: relations between keys, mappings, librdkafka's properties.
mr_status mr_config_check(const mr_config *config, mr_error *err);

// What <host> stands for.
void mr_config_host(char *host, size_t size);

#endif
