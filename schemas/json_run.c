// SPDX-License-Identifier: Apache-2.0
// Decodes JSON by the tables of a plan: the bytes are walked once, and what is wanted goes into the
// event on the way; there is no tree.
//
// All of the record is held to RFC 8259, wanted or not: what is passed over wrongly would be the
// wrong place to go on from. A name that is wanted and stands twice in one object is refused, since
// two readers would see two events; names that nobody asked for are not compared. null is the same
// as not there. What only has a name of ours and another type is left alone.
//
// A value that fills several fields is read once for each.
#include <math.h>
#include <stdio.h>

#include "schemas/json_build.h"
#include "schemas/json_scan.h"
#include "schemas/text.h"

typedef enum token_type {
    TOKEN_STRING,
    TOKEN_WHOLE,
    TOKEN_REAL,
    TOKEN_TRUE,
    TOKEN_FALSE
} token_type;

typedef struct token { // a value that is neither an object nor an array, nor null
    token_type type;
    mr_bytes text; // of a string: raw
    bool escaped;
} token;

typedef struct reader {
    const uint8_t *end;
    const mr_json *json;
    const mr_plan *plan;
    mr_event *event;
    uint8_t *base;
    mr_bytes *selected;
    const uint8_t *each;
    uint32_t present;
    uint32_t depth;
    uint32_t scratch_max;
    uint32_t node;                            // of the value at hand, for errors
    uint32_t object;                          // how many objects were begun
    uint32_t context_first, categories_first; // what the event had before
    mr_json_fault fault;
    uint8_t rank[MR_TARGETS_MAX]; // the best name that a field was found by; UINT8_MAX: none yet
    uint32_t seen[MR_WANTS_MAX];  // the object in which a name was seen last
} reader;

static const uint8_t *read_value(reader *r, const uint8_t *p, uint32_t node);

static const uint8_t *fail(reader *r, const uint8_t *at, mr_cause cause, const char *want)
{
    r->fault = (mr_json_fault){at, want, cause};
    return NULL;
}

static bool is_by_name(const mr_json_node *node, uint32_t target)
{
    return (node->by_name >> target & 1) != 0;
}

// ---- values

static bool take_text(reader *r, const token *t, mr_bytes *text)
{
    *text = t->text;
    if (!t->escaped)
        return true;
    mr_event *event = r->event;
    if (t->text.size > r->scratch_max - event->scratch_used)
        return false;
    uint8_t *const to = event->scratch + event->scratch_used;
    *text = mr_bytes_of(to, mr_json_unescape(t->text, to));
    event->scratch_used += text->size;
    return true;
}

// A number, or a string that holds one. An escape is in none.
static bool double_of(const token *t, double *value)
{
    if (t->type == TOKEN_WHOLE || t->type == TOKEN_REAL)
        return mr_json_double(t->text, value);
    return t->type == TOKEN_STRING && mr_text_double(t->text, value) && isfinite(*value);
}

static bool long_of(const token *t, int64_t *value)
{
    double real;
    if (t->type == TOKEN_WHOLE || t->type == TOKEN_STRING)
        return mr_text_long(t->text, value);
    if (t->type != TOKEN_REAL || !mr_json_double(t->text, &real) || !(fabs(real) <= 0x1p53) ||
        real != floor(real))
        return false;
    *value = (int64_t)real;
    return true;
}

static bool time_of(const token *t, mr_time_unit unit, int64_t *millis)
{
    double real;
    if (t->type == TOKEN_STRING)
        return mr_text_time(t->text, unit, millis) ||
               (unit == MR_TIME_AUTO && mr_text_time(t->text, MR_TIME_ISO, millis));
    if (unit == MR_TIME_ISO)
        return false;
    if (t->type == TOKEN_WHOLE)
        return mr_text_time(t->text, unit, millis);
    if (t->type != TOKEN_REAL || !mr_json_double(t->text, &real))
        return false;
    if (unit == MR_TIME_SECONDS)
        real *= 1000;
    else if (unit == MR_TIME_MICROS)
        real /= 1000;
    else if (unit == MR_TIME_NANOS)
        real /= 1000000;
    if (!(fabs(real) < 4e15)) // beyond that a double has no halves
        return false;
    *millis = (int64_t)floor(real + 0.5);
    return true;
}

static bool bool_of(const token *t, bool *value)
{
    double real;
    const bool is_true = t->type == TOKEN_TRUE || (t->type == TOKEN_STRING &&
                                                   mr_bytes_equal(t->text, mr_bytes_text("true")));
    const bool is_false =
        t->type == TOKEN_FALSE ||
        (t->type == TOKEN_STRING && mr_bytes_equal(t->text, mr_bytes_text("false")));
    if (!is_true && !is_false) {
        if (!double_of(t, &real))
            return false;
        *value = real != 0;
        return true;
    }
    *value = is_true;
    return true;
}

static bool add_category(reader *r, const token *t)
{
    mr_event *event = r->event;
    if (event->category_count == MR_CATEGORIES_MAX)
        return true;
    return take_text(r, t, &event->categories[event->category_count]) &&
           ++event->category_count > 0;
}

// Fills a destination from a value. False: it has another type.
static bool fill_scalar(reader *r, const mr_target *target, const token *t)
{
    void *const to = r->base + target->at;
    mr_bytes text;
    switch (target->sort) {
    case MR_SORT_TEXT:
        if (!take_text(r, t, &text))
            return false;
        if (target->field == (mr_field)MR_FIELD_SELECTOR)
            r->selected[target->at] = text;
        else
            *(mr_bytes *)to = text;
        return true;
    case MR_SORT_LONG:
        return long_of(t, (int64_t *)to);
    case MR_SORT_DOUBLE:
        return double_of(t, (double *)to);
    case MR_SORT_MILLIS:
        return time_of(t, target->unit, (int64_t *)to);
    case MR_SORT_BOOL:
        return bool_of(t, (bool *)to);
    case MR_SORT_TEXTS:
        return add_category(r, t);
    default:
        return false;
    }
}

static const uint8_t *read_token(reader *r, const uint8_t *p, token *t)
{
    mr_json_string string = {.escaped = false};
    bool whole = false;
    t->escaped = false;
    switch (*p) {
    case '"':
        t->type = TOKEN_STRING;
        p = mr_json_string_at(p + 1, r->end, &string, &r->fault);
        t->text = string.raw;
        t->escaped = string.escaped;
        return p;
    case 't':
        *t = (token){.type = TOKEN_TRUE, .text = mr_bytes_text("true")};
        return mr_json_word(p, r->end, "true", 4, &r->fault);
    case 'f':
        *t = (token){.type = TOKEN_FALSE, .text = mr_bytes_text("false")};
        return mr_json_word(p, r->end, "false", 5, &r->fault);
    default:
        if (*p != '-' && (*p < '0' || *p > '9'))
            return mr_json_fail(&r->fault, p, "a value");
        p = mr_json_number_at(p, r->end, &t->text, &whole, &r->fault);
        t->type = whole ? TOKEN_WHOLE : TOKEN_REAL;
        return p;
    }
}

// Whether a target is to be filled here: not where a better name has filled it.
static bool is_open(const reader *r, const mr_json_node *node, uint32_t target)
{
    return !is_by_name(node, target) || r->rank[target] > node->rank;
}

static void filled(reader *r, const mr_json_node *node, uint32_t target)
{
    r->rank[target] = is_by_name(node, target) ? node->rank : 0;
    r->present |= 1u << r->json->targets[target].field;
}

static const char *want_of(mr_sort sort)
{
    static const char *const texts[] = {
        [MR_SORT_TEXT] = "a text or a number, of which those with escapes have 16 KiB",
        [MR_SORT_LONG] = "a whole number",
        [MR_SORT_DOUBLE] = "a number",
        [MR_SORT_MILLIS] = "a time",
        [MR_SORT_BOOL] = "true or false",
        [MR_SORT_LINES] = "an array",
        [MR_SORT_PAIRS] = "an object",
        [MR_SORT_TEXTS] = "texts",
        [MR_SORT_FLOATS] = "an array of numbers",
        [MR_SORT_EACH] = "an array",
    };
    return texts[sort];
}

static const uint8_t *read_scalar(reader *r, const uint8_t *p, const mr_json_node *node)
{
    const uint8_t *const first = p;
    token t;
    if (*p == 'n')
        return mr_json_word(p, r->end, "null", 4, &r->fault);
    if ((p = read_token(r, p, &t)) == NULL)
        return NULL;
    for (uint64_t left = node->targets; left != 0; left &= left - 1) {
        const uint32_t index = (uint32_t)__builtin_ctzll(left);
        const mr_target *target = r->json->targets + index;
        if (!is_open(r, node, index))
            continue;
        if (target->sort == MR_SORT_TEXTS && r->rank[index] != UINT8_MAX)
            r->event->category_count = r->categories_first;
        if (fill_scalar(r, target, &t))
            filled(r, node, index);
        else if (!is_by_name(node, index))
            return fail(r, first, MR_CAUSE_bad_value, want_of(target->sort));
    }
    return p;
}

// ---- objects

static const uint8_t *space(reader *r, const uint8_t *p)
{
    p = mr_json_space(p, r->end);
    return p < r->end ? p : mr_json_cut(&r->fault, r->end);
}

// Behind what opens an object or an array; *empty: and behind its end.
static const uint8_t *open(reader *r, const uint8_t *p, uint8_t close, bool *empty)
{
    if (r->depth == MR_JSON_DEPTH_MAX)
        return fail(r, p, MR_CAUSE_too_deep, "less nesting");
    if ((p = space(r, p + 1)) == NULL)
        return NULL;
    *empty = *p == close;
    r->depth += !*empty;
    return p + *empty;
}

// Behind a comma, or behind the end.
static const uint8_t *go_on(reader *r, const uint8_t *p, uint8_t close, bool *more)
{
    if ((p = space(r, p)) == NULL)
        return NULL;
    *more = *p == ',';
    if (*more)
        return space(r, p + 1);
    if (*p != close)
        return mr_json_fail(&r->fault, p, close == '}' ? "',' or '}'" : "',' or ']'");
    r->depth--;
    return p + 1;
}

static const uint8_t *read_name(reader *r, const uint8_t *p, mr_json_string *name)
{
    if (*p != '"')
        return mr_json_fail(&r->fault, p, "a name in quotes");
    if ((p = mr_json_string_at(p + 1, r->end, name, &r->fault)) == NULL ||
        (p = space(r, p)) == NULL)
        return NULL;
    return *p == ':' ? space(r, p + 1) : mr_json_fail(&r->fault, p, "':' behind a name");
}

// The node that a name leads to; 0: none.
static uint32_t find_name(const reader *r, const mr_json_node *node, const mr_json_string *name)
{
    uint8_t plain[MR_JSON_NAME_MAX + 1];
    mr_bytes text = name->raw;
    if (name->escaped) {
        if (text.size > MR_JSON_NAME_MAX)
            return 0;
        text = mr_bytes_of(plain, mr_json_unescape(text, plain));
    }
    const mr_json_key *keys = r->json->keys + node->key_first;
    uint32_t at = mr_json_hash(text.data, text.size) & node->key_mask;
    for (; keys[at].node != 0; at = (at + 1) & node->key_mask) {
        if (keys[at].size == text.size && memcmp(keys[at].name, text.data, text.size) == 0)
            return keys[at].node;
    }
    return 0;
}

static const uint8_t *read_object(reader *r, const uint8_t *p, const mr_json_node *node)
{
    const uint32_t object = ++r->object;
    bool empty, more = true;
    if ((p = open(r, p, '}', &empty)) == NULL || empty)
        return p;
    while (more) {
        mr_json_string name;
        const uint8_t *const first = p;
        if ((p = read_name(r, p, &name)) == NULL)
            return NULL;
        const uint32_t next = find_name(r, node, &name);
        if (next == 0) {
            p = mr_json_skip(p, r->end, r->depth, &r->fault);
        } else {
            if (r->seen[next] == object) {
                r->node = next;
                return fail(r, first, MR_CAUSE_bad_json, "each name once");
            }
            r->seen[next] = object;
            p = read_value(r, p, next);
        }
        if (p == NULL || (p = go_on(r, p, '}', &more)) == NULL)
            return NULL;
    }
    return p;
}

// The context: members that are texts, or numbers and so on.
static const uint8_t *read_pairs(reader *r, const uint8_t *p)
{
    mr_event *event = r->event;
    bool empty, more = true;
    if ((p = open(r, p, '}', &empty)) == NULL || empty)
        return p;
    while (more) {
        mr_json_string name;
        token t = {.type = TOKEN_STRING};
        mr_pair pair;
        if ((p = read_name(r, p, &name)) == NULL)
            return NULL;
        const bool full = event->context_count == MR_PAIRS_MAX;
        if (full || *p == '{' || *p == '[' || *p == 'n') {
            p = mr_json_skip(p, r->end, r->depth, &r->fault);
        } else if ((p = read_token(r, p, &t)) != NULL) {
            const token left = {.text = name.raw, .escaped = name.escaped};
            if (!take_text(r, &left, &pair.name) || !take_text(r, &t, &pair.value))
                return fail(r, p, MR_CAUSE_bad_value, want_of(MR_SORT_TEXT));
            event->context[event->context_count++] = pair;
        }
        if (p == NULL || (p = go_on(r, p, '}', &more)) == NULL)
            return NULL;
    }
    return p;
}

// ---- arrays

// A line begins: what filled the one before does not count.
static void begin_line(reader *r)
{
    mr_event *event = r->event;
    event->lines[event->line_count] = r->plan->line;
    r->base = (uint8_t *)(event->lines + event->line_count);
    for (uint64_t left = r->json->line_targets; left != 0; left &= left - 1)
        r->rank[__builtin_ctzll(left)] = UINT8_MAX;
}

static const uint8_t *read_line(reader *r, const uint8_t *p)
{
    if (r->event->line_count == MR_LINES_MAX)
        return fail(r, p, MR_CAUSE_bad_count, "at most 512 lines");
    begin_line(r);
    p = read_value(r, p, MR_WANT_LINE);
    r->base = (uint8_t *)r->event;
    r->event->line_count++;
    return p;
}

static const uint8_t *read_float(reader *r, const uint8_t *p)
{
    const uint8_t *const first = p;
    mr_event *event = r->event;
    token t;
    double value;
    if ((p = read_token(r, p, &t)) == NULL)
        return NULL;
    if ((t.type != TOKEN_WHOLE && t.type != TOKEN_REAL) || !mr_json_double(t.text, &value))
        return fail(r, first, MR_CAUSE_bad_value, want_of(MR_SORT_FLOATS));
    if (event->vector_count == MR_VECTOR_MAX)
        return fail(r, first, MR_CAUSE_bad_count, "at most 1024 numbers");
    event->vector[event->vector_count++] = (float)value;
    return p;
}

static const uint8_t *read_category(reader *r, const uint8_t *p)
{
    const uint8_t *const first = p;
    token t;
    if (*p == '{' || *p == '[' || *p == 'n')
        return mr_json_skip(p, r->end, r->depth, &r->fault);
    if ((p = read_token(r, p, &t)) == NULL)
        return NULL;
    return add_category(r, &t) ? p : fail(r, first, MR_CAUSE_bad_value, want_of(MR_SORT_TEXT));
}

static const uint8_t *read_items(reader *r, const uint8_t *p, mr_sort sort)
{
    bool empty, more = true;
    if (sort == MR_SORT_LINES)
        r->event->line_count = 0;
    else if (sort == MR_SORT_TEXTS)
        r->event->category_count = r->categories_first;
    else
        r->event->vector_count = 0;
    if ((p = open(r, p, ']', &empty)) == NULL || empty)
        return p;
    while (more) {
        p = sort == MR_SORT_LINES   ? read_line(r, p)
            : sort == MR_SORT_TEXTS ? read_category(r, p)
                                    : read_float(r, p);
        if (p == NULL || (p = go_on(r, p, ']', &more)) == NULL)
            return NULL;
    }
    return p;
}

// ---- one value

// One reading of an object or an array. *fits false: the target takes another type; nothing was
// read then.
static const uint8_t *read_target(reader *r, const uint8_t *p, const mr_target *target, bool *fits)
{
    const bool object = *p == '{';
    *fits = object ? target->sort == MR_SORT_PAIRS
                   : target->sort == MR_SORT_LINES || target->sort == MR_SORT_TEXTS ||
                         target->sort == MR_SORT_FLOATS || target->sort == MR_SORT_EACH;
    if (!*fits)
        return p;
    if (target->sort == MR_SORT_EACH) {
        r->each = p;
        return mr_json_skip(p, r->end, r->depth, &r->fault);
    }
    if (object) {
        r->event->context_count = r->context_first;
        return read_pairs(r, p);
    }
    return read_items(r, p, target->sort);
}

static const uint8_t *read_nested(reader *r, const uint8_t *p, const mr_json_node *node)
{
    const uint8_t *const first = p;
    const uint8_t *behind = NULL;
    for (uint64_t left = node->targets; left != 0; left &= left - 1) {
        const uint32_t at = (uint32_t)__builtin_ctzll(left);
        const mr_target *target = r->json->targets + at;
        bool fits;
        if (!is_open(r, node, at))
            continue;
        const uint8_t *const now = read_target(r, first, target, &fits);
        if (now == NULL)
            return NULL;
        if (!fits && !is_by_name(node, at))
            return fail(r, first, MR_CAUSE_bad_value, want_of(target->sort));
        if (!fits)
            continue;
        behind = now;
        if (target->sort != MR_SORT_EACH)
            filled(r, node, at);
    }
    if (*first == '{' && node->has_keys)
        return read_object(r, first, node);
    return behind != NULL ? behind : mr_json_skip(first, r->end, r->depth, &r->fault);
}

static const uint8_t *read_value(reader *r, const uint8_t *p, uint32_t index)
{
    const mr_json_node *node = r->json->nodes + index;
    const bool nested = *p == '{' || *p == '[';
    if (node->targets == 0 && !nested)
        return mr_json_skip(p, r->end, r->depth, &r->fault);
    const uint8_t *const behind = nested ? read_nested(r, p, node) : read_scalar(r, p, node);
    if (behind == NULL && r->node == 0 && index >= MR_WANT_ROOTS)
        r->node = index; // the innermost that has a name
    return behind;
}

// ---- the record

static size_t path_of(const mr_json *json, uint32_t node, char *path, size_t room)
{
    if (node < MR_WANT_ROOTS)
        return 0;
    size_t size = path_of(json, json->nodes[node].parent, path, room);
    const int more =
        snprintf(path + size, room - size, "%s%s", size > 0 ? "." : "", json->nodes[node].name);
    size += (size_t)more;
    return size < room ? size : room - 1;
}

static mr_status refuse(const reader *r, const mr_plan_part *part, mr_error *err)
{
    char path[80] = "";
    const mr_json_fault *fault = &r->fault;
    path_of(r->json, r->node, path, sizeof path);
    return mr_reject(err, fault->cause, "%s%s%sbyte %zu of %zu: want %s: %s",
                     path[0] != '\0' ? "field '" : "", path, path[0] != '\0' ? "' before " : "",
                     (size_t)(fault->at - part->bytes), (size_t)(part->end - part->bytes),
                     fault->want, mr_cause_text(fault->cause));
}

mr_status mr_json_run(const mr_plan *plan, mr_plan_part *part, mr_event *event, mr_error *err)
{
    const uint32_t root = part->first != 0 ? MR_WANT_EACH : MR_WANT_EVENT;
    reader r;
    r.end = part->end;
    r.json = plan->json;
    r.plan = plan;
    r.event = event;
    r.base = (uint8_t *)event;
    r.selected = part->selected;
    r.each = NULL;
    r.present = part->present;
    r.depth = 0;
    r.node = 0;
    r.object = 0;
    r.scratch_max = MR_JSON_SCRATCH_BYTES;
    r.context_first = event->context_count;
    r.categories_first = event->category_count;
    memset(r.rank, UINT8_MAX, sizeof r.rank);
    memset(r.seen, 0, plan->json->node_count * sizeof *r.seen);
    const uint8_t *p = space(&r, part->at);
    if (p != NULL && root == MR_WANT_EVENT && *p != '{' &&
        (plan->json->nodes[root].targets == 0 || *p != '['))
        p = mr_json_fail(&r.fault, p, "an object");
    if (p != NULL)
        p = read_value(&r, p, root);
    if (p == NULL)
        return refuse(&r, part, err);
    part->at = mr_json_space(p, part->end);
    part->present = r.present;
    part->each = r.each;
    return MR_OK;
}

mr_status mr_json_item(mr_plan_walk *walk, mr_error *err)
{
    // The array was read before, so that it is one.
    const uint8_t *p = mr_json_space(walk->at, walk->end);
    (void)err;
    MR_ASSERT(p < walk->end);
    const bool first = *p == '[' && walk->index == 0;
    walk->ended = *p == ']';
    if (first || !walk->ended)
        p = mr_json_space(p + 1, walk->end);
    walk->ended = first ? *p == ']' : walk->ended;
    walk->at = p;
    return MR_OK;
}
