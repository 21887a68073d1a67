// SPDX-License-Identifier: Apache-2.0
// Fuzzes foreign logs, CSV and JSON lines, under each of our mapping files.
//
// Input: a byte that says which mapping, then the file.
// Invariants: nothing is read outside of the file (sanitizer); reading ends; a refused row has a
// text that names the file and a cause, and the next call goes on; what is sorted comes in the
// order of time.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "schemas/builtin.h"
#include "worker/input/input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool truth, const char *what)
{
    if (!truth) {
        fprintf(stderr, "fuzz_foreign: %s\n", what);
        abort();
    }
}

static void touch(const mr_event *event)
{
    uint8_t *memory = aligned_alloc(MR_ARENA_ALIGN, mr_input_copy_bytes(event) + MR_ARENA_ALIGN);
    mr_event copy; // reads every text
    mr_arena arena;
    mr_arena_init(&arena, memory, mr_input_copy_bytes(event));
    mr_input_copy(&copy, event, &arena);
    free(memory);
}

static void read_all(mr_input *input, const char *path, bool sorted)
{
    mr_error err = {.cause = MR_CAUSE_NONE};
    int64_t last_ms = INT64_MIN;
    for (bool more = true; more;) {
        mr_event event;
        const mr_status status = mr_input_next(input, &event, &more, &err);
        if (status == MR_FATAL)
            return;
        if (status == MR_REJECT) {
            demand(err.cause != MR_CAUSE_NONE && strstr(err.text, path) != NULL, "a bad row");
            demand(more, "nothing behind a bad row");
            continue;
        }
        demand(status == MR_OK, "status");
        if (!more)
            return;
        demand(event.kind < MR_EVENT_KIND_COUNT, "a kind");
        demand(mr_event_has(&event, MR_FIELD_time), "a time");
        demand(!sorted || event.time_ms >= last_ms, "the order of time");
        last_ms = event.time_ms;
        touch(&event);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    mr_input *input;
    mr_format *format;
    mr_error err = {.cause = MR_CAUSE_NONE};
    if (size == 0 || mr_builtin_mapping_at(data[0]) == NULL)
        return 0;
    demand(mr_format_open(mr_builtin_mapping_at(data[0])->name, &format, &err) == MR_OK, err.text);
    const int fd = memfd_create("fuzz_foreign", 0);
    demand(fd >= 0 && write(fd, data + 1, size - 1) == (ssize_t)(size - 1), "memfd");
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (mr_input_open_as(path, NULL, format, &input, &err) == MR_OK) {
        read_all(input, path, format->sort);
        mr_input_close(input);
    } else {
        demand(err.status == MR_FATAL && err.text[0] != '\0', "a failure without a text");
    }
    free(format);
    close(fd);
    return 0;
}
