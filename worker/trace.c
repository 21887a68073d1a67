// SPDX-License-Identifier: Apache-2.0
#include "worker/trace.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/hash.h"
#include "core/base/map.h"

enum {
    SPAN_SEED = 0x7370616e,
    VERSION_NONE = 0xff, // reserved
    SAMPLED = 1,           // the flag that every version has
};

// ---- the text

// The value of a digit; -1: it is none. Capitals are none: the specification asks for small ones.
static int digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_hex(const uint8_t *text, uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        bytes[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static void write_hex(const uint8_t *bytes, size_t count, char *text)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < count; i++) {
        text[2 * i] = digits[bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 15];
    }
}

static bool is_zero(const uint8_t *bytes, size_t count)
{
    uint8_t any = 0;
    for (size_t i = 0; i < count; i++)
        any |= bytes[i];
    return any == 0;
}

bool mr_trace_read(mr_bytes text, mr_trace *trace)
{
    uint8_t version, flags;
    const uint8_t *t = text.data;
    if (text.size < MR_TRACE_TEXT_BYTES || t[2] != '-' || t[35] != '-' || t[52] != '-')
        return false;
    if (!read_hex(t, &version, 1) || !read_hex(t + 3, trace->trace, sizeof trace->trace) ||
        !read_hex(t + 36, trace->span, sizeof trace->span) || !read_hex(t + 53, &flags, 1))
        return false;
    trace->sampled = (flags & SAMPLED) != 0;
    if (version == VERSION_NONE || is_zero(trace->trace, sizeof trace->trace) ||
        is_zero(trace->span, sizeof trace->span))
        return false;
    return text.size == MR_TRACE_TEXT_BYTES || (version > 0 && t[MR_TRACE_TEXT_BYTES] == '-');
}

void mr_trace_write(const mr_trace *trace, char text[static MR_TRACE_TEXT_BYTES])
{
    const uint8_t version = 0, flags = trace->sampled ? SAMPLED : 0;
    text[2] = text[35] = text[52] = '-';
    write_hex(&version, 1, text);
    write_hex(trace->trace, sizeof trace->trace, text + 3);
    write_hex(trace->span, sizeof trace->span, text + 36);
    write_hex(&flags, 1, text + 53);
}

mr_trace mr_trace_of_list(const mr_trace *cause, mr_bytes user, int64_t version)
{
    struct {
        uint8_t trace[16], span[8];
        uint64_t user;
        int64_t version;
    } of = {.user = mr_user_key(user), .version = version};
    memcpy(of.trace, cause->trace, sizeof of.trace);
    memcpy(of.span, cause->span, sizeof of.span);
    uint64_t span = mr_hash64(&of, sizeof of, SPAN_SEED);
    span += span == 0; // all zeros is no span
    mr_trace list = *cause;
    memcpy(list.span, &span, sizeof list.span);
    return list;
}

// ---- who waits

typedef struct waits {
    uint64_t key; // of the user
    uint32_t task;
    mr_trace trace;
} waits;

struct mr_traces {
    mr_map by_key; // place in rows
    waits *rows;
    uint32_t count;
    mr_trace_counters counters;
    void *memory;
};

mr_status mr_traces_open(mr_traces **out, mr_error *err)
{
    const size_t bytes =
        mr_map_bytes(MR_TRACES_MAX) + mr_arena_round(MR_TRACES_MAX * sizeof(waits));
    mr_traces *traces = calloc(1, sizeof *traces);
    void *memory = calloc(1, bytes);
    if (traces == NULL || memory == NULL) {
        free(traces);
        free(memory);
        return mr_fail(err, MR_FATAL, "out of memory");
    }
    mr_arena arena;
    mr_arena_init(&arena, memory, bytes);
    mr_map_init(&traces->by_key, MR_TRACES_MAX, &arena);
    traces->rows = mr_arena_push(&arena, MR_TRACES_MAX * sizeof(waits));
    traces->memory = memory;
    *out = traces;
    return MR_OK;
}

void mr_traces_close(mr_traces *traces)
{
    if (traces == NULL)
        return;
    free(traces->memory);
    free(traces);
}

void mr_traces_note(mr_traces *traces, uint32_t task, mr_bytes user, mr_bytes text)
{
    mr_trace trace;
    const uint64_t key = mr_user_key(user);
    if (!mr_trace_read(text, &trace)) {
        traces->counters.malformed++;
        return;
    }
    uint32_t at = mr_map_get(&traces->by_key, key);
    if (at == MR_MAP_NONE && traces->count == MR_TRACES_MAX) {
        traces->counters.left_out++;
        return;
    }
    if (at == MR_MAP_NONE) {
        at = traces->count++;
        mr_map_put(&traces->by_key, key, at);
    }
    traces->rows[at] = (waits){key, task, trace};
}

// The last row takes the place of the one that goes.
static void remove_at(mr_traces *traces, uint32_t at)
{
    mr_map_remove(&traces->by_key, traces->rows[at].key);
    if (at == --traces->count)
        return;
    const waits *last = &traces->rows[traces->count];
    mr_map_remove(&traces->by_key, last->key);
    mr_map_put(&traces->by_key, last->key, at);
    traces->rows[at] = *last;
}

static bool take(mr_traces *traces, mr_bytes user, mr_trace *cause)
{
    if (traces->count == 0)
        return false;
    const uint32_t at = mr_map_get(&traces->by_key, mr_user_key(user));
    if (at == MR_MAP_NONE)
        return false;
    *cause = traces->rows[at].trace;
    remove_at(traces, at);
    return true;
}

bool mr_traces_take(mr_traces *traces, mr_bytes user, mr_trace *cause)
{
    const bool found = take(traces, user, cause);
    traces->counters.carried += found;
    return found;
}

void mr_traces_drop(mr_traces *traces, mr_bytes user)
{
    mr_trace cause;
    (void)take(traces, user, &cause);
}

void mr_traces_release(mr_traces *traces, uint32_t task)
{
    for (uint32_t i = traces->count; i > 0; i--) // what takes a place has been looked at
        if (traces->rows[i - 1].task == task)
            remove_at(traces, i - 1);
}

void mr_traces_clear(mr_traces *traces)
{
    while (traces->count > 0)
        remove_at(traces, traces->count - 1);
}

const mr_trace_counters *mr_traces_count(const mr_traces *traces)
{
    return &traces->counters;
}
