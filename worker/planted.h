// SPDX-License-Identifier: Apache-2.0
// planted: mistakes that a test can put into the commit protocol, to see whether its tests would
// find them (tests/sim). In the product each question is answered no when it is compiled.
#ifndef MR_WORKER_PLANTED_H
#define MR_WORKER_PLANTED_H

#include <stdbool.h>

typedef enum mr_bug {
    MR_BUG_NONE,
    MR_BUG_STORE_FIRST,          // the store is written before Kafka has confirmed
    MR_BUG_OFFSETS_FIRST,        // offsets are sent before all records are acknowledged
    MR_BUG_UNFENCED,             // offsets are sent without the member's generation
    MR_BUG_NO_OFFSETS,           // a transaction without offsets
    MR_BUG_STABLE_END,           // the end of a changelog is asked of a read_committed handle
    MR_BUG_OLD_END,              // the end is not asked again in a new generation
    MR_BUG_NO_CHECK,             // what is held is not checked after an assignment
    MR_BUG_ROWS_WITHOUT_MARKER,  // rows count before their marker has come
    MR_BUG_COMPUTED_AGAIN,       // the bytes of a failed commit are computed anew
    MR_BUG_KEPT_DIRTY,           // a roll back leaves what is kept as it is
    MR_BUG_DIRECT_AND_TOPIC,     // a delta is applied here and sent as well
    MR_BUG_LINK_IGNORED,         // a delta that was received before is applied again
    MR_BUG_STALE_COPY,           // a local copy is used although tombstones are gone since
    MR_BUG_GROUP_TRUSTED,        // inputs go on at the group's offsets
    MR_BUG_TIMEOUT_IS_FAILURE,   // a commit that timed out is taken for one that failed
    MR_BUG_DEAD_LETTER_OUTSIDE,  // dead letters are not part of the transaction
    MR_BUG_TICK_UNNOTED,         // an epoch record does not say that a clock was moved
    MR_BUG_VIEW_NOTED_LATE,      // the view of a round is noted with a later one
    MR_BUG_COUNT,
} mr_bug;

#ifdef MR_PLANTED
extern mr_bug mr_planted_bug;

static inline bool mr_planted(mr_bug bug)
{
    return mr_planted_bug == bug;
}
#else
static inline bool mr_planted(mr_bug bug)
{
    (void)bug;
    return false;
}
#endif

#endif
