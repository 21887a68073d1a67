// SPDX-License-Identifier: Apache-2.0
// plan_build: what the parts of the plan's compiler share. Private to them.
//
// plan_compile.c resolves the mapping, field by field, and plan_select.c what else it says; both
// ask plan_find.c, which decides which paths of the writer's schema are wanted and by which fields,
// as a tree of names. plan_emit.c walks the schema with that tree in hand and writes instructions;
// json_compile.c makes tables of the tree alone.
#ifndef MR_SCHEMAS_PLAN_BUILD_H
#define MR_SCHEMAS_PLAN_BUILD_H

#include "schemas/plan_ops.h"

typedef struct mr_want { // a node of the tree of wanted paths
    const char *name;    // name_size bytes
    uint32_t name_size;
    uint32_t child, sibling; // indexes into wants, 0: none
    uint64_t targets;        // 1 << index into targets: what the value here fills
    // JSON: those of them that were found by their name alone, and which of the names it is: a
    // value of another type is passed over, and so is one where a better name has been.
    uint64_t by_name;
    uint8_t rank;
} mr_want;

enum {
    MR_BUILD_PATH_MAX = 96, // of the path in an error
    MR_BUILD_PATHS_MAX = 4 * MR_PLAN_OPS_MAX,
    MR_SAVE_SLOTS = 8,
};

typedef enum mr_fit { MR_FIT_NOTHING, MR_FIT_UNSUITABLE, MR_FIT_SUITABLE } mr_fit;

typedef struct mr_finding { // the best that a path led to, and if it is unsuitable, what was there
    mr_fit best;
    const char *type;
} mr_finding;

typedef struct mr_build {
    const mr_schema *schema; // NULL: JSON
    const mr_mapping *mapping;
    mr_plan *plan;
    mr_error *err;
    mr_status status; // the first failure; after it nothing more is emitted
    mr_target targets[MR_TARGETS_MAX];
    mr_want wants[MR_WANTS_MAX];
    uint32_t target_count, want_count;
    const char *lines_path; // of the array that fills the lines
    const mr_schema_type *each_items; // of the array that `each` names; NULL: none, or JSON
    bool in_each;                     // the program of its items is being written
    uint32_t op_room, jump_room, text_room, path_room, pool_room, constant_room, value_room;
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

// plan_find.c: looks for a path below a type. Without a schema it is there and suits.
mr_finding mr_build_find(const mr_schema *schema, const mr_schema_type *type, const char *path,
                         const mr_target *target);

// Refuses the schema: a path is missing, or leads to another type.
void mr_build_refuse_missing(mr_build *build, const mr_target *target, const char *path);
void mr_build_refuse_type(mr_build *build, const mr_target *target, const char *path,
                          const char *type);

// Adds what a path fills. rank: of a name that was not asked for, from 0; -1: it was.
void mr_build_want(mr_build *build, uint32_t root, const char *path, const mr_target *target,
                   int rank);

// Keeps where a field comes from, for mr_plan_source.
void mr_build_source(mr_build *build, const mr_target *target, const char *mark, const char *text);

// The offset of a field in the event.
uint16_t mr_build_at(mr_field field);

// "item", ".quantity", "kind": for errors.
const char *mr_build_name(const mr_target *target);
const char *mr_build_part(const mr_target *target);

// plan_select.c: the root and the type below which an entry's path goes on, and the rest of it.
const char *mr_build_place(const mr_build *build, const char *path, uint32_t *root,
                           const mr_schema_type **type);

// Resolves `each`, before the fields, and behind them kinds, filters and value maps. A field of
// key or header is given its target.
void mr_build_each(mr_build *build);
void mr_build_selectors(mr_build *build);
void mr_build_outside(mr_build *build, const mr_mapping_entry *entry, const mr_target *target);

// Writes the whole program for the schema and the wants at MR_WANT_EVENT and MR_WANT_EACH.
void mr_build_emit(mr_build *build);

// json_compile.c: the same for JSON.
void mr_build_json(mr_build *build);

#endif
