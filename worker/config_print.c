// SPDX-License-Identifier: Apache-2.0
// config_print: the table for people: help, the page, and the effective configuration.
#include "worker/config.h"

#include <stdlib.h>
#include <string.h>

#include "worker/config_internal.h"

void mr_config_number_key_make(const mr_config_number *number, mr_config_number_key *row)
{
    char low[32], high[32];
    const bool choice = strstr(number->unit, " | ") != NULL;
    row->key = (mr_key){.path = number->path,
                        .help = number->help,
                        .type = choice ? MR_KEY_CHOICE : MR_KEY_DOUBLE,
                        .history = true,
                        .initial = row->initial,
                        .range = choice ? number->unit : row->range};
    mr_value_print(&row->key, &number->initial, row->initial, sizeof row->initial);
    if (choice)
        return;
    mr_value_print(&row->key, &number->min, low, sizeof low);
    mr_value_print(&row->key, &number->max, high, sizeof high);
    snprintf(row->range, sizeof row->range, "%s .. %s", low, high);
}

static const char *type_name(mr_key_type type)
{
    static const char *const names[] = {
        [MR_KEY_INT] = "integer", [MR_KEY_DOUBLE] = "number", [MR_KEY_BOOL] = "boolean",
        [MR_KEY_NAME] = "name",   [MR_KEY_TEXT] = "text",     [MR_KEY_DURATION] = "duration",
        [MR_KEY_SIZE] = "size",   [MR_KEY_ENUM] = "choice",   [MR_KEY_LIST] = "list",
        [MR_KEY_CHOICE] = "choice",
    };
    return names[type];
}

// One visit a row of all tables, in the order in which they are printed.
typedef void row_visitor(void *context, const char *prefix, const mr_key *key, const char *unit);

static void visit_rows(const mr_config_number *numbers, uint32_t number_count, row_visitor *visit,
                       void *context)
{
    uint32_t count, input_count;
    const mr_key *keys = mr_config_keys(&count), *input_keys = mr_config_input_keys(&input_count);
    for (uint32_t i = 0; i < count; i++)
        visit(context, "", &keys[i], "");
    for (uint32_t i = 0; i < input_count; i++)
        visit(context, "topics.<name>.", &input_keys[i], "");
    for (uint32_t i = 0; i < number_count; i++) {
        mr_config_number_key row;
        mr_config_number_key_make(&numbers[i], &row);
        visit(context, "", &row.key, row.key.type == MR_KEY_CHOICE ? "" : numbers[i].unit);
    }
}

static void help_row(void *context, const char *prefix, const mr_key *key, const char *unit)
{
    FILE *const out = context;
    const char *const gap = unit[0] != '\0' ? " " : "";
    fprintf(out, "  %s%s: %s%s%s", prefix, key->path, key->initial[0] != '\0' ? key->initial : "''",
            gap, unit);
    if (key->range[0] != '\0')
        fprintf(out, "  [%s]", key->range);
    fprintf(out, "\n      %s\n", key->help);
}

void mr_config_print_help(FILE *out, const mr_config_number *numbers, uint32_t number_count)
{
    visit_rows(numbers, number_count, help_row, out);
    fprintf(out, "  topics.<name>.mapping.<field>: ''\n"
                 "      where in the record a field of the event stands: a path such as "
                 "payload.user_id; also\n      kind, where and each: which records are events "
                 "(schemas/README.md)\n"
                 "  kafka.properties.<property>, kafka.consumer.<property>, "
                 "kafka.producer.<property>: ''\n"
                 "      any property of librdkafka that the worker does not set itself\n");
}

typedef struct page {
    FILE *out;
    char section[MR_CONFIG_PATH_MAX];
} page;

// The section of a path: all before its last dot for methods, else before its first.
static void section_of(const char *path, char *section, size_t size)
{
    const char *const dot = strchr(path, '.');
    snprintf(section, size, "%.*s", dot != NULL ? (int)(dot - path) : 0, path);
}

// A cell of a table: the bar is the only character that has to be escaped.
static void print_cell(FILE *out, const char *text)
{
    for (const char *c = text; *c != '\0'; c++)
        fprintf(out, *c == '|' ? "\\%c" : "%c", *c);
}

static void markdown_row(void *context, const char *prefix, const mr_key *key, const char *unit)
{
    page *const p = context;
    char path[MR_CONFIG_PATH_MAX], section[MR_CONFIG_PATH_MAX];
    snprintf(path, sizeof path, "%s%s", prefix, key->path);
    section_of(path, section, sizeof section);
    if (strcmp(section, p->section) != 0) {
        fprintf(p->out, "\n## %s\n\n", section);
        fprintf(p->out, "| key | type | default | range | history | meaning |\n"
                        "|---|---|---|---|---|---|\n");
        snprintf(p->section, sizeof p->section, "%s", section);
    }
    fprintf(p->out, "| `%s` | %s | ", path, type_name(key->type));
    if (key->initial[0] != '\0')
        fprintf(p->out, "`%s`%s%s", key->initial, unit[0] != '\0' ? " " : "", unit);
    fprintf(p->out, " | ");
    print_cell(p->out, key->range);
    fprintf(p->out, " | %s | ", key->history ? "yes" : "");
    print_cell(p->out, key->help);
    fprintf(p->out, " |\n");
}

void mr_config_print_markdown(FILE *out, const mr_config_number *numbers, uint32_t number_count)
{
    static const char head[] =
        "# Configuration\n"
        "\n"
        "This page is printed by `millrace config --markdown`; a test compares the two.\n"
        "\n"
        "One YAML file, given by `--config`. Order: the defaults below, then the file, then the\n"
        "environment, then `--set key=value` on the command line. What is not on this page is\n"
        "refused, with its place and the nearest key. `millrace config --config F` prints what\n"
        "holds in the end, `millrace check --config F` says what is wrong.\n"
        "\n"
        "- Environment: `MILLRACE_` and the key in capitals with `_` for each dot:\n"
        "  `MILLRACE_STATE_PATH`. For a librdkafka property `.` is written `_`, `-` is `__` and "
        "`_`\n"
        "  is `___`: `MILLRACE_KAFKA_PROPERTIES_SASL_PASSWORD`. With `_FILE` at its end a "
        "variable\n"
        "  names a file that holds the value.\n"
        "- In a value of the file `${NAME}` stands for the environment, `${NAME:-default}` too, "
        "and\n"
        "  `$$` for a dollar sign.\n"
        "- Durations: `20ms`, `1.5s`, `10m`, `1h`, `7d`; a bare number is milliseconds. Sizes:\n"
        "  `1000`, `64KiB`, `16MiB`, `1GiB`, `1TiB`. Lists: `a, b`, or a YAML sequence.\n"
        "- `<app>`, `<host>` and `<name>` are filled in: the application id, the name of the "
        "machine,\n"
        "  the name of the input.\n"
        "- A key with *history* decides bytes of the state or of the lists: its value is part of "
        "the\n"
        "  hash in the epoch log.\n"
        "- `topics.<name>.mapping.<field>` says where in a record a field of the event stands, as "
        "a\n"
        "  path such as `payload.user_id`; `kind`, `where` and `each` say which records are events.\n"
        "  `schemas/README.md` has the fields; `millrace infer` proposes a mapping.\n"
        "- `kafka.properties.<property>`, `kafka.consumer.<property>` and "
        "`kafka.producer.<property>`\n"
        "  go to librdkafka as they are, but for those that the worker sets itself.\n";
    page p = {out, "-"};
    fprintf(out, "%s", head);
    visit_rows(numbers, number_count, markdown_row, &p);
}

// A value in double quotes wherever plain YAML could mean something else.
static void print_scalar(FILE *out, const char *text)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/";
    if (text[0] != '\0' && text[0] != '-' && strspn(text, plain) == strlen(text)) {
        fprintf(out, "%s", text);
        return;
    }
    fputc('"', out);
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '"' || *c == '\\')
            fprintf(out, "\\%c", *c);
        else if (*c == '$')
            fprintf(out, "$$");
        else if ((unsigned char)*c < ' ')
            fprintf(out, "\\x%02x", (unsigned)(unsigned char)*c);
        else
            fputc(*c, out);
    }
    fputc('"', out);
}

static void print_indent(FILE *out, int depth)
{
    fprintf(out, "%*s", 2 * depth, "");
}

// Prints the sections of `path` that `open`, the path printed last, was not in; returns its depth.
static int print_sections(FILE *out, const char *open, const char *path)
{
    int depth = 0;
    for (const char *dot = strchr(path, '.'), *part = path; dot != NULL;
         part = dot + 1, dot = strchr(part, '.'), depth++) {
        if (strncmp(open, path, (size_t)(dot - path) + 1) != 0) {
            print_indent(out, depth);
            fprintf(out, "%.*s:\n", (int)(dot - part), part);
        }
    }
    return depth;
}

static void print_properties(FILE *out, const char *name, int depth,
                             const mr_config_properties *properties)
{
    if (properties->count == 0)
        return;
    print_indent(out, depth);
    fprintf(out, "%s:\n", name);
    for (uint32_t i = 0; i < properties->count; i++) {
        const mr_config_property *row = &properties->rows[i];
        print_indent(out, depth + 1);
        print_scalar(out, row->name);
        fprintf(out, ": ");
        print_scalar(out, mr_config_is_secret(row->name) ? "********" : row->value);
        fprintf(out, "  # %s\n", row->place);
    }
}

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

// Free mappings follow the last key of the section that they stand in.
static void print_mappings_after(const mr_config *config, FILE *out, uint32_t index)
{
    const char *const path = config->slots[index].path;
    const char *const next = index + 1 < config->slot_count ? config->slots[index + 1].path : "";
    if (starts_with(path, "kafka.") && !starts_with(next, "kafka.")) {
        print_properties(out, "properties", 1, &config->kafka_properties);
        print_properties(out, "consumer", 1, &config->kafka_consumer);
        print_properties(out, "producer", 1, &config->kafka_producer);
    }
    for (uint32_t i = 0; i < config->input_count; i++) {
        char prefix[MR_CONFIG_PATH_MAX];
        snprintf(prefix, sizeof prefix, "topics.%s.", config->inputs[i].name);
        if (starts_with(path, prefix) && !starts_with(next, prefix))
            print_properties(out, "mapping", 2, &config->inputs[i].mapping);
    }
}

void mr_config_print(const mr_config *config, FILE *out)
{
    const char *open = "";
    char text[2048];
    for (uint32_t i = 0; i < config->slot_count; i++) {
        const mr_config_slot *slot = &config->slots[i];
        const int depth = print_sections(out, open, slot->path);
        const char *const dot = strrchr(slot->path, '.');
        mr_value_print(slot->key, slot->value, text, sizeof text);
        if (text[0] != '\0' && mr_config_is_secret(slot->path))
            strcpy(text, "********");
        print_indent(out, depth);
        fprintf(out, "%s: ", dot != NULL ? dot + 1 : slot->path);
        print_scalar(out, text);
        if (slot->place != NULL)
            fprintf(out, "  # %s", slot->place);
        fputc('\n', out);
        print_mappings_after(config, out, i);
        open = slot->path;
    }
}
