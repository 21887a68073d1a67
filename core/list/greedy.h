// SPDX-License-Identifier: Apache-2.0
// greedy: at each place the best candidate that may stand there, by relevance and the rules' bonus.
//
// The lists of users outside the exploration slice, and the arm that policies explore around. Ties
// go to the candidate that stands first, an order of scores and keys.
#ifndef MR_CORE_LIST_GREEDY_H
#define MR_CORE_LIST_GREEDY_H

#include "core/list/slate.h"

// Once a list, before its first place.
void mr_greedy_open(mr_slate *slate);
// The candidate for the next place; UINT32_MAX: none may stand there.
uint32_t mr_greedy_best(mr_slate *slate);

#endif
