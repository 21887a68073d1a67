// SPDX-License-Identifier: Apache-2.0
// rest: the calls of a Confluent-compatible schema registry that millrace needs.
//
// Statuses mean: MR_REJECT: the registry's own refusal, with its number in rest.code: it has no
// such schema, subject or version (40403, 40401, 40402), the schema is incompatible (40901, 409) or
// none (42201). MR_RETRY: nobody answers, or not now. MR_FATAL: somebody has to put something
// right: credentials, rights, TLS, an address at which there is no registry. Each text says what.
// One thread at a time.
#ifndef MR_WORKER_REGISTRY_REST_H
#define MR_WORKER_REGISTRY_REST_H

#include "worker/registry/http.h"

enum {
    MR_REST_SUBJECT_MAX = 512, // bytes of a subject
    MR_REST_DEPTH_MAX = 16,    // references of references
    MR_REST_REFERENCES_MAX = 256,
    MR_REST_BYTES_MAX = 4 << 20, // of a schema with all that it refers to
};

enum { // error_code
    MR_REST_NO_SUBJECT = 40401,
    MR_REST_NO_VERSION = 40402,
    MR_REST_NO_SCHEMA = 40403,
};

typedef struct mr_rest {
    mr_http *http;        // borrowed
    uint32_t rounds;      // over its addresses
    bool has_credentials; // a user name or a token is configured: for what a text says
    long status;          // of HTTP, of the last answer
    int code;             // of the last refusal; 0: none
} mr_rest;

typedef struct mr_rest_schema {
    char *text; // with all that it refers to; the caller's, to be freed
    size_t text_bytes;
    int64_t id, version; // -1: not said
} mr_rest_schema;

// The schema of an id, of a GUID, of a version of a subject (0: the latest). Errors beside those
// above: MR_REJECT unsuitable_schema: it is not Avro, or cannot be put together.
MR_CHECKED mr_status mr_rest_by_id(mr_rest *rest, uint32_t id, mr_rest_schema *schema,
                                   mr_error *err);
MR_CHECKED mr_status mr_rest_by_guid(mr_rest *rest, const uint8_t guid[16], mr_rest_schema *schema,
                                     mr_error *err);
MR_CHECKED mr_status mr_rest_by_version(mr_rest *rest, const char *subject, int64_t version,
                                        mr_rest_schema *schema, mr_error *err);

// The id that a schema has under a subject; MR_REJECT: none.
MR_CHECKED mr_status mr_rest_look_up(mr_rest *rest, const char *subject, const char *text,
                                     uint32_t *id, mr_error *err);
// Gives it one; the same again where it has one already.
MR_CHECKED mr_status mr_rest_register(mr_rest *rest, const char *subject, const char *text,
                                      uint32_t *id, mr_error *err);
// Whether the subject would take the schema beside its latest version, by the subject's own rule;
// if not, why, at most why_bytes. A subject that there is not takes any.
MR_CHECKED mr_status mr_rest_is_compatible(mr_rest *rest, const char *subject, const char *text,
                                           bool *compatible, char *why, size_t why_bytes,
                                           mr_error *err);

#endif
