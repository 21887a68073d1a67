// SPDX-License-Identifier: Apache-2.0
// Decoding of a click into an event by its plan, against avro-c's generic reader into a reused
// value, and of JSON against jansson's tree: what a program would do that takes either as the
// library offers it. CPU time; the records are some megabytes, so that both read memory as they
// would from a consumer's buffers.
#include <avro.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/builtin.h"
#include "schemas/encode.h"
#include "schemas/plan.h"
#include "worker/bench/bench.h"
#include "worker/bench/measure.h"

enum { RECORDS = 20000, RECORD_BYTES_MAX = 1024, RUNS = 9, REPEATS = 10 };

// Ten fields as a shop might have them: an enum, unions of each kind, a map, and other names than
// ours.
static const char foreign[] =
    "{\"type\":\"record\",\"name\":\"Click\",\"fields\":["
    "{\"name\":\"event_id\",\"type\":\"string\"},{\"name\":\"user_id\",\"type\":\"string\"},"
    "{\"name\":\"item_id\",\"type\":\"string\"},{\"name\":\"ts\",\"type\":\"long\"},"
    "{\"name\":\"kind\",\"type\":{\"type\":\"enum\",\"name\":\"Kind\",\"symbols\":[\"CLICK\","
    "\"VIEW\","
    "\"CART\",\"BUY\"]}},{\"name\":\"price\",\"type\":[\"null\",\"double\"]},"
    "{\"name\":\"slate\",\"type\":[\"null\",\"string\"]},{\"name\":\"position\",\"type\":\"int\"},"
    "{\"name\":\"propensity\",\"type\":[\"null\",\"float\"]},"
    "{\"name\":\"context\",\"type\":{\"type\":\"map\",\"values\":\"string\"}}]}";
static const mr_mapping_entry all_ten[] = {
    {.field = MR_FIELD_action, .path = "kind"},
    {.field = MR_FIELD_price, .path = "price"},
    {.field = MR_FIELD_list, .path = "slate"},
};

// Forty fields of a wide table, six of them used: one says the kind, so that it is a mapping with a
// selector.
static const mr_mapping_entry six_of_forty[] = {
    {.role = MR_ROLE_KIND,
     .field = MR_FIELD_COUNT,
     .path = "f10_action",
     .values = "view\0click\0add\0cart\0buy\0purchase",
     .value_count = 3},
    {.field = MR_FIELD_user, .path = "f4_visitor"},
    {.field = MR_FIELD_item, .path = "f16_sku"},
    {.field = MR_FIELD_time, .path = "f2_collected", .unit = MR_TIME_MICROS},
    {.field = MR_FIELD_session, .path = "f22_visit"},
    {.field = MR_FIELD_price, .path = "f34_amount"},
};
enum { WIDE = 40, WIDE_JSON_MAX = 8192 };

static const char *wide_name(uint32_t i, char room[16])
{
    static const char *const used[WIDE] = {
        [2] = "f2_collected", [4] = "f4_visitor", [10] = "f10_action",
        [16] = "f16_sku",     [22] = "f22_visit", [34] = "f34_amount"};
    snprintf(room, 16, "f%u", i);
    return used[i] != NULL ? used[i] : room;
}

// Nullable strings mostly, as such tables have them; some are null.
static const char *wide_type(uint32_t i)
{
    switch (i % 6) {
    case 1:
        return "[\"null\",\"long\"]";
    case 2:
        return i == 2 ? "\"long\"" : "\"int\"";
    case 5:
        return "[\"null\",\"double\"]";
    default:
        return i == 34 ? "\"double\"" : "[\"null\",\"string\"]";
    }
}

static void wide_schema(char text[WIDE_JSON_MAX])
{
    char room[16];
    size_t size = (size_t)snprintf(text, WIDE_JSON_MAX,
                                   "{\"type\":\"record\",\"name\":\"Wide\",\"fields\":[");
    for (uint32_t i = 0; i < WIDE; i++)
        size +=
            (size_t)snprintf(text + size, WIDE_JSON_MAX - size, "%s{\"name\":\"%s\",\"type\":%s}",
                             i > 0 ? "," : "", wide_name(i, room), wide_type(i));
    snprintf(text + size, WIDE_JSON_MAX - size, "]}");
}

typedef struct stage { // one schema, its records, and both readers
    uint8_t *bytes;
    uint32_t *ends; // of each record in bytes
    mr_plan *plan;
    avro_schema_t schema;
    avro_value_iface_t *iface;
    avro_value_t value;
    avro_reader_t reader;
    uint8_t *scratch;
    mr_line lines[1]; // of purchases without lines
} stage;

static double cpu_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void put_context(mr_writer *out)
{
    mr_put_long(out, 3);
    mr_put_text(out, "device");
    mr_put_text(out, "mobile");
    mr_put_text(out, "country");
    mr_put_text(out, "de");
    mr_put_text(out, "page");
    mr_put_text(out, "home");
    mr_put_long(out, 0);
}

static void put_foreign(mr_writer *out, uint32_t i, uint64_t *noise)
{
    char text[32];
    const uint64_t random = mr_noise(noise);
    snprintf(text, sizeof text, "e%015llu", (unsigned long long)(random >> 16));
    mr_put_text(out, text);
    snprintf(text, sizeof text, "u%u", (unsigned)(random % 100000));
    mr_put_text(out, text);
    snprintf(text, sizeof text, "i%u", (unsigned)((random >> 20) % 50000));
    mr_put_text(out, text);
    mr_put_long(out, 1700000000000 + i);
    mr_put_long(out, (int64_t)(random >> 40 & 3));
    mr_put_long(out, i & 1);
    if ((i & 1) != 0)
        mr_put_double(out, 9.99);
    mr_put_long(out, 1);
    snprintf(text, sizeof text, "s%u", (unsigned)(random >> 44));
    mr_put_text(out, text);
    mr_put_long(out, i % 10);
    mr_put_long(out, 1);
    mr_put_float(out, 0.1f);
    put_context(out);
}

static void put_wide(mr_writer *out, uint32_t i, uint64_t *noise)
{
    static const char *const actions[] = {"view", "view", "add", "buy"};
    char text[48];
    const uint64_t random = mr_noise(noise);
    for (uint32_t f = 0; f < WIDE; f++) {
        const bool used = f == 4 || f == 10 || f == 16 || f == 22, null = !used && (f + i) % 3 == 0;
        if (f == 2) {
            mr_put_long(out, (1700000000000 + (int64_t)i) * 1000);
        } else if (f == 34) {
            mr_put_double(out, 9.99);
        } else if (f % 6 == 2) {
            mr_put_long(out, (int64_t)(random >> 50));
        } else if (null) {
            mr_put_long(out, 0);
        } else {
            mr_put_long(out, 1);
            snprintf(text, sizeof text, "%s%u", f == 4 ? "u" : "some text of f",
                     (unsigned)((random >> f) % 50000));
            if (f % 6 == 1)
                mr_put_long(out, (int64_t)(random >> 30));
            else if (f % 6 == 5)
                mr_put_double(out, 0.5);
            else
                mr_put_text(out, f == 10 ? actions[random & 3] : text);
        }
    }
}

static void put_json(mr_writer *out, uint32_t i, uint64_t *noise)
{
    char text[RECORD_BYTES_MAX];
    const uint64_t random = mr_noise(noise);
    const int size = snprintf(
        text, sizeof text,
        "{\"event_id\":\"e%015llu\",\"user_id\":\"u%u\",\"item_id\":\"i%u\",\"ts\":%lld,"
        "\"kind\":\"VIEW\",\"price\":%s,\"slate\":\"s%u\",\"position\":%u,\"propensity\":0.1,"
        "\"context\":{\"device\":\"mobile\",\"country\":\"de\",\"page\":\"home\"}}",
        (unsigned long long)(random >> 16), (unsigned)(random % 100000),
        (unsigned)((random >> 20) % 50000), 1700000000000LL + i, (i & 1) != 0 ? "9.99" : "null",
        (unsigned)(random >> 44), i % 10);
    mr_put_raw(out, text, (size_t)size);
}

static void put_own(mr_writer *out, uint32_t i, uint64_t *noise)
{
    char id[32], user[32], item[32];
    const uint64_t random = mr_noise(noise);
    snprintf(id, sizeof id, "e%015llu", (unsigned long long)(random >> 16));
    snprintf(user, sizeof user, "u%u", (unsigned)(random % 100000));
    snprintf(item, sizeof item, "i%u", (unsigned)((random >> 20) % 50000));
    const mr_event event = {
        .kind = MR_EVENT_CLICK,
        .present = 1u << MR_FIELD_event_id | 1u << MR_FIELD_user | 1u << MR_FIELD_item |
                   1u << MR_FIELD_time | 1u << MR_FIELD_session | 1u << MR_FIELD_position |
                   1u << MR_FIELD_context | (i & 1) << MR_FIELD_propensity,
        .event_id = mr_bytes_text(id),
        .user = mr_bytes_text(user),
        .item = mr_bytes_text(item),
        .session = mr_bytes_text("session-1234"),
        .time_ms = 1700000000000 + i,
        .position = i % 10,
        .propensity = 0.1,
        .context = {{mr_bytes_text("device"), mr_bytes_text("mobile")}},
        .context_count = 1,
    };
    mr_encode_event(out, &event);
}

static void drop(stage *s)
{
    if (s->iface != NULL) {
        avro_value_decref(&s->value);
        avro_value_iface_decref(s->iface);
    }
    if (s->schema != NULL)
        avro_schema_decref(s->schema);
    if (s->reader != NULL)
        avro_reader_free(s->reader);
    mr_plan_close(s->plan);
    free(s->scratch);
    free(s->bytes);
    free(s->ends);
}

static mr_status make(stage *s, const char *schema, const mr_mapping *mapping,
                      void (*put)(mr_writer *out, uint32_t i, uint64_t *noise), mr_error *err)
{
    uint64_t noise = 1;
    *s = (stage){.bytes = malloc((size_t)RECORDS * RECORD_BYTES_MAX),
                 .ends = malloc(RECORDS * sizeof *s->ends)};
    if (s->bytes == NULL || s->ends == NULL)
        return mr_fail(err, MR_FATAL, "bench decode: out of memory");
    mr_writer out = mr_writer_make(s->bytes, (size_t)RECORDS * RECORD_BYTES_MAX);
    for (uint32_t i = 0; i < RECORDS; i++) {
        put(&out, i, &noise);
        s->ends[i] = (uint32_t)out.size;
    }
    MR_ASSERT(!out.full);
    MR_TRY(schema == NULL ? mr_plan_compile_json(mapping, &s->plan, err)
                          : mr_plan_compile(schema, strlen(schema), mapping, &s->plan, err));
    s->scratch = malloc(mr_plan_scratch_bytes(s->plan) + 1);
    if (s->scratch == NULL)
        return mr_fail(err, MR_FATAL, "bench decode: out of memory");
    if (schema == NULL)
        return MR_OK;
    if (avro_schema_from_json_length(schema, strlen(schema), &s->schema) == 0)
        s->iface = avro_generic_class_from_schema(s->schema);
    if (s->iface == NULL || avro_generic_value_new(s->iface, &s->value) != 0)
        return mr_fail(err, MR_FATAL, "bench decode: avro-c: %s", avro_strerror());
    s->reader = avro_reader_memory((const char *)s->bytes, 1);
    return s->reader != NULL ? MR_OK : mr_fail(err, MR_FATAL, "bench decode: out of memory");
}

static mr_status decode(const stage *s, uint32_t at, uint32_t end, mr_event *event, mr_error *err)
{
    mr_plan_walk walk;
    bool more;
    if (mr_plan_is_plain(s->plan))
        return mr_plan_decode(s->plan, s->bytes + at, end - at, event, err);
    MR_TRY(mr_plan_begin(s->plan, s->bytes + at, end - at, NULL, NULL, event, &walk, err));
    return mr_plan_next(&walk, event, &more, err);
}

// Seconds for all records, by the plan.
static mr_status run_plan(stage *s, double *seconds, mr_error *err)
{
    static uint64_t sink; // so that nothing is left out
    mr_event event = {.lines = s->lines, .scratch = s->scratch};
    const double start = cpu_seconds();
    for (uint32_t repeat = 0; repeat < REPEATS; repeat++) {
        for (uint32_t i = 0, at = 0; i < RECORDS; at = s->ends[i++]) {
            MR_TRY(decode(s, at, s->ends[i], &event, err));
            sink += (uint64_t)event.time_ms + event.context_count;
        }
    }
    *seconds = (cpu_seconds() - start) / REPEATS;
    return MR_OK;
}

static mr_status run_avro_c(stage *s, double *seconds, mr_error *err)
{
    const double start = cpu_seconds();
    for (uint32_t i = 0, at = 0; i < RECORDS; at = s->ends[i++]) {
        avro_reader_memory_set_source(s->reader, (const char *)s->bytes + at, s->ends[i] - at);
        avro_value_reset(&s->value);
        if (avro_value_read(s->reader, &s->value) != 0)
            return mr_fail(err, MR_FATAL, "bench decode: avro-c: %s", avro_strerror());
    }
    *seconds = cpu_seconds() - start;
    return MR_OK;
}

static mr_status run_jansson(stage *s, double *seconds, mr_error *err)
{
    const double start = cpu_seconds();
    for (uint32_t i = 0, at = 0; i < RECORDS; at = s->ends[i++]) {
        json_t *tree = json_loadb((const char *)s->bytes + at, s->ends[i] - at, 0, NULL);
        if (tree == NULL)
            return mr_fail(err, MR_FATAL, "bench decode: jansson refuses a record");
        json_decref(tree);
    }
    *seconds = cpu_seconds() - start;
    return MR_OK;
}

static mr_status measure(stage *s, const char *name, mr_figure *figure, mr_error *err)
{
    mr_runs runs = {0};
    for (uint32_t run = 0; run < RUNS; run++) {
        double reference = 0, ours = 0;
        MR_TRY(s->schema != NULL ? run_avro_c(s, &reference, err)
                                 : run_jansson(s, &reference, err));
        MR_TRY(run_plan(s, &ours, err));
        mr_runs_add(&runs, ours, reference);
    }
    *figure = (mr_figure){
        .name = name,
        .value = RECORDS / mr_median(runs.ours, runs.count),
        .unit = "records/s",
        .reference = s->schema != NULL ? "avro-c's generic reader" : "jansson's tree",
        .reference_value = RECORDS / mr_median(runs.reference, runs.count),
        .ratio = mr_median(runs.ratio, runs.count),
    };
    return MR_OK;
}

mr_status mr_bench_decode(mr_figure *figures, uint32_t *count, mr_error *err)
{
    const mr_mapping all = {.kind = MR_EVENT_CLICK, .entries = all_ten, .entry_count = 3};
    const mr_mapping own = {.kind = MR_EVENT_CLICK};
    const mr_mapping six = {.kind = MR_EVENT_KIND_COUNT, .entries = six_of_forty, .entry_count = 6};
    char wide[WIDE_JSON_MAX];
    wide_schema(wide);
    const struct {
        const char *name, *schema;
        const mr_mapping *mapping;
        void (*put)(mr_writer *out, uint32_t i, uint64_t *noise);
    } stages[] = {
        {"decode_click_ten_fields", foreign, &all, put_foreign},
        {"decode_click_own_schema", mr_builtin_find("click")->text, &own, put_own},
        {"decode_six_of_forty_fields", wide, &six, put_wide},
        {"decode_click_json", NULL, &all, put_json},
    };
    const uint32_t room = *count;
    *count = 0;
    for (uint32_t i = 0; i < sizeof stages / sizeof *stages && *count < room; i++) {
        stage s;
        mr_status status = make(&s, stages[i].schema, stages[i].mapping, stages[i].put, err);
        if (status == MR_OK)
            status = measure(&s, stages[i].name, &figures[*count], err);
        drop(&s);
        if (status != MR_OK)
            return status;
        ++*count;
    }
    return MR_OK;
}
