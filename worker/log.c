// SPDX-License-Identifier: Apache-2.0
#include "worker/log.h"

#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include "core/base/hash.h"
#include "schemas/utf8.h"

enum { REPEATS = 128 }; // messages that are watched; two that share a place share a limit

typedef struct repeat {
    uint64_t name; // hash of component and message
    int64_t window_ms;
    uint32_t written;
    uint64_t dropped;
} repeat;

static struct {
    pthread_mutex_t lock;
    mr_log_options options;
    repeat repeats[REPEATS];
} sink = {.lock = PTHREAD_MUTEX_INITIALIZER, .options = {.level = MR_LOG_INFO}};

static const char *const level_names[] = {"error", "warning", "info", "debug"};

typedef struct line {
    char text[MR_LOG_LINE_MAX];
    size_t used;
} line;

static void put(line *l, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(line *l, const char *format, ...)
{
    const size_t room = sizeof l->text - 1 - l->used;
    va_list args;
    va_start(args, format);
    const int written = vsnprintf(l->text + l->used, room, format, args);
    va_end(args);
    l->used += written > 0 && (size_t)written >= room ? room - (room > 0) : (size_t)written;
}

static int64_t system_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void mr_log_open(const mr_log_options *options)
{
    pthread_mutex_lock(&sink.lock);
    sink.options = *options;
    memset(sink.repeats, 0, sizeof sink.repeats);
    pthread_mutex_unlock(&sink.lock);
}

bool mr_log_enabled(int level, const char *component)
{
    if (level <= sink.options.level)
        return true;
    const mr_config_list *debug = sink.options.debug;
    for (uint32_t i = 0; debug != NULL && i < debug->count; i++) {
        if (strcmp(debug->items[i], component) == 0 || strcmp(debug->items[i], "all") == 0)
            return true;
    }
    return false;
}

// Whether the line is one too many; otherwise *dropped is how many were left out before it.
static bool is_repeat(const char *component, const char *message, int64_t now_ms, uint64_t *dropped)
{
    const uint64_t name =
        mr_hash64(component, strlen(component), 0) ^ mr_hash64(message, strlen(message), 1);
    repeat *r = &sink.repeats[name % REPEATS];
    if (r->name != name || now_ms - r->window_ms >= MR_LOG_WINDOW_MS || now_ms < r->window_ms) {
        *dropped = r->name == name ? r->dropped : 0;
        *r = (repeat){name, now_ms, 1, 0};
        return false;
    }
    *dropped = 0;
    if (r->written < MR_LOG_BURST) {
        r->written++;
        return false;
    }
    r->dropped++;
    return true;
}

static void put_time(line *l, int64_t now_ms)
{
    const time_t seconds = (time_t)(now_ms / 1000);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    put(l, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday,
        utc.tm_hour, utc.tm_min, utc.tm_sec, (int)(now_ms % 1000));
}

// A JSON string. Bytes that are not UTF-8 become question marks: the line has to stay JSON.
static void put_json(line *l, const char *text)
{
    const bool utf8 = mr_utf8_check((const uint8_t *)text, strlen(text));
    put(l, "\"");
    for (const char *c = text; *c != '\0'; c++) {
        const unsigned char byte = (unsigned char)*c;
        if (byte == '"' || byte == '\\')
            put(l, "\\%c", byte);
        else if (byte < ' ')
            put(l, "\\u%04x", byte);
        else
            put(l, "%c", byte >= 0x80 && !utf8 ? '?' : byte);
    }
    put(l, "\"");
}

// A value of a text line: quoted where it would not read as one word; control characters escaped,
// so that nobody forges a line.
static void put_word(line *l, const char *text)
{
    bool word = text[0] != '\0';
    for (const char *c = text; *c != '\0'; c++)
        word = word && (unsigned char)*c > ' ' && *c != '"' && *c != '=' && *c != 0x7f;
    if (word) {
        put(l, "%s", text);
        return;
    }
    put(l, "\"");
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '"' || *c == '\\')
            put(l, "\\%c", *c);
        else if ((unsigned char)*c < ' ' || *c == 0x7f)
            put(l, "\\x%02x", (unsigned)(unsigned char)*c);
        else
            put(l, "%c", *c);
    }
    put(l, "\"");
}

static void put_value(line *l, const mr_log_field *field, bool json)
{
    if (field->type == MR_LOG_FIELD_LONG)
        put(l, "%lld", (long long)field->number);
    else if (field->type == MR_LOG_FIELD_DOUBLE && isfinite(field->real))
        put(l, "%.6g", field->real);
    else if (field->type == MR_LOG_FIELD_DOUBLE)
        put(l, json ? "null" : "nan");
    else if (json)
        put_json(l, field->text);
    else
        put_word(l, field->text);
}

static void put_text_line(line *l, int level, const char *component, const char *message,
                          const mr_log_field *fields, uint32_t field_count, uint64_t dropped)
{
    put(l, " %-7s %s: %s", level_names[level], component, message);
    for (uint32_t i = 1; i < field_count; i++) {
        put(l, " %s=", fields[i].name);
        put_value(l, &fields[i], false);
    }
    if (dropped > 0)
        put(l, " dropped=%llu", (unsigned long long)dropped);
    put(l, "\n");
}

static void put_json_line(line *l, int level, const char *component, const char *message,
                          const mr_log_field *fields, uint32_t field_count, uint64_t dropped)
{
    put(l, "\",\"log.level\":\"%s\",\"message\":", level_names[level]);
    put_json(l, message);
    put(l, ",\"ecs.version\":\"8.11.0\",\"service.name\":");
    put_json(l, sink.options.service != NULL ? sink.options.service : "millrace");
    put(l, ",\"event.action\":");
    put_json(l, component);
    for (uint32_t i = 1; i < field_count; i++) {
        if (strcmp(fields[i].name, "error") == 0)
            put(l, ",\"error.message\":");
        else
            put(l, ",\"millrace.%s\":", fields[i].name);
        put_value(l, &fields[i], true);
    }
    if (dropped > 0)
        put(l, ",\"millrace.dropped\":%llu", (unsigned long long)dropped);
    put(l, "}\n");
}

void mr_log_write(int level, const char *component, const char *message, const mr_log_field *fields,
                  uint32_t field_count)
{
    line l = {.used = 0};
    uint64_t dropped;
    if (!mr_log_enabled(level, component))
        return;
    pthread_mutex_lock(&sink.lock);
    const int64_t now_ms = sink.options.now_ms != NULL ? sink.options.now_ms() : system_now_ms();
    if (!is_repeat(component, message, now_ms, &dropped)) {
        const bool json = sink.options.format == MR_LOG_JSON;
        if (json)
            put(&l, "{\"@timestamp\":\"");
        put_time(&l, now_ms);
        (json ? put_json_line : put_text_line)(&l, level, component, message, fields, field_count,
                                               dropped);
        if (l.used > 0 && l.text[l.used - 1] != '\n') { // cut: still a line of its own
            l.text[l.used++] = '\n';
        }
        FILE *const out = sink.options.out != NULL ? sink.options.out : stderr;
        fwrite(l.text, 1, l.used, out);
        fflush(out);
    }
    pthread_mutex_unlock(&sink.lock);
}
