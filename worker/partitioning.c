// SPDX-License-Identifier: Apache-2.0
#include "worker/partitioning.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/hash.h"
#include "worker/partitioner.h"

enum {
    USERS_MIN = 8, // fewer could lie where a partitioner puts them by chance
    NOISE = 20,    // one record in so many may lie elsewhere
    SEED = 0x70617274,
};

typedef struct seen { // a user
    uint64_t hash;    // 0: none
    uint32_t partition;
    bool split;
} seen;

struct mr_partition_tally {
    const mr_config *config;
    seen *users;
    uint32_t mask, records_max;
    mr_partition_sample *sample;
};

mr_status mr_partition_tally_open(const mr_config *config, uint32_t records_max,
                                  mr_partition_tally **out, mr_error *err)
{
    uint32_t size = 16;
    while (size < 2 * records_max)
        size *= 2;
    mr_partition_tally *tally = calloc(1, sizeof *tally);
    seen *users = calloc(size, sizeof *users);
    if (tally == NULL || users == NULL) {
        free(tally);
        free(users);
        return mr_fail(err, MR_FATAL, "out of memory");
    }
    tally->config = config;
    tally->users = users;
    tally->mask = size - 1;
    tally->records_max = records_max;
    *out = tally;
    return MR_OK;
}

void mr_partition_tally_close(mr_partition_tally *tally)
{
    if (tally == NULL)
        return;
    free(tally->users);
    free(tally);
}

void mr_partition_tally_begin(mr_partition_tally *tally, mr_partition_sample *sample,
                              uint32_t partitions)
{
    memset(tally->users, 0, (tally->mask + 1u) * sizeof *tally->users);
    tally->sample = sample;
    *sample = (mr_partition_sample){.partitions = partitions};
}

void mr_partition_tally_add(mr_partition_tally *tally, mr_bytes user, uint32_t partition)
{
    uint8_t room[8];
    mr_partition_sample *sample = tally->sample;
    if (sample->records == tally->records_max)
        return;
    const mr_bytes key = mr_partition_key(tally->config, user, room);
    sample->records++;
    for (int p = 0; p < MR_PARTITIONER_COUNT; p++)
        sample->fits[p] += mr_partition_by(p, key, sample->partitions) == partition;
    const uint64_t hash = mr_hash64(user.data, user.size, SEED) | 1;
    uint32_t at = (uint32_t)(hash >> 32) & tally->mask;
    while (tally->users[at].hash != 0 && tally->users[at].hash != hash)
        at = (at + 1) & tally->mask;
    seen *found = &tally->users[at];
    if (found->hash == 0) {
        *found = (seen){hash, partition, false};
        sample->users++;
    } else if (found->partition != partition && !found->split) {
        found->split = true;
        sample->split++;
    }
}

// ---- judging

static bool fits(const mr_partition_sample *sample, int partitioner)
{
    return (uint64_t)sample->fits[partitioner] * NOISE >= (uint64_t)sample->records * (NOISE - 1);
}

int mr_partition_fitting(const mr_partition_sample *sample, int preferred)
{
    if (fits(sample, preferred))
        return preferred;
    for (int p = 0; p < MR_PARTITIONER_COUNT; p++) {
        if (fits(sample, p))
            return p;
    }
    return -1;
}

static bool is_direct(const mr_config *config, uint32_t input)
{
    const mr_config_input *i = &config->inputs[input];
    return mr_config_is_by_user(i) && !i->repartition && !mr_config_is_pattern(i);
}

// Whether a sample says anything: with one partition everything fits.
static bool tells(const mr_partition_sample *sample)
{
    return sample->partitions > 1 && sample->users >= USERS_MIN;
}

// Whether the partitioner fits every input that can keep being read directly.
static bool fits_all(const mr_config *config, const mr_partition_sample *samples,
                     uint32_t lead_count, int partitioner)
{
    for (uint32_t i = 0; i < config->input_count; i++) {
        if (is_direct(config, i) && samples[i].partitions == lead_count && tells(&samples[i]) &&
            !fits(&samples[i], partitioner))
            return false;
    }
    return true;
}

// What the key `partitioner` should say.
static int choose(const mr_config *config, const mr_partition_sample *samples, uint32_t lead_count)
{
    uint32_t lead = 0;
    mr_error err;
    if (fits_all(config, samples, lead_count, config->partitioner))
        return config->partitioner;
    for (int p = 0; p < MR_PARTITIONER_COUNT; p++) {
        if (fits_all(config, samples, lead_count, p))
            return p;
    }
    // They differ: the others have to go the way of the lead.
    if (mr_config_lead(config, &lead, &err) != MR_OK || lead >= config->input_count ||
        !tells(&samples[lead]))
        return config->partitioner;
    const int of_lead = mr_partition_fitting(&samples[lead], config->partitioner);
    return of_lead >= 0 ? of_lead : config->partitioner;
}

static mr_partition_verdict judge(const mr_partition_sample *sample, uint32_t lead_count,
                                  int partitioner, bool alone)
{
    const bool whole = (uint64_t)sample->split * NOISE <= sample->users;
    if (sample->partitions != lead_count)
        return MR_PARTITION_NUMBER;
    if (!tells(sample))
        return MR_PARTITION_UNKNOWN;
    if (fits(sample, partitioner))
        return MR_PARTITION_FITS;
    if (!whole)
        return MR_PARTITION_SPLIT;
    return alone ? MR_PARTITION_ALONE : MR_PARTITION_DIFFERS;
}

void mr_partition_judge(const mr_config *config, const mr_partition_sample *samples,
                        uint32_t lead_count, mr_partition_verdict *verdicts, int *partitioner)
{
    uint32_t direct = 0;
    for (uint32_t i = 0; i < config->input_count; i++)
        direct += is_direct(config, i);
    const bool alone = direct == 1 && !mr_config_repartitions(config);
    *partitioner = alone ? config->partitioner : choose(config, samples, lead_count);
    for (uint32_t i = 0; i < config->input_count; i++)
        verdicts[i] = is_direct(config, i) ? judge(&samples[i], lead_count, *partitioner, alone)
                                           : MR_PARTITION_UNKNOWN;
}
