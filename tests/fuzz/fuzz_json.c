// SPDX-License-Identifier: Apache-2.0
// Fuzzes the decoding of JSON records and of what a mapping selects: a mapping of a fixed list, any
// bytes.
//
// Input: a byte that picks the mapping, then the record.
// Invariants: nothing outside of the record is read (sanitizer); every event of a taken record has
// texts that stand in the record, the scratch, the outside values or the plan, and counts within
// their limits; the same bytes give the same number of events once more; a refused one gives a
// cause and a text. What jansson finds to be no JSON is refused.
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const mr_mapping_entry paths[] = {
    {.field = MR_FIELD_user, .path = "a.b"},
    {.field = MR_FIELD_item, .path = "a.c"},
    {.field = MR_FIELD_time, .path = "t", .unit = MR_TIME_SECONDS},
    {.field = MR_FIELD_context, .path = "a"},
    {.field = MR_FIELD_session, .path = "s", .values = "x\0y\0*\0skip", .value_count = 2},
};
static const mr_mapping_entry each[] = {
    {.role = MR_ROLE_EACH, .field = MR_FIELD_COUNT, .path = "e"},
    {.role = MR_ROLE_KIND,
     .field = MR_FIELD_COUNT,
     .path = "e.k",
     .values = "c\0click\0p\0purchase\0r\0reject",
     .value_count = 3},
    {.role = MR_ROLE_WHERE,
     .field = MR_FIELD_COUNT,
     .path = "w",
     .values = "no",
     .value_count = 1,
     .negated = true},
    {.field = MR_FIELD_item, .path = "e.i"},
    {.field = MR_FIELD_event_id, .path = "id"},
    {.field = MR_FIELD_user, .from = MR_FROM_KEY, .path = "<key>"},
};
static const mr_mapping_entry root[] = {
    {.role = MR_ROLE_EACH, .field = MR_FIELD_COUNT, .path = ""},
};
static const mr_mapping mappings[] = {
    {.kind = MR_EVENT_CLICK, .given = UINT32_MAX},
    {.kind = MR_EVENT_PURCHASE, .given = UINT32_MAX},
    {.kind = MR_EVENT_CATALOGUE, .given = UINT32_MAX},
    {.kind = MR_EVENT_CLICK, .entries = paths, .entry_count = 5, .given = UINT32_MAX},
    {.kind = MR_EVENT_KIND_COUNT, .entries = each, .entry_count = 6, .given = UINT32_MAX},
    {.kind = MR_EVENT_CLICK, .entries = root, .entry_count = 1, .given = UINT32_MAX},
};
enum { PLANS = sizeof mappings / sizeof *mappings, SCRATCH_BYTES = 1 << 16, EVENTS_MAX = 300 };

typedef struct bench { // made once; a fuzzer's process lives for one target
    mr_plan *plans[PLANS];
    mr_line lines[MR_LINES_MAX];
    float vector[MR_VECTOR_MAX];
    uint8_t scratch[2][SCRATCH_BYTES];
} bench;

static void demand(bool truth, const char *what)
{
    if (!truth) {
        fprintf(stderr, "fuzz_json: %s\n", what);
        abort();
    }
}

static void touch(mr_bytes text)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < text.size; i++) // every byte can be read
        sum += text.data[i];
    demand(sum <= UINT64_C(255) * text.size, "bytes that change");
}

static void check_event(const mr_event *event)
{
    demand(event->kind < MR_EVENT_KIND_COUNT, "no kind");
    demand(event->line_count <= MR_LINES_MAX && event->vector_count <= MR_VECTOR_MAX &&
               event->context_count <= MR_PAIRS_MAX && event->category_count <= MR_CATEGORIES_MAX,
           "a count is beyond its limit");
    if (mr_event_has(event, MR_FIELD_user))
        touch(event->user);
    if (mr_event_has(event, MR_FIELD_item))
        touch(event->item);
    if (mr_event_has(event, MR_FIELD_event_id))
        touch(event->event_id);
    if (mr_event_has(event, MR_FIELD_session))
        touch(event->session);
    for (uint32_t i = 0; i < event->line_count; i++)
        touch(event->lines[i].item);
    for (uint32_t i = 0; i < event->context_count; i++) {
        touch(event->context[i].name);
        touch(event->context[i].value);
    }
    for (uint32_t i = 0; i < event->category_count; i++)
        touch(event->categories[i]);
}

// Reads all events; returns how many, -1: the record was refused.
static int read_all(bench *b, const mr_plan *plan, const uint8_t *data, size_t size)
{
    const mr_bytes outside[1] = {mr_bytes_text("key")};
    mr_event event = {.lines = b->lines, .vector = b->vector, .scratch = b->scratch[0]};
    mr_error err = {.cause = MR_CAUSE_NONE};
    mr_plan_walk walk;
    int count = 0;
    mr_status status = mr_plan_begin(plan, data, size, outside, NULL, &event, &walk, &err);
    for (bool more = true; status == MR_OK && count < EVENTS_MAX; count++) {
        if (mr_plan_item_scratch_bytes(plan) > 0)
            event.scratch = b->scratch[1];
        status = mr_plan_next(&walk, &event, &more, &err);
        if (status == MR_OK && !more)
            return count;
        if (status == MR_OK)
            check_event(&event);
    }
    demand(status == MR_OK ||
               (status == MR_REJECT && err.cause != MR_CAUSE_NONE && err.text[0] != '\0'),
           "a refusal without a cause");
    return status == MR_OK ? count : -1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bench *b;
    mr_error err;
    if (b == NULL) {
        b = calloc(1, sizeof *b);
        for (uint32_t i = 0; i < PLANS; i++) {
            demand(mr_plan_compile_json(&mappings[i], &b->plans[i], &err) == MR_OK, err.text);
            demand(mr_plan_scratch_bytes(b->plans[i]) <= SCRATCH_BYTES &&
                       mr_plan_item_scratch_bytes(b->plans[i]) <= SCRATCH_BYTES,
                   "scratch");
        }
    }
    if (size == 0)
        return 0;
    const mr_plan *plan = b->plans[data[0] % PLANS];
    const int count = read_all(b, plan, data + 1, size - 1);
    demand(count == read_all(b, plan, data + 1, size - 1), "the second reading differs");
    if (count >= 0) {
        // jansson also refuses integers beyond 64 bits, numbers beyond doubles and names with a
        // NUL.
        json_error_t fault;
        json_t *tree = json_loadb((const char *)data + 1, size - 1,
                                  JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &fault);
        demand(tree != NULL || json_error_code(&fault) == json_error_numeric_overflow ||
                   json_error_code(&fault) == json_error_null_byte_in_key,
               "taken, but no JSON");
        json_decref(tree);
    }
    return 0;
}
