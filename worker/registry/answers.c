// SPDX-License-Identifier: Apache-2.0
#include "worker/registry/answers.h"

#include <jansson.h>
#include <stdio.h>

static mr_status no_registry(mr_error *err, const char *want, const char *body, size_t size)
{
    char found[41];
    size_t used = 0;
    for (; used < size && used < sizeof found - 1; used++)
        found[used] = body[used] >= ' ' && body[used] < 0x7f ? body[used] : '.';
    found[used] = '\0';
    return mr_fail(err, MR_FATAL, "the answer begins with '%s', want %s: is it a schema registry?",
                   found, want);
}

static json_t *read_object(const char *body, size_t size)
{
    json_t *json = json_loadb(body, size, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(json))
        return json;
    json_decref(json);
    return NULL;
}

static int64_t number_or(const json_t *object, const char *name, int64_t otherwise)
{
    const json_t *const value = json_object_get(object, name);
    return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

static bool read_reference(const json_t *json, mr_reference *reference)
{
    reference->name = json_string_value(json_object_get(json, "name"));
    reference->subject = json_string_value(json_object_get(json, "subject"));
    reference->version = number_or(json, "version", 0);
    return reference->name != NULL && reference->subject != NULL && reference->version > 0;
}

static mr_status read_references(mr_schema_answer *answer, const json_t *list, mr_error *err)
{
    const size_t count = json_array_size(list); // 0: there is none
    if (count > MR_ANSWER_REFERENCES_MAX)
        return mr_reject(err, MR_CAUSE_unsuitable_schema,
                         "a schema with %zu references, at most %d are read", count,
                         MR_ANSWER_REFERENCES_MAX);
    for (size_t i = 0; i < count; i++) {
        if (!read_reference(json_array_get(list, i), &answer->references[answer->reference_count]))
            return mr_fail(
                err, MR_FATAL,
                "a reference without name, subject and version: is it a schema registry?");
        answer->reference_count++;
    }
    return MR_OK;
}

mr_status mr_answer_schema(const char *body, size_t size, mr_schema_answer *answer, mr_error *err)
{
    json_t *json = read_object(body, size);
    const json_t *const text = json_object_get(json, "schema");
    const char *const type = json_string_value(json_object_get(json, "schemaType"));
    *answer = (mr_schema_answer){.json = json};
    if (!json_is_string(text)) {
        json_decref(json);
        return no_registry(err, "an object with 'schema'", body, size);
    }
    answer->text = json_string_value(text);
    answer->text_bytes = json_string_length(text);
    answer->type = type != NULL ? type : "AVRO";
    answer->id = number_or(json, "id", -1);
    answer->version = number_or(json, "version", -1);
    const mr_status status = read_references(answer, json_object_get(json, "references"), err);
    if (status != MR_OK)
        mr_answer_schema_free(answer);
    return status;
}

void mr_answer_schema_free(mr_schema_answer *answer)
{
    json_decref(answer->json);
    *answer = (mr_schema_answer){0};
}

mr_status mr_answer_id(const char *body, size_t size, uint32_t *id, mr_error *err)
{
    json_t *json = read_object(body, size);
    const int64_t number = number_or(json, "id", -1);
    json_decref(json);
    if (number < 0 || number > UINT32_MAX)
        return no_registry(err, "an object with 'id'", body, size);
    *id = (uint32_t)number;
    return MR_OK;
}

// Of one line, since it goes to logs.
static void copy_line(const char *text, char *line, size_t room)
{
    snprintf(line, room, "%s", text != NULL ? text : "");
    for (char *c = line; *c != '\0'; c++)
        *c = (unsigned char)*c < ' ' || *c == 0x7f ? ' ' : *c;
}

mr_status mr_answer_compatible(const char *body, size_t size, bool *compatible, char *message,
                               size_t message_bytes, mr_error *err)
{
    json_t *json = read_object(body, size);
    const json_t *const verdict = json_object_get(json, "is_compatible");
    const bool good = json_is_boolean(verdict);
    *compatible = json_is_true(verdict);
    copy_line(json_string_value(json_array_get(json_object_get(json, "messages"), 0)), message,
              message_bytes);
    json_decref(json);
    return good ? MR_OK : no_registry(err, "an object with 'is_compatible'", body, size);
}

bool mr_answer_refusal(const char *body, size_t size, int *code, char *message,
                       size_t message_bytes)
{
    json_t *json = read_object(body, size);
    const int64_t number = number_or(json, "error_code", -1);
    copy_line(json_string_value(json_object_get(json, "message")), message, message_bytes);
    json_decref(json);
    *code = (int)number;
    return number > 0 && number < 1000000;
}
