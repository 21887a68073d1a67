// SPDX-License-Identifier: Apache-2.0
// simulate: the closed loop of core/sim under a configuration: what its lists are worth beside
// other policies, and what attackers gain. One thread, no Kafka, no files; the same numbers from
// the same seed.
#ifndef MR_WORKER_SIMULATE_H
#define MR_WORKER_SIMULATE_H

#include "core/sim/attack.h"
#include "worker/methods.h"

enum { MR_SIMULATE_SIZES_MAX = 8 };

typedef struct mr_simulate_options {
    const mr_config *config;
    const mr_methods *methods;
    uint32_t users, items, k;
    double births;      // share of the items that appear one by one in the course of `days`
    double content;     // noise of the vectors that items come with; below 0: they have none
    bool twins;         // each of those is as good as an item that is there from the start
    double drift_days;  // one community's taste moves by half so often; 0: never
    double days;        // of a run; before an attack begins
    double attack_days; // until its effect is measured
    uint64_t seed;
    double sizes[MR_SIMULATE_SIZES_MAX]; // of attacks: fake accounts a user
    uint32_t size_count;
    bool progress;
} mr_simulate_options;

// 1,000 users, 500 items, lists of 10, 7 days, attacks of .1, 1 and 5 % for 1 day.
mr_simulate_options mr_simulate_defaults(void);

typedef struct mr_simulated { // one policy
    mr_loop_sums sums;
    double error;        // standard error of clicks a list, over users
    double sessions;     // that ended, a user
    double satisfaction; // mean
    double gone;         // share of users who never come back
    // Of items that have a twin: how many; how many were shown MR_LOOP_FULL times; how often those
    // were shown from MR_LOOP_HALF to then, and all from their birth on, for each time that their
    // twins were.
    uint32_t twins, twins_full;
    double twins_late_share, twins_share;
    mr_hash128 state_hash;
} mr_simulated;

// Each policy on the same users. Errors: MR_FATAL.
MR_CHECKED mr_status mr_simulate_policies(const mr_simulate_options *options,
                                          mr_simulated policies[static MR_LOOP_POLICIES],
                                          mr_error *err);

// The configuration's lists alone, on the users of `seed` instead of the options' own. Says nothing of its progress.
// Errors: MR_FATAL.
MR_CHECKED mr_status mr_simulate_learned(const mr_simulate_options *options, uint64_t seed,
                                         mr_simulated *learned, mr_error *err);

typedef struct mr_simulated_attack {
    uint32_t fakes;
    uint64_t events; // of the attacker
    // Of its targets: at its begin, at the end without it, and with it.
    mr_exposure before, clean, attacked;
} mr_simulated_attack;

// All attacks, each from the same beginning. rows: MR_ATTACK_KINDS x size_count. Errors: MR_FATAL.
MR_CHECKED mr_status mr_simulate_attacks(const mr_simulate_options *options,
                                         mr_simulated_attack *rows, mr_error *err);

#endif
