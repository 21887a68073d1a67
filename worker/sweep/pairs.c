// SPDX-License-Identifier: Apache-2.0
#include "worker/sweep/pairs.h"

#include <stdlib.h>

#include "core/base/hash.h"
#include "worker/measure/similarity.h"

enum { ROOM_FIRST = 1024 };

static bool make_room(mr_journal *journal)
{
    if (journal->count < journal->room)
        return true;
    const uint32_t room = journal->room == 0 ? ROOM_FIRST : 2 * journal->room;
    mr_noted_list *lists = realloc(journal->lists, room * sizeof *lists);
    if (lists != NULL)
        journal->lists = lists;
    mr_sorted *order = realloc(journal->order, room * sizeof *order);
    if (order != NULL)
        journal->order = order;
    if (lists == NULL || order == NULL) {
        journal->failed = true;
        return false;
    }
    journal->room = room;
    return true;
}

void mr_journal_note(mr_journal *journal, const mr_list *list)
{
    uint64_t keys[MR_LIST_MAX];
    if (!make_room(journal))
        return;
    mr_noted_list *noted = &journal->lists[journal->count++];
    *noted = (mr_noted_list){.user = mr_user_key(list->user)};
    for (uint32_t i = 0; i < list->entry_count; i++) {
        keys[i] = list->entries[i].item_key;
        if (i < MR_ACT_DEPTH)
            noted->items[noted->count++] = keys[i];
    }
    noted->digest = mr_hash64(keys, list->entry_count * sizeof *keys, 0);
}

void mr_journal_empty(mr_journal *journal)
{
    journal->count = 0;
}

void mr_journal_close(mr_journal *journal)
{
    free(journal->lists);
    free(journal->order);
    *journal = (mr_journal){0};
}

// By user, his lists in the order in which they were made.
static void put_in_order(mr_journal *journal)
{
    for (uint32_t i = 0; i < journal->count; i++)
        journal->order[i] = (mr_sorted){journal->lists[i].user, i, 0};
    if (journal->count > 0)
        mr_sort(journal->order, journal->count);
}

static void compare(const mr_noted_list *from, const mr_noted_list *to, mr_list_differences *d)
{
    d->compared++;
    d->differ += from->digest != to->digest;
    if (from->count == 0 && to->count == 0) { // as alike as can be
        d->rbo += 1;
        d->jaccard += 1;
        return;
    }
    d->rbo += mr_rbo(from->items, from->count, to->items, to->count, .9).extrapolated;
    d->jaccard += mr_jaccard(from->items, from->count, to->items, to->count);
}

mr_status mr_journal_compare(mr_journal *from, mr_journal *to, mr_list_differences *d,
                             mr_error *err)
{
    uint32_t a = 0, b = 0;
    if (from->failed || to->failed)
        return mr_fail(err, MR_FATAL, "out of memory for the lists that are compared");
    put_in_order(from);
    put_in_order(to);
    while (a < from->count && b < to->count) {
        const mr_sorted *x = &from->order[a], *y = &to->order[b];
        if (x->key == y->key)
            compare(&from->lists[x->value], &to->lists[y->value], d);
        d->only_from += x->key < y->key;
        d->only_to += y->key < x->key;
        a += x->key <= y->key;
        b += y->key <= x->key;
    }
    d->only_from += from->count - a;
    d->only_to += to->count - b;
    return MR_OK;
}
