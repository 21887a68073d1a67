// SPDX-License-Identifier: Apache-2.0
// encode: our own records as Avro, in the order of the fields of their .avsc files.
//
// Each function appends one record; the frame goes before it (mr_frame_put_...). What does not fit
// sets out->full. Nothing allocates, and equal values give equal bytes: a commit that is sent again
// is sent as it was. The tests read everything back with avro-c and the .avsc, so the two cannot
// drift apart.
#ifndef MR_SCHEMAS_ENCODE_H
#define MR_SCHEMAS_ENCODE_H

#include "core/base/hash.h"
#include "core/event/event.h"
#include "core/list/record.h"
#include "schemas/writer.h"

// An input event, by its kind, as click.avsc, cart.avsc, ... have it. Fields that are not present
// take the schema's default; user, item, time, query and action are then empty or 0. Prices keep
// four digits after the point; one that is 0 in a line, not finite, or of more than 14 digits
// before the point, is written as null.
void mr_encode_event(mr_writer *out, const mr_event *event);

// list.avsc. The list's id is "task-version".
void mr_encode_list(mr_writer *out, const mr_list *list);

// The id of a list as mr_encode_list writes it, into `text` of MR_LIST_ID_BYTES; returns the text.
enum { MR_LIST_ID_BYTES = 32 };
mr_bytes mr_list_id(const mr_list *list, char text[MR_LIST_ID_BYTES]);

typedef struct mr_metric { // metric.avsc
    const char *name;
    const mr_pair *labels;
    uint32_t label_count;
    int64_t time_ms;
    int64_t window_ms; // 0: since the start
    double value;
    int64_t count; // of observations; negative: none
    int64_t task;  // negative: of the worker
    int64_t epoch; // negative: none
} mr_metric;
void mr_encode_metric(mr_writer *out, const mr_metric *metric);

typedef struct mr_count { // of an item, by name of the half-life
    const char *name;
    double value;
} mr_count;

typedef struct mr_item_view { // item.avsc
    mr_bytes item;
    int64_t time_ms, sequence;
    const float *vector;
    uint32_t vector_count;
    float bias;
    const mr_count *counts;
    uint32_t count_count;
    bool available;
} mr_item_view;
void mr_encode_item(mr_writer *out, const mr_item_view *view);

typedef struct mr_user_view { // user.avsc
    mr_bytes user;
    int64_t time_ms, sequence;
    const float *vector;
    uint32_t vector_count;
    int64_t events;
} mr_user_view;
void mr_encode_user(mr_writer *out, const mr_user_view *view);

typedef struct mr_next_offset {
    mr_bytes topic;
    int32_t partition;
    int64_t offset;
} mr_next_offset;

typedef struct mr_sequence { // of a task's messages or commits, or of a shard's view
    uint32_t of;             // the task or the shard
    int64_t sequence;
} mr_sequence;

typedef struct mr_task_epoch {
    uint32_t task;
    int64_t epoch, clock_ms, tick_ms;
    const mr_next_offset *offsets;
    const mr_sequence *links;
    uint32_t offset_count, link_count;
} mr_task_epoch;

typedef struct mr_round {
    const mr_task_epoch *epochs;
    const mr_sequence *views;
    uint32_t epoch_count, view_count;
} mr_round;

typedef struct mr_state_hash {
    uint32_t task;
    mr_hash128 hash;
} mr_state_hash;

typedef struct mr_epoch_record { // epoch.avsc
    int64_t time_ms;
    mr_hash128 configuration;
    const mr_round *rounds;
    const mr_sequence *marks;
    const mr_state_hash *state_hashes;
    uint32_t round_count, mark_count, state_hash_count;
    const mr_sequence *views; // of the close
    uint32_t view_count;
    mr_hash128 history;
    mr_bytes instance;
    uint64_t engine, commit;
} mr_epoch_record;
void mr_encode_epoch(mr_writer *out, const mr_epoch_record *record);

#endif
