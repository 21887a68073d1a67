// SPDX-License-Identifier: Apache-2.0
#include "core/model/gates.h"

#include "core/base/vec.h"

void mr_gates_open(const mr_gates *of, uint32_t members, const double *phi, double *g)
{
    double top = -1e300, sum = 0;
    for (uint32_t m = 0; m < MR_GATES_MEMBERS; m++) {
        g[m] = 0;
        for (uint32_t k = 0; k < MR_GATES_PHI; k++)
            g[m] += of->a[m][k] * phi[k];
        if ((members >> m & 1u) != 0 && g[m] > top)
            top = g[m];
    }
    for (uint32_t m = 0; m < MR_GATES_MEMBERS; m++) {
        g[m] = (members >> m & 1u) != 0 ? mr_exp(g[m] - top) : 0;
        sum += g[m];
    }
    for (uint32_t m = 0; m < MR_GATES_MEMBERS; m++)
        g[m] /= sum;
}

double mr_gates_fuse(const double *g, const double *z)
{
    double f = 0;
    for (uint32_t m = 0; m < MR_GATES_MEMBERS; m++)
        f += g[m] * z[m];
    return f;
}

void mr_gates_back(const double *g, const double *z, const double *phi, double by_f, mr_gates *sum)
{
    const double f = mr_gates_fuse(g, z);
    for (uint32_t m = 0; m < MR_GATES_MEMBERS; m++) {
        const double by_logit = by_f * g[m] * (z[m] - f);
        for (uint32_t k = 0; k < MR_GATES_PHI; k++)
            sum->a[m][k] += by_logit * phi[k];
    }
}
