// SPDX-License-Identifier: Apache-2.0
#include "core/exchange.h"

enum { HAS_SET = 1, AVAILABLE = 2, IN_CATALOGUE = 4, FLAGS = 7, SET_BYTES = 4 + 32 };

// ---- reading

static const uint8_t *take(mr_exchange_reader *reader, size_t bytes)
{
    if ((size_t)(reader->end - reader->at) < bytes) {
        reader->torn = true;
        reader->at = reader->end;
        return NULL;
    }
    const uint8_t *from = reader->at;
    reader->at += bytes;
    return from;
}

static void get(mr_exchange_reader *reader, void *to, size_t bytes)
{
    const uint8_t *from = take(reader, bytes);
    if (from != NULL)
        memcpy(to, from, bytes);
    else
        memset(to, 0, bytes);
}

mr_exchange_reader mr_exchange_open(mr_bytes record, mr_exchange_head *head)
{
    mr_exchange_reader reader = {record.data, record.data, false};
    uint8_t format[2];
    uint16_t families;
    if (record.size >= MR_EXCHANGE_TAIL)
        reader.end = record.data + record.size - MR_EXCHANGE_TAIL;
    get(&reader, format, 2);
    get(&reader, &families, 2);
    get(&reader, &head->sender, 4);
    get(&reader, &head->receiver, 4);
    get(&reader, &head->tasks, 4);
    get(&reader, &head->item_count, 4);
    head->family_count = families;
    return reader;
}

mr_exchange_item mr_exchange_read_item(mr_exchange_reader *reader)
{
    mr_exchange_item item = {0};
    uint8_t flags, id_size;
    get(reader, &item.key, 8);
    get(reader, &item.time_ms, 8);
    get(reader, &flags, 1);
    get(reader, &id_size, 1);
    const uint8_t *id = take(reader, id_size);
    if (id != NULL)
        item.id = mr_bytes_of(id, id_size);
    item.has_set = (flags & HAS_SET) != 0;
    item.available = (flags & AVAILABLE) != 0;
    item.in_catalogue = (flags & IN_CATALOGUE) != 0;
    if (item.has_set) {
        get(reader, &item.price, 4);
        get(reader, item.categories, sizeof item.categories);
    }
    reader->torn |= (flags & ~FLAGS) != 0 || (flags != 0 && !item.has_set);
    return item;
}

mr_exchange_family mr_exchange_read_family(mr_exchange_reader *reader)
{
    mr_exchange_family family;
    get(reader, &family.code, 2);
    get(reader, &family.version, 1);
    get(reader, &family.kind, 1);
    get(reader, &family.delta_bytes, 4);
    get(reader, &family.row_count, 4);
    return family;
}

mr_exchange_row mr_exchange_read_row(mr_exchange_reader *reader, const mr_exchange_family *family)
{
    mr_exchange_row row = {0};
    get(reader, &row.key, 8);
    if (family->kind == MR_DELTA_CELLS)
        get(reader, &row.cell_count, 4);
    row.payload =
        take(reader, family->kind == MR_DELTA_CELLS ? (size_t)row.cell_count * MR_EXCHANGE_CELL
                                                    : family->delta_bytes);
    if (row.payload == NULL)
        row.cell_count = 0;
    return row;
}

mr_cell mr_exchange_cell(const mr_exchange_row *row, uint32_t index)
{
    mr_cell cell;
    _Static_assert(sizeof cell == MR_EXCHANGE_CELL, "a cell travels as it stands in memory");
    memcpy(&cell, row->payload + (size_t)index * MR_EXCHANGE_CELL, sizeof cell);
    return cell;
}

// ---- checking

static mr_status damaged(mr_error *err, const char *what)
{
    return mr_reject(err, MR_CAUSE_bad_delta, "deltas between workers: %s", what);
}

static mr_status check_head(const mr_exchange_rules *rules, mr_bytes record,
                            const mr_exchange_head *head, mr_error *err)
{
    if (head->tasks != rules->tasks)
        return mr_fail(err, MR_FATAL,
                       "deltas between workers: the sender counts %u tasks, this worker %u: the "
                       "lead topic's partitions are fixed for a history",
                       head->tasks, rules->tasks);
    if (record.size > rules->bytes_max)
        return mr_fail(err, MR_FATAL,
                       "deltas between workers: a record of %u bytes, there is room for %u: give "
                       "all workers the same memory for the exchange",
                       record.size, rules->bytes_max);
    if (head->receiver != rules->receiver || head->sender >= rules->tasks)
        return mr_reject(err, MR_CAUSE_bad_delta,
                         "deltas between workers: from task %u to shard %u, received by shard %u",
                         head->sender, head->receiver, rules->receiver);
    return MR_OK;
}

static mr_status check_items(const mr_exchange_rules *rules, mr_exchange_reader *reader,
                             uint32_t count, mr_error *err)
{
    uint64_t before = 0;
    for (uint32_t i = 0; i < count && !reader->torn; i++) {
        const mr_exchange_item item = mr_exchange_read_item(reader);
        if (reader->torn)
            break;
        if (item.id.size > rules->id_bytes_max)
            return mr_fail(err, MR_FATAL,
                           "deltas between workers: an item id of %u bytes, here it may have %u: "
                           "give all workers the same limits",
                           item.id.size, rules->id_bytes_max);
        if (item.id.size == 0 || mr_item_key(item.id) != item.key)
            return damaged(err, "an item's key is not that of its id");
        if (item.key % rules->tasks != rules->receiver)
            return damaged(err, "an item of another shard");
        if (item.time_ms <= 0 || !(item.price - item.price == 0.0f)) // infinite, or no number
            return damaged(err, "an item's time or price is none");
        if (i > 0 && item.key <= before)
            return damaged(err, "items are out of order");
        before = item.key;
    }
    return MR_OK;
}

static const mr_family_entry *find_family(const mr_exchange_rules *rules, uint16_t code)
{
    for (uint32_t f = 0; f < rules->family_count; f++)
        if (rules->families[f].code == code)
            return &rules->families[f];
    return NULL;
}

static mr_status check_family(const mr_exchange_family *family, const mr_family_entry *entry,
                              mr_error *err)
{
    if (family->kind != MR_DELTA_SUM && family->kind != MR_DELTA_CELLS)
        return damaged(err, "deltas of an unknown kind");
    if (family->kind == MR_DELTA_CELLS && family->delta_bytes != MR_EXCHANGE_CELL)
        return damaged(err, "cells of another size");
    if (family->kind == MR_DELTA_SUM && family->delta_bytes == 0)
        return damaged(err, "payloads of no bytes");
    if (family->row_count == 0)
        return damaged(err, "a family without rows");
    if (entry == NULL)
        return MR_OK;
    const uint32_t bytes =
        entry->family->delta == MR_DELTA_CELLS ? MR_EXCHANGE_CELL : entry->delta_bytes;
    const uint8_t version = mr_family_version(entry->family, entry->instance->config);
    if (family->version != version || family->kind != entry->family->delta ||
        family->delta_bytes != bytes)
        return mr_fail(err, MR_FATAL,
                       "deltas between workers: family '%s.%s' has version %u with deltas of kind "
                       "%u and %u bytes, want version %u, kind %u, %u bytes: all workers need the "
                       "same release and parameters",
                       entry->instance->state->name, entry->family->name, family->version,
                       family->kind, family->delta_bytes, version,
                       (unsigned)entry->family->delta, bytes);
    return MR_OK;
}

static mr_status check_cells(const mr_exchange_row *row, mr_error *err)
{
    if (row->cell_count == 0)
        return damaged(err, "a row without cells");
    for (uint32_t i = 1; i < row->cell_count; i++) {
        const mr_cell a = mr_exchange_cell(row, i - 1), b = mr_exchange_cell(row, i);
        if (a.key > b.key || (a.key == b.key && a.era >= b.era))
            return damaged(err, "cells are out of order");
    }
    return MR_OK;
}

static mr_status check_row(const mr_exchange_rules *rules, const mr_exchange_family *family,
                           const mr_family_entry *entry, const mr_exchange_row *row, mr_error *err)
{
    if (row->key % rules->tasks != rules->receiver)
        return damaged(err, "a row of another shard");
    if (family->kind == MR_DELTA_CELLS)
        MR_TRY(check_cells(row, err));
    if (entry == NULL || entry->family->key == MR_KEY_ITEM)
        return MR_OK;
    if (entry->family->key != MR_KEY_NAMED || mr_named_find(entry->named, row->key) == NULL)
        return mr_fail(err, MR_FATAL,
                       "deltas between workers: family '%s.%s' has no row %llu here: all workers "
                       "need the same parameters",
                       entry->instance->state->name, entry->family->name,
                       (unsigned long long)row->key);
    return MR_OK;
}

static mr_status check_rows(const mr_exchange_rules *rules, mr_exchange_reader *reader,
                            const mr_exchange_family *family, const mr_family_entry *entry,
                            mr_error *err)
{
    uint64_t before = 0;
    const bool pieces = family->kind == MR_DELTA_CELLS;
    for (uint32_t r = 0; r < family->row_count; r++) {
        const mr_exchange_row row = mr_exchange_read_row(reader, family);
        if (reader->torn)
            return MR_OK; // said by the caller
        MR_TRY(check_row(rules, family, entry, &row, err));
        if (r > 0 && (row.key < before || (row.key == before && !pieces)))
            return damaged(err, "rows are out of order");
        before = row.key;
    }
    return MR_OK;
}

static mr_status check_body(const mr_exchange_rules *rules, mr_bytes record, mr_error *err)
{
    mr_exchange_head head;
    mr_exchange_reader reader = mr_exchange_open(record, &head);
    uint32_t before = 0;
    MR_TRY(check_head(rules, record, &head, err));
    MR_TRY(check_items(rules, &reader, head.item_count, err));
    for (uint32_t f = 0; f < head.family_count && !reader.torn; f++) {
        const mr_exchange_family family = mr_exchange_read_family(&reader);
        const mr_family_entry *entry = find_family(rules, family.code);
        if (reader.torn)
            break;
        MR_TRY(check_family(&family, entry, err));
        if (family.code <= before)
            return damaged(err, "families are out of order");
        before = family.code;
        MR_TRY(check_rows(rules, &reader, &family, entry, err));
    }
    if (reader.torn)
        return damaged(err, "the record ends too early");
    if (reader.at != reader.end)
        return damaged(err, "bytes are left at the end of the record");
    return MR_OK;
}

mr_status mr_exchange_check(const mr_exchange_rules *rules, mr_bytes record, mr_error *err)
{
    if (record.size < MR_EXCHANGE_HEAD + MR_EXCHANGE_TAIL)
        return mr_reject(err, MR_CAUSE_bad_delta, "deltas between workers: %u bytes, want %d",
                         record.size, MR_EXCHANGE_HEAD + MR_EXCHANGE_TAIL);
    const uint32_t size = record.size - MR_EXCHANGE_TAIL;
    uint64_t sum;
    memcpy(&sum, record.data + size, sizeof sum);
    if (sum != mr_hash64(record.data, size, 0))
        return damaged(err, "the checksum is wrong");
    if (record.data[0] != MR_EXCHANGE_FORMAT || record.data[1] != 0)
        return mr_fail(err, MR_FATAL,
                       "deltas between workers: format %u, want %d: all workers need the same "
                       "release",
                       record.data[0], MR_EXCHANGE_FORMAT);
    return check_body(rules, record, err);
}

// ---- writing

static void put(mr_exchange_writer *writer, const void *bytes, size_t size)
{
    MR_ASSERT(mr_exchange_fits(writer, size));
    memcpy(writer->out + writer->size, bytes, size);
    writer->size += (uint32_t)size;
}

void mr_exchange_begin(mr_exchange_writer *writer, uint32_t sender, uint32_t receiver,
                       uint32_t tasks)
{
    const uint8_t format[4] = {MR_EXCHANGE_FORMAT, 0, 0, 0}; // how many families: at the end
    const uint32_t numbers[4] = {sender, receiver, tasks, 0};
    *writer = (mr_exchange_writer){.out = writer->out, .max = writer->max};
    put(writer, format, sizeof format);
    put(writer, numbers, sizeof numbers);
    MR_ASSERT(writer->size == MR_EXCHANGE_HEAD);
}

bool mr_exchange_fits(const mr_exchange_writer *writer, size_t bytes)
{
    return bytes + MR_EXCHANGE_TAIL <= writer->max - writer->size;
}

uint32_t mr_exchange_item_bytes(const mr_exchange_item *item)
{
    return 18 + item->id.size + (item->has_set ? SET_BYTES : 0);
}

void mr_exchange_put_item(mr_exchange_writer *writer, const mr_exchange_item *item)
{
    MR_ASSERT(writer->family_count == 0 && item->id.size > 0 && item->id.size <= 255);
    const uint8_t flags = (uint8_t)(!item->has_set ? 0
                                                   : HAS_SET | (item->available ? AVAILABLE : 0) |
                                                         (item->in_catalogue ? IN_CATALOGUE : 0));
    const uint8_t id_size = (uint8_t)item->id.size;
    put(writer, &item->key, 8);
    put(writer, &item->time_ms, 8);
    put(writer, &flags, 1);
    put(writer, &id_size, 1);
    put(writer, item->id.data, item->id.size);
    if (item->has_set) {
        put(writer, &item->price, 4);
        put(writer, item->categories, sizeof item->categories);
    }
    writer->item_count++;
}

static void close_family(mr_exchange_writer *writer)
{
    if (writer->family_at > 0)
        memcpy(writer->out + writer->family_at + 8, &writer->row_count, 4);
    writer->row_count = 0;
}

void mr_exchange_put_family(mr_exchange_writer *writer, const mr_family_entry *entry)
{
    const bool cells = entry->family->delta == MR_DELTA_CELLS;
    const uint8_t kind[2] = {mr_family_version(entry->family, entry->instance->config),
                             (uint8_t)entry->family->delta};
    const uint32_t numbers[2] = {cells ? MR_EXCHANGE_CELL : entry->delta_bytes, 0};
    close_family(writer);
    writer->family_at = writer->size;
    put(writer, &entry->code, 2);
    put(writer, kind, sizeof kind);
    put(writer, numbers, sizeof numbers);
    writer->family_count++;
}

void mr_exchange_put_sum(mr_exchange_writer *writer, uint64_t key, const void *payload,
                         uint32_t bytes)
{
    put(writer, &key, 8);
    put(writer, payload, bytes);
    writer->row_count++;
}

void mr_exchange_put_cells(mr_exchange_writer *writer, uint64_t key, const mr_cell *cells,
                           uint32_t count)
{
    put(writer, &key, 8);
    put(writer, &count, 4);
    put(writer, cells, (size_t)count * sizeof *cells);
    writer->row_count++;
}

bool mr_exchange_empty(const mr_exchange_writer *writer)
{
    return writer->item_count == 0 && writer->family_count == 0;
}

mr_bytes mr_exchange_end(mr_exchange_writer *writer)
{
    const uint16_t families = (uint16_t)writer->family_count;
    close_family(writer);
    memcpy(writer->out + 2, &families, 2);
    memcpy(writer->out + 16, &writer->item_count, 4);
    const uint64_t sum = mr_hash64(writer->out, writer->size, 0);
    memcpy(writer->out + writer->size, &sum, sizeof sum);
    return mr_bytes_of(writer->out, writer->size + sizeof sum);
}
