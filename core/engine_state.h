// SPDX-License-Identifier: Apache-2.0
// engine_state: the inside of the engine, shared by engine*.c alone.
#ifndef MR_CORE_ENGINE_STATE_H
#define MR_CORE_ENGINE_STATE_H

#include "core/base/sort.h"
#include "core/deltas.h"
#include "core/engine.h"
#include "core/eval/probe.h"
#include "core/exchange.h"
#include "core/list/blend.h"
#include "core/list/slate.h"
#include "core/task.h"
#include "core/users.h"

enum {
    MR_SIGNALS_PER_EVENT = 64,
    MR_INSTANCES_MAX = MR_COSTS_MAX,
    MR_FAMILIES_MAX = 64,
    MR_LIST_BATCH = 64,      // users of a task whose lists are made at once
    MR_CELLS_AT_ONCE = 4096, // deltas of one row that are combined at once
    MR_TOKENS_MAX = MR_CATEGORIES_MAX + MR_PAIRS_MAX,
    MR_SERVED = 20, // items of the last list that are remembered for metrics
};

typedef struct mr_catalogue_set { // what a catalogue event says, until the merge
    uint32_t slot, arrival;       // arrival: index in the epoch
    float price;
    uint64_t categories[4];
    int64_t time_ms;
    bool available, in_catalogue;
} mr_catalogue_set;

typedef struct mr_outbox_item { // what leaves with the name of an item
    int64_t time_ms;            // of the commit's first event on it
    mr_catalogue_set set;       // the last one
    bool has_set;
} mr_outbox_item;

typedef struct mr_outbox { // what a task's events of this commit change in rows of other workers
    mr_deltas deltas;      // combined over rounds
    mr_delta_set items;    // of items that events named: an mr_outbox_item each
} mr_outbox;

typedef struct mr_work { // what one task needs to learn an epoch and to make lists
    mr_epoch *epoch;     // of this round; NULL: none
    mr_view view;
    mr_memo memos[MR_INSTANCES_MAX];
    mr_arena arena;
    mr_deltas deltas;
    mr_outbox outbox;
    mr_deltas received;        // of this round, from other workers
    uint64_t received_dropped; // rows of items that are not here any more
    uint32_t received_refused; // items of this round whose key another id has
    mr_signal *signals, *wave;
    uint32_t *wave_of;
    uint32_t signal_count, wave_count;
    uint32_t pending; // items of the event that is read, which are not admitted yet
    mr_catalogue_set *catalogue;
    uint32_t catalogue_count;
    mr_probe_result *probes;
    uint32_t probe_count, probe_max;
    mr_prequential served; // against the lists that users had
    // at a close
    mr_sorted *due; // in the engine's
    uint32_t due_count, due_next, place;
    mr_list *lists; // of one batch; entry_count 0: did not change
    mr_list_entry *entries;
    uint32_t list_count;
    uint64_t lists_made;
    mr_costs costs;
} mr_work;

typedef struct mr_asking { // the probes of one wave, gathered to be made together
    struct mr_engine *engine;
    mr_work *work;
    mr_probe_ask *asks;
    uint32_t count;
    uint64_t *keys; // scratch of one user's items
    size_t mark;    // of the arena, with nothing gathered
} mr_asking;

// What leaves at a close, sorted: for each list (families by index, then items) and receiver the
// first row in order of key, as an index in the sender's set, and for each row the next one.
typedef struct mr_packing {
    uint32_t *heads; // list * tasks + receiver; UINT32_MAX: none
    uint32_t *next[MR_FAMILIES_MAX + 1];
    uint32_t by_code[MR_FAMILIES_MAX]; // families with deltas, in order of code
    uint32_t by_code_count;
    mr_cell *cells; // MR_CELLS_AT_ONCE
    mr_exchange_writer writer;
} mr_packing;

struct mr_engine {
    mr_engine_config config;
    mr_arena memory;
    size_t rows_end; // offset in it, behind the rows of items and users
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
    mr_costs shard_costs[MR_SHARDS]; // of merges
    mr_delta_place *heads;           // by shard and slot: see engine_merge.c; none between merges
    uint32_t heads_each;             // of a shard
    mr_sorted *sorted;               // scratch of a close
    mr_sorted *due;                  // users whose lists a close makes, task after task
    uint8_t *row;                    // scratch of one row
    uint64_t round, closes;
    bool serial;             // this round is too small to be worth waking lanes for
    int64_t expiry_clock_ms; // clock of the close before
    uint32_t vector_model;   // hash of config's, odd; 0: any
    uint64_t acts;           // sum over items of their events, guests left out
    bool joins;              // some method completes signals
    bool blend_moved;        // in this round
    bool apart;              // in this round: some tasks are not taken
    bool loading;            // tasks were taken, and are not ready yet
    bool described;          // some method reads what the catalogue says of items
    bool viewed;             // rows of other shards have been here
    // The view, between rounds: slots of items that came and that went, until
    // mr_engine_settle_view.
    uint32_t *came, *gone;
    uint32_t came_count, gone_count;
    uint32_t view_rows;      // that came since
    uint32_t guest_count;    // slots whose items.guest is not 0
    bool guests_stray;       // some of them are to be dropped at the close
    int64_t guests_clock_ms; // clock when they were looked at
    mr_packing packing;
    uint32_t *pinned;
    uint32_t pinned_count;
    mr_probe_sums sums;
    mr_history history;
    uint64_t *served;  // MR_SERVED keys a user slot
    uint32_t *exposed; // by item slot: in how many lists
    uint64_t lists_made, lists_published, items_expired, users_forgotten, exposures;
    uint64_t *untold; // bits by item slot: changed, and not told since; with config.item_told_ms
    int64_t *told_ms; // by item slot: clock when it was told last; 0: never
};

// engine_own.c: the engine's own rows, as methods of their own
typedef struct mr_items_config {
    double id_bytes_max;
} mr_items_config;
typedef struct mr_blend_config {
    double columns; // how many share the start
} mr_blend_config;
extern const mr_state mr_engine_items, mr_engine_blend;

// Of a task's filter; 0: it has none.
static inline uint32_t mr_engine_admission_ids(const mr_engine_config *config)
{
    return config->item_admission > 1 ? config->item_admission_ids : 0;
}

// engine.c
mr_view mr_engine_view(const mr_engine *engine, uint32_t task);
void mr_engine_run(const mr_engine *engine, void (*job)(void *arg, uint32_t index), void *arg,
                   uint32_t count);
int64_t mr_engine_clock(const mr_engine *engine);
// A slot for an item that has none: rows at init, the id in its own row. MR_MAP_NONE: full.
uint32_t mr_engine_add_item(mr_engine *engine, uint64_t key, mr_bytes id, int64_t time_ms);
// How many rows a family can have in memory; how many cells a signal adds at most.
uint32_t mr_engine_family_rows(const mr_engine *engine, uint32_t family);
uint32_t mr_engine_cells_per_signal(const mr_engine *engine);
void mr_engine_order_items(mr_engine *engine);
void mr_engine_rebuild(mr_engine *engine);
// A new item like mr_engine_add_item, with what is derived of it. There has to be a slot.
uint32_t mr_engine_new_item(mr_engine *engine, uint64_t key, mr_bytes id, int64_t time_ms);
// An item's rows are others now, all of them: brings what is derived of it up to date.
void mr_engine_item_changed(mr_engine *engine, uint32_t slot);
// Gives items of slots[count] their place in the order of keys; those that have one keep it.
void mr_engine_admit(mr_engine *engine, const uint32_t *slots, uint32_t count);
void mr_engine_set_shown(mr_engine *engine, uint32_t slot);
static inline uint32_t mr_engine_shard(const mr_engine *engine, uint64_t item_key)
{
    return (uint32_t)(item_key % engine->config.tasks);
}

static inline bool mr_engine_owns(const mr_engine *engine, uint64_t item_key)
{
    return engine->tasks[mr_engine_shard(engine, item_key)].taken;
}

// Named rows without deltas are learned by their owner alone, and together (the blend's weights and
// gate judge each other by the same probes), so they all belong to shard 0.
static inline uint32_t mr_engine_shard_of(const mr_engine *engine, const mr_family *family,
                                          uint64_t key)
{
    return family->key == MR_KEY_NAMED && family->delta == MR_DELTA_NONE
               ? 0
               : mr_engine_shard(engine, key);
}

// How many rows of a family so many signals of so many events change at most: their own; of sums
// those of blocks of shared negatives, of cells those that users' newest items were paired with;
// what the family says itself; and a few more.
static inline uint32_t mr_engine_delta_rows(const mr_family_entry *entry, uint32_t signals,
                                            uint32_t events)
{
    const mr_family *family = entry->family;
    const uint32_t shared =
        family->delta == MR_DELTA_CELLS ? events * MR_RECENT_MAX : (events / 64 + 1) * 256;
    const uint32_t others =
        family->others != NULL ? signals * family->others(entry->instance->config) : 0;
    return signals + others + shared + 64;
}

// engine_tasks.c: whether nothing has changed since the last close.
bool mr_engine_clean(const mr_engine *engine);
// Finds the family and the name of an item's or a named row; *family = UINT32_MAX: of a method that
// is off.
MR_CHECKED mr_status mr_engine_row_name(const mr_engine *engine, mr_bytes key, uint32_t *family,
                                        uint64_t *name, mr_error *err);
MR_CHECKED mr_status mr_engine_check_payload(const mr_part *part, mr_bytes value, mr_error *err);
// A payload that was checked becomes the row; its hash is not touched.
void mr_engine_put_payload(mr_part *part, uint32_t slot, mr_bytes value);

// engine_view.c: brings the order of items and what else is derived up to date with the view.
void mr_engine_settle_view(mr_engine *engine);
// At a close, when nothing waits to be sent: items that no owner has spoken of leave, if it is
// time.
void mr_engine_drop_guests(mr_engine *engine);
// The shard comes here: what the view has of it goes. mr_engine_ready brings up to date the rest.
void mr_engine_drop_shard(mr_engine *engine, uint32_t shard);

// engine_exchange.c: deltas to and from other workers.
size_t mr_engine_exchange_bytes(const mr_engine *engine, const uint32_t *rows_max,
                                uint32_t cells_max);
void mr_engine_exchange_init(mr_engine *engine, const uint32_t *rows_max, uint32_t cells_max);
// Whether the task's outbox has room for what so many events with so many lines may send.
bool mr_engine_outbox_room(const mr_engine *engine, uint32_t task, uint32_t events, uint32_t lines);
bool mr_engine_outbox_empty(const mr_engine *engine);
bool mr_engine_outbox_has(const mr_engine *engine, uint32_t slot);
// Checks what an epoch received, and adds to *items how many of the items are new.
MR_CHECKED mr_status mr_engine_check_received(const mr_engine *engine, const mr_epoch *epoch,
                                              uint32_t *items, mr_error *err);
// Before the merge: takes what belongs to other workers out of the round's deltas; turns what was
// received into deltas (mr_work.received).
void mr_engine_send(mr_engine *engine);
void mr_engine_receive(mr_engine *engine);
// After the merge: the catalogue's words, in order of task, then those that were received.
void mr_engine_apply_catalogue(mr_engine *engine);
// At a close: hands out the records.
void mr_engine_hand_out(mr_engine *engine, const mr_close_sink *sink);

// engine_own.c: how many acts a delta of mr_item's family stands for.
uint32_t mr_engine_item_acts(const void *delta);

// engine_merge.c: combines the deltas of a round and applies them.
void mr_engine_merge(mr_engine *engine);

// engine_tell.c: notes an item whose row changed; forgets one whose slot is freed (told to be gone
// where it was told before); tells of all that are due.
void mr_engine_note_told(mr_engine *engine, uint32_t slot);
void mr_engine_forget_told(mr_engine *engine, uint32_t slot, const mr_close_sink *sink);
void mr_engine_tell(mr_engine *engine, const mr_close_sink *sink);

// engine_round.c: the slot of a user, whose row is fetched where it is not in memory. MR_RETRY:
// there is no room, or the row cannot be read now.
MR_CHECKED mr_status mr_engine_bring_user(mr_engine *engine, uint32_t task, mr_bytes id,
                                          uint32_t *slot, mr_error *err);

// engine_probe.c: gathers probes, in memory of the work's arena, and makes them: when there are
// MR_PROBE_BATCH, and the rest when it is told to. A probe is of an act that is not learned yet.
void mr_engine_begin_asking(mr_asking *asking, mr_engine *engine, mr_work *work);
void mr_engine_probe(mr_asking *asking, const mr_signal *signal);
void mr_engine_answer(mr_asking *asking);

// engine_lists.c: makes the lists that are due and hands them out, and the rows of their users
// where nothing else has changed in them.
MR_CHECKED mr_status mr_engine_make_lists(mr_engine *engine, const uint64_t *seqs,
                                          const mr_close_sink *sink, mr_error *err);

// engine_close.c: hands out the row of a user.
void mr_engine_put_user(mr_engine *engine, uint32_t slot, const mr_close_sink *sink);

#endif
