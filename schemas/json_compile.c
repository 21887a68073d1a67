// SPDX-License-Identifier: Apache-2.0
// From wants to the tables of a plan of JSON.
#include <stdlib.h>
#include <string.h>

#include "schemas/json_build.h"
#include "schemas/plan_build.h"

static bool open_tables(mr_build *b, mr_json **json)
{
    size_t texts = 0;
    mr_json *made = calloc(1, sizeof *made);
    b->plan->json = made; // closed with the plan
    for (uint32_t i = 0; i < b->want_count; i++)
        texts += b->wants[i].name_size + 1u;
    if (made != NULL) {
        made->nodes = calloc(b->want_count, sizeof *made->nodes);
        // A table of each node has at least twice as many slots as names, and at most four times.
        made->keys = calloc((size_t)b->want_count * 4, sizeof *made->keys);
        made->texts = malloc(texts);
    }
    *json = made;
    if (made != NULL && made->nodes != NULL && made->keys != NULL && made->texts != NULL)
        return true;
    b->status = mr_fail(b->err, MR_FATAL, "plan: out of memory");
    return false;
}

static void add_key(mr_json *json, const mr_json_node *node, mr_json_key key)
{
    uint32_t at = mr_json_hash((const uint8_t *)key.name, key.size) & node->key_mask;
    while (json->keys[node->key_first + at].node != 0)
        at = (at + 1) & node->key_mask;
    json->keys[node->key_first + at] = key;
}

// The names below a place; returns how many slots they took.
static uint32_t add_keys(const mr_build *b, mr_json *json, uint32_t index, uint32_t first)
{
    uint32_t count = 0, slots = 2;
    mr_json_node *node = json->nodes + index;
    for (uint32_t child = b->wants[index].child; child != 0; child = b->wants[child].sibling)
        count++;
    if (count == 0)
        return 0;
    while (slots < 2 * count)
        slots *= 2;
    node->has_keys = true;
    node->key_first = first;
    node->key_mask = slots - 1;
    for (uint32_t child = b->wants[index].child; child != 0; child = b->wants[child].sibling) {
        json->nodes[child].parent = index;
        add_key(json, node,
                (mr_json_key){json->nodes[child].name, b->wants[child].name_size, child});
    }
    return slots;
}

void mr_build_json(mr_build *b)
{
    mr_json *json;
    uint32_t slots = 0;
    if (!open_tables(b, &json))
        return;
    char *text = json->texts;
    memcpy(json->targets, b->targets, b->target_count * sizeof *b->targets);
    for (uint32_t i = 0; i < b->target_count; i++)
        json->line_targets |= (uint64_t)(b->targets[i].part != MR_PART_WHOLE) << i;
    json->node_count = b->want_count;
    for (uint32_t i = 0; i < b->want_count; i++) {
        const mr_want *want = b->wants + i;
        if (want->name_size > 0)
            memcpy(text, want->name, want->name_size);
        text[want->name_size] = '\0';
        json->nodes[i] = (mr_json_node){
            .targets = want->targets, .by_name = want->by_name, .name = text, .rank = want->rank};
        text += want->name_size + 1u;
    }
    for (uint32_t i = 0; i < b->want_count; i++)
        slots += add_keys(b, json, i, slots);
    b->plan->scratch_bytes = MR_JSON_SCRATCH_BYTES;
    b->plan->item_scratch_bytes += b->plan->has_each ? MR_JSON_SCRATCH_BYTES : 0;
    b->plan->each = MR_WANT_EACH;
}

void mr_json_close(mr_json *json)
{
    if (json == NULL)
        return;
    free(json->nodes);
    free(json->keys);
    free(json->texts);
    free(json);
}
