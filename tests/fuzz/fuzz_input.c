// SPDX-License-Identifier: Apache-2.0
// Fuzzes files: containers of every codec, CSV, gzip and zstd around them.
//
// Input: a byte that says whether there is a mapping, then the file.
// Invariants: nothing is read outside of the file (sanitizer); reading ends; a failure has a text
// that names the file; after a refused record reading goes on, after a failure of the file it is
// over.
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "worker/input/input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool truth, const char *what)
{
    if (!truth) {
        fprintf(stderr, "fuzz_input: %s\n", what);
        abort();
    }
}

static void read_all(mr_input *input)
{
    mr_error err = {.cause = MR_CAUSE_NONE};
    bool more = true;
    for (uint64_t i = 0; more && i < 100000; i++) {
        mr_event event;
        const mr_status status = mr_input_next(input, &event, &more, &err);
        demand(status == MR_OK || status == MR_REJECT || status == MR_FATAL, "status");
        if (status == MR_FATAL) {
            demand(err.text[0] != '\0', "a failure without a text");
            return;
        }
        if (status == MR_OK && more) {
            uint8_t *memory =
                aligned_alloc(MR_ARENA_ALIGN, mr_input_copy_bytes(&event) + MR_ARENA_ALIGN);
            mr_event copy; // touches every text
            mr_arena arena;
            mr_arena_init(&arena, memory, mr_input_copy_bytes(&event));
            mr_input_copy(&copy, &event, &arena);
            free(memory);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const mr_mapping_entry entries[] = {{.field = MR_FIELD_user, .path = "a"},
                                               {.field = MR_FIELD_item, .path = "b"}};
    static const mr_mapping mapping = {
        .kind = MR_EVENT_CLICK, .entries = entries, .entry_count = 2, .given = UINT32_MAX};
    char path[64];
    mr_input *input;
    mr_error err = {.cause = MR_CAUSE_NONE};
    if (size == 0)
        return 0;
    const int fd = memfd_create("fuzz_input", 0);
    demand(fd >= 0 && write(fd, data + 1, size - 1) == (ssize_t)(size - 1), "memfd");
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (mr_input_open(path, (data[0] & 1) != 0 ? &mapping : NULL, &input, &err) == MR_OK) {
        read_all(input);
        mr_input_close(input);
    } else {
        demand(err.status == MR_FATAL && err.text[0] != '\0', "a failure without a text");
    }
    close(fd);
    return 0;
}
