// SPDX-License-Identifier: Apache-2.0
#include "core/task.h"

// Chunks are at least this many on average once the window is full of small commits; more commits
// than this drop the oldest chunk early, by count, which is a bound of memory and part of the
// window's rule.
static uint32_t chunks_for(uint32_t dedup_events_max)
{
    const uint32_t chunks = dedup_events_max / 16 + 64;
    return chunks;
}

size_t mr_task_bytes(uint32_t dedup_events_max, uint32_t open_events_max, uint32_t admission_ids)
{
    const uint32_t past_max = dedup_events_max + open_events_max;
    return mr_arena_round(past_max * sizeof(mr_past)) + mr_map_bytes(past_max) +
           mr_arena_round(chunks_for(dedup_events_max) * sizeof(mr_chunk)) +
           mr_admission_bytes(admission_ids);
}

void mr_task_init(mr_task *task, uint32_t dedup_events_max, int64_t window_ms,
                  uint32_t open_events_max, uint32_t admission_ids, mr_arena *arena)
{
    *task = (mr_task){
        .past_max = dedup_events_max + open_events_max,
        .chunk_max = chunks_for(dedup_events_max),
        .window_events_max = dedup_events_max,
        .window_ms = window_ms,
    };
    task->past = mr_arena_push(arena, task->past_max * sizeof(mr_past));
    mr_map_init(&task->by_hash, task->past_max, arena);
    task->chunks = mr_arena_push(arena, task->chunk_max * sizeof(mr_chunk));
    mr_admission_init(&task->admission, admission_ids, arena);
}

void mr_task_reset(mr_task *task)
{
    task->taken = task->loading = task->moved = false;
    task->next_seq = task->epoch = task->shown = 0;
    task->clock_ms = 0;
    task->counters = (mr_task_counters){0};
    task->row_count = 0;
    task->state_hash = task->row_hash = (mr_hash128){0, 0};
    task->past_first = task->past_end = task->past_open = 0;
    task->chunk_first = task->chunk_end = 0;
    task->saved_chunk_end = task->saved_past_end = 0;
    mr_map_clear(&task->by_hash);
    mr_admission_clear(&task->admission);
}

bool mr_task_knows(const mr_task *task, uint64_t event_hash)
{
    return event_hash != 0 && mr_map_get(&task->by_hash, event_hash) != MR_MAP_NONE;
}

uint32_t mr_task_room(const mr_task *task)
{
    return task->past_max - mr_task_past_count(task);
}

static void index_event(mr_task *task, uint64_t n)
{
    const uint64_t hash = task->past[n % task->past_max].event_hash;
    if (hash != 0 && mr_map_get(&task->by_hash, hash) == MR_MAP_NONE)
        mr_map_put(&task->by_hash, hash, (uint32_t)(n & 0x7fffffff));
}

void mr_task_remember(mr_task *task, uint64_t event_hash, uint64_t item_key)
{
    MR_ASSERT(mr_task_room(task) > 0);
    task->past[task->past_end % task->past_max] = (mr_past){event_hash, item_key};
    index_event(task, task->past_end++);
}

static void drop_chunk(mr_task *task)
{
    const mr_chunk *chunk = &task->chunks[task->chunk_first++ % task->chunk_max];
    for (uint64_t n = chunk->first; n < chunk->first + chunk->count; n++) {
        const uint64_t hash = task->past[n % task->past_max].event_hash;
        if (hash != 0 && mr_map_get(&task->by_hash, hash) == (uint32_t)(n & 0x7fffffff))
            mr_map_remove(&task->by_hash, hash);
    }
    task->past_first = chunk->first + chunk->count;
}

static bool chunk_left_window(const mr_task *task)
{
    if (task->chunk_first == task->chunk_end)
        return false;
    const mr_chunk *oldest = &task->chunks[task->chunk_first % task->chunk_max];
    return mr_task_past_count(task) - oldest->count >= task->window_events_max ||
           oldest->last_ms < task->clock_ms - task->window_ms ||
           task->chunk_end - task->chunk_first == task->chunk_max;
}

static mr_bytes encode_chunk(const mr_task *task, const mr_chunk *chunk, uint8_t *out)
{
    memcpy(out, &chunk->last_ms, 8);
    memcpy(out + 8, &chunk->first, 8);
    for (uint32_t i = 0; i < chunk->count; i++)
        memcpy(out + 16 + i * sizeof(mr_past), &task->past[(chunk->first + i) % task->past_max],
               sizeof(mr_past));
    return mr_bytes_of(out, 16 + chunk->count * sizeof(mr_past));
}

void mr_task_cut(mr_task *task, uint8_t *scratch,
                 void (*put)(void *context, uint64_t number, mr_bytes payload, mr_hash128 *hash),
                 void *context)
{
    while (task->past_open < task->past_end || chunk_left_window(task)) {
        if (chunk_left_window(task)) {
            mr_chunk *oldest = &task->chunks[task->chunk_first % task->chunk_max];
            put(context, oldest->number, (mr_bytes){NULL, 0}, &oldest->hash);
            drop_chunk(task);
            continue;
        }
        const uint64_t left = task->past_end - task->past_open;
        mr_chunk *chunk = &task->chunks[task->chunk_end % task->chunk_max];
        *chunk = (mr_chunk){
            .number = task->chunk_end++,
            .first = task->past_open,
            .count = (uint32_t)(left < MR_CHUNK_EVENTS_MAX ? left : MR_CHUNK_EVENTS_MAX),
            .last_ms = task->clock_ms,
        };
        task->past_open += chunk->count;
        put(context, chunk->number, encode_chunk(task, chunk, scratch), &chunk->hash);
    }
}

mr_status mr_task_load_chunk(mr_task *task, uint64_t number, mr_bytes payload, mr_hash128 hash,
                             mr_error *err)
{
    const uint32_t bytes = payload.size < 16 ? 0 : payload.size - 16;
    if (payload.size < 16 || bytes % sizeof(mr_past) != 0 ||
        bytes / sizeof(mr_past) > MR_CHUNK_EVENTS_MAX)
        return mr_fail(err, MR_FATAL,
                       "recent events, chunk %llu: %u bytes are no chunk: run "
                       "millrace inspect verify",
                       (unsigned long long)number, payload.size);
    mr_chunk chunk = {.number = number, .count = bytes / (uint32_t)sizeof(mr_past), .hash = hash};
    memcpy(&chunk.last_ms, payload.data, 8);
    memcpy(&chunk.first, payload.data + 8, 8);
    const bool none = task->chunk_first == task->chunk_end;
    if (none)
        task->chunk_first = task->chunk_end = number;
    if (number + task->chunk_max <= task->chunk_end ||
        number >= task->chunk_first + task->chunk_max)
        return mr_fail(err, MR_FATAL,
                       "recent events: more than %u chunks are stored; raise "
                       "dedup.events_max",
                       task->chunk_max);
    if (none || chunk.first < task->past_first)
        task->past_first = chunk.first;
    if (none || chunk.first + chunk.count > task->past_end)
        task->past_end = chunk.first + chunk.count;
    if (task->past_end - task->past_first > task->past_max)
        return mr_fail(err, MR_FATAL,
                       "recent events: %llu are stored, there is room for %u: raise "
                       "dedup.events_max",
                       (unsigned long long)(task->past_end - task->past_first), task->past_max);
    task->chunks[number % task->chunk_max] = chunk;
    task->chunk_first = number < task->chunk_first ? number : task->chunk_first;
    task->chunk_end = number + 1 > task->chunk_end ? number + 1 : task->chunk_end;
    for (uint32_t i = 0; i < chunk.count; i++)
        memcpy(&task->past[(chunk.first + i) % task->past_max],
               payload.data + 16 + i * sizeof(mr_past), sizeof(mr_past));
    return MR_OK;
}

mr_status mr_task_loaded(mr_task *task, mr_error *err)
{
    if (task->chunk_first == task->chunk_end) { // an empty window: numbers still go on
        task->chunk_first = task->chunk_end = task->saved_chunk_end;
        task->past_first = task->past_end = task->saved_past_end;
    }
    uint64_t expected = task->past_first;
    for (uint64_t c = task->chunk_first; c < task->chunk_end; c++) {
        const mr_chunk *chunk = &task->chunks[c % task->chunk_max];
        if (chunk->number != c || chunk->first != expected)
            return mr_fail(err, MR_FATAL,
                           "recent events: chunk %llu is missing: run millrace "
                           "inspect verify",
                           (unsigned long long)c);
        expected += chunk->count;
    }
    if (task->chunk_end != task->saved_chunk_end || task->past_end != task->saved_past_end)
        return mr_fail(err, MR_FATAL,
                       "recent events: the newest chunk is %llu, the task's row says "
                       "%llu: run millrace inspect verify",
                       (unsigned long long)task->chunk_end,
                       (unsigned long long)task->saved_chunk_end);
    task->past_open = task->past_end;
    mr_admission_loaded(&task->admission);
    mr_map_clear(&task->by_hash);
    for (uint64_t n = task->past_first; n < task->past_end; n++)
        index_event(task, n);
    return MR_OK;
}

uint32_t mr_task_encode(const mr_task *task, uint8_t out[MR_TASK_ROW_BYTES])
{
    const mr_task_counters *c = &task->counters;
    const uint64_t fields[MR_TASK_ROW_BYTES / 8] = {
        task->epoch,     (uint64_t)task->clock_ms,
        c->read,         c->learned,
        c->duplicate,    c->late,
        c->late_dropped, c->limited,
        c->refused,      task->chunk_end,
        task->past_end,  task->shown,
        c->pending,      task->admission.turn,
    };
    memcpy(out, fields, sizeof fields);
    return c->pending > 0 || task->admission.turn > 0 ? MR_TASK_ROW_BYTES : MR_TASK_ROW_PLAIN;
}

mr_status mr_task_decode(mr_task *task, mr_bytes payload, mr_error *err)
{
    uint64_t f[MR_TASK_ROW_BYTES / 8] = {0};
    if (payload.size != MR_TASK_ROW_PLAIN && payload.size != sizeof f)
        return mr_fail(err, MR_FATAL,
                       "task row: %u bytes, want %u or %zu: run millrace inspect verify",
                       payload.size, MR_TASK_ROW_PLAIN, sizeof f);
    memcpy(f, payload.data, payload.size);
    task->epoch = f[0];
    task->clock_ms = (int64_t)f[1];
    task->counters = (mr_task_counters){.read = f[2],
                                        .learned = f[3],
                                        .duplicate = f[4],
                                        .late = f[5],
                                        .late_dropped = f[6],
                                        .limited = f[7],
                                        .refused = f[8],
                                        .pending = f[12]};
    task->saved_chunk_end = f[9];
    task->saved_past_end = f[10];
    task->shown = f[11];
    task->admission.turn = f[13];
    return MR_OK;
}
