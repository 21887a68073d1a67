// SPDX-License-Identifier: Apache-2.0
// What the tests of the decode plan share: cmocka, and an event with room for everything.
#ifndef MR_TESTS_UNIT_SCHEMAS_KIT_H
#define MR_TESTS_UNIT_SCHEMAS_KIT_H

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <stdlib.h>
#include <string.h>

#include "schemas/plan.h"
#include "schemas/writer.h"

typedef struct kit { // an event, a message that is being written, the plan in use, the last error
    mr_event event;
    mr_plan *plan; // of kit_plan; texts of the event may stand in it
    mr_error err;
    mr_writer out;
    uint8_t message[16384];
    mr_line lines[MR_LINES_MAX];
    float vector[MR_VECTOR_MAX];
} kit;

static inline kit *kit_new(void)
{
    kit *k = calloc(1, sizeof *k);
    assert_non_null(k);
    k->event.lines = k->lines;
    k->event.vector = k->vector;
    k->out = mr_writer_make(k->message, sizeof k->message);
    return k;
}

static inline void kit_free(kit *k)
{
    mr_plan_close(k->plan);
    free(k->event.scratch);
    free(k);
}

// Compiles a plan that lives until the next one is compiled.
static inline void kit_plan(kit *k, const char *schema, mr_mapping mapping)
{
    mr_plan_close(k->plan);
    k->plan = NULL;
    if (mr_plan_compile(schema, strlen(schema), &mapping, &k->plan, &k->err) != MR_OK)
        fail_msg("%s", k->err.text);
    free(k->event.scratch);
    k->event.scratch = malloc(mr_plan_scratch_bytes(k->plan) + 1);
}

// Decodes what was written so far.
static inline mr_status kit_decode(kit *k)
{
    assert_false(k->out.full);
    return mr_plan_decode(k->plan, k->message, k->out.size, &k->event, &k->err);
}

static inline void assert_text(mr_bytes have, const char *want)
{
    if (!mr_bytes_equal(have, mr_bytes_text(want)))
        fail_msg("want '%s', have '%.*s'", want, (int)have.size, (const char *)have.data);
}

static inline void assert_contains(const char *text, const char *piece)
{
    if (strstr(text, piece) == NULL)
        fail_msg("'%s' does not stand in: %s", piece, text);
}

#endif
