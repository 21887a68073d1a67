// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "state/row.h"
#include "core/rows.h"
#include "worker/links.h"

void sim_check_open(sim_check *check, uint32_t tasks)
{
    memset(check, 0, sizeof *check);
    check->task_count = tasks;
}

void sim_check_close(sim_check *check)
{
    for (uint32_t t = 0; t < check->task_count; t++) {
        free(check->events[t]);
        free(check->tasks[t].rows);
        free(check->tasks[t].pending);
    }
}

static void violated(sim_check *check, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

// The first one is kept.
static void violated(sim_check *check, const char *format, ...)
{
    va_list args;
    if (check->violation[0] != '\0')
        return;
    va_start(args, format);
    vsnprintf(check->violation, sizeof check->violation, format, args);
    va_end(args);
}

void sim_check_event(sim_check *check, uint32_t task, sim_event event)
{
    if (check->event_count[task] == check->event_room[task]) {
        check->event_room[task] = check->event_room[task] == 0 ? 256 : check->event_room[task] * 2;
        check->events[task] =
            realloc(check->events[task], check->event_room[task] * sizeof *check->events[task]);
        MR_ASSERT(check->events[task] != NULL);
    }
    check->events[task][check->event_count[task]++] = event;
}

// ---- the fold of a changelog

static uint32_t place_of(const sim_folded *task, mr_bytes key, bool *found)
{
    uint32_t low = 0, high = task->row_count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (mr_bytes_compare(task->rows[middle].key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *found = low < task->row_count && mr_bytes_equal(task->rows[low].key, key);
    return low;
}

static mr_bytes value_of(const sim_folded *task, mr_bytes key)
{
    bool found;
    const uint32_t at = place_of(task, key, &found);
    return found ? task->rows[at].value : (mr_bytes){NULL, 0};
}

static void fold_row(sim_folded *task, mr_bytes key, mr_bytes value)
{
    bool found;
    const uint32_t at = place_of(task, key, &found);
    if (found)
        mr_hash128_subtract(&task->hash, mr_row_hash(key, task->rows[at].value));
    if (value.data == NULL) {
        if (found)
            memmove(task->rows + at, task->rows + at + 1,
                    (--task->row_count - at) * sizeof *task->rows);
        return;
    }
    mr_hash128_add(&task->hash, mr_row_hash(key, value));
    if (!found) {
        if (task->row_count == task->row_room) {
            task->row_room = task->row_room == 0 ? 64 : task->row_room * 2;
            task->rows = realloc(task->rows, task->row_room * sizeof *task->rows);
            MR_ASSERT(task->rows != NULL);
        }
        memmove(task->rows + at + 1, task->rows + at,
                (task->row_count++ - at) * sizeof *task->rows);
    }
    task->rows[at] = (sim_row){key, value};
}

static void pend(sim_folded *task, sim_row row)
{
    if (task->pending_count == task->pending_room) {
        task->pending_room = task->pending_room == 0 ? 64 : task->pending_room * 2;
        task->pending = realloc(task->pending, task->pending_room * sizeof *task->pending);
        MR_ASSERT(task->pending != NULL);
    }
    task->pending[task->pending_count++] = row;
}

// ---- I1: users

static void check_user(sim_check *check, uint32_t t, uint32_t user)
{
    char text[16];
    mr_row row = {0};
    mr_error err;
    const sim_folded *task = &check->tasks[t];
    snprintf(text, sizeof text, "uu%02u-%02u", t, user);
    const mr_bytes key = mr_bytes_text(text), value = value_of(task, key);
    mr_counted got = {0, 0};
    if (value.data != NULL && mr_row_open(key, value, &row, &err) != MR_OK) {
        violated(check, "I6: task %u, row %s: %s", t, text, err.text);
        return;
    }
    if (value.data != NULL && !mr_counting_read(key, row.payload, &got))
        violated(check, "task %u: the row of user %s cannot be read", t, text);
    const mr_counted want = task->users[user];
    if (got.count != want.count || got.sum != want.sum)
        violated(check,
                 "I1: task %u, seq %llu, user %s: counted %llu (%016llx), want %llu (%016llx)", t,
                 (unsigned long long)task->seq, text, (unsigned long long)got.count,
                 (unsigned long long)got.sum, (unsigned long long)want.count,
                 (unsigned long long)want.sum);
}

// The events below the marker's offset join the fold, and those of them that are bad have to have
// a dead letter each.
static void advance(sim_check *check, uint32_t t, int64_t offset, uint64_t letters)
{
    sim_folded *task = &check->tasks[t];
    uint64_t bad = 0;
    bool touched[SIM_USERS] = {false};
    if (offset < task->offset[0] || offset > (int64_t)check->event_count[t]) {
        violated(check, "I4: task %u, seq %llu: offset %lld after %lld of %u", t,
                 (unsigned long long)task->seq, (long long)offset, (long long)task->offset[0],
                 check->event_count[t]);
        return;
    }
    for (int64_t i = task->offset[0]; i < offset; i++) {
        const sim_event *event = &check->events[t][i];
        bad += event->bad;
        if (event->bad || event->again)
            continue;
        touched[event->user] = true;
        task->users[event->user].count++;
        task->users[event->user].sum += event->hash;
        check->items[event->item].count++;
        check->items[event->item].sum += event->hash;
    }
    task->offset[0] = offset;
    if (letters != bad)
        violated(check, "I4: task %u, seq %llu: %llu dead letters for %llu bad records", t,
                 (unsigned long long)task->seq, (unsigned long long)letters,
                 (unsigned long long)bad);
    for (uint32_t user = 0; user < SIM_USERS; user++) {
        if (touched[user])
            check_user(check, t, user);
    }
}

// ---- a transaction

typedef struct seen { // of one task in the transaction
    mr_bytes markers[MR_STORE_CHANGELOGS];
    uint64_t letters;
} seen;

static void visit_log(sim_check *check, sim_brokers *brokers, uint32_t tx, mr_topic topic,
                      uint32_t t, seen *s,
                      void (*visit)(sim_check *check, uint32_t t, mr_topic topic,
                                    const sim_record *record, seen *s))
{
    const sim_log *log = &brokers->topics[topic][t];
    if ((brokers->txs[tx].touched[topic] >> t & 1u) == 0)
        return;
    // Until a moment ago it was open, so that its records are not among the decided ones.
    for (uint32_t i = log->decided; i < log->count; i++) {
        if (log->records[i].tx == tx)
            visit(check, t, topic, &log->records[i], s);
    }
}

static void see_row(sim_check *check, uint32_t t, mr_topic topic, const sim_record *record, seen *s)
{
    if (mr_marker_is(record->key))
        s->markers[topic - MR_TOPIC_USER_ROWS] = record->value;
    else
        pend(&check->tasks[t], (sim_row){record->key, record->value});
}

static void see_letter(sim_check *check, uint32_t t, mr_topic topic, const sim_record *record,
                       seen *s)
{
    (void)check, (void)t, (void)topic, (void)record;
    s->letters++;
}

static void see_epoch_record(sim_check *check, uint32_t t, mr_topic topic, const sim_record *record,
                             seen *s)
{
    (void)t, (void)topic, (void)record, (void)s;
    check->epoch_records++;
}

static uint64_t read_long(const uint8_t **at)
{
    uint64_t raw = 0;
    for (int shift = 0;; shift += 7) {
        const uint8_t byte = *(*at)++;
        raw |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return raw >> 1 ^ (0 - (raw & 1));
    }
}

// A list begins with its id, the user and the version, behind a frame of ten bytes.
static void see_list(sim_check *check, uint32_t t, mr_topic topic, const sim_record *record,
                     seen *s)
{
    const uint8_t *at = record->value.data + 10;
    (void)topic, (void)s;
    at += read_long(&at);
    const uint64_t user_size = read_long(&at);
    const uint32_t user = (uint32_t)(at[4] - '0') * 10 + (uint32_t)(at[5] - '0');
    at += user_size;
    const uint64_t version = read_long(&at);
    if (version <= check->tasks[t].versions[user])
        violated(check, "I3: task %u, user %u: list version %llu after %llu", t, user,
                 (unsigned long long)version, (unsigned long long)check->tasks[t].versions[user]);
    check->tasks[t].versions[user] = version;
}

static void see_delta(sim_check *check, uint32_t t, mr_topic topic, const sim_record *record,
                      seen *s)
{
    mr_delta delta;
    mr_error err;
    (void)topic, (void)s;
    if (mr_delta_read(record->value, &delta, &err) != MR_OK) {
        violated(check, "I2: deltas to task %u: %s", t, err.text);
        return;
    }
    uint64_t *last = &check->tasks[t].last_link[delta.sender];
    if (delta.link != *last + 1)
        violated(check, "I2: link %llu after %llu from task %u to %u",
                 (unsigned long long)delta.link, (unsigned long long)*last, delta.sender, t);
    *last = delta.link;
}

static bool read_marker(sim_check *check, mr_bytes value, mr_marker *marker)
{
    mr_error err;
    *marker = (mr_marker){.pairs = check->pairs, .offsets = check->offsets, .links = check->links};
    if (mr_marker_read(value, marker, &err) == MR_OK)
        return true;
    violated(check, "a marker cannot be read: %s", err.text);
    return false;
}

static void check_marker(sim_check *check, const sim_brokers *brokers, const sim_tx *tx, uint32_t t,
                         const mr_marker *marker)
{
    sim_folded *task = &check->tasks[t];
    if (task->seq != 0 && marker->seq != task->seq + 1)
        violated(check, "I3: task %u: seq %llu after %llu", t, (unsigned long long)marker->seq,
                 (unsigned long long)task->seq);
    if (memcmp(marker->history,
               check->tasks[0].seq != 0 ? check->tasks[0].history : marker->history,
               sizeof marker->history) != 0)
        violated(check, "task %u is of another history", t);
    if (marker->clock_ms < task->clock_ms)
        violated(check, "I4: task %u: the clock falls", t);
    if (task->owner_generation == tx->generation && task->owner != tx->worker)
        violated(check, "I5: task %u, generation %llu: workers %u and %u commit", t,
                 (unsigned long long)tx->generation, task->owner, tx->worker);
    if (tx->generation == brokers->generation && brokers->owner[t] != tx->worker)
        violated(check, "I5: task %u, generation %llu: worker %u commits, the owner is %u", t,
                 (unsigned long long)tx->generation, tx->worker, brokers->owner[t]);
    memset(task->sent, 0, sizeof task->sent);
    memset(task->received, 0, sizeof task->received);
    for (uint32_t i = 0; i < marker->link_count; i++) {
        task->sent[marker->links[i].task] = marker->links[i].sent;
        task->received[marker->links[i].task] = marker->links[i].received;
    }
    task->owner_generation = tx->generation;
    task->owner = tx->worker;
    memcpy(task->history, marker->history, sizeof task->history);
    task->seq = marker->seq;
    task->clock_ms = marker->clock_ms;
}

static void check_task(sim_check *check, sim_brokers *brokers, uint32_t tx, uint32_t t)
{
    seen s = {0};
    mr_marker marker;
    sim_folded *task = &check->tasks[t];
    visit_log(check, brokers, tx, MR_TOPIC_USER_ROWS, t, &s, see_row);
    visit_log(check, brokers, tx, MR_TOPIC_ITEM_ROWS, t, &s, see_row);
    visit_log(check, brokers, tx, MR_TOPIC_DEAD_LETTERS, t, &s, see_letter);
    visit_log(check, brokers, tx, MR_TOPIC_LISTS, t, &s, see_list);
    visit_log(check, brokers, tx, MR_TOPIC_ITEM_DELTAS, t, &s, see_delta);
    visit_log(check, brokers, tx, MR_TOPIC_EPOCHS, t, &s, see_epoch_record);
    if (s.markers[0].data == NULL && s.markers[1].data == NULL)
        return; // its rows belong to a marker that follows
    if (s.markers[0].data == NULL || s.markers[1].data == NULL) {
        violated(check, "task %u: one changelog has a marker, the other none", t);
        return;
    }
    if (!read_marker(check, s.markers[0], &marker))
        return;
    check_marker(check, brokers, &brokers->txs[tx], t, &marker);
    for (uint32_t i = 0; i < task->pending_count; i++)
        fold_row(task, task->pending[i].key, task->pending[i].value);
    task->pending_count = 0;
    for (uint32_t i = 0; i < marker.offset_count; i++) {
        if (mr_bytes_equal(marker.offsets[i].topic, mr_bytes_text("clicks")))
            advance(check, t, marker.offsets[i].next, s.letters);
    }
    if (task->row_count != marker.row_count ||
        memcmp(&task->hash, &marker.state_hash, sizeof task->hash) != 0)
        violated(check,
                 "I6: task %u, seq %llu: the changelog has %u rows (%016llx), the marker says "
                 "%llu (%016llx)",
                 t, (unsigned long long)task->seq, task->row_count,
                 (unsigned long long)task->hash.low, (unsigned long long)marker.row_count,
                 (unsigned long long)marker.state_hash.low);
}

void sim_check_commit(void *context, sim_brokers *brokers, uint32_t tx)
{
    sim_check *check = context;
    check->commits++;
    if (brokers->txs[tx].generation == 0)
        violated(check, "a transaction of worker %u has no offsets", brokers->txs[tx].worker);
    for (uint32_t t = 0; t < check->task_count; t++)
        check_task(check, brokers, tx, t);
}

// ---- the local copy

void sim_check_write(void *context, const sim_disk *disk, uint32_t t)
{
    sim_check *check = context;
    const sim_folded *task = &check->tasks[t];
    const sim_rows *rows = &disk->now.tasks[t];
    mr_bytes markers[MR_STORE_CHANGELOGS];
    mr_marker marker;
    mr_error err;
    if (mr_marker_split(rows->marker, markers, &err) != MR_OK || markers[0].size == 0 ||
        markers[1].size == 0 || !read_marker(check, markers[1], &marker))
        return;
    const uint64_t second = marker.seq;
    if (!read_marker(check, markers[0], &marker))
        return;
    if (marker.seq > task->seq)
        violated(check, "I5: task %u: a local copy is at seq %llu, Kafka at %llu", t,
                 (unsigned long long)marker.seq, (unsigned long long)task->seq);
    if (marker.seq == second && rows->count != marker.row_count)
        violated(check, "I6: task %u, seq %llu: a local copy has %u rows, its marker says %llu", t,
                 (unsigned long long)marker.seq, rows->count, (unsigned long long)marker.row_count);
    if (marker.seq != task->seq || second != task->seq)
        return;
    if (rows->count != task->row_count) {
        violated(check, "I6: task %u, seq %llu: a local copy has %u rows, the changelog %u", t,
                 (unsigned long long)task->seq, rows->count, task->row_count);
        return;
    }
    for (uint32_t i = 0; i < rows->count; i++) {
        mr_row row;
        if (mr_row_open(rows->rows[i].key, rows->rows[i].value, &row, &err) != MR_OK)
            return; // damaged: the restore that is under way has not looked yet
        if (!mr_bytes_equal(rows->rows[i].key, task->rows[i].key) ||
            !mr_bytes_equal(rows->rows[i].value, task->rows[i].value)) {
            violated(check, "I6: task %u, seq %llu: a row of a local copy differs", t,
                     (unsigned long long)task->seq);
            return;
        }
    }
}

// ---- the end

bool sim_check_done(const sim_check *check, const sim_brokers *brokers)
{
    for (uint32_t t = 0; t < check->task_count; t++) {
        if (check->tasks[t].offset[0] != brokers->inputs[0][t].end)
            return false;
        for (uint32_t other = 0; other < check->task_count; other++) {
            if (check->tasks[t].sent[other] != check->tasks[other].received[t])
                return false;
        }
    }
    return true;
}

static void check_item(sim_check *check, uint32_t item)
{
    char text[16];
    const int length = snprintf(text, sizeof text, "i%02u", item);
    const uint64_t name = mr_item_key(mr_bytes_of(text, (size_t)length));
    const sim_folded *task = &check->tasks[name % check->task_count];
    mr_counted got = {0, 0};
    for (uint32_t i = 0; i < task->row_count; i++) {
        const mr_bytes key = task->rows[i].key;
        mr_counted one;
        mr_row row;
        mr_error err;
        if (key.data[0] != MR_ROW_ITEM || mr_get_u64_be(key.data + 3) != name ||
            mr_row_open(key, task->rows[i].value, &row, &err) != MR_OK ||
            !mr_counting_read(key, row.payload, &one))
            continue;
        got.count += one.count;
        got.sum += one.sum;
    }
    const mr_counted want = check->items[item];
    if (got.count != want.count || got.sum != want.sum)
        violated(check, "I1: item %s: counted %llu (%016llx), want %llu (%016llx)", text,
                 (unsigned long long)got.count, (unsigned long long)got.sum,
                 (unsigned long long)want.count, (unsigned long long)want.sum);
}

void sim_check_end(sim_check *check)
{
    for (uint32_t item = 0; item < SIM_ITEMS; item++)
        check_item(check, item);
    for (uint32_t t = 0; t < check->task_count; t++) {
        for (uint32_t user = 0; user < SIM_USERS; user++)
            check_user(check, t, user);
    }
}
