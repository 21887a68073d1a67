// SPDX-License-Identifier: Apache-2.0
#include "worker/measure/pareto.h"

#include <math.h>
#include <stdbool.h>

#include "core/base/error.h"

static bool before(mr_trade a, mr_trade b)
{
    return a.relevance > b.relevance || (a.relevance == b.relevance && a.fairness > b.fairness);
}

uint32_t mr_pareto_order(mr_trade *points, uint32_t count)
{
    uint32_t kept = 0;
    for (uint32_t i = 1; i < count; i++) {
        const mr_trade point = points[i];
        uint32_t at = i;
        for (; at > 0 && before(point, points[at - 1]); at--)
            points[at] = points[at - 1];
        points[at] = point;
    }
    for (uint32_t i = 0; i < count; i++)
        if (kept == 0 || points[i].relevance < points[kept - 1].relevance)
            points[kept++] = points[i];
    return kept;
}

double mr_pareto_distance(mr_trade model, mr_trade reference)
{
    return hypot(model.relevance - reference.relevance, model.fairness - reference.fairness);
}

mr_trade mr_pareto_reference(const mr_trade *frontier, uint32_t count, double alpha)
{
    double whole = 0, way = 0;
    uint32_t nearest = 0;
    MR_ASSERT(count > 0);
    for (uint32_t i = 1; i < count; i++)
        whole += mr_pareto_distance(frontier[i], frontier[i - 1]);
    double least = alpha * whole; // of the first point
    for (uint32_t i = 1; i < count; i++) {
        way += mr_pareto_distance(frontier[i], frontier[i - 1]);
        if (fabs(way - alpha * whole) < least) {
            least = fabs(way - alpha * whole);
            nearest = i;
        }
    }
    return frontier[nearest];
}
