// SPDX-License-Identifier: Apache-2.0
// engine_exchange: deltas to rows of other workers, on their way out and on their way in.
//
// Out: at the end of a round what a task's events want to change in foreign rows moves to its
// outbox, where it is combined over the rounds of the commit; the close hands it out as records, by
// (sending task, receiving shard). Each sender has an outbox of its own, so that what a pair
// exchanges does not depend on which tasks share a worker.
//
// In: what an epoch received is checked before anything is learned, becomes a set of deltas like
// those of the task's own events, and is combined after them (engine_merge.c).
//
// Slots in an outbox stay valid: an item of another shard that leaves while something waits for it
// keeps its slot until the close (engine_view.c).
#include "core/engine_state.h"

// ---- memory

static uint32_t record_max(const mr_engine *engine)
{
    const uint32_t bytes = engine->config.exchange_bytes;
    return bytes < MR_DELTA_RECORD_MAX ? bytes : MR_DELTA_RECORD_MAX;
}

// How many rows of each family, and cells, the records of one epoch can hold.
static uint32_t received_max(const mr_engine *engine, uint32_t rows_max[MR_FAMILIES_MAX])
{
    const uint32_t bytes = engine->config.exchange_bytes;
    for (uint32_t f = 0; f < engine->family_count; f++) {
        const mr_family_entry *entry = &engine->families[f];
        const uint32_t row = entry->family->delta == MR_DELTA_CELLS
                                 ? MR_EXCHANGE_CELLS + MR_EXCHANGE_CELL
                                 : 8 + entry->delta_bytes;
        const uint32_t rows = mr_engine_family_rows(engine, f);
        rows_max[f] = bytes / row < rows ? bytes / row : rows;
    }
    return mr_engine_cells_per_signal(engine) > 0 ? bytes / MR_EXCHANGE_CELL : 0;
}

size_t mr_engine_exchange_bytes(const mr_engine *engine, const uint32_t *rows_max,
                                uint32_t cells_max)
{
    const uint32_t tasks = engine->config.tasks, families = engine->family_count;
    uint32_t received[MR_FAMILIES_MAX];
    const uint32_t received_cells = received_max(engine, received);
    const size_t task = mr_deltas_bytes(engine->families, families, rows_max, cells_max) +
                        mr_delta_set_bytes(sizeof(mr_outbox_item), rows_max[engine->items.base]) +
                        mr_deltas_bytes(engine->families, families, received, received_cells);
    size_t bytes = tasks * task + mr_arena_round((families + 1ull) * tasks * 4) +
                   mr_arena_round(MR_CELLS_AT_ONCE * sizeof(mr_cell)) +
                   mr_arena_round(record_max(engine)) +
                   mr_arena_round(rows_max[engine->items.base] * 4ull) +
                   2 * mr_arena_round(mr_engine_family_rows(engine, engine->items.base) * 4ull);
    for (uint32_t f = 0; f < families; f++)
        if (engine->families[f].family->delta != MR_DELTA_NONE)
            bytes += mr_arena_round(rows_max[f] * 4ull);
    return bytes;
}

static void sort_families(mr_engine *engine)
{
    mr_packing *packing = &engine->packing;
    for (uint32_t f = 0; f < engine->family_count; f++) {
        if (engine->families[f].family->delta == MR_DELTA_NONE)
            continue;
        uint32_t at = packing->by_code_count++;
        for (; at > 0 && engine->families[packing->by_code[at - 1]].code > engine->families[f].code;
             at--)
            packing->by_code[at] = packing->by_code[at - 1];
        packing->by_code[at] = f;
    }
}

void mr_engine_exchange_init(mr_engine *engine, const uint32_t *rows_max, uint32_t cells_max)
{
    mr_arena *memory = &engine->memory;
    mr_packing *packing = &engine->packing;
    const uint32_t families = engine->family_count, base = engine->items.base;
    const uint32_t items = mr_engine_family_rows(engine, base);
    uint32_t received[MR_FAMILIES_MAX];
    const uint32_t received_cells = received_max(engine, received);
    for (uint32_t t = 0; t < engine->config.tasks; t++) {
        mr_work *work = &engine->work[t];
        mr_deltas_init(&work->outbox.deltas, engine->families, families, rows_max, cells_max,
                       memory);
        mr_delta_set_init(&work->outbox.items, sizeof(mr_outbox_item), rows_max[base], memory);
        mr_deltas_init(&work->received, engine->families, families, received, received_cells,
                       memory);
    }
    packing->heads = mr_arena_push(memory, (families + 1ull) * engine->config.tasks * 4);
    packing->cells = mr_arena_push(memory, MR_CELLS_AT_ONCE * sizeof(mr_cell));
    packing->writer.max = record_max(engine);
    packing->writer.out = mr_arena_push(memory, packing->writer.max);
    for (uint32_t f = 0; f < families; f++)
        if (engine->families[f].family->delta != MR_DELTA_NONE)
            packing->next[f] = mr_arena_push(memory, rows_max[f] * 4ull);
    packing->next[families] = mr_arena_push(memory, rows_max[base] * 4ull);
    engine->came = mr_arena_push(memory, items * 4ull);
    engine->gone = mr_arena_push(memory, items * 4ull);
    sort_families(engine);
}

// ---- out: the end of a round

static bool set_has_room(const mr_delta_set *set, uint32_t rows, uint32_t all)
{
    return set->max == all || rows <= set->max - set->count;
}

bool mr_engine_outbox_room(const mr_engine *engine, uint32_t task, uint32_t events, uint32_t lines)
{
    const mr_deltas *deltas = &engine->work[task].outbox.deltas;
    for (uint32_t f = 0; f < engine->family_count; f++) {
        const mr_family *family = engine->families[f].family;
        if (family->delta != MR_DELTA_NONE &&
            !set_has_room(&deltas->sets[f],
                          mr_engine_delta_rows(&engine->families[f], lines, events),
                          mr_engine_family_rows(engine, f)))
            return false;
    }
    if (!set_has_room(&engine->work[task].outbox.items, lines,
                      mr_engine_family_rows(engine, engine->items.base)))
        return false;
    return deltas->cell_max == 0 ||
           lines * mr_engine_cells_per_signal(engine) <= deltas->cell_max - deltas->cell_count;
}

static bool outbox_empty(const mr_engine *engine, const mr_outbox *outbox)
{
    uint32_t rows = outbox->items.count;
    for (uint32_t f = 0; f < engine->family_count; f++)
        rows += outbox->deltas.sets[f].count;
    return rows == 0;
}

bool mr_engine_outbox_empty(const mr_engine *engine)
{
    for (uint32_t t = 0; engine->config.exchange_bytes > 0 && t < engine->config.tasks; t++)
        if (!outbox_empty(engine, &engine->work[t].outbox))
            return false;
    return true;
}

bool mr_engine_outbox_has(const mr_engine *engine, uint32_t slot)
{
    for (uint32_t t = 0; t < engine->config.tasks; t++) {
        const mr_outbox *outbox = &engine->work[t].outbox;
        if (mr_delta_set_find(&outbox->items, slot) != NULL)
            return true;
        for (uint32_t f = 0; f < engine->family_count; f++)
            if (engine->families[f].family->key == MR_KEY_ITEM &&
                mr_delta_set_find(&outbox->deltas.sets[f], slot) != NULL)
                return true;
    }
    return false;
}

static mr_outbox_item *name_item(mr_outbox *outbox, uint32_t slot, int64_t time_ms)
{
    bool added;
    mr_outbox_item *item = mr_delta_set_at(&outbox->items, slot, &added);
    if (added)
        *item = (mr_outbox_item){.time_ms = time_ms};
    return item;
}

static void send_items(const mr_engine *engine, mr_work *work)
{
    for (uint32_t s = 0; s < work->signal_count; s++)
        if (work->signals[s].kind != MR_SIGNAL_CONTROL && // which is about no item
            !mr_engine_owns(engine, work->signals[s].item_key))
            name_item(&work->outbox, work->signals[s].item, work->signals[s].time_ms);
    for (uint32_t c = 0; c < work->catalogue_count; c++) {
        const mr_catalogue_set *set = &work->catalogue[c];
        if (mr_engine_owns(engine, engine->items.slots.keys[set->slot]))
            continue;
        mr_outbox_item *item = name_item(&work->outbox, set->slot, set->time_ms);
        item->set = *set;
        item->has_set = true;
    }
}

static void send_sum(const mr_family_entry *entry, mr_delta_set *to, uint32_t slot,
                     const void *payload)
{
    bool added;
    void *sum = mr_delta_set_at(to, slot, &added);
    if (added)
        memcpy(sum, payload, to->stride);
    else
        mr_family_combine(entry->family, entry->instance->config, sum, payload);
}

static void send_family(const mr_engine *engine, mr_work *work, uint32_t family)
{
    const mr_family_entry *entry = &engine->families[family];
    const mr_delta_set *set = &work->deltas.sets[family];
    const uint64_t *keys =
        entry->family->key == MR_KEY_NAMED ? entry->named->slots.keys : engine->items.slots.keys;
    for (uint32_t i = 0; i < set->count; i++) {
        const uint32_t slot = set->slots[i];
        if (mr_engine_owns(engine, keys[slot]))
            continue;
        set->joined[i] = 1; // not merged here
        if (entry->family->delta == MR_DELTA_SUM) {
            send_sum(entry, &work->outbox.deltas.sets[family], slot, mr_delta_set_payload(set, i));
            continue;
        }
        const mr_cell_row *row = mr_delta_set_payload(set, i);
        for (uint32_t c = row->first; c != UINT32_MAX; c = work->deltas.cells[c].next)
            mr_deltas_cell(&work->outbox.deltas, family, slot, work->deltas.cells[c].cell);
    }
}

static void send_task(void *arg, uint32_t task)
{
    mr_engine *engine = arg;
    mr_work *work = &engine->work[task];
    if (work->epoch == NULL)
        return;
    send_items(engine, work);
    for (uint32_t f = 0; f < engine->family_count; f++)
        if (engine->families[f].family->delta != MR_DELTA_NONE)
            send_family(engine, work, f);
}

void mr_engine_send(mr_engine *engine)
{
    mr_engine_run(engine, send_task, engine, engine->config.tasks);
}

// ---- out: the close

// Puts the rows of a set into the lists of their receivers.
static void deal(mr_engine *engine, const mr_delta_set *set, const uint64_t *keys, uint32_t list)
{
    mr_packing *packing = &engine->packing;
    const uint32_t tasks = engine->config.tasks;
    uint32_t *heads = packing->heads + (size_t)list * tasks;
    memset(heads, 0xff, tasks * sizeof *heads);
    for (uint32_t i = 0; i < set->count; i++)
        engine->sorted[i] = (mr_sorted){keys[set->slots[i]], i, 0};
    mr_sort(engine->sorted, set->count);
    for (uint32_t i = set->count; i-- > 0;) {
        const uint32_t receiver = mr_engine_shard(engine, engine->sorted[i].key);
        packing->next[list][engine->sorted[i].value] = heads[receiver];
        heads[receiver] = engine->sorted[i].value;
    }
}

typedef struct parcel { // the records of one pair
    mr_engine *engine;
    const mr_close_sink *sink;
    const mr_outbox *outbox;
    uint32_t sender, receiver;
} parcel;

// Hands out what is written and goes on with a new record.
static void next_record(const parcel *p)
{
    mr_exchange_writer *writer = &p->engine->packing.writer;
    if (!mr_exchange_empty(writer)) {
        MR_ASSERT(p->sink->delta != NULL);
        p->sink->delta(p->sink->context, p->sender, p->receiver, mr_exchange_end(writer));
    }
    mr_exchange_begin(writer, p->sender, p->receiver, p->engine->config.tasks);
}

static uint32_t head_of(const parcel *p, uint32_t list)
{
    return p->engine->packing.heads[(size_t)list * p->engine->config.tasks + p->receiver];
}

static void pack_items(const parcel *p)
{
    const mr_engine *engine = p->engine;
    const uint32_t list = engine->family_count;
    mr_exchange_writer *writer = &p->engine->packing.writer;
    for (uint32_t i = head_of(p, list); i != UINT32_MAX; i = engine->packing.next[list][i]) {
        const mr_outbox_item *from = mr_delta_set_payload(&p->outbox->items, i);
        const mr_item *item = mr_items_at(&engine->items, p->outbox->items.slots[i]);
        mr_exchange_item out = {
            .key = engine->items.slots.keys[p->outbox->items.slots[i]],
            .time_ms = from->time_ms,
            .id = mr_bytes_of(item->id, item->id_size),
            .has_set = from->has_set,
            .available = from->set.available,
            .in_catalogue = from->set.in_catalogue,
            .price = from->set.price,
        };
        memcpy(out.categories, from->set.categories, sizeof out.categories);
        if (!mr_exchange_fits(writer, mr_exchange_item_bytes(&out)))
            next_record(p);
        mr_exchange_put_item(writer, &out);
    }
}

// Makes room for a row of so many bytes, and opens its family where that is not open.
static void open_row(const parcel *p, const mr_family_entry *entry, uint32_t bytes, bool *open)
{
    mr_exchange_writer *writer = &p->engine->packing.writer;
    if (!mr_exchange_fits(writer, bytes + (*open ? 0 : MR_EXCHANGE_FAMILY))) {
        next_record(p);
        *open = false;
    }
    if (!*open)
        mr_exchange_put_family(writer, entry);
    *open = true;
}

// Cells of many rounds are added up here, in pieces of bounded size.
static void pack_cells(const parcel *p, uint32_t family, uint64_t key, const mr_cell_row *row,
                       bool *open)
{
    mr_packing *packing = &p->engine->packing;
    const mr_deltas *deltas = &p->outbox->deltas;
    const uint32_t room = (packing->writer.max - MR_EXCHANGE_HEAD - MR_EXCHANGE_TAIL -
                           MR_EXCHANGE_FAMILY - MR_EXCHANGE_CELLS) /
                          MR_EXCHANGE_CELL;
    const uint32_t most = room < MR_CELLS_AT_ONCE ? room : MR_CELLS_AT_ONCE;
    uint32_t count = 0;
    for (uint32_t c = row->first; c != UINT32_MAX; c = deltas->cells[c].next) {
        packing->cells[count++] = deltas->cells[c].cell;
        if (count < most && deltas->cells[c].next != UINT32_MAX)
            continue;
        const uint32_t distinct = mr_cells_combine(packing->cells, count);
        open_row(p, &p->engine->families[family], MR_EXCHANGE_CELLS + distinct * MR_EXCHANGE_CELL,
                 open);
        mr_exchange_put_cells(&packing->writer, key, packing->cells, distinct);
        count = 0;
    }
}

static void pack_family(const parcel *p, uint32_t family)
{
    const mr_engine *engine = p->engine;
    const mr_family_entry *entry = &engine->families[family];
    const mr_delta_set *set = &p->outbox->deltas.sets[family];
    const uint64_t *keys =
        entry->family->key == MR_KEY_NAMED ? entry->named->slots.keys : engine->items.slots.keys;
    bool open = false;
    for (uint32_t i = head_of(p, family); i != UINT32_MAX; i = engine->packing.next[family][i]) {
        const uint64_t key = keys[set->slots[i]];
        if (entry->family->delta == MR_DELTA_CELLS) {
            pack_cells(p, family, key, mr_delta_set_payload(set, i), &open);
            continue;
        }
        open_row(p, entry, 8 + entry->delta_bytes, &open);
        mr_exchange_put_sum(&p->engine->packing.writer, key, mr_delta_set_payload(set, i),
                            entry->delta_bytes);
    }
}

static void hand_out_task(mr_engine *engine, const mr_close_sink *sink, uint32_t sender)
{
    mr_packing *packing = &engine->packing;
    mr_outbox *outbox = &engine->work[sender].outbox;
    if (outbox_empty(engine, outbox))
        return;
    for (uint32_t f = 0; f < engine->family_count; f++)
        if (engine->families[f].family->delta != MR_DELTA_NONE)
            deal(engine, &outbox->deltas.sets[f],
                 engine->families[f].family->key == MR_KEY_NAMED ? engine->named[f].slots.keys
                                                                 : engine->items.slots.keys,
                 f);
    deal(engine, &outbox->items, engine->items.slots.keys, engine->family_count);
    for (uint32_t receiver = 0; receiver < engine->config.tasks; receiver++) {
        const parcel p = {engine, sink, outbox, sender, receiver};
        mr_exchange_begin(&packing->writer, sender, receiver, engine->config.tasks);
        pack_items(&p);
        for (uint32_t f = 0; f < packing->by_code_count; f++)
            pack_family(&p, packing->by_code[f]);
        next_record(&p);
    }
    mr_deltas_clear(&outbox->deltas);
    mr_delta_set_clear(&outbox->items);
}

void mr_engine_hand_out(mr_engine *engine, const mr_close_sink *sink)
{
    for (uint32_t t = 0; engine->config.exchange_bytes > 0 && t < engine->config.tasks; t++)
        hand_out_task(engine, sink, t);
}

// ---- in

mr_status mr_engine_delta_check(const mr_engine *engine, uint32_t receiver, mr_bytes record,
                                mr_error *err)
{
    MR_ASSERT(receiver < engine->config.tasks && engine->tasks[receiver].taken);
    const mr_exchange_rules rules = {
        .families = engine->families,
        .family_count = engine->family_count,
        .tasks = engine->config.tasks,
        .receiver = receiver,
        .id_bytes_max = engine->config.item_id_bytes_max,
        .bytes_max = engine->config.exchange_bytes,
    };
    return mr_exchange_check(&rules, record, err);
}

mr_status mr_engine_check_received(const mr_engine *engine, const mr_epoch *epoch, uint32_t *items,
                                   mr_error *err)
{
    size_t bytes = 0;
    for (uint32_t r = 0; r < epoch->received_count; r++) {
        mr_exchange_head head;
        MR_TRY(mr_engine_delta_check(engine, epoch->task, epoch->received[r], err));
        bytes += epoch->received[r].size;
        mr_exchange_reader reader = mr_exchange_open(epoch->received[r], &head);
        for (uint32_t i = 0; i < head.item_count; i++)
            *items +=
                mr_items_find(&engine->items, mr_exchange_read_item(&reader).key) == MR_MAP_NONE;
    }
    MR_ASSERT(bytes <= engine->config.exchange_bytes);
    return MR_OK;
}

static bool is_item(const mr_engine *engine, uint32_t slot, mr_bytes id)
{
    const mr_item *item = mr_items_at(&engine->items, slot);
    return mr_bytes_equal(mr_bytes_of(item->id, item->id_size), id);
}

static void make_items(mr_engine *engine, mr_work *work, mr_bytes record)
{
    mr_exchange_head head;
    mr_exchange_reader reader = mr_exchange_open(record, &head);
    for (uint32_t i = 0; i < head.item_count; i++) {
        const mr_exchange_item item = mr_exchange_read_item(&reader);
        const uint32_t slot = mr_items_find(&engine->items, item.key);
        if (slot == MR_MAP_NONE)
            mr_engine_new_item(engine, item.key, item.id, item.time_ms);
        else
            work->received_refused += !is_item(engine, slot, item.id);
    }
}

// Whether the record speaks of another item than the one that has this key here.
static bool is_refused(const mr_engine *engine, mr_bytes record, uint64_t key, uint32_t slot)
{
    mr_exchange_head head;
    mr_exchange_reader reader = mr_exchange_open(record, &head);
    for (uint32_t i = 0; i < head.item_count; i++) {
        const mr_exchange_item item = mr_exchange_read_item(&reader);
        if (item.key == key)
            return !is_item(engine, slot, item.id);
    }
    return false;
}

static void receive_row(mr_work *work, uint32_t family, uint32_t slot, const mr_exchange_row *row,
                        uint8_t *aligned)
{
    const mr_family_entry *entry = &work->received.families[family];
    if (entry->family->delta == MR_DELTA_SUM) {
        memcpy(aligned, row->payload, entry->delta_bytes);
        send_sum(entry, &work->received.sets[family], slot, aligned);
        return;
    }
    for (uint32_t c = 0; c < row->cell_count; c++)
        mr_deltas_cell(&work->received, family, slot, mr_exchange_cell(row, c));
}

static void receive_rows(const mr_engine *engine, mr_work *work, mr_bytes record,
                         mr_exchange_reader *reader)
{
    const mr_exchange_family from = mr_exchange_read_family(reader);
    uint32_t f = 0;
    while (f < engine->family_count && engine->families[f].code != from.code)
        f++;
    const bool known = f < engine->family_count; // otherwise the method is off here
    const bool named = known && engine->families[f].family->key == MR_KEY_NAMED;
    const size_t mark = work->arena.used;
    uint8_t *aligned = mr_arena_push(&work->arena, known ? engine->families[f].delta_bytes : 0);
    for (uint32_t r = 0; r < from.row_count; r++) {
        const mr_exchange_row row = mr_exchange_read_row(reader, &from);
        if (!known)
            continue;
        const uint32_t slot = named ? mr_slots_find(&engine->named[f].slots, row.key)
                                    : mr_items_find(&engine->items, row.key);
        if (slot == MR_MAP_NONE) // expired, and no event named it
            work->received_dropped++;
        else if (!named && work->received_refused > 0 && is_refused(engine, record, row.key, slot))
            continue;
        else
            receive_row(work, f, slot, &row, aligned);
    }
    work->arena.used = mark;
}

static void receive_task(void *arg, uint32_t task)
{
    const mr_engine *engine = arg;
    mr_work *work = &engine->work[task];
    for (uint32_t r = 0; work->epoch != NULL && r < work->epoch->received_count; r++) {
        mr_exchange_head head;
        mr_exchange_reader reader = mr_exchange_open(work->epoch->received[r], &head);
        for (uint32_t i = 0; i < head.item_count; i++)
            (void)mr_exchange_read_item(&reader);
        for (uint32_t f = 0; f < head.family_count; f++)
            receive_rows(engine, work, work->epoch->received[r], &reader);
        MR_ASSERT(!reader.torn && reader.at == reader.end); // it was checked
    }
}

void mr_engine_receive(mr_engine *engine)
{
    for (uint32_t t = 0; t < engine->config.tasks; t++) {
        mr_work *work = &engine->work[t];
        work->received_refused = 0;
        for (uint32_t r = 0; work->epoch != NULL && r < work->epoch->received_count; r++)
            make_items(engine, work, work->epoch->received[r]);
    }
    mr_engine_run(engine, receive_task, engine, engine->config.tasks);
}

// ---- the catalogue's words

static void apply_set(mr_engine *engine, uint32_t slot, const mr_catalogue_set *set)
{
    mr_item *item = mr_items_at(&engine->items, slot);
    item->in_catalogue = set->in_catalogue;
    item->available = set->available;
    item->price = set->price;
    memcpy(item->categories, set->categories, sizeof item->categories);
    mr_engine_set_shown(engine, slot);
    mr_part_touch(&engine->parts[engine->items.base], slot);
}

static void apply_received_sets(mr_engine *engine, mr_bytes record)
{
    mr_exchange_head head;
    mr_exchange_reader reader = mr_exchange_open(record, &head);
    for (uint32_t i = 0; i < head.item_count; i++) {
        const mr_exchange_item item = mr_exchange_read_item(&reader);
        const uint32_t slot = mr_items_find(&engine->items, item.key);
        mr_catalogue_set set = {
            .price = item.price, .available = item.available, .in_catalogue = item.in_catalogue};
        if (!item.has_set || !is_item(engine, slot, item.id))
            continue;
        memcpy(set.categories, item.categories, sizeof set.categories);
        apply_set(engine, slot, &set);
    }
}

void mr_engine_apply_catalogue(mr_engine *engine)
{
    for (uint32_t t = 0; t < engine->config.tasks; t++) {
        const mr_work *work = &engine->work[t];
        for (uint32_t c = 0; work->epoch != NULL && c < work->catalogue_count; c++)
            if (mr_engine_owns(engine, engine->items.slots.keys[work->catalogue[c].slot]))
                apply_set(engine, work->catalogue[c].slot, &work->catalogue[c]);
    }
    for (uint32_t t = 0; t < engine->config.tasks; t++) {
        const mr_work *work = &engine->work[t];
        for (uint32_t r = 0; work->epoch != NULL && r < work->epoch->received_count; r++)
            apply_received_sets(engine, work->epoch->received[r]);
    }
}
