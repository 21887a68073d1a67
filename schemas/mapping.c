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

mr_status mr_mapping_key(mr_bytes key, mr_mapping_entry *entry, mr_error *err)
{
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

// Cuts the next word off; NULL: there is none.
static char *take_word(char **text)
{
    char *word = *text + strspn(*text, " ");
    if (*word == '\0')
        return NULL;
    const size_t size = strcspn(word, " ");
    *text = word + size + (word[size] != '\0');
    word[size] = '\0';
    return word;
}

static bool parse_unit(const char *word, mr_time_unit *unit)
{
    static const char *const units[] = {"", "s", "ms", "us", "ns"};
    for (uint32_t i = MR_TIME_SECONDS; i <= MR_TIME_NANOS; i++) {
        if (strcmp(word, units[i]) == 0) {
            *unit = (mr_time_unit)i;
            return true;
        }
    }
    return false;
}

mr_status mr_mapping_source(char *text, mr_mapping_entry *entry, mr_error *err)
{
    entry->path = entry->constant = NULL;
    entry->unit = MR_TIME_AUTO;
    for (char *word; (word = take_word(&text)) != NULL;) {
        if (strcmp(word, "=") == 0) { // the rest, spaces in it and all
            entry->constant = text + strspn(text, " ");
            return MR_OK;
        }
        if (entry->path == NULL)
            entry->path = strcmp(word, ".") == 0 ? "" : word;
        else if (entry->field != MR_FIELD_time || entry->unit != MR_TIME_AUTO ||
                 !parse_unit(word, &entry->unit))
            return mr_fail(err, MR_FATAL,
                           "mapping: '%.64s' behind the path of '%s': want '= VALUE', or the unit "
                           "of a time: s, ms, us, ns",
                           word, mr_field_name(entry->field));
    }
    return MR_OK;
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
                                    (uint32_t)entry->unit};
        hash = mr_hash64(numbers, sizeof numbers, hash);
        hash = hash_text(entry->path, hash);
        hash = hash_text(entry->constant, hash);
    }
    return hash;
}
