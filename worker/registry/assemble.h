// SPDX-License-Identifier: Apache-2.0
// assemble: a schema and the schemas that it refers to, as one text.
//
// A registry keeps a type that several subjects share in a subject of its own; schemas name it, and
// list where it is defined. Here every definition is put in the place of the first mention of its
// name, where Avro wants it, and the plain name stays wherever it is mentioned again.
#ifndef MR_WORKER_REGISTRY_ASSEMBLE_H
#define MR_WORKER_REGISTRY_ASSEMBLE_H

#include <stddef.h>

#include "core/base/error.h"

typedef struct mr_definition {
    const char *name; // full name of the type
    const char *text; // the schema that defines it, JSON
    size_t text_bytes;
} mr_definition;

enum { MR_ASSEMBLE_DEPTH_MAX = 128 }; // of the JSON values that are looked into

// *whole is the caller's, to be freed. Definitions may name each other, in any order; those that
// nobody mentions are left out. Errors: MR_REJECT unsuitable_schema: one of the texts is not JSON
// or is nested too deep; MR_FATAL: out of memory.
MR_CHECKED mr_status mr_assemble(const char *text, size_t text_bytes,
                                 const mr_definition *definitions, uint32_t definition_count,
                                 char **whole, size_t *whole_bytes, mr_error *err);

#endif
