// SPDX-License-Identifier: Apache-2.0
// infer: a mapping for records that nobody has mapped, guessed from their schema or from samples.
//
// Fields are gathered with their paths and what is in them; then for each field of an event the one
// whose name and content fit best is proposed, with the reason. A guess is for a person to look at.
#ifndef MR_WORKER_INFER_H
#define MR_WORKER_INFER_H

#include <jansson.h>
#include <stdio.h>

#include "schemas/mapping.h"
#include "schemas/schema.h"

typedef struct mr_infer mr_infer;

// NULL: out of memory.
mr_infer *mr_infer_open(void);
void mr_infer_close(mr_infer *infer);

// Gathers the fields of a writer's schema, or of one record of JSON more.
void mr_infer_schema(mr_infer *infer, const mr_schema *schema);
void mr_infer_record(mr_infer *infer, const json_t *record);

typedef struct mr_inferred { // how the fields came, for the page
    const char *name, *topic;
    const char *format; // of topics.<name>.format
    const char *schema; // of topics.<name>.schema; "": none
    bool has_key;       // the message's key may be the user
} mr_inferred;

// Makes the guesses, and writes them as a configuration, with a reason behind each and what is
// missing at its end. Returns how many of user, item and time were not found.
uint32_t mr_infer_print(mr_infer *infer, const mr_inferred *about, FILE *out);

// The same guesses as the rows of a mapping: its keys and its sources, borrowed from `infer`, after
// mr_infer_print; false behind the last.
bool mr_infer_row(const mr_infer *infer, uint32_t index, const char **key, const char **source);
// Whether they say a kind for each record.
bool mr_infer_is_mapped(const mr_infer *infer);

#endif
