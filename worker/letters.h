// SPDX-License-Identifier: Apache-2.0
// letters: dead letters, read back: where a record came from, why it was refused, how many are
// alike.
#ifndef MR_WORKER_LETTERS_H
#define MR_WORKER_LETTERS_H

#include "worker/ports.h"

enum {
    MR_LETTER_HEADERS_MAX = 64,
    MR_LETTER_TEXT_MAX = 320,
    MR_LETTER_GROUPS_MAX = 512, // of causes and topics; more are counted without a group
    MR_LETTER_SAMPLES_MAX = 20,
};

typedef struct mr_letter { // borrowed from its message
    char topic[MR_LETTER_TEXT_MAX], cause[MR_LETTER_TEXT_MAX], reason[MR_LETTER_TEXT_MAX];
    int64_t partition, offset;                // of the record, in its topic
    int64_t time_ms;                          // of the record; 0: it had none
    bool cut;                                 // key or value are not whole: they did not fit
    mr_header headers[MR_LETTER_HEADERS_MAX]; // those that the record came with
    uint32_t header_count;
} mr_letter;

// Reads the headers of a dead letter. Errors: MR_REJECT: it has no place and no cause, so that it
// is no letter of ours.
MR_CHECKED mr_status mr_letter_read(const mr_message *message, mr_letter *letter, mr_error *err);

typedef struct mr_letter_group { // of one cause and topic
    char topic[MR_LETTER_TEXT_MAX], cause[MR_LETTER_TEXT_MAX];
    uint64_t count;
    int64_t first_ms, last_ms; // of the records' times
    struct {
        int64_t partition, offset;
        char reason[MR_LETTER_TEXT_MAX];
    } samples[MR_LETTER_SAMPLES_MAX]; // the newest ones by arrival, in a ring
} mr_letter_group;

typedef struct mr_letters {
    mr_letter_group *groups; // MR_LETTER_GROUPS_MAX, the caller's
    uint32_t group_count, samples_max;
    uint64_t count, foreign, ungrouped; // foreign: no letters of ours
} mr_letters;

void mr_letters_add(mr_letters *letters, const mr_letter *letter);
// Largest groups first; of equals by cause, then topic.
void mr_letters_sort(mr_letters *letters);
// The n-th newest sample of a group; UINT32_MAX: there is none.
uint32_t mr_letters_sample(const mr_letters *letters, const mr_letter_group *group, uint32_t n);

#endif
