// SPDX-License-Identifier: Apache-2.0
#include "worker/input/format.h"

#include <errno.h>
#include <libfyaml.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/builtin.h"
#include "worker/input/values.h"
#include "worker/nearest.h"

enum { FILE_BYTES_MAX = 64 << 10, TEXT_MAX = MR_FORMAT_TEXT_MAX };

typedef struct reader {
    mr_format *format;
    struct fy_node *at; // whose place an error has
    mr_error *err;
} reader;

typedef mr_status take(reader *r, const char *key, struct fy_node *value);

// ---- places and texts

static mr_status fault(const reader *r, mr_status status)
{
    struct fy_token *token = r->at != NULL ? fy_node_get_scalar_token(r->at) : NULL;
    const struct fy_mark *mark = token != NULL ? fy_token_start_mark(token) : NULL;
    if (mark == NULL)
        mr_wrap(r->err, "%s", r->format->name);
    else
        mr_wrap(r->err, "%s:%d:%d", r->format->name, mark->line + 1, mark->column + 1);
    return status;
}

// A plain text of less than TEXT_MAX bytes.
static mr_status take_text(reader *r, const char *key, struct fy_node *node, char *text)
{
    size_t size = 0;
    const char *from = NULL;
    if (node != NULL && fy_node_is_scalar(node) && !fy_node_is_alias(node))
        from = fy_node_get_scalar(node, &size);
    if (from == NULL)
        return mr_fail(r->err, MR_FATAL, "%s: want a text", key);
    r->at = node;
    if (size >= TEXT_MAX || memchr(from, '\0', size) != NULL)
        return mr_fail(r->err, MR_FATAL, "%s: want at most %d bytes", key, TEXT_MAX - 1);
    memcpy(text, from, size);
    text[size] = '\0';
    return MR_OK;
}

static mr_status want(const reader *r, const char *key, const char *what, const char *have)
{
    return mr_fail(r->err, MR_FATAL, "%s: want %s, found '%.40s'", key, what, have);
}

// Gives each pair of a mapping to `each`, with the key as a text.
static mr_status take_pairs(reader *r, const char *key, struct fy_node *node, take *each)
{
    void *step = NULL;
    char name[TEXT_MAX];
    if (node == NULL || !fy_node_is_mapping(node))
        return mr_fail(r->err, MR_FATAL, "%s: want a mapping of keys", key);
    for (struct fy_node_pair *pair; (pair = fy_node_mapping_iterate(node, &step)) != NULL;) {
        r->at = fy_node_pair_key(pair);
        MR_TRY(take_text(r, "a key", r->at, name));
        MR_TRY(each(r, name, fy_node_pair_value(pair)));
    }
    return MR_OK;
}

// ---- fields

static bool take_number(const char *text, uint32_t *number)
{
    char *end;
    const unsigned long value = strtoul(text, &end, 10);
    *number = (uint32_t)value;
    return text[0] >= '1' && text[0] <= '9' && *end == '\0' && value <= 256;
}

// Without a header columns have numbers; a path has to have a name.
static mr_status check_name(const reader *r, const char *key, const char *name)
{
    uint32_t number;
    const mr_format *f = r->format;
    if (f->layout == MR_LAYOUT_CSV && !f->header && !take_number(name, &number))
        return want(r, key, "the number of a column, from 1 to 256 (header: no)", name);
    if (f->layout == MR_LAYOUT_JSONL && name[0] == '\0')
        return mr_fail(r->err, MR_FATAL, "%s: want the name of a member", key);
    return MR_OK;
}

// Cuts the unit off the end of a time's source.
static void take_unit(char *text, mr_format_source *source)
{
    static const char *const units[] = {" s", " ms", " us", " ns", " iso"};
    const size_t size = strlen(text);
    for (uint32_t i = 0; i < sizeof units / sizeof *units; i++) {
        const size_t unit_size = strlen(units[i]);
        if (size <= unit_size || strcmp(text + size - unit_size, units[i]) != 0)
            continue;
        text[size - unit_size] = '\0';
        source->unit = (mr_time_unit)(MR_TIME_SECONDS + i);
        return;
    }
}

static mr_status take_key(const reader *r, const char *key, mr_format_source *source)
{
    static const char pair[] = "context.";
    if (strncmp(key, pair, sizeof pair - 1) == 0 && key[sizeof pair - 1] != '\0') {
        source->field = MR_FIELD_context;
        snprintf(source->pair, TEXT_MAX, "%s", key + sizeof pair - 1);
        return MR_OK;
    }
    mr_mapping_entry entry;
    MR_TRY(mr_mapping_key(mr_bytes_text(key), &entry, r->err));
    source->field = entry.field;
    if (entry.role != MR_ROLE_FIELD || !mr_values_can_fill(entry.field) ||
        entry.part != MR_PART_WHOLE)
        return mr_fail(r->err, MR_FATAL,
                       "'%s' cannot come from a column; a pair of the context is context.NAME",
                       key);
    return MR_OK;
}

static mr_status take_source_text(reader *r, const char *key, struct fy_node *node,
                                  mr_format_source *source)
{
    char text[TEXT_MAX];
    MR_TRY(take_text(r, key, node, text));
    if (text[0] == '=' && source->name_count == 0) {
        snprintf(source->constant, TEXT_MAX, "%s", text + 1 + strspn(text + 1, " "));
        return MR_OK;
    }
    if (source->field == MR_FIELD_time)
        take_unit(text, source);
    snprintf(source->names[source->name_count++], TEXT_MAX, "%s", text);
    return check_name(r, key, text);
}

static mr_status take_field(reader *r, const char *key, struct fy_node *node)
{
    mr_format *f = r->format;
    void *step = NULL;
    if (f->source_count == MR_FORMAT_SOURCES_MAX)
        return mr_fail(r->err, MR_FATAL, "more than %d fields", MR_FORMAT_SOURCES_MAX);
    mr_format_source *source = &f->sources[f->source_count++];
    MR_TRY(take_key(r, key, source));
    if (node == NULL || !fy_node_is_sequence(node))
        return take_source_text(r, key, node, source);
    for (struct fy_node *each; (each = fy_node_sequence_iterate(node, &step)) != NULL;) {
        if (source->name_count == MR_FORMAT_NAMES_MAX)
            return mr_fail(r->err, MR_FATAL, "%s: more than %d columns", key, MR_FORMAT_NAMES_MAX);
        MR_TRY(take_source_text(r, key, each, source));
    }
    if (source->name_count == 0)
        return mr_fail(r->err, MR_FATAL, "%s: want columns", key);
    return MR_OK;
}

// ---- types

static mr_status take_kinds(reader *r, const char *key, struct fy_node *node, mr_format_type *type)
{
    char text[TEXT_MAX], *rest = text, *word;
    MR_TRY(take_text(r, key, node, text));
    while ((word = strsep(&rest, " ")) != NULL) {
        if (word[0] == '\0')
            continue;
        const mr_event_kind kind = mr_event_kind_of(mr_bytes_text(word));
        if (kind == MR_EVENT_KIND_COUNT || type->kind_count == MR_FORMAT_KINDS_MAX)
            return want(r, key,
                        "up to four of click, cart, purchase, impression, rating, search, "
                        "catalogue and control",
                        word);
        type->kinds[type->kind_count++] = kind;
    }
    return MR_OK;
}

static mr_status take_value(reader *r, const char *key, struct fy_node *node)
{
    mr_format *f = r->format;
    if (f->type_count == MR_FORMAT_TYPES_MAX)
        return mr_fail(r->err, MR_FATAL, "more than %d types", MR_FORMAT_TYPES_MAX);
    mr_format_type *type = &f->types[f->type_count++];
    snprintf(type->value, TEXT_MAX, "%s", key);
    return take_kinds(r, key, node, type);
}

static mr_status take_type_key(reader *r, const char *key, struct fy_node *node)
{
    mr_format *f = r->format;
    if (strcmp(key, "values") == 0)
        return take_pairs(r, "type.values", node, take_value);
    if (strcmp(key, "else") == 0) {
        f->has_otherwise = true;
        return take_kinds(r, "type.else", node, &f->otherwise);
    }
    if (strcmp(key, "column") != 0)
        return want(r, "type", "column, values or else", key);
    f->typed = true;
    MR_TRY(take_text(r, "type.column", node, f->type_name));
    return check_name(r, "type.column", f->type_name);
}

static mr_status take_type(reader *r, struct fy_node *node)
{
    mr_format *f = r->format;
    if (node != NULL && fy_node_is_mapping(node)) {
        MR_TRY(take_pairs(r, "type", node, take_type_key));
        if (!f->typed || (f->type_count == 0 && !f->has_otherwise))
            return mr_fail(r->err, MR_FATAL, "type: want column and values");
        return MR_OK;
    }
    f->has_otherwise = true;
    return take_kinds(r, "type", node, &f->otherwise);
}

// ---- the file

static mr_status take_choice(reader *r, const char *key, struct fy_node *node, const char *no,
                             const char *yes, bool *choice)
{
    char text[TEXT_MAX], wanted[32];
    MR_TRY(take_text(r, key, node, text));
    *choice = strcmp(text, yes) == 0;
    snprintf(wanted, sizeof wanted, "%s or %s", yes, no);
    return *choice || strcmp(text, no) == 0 ? MR_OK : want(r, key, wanted, text);
}

static mr_status take_delimiter(reader *r, struct fy_node *node)
{
    char text[TEXT_MAX];
    MR_TRY(take_text(r, "delimiter", node, text));
    if (strcmp(text, "tab") == 0)
        snprintf(text, sizeof text, "\t");
    if (strlen(text) != 1 || text[0] == '"' || text[0] == '\n' || text[0] == '\r')
        return want(r, "delimiter", "one byte that is no quote and no line break, or tab", text);
    r->format->delimiter = (uint8_t)text[0];
    return MR_OK;
}

// What says how names are meant comes first, wherever it stands.
static mr_status take_shape(reader *r, const char *key, struct fy_node *node)
{
    static const char *const keys[] = {"layout", "delimiter", "header", "order",
                                       "events", "fields",    "type"};
    mr_format *f = r->format;
    bool jsonl = f->layout == MR_LAYOUT_JSONL;
    if (strcmp(key, "layout") == 0) {
        MR_TRY(take_choice(r, key, node, "csv", "jsonl", &jsonl));
        f->layout = jsonl ? MR_LAYOUT_JSONL : MR_LAYOUT_CSV;
        return MR_OK;
    }
    if (strcmp(key, "header") == 0)
        return take_choice(r, key, node, "no", "yes", &f->header);
    if (strcmp(key, "order") == 0)
        return take_choice(r, key, node, "time", "any", &f->sort);
    if (strcmp(key, "delimiter") == 0)
        return take_delimiter(r, node);
    if (strcmp(key, "events") == 0)
        return take_text(r, key, node, f->events);
    mr_nearest search = mr_nearest_begin(key);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        if (strcmp(key, keys[i]) == 0)
            return MR_OK;
        mr_nearest_offer(&search, keys[i]);
    }
    return mr_fail(r->err, MR_FATAL, "there is no key '%s'%s%s", key,
                   search.best != NULL ? "; the nearest is " : "",
                   search.best != NULL ? search.best : "");
}

static mr_status take_content(reader *r, const char *key, struct fy_node *node)
{
    if (strcmp(key, "fields") == 0)
        return take_pairs(r, key, node, take_field);
    return strcmp(key, "type") == 0 ? take_type(r, node) : MR_OK;
}

static mr_status check_whole(reader *r)
{
    const mr_format *f = r->format;
    uint64_t seen = 0;
    r->at = NULL;
    for (uint32_t i = 0; i < f->source_count; i++) {
        const mr_field field = f->sources[i].field;
        if (field != MR_FIELD_context && (seen >> field & 1) != 0)
            return mr_fail(r->err, MR_FATAL, "fields: '%s' stands there twice",
                           mr_field_name(field));
        seen |= UINT64_C(1) << field;
    }
    if ((seen >> MR_FIELD_time & 1) == 0 ||
        (seen & (UINT64_C(1) << MR_FIELD_item | UINT64_C(1) << MR_FIELD_user)) == 0)
        return mr_fail(r->err, MR_FATAL, "fields: want time, and user or item");
    if (!f->typed && f->otherwise.kind_count == 0)
        return mr_fail(r->err, MR_FATAL, "type: want what the rows are, such as click");
    if (f->events[0] != '\0' && f->layout != MR_LAYOUT_JSONL)
        return mr_fail(r->err, MR_FATAL, "events: is of layout: jsonl");
    return MR_OK;
}

static mr_status syntax_error(const reader *r, struct fy_diag *diag)
{
    void *step = NULL;
    const struct fy_diag_error *first = fy_diag_errors_iterate(diag, &step);
    if (first == NULL)
        return mr_fail(r->err, MR_FATAL, "%s: is not YAML", r->format->name);
    return mr_fail(r->err, MR_FATAL, "%s:%d:%d: %s", r->format->name, first->line, first->column,
                   first->msg);
}

static mr_status take_file(reader *r, struct fy_node *root)
{
    r->at = NULL;
    MR_TRY(take_pairs(r, "the file", root, take_shape));
    MR_TRY(take_pairs(r, "the file", root, take_content));
    return check_whole(r);
}

mr_status mr_format_read(const char *text, size_t size, const char *name, mr_format *format,
                         mr_error *err)
{
    *format = (mr_format){.delimiter = ',', .header = true};
    snprintf(format->name, sizeof format->name, "%s", name);
    reader r = {.format = format, .err = err};
    if (size == 0)
        return mr_fail(err, MR_FATAL, "%s: is empty: want a mapping of keys", format->name);
    struct fy_diag *diag = fy_diag_create(NULL);
    if (diag == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    fy_diag_set_collect_errors(diag, true);
    const struct fy_parse_cfg cfg = {.flags = FYPCF_QUIET | FYPCF_DEFAULT_PARSE, .diag = diag};
    struct fy_document *document = fy_document_build_from_string(&cfg, text, size);
    mr_status status = document == NULL ? syntax_error(&r, diag) : MR_OK;
    if (document != NULL) {
        status = take_file(&r, fy_document_root(document));
        if (status != MR_OK)
            status = fault(&r, status);
    }
    fy_document_destroy(document);
    fy_diag_destroy(diag);
    return status;
}

static mr_status read_file(const char *path, char *text, size_t *size, mr_error *err)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return mr_fail(err, MR_FATAL, "%s: %s", path, strerror(errno));
    *size = fread(text, 1, FILE_BYTES_MAX, file);
    const bool failed = ferror(file) != 0;
    fclose(file);
    if (failed)
        return mr_fail(err, MR_FATAL, "%s: cannot be read", path);
    return *size < FILE_BYTES_MAX ? MR_OK
                                  : mr_fail(err, MR_FATAL, "%s: is larger than %d bytes", path,
                                            FILE_BYTES_MAX - 1);
}

static mr_status unknown(const char *name, mr_error *err)
{
    char names[192] = "";
    for (uint32_t i = 0; mr_builtin_mapping_at(i) != NULL; i++) {
        const size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, "%s%s", i > 0 ? ", " : "",
                 mr_builtin_mapping_at(i)->name);
    }
    return mr_fail(err, MR_FATAL, "no mapping '%.24s': want FILE.yaml, or one of %s", name, names);
}

static mr_status open_named(const char *name, char *text, mr_format *format, mr_error *err)
{
    const size_t size = strlen(name);
    size_t text_size = 0;
    if (strchr(name, '/') == NULL && (size < 5 || strcmp(name + size - 5, ".yaml") != 0)) {
        const mr_builtin *ours = mr_builtin_mapping(name);
        return ours != NULL ? mr_format_read(ours->text, ours->size, name, format, err)
                            : unknown(name, err);
    }
    MR_TRY(read_file(name, text, &text_size, err));
    return mr_format_read(text, text_size, name, format, err);
}

mr_status mr_format_open(const char *name, mr_format **format, mr_error *err)
{
    mr_format *made = malloc(sizeof *made);
    char *text = malloc(FILE_BYTES_MAX);
    const mr_status status = made == NULL || text == NULL
                                 ? mr_fail(err, MR_FATAL, "out of memory")
                                 : open_named(name, text, made, err);
    free(text);
    if (status != MR_OK) {
        free(made);
        return status;
    }
    *format = made;
    return MR_OK;
}
