// SPDX-License-Identifier: Apache-2.0
// plan_build: what the two halves of the plan's compiler share. Private to them.
//
// plan_compile.c resolves the mapping: it decides which paths of the writer's schema are wanted and
// by which fields, as a tree of names. plan_emit.c walks the schema with that tree in hand and
// writes instructions.
#ifndef MR_SCHEMAS_PLAN_BUILD_H
#define MR_SCHEMAS_PLAN_BUILD_H

#include "schemas/plan_ops.h"

typedef enum mr_sort { // what a destination holds
    MR_SORT_TEXT,
    MR_SORT_LONG,
    MR_SORT_DOUBLE,
    MR_SORT_MILLIS,
    MR_SORT_BOOL,
    MR_SORT_LINES,
    MR_SORT_PAIRS,
    MR_SORT_TEXTS,
    MR_SORT_FLOATS,
} mr_sort;

typedef struct mr_target { // a destination in the event, line, pair or category
    mr_field field;
    mr_line_part part;
    mr_sort sort;
    uint16_t at;
    mr_time_unit unit;
} mr_target;

typedef struct mr_want { // a node of the tree of wanted paths
    const char *name;    // name_size bytes
    uint32_t name_size;
    uint32_t child, sibling; // indexes into wants, 0: none
    uint64_t targets;        // 1 << index into targets: what the value here fills
} mr_want;

enum {
    MR_TARGETS_MAX = 64, // bits in mr_want.targets
    MR_WANTS_MAX = 512,
    MR_BUILD_PATH_MAX = 96, // of the path in an error
    MR_BUILD_PATHS_MAX = 4 * MR_PLAN_OPS_MAX,
    MR_SAVE_SLOTS = 8,
};

typedef enum mr_want_root { // wants that are there from the start; 0 stands for "none"
    MR_WANT_EVENT = 1,
    MR_WANT_LINE,
    MR_WANT_PAIR,     // a pair's value
    MR_WANT_CATEGORY, // a text of a list of texts
    MR_WANT_ROOTS,
} mr_want_root;

typedef struct mr_build {
    const mr_schema *schema;
    mr_plan *plan;
    mr_error *err;
    mr_status status; // the first failure; after it nothing more is emitted
    mr_target targets[MR_TARGETS_MAX];
    mr_want wants[MR_WANTS_MAX];
    uint32_t target_count, want_count;
    const char *lines_path; // of the array that fills the lines
    uint32_t op_room, jump_room, text_room, path_room, pool_room, constant_room;
    uint32_t barrier;   // index of the last instruction that is jumped to
    uint32_t slot;      // save slots in use
    uint32_t repeats;   // how often the value in hand can occur in a record
    uint32_t *routines; // by type: index of its skip routine, 0: none yet, 1: asked for
    char path[MR_BUILD_PATH_MAX];
} mr_build;

// Whether a value of this type can fill that target. A union can if one of its branches can.
bool mr_build_suits(const mr_schema *schema, const mr_schema_type *type, const mr_target *target);

// Grows one of the plan's arrays; on failure the build has failed and false is returned.
bool mr_build_reserve(mr_build *build, void *array, uint32_t count, uint32_t more, uint32_t *room,
                      size_t element);

// Copies a text into the pool; returns its offset there.
uint32_t mr_build_pool(mr_build *build, const char *text, size_t size);

// Writes the whole program for the schema and the wants at MR_WANT_EVENT.
void mr_build_emit(mr_build *build);

#endif
