// SPDX-License-Identifier: Apache-2.0
// matched: inputs whose topics are named by a pattern, as topics.clicks.topic: "^clicks\\..*".
//
// A pattern is an extended regular expression of POSIX that begins with '^', as in librdkafka. Such
// an input reads nothing itself: the configuration that a worker runs with has an input more for
// each topic that matches, with all that stands in the pattern's. What inputs there are is fixed
// for as long as a worker is up; one that finds a topic more begins again with it
// (worker/kafka/topics.h).
//
// Topics that another input names, that brokers keep for themselves (__...) or that are outputs of
// this application never match. Of two patterns the first one has a topic.
#ifndef MR_WORKER_MATCHED_H
#define MR_WORKER_MATCHED_H

#include "worker/config.h"

typedef struct mr_topic_size { // a topic that there is
    const char *name;
    uint32_t partitions;
} mr_topic_size;

// Whether a text is a name that a topic may have, or a pattern. Errors: MR_FATAL: what is wrong.
MR_CHECKED mr_status mr_matched_check(const char *topic, mr_error *err);

// The input whose pattern matches a topic; UINT32_MAX: none.
uint32_t mr_matched_of(const mr_config *config, mr_bytes topic);

// The configuration with the topics that match, to be given to mr_matched_free before the other is;
// it borrows all of it but the topics' names. `topics` in any order.
//
// Users' events that are read directly need as many partitions as the lead has: a topic with
// another count is left out; *left_out is how many are, and with `tell` each is named in the log.
// Errors: MR_FATAL: more topics than there can be inputs, no lead, out of memory.
MR_CHECKED mr_status mr_matched_make(const mr_config *config, const mr_topic_size *topics,
                                     uint32_t topic_count, bool tell, mr_config **matched,
                                     uint32_t *left_out, mr_error *err);
void mr_matched_free(mr_config *matched);
// The name of a topic that `newer` has and `older` has not; NULL: there is none.
const char *mr_matched_more(const mr_config *older, const mr_config *newer);

#endif
