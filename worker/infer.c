// SPDX-License-Identifier: Apache-2.0
#include "worker/infer.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/text.h"

enum {
    FIELDS_MAX = 512,
    PATH_MAX_BYTES = 160,
    VALUES_MAX = 16, // different ones of a field that are remembered
    VALUE_BYTES = 40,
    ROWS_MAX = 24,
    SOURCE_BYTES = 768,
    REASON_BYTES = 200,
    DEPTH_MAX = 8,
};

typedef enum content { // what a field has, in bits
    TEXT = 1,
    WHOLE = 2,
    REAL = 4,
    BOOLEAN = 8,
    ISO = 16,  // a text that is a time
    TIME = 32, // a number that its type calls a time
    ARRAY = 64,
    OBJECT = 128,
    ENUM = 256,
} content;

typedef struct field {
    char path[PATH_MAX_BYTES];
    char array[PATH_MAX_BYTES]; // of the array that it is in an item of; "": none
    uint32_t content;
    uint32_t seen;
    double largest;
    char values[VALUES_MAX][VALUE_BYTES];
    uint32_t value_count;
    bool more_values;
} field;

typedef struct row {
    char key[24], source[SOURCE_BYTES], reason[REASON_BYTES];
} row;

struct mr_infer {
    field fields[FIELDS_MAX];
    uint32_t field_count, record_count;
    row rows[ROWS_MAX];
    uint32_t row_count;
    bool mapped;
};

mr_infer *mr_infer_open(void)
{
    return calloc(1, sizeof(mr_infer));
}

void mr_infer_close(mr_infer *infer)
{
    free(infer);
}

// ---- gathering

static field *field_at(mr_infer *infer, const char *path, const char *array)
{
    for (uint32_t i = 0; i < infer->field_count; i++) {
        if (strcmp(infer->fields[i].path, path) == 0)
            return &infer->fields[i];
    }
    if (infer->field_count == FIELDS_MAX)
        return NULL;
    field *f = &infer->fields[infer->field_count++];
    snprintf(f->path, sizeof f->path, "%s", path);
    snprintf(f->array, sizeof f->array, "%s", array);
    return f;
}

static void add_value(field *f, const char *value)
{
    char cut[VALUE_BYTES];
    snprintf(cut, sizeof cut, "%s", value);
    for (uint32_t i = 0; i < f->value_count; i++) {
        if (strcmp(f->values[i], cut) == 0)
            return;
    }
    f->more_values = f->more_values || f->value_count == VALUES_MAX || strlen(value) >= VALUE_BYTES;
    if (f->value_count < VALUES_MAX)
        snprintf(f->values[f->value_count++], VALUE_BYTES, "%s", cut);
}

static bool join(char path[PATH_MAX_BYTES], const char *above, const char *name)
{
    // A name with a dot in it cannot be said in a path.
    return strchr(name, '.') == NULL &&
           snprintf(path, PATH_MAX_BYTES, "%s%s%s", above, above[0] != '\0' ? "." : "", name) <
               PATH_MAX_BYTES;
}

static void gather_type(mr_infer *infer, const mr_schema *schema, uint32_t index, const char *path,
                        const char *array, uint32_t depth);

static uint32_t content_of(const mr_schema_type *type)
{
    switch (type->avro) {
    case MR_AVRO_STRING:
    case MR_AVRO_BYTES:
        return type->logical == MR_LOGICAL_DECIMAL ? REAL : TEXT;
    case MR_AVRO_FIXED:
        return type->logical == MR_LOGICAL_DECIMAL ? REAL : TEXT;
    case MR_AVRO_ENUM:
        return TEXT | ENUM;
    case MR_AVRO_INT:
    case MR_AVRO_LONG:
        return type->logical >= MR_LOGICAL_DATE ? WHOLE | TIME : WHOLE;
    case MR_AVRO_FLOAT:
    case MR_AVRO_DOUBLE:
        return REAL;
    case MR_AVRO_BOOLEAN:
        return BOOLEAN;
    case MR_AVRO_ARRAY:
        return ARRAY;
    case MR_AVRO_RECORD:
    case MR_AVRO_MAP:
        return OBJECT;
    default:
        return 0;
    }
}

static void gather_parts(mr_infer *infer, const mr_schema *schema, const mr_schema_type *type,
                         const char *path, const char *array, uint32_t depth)
{
    char below[PATH_MAX_BYTES];
    for (uint32_t i = 0; i < type->part_count; i++) {
        const mr_schema_part *part = schema->parts + type->part_first + i;
        if (type->avro == MR_AVRO_RECORD && join(below, path, part->name))
            gather_type(infer, schema, part->type, below, array, depth + 1);
        else if (type->avro == MR_AVRO_UNION)
            gather_type(infer, schema, part->type, path, array, depth + 1);
        else if (type->avro == MR_AVRO_ARRAY && array[0] == '\0')
            gather_type(infer, schema, part->type, path, path, depth + 1);
    }
}

static void gather_type(mr_infer *infer, const mr_schema *schema, uint32_t index, const char *path,
                        const char *array, uint32_t depth)
{
    const mr_schema_type *type = schema->types + index;
    const uint32_t found = content_of(type);
    if (depth > 2 * DEPTH_MAX)
        return;
    field *f = found != 0 && path[0] != '\0' ? field_at(infer, path, array) : NULL;
    if (f != NULL)
        f->content |= found;
    for (uint32_t i = 0; f != NULL && type->avro == MR_AVRO_ENUM && i < type->part_count; i++)
        add_value(f, schema->parts[type->part_first + i].name);
    if (type->avro != MR_AVRO_ENUM)
        gather_parts(infer, schema, type, path, array, depth);
}

void mr_infer_schema(mr_infer *infer, const mr_schema *schema)
{
    gather_type(infer, schema, schema->root, "", "", 0);
}

static void gather_text(field *f, const char *text)
{
    int64_t millis;
    const bool iso = mr_text_time(mr_bytes_text(text), MR_TIME_ISO, &millis);
    f->content |= iso ? (uint32_t)(TEXT | ISO) : (uint32_t)TEXT;
    add_value(f, text);
}

static void gather_value(mr_infer *infer, const json_t *value, const char *path, const char *array,
                         uint32_t depth)
{
    char below[PATH_MAX_BYTES], text[VALUE_BYTES];
    const char *name;
    json_t *member;
    size_t index;
    field *f = path[0] != '\0' && !json_is_null(value) ? field_at(infer, path, array) : NULL;
    if (depth > DEPTH_MAX)
        return;
    if (f != NULL)
        f->seen++;
    if (json_is_object(value)) {
        json_object_foreach((json_t *)(uintptr_t)value, name, member) if (join(below, path, name))
            gather_value(infer, member, below, array, depth + 1);
        if (f != NULL)
            f->content |= OBJECT;
    } else if (json_is_array(value)) {
        if (f != NULL)
            f->content |= ARRAY;
        if (array[0] == '\0')
            json_array_foreach((json_t *)(uintptr_t)value, index, member)
                gather_value(infer, member, path, path, depth + 1);
    } else if (f != NULL && json_is_string(value)) {
        gather_text(f, json_string_value(value));
    } else if (f != NULL && json_is_number(value)) {
        f->content |= json_is_integer(value) ? WHOLE : REAL;
        f->largest = json_number_value(value) > f->largest ? json_number_value(value) : f->largest;
        if (json_is_integer(value))
            snprintf(text, sizeof text, "%lld", (long long)json_integer_value(value));
        else
            snprintf(text, sizeof text, "%.15g", json_real_value(value));
        add_value(f, text);
    } else if (f != NULL && json_is_boolean(value)) {
        f->content |= BOOLEAN;
    }
}

void mr_infer_record(mr_infer *infer, const json_t *record)
{
    infer->record_count++;
    gather_value(infer, record, "", "", 0);
}

// ---- guessing

// What fields of that kind are called, without case and marks, the likeliest first; "^" in front:
// of the last two names of a path together.
typedef struct guess {
    const char *key;
    uint32_t content;
    const char *says;
    const char *const *names;
} guess;

static const char *const user_names[] = {
    "userid",    "user",     "^userid",    "customerid",   "^customerid",  "customer",
    "visitorid", "visitor",  "distinctid", "domainuserid", "userpseudoid", "^buyerid",
    "buyerid",   "memberid", "accountid",  "profileid",    "subscriberid", "anonymousid",
    "clientid",  "uid",      "^visitorid", "deviceid",     "cookieid",     NULL};
static const char *const item_names[] = {
    "itemid",     "item",           "^itemid",   "productid", "^productid", "sku",
    "productsku", "articleid",      "contentid", "product",   "asset",      "videoid",
    "movieid",    "trackid",        "songid",    "bookid",    "listingid",  "adid",
    "offerid",    "productviewsku", NULL};
static const char *const time_names[] = {
    "timestamp",  "time",      "ts",         "eventtime", "eventtimestamp",
    "occurredat", "createdat", "clickedat",  "at",        "collectortstamp",
    "tsms",       "datetime",  "servertime", "date",      "timestampms",
    "created",    NULL};
static const char *const id_names[] = {"eventid", "messageid", "insertid", "requestid",
                                       "uuid",    "txnid",     "ceid",     NULL};
static const char *const session_names[] = {"sessionid",   "session", "visitid", "domainsessionid",
                                            "gasessionid", "idvisit", "visit",   NULL};
static const char *const price_names[] = {"price",  "unitprice", "saleprice",
                                          "amount", "revenue",   NULL};
static const char *const quantity_names[] = {"quantity", "qty", "count", "pieces", NULL};
static const char *const position_names[] = {"position", "index", "rank", "place", "slot", NULL};
static const char *const value_names[] = {"rating", "stars", "score", "dwelltime", NULL};
static const char *const query_names[] = {"query",   "searchterm", "searchquery",
                                          "keyword", "q",          NULL};
static const char *const kind_names[] = {"eventtype", "eventname", "event",    "action", "type",
                                         "seaction",  "verb",      "activity", "op",     NULL};

static const guess guesses[] = {
    {"user", TEXT | WHOLE, "a user's id", user_names},
    {"item", TEXT | WHOLE, "an item's id", item_names},
    {"time", ISO | WHOLE | REAL, "a time", time_names},
    {"event_id", TEXT | WHOLE, "an event's id", id_names},
    {"session", TEXT | WHOLE, "a session", session_names},
    {"price", REAL | WHOLE | TEXT, "a price", price_names},
    {"quantity", REAL | WHOLE, "a quantity", quantity_names},
    {"position", WHOLE, "a place in a list", position_names},
    {"value", REAL | WHOLE, "a rating", value_names},
    {"query", TEXT, "a search", query_names},
};
enum { GUESSES = sizeof guesses / sizeof *guesses };

static void plain_name(const char *path, bool two, char name[PATH_MAX_BYTES])
{
    const char *last = strrchr(path, '.');
    const char *from = last != NULL ? last + 1 : path;
    size_t size = 0;
    if (two && last != NULL) {
        while (last > path && last[-1] != '.')
            last--;
        from = last;
    }
    for (; *from != '\0'; from++) {
        if (isalnum((unsigned char)*from))
            name[size++] = (char)tolower((unsigned char)*from);
    }
    name[size] = '\0';
}

// How well a field's name fits: the place of the name in the list, plus its depth; -1: not at all.
static int distance(const field *f, const char *const *names)
{
    char one[PATH_MAX_BYTES], two[PATH_MAX_BYTES];
    int depth = 0;
    plain_name(f->path, false, one);
    plain_name(f->path, true, two);
    for (const char *c = f->path; *c != '\0'; c++)
        depth += *c == '.';
    if (strncmp(f->path, "before.", 7) == 0) // of a change of a row: what it was
        depth += 1000;
    for (int i = 0; names[i] != NULL; i++) {
        if (strcmp(names[i][0] == '^' ? two : one, names[i] + (names[i][0] == '^')) == 0)
            return 4 * i + depth;
    }
    return -1;
}

// The best field for a guess, in an item of `array`, or outside of any. NULL: none.
static const field *best_of(const mr_infer *infer, const guess *g, const char *array)
{
    const field *best = NULL;
    int least = 0;
    for (uint32_t i = 0; i < infer->field_count; i++) {
        const field *f = &infer->fields[i];
        const int d = distance(f, g->names);
        if (d < 0 || strcmp(f->array, array) != 0 || (f->content & g->content) == 0 ||
            (f->content & (ARRAY | OBJECT)) != 0)
            continue;
        if (best == NULL || d < least) {
            best = f;
            least = d;
        }
    }
    return best;
}

static row *add_row(mr_infer *infer, const char *key)
{
    MR_ASSERT(infer->row_count < ROWS_MAX);
    row *r = &infer->rows[infer->row_count++];
    *r = (row){.key = ""};
    snprintf(r->key, sizeof r->key, "%s", key);
    return r;
}

static void say_reason(const field *f, const char *says, row *r)
{
    const char *const type = (f->content & ISO) != 0     ? "ISO 8601"
                             : (f->content & ENUM) != 0  ? "enum"
                             : (f->content & TEXT) != 0  ? "text"
                             : (f->content & TIME) != 0  ? "a number that its type calls a time"
                             : (f->content & REAL) != 0  ? "number"
                             : (f->content & WHOLE) != 0 ? "whole number"
                                                         : "boolean";
    snprintf(r->reason, sizeof r->reason, "called like %s; %s%s%s", says, type,
             f->value_count > 0 ? ", such as " : "", f->value_count > 0 ? f->values[0] : "");
}

// The unit of a time, behind its path.
static const char *unit_of(const field *f)
{
    if ((f->content & ISO) != 0)
        return " iso";
    if ((f->content & TIME) != 0 || f->largest == 0)
        return "";
    return f->largest < 1e11 ? " s" : f->largest < 1e14 ? " ms" : f->largest < 1e17 ? " us" : " ns";
}

// Where no name is known: a field that holds nothing but times.
static const field *time_of(const mr_infer *infer)
{
    for (uint32_t i = 0; i < infer->field_count; i++) {
        const field *f = &infer->fields[i];
        if ((f->content & (ISO | TIME)) != 0 && f->array[0] == '\0')
            return f;
    }
    return NULL;
}

static bool guess_field(mr_infer *infer, const guess *g, const char *array)
{
    const field *f =
        array[0] != '\0' && strcmp(g->key, "user") != 0 ? best_of(infer, g, array) : NULL;
    if (f == NULL)
        f = best_of(infer, g, "");
    const bool named = f != NULL;
    if (!named && strcmp(g->key, "time") == 0)
        f = time_of(infer);
    if (f == NULL)
        return false;
    row *r = add_row(infer, g->key);
    if (named)
        say_reason(f, g->says, r);
    else
        snprintf(r->reason, sizeof r->reason, "holds nothing but times");
    snprintf(r->source, sizeof r->source, "%s%s", f->path,
             strcmp(g->key, "time") == 0 ? unit_of(f) : "");
    return true;
}

// ---- kinds

static bool has_word(const char *value, const char *const *words)
{
    char name[PATH_MAX_BYTES];
    plain_name(value, false, name);
    for (; *words != NULL; words++) {
        if (strstr(name, *words) != NULL)
            return true;
    }
    return false;
}

static const char *kind_of(const char *value)
{
    static const struct {
        const char *kind;
        const char *words[8];
    } kinds[] = {
        {"purchase",
         {"purchas", "ordercomplet", "transaction", "buy", "checkoutcomplet", "orderplaced", NULL}},
        {"cart", {"cart", "basket", "productadded", "wishlist", NULL}},
        {"search", {"search", NULL}},
        {"rating", {"rating", "rated", "review", NULL}},
        {"impression", {"impression", "viewitemlist", "listviewed", "shown", NULL}},
        {"click", {"click", "view", "detail", "open", "play", "read", "watch", NULL}},
    };
    if (strstr(value, "remove") != NULL || strstr(value, "Remove") != NULL)
        return NULL;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (has_word(value, kinds[i].words))
            return kinds[i].kind;
    }
    return NULL;
}

static bool add_kind_value(row *r, const char *value)
{
    const char *const kind = kind_of(value);
    const size_t size = strlen(r->source);
    const bool quoted = strpbrk(value, " =*") != NULL;
    if (kind == NULL || strchr(value, '\'') != NULL || size + strlen(value) + 16 > sizeof r->source)
        return false;
    snprintf(r->source + size, sizeof r->source - size, " %s%s%s=%s", quoted ? "'" : "", value,
             quoted ? "'" : "", kind);
    return true;
}

// A field whose few values are kinds of events.
static void guess_kind(mr_infer *infer, const char *array)
{
    static const guess g = {"kind", TEXT, "what happened", kind_names};
    const field *best = NULL;
    uint32_t most = 0;
    for (uint32_t i = 0; i < infer->field_count; i++) {
        const field *f = &infer->fields[i];
        uint32_t known = 0;
        const bool named = distance(f, g.names) >= 0;
        if ((f->content & TEXT) == 0 || (f->array[0] != '\0' && strcmp(f->array, array) != 0))
            continue;
        for (uint32_t v = 0; v < f->value_count; v++)
            known += kind_of(f->values[v]) != NULL;
        if (!named && (f->more_values || 3 * known < f->value_count))
            continue;
        if (known > most) {
            most = known;
            best = f;
        }
    }
    if (best == NULL)
        return;
    row *r = add_row(infer, "kind");
    snprintf(r->source, sizeof r->source, "%s", best->path);
    int size = snprintf(r->reason, sizeof r->reason, "left out:");
    for (uint32_t v = 0; v < best->value_count; v++) {
        if (!add_kind_value(r, best->values[v]) && size + VALUE_BYTES + 2 < REASON_BYTES)
            size +=
                snprintf(r->reason + size, REASON_BYTES - (size_t)size, " %s,", best->values[v]);
    }
    r->reason[size - 1] = '\0';
    if (strcmp(r->reason, "left out") == 0)
        snprintf(r->reason, sizeof r->reason, "its values are kinds of events%s",
                 best->more_values ? "; there are more of them" : "");
    infer->mapped = true;
}

// ---- arrays

// An array whose items have what is called like an item.
static const char *array_of(const mr_infer *infer)
{
    for (uint32_t i = 0; i < infer->field_count; i++) {
        const field *f = &infer->fields[i];
        if ((f->content & ARRAY) != 0 && f->array[0] == '\0' &&
            best_of(infer, &guesses[1], f->path) != NULL)
            return f->path;
    }
    return "";
}

static bool is_purchase(const mr_infer *infer)
{
    for (uint32_t i = 0; i < infer->row_count; i++) {
        if (strcmp(infer->rows[i].key, "kind") == 0)
            return strstr(infer->rows[i].source, "=purchase") != NULL;
    }
    return false;
}

// Where orders are told from clicks, and clicks have their item outside, the items are an order's
// lines; elsewhere each is an event.
static bool guess_lines(mr_infer *infer, const char *array)
{
    const field *item = best_of(infer, &guesses[1], array);
    const bool lines = is_purchase(infer) && best_of(infer, &guesses[1], "") != NULL;
    row *r = add_row(infer, lines ? "lines" : "each");
    snprintf(r->source, sizeof r->source, "%s", array);
    snprintf(r->reason, sizeof r->reason,
             lines ? "an order's items, as one event" : "each item of the array is an event");
    if (!lines)
        return false;
    r = add_row(infer, "lines.item");
    snprintf(r->source, sizeof r->source, "%s", item->path + strlen(array) + 1);
    say_reason(item, "an item's id", r);
    return true;
}

static uint32_t guess_all(mr_infer *infer)
{
    const char *array = array_of(infer);
    uint32_t missing = 0;
    infer->row_count = 0;
    infer->mapped = false;
    guess_kind(infer, array);
    if (array[0] != '\0' && guess_lines(infer, array))
        array = "";
    for (uint32_t i = 0; i < GUESSES; i++)
        missing += !guess_field(infer, &guesses[i], array) && i < 3;
    return missing;
}

// ---- the page

static bool has_row(const mr_infer *infer, const char *key)
{
    for (uint32_t i = 0; i < infer->row_count; i++) {
        if (strcmp(infer->rows[i].key, key) == 0)
            return true;
    }
    return false;
}

static void print_missing(const mr_infer *infer, const mr_inferred *about, FILE *out)
{
    if (!has_row(infer, "user"))
        fprintf(out, about->has_key
                         ? "      # no user was found in the value: the message's key is taken\n"
                         : "      # MISSING user: no field is called like one; a path, or <key>\n");
    if (!has_row(infer, "item"))
        fprintf(out, "      # MISSING item: no field is called like one; the fields are:\n");
    for (uint32_t i = 0; !has_row(infer, "item") && i < infer->field_count; i++)
        fprintf(out, "      #   %s\n", infer->fields[i].path);
    if (!has_row(infer, "time"))
        fprintf(out, "      # no time was found: that of the record is taken\n");
    if (!infer->mapped)
        fprintf(
            out,
            "      # no field tells kinds of events apart: say in 'kind' what the records are\n");
}

uint32_t mr_infer_print(mr_infer *infer, const mr_inferred *about, FILE *out)
{
    const uint32_t missing = guess_all(infer);
    fprintf(out, "# A guess by the names and contents of %u fields", infer->field_count);
    if (infer->record_count > 0)
        fprintf(out, " of %u records", infer->record_count);
    fprintf(out, "; look at each line.\ntopics:\n  %s:\n", about->name);
    if (about->topic[0] != '\0')
        fprintf(out, "    topic: %s\n", about->topic);
    fprintf(out, "    kind: %s\n", infer->mapped ? "mapped" : "click");
    fprintf(out, "    format: %s\n", about->format);
    if (about->schema[0] != '\0')
        fprintf(out, "    schema: %s\n", about->schema);
    if (has_row(infer, "user"))
        fprintf(out, "    key: none\n");
    fprintf(out, "    mapping:\n");
    for (uint32_t i = 0; i < infer->row_count; i++)
        fprintf(out, "      %s: %s # %s\n", infer->rows[i].key, infer->rows[i].source,
                infer->rows[i].reason);
    print_missing(infer, about, out);
    return missing;
}

bool mr_infer_row(const mr_infer *infer, uint32_t index, const char **key, const char **source)
{
    if (index >= infer->row_count)
        return false;
    *key = infer->rows[index].key;
    *source = infer->rows[index].source;
    return true;
}

bool mr_infer_is_mapped(const mr_infer *infer)
{
    return infer->mapped;
}
