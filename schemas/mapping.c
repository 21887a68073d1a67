// SPDX-License-Identifier: Apache-2.0
#include "schemas/mapping.h"

#include <string.h>

#include "core/base/hash.h"

static const char *const part_names[MR_PART_COUNT] = {
    [MR_PART_WHOLE] = "",
    [MR_PART_ITEM] = "item",
    [MR_PART_QUANTITY] = "quantity",
    [MR_PART_PRICE] = "price",
    [MR_PART_PROPENSITY] = "propensity",
};

enum { NAME_MAX_COMPARED = 32 };

// Levenshtein's distance of two short names; longer ones are far from anything.
static uint32_t distance(mr_bytes a, const char *b)
{
    uint32_t row[NAME_MAX_COMPARED + 1];
    const uint32_t b_size = (uint32_t)strlen(b);
    if (a.size > NAME_MAX_COMPARED || b_size > NAME_MAX_COMPARED)
        return NAME_MAX_COMPARED;
    for (uint32_t j = 0; j <= b_size; j++)
        row[j] = j;
    for (uint32_t i = 1; i <= a.size; i++) {
        uint32_t diagonal = row[0];
        row[0] = i;
        for (uint32_t j = 1; j <= b_size; j++) {
            const uint32_t replace = diagonal + (a.data[i - 1] != (uint8_t)b[j - 1]);
            const uint32_t other = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            diagonal = row[j];
            row[j] = replace < other ? replace : other;
        }
    }
    return row[b_size];
}

static mr_status unknown(mr_bytes key, mr_error *err)
{
    uint32_t nearest = 0;
    for (uint32_t i = 1; i < MR_FIELD_COUNT; i++) {
        if (distance(key, mr_field_name((mr_field)i)) <
            distance(key, mr_field_name((mr_field)nearest)))
            nearest = i;
    }
    return mr_fail(err, MR_FATAL, "mapping: there is no field '%.*s'; the nearest is '%s'",
                   key.size < 64 ? (int)key.size : 64, (const char *)key.data,
                   mr_field_name((mr_field)nearest));
}

// What is no field of an event.
static bool take_role(mr_bytes key, mr_mapping_entry *entry)
{
    static const char where[] = "where.";
    mr_mapping_role role = MR_ROLE_FIELD;
    if (mr_bytes_equal(key, mr_bytes_text("kind")))
        role = MR_ROLE_KIND;
    else if (mr_bytes_equal(key, mr_bytes_text("each")))
        role = MR_ROLE_EACH;
    else if (mr_bytes_equal(key, mr_bytes_text("where")) ||
             (key.size > sizeof where - 1 && memcmp(key.data, where, sizeof where - 1) == 0))
        role = MR_ROLE_WHERE;
    *entry = (mr_mapping_entry){.field = MR_FIELD_COUNT, .role = role};
    return role != MR_ROLE_FIELD;
}

mr_status mr_mapping_key(mr_bytes key, mr_mapping_entry *entry, mr_error *err)
{
    if (take_role(key, entry))
        return MR_OK;
    const uint8_t *dot = key.size > 0 ? memchr(key.data, '.', key.size) : NULL;
    const mr_bytes head = dot == NULL ? key : mr_bytes_of(key.data, (size_t)(dot - key.data));
    *entry = (mr_mapping_entry){.field = mr_field_of(head)};
    if (entry->field == MR_FIELD_COUNT)
        return unknown(head, err);
    if (dot == NULL)
        return MR_OK;
    const mr_bytes tail = {dot + 1, key.size - head.size - 1};
    for (uint32_t part = MR_PART_ITEM; part < MR_PART_COUNT; part++) {
        if (entry->field == MR_FIELD_lines &&
            mr_bytes_equal(tail, mr_bytes_text(part_names[part]))) {
            entry->part = (mr_line_part)part;
            return MR_OK;
        }
    }
    return mr_fail(err, MR_FATAL,
                   "mapping: there is no field '%.*s'; parts are lines.item, lines.quantity, "
                   "lines.price and lines.propensity",
                   key.size < 64 ? (int)key.size : 64, (const char *)key.data);
}

typedef struct word {
    char *text;
    char *split; // behind its first '=', which is cut out; NULL: it has none
} word;

// Cuts the next word off, quotes removed. Returns false where there is none.
static bool take_word(char **rest, word *w)
{
    char *from = *rest + strspn(*rest, " "), *to = from;
    bool quoted = false;
    *w = (word){from, NULL};
    if (*from == '\0')
        return false;
    for (; *from != '\0' && (quoted || *from != ' '); from++) {
        if (*from == '\'') {
            quoted = !quoted;
        } else if (*from == '=' && !quoted && w->split == NULL && from > w->text) {
            *to++ = '\0';
            w->split = to;
        } else {
            *to++ = *from;
        }
    }
    *rest = from + (*from != '\0');
    *to = '\0';
    return true;
}

static bool parse_unit(const char *text, mr_time_unit *unit)
{
    static const char *const units[] = {"", "s", "ms", "us", "ns", "iso"};
    for (uint32_t i = MR_TIME_SECONDS; i <= MR_TIME_ISO; i++) {
        if (strcmp(text, units[i]) == 0) {
            *unit = (mr_time_unit)i;
            return true;
        }
    }
    return false;
}

static const char *name_of(const mr_mapping_entry *entry)
{
    static const char *const roles[] = {"", "kind", "where", "each"};
    return entry->role == MR_ROLE_FIELD ? mr_field_name(entry->field) : roles[entry->role];
}

// The first word.
static mr_status take_path(char *text, mr_mapping_entry *entry, mr_error *err)
{
    static const char header[] = "<header.";
    const size_t size = strlen(text);
    entry->path = strcmp(text, ".") == 0 ? "" : text;
    if (text[0] != '<')
        return MR_OK;
    entry->from = strcmp(text, "<key>") == 0 ? MR_FROM_KEY : MR_FROM_HEADER;
    if (entry->from == MR_FROM_HEADER &&
        (size < sizeof header + 1 || memcmp(text, header, sizeof header - 1) != 0 ||
         text[size - 1] != '>'))
        return mr_fail(err, MR_FATAL, "mapping: '%.64s': want <key> or <header.NAME>", text);
    if (entry->part != MR_PART_WHOLE || entry->role == MR_ROLE_EACH)
        return mr_fail(err, MR_FATAL, "mapping: '%s' comes from the record, not from '%.64s'",
                       name_of(entry), text);
    if (entry->from == MR_FROM_HEADER) {
        text[size - 1] = '\0';
        entry->path = text + sizeof header - 1;
    }
    return MR_OK;
}

static bool takes_values(const mr_mapping_entry *entry)
{
    return entry->role == MR_ROLE_KIND ||
           (entry->role == MR_ROLE_FIELD && entry->part == MR_PART_WHOLE &&
            entry->field != MR_FIELD_time);
}

// Moves a word, NUL and all, to the end of the values, which stand before it in the same text.
static void pack(mr_mapping_entry *entry, char **end, const char *text, size_t size)
{
    if (entry->values == NULL)
        entry->values = *end;
    memmove(*end, text, size);
    *end += size;
    entry->value_count++;
}

static mr_status refuse_word(const mr_mapping_entry *entry, const char *text, mr_error *err)
{
    if (entry->role == MR_ROLE_WHERE)
        return mr_fail(
            err, MR_FATAL,
            "mapping: '%.64s' behind the path of 'where': want 'is' or 'not', and values", text);
    return mr_fail(err, MR_FATAL,
                   "mapping: '%.64s' behind the path of '%s': want '= VALUE', FROM=TO, or the unit "
                   "of a time: s, ms, us, ns, iso",
                   text, name_of(entry));
}

// A word behind the path. *end: where the next value goes.
static mr_status take_more(const word *w, mr_mapping_entry *entry, bool *operated, char **end,
                           mr_error *err)
{
    if (*end == NULL)
        *end = w->text;
    if (entry->role == MR_ROLE_WHERE && !*operated && w->split == NULL) {
        *operated = entry->negated = strcmp(w->text, "not") == 0;
        *operated = *operated || strcmp(w->text, "is") == 0;
        return *operated ? MR_OK : refuse_word(entry, w->text, err);
    }
    if (entry->role == MR_ROLE_WHERE && *operated) {
        if (w->split != NULL)
            w->split[-1] = '='; // as it stood
        pack(entry, end, w->text, strlen(w->text) + 1);
        return MR_OK;
    }
    if (w->split != NULL && takes_values(entry)) {
        const size_t size = (size_t)(w->split - w->text) + strlen(w->split) + 1;
        pack(entry, end, w->text, size);
        return MR_OK;
    }
    if (entry->field == MR_FIELD_time && entry->unit == MR_TIME_AUTO && w->split == NULL &&
        parse_unit(w->text, &entry->unit))
        return MR_OK;
    return refuse_word(entry, w->text, err);
}

// Whether an entry of its role can be without what it has not.
static mr_status check_role(const mr_mapping_entry *entry, mr_error *err)
{
    if (entry->role == MR_ROLE_FIELD)
        return MR_OK;
    if (entry->path == NULL || entry->constant != NULL)
        return mr_fail(err, MR_FATAL, "mapping: '%s' wants a path", name_of(entry));
    if (entry->role == MR_ROLE_KIND && entry->value_count == 0)
        return mr_fail(err, MR_FATAL, "mapping: 'kind' wants VALUE=KIND behind the path");
    if (entry->role == MR_ROLE_WHERE && entry->value_count == 0)
        return mr_fail(err, MR_FATAL,
                       "mapping: 'where' wants 'is' or 'not', and values, behind the path");
    return MR_OK;
}

mr_status mr_mapping_source(char *text, mr_mapping_entry *entry, mr_error *err)
{
    char *end = NULL;
    bool operated = false;
    entry->path = entry->constant = entry->values = NULL;
    entry->unit = MR_TIME_AUTO;
    entry->from = MR_FROM_RECORD;
    entry->value_count = 0;
    entry->negated = false;
    for (word w; take_word(&text, &w);) {
        if (strcmp(w.text, "=") == 0 && w.split == NULL && !operated) {
            entry->constant = text + strspn(text, " "); // the rest, spaces in it and all
            break;
        }
        if (entry->path != NULL)
            MR_TRY(take_more(&w, entry, &operated, &end, err));
        else
            MR_TRY(take_path(w.text, entry, err));
    }
    return check_role(entry, err);
}

const char *mr_mapping_pair(const mr_mapping_entry *entry, const char **at, const char **to)
{
    const char *const from = *at;
    *at += strlen(from) + 1;
    if (entry->role != MR_ROLE_WHERE) {
        *to = *at;
        *at += strlen(*to) + 1;
    }
    return from;
}

const mr_mapping_entry *mr_mapping_role_of(const mr_mapping *mapping, mr_mapping_role role)
{
    for (uint32_t i = 0; i < mapping->entry_count; i++) {
        if (mapping->entries[i].role == role)
            return mapping->entries + i;
    }
    return NULL;
}

bool mr_mapping_selects(const mr_mapping *mapping)
{
    for (uint32_t i = 0; i < mapping->entry_count; i++) {
        const mr_mapping_entry *entry = mapping->entries + i;
        if (entry->role != MR_ROLE_FIELD || entry->value_count > 0)
            return true;
    }
    return false;
}

static uint64_t hash_text(const char *text, uint64_t seed)
{
    // NULL and "" mean different things, so they have different hashes.
    return text == NULL ? mr_hash64("absent", 6, seed + 1) : mr_hash64(text, strlen(text), seed);
}

uint64_t mr_mapping_hash(const mr_mapping *mapping)
{
    const uint32_t head[] = {(uint32_t)mapping->kind, mapping->given, mapping->entry_count};
    uint64_t hash = mr_hash64(head, sizeof head, 0);
    for (uint32_t i = 0; i < mapping->entry_count; i++) {
        const mr_mapping_entry *entry = mapping->entries + i;
        const uint32_t numbers[] = {(uint32_t)entry->field, (uint32_t)entry->part,
                                    (uint32_t)entry->unit,  (uint32_t)entry->role,
                                    (uint32_t)entry->from,  entry->value_count,
                                    entry->negated};
        const char *at = entry->values, *to = NULL;
        hash = mr_hash64(numbers, sizeof numbers, hash);
        for (uint32_t j = 0; j < entry->value_count; j++) {
            hash = hash_text(mr_mapping_pair(entry, &at, &to), hash);
            hash = hash_text(to, hash);
        }
        hash = hash_text(entry->path, hash);
        hash = hash_text(entry->constant, hash);
    }
    return hash;
}
