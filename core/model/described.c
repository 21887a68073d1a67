// SPDX-License-Identifier: Apache-2.0
#include "core/model/described.h"

#include <string.h>

#include "core/base/hash.h"

enum { SIGN_SEED = 0x7369676e }; // "sign"

uint32_t mr_word_used(uint32_t n, const mr_word *word)
{
    return word->unit > 0.0f ? mr_word_bytes(n) : word->time_ms > 0 ? (uint32_t)sizeof *word : 0;
}

void mr_word_combine(uint32_t n, mr_word *into, const mr_word *from)
{
    if (from->time_ms >= into->time_ms)
        memcpy(into, from, mr_word_bytes(n));
}

// Adds `value` at the coordinate of this name.
static void fold(float *x, uint32_t n, uint64_t name, float value)
{
    const uint64_t signs = mr_hash64(&name, sizeof name, SIGN_SEED);
    for (uint32_t k = 0; k < n; k++)
        x[k] += (signs >> k & 1) != 0 ? value : -value;
}

static float largest(const float *x, uint32_t n)
{
    float most = 0.0f;
    for (uint32_t k = 0; k < n; k++)
        most = __builtin_fabsf(x[k]) > most ? __builtin_fabsf(x[k]) : most;
    return most;
}

// What is said, in n numbers; their length is of no matter.
static void read_described(const mr_described *of, uint32_t n, float *x)
{
    memset(x, 0, n * sizeof *x);
    const float most = of->vector != NULL ? largest(of->vector, of->vector_count) : 0.0f;
    const float scale = most > 1e-30f ? 1.0f / most : 0.0f;
    for (uint32_t j = 0; of->vector != NULL && j < of->vector_count; j++) {
        if (of->vector_count <= n)
            x[j] = scale * of->vector[j];
        else
            fold(x, n, j, scale * of->vector[j]);
    }
    for (uint32_t t = 0; of->vector == NULL && t < of->token_count; t++)
        fold(x, n, of->tokens[t], 1.0f);
}

// Codes of -127 to 127 and their unit, so that what they mean has length 1, nearly.
static void encode(const float *x, uint32_t n, mr_word *to)
{
    const float most = largest(x, n);
    float squares = 0.0f;
    to->unit = 0.0f;
    if (!(most > 0.0f))
        return;
    for (uint32_t k = 0; k < n; k++) {
        const float code = x[k] / most * 127.0f;
        to->codes[k] = (int8_t)(code < 0.0f ? code - 0.5f : code + 0.5f);
        squares += (float)to->codes[k] * (float)to->codes[k];
    }
    to->unit = 1.0f / __builtin_sqrtf(squares);
}

void mr_word_make(uint32_t n, const mr_view *view, const mr_described *described, mr_word *to)
{
    float x[MR_WORD_DIM_MAX];
    to->time_ms = described->time_ms;
    to->model = described->vector != NULL ? view->vector_model : 0;
    read_described(described, n, x);
    encode(x, n, to);
}

bool mr_word_read(uint32_t n, const mr_view *view, const mr_word *word, float *x)
{
    const bool counts = word->model == 0 || word->model == view->vector_model;
    for (uint32_t k = 0; k < n; k++)
        x[k] = counts ? word->unit * (float)word->codes[k] : 0.0f;
    return counts && word->unit > 0.0f;
}
