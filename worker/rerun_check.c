// SPDX-License-Identifier: Apache-2.0
// rerun_check: what a commit left in the topics, against what it leaves now.
#include "worker/rerun_inner.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/hash.h"
#include "schemas/frame.h"

enum { PLACE_BITS = 20 };   // of a list's version: its place in the commit
enum { NOT_COMPARED = 0 }; // in the place of a hash

// ---- state hashes

static mr_status check_hashes(mr_rerun *r, mr_error *err)
{
    const mr_epoch_record *record = r->record;
    for (uint32_t i = 0; i < record->state_hash_count; i++) {
        const mr_state_hash *want = &record->state_hashes[i];
        const mr_task_view view = mr_engine_task(r->engine->engine, want->task);
        if (memcmp(&view.state_hash, &want->hash, sizeof want->hash) != 0)
            return mr_rerun_differs(r, err, want->task, (int64_t)view.epoch,
                                    "the state hash is %016llx%016llx, was %016llx%016llx",
                                    (unsigned long long)view.state_hash.high,
                                    (unsigned long long)view.state_hash.low,
                                    (unsigned long long)want->hash.high,
                                    (unsigned long long)want->hash.low);
        r->result->hashes++;
    }
    return MR_OK;
}

// ---- lists

typedef struct comparing { // the lists of one task
    mr_rerun *r;
    uint32_t task;
    const mr_record *records; // of the commit
    uint32_t count, at;       // those before `at` were compared, or are gone from the topic
} comparing;

// *value becomes the list without its frame: a registry numbers schemas as it likes, and a history
// can be run again without one.
static mr_status version_of(mr_bytes *value, mr_bytes *user, int64_t *version, mr_error *err)
{
    mr_frame frame;
    MR_TRY(mr_frame_read(MR_FRAMING_AUTO, *value, (mr_bytes){NULL, 0}, &frame, err));
    *value = frame.payload;
    return mr_decode_list_head(frame.payload, user, version, err);
}

// The next list of the task that the commit made now; false: there is none.
static bool made_next(comparing *c, mr_bytes *value, int64_t *version)
{
    for (; c->at < c->count; c->at++) {
        const mr_record *record = &c->records[c->at];
        mr_bytes user;
        mr_error ignored;
        if (record->topic != MR_TOPIC_LISTS || record->partition != c->task)
            continue;
        *value = record->value;
        return version_of(value, &user, version, &ignored) == MR_OK;
    }
    return false;
}

static mr_status see_list(void *context, const mr_message *message, mr_error *err)
{
    comparing *c = context;
    mr_rerun *r = c->r;
    const int64_t seq = (int64_t)mr_rerun_seq(r, c->task);
    mr_bytes user, value, published = message->value;
    int64_t version, made;
    if (message->value.data == NULL)
        return MR_OK; // a user was forgotten
    const mr_status status = version_of(&published, &user, &version, err);
    if (status != MR_OK)
        return mr_rerun_differs(r, err, c->task, 0, "a list that cannot be read at offset %lld",
                                (long long)message->offset);
    if (version >> PLACE_BITS > seq)
        return MR_RETRY; // of a later commit
    if (version >> PLACE_BITS < (int64_t)r->tasks_of[c->task].born)
        return MR_OK; // of a history before this one
    while (made_next(c, &value, &made) && made < version) {
        r->result->lists_gone++;
        c->at++;
    }
    if (!made_next(c, &value, &made) || made != version)
        return mr_rerun_differs(r, err, c->task, 0,
                                "list %lld of user %.*s was published and is not made again",
                                (long long)version, (int)user.size, (const char *)user.data);
    if (!mr_bytes_equal(value, published))
        return mr_rerun_differs(r, err, c->task, 0, "list %lld of user %.*s has other bytes",
                                (long long)version, (int)user.size, (const char *)user.data);
    c->at++;
    r->result->lists++;
    return MR_OK;
}

static mr_status check_lists(mr_rerun *r, uint32_t task, mr_error *err)
{
    mr_rerun_task *t = &r->tasks_of[task];
    comparing c = {.r = r, .task = task};
    mr_bytes value;
    int64_t version;
    c.records = mr_frozen_records(r->frozen, &c.count);
    if (t->lists_next < t->lists_end)
        MR_TRY(r->archive->read(r->archive->context, MR_ARCHIVE_LISTS, task, t->lists_next, t->lists_end,
                             see_list, &c, &t->lists_next, err));
    for (; made_next(&c, &value, &version); c.at++)
        r->result->lists_gone++;
    return MR_OK;
}

mr_status mr_rerun_check(mr_rerun *r, mr_error *err)
{
    if (r->options->fork != NULL)
        return MR_OK;
    MR_TRY(check_hashes(r, err));
    for (uint32_t i = 0; i < r->record->mark_count; i++)
        MR_TRY(check_lists(r, r->record->marks[i].of, err));
    return MR_OK;
}

// ---- deltas: made in one commit, read in another, in either order

static mr_status push(mr_rerun_pair *pair, uint64_t hash, mr_error *err)
{
    if (pair->first + pair->count == pair->room) {
        const uint32_t room = pair->count < pair->room / 2 ? pair->room
                              : pair->room == 0            ? 16
                                                           : pair->room * 2;
        uint64_t *grown = realloc(pair->hashes, room * sizeof *grown);
        if (grown == NULL)
            return mr_fail(err, MR_FATAL, "out of memory");
        memmove(grown, grown + pair->first, pair->count * sizeof *grown);
        pair->hashes = grown;
        pair->room = room;
        pair->first = 0;
    }
    pair->hashes[pair->first + pair->count++] = hash;
    return MR_OK;
}

mr_status mr_rerun_pair_base(mr_rerun *r, mr_error *err)
{
    for (size_t i = 0; i < (size_t)r->tasks * r->tasks; i++) {
        mr_rerun_pair *pair = &r->pairs[i];
        const uint64_t low = pair->made < pair->read ? pair->made : pair->read;
        const uint64_t high = pair->made < pair->read ? pair->read : pair->made;
        for (uint64_t link = low; link < high; link++)
            MR_TRY(push(pair, NOT_COMPARED, err));
    }
    return MR_OK;
}

// One side is at `link`; `mine` and `theirs` are the last links of both sides. Either the other side
// has its hash already, or it is kept for it.
static mr_status meet(mr_rerun *r, const mr_delta *delta, mr_bytes value, uint64_t *mine,
                      uint64_t theirs, int64_t epoch, mr_error *err)
{
    mr_rerun_pair *pair = &r->pairs[(size_t)delta->sender * r->tasks + delta->receiver];
    const uint64_t hash = mr_hash64(value.data, value.size, 0) | 1u;
    uint64_t other = NOT_COMPARED;
    bool met = false;
    // Links that the other side has and this one passes over are none that were compared.
    for (; *mine < delta->link && *mine < theirs; (*mine)++) {
        other = pair->hashes[pair->first++];
        pair->count--;
        met = *mine + 1 == delta->link;
    }
    for (; *mine + 1 < delta->link; (*mine)++) // lost, and the configuration says to go on
        MR_TRY(push(pair, NOT_COMPARED, err));
    if (!met) {
        *mine = delta->link;
        return push(pair, hash, err);
    }
    r->result->deltas += other != NOT_COMPARED;
    if (other == hash || other == NOT_COMPARED)
        return MR_OK;
    return mr_rerun_differs(r, err, epoch > 0 ? delta->receiver : delta->sender, epoch,
                            "deltas of task %u to task %u, link %llu: other bytes than they had",
                            delta->sender, delta->receiver, (unsigned long long)delta->link);
}

mr_status mr_rerun_delta_made(mr_rerun *r, const mr_delta *delta, mr_bytes value, mr_error *err)
{
    mr_rerun_pair *pair = &r->pairs[(size_t)delta->sender * r->tasks + delta->receiver];
    return meet(r, delta, value, &pair->made, pair->read, 0, err);
}

mr_status mr_rerun_delta_read(mr_rerun *r, const mr_delta *delta, mr_bytes value, int64_t epoch,
                              mr_error *err)
{
    mr_rerun_pair *pair = &r->pairs[(size_t)delta->sender * r->tasks + delta->receiver];
    return meet(r, delta, value, &pair->read, pair->made, epoch, err);
}
