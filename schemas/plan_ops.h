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

typedef struct mr_constant {
    mr_field field;
    bool to_lines; // a part of each line: no bit, the line's default
    uint16_t at;
    enum { MR_CONSTANT_TEXT, MR_CONSTANT_LONG, MR_CONSTANT_DOUBLE, MR_CONSTANT_BOOL } type;
    mr_bytes text;
    int64_t number;
    double real;
} mr_constant;

struct mr_plan {
    mr_event_kind kind;
    bool line_of_event; // item, quantity and price of the event are its only line
    bool needs_lines, needs_vector;
    uint32_t scratch_bytes;
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

#endif
