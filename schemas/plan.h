// SPDX-License-Identifier: Apache-2.0
// plan: a writer's schema and a mapping, compiled to a program that turns a record into an event.
//
// The program walks the record's bytes once, in the writer's order. What is mapped goes into the
// event, texts as borrowed bytes of the message; what is not mapped is passed over with as few
// steps as its encoding allows, and is not judged: an enum index, a boolean or a string that nobody
// reads may be anything. Reader and writer schema are matched when the plan is compiled, never by
// record.
#ifndef MR_SCHEMAS_PLAN_H
#define MR_SCHEMAS_PLAN_H

#include "core/base/error.h"
#include "core/event/event.h"
#include "schemas/mapping.h"
#include "schemas/schema.h"

enum {
    MR_PLAN_DEPTH_MAX = 32, // arrays, maps and recursive records that are open at once
    MR_PLAN_OPS_MAX = 65536,
};

typedef struct mr_plan mr_plan;

// Compiles a plan from `schema_bytes` of a writer schema's JSON. The caller owns *plan.
// Errors: MR_REJECT unsuitable_schema: the schema is not Avro, a mapped path is missing or has a
// type that the field cannot take, or a field that the event cannot do without is not there; the
// text names the fields that there are.
MR_CHECKED mr_status mr_plan_compile(const char *schema_json, size_t schema_bytes,
                                     const mr_mapping *mapping, mr_plan **plan, mr_error *err);

// The same from a schema that was read before; it is borrowed for the call only.
MR_CHECKED mr_status mr_plan_compile_schema(const mr_schema *schema, const mr_mapping *mapping,
                                            mr_plan **plan, mr_error *err);

// A plan of JSON objects, which have no schema. What a path leads to is judged in each record: a
// value of the wrong type where an entry of the mapping asked for it refuses the record, one that
// only has a name of ours is left alone. Errors: MR_FATAL: the mapping does not fit itself.
MR_CHECKED mr_status mr_plan_compile_json(const mr_mapping *mapping, mr_plan **plan, mr_error *err);

void mr_plan_close(mr_plan *plan);

// How many bytes event->scratch needs: texts that are made from numbers or UUIDs stand there.
// 0 for a plan whose texts are texts. The second: for each event of a plan with `each`.
uint32_t mr_plan_scratch_bytes(const mr_plan *plan);
uint32_t mr_plan_item_scratch_bytes(const mr_plan *plan);

// Where a field comes from: the path in the writer's schema, "= value" of a constant, or NULL.
const char *mr_plan_source(const mr_plan *plan, mr_field field);

// The events of one record, one after the other. The plan's own, but for the caller to hold.
typedef struct mr_plan_walk {
    const mr_plan *plan;
    const mr_bytes *outside;
    const uint8_t *bytes, *at, *end; // of the record; of `each`, its next block or item
    uint64_t left;                   // items in its block
    uint32_t index;                  // of the next item
    bool ended;
    mr_bytes selected[MR_SELECTORS_MAX];
    mr_event record; // what all of its events have
} mr_plan_walk;

// Reads a record of byte_count bytes, of which *used are its own (NULL: all have to be). Reads no
// further, whatever the bytes are, and does not allocate. `outside` holds the values of the
// mapping's entries that come from key and headers, in their order; data NULL: the message has
// none. Bytes, outside and what `event` points to have to outlive the events. Before the call the
// caller sets event->lines (MR_LINES_MAX), event->vector (MR_VECTOR_MAX) and event->scratch
// (mr_plan_scratch_bytes); only plans that fill them need them. *event goes unchanged to the first
// mr_plan_next. Errors: MR_REJECT with field path and byte offset in err.
MR_CHECKED mr_status mr_plan_begin(const mr_plan *plan, const uint8_t *bytes, size_t byte_count,
                                   const mr_bytes *outside, size_t *used, mr_event *event,
                                   mr_plan_walk *walk, mr_error *err);

// The next event: kind, present and the counts are set, and of the values those that are present.
// Texts stand in the message, in the scratch or (symbols, constants) in the plan, and live as long
// as these. *more false: there is none. Only a plan with `each` has several, and only one that
// selects may have none. With `each` the caller sets event->scratch (mr_plan_item_scratch_bytes)
// before every call, and an id that the record gives to all of its events ends in "/" and the
// item's index, so that each event has its own. Errors: MR_REJECT: the record is bad, whatever came
// of it before.
MR_CHECKED mr_status mr_plan_next(mr_plan_walk *walk, mr_event *event, bool *more, mr_error *err);

// Whether a record is always one event, nothing of which comes from outside: such records may be
// decoded by mr_plan_decode.
bool mr_plan_is_plain(const mr_plan *plan);

// Decodes one message by a plan that is plain. Afterwards *event is as after mr_plan_next. Errors:
// MR_REJECT with field path and byte offset in err; *event is then unspecified.
MR_CHECKED mr_status mr_plan_decode(const mr_plan *plan, const uint8_t *bytes, size_t byte_count,
                                    mr_event *event, mr_error *err);

// The same for one of several records that follow each other: *used is how many bytes it took.
MR_CHECKED mr_status mr_plan_decode_next(const mr_plan *plan, const uint8_t *bytes,
                                         size_t byte_count, size_t *used, mr_event *event,
                                         mr_error *err);

#endif
