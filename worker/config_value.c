// SPDX-License-Identifier: Apache-2.0
#include "worker/config_value.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct unit {
    const char *suffix;
    int64_t factor;
} unit;

static const unit durations[] = {
    {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}, {0},
};
static const unit sizes[] = {
    {"B", 1}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", INT64_C(1) << 40}, {0},
};
static const char *const range_mark = " .. ";
static const char *const choice_mark = " | ";

static bool parse_int(const char *text, int64_t *value)
{
    char *end;
    errno = 0;
    const long long number = strtoll(text, &end, 10);
    *value = number;
    return end != text && *end == '\0' && errno == 0 && text[0] != ' ';
}

static bool parse_double(const char *text, double *value)
{
    char *end;
    errno = 0;
    *value = strtod(text, &end);
    return end != text && *end == '\0' && errno != ERANGE && isfinite(*value) && text[0] != ' ';
}

// A decimal number and one of the units; without a unit the number counts the first one. The
// product has to be whole: half a byte is a mistake, 1.5s is not.
static bool parse_quantity(const char *text, const unit *units, int64_t *value)
{
    char *end;
    if (text[0] < '0' || text[0] > '9')
        return false;
    errno = 0;
    const double number = strtod(text, &end);
    if (errno != 0 || strpbrk(text, "xX") != NULL)
        return false;
    while (*end == ' ')
        end++;
    int64_t factor = *end == '\0' ? 1 : 0;
    for (const unit *u = units; u->suffix != NULL; u++) {
        if (strcmp(end, u->suffix) == 0)
            factor = u->factor;
    }
    const double product = number * (double)factor;
    if (factor == 0 || product > 9e15 || product != floor(product))
        return false;
    *value = (int64_t)product;
    return true;
}

static bool parse_bool(const char *text, bool *value)
{
    static const struct {
        const char *word;
        bool value;
    } words[] = {{"true", true},   {"yes", true}, {"on", true},
                 {"false", false}, {"no", false}, {"off", false}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcmp(text, words[i].word) == 0) {
            *value = words[i].value;
            return true;
        }
    }
    return false;
}

static bool parse_name(const char *text)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    return strspn(text, allowed) == strlen(text) && strlen(text) <= 200 && strcmp(text, ".") != 0 &&
           strcmp(text, "..") != 0;
}

// The index of `text` among the choices of a range, or -1.
static int parse_choice(const char *range, const char *text)
{
    const size_t size = strlen(text);
    int index = 0;
    for (const char *choice = range;; index++) {
        const char *const end = strstr(choice, choice_mark);
        const size_t choice_size = end != NULL ? (size_t)(end - choice) : strlen(choice);
        if (choice_size == size && memcmp(choice, text, size) == 0)
            return index;
        if (end == NULL)
            return -1;
        choice = end + strlen(choice_mark);
    }
}

static bool parse_list(char *text, mr_config_list *list)
{
    list->count = 0;
    for (char *rest = text, *item; rest != NULL && *rest != '\0';) {
        item = rest;
        rest = strchr(item, ',');
        if (rest != NULL)
            *rest++ = '\0';
        item += strspn(item, " ");
        size_t size = strlen(item);
        while (size > 0 && item[size - 1] == ' ')
            item[--size] = '\0';
        if (size == 0 || list->count == MR_CONFIG_LIST_MAX)
            return false;
        list->items[list->count++] = item;
    }
    return true;
}

// A number of any numeric type as a double: exact for all that a range can hold.
static bool parse_number(mr_key_type type, const char *text, double *number)
{
    int64_t whole = 0;
    if (type == MR_KEY_DOUBLE)
        return parse_double(text, number);
    const bool good = type == MR_KEY_DURATION ? parse_quantity(text, durations, &whole)
                      : type == MR_KEY_SIZE   ? parse_quantity(text, sizes, &whole)
                                              : parse_int(text, &whole);
    *number = (double)whole;
    return good;
}

// Copies the two ends of a range; an end that is not given is empty.
static void range_ends(const char *range, char low[static 32], char high[static 32])
{
    const char *mark = strstr(range, " ..");
    const size_t low_size = mark != NULL ? (size_t)(mark - range) : 0;
    const size_t skip = strlen(range_mark);
    snprintf(low, 32, "%.*s", (int)low_size, range);
    snprintf(high, 32, "%s", mark != NULL && strlen(mark) > skip ? mark + skip : "");
}

static bool in_range(const mr_key *key, double number)
{
    char low[32], high[32];
    double bound;
    range_ends(key->range, low, high);
    if (low[0] != '\0' && parse_number(key->type, low, &bound) && number < bound)
        return false;
    return !(high[0] != '\0' && parse_number(key->type, high, &bound) && number > bound);
}

static bool is_number(mr_key_type type)
{
    return type == MR_KEY_INT || type == MR_KEY_DOUBLE || type == MR_KEY_DURATION ||
           type == MR_KEY_SIZE;
}

static bool is_choice(mr_key_type type)
{
    return type == MR_KEY_ENUM || type == MR_KEY_CHOICE;
}

void mr_value_want(const mr_key *key, char *text, size_t size)
{
    static const char *const nouns[] = {
        [MR_KEY_INT] = "a whole number",
        [MR_KEY_DOUBLE] = "a number",
        [MR_KEY_BOOL] = "true or false",
        [MR_KEY_NAME] = "a name of letters, digits, '.', '_' and '-', at most 200",
        [MR_KEY_TEXT] = "text",
        [MR_KEY_DURATION] = "a duration such as 20ms, 5s or 1h",
        [MR_KEY_SIZE] = "a size such as 64KiB or 1GiB",
        [MR_KEY_ENUM] = "one of ",
        [MR_KEY_CHOICE] = "one of ",
        [MR_KEY_LIST] = "a list: a, b",
    };
    char low[32] = "", high[32] = "";
    if (is_number(key->type))
        range_ends(key->range, low, high);
    snprintf(text, size, "%s%s%s%s%s%s", nouns[key->type],
             is_choice(key->type) ? key->range : "", low[0] != '\0' ? ", from " : "", low,
             high[0] != '\0' ? " to " : "", high);
}

mr_status mr_value_parse(const mr_key *key, char *text, void *value, mr_error *err)
{
    char found[48], want[160];
    double number = 0;
    bool good = false;
    snprintf(found, sizeof found, "%s", text);
    if (is_number(key->type)) {
        good = parse_number(key->type, text, &number) && in_range(key, number);
        if (key->type == MR_KEY_DOUBLE)
            *(double *)value = number;
        else if (key->type == MR_KEY_INT)
            good = good && parse_int(text, value); // a double would round above 2^53
        else
            *(int64_t *)value = (int64_t)number;
    } else if (key->type == MR_KEY_BOOL) {
        good = parse_bool(text, value);
    } else if (is_choice(key->type)) {
        const int choice = parse_choice(key->range, text);
        good = choice >= 0;
        if (key->type == MR_KEY_CHOICE)
            *(double *)value = choice;
        else
            *(int *)value = choice;
    } else if (key->type == MR_KEY_LIST) {
        good = parse_list(text, value);
    } else {
        *(const char **)value = text;
        good = key->type == MR_KEY_TEXT || parse_name(text);
    }
    if (good)
        return MR_OK;
    mr_value_want(key, want, sizeof want);
    return mr_fail(err, MR_FATAL, "found '%s', want %s", found, want);
}

// The largest unit of which the value is a multiple.
static void print_quantity(int64_t value, const unit *units, char *text, size_t size)
{
    const unit *best = &units[0];
    for (const unit *u = units; u->suffix != NULL; u++) {
        if (value != 0 && value % u->factor == 0)
            best = u;
    }
    if (value == 0 || best->factor * (int64_t)strlen(best->suffix) == 1) // bytes need no unit
        snprintf(text, size, "%lld", (long long)value);
    else
        snprintf(text, size, "%lld%s", (long long)(value / best->factor), best->suffix);
}

// The shortest form that reads back to the same bits; whole numbers without an exponent.
static void print_double(double value, char *text, size_t size)
{
    if (value == floor(value) && fabs(value) < 1e15) {
        snprintf(text, size, "%.0f", value);
        return;
    }
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, size, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            return;
    }
}

static void print_choice(const char *range, int index, char *text, size_t size)
{
    const char *choice = range;
    for (int i = 0; i < index; i++)
        choice = strstr(choice, choice_mark) + strlen(choice_mark);
    const char *const end = strstr(choice, choice_mark);
    snprintf(text, size, "%.*s", end != NULL ? (int)(end - choice) : (int)strlen(choice), choice);
}

void mr_value_print(const mr_key *key, const void *value, char *text, size_t size)
{
    MR_ASSERT(size > 0);
    switch (key->type) {
    case MR_KEY_INT:
        snprintf(text, size, "%lld", (long long)*(const int64_t *)value);
        break;
    case MR_KEY_DOUBLE:
        print_double(*(const double *)value, text, size);
        break;
    case MR_KEY_BOOL:
        snprintf(text, size, "%s", *(const bool *)value ? "true" : "false");
        break;
    case MR_KEY_DURATION:
        print_quantity(*(const int64_t *)value, durations, text, size);
        break;
    case MR_KEY_SIZE:
        print_quantity(*(const int64_t *)value, sizes, text, size);
        break;
    case MR_KEY_ENUM:
        print_choice(key->range, *(const int *)value, text, size);
        break;
    case MR_KEY_CHOICE:
        print_choice(key->range, (int)*(const double *)value, text, size);
        break;
    case MR_KEY_LIST: {
        const mr_config_list *list = value;
        size_t used = 0;
        text[0] = '\0';
        for (uint32_t i = 0; i < list->count && used < size; i++)
            used += (size_t)snprintf(text + used, size - used, "%s%s", i > 0 ? ", " : "",
                                     list->items[i]);
        break;
    }
    case MR_KEY_NAME:
    case MR_KEY_TEXT:
        snprintf(text, size, "%s", *(const char *const *)value);
        break;
    }
}
