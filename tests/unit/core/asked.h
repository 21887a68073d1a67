// SPDX-License-Identifier: Apache-2.0
// asked: one model of a mill's engine, asked for candidates and scores by hand, and rows of it read
// and planted.
#ifndef MR_TESTS_UNIT_CORE_ASKED_H
#define MR_TESTS_UNIT_CORE_ASKED_H

#include <math.h>

#include "core/engine_state.h"
#include "tests/unit/core/mill.h"

static inline uint16_t asked_code(const char *family)
{
    return (uint16_t)(mr_hash64(family, strlen(family), 0) | 1u);
}

// An engine of one task in which the models of models.def are off unless `on` names them; a model
// that is off by its parameters needs them besides.
static inline void asked_open(mill *m, const char *const *on, uint32_t on_count,
                              const mr_setting *settings, uint32_t setting_count)
{
    static const char *off[32];
    mr_engine_config config = mill_defaults();
    config.tasks = 1;
    config.lists = false;
    config.off = off;
    for (uint32_t i = 0; i < mr_model_count; i++) {
        bool wanted = false;
        for (uint32_t n = 0; n < on_count; n++)
            wanted |= strcmp(mr_models[i]->state.name, on[n]) == 0;
        if (!wanted)
            off[config.off_count++] = mr_models[i]->state.name;
    }
    config.settings = settings;
    config.setting_count = setting_count;
    mill_open(m, &config);
}

static inline void asked_round(mill *m, made_event *events, uint32_t count)
{
    mr_error err;
    if (mill_round(m, events, count, &err) != MR_OK)
        fail_msg("%s", err.text);
    mill_close_commit(m);
}

static inline void asked_act(mill *m, uint32_t user, uint32_t item, int64_t time_ms)
{
    made_event event;
    mill_act(&event, MR_EVENT_CLICK, user, item, time_ms);
    asked_round(m, &event, 1);
}

// ---- rows

static inline stored_row *asked_item_row(mill *m, const char *family, uint32_t item)
{
    char id[16];
    uint8_t key[11] = {MR_ROW_ITEM};
    snprintf(id, sizeof id, "i%u", item);
    mr_put_u16_be(key + 1, asked_code(family));
    mr_put_u64_be(key + 3, mr_item_key(mr_bytes_text(id)));
    return mill_find(m, 0, mr_bytes_of(key, sizeof key));
}

// A model's part of a user's row; *size: as much of it as is stored. NULL: nothing is.
static inline uint8_t *asked_part(mill *m, const char *family, uint32_t user, uint32_t *size)
{
    char key[16];
    snprintf(key, sizeof key, "%cu%u", MR_ROW_USER, user);
    const stored_row *row = mill_find(m, 0, mr_bytes_text(key));
    assert_non_null(row);
    for (uint32_t at = 4; at < row->value_size;) { // the directory of parts
        uint16_t code;
        memcpy(&code, row->value + at, 2);
        memcpy(size, row->value + at + 4, 4);
        if (code == asked_code(family))
            return row->value + at + 8;
        at += 8 + *size;
    }
    return NULL;
}

// The engine begins again with the rows as they are now.
static inline void asked_reload(mill *m)
{
    for (uint32_t i = 0; i < m->row_count; i++)
        m->rows[i].hash = mr_row_hash(mr_bytes_of(m->rows[i].key, m->rows[i].key_size),
                                      mr_bytes_of(m->rows[i].value, m->rows[i].value_size));
    mill_restart(m, 1);
}

// ---- asking

typedef struct asked_model {
    mr_view view;
    const mr_instance *instance;
    const mr_model *model;
    mr_arena arena;
} asked_model;

static inline asked_model asked(mill *m, const char *name)
{
    enum { BYTES = 16 << 20 };
    static uint8_t memory[BYTES] __attribute__((aligned(64)));
    asked_model a = {.view = mr_engine_view(m->engine, 0)};
    for (uint32_t i = 0; i < a.view.instance_count; i++)
        a.view.memos[i].user = UINT32_MAX;
    a.instance = mr_view_instance(&a.view, name);
    a.model = (const mr_model *)(const void *)a.instance->state;
    mr_arena_init(&a.arena, memory, BYTES);
    return a;
}

static inline uint32_t asked_user(const mill *m, uint32_t user)
{
    char id[16];
    snprintf(id, sizeof id, "u%u", user);
    const uint32_t slot = mr_slots_find(&m->engine->users.slots, mr_user_key(mr_bytes_text(id)));
    assert_int_not_equal(slot, MR_MAP_NONE);
    return slot;
}

static inline uint32_t asked_item(const mill *m, uint32_t item)
{
    char id[16];
    snprintf(id, sizeof id, "i%u", item);
    const uint32_t slot = mr_items_find(&m->engine->items, mr_item_key(mr_bytes_text(id)));
    assert_int_not_equal(slot, MR_MAP_NONE);
    return slot;
}

// Scores of items 0..count-1 in a column; the user is brought into memory by an act of his.
static inline void asked_scores(mill *m, const char *name, uint32_t column, uint32_t user,
                                uint32_t count, float *scores)
{
    enum { ITEMS = 256, COLUMNS = 4 };
    static float columns[COLUMNS * ITEMS];
    uint32_t slots[ITEMS];
    asked_model a = asked(m, name);
    assert_true(count <= ITEMS && a.instance->column_count <= COLUMNS);
    for (uint32_t i = 0; i < count; i++)
        slots[i] = asked_item(m, i);
    a.model->score(a.instance, &a.view, asked_user(m, user), slots, count, columns, ITEMS,
                   &a.arena);
    memcpy(scores, columns + column * ITEMS, count * sizeof *scores);
}

// ---- deltas

// Empty deltas of an engine, with room for 256 rows of each family; the memory is the caller's to
// free.
static inline void *asked_deltas(const mr_engine *engine, mr_deltas *deltas)
{
    uint32_t rows_max[MR_FAMILIES_MAX];
    for (uint32_t f = 0; f < MR_FAMILIES_MAX; f++)
        rows_max[f] = 256;
    const size_t bytes = mr_deltas_bytes(engine->families, engine->family_count, rows_max, 16);
    void *memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
    mr_arena arena;
    assert_non_null(memory);
    memset(memory, 0, bytes);
    mr_arena_init(&arena, memory, bytes);
    mr_deltas_init(deltas, engine->families, engine->family_count, rows_max, 16, &arena);
    return memory;
}

#endif
