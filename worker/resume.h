// SPDX-License-Identifier: Apache-2.0
// resume: where the repartition stage goes on in its sources.
//
// Where its group has committed; there is no other memory. A partition that the group knows nothing
// of belongs to an input that is new, and begins where that was read directly before, or where
// `start` says; or it was added to an input that is known, or its topic came to others that a
// pattern matches, and begins at its first record. A group
// that knows no offset at all, though the repartition topic has had records, was forgotten: brokers
// do that a week after its last member left. To begin anew would copy everything a second time.
#ifndef MR_WORKER_RESUME_H
#define MR_WORKER_RESUME_H

#include "worker/repartition.h"

typedef struct mr_resume {
    mr_repartition_options options;
    bool is_known[MR_CONFIG_INPUTS_MAX]; // the group knows an offset of that input
    mr_offset *all;                      // room for the partitions of all sources
} mr_resume;

// Errors: MR_FATAL: out of memory; deinit is fine then, and on zeroes.
MR_CHECKED mr_status mr_resume_init(mr_resume *resume, const mr_repartition_options *options,
                                    mr_error *err);
void mr_resume_deinit(mr_resume *resume);

// Fills `next` of these partitions. *unrecorded: the group has no offset of one of them. *gone
// grows by the records that the logs lost before they were read, where on_input_gap goes on.
// Errors: MR_RETRY: no answer; MR_FATAL: lost or cut logs, forgotten offsets.
MR_CHECKED mr_status mr_resume_find(mr_resume *resume, mr_offset *offsets, uint32_t count,
                                    bool *unrecorded, uint64_t *gone, mr_error *err);

#endif
