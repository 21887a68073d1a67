// SPDX-License-Identifier: Apache-2.0
// engine_state: the inside of the engine, shared by engine*.c alone.
#ifndef MR_CORE_ENGINE_STATE_H
#define MR_CORE_ENGINE_STATE_H

#include "core/base/sort.h"
#include "core/deltas.h"
#include "core/engine.h"
#include "core/eval/probe.h"
#include "core/list/blend.h"
#include "core/list/slate.h"
#include "core/task.h"
#include "core/users.h"

enum {
    MR_SHARDS = 8, // rows are merged in so many jobs, whatever the lanes
    MR_SIGNALS_PER_EVENT = 64,
    MR_INSTANCES_MAX = 32,
    MR_FAMILIES_MAX = 64,
    MR_LIST_BATCH = 64,      // users of a task whose lists are made at once
    MR_CELLS_AT_ONCE = 4096, // deltas of one row that are combined at once
    MR_SERVED = 20,          // items of the last list that are remembered for metrics
};

typedef struct mr_catalogue_set { // what a catalogue event says, until the merge
    uint32_t slot;
    float price;
    uint64_t categories[4];
    bool available, deleted;
} mr_catalogue_set;

typedef struct mr_work { // what one task needs to learn an epoch and to make lists
    mr_epoch *epoch;     // of this round; NULL: none
    mr_view view;
    mr_memo memos[MR_INSTANCES_MAX];
    mr_arena arena;
    mr_deltas deltas;
    mr_signal *signals, *wave;
    uint32_t *wave_of;
    uint32_t signal_count, wave_count;
    mr_catalogue_set *catalogue;
    uint32_t catalogue_count;
    mr_probe_result *probes;
    uint32_t probe_count, probe_max;
    mr_prequential served; // against the lists that users had
    // at a close
    mr_sorted *due;
    uint32_t due_count, due_next, place;
    mr_list *lists; // of one batch; entry_count 0: did not change
    mr_list_entry *entries;
    uint32_t list_count;
    uint64_t lists_made;
} mr_work;

struct mr_engine {
    mr_engine_config config;
    mr_arena memory;
    // 0: items, 1: blend, then models, policies, rules
    mr_instance instances[MR_INSTANCES_MAX];
    uint32_t instance_count, model_first, model_count, policy, rule_first, rule_count;
    mr_family_entry families[MR_FAMILIES_MAX];
    uint32_t family_count;
    mr_user_part_entry user_parts[MR_FAMILIES_MAX];
    uint32_t user_part_count;
    mr_columns columns;

    mr_items items;
    mr_part parts[MR_FAMILIES_MAX];
    mr_named named[MR_FAMILIES_MAX];
    mr_users users;
    mr_task *tasks;
    mr_work *work;
    mr_blend blend;  // of the product's protocol: its rows are stored
    mr_blend shadow; // of the other protocol, for replay's table only
    mr_blend_column shadow_columns[MR_ENGINE_COLUMNS_MAX];
    mr_blend_gate shadow_gate;
    mr_arena shards[MR_SHARDS];
    mr_sorted *sorted; // scratch of a close
    uint8_t *row;      // scratch of one row
    uint64_t round, closes;
    bool serial; // this round is too small to be worth waking lanes for
    int64_t expiry_clock_ms; // clock of the close before
    uint64_t acts;           // sum over items of their events
    bool blend_moved;        // in this round
    uint32_t *pinned;
    uint32_t pinned_count;
    mr_probe_sums sums;
    mr_history history;
    uint64_t *served;  // MR_SERVED keys a user slot
    uint32_t *exposed; // by item slot: in how many lists
    uint64_t lists_made, lists_published, items_expired, exposures;
};

// engine_own.c: the engine's own rows, as methods of their own
typedef struct mr_items_config {
    double id_bytes_max;
} mr_items_config;
typedef struct mr_blend_config {
    double columns; // how many share the start
} mr_blend_config;
extern const mr_state mr_engine_items, mr_engine_blend;

// engine.c
mr_view mr_engine_view(const mr_engine *engine, uint32_t task);
void mr_engine_run(const mr_engine *engine, void (*job)(void *arg, uint32_t index), void *arg,
                   uint32_t count);
int64_t mr_engine_clock(const mr_engine *engine);
// A slot for an item that has none: rows at init, the id in its own row. MR_MAP_NONE: full.
uint32_t mr_engine_add_item(mr_engine *engine, uint64_t key, mr_bytes id, int64_t time_ms);
void mr_engine_order_items(mr_engine *engine);
void mr_engine_rebuild(mr_engine *engine);
static inline uint32_t mr_engine_shard(const mr_engine *engine, uint64_t item_key)
{
    return (uint32_t)(item_key % engine->config.tasks);
}

// engine_merge.c: combines the deltas of a round and applies them.
void mr_engine_merge(mr_engine *engine);

// engine_lists.c: makes the lists that are due and hands them out.
void mr_engine_make_lists(mr_engine *engine, const uint64_t *seqs, const mr_close_sink *sink);

#endif
