// SPDX-License-Identifier: Apache-2.0
#include "worker/follower.h"

#include <stdlib.h>
#include <string.h>

#include "state/row.h"
#include "worker/log.h"

enum {
    TAKE_MAX = 256,
    TAKES = 8,
    CATCH_UP_ROWS = 1 << 17, // of all shards: above it commits are shown on the way to the end
};

typedef struct shard { // that is followed
    bool followed;
    int64_t next;     // behind the last commit that was shown; -1: nothing was
    uint64_t seq;     // of that commit; 0: none was shown
    mr_message *rows; // that were not shown yet
    uint32_t count, room;
    // A marker that has come and was not shown: the first so many rows are valid with it.
    uint32_t valid;
    uint64_t valid_seq;
    int64_t valid_next;
} shard;

struct mr_follower {
    const mr_bus *bus;
    uint32_t tasks;
    shard *shards;
    mr_offset *offsets;
    mr_sequence *shown; // room for all shards
    uint32_t shown_count;
    uint64_t left_out;
    mr_marker_pair pairs[MR_MARKER_PAIRS_MAX]; // room for a marker
    mr_marker_offset marker_offsets[MR_MARKER_OFFSETS_MAX];
    mr_marker_link links[MR_MARKER_LINKS_MAX];
};

mr_status mr_follower_open(const mr_bus *bus, uint32_t tasks, mr_follower **out, mr_error *err)
{
    mr_follower *follower = calloc(1, sizeof *follower);
    if (follower == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    follower->bus = bus;
    follower->tasks = tasks;
    follower->shards = calloc(tasks, sizeof *follower->shards);
    follower->offsets = calloc(tasks, sizeof *follower->offsets);
    follower->shown = calloc(tasks, sizeof *follower->shown);
    if (follower->shards == NULL || follower->offsets == NULL || follower->shown == NULL) {
        mr_follower_close(follower);
        return mr_fail(err, MR_FATAL, "out of memory");
    }
    for (uint32_t s = 0; s < tasks; s++)
        follower->shards[s].next = -1;
    *out = follower;
    return MR_OK;
}

static void give_back(const mr_follower *follower, mr_message *message)
{
    follower->bus->follow_give_back(follower->bus->context, message);
}

static void forget_rows(const mr_follower *follower, shard *s)
{
    for (uint32_t i = 0; i < s->count; i++)
        give_back(follower, &s->rows[i]);
    s->count = s->valid = 0;
    s->valid_seq = 0;
}

void mr_follower_close(mr_follower *follower)
{
    if (follower == NULL)
        return;
    for (uint32_t i = 0; follower->shards != NULL && i < follower->tasks; i++) {
        forget_rows(follower, &follower->shards[i]);
        free(follower->shards[i].rows);
    }
    free(follower->shards);
    free(follower->offsets);
    free(follower->shown);
    free(follower);
}

static void unnote(mr_follower *follower, uint32_t number)
{
    uint32_t left = 0;
    for (uint32_t i = 0; i < follower->shown_count; i++)
        if (follower->shown[i].of != number)
            follower->shown[left++] = follower->shown[i];
    follower->shown_count = left;
}

static void note(mr_follower *follower, uint32_t number)
{
    const int64_t seq = (int64_t)follower->shards[number].seq;
    follower->shown[follower->shown_count++] = (mr_sequence){number, seq};
}

void mr_follower_place(mr_follower *follower, uint32_t s, int64_t next, uint64_t seq)
{
    follower->shards[s].next = next;
    follower->shards[s].seq = next < 0 ? 0 : seq;
    unnote(follower, s);
    if (next >= 0)
        note(follower, s);
}

mr_status mr_follower_follow(mr_follower *follower, const uint32_t *held, uint32_t held_count,
                             mr_error *err)
{
    uint32_t count = 0, at = 0;
    for (uint32_t s = 0; s < follower->tasks; s++) {
        shard *to = &follower->shards[s];
        forget_rows(follower, to);
        const bool is_held = at < held_count && held[at] == s;
        at += is_held;
        to->followed = !is_held && held_count > 0;
        if (to->followed)
            follower->offsets[count++] = (mr_offset){0, s, to->next};
        else // what the engine knew of it is dropped when it is taken
            mr_follower_place(follower, s, -1, 0);
    }
    return follower->bus->follow(follower->bus->context, follower->offsets, count, err);
}

static mr_status keep(mr_follower *follower, shard *s, const mr_message *message, mr_error *err)
{
    (void)follower;
    if (s->count == s->room) {
        const uint32_t room = s->room == 0 ? 256 : s->room * 2;
        mr_message *rows = realloc(s->rows, room * sizeof *rows);
        if (rows == NULL)
            return mr_fail(err, MR_FATAL, "out of memory for %u rows of one commit", room);
        s->rows = rows;
        s->room = room;
    }
    s->rows[s->count++] = *message;
    return MR_OK;
}

static mr_status show(mr_follower *follower, mr_engine *engine, uint32_t number,
                      const mr_message *message, mr_error *err)
{
    mr_row row = {0};
    if (message->value.size > 0)
        MR_TRY(mr_row_open(message->key, message->value, &row, err));
    const mr_status status = mr_engine_view_row(engine, number, message->key, row.payload, err);
    if (status != MR_RETRY)
        return status;
    if (follower->left_out++ == 0)
        mr_log(MR_LOG_WARNING, "items", "no room for an item of another worker: lists leave it out",
               mr_log_long("shard", number), mr_log_text("error", err->text));
    return MR_OK;
}

// Shows the rows that are valid: the engine's view is that of their last commit.
static mr_status show_valid(mr_follower *follower, mr_engine *engine, uint32_t number,
                            mr_error *err)
{
    shard *s = &follower->shards[number];
    const uint32_t valid = s->valid;
    for (uint32_t i = 0; i < valid; i++)
        MR_TRY(show(follower, engine, number, &s->rows[i], err));
    for (uint32_t i = 0; i < valid; i++)
        give_back(follower, &s->rows[i]);
    s->count -= valid;
    if (s->count > 0)
        memmove(s->rows, s->rows + valid, s->count * sizeof *s->rows);
    s->seq = s->valid_seq;
    s->next = s->valid_next;
    s->valid = 0;
    s->valid_seq = 0;
    unnote(follower, number);
    note(follower, number);
    return MR_OK;
}

// Whether commits that are older than the log's end stay unseen: while nothing was shown.
static bool waits_for_end(const mr_follower *follower, const shard *s)
{
    size_t rows = 0;
    if (s->next >= 0)
        return false;
    for (uint32_t i = 0; i < follower->tasks; i++)
        rows += follower->shards[i].count;
    return rows < CATCH_UP_ROWS;
}

// A marker has come: the rows before it are valid.
static mr_status commit(mr_follower *follower, mr_engine *engine, uint32_t number,
                        const mr_message *message, mr_error *err)
{
    shard *s = &follower->shards[number];
    mr_marker marker = {
        .pairs = follower->pairs, .offsets = follower->marker_offsets, .links = follower->links};
    MR_TRY(mr_marker_read(message->value, &marker, err));
    const uint64_t before = s->valid_seq != 0 ? s->valid_seq : s->seq;
    const uint32_t here = s->count - s->valid;
    s->valid = s->count;
    s->valid_seq = marker.seq;
    s->valid_next = message->offset + 1;
    if (waits_for_end(follower, s) || before == 0 || marker.seq != before + 1 ||
        here != marker.here_count)
        return MR_OK; // it may be no commit's state: see the header
    return show_valid(follower, engine, number, err);
}

static mr_status take(mr_follower *follower, mr_engine *engine, mr_message *message, mr_error *err)
{
    const uint32_t number = message->partition;
    shard *s = &follower->shards[number];
    mr_status status = MR_OK;
    if (message->error != NULL)
        status = mr_fail(err, MR_FATAL, "%s", message->error);
    else if (!s->followed)
        status = MR_OK;
    else if (message->end && s->valid_seq != 0 && s->count == s->valid)
        status = show_valid(follower, engine, number, err);
    else if (!message->end && message->offset >= s->next && !mr_marker_is(message->key))
        return keep(follower, s, message, err);
    else if (!message->end && message->offset >= s->next)
        status = commit(follower, engine, number, message, err);
    give_back(follower, message);
    return status == MR_OK ? MR_OK : mr_wrap(err, "items of shard %u", number);
}

mr_status mr_follower_step(mr_follower *follower, mr_engine *engine, bool *moved, mr_error *err)
{
    mr_message messages[TAKE_MAX];
    *moved = false;
    for (int t = 0; t < TAKES; t++) {
        mr_status status = MR_OK;
        const uint32_t count =
            follower->bus->follow_take(follower->bus->context, messages, TAKE_MAX);
        for (uint32_t i = 0; i < count; i++) {
            if (status == MR_OK)
                status = take(follower, engine, &messages[i], err);
            else
                give_back(follower, &messages[i]);
        }
        MR_TRY(status);
        *moved = *moved || count > 0;
        if (count < TAKE_MAX)
            break;
    }
    return MR_OK;
}

const mr_sequence *mr_follower_shown(const mr_follower *follower, uint32_t *count)
{
    *count = follower->shown_count;
    return follower->shown;
}

void mr_follower_noted(mr_follower *follower)
{
    follower->shown_count = 0;
}

uint64_t mr_follower_left_out(const mr_follower *follower)
{
    return follower->left_out;
}
