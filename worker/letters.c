// SPDX-License-Identifier: Apache-2.0
#include "worker/letters.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char connect[] = "__connect.errors.", ours[] = "millrace.errors.";

static bool begins(const char *name, const char *prefix)
{
    return strncmp(name, prefix, strlen(prefix)) == 0;
}

static void copy(char text[MR_LETTER_TEXT_MAX], mr_bytes value)
{
    snprintf(text, MR_LETTER_TEXT_MAX, "%.*s", (int)value.size, (const char *)value.data);
}

static bool number(mr_bytes value, int64_t *number)
{
    char text[MR_LETTER_TEXT_MAX], *end;
    copy(text, value);
    *number = strtoll(text, &end, 10);
    return end != text && *end == '\0' && *number >= 0;
}

mr_status mr_letter_read(const mr_message *message, mr_letter *letter, mr_error *err)
{
    mr_header headers[MR_LETTER_HEADERS_MAX];
    const uint32_t count = message->headers(message, headers, MR_LETTER_HEADERS_MAX);
    *letter = (mr_letter){.partition = -1, .offset = -1, .time_ms = message->time_ms};
    for (uint32_t i = 0; i < count; i++) {
        const char *const name = headers[i].name;
        const mr_bytes value = headers[i].value;
        const char *const field = name + sizeof connect - 1;
        bool good = true;
        if (begins(name, ours))
            letter->cut = true; // said of nothing else
        else if (!begins(name, connect))
            letter->headers[letter->header_count++] = headers[i];
        else if (strcmp(field, "topic") == 0)
            copy(letter->topic, value);
        else if (strcmp(field, "partition") == 0)
            good = number(value, &letter->partition);
        else if (strcmp(field, "offset") == 0)
            good = number(value, &letter->offset);
        else if (strcmp(field, "exception.class.name") == 0)
            copy(letter->cause, value);
        else if (strcmp(field, "exception.message") == 0)
            copy(letter->reason, value);
        if (!good)
            return mr_fail(err, MR_REJECT, "header %s is '%.*s': want a number", name,
                           value.size > 40 ? 40 : (int)value.size, (const char *)value.data);
    }
    if (letter->topic[0] == '\0' || letter->partition < 0 || letter->offset < 0 ||
        letter->cause[0] == '\0')
        return mr_fail(err, MR_REJECT,
                       "no dead letter of ours: it lacks the headers __connect.errors.topic, "
                       "partition, offset or exception.class.name");
    return MR_OK;
}

static mr_letter_group *group_of(mr_letters *letters, const mr_letter *letter)
{
    for (uint32_t i = 0; i < letters->group_count; i++) {
        mr_letter_group *group = &letters->groups[i];
        if (strcmp(group->cause, letter->cause) == 0 && strcmp(group->topic, letter->topic) == 0)
            return group;
    }
    if (letters->group_count == MR_LETTER_GROUPS_MAX)
        return NULL;
    mr_letter_group *group = &letters->groups[letters->group_count++];
    memset(group, 0, sizeof *group);
    memcpy(group->cause, letter->cause, sizeof group->cause);
    memcpy(group->topic, letter->topic, sizeof group->topic);
    return group;
}

void mr_letters_add(mr_letters *letters, const mr_letter *letter)
{
    mr_letter_group *group = group_of(letters, letter);
    letters->count++;
    if (group == NULL) {
        letters->ungrouped++;
        return;
    }
    if (letter->time_ms > 0 && (group->first_ms == 0 || letter->time_ms < group->first_ms))
        group->first_ms = letter->time_ms;
    if (letter->time_ms > group->last_ms)
        group->last_ms = letter->time_ms;
    if (letters->samples_max > 0) {
        const uint64_t at = group->count % letters->samples_max;
        group->samples[at].partition = letter->partition;
        group->samples[at].offset = letter->offset;
        memcpy(group->samples[at].reason, letter->reason, sizeof letter->reason);
    }
    group->count++;
}

static int by_count(const void *a, const void *b)
{
    const mr_letter_group *x = a, *y = b;
    if (x->count != y->count)
        return x->count < y->count ? 1 : -1;
    const int cause = strcmp(x->cause, y->cause);
    return cause != 0 ? cause : strcmp(x->topic, y->topic);
}

void mr_letters_sort(mr_letters *letters)
{
    qsort(letters->groups, letters->group_count, sizeof *letters->groups, by_count);
}

uint32_t mr_letters_sample(const mr_letters *letters, const mr_letter_group *group, uint32_t n)
{
    if (n >= letters->samples_max || n >= group->count)
        return UINT32_MAX;
    return (uint32_t)((group->count - 1 - n) % letters->samples_max);
}
