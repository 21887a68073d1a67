// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "worker/partitioner.h"
#include "worker/partitioning.h"

enum { P = 4, USERS = 40 };

typedef struct fixture {
    mr_config config;
    mr_partition_tally *tally;
    mr_partition_sample samples[MR_CONFIG_INPUTS_MAX];
    mr_partition_verdict verdicts[MR_CONFIG_INPUTS_MAX];
    int partitioner;
} fixture;

static void begin(fixture *f, uint32_t inputs)
{
    mr_error err;
    memset(f, 0, sizeof *f);
    f->config.lead = "";
    f->config.input_count = inputs;
    for (uint32_t i = 0; i < inputs; i++) {
        f->config.inputs[i].kind = MR_EVENT_CLICK;
        f->config.inputs[i].topic = "clicks";
    }
    assert_int_equal(mr_partition_tally_open(&f->config, 1000, &f->tally, &err), MR_OK);
}

// A sample of an input that was written with a partitioner; -1: to any partition.
static void look(fixture *f, uint32_t input, int partitioner, uint32_t partitions)
{
    uint8_t room[8];
    char user[24];
    mr_partition_tally_begin(f->tally, &f->samples[input], partitions);
    for (uint32_t n = 0; n < 5 * USERS; n++) {
        snprintf(user, sizeof user, "%u", n % USERS);
        const mr_bytes key = mr_partition_key(&f->config, mr_bytes_text(user), room);
        mr_partition_tally_add(f->tally, mr_bytes_text(user),
                               partitioner < 0 ? n / 7 % partitions
                                               : mr_partition_by(partitioner, key, partitions));
    }
}

static void judge(fixture *f)
{
    mr_partition_judge(&f->config, f->samples, P, f->verdicts, &f->partitioner);
}

static void the_partitioner_that_fits_all_inputs_is_named(void **state)
{
    (void)state;
    for (int p = 0; p < MR_PARTITIONER_COUNT; p++) {
        fixture f;
        begin(&f, 2);
        look(&f, 0, p, P);
        look(&f, 1, p, P);
        judge(&f);
        assert_int_equal(f.partitioner, p);
        assert_int_equal(f.verdicts[0], MR_PARTITION_FITS);
        assert_int_equal(f.verdicts[1], MR_PARTITION_FITS);
        assert_int_equal(f.samples[0].users, USERS);
        assert_int_equal(f.samples[0].split, 0);
        mr_partition_tally_close(f.tally);
    }
}

static void an_input_that_differs_from_the_lead_has_to_be_repartitioned(void **state)
{
    (void)state;
    fixture f;
    begin(&f, 4);
    look(&f, 0, MR_PARTITIONER_CRC32, P);
    look(&f, 1, MR_PARTITIONER_MURMUR2, P);
    look(&f, 2, -1, P);
    look(&f, 3, MR_PARTITIONER_CRC32, P - 1);
    judge(&f);
    assert_int_equal(f.partitioner, MR_PARTITIONER_CRC32);
    assert_int_equal(f.verdicts[0], MR_PARTITION_FITS);
    assert_int_equal(f.verdicts[1], MR_PARTITION_DIFFERS);
    assert_int_equal(f.verdicts[2], MR_PARTITION_SPLIT);
    assert_int_equal(f.verdicts[3], MR_PARTITION_NUMBER);
    for (int i = 0; i < 4; i++)
        assert_int_equal(mr_partition_needs_mending(f.verdicts[i]), i > 0);
    mr_partition_tally_close(f.tally);
}

static void a_single_input_may_have_any_partitioner_but_not_none(void **state)
{
    (void)state;
    fixture f;
    begin(&f, 1);
    look(&f, 0, MR_PARTITIONER_FNV1A, P);
    judge(&f);
    assert_int_equal(f.partitioner, MR_PARTITIONER_MURMUR2);
    assert_int_equal(f.verdicts[0], MR_PARTITION_ALONE);
    look(&f, 0, -1, P);
    judge(&f);
    assert_int_equal(f.verdicts[0], MR_PARTITION_SPLIT);
    mr_partition_tally_close(f.tally);
}

static void few_users_and_one_partition_say_nothing(void **state)
{
    (void)state;
    fixture f;
    begin(&f, 2);
    mr_partition_tally_begin(f.tally, &f.samples[0], P);
    for (uint32_t n = 0; n < 100; n++)
        mr_partition_tally_add(f.tally, mr_bytes_text("one user"), n % P);
    look(&f, 1, -1, 1);
    mr_partition_judge(&f.config, f.samples, P, f.verdicts, &f.partitioner);
    assert_int_equal(f.verdicts[0], MR_PARTITION_UNKNOWN);
    f.samples[0].partitions = 1;
    mr_partition_judge(&f.config, f.samples, 1, f.verdicts, &f.partitioner);
    assert_int_equal(f.verdicts[1], MR_PARTITION_UNKNOWN);
    mr_partition_tally_close(f.tally);
}

static void one_record_in_twenty_may_lie_elsewhere_and_no_more(void **state)
{
    (void)state;
    fixture f;
    begin(&f, 2);
    look(&f, 0, MR_PARTITIONER_MURMUR2, P);
    look(&f, 1, MR_PARTITIONER_MURMUR2, P);
    f.samples[1].fits[MR_PARTITIONER_MURMUR2] = f.samples[1].records - f.samples[1].records / 20;
    judge(&f);
    assert_int_equal(f.verdicts[1], MR_PARTITION_FITS);
    f.samples[1].fits[MR_PARTITIONER_MURMUR2]--;
    judge(&f);
    assert_int_equal(f.verdicts[1], MR_PARTITION_DIFFERS);
    mr_partition_tally_close(f.tally);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_partitioner_that_fits_all_inputs_is_named),
        cmocka_unit_test(an_input_that_differs_from_the_lead_has_to_be_repartitioned),
        cmocka_unit_test(a_single_input_may_have_any_partitioner_but_not_none),
        cmocka_unit_test(few_users_and_one_partition_say_nothing),
        cmocka_unit_test(one_record_in_twenty_may_lie_elsewhere_and_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
