// SPDX-License-Identifier: Apache-2.0
#include "worker/demo_records.h"

#include <math.h>

#include "schemas/frame.h"
#include "schemas/wire.h"

// A cursor that remembers the first fault: after any number of reads one look at `cause` says
// whether all of them were good. After a fault numbers are 0 and texts empty, so that loops end.
typedef struct reader {
    mr_wire in;
    mr_cause cause;
} reader;

static void note(reader *r, mr_cause cause)
{
    if (r->cause == MR_CAUSE_NONE && cause != MR_CAUSE_NONE) {
        r->cause = cause;
        r->in.p = r->in.end;
    }
}

static int64_t get_long(reader *r)
{
    int64_t value = 0;
    note(r, mr_wire_long(&r->in, &value));
    return r->cause == MR_CAUSE_NONE ? value : 0;
}

static mr_bytes get_bytes(reader *r)
{
    mr_bytes value = {NULL, 0};
    note(r, mr_wire_bytes(&r->in, &value));
    return r->cause == MR_CAUSE_NONE ? value : (mr_bytes){NULL, 0};
}

static float get_float(reader *r)
{
    float value = 0;
    note(r, mr_wire_float(&r->in, &value));
    return value;
}

static double get_double(reader *r)
{
    double value = 0;
    note(r, mr_wire_double(&r->in, &value));
    return value;
}

// Whether an optional value follows: null is branch 0 of two.
static bool is_given(reader *r)
{
    uint32_t branch = 0;
    note(r, mr_wire_index(&r->in, 2, &branch));
    return r->cause == MR_CAUSE_NONE && branch == 1;
}

static float get_optional_float(reader *r)
{
    return is_given(r) ? get_float(r) : NAN;
}

static mr_bytes get_optional_bytes(reader *r)
{
    return is_given(r) ? get_bytes(r) : (mr_bytes){NULL, 0};
}

// Items of the next block; 0 at the end.
static uint64_t get_block(reader *r, uint32_t item_bytes_min)
{
    uint64_t count = 0;
    int64_t bytes;
    note(r, mr_wire_block(&r->in, item_bytes_min, &count, &bytes));
    return r->cause == MR_CAUSE_NONE ? count : 0;
}

static mr_status open_frame(reader *r, mr_bytes value, uint64_t fingerprint, mr_error *err)
{
    mr_frame frame;
    MR_TRY(mr_frame_read(MR_FRAMING_SINGLE_OBJECT, value, (mr_bytes){NULL, 0}, &frame, err));
    if (frame.tombstone)
        return mr_reject(err, MR_CAUSE_empty_value, "a tombstone holds no record");
    if (frame.fingerprint != fingerprint)
        return mr_reject(err, MR_CAUSE_unknown_schema, "fingerprint %016llx, want %016llx",
                         (unsigned long long)frame.fingerprint, (unsigned long long)fingerprint);
    const uint8_t *data = frame.payload.data;
    *r = (reader){{data, data + frame.payload.size}, MR_CAUSE_NONE};
    return MR_OK;
}

static mr_status close_record(const reader *r, const char *what, mr_error *err)
{
    if (r->cause != MR_CAUSE_NONE)
        return mr_reject(err, r->cause, "%s: %s", what, mr_cause_text(r->cause));
    if (r->in.p != r->in.end)
        return mr_reject(err, MR_CAUSE_trailing_bytes, "%s: %zu bytes are left", what,
                         mr_wire_left(&r->in));
    return MR_OK;
}

static void read_entry(reader *r, mr_demo_list *list)
{
    mr_demo_entry entry = {.item = get_bytes(r)};
    get_float(r); // score
    entry.source = get_bytes(r);
    get_long(r); // sources
    entry.propensity = get_optional_float(r);
    get_optional_float(r); // mean
    get_optional_float(r); // spread
    get_optional_bytes(r); // reason
    if (r->cause == MR_CAUSE_NONE && list->count < MR_DEMO_ENTRIES_MAX)
        list->entries[list->count++] = entry;
}

static void skip_context(reader *r)
{
    for (uint64_t count; (count = get_block(r, 5)) > 0;) {
        for (; count > 0 && r->cause == MR_CAUSE_NONE; count--) {
            get_long(r);
            get_float(r);
        }
    }
}

mr_status mr_demo_list_read(mr_bytes value, uint64_t fingerprint, mr_demo_list *list, mr_error *err)
{
    reader r;
    *list = (mr_demo_list){.count = 0};
    MR_TRY(open_frame(&r, value, fingerprint, err));
    list->id = get_bytes(&r);
    list->user = get_bytes(&r);
    list->version = get_long(&r);
    for (int i = 0; i < 4; i++) // time, task, epoch, seed
        get_long(&r);
    get_bytes(&r); // policy
    get_long(&r);  // parameters
    get_bytes(&r); // slice
    get_float(&r); // explore
    list->arm = get_optional_bytes(&r);
    for (int i = 0; i < 3; i++) // segment, candidate_count, candidate_hash
        get_long(&r);
    get_optional_float(&r); // kth_score
    skip_context(&r);
    if (is_given(&r))
        get_double(&r);     // slate_propensity
    get_optional_bytes(&r); // traceparent
    for (uint64_t count; (count = get_block(&r, 11)) > 0;) {
        for (; count > 0 && r.cause == MR_CAUSE_NONE; count--)
            read_entry(&r, list);
    }
    return close_record(&r, "list", err);
}

mr_status mr_demo_metric_read(mr_bytes value, uint64_t fingerprint, mr_demo_metric *metric,
                              mr_error *err)
{
    reader r;
    *metric = (mr_demo_metric){.value = 0};
    MR_TRY(open_frame(&r, value, fingerprint, err));
    metric->name = get_bytes(&r);
    for (uint64_t count; (count = get_block(&r, 2)) > 0;) {
        for (; count > 0 && r.cause == MR_CAUSE_NONE; count--) {
            const mr_bytes label = get_bytes(&r), text = get_bytes(&r);
            if (mr_bytes_equal(label, mr_bytes_text("model")))
                metric->model = text;
        }
    }
    get_long(&r); // time
    if (is_given(&r))
        get_long(&r); // window_ms
    metric->value = get_double(&r);
    for (int i = 0; i < 3; i++) // count, task, epoch
        if (is_given(&r))
            get_long(&r);
    return close_record(&r, "metric", err);
}
