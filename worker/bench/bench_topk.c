// SPDX-License-Identifier: Apache-2.0
// Exact top-100 lists for 64 users over a whole catalogue, against OpenBLAS's product of the same
// matrices alone, in the same tiles: lists are scanned for in 16 bits, so they may be made faster
// than all scores are computed in 32.
#include <cblas.h>
#include <stdlib.h>

#include "core/list/topk.h"
#include "worker/bench/bench.h"
#include "worker/bench/measure.h"

enum { USERS = 64, WIDTH = 64, KEPT = 100, TILE = 1024 };

typedef struct catalogue {
    uint32_t count;
    float *rows, *users, *scores;
    uint64_t *keys;
    uint32_t *slots;
    float *kept;
    void *scratch, *image;
    mr_topk_items items;
    mr_topk_list lists[USERS];
} catalogue;

static void *get(size_t bytes)
{
    return aligned_alloc(64, (bytes + 63) & ~(size_t)63);
}

static void give_back(catalogue *c)
{
    free(c->rows);
    free(c->users);
    free(c->scores);
    free(c->keys);
    free(c->slots);
    free(c->kept);
    free(c->scratch);
    free(c->image);
}

static mr_status make(catalogue *c, uint32_t count, mr_error *err)
{
    uint64_t noise = count;
    *c = (catalogue){.count = count};
    c->rows = get((size_t)count * WIDTH * sizeof(float));
    c->users = get(USERS * WIDTH * sizeof(float));
    c->scores = get(USERS * TILE * sizeof(float));
    c->keys = get(count * sizeof *c->keys);
    c->slots = get(USERS * KEPT * sizeof *c->slots);
    c->kept = get(USERS * KEPT * sizeof *c->kept);
    c->scratch = get(mr_topk_bytes(KEPT));
    c->image = get(mr_topk_image_bytes(count, WIDTH));
    if (c->rows == NULL || c->users == NULL || c->scores == NULL || c->keys == NULL ||
        c->slots == NULL || c->kept == NULL || c->scratch == NULL || c->image == NULL) {
        give_back(c);
        return mr_fail(err, MR_FATAL, "bench topk: out of memory for %u items", count);
    }
    for (size_t i = 0; i < (size_t)count * WIDTH; i++)
        c->rows[i] = mr_noise_normal(&noise);
    for (size_t i = 0; i < USERS * WIDTH; i++)
        c->users[i] = mr_noise_normal(&noise);
    for (uint32_t i = 0; i < count; i++)
        c->keys[i] = mr_noise(&noise);
    for (uint32_t i = 0; i < USERS; i++)
        c->lists[i] = (mr_topk_list){.slots = c->slots + i * KEPT, .scores = c->kept + i * KEPT};
    c->items = (mr_topk_items){.rows = c->rows,
                               .image = mr_topk_image_at(c->image, count, WIDTH),
                               .keys = c->keys,
                               .count = count,
                               .stride = WIDTH,
                               .norm_max = mr_topk_norm_max(c->rows, count, WIDTH)};
    for (uint32_t i = 0; i < count; i++)
        mr_topk_image_put(&c->items.image, i, c->rows + (size_t)i * WIDTH, WIDTH);
    return MR_OK;
}

static double multiply(const catalogue *c)
{
    const double start = mr_seconds();
    for (uint32_t first = 0; first < c->count; first += TILE) {
        const uint32_t count = c->count - first < TILE ? c->count - first : TILE;
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, USERS, (int)count, WIDTH, 1.0f,
                    c->users, WIDTH, c->rows + (size_t)first * WIDTH, WIDTH, 0.0f, c->scores, TILE);
    }
    return mr_seconds() - start;
}

static double make_lists(catalogue *c)
{
    const double start = mr_seconds();
    mr_topk_scan(&c->items, c->users, USERS, KEPT, c->lists, mr_vec_best(), c->scratch);
    return mr_seconds() - start;
}

mr_status mr_bench_topk(mr_figure *figures, uint32_t *count, mr_error *err)
{
    static const struct {
        const char *name;
        uint32_t items, runs;
    } sizes[] = {
        {"topk_20000", 20000, 41}, {"topk_100000", 100000, 21}, {"topk_1000000", 1000000, 7}};
    const uint32_t room = *count;
    *count = 0;
    openblas_set_num_threads(1);
    for (uint32_t i = 0; i < sizeof sizes / sizeof sizes[0] && *count < room; i++) {
        catalogue c;
        mr_runs runs = {0};
        MR_TRY(make(&c, sizes[i].items, err));
        multiply(&c); // warms the caches and OpenBLAS's buffers
        make_lists(&c);
        for (uint32_t run = 0; run < sizes[i].runs; run++) {
            const double reference = multiply(&c);
            mr_runs_add(&runs, make_lists(&c), reference);
        }
        figures[(*count)++] = (mr_figure){
            .name = sizes[i].name,
            .value = USERS / mr_median(runs.ours, runs.count),
            .unit = "lists/s",
            .reference = "the same sgemm alone",
            .reference_value = USERS / mr_median(runs.reference, runs.count),
            .ratio = mr_median(runs.ratio, runs.count),
        };
        give_back(&c);
    }
    return MR_OK;
}
