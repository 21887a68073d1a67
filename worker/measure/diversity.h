// SPDX-License-Identifier: Apache-2.0
// diversity: how alike the items of a list are, to one another and to what its user had, and
// whether what is popular is shown more than its share (PopRSP).
//
// An item's vector is the catalogue's as soon as one has come, else it is made of who acted on the
// item: each user has a vector of signs by his key, an item the sum of those of its users, so that
// the cosine of two items is, but for noise of 1 / sqrt(MR_DIVERSITY_D) a pair, that of their
// sets of users. Longer vectors of a catalogue are projected by signs in the same way. An item
// without a vector is at right angles to all.
//
// A user's history is the last MR_DIVERSITY_HISTORY items that he came to, each once: what he had
// before is forgotten, by unexpectedness and by PopRSP.
#ifndef MR_WORKER_MEASURE_DIVERSITY_H
#define MR_WORKER_MEASURE_DIVERSITY_H

#include <stdbool.h>

#include "core/base/arena.h"

enum { MR_DIVERSITY_D = 64, MR_DIVERSITY_HISTORY = 50 };

typedef struct mr_diversity_result { // means over lists; NAN: no list
    double similarity;     // mean cosine over the pairs of a list (ILS)
    double unexpectedness; // 1 - mean cosine of a list's items and its user's history
    double poprsp;         // head against tail, 0: alike (exposure.h)
} mr_diversity_result;

typedef struct mr_diversity {
    float *vectors;      // items x MR_DIVERSITY_D
    uint32_t *histories; // users x MR_DIVERSITY_HISTORY: numbers of items, a ring
    uint32_t *had;       // of a user: how many items came into his ring so far
    bool by_catalogue;
    double similarity, unexpectedness;
    uint64_t similar, unexpected; // lists that have one
    double shown[2], could[2];    // items of the head, of the tail: on lists; that could have been
} mr_diversity;

size_t mr_diversity_bytes(uint32_t users_max, uint32_t items_max);
// The arena's memory is zeroed already.
void mr_diversity_init(mr_diversity *diversity, uint32_t users_max, uint32_t items_max,
                       mr_arena *arena);

// Users and items by their numbers, below the numbers of mr_diversity_init.
//
// A vector of the catalogue. The first one forgets all that stands on users' vectors; items: how
// many numbers are in use.
void mr_diversity_vector(mr_diversity *diversity, uint32_t item, const float *vector,
                         uint32_t length, uint32_t items);
// A user acted on an item. first: for the first time, as far as is known.
void mr_diversity_act(mr_diversity *diversity, uint32_t user, uint64_t user_key, uint32_t item,
                      bool first);
// A list of `count` items. head: flags of the `items` items in use, head_count of which are set.
void mr_diversity_list(mr_diversity *diversity, uint32_t user, const uint32_t *list, uint32_t count,
                       const bool *head, uint32_t head_count, uint32_t items);
// Lists so far do not count; what is known of items and users stays.
void mr_diversity_reset(mr_diversity *diversity);

mr_diversity_result mr_diversity_judge(const mr_diversity *diversity);

#endif
