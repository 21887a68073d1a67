// SPDX-License-Identifier: Apache-2.0
// The interpreter of a decode plan.
//
// Everything that the record can claim is checked where it is read: lengths and counts against the
// bytes left, indexes against their schema, depth against the stack. So the work is bounded by the
// bytes of the record: an item of an array costs at least one, or the array is passed over at once.
//
// The instructions of a plain event run in the loop itself, with cursor, base and present in
// registers
// (`hot`); the others are functions on the machine in memory. That is worth a quarter of the time.
#include "schemas/plan_ops.h"
#include "schemas/text.h"
#include "schemas/utf8.h"
#include "schemas/wire.h"

enum {
    SAVE_SLOTS = 8,          // must be the compiler's bound too: MR_OP_SAVE counts from 0
    DECIMAL_BYTES_MAX = 128, // more digits than any money needs; bounds the loop
    NUMBER_CHARS_MAX = 20,   // "-9223372036854775808"
};

typedef struct machine {
    mr_wire in;
    uint8_t *base;
    mr_event *event;
    const mr_plan *plan;
    const mr_op *op; // for step
    uint32_t depth;
    uint32_t present;
    uint32_t scratch_max;
    uint32_t scratch_mark; // where the texts of the item in hand begin
    uint64_t done;         // in a run of skips: how many succeeded, for the path of an error
    uint64_t stack[MR_PLAN_DEPTH_MAX];
    const uint8_t *saved[SAVE_SLOTS];
    mr_bytes *selected;
    const uint8_t *each;
    union { // where items beyond the limit go
        mr_pair pair;
        mr_bytes text;
    } spare;
} machine;

// Passes over ints, longs and enums; *done says how many succeeded.
static inline mr_cause skip_numbers(mr_wire *in, uint64_t count, uint64_t *done)
{
    mr_cause cause = MR_CAUSE_NONE;
    uint64_t raw, i = 0;
    for (; i < count && (cause = mr_wire_number(in, &raw)) == MR_CAUSE_NONE; i++)
        ;
    *done = i;
    return cause;
}

// The same for strings and bytes.
static inline mr_cause skip_bytes(mr_wire *in, uint64_t count, uint64_t *done)
{
    mr_cause cause = MR_CAUSE_NONE;
    mr_bytes bytes;
    uint64_t i = 0;
    for (; i < count && (cause = mr_wire_bytes(in, &bytes)) == MR_CAUSE_NONE; i++)
        ;
    *done = i;
    return cause;
}

// Passes over unions of null and one of the three; the compiler sees that `code` is constant.
static inline mr_cause skip_optional(mr_wire *in, mr_op_code code, const mr_op *op, uint64_t *done)
{
    mr_cause cause = MR_CAUSE_NONE;
    uint64_t i = 0, raw;
    for (; i < op->next; i++) {
        uint32_t index;
        mr_bytes bytes;
        if ((cause = mr_wire_index(in, 2, &index)) != MR_CAUSE_NONE)
            break;
        if (index == op->count)
            continue;
        cause = code == MR_OP_SKIP_OPTIONAL_BYTES     ? mr_wire_bytes(in, &bytes)
                : code == MR_OP_SKIP_OPTIONAL_NUMBERS ? mr_wire_number(in, &raw)
                                                      : mr_wire_skip(in, op->at);
        if (cause != MR_CAUSE_NONE)
            break;
    }
    *done = i;
    return cause;
}

// Passes over an array whose items all take the same few steps.
static mr_cause skip_array(machine *m, const mr_op *op)
{
    const uint32_t bytes_min = op->code == MR_OP_SKIP_ARRAY_NUMBERS ? 1 : op->count;
    for (;;) {
        uint64_t count, done;
        int64_t bytes;
        mr_cause cause = mr_wire_block(&m->in, bytes_min, &count, &bytes);
        if (cause != MR_CAUSE_NONE || count == 0)
            return cause;
        if (bytes >= 0)
            cause = mr_wire_skip(&m->in, (uint64_t)bytes);
        else if (op->code == MR_OP_SKIP_ARRAY_FIXED)
            cause = mr_wire_skip(&m->in, count * op->count);
        else if (op->code == MR_OP_SKIP_ARRAY_NUMBERS)
            cause = skip_numbers(&m->in, count, &done);
        else
            cause = skip_bytes(&m->in, count * op->count, &done);
        if (cause != MR_CAUSE_NONE)
            return cause;
    }
}

static inline mr_cause push(machine *m, uint64_t value)
{
    if (m->depth == MR_PLAN_DEPTH_MAX)
        return MR_CAUSE_too_deep;
    m->stack[m->depth++] = value;
    return MR_CAUSE_NONE;
}

// Where to go on after the head of a block of items to be passed over.
static mr_cause skip_blocks(machine *m, const mr_op **op)
{
    for (;;) {
        uint64_t count;
        int64_t bytes;
        mr_cause cause = mr_wire_block(&m->in, (*op)->count, &count, &bytes);
        if (cause != MR_CAUSE_NONE)
            return cause;
        if (count == 0) {
            *op = m->plan->ops + (*op)->next - 1;
            return MR_CAUSE_NONE;
        }
        if (bytes < 0)
            return push(m, count);
        if ((cause = mr_wire_skip(&m->in, (uint64_t)bytes)) != MR_CAUSE_NONE)
            return cause;
    }
}

// The first instruction of an item follows the head; the last is an AGAIN that names the head.
static inline const mr_op *again(machine *m, const mr_op *op)
{
    if (--m->stack[m->depth - 1] > 0)
        return m->plan->ops + op->next;
    m->depth--;
    return m->plan->ops + op->next - 1;
}

static inline void fill_text(machine *m, const mr_op *op, mr_bytes text)
{
    *(mr_bytes *)(void *)(m->base + op->at) = text;
    m->present |= 1u << op->field;
}

static inline void fill_long(machine *m, const mr_op *op, int64_t value)
{
    *(int64_t *)(void *)(m->base + op->at) = value;
    m->present |= 1u << op->field;
}

static inline void fill_double(machine *m, const mr_op *op, double value)
{
    *(double *)(void *)(m->base + op->at) = value;
    m->present |= 1u << op->field;
}

static inline void fill_bool(machine *m, const mr_op *op, bool value)
{
    *(bool *)(m->base + op->at) = value;
    m->present |= 1u << op->field;
}

static inline mr_cause take_utf8(mr_wire *in, mr_bytes *text)
{
    const mr_cause cause = mr_wire_bytes(in, text);
    if (cause != MR_CAUSE_NONE)
        return cause;
    return mr_utf8_valid(text->data, text->size, (size_t)(in->end - text->data))
               ? MR_CAUSE_NONE
               : MR_CAUSE_bad_utf8;
}

static mr_cause text_bytes(machine *m, const mr_op *op)
{
    mr_bytes text;
    const mr_cause cause = mr_wire_bytes(&m->in, &text);
    if (cause == MR_CAUSE_NONE)
        fill_text(m, op, text);
    return cause;
}

static mr_cause text_fixed(machine *m, const mr_op *op)
{
    const mr_bytes text = {m->in.p, op->count};
    const mr_cause cause = mr_wire_skip(&m->in, op->count);
    if (cause == MR_CAUSE_NONE)
        fill_text(m, op, text);
    return cause;
}

static mr_cause take_boolean(mr_wire *in, bool *value)
{
    if (in->p == in->end)
        return MR_CAUSE_truncated;
    *value = *in->p == 1;
    return *in->p++ <= 1 ? MR_CAUSE_NONE : MR_CAUSE_bad_value;
}

static mr_cause text_boolean(machine *m, const mr_op *op)
{
    bool value;
    const mr_cause cause = take_boolean(&m->in, &value);
    if (cause == MR_CAUSE_NONE)
        fill_text(m, op, m->plan->texts[op->next + value]);
    return cause;
}

// The compiler added up what a plan can need, so there is always room.
static uint8_t *scratch(machine *m, uint32_t size)
{
    MR_ASSERT(size <= m->scratch_max - m->event->scratch_used);
    uint8_t *at = m->event->scratch + m->event->scratch_used;
    m->event->scratch_used += size;
    return at;
}

static mr_cause text_number(machine *m, const mr_op *op)
{
    uint8_t digits[NUMBER_CHARS_MAX];
    uint32_t first = NUMBER_CHARS_MAX;
    int64_t value;
    const mr_cause cause = mr_wire_long(&m->in, &value);
    if (cause != MR_CAUSE_NONE)
        return cause;
    uint64_t rest = value < 0 ? UINT64_C(0) - (uint64_t)value : (uint64_t)value;
    do {
        digits[--first] = (uint8_t)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (value < 0)
        digits[--first] = '-';
    const uint32_t size = NUMBER_CHARS_MAX - first;
    uint8_t *at = scratch(m, size);
    memcpy(at, digits + first, size);
    fill_text(m, op, (mr_bytes){at, size});
    return MR_CAUSE_NONE;
}

static mr_cause text_uuid(machine *m, const mr_op *op)
{
    static const char hex[] = "0123456789abcdef";
    const uint8_t *from = m->in.p;
    const mr_cause cause = mr_wire_skip(&m->in, 16);
    if (cause != MR_CAUSE_NONE)
        return cause;
    uint8_t *at = scratch(m, 36), *to = at;
    for (uint32_t i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *to++ = '-';
        *to++ = (uint8_t)hex[from[i] >> 4];
        *to++ = (uint8_t)hex[from[i] & 15];
    }
    fill_text(m, op, (mr_bytes){at, 36});
    return MR_CAUSE_NONE;
}

static mr_cause time_scaled(machine *m, const mr_op *op)
{
    int64_t value;
    const mr_cause cause = mr_wire_long(&m->in, &value);
    if (cause != MR_CAUSE_NONE)
        return cause;
    if (op->code == MR_OP_TIME_DIVIDED)
        value = value / op->count - (value % op->count < 0);
    else if (__builtin_mul_overflow(value, (int64_t)op->count, &value))
        return MR_CAUSE_bad_value;
    fill_long(m, op, value);
    return MR_CAUSE_NONE;
}

static mr_cause time_days(machine *m, const mr_op *op)
{
    int64_t value;
    const mr_cause cause = mr_wire_int(&m->in, &value);
    if (cause == MR_CAUSE_NONE)
        fill_long(m, op, value * 86400000);
    return cause;
}

static mr_cause time_iso(machine *m, const mr_op *op)
{
    mr_bytes text;
    int64_t millis;
    const mr_cause cause = mr_wire_bytes(&m->in, &text);
    if (cause != MR_CAUSE_NONE)
        return cause;
    if (!mr_text_time(text, MR_TIME_ISO, &millis))
        return MR_CAUSE_bad_value;
    fill_long(m, op, millis);
    return MR_CAUSE_NONE;
}

static mr_cause time_double(machine *m, const mr_op *op)
{
    double value;
    const mr_cause cause = mr_wire_double(&m->in, &value);
    if (cause != MR_CAUSE_NONE)
        return cause;
    value = value * op->count / op->next + 0.5;
    if (!(value > -4e15 && value < 4e15)) // beyond that a double has no halves; NaN
        return MR_CAUSE_bad_value;
    int64_t whole = (int64_t)value;
    whole -= (double)whole > value; // down, so that with the half above it is the nearest
    fill_long(m, op, whole);
    return MR_CAUSE_NONE;
}

static mr_cause double_of_long(machine *m, const mr_op *op)
{
    int64_t value;
    const mr_cause cause =
        op->code == MR_OP_DOUBLE_INT ? mr_wire_int(&m->in, &value) : mr_wire_long(&m->in, &value);
    if (cause == MR_CAUSE_NONE)
        fill_double(m, op, (double)value);
    return cause;
}

// Powers of ten up to 10^22 are exact doubles, so a number of up to 53 bits is rounded once.
static double scaled(double value, uint32_t scale)
{
    static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                    1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    for (; scale > 22; scale -= 22)
        value /= 1e22;
    return value / powers[scale];
}

static mr_cause decimal(machine *m, const mr_op *op)
{
    mr_bytes digits = {m->in.p, op->count};
    const mr_cause cause = op->code == MR_OP_DECIMAL_FIXED ? mr_wire_skip(&m->in, op->count)
                                                           : mr_wire_bytes(&m->in, &digits);
    if (cause != MR_CAUSE_NONE)
        return cause;
    if (digits.size == 0 || digits.size > DECIMAL_BYTES_MAX)
        return MR_CAUSE_bad_value;
    if (digits.size <= 8) {
        uint64_t value = (digits.data[0] & 0x80) != 0 ? UINT64_MAX : 0;
        for (uint32_t i = 0; i < digits.size; i++)
            value = value << 8 | digits.data[i];
        fill_double(m, op, scaled((double)(int64_t)value, op->next));
        return MR_CAUSE_NONE;
    }
    double value = (double)(int8_t)digits.data[0];
    for (uint32_t i = 1; i < digits.size; i++)
        value = value * 256 + digits.data[i];
    fill_double(m, op, scaled(value, op->next));
    return MR_CAUSE_NONE;
}

static mr_cause boolean(machine *m, const mr_op *op)
{
    bool value;
    const mr_cause cause = take_boolean(&m->in, &value);
    if (cause == MR_CAUSE_NONE)
        fill_bool(m, op, value);
    return cause;
}

static mr_cause boolean_of_long(machine *m, const mr_op *op)
{
    int64_t value;
    const mr_cause cause = mr_wire_long(&m->in, &value);
    if (cause == MR_CAUSE_NONE)
        fill_bool(m, op, value != 0);
    return cause;
}

// The head of a block of lines, pairs or texts. A block's byte size is not needed to read it.
static mr_cause items(machine *m, const mr_op **op)
{
    uint64_t count;
    int64_t bytes;
    const mr_cause cause = mr_wire_block(&m->in, (*op)->count, &count, &bytes);
    if (cause != MR_CAUSE_NONE)
        return cause;
    m->present |= 1u << (*op)->field;
    if (count == 0) {
        m->base = (uint8_t *)m->event;
        *op = m->plan->ops + (*op)->next - 1;
        return MR_CAUSE_NONE;
    }
    if ((*op)->field == MR_FIELD_lines && count > MR_LINES_MAX - m->event->line_count)
        return MR_CAUSE_bad_count;
    return push(m, count);
}

static void item_begin(machine *m, const mr_op *op)
{
    mr_event *event = m->event;
    m->scratch_mark = event->scratch_used;
    if (op->field == MR_FIELD_lines) {
        event->lines[event->line_count] = m->plan->line;
        m->base = (uint8_t *)(event->lines + event->line_count);
    } else if (op->field == MR_FIELD_context) {
        mr_pair *pair = event->context_count < MR_PAIRS_MAX ? event->context + event->context_count
                                                            : &m->spare.pair;
        pair->value.data = NULL;
        m->base = (uint8_t *)pair;
    } else {
        mr_bytes *text = event->category_count < MR_CATEGORIES_MAX
                             ? event->categories + event->category_count
                             : &m->spare.text;
        text->data = NULL;
        m->base = (uint8_t *)text;
    }
}

// Keeps the item in hand, unless it is null or beyond the limit: then its scratch is given back.
static void item_keep(machine *m, const mr_op *op)
{
    mr_event *event = m->event;
    bool kept = true;
    if (op->field == MR_FIELD_lines) {
        event->line_count++;
    } else if (op->field == MR_FIELD_context) {
        kept = event->context_count < MR_PAIRS_MAX &&
               event->context[event->context_count].value.data != NULL;
        event->context_count += kept;
    } else {
        kept = event->category_count < MR_CATEGORIES_MAX &&
               event->categories[event->category_count].data != NULL;
        event->category_count += kept;
    }
    if (!kept)
        event->scratch_used = m->scratch_mark;
}

static inline mr_cause pairs(mr_wire *in, machine *m, bool utf8)
{
    mr_event *event = m->event;
    for (;;) {
        uint64_t count;
        int64_t bytes;
        mr_cause cause = mr_wire_block(in, 2, &count, &bytes);
        if (cause != MR_CAUSE_NONE || count == 0)
            return cause;
        for (; count > 0; count--) {
            mr_pair *pair = event->context_count < MR_PAIRS_MAX
                                ? event->context + event->context_count++
                                : &m->spare.pair;
            if ((cause = take_utf8(in, &pair->name)) != MR_CAUSE_NONE)
                return cause;
            cause = utf8 ? take_utf8(in, &pair->value) : mr_wire_bytes(in, &pair->value);
            if (cause != MR_CAUSE_NONE)
                return cause;
        }
    }
}

static mr_cause take_float(mr_wire *in, mr_avro avro, float *value)
{
    double wide = 0;
    int64_t whole = 0;
    mr_cause cause;
    switch (avro) {
    case MR_AVRO_FLOAT:
        return mr_wire_float(in, value);
    case MR_AVRO_DOUBLE:
        cause = mr_wire_double(in, &wide);
        *value = (float)wide;
        return cause;
    case MR_AVRO_INT:
        cause = mr_wire_int(in, &whole);
        break;
    default:
        cause = mr_wire_long(in, &whole);
        break;
    }
    *value = (float)whole;
    return cause;
}

static mr_cause floats(machine *m, const mr_op *op)
{
    mr_event *event = m->event;
    const mr_avro avro = (mr_avro)op->at;
    m->present |= 1u << op->field;
    for (;;) {
        uint64_t count;
        int64_t bytes;
        mr_cause cause = mr_wire_block(&m->in, op->count, &count, &bytes);
        if (cause != MR_CAUSE_NONE || count == 0)
            return cause;
        if (count > MR_VECTOR_MAX - event->vector_count)
            return MR_CAUSE_bad_count;
        for (; count > 0; count--) {
            if ((cause = take_float(&m->in, avro, event->vector + event->vector_count)) !=
                MR_CAUSE_NONE)
                return cause;
            event->vector_count++;
        }
    }
}

// An instruction that is not hot, m->op, which is moved where it does not go on with the following
// one. It stands in the machine so that the loop's own may stay in a register.
static __attribute__((noinline)) mr_cause step(machine *m)
{
    const mr_op **const at = &m->op;
    const mr_op *op = *at;
    const mr_op *ops = m->plan->ops;
    uint32_t index;
    mr_cause cause;
    switch ((mr_op_code)op->code) {
    case MR_OP_SKIP_ARRAY_FIXED:
    case MR_OP_SKIP_ARRAY_NUMBERS:
    case MR_OP_SKIP_ARRAY_BYTES:
        return skip_array(m, op);
    case MR_OP_SKIP_BLOCKS:
        return skip_blocks(m, at);
    case MR_OP_SKIP_AGAIN:
        *at = again(m, op);
        return MR_CAUSE_NONE;
    case MR_OP_UNION:
        cause = mr_wire_index(&m->in, op->count, &index);
        if (cause == MR_CAUSE_NONE)
            *at = ops + m->plan->jumps[op->next + index] - 1;
        return cause;
    case MR_OP_CALL:
        cause = push(m, (uint64_t)(op - ops));
        *at = ops + op->next - 1;
        return cause;
    case MR_OP_RETURN:
        *at = ops + m->stack[--m->depth];
        return MR_CAUSE_NONE;
    case MR_OP_SAVE:
        m->saved[op->count] = m->in.p;
        return MR_CAUSE_NONE;
    case MR_OP_RESTORE:
        m->in.p = m->saved[op->count];
        return MR_CAUSE_NONE;
    case MR_OP_EACH:
        m->each = m->in.p;
        return MR_CAUSE_NONE;
    case MR_OP_SELECT:
        m->base = (uint8_t *)(m->selected + op->count);
        return MR_CAUSE_NONE;
    case MR_OP_SELECTED:
        m->base = (uint8_t *)m->event;
        return MR_CAUSE_NONE;
    case MR_OP_TEXT_BYTES:
        return text_bytes(m, op);
    case MR_OP_TEXT_FIXED:
        return text_fixed(m, op);
    case MR_OP_TEXT_BOOLEAN:
        return text_boolean(m, op);
    case MR_OP_TEXT_NUMBER:
        return text_number(m, op);
    case MR_OP_TEXT_UUID:
        return text_uuid(m, op);
    case MR_OP_TIME_TIMES:
    case MR_OP_TIME_DIVIDED:
        return time_scaled(m, op);
    case MR_OP_TIME_DAYS:
        return time_days(m, op);
    case MR_OP_TIME_DOUBLE:
        return time_double(m, op);
    case MR_OP_TIME_ISO:
        return time_iso(m, op);
    case MR_OP_DOUBLE_LONG:
    case MR_OP_DOUBLE_INT:
        return double_of_long(m, op);
    case MR_OP_DECIMAL:
    case MR_OP_DECIMAL_FIXED:
        return decimal(m, op);
    case MR_OP_BOOLEAN:
        return boolean(m, op);
    case MR_OP_BOOLEAN_LONG:
        return boolean_of_long(m, op);
    case MR_OP_ITEMS:
        return items(m, at);
    case MR_OP_ITEM:
        item_begin(m, op);
        return MR_CAUSE_NONE;
    case MR_OP_PAIR_NAME:
        return take_utf8(&m->in, &((mr_pair *)(void *)m->base)->name);
    case MR_OP_PAIR_IS:
        ((mr_pair *)(void *)m->base)->name = m->plan->texts[op->next];
        return MR_CAUSE_NONE;
    case MR_OP_ITEM_AGAIN:
        item_keep(m, op);
        *at = again(m, op);
        return MR_CAUSE_NONE;
    case MR_OP_ITEM_KEEP:
        item_keep(m, op);
        m->base = (uint8_t *)m->event;
        return MR_CAUSE_NONE;
    case MR_OP_FLOATS:
        return floats(m, op);
    default:
        mr_assert_failed("an instruction of a plan", __FILE__, __LINE__);
    }
}

// Whether there is nothing to fill: the union's branch is null, or cannot be read.
static inline bool is_null(mr_wire *in, const mr_op *op, mr_cause *cause)
{
    uint32_t index = 0;
    *cause = mr_wire_index(in, 2, &index);
    return *cause != MR_CAUSE_NONE || index == op->count;
}

// Runs the whole program. On failure *failed is the instruction, and m->in is where it stopped.
static mr_cause run(machine *m, const mr_op *op, const mr_op **failed)
{
    const mr_plan *plan = m->plan;
    mr_wire in = m->in;
    uint8_t *base = m->base;
    uint32_t present = m->present;
    mr_cause cause = MR_CAUSE_NONE;
    for (;; op++) {
        const mr_op *const now = op;
        void *const to = base + op->at;
        switch (op->code) {
        case MR_OP_SKIP_FIXED:
            cause = mr_wire_skip(&in, op->count);
            break;
        case MR_OP_SKIP_NUMBERS:
            cause = skip_numbers(&in, op->count, &m->done);
            break;
        case MR_OP_SKIP_BYTES:
            cause = skip_bytes(&in, op->count, &m->done);
            break;
        case MR_OP_SKIP_OPTIONAL_FIXED:
            cause = skip_optional(&in, MR_OP_SKIP_OPTIONAL_FIXED, op, &m->done);
            break;
        case MR_OP_SKIP_OPTIONAL_NUMBERS:
            cause = skip_optional(&in, MR_OP_SKIP_OPTIONAL_NUMBERS, op, &m->done);
            break;
        case MR_OP_SKIP_OPTIONAL_BYTES:
            cause = skip_optional(&in, MR_OP_SKIP_OPTIONAL_BYTES, op, &m->done);
            break;
        case MR_OP_OPTIONAL: {
            uint32_t index = 0;
            cause = mr_wire_index(&in, 2, &index);
            if (index == op->count)
                op = plan->ops + op->next - 1;
            break;
        }
        case MR_OP_JUMP:
            op = plan->ops + op->next - 1;
            break;
        case MR_OP_SELECT_TEXT:
            cause = take_utf8(&in, &m->selected[op->count]);
            break;
        case MR_OP_OPTIONAL_TEXT:
            if (is_null(&in, op, &cause))
                break;
            __attribute__((fallthrough));
        case MR_OP_TEXT: {
            mr_bytes text = {NULL, 0};
            cause = take_utf8(&in, &text);
            *(mr_bytes *)to = text;
            present |= 1u << op->field;
            break;
        }
        case MR_OP_TEXT_ENUM: {
            uint32_t index = 0;
            cause = mr_wire_index(&in, op->count, &index);
            *(mr_bytes *)to = plan->texts[op->next + index];
            present |= 1u << op->field;
            break;
        }
        case MR_OP_OPTIONAL_LONG:
            if (is_null(&in, op, &cause))
                break;
            __attribute__((fallthrough));
        case MR_OP_LONG: {
            int64_t number = 0;
            cause = mr_wire_long(&in, &number);
            *(int64_t *)to = number;
            present |= 1u << op->field;
            break;
        }
        case MR_OP_OPTIONAL_INT:
            if (is_null(&in, op, &cause))
                break;
            __attribute__((fallthrough));
        case MR_OP_INT: {
            int64_t number = 0;
            cause = mr_wire_int(&in, &number);
            *(int64_t *)to = number;
            present |= 1u << op->field;
            break;
        }
        case MR_OP_OPTIONAL_DOUBLE:
            if (is_null(&in, op, &cause))
                break;
            __attribute__((fallthrough));
        case MR_OP_DOUBLE: {
            double real = 0;
            cause = mr_wire_double(&in, &real);
            *(double *)to = real;
            present |= 1u << op->field;
            break;
        }
        case MR_OP_OPTIONAL_FLOAT:
            if (is_null(&in, op, &cause))
                break;
            __attribute__((fallthrough));
        case MR_OP_DOUBLE_FLOAT: {
            float small = 0;
            cause = mr_wire_float(&in, &small);
            *(double *)to = (double)small;
            present |= 1u << op->field;
            break;
        }
        case MR_OP_PAIRS:
            cause = pairs(&in, m, op->count == 1);
            present |= 1u << op->field;
            break;
        case MR_OP_END:
            m->in = in;
            m->present = present;
            return MR_CAUSE_NONE;
        default:
            m->in = in;
            m->base = base;
            m->present = present;
            m->op = op;
            cause = step(m);
            op = m->op;
            in = m->in;
            base = m->base;
            present = m->present;
            break;
        }
        if (__builtin_expect(cause != MR_CAUSE_NONE, 0)) {
            m->in = in;
            *failed = now;
            return cause;
        }
    }
}

static mr_status refuse(const mr_plan *plan, uint32_t path, size_t offset, size_t byte_count,
                        mr_cause cause, mr_error *err)
{
    return mr_reject(err, cause, "field '%s' before byte %zu of %zu: %s",
                     plan->pool + plan->paths[path], offset, byte_count, mr_cause_text(cause));
}

mr_status mr_plan_run(const mr_plan *plan, mr_plan_part *part, mr_event *event, mr_error *err)
{
    machine m;
    m.in = (mr_wire){part->at, part->end};
    m.base = (uint8_t *)event;
    m.event = event;
    m.plan = plan;
    m.depth = 0;
    m.present = part->present;
    m.done = 0;
    m.scratch_max = part->first == 0 ? plan->scratch_bytes : plan->item_scratch_bytes;
    m.selected = part->selected;
    m.each = NULL;
    const mr_op *failed;
    const mr_cause cause = run(&m, plan->ops + part->first, &failed);
    if (cause != MR_CAUSE_NONE) {
        const bool in_run =
            failed->code >= MR_OP_SKIP_NUMBERS && failed->code <= MR_OP_SKIP_OPTIONAL_BYTES;
        return refuse(plan, failed->path + (in_run ? (uint32_t)m.done : 0),
                      (size_t)(m.in.p - part->bytes), (size_t)(part->end - part->bytes), cause,
                      err);
    }
    part->at = m.in.p;
    part->present = m.present;
    part->each = m.each;
    return MR_OK;
}
