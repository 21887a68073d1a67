// SPDX-License-Identifier: Apache-2.0
// Fuzzes what a schema registry may say: any bytes as an answer, any schema with any references.
//
// Input: an answer, then one line for each definition: its name, a tab, its text.
// Invariants: nothing is read beyond the bytes; an answer that is taken has texts; what is put
// together is JSON, the same when it is put together again, and larger by the definitions at most.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/schema.h"
#include "worker/registry/answers.h"
#include "worker/registry/assemble.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { DEFINITIONS_MAX = 16 };

static void demand(bool truth, const char *what)
{
    if (!truth) {
        fprintf(stderr, "fuzz_registry: %s\n", what);
        abort();
    }
}

static void check_small_answers(const char *body, size_t size)
{
    char message[16];
    uint32_t id;
    int code;
    bool compatible;
    mr_error err;
    (void)!mr_answer_id(body, size, &id, &err);
    (void)!mr_answer_compatible(body, size, &compatible, message, sizeof message, &err);
    if (mr_answer_refusal(body, size, &code, message, sizeof message))
        demand(code > 0 && strlen(message) < sizeof message, "refusal");
}

static void check_assembled(const char *text, size_t size, const mr_definition *definitions,
                            uint32_t count)
{
    char *whole, *again;
    size_t whole_bytes, again_bytes;
    mr_error err = {0};
    mr_schema *schema;
    if (mr_assemble(text, size, definitions, count, &whole, &whole_bytes, &err) != MR_OK) {
        demand(err.cause == MR_CAUSE_unsuitable_schema, "cause");
        return;
    }
    demand(strlen(whole) == whole_bytes, "length");
    if (mr_schema_open(whole, whole_bytes, &schema, &err) == MR_OK) {
        // A schema defines all that it mentions, so that nothing is left to be put in.
        demand(mr_assemble(whole, whole_bytes, definitions, count, &again, &again_bytes, &err) ==
                       MR_OK &&
                   (count == 0 || strcmp(whole, again) == 0),
               "not whole");
        free(again);
        mr_schema_close(schema);
    }
    free(whole);
}

// Cuts the lines behind the answer into definitions, in place.
static uint32_t read_definitions(char *lines, mr_definition *definitions)
{
    uint32_t count = 0;
    for (char *line = lines, *next; line != NULL && count < DEFINITIONS_MAX; line = next) {
        next = strchr(line, '\n');
        if (next != NULL)
            *next++ = '\0';
        char *const tab = strchr(line, '\t');
        if (tab == NULL)
            continue;
        *tab = '\0';
        definitions[count++] = (mr_definition){line, tab + 1, strlen(tab + 1)};
    }
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mr_definition definitions[DEFINITIONS_MAX];
    mr_schema_answer answer;
    mr_error err = {0};
    const uint8_t *end = size > 0 ? memchr(data, '\n', size) : NULL;
    const size_t body_bytes = end != NULL ? (size_t)(end - data) : size;
    char *lines = malloc(size - body_bytes + 1);
    demand(lines != NULL, "memory");
    memcpy(lines, data + body_bytes, size - body_bytes);
    lines[size - body_bytes] = '\0';
    check_small_answers((const char *)data, body_bytes);
    if (mr_answer_schema((const char *)data, body_bytes, &answer, &err) == MR_OK) {
        demand(strlen(answer.text) == answer.text_bytes && answer.type != NULL, "texts");
        check_assembled(answer.text, answer.text_bytes, definitions,
                        read_definitions(lines, definitions));
        mr_answer_schema_free(&answer);
    } else {
        demand(err.status == MR_FATAL, "status");
    }
    free(lines);
    return 0;
}
