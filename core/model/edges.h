// SPDX-License-Identifier: Apache-2.0
// edges: what is known of an item in the eyes of clusters of users: a row of faded sums, a few
// clusters an item. diag_linucb's.
#ifndef MR_CORE_MODEL_EDGES_H
#define MR_CORE_MODEL_EDGES_H

#include "core/model/decay.h"
#include "core/rows.h"

enum { MR_EDGES_MAX = 8, MR_EDGE_CLUSTERS_MAX = 1024 };
// n, s and d: what was tried, what of it was rewarded, and squares of weights.
enum { MR_EDGE_N, MR_EDGE_S, MR_EDGE_D, MR_EDGE_SUMS };
// A cell's key is cluster * MR_EDGE_SUMS + sum. An act that is a try of the item too adds the same
// to n and to s: one cell, whose cluster stands MR_EDGE_BOTH further on.
enum { MR_EDGE_BOTH = MR_EDGE_CLUSTERS_MAX };

typedef struct mr_edge {
    uint64_t cluster;
    mr_decayed sums[MR_EDGE_SUMS];
    int64_t birth, birth_era; // the cluster's activity when the edge was born
} mr_edge;

typedef struct mr_edges { // the row of an item
    uint32_t count, reserved;
    mr_edge cells[MR_EDGES_MAX];
} mr_edges;

// As mr_family.used.
uint32_t mr_edges_used(const void *config, const void *row);

// Adds cells to the edges of their clusters, those of a cluster side by side; clusters from
// `clusters` on are not known and add nothing. An edge that is not there is born with the activity
// of its cluster (named rows by cluster, of mr_decayed); in a full row it takes the place of the
// smallest one, if that has faded to next to nothing, else the item is known to enough clusters.
// now: to read sums at.
void mr_edges_add(mr_edges *row, const mr_cell *cells, uint32_t count, uint32_t clusters,
                  const mr_named *activity, mr_decay_time now);

#endif
