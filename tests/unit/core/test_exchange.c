// SPDX-License-Identifier: Apache-2.0
// Records of deltas between workers: they are read with suspicion, and their size decides nothing.
#include "core/exchange.h"
#include "tests/unit/core/fleet.h"

static void epochs_of_records_alone_count_and_leave_the_clock(void **state)
{
    (void)state;
    static fleet f;
    mr_engine_config config = integer_defaults();
    config.tasks = 2;
    fleet_open(&f, &config, 2, "ab");
    made_event events[20];
    for (uint32_t i = 0; i < 20; i++) { // of users of the first task alone
        uint32_t user = 100 * i;
        do
            mill_act(&events[i], MR_EVENT_CLICK, user++, i, 1700000000000);
        while (mr_partition_of(events[i].arrival.event.user, 2) != 0);
    }
    fleet_round(&f, events, 20);
    fleet_commit(&f);
    assert_int_equal(mr_engine_task(f.engines[1], 1).epoch, 0);
    assert_int_equal(f.inbox[1].count, 1);
    fleet_round(&f, NULL, 0);
    assert_int_equal(mr_engine_task(f.engines[1], 1).epoch, 1);
    assert_int_equal(mr_engine_task(f.engines[1], 1).clock_ms, 0);
    assert_int_equal(mr_engine_task(f.engines[1], 1).counters.read, 0);
    fleet_commit(&f);
    assert_true(mr_engine_task(f.engines[1], 1).row_count > 1);
    fleet_close(&f);
}

// A worker with a record that waits for it.
static message *first_record(fleet *f, const mr_engine_config *config)
{
    fleet_open(f, config, 2, "aabb");
    fleet_traffic(f, 0, 5, 7);
    fleet_commit(f);
    for (uint32_t t = 2; t < 4; t++)
        if (f->inbox[t].count > 0)
            return &f->inbox[t].messages[0];
    fail_msg("no record");
    return NULL;
}

static void sign(uint8_t *bytes, uint32_t size)
{
    const uint64_t sum = mr_hash64(bytes, size - 8, 0);
    memcpy(bytes + size - 8, &sum, 8);
}

static mr_status check(const fleet *f, uint32_t task, const uint8_t *bytes, uint32_t size,
                       mr_error *err)
{
    uint8_t *exact = malloc(size + 1); // so that a sanitizer sees a byte too far
    memcpy(exact + 1, bytes, size);
    const mr_status status =
        mr_engine_delta_check(f->engines[1], task, mr_bytes_of(exact + 1, size), err);
    free(exact);
    return status;
}

static void a_damaged_record_is_refused_and_nothing_is_learned(void **state)
{
    (void)state;
    static fleet f;
    mr_error err;
    const mr_engine_config config = integer_defaults();
    message *m = first_record(&f, &config);
    assert_int_equal(check(&f, m->task, m->bytes, m->size, &err), MR_OK);
    for (uint32_t size = 0; size < m->size; size++) { // cut off anywhere
        assert_int_equal(check(&f, m->task, m->bytes, size, &err), MR_REJECT);
        assert_int_equal(err.cause, MR_CAUSE_bad_delta);
    }
    for (uint32_t at = 0; at < m->size; at++) { // a bit turned anywhere
        m->bytes[at] ^= 0x10;
        assert_int_equal(check(&f, m->task, m->bytes, m->size, &err), MR_REJECT);
        m->bytes[at] ^= 0x10;
    }
    uint32_t refused = 0;
    for (uint32_t at = 0; at < m->size - 8; at++) { // and signed again: the reader stays inside
        m->bytes[at] ^= 0xff;
        sign(m->bytes, m->size);
        refused += check(&f, m->task, m->bytes, m->size, &err) != MR_OK;
        m->bytes[at] ^= 0xff;
    }
    assert_true(refused > 200); // keys, sizes, names; numbers may have any value
    sign(m->bytes, m->size);
    assert_int_equal(check(&f, 5 - m->task, m->bytes, m->size, &err), MR_REJECT);
    m->bytes[m->size - 1] ^= 1;
    const mr_bytes received = mr_bytes_of(m->bytes, m->size);
    mr_epoch epoch = {.task = m->task, .received = &received, .received_count = 1};
    const uint64_t before = mr_engine_task(f.engines[1], m->task).epoch;
    assert_int_equal(mr_engine_round(f.engines[1], &epoch, 1, &err), MR_REJECT);
    assert_int_equal(mr_engine_task(f.engines[1], m->task).epoch, before);
    m->bytes[m->size - 1] ^= 1;
    assert_int_equal(mr_engine_round(f.engines[1], &epoch, 1, &err), MR_OK);
    fleet_close(&f);
}

static uint32_t first_family(const message *m)
{
    mr_exchange_head head;
    mr_exchange_reader reader = mr_exchange_open(mr_bytes_of(m->bytes, m->size), &head);
    for (uint32_t i = 0; i < head.item_count; i++)
        (void)mr_exchange_read_item(&reader);
    assert_true(head.family_count > 0);
    return (uint32_t)(reader.at - m->bytes);
}

static void another_release_or_parameter_stops_the_worker(void **state)
{
    (void)state;
    static fleet f;
    mr_error err;
    const mr_engine_config config = integer_defaults();
    message *m = first_record(&f, &config);
    const uint32_t family = first_family(m);
    const struct {
        uint32_t at;
        const char *text;
    } changes[] = {{0, "format"}, {12, "tasks"}, {family + 2, "same release and parameters"}};
    for (uint32_t i = 0; i < 3; i++) {
        m->bytes[changes[i].at] ^= 0x40;
        sign(m->bytes, m->size);
        assert_int_equal(check(&f, m->task, m->bytes, m->size, &err), MR_FATAL);
        assert_non_null(strstr(err.text, changes[i].text));
        m->bytes[changes[i].at] ^= 0x40;
    }
    fleet_close(&f);
}

// A record of the first task to the second of two, with one thing wrong.
enum {
    WELL,
    ITEMS_SWAPPED,
    ITEM_TWICE,
    ITEM_OF_ANOTHER,
    ROW_OF_ANOTHER,
    ROWS_SWAPPED,
    ROW_TWICE,
    FAMILIES_SWAPPED,
    FAMILY_TWICE,
    BYTES_LEFT,
    NO_ROWS,
    NO_TIME,
    WRONG_KEY,
    WRONGS
};

typedef struct made_record {
    uint8_t bytes[4096];
    mr_exchange_writer writer;
} made_record;

static void put_items(made_record *r, int wrong, char names[3][16])
{
    const uint32_t order[3] = {wrong == ITEMS_SWAPPED ? 1 : 0, wrong == ITEMS_SWAPPED ? 0 : 1,
                               wrong == ITEM_TWICE        ? 1
                               : wrong == ITEM_OF_ANOTHER ? 2
                                                          : 3};
    for (uint32_t i = 0; i < 3 && order[i] < 3; i++) {
        const mr_bytes id = mr_bytes_text(names[order[i]]);
        const mr_exchange_item item = {.key = mr_item_key(id) ^ (wrong == WRONG_KEY ? 2 : 0),
                                       .time_ms = wrong == NO_TIME ? 0 : 1700000000000,
                                       .id = id};
        mr_exchange_put_item(&r->writer, &item);
    }
}

static void put_rows(made_record *r, int wrong, uint64_t first, uint64_t second, uint64_t foreign)
{
    static const uint64_t one[2] = {1, 2};
    mr_exchange_put_sum(&r->writer, wrong == ROWS_SWAPPED ? second : first, one, sizeof one);
    if (wrong == ROW_OF_ANOTHER)
        mr_exchange_put_sum(&r->writer, foreign, one, sizeof one);
    else
        mr_exchange_put_sum(&r->writer,
                            wrong == ROWS_SWAPPED || wrong == ROW_TWICE ? first : second, one,
                            sizeof one);
}

static mr_bytes make_record(made_record *r, int wrong)
{
    static char names[3][16]; // two of the second shard in order of key; one of the first
    static const mr_family counts = {.delta = MR_DELTA_SUM, .version = 1};
    static const mr_instance instance = {.config = NULL};
    const mr_family_entry counting = {.family = &counts,
                                      .instance = &instance,
                                      .code = code_of("counting.item"),
                                      .delta_bytes = 16};
    mr_family_entry other = counting;
    uint32_t found = 0;
    for (uint32_t n = 0; found < 2; n++) {
        snprintf(names[found], sizeof names[found], "i%u", n);
        found += mr_item_key(mr_bytes_text(names[found])) % 2 == 1 &&
                 (found == 0 ||
                  mr_item_key(mr_bytes_text(names[0])) < mr_item_key(mr_bytes_text(names[1])));
    }
    const uint64_t second = mr_item_key(mr_bytes_text(names[1]));
    for (uint32_t n = 0; snprintf(names[2], sizeof names[2], "i%u", n) > 0 &&
                         (mr_item_key(mr_bytes_text(names[2])) % 2 == 1 ||
                          mr_item_key(mr_bytes_text(names[2])) < second);
         n++)
        ;
    const uint64_t foreign = mr_item_key(mr_bytes_text(names[2]));
    r->writer = (mr_exchange_writer){.out = r->bytes, .max = sizeof r->bytes};
    mr_exchange_begin(&r->writer, 0, 1, 2);
    put_items(r, wrong, names);
    mr_exchange_put_family(&r->writer, &counting);
    if (wrong != NO_ROWS)
        put_rows(r, wrong, mr_item_key(mr_bytes_text(names[0])), second, foreign);
    if (wrong == FAMILIES_SWAPPED || wrong == FAMILY_TWICE) {
        other.code = wrong == FAMILY_TWICE ? counting.code : (uint16_t)(counting.code - 2);
        mr_exchange_put_family(&r->writer, &other);
        put_rows(r, WELL, mr_item_key(mr_bytes_text(names[0])), second, foreign);
    }
    if (wrong == BYTES_LEFT)
        r->bytes[r->writer.size++] = 0;
    return mr_exchange_end(&r->writer);
}

static void each_rule_of_the_format_is_held(void **state)
{
    (void)state;
    static fleet f;
    static made_record record;
    mr_error err;
    mr_engine_config config = integer_defaults();
    config.tasks = 2;
    fleet_open(&f, &config, 2, "ab");
    for (int wrong = WELL; wrong < WRONGS; wrong++) {
        const mr_bytes bytes = make_record(&record, wrong);
        assert_int_equal(check(&f, 1, bytes.data, bytes.size, &err),
                         wrong == WELL ? MR_OK : MR_REJECT);
    }
    fleet_close(&f);
}

static void another_dimension_of_the_sender_is_named(void **state)
{
    (void)state;
    static fleet wide, narrow;
    mr_error err;
    const mr_setting setting[] = {{"embedding", "dim", 32}};
    mr_engine_config config = shared_defaults();
    const message *m = first_record(&wide, &config);
    config.settings = setting;
    config.setting_count = 1;
    fleet_open(&narrow, &config, 2, "aabb");
    assert_int_equal(check(&narrow, m->task, m->bytes, m->size, &err), MR_FATAL);
    assert_non_null(strstr(err.text, "embedding.item"));
    fleet_close(&wide);
    fleet_close(&narrow);
}

static void small_records_carry_as_much_as_large_ones(void **state)
{
    (void)state;
    static fleet large, small;
    mr_engine_config config = integer_defaults();
    fleet_open(&large, &config, 2, "aabb");
    fleet_open(&small, &config, 2, "aabb");
    fleet_stop(&small, 0);
    small.store.config.exchange_bytes = MR_EXCHANGE_BYTES_MIN; // of the first worker's records
    fleet_start(&small, 0);
    fleet_take(&small, 0, 1);
    for (uint32_t c = 0; c < 3; c++) {
        fleet_traffic(&large, 5 * c, 5, 7);
        fleet_commit(&large);
        queue_clear(&large.inbox[0]); // the small one could not receive these
        queue_clear(&large.inbox[1]);
        fleet_traffic(&small, 5 * c, 5, 7);
        fleet_commit(&small);
        queue_clear(&small.inbox[0]);
        queue_clear(&small.inbox[1]);
        assert_true(small.inbox[2].count > large.inbox[2].count);
    }
    fleet_round(&large, NULL, 0);
    fleet_round(&small, NULL, 0);
    fleet_commit(&large);
    fleet_commit(&small);
    for (uint32_t t = 2; t < 4; t++)
        assert_hash_equal(mill_state_hash(&large.store, t), mill_state_hash(&small.store, t));
    fleet_close(&large);
    fleet_close(&small);
}

static void a_full_outbox_asks_for_a_close_and_has_learned_nothing(void **state)
{
    (void)state;
    static fleet f;
    mr_engine_config config = integer_defaults();
    config.tasks = 2;
    config.epoch_events_max = 4;
    config.items_max = 4000;
    fleet_open(&f, &config, 2, "ab");
    mr_error err;
    mr_status status = MR_OK;
    uint32_t learned = 0;
    made_event event;
    mr_arrival arrival;
    for (uint32_t i = 0; i < 5000; i++) {
        uint32_t user = i;
        do
            mill_act(&event, MR_EVENT_CLICK, user++, i, 1700000000000);
        while (mr_partition_of(event.arrival.event.user, 2) != 0);
        arrival = event.arrival;
        mr_epoch epoch = {.task = 0, .arrivals = &arrival, .count = 1};
        status = mr_engine_round(f.engines[0], &epoch, 1, &err);
        if (status != MR_OK)
            break;
        learned++;
    }
    assert_int_equal(status, MR_RETRY);
    assert_non_null(strstr(err.text, "other workers"));
    assert_true(learned > 500);
    assert_int_equal(mr_engine_task(f.engines[0], 0).counters.read, learned);
    fleet_commit(&f);
    arrival = event.arrival;
    mr_epoch epoch = {.task = 0, .arrivals = &arrival, .count = 1};
    assert_int_equal(mr_engine_round(f.engines[0], &epoch, 1, &err), MR_OK);
    fleet_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(epochs_of_records_alone_count_and_leave_the_clock),
        cmocka_unit_test(a_damaged_record_is_refused_and_nothing_is_learned),
        cmocka_unit_test(another_release_or_parameter_stops_the_worker),
        cmocka_unit_test(each_rule_of_the_format_is_held),
        cmocka_unit_test(another_dimension_of_the_sender_is_named),
        cmocka_unit_test(small_records_carry_as_much_as_large_ones),
        cmocka_unit_test(a_full_outbox_asks_for_a_close_and_has_learned_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
