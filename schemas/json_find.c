// SPDX-License-Identifier: Apache-2.0
#include "schemas/json_find.h"

#include <stdlib.h>

#include "schemas/json_scan.h"

enum { NAME_MAX_BYTES = 255 }; // of a path

mr_status mr_json_open(mr_bytes text, mr_bytes *value, mr_error *err)
{
    mr_json_fault fault = {.cause = MR_CAUSE_NONE};
    const uint8_t *const end = text.data + text.size;
    const uint8_t *const first = mr_json_space(text.data, end);
    const uint8_t *behind = mr_json_skip(first, end, 0, &fault);
    if (behind != NULL && mr_json_space(behind, end) != end)
        behind = mr_json_fail(&fault, behind, "nothing behind the value");
    if (behind == NULL)
        return mr_reject(err, fault.cause, "byte %zu of %u: want %s",
                         (size_t)(fault.at - text.data), text.size, fault.want);
    *value = mr_bytes_of(first, (size_t)(behind - first));
    return MR_OK;
}

// A value of a text that was read before, so that it is one.
static mr_bytes value_at(const uint8_t *p, const uint8_t *end)
{
    mr_json_fault fault;
    const uint8_t *const behind = mr_json_skip(p, end, 0, &fault);
    MR_ASSERT(behind != NULL);
    return mr_bytes_of(p, (size_t)(behind - p));
}

static bool is_name(const mr_json_string *name, const char *wanted, size_t size)
{
    uint8_t plain[NAME_MAX_BYTES];
    mr_bytes text = name->raw;
    if (name->escaped && text.size > sizeof plain)
        return false;
    if (name->escaped)
        text = mr_bytes_of(plain, mr_json_unescape(text, plain));
    return text.size == size && memcmp(text.data, wanted, size) == 0;
}

static mr_bytes member_of(mr_bytes object, const char *wanted, size_t size)
{
    mr_bytes found = {NULL, 0};
    mr_json_fault fault;
    const uint8_t *const end = object.data + object.size;
    const uint8_t *p = mr_json_space(object.data + 1, end);
    while (*p != '}') {
        mr_json_string name;
        p = mr_json_string_at(p + 1, end, &name, &fault);
        MR_ASSERT(p != NULL);
        p = mr_json_space(mr_json_space(p, end) + 1, end); // behind the colon
        const mr_bytes value = value_at(p, end);
        if (is_name(&name, wanted, size))
            found = value;
        p = mr_json_space(value.data + value.size, end);
        if (*p == ',')
            p = mr_json_space(p + 1, end);
    }
    return found;
}

mr_bytes mr_json_at(mr_bytes object, const char *path)
{
    while (object.data != NULL && object.data[0] == '{') {
        const size_t size = strcspn(path, ".");
        object = member_of(object, path, size);
        if (path[size] == '\0')
            return object;
        path += size + 1;
    }
    return (mr_bytes){NULL, 0};
}

bool mr_json_next(mr_bytes array, const uint8_t **at, mr_bytes *item)
{
    const uint8_t *const end = array.data + array.size;
    const uint8_t *const p = mr_json_space(*at != NULL ? *at : array.data, end);
    const uint8_t *const first = mr_json_space(p + 1, end); // behind '[' or ','
    if (*p == ']' || *first == ']')
        return false;
    *item = value_at(first, end);
    *at = item->data + item->size;
    return true;
}

mr_bytes mr_json_text(mr_bytes string, uint8_t *room)
{
    const mr_bytes raw = {string.data + 1, string.size - 2};
    if (memchr(raw.data, '\\', raw.size) == NULL)
        return raw;
    return mr_bytes_of(room, mr_json_unescape(raw, room));
}
