// SPDX-License-Identifier: Apache-2.0
// rerun_base: a backup in the place of the history's beginning, where the epoch log no longer has it.
//
// It has to hold every task, as of one commit each. An engine that was at work then is made anew from
// the rows: nothing is lost by that where it held all tasks, since no item was a guest to it.
#include "worker/rerun_inner.h"

#include <stdlib.h>
#include <string.h>

#include "core/rows.h"
#include "state/row.h"

typedef struct base {
    mr_rerun *r;
    mr_store_task record;
    mr_marker marker;
    mr_next_offset offsets[MR_MARKER_OFFSETS_MAX];
    mr_marker_pair pairs[MR_MARKER_PAIRS_MAX]; // room for the marker
    mr_marker_offset marker_offsets[MR_MARKER_OFFSETS_MAX];
    mr_marker_link links[MR_MARKER_LINKS_MAX];
} base;

static mr_status read_marker(base *b, uint32_t task, mr_error *err)
{
    const mr_store_port *store = b->r->options->store;
    bool found, torn = false;
    b->marker =
        (mr_marker){.pairs = b->pairs, .offsets = b->marker_offsets, .links = b->links};
    MR_TRY(store->task(store->context, task, &b->record, &found, err));
    if (found)
        MR_TRY(mr_marker_newest(&b->record, &b->marker, &torn, err));
    if (!found || torn || b->marker.seq == 0)
        return mr_fail(err, MR_FATAL, "the base lacks task %u: it has to hold all %u", task,
                       b->r->tasks);
    if (b->marker.tasks != b->r->tasks ||
        memcmp(b->marker.history, b->r->result->history, sizeof b->marker.history) != 0)
        return mr_fail(err, MR_FATAL, "the base is of another history than the epoch log");
    return MR_OK;
}

static mr_status place_inputs(base *b, uint32_t task, mr_error *err)
{
    for (uint32_t i = 0; i < b->marker.offset_count; i++)
        b->offsets[i] = (mr_next_offset){b->marker.offsets[i].topic,
                                         (int32_t)b->marker.offsets[i].partition,
                                         b->marker.offsets[i].next};
    return mr_rerun_place(b->r,
                          &(mr_task_epoch){.task = task,
                                           .offsets = b->offsets,
                                           .offset_count = b->marker.offset_count},
                          err);
}

static mr_status see_row(void *context, mr_bytes key, mr_bytes value, mr_error *err)
{
    const base *b = context;
    mr_row row;
    if (key.data[0] != MR_ROW_ITEM && key.data[0] != MR_ROW_NAMED)
        return MR_OK;
    MR_TRY(mr_row_open(key, value, &row, err));
    mr_view_log_add(b->r->views, b->marker.task, b->marker.seq, key, row.payload);
    return MR_OK;
}

static mr_status load_task(base *b, uint32_t task, mr_error *err)
{
    const mr_store_port *store = b->r->options->store;
    mr_rerun_task *t = &b->r->tasks_of[task];
    MR_TRY(read_marker(b, task, err));
    MR_TRY(place_inputs(b, task, err));
    mr_links_load(b->r->links, task, b->marker.links, b->marker.link_count);
    for (uint32_t i = 0; i < b->marker.link_count; i++) {
        const mr_marker_link *link = &b->marker.links[i];
        if (link->task >= b->r->tasks)
            continue;
        b->r->pairs[(size_t)task * b->r->tasks + link->task].made = link->sent;
        b->r->pairs[(size_t)link->task * b->r->tasks + task].read = link->received;
    }
    t->known = true;
    t->seq = t->base = b->marker.seq;
    t->born = t->seq + 1; // the lists before are not compared
    t->hash = b->marker.state_hash;
    return b->r->tasks > 1 ? store->each(store->context, task, see_row, b, err) : MR_OK;
}

mr_status mr_rerun_load_base(mr_rerun *r, mr_error *err)
{
    mr_status status = MR_OK;
    base *b = calloc(1, sizeof *b);
    if (b == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    b->r = r;
    for (uint32_t t = 0; t < r->tasks && status == MR_OK; t++)
        status = load_task(b, t, err);
    free(b);
    return status == MR_OK ? mr_rerun_pair_base(r, err) : status;
}
