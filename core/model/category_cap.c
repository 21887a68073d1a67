// SPDX-License-Identifier: Apache-2.0
// category_cap: at most `most` items of one category among `window` neighbours of a list.
//
// The category is the first one that the catalogue names; items without one are free. most = 0:
// off.
#include "core/list/slate.h"

typedef struct config {
    double most, window;
} config;

static const mr_param params[] = {
    {"most", "", "items of one category among neighbours; 0: no limit", offsetof(config, most), 0,
     0, MR_LIST_MAX},
    {"window", "", "how many neighbours are looked at", offsetof(config, window), 10, 1,
     MR_LIST_MAX},
    {0},
};

static uint64_t category_of(const mr_slate *slate, uint32_t candidate)
{
    return mr_items_at(slate->view->items, slate->candidates->slots[candidate])->categories[0];
}

static bool full(const mr_instance *self, const mr_slate *slate, uint64_t category)
{
    const config *c = self->config;
    const uint32_t window = (uint32_t)c->window - 1; // with the place that is drawn now
    const uint32_t first = slate->picked_count > window ? slate->picked_count - window : 0;
    uint32_t count = 0;
    for (uint32_t p = first; p < slate->picked_count; p++)
        count += category_of(slate, slate->picked[p]) == category;
    return count >= (uint32_t)c->most;
}

static void admit(const mr_instance *self, mr_slate *slate, uint64_t *bits)
{
    const config *c = self->config;
    if (c->most < 1)
        return;
    for (uint32_t i = 0; i < slate->candidates->count; i++) {
        const uint64_t category = category_of(slate, i);
        if (category != 0 && full(self, slate, category))
            bits[i / 64] &= ~(1ull << (i % 64));
    }
}

const mr_rule mr_rule_category_cap = {
    .state = {.name = "category_cap",
              .source = "quota over a sliding window",
              .params = params,
              .config_bytes = sizeof(config)},
    .admit = admit,
};
