// SPDX-License-Identifier: Apache-2.0
// millrace infer: proposes a mapping for records that it has never seen.
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/catalog.h"
#include "schemas/plan.h"
#include "worker/command.h"
#include "worker/infer.h"
#include "worker/kafka/sample.h"

static const mr_option rows[] = {
    {"topic", "TOPIC", "reads messages of a topic of the configured brokers, not a file"},
    {"records", "N", "of each partition, or of the file: so many at most; default 200"},
    {"name", "NAME", "what the input is called in the configuration; default events"},
    {0},
};

enum { RECORDS = 200, FILE_BYTES_MAX = 16 << 20, TEXT_BYTES_MAX = 1024 };

typedef struct looking { // at a file or a topic
    mr_infer *infer;
    mr_catalog *catalog;
    mr_inferred about;
    json_t *records;   // of JSON, to try the mapping with
    mr_schema *schema; // of Avro
    char schema_name[64];
    uint32_t seen, unknown, max;
} looking;

static void take_json(looking *l, json_t *record)
{
    if (json_array_size(l->records) < l->max) {
        mr_infer_record(l->infer, record);
        json_array_append(l->records, record);
    }
    json_decref(record);
}

// ---- a file

static mr_status read_text(const char *path, char **text, size_t *size, mr_error *err)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    if (file == NULL)
        return mr_fail(err, MR_FATAL, "%s: %s", path, strerror(errno));
    *text = malloc(FILE_BYTES_MAX);
    *size = *text != NULL ? fread(*text, 1, FILE_BYTES_MAX, file) : 0;
    const bool failed = *text == NULL || ferror(file) != 0;
    if (file != stdin)
        fclose(file);
    return failed ? mr_fail(err, MR_FATAL, "%s: cannot be read", path) : MR_OK;
}

static bool is_schema(const json_t *json)
{
    const json_t *type = json_object_get(json, "type");
    return json_is_string(type) && json_is_array(json_object_get(json, "fields")) &&
           strcmp(json_string_value(type), "record") == 0;
}

// One schema, or values of JSON one after the other.
static mr_status read_file(looking *l, const char *path, const char *text, size_t size,
                           mr_error *err)
{
    size_t at = 0;
    if (size >= 4 && memcmp(text, "Obj\1", 4) == 0)
        return mr_fail(err, MR_FATAL,
                       "%s: an Avro container file; give its schema in a file of its own", path);
    while (at < size && json_array_size(l->records) < l->max) {
        json_error_t fault;
        json_t *json = json_loadb(text + at, size - at, JSON_DISABLE_EOF_CHECK, &fault);
        if (json == NULL && at + (size_t)fault.position >= FILE_BYTES_MAX)
            return MR_OK; // cut off by us
        if (json == NULL)
            return mr_fail(err, MR_FATAL, "%s: byte %zu: %s", path, at + (size_t)fault.position,
                           fault.text);
        if (at == 0 && is_schema(json)) {
            json_decref(json);
            MR_TRY(mr_schema_open(text, size, &l->schema, err));
            mr_infer_schema(l->infer, l->schema);
            return MR_OK;
        }
        take_json(l, json);
        at += (size_t)fault.position;
        at += strspn(text + at, " \t\r\n");
    }
    return MR_OK;
}

// ---- a topic

static const mr_catalog_schema *schema_of(const mr_catalog *catalog, const mr_frame *frame)
{
    char name[16];
    const mr_catalog_schema *schema = NULL;
    if (frame->names == MR_FRAME_NAMES_ID) {
        snprintf(name, sizeof name, "%u", frame->id);
        return mr_catalog_find(catalog, name);
    }
    for (uint32_t i = 0; frame->names == MR_FRAME_NAMES_FINGERPRINT; i++) {
        schema = mr_catalog_at(catalog, i);
        if (schema == NULL || schema->fingerprint == frame->fingerprint)
            break;
    }
    return schema;
}

static void see(void *context, const mr_message *message)
{
    looking *l = context;
    mr_frame frame = {.payload = message->value};
    mr_error err;
    l->seen++;
    l->about.has_key = l->about.has_key || message->key.size > 0;
    const bool framed =
        message->value.size > 0 && (message->value.data[0] <= 1 || message->value.data[0] == 0xc3);
    if (message->value.data == NULL ||
        mr_frame_read(framed ? MR_FRAMING_AUTO : MR_FRAMING_BARE, message->value,
                      (mr_bytes){NULL, 0}, &frame, &err) != MR_OK)
        return;
    json_t *json = json_loadb((const char *)frame.payload.data, frame.payload.size, 0, NULL);
    if (json != NULL) {
        take_json(l, json);
        return;
    }
    const mr_catalog_schema *schema = framed ? schema_of(l->catalog, &frame) : NULL;
    l->unknown += schema == NULL;
    if (schema == NULL || l->schema != NULL)
        return;
    if (mr_schema_open(schema->text, schema->text_bytes, &l->schema, &err) == MR_OK)
        mr_infer_schema(l->infer, l->schema);
}

static mr_status read_topic(looking *l, const mr_config *config, const char *topic, mr_error *err)
{
    mr_kafka_admin *admin = NULL;
    uint32_t partitions = 0;
    const char *const directory = config->schemas_directory;
    MR_TRY(mr_catalog_open(directory[0] != '\0' ? directory : NULL, &l->catalog, err));
    MR_TRY(mr_kafka_admin_open(config, &admin, err));
    mr_status status = mr_kafka_admin_partitions(admin, topic, &partitions, err);
    if (status == MR_OK && partitions == 0)
        status = mr_fail(err, MR_FATAL, "there is no topic '%s'", topic);
    if (status == MR_OK)
        status = mr_kafka_sample(config, admin, topic, partitions, l->max, see, l, err);
    mr_kafka_admin_close(admin);
    if (status == MR_OK && l->seen == 0)
        status = mr_fail(err, MR_FATAL, "topic '%s' is empty", topic);
    if (status == MR_OK && l->schema == NULL && json_array_size(l->records) == 0)
        status =
            mr_fail(err, MR_FATAL,
                    "%u messages, of which none is JSON or has a known schema: put the schemas "
                    "into schemas.directory",
                    l->seen);
    return status;
}

// ---- trying the guess

typedef struct trial {
    mr_mapping mapping;
    mr_mapping_entry entries[MR_MAPPING_ENTRIES_MAX];
    char texts[MR_MAPPING_ENTRIES_MAX][TEXT_BYTES_MAX];
    mr_line lines[MR_LINES_MAX];
    float vector[MR_VECTOR_MAX];
    mr_event event;
    mr_plan_walk walk;
    uint32_t kinds[MR_EVENT_KIND_COUNT], left_out, refused;
    mr_error first; // refusal
} trial;

static mr_status read_rows(trial *t, const mr_infer *infer, bool has_key, mr_error *err)
{
    const char *key, *source;
    t->mapping =
        (mr_mapping){.kind = mr_infer_is_mapped(infer) ? MR_EVENT_KIND_COUNT : MR_EVENT_CLICK,
                     .entries = t->entries,
                     .given = has_key ? 1u << MR_FIELD_user : 0};
    for (uint32_t i = 0; mr_infer_row(infer, i, &key, &source); i++) {
        snprintf(t->texts[i], TEXT_BYTES_MAX, "%s", source);
        MR_TRY(mr_mapping_key(mr_bytes_text(key), &t->entries[i], err));
        MR_TRY(mr_mapping_source(t->texts[i], &t->entries[i], err));
        t->mapping.entry_count++;
    }
    return MR_OK;
}

static void try_record(trial *t, const mr_plan *plan, const char *text, uint8_t *scratch,
                       uint8_t *item_scratch)
{
    mr_error err;
    uint32_t count = 0;
    t->event = (mr_event){.lines = t->lines, .vector = t->vector, .scratch = scratch};
    mr_status status = mr_plan_begin(plan, (const uint8_t *)text, strlen(text), NULL, NULL,
                                     &t->event, &t->walk, &err);
    for (bool more = true; status == MR_OK && more;) {
        if (mr_plan_item_scratch_bytes(plan) > 0)
            t->event.scratch = item_scratch;
        status = mr_plan_next(&t->walk, &t->event, &more, &err);
        if (status == MR_OK && more) {
            t->kinds[t->event.kind]++;
            count++;
        }
    }
    t->left_out += status == MR_OK && count == 0;
    if (status != MR_OK && t->refused++ == 0)
        t->first = err;
}

static void print_trial(const trial *t, size_t records)
{
    printf("# tried with %zu records:", records);
    for (uint32_t kind = 0; kind < MR_EVENT_KIND_COUNT; kind++) {
        if (t->kinds[kind] > 0)
            printf(" %u %s,", t->kinds[kind], mr_event_kind_name((mr_event_kind)kind));
    }
    printf(" %u left out, %u refused\n", t->left_out, t->refused);
    if (t->refused > 0)
        printf("# the first refusal: %s\n", t->first.text);
}

static mr_status try_json(trial *t, const looking *l, mr_error *err)
{
    mr_plan *plan;
    size_t index;
    json_t *record;
    MR_TRY(mr_plan_compile_json(&t->mapping, &plan, err));
    uint8_t *scratch = malloc(mr_plan_scratch_bytes(plan) + 1u);
    uint8_t *item_scratch = malloc(mr_plan_item_scratch_bytes(plan) + 1u);
    json_array_foreach(l->records, index, record)
    {
        char *text = json_dumps(record, JSON_COMPACT);
        if (scratch != NULL && item_scratch != NULL && text != NULL)
            try_record(t, plan, text, scratch, item_scratch);
        free(text);
    }
    free(scratch);
    free(item_scratch);
    mr_plan_close(plan);
    print_trial(t, json_array_size(l->records));
    return MR_OK;
}

static mr_status try_guess(const looking *l, mr_error *err)
{
    mr_plan *plan = NULL;
    trial *t = calloc(1, sizeof *t);
    if (t == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    mr_status status = read_rows(t, l->infer, l->about.has_key, err);
    if (status == MR_OK && l->schema != NULL) {
        status = mr_plan_compile_schema(l->schema, &t->mapping, &plan, err);
        if (status == MR_OK)
            printf("# tried with the schema: it fits\n");
    } else if (status == MR_OK) {
        status = try_json(t, l, err);
    }
    mr_plan_close(plan);
    free(t);
    return status;
}

// ---- the command

static int propose(looking *l)
{
    mr_error err = {0};
    const bool from_schema = l->schema != NULL;
    l->about.format = from_schema ? l->seen > 0 ? "auto" : "bare" : "json";
    l->about.schema = from_schema && l->seen == 0 ? l->schema_name : "";
    mr_infer_print(l->infer, &l->about, stdout);
    if (l->unknown > 0)
        printf("# %u of %u messages name schemas that are not known\n", l->unknown, l->seen);
    if (try_guess(l, &err) == MR_OK)
        return MR_EXIT_GOOD;
    printf("# tried, and it does not fit yet: %s\n", err.text);
    return MR_EXIT_FAILED;
}

// "clicks" of "some/clicks.avsc".
static void name_of(const char *path, char *name, size_t room)
{
    const char *const slash = strrchr(path, '/');
    snprintf(name, room, "%s", slash != NULL ? slash + 1 : path);
    char *const dot = strrchr(name, '.');
    if (dot != NULL)
        *dot = '\0';
}

static void close_looking(looking *l)
{
    mr_infer_close(l->infer);
    mr_schema_close(l->schema);
    mr_catalog_close(l->catalog);
    json_decref(l->records);
}

int mr_command_infer(int argc, char **argv)
{
    mr_options options = {
        .command = "infer",
        .operands = "[FILE]",
        .summary = "Proposes a mapping as YAML, from an Avro schema, a file of JSON records, or\n"
                   "messages of a topic, with a reason for each line and what is missing.",
        .rows = rows,
        .configured = true,
        .operands_max = 1,
    };
    mr_config *config;
    mr_error err = {0};
    char *text = NULL;
    size_t size = 0;
    double records = RECORDS;
    int exit_status;
    if (!mr_options_parse(&options, argc, argv, &exit_status))
        return exit_status;
    const char *const topic = mr_options_get(&options, "topic");
    const char *const name = mr_options_get(&options, "name");
    if ((topic == NULL) == (options.operand_first == argc) ||
        !mr_options_number(&options, "records", 1, 10000, &records))
        return mr_command_fail("infer", "want FILE or --topic TOPIC, and --records from 1 to 10000",
                               MR_EXIT_USAGE);
    if (!mr_options_load(&options, &config))
        return MR_EXIT_USAGE;
    looking l = {
        .infer = mr_infer_open(),
        .records = json_array(),
        .about = {.name = name != NULL ? name : "events", .topic = topic != NULL ? topic : ""},
        .max = (uint32_t)records};
    mr_status status = l.infer != NULL ? MR_OK : mr_fail(&err, MR_FATAL, "out of memory");
    if (status == MR_OK && topic != NULL) {
        status = read_topic(&l, config, topic, &err);
    } else if (status == MR_OK) {
        const char *const path = argv[options.operand_first];
        name_of(path, l.schema_name, sizeof l.schema_name);
        status = read_text(path, &text, &size, &err);
        if (status == MR_OK)
            status = read_file(&l, path, text, size, &err);
    }
    exit_status =
        status == MR_OK ? propose(&l) : mr_command_fail("infer", err.text, MR_EXIT_FAILED);
    free(text);
    close_looking(&l);
    mr_options_unload(&options, config);
    return exit_status;
}
