// SPDX-License-Identifier: Apache-2.0
// push: personalised PageRank from a few nodes, by forward push.
//
// A walk from the seeds stops at each step with probability `restart`, else goes on to a neighbour
// in proportion to its share. rank[v] is the probability that it stops at v, as far as it is known,
// and rest[v] the probability that it is at v and has not been followed. Pushing v,
//     rank[v] += restart rest[v],  rest[w] += (1 - restart) rest[v] share(v, w),  rest[v] = 0,
// keeps for every node w
//     exact[w] = rank[w] + sum over v of rest[v] (exact rank of w for a walk from v)
// so rank is never above the exact value, and what is unknown adds up to what rest does. Shares
// that add up to less than 1 let walks end.
// Source: Andersen, Chung and Lang, Local Graph Partitioning using PageRank Vectors.
#ifndef MR_CORE_BASE_PUSH_H
#define MR_CORE_BASE_PUSH_H

#include <stdint.h>

enum {
    MR_PUSH_NODES = 4096, // that one computation may reach; what comes after them is left out
    MR_PUSH_BITS = 13,
    MR_PUSH_DEGREE = 64, // neighbours of a node
};

typedef struct mr_push {
    uint32_t count;
    uint32_t nodes[MR_PUSH_NODES]; // in the order in which they were reached
    float rank[MR_PUSH_NODES], rest[MR_PUSH_NODES];
    uint16_t table[1 << MR_PUSH_BITS]; // core/base/place.h
} mr_push;

void mr_push_clear(mr_push *push);
// Walks begin at the node with that probability.
void mr_push_seed(mr_push *push, uint32_t node, float probability);
// Pushes the node at `index` along its neighbours: nodes and shares, count <= MR_PUSH_DEGREE.
void mr_push_along(mr_push *push, uint32_t index, float restart, const uint32_t *nodes,
                   const float *shares, uint32_t count);
// Where a node that was reached stands in the arrays.
uint32_t mr_push_index(const mr_push *push, uint32_t node);
// The best guess of a node's rank: what is known, and that what waits there stops there. 0 for a
// node that was not reached.
float mr_push_rank(const mr_push *push, float restart, uint32_t node);

#endif
