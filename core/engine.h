// SPDX-License-Identifier: Apache-2.0
// engine: the one door of core. (rows, epochs) -> (rows', outputs).
//
// A pure state machine: no Kafka, LMDB, clock, thread or file. What decides a later byte is rows,
// epochs and configuration, nothing else; slots, caches, indexes and queues are derived from rows.
//
//   take -> load rows -> ready -> ( round, round, ..., close ) -> ( round, ..., close ) -> ...
//
// A round learns at most one epoch of each task. A close makes the lists that are due and hands out
// every row that changed since the last close, in key order, with the outputs of the commit.
// Whoever calls owns durability: rows of a close count as stored only after mr_engine_stored.
//
// Several workers. Task p goes with its users, and with the item and named rows of shard p: those
// whose key mod `tasks` is p (named rows without deltas: shard 0). An engine that has taken some of
// the tasks alone changes their rows alone. Of all other shards it keeps a read copy, the view, as
// their owners' commits wrote it (mr_engine_view_row). What its events want to change in them
// leaves at the close as records of deltas, one or more for each pair of (sending task, receiving
// shard), and comes to the owner as part of an epoch (mr_epoch.received).
//
// Between rounds, right after a close and with nothing learned since, tasks may come (take, load,
// ready) and go (release) while others stay: what an engine does next is decided by the rows of its
// own tasks, the view as it was, epochs and configuration; not by what it had before.
//
// To begin again from nothing (a roll back): mr_engine_init with the same configuration in the same
// memory, zeroed. A fresh mapping is the cheap way to zero it, since most of it is never touched;
// nothing has to be given back first. Then take and load as at a start.
#ifndef MR_CORE_ENGINE_H
#define MR_CORE_ENGINE_H

#include "core/base/hash.h"
#include "core/base/vec.h"
#include "core/event/epoch.h"
#include "core/list/record.h"
#include "core/model/cost.h"
#include "core/model/told.h"

typedef struct mr_engine mr_engine;

typedef struct mr_setting { // a parameter of a method that differs from its default
    const char *method;     // "embedding"
    const char *name;       // "dim"
    double value;
} mr_setting;

// How work is spread over lanes. run() calls job(arg, i) once for each i < count, in any order and
// on any thread, and returns when all are done. NULL in the configuration: one after the other.
typedef struct mr_lanes {
    void *context;
    void (*run)(void *context, void (*job)(void *arg, uint32_t index), void *arg, uint32_t count);
} mr_lanes;

// Reads a user's row when it is not in memory. MR_OK with value->size 0: there is none. The bytes
// are the payload that a close handed out, borrowed until the next call; *hash is what the close
// wrote.
typedef struct mr_fetch {
    void *context;
    mr_status (*get)(void *context, uint32_t task, mr_bytes key, mr_bytes *value, mr_hash128 *hash,
                     mr_error *err);
} mr_fetch;

typedef struct mr_hit_value { // of one target in one ranking, expected over ties
    float recall, ndcg, rr;
} mr_hit_value;

typedef struct mr_target { // an act whose item was ranked before it was learned
    uint64_t user_key;
    bool fresh;                         // protocol `new`
    uint32_t user_events, item_events;  // learned of them before
    uint32_t column_count;
    const mr_hit_value *hits; // by column, then in what would have been published
} mr_target;

// Told of every target that was measured, once a round is learned, in order of (task, event). The
// sums of mr_engine_sums are these numbers, added in this order.
typedef struct mr_probed {
    void *context;
    void (*target)(void *context, const mr_target *target); // borrowed; NULL: nobody asks
} mr_probed;

typedef enum mr_seen_mode {
    MR_SEEN_FILTER, // items among the user's recent events are not listed again
    MR_SEEN_KEEP,
} mr_seen_mode;

struct mr_model;

typedef struct mr_engine_config {
    const mr_vec *vec;
    mr_lanes lanes;
    mr_fetch fetch;
    mr_watch watch; // none: methods are not timed
    uint64_t seed;
    uint32_t tasks;             // P: partitions of the lead topic; fixed for a history
    uint32_t items_max;         // above it the stalest are expired at a close
    uint32_t item_id_bytes_max; // 8..255
    uint32_t vector_length;     // of catalogue vectors; 0: any
    mr_bytes vector_model;      // name and version of what makes them; empty: any. Borrowed
    int64_t item_told_ms;       // readers outside are told of an item at most so often by event
                                // time, where it has changed; 0: never
    int64_t item_expiry_ms;     // an item without an event for so long is expired; 0: never
    // An item that the catalogue does not have is given rows from its event of this number in a
    // task on: 0, 1: from the first; at most MR_ADMISSION_MAX. Ids that a task remembers for it.
    uint32_t item_admission, item_admission_ids;
    uint32_t users_max;         // users in memory (mr_engine_users_for gives it from bytes)
    uint32_t user_id_bytes_max; // 8..200
    uint32_t epoch_events_max;
    uint32_t dedup_events_max; // of one task
    int64_t dedup_window_ms;
    int64_t clock_skew_max_ms;
    int64_t late_window_ms;
    mr_bytes origin;          // the entry of an event's context that says where it came from, for
                              // the guard; empty: none. Borrowed
    bool late_drop;           // late events are dropped instead of learned; counted either way
    uint32_t list_k;          // 1..MR_LIST_MAX
    int64_t list_interval_ms; // event time between two lists of a user
    uint32_t lists_per_close_max;
    mr_seen_mode seen;
    uint32_t explore_bp;  // users in the exploration slice, in 1/10,000
    uint32_t probe_every; // the blend learns from one act in so many
    bool measure_all;     // replay: rank every act's target in every column, both protocols
    mr_probed probed;
    const char *policy;   // of the exploration slice; NULL: the first one
    bool lists;           // false: no lists are made (benches of learning)
    float act_weights[MR_EVENT_KIND_COUNT]; // of a click, cart, purchase, rating as a signal
    const mr_setting *settings;
    uint32_t setting_count;
    const char *const *off; // names of models that are switched off
    uint32_t off_count;
    // Several workers: the records of deltas that one epoch may receive, in bytes together, and the
    // size of the largest record that leaves (if below MR_DELTA_RECORD_MAX). The same for all
    // workers of an application. 0: this engine takes all tasks before its first round, and keeps
    // no memory for the exchange.
    uint32_t exchange_bytes;
    // Models beside those of models.def, below them in order: for tests. Borrowed.
    const struct mr_model *const *extra;
    uint32_t extra_count;
} mr_engine_config;

enum {
    MR_DELTA_RECORD_MAX = 512 << 10,
    MR_EXCHANGE_BYTES_MIN = 4 << 10,
    MR_EXCHANGE_BYTES_MAX = 1 << 30
};

// The defaults of everything above; vec is the best of this machine.
mr_engine_config mr_engine_defaults(void);

// Bytes that the engine needs for this configuration; how many users fit into user_bytes.
// Errors: MR_FATAL for settings that no method knows or values outside their range.
MR_CHECKED mr_status mr_engine_bytes(const mr_engine_config *config, size_t *bytes, mr_error *err);
MR_CHECKED mr_status mr_engine_users_for(const mr_engine_config *config, size_t user_bytes,
                                         uint32_t *users, mr_error *err);

// Builds an engine in `memory` (zeroed, mr_engine_bytes long, 64-byte aligned, the caller's).
// config is copied but its settings, off names and ports are borrowed for the engine's life.
MR_CHECKED mr_status mr_engine_init(mr_engine **engine, const mr_engine_config *config,
                                    void *memory, size_t bytes, mr_error *err);
// So many bytes at the beginning of the memory hold the rows of items and users with their indexes,
// which are read at random: the place for large pages. What follows is read in order, or is sparse.
size_t mr_engine_rows_end(const mr_engine *engine);

// ---- tasks and their rows

// Takes a task whose next commit will have this seq. Fresh: no rows follow. Otherwise each row of
// the task (user rows too: they fill the due index) is loaded, in any order, then mr_engine_ready.
// What the view had of its shard is dropped. At a start, or right after a close (asserted).
void mr_engine_take(mr_engine *engine, uint32_t task, uint64_t next_seq);
MR_CHECKED mr_status mr_engine_load(mr_engine *engine, uint32_t task, mr_bytes key, mr_bytes value,
                                    mr_hash128 hash, mr_error *err);
MR_CHECKED mr_status mr_engine_ready(mr_engine *engine, mr_error *err);
bool mr_engine_has(const mr_engine *engine, uint32_t task); // whether the task is taken

// The task goes to another worker: its users leave memory, its numbers are forgotten, the items and
// named rows of its shard stay as a part of the view. Right after a close (asserted); whether its
// rows are stored is the caller's affair. O(users and items in memory).
void mr_engine_release(mr_engine *engine, uint32_t task);

// A row of a shard that is not taken (asserted), as its owner's commit wrote it: a key of kind 'i'
// or 'n', value = the payload of mr_close_sink.row, borrowed for the call; size 0: the row is gone,
// and with an item's base row the item leaves the catalogue. Between rounds, in any order. What is
// derived is brought up to date here, and where items went once at the next round or close.
// Errors: MR_RETRY: items.max is reached: the item is not in the view; the same call may succeed
// after a close. MR_FATAL: another release's row, or another parameter's; nothing has changed.
MR_CHECKED mr_status mr_engine_view_row(mr_engine *engine, uint32_t shard, mr_bytes key,
                                        mr_bytes value, mr_error *err);

typedef struct mr_task_counters {
    uint64_t read; // = learned + duplicate + late_dropped + limited + pending + refused
    uint64_t learned, duplicate, late, late_dropped, refused;
    uint64_t limited; // counted only: of somebody in quarantine
    uint64_t pending; // counted only: of items that are not admitted yet, and of no other
} mr_task_counters;

typedef struct mr_task_view {
    uint64_t epoch;   // number of epochs learned
    int64_t clock_ms; // 0: none learned yet
    uint64_t row_count;
    mr_hash128 state_hash;
    mr_task_counters counters;
} mr_task_view;

mr_task_view mr_engine_task(const mr_engine *engine, uint32_t task);

// ---- learning

// Learns one round: at most one epoch of each task, sorted by mr_epoch_sort, at most
// epoch_events_max events each, whose line items add up to at most 64 * epoch_events_max (an event
// without any counts as one; a single event may have more). Sets cause and reason of each arrival
// that was refused; those are the caller's to dead-letter. Errors: MR_RETRY: memory is full of rows
// that are not stored yet, or of deltas to other workers: close, store, call again; MR_FATAL from
// fetch; what mr_engine_delta_check says of a received record. Nothing was learned then.
//
// An epoch may bring records of deltas (received), in order of their offsets, of at most
// exchange_bytes together, also with no event at all (count 0). It counts as an epoch of the task;
// its clock never moves by them, and no random number depends on them. The deltas of a row are
// combined in order of (task, event), then received ones in order of (task, offset); `apply` runs
// once a row.
MR_CHECKED mr_status mr_engine_round(mr_engine *engine, mr_epoch *epochs, uint32_t epoch_count,
                                     mr_error *err);

// Whether `record` may be received by shard `receiver`: reads all of it, changes nothing. To be
// asked before the round, so that a bad record can be dead-lettered alone. Errors: MR_REJECT
// (bad_delta): damaged, or meant for another shard; MR_FATAL: another release or another parameter
// of a method sent it, or it is larger than exchange_bytes.
MR_CHECKED mr_status mr_engine_delta_check(const mr_engine *engine, uint32_t receiver,
                                           mr_bytes record, mr_error *err);

// ---- closing a commit

typedef enum mr_row_place {
    MR_ROW_OF_USER, // user rows and task rows: the changelog <app>.user-rows, partition = task
    MR_ROW_OF_ITEM, // item and named rows: <app>.item-rows, partition = shard
} mr_row_place;

typedef struct mr_close_sink {
    void *context;
    // A row of task (or shard) `task` has a new value; size 0: it is gone. *hash is the state hash
    // of its old value on entry (0, 0 if there was none) and must be set to that of the new one.
    // Rows come task by task, in key order inside a family; those of expired items come first.
    void (*row)(void *context, uint32_t task, mr_row_place place, mr_bytes key, mr_bytes value,
                mr_hash128 *hash);
    // A list to publish; everything in it is borrowed for the call.
    void (*list)(void *context, const mr_list *list);
    // What the commit's events change in shards of other workers: one or more records of at most
    // MR_DELTA_RECORD_MAX bytes for each pair that has something, in order of (sender, receiver);
    // all of them count, and a record that is received twice counts twice. Borrowed for the call.
    // Format: core/exchange.h. NULL: allowed while all tasks are taken.
    void (*delta)(void *context, uint32_t sender, uint32_t receiver, mr_bytes record);
    // What readers outside are told of an own item that changed or expired; NULL: nothing. After a
    // task was taken an item is told when it changes next.
    void (*told)(void *context, const mr_told *told);
    // A user who has asked to be forgotten, and has not acted since: his row is gone. NULL: nobody
    // is told.
    void (*forgotten)(void *context, uint32_t task, mr_bytes user);
    // A user whose list was due and is the one that he has: none is handed out. NULL: nobody is
    // told.
    void (*unchanged)(void *context, mr_bytes user);
} mr_close_sink;

// Closes the commit: makes due lists, expires items, hands out rows and lists. seqs[task] is each
// taken task's commit number; the list version is seq * 2^20 + place. The hashes of tasks
// (mr_engine_task) are up to date when it returns.
MR_CHECKED mr_status mr_engine_close(mr_engine *engine, const uint64_t *seqs,
                                     const mr_close_sink *sink, mr_error *err);

// All rows of the closes up to and including the `closes`-th (counted from 1) are stored where
// `fetch` finds them again: users that have not changed since may leave memory.
void mr_engine_stored(mr_engine *engine, uint64_t closes);
uint64_t mr_engine_closes(const mr_engine *engine);

// What a close that makes so many lists would hand out now as rows of users, items and named ones,
// at most: bytes of keys and payloads, with some for the caller's envelope. Rows whose used part is
// short take less. O(families).
size_t mr_engine_open_bytes(const mr_engine *engine, uint32_t lists);
// The same where so many events of one item each were learned since the last close, whatever they
// touch. O(families).
size_t mr_engine_most_bytes(const mr_engine *engine, uint64_t events, uint64_t lists);

// Users whose lists wait. They stay in memory until a close has made their lists, so where a round
// finds no room, closes without a round help until nobody waits: each of them makes lists.
uint32_t mr_engine_waiting(const mr_engine *engine);

// What `told` of a close would say now of the item, or of the one at a place below
// mr_engine_item_places; false: there is none, or it is another worker's and not heard of yet.
// Borrows from the engine, until its next round or close.
bool mr_engine_tell_of(const mr_engine *engine, mr_bytes item, mr_told *told);
bool mr_engine_tell_at(const mr_engine *engine, uint32_t place, mr_told *told);
uint32_t mr_engine_item_places(const mr_engine *engine);

// ---- measuring

enum { MR_ENGINE_COLUMNS_MAX = 32, MR_ENGINE_MEASURES_MAX = 32 };

typedef struct mr_prequential { // sums over targets: value = sum / count
    double count, recall, ndcg, rr;
} mr_prequential;

typedef struct mr_engine_measured { // a number that a method tells about itself
    const char *method, *name;
    double value;
} mr_engine_measured;

typedef struct mr_engine_metrics {
    uint32_t column_count; // columns, then the blend at index column_count
    const char *names[MR_ENGINE_COLUMNS_MAX + 1];
    mr_prequential all[MR_ENGINE_COLUMNS_MAX + 1];   // since the last mr_engine_metrics_reset
    mr_prequential fresh[MR_ENGINE_COLUMNS_MAX + 1]; // protocol `new`
    mr_prequential served; // against the list that the user had, where it is remembered
    double
        weights[MR_ENGINE_COLUMNS_MAX]; // the blend's weight of each column (sum of its features)
    const char *arm[4];                 // the gate's choice for each segment
    mr_cost costs[MR_ENGINE_COLUMNS_MAX + 1]; // of the column's model; of the blend: of all methods
    uint64_t rankings;                        // that those costs are of
    uint64_t probes, lists_made, lists_published;
    uint64_t items, items_expired, users_cached, users_forgotten, exposed_items;
    uint64_t limited;        // events of somebody in quarantine, of all tasks that are taken
    uint64_t pending;        // events of items that were not admitted, of the same
    uint64_t guests;         // items of other workers that their owners have not spoken of
    uint64_t deltas_dropped; // rows of received deltas whose item was expired
    double exposure_gini;
    mr_engine_measured measures[MR_ENGINE_MEASURES_MAX]; // in the order of the methods
    uint32_t measure_count;
} mr_engine_metrics;

// Everything; O(items). mr_engine_sums fills names and sums only, at any time between rounds.
void mr_engine_measure(mr_engine *engine, mr_engine_metrics *metrics);
void mr_engine_sums(const mr_engine *engine, mr_engine_metrics *metrics);
void mr_engine_metrics_reset(mr_engine *engine);

#endif
