// SPDX-License-Identifier: Apache-2.0
// scratch: folders, rows and stores for the tests of state.
#ifndef MR_TESTS_UNIT_STATE_SCRATCH_H
#define MR_TESTS_UNIT_STATE_SCRATCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "state/store.h"

// A fresh folder name below TMPDIR; the folder itself is not made.
static inline void scratch_make(char path[128])
{
    const char *base = getenv("TMPDIR");
    snprintf(path, 100, "%s/millrace-test-XXXXXX",
             base != NULL && strlen(base) < 60 ? base : "/tmp");
    assert_non_null(mkdtemp(path));
    strcat(path, "/state");
}

static inline void scratch_remove(char path[128])
{
    static const char *const names[] = {"data.mdb", "lock.mdb", "owner"};
    char name[160];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(name, sizeof name, "%s/%s", path, names[i]);
        unlink(name);
    }
    rmdir(path);
    *strrchr(path, '/') = '\0';
    assert_int_equal(rmdir(path), 0); // nothing else was left behind
}

#define assert_ok(call, err)                                                                       \
    do {                                                                                           \
        if ((call) != MR_OK)                                                                       \
            fail_msg("%s: %s", #call, (err).text);                                                 \
    } while (0)

static inline void assert_says(const mr_error *err, const char *part)
{
    if (strstr(err->text, part) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err->text, part);
}

static inline mr_store *open_store(const char *path, mr_store_options options)
{
    mr_store *store = NULL;
    mr_error err = {0};
    assert_ok(mr_store_open(path, &options, &store, NULL, &err), err);
    return store;
}

static inline void close_store(mr_store *store)
{
    mr_error err = {0};
    assert_ok(mr_store_close(store, &err), err);
}

static inline mr_store_reader *open_reader(mr_store *store)
{
    mr_store_reader *reader = NULL;
    mr_error err = {0};
    assert_ok(mr_store_reader_open(store, &reader, &err), err);
    return reader;
}

// A batch of rows for one task, sealed in memory that is the pile's.
typedef struct pile {
    mr_store_row rows[512];
    uint8_t keys[512][24];
    uint8_t *bytes;
    size_t used, size;
    mr_store_part part;
    mr_store_batch batch;
} pile;

static inline pile *pile_make(uint32_t task, size_t size)
{
    pile *p = calloc(1, sizeof *p);
    assert_non_null(p);
    p->bytes = malloc(size);
    assert_non_null(p->bytes);
    p->size = size;
    p->part = (mr_store_part){.task = task, .rows = p->rows, .offsets = {-1, -1}};
    p->batch = (mr_store_batch){&p->part, 1};
    return p;
}

static inline void pile_free(pile *p)
{
    free(p->bytes);
    free(p);
}

static inline void pile_clear(pile *p)
{
    p->used = 0;
    p->part.row_count = 0;
}

// payload NULL: erase.
static inline void pile_add(pile *p, const char *key, const void *payload, size_t payload_bytes)
{
    mr_store_row *row = &p->rows[p->part.row_count];
    uint8_t *name = p->keys[p->part.row_count++];
    assert_true(p->part.row_count <= 512 && strlen(key) <= sizeof p->keys[0]);
    memcpy(name, key, strlen(key));
    row->key = mr_bytes_of(name, strlen(key));
    row->value = (mr_bytes){0};
    if (payload == NULL)
        return;
    assert_true(p->used + MR_ROW_HEADER_BYTES + payload_bytes <= p->size);
    const mr_row sealed = {.kind = 1, .version = 1, .payload = mr_bytes_of(payload, payload_bytes)};
    const uint32_t size = mr_row_seal(row->key, &sealed, p->bytes + p->used);
    row->value = mr_bytes_of(p->bytes + p->used, size);
    p->used += size;
}

static inline void pile_write(pile *p, mr_store *store)
{
    mr_error err = {0};
    assert_ok(mr_store_write(store, &p->batch, &err), err);
    pile_clear(p);
}

// The payload of a row as text, "" where there is none.
static inline const char *text_of(mr_store_reader *reader, uint32_t task, const char *key)
{
    static uint8_t buffer[MR_ROW_BYTES_MAX + 1];
    uint32_t size;
    mr_error err = {0};
    assert_ok(mr_store_get(reader, task, mr_bytes_text(key), buffer, MR_ROW_BYTES_MAX, &size, &err),
              err);
    if (size == 0)
        return "";
    buffer[size] = '\0';
    return (const char *)buffer + MR_ROW_HEADER_BYTES;
}

#endif
