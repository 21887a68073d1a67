// SPDX-License-Identifier: Apache-2.0
// Fuzzes the decoding of records: a schema of a fixed list, any bytes.
//
// Input: a byte that picks the schema, then the record.
// Invariants: nothing outside of the record is read (sanitizer); a taken record gives texts that
// stand in the record, the scratch or the plan, counts within their limits, and the same event when
// it is decoded once more; a refused one gives a cause and a text.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/builtin.h"
#include "schemas/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// Everything that our own schemas have not: recursion, unions of many, arrays of nothing, odd
// types.
static const char odd[] =
    "{\"type\":\"record\",\"name\":\"Odd\",\"fields\":["
    "{\"name\":\"tree\",\"type\":[\"null\",{\"type\":\"record\",\"name\":\"Tree\",\"fields\":["
    "{\"name\":\"left\",\"type\":[\"null\",\"Tree\"]},{\"name\":\"more\",\"type\":{\"type\":"
    "\"array\","
    "\"items\":\"Tree\"}}]}]},"
    "{\"name\":\"nothing\",\"type\":{\"type\":\"array\",\"items\":\"null\"}},"
    "{\"name\":\"pairs\",\"type\":{\"type\":\"map\",\"values\":[\"null\",\"Tree\",\"long\","
    "\"string\"]}},"
    "{\"name\":\"user\",\"type\":[\"long\",\"null\",\"string\",\"Tree\"]},"
    "{\"name\":\"item\",\"type\":{\"type\":\"fixed\",\"name\":\"U\",\"size\":16,\"logicalType\":"
    "\"uuid\"}},"
    "{\"name\":\"kind\",\"type\":{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\",\"B\"]}},"
    "{\"name\":\"context\",\"type\":{\"type\":\"map\",\"values\":[\"null\",\"int\",\"boolean\"]}},"
    "{\"name\":\"price\",\"type\":{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":9,"
    "\"scale\":2}},"
    "{\"name\":\"time\",\"type\":{\"type\":\"long\",\"logicalType\":\"timestamp-nanos\"}},"
    "{\"name\":\"numbers\",\"type\":{\"type\":\"array\",\"items\":\"int\"}},"
    "{\"name\":\"texts\",\"type\":{\"type\":\"map\",\"values\":\"bytes\"}},"
    "{\"name\":\"floats\",\"type\":{\"type\":\"array\",\"items\":\"float\"}},"
    "{\"name\":\"categories\",\"type\":[\"string\",{\"type\":\"array\",\"items\":[\"long\","
    "\"string\"]}]}]}";

static const mr_mapping_entry odd_entries[] = {
    {.field = MR_FIELD_action, .path = "kind"},
    {.field = MR_FIELD_session, .path = "user"},
    {.field = MR_FIELD_categories, .path = "categories"},
    {.field = MR_FIELD_price, .path = "price"},
};

enum { PLANS = MR_EVENT_KIND_COUNT + 1, SCRATCH_BYTES = 1 << 16 };

typedef struct bench { // made once; a fuzzer's process lives for one target
    mr_plan *plans[PLANS];
    mr_line lines[MR_LINES_MAX];
    float vector[MR_VECTOR_MAX];
    uint8_t scratch[SCRATCH_BYTES];
} bench;

static void demand(bool truth, const char *what)
{
    if (!truth) {
        fprintf(stderr, "fuzz_plan: %s\n", what);
        abort();
    }
}

static void make_plan(bench *b, uint32_t index)
{
    mr_mapping mapping = {.kind = (mr_event_kind)index, .given = UINT32_MAX};
    const char *text = odd;
    mr_error err;
    if (index == MR_EVENT_KIND_COUNT) {
        mapping.kind = MR_EVENT_CLICK;
        mapping.entries = odd_entries;
        mapping.entry_count = sizeof odd_entries / sizeof *odd_entries;
    } else {
        text = mr_builtin_of_event(mapping.kind)->text;
    }
    demand(mr_plan_compile(text, strlen(text), &mapping, &b->plans[index], &err) == MR_OK,
           err.text);
    demand(mr_plan_scratch_bytes(b->plans[index]) <= SCRATCH_BYTES, "scratch");
}

static void check_text(const bench *b, const uint8_t *data, size_t size, mr_bytes text)
{
    const bool in_record = text.data >= data && text.data + text.size <= data + size;
    const bool in_scratch =
        text.data >= b->scratch && text.data + text.size <= b->scratch + SCRATCH_BYTES;
    demand(in_record || in_scratch || memchr("AB", text.data[0], 2) != NULL, "text is elsewhere");
}

static void check_event(const bench *b, const uint8_t *data, size_t size, const mr_event *event)
{
    demand(event->line_count <= MR_LINES_MAX && event->vector_count <= MR_VECTOR_MAX &&
               event->context_count <= MR_PAIRS_MAX && event->category_count <= MR_CATEGORIES_MAX,
           "a count is beyond its limit");
    if (mr_event_has(event, MR_FIELD_user))
        check_text(b, data, size, event->user);
    if (mr_event_has(event, MR_FIELD_item))
        check_text(b, data, size, event->item);
    if (mr_event_has(event, MR_FIELD_action) && event->action.size > 0)
        check_text(b, data, size, event->action);
    for (uint32_t i = 0; i < event->line_count; i++)
        check_text(b, data, size, event->lines[i].item);
    for (uint32_t i = 0; i < event->context_count; i++)
        check_text(b, data, size, event->context[i].name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bench *b;
    if (b == NULL) {
        b = calloc(1, sizeof *b);
        for (uint32_t i = 0; i < PLANS; i++)
            make_plan(b, i);
    }
    if (size == 0)
        return 0;
    const mr_plan *plan = b->plans[data[0] % PLANS];
    mr_event event = {.lines = b->lines, .vector = b->vector, .scratch = b->scratch};
    mr_error err = {.cause = MR_CAUSE_NONE};
    const mr_status status = mr_plan_decode(plan, data + 1, size - 1, &event, &err);
    if (status == MR_OK) {
        check_event(b, data + 1, size - 1, &event);
        mr_event again = {.lines = b->lines, .vector = b->vector, .scratch = b->scratch};
        size_t used;
        demand(mr_plan_decode_next(plan, data + 1, size - 1, &used, &again, &err) == MR_OK &&
                   used == size - 1 && again.present == event.present,
               "the second decoding differs");
    } else {
        demand(status == MR_REJECT && err.cause != MR_CAUSE_NONE && err.text[0] != '\0',
               "a refusal without a cause");
    }
    return 0;
}
