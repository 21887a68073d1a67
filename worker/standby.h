// SPDX-License-Identifier: Apache-2.0
// standby: a warm local copy of tasks that other workers hold, so that taking one over reads the
// last second of its changelogs and not all of them.
//
// Nothing here decides anything: a copy is what taking a task begins from in any case (task.h), and
// what the taking checks. Each worker chooses for itself which tasks it follows, by a hash of its
// name, so that copies spread over workers without asking anybody.
//
// Of the loop's thread, as the ownership that it is a part of. It uses the taker while that has
// nothing to take.
#ifndef MR_WORKER_STANDBY_H
#define MR_WORKER_STANDBY_H

#include "worker/task.h"

typedef struct mr_standby {
    uint32_t *tasks, count, max; // that are followed, `max` at most
    uint64_t *weights;           // of the choice
    uint32_t task_count;         // of the application
    uint64_t instance;           // hash of the worker's name
    bool chosen, under_way, bad; // bad: a changelog could not be followed, so none is until the
                                 // next assignment
    uint32_t at;                 // index of the task that is brought up to date
    int64_t due_ms;              // when the next round over them begins
    mr_taking taking;
} mr_standby;

// Room for `tasks` tasks. Errors: MR_FATAL: out of memory.
MR_CHECKED mr_status mr_standby_open(const mr_config *config, uint32_t tasks, mr_standby *standby,
                                     mr_error *err);
void mr_standby_close(mr_standby *standby);

// A bounded piece of work, while nothing is to be taken; held: the worker's own tasks. *moved:
// there is more to do at once. Errors: MR_FATAL where the store fails, as for a task that is
// taken; a changelog that is wrong is logged, and its owner will stop for it.
MR_CHECKED mr_status mr_standby_step(mr_standby *standby, mr_taker *taker, const uint32_t *held,
                                     uint32_t held_count, int64_t now_ms, bool *moved,
                                     mr_error *err);
// Before anything is taken, and whenever what is held changes: nothing of the taker is in use.
void mr_standby_stop(mr_standby *standby, mr_taker *taker);

#endif
