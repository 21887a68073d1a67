// SPDX-License-Identifier: Apache-2.0
#include "worker/report/report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "worker/report/assets.h"

enum { LINE_BYTES_MAX = 512, COLUMNS = 8 };
static const char header[] = "from_ms,events,protocol,model,targets,recall@20,ndcg@20,mrr";

typedef struct windows {
    json_t *from_ms, *events, *models;
    int64_t last_ms;
    const char *path;
    unsigned long line;
} windows;

static mr_status bad_line(const windows *w, const char *what, mr_error *err)
{
    return mr_fail(err, MR_FATAL, "%s:%lu: %s", w->path, w->line, what);
}

static json_t *child(json_t *object, const char *name)
{
    json_t *found = json_object_get(object, name);
    if (found == NULL) {
        json_object_set_new(object, name, json_object());
        found = json_object_get(object, name);
    }
    return found;
}

// The column of a model, as long as there are windows; windows without a row of it are null.
static void put(json_t *columns, const char *name, size_t at, const char *text)
{
    json_t *column = json_object_get(columns, name);
    if (column == NULL) {
        json_object_set_new(columns, name, json_array());
        column = json_object_get(columns, name);
    }
    while (json_array_size(column) < at)
        json_array_append_new(column, json_null());
    char *end;
    const double x = strtod(text, &end);
    json_array_append_new(column, end == text ? json_null() : json_real(x));
}

// from_ms, events, protocol, model, targets, recall, ndcg, mrr
static mr_status take_row(windows *w, char *line, mr_error *err)
{
    char *values[COLUMNS], *rest = line;
    for (int i = 0; i < COLUMNS; i++) {
        values[i] = strsep(&rest, ",");
        if (values[i] == NULL)
            return bad_line(w, "want at least eight columns", err);
    }
    char *end;
    const int64_t from_ms = strtoll(values[0], &end, 10);
    if (*end != '\0' || end == values[0])
        return bad_line(w, "column 1: want milliseconds", err);
    if (json_array_size(w->from_ms) == 0 || from_ms != w->last_ms) {
        json_array_append_new(w->from_ms, json_integer(from_ms));
        json_array_append_new(w->events, json_integer(strtoll(values[1], NULL, 10)));
        w->last_ms = from_ms;
    }
    const size_t at = json_array_size(w->from_ms) - 1;
    json_t *columns = child(child(w->models, values[3]), values[2]);
    put(columns, "targets", at, values[4]);
    put(columns, "recall", at, values[5]);
    return MR_OK;
}

static mr_status read_rows(windows *w, FILE *file, mr_error *err)
{
    char line[LINE_BYTES_MAX];
    while (fgets(line, sizeof line, file) != NULL) {
        w->line++;
        const size_t size = strcspn(line, "\r\n");
        if (line[size] == '\0' && size == sizeof line - 1)
            return bad_line(w, "the line is too long", err);
        line[size] = '\0';
        if (w->line == 1 && strncmp(line, header, sizeof header - 1) != 0)
            return bad_line(w, "this is no windows.csv of a replay", err);
        if (w->line > 1 && size > 0)
            MR_TRY(take_row(w, line, err));
    }
    return MR_OK;
}

static mr_status read_windows(const char *path, json_t *data, mr_error *err)
{
    json_t *object = json_object();
    json_object_set_new(data, "windows", object);
    json_object_set_new(object, "from_ms", json_array());
    json_object_set_new(object, "events", json_array());
    json_object_set_new(object, "models", json_object());
    windows w = {.from_ms = json_object_get(object, "from_ms"),
                 .events = json_object_get(object, "events"),
                 .models = json_object_get(object, "models"),
                 .path = path};
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return mr_fail(err, MR_FATAL, "%s: %s", path, strerror(errno));
    const mr_status status = read_rows(&w, file, err);
    fclose(file);
    return status;
}

static mr_status read_summary(const char *path, json_t *data, mr_error *err)
{
    json_error_t fault;
    json_t *summary = json_load_file(path, 0, &fault);
    if (summary == NULL)
        return fault.line > 0 ? mr_fail(err, MR_FATAL, "%s:%d: %s", path, fault.line, fault.text)
                              : mr_fail(err, MR_FATAL, "%s: %s", path, fault.text);
    json_object_set_new(data, "summary", summary);
    if (!json_is_object(json_object_get(summary, "models")) ||
        !json_is_object(json_object_get(summary, "counters")))
        return mr_fail(err, MR_FATAL, "%s: this is no summary of a replay", path);
    return MR_OK;
}

// What others have left in the folder: it is there where somebody has asked for it.
static mr_status read_more(const char *folder, const char *name, const char *array,
                           const char *command, json_t *data, mr_error *err)
{
    char path[4096];
    json_error_t fault;
    snprintf(path, sizeof path, "%s/%s.json", folder, name);
    if (access(path, F_OK) != 0)
        return MR_OK;
    json_t *more = json_load_file(path, 0, &fault);
    if (more == NULL)
        return mr_fail(err, MR_FATAL, "%s:%d: %s", path, fault.line, fault.text);
    json_object_set_new(data, name, more);
    if (!json_is_array(json_object_get(more, array)))
        return mr_fail(err, MR_FATAL, "%s: this is no output of millrace %s", path, command);
    return MR_OK;
}

static mr_status read_replay(const char *folder, json_t *data, mr_error *err)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/summary.json", folder);
    if (access(path, F_OK) != 0 && json_object_get(data, "sweep") != NULL)
        return MR_OK; // a sweep leaves no replay
    MR_TRY(read_summary(path, data, err));
    snprintf(path, sizeof path, "%s/windows.csv", folder);
    return read_windows(path, data, err);
}

mr_status mr_report_read(const char *folder, json_t **data, mr_error *err)
{
    *data = json_object();
    if (*data == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    mr_status status = read_more(folder, "sweep", "configurations", "replay --sweep", *data, err);
    if (status == MR_OK)
        status = read_more(folder, "ope", "estimates", "ope", *data, err);
    if (status == MR_OK)
        status = read_replay(folder, *data, err);
    if (status != MR_OK)
        json_decref(*data);
    return status;
}

static void write_bytes(mr_bytes bytes, FILE *out)
{
    fwrite(bytes.data, 1, bytes.size, out);
}

// In a script element nothing may look like a tag.
static int write_json(const char *text, size_t size, void *out)
{
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '<')
            fputs("\\u003c", out);
        else
            putc(text[i], out);
    }
    return ferror((FILE *)out) != 0 ? -1 : 0;
}

mr_status mr_report_write(const json_t *data, FILE *out, mr_error *err)
{
    write_bytes(mr_report_page(), out);
    fputs("<script type=\"application/json\" id=\"data\">", out);
    json_dump_callback(data, write_json, out, JSON_COMPACT | JSON_REAL_PRECISION(6));
    fputs("</script>\n<script>", out);
    write_bytes(mr_report_charts(), out);
    fputs("</script>\n<script>\n", out);
    write_bytes(mr_report_script(), out);
    fputs("</script>\n</body>\n</html>\n", out);
    if (fflush(out) != 0 || ferror(out) != 0)
        return mr_fail(err, MR_FATAL, "%s", strerror(errno));
    return MR_OK;
}
