// SPDX-License-Identifier: Apache-2.0
#include "worker/registry/assemble.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_BYTES = 512 };

typedef struct assembling {
    const mr_definition *definitions;
    uint32_t count;
    bool *placed;    // by definition: its type is defined by what was walked so far
    json_t *defined; // object with a member for each full name that the texts define so far
} assembling;

// The namespace that the names inside a type belong to.
typedef struct space {
    char name[NAME_BYTES];
} space;

static mr_status walk(assembling *a, json_t *schema, const space *in, int depth, json_t **instead,
                      mr_error *err);

static mr_status bad_json(const char *what, const json_error_t *error, mr_error *err)
{
    return mr_reject(err, MR_CAUSE_unsuitable_schema, "%.80s: line %d, column %d: %.100s", what,
                     error->line, error->column, error->text);
}

// The definition of a name that is mentioned inside a namespace; -1: none of ours.
static int find(const assembling *a, const char *name, const space *in)
{
    char full[2 * NAME_BYTES];
    int plain = -1;
    const bool inside = in->name[0] != '\0' && strchr(name, '.') == NULL;
    snprintf(full, sizeof full, "%s%s%s", inside ? in->name : "", inside ? "." : "", name);
    if (json_object_get(a->defined, full) != NULL)
        return -1;
    for (uint32_t i = 0; i < a->count; i++) {
        if (inside && strcmp(a->definitions[i].name, full) == 0)
            return (int)i;
        if (strcmp(a->definitions[i].name, name) == 0)
            plain = (int)i; // a name without a namespace may be meant from inside one
    }
    return plain;
}

// A type without a namespace of its own would take on that of the place which it is put in.
static void keep_out_of_space(json_t *definition, const space *in)
{
    const char *const name = json_string_value(json_object_get(definition, "name"));
    if (name != NULL && strchr(name, '.') == NULL && in->name[0] != '\0' &&
        json_object_get(definition, "namespace") == NULL)
        json_object_set_new(definition, "namespace", json_string(""));
}

static mr_status mention(assembling *a, const char *name, const space *in, int depth,
                         json_t **instead, mr_error *err)
{
    static const space outside = {""};
    json_error_t error;
    json_t *inner = NULL;
    const int at = find(a, name, in);
    if (at < 0 || a->placed[at])
        return MR_OK;
    const mr_definition *definition = &a->definitions[at];
    a->placed[at] = true; // before it is walked: it may name itself
    json_t *json = json_loadb(definition->text, definition->text_bytes, JSON_DECODE_ANY, &error);
    if (json == NULL)
        return bad_json(definition->name, &error, err);
    keep_out_of_space(json, in);
    const mr_status status = walk(a, json, &outside, depth + 1, &inner, err);
    if (status != MR_OK) {
        json_decref(json);
        return status;
    }
    *instead = inner != NULL ? inner : json;
    if (inner != NULL)
        json_decref(json);
    return MR_OK;
}

// Walks a member of an object, and puts what is to stand in its place there.
static mr_status walk_member(assembling *a, json_t *object, const char *key, const space *in,
                             int depth, mr_error *err)
{
    json_t *instead = NULL, *const member = json_object_get(object, key);
    if (member == NULL)
        return MR_OK;
    MR_TRY(walk(a, member, in, depth + 1, &instead, err));
    if (instead != NULL && json_object_set_new(object, key, instead) != 0)
        return mr_fail(err, MR_FATAL, "out of memory");
    return MR_OK;
}

// Notes the full name of a type that the text defines itself, and gives the namespace inside it.
static void define(assembling *a, const json_t *type, const space *in, space *inside)
{
    char full[2 * NAME_BYTES];
    const char *const name = json_string_value(json_object_get(type, "name"));
    const char *const own = json_string_value(json_object_get(type, "namespace"));
    *inside = *in;
    if (name == NULL)
        return;
    const char *const dot = strrchr(name, '.');
    if (dot != NULL)
        snprintf(inside->name, sizeof inside->name, "%.*s", (int)(dot - name), name);
    else if (own != NULL)
        snprintf(inside->name, sizeof inside->name, "%s", own);
    const bool spaced = dot == NULL && inside->name[0] != '\0';
    snprintf(full, sizeof full, "%s%s%s", spaced ? inside->name : "", spaced ? "." : "", name);
    json_object_set_new(a->defined, full, json_true());
    for (uint32_t i = 0; i < a->count; i++)
        a->placed[i] = a->placed[i] || strcmp(a->definitions[i].name, full) == 0;
}

// Attributes that a type does not have are not looked at: they may hold anything.
static mr_status walk_object(assembling *a, json_t *type, const space *in, int depth, mr_error *err)
{
    const char *const kind = json_string_value(json_object_get(type, "type"));
    space inside;
    size_t index;
    json_t *field;
    if (kind == NULL) // a schema in a schema
        return walk_member(a, type, "type", in, depth, err);
    if (strcmp(kind, "array") == 0)
        return walk_member(a, type, "items", in, depth, err);
    if (strcmp(kind, "map") == 0)
        return walk_member(a, type, "values", in, depth, err);
    const bool has_fields = strcmp(kind, "record") == 0 || strcmp(kind, "error") == 0;
    if (!has_fields && strcmp(kind, "enum") != 0 && strcmp(kind, "fixed") != 0)
        return walk_member(a, type, "type", in, depth, err); // a name; a primitive is left alone
    define(a, type, in, &inside);
    if (!has_fields)
        return MR_OK;
    json_array_foreach(json_object_get(type, "fields"), index, field)
        MR_TRY(walk_member(a, field, "type", &inside, depth, err));
    return MR_OK;
}

// *instead: a new value that belongs in the place of this one; NULL: it stays.
static mr_status walk(assembling *a, json_t *schema, const space *in, int depth, json_t **instead,
                      mr_error *err)
{
    size_t index;
    json_t *branch;
    *instead = NULL;
    if (depth > MR_ASSEMBLE_DEPTH_MAX)
        return mr_reject(err, MR_CAUSE_unsuitable_schema,
                         "a schema nested deeper than %d with its references",
                         MR_ASSEMBLE_DEPTH_MAX);
    if (json_is_string(schema))
        return mention(a, json_string_value(schema), in, depth, instead, err);
    if (json_is_object(schema))
        return walk_object(a, schema, in, depth, err);
    json_array_foreach(schema, index, branch)
    {
        json_t *other;
        MR_TRY(walk(a, branch, in, depth + 1, &other, err));
        if (other != NULL && json_array_set_new(schema, index, other) != 0)
            return mr_fail(err, MR_FATAL, "out of memory");
    }
    return MR_OK;
}

static mr_status assemble(assembling *a, json_t *json, char **whole, mr_error *err)
{
    static const space outside = {""};
    json_t *instead;
    MR_TRY(walk(a, json, &outside, 0, &instead, err));
    *whole = json_dumps(instead != NULL ? instead : json, JSON_COMPACT | JSON_ENCODE_ANY);
    json_decref(instead);
    return *whole != NULL ? MR_OK : mr_fail(err, MR_FATAL, "out of memory");
}

static mr_status copy(const char *text, size_t text_bytes, char **whole, size_t *whole_bytes,
                      mr_error *err)
{
    *whole = malloc(text_bytes + 1);
    if (*whole == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    memcpy(*whole, text, text_bytes);
    (*whole)[text_bytes] = '\0';
    *whole_bytes = text_bytes;
    return MR_OK;
}

mr_status mr_assemble(const char *text, size_t text_bytes, const mr_definition *definitions,
                      uint32_t definition_count, char **whole, size_t *whole_bytes, mr_error *err)
{
    json_error_t error;
    if (definition_count == 0)
        return copy(text, text_bytes, whole, whole_bytes, err);
    assembling a = {.definitions = definitions, .count = definition_count};
    a.placed = calloc(definition_count, sizeof *a.placed);
    a.defined = json_object();
    if (a.placed == NULL || a.defined == NULL) {
        free(a.placed);
        json_decref(a.defined);
        return mr_fail(err, MR_FATAL, "out of memory");
    }
    json_t *json = json_loadb(text, text_bytes, JSON_DECODE_ANY, &error);
    const mr_status status =
        json != NULL ? assemble(&a, json, whole, err) : bad_json("the schema", &error, err);
    if (status == MR_OK)
        *whole_bytes = strlen(*whole);
    json_decref(json);
    json_decref(a.defined);
    free(a.placed);
    return status;
}
