// SPDX-License-Identifier: Apache-2.0
// answers: what a schema registry says, from JSON.
//
// Fields that are not known are passed over; registries differ in what they add. What is needed and
// missing, or of another type, is an error: whoever answers so is no registry. Source: Confluent
// Schema Registry, "API Reference".
#ifndef MR_WORKER_REGISTRY_ANSWERS_H
#define MR_WORKER_REGISTRY_ANSWERS_H

#include "core/base/bytes.h"
#include "core/base/error.h"

enum { MR_ANSWER_REFERENCES_MAX = 256 };

typedef struct mr_reference { // a type that a schema names and another subject defines
    const char *name;         // full name of the type
    const char *subject;
    int64_t version;
} mr_reference;

typedef struct mr_schema_answer {
    const char *text; // the schema, a JSON text
    size_t text_bytes;
    const char *type;    // "AVRO", "JSON", "PROTOBUF", ...
    int64_t id, version; // -1: not said
    mr_reference references[MR_ANSWER_REFERENCES_MAX];
    uint32_t reference_count;
    void *json; // what the texts are borrowed from
} mr_schema_answer;

// Of a schema by its id, or of a subject's version. On success to be freed. Errors: MR_FATAL: no
// answer of that form; more references than allowed.
MR_CHECKED mr_status mr_answer_schema(const char *body, size_t size, mr_schema_answer *answer,
                                      mr_error *err);
void mr_answer_schema_free(mr_schema_answer *answer);

// "id" of a look-up or a registration. Errors: MR_FATAL: none in it, or no number of 32 bits.
MR_CHECKED mr_status mr_answer_id(const char *body, size_t size, uint32_t *id, mr_error *err);

// "is_compatible"; the first of "messages" is copied, "" if there is none. Errors: MR_FATAL.
MR_CHECKED mr_status mr_answer_compatible(const char *body, size_t size, bool *compatible,
                                          char *message, size_t message_bytes, mr_error *err);

// Whether this is a registry's refusal: its number, such as 40403, and what it says, copied, of one
// line.
bool mr_answer_refusal(const char *body, size_t size, int *code, char *message,
                       size_t message_bytes);

#endif
