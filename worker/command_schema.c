// SPDX-License-Identifier: Apache-2.0
// millrace schema: the Avro schemas of the topics, to be registered or to write records by.
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/builtin.h"
#include "schemas/canonical.h"
#include "schemas/catalog.h"
#include "worker/command.h"
#include "worker/nearest.h"

static const mr_option rows[] = {
    {"fingerprint", NULL, "prints the CRC-64-AVRO: records hold its bytes in reverse order"},
    {"canonical", NULL, "prints the parsing canonical form, which the fingerprint is made of"},
    {"mappings", NULL, "the mapping files of public logs instead, for --mapping of replay and ope"},
    {"directory", "DIR", "knows the schemas of a folder too, as schemas.directory does"},
    {0},
};

// Name and first sentence of the schema's doc, or fingerprint and name.
static void print_row(const mr_catalog_schema *schema, bool fingerprint)
{
    if (fingerprint) {
        printf("%016" PRIx64 "  %s\n", schema->fingerprint, schema->name);
        return;
    }
    json_t *json = json_loadb(schema->text, schema->text_bytes, JSON_DECODE_ANY, NULL);
    const char *doc = json_string_value(json_object_get(json, "doc"));
    doc = doc != NULL ? doc : "";
    const char *stop = strstr(doc, ". ");
    printf("%-12s %.*s\n", schema->name, (int)(stop != NULL ? stop - doc + 1 : (long)strlen(doc)),
           doc);
    json_decref(json);
}

static void print_text(const mr_catalog_schema *schema)
{
    const bool ends = schema->text_bytes > 0 && schema->text[schema->text_bytes - 1] == '\n';
    fwrite(schema->text, 1, schema->text_bytes, stdout);
    if (!ends)
        putchar('\n');
}

static mr_status print_canonical(const mr_catalog_schema *schema, mr_error *err)
{
    mr_schema *parsed;
    MR_TRY(mr_schema_open(schema->text, schema->text_bytes, &parsed, err));
    const size_t room = mr_canonical_text(parsed, NULL, 0) + 1;
    char *text = malloc(room);
    if (text != NULL) {
        mr_canonical_text(parsed, text, room);
        puts(text);
        free(text);
    }
    mr_schema_close(parsed);
    return text != NULL ? MR_OK : mr_fail(err, MR_FATAL, "out of memory");
}

static int unknown_schema(const mr_catalog *catalog, const char *name)
{
    char text[256];
    mr_nearest search = mr_nearest_begin(name);
    for (uint32_t i = 0; mr_catalog_at(catalog, i) != NULL; i++)
        mr_nearest_offer(&search, mr_catalog_at(catalog, i)->name);
    snprintf(text, sizeof text, "%.80s: no such schema%s%s; millrace schema lists them", name,
             search.best != NULL ? "; the nearest is " : "",
             search.best != NULL ? search.best : "");
    return mr_command_fail("schema", text, MR_EXIT_USAGE);
}

static int print_one(const mr_catalog *catalog, const char *name, const mr_options *options)
{
    mr_error err = {0};
    const mr_catalog_schema *schema = mr_catalog_find(catalog, name);
    if (schema == NULL)
        return unknown_schema(catalog, name);
    if (mr_options_get(options, "fingerprint") != NULL)
        printf("%016" PRIx64 "\n", schema->fingerprint);
    else if (mr_options_get(options, "canonical") == NULL)
        print_text(schema);
    else if (print_canonical(schema, &err) != MR_OK)
        return mr_command_fail("schema", err.text, MR_EXIT_FAILED);
    return MR_EXIT_GOOD;
}

// The names of the mapping files with the first sentence of each, or one of them.
static int print_mappings(const char *name)
{
    char text[128];
    for (uint32_t i = 0; mr_builtin_mapping_at(i) != NULL; i++) {
        const mr_builtin *mapping = mr_builtin_mapping_at(i);
        const char *const says = strstr(mapping->text, "\n# ");
        if (name != NULL && strcmp(name, mapping->name) == 0) {
            fwrite(mapping->text, 1, mapping->size, stdout);
            return MR_EXIT_GOOD;
        }
        if (name == NULL && says != NULL)
            printf("%-17s %.*s\n", mapping->name, (int)strcspn(says + 3, "\n"), says + 3);
    }
    if (name == NULL)
        return MR_EXIT_GOOD;
    snprintf(text, sizeof text, "%.64s: no such mapping; millrace schema --mappings lists them",
             name);
    return mr_command_fail("schema", text, MR_EXIT_USAGE);
}

int mr_command_schema(int argc, char **argv)
{
    mr_options options = {
        .command = "schema",
        .operands = "[NAME]",
        .summary = "Lists the Avro schemas of events and outputs, or prints the one of that name.",
        .rows = rows,
        .operands_max = 1,
    };
    mr_catalog *catalog;
    mr_error err = {0};
    int exit_status;
    if (!mr_options_parse(&options, argc, argv, &exit_status))
        return exit_status;
    if (mr_options_get(&options, "mappings") != NULL)
        return print_mappings(options.operand_first < argc ? argv[options.operand_first] : NULL);
    if (mr_catalog_open(mr_options_get(&options, "directory"), &catalog, &err) != MR_OK)
        return mr_command_fail("schema", err.text, MR_EXIT_FAILED);
    if (options.operand_first < argc) {
        exit_status = print_one(catalog, argv[options.operand_first], &options);
    } else {
        const bool fingerprint = mr_options_get(&options, "fingerprint") != NULL;
        for (uint32_t i = 0; mr_catalog_at(catalog, i) != NULL; i++)
            print_row(mr_catalog_at(catalog, i), fingerprint);
        exit_status = MR_EXIT_GOOD;
    }
    mr_catalog_close(catalog);
    return exit_status;
}
