// SPDX-License-Identifier: Apache-2.0
// space: the configurations that a sweep tries: keys with values or ranges.
//
//   key=a,b,c       each of them (of a key that is a list: separated by '|')
//   key=lo..hi      a range, evenly drawn
//   key=lo..hi:log  a range, drawn evenly by its logarithm
//
// Without a range all combinations are tried; with one, so many samples, each of which draws every
// key by (seed, number of the sample, number of the key).
#ifndef MR_WORKER_SWEEP_SPACE_H
#define MR_WORKER_SWEEP_SPACE_H

#include "worker/config.h"

enum {
    MR_SPACE_KEYS_MAX = 16,
    MR_SPACE_VALUES_MAX = 64, // of a key
    MR_SPACE_TEXT_MAX = 192,  // "key=value"
};

typedef struct mr_space_key {
    char path[MR_CONFIG_PATH_MAX];
    const mr_key *key; // borrowed from the configuration
    char values[MR_SPACE_VALUES_MAX][MR_SPACE_TEXT_MAX - MR_CONFIG_PATH_MAX];
    uint32_t value_count; // 0: a range
    double low, high;
    bool logarithmic;
} mr_space_key;

typedef struct mr_space {
    mr_space_key keys[MR_SPACE_KEYS_MAX];
    uint32_t key_count;
} mr_space;

// Whether a key can be another in one branch than in the next: it decides what is learned or listed,
// and not who learns it from where. Errors: MR_FATAL: it does not; the text says why.
MR_CHECKED mr_status mr_space_allows(const mr_config *config, const char *path, mr_error *err);

// Adds a key by a text as above. Errors: MR_FATAL: what was found and what would be right.
MR_CHECKED mr_status mr_space_add(mr_space *space, const mr_config *config, const char *text,
                                  mr_error *err);
// Adds a file of such texts, one a line; '#' begins a comment. Errors: as above with file and line.
MR_CHECKED mr_status mr_space_read(mr_space *space, const mr_config *config, const char *path,
                                   mr_error *err);

bool mr_space_has_range(const mr_space *space);
// All combinations of values; UINT32_MAX: too many to count.
uint32_t mr_space_combinations(const mr_space *space);

// The settings of combination or sample `index`: sets[key_count], "key=value".
void mr_space_combination(const mr_space *space, uint32_t index, char (*sets)[MR_SPACE_TEXT_MAX]);
void mr_space_sample(const mr_space *space, uint64_t seed, uint32_t index,
                     char (*sets)[MR_SPACE_TEXT_MAX]);

#endif
