// SPDX-License-Identifier: Apache-2.0
// rerun_fork: a branch that goes on with another configuration.
//
// Where it begins in the midst of a history, all engines are made anew from their rows and views, as
// workers that are stopped and started with another configuration would make theirs.
//
// Deltas: what a fork's tasks tell each other is its own. The records of the topic say only when: with
// record k of the sender's commit n the receiver takes in the fork's own records of commits before n
// and the first k of n. With the same configuration these are the same records at the same places.
#include "worker/rerun_inner.h"

#include <stdlib.h>
#include <string.h>

#include "worker/memory.h"

struct mr_rerun_own {
    mr_rerun_own *next;
    uint64_t seq; // of the sender's commit
    uint32_t place, size;
    uint8_t bytes[];
};

mr_status mr_rerun_configure(mr_rerun *r, mr_error *err)
{
    const mr_rerun_fork *fork = r->forked ? r->options->fork : NULL;
    mr_engine_config *engine = &r->engine_config;
    MR_TRY(mr_methods_engine(fork != NULL ? fork->methods : r->options->methods,
                             fork != NULL ? fork->config : r->config, r->tasks, engine, err));
    engine->lanes = mr_lane_pool_port(r->lanes);
    engine->fetch = r->fetch;
    engine->exchange_bytes = (uint32_t)r->config->deltas_bytes_max;
    engine->probed = r->options->watch.probed;
    engine->measure_all = engine->probed.target != NULL;
    return MR_OK;
}

static bool begins(const mr_rerun *r, int64_t time_ms)
{
    const mr_rerun_fork *fork = r->options->fork;
    return fork != NULL && !r->forked && time_ms > fork->from_ms;
}

mr_status mr_rerun_fork_at(mr_rerun *r, int64_t time_ms, mr_error *err)
{
    size_t bytes = 0;
    if (!begins(r, time_ms))
        return MR_OK;
    r->forked = true;
    if (mr_config_hash(r->options->fork->config) == r->config_hash)
        return MR_OK; // nothing changes
    MR_TRY(mr_rerun_configure(r, err));
    MR_TRY(mr_engine_bytes(&r->engine_config, &bytes, err));
    for (uint32_t i = 0; i < r->engine_count; i++) {
        mr_memory_free(r->engines[i]->memory, r->engine_bytes);
        r->engines[i]->memory = NULL;
    }
    r->engine_bytes = bytes;
    for (uint32_t i = 0; i < r->engine_count; i++)
        MR_TRY(mr_rerun_renew_engine(r, r->engines[i], err));
    return MR_OK;
}

// ---- deltas

mr_status mr_rerun_own_made(mr_rerun *r, const mr_delta *delta, mr_error *err)
{
    mr_rerun_pair *pair = &r->pairs[(size_t)delta->sender * r->tasks + delta->receiver];
    mr_rerun_own *own = malloc(sizeof *own + delta->record.size);
    if (own == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    pair->made_place = delta->seq == pair->made_seq ? pair->made_place + 1 : 0;
    pair->made_seq = delta->seq;
    own->next = NULL;
    own->seq = delta->seq;
    own->place = pair->made_place;
    own->size = delta->record.size;
    memcpy(own->bytes, delta->record.data, delta->record.size);
    if (pair->own == NULL)
        pair->own = own;
    else
        pair->own_last->next = own;
    pair->own_last = own;
    return MR_OK;
}

mr_status mr_rerun_own_read(mr_rerun *r, const mr_delta *delta,
                            mr_status (*take)(void *context, mr_bytes record, mr_error *err),
                            void *context, mr_error *err)
{
    mr_rerun_pair *pair = &r->pairs[(size_t)delta->sender * r->tasks + delta->receiver];
    if (delta->seq <= r->tasks_of[delta->sender].base) // made before anything was run
        return take(context, delta->record, err);
    pair->read_place = delta->seq == pair->read_seq ? pair->read_place + 1 : 0;
    pair->read_seq = delta->seq;
    while (pair->own != NULL &&
           (pair->own->seq < delta->seq ||
            (pair->own->seq == delta->seq && pair->own->place <= pair->read_place))) {
        mr_rerun_own *own = pair->own;
        const mr_status status = take(context, mr_bytes_of(own->bytes, own->size), err);
        if (status == MR_RETRY) // the epoch is full: the next one has it
            return MR_OK;
        MR_TRY(status);
        pair->own = own->next;
        own->next = r->spent;
        r->spent = own;
    }
    return MR_OK;
}

static void free_all(mr_rerun_own *own)
{
    while (own != NULL) {
        mr_rerun_own *next = own->next;
        free(own);
        own = next;
    }
}

void mr_rerun_own_over(mr_rerun *r)
{
    free_all(r->spent);
    r->spent = NULL;
}

void mr_rerun_own_close(mr_rerun *r)
{
    mr_rerun_own_over(r);
    for (size_t i = 0; r->pairs != NULL && i < (size_t)r->tasks * r->tasks; i++)
        free_all(r->pairs[i].own);
}
