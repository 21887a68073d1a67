// SPDX-License-Identifier: Apache-2.0
// catalog: the schemas that are known, and a decode plan for each one and each mapping.
//
// Known are millrace's own schemas and those of one directory, which is read when the catalog is
// opened: 17.avsc is the schema that a Confluent registry calls 17, a file that is called like a
// GUID has that GUID, and every file is known by its fingerprint and by its name without .avsc. What
// a frame calls by id or GUID and no file has is asked of a finder, if there is one, such as a
// schema registry. One thread at a time.
#ifndef MR_SCHEMAS_CATALOG_H
#define MR_SCHEMAS_CATALOG_H

#include "schemas/frame.h"
#include "schemas/plan.h"

enum {
    MR_CATALOG_SCHEMAS_MAX = 4096,
    MR_CATALOG_MAPPINGS_MAX = 64,
};

typedef struct mr_catalog mr_catalog;

// Reads our own schemas and, unless it is NULL, all *.avsc of a directory, in the order of names.
// Errors: MR_FATAL with file and fault: the directory cannot be read, a file is no schema, too
// many.
MR_CHECKED mr_status mr_catalog_open(const char *directory, mr_catalog **catalog, mr_error *err);
void mr_catalog_close(mr_catalog *catalog);

// Names a mapping, which must outlive the catalog; *handle is what mr_catalog_plan takes.
// Errors: MR_FATAL, more than MR_CATALOG_MAPPINGS_MAX.
MR_CHECKED mr_status mr_catalog_map(mr_catalog *catalog, const mr_mapping *mapping,
                                    uint32_t *handle, mr_error *err);

typedef struct mr_schema_finder { // knows schemas by what frames call them
    void *context;
    // The JSON text of the schema that a frame names by id or GUID: *text is from malloc, and the
    // caller's. Errors: MR_RETRY: not known yet, the same call may bring it later; MR_REJECT: there
    // is none, or it is of no use; MR_FATAL.
    mr_status (*find)(void *context, const mr_frame *frame, char **text, size_t *text_bytes,
                      mr_error *err);
} mr_schema_finder;

// Asks that finder from now on, which is copied. What it finds is kept as long as the catalog lives.
void mr_catalog_ask(mr_catalog *catalog, const mr_schema_finder *finder);

// The plan that decodes the payload of a frame. `bare` is the name of the schema of unframed
// records, NULL where there are none. Compiled when it is first asked for; a schema that cannot be
// mapped is refused with the same error each time. The plan lives as long as the catalog. Errors:
// MR_REJECT unknown_schema or unsuitable_schema; those of the finder: with MR_RETRY the record has to
// wait. Cost after the first call: one look-up.
MR_CHECKED mr_status mr_catalog_plan(mr_catalog *catalog, const mr_frame *frame, const char *bare,
                                     uint32_t handle, const mr_plan **plan, mr_error *err);

typedef struct mr_catalog_schema { // for lists of what there is
    const char *name;              // "click", or the file's name without .avsc
    const char *text;              // JSON
    uint32_t text_bytes;
    uint64_t fingerprint;
    bool is_ours;
} mr_catalog_schema;

// In the order in which they were read, ours first; NULL at and beyond the end.
const mr_catalog_schema *mr_catalog_at(const mr_catalog *catalog, uint32_t index);
// By name; a file of the directory goes before ours. NULL: there is none.
const mr_catalog_schema *mr_catalog_find(const mr_catalog *catalog, const char *name);

#endif
