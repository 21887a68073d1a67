// SPDX-License-Identifier: Apache-2.0
#include "schemas/catalog.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/hash.h"
#include "schemas/builtin.h"
#include "schemas/canonical.h"

enum { SLOTS = 4 * MR_CATALOG_SCHEMAS_MAX }; // each schema has up to two keys: load of at most 1/2

typedef struct slot { // a name on the wire and the schema that it stands for
    mr_frame_names names;
    uint32_t schema; // index + 1; 0: the slot is free
    uint64_t low, high;
} slot;

typedef struct member {
    mr_catalog_schema shown;
    mr_schema *schema;                       // NULL: the finder's text is no schema
    char *name, *text;                       // owned, of files and of what was found
    mr_plan *plans[MR_CATALOG_MAPPINGS_MAX]; // by handle
    mr_error *faults[MR_CATALOG_MAPPINGS_MAX];
    mr_error *refusal; // where there is no schema: why
} member;

struct mr_catalog {
    char *directory;
    mr_schema_finder finder; // find NULL: there is none
    member **members;
    uint32_t member_count, mapping_count;
    const mr_mapping *mappings[MR_CATALOG_MAPPINGS_MAX];
    slot slots[SLOTS];
};

static mr_status out_of_memory(mr_error *err)
{
    return mr_fail(err, MR_FATAL, "schemas: out of memory");
}

// The slot of a key, or the free one where it would stand.
static slot *find_slot(const mr_catalog *catalog, mr_frame_names names, uint64_t low, uint64_t high)
{
    const uint64_t key[] = {low, high};
    uint64_t at = mr_hash64(key, sizeof key, (uint64_t)names) % SLOTS;
    for (;; at = (at + 1) % SLOTS) {
        const slot *s = catalog->slots + at;
        if (s->schema == 0 || (s->names == names && s->low == low && s->high == high))
            return (slot *)(uintptr_t)s;
    }
}

static void add_key(mr_catalog *catalog, mr_frame_names names, uint64_t low, uint64_t high)
{
    // Of two with the same fingerprint the later counts: a file goes before ours. They are read
    // alike but for logical types and aliases, which a fingerprint does not cover.
    *find_slot(catalog, names, low, high) = (slot){names, catalog->member_count, low, high};
}

static void guid_words(const uint8_t guid[16], uint64_t *low, uint64_t *high)
{
    memcpy(low, guid, 8);
    memcpy(high, guid + 8, 8);
}

// Reads "0123...": 32 hexadecimal digits with the hyphens of a UUID.
static bool parse_guid(const char *name, uint8_t guid[16])
{
    uint32_t digits = 0;
    if (strlen(name) != 36)
        return false;
    for (uint32_t i = 0; i < 36; i++) {
        const char *hex = "0123456789abcdef", *at;
        if (i == 8 || i == 13 || i == 18 || i == 23) {
            if (name[i] != '-')
                return false;
            continue;
        }
        at = memchr(hex, name[i] >= 'A' && name[i] <= 'F' ? name[i] + 32 : name[i], 16);
        if (at == NULL)
            return false;
        const uint8_t value = (uint8_t)(at - hex);
        guid[digits / 2] = (uint8_t)(digits % 2 == 0 ? value << 4 : guid[digits / 2] | value);
        digits++;
    }
    return true;
}

static bool parse_id(const char *name, uint32_t *id)
{
    char *end;
    if (*name < '0' || *name > '9')
        return false;
    errno = 0;
    const unsigned long long value = strtoull(name, &end, 10);
    *id = (uint32_t)value;
    return *end == '\0' && errno == 0 && value <= UINT32_MAX;
}

// Takes a schema in; the catalog owns nothing of it yet if this fails.
static mr_status add(mr_catalog *catalog, const char *name, const char *text, size_t text_bytes,
                     bool is_ours, member **added, mr_error *err)
{
    if (catalog->member_count == MR_CATALOG_SCHEMAS_MAX)
        return mr_fail(err, MR_FATAL, "more than %d schemas", MR_CATALOG_SCHEMAS_MAX);
    member *m = calloc(1, sizeof *m);
    if (m == NULL)
        return out_of_memory(err);
    const mr_status status = mr_schema_open(text, text_bytes, &m->schema, err);
    if (status != MR_OK) {
        free(m);
        return status;
    }
    m->shown =
        (mr_catalog_schema){name, text, (uint32_t)text_bytes, mr_fingerprint(m->schema), is_ours};
    catalog->members[catalog->member_count++] = m;
    *added = m;
    return MR_OK;
}

// The key that single-object records use.
static void add_fingerprint(mr_catalog *catalog, const member *m)
{
    add_key(catalog, MR_FRAME_NAMES_FINGERPRINT, m->shown.fingerprint, 0);
}

static mr_status read_text(FILE *file, char **text, size_t *size, mr_error *err)
{
    *text = malloc(MR_SCHEMA_BYTES_MAX + 1);
    if (*text == NULL)
        return out_of_memory(err);
    *size = fread(*text, 1, MR_SCHEMA_BYTES_MAX + 1, file);
    if (ferror(file) || *size > MR_SCHEMA_BYTES_MAX) {
        const bool too_long = !ferror(file);
        free(*text);
        return mr_fail(err, MR_FATAL, "%s",
                       too_long ? "longer than a schema of 1 MiB" : "cannot be read");
    }
    char *smaller = realloc(*text, *size + 1);
    if (smaller != NULL)
        *text = smaller;
    (*text)[*size] = '\0';
    return MR_OK;
}

static mr_status add_file(mr_catalog *catalog, const char *path, const char *file_name,
                          mr_error *err)
{
    char *text = NULL;
    size_t size = 0;
    uint32_t id;
    uint8_t guid[16];
    uint64_t low, high;
    member *m = NULL;
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return mr_fail(err, MR_FATAL, "%s", strerror(errno));
    mr_status status = read_text(file, &text, &size, err);
    fclose(file);
    if (status != MR_OK)
        return status;
    char *name = strndup(file_name, strlen(file_name) - strlen(".avsc"));
    status = name == NULL ? out_of_memory(err) : add(catalog, name, text, size, false, &m, err);
    if (status != MR_OK) {
        free(name);
        free(text);
        return status;
    }
    m->name = name;
    m->text = text;
    add_fingerprint(catalog, m);
    if (parse_id(name, &id))
        add_key(catalog, MR_FRAME_NAMES_ID, id, 0);
    if (parse_guid(name, guid)) {
        guid_words(guid, &low, &high);
        add_key(catalog, MR_FRAME_NAMES_GUID, low, high);
    }
    return MR_OK;
}

static int is_schema_file(const struct dirent *entry)
{
    const size_t size = strlen(entry->d_name);
    return size > 5 && strcmp(entry->d_name + size - 5, ".avsc") == 0 && entry->d_name[0] != '.';
}

static mr_status add_directory(mr_catalog *catalog, const char *directory, mr_error *err)
{
    struct dirent **entries;
    char path[4096];
    mr_status status = MR_OK;
    const int count = scandir(directory, &entries, is_schema_file, alphasort);
    if (count < 0)
        return mr_fail(err, MR_FATAL, "schemas in '%s': %s", directory, strerror(errno));
    for (int i = 0; i < count; i++) {
        if (status == MR_OK) {
            snprintf(path, sizeof path, "%s/%s", directory, entries[i]->d_name);
            status = add_file(catalog, path, entries[i]->d_name, err);
            if (status != MR_OK) {
                mr_wrap(err, "%s", path);
                err->status = status = MR_FATAL; // of a file at the start, not of a record
                err->cause = MR_CAUSE_NONE;
            }
        }
        free(entries[i]);
    }
    free(entries);
    return status;
}

mr_status mr_catalog_open(const char *directory, mr_catalog **catalog, mr_error *err)
{
    mr_catalog *made = calloc(1, sizeof *made);
    member *m = NULL;
    mr_status status = MR_OK;
    if (made != NULL)
        made->members = calloc(MR_CATALOG_SCHEMAS_MAX, sizeof(member *));
    if (made == NULL || made->members == NULL) {
        free(made);
        return out_of_memory(err);
    }
    for (uint32_t i = 0; status == MR_OK && mr_builtin_at(i) != NULL; i++) {
        const mr_builtin *own = mr_builtin_at(i);
        status = add(made, own->name, own->text, own->size, true, &m, err);
        if (status == MR_OK)
            add_fingerprint(made, m);
    }
    if (status == MR_OK && directory != NULL) {
        made->directory = strdup(directory);
        status = made->directory == NULL ? out_of_memory(err) : add_directory(made, directory, err);
    }
    if (status != MR_OK) {
        mr_catalog_close(made);
        return status;
    }
    *catalog = made;
    return MR_OK;
}

static void close_member(member *m)
{
    for (uint32_t i = 0; i < MR_CATALOG_MAPPINGS_MAX; i++) {
        mr_plan_close(m->plans[i]);
        free(m->faults[i]);
    }
    mr_schema_close(m->schema);
    free(m->refusal);
    free(m->name);
    free(m->text);
    free(m);
}

void mr_catalog_close(mr_catalog *catalog)
{
    if (catalog == NULL)
        return;
    for (uint32_t i = 0; i < catalog->member_count; i++)
        close_member(catalog->members[i]);
    free(catalog->members);
    free(catalog->directory);
    free(catalog);
}

mr_status mr_catalog_map(mr_catalog *catalog, const mr_mapping *mapping, uint32_t *handle,
                         mr_error *err)
{
    const uint64_t hash = mr_mapping_hash(mapping);
    for (*handle = 0; *handle < catalog->mapping_count; ++*handle) {
        if (mr_mapping_hash(catalog->mappings[*handle]) == hash)
            return MR_OK;
    }
    if (*handle == MR_CATALOG_MAPPINGS_MAX)
        return mr_fail(err, MR_FATAL, "schemas: more than %d mappings", MR_CATALOG_MAPPINGS_MAX);
    catalog->mappings[catalog->mapping_count++] = mapping;
    return MR_OK;
}

static member *find_name(const mr_catalog *catalog, const char *name)
{
    for (uint32_t i = catalog->member_count; i-- > 0;) { // files were read after ours
        if (strcmp(catalog->members[i]->shown.name, name) == 0)
            return catalog->members[i];
    }
    return NULL;
}

enum { WHAT_BYTES = 96 };

// What a frame calls its schema, in words.
static void name_schema(const mr_frame *frame, const char *bare, char what[WHAT_BYTES])
{
    const uint8_t *g = frame->guid;
    if (frame->names == MR_FRAME_NAMES_ID)
        snprintf(what, WHAT_BYTES, "schema id %u", frame->id);
    else if (frame->names == MR_FRAME_NAMES_GUID)
        snprintf(what, WHAT_BYTES,
                 "schema GUID %02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
                 g[0], g[1], g[2], g[3], g[4], g[5], g[6], g[7], g[8], g[9], g[10], g[11], g[12],
                 g[13], g[14], g[15]);
    else if (frame->names == MR_FRAME_NAMES_FINGERPRINT)
        snprintf(what, WHAT_BYTES, "schema fingerprint %016llx",
                 (unsigned long long)frame->fingerprint);
    else
        snprintf(what, WHAT_BYTES, "schema '%s'", bare != NULL ? bare : "");
}

static mr_status unknown(const mr_catalog *catalog, const mr_frame *frame, const char *bare,
                         mr_error *err)
{
    char what[WHAT_BYTES];
    name_schema(frame, bare, what);
    return mr_reject(err, MR_CAUSE_unknown_schema, "%s is not known: there is no such file in '%s'",
                     what, catalog->directory != NULL ? catalog->directory : "(no directory)");
}

static member *find_frame(const mr_catalog *catalog, const mr_frame *frame, const char *bare)
{
    uint64_t low = 0, high = 0;
    if (frame->names == MR_FRAME_NAMES_NOTHING)
        return bare != NULL ? find_name(catalog, bare) : NULL;
    if (frame->names == MR_FRAME_NAMES_GUID)
        guid_words(frame->guid, &low, &high);
    else
        low = frame->names == MR_FRAME_NAMES_ID ? frame->id : frame->fingerprint;
    const slot *s = find_slot(catalog, frame->names, low, high);
    return s->schema != 0 ? catalog->members[s->schema - 1] : NULL;
}

static mr_status compile(const mr_catalog *catalog, member *m, uint32_t handle, mr_error *err)
{
    const mr_status status =
        mr_plan_compile_schema(m->schema, catalog->mappings[handle], &m->plans[handle], err);
    if (status == MR_OK)
        return MR_OK;
    mr_wrap(err, "schema '%s'", m->shown.name);
    if (status == MR_REJECT) {
        m->faults[handle] = malloc(sizeof *err);
        if (m->faults[handle] != NULL) // without memory it is found out again next time
            *m->faults[handle] = *err;
    }
    return status;
}

void mr_catalog_ask(mr_catalog *catalog, const mr_schema_finder *finder)
{
    catalog->finder = *finder;
}

// A member that stands for a text that is no schema, so that it is read once.
static mr_status add_refused(mr_catalog *catalog, const mr_error *why, member **added,
                             mr_error *err)
{
    member *m = calloc(1, sizeof *m);
    if (m != NULL)
        m->refusal = malloc(sizeof *m->refusal);
    if (m == NULL || m->refusal == NULL) {
        free(m);
        return out_of_memory(err);
    }
    *m->refusal = *why;
    catalog->members[catalog->member_count++] = m;
    *added = m;
    return MR_OK;
}

// Takes in what the finder has for a frame; *text is the catalog's from now on. Its fingerprint is
// not known by it: how single-object records are read must not depend on what else came before.
static mr_status add_found(mr_catalog *catalog, const mr_frame *frame, const char *what, char *text,
                           size_t text_bytes, member **added, mr_error *err)
{
    uint64_t low = frame->id, high = 0;
    char *name = strdup(what);
    mr_status status =
        name == NULL ? out_of_memory(err) : add(catalog, name, text, text_bytes, false, added, err);
    if (status == MR_REJECT) {
        const mr_error why = *err;
        status = add_refused(catalog, &why, added, err);
    }
    if (status != MR_OK) {
        free(name);
        free(text);
        return status;
    }
    (*added)->shown.name = (*added)->name = name;
    (*added)->shown.text = (*added)->text = text;
    if (frame->names == MR_FRAME_NAMES_GUID)
        guid_words(frame->guid, &low, &high);
    add_key(catalog, frame->names, low, high);
    return MR_OK;
}

// Errors: those of mr_catalog_plan.
static mr_status ask_finder(mr_catalog *catalog, const mr_frame *frame, member **added,
                            mr_error *err)
{
    const mr_schema_finder *finder = &catalog->finder;
    char what[WHAT_BYTES], *text;
    size_t text_bytes;
    name_schema(frame, NULL, what);
    if (catalog->member_count == MR_CATALOG_SCHEMAS_MAX)
        return mr_reject(err, MR_CAUSE_unknown_schema, "%s: %d schemas are in use already", what,
                         MR_CATALOG_SCHEMAS_MAX);
    MR_TRY(finder->find(finder->context, frame, &text, &text_bytes, err));
    if (text_bytes <= MR_SCHEMA_BYTES_MAX)
        return add_found(catalog, frame, what + strlen("schema "), text, text_bytes, added, err);
    free(text);
    return mr_reject(err, MR_CAUSE_unsuitable_schema, "%s has %zu bytes, at most %d are read", what,
                     text_bytes, MR_SCHEMA_BYTES_MAX);
}

mr_status mr_catalog_plan(mr_catalog *catalog, const mr_frame *frame, const char *bare,
                          uint32_t handle, const mr_plan **plan, mr_error *err)
{
    MR_ASSERT(handle < catalog->mapping_count);
    const bool by_number = frame->names == MR_FRAME_NAMES_ID || frame->names == MR_FRAME_NAMES_GUID;
    member *m = find_frame(catalog, frame, bare);
    if (m == NULL && by_number && catalog->finder.find != NULL)
        MR_TRY(ask_finder(catalog, frame, &m, err));
    if (m == NULL)
        return unknown(catalog, frame, bare, err);
    if (m->refusal != NULL) {
        *err = *m->refusal;
        return err->status;
    }
    if (m->faults[handle] != NULL) {
        *err = *m->faults[handle];
        return err->status;
    }
    if (m->plans[handle] == NULL)
        MR_TRY(compile(catalog, m, handle, err));
    *plan = m->plans[handle];
    return MR_OK;
}

const mr_catalog_schema *mr_catalog_at(const mr_catalog *catalog, uint32_t index)
{
    return index < catalog->member_count ? &catalog->members[index]->shown : NULL;
}

const mr_catalog_schema *mr_catalog_find(const mr_catalog *catalog, const char *name)
{
    const member *m = find_name(catalog, name);
    return m != NULL ? &m->shown : NULL;
}
