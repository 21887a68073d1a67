// SPDX-License-Identifier: Apache-2.0
// config: loading. Texts are gathered from the four sources into one slot a key, each source over
// the one before; only then are they parsed, so that a message names the place that won.
#include "worker/config.h"

#include <stdlib.h>
#include <string.h>

#include "worker/config_internal.h"
#include "worker/nearest.h"

enum { TEXTS_BYTES_MAX = 1 << 20 };

static const mr_key keys[] = {
#define MR_KEY(type, field, path, initial, range, scope, help)                                     \
    {path, initial, range, help, MR_KEY_##type, MR_SCOPE_##scope, offsetof(mr_config, field)},
#include "worker/config.def"
};
static const mr_key input_keys[] = {
#define MR_INPUT_KEY(type, field, path, initial, range, scope, help)                               \
    {path, initial, range, help, MR_KEY_##type, MR_SCOPE_##scope, offsetof(mr_config_input, field)},
#include "worker/config.def"
};
enum {
    KEY_COUNT = sizeof keys / sizeof *keys,
    INPUT_KEY_COUNT = sizeof input_keys / sizeof *input_keys,
};

const mr_key *mr_config_keys(uint32_t *count)
{
    *count = KEY_COUNT;
    return keys;
}

const mr_key *mr_config_input_keys(uint32_t *count)
{
    *count = INPUT_KEY_COUNT;
    return input_keys;
}

// Strings of the configuration: one block, bounded, so that no text can grow the process.

static mr_status keep_bytes(mr_config *config, const char *text, size_t size, char **kept,
                            mr_error *err)
{
    if (size >= TEXTS_BYTES_MAX - config->texts_used)
        return mr_fail(err, MR_FATAL, "the configuration is larger than %d bytes", TEXTS_BYTES_MAX);
    *kept = config->texts + config->texts_used;
    memcpy(*kept, text, size);
    (*kept)[size] = '\0';
    config->texts_used += size + 1;
    return MR_OK;
}

static mr_status keep(mr_config *config, const char *text, const char **kept, mr_error *err)
{
    char *copy = NULL;
    MR_TRY(keep_bytes(config, text, strlen(text), &copy, err));
    *kept = copy;
    return MR_OK;
}

// Slots and free mappings by path.

mr_config_slot *mr_config_slot_at(const mr_config *config, const char *path)
{
    for (uint32_t i = 0; i < config->slot_count; i++) {
        if (strcmp(config->slots[i].path, path) == 0)
            return &config->slots[i];
    }
    return NULL;
}

static void slot_add(mr_config *config, const char *prefix, const mr_key *key, void *value)
{
    mr_config_slot *slot = &config->slots[config->slot_count++];
    snprintf(slot->path, sizeof slot->path, "%s%s", prefix, key->path);
    slot->key = key;
    slot->value = value;
}

// The free mapping that `path` lies in, and the rest of the path; NULL: none.
mr_config_properties *mr_config_properties_at(mr_config *config, const char *path,
                                              const char **rest)
{
    const struct {
        const char *prefix;
        mr_config_properties *properties;
    } mappings[] = {
        {"kafka.properties", &config->kafka_properties},
        {"kafka.consumer", &config->kafka_consumer},
        {"kafka.producer", &config->kafka_producer},
    };
    for (size_t i = 0; i < sizeof mappings / sizeof *mappings; i++) {
        const size_t size = strlen(mappings[i].prefix);
        if (strncmp(path, mappings[i].prefix, size) == 0 &&
            (path[size] == '.' || path[size] == '\0')) {
            *rest = path + size + (path[size] == '.');
            return mappings[i].properties;
        }
    }
    for (uint32_t i = 0; i < config->input_count; i++) {
        char prefix[MR_CONFIG_PATH_MAX];
        snprintf(prefix, sizeof prefix, "topics.%s.mapping", config->inputs[i].name);
        const size_t size = strlen(prefix);
        if (strncmp(path, prefix, size) == 0 && (path[size] == '.' || path[size] == '\0')) {
            *rest = path + size + (path[size] == '.');
            return &config->inputs[i].mapping;
        }
    }
    return NULL;
}

bool mr_config_is_section(const mr_config *config, const char *path)
{
    const size_t size = strlen(path);
    if (strcmp(path, "topics") == 0)
        return true;
    for (uint32_t i = 0; i < config->slot_count; i++) {
        if (strncmp(config->slots[i].path, path, size) == 0 && config->slots[i].path[size] == '.')
            return true;
    }
    return false;
}

mr_status mr_config_unknown_key(const mr_config *config, const char *place, const char *path,
                                mr_error *err)
{
    char section[MR_CONFIG_PATH_MAX], best[MR_CONFIG_PATH_MAX] = "";
    mr_nearest search = mr_nearest_begin(path);
    mr_nearest_offer(&search, "topics");
    for (uint32_t i = 0; i < config->slot_count; i++) {
        const char *const known = config->slots[i].path;
        mr_nearest_offer(&search, known);
        if (search.best == known)
            snprintf(best, sizeof best, "%s", known);
        snprintf(section, sizeof section, "%.*s", (int)strcspn(known, "."), known);
        search.best = NULL;
        mr_nearest_offer(&search, section);
        if (search.best == section)
            snprintf(best, sizeof best, "%s", section);
        search.best = best;
    }
    if (best[0] != '\0')
        return mr_fail(err, MR_FATAL, "%s: %s: unknown key; the nearest is %s", place, path, best);
    return mr_fail(err, MR_FATAL, "%s: %s: unknown key; millrace config --keys lists all", place,
                   path);
}

// A new input, with a slot for each of its keys.
static mr_status input_add(mr_config *config, const char *name, const char *place, mr_error *err)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    char prefix[MR_CONFIG_PATH_MAX];
    if (name[0] == '\0' || strspn(name, allowed) != strlen(name) || strlen(name) > 64)
        return mr_fail(err, MR_FATAL,
                       "%s: topics.%s: want a name of letters, digits, '_' and '-', at most 64",
                       place, name);
    if (config->input_count == MR_CONFIG_INPUTS_MAX)
        return mr_fail(err, MR_FATAL, "%s: topics.%s: more than %d inputs", place, name,
                       MR_CONFIG_INPUTS_MAX);
    mr_config_input *input = &config->inputs[config->input_count++];
    MR_TRY(keep(config, name, &input->name, err));
    MR_TRY(keep(config, place, &input->place, err));
    snprintf(prefix, sizeof prefix, "topics.%.64s.", name);
    for (uint32_t i = 0; i < INPUT_KEY_COUNT; i++)
        slot_add(config, prefix, &input_keys[i], (char *)input + input_keys[i].offset);
    return MR_OK;
}

// Makes sure that the input of a path "topics.<name>..." exists.
mr_status mr_config_input_of_path(mr_config *config, const char *path, const char *place,
                                  mr_error *err)
{
    static const char prefix[] = "topics.";
    char name[MR_CONFIG_PATH_MAX];
    if (strncmp(path, prefix, sizeof prefix - 1) != 0)
        return MR_OK;
    path += sizeof prefix - 1;
    snprintf(name, sizeof name, "%.*s", (int)strcspn(path, "."), path);
    for (uint32_t i = 0; i < config->input_count; i++) {
        if (strcmp(config->inputs[i].name, name) == 0)
            return MR_OK;
    }
    return input_add(config, name, place, err);
}

static mr_status property_set(mr_config *config, mr_config_properties *properties, const char *name,
                              const char *text, const char *place, mr_error *err)
{
    mr_config_property *row = NULL;
    for (uint32_t i = 0; i < properties->count; i++) {
        if (strcmp(properties->rows[i].name, name) == 0)
            row = &properties->rows[i];
    }
    if (row == NULL) {
        if (properties->count == MR_CONFIG_PROPERTIES_MAX)
            return mr_fail(err, MR_FATAL, "%s: %s: more than %d properties", place, name,
                           MR_CONFIG_PROPERTIES_MAX);
        row = &properties->rows[properties->count++];
        MR_TRY(keep(config, name, &row->name, err));
    }
    MR_TRY(keep(config, text, &row->value, err));
    return keep(config, place, &row->place, err);
}

// Sets the text of a key, from whatever source.
mr_status mr_config_assign(mr_config *config, const char *path, const char *text, const char *place,
                           mr_error *err)
{
    const char *rest;
    MR_TRY(mr_config_input_of_path(config, path, place, err));
    mr_config_properties *properties = mr_config_properties_at(config, path, &rest);
    if (properties != NULL && rest[0] != '\0')
        return property_set(config, properties, rest, text, place, err);
    mr_config_slot *slot = mr_config_slot_at(config, path);
    if (slot == NULL && (properties != NULL || mr_config_is_section(config, path)))
        return mr_fail(err, MR_FATAL, "%s: %s: found '%.32s', want a mapping of keys", place, path,
                       text);
    if (slot == NULL)
        return mr_config_unknown_key(config, place, path, err);
    MR_TRY(keep(config, text, &slot->text, err));
    return keep(config, place, &slot->place, err);
}

// From texts to values.

// Copies `text` with <app>, <host> and <name> filled in.
static mr_status fill(mr_config *config, const char *text, const mr_config_input *input,
                      char **filled, mr_error *err)
{
    char host[128];
    const char *value = NULL;
    const char *const open = strchr(text, '<');
    const char *const end = open != NULL ? strchr(open, '>') : NULL;
    const size_t size = end != NULL ? (size_t)(end - open) + 1 : 0;
    if (size == 5 && memcmp(open, "<app>", size) == 0) {
        value = config->app;
    } else if (size == 6 && memcmp(open, "<host>", size) == 0) {
        mr_config_host(host, sizeof host);
        value = host;
    } else if (size == 6 && memcmp(open, "<name>", size) == 0 && input != NULL) {
        value = input->name;
    }
    if (value == NULL)
        return keep_bytes(config, text, strlen(text), filled, err);
    char whole[4096];
    snprintf(whole, sizeof whole, "%.*s%s%s", (int)(open - text), text, value, end + 1);
    return keep_bytes(config, whole, strlen(whole), filled, err);
}

static const mr_config_input *input_of_slot(const mr_config *config, const mr_config_slot *slot)
{
    for (uint32_t i = 0; i < config->input_count; i++) {
        const char *const first = (const char *)&config->inputs[i];
        const char *const value = slot->value;
        if (value >= first && value < first + sizeof config->inputs[i])
            return &config->inputs[i];
    }
    return NULL;
}

static mr_status parse_slots(mr_config *config, mr_error *err)
{
    for (uint32_t i = 0; i < config->slot_count; i++) {
        mr_config_slot *slot = &config->slots[i];
        const mr_config_input *input = input_of_slot(config, slot);
        const char *const text = slot->text != NULL ? slot->text : slot->key->initial;
        char *filled = NULL;
        MR_TRY(fill(config, text, input, &filled, err));
        if (mr_value_parse(slot->key, filled, slot->value, err) == MR_OK)
            continue;
        mr_wrap(err, "%s", slot->path);
        if (slot->place == NULL && text[0] == '\0')
            mr_wrap(err, "required");
        return mr_wrap(err, "%s",
                       slot->place != NULL ? slot->place
                       : input != NULL     ? input->place
                                           : "default");
    }
    return MR_OK;
}

void mr_config_free(mr_config *config)
{
    if (config == NULL)
        return;
    free(config->texts);
    free(config->slots);
    free(config->numbers);
    free(config->number_keys);
    free(config);
}

static mr_status allocate(mr_config **out, const mr_config_source *source, mr_error *err)
{
    const uint32_t count = source->number_count;
    const size_t slots = KEY_COUNT + count + MR_CONFIG_INPUTS_MAX * INPUT_KEY_COUNT;
    mr_config *config = calloc(1, sizeof *config);
    if (config == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    config->texts = malloc(TEXTS_BYTES_MAX);
    config->slots = calloc(slots, sizeof *config->slots);
    config->numbers = calloc(count + 1, sizeof *config->numbers);
    config->number_keys = calloc(count + 1, sizeof *config->number_keys);
    if (config->texts == NULL || config->slots == NULL || config->numbers == NULL ||
        config->number_keys == NULL) {
        mr_config_free(config);
        return mr_fail(err, MR_FATAL, "out of memory");
    }
    for (uint32_t i = 0; i < KEY_COUNT; i++)
        slot_add(config, "", &keys[i], (char *)config + keys[i].offset);
    for (uint32_t i = 0; i < count; i++) {
        mr_config_number_key_make(&source->numbers[i], &config->number_keys[i]);
        slot_add(config, "", &config->number_keys[i].key, &config->numbers[i]);
    }
    *out = config;
    return MR_OK;
}

mr_status mr_config_load(mr_config **config, const mr_config_source *source, mr_error *err)
{
    MR_TRY(allocate(config, source, err));
    mr_status status = mr_config_read_file(*config, source, err);
    if (status == MR_OK)
        status = mr_config_read_environment(*config, source->environment, err);
    if (status == MR_OK)
        status = mr_config_read_sets(*config, source, err);
    if (status == MR_OK)
        status = parse_slots(*config, err);
    if (status == MR_OK)
        status = mr_config_check(*config, err);
    if (status != MR_OK) {
        mr_config_free(*config);
        *config = NULL;
    }
    return status;
}
