// SPDX-License-Identifier: Apache-2.0
// Fuzzes schema texts: any JSON, and any record of it.
//
// Input: the schema's text, then, after a NUL, a record.
// Invariants: a schema is read or refused with a text; its canonical form is a schema again with
// the same form; a plan compiled from it decodes or refuses the record and reads nothing beside it.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/canonical.h"
#include "schemas/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CANONICAL_BYTES = 1 << 20 };

static void demand(bool truth, const char *what)
{
    if (!truth) {
        fprintf(stderr, "fuzz_schema: %s\n", what);
        abort();
    }
}

static void check_canonical(const mr_schema *schema)
{
    mr_error err;
    mr_schema *again;
    char *text = malloc(CANONICAL_BYTES);
    const size_t size = mr_canonical_text(schema, text, CANONICAL_BYTES);
    if (size < CANONICAL_BYTES) {
        demand(mr_fingerprint_bytes(text, size) == mr_fingerprint(schema),
               "fingerprint of the text");
        const mr_status status = mr_schema_open(text, size, &again, &err);
        demand(status == MR_OK, "the canonical form is refused");
        demand(mr_fingerprint(again) == mr_fingerprint(schema), "the canonical form has another");
        mr_schema_close(again);
    }
    free(text);
}

static void check_plan(const mr_schema *schema, const mr_mapping *mapping, const uint8_t *record,
                       size_t size)
{
    mr_error err = {.cause = MR_CAUSE_NONE};
    mr_plan *plan;
    mr_event event = {.present = 0};
    const mr_status status = mr_plan_compile_schema(schema, mapping, &plan, &err);
    if (status != MR_OK) {
        demand(status == MR_REJECT && err.text[0] != '\0', "a refusal without a text");
        return;
    }
    event.lines = malloc(MR_LINES_MAX * sizeof *event.lines);
    event.vector = malloc(MR_VECTOR_MAX * sizeof *event.vector);
    event.scratch = malloc(mr_plan_scratch_bytes(plan) + 1);
    demand(mr_plan_decode(plan, record, size, &event, &err) == MR_OK || err.text[0] != '\0',
           "a refused record without a text");
    free(event.lines);
    free(event.vector);
    free(event.scratch);
    mr_plan_close(plan);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const mr_mapping_entry entries[] = {
        {.field = MR_FIELD_user, .path = "a.b"},     {.field = MR_FIELD_session, .path = "a.b.c"},
        {.field = MR_FIELD_price, .path = "a"},      {.field = MR_FIELD_context, .path = "c"},
        {.field = MR_FIELD_categories, .path = "d"}, {.field = MR_FIELD_title, .path = "a.b"},
    };
    static const mr_mapping mappings[] = {
        {.kind = MR_EVENT_CLICK, .given = UINT32_MAX},
        {.kind = MR_EVENT_PURCHASE, .given = UINT32_MAX},
        {.kind = MR_EVENT_CATALOGUE, .given = UINT32_MAX},
        {.kind = MR_EVENT_SEARCH, .given = UINT32_MAX, .entries = entries, .entry_count = 6},
    };
    const uint8_t *end = size > 0 ? memchr(data, 0, size) : NULL;
    const size_t text_size = end != NULL ? (size_t)(end - data) : size;
    const uint8_t *record = data + text_size + (end != NULL);
    const size_t record_size = size - text_size - (end != NULL);
    mr_schema *schema;
    mr_error err = {.cause = MR_CAUSE_NONE};
    if (mr_schema_open((const char *)data, text_size, &schema, &err) != MR_OK) {
        demand(err.status == MR_REJECT && err.text[0] != '\0', "a refusal without a text");
        return 0;
    }
    check_canonical(schema);
    for (size_t i = 0; i < sizeof mappings / sizeof *mappings; i++)
        check_plan(schema, mappings + i, record, record_size);
    mr_schema_close(schema);
    return 0;
}
