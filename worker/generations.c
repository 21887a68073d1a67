// SPDX-License-Identifier: Apache-2.0
#include "worker/generations.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "state/row.h"
#include "worker/marker.h"

typedef struct entry { // a row of a confirmed commit, while they are merged
    const mr_frozen_row *row;
    uint32_t age; // 0: the newest commit
} entry;

struct mr_generations {
    mr_generations_options options;
    const mr_store_port *store;
    const mr_clock *clock;

    // Under the lock: who is in which generation. launched: numbers rise, oldest first; the first
    // confirmed_count of them are confirmed, the rest in flight.
    pthread_mutex_t lock;
    mr_frozen *launched[MR_GENERATIONS_MAX];
    uint32_t launched_count, confirmed_count;
    mr_frozen *spare[MR_GENERATIONS_MAX];
    uint32_t spare_count, made;
    size_t confirmed_bytes;
    int64_t oldest_ms; // when the oldest confirmed one was confirmed
    uint64_t stored;   // writes to the store
    struct place {     // by task: where its changelogs go on
        int64_t next[MR_STORE_CHANGELOGS];
        bool ours; // behind a commit of ours
    } * places;
    bool *committed;    // by task: a commit of ours ends there
    uint64_t refreshed; // the write up to which the reader of the store has looked

    // The committing thread's own, kept from write to write.
    entry *entries;
    mr_store_row *rows;
    uint32_t room;
    mr_store_part *parts;
    uint8_t *marker_bytes;
    uint32_t part_room;
};

mr_status mr_generations_open(const mr_generations_options *options, uint32_t tasks,
                              const mr_store_port *store, const mr_clock *clock,
                              mr_generations **out, mr_error *err)
{
    mr_generations *generations = calloc(1, sizeof *generations);
    if (generations != NULL)
        generations->places = calloc(tasks, sizeof *generations->places);
    if (generations == NULL || generations->places == NULL) {
        free(generations);
        return mr_fail(err, MR_FATAL, "out of memory");
    }
    generations->options = *options;
    generations->store = store;
    generations->clock = clock;
    pthread_mutex_init(&generations->lock, NULL);
    *out = generations;
    return MR_OK;
}

void mr_generations_close(mr_generations *generations)
{
    if (generations == NULL)
        return;
    for (uint32_t i = 0; i < generations->launched_count; i++)
        mr_frozen_close(generations->launched[i]);
    for (uint32_t i = 0; i < generations->spare_count; i++)
        mr_frozen_close(generations->spare[i]);
    pthread_mutex_destroy(&generations->lock);
    free(generations->places);
    free(generations->entries);
    free(generations->rows);
    free(generations->parts);
    free(generations->marker_bytes);
    free(generations);
}

mr_status mr_generations_begin(mr_generations *generations, mr_frozen **frozen, mr_error *err)
{
    mr_status status = MR_OK;
    pthread_mutex_lock(&generations->lock);
    if (generations->spare_count > 0) {
        *frozen = generations->spare[--generations->spare_count];
    } else if (generations->made == MR_GENERATIONS_MAX) {
        status = mr_fail(err, MR_RETRY, "%u commits wait to be stored", generations->made);
    } else {
        status = mr_frozen_open(generations->options.commit_bytes_max, frozen, err);
        generations->made += status == MR_OK;
    }
    pthread_mutex_unlock(&generations->lock);
    return status;
}

void mr_generations_cancel(mr_generations *generations, mr_frozen *frozen)
{
    pthread_mutex_lock(&generations->lock);
    generations->spare[generations->spare_count++] = frozen;
    pthread_mutex_unlock(&generations->lock);
}

void mr_generations_launch(mr_generations *generations, mr_frozen *frozen)
{
    pthread_mutex_lock(&generations->lock);
    const uint32_t count = generations->launched_count;
    MR_ASSERT(count < MR_GENERATIONS_MAX);
    MR_ASSERT(count == 0 ||
              mr_frozen_number(generations->launched[count - 1]) < mr_frozen_number(frozen));
    generations->launched[generations->launched_count++] = frozen;
    pthread_mutex_unlock(&generations->lock);
}

static void place(mr_generations *generations, uint32_t task,
                  const int64_t next[MR_STORE_CHANGELOGS], bool ours)
{
    struct place *at = &generations->places[task];
    memcpy(at->next, next, sizeof at->next);
    at->ours = ours;
}

void mr_generations_confirm(mr_generations *generations, mr_frozen *frozen)
{
    uint32_t task_count;
    pthread_mutex_lock(&generations->lock);
    MR_ASSERT(generations->confirmed_count < generations->launched_count);
    MR_ASSERT(generations->launched[generations->confirmed_count] == frozen);
    if (generations->confirmed_count++ == 0)
        generations->oldest_ms = generations->clock->now_ms(generations->clock->context);
    generations->confirmed_bytes += mr_frozen_bytes(frozen);
    const mr_frozen_task *tasks = mr_frozen_tasks(frozen, &task_count);
    for (uint32_t i = 0; i < task_count; i++)
        place(generations, tasks[i].task, tasks[i].next, true);
    pthread_mutex_unlock(&generations->lock);
}

void mr_generations_place(mr_generations *generations, uint32_t task,
                          const int64_t next[MR_STORE_CHANGELOGS])
{
    pthread_mutex_lock(&generations->lock);
    place(generations, task, next, false);
    pthread_mutex_unlock(&generations->lock);
}

bool mr_generations_placed(mr_generations *generations, uint32_t task,
                           int64_t next[MR_STORE_CHANGELOGS])
{
    const struct place *at = &generations->places[task];
    pthread_mutex_lock(&generations->lock);
    memcpy(next, at->next, sizeof at->next);
    const bool ours = at->ours;
    pthread_mutex_unlock(&generations->lock);
    return ours;
}

void mr_generations_drop(mr_generations *generations, mr_frozen *frozen)
{
    pthread_mutex_lock(&generations->lock);
    MR_ASSERT(generations->launched_count > generations->confirmed_count);
    MR_ASSERT(generations->launched[generations->launched_count - 1] == frozen);
    generations->launched_count--;
    generations->spare[generations->spare_count++] = frozen;
    pthread_mutex_unlock(&generations->lock);
}

bool mr_generations_due(mr_generations *generations)
{
    const int64_t now_ms = generations->clock->now_ms(generations->clock->context);
    pthread_mutex_lock(&generations->lock);
    const uint32_t count = generations->confirmed_count;
    // A full pool is due too: the next commit waits for it.
    const bool due =
        count > 0 && (now_ms - generations->oldest_ms >= generations->options.gather_ms ||
                      generations->confirmed_bytes >= generations->options.gather_bytes ||
                      count >= MR_GENERATIONS_MAX - 4);
    pthread_mutex_unlock(&generations->lock);
    return due;
}

static int compare_entries(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    if (x->row->task != y->row->task)
        return x->row->task < y->row->task ? -1 : 1;
    const int order = mr_bytes_compare(x->row->key, y->row->key);
    return order != 0 ? order : (x->age > y->age) - (x->age < y->age);
}

static mr_status make_room(mr_generations *generations, size_t rows, size_t parts, mr_error *err)
{
    if (rows > generations->room) {
        free(generations->entries);
        free(generations->rows);
        generations->entries = malloc(rows * sizeof *generations->entries);
        generations->rows = malloc(rows * sizeof *generations->rows);
        generations->room =
            generations->entries != NULL && generations->rows != NULL ? (uint32_t)rows : 0;
    }
    if (parts > generations->part_room) {
        free(generations->parts);
        free(generations->marker_bytes);
        generations->parts = malloc(parts * sizeof *generations->parts);
        generations->marker_bytes = malloc(parts * MR_STORE_MARKER_MAX);
        generations->part_room =
            generations->parts != NULL && generations->marker_bytes != NULL ? (uint32_t)parts : 0;
    }
    if (rows > generations->room || parts > generations->part_room)
        return mr_fail(err, MR_RETRY, "out of memory for a write of %zu rows", rows);
    return MR_OK;
}

// The rows of all confirmed commits, by task and key, only the newest of each key.
static uint32_t merge_rows(mr_generations *generations, uint32_t confirmed)
{
    uint32_t count = 0, merged = 0;
    for (uint32_t i = 0; i < confirmed; i++) {
        uint32_t row_count;
        const mr_frozen_row *rows = mr_frozen_rows(generations->launched[i], &row_count);
        for (uint32_t j = 0; j < row_count; j++)
            generations->entries[count++] = (entry){&rows[j], confirmed - 1 - i};
    }
    if (count > 0) // without a row there was no room to make yet, and qsort wants an array
        qsort(generations->entries, count, sizeof *generations->entries, compare_entries);
    for (uint32_t i = 0; i < count; i++) {
        const mr_frozen_row *row = generations->entries[i].row;
        const mr_frozen_row *last = merged > 0 ? generations->entries[merged - 1].row : NULL;
        if (last != NULL && last->task == row->task && mr_bytes_equal(last->key, row->key))
            continue; // an older value: the newest came first
        generations->entries[merged++] = generations->entries[i];
    }
    for (uint32_t i = 0; i < merged; i++)
        generations->rows[i] =
            (mr_store_row){generations->entries[i].row->key, generations->entries[i].row->value};
    return merged;
}

// One part a task of the newest commit: every commit covers all tasks of the worker.
static uint32_t make_parts(mr_generations *generations, const mr_frozen *newest, uint32_t row_count)
{
    uint32_t task_count, row = 0;
    const mr_frozen_task *tasks = mr_frozen_tasks(newest, &task_count);
    for (uint32_t i = 0; i < task_count; i++) {
        uint8_t *marker = generations->marker_bytes + (size_t)i * MR_STORE_MARKER_MAX;
        mr_store_part *part = &generations->parts[i];
        const uint32_t first = row;
        while (row < row_count && generations->entries[row].row->task == tasks[i].task)
            row++;
        *part = (mr_store_part){
            .task = tasks[i].task,
            .rows = generations->rows + first,
            .row_count = row - first,
            .marker = mr_bytes_of(marker, mr_marker_join(tasks[i].markers, marker)),
        };
        memcpy(part->offsets, tasks[i].next, sizeof part->offsets);
    }
    MR_ASSERT(row == row_count);
    return task_count;
}

static mr_status write_confirmed(mr_generations *generations, uint32_t confirmed, mr_error *err)
{
    size_t rows = 0;
    uint32_t count;
    for (uint32_t i = 0; i < confirmed; i++) {
        mr_frozen_rows(generations->launched[i], &count);
        rows += count;
    }
    const mr_frozen *newest = generations->launched[confirmed - 1];
    mr_frozen_tasks(newest, &count);
    MR_TRY(make_room(generations, rows, count, err));
    const uint32_t merged = merge_rows(generations, confirmed);
    const mr_store_batch batch = {generations->parts, make_parts(generations, newest, merged)};
    return generations->store->write(generations->store->context, &batch, err);
}

mr_status mr_generations_store(mr_generations *generations, mr_error *err)
{
    // Only this thread takes commits out, so what is confirmed now stays where it is; the lock is
    // not held while the disk works.
    pthread_mutex_lock(&generations->lock);
    const uint32_t confirmed = generations->confirmed_count;
    pthread_mutex_unlock(&generations->lock);
    if (confirmed == 0)
        return MR_OK;
    MR_TRY(write_confirmed(generations, confirmed, err));

    pthread_mutex_lock(&generations->lock);
    for (uint32_t i = 0; i < confirmed; i++) {
        generations->confirmed_bytes -= mr_frozen_bytes(generations->launched[i]);
        generations->spare[generations->spare_count++] = generations->launched[i];
    }
    generations->launched_count -= confirmed;
    generations->confirmed_count -= confirmed;
    memmove(generations->launched, generations->launched + confirmed,
            generations->launched_count * sizeof generations->launched[0]);
    generations->oldest_ms = generations->clock->now_ms(generations->clock->context);
    generations->stored++;
    pthread_mutex_unlock(&generations->lock);
    return MR_OK;
}

mr_generations_sizes mr_generations_measure(mr_generations *generations)
{
    pthread_mutex_lock(&generations->lock);
    const mr_generations_sizes sizes = {
        .in_flight = generations->launched_count - generations->confirmed_count,
        .confirmed = generations->confirmed_count,
        .confirmed_bytes = generations->confirmed_bytes,
        .writes = generations->stored,
    };
    pthread_mutex_unlock(&generations->lock);
    return sizes;
}

void mr_generations_refresh(mr_generations *generations)
{
    pthread_mutex_lock(&generations->lock);
    const bool stale = generations->refreshed != generations->stored;
    generations->refreshed = generations->stored;
    pthread_mutex_unlock(&generations->lock);
    if (stale)
        generations->store->refresh(generations->store->context);
}

mr_status mr_generations_get(mr_generations *generations, uint32_t task, mr_bytes key,
                             uint8_t *buffer, uint32_t *value_bytes, mr_error *err)
{
    const mr_frozen_row *row = NULL;
    pthread_mutex_lock(&generations->lock);
    for (uint32_t i = generations->launched_count; i > 0 && row == NULL; i--)
        row = mr_frozen_find(generations->launched[i - 1], task, key);
    if (row != NULL) {
        *value_bytes = row->value.size;
        if (row->value.size > 0)
            memcpy(buffer, row->value.data, row->value.size);
    }
    pthread_mutex_unlock(&generations->lock);
    // A row that is in no frozen commit is in the store as of the last write, or nowhere: commits
    // leave only after that write.
    mr_generations_refresh(generations);
    if (row != NULL)
        return MR_OK;
    return generations->store->get(generations->store->context, task, key, buffer, MR_ROW_BYTES_MAX,
                                   value_bytes, err);
}

mr_status mr_generations_fetch(mr_generations *generations, uint32_t task, mr_bytes key,
                               uint8_t *buffer, mr_bytes *value, mr_hash128 *hash, mr_error *err)
{
    uint32_t size;
    mr_row row;
    *value = (mr_bytes){NULL, 0};
    *hash = (mr_hash128){0, 0};
    MR_TRY(mr_generations_get(generations, task, key, buffer, &size, err));
    if (size == 0)
        return MR_OK;
    const mr_bytes sealed = mr_bytes_of(buffer, size);
    MR_TRY(mr_row_open(key, sealed, &row, err));
    *value = row.payload;
    *hash = mr_row_hash(key, sealed);
    return MR_OK;
}
