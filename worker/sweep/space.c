// SPDX-License-Identifier: Apache-2.0
#include "worker/sweep/space.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/base/rng.h"

enum { LINE_MAX_BYTES = 4096, VALUE_BYTES = MR_SPACE_TEXT_MAX - MR_CONFIG_PATH_MAX };

mr_status mr_space_allows(const mr_config *config, const char *path, mr_error *err)
{
    const mr_key *key = mr_config_key(config, path);
    if (key == NULL)
        return mr_fail(err, MR_FATAL, "%.100s: unknown key; millrace config --keys lists all", path);
    if (!key->history)
        return mr_fail(err, MR_FATAL, "%s: decides how the worker runs and changes no list", path);
    if (strcmp(path, "replay.tasks") == 0 || strncmp(path, "topics.", 7) == 0)
        return mr_fail(err, MR_FATAL,
                       "%s: decides what is read or how users are split into tasks, so that the "
                       "branches would have other inputs",
                       path);
    return MR_OK;
}

// ---- values

static bool is_number(const mr_key *key)
{
    return key->type == MR_KEY_INT || key->type == MR_KEY_DOUBLE || key->type == MR_KEY_DURATION ||
           key->type == MR_KEY_SIZE;
}

static mr_status parse_end(const mr_key *key, const char *text, size_t size, double *value,
                           mr_error *err)
{
    char copy[VALUE_BYTES];
    int64_t whole = 0;
    double real = 0;
    snprintf(copy, sizeof copy, "%.*s", (int)(size < sizeof copy ? size : sizeof copy - 1), text);
    MR_TRY(mr_value_parse(key, copy, key->type == MR_KEY_DOUBLE ? (void *)&real : &whole, err));
    *value = key->type == MR_KEY_DOUBLE ? real : (double)whole;
    return MR_OK;
}

static mr_status add_range(mr_space_key *key, const char *low, const char *dots, mr_error *err)
{
    const char *const high = dots + 2, *const log = strstr(high, ":log");
    if (!is_number(key->key))
        return mr_fail(err, MR_FATAL, "found a range, want values: the key is no number");
    if (log != NULL && log[4] != '\0')
        return mr_fail(err, MR_FATAL, "found '%.40s' behind the range, want :log or nothing", log);
    key->logarithmic = log != NULL;
    MR_TRY(parse_end(key->key, low, (size_t)(dots - low), &key->low, err));
    MR_TRY(parse_end(key->key, high, log != NULL ? (size_t)(log - high) : strlen(high), &key->high,
                     err));
    if (key->low >= key->high)
        return mr_fail(err, MR_FATAL, "found the range '%.60s', want lo..hi with lo below hi", low);
    if (key->logarithmic && key->low <= 0)
        return mr_fail(err, MR_FATAL, "found a range by logarithm from %g, want more than 0",
                       key->low);
    return MR_OK;
}

static mr_status add_values(mr_space_key *key, const char *text, mr_error *err)
{
    const char *const separator = key->key->type == MR_KEY_LIST ? "|" : ",";
    for (;;) {
        const size_t size = strcspn(text, separator);
        if (key->value_count == MR_SPACE_VALUES_MAX)
            return mr_fail(err, MR_FATAL, "more than %d values", MR_SPACE_VALUES_MAX);
        if (size >= VALUE_BYTES)
            return mr_fail(err, MR_FATAL, "found '%.40s...', want a value of less than %d bytes",
                           text, VALUE_BYTES);
        snprintf(key->values[key->value_count++], VALUE_BYTES, "%.*s", (int)size, text);
        if (text[size] == '\0')
            return MR_OK;
        text += size + 1;
    }
}

mr_status mr_space_add(mr_space *space, const mr_config *config, const char *text, mr_error *err)
{
    const size_t size = strcspn(text, "=");
    mr_space_key *key = &space->keys[space->key_count];
    if (text[size] == '\0' || size == 0 || size >= sizeof key->path)
        return mr_fail(err, MR_FATAL, "found '%.80s', want key=a,b,c or key=lo..hi", text);
    if (space->key_count == MR_SPACE_KEYS_MAX)
        return mr_fail(err, MR_FATAL, "more than %d keys", MR_SPACE_KEYS_MAX);
    *key = (mr_space_key){0};
    memcpy(key->path, text, size);
    for (uint32_t i = 0; i < space->key_count; i++)
        if (strcmp(space->keys[i].path, key->path) == 0)
            return mr_fail(err, MR_FATAL, "%s is there twice", key->path);
    MR_TRY(mr_space_allows(config, key->path, err));
    key->key = mr_config_key(config, key->path);
    const char *const value = text + size + 1, *const dots = strstr(value, "..");
    const mr_status status =
        dots != NULL ? add_range(key, value, dots, err) : add_values(key, value, err);
    if (status != MR_OK)
        return mr_wrap(err, "%s", key->path);
    space->key_count++;
    return MR_OK;
}

static mr_status add_line(mr_space *space, const mr_config *config, char *line, mr_error *err)
{
    char *const text = line + strspn(line, " \t");
    size_t size = strcspn(text, "#\r\n");
    while (size > 0 && (text[size - 1] == ' ' || text[size - 1] == '\t'))
        size--;
    text[size] = '\0';
    return size > 0 ? mr_space_add(space, config, text, err) : MR_OK;
}

mr_status mr_space_read(mr_space *space, const mr_config *config, const char *path, mr_error *err)
{
    char line[LINE_MAX_BYTES];
    mr_status status = MR_OK;
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return mr_fail(err, MR_FATAL, "%s: %s; want a file, or key=a,b,c", path, strerror(errno));
    for (uint32_t number = 1; status == MR_OK && fgets(line, sizeof line, file) != NULL; number++) {
        status = add_line(space, config, line, err);
        if (status != MR_OK)
            mr_wrap(err, "%s:%u", path, number);
    }
    fclose(file);
    return status;
}

// ---- configurations

bool mr_space_has_range(const mr_space *space)
{
    for (uint32_t k = 0; k < space->key_count; k++)
        if (space->keys[k].value_count == 0)
            return true;
    return false;
}

uint32_t mr_space_combinations(const mr_space *space)
{
    uint64_t count = 1;
    for (uint32_t k = 0; k < space->key_count && count < UINT32_MAX; k++)
        count *= space->keys[k].value_count;
    return count < UINT32_MAX ? (uint32_t)count : UINT32_MAX;
}

static void put(const mr_space_key *key, const char *value, char *set)
{
    snprintf(set, MR_SPACE_TEXT_MAX, "%s=%s", key->path, value);
}

// The last key's values follow each other first.
void mr_space_combination(const mr_space *space, uint32_t index, char (*sets)[MR_SPACE_TEXT_MAX])
{
    for (uint32_t k = space->key_count; k-- > 0;) {
        const mr_space_key *key = &space->keys[k];
        put(key, key->values[index % key->value_count], sets[k]);
        index /= key->value_count;
    }
}

static void draw(const mr_space_key *key, mr_rng *rng, char *set)
{
    char text[VALUE_BYTES];
    const double u = mr_rng_double(rng);
    const double value = key->logarithmic
                             ? exp(log(key->low) + u * (log(key->high) - log(key->low)))
                             : key->low + u * (key->high - key->low);
    const int64_t whole = llround(value);
    if (key->key->type == MR_KEY_DOUBLE)
        snprintf(text, sizeof text, "%.4g", value);
    else
        mr_value_print(key->key, &whole, text, sizeof text);
    put(key, text, set);
}

void mr_space_sample(const mr_space *space, uint64_t seed, uint32_t index,
                     char (*sets)[MR_SPACE_TEXT_MAX])
{
    for (uint32_t k = 0; k < space->key_count; k++) {
        const mr_space_key *key = &space->keys[k];
        mr_rng rng = mr_rng_make(seed, k, 0, index, MR_PURPOSE_SAMPLE);
        if (key->value_count == 0)
            draw(key, &rng, sets[k]);
        else
            put(key, key->values[mr_rng_below(&rng, key->value_count)], sets[k]);
    }
}
