// SPDX-License-Identifier: Apache-2.0
#include "worker/registry/rest.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/registry/answers.h"
#include "worker/registry/assemble.h"

enum { PATH_BYTES = 3 * MR_REST_SUBJECT_MAX + 128, MESSAGE_BYTES = 120 };

// ---- answers that are none

static mr_status refuse_credentials(const mr_rest *rest, const char *url, mr_error *err)
{
    return mr_fail(err, MR_FATAL,
                   rest->has_credentials
                       ? "%.100s: HTTP 401: it does not take the user name and password, or the "
                         "token: put registry.username and registry.password, or registry.token, "
                         "right"
                       : "%.100s: HTTP 401: it wants to know who asks: set registry.username and "
                         "registry.password, or registry.token",
                   url);
}

// What an HTTP status other than 200 means. Errors: MR_REJECT, MR_FATAL; never MR_OK.
static mr_status refuse(mr_rest *rest, const mr_http_answer *answer, const char *what,
                        mr_error *err)
{
    char message[MESSAGE_BYTES];
    const long status = answer->status;
    const bool refused =
        mr_answer_refusal(answer->body, answer->size, &rest->code, message, sizeof message);
    if (status == 401)
        return refuse_credentials(rest, answer->url, err);
    if (status == 403)
        return mr_fail(err, MR_FATAL,
                       "%.80s: HTTP 403: this account may not read or write %.80s: grant it the "
                       "right in the registry",
                       answer->url, what);
    if (status >= 300 && status < 400)
        return mr_fail(err, MR_FATAL,
                       "%.100s: HTTP %ld: it leads elsewhere, which is not followed: registry.urls "
                       "wants the registry's own address",
                       answer->url, status);
    // Only with a number of its own has the registry spoken of the schema: servers that have no
    // such path say 404 too, some of them in the same form.
    if (status == 404 && (!refused || rest->code / 100 != 404))
        return mr_fail(err, MR_FATAL,
                       "%.80s: HTTP 404, and not a registry's: registry.urls wants the base of the "
                       "API, such as http://host:8081 or http://host:8080/apis/ccompat/v7",
                       answer->url);
    if (!refused || (status != 404 && status != 409 && status != 422))
        return mr_fail(err, MR_FATAL, "%.80s: %.60s: HTTP %ld, %.80s", answer->url, what, status,
                       message[0] != '\0' ? message : "and not a registry's answer");
    return mr_reject(err, MR_CAUSE_unknown_schema, "%.80s: the registry says %d: %.100s", what,
                     rest->code, message);
}

static mr_status ask(mr_rest *rest, const char *path, const char *body, const char *what,
                     mr_http_answer *answer, mr_error *err)
{
    rest->status = 0;
    rest->code = 0;
    MR_TRY(mr_http_ask(rest->http, rest->rounds, path, body, answer, err));
    rest->status = answer->status;
    if (answer->status >= 200 && answer->status < 300)
        return MR_OK;
    return refuse(rest, answer, what, err);
}

// ---- paths

static mr_status put_escaped(const char *subject, char *path, mr_error *err)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
    char *at = path + strlen(path);
    if (subject[0] == '\0' || strlen(subject) > MR_REST_SUBJECT_MAX)
        return mr_fail(err, MR_FATAL, "a subject of %zu bytes, want 1 to %d", strlen(subject),
                       MR_REST_SUBJECT_MAX);
    for (const char *c = subject; *c != '\0'; c++)
        at += sprintf(at, strchr(plain, *c) != NULL ? "%c" : "%%%02X", (unsigned char)*c);
    return MR_OK;
}

// "/subjects/<subject><rest>"
static mr_status subject_path(const char *before, const char *subject, const char *after,
                              char path[PATH_BYTES], mr_error *err)
{
    strcpy(path, before);
    MR_TRY(put_escaped(subject, path, err));
    strcat(path, after);
    return MR_OK;
}

// ---- a schema and what it refers to

typedef struct collecting {
    mr_definition definitions[MR_REST_REFERENCES_MAX];
    char *texts[MR_REST_REFERENCES_MAX]; // name and text of each, owned
    uint32_t count;
    size_t bytes;
} collecting;

static bool is_collected(const collecting *c, const char *name)
{
    for (uint32_t i = 0; i < c->count; i++) {
        if (strcmp(c->definitions[i].name, name) == 0)
            return true;
    }
    return false;
}

static mr_status keep_definition(collecting *c, const char *name, const mr_schema_answer *answer,
                                 mr_error *err)
{
    const size_t name_bytes = strlen(name) + 1;
    c->bytes += answer->text_bytes;
    if (c->count == MR_REST_REFERENCES_MAX || c->bytes > MR_REST_BYTES_MAX)
        return mr_reject(err, MR_CAUSE_unsuitable_schema,
                         "more than %d references, or more than %d bytes of them",
                         MR_REST_REFERENCES_MAX, MR_REST_BYTES_MAX);
    char *text = malloc(name_bytes + answer->text_bytes + 1);
    if (text == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    memcpy(text, name, name_bytes);
    memcpy(text + name_bytes, answer->text, answer->text_bytes + 1);
    c->texts[c->count] = text;
    c->definitions[c->count++] = (mr_definition){text, text + name_bytes, answer->text_bytes};
    return MR_OK;
}

// Asks for a schema; *answer is to be freed.
static mr_status ask_schema(mr_rest *rest, const char *path, const char *what,
                            mr_schema_answer *answer, mr_error *err)
{
    mr_http_answer http;
    MR_TRY(ask(rest, path, NULL, what, &http, err));
    mr_status status = mr_answer_schema(http.body, http.size, answer, err);
    if (status != MR_OK)
        return mr_wrap(err, "%.80s", http.url);
    if (strcmp(answer->type, "AVRO") == 0)
        return MR_OK;
    status = mr_reject(err, MR_CAUSE_unsuitable_schema,
                       "%.80s is a schema of type %.20s, want AVRO", what, answer->type);
    mr_answer_schema_free(answer);
    return status;
}

// The types that a schema refers to, depth first. A type that two ways lead to is asked for once,
// and so is one that refers to itself.
static mr_status collect(mr_rest *rest, const mr_schema_answer *from, int depth, collecting *c,
                         mr_error *err)
{
    if (from->reference_count > 0 && depth == MR_REST_DEPTH_MAX)
        return mr_reject(err, MR_CAUSE_unsuitable_schema, "references of references beyond %d",
                         MR_REST_DEPTH_MAX);
    for (uint32_t i = 0; i < from->reference_count; i++) {
        const mr_reference *reference = &from->references[i];
        char path[PATH_BYTES], after[48], what[MESSAGE_BYTES];
        mr_schema_answer answer;
        if (is_collected(c, reference->name))
            continue;
        snprintf(after, sizeof after, "/versions/%lld", (long long)reference->version);
        snprintf(what, sizeof what, "reference %.40s of subject %.40s", reference->name,
                 reference->subject);
        MR_TRY(subject_path("/subjects/", reference->subject, after, path, err));
        MR_TRY(ask_schema(rest, path, what, &answer, err));
        mr_status status = keep_definition(c, reference->name, &answer, err);
        if (status == MR_OK)
            status = collect(rest, &answer, depth + 1, c, err);
        mr_answer_schema_free(&answer);
        MR_TRY(status);
    }
    return MR_OK;
}

static mr_status get(mr_rest *rest, const char *path, const char *what, mr_rest_schema *schema,
                     mr_error *err)
{
    mr_schema_answer answer;
    MR_TRY(ask_schema(rest, path, what, &answer, err));
    *schema = (mr_rest_schema){.id = answer.id, .version = answer.version};
    collecting *c = calloc(1, sizeof *c);
    mr_status status = c != NULL ? MR_OK : mr_fail(err, MR_FATAL, "out of memory");
    if (status == MR_OK)
        status = collect(rest, &answer, 0, c, err);
    if (status == MR_OK)
        status = mr_assemble(answer.text, answer.text_bytes, c->definitions, c->count,
                             &schema->text, &schema->text_bytes, err);
    if (status == MR_REJECT)
        mr_wrap(err, "%.80s", what);
    for (uint32_t i = 0; c != NULL && i < c->count; i++)
        free(c->texts[i]);
    free(c);
    mr_answer_schema_free(&answer);
    return status;
}

mr_status mr_rest_by_id(mr_rest *rest, uint32_t id, mr_rest_schema *schema, mr_error *err)
{
    char path[48], what[32];
    // Ids are Java's ints; what is above is only framed like one, and registries say to it no more
    // than that they have no such path.
    if (id > INT32_MAX)
        return mr_reject(err, MR_CAUSE_unknown_schema, "schema id %u: no registry counts so far",
                         id);
    snprintf(path, sizeof path, "/schemas/ids/%u", id);
    snprintf(what, sizeof what, "schema id %u", id);
    return get(rest, path, what, schema, err);
}

mr_status mr_rest_by_guid(mr_rest *rest, const uint8_t guid[16], mr_rest_schema *schema,
                          mr_error *err)
{
    char path[80] = "/schemas/guids/", what[64];
    char *at = path + strlen(path);
    for (uint32_t i = 0; i < 16; i++) {
        const bool hyphen = i == 4 || i == 6 || i == 8 || i == 10;
        at += sprintf(at, hyphen ? "-%02x" : "%02x", guid[i]);
    }
    snprintf(what, sizeof what, "schema GUID %.36s", at - 36);
    const mr_status status = get(rest, path, what, schema, err);
    // A registry that knows no GUIDs has no such path, and 17 bytes that look framed may be none.
    if (status == MR_FATAL && rest->status == 404)
        return mr_reject(err, MR_CAUSE_unknown_schema, "%.80s: the registry has none by GUID",
                         what);
    return status;
}

mr_status mr_rest_by_version(mr_rest *rest, const char *subject, int64_t version,
                             mr_rest_schema *schema, mr_error *err)
{
    char path[PATH_BYTES], after[48] = "/versions/latest", what[MESSAGE_BYTES];
    if (version > 0)
        snprintf(after, sizeof after, "/versions/%lld", (long long)version);
    snprintf(what, sizeof what, "subject %.80s", subject);
    MR_TRY(subject_path("/subjects/", subject, after, path, err));
    return get(rest, path, what, schema, err);
}

// ---- what is given to the registry

// {"schema": "...", "schemaType": "AVRO"}: the schema as a string in JSON.
static char *make_body(const char *text)
{
    json_t *json = json_pack("{s:s, s:s}", "schema", text, "schemaType", "AVRO");
    char *body = json_dumps(json, JSON_COMPACT);
    json_decref(json);
    return body;
}

static mr_status give(mr_rest *rest, const char *before, const char *subject, const char *after,
                      const char *text, mr_http_answer *answer, mr_error *err)
{
    char path[PATH_BYTES], what[MESSAGE_BYTES];
    snprintf(what, sizeof what, "subject %.80s", subject);
    MR_TRY(subject_path(before, subject, after, path, err));
    char *body = make_body(text);
    if (body == NULL)
        return mr_fail(err, MR_FATAL, "a schema that is no UTF-8, or out of memory");
    const mr_status status = ask(rest, path, body, what, answer, err);
    free(body);
    return status;
}

mr_status mr_rest_look_up(mr_rest *rest, const char *subject, const char *text, uint32_t *id,
                          mr_error *err)
{
    mr_http_answer answer;
    // Normalised: otherwise the same schema with its attributes in another order is not found.
    MR_TRY(give(rest, "/subjects/", subject, "?normalize=true", text, &answer, err));
    return mr_answer_id(answer.body, answer.size, id, err);
}

mr_status mr_rest_register(mr_rest *rest, const char *subject, const char *text, uint32_t *id,
                           mr_error *err)
{
    mr_http_answer answer;
    MR_TRY(give(rest, "/subjects/", subject, "/versions?normalize=true", text, &answer, err));
    return mr_answer_id(answer.body, answer.size, id, err);
}

mr_status mr_rest_is_compatible(mr_rest *rest, const char *subject, const char *text,
                                bool *compatible, char *why, size_t why_bytes, mr_error *err)
{
    mr_http_answer answer;
    const mr_status status = give(rest, "/compatibility/subjects/", subject,
                                  "/versions/latest?verbose=true", text, &answer, err);
    *compatible = true;
    why[0] = '\0';
    if (status == MR_REJECT &&
        (rest->code == MR_REST_NO_SUBJECT || rest->code == MR_REST_NO_VERSION))
        return MR_OK;
    MR_TRY(status);
    return mr_answer_compatible(answer.body, answer.size, compatible, why, why_bytes, err);
}
