// SPDX-License-Identifier: Apache-2.0
// The decode plan against avro-c's generic reader, on random schemas, mappings and data.
//
// Strategy: for each seed a schema; a mapping that wants a random choice of its values; records in
// the writer's encoding with blocks of both forms. Then
//   - avro-c reads the whole record: what was generated is good Avro;
//   - the plan takes it, and each wanted field has the value that avro-c gives at its path, or is
//     absent where the path meets null or another branch;
//   - every proper prefix of the record is refused, and so is the record with a byte more;
//   - random damage never leads outside of the bytes (run under a sanitizer) and never to a value
//   that
//     points outside of them.
// A failure prints the seed; MILLRACE_SEED=N runs that seed alone.
#include "kit.h"

#include <avro.h>
#include <stdio.h>

#include "generator.h"

enum { SEEDS = 600, RECORDS = 8, ENTRIES_MAX = 24, PATH_BYTES = 64, DAMAGES = 24 };

typedef struct wanted { // the entries of a random mapping
    mr_mapping_entry entries[ENTRIES_MAX];
    char paths[ENTRIES_MAX][PATH_BYTES];
    uint32_t count;
    uint64_t used; // fields that have an entry
} wanted;

typedef struct trial {
    generator g;
    mr_schema *schema;
    avro_schema_t avro;
    avro_value_iface_t *iface;
    wanted want;
    mr_mapping mapping;
    kit *k;
    uint64_t seed;
} trial;

// A field that a value of this type may fill and that is still free; MR_FIELD_COUNT: none.
static mr_field field_for(const trial *t, const mr_schema_type *type)
{
    static const mr_field texts[] = {MR_FIELD_user,  MR_FIELD_item,  MR_FIELD_event_id,
                                     MR_FIELD_title, MR_FIELD_query, MR_FIELD_target};
    static const mr_field longs[] = {MR_FIELD_list_version, MR_FIELD_position, MR_FIELD_time,
                                     MR_FIELD_session};
    static const mr_field doubles[] = {MR_FIELD_value, MR_FIELD_price, MR_FIELD_quantity,
                                       MR_FIELD_propensity};
    const mr_field *fields = texts;
    uint32_t count = 6;
    if (type->avro == MR_AVRO_LONG || type->avro == MR_AVRO_INT) {
        fields = longs;
        count = 4;
    } else if (type->avro == MR_AVRO_DOUBLE || type->avro == MR_AVRO_FLOAT) {
        fields = doubles;
        count = 4;
    } else if (type->avro != MR_AVRO_STRING && type->avro != MR_AVRO_BYTES &&
               type->avro != MR_AVRO_ENUM && !(type->avro == MR_AVRO_FIXED && type->size > 0)) {
        return MR_FIELD_COUNT;
    }
    for (uint32_t i = 0; i < count; i++) {
        if ((t->want.used >> fields[i] & 1) == 0)
            return fields[i];
    }
    return MR_FIELD_COUNT;
}

static void want_path(trial *t, mr_field field, const char *path)
{
    wanted *w = &t->want;
    w->used |= UINT64_C(1) << field;
    snprintf(w->paths[w->count], PATH_BYTES, "%s", path);
    w->entries[w->count] = (mr_mapping_entry){.field = field, .path = w->paths[w->count]};
    w->count++;
}

// Walks the schema and wants about a third of what can be wanted.
static void choose(trial *t, uint32_t index, const char *path, uint32_t depth)
{
    const mr_schema_type *type = t->schema->types + index;
    char inner[PATH_BYTES];
    if (depth > 5 || strlen(path) > PATH_BYTES - 8)
        return;
    if (type->avro == MR_AVRO_UNION) {
        for (uint32_t i = 0; i < type->part_count; i++)
            choose(t, t->schema->parts[type->part_first + i].type, path, depth + 1);
        return;
    }
    if (type->avro == MR_AVRO_RECORD) {
        for (uint32_t i = 0; i < type->part_count; i++) {
            const mr_schema_part *part = t->schema->parts + type->part_first + i;
            snprintf(inner, sizeof inner, "%s%s%.8s", path, *path != '\0' ? "." : "", part->name);
            choose(t, part->type, inner, depth + 1);
        }
        return;
    }
    const mr_field field = field_for(t, type);
    for (uint32_t i = 0; i < t->want.count; i++) {
        if (strcmp(t->want.paths[i], path) == 0)
            return; // another branch of a union is wanted already
    }
    if (field != MR_FIELD_COUNT && t->want.count < ENTRIES_MAX && generator_below(&t->g, 3) == 0)
        want_path(t, field, path);
}

// avro-c's value at a path; false where it meets null or a branch that the path does not fit.
static bool find_value(avro_value_t value, const char *path, avro_value_t *found)
{
    while (avro_value_get_type(&value) == AVRO_UNION) {
        avro_value_t branch;
        assert_int_equal(avro_value_get_current_branch(&value, &branch), 0);
        value = branch;
    }
    if (*path == '\0') {
        *found = value;
        return true;
    }
    char name[PATH_BYTES];
    const size_t size = strcspn(path, ".");
    snprintf(name, sizeof name, "%.*s", (int)size, path);
    avro_value_t field;
    if (avro_value_get_type(&value) != AVRO_RECORD ||
        avro_value_get_by_name(&value, name, &field, NULL) != 0)
        return false;
    return find_value(field, path + size + (path[size] == '.'), found);
}

static mr_bytes event_text(const mr_event *event, mr_field field)
{
    switch ((uint32_t)field) {
    case MR_FIELD_user:
        return event->user;
    case MR_FIELD_item:
        return event->item;
    case MR_FIELD_event_id:
        return event->event_id;
    case MR_FIELD_title:
        return event->title;
    case MR_FIELD_query:
        return event->query;
    case MR_FIELD_session:
        return event->session;
    default:
        return event->target;
    }
}

static int64_t event_long(const mr_event *event, mr_field field)
{
    return field == MR_FIELD_time       ? event->time_ms
           : field == MR_FIELD_position ? event->position
                                        : event->list_version;
}

static double event_double(const mr_event *event, mr_field field)
{
    return field == MR_FIELD_value      ? event->value
           : field == MR_FIELD_price    ? event->price
           : field == MR_FIELD_quantity ? event->quantity
                                        : event->propensity;
}

static bool is_text_field(mr_field field)
{
    return field == MR_FIELD_user || field == MR_FIELD_item || field == MR_FIELD_event_id ||
           field == MR_FIELD_title || field == MR_FIELD_query || field == MR_FIELD_target ||
           field == MR_FIELD_session;
}

static bool is_long_field(mr_field field)
{
    return field == MR_FIELD_time || field == MR_FIELD_position || field == MR_FIELD_list_version;
}

// avro-c's value as the text that the event should have. false: no text can be made of it.
static bool text_of(const avro_value_t *value, char *number, mr_bytes *text)
{
    const void *data;
    const char *string;
    size_t size;
    int index;
    int64_t wide = 0;
    int32_t narrow;
    switch (avro_value_get_type(value)) {
    case AVRO_STRING:
        avro_value_get_string(value, &string, &size);
        *text = mr_bytes_of(string, size - 1);
        return true;
    case AVRO_BYTES:
        avro_value_get_bytes(value, &data, &size);
        *text = mr_bytes_of(data, size);
        return true;
    case AVRO_FIXED:
        avro_value_get_fixed(value, &data, &size);
        *text = mr_bytes_of(data, size);
        return size > 0;
    case AVRO_ENUM:
        avro_value_get_enum(value, &index);
        *text = mr_bytes_text(avro_schema_enum_get(avro_value_get_schema(value), index));
        return true;
    case AVRO_BOOLEAN:
        avro_value_get_boolean(value, &index);
        *text = mr_bytes_text(index != 0 ? "true" : "false");
        return true;
    case AVRO_INT32:
        avro_value_get_int(value, &narrow);
        wide = narrow;
        break;
    case AVRO_INT64:
        avro_value_get_long(value, &wide);
        break;
    default:
        return false;
    }
    snprintf(number, 24, "%lld", (long long)wide);
    *text = mr_bytes_text(number);
    return true;
}

static bool number_of(const avro_value_t *value, bool whole, double *real, int64_t *number)
{
    int32_t narrow;
    float small;
    switch (avro_value_get_type(value)) {
    case AVRO_INT32:
        avro_value_get_int(value, &narrow);
        *number = narrow;
        *real = narrow;
        return true;
    case AVRO_INT64:
        avro_value_get_long(value, number);
        *real = (double)*number;
        return true;
    case AVRO_FLOAT:
        avro_value_get_float(value, &small);
        *real = (double)small;
        return !whole;
    case AVRO_DOUBLE:
        avro_value_get_double(value, real);
        return !whole;
    default:
        return false;
    }
}

static void check_entry(const trial *t, avro_value_t record, const mr_mapping_entry *entry)
{
    const mr_event *event = &t->k->event;
    const mr_field field = entry->field;
    const bool present = mr_event_has(event, field);
    avro_value_t value;
    char number[24];
    mr_bytes text;
    int64_t whole = 0;
    double real = 0;
    bool want = find_value(record, entry->path, &value);
    bool same = true;
    if (want && is_text_field(field)) {
        want = text_of(&value, number, &text);
        same = !want || !present || mr_bytes_equal(text, event_text(event, field));
    } else if (want && is_long_field(field)) {
        // A time may also stand in a double: the only field of these that takes one.
        want = number_of(&value, true, &real, &whole);
        same = !want || !present || whole == event_long(event, field);
    } else if (want) {
        want = number_of(&value, false, &real, &whole);
        same = !want || !present || real == event_double(event, field);
    }
    if (want != present || !same)
        fail_msg("seed %llu: '%s' from '%s' differs (%s, %s)\n%s", (unsigned long long)t->seed,
                 mr_field_name(field), entry->path, want ? "there" : "not there",
                 present ? "filled" : "not filled", t->g.text);
}

// From a copy of exactly that size, so that a sanitizer sees a read beyond it.
static mr_status decode_copy(trial *t, const uint8_t *bytes, size_t size)
{
    uint8_t *copy = malloc(size + 1);
    memcpy(copy + 1, bytes, size); // odd alignment on top
    const mr_status status = mr_plan_decode(t->k->plan, copy + 1, size, &t->k->event, &t->k->err);
    if (status == MR_OK && mr_event_has(&t->k->event, MR_FIELD_user))
        (void)mr_bytes_equal(t->k->event.user, t->k->event.user); // touches all of it
    free(copy);
    return status;
}

static void check_damage(trial *t, size_t size)
{
    uint8_t bytes[sizeof t->k->message];
    for (uint32_t i = 0; i < DAMAGES && size > 0; i++) {
        memcpy(bytes, t->k->message, size);
        for (uint32_t hits = 1 + generator_below(&t->g, 3); hits > 0; hits--)
            bytes[generator_below(&t->g, (uint32_t)size)] = (uint8_t)mr_rng_u32(&t->g.rng);
        (void)!decode_copy(t, bytes, size);
    }
}

static void check_record(trial *t)
{
    kit *k = t->k;
    avro_value_t record;
    k->out.size = 0;
    generate_data(&t->g, t->schema, t->schema->root, 0, &k->out);
    if (k->out.full) {
        k->out.full = false;
        return;
    }
    const size_t size = k->out.size;
    avro_reader_t reader = avro_reader_memory((const char *)k->message, (int64_t)size);
    avro_generic_value_new(t->iface, &record);
    if (avro_value_read(reader, &record) != 0)
        fail_msg("seed %llu: avro-c: %s\n%s", (unsigned long long)t->seed, avro_strerror(),
                 t->g.text);
    if (kit_decode(k) != MR_OK)
        fail_msg("seed %llu: %s\n%s", (unsigned long long)t->seed, k->err.text, t->g.text);
    for (uint32_t i = 0; i < t->want.count; i++)
        check_entry(t, record, t->want.entries + i);
    avro_value_decref(&record);
    avro_reader_free(reader);
    for (size_t cut = 0; cut < size; cut += 1 + size / 64)
        assert_int_equal(decode_copy(t, k->message, cut), MR_REJECT);
    mr_put_byte(&k->out, 0);
    assert_int_equal(decode_copy(t, k->message, size + 1), MR_REJECT);
    assert_int_equal(k->err.cause, MR_CAUSE_trailing_bytes);
    check_damage(t, size);
}

static void run_seed(uint64_t seed)
{
    trial *t = calloc(1, sizeof *t);
    t->seed = seed;
    t->g = generator_make(seed);
    t->k = kit_new();
    generate_schema(&t->g);
    if (mr_schema_open(t->g.text, t->g.size, &t->schema, &t->k->err) != MR_OK)
        fail_msg("seed %llu: %s\n%s", (unsigned long long)seed, t->k->err.text, t->g.text);
    if (avro_schema_from_json_length(t->g.text, t->g.size, &t->avro) != 0)
        fail_msg("seed %llu: avro-c: %s\n%s", (unsigned long long)seed, avro_strerror(), t->g.text);
    t->iface = avro_generic_class_from_schema(t->avro);
    choose(t, t->schema->root, "", 0);
    t->mapping = (mr_mapping){MR_EVENT_SEARCH, t->want.entries, t->want.count, UINT32_MAX};
    kit_plan(t->k, t->g.text, t->mapping);
    for (uint32_t i = 0; i < RECORDS; i++)
        check_record(t);
    avro_value_iface_decref(t->iface);
    avro_schema_decref(t->avro);
    mr_schema_close(t->schema);
    kit_free(t->k);
    free(t);
}

static void the_plan_reads_what_avro_c_reads(void **state)
{
    (void)state;
    const char *one = getenv("MILLRACE_SEED");
    if (one != NULL) {
        run_seed(strtoull(one, NULL, 10));
        return;
    }
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        run_seed(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_plan_reads_what_avro_c_reads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
