// SPDX-License-Identifier: Apache-2.0
#include "worker/follower.h"

#include <stdlib.h>
#include <string.h>

#include "state/row.h"
#include "worker/log.h"

enum { TAKE_MAX = 256, TAKES = 8 };

typedef struct shard { // that is followed
    bool followed;
    int64_t next; // behind the last marker; -1: nothing was seen
    uint64_t seq;
    mr_message *rows; // whose marker has not come yet
    uint32_t count, room;
} shard;

struct mr_follower {
    const mr_bus *bus;
    uint32_t tasks;
    shard *shards;
    mr_offset *offsets;
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
    if (follower->shards == NULL || follower->offsets == NULL) {
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
    s->count = 0;
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
    free(follower);
}

void mr_follower_place(mr_follower *follower, uint32_t s, int64_t next)
{
    follower->shards[s].next = next;
    if (next < 0)
        follower->shards[s].seq = 0;
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
        else
            to->next = -1; // what the engine knew of it is dropped when it is taken
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

// The marker makes the rows before it valid.
static mr_status commit(mr_follower *follower, mr_engine *engine, uint32_t number,
                        const mr_message *message, mr_error *err)
{
    shard *s = &follower->shards[number];
    mr_marker marker = {
        .pairs = follower->pairs, .offsets = follower->marker_offsets, .links = follower->links};
    mr_status status = mr_marker_read(message->value, &marker, err);
    for (uint32_t i = 0; status == MR_OK && i < s->count; i++)
        status = show(follower, engine, number, &s->rows[i], err);
    forget_rows(follower, s);
    s->seq = marker.seq;
    s->next = message->offset + 1;
    return status == MR_OK ? MR_OK : mr_wrap(err, "items of shard %u", number);
}

static mr_status take(mr_follower *follower, mr_engine *engine, mr_message *message, mr_error *err)
{
    shard *s = &follower->shards[message->partition];
    mr_status status = MR_OK;
    if (message->error != NULL)
        status =
            mr_fail(err, MR_FATAL, "items of shard %u: %s", message->partition, message->error);
    else if (s->followed && !message->end && message->offset >= s->next &&
             !mr_marker_is(message->key)) {
        return keep(follower, s, message, err);
    } else if (s->followed && !message->end && message->offset >= s->next)
        status = commit(follower, engine, message->partition, message, err);
    give_back(follower, message);
    return status;
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

uint64_t mr_follower_seq(const mr_follower *follower, uint32_t s)
{
    return follower->shards[s].seq;
}

uint64_t mr_follower_left_out(const mr_follower *follower)
{
    return follower->left_out;
}
