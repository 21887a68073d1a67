// SPDX-License-Identifier: Apache-2.0
// arrivals_files: several files as one stream by event time. Of each file the next event is known,
// the head; the least head comes, of equal ones that of the first file. A head stays in its
// reader's memory until the file is read on, which is when its event has been used.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/ingest/ingest.h"
#include "worker/arrivals.h"
#include "worker/input/input.h"

typedef struct source {
    mr_input *input;
    mr_arrivals_file *file;
    mr_event head;
    bool has_head, ended;
    int64_t newest_ms;
} source;

typedef struct files {
    source sources[MR_ARRIVALS_FILES_MAX];
    uint32_t count;
    int64_t given;
    char name[32];
} files;

static void count_head(source *s)
{
    mr_arrivals_file *file = s->file;
    file->events++;
    if (s->head.time_ms >= s->newest_ms)
        s->newest_ms = s->head.time_ms;
    else if (s->head.time_ms >= MR_TIME_MIN_MS && file->older++ == 0) // below it: no time at all
        file->first_older = file->events;
}

// After an error of one record the next call goes on behind it.
static mr_status fill(source *s, mr_error *err)
{
    bool more;
    if (s->has_head || s->ended)
        return MR_OK;
    s->head = (mr_event){0}; // nothing of the last one where this one has nothing
    MR_TRY(mr_input_next(s->input, &s->head, &more, err));
    s->has_head = more;
    s->ended = !more;
    if (more)
        count_head(s);
    return MR_OK;
}

static mr_status files_next(void *context, mr_arrival *arrival, bool *more, mr_error *err)
{
    files *f = context;
    source *least = NULL;
    *more = true;
    for (uint32_t i = 0; i < f->count; i++) {
        source *s = &f->sources[i];
        MR_TRY(fill(s, err));
        if (s->has_head && (least == NULL || s->head.time_ms < least->head.time_ms))
            least = s;
    }
    *more = least != NULL;
    if (least == NULL)
        return MR_OK;
    *arrival = (mr_arrival){
        .event = least->head, .record_ms = least->head.time_ms, .offset = ++f->given};
    least->has_head = false;
    return MR_OK;
}

static void files_progress(void *context, uint64_t *done, uint64_t *total)
{
    const files *f = context;
    *done = *total = 0;
    for (uint32_t i = 0; i < f->count; i++) {
        uint64_t file_done, file_total;
        mr_input_progress(f->sources[i].input, &file_done, &file_total);
        *done += file_done;
        *total += file_total;
    }
}

static void files_close(void *context)
{
    files *f = context;
    for (uint32_t i = 0; i < f->count; i++)
        mr_input_close(f->sources[i].input);
    free(f);
}

static mr_status check_paths(const char *const *paths, uint32_t count, mr_error *err)
{
    bool standard = false;
    MR_ASSERT(count > 0 && count <= MR_ARRIVALS_FILES_MAX);
    for (uint32_t i = 0; i < count; i++) {
        const bool is_standard = strcmp(paths[i], "-") == 0;
        if (is_standard && standard)
            return mr_fail(err, MR_FATAL, "standard input is read once: want one '-'");
        standard = standard || is_standard;
    }
    return MR_OK;
}

mr_status mr_arrivals_of_files(const char *const *paths, uint32_t count, const mr_mapping *mapping,
                               const mr_format *format, mr_arrivals_files *about,
                               mr_arrivals *arrivals, mr_error *err)
{
    MR_TRY(check_paths(paths, count, err));
    files *f = calloc(1, sizeof *f);
    if (f == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    for (; f->count < count; f->count++) {
        source *s = &f->sources[f->count];
        about->of[f->count] = (mr_arrivals_file){.path = paths[f->count]};
        s->file = &about->of[f->count];
        const mr_status status =
            mr_input_open_as(paths[f->count], mapping, format, &s->input, err);
        if (status != MR_OK) {
            files_close(f);
            return status;
        }
    }
    about->count = count;
    snprintf(f->name, sizeof f->name, "%u files", count);
    *arrivals = (mr_arrivals){f, count == 1 ? paths[0] : f->name, files_next, files_progress,
                              files_close};
    return MR_OK;
}
