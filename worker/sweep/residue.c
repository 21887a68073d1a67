// SPDX-License-Identifier: Apache-2.0
#include "worker/sweep/residue.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct moved {
    double by;
    bool his;
} moved;

typedef struct measuring {
    const mr_engine *without;
    const uint64_t *of;
    uint64_t of_count;
    mr_residue *residue;
    double counted, gone; // acts on his items with him, and how many fewer there are without
    moved *moved;
    uint64_t moved_count;
} measuring;

static int by_key(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static int by_distance(const void *a, const void *b)
{
    const double x = ((const moved *)a)->by, y = ((const moved *)b)->by;
    return (x > y) - (x < y);
}

static double distance(const float *v, const float *w, uint32_t count)
{
    double apart = 0, length = 0;
    for (uint32_t i = 0; i < count; i++) {
        apart += ((double)v[i] - (double)w[i]) * ((double)v[i] - (double)w[i]);
        length += (double)w[i] * (double)w[i];
    }
    return length > 0 ? sqrt(apart / length) : (double)NAN;
}

static double count_of(const mr_told *told) // the slowest to fade stands last
{
    return told->count_count > 0 ? told->counts[told->count_count - 1].value : (double)NAN;
}

static void look_at(void *context, const mr_told *with)
{
    measuring *m = context;
    const uint64_t key = mr_item_key(with->item);
    const bool his =
        m->of_count > 0 && bsearch(&key, m->of, m->of_count, sizeof key, by_key) != NULL;
    mr_told without;
    if (!mr_engine_tell_of(m->without, with->item, &without)) {
        if (his) // nobody else acted on it
            m->counted += count_of(with), m->gone += count_of(with);
        return;
    }
    m->residue->items += his;
    m->residue->others += !his;
    if (his) {
        m->counted += count_of(with);
        m->gone += count_of(with) - count_of(&without);
    }
    if (with->vector == NULL || without.vector == NULL)
        return;
    const double by = distance(with->vector, without.vector, with->vector_count);
    if (!isnan(by))
        m->moved[m->moved_count++] = (moved){by, his};
}

static double median(const moved *sorted, uint64_t count, bool his)
{
    uint64_t among = 0, at = 0;
    double lower = (double)NAN, upper = (double)NAN;
    for (uint64_t i = 0; i < count; i++)
        among += sorted[i].his == his;
    for (uint64_t i = 0; i < count; i++) {
        if (sorted[i].his != his)
            continue;
        lower = at == (among - 1) / 2 ? sorted[i].by : lower;
        upper = at == among / 2 ? sorted[i].by : upper;
        at++;
    }
    return (lower + upper) / 2;
}

// Mann-Whitney: the share of pairs of one of his and another in which his moved further; equal ones
// count half.
static double auc(const moved *sorted, uint64_t count)
{
    double below = 0, pairs = 0, his = 0;
    for (uint64_t i = 0; i < count;) {
        uint64_t end = i;
        double his_here = 0, others_here = 0;
        for (; end < count && !(sorted[end].by > sorted[i].by); end++) {
            his_here += sorted[end].his;
            others_here += !sorted[end].his;
        }
        pairs += his_here * (below + others_here / 2);
        below += others_here;
        his += his_here;
        i = end;
    }
    return his > 0 && below > 0 ? pairs / (his * below) : (double)NAN;
}

mr_status mr_residue_of(const mr_engine *with, const mr_engine *without, uint64_t *of,
                        uint64_t count, mr_residue *residue, mr_error *err)
{
    const uint32_t places = mr_engine_item_places(with);
    measuring m = {.without = without, .of = of, .of_count = count, .residue = residue};
    *residue = (mr_residue){0};
    m.moved = calloc(places + 1, sizeof *m.moved);
    if (m.moved == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    if (count > 0)
        qsort(of, count, sizeof *of, by_key);
    for (uint32_t place = 0; place < places; place++) {
        mr_told told;
        if (mr_engine_tell_at(with, place, &told))
            look_at(&m, &told);
    }
    qsort(m.moved, m.moved_count, sizeof *m.moved, by_distance);
    residue->share = m.counted > 0 ? m.gone / m.counted : (double)NAN;
    residue->moved = median(m.moved, m.moved_count, true);
    residue->moved_others = median(m.moved, m.moved_count, false);
    residue->auc = auc(m.moved, m.moved_count);
    free(m.moved);
    return MR_OK;
}
