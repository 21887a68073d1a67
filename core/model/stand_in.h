// SPDX-License-Identifier: Apache-2.0
// stand_in: asks a model on behalf of vectors instead of users.
//
// A method may have vectors of its own in the space of another model: several centres of a user's
// taste, or the state of an encoder. To find what is near to them it needs that model's index of
// items. So it gives the model a view whose users are made-up ones, who have a vector and nothing
// else, and calls the `candidates` and `score` that the model has anyway. There is one index of a
// space whoever asks, and how it is kept stays that model's affair.
//
// The model has a `vector`, and it is what the model's part of a user's row begins with: asserted.
#ifndef MR_CORE_MODEL_STAND_IN_H
#define MR_CORE_MODEL_STAND_IN_H

#include "core/rows.h"

// A model's vectors, the first `dim` numbers of each: those that it does not have are zeros.
typedef struct mr_space {
    const mr_instance *of;
    const mr_view *view;
    uint32_t dim;
} mr_space;

enum { MR_SPACE_DIM_MAX = 256 };

// The space of the model `name`, which `needs` names.
mr_space mr_space_of(const mr_view *view, const char *name, uint32_t dim);
// The vector of the item or user at `slot`: the model's own, or in scratch.
const float *mr_space_item(const mr_space *space, uint32_t slot, float scratch[MR_SPACE_DIM_MAX]);
const float *mr_space_user(const mr_space *space, uint32_t slot, float scratch[MR_SPACE_DIM_MAX]);

typedef struct mr_stand_ins {
    const mr_instance *of; // whose space it is
    mr_view view;          // of which they are the users
    uint32_t count, length;
} mr_stand_ins;

// `count` of them, with vectors of zeros, in the space of the model `name`, which `needs` names.
// They live in the arena until the caller gives it back; length is that of the space, a multiple
// of 16.
mr_stand_ins mr_stand_ins_make(const mr_view *view, const char *name, uint32_t count,
                               mr_arena *arena);

// The vector of one of them: the caller's to write, finite.
static inline float *mr_stand_ins_vector(const mr_stand_ins *all, uint32_t which)
{
    return mr_user_part(all->of, mr_view_user(&all->view, which));
}

// Fills found[i] for the i-th of them under filters[i], as the model's first column would be.
void mr_stand_ins_find(const mr_stand_ins *all, const mr_filter *filters, mr_arena *arena,
                       mr_found *found);
// The model's first column of slot_count items for one of them. out: slot_count numbers.
void mr_stand_ins_score(const mr_stand_ins *all, uint32_t which, const uint32_t *slots,
                        uint32_t slot_count, float *out, mr_arena *arena);

#endif
