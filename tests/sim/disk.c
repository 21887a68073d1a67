// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/disk.h"

#include <stdlib.h>
#include <string.h>

#include "state/row.h"

enum { PAGE_BYTES = 1 << 17 };

// Bytes and arrays are never changed once they are there, so that older images share them.
typedef struct sim_page {
    struct sim_page *next;
    size_t used, size;
    uint8_t bytes[] __attribute__((aligned(16)));
} sim_page;

static void *push(sim_disk *disk, size_t size)
{
    sim_page *page = disk->pages;
    size = (size + 15u) & ~(size_t)15u;
    if (page == NULL || page->size - page->used < size) {
        const size_t room = size > PAGE_BYTES ? size : PAGE_BYTES;
        page = malloc(sizeof *page + room);
        MR_ASSERT(page != NULL);
        *page = (sim_page){.next = disk->pages, .size = room};
        disk->pages = page;
    }
    page->used += size;
    return page->bytes + page->used - size;
}

static mr_bytes keep(sim_disk *disk, mr_bytes bytes)
{
    if (bytes.data == NULL)
        return bytes;
    void *to = push(disk, bytes.size);
    memcpy(to, bytes.data, bytes.size);
    return mr_bytes_of(to, bytes.size);
}

void sim_disk_open(sim_disk *disk, const int64_t *now_ms)
{
    *disk = (sim_disk){.now_ms = now_ms};
}

void sim_disk_close(sim_disk *disk)
{
    for (sim_page *page = disk->pages; page != NULL;) {
        sim_page *next = page->next;
        free(page);
        page = next;
    }
}

static mr_status usable(const sim_disk *disk, bool writes, mr_error *err)
{
    if (*disk->dead)
        return mr_fail(err, MR_FATAL, "killed");
    if (writes && *disk->now_ms < disk->full_until_ms)
        return mr_fail(err, MR_RETRY, "the disk is full");
    return MR_OK;
}

static void remember(sim_disk *disk)
{
    memmove(disk->before + 1, disk->before, (SIM_UNDO_MAX - 1) * sizeof disk->before[0]);
    disk->before[0] = disk->now;
    if (disk->before_count < SIM_UNDO_MAX)
        disk->before_count++;
}

static uint32_t place_of(const sim_rows *rows, mr_bytes key, bool *found)
{
    uint32_t low = 0, high = rows->count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (mr_bytes_compare(rows->rows[middle].key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *found = low < rows->count && mr_bytes_equal(rows->rows[low].key, key);
    return low;
}

static void put(sim_disk *disk, sim_rows *rows, mr_bytes key, mr_bytes value)
{
    bool found;
    const uint32_t at = place_of(rows, key, &found);
    if (value.data == NULL) {
        if (found)
            memmove(rows->rows + at, rows->rows + at + 1,
                    (--rows->count - at) * sizeof *rows->rows);
        return;
    }
    if (!found) {
        memmove(rows->rows + at + 1, rows->rows + at, (rows->count++ - at) * sizeof *rows->rows);
        rows->rows[at].key = keep(disk, key);
    }
    rows->rows[at].value = keep(disk, value);
}

// The rows as an array that may be changed, with room for more.
static void own(sim_disk *disk, sim_rows *rows, uint32_t more)
{
    sim_row *copy = push(disk, (rows->count + more + 1) * sizeof *copy);
    if (rows->count > 0)
        memcpy(copy, rows->rows, rows->count * sizeof *copy);
    rows->rows = copy;
}

static mr_status disk_write(void *context, const mr_store_batch *batch, mr_error *err)
{
    sim_disk *disk = context;
    MR_TRY(usable(disk, true, err));
    remember(disk);
    for (uint32_t p = 0; p < batch->part_count; p++) {
        const mr_store_part *part = &batch->parts[p];
        sim_rows *rows = &disk->now.tasks[part->task];
        own(disk, rows, part->row_count);
        for (uint32_t i = 0; i < part->row_count; i++)
            put(disk, rows, part->rows[i].key, part->rows[i].value);
        rows->marker = keep(disk, part->marker);
        for (uint32_t c = 0; c < MR_STORE_CHANGELOGS; c++) {
            if (part->offsets[c] >= 0)
                rows->offsets[c] = part->offsets[c];
        }
        if (disk->on_write != NULL)
            disk->on_write(disk->on_write_context, disk, part->task);
    }
    return MR_OK;
}

static mr_status disk_drop(void *context, uint32_t task, mr_error *err)
{
    sim_disk *disk = context;
    MR_TRY(usable(disk, true, err));
    remember(disk);
    disk->now.tasks[task] = (sim_rows){0};
    return MR_OK;
}

static mr_status disk_identify(void *context, const mr_store_identity *identity, mr_error *err)
{
    sim_disk *disk = context;
    MR_TRY(usable(disk, true, err));
    remember(disk);
    disk->now.identity = *identity;
    return MR_OK;
}

static mr_status disk_identity(void *context, mr_store_identity *identity, mr_error *err)
{
    const sim_disk *disk = context;
    *identity = disk->now.identity;
    return usable(disk, false, err);
}

static mr_status disk_task(void *context, uint32_t task, mr_store_task *out, bool *found,
                           mr_error *err)
{
    const sim_disk *disk = context;
    const sim_rows *rows = &disk->now.tasks[task];
    *found = rows->marker.data != NULL;
    if (*found) {
        memcpy(out->marker, rows->marker.data, rows->marker.size);
        out->marker_bytes = rows->marker.size;
        memcpy(out->offsets, rows->offsets, sizeof out->offsets);
    }
    return usable(disk, false, err);
}

static mr_status add_up(const sim_rows *rows, mr_load_result *found, mr_error *err)
{
    *found = (mr_load_result){0};
    for (uint32_t i = 0; i < rows->count; i++) {
        mr_row row;
        MR_TRY(mr_row_open(rows->rows[i].key, rows->rows[i].value, &row, err));
        const mr_hash128 hash = mr_row_hash(rows->rows[i].key, rows->rows[i].value);
        mr_hash128_add(&found->state_hash, hash);
        found->row_count++;
    }
    return MR_OK;
}

static mr_status disk_measure(void *context, uint32_t task, mr_load_result *found, mr_error *err)
{
    const sim_disk *disk = context;
    MR_TRY(usable(disk, false, err));
    return add_up(&disk->now.tasks[task], found, err);
}

static mr_status disk_get(void *context, uint32_t task, mr_bytes key, uint8_t *buffer,
                          uint32_t buffer_bytes, uint32_t *value_bytes, mr_error *err)
{
    const sim_disk *disk = context;
    const sim_rows *rows = &disk->now.tasks[task];
    bool found;
    const uint32_t at = place_of(rows, key, &found);
    *value_bytes = found ? rows->rows[at].value.size : 0;
    MR_ASSERT(*value_bytes <= buffer_bytes);
    if (found)
        memcpy(buffer, rows->rows[at].value.data, *value_bytes);
    return usable(disk, false, err);
}

static mr_status disk_each(void *context, uint32_t task, mr_store_visit *visit, void *visit_context,
                           mr_error *err)
{
    const sim_disk *disk = context;
    const sim_rows *rows = &disk->now.tasks[task];
    MR_TRY(usable(disk, false, err));
    for (uint32_t i = 0; i < rows->count; i++)
        MR_TRY(visit(visit_context, rows->rows[i].key, rows->rows[i].value, err));
    return MR_OK;
}

static void disk_refresh(void *context)
{
    (void)context;
}

static mr_status disk_load_begin(void *context, uint32_t task, mr_error *err)
{
    sim_disk *disk = context;
    disk->load = (sim_rows){0};
    disk->load_task = task;
    return usable(disk, true, err);
}

static mr_status disk_load_put(void *context, mr_bytes key, mr_bytes value, mr_error *err)
{
    sim_disk *disk = context;
    if (disk->load.count % 64 == 0)
        own(disk, &disk->load, 64);
    put(disk, &disk->load, key, value);
    return usable(disk, false, err);
}

static mr_status disk_load_finish(void *context, mr_bytes marker,
                                  const int64_t offsets[MR_STORE_CHANGELOGS],
                                  mr_load_result *result, mr_error *err)
{
    sim_disk *disk = context;
    MR_TRY(usable(disk, true, err));
    MR_TRY(add_up(&disk->load, result, err));
    remember(disk);
    disk->load.marker = keep(disk, marker);
    memcpy(disk->load.offsets, offsets, sizeof disk->load.offsets);
    disk->now.tasks[disk->load_task] = disk->load;
    disk->on_write(disk->on_write_context, disk, disk->load_task);
    return MR_OK;
}

static void disk_load_end(void *context)
{
    sim_disk *disk = context;
    disk->load = (sim_rows){0};
}

mr_store_port sim_disk_port(sim_disk *disk)
{
    return (mr_store_port){
        .context = disk,
        .write = disk_write,
        .drop = disk_drop,
        .identify = disk_identify,
        .identity = disk_identity,
        .task = disk_task,
        .measure = disk_measure,
        .get = disk_get,
        .each = disk_each,
        .refresh = disk_refresh,
        .load_begin = disk_load_begin,
        .load_put = disk_load_put,
        .load_finish = disk_load_finish,
        .load_end = disk_load_end,
    };
}

void sim_disk_undo(sim_disk *disk, uint32_t writes)
{
    if (writes > disk->before_count)
        writes = disk->before_count;
    if (writes > 0)
        disk->now = disk->before[writes - 1];
    disk->before_count = 0;
}

void sim_disk_lose(sim_disk *disk)
{
    disk->now = (sim_image){0};
    disk->before_count = 0;
}

bool sim_disk_flip(sim_disk *disk, sim_chance *chance)
{
    const uint32_t task = sim_below(chance, SIM_TASKS_MAX);
    sim_rows *rows = &disk->now.tasks[task];
    if (rows->count == 0)
        return false;
    own(disk, rows, 0);
    sim_row *row = &rows->rows[sim_below(chance, rows->count)];
    uint8_t *copy = push(disk, row->value.size);
    memcpy(copy, row->value.data, row->value.size);
    copy[sim_below(chance, row->value.size)] ^= (uint8_t)(1u << sim_below(chance, 8));
    row->value = mr_bytes_of(copy, row->value.size);
    return true;
}
