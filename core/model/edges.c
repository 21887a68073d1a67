// SPDX-License-Identifier: Apache-2.0
#include "core/model/edges.h"

#define FADED 0.02 // acts: an edge below it gives its place to a new one

uint32_t mr_edges_used(const void *config, const void *row)
{
    (void)config;
    return (uint32_t)offsetof(mr_edges, cells) +
           ((const mr_edges *)row)->count * (uint32_t)sizeof(mr_edge);
}

// row->count: there is none.
static uint32_t find(const mr_edges *row, uint64_t cluster)
{
    uint32_t at = 0;
    while (at < row->count && row->cells[at].cluster != cluster)
        at++;
    return at;
}

// NULL: there is no place.
static mr_edge *make(mr_edges *row, uint64_t cluster, int64_t era, const mr_named *activities,
                     mr_decay_time now)
{
    uint32_t at = row->count < MR_EDGES_MAX ? row->count++ : MR_EDGES_MAX;
    if (at == MR_EDGES_MAX) {
        at = 0;
        for (uint32_t i = 1; i < MR_EDGES_MAX; i++)
            if (mr_decayed_in(&row->cells[i].sums[MR_EDGE_N], era) <
                mr_decayed_in(&row->cells[at].sums[MR_EDGE_N], era))
                at = i;
        if (row->cells[at].sums[MR_EDGE_N].era > era ||
            mr_decayed_at(&row->cells[at].sums[MR_EDGE_N], now) > FADED)
            return NULL;
    }
    const mr_decayed *activity = mr_named_find(activities, cluster);
    row->cells[at] = (mr_edge){
        .cluster = cluster, .birth = (int64_t)mr_decayed_raw(activity), .birth_era = activity->era};
    return &row->cells[at];
}

void mr_edges_add(mr_edges *row, const mr_cell *cells, uint32_t count, uint32_t clusters,
                  const mr_named *activity, mr_decay_time now)
{
    uint64_t last = UINT64_MAX;
    mr_edge *e = NULL;
    for (uint32_t i = 0; i < count; i++) {
        const mr_decayed more = {.newest = cells[i].value, .era = cells[i].era};
        const uint64_t named = cells[i].key / MR_EDGE_SUMS, sum = cells[i].key % MR_EDGE_SUMS;
        const uint64_t cluster = named < MR_EDGE_BOTH ? named : named - MR_EDGE_BOTH;
        if (cluster >= clusters)
            continue;
        if (named != last) {
            const uint32_t at = find(row, cluster);
            e = at < row->count ? &row->cells[at] : make(row, cluster, cells[i].era, activity, now);
            last = named;
        }
        if (e == NULL)
            continue;
        mr_decayed_add(&e->sums[sum], more);
        if (named != cluster && sum == MR_EDGE_N)
            mr_decayed_add(&e->sums[MR_EDGE_S], more);
    }
}
