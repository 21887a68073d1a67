// SPDX-License-Identifier: Apache-2.0
// arena: a bump allocator on a block that the caller owns.
//
// Everything that lives as long as an epoch is pushed here and forgotten by one reset. Sizes are
// bounded at the door (an epoch is closed when it is full), so a full arena is a bug: asserted.
#ifndef MR_CORE_BASE_ARENA_H
#define MR_CORE_BASE_ARENA_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

typedef struct mr_arena {
    uint8_t *base;
    size_t size, used;
} mr_arena;

#define MR_ARENA_ALIGN 64u

static inline void mr_arena_init(mr_arena *arena, void *memory, size_t bytes)
{
    *arena = (mr_arena){memory, bytes, 0};
}

static inline size_t mr_arena_round(size_t bytes)
{
    return (bytes + (MR_ARENA_ALIGN - 1)) & ~(size_t)(MR_ARENA_ALIGN - 1);
}

// `bytes` bytes, aligned to 64, not cleared. Valid until the next reset.
static inline void *mr_arena_push(mr_arena *arena, size_t bytes)
{
    const size_t need = mr_arena_round(bytes);
    MR_ASSERT(need <= arena->size - arena->used);
    void *memory = arena->base + arena->used;
    arena->used += need;
    return memory;
}

static inline void mr_arena_reset(mr_arena *arena)
{
    arena->used = 0;
}

#endif
