// SPDX-License-Identifier: Apache-2.0
// plan_ops: the instructions of a decode plan. Private to plan_compile.c, plan_emit.c and
// plan_run.c.
//
// The machine has a cursor in the message, a base that destinations are offsets from (the event, or
// the line, pair or category that is being filled), and a stack of counters and return addresses.
// `next` is an index into ops; execution goes on with the following instruction unless said
// otherwise.
#ifndef MR_SCHEMAS_PLAN_OPS_H
#define MR_SCHEMAS_PLAN_OPS_H

#include "schemas/plan.h"

typedef enum mr_op_code {
    // passing over
    MR_OP_SKIP_FIXED,         // `count` bytes
    MR_OP_SKIP_NUMBERS,       // `count` ints, longs or enums
    MR_OP_SKIP_BYTES,         // `count` strings or bytes
    MR_OP_SKIP_OPTIONAL_FIXED,   // `next` unions of null (branch `count`) and `at` bytes
    MR_OP_SKIP_OPTIONAL_NUMBERS, // the same with an int, long or enum
    MR_OP_SKIP_OPTIONAL_BYTES,   // the same with a string or bytes
    MR_OP_SKIP_ARRAY_FIXED,   // an array of items of `count` bytes
    MR_OP_SKIP_ARRAY_NUMBERS, // an array of ints, longs or enums
    MR_OP_SKIP_ARRAY_BYTES,   // an array with `count` strings an item; 2: a map of strings
    MR_OP_SKIP_BLOCKS, // head of a block of other items, `count` bytes each at least; end: next
    MR_OP_SKIP_AGAIN,  // next item of the block that began at `next`

    // finding the way
    MR_OP_OPTIONAL, // a union of null (branch `count`) and another; null: go on at `next`
    MR_OP_UNION,    // of `count` branches: branch i goes on at jumps[next + i]
    MR_OP_JUMP,     // to `next`
    MR_OP_CALL,     // the routine at `next`
    MR_OP_RETURN,
    MR_OP_SAVE,    // remember the cursor in slot `count`
    MR_OP_RESTORE, // and go back to it: one value fills several fields
    MR_OP_END,
    MR_OP_EACH,   // remember the cursor: here is the array of `each`
    MR_OP_SELECT, // the base is selector `count`
    MR_OP_SELECTED, // the base is the event again
    MR_OP_SELECT_TEXT, // string into selector `count`

    // filling: `at` is the destination's offset from the base, `field` its bit in present
    MR_OP_TEXT,          // string, checked to be UTF-8
    MR_OP_TEXT_BYTES,    // bytes, as they are
    MR_OP_TEXT_FIXED,    // `count` bytes, as they are
    MR_OP_TEXT_ENUM,     // one of `count` symbols: texts[next + index]
    MR_OP_TEXT_BOOLEAN,  // texts[next] and texts[next + 1]: false, true
    MR_OP_TEXT_NUMBER,   // an int or long in decimal, written to the event's scratch
    MR_OP_TEXT_UUID,     // 16 bytes as 36 characters, written to the event's scratch
    MR_OP_LONG,          // long
    MR_OP_INT,           // int into a long
    MR_OP_TIME_TIMES,    // long * count into milliseconds
    MR_OP_TIME_DIVIDED,  // long / count into milliseconds, rounded down
    MR_OP_TIME_DAYS,     // int, days
    MR_OP_TIME_DOUBLE,   // double * count / next into milliseconds, to the nearest
    MR_OP_TIME_ISO,      // string, ISO 8601
    MR_OP_DOUBLE,        // double
    MR_OP_DOUBLE_FLOAT,  // float into a double
    MR_OP_DOUBLE_LONG,   // long into a double
    MR_OP_DOUBLE_INT,    // int into a double
    MR_OP_DECIMAL,       // bytes, big-endian two's complement, / 10^next, into a double
    MR_OP_DECIMAL_FIXED, // the same from `count` bytes
    MR_OP_BOOLEAN,       // boolean
    MR_OP_BOOLEAN_LONG,  // a number: true unless 0

    // the same, of a union of null (branch `count`) and that type: one step where it is two
    MR_OP_OPTIONAL_TEXT,
    MR_OP_OPTIONAL_LONG,
    MR_OP_OPTIONAL_INT,
    MR_OP_OPTIONAL_DOUBLE,
    MR_OP_OPTIONAL_FLOAT,

    // filling lists
    MR_OP_ITEMS, // head of a block of lines, pairs or texts, `count` bytes each at least; end: next
    MR_OP_ITEM,  // begins an item: the base is its slot
    MR_OP_PAIR_NAME,  // the pair's name is the key of a map's entry
    MR_OP_PAIR_IS,    // the pair's name is texts[next]
    MR_OP_ITEM_AGAIN, // keeps the item; next item of the block that began at `next`
    MR_OP_ITEM_KEEP,  // keeps an item that stands alone; the base is the event again
    MR_OP_PAIRS,      // a whole map of strings (count 1) or bytes (0) into the context
    MR_OP_FLOATS,     // a whole array into the vector; `at` is the items' mr_avro
} mr_op_code;

typedef struct mr_op {
    uint8_t code;
    uint8_t field;
    uint16_t at;
    uint32_t count;
    uint32_t next;
    uint32_t path; // index into paths, for errors; of a run, its first: the others follow
} mr_op;
_Static_assert(sizeof(mr_op) == 16, "four instructions in a cache line");

typedef enum mr_sort { // what a destination holds
    MR_SORT_TEXT,
    MR_SORT_LONG,
    MR_SORT_DOUBLE,
    MR_SORT_MILLIS,
    MR_SORT_BOOL,
    MR_SORT_LINES,
    MR_SORT_PAIRS,
    MR_SORT_TEXTS,
    MR_SORT_FLOATS,
    MR_SORT_EACH, // the array whose items are events
} mr_sort;

typedef struct mr_target { // a destination in the event, line, pair or category
    mr_field field;
    mr_line_part part;
    mr_sort sort;
    uint16_t at;
    mr_time_unit unit;
} mr_target;

typedef enum mr_want_root { // wants that are there from the start; 0 stands for "none"
    MR_WANT_EVENT = 1,
    MR_WANT_LINE,
    MR_WANT_PAIR,     // a pair's value
    MR_WANT_CATEGORY, // a text of a list of texts
    MR_WANT_EACH,     // an item of `each`
    MR_WANT_ROOTS,
} mr_want_root;

enum {
    MR_TARGETS_MAX = 64, // bits in mr_want.targets
    MR_WANTS_MAX = 512,
};

typedef struct mr_constant {
    mr_field field;
    bool to_lines; // a part of each line: no bit, the line's default
    uint16_t at;
    enum { MR_CONSTANT_TEXT, MR_CONSTANT_LONG, MR_CONSTANT_DOUBLE, MR_CONSTANT_BOOL } type;
    mr_bytes text;
    int64_t number;
    double real;
} mr_constant;

enum {
    MR_FIELD_SELECTOR = 31,     // a destination that is no field: a selector
    MR_EACH_ID_BYTES_MAX = 256, // of an event's id that its record gives to all
    MR_EACH_SCRATCH_BYTES = MR_EACH_ID_BYTES_MAX + 16,
};
_Static_assert((int)MR_FIELD_COUNT <= (int)MR_FIELD_SELECTOR, "the last bit is for selectors");

// A value that decides, or that stands for another. A selector has a text, `slot` of
// mr_plan_walk.selected, or of MR_ROLE_FIELD the text at `at` of the event.
typedef struct mr_plan_selector {
    mr_mapping_role role;
    bool negated;
    uint8_t slot;
    mr_field field;
    uint16_t at;
    uint32_t value_first, value_count;
    uint32_t name; // offset in pool, for errors
} mr_plan_selector;

typedef struct mr_plan_value {
    mr_bytes from, to;
    bool any;      // "*"
    uint32_t kind; // of MR_ROLE_KIND: as mr_mapping_kind says
} mr_plan_value;

typedef enum mr_outside_sort {
    MR_OUTSIDE_TEXT,
    MR_OUTSIDE_LONG,
    MR_OUTSIDE_DOUBLE,
    MR_OUTSIDE_TIME,
    MR_OUTSIDE_BOOL,
    MR_OUTSIDE_SELECTOR, // `at` is its slot
} mr_outside_sort;

typedef struct mr_plan_outside { // a field that comes from the message's key or a header
    uint32_t index;              // of mr_plan_walk.outside
    mr_outside_sort sort;
    mr_field field;
    uint16_t at;
    mr_time_unit unit;
    uint32_t name; // offset in pool, for errors
} mr_plan_outside;

struct mr_json; // json_build.h: the tables of a plan of JSON

struct mr_plan {
    mr_event_kind kind; // MR_EVENT_KIND_COUNT: a selector says it
    bool line_of_event; // item, quantity and price of the event are its only line
    bool needs_lines, needs_vector;
    bool plain; // a record is one event, all of it
    uint32_t scratch_bytes, item_scratch_bytes;
    struct mr_json *json; // NULL: Avro
    bool has_each;
    uint32_t each;       // instruction where the program of an item begins
    uint32_t each_bytes; // that an item takes at least
    uint32_t each_path;  // offset in pool
    mr_plan_selector selectors[MR_MAPPING_ENTRIES_MAX];
    mr_plan_outside outside[MR_MAPPING_ENTRIES_MAX];
    mr_plan_value *values; // of the selectors
    uint32_t selector_count, outside_count, value_count;
    mr_op *ops;
    uint32_t *jumps;
    mr_bytes *texts; // of enums and constants, in pool
    uint32_t *paths; // offsets in pool
    char *pool;
    mr_constant *constants;
    mr_line line; // what a line is before it is filled
    uint32_t op_count, jump_count, text_count, path_count, pool_bytes, constant_count;
    uint32_t sources[MR_FIELD_COUNT]; // offsets in pool + 1; 0: the field is not filled
};

typedef struct mr_plan_part { // a program and what it runs over
    uint32_t first;             // instruction: 0 of a record, plan->each of an item
    const uint8_t *bytes, *end; // of the whole record
    const uint8_t *at;          // where the program begins, and behind it where it ended
    uint32_t present;           // bits of the event that were filled, in and out
    mr_bytes *selected;         // MR_SELECTORS_MAX
    const uint8_t *each;        // out: where the array of `each` stands; NULL: it was not there
} mr_plan_part;

// plan_run.c, of Avro. Goes on with the event's counts and scratch where they are. Errors:
// MR_REJECT.
MR_CHECKED mr_status mr_plan_run(const mr_plan *plan, mr_plan_part *part, mr_event *event,
                                 mr_error *err);

#endif
