// SPDX-License-Identifier: Apache-2.0
// config_read: the sources of a configuration: the YAML file, the environment, --set. They only
// gather texts and their places; config.c parses what has won.
#include "worker/config.h"

#include <errno.h>
#include <libfyaml.h>
#include <stdlib.h>
#include <string.h>

#include "worker/config_internal.h"

enum { FILE_BYTES_MAX = 256 << 10, DEPTH_MAX = 6, PLACE_MAX = 1024 };

// The environment.

static const char *environment_get(char *const *environment, const char *name, size_t size)
{
    for (char *const *e = environment; e != NULL && *e != NULL; e++) {
        if (strncmp(*e, name, size) == 0 && (*e)[size] == '=')
            return *e + size + 1;
    }
    return NULL;
}

static char upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

void mr_config_environment_name(const char *path, char *name, size_t size)
{
    snprintf(name, size, "MILLRACE_%s", path);
    for (char *c = name; *c != '\0'; c++)
        *c = *c == '.' || *c == '-' ? '_' : upper(*c);
}

// The name of a librdkafka property in the rule of the usual container images: '_' is a dot, '__' a
// dash, '___' an underscore.
static void property_name(const char *encoded, size_t size, char *name, size_t name_size)
{
    size_t used = 0;
    for (size_t i = 0; i < size && used + 1 < name_size; i++) {
        size_t run = 0;
        while (run < 3 && i + run < size && encoded[i + run] == '_')
            run++;
        name[used++] = run == 0 ? lower(encoded[i]) : run == 1 ? '.' : run == 2 ? '-' : '_';
        i += run > 0 ? run - 1 : 0;
    }
    name[used] = '\0';
}

// The content of the file that a NAME_FILE variable points at, without the newline at its end.
static mr_status read_secret(const char *path, const char *place, char *text, size_t size,
                             mr_error *err)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return mr_fail(err, MR_FATAL, "%s: %s: %s", place, path, strerror(errno));
    size_t used = fread(text, 1, size, file);
    const bool failed = ferror(file) != 0;
    fclose(file);
    if (failed || used == size || memchr(text, '\0', used) != NULL)
        return mr_fail(err, MR_FATAL, "%s: %s: want text of less than %zu bytes", place, path,
                       size);
    while (used > 0 && (text[used - 1] == '\n' || text[used - 1] == '\r'))
        used--;
    text[used] = '\0';
    return MR_OK;
}

// If the variable is `name`, or `name`_FILE, assigns its value (the content of the file) to the
// path.
static mr_status take_variable(mr_config *config, const char *path, const char *variable,
                               size_t variable_size, bool from_file, mr_error *err)
{
    char place[128], *content;
    snprintf(place, sizeof place, "environment %.*s", (int)variable_size, variable);
    const char *const value = variable + variable_size + 1;
    if (!from_file)
        return mr_config_assign(config, path, value, place, err);
    content = malloc(FILE_BYTES_MAX);
    if (content == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    mr_status status = read_secret(value, place, content, FILE_BYTES_MAX, err);
    if (status == MR_OK)
        status = mr_config_assign(config, path, content, place, err);
    free(content);
    return status;
}

static bool names_section(const mr_config *config, const char *variable, size_t size)
{
    char name[MR_CONFIG_PATH_MAX + 16], section[MR_CONFIG_PATH_MAX + 2];
    for (uint32_t i = 0; i < config->slot_count; i++) {
        const char *const path = config->slots[i].path, *const dot = strchr(path, '.');
        if (dot == NULL)
            continue;
        snprintf(section, sizeof section, "%.*s_", (int)(dot - path), path);
        mr_config_environment_name(section, name, sizeof name);
        if (size > strlen(name) && strncmp(variable, name, strlen(name)) == 0)
            return true;
    }
    return false;
}

static mr_status load_variable(mr_config *config, const char *variable, size_t size, mr_error *err)
{
    static const char *const mappings[] = {"kafka.properties", "kafka.consumer", "kafka.producer"};
    static const char file_suffix[] = "_FILE";
    const size_t suffix_size = sizeof file_suffix - 1;
    char name[MR_CONFIG_PATH_MAX + 16], path[2 * MR_CONFIG_PATH_MAX];
    for (uint32_t i = 0; i < config->slot_count; i++) {
        mr_config_environment_name(config->slots[i].path, name, sizeof name);
        const size_t name_size = strlen(name);
        const bool same = strncmp(variable, name, name_size) == 0;
        const bool from_file = same && size == name_size + suffix_size &&
                               strncmp(variable + name_size, file_suffix, suffix_size) == 0;
        if (from_file || (same && size == name_size))
            return take_variable(config, config->slots[i].path, variable, size, from_file, err);
    }
    for (size_t i = 0; i < sizeof mappings / sizeof *mappings; i++) {
        mr_config_environment_name(mappings[i], name, sizeof name);
        const size_t skip = strlen(name) + 1;
        if (size <= skip || strncmp(variable, name, skip - 1) != 0 || variable[skip - 1] != '_')
            continue;
        const bool from_file = size > skip + suffix_size && strncmp(variable + size - suffix_size,
                                                                    file_suffix, suffix_size) == 0;
        property_name(variable + skip, size - skip - (from_file ? suffix_size : 0), name,
                      sizeof name);
        snprintf(path, sizeof path, "%s.%s", mappings[i], name);
        return take_variable(config, path, variable, size, from_file, err);
    }
    // Other variables may begin with our name; one that begins with a section of ours is a mistake.
    if (!names_section(config, variable, size))
        return MR_OK;
    property_name(variable + strlen("MILLRACE_"), size - strlen("MILLRACE_"), path, sizeof path);
    snprintf(name, sizeof name, "environment %.*s", (int)size, variable);
    return mr_config_unknown_key(config, name, path, err);
}

mr_status mr_config_read_environment(mr_config *config, char *const *environment, mr_error *err)
{
    static const char prefix[] = "MILLRACE_";
    for (char *const *e = environment; e != NULL && *e != NULL; e++) {
        const char *const equals = strchr(*e, '=');
        if (equals != NULL && strncmp(*e, prefix, sizeof prefix - 1) == 0)
            MR_TRY(load_variable(config, *e, (size_t)(equals - *e), err));
    }
    return MR_OK;
}

mr_status mr_config_read_sets(mr_config *config, const mr_config_source *source, mr_error *err)
{
    char path[MR_CONFIG_PATH_MAX];
    for (uint32_t i = 0; i < source->set_count; i++) {
        const char *const set = source->sets[i], *const equals = strchr(set, '=');
        if (equals == NULL || equals == set || (size_t)(equals - set) >= sizeof path)
            return mr_fail(err, MR_FATAL, "--set: found '%.64s', want key=value", set);
        snprintf(path, sizeof path, "%.*s", (int)(equals - set), set);
        MR_TRY(mr_config_assign(config, path, equals + 1, "--set", err));
    }
    return MR_OK;
}

// The file.

typedef struct reader {
    mr_config *config;
    const char *file;
    char *const *environment;
    char *value; // room for one expanded value, FILE_BYTES_MAX
} reader;

static void place_of(const reader *r, struct fy_node *node, struct fy_node *fallback, char *place,
                     size_t size)
{
    struct fy_token *token = fy_node_get_scalar_token(node);
    const struct fy_mark *mark = token != NULL ? fy_token_start_mark(token) : NULL;
    if (mark == NULL && fallback != NULL) {
        token = fy_node_get_scalar_token(fallback);
        mark = token != NULL ? fy_token_start_mark(token) : NULL;
    }
    if (mark == NULL)
        snprintf(place, size, "%s", r->file);
    else
        snprintf(place, size, "%s:%d:%d", r->file, mark->line + 1, mark->column + 1);
}

// Copies `text` to r->value, ${NAME} replaced.
static mr_status expand(const reader *r, const char *text, size_t size, mr_error *err)
{
    size_t used = 0;
    for (size_t i = 0; i < size;) {
        const char *piece = text + i;
        size_t piece_size = 1, step = 1;
        if (text[i] == '$' && i + 1 < size && text[i + 1] == '$') {
            step = 2;
        } else if (text[i] == '$' && i + 1 < size && text[i + 1] == '{') {
            const char *const name = text + i + 2;
            const char *const end = memchr(name, '}', size - i - 2);
            if (end == NULL)
                return mr_fail(err, MR_FATAL, "'${' without '}'; a dollar sign is written $$");
            const char *dash = memmem(name, (size_t)(end - name), ":-", 2);
            const size_t name_size = (size_t)((dash != NULL ? dash : end) - name);
            piece = environment_get(r->environment, name, name_size);
            piece_size = piece != NULL ? strlen(piece) : 0;
            if (piece == NULL && dash != NULL) {
                piece = dash + 2;
                piece_size = (size_t)(end - piece);
            }
            if (piece == NULL)
                return mr_fail(err, MR_FATAL, "${%.*s} is not in the environment", (int)name_size,
                               name);
            step = (size_t)(end - text) + 1 - i;
        }
        if (piece_size >= FILE_BYTES_MAX - used)
            return mr_fail(err, MR_FATAL, "the value is longer than %d bytes", FILE_BYTES_MAX);
        memcpy(r->value + used, piece, piece_size);
        used += piece_size;
        i += step;
    }
    r->value[used] = '\0';
    if (memchr(r->value, '\0', used) != NULL)
        return mr_fail(err, MR_FATAL, "the value holds a NUL byte");
    return MR_OK;
}

static mr_status read_scalar(const reader *r, const char *path, struct fy_node *node,
                             struct fy_node *key, mr_error *err)
{
    char place[PLACE_MAX];
    size_t size = 0;
    place_of(r, node, key, place, sizeof place);
    if (fy_node_is_alias(node))
        return mr_fail(err, MR_FATAL, "%s: %s: anchors and aliases are not read", place, path);
    const char *text = fy_node_get_scalar(node, &size);
    if (text == NULL || size == 0) {
        // "topics:" with nothing below it is an empty section, not a mistake.
        if (text == NULL && mr_config_is_section(r->config, path))
            return MR_OK;
        text = "";
        size = 0;
    }
    if (expand(r, text, size, err) != MR_OK) {
        mr_wrap(err, "%s", path);
        return mr_wrap(err, "%s", place);
    }
    return mr_config_assign(r->config, path, r->value, place, err);
}

// A YAML sequence becomes the comma-separated form.
static mr_status read_sequence(const reader *r, const char *path, struct fy_node *node,
                               struct fy_node *key, mr_error *err)
{
    char place[PLACE_MAX], list[2048];
    size_t used = 0;
    void *step = NULL;
    place_of(r, key, NULL, place, sizeof place);
    const mr_config_slot *slot = mr_config_slot_at(r->config, path);
    if (slot == NULL || slot->key->type != MR_KEY_LIST)
        return mr_fail(err, MR_FATAL, "%s: %s: found a list, which this key does not take", place,
                       path);
    list[0] = '\0';
    for (struct fy_node *item; (item = fy_node_sequence_iterate(node, &step)) != NULL;) {
        size_t size = 0;
        const char *text = fy_node_is_alias(item) ? NULL : fy_node_get_scalar(item, &size);
        if (text == NULL || memchr(text, ',', size) != NULL)
            return mr_fail(err, MR_FATAL, "%s: %s: want plain values without commas", place, path);
        MR_TRY(expand(r, text, size, err));
        const int written =
            snprintf(list + used, sizeof list - used, "%s%s", used > 0 ? "," : "", r->value);
        used += (size_t)written;
        if (used >= sizeof list)
            return mr_fail(err, MR_FATAL, "%s: %s: the list is too long", place, path);
    }
    return mr_config_assign(r->config, path, list, place, err);
}

static mr_status read_mapping(const reader *r, const char *path, struct fy_node *node, int depth,
                              mr_error *err);

static mr_status read_pair(const reader *r, const char *path, struct fy_node_pair *pair, int depth,
                           mr_error *err)
{
    char below[MR_CONFIG_PATH_MAX], place[PLACE_MAX];
    const char *rest;
    size_t size = 0;
    struct fy_node *key = fy_node_pair_key(pair), *value = fy_node_pair_value(pair);
    place_of(r, key, NULL, place, sizeof place);
    const char *name = fy_node_is_alias(key) ? NULL : fy_node_get_scalar(key, &size);
    if (name == NULL || size == 0 || memchr(name, '\0', size) != NULL ||
        strlen(path) + size + 2 > sizeof below)
        return mr_fail(err, MR_FATAL, "%s: want a plain key of at most %d bytes below '%s'", place,
                       MR_CONFIG_PATH_MAX, path);
    snprintf(below, sizeof below, "%s%s%.*s", path, path[0] != '\0' ? "." : "", (int)size, name);
    MR_TRY(mr_config_input_of_path(r->config, below, place, err));
    const bool known = mr_config_slot_at(r->config, below) != NULL ||
                       mr_config_is_section(r->config, below) ||
                       mr_config_properties_at(r->config, below, &rest) != NULL;
    if (!known)
        return mr_config_unknown_key(r->config, place, below, err);
    if (fy_node_is_mapping(value)) {
        const mr_config_properties *free_keys = mr_config_properties_at(r->config, below, &rest);
        if (mr_config_slot_at(r->config, below) != NULL || (free_keys != NULL && rest[0] != '\0') ||
            depth == DEPTH_MAX)
            return mr_fail(err, MR_FATAL, "%s: %s: found a mapping, want a value", place, below);
        return read_mapping(r, below, value, depth + 1, err);
    }
    if (fy_node_is_sequence(value))
        return read_sequence(r, below, value, key, err);
    return read_scalar(r, below, value, key, err);
}

static mr_status read_mapping(const reader *r, const char *path, struct fy_node *node, int depth,
                              mr_error *err)
{
    void *step = NULL;
    for (struct fy_node_pair *pair; (pair = fy_node_mapping_iterate(node, &step)) != NULL;)
        MR_TRY(read_pair(r, path, pair, depth, err));
    return MR_OK;
}

static mr_status syntax_error(const char *path, struct fy_diag *diag, mr_error *err)
{
    void *step = NULL;
    const struct fy_diag_error *first = fy_diag_errors_iterate(diag, &step);
    if (first == NULL)
        return mr_fail(err, MR_FATAL, "%s: is not YAML", path);
    return mr_fail(err, MR_FATAL, "%s:%d:%d: %s", path, first->line, first->column, first->msg);
}

static mr_status parse_file(const reader *r, const char *text, size_t size, mr_error *err)
{
    mr_status status = MR_OK;
    struct fy_diag *diag = fy_diag_create(NULL);
    if (diag == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    fy_diag_set_collect_errors(diag, true);
    const struct fy_parse_cfg cfg = {.flags = FYPCF_QUIET | FYPCF_DEFAULT_PARSE, .diag = diag};
    struct fy_document *document = fy_document_build_from_string(&cfg, text, size);
    struct fy_node *root = document != NULL ? fy_document_root(document) : NULL;
    if (document == NULL)
        status = syntax_error(r->file, diag, err);
    else if (root != NULL && fy_node_is_mapping(root))
        status = read_mapping(r, "", root, 0, err);
    else if (root != NULL && !fy_node_is_null(root))
        status = mr_fail(err, MR_FATAL, "%s:1:1: want a mapping of keys", r->file);
    fy_document_destroy(document);
    fy_diag_destroy(diag);
    return status;
}

mr_status mr_config_read_file(mr_config *config, const mr_config_source *source, mr_error *err)
{
    if (source->path == NULL)
        return MR_OK;
    FILE *file = fopen(source->path, "re");
    if (file == NULL)
        return mr_fail(err, MR_FATAL, "%s: %s", source->path, strerror(errno));
    mr_status status = MR_OK;
    char *text = malloc(FILE_BYTES_MAX + 1), *value = malloc(FILE_BYTES_MAX);
    const size_t size = text != NULL ? fread(text, 1, FILE_BYTES_MAX + 1, file) : 0;
    if (text == NULL || value == NULL)
        status = mr_fail(err, MR_FATAL, "out of memory");
    else if (ferror(file) != 0)
        status = mr_fail(err, MR_FATAL, "%s: %s", source->path, strerror(errno));
    else if (size > FILE_BYTES_MAX)
        status =
            mr_fail(err, MR_FATAL, "%s: is larger than %d bytes", source->path, FILE_BYTES_MAX);
    const reader r = {config, source->path, source->environment, value};
    if (status == MR_OK && size > 0)
        status = parse_file(&r, text, size, err);
    free(value);
    free(text);
    fclose(file);
    return status;
}
