// SPDX-License-Identifier: Apache-2.0
#include "worker/input/container.h"

#include <stdlib.h>
#include <string.h>

#include "schemas/builtin.h"
#include "schemas/plan.h"
#include "schemas/wire.h"
#include "worker/input/codec.h"

enum { SYNC_BYTES = 16, VARINT_BYTES_MAX = 10 };

struct mr_container {
    mr_stream *stream;
    mr_codec codec;
    mr_plan *plan, *pass_over;
    uint8_t sync[SYNC_BYTES];
    mr_buffer packed, plain;
    mr_wire block;     // what is left of the block in hand
    size_t block_size; // of it, unpacked
    uint64_t left;     // records that are left in it
    uint64_t record;   // number of the record in hand, from 1
    uint64_t block_number;
    mr_line *lines;
    float *vector;
    uint8_t *scratch;
};

static const char *path_of(const mr_container *c)
{
    return mr_stream_path(c->stream);
}

static mr_status fault(const mr_container *c, mr_error *err)
{
    err->status = MR_FATAL;
    err->cause = MR_CAUSE_NONE;
    return mr_wrap(err, "%s: block %llu", path_of(c), (unsigned long long)c->block_number);
}

// Exactly `size` bytes, or an error that names what they would have been.
static mr_status read_all(mr_container *c, void *bytes, size_t size, const char *what,
                          mr_error *err)
{
    size_t got;
    MR_TRY(mr_stream_read(c->stream, bytes, size, &got, err));
    if (got < size)
        return mr_fail(err, MR_FATAL, "%s: the file is cut off in %s (%zu of %zu bytes)",
                       path_of(c), what, got, size);
    return MR_OK;
}

// A number, byte by byte: a stream cannot be read too far. *more NULL: the end would be an error.
static mr_status read_long(mr_container *c, int64_t *value, const char *what, bool *more,
                           mr_error *err)
{
    uint8_t bytes[VARINT_BYTES_MAX];
    size_t size = 0, got;
    if (more != NULL) {
        MR_TRY(mr_stream_read(c->stream, bytes, 1, &got, err));
        *more = got == 1;
        if (!*more)
            return MR_OK;
        size = 1;
    }
    while (size == 0 || (bytes[size - 1] >= 0x80 && size < VARINT_BYTES_MAX)) {
        MR_TRY(read_all(c, bytes + size, 1, what, err));
        size++;
    }
    mr_wire in = {bytes, bytes + size};
    if (mr_wire_long(&in, value) != MR_CAUSE_NONE)
        return mr_fail(err, MR_FATAL, "%s: bad number in %s", path_of(c), what);
    return MR_OK;
}

// A length in the header, and that many bytes behind what the buffer holds.
static mr_status read_text(mr_container *c, size_t *used, mr_bytes *text, mr_error *err)
{
    int64_t size;
    MR_TRY(read_long(c, &size, "the header", NULL, err));
    if (size < 0 || size > MR_CONTAINER_HEADER_MAX - (int64_t)*used)
        return mr_fail(err, MR_FATAL, "%s: bad length %lld in the header", path_of(c),
                       (long long)size);
    // The buffer has its full room from the start, so texts in it stay where they are.
    MR_TRY(read_all(c, c->packed.data + *used, (size_t)size, "the header", err));
    *text = mr_bytes_of(c->packed.data + *used, (size_t)size);
    *used += (size_t)size;
    return MR_OK;
}

// The map of the header. Keys and values stay in `packed` until the first block is read.
static mr_status read_header(mr_container *c, mr_bytes *schema, mr_bytes *codec, mr_error *err)
{
    uint8_t magic[4];
    size_t used = 0;
    int64_t count, bytes;
    MR_TRY(mr_buffer_reserve(&c->packed, MR_CONTAINER_HEADER_MAX, err));
    MR_TRY(read_all(c, magic, sizeof magic, "the header", err));
    if (memcmp(magic, "Obj\1", sizeof magic) != 0)
        return mr_fail(err, MR_FATAL, "%s: not an Avro container file", path_of(c));
    for (;;) {
        MR_TRY(read_long(c, &count, "the header", NULL, err));
        if (count == 0)
            break;
        if (count < 0)
            MR_TRY(read_long(c, &bytes, "the header", NULL, err));
        for (uint64_t i = count < 0 ? UINT64_C(0) - (uint64_t)count : (uint64_t)count; i > 0; i--) {
            mr_bytes key, value;
            MR_TRY(read_text(c, &used, &key, err));
            MR_TRY(read_text(c, &used, &value, err));
            if (mr_bytes_equal(key, mr_bytes_text("avro.schema")))
                *schema = value;
            else if (mr_bytes_equal(key, mr_bytes_text("avro.codec")))
                *codec = value;
        }
    }
    return read_all(c, c->sync, SYNC_BYTES, "the header", err);
}

// The mapping of a file that was written with one of our own schemas.
static mr_status own_mapping(const mr_schema *schema, mr_mapping *mapping, mr_error *err)
{
    const char *name = schema->types[schema->root].name;
    for (uint32_t kind = 0; kind < MR_EVENT_KIND_COUNT; kind++) {
        const mr_builtin *own = mr_builtin_of_event((mr_event_kind)kind);
        mr_schema *reader;
        MR_TRY(mr_schema_open(own->text, own->size, &reader, err));
        const bool same = name != NULL && strcmp(name, reader->types[reader->root].name) == 0;
        mr_schema_close(reader);
        if (same) {
            *mapping = (mr_mapping){.kind = (mr_event_kind)kind};
            return MR_OK;
        }
    }
    return mr_fail(err, MR_FATAL, "records of '%s' need a mapping that says what event they are",
                   name != NULL ? name : mr_avro_name(schema->types[schema->root].avro));
}

static mr_status compile(mr_container *c, mr_bytes text, const mr_mapping *mapping, mr_error *err)
{
    mr_mapping_entry nothing[MR_FIELD_COUNT];
    mr_mapping own = {.entries = NULL};
    mr_schema *schema;
    MR_TRY(mr_schema_open((const char *)text.data, text.size, &schema, err));
    mr_status status = MR_OK;
    if (mapping == NULL)
        status = own_mapping(schema, &own, err);
    else
        own = *mapping;
    if (status == MR_OK)
        status = mr_plan_compile_schema(schema, &own, &c->plan, err);
    if (status == MR_OK && !mr_plan_is_plain(c->plan))
        status = mr_fail(err, MR_FATAL,
                         "a file is read without kind, where, each, value maps, keys and headers");
    for (uint32_t i = 0; i < MR_FIELD_COUNT; i++)
        nothing[i] = (mr_mapping_entry){.field = (mr_field)i};
    own = (mr_mapping){MR_EVENT_PURCHASE, nothing, MR_FIELD_COUNT, UINT32_MAX};
    if (status == MR_OK)
        status = mr_plan_compile_schema(schema, &own, &c->pass_over, err);
    mr_schema_close(schema);
    return status;
}

static mr_status open_header(mr_container *c, const mr_mapping *mapping, mr_error *err)
{
    mr_bytes schema = {NULL, 0}, codec = {NULL, 0};
    MR_TRY(read_header(c, &schema, &codec, err));
    mr_status status = mr_codec_of(codec, &c->codec, err);
    if (status == MR_OK && schema.size == 0)
        status = mr_fail(err, MR_FATAL, "the header has no avro.schema");
    if (status == MR_OK)
        status = compile(c, schema, mapping, err);
    if (status != MR_OK) {
        mr_wrap(err, "%s", path_of(c));
        err->cause = MR_CAUSE_NONE;
        return err->status = MR_FATAL; // of a file, not of a record
    }
    c->scratch = malloc(mr_plan_scratch_bytes(c->plan) + 1);
    return c->scratch != NULL ? MR_OK : mr_fail(err, MR_FATAL, "%s: out of memory", path_of(c));
}

mr_status mr_container_open(mr_stream *stream, const mr_mapping *mapping, mr_container **container,
                            mr_error *err)
{
    mr_container *made = calloc(1, sizeof *made);
    if (made == NULL)
        return mr_fail(err, MR_FATAL, "%s: out of memory", mr_stream_path(stream));
    made->stream = stream;
    made->lines = malloc(MR_LINES_MAX * sizeof *made->lines);
    made->vector = malloc(MR_VECTOR_MAX * sizeof *made->vector);
    mr_status status;
    if (made->lines == NULL || made->vector == NULL)
        status = mr_fail(err, MR_FATAL, "%s: out of memory", mr_stream_path(stream));
    else
        status = open_header(made, mapping, err);
    if (status != MR_OK) {
        mr_container_close(made);
        return status;
    }
    *container = made;
    return MR_OK;
}

void mr_container_close(mr_container *container)
{
    if (container == NULL)
        return;
    mr_plan_close(container->plan);
    mr_plan_close(container->pass_over);
    free(container->packed.data);
    free(container->plain.data);
    free(container->lines);
    free(container->vector);
    free(container->scratch);
    free(container);
}

static mr_status unpack(mr_container *c, size_t size, mr_error *err)
{
    const uint8_t *data = c->packed.data;
    c->block_size = size;
    if (c->codec != MR_CODEC_NULL) {
        MR_TRY(mr_codec_unpack(c->codec, mr_bytes_of(c->packed.data, size), &c->plain,
                               MR_CONTAINER_BLOCK_MAX, &c->block_size, err));
        data = c->plain.data;
    }
    if (c->block_size == 0)
        data = c->sync; // any address but null
    c->block = (mr_wire){data, data + c->block_size};
    return MR_OK;
}

static mr_status next_block(mr_container *c, bool *more, mr_error *err)
{
    uint8_t sync[SYNC_BYTES];
    int64_t count, size;
    if (mr_wire_left(&c->block) > 0) {
        mr_fail(err, MR_FATAL, "%zu bytes are left behind the last record",
                mr_wire_left(&c->block));
        return fault(c, err);
    }
    c->block_number++;
    MR_TRY(read_long(c, &count, "a block", more, err));
    if (!*more)
        return MR_OK;
    MR_TRY(read_long(c, &size, "a block", NULL, err));
    if (count < 0 || size < 0 || size > MR_CONTAINER_BLOCK_MAX) {
        mr_fail(err, MR_FATAL, "%lld records in %lld bytes: at most %d bytes are read",
                (long long)count, (long long)size, MR_CONTAINER_BLOCK_MAX);
        return fault(c, err);
    }
    MR_TRY(mr_buffer_reserve(&c->packed, (size_t)size, err));
    MR_TRY(read_all(c, c->packed.data, (size_t)size, "a block", err));
    MR_TRY(read_all(c, sync, SYNC_BYTES, "a block", err));
    if (memcmp(sync, c->sync, SYNC_BYTES) != 0) {
        mr_fail(err, MR_FATAL, "the marker at its end differs: the file is damaged");
        return fault(c, err);
    }
    if (unpack(c, (size_t)size, err) != MR_OK)
        return fault(c, err);
    c->left = (uint64_t)count;
    return MR_OK;
}

// A record that the plan refused: goes behind it, or gives the file up.
static mr_status go_behind(mr_container *c, mr_error *err)
{
    mr_event nothing = {.present = 0};
    mr_error lost;
    size_t used;
    const size_t at = c->block_size - mr_wire_left(&c->block);
    mr_wrap(err, "%s: block %llu record %llu at byte %zu", path_of(c),
            (unsigned long long)c->block_number, (unsigned long long)c->record, at);
    if (mr_plan_decode_next(c->pass_over, c->block.p, mr_wire_left(&c->block), &used, &nothing,
                            &lost) != MR_OK) {
        err->cause = MR_CAUSE_NONE;
        return err->status = MR_FATAL;
    }
    c->block.p += used;
    return err->status;
}

mr_status mr_container_next(mr_container *container, mr_event *event, bool *more, mr_error *err)
{
    mr_container *c = container;
    size_t used;
    *more = true;
    while (c->left == 0) {
        MR_TRY(next_block(c, more, err));
        if (!*more)
            return MR_OK;
    }
    c->left--;
    c->record++;
    event->lines = c->lines;
    event->vector = c->vector;
    event->scratch = c->scratch;
    if (mr_plan_decode_next(c->plan, c->block.p, mr_wire_left(&c->block), &used, event, err) !=
        MR_OK)
        return go_behind(c, err);
    c->block.p += used;
    return MR_OK;
}
