// SPDX-License-Identifier: Apache-2.0
// model: the seam between a method and the engine.
//
// A method is one file and one row of a table (models.def, policies.def, rules.def). It declares
// the families of rows that it alone writes, learns from signals (never from raw events), and gives
// one or more columns: a number for each candidate. It never sees a clock, a thread, a file,
// another method's rows or the number of workers; what it may read of others goes through the view.
//
// Phases of a round (ARCHITECTURE.md): `observe` for each wave, user parts live, everything else as
// of the round's start, changes to it as deltas; then `apply` once a row; then `changed` for what
// is derived. At the close of a commit: `candidates` and `score`, then rules and a policy.
#ifndef MR_CORE_MODEL_MODEL_H
#define MR_CORE_MODEL_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/arena.h"
#include "core/base/rng.h"
#include "core/base/vec.h"
#include "core/event/event.h"

struct mr_deltas;
struct mr_items;
struct mr_named;
struct mr_filter;
struct mr_slate;
struct mr_told;
struct mr_columns;
struct mr_union;

// ---- parameters: each is one row; parser, help, check and documentation come from it

typedef struct mr_param {
    const char *name;
    const char *unit; // or "bpr | softmax": the value is the place of one of these words, from 0
    const char *help;
    uint32_t offset; // of a double in the method's config struct
    double initial, min, max;
} mr_param;

// ---- families of rows

typedef enum mr_key_kind {
    MR_KEY_USER,  // a part of the user's row; its task alone reads and writes it, live, no deltas
    MR_KEY_ITEM,  // one row an item
    MR_KEY_NAMED, // one row a 64-bit key of the method's choice; a single row uses key 0
} mr_key_kind;

typedef enum mr_delta_kind {
    MR_DELTA_NONE,
    MR_DELTA_SUM,   // payload of fixed size, combined in order of (task, signal)
    MR_DELTA_CELLS, // (cell key, int64) pairs; combined by key, applied in key order
} mr_delta_kind;

typedef struct mr_cell {
    uint64_t key;
    int64_t value;
    int64_t era; // of a decaying value (core/model/decay.h); 0 where it does not decay
} mr_cell;

typedef struct mr_family {
    const char *name; // unique inside the method, part of the row's key: never renamed
    mr_key_kind key;
    mr_delta_kind delta;
    uint8_t version; // of the row's layout, below 8; a stored part of another stops the start
    // Which of several layouts or meanings that a configuration gives the row, below 32; counts as
    // a part of the version. NULL: 0.
    uint8_t (*variant)(const void *config);
    // Bytes of a row, a multiple of 8, and of a SUM's payload, a multiple of 4: fixed, or from the
    // configuration where there is a function.
    uint32_t row_size, delta_size;
    uint32_t (*row_bytes)(const void *config);
    uint32_t (*delta_bytes)(const void *config);
    uint32_t (*rows_max)(const void *config); // NAMED only; NULL: a single row
    // Of a SUM: how many rows one signal changes at most beside its item's and those of shared
    // negatives (core/model/negatives.h); NULL: none.
    uint32_t (*others)(const void *config);
    // The value of a row that is absent; NULL: zeros.
    void (*init)(const void *config, uint64_t key, uint64_t seed, void *row);
    // How many leading bytes differ from init's: what is stored; NULL: all. The rest is init's.
    uint32_t (*used)(const void *config, const void *row);
    // Bytes behind the row that it has in memory alone, a multiple of 8; 0s when a row comes. Where
    // there are any, `apply` reads them, the row's first line and little else.
    uint32_t index_bytes;
    // Adds a SUM's payload to another; NULL: it is floats, each added to its own.
    void (*combine)(const void *config, void *into, const void *from);
} mr_family;

// The version as it is stored beside a row of this configuration.
static inline uint8_t mr_family_version(const mr_family *family, const void *config)
{
    return (uint8_t)(family->version + 8 * (family->variant != NULL ? family->variant(config) : 0));
}

static inline uint32_t mr_family_row_bytes(const mr_family *family, const void *config)
{
    return family->row_bytes != NULL ? family->row_bytes(config) : family->row_size;
}

// 0: the family has no SUMs.
static inline uint32_t mr_family_delta_bytes(const mr_family *family, const void *config)
{
    return family->delta_bytes != NULL ? family->delta_bytes(config) : family->delta_size;
}

static inline uint32_t mr_family_rows_max(const mr_family *family, const void *config)
{
    return family->rows_max != NULL ? family->rows_max(config) : 1;
}

// Adds a SUM's payload to another of this configuration.
static inline void mr_family_combine(const mr_family *family, const void *config, void *into,
                                     const void *from)
{
    if (family->combine != NULL) {
        family->combine(config, into, from);
        return;
    }
    float *sum = into;
    const float *more = from;
    const uint32_t count = mr_family_delta_bytes(family, config) / (uint32_t)sizeof(float);
    for (uint32_t i = 0; i < count; i++)
        sum[i] += more[i];
}

// ---- what happened, as a method sees it

typedef enum mr_signal_kind {
    MR_SIGNAL_ACT,     // a user acted on an item: click, cart, purchase, rating
    MR_SIGNAL_SHOWN,   // an item was shown to a user (from an impression)
    MR_SIGNAL_CONTROL, // a user's word about his own lists: no item
    MR_SIGNAL_REFUND,  // an item that was bought is given back
} mr_signal_kind;

typedef struct mr_signal {
    mr_signal_kind kind;
    mr_event_kind act; // of an ACT: which
    mr_action action;  // of a CONTROL
    uint64_t target;   // mr_category_key of what it is about; 0: nothing
    uint32_t user;     // slot, memory only
    uint32_t item;     // slot, memory only
    uint64_t item_key;
    uint64_t event_hash; // mr_hash64 of the event's id, odd; 0: it has none
    uint64_t origin;     // mr_hash64 of where it came from, odd; 0: nobody says
    uint64_t list;       // hash of the list that it names, odd; 0: none
    uint64_t order;      // hash of the order that it belongs to, odd; 0: none
    int64_t time_ms;
    float weight;     // click 1, cart 2, purchase 3 by default; rate limits and caps included
    float value;      // rating, or strength of a CONTROL; NAN where absent
    float propensity; // with which the item was shown, NAN where unknown
    float examined;   // how likely its place was looked at, above 0; 0 where nobody says
    int32_t position; // -1 where unknown
    uint32_t index;   // place in the epoch
    bool repeat;      // the item stands among the user's recent events already
    bool answers;     // it answers a list: the event names one, or `join` found it
    bool organic;     // it is known to answer no list: no reward of one
} mr_signal;

// What the catalogue says of an item: all of it, instead of what it said before.
typedef struct mr_described {
    uint32_t item; // slot, memory only
    int64_t time_ms;
    const float *vector; // finite; NULL: none was given
    uint32_t vector_count;
    const uint64_t *tokens; // names of categories and attributes; none is equal to another by name
    uint32_t token_count;
} mr_described;

// The newest events of a user, shared by every method: 16 bytes each, newest first.
enum { MR_RECENT_MAX = 24 };
typedef struct mr_recent {
    uint64_t item_key;
    uint32_t time_s; // UTC seconds
    uint8_t act;     // mr_event_kind
    uint8_t position;
    uint16_t flags;
} mr_recent;

// A user's row in memory: the engine's part, then the methods' parts at fixed offsets.
typedef struct mr_user {
    uint64_t key;         // mr_user_key of the id
    uint64_t touched_seq; // commit in which the user acted last
    uint64_t listed_seq;  // commit of the last list
    int64_t list_ms;      // event time of the last list
    uint64_t list_hash;   // of its items in order: an equal list is not published again
    uint32_t events;      // how many were learned
    uint32_t recent_count;
    mr_recent recent[MR_RECENT_MAX];
} mr_user;

// ---- an instance: a method with its configuration, as the engine runs it

typedef struct mr_instance {
    const struct mr_state *state;
    void *config;          // the method's config struct, filled from params
    uint32_t family_first; // index of its first family among all of the engine's
    uint32_t column_first; // index of its first column
    uint32_t column_count;
    uint32_t user_offset; // of its USER part in the user's row; 0: has none
    void *cache;          // derived memory of cache_bytes; dropped and rebuilt at any time
} mr_instance;

// What a model found out about one user and may use again for the same user: in the arena, until
// the engine goes on to the next user. Only a matter of speed.
typedef struct mr_memo {
    uint32_t user; // UINT32_MAX: nothing
    const void *data;
} mr_memo;

typedef struct mr_view { // what a method may read
    const mr_vec *vec;
    const struct mr_items *items;
    const struct mr_named *named; // by family index
    uint8_t *users;               // user records, by slot
    uint32_t user_stride;
    const mr_instance *instances; // for ports: see `needs`
    uint32_t instance_count;
    mr_memo *memos;         // by instance; one lane's alone
    struct mr_costs *costs; // the engine's: NULL where nothing is timed (cost.h)
    uint64_t seed;
    uint32_t task;
    uint64_t epoch;        // of the task
    int64_t clock_ms;      // event time
    uint32_t vector_model; // what makes content vectors: mr_hash64 of its name; 0: nobody says
    bool impressions;      // whether outcomes of lists are seen at all (see diag_linucb)
    uint64_t acts;         // acts learned on all items, as of the round's start
    struct { // keys of the task's newest acts on items, in a ring: see mr_view_recent_key
        const struct mr_past *past;
        uint64_t end;
        uint32_t count, max;
    } recent;
} mr_view;

// An act that was learned: also an entry of the de-duplication window (core/task.h).
typedef struct mr_past {
    uint64_t event_hash; // 0: it had no id
    uint64_t item_key;   // 0: it was no act on an item
} mr_past;

// The item of the n-th newest entry, n < recent.count; 0: that one was no act on an item.
static inline uint64_t mr_view_recent_key(const mr_view *view, uint32_t n)
{
    return view->recent.past[(view->recent.end - 1 - n) % view->recent.max].item_key;
}

static inline mr_user *mr_view_user(const mr_view *view, uint32_t slot)
{
    return (mr_user *)(void *)(view->users + (size_t)slot * view->user_stride);
}

static inline void *mr_user_part(const mr_instance *self, mr_user *user)
{
    return (uint8_t *)user + self->user_offset;
}

// ---- candidates and columns

typedef enum mr_scale {
    MR_SCALE_REAL,  // any real number
    MR_SCALE_COUNT, // >= 0, heavy-tailed: the blend also takes its logarithm
} mr_scale;

typedef struct mr_column {
    const char *name; // in metrics: never renamed
    mr_scale scale;
} mr_column;

// A column's own best items for one user, best first.
enum { MR_FOUND_MAX = 128 };
typedef struct mr_found {
    uint32_t slots[MR_FOUND_MAX];
    float scores[MR_FOUND_MAX];
    uint32_t count, max;
} mr_found;

// An item beside another one in a model's table, and what stands behind it.
typedef struct mr_table_entry {
    uint32_t slot;
    float count; // how often they went together, faded
    float total; // of the item: how often it went with anything
} mr_table_entry;

typedef struct mr_measure { // one number of a method for the metrics topic
    const char *name;
    double value;
} mr_measure;

typedef struct mr_state { // whatever keeps rows has this as its first member
    const char *name, *source;
    const mr_param *params; // ends with a NULL name
    uint32_t config_bytes;
    const mr_family *families;
    uint32_t family_count;
    const char *const
        *needs; // names of methods that it reads through ports; NULL-terminated or NULL

    // Size of the derived memory, and its reconstruction from rows alone: at a start, and after
    // items have expired.
    size_t (*cache_bytes)(const void *config, uint32_t items_max);
    void (*rebuild)(const mr_instance *self, const mr_view *view);
    // A row of `family` (index inside the method) at `slot` was applied: brings the cache up to
    // date.
    void (*changed)(const mr_instance *self, const mr_view *view, uint32_t family, uint32_t slot);

    // Completes what a signal says of the list that it answers, before anybody looks at it; NULL:
    // knows nothing of that.
    void (*join)(const mr_instance *self, const mr_view *view, mr_signal *signal);
    // One wave: no user twice. Writes user parts of the signals' users, and deltas.
    void (*observe)(const mr_instance *self, const mr_view *view, const mr_signal *signals,
                    uint32_t signal_count, struct mr_deltas *deltas, mr_arena *arena);
    // What the catalogue says of an item, before the epoch's waves: writes deltas; NULL: no matter.
    void (*describe)(const mr_instance *self, const mr_view *view, const mr_described *described,
                     struct mr_deltas *deltas);
    // How many cells that adds for one signal at most; NULL: none.
    uint32_t (*cells)(const void *config);
    // At the owner: one row, once a round.
    void (*apply)(const mr_instance *self, const mr_view *view, uint32_t family, uint64_t key,
                  const void *delta, void *row);
    void (*apply_cells)(const mr_instance *self, const mr_view *view, uint32_t family, uint64_t key,
                        const mr_cell *cells, uint32_t cell_count, void *row);
    // Numbers for the metrics topic; returns how many were written, at most max.
    uint32_t (*measure)(const mr_instance *self, const mr_view *view, mr_measure *out,
                        uint32_t max);
    // Adds to what readers outside are told of the item at `slot`; NULL: nothing.
    void (*tell)(const mr_instance *self, const mr_view *view, uint32_t slot, struct mr_told *told);
} mr_state;

typedef struct mr_model {
    mr_state state;
    bool (*on)(const void *config); // whether it does anything; NULL: always
    const mr_column *columns;
    uint32_t (*column_count)(const void *config); // NULL: one
    // Whether `candidates` gains from many users at once; otherwise it is called user by user,
    // right before `score` of the same user.
    bool batched;
    // The best items of column `column` (index inside the method) for each of user_count users,
    // among those that the user's filter admits; found[i].max is set by the caller. Scores are
    // those of `score`, order is score descending, then key ascending.
    void (*candidates)(const mr_instance *self, const mr_view *view, const uint32_t *users,
                       uint32_t user_count, uint32_t column, const struct mr_filter *filters,
                       mr_arena *arena, mr_found *found);
    // columns[c * stride + i] = column c of item slots[i]: does not depend on the other slots.
    void (*score)(const mr_instance *self, const mr_view *view, uint32_t user,
                  const uint32_t *slots, uint32_t slot_count, float *columns, uint32_t stride,
                  mr_arena *arena);
    // In the place of `candidates` and `score`, of a model whose columns are functions of those
    // above it: writes its values of all candidates that others proposed. NULL: reads no columns.
    void (*rank)(const mr_instance *self, const mr_view *view, uint32_t user,
                 const struct mr_columns *columns, struct mr_union *candidates, mr_arena *arena);
    // Where the blend learns from an act, with its item at `target` among the candidates as they
    // stood before it: what it teaches, as deltas. NULL: nothing.
    void (*teach)(const mr_instance *self, const mr_view *view, const mr_signal *signal,
                  const struct mr_columns *columns, const struct mr_union *candidates,
                  uint32_t target, struct mr_deltas *deltas, mr_arena *arena);
    // Mean and standard deviation of the expected reward, for a policy that explores; NULL: none.
    // Of several models that have them, those of the last one in the table count.
    void (*spread)(const mr_instance *self, const mr_view *view, uint32_t user,
                   const uint32_t *slots, uint32_t slot_count, float *mean, float *deviation);
    // The vector of the item or of the user at `slot`, in a space where a larger dot product means
    // a likelier act; `count` numbers, padded with zeros to a multiple of 16. NULL: has no space.
    const float *(*vector)(const mr_instance *self, const mr_view *view, mr_key_kind whose,
                           uint32_t slot, uint32_t *count);
    // The items next to the one at `slot` in the model's graph, none of them twice, with their
    // shares, > 0 and adding up to 1; returns their count, at most max. NULL: has no graph.
    uint32_t (*neighbours)(const mr_instance *self, const mr_view *view, uint32_t slot,
                           uint32_t *slots, float *shares, uint32_t max);
    // The items in the table of the one at `slot`, none of them twice, with their counts as of the
    // clock, and its own total; returns their count, at most max. NULL: has no tables.
    uint32_t (*table)(const mr_instance *self, const mr_view *view, uint32_t slot, float *total,
                      mr_table_entry *pairs, uint32_t max);
    // The clusters and weights that the user stands in, for the list's record; returns their count.
    uint32_t (*context)(const mr_instance *self, const mr_view *view, uint32_t user,
                        uint32_t *clusters, float *weights, uint32_t max);
} mr_model;

typedef struct mr_policy { // draws lists, and knows the probability of what it did
    mr_state state;
    bool needs_spread;                         // some model has to give means and deviations
    size_t (*slate_bytes)(const void *config); // what it keeps of one list; NULL: nothing
    void (*open)(const mr_instance *self, struct mr_slate *slate);
    // The candidate for the next place and, in *q, P(candidate | items above); UINT32_MAX: none
    // left.
    uint32_t (*draw)(const mr_instance *self, struct mr_slate *slate, mr_rng *rng, double *q);
    // The list is drawn, by `draw` or, of a user outside the exploration slice, without it: writes
    // the policy's USER part, which is stored with the list. NULL: has none.
    void (*drawn)(const mr_instance *self, struct mr_slate *slate);
} mr_policy;

typedef struct mr_asked { // of an event before it is learned
    uint64_t origin;      // where it came from; 0: nobody says
    uint64_t item_key;    // what it is about; 0: nothing, or several items
    uint8_t act;          // mr_event_kind
    int64_t now_ms;       // the clock, or the event's time where that is later
} mr_asked;

typedef struct mr_rule { // filters and priors, as functions of the items above: q stays exact
    mr_state state;
    bool (*on)(const void *config); // whether it does anything; NULL: always
    // Whether an event of the user at slot `user` is counted only, instead of learned: asked before
    // a round is learned, of everything but control events. NULL: never.
    bool (*holds)(const mr_instance *self, const mr_view *view, uint32_t user,
                  const mr_asked *asked);
    size_t (*slate_bytes)(const void *config); // what it keeps of one list at most; NULL: nothing
    void (*open)(const mr_instance *self, struct mr_slate *slate);
    // Clears the bits of candidates that may not stand at the next place; NULL: all may.
    void (*admit)(const mr_instance *self, struct mr_slate *slate, uint64_t *bits);
    void (*picked)(const mr_instance *self, struct mr_slate *slate, uint32_t candidate);
} mr_rule;

// A method that `needs` names: it is there, or the start was refused.
const mr_instance *mr_view_instance(const mr_view *view, const char *name);
// The vector of an item or a user in the space of the model `name`, which `needs` names.
const float *mr_view_vector(const mr_view *view, const char *name, mr_key_kind whose, uint32_t slot,
                            uint32_t *count);
// The neighbours of an item in the graph of the model `name`, which `needs` names.
uint32_t mr_view_neighbours(const mr_view *view, const char *name, uint32_t slot, uint32_t *slots,
                            float *shares, uint32_t max);
// What stands in an item's table of the model `name`, which `needs` names.
uint32_t mr_view_table(const mr_view *view, const char *name, uint32_t slot, float *total,
                       mr_table_entry *pairs, uint32_t max);

// The tables, in order of their .def files.
extern const mr_model *const mr_models[];
extern const uint32_t mr_model_count;
extern const mr_policy *const mr_policies[];
extern const uint32_t mr_policy_count;
extern const mr_rule *const mr_rules[];
extern const uint32_t mr_rule_count;

#endif
