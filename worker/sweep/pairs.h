// SPDX-License-Identifier: Apache-2.0
// pairs: the lists that two branches made of the same inputs, one by one.
//
// A journal has the lists of a stretch of the inputs. The first list of a user in one journal is
// compared with his first in the other, and so on; a list without a partner counts as made in one
// branch only. Two lists differ where any item, or the order, does; how much is told by the first
// MR_ACT_DEPTH places.
#ifndef MR_WORKER_SWEEP_PAIRS_H
#define MR_WORKER_SWEEP_PAIRS_H

#include "core/base/sort.h"
#include "core/list/record.h"
#include "worker/measure/acts.h"

typedef struct mr_noted_list {
    uint64_t user, digest; // key; hash over the keys of all items, in order
    uint64_t items[MR_ACT_DEPTH];
    uint32_t count;
} mr_noted_list;

typedef struct mr_journal { // zeros: an empty one
    mr_noted_list *lists;
    mr_sorted *order;
    uint32_t count, room;
    bool failed; // out of memory
} mr_journal;

void mr_journal_note(mr_journal *journal, const mr_list *list);
void mr_journal_empty(mr_journal *journal);
void mr_journal_close(mr_journal *journal); // frees

typedef struct mr_list_differences { // sums over stretches
    uint64_t compared, differ, only_from, only_to;
    double rbo, jaccard; // sums over those that were compared; RBO extrapolated, p = .9
} mr_list_differences;

// Adds what differs. Errors: MR_FATAL: a journal was out of memory.
MR_CHECKED mr_status mr_journal_compare(mr_journal *from, mr_journal *to,
                                        mr_list_differences *differences, mr_error *err);

#endif
