// SPDX-License-Identifier: Apache-2.0
#include "worker/frozen.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "state/row.h"

enum {
    CHUNK_BYTES = 1 << 20,
    ROW_VERSION = 1, // of the engine's rows: their parts have versions of their own
};

typedef struct chunk {
    struct chunk *next;
    size_t size, used;
    uint8_t bytes[];
} chunk;

struct mr_frozen {
    uint64_t number;
    size_t bytes, bytes_max;
    chunk *first, *current;
    mr_frozen_row *rows;
    uint32_t row_count, row_room;
    mr_record *records;
    uint32_t record_count, record_room;
    mr_offset *offsets;
    uint32_t offset_count, offset_room;
    mr_frozen_task *tasks;
    uint32_t task_count, task_room;
    uint32_t *index; // open addressing: row number + 1, by hash of task and key
    uint32_t index_room, index_mask;
    bool sealed;
    mr_error failure; // of a put; MR_OK: none
};

mr_status mr_frozen_open(size_t bytes_max, mr_frozen **frozen, mr_error *err)
{
    *frozen = calloc(1, sizeof **frozen);
    if (*frozen == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    (*frozen)->bytes_max = bytes_max;
    return MR_OK;
}

void mr_frozen_close(mr_frozen *frozen)
{
    if (frozen == NULL)
        return;
    for (chunk *c = frozen->first, *next; c != NULL; c = next) {
        next = c->next;
        free(c);
    }
    free(frozen->rows);
    free(frozen->records);
    free(frozen->offsets);
    free(frozen->tasks);
    free(frozen->index);
    free(frozen);
}

// Makes room for one more element of an array; false (and the failure noted) where there is none.
static bool grow(mr_frozen *frozen, void **array, uint32_t count, uint32_t *room, size_t element)
{
    if (frozen->failure.status != MR_OK)
        return false;
    if (count < *room)
        return true;
    const uint32_t more = *room == 0 ? 1024 : *room * 2;
    void *moved = more > *room ? realloc(*array, more * element) : NULL;
    if (moved == NULL) {
        mr_fail(&frozen->failure, MR_FATAL, "out of memory for the records of a commit");
        return false;
    }
    *array = moved;
    *room = more;
    return true;
}

// `size` bytes that stay where they are; NULL (and the failure noted) where there is no room.
static uint8_t *push(mr_frozen *frozen, size_t size)
{
    if (frozen->failure.status != MR_OK)
        return NULL;
    if (size > frozen->bytes_max - frozen->bytes) {
        mr_fail(&frozen->failure, MR_FATAL,
                "a commit holds more than %zu bytes: raise commit.bytes_max, or lower "
                "lists.per_commit.max or epoch.events_max",
                frozen->bytes_max);
        return NULL;
    }
    while (frozen->current != NULL && size > frozen->current->size - frozen->current->used &&
           frozen->current->next != NULL)
        frozen->current = frozen->current->next;
    if (frozen->current == NULL || size > frozen->current->size - frozen->current->used) {
        const size_t room = size > CHUNK_BYTES ? size : CHUNK_BYTES;
        chunk *fresh = malloc(sizeof *fresh + room);
        if (fresh == NULL) {
            mr_fail(&frozen->failure, MR_FATAL, "out of memory for the records of a commit");
            return NULL;
        }
        *fresh = (chunk){NULL, room, 0};
        if (frozen->current == NULL)
            frozen->first = fresh;
        else
            frozen->current->next = fresh; // current is the last one here
        frozen->current = fresh;
    }
    uint8_t *bytes = frozen->current->bytes + frozen->current->used;
    frozen->current->used += size;
    frozen->bytes += size;
    return bytes;
}

static bool copy(mr_frozen *frozen, mr_bytes from, mr_bytes *to)
{
    *to = from;
    if (from.data == NULL)
        return frozen->failure.status == MR_OK;
    // An empty value is not a null value: it keeps an address.
    uint8_t *bytes = push(frozen, from.size > 0 ? from.size : 1);
    if (bytes == NULL)
        return false;
    if (from.size > 0)
        memcpy(bytes, from.data, from.size);
    to->data = bytes;
    return true;
}

mr_status mr_frozen_begin(mr_frozen *frozen, uint64_t number, const uint32_t *tasks,
                          uint32_t task_count, mr_error *err)
{
    for (chunk *c = frozen->first; c != NULL; c = c->next)
        c->used = 0;
    frozen->current = frozen->first;
    frozen->bytes = 0;
    frozen->number = number;
    frozen->sealed = false;
    frozen->failure.status = MR_OK;
    frozen->row_count = frozen->record_count = frozen->offset_count = frozen->task_count = 0;
    for (uint32_t i = 0; i < task_count; i++) {
        void *array = frozen->tasks;
        const bool good =
            grow(frozen, &array, frozen->task_count, &frozen->task_room, sizeof *frozen->tasks);
        frozen->tasks = array;
        if (!good) {
            *err = frozen->failure;
            return err->status;
        }
        frozen->tasks[frozen->task_count++] = (mr_frozen_task){.task = tasks[i], .next = {-1, -1}};
    }
    return MR_OK;
}

static mr_frozen_task *task_of(mr_frozen *frozen, uint32_t task)
{
    uint32_t low = 0, high = frozen->task_count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (frozen->tasks[middle].task < task)
            low = middle + 1;
        else
            high = middle;
    }
    MR_ASSERT(low < frozen->task_count && frozen->tasks[low].task == task);
    return &frozen->tasks[low];
}

mr_hash128 mr_frozen_put_row(mr_frozen *frozen, uint32_t task, uint32_t changelog, mr_bytes key,
                             mr_bytes payload)
{
    mr_hash128 hash = {0, 0};
    mr_frozen_row row = {.task = task, .changelog = changelog};
    MR_ASSERT(!frozen->sealed && key.size > 0 && changelog < MR_STORE_CHANGELOGS);
    void *array = frozen->rows;
    const bool good =
        grow(frozen, &array, frozen->row_count, &frozen->row_room, sizeof *frozen->rows);
    frozen->rows = array;
    if (!good || !copy(frozen, key, &row.key))
        return hash;
    if (payload.size > 0) {
        uint8_t *out = push(frozen, MR_ROW_HEADER_BYTES + (size_t)payload.size);
        if (out == NULL)
            return hash;
        const mr_row open = {.kind = key.data[0], .version = ROW_VERSION, .payload = payload};
        row.value = mr_bytes_of(out, mr_row_seal(key, &open, out));
        hash = mr_row_hash(row.key, row.value);
    }
    mr_frozen_task *owner = task_of(frozen, task);
    owner->here_count[changelog]++;
    owner->here_xor[changelog].low ^= hash.low;
    owner->here_xor[changelog].high ^= hash.high;
    frozen->rows[frozen->row_count++] = row;
    return hash;
}

void mr_frozen_put_record(mr_frozen *frozen, const mr_record *record)
{
    mr_record kept = *record;
    MR_ASSERT(!frozen->sealed);
    void *array = frozen->records;
    bool good =
        grow(frozen, &array, frozen->record_count, &frozen->record_room, sizeof *frozen->records);
    frozen->records = array;
    good = good && copy(frozen, record->key, &kept.key) && copy(frozen, record->value, &kept.value);
    if (good && record->header_count > 0) {
        // Headers are pointers and have to be aligned.
        const size_t size = record->header_count * sizeof *record->headers;
        uint8_t *bytes = push(frozen, size + alignof(mr_header));
        if (bytes == NULL)
            return;
        bytes += (alignof(mr_header) - (uintptr_t)bytes % alignof(mr_header)) % alignof(mr_header);
        mr_header *headers = (mr_header *)(void *)bytes;
        for (uint32_t i = 0; i < record->header_count; i++) {
            const mr_bytes name = {(const uint8_t *)record->headers[i].name,
                                   (uint32_t)strlen(record->headers[i].name) + 1};
            mr_bytes kept_name;
            if (!copy(frozen, name, &kept_name) ||
                !copy(frozen, record->headers[i].value, &headers[i].value))
                return;
            headers[i].name = (const char *)kept_name.data;
        }
        kept.headers = headers;
    }
    if (good)
        frozen->records[frozen->record_count++] = kept;
}

void mr_frozen_put_marker(mr_frozen *frozen, uint32_t task, uint32_t changelog, mr_bytes sealed)
{
    MR_ASSERT(!frozen->sealed && changelog < MR_STORE_CHANGELOGS);
    (void)copy(frozen, sealed, &task_of(frozen, task)->markers[changelog]);
}

void mr_frozen_put_offset(mr_frozen *frozen, mr_offset offset)
{
    MR_ASSERT(!frozen->sealed && offset.next >= 0);
    void *array = frozen->offsets;
    const bool good =
        grow(frozen, &array, frozen->offset_count, &frozen->offset_room, sizeof *frozen->offsets);
    frozen->offsets = array;
    if (good)
        frozen->offsets[frozen->offset_count++] = offset;
}

static uint32_t place_of(const mr_frozen *frozen, uint32_t task, mr_bytes key)
{
    return (uint32_t)mr_hash64(key.data, key.size, task) & frozen->index_mask;
}

static mr_status build_index(mr_frozen *frozen, mr_error *err)
{
    uint32_t room = 1024;
    while (room < 2 * frozen->row_count)
        room *= 2;
    if (room > frozen->index_room) {
        uint32_t *index = realloc(frozen->index, room * sizeof *index);
        if (index == NULL)
            return mr_fail(err, MR_FATAL, "out of memory for the index of a commit");
        frozen->index = index;
        frozen->index_room = room;
    }
    frozen->index_mask = room - 1;
    memset(frozen->index, 0, room * sizeof *frozen->index);
    for (uint32_t i = 0; i < frozen->row_count; i++) {
        uint32_t place = place_of(frozen, frozen->rows[i].task, frozen->rows[i].key);
        while (frozen->index[place] != 0)
            place = (place + 1) & frozen->index_mask;
        frozen->index[place] = i + 1;
    }
    return MR_OK;
}

mr_status mr_frozen_seal(mr_frozen *frozen, mr_error *err)
{
    if (frozen->failure.status != MR_OK) {
        *err = frozen->failure;
        return err->status;
    }
    // Markers for all tasks, or for none: then a later commit makes the rows valid.
    const bool marked = frozen->tasks[0].markers[0].size > 0;
    for (uint32_t i = 0; i < frozen->task_count; i++) {
        for (int c = 0; c < MR_STORE_CHANGELOGS; c++)
            MR_ASSERT((frozen->tasks[i].markers[c].size > 0) == marked);
    }
    MR_TRY(build_index(frozen, err));
    frozen->sealed = true;
    return MR_OK;
}

uint64_t mr_frozen_number(const mr_frozen *frozen)
{
    return frozen->number;
}

size_t mr_frozen_bytes(const mr_frozen *frozen)
{
    return frozen->bytes;
}

const mr_frozen_row *mr_frozen_rows(const mr_frozen *frozen, uint32_t *count)
{
    *count = frozen->row_count;
    return frozen->rows;
}

const mr_record *mr_frozen_records(const mr_frozen *frozen, uint32_t *count)
{
    *count = frozen->record_count;
    return frozen->records;
}

const mr_offset *mr_frozen_offsets(const mr_frozen *frozen, uint32_t *count)
{
    *count = frozen->offset_count;
    return frozen->offsets;
}

mr_frozen_task *mr_frozen_tasks(const mr_frozen *frozen, uint32_t *count)
{
    *count = frozen->task_count;
    return frozen->tasks;
}

const mr_frozen_row *mr_frozen_find(const mr_frozen *frozen, uint32_t task, mr_bytes key)
{
    MR_ASSERT(frozen->sealed);
    for (uint32_t place = place_of(frozen, task, key); frozen->index[place] != 0;
         place = (place + 1) & frozen->index_mask) {
        const mr_frozen_row *row = &frozen->rows[frozen->index[place] - 1];
        if (row->task == task && mr_bytes_equal(row->key, key))
            return row;
    }
    return NULL;
}
