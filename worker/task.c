// SPDX-License-Identifier: Apache-2.0
// task: the states of taking a task, and what may be trusted in each.
//
// 1. Rows of a commit are applied to the store only with the marker that follows them.
// 2. The store's offsets never point behind a row that the store lacks.
// 3. A task is CHECKED only if both changelogs end at one sequence number and the rows add up to
// what the
//    marker says. A copy that does not is thrown away once; a changelog that does not stops the
//    start.
// 4. A restore is never so slow, and its base never so old, that tombstones between are gone.
// 5. The end of a changelog is asked of a handle that sees uncommitted records, after the
// assignment; after the next assignment it is asked again, and what was read before is gone on
// from.
//
//        ends asked        a good copy                both read            rows add up
//   NEW -----------> ENDS ------------> COPY ------+----------> READ ----------------> CHECKED --+
//                     |                  | too far |             | | no marker                   |
//                     inputs |                  | behind  |             | +-----------> FRESH
//                     ----------+ placed |    no good copy  v         |             | v
//                     +------------> NOTHING ------+             | PLACED
//                                        ^    a copy that is     |
//                                        +----wrong -------------+
#include "worker/task.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "state/failpoint.h"
#include "state/row.h"
#include "worker/log.h"
#include "worker/matched.h"
#include "worker/planted.h"

enum {
    ROWS_BYTES_MAX = 64 << 20, // of commits read over a local copy; more is cheaper from nothing
    ROWS_MAX = 1 << 20,
    STORE_WAIT_MS = 200, // until a store that could not be written is tried again
};

static const char *const names[MR_TAKING_STATE_COUNT] = {
    [MR_TAKING_NEW] = "new",         [MR_TAKING_ENDS] = "ends",     [MR_TAKING_COPY] = "copy",
    [MR_TAKING_NOTHING] = "nothing", [MR_TAKING_READ] = "read",     [MR_TAKING_CHECKED] = "checked",
    [MR_TAKING_FRESH] = "fresh",     [MR_TAKING_PLACED] = "placed", [MR_TAKING_FAILED] = "failed",
};

const char *mr_taking_state_name(mr_taking_state state)
{
    return names[state];
}

#define TO(state) (1u << MR_TAKING_##state)

// Every arrow of the drawing, and no other; each state may fail.
static const uint32_t arrows[MR_TAKING_STATE_COUNT] = {
    [MR_TAKING_NEW] = TO(ENDS) | TO(FAILED),
    [MR_TAKING_ENDS] = TO(COPY) | TO(NOTHING) | TO(FAILED),
    [MR_TAKING_COPY] = TO(READ) | TO(NOTHING) | TO(FAILED),
    [MR_TAKING_NOTHING] = TO(READ) | TO(FAILED),
    [MR_TAKING_READ] = TO(CHECKED) | TO(FRESH) | TO(NOTHING) | TO(FAILED),
    [MR_TAKING_CHECKED] = TO(PLACED) | TO(FAILED),
    [MR_TAKING_FRESH] = TO(PLACED) | TO(FAILED),
    [MR_TAKING_PLACED] = TO(FAILED),
};

static void move(mr_taking *taking, mr_taking_state to)
{
    MR_ASSERT((arrows[taking->state] >> to & 1u) != 0);
    mr_log(MR_LOG_DEBUG, "task", "state", mr_log_long("task", taking->task),
           mr_log_text("from", names[taking->state]), mr_log_text("to", names[to]));
    taking->state = to;
}

// Rows of a commit whose marker has not come yet.
typedef struct kept_row {
    uint32_t key_at, key_size, value_at, value_size;
    uint32_t order;
    bool erased;
} kept_row;

struct mr_taker_rows {
    uint8_t *bytes;
    size_t used;
    kept_row *rows;
    uint32_t count;
    uint32_t valid; // of them: the first so many have a marker behind them
    mr_store_row *sorted;
};

static void forget_rows(struct mr_taker_rows *rows)
{
    rows->count = rows->valid = 0;
    rows->used = 0;
}

mr_status mr_taker_open(mr_taker *taker, mr_error *err)
{
    struct mr_taker_rows *rows = calloc(1, sizeof *rows);
    if (rows == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    taker->rows = rows;
    taker->known = false;
    // Reserved, not used: pages are taken as a copy turns out to lag.
    rows->bytes = malloc(ROWS_BYTES_MAX);
    rows->rows = malloc(ROWS_MAX * sizeof *rows->rows);
    rows->sorted = malloc(ROWS_MAX * sizeof *rows->sorted);
    if (rows->bytes == NULL || rows->rows == NULL || rows->sorted == NULL) {
        mr_taker_close(taker);
        return mr_fail(err, MR_FATAL, "out of memory");
    }
    return taker->store->identity(taker->store->context, &taker->identity, err);
}

void mr_taker_close(mr_taker *taker)
{
    if (taker->rows == NULL)
        return;
    free(taker->rows->bytes);
    free(taker->rows->rows);
    free(taker->rows->sorted);
    free(taker->rows);
    taker->rows = NULL;
}

mr_status mr_taking_marker(mr_taker *taker, mr_bytes sealed, mr_marker *marker, mr_error *err)
{
    *marker = (mr_marker){.pairs = taker->pairs, .offsets = taker->offsets, .links = taker->links};
    return mr_marker_read(sealed, marker, err);
}

// Keeps the sealed marker of a changelog, decoded once to know that it can be.
static mr_status keep_marker(mr_taker *taker, mr_taking *taking, uint32_t changelog,
                             mr_bytes sealed, mr_error *err)
{
    mr_marker marker;
    MR_TRY(mr_taking_marker(taker, sealed, &marker, err));
    if (marker.task != taking->task || marker.tasks != taker->tasks)
        return mr_fail(err, MR_FATAL,
                       "its marker is of task %u of %u, want task %u of %u: the number of "
                       "partitions of the lead topic is fixed for a history",
                       marker.task, marker.tasks, taking->task, taker->tasks);
    MR_ASSERT(sealed.size <= MR_MARKER_BYTES_MAX);
    memmove(taking->bytes[changelog], sealed.data, sealed.size);
    taking->markers[changelog] = mr_bytes_of(taking->bytes[changelog], sealed.size);
    return MR_OK;
}

// What a call of the store says that writes, or collects what a later one writes (not lasting): one
// that cannot be written now is tried again for state.wait.
static mr_status wrote(mr_taker *taker, bool lasting, mr_status status, mr_error *err)
{
    const int64_t now_ms = taker->clock->now_ms(taker->clock->context);
    if (status != MR_RETRY) {
        taker->stuck_ms = status == MR_OK && lasting ? 0 : taker->stuck_ms;
        return status;
    }
    taker->retry_ms = now_ms + STORE_WAIT_MS;
    if (taker->stuck_ms == 0)
        taker->stuck_ms = now_ms;
    if (now_ms - taker->stuck_ms < taker->config->state_wait)
        return MR_RETRY;
    mr_wrap(err, "the state could not be written for %lld s",
            (long long)(taker->config->state_wait / 1000));
    return err->status = MR_FATAL;
}

static mr_status ask_ends(mr_taker *taker, mr_taking *taking, mr_error *err)
{
    for (uint32_t c = 0; c < MR_STORE_CHANGELOGS; c++)
        MR_TRY(taker->bus->changelog_ends(taker->bus->context, mr_topic_of_changelog(c),
                                          taking->task, &taking->ends[c], err));
    for (uint32_t c = 0; c < MR_STORE_CHANGELOGS; c++)
        taking->limits[c] = taking->ends[c].end;
    taking->begun_ms = taker->clock->now_ms(taker->clock->context);
    taking->changelog = 0;
    taking->rows_dropped = 0;
    forget_rows(taker->rows);
    taking->marker_next = -1;
    move(taking, MR_TAKING_ENDS);
    return MR_OK;
}

// Why the local copy of a task cannot be the base; NULL: it can.
static const char *copy_fault(const mr_taker *taker, const mr_taking *taking,
                              const mr_store_task *copy, const mr_marker *marker)
{
    if (strcmp(taker->identity.cluster, taker->cluster) != 0)
        return "it is of another cluster";
    if (memcmp(taker->identity.history, marker->history, sizeof marker->history) != 0)
        return "it is of another history";
    if (taker->clock->wall_ms(taker->clock->context) - marker->wall_ms > taker->copy_age_max_ms &&
        !mr_planted(MR_BUG_STALE_COPY))
        return "it is so old that erased rows could rise again";
    for (uint32_t c = 0; c < MR_STORE_CHANGELOGS; c++) {
        if (copy->offsets[c] < taking->ends[c].first)
            return "the changelog begins behind it";
    }
    return NULL;
}

static mr_status lost_data(const mr_taking *taking, const mr_store_task *copy, mr_error *err)
{
    for (uint32_t c = 0; c < MR_STORE_CHANGELOGS; c++) {
        if (copy->offsets[c] > taking->ends[c].end)
            return mr_fail(err, MR_FATAL,
                           "the local copy has read the %s changelog up to offset %lld, the "
                           "brokers end at %lld: they have lost committed records; millrace "
                           "recover --from-local or --from-log says which to go on from",
                           c == 0 ? "user" : "item", (long long)copy->offsets[c],
                           (long long)taking->ends[c].end);
    }
    return MR_OK;
}

// Chooses the base: the local copy of the task, or nothing.
static mr_status choose_base(mr_taker *taker, mr_taking *taking, mr_error *err)
{
    static const char *const absent = "there is none";
    mr_store_task copy;
    mr_bytes markers[MR_STORE_CHANGELOGS];
    mr_marker marker;
    bool found = false;
    const char *fault = absent;
    MR_TRY(taker->store->task(taker->store->context, taking->task, &copy, &found, err));
    if (found && copy.marker_bytes > 0) {
        mr_error reason = {0};
        if (mr_marker_split(mr_bytes_of(copy.marker, copy.marker_bytes), markers, &reason) !=
                MR_OK ||
            markers[0].size == 0 || markers[1].size == 0 ||
            keep_marker(taker, taking, 1, markers[1], &reason) != MR_OK ||
            keep_marker(taker, taking, 0, markers[0], &reason) != MR_OK ||
            mr_taking_marker(taker, taking->markers[0], &marker, &reason) != MR_OK)
            fault = "its marker cannot be read";
        else
            fault = copy_fault(taker, taking, &copy, &marker);
    }
    if (fault == NULL) {
        MR_TRY(lost_data(taking, &copy, err));
        memcpy(taking->next, copy.offsets, sizeof taking->next);
        taking->from_copy = true;
        move(taking, MR_TAKING_COPY);
        return MR_OK;
    }
    if (fault != absent)
        mr_log(MR_LOG_WARNING, "task", "the local copy is not used",
               mr_log_long("task", taking->task), mr_log_text("why", fault));
    move(taking, MR_TAKING_NOTHING);
    return MR_OK;
}

// Over a copy: rows are kept until their marker comes, and written with it, several commits at
// once.

typedef struct reading {
    mr_taker *taker;
    mr_taking *taking;
} reading;

static bool keep_row(struct mr_taker_rows *rows, mr_bytes key, mr_bytes value)
{
    if (rows->count == ROWS_MAX || key.size + (size_t)value.size > ROWS_BYTES_MAX - rows->used)
        return false;
    rows->rows[rows->count] = (kept_row){
        .key_at = (uint32_t)rows->used,
        .key_size = key.size,
        .value_at = (uint32_t)rows->used + key.size,
        .value_size = value.size,
        .order = rows->count,
        .erased = value.data == NULL,
    };
    memcpy(rows->bytes + rows->used, key.data, key.size);
    if (value.size > 0)
        memcpy(rows->bytes + rows->used + key.size, value.data, value.size);
    rows->used += key.size + value.size;
    rows->count++;
    return true;
}

static int compare_kept(const void *a, const void *b, void *context)
{
    const uint8_t *bytes = context;
    const kept_row *x = a, *y = b;
    const int order = mr_bytes_compare(mr_bytes_of(bytes + x->key_at, x->key_size),
                                       mr_bytes_of(bytes + y->key_at, y->key_size));
    return order != 0 ? order : (x->order < y->order) - (x->order > y->order); // newest first
}

// The valid rows by key, the newest of each; returns how many.
static uint32_t sort_rows(struct mr_taker_rows *rows)
{
    uint32_t count = 0;
    qsort_r(rows->rows, rows->valid, sizeof *rows->rows, compare_kept, rows->bytes);
    for (uint32_t i = 0; i < rows->valid; i++) {
        const kept_row *row = &rows->rows[i];
        const mr_bytes key = mr_bytes_of(rows->bytes + row->key_at, row->key_size);
        if (count > 0 && mr_bytes_equal(rows->sorted[count - 1].key, key))
            continue;
        const uint8_t *value = row->erased ? NULL : rows->bytes + row->value_at;
        rows->sorted[count++] = (mr_store_row){key, mr_bytes_of(value, row->value_size)};
    }
    return count;
}

// The rows that are valid are written: those behind them move to the front.
static void keep_rest(struct mr_taker_rows *rows)
{
    const size_t base = rows->valid < rows->count ? rows->rows[rows->valid].key_at : rows->used;
    memmove(rows->bytes, rows->bytes + base, rows->used - base);
    rows->used -= base;
    rows->count -= rows->valid;
    memmove(rows->rows, rows->rows + rows->valid, rows->count * sizeof *rows->rows);
    for (uint32_t i = 0; i < rows->count; i++) {
        rows->rows[i].order = i;
        rows->rows[i].key_at -= (uint32_t)base;
        rows->rows[i].value_at -= (uint32_t)base;
    }
    rows->valid = 0;
}

// The rows up to the last marker, that marker and the offset behind it go to the store together. A
// store that cannot be written now is tried again with the same rows.
static mr_status apply_rows(reading *r, mr_error *err)
{
    uint8_t joined[MR_STORE_MARKER_MAX];
    mr_taking *taking = r->taking;
    struct mr_taker_rows *rows = r->taker->rows;
    if (taking->marker_next < 0)
        return MR_OK;
    mr_store_part part = {
        .task = taking->task,
        .rows = rows->sorted,
        .row_count = sort_rows(rows),
        .marker = mr_bytes_of(joined, mr_marker_join(taking->markers, joined)),
        .offsets = {-1, -1},
    };
    part.offsets[taking->changelog] = taking->marker_next;
    const mr_store_batch batch = {&part, 1};
    // A store that cannot be written now is tried again with the same rows.
    const mr_store_port *store = r->taker->store;
    MR_TRY(wrote(r->taker, true, store->write(store->context, &batch, err), err));
    taking->rows_read += rows->valid;
    taking->marker_next = -1;
    keep_rest(rows);
    return MR_OK;
}

static mr_status over_copy(void *context, int64_t offset, mr_bytes key, mr_bytes value,
                           mr_error *err)
{
    reading *r = context;
    struct mr_taker_rows *rows = r->taker->rows;
    if (r->taking->overflow)
        return MR_OK;
    if (mr_marker_is(key)) {
        MR_TRY(keep_marker(r->taker, r->taking, r->taking->changelog, value, err));
        rows->valid = rows->count;
        r->taking->marker_next = offset + 1;
        return MR_OK;
    }
    if (keep_row(rows, key, value))
        return MR_OK;
    MR_TRY(apply_rows(r, err));
    r->taking->overflow = !keep_row(rows, key, value);
    return MR_OK;
}

// One slice of the changelog that is being read. Errors: MR_RETRY: it is not at its limit.
static mr_status read_slice(mr_taker *taker, mr_taking *taking, mr_bus_visit *visit, mr_error *err)
{
    const uint32_t c = taking->changelog;
    reading r = {taker, taking};
    mr_failpoint("restoring");
    return taker->bus->changelog_read(taker->bus->context, mr_topic_of_changelog(c), taking->task,
                                      taking->next[c], taking->limits[c], visit, &r,
                                      &taking->next[c], err);
}

static mr_status read_over_copy(mr_taker *taker, mr_taking *taking, mr_error *err)
{
    if (taking->changelog < MR_STORE_CHANGELOGS) {
        // A snapshot of before would keep every page that the many small writes free.
        taker->store->refresh(taker->store->context);
        reading r = {taker, taking};
        const mr_status status = read_slice(taker, taking, over_copy, err);
        if (status != MR_OK && status != MR_RETRY)
            return status;
        if (mr_planted(MR_BUG_ROWS_WITHOUT_MARKER) && taker->rows->count > 0) {
            taker->rows->valid = taker->rows->count;
            taking->marker_next = taking->next[taking->changelog];
        }
        MR_TRY(apply_rows(&r, err));
        MR_TRY(status);
        taking->rows_dropped += taker->rows->count;
        forget_rows(taker->rows);
        taking->changelog++;
        if (taking->overflow)
            move(taking, MR_TAKING_NOTHING);
        return MR_OK;
    }
    taker->store->refresh(taker->store->context);
    move(taking, MR_TAKING_READ);
    return MR_OK;
}

// From nothing: rows go to sorted runs; what lies behind the last marker is found at the end, and
// then read again without it (a commit that was torn: rare, and never applied).

static mr_status from_nothing(void *context, int64_t offset, mr_bytes key, mr_bytes value,
                              mr_error *err)
{
    reading *r = context;
    if (!mr_marker_is(key)) {
        r->taking->rows_behind++;
        r->taking->rows_read++;
        const mr_store_port *store = r->taker->store;
        return wrote(r->taker, false, store->load_put(store->context, key, value, err), err);
    }
    r->taking->rows_behind = 0;
    r->taking->marker_next = offset + 1;
    return keep_marker(r->taker, r->taking, r->taking->changelog, value, err);
}

static void begin_changelog(mr_taking *taking)
{
    taking->marker_next = -1;
    taking->rows_behind = 0;
    if (taking->changelog < MR_STORE_CHANGELOGS)
        taking->next[taking->changelog] = taking->ends[taking->changelog].first;
}

static mr_status begin_load(mr_taker *taker, mr_taking *taking, mr_error *err)
{
    const mr_store_port *store = taker->store;
    MR_TRY(wrote(taker, false, store->load_begin(store->context, taking->task, err), err));
    taking->loading = true;
    taking->changelog = 0;
    taking->rows_read = 0;
    for (uint32_t c = 0; c < MR_STORE_CHANGELOGS; c++)
        taking->markers[c] = (mr_bytes){NULL, 0};
    begin_changelog(taking);
    return MR_OK;
}

static void end_load(mr_taker *taker, mr_taking *taking)
{
    if (taking->loading)
        taker->store->load_end(taker->store->context);
    taking->loading = false;
}

static mr_status finish_load(mr_taker *taker, mr_taking *taking, mr_error *err)
{
    uint8_t joined[MR_STORE_MARKER_MAX];
    mr_load_result result;
    if (taking->markers[0].size == 0 && taking->markers[1].size == 0)
        return taker->store->drop(taker->store->context, taking->task, err);
    const mr_bytes marker = mr_bytes_of(joined, mr_marker_join(taking->markers, joined));
    return taker->store->load_finish(taker->store->context, marker, taking->next, &result, err);
}

static mr_status read_from_nothing(mr_taker *taker, mr_taking *taking, mr_error *err)
{
    if (!taking->loading)
        return begin_load(taker, taking, err);
    if (taking->changelog < MR_STORE_CHANGELOGS) {
        const uint32_t c = taking->changelog;
        MR_TRY(read_slice(taker, taking, from_nothing, err));
        if (taking->rows_behind > 0 && !mr_planted(MR_BUG_ROWS_WITHOUT_MARKER)) {
            taking->rows_dropped += taking->rows_behind;
            taking->limits[c] =
                taking->marker_next >= 0 ? taking->marker_next : taking->ends[c].first;
            end_load(taker, taking);
            return MR_OK;
        }
        taking->changelog++;
        begin_changelog(taking);
        return MR_OK;
    }
    const mr_status status = wrote(taker, true, finish_load(taker, taking, err), err);
    end_load(taker, taking);
    MR_TRY(status); // where it can be tried again, from the beginning
    taker->store->refresh(taker->store->context);
    move(taking, MR_TAKING_READ);
    return MR_OK;
}

// Whether what the store holds is what the marker says. MR_REJECT: it is not.
static mr_status compare(mr_taker *taker, mr_taking *taking, mr_error *err)
{
    mr_marker second;
    mr_load_result found;
    if (taking->markers[0].size == 0 || taking->markers[1].size == 0)
        return mr_fail(err, MR_REJECT, "only one of its changelogs has a marker");
    MR_TRY(mr_taking_marker(taker, taking->markers[1], &second, err));
    MR_TRY(mr_taking_marker(taker, taking->markers[0], &taking->marker, err));
    if (second.seq != taking->marker.seq ||
        memcmp(second.history, taking->marker.history, sizeof second.history) != 0)
        return mr_fail(err, MR_REJECT, "its changelogs end at commits %llu and %llu",
                       (unsigned long long)taking->marker.seq, (unsigned long long)second.seq);
    MR_TRY(taker->store->measure(taker->store->context, taking->task, &found, err));
    if (found.row_count != taking->marker.row_count ||
        memcmp(&found.state_hash, &taking->marker.state_hash, sizeof found.state_hash) != 0)
        return mr_fail(
            err, MR_REJECT,
            "its rows (%llu, hash %016llx) are not those of commit %llu (%llu, "
            "hash %016llx)",
            (unsigned long long)found.row_count, (unsigned long long)found.state_hash.low,
            (unsigned long long)taking->marker.seq, (unsigned long long)taking->marker.row_count,
            (unsigned long long)taking->marker.state_hash.low);
    return MR_OK;
}

static mr_status check(mr_taker *taker, mr_taking *taking, mr_error *err)
{
    if (taking->markers[0].size == 0 && taking->markers[1].size == 0) {
        taking->fresh = true;
        move(taking, MR_TAKING_FRESH);
        return MR_OK;
    }
    mr_status status = compare(taker, taking, err);
    if (status == MR_OK) {
        move(taking, MR_TAKING_CHECKED);
        return MR_OK;
    }
    if (!taking
             ->from_copy) { // bytes that came from Kafka a moment ago: nothing better is to be had
        err->status = MR_FATAL;
        const mr_config *const config = taker->config;
        return mr_wrap(err, "%s [%u] %lld to %lld, %s [%u] %lld to %lld", config->outputs_user_rows,
                       taking->task, (long long)taking->ends[0].first,
                       (long long)taking->ends[0].end, config->outputs_item_rows, taking->task,
                       (long long)taking->ends[1].first, (long long)taking->ends[1].end);
    }
    mr_log(MR_LOG_WARNING, "task", "the local copy is wrong and dropped",
           mr_log_long("task", taking->task), mr_log_text("error", err->text));
    move(taking, MR_TAKING_NOTHING);
    return MR_OK;
}

static mr_status step(mr_taker *taker, mr_taking *taking, mr_error *err)
{
    switch (taking->state) {
    case MR_TAKING_NEW:
        return ask_ends(taker, taking, err);
    case MR_TAKING_ENDS:
        return choose_base(taker, taking, err);
    case MR_TAKING_COPY:
        return read_over_copy(taker, taking, err);
    case MR_TAKING_NOTHING:
        taking->from_copy = false;
        return read_from_nothing(taker, taking, err);
    case MR_TAKING_READ:
        return check(taker, taking, err);
    case MR_TAKING_CHECKED:
    case MR_TAKING_FRESH:
    case MR_TAKING_PLACED:
    case MR_TAKING_FAILED:
    case MR_TAKING_STATE_COUNT:
        break;
    }
    MR_ASSERT(!"a step of a task that is restored");
    return MR_FATAL;
}

// A row that was read before it was erased rises again if the tombstone is gone when the reader
// gets there: whoever reads for so long begins again.
static bool takes_too_long(const mr_taker *taker, const mr_taking *taking)
{
    const int64_t now_ms = taker->clock->now_ms(taker->clock->context);
    return (taking->state == MR_TAKING_COPY || taking->state == MR_TAKING_NOTHING) &&
           now_ms - taking->begun_ms > taker->copy_age_max_ms;
}

mr_status mr_taking_step(mr_taker *taker, mr_taking *taking, mr_error *err)
{
    if (takes_too_long(taker, taking)) {
        mr_log(MR_LOG_WARNING, "task", "restoring takes so long that erased rows could rise again",
               mr_log_long("task", taking->task));
        mr_taking_again(taker, taking);
    }
    if (taker->clock->now_ms(taker->clock->context) < taker->retry_ms)
        return mr_fail(err, MR_RETRY, "the state cannot be written");
    const mr_status status = step(taker, taking, err);
    if (status == MR_RETRY)
        return status;
    if (status != MR_OK) {
        mr_taking_cancel(taker, taking);
        return mr_wrap(err, "task %u", taking->task);
    }
    if (mr_taking_done(taking))
        mr_log(MR_LOG_INFO, "task", taking->fresh ? "new" : "restored",
               mr_log_long("task", taking->task),
               mr_log_text("base", taking->from_copy ? "local copy" : "changelog"),
               mr_log_long("seq", taking->fresh ? 0 : (int64_t)taking->marker.seq),
               mr_log_long("rows_read", (int64_t)taking->rows_read),
               mr_log_long("rows_dropped", (int64_t)taking->rows_dropped));
    return MR_OK;
}

mr_status mr_taking_restore(mr_taker *taker, mr_taking *taking,
                            mr_status (*idle)(void *context, mr_error *err), void *idle_context,
                            mr_error *err)
{
    while (!mr_taking_done(taking)) {
        const mr_status status = mr_taking_step(taker, taking, err);
        if (status != MR_OK && status != MR_RETRY)
            return status;
        if (idle != NULL)
            MR_TRY(idle(idle_context, err));
    }
    return MR_OK;
}

void mr_taking_again(mr_taker *taker, mr_taking *taking)
{
    if (taking->state == MR_TAKING_NEW)
        return;
    end_load(taker, taking);
    *taking = (mr_taking){.task = taking->task};
}

void mr_taking_cancel(mr_taker *taker, mr_taking *taking)
{
    end_load(taker, taking);
    move(taking, MR_TAKING_FAILED);
}

// Inputs.

static int64_t marker_offset(const mr_marker *marker, const char *topic, uint32_t partition)
{
    for (uint32_t i = 0; i < marker->offset_count; i++) {
        if (marker->offsets[i].partition == partition &&
            mr_bytes_equal(marker->offsets[i].topic, mr_bytes_text(topic)))
            return marker->offsets[i].next;
    }
    return -1;
}

// The marker's offset is the truth; the group's is a copy of it, which expires and which people
// reset.
static mr_status agree(const mr_taker *taker, const char *topic, const mr_offset *group,
                       int64_t marked, int64_t *next, mr_error *err)
{
    *next = mr_planted(MR_BUG_GROUP_TRUSTED) ? group->next : marked;
    if (mr_planted(MR_BUG_GROUP_TRUSTED) || group->next < 0 || group->next == marked)
        return MR_OK;
    if (taker->accept_offsets == MR_ACCEPT_GROUP)
        *next = group->next;
    if (taker->accept_offsets != MR_ACCEPT_NEITHER)
        return MR_OK;
    if (marked < 0)
        return mr_fail(err, MR_FATAL,
                       "%s [%u]: the group %s has offset %lld, the state knows of none: is the "
                       "changelog lost? accept_offsets: group goes on there, state begins anew",
                       topic, group->partition, taker->config->kafka_group, (long long)group->next);
    return mr_fail(err, MR_FATAL,
                   "%s [%u]: the group %s has offset %lld, the state ends at %lld: accept_offsets "
                   "has to say which holds (group learns from there, state goes on where it was)",
                   topic, group->partition, taker->config->kafka_group, (long long)group->next,
                   (long long)marked);
}

// Where an input begins that nobody has read. What stands in our own topics came after the start,
// and so did a topic that a pattern matches since.
static int64_t first_of(const mr_config *config, const mr_offset *offset, bool fresh,
                        const mr_log_ends *ends)
{
    const bool theirs = offset->input < config->input_count;
    const bool since = theirs && config->inputs[offset->input].matched && !fresh;
    return config->start == MR_START_LATEST && theirs && !since ? ends->end : ends->first;
}

static mr_status place_one(mr_taker *taker, const char *topic, mr_offset *offset, int64_t next,
                           bool fresh, mr_error *err)
{
    mr_log_ends ends;
    const bool deltas = offset->input == mr_config_deltas(taker->config);
    MR_TRY(
        taker->bus->input_ends(taker->bus->context, offset->input, offset->partition, &ends, err));
    if (next < 0) {
        offset->next = first_of(taker->config, offset, fresh, &ends);
        return MR_OK;
    }
    if (next > ends.end)
        return mr_fail(err, MR_FATAL,
                       "%s [%u]: read up to offset %lld, but the log ends at %lld: it was cut or "
                       "made anew",
                       topic, offset->partition, (long long)next, (long long)ends.end);
    if (next < ends.first) {
        const int64_t gone = ends.first - next;
        if ((deltas ? taker->config->on_delta_gap : taker->config->on_input_gap) == MR_GAP_STOP)
            return mr_fail(err, MR_FATAL,
                           "%s [%u]: %lld records from offset %lld on are gone from the log before "
                           "they were read; %s: continue goes on behind them",
                           topic, offset->partition, (long long)gone, (long long)next,
                           deltas ? "on_delta_gap" : "on_input_gap");
        mr_log(MR_LOG_WARNING, "task", "records are gone before they were read",
               mr_log_text("topic", topic), mr_log_long("partition", offset->partition),
               mr_log_long("records", gone));
        next = ends.first;
    }
    offset->next = next;
    return MR_OK;
}

// What the state has read and this process does not know of: a topic that a pattern matches, and
// that another worker has found already. To go on without it would forget how far it was read.
static mr_status check_known(const mr_taker *taker, const mr_marker *marker, mr_error *err)
{
    const mr_config *config = taker->config;
    for (uint32_t i = 0; i < marker->offset_count && mr_config_has_patterns(config); i++) {
        const mr_bytes topic = marker->offsets[i].topic;
        bool known = false;
        for (uint32_t j = 0; j < mr_config_reads(config) && !known; j++)
            known = mr_bytes_equal(topic, mr_bytes_text(mr_config_topic(config, j)));
        if (known || mr_matched_of(config, topic) == UINT32_MAX)
            continue;
        if (config->on_input_gap == MR_GAP_STOP)
            return mr_fail(err, MR_FATAL,
                           "%.*s [%u]: the state has read it up to offset %lld, and there is no "
                           "such topic: on_input_gap: continue goes on without it",
                           (int)topic.size, (const char *)topic.data, marker->offsets[i].partition,
                           (long long)marker->offsets[i].next);
        mr_log(MR_LOG_WARNING, "task", "a topic that was read is gone",
               mr_log_long("task", marker->task), mr_log_long("offset", marker->offsets[i].next));
    }
    return MR_OK;
}

static mr_status place_all(mr_taker *taker, const mr_taking *taking, mr_offset *offsets,
                           uint32_t offset_count, mr_error *err)
{
    mr_marker marker = {0};
    if (!taking->fresh)
        MR_TRY(mr_taking_marker(taker, taking->markers[0], &marker, err));
    MR_TRY(check_known(taker, &marker, err));
    MR_TRY(taker->bus->committed(taker->bus->context, offsets, offset_count, err));
    for (uint32_t i = 0; i < offset_count; i++) {
        const char *const topic = mr_config_topic(taker->config, offsets[i].input);
        const int64_t marked = marker_offset(&marker, topic, offsets[i].partition);
        int64_t next;
        MR_TRY(agree(taker, topic, &offsets[i], marked, &next, err));
        MR_TRY(place_one(taker, topic, &offsets[i], next, taking->fresh, err));
    }
    return MR_OK;
}

mr_status mr_taking_place(mr_taker *taker, mr_taking *taking, mr_offset *offsets,
                          uint32_t offset_count, mr_error *err)
{
    const mr_status status = place_all(taker, taking, offsets, offset_count, err);
    if (status == MR_RETRY)
        return status;
    if (status != MR_OK) {
        move(taking, MR_TAKING_FAILED);
        return mr_wrap(err, "task %u", taking->task);
    }
    move(taking, MR_TAKING_PLACED);
    return MR_OK;
}

static mr_status check_pairs(const mr_marker *marker, const mr_taking *const *takings,
                             uint32_t count, mr_error *err)
{
    for (uint32_t i = 0; i < marker->pair_count; i++) {
        for (uint32_t j = 0; j < count; j++) {
            if (takings[j]->task != marker->pairs[i].task)
                continue;
            if (takings[j]->fresh || takings[j]->marker.seq < marker->pairs[i].seq)
                return mr_fail(err, MR_FATAL,
                               "task %u: commit %llu covers task %u up to its commit %llu, which "
                               "is not there: the brokers have half a transaction; millrace recover "
                               "--from-local writes the changelogs from a local copy",
                               marker->task, (unsigned long long)marker->seq, marker->pairs[i].task,
                               (unsigned long long)marker->pairs[i].seq);
        }
    }
    return MR_OK;
}

mr_status mr_takings_check(mr_taker *taker, const mr_taking *const *takings, uint32_t count,
                           mr_error *err)
{
    for (uint32_t i = 0; i < count; i++) {
        mr_marker marker;
        if (takings[i]->fresh)
            continue;
        MR_TRY(mr_taking_marker(taker, takings[i]->markers[0], &marker, err));
        if (!taker->known) {
            memcpy(taker->history, marker.history, sizeof taker->history);
            taker->known = true;
        }
        if (memcmp(taker->history, marker.history, sizeof taker->history) != 0)
            return mr_fail(err, MR_FATAL, "task %u is of another history than the tasks before it",
                           takings[i]->task);
        MR_TRY(check_pairs(&marker, takings, count, err));
    }
    return MR_OK;
}
