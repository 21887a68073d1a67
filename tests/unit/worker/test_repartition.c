// SPDX-License-Identifier: Apache-2.0
// The stage that copies records to the repartition topic, over a group and brokers in memory.
//
// Strategy: two inputs of other partition counts, with records that have a user, that cannot be
// decoded, that are too large. The n-th call of the bus goes wrong, for n = 1, 2, ... until the run
// has fewer calls, in each of the ways that a call can: told to try again, to abort, fenced with or
// without effect, the process dies, the group asks for its partitions or takes them. Afterwards the
// committed copies are each source record once, in the order of their source, in the partition of
// their user. Records are read where the contract says that they have to be there still: at the
// flush.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/builtin.h"
#include "schemas/encode.h"
#include "schemas/frame.h"
#include "tests/unit/worker/fakes.h"
#include "worker/log.h"
#include "worker/origin.h"
#include "worker/partitioner.h"
#include "worker/repartition.h"

enum {
    P = 4,       // partitions of the repartition topic
    SOURCES = 5, // partitions: 3 of input 1, 2 of input 2
    EACH = 30,   // records of a partition
    USERS = 11,
    COPIES_MAX = 1000,
    STEPS_MAX = 20000,
    LARGE = 20000, // bytes of a record that is too large
};

typedef struct copy {
    uint32_t partition;
    char origin[MR_ORIGIN_BYTES_MAX];
    uint32_t header_count;
    uint64_t key_hash, value_hash, header_hash;
    uint32_t value_bytes;
} copy;

typedef struct original { // a record of a source
    uint8_t value[64];
    uint32_t value_bytes;
    char key[16];
    char user[16]; // "": none can be found
    mr_cause cause;
} original;

typedef enum trouble {
    RETRY,
    ABORT,
    FENCED_BEFORE, // the call had no effect
    FENCED_AFTER,  // it had
    DEATH,         // of the process, before the call
    REVOKED,       // the group asks for all partitions, and gives them back
    LOST,          // it has given them to somebody else and back
    TROUBLE_COUNT,
} trouble;

typedef struct world {
    mr_config *config;
    mr_catalog *catalog;
    mr_decoder *decoder;
    fake_clock clock;
    original records[SOURCES][EACH];
    int64_t first[SOURCES];     // of the log
    int64_t committed[SOURCES]; // of the group; -1: none
    int64_t direct[SOURCES];    // of the worker's group; -1: none

    // The member.
    mr_group_state state;
    uint64_t generation;
    mr_offset partitions[SOURCES];
    int64_t positions[SOURCES]; // -1: not read
    bool end_told[SOURCES];
    int outstanding; // messages taken and not given back

    // The producer.
    bool open; // a transaction
    mr_record queued[COPIES_MAX];
    uint32_t queued_count, acknowledged;
    copy copies[COPIES_MAX]; // the first copy_count are committed
    uint32_t copy_count;
    int64_t written; // records of the topic, committed or not
    int64_t offsets[SOURCES]; // of the transaction; -1: none
    uint32_t transactions;

    uint32_t calls, fail_at;
    trouble trouble;
    bool died;
    bool refuses; // every commit
} world;

static uint32_t source_of(uint32_t input, uint32_t partition)
{
    return input == 1 ? partition : 3 + partition;
}

// ---- the group

static mr_status fake_poll(void *context, int wait_ms, mr_error *err)
{
    world *w = context;
    (void)wait_ms, (void)err;
    if (w->state == MR_GROUP_JOINING) {
        w->state = MR_GROUP_ASSIGNED;
        w->generation++;
    }
    return MR_OK;
}

static mr_membership fake_look(void *context)
{
    static const uint32_t tasks[] = {0, 1, 2};
    const world *w = context;
    return (mr_membership){w->state, w->generation, tasks, 3};
}

static void fake_let_go(void *context)
{
    world *w = context;
    assert_true(w->state == MR_GROUP_REVOKING || w->state == MR_GROUP_LOST);
    assert_int_equal(w->outstanding, 0);
    w->state = MR_GROUP_JOINING;
}

static const mr_offset *fake_partitions(void *context, uint32_t *count)
{
    world *w = context;
    *count = SOURCES;
    for (uint32_t i = 0; i < SOURCES; i++)
        w->partitions[i] = (mr_offset){i < 3 ? 1 : 2, i < 3 ? i : i - 3, -1};
    return w->partitions;
}

static mr_status fake_assign(void *context, const mr_offset *offsets, uint32_t count, mr_error *err)
{
    world *w = context;
    (void)err;
    assert_int_equal(count, SOURCES);
    assert_int_equal(w->outstanding, 0);
    for (uint32_t i = 0; i < count; i++) {
        w->positions[i] = offsets[i].next;
        w->end_told[i] = false;
    }
    return MR_OK;
}

static const uint8_t large[LARGE];

static uint32_t fake_headers(const mr_message *message, mr_header *headers, uint32_t max)
{
    (void)message;
    assert_true(max > 1);
    headers[0] = (mr_header){"trace", mr_bytes_text("abc")};
    headers[1] = (mr_header){"none", {NULL, 0}};
    return 2;
}

static mr_message message_of(const original *from, uint32_t partition, int64_t offset)
{
    return (mr_message){
        .key = from->key[0] != '\0' ? mr_bytes_text(from->key) : (mr_bytes){NULL, 0},
        .value = from->cause == MR_CAUSE_too_large ? mr_bytes_of(large, LARGE)
                                                   : mr_bytes_of(from->value, from->value_bytes),
        .partition = partition,
        .offset = offset,
        .time_ms = 1000000 + offset,
        .headers = fake_headers,
    };
}

static uint32_t fake_take(void *context, uint32_t index, mr_message *messages, uint32_t max)
{
    world *w = context;
    uint32_t count = 0;
    const uint32_t partition = index < 3 ? index : index - 3;
    for (; count < max && w->positions[index] < EACH; count++) {
        const int64_t at = w->positions[index]++;
        messages[count] = message_of(&w->records[index][at], partition, at);
    }
    if (count < max && w->positions[index] == EACH && !w->end_told[index]) {
        w->end_told[index] = true;
        messages[count++] = (mr_message){.end = true, .partition = partition, .offset = EACH};
    }
    w->outstanding += (int)count;
    return count;
}

static void fake_give_back(void *context, mr_message *message)
{
    (void)message;
    ((world *)context)->outstanding--;
}

static mr_intake intake_of(world *w)
{
    return (mr_intake){.context = w,
                       .poll = fake_poll,
                       .look = fake_look,
                       .let_go = fake_let_go,
                       .partitions = fake_partitions,
                       .assign = fake_assign,
                       .take = fake_take,
                       .give_back = fake_give_back};
}

// ---- the bus

// Whether this call is the one that goes wrong, and how its status is then.
static mr_status meet(world *w, bool *effect, mr_error *err)
{
    *effect = true;
    if (++w->calls != w->fail_at)
        return MR_OK;
    switch (w->trouble) {
    case RETRY:
        *effect = false;
        return mr_fail(err, MR_RETRY, "told to");
    case ABORT:
        *effect = false;
        return mr_fail(err, MR_ABORT, "told to");
    case FENCED_BEFORE:
        *effect = false;
        return mr_fail(err, MR_FENCED, "told to");
    case FENCED_AFTER:
        return mr_fail(err, MR_FENCED, "told to");
    case DEATH:
        *effect = false;
        w->died = true;
        return mr_fail(err, MR_FATAL, "died");
    case REVOKED:
        w->state = MR_GROUP_REVOKING;
        return MR_OK;
    case LOST:
        w->state = MR_GROUP_LOST;
        return MR_OK;
    case TROUBLE_COUNT:
        break;
    }
    return MR_OK;
}

static mr_status tx_begin(void *context, mr_error *err)
{
    world *w = context;
    bool effect;
    const mr_status status = meet(w, &effect, err);
    assert_false(w->open);
    if (effect) {
        w->open = true;
        w->queued_count = w->acknowledged = 0;
        memset(w->offsets, -1, sizeof w->offsets);
    }
    return status;
}

static mr_status tx_produce(void *context, const mr_record *record, mr_error *err)
{
    world *w = context;
    bool effect;
    const mr_status status = meet(w, &effect, err);
    assert_true(w->open);
    assert_int_equal(record->topic, MR_TOPIC_REPARTITION);
    assert_true(record->partition < P);
    if (effect && w->queued_count < COPIES_MAX)
        w->queued[w->queued_count++] = *record;
    w->written += effect;
    return status;
}

static uint64_t hash_headers(const mr_header *headers, uint32_t count)
{
    uint64_t hash = count;
    for (uint32_t i = 0; i < count; i++) {
        hash = mr_hash64(headers[i].name, strlen(headers[i].name), hash);
        hash = mr_hash64(headers[i].value.data, headers[i].value.size,
                         hash + (headers[i].value.data == NULL));
    }
    return hash;
}

static mr_status tx_flush(void *context, mr_error *err)
{
    world *w = context;
    bool effect;
    const mr_status status = meet(w, &effect, err);
    for (; effect && w->acknowledged < w->queued_count; w->acknowledged++) {
        const mr_record *r = &w->queued[w->acknowledged];
        copy *c = &w->copies[w->copy_count + w->acknowledged];
        assert_true(w->copy_count + w->acknowledged < COPIES_MAX);
        assert_string_equal(r->headers[0].name, MR_ORIGIN_HEADER);
        *c = (copy){.partition = r->partition,
                    .header_count = r->header_count,
                    .key_hash = mr_hash64(r->key.data, r->key.size, r->key.data == NULL),
                    .value_hash = mr_hash64(r->value.data, r->value.size, 0),
                    .header_hash = hash_headers(r->headers + 1, r->header_count - 1),
                    .value_bytes = r->value.size};
        snprintf(c->origin, sizeof c->origin, "%.*s", (int)r->headers[0].value.size,
                 (const char *)r->headers[0].value.data);
    }
    return status;
}

static mr_status tx_offsets(void *context, uint64_t generation, const mr_offset *offsets,
                            uint32_t count, mr_error *err)
{
    world *w = context;
    bool effect;
    const mr_status status = meet(w, &effect, err);
    assert_true(w->open && w->acknowledged == w->queued_count);
    assert_int_equal(count, SOURCES);
    if (w->state == MR_GROUP_LOST || generation != w->generation)
        return mr_fail(err, MR_FENCED, "not the present member");
    for (uint32_t i = 0; effect && i < count; i++)
        w->offsets[source_of(offsets[i].input, offsets[i].partition)] = offsets[i].next;
    return status;
}

static void end(world *w, bool commit)
{
    // The topic has no record of a partition without an offset, not even one that was taken back.
    for (uint32_t i = 0; commit && i < SOURCES; i++) {
        assert_true(w->committed[i] >= 0 || w->acknowledged == 0);
        w->committed[i] = w->offsets[i];
    }
    w->copy_count += commit ? w->acknowledged : 0;
    w->transactions += commit;
    w->open = false;
    w->queued_count = w->acknowledged = 0;
}

static mr_status tx_commit(void *context, mr_error *err)
{
    world *w = context;
    bool effect;
    const mr_status status = meet(w, &effect, err);
    assert_true(w->open && w->offsets[0] >= 0);
    if (w->refuses)
        return mr_fail(err, MR_ABORT, "told to");
    if (effect)
        end(w, true);
    return status;
}

static mr_status tx_renew(void *context, mr_error *err)
{
    world *w = context;
    bool effect;
    const mr_status status = meet(w, &effect, err);
    if (effect)
        end(w, false);
    return status == MR_ABORT || status == MR_FENCED ? MR_RETRY : status;
}

static mr_status tx_ends(void *context, uint32_t input, uint32_t partition, mr_log_ends *ends,
                         mr_error *err)
{
    const world *w = context;
    (void)err;
    *ends = (mr_log_ends){0, w->written};
    if (input != mr_config_repartition(w->config))
        *ends = (mr_log_ends){w->first[source_of(input, partition)], EACH};
    return MR_OK;
}

static mr_status tx_committed(void *context, mr_offset *offsets, uint32_t count, mr_error *err)
{
    world *w = context;
    bool effect;
    const mr_status status = meet(w, &effect, err);
    for (uint32_t i = 0; i < count; i++)
        offsets[i].next = w->committed[source_of(offsets[i].input, offsets[i].partition)];
    return status == MR_ABORT || status == MR_FENCED ? MR_RETRY : status;
}

static mr_status direct_committed(void *context, mr_offset *offsets, uint32_t count, mr_error *err)
{
    world *w = context;
    (void)err;
    for (uint32_t i = 0; i < count; i++)
        offsets[i].next = w->direct[source_of(offsets[i].input, offsets[i].partition)];
    return MR_OK;
}

static mr_bus bus_of(world *w)
{
    return (mr_bus){.context = w,
                    .begin = tx_begin,
                    .produce = tx_produce,
                    .flush = tx_flush,
                    .send_offsets = tx_offsets,
                    .commit = tx_commit,
                    .renew = tx_renew,
                    .input_ends = tx_ends,
                    .committed = tx_committed};
}

// ---- the world

static void make_record(world *w, uint32_t source, uint32_t n, uint64_t fingerprint)
{
    original *o = &w->records[source][n];
    const uint32_t number = source * EACH + n;
    char item[16];
    snprintf(o->user, sizeof o->user, "u%u", number % USERS);
    snprintf(o->key, sizeof o->key, "k%u", number);
    snprintf(item, sizeof item, "i%u", number);
    mr_event event = {.kind = MR_EVENT_CLICK,
                      .present = 1u << MR_FIELD_user | 1u << MR_FIELD_item | 1u << MR_FIELD_time,
                      .user = mr_bytes_text(o->user),
                      .item = mr_bytes_text(item),
                      .time_ms = 1000000};
    mr_writer out = mr_writer_make(o->value, sizeof o->value);
    mr_frame_put_single_object(&out, fingerprint);
    mr_encode_event(&out, &event);
    assert_false(out.full);
    o->value_bytes = (uint32_t)out.size;
    if (number % 13 == 0) {
        o->cause = MR_CAUSE_truncated;
        o->value_bytes--;
    } else if (number % 37 == 1) {
        o->cause = MR_CAUSE_too_large;
    }
    if (number % 26 == 0)
        o->key[0] = '\0'; // none
}

static void open_world(world *w, const char *const *more, uint32_t more_count)
{
    mr_error err = {0};
    const char *sets[16] = {"app=t",
                            "topics.clicks.kind=click",
                            "topics.orders.kind=click",
                            "topics.orders.repartition=true",
                            "topics.views.kind=click",
                            "topics.views.repartition=true",
                            "repartition.records_max=16",
                            "outputs.record_bytes_max=10000"};
    for (uint32_t i = 0; i < more_count; i++)
        sets[8 + i] = more[i];
    const mr_config_source source = {.sets = sets, .set_count = 8 + more_count};
    memset(w, 0, sizeof *w);
    if (mr_config_load(&w->config, &source, &err) != MR_OK)
        fail_msg("%s", err.text);
    assert_int_equal(mr_catalog_open(NULL, &w->catalog, &err), MR_OK);
    assert_int_equal(mr_decoder_open(w->config, w->catalog, &w->decoder, &err), MR_OK);
    const uint64_t fingerprint = mr_catalog_find(w->catalog, "click")->fingerprint;
    for (uint32_t s = 0; s < SOURCES; s++) {
        w->committed[s] = w->direct[s] = -1;
        for (uint32_t n = 0; n < EACH; n++)
            make_record(w, s, n, fingerprint);
    }
}

// The same world as it was when it was opened.
static void begin_again(world *w)
{
    const world before = *w;
    memset(w, 0, sizeof *w);
    w->config = before.config;
    w->catalog = before.catalog;
    w->decoder = before.decoder;
    memcpy(w->records, before.records, sizeof w->records);
    memset(w->committed, -1, sizeof w->committed);
    memset(w->direct, -1, sizeof w->direct);
}

static void close_world(world *w)
{
    mr_decoder_close(w->decoder);
    mr_catalog_close(w->catalog);
    mr_config_free(w->config);
}

typedef struct ports {
    mr_intake intake;
    mr_bus bus, direct;
    mr_clock clock;
    mr_repartition_options options;
} ports;

static void open_stage(world *w, ports *p, mr_repartition **stage)
{
    static const uint32_t source_counts[] = {0, 3, 2};
    mr_error err = {0};
    p->intake = intake_of(w);
    p->bus = p->direct = bus_of(w);
    p->direct.committed = direct_committed;
    p->clock = fake_clock_port(&w->clock);
    p->options = (mr_repartition_options){.config = w->config,
                                          .decoder = w->decoder,
                                          .intake = &p->intake,
                                          .bus = &p->bus,
                                          .direct = &p->direct,
                                          .clock = &p->clock,
                                          .source_counts = source_counts,
                                          .partition_count = P};
    assert_int_equal(mr_repartition_open(&p->options, stage, &err), MR_OK);
}

// Runs until everything is copied; a process that dies is followed by another.
static mr_status run(world *w, mr_error *err)
{
    ports p;
    mr_status status = MR_OK;
    mr_repartition *stage;
    bool done = false, moved;
    open_stage(w, &p, &stage);
    for (uint32_t i = 0; i < STEPS_MAX && status == MR_OK && !done; i++) {
        status = mr_repartition_step(stage, &moved, err);
        if (!moved)
            w->clock.now_ms += 1 + mr_repartition_patience(stage, 50);
        if (w->died) {
            w->died = false;
            mr_repartition_close(stage);
            end(w, false); // by the next producer of that name
            w->state = MR_GROUP_JOINING;
            open_stage(w, &p, &stage);
            status = MR_OK;
            continue;
        }
        done = mr_repartition_at_end(stage);
    }
    mr_repartition_close(stage);
    assert_int_equal(w->outstanding, 0);
    if (status == MR_OK)
        assert_true(done);
    return status;
}

static void check_copy(const world *w, const copy *c, int64_t seen[SOURCES][P],
                       uint32_t times[SOURCES][EACH])
{
    mr_origin origin;
    assert_true(mr_origin_read(mr_bytes_text(c->origin), &origin));
    const uint32_t input = mr_bytes_equal(origin.topic, mr_bytes_text("orders")) ? 1 : 2;
    const uint32_t source = source_of(input, origin.partition);
    assert_true(source < SOURCES && origin.offset < EACH);
    const original *o = &w->records[source][origin.offset];
    const mr_message message = message_of(o, origin.partition, origin.offset);
    mr_header headers[4];
    times[source][origin.offset]++;
    assert_true(origin.offset > seen[source][c->partition]);
    seen[source][c->partition] = origin.offset;
    assert_int_equal(origin.time_ms, message.time_ms);
    assert_int_equal(origin.cause, o->cause);
    assert_true(c->key_hash == mr_hash64(message.key.data, message.key.size, o->key[0] == '\0'));
    assert_true(c->header_hash == hash_headers(headers, fake_headers(&message, headers, 4)));
    if (o->cause == MR_CAUSE_too_large)
        assert_true(c->value_bytes > 5000 && c->value_bytes < 10000);
    else
        assert_true(c->value_hash == mr_hash64(message.value.data, message.value.size, 0));
    const mr_bytes by = o->cause == MR_CAUSE_NONE ? mr_bytes_text(o->user) : message.key;
    assert_int_equal(c->partition, by.data != NULL ? mr_partition_of(by, P) : 0);
}

static void check_world(const world *w, int64_t first)
{
    int64_t seen[SOURCES][P];
    uint32_t times[SOURCES][EACH] = {{0}};
    memset(seen, -1, sizeof seen);
    for (uint32_t i = 0; i < w->copy_count; i++)
        check_copy(w, &w->copies[i], seen, times);
    for (uint32_t s = 0; s < SOURCES; s++) {
        assert_int_equal(w->committed[s], EACH);
        for (uint32_t n = 0; n < EACH; n++)
            assert_int_equal(times[s][n], n >= first);
    }
}

static void every_record_is_copied_once_whatever_call_goes_wrong(void **state)
{
    static world w;
    (void)state;
    for (int kind = 0; kind < TROUBLE_COUNT; kind++) {
        uint32_t n = 0;
        open_world(&w, NULL, 0);
        do {
            mr_error err = {0};
            begin_again(&w);
            w.trouble = (trouble)kind;
            w.fail_at = ++n;
            if (run(&w, &err) != MR_OK)
                fail_msg("trouble %d at call %u: %s", kind, n, err.text);
            check_world(&w, 0);
        } while (w.calls >= w.fail_at);
        close_world(&w);
        assert_true(n > SOURCES * EACH); // every call of a run had its turn
    }
}

static void two_calls_that_go_wrong_leave_every_record_copied_once(void **state)
{
    static world w;
    (void)state;
    // The second trouble meets the recovery from the first: one call later each time.
    open_world(&w, NULL, 0);
    for (uint32_t gap = 1; gap < 8; gap++) {
        for (uint32_t n = 1; n < 45; n++) {
            mr_error err = {0};
            begin_again(&w);
            w.trouble = n % 2 == 0 ? FENCED_AFTER : ABORT;
            w.fail_at = n;
            ports p;
            mr_repartition *stage;
            bool moved;
            open_stage(&w, &p, &stage);
            for (uint32_t i = 0; i < STEPS_MAX && !mr_repartition_at_end(stage); i++) {
                assert_int_equal(mr_repartition_step(stage, &moved, &err), MR_OK);
                w.clock.now_ms += moved ? 0 : 1 + mr_repartition_patience(stage, 50);
                if (w.calls >= w.fail_at && w.fail_at == n) {
                    w.fail_at = n + gap;
                    w.trouble = gap % 3 == 0 ? FENCED_BEFORE : gap % 3 == 1 ? LOST : REVOKED;
                }
            }
            mr_repartition_close(stage);
            check_world(&w, 0);
        }
    }
    close_world(&w);
}

static void a_commit_that_never_goes_well_ends_the_stage(void **state)
{
    static world w;
    (void)state;
    mr_error err = {0};
    const char *const retries[] = {"commit.retries=3"};
    open_world(&w, retries, 1);
    ports p;
    mr_repartition *stage;
    bool moved;
    mr_status status = MR_OK;
    open_stage(&w, &p, &stage);
    w.refuses = true;
    for (uint32_t i = 0; i < STEPS_MAX && status == MR_OK; i++) {
        status = mr_repartition_step(stage, &moved, &err);
        w.clock.now_ms += moved ? 0 : 50;
    }
    assert_int_equal(status, MR_FATAL);
    assert_non_null(strstr(err.text, "4 transactions in a row"));
    mr_repartition_close(stage);
    close_world(&w);
}

static void a_partition_that_the_group_does_not_know_begins_where_start_says(void **state)
{
    static world w;
    (void)state;
    mr_error err = {0};
    const char *const latest[] = {"start=latest"};
    open_world(&w, latest, 1);
    assert_int_equal(run(&w, &err), MR_OK);
    check_world(&w, EACH);
    assert_int_equal(w.transactions, 1); // the offsets alone: the next start goes on there
    close_world(&w);
}

static void a_partition_that_was_added_to_an_input_begins_at_its_first_record(void **state)
{
    static world w;
    (void)state;
    mr_error err = {0};
    const char *const latest[] = {"start=latest"};
    open_world(&w, latest, 1);
    for (uint32_t s = 0; s + 1 < SOURCES; s++)
        w.committed[s] = EACH;
    w.written = 4 * EACH;
    assert_int_equal(run(&w, &err), MR_OK);
    assert_int_equal(w.copy_count, EACH);
    for (uint32_t i = 0; i < w.copy_count; i++)
        assert_memory_equal(w.copies[i].origin, "views 1 ", 8);
    close_world(&w);
}

static void offsets_that_the_group_has_forgotten_stop_the_stage_unless_told(void **state)
{
    static world w;
    (void)state;
    const char *const group[] = {"accept_offsets=group"};
    for (uint32_t told = 0; told < 2; told++) {
        mr_error err = {0};
        open_world(&w, group, told);
        w.written = 1; // one record that was taken back is enough
        if (told) {
            assert_int_equal(run(&w, &err), MR_OK);
            check_world(&w, 0);
        } else {
            assert_int_equal(run(&w, &err), MR_FATAL);
            assert_non_null(strstr(err.text, "the group t knows no offsets, though t.repartition "
                                             "has had records"));
            assert_int_equal(w.copy_count, 0);
        }
        close_world(&w);
    }
}

static void an_input_that_was_read_directly_goes_on_where_that_ended(void **state)
{
    static world w;
    (void)state;
    mr_error err = {0};
    open_world(&w, NULL, 0);
    for (uint32_t s = 0; s < SOURCES; s++)
        w.direct[s] = 7;
    assert_int_equal(run(&w, &err), MR_OK);
    check_world(&w, 7);
    close_world(&w);
}

static void records_that_are_gone_stop_the_stage_unless_told(void **state)
{
    static world w;
    (void)state;
    const char *const go_on[] = {"on_input_gap=continue"};
    for (uint32_t told = 0; told < 2; told++) {
        mr_error err = {0};
        open_world(&w, go_on, told);
        for (uint32_t s = 0; s < SOURCES; s++) {
            w.committed[s] = 3;
            w.first[s] = 5;
        }
        if (told) {
            assert_int_equal(run(&w, &err), MR_OK);
            check_world(&w, 5);
        } else {
            assert_int_equal(run(&w, &err), MR_FATAL);
            assert_string_equal(err.text,
                                "orders [0]: 2 records from offset 3 on are gone from the log "
                                "before they were read; on_input_gap: continue goes on behind "
                                "them");
        }
        close_world(&w);
    }
}

static void a_log_that_was_cut_stops_the_stage(void **state)
{
    static world w;
    (void)state;
    mr_error err = {0};
    open_world(&w, NULL, 0);
    w.committed[4] = EACH + 1;
    assert_int_equal(run(&w, &err), MR_FATAL);
    assert_non_null(strstr(err.text, "views [1]: read up to offset 31, but the log ends at 30"));
    close_world(&w);
}

// ---- schemas that come later

enum { LATE = 1, LATE_FROM = 5 }; // the source whose records have one, from its n-th on

typedef struct late_schema {
    uint32_t asked, known_after; // it is known when it has been asked for so often
} late_schema;

static mr_status find_late(void *context, const mr_frame *frame, char **text, size_t *text_bytes,
                           mr_error *err)
{
    late_schema *late = context;
    assert_int_equal(frame->id, 7);
    if (late->asked++ < late->known_after)
        return mr_fail(err, MR_RETRY, "not yet");
    *text = strdup(mr_builtin_find("click")->text);
    *text_bytes = mr_builtin_find("click")->size;
    return MR_OK;
}

// The records of a source are framed by a schema that only the finder knows.
static void frame_late(world *w, late_schema *late)
{
    const mr_schema_finder finder = {late, find_late};
    for (uint32_t n = LATE_FROM; n < EACH; n++) {
        original *o = &w->records[LATE][n];
        uint8_t framed[sizeof o->value];
        mr_writer out = mr_writer_make(framed, sizeof framed);
        mr_frame_put_confluent(&out, 7);
        mr_put_raw(&out, o->value + 10, o->value_bytes - 10);
        memcpy(o->value, framed, out.size);
        o->value_bytes = (uint32_t)out.size;
    }
    mr_catalog_ask(w->catalog, &finder);
}

static void a_schema_that_is_not_there_holds_up_its_partition_and_no_other(void **state)
{
    static world w;
    (void)state;
    late_schema late = {.known_after = UINT32_MAX};
    mr_error err = {0};
    ports p;
    mr_repartition *stage;
    bool moved;
    open_world(&w, NULL, 0);
    frame_late(&w, &late);
    open_stage(&w, &p, &stage);
    for (uint32_t i = 0; i < 500; i++) {
        assert_int_equal(mr_repartition_step(stage, &moved, &err), MR_OK);
        w.clock.now_ms += moved ? 0 : 1 + mr_repartition_patience(stage, 50);
        assert_false(mr_repartition_at_end(stage));
    }
    for (uint32_t s = 0; s < SOURCES; s++)
        assert_int_equal(w.committed[s], s == LATE ? LATE_FROM : EACH);
    late.known_after = 0;
    for (uint32_t i = 0; i < STEPS_MAX && !mr_repartition_at_end(stage); i++) {
        assert_int_equal(mr_repartition_step(stage, &moved, &err), MR_OK);
        w.clock.now_ms += moved ? 0 : 1 + mr_repartition_patience(stage, 50);
    }
    mr_repartition_close(stage);
    assert_int_equal(w.outstanding, 0);
    check_world(&w, 0);
    close_world(&w);
}

static void records_that_wait_are_copied_once_whatever_call_goes_wrong(void **state)
{
    static world w;
    (void)state;
    for (int kind = 0; kind < TROUBLE_COUNT; kind++) {
        uint32_t n = 0;
        do { // a world of its own each time: what a catalog has found it keeps
            late_schema late = {.known_after = 5 + n % 7};
            mr_error err = {0};
            open_world(&w, NULL, 0);
            frame_late(&w, &late);
            w.trouble = (trouble)kind;
            w.fail_at = ++n;
            if (run(&w, &err) != MR_OK)
                fail_msg("trouble %d at call %u: %s", kind, n, err.text);
            check_world(&w, 0);
            close_world(&w);
        } while (w.calls >= w.fail_at);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_record_is_copied_once_whatever_call_goes_wrong),
        cmocka_unit_test(two_calls_that_go_wrong_leave_every_record_copied_once),
        cmocka_unit_test(a_commit_that_never_goes_well_ends_the_stage),
        cmocka_unit_test(a_partition_that_the_group_does_not_know_begins_where_start_says),
        cmocka_unit_test(a_partition_that_was_added_to_an_input_begins_at_its_first_record),
        cmocka_unit_test(offsets_that_the_group_has_forgotten_stop_the_stage_unless_told),
        cmocka_unit_test(an_input_that_was_read_directly_goes_on_where_that_ended),
        cmocka_unit_test(records_that_are_gone_stop_the_stage_unless_told),
        cmocka_unit_test(a_log_that_was_cut_stops_the_stage),
        cmocka_unit_test(a_schema_that_is_not_there_holds_up_its_partition_and_no_other),
        cmocka_unit_test(records_that_wait_are_copied_once_whatever_call_goes_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
