// SPDX-License-Identifier: Apache-2.0
#include "core/model/codebook.h"

#include <string.h>

void mr_progress_combine(mr_progress *into, const mr_progress *from)
{
    into->described += from->described;
    into->frozen_error += from->frozen_error;
    into->shadow_error += from->shadow_error;
    into->compared += from->compared;
    if (from->step > into->step)
        memcpy(into, from, offsetof(mr_progress, described));
}

void mr_progress_apply(mr_stage *of, const mr_progress *came, double publish)
{
    of->described += came->described;
    if (came->step == of->step + 1 && came->from == of->cursor) {
        of->cursor = came->is_last ? 0 : came->cursor;
        of->taken = came->is_last ? 0 : of->taken + came->taken;
        of->step += came->is_last;
    }
    of->clock += (uint64_t)came->compared;
    of->frozen_error += came->frozen_error;
    of->shadow_error += came->shadow_error;
    of->compared += came->compared;
    if (of->compared < (float)MR_CODEBOOK_COMPARED)
        return;
    of->published += (double)of->shadow_error < (1.0 - publish) * (double)of->frozen_error;
    of->compared = of->frozen_error = of->shadow_error = 0.0f;
}

void mr_residuals_combine(uint32_t n, mr_residuals *into, const mr_residuals *from)
{
    into->clock = from->clock > into->clock ? from->clock : into->clock;
    into->turn = from->turn > into->turn ? from->turn : into->turn;
    into->publish = from->publish > into->publish ? from->publish : into->publish;
    if (from->step < into->step || (from->step == into->step && from->reset < into->reset))
        return;
    const bool adds = from->step == into->step && from->reset == into->reset;
    into->step = from->step;
    into->reset = from->reset;
    into->count = (adds ? into->count : 0.0f) + from->count;
    for (uint32_t i = 0; i < n; i++)
        into->sum[i] = (adds ? into->sum[i] : 0.0f) + from->sum[i];
}

static void take_mean(const mr_vec *vec, mr_entry *of, uint32_t n)
{
    if (of->count > 0.0f) // where nothing came it stays where it is
        vec->set(of->floats, 1.0f / of->count, of->floats + n, n);
}

static void learn(const mr_vec *vec, uint32_t n, mr_entry *of, const mr_residuals *came)
{
    const double items = came->clock > of->clock ? (double)(came->clock - of->clock) : 0;
    const float eta = (float)MR_CODEBOOK_ETA;
    const float keep = (float)mr_exp(items / 1000.0 * mr_log(1.0 - MR_CODEBOOK_ETA));
    if (came->reset) {
        of->count = eta * came->count;
        vec->set(of->floats + n, eta, came->sum, n);
    } else {
        mr_residual_move(vec, keep, eta, &of->count, of->floats + n, came->count, came->sum, n);
    }
    of->clock = came->clock > of->clock ? came->clock : of->clock;
}

void mr_residuals_apply(const mr_vec *vec, uint32_t n, mr_entry *of, const mr_residuals *came)
{
    if (came->publish > of->published) {
        take_mean(vec, of, n);
        of->published = came->publish;
    }
    if (came->turn > of->turned) {
        take_mean(vec, of, n);
        of->turned = came->turn;
        if (came->turn % MR_CODEBOOK_STEPS > 0) { // else the moving averages begin with these
            memset(of->floats + n, 0, n * sizeof *of->floats);
            of->count = 0.0f;
        }
    }
    if (came->step == MR_CODEBOOK_LEARNED) {
        learn(vec, n, of, came);
    } else if (came->step > 0 && came->step == of->turned) {
        of->count += came->count;
        vec->axpy(of->floats + n, 1.0f, came->sum, n);
    }
}
