// SPDX-License-Identifier: Apache-2.0
// json_build: the tables of a plan of JSON. Private to plan_*.c and json_*.c.
//
// The tree of wanted names (plan_build.h) as arrays: a node is a place in the record, its keys a
// small hash table of the names that lead on from there.
#ifndef MR_SCHEMAS_JSON_BUILD_H
#define MR_SCHEMAS_JSON_BUILD_H

#include "schemas/plan_ops.h"

enum {
    MR_JSON_DEPTH_MAX = 64,            // objects and arrays that are open at once
    MR_JSON_SCRATCH_BYTES = 16 * 1024, // texts of a record that had escapes
    MR_JSON_NAME_MAX = 255,            // bytes of a name that can be wanted
};

typedef struct mr_json_key {
    const char *name; // in the tables' own texts
    uint32_t size;
    uint32_t node; // 0: the slot is free
} mr_json_key;

typedef struct mr_json_node {
    uint64_t targets, by_name; // as in mr_want
    uint32_t key_first, key_mask;
    uint32_t parent;
    const char *name; // of the place, for errors
    bool has_keys;
    uint8_t rank;
} mr_json_node;

typedef struct mr_json {
    mr_target targets[MR_TARGETS_MAX];
    uint64_t line_targets;
    mr_json_node *nodes; // by index of the want; the roots are mr_want_root
    uint32_t node_count;
    mr_json_key *keys;
    char *texts;
} mr_json;

// Equal names have equal hashes; names in one object mostly differ in size or at their ends.
static inline uint32_t mr_json_hash(const uint8_t *name, uint32_t size)
{
    const uint32_t first = size > 0 ? name[0] : 0, last = size > 0 ? name[size - 1] : 0;
    const uint32_t mixed = size * 0x9e3779b1u ^ first * 0x85ebca6bu ^ last * 0xc2b2ae35u;
    return mixed ^ mixed >> 15;
}

// Runs over a record, or with part->first == MR_WANT_EACH over an item. Errors: MR_REJECT with the
// byte, and what would be right there.
MR_CHECKED mr_status mr_json_run(const mr_plan *plan, mr_plan_part *part, mr_event *event,
                                 mr_error *err);

// Moves to the next item of the array of `each`, which was read over before, or ends the walk.
MR_CHECKED mr_status mr_json_item(mr_plan_walk *walk, mr_error *err);

void mr_json_close(mr_json *json);

#endif
